//! What may not go although the rules give it up: what is in use, what a list names, what `--protect` matches. Pure.
//!
//! Keeping too much is the safe side. A digest protects under whatever name it was pulled: it is the same content. A
//! tag protects under other hosts too, because a registry answers to several names (a proxy's, an internal one);
//! only the well-known public registries are certain to be others.

use std::collections::HashMap;
use std::fmt;

use crate::error::Failure;
use crate::model::{Digest, RegistryAddress, Repository, Tag};
use crate::reference::Pattern;

use mention::Mention;

mod mention;

#[derive(Debug, Clone, Default)]
pub(crate) struct Protected {
    patterns: Vec<Pattern>,
    digests: HashMap<Digest, Protection>,
    tags: HashMap<Repository, HashMap<Tag, Vec<Named>>>,
}

/// A tag that somebody named.
#[derive(Debug, Clone)]
struct Named {
    /// `None` stands for the registry at hand.
    registry: Option<RegistryAddress>,
    protection: Protection,
}

/// Why something may not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protection {
    /// `name` is given where it is not the registry's own name for the tag.
    InUse {
        user: String,
        name: Option<String>,
    },
    Listed {
        line: usize,
        name: Option<String>,
    },
    Pattern(String),
    /// It is the tag `latest`, which people pull without saying so.
    Latest,
}

impl Protected {
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns, ..Self::default() }
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    pub(crate) fn add_patterns(&mut self, patterns: Vec<Pattern>) {
        self.patterns.extend(patterns);
    }

    /// References of an engine. What is no reference to this tool is in no registry that it reads, and is passed over.
    pub(crate) fn add_in_use<'a>(&mut self, user: &str, references: impl IntoIterator<Item = &'a str>) {
        let protection = Protection::InUse { user: user.to_owned(), name: None };
        for mut mention in references.into_iter().filter_map(|reference| Mention::read(reference).ok()) {
            // To an engine a name without a host is one of Docker Hub.
            if mention.registry.is_none() {
                mention.tag = None;
            }
            self.add(mention, &protection);
        }
    }

    /// References listed by something else, in lines of text. Nothing may be misread: an odd word is an error, and so
    /// is a list of nothing, which a pipe whose first half failed hands over.
    pub(crate) fn add_listed(&mut self, text: &str) -> Result<(), Failure> {
        let listed = mention::read_lines(text).map_err(|error| {
            Failure::command_line(format!("`--protect-from`: {error}")).hint(
                "it takes one reference on a line, such as `127.0.0.1:5000/team/app:1.2` or `app@sha256:…`",
            )
        })?;
        if listed.is_empty() {
            return Err(Failure::command_line("`--protect-from` lists no reference").hint(
                "did the command that makes the list fail? leave the option out if nothing is to be listed",
            ));
        }
        for (line, mention) in listed {
            self.add(mention, &Protection::Listed { line, name: None });
        }
        Ok(())
    }

    /// The first one to name something is the one that is told.
    fn add(&mut self, mention: Mention, protection: &Protection) {
        if let Some(digest) = mention.digest {
            self.digests.entry(digest).or_insert_with(|| protection.clone());
        }
        if let Some((repository, tag)) = mention.tag {
            let named = self.tags.entry(repository).or_default().entry(tag).or_default();
            if named.iter().all(|other| other.registry != mention.registry) {
                named.push(Named { registry: mention.registry, protection: protection.clone() });
            }
        }
    }

    /// What protects a tag that is at `digest`.
    pub(crate) fn holds(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
    ) -> Option<Protection> {
        let named = self.tags.get(repository).and_then(|tags| tags.get(tag)).map_or(&[][..], Vec::as_slice);
        let here = |named: &Named| named.registry.as_ref().is_none_or(|host| is_same_host(host, registry));
        let by_name = || named.iter().find(|named| here(named)).map(|named| named.protection.clone());
        let by_pattern = || {
            let pattern = self.patterns.iter().find(|pattern| pattern.covers(repository, tag))?;
            Some(Protection::Pattern(pattern.text().to_owned()))
        };
        let by_other_name = || {
            let mut elsewhere = named.iter().filter_map(|named| Some((named.registry.as_ref()?, named)));
            let (host, named) = elsewhere.find(|(host, _)| !is_public(host))?;
            Some(named.protection.clone().under(format!("{host}/{repository}:{tag}")))
        };
        by_name().or_else(|| self.holds_digest(digest)).or_else(by_pattern).or_else(by_other_name)
    }

    /// What protects all of a repository, tagged or not.
    pub(crate) fn holds_repository(&self, repository: &Repository) -> Option<Protection> {
        let pattern = self.patterns.iter().find(|pattern| pattern.covers_whole(repository))?;
        Some(Protection::Pattern(pattern.text().to_owned()))
    }

    /// What protects a manifest, with or without a tag, whatever its name: a container may run what its tag has left.
    pub(crate) fn holds_digest(&self, digest: &Digest) -> Option<Protection> {
        self.digests.get(digest).cloned()
    }
}

impl Protection {
    fn under(self, other: String) -> Self {
        match self {
            Self::InUse { user, .. } => Self::InUse { user, name: Some(other) },
            Self::Listed { line, .. } => Self::Listed { line, name: Some(other) },
            Self::Pattern(text) => Self::Pattern(text),
            Self::Latest => Self::Latest,
        }
    }

    /// The reason without its particulars, to be counted.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::InUse { .. } => "in use".to_owned(),
            Self::Listed { .. } => "listed by `--protect-from`".to_owned(),
            Self::Pattern(text) => format!("protected by `--protect {text}`"),
            Self::Latest => "`latest`".to_owned(),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { user, name: None } => write!(f, "{user} uses it"),
            Self::InUse { user, name: Some(name) } => write!(f, "{user} uses `{name}`"),
            Self::Listed { line, name: None } => write!(f, "listed by `--protect-from` line {line}"),
            Self::Listed { line, name: Some(name) } => {
                write!(f, "listed by `--protect-from` line {line} as `{name}`")
            }
            Self::Pattern(text) => write!(f, "protected by `--protect {text}`"),
            Self::Latest => f.write_str("`latest` is not for rules, but with `--include-latest`"),
        }
    }
}

/// The loopback has many names.
fn is_same_host(one: &RegistryAddress, other: &RegistryAddress) -> bool {
    one.host() == other.host() || (one.is_loopback() && other.is_loopback() && one.port() == other.port())
}

/// Registries that everybody uses, and which therefore are not another name of a private one.
fn is_public(registry: &RegistryAddress) -> bool {
    const PUBLIC: [&str; 9] = [
        "docker.io",
        "index.docker.io",
        "registry-1.docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "public.ecr.aws",
        "mcr.microsoft.com",
        "registry.k8s.io",
    ];
    let name = registry.hostname();
    PUBLIC.contains(&name) || name.ends_with(".gcr.io")
}

#[cfg(test)]
mod tests;
