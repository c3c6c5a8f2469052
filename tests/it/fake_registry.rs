//! A stateful registry on a loopback port: contents, a journal of requests, and a switchboard of quirks.
//!
//! It knows nothing of the tool's insides, so that the tests of the binary can use it as well as those of the client.
//! It runs on a thread of its own: a test may block while it waits for the binary.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "compiled into two test programs, neither of which needs all of it"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

#[path = "fake_registry/contents.rs"]
pub(crate) mod contents;
#[path = "fake_registry/door.rs"]
mod door;
#[path = "fake_registry/quirks.rs"]
pub(crate) mod quirks;
#[path = "fake_registry/routes.rs"]
mod routes;
#[path = "fake_registry/service.rs"]
mod service;

use contents::Contents;
use door::Door;
use quirks::{Effect, Fault, Gate, Quirks};
use service::{Order, Service};

pub(crate) struct FakeRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    service: Service,
}

type Hook = Box<dyn FnOnce(&mut Contents) + Send>;

struct State {
    address: SocketAddr,
    contents: Contents,
    quirks: Quirks,
    door: Door,
    journal: Vec<Entry>,
    faults: Vec<Fault>,
    hooks: Vec<(Moment, Hook)>,
    gate: Option<Gate>,
}

/// When a hook runs.
enum Moment {
    Number(usize),
    Asked(&'static str, String),
}

/// One request as it arrived, and the status it got. A request that was cut off or hangs has the status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) accept: Vec<String>,
    pub(crate) authorization: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) content_type: Option<String>,
    pub(crate) status: u16,
}

/// What a request asks for, taken apart.
struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl FakeRegistry {
    pub(crate) fn spawn() -> Self {
        let port = service::Port::reserve();
        let address = port.address();
        let state = Arc::new(Mutex::new(State {
            address,
            contents: Contents::default(),
            quirks: Quirks::default(),
            door: Door::default(),
            journal: Vec::new(),
            faults: Vec::new(),
            hooks: Vec::new(),
            gate: None,
        }));
        let service = Service::start(port, state.clone());
        Self { address, state, service }
    }

    /// `127.0.0.1:<port>`, as it stands in front of a repository.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Puts an image into `repository` under `tag`; the digest of its manifest. Layers with the same text are the same
    /// blob.
    pub(crate) fn image(&self, repository: &str, tag: &str, created: &str, layers: &[&str]) -> String {
        self.change(|contents| contents.image(repository, tag, created, layers))
    }

    /// Puts an image without a tag, such as an index refers to.
    pub(crate) fn untagged_image(&self, repository: &str, platform: &str, layers: &[&str]) -> String {
        self.change(|contents| contents.untagged_image(repository, platform, "2024-05-01T00:00:00Z", layers))
    }

    /// Puts an OCI index over manifests that are in `repository`.
    pub(crate) fn index(&self, repository: &str, tag: &str, children: &[&str]) -> String {
        self.change(|contents| contents.index(repository, tag, children))
    }

    /// Lets `tag` name a manifest that is there.
    pub(crate) fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.change(|contents| contents.tag(repository, tag, digest));
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.state().contents)
    }

    /// Connections end, and none can be made.
    pub(crate) fn stop_serving(&self) {
        self.service.obey(Order::Stop);
    }

    pub(crate) fn start_serving(&self) {
        self.service.obey(Order::Serve);
    }

    pub(crate) fn gate(&self, gate: Gate) {
        self.state().gate = Some(gate);
    }

    pub(crate) fn quirks(&self, set: impl FnOnce(&mut Quirks)) {
        set(&mut self.state().quirks);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    pub(crate) fn no_more_faults(&self) {
        self.state().faults.clear();
    }

    /// Runs `hook` when the `number`th request (from 1) arrives, before it is answered.
    pub(crate) fn when_request(&self, number: usize, hook: impl FnOnce(&mut Contents) + Send + 'static) {
        self.state().hooks.push((Moment::Number(number), Box::new(hook)));
    }

    /// Runs `hook` when the first request of `method` arrives whose path has `path` in it, before it is answered.
    pub(crate) fn when(
        &self,
        method: &'static str,
        path: &str,
        hook: impl FnOnce(&mut Contents) + Send + 'static,
    ) {
        self.state().hooks.push((Moment::Asked(method, path.to_owned()), Box::new(hook)));
    }

    pub(crate) fn tags(&self, repository: &str) -> Vec<String> {
        self.change(|contents| contents.tags(repository))
    }

    pub(crate) fn has_manifest(&self, repository: &str, digest: &str) -> bool {
        self.change(|contents| contents.manifest(repository, digest).is_some())
    }

    pub(crate) fn journal(&self) -> Vec<Entry> {
        self.state().journal.clone()
    }

    /// The journal as `METHOD path` lines.
    pub(crate) fn requests(&self) -> Vec<String> {
        let line = |entry: &Entry| format!("{} {}", entry.method, entry.path);
        self.state().journal.iter().map(line).collect()
    }

    pub(crate) fn forget_requests(&self) {
        self.state().journal.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Asked {
    fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let query = Query::try_from_uri(&head.uri).map_or_else(|_| Vec::new(), |Query(query)| query);
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query,
        headers: head.headers,
        body: body.to_vec(),
    };
    let (number, effect) = lock(&state).arrived(&asked, &head.uri.to_string());
    let gate = lock(&state).gate.clone();
    let effect = gate.and_then(|gate| gate.ask(&format!("{} {}", head.method, head.uri))).or(effect);
    let reply = match effect {
        Some(Effect::Hang) => std::future::pending().await,
        Some(Effect::CutBefore) => cut(),
        Some(Effect::Answer(status, headers, body)) => Reply { status, headers, body: body.into_bytes() },
        Some(Effect::CutAfter) => {
            lock(&state).reply(&asked);
            cut()
        }
        Some(Effect::AnswerAfter(status)) => {
            lock(&state).reply(&asked);
            Reply::error(status, "UNKNOWN", "unknown error")
        }
        Some(Effect::Then(act)) => {
            let reply = lock(&state).reply(&asked);
            act.happen();
            reply
        }
        None => lock(&state).reply(&asked),
    };
    if let Some(entry) = lock(&state).journal.get_mut(number - 1) {
        entry.status = reply.status;
    }
    reply.into_response()
}

/// A panic in its task closes a connection without an answer; this one does not reach the panic hook.
fn cut() -> Reply {
    std::panic::resume_unwind(Box::new("the connection is cut"))
}

impl State {
    fn arrived(&mut self, asked: &Asked, uri: &str) -> (usize, Option<Effect>) {
        let text = |name| asked.header(name).map(ToOwned::to_owned);
        let accept = asked.headers.get_all(header::ACCEPT).iter();
        self.journal.push(Entry {
            method: asked.method.clone(),
            path: uri.to_owned(),
            accept: accept.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect(),
            authorization: text("authorization"),
            user_agent: text("user-agent").unwrap_or_default(),
            content_type: text("content-type"),
            status: 0,
        });
        let number = self.journal.len();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.hooks).into_iter().partition(|(moment, _)| match moment {
                Moment::Number(at) => *at == number,
                Moment::Asked(method, path) => *method == asked.method && uri.contains(path.as_str()),
            });
        self.hooks = later;
        for (_, hook) in due {
            hook(&mut self.contents);
        }
        let mut faults = self.faults.iter_mut();
        let fault = faults.find_map(|fault| fault.strikes(number, &asked.method, uri).then_some(fault));
        (number, fault.map(Fault::strike))
    }

    fn reply(&mut self, asked: &Asked) -> Reply {
        if asked.path == "/token" {
            return self.door.token(&self.quirks.access, asked);
        }
        if let Some(refusal) = self.door.refuses(&self.quirks.access, asked, self.address) {
            return refusal;
        }
        routes::reply(&mut self.contents, &self.quirks, asked)
    }
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status).header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({ "code": code, "message": message });
        Self::json(status, &serde_json::json!({ "errors": [error] }))
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::from_u16(self.status).expect("a status"), self.body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value.parse().expect("a header"));
        }
        response
    }
}
