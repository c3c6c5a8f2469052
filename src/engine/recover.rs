//! Putting right what a killed run left: a registry that is stopped, and collectors that nobody waits for.
//!
//! A collector of a run that is still at work must be left alone. On the machine of that run its process can be
//! looked up; from elsewhere only what the engine shows can be judged, twice with a pause in between, since a run at
//! work does not stay in the short states between its steps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, HostConfig};
use jiff::{SignedDuration, Timestamp};

use super::Engine;
use super::collector::{COLLECTOR, LIVE, Mode, OWNER, REGISTRY, ROLE, WAS_RUNNING};
use super::find::name_of;
use super::owner::{Life, Owner};
use crate::error::Failure;

/// Between making the collectors and stopping the registry lie moments; this allows for a slow engine.
const OPENING: SignedDuration = SignedDuration::from_mins(10);
const BETWEEN_STEPS: Duration = Duration::from_secs(3);

/// The collectors of one registry and what they tell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leftover {
    collectors: Vec<Trace>,
    /// `None`: the registry's container is gone.
    registry: Option<RegistryTrace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trace {
    name: String,
    state: ContainerSummaryStateEnum,
    created: i64,
    owner: Option<Life>,
    was_running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistryTrace {
    name: String,
    is_running: bool,
    ports: Vec<u16>,
}

/// What was found of other runs.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What was put right, in sentences.
    pub(crate) done: Vec<String>,
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
    /// Puts right what killed runs left, on whichever registry of this engine.
    pub(crate) async fn recover(&self) -> Result<Recovered> {
        let first = self.leftovers().await?;
        if first.is_empty() {
            return Ok(Recovered::default());
        }
        let now = self.engine_time().await?;
        let verdicts: Vec<Verdict> = first.values().map(|leftover| leftover.judge(now)).collect();
        let second = if verdicts.contains(&Verdict::LooksDead) {
            self.pace.pause(BETWEEN_STEPS).await;
            self.leftovers().await?
        } else {
            first.clone()
        };
        let mut recovered = Recovered::default();
        for ((registry, leftover), verdict) in first.iter().zip(verdicts) {
            match second.get(registry) {
                // Its run has put everything back itself meanwhile.
                None => {}
                Some(now) if verdict != Verdict::AtWork && now == leftover => {
                    recovered.done.push(self.put_right(registry, leftover).await?);
                }
                Some(_) => {
                    let ports = leftover.registry.as_ref().map_or_else(Vec::new, |found| found.ports.clone());
                    let busy = Busy { refusal: leftover.somebody_elses(), ports };
                    recovered.at_work.insert(registry.clone(), busy);
                }
            }
        }
        Ok(recovered)
    }

    async fn put_right(&self, registry: &str, leftover: &Leftover) -> Result<String> {
        // No collector may be at work when the registry starts. What has ended stays until it has, in case this run is
        // killed as well.
        let (at_work, ended): (Vec<_>, Vec<_>) = leftover
            .collectors
            .iter()
            .partition(|collector| collector.state == ContainerSummaryStateEnum::RUNNING);
        for collector in at_work {
            self.remove_collector(&collector.name).await?;
        }
        let done = self.put_in_service(registry, leftover).await?;
        for collector in ended {
            self.remove_collector(&collector.name).await?;
        }
        Ok(done)
    }

    async fn put_in_service(&self, registry: &str, leftover: &Leftover) -> Result<String> {
        Ok(match &leftover.registry {
            Some(found) if !found.is_running && leftover.was_running() => {
                self.start_again(&found.name, registry).await?;
                format!("An interrupted collection had left `{}` stopped: it was started again.", found.name)
            }
            Some(found) if found.is_running && leftover.has_swept() => {
                self.start_afresh(&found.name, registry).await?;
                format!("`{}` served while an interrupted collection swept: it was restarted.", found.name)
            }
            Some(found) => {
                format!("The containers of an interrupted collection of `{}` were removed.", found.name)
            }
            None => "The containers of a collection whose registry is gone were removed.".to_owned(),
        })
    }

    async fn leftovers(&self) -> Result<BTreeMap<String, Leftover>> {
        let mut leftovers: BTreeMap<String, Leftover> = BTreeMap::new();
        let collectors = self.list(true, Some(format!("{ROLE}={COLLECTOR}"))).await;
        for collector in collectors.context("look for interrupted collections")? {
            let Some(registry) = label(&collector, REGISTRY).map(ToOwned::to_owned) else {
                continue;
            };
            leftovers
                .entry(registry)
                .or_insert_with(|| Leftover { collectors: Vec::new(), registry: None })
                .collectors
                .push(Trace {
                    name: name_of(&collector),
                    state: collector.state.unwrap_or(ContainerSummaryStateEnum::EMPTY),
                    created: collector.created.unwrap_or_default(),
                    owner: label(&collector, OWNER).map(Owner::life),
                    was_running: label(&collector, WAS_RUNNING) == Some("true"),
                });
        }
        for (id, leftover) in &mut leftovers {
            leftover.collectors.sort_by(|one, other| one.name.cmp(&other.name));
            leftover.registry = self.inspect(id).await?.map(|found| RegistryTrace {
                name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
                is_running: found.state.and_then(|state| state.running) == Some(true),
                ports: published_ports(found.host_config),
            });
        }
        Ok(leftovers)
    }

    /// The clock by which the engine dates its containers.
    async fn engine_time(&self) -> Result<Timestamp> {
        let info = self.docker.info().await.context("ask the engine for its time")?;
        let time = info.system_time.context("the engine does not tell its time")?;
        time.parse().with_context(|| format!("read the engine's time `{time}`"))
    }
}

impl Leftover {
    fn judge(&self, now: Timestamp) -> Verdict {
        // The process is known to live or known to be gone: nothing else need be looked at.
        if self.collectors.iter().any(|collector| collector.owner == Some(Life::Alive)) {
            return Verdict::AtWork;
        }
        if self.collectors.iter().all(|collector| collector.owner == Some(Life::Dead)) {
            return Verdict::Dead;
        }
        let is_recent = |collector: &Trace| {
            Timestamp::from_second(collector.created)
                .is_ok_and(|created| now.duration_since(created) < OPENING)
        };
        let is_at_work = |collector: &Trace| collector.state == ContainerSummaryStateEnum::RUNNING;
        let is_opening = |collector: &Trace| {
            let waits = collector.state == ContainerSummaryStateEnum::CREATED;
            waits
                && self.registry.as_ref().is_some_and(|registry| registry.is_running)
                && is_recent(collector)
        };
        if self.collectors.iter().any(|collector| is_at_work(collector) || is_opening(collector)) {
            Verdict::AtWork
        } else {
            Verdict::LooksDead
        }
    }

    fn was_running(&self) -> bool {
        self.collectors.iter().any(|collector| collector.was_running)
    }

    /// Whether a sweep began. Its run removes the collector that swept before it starts the registry.
    fn has_swept(&self) -> bool {
        let suffix = Mode::Real.suffix();
        self.collectors.iter().any(|collector| {
            let has_run =
                collector.name.ends_with(suffix) && collector.state != ContainerSummaryStateEnum::CREATED;
            has_run || collector.name.ends_with(LIVE)
        })
    }

    fn somebody_elses(&self) -> Failure {
        let registry = self.registry.as_ref().map_or("a registry", |registry| registry.name.as_str());
        let names: Vec<&str> = self.collectors.iter().map(|collector| collector.name.as_str()).collect();
        let names = names.join(" ");
        Failure::refused(format!("another run is collecting the garbage of `{registry}` ({names})")).hint(format!(
            "wait for it; if that run is dead, `docker rm -f {names} && docker start {registry}` puts the registry back"
        ))
    }
}

fn published_ports(host: Option<HostConfig>) -> Vec<u16> {
    let bindings = host.and_then(|host| host.port_bindings).unwrap_or_default();
    let ports = bindings
        .into_values()
        .flatten()
        .flatten()
        .map(|binding| binding.host_port.and_then(|port| port.parse().ok()).filter(|&port| port != 0));
    // One of the engine's choice may be any.
    ports.collect::<Option<Vec<u16>>>().unwrap_or_default()
}

fn label<'a>(container: &'a ContainerSummary, name: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::PortBinding;

    use super::*;
    use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};

    fn leftover(states: &[ContainerSummaryStateEnum], owner: Option<Life>, registry_runs: bool) -> Leftover {
        let trace = |&state| Trace { name: "x".to_owned(), state, created: 1_000, owner, was_running: true };
        Leftover {
            collectors: states.iter().map(trace).collect(),
            registry: Some(RegistryTrace {
                name: "registry".to_owned(),
                is_running: registry_runs,
                ports: Vec::new(),
            }),
        }
    }

    fn judge(leftover: &Leftover, seconds_later: i64) -> Verdict {
        leftover.judge(Timestamp::from_second(1_000 + seconds_later).unwrap())
    }

    #[test]
    fn a_registry_at_another_port_is_not_the_one_that_does_not_answer() {
        let at = |ports: &[&str]| {
            let binding = |port: &&str| PortBinding { host_port: Some((*port).to_owned()), host_ip: None };
            let bindings =
                HashMap::from([("5000/tcp".to_owned(), Some(ports.iter().map(binding).collect()))]);
            let host = HostConfig { port_bindings: Some(bindings), ..HostConfig::default() };
            Busy { refusal: Failure::refused("busy"), ports: published_ports(Some(host)) }
        };
        assert!(at(&["5000"]).may_be_at(Some(5000)));
        assert!(!at(&["5000"]).may_be_at(Some(5001)));
        assert!(at(&[""]).may_be_at(Some(5001)), "a port of the engine's choice");
        assert!(at(&[]).may_be_at(Some(5001)), "the host's network");
    }

    #[test]
    fn a_known_process_decides() {
        assert_eq!(judge(&leftover(&[CREATED, CREATED], Some(Life::Dead), true), 1), Verdict::Dead);
        assert_eq!(judge(&leftover(&[RUNNING, CREATED], Some(Life::Dead), false), 1), Verdict::Dead);
        assert_eq!(judge(&leftover(&[EXITED, CREATED], Some(Life::Alive), false), 9_999), Verdict::AtWork);
    }

    #[test]
    fn an_unknown_process_is_judged_by_what_the_engine_shows() {
        let unknown = Some(Life::Unknown);
        assert_eq!(judge(&leftover(&[RUNNING, CREATED], unknown, false), 9_999), Verdict::AtWork);
        assert_eq!(judge(&leftover(&[CREATED, CREATED], unknown, true), 30), Verdict::AtWork);
        assert_eq!(judge(&leftover(&[CREATED, CREATED], None, true), 9_999), Verdict::LooksDead);
        assert_eq!(judge(&leftover(&[CREATED, CREATED], unknown, false), 30), Verdict::LooksDead);
        assert_eq!(judge(&leftover(&[EXITED, CREATED], unknown, false), 30), Verdict::LooksDead);
        assert_eq!(judge(&leftover(&[EXITED, EXITED], unknown, true), 30), Verdict::LooksDead);
    }
}
