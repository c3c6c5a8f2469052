//! The question before anything is changed. Only here a plan becomes one that may be executed.

use anyhow::Context as _;

use crate::error::Failure;
use crate::plan::Plan;
use crate::ui::Ui;

/// A plan that a person, or `--force`, has agreed to. It is consumed by being executed, so it runs once.
#[derive(Debug)]
pub(crate) struct Approved(Plan);

impl Approved {
    pub(crate) fn plan(&self) -> &Plan {
        &self.0
    }

    pub(crate) fn into_plan(self) -> Plan {
        self.0
    }
}

/// How the question may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// `--force`: the answer is yes.
    Given,
    /// A person sits at the terminal.
    Ask,
    /// Nobody can answer.
    NobodyThere,
}

/// Asks whether `warning` may happen; `None` is no.
pub(crate) async fn approve(
    plan: Plan,
    warning: &str,
    consent: Consent,
    ui: &Ui,
) -> anyhow::Result<Option<Approved>> {
    let agreed = match consent {
        Consent::Given => true,
        Consent::Ask => {
            ui.talk(&format!("WARNING! {warning}\nAre you sure you want to continue? [y/N] "));
            is_yes(&answer().await?)
        }
        Consent::NobodyThere => {
            return Err(Failure::refused("nobody can confirm this: standard input is not a terminal")
                .hint("look at it with `--dry-run`, then run it with `--force`")
                .into());
        }
    };
    Ok(agreed.then_some(Approved(plan)))
}

async fn answer() -> anyhow::Result<String> {
    tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await?
    .context("read the answer")
}

/// Docker's rule: `y` or `Y`, nothing else.
fn is_yes(line: &str) -> bool {
    line.trim().eq_ignore_ascii_case("y")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_y_is_yes() {
        for (line, yes) in [
            ("y\n", true),
            ("Y\r\n", true),
            (" y \n", true),
            ("yes\n", false),
            ("\n", false),
            ("", false),
            ("n\n", false),
        ] {
            assert_eq!(super::is_yes(line), yes, "{line:?}");
        }
    }
}
