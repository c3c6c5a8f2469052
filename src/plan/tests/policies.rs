//! Properties of policies: rules are keeps, whatever they say, in whichever order they stand.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::super::{Plan, Request, Step, audit, make};
use super::properties::apply;
use super::world::{now, world};
use crate::model::{RepositoryState, Snapshot, TagState};
use crate::policy::{DateOf, Guards, Kept, MinAge, Order, Policy, Rule, Selection, Verdict};

/// Small names, so that rules and tags meet.
const REPOSITORIES: [&str; 2] = ["app", "team/api"];
const TAGS: [&str; 9] =
    ["1.0.0", "1.0.1", "1.1.0-rc.1", "v1.1.0", "main-1", "main-2", "dev-3", "latest", "sha256-x"];

#[derive(Debug, Clone)]
struct Push {
    repository: usize,
    tag: usize,
    /// Tags of one repository with the same number are on one manifest.
    image: usize,
    created: Option<i64>,
    at: Option<i64>,
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let ago = || prop::option::weighted(0.8, prop_oneof![1 => 0i64..2, 6 => 2i64..90]);
    let one = (0usize..2, 0usize..TAGS.len(), 0usize..8, ago(), ago());
    let one =
        one.prop_map(|(repository, tag, image, created, at)| Push { repository, tag, image, created, at });
    prop::collection::vec(one, 1..16)
}

fn snapshot(pushes: &[Push]) -> Snapshot {
    let mut world = world();
    for push in pushes {
        let (repository, tag) = (REPOSITORIES[push.repository], TAGS[push.tag]);
        let name = format!("image {} {:?}", push.image, push.created);
        world = match push.created {
            Some(days) => world.image(repository, tag, &name, days),
            None => world.undated(repository, tag, &name),
        };
    }
    let mut snapshot = world.snapshot();
    for push in pushes {
        let repository = REPOSITORIES[push.repository].parse().unwrap();
        if let (Some(RepositoryState::Read(view)), Some(days)) =
            (snapshot.repositories.get_mut(&repository), push.at)
        {
            let at = now() - SignedDuration::from_hours(24 * days);
            view.pushed.insert(TAGS[push.tag].parse().unwrap(), at);
        }
    }
    snapshot
}

fn rule() -> impl Strategy<Value = Rule> {
    let orders = prop::sample::select(vec![Order::Created, Order::Pushed, Order::Semver, Order::Name]);
    let dates = prop::sample::select(vec![DateOf::Created, DateOf::Pushed]);
    let patterns = prop::sample::select(vec!["", "app", "team/*", ":main-*", ":*.*", "app:v*"]);
    let groups = prop::sample::select(vec!["", r"(\w+)-\d+", r"v?(\d+\.\d+)\..*"]);
    let (keep, days, least) =
        (prop::option::of(1u32..4), prop::option::of(1u32..90), prop::option::of(1u32..3));
    (orders, dates, patterns, groups, keep, days, least, prop::option::weighted(0.2, 4u32..6)).prop_map(
        |(order, date, pattern, group, keep, days, at_least, at_most)| {
            let patterns = if pattern.is_empty() { Vec::new() } else { vec![pattern.parse().unwrap()] };
            Rule {
                selection: Selection { patterns, ..Selection::default() },
                order,
                date,
                group: (!group.is_empty()).then(|| group.parse().unwrap()),
                // A rule that says nothing removes nothing.
                keep: keep.or_else(|| (days.is_none() && at_most.is_none()).then_some(1)),
                older_than: days.map(|days| format!("{days}d").parse().unwrap()),
                at_least,
                at_most,
                ..Rule::default()
            }
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let ages = prop::sample::select(vec!["none", "1h", "3d"]);
    (prop::collection::vec(rule(), 1..4), ages, any::<bool>()).prop_map(|(rules, age, includes_latest)| {
        let guards = Guards { min_age: age.parse().unwrap(), includes_latest, ..Guards::default() };
        Policy { rules, guards, ..Policy::default() }
    })
}

fn plan(snapshot: &Snapshot, policy: &Policy) -> Plan {
    make(snapshot, &Request::Prune(policy.clone()), now()).unwrap()
}

fn removed(snapshot: &Snapshot, policy: &Policy) -> BTreeSet<String> {
    let plan = plan(snapshot, policy);
    let tags = plan.repositories.iter().flat_map(|repository| {
        repository.removed_tags().map(|tag| format!("{}:{}", repository.repository, tag.tag))
    });
    tags.collect()
}

/// Whether any rule of the policy has a say on the tag.
fn is_covered(snapshot: &Snapshot, policy: &Policy, name: &str) -> bool {
    plan(snapshot, policy).repositories.iter().any(|repository| {
        repository.tags.iter().any(|decision| {
            format!("{}:{}", repository.repository, decision.tag) == name
                && decision.verdict != Verdict::Keep(Kept::NotCovered)
        })
    })
}

fn with_rule(policy: &Policy, index: usize, change: impl FnOnce(&mut Rule)) -> Policy {
    let mut changed = policy.clone();
    let index = index % changed.rules.len();
    change(&mut changed.rules[index]);
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn another_rule_takes_nothing_that_the_others_were_about(pushes in pushes(), policy in policy(), rule in rule()) {
        let snapshot = snapshot(&pushes);
        let before = removed(&snapshot, &policy);
        let mut more = policy.clone();
        more.rules.push(rule);
        for gone in removed(&snapshot, &more).difference(&before) {
            prop_assert!(!is_covered(&snapshot, &policy, gone), "{gone} goes by a rule more");
        }
    }

    #[test]
    fn a_rule_that_keeps_more_never_removes_more(pushes in pushes(), policy in policy(), index in 0usize..3, more in 1u32..90) {
        let snapshot = snapshot(&pushes);
        let before = removed(&snapshot, &policy);
        let add = |count: &mut Option<u32>| *count = count.map(|count| count + more);
        let longer = |rule: &mut Rule| {
            rule.older_than = rule.older_than.map(|age| {
                let days: u32 = age.to_string().trim_end_matches('d').parse().unwrap();
                format!("{}d", days + more).parse().unwrap()
            });
        };
        for kinder in [
            with_rule(&policy, index, |rule| add(&mut rule.keep)),
            with_rule(&policy, index, |rule| add(&mut rule.at_most)),
            with_rule(&policy, index, |rule| {
                // A rule of nothing but a cap would say nothing without it.
                let says_more = rule.keep.is_some() || rule.older_than.is_some();
                rule.at_most = rule.at_most.filter(|_| !says_more);
            }),
            with_rule(&policy, index, |rule| rule.at_least = Some(rule.at_least.unwrap_or(0) + more)),
            with_rule(&policy, index, longer),
        ] {
            let kinder_removes = removed(&snapshot, &kinder);
            for gone in kinder_removes.difference(&before) {
                prop_assert!(false, "{gone} goes: {:?} instead of {:?}", kinder.rules, policy.rules);
            }
        }
    }

    #[test]
    fn what_every_rule_excludes_stays_and_takes_no_place(pushes in pushes(), mut policy in policy()) {
        let snapshot = snapshot(&pushes);
        let before = removed(&snapshot, &policy);
        policy.rules.iter_mut().for_each(|rule| rule.selection.exclude.push(":main-*".parse().unwrap()));
        let after = removed(&snapshot, &policy);
        prop_assert!(after.is_subset(&before));
        prop_assert!(!after.iter().any(|name| name.contains(":main-")));
    }

    #[test]
    fn a_longer_minimum_age_and_protection_never_remove_more(pushes in pushes(), policy in policy()) {
        let snapshot = snapshot(&pushes);
        let before = removed(&snapshot, &policy);
        for age in ["4d", "60d"] {
            let guards = Guards { min_age: age.parse().unwrap(), ..policy.guards.clone() };
            let older = removed(&snapshot, &Policy { guards, ..policy.clone() });
            prop_assert!(older.is_subset(&before));
        }
        let guards = Guards { includes_latest: true, ..policy.guards.clone() };
        let with_latest = removed(&snapshot, &Policy { guards, ..policy.clone() });
        let guards = Guards { includes_latest: false, ..policy.guards.clone() };
        let without = removed(&snapshot, &Policy { guards, ..policy.clone() });
        prop_assert!(without.iter().all(|name| !name.ends_with(":latest")));
        prop_assert!(before.is_subset(&with_latest.union(&without).cloned().collect()));
    }

    #[test]
    fn the_order_of_rules_is_irrelevant_and_plans_are_stable(pushes in pushes(), policy in policy()) {
        let mut turned = policy.clone();
        turned.rules.reverse();
        let snapshot = snapshot(&pushes);
        prop_assert_eq!(removed(&snapshot, &policy), removed(&snapshot, &turned));
        let text = || format!("{:?}", plan(&snapshot, &policy));
        prop_assert_eq!(text(), text());
    }

    #[test]
    fn what_is_kept_stays_whole_and_a_second_run_finds_nothing(pushes in pushes(), policy in policy()) {
        let snapshot = snapshot(&pushes);
        let plan = plan(&snapshot, &policy);
        let after = apply(&plan, &snapshot);
        for (repository, view) in snapshot.read_repositories() {
            let left = after.view(repository).unwrap();
            for (tag, state) in &left.tags {
                let TagState::At(digest) = state else { continue };
                prop_assert_eq!(view.tags.get(tag), Some(state));
                prop_assert!(left.manifest(digest).is_some(), "{repository}:{tag} lost its manifest");
            }
        }
        let again = make(&after, &Request::Prune(policy), now()).unwrap();
        prop_assert!(!again.has_steps(), "{:?}", again.repositories);
    }

    #[test]
    fn unknown_is_kept(pushes in pushes(), policy in policy()) {
        let snapshot = snapshot(&pushes);
        let plan = plan(&snapshot, &policy);
        for repository in &plan.repositories {
            let view = snapshot.view(&repository.repository).unwrap();
            for decision in repository.removed_tags() {
                let is_pushed = view.pushed.contains_key(&decision.tag);
                let is_created = view.created(decision.digest.as_ref().unwrap(), now()).at().is_some();
                let says_by_date = |rule: &Rule| {
                    matches!(rule.order, Order::Created) && !is_created
                        || matches!(rule.order, Order::Pushed) && !is_pushed
                };
                // Some rule that could order it gave it up.
                prop_assert!(policy.rules.iter().any(|rule| !says_by_date(rule)), "{decision:?}");
                prop_assert!(policy.guards.min_age == MinAge::None || is_pushed || is_created, "{decision:?}");
            }
        }
    }

    #[test]
    fn a_plan_that_was_changed_fails_the_audit(pushes in pushes(), policy in policy(), which in 0usize..64) {
        let snapshot = snapshot(&pushes);
        let plan = plan(&snapshot, &policy);
        prop_assert!(audit::check(&plan, &snapshot).is_ok());
        for (what, changed) in mutations(&plan, &snapshot, which) {
            prop_assert!(audit::check(&changed, &snapshot).is_err(), "{what} passes");
        }
    }
}

/// Plans that are wrong for certain, each in one way.
fn mutations(plan: &Plan, snapshot: &Snapshot, which: usize) -> Vec<(&'static str, Plan)> {
    let mut wrong = Vec::new();
    let at = which % plan.repositories.len();
    let repository = &plan.repositories[at];
    let view = snapshot.view(&repository.repository).unwrap();
    let mut add = |what, change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        wrong.push((what, changed));
    };
    if let Some(kept) = repository.kept_tags().nth(which % 5)
        && let Some(digest) = &kept.digest
    {
        let expects: Box<[_]> = view.tags_by_digest()[digest].iter().map(|&tag| tag.clone()).collect();
        let step = Step::DeleteManifest { digest: digest.clone(), expects, after: BTreeSet::new() };
        add("the deletion of a kept manifest", &|plan| plan.repositories[at].ranks.push(vec![step.clone()]));
        let step = Step::DeleteTag { tag: kept.tag.clone(), expects: Some(digest.clone()) };
        add("the deletion of a kept tag", &|plan| plan.repositories[at].ranks.push(vec![step.clone()]));
    }
    if let Some(position) = repository.ranks.iter().position(|rank| !rank.is_empty()) {
        add("a removal without its step", &|plan| drop(plan.repositories[at].ranks.remove(position)));
        add("a step that is done twice", &|plan| {
            let again = plan.repositories[at].ranks[position].clone();
            plan.repositories[at].ranks.push(again);
        });
        add("a manifest that is not saved", &|plan| {
            if plan.repositories[at].manifests.pop().is_none() {
                plan.repositories[at].ranks.clear();
            }
        });
    }
    if !repository.tags.is_empty() {
        add("a tag that is forgotten", &|plan| drop(plan.repositories[at].tags.pop()));
    }
    wrong
}
