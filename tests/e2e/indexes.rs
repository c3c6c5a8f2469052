//! Images for several platforms: an index goes with what only it needs, and a kept one stays whole.

use crate::support::content::{DOCKER_LIST, Recipe, index, layer};
use crate::support::engine::{clean_pull, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

#[test]
fn an_index_goes_and_the_space_of_its_children_comes_back() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let children = ["amd64", "arm64"].map(|name| {
        Recipe::new(&format!("index goes {name}"))
            .layer(&layer(&format!("index goes {name}"), 2_000_000))
            .architecture(name)
            .oci()
            .build()
    });
    registry.client.push_index("app", "multi", &[&children[0], &children[1]]);
    registry.client.push("app", &["plain"], &Recipe::new("index goes, plain").build());
    assert!(registry.store_kib() > 3_900);

    Tool::standalone().run(&["rm", "--gc", "--force", &registry.reference("app:multi")]).success();
    assert_eq!(registry.client.tags("app"), ["plain"]);
    for child in &children {
        assert!(!registry.has_blob(&child.manifest.digest));
        assert!(!registry.has_blob(&child.layers[0].digest));
    }
    assert_eq!(registry.blob_count(), 3);
    assert!(registry.store_kib() < 500);
    registry.assert_pulls("app", ["plain"]);
}

#[test]
fn a_kept_index_keeps_both_platforms_through_everything() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = |seed: &str, architecture: &str| {
        Recipe::new(&format!("index kept {seed}")).architecture(architecture).build()
    };
    let shared = image("shared", "amd64");
    let kept = image("kept", "arm64");
    let gone = image("gone", "arm64");
    registry.client.push_index("app", "kept", &[&shared, &kept]);
    registry.client.push_index("app", "gone", &[&shared, &gone]);
    // A Docker list over the same images in another repository.
    for child in [&shared, &kept] {
        registry.client.push("team/list", &[], child);
    }
    registry.client.put_manifest("team/list", "1", &index(DOCKER_LIST, &[&shared, &kept]));
    // The child carries a tag of its own that goes too.
    registry.client.put_manifest("app", "amd64-build", &shared.manifest);
    let tool = Tool::standalone();

    let doomed = [registry.reference("app:gone"), registry.reference("app:amd64-build")];
    tool.run(&["rm", "--force", &doomed[0], &doomed[1]]).success();
    tool.run(&["gc", "--force", "--registry", &registry.address]).success();
    tool.run(&["prune", "--force", "--registry", &registry.address]).success();
    tool.run(&[
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--force",
        "--keep",
        "1",
        "--registry",
        &registry.address,
    ])
    .success();

    assert_eq!(registry.client.tags("app"), ["kept"]);
    assert!(!registry.has_blob(&gone.manifest.digest));
    assert!(!registry.has_blob(&gone.layers[0].digest));
    registry.assert_pulls("app", ["kept"]);
    registry.assert_pulls("team/list", ["1"]);
    for reference in ["app:kept", "team/list:1"] {
        for platform in ["linux/amd64", "linux/arm64"] {
            clean_pull(&registry.reference(reference), Some(platform)).success();
        }
    }
}
