//! `docker registry verify`.

use serde_json::json;

use crate::cli::{Format, Verify};
use crate::reference::literal_repositories;
use crate::report;
use crate::snapshot::{self, Scope, Wanted};
use crate::verify;

use super::Session;

/// The exit code for a difference between what there should be and what there is.
pub(super) const DIFFERS: u8 = 5;

pub(crate) async fn run(session: &Session, arguments: Verify) -> anyhow::Result<u8> {
    let hosts = super::hosts(arguments.patterns.iter());
    let registry = session.registry(&hosts, &arguments.access).await?;
    let is_wanted =
        |repository: &_| arguments.patterns.iter().any(|pattern| pattern.covers_repository(repository));
    let scope = match literal_repositories(&arguments.patterns) {
        _ if arguments.patterns.is_empty() => Scope::Whole,
        Some(names) => Scope::Named(names),
        None => Scope::Matching(&is_wanted),
    };
    let wanted = Wanted::within(scope);
    let verified = session
        .unless_cancelled(async {
            let mut snapshot = snapshot::take(&registry, &wanted, &session.ui).await?;
            snapshot.narrow(|repository, tag| {
                arguments.patterns.is_empty()
                    || arguments.patterns.iter().any(|pattern| pattern.covers(repository, tag))
            });
            anyhow::Ok(verify::check(&registry, &snapshot, &session.ui).await)
        })
        .await?;
    let exit_code = if verified.problems.is_empty() { 0 } else { DIFFERS };
    match arguments.output.format {
        Format::Json => {
            let document = json!({
                "version": report::json::VERSION,
                "command": "verify",
                "registry": registry.address(),
                "verification": report::json::verification(&verified),
                "exitCode": exit_code,
            });
            session.ui.data(&format!("{document:#}\n"));
        }
        Format::Table => session.ui.data(&report::verification(&verified)),
    }
    Ok(exit_code)
}
