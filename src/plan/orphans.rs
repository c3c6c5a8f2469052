//! Attachments whose subject is gone: the tags `sha256-<hex>…` of signatures and the like of a manifest that was deleted
//! behind their back. They are garbage, with rules and without.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{Digest, Repository, RepositoryView, Snapshot, Tag, TagState};
use crate::policy::{Kept, Policy, Removed, Verdict};

use super::graph;

/// What is known of the whole registry about subjects; `None` where not all of it was read, and nothing can be proven.
pub(super) struct Subjects<'a> {
    snapshot: &'a Snapshot,
    known: BTreeSet<&'a Digest>,
}

impl<'a> Subjects<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Option<Self> {
        snapshot.is_known().then(|| Self { snapshot, known: snapshot.known_manifests() })
    }

    /// Gives up the attachments of one repository that are proven to be orphans: no repository shows the subject, and
    /// the registry, asked for it, said that this one does not have it. A repository of attachments alone may serve
    /// another repository or registry, of which nothing is known.
    pub(super) fn judge(
        &self,
        policy: &Policy,
        repository: &Repository,
        view: &RepositoryView,
        verdicts: &mut BTreeMap<Tag, Verdict>,
        now: Timestamp,
    ) {
        if graph::ineligible(view).is_some() {
            return;
        }
        let registry = &self.snapshot.registry;
        for (tag, verdict) in verdicts {
            let (Verdict::Keep(Kept::AttachedTo { .. }), Some(TagState::At(digest))) =
                (&*verdict, view.tags.get(tag))
            else {
                continue;
            };
            let Some(subject) = tag.attachment_subject().filter(|subject| !self.known.contains(subject))
            else {
                continue;
            };
            if view.holds_only_attachments() {
                let name = format!("{registry}/{repository}:{tag}");
                *verdict = Verdict::Keep(Kept::MayServeOthers { subject, name });
            } else if view.absent_subjects.contains(&subject) {
                *verdict = match policy.spares_orphan(registry, repository, view, tag, digest, now) {
                    Some(kept) => Verdict::Keep(kept),
                    None => Verdict::Remove(Removed::Orphan { subject }),
                };
            }
        }
    }
}
