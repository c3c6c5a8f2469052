//! What a collection leaves in a store on files, and what of it may go: only what is provably empty or dangling.
//!
//! Pure: from a listing of the store, made while nobody can write, to the paths that are removed. What is not known by
//! its name and place stays, with every folder above it, and so does a symbolic link.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::age::Age;
use crate::model::{ByteSize, Digest, Holdings, printable};
use crate::place::{self, Kind, Place, Role};

/// Everything in the store's folder, as `stat` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// By the clock that also dates the files.
    now: Option<Timestamp>,
    /// By path below the store's folder.
    entries: BTreeMap<String, Entry>,
    /// Lines that are no entries: a name with a line break in it.
    unread: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    modified: i64,
    size: u64,
}

/// What may go: paths below the store's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Removed first.
    pub(crate) files: Vec<String>,
    /// Removed next, those inside others before them. None of them is needed once the files are gone.
    pub(crate) folders: Vec<String>,
    /// Removed only when all of `folders` went: a repository with `_manifests` needs its `_layers`, without which the
    /// collector is blind to it.
    pub(crate) frames: Vec<String>,
    pub(crate) counts: Counts,
    /// What nobody knows, and why it stays.
    pub(crate) odd: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) repositories: usize,
    pub(crate) folders: usize,
    pub(crate) links: usize,
    pub(crate) uploads: usize,
    /// Of the uploads.
    pub(crate) bytes: ByteSize,
}

impl Counts {
    /// Whether the registry is worth stopping for these alone: empty folders are not.
    pub(crate) fn are_worth_a_stop(&self) -> bool {
        self.repositories > 0 || self.uploads > 0
    }
}

impl Leftovers {
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty() && self.frames.is_empty()
    }
}

impl Listing {
    /// Takes in a line: first the time in seconds, then `<raw mode> <seconds> <bytes> <path>` of everything in `store`.
    pub(crate) fn read_line(&mut self, store: &str, line: &str) {
        if self.now.is_none() {
            self.now = line.trim().parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            self.unread += u64::from(self.now.is_none());
        } else if self.read_entry(store, line).is_none() {
            self.unread += 1;
        }
    }

    fn read_entry(&mut self, store: &str, line: &str) -> Option<()> {
        let mut words = line.splitn(4, ' ');
        let (mode, modified, size, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let kind = Kind::of_mode(u32::from_str_radix(mode, 16).ok()?);
        let entry = Entry { kind, modified: modified.parse().ok()?, size: size.parse().ok()? };
        let path = path.strip_prefix(store)?;
        if let Some(path) = path.strip_prefix('/') {
            self.entries.insert(path.to_owned(), entry);
        } else if !path.is_empty() {
            return None;
        }
        Some(())
    }

    fn places(&self) -> impl DoubleEndedIterator<Item = (&str, Entry, Place<'_>)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), *entry, Place::of(path, entry.kind)))
    }
}

/// One upload that was begun.
#[derive(Debug)]
struct Upload {
    last_touched: i64,
    is_odd: bool,
}

/// What decides about a repository.
#[derive(Debug, Default)]
struct Repository<'a> {
    revisions: BTreeSet<&'a str>,
    tags: BTreeSet<&'a str>,
    tags_in_use: BTreeSet<&'a str>,
    indexes: BTreeSet<&'a str>,
    uploads: BTreeMap<&'a str, Upload>,
    has_frame: bool,
    is_odd: bool,
}

/// The listing, looked at as a whole.
struct Facts<'a> {
    /// `None`: not all of them can be seen.
    blobs: Option<BTreeSet<&'a str>>,
    needed: BTreeSet<&'a Digest>,
    repositories: BTreeMap<&'a str, Repository<'a>>,
    /// In seconds; uploads that were last touched before it go.
    limit: i64,
}

/// What may go of a store in which nobody writes. Of what is in `kept` nothing goes.
pub(crate) fn plan(listing: &Listing, kept: &Holdings, uploads_older_than: Age) -> Leftovers {
    let mut leftovers = Leftovers::default();
    let Some(now) = listing.now else {
        leftovers.odd.push("the clock of the store is not known".to_owned());
        return leftovers;
    };
    if listing.unread > 0 {
        leftovers.odd.push("a name in the store cannot be read: everything stays".to_owned());
        return leftovers;
    }
    let facts = Facts::of(listing, kept, uploads_older_than.before(now).as_second());
    let mut filled: BTreeSet<&str> = BTreeSet::new();
    // Backwards, what is in a folder comes before the folder.
    for (path, entry, place) in listing.places().rev() {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !facts.may_go(&place) || filled.contains(path) {
            filled.insert(parent);
            if place.role == Role::Unknown {
                leftovers.odd.push(printable(path));
            }
            continue;
        }
        let path = path.to_owned();
        match (entry.kind, &place.role) {
            (Kind::Folder, Role::LateFrame | Role::Group) => leftovers.frames.push(path),
            (Kind::Folder, _) => leftovers.folders.push(path),
            _ => leftovers.files.push(path),
        }
        match place.role {
            Role::Layer(_) | Role::Index(_) => leftovers.counts.links += 1,
            Role::Upload(_) if entry.kind == Kind::File => leftovers.counts.bytes.0 += entry.size,
            _ => {}
        }
    }
    let counts = &mut leftovers.counts;
    counts.folders = leftovers.folders.len() + leftovers.frames.len();
    for (name, repository) in &facts.repositories {
        counts.uploads += repository.uploads.values().filter(|upload| facts.is_stale(upload)).count();
        counts.repositories += usize::from(facts.is_emptied(repository));
        for tag in repository.tags.difference(&repository.tags_in_use) {
            if !facts.is_emptied(repository) {
                leftovers.odd.push(format!("{name}: the tag `{tag}` points nowhere"));
            }
        }
    }
    leftovers.odd.sort_unstable();
    leftovers
}

impl<'a> Facts<'a> {
    fn of(listing: &'a Listing, kept: &'a Holdings, limit: i64) -> Self {
        let mut blobs = BTreeSet::new();
        let mut has_blobs = false;
        let mut hides_blobs = false;
        let mut repositories: BTreeMap<&str, Repository> = BTreeMap::new();
        for (path, entry, place) in listing.places() {
            // What hangs below a symbolic link is not listed.
            hides_blobs |= path.starts_with("blobs") && entry.kind == Kind::Other;
            has_blobs |= path == "blobs/sha256" && entry.kind == Kind::Folder;
            if let Role::Blob(hex) = place.role {
                blobs.insert(hex);
            }
            let Some(name) = place.repository else { continue };
            repositories.entry(name).or_default().take_in(&place, entry, path);
        }
        // Whatever the files say: a repository of which something is kept is in use.
        for (name, manifests) in &kept.manifests {
            if let Some(repository) = repositories.get_mut(name.as_str()) {
                repository.is_odd |= !manifests.is_empty() && repository.revisions.is_empty();
            }
        }
        let manifests = kept.manifests.values().flatten();
        let needed = kept.all_blobs().into_iter().chain(manifests).collect();
        let blobs = (has_blobs && !hides_blobs).then_some(blobs);
        Self { blobs, needed, repositories, limit }
    }

    fn may_go(&self, place: &Place) -> bool {
        let repository = place.repository.and_then(|name| self.repositories.get(name));
        let is_emptied = repository.is_some_and(|repository| self.is_emptied(repository));
        match &place.role {
            Role::Husk | Role::Group => true,
            Role::Frame | Role::LateFrame => is_emptied,
            Role::Layer(hex) => is_emptied || self.is_gone(hex),
            Role::Index(hex) => repository.is_some_and(|repository| self.points_nowhere(repository, hex)),
            Role::Upload(id) => repository
                .and_then(|repository| repository.uploads.get(id))
                .is_some_and(|upload| self.is_stale(upload)),
            Role::Blob(_) | Role::Revision(_) | Role::Current(_) | Role::Unknown => false,
        }
    }

    /// No such blob, and nothing kept that would want it back.
    fn is_gone(&self, hex: &str) -> bool {
        let is_absent = self.blobs.as_ref().is_some_and(|blobs| !blobs.contains(hex));
        let digest: Result<Digest, _> = format!("sha256:{hex}").parse();
        is_absent && digest.is_ok_and(|digest| !self.needed.contains(&digest))
    }

    fn points_nowhere(&self, repository: &Repository, hex: &str) -> bool {
        !repository.revisions.contains(hex) && self.is_gone(hex)
    }

    fn is_stale(&self, upload: &Upload) -> bool {
        !upload.is_odd && upload.last_touched < self.limit
    }

    /// No manifest, no tag, no upload, and nothing that is not known.
    fn is_emptied(&self, repository: &Repository) -> bool {
        repository.has_frame
            && !repository.is_odd
            && repository.revisions.is_empty()
            && repository.tags_in_use.is_empty()
            && repository.indexes.iter().all(|hex| self.is_gone(hex))
            && repository.uploads.values().all(|upload| self.is_stale(upload))
    }
}

impl<'a> Repository<'a> {
    fn take_in(&mut self, place: &Place<'a>, entry: Entry, path: &'a str) {
        match place.role {
            Role::Revision(hex) => {
                self.revisions.insert(hex);
            }
            Role::Index(hex) => {
                self.indexes.insert(hex);
            }
            Role::Current(tag) => {
                self.tags_in_use.insert(tag);
            }
            Role::Upload(id) => {
                let upload =
                    self.uploads.entry(id).or_insert(Upload { last_touched: i64::MIN, is_odd: false });
                upload.last_touched = upload.last_touched.max(entry.modified);
            }
            Role::Unknown => {
                self.is_odd = true;
                if let Some(id) = place::upload_of(path) {
                    let upload = Upload { last_touched: i64::MAX, is_odd: true };
                    self.uploads.insert(id, upload);
                }
            }
            Role::Frame | Role::LateFrame => {
                self.has_frame = true;
                self.tags.extend(place::tag_of(path));
            }
            Role::Husk | Role::Group | Role::Layer(_) | Role::Blob(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
