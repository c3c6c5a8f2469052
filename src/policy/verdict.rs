//! What became of a tag, and the words for it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::rule::{DateOf, Order};
use crate::age::Age;
use crate::model::{Digest, Tag};
use crate::protect::Protection;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep(Kept),
    Remove(Removed),
}

/// Where a tag stands among those that one rule covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The rule's name, where a policy has several.
    pub(crate) rule: Option<Arc<str>>,
    /// What the rule's expression captured: tags are counted per group.
    pub(crate) group: Option<Arc<str>>,
    /// 1 is the newest.
    pub(crate) rank: u32,
    pub(crate) order: Order,
}

/// Why a tag stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    NoRules,
    NotCovered,
    Excluded {
        pattern: String,
    },
    Protected {
        by: Protection,
    },
    NewestOf {
        standing: Standing,
        keep: u32,
    },
    AtLeast {
        standing: Standing,
        floor: u32,
    },
    Younger {
        standing: Standing,
        at: Timestamp,
        date: DateOf,
        age: Age,
    },
    UnknownDate {
        rule: Option<Arc<str>>,
        why: String,
    },
    /// A rule gives it up, but nothing goes that soon.
    TooYoung {
        at: Timestamp,
        date: DateOf,
        least: Age,
    },
    /// A rule gives it up, but it may be younger than anything that goes.
    UnknownAge {
        why: String,
        least: Age,
    },
    NoVersion {
        rule: Option<Arc<str>>,
    },
    Unreadable {
        why: String,
    },
    /// Another tag of the repository could not be read, and it might be at any digest.
    RepositoryUnreadable {
        why: String,
    },
    Schema1,
    /// It is a signature or another attachment, and lives as long as its subject.
    AttachedTo {
        subject: Digest,
    },
    /// It is an attachment of what is not here, among attachments alone: perhaps for another repository or registry.
    MayServeOthers {
        subject: Digest,
        /// What `docker registry rm` takes.
        name: String,
    },
    /// The server would leave it behind without its manifest, because of this other tag.
    Stranded {
        by: Tag,
    },
    NotNamed,
}

/// Why a tag goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removed {
    NoRuleKeeps {
        standing: Standing,
        at: Option<(Timestamp, DateOf)>,
        keep: Option<u32>,
        older_than: Option<Age>,
    },
    Named,
    /// An earlier run was cut off while it removed this tag.
    Placeholder,
    GoesWith {
        subject: Digest,
    },
    /// It is an attachment, and its subject is gone.
    Orphan {
        subject: Digest,
    },
}

impl Kept {
    /// The reason without its particulars, to be counted.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::NoRules => "no rule removes tags".to_owned(),
            Self::NotCovered => "not covered by a pattern".to_owned(),
            Self::Excluded { pattern } => format!("excluded by `{pattern}`"),
            Self::Protected { by } => by.summary(),
            Self::NewestOf { standing, keep } => {
                format!("the newest {keep}{}{}", standing.per_group(), standing.of_rule())
            }
            Self::AtLeast { standing, floor } => {
                format!("at least {floor}{}{}", standing.per_group(), standing.of_rule())
            }
            Self::Younger { standing, age, .. } => format!("younger than {age}{}", standing.of_rule()),
            Self::UnknownDate { .. } => "no usable date".to_owned(),
            Self::TooYoung { least, .. } => format!("younger than {least}, the minimum age"),
            Self::UnknownAge { least, .. } => format!("perhaps younger than {least}, the minimum age"),
            Self::NoVersion { .. } => "no version to order by".to_owned(),
            Self::Unreadable { .. } => "could not be read".to_owned(),
            Self::RepositoryUnreadable { why } => format!("not everything could be read: {why}"),
            Self::Schema1 => "first manifest format".to_owned(),
            Self::AttachedTo { .. } => "attached to what is kept".to_owned(),
            Self::Stranded { .. } => "left behind by this version of the registry".to_owned(),
            Self::MayServeOthers { .. } => {
                "attached to what is not here, in a repository of attachments alone".to_owned()
            }
            Self::NotNamed => "not named".to_owned(),
        }
    }
}

impl Removed {
    /// The reason without its particulars, to be counted.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::NoRuleKeeps { standing, keep, older_than, .. } => {
                let group = standing.per_group();
                let why = match (keep, older_than) {
                    (Some(keep), Some(age)) => {
                        format!("not among the newest {keep}{group} and older than {age}")
                    }
                    (Some(keep), None) => format!("not among the newest {keep}{group}"),
                    (None, Some(age)) => format!("older than {age}"),
                    (None, None) => "kept by no rule".to_owned(),
                };
                why + &standing.of_rule()
            }
            Self::Named => "named".to_owned(),
            Self::Placeholder => "left by an interrupted run".to_owned(),
            Self::GoesWith { .. } => "attached to what is removed".to_owned(),
            Self::Orphan { .. } => "attached to what is gone".to_owned(),
        }
    }
}

impl Standing {
    fn per_group(&self) -> &'static str {
        if self.group.is_some() { " of its group" } else { "" }
    }

    fn of_rule(&self) -> String {
        of_rule(self.rule.as_deref())
    }

    fn in_group(&self) -> String {
        self.group.as_ref().map_or_else(String::new, |group| format!(" in group `{group}`"))
    }
}

fn of_rule(rule: Option<&str>) -> String {
    rule.map_or_else(String::new, |rule| format!(" (rule `{rule}`)"))
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules => write!(f, "no rule removes tags"),
            Self::NotCovered => write!(f, "no pattern covers it"),
            Self::Excluded { pattern } => write!(f, "excluded by `{pattern}`"),
            Self::Protected { by } => by.fmt(f),
            Self::NewestOf { standing, keep } => {
                let (rank, order) = (standing.rank, standing.order.in_words());
                write!(
                    f,
                    "number {rank} of the newest {keep}{order}{}{}",
                    standing.in_group(),
                    standing.of_rule()
                )
            }
            Self::AtLeast { standing, floor } => {
                write!(f, "one of at least {floor}{}{}", standing.in_group(), standing.of_rule())
            }
            Self::Younger { standing, at, date, age } => {
                write!(f, "{date} {at:.0}, younger than {age}{}", standing.of_rule())
            }
            Self::UnknownDate { rule, why } => write!(f, "no usable date: {why}{}", of_rule(rule.as_deref())),
            Self::TooYoung { at, date, least } => {
                write!(f, "{date} {at:.0}, younger than the minimum age of {least} (`--min-age`)")
            }
            Self::UnknownAge { why, least } => {
                write!(f, "may be younger than the minimum age of {least} (`--min-age`): {why}")
            }
            Self::NoVersion { rule } => {
                write!(f, "its name is no version to order by{}", of_rule(rule.as_deref()))
            }
            Self::Unreadable { why } => write!(f, "could not be read: {why}"),
            Self::RepositoryUnreadable { why } => {
                write!(f, "not everything in its repository could be read: {why}")
            }
            Self::Schema1 => write!(f, "in Docker's first manifest format, which is always kept"),
            Self::AttachedTo { subject } => write!(f, "belongs to sha256:{}", subject.short()),
            Self::Stranded { by } => write!(
                f,
                "this version of the registry would leave it behind, pointing nowhere, as long as there is the tag `{by}`"
            ),
            Self::MayServeOthers { subject, name } => write!(
                f,
                "belongs to sha256:{}, which no tag here leads to; its repository holds attachments alone and may \
                 serve another repository or registry: `docker registry rm {name}` removes it",
                subject.short()
            ),
            Self::NotNamed => write!(f, "not named"),
        }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuleKeeps { standing, at, keep, older_than } => {
                let mut parts = Vec::new();
                parts.extend(at.map(|(at, date)| format!("{date} {at:.0}")));
                let (rank, group) = (standing.rank, standing.in_group());
                let order = standing.order.in_words();
                parts.extend(
                    keep.map(|keep| format!("number {rank}{group} where the newest {keep} are kept{order}")),
                );
                parts.extend(older_than.map(|age| format!("older than {age}")));
                if parts.is_empty() {
                    parts.push("kept by no rule".to_owned());
                }
                write!(f, "{}{}", parts.join(", "), standing.of_rule())
            }
            Self::Named => write!(f, "named"),
            Self::Placeholder => write!(f, "left half removed by an interrupted run"),
            Self::GoesWith { subject } => {
                write!(f, "belongs to sha256:{}, which is removed", subject.short())
            }
            Self::Orphan { subject } => {
                write!(f, "belongs to sha256:{}, which is gone", subject.short())
            }
        }
    }
}
