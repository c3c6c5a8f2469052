//! Which engine is meant, by Docker's own order, and how it is reached: a plain unix socket directly, everything else
//! (TLS, ssh, named pipes) through `docker system dial-stdio`, which does it exactly as the user's Docker does.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Environment;
use crate::cli::Globals;
use crate::error::Failure;
use crate::model::{Digest, printable};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_CONTEXT: &str = "default";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Socket(PathBuf),
    /// One `docker <globals> system dial-stdio` per connection.
    DialStdio {
        docker: OsString,
        globals: Vec<OsString>,
        /// The engine's name in messages.
        shown: String,
        /// The machine the engine runs on, where the endpoint names it.
        host_name: Option<String>,
    },
}

impl Endpoint {
    pub(super) fn choose(
        globals: &Globals,
        environment: &Environment,
        config_directory: &Path,
        current_context: Option<&str>,
    ) -> Result<Self> {
        let context = globals.context.as_deref().filter(|name| !name.is_empty());
        let host = match globals.hosts.as_slice() {
            [] => None,
            [host] => Some(host.as_str()),
            _ => {
                return Err(Failure::command_line("more than one `--host` is given: name one engine").into());
            }
        };
        let host_variable = environment.text("DOCKER_HOST")?;
        let name = match (context, host) {
            (Some(_), Some(_)) => {
                return Err(Failure::command_line(
                    "`--context` and `--host` exclude each other: give one of them",
                )
                .into());
            }
            (Some(context), None) => context,
            (None, Some(_)) => DEFAULT_CONTEXT,
            (None, None) if host_variable.is_some() => DEFAULT_CONTEXT,
            (None, None) => environment
                .text("DOCKER_CONTEXT")?
                .or(current_context.filter(|name| !name.is_empty()))
                .unwrap_or(DEFAULT_CONTEXT),
        };
        let (address, shown, is_tls) = if name == DEFAULT_CONTEXT {
            let address = host.or(host_variable).unwrap_or_default().trim().to_owned();
            let shown =
                if address.is_empty() { "the default engine".to_owned() } else { printable(&address) };
            (address, shown, is_tls(globals, environment))
        } else {
            let address = host_of_context(config_directory, name)?;
            let shown = format!("context `{}` ({})", printable(name), printable(&address));
            (address, shown, false)
        };
        Ok(match plain_socket(&address) {
            Some(socket) if !is_tls => Self::Socket(socket),
            _ => Self::DialStdio {
                docker: docker_program(environment),
                globals: engine_flags(globals),
                shown,
                host_name: host_name(&address),
            },
        })
    }
}

/// The socket an address names. An empty address is the platform's default, a named pipe on Windows.
fn plain_socket(address: &str) -> Option<PathBuf> {
    let path = match address {
        "" => "",
        _ => address.strip_prefix("unix://")?,
    };
    let path = if path.is_empty() { DEFAULT_SOCKET } else { path };
    cfg!(unix).then(|| path.into())
}

/// Docker's rule for the default context: to give `--tlsverify` at all, even as false, switches TLS on.
fn is_tls(globals: &Globals, environment: &Environment) -> bool {
    globals.tlsverify.is_some()
        || environment.variable("DOCKER_TLS_VERIFY").is_some()
        || globals.tls.unwrap_or_else(|| environment.variable("DOCKER_TLS").is_some())
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContextFile {
    endpoints: ContextEndpoints,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContextEndpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContextEndpoint {
    host: String,
}

fn host_of_context(config_directory: &Path, name: &str) -> Result<String> {
    let id = Digest::of(name.as_bytes());
    let path = config_directory.join("contexts/meta").join(id.hex()).join("meta.json");
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failure::failed(format!("context `{}` not found", printable(name)))
                .hint("`docker context ls` lists the contexts; DOCKER_CONTEXT, `--context` or `docker context use` chose this one")
                .into());
        }
        Err(error) => return Err(error).with_context(|| format!("could not read `{}`", path.display())),
    };
    let file: ContextFile =
        super::docker_file::parse(&content, &format!("`{}`", path.display())).map_err(|failure| {
            failure
                .hint(format!("create the context `{}` anew with `docker context create`", printable(name)))
        })?;
    Ok(file.endpoints.docker.host)
}

/// The `docker` that started this program, else the one on PATH. In a completion Docker hands out this program's own
/// path in that variable; started as `docker` it would start itself without end.
fn docker_program(environment: &Environment) -> OsString {
    let given = environment.variable("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND");
    given.filter(|given| !is_own_program(given, environment)).unwrap_or(OsStr::new("docker")).to_owned()
}

fn is_own_program(program: &OsStr, environment: &Environment) -> bool {
    let path = Path::new(program);
    let is_named_so =
        path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("docker-registry"));
    let is_same_file =
        match (path.canonicalize(), environment.own_program.as_ref().map(|own| own.canonicalize())) {
            (Ok(program), Some(Ok(own))) => program == own,
            _ => false,
        };
    is_named_so || is_same_file
}

/// The user's flags that say which engine, for the second `docker`; the variables reach it by themselves.
fn engine_flags(globals: &Globals) -> Vec<OsString> {
    let Globals {
        config,
        context,
        debug: _,
        hosts,
        log_level: _,
        tls,
        tlsverify,
        tlscacert,
        tlscert,
        tlskey,
    } = globals;
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: &OsStr| {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(value);
        flags.push(flag);
    };
    let mut path = |name: &str, value: &Option<PathBuf>| {
        if let Some(value) = value {
            flag(name, value.as_os_str());
        }
    };
    path("config", config);
    path("tlscacert", tlscacert);
    path("tlscert", tlscert);
    path("tlskey", tlskey);
    for (name, value) in [("tls", tls), ("tlsverify", tlsverify)] {
        if let Some(value) = value {
            flag(name, OsStr::new(if *value { "true" } else { "false" }));
        }
    }
    for host in hosts {
        flag("host", OsStr::new(host));
    }
    if let Some(context) = context {
        flag("context", OsStr::new(context));
    }
    flags
}

/// The machine in `tcp://host:port`, `ssh://user@host/path` or `host:port`.
fn host_name(address: &str) -> Option<String> {
    let rest = match address.split_once("://") {
        Some(("tcp" | "ssh" | "http" | "https", rest)) => rest,
        Some(_) => return None,
        None => address,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
