//! The registry's container as the engine describes it, as far as a collection needs it.

use std::collections::BTreeMap;
use std::fmt;

use super::command_line::CommandLine;
use super::inspected::{Inspected, InspectedState, MountPoint};
use super::stand_in::Setting;
use crate::error::Failure;

/// How sure it is that a container is the registry that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It publishes the very port of the address on this machine.
    Sure,
    /// A person named it.
    Named,
    /// A proxy stands in front, or it cannot be proved that this is the machine.
    Likely,
}

#[derive(Debug, Clone)]
pub(crate) struct RegistryContainer {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The image's id: its name may mean another image by now.
    pub(crate) image: String,
    pub(crate) image_name: String,
    pub(crate) state: State,
    pub(crate) command: CommandLine,
    pub(crate) environment: Environment,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) auto_remove: bool,
    pub(crate) network_mode: String,
    /// A sentence for people: why this container and no other.
    pub(crate) picked_because: String,
    pub(crate) certainty: Certainty,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) user: String,
    pub(super) working_dir: String,
    pub(super) setting: Setting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Paused,
    /// Between two attempts of its restart policy.
    Restarting,
    Stopped,
}

impl State {
    pub(super) fn from_engine(state: &InspectedState) -> Self {
        if state.restarting == Some(true) {
            Self::Restarting
        } else if state.paused == Some(true) {
            Self::Paused
        } else if state.running == Some(true) {
            Self::Running
        } else {
            Self::Stopped
        }
    }
}

/// A folder of the container that is kept outside its own layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The volume's name or the host's path.
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) is_writable: bool,
}

/// A file system in memory is empty after a stop, and is nobody else's to see.
fn outlives_a_stop(mount: &MountPoint) -> bool {
    mount.kind.as_deref() != Some("tmpfs")
}

impl Mount {
    pub(super) fn from_engine(mount: MountPoint) -> Self {
        let source = mount.name.filter(|name| !name.is_empty()).or(mount.source);
        Self {
            source: source.unwrap_or_default(),
            destination: mount.destination.unwrap_or_default(),
            is_writable: mount.is_writable.unwrap_or(true),
        }
    }

    /// With `nested`, a folder above or below counts too.
    pub(super) fn shares_files_with(&self, other: &Self, nested: bool) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        !self.source.is_empty()
            && (self.source == other.source
                || (nested && (within(&self.source, &other.source) || within(&other.source, &self.source))))
    }

    fn covers(&self, path: &str) -> bool {
        let destination = self.destination.trim_end_matches('/');
        path.strip_prefix(destination).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// `NAME=value` pairs; the values hold passwords and keys of storage.
#[derive(Clone, Default)]
pub(crate) struct Environment(Vec<String>);

impl Environment {
    pub(crate) fn new(pairs: Vec<String>) -> Self {
        Self(pairs)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|pair| pair.split_once('='))
    }

    pub(super) fn as_engine_writes_it(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pairs().map(|(name, _)| name)).finish()
    }
}

impl RegistryContainer {
    pub(super) fn from_engine(found: Inspected, picked_because: String, certainty: Certainty) -> Self {
        let config = found.config.unwrap_or_default();
        let host = found.host_config;
        let state = found.state.unwrap_or_default();
        let environment = Environment::new(config.env.unwrap_or_default());
        let command = CommandLine::parse(
            found.path.as_deref().unwrap_or_default(),
            found.args.as_deref().unwrap_or_default(),
            environment.get("REGISTRY_CONFIGURATION_PATH"),
        );
        let setting = Setting {
            entrypoint: config.entrypoint,
            command: config.cmd,
            exposed_ports: config.exposed_ports,
            host: host.clone(),
            network: found.network_settings,
        };
        Self {
            id: found.id.unwrap_or_default(),
            name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            image: found.image.unwrap_or_default(),
            image_name: config.image.unwrap_or_default(),
            state: State::from_engine(&state),
            command,
            environment,
            mounts: found
                .mounts
                .unwrap_or_default()
                .into_iter()
                .filter(outlives_a_stop)
                .map(Mount::from_engine)
                .collect(),
            auto_remove: host["AutoRemove"] == true,
            network_mode: host["NetworkMode"].as_str().unwrap_or_default().to_owned(),
            picked_because,
            certainty,
            labels: config.labels.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            working_dir: config.working_dir.unwrap_or_default(),
            setting,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// Why this container must not be stopped, if so: somebody else would act on its absence.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        self.unfitness().or_else(|| {
            let refusal =
                Failure::refused(format!("the registry's container `{}` is not running", self.name));
            self.is_stopped().then(|| refusal.hint(format!("`docker start {}` first", self.name)))
        })
    }

    /// Why its store cannot be collected, whether it runs or not.
    pub(super) fn unfitness(&self) -> Option<Failure> {
        let refuse = |reason: String| {
            Some(Failure::refused(format!("the registry's container `{}` {reason}", self.name)))
        };
        if let Some((keeper, what)) = self.keeper() {
            return refuse(format!(
                "is managed by {keeper} ({what}), which would replace it while it is stopped"
            ))
            .map(|failure| {
                failure.hint(format!("collect with {keeper}'s own means, or delete only with `--no-gc`"))
            });
        }
        if self.auto_remove {
            return refuse("was started with `--rm`: the engine removes it when it stops".to_owned())
                .map(|failure| failure.hint("start it without `--rm`, or delete only with `--no-gc`"));
        }
        let (reason, mend) = match self.state {
            State::Running | State::Stopped => return None,
            State::Paused => ("is paused", format!("`docker unpause {}` first", self.name)),
            State::Restarting => ("keeps restarting", format!("`docker logs {}` says why", self.name)),
        };
        refuse(reason.to_owned()).map(|failure| failure.hint(mend))
    }

    fn keeper(&self) -> Option<(&'static str, &str)> {
        const KEEPERS: [(&str, &str); 5] = [
            ("com.docker.swarm.service.name", "Docker Swarm"),
            ("com.docker.swarm.service.id", "Docker Swarm"),
            ("com.docker.swarm.task.id", "Docker Swarm"),
            ("io.kubernetes.pod.name", "Kubernetes"),
            ("com.hashicorp.nomad.alloc_id", "Nomad"),
        ];
        KEEPERS.iter().find_map(|(label, keeper)| Some((*keeper, self.labels.get(*label)?.as_str())))
    }

    /// Whether `path` lies on a volume or bind mount, which a one-off container can share.
    pub(crate) fn is_on_a_mount(&self, path: &str) -> bool {
        self.mount_of(path).is_some()
    }

    pub(super) fn mount_of(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().filter(|mount| mount.covers(path)).max_by_key(|mount| mount.destination.len())
    }

    /// The configuration file, or why a collection is impossible without knowing it.
    pub(crate) fn configuration_path(&self) -> Result<&str, Failure> {
        self.command.configuration.as_deref().ok_or_else(|| {
            Failure::refused(format!(
                "the command line of the container `{}` does not name its configuration file",
                self.name
            ))
            .hint("set REGISTRY_CONFIGURATION_PATH in the container's environment, or delete only with `--no-gc`")
        })
    }
}

/// A container for the tests of this module's neighbours.
#[cfg(test)]
pub(super) fn sample(change: impl FnOnce(&mut Inspected)) -> RegistryContainer {
    use super::inspected::Config;

    let mut found = Inspected {
        id: Some("0123456789ab".repeat(5)),
        name: Some("/registry".to_owned()),
        path: Some("/entrypoint.sh".to_owned()),
        args: Some(vec!["/etc/docker/registry/config.yml".to_owned()]),
        state: Some(InspectedState { running: Some(true), ..Default::default() }),
        config: Some(Config {
            env: Some(vec!["REGISTRY_HTTP_SECRET=planted".to_owned()]),
            labels: Some(BTreeMap::new()),
            ..Default::default()
        }),
        mounts: Some(vec![MountPoint {
            name: Some("volume".to_owned()),
            source: Some("/var/lib/docker/volumes/volume/_data".to_owned()),
            destination: Some("/var/lib/registry".to_owned()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    change(&mut found);
    RegistryContainer::from_engine(found, "test".to_owned(), Certainty::Sure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(change: impl FnOnce(&mut Inspected)) -> Option<String> {
        sample(change).refusal().map(|failure| failure.to_string())
    }

    #[test]
    fn containers_that_must_not_be_stopped_are_refused() {
        assert_eq!(refusal(|_| ()), None);
        let swarm = refusal(|found| {
            let labels = BTreeMap::from([("com.docker.swarm.service.name".to_owned(), "reg".to_owned())]);
            found.config.as_mut().unwrap().labels = Some(labels);
        });
        assert_eq!(
            swarm.unwrap(),
            "the registry's container `registry` is managed by Docker Swarm (reg), which would replace it while it is stopped"
        );
        let removed = refusal(|found| {
            found.host_config = json!({ "AutoRemove": true });
        });
        assert!(removed.unwrap().contains("--rm"));
        let stopped = refusal(|found| found.state.as_mut().unwrap().running = Some(false));
        assert!(stopped.unwrap().contains("not running"));
        let paused = refusal(|found| found.state.as_mut().unwrap().paused = Some(true));
        assert!(paused.unwrap().contains("paused"));
    }

    #[test]
    fn the_store_must_lie_on_a_mount() {
        let registry = sample(|_| ());
        assert!(registry.is_on_a_mount("/var/lib/registry"));
        assert!(registry.is_on_a_mount("/var/lib/registry/data"));
        assert!(!registry.is_on_a_mount("/var/lib/registry2"));
        assert!(!registry.is_on_a_mount("/data"));
    }

    #[test]
    fn a_store_in_memory_is_lost_with_a_stop() {
        let registry = sample(|found| {
            let mount = &mut found.mounts.as_mut().unwrap()[0];
            (mount.kind, mount.name) = (Some("tmpfs".to_owned()), None);
        });
        assert!(!registry.is_on_a_mount("/var/lib/registry"));
    }

    #[test]
    fn values_of_the_environment_are_never_printed() {
        let shown = format!("{:?}", sample(|_| ()));
        assert!(shown.contains("REGISTRY_HTTP_SECRET"));
        assert!(!shown.contains("planted"));
    }
}
