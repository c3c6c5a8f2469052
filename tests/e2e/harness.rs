//! The harness itself: what the other files lean on works as they believe.

use crate::support::content::{OCI_INDEX, Recipe, index};
use crate::support::engine::{docker_commands, left_out};
use crate::support::registry::Registry;

#[test]
fn a_pull_of_the_harness_finds_what_is_missing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("harness").build();
    registry.client.push("app", &["1", "2"], &image);
    let arm = Recipe::new("harness arm").architecture("arm64").oci().build();
    let both = registry.client.push_index("app", "multi", &[&image, &arm]);
    assert_eq!(both.digest, index(OCI_INDEX, &[&image, &arm]).digest);
    assert_eq!(registry.client.tags("app"), ["1", "2", "multi"]);
    registry.assert_pulls("app", ["1", "2", "multi"]);
    assert_eq!(registry.pull("app", "multi").unwrap().manifests.len(), 3);
    assert_eq!(registry.blob_count(), 7);
    assert!(registry.has_blob(&arm.config.digest));

    registry.client.delete("app", &arm.manifest.digest);
    registry.pull("app", "multi").unwrap_err();
    let deletions = registry.requests().into_iter().filter(|access| access.method == "DELETE");
    assert_eq!(deletions.map(|access| access.status).collect::<Vec<_>>(), [202]);
}

#[test]
fn there_is_a_docker_command_to_test_with() {
    if left_out() {
        return;
    }
    assert!(!docker_commands().is_empty());
}
