//! A Compose project of a test's own: one registry, on a named volume and the project's network.

use std::fs;
use std::process::{self, Command};
use std::sync::OnceLock;

use tempfile::TempDir;

use super::answer::Answer;
use super::client::Client;
use super::engine::{docker_says, engine_host, registry_image, script};
use super::registry::{Registry, free_port};

/// Declared before the registry in it, it goes away after it.
pub(crate) struct Project {
    folder: TempDir,
    name: String,
}

impl Project {
    /// Starts it; the registry in it has nothing that this harness gives to others.
    #[track_caller]
    pub(crate) fn up() -> (Self, Registry) {
        let address = format!("127.0.0.1:{}", free_port());
        let project = Self {
            folder: TempDir::new().expect("make a folder"),
            name: format!("drp-e2e-{}-{}", process::id(), address.replace(['.', ':'], "-")),
        };
        let text = format!(
            "services:\n  registry:\n    image: {}\n    restart: unless-stopped\n    ports: ['{address}:5000']\n    \
             environment: {{ REGISTRY_STORAGE_DELETE_ENABLED: 'true' }}\n    volumes: ['data:/var/lib/registry']\n\
             volumes: {{ data: {{}} }}\n",
            registry_image()
        );
        fs::write(project.folder.path().join("docker-compose.yml"), text).expect("write the project");
        let _ = project.asked(&["up", "-d"]).success();
        let container = project.container();
        let name = docker_says(["inspect", "--format", "{{.Name}}", &container]);
        let name = name.trim_start_matches('/').to_owned();
        let registry = Registry { client: Client::new(&address, None), address, name };
        registry.wait_until_it_answers();
        (project, registry)
    }

    /// `docker compose` in its folder.
    #[must_use]
    pub(crate) fn asked(&self, words: &[&str]) -> Answer {
        let mut command = Command::new(compose()[0].as_str());
        command.args(&compose()[1..]).args(["--project-name", &self.name]).args(words);
        if let Some(host) = engine_host() {
            command.env_remove("DOCKER_CONTEXT").env("DOCKER_HOST", host);
        }
        Answer::of(command.current_dir(self.folder.path()))
    }

    /// The id of its one container, as Compose knows it.
    #[track_caller]
    pub(crate) fn container(&self) -> String {
        self.asked(&["ps", "-q"]).success().stdout.trim().to_owned()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = self.asked(&["down", "--volumes"]);
    }
}

/// The words that call it.
fn compose() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let found = Answer::of(&mut Command::new(script("compose.sh"))).success();
        found.stdout.split_whitespace().map(ToOwned::to_owned).collect()
    })
}
