//! What nothing that is in use needs, by kind. What several kinds need is counted for the first of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{
    Descriptor, Digest, ManifestKind, ManifestState, Repository, Snapshot, StoreView, StoredRepository,
    StoredUpload,
};

use super::Part;
use super::graph::Graph;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Signatures and the like whose subject is nowhere.
    OrphanedAttachments,
    /// Manifests that nothing leads to, and what only they need.
    UntaggedManifests,
    /// Blobs that no manifest names.
    UnreferencedBlobs,
    UnfinishedUploads,
    /// Folders and links without a manifest, a tag or a young upload.
    EmptyRepositories,
}

/// All of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Garbage {
    pub(crate) total: usize,
    /// With what is in use as well; of uploads with the young ones.
    pub(crate) size: Part,
    /// What neither what is in use nor another kind needs.
    pub(crate) only: Part,
    /// What of that would come back; `None` where something was not read that may need it.
    pub(crate) reclaimable: Option<Part>,
}

/// `live` is all that tags lead to. Of what only the store shows, nothing is known without it.
pub(super) fn find<'a>(
    snapshot: &'a Snapshot,
    graph: &mut Graph<'a>,
    live: BTreeSet<usize>,
    stale_before: Timestamp,
) -> BTreeMap<Kind, Option<Garbage>> {
    let is_certain = is_certain(snapshot);
    let mut counted = live;
    let orphans = orphans(snapshot, graph, &counted);
    let orphans = sweep(graph, &mut counted, &orphans, is_certain);
    let untagged: Vec<usize> = graph
        .repositories
        .values()
        .flat_map(|nodes| nodes.manifests.values().copied())
        .filter(|node| !counted.contains(node))
        .collect();
    let untagged = sweep(graph, &mut counted, &untagged, is_certain);
    let unreferenced = graph.add_unreferenced(snapshot);
    let unreferenced = sweep(graph, &mut counted, &unreferenced, is_certain);
    let store = snapshot.store.as_ref();
    BTreeMap::from([
        (Kind::OrphanedAttachments, Some(orphans)),
        (Kind::UntaggedManifests, store.map(|_| untagged)),
        (Kind::UnreferencedBlobs, store.map(|_| unreferenced)),
        (Kind::UnfinishedUploads, store.map(|store| uploads(store, stale_before))),
        (Kind::EmptyRepositories, store.map(|store| empty_repositories(snapshot, store, stale_before))),
    ])
}

/// Uploads that may go on.
pub(super) fn young_uploads(snapshot: &Snapshot, stale_before: Timestamp) -> Part {
    let uploads = snapshot.store.iter().flat_map(each_upload);
    uploads.filter(|upload| upload.touched >= stale_before).map(part).sum()
}

/// Whether all is known that may need something: what was not read, what is odd, and what is in Docker's first manifest
/// format may need anything.
pub(super) fn is_certain(snapshot: &Snapshot) -> bool {
    let mut manifests = snapshot.read_repositories().flat_map(|(_, view)| view.read_manifests());
    let is_read = |name: &Repository, digest: &Digest| {
        snapshot.view(name).is_some_and(|view| view.manifests.contains_key(digest))
    };
    // A link to nothing needs nothing.
    let are_read = |store: &StoreView| {
        store.repositories.iter().all(|(name, stored)| {
            let mut there = stored.revisions.keys().filter(|digest| store.blobs.contains_key(*digest));
            there.all(|digest| is_read(name, digest))
        })
    };
    let mut odd = snapshot.store.iter().flat_map(|store| &store.odd);
    snapshot.is_known()
        && manifests.all(|(_, manifest)| manifest.kind != ManifestKind::Schema1)
        && snapshot.store.iter().all(are_read)
        && odd.all(|odd| odd.repository.is_none())
}

/// The manifests of orphaned attachments. One without a tag that says itself what it is about is among them if its
/// repository does not have that.
fn orphans(snapshot: &Snapshot, graph: &Graph, live: &BTreeSet<usize>) -> Vec<usize> {
    let mut orphans = BTreeSet::new();
    for (repository, view) in snapshot.read_repositories() {
        let nodes = &graph.repositories[repository];
        orphans.extend(nodes.orphans.values().copied());
        for (digest, manifest) in view.read_manifests() {
            let is_alone = |subject: &Descriptor| !nodes.manifests.contains_key(&subject.digest);
            let node = nodes.manifests[digest];
            if manifest.subject.as_deref().is_some_and(is_alone) && !live.contains(&node) {
                orphans.insert(node);
            }
        }
    }
    orphans.into_iter().collect()
}

/// Counts all that `roots` lead to, and what of it was not counted before.
fn sweep(graph: &Graph, counted: &mut BTreeSet<usize>, roots: &[usize], is_certain: bool) -> Garbage {
    let mut seen = BTreeSet::new();
    let mut ahead = roots.to_vec();
    let mut garbage = Garbage { total: roots.len(), ..Garbage::default() };
    while let Some(node) = ahead.pop() {
        if !seen.insert(node) {
            continue;
        }
        if let Some(place) = graph.content_at[node] {
            let size = graph.contents[place].size;
            garbage.size += size;
            if !counted.contains(&node) {
                garbage.only += size;
            }
        }
        ahead.extend(&graph.edges[node]);
    }
    counted.extend(seen);
    garbage.reclaimable = is_certain.then_some(garbage.only);
    garbage
}

fn each_upload(store: &StoreView) -> impl Iterator<Item = &StoredUpload> {
    store.repositories.values().flat_map(|repository| repository.uploads.values())
}

fn part(upload: &StoredUpload) -> Part {
    Part { bytes: upload.size, on_disk: upload.on_disk }
}

fn uploads(store: &StoreView, stale_before: Timestamp) -> Garbage {
    let only = each_upload(store).filter(|upload| upload.touched < stale_before).map(part).sum();
    Garbage {
        total: each_upload(store).count(),
        size: each_upload(store).map(part).sum(),
        only,
        reclaimable: Some(only),
    }
}

fn empty_repositories(snapshot: &Snapshot, store: &StoreView, stale_before: Timestamp) -> Garbage {
    let is_odd = |name: &Repository| store.odd.iter().any(|odd| odd.repository.as_ref() == Some(name));
    let is_empty = |(name, stored): &(&Repository, &StoredRepository)| {
        let is_read_empty = snapshot
            .view(name)
            .is_none_or(|view| view.tags.is_empty() && view.manifests.values().all(is_absent));
        stored.is_empty(stale_before) && is_read_empty && !is_odd(name)
    };
    let empty: Vec<_> = store.repositories.iter().filter(is_empty).collect();
    // Folders and links are no content: they weigh what they take.
    let on_disk = empty.iter().map(|(_, stored)| stored.on_disk).sum();
    let only = Part { bytes: on_disk, on_disk };
    Garbage { total: empty.len(), size: only, only, reclaimable: Some(only) }
}

fn is_absent(state: &ManifestState) -> bool {
    matches!(state, ManifestState::Absent)
}
