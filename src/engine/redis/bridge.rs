//! A connection from where the registry is: `nc` in a one-off container, its streams attached.
//!
//! The engine removes the container when `nc` ends, and `nc` ends when nobody is attached: nothing is left of it, even
//! if this process is killed, unless that is before `nc` is started; then the next run removes it. Nothing secret is in its command line, its environment or its log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptions;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::protocol::{Reply, encode};
use super::server::Server;
use crate::engine::inspected::Inspected;
use crate::engine::journal::OWNER;
use crate::engine::owner::Owner;
use crate::engine::stand_in::{Endpoint, as_typed};
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
        let container = engine.create_container(None, &body).await;
        let container = container.context("create a container beside the registry")?;
        let bridge = Self {
            engine: engine.clone(),
            container,
            streams: None,
            received: Vec::new(),
            complaint: String::new(),
        };
        for (network, endpoint) in further_networks {
            if let Err(error) = engine.connect_network(&network, &bridge.container, endpoint).await {
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
        self.engine.start_container(&self.container).await.map_err(|error| {
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
    let removed = engine.remove_container(container, true).await;
    if matches!(&removed, Err(error) if status(error).is_none()) {
        let _ = engine.remove_container(container, true).await;
    }
}

fn labels(registry: String) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(BRIDGE.to_owned(), registry)]);
    labels.extend(Owner::this_process().map(|owner| (OWNER.to_owned(), owner.label())));
    labels
}

/// The container, and the networks it has to be connected to beyond the one it is made on.
fn body(registry: Inspected, server: &Server) -> (Value, Vec<Endpoint>) {
    let config = registry.config.unwrap_or_default();
    let host = registry.host_config;
    let mode = host["NetworkMode"].as_str().unwrap_or_default();
    let is_network = !(matches!(mode, "host" | "none") || mode.starts_with("container:"));
    let networks = registry.network_settings["Networks"].as_object().filter(|_| is_network);
    let mut networks: Vec<(&String, &Value)> = networks.into_iter().flatten().collect();
    networks.sort_unstable_by_key(|(network, _)| *network);
    // Not its addresses, nor its aliases: those are the registry's.
    let mut networks =
        networks.into_iter().map(|(name, found)| (name.clone(), json!({ "Links": found["Links"] })));
    let first = networks.next();
    let links = host["Links"].as_array().into_iter().flatten();
    let links: Vec<String> = links.filter_map(Value::as_str).map(as_typed).collect();
    let body = json!({
        "Image": registry.image,
        "User": config.user,
        "Entrypoint": ["nc"],
        "Cmd": [server.host, server.port.to_string()],
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        "OpenStdin": true,
        "StdinOnce": true,
        "Healthcheck": { "Test": ["NONE"] },
        // Not one of the journal's: it holds nothing that has to be put back.
        "Labels": labels(registry.id.unwrap_or_default()),
        "HostConfig": {
            "NetworkMode": first.as_ref().map_or(mode, |(network, _)| network),
            "ExtraHosts": host["ExtraHosts"],
            "Links": links,
            "Dns": host["Dns"],
            "DnsOptions": host["DnsOptions"],
            "DnsSearch": host["DnsSearch"],
            "SecurityOpt": host["SecurityOpt"],
            "UsernsMode": host["UsernsMode"],
            "GroupAdd": host["GroupAdd"],
            "AutoRemove": true,
            "LogConfig": { "Type": "none" },
        },
        "NetworkingConfig": { "EndpointsConfig": Map::from_iter(first) },
    });
    (body, networks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::parse(Some(&json!({ "addr": "cache:6379", "password": "geheim" }))).unwrap()
    }

    fn beside(mode: &str, networks: &[&str]) -> (Value, Vec<String>) {
        let endpoint = json!({ "Aliases": ["registry"], "IPAddress": "10.0.0.2", "Links": ["redis:cache"] });
        let networks: Value = networks.iter().map(|&name| (name.to_owned(), endpoint.clone())).collect();
        let registry = Inspected {
            host_config: json!({ "NetworkMode": mode, "Links": ["/redis:/registry/cache"] }),
            network_settings: json!({ "Networks": networks }),
            ..Default::default()
        };
        let (body, further) = body(registry, &server());
        assert!(!body.to_string().contains("geheim"));
        for (_, endpoint) in &further {
            assert_eq!(endpoint, &json!({ "Links": ["redis:cache"] }), "the rest is the registry's");
        }
        (body["HostConfig"].clone(), further.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn it_is_where_the_registry_is() {
        let (host, further) = beside("default", &["bridge"]);
        assert_eq!((&host["NetworkMode"], further.len()), (&json!("bridge"), 0));
        assert_eq!(host["Links"], json!(["redis:cache"]));
        let (host, further) = beside("front", &["front", "back", "other"]);
        assert_eq!(host["NetworkMode"], "back");
        assert_eq!(further, ["front", "other"]);
        for mode in ["host", "container:0123", "none"] {
            let (host, further) = beside(mode, &["host"]);
            assert_eq!((&host["NetworkMode"], further.len()), (&json!(mode), 0));
        }
    }
}
