use super::*;
use crate::model::{Odd, StoredRepository, StoredUpload, TagState};

mod properties;
pub(crate) mod world;

use world::{World, digest_of, now, signature_tag};

fn day_ago() -> Timestamp {
    now() - jiff::SignedDuration::from_hours(24)
}

fn bytes(bytes: u64) -> ByteSize {
    ByteSize(bytes)
}

/// `(size, unique)` of a repository, or of a tag of it.
fn space(usage: &Usage, name: &str) -> (u64, u64) {
    let (repository, tag) = name.split_once(':').map_or((name, None), |(name, tag)| (name, Some(tag)));
    let repository = &usage.repositories[&repository.parse::<Repository>().unwrap()];
    let space = tag.map_or(repository.space, |tag| repository.tags[&tag.parse::<Tag>().unwrap()]);
    (space.size.0, space.unique.bytes.0)
}

fn garbage(usage: &Usage, kind: Kind) -> (usize, u64, u64) {
    let garbage = usage.garbage[&kind].unwrap();
    (garbage.total, garbage.size.bytes.0, garbage.only.bytes.0)
}

#[test]
fn a_layer_that_two_tags_need_is_unique_to_neither_but_to_their_repository() {
    let snapshot = World::default()
        .image("app:1", &[("base", 1000), ("one", 10)])
        .image("app:2", &[("base", 1000), ("two", 20)])
        .snapshot();
    let usage = Usage::of(&snapshot, day_ago());
    let manifest = |tag: &str| snapshot.manifest_size("app", tag);
    let (one, two) = (manifest("1"), manifest("2"));
    assert_eq!(space(&usage, "app:1"), (1010 + one, 10 + one));
    assert_eq!(space(&usage, "app:2"), (1020 + two, 20 + two));
    assert_eq!(space(&usage, "app"), (1030 + one + two, 1030 + one + two));
    assert_eq!(usage.shared, Part::default());
    let base = usage.contents.iter().find(|content| *content.digest == digest_of("base")).unwrap();
    assert_eq!((base.tags, base.role), (2, Role::Layer));
}

#[test]
fn two_tags_at_one_manifest_have_nothing_alone_and_are_one_image() {
    let snapshot = World::default().image("app:1", &[("a", 10)]).tag("app:latest", "app:1").snapshot();
    let usage = Usage::of(&snapshot, day_ago());
    let all = 10 + snapshot.manifest_size("app", "1");
    assert_eq!(space(&usage, "app:1"), (all, 0));
    assert_eq!(space(&usage, "app:latest"), (all, 0));
    let [image] = &usage.repositories[&"app".parse::<Repository>().unwrap()].images[..] else {
        panic!("one image")
    };
    assert_eq!((image.tags.len(), image.space.unique.bytes), (2, bytes(all)));
}

#[test]
fn a_content_of_two_repositories_is_shared_and_counted_once() {
    let snapshot = World::default()
        .image("a:1", &[("base", 1000), ("a", 1)])
        .image("b:1", &[("base", 1000), ("b", 2)])
        .snapshot();
    let usage = Usage::of(&snapshot, day_ago());
    assert_eq!(usage.shared.bytes, bytes(1000));
    let manifests = snapshot.manifest_size("a", "1") + snapshot.manifest_size("b", "1");
    assert_eq!(usage.in_use.bytes, bytes(1003 + manifests));
    assert_eq!(usage.repositories[&"a".parse::<Repository>().unwrap()].space.shared(), bytes(1000));
}

#[test]
fn a_signature_goes_with_what_it_is_about() {
    let signature = format!("app:{}", signature_tag("app:1"));
    let snapshot = World::default().image("app:1", &[("a", 10)]).image(&signature, &[("s", 7)]).snapshot();
    let usage = Usage::of(&snapshot, day_ago());
    assert_eq!(space(&usage, "app:1").1, usage.in_use.bytes.0);
    assert_eq!(usage.repositories[&"app".parse::<Repository>().unwrap()].images.len(), 1);
    assert!(space(&usage, &signature).1 >= 7);
    assert_eq!(usage.contents.iter().filter(|content| content.tags == 1).count(), usage.contents.len());
}

#[test]
fn without_a_store_only_orphans_are_known_garbage() {
    let snapshot = World::default().image("app:1", &[("a", 10)]).snapshot();
    let usage = Usage::of(&snapshot, day_ago());
    let known: Vec<_> =
        usage.garbage.iter().filter(|(_, garbage)| garbage.is_some()).map(|(kind, _)| *kind).collect();
    assert_eq!(known, [Kind::OrphanedAttachments]);
    assert_eq!((usage.on_disk, usage.overhead()), (None, None));
}

#[test]
fn an_orphan_is_proven_by_the_registry_or_by_its_store() {
    let orphan = format!("app:{}", signature_tag("app:gone"));
    let mut snapshot = World::default().image("app:1", &[("a", 10)]).image(&orphan, &[("s", 7)]).snapshot();
    let weight = 7 + snapshot.manifest_size("app", orphan.split_once(':').unwrap().1);
    let total = |snapshot: &Snapshot| garbage(&Usage::of(snapshot, day_ago()), Kind::OrphanedAttachments);
    assert_eq!(total(&snapshot), (0, 0, 0), "it may be there without a tag");
    let stored = snapshot.clone().stored();
    assert_eq!(total(&stored), (1, weight, weight));
    assert_eq!(space(&Usage::of(&stored, day_ago()), &orphan), (weight, weight));
    let view = snapshot.read_repositories_mut().next().unwrap().1;
    view.absent_subjects.insert(digest_of("app:gone"));
    assert_eq!(total(&snapshot), (1, weight, weight));
}

#[test]
fn garbage_is_told_by_its_kind() {
    let snapshot = World::default()
        .image("app:1", &[("base", 1000), ("a", 10)])
        .untagged("app", "old", &[("base", 1000), ("old layer", 50)])
        .about("app", "referrer", "nothing there", &[("r", 5)])
        .snapshot();
    let untagged = snapshot.sizes_of_manifest("app", "old");
    let referrer = snapshot.sizes_of_manifest("app", "referrer");
    let mut snapshot = snapshot.stored();
    let store = snapshot.store.as_mut().unwrap();
    store.blobs.insert(digest_of("lost"), StoredFile { size: bytes(300), on_disk: bytes(4096) });
    let upload = |hours: i64, size: u64| StoredUpload {
        touched: now() - jiff::SignedDuration::from_hours(hours),
        size: bytes(size),
        on_disk: bytes(8192),
    };
    let empty = StoredRepository { on_disk: bytes(4096), ..StoredRepository::default() };
    let mut waiting = empty.clone();
    waiting.uploads.insert("young".to_owned(), upload(1, 70));
    waiting.uploads.insert("stale".to_owned(), upload(25, 700));
    store.repositories.insert("waiting".parse().unwrap(), waiting);
    store.repositories.insert("empty".parse().unwrap(), empty);
    store.on_disk = bytes(1_000_000);
    let usage = Usage::of(&snapshot, day_ago());
    assert_eq!(garbage(&usage, Kind::UntaggedManifests), (1, 1050 + untagged, 50 + untagged));
    assert_eq!(garbage(&usage, Kind::OrphanedAttachments), (1, 5 + referrer, 5 + referrer));
    assert_eq!(garbage(&usage, Kind::UnreferencedBlobs), (1, 300, 300));
    assert_eq!(garbage(&usage, Kind::UnfinishedUploads), (2, 770, 700));
    assert_eq!(garbage(&usage, Kind::EmptyRepositories), (1, 4096, 4096));
    assert_eq!(usage.uploads.bytes, bytes(70));
    assert_eq!(usage.reclaimable().bytes, bytes(50 + untagged + 5 + referrer + 300 + 700 + 4096));
}

#[test]
fn what_was_not_read_may_need_what_looks_like_garbage() {
    let snapshot = World::default()
        .image("app:1", &[("a", 10)])
        .untagged("app", "old", &[("old layer", 50)])
        .snapshot()
        .stored();
    let reclaimable = |snapshot: &Snapshot| Usage::of(snapshot, day_ago()).reclaimable().bytes;
    assert!(reclaimable(&snapshot) > bytes(50));
    let mut unread = snapshot.clone();
    let view = unread.read_repositories_mut().next().unwrap().1;
    view.tags.insert("x".parse().unwrap(), TagState::Unreadable("forbidden".to_owned()));
    assert_eq!(reclaimable(&unread), bytes(0));
    let mut dangling = snapshot.clone();
    let view = dangling.read_repositories_mut().next().unwrap().1;
    view.tags.insert("x".parse().unwrap(), TagState::Dangling);
    assert!(reclaimable(&dangling) > bytes(50), "a tag at nothing needs nothing");
    let mut odd = snapshot.clone();
    let why = "its link is empty".to_owned();
    let path = "repositories/app/_manifests/revisions/sha256/00/link".to_owned();
    odd.store.as_mut().unwrap().odd.push(Odd { path, why, repository: "app".parse().ok() });
    assert_eq!(reclaimable(&odd), bytes(0));
    let mut unread = snapshot;
    let store = unread.store.as_mut().unwrap();
    store.repositories.values_mut().next().unwrap().revisions.insert(digest_of("another"), now());
    assert!(reclaimable(&unread) > bytes(50), "a link to nothing needs nothing");
    let store = unread.store.as_mut().unwrap();
    store.blobs.insert(digest_of("another"), StoredFile { size: bytes(5), on_disk: bytes(4096) });
    assert_eq!(reclaimable(&unread), bytes(0));
}
