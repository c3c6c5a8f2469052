//! The verdict on every tag of a repository, whatever gives it: rules, names, an interrupted run, orphans; and what may
//! go that no tag leads to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::loose::Loose;
use super::{Request, graph, named, orphans, placeholder, stranded};
use crate::model::{Digest, Ordered, Repository, RepositoryView, Snapshot, Tag, TagState};
use crate::policy::{Kept, Removed, Verdict};

/// The verdict on each tag, the digests that were named themselves, and the manifests without a tag.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) verdicts: BTreeMap<Tag, Verdict>,
    pub(super) named: BTreeSet<Digest>,
    pub(super) loose: Loose,
}

pub(super) fn decide(
    snapshot: &Snapshot,
    subjects: Option<&orphans::Subjects<'_>>,
    request: &Request,
    repository: &Repository,
    view: &RepositoryView,
    now: Timestamp,
) -> Decided {
    let mut decided = match request {
        Request::Prune(policy) => match graph::ineligible(view) {
            Some(why) if policy.removes_tags() => {
                Decided::keeping_all(view, &Kept::RepositoryUnreadable { why })
            }
            _ => Decided {
                verdicts: policy.judge(&snapshot.registry, repository, view, now),
                ..Decided::default()
            },
        },
        Request::Remove(references) => named::judge(references, repository, view),
        Request::Collect => return Decided::keeping_all(view, &Kept::NoRules),
    };
    let finishes_interrupted = match request {
        Request::Prune(policy) => policy.removes_tags() && graph::ineligible(view).is_none(),
        Request::Remove(references) => references.iter().any(|reference| reference.repository == *repository),
        Request::Collect => false,
    };
    if finishes_interrupted {
        for (tag, state) in &view.tags {
            let TagState::At(digest) = state else { continue };
            if view.manifest(digest).is_some_and(placeholder::is_one) {
                decided.verdicts.insert(tag.clone(), Verdict::Remove(Removed::Placeholder));
            }
        }
    }
    if let (Request::Prune(policy), Some(subjects)) = (request, subjects) {
        subjects.judge(policy, repository, view, &mut decided.verdicts, now);
    }
    if let Request::Prune(policy) = request {
        decided.loose = Loose::of(snapshot, policy, repository, view, now);
    }
    stranded::follow(snapshot.flaw, view, &mut decided);
    decided
}

impl Decided {
    fn keeping_all(view: &RepositoryView, why: &Kept) -> Self {
        let verdicts = view.tags.keys().map(|tag| (tag.clone(), Verdict::Keep(why.clone()))).into_map();
        Self { verdicts, ..Self::default() }
    }
}
