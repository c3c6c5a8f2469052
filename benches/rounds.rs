//! Rounds of a kill: a command that collects is killed with all its processes, at a moment and in a mode drawn at random;
//! whatever command comes next has to put the registry back. Then everything that is kept pulls byte for byte, what was
//! removed can be pushed again as `docker` does, the command is done to its end, and nothing is left to do.
//!
//! It prints figures and fails when anything is wrong, with the seed and the round, never because of the clock.
//! `DOCKER_REGISTRY_PRUNE_SEED` repeats the choices of a run, `DOCKER_REGISTRY_PRUNE_ROUNDS` says how many (50).
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "the tests' harness has more than the rounds need")]
#[path = "../tests/e2e/support/mod.rs"]
mod support;

#[path = "rounds/choice.rs"]
mod choice;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::Method;

use choice::{Change, Command, MODES, Next, ONE_OFFS, Point, Random, Round};
use support::answer::Answer;
use support::content::{Content, Image, OCI_INDEX, Recipe, index, layer};
use support::engine::{docker, left_out};
use support::environment::variable;
use support::registry::Registry;
use support::tool::{Running, Tool};

const ROUNDS: u64 = 50;
/// A tag that was written so lately holds a collection back.
const QUIET: Duration = Duration::from_secs(3);

/// Where the kill hit, as the engine shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hit {
    Before,
    Within,
    After,
    NeverSinceItHadEnded,
}

#[derive(Debug)]
struct Outcome {
    hit: Hit,
    /// From the kill to the registry's first answer, where the kill had left it stopped.
    down: Option<Duration>,
    /// The next command said that it put something right.
    recovered: bool,
}

fn main() {
    if left_out() {
        return;
    }
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
    let seed = number("DOCKER_REGISTRY_PRUNE_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()));
    let count = number("DOCKER_REGISTRY_PRUNE_ROUNDS").unwrap_or(ROUNDS);
    println!("seed {seed}, {count} rounds");
    let bench = Bench::new();
    let happy: BTreeMap<&str, Duration> = MODES.map(|mode| (mode, bench.happy(mode))).into();
    println!("uninterrupted {happy:.1?}");
    let mut random = Random(seed);
    let mut results = Vec::new();
    for number in 1..=count {
        let round = Round::drawn(&mut random, &happy);
        let result = catch_unwind(AssertUnwindSafe(|| bench.run(number, &round))).unwrap_or_else(|panic| {
            println!("FAILED: seed {seed}, round {number}: {round:?}");
            println!("{}", bench.story.borrow().join("\n"));
            resume_unwind(panic)
        });
        println!("{number:3} {round:?}: {result:?}");
        results.push((round, result));
    }
    show(&results);
}

fn show(results: &[(Round, Outcome)]) {
    for mode in MODES {
        let of_mode: Vec<&Outcome> =
            results.iter().filter(|(round, _)| round.mode == mode).map(|(_, result)| result).collect();
        let hits = |hit| of_mode.iter().filter(|result| result.hit == hit).count();
        let longest = of_mode.iter().filter_map(|result| result.down).max().unwrap_or_default();
        println!(
            "{mode:9} {:2} rounds: killed {} before, {} within and {} after the window, {} had ended; {} left stopped, \
             at most {:.1} s until the next command had it back",
            of_mode.len(),
            hits(Hit::Before),
            hits(Hit::Within),
            hits(Hit::After),
            hits(Hit::NeverSinceItHadEnded),
            of_mode.iter().filter(|result| result.down.is_some()).count(),
            longest.as_secs_f64()
        );
    }
    let mut by: BTreeMap<String, usize> = BTreeMap::new();
    for (round, _) in results.iter().filter(|(_, result)| result.recovered) {
        *by.entry(format!("{:?}", round.next)).or_default() += 1;
    }
    println!("put right by {by:?}; failures 0");
}

/// One registry and what is in it: a few things that are never removed, and the same few that always are.
struct Bench {
    registry: Registry,
    id: String,
    tool: Tool,
    kept: Image,
    kept_blobs: usize,
    /// What the commands of the round said.
    story: RefCell<Vec<String>>,
}

/// What is removed in a round: an image with its signature, an index over two, and a tag on a digest that is kept.
struct Doomed {
    image: Image,
    signature: Image,
    parts: [Image; 2],
    index: Content,
}

impl Doomed {
    fn new(round: u64, base: &Content) -> Self {
        let seed = |what: &str| format!("round {round} {what}");
        let of = |what: &str| {
            Recipe::new(&seed(what)).created("2024-02-01T00:00:00Z").layer(&layer(&seed(what), 2_000))
        };
        let parts =
            ["amd64", "arm64"].map(|platform| of(platform).architecture(platform).layer(base).build());
        let index = index(OCI_INDEX, &[&parts[0], &parts[1]]);
        Self {
            image: of("image").layer(base).build(),
            signature: of("signature").oci().build(),
            parts,
            index,
        }
    }

    fn images(&self) -> [&Image; 4] {
        [&self.image, &self.signature, &self.parts[0], &self.parts[1]]
    }
}

fn signature_of(image: &Image) -> String {
    format!("{}.sig", image.manifest.digest.replace(':', "-"))
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::start();
        let client = &registry.client;
        let base = layer("rounds base", 20_000);
        let of = |seed: &str, date: &str| Recipe::new(seed).created(date).layer(&layer(seed, 2_000));
        let kept = of("rounds kept", "2024-01-01T00:00:00Z").layer(&base).build();
        client.push("app", &["kept", "same"], &kept);
        client.push(
            "app",
            &[&signature_of(&kept)],
            &of("rounds signature", "2024-01-01T00:00:00Z").oci().build(),
        );
        client.push("app", &["v2"], &of("rounds v2", "2024-05-01T00:00:00Z").layer(&base).build());
        let parts = ["amd64", "arm64"].map(|platform| {
            of(&format!("rounds {platform}"), "2024-01-01T00:00:00Z")
                .architecture(platform)
                .layer(&base)
                .build()
        });
        client.push_index("app", "multi", &[&parts[0], &parts[1]]);
        let kept_blobs = registry.blob_count();
        Self {
            id: registry.identity().id,
            registry,
            tool: Tool::standalone(),
            kept,
            kept_blobs,
            story: RefCell::default(),
        }
    }

    fn words<'a>(&'a self, command: Command, mode: &'a str, doomed: &'a [String]) -> Vec<&'a str> {
        let mut words = match command {
            Command::Gc => vec!["gc", "--registry", &self.registry.address],
            Command::Rm => vec!["rm", "--gc"],
            Command::Prune => {
                vec!["prune", &doomed[0], "--keep", "1", "--min-age", "none", "--max-delete", "100%"]
            }
        };
        words.extend(["--force", "--gc-mode", mode]);
        if command == Command::Rm {
            words.extend(doomed[1..].iter().map(String::as_str));
        }
        words
    }

    /// The pattern of the rules, and what it means by name.
    fn doomed_references(&self) -> Vec<String> {
        ["app:v*", "app:v0", "app:v1", "app:v0.9"].map(|rest| self.registry.reference(rest)).into()
    }

    /// What is to be removed is there, or is garbage already, as the command wants it.
    fn fill(&self, command: Command, doomed: &Doomed) {
        self.push_as_docker(doomed);
        if command == Command::Gc {
            let images = doomed.images().map(|image| &image.manifest);
            for manifest in [&doomed.index].into_iter().chain(images) {
                self.registry.client.delete("app", &manifest.digest);
            }
        } else {
            // One tag of a digest that others keep.
            self.registry.client.put_manifest("app", "v0.9", &self.kept.manifest);
        }
    }

    /// Does not send what the registry says it has. Where a process remembers what is gone, the image is broken then.
    fn push_as_docker(&self, doomed: &Doomed) {
        let client = &self.registry.client;
        for image in doomed.images() {
            for blob in image.layers.iter().chain([&image.config]) {
                let path = format!("/v2/app/blobs/{}", blob.digest);
                let reply = client.send(&Method::HEAD, &path, None).expect("the registry answers");
                if !reply.status.is_success() {
                    client.push_blob("app", blob);
                }
            }
        }
        for part in &doomed.parts {
            client.put_manifest("app", &part.manifest.digest, &part.manifest);
        }
        client.put_manifest("app", "v0", &doomed.index);
        client.put_manifest("app", "v1", &doomed.image.manifest);
        client.put_manifest("app", &signature_of(&doomed.image), &doomed.signature.manifest);
        self.registry.assert_pulls("app", ["v0", "v1", signature_of(&doomed.image).as_str()]);
    }

    /// How long the command that does most takes when nobody disturbs it.
    fn happy(&self, mode: &str) -> Duration {
        let doomed = Doomed::new(0, &self.kept.layers[1]);
        self.fill(Command::Rm, &doomed);
        self.registry.leave_garbage_blobs(3_000);
        thread::sleep(QUIET);
        let begin = Instant::now();
        self.tool.run(&self.words(Command::Rm, mode, &self.doomed_references())).success();
        begin.elapsed()
    }

    fn run(&self, number: u64, round: &Round) -> Outcome {
        let doomed = Doomed::new(number, &self.kept.layers[1]);
        self.fill(round.command, &doomed);
        self.registry.leave_garbage_blobs(3_000);
        thread::sleep(QUIET);
        let started = self.registry.started_at();
        let references = self.doomed_references();
        let same = self.words(round.command, round.mode, &references);
        let mut run = self.tool.start(&same);
        self.wait_for(round.point, &mut run);
        let killed = run.kill();
        let since = Instant::now();
        self.story.replace(vec![killed.to_string()]);
        let is_stopped = !self.registry.is_running();
        let hit = match killed.code {
            Some(_) => Hit::NeverSinceItHadEnded,
            None if ONE_OFFS.iter().any(|role| self.state(role).is_some()) => Hit::Within,
            None if is_stopped || self.registry.started_at() != started => Hit::After,
            None => Hit::Before,
        };
        let answer = self.next(round, &same);
        self.registry.assert_in_service();
        let down = is_stopped.then(|| since.elapsed());
        let recovered = answer.mentions("interrupted collection");
        self.assert_kept();

        self.fill(round.command, &doomed);
        self.tool.run(&self.words(round.command, round.mode, &references)).success();
        self.assert_kept();
        let gc = ["gc", "--force", "--registry", &self.registry.address];
        self.tool.run(&gc).success();
        assert_eq!(self.registry.blob_count(), self.kept_blobs, "garbage is left, or more than garbage went");
        self.tool.run(&gc).success().says("no garbage");
        self.assert_kept();
        Outcome { hit, down, recovered }
    }

    fn next(&self, round: &Round, same: &[&str]) -> Answer {
        let answer = match round.next {
            Next::Ls => self.tool.run(&["ls", "--registry", &self.registry.address]),
            Next::Recover => self.tool.run(&["recover", "--container", &self.registry.name]),
            Next::SameAgain => self.tool.run(same),
        };
        self.story.borrow_mut().push(answer.to_string());
        // What was named may be gone; the registry is put back before that is found out.
        let is_gone = round.command == Command::Rm && answer.mentions("no such tag");
        answer.exits(i32::from(is_gone))
    }

    fn assert_kept(&self) {
        let signature = signature_of(&self.kept);
        self.registry.assert_in_service();
        self.registry.assert_pulls("app", ["kept", "same", "v2", "multi", signature.as_str()]);
    }

    /// Returns when the point has come, or the run has ended without it.
    fn wait_for(&self, point: Point, run: &mut Running<'_>) {
        match point {
            Point::After(delay) => thread::sleep(delay),
            Point::OneOff(role, change) => {
                let mut was_there = false;
                while !run.has_ended() {
                    let state = self.state(role);
                    was_there |= state.is_some();
                    let has_come = match (change, state.as_deref()) {
                        (Change::Appears, Some(_))
                        | (Change::Starts, Some("running" | "exited"))
                        | (Change::Ends, Some("exited")) => true,
                        (_, None) => was_there,
                        _ => false,
                    };
                    if has_come {
                        break;
                    }
                }
            }
        }
    }

    /// `None`: it is not there.
    fn state(&self, role: &str) -> Option<String> {
        let name = format!("registry-prune-{}-{role}", &self.id[..12]);
        let answer =
            Answer::of(&mut docker(["container", "inspect", "--format", "{{.State.Status}}", &name]));
        (answer.code == Some(0)).then(|| answer.stdout.trim().to_owned())
    }
}
