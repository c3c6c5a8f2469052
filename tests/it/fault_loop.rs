//! The fault loop: a run without faults is recorded as requests to the registry and to the engine. Then each of them
//! goes wrong in every way, in a run of its own, and whatever happened: what is kept is whole, the registry serves or
//! that it does not is said, the report names what was done, and running again reaches the same end.
//!
//! A new request of the tool is a new case without a word here; a new way of collecting is a line in [`JOBS`].

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

mod stage;
mod verdict;
mod world;

use crate::run::Answer;

use stage::{Step, Trouble};
use verdict::judge;
use world::{Store, World};

/// What is run, and how it collects.
pub(crate) struct Job {
    name: &'static str,
    words: &'static [&'static str],
    mode: &'static str,
    source: &'static str,
}

impl Job {
    /// Its words, or what is left of them to be said.
    fn run(&self, world: &World, words: &[&str]) -> Answer {
        world.run(&[words, &["--gc-mode", self.mode, "--source", self.source]].concat())
    }
}

/// More goes than is usual, and of what was pushed just now.
const PRUNE: &[&str] = &[
    "prune",
    "--force",
    "--older-than",
    "30d",
    "--filter",
    "tag=old*",
    "--min-age",
    "none",
    "--max-delete",
    "100%",
];

const REMOVE: &[&str] =
    &["rm", "--force", "--gc", "app:old", "app:old-index", "app:old-alias", "base:old", "emptied:old"];

const JOBS: &[Job] = &[
    Job { name: "prune", words: PRUNE, mode: "offline", source: "auto" },
    Job { name: "prune by the API", words: PRUNE, mode: "offline", source: "api" },
    Job { name: "rm", words: REMOVE, mode: "offline", source: "auto" },
    Job { name: "rm by the API", words: REMOVE, mode: "offline", source: "api" },
    Job { name: "live", words: PRUNE, mode: "live", source: "store" },
    Job { name: "read-only", words: PRUNE, mode: "read-only", source: "auto" },
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
/// Of the cases every so many are run by default: every trouble has its turn all along a run, the same cases always.
const EVERY: usize = 23;
/// Most of a case is waiting.
const AT_ONCE: usize = 8;

/// What the loop has found once it looks at again by default: how such a case begins, and words from its request.
const NEVER_LEFT_OUT: &[(&str, &str)] = &[
    // A run that was killed between the end of the collectors and the start left the registry stopped for good,
    ("prune, KilledBefore", "POST /containers/registry/start"),
    // or, live, serving with what it remembers of blobs that are gone.
    ("live, KilledBefore", "POST /containers/registry/stop"),
    // An error after the beginning of a sweep was told as if nothing had been swept.
    ("prune, Refused(409)", "GET /containers/json?all=false"),
    ("live, CutAfter", "POST /exec/registry garbage-collect /etc"),
    // A date that could not be read was told as one that is not there.
    ("prune by the API, Refused(409)", "GET /v2/base/blobs/"),
    // Nothing was tidied up and nothing said so.
    ("read-only, Refused(409)", "exec sh -c for tool in"),
];

impl Case<'_> {
    fn is(&self, (beginning, words): &(&str, &str)) -> bool {
        let name = self.name();
        name.starts_with(beginning) && name.contains(words)
    }

    fn name(&self) -> String {
        format!("{}, {:?} at {}", self.job.name, self.trouble, self.step)
    }
}

struct Case<'a> {
    job: &'a Job,
    step: &'a Step,
    trouble: Trouble,
    end: &'a Store,
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
        None => {
            let is_old = |case: &Case| NEVER_LEFT_OUT.iter().any(|old| case.is(old));
            let cases = cases.iter().enumerate();
            cases.filter(|(at, case)| at % EVERY == 0 || is_old(case)).map(|(_, case)| case).collect()
        }
        Some("all") => cases.iter().collect(),
        Some(words) => cases.iter().filter(|case| case.name().contains(words)).collect(),
    };
    for old in NEVER_LEFT_OUT {
        assert!(cases.iter().any(|case| case.is(old)), "{old:?} is no case any more");
    }
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
fn record(job: &Job) -> (Vec<Step>, Store) {
    let world = World::new();
    let answer = job.run(&world, job.words).exits(0);
    assert_eq!(world.engine.alarms(), [""; 0], "{answer}");
    let steps = world.stage.steps();
    let (store, kept) = (world.store(), world.kept());
    let end = &store.contents;
    assert_eq!(verdict::broken(&kept, end), [""; 0], "{answer}");
    // A live collection leaves what only goes while nobody serves.
    if job.mode != "live" {
        assert_eq!(world.engine.left_files(), 0, "{answer}");
        assert!(!end.repositories.contains_key("emptied"), "{answer}");
    }
    assert!(end.repositories.values().all(|found| found.tags.keys().all(|tag| !tag.starts_with("old"))));
    assert!(end.unlinked.is_empty(), "{answer}");
    assert!(steps.len() > 40, "{}: {steps:#?}", job.name);
    (steps, store)
}

#[expect(clippy::print_stderr, reason = "what was found before a run is stopped is not lost")]
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
                    // At once, since a run of all cases is long.
                    let found = found.inspect(|what| eprintln!("{what}"));
                    violations.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    violations.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}
