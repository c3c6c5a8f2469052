//! What every command begins with: the registry that is meant, a connection to it, and the container it runs in.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::OnceCell;

use crate::cancel::Cancel;
use crate::cli;
use crate::config::Settings;
use crate::confirm::Consent;
use crate::credentials;
use crate::engine::{Busy, Engine, Found};
use crate::error::{self, Failure, Kind};
use crate::model::RegistryAddress;
use crate::registry::{self, Registry, Trace};
use crate::site::Site;
use crate::ui::Ui;

use super::choose::{self, Candidate, Places};

/// Where the engine on this machine keeps the certificates of registries.
const CERTIFICATES: &str = "/etc/docker/certs.d";

pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) ui: Ui,
    pub(crate) cancel: Cancel,
    engine: OnceCell<Engine>,
    /// Whether a registry was started again that an interrupted run had left stopped: it may take a moment to answer.
    has_recovered: Cell<bool>,
}

/// Where the registry runs, as far as this engine can tell.
pub(crate) enum Place {
    Here(Box<Site>),
    Elsewhere(String),
}

impl Place {
    pub(crate) fn site(&self) -> Option<&Site> {
        match self {
            Self::Here(site) => Some(site),
            Self::Elsewhere(_) => None,
        }
    }
}

impl Session {
    pub(crate) fn new(settings: Settings, ui: Ui, cancel: Cancel) -> Self {
        Self { settings, ui, cancel, engine: OnceCell::new(), has_recovered: Cell::new(false) }
    }

    /// Work that may be given up at any moment: nothing has been changed yet, or no more will be.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            result = work => result,
            () = self.cancel.cancelled() => Err(Failure::new(Kind::Interrupted, "interrupted").into()),
        }
    }

    /// What a dry run says of a run.
    pub(crate) fn would_refuse(&self, refusal: &Failure) {
        self.ui.warn(&format!("a run would be refused: {refusal}"));
        refusal.hints.iter().for_each(|hint| self.ui.say(&format!("hint: {hint}")));
    }

    pub(crate) fn consent(&self, flags: &cli::Change) -> Consent {
        match (flags.force, self.settings.terminals.is_interactive()) {
            (true, _) => Consent::Given,
            (false, true) => Consent::Ask,
            (false, false) => Consent::NobodyThere,
        }
    }

    /// The engine, connected to once.
    pub(crate) async fn engine(&self) -> anyhow::Result<&Engine> {
        self.engine
            .get_or_try_init(|| {
                self.unless_cancelled(Engine::connect(&self.settings.endpoint, self.settings.pace))
            })
            .await
    }

    /// Whether it has answered already.
    pub(super) fn has_engine(&self) -> bool {
        self.engine.initialized()
    }

    /// A connection to the registry that the arguments, the flags or the surroundings mean.
    pub(crate) async fn registry(
        &self,
        arguments: &[RegistryAddress],
        access: &cli::Access,
    ) -> anyhow::Result<Registry> {
        let address = self.address(arguments, access).await?;
        let connecting = self.unless_cancelled(self.connect(&address, access));
        let (connected, looked) = tokio::join!(connecting, Box::pin(self.look_for_leftovers()));
        let at_work = looked?;
        if self.has_recovered.get() {
            return self.answering(&address, access).await;
        }
        match connected {
            Err(error) if is_unreachable(&error) => self.recover(&address, access, error, at_work).await,
            connected => connected,
        }
    }

    /// Whoever comes next puts right what a killed run left, whether or not its own command needs the engine. One that
    /// does not answer soon is not waited for.
    async fn look_for_leftovers(&self) -> anyhow::Result<Option<BTreeMap<String, Busy>>> {
        const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
        let Ok(Ok(engine)) = tokio::time::timeout(ANSWERS_WITHIN, self.engine()).await else {
            return Ok(None);
        };
        match self.put_right(engine).await {
            Err(error) if matches!(error::kind_of(&error), Kind::LeftDown | Kind::Interrupted) => Err(error),
            Err(error) => {
                self.ui.debug(|| format!("looking for interrupted collections: {error:#}"));
                Ok(None)
            }
            Ok(at_work) => Ok(Some(at_work)),
        }
    }

    /// A registry that cannot be reached may be what a killed run left stopped.
    async fn recover(
        &self,
        address: &RegistryAddress,
        access: &cli::Access,
        error: anyhow::Error,
        at_work: Option<BTreeMap<String, Busy>>,
    ) -> anyhow::Result<Registry> {
        let at_work = match at_work {
            Some(at_work) => at_work,
            None => match self.engine().await {
                Ok(engine) => self.put_right(engine).await?,
                Err(_) => return Err(error),
            },
        };
        // Behind a proxy that answers, it may be at any port.
        let is_silent = answer_kind(&error) == Some(registry::Kind::Unreachable);
        let may_be_it = |busy: &Busy| !is_silent || busy.may_be_at(address.port());
        let busy = at_work.into_values().find(may_be_it);
        if !self.has_recovered.get() {
            return Err(match busy {
                Some(busy) => error.context(busy.refusal),
                None => error,
            });
        }
        self.answering(address, access).await
    }

    /// A connection to a registry that was just started.
    pub(crate) async fn answering(
        &self,
        address: &RegistryAddress,
        access: &cli::Access,
    ) -> anyhow::Result<Registry> {
        const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
        let asked = Instant::now();
        loop {
            match self.unless_cancelled(self.connect(address, access)).await {
                Err(error)
                    if is_unreachable(&error) && asked.elapsed() < self.settings.pace.of(ANSWERS_WITHIN) =>
                {
                    self.settings.pace.pause(Duration::from_millis(100)).await;
                }
                connected => return connected,
            }
        }
    }

    /// Puts right what interrupted runs left on the engine; the answer are the runs that are at work.
    pub(crate) async fn put_right(&self, engine: &Engine) -> anyhow::Result<BTreeMap<String, Busy>> {
        let recovered = engine.recover(None, &self.cancel).await?;
        recovered.done.iter().for_each(|sentence| self.ui.say(sentence));
        recovered.warnings.iter().for_each(|warning| self.ui.error(warning));
        self.has_recovered.set(self.has_recovered.get() || !recovered.done.is_empty());
        Ok(recovered.at_work)
    }

    /// Whether anything was put right: a registry may have been started again.
    pub(crate) fn has_recovered(&self) -> bool {
        self.has_recovered.get()
    }

    pub(crate) async fn connect(
        &self,
        address: &RegistryAddress,
        access: &cli::Access,
    ) -> anyhow::Result<Registry> {
        let variable = self.settings.docker_auth_config.as_ref();
        let credentials = credentials::find(&self.settings.docker_config, variable, address.host()).await?;
        let ui = self.ui.clone();
        let access = registry::Access {
            address: address.clone(),
            credentials,
            is_insecure: access.insecure || self.is_insecure_for_engine(address).await,
            certificates: Some(Path::new(CERTIFICATES).join(address.host())),
            concurrency: access.concurrency.into(),
            timeouts: registry::Timeouts::at(self.settings.pace),
            trace: Trace::new(move |line| ui.debug(|| line.to_owned())),
        };
        Ok(Registry::connect(&access).await?)
    }

    /// What the engine was told about registries without a verified certificate counts here too. Loopback needs no
    /// asking, and an engine that cannot be reached says nothing.
    async fn is_insecure_for_engine(&self, address: &RegistryAddress) -> bool {
        if address.is_loopback() || address.scheme.is_some() {
            return false;
        }
        match self.engine().await {
            Ok(engine) => engine.calls_insecure(address).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn address(
        &self,
        arguments: &[RegistryAddress],
        access: &cli::Access,
    ) -> anyhow::Result<RegistryAddress> {
        let configured = self.configured()?;
        let places = Places { arguments, flag: access.registry.as_ref(), configured: configured.as_ref() };
        if let Some(address) = choose::said(&places)? {
            return Ok(address);
        }
        let engine_said = match self.engine().await {
            Ok(engine) => {
                let candidates = self.on_engine(engine, access.container.as_deref()).await?;
                if let Some(address) = choose::only(&candidates, "registry containers on this engine")? {
                    self.ui.say(&format!("Using the registry at {address}, the only one on this engine"));
                    return Ok(address);
                }
                None
            }
            Err(error) if access.container.is_some() => return Err(error),
            Err(error) => Some(format!("{error:#}")),
        };
        let logins = choose::private_logins(self.settings.docker_config.private_registries());
        match choose::only(&logins, "logins to private registries in the Docker config")? {
            Some(address) => {
                self.ui.say(&format!(
                    "Using the registry at {address}, the only private login in the Docker config"
                ));
                Ok(address)
            }
            None => Err(choose::none(engine_said.as_deref()).into()),
        }
    }

    /// `plugins.registry.address` of the Docker config.
    pub(super) fn configured(&self) -> anyhow::Result<Option<RegistryAddress>> {
        let Some(text) = self.settings.docker_config.plugin_setting("address") else {
            return Ok(None);
        };
        let address = text.parse().with_context(|| {
            let file = self.settings.docker_config_directory.join("config.json");
            format!("`plugins.registry.address` in `{}`", file.display())
        })?;
        Ok(Some(address))
    }

    /// A registry that is stopped for a collection is a candidate too: without it another one would be the only one.
    async fn on_engine(&self, engine: &Engine, container: Option<&str>) -> anyhow::Result<Vec<Candidate>> {
        let at_work = self.put_right(engine).await?;
        let found = engine.registry_containers().await.context("look for registry containers")?;
        let is_found = |id: &str| found.iter().any(|found| found.id == id);
        if let Some((_, busy)) = at_work.into_iter().find(|(id, _)| !is_found(id)) {
            return Err(busy.refusal.into());
        }
        let candidates = found
            .into_iter()
            .filter(|found| container.is_none_or(|named| found.name == named || found.id.starts_with(named)));
        Ok(candidates
            .filter_map(|found| {
                let address = found.address?;
                Some(Candidate {
                    shown: format!("{address} (container `{}`, image {})", found.name, found.image),
                    address,
                })
            })
            .collect())
    }

    /// The container of the registry, for a command that needs it. What was picked and why is said.
    pub(crate) async fn place(&self, registry: &Registry, access: &cli::Access) -> anyhow::Result<Place> {
        let place = self.find(registry, access).await?;
        if let Place::Here(site) = &place {
            let container = &site.container;
            self.ui.say(&format!(
                "Registry container: `{}` of image {} ({})",
                container.name, container.image_name, container.picked_because
            ));
        }
        Ok(place)
    }

    pub(super) async fn find(&self, registry: &Registry, access: &cli::Access) -> anyhow::Result<Place> {
        let engine = self.engine().await?;
        match engine.find_registry(Some(registry.address()), access.container.as_deref()).await? {
            Found::Container(container) => {
                let container = *container;
                let store = engine.store_configuration(&container).await?;
                let published = engine.published_address(&container).await?;
                Ok(Place::Here(Box::new(Site { engine: engine.clone(), container, store, published })))
            }
            Found::None { why } => Ok(Place::Elsewhere(why)),
        }
    }
}

fn answer_kind(error: &anyhow::Error) -> Option<registry::Kind> {
    error.downcast_ref::<registry::Error>().map(registry::Error::kind)
}

pub(super) fn is_unreachable(error: &anyhow::Error) -> bool {
    matches!(answer_kind(error), Some(registry::Kind::Unreachable | registry::Kind::Transient))
}
