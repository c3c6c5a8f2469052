//! What destroys images that are kept: shown without this tool, and that nothing of it happens with it.

use crate::support::content::{Recipe, index};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

const CONFIGURATION: &str = "/etc/docker/registry/config.yml";

/// One image under a tag, one for two platforms, and an image that only waits for a collection.
fn registry(seed: &str) -> Registry {
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new(&format!("{seed} 1")).build());
    let parts = ["amd64", "arm64"].map(|architecture| {
        Recipe::new(&format!("{seed} {architecture}")).architecture(architecture).build()
    });
    registry.client.push_index("team/multi", "1", &[&parts[0], &parts[1]]);
    registry.client.leave_garbage("app", seed);
    registry
}

fn gc(registry: &Registry) {
    Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]).success();
}

fn is_whole(registry: &Registry) -> bool {
    registry.pull("app", "1").is_ok() && registry.pull("team/multi", "1").is_ok()
}

/// The collector by hand, as how-tos have it, and the server started again.
fn by_hand(registry: &Registry, flags: &str) {
    registry.shell(&format!("registry garbage-collect {flags} {CONFIGURATION} >/dev/null"));
    docker_says(["restart", "--time", "5", &registry.name]);
    registry.wait_until_it_answers();
}

#[test]
fn the_collectors_own_flag_for_untagged_manifests_breaks_images_of_several_platforms() {
    if left_out() {
        return;
    }
    let harmed = registry("hazard untagged");
    by_hand(&harmed, "--delete-untagged");
    harmed.pull("team/multi", "1").unwrap_err();

    let spared = registry("hazard untagged");
    gc(&spared);
    assert!(is_whole(&spared));
    assert_eq!(spared.blob_count(), 3 + 7);
}

#[test]
fn a_stray_file_makes_the_collector_sweep_everything() {
    if left_out() {
        return;
    }
    let harmed = registry("hazard stray");
    harmed.shell(&format!("touch {STORE}/repositories/_x"));
    by_hand(&harmed, "");
    assert_eq!(harmed.blob_count(), 0);
}

#[test]
fn a_repository_without_layers_is_swept() {
    if left_out() {
        return;
    }
    let harmed = registry("hazard layers");
    let layers = format!("{STORE}/repositories/team/multi/_layers");
    harmed.shell(&format!("mv {layers} /var/lib/registry/aside"));
    by_hand(&harmed, "");
    harmed.shell(&format!("mv /var/lib/registry/aside {layers}"));
    harmed.pull("team/multi", "1").unwrap_err();
    harmed.assert_pulls("app", ["1"]);
}

#[test]
fn a_layer_that_is_deleted_as_a_manifest_is_lost_to_its_image() {
    if left_out() {
        return;
    }
    let image = Recipe::new("hazard layer").build();
    let registries = [Registry::start(), Registry::start()];
    for registry in &registries {
        registry.client.push("app", &["1"], &image);
    }
    let [harmed, spared] = &registries;
    let layer = image.layers[0].digest.clone();
    harmed.client.delete("app", &layer);
    docker_says(["restart", "--time", "5", &harmed.name]);
    harmed.wait_until_it_answers();
    harmed.pull("app", "1").unwrap_err();

    Tool::standalone().run(&["rm", "--force", &spared.reference(&format!("app@{layer}"))]).fails();
    docker_says(["restart", "--time", "5", &spared.name]);
    spared.wait_until_it_answers();
    spared.assert_pulls("app", ["1"]);
}

#[test]
fn a_digest_takes_every_tag_on_it_along() {
    if left_out() {
        return;
    }
    let image = Recipe::new("hazard digest").build();
    let registries = [Registry::start(), Registry::start()];
    for registry in &registries {
        registry.client.push("app", &["1", "stable"], &image);
    }
    let [harmed, spared] = &registries;
    harmed.client.delete("app", &image.manifest.digest);
    assert_eq!(harmed.client.tags("app"), [""; 0]);

    Tool::standalone().run(&["rm", "--force", &spared.reference("app:1")]).success();
    spared.assert_pulls("app", ["stable"]);
}

#[test]
fn a_tag_that_is_asked_for_without_all_types_is_at_another_digest() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let part = Recipe::new("hazard types").build();
    registry.client.push("app", &[], &part);
    let list = index("application/vnd.docker.distribution.manifest.list.v2+json", &[&part]);
    registry.client.put_manifest("app", "multi", &list);
    // A client that knows nothing of lists.
    let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json";
    let asked =
        format!("wget -S -O /dev/null --header '{accept}' http://127.0.0.1:5000/v2/app/manifests/multi 2>&1");
    let told = registry.shell(&asked).to_lowercase();
    assert!(told.contains("docker-content-digest: sha256:") && !told.contains(&list.digest), "{told}");

    let listed = Tool::standalone().run(&["ls", "--no-trunc", "--registry", &registry.address]).success();
    listed.says(&list.digest);
}

#[test]
fn a_flag_that_the_collector_does_not_know_ends_well_and_does_nothing() {
    if left_out() {
        return;
    }
    let registry = registry("hazard flag");
    let blobs = registry.blob_count();
    let said =
        registry.shell(&format!("registry garbage-collect --nonsense {CONFIGURATION} 2>&1; echo code $?"));
    assert!(said.contains("code 0") && !said.contains("blobs marked"), "{said}");
    assert_eq!(registry.blob_count(), blobs);
}
