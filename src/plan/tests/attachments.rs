//! What belongs to a manifest stays and goes with it; what belongs to nothing goes.

use std::sync::Arc;

use super::world::{World, digest_of, now, signature_tag, world};
use super::{by, check, keep, make, older_than, pattern, policy, refused, remove, text};
use crate::error::Kind;
use crate::plan::{Plan, Request, Step};
use crate::policy::{Rule, Selection};

fn plain() -> Request {
    by(Rule::default())
}

fn plan(world: &World, request: &Request) -> Plan {
    make(&world.snapshot(), request, now()).unwrap()
}

/// The names of the manifests that go, in the order in which they go.
fn gone(world: &World, request: &Request) -> Vec<String> {
    let plan = plan(world, request);
    let steps = plan.repositories.iter().flat_map(|repository| repository.ranks.iter().flatten());
    steps
        .filter_map(|step| match step {
            Step::DeleteManifest { digest, .. } => Some(world.name_of(digest)),
            Step::DeleteTag { .. } | Step::Untag { .. } => None,
        })
        .collect()
}

fn two_versions() -> World {
    world().image("app", "v1", "old", 30).image("app", "v2", "new", 1)
}

#[test]
fn a_referrer_goes_before_its_subject_and_stays_with_it() {
    let world = two_versions()
        .referrer("app", "sbom of old", "old")
        .referrer("app", "signature of that sbom", "sbom of old")
        .referrer("app", "sbom of new", "new");
    check(
        &world,
        &keep(1),
        "app:v1 remove: not among the newest 1
         app:v2 keep: the newest 1
         0 delete signature of that sbom
         1 delete sbom of old
         2 delete old with v1
         frees 1360",
    );
    let plan = plan(&world, &keep(1));
    let kept = &plan.kept.manifests[&"app".parse().unwrap()];
    assert!(kept.contains(&digest_of("sbom of new")), "what stays is verified");
}

#[test]
fn a_referrer_that_a_kept_tag_or_index_reaches_stays() {
    let tagged = two_versions().referrer("app", "r", "old").tag("app", "kept", "r");
    let keeping = Rule {
        keep: Some(1),
        selection: Selection { exclude: vec![pattern("app:kept")], ..Selection::default() },
        ..Rule::default()
    };
    // And a kept artifact of an ordinary name keeps what it is about.
    assert_eq!(gone(&tagged, &by(keeping.clone())), [""; 0]);
    let listed = two_versions().referrer("app", "r", "old").index("app", "kept", "i", &["r"]);
    assert_eq!(gone(&listed, &by(keeping)), [""; 0]);
}

#[test]
fn an_ordinary_tag_with_a_subject_is_a_version_and_its_manifest_stays_with_what_it_is_about() {
    let world = two_versions().referrer("app", "r", "new").chart("app", "chart", "c", None);
    let world = world.tag("app", "v0", "r");
    // It says no date, so it stays by itself; by name it is the oldest, and leaves its tag.
    let by_name = by(Rule {
        at_most: Some(2),
        order: crate::policy::Order::Name,
        selection: Selection { patterns: vec![pattern("app:v*")], ..Selection::default() },
        ..Rule::default()
    });
    check(
        &world,
        &by_name,
        "app:chart keep: not covered by a pattern
         app:v0 remove: not among the newest 2
         app:v1 keep: the newest 2
         app:v2 keep: the newest 2
         0 untag v0
         frees 0",
    );
}

#[test]
fn a_person_may_name_a_referrer_and_not_what_a_kept_one_is_about() {
    let world = two_versions().referrer("app", "r", "new").referrer("app", "rr", "r");
    assert_eq!(gone(&world, &remove(&[&format!("app@{}", digest_of("r"))])), ["rr", "r"]);
    let tagged = world.tag("app", "note", "r");
    assert_eq!(gone(&tagged, &remove(&["app:note"])), ["rr", "r"]);
    let subject = remove(&[&format!("app@{}", digest_of("new"))]);
    refused(&tagged.snapshot(), &subject, Kind::Refused, "which refers to it");
}

#[test]
fn attachments_of_the_parts_of_a_kept_index_stay() {
    let part = signature_tag("amd");
    let world = world()
        .child("app", "amd", 30)
        .index("app", "multi", "i", &["amd"])
        .image("app", &part, "siga", 29)
        .referrer("app", "r", "amd");
    assert_eq!(gone(&world, &keep(1)), [""; 0]);
    let newer = world.image("app", "v2", "b", 1);
    let mut gone = gone(&newer, &keep(1));
    assert_eq!(gone.pop().as_deref(), Some("amd"), "the last of all");
    gone.sort();
    assert_eq!(gone, ["i", "r", "siga"]);
}

#[test]
fn attachments_are_no_versions() {
    let world =
        two_versions().signature("app", "s", "new").referrer("app", "r", "new").image("app", "v0", "x", 90);
    assert_eq!(gone(&world, &keep(2)), ["x"]);
    assert_eq!(gone(&world, &older_than("60d")), ["x"]);
}

#[test]
fn an_orphan_goes_with_rules_and_without_and_takes_its_own_attachments_along() {
    let orphaned =
        two_versions().signature("app", "s", "gone").absent("app", "gone").signature("app", "ss", "s");
    let (first, second) = (signature_tag("gone"), signature_tag("s"));
    let world = orphaned.referrer("app", "r", "s");
    for request in [plain(), keep(2)] {
        let text = text(&world, &plan(&world, &request));
        assert!(text.contains(&format!("app:{first} remove: attached to what is gone")), "{text}");
        assert!(text.contains(&format!("app:{second} remove: attached to what is removed")), "{text}");
        assert_eq!(gone(&world, &request), ["r", "ss", "s"].map(str::to_owned), "{text}");
    }
    assert_eq!(gone(&world, &Request::Collect), [""; 0]);
    assert_eq!(gone(&world, &remove(&["app:v1"])), ["old"]);
}

#[test]
fn what_is_not_proven_to_be_an_orphan_stays() {
    let orphaned = || two_versions().signature("app", "s", "gone").absent("app", "gone");
    assert_eq!(gone(&orphaned(), &plain()), ["s"]);
    let sure = |rule: Rule| Request::Prune(policy(rule));
    let about = |selection: Selection| sure(Rule { selection, ..Rule::default() });
    for (what, world, request) in [
        ("nobody was asked", two_versions().signature("app", "s", "gone"), plain()),
        ("it is there without a tag", orphaned().child("app", "gone", 9), plain()),
        ("another repository has it", orphaned().image("other", "v1", "gone", 9), plain()),
        ("not all was read", orphaned().in_part(), plain()),
        ("another repository was not", orphaned().unreadable("other", "v1"), plain()),
        ("its own was not", orphaned().unlisted("app", "new"), plain()),
        ("its own has a dangling tag", orphaned().dangling("app", "lost"), plain()),
        (
            "no pattern is about it",
            orphaned(),
            about(Selection { patterns: vec![pattern("app:v*")], ..Selection::default() }),
        ),
        (
            "it is excluded",
            orphaned(),
            about(Selection { exclude: vec![pattern("app:sha256-*")], ..Selection::default() }),
        ),
    ] {
        assert_eq!(gone(&world, &request), [""; 0], "{what}");
    }
    let mut policy = policy(Rule::default());
    policy.protected.add_patterns(vec![pattern("app:sha256-*")]);
    assert_eq!(gone(&orphaned(), &Request::Prune(policy)), [""; 0]);
    // A dangling tag elsewhere leads to nothing, so it hides nothing.
    assert_eq!(gone(&orphaned().dangling("other", "lost"), &plain()), ["s"]);
}

#[test]
fn a_repository_of_attachments_alone_keeps_them_and_says_how_they_go() {
    let world = two_versions().signature("store", "s", "elsewhere").absent("store", "elsewhere");
    let plan = plan(&world, &plain());
    let store = &plan.repositories[1];
    let why = store.kept_tags().next().map(|decision| format!("{:?}", decision.verdict)).unwrap();
    let reference = format!("127.0.0.1:5000/store:{}", signature_tag("elsewhere"));
    assert!(why.contains("MayServeOthers") && why.contains(&reference), "{why}");
    assert_eq!(gone(&world, &remove(&[&format!("store:{}", signature_tag("elsewhere"))])), ["s"]);
}

#[test]
fn an_empty_fallback_index_stays_while_its_subject_lives_and_goes_with_it() {
    let tag = format!("sha256-{}", digest_of("old").hex());
    let world = two_versions().index("app", &tag, "fallback", &[]);
    assert_eq!(gone(&world, &keep(2)), [""; 0]);
    assert_eq!(gone(&world, &plain()), [""; 0]);
    assert_eq!(gone(&world, &keep(1)), ["fallback", "old"]);
}

#[test]
fn unlisted_referrers_make_a_repository_untouchable() {
    let world = two_versions().unlisted("app", "new");
    let plan = plan(&world, &keep(1));
    assert!(!plan.has_steps() && !plan.blockers.is_empty());
    refused(&world.snapshot(), &remove(&["app:v1"]), Kind::Refused, "referrers of");
}

#[test]
fn the_audit_sees_what_is_done_to_referrers() {
    let world = two_versions().referrer("app", "ro", "old").referrer("app", "rn", "new");
    let snapshot = world.snapshot();
    let plan = plan(&world, &keep(1));
    super::super::audit::check(&plan, &snapshot).unwrap();
    let faults = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        super::super::audit::check(&plan, &snapshot).unwrap_err().join("; ")
    };
    let delete =
        |name: &str| Step::DeleteManifest { digest: digest_of(name), expects: [].into(), after: [].into() };
    let lost = faults(&|plan| {
        let mut removal = plan.repositories[0].manifests[0].clone();
        removal.digest = digest_of("rn");
        removal.why = crate::plan::Why::GoesWith(digest_of("new"));
        plan.repositories[0].manifests.push(removal);
        plan.repositories[0].ranks.push(vec![delete("rn")]);
    });
    assert!(lost.contains("refers to") && lost.contains("which stays"), "{lost}");
    let turned = faults(&|plan| plan.repositories[0].ranks.reverse());
    assert!(turned.contains("which refers to it"), "{turned}");
    let unverified = faults(&|plan| {
        let kept = Arc::make_mut(&mut plan.kept).manifests.values_mut().next().unwrap();
        kept.remove(&digest_of("rn"));
    });
    assert!(unverified.contains("would not be verified"), "{unverified}");
}
