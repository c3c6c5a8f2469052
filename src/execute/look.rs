//! A repository's tags and, where the store can be read, its manifests as they are immediately before its first step, and
//! what they say against a step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::model::{Digest, Holdings, ManifestKind, Ordered, Tag};
use crate::plan::{RepositoryPlan, Why};
use crate::policy::{Removed, Verdict};
use crate::registry::{self, Reference, Registry};
use crate::site::Site;

/// Where the tags are now. Those that go with their manifest are looked at too: one that was moved off its digest
/// survives the deletion of that digest, but not that of another one it was moved onto, nor that of its new parts.
pub(super) struct Present {
    tags: BTreeMap<Tag, Option<Digest>>,
    /// The same by digest.
    at: BTreeMap<Digest, BTreeSet<Tag>>,
    /// Digests that something pushed since the plan needs.
    needed: BTreeMap<Digest, Newcomer>,
    /// What goes because its subject goes or is gone, with that subject.
    follows: BTreeMap<Digest, Digest>,
    /// Digests that have a tag which the plan does not remove, or were pushed since.
    standing: BTreeMap<Digest, Newcomer>,
    /// What was pushed since the plan and whose needs are not fully known.
    opaque: Option<Newcomer>,
    /// When the manifests were pushed that no tag led to and that go.
    untagged: BTreeMap<Digest, Timestamp>,
    /// When each manifest was pushed, as the store has it now; `None`: it could not be read.
    revisions: Option<BTreeMap<Digest, Timestamp>>,
    began: Instant,
    took: Duration,
}

/// A tag, or a manifest without one.
#[derive(Debug, Clone)]
enum Newcomer {
    Tag(Tag),
    Manifest(Digest),
}

impl fmt::Display for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "tag `{tag}`"),
            Self::Manifest(digest) => write!(f, "the untagged manifest sha256:{}", digest.short()),
        }
    }
}

/// Lists and resolves the tags again: through the store in one request where it can be reached, else by one request for
/// each tag.
pub(super) async fn again(
    registry: &Registry,
    store: Option<&Site>,
    plan: &RepositoryPlan,
    kept: &Holdings,
) -> anyhow::Result<Present> {
    let began = Instant::now();
    let repository = &plan.repository;
    let links = async {
        match store {
            Some(store) => store.links(repository).await.ok().flatten(),
            None => None,
        }
    };
    let dangling = dangling_tags(plan);
    let (listed, links) = tokio::join!(listed(registry, plan), links);
    let (stored, revisions) =
        links.map_or_else(Default::default, |links| (links.tags, Some(links.revisions)));
    let tags: BTreeMap<Tag, Option<Digest>> = stream::iter(listed?)
        .map(|tag| {
            // The store still has the link of a tag whose manifest is gone.
            let stored = stored.get(&tag).filter(|_| !dangling.contains(&tag)).cloned();
            async move {
                let digest = match stored {
                    Some(digest) => Some(digest),
                    None => registry.resolve(repository, &tag).await?,
                };
                anyhow::Ok((tag, digest))
            }
        })
        .buffer_unordered(64)
        .try_collect()
        .await?;
    let mut at: BTreeMap<Digest, BTreeSet<Tag>> = BTreeMap::new();
    let resolved = tags.iter().filter_map(|(tag, digest)| Some((tag, digest.as_ref()?)));
    for (tag, digest) in resolved.chain(&stored) {
        if tags.get(tag).is_none_or(|now| now.as_ref() == Some(digest)) {
            at.entry(digest.clone()).or_default().insert(tag.clone());
        }
    }
    let removed: BTreeSet<&Tag> = plan.removed_tags().map(|decision| &decision.tag).into_set();
    let standing = tags
        .iter()
        .filter(|(tag, _)| !removed.contains(tag))
        .filter_map(|(tag, digest)| Some((digest.clone()?, Newcomer::Tag(tag.clone()))));
    let mut present = Present {
        standing: standing.into_map(),
        follows: follows(plan),
        tags,
        at,
        needed: BTreeMap::new(),
        opaque: None,
        untagged: untagged(plan),
        revisions,
        began,
        took: Duration::ZERO,
    };
    present.read_newcomers(registry, plan, kept).await?;
    present.took = began.elapsed();
    Ok(present)
}

/// A repository without any tag is none to some servers.
async fn listed(registry: &Registry, plan: &RepositoryPlan) -> Result<Vec<Tag>, registry::Error> {
    match registry.tags(&plan.repository).await {
        Err(error) if error.is_absent() && plan.kept_tags().next().is_none() => Ok(Vec::new()),
        listed => listed,
    }
}

/// The tags that lead to no manifest and are taken away all the same.
fn dangling_tags(plan: &RepositoryPlan) -> BTreeSet<&Tag> {
    let removed = plan.removed_tags().filter(|decision| decision.digest.is_none());
    removed.map(|decision| &decision.tag).into_set()
}

fn untagged(plan: &RepositoryPlan) -> BTreeMap<Digest, Timestamp> {
    let untagged = plan.manifests.iter().filter_map(|removal| match &removal.why {
        Why::Unneeded { pushed, .. } => Some((removal.digest.clone(), *pushed)),
        _ => None,
    });
    untagged.into_map()
}

/// What the plan removes for the sake of its subject alone.
fn follows(plan: &RepositoryPlan) -> BTreeMap<Digest, Digest> {
    let attachments = plan.removed_tags().filter_map(|decision| match &decision.verdict {
        Verdict::Remove(Removed::GoesWith { subject } | Removed::Orphan { subject }) => {
            Some((decision.digest.clone()?, subject.clone()))
        }
        _ => None,
    });
    let referrers = plan.manifests.iter().filter_map(|removal| match &removal.why {
        Why::GoesWith(subject) | Why::Unneeded { about: Some(subject), .. } => {
            Some((removal.digest.clone(), subject.clone()))
        }
        _ => None,
    });
    attachments.chain(referrers).into_map()
}

impl Present {
    /// Whether the tags have to be looked at again: what was pushed since may need what is about to go. Where a look
    /// takes long, it is good for longer, so that looking is not all that is done.
    pub(super) fn is_stale(&self) -> bool {
        const FRESH: Duration = Duration::from_secs(2);
        self.began.elapsed() > FRESH.max(self.took * 4)
    }

    /// Reads what was pushed since the plan: an index may name a manifest that is about to go.
    async fn read_newcomers(
        &mut self,
        registry: &Registry,
        plan: &RepositoryPlan,
        kept: &Holdings,
    ) -> anyhow::Result<()> {
        let known = kept.manifests.get(&plan.repository);
        let doomed = super::deleted(plan);
        let is_known =
            |digest: &Digest| known.is_some_and(|known| known.contains(digest)) || doomed.contains(digest);
        let tagged = self.tags.iter().filter_map(|(tag, digest)| Some((digest.as_ref()?, tag)));
        let mut newcomers: BTreeMap<Digest, Newcomer> = tagged
            .filter(|(digest, _)| !is_known(digest))
            .map(|(digest, tag)| (digest.clone(), Newcomer::Tag(tag.clone())))
            .into_map();
        if let (Some(revisions), Some(unread)) = (&self.revisions, &plan.unread) {
            let untagged = revisions.keys().filter(|digest| !is_known(digest) && !unread.contains(*digest));
            for digest in untagged {
                let newcomer = || Newcomer::Manifest(digest.clone());
                self.standing.entry(digest.clone()).or_insert_with(newcomer);
                newcomers.entry(digest.clone()).or_insert_with(newcomer);
            }
        }
        let is_read = |digest: &Digest| is_known(digest) || newcomers.contains_key(digest);
        for (digest, newcomer) in &newcomers {
            // What leads nowhere needs nothing.
            let Some(manifest) = registry.manifest(&plan.repository, Reference::Digest(digest)).await? else {
                continue;
            };
            let has_unknown_parts = manifest.child_manifests().any(|child| !is_read(&child.digest));
            if manifest.kind == ManifestKind::Schema1 || has_unknown_parts {
                self.opaque = Some(newcomer.clone());
            }
            let needed = manifest.subject.into_iter().chain(manifest.children);
            self.needed.extend(needed.map(|needed| (needed.digest.clone(), newcomer.clone())));
        }
        Ok(())
    }

    pub(super) fn objection_to_delete(&self, digest: &Digest, expects: &[Tag]) -> Option<String> {
        if let Some(tag) =
            self.at.get(digest).and_then(|tags| tags.iter().find(|tag| expects.binary_search(tag).is_err()))
        {
            return Some(format!("tag `{tag}` was put on it since the plan"));
        }
        if let Some(planned) = self.untagged.get(digest) {
            let Some(revisions) = &self.revisions else {
                return Some("the registry's files could not be read again".to_owned());
            };
            if revisions.get(digest).is_some_and(|pushed| pushed.as_second() > planned.as_second()) {
                return Some("it was pushed again since the plan".to_owned());
            }
        }
        if let Some(newcomer) = self.needed.get(digest) {
            return Some(format!("{newcomer}, pushed since the plan, needs it"));
        }
        if let Some(newcomer) = self.follows.get(digest).and_then(|subject| self.stands(subject)) {
            return Some(format!("{newcomer}, pushed since the plan, is on or needs what it belongs to"));
        }
        self.opaque.as_ref().map(|newcomer| format!("{newcomer}, pushed since the plan, may need it"))
    }

    fn stands(&self, subject: &Digest) -> Option<&Newcomer> {
        self.standing.get(subject).or_else(|| self.needed.get(subject))
    }

    pub(super) fn objection_to_untag(&self, tag: &Tag, expects: Option<&Digest>) -> Option<String> {
        match self.tags.get(tag) {
            None => Some("it is gone since the plan".to_owned()),
            Some(now) if now.as_ref() == expects => None,
            Some(_) => Some("it was pushed again since the plan".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
