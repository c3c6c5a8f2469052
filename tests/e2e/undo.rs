//! What was removed is put back on the real server, byte for byte, until somebody collects.

use crate::support::content::{Content, OCI_INDEX, Recipe, index};
use crate::support::engine::{clean_pull, docker_commands, docker_says, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

/// An index over an index over an image, under `nested`; the digests of all that is below.
fn push_nested(registry: &Registry, seed: &str) -> Vec<String> {
    let amd = Recipe::new(&format!("{seed} amd64")).oci().build();
    let arm = Recipe::new(&format!("{seed} arm64")).architecture("arm64").oci().build();
    for image in [&amd, &arm] {
        registry.client.push("app", &[], image);
    }
    let inner = index(OCI_INDEX, &[&amd, &arm]);
    registry.client.put_manifest("app", &inner.digest, &inner);
    let body = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": OCI_INDEX, "digest": inner.digest, "size": inner.bytes.len() }],
    });
    let outer = Content::new(OCI_INDEX, body.to_string().into_bytes());
    registry.client.put_manifest("app", "nested", &outer);
    [&outer, &inner, &amd.manifest, &arm.manifest].map(|content| content.digest.clone()).to_vec()
}

#[test]
fn what_was_removed_comes_back_whole() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let client = &registry.client;
    let amd = Recipe::new("undo multi").oci().build();
    let arm = Recipe::new("undo multi arm").architecture("arm64").oci().build();
    client.push_index("app", "multi", &[&amd, &arm]);
    client.push("app", &["1.0", "1", "latest"], &Recipe::new("undo shared").build());
    client.push("tools/lint", &["2"], &Recipe::new("undo lint").build());
    let nested = push_nested(&registry, "undo nested");
    let tags = client.tags("app");
    let before: Vec<_> = tags.iter().map(|tag| registry.pull("app", tag).unwrap()).collect();

    let tool = Tool::standalone();
    let references: Vec<String> = ["app:multi", "app:nested", "app:1", "tools/lint"]
        .iter()
        .map(|rest| registry.reference(rest))
        .collect();
    let words: Vec<&str> =
        ["rm", "--force"].into_iter().chain(references.iter().map(String::as_str)).collect();
    tool.run(&words).success().says("Put this back with `docker registry undo");
    assert_eq!(client.tags("app"), ["1.0", "latest"]);
    assert!(!client.has_manifest("app", &nested[3]));
    // It is the store that remembers, not the process.
    docker_says(["restart", &registry.name]);
    registry.wait_until_it_answers();

    tool.run(&["undo"]).success().says("Put back 4 tags and 8 manifests");
    assert_eq!(client.tags("app"), tags);
    let after: Vec<_> = tags.iter().map(|tag| registry.pull("app", tag).unwrap()).collect();
    assert_eq!(after, before);
    registry.assert_pulls("tools/lint", ["2"]);
    clean_pull(&registry.reference("app:multi"), None).success();
    clean_pull(&registry.reference("app:1"), None).success();
    tool.run(&["verify", "--registry", &registry.address]).success();
    tool.run(&["gc", "--force", "--registry", &registry.address]).success();
    registry.assert_pulls("app", tags.iter().map(String::as_str));
}

#[test]
fn what_a_prune_without_a_collection_removed_comes_back_through_docker() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    for (number, tag) in ["1", "2", "3"].iter().enumerate() {
        let date = format!("2024-0{}-01T00:00:00Z", number + 1);
        registry.client.push("app", &[tag], &Recipe::new(&format!("undo {tag}")).created(&date).build());
    }
    let tool = Tool::through(&docker_commands()[0]);
    let everything = registry.reference("app:*");
    tool.run(&[
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--no-gc",
        "--force",
        "--keep",
        "1",
        &everything,
    ])
    .success()
    .says("docker registry undo");
    assert_eq!(registry.client.tags("app"), ["3"]);
    tool.run(&["undo", "--list"]).success().says("can be put back").says("prune");
    tool.run(&["undo"]).success().says("Put back 2 tags and 2 manifests");
    registry.assert_pulls("app", ["1", "2", "3"]);
    tool.run(&["undo", "--list"]).success().says("put back");
}

#[test]
fn what_this_tool_collected_is_refused_and_what_it_left_comes_back() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let shared = Recipe::new("undo kept").build();
    registry.client.push("app", &["kept", "alias"], &shared);
    registry.client.push("app", &["gone"], &Recipe::new("undo gone").build());
    let tool = Tool::standalone();
    let (alias, gone) = (registry.reference("app:alias"), registry.reference("app:gone"));
    tool.run(&["rm", "--force", &alias]).success();
    let removed = tool.run(&["rm", "--force", "--format", "json", &gone]).success().json();
    tool.run(&["gc", "--force", "--registry", &registry.address])
        .success()
        .never_says("docker registry undo");

    let asked = registry.requests().len();
    let run = removed["run"].as_str().unwrap();
    tool.run(&["undo", run]).exits(4).says("collected by the run of `docker registry gc`");
    assert_eq!(registry.requests().len(), asked, "there is nothing to try");
    // The run that only took a tag off lost nothing.
    tool.run(&["undo"]).success().says("Put back 1 tag and 0 manifests");
    assert_eq!(registry.client.tags("app"), ["alias", "kept"]);
    registry.assert_pulls("app", ["alias"]);

    tool.run(&["rm", "--gc", "--force", &registry.reference("app")])
        .success()
        .never_says("docker registry undo");
    tool.run(&["undo"]).exits(1).says("anything that can be put back");
    let listed = tool.run(&["undo", "--list", "--format", "json"]).success().json();
    let statuses: Vec<_> =
        listed["runs"].as_array().unwrap().iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["collected", "collected", "collected"]);
}

/// The server that serves on after a collection by hand remembers blobs that are gone, and would take the manifest.
#[test]
fn what_somebody_else_collected_is_told_for_each_manifest() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let tool = Tool::standalone();
    registry.client.push("app", &["kept", "alias"], &Recipe::new("by hand kept").build());
    let gone = ["1", "2"].map(|tag| {
        registry.client.push("app", &[tag], &Recipe::new(&format!("by hand {tag}")).build());
        registry.assert_pulls("app", [tag]);
        registry.reference(&format!("app:{tag}"))
    });
    tool.run(&["rm", "--force", &registry.reference("app:alias"), &gone[0], &gone[1]]).success();
    registry.collect_by_hand();

    for restarted in [false, true] {
        if restarted {
            docker_says(["restart", &registry.name]);
            registry.wait_until_it_answers();
        }
        let answer = tool.run(&["undo"]).exits(3).says("FAILED app:1:").says("FAILED app:2:");
        answer.says(if restarted {
            "its layers were collected"
        } else {
            "a blob that it needs cannot be read"
        });
        assert_eq!(registry.client.tags("app"), ["alias", "kept"]);
        registry.assert_pulls("app", ["alias", "kept"]);
    }
}
