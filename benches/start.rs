//! What a start of the plugin costs: `docker` starts it for its metadata with each `docker --help` and twice for each
//! `docker registry …`. Compared with `/bin/true` in alternating runs, so that both see the same machine.
//!
//! It prints figures and never fails because of the clock.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_docker-registry-prune");
const RUNS: usize = 300;

fn main() {
    let mut nothing = Vec::new();
    let mut metadata = Vec::new();
    for _ in 0..RUNS {
        nothing.push(time("/bin/true", &[]));
        metadata.push(time(BINARY, &["docker-cli-plugin-metadata"]));
    }
    let (nothing, metadata) = (median(nothing), median(metadata));
    let size = fs::metadata(BINARY).expect("the binary is there").len();
    println!("/bin/true       {:.2} ms (median of {RUNS})", milliseconds(nothing));
    println!(
        "metadata answer {:.2} ms, {:.2} ms more than /bin/true",
        milliseconds(metadata),
        milliseconds(metadata.saturating_sub(nothing))
    );
    println!("binary          {}.{:02} MB", size / 1_000_000, size / 10_000 % 100);
}

fn time(program: &str, arguments: &[&str]) -> Duration {
    let begin = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("start the program");
    let elapsed = begin.elapsed();
    assert!(status.success(), "{program} failed");
    elapsed
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
