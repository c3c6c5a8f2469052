//! The journal of a maintenance, kept on the engine itself: one-off containers whose names only one run can have and
//! whose labels say what has to be put back. Whoever comes next, from any client, finds them.
//!
//! The lock is made first and removed last, when the registry runs again. None of them is ever removed with its
//! volumes: those are the registry's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::container::State;
use super::inspected::Inspected;
use super::owner::{Owner, host_name};
use super::window::Manner;
use super::{Engine, RegistryContainer, status};
use crate::error::Failure;

pub(super) const ROLE: &str = "io.github.docker-registry-prune.role";
pub(super) const REGISTRY: &str = "io.github.docker-registry-prune.registry";
pub(super) const WAS_RUNNING: &str = "io.github.docker-registry-prune.was-running";
pub(super) const MODE: &str = "io.github.docker-registry-prune.mode";
pub(super) const OWNER: &str = "io.github.docker-registry-prune.owner";
pub(super) const HOST: &str = "io.github.docker-registry-prune.host";

/// What a one-off container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Collector,
    /// Serves pulls while the registry is stopped.
    StandIn,
    /// Never started: its name says that somebody is putting things right.
    Recovery,
    /// Reads the store of a registry that does not run. It can write nothing, so there is nothing to put right.
    Reader,
}

impl Role {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::StandIn => "stand-in",
            Self::Recovery => "recovery",
            Self::Reader => "reader",
        }
    }

    pub(super) fn of(label: &str) -> Option<Self> {
        [Self::Collector, Self::StandIn, Self::Recovery, Self::Reader]
            .into_iter()
            .find(|role| role.label() == label)
    }
}

/// The names of the containers of one registry's maintenance.
#[derive(Debug)]
pub(super) struct Journal {
    /// The dry collector: it changes nothing, so it may stay until everything else is put back.
    pub(super) lock: String,
    pub(super) sweep: String,
    /// Removes what the collector leaves.
    pub(super) tidy: String,
    pub(super) stand_in: String,
    pub(super) recovery: String,
}

impl Journal {
    pub(super) fn of(registry: &str) -> Self {
        let short = registry.get(..12).unwrap_or(registry);
        let name = |suffix: &str| format!("registry-prune-{short}-{suffix}");
        Self {
            lock: name("dry"),
            sweep: name("sweep"),
            tidy: name("tidy"),
            stand_in: name("stand-in"),
            recovery: name("recovery"),
        }
    }
}

/// The labels of a container that belongs to a maintenance of this process.
pub(super) fn labels(role: Role, registry: &RegistryContainer, manner: Manner) -> BTreeMap<String, String> {
    let mut labels = owned(role, &registry.id);
    labels.insert(WAS_RUNNING.to_owned(), (registry.state == State::Running).to_string());
    labels.insert(MODE.to_owned(), manner.name().to_owned());
    labels
}

pub(super) fn owned(role: Role, registry: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (ROLE.to_owned(), role.label().to_owned()),
        (REGISTRY.to_owned(), registry.to_owned()),
    ]);
    labels.extend(Owner::this_process().map(|owner| (OWNER.to_owned(), owner.label())));
    labels.extend(host_name().map(|host| (HOST.to_owned(), host)));
    labels
}

impl Engine {
    /// Creates a one-off container; `false` if the name is taken.
    pub(super) async fn create_one_off(&self, name: &str, body: &Value) -> Result<bool> {
        let owner = body["Labels"][OWNER].as_str();
        let doing = || format!("create the container `{name}`");
        match self.create_container(Some(name), body).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(409) => Ok(false),
            Err(error) if status(&error).is_some() => Err(error).with_context(doing),
            // The answer was lost, perhaps after the effect.
            Err(error) => match self.inspect(name).await {
                Ok(Some(found)) if owner.is_some() && label(&found, OWNER) == owner => Ok(true),
                _ => Err(error).with_context(doing),
            },
        }
    }

    /// The name by which somebody says that it is putting a registry right; `false` if it is taken.
    pub(super) async fn create_recovery(&self, registry: &str, image: &str) -> Result<bool> {
        let body = json!({
            "Image": image,
            "Cmd": ["true"],
            "Labels": owned(Role::Recovery, registry),
            "HostConfig": { "NetworkMode": "none" },
        });
        self.create_one_off(&Journal::of(registry).recovery, &body).await
    }

    /// Ok: it does not exist any more.
    pub(super) async fn remove_one_off(&self, name: &str) -> Result<()> {
        const TRIES: u32 = 20;
        for _ in 1..TRIES {
            match self.remove_container(name, false).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => return Ok(()),
                // Somebody else is removing it: when that is done it is gone.
                Err(error) if status(&error) == Some(409) => {
                    self.pace.pause(Duration::from_millis(250)).await;
                }
                Err(error) => match self.inspect(name).await {
                    Ok(None) => return Ok(()),
                    _ => return Err(error).with_context(|| format!("remove the container `{name}`")),
                },
            }
        }
        bail!("the container `{name}` is being removed and does not go")
    }

    /// The refusal for a registry whose lock somebody else has, who is named.
    pub(super) async fn locked_by(&self, registry: &RegistryContainer) -> Failure {
        let lock = Journal::of(&registry.id).lock;
        let found = self.inspect(&lock).await.ok().flatten();
        let owner = found.as_ref().and_then(owner_of);
        let created = found.as_ref().and_then(|found| found.created.as_ref());
        busy(&registry.name, &[&lock], owner, created.and_then(|created| created.parse().ok()))
    }
}

/// Somebody else is at work.
pub(super) fn busy(
    registry: &str,
    names: &[&str],
    owner: Option<String>,
    since: Option<Timestamp>,
) -> Failure {
    let who = owner.map_or_else(String::new, |who| format!(" by {who}"));
    let since = since.map_or_else(String::new, |since| format!(" since {since:.0}"));
    let names = names.join(" ");
    Failure::refused(format!("the garbage of `{registry}` is being collected{who}{since} ({names})")).hint(format!(
        "wait for it; if that run is gone for good, `docker rm -f {names} && docker start {registry}` puts the registry back"
    ))
}

pub(super) fn owner_of(found: &Inspected) -> Option<String> {
    Owner::describe(label(found, OWNER)?, label(found, HOST))
}

pub(super) fn label<'a>(found: &'a Inspected, name: &str) -> Option<&'a str> {
    found.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
}
