//! When an image was made, or why that is not known.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

/// A creation time that may be used to decide, or the reason why there is none. An unknown date is never replaced by
/// a default: what has no usable date is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Created {
    Known { at: Timestamp, from: Source },
    Unknown { why: String },
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Config,
    Annotation,
    /// The newest part of an index.
    Part,
    /// The registry's store: when the tag was pushed.
    Push,
}

/// 1990-01-01T00:00:00Z. Reproducible builds write the epoch, 1980-01-01 and the like.
const EARLIEST: i64 = 631_152_000;
/// Clocks of build machines may be a little ahead.
const CLOCK_SKEW_SECONDS: i64 = 24 * 3600;

impl Created {
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// Reads an RFC 3339 date as it stands in an image's config or in an annotation.
    pub(crate) fn parse(text: &str, from: Source, now: Timestamp) -> Self {
        let Ok(at) = text.trim().parse::<Timestamp>() else {
            return Self::unknown(format!("its date `{}` cannot be read", super::printable(text)));
        };
        if at.as_second() < EARLIEST {
            return Self::unknown("its date is before 1990, as reproducible builds write it");
        }
        if at.as_second() > now.as_second() + CLOCK_SKEW_SECONDS {
            return Self::unknown(format!("its date {at:.0} is in the future"));
        }
        Self::Known { at, from }
    }

    pub(crate) fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Known { at, .. } => Some(*at),
            Self::Unknown { .. } => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "from the image's config",
            Self::Annotation => "from an annotation",
            Self::Part => "from the newest part of the index",
            Self::Push => "when it was pushed: it is no image and says no date",
        })
    }
}
