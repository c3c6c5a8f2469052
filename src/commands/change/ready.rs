//! Whether the registry's container is fit for a collection, asked before anything is changed, and whether the registry
//! is there again afterwards.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::engine::{Certainty, Manner};
use crate::error::Failure;
use crate::model::{Holdings, RegistryAddress, Repository, Snapshot};
use crate::registry::{PushSupport, Registry};
use crate::site::Site;

use super::{Change, Collects};
use crate::commands::Session;
use crate::commands::session::{Place, is_unreachable};

impl Change {
    /// The container, found before anything is changed. A run that collects nothing can do without.
    pub(super) async fn place(&self, session: &Session, registry: &Registry) -> anyhow::Result<Place> {
        let place = session.unless_cancelled(session.place(registry, &self.access)).await;
        if self.collects == Collects::No {
            let place = place.unwrap_or_else(|error| Place::Elsewhere(format!("{error:#}")));
            if let Place::Here(site) = &place {
                refuse_busy(session, site).await?;
            }
            return Ok(place);
        }
        let place = place?;
        if let Place::Here(site) = &place
            && site.container.certainty != Certainty::Likely
        {
            self.fit(session, site).await?;
        }
        Ok(place)
    }

    /// Whether the container may be stopped at all.
    async fn fit(&self, session: &Session, site: &Site) -> anyhow::Result<()> {
        refuse_busy(session, site).await?;
        if let Some(refusal) = site.container.refusal() {
            return Err(refusal.hint("`--no-gc` deletes without touching the container").into());
        }
        if let Some(upstream) = &site.store.proxies {
            return Err(Failure::refused(format!(
                "the registry is a pull-through proxy of {upstream}: it deletes by its own schedule"
            ))
            .hint("set `proxy.ttl` in its configuration to keep what it caches for a shorter time")
            .into());
        }
        Ok(())
    }

    /// The place, once the snapshot shows that it is the registry that was read. A container that a person named must
    /// be it; one that only looked like it is left alone if it is not.
    pub(super) async fn certain(
        &self,
        session: &Session,
        place: Place,
        snapshot: &Snapshot,
    ) -> anyhow::Result<Place> {
        let Place::Here(site) = &place else {
            return Ok(place);
        };
        let is_likely = site.container.certainty == Certainty::Likely;
        match site.check_identity(snapshot).await {
            Ok(()) if is_likely && self.collects == Collects::Yes => {
                self.fit(session, site).await?;
                Ok(place)
            }
            Ok(()) => Ok(place),
            Err(error) if is_likely || self.collects == Collects::No => {
                Ok(Place::Elsewhere(format!("{error:#}")))
            }
            Err(error) => Err(error),
        }
    }

    /// What would be refused after the deletions is refused before them.
    pub(super) async fn refuse_unfit(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        kept: &Holdings,
    ) -> anyhow::Result<()> {
        let (Place::Here(site), Collects::Yes) = (place, self.collects) else { return Ok(()) };
        let Site { engine, container, store, .. } = &**site;
        let manner = self.manner();
        session.unless_cancelled(engine.refuse_unfit(container, store, manner)).await?;
        engine.await_quiet(container, store, manner, &self.quiet(session), &session.cancel).await?;
        if manner == Manner::ReadOnly {
            let support = session
                .unless_cancelled(async { Ok(registry.push_support(&to_ask_about(kept)?).await?) })
                .await?;
            if let PushSupport::Denied(why) = support {
                return Err(not_shown(&format!("this account may not push: {why}")).into());
            }
        }
        Ok(())
    }

    /// Whether the stand-in refuses pushes: one is begun, with the account that does everything else. `false`: it does
    /// not answer yet.
    pub(super) async fn refuses_pushes(
        &self,
        session: &Session,
        address: &RegistryAddress,
        kept: &Holdings,
    ) -> anyhow::Result<bool> {
        let asked = async {
            let registry = session.connect(address, &self.access).await?;
            anyhow::Ok(registry.push_support(&to_ask_about(kept)?).await?)
        };
        let why = match asked.await {
            Ok(PushSupport::ReadOnly) => return Ok(true),
            Ok(PushSupport::Accepted) => "it accepted a push".to_owned(),
            Ok(PushSupport::Denied(why)) => format!("this account may not push: {why}"),
            Err(error) if is_unreachable(&error) => return Ok(false),
            Err(error) => format!("{error:#}"),
        };
        Err(not_shown(&why).into())
    }

    /// Waits until the registry answers again. A port that the engine chose is another one after each start.
    pub(super) async fn answers(
        &self,
        session: &Session,
        site: &Site,
        address: &RegistryAddress,
        within: Duration,
    ) -> anyhow::Result<Registry> {
        let asked = Instant::now();
        loop {
            let moved = site.moved_to(address).await;
            match session.connect(moved.as_ref().unwrap_or(address), &self.access).await {
                Ok(registry) => {
                    if let Some(moved) = moved {
                        session.ui.warn(&format!(
                            "the engine gave the registry another port: it was at {address} and is now at {moved}. \
                             Publish a fixed port (`-p 5000:5000`) to keep its address."
                        ));
                    }
                    return Ok(registry);
                }
                Err(error) if asked.elapsed() > session.settings.pace.of(within) => return Err(error),
                Err(_) => session.settings.pace.pause(Duration::from_millis(50)).await,
            }
        }
    }
}

/// Deletions during a collection can cost what is kept, so nobody else changes anything meanwhile.
pub(super) async fn refuse_busy(session: &Session, site: &Site) -> anyhow::Result<()> {
    match session.put_right(&site.engine).await?.remove(&site.container.id) {
        Some(busy) => Err(busy.refusal.into()),
        None => Ok(()),
    }
}

/// A repository in which the account has rights; without any, a name that nobody uses.
fn to_ask_about(kept: &Holdings) -> anyhow::Result<Repository> {
    if let Some(repository) = kept.manifests.keys().next() {
        return Ok(repository.clone());
    }
    let random = RandomState::new().hash_one("repository");
    let name = format!("docker-registry-prune-asks-{random:016x}");
    name.parse().map_err(|error| anyhow!("{error}"))
}

fn not_shown(why: &str) -> Failure {
    Failure::refused(format!("the stand-in cannot be shown to be read-only: {why}"))
        .hint("`--gc-mode offline` needs no such proof: the registry is stopped meanwhile")
}
