//! The files of a world's store: what its repositories hold, and what a test says beside it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::world::{digest_of, now};
use crate::model::{
    ByteSize, Digest, Odd, RepositoryView, StoreView, StoredFile, StoredRepository, StoredTag, StoredUpload,
    TagState,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// By repository and name.
    pushed: BTreeMap<(String, String), Option<Timestamp>>,
    blobs: Vec<(Digest, u64)>,
    layers: Vec<(String, Digest)>,
    tags: Vec<(String, String, Option<Digest>)>,
    uploads: Vec<(String, Timestamp, u64)>,
    odd: Vec<Odd>,
    unseen: Vec<(String, Digest)>,
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

impl Files {
    pub(super) fn pushed(&mut self, repository: &str, name: &str, minutes_ago: i64) {
        self.pushed.insert((repository.to_owned(), name.to_owned()), Some(ago(minutes_ago)));
    }

    /// The registry serves it, and its files do not show it.
    pub(super) fn without(&mut self, repository: &str, name: &str) {
        self.pushed.insert((repository.to_owned(), name.to_owned()), None);
    }

    /// Nothing refers to it.
    pub(super) fn blob(&mut self, name: &str, size: u64) {
        self.blobs.push((digest_of(name), size));
    }

    pub(super) fn layer(&mut self, repository: &str, name: &str) {
        self.layers.push((repository.to_owned(), digest_of(name)));
    }

    pub(super) fn tag(&mut self, repository: &str, tag: &str, name: Option<&str>) {
        self.tags.push((repository.to_owned(), tag.to_owned(), name.map(digest_of)));
    }

    pub(super) fn upload(&mut self, repository: &str, minutes_ago: i64, size: u64) {
        self.uploads.push((repository.to_owned(), ago(minutes_ago), size));
    }

    pub(super) fn odd(&mut self, repository: Option<&str>) {
        let repository = repository.map(|name| name.parse().unwrap());
        self.odd.push(Odd { path: "odd".to_owned(), why: "a file".to_owned(), repository });
    }

    /// A manifest that nobody could read.
    pub(super) fn unseen(&mut self, repository: &str, name: &str) {
        self.unseen.push((repository.to_owned(), digest_of(name)));
    }

    pub(super) fn view(&self, repositories: &BTreeMap<String, RepositoryView>) -> StoreView {
        let mut store = StoreView { now: now(), odd: self.odd.clone(), ..StoreView::default() };
        let file = |size: u64| StoredFile { size: ByteSize(size), on_disk: ByteSize(8192) };
        for (name, view) in repositories {
            let stored = store.repositories.entry(name.parse().unwrap()).or_default();
            self.fill(name, view, stored);
            for (digest, manifest) in view.read_manifests() {
                store.blobs.insert(digest.clone(), file(manifest.size.0));
                store.blobs.extend(manifest.blobs().map(|blob| (blob.digest.clone(), file(blob.size.0))));
            }
        }
        store.blobs.extend(self.blobs.iter().map(|(digest, size)| (digest.clone(), file(*size))));
        store
    }

    fn fill(&self, name: &str, view: &RepositoryView, stored: &mut StoredRepository) {
        for (digest, manifest) in view.read_manifests() {
            stored.revisions.insert(digest.clone(), ago(100_000));
            stored.layers.extend(manifest.blobs().map(|blob| blob.digest.clone()));
        }
        for ((_, manifest), pushed) in self.pushed.iter().filter(|((repository, _), _)| repository == name) {
            match pushed {
                Some(at) => stored.revisions.insert(digest_of(manifest), *at),
                None => stored.revisions.remove(&digest_of(manifest)),
            };
        }
        let unseen = self.unseen.iter().filter(|(repository, _)| repository == name);
        stored.revisions.extend(unseen.map(|(_, digest)| (digest.clone(), ago(100_000))));
        let layers = self.layers.iter().filter(|(repository, _)| repository == name);
        stored.layers.extend(layers.map(|(_, digest)| digest.clone()));
        let link = |digest| StoredTag { digest, pushed: ago(100_000), history: [].into() };
        for (tag, state) in &view.tags {
            if let TagState::At(digest) = state {
                stored.tags.insert(tag.clone(), link(Some(digest.clone())));
            }
        }
        for (_, tag, digest) in self.tags.iter().filter(|(repository, ..)| repository == name) {
            stored.tags.insert(tag.parse().unwrap(), link(digest.clone()));
        }
        for (number, (_, touched, size)) in
            self.uploads.iter().filter(|(repository, ..)| repository == name).enumerate()
        {
            let upload = StoredUpload { touched: *touched, size: ByteSize(*size), on_disk: ByteSize(4096) };
            stored.uploads.insert(format!("upload {number}"), upload);
        }
    }
}
