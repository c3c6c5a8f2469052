//! Hashes the content of every blob: where it lies, or as it comes over HTTP. What the store does not say is downloaded.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use super::lost;
use crate::engine::path_of;
use crate::integrity::Container;
use crate::model::{ByteSize, Digest, Holdings, Repository, RepositoryView, Snapshot};
use crate::outcome::{Amount, Hashed, Problem};
use crate::registry::Registry;
use crate::site::Site;
use crate::ui::{Progress, Ui};

/// How contents are come by.
pub(crate) enum Source<'a> {
    Store(&'a Site),
    /// The store cannot be reached, and why.
    Download(String),
}

/// What is known of the contents, and what is wrong with them.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) hashed: Hashed,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

/// A blob, with the repositories that serve it.
struct Wanted<'a> {
    size: ByteSize,
    repositories: Vec<&'a Repository>,
}

type AllWanted<'a> = BTreeMap<&'a Digest, Wanted<'a>>;

/// A content that is not what it is to be.
struct Wrong {
    digest: Digest,
    what: String,
    mend: String,
}

const THEN_PUSH: &str = "then push the image again: a registry does not replace a content that it has";

/// Of everything in `holdings` but what is known to be `broken` without looking at contents.
pub(super) async fn check(
    registry: &Registry,
    snapshot: &Snapshot,
    holdings: &Holdings,
    broken: &BTreeSet<(Repository, Digest)>,
    source: &Source<'_>,
    ui: &Ui,
) -> Contents {
    let (wanted, mut contents) = wanted(holdings, broken);
    let progress = ui.progress("Hashing blobs", wanted.len());
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let mut why = match source {
        Source::Download(why) => why.clone(),
        Source::Store(_) => "their files could not be read in the container".to_owned(),
    };
    if let Source::Store(site) = source {
        let (found, error) = in_store(site, &wanted, &progress, &mut seen).await;
        wrong.extend(found);
        why = error.map_or(why, |error| format!("{error:#}"));
        contents.hashed.in_store = amount(&wanted, |digest| seen.contains(digest))
            .map(|amount| (site.container.name.clone(), amount));
    }
    contents.hashed.downloaded = amount(&wanted, |digest| !seen.contains(digest)).map(|amount| (why, amount));
    let rest = wanted.iter().filter(|(digest, _)| !seen.contains(**digest));
    let downloaded: Vec<Option<Wrong>> = stream::iter(rest)
        .map(|(digest, blob)| download(registry, digest, blob))
        .buffer_unordered(super::AHEAD)
        .inspect(|_| progress.advance(1))
        .collect()
        .await;
    wrong.extend(downloaded.into_iter().flatten());
    let empty = RepositoryView::default();
    for Wrong { digest, what, mend } in wrong {
        let repositories = wanted.get(&digest).into_iter().flat_map(|blob| &blob.repositories);
        contents.problems.extend(repositories.map(|repository| Problem {
            mend: mend.clone(),
            ..lost(repository, snapshot.view(repository).unwrap_or(&empty), &digest, &what)
        }));
    }
    contents
}

fn wanted<'a>(holdings: &'a Holdings, broken: &BTreeSet<(Repository, Digest)>) -> (AllWanted<'a>, Contents) {
    let mut wanted = AllWanted::new();
    let mut contents = Contents::default();
    for (repository, blobs) in &holdings.blobs {
        for (digest, size) in
            blobs.iter().filter(|(digest, _)| !broken.contains(&(repository.clone(), (*digest).clone())))
        {
            if digest.is_checkable() {
                let blob = wanted.entry(digest).or_insert(Wanted { size: *size, repositories: Vec::new() });
                blob.repositories.push(repository);
            } else {
                contents.notes.push(format!("`{repository}`: blob {digest} is not hashed: only sha256 is"));
            }
        }
    }
    (wanted, contents)
}

fn amount(wanted: &AllWanted<'_>, counts: impl Fn(&Digest) -> bool) -> Option<Amount> {
    let sizes = wanted.iter().filter(|(digest, _)| counts(digest)).map(|(_, blob)| blob.size.0);
    let amount = sizes.fold(Amount::default(), |sum, size| Amount {
        blobs: sum.blobs + 1,
        bytes: ByteSize(sum.bytes.0.saturating_add(size)),
    });
    (amount.blobs > 0).then_some(amount)
}

/// What is wrong among the files that can be read, each of which is `seen`, and why there are no more of them.
async fn in_store(
    site: &Site,
    wanted: &AllWanted<'_>,
    progress: &Progress,
    seen: &mut BTreeSet<Digest>,
) -> (Vec<Wrong>, Option<anyhow::Error>) {
    let Some(root) = site.root() else { return (Vec::new(), None) };
    let blobs: Vec<(&Digest, ByteSize)> = wanted.iter().map(|(digest, blob)| (*digest, blob.size)).collect();
    let mut differing = Vec::new();
    let hashed = site.engine.hash_blobs(&site.container, root, &blobs, |digest, found| {
        if wanted.contains_key(digest) && seen.insert(digest.clone()) {
            progress.advance(1);
            if digest != found {
                differing.push((digest.clone(), found.clone()));
            }
        }
    });
    let hashed = hashed.await;
    let mut wrong = Vec::new();
    for (digest, found) in differing {
        let length = site.engine.length_in_store(&site.container, root, &digest).await;
        let expected = wanted.get(&digest).map_or(ByteSize(0), |blob| blob.size);
        let container = Container { name: &site.container.name, file: &|digest| path_of(root, digest) };
        wrong.push(Wrong {
            what: differs(&digest, expected, &found, length),
            mend: container.replace(&digest),
            digest,
        });
    }
    (wrong, hashed.err())
}

/// The content is the same in every repository, so one is asked.
async fn download(registry: &Registry, digest: &Digest, blob: &Wanted<'_>) -> Option<Wrong> {
    let repository = blob.repositories.first()?;
    let what = match registry.hash_blob(repository, digest, blob.size).await {
        Ok(Some((found, _))) if found == *digest => return None,
        Ok(Some((found, length))) => differs(digest, blob.size, &found, Some(length)),
        Ok(None) => format!("the content of blob {digest} is missing"),
        Err(error) => format!("the content of blob {digest} cannot be read: {error}"),
    };
    let mend =
        format!("have its file removed from the registry's storage and the registry restarted, {THEN_PUSH}");
    Some(Wrong { digest: digest.clone(), what, mend })
}

fn differs(digest: &Digest, size: ByteSize, found: &Digest, length: Option<u64>) -> String {
    match length {
        Some(length) if length != size.0 => {
            format!(
                "the content of blob {digest} has {length} bytes where its manifest says {}, and hashes to {found}",
                size.0
            )
        }
        _ => format!("the content of blob {digest} hashes to {found}"),
    }
}
