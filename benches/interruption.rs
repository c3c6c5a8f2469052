//! How long a registry is out of service while it is collected, in each mode and as the how-tos do it, at two sizes of
//! store. Each time the same fifth of the images is garbage. The store is written as files, not pushed.
//!
//! It prints figures and fails when the result is wrong, never because of the clock. `DOCKER_REGISTRY_PRUNE_SIZES`
//! gives other sizes: `500,5000`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "the tests' harness has more than this needs")]
#[path = "../tests/e2e/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "another bench unpacks as it writes")]
mod files;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;

use files::Files;
use support::client::Client;
use support::content::{Image, Recipe, layer};
use support::engine::{docker_reads, docker_says, left_out};
use support::environment::variable;
use support::registry::{Registry, STORE};
use support::tool::Tool;

const SIZES: [usize; 2] = [1_000, 10_000];
const REPOSITORIES: usize = 10;
/// One image of so many has lost its tag and its manifest's link.
const GARBAGE: usize = 5;
const COLLECT: &str = "registry garbage-collect /etc/docker/registry/config.yml";

fn main() {
    if left_out() {
        return;
    }
    let sizes = variable("DOCKER_REGISTRY_PRUNE_SIZES").map_or_else(
        || SIZES.to_vec(),
        |text| text.split(',').map(|size| size.trim().parse().expect("a number of manifests")).collect(),
    );
    for size in sizes {
        let store = Store::of(size);
        let registry = Registry::start();
        load(&registry, &store.kept);
        let kept_blobs = registry.blob_count();
        println!("{size} manifests in {REPOSITORIES} repositories, {} of them garbage", size / GARBAGE);
        load(&registry, &store.garbage);
        let (told, seen) = seen_by_a_client(&registry, || by_hand(&registry));
        println!("  {:20} {told}; {seen}", "by hand");
        check(&registry, kept_blobs);
        for mode in ["offline", "read-only", "live"] {
            load(&registry, &store.garbage);
            let (told, seen) = seen_by_a_client(&registry, || collect(&registry, mode));
            println!("  {mode:20} {told}; {seen}");
            check(&registry, kept_blobs);
        }
    }
}

fn check(registry: &Registry, kept_blobs: usize) {
    registry.assert_in_service();
    assert_eq!(registry.blob_count(), kept_blobs, "garbage is left, or more than garbage went");
    registry.assert_pulls("team/app-1", ["v1", "v11"]);
}

fn collect(registry: &Registry, mode: &str) -> String {
    let begin = Instant::now();
    let arguments = ["gc", "--force", "--gc-mode", mode, "--format", "json", "--registry", &registry.address];
    let document = Tool::standalone().run(&arguments).success().json();
    let total = begin.elapsed().as_secs_f64();
    let seconds = |name: &str| document["collection"][name].as_f64();
    let out = seconds("interruptionSeconds").expect("it was interrupted");
    let read_only =
        seconds("readOnlySeconds").map_or_else(String::new, |time| format!(", read-only {time:.1} s"));
    format!("{total:.1} s in all, out of service {out:.1} s{read_only}")
}

/// The collector in the serving container, dry and for real, and a restart, for it remembers what is gone.
fn by_hand(registry: &Registry) -> String {
    let timed = |line: &str| {
        let begin = Instant::now();
        registry.shell(&format!("{line} > /dev/null 2>&1"));
        begin.elapsed().as_secs_f64()
    };
    let dry = timed(&format!("{COLLECT} --dry-run"));
    let real = timed(COLLECT);
    let begin = Instant::now();
    docker_says(["restart", &registry.name]);
    registry.wait_until_it_answers();
    let restart = begin.elapsed().as_secs_f64();
    format!("dry {dry:.1} s, real {real:.1} s, during which pushes are damaged; restart {restart:.1} s")
}

/// What a client sees that asks for a manifest all the time.
fn seen_by_a_client(registry: &Registry, work: impl FnOnce() -> String) -> (String, String) {
    let is_over = AtomicBool::new(false);
    let gaps = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&registry.address, &is_over));
        let until_then = Over(&is_over);
        let told = work();
        // It has to see the end of the last gap.
        thread::sleep(Duration::from_millis(500));
        drop(until_then);
        (told, watching.join().expect("the client"))
    });
    let (told, gaps) = gaps;
    let each: Vec<String> = gaps.iter().map(|gap| format!("{:.1}", gap.as_secs_f64())).collect();
    (told, format!("a client saw it gone for {} s", each.join(" + ")))
}

/// The client ends when the work does, also by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn watch(address: &str, is_over: &AtomicBool) -> Vec<Duration> {
    let client = Client::new(address, None);
    let mut gaps = Vec::new();
    let mut since: Option<Instant> = None;
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let reply = client.send(&Method::GET, "/v2/team/app-1/manifests/v1", None);
        if reply.is_ok_and(|reply| reply.status.is_success()) {
            gaps.extend(since.take().map(|since| since.elapsed()));
        } else {
            since.get_or_insert(asked);
        }
        thread::sleep(Duration::from_millis(10));
    }
    gaps.extend(since.map(|since| since.elapsed()));
    gaps
}

/// Archives of the registry's own files: what is kept, and what nothing refers to.
struct Store {
    kept: Vec<u8>,
    garbage: Vec<u8>,
}

impl Store {
    fn of(size: usize) -> Self {
        let base = layer("interruption base", 4_000);
        let mut kept = Files::default();
        let mut garbage = Files::default();
        kept.blob(&base);
        for number in 0..size {
            let seed = format!("interruption {number}");
            let image = Recipe::new(&seed).layer(&base).layer(&layer(&seed, 100)).build();
            let repository = format!("team/app-{}", number % REPOSITORIES);
            // Every repository has a share of both.
            if number / REPOSITORIES % GARBAGE == GARBAGE - 1 {
                contents(&mut garbage, &repository, &image);
            } else {
                contents(&mut kept, &repository, &image);
                kept.tag(&repository, &format!("v{number}"), &image.manifest);
            }
        }
        Self { kept: kept.archive(), garbage: garbage.archive() }
    }
}

/// Everything but what makes it an image of the repository: the blobs and the links to its layers.
fn contents(files: &mut Files<Vec<u8>>, repository: &str, image: &Image) {
    // The base is there once.
    for blob in image.layers[1..].iter().chain([&image.config, &image.manifest]) {
        files.blob(blob);
    }
    files.layer_links(repository, image);
}

fn load(registry: &Registry, archive: &[u8]) {
    let unpack = format!("mkdir -p {STORE} && tar x -C {STORE}");
    docker_reads(["exec", "--interactive", &registry.name, "sh", "-c", &unpack], archive).success();
}
