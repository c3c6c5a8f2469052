//! The measured job: one repository with 200 tags `v1.0.N` and five tags `alias-N` on the digests of the oldest five; keep
//! the newest 20 `v1.*` by creation date and every alias, then collect the garbage. On the real server in a container.
//!
//! It prints figures and fails when the result is wrong, never because of the clock.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[expect(dead_code, reason = "the tests' harness has more than one job needs")]
#[path = "../tests/e2e/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "another bench reads what was answered")]
mod measure;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use measure::measure;
use support::access::Access;
use support::client::Client;
use support::content::{DOCKER_MANIFEST, Image, Recipe, layer};
use support::engine::left_out;
use support::registry::Registry;

const VERSIONS: usize = 200;
const ALIASES: usize = 5;
const KEEP: usize = 20;
const PUSHERS: usize = 4;

fn main() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let images = fill(&registry);
    let whole_store = registry.store_kib();
    println!("repository            {VERSIONS} tags v1.0.N, {ALIASES} tags alias-N, store {whole_store} KiB");
    println!("wrk of this server    {}", wrk(&registry));

    let asked = log_length(&registry);
    let pattern = registry.reference("app:v1.*");
    let keep = KEEP.to_string();
    let deleted = measure(&[
        "prune",
        &pattern,
        "--keep",
        &keep,
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--no-gc",
        "--force",
    ]);
    let requests = registry.requests().split_off(asked);
    let kept = check_tags(&registry, &images);
    println!(
        "planning and deleting {:.2} s, {} requests, peak memory {:.1} MB",
        deleted.seconds,
        requests.len(),
        deleted.peak_kib / 1024.0
    );
    for (kind, count) in kinds(&requests) {
        println!("                      {count:4} {kind}");
    }

    let collected = measure(&["gc", "--force", "--registry", &registry.address]);
    check_tags(&registry, &images);
    let gone = check_store(&registry, &images, &kept);
    println!(
        "collecting            {:.2} s, peak memory {:.1} MB, store {} KiB",
        collected.seconds,
        collected.peak_kib / 1024.0,
        registry.store_kib()
    );
    println!(
        "result                {} tags left, all pulled and verified; {gone} images gone from the store",
        kept.len() + ALIASES
    );
}

/// Pushes everything; the images stand in the order of their dates.
fn fill(registry: &Registry) -> Vec<Image> {
    let base = layer("job base", 200_000);
    let images: Vec<Image> = (0..VERSIONS).map(|number| version(number, &base)).collect();
    let share = VERSIONS.div_ceil(PUSHERS);
    thread::scope(|scope| {
        for (pusher, images) in images.chunks(share).enumerate() {
            scope.spawn(move || {
                let client = Client::new(&registry.address, None);
                for (offset, image) in images.iter().enumerate() {
                    let number = pusher * share + offset;
                    client.push("app", &[&format!("v1.0.{number}")], image);
                    if number < ALIASES {
                        client.put_manifest("app", &format!("alias-{number}"), &image.manifest);
                    }
                }
            });
        }
    });
    assert_eq!(registry.client.tags("app").len(), VERSIONS + ALIASES);
    images
}

/// Versions made six hours apart, on a common base.
fn version(number: usize, base: &support::content::Content) -> Image {
    let (day, hour) = (number / 4, number % 4 * 6);
    let date = format!("2024-{:02}-{:02}T{hour:02}:00:00Z", 1 + day / 28, 1 + day % 28);
    Recipe::new(&format!("job {number}"))
        .created(&date)
        .layer(base)
        .layer(&layer(&format!("job {number}"), 10_000))
        .build()
}

/// Requests per second for one manifest over 16 connections, as this server and this machine do them.
fn wrk(registry: &Registry) -> String {
    let output = Command::new("wrk")
        .args(["--threads", "2", "--connections", "16", "--duration", "3s"])
        .args(["--header", &format!("Accept: {DOCKER_MANIFEST}")])
        .arg(format!("http://{}/v2/app/manifests/v1.0.{}", registry.address, VERSIONS - 1))
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return "not measured: wrk is not installed".to_owned();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.map_or_else(|| format!("not measured: {text}"), |rate| format!("{} requests/s", rate.trim()))
}

/// The length of the access log once the server has written all of it.
fn log_length(registry: &Registry) -> usize {
    let mut before = registry.requests().len();
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = registry.requests().len();
        if now == before {
            return now;
        }
        before = now;
    }
}

/// What was asked for, by method and kind of thing.
fn kinds(requests: &[Access]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for access in requests {
        let thing = if access.path.contains("/manifests/sha256:") {
            "manifest by digest"
        } else if access.path.contains("/manifests/") {
            "manifest by tag"
        } else if access.path.contains("/blobs/") {
            "blob"
        } else {
            access.path.as_str()
        };
        let kind = format!("{} {thing}: {}", access.method, access.status);
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

/// The tags that must be left are left, no other is, and each pulls. Returns the numbers of the versions kept.
fn check_tags(registry: &Registry, images: &[Image]) -> Vec<usize> {
    let kept: Vec<usize> = (VERSIONS - KEEP..VERSIONS).collect();
    let mut expected: Vec<(String, usize)> =
        (0..ALIASES).map(|number| (format!("alias-{number}"), number)).collect();
    expected.extend(kept.iter().map(|&number| (format!("v1.0.{number}"), number)));
    let mut names: Vec<&String> = expected.iter().map(|(tag, _)| tag).collect();
    names.sort_unstable();
    assert!(registry.client.tags("app").iter().eq(names), "the wrong tags are left");
    for (tag, number) in &expected {
        let pulled = registry
            .pull("app", tag)
            .unwrap_or_else(|error| panic!("{tag} was kept and cannot be pulled: {error}"));
        assert!(pulled.manifests.contains(&images[*number].manifest.digest), "{tag} is another image now");
    }
    kept
}

/// The other images are gone from the store, and nothing else is in it. Returns how many are gone.
fn check_store(registry: &Registry, images: &[Image], kept: &[usize]) -> usize {
    // Each kept image has a manifest, a config and a layer of its own; they share the base.
    let left = kept.len() + ALIASES;
    assert_eq!(registry.blob_count(), 3 * left + 1);
    images.len() - left
}
