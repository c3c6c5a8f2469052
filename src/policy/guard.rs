//! What holds every rule back: a minimum age, and a bound on how much may go at one time.

use std::fmt;
use std::str::FromStr;

use crate::age::Age;
use crate::model::printable;

/// What rules may not do unless they are told so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guards {
    pub(crate) min_age: MinAge,
    pub(crate) max_delete: MaxDelete,
    /// Whether a repository may lose all its tags.
    pub(crate) allows_empty: bool,
    /// Whether rules are about the tag `latest` too.
    pub(crate) includes_latest: bool,
}

/// What is younger stays, so that nobody's push in flight is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MinAge {
    None,
    Of(Age),
}

/// How many tags may go, of all that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxDelete {
    Tags(usize),
    Percent(u8),
}

impl MinAge {
    pub(crate) fn age(self) -> Option<Age> {
        match self {
            Self::None => None,
            Self::Of(age) => Some(age),
        }
    }
}

impl MaxDelete {
    pub(crate) fn allows(self, removed: usize, all: usize) -> bool {
        match self {
            Self::Tags(most) => removed <= most,
            Self::Percent(percent) => removed * 100 <= all * usize::from(percent),
        }
    }

    /// Whether nothing is too much.
    pub(crate) fn is_everything(self) -> bool {
        self == Self::Percent(100)
    }
}

impl Default for MinAge {
    fn default() -> Self {
        Self::Of(Age::HOUR)
    }
}

impl Default for MaxDelete {
    fn default() -> Self {
        Self::Percent(50)
    }
}

impl FromStr for MinAge {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" || text.parse() == Ok(0) {
            return Ok(Self::None);
        }
        text.parse().map(Self::Of).map_err(|error| format!("{error}; `none` is for no minimum"))
    }
}

impl FromStr for MaxDelete {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Tags),
        };
        parsed.ok_or_else(|| {
            format!("`{}` is neither a number of tags (`500`) nor a share of them (`30%`)", printable(text))
        })
    }
}

impl fmt::Display for MinAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Of(age) => age.fmt(f),
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tags(most) => most.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_people_type_them() {
        for (text, bound) in
            [("0", MaxDelete::Tags(0)), ("500", MaxDelete::Tags(500)), ("30%", MaxDelete::Percent(30))]
        {
            assert_eq!(text.parse(), Ok(bound));
            assert_eq!(bound.to_string(), text);
        }
        for odd in ["", "%", "-1", "101%", "half", "1.5%", "99999999999999999999999"] {
            assert!(odd.parse::<MaxDelete>().unwrap_err().contains("neither a number"), "{odd}");
        }
    }

    #[test]
    fn a_share_is_of_all_and_is_not_rounded_in_favour_of_deletion() {
        assert!(MaxDelete::Percent(50).allows(2, 4));
        assert!(!MaxDelete::Percent(50).allows(3, 5));
        assert!(MaxDelete::Percent(100).allows(5, 5));
        assert!(MaxDelete::Percent(0).allows(0, 5));
        assert!(!MaxDelete::Tags(2).allows(3, 1_000_000));
    }

    #[test]
    fn a_minimum_age_can_be_none_and_is_an_hour_by_default() {
        assert_eq!("none".parse(), Ok(MinAge::None));
        assert_eq!("0".parse(), Ok(MinAge::None));
        assert_eq!("3d".parse::<MinAge>().unwrap().to_string(), "3d");
        assert_eq!(MinAge::default().to_string(), "1h");
        assert!("6m".parse::<MinAge>().unwrap_err().contains("6min"));
        assert!("0d".parse::<MinAge>().unwrap_err().contains("`none`"));
    }
}
