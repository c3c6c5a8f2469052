//! Servers on which the job cannot be done safely, or not at all: said before anything is attempted, exit code 4.

use crate::support::answer::Answer;
use crate::support::content::{Image, Recipe};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

/// A refusal: exit code 4, no request for a change but harmless questions, the same process, the same blobs.
#[track_caller]
fn refuses(registry: &Registry, arguments: &[&str]) -> Answer {
    let asked = registry.requests().len();
    let (blobs, started) = (registry.blob_count(), registry.started_at());
    let answer = Tool::standalone().run(arguments).exits(4);
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed, "a change was attempted\n{answer}");
    assert!(registry.is_running(), "{answer}");
    assert_eq!(registry.started_at(), started, "it was restarted\n{answer}");
    assert_eq!(registry.blob_count(), blobs, "{answer}");
    answer
}

fn with_one_image(options: Options, seed: &str) -> Registry {
    let registry = options.start();
    registry.client.push("app", &["1"], &Recipe::new(seed).build());
    registry
}

#[test]
fn deletion_disabled_is_said_with_the_setting_that_enables_it() {
    if left_out() {
        return;
    }
    let registry = with_one_image(Options::deletion_disabled(), "deletion disabled");
    let reference = registry.reference("app:1");
    refuses(&registry, &["rm", "--gc", "--force", &reference]).says("REGISTRY_STORAGE_DELETE_ENABLED=true");
    refuses(
        &registry,
        &[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--force",
            "--older-than",
            "1d",
            "--registry",
            &registry.address,
        ],
    )
    .says("REGISTRY_STORAGE_DELETE_ENABLED=true");
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_read_only_registry_is_told_apart() {
    if left_out() {
        return;
    }
    let registry =
        Options::default().env("REGISTRY_STORAGE_MAINTENANCE_READONLY", r#"{"enabled":true}"#).start();
    // Nothing can be pushed: the image is put there by a second server on the same volume.
    let image = Recipe::new("read-only").build();
    push_beside(&registry, &image);
    refuses(&registry, &["rm", "--force", &registry.reference("app:1")])
        .says_one_of(&["read-only", "readonly"])
        .never_says("REGISTRY_STORAGE_DELETE_ENABLED");
    registry.assert_pulls("app", ["1"]);
}

fn push_beside(registry: &Registry, image: &Image) {
    let writer = Options::default().volumes_from(&registry.name).start();
    writer.client.push("app", &["1"], image);
}

#[test]
fn a_pull_through_proxy_is_told_apart() {
    if left_out() {
        return;
    }
    let upstream = with_one_image(Options::default(), "proxied");
    let address = docker_says(["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &upstream.name]);
    let registry =
        Options::default().env("REGISTRY_PROXY_REMOTEURL", &format!("http://{address}:5000")).start();
    registry.assert_pulls("app", ["1"]);
    refuses(&registry, &["rm", "--force", &registry.reference("app:1")])
        .says_one_of(&["pull-through", "proxy", "mirror"])
        .never_says("REGISTRY_STORAGE_DELETE_ENABLED");
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_container_that_swarm_manages_is_not_stopped() {
    if left_out() {
        return;
    }
    let options = Options::default().label("com.docker.swarm.service.id", "k2ngg36ouhxo");
    let registry = with_one_image(options, "swarm");
    refuses(&registry, &["gc", "--force", "--registry", &registry.address]).says("Swarm");
    registry.assert_pulls("app", ["1"]);
}

/// A store with two repositories and an image that only waits for a collection.
fn store_with_garbage(seed: &str) -> Registry {
    let registry = with_one_image(Options::default(), &format!("{seed} 1"));
    registry.client.push("team/other", &["2"], &Recipe::new(&format!("{seed} 2")).build());
    registry.client.leave_garbage("app", seed);
    assert_eq!(registry.blob_count(), 9);
    registry
}

/// On a store where the collector would destroy what is kept: damage it, see that nothing is swept, mend it, collect.
fn does_not_sweep(registry: &Registry, damage: &str, mend: &str) {
    registry.shell(damage);
    let answer = Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]).exits(4);
    assert!(registry.is_running(), "{answer}");
    registry.wait_until_it_answers();
    assert_eq!(registry.blob_count(), 9, "something was swept\n{answer}");

    registry.shell(mend);
    registry.assert_pulls("app", ["1"]);
    registry.assert_pulls("team/other", ["2"]);
    Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]).success();
    assert_eq!(registry.blob_count(), 6);
    registry.assert_pulls("app", ["1"]);
    registry.assert_pulls("team/other", ["2"]);
}

#[test]
fn a_stray_file_that_makes_the_collector_blind_stops_the_sweep() {
    if left_out() {
        return;
    }
    let registry = store_with_garbage("stray file");
    does_not_sweep(
        &registry,
        &format!("touch {STORE}/repositories/_x"),
        &format!("rm {STORE}/repositories/_x"),
    );
}

#[test]
fn a_repository_that_the_collector_does_not_see_stops_the_sweep() {
    if left_out() {
        return;
    }
    let registry = store_with_garbage("no layers folder");
    let layers = format!("{STORE}/repositories/team/other/_layers");
    does_not_sweep(
        &registry,
        &format!("mv {layers} /var/lib/registry/aside"),
        &format!("mv /var/lib/registry/aside {layers}"),
    );
}

#[test]
fn what_no_collection_can_follow_is_refused_before_anything_is_deleted() {
    if left_out() {
        return;
    }
    let registry = with_one_image(Options::default(), "second writer");
    let second = Options::default().volumes_from(&registry.name).start();
    refuses(&registry, &["rm", "--gc", "--force", &registry.reference("app:1")]).mentions(&second.name);
    registry.assert_pulls("app", ["1"]);
    drop(second);

    let elsewhere = with_one_image(
        Options::default().env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
        "in the container itself",
    );
    refuses(&elsewhere, &["rm", "--gc", "--force", &elsewhere.reference("app:1")]).mentions("/data");
}

#[test]
fn a_manifest_at_which_the_collector_stops_is_named_with_its_mend() {
    if left_out() {
        return;
    }
    let registry = with_one_image(Options::default(), "broken manifest");
    let broken = Recipe::new("broken manifest, old").build();
    registry.client.push("app", &["2"], &broken);
    registry.client.push("app", &["2"], &Recipe::new("broken manifest, new").build());
    let digest = &broken.manifest.digest;
    let hex = digest.strip_prefix("sha256:").unwrap();
    registry.shell(&format!(": > {STORE}/blobs/sha256/{}/{hex}/data", &hex[..2]));
    let started = registry.started_at();
    let gc = ["gc", "--force", "--registry", &registry.address];
    let answer =
        Tool::standalone().run(&gc).exits(4).says(&format!("stopped at the manifest {digest} of `app`"));
    assert_eq!(registry.started_at(), started, "nobody was interrupted for that\n{answer}");

    // The mend, as it is printed.
    let (_, mend) = answer.stderr.split_once("hint: `").expect("a hint");
    let (first, rest) = mend.split_once("` and `").expect("two commands");
    for command in [first, rest.split_once('`').expect("its end").0] {
        docker_says(command.split_whitespace().skip(1).collect::<Vec<_>>());
    }
    registry.wait_until_it_answers();
    Tool::standalone().run(&gc).success();
    registry.assert_pulls("app", ["1", "2"]);
}
