//! A network of a test's own, and containers on it that are clients of a registry.

use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use super::answer::Answer;
use super::engine::{docker, docker_says, registry_image};

static SERIAL: AtomicU16 = AtomicU16::new(0);

pub(crate) struct Network {
    pub(crate) name: String,
}

/// A container that does nothing by itself.
pub(crate) struct Neighbour {
    pub(crate) name: String,
}

impl Network {
    pub(crate) fn new(purpose: &str) -> Self {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("drp-e2e-{}-{purpose}-{serial}", process::id());
        docker_says(["network", "create", &name]);
        Self { name }
    }

    pub(crate) fn connect(&self, container: &str, alias: &str) {
        docker_says(["network", "connect", "--alias", alias, &self.name, container]);
    }

    pub(crate) fn neighbour(&self) -> Neighbour {
        let name = format!("{}-neighbour", self.name);
        let words = ["run", "--detach", "--name", &name, "--network", &self.name, "--entrypoint", "sleep"];
        docker_says(words.into_iter().chain([registry_image(), "600"]));
        Neighbour { name }
    }
}

impl Neighbour {
    /// The address that a name has for it; `None` where nobody has the name.
    pub(crate) fn address_of(&self, name: &str) -> Option<String> {
        let answer = Answer::of(&mut docker(["exec", &self.name, "nslookup", name]));
        let mut addresses = answer.stdout.lines().filter_map(|line| line.strip_prefix("Address: "));
        addresses.next_back().map(|address| address.trim().to_owned())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = docker(["rm", "--force", "--volumes", &self.name]).output();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = docker(["network", "rm", &self.name]).output();
    }
}
