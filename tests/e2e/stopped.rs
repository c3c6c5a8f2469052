//! Registries that do not run: what is kept is read from their files, their garbage goes, and they stay stopped.

use crate::support::answer::Answer;
use crate::support::content::{Recipe, layer};
use crate::support::engine::{docker_says, left_out, registry_image};
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

/// With `app:kept`, `app:index`, garbage, and a repository that was emptied.
fn filled(options: Options) -> Registry {
    let registry = options.start();
    let client = &registry.client;
    client.push("app", &["kept", "same"], &Recipe::new("kept by the stopped").build());
    let parts = ["amd64", "arm64"].map(|name| Recipe::new("part").architecture(name).oci().build());
    client.push_index("app", "index", &[&parts[0], &parts[1]]);
    let own = layer("of nobody any more", 60_000);
    let gone = Recipe::new("emptied by the stopped").layer(&own).build();
    client.push("emptied", &["1"], &gone);
    client.delete("emptied", &gone.manifest.digest);
    registry
}

fn run(registry: &Registry, words: &[&str]) -> Answer {
    Tool::standalone().run(&[words, &["--container", &registry.name]].concat())
}

fn stop(registry: &Registry) {
    docker_says(["stop", "--time", "5", &registry.name]);
}

/// Nothing of the tool is left beside it.
#[track_caller]
fn is_alone(registry: &Registry) {
    let name = format!("name=registry-prune-{}", &registry.identity().id[..12]);
    assert_eq!(docker_says(["ps", "--all", "--format", "{{.Names}}", "--filter", &name]), "");
}

#[track_caller]
fn is_whole_when_started(registry: &Registry) {
    docker_says(["start", &registry.name]);
    registry.assert_in_service();
    registry.assert_pulls("app", ["kept", "same", "index"]);
}

#[test]
fn the_garbage_of_a_stopped_registry_is_collected_and_it_stays_stopped() {
    if left_out() {
        return;
    }
    let registry = filled(Options::default());
    let identity = registry.identity();
    stop(&registry);
    let dry = run(&registry, &["gc", "--dry-run"]).success();
    dry.says("refers to 3 of its blobs").says("nothing was changed");
    let answer = run(&registry, &["gc", "--force"]).success();
    assert!(!registry.is_running(), "{answer}");
    is_alone(&registry);
    let answer = answer.says("3 blobs removed").says("Verified: 3 tags").never_says("out of service");
    let answer = answer.says("1 empty repository").says("Store: ");
    assert_eq!(registry.identity(), identity, "{answer}");
    is_whole_when_started(&registry);
    assert_eq!(registry.shell(&format!("ls {STORE}/repositories")), "app");
    // A second time there is nothing.
    stop(&registry);
    run(&registry, &["gc", "--force"]).success().says("0 blobs removed");
    assert!(!registry.is_running());
}

#[test]
fn from_a_stopped_registry_nothing_is_deleted() {
    if left_out() {
        return;
    }
    let registry = filled(Options::default());
    stop(&registry);
    for words in [
        &["prune", "--force", "--keep", "1", "--registry", &registry.address][..],
        &["rm", "--force", &registry.reference("app:kept")],
    ] {
        let refused = run(&registry, words).exits(4);
        refused.says("is not running: nothing can be deleted").says("docker start");
    }
    run(&registry, &["gc", "--force", "--gc-mode", "live"]).exits(4).says("--gc-mode offline");
    assert!(!registry.is_running());
    is_alone(&registry);
    is_whole_when_started(&registry);
}

#[test]
fn what_cannot_be_read_of_a_stopped_registry_holds_the_collection_back() {
    if left_out() {
        return;
    }
    let registry = filled(Options::default());
    let broken = format!("{STORE}/repositories/app/_manifests/tags/kept/current/link");
    registry.shell(&format!(": > {broken}"));
    let blobs = registry.blob_count();
    stop(&registry);
    run(&registry, &["gc", "--force"]).exits(4).says("app:kept").says("left alone in the store");
    is_alone(&registry);
    docker_says(["start", &registry.name]);
    registry.wait_until_it_answers();
    assert_eq!(registry.blob_count(), blobs);
}

/// Its process was killed, and the engine has ended it since.
#[test]
fn what_read_a_stopped_registry_and_was_left_is_removed_by_whoever_comes_next() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let id = registry.identity().id;
    let name = format!("registry-prune-{}-reader-0", &id[..12]);
    let label = |name: &str, value: &str| format!("--label=io.github.docker-registry-prune.{name}={value}");
    let (role, of) = (label("role", "reader"), label("registry", &id));
    docker_says(["run", "--name", &name, &role, &of, "--entrypoint=true", registry_image()]);
    let answer = Tool::standalone().run(&["ls", "--registry", &registry.address]).success();
    is_alone(&registry);
    answer.never_says("interrupted");
}
