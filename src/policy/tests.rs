//! One table per kind of rule. Worlds are small: `(tag, created n days ago)`.

use std::collections::BTreeMap;

use super::rule::LabelFilter;
use super::*;
use crate::model::manifest::OCI_MANIFEST;
use crate::model::{ByteSize, Descriptor, ImageFacts, Manifest};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn days_ago(days: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_hours(24 * days)
}

/// One repository; the age of a tag is in days, `None` is a build without a usable date.
struct World(RepositoryView);

impl World {
    fn of(tags: &[(&str, Option<i64>)]) -> Self {
        let mut view = RepositoryView::default();
        for (tag, days) in tags {
            add(&mut view, tag, *days, &[]);
        }
        Self(view)
    }

    fn labelled(mut self, tag: &str, days: i64, labels: &[(&str, &str)]) -> Self {
        add(&mut self.0, tag, Some(days), labels);
        self
    }

    fn pushed(mut self, tag: &str, days: i64) -> Self {
        self.0.pushed.insert(tag.parse().unwrap(), days_ago(days));
        self
    }

    fn judge(&self, policy: &Policy) -> BTreeMap<Tag, Verdict> {
        policy.judge(&"127.0.0.1:5000".parse().unwrap(), &"app".parse().unwrap(), &self.0, now())
    }

    /// A chart, with the date that its annotation says.
    fn chart(mut self, tag: &str, annotated: Option<&str>) -> Self {
        add(&mut self.0, tag, None, &[]);
        let digest = Digest::of(tag.as_bytes());
        self.0.facts.insert(digest.clone(), Err("it is no image".to_owned()));
        let Some(ManifestState::Read(manifest)) = self.0.manifests.get_mut(&digest) else { unreachable!() };
        let config = Descriptor {
            media_type: "application/vnd.cncf.helm.config.v1+json".into(),
            digest: Digest::of(b"{}"),
            size: ByteSize(2),
            platform: None,
            is_foreign: false,
        };
        manifest.config = Some(config.into());
        manifest
            .annotations
            .extend(annotated.map(|date| ("org.opencontainers.image.created".to_owned(), date.to_owned())));
        self
    }

    /// The tags that stay, in the order of their names.
    fn kept(&self, rules: Vec<Rule>) -> Vec<String> {
        let verdicts = self.judge(&Policy { rules, guards: unguarded(), ..Policy::default() });
        assert_eq!(verdicts.len(), self.0.tags.len(), "every tag has a verdict");
        let kept = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Keep(_)));
        kept.map(|(tag, _)| tag.to_string()).collect()
    }

    fn why(&self, rules: Vec<Rule>, tag: &str) -> String {
        self.why_by(&Policy { rules, guards: unguarded(), ..Policy::default() }, tag)
    }

    fn why_by(&self, policy: &Policy, tag: &str) -> String {
        let verdicts = self.judge(policy);
        match &verdicts[&tag.parse().unwrap()] {
            Verdict::Keep(why) => format!("keep: {why}"),
            Verdict::Remove(why) => format!("remove: {why}"),
        }
    }
}

/// Rules by themselves.
fn unguarded() -> Guards {
    Guards { min_age: MinAge::None, includes_latest: true, ..Guards::default() }
}

fn add(view: &mut RepositoryView, tag: &str, days: Option<i64>, labels: &[(&str, &str)]) {
    let digest = Digest::of(tag.as_bytes());
    let manifest = Manifest {
        digest: digest.clone(),
        media_type: OCI_MANIFEST.into(),
        kind: ManifestKind::Image,
        config: None,
        layers: Box::default(),
        children: Box::default(),
        subject: None,
        annotations: BTreeMap::new(),
        size: ByteSize(0),
        raw: None,
    };
    let labels: BTreeMap<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let created = days.map_or("1970-01-01T00:00:00Z".to_owned(), |days| days_ago(days).to_string());
    let facts = ImageFacts { created: Some(created.into()), platform: None, labels: labels.into() };
    view.tags.insert(tag.parse().unwrap(), TagState::At(digest.clone()));
    view.manifests.insert(digest.clone(), ManifestState::Read(Box::new(manifest)));
    view.facts.insert(digest, Ok(facts));
}

fn keep(count: u32) -> Rule {
    Rule { keep: Some(count), ..Rule::default() }
}

fn tags(patterns: &[&str]) -> Selection {
    Selection { tags: patterns.iter().map(|text| text.parse().unwrap()).collect(), ..Selection::default() }
}

fn age(text: &str) -> crate::age::Age {
    text.parse().unwrap()
}

#[test]
fn the_newest_are_kept_by_creation_by_push_by_version_and_by_name() {
    let world =
        World::of(&[("1.9.0", Some(1)), ("1.10.0", Some(9)), ("1.10.0-rc.1", Some(5)), ("1.2.0", Some(3))])
            .pushed("1.9.0", 4)
            .pushed("1.10.0", 3)
            .pushed("1.10.0-rc.1", 2)
            .pushed("1.2.0", 1);
    for (order, kept) in [
        (Order::Created, ["1.2.0", "1.9.0"]),
        (Order::Pushed, ["1.10.0-rc.1", "1.2.0"]),
        (Order::Semver, ["1.10.0", "1.10.0-rc.1"]),
        (Order::Name, ["1.10.0", "1.10.0-rc.1"]),
    ] {
        assert_eq!(world.kept(vec![Rule { order, ..keep(2) }]), kept, "{order:?}");
    }
    let names = World::of(&[("build-9", None), ("build-10", None), ("build-11", None)]);
    assert_eq!(names.kept(vec![Rule { order: Order::Name, ..keep(2) }]), ["build-10", "build-11"]);
}

#[test]
fn what_cannot_be_ordered_is_kept_and_takes_no_place() {
    let world = World::of(&[("1.0", Some(1)), ("1.1", Some(2)), ("latest", Some(3)), ("undated", None)]);
    assert_eq!(world.kept(vec![Rule { order: Order::Semver, ..keep(1) }]), ["1.1", "latest", "undated"]);
    assert_eq!(world.kept(vec![keep(1)]), ["1.0", "undated"]);
    // Without the store no push time is known, and everything stays.
    assert_eq!(world.kept(vec![Rule { order: Order::Pushed, ..keep(1) }]).len(), 4);
    let by_push = Rule { older_than: Some(age("1d")), date: DateOf::Pushed, ..Rule::default() };
    assert_eq!(world.kept(vec![by_push]).len(), 4);
}

#[test]
fn tags_are_counted_per_group() {
    let world = World::of(&[
        ("main-1", Some(9)),
        ("main-2", Some(8)),
        ("main-3", Some(7)),
        ("feature-1", Some(6)),
        ("feature-2", Some(5)),
        ("feature-3", Some(4)),
        ("odd", Some(99)),
    ]);
    let rule = Rule { group: Some(r"(.+)-\d+".parse().unwrap()), ..keep(2) };
    assert_eq!(world.kept(vec![rule.clone()]), ["feature-2", "feature-3", "main-2", "main-3", "odd"]);
    assert_eq!(
        world.why(vec![Rule { name: Some("branches".into()), ..rule.clone() }], "main-1"),
        "remove: created 2026-05-23T12:00:00Z, number 3 in group `main` where the newest 2 are kept (rule `branches`)"
    );
    assert_eq!(world.why(vec![rule], "odd"), "keep: no pattern covers it");
}

#[test]
fn an_age_a_floor_and_a_cap_work_together() {
    let world =
        World::of(&[("a", Some(1)), ("b", Some(2)), ("c", Some(3)), ("d", Some(40)), ("e", Some(50))]);
    let young = Rule { older_than: Some(age("30d")), ..Rule::default() };
    assert_eq!(world.kept(vec![young.clone()]), ["a", "b", "c"]);
    assert_eq!(world.kept(vec![Rule { at_least: Some(4), ..young.clone() }]), ["a", "b", "c", "d"]);
    assert_eq!(world.kept(vec![Rule { at_most: Some(2), ..young.clone() }]), ["a", "b"]);
    assert_eq!(world.kept(vec![Rule { at_most: Some(2), ..Rule::default() }]), ["a", "b"]);
    assert_eq!(
        world.kept(vec![Rule {
            at_least: Some(1),
            at_most: Some(2),
            older_than: Some(age("1h")),
            ..Rule::default()
        }]),
        ["a"]
    );
    assert_eq!(
        world.why(vec![Rule { at_most: Some(2), ..young }], "c"),
        "remove: created 2026-05-29T12:00:00Z, number 3 where the newest 2 are kept"
    );
}

#[test]
fn labels_choose_what_a_rule_is_about() {
    let world = World::of(&[("plain", Some(9))]).labelled("nightly", 9, &[("channel", "nightly")]).labelled(
        "release",
        9,
        &[("channel", "release"), ("keep", "")],
    );
    let kept = |filters: &[&str]| {
        let labels = filters.iter().map(|text| text.parse().unwrap()).collect();
        world.kept(vec![Rule {
            older_than: Some(age("1d")),
            selection: Selection { labels, ..Selection::default() },
            ..Rule::default()
        }])
    };
    assert_eq!(kept(&["channel=nightly"]), ["plain", "release"]);
    assert_eq!(kept(&["channel"]), ["plain"]);
    assert_eq!(kept(&["!channel"]), ["nightly", "release"]);
    assert_eq!(kept(&["channel", "!keep"]), ["plain", "release"]);
    assert_eq!(kept(&["!channel=release"]), ["release"]);
    assert!("=x".parse::<LabelFilter>().is_err() && "!".parse::<LabelFilter>().is_err());
}

#[test]
fn a_label_that_could_not_be_read_is_no_label() {
    let mut world = World::of(&[("v1", Some(9))]);
    world.0.facts.insert(Digest::of(b"v1"), Err("its config is missing".to_owned()));
    let labels = vec!["!keep".parse().unwrap()];
    let rule = Rule {
        order: Order::Name,
        at_most: Some(1),
        selection: Selection { labels, ..Selection::default() },
        ..Rule::default()
    };
    assert_eq!(world.why(vec![rule], "v1"), "keep: could not be read: its config is missing");
}

#[test]
fn tags_are_selected_by_glob_and_by_expression() {
    let world = World::of(&[("v1.0.0", Some(9)), ("v1.0", Some(9)), ("pr-7", Some(9)), ("xv1.0.0", Some(9))]);
    let gone_by = |patterns: &[&str]| {
        let kept = world.kept(vec![Rule {
            older_than: Some(age("1d")),
            selection: tags(patterns),
            ..Rule::default()
        }]);
        world.0.tags.keys().map(ToString::to_string).filter(|tag| !kept.contains(tag)).collect::<Vec<_>>()
    };
    assert_eq!(gone_by(&["v*"]), ["v1.0", "v1.0.0"]);
    assert_eq!(gone_by(&[r"/v\d+\.\d+/"]), ["v1.0"], "an expression is anchored at both ends");
    assert_eq!(gone_by(&["pr-*", "/x.*/"]), ["pr-7", "xv1.0.0"]);
    assert!(
        "/(/".parse::<Matcher>().is_err()
            && "".parse::<Matcher>().is_err()
            && "a[".parse::<Matcher>().is_err()
    );
    // What is not supported has no other meaning.
    for odd in ["/[a-z&&[^b]]/", "/[a-z--b]/", "/[a[b]]/", r"/\p{L}/", "/(?=a)b/", r"/(a)\1/"] {
        assert!(odd.parse::<Matcher>().is_err(), "{odd}");
    }
}

#[test]
fn rules_are_keeps_and_any_of_them_saves() {
    let world = World::of(&[
        ("v1", Some(30)),
        ("v2", Some(20)),
        ("pr-1", Some(30)),
        ("pr-2", Some(1)),
        ("other", Some(99)),
    ]);
    let named = |name: &str, rule: Rule| Rule { name: Some(name.into()), ..rule };
    let releases = named("releases", Rule { selection: tags(&["v*"]), ..keep(1) });
    let requests = named(
        "requests",
        Rule { selection: tags(&["pr-*"]), older_than: Some(age("7d")), ..Rule::default() },
    );
    let young =
        named("young", Rule { selection: tags(&["v*"]), older_than: Some(age("25d")), ..Rule::default() });
    assert_eq!(world.kept(vec![releases.clone(), requests.clone()]), ["other", "pr-2", "v2"]);
    assert_eq!(world.why(vec![releases.clone(), requests.clone()], "other"), "keep: no pattern covers it");
    assert!(world.why(vec![releases.clone(), requests], "pr-1").ends_with("older than 7d (rule `requests`)"));
    // A tag that one rule gives up and another keeps is kept, in either order.
    assert_eq!(
        world.kept(vec![named("two", Rule { selection: tags(&["v*"]), ..keep(2) }), releases.clone()]).len(),
        5
    );
    assert_eq!(world.kept(vec![young.clone(), releases.clone()]), world.kept(vec![releases, young]));
}

#[test]
fn an_exclusion_takes_a_tag_out_of_its_rule_only() {
    let world = World::of(&[("v1", Some(30)), ("v2", Some(20))]);
    let exclude = vec!["app:v1".parse().unwrap()];
    let excluding = Rule {
        older_than: Some(age("1d")),
        selection: Selection { exclude, ..Selection::default() },
        ..Rule::default()
    };
    assert_eq!(world.kept(vec![excluding.clone()]), ["v1"]);
    let other = Rule { older_than: Some(age("2d")), ..Rule::default() };
    assert_eq!(world.kept(vec![excluding.clone(), other.clone()]), Vec::<String>::new());
    assert_eq!(world.kept(vec![other, excluding]), Vec::<String>::new());
}

#[test]
fn without_a_rule_that_removes_nothing_goes() {
    let world = World::of(&[("v1", Some(3000))]);
    assert_eq!(world.kept(Vec::new()), ["v1"]);
    assert_eq!(world.kept(vec![Rule::default()]), ["v1"]);
}

#[test]
fn a_group_must_capture() {
    assert!("v.*".parse::<Group>().is_err());
    let group: Group = r"v(\d+)\.(\d+)\..*".parse().unwrap();
    assert_eq!(group.of(&"v1.2.3".parse().unwrap()).as_deref(), Some("1 2"));
    assert_eq!(group.of(&"xv1.2.3".parse().unwrap()), None);
}

#[test]
fn latest_is_not_for_rules() {
    let world = World::of(&[("1.0", Some(3)), ("latest", Some(9))]);
    let by_default = Policy { rules: vec![keep(1)], ..Policy::default() };
    assert_eq!(
        world.why_by(&by_default, "latest"),
        "keep: `latest` is not for rules, but with `--include-latest`"
    );
    // It takes no place among the newest.
    assert_eq!(world.why_by(&by_default, "1.0"), "keep: number 1 of the newest 1");
    assert!(world.why(vec![keep(1)], "latest").starts_with("remove: created"));
}

#[test]
fn nothing_goes_before_the_minimum_age() {
    let policy = Policy { rules: vec![keep(1)], ..Policy::default() };
    let guarded = |world: &World| world.why_by(&policy, "old");
    // The push counts where it is known, whatever the image's own date.
    let world = World::of(&[("new", Some(1)), ("old", Some(2))]);
    assert!(guarded(&world).starts_with("remove"), "created two days ago");
    assert!(
        guarded(&World::of(&[("new", Some(1)), ("old", Some(2))]).pushed("old", 1)).starts_with("remove")
    );
    assert_eq!(
        guarded(&World::of(&[("new", Some(1)), ("old", Some(2))]).pushed("old", 0)),
        "keep: pushed 2026-06-01T12:00:00Z, younger than the minimum age of 1h (`--min-age`)"
    );
    // A clock that is ahead makes nothing old.
    assert!(guarded(&World::of(&[("new", Some(1)), ("old", Some(2))]).pushed("old", -9)).starts_with("keep"));
    // Where neither is known it may be young.
    let by_name = Policy { rules: vec![Rule { order: Order::Name, ..keep(1) }], ..Policy::default() };
    let undated = World::of(&[("new", None), ("a-old", None)]);
    assert!(undated.why_by(&by_name, "a-old").contains("may be younger than the minimum age of 1h"));
    assert!(undated.why(by_name.rules.clone(), "a-old").starts_with("remove"));
    // A longer one holds back more.
    let guards = Guards { min_age: "3d".parse().unwrap(), ..Guards::default() };
    let longer = Policy { rules: vec![keep(1)], guards, ..Policy::default() };
    assert!(world.why_by(&longer, "old").starts_with("keep: created"));
}

#[test]
fn an_artifact_is_dated_by_its_annotation_else_by_its_push_else_it_is_kept() {
    let annotated = days_ago(2).to_string();
    let world = World::of(&[("image", Some(9))])
        .chart("annotated", Some(&annotated))
        .chart("epoch", Some("1970-01-01T00:00:00Z"))
        .chart("pushed", None)
        .chart("unknown", None)
        .pushed("annotated", 90)
        .pushed("epoch", 50)
        .pushed("image", 1)
        .pushed("pushed", 5);
    // The newest first: annotated (2 days), pushed (5), image (9, whatever its push), epoch (50).
    assert_eq!(world.kept(vec![keep(1)]), ["annotated", "unknown"]);
    assert_eq!(world.kept(vec![keep(2)]), ["annotated", "pushed", "unknown"]);
    assert_eq!(world.kept(vec![keep(3)]), ["annotated", "image", "pushed", "unknown"]);
    let old = Rule { older_than: Some(age("7d")), ..Rule::default() };
    assert_eq!(world.kept(vec![old.clone()]), ["annotated", "pushed", "unknown"]);
    for (tag, why) in [
        ("annotated", "keep: created 2026-05-30T12:00:00Z, younger than 7d"),
        ("pushed", "keep: pushed 2026-05-27T12:00:00Z, younger than 7d"),
        ("epoch", "remove: pushed 2026-04-12T12:00:00Z, older than 7d"),
        (
            "unknown",
            "keep: no usable date: it is no image and says no date, and when it was pushed is known only where the \
             registry's store can be read",
        ),
    ] {
        assert_eq!(world.why(vec![old.clone()], tag), why);
    }
    assert!(world.why(vec![keep(1)], "pushed").starts_with("remove: pushed 2026-05-27T12:00:00Z, number 2"));
}

#[test]
fn an_image_without_a_date_is_not_dated_by_its_push_unless_a_rule_says_so() {
    let world = World::of(&[("a", Some(1)), ("odd", None)]).pushed("odd", 90).pushed("a", 1);
    assert_eq!(world.kept(vec![Rule { older_than: Some(age("1h")), ..Rule::default() }]), ["odd"]);
    let by_push =
        Rule { older_than: Some(age("7d")), date: DateOf::Pushed, order: Order::Pushed, ..Rule::default() };
    assert_eq!(world.kept(vec![by_push]), ["a"]);
}
