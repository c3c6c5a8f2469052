//! The Engine's API over the state. A request that is not known here raises an alarm.

use serde_json::{Value, json};

use super::container::{image, timestamp};
use super::exec::{Ended, shown, words_of};
use super::{Refused, State};

/// What a request asks for, taken apart.
pub(super) struct Asked {
    pub(super) method: String,
    /// Without the version of the API.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) enum Reply {
    Nothing(u16),
    Text(&'static str),
    Json(u16, Value),
    Bytes(Vec<u8>),
    /// Both streams of a process, in frames.
    Streams(Ended),
    /// The same, on the connection itself.
    Upgraded(Ended),
    /// So many lines are read on the connection, and then this command is run.
    Reads(String, usize),
}

impl Asked {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.query(name), Some("1" | "true" | "True"))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn words(&self) -> Vec<&str> {
        self.path.split('/').filter(|word| !word.is_empty()).collect()
    }
}

impl State {
    /// The request as the journal has it: the same request is the same text in every run.
    pub(super) fn describe(&self, asked: &Asked) -> String {
        let query: Vec<String> = asked.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let what = match asked.words().as_slice() {
            ["exec", id, verb] => format!("/exec/{}/{verb}", self.words_of_exec(id)),
            ["containers", _, "exec"] => format!("{} {}", asked.path, shown(&words_of(&asked.json()))),
            // Between which moments is another matter in every run.
            ["events"] => asked.path.clone(),
            _ => format!("{}?{}", asked.path, query.join("&")),
        };
        let ids = self.containers.iter();
        let what = ids.fold(what, |what, (id, container)| what.replace(id, &container.name));
        format!("{} {what}", asked.method)
    }

    pub(super) fn reply(&mut self, asked: &Asked) -> Reply {
        self.now += 1;
        self.route(asked)
            .unwrap_or_else(|Refused(status, why)| Reply::Json(status, json!({ "message": why })))
    }

    fn route(&mut self, asked: &Asked) -> Result<Reply, Refused> {
        let unless_already = |was_changed| Reply::Nothing(if was_changed { 204 } else { 304 });
        Ok(match (asked.method.as_str(), asked.words().as_slice()) {
            ("GET" | "HEAD", ["_ping"]) => Reply::Text("OK"),
            ("GET", ["version"]) => Reply::Json(200, json!({ "Version": "28.0.0", "ApiVersion": "1.48" })),
            ("GET", ["info"]) => {
                let swarm = json!({ "LocalNodeState": "inactive", "ControlAvailable": false });
                Reply::Json(200, json!({ "SystemTime": timestamp(self.now), "Swarm": swarm }))
            }
            // A stop takes effect at once: there is never one on its way.
            ("GET", ["events"]) => Reply::Bytes(Vec::new()),
            ("GET", ["images", "json"]) => Reply::Json(200, image()),
            ("GET", ["containers", "json"]) => Reply::Json(200, self.list(asked)),
            ("POST", ["containers", "create"]) => {
                let name = asked.query("name").unwrap_or("nameless").to_owned();
                Reply::Json(201, self.create(&name, &asked.json())?)
            }
            ("GET", ["containers", id, "json"]) => Reply::Json(200, self.find(id)?.inspected()),
            ("POST", ["containers", id, "start"]) => unless_already(self.start(id)?),
            ("POST", ["containers", id, "stop"]) => unless_already(self.stop(id)?),
            ("POST", ["containers", id, "wait"]) => Reply::Json(200, json!({ "StatusCode": self.wait(id)? })),
            ("GET", ["containers", id, "logs"]) => {
                let found = self.find(id)?;
                let (stdout, stderr) = (found.stdout.clone(), found.stderr.clone());
                Reply::Streams(Ended { stdout, stderr, code: 0 })
            }
            ("DELETE", ["containers", id]) => {
                self.remove(id, asked.is_on("force"), asked.is_on("v"))?;
                Reply::Nothing(204)
            }
            ("POST", ["containers", id, "exec"]) => Reply::Json(201, self.create_exec(id, &asked.json())?),
            ("POST", ["networks", network, "connect"]) => {
                self.connect(network, asked.json()["Container"].as_str().unwrap_or_default())?;
                Reply::Nothing(200)
            }
            ("POST", ["exec", id, "start"]) => match self.lines_read_by(id) {
                Some(lines) => Reply::Reads((*id).to_owned(), lines),
                None => Reply::Upgraded(self.start_exec(id, b"")?),
            },
            ("GET", ["exec", id, "json"]) => Reply::Json(200, self.inspect_exec(id)?),
            ("GET", ["containers", id, "archive"]) => {
                Reply::Bytes(self.archive(id, asked.query("path").unwrap_or_default())?)
            }
            ("PUT", ["containers", id, "archive"]) => {
                self.unpack(id, asked.query("path").unwrap_or_default(), &asked.body)?;
                Reply::Nothing(200)
            }
            _ => {
                let request = self.describe(asked);
                self.alarm(format!("the engine does not know this request: {request}"));
                return Err(Refused(501, format!("not modelled: {request}")));
            }
        })
    }

    fn list(&mut self, asked: &Asked) -> Value {
        let filters: Value = serde_json::from_str(asked.query("filters").unwrap_or("{}")).unwrap_or_default();
        let wanted = |name: &str| -> Option<Vec<String>> {
            let values = filters.get(name)?.as_array()?.iter();
            Some(values.filter_map(|value| value.as_str().map(ToOwned::to_owned)).collect())
        };
        for unknown in filters.as_object().into_iter().flatten().map(|(name, _)| name) {
            if !matches!(unknown.as_str(), "label" | "status" | "volume" | "name") {
                self.alarm(format!("a filter of containers that is not known: {unknown}"));
            }
        }
        let containers = self.containers.values().filter(|container| {
            let shows =
                asked.is_on("all") || filters.get("status").is_some() || container.state() == "running";
            shows
                && wanted("label").is_none_or(|all| all.iter().all(|label| container.has_label(label)))
                && wanted("status").is_none_or(|any| any.iter().any(|status| status == container.state()))
                && wanted("volume").is_none_or(|_| container.sees_store)
                && wanted("name").is_none_or(|any| any.iter().any(|name| container.name.contains(name)))
        });
        containers.map(super::container::Container::listed).collect()
    }
}
