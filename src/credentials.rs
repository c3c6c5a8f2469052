//! Finds the credentials for a registry as `docker login` left them: `DOCKER_AUTH_CONFIG`, then the credential helper
//! of the registry, then the one for all, then the file. What they are good for (which realm, which host) is decided
//! where requests are made. No store is guessed where none is configured: Docker writes the one it guesses into its
//! configuration at the first login.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::config::docker_file::{self, AuthEntry, DockerConfig};
use crate::error::Failure;
use crate::model::printable;

mod helper;
mod secret;

pub(crate) use secret::Secret;

/// Longer than a locked key store that asks its owner needs, and short enough not to hang a nightly run.
const HELPER_LIMIT: Duration = Duration::from_secs(30);
/// Docker Hub's key everywhere, whatever its address is called.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What is known for a registry. Every secret in it masks itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Basic {
        username: String,
        password: Secret,
    },
    /// A refresh token for the registry's token service.
    IdentityToken(Secret),
    /// A token for the registry itself, sent as it is.
    RegistryToken(Secret),
}

/// The part of `DOCKER_AUTH_CONFIG` that Docker reads.
#[derive(Deserialize)]
struct AuthVariable {
    #[serde(default)]
    auths: BTreeMap<String, AuthEntry>,
}

/// The credentials for `registry_host` (`host[:port]`); `None` means anonymous.
pub(crate) async fn find(
    docker_config: &DockerConfig,
    docker_auth_config: Option<&Secret>,
    registry_host: &str,
) -> Result<Option<Credentials>> {
    find_with(docker_config, docker_auth_config, registry_host, &Helpers { path: None, limit: HELPER_LIMIT })
        .await
}

/// Where helpers are looked for (`None`: this process's PATH), and how long they may take.
struct Helpers<'a> {
    path: Option<&'a OsStr>,
    limit: Duration,
}

async fn find_with(
    docker_config: &DockerConfig,
    docker_auth_config: Option<&Secret>,
    registry_host: &str,
    helpers: &Helpers<'_>,
) -> Result<Option<Credentials>> {
    let key = if docker_file::is_docker_hub(registry_host) { DOCKER_HUB_KEY } else { registry_host };
    if let Some(variable) = docker_auth_config {
        let AuthVariable { auths } =
            docker_file::parse(variable.expose().as_bytes(), "the environment variable DOCKER_AUTH_CONFIG")
                .map_err(|failure| {
                failure.hint(
                    "it holds {\"auths\": {\"HOST\": {\"auth\": \"…\"}}}; unset it to use the Docker config",
                )
            })?;
        if let Some((key, entry)) = entry_for(&auths, key) {
            return from_entry(key, entry, "DOCKER_AUTH_CONFIG");
        }
    }
    let named = docker_config.cred_helpers.get(key).map(|name| (name, format!("credHelpers[\"{key}\"]")));
    let named =
        named.or_else(|| docker_config.creds_store.as_ref().map(|name| (name, "credsStore".to_owned())));
    match named.filter(|(name, _)| !name.is_empty()) {
        Some((name, setting)) => helper::ask(name, &setting, key, helpers).await,
        None => match entry_for(&docker_config.auths, key) {
            Some((key, entry)) => from_entry(key, entry, "the Docker config"),
            None => Ok(None),
        },
    }
}

/// The exact key, else the first whose host is the one meant: keys of old logins have a scheme and a path.
fn entry_for<'a>(auths: &'a BTreeMap<String, AuthEntry>, key: &str) -> Option<(&'a str, &'a AuthEntry)> {
    let host = docker_file::host_of_key(key);
    let entry = auths.get_key_value(key).or_else(|| {
        auths.iter().find(|(other, _)| docker_file::host_of_key(other).eq_ignore_ascii_case(host))
    });
    entry.map(|(key, entry)| (key.as_str(), entry))
}

/// In the order in which the engine prefers what an entry may hold.
fn from_entry(key: &str, entry: &AuthEntry, place: &str) -> Result<Option<Credentials>> {
    let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.expose().is_empty());
    if let Some(token) = given(&entry.registry_token) {
        return Ok(Some(Credentials::RegistryToken(token)));
    }
    if let Some(token) = given(&entry.identity_token) {
        return Ok(Some(Credentials::IdentityToken(token)));
    }
    if let Some(auth) = given(&entry.auth) {
        return match decode(auth.expose()) {
            Some((username, password)) => Ok(Some(Credentials::Basic { username, password })),
            None => Err(Failure::failed(format!(
                "`auth` of `{}` in {place} is not the base64 form of `user:password`",
                printable(key)
            ))
            .hint(format!("log in again with `docker login {}`", printable(docker_file::host_of_key(key))))
            .into()),
        };
    }
    let username = entry.username.clone().filter(|name| !name.is_empty());
    Ok(username.map(|username| Credentials::Basic {
        username,
        password: entry.password.clone().unwrap_or_default(),
    }))
}

fn decode(auth: &str) -> Option<(String, Secret)> {
    // People write these by hand: line ends from `base64`, or its padding left out, change nothing.
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let written: String = auth.split_ascii_whitespace().collect();
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(written).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker itself once padded with NULs.
    let password = Secret::from(password.trim_end_matches('\0'));
    (!username.is_empty()).then(|| (username.to_owned(), password))
}

#[cfg(test)]
mod tests;
