//! Which container is the registry: the one that was named, the one that publishes the address's port, or the only
//! one that looks like a registry. Never a guess among several.

use std::net::{IpAddr, UdpSocket};

use anyhow::Result;

use super::Engine;
use super::ask::{ContainerSummary, PortSummary, SummaryState};
use super::container::{Certainty, RegistryContainer};
use super::journal::{REGISTRY, ROLE};
use crate::error::Failure;
use crate::model::{RegistryAddress, Scheme, printable};

#[derive(Debug)]
pub(crate) enum Found {
    Container(Box<RegistryContainer>),
    /// A sentence that says where it was looked for.
    None {
        why: String,
    },
}

/// A running container that looks like a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) id: String,
    /// Where it answers, as seen from here; `None` when it publishes no port.
    pub(crate) address: Option<RegistryAddress>,
    pub(crate) image: String,
}

impl Engine {
    pub(crate) async fn registry_containers(&self) -> Result<Vec<Candidate>> {
        let containers = self.list(false, None).await?;
        Ok(containers
            .iter()
            .filter(|container| looks_like_registry(container))
            .map(|container| Candidate {
                name: name_of(container),
                id: container.id.clone().unwrap_or_default(),
                address: published_address(container, self.host_name.as_deref()),
                image: container.image.clone().unwrap_or_default(),
            })
            .collect())
    }

    /// Where the container answers now, as seen from here.
    pub(crate) async fn published_address(
        &self,
        registry: &RegistryContainer,
    ) -> Result<Option<RegistryAddress>> {
        let containers = self.list(false, None).await?;
        let own = containers.iter().find(|container| container.id.as_deref() == Some(&registry.id));
        Ok(own.and_then(|container| published_address(container, self.host_name.as_deref())))
    }

    pub(crate) async fn find_registry(
        &self,
        address: Option<&RegistryAddress>,
        container: Option<&str>,
    ) -> Result<Found> {
        if let Some(name) = container {
            return self.named(name).await;
        }
        let containers = self.list(true, None).await?;
        let place = match address {
            None => Place::Anywhere,
            Some(address) => self.place_of(address).await,
        };
        match pick(&containers, address, place) {
            Pick::One { id, because, certainty } => self.inspect_registry(&id, because, certainty).await,
            Pick::None { why } => Ok(Found::None { why }),
            Pick::Several { names } => {
                Err(Failure::refused(format!("several containers may be the registry: {}", names.join(", ")))
                    .hint("name it with `--container NAME`")
                    .into())
            }
        }
    }

    /// The only registry on the engine, if it does not run.
    pub(crate) async fn only_stopped_registry(&self) -> Result<Found> {
        let containers = self.list(true, None).await?;
        let registries: Vec<_> =
            containers.iter().filter(|container| looks_like_registry(container)).collect();
        match registries.as_slice() {
            [one] if !is_running(one) => {
                let id = one.id.as_deref().unwrap_or_default();
                let because = "it is the only registry on this engine".to_owned();
                self.inspect_registry(id, because, Certainty::Sure).await
            }
            _ => {
                Ok(Found::None { why: "no registry on this engine is the only one, and stopped".to_owned() })
            }
        }
    }

    async fn named(&self, name: &str) -> Result<Found> {
        match self.inspect_registry(name, "it was named".to_owned(), Certainty::Named).await? {
            Found::None { .. } => Err(self.has_no(name).into()),
            found @ Found::Container(_) => Ok(found),
        }
    }

    /// The id of a container that a person named.
    pub(crate) async fn container_id(&self, name: &str) -> Result<String> {
        let found = self.inspect(name).await?.and_then(|found| found.id);
        found.ok_or_else(|| self.has_no(name).into())
    }

    fn has_no(&self, container: &str) -> Failure {
        Failure::failed(format!("the engine at {} has no container `{}`", self.shown, printable(container)))
            .hint("`docker ps -a` lists the containers")
    }

    async fn inspect_registry(&self, id: &str, because: String, certainty: Certainty) -> Result<Found> {
        Ok(match self.inspect(id).await? {
            Some(found) => {
                Found::Container(Box::new(RegistryContainer::from_engine(found, because, certainty)))
            }
            None => Found::None { why: format!("the container `{}` is gone", printable(id)) },
        })
    }

    async fn place_of(&self, address: &RegistryAddress) -> Place {
        let host = address.hostname();
        let is_here = match &self.host_name {
            Some(engine) => engine.eq_ignore_ascii_case(host),
            None => address.is_loopback() || is_address_of_this_machine(host).await,
        };
        // The loopback of this machine is not that of a remote engine, though a tunnel may join them.
        if is_here { Place::ThisEngine } else { Place::Elsewhere }
    }
}

impl RegistryContainer {
    /// Where it answers when it runs, as far as it was told to.
    pub(crate) fn usual_address(&self) -> Option<RegistryAddress> {
        let bindings = self.setting.host["PortBindings"].as_object()?;
        let ports = bindings.iter().filter_map(|(port, at)| Some((port.as_str(), at.as_array()?.first()?)));
        let (_, binding) = ports.min_by_key(|&(port, _)| (port != "5000/tcp", port))?;
        let port: u16 = binding["HostPort"].as_str()?.parse().ok().filter(|port| *port != 0)?;
        let ip = binding["HostIp"].as_str().filter(|ip| !matches!(*ip, "" | "0.0.0.0" | "::"));
        format!("{}:{port}", ip.unwrap_or("127.0.0.1")).parse().ok()
    }
}

/// A socket can be bound to the machine's own addresses only.
async fn is_address_of_this_machine(host: &str) -> bool {
    let addresses: Vec<IpAddr> = match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(_) => return false,
    };
    addresses.iter().any(|address| UdpSocket::bind((*address, 0)).is_ok())
}

/// Where the address leads, compared with where the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    ThisEngine,
    /// Another machine, or one whose address leads here by a way that cannot be seen (a proxy, a translated address).
    Elsewhere,
}

#[derive(Debug, PartialEq, Eq)]
enum Pick {
    One { id: String, because: String, certainty: Certainty },
    Several { names: Vec<String> },
    None { why: String },
}

fn pick(containers: &[ContainerSummary], address: Option<&RegistryAddress>, place: Place) -> Pick {
    let registries = |state_fits: fn(&ContainerSummary) -> bool| {
        containers.iter().filter(move |container| state_fits(container) && looks_like_registry(container))
    };
    let Some(address) = address else {
        let running: Vec<_> = registries(is_running).collect();
        let because = |_: &str| "it is the only container that runs a registry".to_owned();
        return one_of(&running, because, Certainty::Sure).unwrap_or_else(|| Pick::None {
            why: match registries(|container| !is_running(container)).next() {
                Some(stopped) => format!("the registry's container `{}` is not running", name_of(stopped)),
                None => "no container of this engine runs a registry".to_owned(),
            },
        });
    };
    let port = port_of(address);
    let is_local = place == Place::ThisEngine;
    let publishers: Vec<_> = containers
        .iter()
        .filter(|container| is_running(container) && publishes(container, address, port, is_local))
        .collect();
    let of_port = |_: &str| format!("it publishes port {port}");
    // While it is collected in read-only mode somebody stands in for it.
    let stands_for = |container: &&ContainerSummary| {
        let labels = container.labels.as_ref()?;
        Some((labels.get(REGISTRY)?.clone(), name_of(container)))
    };
    if let Some((id, stand_in)) = publishers.iter().find_map(stands_for) {
        let because = format!("`{stand_in}` stands in for it at port {port}");
        return Pick::One { id, because, certainty: Certainty::Sure };
    }
    let registries_at_port = publishers.iter().copied().filter(|container| looks_like_registry(container));
    if let Some(found) = one_of(
        &registries_at_port.collect::<Vec<_>>(),
        of_port,
        if is_local { Certainty::Sure } else { Certainty::Likely },
    ) {
        return found;
    }
    if !is_local {
        return Pick::None {
            why: format!(
                "no container of this engine runs a registry and publishes port {port}, as {address} has it"
            ),
        };
    }
    // A proxy in front, on the engine or on the machine itself, or the host's network, which publishes nothing.
    let behind = publishers.first().map(|container| name_of(container));
    let because = |_: &str| match &behind {
        Some(proxy) => {
            format!(
                "it is the only container that runs a registry, and `{proxy}` publishes port {port} without being one"
            )
        }
        None => format!("it is the only container that runs a registry, and none publishes port {port}"),
    };
    // Without a proxy nothing says that it is one of several.
    let hidden: Vec<_> = registries(is_running).collect();
    let hidden = if publishers.is_empty() && hidden.len() > 1 { Vec::new() } else { hidden };
    if let Some(found) = one_of(&hidden, because, Certainty::Likely) {
        return found;
    }
    // Its image and command say nothing, but the port is its own.
    one_of(&publishers, of_port, Certainty::Likely).unwrap_or_else(|| Pick::None {
        why: format!("no running container of this engine publishes port {port}"),
    })
}

fn one_of(
    found: &[&ContainerSummary],
    because: impl Fn(&str) -> String,
    certainty: Certainty,
) -> Option<Pick> {
    match found {
        [] => None,
        [one] => Some(Pick::One {
            id: one.id.clone().unwrap_or_default(),
            because: because(&name_of(one)),
            certainty,
        }),
        several => Some(Pick::Several { names: several.iter().map(|one| name_of(one)).collect() }),
    }
}

fn port_of(address: &RegistryAddress) -> u16 {
    address.port().unwrap_or(if address.scheme == Some(Scheme::Http) { 80 } else { 443 })
}

/// On another machine's address only the port can be compared.
fn publishes(container: &ContainerSummary, address: &RegistryAddress, port: u16, is_local: bool) -> bool {
    published(container).any(|(binding, binding_port)| {
        let reaches = match binding {
            None => true,
            Some(ip) if ip.is_unspecified() => true,
            Some(ip) if ip.is_loopback() => address.is_loopback(),
            Some(ip) => address.hostname().parse().map_or(!address.is_loopback(), |host: IpAddr| host == ip),
        };
        binding_port == port && (reaches || !is_local)
    })
}

/// The host's side of the TCP ports: address (`None`: every one) and port.
fn published(container: &ContainerSummary) -> impl Iterator<Item = (Option<IpAddr>, u16)> {
    tcp_ports(container).filter_map(|port| {
        let address = port.ip.as_deref().filter(|ip| !ip.is_empty()).and_then(|ip| ip.parse().ok());
        Some((address, port.public_port?))
    })
}

fn tcp_ports(container: &ContainerSummary) -> impl Iterator<Item = &PortSummary> {
    let ports = container.ports.as_deref().unwrap_or_default();
    ports.iter().filter(|port| matches!(port.protocol.as_deref(), None | Some("tcp")))
}

/// The registry's own port is 5000 unless it was configured otherwise; 3.x publishes metrics on 5001.
fn published_address(container: &ContainerSummary, engine_host: Option<&str>) -> Option<RegistryAddress> {
    const REGISTRY_PORT: u16 = 5000;
    let ports = tcp_ports(container).filter(|port| port.public_port.is_some());
    let port = ports
        .min_by_key(|port| (port.private_port != REGISTRY_PORT, port.private_port, port.ip.as_deref()))?;
    let binding = port.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let specific = binding.filter(|ip| !ip.is_unspecified() && !ip.is_loopback()).map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let host = match (specific, engine_host) {
        (Some(ip), _) => ip,
        // Bound to the loopback of another machine: not reachable from here.
        (None, Some(_)) if binding.is_some_and(|ip| ip.is_loopback()) => return None,
        (None, Some(host)) => host.to_owned(),
        (None, None) => "127.0.0.1".to_owned(),
    };
    format!("{host}:{}", port.public_port?).parse().ok()
}

fn is_running(container: &ContainerSummary) -> bool {
    matches!(container.state, Some(SummaryState::Running | SummaryState::Paused | SummaryState::Restarting))
}

pub(super) fn label_of<'a>(container: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(name).map(String::as_str)
}

pub(super) fn name_of(container: &ContainerSummary) -> String {
    let name = container.names.as_ref().and_then(|names| names.iter().min_by_key(|name| name.len()));
    name.map_or_else(
        || container.id.clone().unwrap_or_default(),
        |name| name.trim_start_matches('/').to_owned(),
    )
}

/// By the image's name, or by the words of the command, which stay when the image is one's own.
pub(super) fn looks_like_registry(container: &ContainerSummary) -> bool {
    let is_collector = container.labels.as_ref().is_some_and(|labels| labels.contains_key(ROLE));
    let image = container.image.as_deref().unwrap_or_default();
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default();
    let command = container.command.as_deref().unwrap_or_default();
    let says_so = ["registry serve", "/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];
    !is_collector
        && (matches!(name, "registry" | "docker-registry" | "distribution")
            || says_so.iter().any(|words| command.contains(words)))
}

#[cfg(test)]
mod tests;
