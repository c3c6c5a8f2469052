//! Small registries that read like sentences. Manifests weigh 100 bytes, configs 60, layers 1000.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::manifest::{OCI_INDEX, OCI_MANIFEST};
use crate::model::{
    ByteSize, Descriptor, Digest, Flaw, ImageFacts, Manifest, ManifestKind, ManifestState, Repository,
    RepositoryState, RepositoryView, Snapshot, TagState,
};
use crate::plan::placeholder::Placeholder;

use super::files::Files;

pub(super) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

pub(super) fn digest_of(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

pub(super) fn signature_tag(subject: &str) -> String {
    format!("sha256-{}.sig", digest_of(subject).hex())
}

pub(super) fn world() -> World {
    World {
        repositories: BTreeMap::new(),
        names: BTreeMap::new(),
        deletes_tags_by_name: false,
        flaw: None,
        is_whole: true,
        store: None,
    }
}

#[derive(Debug, Clone)]
pub(super) struct World {
    repositories: BTreeMap<String, RepositoryView>,
    names: BTreeMap<Digest, String>,
    deletes_tags_by_name: bool,
    flaw: Option<Flaw>,
    is_whole: bool,
    store: Option<Files>,
}

impl World {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            registry: "127.0.0.1:5000".parse().unwrap(),
            deletes_tags_by_name: self.deletes_tags_by_name,
            flaw: self.flaw,
            is_whole: self.is_whole,
            store: self.store.as_ref().map(|files| files.view(&self.repositories)),
            repositories: self
                .repositories
                .iter()
                .map(|(name, view)| {
                    (name.parse::<Repository>().unwrap(), RepositoryState::Read(view.clone()))
                })
                .collect(),
        }
    }

    pub(super) fn name_of(&self, digest: &Digest) -> String {
        self.names.get(digest).cloned().unwrap_or_else(|| digest.to_string())
    }

    pub(super) fn with_flaw(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    pub(super) fn with_tag_deletion(mut self) -> Self {
        self.deletes_tags_by_name = true;
        self
    }

    /// With the store's files, which hold what the registry holds, all of it pushed long ago.
    pub(super) fn stored(mut self) -> Self {
        self.store = Some(Files::default());
        self
    }

    /// Only HTTP was asked.
    pub(super) fn without_files(mut self) -> Self {
        self.store = None;
        self
    }

    /// Changes what the files say.
    pub(super) fn files(mut self, change: impl FnOnce(&mut Files)) -> Self {
        change(self.store.get_or_insert_default());
        self
    }

    /// Takes the tag away and leaves its manifest.
    pub(super) fn untag(mut self, repository: &str, tag: &str) -> Self {
        self.view(repository).tags.remove(&tag.parse().unwrap());
        self
    }

    fn view(&mut self, repository: &str) -> &mut RepositoryView {
        self.repositories.entry(repository.to_owned()).or_default()
    }

    pub(super) fn tag(mut self, repository: &str, tag: &str, name: &str) -> Self {
        self.view(repository).tags.insert(tag.parse().unwrap(), TagState::At(digest_of(name)));
        self
    }

    /// An image with one layer of its own, made so many days ago.
    pub(super) fn image(self, repository: &str, tag: &str, name: &str, days: i64) -> Self {
        let layer = format!("layer of {name}");
        self.image_with(repository, tag, name, days, &[&layer])
    }

    pub(super) fn image_with(
        self,
        repository: &str,
        tag: &str,
        name: &str,
        days: i64,
        layers: &[&str],
    ) -> Self {
        let created = (now() - SignedDuration::from_hours(24 * days)).to_string();
        self.manifest(repository, name, Some(&created), layers).tag(repository, tag, name)
    }

    pub(super) fn undated(self, repository: &str, tag: &str, name: &str) -> Self {
        self.manifest(repository, name, None, &[]).tag(repository, tag, name)
    }

    pub(super) fn dated(self, repository: &str, tag: &str, name: &str, created: &str) -> Self {
        self.manifest(repository, name, Some(created), &[]).tag(repository, tag, name)
    }

    /// An image without a tag, to be part of an index.
    pub(super) fn child(self, repository: &str, name: &str, days: i64) -> Self {
        let created = (now() - SignedDuration::from_hours(24 * days)).to_string();
        let layer = format!("layer of {name}");
        self.manifest(repository, name, Some(&created), &[&layer])
    }

    pub(super) fn index(self, repository: &str, tag: &str, name: &str, children: &[&str]) -> Self {
        self.index_of(repository, tag, name, OCI_MANIFEST, children)
    }

    /// An index that says of its parts that they are of the type `media_type`.
    pub(super) fn index_of(
        mut self,
        repository: &str,
        tag: &str,
        name: &str,
        media_type: &str,
        children: &[&str],
    ) -> Self {
        let children = children.iter().map(|child| descriptor(media_type, child, 100)).collect();
        let manifest =
            Manifest { kind: ManifestKind::Index, media_type: OCI_INDEX.into(), children, ..bare(name) };
        self.insert(repository, name, manifest);
        self.tag(repository, tag, name)
    }

    /// In Docker's first manifest format, without a tag.
    pub(super) fn schema1(mut self, repository: &str, name: &str) -> Self {
        self.insert(repository, name, Manifest { kind: ManifestKind::Schema1, ..bare(name) });
        self
    }

    /// A manifest about another one, which need not be there; without a tag.
    pub(super) fn referrer(mut self, repository: &str, name: &str, subject: &str) -> Self {
        let manifest = Manifest { subject: Some(descriptor(OCI_MANIFEST, subject, 100)), ..bare(name) };
        self.insert(repository, name, manifest);
        self
    }

    /// A signature under the tag of cosign.
    pub(super) fn signature(self, repository: &str, name: &str, subject: &str) -> Self {
        self.manifest(repository, name, None, &[]).tag(repository, &signature_tag(subject), name)
    }

    /// The registry was asked for it, and says that this repository does not have it.
    pub(super) fn absent(mut self, repository: &str, name: &str) -> Self {
        self.view(repository).absent_subjects.insert(digest_of(name));
        self
    }

    /// A chart that says no date, pushed so many days ago where that is known.
    pub(super) fn chart(mut self, repository: &str, tag: &str, name: &str, pushed: Option<i64>) -> Self {
        let config = descriptor("application/vnd.cncf.helm.config.v1+json", &format!("config of {name}"), 60);
        self.insert(repository, name, Manifest { config: Some(config), ..bare(name) });
        let pushed = pushed.map(|days| now() - SignedDuration::from_hours(24 * days));
        self.view(repository).pushed.extend(pushed.map(|at| (tag.parse().unwrap(), at)));
        self.tag(repository, tag, name)
    }

    /// Nobody could say what refers to it.
    pub(super) fn unlisted(mut self, repository: &str, name: &str) -> Self {
        self.view(repository).unlisted.insert(digest_of(name), "500".to_owned());
        self
    }

    pub(super) fn in_part(mut self) -> Self {
        self.is_whole = false;
        self
    }

    pub(super) fn unreadable(mut self, repository: &str, tag: &str) -> Self {
        self.view(repository).tags.insert(tag.parse().unwrap(), TagState::Unreadable("500".to_owned()));
        self
    }

    pub(super) fn dangling(mut self, repository: &str, tag: &str) -> Self {
        self.view(repository).tags.insert(tag.parse().unwrap(), TagState::Dangling);
        self
    }

    pub(super) fn placeholder(mut self, repository: &str, tag: &str) -> Self {
        let tags = [tag.parse().unwrap()];
        let made = Placeholder::new(
            &"127.0.0.1:5000".parse().unwrap(),
            &repository.parse().unwrap(),
            tags.iter(),
            now(),
        );
        let mut manifest = Manifest::parse(made.digest, Placeholder::MEDIA_TYPE, &made.raw).unwrap();
        manifest.digest = digest_of("placeholder");
        manifest.size = ByteSize(100);
        self.insert(repository, "placeholder", manifest);
        self.tag(repository, tag, "placeholder")
    }

    fn manifest(mut self, repository: &str, name: &str, created: Option<&str>, layers: &[&str]) -> Self {
        let manifest = Manifest {
            config: Some(descriptor(
                "application/vnd.oci.image.config.v1+json",
                &format!("config of {name}"),
                60,
            )),
            layers: layers
                .iter()
                .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer, 1000))
                .collect(),
            ..bare(name)
        };
        let facts = ImageFacts { created: created.map(Box::from), platform: None, labels: Arc::default() };
        self.view(repository).facts.insert(digest_of(name), Ok(facts));
        self.insert(repository, name, manifest);
        self
    }

    fn insert(&mut self, repository: &str, name: &str, manifest: Manifest) {
        self.names.insert(digest_of(name), name.to_owned());
        self.view(repository).manifests.insert(digest_of(name), ManifestState::Read(Box::new(manifest)));
    }
}

fn bare(name: &str) -> Manifest {
    Manifest {
        digest: digest_of(name),
        media_type: OCI_MANIFEST.into(),
        kind: ManifestKind::Image,
        config: None,
        layers: Box::default(),
        children: Box::default(),
        subject: None,
        annotations: BTreeMap::new(),
        size: ByteSize(100),
        raw: None,
    }
}

fn descriptor(media_type: &str, name: &str, size: u64) -> Arc<Descriptor> {
    Arc::new(Descriptor {
        media_type: media_type.into(),
        digest: digest_of(name),
        size: ByteSize(size),
        platform: None,
        is_foreign: false,
    })
}
