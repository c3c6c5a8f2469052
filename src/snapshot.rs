//! Reads a registry over its HTTP API, or the files of its store: everything is asked once, and what could not be read is
//! part of the answer.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use crate::engine::Extent;
use crate::model::{
    Digest, Manifest, ManifestState, Ordered, Repository, RepositoryState, RepositoryView, Shared, Snapshot,
    Tag, TagState,
};
use crate::registry::{self, Reference, Registry};
use crate::ui::Ui;

mod attachments;
mod facts;
mod store;

pub(crate) use facts::{WantedFacts, read_facts};
pub(crate) use store::{LARGEST_MANIFEST, from_store};

/// Requests prepared at one time; how many are sent at one time is the registry client's to bound.
const AHEAD: usize = 64;
/// Indexes within indexes deeper than this are not followed: they are unknown, and unknown is kept.
const DEEPEST: usize = 8;
/// How much of the registry a command needs.
pub(crate) enum Scope<'a> {
    Whole,
    /// The repositories of the catalog that are wanted.
    Matching(&'a dyn Fn(&Repository) -> bool),
    Named(BTreeSet<Repository>),
}

impl Scope<'_> {
    /// The repositories, where they were named.
    pub(crate) fn names(&self) -> Option<&BTreeSet<Repository>> {
        match self {
            Self::Named(names) => Some(names),
            Self::Whole | Self::Matching(_) => None,
        }
    }
}

/// What is read beside tags and manifests.
pub(crate) struct Wanted<'a> {
    pub(crate) scope: Scope<'a>,
    /// Of the store, where that is read.
    pub(crate) extent: Extent,
    /// Manifests that no tag has to lead to.
    pub(crate) digests: Vec<(Repository, Digest)>,
    pub(crate) facts: WantedFacts<'a>,
    /// The repositories from which something may go: who refers to their manifests matters.
    pub(crate) referrers: &'a dyn Fn(&Repository) -> bool,
    /// Whether the bytes of manifests are held: something may go, and what goes is saved first.
    pub(crate) raw: bool,
    /// The attachments that may go if their subject is nowhere.
    pub(crate) subjects: &'a dyn Fn(&Repository, &Tag) -> bool,
}

impl<'a> Wanted<'a> {
    /// Tags, manifests and the parts of indexes, and nothing beside them.
    pub(crate) fn within(scope: Scope<'a>) -> Self {
        let none = &|_: &Repository, _: &Tag| false;
        Self {
            scope,
            extent: Extent::Present,
            digests: Vec::new(),
            facts: WantedFacts { of: none, labels: &|_| false },
            referrers: &|_| false,
            raw: false,
            subjects: none,
        }
    }
}

pub(crate) async fn take(registry: &Registry, wanted: &Wanted<'_>, ui: &Ui) -> anyhow::Result<Snapshot> {
    let (names, are_named): (Vec<Repository>, bool) = match &wanted.scope {
        Scope::Named(names) => (names.iter().cloned().collect(), true),
        Scope::Whole | Scope::Matching(_) => (registry.catalog().await?, false),
    };
    let listed = names.len();
    let names: Vec<Repository> = match &wanted.scope {
        Scope::Matching(is_wanted) => names.into_iter().filter(|name| is_wanted(name)).collect(),
        Scope::Whole | Scope::Named(_) => names,
    };
    let is_whole = !are_named && names.len() == listed;
    let mut repositories = list_tags(registry, names, are_named, ui).await?;
    let reader = Reader::new(registry, wanted);
    read_tags(&reader, &mut repositories, ui).await;
    read_named(&reader, &mut repositories, &wanted.digests).await;
    read_children(&reader, &mut repositories, ui).await;
    attachments::read_referrers(&reader, &mut repositories, wanted.referrers, ui).await;
    read_facts(Some(registry), None, &mut repositories, &wanted.facts, ui).await;
    let mut snapshot = Snapshot {
        registry: registry.address().clone(),
        deletes_tags_by_name: false,
        flaw: None,
        is_whole,
        store: None,
        repositories,
    };
    let subjects = attachments::unseen_subjects(&snapshot, wanted.subjects);
    attachments::read_subjects(&reader, &mut snapshot, subjects, ui).await;
    snapshot.read_repositories_mut().for_each(|(_, view)| view.pack());
    Ok(snapshot)
}

/// Reads manifests, and holds once what they have in common.
struct Reader<'a> {
    registry: &'a Registry,
    holds_raw: bool,
    shared: RefCell<Shared>,
}

impl<'a> Reader<'a> {
    fn new(registry: &'a Registry, wanted: &Wanted<'_>) -> Self {
        Self { registry, holds_raw: wanted.raw, shared: RefCell::default() }
    }

    async fn manifest(
        &self,
        repository: &Repository,
        reference: Reference<'_>,
    ) -> Result<Option<Manifest>, registry::Error> {
        let mut manifest = self.registry.manifest(repository, reference).await?;
        if let Some(manifest) = &mut manifest {
            self.shared.borrow_mut().share(manifest);
            manifest.raw = manifest.raw.take().filter(|_| self.holds_raw);
        }
        Ok(manifest)
    }
}

type Repositories = BTreeMap<Repository, RepositoryState>;

async fn list_tags(
    registry: &Registry,
    names: Vec<Repository>,
    are_named: bool,
    ui: &Ui,
) -> Result<Repositories, registry::Error> {
    let progress = ui.progress("Listing tags", names.len());
    let mut listed: Vec<_> = stream::iter(names)
        .map(|name| async move {
            let tags = registry.tags(&name).await;
            (name, tags)
        })
        .buffer_unordered(AHEAD)
        .inspect(|_| progress.advance(1))
        .collect()
        .await;
    // Who may read nothing at all needs the mend of the first refusal, not a list of them.
    if listed.iter().all(|(_, tags)| tags.as_ref().is_err_and(is_refusal))
        && let Some((_, Err(refusal))) = listed.pop()
    {
        return Err(refusal);
    }
    let unread = || TagState::Unreadable("not read yet".to_owned());
    let repositories = listed
        .into_iter()
        .filter_map(|(name, tags)| match tags {
            Ok(tags) => {
                let tags = tags.into_iter().map(|tag| (tag, unread())).collect();
                Some((name, RepositoryState::Read(RepositoryView { tags, ..RepositoryView::default() })))
            }
            // An emptied repository stays in the catalog; one that was named and is not there is simply absent.
            Err(error) if error.is_absent() => {
                (!are_named).then(|| (name, RepositoryState::Read(RepositoryView::default())))
            }
            Err(error) => Some((name, RepositoryState::Unreadable(error.to_string()))),
        })
        .into_map();
    Ok(repositories)
}

fn is_refusal(error: &registry::Error) -> bool {
    matches!(error.kind(), registry::Kind::Unauthorized | registry::Kind::Denied)
}

fn views(repositories: &Repositories) -> impl Iterator<Item = (&Repository, &RepositoryView)> {
    repositories.iter().filter_map(|(name, state)| match state {
        RepositoryState::Read(view) => Some((name, view)),
        RepositoryState::Unreadable(_) => None,
    })
}

fn view_mut<'a>(repositories: &'a mut Repositories, name: &Repository) -> Option<&'a mut RepositoryView> {
    match repositories.get_mut(name) {
        Some(RepositoryState::Read(view)) => Some(view),
        _ => None,
    }
}

/// One request per tag: it gives the digest and the manifest at once.
async fn read_tags(reader: &Reader<'_>, repositories: &mut Repositories, ui: &Ui) {
    let wanted: Vec<(Repository, Tag)> = views(repositories)
        .flat_map(|(name, view)| view.tags.keys().map(|tag| (name.clone(), tag.clone())))
        .collect();
    let progress = ui.progress("Reading tags", wanted.len());
    let mut read = stream::iter(wanted)
        .map(|(name, tag)| async move {
            let manifest = reader.manifest(&name, Reference::Tag(&tag)).await;
            (name, tag, manifest)
        })
        .buffer_unordered(AHEAD);
    while let Some((name, tag, manifest)) = read.next().await {
        progress.advance(1);
        let Some(view) = view_mut(repositories, &name) else {
            continue;
        };
        let state = match manifest {
            Ok(Some(manifest)) => {
                let digest = manifest.digest.clone();
                view.manifests.entry(digest.clone()).or_insert(ManifestState::Read(Box::new(manifest)));
                TagState::At(digest)
            }
            Ok(None) => TagState::Dangling,
            Err(error) => TagState::Unreadable(error.to_string()),
        };
        view.tags.insert(tag, state);
    }
}

async fn read_named(reader: &Reader<'_>, repositories: &mut Repositories, digests: &[(Repository, Digest)]) {
    let wanted: Vec<_> = digests
        .iter()
        .filter(|(name, digest)| match repositories.get(name) {
            Some(RepositoryState::Read(view)) => !view.manifests.contains_key(digest),
            _ => false,
        })
        .cloned()
        .collect();
    read_manifests(reader, repositories, wanted, ManifestState::Absent).await;
    // What a person named and nobody has is no part of the registry.
    for (name, digest) in digests {
        if let Some(view) = view_mut(repositories, name)
            && matches!(view.manifests.get(digest), Some(ManifestState::Absent))
        {
            view.manifests.remove(digest);
        }
    }
}

async fn read_children(reader: &Reader<'_>, repositories: &mut Repositories, ui: &Ui) {
    for depth in 0.. {
        let wanted: BTreeSet<(Repository, Digest)> = views(repositories)
            .flat_map(|(name, view)| {
                let read = view.manifests.values().filter_map(|state| match state {
                    ManifestState::Read(manifest) => Some(manifest),
                    ManifestState::Absent | ManifestState::Unreadable(_) => None,
                });
                read.flat_map(|manifest| manifest.child_manifests())
                    .filter(|child| !view.manifests.contains_key(&child.digest))
                    .map(|child| (name.clone(), child.digest.clone()))
            })
            .into_set();
        if wanted.is_empty() {
            return;
        }
        if depth == DEEPEST {
            for (name, digest) in wanted {
                if let Some(view) = view_mut(repositories, &name) {
                    let why = format!("it is more than {DEEPEST} indexes deep");
                    view.manifests.insert(digest, ManifestState::Unreadable(why));
                }
            }
            return;
        }
        let _progress = ui.spinner("Reading the parts of indexes");
        read_manifests(reader, repositories, wanted.into_iter().collect(), ManifestState::Absent).await;
    }
}

async fn read_manifests(
    reader: &Reader<'_>,
    repositories: &mut Repositories,
    wanted: Vec<(Repository, Digest)>,
    absent: ManifestState,
) {
    let mut read = stream::iter(wanted)
        .map(|(name, digest)| async move {
            let manifest = reader.manifest(&name, Reference::Digest(&digest)).await;
            (name, digest, manifest)
        })
        .buffer_unordered(AHEAD);
    while let Some((name, digest, manifest)) = read.next().await {
        let state = match manifest {
            Ok(Some(manifest)) => ManifestState::Read(Box::new(manifest)),
            Ok(None) => absent.clone(),
            Err(error) => ManifestState::Unreadable(error.to_string()),
        };
        if let Some(view) = view_mut(repositories, &name) {
            view.manifests.insert(digest, state);
        }
    }
}
