//! What a plan deletes although no tag that goes, and no name, leads to it: only what the store shows, whole, old enough,
//! and needed by nothing that stays.

use std::collections::BTreeSet;

use crate::model::{Digest, Manifest, ManifestState, RepositoryView, Snapshot, StoreView, TagState};

use super::super::{Plan, RepositoryPlan, Why};
use super::Effects;

pub(super) fn check(
    whole: &Plan,
    plan: &RepositoryPlan,
    snapshot: &Snapshot,
    view: &RepositoryView,
    effects: &Effects,
) -> Vec<String> {
    let explained = explained(plan, view, effects);
    let loose: BTreeSet<&Digest> =
        effects.deleted.iter().filter(|digest| !explained.contains(*digest)).copied().collect();
    if loose.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    match &snapshot.store {
        None => faults.push("manifests without a tag go, but the store was not read".to_owned()),
        Some(store) => faults.extend(check_store(whole, plan, store, view, &loose)),
    }
    for tag in view.tags.keys().filter(|tag| !effects.gone_tags.contains(tag)) {
        if let Some(subject) = tag.attachment_subject().filter(|subject| loose.contains(subject)) {
            faults.push(format!("tag `{tag}` stays and belongs to {subject}, which goes"));
        }
    }
    let staying = view.manifests.iter().filter_map(|(digest, state)| match state {
        ManifestState::Read(manifest) if !effects.deleted.contains(digest) => Some(manifest),
        _ => None,
    });
    for manifest in staying {
        for digest in named(manifest).filter(|digest| loose.contains(digest)) {
            faults.push(format!(
                "{} stays and names {digest}, which no tag leads to and which goes",
                manifest.digest
            ));
        }
    }
    faults
}

/// What goes with a tag or a name that is given up: its parts and what refers to it, over and over.
fn explained<'a>(
    plan: &'a RepositoryPlan,
    view: &'a RepositoryView,
    effects: &Effects,
) -> BTreeSet<&'a Digest> {
    let at = effects.gone_tags.iter().filter_map(|tag| match view.tags.get(*tag) {
        Some(TagState::At(digest)) => Some(digest),
        _ => None,
    });
    let named_by_people = plan.manifests.iter().filter(|removal| removal.why == Why::Named);
    let mut explained: BTreeSet<&Digest> = at.chain(named_by_people.map(|removal| &removal.digest)).collect();
    loop {
        let mut more: BTreeSet<&Digest> = BTreeSet::new();
        for (digest, state) in &view.manifests {
            let ManifestState::Read(manifest) = state else { continue };
            if explained.contains(digest) {
                more.extend(manifest.children.iter().map(|child| &child.digest));
            }
            if manifest.subject.as_ref().is_some_and(|subject| explained.contains(&subject.digest)) {
                more.insert(digest);
            }
        }
        let before = explained.len();
        explained.extend(more);
        if explained.len() == before {
            return explained;
        }
    }
}

fn check_store(
    whole: &Plan,
    plan: &RepositoryPlan,
    store: &StoreView,
    view: &RepositoryView,
    loose: &BTreeSet<&Digest>,
) -> Vec<String> {
    let Some(stored) = store.repositories.get(&plan.repository) else {
        return vec!["manifests without a tag go, but the store does not have the repository".to_owned()];
    };
    let mut faults = Vec::new();
    if store.odd.iter().any(|odd| odd.repository.as_ref() == Some(&plan.repository)) {
        faults.push("manifests without a tag go where something in the store is odd".to_owned());
    }
    if view.tags.values().any(|state| !matches!(state, TagState::At(_))) {
        faults.push("manifests without a tag go where a tag leads nowhere".to_owned());
    }
    for (tag, stored) in &stored.tags {
        let here = view.tags.get(tag);
        if !matches!((here, &stored.digest), (Some(TagState::At(at)), Some(digest)) if at == digest) {
            faults.push(format!("manifests without a tag go, and tag `{tag}` is another in the store"));
        }
    }
    for digest in stored.revisions.keys() {
        if !matches!(view.manifests.get(digest), Some(ManifestState::Read(_))) {
            faults.push(format!("manifests without a tag go, and nobody knows what {digest} needs"));
        }
    }
    let Some(min_age) = whole.untagged else {
        faults.push("manifests without a tag go, which nobody asked for".to_owned());
        return faults;
    };
    for digest in loose {
        let Some(pushed) = stored.revisions.get(*digest) else {
            faults.push(format!("{digest} has no tag and is not in the store"));
            continue;
        };
        let is_young = min_age.age().is_some_and(|least| *pushed >= least.before(store.now));
        if is_young || *pushed > store.now {
            faults.push(format!("{digest} has no tag and is too young to go"));
        }
        if stored.layers.contains(*digest) {
            faults.push(format!("{digest} is a layer as well, which would go with it"));
        }
    }
    faults
}

fn named(manifest: &Manifest) -> impl Iterator<Item = &Digest> {
    let named = manifest.config.iter().chain(&manifest.layers).chain(&manifest.children);
    named.chain(&manifest.subject).map(|named| &named.digest)
}
