//! When tags were pushed and, where that is not known, when their images were made: as much of it as decides anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Ordered, Repository, Snapshot, Tag};
use crate::plan::Request;
use crate::registry::Registry;
use crate::snapshot::{self, WantedFacts};

use super::Change;
use crate::commands::Session;
use crate::commands::session::Place;

impl Change {
    /// Only the store knows of pushes. Without it a tag that a rule gives up may still be too young to go, and its config
    /// says so; most rules have read it already.
    pub(super) async fn date(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
        snapshot: &mut Snapshot,
    ) -> anyhow::Result<()> {
        let Request::Prune(policy) = &self.request else { return Ok(()) };
        if let Place::Here(site) = place
            && snapshot.store.is_none()
            && (policy.removes_tags() || snapshot.has_absent_subjects())
        {
            match site.push_times().await {
                Ok(mut pushed) => {
                    for (repository, view) in snapshot.read_repositories_mut() {
                        view.pushed = pushed.remove(repository).unwrap_or_default();
                    }
                }
                Err(error) => session.ui.warn(&format!("when tags were pushed cannot be read: {error:#}.")),
            }
        }
        let undated: BTreeMap<Repository, BTreeSet<Tag>> = snapshot
            .read_repositories()
            .map(|(repository, view)| {
                let undated = policy.undated(&snapshot.registry, repository, view, session.settings.now);
                (repository.clone(), undated)
            })
            .filter(|(_, undated)| !undated.is_empty())
            .into_map();
        if undated.is_empty() {
            return Ok(());
        }
        let is_undated = |repository: &Repository, tag: &Tag| {
            undated.get(repository).is_some_and(|undated| undated.contains(tag))
        };
        let Snapshot { store, repositories, .. } = snapshot;
        let open = match (place, store) {
            (Place::Here(site), Some(view)) => Some((site.open_store().await?, &*view)),
            _ => None,
        };
        let store = open.as_ref().map(|(store, view)| (store, *view));
        let names_label = |label: &str| policy.names_label(label);
        let wanted = WantedFacts { of: &is_undated, labels: &names_label };
        snapshot::read_facts(Some(registry), store, repositories, &wanted, &session.ui).await;
        match open {
            Some((store, _)) => store.close().await,
            None => Ok(()),
        }
    }
}
