//! Tags as versions: `v1.2.3`, `1.2`, `2.0.0-rc.1`. Pre-releases come before their release, build metadata does not count.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// A tag read as a version; missing parts are zero. `None`: it is none, and cannot be ordered as one.
pub(super) fn parse(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    // A tag cannot hold `+`: helm and others write `_` instead.
    let text = text.split(['+', '_']).next()?;
    let (numbers, prerelease) = match text.split_once('-') {
        Some((numbers, prerelease)) => (numbers, Prerelease::new(prerelease).ok()?),
        None => (text, Prerelease::EMPTY),
    };
    let mut parts = numbers.split('.').map(number);
    let (major, minor, patch) =
        (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    if parts.next().is_some() {
        return None;
    }
    Some(Version { major, minor, patch, pre: prerelease, build: BuildMetadata::EMPTY })
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Names as people order them: `build-9` before `build-10`.
pub(super) fn natural(one: &str, other: &str) -> Ordering {
    alphanumeric_sort::compare_str(one, other).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_releases() {
        let ascending = [
            "0.9",
            "v1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-rc.2",
            "v1.0.0-rc.10",
            "1",
            "1.0.1",
            "1.2",
            "1.10.0",
            "v2",
        ];
        for pair in ascending.windows(2) {
            assert!(parse(pair[0]).unwrap() < parse(pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(parse("1.0.0_build.7"), parse("v1.0.0"));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for tag in ["latest", "main-123", "1.2.3.4", "v", "1..2", "1.x", "20260101T12", "", "-1"] {
            assert_eq!(parse(tag), None, "{tag}");
        }
    }

    #[test]
    fn names_are_ordered_naturally() {
        let mut names = ["b10", "b9", "a2", "b1", "a10"];
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(names, ["a2", "a10", "b1", "b9", "b10"]);
    }
}
