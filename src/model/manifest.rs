//! Manifests of every kind, parsed from the bytes a registry gave.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Ordered;
use super::{ByteSize, Created, Digest, MediaType, Source, printable};

pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SCHEMA1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The configs of images; those of artifacts say what they like.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

/// The date an image's maker wrote into its manifest.
pub(crate) const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";
/// What shows that a manifest stands in for tags that are being removed.
pub(crate) const PLACEHOLDER_ANNOTATION: &str = "io.github.docker-registry-prune.placeholder";
/// What is held of all that builders annotate.
const ANNOTATIONS: [&str; 2] = [CREATED_ANNOTATION, PLACEHOLDER_ANNOTATION];

/// Every manifest type this tool reads, in the order in which it asks for them.
pub(crate) const ACCEPTED: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ManifestKind {
    /// Names a config and layers: an image, a chart, a signature or another artifact.
    Image,
    /// Names other manifests: an OCI index or a Docker manifest list.
    Index,
    /// Docker's first format. Recognised, and always kept.
    Schema1,
}

/// A manifest as the registry holds it.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: MediaType,
    pub(crate) kind: ManifestKind,
    pub(crate) config: Option<Arc<Descriptor>>,
    pub(crate) layers: Box<[Arc<Descriptor>]>,
    /// The entries of an index, in its order. `BuildKit` caches list blobs here: see [`Descriptor::is_manifest`].
    pub(crate) children: Box<[Arc<Descriptor>]>,
    pub(crate) subject: Option<Arc<Descriptor>>,
    /// Those of [`ANNOTATIONS`].
    pub(crate) annotations: BTreeMap<String, String>,
    /// The manifest's own.
    pub(crate) size: ByteSize,
    /// What its digest was made from, where it is at hand.
    pub(crate) raw: Option<Arc<[u8]>>,
}

/// What a manifest says of another content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Descriptor {
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) size: ByteSize,
    pub(crate) platform: Option<Arc<Platform>>,
    /// Foreign layers name addresses outside the registry, which need not hold them.
    pub(crate) is_foreign: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// What many manifests and configs have in common, as the images of a repository have their first layers.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    descriptors: HashSet<Arc<Descriptor>>,
    platforms: HashSet<Arc<Platform>>,
    labels: HashSet<Arc<BTreeMap<String, String>>>,
}

impl Shared {
    /// Has `manifest` hold each descriptor together with those that came before it.
    pub(crate) fn share(&mut self, manifest: &mut Manifest) {
        let Manifest { config, layers, children, subject, .. } = manifest;
        for descriptor in config.iter_mut().chain(layers).chain(children).chain(subject) {
            share(&mut self.descriptors, descriptor);
        }
    }

    pub(crate) fn share_facts(&mut self, facts: &mut ImageFacts) {
        share(&mut self.labels, &mut facts.labels);
        if let Some(platform) = &mut facts.platform {
            share(&mut self.platforms, platform);
        }
    }
}

fn share<T: Eq + Hash>(known: &mut HashSet<Arc<T>>, value: &mut Arc<T>) {
    match known.get(&**value) {
        Some(known) => *value = Arc::clone(known),
        None => _ = known.insert(Arc::clone(value)),
    }
}

/// What an image's config says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    pub(crate) created: Option<Box<str>>,
    pub(crate) platform: Option<Arc<Platform>>,
    /// Those that somebody asks for.
    pub(crate) labels: Arc<BTreeMap<String, String>>,
}

impl Manifest {
    /// Parses `raw`, which the registry served as `media_type`. The digest is the caller's to verify.
    pub(crate) fn parse(digest: Digest, media_type: &str, raw: &[u8]) -> Result<Self, String> {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        Self::from_wire(digest, media_type, WireManifest::parse(raw)?, raw)
    }

    /// Parses `raw` as it lies in a store, where nothing tells its type but itself.
    pub(crate) fn parse_stored(digest: Digest, raw: &[u8]) -> Result<Self, String> {
        let wire = WireManifest::parse(raw)?;
        let media_type = wire.own_type().to_owned();
        Self::from_wire(digest, &media_type, wire, raw)
    }

    fn from_wire(digest: Digest, media_type: &str, wire: WireManifest, raw: &[u8]) -> Result<Self, String> {
        let kind = kind_of(media_type, &wire)?;
        let descriptor = |wire: WireDescriptor| Descriptor::try_from(wire).map(Arc::new);
        let descriptors = |list: Option<Vec<WireDescriptor>>| {
            list.unwrap_or_default().into_iter().map(descriptor).collect::<Result<Box<[_]>, _>>()
        };
        if kind == ManifestKind::Schema1 {
            return Ok(Self::without_references(digest, media_type, raw));
        }
        Ok(Self {
            digest,
            media_type: wire.media_type.as_deref().unwrap_or(media_type).into(),
            kind,
            config: wire.config.map(descriptor).transpose()?,
            layers: descriptors(wire.layers)?,
            children: descriptors(wire.manifests)?,
            subject: wire.subject.map(descriptor).transpose()?,
            annotations: wire.annotations.into_iter().flatten().filter(is_of_interest).into_map(),
            size: ByteSize(raw.len() as u64),
            raw: None,
        })
    }

    fn without_references(digest: Digest, media_type: &str, raw: &[u8]) -> Self {
        Self {
            digest,
            media_type: media_type.into(),
            kind: ManifestKind::Schema1,
            config: None,
            layers: Box::default(),
            children: Box::default(),
            subject: None,
            annotations: BTreeMap::new(),
            size: ByteSize(raw.len() as u64),
            raw: None,
        }
    }

    /// Config, layers, and those entries of an index that are blobs: what the registry must hold beside manifests.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config
            .iter()
            .chain(&self.layers)
            .chain(self.children.iter().filter(|child| !child.is_manifest()))
            .map(Arc::as_ref)
    }

    /// Whether this is a chart or another artifact: its config is not that of an image.
    pub(crate) fn is_artifact(&self) -> bool {
        self.kind == ManifestKind::Image
            && self.config.as_ref().is_some_and(|config| !IMAGE_CONFIGS.contains(&config.media_type.as_str()))
    }

    /// Those entries of an index that are manifests.
    pub(crate) fn child_manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.children.iter().filter(|child| child.is_manifest()).map(Arc::as_ref)
    }
}

fn is_of_interest((name, _): &(String, String)) -> bool {
    ANNOTATIONS.contains(&name.as_str())
}

impl Descriptor {
    /// Whether this names a manifest. A cache that `BuildKit` exports lists its *layers* in an index, and a 2.x registry
    /// unlinks a layer that is deleted as a manifest, so nothing else may be treated as one.
    pub(crate) fn is_manifest(&self) -> bool {
        ACCEPTED.contains(&self.media_type.as_str()) || SCHEMA1.contains(&self.media_type.as_str())
    }
}

impl ImageFacts {
    /// Reads an image's config, and of its labels the `wanted` ones. Artifacts have configs of other kinds: those simply
    /// say nothing.
    pub(crate) fn parse(config: &[u8], wanted: &dyn Fn(&str) -> bool) -> Self {
        let wire: WireConfig = serde_json::from_slice(config).unwrap_or_default();
        let platform = match (wire.os, wire.architecture) {
            (Some(os), Some(architecture)) if !os.is_empty() && !architecture.is_empty() => {
                Some(Arc::new(Platform { os, architecture, variant: wire.variant }))
            }
            _ => None,
        };
        let labels = wire.config.and_then(|config| config.labels).into_iter().flatten();
        let labels = labels.filter(|(label, _)| wanted(label)).into_map();
        Self { created: wire.created.map(String::into_boxed_str), platform, labels: Arc::new(labels) }
    }

    pub(crate) fn created(&self, now: jiff::Timestamp) -> Created {
        match &self.created {
            Some(text) => Created::parse(text, Source::Config, now),
            None => Created::unknown("its config has no date"),
        }
    }
}

impl Platform {
    /// Build tools attach attestations to an index as manifests for `unknown/unknown`.
    pub(crate) fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", printable(&self.os), printable(&self.architecture))?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{}", printable(variant)),
            _ => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<WireDescriptor>,
    layers: Option<Vec<WireDescriptor>>,
    manifests: Option<Vec<WireDescriptor>>,
    subject: Option<WireDescriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl WireManifest {
    fn parse(raw: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(raw)
            .map_err(|error| format!("not a manifest: {}", printable(&error.to_string())))
    }

    /// Documents of the OCI need not say it: those with `manifests` are indexes to Distribution, the others images.
    fn own_type(&self) -> &str {
        match (self.schema_version, self.media_type.as_deref()) {
            (Some(1), _) => SCHEMA1[1],
            (_, Some(media_type)) => media_type,
            _ if self.manifests.is_some() => OCI_INDEX,
            _ => OCI_MANIFEST,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<WirePlatform>,
    urls: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct WirePlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireConfig {
    created: Option<String>,
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    config: Option<WireRuntime>,
}

/// What a container of the image starts with; its labels are of interest.
#[derive(Deserialize)]
struct WireRuntime {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl TryFrom<WireDescriptor> for Descriptor {
    type Error = String;
    fn try_from(wire: WireDescriptor) -> Result<Self, String> {
        let media_type = wire.media_type.unwrap_or_default();
        Ok(Self {
            is_foreign: wire.urls.is_some_and(|urls| !urls.is_empty()) || media_type.contains(".foreign."),
            media_type: media_type.as_str().into(),
            digest: wire.digest.parse().map_err(|error: super::InvalidName| error.to_string())?,
            size: ByteSize(wire.size),
            platform: wire.platform.and_then(|platform| {
                Some(Arc::new(Platform {
                    os: platform.os?,
                    architecture: platform.architecture?,
                    variant: platform.variant,
                }))
            }),
        })
    }
}

/// The type of the answer, checked against the document: a proxy's error page or a converted manifest must not pass.
fn kind_of(media_type: &str, wire: &WireManifest) -> Result<ManifestKind, String> {
    if SCHEMA1.contains(&media_type) || wire.schema_version == Some(1) {
        return Ok(ManifestKind::Schema1);
    }
    if wire.schema_version != Some(2) {
        return Err("not a manifest: no `schemaVersion` 2".to_owned());
    }
    let said = if ACCEPTED.contains(&media_type) { Some(media_type) } else { wire.media_type.as_deref() };
    if let Some(inside) = &wire.media_type
        && said.is_some_and(|said| said != inside)
    {
        return Err(format!("served as `{}` but says it is `{}`", printable(media_type), printable(inside)));
    }
    match said {
        Some(DOCKER_LIST | OCI_INDEX) if wire.manifests.is_some() => Ok(ManifestKind::Index),
        Some(DOCKER_MANIFEST | OCI_MANIFEST) if wire.config.is_some() => Ok(ManifestKind::Image),
        _ => Err(format!("a manifest of the unknown type `{}`", printable(media_type))),
    }
}
