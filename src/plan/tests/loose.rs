//! Properties of plans where the store was read: of what no tag leads to exactly that goes which is old, known, and
//! needed by nothing that stays.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Plan, Request, Step, audit, make};
use super::properties::{Thing, apply, build, prune, things};
use super::world::{World, digest_of, now};
use crate::model::{Digest, Repository, RepositoryView, Snapshot, TagState};
use crate::policy::{Guards, MinAge, Policy};

/// What is said of the thing of the same number, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Tagged,
    /// Its tag was moved or removed, and it was pushed so many minutes ago.
    Untagged(i64),
    /// Untagged, and not in the store's files.
    Unseen,
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact = prop_oneof![
        5 => Just(Fact::Tagged),
        5 => Just(Fact::Untagged(9_000)),
        2 => (-3i64..70).prop_map(Fact::Untagged),
        1 => Just(Fact::Unseen),
    ];
    prop::collection::vec(fact, 12)
}

fn stored(things: &[Thing], facts: &[Fact]) -> World {
    let mut world = build(things).stored().files(|files| files.blob("nobody's", 7));
    for (number, fact) in facts.iter().enumerate() {
        let (tag, name) = (format!("t{number}"), format!("m{number}"));
        let is_there =
            world.snapshot().view(&app()).is_some_and(|view| view.manifest(&digest_of(&name)).is_some());
        if !is_there || *fact == Fact::Tagged {
            continue;
        }
        world = world.untag("app", &tag).files(|files| match fact {
            Fact::Untagged(minutes) => files.pushed("app", &name, *minutes),
            Fact::Unseen | Fact::Tagged => files.without("app", &name),
        });
    }
    world
}

fn app() -> Repository {
    "app".parse().unwrap()
}

/// With the minimum age that `prune` has by itself.
fn aged(keep: Option<u32>, min_age: MinAge) -> Request {
    let Request::Prune(policy) = prune(keep, None) else { unreachable!("a prune") };
    Request::Prune(Policy { guards: Guards { min_age, ..policy.guards.clone() }, ..policy })
}

fn deleted(plan: &Plan) -> BTreeSet<Digest> {
    let steps = plan.repositories.iter().flat_map(|repository| repository.ranks.iter().flatten());
    let deleted = steps.filter_map(|step| match step {
        Step::DeleteManifest { digest, .. } => Some(digest.clone()),
        Step::DeleteTag { .. } | Step::Untag { .. } => None,
    });
    deleted.collect()
}

/// What `roots` need, and what is about it, over and over; every edge looked at again and again.
fn needed(view: &RepositoryView, roots: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
    let mut needed: BTreeSet<Digest> = roots.into_iter().collect();
    loop {
        let before = needed.len();
        for (digest, manifest) in view.read_manifests() {
            let subject = manifest.subject.as_ref().map(|subject| &subject.digest);
            if needed.contains(digest) {
                needed.extend(manifest.children.iter().map(|child| child.digest.clone()));
                needed.extend(subject.filter(|subject| view.manifest(subject).is_some()).cloned());
            }
            if subject.is_some_and(|subject| needed.contains(subject)) {
                needed.insert(digest.clone());
            }
        }
        if needed.len() == before {
            return needed;
        }
    }
}

/// The untagged manifests that may not go whatever else there is: too young, pushed in the future, or in no file.
fn unknown(snapshot: &Snapshot, min_age: MinAge) -> BTreeSet<Digest> {
    let view = snapshot.view(&app()).unwrap();
    let store = snapshot.store.as_ref().unwrap();
    let revisions = &store.repositories[&app()].revisions;
    let is_known = |digest: &Digest| {
        let is_old = |at| min_age.age().is_none_or(|least| at < least.before(now()));
        revisions.get(digest).is_some_and(|at| *at <= now() && is_old(*at))
    };
    let tagged = view.tags_by_digest();
    view.read_manifests()
        .map(|(digest, _)| digest.clone())
        .filter(|digest| !is_known(digest) && !tagged.contains_key(digest))
        .collect()
}

fn tagged(view: &RepositoryView) -> impl Iterator<Item = Digest> {
    view.tags.values().filter_map(|state| match state {
        TagState::At(digest) => Some(digest.clone()),
        TagState::Dangling | TagState::Unreadable(_) => None,
    })
}

/// Cosign's tags name what they are about.
fn has_signatures(things: &[Thing]) -> bool {
    things.iter().any(|thing| matches!(thing, Thing::Signature { .. } | Thing::Orphan))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_tagged_young_or_unknown_stays_whole_and_nothing_else(things in things(), facts in facts(), keep in prop::option::of(1u32..6)) {
        let snapshot = stored(&things, &facts).snapshot();
        let min_age = MinAge::default();
        // The dates of tags are about rules: here they are all old enough.
        let plan = make(&snapshot, &aged(keep, min_age), now()).unwrap();
        let (before, after) = (snapshot.view(&app()).unwrap(), apply(&plan, &snapshot));
        let after = after.view(&app()).unwrap();
        let staying: BTreeSet<Digest> = after.read_manifests().map(|(digest, _)| digest.clone()).collect();
        for digest in before.reachable(&tagged(after).collect::<BTreeSet<_>>()) {
            prop_assert!(before.manifest(digest).is_none() || staying.contains(digest), "{digest} is needed");
        }
        // What goes with a tag goes whenever it was pushed.
        let led_to = needed(before, tagged(before));
        let alone: Vec<Digest> =
            unknown(&snapshot, min_age).into_iter().filter(|digest| !led_to.contains(digest)).collect();
        let roots = tagged(after).chain(alone).filter(|digest| before.manifest(digest).is_some());
        let needed = needed(before, roots);
        for digest in needed.iter().filter(|digest| before.manifest(digest).is_some()) {
            prop_assert!(staying.contains(digest), "{digest} is needed and goes");
        }
        if !has_signatures(&things) {
            prop_assert!(staying.is_subset(&needed), "{:?} are needed by nothing", staying.difference(&needed));
        }
    }

    #[test]
    fn a_second_run_finds_nothing(things in things(), facts in facts(), keep in prop::option::of(1u32..6)) {
        let snapshot = stored(&things, &facts).snapshot();
        for min_age in [MinAge::None, MinAge::default()] {
            let request = aged(keep, min_age);
            let after = apply(&make(&snapshot, &request, now()).unwrap(), &snapshot);
            let again = make(&after, &request, now()).unwrap();
            prop_assert!(!again.has_steps(), "{:?}", again.repositories);
        }
    }

    #[test]
    fn what_keeps_more_never_deletes_more(things in things(), facts in facts(), keep in 1u32..6, more in 0u32..4) {
        let world = stored(&things, &facts);
        let of = |world: &World, request: &Request| deleted(&make(&world.snapshot(), request, now()).unwrap());
        let all = of(&world, &aged(Some(keep), MinAge::None));
        let kinder = [
            of(&world, &aged(Some(keep + more), MinAge::None)),
            of(&world, &aged(Some(keep), MinAge::default())),
            of(&world, &aged(None, MinAge::None)),
            of(&world.clone().without_files(), &aged(Some(keep), MinAge::None)),
            of(&world.clone().files(|files| files.odd(Some("app"))), &aged(Some(keep), MinAge::None)),
        ];
        for deleted in kinder {
            prop_assert!(deleted.is_subset(&all), "{:?} go as well", deleted.difference(&all));
        }
    }

    #[test]
    fn in_an_odd_repository_only_tags_decide(things in things(), facts in facts(), keep in prop::option::of(1u32..6)) {
        let world = stored(&things, &facts).files(|files| files.odd(Some("app")));
        let plan = make(&world.snapshot(), &aged(keep, MinAge::None), now()).unwrap();
        prop_assert_eq!(plan.removed_untagged_count(), 0);
        prop_assert!(keep.is_some() || has_signatures(&things) || !plan.has_steps());
    }

    #[test]
    fn the_estimate_is_the_files_that_nothing_names_any_more(things in things(), facts in facts(), keep in prop::option::of(1u32..6)) {
        let snapshot = stored(&things, &facts).snapshot();
        let plan = make(&snapshot, &aged(keep, MinAge::None), now()).unwrap();
        let after = apply(&plan, &snapshot);
        let mut files: BTreeMap<&Digest, u64> =
            snapshot.store.as_ref().unwrap().blobs.iter().map(|(digest, file)| (digest, file.size.0)).collect();
        for (digest, manifest) in after.view(&app()).unwrap().read_manifests() {
            let named = manifest.config.iter().chain(&manifest.layers).chain(&manifest.children);
            for digest in named.map(|named| &named.digest).chain([digest]) {
                files.remove(digest);
            }
        }
        prop_assert!(plan.estimate.is_exact);
        prop_assert_eq!(plan.estimate.total().0, files.values().sum::<u64>());
    }

    #[test]
    fn a_plan_that_takes_more_fails_the_audit(things in things(), facts in facts(), keep in prop::option::of(1u32..6), which in 0usize..12) {
        let mut snapshot = stored(&things, &facts).snapshot();
        let plan = make(&snapshot, &aged(keep, MinAge::default()), now()).unwrap();
        prop_assert!(audit::check(&plan, &snapshot).is_ok());
        let staying = plan.kept.manifests.get(&app()).into_iter().flatten().nth(which).cloned();
        if let (Some(digest), Some(saved)) = (staying, plan.repositories[0].manifests.first().cloned()) {
            let mut more = plan.clone();
            std::sync::Arc::make_mut(&mut more.kept).manifests.values_mut().for_each(|manifests| { manifests.remove(&digest); });
            more.repositories[0].manifests.push(super::super::ManifestRemoval { digest: digest.clone(), ..saved });
            let step = Step::DeleteManifest { digest: digest.clone(), expects: [].into(), after: BTreeSet::new() };
            more.repositories[0].ranks.push(vec![step]);
            prop_assert!(audit::check(&more, &snapshot).is_err(), "{digest} goes as well");
        }
        if plan.removed_untagged_count() > 0 {
            let mut unasked = plan.clone();
            unasked.untagged = None;
            prop_assert!(audit::check(&unasked, &snapshot).is_err());
            snapshot.store = None;
            prop_assert!(audit::check(&plan, &snapshot).is_err());
        }
    }
}
