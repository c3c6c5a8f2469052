//! What the run is told by its surroundings: the only reader of the environment, the home directory and the clock.
//! Everything is read once; what follows is a function of these values. Which registry is meant is not decided here,
//! since the engine has a say in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;

use crate::cli::Globals;
use crate::credentials::Secret;
use crate::error::Failure;
use crate::model::Ordered;
use crate::pace::Pace;

pub(crate) mod docker_file;
mod endpoint;

pub(crate) use docker_file::DockerConfig;
pub(crate) use endpoint::Endpoint;

/// The surroundings of the process, as they were at its start. It holds secrets and has no `Debug`.
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<OsString, OsString>,
    pub(crate) home: Option<PathBuf>,
    /// The platform's folder for what programs remember between runs.
    pub(crate) state_home: Option<PathBuf>,
    /// The file of this program, to tell it from Docker's.
    pub(crate) own_program: Option<PathBuf>,
    pub(crate) now: Timestamp,
    pub(crate) terminals: Terminals,
}

/// Which of the standard streams a person sits at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminals {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl Terminals {
    /// Whether a question can be asked (on stderr) and answered.
    pub(crate) fn is_interactive(self) -> bool {
        self.stdin && self.stderr
    }
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the home directory and the clock"
    )]
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os().into_map(),
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            state_home: dirs::state_dir().or_else(dirs::data_local_dir),
            own_program: std::env::current_exe().ok(),
            now: Timestamp::now(),
            terminals: Terminals {
                stdin: std::io::stdin().is_terminal(),
                stdout: std::io::stdout().is_terminal(),
                stderr: std::io::stderr().is_terminal(),
            },
        }
    }

    /// The variable's value; Docker takes an empty one for none.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// [`Self::variable`] where it has to be text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        match self.variable(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some(text) => Ok(Some(text)),
                None => Err(Failure::failed(format!("the environment variable {name} is not text")).into()),
            },
        }
    }
}

/// Everything a run is told besides its command.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) docker_config_directory: PathBuf,
    pub(crate) docker_config: DockerConfig,
    pub(crate) docker_auth_config: Option<Secret>,
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Timestamp,
    /// Where Docker 25+ says that the run is cancelled, by closing it: a path, or `@name` in the abstract namespace.
    pub(crate) plugin_socket: Option<OsString>,
    /// Where records of runs are kept; `None` on a machine that has no place for them.
    pub(crate) state_directory: Option<PathBuf>,
    pub(crate) terminals: Terminals,
    pub(crate) pace: Pace,
}

pub(crate) fn read(globals: &Globals, environment: &Environment) -> Result<Settings> {
    let directory = docker_config_directory(globals.config.as_deref(), environment)?;
    let docker_config = DockerConfig::load(&directory)?;
    let endpoint =
        Endpoint::choose(globals, environment, &directory, docker_config.current_context.as_deref())?;
    let docker_auth_config = environment.text("DOCKER_AUTH_CONFIG")?.map(Secret::from);
    Ok(Settings {
        docker_config_directory: directory,
        docker_config,
        docker_auth_config,
        endpoint,
        now: environment.now,
        plugin_socket: environment.variable("DOCKER_CLI_PLUGIN_SOCKET").map(ToOwned::to_owned),
        state_directory: environment.state_home.as_ref().map(|home| home.join(env!("CARGO_PKG_NAME"))),
        terminals: environment.terminals,
        pace: pace(environment),
    })
}

/// Set by tests only.
fn pace(environment: &Environment) -> Pace {
    match environment.variable("REGISTRY_PRUNE_TEST_TIMES") {
        Some(times) if times == "fast" => Pace::Hurried,
        _ => Pace::Patient,
    }
}

fn docker_config_directory(given: Option<&Path>, environment: &Environment) -> Result<PathBuf> {
    if let Some(path) = given.map(Path::as_os_str).or_else(|| environment.variable("DOCKER_CONFIG")) {
        return Ok(path.into());
    }
    match &environment.home {
        Some(home) => Ok(home.join(".docker")),
        None => Err(Failure::failed(
            "the folder of Docker's configuration is unknown: there is no home directory",
        )
        .hint("set HOME or DOCKER_CONFIG")
        .into()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
