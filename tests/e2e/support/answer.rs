//! What a command said and how it ended, as one value that prints itself whole when an expectation fails.

use std::fmt;
use std::process::{Command, Output, Stdio};

#[derive(Debug)]
pub(crate) struct Answer {
    command: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// Runs a command to its end, without a terminal and with nothing to read.
    #[must_use = "say what is expected of the answer: `.success()`, `.exits(code)`, `.fails()`"]
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self::from_output(words_of(command), &output)
    }

    pub(crate) fn from_output(command: String, output: &Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "expected exit code {code}\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "expected a failure\n{self}");
        self
    }

    /// Expects a text on stdout or stderr, whatever its case and however the lines are wrapped.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.mentions(text), "expected the words {text:?}\n{self}");
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.mentions(text), "did not expect the words {text:?}\n{self}");
        self
    }

    /// For sentences that may be worded in several ways.
    #[track_caller]
    pub(crate) fn says_one_of(self, texts: &[&str]) -> Self {
        assert!(texts.iter().any(|text| self.mentions(text)), "expected one of the words {texts:?}\n{self}");
        self
    }

    pub(crate) fn mentions(&self, text: &str) -> bool {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        flat(&self.stdout).contains(&flat(text)) || flat(&self.stderr).contains(&flat(text))
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        write!(
            f,
            "$ {}\n-- stdout --\n{}\n-- stderr --\n{}\n-- ended with {code}",
            self.command,
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

pub(crate) fn words_of(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
