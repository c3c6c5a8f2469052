//! The end of a run: what was kept is looked at again, everything is told, and the worst decides the exit code.

use crate::cli::Format;
use crate::error;
use crate::model::Holdings;
use crate::outcome::{Collection, Outcome, Verified};
use crate::registry::Registry;
use crate::report::{self, Ended};
use crate::verify;

use super::{Change, Planned};
use crate::commands::Session;
use crate::commands::verify::DIFFERS;

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
        let ended = Ended {
            outcome,
            collection,
            verified: verified.as_ref(),
            freed: planned.freed,
            is_freed_exact: planned.is_freed_exact,
        };
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
        if let Some(error) = failure {
            session.ui.error(error);
        }
        exit_code
    }
}

/// The worst of what happened decides.
fn exit_code(ended: &Ended, failure: Option<&anyhow::Error>, is_cancelled: bool) -> u8 {
    if let Some(error) = failure {
        return error::kind_of(error).exit_code();
    }
    if is_cancelled {
        return error::Kind::Interrupted.exit_code();
    }
    let is_damaged = ended.verified.is_some_and(|verified| !verified.problems.is_empty())
        || ended.outcome.is_some_and(Outcome::has_vanished);
    match (is_damaged, ended.outcome.is_some_and(Outcome::has_failed)) {
        (true, _) => DIFFERS,
        (false, true) => 3,
        (false, false) => 0,
    }
}
