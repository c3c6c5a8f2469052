//! A stateful Docker Engine on a unix socket, around a fake registry: the containers that are there, what they may see
//! of the store, and what runs in them. The registry's port answers while a container that serves runs.
//!
//! It models what Docker and Distribution do and knows nothing of the tool's insides. What it does not know raises an
//! alarm, and a test that saw one fails: a new request of the tool has to be modelled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::Contents;
use crate::fake_registry::quirks::{Deletions, Gate};

mod archive;
mod collector;
mod container;
mod exec;
mod files;
mod find;
mod http;
mod left;
mod routes;
mod shell;

pub(crate) use collector::{Ailment, references};
use container::{Container, NETWORKS, Role, Status};
use exec::Exec;
use left::Left;

pub(crate) struct FakeEngine {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    registry: Arc<FakeRegistry>,
    is_serving: bool,
    /// By id, which grows.
    containers: BTreeMap<String, Container>,
    execs: BTreeMap<String, Exec>,
    left: Left,
    /// The engine's clock: seconds since 1970, one more with every request.
    now: i64,
    alarms: Vec<String>,
    gate: Option<Gate>,
    ailment: Option<Ailment>,
}

/// The name of the registry's own container.
pub(crate) const REGISTRY: &str = "registry";

impl FakeEngine {
    /// With one container, which runs the registry.
    pub(crate) fn spawn(registry: Arc<FakeRegistry>) -> Self {
        let folder = TempDir::new().expect("a folder for the socket");
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("docker.sock"));
        let listener = listener.expect("a socket");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let port = registry.host().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let container = Container::registry(port);
        let state = Arc::new(Mutex::new(State {
            registry,
            is_serving: true,
            containers: BTreeMap::from([(container.id.clone(), container)]),
            execs: BTreeMap::new(),
            left: Left::default(),
            now: 1_800_000_000,
            alarms: Vec::new(),
            gate: None,
            ailment: None,
        }));
        let (stop, stopped) = oneshot::channel();
        let shared = state.clone();
        let thread = std::thread::spawn(move || serve(listener, &shared, stopped));
        Self { folder, state, stop: Some(stop), thread: Some(thread) }
    }

    /// As `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    pub(crate) fn gate(&self, gate: Gate) {
        self.state().gate = Some(gate);
    }

    /// Its collectors go wrong from now on, and say nothing of it.
    pub(crate) fn ails(&self, ailment: Ailment) {
        self.state().ailment = Some(ailment);
    }

    /// What must never happen and did.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.state().alarms.clone()
    }

    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.state().named(name).is_some_and(|container| container.status == Status::Running)
    }

    /// How often the container was started.
    pub(crate) fn starts(&self, name: &str) -> u32 {
        self.state().named(name).map_or(0, |container| container.starts)
    }

    /// Whether a process serves that served while blobs were swept: it remembers blobs that are gone.
    pub(crate) fn remembers_what_is_gone(&self) -> bool {
        self.state().containers.values().any(|container| container.served_across_a_sweep)
    }

    /// The names of all containers but the registry's.
    pub(crate) fn others(&self) -> Vec<String> {
        let state = self.state();
        let names = state.containers.values().map(|container| container.name.clone());
        names.filter(|name| name != REGISTRY).collect()
    }

    /// Somebody began to push to `repository` long ago, and broke off.
    pub(crate) fn leave_upload(&self, repository: &str) {
        self.state().left.upload(repository);
    }

    /// How many uploads lie in the store.
    pub(crate) fn uploads(&self) -> usize {
        self.state().left.uploads()
    }

    /// How many files lie in the store that nothing needs, whatever the registry shows.
    pub(crate) fn left_files(&self) -> usize {
        self.state().left.files()
    }

    /// `docker start`, by hand.
    pub(crate) fn start(&self, name: &str) {
        let mut state = self.state();
        let id = state.named(name).map(|container| container.id.clone()).expect("a container of this name");
        let _ = state.start(&id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    listener: std::os::unix::net::UnixListener,
    state: &Arc<Mutex<State>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let listener = UnixListener::from_std(listener).expect("a listener");
        let state = state.clone();
        let router = axum::Router::new().fallback(move |request| http::answer(state.clone(), request));
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            _ = stopped => {}
        }
    });
}

/// What an engine says about something that it has not, or that cannot be.
struct Refused(u16, String);

impl State {
    fn alarm(&mut self, what: impl Into<String>) {
        self.alarms.push(what.into());
    }

    fn named(&self, name: &str) -> Option<&Container> {
        self.containers.values().find(|container| container.name == name)
    }

    /// By name, id or the beginning of an id.
    fn find(&mut self, name: &str) -> Result<&mut Container, Refused> {
        let is_meant = |container: &&mut Container| container.name == name || container.id.starts_with(name);
        let found = self.containers.values_mut().find(is_meant);
        found.ok_or_else(|| Refused(404, format!("No such container: {name}")))
    }

    fn create(&mut self, name: &str, body: &Value) -> Result<Value, Refused> {
        if self.named(name).is_some() {
            return Err(Refused(
                409,
                format!("Conflict. The container name \"/{name}\" is already in use by container"),
            ));
        }
        let known =
            |reference: &str| self.named(reference).is_some() || self.containers.contains_key(reference);
        let container = Container::created(name, body, self.now, known);
        if container.role() == Role::Unknown {
            self.alarm(format!("nobody knows what {:?} does", container.words));
        }
        let id = container.id.clone();
        self.containers.insert(id.clone(), container);
        Ok(json!({ "Id": id, "Warnings": [] }))
    }

    /// Whether it was not running before.
    fn start(&mut self, id: &str) -> Result<bool, Refused> {
        let now = self.now;
        let container = self.find(id)?;
        if container.status == Status::Running {
            return Ok(false);
        }
        let ports = container.ports();
        let is_in_the_way =
            |other: &&Container| other.status == Status::Running && !other.ports().is_disjoint(&ports);
        if let Some(other) = self.containers.values().find(is_in_the_way) {
            let what = format!("port is already allocated: `{}` has it", other.name);
            return Err(Refused(500, what));
        }
        let container = self.find(id)?;
        container.begin(now);
        let is_writer = !container.is_read_only();
        match container.role() {
            Role::Serves => {
                if let Some(other) = self.containers.values().find(|other| is_writer && other.is_sweeping()) {
                    let what = format!("a registry was started while `{}` swept", other.name);
                    self.alarm(what);
                }
            }
            Role::Collects { dry } => self.begin_collection(id, dry)?,
            Role::Ends => {
                container.end(0);
            }
            Role::Waits | Role::Unknown => {}
        }
        self.follow_containers();
        Ok(true)
    }

    fn connect(&mut self, network: &str, container: &str) -> Result<(), Refused> {
        if !NETWORKS.contains(&network) {
            return Err(Refused(404, format!("network {network} not found")));
        }
        if self.find(container)?.networks.insert(network.to_owned()) {
            return Ok(());
        }
        Err(Refused(403, format!("endpoint with name {container} already exists in network {network}")))
    }

    /// Whether it was running before.
    fn stop(&mut self, id: &str) -> Result<bool, Refused> {
        let was_running = self.find(id)?.end(137);
        self.follow_containers();
        Ok(was_running)
    }

    fn remove(&mut self, id: &str, by_force: bool, with_volumes: bool) -> Result<(), Refused> {
        let container = self.find(id)?;
        let (id, name) = (container.id.clone(), container.name.clone());
        if container.status == Status::Running && !by_force {
            return Err(Refused(409, format!("You cannot remove a running container {id}")));
        }
        if name == REGISTRY || with_volumes {
            self.alarm(format!("`{name}` was removed, with volumes: {with_volumes}"));
        }
        self.containers.remove(&id);
        self.follow_containers();
        Ok(())
    }

    /// The port answers while something serves it, and what serves may be read-only.
    fn follow_containers(&mut self) {
        let mut serving = self.containers.values().filter(|container| container.is_serving()).peekable();
        let is_serving = serving.peek().is_some();
        let is_writable = serving.any(|container| !container.is_read_only());
        let deletion = if is_writable { Deletions::Enabled } else { Deletions::ReadOnly };
        self.registry.quirks(|quirks| quirks.deletion = deletion);
        if is_serving != self.is_serving {
            self.is_serving = is_serving;
            if is_serving { self.registry.start_serving() } else { self.registry.stop_serving() }
        }
    }

    /// Half of what is to go goes at once, the rest when somebody waits for the end: what is killed in between has
    /// swept a half.
    fn begin_collection(&mut self, id: &str, dry: bool) -> Result<(), Refused> {
        let writer = self.containers.values().find(|other| other.is_serving() && !other.is_read_only());
        if let Some(writer) = writer.filter(|_| !dry) {
            let what = format!("a sweep began while `{}` could write", writer.name);
            self.alarm(what);
        }
        let contents = self.contents_for(id)?;
        let found = collector::mark(contents.as_ref(), self.ailment);
        let (now, later) = found.eligible.split_at(found.eligible.len() / 2);
        if !dry {
            self.sweep(now);
        }
        let container = self.find(id)?;
        (container.stdout, container.stderr) = (found.stdout, found.stderr);
        container.will_end_with = found.exit_code;
        container.will_sweep = if dry { Vec::new() } else { later.to_vec() };
        Ok(())
    }

    /// What runs in the container comes to its end, if it is one that ends.
    fn wait(&mut self, id: &str) -> Result<i64, Refused> {
        let container = self.find(id)?;
        if container.status == Status::Running && !matches!(container.role(), Role::Serves | Role::Waits) {
            let rest = std::mem::take(&mut container.will_sweep);
            let code = container.will_end_with;
            self.sweep(&rest);
            self.find(id)?.end(code);
        }
        Ok(self.find(id)?.exit_code)
    }

    /// What a container sees of the store; `None` without its volume.
    fn contents_for(&mut self, id: &str) -> Result<Option<Contents>, Refused> {
        let sees = self.find(id)?.sees_store;
        Ok(sees.then(|| self.registry.change(|contents| contents.clone())))
    }

    fn sweep(&mut self, blobs: &[String]) {
        if blobs.is_empty() {
            return;
        }
        let left = &mut self.left;
        self.registry.change(|contents| {
            left.by_sweep(contents, blobs);
            collector::sweep(contents, blobs);
        });
        for container in self.containers.values_mut().filter(|container| container.is_serving()) {
            container.served_across_a_sweep = true;
        }
    }
}
