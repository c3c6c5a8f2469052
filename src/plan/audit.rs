//! A second opinion on a finished plan. It shares no code with the planner: it reads the steps and the snapshot, and
//! works out by itself what they would do.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Digest, ManifestKind, ManifestState, Ordered, RepositoryState, RepositoryView, Snapshot, Tag, TagState,
};
use crate::policy::{Removed, Verdict};

use super::{Plan, RepositoryPlan, Step, Why};

mod untagged;

/// Every fault of the plan, in words; none means that it may run.
pub(super) fn check(plan: &Plan, snapshot: &Snapshot) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    if plan.registry != snapshot.registry {
        faults.push("it is for another registry".to_owned());
    }
    for repository in &plan.repositories {
        match snapshot.repositories.get(&repository.repository) {
            Some(RepositoryState::Read(view)) => {
                let name = &repository.repository;
                faults.extend(
                    check_repository(plan, repository, snapshot, view)
                        .into_iter()
                        .map(|fault| format!("`{name}`: {fault}")),
                );
                faults.extend(
                    check_kept(plan, repository, view).into_iter().map(|fault| format!("`{name}`: {fault}")),
                );
            }
            _ => faults.push(format!("`{}` was not read", repository.repository)),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The tags of a repository by their digest.
type TagsAt<'a> = BTreeMap<&'a Digest, Vec<&'a Tag>>;

/// What the steps do, told apart from what the plan says of them.
#[derive(Default)]
struct Effects<'a> {
    deleted: BTreeSet<&'a Digest>,
    gone_tags: BTreeSet<&'a Tag>,
}

fn check_repository(
    whole: &Plan,
    plan: &RepositoryPlan,
    snapshot: &Snapshot,
    view: &RepositoryView,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut effects = Effects::default();
    let mut tags = TagsAt::new();
    for (tag, state) in &view.tags {
        if let TagState::At(digest) = state {
            tags.entry(digest).or_default().push(tag);
        }
    }
    let some_unread = view.tags.values().any(|state| matches!(state, TagState::Unreadable(_)))
        || view.manifests.values().any(|state| matches!(state, ManifestState::Unreadable(_)))
        || !view.unlisted.is_empty();
    if some_unread && !plan.ranks.is_empty() {
        faults.push("steps where not everything could be read".to_owned());
    }
    for (rank, steps) in plan.ranks.iter().enumerate() {
        for step in steps {
            match step {
                Step::DeleteTag { tag, expects } => {
                    take_tag(&mut effects, &mut faults, view, tag, expects.as_ref());
                }
                Step::Untag { tags, placeholder } => {
                    if rank != 0 || steps.len() != 1 {
                        faults.push("a placeholder is put while manifests are deleted".to_owned());
                    }
                    if view.manifests.contains_key(&placeholder.digest) {
                        faults.push("the placeholder is a manifest of the registry".to_owned());
                    }
                    for (tag, expects) in tags {
                        take_tag(&mut effects, &mut faults, view, tag, expects.as_ref());
                    }
                }
                Step::DeleteManifest { digest, expects, .. } => {
                    delete(&mut effects, &mut faults, view, &tags, digest, expects);
                }
            }
        }
    }
    faults.extend(check_tags(plan, view, &effects));
    faults.extend(check_referrers(plan, view, &effects));
    faults.extend(check_order(plan, view));
    faults.extend(untagged::check(whole, plan, snapshot, view, &effects));
    faults
}

/// What stays keeps its parts and what refers to it, but for what a person named.
fn check_referrers(plan: &RepositoryPlan, view: &RepositoryView, effects: &Effects) -> Vec<String> {
    let stays = |digest: &Digest| {
        !effects.deleted.contains(digest)
            && matches!(view.manifests.get(digest), Some(ManifestState::Read(_)))
    };
    let mut named: BTreeSet<&Digest> = BTreeSet::new();
    let by_tag = plan.tags.iter().filter(|decision| decision.verdict == Verdict::Remove(Removed::Named));
    let by_digest = plan.manifests.iter().filter(|removal| removal.why == Why::Named);
    let mut ahead: Vec<&Digest> = by_tag
        .filter_map(|decision| decision.digest.as_ref())
        .chain(by_digest.map(|removal| &removal.digest))
        .collect();
    while let Some(digest) = ahead.pop() {
        if let (true, Some(ManifestState::Read(manifest))) =
            (named.insert(digest), view.manifests.get(digest))
        {
            ahead.extend(manifest.children.iter().map(|child| &child.digest));
        }
    }
    let mut faults = Vec::new();
    for (digest, state) in &view.manifests {
        let ManifestState::Read(manifest) = state else { continue };
        if stays(digest) {
            for child in manifest.children.iter().filter(|child| effects.deleted.contains(&child.digest)) {
                faults.push(format!("{digest} stays and needs {}, which is deleted", child.digest));
            }
        } else if let Some(subject) = &manifest.subject
            && stays(&subject.digest)
            && !named.contains(digest)
        {
            faults.push(format!("{digest} is deleted and refers to {}, which stays", subject.digest));
        }
    }
    faults
}

/// What is deleted waits for everything deleted that names it: should that stay, so does this.
fn check_order(plan: &RepositoryPlan, view: &RepositoryView) -> Vec<String> {
    let steps = plan.ranks.iter().flatten();
    let awaited: BTreeMap<&Digest, &BTreeSet<Digest>> = steps
        .filter_map(|step| match step {
            Step::DeleteManifest { digest, after, .. } => Some((digest, after)),
            Step::DeleteTag { .. } | Step::Untag { .. } => None,
        })
        .into_map();
    let mut faults = Vec::new();
    for &digest in awaited.keys() {
        let Some(ManifestState::Read(manifest)) = view.manifests.get(digest) else { continue };
        for named in manifest.children.iter().chain(&manifest.subject).map(|named| &named.digest) {
            if awaited.get(named).is_some_and(|after| !after.contains(digest)) {
                faults.push(format!("{named} does not wait for {digest}, which refers to it"));
            }
        }
    }
    faults
}

fn take_tag<'a>(
    effects: &mut Effects<'a>,
    faults: &mut Vec<String>,
    view: &RepositoryView,
    tag: &'a Tag,
    expects: Option<&Digest>,
) {
    let found = match view.tags.get(tag) {
        Some(TagState::At(digest)) => Some(Some(digest)),
        Some(TagState::Dangling) => Some(None),
        Some(TagState::Unreadable(_)) | None => None,
    };
    if found != Some(expects) {
        faults.push(format!("tag `{tag}` is not where the plan takes it from"));
    }
    if !effects.gone_tags.insert(tag) {
        faults.push(format!("tag `{tag}` goes twice"));
    }
}

fn delete<'a>(
    effects: &mut Effects<'a>,
    faults: &mut Vec<String>,
    view: &RepositoryView,
    tags: &TagsAt<'_>,
    digest: &'a Digest,
    expects: &'a [Tag],
) {
    match view.manifests.get(digest) {
        Some(ManifestState::Read(manifest)) if manifest.kind == ManifestKind::Schema1 => {
            faults.push(format!("{digest} is in the first manifest format"));
        }
        Some(ManifestState::Read(manifest)) => {
            for child in &manifest.children {
                if effects.deleted.contains(&child.digest) {
                    faults.push(format!("{} goes before the index that names it", child.digest));
                }
            }
            if let Some(subject) = &manifest.subject
                && effects.deleted.contains(&subject.digest)
            {
                faults.push(format!("{} goes before {digest}, which refers to it", subject.digest));
            }
        }
        _ => faults.push(format!("{digest} was never read as a manifest")),
    }
    let found = tags.get(digest);
    let found: BTreeSet<&Tag> = found.into_iter().flatten().copied().collect();
    if expects.len() != found.len() || !expects.iter().all(|tag| found.contains(tag)) || !expects.is_sorted()
    {
        faults.push(format!("deleting {digest} takes other tags than the plan says"));
    }
    effects.gone_tags.extend(expects);
    if !effects.deleted.insert(digest) {
        faults.push(format!("{digest} is deleted twice"));
    }
}

/// Kept tags keep everything they reach, and exactly the tags that the plan gives up go.
fn check_tags(plan: &RepositoryPlan, view: &RepositoryView, effects: &Effects) -> Vec<String> {
    let mut faults = Vec::new();
    let given_up: BTreeSet<&Tag> = plan
        .tags
        .iter()
        .filter(|decision| matches!(decision.verdict, Verdict::Remove(_)))
        .map(|decision| &decision.tag)
        .into_set();
    if given_up != effects.gone_tags {
        faults.push("the steps do not remove the tags that the plan says".to_owned());
    }
    let listed: BTreeSet<&Tag> = plan.tags.iter().map(|decision| &decision.tag).into_set();
    if listed.len() != view.tags.len() || !view.tags.keys().all(|tag| listed.contains(tag)) {
        faults.push("not every tag has a verdict".to_owned());
    }
    let named: BTreeSet<&Digest> = plan.manifests.iter().map(|removal| &removal.digest).collect();
    if named != effects.deleted {
        faults.push("the steps do not delete the manifests that the plan says".to_owned());
    }
    for (tag, state) in view.tags.iter().filter(|(tag, _)| !effects.gone_tags.contains(tag)) {
        if let TagState::At(digest) = state {
            let mut ahead = vec![digest];
            let mut seen = BTreeSet::new();
            while let Some(digest) = ahead.pop() {
                if effects.deleted.contains(digest) {
                    faults.push(format!("kept tag `{tag}` needs {digest}, which is deleted"));
                }
                if seen.insert(digest)
                    && let Some(ManifestState::Read(manifest)) = view.manifests.get(digest)
                {
                    ahead.extend(manifest.children.iter().map(|child| &child.digest));
                }
            }
        }
    }
    faults
}

/// What must be whole afterwards names every kept tag, and every manifest and blob that is needed for it.
fn check_kept(plan: &Plan, repository: &RepositoryPlan, view: &RepositoryView) -> Vec<String> {
    let mut faults = Vec::new();
    let empty = (BTreeMap::default(), BTreeSet::default(), BTreeMap::default());
    let tags = plan.kept.tags.get(&repository.repository).unwrap_or(&empty.0);
    let manifests = plan.kept.manifests.get(&repository.repository).unwrap_or(&empty.1);
    let blobs = plan.kept.blobs.get(&repository.repository).unwrap_or(&empty.2);
    let going: BTreeSet<&Digest> = repository.manifests.iter().map(|removal| &removal.digest).collect();
    for (digest, state) in &view.manifests {
        if matches!(state, ManifestState::Read(_)) && !going.contains(digest) && !manifests.contains(digest) {
            faults.push(format!("{digest} stays but would not be verified"));
        }
    }
    for decision in repository.tags.iter().filter(|decision| matches!(decision.verdict, Verdict::Keep(_))) {
        let Some(TagState::At(digest)) = view.tags.get(&decision.tag) else {
            continue;
        };
        if tags.get(&decision.tag) != Some(digest) {
            faults.push(format!("kept tag `{}` would not be verified", decision.tag));
        }
        let mut ahead = vec![digest];
        while let Some(digest) = ahead.pop() {
            let Some(ManifestState::Read(manifest)) = view.manifests.get(digest) else {
                continue;
            };
            if !manifests.contains(digest) {
                faults.push(format!("{digest} is kept but would not be verified"));
            }
            let unverified = manifest
                .config
                .iter()
                .chain(&manifest.layers)
                .find(|blob| !blob.is_foreign && !blobs.contains_key(&blob.digest));
            if let Some(blob) = unverified {
                faults.push(format!("blob {} is kept but would not be verified", blob.digest));
            }
            ahead.extend(manifest.children.iter().map(|child| &child.digest));
        }
    }
    faults
}
