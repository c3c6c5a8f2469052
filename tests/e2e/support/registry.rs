//! One registry server of a test's own, in a container that goes away with it.

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use super::access::{Access, parse};
use super::answer::Answer;
use super::client::{Client, Pulled};
use super::engine::{docker, docker_says, registry_image};

/// Where the server keeps everything.
pub(crate) const STORE: &str = "/var/lib/registry/docker/registry/v2";

static SERIAL: AtomicU16 = AtomicU16::new(0);

/// How a registry is started; without further words: deletion enabled, nobody has to log in.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    arguments: Vec<String>,
    command: Vec<String>,
    login: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self::deletion_disabled().env("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    }
}

impl Options {
    /// As the image comes.
    pub(crate) fn deletion_disabled() -> Self {
        Self { arguments: vec!["--restart=unless-stopped".to_owned()], command: Vec::new(), login: None }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(format!("--env={name}={value}"));
        self
    }

    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(format!("--label={name}={value}"));
        self
    }

    /// With an option of `docker run`.
    pub(crate) fn with(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// On a network of the test's own, where it has another name as well.
    pub(crate) fn network(mut self, network: &str, alias: &str) -> Self {
        self.arguments.extend([format!("--network={network}"), format!("--network-alias={alias}")]);
        self
    }

    /// On a network, with an entry in the hosts file.
    pub(crate) fn network_with_host(mut self, network: &str, host: &str) -> Self {
        self.arguments.extend([format!("--network={network}"), format!("--add-host={host}")]);
        self
    }

    /// The server needs none when its command is named.
    pub(crate) fn without_a_shell(mut self) -> Self {
        self.arguments.push("--entrypoint=/bin/registry".to_owned());
        self.command = vec!["serve".to_owned(), "/etc/docker/registry/config.yml".to_owned()];
        self
    }

    /// Configured by its environment alone: the command line names no file.
    pub(crate) fn by_environment(mut self) -> Self {
        self.arguments.push("--entrypoint=/bin/registry".to_owned());
        self.command = vec!["serve".to_owned()];
        self.env("REGISTRY_CONFIGURATION_PATH", "/etc/docker/registry/config.yml")
            .env("REGISTRY_STORAGE", "filesystem")
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/var/lib/registry")
            .env("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")
    }

    /// The server goes on for some seconds when it is told to stop, and leaves a trace that it was.
    pub(crate) fn slow_to_stop(mut self) -> Self {
        self.arguments.push("--entrypoint=sh".to_owned());
        let line = "trap 'touch /tmp/told-to-stop; sleep 6; exit' TERM; \
                    registry serve /etc/docker/registry/config.yml & wait";
        self.command = vec!["-c".to_owned(), line.to_owned()];
        self
    }

    /// For a second it is a shell that is the first process, which no signal ends.
    pub(crate) fn slow_to_start(mut self) -> Self {
        self.arguments.push("--entrypoint=sh".to_owned());
        let line = "sleep 1; exec registry serve /etc/docker/registry/config.yml";
        self.command = vec!["-c".to_owned(), line.to_owned()];
        self
    }

    /// A second server on the store of another one.
    pub(crate) fn volumes_from(mut self, container: &str) -> Self {
        self.arguments.push(format!("--volumes-from={container}"));
        self
    }

    /// A configuration file of the operator's own, which the container's command line names.
    pub(crate) fn configured(mut self, folder: &Path, text: &str) -> Self {
        std::fs::write(folder.join("own.yml"), text).expect("write the configuration");
        self.arguments.push(format!("--volume={}:/conf:ro", folder.display()));
        self.command = vec!["serve".to_owned(), "/conf/own.yml".to_owned()];
        self
    }

    /// Asks for a name and a password, kept in a file in the folder.
    pub(crate) fn login(mut self, folder: &Path, user: &str, password: &str, line: &str) -> Self {
        std::fs::write(folder.join("htpasswd"), format!("{line}\n")).expect("write the password file");
        self.arguments.push(format!("--volume={}:/auth:ro", folder.display()));
        self.login = Some((user.to_owned(), password.to_owned()));
        self.env("REGISTRY_AUTH", "htpasswd")
            .env("REGISTRY_AUTH_HTPASSWD_REALM", "tests")
            .env("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd")
    }

    /// Starts the server on a port that stays its own, and waits until it answers.
    #[track_caller]
    pub(crate) fn start(self) -> Registry {
        loop {
            let address = format!("127.0.0.1:{}", free_port());
            let (name, answer) = self.run(&format!("{address}:5000"));
            if answer.code == Some(0) {
                return self.registry(name, address);
            }
            assert!(answer.mentions("already"), "{answer}");
        }
    }

    /// Starts it on a port of the engine's choice, which is another one after each start.
    #[track_caller]
    pub(crate) fn start_on_any_port(self) -> Registry {
        let (name, answer) = self.run("127.0.0.1::5000");
        answer.success();
        let address = published_address(&name);
        self.registry(name, address)
    }

    /// Starts it on a port of the machine itself: nothing is published.
    #[track_caller]
    pub(crate) fn start_on_the_hosts_network(mut self) -> Registry {
        let address = format!("127.0.0.1:{}", free_port());
        self.arguments.push("--network=host".to_owned());
        let (name, answer) = self.env("REGISTRY_HTTP_ADDR", &address).run("5000");
        answer.success();
        Registry { client: Client::new(&address, None), address, name }.awaited()
    }

    fn run(&self, publish: &str) -> (String, Answer) {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("drp-e2e-{}-{serial}", process::id());
        let fixed = ["run", "--detach", "--name", &name, "--publish", publish];
        let own = self.arguments.iter().map(String::as_str);
        let command = self.command.iter().map(String::as_str);
        let words = fixed.into_iter().chain(own).chain([registry_image()]).chain(command);
        let answer = Answer::of(&mut docker(words));
        if answer.code != Some(0) {
            // A container whose port was taken is there all the same.
            let _ = docker(["rm", "--force", "--volumes", &name]).output();
        }
        (name, answer)
    }

    fn registry(self, name: String, address: String) -> Registry {
        Registry { client: Client::new(&address, self.login), address, name }.awaited()
    }
}

fn published_address(name: &str) -> String {
    docker_says(["port", name, "5000/tcp"])
}

pub(crate) struct Registry {
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) name: String,
}

/// What must be the same after a run, and when the server was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) restart_policy: String,
    pub(crate) volume: String,
    pub(crate) environment: String,
}

impl Registry {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Options::default().start()
    }

    /// `app:1` as this registry's own.
    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    #[track_caller]
    fn awaited(self) -> Self {
        self.wait_until_it_answers();
        self
    }

    pub(crate) fn wait_until_it_answers(&self) {
        eventually(&format!("{} answers", self.name), || {
            self.client.send(&reqwest::Method::GET, "/v2/", None).is_ok_and(|reply| reply.status.is_success())
        });
    }

    /// Where the engine publishes it now.
    pub(crate) fn published_address(&self) -> String {
        published_address(&self.name)
    }

    /// Runs a shell line in the container.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) -> String {
        docker_says(["exec", &self.name, "sh", "-c", line])
    }

    #[track_caller]
    fn inspect(&self, template: &str) -> String {
        docker_says(["inspect", "--format", template, &self.name])
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            id: self.inspect("{{.Id}}"),
            restart_policy: self.inspect("{{.HostConfig.RestartPolicy.Name}}"),
            volume: self.inspect("{{range .Mounts}}{{.Name}} {{end}}"),
            environment: self.inspect("{{.Config.Env}}"),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.inspect("{{.State.Running}}") == "true"
    }

    /// When the server process was started; an RFC 3339 text, so later is greater.
    pub(crate) fn started_at(&self) -> String {
        self.inspect("{{.State.StartedAt}}")
    }

    /// The size of the store as `du` measures it.
    pub(crate) fn store_kib(&self) -> u64 {
        let line = self.shell("du -sk /var/lib/registry");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("du prints a number")
    }

    /// How many blobs there are: layers, configs and manifests.
    pub(crate) fn blob_count(&self) -> usize {
        self.shell(&format!("find {STORE}/blobs -name data | wc -l"))
            .trim()
            .parse()
            .expect("wc prints a number")
    }

    pub(crate) fn has_blob(&self, digest: &str) -> bool {
        let hex = digest.trim_start_matches("sha256:");
        let path = format!("{STORE}/blobs/sha256/{}/{hex}/data", &hex[..2]);
        self.shell(&format!("[ -e {path} ] && echo yes || echo no")) == "yes"
    }

    /// Every request the server has logged so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Access> {
        parse(&docker_says(["logs", &self.name]))
    }

    /// Expects everything these references need to be there, byte by byte.
    #[track_caller]
    pub(crate) fn assert_pulls<'a>(&self, repository: &str, references: impl IntoIterator<Item = &'a str>) {
        for reference in references {
            if let Err(error) = self.pull(repository, reference) {
                panic!("{repository}:{reference} was kept and cannot be pulled: {error}");
            }
        }
    }

    pub(crate) fn pull(&self, repository: &str, reference: &str) -> Result<Pulled, String> {
        self.client.pull(repository, reference)
    }

    /// Enough garbage for a sweep of a second or more.
    pub(crate) fn leave_much_garbage(&self) {
        self.leave_garbage_blobs(12_000);
    }

    /// So many blobs without content that nothing refers to.
    pub(crate) fn leave_garbage_blobs(&self, count: usize) {
        self.shell(&format!(
            "i=0; while [ $i -lt {count} ]; do printf '%064x\\n' $i; i=$((i+1)); done > /tmp/names; \
             while read h; do echo {STORE}/blobs/sha256/${{h:0:2}}/$h; done < /tmp/names | xargs mkdir -p; \
             while read h; do : > {STORE}/blobs/sha256/${{h:0:2}}/$h/data; done < /tmp/names"
        ));
    }

    /// The name of a one-off container that a collection of this registry makes.
    pub(crate) fn one_off(&self, role: &str) -> String {
        format!("registry-prune-{}-{role}", &self.identity().id[..12])
    }

    /// Whether a one-off container is there, in any of these states.
    pub(crate) fn has_one_off(&self, role: &str, states: &[&str]) -> bool {
        let name = format!("name=^{}$", self.one_off(role));
        let states: Vec<String> = states.iter().map(|state| format!("--filter=status={state}")).collect();
        let words = ["ps", "--all", "--quiet", "--filter", &name];
        !docker_says(words.into_iter().chain(states.iter().map(String::as_str))).is_empty()
    }

    #[track_caller]
    pub(crate) fn assert_in_service(&self) {
        self.assert_runs_alone();
        self.wait_until_it_answers();
    }

    /// Expects the registry to run and nothing of a collection to be there.
    #[track_caller]
    pub(crate) fn assert_runs_alone(&self) {
        assert!(self.is_running());
        let name = format!("name={}", self.one_off(""));
        // Any client on the engine may have been putting it right too, and is about to end.
        eventually("nothing of a collection is there", || {
            docker_says(["ps", "--all", "--filter", &name, "--format", "{{.Names}}"]).is_empty()
        });
    }

    /// Collects as the seven-step how-tos do: in the running server's container.
    #[track_caller]
    pub(crate) fn collect_by_hand(&self) {
        self.shell("registry garbage-collect /etc/docker/registry/config.yml");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = docker(["rm", "--force", "--volumes", &self.name]).output();
    }
}

/// Waits for something that takes a moment.
#[track_caller]
pub(crate) fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    /// Longer than anything takes with other tests at work on the same engine.
    const LONGEST: Duration = Duration::from_secs(90);
    let begin = Instant::now();
    while !happens() {
        assert!(begin.elapsed() < LONGEST, "waited {LONGEST:?} in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port below those the kernel hands out, so that nobody else's connection takes it while the server is stopped. It is a
/// fixed one because a container started with a port of the engine's choice gets another at each start.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (process::id().wrapping_mul(97) + u32::from(step)) % 12_000;
        let port = 20_000 + u16::try_from(offset).expect("below 12,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
