//! Failures that people see: what went wrong, what mends it, and the exit code.

use std::fmt;

/// What the exit code says. An unknown code means failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Failed,
    CommandLine,
    /// A safety rule said no; nothing was changed.
    Refused,
    /// The registry was left stopped or read-only.
    LeftDown,
    /// Cancelled by a signal or by the Docker CLI; everything was put back.
    Interrupted,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::CommandLine => 2,
            Self::Refused => 4,
            Self::LeftDown => 6,
            Self::Interrupted => 130,
        }
    }
}

/// An error with its exit code and the words that help. It travels inside `anyhow::Error` like any other.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    message: String,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    pub(crate) fn command_line(message: impl Into<String>) -> Self {
        Self::new(Kind::CommandLine, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The kind of an error: that of the outermost [`Failure`] in it.
pub(crate) fn kind_of(error: &anyhow::Error) -> Kind {
    failure_in(error).map_or(Kind::Failed, |failure| failure.kind)
}

pub(crate) fn failure_in(error: &anyhow::Error) -> Option<&Failure> {
    find(error)
}

/// The outermost error of this type. One that was given as context is no cause in the chain, so both are looked at.
pub(crate) fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
}
