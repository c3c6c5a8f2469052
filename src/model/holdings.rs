//! What a registry must hold for everything kept to be whole: the measure of every check after a deletion.

use std::collections::{BTreeMap, BTreeSet};

use super::{ByteSize, Digest, Repository, Snapshot, Tag, TagState};

/// Tags, manifests and blobs, per repository. Layers that live outside the registry are not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings {
    pub(crate) tags: BTreeMap<Repository, BTreeMap<Tag, Digest>>,
    pub(crate) manifests: BTreeMap<Repository, BTreeSet<Digest>>,
    pub(crate) blobs: BTreeMap<Repository, BTreeMap<Digest, ByteSize>>,
}

impl Holdings {
    /// Everything that was read, but for the tags and manifests that `goes_tag` and `goes` name.
    pub(crate) fn without(
        snapshot: &Snapshot,
        goes_tag: impl Fn(&Repository, &Tag) -> bool,
        goes: impl Fn(&Repository, &Digest) -> bool,
    ) -> Self {
        let mut holdings = Self::default();
        for (repository, view) in snapshot.read_repositories() {
            let tags: BTreeMap<_, _> = view
                .tags
                .iter()
                .filter(|(tag, _)| !goes_tag(repository, tag))
                .filter_map(|(tag, state)| match state {
                    TagState::At(digest) => Some((tag.clone(), digest.clone())),
                    TagState::Dangling | TagState::Unreadable(_) => None,
                })
                .collect();
            let stays = || view.read_manifests().filter(|(digest, _)| !goes(repository, digest));
            let held = stays().flat_map(|(_, manifest)| manifest.blobs()).filter(|blob| !blob.is_foreign);
            let mut blobs = BTreeMap::new();
            blobs.extend(held.map(|blob| (&blob.digest, blob.size)));
            // What is collected in order leaves no room unused.
            let blobs = blobs.into_iter().map(|(digest, size)| (digest.clone(), size)).collect();
            let manifests = stays().map(|(digest, _)| digest.clone()).collect();
            holdings.tags.insert(repository.clone(), tags);
            holdings.manifests.insert(repository.clone(), manifests);
            holdings.blobs.insert(repository.clone(), blobs);
        }
        holdings
    }

    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self::without(snapshot, |_, _| false, |_, _| false)
    }

    pub(crate) fn tag_count(&self) -> usize {
        self.tags.values().map(BTreeMap::len).sum()
    }

    pub(crate) fn manifest_count(&self) -> usize {
        self.manifests.values().map(BTreeSet::len).sum()
    }

    pub(crate) fn all_blobs(&self) -> BTreeSet<&Digest> {
        self.blobs.values().flat_map(BTreeMap::keys).collect()
    }
}
