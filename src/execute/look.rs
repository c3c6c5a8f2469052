//! A repository's tags as they are immediately before its first step, and what they say against a step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::model::{Digest, Holdings, ManifestKind, Tag};
use crate::plan::{RepositoryPlan, Why};
use crate::policy::{Removed, Verdict};
use crate::registry::{Reference, Registry};
use crate::site::Site;

/// Where the tags are now. Those that go with their manifest are looked at too: one that was moved off its digest
/// survives the deletion of that digest, but not that of another one it was moved onto, nor that of its new parts.
pub(super) struct Present {
    tags: BTreeMap<Tag, Option<Digest>>,
    /// The same by digest.
    at: BTreeMap<Digest, BTreeSet<Tag>>,
    /// Digests that something pushed since the plan needs.
    needed: BTreeMap<Digest, Tag>,
    /// What goes because its subject goes or is gone, with that subject.
    follows: BTreeMap<Digest, Digest>,
    /// Digests that have a tag which the plan does not remove.
    standing: BTreeMap<Digest, Tag>,
    /// A tag pushed since the plan whose needs are not fully known.
    opaque: Option<Tag>,
    began: Instant,
    took: Duration,
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
    let stored = async {
        match store {
            Some(store) => store.tags(repository).await.unwrap_or_default(),
            None => BTreeMap::new(),
        }
    };
    let dangling = dangling_tags(plan);
    let (listed, stored) = tokio::join!(registry.tags(repository), stored);
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
    for (tag, digest) in &tags {
        if let Some(digest) = digest {
            at.entry(digest.clone()).or_default().insert(tag.clone());
        }
    }
    let removed: BTreeSet<&Tag> = plan.removed_tags().map(|decision| &decision.tag).collect();
    let standing = tags
        .iter()
        .filter(|(tag, _)| !removed.contains(tag))
        .filter_map(|(tag, digest)| Some((digest.clone()?, tag.clone())));
    let mut present = Present {
        standing: standing.collect(),
        follows: follows(plan),
        tags,
        at,
        needed: BTreeMap::new(),
        opaque: None,
        began,
        took: Duration::ZERO,
    };
    present.read_newcomers(registry, plan, kept).await?;
    present.took = began.elapsed();
    Ok(present)
}

/// The tags that lead to no manifest and are taken away all the same.
fn dangling_tags(plan: &RepositoryPlan) -> BTreeSet<&Tag> {
    let removed = plan.removed_tags().filter(|decision| decision.digest.is_none());
    removed.map(|decision| &decision.tag).collect()
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
        Why::GoesWith(subject) => Some((removal.digest.clone(), subject.clone())),
        _ => None,
    });
    attachments.chain(referrers).collect()
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
        let newcomers: Vec<(Tag, Digest)> = self
            .tags
            .iter()
            .filter_map(|(tag, digest)| Some((tag.clone(), digest.clone()?)))
            .filter(|(_, digest)| {
                !known.is_some_and(|known| known.contains(digest)) && !doomed.contains(digest)
            })
            .collect();
        for (tag, digest) in newcomers {
            match registry.manifest(&plan.repository, Reference::Digest(&digest)).await? {
                Some(manifest) if manifest.kind == ManifestKind::Image => {
                    self.needed.extend(
                        manifest.subject.as_ref().map(|subject| (subject.digest.clone(), tag.clone())),
                    );
                }
                Some(manifest) if manifest.kind == ManifestKind::Index => {
                    self.needed.extend(
                        manifest.subject.as_ref().map(|subject| (subject.digest.clone(), tag.clone())),
                    );
                    let unknown = manifest.child_manifests().any(|child| {
                        !doomed.contains(&child.digest)
                            && !known.is_some_and(|known| known.contains(&child.digest))
                    });
                    if unknown {
                        self.opaque = Some(tag.clone());
                    }
                    self.needed
                        .extend(manifest.children.iter().map(|child| (child.digest.clone(), tag.clone())));
                }
                Some(_) => self.opaque = Some(tag),
                // It leads nowhere, so it needs nothing.
                None => {}
            }
        }
        Ok(())
    }

    pub(super) fn objection_to_delete(&self, digest: &Digest, expects: &BTreeSet<Tag>) -> Option<String> {
        if let Some(tag) = self.at.get(digest).and_then(|tags| tags.difference(expects).next()) {
            return Some(format!("tag `{tag}` was put on it since the plan"));
        }
        if let Some(tag) = self.needed.get(digest) {
            return Some(format!("tag `{tag}`, pushed since the plan, needs it"));
        }
        if let Some(tag) = self.follows.get(digest).and_then(|subject| self.stands(subject)) {
            return Some(format!("tag `{tag}`, pushed since the plan, is on or needs what it belongs to"));
        }
        self.opaque.as_ref().map(|tag| format!("tag `{tag}`, pushed since the plan, may need it"))
    }

    fn stands(&self, subject: &Digest) -> Option<&Tag> {
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
