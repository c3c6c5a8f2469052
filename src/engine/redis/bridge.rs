//! A connection from where the registry is: `nc` in a one-off container, its streams attached.
//!
//! The engine removes the container when `nc` ends, and `nc` ends when nobody is attached: nothing is left of it, even
//! if this process is killed, unless that is before `nc` is started; then the next run removes it. Nothing secret is in its command line, its environment or its log.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, NetworkConnectRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::protocol::{Reply, encode};
use super::server::Server;
use crate::engine::journal::OWNER;
use crate::engine::owner::Owner;
use crate::engine::{Engine, status};
use crate::model::printable;

/// The label that says for which registry.
pub(super) const BRIDGE: &str = "io.github.docker-registry-prune.redis-of";
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Bridge {
    engine: Engine,
    container: String,
    streams: Option<AttachContainerResults>,
    received: Vec<u8>,
    complaint: String,
}

impl Bridge {
    pub(super) async fn create(engine: &Engine, registry: &str, server: &Server) -> Result<Self> {
        let found = engine.inspect(registry).await?.context("the registry's container is gone")?;
        let (body, further_networks) = body(found, server);
        let made = engine.docker.create_container(None::<CreateContainerOptions>, body).await;
        let container = made.context("create a container beside the registry")?.id;
        let bridge = Self {
            engine: engine.clone(),
            container,
            streams: None,
            received: Vec::new(),
            complaint: String::new(),
        };
        for (network, endpoint) in further_networks {
            let request = NetworkConnectRequest {
                container: bridge.container.clone(),
                endpoint_config: Some(endpoint),
            };
            if let Err(error) = engine.docker.connect_network(&network, request).await {
                bridge.remove().await;
                return Err(error).with_context(|| format!("join the network `{network}`"));
            }
        }
        Ok(bridge)
    }

    pub(super) async fn open(&mut self) -> Result<()> {
        let docker = &self.engine.docker;
        let attach = AttachContainerOptions {
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
            ..Default::default()
        };
        let streams = docker.attach_container(&self.container, Some(attach)).await;
        self.streams = Some(streams.context("attach to the container beside the registry")?);
        docker.start_container(&self.container, None::<StartContainerOptions>).await.map_err(|error| {
            let is_missing = matches!(&error, Error::DockerResponseServerError { message, .. }
                if message.contains("executable file not found") || message.contains("no such file"));
            if is_missing {
                anyhow!("the registry's image has no `nc`, by which its redis could be reached")
            } else {
                anyhow!(error).context("start the container beside the registry")
            }
        })
    }

    /// Says a command and waits for its answer; a refusal is an error.
    pub(super) async fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> Result<Reply> {
        let answered = timeout(ANSWERS_WITHIN, self.exchange(&encode(words))).await;
        match answered {
            Ok(Ok(Reply::Refused(why))) => bail!("it answers: {why}"),
            Ok(answered) => answered,
            Err(_) => bail!("no answer within {} s", ANSWERS_WITHIN.as_secs()),
        }
    }

    async fn exchange(&mut self, command: &[u8]) -> Result<Reply> {
        let streams = self.streams.as_mut().context("not connected")?;
        // Where this fails, what `nc` said tells more.
        let written = async {
            streams.input.write_all(command).await?;
            streams.input.flush().await
        };
        let written = written.await;
        loop {
            if let Some((reply, length)) = Reply::read(&self.received)? {
                self.received.drain(..length);
                return Ok(reply);
            }
            match streams.output.next().await {
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                    self.received.extend_from_slice(&message);
                }
                Some(Ok(LogOutput::StdErr { message })) => {
                    self.complaint.push_str(&String::from_utf8_lossy(&message));
                }
                Some(Ok(LogOutput::StdIn { .. })) => {}
                Some(Err(error)) => return Err(error).context("read the answer"),
                None => {
                    written?;
                    let complaint = printable(self.complaint.trim());
                    bail!("{}", if complaint.is_empty() { "the connection ended" } else { &complaint });
                }
            }
        }
    }

    /// Usually the engine has removed it already, or is about to; only its own, empty volume goes with it.
    pub(super) async fn remove(&self) {
        remove(&self.engine, &self.container).await;
    }
}

pub(super) async fn remove(engine: &Engine, container: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    let removed = engine.docker.remove_container(container, Some(options.clone())).await;
    if matches!(&removed, Err(error) if status(error).is_none()) {
        let _ = engine.docker.remove_container(container, Some(options)).await;
    }
}

fn labels(registry: String) -> HashMap<String, String> {
    let mut labels = HashMap::from([(BRIDGE.to_owned(), registry)]);
    labels.extend(Owner::this_process().map(|owner| (OWNER.to_owned(), owner.label())));
    labels
}

/// The container, and the networks it has to be connected to beyond the one it is made on.
fn body(
    registry: ContainerInspectResponse,
    server: &Server,
) -> (ContainerCreateBody, Vec<(String, EndpointSettings)>) {
    let config = registry.config.unwrap_or_default();
    let host = registry.host_config.unwrap_or_default();
    let mut networks: Vec<(String, EndpointSettings)> = registry
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default()
        .into_iter()
        // Not its addresses, nor its aliases: those are the registry's.
        .map(|(name, endpoint)| (name, EndpointSettings { links: endpoint.links, ..Default::default() }))
        .collect();
    networks.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mode = host.network_mode.unwrap_or_default();
    let is_network = !(matches!(mode.as_str(), "host" | "none") || mode.starts_with("container:"));
    if !is_network {
        networks.clear();
    }
    let mut networks = networks.into_iter();
    let (network, endpoint) = match networks.next() {
        Some((name, endpoint)) => (name.clone(), HashMap::from([(name, endpoint)])),
        None => (mode, HashMap::new()),
    };
    let host_config = HostConfig {
        network_mode: Some(network),
        extra_hosts: host.extra_hosts,
        links: host.links.map(|links| links.iter().map(|link| as_written(link)).collect()),
        dns: host.dns,
        dns_options: host.dns_options,
        dns_search: host.dns_search,
        security_opt: host.security_opt,
        userns_mode: host.userns_mode,
        group_add: host.group_add,
        auto_remove: Some(true),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: registry.image,
        user: config.user,
        entrypoint: Some(vec!["nc".to_owned()]),
        cmd: Some(vec![server.host.clone(), server.port.to_string()]),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        // Not one of the journal's: it holds nothing that has to be put back.
        labels: Some(labels(registry.id.unwrap_or_default())),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoint) }),
        host_config: Some(host_config),
        ..Default::default()
    };
    (body, networks.collect())
}

/// The engine tells `--link redis:cache` as `/redis:/registry/cache`.
fn as_written(link: &str) -> String {
    match link.split_once(':') {
        Some((container, alias)) => {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            format!("{}:{alias}", container.trim_start_matches('/'))
        }
        None => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::NetworkSettings;
    use serde_json::json;

    use super::*;

    fn server() -> Server {
        Server::parse(Some(&json!({ "addr": "cache:6379", "password": "geheim" }))).unwrap()
    }

    fn beside(mode: &str, networks: &[&str]) -> (HostConfig, Vec<String>) {
        let endpoint = || EndpointSettings {
            aliases: Some(vec!["registry".to_owned()]),
            ip_address: Some("10.0.0.2".to_owned()),
            links: Some(vec!["redis:cache".to_owned()]),
            ..Default::default()
        };
        let networks = networks.iter().map(|&name| (name.to_owned(), endpoint())).collect();
        let registry = ContainerInspectResponse {
            host_config: Some(HostConfig {
                network_mode: Some(mode.to_owned()),
                links: Some(vec!["/redis:/registry/cache".to_owned()]),
                ..Default::default()
            }),
            network_settings: Some(NetworkSettings { networks: Some(networks), ..Default::default() }),
            ..Default::default()
        };
        let (body, further) = body(registry, &server());
        assert!(!format!("{body:?}").contains("geheim"));
        for (_, endpoint) in &further {
            assert_eq!((&endpoint.aliases, &endpoint.ip_address), (&None, &None), "they are the registry's");
            assert_eq!(endpoint.links.as_deref(), Some(["redis:cache".to_owned()].as_slice()));
        }
        (body.host_config.unwrap(), further.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn it_is_where_the_registry_is() {
        let (host, further) = beside("default", &["bridge"]);
        assert_eq!((host.network_mode.as_deref(), further.len()), (Some("bridge"), 0));
        assert_eq!(host.links, Some(vec!["redis:cache".to_owned()]));
        let (host, further) = beside("front", &["front", "back", "other"]);
        assert_eq!(host.network_mode.as_deref(), Some("back"));
        assert_eq!(further, ["front", "other"]);
        for mode in ["host", "container:0123", "none"] {
            let (host, further) = beside(mode, &["host"]);
            assert_eq!((host.network_mode.as_deref(), further.len()), (Some(mode), 0));
        }
    }
}
