//! The files of a store, one after another as they are told, put together to what it holds. Nothing else is remembered
//! of them. What comes while a registry writes may come in any order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{
    ByteSize, Digest, Odd, Repository, StoreView, StoredFile, StoredRepository, StoredTag, StoredUpload, Tag,
    printable,
};
use crate::place::{Kind, Place, Role, digest_of, tag_of};

const NOT_FOLLOWED: &str = "it is no folder and no file; what it may lead to is not followed";
const UNKNOWN: &str = "it is nothing that the registry makes";
const BROKEN_LINK: &str = "it is a link of the registry that holds no digest";
const LINE_BREAK: &str = "there is a name with a line break in it";

/// A file or folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) modified: i64,
    pub(super) size: u64,
    pub(super) on_disk: u64,
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    now: Option<Timestamp>,
    has_begin: bool,
    view: StoreView,
    /// Folders that hold repositories, or are one; what is a repository is known in the end.
    groups: BTreeMap<Repository, u64>,
    /// Tags whose link is as long as a digest, and was not told yet.
    unread: BTreeSet<(Repository, Tag)>,
    /// Tags whose link is not as long as a digest.
    broken: BTreeSet<(Repository, Tag)>,
    /// The folder of the blob that comes next.
    folder: Option<(Digest, u64)>,
    /// What is in these folders is as odd as they are.
    odd_folders: BTreeSet<String>,
}

impl Lines {
    /// The time in seconds, with which everything that is told begins. Of several the first counts.
    pub(super) fn time(&mut self, line: &str) -> bool {
        let told = line.trim().parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        self.now = self.now.into_iter().chain(told).min();
        told.is_some()
    }

    /// In any order, `<mode> <seconds> <bytes> <blocks> ./<path>`, for the link of a tag also `./<path>:<digest>`, and
    /// `? ./<folder>` for one with a name in it that cannot be told in a line.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(folder) = line.strip_prefix("? ") {
            let folder = folder.trim_start_matches("./");
            self.odd(folder, Place::of(folder, Kind::Folder).repository, LINE_BREAK);
        } else if let Some(told) = line.strip_prefix("./") {
            if let Some((path, content)) = told.split_once("/link:") {
                self.link(&format!("{path}/link"), content);
            }
        } else if let Some((entry, path)) = parse(line) {
            self.entry(path, entry);
        } else {
            self.odd(line, None, UNKNOWN);
        }
    }

    /// The time of the store's clock.
    pub(super) fn at(&mut self, now: Timestamp) {
        self.now = Some(now);
    }

    pub(super) fn entry(&mut self, path: &str, entry: Entry) {
        self.view.on_disk.0 += entry.on_disk;
        if path == "." {
            self.has_begin = true;
            return;
        }
        let path = path.trim_start_matches("./");
        let place = Place::of(path, entry.kind);
        let name: Option<Repository> = place.repository.and_then(|name| name.parse().ok());
        match (&name, place.role) {
            (_, Role::Unknown) | (None, Role::Frame | Role::Husk | Role::Group | Role::Blob(_)) => {
                self.outside(path, entry, &place);
            }
            (Some(name), role) => self.inside(name, path, entry, role),
            // Its name makes it a part of a repository.
            (None, _) => {}
        }
    }

    fn outside(&mut self, path: &str, entry: Entry, place: &Place<'_>) {
        match place.role {
            Role::Group => {
                let name = path.trim_start_matches("repositories/").parse();
                self.groups.extend(name.ok().map(|name: Repository| (name, entry.on_disk)));
            }
            Role::Husk => {
                let digest = path.rsplit('/').next().and_then(digest_of);
                self.folder = digest.map(|digest| (digest, entry.on_disk));
            }
            Role::Blob(hex) => {
                let Some(digest) = digest_of(hex) else { return };
                let folder = self.folder.take().filter(|(folder, _)| *folder == digest);
                let on_disk = ByteSize(entry.on_disk + folder.map_or(0, |(_, on_disk)| on_disk));
                self.view.blobs.insert(digest, StoredFile { size: ByteSize(entry.size), on_disk });
            }
            Role::Unknown => {
                let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
                if above.any(|folder| self.odd_folders.contains(folder)) {
                    return;
                }
                let why = if entry.kind == Kind::Other { NOT_FOLLOWED } else { UNKNOWN };
                self.odd(path, place.repository, why);
                if entry.kind == Kind::Folder {
                    self.odd_folders.insert(path.to_owned());
                }
            }
            _ => {}
        }
    }

    fn inside(&mut self, name: &Repository, path: &str, entry: Entry, role: Role<'_>) {
        let modified = Timestamp::from_second(entry.modified).unwrap_or_default();
        let repository = of(&mut self.view.repositories, name);
        if let Role::Upload(id) = role {
            let new = StoredUpload { touched: modified, size: ByteSize(0), on_disk: ByteSize(0) };
            let upload = repository.uploads.entry(id.to_owned()).or_insert(new);
            upload.touched = upload.touched.max(modified);
            upload.on_disk.0 += entry.on_disk;
            upload.size.0 += if entry.kind == Kind::File { entry.size } else { 0 };
            return;
        }
        repository.on_disk.0 += entry.on_disk;
        let tag: Option<Tag> = tag_of(path).and_then(|tag| tag.parse().ok());
        match (role, tag) {
            (Role::Revision(hex), _) if holds(entry, hex) => {
                repository.revisions.extend(digest_of(hex).map(|digest| (digest, modified)));
            }
            (Role::Layer(hex), _) if holds(entry, hex) => repository.layers.extend(digest_of(hex)),
            (Role::Index(hex), Some(tag)) if holds(entry, hex) => {
                let history = &mut stored_tag(repository, tag, modified).history;
                // Most tags were never at another.
                history.reserve_exact(1);
                history.extend(digest_of(hex));
            }
            (Role::Revision(_) | Role::Layer(_) | Role::Index(_), _) => {
                self.odd(path, Some(name.as_str()), BROKEN_LINK);
            }
            (Role::Current(_), Some(tag)) => {
                let stored = stored_tag(repository, tag.clone(), modified);
                stored.pushed = modified;
                let is_unread = stored.digest.is_none();
                let key = (name.clone(), tag);
                if !is_length_of_digest(entry.size) {
                    self.broken.insert(key);
                } else if is_unread {
                    self.unread.insert(key);
                }
            }
            // The registry lists a tag by its folder.
            (Role::Frame, Some(tag)) => {
                stored_tag(repository, tag, modified);
            }
            _ => {}
        }
    }

    /// What the link of a tag holds.
    pub(super) fn link(&mut self, path: &str, content: &str) {
        let place = Place::of(path, Kind::File);
        let (Role::Current(tag), Some(name)) = (place.role, place.repository) else { return };
        let (Ok(name), Ok(tag)) = (name.parse::<Repository>(), tag.parse::<Tag>()) else { return };
        if let Ok(digest) = content.parse::<Digest>() {
            // As young as can be until the file's own time is told.
            let pushed = self.now.unwrap_or_default();
            let repository = of(&mut self.view.repositories, &name);
            stored_tag(repository, tag.clone(), pushed).digest = Some(digest);
            self.unread.remove(&(name, tag));
        }
    }

    fn odd(&mut self, path: &str, repository: Option<&str>, why: &str) {
        self.view.odd.push(Odd {
            path: printable(path),
            why: why.to_owned(),
            repository: repository.and_then(|name| name.parse().ok()),
        });
    }

    /// Whether the store's own folder was told.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begin
    }

    /// What the repositories may serve, and has not been told.
    pub(super) fn unseen_blobs(&self) -> BTreeSet<&Digest> {
        let linked = self.view.repositories.values();
        let linked = linked.flat_map(|repository| repository.revisions.keys().chain(&repository.layers));
        linked.filter(|digest| !self.view.blobs.contains_key(digest)).collect()
    }

    pub(super) fn finish(mut self) -> StoreView {
        for (name, tag) in std::mem::take(&mut self.broken) {
            if let Some(stored) =
                self.view.repositories.get_mut(&name).and_then(|found| found.tags.get_mut(&tag))
            {
                stored.digest = None;
            }
            self.unread.insert((name, tag));
        }
        for (name, tag) in std::mem::take(&mut self.unread) {
            let path = format!("repositories/{name}/_manifests/tags/{tag}/current/link");
            self.odd(&path, Some(name.as_str()), BROKEN_LINK);
        }
        for stored in self.view.repositories.values_mut().flat_map(|found| found.tags.values_mut()) {
            stored.history.retain(|digest| stored.digest.as_ref() != Some(digest));
            stored.history.shrink_to_fit();
        }
        for (name, on_disk) in &self.groups {
            if let Some(repository) = self.view.repositories.get_mut(name) {
                repository.on_disk.0 += on_disk;
            }
        }
        self.view.odd.sort_unstable();
        // Several may have come upon it.
        self.view.odd.dedup();
        self.view.now = self.now.unwrap_or_default();
        self.view.pack();
        self.view
    }
}

fn parse(line: &str) -> Option<(Entry, &str)> {
    let mut words = line.splitn(5, ' ');
    let mode = u32::from_str_radix(words.next()?, 16).ok()?;
    let entry = Entry {
        kind: Kind::of_mode(mode),
        modified: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        on_disk: words.next()?.parse::<u64>().ok()?.checked_mul(512)?,
    };
    Some((entry, words.next()?))
}

fn of<'a>(
    repositories: &'a mut BTreeMap<Repository, StoredRepository>,
    name: &Repository,
) -> &'a mut StoredRepository {
    repositories.entry(name.clone()).or_default()
}

fn stored_tag(repository: &mut StoredRepository, tag: Tag, seen: Timestamp) -> &mut StoredTag {
    let new = || StoredTag { digest: None, pushed: seen, history: Vec::new() };
    repository.tags.entry(tag).or_insert_with(new)
}

/// A link holds the digest that its path says, or is broken: only its length is looked at.
fn holds(entry: Entry, hex: &str) -> bool {
    entry.size == ("sha256:".len() + hex.len()) as u64
}

fn is_length_of_digest(size: u64) -> bool {
    [64, 128].contains(&size.saturating_sub("sha256:".len() as u64))
}

#[cfg(test)]
mod tests;
