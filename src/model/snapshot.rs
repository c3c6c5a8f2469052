//! What a registry held when it was asked, including what could not be read.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::manifest::CREATED_ANNOTATION;
use super::ordered::pack;
use super::{
    Created, Descriptor, Digest, Flaw, ImageFacts, Manifest, ManifestKind, Platform, RegistryAddress,
    Repository, Source, StoreView, Tag,
};

/// One reading of a registry, or of those of its repositories that a command needs.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) registry: RegistryAddress,
    /// Whether the server removes one tag by its name (Distribution 3.x); on 2.x one tag of several takes a placeholder.
    pub(crate) deletes_tags_by_name: bool,
    /// What this server is known to do wrong with tags.
    pub(crate) flaw: Option<Flaw>,
    /// Whether every repository of the registry is in it.
    pub(crate) is_whole: bool,
    pub(crate) repositories: BTreeMap<Repository, RepositoryState>,
    /// What the store's files say; `None` where only the registry was asked.
    pub(crate) store: Option<StoreView>,
}

#[derive(Debug, Clone)]
pub(crate) enum RepositoryState {
    Read(RepositoryView),
    /// Its tags could not be listed, and why.
    Unreadable(String),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RepositoryView {
    pub(crate) tags: BTreeMap<Tag, TagState>,
    pub(crate) manifests: BTreeMap<Digest, ManifestState>,
    /// What configs say, by the digest of the manifest; only where a command asked for it.
    pub(crate) facts: BTreeMap<Digest, Result<ImageFacts, String>>,
    /// When tags were pushed; only where the store said it.
    pub(crate) pushed: BTreeMap<Tag, Timestamp>,
    /// Manifests whose referrers could not be listed, and why.
    pub(crate) unlisted: BTreeMap<Digest, String>,
    /// Subjects of attachments that the registry, asked for each of them, says this repository does not have.
    pub(crate) absent_subjects: BTreeSet<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagState {
    At(Digest),
    /// Listed, but the registry has no manifest for it.
    Dangling,
    /// Why it could not be read.
    Unreadable(String),
}

#[derive(Debug, Clone)]
pub(crate) enum ManifestState {
    Read(Box<Manifest>),
    /// An index names it, but the repository does not hold it (a sparse index).
    Absent,
    /// Why it could not be read.
    Unreadable(String),
}

impl RepositoryView {
    /// Leaves no room for more.
    pub(crate) fn pack(&mut self) {
        pack(&mut self.tags);
        pack(&mut self.manifests);
        pack(&mut self.facts);
    }

    pub(crate) fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        match self.manifests.get(digest) {
            Some(ManifestState::Read(manifest)) => Some(manifest),
            _ => None,
        }
    }

    /// Everything that was read as a manifest.
    pub(crate) fn read_manifests(&self) -> impl Iterator<Item = (&Digest, &Manifest)> {
        self.manifests.iter().filter_map(|(digest, state)| match state {
            ManifestState::Read(manifest) => Some((digest, &**manifest)),
            ManifestState::Absent | ManifestState::Unreadable(_) => None,
        })
    }

    /// Whether there are signatures and other attachments here, and nothing else: cosign can keep those of one repository,
    /// or of another registry, in a repository of their own.
    pub(crate) fn holds_only_attachments(&self) -> bool {
        self.tags.keys().all(|tag| tag.attachment_subject().is_some())
    }

    /// The tags by the digest they are at.
    pub(crate) fn tags_by_digest(&self) -> BTreeMap<&Digest, BTreeSet<&Tag>> {
        let mut tags: BTreeMap<&Digest, BTreeSet<&Tag>> = BTreeMap::new();
        for (tag, state) in &self.tags {
            if let TagState::At(digest) = state {
                tags.entry(digest).or_default().insert(tag);
            }
        }
        tags
    }

    /// `roots` and every manifest they reach through indexes of any depth, whether it could be read or not.
    pub(crate) fn reachable<'a>(
        &'a self,
        roots: impl IntoIterator<Item = &'a Digest>,
    ) -> BTreeSet<&'a Digest> {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&Digest> = roots.into_iter().collect();
        while let Some(digest) = ahead.pop() {
            if reached.insert(digest) {
                let children = self.manifest(digest).into_iter().flat_map(Manifest::child_manifests);
                ahead.extend(children.map(|child: &Descriptor| &child.digest));
            }
        }
        reached
    }

    /// When the image at `digest` was made: from its config, else its annotation; an index is as old as its newest
    /// part.
    pub(crate) fn created(&self, digest: &Digest, now: Timestamp) -> Created {
        let Some(manifest) = self.manifest(digest) else {
            return Created::unknown("its manifest could not be read");
        };
        let annotated = manifest
            .annotations
            .get(CREATED_ANNOTATION)
            .map(|text| Created::parse(text, Source::Annotation, now));
        match manifest.kind {
            ManifestKind::Schema1 => Created::unknown("it is in Docker's first manifest format"),
            ManifestKind::Image => match (self.facts.get(digest), annotated) {
                (Some(Ok(facts)), annotated) => match (facts.created(now), annotated) {
                    (Created::Unknown { .. }, Some(known @ Created::Known { .. })) => known,
                    (from_config, _) => from_config,
                },
                (_, Some(annotated)) => annotated,
                (Some(Err(why)), None) => Created::unknown(why.clone()),
                (None, None) => Created::unknown("its config was not read"),
            },
            ManifestKind::Index => {
                let newest = manifest
                    .child_manifests()
                    .filter(|child| child.digest != *digest)
                    .filter_map(|child| self.created(&child.digest, now).at())
                    .max();
                match (annotated, newest) {
                    (Some(known @ Created::Known { .. }), _) => known,
                    (_, Some(at)) => Created::Known { at, from: Source::Part },
                    _ => Created::unknown("no part of the index has a usable date"),
                }
            }
        }
    }

    /// When what `tag` names was made. A chart or another artifact that does not say it is as old as its push; an image
    /// is not: its date is unknown then.
    pub(crate) fn created_as(&self, tag: &Tag, digest: &Digest, now: Timestamp) -> Created {
        match self.created(digest, now) {
            Created::Unknown { .. } if self.manifest(digest).is_some_and(Manifest::is_artifact) => {
                match self.pushed.get(tag) {
                    Some(at) => Created::Known { at: *at, from: Source::Push },
                    None => Created::unknown(
                        "it is no image and says no date, and when it was pushed is known only where the \
                         registry's store can be read",
                    ),
                }
            }
            created => created,
        }
    }

    /// The labels of the image at `digest`; of an index those of each image in it. Attestations have none to count.
    pub(crate) fn labels(&self, digest: &Digest) -> Result<Vec<&BTreeMap<String, String>>, String> {
        let Some(manifest) = self.manifest(digest) else {
            return Err("its manifest could not be read".to_owned());
        };
        match manifest.kind {
            ManifestKind::Image => match self.facts.get(digest) {
                Some(Ok(facts)) => Ok(vec![&facts.labels]),
                Some(Err(why)) => Err(why.clone()),
                None => Err("its config was not read".to_owned()),
            },
            ManifestKind::Index => {
                let images = manifest
                    .child_manifests()
                    .filter(|child| !child.platform.as_deref().is_some_and(Platform::is_unknown));
                let labels: Result<Vec<_>, String> = images.map(|child| self.labels(&child.digest)).collect();
                Ok(labels?.into_iter().flatten().collect())
            }
            ManifestKind::Schema1 => Err("it is in Docker's first manifest format".to_owned()),
        }
    }

    /// The platforms the image at `digest` runs on, in the index's order.
    pub(crate) fn platforms(&self, digest: &Digest) -> Vec<Platform> {
        let Some(manifest) = self.manifest(digest) else {
            return Vec::new();
        };
        match manifest.kind {
            ManifestKind::Index => manifest
                .children
                .iter()
                .filter_map(|child| child.platform.as_deref())
                .filter(|platform| !platform.is_unknown())
                .cloned()
                .collect(),
            _ => self
                .facts
                .get(digest)
                .and_then(|facts| facts.as_ref().ok()?.platform.as_deref().cloned())
                .into_iter()
                .collect(),
        }
    }
}

impl Snapshot {
    pub(crate) fn read_repositories(&self) -> impl Iterator<Item = (&Repository, &RepositoryView)> {
        self.repositories.iter().filter_map(|(repository, state)| match state {
            RepositoryState::Read(view) => Some((repository, view)),
            RepositoryState::Unreadable(_) => None,
        })
    }

    pub(crate) fn read_repositories_mut(
        &mut self,
    ) -> impl Iterator<Item = (&Repository, &mut RepositoryView)> {
        self.repositories.iter_mut().filter_map(|(repository, state)| match state {
            RepositoryState::Read(view) => Some((repository, view)),
            RepositoryState::Unreadable(_) => None,
        })
    }

    /// Whether all of the registry was read: then what is in no repository is nowhere, but for what no tag leads to.
    pub(crate) fn is_known(&self) -> bool {
        self.is_whole && self.unread(|repository, tag| self.is_dangling(repository, tag)).is_empty()
    }

    pub(crate) fn is_dangling(&self, repository: &Repository, tag: &Tag) -> bool {
        self.view(repository).and_then(|view| view.tags.get(tag)) == Some(&TagState::Dangling)
    }

    /// Whether any attachment is about what its repository does not have.
    pub(crate) fn has_absent_subjects(&self) -> bool {
        self.read_repositories().any(|(_, view)| !view.absent_subjects.is_empty())
    }

    /// The manifests of all repositories.
    pub(crate) fn known_manifests(&self) -> BTreeSet<&Digest> {
        let manifests = self.read_repositories().flat_map(|(_, view)| view.read_manifests());
        manifests.map(|(digest, _)| digest).collect()
    }

    pub(crate) fn view(&self, repository: &Repository) -> Option<&RepositoryView> {
        match self.repositories.get(repository) {
            Some(RepositoryState::Read(view)) => Some(view),
            _ => None,
        }
    }

    /// Forgets the tags that are not `wanted`, and the manifests that only they reach.
    pub(crate) fn narrow(&mut self, wanted: impl Fn(&Repository, &Tag) -> bool) {
        for (repository, state) in &mut self.repositories {
            let RepositoryState::Read(view) = state else {
                continue;
            };
            view.tags.retain(|tag, _| wanted(repository, tag));
            let roots = view.tags.values().filter_map(|state| match state {
                TagState::At(digest) => Some(digest),
                TagState::Dangling | TagState::Unreadable(_) => None,
            });
            let needed: BTreeSet<Digest> = view.reachable(roots).into_iter().cloned().collect();
            view.manifests.retain(|digest, _| needed.contains(digest));
        }
    }

    /// What could not be read, in words: nothing may be collected while any of it is unexplained, because what it
    /// refers to is unknown. A tag that `goes` explains nothing any more.
    pub(crate) fn unread(&self, goes: impl Fn(&Repository, &Tag) -> bool) -> Vec<String> {
        let mut unread = Vec::new();
        for (repository, state) in &self.repositories {
            match state {
                RepositoryState::Unreadable(why) => {
                    unread.push(format!("`{repository}` could not be listed: {why}"));
                }
                RepositoryState::Read(view) => {
                    for (tag, state) in view.tags.iter().filter(|(tag, _)| !goes(repository, tag)) {
                        match state {
                            TagState::Unreadable(why) => {
                                unread.push(format!("`{repository}:{tag}` could not be read: {why}"));
                            }
                            TagState::Dangling => unread.push(format!(
                                "`{repository}:{tag}` is listed, but the registry has no manifest for it; \
                                 `docker registry rm {}/{repository}:{tag}` removes it",
                                self.registry
                            )),
                            TagState::At(_) => {}
                        }
                    }
                    for (digest, state) in &view.manifests {
                        if let ManifestState::Unreadable(why) = state {
                            unread.push(format!("`{repository}@{digest}` could not be read: {why}"));
                        }
                    }
                    for (digest, why) in &view.unlisted {
                        unread.push(format!(
                            "what refers to `{repository}@{digest}` could not be listed: {why}"
                        ));
                    }
                }
            }
        }
        unread
    }
}
