//! What a store on files holds, as its files tell it. HTTP shows neither untagged manifests nor push times, sizes on
//! disk, layer links or unfinished uploads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::ordered::{pack, pack_set};
use super::{ByteSize, Digest, Repository, Tag};

/// One reading of a store. What is odd in it is named, and explains nothing: it is kept with all that it may refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreView {
    /// By the clock that also dates the files.
    pub(crate) now: Timestamp,
    pub(crate) repositories: BTreeMap<Repository, StoredRepository>,
    pub(crate) blobs: BTreeMap<Digest, StoredFile>,
    /// Everything in the store, as `du` counts it: folders, links and what is odd too.
    pub(crate) on_disk: ByteSize,
    pub(crate) odd: Vec<Odd>,
}

impl StoreView {
    /// Forgets what a repository may serve, but for what it has as a manifest too.
    pub(crate) fn forget_layers(&mut self) {
        for StoredRepository { layers, revisions, .. } in self.repositories.values_mut() {
            layers.retain(|layer| revisions.contains_key(layer));
        }
    }

    /// Leaves no room for more.
    pub(crate) fn pack(&mut self) {
        pack(&mut self.blobs);
        for stored in self.repositories.values_mut() {
            pack(&mut stored.tags);
            pack(&mut stored.revisions);
            pack_set(&mut stored.layers);
        }
    }
}

/// A repository's own files: links and uploads, but no content.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredRepository {
    pub(crate) tags: BTreeMap<Tag, StoredTag>,
    /// The manifests that it holds, tagged or not, and when each was last pushed.
    pub(crate) revisions: BTreeMap<Digest, Timestamp>,
    /// The configs and layers that it may serve.
    pub(crate) layers: BTreeSet<Digest>,
    /// By id.
    pub(crate) uploads: BTreeMap<String, StoredUpload>,
    /// Of its folders and links, without its uploads.
    pub(crate) on_disk: ByteSize,
}

impl StoredRepository {
    /// Whether there is nothing in it but folders, links to blobs and uploads that nobody has gone on with since.
    pub(crate) fn is_empty(&self, stale_before: Timestamp) -> bool {
        self.tags.is_empty()
            && self.revisions.is_empty()
            && self.uploads.values().all(|upload| upload.touched < stale_before)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTag {
    /// `None`: its link is missing, empty or no digest.
    pub(crate) digest: Option<Digest>,
    /// Its link is written anew with every push.
    pub(crate) pushed: Timestamp,
    /// What the tag was at before.
    pub(crate) history: Vec<Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredUpload {
    /// When something was last added to it.
    pub(crate) touched: Timestamp,
    pub(crate) size: ByteSize,
    pub(crate) on_disk: ByteSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) size: ByteSize,
    /// Of the file and the folder that is its own.
    pub(crate) on_disk: ByteSize,
}

/// A path below the store's folder that is not what its place says, fit to be printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Odd {
    pub(crate) path: String,
    pub(crate) why: String,
    /// Where it is in the folder of one.
    pub(crate) repository: Option<Repository>,
}
