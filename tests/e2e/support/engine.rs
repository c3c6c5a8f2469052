//! The Docker engine of this machine, through the real `docker` command with a configuration of our own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};
use std::{fs, io::Write as _, process::Stdio};

use tempfile::TempDir;

use super::answer::{Answer, words_of};
use super::environment;

/// `DOCKER_REGISTRY_PRUNE_TESTS=no-engine` leaves out what needs an engine; without it a missing engine is a failure.
const SWITCH: &str = "DOCKER_REGISTRY_PRUNE_TESTS";

/// Whether the calling test is to return at once.
#[expect(clippy::print_stderr, reason = "whoever leaves tests out is told so")]
pub(crate) fn left_out() -> bool {
    static ANSWERS: OnceLock<Result<(), String>> = OnceLock::new();
    let words = environment::variable(SWITCH).unwrap_or_default();
    if words.split(',').any(|word| word == "no-engine") {
        eprintln!("left out: {SWITCH}={words}");
        return true;
    }
    let answers =
        ANSWERS.get_or_init(|| match docker(["version", "--format", "{{.Server.Version}}"]).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(format!("docker: {error}")),
        });
    if let Err(answer) = answers {
        panic!(
            "these tests need a Docker engine (start it, or leave them out with {SWITCH}=no-engine):\n{answer}"
        );
    }
    false
}

/// The `docker` command found first on PATH. It reads no configuration of the user, but talks to the user's engine.
pub(crate) fn docker<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    static CONFIG: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("make a folder"));
    let mut command = Command::new("docker");
    command.args(arguments).env("DOCKER_CONFIG", CONFIG.path());
    if let Some(host) = engine_host() {
        command.env_remove("DOCKER_CONTEXT").env("DOCKER_HOST", host);
    }
    command
}

/// Runs `docker` and returns what it printed; any failure ends the test.
#[track_caller]
pub(crate) fn docker_says<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    Answer::of(&mut docker(arguments)).success().stdout.trim_end().to_owned()
}

/// Runs `docker` with something to read.
#[must_use]
pub(crate) fn docker_reads<'a>(arguments: impl IntoIterator<Item = &'a str>, input: &[u8]) -> Answer {
    let mut command = docker(arguments);
    let words = words_of(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start docker");
    child.stdin.take().expect("stdin is a pipe").write_all(input).expect("write to docker");
    Answer::from_output(words, &child.wait_with_output().expect("wait for docker"))
}

/// Pulls as a client that has nothing of the image, and leaves nothing of it behind.
#[must_use]
pub(crate) fn clean_pull(reference: &str, platform: Option<&str>) -> Answer {
    let platform = platform.map(|platform| format!("--platform={platform}"));
    let words = ["pull"].into_iter().chain(platform.as_deref()).chain([reference]);
    let answer = Answer::of(&mut docker(words));
    let _ = docker(["rmi", "--force", reference]).output();
    answer
}

/// The address of the engine that the user's own configuration and context lead to.
pub(crate) fn engine_host() -> Option<&'static str> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    HOST.get_or_init(|| {
        let output = Command::new("docker")
            .args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"])
            .output();
        // Without a docker command there is no engine either; tests that need none run all the same.
        let output = output.ok().filter(|output| output.status.success())?;
        let host = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!host.is_empty()).then_some(host)
    })
    .as_deref()
}

/// The image of the real registry server; pulled or assembled once.
pub(crate) fn registry_image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        last_line(&Answer::of(&mut Command::new(script("registry-image.sh"))).success().stdout)
    })
}

/// Every docker command line to test with.
pub(crate) fn docker_commands() -> &'static [PathBuf] {
    static COMMANDS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    COMMANDS.get_or_init(|| {
        let answer = Answer::of(&mut Command::new(script("docker-cli.sh"))).success();
        answer.stdout.lines().map(PathBuf::from).collect()
    })
}

pub(crate) fn script(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn last_line(text: &str) -> String {
    text.trim_end().lines().next_back().unwrap_or_default().to_owned()
}
