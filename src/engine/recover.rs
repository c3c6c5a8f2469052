//! Putting right what a killed run left: a registry that is stopped, and one-off containers that nobody waits for.
//!
//! What a run that is still at work has made must be left alone. On the machine of that run its process can be looked
//! up; from elsewhere only what the engine shows can be judged, twice with a pause in between, since a run at work does
//! not stay in the short states between its steps. Of several that want to put the same registry right one does, and
//! the others wait for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::ask::{ContainerSummary, SummaryState};
use super::find::{label_of, name_of};
use super::journal::{HOST, Journal, MODE, OWNER, REGISTRY, ROLE, Role, WAS_RUNNING, busy, label, owner_of};
use super::owner::{Life, Owner};
use super::put_back::Closing;
use super::redis::Server;
use super::window::{Manner, interrupted};
use super::{Certainty, Engine, RegistryContainer};
use crate::cancel::Cancel;
use crate::error::Failure;

/// Between making the collectors and the first of them at work lie moments; this allows for a slow engine.
const OPENING: SignedDuration = SignedDuration::from_mins(10);
const BETWEEN_STEPS: Duration = Duration::from_secs(3);
/// Longer than putting a registry right can take.
const RECOVERS_WITHIN: SignedDuration = SignedDuration::from_mins(5);
/// Each look beyond the first is owed to somebody else who was at it.
const LOOKS: usize = 3;

/// The journal of one registry and what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leftover {
    /// Empty, if somebody who put things right was killed at the very end.
    containers: Vec<Trace>,
    /// That of the registry, as all of them have it.
    image: String,
    /// `None`: the registry's container is gone.
    registry: Option<RegistryTrace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trace {
    id: String,
    name: String,
    role: Role,
    state: SummaryState,
    created: i64,
    /// In words.
    owner: Option<String>,
    life: Option<Life>,
    was_running: bool,
    is_live: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistryTrace {
    name: String,
    is_running: bool,
    /// A command runs inside: a live collection goes on after its client has been killed.
    is_busy: bool,
    ports: Vec<u16>,
}

/// What was found of other runs.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What was put right, in sentences.
    pub(crate) done: Vec<String>,
    /// What could not be.
    pub(crate) warnings: Vec<anyhow::Error>,
    /// Runs that are at work, by the id of the registry's container.
    pub(crate) at_work: BTreeMap<String, Busy>,
}

/// A registry that another run is collecting.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) refusal: Failure,
    /// The host's ports it is published at when it runs; those of the engine's choice are not known before.
    ports: Vec<u16>,
}

impl Busy {
    /// Whether this may be the registry at `port` to which no connection could be made.
    pub(crate) fn may_be_at(&self, port: Option<u16>) -> bool {
        self.ports.is_empty() || port.is_none_or(|port| self.ports.contains(&port))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Its run is at work, as far as can be told.
    AtWork,
    Dead,
    /// Dead if it looks the same a little later.
    LooksDead,
}

impl Engine {
    /// Puts right what killed runs left: on `only` one registry, or on whichever of this engine. Cancelled, it ends
    /// between two registries.
    pub(crate) async fn recover(&self, only: Option<&str>, cancel: &Cancel) -> Result<Recovered> {
        let (_, recovered) =
            tokio::join!(self.remove_left_connections(only), self.put_all_right(only, cancel));
        recovered
    }

    async fn put_all_right(&self, only: Option<&str>, cancel: &Cancel) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for _ in 0..LOOKS {
            let first = self.leftovers(only).await?;
            if first.is_empty() {
                return Ok(recovered);
            }
            recovered.at_work.clear();
            let now = self.engine_time().await?;
            let verdicts: Vec<Verdict> = first.values().map(|leftover| leftover.judge(now)).collect();
            let second = if verdicts.contains(&Verdict::LooksDead) {
                self.pause(BETWEEN_STEPS, cancel).await?;
                self.leftovers(only).await?
            } else {
                first.clone()
            };
            let mut has_changed = false;
            for ((registry, leftover), verdict) in first.iter().zip(verdicts) {
                match second.get(registry) {
                    // Its run has put everything back itself meanwhile.
                    None => {}
                    Some(now) if verdict != Verdict::AtWork && now == leftover => {
                        match self.put_right(registry, leftover, cancel, &mut recovered.warnings).await? {
                            Some(sentence) => recovered.done.push(sentence),
                            None => has_changed = true,
                        }
                    }
                    Some(_) => {
                        let ports = leftover.registry.as_ref().map(|found| found.ports.clone());
                        let busy =
                            Busy { refusal: leftover.somebody_elses(), ports: ports.unwrap_or_default() };
                        recovered.at_work.insert(registry.clone(), busy);
                    }
                }
            }
            if !has_changed {
                break;
            }
        }
        Ok(recovered)
    }

    /// `None`: it is another maintenance by now.
    async fn put_right(
        &self,
        registry: &str,
        leftover: &Leftover,
        cancel: &Cancel,
        warnings: &mut Vec<anyhow::Error>,
    ) -> Result<Option<String>> {
        if cancel.is_cancelled() {
            return Err(interrupted());
        }
        self.take_turn(registry, leftover, cancel).await?;
        let name = leftover.name();
        let result = async {
            match self.leftovers(Some(registry)).await?.get(registry) {
                Some(now) if !now.containers.is_empty() && !now.is_still(leftover) => Ok(None),
                // The lock of the dead run is still there, so nobody has begun another one.
                Some(now) if !now.containers.is_empty() => {
                    self.put_right_alone(registry, leftover, warnings).await.map(Some)
                }
                _ => Ok(Some(format!("What an interrupted collection of `{name}` had left was put right."))),
            }
        }
        .await;
        // What cannot be removed now the next one takes for what it is: its process is gone.
        let _ = self.remove_one_off(&Journal::of(registry).recovery).await;
        result
    }

    async fn put_right_alone(
        &self,
        registry: &str,
        leftover: &Leftover,
        warnings: &mut Vec<anyhow::Error>,
    ) -> Result<String> {
        let name = leftover.name();
        let Some(found) = &leftover.registry else {
            self.remove_journal(&Journal::of(registry)).await?;
            return Ok("The containers of a collection whose registry is gone were removed.".to_owned());
        };
        let (was_running, has_swept) = (leftover.was_running(), leftover.has_swept());
        let redis = if has_swept { self.remembers_in(registry).await } else { None };
        let closing = Closing { name, id: registry, was_running, has_swept, redis: redis.as_ref() };
        let closed = self.put_back(&closing).await;
        warnings.extend(closed.forgotten.and_then(Result::err));
        closed.restored?;
        let stood_in = leftover
            .containers
            .iter()
            .any(|trace| trace.role == Role::StandIn && trace.state != SummaryState::Created);
        Ok(match found.is_running {
            false if !was_running => {
                format!("The containers of an interrupted collection of `{name}` were removed.")
            }
            false if stood_in => format!(
                "An interrupted collection had left `{name}` stopped and a read-only stand-in in its place: it was started again."
            ),
            false => {
                format!("An interrupted collection had left `{name}` stopped: it was started again.")
            }
            true if has_swept => {
                format!("`{name}` was running while an interrupted collection swept: it was restarted.")
            }
            true => format!("The containers of an interrupted collection of `{name}` were removed."),
        })
    }

    /// The cache that outlives the registry. Where that cannot be found out there may be one.
    async fn remembers_in(&self, registry: &str) -> Option<Result<Server, String>> {
        let known = async {
            let found = self.inspect(registry).await?.context("the container is gone")?;
            let container = RegistryContainer::from_engine(found, String::new(), Certainty::Sure);
            self.store_configuration(&container).await
        };
        match known.await {
            Ok(store) => store.redis,
            Err(error) => Some(Err(format!("{error:#}"))),
        }
    }

    /// The engine gives a name once: who has it puts the registry right. Others wait until it is gone, unless its
    /// process is.
    async fn take_turn(&self, registry: &str, leftover: &Leftover, cancel: &Cancel) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(300);
        let name = Journal::of(registry).recovery;
        let since = Instant::now();
        while !self.create_recovery(registry, &leftover.image).await? {
            let Some(found) = self.inspect(&name).await? else { continue };
            let owner = label(&found, OWNER);
            let created = found.created.as_ref().and_then(|created| created.parse::<Timestamp>().ok());
            let is_gone = match owner.map_or(Life::Unknown, Owner::life) {
                Life::Dead => true,
                Life::Alive => false,
                Life::Unknown => {
                    let now = self.engine_time().await?;
                    created.is_none_or(|created| now.duration_since(created) > RECOVERS_WITHIN)
                }
            };
            if is_gone && let Some(id) = &found.id {
                // By its id: the name may be somebody else's by now.
                self.remove_one_off(id).await?;
            } else if since.elapsed() > PATIENCE {
                return Err(busy(leftover.name(), &[&name], owner_of(&found), created).into());
            } else {
                self.pause(Duration::from_millis(250), cancel).await?;
            }
        }
        Ok(())
    }

    async fn leftovers(&self, only: Option<&str>) -> Result<BTreeMap<String, Leftover>> {
        let filter = only.map_or_else(|| ROLE.to_owned(), |registry| format!("{REGISTRY}={registry}"));
        let containers = self.list(true, Some(filter)).await.context("look for interrupted collections")?;
        let mut leftovers: BTreeMap<String, Leftover> = BTreeMap::new();
        for container in containers {
            let Some(registry) = label_of(&container, REGISTRY) else { continue };
            if label_of(&container, ROLE) == Some(Role::Reader.label()) {
                self.remove_if_abandoned(&container).await;
                continue;
            }
            let image = container.image_id.clone().unwrap_or_default();
            leftovers
                .entry(registry.to_owned())
                .or_insert_with(|| Leftover { containers: Vec::new(), image, registry: None })
                .containers
                .extend(Trace::of(&container));
        }
        for (id, leftover) in &mut leftovers {
            leftover.containers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            leftover.registry = self.inspect(id).await?.map(|found| RegistryTrace {
                name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
                is_running: found.state.and_then(|state| state.running) == Some(true),
                is_busy: found.exec_ids.is_some_and(|running| !running.is_empty()),
                ports: published_ports(&found.host_config),
            });
        }
        Ok(leftovers)
    }

    async fn pause(&self, time: Duration, cancel: &Cancel) -> Result<()> {
        tokio::select! {
            () = self.pace.pause(time) => Ok(()),
            () = cancel.cancelled() => Err(interrupted()),
        }
    }
}

impl Trace {
    /// `None` for what only says that somebody puts things right.
    fn of(container: &ContainerSummary) -> Option<Self> {
        let role = label_of(container, ROLE).and_then(Role::of).filter(|role| *role != Role::Recovery)?;
        let owner = label_of(container, OWNER);
        Some(Self {
            id: container.id.clone().unwrap_or_default(),
            name: name_of(container),
            role,
            state: container.state.unwrap_or(SummaryState::Other),
            created: container.created.unwrap_or_default(),
            owner: owner.and_then(|owner| Owner::describe(owner, label_of(container, HOST))),
            life: owner.map(Owner::life),
            was_running: label_of(container, WAS_RUNNING) == Some("true"),
            is_live: label_of(container, MODE) == Some(Manner::Live.name()),
        })
    }
}

impl Leftover {
    fn judge(&self, now: Timestamp) -> Verdict {
        // The process is known to live or known to be gone: nothing else need be looked at.
        if self.containers.iter().any(|trace| trace.life == Some(Life::Alive)) {
            return Verdict::AtWork;
        }
        if self.containers.iter().all(|trace| trace.life == Some(Life::Dead)) {
            return Verdict::Dead;
        }
        if self.is_at_work() || self.is_opening(now) { Verdict::AtWork } else { Verdict::LooksDead }
    }

    fn collectors(&self) -> impl Iterator<Item = &Trace> {
        self.containers.iter().filter(|trace| trace.role == Role::Collector)
    }

    fn is_at_work(&self) -> bool {
        let is_busy = self.registry.as_ref().is_some_and(|registry| registry.is_busy);
        self.collectors().any(|trace| trace.state == SummaryState::Running || (trace.is_live && is_busy))
    }

    /// No collector has run: the registry has not been stopped yet, or its stand-in is still being looked at.
    fn is_opening(&self, now: Timestamp) -> bool {
        let serves = self.registry.as_ref().is_some_and(|registry| registry.is_running)
            || self
                .containers
                .iter()
                .any(|trace| trace.role == Role::StandIn && trace.state == SummaryState::Running);
        let is_recent = |trace: &Trace| {
            Timestamp::from_second(trace.created).is_ok_and(|created| now.duration_since(created) < OPENING)
        };
        serves && self.collectors().all(|trace| trace.state == SummaryState::Created && is_recent(trace))
    }

    fn was_running(&self) -> bool {
        self.containers.iter().any(|trace| trace.was_running)
    }

    /// Whether a sweep began. In a live collection its trace is made just before.
    fn has_swept(&self) -> bool {
        self.containers.iter().any(|trace| {
            (trace.name.ends_with("-sweep") || trace.name.ends_with("-tidy"))
                && (trace.is_live || trace.state != SummaryState::Created)
        })
    }

    /// Whether nobody but one who put things right, and was killed, has been at it since.
    fn is_still(&self, earlier: &Self) -> bool {
        self.containers.iter().all(|trace| earlier.containers.iter().any(|then| then.id == trace.id))
    }

    fn name(&self) -> &str {
        self.registry.as_ref().map_or("a registry", |registry| registry.name.as_str())
    }

    fn somebody_elses(&self) -> Failure {
        let names: Vec<&str> = self.containers.iter().map(|trace| trace.name.as_str()).collect();
        let owner = self.containers.iter().find_map(|trace| trace.owner.clone());
        let since = self.containers.iter().map(|trace| trace.created).min();
        let since = since.and_then(|seconds| Timestamp::from_second(seconds).ok());
        busy(self.name(), &names, owner, since)
    }
}

fn published_ports(host: &Value) -> Vec<u16> {
    let bindings = host["PortBindings"].as_object().into_iter().flatten();
    let ports = bindings
        .flat_map(|(_, at)| at.as_array().into_iter().flatten())
        .map(|binding| binding["HostPort"].as_str()?.parse().ok().filter(|&port| port != 0));
    // One of the engine's choice may be any.
    ports.collect::<Option<Vec<u16>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests;
