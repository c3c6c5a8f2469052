//! Docker's credential helpers: `docker-credential-<name> get`, the registry on stdin, JSON or an error on stdout.

use std::io::ErrorKind;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Credentials, Helpers, Secret};
use crate::error::Failure;
use crate::model::printable;

/// The one answer that is no error: the protocol has no code for it.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: Secret,
}

/// `setting` is where `name` comes from, for the words that help.
pub(super) async fn ask(
    name: &str,
    setting: &str,
    key: &str,
    helpers: &Helpers<'_>,
) -> Result<Option<Credentials>> {
    // The name becomes part of a program's name: it must not lead anywhere else.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(Failure::failed(format!(
            "`{}` in {} is not the name of a credential helper",
            printable(name),
            printable(setting)
        ))
        .hint(
            "it is the part after `docker-credential-`, such as `pass` or `secretservice`; mend config.json",
        )
        .into());
    }
    let program = format!("docker-credential-{name}");
    let output = match tokio::time::timeout(helpers.limit, run(&program, key, helpers)).await {
        Err(_) => {
            return Err(Failure::failed(format!(
                "the credential helper `{program}` did not answer within {} s",
                helpers.limit.as_secs()
            ))
            .hint(format!("see whether it waits for a key store to be unlocked: `{program} list`"))
            .into());
        }
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            return Err(Failure::failed(format!(
                "the credential helper `{program}` cannot be started: {error}"
            ))
            .hint(format!(
                "install it on PATH, or take {} out of config.json and log in again with `docker login`",
                printable(setting)
            ))
            .into());
        }
        Ok(output) => output.with_context(|| format!("could not run the credential helper `{program}`"))?,
    };
    if output.status.success() {
        return understood(&output.stdout, &program);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    if said.trim() == NOT_FOUND {
        return Ok(None);
    }
    Err(failed(&program, &output))
}

async fn run(program: &str, key: &str, helpers: &Helpers<'_>) -> std::io::Result<Output> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(path) = helpers.path {
        command.env("PATH", path);
    }
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that has its answer without asking may have closed this end.
        match stdin.write_all(key.as_bytes()).await {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output().await
}

fn understood(stdout: &[u8], program: &str) -> Result<Option<Credentials>> {
    // What was printed may be a secret even where it is no JSON, so the error does not quote it.
    let Ok(Answer { username, secret }) = serde_json::from_slice(stdout) else {
        return Err(Failure::failed(format!(
            "the credential helper `{program}` answered something else than credentials"
        ))
        .hint("see whether it is the program for Docker, and up to date")
        .into());
    };
    Ok(match username.as_str() {
        _ if secret.expose().is_empty() && username.is_empty() => None,
        TOKEN_USER => Some(Credentials::IdentityToken(secret)),
        _ => Some(Credentials::Basic { username, password: secret }),
    })
}

fn failed(program: &str, output: &Output) -> anyhow::Error {
    let said = [&output.stdout, &output.stderr].map(|bytes| printable(String::from_utf8_lossy(bytes).trim()));
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| output.status.to_string());
    Failure::failed(format!("the credential helper `{program}` failed: {said}"))
        .hint(format!("try it with `{program} list`, or log in again with `docker login`"))
        .into()
}
