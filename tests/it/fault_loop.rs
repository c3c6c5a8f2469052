//! The fault loop: a run without faults is recorded as requests to the registry and to the engine. Then each of them
//! goes wrong in every way, in a run of its own, and whatever happened: what is kept is whole, the registry serves or
//! that it does not is said, the report names what was done, and running again reaches the same end.
//!
//! A new request of the tool is a new case without a word here; a new way of collecting is a line in [`JOBS`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::fake_registry::contents::Contents;

mod stage;
mod verdict;
mod world;

use stage::{Step, Trouble};
use verdict::judge;
use world::World;

/// What is run, and how it collects.
pub(crate) struct Job {
    name: &'static str,
    words: &'static [&'static str],
}

const PRUNE: &[&str] = &["prune", "--force", "--older-than", "30d", "--filter", "tag=old*"];

const JOBS: &[Job] = &[
    Job { name: "prune", words: PRUNE },
    Job {
        name: "rm",
        words: &["rm", "--force", "--gc", "app:old", "app:old-index", "app:old-alias", "base:old"],
    },
    Job {
        name: "live",
        words: &["prune", "--force", "--older-than", "30d", "--filter", "tag=old*", "--gc-mode", "live"],
    },
];

const TROUBLES: &[Trouble] = &[
    Trouble::Refused(401),
    Trouble::Refused(409),
    Trouble::Refused(500),
    Trouble::Hangs,
    Trouble::CutBefore,
    Trouble::CutAfter,
    Trouble::KilledBefore,
    Trouble::KilledAfter,
    Trouble::Terminated,
    Trouble::InterruptedTwice,
];

/// `all` leaves no case out; other words choose the cases that have them in their names.
const CHOICE: &str = "FAULT_LOOP";
/// Of the cases every so many are run by default: every request and every trouble has its turn, the same ones always.
const EVERY: usize = 11;
const AT_ONCE: usize = 4;

impl Case<'_> {
    fn name(&self) -> String {
        format!("{}, {:?} at {}", self.job.name, self.trouble, self.step)
    }
}

struct Case<'a> {
    job: &'a Job,
    step: &'a Step,
    trouble: Trouble,
    end: &'a Contents,
}

#[test]
#[expect(clippy::print_stdout, reason = "how many cases there were, and how long they took")]
fn whatever_goes_wrong_at_whichever_request_nothing_kept_is_harmed() {
    let recorded: Vec<_> = JOBS.iter().map(record).collect();
    let cases: Vec<Case> = JOBS
        .iter()
        .zip(&recorded)
        .flat_map(|(job, (steps, end))| {
            let case = move |step, trouble| Case { job, step, trouble, end };
            steps.iter().flat_map(move |step| TROUBLES.iter().map(move |trouble| case(step, *trouble)))
        })
        .collect();
    let chosen: Vec<&Case> = match choice().as_deref() {
        None => cases.iter().step_by(EVERY).collect(),
        Some("all") => cases.iter().collect(),
        Some(words) => cases.iter().filter(|case| case.name().contains(words)).collect(),
    };
    let began = Instant::now();
    let violations = run(&chosen);
    println!("{} of {} cases in {:.0?}", chosen.len(), cases.len(), began.elapsed());
    assert!(violations.is_empty(), "{} violations\n{}", violations.len(), violations.join("\n"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads its own environment, this is the test's"
)]
fn choice() -> Option<String> {
    std::env::var(CHOICE).ok()
}

/// The requests of a run without faults, and what it leaves.
fn record(job: &Job) -> (Vec<Step>, Contents) {
    let world = World::new();
    let answer = world.run(job.words).exits(0);
    assert_eq!(world.engine.alarms(), [""; 0], "{answer}");
    let steps = world.stage.steps();
    let (end, kept) = (world.contents(), world.kept());
    assert_eq!(verdict::broken(&kept, &end), [""; 0], "{answer}");
    assert!(end.repositories.values().all(|found| found.tags.keys().all(|tag| !tag.starts_with("old"))));
    assert!(end.unlinked.is_empty(), "{answer}");
    assert!(steps.len() > 40, "{}: {steps:#?}", job.name);
    (steps, end)
}

fn run(cases: &[&Case]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let violations = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = judge(case.job, case.step, case.trouble, case.end);
                    let name = case.name();
                    let found = found.into_iter().map(|what| format!("== {name}\n{what}"));
                    violations.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    violations.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}
