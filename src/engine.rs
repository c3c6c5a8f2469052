//! The Docker Engine behind the verbs this tool needs: find the registry's container, read its configuration and its
//! store, stop it for a collection and start it again.
//!
//! bollard stays behind this module: it sends unversioned requests in 0.21 and versioned ones in 0.22, which is a
//! local change this way. Knows nothing of plans. Deliberately absent: removing or re-creating the registry's
//! container (an anonymous volume would be lost).

use std::error::Error as _;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

use self::inspected::Inspected;
use crate::config::Endpoint;
use crate::error::Failure;
use crate::pace::Pace;

mod archive;
mod ask;
mod collector;
mod command_line;
mod configuration;
mod container;
mod dial;
mod exec;
mod find;
mod fit;
mod hash;
mod hazards;
mod in_use;
mod insecure;
mod inspected;
mod journal;
mod leftovers;
mod lifecycle;
mod output;
mod owner;
mod put_back;
mod quiet;
mod recover;
mod redis;
mod request;
mod stand_in;
mod store;
mod tags;
mod window;

pub(crate) use collector::Mode;
pub(crate) use configuration::{Driver, StoreConfiguration};
pub(crate) use container::{Certainty, RegistryContainer};
pub(crate) use find::Found;
pub(crate) use hash::path_of;
pub(crate) use in_use::{Services, Usage};
pub(crate) use quiet::Quiet;
pub(crate) use recover::Busy;
pub(crate) use store::{Effort, Extent, OpenStore};
pub(crate) use tags::{Links, PushTimes};
pub(crate) use window::{Manner, Opening, Restored, Window};

/// A connection to one engine that answered.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    docker: Docker,
    /// The endpoint as people write it.
    shown: String,
    /// The machine of a remote engine; `None` for the one that runs here.
    host_name: Option<String>,
    pace: Pace,
}

/// The longest wait for the head of an answer; streams may take longer. Stopping asks for more.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

impl Engine {
    pub(crate) async fn connect(endpoint: &Endpoint, pace: Pace) -> Result<Self> {
        let answer_within = pace.of(ANSWER_WITHIN).as_secs();
        let base = Some("http://docker");
        let (docker, shown, host_name) = match endpoint {
            Endpoint::Socket(path) => {
                let socket = dial::socket(path.clone());
                let docker =
                    Docker::connect_with_custom_transport(socket, base, answer_within, API_DEFAULT_VERSION);
                (docker, format!("unix://{}", path.display()), None)
            }
            Endpoint::DialStdio { docker, globals, shown, host_name } => {
                let cli = dial::transport(docker.clone(), globals.clone());
                let docker =
                    Docker::connect_with_custom_transport(cli, base, answer_within, API_DEFAULT_VERSION);
                (docker, shown.clone(), host_name.clone())
            }
        };
        let docker = docker.map_err(|error| unreachable(&shown, &error))?;
        docker.ping().await.map_err(|error| unreachable(&shown, &error))?;
        Ok(Self { docker, shown, host_name, pace })
    }

    /// What the engine knows of a container; `None` if it has none of that name or id.
    async fn inspect(&self, container: &str) -> Result<Option<Inspected>> {
        // The name becomes a part of a URL's path.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if container.is_empty() || container.starts_with('.') || !container.bytes().all(is_name) {
            return Ok(None);
        }
        match self.ask(&format!("/containers/{container}/json")).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("inspect the container `{container}`")),
        }
    }

    /// For requests that change nothing: asks again when the connection broke, not when the engine refused.
    async fn retried<T, A: Future<Output = Result<T, Error>>>(
        &self,
        ask: impl Fn() -> A,
    ) -> Result<T, Error> {
        const PAUSES: [u64; 2] = [200, 1000];
        for pause in PAUSES {
            match ask().await {
                Err(error) if status(&error).is_none() => {
                    self.pace.pause(Duration::from_millis(pause)).await;
                }
                answer => return answer,
            }
        }
        ask().await
    }
}

/// The HTTP status with which the engine refused.
fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn unreachable(shown: &str, error: &Error) -> Failure {
    let kind = io_kind(error);
    let reason = match kind {
        Some(io::ErrorKind::NotFound) if shown.starts_with("unix:") => "there is no such socket".to_owned(),
        Some(io::ErrorKind::PermissionDenied) => "permission denied".to_owned(),
        Some(io::ErrorKind::ConnectionRefused) => "nothing listens there".to_owned(),
        _ => innermost(error),
    };
    let mend = if kind == Some(io::ErrorKind::PermissionDenied) {
        "run this with `sudo`, or join the group that owns the socket (`docker` on most systems) and log in again"
    } else {
        "is the Docker Engine running, and is this the one that is meant? `docker context ls` lists the others"
    };
    Failure::failed(format!("the Docker Engine at {shown} cannot be reached: {reason}")).hint(mend).hint(
        "`--no-gc` deletes without the engine; the space comes back when the registry's operator collects",
    )
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = current.source();
    }
    None
}

/// hyper's outer texts ("client error (Connect)") say nothing; the cause does.
fn innermost(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text = current.to_string();
        cause = current.source();
    }
    crate::model::printable(&text)
}
