//! What became of each step. Partial failure is a result: it never hides what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::leftovers::Counts;
use crate::model::{ByteSize, Digest, Repository, Tag};

/// What a run did to tags and manifests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) repositories: BTreeMap<Repository, RepositoryOutcome>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct RepositoryOutcome {
    pub(crate) tags: BTreeMap<Tag, Fate>,
    pub(crate) manifests: BTreeMap<Digest, Fate>,
    /// Kept tags that were no longer listed afterwards.
    pub(crate) vanished: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// The world has changed since the plan, and how.
    Skipped(String),
    Failed(String),
}

impl Outcome {
    fn fates(&self) -> impl Iterator<Item = &Fate> {
        self.repositories
            .values()
            .flat_map(|repository| repository.tags.values().chain(repository.manifests.values()))
    }

    pub(crate) fn tags_done(&self) -> usize {
        self.repositories
            .values()
            .flat_map(|repository| repository.tags.values())
            .filter(|fate| **fate == Fate::Done)
            .count()
    }

    pub(crate) fn manifests_done(&self) -> usize {
        self.repositories
            .values()
            .flat_map(|repository| repository.manifests.values())
            .filter(|fate| **fate == Fate::Done)
            .count()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.fates().any(|fate| matches!(fate, Fate::Failed(_)))
    }

    /// Whether every step was done.
    pub(crate) fn is_done(&self) -> bool {
        self.fates().all(|fate| *fate == Fate::Done)
    }

    pub(crate) fn has_vanished(&self) -> bool {
        self.repositories.values().any(|repository| !repository.vanished.is_empty())
    }

    pub(crate) fn has_done_anything(&self) -> bool {
        self.fates().any(|fate| *fate == Fate::Done)
    }
}

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verified {
    pub(crate) tags: usize,
    pub(crate) manifests: usize,
    pub(crate) blobs: usize,
    pub(crate) problems: Vec<Problem>,
    /// What differs without being wrong: tags that were pushed meanwhile.
    pub(crate) notes: Vec<String>,
    /// Only where the contents were asked for.
    pub(crate) hashed: Option<Hashed>,
}

/// Which contents were hashed, and how they were come by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// Where they lie, in the container of this name.
    pub(crate) in_store: Option<(String, Amount)>,
    /// Over HTTP, and why.
    pub(crate) downloaded: Option<(String, Amount)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) blobs: usize,
    pub(crate) bytes: ByteSize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) repository: Repository,
    /// The tags it harms.
    pub(crate) tags: Vec<Tag>,
    pub(crate) what: String,
    pub(crate) mend: String,
}

/// What became of the garbage.
#[derive(Debug)]
pub(crate) enum Collection {
    /// The command collects nothing, or was told not to.
    NotAsked,
    /// The registry is no container of this engine: why, in words.
    NotHere(String),
    /// The collector was asked, and there is no garbage; the registry was not stopped for it.
    NothingToCollect,
    Done(Box<Collected>),
    /// It did not come to a sweep; the kind of the error says how much it matters.
    Failed(anyhow::Error),
    /// Some of the garbage may be gone, how much is not known.
    CutShort(anyhow::Error),
}

/// What a collection did, as the collector and the store say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected {
    pub(crate) container: String,
    pub(crate) mode: &'static str,
    /// Blobs that the collector found in use, and those that it removed.
    pub(crate) marked: u64,
    pub(crate) swept: BTreeSet<Digest>,
    /// Blobs it removed that the plan did not free: garbage from before.
    pub(crate) beyond_plan: Vec<Digest>,
    /// What differs between the certificate and the sweep.
    pub(crate) remarks: Vec<String>,
    pub(crate) tidied: Tidied,
    /// Of the blobs that went and the uploads, where their files were seen before.
    pub(crate) content: Option<ByteSize>,
    /// Size of the store on the disk, where it could be measured.
    pub(crate) before: Option<ByteSize>,
    pub(crate) after: Option<ByteSize>,
    pub(crate) service: Service,
    /// Keys removed from a cache that outlives the registry, or why it still remembers what was swept.
    pub(crate) forgotten: Option<Result<u64, String>>,
}

impl Collection {
    pub(crate) fn failure(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Failed(error) | Self::CutShort(error) => Some(error),
            _ => None,
        }
    }

    /// Whether pushes can be damaged by what a cache remembers.
    pub(crate) fn is_remembered(&self) -> bool {
        matches!(self, Self::Done(collected) if matches!(collected.forgotten, Some(Err(_))))
    }
}

/// What a collection cost those who use the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// How long nobody answered, each time.
    pub(crate) interruptions: Vec<Duration>,
    /// How long only pulls were answered.
    pub(crate) read_only: Option<Duration>,
}

impl Service {
    /// All of them together; `None` if the registry never went away.
    pub(crate) fn interruption(&self) -> Option<Duration> {
        (!self.interruptions.is_empty()).then(|| self.interruptions.iter().sum())
    }
}

/// What became of what the collector leaves behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tidied {
    /// What was removed.
    pub(crate) counts: Counts,
    /// What stays: nobody knows what it is, or it cannot be reached.
    pub(crate) left: Vec<String>,
    /// What went wrong; then nothing counts as removed.
    pub(crate) failed: Option<String>,
}
