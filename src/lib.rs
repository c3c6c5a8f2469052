//! `docker registry`: prune a private registry and get its space back.
//!
//! A run reads from left to right: `cli` → `config` → `snapshot` → `plan` (and its audit) → `confirm` → `execute` →
//! `collect` → `verify` → `report`. Everything that decides is pure; everything that acts decides nothing.

use std::ffi::OsString;
use std::process::ExitCode;

mod age;
mod cancel;
mod certificate;
mod cli;
mod collect;
mod commands;
mod config;
mod confirm;
mod credentials;
mod engine;
mod error;
mod execute;
mod glob;
mod integrity;
mod leftovers;
mod model;
mod outcome;
mod pace;
mod place;
mod plan;
mod plugin;
mod policy;
mod protect;
mod record;
mod reference;
mod registry;
mod report;
mod signals;
mod site;
mod snapshot;
mod ui;
mod undo;
mod usage;
mod verify;

use cli::{Cli, Plugin};
use commands::Session;
use config::Environment;
use plugin::Call;
use ui::Ui;

/// The whole program: `args` are those of the process, its name first.
pub fn run(args: &[OsString]) -> ExitCode {
    match plugin::canonical(args) {
        Call::Print(text) => {
            Ui::new(false, false).data(&text);
            ExitCode::SUCCESS
        }
        Call::Run(line) => match plugin::parse(line) {
            Ok(cli) => ExitCode::from(start(cli)),
            Err(usage) => {
                let _ = usage.print();
                ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
            }
        },
    }
}

fn start(cli: Cli) -> u8 {
    let environment = Environment::read();
    let ui = Ui::new(environment.terminals.stderr, cli.globals.debug);
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let ended = runtime.block_on(work(cli, &environment, ui.clone()));
            // A question that nobody answered still waits for its line.
            runtime.shutdown_background();
            ended
        });
    ended.unwrap_or_else(|error| {
        ui.error(&error);
        error::kind_of(&error).exit_code()
    })
}

async fn work(cli: Cli, environment: &Environment, ui: Ui) -> anyhow::Result<u8> {
    let Plugin::Registry { command } = cli.plugin;
    let settings = config::read(&cli.globals, environment)?;
    let cancel = signals::listen(settings.plugin_socket.clone())?;
    commands::run(&Session::new(settings, ui, cancel), command).await
}
