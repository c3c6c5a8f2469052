//! A redis server of a test's own, on a network of its own, for a registry that remembers its blobs there.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::{path::Path, process};

use super::answer::Answer;
use super::engine::{docker, docker_says};
use super::registry::{Options, eventually};

/// What the registry calls it: a name of its own hosts file. An engine that leaves a swarm, as another test has it do,
/// forgets the names of all networks.
const ALIAS: &str = "cache";

static SERIAL: AtomicU16 = AtomicU16::new(0);

/// Declared before the registry that uses it, it goes away after it.
pub(crate) struct Redis {
    pub(crate) name: String,
    address: String,
    password: Option<String>,
}

impl Redis {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::run(None)
    }

    #[track_caller]
    pub(crate) fn with_password(password: &str) -> Self {
        Self::run(Some(password))
    }

    #[track_caller]
    fn run(password: Option<&str>) -> Self {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("drp-e2e-redis-{}-{serial}", process::id());
        let network = format!("10.{}.{serial}", 50 + process::id() % 200);
        let (subnet, address) = (format!("{network}.0/24"), format!("{network}.100"));
        let redis = Self { name, address, password: password.map(ToOwned::to_owned) };
        let (name, address) = (&redis.name, &redis.address);
        docker_says(["network", "create", "--subnet", &subnet, name]);
        let server = ["run", "--detach", "--name", name, "--network", name, "--ip", address, image()];
        let login = password.into_iter().flat_map(|password| ["--requirepass", password]);
        docker_says(server.into_iter().chain(login));
        eventually("redis answers", || redis.answer(&["ping"]).stdout.trim() == "PONG");
        redis
    }

    /// A registry whose blobs are remembered here.
    pub(crate) fn registry(&self) -> Options {
        let options = Options::default()
            .network_with_host(&self.name, &format!("{ALIAS}:{}", self.address))
            .env("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "redis")
            .env("REGISTRY_REDIS_ADDR", &format!("{ALIAS}:6379"));
        match &self.password {
            Some(password) => options.env("REGISTRY_REDIS_PASSWORD", password),
            None => options,
        }
    }

    fn answer(&self, words: &[&str]) -> Answer {
        let password = format!("REDISCLI_AUTH={}", self.password.as_deref().unwrap_or_default());
        let login = self.password.as_ref().into_iter().flat_map(|_| ["--env", password.as_str()]);
        let fixed = ["exec"].into_iter().chain(login).chain([self.name.as_str(), "redis-cli"]);
        Answer::of(&mut docker(fixed.chain(words.iter().copied())))
    }

    /// What `redis-cli` prints.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> String {
        self.answer(words).success().stdout.trim_end().to_owned()
    }

    /// From now on; those that are open stay so, else the registry would take long to notice.
    #[track_caller]
    pub(crate) fn refuse_connections(&self) {
        assert_eq!(self.says(&["config", "set", "port", "0"]), "OK");
    }

    /// Whether a blob is remembered, in a database.
    #[track_caller]
    pub(crate) fn remembers(&self, database: &str, digest: &str) -> bool {
        self.says(&["-n", database, "exists", &format!("blobs::{digest}")]) == "1"
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = docker(["rm", "--force", "--volumes", &self.name]).output();
        let _ = docker(["network", "rm", &self.name]).output();
    }
}

fn image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis-image.sh");
        let answer = Answer::of(&mut Command::new(script)).success();
        answer.stdout.trim_end().lines().next_back().unwrap_or_default().to_owned()
    })
}
