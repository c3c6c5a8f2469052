//! Images made in memory: real tar layers that an engine can unpack, real configs, manifests and indexes.
//! Content is made from a seed, so that the same call gives the same digests and no two tests share a blob.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes with their media type and digest.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Content {
    pub(crate) fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: digest_of(&bytes), bytes }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) manifest: Content,
    pub(crate) config: Content,
    pub(crate) layers: Vec<Content>,
    architecture: String,
}

impl Image {
    /// The same image under another manifest.
    pub(crate) fn annotated(&self, number: usize) -> Content {
        let mut manifest: Value = serde_json::from_slice(&self.manifest.bytes).expect("a manifest");
        manifest["annotations"] = json!({ "number": number.to_string() });
        Content::json(self.manifest.media_type, &manifest)
    }
}

/// What an image is made from; every part has a default.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    seed: String,
    layers: Vec<Content>,
    created: Option<String>,
    architecture: String,
    oci: bool,
}

impl Recipe {
    /// An image of one small layer that is like no other image of any test.
    pub(crate) fn new(seed: &str) -> Self {
        Self {
            seed: format!("{} {seed}", std::process::id()),
            layers: Vec::new(),
            created: Some("2024-05-01T10:00:00Z".to_owned()),
            architecture: "amd64".to_owned(),
            oci: false,
        }
    }

    pub(crate) fn layer(mut self, layer: &Content) -> Self {
        self.layers.push(layer.clone());
        self
    }

    pub(crate) fn created(mut self, date: &str) -> Self {
        self.created = Some(date.to_owned());
        self
    }

    pub(crate) fn without_date(mut self) -> Self {
        self.created = None;
        self
    }

    pub(crate) fn architecture(mut self, name: &str) -> Self {
        name.clone_into(&mut self.architecture);
        self
    }

    pub(crate) fn oci(mut self) -> Self {
        self.oci = true;
        self
    }

    pub(crate) fn build(self) -> Image {
        let (manifest_type, config_type) = if self.oci {
            (OCI_MANIFEST, "application/vnd.oci.image.config.v1+json")
        } else {
            (DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json")
        };
        let mut layers = self.layers;
        if layers.is_empty() {
            layers.push(layer(&self.seed, 2_000));
        }
        // The layers are not compressed, so their digests are also the ids the engine checks after unpacking.
        let identities: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        let mut config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": { "Labels": { "seed": self.seed } },
            "rootfs": { "type": "layers", "diff_ids": identities },
        });
        if let Some(created) = self.created {
            config["created"] = created.into();
        }
        let config = Content::json(config_type, &config);
        let manifest = Content::json(
            manifest_type,
            &json!({
                "schemaVersion": 2,
                "mediaType": manifest_type,
                "config": config.descriptor(),
                "layers": layers.iter().map(Content::descriptor).collect::<Vec<_>>(),
            }),
        );
        Image { manifest, config, layers, architecture: self.architecture }
    }
}

/// A layer that holds one file of `size` bytes.
pub(crate) fn layer(seed: &str, size: usize) -> Content {
    let seed = format!("{} {seed}", std::process::id());
    let bytes = noise(&seed, size);
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::with_capacity(size + 2048));
    archive
        .append_data(&mut header, format!("data-{}", &digest_of(seed.as_bytes())[7..19]), bytes.as_slice())
        .expect("a tar in memory");
    Content::new(
        "application/vnd.docker.image.rootfs.diff.tar",
        archive.into_inner().expect("a tar in memory"),
    )
}

/// An OCI index, or a Docker manifest list, over images.
pub(crate) fn index(media_type: &'static str, images: &[&Image]) -> Content {
    let children: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut descriptor = image.manifest.descriptor();
            descriptor["platform"] = json!({ "architecture": image.architecture, "os": "linux" });
            descriptor
        })
        .collect();
    Content::json(media_type, &json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": children }))
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("write to a string");
    }
    text
}

/// A block of noise over and over: no file system and no registry compresses it away.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut block = Vec::new();
    let mut state: Vec<u8> = seed.as_bytes().to_vec();
    while block.len() < size.min(64 * 1024) {
        state = Sha256::digest(&state).to_vec();
        block.extend_from_slice(&state);
    }
    block.iter().copied().cycle().take(size).collect()
}
