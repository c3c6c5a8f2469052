//! The record of a run: where each removed tag was, and every manifest that is needed to put it back there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, Manifest, MediaType, Ordered, RegistryAddress, Repository, Tag, printable};
use crate::plan::{Plan, RepositoryPlan};
use crate::reference::Target;

use super::contents::{Affected, Contents, affected_in, is_placeholder};

/// The format of the record; raised when a reader of the old one would misread the new.
const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    #[serde(with = "address")]
    pub(crate) registry: RegistryAddress,
    pub(crate) at: Timestamp,
    #[serde(default)]
    pub(crate) command: Option<String>,
    /// When all of it was put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) put_back: Option<Timestamp>,
    pub(crate) repositories: Vec<Removed>,
}

/// What a run took out of one repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) repository: Repository,
    /// A tag without a digest led to no manifest, so there is nothing to put back.
    pub(crate) tags: BTreeMap<Tag, Option<Digest>>,
    /// In the order of their digests.
    pub(super) manifests: Vec<Saved>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Saved {
    pub(super) digest: Digest,
    pub(super) media_type: MediaType,
    #[serde(rename = "content", with = "content")]
    pub(super) raw: Arc<[u8]>,
    /// It only lost tags.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stays: bool,
    /// The sweep that took its blobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) collected: Option<Sweep>,
}

/// A collection that took something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) at: Timestamp,
    /// The command that collected.
    pub(crate) by: String,
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "collected by the run of `docker registry {}` at {:.0}", printable(&self.by), self.at)
    }
}

/// What can become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State<'a> {
    Open,
    /// Some of it is gone.
    PartlyCollected(&'a Sweep),
    Collected(&'a Sweep),
    PutBack(Timestamp),
    /// It holds no manifest.
    Empty,
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("can be put back"),
            Self::PartlyCollected(_) => f.write_str("can be put back in part"),
            Self::Collected(_) => f.write_str("collected"),
            Self::PutBack(_) => f.write_str("put back"),
            Self::Empty => f.write_str("nothing to put back"),
        }
    }
}

impl Record {
    /// What `plan` is about to delete; `None` where some of it is not among the `contents`. Where the tags of an
    /// interrupted run's placeholders were stands in the record of that run.
    pub(crate) fn of(plan: &Plan, contents: &Contents, command: &str, now: Timestamp) -> Option<Self> {
        let changed = plan.repositories.iter().filter(|repository| !repository.ranks.is_empty());
        Some(Self {
            version: VERSION,
            registry: plan.registry.clone(),
            at: now,
            command: Some(command.to_owned()),
            put_back: None,
            repositories: changed.map(|plan| removed(plan, contents)).collect::<Option<_>>()?,
        })
    }

    /// Reads what was written as JSON, and believes no content that does not fit its digest.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| {
            format!("it is damaged, or no record of a run: {}", printable(&error.to_string()))
        };
        let Version { version } = serde_json::from_slice(text).map_err(unreadable)?;
        if version > VERSION {
            return Err(format!("it is in format {version}, which a newer version of this tool reads"));
        }
        let mut record: Self = serde_json::from_slice(text).map_err(unreadable)?;
        for saved in record.repositories.iter().flat_map(|removed| &removed.manifests) {
            if saved.digest.matches(&saved.raw) == Some(false) {
                return Err(format!("it is damaged: the content of {} is another one", saved.digest));
            }
        }
        for removed in &mut record.repositories {
            removed.sort();
        }
        Ok(record)
    }

    pub(crate) fn state(&self) -> State<'_> {
        let collected = || self.saved().filter_map(|saved| saved.collected.as_ref());
        match (self.saved().count(), collected().next(), self.put_back) {
            (0, ..) => State::Empty,
            (all, Some(sweep), _) if collected().count() == all => State::Collected(sweep),
            (_, _, Some(at)) => State::PutBack(at),
            (_, Some(sweep), None) => State::PartlyCollected(sweep),
            (_, None, None) => State::Open,
        }
    }

    pub(crate) fn can_be_put_back(&self) -> bool {
        matches!(self.state(), State::Open | State::PartlyCollected(_))
    }

    pub(crate) fn tag_count(&self) -> usize {
        self.repositories.iter().map(|removed| removed.tags.len()).sum()
    }

    /// The manifests that were deleted.
    pub(crate) fn manifest_count(&self) -> usize {
        self.saved().filter(|saved| !saved.stays).count()
    }

    /// Whether this run removed it, and nothing of it was put back or collected since.
    pub(crate) fn took(&self, repository: &Repository, target: &Target) -> bool {
        self.put_back.is_none()
            && self.repositories.iter().any(|removed| {
                let is_there = |digest: &Digest| removed.collected().all(|collected| collected != digest);
                removed.repository == *repository
                    && match target {
                        Target::Tag(tag) => {
                            removed.tags.get(tag).is_some_and(|digest| digest.iter().all(is_there))
                        }
                        Target::Digest(digest) => {
                            removed.saved(digest).is_some_and(|saved| !saved.stays && is_there(digest))
                        }
                        Target::WholeRepository => {
                            !removed.tags.is_empty() && removed.collected().next().is_none()
                        }
                    }
            })
    }

    /// Marks the manifests that `swept` blobs make impossible to put back, and the indexes over them. The answer is
    /// whether there were any: what a sweep left can still be put back.
    pub(crate) fn mark(&mut self, swept: &BTreeSet<Digest>, sweep: &Sweep) -> bool {
        let mut has_marked = false;
        for removed in &mut self.repositories {
            let parsed: Vec<Option<Manifest>> = removed.manifests.iter().map(Saved::parsed).collect();
            loop {
                let gone: BTreeSet<Digest> = removed.collected().cloned().collect();
                let mut has_changed = false;
                for (saved, manifest) in removed.manifests.iter_mut().zip(&parsed) {
                    let is_lost = manifest.as_ref().is_some_and(|manifest| {
                        manifest.blobs().any(|blob| swept.contains(&blob.digest))
                            || manifest.child_manifests().any(|child| gone.contains(&child.digest))
                    });
                    if is_lost && saved.collected.is_none() {
                        saved.collected = Some(sweep.clone());
                        has_changed = true;
                    }
                }
                if !has_changed {
                    break;
                }
                has_marked = true;
            }
        }
        has_marked
    }

    fn saved(&self) -> impl Iterator<Item = &Saved> {
        self.repositories.iter().flat_map(|removed| &removed.manifests)
    }
}

impl Removed {
    pub(super) fn saved(&self, digest: &Digest) -> Option<&Saved> {
        let at = self.manifests.binary_search_by(|saved| saved.digest.cmp(digest)).ok()?;
        self.manifests.get(at)
    }

    /// The manifest at `digest`, and its exact bytes.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<(Manifest, &[u8])> {
        let saved = self.saved(digest)?;
        Some((saved.parsed()?, &saved.raw))
    }

    fn sort(&mut self) {
        self.manifests.sort_by(|a, b| a.digest.cmp(&b.digest));
    }

    fn collected(&self) -> impl Iterator<Item = &Digest> {
        self.manifests.iter().filter(|saved| saved.collected.is_some()).map(|saved| &saved.digest)
    }
}

impl Saved {
    pub(super) fn parsed(&self) -> Option<Manifest> {
        Manifest::parse(self.digest.clone(), self.media_type.as_str(), &self.raw).ok()
    }
}

fn removed(plan: &RepositoryPlan, contents: &Contents) -> Option<Removed> {
    let save = |affected: Affected<'_>| {
        Some(Saved {
            digest: affected.digest.clone(),
            media_type: affected.media_type.clone(),
            raw: Arc::clone(contents.get(affected.digest)?),
            stays: affected.stays,
            collected: None,
        })
    };
    let tags = plan.removed_tags().filter(|decision| !is_placeholder(&decision.verdict));
    let mut removed = Removed {
        repository: plan.repository.clone(),
        tags: tags.map(|decision| (decision.tag.clone(), decision.digest.clone())).into_map(),
        manifests: affected_in(plan).into_iter().map(save).collect::<Option<_>>()?,
    };
    removed.sort();
    Some(removed)
}

/// With its scheme, where the user named one: it is to be reached again in the same way.
mod address {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::model::{RegistryAddress, Scheme};

    pub(super) fn serialize<S: Serializer>(
        address: &RegistryAddress,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let host = address.host();
        match address.scheme {
            None => serializer.serialize_str(host),
            Some(Scheme::Http) => serializer.collect_str(&format_args!("http://{host}")),
            Some(Scheme::Https) => serializer.collect_str(&format_args!("https://{host}")),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RegistryAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Bytes as base64.
mod content {
    use std::sync::Arc;

    use base64::display::Base64Display;
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(raw: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(raw, &BASE64_STANDARD))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Into::into).map_err(de::Error::custom)
    }
}
