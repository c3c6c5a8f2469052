//! What a start of the plugin costs: `docker` starts it for its metadata with each `docker --help` and twice for each
//! `docker registry …`. Compared with `/bin/true` in alternating runs, so that both see the same machine.
//!
//! It prints figures and never fails because of the clock.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 300;

fn main() {
    let binary = shipped();
    let mut nothing = Vec::new();
    let mut metadata = Vec::new();
    for _ in 0..RUNS {
        nothing.push(time("/bin/true", &[]));
        metadata.push(time(&binary, &["docker-cli-plugin-metadata"]));
    }
    let (nothing, metadata) = (median(nothing), median(metadata));
    let size = fs::metadata(&binary).expect("the binary is there").len();
    println!("/bin/true       {:.2} ms (median of {RUNS})", milliseconds(nothing));
    println!(
        "metadata answer {:.2} ms, {:.2} ms more than /bin/true",
        milliseconds(metadata),
        milliseconds(metadata.saturating_sub(nothing))
    );
    println!("binary          {}.{:02} MB", size / 1_000_000, size / 10_000 % 100);
}

/// The binary as it is installed. Built for a benchmark it has the features that only tests ask of the libraries.
fn shipped() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/shipped");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(&folder)
        .current_dir(root)
        .status()
        .expect("start cargo");
    assert!(built.success(), "the release build failed");
    folder.join("release/docker-registry-prune")
}

fn time(program: impl AsRef<OsStr>, arguments: &[&str]) -> Duration {
    let begin = Instant::now();
    let status = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("start the program");
    let elapsed = begin.elapsed();
    assert!(status.success(), "{} failed", program.as_ref().display());
    elapsed
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
