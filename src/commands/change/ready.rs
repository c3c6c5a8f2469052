//! Whether the registry's container is fit for a collection, asked before anything is changed, and whether the registry
//! is there again afterwards.

use std::time::{Duration, Instant};

use crate::engine::Certainty;
use crate::error::Failure;
use crate::model::{RegistryAddress, Snapshot};
use crate::registry::Registry;
use crate::site::Site;

use super::{Change, Collects};
use crate::commands::Session;
use crate::commands::session::Place;

impl Change {
    /// The container, found before anything is changed. A run that collects nothing can do without.
    pub(super) async fn place(&self, session: &Session, registry: &Registry) -> anyhow::Result<Place> {
        let place = session.unless_cancelled(session.place(registry, &self.access)).await;
        if self.collects == Collects::No {
            return Ok(place.unwrap_or_else(|error| Place::Elsewhere(format!("{error:#}"))));
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
        if let Some(busy) = session.put_right(&site.engine).await?.remove(&site.container.id) {
            return Err(busy.refusal.into());
        }
        if site.store.cache.as_deref() == Some("redis") {
            return Err(Failure::refused(format!(
                "the registry `{}` remembers blobs in redis, which outlives its restart: pushes after a collection would be damaged",
                site.container.name
            ))
            .hint("`--no-gc` deletes only")
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
    pub(super) async fn refuse_unfit(&self, session: &Session, place: &Place) -> anyhow::Result<()> {
        match (place, self.collects) {
            (Place::Here(site), Collects::Yes) => {
                let Site { engine, container, store, .. } = &**site;
                session.unless_cancelled(engine.refuse_unfit(container, store, self.manner())).await
            }
            _ => Ok(()),
        }
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
