//! Answers of which little is of interest. bollard reads the whole of them, with code that would be a large part of this
//! program, and knows nothing of what a rollback of a service returns to.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::models::MountPoint;
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Engine;

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
        let filters: String = filters.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.ask(&format!("/containers/json?all={all}&filters={filters}"))
            .await
            .with_context(|| format!("list the containers of {}", self.shown))
    }

    pub(super) async fn info(&self) -> Result<Info> {
        self.ask("/info").await
    }

    /// What the engine answers to `path`. bollard hands out the texts of `_ping` only, so that request is led elsewhere.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = self.text(path.parse()?).await?;
        Ok(serde_json::from_str(&text)?)
    }

    async fn text(&self, path: PathAndQuery) -> Result<String, Error> {
        let docker = self.docker.clone().with_request_modifier(move |mut request| {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(path.clone());
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
            request
        });
        self.retried(|| docker.ping()).await
    }
}
