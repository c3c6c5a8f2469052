//! Requests that fail in every way while something is deleted: what is reported is what became of the registry, one
//! failure stops no other step, and the next run finishes what was left.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::{Effect, Fault};
use crate::run::{Answer, Asked as _, CREATED, Tool};

struct World {
    fake: FakeRegistry,
    tool: Tool,
    one: String,
    two: String,
    shared: String,
}

/// `app:one` and `app:two`, which are to go; `kept` and `alias` on one digest.
fn world() -> World {
    let fake = FakeRegistry::spawn();
    let one = fake.image("app", "one", CREATED, &["base", "one"]);
    let two = fake.image("app", "two", CREATED, &["base", "two"]);
    let shared = fake.image("app", "kept", CREATED, &["base", "kept"]);
    fake.tag("app", "alias", &shared);
    World { fake, tool: Tool::new(), one, two, shared }
}

impl World {
    fn remove(&self, references: &[&str]) -> Answer {
        self.tool.on(&self.fake, &[&["rm", "--force"], references].concat())
    }

    /// Nothing that was to stay has suffered.
    #[track_caller]
    fn has(&self, tags: &[&str]) {
        assert_eq!(self.fake.tags("app"), tags, "{:#?}", self.fake.requests());
        assert!(self.fake.has_manifest("app", &self.shared));
    }

    fn manifests(&self) -> usize {
        self.fake.change(|contents| contents.repository("app").manifests.len())
    }
}

#[test]
fn a_deletion_that_fails_without_effect_fails_alone() {
    for (effect, said) in [
        (Effect::Answer(500, Vec::new(), String::new()), "500"),
        (Effect::Answer(403, Vec::new(), String::new()), "403"),
        (Effect::CutBefore, "the connection was cut"),
    ] {
        let world = world();
        world.fake.fault(Fault::on("DELETE", &world.one).effect(effect));
        world
            .remove(&["app:one", "app:two"])
            .exits(3)
            .says("Deleted 1 tag and 1 manifest")
            .says("FAILED app:one: DELETE ")
            .says(&format!("FAILED app@{}", world.one))
            .says(said);
        world.has(&["alias", "kept", "one"]);
        assert!(!world.fake.has_manifest("app", &world.two));
    }
}

/// Once its index is gone no tag leads to a part any more, and no later run would find it.
#[test]
fn the_parts_of_a_removed_index_go_whatever_else_stays() {
    let world = world();
    let part = world.fake.untagged_image("app", "linux/arm64", &["base", "part"]);
    world.fake.index("app", "multi", &[&part]);
    world.fake.fault(Fault::on("DELETE", &world.one).answers(500));
    world.remove(&["app:one", "app:multi"]).exits(3).says("Deleted 1 tag and 2 manifests");
    world.has(&["alias", "kept", "one", "two"]);
    assert!(!world.fake.has_manifest("app", &part));
}

#[test]
fn the_parts_of_an_index_that_stays_stay_with_it() {
    let world = world();
    let part = world.fake.untagged_image("app", "linux/arm64", &["base", "part"]);
    let inner = world.fake.index("app", "inner", &[&part]);
    world.fake.change(|contents| contents.untag("app", "inner"));
    let outer = world.fake.index("app", "multi", &[&inner]);
    world.fake.fault(Fault::on("DELETE", &outer).answers(500));
    world.remove(&["app:multi"]).exits(3).says("a manifest that refers to it stays");
    assert!(world.fake.has_manifest("app", &inner) && world.fake.has_manifest("app", &part));
}

#[test]
fn the_next_run_finishes_what_failed() {
    let world = world();
    world.fake.fault(Fault::on("DELETE", &world.one).times(1).answers(500));
    let told = world.remove(&["app:one", "app:two"]).exits(3).stderr;
    let run = told.split("docker registry undo ").nth(1).and_then(|rest| rest.split('`').next());
    let run = run.unwrap_or_else(|| panic!("{told}"));
    let again = world.remove(&["app:one", "app:two"]).exits(0).says("Deleted 1 tag and 1 manifest");
    let _ = again.says(&format!("`app:two` was already removed by the run {run}."));
    world.has(&["alias", "kept"]);
    assert_eq!(world.manifests(), 1);
}

#[test]
fn a_deletion_whose_answer_is_lost_is_looked_at_and_not_sent_again() {
    for effect in [Effect::CutAfter, Effect::AnswerAfter(500), Effect::AnswerAfter(502)] {
        let world = world();
        world.fake.fault(Fault::on("DELETE", &world.one).effect(effect));
        let answer = world.remove(&["app:one", "app:two"]).exits(0).says("Deleted 2 tags and 2 manifests");
        assert_eq!(world.fake.asked("DELETE", &world.one).len(), 1, "{answer}");
        world.has(&["alias", "kept"]);
    }
}

#[test]
fn a_manifest_that_went_and_left_its_tag_is_told() {
    let world = world();
    let one = world.one.clone();
    world.fake.when("DELETE", &world.one, move |contents| contents.lose_manifest("app", &one));
    world.fake.fault(Fault::on("DELETE", &world.one).times(1).answers(500));
    world
        .remove(&["app:one"])
        .exits(3)
        .says("FAILED app:one: the registry removed its manifest and left the tag")
        .says("docker registry rm");
    assert_eq!(world.remove(&["app:one"]).code, Some(0));
    world.has(&["alias", "kept", "two"]);
}

#[test]
fn a_busy_registry_is_waited_for() {
    let world = world();
    world.fake.fault(Fault::on("DELETE", &world.one).times(1).too_many_requests("1"));
    let answer = world.remove(&["app:one"]).exits(0).says("Deleted 1 tag and 1 manifest");
    assert_eq!(world.fake.asked("DELETE", &world.one).len(), 2, "{answer}");
    world.has(&["alias", "kept", "two"]);
}

#[test]
fn a_registry_that_stays_busy_fails_the_step() {
    let world = world();
    world.fake.fault(Fault::on("DELETE", &world.one).too_many_requests("3600"));
    world.remove(&["app:one"]).exits(3).says("FAILED app:one").says("429");
    world.has(&["alias", "kept", "one", "two"]);
}

#[test]
fn a_placeholder_whose_answer_is_lost_is_taken_away_all_the_same() {
    for effect in [Effect::CutAfter, Effect::AnswerAfter(500)] {
        let world = world();
        world.fake.fault(Fault::on("PUT", "/manifests/alias").effect(effect));
        let answer = world.remove(&["app:alias"]);
        world.has(&["kept", "one", "two"]);
        assert_eq!(world.manifests(), 3, "{answer}");
        assert_eq!(world.fake.asked("PUT", "").len(), 1, "{answer}");
        // It is gone, and that is said.
        let _ = answer.exits(0).says("Deleted 1 tag and 0 manifests").never_says("FAILED");
    }
}

#[test]
fn a_placeholder_that_cannot_be_put_leaves_the_tag_where_it_was() {
    for effect in [Effect::Answer(500, Vec::new(), String::new()), Effect::CutBefore] {
        let world = world();
        world.fake.fault(Fault::on("PUT", "/manifests/alias").effect(effect));
        let answer = world.remove(&["app:alias", "app:one"]).exits(3).says("FAILED app:alias: PUT ");
        assert!(answer.stdout.contains("Deleted 1 tag and 1 manifest"), "{answer}");
        world.has(&["alias", "kept", "two"]);
    }
}

#[test]
fn a_placeholder_that_cannot_be_deleted_is_finished_by_the_next_run() {
    for again in [&["rm", "--force", "app:alias"][..], &["prune", "--no-gc", "--force", "--keep", "9"]] {
        let world = world();
        world.fake.fault(
            Fault::on("DELETE", "/v2/app/manifests/")
                .effect(Effect::Answer(500, Vec::new(), String::new()))
                .after(2),
        );
        world.remove(&["app:alias"]).exits(3).says("FAILED app:alias");
        world.has(&["alias", "kept", "one", "two"]);
        world.fake.no_more_faults();
        assert_eq!(world.tool.on(&world.fake, again).code, Some(0));
        world.has(&["kept", "one", "two"]);
        assert_eq!(world.manifests(), 3);
    }
}

#[test]
fn tags_that_cannot_be_listed_again_are_left_alone() {
    let world = world();
    world.fake.fault(Fault::on("GET", "/tags/list").answers(500).after(1).times(1));
    world.remove(&["app:one"]).exits(3).says("FAILED app:one: its tags could not be read again");
    world.has(&["alias", "kept", "one", "two"]);
    assert_eq!(world.fake.changes(), [""; 0]);
}

#[test]
fn a_registry_that_fails_afterwards_leaves_no_step_unsaid() {
    let world = world();
    world.fake.fault(Fault::on("GET", "/tags/list").answers(500).after(2));
    world.remove(&["app:one"]).exits(3).says("FAILED app:one").says("could not be listed afterwards");
    world.has(&["alias", "kept", "two"]);
}

#[test]
fn reading_survives_a_registry_that_stumbles() {
    let world = world();
    world.fake.fault(Fault::on("GET", "/v2/app/manifests/one").times(1).cuts());
    world.fake.fault(Fault::on("GET", "/v2/app/manifests/two").times(1).answers(503));
    world.remove(&["app:one", "app:two"]).exits(0);
    world.has(&["alias", "kept"]);
}

#[test]
fn what_no_cut_short_run_removed_is_a_mistake() {
    let world = world();
    let _ = world.remove(&["app:one"]).exits(0);
    // Nothing is left to do,
    let _ = world.remove(&["app:one"]).exits(1).says("no such tag: `app:one`");
    // or somebody else removed it,
    let _ = world.tool.on(&world.fake, &["undo"]).exits(0);
    world.fake.change(|contents| contents.repository("app").tags.remove("one"));
    let _ = world.remove(&["app:one", "app:two"]).exits(1).says("no such tag: `app:one`");
    // or it was never there.
    let _ = world.remove(&["app:two", "app:three"]).exits(1).says("no such tag: `app:three`");
    world.has(&["alias", "kept", "two"]);
}
