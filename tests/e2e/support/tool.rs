//! The program under test, started in an environment that holds nothing but what a test puts there.

use std::ffi::OsString;
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::answer::{Answer, words_of};
use super::engine::engine_host;
use super::environment;
use super::registry::eventually;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_docker-registry-prune");

pub(crate) struct Tool {
    program: PathBuf,
    before: Vec<String>,
    home: TempDir,
    environment: Vec<(OsString, OsString)>,
}

impl Tool {
    /// By its own name, as on PATH.
    pub(crate) fn standalone() -> Self {
        Self::new(Path::new(BINARY), &[])
    }

    /// Through a docker command line, with the link installed where the user's plugins are.
    pub(crate) fn through(docker: &Path) -> Self {
        let tool = Self::new(docker, &["registry"]);
        let plugins = tool.config_folder().join("cli-plugins");
        fs::create_dir(&plugins).expect("make the plugin folder");
        symlink(BINARY, plugins.join("docker-registry")).expect("link the plugin");
        tool
    }

    fn new(program: &Path, before: &[&str]) -> Self {
        let home = TempDir::new().expect("make a home");
        fs::create_dir_all(home.path().join(".docker")).expect("make the configuration folder");
        fs::create_dir_all(home.path().join("bin")).expect("make a folder for programs");
        let mut tool = Self {
            program: program.to_owned(),
            before: before.iter().map(|&word| word.to_owned()).collect(),
            home,
            environment: Vec::new(),
        };
        let path = environment::variable("PATH").unwrap_or_default();
        let path = format!("{}:{path}", tool.home.path().join("bin").display());
        let home = tool.home.path().display().to_string();
        tool = tool.env("PATH", &path).env("HOME", &home);
        match engine_host() {
            Some(host) => tool.env("DOCKER_HOST", host),
            None => tool,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The words between `docker` and the command: the global flags, and the plugin's name.
    pub(crate) fn before(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub(crate) fn config_folder(&self) -> PathBuf {
        self.home.path().join(".docker")
    }

    /// Writes the Docker configuration.
    pub(crate) fn config(self, config: &Value) -> Self {
        fs::write(self.config_folder().join("config.json"), config.to_string())
            .expect("write the configuration");
        self
    }

    /// Installs a script on PATH.
    pub(crate) fn script(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join("bin").join(name);
        fs::write(&path, text).expect("write the script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make the script a program");
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.before)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.home.path());
        command
    }

    #[must_use]
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&mut self.command(arguments))
    }

    /// Starts it in a process group of its own, as a shell does, and returns at once.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running<'_> {
        let mut command = self.command(arguments);
        let words = words_of(&command);
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the program");
        Running { _tool: self, words, child }
    }

    /// Runs it on a terminal of its own; when it asks `[y/N]`, calls `meanwhile`, then types the answer.
    #[must_use]
    pub(crate) fn run_on_terminal(
        &self,
        arguments: &[&str],
        reply: &str,
        meanwhile: impl FnOnce(),
    ) -> Answer {
        let command = self.command(arguments);
        let words = words_of(&command);
        let line: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")))
            .collect();
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &line.join(" "), "/dev/null"])
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start script (util-linux)");
        let mut keyboard = child.stdin.take().expect("stdin is a pipe");
        let mut screen = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut seen = Vec::new();
        let mut meanwhile = Some(meanwhile);
        let mut block = [0_u8; 4096];
        loop {
            let count = screen.read(&mut block).expect("read the terminal");
            if count == 0 {
                break;
            }
            seen.extend_from_slice(&block[..count]);
            if String::from_utf8_lossy(&seen).contains("[y/N]")
                && let Some(meanwhile) = meanwhile.take()
            {
                meanwhile();
                keyboard.write_all(reply.as_bytes()).expect("type the answer");
            }
        }
        let mut output = child.wait_with_output().expect("wait for the program");
        output.stdout = seen;
        let answer = Answer::from_output(words, &output);
        assert!(meanwhile.is_none(), "it never asked [y/N]\n{answer}");
        answer
    }
}

/// A started program that a test wants to disturb.
pub(crate) struct Running<'tool> {
    /// Its home and its programs are there as long as it runs.
    _tool: &'tool Tool,
    words: String,
    pub(crate) child: Child,
}

impl Running<'_> {
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("ask for the program's state").is_some()
    }

    /// Waits for a state of the world that this run brings about.
    pub(crate) fn until(&mut self, what: &str, mut happens: impl FnMut() -> bool) {
        eventually(what, || {
            let happened = happens();
            let ended = self.has_ended();
            assert!(happened || !ended, "{} ended before: {what}", self.words);
            happened
        });
    }

    /// Sends a signal to the whole group, as a terminal does.
    pub(crate) fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill").args(["-s", name, "--", &group]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} had ended before the signal", self.words);
    }

    /// Ends it as nothing can prevent, if it has not ended.
    #[must_use]
    pub(crate) fn kill(mut self) -> Answer {
        if !self.has_ended() {
            self.signal("KILL");
        }
        self.wait()
    }

    #[must_use]
    pub(crate) fn wait(self) -> Answer {
        let output = self.child.wait_with_output().expect("wait for the program");
        Answer::from_output(self.words, &output)
    }
}
