//! Whether the rules go too far for this registry. What a person named by `rm` is what they want.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::error::Failure;
use crate::model::{Ordered, Repository};
use crate::plan::{Plan, Request, limit};
use crate::registry::Registry;

use super::{Change, Reach};

impl Change {
    /// Shares are of the registry's tags. Those of repositories that nothing else asks for are counted only if it matters.
    pub(super) async fn exceeded(&self, registry: &Registry, plan: &Plan) -> anyhow::Result<Option<Failure>> {
        let Request::Prune(policy) = &self.request else { return Ok(None) };
        let exceeded = limit::exceeded(plan, &policy.guards, 0);
        if exceeded.is_none() || matches!(self.reach, Reach::Whole) {
            return Ok(exceeded);
        }
        // Who may not see the rest of the registry is told of the part.
        let Ok(elsewhere) = tags_elsewhere(registry, plan).await else { return Ok(exceeded) };
        Ok(limit::exceeded(plan, &policy.guards, elsewhere))
    }
}

async fn tags_elsewhere(registry: &Registry, plan: &Plan) -> anyhow::Result<usize> {
    let read: BTreeSet<&Repository> = plan.repositories.iter().map(|plan| &plan.repository).into_set();
    let unread: Vec<Repository> =
        registry.catalog().await?.into_iter().filter(|repository| !read.contains(repository)).collect();
    let counts = stream::iter(unread).map(|repository| async move {
        match registry.tags(&repository).await {
            Ok(tags) => Ok(limit::versions_among(&tags)),
            Err(error) if error.is_absent() => Ok(0),
            Err(error) => Err(error),
        }
    });
    let counts: Vec<usize> = counts.buffer_unordered(64).try_collect().await?;
    Ok(counts.into_iter().sum())
}
