//! What went wrong with other tools, each by its name: it must not go wrong here.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Fault;
use crate::run::{Answer, Asked as _, Tool};

fn registry(tags: &[&str]) -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for (day, tag) in tags.iter().enumerate() {
        fake.image("app", tag, &format!("2024-03-{:02}T00:00:00Z", day + 1), &[tag]);
    }
    fake
}

fn prune(fake: &FakeRegistry, flags: &[&str]) -> Answer {
    Tool::new()
        .on(fake, &[&["prune", "--no-gc", "--force", "--verbose", "--max-delete", "100%"], flags].concat())
}

/// registry-cli #92 and #84: what was to be kept by name was deleted where an age was given too.
#[test]
fn keeping_by_name_or_number_holds_beside_an_age() {
    for (flags, left) in [
        (&["--older-than", "1h", "--exclude", ":stable"][..], &["stable"][..]),
        (&["--older-than", "1h", "--protect", ":stable"], &["stable"]),
        (&["--older-than", "1h", "--keep", "1"], &["v2"]),
        (&["--filter", "until=1h", "--keep", "2", "--protect", "app:v1"], &["stable", "v1", "v2"]),
        (&["--older-than", "1h", "--at-least", "2"], &["stable", "v2"]),
    ] {
        let fake = registry(&["v1", "stable", "v2"]);
        let answer = prune(&fake, flags).exits(0);
        assert_eq!(fake.tags("app"), left, "{answer}");
    }
}

/// deckschrubber: a date that could not be read was the year 1, and so older than any age.
#[test]
fn what_has_no_readable_date_is_not_old() {
    let fake = registry(&["v1", "v2"]);
    for (tag, created) in [
        ("year-1", "0001-01-01T00:00:00Z"),
        ("empty", ""),
        ("words", "last Tuesday"),
        ("epoch", "1970-01-01T00:00:00Z"),
    ] {
        fake.image("app", tag, created, &[tag]);
    }
    let lost = fake.image("app", "lost-config", "2024-01-01T00:00:00Z", &["lost-config"]);
    fake.change(|contents| {
        let manifest = contents.manifest("app", &lost).expect("the manifest").bytes.clone();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        let config = manifest["config"]["digest"].as_str().expect("a digest").to_owned();
        contents.repository("app").blobs.remove(&config);
    });
    for flags in [&["--older-than", "1h"][..], &["--keep", "1"], &["--older-than", "1h", "--at-most", "1"]] {
        let answer = prune(&fake, flags).exits(0);
        let left = fake.tags("app");
        for tag in ["year-1", "empty", "words", "epoch", "lost-config"] {
            assert!(left.contains(&tag.to_owned()), "{tag} went\n{answer}");
        }
    }
    assert_eq!(fake.tags("app").len(), 5, "those with a date went");
}

/// acr #560: an age of 999,999 days wrapped around, and everything was older.
#[test]
fn an_age_that_is_too_long_is_refused() {
    for age in ["999999d", "99999999999999999999d", "9223372036854775807s", "101y"] {
        let fake = registry(&["v1", "v2"]);
        let until = format!("until={age}");
        prune(&fake, &["--older-than", age]).exits(2).says("longer than 100 years");
        prune(&fake, &["--filter", &until]).exits(2).says("longer than 100 years");
        assert_eq!(fake.requests(), [""; 0]);
        assert_eq!(fake.tags("app"), ["v1", "v2"]);
    }
}

/// crane: the digest of a doomed tag was deleted, and with it the protected tag on it. registry-cli #89: the doomed tag
/// of a digest that another one keeps stayed for ever.
#[test]
fn a_shared_digest_stays_and_only_the_doomed_tag_goes() {
    for (flags, left) in [
        (&["--keep", "1", "--protect", ":alias"][..], &["alias", "v3"][..]),
        (&["--keep", "1", "--exclude", ":alias"], &["alias", "v3"]),
        (&["--keep", "1", "--filter", "tag=v*"], &["alias", "v3"]),
        (&["--order", "name", "--keep", "1", "--filter", "tag=v*"], &["alias", "v3"]),
    ] {
        let fake = registry(&["v1", "v2", "v3"]);
        let shared = fake.change(|contents| contents.repository("app").tags["v1"].clone());
        fake.tag("app", "alias", &shared);
        let answer = prune(&fake, flags).exits(0);
        assert_eq!(fake.tags("app"), left, "{answer}");
        assert!(fake.has_manifest("app", &shared), "{answer}");
    }
}

/// zot #3804: rules for one prefix each, that keep one each, deleted everything between them.
#[test]
fn rules_for_one_prefix_each_keep_one_each() {
    let policy = "\
        [[rule]]\nname = \"a\"\ntags = [\"a-*\"]\nkeep = 1\n\
        [[rule]]\nname = \"b\"\ntags = [\"b-*\"]\nkeep = 1\n\
        [[rule]]\nname = \"c\"\ntags = [\"c-*\"]\nkeep = 1\n";
    let fake = registry(&["a-1", "b-1", "a-2", "c-1", "b-2", "other"]);
    let answer = Tool::new()
        .file("policy.toml", policy)
        .on(&fake, &["prune", "--no-gc", "--force", "--policy", "policy.toml"])
        .exits(0);
    assert_eq!(fake.tags("app"), ["a-2", "b-2", "c-1", "other"], "{answer}");
}

/// ghcr-cleanup-action #104: the signatures of an index's platforms were taken for orphans, as the platforms have no tag.
#[test]
fn the_signature_of_a_kept_indexs_part_stays_and_goes_with_the_index() {
    let fake = FakeRegistry::spawn();
    let mut signatures = Vec::new();
    for (name, created) in [("old", "2024-01-01T00:00:00Z"), ("new", "2024-02-01T00:00:00Z")] {
        let part = fake.change(|contents| contents.untagged_image("app", "linux/amd64", created, &[name]));
        fake.index("app", name, &[&part]);
        let signature = format!("{}.sig", part.replace(':', "-"));
        fake.image("app", &signature, "2020-01-01T00:00:00Z", &[&format!("signature of {name}")]);
        signatures.push(signature);
    }
    let answer = prune(&fake, &["--keep", "1"]).exits(0);
    assert_eq!(fake.tags("app"), ["new", &signatures[1]], "{answer}");
}

/// A tag that could not be read may be at any digest, so an age alone takes nothing of its repository.
#[test]
fn beside_an_unreadable_tag_no_rule_takes_anything() {
    for flags in [&["--older-than", "1h"][..], &["--keep", "1"], &["--order", "name", "--at-most", "1"]] {
        let fake = registry(&["v1", "v2", "v3"]);
        fake.fault(Fault::on("GET", "/v2/app/manifests/v2").answers(500));
        let answer = prune(&fake, flags).exits(0);
        assert_eq!(fake.changes(), [""; 0], "{answer}");
        assert_eq!(fake.tags("app"), ["v1", "v2", "v3"], "{answer}");
    }
}
