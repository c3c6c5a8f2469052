//! The reason for all this: a registry full of dead images becomes small again, and nothing else changes.

use crate::support::access::Access;
use crate::support::content::{Recipe, layer};
use crate::support::engine::{clean_pull, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

const MEGABYTES_60: usize = 60_000_000;

struct Story {
    registry: Registry,
    tool: Tool,
}

/// One image of 60 MB and two small ones.
fn full_registry(seed: &str) -> Story {
    let registry = Registry::start();
    let heavy =
        Recipe::new(&format!("{seed} heavy")).layer(&layer(&format!("{seed} heavy"), MEGABYTES_60)).build();
    registry.client.push("app", &["heavy"], &heavy);
    registry.client.push("app", &["1.0", "stable"], &Recipe::new(&format!("{seed} 1.0")).build());
    registry.client.push("tools/lint", &["2"], &Recipe::new(&format!("{seed} 2")).build());
    assert!(registry.store_kib() > 58_000, "{} KiB", registry.store_kib());
    Story { registry, tool: Tool::standalone() }
}

impl Story {
    #[track_caller]
    fn assert_small_and_whole(&self) {
        let size = self.registry.store_kib();
        assert!(size < 500, "{size} KiB left");
        assert_eq!(self.registry.client.tags("app"), ["1.0", "stable"]);
        self.registry.assert_pulls("app", ["1.0", "stable"]);
        self.registry.assert_pulls("tools/lint", ["2"]);
        for kept in ["app:1.0", "tools/lint:2"] {
            clean_pull(&self.registry.reference(kept), None).success();
        }
    }
}

#[test]
fn rm_then_gc_brings_61_mb_down_to_what_is_kept_in_the_same_container() {
    if left_out() {
        return;
    }
    let story = full_registry("rm then gc");
    let registry = &story.registry;
    let before = registry.identity();
    let started = registry.started_at();
    let full = registry.store_kib();

    story.tool.run(&["rm", "--force", &registry.reference("app:heavy")]).success();
    assert_eq!(registry.client.tags("app"), ["1.0", "stable"]);
    assert!(registry.store_kib() > full - 100, "deleting alone gives nothing back");
    assert_eq!(registry.started_at(), started, "deleting alone restarts nothing");

    story
        .tool
        .run(&["gc", "--force", "--registry", &registry.address])
        .success()
        .says("Total reclaimed space:")
        .says("60");
    assert!(registry.is_running());
    assert_eq!(registry.identity(), before);
    assert_ne!(
        registry.started_at(),
        started,
        "the old process may not serve on: it remembers blobs that are gone"
    );
    story.assert_small_and_whole();
}

#[test]
fn prune_does_it_in_one_command_and_a_second_run_finds_nothing_to_do() {
    if left_out() {
        return;
    }
    let story = full_registry("prune");
    let registry = &story.registry;
    let before = registry.identity();
    let pattern = registry.reference("app:heavy");
    let prune =
        ["prune", "--min-age", "none", "--max-delete", "100%", &pattern, "--older-than", "1d", "--force"];

    story.tool.run(&prune).success().says("Total reclaimed space:");
    assert_eq!(registry.identity(), before);
    story.assert_small_and_whole();

    let asked = registry.requests().len();
    let blobs = registry.blob_count();
    story.tool.run(&prune).success();
    story.tool.run(&["prune", "--force", "--registry", &registry.address]).success();
    let changes: Vec<_> = registry.requests().split_off(asked).into_iter().filter(Access::changes).collect();
    assert_eq!(changes, [], "nothing was left to do");
    assert_eq!(registry.blob_count(), blobs);
    assert!(registry.is_running());
    story.assert_small_and_whole();
}

#[test]
fn the_json_document_tells_what_came_back() {
    if left_out() {
        return;
    }
    let story = full_registry("json");
    let answer = story
        .tool
        .run(&["rm", "--gc", "--force", "--format", "json", &story.registry.reference("app:heavy")])
        .success();
    let document = answer.json();
    assert!(document.is_object(), "{answer}");
    let text = document.to_string();
    assert!(text.contains("version"), "programs need to know what they read\n{answer}");
    story.assert_small_and_whole();
}
