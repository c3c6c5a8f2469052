//! The plan as text is the oracle: one table of small worlds, and properties over generated ones.

mod attachments;
mod estimate;
mod files;
mod loose;
mod policies;
mod properties;
mod stranded;
mod untagged;
mod world;

use std::sync::Arc;

use jiff::Timestamp;

use self::world::{World, digest_of, now, world};
use super::{Plan, Request, Step, audit, make};
use crate::age::Age;
use crate::error::Kind;
use crate::model::Snapshot;
use crate::policy::{Guards, MinAge, Policy, Rule, Selection, Verdict};
use crate::reference::{Pattern, Reference};

/// Rules by themselves.
pub(super) fn policy(rule: Rule) -> Policy {
    let guards = Guards { min_age: MinAge::None, ..Guards::default() };
    Policy { rules: vec![rule], guards, ..Policy::default() }
}

fn by(rule: Rule) -> Request {
    Request::Prune(policy(rule))
}

pub(super) fn keep(count: u32) -> Request {
    by(Rule { keep: Some(count), ..Rule::default() })
}

fn older_than(age: &str) -> Request {
    by(Rule { older_than: Some(age.parse::<Age>().unwrap()), ..Rule::default() })
}

fn remove(references: &[&str]) -> Request {
    Request::Remove(references.iter().map(|text| text.parse::<Reference>().unwrap()).collect())
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// The plan's decisions and steps, with digests by the names that the world gave them.
fn text(world: &World, plan: &Plan) -> String {
    let mut lines = Vec::new();
    for repository in &plan.repositories {
        for decision in &repository.tags {
            let why = match &decision.verdict {
                Verdict::Keep(why) => format!("keep: {}", why.summary()),
                Verdict::Remove(why) => format!("remove: {}", why.summary()),
            };
            lines.push(format!("{}:{} {why}", repository.repository, decision.tag));
        }
        for (rank, steps) in repository.ranks.iter().enumerate() {
            for step in steps {
                lines.push(match step {
                    Step::DeleteTag { tag, .. } => format!("{rank} delete tag {tag}"),
                    Step::Untag { tags, .. } => {
                        format!(
                            "{rank} untag {}",
                            tags.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>().join(" ")
                        )
                    }
                    Step::DeleteManifest { digest, expects, .. } => {
                        let tags = expects.iter().map(|tag| format!(" {tag}")).collect::<String>();
                        format!(
                            "{rank} delete {}{}",
                            world.name_of(digest),
                            if tags.is_empty() { tags } else { format!(" with{tags}") }
                        )
                    }
                });
            }
        }
    }
    lines.push(format!("frees {}", plan.estimate.total().0));
    lines.join("\n")
}

#[track_caller]
fn check(world: &World, request: &Request, expected: &str) {
    let plan = make(&world.snapshot(), request, now()).unwrap_or_else(|failure| panic!("{failure}"));
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(text(world, &plan).lines().collect::<Vec<_>>(), expected);
}

#[track_caller]
fn refused(snapshot: &Snapshot, request: &Request, kind: Kind, words: &str) {
    let failure = make(snapshot, request, now()).unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.to_string().contains(words), "{failure}");
}

#[test]
fn the_newest_stay_and_the_rest_goes() {
    let world = world().image("app", "v1", "a", 30).image("app", "v2", "b", 20).image("app", "v3", "c", 10);
    check(
        &world,
        &keep(2),
        "app:v1 remove: not among the newest 2
         app:v2 keep: the newest 2
         app:v3 keep: the newest 2
         0 delete a with v1
         frees 1160",
    );
}

#[test]
fn keep_and_older_than_each_save() {
    let world = world().image("app", "v1", "a", 30).image("app", "v2", "b", 20).image("app", "v3", "c", 10);
    let rules = Rule { keep: Some(1), older_than: Some("25d".parse().unwrap()), ..Rule::default() };
    check(
        &world,
        &by(rules),
        "app:v1 remove: not among the newest 1 and older than 25d
         app:v2 keep: younger than 25d
         app:v3 keep: the newest 1
         0 delete a with v1
         frees 1160",
    );
}

#[test]
fn one_tag_of_a_shared_digest_leaves_the_others_alone() {
    let world = world().image("app", "v1", "a", 30).tag("app", "alias", "a").image("app", "v2", "b", 1);
    let rules = Rule {
        keep: Some(1),
        selection: Selection { patterns: vec![pattern("app:v*")], ..Selection::default() },
        ..Rule::default()
    };
    check(
        &world,
        &by(rules.clone()),
        "app:alias keep: not covered by a pattern
         app:v1 remove: not among the newest 1
         app:v2 keep: the newest 1
         0 untag v1
         frees 0",
    );
    check(
        &world.clone().with_tag_deletion(),
        &by(rules),
        "app:alias keep: not covered by a pattern
         app:v1 remove: not among the newest 1
         app:v2 keep: the newest 1
         0 delete tag v1
         frees 0",
    );
}

#[test]
fn all_shared_tags_are_untagged_together() {
    let world = world()
        .image("app", "v1", "a", 30)
        .tag("app", "x", "a")
        .image("app", "v2", "b", 20)
        .tag("app", "y", "b")
        .image("app", "v3", "c", 10);
    let rules = Rule {
        keep: Some(1),
        selection: Selection { exclude: vec![pattern("app:x"), pattern(":y")], ..Selection::default() },
        ..Rule::default()
    };
    check(
        &world,
        &by(rules),
        "app:v1 remove: not among the newest 1
         app:v2 remove: not among the newest 1
         app:v3 keep: the newest 1
         app:x keep: excluded by `app:x`
         app:y keep: excluded by `:y`
         0 untag v1 v2
         frees 0",
    );
}

#[test]
fn an_index_goes_before_its_children_and_takes_them_along() {
    let world = world()
        .child("app", "amd", 30)
        .child("app", "arm", 30)
        .index("app", "multi", "i", &["amd", "arm"])
        .image("app", "v2", "b", 1);
    check(
        &world,
        &remove(&["app:multi"]),
        "app:multi remove: named
         app:v2 keep: not named
         0 delete i with multi
         1 delete amd
         1 delete arm
         frees 2420",
    );
}

#[test]
fn a_child_that_something_kept_needs_stays() {
    let world = world()
        .child("app", "amd", 30)
        .child("app", "arm", 30)
        .index("app", "old", "i", &["amd", "arm"])
        .index("app", "new", "j", &["arm"])
        .tag("app", "lone", "amd");
    check(
        &world,
        &remove(&["app:old"]),
        "app:lone keep: not named
         app:new keep: not named
         app:old remove: named
         0 delete i with old
         frees 100",
    );
    // The tag of a child of a kept index is taken off it; the child stays.
    check(
        &world,
        &remove(&["app:lone"]),
        "app:lone remove: named
         app:new keep: not named
         app:old keep: not named
         0 untag lone
         frees 0",
    );
}

#[test]
fn nested_indexes_go_from_the_outside_in() {
    let world = world().child("app", "amd", 30).index("app", "inner", "i", &["amd"]).index(
        "app",
        "outer",
        "o",
        &["i", "amd"],
    );
    check(
        &world,
        &remove(&["app"]),
        "app:inner remove: named
         app:outer remove: named
         0 delete o with outer
         1 delete i with inner
         2 delete amd
         frees 1360",
    );
}

#[test]
fn a_digest_takes_all_its_tags_but_not_what_others_need() {
    let world = world().image("app", "v1", "a", 30).tag("app", "stable", "a").child("app", "amd", 1).index(
        "app",
        "multi",
        "i",
        &["amd"],
    );
    check(
        &world,
        &remove(&[&format!("app@{}", digest_of("a"))]),
        "app:multi keep: not named
         app:stable remove: named
         app:v1 remove: named
         0 delete a with stable v1
         frees 1160",
    );
    let needed = remove(&[&format!("app@{}", digest_of("amd"))]);
    refused(&world.snapshot(), &needed, Kind::Refused, "is needed by `app:multi`");
}

#[test]
fn what_is_not_there_is_said_before_anything_happens() {
    let world = world().image("app", "v1", "a", 30);
    refused(
        &world.snapshot(),
        &remove(&["app:v1", "app:v9", "nope"]),
        Kind::Failed,
        "no such tag: `app:v9`; no such repository: `nope`",
    );
    let absent = remove(&[&format!("app@{}", digest_of("zzz"))]);
    refused(&world.snapshot(), &absent, Kind::Failed, "no such manifest");
}

#[test]
fn unknown_dates_are_kept_and_take_no_place() {
    let world = world()
        .image("app", "v1", "a", 30)
        .image("app", "v2", "b", 20)
        .undated("app", "v3", "c")
        .dated("app", "v4", "d", "1970-01-01T00:00:00Z");
    check(
        &world,
        &keep(1),
        "app:v1 remove: not among the newest 1
         app:v2 keep: the newest 1
         app:v3 keep: no usable date
         app:v4 keep: no usable date
         0 delete a with v1
         frees 1160",
    );
}

#[test]
fn what_cannot_be_read_makes_its_repository_untouchable() {
    let whole = world()
        .image("app", "v1", "a", 30)
        .image("app", "v2", "b", 20)
        .image("other", "v1", "c", 30)
        .image("other", "v2", "d", 1);
    let untouched = "app:v1 keep: not everything could be read: tag `bad`: 500
         app:v2 keep: not everything could be read: tag `bad`: 500
         app:bad keep: not everything could be read: tag `bad`: 500";
    let world = whole.clone().unreadable("app", "bad");
    let plan = make(&world.snapshot(), &keep(1), now()).unwrap();
    for line in untouched.lines().map(str::trim) {
        assert!(text(&world, &plan).contains(line), "{}", text(&world, &plan));
    }
    assert!(plan.repositories[0].ranks.is_empty() && !plan.repositories[1].ranks.is_empty());
    assert_eq!(plan.blockers.len(), 1, "{:?}", plan.blockers);
    refused(&world.snapshot(), &remove(&["app:v1"]), Kind::Refused, "tag `bad`: 500");
    // A tag without a manifest stops rules, and can be removed by name.
    let world = whole.dangling("app", "lost");
    let plan = make(&world.snapshot(), &keep(1), now()).unwrap();
    assert!(plan.repositories[0].ranks.is_empty());
    let plan = make(&world.snapshot(), &remove(&["app:lost"]), now()).unwrap();
    assert!(text(&world, &plan).contains("0 untag lost"));
    assert_eq!(plan.blockers, Vec::<String>::new());
}

#[test]
fn signatures_live_and_die_with_their_subject() {
    let signature = |letter: &str| format!("sha256-{}.sig", digest_of(letter).hex());
    let world = world()
        .image("app", "v1", "a", 30)
        .image("app", "v2", "b", 20)
        .image("app", &signature("a"), "siga", 29)
        .image("app", &signature("b"), "sigb", 19);
    let plan = make(&world.snapshot(), &keep(1), now()).unwrap();
    let text = text(&world, &plan);
    for line in [
        format!("app:{} remove: attached to what is removed", signature("a")),
        format!("app:{} keep: attached to what is kept", signature("b")),
        "app:v2 keep: the newest 1".to_owned(),
        format!("0 delete siga with {}", signature("a")),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_shared_layer_is_counted_once_and_only_when_nothing_else_needs_it() {
    let world = world().image_with("app", "v1", "a", 30, &["base", "one"]).image_with(
        "app",
        "v2",
        "b",
        20,
        &["base", "two"],
    );
    // Two configs of 60, three layers of 1000, two manifests of 100.
    let plan = make(&world.snapshot(), &remove(&["app"]), now()).unwrap();
    assert_eq!(plan.estimate.total().0, 3320);
    let plan = make(&world.snapshot(), &remove(&["app:v1"]), now()).unwrap();
    assert_eq!(plan.estimate.total().0, 1160);
    let elsewhere = world.image_with("lib", "v1", "c", 1, &["base", "one"]);
    let plan = make(&elsewhere.snapshot(), &remove(&["app"]), now()).unwrap();
    assert_eq!(plan.estimate.total().0, 1320);
}

#[test]
fn what_an_interrupted_run_began_is_finished() {
    let world = world().image("app", "v1", "a", 30).placeholder("app", "v0").image("app", "v2", "b", 1);
    check(
        &world,
        &keep(5),
        "app:v0 remove: left by an interrupted run
         app:v1 keep: the newest 5
         app:v2 keep: the newest 5
         0 delete placeholder with v0
         frees 100",
    );
}

#[test]
fn rules_without_keep_or_age_remove_no_tag() {
    let world = world().image("app", "v1", "a", 3000);
    check(&world, &Request::Prune(Policy::default()), "app:v1 keep: no rule removes tags\nfrees 0");
    check(&world, &Request::Collect, "app:v1 keep: no rule removes tags\nfrees 0");
    check(&world, &older_than("2y"), "app:v1 remove: older than 2y\n0 delete a with v1\nfrees 1160");
}

#[test]
fn a_plan_that_was_tampered_with_fails_the_audit() {
    let world = world()
        .image("app", "v1", "a", 30)
        .tag("app", "alias", "a")
        .child("app", "amd", 3)
        .index("app", "multi", "i", &["amd"])
        .image("app", "v2", "b", 1);
    let snapshot = world.snapshot();
    let plan = make(&snapshot, &remove(&["app:v1", "app:multi"]), now()).unwrap();
    audit::check(&plan, &snapshot).unwrap();
    let tampered = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        audit::check(&plan, &snapshot).unwrap_err()
    };
    let steps = |plan: &mut Plan| -> Vec<Vec<Step>> { std::mem::take(&mut plan.repositories[0].ranks) };
    // The digest that a kept tag shares is deleted.
    tampered(&|plan| {
        plan.repositories[0].ranks.push(vec![Step::DeleteManifest {
            digest: digest_of("a"),
            expects: ["v1".parse().unwrap()].into(),
            after: [].into(),
        }]);
    });
    // Children before their index.
    tampered(&|plan| {
        let ranks = steps(plan);
        plan.repositories[0].ranks = ranks.into_iter().rev().collect();
    });
    // The parts would go even if their index stayed.
    tampered(&|plan| {
        for step in plan.repositories[0].ranks.iter_mut().flatten() {
            if let Step::DeleteManifest { after, .. } = step {
                after.clear();
            }
        }
    });
    // A step is lost; a step stands twice; a tag is taken from where it is not.
    tampered(&|plan| drop(plan.repositories[0].ranks.pop()));
    tampered(&|plan| {
        let first = plan.repositories[0].ranks[0].clone();
        plan.repositories[0].ranks.push(first);
    });
    tampered(&|plan| {
        plan.repositories[0]
            .ranks
            .push(vec![Step::DeleteTag { tag: "v2".parse().unwrap(), expects: Some(digest_of("a")) }]);
    });
    // What was never read is deleted; what is kept would not be verified; a tag has no verdict.
    tampered(&|plan| {
        plan.repositories[0].ranks.push(vec![Step::DeleteManifest {
            digest: digest_of("unheard"),
            expects: [].into(),
            after: [].into(),
        }]);
    });
    tampered(&|plan| Arc::make_mut(&mut plan.kept).manifests.clear());
    tampered(&|plan| Arc::make_mut(&mut plan.kept).blobs.clear());
    tampered(&|plan| Arc::make_mut(&mut plan.kept).tags.clear());
    tampered(&|plan| drop(plan.repositories[0].tags.pop()));
}

#[test]
fn dates_and_ages_meet_exactly() {
    let world = world().image("app", "v1", "a", 30);
    let created: Timestamp = now() - jiff::SignedDuration::from_hours(30 * 24);
    assert_eq!("30d".parse::<Age>().unwrap().before(now()), created);
    check(&world, &older_than("30d"), "app:v1 keep: younger than 30d\nfrees 0");
    check(&world, &older_than("29d"), "app:v1 remove: older than 29d\n0 delete a with v1\nfrees 1160");
}
