//! How much of the registry each request needs to know.

use crate::model::{Repository, Snapshot};
use crate::plan::Request;
use crate::reference::Target;
use crate::registry::Registry;
use crate::snapshot::{Scope, Wanted, WantedFacts};

use super::{Change, Reach};
use crate::commands::Session;
use crate::commands::session::Place;

impl Change {
    pub(super) async fn read(
        &self,
        session: &Session,
        registry: &Registry,
        place: &Place,
    ) -> anyhow::Result<Snapshot> {
        match &self.request {
            Request::Prune(policy) => {
                let is_wanted = |repository: &Repository| policy.covers_repository(repository);
                let scope = match (&self.reach, policy.literal_repositories()) {
                    (Reach::Patterns, Some(names)) => Scope::Named(names),
                    (Reach::Patterns, None) => Scope::Matching(&is_wanted),
                    _ => Scope::Whole,
                };
                let needs_facts = |repository: &Repository, tag: &_| policy.needs_facts(repository, tag);
                let names_label = |label: &str| policy.names_label(label);
                let may_be_orphan = |repository: &Repository, tag: &_| policy.may_be_orphan(repository, tag);
                let wanted = Wanted {
                    facts: WantedFacts { of: &needs_facts, labels: &names_label },
                    referrers: &is_wanted,
                    raw: true,
                    subjects: &may_be_orphan,
                    ..Wanted::within(scope)
                };
                session.read(registry, place, self.source, &wanted).await
            }
            Request::Remove(references) => {
                let digests = references.iter().filter_map(|reference| match &reference.target {
                    Target::Digest(digest) => Some((reference.repository.clone(), digest.clone())),
                    Target::Tag(_) | Target::WholeRepository => None,
                });
                let scope = match &self.reach {
                    Reach::Named(names) => Scope::Named(names.clone()),
                    _ => Scope::Whole,
                };
                let is_named = |repository: &Repository| {
                    references.iter().any(|reference| reference.repository == *repository)
                };
                let wanted = Wanted {
                    digests: digests.collect(),
                    referrers: &is_named,
                    raw: true,
                    ..Wanted::within(scope)
                };
                session.read(registry, place, self.source, &wanted).await
            }
            Request::Collect => {
                session.read(registry, place, self.source, &Wanted::within(Scope::Whole)).await
            }
        }
    }
}
