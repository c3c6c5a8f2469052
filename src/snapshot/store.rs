//! The same from the files of the store. A store that a registry serves changes while it is read: what it leaves open is
//! asked over HTTP, and that answer counts.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::attachments::{self, Named};
use super::{
    Reader, Repositories, Scope, Wanted, facts, list_tags, read_children, read_manifests, read_named,
    read_tags, view_mut, views,
};
use crate::engine::OpenStore;
use crate::model::{
    Digest, Manifest, ManifestState, Ordered, RegistryAddress, Repository, RepositoryState, RepositoryView,
    Shared, Snapshot, StoreView, StoredRepository, Tag, TagState,
};
use crate::place::{Kind, Place, Role, digest_of};
use crate::registry::Registry;
use crate::ui::Ui;

/// Distribution accepts no manifest above 4 MiB.
pub(crate) const LARGEST_MANIFEST: u64 = 16 << 20;
const NOWHERE: &str = "its link in the store holds no digest";
const NOT_READ: &str = "its content in the store is missing or does not fit its digest";

/// Makes a snapshot of what was read of a store. `registry` serves it, if it runs.
pub(crate) async fn from_store(
    (store, view): (&OpenStore<'_>, StoreView),
    registry: Option<&Registry>,
    address: &RegistryAddress,
    wanted: &Wanted<'_>,
    ui: &Ui,
) -> anyhow::Result<Snapshot> {
    let (names, is_whole) = names(registry, &view, &wanted.scope).await?;
    // What is odd may hide something from us that the registry sees, so its own word is taken.
    let odd: BTreeSet<&Repository> = view.odd.iter().filter_map(|odd| odd.repository.as_ref()).into_set();
    let is_clear = |name: &Repository| view.repositories.contains_key(name) && !odd.contains(name);
    let mut repositories = Repositories::new();
    let reader = registry.map(|registry| Reader::new(registry, wanted));
    if let Some(reader) = &reader {
        let unclear = names.iter().filter(|name| !is_clear(name)).cloned().collect();
        repositories = list_tags(reader.registry, unclear, wanted.scope.names().is_some(), ui).await?;
        read_tags(reader, &mut repositories, ui).await;
    }
    let seen = names.iter().filter_map(|name| Some((name, view.repositories.get(name)?)));
    let seen: BTreeMap<&Repository, &StoredRepository> = seen.into_map();
    let mut open = Open::default();
    for (name, stored) in &seen {
        let read = repositories
            .entry((*name).clone())
            .or_insert_with(|| RepositoryState::Read(read_links(name, stored, &view, &mut open)));
        if let RepositoryState::Read(read) = read {
            read.pushed = stored.tags.iter().map(|(tag, stored)| (tag.clone(), stored.pushed)).collect();
        }
    }
    open.digests.extend(broken_revisions(&view, &names));
    read_contents(store, &view, &seen, &mut repositories, &mut open, ui).await;
    match &reader {
        Some(reader) => {
            ask(reader, &mut repositories, open, ui).await;
            read_named(reader, &mut repositories, &wanted.digests).await;
            read_children(reader, &mut repositories, ui).await;
            let is_asked = |name: &Repository| !is_clear(name) && (wanted.referrers)(name);
            attachments::read_referrers(reader, &mut repositories, &is_asked, ui).await;
        }
        None => leave_open(&mut repositories, open),
    }
    let contents = Some((store, &view));
    facts::read_facts(registry, contents, &mut repositories, &wanted.facts, ui).await;
    let mut snapshot = Snapshot {
        registry: address.clone(),
        deletes_tags_by_name: false,
        flaw: None,
        is_whole,
        store: None,
        repositories,
    };
    let (absent, unseen): (BTreeSet<Named>, BTreeSet<Named>) =
        attachments::unseen_subjects(&snapshot, wanted.subjects).into_iter().partition(|(name, subject)| {
            is_clear(name) && !view.repositories[name].revisions.contains_key(subject)
        });
    for (name, subject) in absent {
        if let Some(read) = view_mut(&mut snapshot.repositories, &name) {
            read.absent_subjects.insert(subject);
        }
    }
    if let Some(reader) = &reader {
        attachments::read_subjects(reader, &mut snapshot, unseen, ui).await;
    }
    snapshot.read_repositories_mut().for_each(|(_, view)| view.pack());
    snapshot.store = Some(view);
    Ok(snapshot)
}

/// What the files leave open.
#[derive(Default)]
struct Open {
    tags: Vec<(Repository, Tag, TagState)>,
    digests: Vec<Named>,
}

/// The repositories that are wanted, and whether they are all: those in the store and, while it is served, those that
/// the registry lists, which may lie behind what is not followed.
async fn names(
    registry: Option<&Registry>,
    view: &StoreView,
    scope: &Scope<'_>,
) -> anyhow::Result<(BTreeSet<Repository>, bool)> {
    let listed = match (scope, registry) {
        (Scope::Named(names), _) => return Ok((names.clone(), false)),
        (_, Some(registry)) => registry.catalog().await?,
        (_, None) => Vec::new(),
    };
    let mut names: BTreeSet<Repository> = view.repositories.keys().cloned().chain(listed).into_set();
    let all = names.len();
    if let Scope::Matching(is_wanted) = scope {
        names.retain(|name| is_wanted(name));
    }
    let is_whole = names.len() == all;
    Ok((names, is_whole))
}

/// The tags of a repository. One whose manifest is not there is left open.
fn read_links(
    name: &Repository,
    stored: &StoredRepository,
    view: &StoreView,
    open: &mut Open,
) -> RepositoryView {
    let read = stored.tags.iter().map(|(tag, link)| {
        let state = match &link.digest {
            Some(digest) if is_held(stored, view, digest) => TagState::At(digest.clone()),
            Some(_) => TagState::Dangling,
            None => TagState::Unreadable(NOWHERE.to_owned()),
        };
        if !matches!(state, TagState::At(_)) {
            open.tags.push((name.clone(), tag.clone(), state.clone()));
        }
        (tag.clone(), state)
    });
    RepositoryView { tags: read.collect(), ..RepositoryView::default() }
}

fn is_held(stored: &StoredRepository, view: &StoreView, digest: &Digest) -> bool {
    stored.revisions.contains_key(digest) && view.blobs.contains_key(digest)
}

/// Manifests whose link is broken: by their place they are there.
fn broken_revisions(view: &StoreView, names: &BTreeSet<Repository>) -> Vec<Named> {
    let broken = view.odd.iter().filter_map(|odd| {
        let name = odd.repository.as_ref().filter(|name| names.contains(name))?;
        match Place::of(&odd.path, Kind::File).role {
            Role::Revision(hex) => Some((name.clone(), digest_of(hex)?)),
            _ => None,
        }
    });
    broken.collect()
}

/// Every manifest that a repository holds, with a tag or without. What could not be read is left open.
async fn read_contents(
    store: &OpenStore<'_>,
    view: &StoreView,
    seen: &BTreeMap<&Repository, &StoredRepository>,
    repositories: &mut Repositories,
    open: &mut Open,
    ui: &Ui,
) {
    let mut holders: Vec<(&Digest, &Repository)> = Vec::new();
    for (name, stored) in seen {
        let held = stored.revisions.keys().filter(|digest| is_held(stored, view, digest));
        holders.extend(held.map(|digest| (digest, *name)));
    }
    holders.sort_unstable();
    let is_small =
        |digest: &Digest| view.blobs.get(digest).is_some_and(|blob| blob.size.0 <= LARGEST_MANIFEST);
    let mut readable: Vec<&Digest> = holders.iter().map(|(digest, _)| *digest).collect();
    readable.dedup();
    readable.retain(|digest| is_small(digest));
    let progress = ui.progress("Reading manifests", readable.len());
    let mut shared = Shared::default();
    let mut told: BTreeMap<&Repository, Vec<(Digest, ManifestState)>> = BTreeMap::new();
    let tell = |digest: &Digest, content: &[u8]| {
        progress.advance(1);
        let state = match Manifest::parse_stored(digest.clone(), content) {
            Ok(mut manifest) => {
                shared.share(&mut manifest);
                ManifestState::Read(Box::new(manifest))
            }
            Err(why) => ManifestState::Unreadable(why),
        };
        let first = holders.partition_point(|(held, _)| *held < digest);
        let behind = holders.partition_point(|(held, _)| *held <= digest);
        for ((_, name), state) in holders[first..behind].iter().zip(iter::repeat_n(state, behind - first)) {
            told.entry(*name).or_default().push((digest.clone(), state));
        }
    };
    if let Err(error) = store.contents(&readable, LARGEST_MANIFEST, tell).await {
        ui.debug(|| format!("reading manifests from the store: {error:#}"));
    }
    for (name, told) in told {
        if let Some(read) = view_mut(repositories, name) {
            read.manifests.append(&mut told.into_iter().collect());
        }
    }
    let is_told = |(digest, name): &(&Digest, &Repository)| match repositories.get(*name) {
        Some(RepositoryState::Read(read)) => read.manifests.contains_key(*digest),
        _ => true,
    };
    let untold = holders.into_iter().filter(|holder| !is_told(holder));
    open.digests.extend(untold.map(|(digest, name)| (name.clone(), digest.clone())));
}

async fn ask(reader: &Reader<'_>, repositories: &mut Repositories, open: Open, ui: &Ui) {
    let mut asked = Repositories::new();
    for (name, tag, state) in open.tags {
        if let RepositoryState::Read(view) = asked.entry(name).or_insert_with(nothing) {
            view.tags.insert(tag, state);
        }
    }
    read_tags(reader, &mut asked, ui).await;
    for (name, state) in asked {
        if let (RepositoryState::Read(answer), Some(view)) = (state, view_mut(repositories, &name)) {
            view.tags.extend(answer.tags);
            view.manifests.extend(answer.manifests);
        }
    }
    let is_unread = |(name, digest): &Named| match repositories.get(name) {
        Some(RepositoryState::Read(view)) => view.manifest(digest).is_none(),
        _ => false,
    };
    let digests: Vec<Named> = open.digests.into_iter().filter(is_unread).collect();
    read_manifests(reader, repositories, digests.clone(), ManifestState::Absent).await;
    // Nobody misses it: it went meanwhile.
    for (name, digest) in digests {
        if let Some(view) = view_mut(repositories, &name)
            && matches!(view.manifests.get(&digest), Some(ManifestState::Absent))
        {
            view.manifests.remove(&digest);
        }
    }
}

fn nothing() -> RepositoryState {
    RepositoryState::Read(RepositoryView::default())
}

/// Nobody can be asked.
fn leave_open(repositories: &mut Repositories, open: Open) {
    for (name, digest) in open.digests {
        if let Some(view) = view_mut(repositories, &name) {
            view.manifests.entry(digest).or_insert_with(|| ManifestState::Unreadable(NOT_READ.to_owned()));
        }
    }
    let missing: Vec<Named> = views(repositories)
        .flat_map(|(name, view)| {
            let children = view.read_manifests().flat_map(|(_, manifest)| manifest.child_manifests());
            children
                .filter(|child| !view.manifests.contains_key(&child.digest))
                .map(|child| (name.clone(), child.digest.clone()))
        })
        .collect();
    for (name, digest) in missing {
        if let Some(view) = view_mut(repositories, &name) {
            view.manifests.insert(digest, ManifestState::Absent);
        }
    }
}
