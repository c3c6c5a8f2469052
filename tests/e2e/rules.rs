//! The rules of `prune`: what goes is what they say, and a dry run only tells.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::support::content::{Image, Recipe};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

/// Ten versions of two applications, one made each month; some tags share a digest.
fn versions(seed: &str) -> Registry {
    let registry = Registry::start();
    for repository in ["app", "team/api"] {
        for month in 0..10 {
            let image = version(&format!("{seed} {repository}"), month);
            registry.client.push(repository, &[&format!("v1.{month}")], &image);
            if month == 1 {
                registry.client.put_manifest(repository, "stable", &image.manifest);
            }
        }
    }
    registry
}

fn version(seed: &str, month: u8) -> Image {
    Recipe::new(&format!("{seed} {month}")).created(&format!("2024-{:02}-03T08:00:00Z", month + 1)).build()
}

#[test]
fn keep_and_exclude_decide_and_a_dry_run_only_tells() {
    if left_out() {
        return;
    }
    let registry = versions("keep");
    let everything = registry.client.tags("app");
    let pattern = registry.reference("app:v1.*");
    let rules = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        &pattern,
        "--keep",
        "3",
        "--exclude",
        "app:v1.4",
    ];
    let tool = Tool::standalone();
    let (asked, started, blobs) = (registry.requests().len(), registry.started_at(), registry.blob_count());

    let dry: Vec<&str> = rules.iter().copied().chain(["--dry-run", "--verbose"]).collect();
    let answer = tool.run(&dry).success().says("v1.0").says("v1.9");
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed, "a dry run asked for a change\n{answer}");
    assert_eq!(registry.client.tags("app"), everything);
    assert_eq!(registry.blob_count(), blobs);
    assert_eq!(registry.started_at(), started);

    let wet: Vec<&str> = rules.iter().copied().chain(["--force"]).collect();
    tool.run(&wet).success();
    assert_eq!(registry.client.tags("app"), ["stable", "v1.4", "v1.7", "v1.8", "v1.9"]);
    assert_eq!(registry.client.tags("team/api").len(), 11, "another repository");
    registry.assert_pulls("app", ["stable", "v1.4", "v1.7", "v1.8", "v1.9"]);
    registry.assert_pulls("team/api", ["stable", "v1.0", "v1.9"]);
    assert_eq!(registry.blob_count(), 3 * (5 + 10), "the other images are gone from the store");
}

#[test]
fn older_than_takes_the_old_and_leaves_the_young_and_the_undated() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let yesterday = Timestamp::try_from(yesterday).unwrap().to_string();
    let push = |tag: &str, recipe: Recipe| registry.client.push("app", &[tag], &recipe.build());
    push("old", Recipe::new("older than, old").created("2023-02-01T00:00:00Z"));
    push("young", Recipe::new("older than, young").created(&yesterday));
    push("undated", Recipe::new("older than, undated").without_date());
    push("epoch", Recipe::new("older than, epoch").created("1970-01-01T00:00:00Z"));
    push("future", Recipe::new("older than, future").created("2099-01-01T00:00:00Z"));

    let tool = Tool::standalone();
    tool.run(&[
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--older-than",
        "6mo",
        "--force",
        "--registry",
        &registry.address,
    ])
    .success();
    let kept = ["epoch", "future", "undated", "young"];
    assert_eq!(registry.client.tags("app"), kept);
    registry.assert_pulls("app", kept);
    assert_eq!(registry.blob_count(), 3 * kept.len());
}

#[test]
fn both_rules_together_keep_what_either_keeps() {
    if left_out() {
        return;
    }
    let registry = versions("both");
    Tool::standalone()
        .run(&[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--keep",
            "2",
            "--older-than",
            "30d",
            "--exclude",
            ":stable",
            "--exclude",
            "team/*",
            "--no-gc",
            "--force",
            "--registry",
            &registry.address,
        ])
        .success();
    assert_eq!(registry.client.tags("app"), ["stable", "v1.8", "v1.9"]);
    assert_eq!(registry.client.tags("team/api").len(), 11);
    registry.assert_pulls("app", ["stable", "v1.8", "v1.9"]);
    assert!(registry.blob_count() >= 60, "--no-gc collects nothing");
}

#[test]
fn without_rules_only_garbage_goes() {
    if left_out() {
        return;
    }
    let registry = versions("no rules");
    registry.client.leave_garbage("app", "no rules");
    assert_eq!(registry.blob_count(), 63);

    Tool::standalone().run(&["prune", "--force", "--registry", &registry.address]).success();
    assert_eq!(registry.blob_count(), 60);
    for repository in ["app", "team/api"] {
        assert_eq!(registry.client.tags(repository).len(), 11);
        registry.assert_pulls(repository, ["stable", "v1.0", "v1.9"]);
    }
}

#[test]
fn verify_finds_what_is_broken_and_only_that() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let broken = Recipe::new("verify, broken").build();
    registry.client.push("app", &["broken"], &broken);
    registry.client.push("app", &["whole"], &Recipe::new("verify, whole").build());
    let tool = Tool::standalone();
    tool.run(&["verify", "--registry", &registry.address]).success();

    let hex = &broken.layers[0].digest[7..];
    registry.shell(&format!("rm -r {}/blobs/sha256/{}/{hex}", STORE, &hex[..2]));
    // The server remembers the layer until it is started again.
    docker_says(["restart", &registry.name]);
    registry.wait_until_it_answers();
    tool.run(&["verify", "--registry", &registry.address])
        .exits(5)
        .says("broken")
        .says(&broken.layers[0].digest[7..19])
        .never_says("app:whole is broken");
}
