//! `docker registry undo`: choose a recorded run, look what of it is missing, put that back, look again, report.

use crate::cli::{self, Format};
use crate::error::Failure;
use crate::record::{self, Run};
use crate::report;
use crate::undo::{Record, State, Undone};

use super::Session;

mod choose;
mod restore;

use restore::Restorer;

/// The exit code where something could not be put back.
const PARTLY: u8 = 3;
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(session: &Session, arguments: cli::Undo) -> anyhow::Result<u8> {
    let runs = record::runs(session.settings.state_directory.as_deref())?;
    if arguments.list {
        return Ok(list(session, &arguments, &runs));
    }
    let (run, mut record) = chosen(session, &arguments, &runs)?;
    if let State::Collected(sweep) = record.state() {
        return Err(Failure::refused(format!("what the run {} deleted is gone: {sweep}", run.name))
            .hint("`docker registry undo --list` says which runs can be put back")
            .into());
    }
    session.ui.say(&format!("Run {} on {}", run.name, record.registry));
    let registry = match &arguments.access.registry {
        // It may have another address by now.
        Some(_) => session.registry(&[], &arguments.access).await?,
        None => session.registry(std::slice::from_ref(&record.registry), &arguments.access).await?,
    };
    let restorer = Restorer { registry: &registry, cancel: &session.cancel };
    let mut undone = session.unless_cancelled(async { Ok(restorer.look(&record).await) }).await?;
    let exit_code = if arguments.dry_run {
        0
    } else {
        restorer.restore(&record, &mut undone, &session.ui).await;
        if undone.is_whole() {
            keep_in_mind(session, run, &mut record);
        }
        exit_code(&undone, session.cancel.is_cancelled())
    };
    match arguments.output.format {
        Format::Json => {
            let document = report::undo::document(&run.name, registry.address(), &undone, exit_code);
            session.ui.data(&format!("{document:#}\n"));
        }
        Format::Table if arguments.dry_run => session.ui.data(&report::undo::plan(&undone)),
        Format::Table => session.ui.data(&report::undo::ended(&undone, arguments.output.verbose)),
    }
    if arguments.dry_run {
        session.ui.say("Dry run: nothing was changed.");
    }
    Ok(exit_code)
}

/// The run that a person named, or the latest on the registry that is meant. A person's word on that counts; without one
/// it is the record that names the registry.
fn chosen<'a>(
    session: &Session,
    arguments: &cli::Undo,
    runs: &'a [Run],
) -> anyhow::Result<(&'a Run, Record)> {
    if let Some(name) = &arguments.run {
        let run = choose::named(runs, name, session.settings.now)?;
        return Ok((run, run.read()?));
    }
    let configured = match &arguments.access.registry {
        Some(_) => None,
        None => session.configured()?,
    };
    choose::latest(runs, arguments.access.registry.as_ref().or(configured.as_ref()))
}

/// What was put back is not the latest thing to undo any more.
fn keep_in_mind(session: &Session, run: &Run, record: &mut Record) {
    record.put_back = Some(session.settings.now);
    if let Err(error) = run.replace(record) {
        session.ui.warn(&format!("{error:#}."));
    }
}

fn exit_code(undone: &Undone, is_cancelled: bool) -> u8 {
    match (undone.is_whole(), is_cancelled) {
        (true, _) => 0,
        (false, true) => INTERRUPTED,
        (false, false) => PARTLY,
    }
}

/// Damaged records are told of, and hide none of the others.
fn list(session: &Session, arguments: &cli::Undo, runs: &[Run]) -> u8 {
    let mut is_complete = true;
    let mut records = Vec::new();
    for run in runs {
        match run.read() {
            Ok(record) => records.push((run.name.as_str(), record)),
            Err(error) => {
                session.ui.warn(&format!("{error:#}."));
                is_complete = false;
            }
        }
    }
    let meant = arguments.access.registry.as_ref();
    let listed: Vec<(&str, &Record)> = records
        .iter()
        .filter(|(_, record)| meant.is_none_or(|meant| meant.host() == record.registry.host()))
        .map(|(name, record)| (*name, record))
        .collect();
    match arguments.output.format {
        Format::Json => session.ui.data(&format!("{:#}\n", report::undo::list_document(&listed))),
        Format::Table => session.ui.data(&report::undo::list(&listed, session.settings.now)),
    }
    u8::from(!is_complete)
}
