//! Globs over names: `*` and `?` within a component, `**` across them, `[a-z]`, `[!a-z]`, `{a,b}`. What is not well
//! formed is an error: a pattern that silently matches nothing would protect nothing.

use std::fmt;
use std::str::FromStr;

use fast_glob::glob_match;

use crate::model::printable;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(String);

impl Glob {
    pub(crate) fn is_match(&self, name: &str) -> bool {
        glob_match(&self.0, name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Glob {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` is not a pattern: {why}", printable(text)));
        if text.is_empty() {
            return wrong("it is empty");
        }
        // The library would take it for the opposite of the rest.
        if text.starts_with('!') {
            return wrong("it begins with `!`; what is not meant is left out with an exclusion");
        }
        let (mut class, mut braces) = (None, 0_u32);
        for (at, character) in text.char_indices() {
            match (class, character) {
                // The first character of a class may be a bracket itself.
                (Some(opened), ']') if at > opened + 1 => class = None,
                (None, '[') => class = Some(at),
                (None, '{') => braces += 1,
                (None, '}') if braces == 0 => return wrong("`}` without `{`"),
                (None, '}') => braces -= 1,
                (None, '\\') => return wrong("no name holds a backslash"),
                _ => {}
            }
        }
        match (class, braces) {
            (Some(_), _) => wrong("`[` without `]`"),
            (None, 1..) => wrong("`{` without `}`"),
            (None, 0) => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn globs_match_within_components() {
        for (glob, name, matches) in [
            ("team/*", "team/app", true),
            ("team/*", "team/a/b", false),
            ("team/**", "team/a/b", true),
            ("**/app", "a/b/app", true),
            ("**/app", "app", true),
            ("app", "app2", false),
            ("v1.*", "v1.0.0", true),
            ("v?", "v1", true),
            ("v[12]", "v2", true),
            ("v[!12]", "v2", false),
            ("v[!12]", "v3", true),
            ("{a,b}/c", "b/c", true),
            ("{a,b}/c", "c/c", false),
            ("*", "a/b", false),
        ] {
            assert_eq!(glob.parse::<Glob>().unwrap().is_match(name), matches, "{glob} {name}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_an_error() {
        for bad in ["", "a[", "a{b", "a}b", "{a,{b}", "!a", "a\\b", "a[]"] {
            assert!(bad.parse::<Glob>().is_err(), "{bad}");
        }
    }
}
