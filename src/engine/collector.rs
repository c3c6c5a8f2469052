//! The registry's collector in a one-off container of the same image on the same volumes.
//!
//! The containers are made before the registry is stopped: what can fail fails while it still serves. Their fixed
//! names are the lock (the engine gives a name once), their labels the journal: whoever finds them later knows which
//! registry was running. They are never removed with their volumes: those are the registry's.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HealthConfig, HostConfig,
    HostConfigLogConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::configuration::{Driver, StoreConfiguration};
use super::container::State;
use super::output::Output;
use super::owner::Owner;
use super::{Engine, RegistryContainer, status};
use crate::cancel::Cancel;
use crate::certificate::CollectorRun;
use crate::error::{Failure, Kind};

pub(super) const ROLE: &str = "io.github.docker-registry-prune.role";
pub(super) const COLLECTOR: &str = "collector";
pub(super) const REGISTRY: &str = "io.github.docker-registry-prune.registry";
pub(super) const WAS_RUNNING: &str = "io.github.docker-registry-prune.was-running";
/// Ends the names of journals of live collections.
pub(super) const LIVE: &str = "-live";
pub(super) const OWNER: &str = "io.github.docker-registry-prune.owner";

/// What the collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Says what it would delete.
    Dry,
    Real,
}

/// Errors only: 3.x logs every file it looks at by default, and the log of 2.4 to 2.6 runs into the output.
pub(super) const LOG_LEVEL: &str = "REGISTRY_LOG_LEVEL=error";

impl Mode {
    pub(super) fn arguments(self, configuration: &str) -> Vec<&str> {
        match self {
            Self::Dry => vec!["garbage-collect", "--dry-run", configuration],
            Self::Real => vec!["garbage-collect", configuration],
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Dry => "dry",
            Self::Real => "sweep",
        }
    }
}

/// Both one-off containers, created and not started.
#[derive(Debug)]
pub(super) struct Collectors {
    names: [String; 2],
}

impl Collectors {
    pub(super) fn name(&self, mode: Mode) -> &str {
        match mode {
            Mode::Dry => &self.names[0],
            Mode::Real => &self.names[1],
        }
    }

    pub(super) async fn create(
        engine: &Engine,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<Self> {
        let short = short(registry);
        let names = [Mode::Dry, Mode::Real].map(|mode| format!("registry-prune-{short}-{}", mode.suffix()));
        let collectors = Self { names };
        engine.create_collector(collectors.name(Mode::Dry), Mode::Dry, registry, store).await?;
        let rest = async {
            engine.create_collector(collectors.name(Mode::Real), Mode::Real, registry, store).await?;
            collectors.give_configuration(engine, registry).await
        };
        match rest.await {
            Ok(()) => Ok(collectors),
            Err(error) => {
                collectors.remove(engine).await?;
                Err(error)
            }
        }
    }

    /// A file that was copied into the registry's container, or edited there, is not part of its image.
    async fn give_configuration(&self, engine: &Engine, registry: &RegistryContainer) -> Result<()> {
        let path = registry.configuration_path()?;
        let theirs = engine.read_file(&registry.id, path).await?;
        let ours = engine.read_file(self.name(Mode::Dry), path).await?;
        if let Some(theirs) = theirs.filter(|theirs| ours.as_ref() != Some(theirs)) {
            for name in &self.names {
                engine.write_file(name, path, &theirs).await?;
            }
        }
        Ok(())
    }

    /// Ok: neither exists any more.
    pub(super) async fn remove(&self, engine: &Engine) -> Result<()> {
        for name in &self.names {
            engine.remove_collector(name).await?;
        }
        Ok(())
    }
}

/// The name of the container that tells, until the restart, that a running registry was swept. It is never started.
pub(super) fn live_journal(registry: &RegistryContainer) -> String {
    format!("registry-prune-{}{LIVE}", short(registry))
}

fn short(registry: &RegistryContainer) -> &str {
    registry.id.get(..12).unwrap_or(&registry.id)
}

impl Engine {
    pub(super) async fn create_live_journal(
        &self,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        self.create_collector(&live_journal(registry), Mode::Real, registry, store).await
    }

    async fn create_collector(
        &self,
        name: &str,
        mode: Mode,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
    ) -> Result<()> {
        let owner = Owner::this_process().map(|owner| owner.label());
        let body = body(mode, registry, store, owner.as_deref())?;
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        let doing = || format!("create the container `{name}` for the collection");
        match self.docker.create_container(Some(options), body).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(409) => {
                Err(Failure::refused(format!("another run is collecting: the container `{name}` exists"))
                    .hint(format!(
                        "wait for it; if no other run is alive, `docker rm -f {name}` removes what it left"
                    ))
                    .into())
            }
            Err(error) if status(&error).is_some() => Err(error).with_context(doing),
            // The answer was lost, perhaps after the effect.
            Err(error) => match self.inspect(name).await {
                Ok(Some(found)) if owner.is_some() && label(&found, OWNER) == owner.as_deref() => Ok(()),
                _ => Err(error).with_context(doing),
            },
        }
    }

    pub(super) async fn remove_collector(&self, name: &str) -> Result<()> {
        const TRIES: u32 = 20;
        let options = RemoveContainerOptions { force: true, v: false, ..Default::default() };
        for _ in 1..TRIES {
            match self.docker.remove_container(name, Some(options.clone())).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => return Ok(()),
                // Somebody else is removing it: when that is done it is gone.
                Err(error) if status(&error) == Some(409) => {
                    self.pace.pause(Duration::from_millis(250)).await;
                }
                Err(error) => match self.inspect(name).await {
                    Ok(None) => return Ok(()),
                    _ => return Err(error).with_context(|| format!("remove the container `{name}`")),
                },
            }
        }
        bail!("the container `{name}` is being removed and does not go")
    }

    /// Starts a collector, waits for its end and reads what it printed. Cancelled, it leaves the collector running:
    /// the window kills it with everything else it puts back.
    pub(super) async fn run_collector(&self, name: &str, cancel: &Cancel) -> Result<CollectorRun> {
        self.start_collector(name).await?;
        let exit_code = tokio::select! {
            () = cancel.cancelled() => {
                return Err(Failure::new(Kind::Interrupted, "interrupted while the collector was running").into());
            }
            code = self.wait_for_collector(name) => code?,
        };
        let mut run = self.collector_logs(name).await?;
        run.exit_code = exit_code;
        Ok(run)
    }

    /// Started exactly once: a lost answer is made up for by looking, since a collector may have ended already.
    async fn start_collector(&self, name: &str) -> Result<()> {
        const TRIES: u32 = 3;
        for remaining in (0..TRIES).rev() {
            let Err(error) = self.docker.start_container(name, None::<StartContainerOptions>).await else {
                return Ok(());
            };
            let state =
                self.inspect(name).await?.and_then(|found| found.state).and_then(|state| state.status);
            let was_started = state.is_some_and(|state| state != ContainerStateStatusEnum::CREATED);
            let is_final = remaining == 0 || status(&error).is_some();
            match was_started {
                true if status(&error).is_none() => return Ok(()),
                _ if is_final => return Err(error).with_context(|| format!("start the collector `{name}`")),
                _ => self.pace.pause(Duration::from_millis(500)).await,
            }
        }
        Ok(())
    }

    async fn wait_for_collector(&self, name: &str) -> Result<i64> {
        const MOST_FAILURES: u32 = 10;
        let mut failures = 0;
        loop {
            // The stream only ends the waiting; the code comes from inspecting, since a stream may break off.
            let mut waiting = std::pin::pin!(self.docker.wait_container(name, None::<WaitContainerOptions>));
            let ended = waiting.next().await;
            match self.inspect(name).await {
                Ok(None) => bail!("the collector `{name}` was removed by somebody else"),
                Ok(Some(found)) => {
                    let state = found.state.unwrap_or_default();
                    if state.running != Some(true) {
                        if state.oom_killed == Some(true) {
                            bail!("the collector `{name}` was killed for want of memory");
                        }
                        return state.exit_code.context("the collector has no exit code");
                    }
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    if failures == MOST_FAILURES {
                        return Err(error).context("wait for the collector");
                    }
                }
            }
            let broke =
                failures > 0 || !matches!(ended, Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })));
            self.pace.pause(Duration::from_millis(if broke { 1000 } else { 20 })).await;
        }
    }

    async fn collector_logs(&self, name: &str) -> Result<CollectorRun> {
        const MOST_FAILURES: u32 = 3;
        let mut failures = 0;
        loop {
            let options = LogsOptions { stdout: true, stderr: true, ..Default::default() };
            let mut run = CollectorRun::default();
            let mut output = Output::new(|line: &str| run.output.read_line(line));
            let mut logs = std::pin::pin!(self.docker.logs(name, Some(options)));
            let broken = loop {
                match logs.next().await {
                    None => break None,
                    Some(Ok(chunk)) => output.take_in(&chunk),
                    Some(Err(error)) => break Some(error),
                }
            };
            run.stderr = output.finish();
            let Some(error) = broken else {
                return Ok(run);
            };
            failures += 1;
            if failures == MOST_FAILURES {
                return Err(error).context("read what the collector printed");
            }
            self.pace.pause(Duration::from_secs(1)).await;
        }
    }
}

fn body(
    mode: Mode,
    registry: &RegistryContainer,
    store: &StoreConfiguration,
    owner: Option<&str>,
) -> Result<ContainerCreateBody> {
    let configuration = registry.configuration_path()?;
    // A store on disk needs no network; a bucket needs the one the registry has.
    let network = match &store.driver {
        Driver::Filesystem { .. } => "none".to_owned(),
        Driver::Other(_) => registry.network_mode.clone(),
    };
    let mut labels = HashMap::from([
        (ROLE.to_owned(), COLLECTOR.to_owned()),
        (REGISTRY.to_owned(), registry.id.clone()),
        (WAS_RUNNING.to_owned(), (registry.state == State::Running).to_string()),
    ]);
    labels.extend(owner.map(|owner| (OWNER.to_owned(), owner.to_owned())));
    let mut environment = registry.environment.as_engine_writes_it().to_vec();
    environment.push(LOG_LEVEL.to_owned());
    let host_config = HostConfig {
        volumes_from: Some(vec![registry.id.clone()]),
        extra_hosts: registry.confinement.extra_hosts.clone().filter(|_| network != "none"),
        network_mode: Some(network),
        // The engine's defaults may be another driver, or rotate away the beginning.
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "4g".to_owned()),
                ("max-file".to_owned(), "1".to_owned()),
            ])),
        }),
        auto_remove: Some(false),
        security_opt: registry.confinement.security_options.clone(),
        userns_mode: registry.confinement.user_namespace.clone(),
        group_add: registry.confinement.groups.clone(),
        ..Default::default()
    };
    Ok(ContainerCreateBody {
        image: Some(registry.image.clone()),
        entrypoint: Some(vec![registry.command.binary.clone()]),
        cmd: Some(mode.arguments(configuration).into_iter().map(ToOwned::to_owned).collect()),
        env: Some(environment),
        user: Some(registry.user.clone()),
        working_dir: Some(registry.working_dir.clone()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels),
        host_config: Some(host_config),
        ..Default::default()
    })
}

fn label<'a>(found: &'a ContainerInspectResponse, name: &str) -> Option<&'a str> {
    found.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
}
