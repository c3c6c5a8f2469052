//! What stands in for the registry while it is collected in read-only mode: a container of the same image on the same
//! volumes, networks and ports, that is told to refuse pushes and is shown to do so.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, MountType,
    NetworkConnectRequest, NetworkSettings, NetworkingConfig, PortBinding, PortMap, RestartPolicy,
    RestartPolicyNameEnum,
};

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
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) command: Option<Vec<String>>,
    pub(super) exposed_ports: Option<Vec<String>>,
    pub(super) host: HostConfig,
    pub(super) network: NetworkSettings,
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
        if !self.create_one_off(name, body(registry, first)).await? {
            return Ok(false);
        }
        for (network, endpoint) in others {
            let request =
                NetworkConnectRequest { container: name.to_owned(), endpoint_config: Some(endpoint) };
            let connected = self.docker.connect_network(&network, request).await;
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

fn body(registry: &RegistryContainer, endpoint: Option<(String, EndpointSettings)>) -> ContainerCreateBody {
    let setting = &registry.setting;
    let environment = registry.environment.as_engine_writes_it().iter();
    let mut environment: Vec<String> =
        environment.filter(|pair| !pair.starts_with(OF_READ_ONLY)).cloned().collect();
    environment.push(READ_ONLY.to_owned());
    let is_in_memory = |mount: &bollard::models::Mount| mount.typ == Some(MountType::TMPFS);
    let host_config = HostConfig {
        // Its volumes, the nameless ones as well, and the folders of the host.
        volumes_from: Some(vec![registry.id.clone()]),
        binds: None,
        mounts: setting.host.mounts.clone().map(|mounts| mounts.into_iter().filter(is_in_memory).collect()),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..Default::default() }),
        auto_remove: Some(false),
        container_id_file: None,
        publish_all_ports: Some(false),
        port_bindings: Some(port_bindings(setting)),
        links: setting.host.links.as_ref().map(|links| links.iter().map(|link| as_typed(link)).collect()),
        ..setting.host.clone()
    };
    ContainerCreateBody {
        image: Some(registry.image.clone()),
        entrypoint: setting.entrypoint.clone(),
        cmd: setting.command.clone(),
        env: Some(environment),
        user: Some(registry.user.clone()),
        working_dir: Some(registry.working_dir.clone()),
        exposed_ports: setting.exposed_ports.clone(),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        labels: Some(labels(Role::StandIn, registry, Manner::ReadOnly)),
        host_config: Some(host_config),
        networking_config: endpoint
            .map(|endpoint| NetworkingConfig { endpoints_config: Some(HashMap::from([endpoint])) }),
        ..Default::default()
    }
}

/// Where the registry is published now. A port of the engine's choice is another one after each start.
fn port_bindings(setting: &Setting) -> PortMap {
    let wanted = setting.host.port_bindings.clone().unwrap_or_default();
    let is_chosen_by_engine = |port: &str| {
        let bindings = wanted.get(port).and_then(Option::as_ref);
        bindings.is_none_or(|bindings| {
            let is_one = |binding: &PortBinding| {
                binding.host_port.as_ref().is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
            };
            bindings.is_empty() || !bindings.iter().all(is_one)
        })
    };
    let now = setting.network.ports.clone().unwrap_or_default();
    let mut bindings = wanted.clone();
    bindings.retain(|port, _| !is_chosen_by_engine(port));
    for (port, published) in now {
        let published = published.unwrap_or_default();
        if is_chosen_by_engine(&port) && !published.is_empty() {
            bindings.insert(port, Some(on_all_addresses_once(published)));
        }
    }
    bindings
}

/// The engine shows a binding to every address as two, of IPv4 and of IPv6, which it may have none of.
fn on_all_addresses_once(published: Vec<PortBinding>) -> Vec<PortBinding> {
    let mut bindings: Vec<PortBinding> = Vec::new();
    for mut binding in published {
        binding.host_ip = binding.host_ip.filter(|ip| !matches!(ip.as_str(), "" | "0.0.0.0" | "::"));
        if !bindings.contains(&binding) {
            bindings.push(binding);
        }
    }
    bindings
}

/// `/redis:/registry/cache` as `redis:cache`.
fn as_typed(link: &str) -> String {
    let Some((target, alias)) = link.split_once(':') else { return link.to_owned() };
    format!("{}:{}", target.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or(alias))
}

type Endpoint = (String, EndpointSettings);

/// The network the container is created with, and those it is connected to afterwards: older engines take one only.
fn endpoints(registry: &RegistryContainer) -> (Option<Endpoint>, Vec<Endpoint>) {
    let networks = registry.setting.network.networks.clone().unwrap_or_default();
    let mut endpoints: Vec<Endpoint> = networks
        .into_iter()
        .filter(|(network, _)| !matches!(network.as_str(), "host" | "none"))
        .map(|(network, endpoint)| {
            let endpoint = endpoint_of(registry, &network, endpoint);
            (network, endpoint)
        })
        .collect();
    endpoints.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mode = match registry.network_mode.as_str() {
        "default" => "bridge",
        mode => mode,
    };
    let first = endpoints
        .iter()
        .position(|(network, endpoint)| network == mode || endpoint.network_id.as_deref() == Some(mode));
    let first = first.map(|first| endpoints.remove(first));
    let without_id =
        |(network, endpoint): Endpoint| (network, EndpointSettings { network_id: None, ..endpoint });
    (first.map(without_id), endpoints.into_iter().map(without_id).collect())
}

/// What was asked for, not what the engine made of it. Others find the registry by its name as well.
fn endpoint_of(registry: &RegistryContainer, network: &str, found: EndpointSettings) -> EndpointSettings {
    let has_names = network != "bridge";
    let mut aliases = found.aliases.unwrap_or_default();
    if !aliases.contains(&registry.name) {
        aliases.push(registry.name.clone());
    }
    let is_fixed = |ipam: &EndpointIpamConfig| *ipam != EndpointIpamConfig::default();
    EndpointSettings {
        aliases: has_names.then_some(aliases),
        ipam_config: found.ipam_config.filter(is_fixed),
        links: found.links,
        driver_opts: found.driver_opts,
        network_id: found.network_id,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
