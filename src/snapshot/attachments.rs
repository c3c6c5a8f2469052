//! What belongs to manifests: their referrers, where the registry lists them, and whether the subject of an attachment is
//! there although no tag leads to it.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};

use super::{AHEAD, DEEPEST, Reader, Repositories, read_children, read_manifests, view_mut, views};
use crate::model::{Digest, ManifestState, Ordered, Repository, Snapshot, Tag};
use crate::registry::Reference;
use crate::ui::Ui;

/// Manifests that are asked about before an error counts for the whole registry.
const PROBES: usize = 3;

pub(super) type Named = (Repository, Digest);
/// What a registry lists for one manifest, or why that is not known.
type Listed = (Named, Result<Vec<Digest>, String>);

enum Service {
    Absent,
    Serves(Vec<Listed>),
    Unknown(String),
}

/// Lists the referrers of every manifest of the `wanted` repositories, those of referrers too, and reads them. Whether the
/// registry lists any is asked once: Distribution does not, and clients put them into an index under a tag there.
pub(super) async fn read_referrers(
    reader: &Reader<'_>,
    repositories: &mut Repositories,
    wanted: &dyn Fn(&Repository) -> bool,
    ui: &Ui,
) {
    let mut asked = BTreeSet::new();
    let first = match probe(reader, repositories, wanted).await {
        Service::Absent => return,
        Service::Serves(first) => first,
        Service::Unknown(why) => {
            let why = format!("whether the registry lists referrers is not known: {why}");
            for (name, digest) in unasked(repositories, wanted, &asked) {
                note(repositories, &name, digest, why.clone());
            }
            return;
        }
    };
    asked.extend(first.iter().map(|(named, _)| named.clone()));
    take_in(reader, repositories, first).await;
    for depth in 0.. {
        let ahead = unasked(repositories, wanted, &asked);
        if ahead.is_empty() {
            return;
        }
        if depth == DEEPEST {
            for (name, digest) in ahead {
                let why = format!("it is a referrer of more than {DEEPEST} others in a row");
                note(repositories, &name, digest, why);
            }
            return;
        }
        asked.extend(ahead.iter().cloned());
        let progress = ui.progress("Listing referrers", ahead.len());
        let listed = stream::iter(ahead)
            .map(|named| list(reader, named))
            .buffer_unordered(AHEAD)
            .inspect(|_| progress.advance(1))
            .collect()
            .await;
        take_in(reader, repositories, listed).await;
        read_children(reader, repositories, ui).await;
    }
}

async fn probe(
    reader: &Reader<'_>,
    repositories: &Repositories,
    wanted: &dyn Fn(&Repository) -> bool,
) -> Service {
    let firsts = views(repositories).filter(|(name, _)| wanted(name)).filter_map(|(name, view)| {
        let (digest, _) = view.read_manifests().next()?;
        Some((name.clone(), digest.clone()))
    });
    let mut failed: Vec<Listed> = Vec::new();
    for (name, digest) in firsts.take(PROBES) {
        match reader.registry.referrers(&name, &digest).await {
            Ok(None) => return Service::Absent,
            Ok(Some(referrers)) => {
                failed.push(((name, digest), Ok(referrers)));
                return Service::Serves(failed);
            }
            Err(error) => failed.push(((name, digest), Err(error.to_string()))),
        }
    }
    match failed.pop() {
        Some((_, Err(why))) => Service::Unknown(why),
        _ => Service::Absent,
    }
}

async fn list(reader: &Reader<'_>, (name, digest): Named) -> Listed {
    let listed = match reader.registry.referrers(&name, &digest).await {
        Ok(Some(referrers)) => Ok(referrers),
        Ok(None) => {
            Err("the registry lists the referrers of other manifests, but not of this one".to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    ((name, digest), listed)
}

fn unasked(
    repositories: &Repositories,
    wanted: &dyn Fn(&Repository) -> bool,
    asked: &BTreeSet<Named>,
) -> Vec<Named> {
    views(repositories)
        .filter(|(name, _)| wanted(name))
        .flat_map(|(name, view)| view.read_manifests().map(|(digest, _)| (name.clone(), digest.clone())))
        .filter(|named| !asked.contains(named))
        .collect()
}

fn note(repositories: &mut Repositories, name: &Repository, digest: Digest, why: String) {
    if let Some(view) = view_mut(repositories, name) {
        view.unlisted.insert(digest, why);
    }
}

/// A listing only says where to look: what a referrer refers to stands in itself.
async fn take_in(reader: &Reader<'_>, repositories: &mut Repositories, listed: Vec<Listed>) {
    let mut found = BTreeSet::new();
    for ((name, digest), referrers) in listed {
        match referrers {
            Ok(referrers) => found.extend(referrers.into_iter().map(|referrer| (name.clone(), referrer))),
            Err(why) => note(repositories, &name, digest, why),
        }
    }
    let unread = found.into_iter().filter(|(name, digest)| match view_mut(repositories, name) {
        Some(view) => !view.manifests.contains_key(digest),
        None => false,
    });
    let unread: Vec<Named> = unread.collect();
    read_manifests(reader, repositories, unread, ManifestState::Absent).await;
}

/// The subjects of attachments that are in no repository, as far as tags lead, by the repositories that should have them.
pub(super) fn unseen_subjects(
    snapshot: &Snapshot,
    wanted: &dyn Fn(&Repository, &Tag) -> bool,
) -> BTreeSet<Named> {
    if !snapshot.is_known() {
        return BTreeSet::new();
    }
    let known = snapshot.known_manifests();
    let suspects = snapshot.read_repositories().filter(|(_, view)| !view.holds_only_attachments());
    suspects
        .flat_map(|(name, view)| {
            let tags = view.tags.keys().filter(|tag| wanted(name, tag));
            tags.filter_map(|tag| Some((name.clone(), tag.attachment_subject()?)))
        })
        .filter(|(_, subject)| !known.contains(subject))
        .into_set()
}

/// Asks for subjects that were not seen. One that is there after all is read; one that could not be read is neither there
/// nor absent, and its attachment stays.
pub(super) async fn read_subjects(
    reader: &Reader<'_>,
    snapshot: &mut Snapshot,
    unseen: BTreeSet<Named>,
    ui: &Ui,
) {
    if unseen.is_empty() {
        return;
    }
    let asked: Vec<_> = stream::iter(unseen)
        .map(|(name, digest)| async move {
            let manifest = reader.manifest(&name, Reference::Digest(&digest)).await;
            (name, digest, manifest)
        })
        .buffer_unordered(AHEAD)
        .collect()
        .await;
    for (name, digest, manifest) in asked {
        let Some(view) = view_mut(&mut snapshot.repositories, &name) else { continue };
        match manifest {
            Ok(Some(manifest)) => {
                view.manifests.insert(digest, ManifestState::Read(Box::new(manifest)));
            }
            Ok(None) => {
                view.absent_subjects.insert(digest);
            }
            Err(_) => {}
        }
    }
    read_children(reader, &mut snapshot.repositories, ui).await;
}
