//! Looks again: does every tag resolve, and is everything it needs there? After a run the measure is what the plan
//! kept; `verify` takes what the registry itself says it has.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};

use crate::engine::path_of;
use crate::integrity::{self, Container, Findings, PUSH_AGAIN, tags_needing};
use crate::model::{
    ByteSize, Digest, Holdings, ManifestState, Ordered, Repository, RepositoryState, RepositoryView,
    Snapshot, Tag, TagState,
};
use crate::outcome::{Problem, Verified};
use crate::registry::{self, Reference, Registry};
use crate::site::Site;
use crate::snapshot::{self, Scope, Wanted};
use crate::ui::Ui;

mod contents;
mod stored;

pub(crate) use contents::Source;
pub(crate) use stored::compare_stored;

const AHEAD: usize = 64;

/// Checks what `snapshot` found, and every blob it needs: by its file where the store was read, else each is asked for.
/// With a source for contents they are hashed as well.
pub(crate) async fn check(
    registry: &Registry,
    snapshot: &Snapshot,
    site: Option<&Site>,
    source: Option<&Source<'_>>,
    ui: &Ui,
) -> Verified {
    let holdings = Holdings::of(snapshot);
    let mut problems = unread(snapshot);
    let found = match (&snapshot.store, site.and_then(|site| Some((site, site.root()?)))) {
        (Some(store), Some((site, root))) => {
            let file = |digest: &Digest| path_of(root, digest);
            integrity::check(snapshot, store, &Container { name: &site.container.name, file: &file })
        }
        _ => ask_for_blobs(registry, snapshot, &holdings, ui).await,
    };
    problems.extend(found.problems);
    let mut notes = found.notes;
    let Some(source) = source else {
        return finish(&holdings, problems, notes);
    };
    let contents = contents::check(registry, snapshot, &holdings, &found.broken, source, ui).await;
    problems.extend(contents.problems);
    notes.extend(contents.notes);
    Verified { hashed: Some(contents.hashed), ..finish(&holdings, problems, notes) }
}

async fn ask_for_blobs(registry: &Registry, snapshot: &Snapshot, holdings: &Holdings, ui: &Ui) -> Findings {
    let broken = broken_blobs(registry, holdings, ui).await;
    Findings {
        problems: broken.iter().map(|broken| broken.problem(snapshot)).collect(),
        broken: broken.iter().map(|broken| (broken.repository.clone(), broken.digest.clone())).into_set(),
        notes: Vec::new(),
    }
}

/// Reads the registry again and compares it with what was to be kept.
pub(crate) async fn compare(registry: &Registry, kept: &Holdings, ui: &Ui) -> anyhow::Result<Verified> {
    let names: BTreeSet<Repository> =
        kept.tags.iter().filter(|(_, tags)| !tags.is_empty()).map(|(name, _)| name.clone()).into_set();
    let wanted = Wanted::within(Scope::Named(names));
    let now = snapshot::take(registry, &wanted, ui).await?;
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    for (repository, tags) in &kept.tags {
        for (tag, digest) in tags {
            match now.view(repository).and_then(|view| view.tags.get(tag)) {
                Some(TagState::At(at)) if at == digest => {}
                Some(TagState::At(_)) => {
                    notes.push(format!("`{repository}:{tag}` was pushed again meanwhile"));
                }
                Some(TagState::Dangling) => problems.push(lost_tag(repository, tag, "its manifest is gone")),
                Some(TagState::Unreadable(why)) => {
                    problems.push(lost_tag(repository, tag, &format!("it can no longer be read: {why}")));
                }
                None => problems.push(match now.repositories.get(repository) {
                    Some(RepositoryState::Unreadable(why)) => {
                        lost_tag(repository, tag, &format!("its repository can no longer be listed: {why}"))
                    }
                    _ => lost_tag(repository, tag, "it is no longer listed"),
                }),
            }
        }
    }
    problems.extend(check_manifests(registry, kept, &now).await);
    let broken = broken_blobs(registry, kept, ui).await;
    problems.extend(broken.iter().map(|broken| broken.problem(&now)));
    Ok(finish(kept, problems, notes))
}

/// Whether the registry serves one tag of each repository as it is to be.
pub(crate) async fn is_served(registry: &Registry, kept: &Holdings) -> Result<bool, registry::Error> {
    let first = kept.tags.iter().filter_map(|(name, tags)| Some((name, tags.first_key_value()?)));
    let mut asked = stream::iter(first)
        .map(|(name, (tag, digest))| async move {
            Ok(registry.resolve(name, tag).await?.as_ref() == Some(digest))
        })
        .buffer_unordered(AHEAD);
    while let Some(is_served) = asked.next().await {
        if !is_served? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn finish(holdings: &Holdings, mut problems: Vec<Problem>, notes: Vec<String>) -> Verified {
    problems.sort_unstable();
    problems.dedup();
    Verified {
        tags: holdings.tag_count(),
        manifests: holdings.manifest_count(),
        blobs: holdings.all_blobs().len(),
        problems,
        notes,
        hashed: None,
    }
}

fn lost_tag(repository: &Repository, tag: &Tag, what: &str) -> Problem {
    Problem {
        repository: repository.clone(),
        tags: vec![tag.clone()],
        what: format!("`{repository}:{tag}`: {what}"),
        mend: PUSH_AGAIN.to_owned(),
    }
}

/// What the snapshot itself found wrong.
fn unread(snapshot: &Snapshot) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (repository, state) in &snapshot.repositories {
        let view = match state {
            RepositoryState::Read(view) => view,
            RepositoryState::Unreadable(why) => {
                problems.push(Problem {
                    repository: repository.clone(),
                    tags: Vec::new(),
                    what: format!("`{repository}` cannot be listed: {why}"),
                    mend: "see what the registry logs about it".to_owned(),
                });
                continue;
            }
        };
        for (tag, state) in &view.tags {
            let (what, mend) = match state {
                TagState::At(_) => continue,
                TagState::Dangling => (
                    "it is listed, but there is no manifest for it".to_owned(),
                    format!("`docker registry rm {}/{repository}:{tag}`, or {PUSH_AGAIN}", snapshot.registry),
                ),
                TagState::Unreadable(why) => (format!("it cannot be read: {why}"), PUSH_AGAIN.to_owned()),
            };
            problems.push(Problem { mend, ..lost_tag(repository, tag, &what) });
        }
        for (digest, state) in &view.manifests {
            let what = match state {
                ManifestState::Read(_) => continue,
                ManifestState::Absent => "is missing from its index".to_owned(),
                ManifestState::Unreadable(why) => format!("cannot be read: {why}"),
            };
            problems.push(lost(repository, view, digest, &format!("manifest {digest} {what}")));
        }
    }
    problems
}

fn lost(repository: &Repository, view: &RepositoryView, digest: &Digest, what: &str) -> Problem {
    Problem {
        repository: repository.clone(),
        tags: tags_needing(view, [digest]).remove(digest).unwrap_or_default(),
        what: format!("`{repository}`: {what}"),
        mend: PUSH_AGAIN.to_owned(),
    }
}

/// Kept manifests that the second reading did not come across are asked for by their digest.
async fn check_manifests(registry: &Registry, kept: &Holdings, now: &Snapshot) -> Vec<Problem> {
    let unseen = kept.manifests.iter().flat_map(|(repository, digests)| {
        digests
            .iter()
            .filter(move |digest| now.view(repository).is_none_or(|view| view.manifest(digest).is_none()))
            .map(move |digest| (repository, digest))
    });
    stream::iter(unseen)
        .map(|(repository, digest)| async move {
            let what = match registry.manifest(repository, Reference::Digest(digest)).await {
                Ok(Some(_)) => return None,
                Ok(None) => "is gone".to_owned(),
                Err(error) => format!("can no longer be read: {error}"),
            };
            let empty = RepositoryView::default();
            let view = now.view(repository).unwrap_or(&empty);
            Some(lost(repository, view, digest, &format!("manifest {digest} {what}")))
        })
        .buffer_unordered(AHEAD)
        .filter_map(|problem| async { problem })
        .collect()
        .await
}

/// A blob that a repository needs and does not serve as it should.
struct Broken<'a> {
    repository: &'a Repository,
    digest: &'a Digest,
    what: String,
}

impl Broken<'_> {
    fn problem(&self, now: &Snapshot) -> Problem {
        let empty = RepositoryView::default();
        lost(self.repository, now.view(self.repository).unwrap_or(&empty), self.digest, &self.what)
    }
}

/// Every blob is asked for in every repository that needs it: the content may be there and the link to it missing.
async fn broken_blobs<'a>(registry: &Registry, holdings: &'a Holdings, ui: &Ui) -> Vec<Broken<'a>> {
    let wanted: Vec<(&Repository, &Digest, ByteSize)> = holdings
        .blobs
        .iter()
        .flat_map(|(repository, blobs)| blobs.iter().map(move |(digest, size)| (repository, digest, *size)))
        .collect();
    let progress = ui.progress("Verifying blobs", wanted.len());
    stream::iter(wanted)
        .map(|(repository, digest, size)| async move {
            let what = match registry.blob_size(repository, digest).await {
                Ok(Some(found)) if found == size.0 => return None,
                Ok(Some(found)) => {
                    format!("blob {digest} has {found} bytes where its manifest says {}", size.0)
                }
                Ok(None) => format!("blob {digest} is missing"),
                Err(error) => format!("blob {digest} cannot be read: {error}"),
            };
            Some(Broken { repository, digest, what })
        })
        .buffer_unordered(AHEAD)
        .inspect(|_| progress.advance(1))
        .filter_map(|broken| async { broken })
        .collect()
        .await
}
