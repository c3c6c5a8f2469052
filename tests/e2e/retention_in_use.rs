//! What containers and Swarm services of the engine use stays, whatever the rules say.

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
fn three(seed: &str) -> Registry {
    let registry = Registry::start();
    for month in 1..=3 {
        let image = Recipe::new(&format!("{seed} {month}")).created(&format!("2024-0{month}-01T00:00:00Z"));
        registry.client.push("app", &[&format!("v{month}")], &image.build());
    }
    registry
}

fn prune(registry: &Registry) -> Answer {
    let flags = ["prune", "--keep", "1", "--no-gc", "--force", "--verbose", "--registry", &registry.address];
    Tool::standalone().run(&flags).success()
}

#[test]
fn a_container_that_was_never_started_saves_its_image_until_it_is_removed() {
    if left_out() {
        return;
    }
    let registry = three("in use");
    let reference = registry.reference("app:v1");
    let name = format!("{}-user", registry.name);
    let _image = Made::gone_by(&["rmi", "--force", &reference]);
    let container = Made::gone_by(&["rm", "--force", &name]);
    docker_says(["create", "--name", &name, &reference, "/nothing"]);

    let answer = prune(&registry).says(&format!("container `{name}` uses it"));
    assert_eq!(registry.client.tags("app"), ["v1", "v3"], "{answer}");
    registry.assert_pulls("app", ["v1", "v3"]);
    drop(container);
    let answer = prune(&registry).never_says("uses it");
    assert_eq!(registry.client.tags("app"), ["v3"], "{answer}");
}

/// The engine knows the content by its digest, under whatever name it was pulled.
#[test]
fn a_container_whose_tag_went_elsewhere_saves_what_it_runs() {
    if left_out() {
        return;
    }
    let registry = three("in use by digest");
    let pulled = registry.reference("app:moving");
    let image = Recipe::new("in use by digest 1").created("2024-01-01T00:00:00Z").build();
    registry.client.put_manifest("app", "moving", &image.manifest);
    let name = format!("{}-user", registry.name);
    let _image = Made::gone_by(&["rmi", "--force", &pulled]);
    let _container = Made::gone_by(&["rm", "--force", &name]);
    docker_says(["create", "--name", &name, &pulled, "/nothing"]);
    let newer = Recipe::new("in use by digest 3").created("2024-03-01T00:00:00Z").build();
    registry.client.put_manifest("app", "moving", &newer.manifest);

    let answer = prune(&registry).says("uses it");
    assert_eq!(registry.client.tags("app"), ["moving", "v1", "v3"], "{answer}");
    registry.assert_pulls("app", ["moving", "v1", "v3"]);
}
