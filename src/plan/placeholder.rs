//! The manifest that takes a tag off another one on a 2.x registry, which cannot delete a tag by name.
//!
//! All tags that leave are moved to one empty index, and one deletion of its digest takes them all. The index needs no
//! blobs. It carries a mark, so that a later run finishes what an interrupted one began.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use crate::model::manifest::{OCI_INDEX, PLACEHOLDER_ANNOTATION};
use crate::model::{Digest, Manifest, ManifestKind, RegistryAddress, Repository, Tag};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) digest: Digest,
    pub(crate) raw: Arc<[u8]>,
}

impl Placeholder {
    pub(crate) const MEDIA_TYPE: &'static str = OCI_INDEX;

    /// The moment and the tags make its digest unlike that of any other manifest.
    pub(super) fn new<'a>(
        registry: &RegistryAddress,
        repository: &Repository,
        tags: impl Iterator<Item = &'a Tag>,
        now: Timestamp,
    ) -> Self {
        let tags = tags.map(Tag::as_str).collect::<Vec<_>>().join(" ");
        let made_for = format!("{registry}/{repository} {now} {}", Digest::of(tags.as_bytes()));
        let body = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": { PLACEHOLDER_ANNOTATION: made_for } });
        let raw: Arc<[u8]> = body.to_string().into_bytes().into();
        Self { digest: Digest::of(&raw), raw }
    }
}

/// Whether this is a placeholder that an interrupted run left behind.
pub(crate) fn is_one(manifest: &Manifest) -> bool {
    manifest.kind == ManifestKind::Index
        && manifest.children.is_empty()
        && manifest.annotations.contains_key(PLACEHOLDER_ANNOTATION)
}
