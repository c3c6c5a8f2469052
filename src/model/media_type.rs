//! What a content is, as whoever pushed it says.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

/// Few types name everything in a registry: each is held once, as long as the program runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MediaType(&'static str);

const COMMON: [&str; 13] = [
    DOCKER_MANIFEST,
    DOCKER_LIST,
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.empty.v1+json",
    "application/vnd.in-toto+json",
    "application/vnd.dev.cosign.simplesigning.v1+json",
];

impl MediaType {
    pub(crate) fn as_str(&self) -> &str {
        self.0
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        static OTHERS: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        if let Some(common) = COMMON.into_iter().find(|common| *common == text) {
            return Self(common);
        }
        let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
        let known = others.get(text).copied();
        Self(known.unwrap_or_else(|| {
            let new: &'static str = text.to_owned().leak();
            others.insert(new);
            new
        }))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}
