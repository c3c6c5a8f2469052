//! Manifests that no tag leads to go where the store shows them all, and nothing that stays needs them.

use std::sync::Arc;

use super::world::{World, digest_of, now, signature_tag, world};
use super::{audit, by, check, keep, make, pattern, policy, refused, remove, text};
use crate::error::Kind;
use crate::plan::{Plan, Request, Step};
use crate::policy::{Guards, MinAge, Policy, Rule, Selection};
use crate::protect::Protected;

/// `prune` as it is typed without options, but for the minimum age.
fn plain() -> Request {
    by(Rule::default())
}

/// The same with the minimum age that it has by itself.
fn aged() -> Request {
    Request::Prune(Policy { guards: Guards::default(), ..policy(Rule::default()) })
}

fn about(patterns: &[&str], exclude: &[&str]) -> Request {
    let all = |texts: &[&str]| texts.iter().map(|text| pattern(text)).collect();
    let selection = Selection { patterns: all(patterns), exclude: all(exclude), ..Selection::default() };
    by(Rule { selection, ..Rule::default() })
}

fn protecting(add: impl FnOnce(&mut Protected)) -> Request {
    let mut policy = policy(Rule::default());
    add(&mut policy.protected);
    Request::Prune(policy)
}

fn plan(world: &World, request: &Request) -> Plan {
    make(&world.snapshot(), request, now()).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The manifests that go, in their order.
#[track_caller]
fn goes(world: &World, request: &Request, expected: &[&str]) {
    let plan = plan(world, request);
    let steps = plan.repositories.iter().flat_map(|repository| repository.ranks.iter().flatten());
    let gone = steps.map(|step| match step {
        Step::DeleteManifest { digest, expects, .. } if expects.is_empty() => world.name_of(digest),
        step => panic!("{step:?}"),
    });
    assert_eq!(gone.collect::<Vec<_>>(), expected);
}

#[track_caller]
fn spares(world: &World, request: &Request, number: usize, why: &str) {
    goes(world, request, &[]);
    let plan = plan(world, request);
    let spared: Vec<_> = plan.repositories.iter().flat_map(|repository| &repository.spared).collect();
    assert!(spared.iter().any(|(reason, count)| reason.contains(why) && **count == number), "{spared:?}");
}

/// `latest` was pushed twice.
fn overwritten() -> World {
    world().stored().image("app", "latest", "new", 1).child("app", "old", 30)
}

#[test]
fn what_an_overwritten_tag_left_goes() {
    check(
        &overwritten(),
        &plain(),
        "app:latest keep: no rule removes tags
         0 delete old
         frees 1160",
    );
    check(
        &overwritten().image("app", "v1", "v1", 20),
        &keep(1),
        "app:latest keep: `latest`
         app:v1 keep: the newest 1
         0 delete old
         frees 1160",
    );
}

#[test]
fn without_the_store_nothing_is_known_to_be_untagged() {
    let world = world().image("app", "latest", "new", 1).child("app", "old", 30);
    goes(&world, &plain(), &[]);
}

#[test]
fn only_prune_is_about_what_has_no_tag() {
    goes(&overwritten(), &Request::Collect, &[]);
    let world = overwritten().image("app", "v1", "a", 3);
    assert!(!text(&world, &plan(&world, &remove(&["app:v1"]))).contains("delete old"));
    let failure = make(&overwritten().snapshot(), &remove(&["gone"]), now()).unwrap_err();
    assert_eq!(failure.kind, Kind::Failed);
    // What was named goes, tagged or not.
    goes(&overwritten(), &remove(&[&format!("app@{}", digest_of("old"))]), &["old"]);
}

#[test]
fn an_overwritten_index_goes_with_its_parts_but_for_those_of_others() {
    let world = world()
        .stored()
        .child("app", "amd", 30)
        .child("app", "arm", 30)
        .child("app", "shared", 30)
        .index("app", "x", "old", &["amd", "shared"])
        .index("app", "y", "older", &["arm", "old"])
        .untag("app", "x")
        .untag("app", "y")
        .index("app", "latest", "new", &["shared"]);
    check(
        &world,
        &plain(),
        "app:latest keep: no rule removes tags
         0 delete older
         1 delete old
         1 delete arm
         2 delete amd
         frees 2520",
    );
}

#[test]
fn parts_of_an_index_whose_deletion_failed_are_found_again() {
    let parts =
        world().stored().image("app", "v1", "kept", 1).child("app", "amd", 30).child("app", "arm", 30);
    let plan = plan(&parts, &plain());
    assert_eq!(plan.removed_untagged_count(), 2);
}

#[test]
fn a_part_stays_whatever_its_index_calls_it() {
    let world = overwritten().index_of("app", "multi", "i", "application/x-unheard", &["old"]);
    goes(&world, &plain(), &[]);
}

#[test]
fn referrers_stay_and_go_with_what_they_are_about() {
    let world = overwritten()
        .referrer("app", "of new", "new")
        .referrer("app", "of that", "of new")
        .referrer("app", "of old", "old")
        .referrer("app", "of nothing", "nowhere");
    goes(&world, &plain(), &["of nothing", "of old", "old"]);
    // What a kept referrer is about stays.
    let world = overwritten().referrer("app", "r", "old").tag("app", "sbom", "r");
    goes(&world, &plain(), &[]);
}

#[test]
fn a_signature_goes_with_an_image_that_lost_its_tag_and_stays_with_it() {
    let tag = signature_tag("old");
    let world = overwritten().signature("app", "s", "old");
    check(
        &world,
        &plain(),
        &format!(
            "app:latest keep: no rule removes tags
             app:{tag} remove: attached to what is removed
             0 delete s with {tag}
             1 delete old
             frees 1320"
        ),
    );
    let excluded = about(&[], &[&format!("app:{tag}")]);
    spares(&world, &excluded, 1, "excluded by");
}

#[test]
fn the_first_format_stays() {
    goes(&overwritten().schema1("app", "ancient"), &plain(), &["old"]);
}

#[test]
fn what_was_pushed_just_now_stays_with_all_it_needs() {
    let young =
        |name: &'static str, minutes| overwritten().files(move |files| files.pushed("app", name, minutes));
    goes(&young("old", 61), &aged(), &["old"]);
    spares(&young("old", 60), &aged(), 1, "younger than 1h, the minimum age");
    spares(&young("old", -1), &aged(), 1, "no usable date");
    spares(&young("old", -1), &plain(), 1, "no usable date");
    goes(&young("old", 0), &plain(), &["old"]);
    // An index that was pushed by its digest, and gets its tag next.
    let world = young("i", 5).index("app", "x", "i", &["old"]).untag("app", "x");
    spares(&world, &aged(), 1, "minimum age");
    // The statement about an image that is yet to get its tag.
    let world = young("r", 5).referrer("app", "r", "old");
    spares(&world, &aged(), 1, "minimum age");
}

#[test]
fn an_untagged_manifest_in_use_stays_with_all_it_needs() {
    let world = overwritten();
    let in_use = |name: &str| {
        let reference = format!("127.0.0.1:5000/app@{}", digest_of(name));
        protecting(|protected| protected.add_in_use("container `web`", [reference.as_str()]))
    };
    spares(&world, &in_use("old"), 1, "in use");
    // The engine knows an image without a name by its config.
    spares(&world, &in_use("config of old"), 1, "in use");
    let index = world.child("app", "amd", 30).index("app", "x", "i", &["amd", "old"]).untag("app", "x");
    spares(&index, &in_use("old"), 2, "in use");
    let listed = format!("app@{}", digest_of("i"));
    spares(&index, &protecting(|protected| protected.add_listed(&listed).unwrap()), 1, "listed");
}

#[test]
fn only_repositories_that_the_rules_are_about_are_looked_at() {
    let world = overwritten().image("team/api", "v1", "kept", 1).child("team/api", "lost", 30);
    goes(&world, &plain(), &["old", "lost"]);
    goes(&world, &about(&["team/*"], &[]), &["lost"]);
    goes(&world, &about(&[], &["team/*"]), &["old"]);
    // A pattern for tags is not about what has none.
    goes(&world, &about(&["app:v*"], &[]), &[]);
    goes(&world, &about(&[], &["app:v*"]), &["old", "lost"]);
    goes(&world, &Request::Prune(Policy::default()), &[]);
    let protected =
        protecting(|protected| protected.add_patterns(vec![pattern("app"), pattern("team/*:v1")]));
    goes(&world, &protected, &["lost"]);
}

#[test]
fn a_repository_without_tags_is_emptied() {
    let world = world().stored().child("app", "a", 30).child("app", "b", 30);
    goes(&world, &plain(), &["b", "a"]);
    let words = "2 manifests without one, which `docker registry prune 127.0.0.1:5000/app` removes";
    refused(&world.snapshot(), &remove(&["app"]), Kind::Failed, words);
}

#[test]
fn where_anything_is_odd_everything_untagged_stays() {
    let elsewhere = || overwritten().image("lib", "v1", "kept", 1).child("lib", "lost", 30);
    let odd: [(&str, World); 8] = [
        ("`odd` in the store: a file", elsewhere().files(|files| files.odd(Some("app")))),
        ("tag `latest` is another in the store", elsewhere().files(|files| files.tag("app", "latest", None))),
        ("tag `newer` is another", elsewhere().files(|files| files.tag("app", "newer", Some("old")))),
        ("was not read", elsewhere().files(|files| files.unseen("app", "unseen"))),
        ("tag `lost` is listed", elsewhere().dangling("app", "lost")),
        ("tag `bad`: 500", elsewhere().unreadable("app", "bad")),
        ("referrers of", elsewhere().unlisted("app", "new")),
        ("a layer as well", elsewhere().files(|files| files.layer("app", "old"))),
    ];
    for (why, world) in odd {
        goes(&world, &plain(), &["lost"]);
        let spared = plan(&world, &plain()).repositories[0].spared.clone();
        assert!(spared.keys().any(|reason| reason.contains(why)), "{why}: {spared:?}");
    }
    // What the registry serves and the store does not show.
    goes(&elsewhere().files(|files| files.without("app", "old")), &plain(), &["lost"]);
    // What is odd beside the repositories is in none of them.
    goes(&elsewhere().files(|files| files.odd(None)), &plain(), &["old", "lost"]);
}

#[test]
fn a_plan_for_the_untagged_that_was_tampered_with_fails_the_audit() {
    let world = overwritten()
        .child("app", "part", 3)
        .index("app", "multi", "i", &["part"])
        .image("app", "v1", "b", 3)
        .referrer("app", "of new", "new");
    let snapshot = world.snapshot();
    let plan = plan(&world, &plain());
    audit::check(&plan, &snapshot).unwrap();
    let also = |name: &str| {
        let mut plan = plan.clone();
        let removal = plan.repositories[0].manifests[0].clone();
        plan.repositories[0]
            .manifests
            .push(super::super::ManifestRemoval { digest: digest_of(name), ..removal });
        let step = Step::DeleteManifest { digest: digest_of(name), expects: [].into(), after: [].into() };
        plan.repositories[0].ranks.push(vec![step]);
        Arc::make_mut(&mut plan.kept)
            .manifests
            .get_mut(&"app".parse().unwrap())
            .unwrap()
            .remove(&digest_of(name));
        plan
    };
    // Deleted are a part of a kept index, and what a kept image's referrer is about.
    for name in ["part", "of new"] {
        audit::check(&also(name), &snapshot).unwrap_err();
    }
    // The same plan for another world.
    let worlds: [(&str, World); 7] = [
        ("too young", world.clone().files(|files| files.pushed("app", "old", 5))),
        ("is not in the store", world.clone().files(|files| files.without("app", "old"))),
        ("odd", world.clone().files(|files| files.odd(Some("app")))),
        ("another in the store", world.clone().files(|files| files.tag("app", "latest", Some("old")))),
        ("nobody knows what", world.clone().files(|files| files.unseen("app", "unseen"))),
        ("is a layer as well", world.clone().files(|files| files.layer("app", "old"))),
        ("names", world.clone().referrer("app", "r", "old").tag("app", "sbom", "r")),
    ];
    let mut aged = plan.clone();
    aged.untagged = Some(MinAge::default());
    for (why, world) in worlds {
        let faults = audit::check(&aged, &world.snapshot()).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(why)), "{why}: {faults:?}");
    }
    let mut snapshot = snapshot;
    snapshot.store = None;
    audit::check(&plan, &snapshot).unwrap_err();
    let mut unasked = plan.clone();
    unasked.untagged = None;
    audit::check(&unasked, &world.snapshot()).unwrap_err();
}
