//! A registry's container on an engine, and its store.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::engine::{
    Certainty, Driver, Engine, Links, OpenStore, PushTimes, RegistryContainer, StoreConfiguration,
};
use crate::error::Failure;
use crate::model::{ByteSize, Digest, Flaw, RegistryAddress, Repository, Snapshot, StoreView, Tag, TagState};
use crate::registry::Registry;
use crate::snapshot::LARGEST_MANIFEST;

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) container: RegistryContainer,
    pub(crate) store: StoreConfiguration,
    /// Where the container's port is published.
    pub(crate) published: Option<RegistryAddress>,
}

impl Site {
    /// Where the store's files are, when they are files.
    pub(crate) fn root(&self) -> Option<&str> {
        match &self.store.driver {
            Driver::Filesystem { root } => Some(root),
            Driver::Other(_) => None,
        }
    }

    /// The tags and manifests of a repository as the store has them now: one request to the engine, none to the registry.
    /// What is odd is not in the answer; `None` where the store is not made of files.
    pub(crate) async fn links(&self, repository: &Repository) -> anyhow::Result<Option<Links>> {
        match self.root() {
            Some(root) => self.engine.links_in_store(&self.container, root, repository).await.map(Some),
            None => Ok(None),
        }
    }

    /// The store, to be read and closed. Only for one on files.
    pub(crate) async fn open_store(&self) -> anyhow::Result<OpenStore<'_>> {
        self.engine.open_store(&self.container, self.root().unwrap_or_default()).await
    }

    /// Manifests by their digests, as far as the files have them.
    pub(crate) async fn manifests(&self, wanted: &[&Digest]) -> anyhow::Result<Vec<(Digest, Arc<[u8]>)>> {
        let mut found = Vec::new();
        if wanted.is_empty() || self.root().is_none() {
            return Ok(found);
        }
        let store = self.open_store().await?;
        let tell = |digest: &Digest, content: &[u8]| found.push((digest.clone(), content.into()));
        let read = store.contents(wanted, LARGEST_MANIFEST, tell).await;
        store.close().await?;
        read.map(|()| found)
    }

    /// When each tag was pushed; what the store does not say is not in the answer.
    pub(crate) async fn push_times(&self) -> anyhow::Result<PushTimes> {
        match self.root() {
            Some(root) => self.engine.push_times(&self.container, root).await,
            None => Ok(PushTimes::new()),
        }
    }

    /// What the server is known to do wrong with tags in a store of objects.
    pub(crate) async fn flaw(&self) -> Option<Flaw> {
        match &self.store.driver {
            Driver::Filesystem { .. } => None,
            Driver::Other(_) => self.engine.server_version(&self.container).await.and_then(Flaw::of),
        }
    }

    /// The size of the store as measured there; `None` where that is not possible.
    pub(crate) async fn size(&self) -> Option<ByteSize> {
        self.engine.store_size(&self.container, self.root()?).await.ok().flatten()
    }

    /// Where the registry is now, if it was at its container's published port and the engine gave it another one.
    pub(crate) async fn moved_to(&self, address: &RegistryAddress) -> Option<RegistryAddress> {
        let before = self.published.as_ref().filter(|published| published.port() == address.port())?;
        let now = self.engine.published_address(&self.container).await.ok()??;
        (now.port() != before.port()).then_some(now)
    }

    /// Whether this container is the registry that was read. Where the way in which it was found leaves a doubt (a proxy
    /// in front, a tunnel to another machine), the tags of one repository are looked up in the container's own store.
    pub(crate) async fn check_identity(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        if self.container.certainty == Certainty::Sure {
            return Ok(());
        }
        let Some(root) = self.root() else { return self.accept_or_doubt(&snapshot.registry) };
        let sample = snapshot.read_repositories().find_map(|(repository, view)| {
            let tags: Vec<(&Tag, &Digest)> = view
                .tags
                .iter()
                .filter_map(|(tag, state)| match state {
                    TagState::At(digest) => Some((tag, digest)),
                    TagState::Dangling | TagState::Unreadable(_) => None,
                })
                .collect();
            (!tags.is_empty()).then_some((repository, tags))
        });
        let Some((repository, tags)) = sample else {
            return self.accept_or_doubt(&snapshot.registry);
        };
        let stored = self.engine.links_in_store(&self.container, root, repository).await?.tags;
        // One tag may have been pushed since it was read; all of them in one repository have not.
        if tags.iter().any(|(tag, digest)| stored.get(*tag) == Some(*digest)) {
            return Ok(());
        }
        Err(self.is_another(&snapshot.registry, repository).into())
    }

    /// Whether this store is that of `registry`, before it is read in its place: where the way in which it was found leaves
    /// a doubt, the tags that were pushed last are looked up there.
    pub(crate) async fn check_store(&self, registry: &Registry, view: &StoreView) -> anyhow::Result<()> {
        const SAMPLES: usize = 8;
        if self.container.certainty == Certainty::Sure {
            return Ok(());
        }
        let mut tags: Vec<(&Repository, &Tag, &Digest, Reverse<_>)> = Vec::new();
        for (repository, stored) in &view.repositories {
            let at = stored.tags.iter().filter_map(|(tag, stored)| {
                let digest = stored.digest.as_ref()?;
                Some((repository, tag, digest, Reverse(stored.pushed)))
            });
            tags.extend(at.filter(|(_, _, digest, _)| stored.revisions.contains_key(*digest)));
            // The latest of all so far.
            tags.sort_by_key(|(.., pushed)| *pushed);
            tags.truncate(SAMPLES);
        }
        if tags.is_empty() {
            return self.accept_or_doubt(registry.address());
        }
        for (repository, tag, digest, _) in tags {
            if registry.resolve(repository, tag).await?.as_ref() != Some(digest) {
                // It may have been pushed or removed since.
                let stored = self.links(repository).await?.unwrap_or_default().tags;
                if registry.resolve(repository, tag).await?.as_ref() != stored.get(tag) {
                    return Err(self.is_another(registry.address(), repository).into());
                }
            }
        }
        Ok(())
    }

    fn is_another(&self, address: &RegistryAddress, repository: &Repository) -> Failure {
        Failure::refused(format!(
            "the container `{}` does not hold what {address} serves: `{repository}` differs in its store",
            self.container.name
        ))
        .hint("name the right container with `--container`, or delete only with `--no-gc`")
    }

    /// Nothing can be compared: a person's word counts, a likeness does not.
    fn accept_or_doubt(&self, address: &RegistryAddress) -> anyhow::Result<()> {
        if self.container.certainty == Certainty::Named {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "whether the container `{}` is the registry at {address} cannot be made sure of ({})",
            self.container.name, self.container.picked_because
        ))
        .hint("name it with `--container`")
        .into())
    }
}
