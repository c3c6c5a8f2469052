//! The real docker pushes and pulls all through a collection: what it was told was pushed is there afterwards, a pull
//! only fails while nobody serves, and a push that is refused says so.
//!
//! Docker itself repeats neither a pull nor a push to which nobody answers.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::content::layer;
use crate::support::engine::{clean_pull, docker, docker_reads, docker_says, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

/// What a look from outside may be late by, on a busy machine.
const LATE: Duration = Duration::from_millis(500);

/// A time in which nobody served.
#[derive(Debug)]
struct Gap {
    since: Instant,
    until: Instant,
}

/// One `docker push` or `docker pull`.
#[derive(Debug)]
struct Attempt {
    reference: String,
    began: Instant,
    ended: Instant,
    answer: Answer,
}

impl Attempt {
    fn of(reference: &str, work: impl FnOnce(&str) -> Answer) -> Self {
        let began = Instant::now();
        let answer = work(reference);
        Self { reference: reference.to_owned(), began, ended: Instant::now(), answer }
    }

    fn has_succeeded(&self) -> bool {
        self.answer.code == Some(0)
    }

    fn meets(&self, gap: &Gap) -> bool {
        self.began < gap.until + LATE && self.ended + LATE > gap.since
    }

    /// The digest that `docker push` ends with.
    fn digest(&self) -> &str {
        let (_, digest) =
            self.answer.stdout.split_once("digest: ").unwrap_or_else(|| panic!("{}", self.answer));
        digest.split_whitespace().next().expect("a digest")
    }
}

/// What a registry's clients met with during a run.
#[derive(Debug, Default)]
struct Seen {
    gaps: Vec<Gap>,
    pulls: Vec<Attempt>,
    pushes: Vec<Attempt>,
}

impl Seen {
    /// What failed, and whether nobody served then.
    fn told(&self) -> String {
        let mut text = String::new();
        for gap in &self.gaps {
            let _ = writeln!(text, "nobody served for {:?}", gap.until - gap.since);
        }
        let (pulled, pushed) = (succeeded(&self.pulls).count(), succeeded(&self.pushes).count());
        let _ = writeln!(text, "{pulled} pulls and {pushed} pushes succeeded");
        for attempt in self.pulls.iter().chain(&self.pushes).filter(|attempt| !attempt.has_succeeded()) {
            let gap = self.gaps.iter().position(|gap| attempt.meets(gap));
            let _ = writeln!(text, "gap {gap:?}: {}", attempt.answer);
        }
        text
    }

    fn excused(&self, attempt: &Attempt) -> bool {
        attempt.has_succeeded() || self.gaps.iter().any(|gap| attempt.meets(gap))
    }

    fn pulls_between_the_gaps(&self) -> usize {
        let [first, second] = self.gaps.as_slice() else { return 0 };
        let is_between = |pull: &&Attempt| pull.began > first.until && pull.ended < second.since;
        succeeded(&self.pulls).filter(is_between).count()
    }

    /// Pushes that somebody who serves refused, in docker's words.
    fn refusals(&self) -> usize {
        self.pushes.iter().filter(|push| push.answer.mentions("Method not allowed")).count()
    }
}

fn succeeded(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(|attempt| attempt.has_succeeded())
}

/// A registry that clients use, with an image that stays and one that is garbage.
struct Scene {
    registry: Registry,
    is_over: AtomicBool,
    has_been_down: AtomicBool,
    gaps: Mutex<Vec<Gap>>,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        let scene =
            Self { registry, is_over: false.into(), has_been_down: false.into(), gaps: Mutex::default() };
        scene.import("app:kept", "kept");
        scene.import("app:gone", "gone");
        for name in ["app:kept", "app:gone"] {
            let push = scene.push(name);
            assert!(push.has_succeeded(), "{push:?}");
            if name == "app:gone" {
                scene.registry.client.delete("app", push.digest());
            }
        }
        scene.registry.leave_much_garbage();
        scene
    }

    /// An image on the engine, of one layer.
    fn import(&self, name: &str, seed: &str) {
        let reference = self.registry.reference(name);
        let seed = format!("{} {seed}", self.registry.name);
        docker_reads(["import", "-", &reference], &layer(&seed, 2_000).bytes).success();
    }

    /// Pushes it, and leaves none of it on the engine.
    fn push(&self, name: &str) -> Attempt {
        let reference = self.registry.reference(name);
        let push = Attempt::of(&reference, |reference| Answer::of(&mut docker(["push", reference])));
        docker_says(["rmi", "--force", &reference]);
        push
    }

    fn pulls(&self) -> Vec<Attempt> {
        let reference = self.registry.reference("app:kept");
        let mut pulls = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            pulls.push(Attempt::of(&reference, |reference| clean_pull(reference, None)));
        }
        pulls
    }

    /// Always something new and, as soon as it may have been collected, the same as what was garbage.
    fn pushes(&self) -> Vec<Attempt> {
        let is_before =
            || !self.has_been_down.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed);
        let mut pushes = Vec::new();
        for number in 0.. {
            let is_last = self.is_over.load(Ordering::Relaxed);
            let name = format!("app:meanwhile{number}");
            let repeats = is_last || number % 2 == 0 && !is_before();
            self.import(&name, if repeats { "gone" } else { &name });
            pushes.push(self.push(&name));
            if is_last {
                break;
            }
            // A run of builds has pauses, in one of which it is quiet.
            for _ in 0..30 {
                if is_before() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
        pushes
    }

    fn watch(&self) {
        let client = Client::new(&self.registry.address, None);
        let mut since = None;
        while !self.is_over.load(Ordering::Relaxed) || since.is_some() {
            let asked = Instant::now();
            let serves = client.send(&Method::GET, "/v2/", None).is_ok_and(|reply| reply.status.is_success());
            if !serves {
                self.has_been_down.store(true, Ordering::Relaxed);
                since.get_or_insert(asked);
            } else if let Some(since) = since.take() {
                self.gaps.lock().expect("the gaps").push(Gap { since, until: Instant::now() });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn during(&self, words: &[&str]) -> (Answer, Seen) {
        let (answer, pulls, pushes) = thread::scope(|scope| {
            let watching = scope.spawn(|| self.watch());
            let pulling = scope.spawn(|| self.pulls());
            let pushing = scope.spawn(|| self.pushes());
            let answer = Tool::standalone().run(words);
            self.is_over.store(true, Ordering::Relaxed);
            watching.join().expect("the watcher");
            (answer, pulling.join().expect("who pulls"), pushing.join().expect("who pushes"))
        });
        let gaps = std::mem::take(&mut *self.gaps.lock().expect("the gaps"));
        (answer, Seen { gaps, pulls, pushes })
    }

    /// Everything that docker said was pushed is there under its tag and with its digest.
    #[track_caller]
    fn assert_nothing_is_lost(&self, seen: &Seen, answer: &Answer) {
        let told = seen.told();
        assert!(seen.pulls.iter().all(|pull| seen.excused(pull)), "{told}\n{answer}");
        let pushed: Vec<&Attempt> = succeeded(&seen.pushes).collect();
        assert!(pushed.iter().any(|push| seen.gaps.iter().all(|gap| push.ended < gap.since)), "{told}");
        assert!(pushed.iter().any(|push| seen.gaps.iter().all(|gap| push.began > gap.until)), "{told}");
        for push in pushed {
            clean_pull(&push.reference, None).success().says(push.digest());
        }
        clean_pull(&self.registry.reference("app:kept"), None).success();
        self.registry.assert_in_service();
        Tool::standalone().run(&["verify", "--deep", "--registry", &self.registry.address]).success();
    }
}

#[test]
fn docker_pulls_all_through_a_read_only_collection_and_is_told_that_it_cannot_push() {
    if left_out() {
        return;
    }
    let scene = Scene::new();
    let address = &scene.registry.address;
    let words = ["gc", "--force", "--gc-mode", "read-only", "--wait", "1min", "--registry", address];
    let (answer, seen) = scene.during(&words);
    let answer = answer.success().says("(read-only)").says("are whole");
    let told = seen.told();
    assert!((1..=2).contains(&seen.gaps.len()), "{told}\n{answer}");
    assert!(seen.gaps.len() == 1 || seen.pulls_between_the_gaps() > 0, "{told}\n{answer}");
    assert!(seen.refusals() > 0, "{told}\n{answer}");
    let is_told = |push: &Attempt| seen.excused(push) || push.answer.mentions("HTTP 405");
    assert!(seen.pushes.iter().all(is_told), "{told}\n{answer}");
    scene.assert_nothing_is_lost(&seen, &answer);
}

#[test]
fn docker_loses_no_push_to_an_offline_collection() {
    if left_out() {
        return;
    }
    let scene = Scene::new();
    let pattern = scene.registry.reference("old");
    for (number, tag) in ["1", "2"].into_iter().enumerate() {
        scene.import(&format!("old:{tag}"), &format!("old {number}"));
        assert!(scene.push(&format!("old:{tag}")).has_succeeded());
    }
    let rules = ["--keep", "1", "--min-age", "none", "--max-delete", "100%"];
    let words = ["prune", "--force", "--wait", "1min", &pattern];
    let (answer, seen) = scene.during(&[&words[..], &rules].concat());
    let answer = answer.success().says("(offline)").says("are whole");
    let told = seen.told();
    assert_eq!(seen.gaps.len(), 1, "{told}\n{answer}");
    assert!(seen.pushes.iter().all(|push| seen.excused(push)), "{told}\n{answer}");
    assert_eq!(scene.registry.client.tags("old").len(), 1);
    scene.assert_nothing_is_lost(&seen, &answer);
}
