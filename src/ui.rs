//! The one place that writes: data to stdout, talk to stderr, progress only where a person looks.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{error, registry};

/// Where words go in this run.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    bars: MultiProgress,
    is_debug: bool,
}

/// A long step's progress; it disappears when the step is done.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Ui {
    pub(crate) fn new(stderr_is_terminal: bool, is_debug: bool) -> Self {
        let draws = stderr_is_terminal && !is_debug;
        let target = if draws { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), is_debug }
    }

    /// The result itself. A reader that went away (`| head`) is no error.
    pub(crate) fn data(&self, text: &str) {
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(text.as_bytes());
            let _ = stdout.flush();
        });
    }

    /// What is being done, in a sentence.
    pub(crate) fn say(&self, sentence: &str) {
        self.talk(&format!("{sentence}\n"));
    }

    pub(crate) fn warn(&self, sentence: &str) {
        self.talk(&format!("WARNING: {sentence}\n"));
    }

    pub(crate) fn debug(&self, sentence: impl FnOnce() -> String) {
        if self.is_debug {
            self.talk(&format!("DEBUG: {}\n", sentence()));
        }
    }

    /// What went wrong, and what mends it.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.talk(&describe(error));
    }

    /// Text for stderr as it stands: a question whose answer is typed behind it.
    pub(crate) fn talk(&self, text: &str) {
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text.as_bytes());
            let _ = stderr.flush();
        });
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
        let bar = self.bars.add(bar);
        bar.set_message(label);
        if !self.bars.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress(bar)
    }
}

impl Progress {
    pub(crate) fn advance(&self, steps: usize) {
        self.0.inc(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The text for stderr: the message, its causes, and the hints.
pub(crate) fn describe(failed: &anyhow::Error) -> String {
    let mut text = format!("error: {failed}\n");
    let mut previous = failed.to_string();
    for cause in failed.chain().skip(1).map(ToString::to_string) {
        if !previous.contains(&cause) {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        previous = cause;
    }
    for hint in hints(failed) {
        let _ = writeln!(text, "\nhint: {hint}");
    }
    text
}

/// What helps: the hints of the failure, and those of the registry's answer below it.
fn hints(failed: &anyhow::Error) -> Vec<String> {
    let mut hints = error::failure_in(failed).map_or_else(Vec::new, |failure| failure.hints.clone());
    let answer = error::find::<registry::Error>(failed);
    hints.extend(answer.map(registry::Error::hints).unwrap_or_default());
    hints
}
