//! Carries out an approved plan. It decides nothing: a step is done as planned, or skipped because the world has
//! changed since.
//!
//! Immediately before the first step in a repository, and again whenever that look has grown old, its tags are listed
//! and resolved; afterwards they are listed once more, and what is missing must be exactly what was planned.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use crate::cancel::Cancel;
use crate::confirm::Approved;
use crate::model::{Digest, Holdings, Ordered, Repository, Tag};
use crate::outcome::{Fate, Outcome, RepositoryOutcome};
use crate::plan::placeholder::Placeholder;
use crate::plan::{RepositoryPlan, Step};
use crate::registry::{Deletion, Reference, Registry};
use crate::site::Site;
use crate::ui::{Progress, Ui};

mod look;

use look::Present;

/// Repositories worked on at one time; the registry's own limit bounds the requests.
const REPOSITORIES_AT_ONCE: usize = 4;
/// Steps of one rank that one look at the tags is good for, unless it is quickly done.
const STEPS_AT_ONCE: usize = 64;

pub(crate) async fn execute(
    approved: Approved,
    registry: &Registry,
    store: Option<&Site>,
    cancel: &Cancel,
    ui: &Ui,
) -> Outcome {
    let plan = approved.into_plan();
    let steps = plan.repositories.iter().flat_map(|repository| repository.ranks.iter().flatten()).count();
    let progress = ui.progress("Deleting", steps);
    let work = plan.repositories.iter().filter(|repository| !repository.ranks.is_empty());
    let repositories = stream::iter(work)
        .map(|repository| {
            let progress = &progress;
            let executor = Executor { registry, store, cancel, plan: repository, kept: &plan.kept, progress };
            async move { (repository.repository.clone(), executor.run().await) }
        })
        .buffer_unordered(REPOSITORIES_AT_ONCE)
        .collect()
        .await;
    Outcome { repositories }
}

struct Executor<'a> {
    registry: &'a Registry,
    store: Option<&'a Site>,
    cancel: &'a Cancel,
    plan: &'a RepositoryPlan,
    kept: &'a Holdings,
    progress: &'a Progress,
}

impl Executor<'_> {
    fn repository(&self) -> &Repository {
        &self.plan.repository
    }

    async fn run(&self) -> RepositoryOutcome {
        let mut outcome = RepositoryOutcome::default();
        let mut present: Option<Present> = None;
        let mut stopped: Option<Fate> = None;
        let mut staying = BTreeSet::new();
        for rank in &self.plan.ranks {
            self.run_rank(rank, &mut present, &mut stopped, &mut staying, &mut outcome).await;
        }
        if present.is_some() {
            self.look_after(&mut outcome).await;
        }
        outcome
    }

    /// Does the steps of one rank. `staying` are the manifests that were to go and did not: what they refer to, which is
    /// in the ranks behind, stays with them.
    async fn run_rank(
        &self,
        rank: &[Step],
        present: &mut Option<Present>,
        stopped: &mut Option<Fate>,
        staying: &mut BTreeSet<Digest>,
        outcome: &mut RepositoryOutcome,
    ) {
        for batch in rank.chunks(STEPS_AT_ONCE) {
            if self.cancel.is_cancelled() {
                stopped.get_or_insert(Fate::Skipped("interrupted".to_owned()));
            }
            if stopped.is_none() && present.as_ref().is_none_or(Present::is_stale) {
                match look::again(self.registry, self.store, self.plan, self.kept).await {
                    Ok(now) => *present = Some(now),
                    Err(error) => {
                        let why = format!("its tags could not be read again: {error:#}");
                        *stopped = Some(Fate::Failed(why));
                    }
                }
            }
            self.progress.advance(batch.len());
            let (None, Some(present)) = (&*stopped, &*present) else {
                let fate = stopped.clone().unwrap_or_else(|| Fate::Skipped("not looked at again".to_owned()));
                for step in batch {
                    record(outcome, step, &fate);
                }
                continue;
            };
            let stay = &*staying;
            let fates: Vec<_> = stream::iter(batch)
                .map(|step| async move { (step, self.take(step, present, stay).await) })
                .buffer_unordered(STEPS_AT_ONCE)
                .collect()
                .await;
            for (step, fates) in fates {
                if let (Step::DeleteManifest { digest, .. }, false) =
                    (step, matches!(fates, Fates::All(Fate::Done)))
                {
                    staying.insert(digest.clone());
                }
                fates.record(outcome, step);
            }
        }
    }

    async fn take(&self, step: &Step, present: &Present, staying: &BTreeSet<Digest>) -> Fates {
        if self.cancel.is_cancelled() {
            return Fates::All(Fate::Skipped("interrupted".to_owned()));
        }
        match step {
            Step::DeleteTag { tag, expects } => {
                Fates::All(match present.objection_to_untag(tag, expects.as_ref()) {
                    Some(why) => Fate::Skipped(why),
                    None => fate(self.registry.delete_tag(self.repository(), tag).await),
                })
            }
            Step::DeleteManifest { after, .. } if !after.is_disjoint(staying) => {
                Fates::All(Fate::Skipped("a manifest that refers to it stays".to_owned()))
            }
            Step::DeleteManifest { digest, expects, .. } => {
                Fates::All(match present.objection_to_delete(digest, expects) {
                    Some(why) => Fate::Skipped(why),
                    None => self.delete(digest).await,
                })
            }
            Step::Untag { tags, placeholder } => {
                let put = stream::iter(tags).map(|(tag, expects)| async move {
                    let fate = match present.objection_to_untag(tag, expects.as_ref()) {
                        Some(why) => Err(Fate::Skipped(why)),
                        None => self.put(tag, placeholder).await,
                    };
                    (tag.clone(), fate)
                });
                let put: Vec<(Tag, Result<(), Fate>)> = put.buffer_unordered(STEPS_AT_ONCE).collect().await;
                // A put that failed may have its effect later, so the placeholder goes whatever was said.
                let attempted = put.iter().any(|(_, fate)| !matches!(fate, Err(Fate::Skipped(_))));
                let untagged = if attempted { self.delete(&placeholder.digest).await } else { Fate::Done };
                Fates::PerTag(
                    put.into_iter()
                        .map(|(tag, fate)| match fate {
                            Ok(()) => (tag, untagged.clone()),
                            Err(fate) => (tag, fate),
                        })
                        .collect(),
                )
            }
        }
    }

    /// A placeholder whose answer was lost may be in place: it is looked at, not put again.
    async fn put(&self, tag: &Tag, placeholder: &Placeholder) -> Result<(), Fate> {
        let (registry, repository) = (self.registry, self.repository());
        let put = registry.put_manifest(repository, tag, Placeholder::MEDIA_TYPE, &placeholder.raw).await;
        let Err(error) = put else { return Ok(()) };
        if error.is_effect_unknown()
            && let Ok(Some(digest)) = registry.resolve(repository, tag).await
            && digest == placeholder.digest
        {
            return Ok(());
        }
        Err(Fate::Failed(error.to_string()))
    }

    /// A deletion that ended in a fault, or whose answer was lost, may have had its effect: it is looked at, not repeated.
    async fn delete(&self, digest: &Digest) -> Fate {
        match self.registry.delete_manifest(self.repository(), digest).await {
            Err(error) if error.is_effect_unknown() => {
                match self.registry.manifest(self.repository(), Reference::Digest(digest)).await {
                    Ok(None) => Fate::Done,
                    Ok(Some(_)) | Err(_) => Fate::Failed(error.to_string()),
                }
            }
            result => fate(result),
        }
    }

    /// Why a tag that was removed is listed all the same.
    async fn why_listed(&self, tag: &Tag) -> Fate {
        match self.registry.resolve(self.repository(), tag).await {
            Ok(Some(_)) => Fate::Skipped("it was pushed again meanwhile".to_owned()),
            Ok(None) => Fate::Failed(
                "the registry removed its manifest and left the tag; `docker registry rm` takes it away"
                    .to_owned(),
            ),
            Err(error) => Fate::Failed(format!("it is still listed: {error}")),
        }
    }

    /// Lists the tags once more. A tag that is there again was pushed meanwhile; a kept tag that is gone is an alarm.
    async fn look_after(&self, outcome: &mut RepositoryOutcome) {
        let listed: BTreeSet<Tag> = match self.registry.tags(self.repository()).await {
            Ok(tags) => tags.into_iter().into_set(),
            // The last tag is gone, and with it, on some servers, the repository.
            Err(error) if error.is_absent() => BTreeSet::new(),
            Err(error) => {
                for fate in outcome.tags.values_mut().filter(|fate| **fate == Fate::Done) {
                    *fate = Fate::Failed(format!(
                        "the registry accepted it, but its tags could not be listed afterwards: {error}"
                    ));
                }
                return;
            }
        };
        for (tag, fate) in &mut outcome.tags {
            if *fate == Fate::Done && listed.contains(tag) {
                *fate = self.why_listed(tag).await;
            }
        }
        let kept = self.kept.tags.get(self.repository());
        outcome.vanished =
            kept.into_iter().flat_map(BTreeMap::keys).filter(|tag| !listed.contains(tag)).cloned().collect();
    }
}

fn fate(result: Result<Deletion, crate::registry::Error>) -> Fate {
    match result {
        // Already gone is what was wanted: someone else, or a request whose answer was lost.
        Ok(Deletion::Done | Deletion::AlreadyAbsent) => Fate::Done,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

/// The fates of one step: the same for all it touches, or one per tag.
enum Fates {
    All(Fate),
    PerTag(Vec<(Tag, Fate)>),
}

impl Fates {
    fn record(self, outcome: &mut RepositoryOutcome, step: &Step) {
        match self {
            Self::All(fate) => record(outcome, step, &fate),
            Self::PerTag(fates) => outcome.tags.extend(fates),
        }
    }
}

fn record(outcome: &mut RepositoryOutcome, step: &Step, fate: &Fate) {
    match step {
        Step::DeleteTag { tag, .. } => {
            outcome.tags.insert(tag.clone(), fate.clone());
        }
        Step::Untag { tags, .. } => {
            outcome.tags.extend(tags.iter().map(|(tag, _)| (tag.clone(), fate.clone())));
        }
        Step::DeleteManifest { digest, expects, .. } => {
            outcome.manifests.insert(digest.clone(), fate.clone());
            outcome.tags.extend(expects.iter().map(|tag| (tag.clone(), fate.clone())));
        }
    }
}

/// Which digests a step of this plan deletes.
fn deleted(plan: &RepositoryPlan) -> BTreeSet<&Digest> {
    plan.manifests.iter().map(|removal| &removal.digest).collect()
}
