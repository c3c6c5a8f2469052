//! The registry's collector in a one-off container of the same image on the same volumes.
//!
//! The containers are made before the registry is stopped: what can fail fails while it still serves.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::configuration::{Driver, StoreConfiguration};
use super::journal::{Role, labels};
use super::output::Output;
use super::window::Manner;
use super::{Engine, RegistryContainer, status};
use crate::cancel::Cancel;
use crate::certificate::CollectorRun;
use crate::error::{Failure, Kind};

/// What the collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Says what it would delete.
    Dry,
    Real,
}

/// Errors only: 3.x logs every file it looks at by default, and the log of 2.4 to 2.6 runs into the output.
pub(super) const LOG_LEVEL: &str = "REGISTRY_LOG_LEVEL=error";

impl Mode {
    pub(super) fn arguments(self, configuration: &str) -> Vec<&str> {
        match self {
            Self::Dry => vec!["garbage-collect", "--dry-run", configuration],
            Self::Real => vec!["garbage-collect", configuration],
        }
    }
}

/// It only waits for the commands that are run in it. So long it may live when its run was killed.
const TIDY_COMMAND: [&str; 2] = ["sleep", "600"];

impl Engine {
    /// Without a mode it is the container that tidies up after the collector. `false`: the name is taken.
    pub(super) async fn create_collector(
        &self,
        name: &str,
        mode: Option<Mode>,
        registry: &RegistryContainer,
        store: &StoreConfiguration,
        manner: Manner,
    ) -> Result<bool> {
        self.create_one_off(name, &body(mode, registry, store, manner)?).await
    }

    /// Starts a collector, waits for its end and reads what it printed. Cancelled, it leaves the collector running:
    /// the window kills it with everything else it puts back.
    pub(super) async fn run_collector(&self, name: &str, cancel: &Cancel) -> Result<CollectorRun> {
        self.start_collector(name).await?;
        let exit_code = tokio::select! {
            () = cancel.cancelled() => {
                return Err(Failure::new(Kind::Interrupted, "interrupted while the collector was running").into());
            }
            code = self.wait_for_collector(name) => code?,
        };
        let mut run = self.collector_logs(name).await?;
        run.exit_code = exit_code;
        Ok(run)
    }

    /// Started exactly once: a lost answer is made up for by looking, since a collector may have ended already.
    pub(super) async fn start_collector(&self, name: &str) -> Result<()> {
        const TRIES: u32 = 3;
        for remaining in (0..TRIES).rev() {
            let Err(error) = self.start_container(name).await else {
                return Ok(());
            };
            let state =
                self.inspect(name).await?.and_then(|found| found.state).and_then(|state| state.status);
            let was_started = state.is_some_and(|state| state != "created");
            let is_final = remaining == 0 || status(&error).is_some();
            match was_started {
                true if status(&error).is_none() => return Ok(()),
                _ if is_final => return Err(error).with_context(|| format!("start the collector `{name}`")),
                _ => self.pace.pause(Duration::from_millis(500)).await,
            }
        }
        Ok(())
    }

    async fn wait_for_collector(&self, name: &str) -> Result<i64> {
        const MOST_FAILURES: u32 = 10;
        let mut failures = 0;
        loop {
            // The answer only ends the waiting; the code comes from inspecting, since an answer may break off.
            let ended = self.post(&format!("/containers/{name}/wait"), None).await;
            match self.inspect(name).await {
                Ok(None) => bail!("the collector `{name}` was removed by somebody else"),
                Ok(Some(found)) => {
                    let state = found.state.unwrap_or_default();
                    if state.running != Some(true) {
                        if state.oom_killed == Some(true) {
                            bail!("the collector `{name}` was killed for want of memory");
                        }
                        return state.exit_code.context("the collector has no exit code");
                    }
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    if failures == MOST_FAILURES {
                        return Err(error).context("wait for the collector");
                    }
                }
            }
            let broke = failures > 0 || ended.map_or(true, |answer| answer.is_empty());
            self.pace.pause(Duration::from_millis(if broke { 1000 } else { 20 })).await;
        }
    }

    pub(super) async fn collector_logs(&self, name: &str) -> Result<CollectorRun> {
        const MOST_FAILURES: u32 = 3;
        let mut failures = 0;
        loop {
            let options = LogsOptions { stdout: true, stderr: true, ..Default::default() };
            let mut run = CollectorRun::default();
            let mut output = Output::new(|line: &str| run.output.read_line(line));
            let mut logs = std::pin::pin!(self.docker.logs(name, Some(options)));
            let broken = loop {
                match logs.next().await {
                    None => break None,
                    Some(Ok(chunk)) => output.take_in(&chunk),
                    Some(Err(error)) => break Some(error),
                }
            };
            run.stderr = output.finish();
            let Some(error) = broken else {
                return Ok(run);
            };
            failures += 1;
            if failures == MOST_FAILURES {
                return Err(error).context("read what the collector printed");
            }
            self.pace.pause(Duration::from_secs(1)).await;
        }
    }
}

/// Of a collector or, without a mode, of the container that tidies up.
fn body(
    mode: Option<Mode>,
    registry: &RegistryContainer,
    store: &StoreConfiguration,
    manner: Manner,
) -> Result<Value> {
    let mut command = match mode {
        Some(mode) => mode.arguments(registry.configuration_path()?),
        None => TIDY_COMMAND[1..].to_vec(),
    };
    command.insert(0, mode.map_or(TIDY_COMMAND[0], |_| &registry.command.binary));
    let mut command = command.into_iter();
    // A store on disk needs no network; a bucket needs the one the registry has.
    let network = match &store.driver {
        Driver::Filesystem { .. } => "none",
        Driver::Other(_) => &registry.network_mode,
    };
    let mut environment = registry.environment.as_engine_writes_it().to_vec();
    environment.push(LOG_LEVEL.to_owned());
    let host = &registry.setting.host;
    Ok(json!({
        "Image": registry.image,
        "Entrypoint": [command.next()],
        "Cmd": command.collect::<Vec<_>>(),
        "Env": environment,
        "User": registry.user,
        "WorkingDir": registry.working_dir,
        "Healthcheck": { "Test": ["NONE"] },
        "Labels": labels(Role::Collector, registry, manner),
        "HostConfig": {
            "VolumesFrom": [registry.id],
            "ExtraHosts": Some(&host["ExtraHosts"]).filter(|_| network != "none"),
            "NetworkMode": network,
            // The engine's defaults may be another driver, or rotate away the beginning.
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "4g", "max-file": "1" } },
            "AutoRemove": false,
            "SecurityOpt": host["SecurityOpt"],
            "UsernsMode": host["UsernsMode"],
            "GroupAdd": host["GroupAdd"],
        },
    }))
}
