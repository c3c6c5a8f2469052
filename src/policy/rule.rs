//! One rule: what it covers, how it orders, what of it stays.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regex_lite::{Match, Regex};

use crate::age::Age;
use crate::glob::Glob;
use crate::model::{Repository, Tag, printable};
use crate::reference::Pattern;

/// Tags that a rule covers and does not keep go, unless another rule keeps them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rule {
    /// Shown with every reason; a rule from the command line has none.
    pub(crate) name: Option<Arc<str>>,
    /// Where its file begins to say it.
    pub(crate) origin: Option<Origin>,
    pub(crate) selection: Selection,
    pub(crate) order: Order,
    /// Tags are counted per what this captures; tags it does not match are not covered.
    pub(crate) group: Option<Group>,
    /// The newest so many stay.
    pub(crate) keep: Option<u32>,
    /// What is younger stays.
    pub(crate) older_than: Option<Age>,
    /// Which date counts for the age.
    pub(crate) date: DateOf,
    /// The newest so many stay, whatever their age.
    pub(crate) at_least: Option<u32>,
    /// No more than so many stay, whatever their age.
    pub(crate) at_most: Option<u32>,
}

/// A place in a policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What a rule is about. Of several patterns, repositories or tags one has to match; of the labels every one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) repositories: Vec<Matcher>,
    pub(crate) tags: Vec<Matcher>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) labels: Vec<LabelFilter>,
}

/// By what the newest are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Created,
    Pushed,
    Semver,
    Name,
}

/// Which of an image's dates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum DateOf {
    #[default]
    Created,
    Pushed,
}

/// A glob, or a regular expression between slashes, for a whole name.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    Glob(Glob),
    Regex { text: String, regex: Regex },
}

/// Takes tags apart: `^(\d+\.\d+)\.` counts per minor release.
#[derive(Debug, Clone)]
pub(crate) struct Group(Regex);

/// `key`, `key=value`, each with `!` in front for the opposite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelFilter {
    key: String,
    value: Option<String>,
    is_negated: bool,
}

/// Whether a rule is about a tag, before its labels are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Coverage<'a> {
    Covered,
    Excluded(&'a Pattern),
    NotCovered,
}

impl Rule {
    /// Whether tags can go by this rule.
    pub(crate) fn removes_tags(&self) -> bool {
        self.keep.is_some() || self.older_than.is_some() || self.at_most.is_some()
    }

    pub(super) fn covers(&self, repository: &Repository, tag: &Tag) -> Coverage<'_> {
        let selection = &self.selection;
        let fits = |matchers: &[Matcher], name: &str| {
            matchers.is_empty() || matchers.iter().any(|matcher| matcher.fits(name))
        };
        let is_selected = (selection.patterns.is_empty()
            || selection.patterns.iter().any(|pattern| pattern.covers(repository, tag)))
            && fits(&selection.repositories, repository.as_str())
            && fits(&selection.tags, tag.as_str())
            && self.group.as_ref().is_none_or(|group| group.of(tag).is_some());
        match selection.exclude.iter().find(|pattern| pattern.covers(repository, tag)) {
            _ if !is_selected => Coverage::NotCovered,
            Some(pattern) => Coverage::Excluded(pattern),
            None => Coverage::Covered,
        }
    }

    pub(super) fn covers_repository(&self, repository: &Repository) -> bool {
        let selection = &self.selection;
        (selection.patterns.is_empty()
            || selection.patterns.iter().any(|pattern| pattern.covers_repository(repository)))
            && (selection.repositories.is_empty()
                || selection.repositories.iter().any(|matcher| matcher.fits(repository.as_str())))
    }

    /// Whether configs have to be read: for dates or labels.
    pub(super) fn needs_facts(&self) -> bool {
        let needs_created =
            self.order == Order::Created || (self.older_than.is_some() && self.date == DateOf::Created);
        needs_created || !self.selection.labels.is_empty()
    }
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pushed => "pushed",
            Self::Semver => "semver",
            Self::Name => "name",
        }
    }

    /// After `the newest 5`; the usual order goes without saying.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Created => "",
            Self::Pushed => " by push",
            Self::Semver => " by version",
            Self::Name => " by name",
        }
    }
}

impl FromStr for Order {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Created, Self::Pushed, Self::Semver, Self::Name];
        all.into_iter().find(|order| order.name() == text).ok_or_else(|| {
            format!("`{}` is no order: write created, pushed, semver or name", printable(text))
        })
    }
}

impl FromStr for DateOf {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "created" => Ok(Self::Created),
            "pushed" => Ok(Self::Pushed),
            _ => Err(format!("`{}` is no date: write created or pushed", printable(text))),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for DateOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Pushed => "pushed",
        })
    }
}

impl Matcher {
    pub(super) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(name),
            Self::Regex { regex, .. } => regex.is_match(name),
        }
    }

    /// As it is written in a policy.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Glob(glob) => glob.to_string(),
            Self::Regex { text, .. } => format!("/{text}/"),
        }
    }
}

impl FromStr for Matcher {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(inner) =
            text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|inner| !inner.is_empty())
        {
            let regex = anchored(inner)?;
            return Ok(Self::Regex { text: inner.to_owned(), regex });
        }
        text.parse().map(Self::Glob)
    }
}

/// An expression for a whole name. Names are ASCII.
fn anchored(expression: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{expression})$"))
        .map_err(|error| format!("`{}` is no regular expression: {error}", printable(expression)))
}

impl Group {
    /// What the expression captures of a tag, several captures side by side; `None` if it does not match.
    pub(super) fn of<'a>(&self, tag: &'a Tag) -> Option<String> {
        let captures = self.0.captures(tag.as_str())?;
        let part = |part: Option<Match<'a>>| part.map_or("", |part| part.as_str());
        Some(captures.iter().skip(1).map(part).collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn text(&self) -> &str {
        let anchored = self.0.as_str();
        anchored.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(anchored)
    }
}

impl FromStr for Group {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let regex = anchored(text)?;
        if regex.captures_len() < 2 {
            return Err(format!(
                "`{}` captures nothing: put the part to group by in parentheses",
                printable(text)
            ));
        }
        Ok(Self(regex))
    }
}

impl LabelFilter {
    pub(super) fn is_about(&self, label: &str) -> bool {
        self.key == label
    }

    pub(super) fn fits(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        let found = labels.get(&self.key);
        let is_there = match &self.value {
            None => found.is_some(),
            Some(value) => found == Some(value),
        };
        is_there != self.is_negated
    }
}

impl FromStr for LabelFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (is_negated, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (key, value) =
            rest.split_once('=').map_or((rest, None), |(key, value)| (key, Some(value.to_owned())));
        if key.is_empty() {
            return Err(format!(
                "`{}` names no label: write `key`, `key=value`, or either with `!` in front",
                printable(text)
            ));
        }
        Ok(Self { key: key.to_owned(), value, is_negated })
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negation = if self.is_negated { "!" } else { "" };
        match &self.value {
            Some(value) => write!(f, "{negation}{}={value}", self.key),
            None => write!(f, "{negation}{}", self.key),
        }
    }
}
