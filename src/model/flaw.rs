//! What some versions of Distribution do to tags when they keep them in a store of objects, where a folder is only a
//! beginning that names have in common.

use std::fmt;
use std::str::FromStr;

use super::Tag;

/// The first three numbers of a Distribution's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerVersion([u32; 3]);

/// A defect that a plan has to live with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A tag hides the tags that begin with its name from every list; deleting their digest takes them as well.
    HidesTags(ServerVersion),
    /// A tag is not removed with its manifest while another one begins with its name and `-` or `.`: it points nowhere
    /// then, and cannot be removed any more.
    StrandsTags,
}

impl Flaw {
    /// Of a server that keeps its store with another driver than `filesystem`.
    pub(crate) fn of(version: ServerVersion) -> Option<Self> {
        match version.0 {
            [..=2, ..] => Some(Self::StrandsTags),
            [3, 1, ..=1] => Some(Self::HidesTags(version)),
            _ => None,
        }
    }

    /// The tag among `tags` that would make the removal of `tag` one without effect.
    pub(crate) fn stranded_by<'a>(
        self,
        tag: &Tag,
        mut tags: impl Iterator<Item = &'a Tag>,
    ) -> Option<&'a Tag> {
        let sorts_before_its_folder = |other: &&Tag| {
            let rest = other.as_str().strip_prefix(tag.as_str());
            rest.and_then(|rest| rest.bytes().next()).is_some_and(|byte| byte < b'/')
        };
        (self == Self::StrandsTags).then(|| tags.find(sorts_before_its_folder))?
    }
}

impl FromStr for ServerVersion {
    type Err = ();

    /// From what `registry --version` prints: `registry github.com/docker/distribution v2.8.2+unknown`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let word = text.split_whitespace().next_back().ok_or(())?;
        let word = word.strip_prefix('v').unwrap_or(word);
        let numbers = word.split(['-', '+', '~']).next().unwrap_or(word);
        let numbers: Vec<u32> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| ())?;
        Ok(Self(numbers.try_into().map_err(|_| ())?))
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Result<ServerVersion, ()> {
        text.parse()
    }

    #[test]
    fn versions_are_those_that_the_binary_prints() {
        for (text, expected) in [
            ("registry github.com/docker/distribution v2.7.1", "2.7.1"),
            ("/bin/registry github.com/distribution/distribution/v3 v3.1.0-rc.1.m", "3.1.0"),
            ("docker-registry github.com/docker/distribution 2.8.2+unknown\n", "2.8.2"),
            ("registry github.com/docker/distribution 2.8.2+ds1", "2.8.2"),
        ] {
            assert_eq!(version(text).map(|version| version.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for odd in ["", "registry x v3", "registry x +unknown", "registry x 3.1.0.1", "registry x b0e7ba2"] {
            assert_eq!(version(odd), Err(()), "{odd}");
        }
    }

    #[test]
    fn only_these_versions_have_a_flaw() {
        let flaw = |text: &str| Flaw::of(version(text).unwrap());
        for text in ["2.4.1", "2.7.1", "2.8.3"] {
            assert_eq!(flaw(text), Some(Flaw::StrandsTags), "{text}");
        }
        for text in ["3.1.0", "3.1.1"] {
            assert_eq!(flaw(text), Some(Flaw::HidesTags(version(text).unwrap())), "{text}");
        }
        for text in ["3.0.0", "3.1.2", "3.2.0", "4.1.0"] {
            assert_eq!(flaw(text), None, "{text}");
        }
    }

    #[test]
    fn a_tag_is_stranded_by_what_sorts_before_its_folder() {
        let tags: Vec<Tag> =
            ["1.0", "1.0-rc", "1.0_x", "2", "2.1", "3", "30", "3a"].map(|tag| tag.parse().unwrap()).into();
        let by = |flaw: Flaw, tag: &str| {
            flaw.stranded_by(&tag.parse().unwrap(), tags.iter()).map(|tag| tag.as_str().to_owned())
        };
        assert_eq!(by(Flaw::StrandsTags, "1.0").as_deref(), Some("1.0-rc"));
        assert_eq!(by(Flaw::StrandsTags, "2").as_deref(), Some("2.1"));
        assert_eq!(by(Flaw::StrandsTags, "3"), None);
        assert_eq!(by(Flaw::StrandsTags, "1.0-rc"), None);
        assert_eq!(by(Flaw::HidesTags(version("3.1.1").unwrap()), "2"), None);
    }
}
