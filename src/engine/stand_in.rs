//! What stands in for the registry while it is collected in read-only mode: a container of the same image on the same
//! volumes, networks and ports, that is told to refuse pushes and is shown to do so.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::journal::{Role, labels};
use super::window::{Manner, interrupted};
use super::{Engine, RegistryContainer};
use crate::cancel::Cancel;
use crate::error::Failure;
use crate::model::printable;

/// The only form that every version understands: `…_READONLY_ENABLED` is ignored by some and ends others.
const READ_ONLY: &str = r#"REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":true}"#;
const OF_READ_ONLY: &str = "REGISTRY_STORAGE_MAINTENANCE_READONLY";
const READ_ONLY_WITHIN: Duration = Duration::from_secs(30);
const OTHERWISE: &str = "`--gc-mode offline` needs no stand-in: the registry does not answer meanwhile";

/// How the engine runs the registry's container: what another one needs to be met in its place.
#[derive(Clone, Default)]
pub(super) struct Setting {
    pub(super) entrypoint: Value,
    pub(super) command: Value,
    pub(super) exposed_ports: Value,
    pub(super) host: Value,
    pub(super) network: Value,
}

/// Options of logging drivers hold tokens.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setting")
    }
}

impl Engine {
    /// Creates it, connected to every network, and does not start it; `false` if the name is taken.
    pub(super) async fn create_stand_in(&self, name: &str, registry: &RegistryContainer) -> Result<bool> {
        let (first, others) = endpoints(registry);
        if !self.create_one_off(name, &body(registry, first)).await? {
            return Ok(false);
        }
        for (network, endpoint) in others {
            let connected = self.connect_network(&network, name, endpoint).await;
            connected
                .with_context(|| format!("connect the container `{name}` to the network `{network}`"))?;
        }
        Ok(true)
    }

    /// Starts it and waits until `refuses_pushes` has seen that it does; that answers `false` while nobody is there.
    pub(super) async fn serve_read_only(
        &self,
        name: &str,
        cancel: &Cancel,
        refuses_pushes: &impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        self.start(name).await.map_err(|error| {
            error.context(Failure::failed("the read-only stand-in could not be started").hint(OTHERWISE))
        })?;
        let shown = async {
            while !refuses_pushes().await? {
                if !self.is_running(name).await? {
                    let said = self.last_words(name).await;
                    return Err(Failure::failed(format!("the read-only stand-in ended at once: {said}"))
                        .hint(OTHERWISE)
                        .into());
                }
                self.pace.pause(Duration::from_millis(25)).await;
            }
            Ok(())
        };
        tokio::select! {
            shown = shown => shown,
            () = cancel.cancelled() => Err(interrupted()),
            () = self.pace.pause(READ_ONLY_WITHIN) => Err(Failure::failed(format!(
                "the read-only stand-in did not answer within {} seconds", READ_ONLY_WITHIN.as_secs()
            ))
            .hint(OTHERWISE)
            .into()),
        }
    }

    async fn last_words(&self, name: &str) -> String {
        const MOST: usize = 500;
        match self.collector_logs(name).await {
            Ok(run) => printable(&run.stderr).chars().take(MOST).collect(),
            Err(_) => "its log cannot be read".to_owned(),
        }
    }

    /// Ok: nothing of it is left at work, and the registry's ports are free.
    pub(super) async fn end_stand_in(&self, name: &str) -> Result<()> {
        if self.inspect(name).await?.is_some() && self.stop(name).await.is_err() {
            self.remove_one_off(name).await?;
        }
        Ok(())
    }
}

fn body(registry: &RegistryContainer, endpoint: Option<Endpoint>) -> Value {
    let setting = &registry.setting;
    let environment = registry.environment.as_engine_writes_it().iter().map(String::as_str);
    let environment = environment.filter(|pair| !pair.starts_with(OF_READ_ONLY)).chain([READ_ONLY]);
    let mut host = setting.host.clone();
    // Its volumes, the nameless ones as well, and the folders of the host.
    host["VolumesFrom"] = json!([registry.id]);
    host["Binds"] = Value::Null;
    if let Some(mounts) = host["Mounts"].as_array_mut() {
        mounts.retain(|mount| mount["Type"] == "tmpfs");
    }
    host["RestartPolicy"] = json!({ "Name": "no" });
    host["AutoRemove"] = json!(false);
    host["ContainerIDFile"] = Value::Null;
    host["PublishAllPorts"] = json!(false);
    host["PortBindings"] = port_bindings(setting).into();
    for link in host["Links"].as_array_mut().into_iter().flatten() {
        *link = link.as_str().map(as_typed).into();
    }
    json!({
        "Image": registry.image,
        "Entrypoint": setting.entrypoint,
        "Cmd": setting.command,
        "Env": environment.collect::<Vec<_>>(),
        "User": registry.user,
        "WorkingDir": registry.working_dir,
        "ExposedPorts": setting.exposed_ports,
        "Healthcheck": { "Test": ["NONE"] },
        "Labels": labels(Role::StandIn, registry, Manner::ReadOnly),
        "HostConfig": host,
        "NetworkingConfig": { "EndpointsConfig": Map::from_iter(endpoint) },
    })
}

/// Where the registry is published now. A port of the engine's choice is another one after each start.
fn port_bindings(setting: &Setting) -> Map<String, Value> {
    let is_one = |binding: &Value| {
        binding["HostPort"].as_str().is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
    };
    let is_chosen_by_engine = |bindings: &Value| {
        bindings.as_array().is_none_or(|bindings| bindings.is_empty() || !bindings.iter().all(is_one))
    };
    let mut bindings = setting.host["PortBindings"].as_object().cloned().unwrap_or_default();
    bindings.retain(|_, bindings| !is_chosen_by_engine(bindings));
    for (port, published) in setting.network["Ports"].as_object().into_iter().flatten() {
        let published = published.as_array().map(Vec::as_slice).unwrap_or_default();
        if !bindings.contains_key(port) && !published.is_empty() {
            bindings.insert(port.clone(), on_all_addresses_once(published).into());
        }
    }
    bindings
}

/// The engine shows a binding to every address as two, of IPv4 and of IPv6, which it may have none of.
fn on_all_addresses_once(published: &[Value]) -> Vec<Value> {
    let mut bindings = Vec::new();
    for binding in published {
        let mut binding = binding.clone();
        if matches!(binding["HostIp"].as_str(), Some("0.0.0.0" | "::")) {
            binding["HostIp"] = json!("");
        }
        if !bindings.contains(&binding) {
            bindings.push(binding);
        }
    }
    bindings
}

/// The engine tells `--link redis:cache` as `/redis:/registry/cache`.
pub(super) fn as_typed(link: &str) -> String {
    let Some((target, alias)) = link.split_once(':') else { return link.to_owned() };
    format!("{}:{}", target.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias))
}

/// The network's name and what is to hold there.
pub(super) type Endpoint = (String, Value);

/// The network the container is created with, and those it is connected to afterwards: older engines take one only.
fn endpoints(registry: &RegistryContainer) -> (Option<Endpoint>, Vec<Endpoint>) {
    let networks = registry.setting.network["Networks"].as_object();
    let mut networks: Vec<(&String, &Value)> = networks
        .into_iter()
        .flatten()
        .filter(|(network, _)| !matches!(network.as_str(), "host" | "none"))
        .collect();
    networks.sort_unstable_by_key(|(network, _)| *network);
    let mode = match registry.network_mode.as_str() {
        "default" => "bridge",
        mode => mode,
    };
    let first = networks.iter().position(|(network, found)| *network == mode || found["NetworkID"] == mode);
    let first = first.map(|first| networks.remove(first));
    let endpoint =
        |(network, found): (&String, &Value)| (network.clone(), endpoint_of(registry, network, found));
    (first.map(endpoint), networks.into_iter().map(endpoint).collect())
}

/// What was asked for, not what the engine made of it. Others find the registry by its name as well.
fn endpoint_of(registry: &RegistryContainer, network: &str, found: &Value) -> Value {
    let name = json!(registry.name);
    let mut aliases = found["Aliases"].as_array().cloned().unwrap_or_default();
    if !aliases.contains(&name) {
        aliases.push(name);
    }
    json!({
        "Aliases": (network != "bridge").then_some(aliases),
        "IPAMConfig": Some(&found["IPAMConfig"]).filter(|ipam| **ipam != json!({})),
        "Links": found["Links"],
        "DriverOpts": found["DriverOpts"],
    })
}

#[cfg(test)]
mod tests;
