//! A dry run shows what a run would do, and does none of it.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Deletions;
use crate::run::{Answer, Asked as _, CREATED, PROBE, Tool};

fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let shared = fake.image("app", "v1", "2023-01-01T00:00:00Z", &["oldest"]);
    fake.tag("app", "stable", &shared);
    fake.image("app", "v2", "2023-02-01T00:00:00Z", &["old"]);
    fake.image("app", "v3", CREATED, &["new"]);
    fake
}

const PRUNE: [&str; 7] = ["prune", "--no-gc", "--dry-run", "--keep", "1", "--exclude", ":stable"];

fn dry(fake: &FakeRegistry, more: &[&str]) -> Answer {
    let before = fake.change(|contents| contents.clone());
    let tool = Tool::new();
    let answer = tool.on(fake, &[&PRUNE[..], more].concat());
    assert_eq!(fake.change(|contents| contents.clone()), before, "{answer}");
    assert_eq!(fake.changes(), [""; 0], "{answer}");
    assert_eq!(tool.records().len(), 0, "{answer}");
    answer
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let fake = registry();
    dry(&fake, &[])
        .exits(0)
        .says("Total: 2 tags and 1 manifest to remove, 2 tags kept")
        .says("remove v1, v2: not among the newest 1")
        .says("Dry run: nothing was changed.");
    assert_eq!(fake.asked("DELETE", PROBE).len(), 1);
    assert!(fake.asked("DELETE", "").len() <= 2);
    dry(&fake, &["--force"]).exits(0);
}

#[test]
fn a_dry_run_of_rm_changes_nothing() {
    let fake = registry();
    Tool::new().on(&fake, &["rm", "--dry-run", "app:v1", "app:v2"]).exits(0).says("Total: 2 tags");
    assert_eq!(fake.changes(), [""; 0]);
    assert_eq!(fake.tags("app").len(), 4);
}

#[test]
fn a_dry_run_with_deletion_switched_off_warns_and_shows_the_plan_all_the_same() {
    for (deletion, mend) in [
        (Deletions::Disabled, "REGISTRY_STORAGE_DELETE_ENABLED=true"),
        (Deletions::ReadOnly, "storage.maintenance.readonly"),
    ] {
        let fake = registry();
        fake.quirks(|quirks| quirks.deletion = deletion);
        dry(&fake, &[])
            .exits(0)
            .says("WARNING: a run would be refused")
            .says(mend)
            .says("Total: 2 tags and 1 manifest to remove, 2 tags kept");
    }
}

#[test]
fn a_dry_run_for_programs_is_one_document() {
    for more in [&["--format", "json"][..], &["--format", "json", "--force"]] {
        let fake = registry();
        fake.quirks(|quirks| quirks.deletion = Deletions::Disabled);
        let answer = dry(&fake, more).exits(0);
        let document = answer.json();
        assert_eq!(document["version"], 1, "{answer}");
        assert_eq!(document["exitCode"], 0, "{answer}");
        assert_eq!(document["plan"]["removeTags"], 2, "{answer}");
        assert_eq!(document["plan"]["removeManifests"], 1, "{answer}");
        assert_eq!(document["outcome"], serde_json::Value::Null, "{answer}");
    }
}

#[test]
fn without_a_terminal_and_without_force_nothing_is_removed() {
    let fake = registry();
    let tool = Tool::new();
    tool.on(&fake, &["prune", "--no-gc", "--keep", "1", "--max-delete", "3"])
        .exits(4)
        .says("not a terminal")
        .says("--force");
    tool.on(&fake, &["rm", "app:v1"]).exits(4).says("--dry-run");
    assert_eq!(fake.changes(), [""; 0]);
    assert_eq!(tool.records().len(), 0);
}
