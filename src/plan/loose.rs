//! Manifests that no tag leads to, and which of them may go. HTTP does not show them: only the store's files do, and
//! only `prune` is about them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{Digest, Repository, RepositoryView, Snapshot, StoreView, StoredRepository, TagState};
use crate::policy::{Kept, Policy};

use super::graph;

/// What is to become of the manifests of a repository that no tag leads to.
#[derive(Debug, Default)]
pub(super) struct Loose {
    /// They go, unless something that stays needs them; and when each was pushed.
    pub(super) may_go: BTreeMap<Digest, Timestamp>,
    /// How many stay for themselves, by reason.
    pub(super) spared: BTreeMap<String, usize>,
}

impl Loose {
    pub(super) fn of(
        snapshot: &Snapshot,
        policy: &Policy,
        repository: &Repository,
        view: &RepositoryView,
        now: Timestamp,
    ) -> Self {
        let mut loose = Self::default();
        let stored =
            snapshot.store.as_ref().and_then(|store| Some((store, store.repositories.get(repository)?)));
        let Some((store, stored)) = stored.filter(|_| policy.covers_untagged(repository)) else {
            return loose;
        };
        let obstacle = obstacle(store, stored, repository, view);
        let attached = held_by_attachments(snapshot, policy, repository, view, now);
        for digest in graph::untagged(view) {
            let Some(pushed) = stored.revisions.get(digest) else { continue };
            let for_itself = || {
                // 2.x takes the layer along when a manifest of the same content is deleted.
                if stored.layers.contains(digest) {
                    return Some("a layer as well".to_owned());
                }
                let kept = policy.spares_untagged(repository, view, digest, *pushed, store.now);
                kept.as_ref().or_else(|| attached.get(digest)).map(Kept::summary)
            };
            match obstacle.clone().or_else(for_itself) {
                Some(why) => *loose.spared.entry(why).or_default() += 1,
                None => {
                    loose.may_go.insert(digest.clone(), *pushed);
                }
            }
        }
        loose
    }
}

/// The manifests of the store that were not read; `None` where the store was not seen.
pub(super) fn unread(
    snapshot: &Snapshot,
    repository: &Repository,
    view: &RepositoryView,
) -> Option<BTreeSet<Digest>> {
    let stored = snapshot.store.as_ref()?.repositories.get(repository)?;
    Some(stored.revisions.keys().filter(|digest| view.manifest(digest).is_none()).cloned().collect())
}

/// What a signature that stays whatever becomes of its subject is about: they stay together.
fn held_by_attachments(
    snapshot: &Snapshot,
    policy: &Policy,
    repository: &Repository,
    view: &RepositoryView,
    now: Timestamp,
) -> BTreeMap<Digest, Kept> {
    let mut held = BTreeMap::new();
    for (tag, state) in &view.tags {
        if let (Some(subject), TagState::At(digest)) = (tag.attachment_subject(), state)
            && let Some(kept) = policy.spares_orphan(&snapshot.registry, repository, view, tag, digest, now)
        {
            held.insert(subject, kept);
        }
    }
    held
}

/// Why nothing without a tag may go from a repository: what could not be read may need any of it.
fn obstacle(
    store: &StoreView,
    stored: &StoredRepository,
    repository: &Repository,
    view: &RepositoryView,
) -> Option<String> {
    let odd = || {
        let odd = store.odd.iter().find(|odd| odd.repository.as_ref() == Some(repository))?;
        Some(format!("`{}` in the store: {}", odd.path, odd.why))
    };
    let tag = || {
        let elsewhere = |tag: &_, digest: &Option<Digest>| match (view.tags.get(tag), digest) {
            (Some(TagState::At(at)), Some(digest)) => at != digest,
            _ => true,
        };
        let (tag, _) = stored.tags.iter().find(|(tag, stored)| elsewhere(tag, &stored.digest))?;
        Some(format!("tag `{tag}` is another in the store"))
    };
    let unread = || {
        let digest = stored.revisions.keys().find(|digest| view.manifest(digest).is_none())?;
        Some(format!("manifest {digest} was not read"))
    };
    let why = graph::ineligible(view).or_else(odd).or_else(tag).or_else(unread)?;
    Some(Kept::RepositoryUnreadable { why }.summary())
}
