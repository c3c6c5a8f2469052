//! The end of a run: what was kept is looked at again, everything is told, and the worst decides the exit code.

use crate::cli::Format;
use crate::error::{self, Kind};
use crate::model::Holdings;
use crate::outcome::{Collection, Outcome, Verified};
use crate::registry::Registry;
use crate::report::{self, Ended};
use crate::verify;

use super::{Change, Planned};
use crate::commands::Session;
use crate::commands::verify::DIFFERS;

/// The exit code where some of it was done and some was not.
const PARTLY: u8 = 3;

/// After a window everything kept is looked at again, however the collection went.
pub(super) async fn verify(
    session: &Session,
    registry: &Registry,
    kept: &Holdings,
) -> anyhow::Result<Verified> {
    session.unless_cancelled(verify::compare(registry, kept, &session.ui)).await
}

impl Change {
    pub(super) fn report(
        &self,
        session: &Session,
        planned: &Planned,
        outcome: Option<&Outcome>,
        collection: &Collection,
        verified: Option<anyhow::Result<Verified>>,
    ) -> u8 {
        let (verified, unverified) = match verified {
            Some(Ok(verified)) => (Some(verified), None),
            Some(Err(error)) => (None, Some(error.context("what was kept could not be verified"))),
            None => (None, None),
        };
        let ended = Ended { outcome, collection, verified: verified.as_ref(), freed: planned.freed };
        let failure = match collection {
            Collection::Failed(error) => Some(error),
            _ => unverified.as_ref(),
        };
        let exit_code = exit_code(&ended, failure, session.cancel.is_cancelled());
        match self.output.format {
            Format::Json => {
                let host = planned.registry.host();
                let document =
                    report::json::run(self.name, host, planned.document.clone(), Some(&ended), exit_code);
                session.ui.data(&format!("{document:#}\n"));
            }
            Format::Table => session.ui.data(&report::ended(&ended)),
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
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;
    use crate::model::{ByteSize, Digest};
    use crate::outcome::{Fate, RepositoryOutcome};

    fn outcome(fate: Fate, vanished: &[&str]) -> Outcome {
        let repository = RepositoryOutcome {
            manifests: [(Digest::of(b"manifest"), fate)].into(),
            vanished: vanished.iter().map(|tag| tag.parse().unwrap()).collect(),
            ..RepositoryOutcome::default()
        };
        Outcome { repositories: [("app".parse().unwrap(), repository)].into() }
    }

    fn code(outcome: Option<&Outcome>, failure: Option<Kind>) -> u8 {
        let ended = Ended { outcome, collection: &Collection::NotAsked, verified: None, freed: ByteSize(0) };
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
    fn a_loss_is_told_whatever_else_failed() {
        let lost = outcome(Fate::Done, &["kept"]);
        assert_eq!(code(Some(&lost), None), DIFFERS);
        assert_eq!(code(Some(&lost), Some(Kind::Failed)), DIFFERS);
        assert_eq!(code(Some(&lost), Some(Kind::LeftDown)), 6);
    }
}
