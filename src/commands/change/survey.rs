//! What there is to collect, found out without stopping the registry: for dry runs, and so that a run with nothing to do
//! interrupts nobody.

use crate::cli::Format;
use crate::collect;
use crate::error::{self, Failure};
use crate::leftovers::Counts;
use crate::model::ByteSize;
use crate::outcome::Collection;
use crate::plan::{Left, Plan, Request};
use crate::report::{self, Ended};
use crate::site::Site;

use super::{Change, Collects, Planned};
use crate::commands::Session;
use crate::commands::session::Place;

impl Change {
    /// What a run would do beyond the plan that was shown: what a collection would remove.
    pub(super) async fn dry_run(&self, session: &Session, place: &Place, plan: Plan) -> anyhow::Result<u8> {
        let planned = Planned::of(&plan, self.output.format);
        if let (Place::Here(site), false) = (place, plan.has_steps()) {
            let (left, bytes) = match planned.estimate.left {
                Some(left) => {
                    session.unless_cancelled(collect::refuse_unfit(site)).await?;
                    (left, planned.estimate.uploads)
                }
                None => self.look(session, site, &planned).await?,
            };
            let Left { blobs, repositories, uploads } = left;
            let size =
                planned.estimate.left.map_or_else(String::new, |_| format!(", {}", planned.estimate.garbage));
            session
                .ui
                .say(&format!("The collector would remove {blobs} blobs that nothing refers to{size}."));
            if repositories > 0 || uploads > 0 {
                session.ui.say(&format!(
                    "Repositories without images that would go: {repositories}; unfinished uploads: {uploads}, {bytes}."
                ));
            }
        }
        if self.output.format == Format::Json {
            session.ui.data(&format!(
                "{:#}\n",
                report::json::run(
                    self.name,
                    plan.registry.host(),
                    planned.document.unwrap_or_default(),
                    None,
                    0
                )
            ));
        } else {
            session.ui.say("Dry run: nothing was changed.");
        }
        Ok(0)
    }

    /// Where the files do not tell what is left: the collector's dry run, and a listing of them. With the size of the uploads.
    async fn look(
        &self,
        session: &Session,
        site: &Site,
        planned: &Planned,
    ) -> anyhow::Result<(Left, ByteSize)> {
        let survey = session.unless_cancelled(collect::survey(site)).await?;
        let Counts { repositories, uploads, bytes, .. } =
            collect::leftovers(&self.task(session, site, planned)).await;
        Ok((Left { blobs: survey.output.eligible().len(), repositories, uploads }, bytes))
    }

    /// Whether a run without deletions has anything to collect: the registry is not stopped to find out.
    pub(super) async fn has_garbage(
        &self,
        session: &Session,
        place: &Place,
        plan: &Plan,
    ) -> anyhow::Result<bool> {
        let site = match (place, self.collects) {
            (Place::Here(site), Collects::Yes) => site,
            (Place::Elsewhere(why), Collects::Yes) if matches!(self.request, Request::Collect) => {
                return Err(Failure::refused(format!("the garbage cannot be collected from here: {why}"))
                    .hint("name the registry's container with `--container`, or its engine with `docker --context`")
                    .hint("its operator can run `registry garbage-collect` with the registry stopped")
                    .into());
            }
            _ => return Ok(false),
        };
        if let Some(left) = plan.estimate.left {
            session.unless_cancelled(collect::refuse_unfit(site)).await?;
            return blocked(&plan.blockers).map_or(Ok(!left.is_nothing()), |refusal| Err(refusal.into()));
        }
        let planned = Planned::of(plan, self.output.format);
        let survey = session.unless_cancelled(collect::survey(site)).await;
        // The mend of a manifest that cannot be read is the same, whoever comes upon it.
        if let Ok(survey) = &survey
            && let Some(refusal) = collect::broken_manifest(site, survey)
        {
            return Err(refusal.into());
        }
        if let Some(refusal) = blocked(&planned.blockers) {
            return Err(refusal.into());
        }
        // What cannot be surveyed while it is in service is looked at again with the registry stopped.
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) if error::kind_of(&error) == error::Kind::Failed => return Ok(true),
            Err(error) => return Err(error),
        };
        let has_blobs = survey.output.summary().is_none_or(|summary| summary.blobs > 0);
        Ok(!survey.found_no_store()
            && (has_blobs
                || collect::leftovers(&self.task(session, site, &planned)).await.are_worth_a_stop()))
    }

    pub(super) fn nothing_to_do(&self, session: &Session, plan: &Plan, place: &Place) -> u8 {
        let collection = match (self.collects, place) {
            (Collects::No, _) => Collection::NotAsked,
            (Collects::Yes, Place::Here(_)) => Collection::NothingToCollect,
            (Collects::Yes, Place::Elsewhere(why)) => Collection::NotHere(why.clone()),
        };
        let ended = Ended {
            outcome: None,
            run: None,
            collection: &collection,
            verified: None,
            estimate: plan.estimate,
        };
        match self.output.format {
            Format::Json => {
                let document = report::json::run(
                    self.name,
                    plan.registry.host(),
                    report::json::plan(plan),
                    Some(&ended),
                    0,
                );
                session.ui.data(&format!("{document:#}\n"));
            }
            Format::Table => session.ui.data(&report::ended(&ended)),
        }
        0
    }
}

/// Nothing is collected while something could not be read.
pub(super) fn blocked(blockers: &[String]) -> Option<Failure> {
    if blockers.is_empty() {
        return None;
    }
    let list: String = blockers.iter().map(|blocker| format!("\n  - {blocker}")).collect();
    Some(Failure::refused(format!(
        "nothing was collected: what could not be read may need what looks like garbage:{list}"
    )))
}
