//! A registry's container on an engine, and its store.

use crate::engine::{Certainty, Driver, Engine, Links, PushTimes, RegistryContainer, StoreConfiguration};
use crate::error::Failure;
use crate::model::{ByteSize, Digest, Flaw, RegistryAddress, Repository, Snapshot, Tag, TagState};

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
        let Some(root) = self.root() else { return self.accept_or_doubt(snapshot) };
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
            return self.accept_or_doubt(snapshot);
        };
        let stored = self.engine.links_in_store(&self.container, root, repository).await?.tags;
        // One tag may have been pushed since it was read; all of them in one repository have not.
        if tags.iter().any(|(tag, digest)| stored.get(*tag) == Some(*digest)) {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the container `{}` does not hold what {} serves: `{repository}` differs in its store",
            self.container.name, snapshot.registry
        ))
        .hint("name the right container with `--container`, or delete only with `--no-gc`")
        .into())
    }

    /// Nothing can be compared: a person's word counts, a likeness does not.
    fn accept_or_doubt(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        if self.container.certainty == Certainty::Named {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "whether the container `{}` is the registry at {} cannot be made sure of ({})",
            self.container.name, snapshot.registry, self.container.picked_because
        ))
        .hint("name it with `--container`")
        .into())
    }
}
