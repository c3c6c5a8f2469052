//! The bytes of what a plan takes away. They are saved before anything is deleted, so they have to be at hand then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Digest, MediaType, Repository, Snapshot};
use crate::plan::{Plan, RepositoryPlan};
use crate::policy::{Removed as Why, Verdict};

/// Contents by their digests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents(BTreeMap<Digest, Arc<[u8]>>);

/// A manifest that goes or loses a tag.
pub(super) struct Affected<'a> {
    pub(super) digest: &'a Digest,
    pub(super) media_type: &'a MediaType,
    pub(super) stays: bool,
}

impl Contents {
    /// What `plan` takes away, as far as `snapshot` holds it.
    pub(crate) fn of(plan: &Plan, snapshot: &Snapshot) -> Self {
        let held = affected(plan).filter_map(|(repository, digest)| {
            let raw = snapshot.view(repository)?.manifest(digest)?.raw.as_ref()?;
            Some((digest.clone(), Arc::clone(raw)))
        });
        Self(held.collect())
    }

    /// What `plan` takes away and is not here.
    pub(crate) fn missing<'a>(&self, plan: &'a Plan) -> Vec<(&'a Repository, &'a Digest)> {
        affected(plan).filter(|(_, digest)| !self.0.contains_key(digest)).collect()
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<&Arc<[u8]>> {
        self.0.get(digest)
    }
}

/// Whoever adds a content has verified it.
impl Extend<(Digest, Arc<[u8]>)> for Contents {
    fn extend<T: IntoIterator<Item = (Digest, Arc<[u8]>)>>(&mut self, contents: T) {
        self.0.extend(contents);
    }
}

fn affected(plan: &Plan) -> impl Iterator<Item = (&Repository, &Digest)> {
    plan.repositories
        .iter()
        .flat_map(|plan| affected_in(plan).into_iter().map(|affected| (&plan.repository, affected.digest)))
}

/// The placeholders of an interrupted run are nobody's image.
pub(super) fn affected_in(plan: &RepositoryPlan) -> Vec<Affected<'_>> {
    let placeholders: BTreeSet<&Digest> = plan
        .removed_tags()
        .filter(|decision| is_placeholder(&decision.verdict))
        .filter_map(|decision| decision.digest.as_ref())
        .collect();
    let deleted = plan.manifests.iter().map(|removal| (&removal.digest, &removal.media_type, false));
    let untagged = plan.untagged.iter().map(|manifest| (&manifest.digest, &manifest.media_type, true));
    deleted
        .chain(untagged)
        .filter(|(digest, ..)| !placeholders.contains(digest))
        .map(|(digest, media_type, stays)| Affected { digest, media_type, stays })
        .collect()
}

pub(super) fn is_placeholder(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Remove(Why::Placeholder))
}
