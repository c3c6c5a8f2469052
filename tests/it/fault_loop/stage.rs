//! One journal for everything a run asks of registry and engine, and the one request at which something happens.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fake_registry::quirks::{Act, Effect, Gate};

/// What happens at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing is done, and this status is said.
    Refused(u16),
    Hangs,
    CutBefore,
    CutAfter,
    KilledBefore,
    KilledAfter,
    Terminated,
    /// Twice Ctrl-C, once the effect is there.
    InterruptedTwice,
}

impl Trouble {
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }

    pub(crate) fn interrupts(self) -> bool {
        matches!(self, Self::Terminated | Self::InterruptedTwice)
    }
}

/// A request that is the same one in every run, whatever else is on its way at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    request: String,
    /// From 1, among the same requests.
    occurrence: usize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.request, self.occurrence)
    }
}

#[derive(Clone)]
pub(crate) struct Stage(Arc<Mutex<Play>>);

struct Play {
    /// Digests that do not change from run to run.
    known: BTreeSet<String>,
    steps: Vec<Step>,
    seen: HashMap<String, usize>,
    planned: Option<(Step, Trouble)>,
    process: Option<u32>,
}

impl Stage {
    pub(crate) fn new(known: BTreeSet<String>) -> Self {
        Self(Arc::new(Mutex::new(Play {
            known,
            steps: Vec::new(),
            seen: HashMap::new(),
            planned: None,
            process: None,
        })))
    }

    pub(crate) fn plan(&self, step: &Step, trouble: Trouble) {
        self.play().planned = Some((step.clone(), trouble));
    }

    /// Whether what was planned is still to come.
    pub(crate) fn is_pending(&self) -> bool {
        self.play().planned.is_some()
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.play().steps.clone()
    }

    pub(crate) fn began(&self, process: u32) {
        self.play().process = Some(process);
    }

    /// `who` is asked.
    pub(crate) fn gate(&self, who: &'static str) -> Gate {
        let stage = self.clone();
        Gate::new(move |request| stage.arrived(who, request))
    }

    fn arrived(&self, who: &str, request: &str) -> Option<Effect> {
        let trouble = self.play().note(who, request)?;
        Some(match trouble {
            Trouble::Refused(status) => Effect::Answer(status, Vec::new(), String::new()),
            Trouble::Hangs => Effect::Hang,
            Trouble::CutBefore => Effect::CutBefore,
            Trouble::CutAfter => Effect::CutAfter,
            Trouble::KilledBefore => {
                kill(self.process());
                Effect::CutBefore
            }
            Trouble::KilledAfter => {
                let process = self.process();
                Effect::Then(Act::new(move || kill(process)))
            }
            Trouble::Terminated => {
                signal(self.process(), "TERM");
                return None;
            }
            Trouble::InterruptedTwice => {
                let process = self.process();
                Effect::Then(Act::new(move || {
                    signal(process, "INT");
                    signal(process, "INT");
                }))
            }
        })
    }

    fn process(&self) -> u32 {
        loop {
            if let Some(process) = self.play().process {
                return process;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Comes back when it is dead.
fn kill(process: u32) {
    signal(process, "KILL");
    while is_alive(process) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Gives the process a moment to take notice. One that the first signal has ended gets no second one.
fn signal(process: u32, name: &str) {
    if is_alive(process) {
        let mut kill = Command::new("kill");
        kill.args(["-s", name, &process.to_string()]).stderr(Stdio::null());
        let _ = kill.status().expect("run kill");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

impl Play {
    fn note(&mut self, who: &str, request: &str) -> Option<Trouble> {
        let request = format!("{who}: {}", self.without_chance(request));
        let occurrence = self.seen.entry(request.clone()).or_default();
        *occurrence += 1;
        let step = Step { request, occurrence: *occurrence };
        let is_due = self.planned.as_ref().is_some_and(|(planned, _)| *planned == step);
        self.steps.push(step);
        let (_, trouble) = self.planned.take_if(|_| is_due)?;
        Some(trouble)
    }

    /// What a run makes up is told by what it is.
    fn without_chance(&self, request: &str) -> String {
        const QUESTION: &str = "docker-registry-prune-asks-";
        const DIGITS: usize = 64;
        if let Some((before, _)) = request.split_once(QUESTION) {
            return format!("{before}{QUESTION}…");
        }
        let digests = request
            .match_indices("sha256:")
            .filter_map(|(start, _)| request.get(start..start + "sha256:".len() + DIGITS));
        let made_up: Vec<&str> =
            digests.filter(|digest| !self.known.contains(*digest) && !digest.ends_with("000000")).collect();
        made_up.iter().fold(request.to_owned(), |text, digest| text.replace(digest, "sha256:…"))
    }
}
