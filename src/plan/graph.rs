//! The digest graph of one repository: what kept tags reach, and what is left without a holder.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Digest, Manifest, ManifestKind, ManifestState, RepositoryView, Tag, TagState};
use crate::policy::{Kept, Removed, Verdict, attachment_subject};

use super::Why;

/// A manifest that goes; parents have a lower rank than their children, so that no index is left without its parts.
pub(super) struct Doom {
    pub(super) why: Why,
    pub(super) rank: usize,
}

/// Why rules may not remove anything in this repository: a tag that could not be read may be at any digest, and a
/// manifest that could not be read may need any other.
pub(super) fn ineligible(view: &RepositoryView) -> Option<String> {
    let tag = view.tags.iter().find_map(|(tag, state)| match state {
        TagState::Unreadable(why) => Some(format!("tag `{tag}`: {why}")),
        TagState::Dangling => Some(format!("tag `{tag}` is listed, but the registry has no manifest for it")),
        TagState::At(_) => None,
    });
    tag.or_else(|| unreadable_manifest(view))
}

pub(super) fn unreadable_manifest(view: &RepositoryView) -> Option<String> {
    view.manifests.iter().find_map(|(digest, state)| match state {
        ManifestState::Unreadable(why) => Some(format!("manifest {digest}: {why}")),
        ManifestState::Read(_) | ManifestState::Absent => None,
    })
}

/// Every digest that must stay: what kept tags reach through indexes, and the subjects of what they reach. An attached
/// signature holds what it consists of, but not its subject: it is the subject that decides about both.
pub(super) fn kept<'a>(view: &'a RepositoryView, verdicts: &BTreeMap<Tag, Verdict>) -> BTreeSet<&'a Digest> {
    let kept_at = |attached: bool| {
        view.tags.iter().filter_map(move |(tag, state)| match (state, verdicts.get(tag)) {
            (TagState::At(digest), Some(Verdict::Keep(why)))
                if matches!(why, Kept::AttachedTo { .. }) == attached =>
            {
                Some(digest)
            }
            // A tag without a verdict is unknown, and unknown is kept.
            (TagState::At(digest), None) if !attached => Some(digest),
            _ => None,
        })
    };
    let mut kept = view.reachable(kept_at(false));
    loop {
        let subjects: Vec<&Digest> = kept
            .iter()
            .filter_map(|digest| view.manifest(digest)?.subject.as_ref())
            .map(|subject| &subject.digest)
            .filter(|subject| view.manifests.contains_key(*subject) && !kept.contains(*subject))
            .collect();
        if subjects.is_empty() {
            break;
        }
        kept.extend(view.reachable(subjects));
    }
    kept.extend(view.reachable(kept_at(true)));
    kept
}

/// The manifests that nothing kept reaches: those whose tags all go, those that were named, and the parts of both.
pub(super) fn doomed<'a>(
    view: &'a RepositoryView,
    verdicts: &BTreeMap<Tag, Verdict>,
    named: &BTreeSet<Digest>,
    kept: &BTreeSet<&'a Digest>,
) -> BTreeMap<&'a Digest, Doom> {
    let may_go = |digest: &Digest| {
        !kept.contains(digest)
            && view.manifest(digest).is_some_and(|manifest| manifest.kind != ManifestKind::Schema1)
    };
    let mut doomed = BTreeMap::new();
    for (tag, state) in &view.tags {
        if let (TagState::At(digest), Some(Verdict::Remove(_))) = (state, verdicts.get(tag))
            && may_go(digest)
        {
            let doom =
                doomed.entry(digest).or_insert_with(|| Doom { why: Why::Untagged(Vec::new()), rank: 0 });
            if let Why::Untagged(tags) = &mut doom.why {
                tags.push(tag.clone());
            }
        }
    }
    for (digest, _) in view.manifests.iter().filter(|(digest, _)| named.contains(*digest) && may_go(digest)) {
        doomed.insert(digest, Doom { why: Why::Named, rank: 0 });
    }
    // Breadth first, so that a part found again deeper down moves behind all its parents.
    let mut level: Vec<&Digest> = doomed.keys().copied().collect();
    for rank in 1..=view.manifests.len() {
        let mut next = BTreeSet::new();
        for parent in level {
            for child in view.manifest(parent).into_iter().flat_map(Manifest::child_manifests) {
                let Some((digest, _)) = view.manifests.get_key_value(&child.digest) else {
                    continue;
                };
                if may_go(digest) {
                    let doom = doomed
                        .entry(digest)
                        .or_insert_with(|| Doom { why: Why::PartOf(parent.clone()), rank });
                    doom.rank = rank;
                    next.insert(digest);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        level = next.into_iter().collect();
    }
    doomed
}

/// Attachments go with their subject: a tag `sha256-<hex>…` that is only kept for a manifest which goes, goes too.
pub(super) fn follow_subjects(
    view: &RepositoryView,
    verdicts: &mut BTreeMap<Tag, Verdict>,
    named: &BTreeSet<Digest>,
) {
    loop {
        let kept = kept(view, verdicts);
        let doomed = doomed(view, verdicts, named, &kept);
        let follow: Vec<(Tag, Digest)> = verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Keep(Kept::AttachedTo { .. })))
            .filter_map(|(tag, _)| Some((tag.clone(), attachment_subject(tag)?)))
            .filter(|(_, subject)| doomed.contains_key(subject))
            .collect();
        if follow.is_empty() {
            return;
        }
        for (tag, subject) in follow {
            verdicts.insert(tag, Verdict::Remove(Removed::GoesWith { subject }));
        }
    }
}
