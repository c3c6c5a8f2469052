//! What a fake registry holds. Everything is made from text, so that the same text is the same blob everywhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) repositories: BTreeMap<String, Repository>,
    /// What deletions leave in the store until the garbage is collected.
    pub(crate) unlinked: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
}

impl Contents {
    pub(crate) fn image(&mut self, repository: &str, tag: &str, created: &str, layers: &[&str]) -> String {
        let digest = self.untagged_image(repository, "linux/amd64", created, layers);
        self.tag(repository, tag, &digest);
        digest
    }

    pub(crate) fn untagged_image(
        &mut self,
        repository: &str,
        platform: &str,
        created: &str,
        layers: &[&str],
    ) -> String {
        let (os, architecture) = platform.split_once('/').expect("os/architecture");
        let config = json!({ "architecture": architecture, "os": os, "created": created });
        self.image_of(repository, config, layers)
    }

    /// Puts an image with labels in its config; its one layer has the tag's text.
    pub(crate) fn labelled_image(
        &mut self,
        repository: &str,
        tag: &str,
        created: &str,
        labels: &[(&str, &str)],
    ) -> String {
        let labels: serde_json::Map<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": created,
            "config": { "Labels": labels },
        });
        let digest = self.image_of(repository, config, &[tag]);
        self.tag(repository, tag, &digest);
        digest
    }

    fn image_of(&mut self, repository: &str, mut config: serde_json::Value, layers: &[&str]) -> String {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                self.descriptor(repository, "application/vnd.docker.image.rootfs.diff.tar.gzip", layer)
            })
            .collect();
        let identities: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": identities });
        let config = self.descriptor(
            repository,
            "application/vnd.docker.container.image.v1+json",
            &config.to_string(),
        );
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers });
        self.manifest_of(repository, DOCKER_MANIFEST, manifest.to_string().as_bytes())
    }

    /// Every child is taken for one of linux/amd64, linux/arm64, … in this order.
    pub(crate) fn index(&mut self, repository: &str, tag: &str, children: &[&str]) -> String {
        let architectures = ["amd64", "arm64", "arm", "s390x"];
        let manifests: Vec<_> = children
            .iter()
            .zip(architectures.iter().cycle())
            .map(|(child, architecture)| {
                let manifest = self.manifest(repository, child).expect("the child is in the repository");
                json!({
                    "mediaType": manifest.media_type,
                    "digest": child,
                    "size": manifest.bytes.len(),
                    "platform": { "os": "linux", "architecture": architecture },
                })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        let digest = self.manifest_of(repository, OCI_INDEX, index.to_string().as_bytes());
        self.tag(repository, tag, &digest);
        digest
    }

    /// Puts an artifact without a tag: `annotations` and, where it is about another manifest, its `subject`.
    pub(crate) fn artifact(
        &mut self,
        repository: &str,
        text: &str,
        subject: Option<&str>,
        annotations: &[(&str, &str)],
    ) -> String {
        let config = self.descriptor(repository, "application/vnd.cncf.helm.config.v1+json", "{}");
        let layer = self.descriptor(repository, "application/octet-stream", text);
        let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": annotations,
        });
        if let Some(subject) = subject {
            manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 });
        }
        self.manifest_of(repository, OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    /// Stores any bytes as a manifest, without a tag.
    pub(crate) fn manifest_of(&mut self, repository: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let manifest = Manifest { media_type: media_type.to_owned(), bytes: bytes.to_vec() };
        self.repository(repository).manifests.insert(digest.clone(), manifest);
        digest
    }

    pub(crate) fn blob(&mut self, repository: &str, content: &[u8]) -> String {
        let digest = digest_of(content);
        self.repository(repository).blobs.insert(digest.clone(), content.to_vec());
        digest
    }

    pub(crate) fn tag(&mut self, repository: &str, tag: &str, digest: &str) {
        self.repository(repository).tags.insert(tag.to_owned(), digest.to_owned());
    }

    pub(crate) fn untag(&mut self, repository: &str, tag: &str) {
        self.repository(repository).tags.remove(tag);
    }

    /// Takes the manifest away and leaves its tags dangling, as a fault in the middle of a deletion does.
    pub(crate) fn lose_manifest(&mut self, repository: &str, digest: &str) {
        self.repository(repository).manifests.remove(digest);
    }

    /// Distribution's deletion by digest: the manifest and every tag on it.
    pub(crate) fn delete(&mut self, repository: &str, digest: &str) -> bool {
        let repository = self.repository(repository);
        let Some(manifest) = repository.manifests.remove(digest) else {
            return false;
        };
        repository.tags.retain(|_, on| on != digest);
        self.unlinked.insert(digest.to_owned(), manifest.bytes);
        true
    }

    pub(crate) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        let repository = self.repositories.get(repository);
        repository.map_or_else(Vec::new, |found| found.tags.keys().cloned().collect())
    }

    pub(crate) fn manifest(&self, repository: &str, digest: &str) -> Option<&Manifest> {
        self.repositories.get(repository)?.manifests.get(digest)
    }

    /// The digest that a tag or a digest names, if there is a manifest behind it.
    pub(crate) fn resolve(&self, repository: &str, reference: &str) -> Option<String> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        repository.manifests.contains_key(digest).then(|| digest.to_owned())
    }

    fn descriptor(&mut self, repository: &str, media_type: &str, content: &str) -> serde_json::Value {
        let digest = self.blob(repository, content.as_bytes());
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    }
}

impl Manifest {
    /// What it says that it is about.
    pub(crate) fn subject(&self) -> Option<String> {
        let manifest: serde_json::Value = serde_json::from_slice(&self.bytes).ok()?;
        Some(manifest["subject"]["digest"].as_str()?.to_owned())
    }
}

pub(crate) fn digest_of(content: &[u8]) -> String {
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        write!(digest, "{byte:02x}").expect("writing to a string");
    }
    digest
}
