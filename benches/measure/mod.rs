//! A run of the program under test, with its time and its peak memory.

use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::answer::Answer;
use crate::support::tool::{Running, Tool};

pub(crate) struct Measured {
    pub(crate) answer: Answer,
    pub(crate) seconds: f64,
    pub(crate) peak_kib: f64,
}

pub(crate) fn measure(arguments: &[&str]) -> Measured {
    let begin = Instant::now();
    let tool = Tool::standalone();
    let mut run = tool.start(arguments);
    let mut peak_kib = 0.0;
    while !run.has_ended() {
        peak_kib = peak_memory(&run).unwrap_or(peak_kib);
        thread::sleep(Duration::from_millis(2));
    }
    let seconds = begin.elapsed().as_secs_f64();
    Measured { answer: run.wait().success(), seconds, peak_kib }
}

/// The kernel's own high-water mark; only Linux keeps one that can be read from outside.
fn peak_memory(run: &Running<'_>) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", run.child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
