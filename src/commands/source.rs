//! Where it is read what a registry holds: in its store, where its container can be reached, or from itself.

use crate::cli::{Access, Source};
use crate::engine::Effort;
use crate::error::Failure;
use crate::model::{Odd, Snapshot, StoreView};
use crate::registry::Registry;
use crate::site::Site;
use crate::snapshot::{self, Wanted};

use super::Session;
use super::session::Place;

impl Session {
    pub(crate) async fn read(
        &self,
        registry: &Registry,
        place: &Place,
        source: Source,
        wanted: &Wanted<'_>,
    ) -> anyhow::Result<Snapshot> {
        let why_not = match (source, readable(place)) {
            (Source::Api, _) => None,
            (Source::Store, Ok(site)) => {
                return self.read_store(registry, site, wanted, Effort::Whatever).await;
            }
            (Source::Auto, Ok(site)) => match self.read_store(registry, site, wanted, Effort::Spared).await {
                Err(error) if !self.cancel.is_cancelled() => Some(format!("{error:#}")),
                read => return read,
            },
            (Source::Auto, Err(why)) => Some(why),
            (Source::Store, Err(why)) => {
                let address = registry.address();
                return Err(Failure::refused(format!(
                    "the store of the registry at {address} cannot be read: {why}"
                ))
                .hint(
                    "`--source auto` reads it by its API then; `--container` names the registry's container",
                )
                .into());
            }
        };
        if let Some(why) = why_not {
            self.ui.debug(|| format!("reading by the API: {why}"));
        }
        self.unless_cancelled(snapshot::take(registry, wanted, &self.ui)).await
    }

    /// The container, for a command that only reads: that there is none, or none to be sure of, makes it slower.
    pub(crate) async fn place_to_read(
        &self,
        registry: &Registry,
        access: &Access,
        source: Source,
    ) -> anyhow::Result<Place> {
        if source == Source::Api {
            return Ok(Place::Elsewhere("the API is to be asked".to_owned()));
        }
        // An engine that has not answered by now is not waited for.
        if source == Source::Auto && !self.has_engine() {
            return Ok(Place::Elsewhere("the engine does not answer".to_owned()));
        }
        match self.unless_cancelled(self.find(registry, access)).await {
            Err(error) if source == Source::Auto && !self.cancel.is_cancelled() => {
                Ok(Place::Elsewhere(format!("{error:#}")))
            }
            found => found,
        }
    }

    async fn read_store(
        &self,
        registry: &Registry,
        site: &Site,
        wanted: &Wanted<'_>,
        effort: Effort,
    ) -> anyhow::Result<Snapshot> {
        let store = site.open_store().await?;
        let read = async {
            let progress = self.ui.spinner("Reading the store");
            let view = store.read(wanted.scope.names(), wanted.extent, effort).await?;
            site.check_store(registry, &view).await?;
            drop(progress);
            self.report_odd(&view);
            let address = registry.address();
            snapshot::from_store((&store, view), Some(registry), address, wanted, &self.ui).await
        };
        let read = self.unless_cancelled(read).await;
        store.close().await?;
        read
    }
}

impl Session {
    /// What is odd among the files hides nothing from the registry's own word, and a person should know of it.
    pub(super) fn report_odd(&self, view: &StoreView) {
        const MOST: usize = 3;
        for Odd { path, why, .. } in view.odd.iter().take(MOST) {
            self.ui.warn(&format!("left alone in the store: `{path}`: {why}."));
        }
        if view.odd.len() > MOST {
            self.ui.warn(&format!("left alone in the store: {} more of the kind.", view.odd.len() - MOST));
        }
    }
}

/// The site whose store shows what the registry shows, or why there is none.
fn readable(place: &Place) -> Result<&Site, String> {
    match place {
        Place::Elsewhere(why) => Err(why.clone()),
        Place::Here(site) => match (&site.store.proxies, site.root()) {
            // Its lists are those of its upstream.
            (Some(upstream), _) => Err(format!("the registry is a pull-through proxy of {upstream}")),
            (None, None) => Err("the registry does not keep its store in files".to_owned()),
            (None, Some(_)) => Ok(site),
        },
    }
}
