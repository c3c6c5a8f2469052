//! The world changes between the plan and the deletions: what was pushed meanwhile is never harmed, and the report says
//! what was left alone and why. The harmless question about deletions is the moment at which the plan stands.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::{Contents, OCI_INDEX};
use crate::fake_registry::quirks::Version;
use crate::run::{Answer, Asked as _, CREATED, PROBE, Tool};

struct World {
    fake: FakeRegistry,
    old: String,
    kept: String,
}

/// `app:old`, which is to go, and `app:kept`.
fn world() -> World {
    let fake = FakeRegistry::spawn();
    let old = fake.image("app", "old", "2023-05-01T00:00:00Z", &["base", "old"]);
    let kept = fake.image("app", "kept", CREATED, &["base", "kept"]);
    World { fake, old, kept }
}

impl World {
    /// Does `change` when the plan is made.
    fn meanwhile(&self, change: impl FnOnce(&mut Contents) + Send + 'static) -> &Self {
        self.fake.when("DELETE", PROBE, change);
        self
    }

    fn prune(&self) -> Answer {
        Tool::new().on(&self.fake, &["prune", "--no-gc", "--force", "--keep", "1", "--max-delete", "100%"])
    }

    #[track_caller]
    fn still_has_the_old_one(&self) {
        assert!(self.fake.has_manifest("app", &self.old));
        assert_eq!(self.fake.changes(), [""; 0]);
    }

    fn at(&self, tag: &str) -> Option<String> {
        self.fake.change(|contents| contents.repository("app").tags.get(tag).cloned())
    }
}

#[test]
fn a_digest_that_a_kept_tag_was_moved_onto_stays() {
    let world = world();
    let old = world.old.clone();
    world.meanwhile(move |contents| contents.tag("app", "kept", &old));
    world
        .prune()
        .exits(0)
        .says("Deleted 0 tags and 0 manifests")
        .says("Skipped app:old: tag `kept` was put on it since the plan");
    world.still_has_the_old_one();
    assert_eq!(world.fake.tags("app"), ["kept", "old"]);
}

#[test]
fn a_digest_that_got_a_new_tag_stays() {
    let world = world();
    let old = world.old.clone();
    world.meanwhile(move |contents| contents.tag("app", "rescued", &old));
    world.prune().exits(0).says("Skipped app:old: tag `rescued` was put on it since the plan");
    world.still_has_the_old_one();
    assert_eq!(world.fake.tags("app"), ["kept", "old", "rescued"]);
}

#[test]
fn what_is_rescued_keeps_no_other_image_from_going() {
    let world = world();
    let doomed: Vec<String> = (0..150)
        .map(|number| {
            let tag = format!("t{number}");
            world.fake.image("app", &tag, "2023-06-01T00:00:00Z", &["base", &tag])
        })
        .collect();
    let rescued: Vec<String> = doomed.iter().take(10).cloned().collect();
    world.meanwhile(move |contents| {
        for (number, digest) in rescued.iter().enumerate() {
            contents.tag("app", &format!("rescued{number}"), digest);
        }
    });
    let answer = world.prune().exits(0).says("Deleted 141 tags and 141 manifests");
    assert!(doomed[..10].iter().all(|digest| world.fake.has_manifest("app", digest)), "{answer}");
    assert!(!doomed[10..].iter().any(|digest| world.fake.has_manifest("app", digest)), "{answer}");
}

#[test]
fn a_digest_that_a_new_index_needs_stays() {
    let world = world();
    let old = world.old.clone();
    world.meanwhile(move |contents| {
        contents.index("app", "multi", &[&old]);
    });
    world.prune().exits(0).says("Skipped app:old: tag `multi`, pushed since the plan, needs it");
    world.still_has_the_old_one();
}

#[test]
fn a_digest_that_the_subject_of_a_new_image_names_stays() {
    let world = world();
    let (old, kept) = (world.old.clone(), world.kept.clone());
    world.meanwhile(move |contents| {
        let base = contents.manifest("app", &kept).expect("the kept image").bytes.clone();
        let mut signature: serde_json::Value = serde_json::from_slice(&base).expect("a manifest");
        let media_type = signature["mediaType"].clone();
        signature["subject"] = serde_json::json!({ "mediaType": media_type, "digest": old, "size": 1 });
        let media_type = media_type.as_str().expect("text").to_owned();
        let digest = contents.manifest_of("app", &media_type, signature.to_string().as_bytes());
        contents.tag("app", "signature", &digest);
    });
    world.prune().exits(0).says("Skipped app:old: tag `signature`, pushed since the plan, needs it");
    world.still_has_the_old_one();
}

#[test]
fn nothing_goes_beside_a_new_index_whose_parts_are_not_known() {
    let world = world();
    world.meanwhile(|contents| {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI_INDEX}","digest":"sha256:{}","size":1}}]}}"#,
            "1".repeat(64)
        );
        let digest = contents.manifest_of("app", OCI_INDEX, index.as_bytes());
        contents.tag("app", "deep", &digest);
    });
    world.prune().exits(0).says("Skipped app:old: tag `deep`, pushed since the plan, may need it");
    world.still_has_the_old_one();
}

#[test]
fn a_new_image_is_no_reason_to_stop() {
    let world = world();
    world.meanwhile(|contents| {
        contents.image("app", "newer", CREATED, &["base", "newer"]);
    });
    world.prune().exits(0).says("Deleted 1 tag and 1 manifest");
    assert_eq!(world.fake.tags("app"), ["kept", "newer"]);
}

#[test]
fn a_removed_tag_that_was_pushed_again_survives_with_its_new_image() {
    let world = world();
    world.meanwhile(|contents| {
        contents.image("app", "old", CREATED, &["base", "pushed again"]);
    });
    world.prune().exits(0).says("Skipped app:old: it was pushed again meanwhile");
    let at = world.at("old").expect("the tag is there");
    assert!(at != world.old && world.fake.has_manifest("app", &at));
    assert!(!world.fake.has_manifest("app", &world.old));
}

#[test]
fn a_removed_tag_that_was_pushed_again_as_an_index_over_its_old_image_keeps_it_whole() {
    let world = world();
    let old = world.old.clone();
    world.meanwhile(move |contents| {
        contents.index("app", "old", &[&old]);
    });
    world.prune().exits(0).says("Skipped app:old");
    world.still_has_the_old_one();
}

#[test]
fn a_tag_of_a_shared_digest_that_was_pushed_again_is_not_overwritten() {
    for version in [Version::Two, Version::Three] {
        let world = world();
        world.fake.quirks(|quirks| quirks.version = version);
        world.fake.tag("app", "alias", &world.kept);
        world.fake.tag("app", "other", &world.kept);
        world.meanwhile(|contents| {
            contents.image("app", "alias", CREATED, &["base", "pushed again"]);
        });
        Tool::new()
            .on(&world.fake, &["rm", "--force", "app:alias", "app:other"])
            .exits(0)
            .says("Deleted 1 tag and 0 manifests")
            .says("Skipped app:alias: it was pushed again since the plan");
        let at = world.at("alias").expect("the tag is there");
        assert!(at != world.kept && world.fake.has_manifest("app", &at));
        assert_eq!(world.fake.tags("app"), ["alias", "kept", "old"]);
        assert!(world.fake.changes().iter().all(|line| !line.ends_with("/alias")));
    }
}

#[test]
fn a_tag_of_a_shared_digest_that_is_gone_already_is_not_put_back() {
    let world = world();
    world.fake.tag("app", "alias", &world.kept);
    world.meanwhile(|contents| contents.untag("app", "alias"));
    Tool::new()
        .on(&world.fake, &["rm", "--force", "app:alias"])
        .exits(0)
        .says("Skipped app:alias: it is gone since the plan");
    assert_eq!(world.fake.changes(), [""; 0]);
    assert_eq!(world.fake.tags("app"), ["kept", "old"]);
}

#[test]
fn a_manifest_that_somebody_else_deleted_is_deleted() {
    let world = world();
    let old = world.old.clone();
    world.meanwhile(move |contents| {
        contents.delete("app", &old);
    });
    world.prune().exits(0).says("Deleted 1 tag and 1 manifest");
    assert_eq!(world.fake.tags("app"), ["kept"]);
}

#[test]
fn a_kept_tag_that_vanishes_during_the_run_is_an_alarm() {
    let world = world();
    world.fake.when("DELETE", &world.old.clone(), |contents| contents.untag("app", "kept"));
    let answer = world.prune().exits(5).says("MISSING app:kept: it was to be kept, and is no longer listed");
    assert!(answer.stdout.contains("Deleted 1 tag and 1 manifest"), "{answer}");
}

#[test]
fn parts_stay_with_an_index_that_stays() {
    let fake = FakeRegistry::spawn();
    let part = fake.untagged_image("app", "linux/amd64", &["amd64"]);
    let index = fake.index("app", "multi", &[&part]);
    let moved = index.clone();
    fake.when("DELETE", PROBE, move |contents| contents.tag("app", "rescued", &moved));
    Tool::new()
        .on(&fake, &["rm", "--force", "app:multi"])
        .exits(0)
        .says("tag `rescued` was put on it since the plan")
        .says("a manifest that refers to it stays");
    assert_eq!(fake.changes(), [""; 0]);
    assert!(fake.has_manifest("app", &index) && fake.has_manifest("app", &part));
}
