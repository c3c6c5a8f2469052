//! Manifests that no tag leads to any more, and the bytes that come back with them: told before, and held to the byte.

use std::time::Duration;

use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::content::{Content, DOCKER_LIST, Image, OCI_INDEX, Recipe, index, layer};
use crate::support::engine::{clean_pull, docker, docker_says, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

/// `prune` without rules, of what was pushed a moment ago as well.
fn prune(registry: &Registry, more: &[&str]) -> Answer {
    let flags = ["prune", "--min-age", "none", "--force", "--wait=1min", "--registry", &registry.address];
    Tool::standalone().run(&[&flags[..], more].concat()).success()
}

fn image(seed: &str) -> Image {
    Recipe::new(seed).build()
}

/// The files that a collection takes: what they weigh in the store now.
fn bytes_of(registry: &Registry) -> u64 {
    let sizes =
        registry.shell("find /var/lib/registry/docker/registry/v2/blobs -name data -exec stat -c %s {} +");
    sizes.lines().map(|size| size.trim().parse::<u64>().expect("a size")).sum()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn is_gone(registry: &Registry, image: &Image) {
    for content in image.layers.iter().chain([&image.manifest, &image.config]) {
        assert!(!registry.has_blob(&content.digest), "{}", content.digest);
    }
}

#[test]
fn the_everyday_latest_leaves_nothing_behind_and_kept_platforms_are_pulled() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let seed = |name: &str| format!("{} {name}", registry.name);
    let olds: Vec<Image> = (1..=4).map(|number| image(&seed(&format!("old {number}")))).collect();
    for old in &olds {
        registry.client.push("app", &["latest"], old);
    }
    let last = image(&seed("last"));
    registry.client.push("app", &["latest"], &last);
    let platforms = ["amd64", "arm64"].map(|name| Recipe::new(&seed(name)).architecture(name).build());
    registry.client.push_index("multi", "1", &[&platforms[0], &platforms[1]]);
    for platform in &platforms {
        registry.client.push("multi", &[], platform);
    }
    registry.client.put_manifest("multi", "list", &index(DOCKER_LIST, &[&platforms[0], &platforms[1]]));

    prune(&registry, &[]).says("Deleted 0 tags and 4 manifests").says("as estimated");
    for old in &olds {
        is_gone(&registry, old);
    }
    registry.assert_pulls("app", ["latest"]);
    registry.assert_pulls("multi", ["1", "list"]);
    registry.assert_pulls("multi", platforms.iter().map(|platform| platform.manifest.digest.as_str()));
    let _ = clean_pull(&registry.reference("multi:1"), None).success();
    registry.assert_runs_alone();
    prune(&registry, &[]).says("There is no garbage to collect").never_says("Deleted");
}

#[test]
fn an_overwritten_index_goes_with_the_parts_that_no_other_needs() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let part = |name: &str| Recipe::new(&format!("{} {name}", registry.name)).architecture(name).build();
    let (shared, lost, new) = (part("amd64"), part("arm64"), part("s390x"));
    let old = registry.client.push_index("app", "latest", &[&shared, &lost]);
    let kept = registry.client.push_index("app", "latest", &[&shared, &new]);
    // Pushed by its digest as well: no tag of its own, and a part of what is kept.
    registry.client.push("app", &[], &shared);

    prune(&registry, &["-v"])
        .says("Deleted 0 tags and 2 manifests")
        .says("untagged, no kept index or subject needs it");
    assert!(!registry.has_blob(&old.digest));
    is_gone(&registry, &lost);
    assert!(registry.client.has_manifest("app", &shared.manifest.digest));
    registry.assert_pulls("app", ["latest", &kept.digest]);
}

#[test]
fn an_untagged_image_that_a_container_uses_stays_until_the_container_is_removed() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let repository = "in-use/untagged";
    let (old, new) = (image(&format!("{} old", registry.name)), image(&format!("{} new", registry.name)));
    registry.client.push(repository, &["latest"], &old);
    let reference = registry.reference(&format!("{repository}@{}", old.manifest.digest));
    let name = format!("{}-user", registry.name);
    docker_says(["create", "--name", &name, &reference, "/nothing"]);
    registry.client.push(repository, &["latest"], &new);
    let held = prune(&registry, &["-v"]);
    let still_there = registry.client.has_manifest(repository, &old.manifest.digest);
    let _ = docker(["rm", "--force", &name]).output();
    let _ = docker(["rmi", "--force", &reference]).output();
    let held = held.says("keep 1 untagged manifest: in use");
    assert!(still_there, "{held}");

    prune(&registry, &[]).says("Deleted 0 tags and 1 manifest");
    is_gone(&registry, &old);
    registry.assert_pulls(repository, ["latest"]);
}

#[test]
fn what_was_pushed_within_the_minimum_age_stays() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let (young, aged) =
        (image(&format!("{} young", registry.name)), image(&format!("{} aged", registry.name)));
    for image in [&young, &aged] {
        registry.client.push("app", &["latest"], image);
    }
    registry.client.push("app", &["latest"], &image(&format!("{} last", registry.name)));
    let hex = aged.manifest.digest.trim_start_matches("sha256:");
    registry.shell(&format!(
        "touch -d '2024-01-01 00:00:00' /var/lib/registry/docker/registry/v2/repositories/app/_manifests/revisions/sha256/{hex}/link"
    ));
    let flags = ["prune", "--force", "--wait=1min", "--registry", &registry.address];
    Tool::standalone()
        .run(&flags)
        .success()
        .says("Deleted 0 tags and 1 manifest")
        .says("keep 1 untagged manifest: younger than 1h, the minimum age");
    is_gone(&registry, &aged);
    assert!(registry.client.has_manifest("app", &young.manifest.digest));
}

#[test]
fn the_estimate_is_what_comes_back_to_the_byte() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let seed = |name: &str| format!("{} {name}", registry.name);
    let base = layer(&seed("base"), 300_000);
    let on_base = |name: &str, size: usize| -> Image {
        Recipe::new(&seed(name)).layer(&base).layer(&layer(&seed(name), size)).build()
    };
    let images: Vec<(Image, &str)> = vec![
        (on_base("old", 70_001), "latest"),
        (on_base("new", 3_333), "latest"),
        (on_base("v1", 12_345), "v1"),
    ];
    for (image, tag) in &images {
        registry.client.push("app", &[tag], image);
    }
    let stranger: Content = layer(&seed("nobody's"), 41_113);
    registry.client.push_blob("app", &stranger);
    registry.client.leave_garbage("gone", &seed("deleted by hand"));

    for (request, more) in [
        ("prune", &["--min-age", "none", "--keep", "1", "--max-delete", "100%"][..]),
        ("rm", &["--gc"]),
        ("gc", &[]),
    ] {
        let reference = registry.reference("app:v1");
        let mut words = vec![request, "--force", "--wait=1min", "--format", "json"];
        words.extend(more);
        match request {
            "rm" => words.push(&reference),
            _ => words.extend(["--registry", &registry.address]),
        }
        if request == "gc" {
            registry.client.leave_garbage("gone", &seed("deleted by hand, again"));
        }
        let before = bytes_of(&registry);
        let answer = Tool::standalone().run(&words).success();
        let document = answer.json();
        let back = before - bytes_of(&registry);
        assert!(back > 0, "{request}: {answer}");
        assert_eq!(document["plan"]["reclaimable"]["isExact"], true, "{answer}");
        assert_eq!(number(&document["estimatedBytes"]), back, "{answer}");
        assert_eq!(number(&document["reclaimedBytes"]), back, "{answer}");
    }
    registry.assert_pulls("app", ["latest"]);
    assert_eq!(registry.blob_count(), 4);
}

#[test]
fn what_went_without_a_tag_is_put_back_by_its_digest() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let part = |name: &str| Recipe::new(&format!("{} {name}", registry.name)).architecture(name).build();
    let (amd, arm) = (part("amd64"), part("arm64"));
    let old = registry.client.push_index("app", "latest", &[&amd, &arm]);
    registry.client.push("app", &["latest"], &image(&format!("{} new", registry.name)));
    let tool = Tool::standalone();
    let flags = ["prune", "--min-age", "none", "--force", "--no-gc", "--registry", &registry.address];
    tool.run(&flags).success().says("Deleted 0 tags and 3 manifests");
    assert!(!registry.client.has_manifest("app", &old.digest));

    tool.run(&["undo"]).success().says("Put back 0 tags and 3 manifests");
    registry.assert_pulls("app", ["latest", &old.digest]);
}

/// What is pushed while the question stands is looked at again before anything is deleted.
#[test]
fn what_is_needed_again_before_the_answer_stays() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let [tagged, again, part, lost, alone] =
        ["tagged", "again", "part", "lost", "alone"].map(|name| image(&format!("{} {name}", registry.name)));
    for image in [&tagged, &again, &part, &lost, &alone] {
        registry.client.push("app", &["latest"], image);
    }
    let over = index(OCI_INDEX, &[&part]);
    let meanwhile = || {
        // The files are dated by the second.
        std::thread::sleep(Duration::from_millis(1100));
        registry.client.put_manifest("app", "rescued", &tagged.manifest);
        registry.client.push("app", &[], &again);
        registry.client.put_manifest("app", &over.digest, &over);
    };
    let words = ["prune", "--min-age", "none", "--no-gc", "--registry", &registry.address];
    let answer = Tool::standalone().run_on_terminal(&words, "y\n", meanwhile).success();
    let answer = answer
        .says("Deleted 0 tags and 1 manifest")
        .says("tag `rescued` was put on it since the plan")
        .says("it was pushed again since the plan")
        .says("pushed since the plan, needs it");
    assert!(!registry.client.has_manifest("app", &lost.manifest.digest), "{answer}");
    let kept = [&tagged.manifest, &again.manifest, &part.manifest, &over];
    registry.assert_pulls("app", kept.map(|content| content.digest.as_str()));
    registry.assert_pulls("app", ["latest", "rescued"]);
}
