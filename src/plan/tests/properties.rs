//! Properties that hold for every registry.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{Plan, Request, Step, make};
use super::policy;
use super::world::{World, now, world};
use crate::model::{RepositoryState, Snapshot, TagState};
use crate::policy::Rule;

/// What kind of thing one generated tag is.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    Image {
        days: i64,
    },
    Undated,
    Alias {
        of: usize,
    },
    Index {
        children: Vec<usize>,
    },
    /// Without a tag.
    Referrer {
        of: usize,
    },
    /// Under the tag of cosign.
    Signature {
        of: usize,
    },
    /// A signature of what is gone.
    Orphan,
    Chart {
        pushed: Option<i64>,
    },
    Dangling,
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        6 => (1i64..90).prop_map(|days| Thing::Image { days }),
        1 => Just(Thing::Undated),
        3 => (0usize..12).prop_map(|of| Thing::Alias { of }),
        3 => prop::collection::vec(0usize..12, 0..4).prop_map(|children| Thing::Index { children }),
        3 => (0usize..12).prop_map(|of| Thing::Referrer { of }),
        2 => (0usize..12).prop_map(|of| Thing::Signature { of }),
        1 => Just(Thing::Orphan),
        1 => prop::option::of(1i64..90).prop_map(|pushed| Thing::Chart { pushed }),
    ]
}

pub(super) fn things() -> impl Strategy<Value = Vec<Thing>> {
    prop::collection::vec(thing(), 1..12)
}

/// Repository `app` with one tag per thing; aliases and indexes point at things before them.
pub(super) fn build(things: &[Thing]) -> World {
    let mut world = world();
    let mut names: Vec<String> = Vec::new();
    for (number, thing) in things.iter().enumerate() {
        let tag = format!("t{number}");
        let name = format!("m{number}");
        let earlier = |of: usize| (!names.is_empty()).then(|| names[of % names.len()].clone());
        world = match thing {
            Thing::Image { days } => world.image("app", &tag, &name, *days),
            Thing::Undated => world.undated("app", &tag, &name),
            Thing::Dangling => world.dangling("app", &tag),
            Thing::Alias { of } => match earlier(*of) {
                Some(of) => {
                    world = world.tag("app", &tag, &of);
                    continue;
                }
                None => world.image("app", &tag, &name, 1),
            },
            Thing::Index { children } => {
                let children: BTreeSet<String> =
                    children.iter().filter_map(|child| earlier(*child)).collect();
                let children: Vec<&str> = children.iter().map(String::as_str).collect();
                world.index("app", &tag, &name, &children)
            }
            Thing::Referrer { of } => match earlier(*of) {
                Some(of) => world.referrer("app", &name, &of),
                None => world.image("app", &tag, &name, 1),
            },
            Thing::Signature { of } => match earlier(*of) {
                Some(of) => world.signature("app", &name, &of),
                None => world.image("app", &tag, &name, 1),
            },
            Thing::Orphan => {
                let subject = format!("subject of {name}");
                world.signature("app", &name, &subject).absent("app", &subject)
            }
            Thing::Chart { pushed } => world.chart("app", &tag, &name, *pushed),
        };
        names.push(name);
    }
    world
}

/// What the registry and its store hold after the plan: the server's own rules, in thirty lines.
pub(super) fn apply(plan: &Plan, snapshot: &Snapshot) -> Snapshot {
    let mut after = snapshot.clone();
    for repository in &plan.repositories {
        let Some(RepositoryState::Read(view)) = after.repositories.get_mut(&repository.repository) else {
            continue;
        };
        let stored =
            after.store.as_mut().and_then(|store| store.repositories.get_mut(&repository.repository));
        for step in repository.ranks.iter().flatten() {
            match step {
                Step::DeleteTag { tag, .. } => {
                    view.tags.remove(tag);
                }
                Step::Untag { tags, .. } => {
                    for (tag, _) in tags {
                        view.tags.remove(tag);
                    }
                }
                Step::DeleteManifest { digest, .. } => {
                    view.manifests.remove(digest);
                    view.tags.retain(|_, state| !matches!(state, TagState::At(at) if at == digest));
                }
            }
        }
        if let Some(stored) = stored {
            stored.tags.retain(|tag, _| view.tags.contains_key(tag));
            stored.revisions.retain(|digest, _| view.manifests.contains_key(digest));
        }
    }
    after
}

fn removed(plan: &Plan) -> BTreeSet<String> {
    plan.repositories
        .iter()
        .flat_map(|repository| repository.removed_tags().map(|tag| tag.tag.to_string()))
        .collect()
}

pub(super) fn prune(keep: Option<u32>, days: Option<u32>) -> Request {
    let older_than = days.map(|days| format!("{days}d").parse().unwrap());
    Request::Prune(policy(Rule { keep, older_than, ..Rule::default() }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_stays_whole_and_a_second_run_finds_nothing(things in things(), keep in 1u32..6, days in prop::option::of(1u32..90)) {
        let snapshot = build(&things).snapshot();
        let request = prune(Some(keep), days);
        let plan = make(&snapshot, &request, now()).unwrap();
        let after = apply(&plan, &snapshot);
        for (repository, view) in after.read_repositories() {
            let before = snapshot.view(repository).unwrap();
            for state in view.tags.values() {
                if let TagState::At(digest) = state {
                    for needed in before.reachable([digest]) {
                        prop_assert_eq!(before.manifest(needed).is_some(), view.manifest(needed).is_some());
                    }
                }
            }
        }
        let gone = removed(&plan);
        for repository in &plan.repositories {
            for decision in &repository.tags {
                let is_listed = after.view(&repository.repository).unwrap().tags.contains_key(&decision.tag);
                prop_assert_eq!(is_listed, !gone.contains(decision.tag.as_str()));
            }
        }
        let again = make(&after, &request, now()).unwrap();
        prop_assert!(!again.has_steps(), "{:?}", again.repositories);
    }

    #[test]
    fn what_belongs_to_the_kept_stays_and_what_belongs_to_nothing_goes(things in things(), keep in prop::option::of(1u32..6)) {
        let snapshot = build(&things).snapshot();
        let plan = make(&snapshot, &prune(keep, None), now()).unwrap();
        let after = apply(&plan, &snapshot);
        for (repository, view) in after.read_repositories() {
            let before = snapshot.view(repository).unwrap();
            for (digest, manifest) in before.read_manifests() {
                if let Some(subject) = &manifest.subject
                    && view.manifest(&subject.digest).is_some()
                {
                    prop_assert!(view.manifest(digest).is_some(), "{digest} is gone, its subject stays");
                }
            }
            for tag in view.tags.keys() {
                let Some(subject) = tag.attachment_subject() else { continue };
                let is_orphan = view.manifest(&subject).is_none();
                prop_assert!(!is_orphan || before.holds_only_attachments(), "{tag} is an orphan and stays");
            }
            // A chart whose push nobody knows has no date, and goes by no rule.
            for (number, thing) in things.iter().enumerate() {
                if matches!(thing, Thing::Chart { pushed: None }) {
                    let tag = format!("t{number}").parse().unwrap();
                    prop_assert!(view.tags.contains_key(&tag));
                }
            }
        }
        // Step by step no subject is gone before what refers to it.
        for repository in &plan.repositories {
            let before = snapshot.view(&repository.repository).unwrap();
            let mut gone = BTreeSet::new();
            for step in repository.ranks.iter().flatten() {
                if let Step::DeleteManifest { digest, .. } = step {
                    let subject = before.manifest(digest).and_then(|manifest| manifest.subject.as_ref());
                    prop_assert!(!subject.is_some_and(|subject| gone.contains(&subject.digest)));
                    gone.insert(digest.clone());
                }
            }
        }
    }

    #[test]
    fn keeping_more_never_removes_more(things in things(), keep in 1u32..6, more in 0u32..4, days in 1u32..60, longer in 0u32..60) {
        let snapshot = build(&things).snapshot();
        let plan = |request: &Request| removed(&make(&snapshot, request, now()).unwrap());
        let removed_by_both = plan(&prune(Some(keep), Some(days)));
        prop_assert!(plan(&prune(Some(keep + more), Some(days))).is_subset(&removed_by_both));
        prop_assert!(plan(&prune(Some(keep), Some(days + longer))).is_subset(&removed_by_both));
        prop_assert!(removed_by_both.is_subset(&plan(&prune(Some(keep), None))));
        prop_assert!(removed_by_both.is_subset(&plan(&prune(None, Some(days)))));
    }

    #[test]
    fn a_dangling_tag_or_an_unreadable_one_stops_the_rules(mut things in things(), keep in 1u32..6) {
        things.push(Thing::Dangling);
        let dangling = make(&build(&things).snapshot(), &prune(Some(keep), None), now()).unwrap();
        prop_assert!(!dangling.has_steps());
        prop_assert!(!dangling.blockers.is_empty());
        let unreadable = make(&build(&things).unreadable("app", "x").snapshot(), &prune(Some(keep), None), now()).unwrap();
        prop_assert!(!unreadable.has_steps());
    }

    #[test]
    fn bytes_are_those_that_only_removed_manifests_hold(things in things(), keep in 1u32..6) {
        let snapshot = build(&things).snapshot();
        let plan = make(&snapshot, &prune(Some(keep), None), now()).unwrap();
        let held = |snapshot: &Snapshot| {
            let mut sizes = std::collections::BTreeMap::new();
            for (_, view) in snapshot.read_repositories() {
                for digest in view.manifests.keys() {
                    if let Some(manifest) = view.manifest(digest) {
                        sizes.insert(digest.clone(), manifest.size.0);
                        sizes.extend(manifest.blobs().map(|blob| (blob.digest.clone(), blob.size.0)));
                    }
                }
            }
            sizes.values().sum::<u64>()
        };
        prop_assert_eq!(plan.estimate.total().0, held(&snapshot) - held(&apply(&plan, &snapshot)));
    }
}
