//! How many bytes a plan gives back: each blob is counted once, and only if nothing that stays needs it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ByteSize, Digest, Manifest, ManifestState, Snapshot};

use super::{Going, RepositoryPlan};

/// Fills in what each repository's removals give back by themselves.
pub(super) fn count(snapshot: &Snapshot, repositories: &mut [RepositoryPlan]) {
    let sizes: Vec<ByteSize> = {
        let going = Going::new(repositories);
        let held = held(snapshot, &going);
        repositories
            .iter()
            .map(|plan| {
                let view = snapshot.view(&plan.repository);
                let manifests = plan.manifests.iter().filter_map(|removal| view?.manifest(&removal.digest));
                unheld(manifests, &held).values().copied().sum()
            })
            .collect()
    };
    for (plan, size) in repositories.iter_mut().zip(sizes) {
        plan.freed = size;
    }
}

/// What the whole plan gives back. It can be less than the sum over repositories: two may give up the same blob.
pub(super) fn freed(snapshot: &Snapshot, repositories: &[RepositoryPlan]) -> ByteSize {
    let going = Going::new(repositories);
    let held = held(snapshot, &going);
    let manifests = repositories.iter().flat_map(|plan| {
        let view = snapshot.view(&plan.repository);
        plan.manifests.iter().filter_map(move |removal| view?.manifest(&removal.digest))
    });
    unheld(manifests, &held).values().copied().sum()
}

fn unheld<'a>(
    manifests: impl Iterator<Item = &'a Manifest>,
    held: &BTreeSet<&Digest>,
) -> BTreeMap<&'a Digest, ByteSize> {
    let mut unheld = BTreeMap::new();
    for manifest in manifests {
        let blobs = manifest.blobs().filter(|blob| !blob.is_foreign).map(|blob| (&blob.digest, blob.size));
        unheld.extend(
            blobs.chain([(&manifest.digest, manifest.size())]).filter(|(digest, _)| !held.contains(digest)),
        );
    }
    unheld
}

fn held<'a>(snapshot: &'a Snapshot, going: &Going) -> BTreeSet<&'a Digest> {
    let mut held = BTreeSet::new();
    for (repository, view) in snapshot.read_repositories() {
        for (digest, state) in &view.manifests {
            if let ManifestState::Read(manifest) = state
                && !going.manifest(repository, digest)
            {
                held.insert(digest);
                held.extend(manifest.blobs().map(|blob| &blob.digest));
            }
        }
    }
    held
}
