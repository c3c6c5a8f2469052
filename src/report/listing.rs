//! `docker registry ls`: tags with what they hold.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{ByteSize, Digest, ManifestState, Repository, RepositoryView, Snapshot, Tag, TagState};
use crate::reference::Pattern;

use super::table::columns;

/// What is listed, and how.
pub(crate) struct Listing<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) patterns: &'a [Pattern],
    pub(crate) now: Timestamp,
}

impl Listing<'_> {
    fn tags(&self) -> impl Iterator<Item = (&Repository, &RepositoryView, &Tag, &TagState)> {
        self.snapshot
            .read_repositories()
            .flat_map(|(repository, view)| {
                view.tags.iter().map(move |(tag, state)| (repository, view, tag, state))
            })
            .filter(|(repository, _, tag, _)| {
                self.patterns.is_empty()
                    || self.patterns.iter().any(|pattern| pattern.covers(repository, tag))
            })
    }

    /// Only a store tells when a tag was pushed; where none was read there is no column for it.
    pub(crate) fn table(&self, is_untruncated: bool) -> String {
        const PUSHED: usize = 5;
        let tells_pushes = self.tags().any(|(_, view, tag, _)| view.pushed.contains_key(tag));
        let mut head = vec!["REPOSITORY", "TAG", "DIGEST", "PLATFORM", "CREATED", "PUSHED", "SIZE"];
        let rows = self.tags().map(|(repository, view, tag, state)| {
            let dash = || "-".to_owned();
            let (digest, platforms, created, bytes) = match state {
                TagState::At(digest) => {
                    let platforms =
                        view.platforms(digest).iter().map(ToString::to_string).collect::<Vec<_>>();
                    (
                        if is_untruncated { digest.to_string() } else { digest.short() },
                        if platforms.is_empty() { dash() } else { platforms.join(",") },
                        view.created(digest, self.now).at().map_or_else(dash, |at| ago(at, self.now)),
                        size(view, digest).to_string(),
                    )
                }
                TagState::Dangling => ("<no manifest>".to_owned(), dash(), dash(), dash()),
                TagState::Unreadable(_) => ("<unreadable>".to_owned(), dash(), dash(), dash()),
            };
            let pushed = view.pushed.get(tag).map_or_else(dash, |at| ago(*at, self.now));
            let (repository, tag) = (repository.to_string(), tag.to_string());
            let mut row = vec![repository, tag, digest, platforms, created, pushed, bytes];
            if !tells_pushes {
                row.remove(PUSHED);
            }
            row
        });
        if !tells_pushes {
            head.remove(PUSHED);
        }
        columns(&head, rows)
    }

    /// References that `docker pull` and `docker registry rm` take.
    pub(crate) fn references(&self) -> String {
        self.tags()
            .map(|(repository, _, tag, _)| format!("{}/{repository}:{tag}\n", self.snapshot.registry))
            .collect()
    }

    pub(crate) fn document(&self) -> Value {
        let tags = self.tags().map(|(repository, view, tag, state)| {
            let pushed = view.pushed.get(tag);
            let mut entry = json!({ "repository": repository, "tag": tag, "pushed": pushed });
            let details = match state {
                TagState::At(digest) => {
                    let manifest = view.manifest(digest);
                    json!({
                        "digest": digest,
                        "mediaType": manifest.map(|manifest| &manifest.media_type),
                        "kind": manifest.map(|manifest| manifest.kind),
                        "platforms": view.platforms(digest).iter().map(ToString::to_string).collect::<Vec<_>>(),
                        "created": view.created(digest, self.now),
                        "size": size(view, digest),
                    })
                }
                TagState::Dangling => json!({ "unreadable": "the registry has no manifest for it" }),
                TagState::Unreadable(why) => json!({ "unreadable": why }),
            };
            if let (Value::Object(entry), Value::Object(details)) = (&mut entry, details) {
                entry.extend(details);
            }
            entry
        });
        json!({
            "version": super::json::VERSION,
            "command": "ls",
            "registry": self.snapshot.registry,
            "tags": tags.collect::<Vec<_>>(),
            "unreadable": super::json::unreadable(self.snapshot),
        })
    }
}

/// How long ago, as `docker images` says it.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - at.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 60 => "Less than a minute ago".to_owned(),
        () if minutes == 1 => "About a minute ago".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes ago"),
        () if hours == 1 => "About an hour ago".to_owned(),
        () if hours < 48 => format!("{hours} hours ago"),
        () if days < 14 => format!("{days} days ago"),
        () if days < 60 => format!("{} weeks ago", days / 7),
        () if days < 730 => format!("{} months ago", days / 30),
        () => format!("{} years ago", days / 365),
    }
}

/// What the registry stores for it: its manifest, those of an index's parts, and their blobs, each counted once.
fn size(view: &RepositoryView, digest: &Digest) -> ByteSize {
    let mut sizes = std::collections::BTreeMap::new();
    for digest in view.reachable([digest]) {
        if let Some(ManifestState::Read(manifest)) = view.manifests.get(digest) {
            sizes.insert(digest, manifest.size);
            sizes.extend(
                manifest.blobs().filter(|blob| !blob.is_foreign).map(|blob| (&blob.digest, blob.size)),
            );
        }
    }
    sizes.into_values().sum()
}
