//! What a collection gives back is counted in the files of the store, and said to be exact only where all is known.

use super::world::{World, now, world};
use super::{by, keep, make, remove};
use crate::age::Age;
use crate::plan::{Estimate, Left, Plan, Request};
use crate::policy::Rule;

fn plain() -> Request {
    by(Rule::default())
}

fn plan(world: &World, request: &Request) -> Plan {
    make(&world.snapshot(), request, now()).unwrap()
}

#[track_caller]
fn estimated(world: &World, request: &Request, deletions: u64, garbage: u64) {
    let Estimate { deletions: deleted, garbage: from_before, uploads, is_exact, left } =
        plan(world, request).estimate;
    assert_eq!((deleted.0, from_before.0, uploads.0, is_exact), (deletions, garbage, 0, true));
    assert_eq!(left.unwrap().blobs > 0, garbage > 0);
}

/// A layer that two images share, one of them in another repository.
fn shared() -> World {
    world()
        .stored()
        .image_with("app", "v1", "a", 30, &["base", "one"])
        .image_with("app", "v2", "b", 1, &["base", "two"])
        .image_with("lib", "v1", "c", 30, &["one", "three"])
}

#[test]
fn what_the_plan_deletes_and_what_was_garbage_are_told_apart() {
    // A manifest of 100, a config of 60; its layers are needed elsewhere.
    estimated(&shared(), &keep(1), 160, 0);
    estimated(&shared(), &remove(&["app"]), 2 * 160 + 2 * 1000, 0);
    let littered = shared().files(|files| {
        files.blob("nobody's", 7);
        files.blob("nobody's either", 70_000);
    });
    estimated(&littered, &keep(1), 160, 70_007);
    estimated(&littered, &Request::Collect, 0, 70_007);
}

#[test]
fn the_size_of_the_file_counts_and_not_what_a_manifest_says() {
    let cut = shared().files(|files| files.blob("config of a", 59));
    estimated(&cut, &keep(1), 159, 0);
}

#[test]
fn an_untagged_manifest_that_stays_holds_its_layers() {
    let young = shared().child("app", "d", 3).files(|files| files.pushed("app", "d", 5));
    estimated(&young, &Request::Collect, 0, 0);
    estimated(&young, &plain(), 1160, 0);
}

#[test]
fn a_part_that_only_the_store_has_is_held_by_its_index() {
    // The index names a manifest that its repository does not have: the collector spares its content all the same.
    let sparse = world().stored().image("lib", "v1", "part", 1).index("app", "v1", "i", &["part"]);
    estimated(&sparse, &remove(&["lib"]), 1060, 0);
    estimated(&sparse, &remove(&["lib", "app"]), 1260, 0);
}

#[test]
fn what_is_not_known_makes_it_the_most_that_can_come_back() {
    let garbage = |world: World| world.files(|files| files.blob("nobody's", 7));
    for world in [
        garbage(shared()).in_part(),
        garbage(shared()).files(|files| files.odd(None)),
        garbage(shared()).files(|files| files.unseen("lib", "unseen")),
        garbage(shared()).schema1("lib", "ancient"),
        shared().without_files(),
    ] {
        let estimate = plan(&world, &keep(1)).estimate;
        assert_eq!((estimate.is_exact, estimate.total().0), (false, 160), "{estimate:?}");
    }
    let mut snapshot = garbage(shared()).snapshot();
    snapshot
        .repositories
        .insert("odd".parse().unwrap(), crate::model::RepositoryState::Unreadable("500".into()));
    assert!(!make(&snapshot, &keep(1), now()).unwrap().estimate.is_exact);
}

#[test]
fn uploads_count_when_they_are_stale() {
    let world = shared().files(|files| {
        files.upload("app", 24 * 60 + 1, 300);
        files.upload("app", 24 * 60, 20);
        files.upload("lib", 5, 1);
    });
    let snapshot = world.snapshot();
    let mut plan = plan(&world, &plain());
    plan.count_uploads(snapshot.store.as_ref().unwrap(), "24h".parse().unwrap());
    assert_eq!((plan.estimate.uploads.0, plan.estimate.total().0), (300, 300));
}

#[test]
fn what_is_worth_a_stop_is_known_without_asking_the_collector() {
    let day: Age = "24h".parse().unwrap();
    let left = |world: &World, request: &Request| {
        let snapshot = world.snapshot();
        let mut plan = make(&snapshot, request, now()).unwrap();
        plan.count_uploads(snapshot.store.as_ref().unwrap(), day);
        plan.estimate.left
    };
    let of = |blobs, repositories, uploads| Some(Left { blobs, repositories, uploads });
    assert_eq!(left(&shared(), &plain()), of(0, 0, 0));
    // What only a deletion would leave is not there yet.
    assert_eq!(left(&shared(), &keep(1)), of(0, 0, 0));
    let emptied = |name: &str| shared().tag(name, "v1", "a").untag(name, "v1");
    let littered = emptied("emptied").files(|files| {
        files.blob("nobody's", 0);
        files.layer("emptied", "one");
        files.upload("app", 25 * 60, 10);
        files.upload("app", 60, 10);
    });
    assert_eq!(left(&littered, &plain()), of(1, 1, 1));
    let begun = emptied("begun").files(|files| files.upload("begun", 60, 10));
    assert_eq!(left(&begun, &plain()), of(0, 0, 0));
    // Tags that are nowhere: whether the repository goes shows when nobody writes.
    let nowhere = emptied("emptied").files(|files| files.tag("emptied", "v1", None));
    assert_eq!(left(&nowhere, &plain()), None);
    let odd = shared().files(|files| files.odd(None));
    assert_eq!(left(&odd, &plain()), None);
}
