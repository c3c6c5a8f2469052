//! How many bytes a collection gives back after a plan: each blob is counted once, and only if nothing that stays needs it.
//! Where the store was read these are the sizes of its files, and what is garbage already counts too.

use std::collections::BTreeSet;

use crate::age::Age;
use crate::model::{
    ByteSize, Digest, Manifest, ManifestKind, ManifestState, RepositoryState, Snapshot, StoreView,
};

use super::{Going, RepositoryPlan};

/// What a collection after the plan gives back: content, without the folders that hold it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// What only the plan's own deletions leave without a holder.
    pub(crate) deletions: ByteSize,
    /// What nothing needed before; counted only where all of the store is known.
    pub(crate) garbage: ByteSize,
    /// Of uploads that nobody goes on with.
    pub(crate) uploads: ByteSize,
    /// Whether everything that holds a blob is known; else it is the most that can come back of what the plan deletes.
    pub(crate) is_exact: bool,
    /// What there is to collect if nothing is deleted; `None` where that is not known.
    pub(crate) left: Option<Left>,
}

/// What a collection takes whatever is deleted, and the registry is worth stopping for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) blobs: usize,
    pub(crate) repositories: usize,
    pub(crate) uploads: usize,
}

impl Left {
    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Estimate {
    /// Of blobs, which a collection takes whoever starts it.
    pub(crate) fn blobs(self) -> ByteSize {
        ByteSize(self.deletions.0 + self.garbage.0)
    }

    pub(crate) fn total(self) -> ByteSize {
        ByteSize(self.blobs().0 + self.uploads.0)
    }
}

/// What the whole plan gives back, and what each repository's removals do by themselves: the sum of those can be more,
/// for two may give up the same blob.
pub(super) fn count(
    snapshot: &Snapshot,
    repositories: &[RepositoryPlan],
    going: &Going<'_>,
) -> (Estimate, Vec<ByteSize>) {
    let held = held(snapshot, going);
    let freed = repositories.iter().map(|plan| unheld(snapshot, [plan], &held).1).collect();
    let (unheld, deletions) = unheld(snapshot, repositories, &held);
    let mut estimate = Estimate { deletions, ..Estimate::default() };
    if let Some(store) = snapshot.store.as_ref().filter(|store| is_explained(snapshot, store)) {
        let is_garbage = |digest: &Digest| !held.contains(digest) && !unheld.contains(digest);
        let garbage = || store.blobs.iter().filter(|(digest, _)| is_garbage(digest));
        estimate.garbage = garbage().map(|(_, file)| file.size).sum();
        estimate.is_exact = true;
        estimate.left = is_clear(store).then(|| Left { blobs: garbage().count(), ..Left::default() });
    }
    (estimate, freed)
}

/// Whether each repository without manifests shows that it is empty: one with tags that are nowhere does not.
fn is_clear(store: &StoreView) -> bool {
    store.repositories.values().all(|stored| !stored.revisions.is_empty() || stored.tags.is_empty())
}

/// Counts what a collection tidies up as well.
pub(super) fn count_uploads(estimate: &mut Estimate, store: &StoreView, older_than: Age) {
    let stale_before = older_than.before(store.now);
    let uploads = store.repositories.values().flat_map(|repository| repository.uploads.values());
    let stale = || uploads.clone().filter(|upload| upload.touched < stale_before);
    estimate.uploads = stale().map(|upload| upload.size).sum();
    if let Some(left) = &mut estimate.left {
        left.uploads = stale().count();
        left.repositories =
            store.repositories.values().filter(|repository| repository.is_empty(stale_before)).count();
    }
}

/// Whether nothing in the store can hold a blob unseen. What Docker's first manifest format refers to is not read.
fn is_explained(snapshot: &Snapshot, store: &StoreView) -> bool {
    let is_read = |state: &ManifestState| matches!(state, ManifestState::Read(manifest) if manifest.kind != ManifestKind::Schema1);
    let all_read = store.repositories.iter().all(|(repository, stored)| {
        snapshot.view(repository).is_some_and(|view| {
            stored.revisions.keys().all(|digest| view.manifests.get(digest).is_some_and(is_read))
        })
    });
    let none_unread = snapshot.repositories.values().all(|state| matches!(state, RepositoryState::Read(_)));
    snapshot.is_whole && store.odd.is_empty() && all_read && none_unread
}

/// What the removals of `plans` leave without a holder, and its size.
fn unheld<'a>(
    snapshot: &'a Snapshot,
    plans: impl IntoIterator<Item = &'a RepositoryPlan>,
    held: &BTreeSet<&Digest>,
) -> (BTreeSet<&'a Digest>, ByteSize) {
    let mut unheld = BTreeSet::new();
    let mut total = ByteSize(0);
    for plan in plans {
        let view = snapshot.view(&plan.repository);
        for manifest in plan.manifests.iter().filter_map(|removal| view?.manifest(&removal.digest)) {
            let sizes = match &snapshot.store {
                None => said(manifest),
                Some(store) => on_file(manifest, store),
            };
            let sizes = sizes.into_iter().filter(|(digest, _)| !held.contains(digest));
            total += sizes.filter(|(digest, _)| unheld.insert(*digest)).map(|(_, size)| size).sum();
        }
    }
    (unheld, total)
}

/// A manifest and what it names, by the sizes that it says.
fn said(manifest: &Manifest) -> Vec<(&Digest, ByteSize)> {
    let blobs = manifest.blobs().filter(|blob| !blob.is_foreign).map(|blob| (&blob.digest, blob.size));
    blobs.chain([(&manifest.digest, manifest.size)]).collect()
}

/// The same by the sizes of the files; what has no file is not there.
fn on_file<'a>(manifest: &'a Manifest, store: &StoreView) -> Vec<(&'a Digest, ByteSize)> {
    let digests = named(manifest).chain([&manifest.digest]);
    digests.filter_map(|digest| Some((digest, store.blobs.get(digest)?.size))).collect()
}

/// What a collector marks: every manifest that does not go, tagged or not, and whatever it names.
fn held<'a>(snapshot: &'a Snapshot, going: &Going) -> BTreeSet<&'a Digest> {
    let mut held = BTreeSet::new();
    for (repository, view) in snapshot.read_repositories() {
        for (digest, manifest) in
            view.read_manifests().filter(|(digest, _)| !going.manifest(repository, digest))
        {
            held.insert(digest);
            held.extend(named(manifest));
        }
    }
    held
}

fn named(manifest: &Manifest) -> impl Iterator<Item = &Digest> {
    manifest.config.iter().chain(&manifest.layers).chain(&manifest.children).map(|named| &named.digest)
}
