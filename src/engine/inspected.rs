//! A container as the engine describes it, as far as that is of interest. What it was told of its place on the host and
//! in networks is for another container in that place, and stays as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) created: Option<String>,
    pub(super) path: Option<String>,
    pub(super) args: Option<Vec<String>>,
    pub(super) state: Option<InspectedState>,
    /// Its id.
    pub(super) image: Option<String>,
    pub(super) config: Option<Config>,
    #[serde(default, deserialize_with = "object")]
    pub(super) host_config: Value,
    pub(super) mounts: Option<Vec<MountPoint>>,
    #[serde(default)]
    pub(super) network_settings: Value,
    #[serde(rename = "ExecIDs")]
    pub(super) exec_ids: Option<Vec<String>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InspectedState {
    pub(super) status: Option<String>,
    pub(super) running: Option<bool>,
    pub(super) paused: Option<bool>,
    pub(super) restarting: Option<bool>,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: Option<bool>,
    pub(super) exit_code: Option<i64>,
    pub(super) started_at: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    pub(super) image: Option<String>,
    pub(super) user: Option<String>,
    pub(super) env: Option<Vec<String>>,
    pub(super) working_dir: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) entrypoint: Value,
    #[serde(default)]
    pub(super) cmd: Value,
    #[serde(default)]
    pub(super) exposed_ports: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MountPoint {
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) source: Option<String>,
    pub(super) destination: Option<String>,
    #[serde(rename = "RW")]
    pub(super) is_writable: Option<bool>,
}

/// It is added to later, which only an object can be.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(deserializer)?;
    Ok(object.unwrap_or_default().into())
}
