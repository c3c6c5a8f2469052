//! Docker's `config.json`: what this tool needs of it, read as tolerantly as Docker reads it. It is never written.
//! No error shows a value of the file: most of them are secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::credentials::Secret;
use crate::error::Failure;
use crate::model::Ordered;

/// Our name in the `plugins` object.
const PLUGIN: &str = "registry";
const FILE: &str = "config.json";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DockerConfig {
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) auths: BTreeMap<String, AuthEntry>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) cred_helpers: BTreeMap<String, String>,
    pub(crate) creds_store: Option<String>,
    pub(crate) current_context: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    plugins: BTreeMap<String, Value>,
}

/// One entry of `auths`, as it is written: `auth` is not decoded yet.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct AuthEntry {
    pub(crate) auth: Option<Secret>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    #[serde(rename = "identitytoken")]
    pub(crate) identity_token: Option<Secret>,
    #[serde(rename = "registrytoken")]
    pub(crate) registry_token: Option<Secret>,
}

impl DockerConfig {
    /// The configuration in a folder; a missing or empty file is a configuration that says nothing.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).with_context(|| format!("could not read `{}`", path.display())),
        };
        if content.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let config: Self = parse(&content, &format!("`{}`", path.display())).map_err(|failure| {
            failure.hint("mend the file by hand, or name another folder with `docker --config DIR`")
        })?;
        config.check_plugin_settings(&path)?;
        Ok(config)
    }

    /// A string of `plugins.registry`.
    pub(crate) fn plugin_setting(&self, name: &str) -> Option<&str> {
        self.plugins.get(PLUGIN)?.get(name)?.as_str()
    }

    /// The registries somebody logged in to or named a helper for, without Docker Hub.
    pub(crate) fn private_registries(&self) -> BTreeSet<&str> {
        let hosts = self.auths.keys().chain(self.cred_helpers.keys()).map(|key| host_of_key(key));
        hosts.filter(|host| !host.is_empty() && !is_docker_hub(host)).into_set()
    }

    fn check_plugin_settings(&self, path: &Path) -> Result<()> {
        let key = match self.plugins.get(PLUGIN) {
            None => return Ok(()),
            Some(Value::Object(settings)) => match settings.iter().find(|(_, value)| !value.is_string()) {
                None => return Ok(()),
                Some((name, _)) => format!("plugins.{PLUGIN}.{}", crate::model::printable(name)),
            },
            Some(_) => format!("plugins.{PLUGIN}"),
        };
        let mend = if key.matches('.').count() == 1 {
            format!("write it as \"plugins\": {{ \"{PLUGIN}\": {{ \"address\": \"127.0.0.1:5000\" }} }}")
        } else {
            "put its value in double quotes: Docker allows only strings there".to_owned()
        };
        Err(Failure::failed(format!("`{key}` in `{}` has the wrong type", path.display())).hint(mend).into())
    }
}

/// Parses JSON that may hold secrets: the error says where, and quotes nothing.
pub(crate) fn parse<'a, T: Deserialize<'a>>(content: &'a [u8], name: &str) -> Result<T, Failure> {
    serde_json::from_slice(content).map_err(|error| {
        // The text of a syntax error is about JSON alone; that of a wrong type quotes the value.
        let what = if error.is_data() {
            format!("is not what Docker writes at line {} column {}", error.line(), error.column())
        } else {
            format!("is not valid JSON: {error}")
        };
        Failure::failed(format!("{name} {what}"))
    })
}

/// The `host[:port]` of a key of `auths`, which may be written as a URL.
pub(crate) fn host_of_key(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

pub(crate) fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// Go's decoder takes `null` for the empty value.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
