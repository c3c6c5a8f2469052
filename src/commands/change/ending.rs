//! The end of a run: what was kept is looked at again, everything is told, and the worst decides the exit code.

use crate::cli::Format;
use crate::engine::{Effort, Extent};
use crate::error::{self, Kind};
use crate::model::Holdings;
use crate::outcome::{Collection, Outcome, Verified};
use crate::record;
use crate::registry::Registry;
use crate::report::{self, Ended};
use crate::site::Site;
use crate::ui::Ui;
use crate::undo::Sweep;
use crate::verify;

use super::{Change, Deleted, Planned};
use crate::commands::Session;
use crate::commands::verify::DIFFERS;

/// The exit code where some of it was done and some was not.
const PARTLY: u8 = 3;

/// After a window everything kept is looked at again, however the collection went: by the files of the store where they
/// were read before, and then the registry is asked for one tag of each repository; where that leaves any doubt, and
/// elsewhere, it is asked for everything.
pub(super) async fn verify(
    session: &Session,
    registry: &Registry,
    site: Option<&Site>,
    kept: &Holdings,
) -> anyhow::Result<Verified> {
    session
        .unless_cancelled(async {
            if let Some(site) = site {
                match Box::pin(by_files(site, registry, kept, &session.ui)).await {
                    Ok(Some(verified)) => return Ok(verified),
                    Ok(None) => {}
                    Err(error) => session.ui.debug(|| format!("verifying by the store: {error:#}")),
                }
            }
            verify::compare(registry, kept, &session.ui).await
        })
        .await
}

/// `None`: something differs, and the registry decides what that means.
async fn by_files(
    site: &Site,
    registry: &Registry,
    kept: &Holdings,
    ui: &Ui,
) -> anyhow::Result<Option<Verified>> {
    let progress = ui.spinner("Verifying what was kept");
    let store = site.open_store().await?;
    let view = store.read(None, Extent::Present, Effort::Spared).await;
    store.close().await?;
    let verified = verify::compare_stored(&view?, kept);
    drop(progress);
    let is_whole = verified.problems.is_empty() && verify::is_served(registry, kept).await?;
    Ok(is_whole.then_some(verified))
}

impl Change {
    /// What a collection took cannot be put back: the records of earlier runs say so from now on.
    pub(super) fn mark_collected(&self, session: &Session, planned: &Planned, collection: &Collection) {
        let Collection::Done(collected) = collection else { return };
        let directory = session.settings.state_directory.as_deref();
        let sweep = Sweep { at: session.settings.now, by: self.name.to_owned() };
        for error in record::mark_collected(directory, &planned.registry, &collected.swept, &sweep) {
            session.ui.warn(&format!("{error:#}."));
        }
    }

    pub(super) fn report(
        &self,
        session: &Session,
        planned: Planned,
        deleted: Option<&Deleted>,
        collection: &Collection,
        verified: Option<anyhow::Result<Verified>>,
    ) -> u8 {
        let (verified, unverified) = match verified {
            Some(Ok(verified)) => (Some(verified), None),
            Some(Err(error)) => (None, Some(error.context("what was kept could not be verified"))),
            None => (None, None),
        };
        let ended = Ended {
            outcome: deleted.map(|deleted| &deleted.outcome),
            run: deleted.map(|deleted| deleted.run.name.as_str()),
            collection,
            verified: verified.as_ref(),
            estimate: planned.estimate,
        };
        let failure = collection.failure().or(unverified.as_ref());
        let exit_code = exit_code(&ended, failure, session.cancel.is_cancelled());
        match self.output.format {
            Format::Json => {
                let host = planned.registry.host();
                let document = report::json::run(
                    self.name,
                    host,
                    planned.document.unwrap_or_default(),
                    Some(&ended),
                    exit_code,
                );
                session.ui.data(&format!("{document:#}\n"));
            }
            Format::Table => {
                session.ui.data(&report::ended(&ended));
                if let Some(sentence) = report::way_back(&ended) {
                    session.ui.say(&sentence);
                }
            }
        }
        if let (Collection::Done(collected), true) = (collection, self.output.verbose) {
            collected
                .tidied
                .left
                .iter()
                .for_each(|left| session.ui.say(&format!("Left in the store: {left}")));
        }
        if let Some(error) = failure {
            session.ui.error(error);
        }
        exit_code
    }
}

/// The worst of what happened decides.
fn exit_code(ended: &Ended, failure: Option<&anyhow::Error>, is_cancelled: bool) -> u8 {
    let failure = failure.map(error::kind_of).or_else(|| is_cancelled.then_some(Kind::Interrupted));
    let is_damaged = ended.verified.is_some_and(|verified| !verified.problems.is_empty())
        || ended.outcome.is_some_and(Outcome::has_vanished);
    let has_done = ended.outcome.is_some_and(Outcome::has_done_anything);
    match failure {
        Some(Kind::LeftDown) => Kind::LeftDown.exit_code(),
        _ if is_damaged => DIFFERS,
        // A refusal by itself says that nothing was changed.
        Some(Kind::Refused | Kind::Failed) if has_done => PARTLY,
        Some(kind) => kind.exit_code(),
        None if ended.outcome.is_some_and(Outcome::has_failed) => PARTLY,
        None if ended.collection.is_remembered() => PARTLY,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::Failure;
    use crate::model::Digest;
    use crate::outcome::{Collected, Fate, RepositoryOutcome};
    use crate::plan::Estimate;

    fn outcome(fate: Fate, vanished: &[&str]) -> Outcome {
        let repository = RepositoryOutcome {
            manifests: [(Digest::of(b"manifest"), fate)].into(),
            vanished: vanished.iter().map(|tag| tag.parse().unwrap()).collect(),
            ..RepositoryOutcome::default()
        };
        Outcome { repositories: [("app".parse().unwrap(), repository)].into() }
    }

    fn code(outcome: Option<&Outcome>, failure: Option<Kind>) -> u8 {
        let collection = &Collection::NotAsked;
        let ended = Ended { outcome, run: None, collection, verified: None, estimate: Estimate::default() };
        let failure = failure.map(|kind| Failure::new(kind, "why").into());
        exit_code(&ended, failure.as_ref(), false)
    }

    #[test]
    fn a_refusal_after_deletions_does_not_say_that_nothing_was_changed() {
        let done = outcome(Fate::Done, &[]);
        let skipped = outcome(Fate::Skipped("why".to_owned()), &[]);
        assert_eq!(code(None, Some(Kind::Refused)), 4);
        assert_eq!(code(Some(&skipped), Some(Kind::Refused)), 4);
        assert_eq!(code(Some(&done), Some(Kind::Refused)), PARTLY);
        assert_eq!(code(Some(&done), Some(Kind::Failed)), PARTLY);
        assert_eq!(code(Some(&done), Some(Kind::LeftDown)), 6);
        assert_eq!(code(Some(&done), Some(Kind::Interrupted)), 130);
        assert_eq!(code(Some(&done), None), 0);
        assert_eq!(code(Some(&outcome(Fate::Failed("why".to_owned()), &[])), None), PARTLY);
    }

    #[test]
    fn a_cache_that_remembers_what_was_swept_is_no_success() {
        let collected = |forgotten| {
            Collection::Done(Box::new(Collected {
                swept: BTreeSet::from([Digest::of(b"swept")]),
                forgotten,
                ..Collected::default()
            }))
        };
        for (forgotten, code) in [(None, 0), (Some(Ok(4)), 0), (Some(Err("PUSHES".to_owned())), PARTLY)] {
            let collection = collected(forgotten);
            let ended = Ended {
                run: None,
                outcome: None,
                collection: &collection,
                verified: None,
                estimate: Estimate::default(),
            };
            assert_eq!(exit_code(&ended, None, false), code);
            assert_eq!(report::ended(&ended).contains("DAMAGED PUSHES"), code == PARTLY);
        }
    }

    #[test]
    fn what_a_sweep_may_have_taken_is_not_said_to_come_back() {
        let done = outcome(Fate::Done, &[]);
        let way_back = |collection: &Collection| {
            let ended = Ended {
                outcome: Some(&done),
                run: Some("R"),
                collection,
                verified: None,
                estimate: Estimate::default(),
            };
            report::way_back(&ended).unwrap_or_default()
        };
        let why = || Failure::failed("why").into();
        assert!(way_back(&Collection::Failed(why())).contains("Put this back with `docker registry undo R`"));
        let cut_short = way_back(&Collection::CutShort(why()));
        assert!(
            !cut_short.contains("Put this back") && cut_short.contains("undo --dry-run R"),
            "{cut_short}"
        );
    }

    #[test]
    fn a_loss_is_told_whatever_else_failed() {
        let lost = outcome(Fate::Done, &["kept"]);
        assert_eq!(code(Some(&lost), None), DIFFERS);
        assert_eq!(code(Some(&lost), Some(Kind::Failed)), DIFFERS);
        assert_eq!(code(Some(&lost), Some(Kind::LeftDown)), 6);
    }
}
