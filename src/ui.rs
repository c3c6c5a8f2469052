//! The one place that writes: data to stdout, talk to stderr, progress only where a person looks.

use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where words go in this run.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    draws_progress: bool,
    is_debug: bool,
}

/// A long step's progress; it disappears when the step is done.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Ui {
    pub(crate) fn new(stderr_is_terminal: bool, is_debug: bool) -> Self {
        Self {
            draws_progress: stderr_is_terminal && !is_debug,
            is_debug,
        }
    }

    /// The result itself. A reader that went away (`| head`) is no error.
    pub(crate) fn data(&self, text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
        let _ = io::stdout().flush();
    }

    /// What is being done, in a sentence.
    pub(crate) fn say(&self, sentence: &str) {
        let _ = writeln!(io::stderr().lock(), "{sentence}");
    }

    pub(crate) fn warn(&self, sentence: &str) {
        let _ = writeln!(io::stderr().lock(), "WARNING: {sentence}");
    }

    pub(crate) fn debug(&self, sentence: impl FnOnce() -> String) {
        if self.is_debug {
            let _ = writeln!(io::stderr().lock(), "DEBUG: {}", sentence());
        }
    }

    /// A question; the answer is typed behind it.
    pub(crate) fn ask(&self, question: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(question.as_bytes());
        let _ = stderr.flush();
    }

    pub(crate) fn progress(&self, label: &'static str, total: usize) -> Progress {
        let style = ProgressStyle::with_template("{msg} {pos}/{len} {bar:30} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.start(label, ProgressBar::new(total as u64).with_style(style))
    }

    /// For a step whose length is not known.
    pub(crate) fn spinner(&self, label: &'static str) -> Progress {
        let style = ProgressStyle::with_template("{msg} {elapsed} {spinner}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.start(label, ProgressBar::new_spinner().with_style(style))
    }

    fn start(&self, label: &'static str, bar: ProgressBar) -> Progress {
        let target = if self.draws_progress {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        bar.set_draw_target(target);
        bar.set_message(label);
        if self.draws_progress {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress(bar)
    }
}

impl Progress {
    pub(crate) fn advance(&self, steps: usize) {
        self.0.inc(steps as u64);
    }

    pub(crate) fn grow(&self, steps: usize) {
        self.0.inc_length(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
