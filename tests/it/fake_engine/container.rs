//! One container: how it was made, what its command does, in which state it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::REGISTRY;
use super::files::CONFIGURATION;

/// The volume with the registry's store.
const VOLUME: &str = "registry-data";
/// Those of the engine, and of the registry.
pub(super) const NETWORKS: [&str; 2] = ["bridge", "backend"];
const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    /// Entrypoint and command.
    pub(super) words: Vec<String>,
    environment: Vec<String>,
    labels: BTreeMap<String, String>,
    config: Value,
    host_config: Value,
    pub(super) networks: BTreeSet<String>,
    created: i64,
    pub(super) sees_store: bool,
    /// Files that were put into it.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) status: Status,
    pub(super) starts: u32,
    started_at: i64,
    pub(super) exit_code: i64,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What a sweep that is at work has yet to remove, and the code it will end with.
    pub(super) will_sweep: Vec<String>,
    pub(super) will_end_with: i64,
    pub(super) served_across_a_sweep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    Exited,
}

/// What the command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Serves,
    Collects {
        dry: bool,
    },
    /// Until it is stopped.
    Waits,
    /// At once.
    Ends,
    Unknown,
}

impl Container {
    pub(super) fn registry(port: u16) -> Self {
        let body = json!({
            "Image": "registry:2",
            "Entrypoint": ["/entrypoint.sh"],
            "Cmd": [CONFIGURATION],
            "Env": ["REGISTRY_STORAGE_DELETE_ENABLED=true"],
            "Labels": {},
            "HostConfig": {
                "NetworkMode": "default",
                "Mounts": [{ "Type": "volume", "Source": VOLUME, "Target": "/var/lib/registry" }],
                "PortBindings": { "5000/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }] },
            },
        });
        let mut container = Self::created(REGISTRY, &body, 1_799_999_000, |_| false);
        container.networks = NETWORKS.map(ToOwned::to_owned).into();
        container.begin(1_799_999_000);
        container
    }

    /// `is_known`: whether a container that volumes are taken from exists.
    pub(super) fn created(name: &str, body: &Value, now: i64, is_known: impl Fn(&str) -> bool) -> Self {
        let words = |value: &Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect()
        };
        let host = &body["HostConfig"];
        let from = words(&host["VolumesFrom"]);
        let takes_volumes = from.iter().any(|other| is_known(other.split(':').next().unwrap_or_default()));
        let mounts = host["Mounts"].as_array().into_iter().flatten();
        let has_volume = mounts.map(|mount| &mount["Source"]).any(|source| source == VOLUME)
            || words(&host["Binds"]).iter().any(|bind| bind.starts_with(&format!("{VOLUME}:")));
        let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object().into_iter().flatten();
        let labels = body["Labels"].as_object().into_iter().flatten();
        Self {
            id: id_of(name),
            name: name.to_owned(),
            words: [words(&body["Entrypoint"]), words(&body["Cmd"])].concat(),
            environment: words(&body["Env"]),
            labels: labels
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            config: body.clone(),
            host_config: host.clone(),
            networks: endpoints.map(|(network, _)| network.clone()).collect(),
            created: now,
            sees_store: takes_volumes || has_volume,
            files: BTreeMap::new(),
            status: Status::Created,
            starts: 0,
            started_at: 0,
            exit_code: 0,
            stdout: String::new(),
            stderr: String::new(),
            will_sweep: Vec::new(),
            will_end_with: 0,
            served_across_a_sweep: false,
        }
    }

    pub(super) fn role(&self) -> Role {
        let says = |word: &str| self.words.iter().any(|said| said == word);
        let is_entrypoint = self.words.first().is_some_and(|word| word == "/entrypoint.sh");
        let names_file = self.words.iter().any(|word| word.strip_suffix(".yml").is_some());
        if says("garbage-collect") {
            Role::Collects { dry: says("--dry-run") }
        } else if says("serve") || (is_entrypoint && names_file) {
            Role::Serves
        } else if self.words.first().is_some_and(|word| word == "sleep") {
            Role::Waits
        } else if self.words == ["true"] {
            Role::Ends
        } else {
            Role::Unknown
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.status == Status::Running && self.role() == Role::Serves
    }

    pub(super) fn is_sweeping(&self) -> bool {
        self.status == Status::Running && self.role() == Role::Collects { dry: false }
    }

    /// By its environment, or by the configuration that was put into it.
    pub(super) fn is_read_only(&self) -> bool {
        let is_on = |text: &str| {
            let after = text.to_ascii_lowercase().split_once("readonly").map(|(_, after)| after.to_owned());
            after.is_some_and(|after| after.contains("enabled") && after.contains("true"))
        };
        let file = self.files.get(CONFIGURATION).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        file.is_some_and(|text| is_on(&text))
            || self
                .environment
                .iter()
                .any(|pair| pair.starts_with("REGISTRY_STORAGE_MAINTENANCE_READONLY=") && is_on(pair))
    }

    /// A new process, which remembers nothing.
    pub(super) fn begin(&mut self, now: i64) {
        self.status = Status::Running;
        self.starts += 1;
        self.started_at = now;
        self.served_across_a_sweep = false;
    }

    /// Whether it was running.
    pub(super) fn end(&mut self, code: i64) -> bool {
        let was_running = self.status == Status::Running;
        if was_running {
            self.status = Status::Exited;
            self.exit_code = code;
            self.served_across_a_sweep = false;
        }
        was_running
    }

    pub(super) fn inspected(&self) -> Value {
        let mut config = self.config.clone();
        if let Some(map) = config.as_object_mut() {
            map.remove("HostConfig");
            map.remove("NetworkingConfig");
        }
        json!({
            "Id": self.id,
            "Name": format!("/{}", self.name),
            "Created": timestamp(self.created),
            "Path": self.words.first(),
            "Args": self.words.get(1..).unwrap_or_default(),
            "Image": IMAGE,
            "State": {
                "Status": self.state(),
                "Running": self.status == Status::Running,
                "Paused": false,
                "Restarting": false,
                "OOMKilled": false,
                "Dead": false,
                "ExitCode": self.exit_code,
                "StartedAt": timestamp(self.started_at),
            },
            "Config": config,
            "HostConfig": self.host_config,
            "Mounts": self.mounts(),
            "NetworkSettings": { "Networks": self.endpoints(), "Ports": self.published() },
        })
    }

    fn endpoints(&self) -> Value {
        let endpoint = |network: &String| (network.clone(), json!({ "NetworkID": id_of(network) }));
        Value::Object(self.networks.iter().map(endpoint).collect())
    }

    fn published(&self) -> Value {
        if self.status == Status::Running { self.host_config["PortBindings"].clone() } else { json!({}) }
    }

    /// The ports of the machine that it takes while it runs.
    pub(super) fn ports(&self) -> BTreeSet<String> {
        let bindings = self.host_config["PortBindings"].as_object().into_iter().flatten();
        let bindings = bindings.flat_map(|(_, bindings)| bindings.as_array().into_iter().flatten());
        bindings.filter_map(|binding| binding["HostPort"].as_str().map(ToOwned::to_owned)).collect()
    }

    pub(super) fn listed(&self) -> Value {
        let bindings = self.host_config["PortBindings"].as_object().into_iter().flatten();
        let ports: Vec<Value> = bindings
            .filter(|_| self.status == Status::Running)
            .flat_map(|(port, bindings)| {
                let private = port.split('/').next().and_then(|port| port.parse::<u16>().ok());
                let public = |binding: &Value| binding["HostPort"].as_str()?.parse::<u16>().ok();
                let bindings = bindings.as_array().into_iter().flatten();
                bindings
                    .map(|binding| {
                        json!({
                            "IP": binding["HostIp"],
                            "PrivatePort": private,
                            "PublicPort": public(binding),
                            "Type": "tcp",
                        })
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        json!({
            "Id": self.id,
            "Names": [format!("/{}", self.name)],
            "Image": self.config["Image"],
            "ImageID": IMAGE,
            "Command": self.words.join(" "),
            "Created": self.created,
            "State": self.state(),
            "Status": self.state(),
            "Ports": ports,
            "Labels": self.labels,
            "Mounts": self.mounts(),
            "HostConfig": { "NetworkMode": self.host_config["NetworkMode"] },
        })
    }

    pub(super) fn has_label(&self, label: &str) -> bool {
        match label.split_once('=') {
            Some((key, value)) => self.labels.get(key).is_some_and(|found| found == value),
            None => self.labels.contains_key(label),
        }
    }

    pub(super) fn state(&self) -> &'static str {
        match self.status {
            Status::Created => "created",
            Status::Running => "running",
            Status::Exited => "exited",
        }
    }

    fn mounts(&self) -> Value {
        if !self.sees_store {
            return json!([]);
        }
        json!([{
            "Type": "volume",
            "Name": VOLUME,
            "Source": format!("/var/lib/docker/volumes/{VOLUME}/_data"),
            "Destination": "/var/lib/registry",
            "RW": true,
        }])
    }
}

/// Of 64 digits, as the engine makes them; the same in every run.
fn id_of(name: &str) -> String {
    crate::fake_registry::contents::digest_of(name.as_bytes()).replace("sha256:", "")
}

pub(super) fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).expect("a time of this age").to_string()
}

pub(super) fn image() -> Value {
    json!([{
        "Id": IMAGE,
        "ParentId": "",
        "RepoTags": ["registry:2"],
        "RepoDigests": [],
        "Created": 1_700_000_000,
        "Size": 1,
        "SharedSize": -1,
        "VirtualSize": 1,
        "Labels": {},
        "Containers": -1,
    }])
}
