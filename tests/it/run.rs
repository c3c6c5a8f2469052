//! The program under test, in an environment that holds nothing but what a test puts there, and what it answered.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::fake_registry::FakeRegistry;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_docker-registry-prune");
/// When the images of most tests were made.
pub(crate) const CREATED: &str = "2024-05-01T00:00:00Z";
/// The part of a path that only the harmless question about deletions has.
pub(crate) const PROBE: &str = "sha256:0000000000000000";

pub(crate) struct Tool {
    home: TempDir,
    environment: Vec<(OsString, OsString)>,
}

/// How a command ended and what it said, as one value that prints itself whole when an expectation fails.
pub(crate) struct Answer {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Tool {
    /// With a home of its own, no engine, and no configuration.
    pub(crate) fn new() -> Self {
        let home = TempDir::new().expect("make a home");
        let tool = Self { home, environment: Vec::new() };
        let (docker, state) = (tool.path("docker"), tool.path("state"));
        fs::create_dir(&docker).expect("make the configuration folder");
        let home = tool.home.path().to_owned();
        tool.env("HOME", &home)
            .env("DOCKER_CONFIG", &docker)
            .env("XDG_STATE_HOME", &state)
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Writes the Docker configuration.
    pub(crate) fn config(self, config: &Value) -> Self {
        fs::write(self.path("docker/config.json"), config.to_string()).expect("write the configuration");
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home, where the program runs.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).expect("write the file");
        self
    }

    /// The folder for the records of runs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path("state/docker-registry-prune/runs")
    }

    /// The records of runs, oldest first.
    pub(crate) fn records(&self) -> Vec<Value> {
        records_in(&self.runs())
    }

    #[must_use = "say what is expected of the answer: `.exits(code)`"]
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.run_reading(arguments, Stdio::null())
    }

    #[must_use = "say what is expected of the answer: `.exits(code)`"]
    pub(crate) fn run_reading(&self, arguments: &[&str], input: impl Into<Stdio>) -> Answer {
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(input);
        self.answer(command, format!("docker-registry-prune {}", arguments.join(" ")))
    }

    /// Tells the process as soon as there is one. A run that does not end is ended.
    #[must_use = "say what is expected of the answer: `.exits(code)`"]
    pub(crate) fn run_watched(&self, arguments: &[&str], started: impl FnOnce(u32)) -> Answer {
        const LONGEST: Duration = Duration::from_secs(60);
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.surround(&mut command);
        let child = command.spawn().expect("start the program");
        let process = child.id();
        started(process);
        let (ended, has_ended) = mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if has_ended.recv_timeout(LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).status();
            }
        });
        let output = child.wait_with_output().expect("wait for the program");
        drop(ended);
        watch.join().expect("the watch");
        Answer::new(format!("docker-registry-prune {}", arguments.join(" ")), output)
    }

    /// Runs a line of a shell.
    #[must_use = "say what is expected of the answer: `.exits(code)`"]
    pub(crate) fn shell(&self, line: &str) -> Answer {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null());
        self.answer(command, line.to_owned())
    }

    fn answer(&self, mut command: Command, words: String) -> Answer {
        self.surround(&mut command);
        Answer::new(words, command.output().expect("start the program"))
    }

    fn surround(&self, command: &mut Command) {
        command.env_clear().envs(self.environment.iter().cloned()).current_dir(self.home.path());
    }

    /// Runs `command` against `fake`, whose address stands behind `--registry`.
    #[must_use = "say what is expected of the answer: `.exits(code)`"]
    pub(crate) fn on(&self, fake: &FakeRegistry, arguments: &[&str]) -> Answer {
        let host = fake.host();
        self.run(&[arguments, &["--registry", &host]].concat())
    }
}

pub(crate) fn records_in(folder: &Path) -> Vec<Value> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).expect("read the record");
    paths.iter().map(|path| serde_json::from_slice(&read(path)).expect("a record is JSON")).collect()
}

impl Answer {
    fn new(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Expects words on stdout or stderr, however the lines are wrapped.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.mentions(words), "expected the words {words:?}\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, words: &str) -> Self {
        assert!(!self.mentions(words), "did not expect the words {words:?}\n{self}");
        self
    }

    pub(crate) fn mentions(&self, words: &str) -> bool {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        flat(&self.stdout).contains(&flat(words)) || flat(&self.stderr).contains(&flat(words))
    }

    /// The one JSON document that is the whole of stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let (stdout, stderr) = (self.stdout.trim_end(), self.stderr.trim_end());
        let command = &self.command;
        write!(f, "$ {command}\n-- stdout --\n{stdout}\n-- stderr --\n{stderr}\n-- ended with {code}")
    }
}

/// What a registry was asked.
pub(crate) trait Asked {
    /// The requests of `method` whose path has `part` in it, as `METHOD path` lines.
    fn asked(&self, method: &str, part: &str) -> Vec<String>;

    /// The requests that change something: the harmless questions about deletions are not among them.
    fn changes(&self) -> Vec<String>;
}

impl Asked for FakeRegistry {
    fn asked(&self, method: &str, part: &str) -> Vec<String> {
        let is_meant = |line: &String| {
            line.split_once(' ').is_some_and(|(of, path)| of == method && path.contains(part))
        };
        self.requests().into_iter().filter(is_meant).collect()
    }

    fn changes(&self) -> Vec<String> {
        let is_change = |line: &String| !line.starts_with("GET ") && !line.starts_with("HEAD ");
        let is_question = |line: &String| line.contains(PROBE) || line.contains("docker-registry-prune-asks");
        self.requests().into_iter().filter(|line| is_change(line) && !is_question(line)).collect()
    }
}
