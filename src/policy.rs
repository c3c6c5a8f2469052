//! Which tags the rules keep and which they give up, each with its reason. Pure: the same repository, rules and moment
//! give the same verdicts. Tags are judged here; what that means for manifests is worked out in `plan`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::age::Age;
use crate::model::{Created, Digest, ManifestKind, ManifestState, Repository, RepositoryView, Tag, TagState};
use crate::reference::Pattern;

/// What `prune` was asked to remove. Without `keep` and `older_than` no tag goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) keep: Option<u32>,
    pub(crate) older_than: Option<Age>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep(Kept),
    Remove(Removed),
}

/// Why a tag stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    NoRules,
    NotCovered,
    Excluded {
        pattern: String,
    },
    NewestOf {
        rank: usize,
        keep: u32,
    },
    Younger {
        created: Timestamp,
        age: Age,
    },
    UnknownDate {
        why: String,
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
    NotNamed,
}

/// Why a tag goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removed {
    NoRuleKeeps {
        created: Timestamp,
        rank: Option<(usize, u32)>,
        older_than: Option<Age>,
    },
    Named,
    /// An earlier run was cut off while it removed this tag.
    Placeholder,
    GoesWith {
        subject: Digest,
    },
}

impl Rules {
    /// Whether any tag can go at all.
    pub(crate) fn remove_tags(&self) -> bool {
        self.keep.is_some() || self.older_than.is_some()
    }

    fn covers(&self, repository: &Repository, tag: &Tag) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.covers(repository, tag))
    }

    /// Whether the date of a tag matters: its config has to be read.
    pub(crate) fn needs_date(&self, repository: &Repository, tag: &Tag) -> bool {
        self.remove_tags() && self.excluded(repository, tag).is_none() && self.covers(repository, tag)
    }

    pub(crate) fn excluded(&self, repository: &Repository, tag: &Tag) -> Option<&Pattern> {
        self.exclude.iter().find(|pattern| pattern.covers(repository, tag))
    }

    /// The verdict on every tag of one repository. The newest come first for `keep`; of two tags of the same moment
    /// the one whose name sorts last is the newer.
    pub(crate) fn judge(
        &self,
        repository: &Repository,
        view: &RepositoryView,
        now: Timestamp,
    ) -> BTreeMap<Tag, Verdict> {
        let mut verdicts = BTreeMap::new();
        let mut dated = Vec::new();
        for (tag, state) in &view.tags {
            match self.without_date(repository, view, tag, state, now) {
                Ok(verdict) => {
                    verdicts.insert(tag.clone(), verdict);
                }
                Err(created) => dated.push((created, tag)),
            }
        }
        dated.sort_by(|a, b| b.cmp(a));
        for (index, (created, tag)) in dated.into_iter().enumerate() {
            verdicts.insert(tag.clone(), self.by_date(created, index + 1, now));
        }
        verdicts
    }

    /// The verdict where the date does not matter, else the date that decides.
    fn without_date(
        &self,
        repository: &Repository,
        view: &RepositoryView,
        tag: &Tag,
        state: &TagState,
        now: Timestamp,
    ) -> Result<Verdict, Timestamp> {
        let keep = |kept| Ok(Verdict::Keep(kept));
        let digest = match state {
            TagState::At(digest) => digest,
            TagState::Dangling => {
                return keep(Kept::Unreadable { why: "the registry has no manifest for it".to_owned() });
            }
            TagState::Unreadable(why) => return keep(Kept::Unreadable { why: why.clone() }),
        };
        if !self.remove_tags() {
            return keep(Kept::NoRules);
        }
        if let Some(pattern) = self.excluded(repository, tag) {
            return keep(Kept::Excluded { pattern: pattern.text().to_owned() });
        }
        if let Some(subject) = attachment_subject(tag) {
            return keep(Kept::AttachedTo { subject });
        }
        if !self.covers(repository, tag) {
            return keep(Kept::NotCovered);
        }
        match view.manifests.get(digest) {
            Some(ManifestState::Read(manifest)) if manifest.kind == ManifestKind::Schema1 => {
                keep(Kept::Schema1)
            }
            Some(ManifestState::Read(_)) => match view.created(digest, now) {
                Created::Known { at } => Err(at),
                Created::Unknown { why } => keep(Kept::UnknownDate { why }),
            },
            Some(ManifestState::Unreadable(why)) => keep(Kept::Unreadable { why: why.clone() }),
            Some(ManifestState::Absent) | None => {
                keep(Kept::Unreadable { why: "its manifest was not found".to_owned() })
            }
        }
    }

    fn by_date(&self, created: Timestamp, rank: usize, now: Timestamp) -> Verdict {
        if let Some(keep) = self.keep
            && rank <= keep as usize
        {
            return Verdict::Keep(Kept::NewestOf { rank, keep });
        }
        if let Some(age) = self.older_than
            && created >= age.before(now)
        {
            return Verdict::Keep(Kept::Younger { created, age });
        }
        Verdict::Remove(Removed::NoRuleKeeps {
            created,
            rank: self.keep.map(|keep| (rank, keep)),
            older_than: self.older_than,
        })
    }
}

/// The manifest that a tag of the form `sha256-<hex>`, with or without an ending, is about: the tags of cosign
/// (`.sig`, `.att`, `.sbom`) and the fallback of the OCI referrers API.
pub(crate) fn attachment_subject(tag: &Tag) -> Option<Digest> {
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let (hex, ending) = rest.split_at_checked(64)?;
    (ending.is_empty() || ending.starts_with('.')).then(|| format!("sha256:{hex}").parse().ok())?
}

impl Kept {
    /// The reason without its particulars, to be counted.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::NoRules => "no rule removes tags".to_owned(),
            Self::NotCovered => "not covered by a pattern".to_owned(),
            Self::Excluded { pattern } => format!("excluded by `{pattern}`"),
            Self::NewestOf { keep, .. } => format!("the newest {keep}"),
            Self::Younger { age, .. } => format!("younger than {age}"),
            Self::UnknownDate { .. } => "no usable date".to_owned(),
            Self::Unreadable { .. } => "could not be read".to_owned(),
            Self::RepositoryUnreadable { why } => format!("not everything could be read: {why}"),
            Self::Schema1 => "first manifest format".to_owned(),
            Self::AttachedTo { .. } => "attached to what is kept".to_owned(),
            Self::NotNamed => "not named".to_owned(),
        }
    }
}

impl Removed {
    /// The reason without its particulars, to be counted.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::NoRuleKeeps { rank, older_than, .. } => match (rank, older_than) {
                (Some((_, keep)), Some(age)) => format!("not among the newest {keep} and older than {age}"),
                (Some((_, keep)), None) => format!("not among the newest {keep}"),
                (None, Some(age)) => format!("older than {age}"),
                (None, None) => "kept by no rule".to_owned(),
            },
            Self::Named => "named".to_owned(),
            Self::Placeholder => "left by an interrupted run".to_owned(),
            Self::GoesWith { .. } => "attached to what is removed".to_owned(),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRules => write!(f, "no rule removes tags"),
            Self::NotCovered => write!(f, "no pattern covers it"),
            Self::Excluded { pattern } => write!(f, "excluded by `{pattern}`"),
            Self::NewestOf { rank, keep } => write!(f, "number {rank} of the newest {keep}"),
            Self::Younger { created, age } => write!(f, "created {created:.0}, younger than {age}"),
            Self::UnknownDate { why } => write!(f, "no usable date: {why}"),
            Self::Unreadable { why } => write!(f, "could not be read: {why}"),
            Self::RepositoryUnreadable { why } => {
                write!(f, "not everything in its repository could be read: {why}")
            }
            Self::Schema1 => write!(f, "in Docker's first manifest format, which is always kept"),
            Self::AttachedTo { subject } => write!(f, "belongs to sha256:{}", subject.short()),
            Self::NotNamed => write!(f, "not named"),
        }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuleKeeps { created, rank, older_than } => {
                write!(f, "created {created:.0}")?;
                if let Some((rank, keep)) = rank {
                    write!(f, ", number {rank} where the newest {keep} are kept")?;
                }
                older_than.map_or(Ok(()), |age| write!(f, ", older than {age}"))
            }
            Self::Named => write!(f, "named"),
            Self::Placeholder => write!(f, "left half removed by an interrupted run"),
            Self::GoesWith { subject } => {
                write!(f, "belongs to sha256:{}, which is removed", subject.short())
            }
        }
    }
}
