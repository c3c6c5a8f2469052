//! What containers and Swarm services of the engine use stays, whatever the rules say.
//!
//! A name in use is protected in every private registry. So each test has a repository of its own name, or it would
//! protect the images of the tests that run beside it.

use crate::support::answer::Answer;
use crate::support::content::Recipe;
use crate::support::engine::{docker, docker_says, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

/// A container, or whatever `docker` made, that goes with the test.
struct Made {
    removal: Vec<String>,
}

impl Made {
    fn gone_by(removal: &[&str]) -> Self {
        Self { removal: removal.iter().map(|&word| word.to_owned()).collect() }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = docker(self.removal.iter().map(String::as_str)).output();
    }
}

/// Three images, of which only the newest is kept by number.
fn three(repository: &str) -> Registry {
    let registry = Registry::start();
    for month in 1..=3 {
        let image =
            Recipe::new(&format!("{repository} {month}")).created(&format!("2024-0{month}-01T00:00:00Z"));
        registry.client.push(repository, &[&format!("v{month}")], &image.build());
    }
    registry
}

fn prune(registry: &Registry) -> Answer {
    let flags = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--keep",
        "1",
        "--no-gc",
        "--force",
        "--verbose",
        "--registry",
        &registry.address,
    ];
    Tool::standalone().run(&flags).success()
}

#[test]
fn a_container_that_was_never_started_saves_its_image_until_it_is_removed() {
    if left_out() {
        return;
    }
    let registry = three("in-use/created");
    let reference = registry.reference("in-use/created:v1");
    let name = format!("{}-user", registry.name);
    let _image = Made::gone_by(&["rmi", "--force", &reference]);
    let container = Made::gone_by(&["rm", "--force", &name]);
    docker_says(["create", "--name", &name, &reference, "/nothing"]);

    let answer = prune(&registry).says(&format!("container `{name}` uses it"));
    assert_eq!(registry.client.tags("in-use/created"), ["v1", "v3"], "{answer}");
    registry.assert_pulls("in-use/created", ["v1", "v3"]);
    drop(container);
    let answer = prune(&registry).never_says("uses it");
    assert_eq!(registry.client.tags("in-use/created"), ["v3"], "{answer}");
}

/// The engine knows the content by its digest, under whatever name it was pulled.
#[test]
fn a_container_whose_tag_went_elsewhere_saves_what_it_runs() {
    if left_out() {
        return;
    }
    let registry = three("in-use/moved");
    let pulled = registry.reference("in-use/moved:moving");
    let image = Recipe::new("in-use/moved 1").created("2024-01-01T00:00:00Z").build();
    registry.client.put_manifest("in-use/moved", "moving", &image.manifest);
    let name = format!("{}-user", registry.name);
    let _image = Made::gone_by(&["rmi", "--force", &pulled]);
    let _container = Made::gone_by(&["rm", "--force", &name]);
    docker_says(["create", "--name", &name, &pulled, "/nothing"]);
    let newer = Recipe::new("in-use/moved 3").created("2024-03-01T00:00:00Z").build();
    registry.client.put_manifest("in-use/moved", "moving", &newer.manifest);

    let answer = prune(&registry).says("uses it");
    assert_eq!(registry.client.tags("in-use/moved"), ["moving", "v1", "v3"], "{answer}");
    registry.assert_pulls("in-use/moved", ["moving", "v1", "v3"]);
}

/// The one test that needs a swarm. An engine that is in one already stays in it.
#[test]
fn the_image_of_a_swarm_service_stays_until_the_service_is_removed() {
    if left_out() {
        return;
    }
    let _swarm = Swarm::there();
    let registry = three("in-use/service");
    let reference = registry.reference("in-use/service:v1");
    let name = format!("{}-service", registry.name);
    let service = Made::gone_by(&["service", "rm", &name]);
    docker_says(["service", "create", "--detach", "--name", &name, "--replicas", "0", &reference]);

    let answer = prune(&registry).says(&format!("service `{name}` uses it"));
    assert_eq!(registry.client.tags("in-use/service"), ["v1", "v3"], "{answer}");
    registry.assert_pulls("in-use/service", ["v1", "v3"]);
    drop(service);
    let answer = prune(&registry).never_says("uses it");
    assert_eq!(registry.client.tags("in-use/service"), ["v3"], "{answer}");
}

/// A swarm of this one engine. What the engine makes for it and leaves behind goes too.
struct Swarm {
    bridge: Option<Made>,
    swarm: Option<Made>,
}

impl Swarm {
    fn there() -> Self {
        const BRIDGE: &str = "docker_gwbridge";
        if docker_says(["info", "--format", "{{.Swarm.LocalNodeState}}"]) != "inactive" {
            return Self { bridge: None, swarm: None };
        }
        let networks = docker_says(["network", "ls", "--format", "{{.Name}}"]);
        let bridge =
            (!networks.lines().any(|name| name == BRIDGE)).then(|| Made::gone_by(&["network", "rm", BRIDGE]));
        let swarm = Made::gone_by(&["swarm", "leave", "--force"]);
        docker_says(["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        Self { bridge, swarm: Some(swarm) }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // The bridge is in use until the swarm is left.
        drop(self.swarm.take());
        drop(self.bridge.take());
    }
}
