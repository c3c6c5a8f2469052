//! `prune --explain`: the answer names the rule, the rank, the date, and what holds the manifest; nothing is changed.

use crate::fake_registry::FakeRegistry;
use crate::run::Tool;

fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let oldest = fake.image("app", "v1", "2026-01-01T00:00:00Z", &["one"]);
    fake.image("app", "v2", "2026-01-02T00:00:00Z", &["two"]);
    fake.image("app", "v3", "2026-01-03T00:00:00Z", &["three"]);
    fake.image("app", "odd", "1970-01-01T00:00:00Z", &["odd"]);
    fake.tag("app", "stable", &oldest);
    fake
}

fn explain(fake: &FakeRegistry, pattern: &str) -> crate::run::Answer {
    let rules = [
        "prune",
        "--no-gc",
        "--keep",
        "1",
        "--filter",
        "tag=v*",
        "--protect",
        "app:v2",
        "--explain",
        pattern,
    ];
    Tool::new().on(fake, &rules)
}

#[test]
fn why_a_tag_goes_or_stays_is_told_and_nothing_is_done() {
    let fake = registry();
    let answer = explain(&fake, "app").exits(0);
    let answer = answer
        .says("app:v1 goes\n  why:      created 2026-01-01T00:00:00Z, number 2 where the newest 1 are kept")
        .says("  created:  2026-01-01T00:00:00Z, from the image's config")
        .says("stays, held by stable")
        .says("app:v2 stays\n  why:      protected by `--protect app:v2`")
        .says("app:v3 stays\n  why:      number 1 of the newest 1")
        .says("app:odd stays\n  why:      no pattern covers it");
    assert_eq!(fake.tags("app").len(), 5, "{answer}");
    let is_read = |request: &String| request.starts_with("GET") || request.starts_with("HEAD");
    assert!(fake.requests().iter().all(is_read), "{answer}");
    assert_eq!(explain(&fake, "app").stdout, answer.stdout, "the same input gives the same text");
}

#[test]
fn what_matches_nothing_is_an_error() {
    let _ = explain(&registry(), "app:nope").exits(1).says("no tag matches");
}
