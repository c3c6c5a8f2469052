//! A command in the running registry container: its streams apart, never with a TTY, and its exit code.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::configuration::STORE;
use super::output::Output;
use super::{Engine, RegistryContainer};
use crate::model::{ByteSize, ServerVersion};

/// The codes of a command that there is no program for.
pub(super) const NOT_EXECUTABLE: i64 = 126;
pub(super) const NOT_FOUND: i64 = 127;

pub(super) struct Finished {
    pub(super) exit_code: i64,
    pub(super) stderr: String,
}

/// Of a long command, how it begins.
fn shown(command: &[&str]) -> String {
    const MOST_WORDS: usize = 6;
    let more = if command.len() > MOST_WORDS { " …" } else { "" };
    format!("{}{more}", command.iter().take(MOST_WORDS).copied().collect::<Vec<_>>().join(" "))
}

impl Engine {
    /// Ends when the command has ended: the engine does not stop a command whose reader has gone, so neither does this
    /// leave before.
    pub(super) async fn exec(
        &self,
        container: &str,
        command: &[&str],
        environment: &[&str],
        on_line: impl FnMut(&str),
    ) -> Result<Finished> {
        let mut output = Output::new(on_line);
        let exit_code =
            self.exec_on(container, command, environment, &[], |chunk| output.take_in(chunk)).await?;
        Ok(Finished { exit_code, stderr: output.finish() })
    }

    /// The same for a command that reads `input`, of which it has to know the end by itself: its input is not closed.
    /// Gives its exit code.
    pub(super) async fn exec_on(
        &self,
        container: &str,
        command: &[&str],
        environment: &[&str],
        input: &[u8],
        mut on_output: impl FnMut(&LogOutput),
    ) -> Result<i64> {
        let options = json!({
            "AttachStdin": !input.is_empty(),
            "AttachStdout": true,
            "AttachStderr": true,
            "Cmd": command,
            "Env": environment,
        });
        let doing = || format!("run `{}` in the container", shown(command));
        let exec = self.create_exec(container, &options).await.with_context(doing)?;
        let started = self.docker.start_exec(&exec, None).await;
        let mut lost = None;
        match started {
            Ok(StartExecResults::Attached { output: mut stream, input: mut writer }) => {
                let reading = async {
                    while let Some(chunk) = stream.next().await {
                        match chunk {
                            Ok(chunk) => on_output(&chunk),
                            Err(error) => lost = Some(error),
                        }
                    }
                };
                let writing = async {
                    // Where this fails, how the command ends tells more.
                    if writer.write_all(input).await.is_ok() {
                        let _ = writer.flush().await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = reading => {}
                    () = writing => {}
                }
            }
            Ok(StartExecResults::Detached) => {}
            Err(error) => lost = Some(error),
        }
        let exit_code = self.wait_for_exec(&exec).await.with_context(doing)?;
        match lost {
            // The engine may refuse to start a program that is not there; the code says so as well.
            Some(error) if !matches!(exit_code, NOT_EXECUTABLE | NOT_FOUND) => Err(error).with_context(doing),
            _ => Ok(exit_code),
        }
    }

    async fn wait_for_exec(&self, exec: &str) -> Result<i64> {
        const MOST_FAILURES: u32 = 10;
        let mut failures = 0;
        loop {
            match self.inspect_exec(exec).await {
                Ok(found) if found.running == Some(true) => failures = 0,
                // A command that was never started has no code.
                Ok(found) => return found.exit_code.context("the command has no exit code"),
                Err(error) => {
                    failures += 1;
                    if failures == MOST_FAILURES || super::status(&error).is_some() {
                        return Err(error).context("ask whether the command has ended");
                    }
                }
            }
            self.pace.pause(Duration::from_millis(if failures == 0 { 10 } else { 1000 })).await;
        }
    }

    /// What the registry's binary says of itself; `None` where it cannot be asked, or answers something else.
    pub(crate) async fn server_version(&self, registry: &RegistryContainer) -> Option<ServerVersion> {
        let mut version = None;
        let command = [registry.command.binary.as_str(), "--version"];
        let asked = self.exec(&registry.id, &command, &[], |line| version = version.or(line.parse().ok()));
        asked.await.is_ok_and(|asked| asked.exit_code == 0).then_some(version)?
    }

    /// What `du` measures in the store of a running registry; `None` where the container has no `du` or no store yet.
    pub(crate) async fn store_size(
        &self,
        registry: &RegistryContainer,
        root: &str,
    ) -> Result<Option<ByteSize>> {
        let store = format!("{}/{STORE}", root.trim_end_matches('/'));
        let mut kibibytes = None;
        let finished = self
            .exec(&registry.id, &["du", "-sk", &store], &[], |line| {
                kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            })
            .await
            .context("measure the store")?;
        match finished.exit_code {
            // An image without a shell's tools is no failure.
            NOT_EXECUTABLE | NOT_FOUND => Ok(None),
            // Files come and go under a running registry, which `du` reports as a failure after counting the rest.
            _ if kibibytes.is_some() => Ok(kibibytes.map(|number| ByteSize(number.saturating_mul(1024)))),
            0 => bail!("`du` in the container answered without a number"),
            _ => Ok(None),
        }
    }
}
