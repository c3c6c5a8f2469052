//! What is refused before anything is changed, with the mend.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Deletions;
use crate::run::{Asked as _, CREATED, Tool};

fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.image("app", "old", "2023-05-01T00:00:00Z", &["old"]);
    fake.image("app", "new", CREATED, &["new"]);
    fake
}

const REMOVALS: [&[&str]; 3] = [
    &["rm", "--force", "app:old"],
    &["prune", "--no-gc", "--force", "--keep", "1"],
    &["rm", "--force", "--format", "json", "app"],
];

#[track_caller]
fn is_refused(deletion: Deletions, what: &str, mend: &str) {
    for removal in REMOVALS {
        let fake = registry();
        fake.quirks(|quirks| quirks.deletion = deletion);
        let tool = Tool::new();
        let answer = tool.on(&fake, removal).exits(4).says(what).says(mend);
        assert_eq!(fake.changes(), [""; 0], "{answer}");
        assert_eq!(fake.tags("app"), ["new", "old"], "{answer}");
        assert_eq!(tool.records().len(), 0, "{answer}");
    }
}

#[test]
fn deletion_that_is_switched_off_is_told_with_the_setting_to_add() {
    is_refused(Deletions::Disabled, "has deletion switched off", "REGISTRY_STORAGE_DELETE_ENABLED=true");
}

#[test]
fn a_read_only_registry_is_told_with_the_setting_to_take_away() {
    is_refused(Deletions::ReadOnly, "is in read-only mode", "storage.maintenance.readonly");
}

#[test]
fn a_registry_that_cannot_delete_can_be_listed_and_verified() {
    let fake = registry();
    fake.quirks(|quirks| quirks.deletion = Deletions::ReadOnly);
    Tool::new().on(&fake, &["ls"]).exits(0).says("old");
    Tool::new().on(&fake, &["verify"]).exits(0).says("are whole");
    assert_eq!(fake.asked("DELETE", ""), [""; 0]);
}

#[test]
fn one_name_that_is_not_there_stops_the_removal_of_all() {
    let fake = registry();
    for (reference, said) in [
        ("app:nope", "no such tag: `app:nope`"),
        ("nope", "no such repository: `nope`"),
        ("nope:old", "no such repository: `nope`"),
        (&format!("app@sha256:{}", "1".repeat(64)), "no such manifest"),
    ] {
        Tool::new().on(&fake, &["rm", "--force", "app:old", reference]).exits(1).says(said);
    }
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn a_digest_that_a_kept_index_needs_is_not_removed() {
    let fake = registry();
    let part = fake.untagged_image("app", "linux/amd64", &["part"]);
    fake.index("app", "multi", &[&part]);
    let reference = format!("app@{part}");
    Tool::new().on(&fake, &["rm", "--force", &reference]).exits(4).says("is needed by `app:multi`");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn a_collection_without_an_engine_is_refused_before_anything_is_deleted() {
    let fake = registry();
    for arguments in
        [&["prune", "--force", "--keep", "1"][..], &["gc", "--force"], &["rm", "--gc", "--force", "app:old"]]
    {
        let answer = Tool::new().on(&fake, arguments);
        assert!(answer.code.is_some_and(|code| code != 0), "{answer}");
        let _ = answer.says("/nonexistent/docker.sock");
    }
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn values_that_could_be_misread_are_refused() {
    let fake = registry();
    for (arguments, said) in [
        (&["prune", "--keep", "-1"][..], "1 or more"),
        (&["prune", "--keep", "0"], "docker registry rm REPO"),
        (&["prune", "--older-than", "6M"], "6mo"),
        (&["rm", "app:"], "app:"),
        (&["rm", "APP"], "APP"),
        (&["rm"], "REF"),
        (&["prune", "app@sha256:1"], "docker registry rm"),
        (&["frobnicate"], "frobnicate"),
        (&["ls", "--concurrency", "0"], "concurrency"),
    ] {
        let answer = Tool::new().on(&fake, arguments);
        assert_eq!(answer.code, Some(2), "{answer}");
        let _ = answer.says(said);
    }
    assert_eq!(fake.requests(), [""; 0]);
}
