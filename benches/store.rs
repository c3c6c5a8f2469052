//! Planning a large registry by the files of its store beside planning it over HTTP: the same dry run, on the same store,
//! in turns. The store is written as files, not pushed.
//!
//! It prints figures and fails when the two disagree, never because of the clock. `DOCKER_REGISTRY_PRUNE_SIZES` gives
//! other numbers of tags: `10000,100000`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "the tests' harness has more than this needs")]
#[path = "../tests/e2e/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "another bench writes its archive in memory")]
mod files;
mod measure;

use std::thread;
use std::time::{Duration, Instant};

use files::Unpacking;
use measure::measure;
use support::content::{Content, Recipe, layer};
use support::engine::left_out;
use support::environment::variable;
use support::registry::Registry;

const SIZES: [usize; 1] = [10_000];
const REPOSITORIES: usize = 100;
/// Layers that images share, as those of one base do.
const LAYERS: usize = 500;
const ROUNDS: usize = 3;
/// Of more tags than this one round tells enough.
const MANY: usize = 20_000;

fn main() {
    if left_out() {
        return;
    }
    let sizes = variable("DOCKER_REGISTRY_PRUNE_SIZES").map_or_else(
        || SIZES.to_vec(),
        |text| text.split(',').map(|size| size.trim().parse().expect("a number of tags")).collect(),
    );
    for size in sizes {
        let registry = Registry::start();
        let begin = Instant::now();
        fill(&registry, size);
        println!(
            "{size} tags in {REPOSITORIES} repositories, written in {:.0} s",
            begin.elapsed().as_secs_f64()
        );
        let mut summaries = Vec::new();
        for _ in 0..if size > MANY { 1 } else { ROUNDS } {
            for source in ["store", "api"] {
                summaries.push(plan(&registry, source, size));
            }
        }
        summaries.dedup();
        assert_eq!(summaries.len(), 1, "the two see different registries: {summaries:#?}");
    }
}

/// A dry run of a rule that looks at every tag, and what it would remove.
fn plan(registry: &Registry, source: &str, size: usize) -> Vec<String> {
    let asked = requests(registry);
    let run = measure(&[
        "prune",
        "--registry",
        &registry.address,
        "--source",
        source,
        "--keep",
        "10",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--dry-run",
    ]);
    // The engine loses lines of a long log.
    let requests =
        requests(registry).checked_sub(asked).filter(|_| asked < MANY && (size <= MANY || source == "store"));
    println!(
        "  {source:6} {:6.2} s, peak memory {:6.1} MB, {} requests to the registry",
        run.seconds,
        run.peak_kib / 1024.0,
        requests.map_or_else(|| "uncounted".to_owned(), |count| count.to_string())
    );
    removed(&run.answer.stdout)
}

/// How many the server has logged, once it has logged all of them.
fn requests(registry: &Registry) -> usize {
    let mut before = 0;
    loop {
        let now = registry.requests().len();
        if now > 0 && now == before {
            return now;
        }
        before = now;
        thread::sleep(Duration::from_millis(500));
    }
}

/// The lines that count tags, without the figures of space, which only the store tells to the byte.
fn removed(stdout: &str) -> Vec<String> {
    let tags = |line: &&str| line.contains("tag");
    stdout.lines().filter(tags).map(|line| line.split(',').next().unwrap_or(line).to_owned()).collect()
}

fn fill(registry: &Registry, size: usize) {
    let mut unpacking = Unpacking::into(registry);
    let files = &mut unpacking.files;
    let layers: Vec<Content> = (0..LAYERS).map(|number| layer(&format!("store {number}"), 500)).collect();
    for layer in &layers {
        files.blob(layer);
    }
    for number in 0..size {
        let day = 1 + number % 28;
        let image = Recipe::new(&format!("store {number}"))
            .created(&format!("2024-05-{day:02}T10:00:00Z"))
            .layer(&layers[number % LAYERS])
            .layer(&layers[number * 7 % LAYERS])
            .build();
        files.blob(&image.config);
        files.blob(&image.manifest);
        let repository = format!("team/app-{}", number % REPOSITORIES);
        files.layer_links(&repository, &image);
        files.tag(&repository, &format!("v1.0.{number}"), &image.manifest);
    }
    unpacking.finish();
}
