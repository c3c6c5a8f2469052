//! What destroys images that are kept: shown without this tool, and that nothing of it happens with it.
//!
//! | harm | shown on | what is done against it |
//! |---|---|---|
//! | the collector's own flag for untagged manifests, 2.x | this server, here | never used: `engine/collector.rs` |
//! | the same flag, 3.x: the parts of an index that another repository has in part | no 3.x can be had here | the same |
//! | a manifest that is deleted while the collector marks its repository: it stops marking there | the moment lies between two system calls of the collector, with nothing in between to hold it up by | nobody serves deletions meanwhile; a certificate names every kept manifest: `it/certificate.rs` |
//! | a push between mark and sweep | this server, here | nobody accepts pushes meanwhile: here, `clients.rs`, `read_only.rs` |
//! | what the registry remembers of blobs that are gone, in memory and in redis | this server, `again.rs`, `redis.rs` | it is restarted, redis is emptied |
//! | a repository without `_layers`, a stray `_file` | this server, here | refused: `refusals.rs` |
//! | a layer deleted as a manifest; all tags of a digest; a conversion's digest; an unknown flag | this server, here | here |
//! | tags hidden by their prefixes, 3.1 on S3 | no S3 and no 3.1 here | refused by version and driver: `objects.rs` |
//! | blobs in use that are to go, GCS | no GCS here | the certificate: `it/certificate.rs` |

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

/// A collector held up between mark and sweep: nobody reads what it prints. `app` comes before the repository whose
/// manifests fill the pipe.
#[test]
fn what_is_pushed_while_the_collector_marks_is_lost() {
    if left_out() {
        return;
    }
    let harmed = Registry::start();
    harmed.client.push("app", &["1"], &Recipe::new("hazard marked").build());
    let part = Recipe::new("hazard many").oci().build();
    harmed.client.push("many", &["1"], &part);
    for number in 0..300 {
        harmed.client.put_manifest("many", &format!("v{number}"), &part.annotated(number));
    }
    harmed.shell(&format!(
        "mkfifo /tmp/said; (registry garbage-collect {CONFIGURATION} >/tmp/said 2>/dev/null; touch /tmp/ended) >/dev/null 2>&1 & \
         (exec 3</tmp/said; while read -r line <&3 && [ \"$line\" != many ]; do :; done; touch /tmp/marks; \
          while [ ! -e /tmp/go ]; do sleep 0.1; done; cat <&3) >/dev/null 2>&1 & \
         while [ ! -e /tmp/marks ]; do sleep 0.1; done"
    ));
    let meanwhile = Recipe::new("hazard meanwhile").build();
    harmed.client.push("app", &["meanwhile"], &meanwhile);
    harmed.assert_pulls("app", ["meanwhile"]);
    harmed.shell("touch /tmp/go; while [ ! -e /tmp/ended ]; do sleep 0.1; done");
    harmed.pull("app", "meanwhile").unwrap_err();
    harmed.assert_pulls("app", ["1"]);

    let spared = registry("hazard meanwhile");
    spared.leave_garbage_blobs(2_000);
    let tool = Tool::standalone();
    let arguments = ["gc", "--force", "--gc-mode", "read-only", "--registry", &spared.address];
    let mut run = tool.start(&arguments);
    run.until("a stand-in serves", || spared.has_one_off("stand-in", &["running"]));
    run.until("a push is refused", || {
        let pushed = spared.client.try_push("app", "meanwhile", &meanwhile);
        assert!(!matches!(pushed, Ok(None)), "it was pushed");
        matches!(pushed, Ok(Some(405)))
    });
    run.wait().success();
    assert_eq!(spared.client.tags("app"), ["1"]);
    assert!(is_whole(&spared));
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
