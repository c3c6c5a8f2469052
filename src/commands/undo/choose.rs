//! Which recorded run is meant.

use jiff::Timestamp;

use crate::error::Failure;
use crate::model::{RegistryAddress, printable};
use crate::record::Run;
use crate::report;
use crate::undo::Record;

/// An error lists so many runs.
const SHOWN: usize = 10;

/// The run of this name, or the only one whose name begins so.
pub(super) fn named<'a>(runs: &'a [Run], name: &str, now: Timestamp) -> Result<&'a Run, Failure> {
    if let Some(run) = runs.iter().find(|run| run.name == name) {
        return Ok(run);
    }
    let matching: Vec<&Run> = runs.iter().filter(|run| run.name.starts_with(name)).collect();
    match matching[..] {
        [run] => Ok(run),
        [] if runs.is_empty() => Err(nothing_recorded()),
        [] => {
            let all = shown(runs.iter(), now);
            Err(Failure::command_line(format!(
                "there is no run `{}`; these are recorded:\n{all}",
                printable(name)
            ))
            .hint("`docker registry undo --list` lists all of them"))
        }
        _ => {
            let several = shown(matching.into_iter(), now);
            Err(Failure::command_line(format!("several runs begin with `{}`:\n{several}", printable(name)))
                .hint("give more of its name"))
        }
    }
}

/// The latest run, on the registry that is meant, of which something can be put back.
pub(super) fn latest<'a>(
    runs: &'a [Run],
    meant: Option<&RegistryAddress>,
) -> anyhow::Result<(&'a Run, Record)> {
    for run in runs {
        let record = run.read().map_err(|error| {
            error.context(
                Failure::failed("which run is the latest cannot be told")
                    .hint("name one: `docker registry undo --list` lists them")
                    .hint("or remove the damaged file"),
            )
        })?;
        let is_meant = meant.is_none_or(|meant| meant.host() == record.registry.host());
        if is_meant && record.can_be_put_back() {
            return Ok((run, record));
        }
    }
    let place = meant.map_or_else(String::new, |meant| format!(" on {meant}"));
    Err(match runs {
        [] => nothing_recorded(),
        _ => Failure::failed(format!("no recorded run{place} has anything that can be put back"))
            .hint("`docker registry undo --list` says what became of each"),
    }
    .into())
}

fn nothing_recorded() -> Failure {
    Failure::failed(
        "no run is recorded: nothing was deleted by this account of this machine, or too long ago",
    )
}

fn shown<'a>(runs: impl Iterator<Item = &'a Run>, now: Timestamp) -> String {
    let records: Vec<(&str, Option<Record>)> =
        runs.take(SHOWN).map(|run| (run.name.as_str(), run.read().ok())).collect();
    let listed: Vec<_> =
        records.iter().filter_map(|(name, record)| Some((*name, record.as_ref()?))).collect();
    report::undo::list(&listed, now).trim_end().to_owned()
}
