//! What people type for things in a registry: references (`127.0.0.1:5000/team/app:1.2`) and patterns (`team/*:v1.*`),
//! with or without the registry's host in front.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::glob::Glob;
use crate::model::{Digest, InvalidName, Ordered, RegistryAddress, Repository, Tag, printable};

/// One thing in a registry, named exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) registry: Option<RegistryAddress>,
    pub(crate) repository: Repository,
    pub(crate) target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    WholeRepository,
    Tag(Tag),
    Digest(Digest),
}

/// Without the registry's host.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repository = &self.repository;
        match &self.target {
            Target::WholeRepository => repository.fmt(f),
            Target::Tag(tag) => write!(f, "{repository}:{tag}"),
            Target::Digest(digest) => write!(f, "{repository}@{digest}"),
        }
    }
}

/// Which repositories and tags a command looks at. Without a tag part every tag is meant.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) registry: Option<RegistryAddress>,
    repository: Option<Glob>,
    tag: Option<Glob>,
    text: String,
}

impl Pattern {
    pub(crate) fn covers_repository(&self, repository: &Repository) -> bool {
        self.repository.as_ref().is_none_or(|glob| glob.is_match(repository.as_str()))
    }

    pub(crate) fn covers(&self, repository: &Repository, tag: &Tag) -> bool {
        self.covers_repository(repository) && self.tag.as_ref().is_none_or(|glob| glob.is_match(tag.as_str()))
    }

    /// Whether it is about the repository as a whole, not about some of its tags.
    pub(crate) fn covers_whole(&self, repository: &Repository) -> bool {
        self.tag.is_none() && self.covers_repository(repository)
    }

    /// The one repository this names, when it is no glob: it can be read without listing the registry.
    pub(crate) fn literal_repository(&self) -> Option<Repository> {
        self.repository.as_ref().and_then(|glob| glob.as_str().parse().ok())
    }

    /// The part that is about repositories.
    pub(crate) fn repository_text(&self) -> Option<&str> {
        self.repository.as_ref().map(Glob::as_str)
    }

    /// The part that is about tags.
    pub(crate) fn tag_text(&self) -> Option<&str> {
        self.tag.as_ref().map(Glob::as_str)
    }

    /// The pattern as it was typed, without the registry's host.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The repositories that patterns name, if none of them is a glob: then the registry need not be listed.
pub(crate) fn literal_repositories<'a>(
    patterns: impl IntoIterator<Item = &'a Pattern>,
) -> Option<BTreeSet<Repository>> {
    let names: Option<Vec<Repository>> = patterns.into_iter().map(Pattern::literal_repository).collect();
    names.filter(|names| !names.is_empty()).map(|names| names.into_iter().into_set())
}

impl FromStr for Reference {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (registry, rest) = split_registry(text)?;
        if rest.is_empty() {
            return Err(invalid(format!(
                "`{}` names a registry: name a repository in it, such as `{}/team/app`",
                printable(text),
                printable(text.trim_end_matches('/'))
            )));
        }
        let (repository, target) = match rest.split_once('@') {
            Some((name, _)) if name.contains(':') => {
                return Err(invalid(format!(
                    "`{}` has a tag and a digest: name one of them",
                    printable(text)
                )));
            }
            Some((name, digest)) => (name, Target::Digest(digest.parse()?)),
            None => match rest.split_once(':') {
                Some((name, tag)) => (name, Target::Tag(tag.parse()?)),
                None => (rest, Target::WholeRepository),
            },
        };
        let repository = repository.parse()?;
        Ok(Self { registry, repository, target })
    }
}

impl FromStr for Pattern {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (registry, rest) = split_registry(text)?;
        if rest.contains('@') {
            return Err(invalid(format!(
                "`{}` has a digest: patterns match repositories and tags; remove a digest with `docker registry rm`",
                printable(text)
            )));
        }
        if rest.is_empty() && registry.is_none() {
            return Err(invalid("an empty pattern: leave it out to mean the whole registry".to_owned()));
        }
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if tag == Some("") {
            return Err(invalid(format!(
                "`{}` ends with `:`: a tag or a pattern for tags belongs there",
                printable(text)
            )));
        }
        if let Some(odd) =
            rest.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-/:*?[]{},!^".contains(*c)))
        {
            return Err(invalid(format!(
                "`{}` cannot match anything: `{}` stands in no name",
                printable(text),
                printable(&odd.to_string())
            )));
        }
        let repository = if repository.is_empty() { None } else { Some(glob(repository)?) };
        Ok(Self { registry, repository, tag: tag.map(glob).transpose()?, text: rest.to_owned() })
    }
}

fn glob(text: &str) -> Result<Glob, InvalidName> {
    text.parse().map_err(invalid)
}

/// Docker's rule: the part before the first `/` is a host if it has a dot or a colon, or is `localhost`. A host alone,
/// as in `docker registry ls 127.0.0.1:5000`, means its whole registry.
fn split_registry(text: &str) -> Result<(Option<RegistryAddress>, &str), InvalidName> {
    let is_host = |part: &str| {
        (part.contains(['.', ':']) || part == "localhost" || part.starts_with('['))
            && !part.contains(['*', '?', '{'])
    };
    if let Some((_, rest)) = text.split_once("://") {
        let end = rest.find('/').map_or(text.len(), |slash| text.len() - rest.len() + slash);
        return Ok((Some(text[..end].parse()?), text[end..].trim_start_matches('/')));
    }
    match text.split_once('/') {
        Some((host, rest)) if is_host(host) && !host.starts_with(':') => Ok((Some(host.parse()?), rest)),
        Some(_) => Ok((None, text)),
        None => {
            let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
            let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let names_host =
                name == "localhost" || name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[');
            if is_port && (names_host || (name.contains('.') && is_host(name))) {
                Ok((Some(text.parse()?), ""))
            } else {
                Ok((None, text))
            }
        }
    }
}

fn invalid(message: String) -> InvalidName {
    InvalidName::new(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn covers(text: &str, repository: &str, tag: &str) -> bool {
        pattern(text).covers(&repository.parse().unwrap(), &tag.parse().unwrap())
    }

    #[test]
    fn references_are_dockers() {
        let read = |text: &str| {
            let reference: Reference = text.parse().unwrap();
            (reference.registry.map(|r| r.to_string()), reference.repository.to_string(), reference.target)
        };
        let tag = |tag: &str| Target::Tag(tag.parse().unwrap());
        assert_eq!(
            read("127.0.0.1:5000/team/app:1.2"),
            (Some("127.0.0.1:5000".into()), "team/app".into(), tag("1.2"))
        );
        assert_eq!(read("team/app:1.2"), (None, "team/app".into(), tag("1.2")));
        assert_eq!(read("app:5000"), (None, "app".into(), tag("5000")));
        assert_eq!(read("localhost/app"), (Some("localhost".into()), "app".into(), Target::WholeRepository));
        assert_eq!(read("http://r.example:80/app:x"), (Some("r.example:80".into()), "app".into(), tag("x")));
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(
            read(&format!("app@{digest}")),
            (None, "app".into(), Target::Digest(digest.parse().unwrap()))
        );
        for bad in [
            "",
            "App",
            "127.0.0.1:5000",
            "localhost:5000/",
            "app:",
            "app:t@sha256:00",
            "app@sha256:00",
            "a b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_match_within_a_path_component() {
        assert!(covers("team/*", "team/app", "x"));
        assert!(!covers("team/*", "team/a/b", "x"));
        assert!(covers("team/**", "team/a/b", "x"));
        assert!(covers("app:v1.*", "app", "v1.0.0"));
        assert!(!covers("app:v1.*", "app", "v2.0.0"));
        assert!(!covers("app", "app2", "x"));
        assert!(covers(":latest", "any/thing", "latest"));
        assert!(!covers(":latest", "any/thing", "other"));
        assert!(covers("127.0.0.1:5000", "any/thing", "x"));
        assert!(covers("127.0.0.1:5000/app:v[12]", "app", "v2"));
        assert!(covers("{a,b}/c", "b/c", "x"));
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_refused() {
        for bad in ["", "app:", "app@sha256:00", "a[", "a b", "app;rm"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_without_glob_names_its_repository() {
        assert_eq!(pattern("team/app:v*").literal_repository(), "team/app".parse().ok());
        assert_eq!(pattern("team/*").literal_repository(), None);
        assert_eq!(pattern(":latest").literal_repository(), None);
    }
}
