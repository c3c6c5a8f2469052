//! Small registries, with their store or without: an image `app:1` has the layers that are named with their sizes, and a
//! manifest without a tag has a name of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::manifest::{OCI_INDEX, OCI_MANIFEST};
use crate::model::{
    ByteSize, Digest, Manifest, ManifestState, Repository, RepositoryState, RepositoryView, Snapshot,
    StoreView, StoredFile, StoredRepository, TagState,
};

pub(crate) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// Of a layer by its name, and of a manifest: its real digest is of no interest.
pub(crate) fn digest_of(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(crate) fn signature_tag(subject: &str) -> String {
    format!("sha256-{}.sig", digest_of(subject).hex())
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    repositories: BTreeMap<Repository, RepositoryView>,
}

impl World {
    pub(crate) fn image(self, name: &str, layers: &[(&str, u64)]) -> Self {
        let (repository, _) = name.split_once(':').unwrap();
        self.untagged(repository, name, layers).tag(name, name)
    }

    pub(crate) fn untagged(self, repository: &str, name: &str, layers: &[(&str, u64)]) -> Self {
        self.manifest(repository, name, OCI_MANIFEST, &image(layers, None))
    }

    /// An image without a tag that is about another manifest.
    pub(crate) fn about(self, repository: &str, name: &str, subject: &str, layers: &[(&str, u64)]) -> Self {
        self.manifest(repository, name, OCI_MANIFEST, &image(layers, Some(subject)))
    }

    pub(crate) fn index(self, repository: &str, name: &str, parts: &[&str]) -> Self {
        let parts: Vec<Value> = parts.iter().map(|part| descriptor(OCI_MANIFEST, part, 1)).collect();
        self.manifest(repository, name, OCI_INDEX, &json!({ "schemaVersion": 2, "manifests": parts }))
    }

    /// Puts a tag `repository:tag` on the manifest of that name.
    pub(crate) fn tag(mut self, name: &str, manifest: &str) -> Self {
        let (repository, tag) = name.split_once(':').unwrap();
        let view = self.repositories.entry(repository.parse().unwrap()).or_default();
        view.tags.insert(tag.parse().unwrap(), TagState::At(digest_of(manifest)));
        self
    }

    fn manifest(mut self, repository: &str, name: &str, media_type: &str, document: &Value) -> Self {
        let digest = digest_of(name);
        let manifest = Manifest::parse(digest.clone(), media_type, document.to_string().as_bytes()).unwrap();
        let view = self.repositories.entry(repository.parse().unwrap()).or_default();
        view.manifests.insert(digest, ManifestState::Read(Box::new(manifest)));
        self
    }

    pub(crate) fn snapshot(self) -> Snapshot {
        let states = self.repositories.into_iter().map(|(name, view)| (name, RepositoryState::Read(view)));
        Snapshot {
            registry: "127.0.0.1:5000".parse().unwrap(),
            deletes_tags_by_name: false,
            flaw: None,
            is_whole: true,
            repositories: states.collect(),
            store: None,
        }
    }
}

fn image(layers: &[(&str, u64)], subject: Option<&str>) -> Value {
    let layers: Vec<Value> =
        layers.iter().map(|(name, size)| descriptor("application/layer", name, *size)).collect();
    let mut image = json!({ "schemaVersion": 2, "config": descriptor("application/config", "config", 0), "layers": layers });
    if let Some(subject) = subject {
        image["subject"] = descriptor(OCI_MANIFEST, subject, 1);
    }
    image
}

fn descriptor(media_type: &str, name: &str, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest_of(name), "size": size })
}

impl Snapshot {
    pub(crate) fn manifest_size(&self, repository: &str, tag: &str) -> u64 {
        self.sizes_of_manifest(repository, &format!("{repository}:{tag}"))
    }

    pub(crate) fn sizes_of_manifest(&self, repository: &str, name: &str) -> u64 {
        let view = self.view(&repository.parse().unwrap()).unwrap();
        view.manifest(&digest_of(name)).unwrap().size.0
    }

    /// The same with a store that holds just this. Files take whole blocks and a folder each; there are 4096 bytes of
    /// folders and links for each manifest, and 4096 above the repositories.
    pub(crate) fn stored(mut self) -> Self {
        const BLOCK: u64 = 4096;
        let mut store = StoreView { now: now(), ..StoreView::default() };
        for (repository, view) in self.read_repositories() {
            let mut stored = StoredRepository::default();
            for (digest, manifest) in view.read_manifests() {
                stored.revisions.insert(digest.clone(), now());
                stored.on_disk += ByteSize(BLOCK);
                let blobs = manifest.blobs().map(|blob| (&blob.digest, blob.size));
                for (digest, size) in blobs.chain([(digest, manifest.size)]) {
                    let on_disk = ByteSize(size.0.div_ceil(BLOCK) * BLOCK + BLOCK);
                    store.blobs.insert(digest.clone(), StoredFile { size, on_disk });
                }
            }
            store.repositories.insert(repository.clone(), stored);
        }
        let blobs = store.blobs.values().map(|file| file.on_disk);
        let repositories = store.repositories.values().map(|stored| stored.on_disk);
        store.on_disk = blobs.chain(repositories).chain([ByteSize(BLOCK)]).sum();
        self.store = Some(store);
        self
    }
}
