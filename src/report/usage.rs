//! `docker registry df`: where the space is, for people and for programs.

use std::cmp::Reverse;
use std::fmt::Write as _;

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{ByteSize, Repository, RepositoryView, Snapshot, Tag, TagState};
use crate::reference::Pattern;
use crate::usage::{Garbage, Kind, RepositoryUsage, Space, Usage};

use super::listing::ago;
use super::table::columns;

/// What is told, and in which order.
pub(crate) struct Report<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) usage: &'a Usage<'a>,
    pub(crate) patterns: &'a [Pattern],
    pub(crate) sort: Sort,
    pub(crate) now: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Size,
    Unique,
    Name,
}

/// A line of a table.
struct Row<'a> {
    repository: &'a Repository,
    tag: Option<&'a Tag>,
    space: Space,
}

impl Report<'_> {
    pub(crate) fn table(&self) -> String {
        let rows = self.repositories().map(|(name, of)| {
            let view = self.snapshot.view(name);
            let tags = view.map_or(0, |view| view.tags.len());
            [vec![name.to_string(), tags.to_string()], sizes(of.space)].concat()
        });
        let table = columns(&["REPOSITORY", "TAGS", "SIZE", "SHARED", "UNIQUE"], rows);
        table + &self.rest()
    }

    /// A line for each tag.
    pub(crate) fn details(&self) -> String {
        let mut tags: Vec<Row> = self.repositories().flat_map(|(name, of)| self.tags(name, of)).collect();
        self.order(&mut tags);
        let rows = tags.into_iter().map(|row| {
            let view = self.snapshot.view(row.repository);
            let age = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| ago(at, self.now));
            let (created, pushed) =
                view.zip(row.tag).map_or((None, None), |(view, tag)| self.dates(view, tag));
            let name = [row.repository.to_string(), row.tag.map(ToString::to_string).unwrap_or_default()];
            [name.to_vec(), vec![age(created), age(pushed)], sizes(row.space)].concat()
        });
        let table = columns(&["REPOSITORY", "TAG", "CREATED", "PUSHED", "SIZE", "SHARED", "UNIQUE"], rows);
        table + &self.rest()
    }

    pub(crate) fn document(&self) -> Value {
        let repositories = self.repositories().map(|(name, of)| {
            let mut tags: Vec<Row> = self.tags(name, of).collect();
            self.order(&mut tags);
            let view = self.snapshot.view(name);
            let tags = tags.into_iter().filter_map(|row| {
                let (view, tag) = (view?, row.tag?);
                let (created, pushed) = self.dates(view, tag);
                let digest = match view.tags.get(tag) {
                    Some(TagState::At(digest)) => Some(digest),
                    _ => None,
                };
                Some(json!({
                    "tag": tag,
                    "digest": digest,
                    "created": created,
                    "pushed": pushed,
                    "sizeBytes": row.space.size,
                    "sharedBytes": row.space.shared(),
                    "uniqueBytes": row.space.unique.bytes,
                }))
            });
            json!({
                "repository": name,
                "sizeBytes": of.space.size,
                "sharedBytes": of.space.shared(),
                "uniqueBytes": of.space.unique.bytes,
                "tags": tags.collect::<Vec<_>>(),
            })
        });
        json!({
            "version": super::json::VERSION,
            "command": "df",
            "registry": self.snapshot.registry,
            "repositories": repositories.collect::<Vec<_>>(),
            "inUseBytes": self.usage.in_use.bytes,
            "sharedBytes": self.usage.shared.bytes,
            "garbage": self.usage.garbage.iter().map(|(kind, garbage)| garbage_document(*kind, *garbage)).collect::<Vec<_>>(),
            "reclaimableBytes": self.usage.reclaimable().bytes,
            "onDisk": self.on_disk(),
            "isCertain": self.usage.is_certain,
            "unreadable": super::json::unreadable(self.snapshot),
        })
    }

    /// The parts of what the store takes; they add up to it.
    fn on_disk(&self) -> Option<Value> {
        let garbage: ByteSize =
            self.usage.garbage.values().flatten().map(|garbage| garbage.only.on_disk).sum();
        Some(json!({
            "bytes": self.usage.on_disk?,
            "inUseBytes": self.usage.in_use.on_disk,
            "garbageBytes": garbage,
            "uploadBytes": self.usage.uploads.on_disk,
            "overheadBytes": self.usage.overhead()?,
        }))
    }

    fn repositories(&self) -> impl Iterator<Item = (&Repository, &RepositoryUsage<'_>)> {
        let is_meant = |name: &Repository, of: &RepositoryUsage| {
            let covers = |pattern: &Pattern| {
                pattern.covers_repository(name)
                    && (pattern.tag_text().is_none() || of.tags.keys().any(|tag| pattern.covers(name, tag)))
            };
            self.patterns.is_empty() || self.patterns.iter().any(covers)
        };
        let meant = self.usage.repositories.iter().filter(|(name, of)| is_meant(name, of));
        let mut rows: Vec<_> =
            meant.map(|(name, of)| (Row { repository: name, tag: None, space: of.space }, of)).collect();
        rows.sort_by_key(|(row, _)| self.rank(row));
        rows.into_iter().map(|(row, of)| (row.repository, of))
    }

    fn tags<'r>(
        &'r self,
        repository: &'r Repository,
        of: &'r RepositoryUsage<'_>,
    ) -> impl Iterator<Item = Row<'r>> {
        let is_meant = move |tag: &Tag| {
            self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.covers(repository, tag))
        };
        let tags = of.tags.iter().filter(move |(tag, _)| is_meant(tag));
        tags.map(move |(tag, space)| Row { repository, tag: Some(*tag), space: *space })
    }

    fn order(&self, rows: &mut [Row]) {
        rows.sort_by_key(|row| self.rank(row));
    }

    /// The largest first; by name where they are equal.
    fn rank(&self, row: &Row) -> Reverse<ByteSize> {
        Reverse(match self.sort {
            Sort::Size => row.space.size,
            Sort::Unique => row.space.unique.bytes,
            Sort::Name => ByteSize(0),
        })
    }

    fn dates(&self, view: &RepositoryView, tag: &Tag) -> (Option<Timestamp>, Option<Timestamp>) {
        let created = match view.tags.get(tag) {
            Some(TagState::At(digest)) => view.created(digest, self.now).at(),
            _ => None,
        };
        (created, view.pushed.get(tag).copied())
    }

    /// The garbage and the sums, which are about the whole registry.
    fn rest(&self) -> String {
        if !self.patterns.is_empty() {
            return String::new();
        }
        let usage = self.usage;
        let rows = usage.garbage.iter().map(|(kind, garbage)| {
            let shown = |size: Option<ByteSize>| size.map_or_else(|| "-".to_owned(), |size| size.to_string());
            vec![
                kind.to_string(),
                garbage.map_or_else(|| "-".to_owned(), |garbage| garbage.total.to_string()),
                shown(garbage.map(|garbage| garbage.size.bytes)),
                shown(garbage.and_then(|garbage| garbage.reclaimable).map(|part| part.bytes)),
            ]
        });
        let mut text = format!("\n{}\n", columns(&["GARBAGE", "TOTAL", "SIZE", "RECLAIMABLE"], rows));
        let (in_use, shared) = (usage.in_use.bytes, usage.shared.bytes);
        let _ = writeln!(text, "In use: {in_use}, of which {shared} are shared between repositories");
        let or_more = if usage.on_disk.is_some() { "" } else { " or more" };
        if usage.is_certain {
            let _ = writeln!(text, "Reclaimable: {}{or_more}", usage.reclaimable().bytes);
        } else {
            text.push_str("What is reclaimable is not certain: what was not read may need some of it\n");
        }
        match (usage.on_disk, usage.overhead()) {
            (Some(on_disk), Some(overhead)) => {
                let _ = writeln!(text, "On disk: {on_disk}, of which {overhead} are folders and links");
            }
            _ => text.push_str(
                "The registry's API does not show all garbage; its store does, where its container is on this engine and \
                 keeps it in files\n",
            ),
        }
        text
    }
}

fn sizes(space: Space) -> Vec<String> {
    [space.size, space.shared(), space.unique.bytes].map(|size| size.to_string()).to_vec()
}

fn garbage_document(kind: Kind, garbage: Option<Garbage>) -> Value {
    json!({
        "kind": kind,
        "total": garbage.map(|garbage| garbage.total),
        "sizeBytes": garbage.map(|garbage| garbage.size.bytes),
        "reclaimableBytes": garbage.and_then(|garbage| garbage.reclaimable).map(|part| part.bytes),
        "onDiskBytes": garbage.map(|garbage| garbage.only.on_disk),
    })
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OrphanedAttachments => "Orphaned attachments",
            Self::UntaggedManifests => "Untagged manifests",
            Self::UnreferencedBlobs => "Unreferenced blobs",
            Self::UnfinishedUploads => "Unfinished uploads",
            Self::EmptyRepositories => "Empty repositories",
        })
    }
}

#[cfg(test)]
mod tests;
