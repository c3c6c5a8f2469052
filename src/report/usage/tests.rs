use super::*;
use crate::model::{StoredFile, StoredRepository};
use crate::usage::tests::world::{World, digest_of, now};

fn snapshot() -> Snapshot {
    let mut snapshot = World::default()
        .image("app:1", &[("base", 2_000_000), ("one", 300_000)])
        .image("app:2", &[("base", 2_000_000), ("two", 400_000)])
        .image("copy:1", &[("base", 2_000_000)])
        .untagged("app", "old", &[("base", 2_000_000), ("old layer", 500_000)])
        .snapshot()
        .stored();
    let store = snapshot.store.as_mut().unwrap();
    let lost = StoredFile { size: ByteSize(70_000), on_disk: ByteSize(77_824) };
    store.blobs.insert(digest_of("lost"), lost);
    let empty = StoredRepository { on_disk: ByteSize(8192), ..StoredRepository::default() };
    store.repositories.insert("empty".parse().unwrap(), empty);
    store.on_disk += ByteSize(77_824 + 8192);
    snapshot
}

fn report<'a>(snapshot: &'a Snapshot, usage: &'a Usage<'a>, sort: Sort) -> Report<'a> {
    Report { snapshot, usage, patterns: &[], sort, now: now() }
}

#[test]
fn the_store_tells_garbage_and_what_is_on_disk() {
    let snapshot = snapshot();
    let usage = Usage::of(&snapshot, now());
    let text = report(&snapshot, &usage, Sort::Size).table();
    let expected = "\
REPOSITORY   TAGS   SIZE      SHARED   UNIQUE
app          2      2.701MB   2MB      700.9kB
copy         1      2MB       2MB      298B

GARBAGE                TOTAL   SIZE      RECLAIMABLE
Orphaned attachments   0       0B        0B
Untagged manifests     1       2.5MB     500.4kB
Unreferenced blobs     1       70kB      70kB
Unfinished uploads     0       0B        0B
Empty repositories     1       8.192kB   8.192kB

In use: 2.701MB, of which 2MB are shared between repositories
Reclaimable: 578.6kB
On disk: 3.371MB, of which 20.48kB are folders and links
";
    assert_eq!(text, expected);
}

#[test]
fn the_parts_of_the_disk_add_up() {
    let snapshot = snapshot();
    let usage = Usage::of(&snapshot, now());
    let document = report(&snapshot, &usage, Sort::Name).document();
    let on_disk = &document["onDisk"];
    let part = |name: &str| on_disk[name].as_u64().unwrap();
    let parts = ["inUseBytes", "garbageBytes", "uploadBytes", "overheadBytes"].map(part);
    assert_eq!(parts.iter().sum::<u64>(), part("bytes"));
    assert!(parts[0] > 2_700_000 && parts[1] > 500_000 && parts[3] >= 4096, "{on_disk}");
}

#[test]
fn tags_stand_in_the_order_that_is_asked_for() {
    let snapshot = snapshot();
    let usage = Usage::of(&snapshot, now());
    let tags = |sort| {
        let text = report(&snapshot, &usage, sort).details();
        let rows = text.lines().skip(1).take_while(|line| !line.is_empty());
        let words = rows.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(":"));
        words.collect::<Vec<_>>()
    };
    assert_eq!(tags(Sort::Size), ["app:2", "app:1", "copy:1"]);
    assert_eq!(tags(Sort::Name), ["app:1", "app:2", "copy:1"]);
}
