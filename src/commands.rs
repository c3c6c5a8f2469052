//! One file per kind of command: what it asks the stages to do, in which order.

mod change;
mod choose;
mod df;
mod ls;
mod policy;
mod recover;
mod session;
mod source;
mod undo;
mod verify;

use std::collections::BTreeSet;

use crate::cli::Command;
use crate::model::Ordered;
use crate::plan::Request;
use crate::policy::file;
use crate::reference::Pattern;

pub(crate) use session::Session;

use change::{Change, Collects, Reach};

/// Runs a command to its end and gives the exit code.
pub(crate) async fn run(session: &Session, command: Command) -> anyhow::Result<u8> {
    let change = match command {
        Command::Prune(prune) => {
            let hosts = hosts(prune.patterns.iter().chain(&prune.exclude).chain(&prune.explain));
            let policy = policy::of(&prune, &session.settings)?;
            if prune.print_policy {
                session.ui.data(&file::print(&policy));
                return Ok(0);
            }
            let explain = prune.explain;
            let reach = if prune.no_gc { Reach::Patterns } else { Reach::Whole };
            let collects = if prune.no_gc { Collects::No } else { Collects::Yes };
            Change {
                name: "prune",
                explain,
                request: Request::Prune(policy),
                hosts,
                reach,
                collects,
                flags: prune.change,
                window: prune.window,
                access: prune.access,
                source: prune.reading.source,
                output: prune.output,
            }
        }
        Command::Rm(rm) => {
            let hosts = rm.references.iter().filter_map(|reference| reference.registry.clone()).collect();
            let named: BTreeSet<_> =
                rm.references.iter().map(|reference| reference.repository.clone()).into_set();
            Change {
                name: "rm",
                explain: Vec::new(),
                reach: if rm.gc { Reach::Whole } else { Reach::Named(named) },
                request: Request::Remove(rm.references),
                hosts,
                collects: if rm.gc { Collects::Yes } else { Collects::No },
                flags: rm.change,
                window: rm.window,
                access: rm.access,
                source: rm.reading.source,
                output: rm.output,
            }
        }
        Command::Gc(gc) => Change {
            name: "gc",
            explain: Vec::new(),
            request: Request::Collect,
            hosts: Vec::new(),
            reach: Reach::Whole,
            collects: Collects::Yes,
            flags: gc.change,
            window: gc.window,
            access: gc.access,
            source: gc.reading.source,
            output: gc.output,
        },
        Command::Df(df) => return Box::pin(df::run(session, df)).await,
        Command::Ls(ls) => return Box::pin(ls::run(session, ls)).await,
        Command::Verify(verify) => return Box::pin(verify::run(session, verify)).await,
        Command::Undo(undo) => return Box::pin(undo::run(session, undo)).await,
        Command::Recover(recover) => return Box::pin(recover::run(session, recover)).await,
        Command::ShellFunction => {
            session.ui.data(crate::plugin::shell_function());
            return Ok(0);
        }
    };
    Box::pin(change.run(session)).await
}

/// The registries that patterns name.
fn hosts<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Vec<crate::model::RegistryAddress> {
    patterns.filter_map(|pattern| pattern.registry.clone()).collect()
}
