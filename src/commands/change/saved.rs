//! The bytes of what goes, gathered before anything is deleted: those that were read over HTTP are at hand, those of a
//! store are read once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use crate::model::{Digest, Repository};
use crate::plan::Plan;
use crate::registry::{Reference, Registry};
use crate::site::Site;
use crate::ui::Ui;
use crate::undo::Contents;

/// Requests prepared at one time.
const AHEAD: usize = 64;

/// Adds what `contents` lacks of what `plan` takes away. What nobody has is still missing afterwards.
pub(super) async fn complete(
    contents: &mut Contents,
    plan: &Plan,
    site: Option<&Site>,
    registry: &Registry,
    ui: &Ui,
) {
    let missing: BTreeSet<&Digest> = contents.missing(plan).into_iter().map(|(_, digest)| digest).collect();
    if let (Some(site), false) = (site, missing.is_empty()) {
        match site.manifests(&Vec::from_iter(missing)).await {
            Ok(found) => contents.extend(found),
            Err(error) => ui.debug(|| format!("reading manifests from the store: {error:#}")),
        }
    }
    let found: Vec<_> = stream::iter(contents.missing(plan))
        .map(|(repository, digest)| ask(registry, repository, digest))
        .buffer_unordered(AHEAD)
        .filter_map(|found| async { found })
        .collect()
        .await;
    contents.extend(found);
}

async fn ask(registry: &Registry, repository: &Repository, digest: &Digest) -> Option<(Digest, Arc<[u8]>)> {
    let manifest = registry.manifest(repository, Reference::Digest(digest)).await.ok()??;
    Some((manifest.digest, manifest.raw?))
}
