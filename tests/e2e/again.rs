//! The "layer already exists" trap: the server remembers blobs that a collection has removed. A push of the same image
//! then looks fine and stores nothing, so the process that served before a collection must not serve after it.

use crate::support::answer::Answer;
use crate::support::content::{Content, Recipe, layer};
use crate::support::engine::{clean_pull, docker, docker_reads, docker_says, left_out};
use crate::support::registry::Registry;
use crate::support::tool::{Running, Tool};

/// An image in the engine, under a reference of the registry; it goes away with the value.
struct EngineImage {
    reference: String,
    keeper: String,
}

impl EngineImage {
    fn new(registry: &Registry, seed: &str) -> Self {
        let layer: Content = layer(seed, 30_000);
        let reference = registry.reference("app:again");
        let keeper = format!("{}-image", registry.name);
        docker_reads(["import", "-", &keeper], &layer.bytes).success();
        Answer::of(&mut docker(["tag", &keeper, &reference])).success();
        Self { reference, keeper }
    }

    fn push(&self) -> Answer {
        Answer::of(&mut docker(["push", &self.reference])).success()
    }

    /// Pulls as a client that never had it.
    fn pull_elsewhere(&self) -> Answer {
        let _ = docker(["rmi", "--force", &self.reference, &self.keeper]).output();
        clean_pull(&self.reference, None)
    }
}

impl Drop for EngineImage {
    fn drop(&mut self) {
        let _ = docker(["rmi", "--force", &self.reference, &self.keeper]).output();
    }
}

#[test]
fn collected_without_a_restart_a_new_push_stores_nothing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = EngineImage::new(&registry, "trap by hand");
    image.push().says("Pushed");
    let digest = registry.pull("app", "again").unwrap().manifests.pop_first().unwrap();
    registry.client.delete("app", &digest);
    registry.collect_by_hand();
    assert_eq!(registry.blob_count(), 0);

    image.push().says("Layer already exists");
    image.pull_elsewhere().fails();
    registry.pull("app", "again").unwrap_err();
}

#[test]
fn what_was_removed_and_collected_can_be_pushed_and_pulled_again() {
    again("offline");
}

#[test]
fn what_was_removed_and_collected_read_only_can_be_pushed_and_pulled_again() {
    again("read-only");
}

#[test]
fn what_was_removed_and_collected_live_can_be_pushed_and_pulled_again() {
    again("live");
}

fn again(mode: &str) {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = EngineImage::new(&registry, &format!("trap {mode}"));
    image.push().says("Pushed");
    registry.client.push("other", &["1"], &Recipe::new(&format!("trap {mode} kept")).build());

    Tool::standalone().run(&["rm", "--gc", "--gc-mode", mode, "--force", &image.reference]).success();
    assert_eq!(registry.blob_count(), 3);

    image.push().says("Pushed").never_says("Layer already exists");
    image.pull_elsewhere().success();
    registry.assert_pulls("app", ["again"]);
    registry.assert_pulls("other", ["1"]);
}

#[test]
fn a_live_collection_gives_the_space_back_and_restarts_the_same_container() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let heavy = layer("live", 5_000_000);
    registry.client.push("app", &["heavy"], &Recipe::new("live heavy").layer(&heavy).build());
    registry.client.push("app", &["kept"], &Recipe::new("live kept").build());
    let (before, started) = (registry.identity(), registry.started_at());
    let tool = Tool::standalone();

    tool.run(&["rm", "--force", &registry.reference("app:heavy")]).success();
    tool.run(&["gc", "--gc-mode", "live", "--force", "--registry", &registry.address])
        .success()
        .says("Total reclaimed space:");
    assert!(registry.is_running());
    assert_eq!(registry.identity(), before);
    assert_ne!(registry.started_at(), started);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["kept"]);
}

/// Starts a collection, starts the registry while it sweeps, and gives when that process was started.
fn started_during_the_sweep(registry: &Registry, run: &mut Running) -> String {
    let sweep = format!("name=registry-prune-{}-sweep", &registry.identity().id[..12]);
    run.until("the collector sweeps", || {
        !docker_says(["ps", "--quiet", "--filter", &sweep, "--filter", "status=running"]).is_empty()
    });
    docker_says(["start", &registry.name]);
    registry.started_at()
}

#[test]
fn a_process_that_somebody_starts_during_the_sweep_does_not_go_on() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("started meanwhile").build());
    registry.leave_much_garbage();
    let tool = Tool::standalone();
    let gc = ["gc", "--force", "--registry", &registry.address];

    let mut run = tool.start(&gc);
    let meanwhile = started_during_the_sweep(&registry, &mut run);
    let answer = run.wait().exits(1).mentions("somebody started");
    assert_ne!(registry.started_at(), meanwhile, "{answer}");

    registry.leave_much_garbage();
    let mut run = tool.start(&gc);
    let meanwhile = started_during_the_sweep(&registry, &mut run);
    run.signal("KILL");
    let _ = run.wait();
    let answer = tool.run(&gc).success();
    assert_ne!(registry.started_at(), meanwhile, "{answer}");
    assert_eq!(registry.blob_count(), 3);
    registry.wait_until_it_answers();
    registry.assert_pulls("app", ["1"]);
}
