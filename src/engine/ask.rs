//! Answers of which little is of interest.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::Engine;
use super::inspected::MountPoint;
use super::request::encoded;

/// What an engine says about itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    pub(super) system_time: Option<String>,
    pub(super) swarm: Option<Swarm>,
    pub(super) registry_config: Option<RegistryConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Swarm {
    pub(super) local_node_state: Option<String>,
    pub(super) control_available: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegistryConfig {
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub(super) insecure_networks: Option<Vec<String>>,
    pub(super) index_configs: Option<HashMap<String, Index>>,
}

/// A registry of which the engine's configuration says something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Index {
    pub(super) secure: Option<bool>,
}

/// An image as the engine lists it; engines write `null` for none of a kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) repo_digests: Option<Vec<String>>,
}

/// A container as the engine lists it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerSummary {
    pub(super) id: Option<String>,
    pub(super) names: Option<Vec<String>>,
    pub(super) image: Option<String>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: Option<String>,
    pub(super) image_manifest_descriptor: Option<ImageManifest>,
    pub(super) command: Option<String>,
    pub(super) created: Option<i64>,
    pub(super) ports: Option<Vec<PortSummary>>,
    pub(super) labels: Option<HashMap<String, String>>,
    pub(super) state: Option<SummaryState>,
    pub(super) mounts: Option<Vec<MountPoint>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageManifest {
    pub(super) digest: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PortSummary {
    #[serde(rename = "IP")]
    pub(super) ip: Option<String>,
    pub(super) private_port: u16,
    pub(super) public_port: Option<u16>,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Type")]
    pub(super) protocol: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SummaryState {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    #[serde(other)]
    Other,
}

impl Engine {
    /// Running containers and, with `all`, the others too; `label=value` narrows.
    pub(super) async fn list(&self, all: bool, label: Option<String>) -> Result<Vec<ContainerSummary>> {
        let filters = label.map_or_else(|| json!({}), |label| json!({ "label": [label] }));
        self.ask(&format!("/containers/json?all={all}&filters={}", encoded(&filters.to_string())))
            .await
            .with_context(|| format!("list the containers of {}", self.shown))
    }

    pub(super) async fn info(&self) -> Result<Info> {
        Ok(self.ask("/info").await?)
    }
}
