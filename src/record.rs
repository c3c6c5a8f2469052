//! Saves what a run is about to delete, so that it can be put back as long as its blobs have not been collected:
//! every manifest with its media type, and where each tag was. A run that cannot save does not delete.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::Failure;
use crate::plan::{Plan, RepositoryPlan};

/// The format of the record; raised when a reader of the old one would misread the new.
const VERSION: u32 = 1;

/// Writes the record of `plan` below `directory` and says where.
pub(crate) fn save(plan: &Plan, directory: Option<&Path>, now: Timestamp) -> anyhow::Result<PathBuf> {
    let Some(directory) = directory else {
        return Err(Failure::refused(
            "there is no folder to save what would be deleted, so nothing was deleted",
        )
        .hint("set HOME, or name a folder in XDG_STATE_HOME")
        .into());
    };
    write(plan, directory, now).map_err(|error| {
        Failure::refused(format!(
            "what would be deleted could not be saved first, so nothing was deleted: {error:#}"
        ))
        .hint(format!("make `{}` writable, or name another folder in XDG_STATE_HOME", directory.display()))
        .into()
    })
}

fn write(plan: &Plan, directory: &Path, now: Timestamp) -> anyhow::Result<PathBuf> {
    let runs = directory.join("runs");
    fs::create_dir_all(&runs).with_context(|| format!("create `{}`", runs.display()))?;
    let name =
        format!("{}-{}.json", now.strftime("%Y%m%dT%H%M%S%.6fZ"), plan.registry.host().replace(':', "_"));
    let path = runs.join(name);
    let document = json!({
        "version": VERSION,
        "registry": plan.registry,
        "at": now,
        "repositories": plan.repositories.iter().filter(|repository| !repository.ranks.is_empty()).map(repository).collect::<Vec<_>>(),
    });
    let mut file = create_private(&path).with_context(|| format!("create `{}`", path.display()))?;
    file.write_all(document.to_string().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("write `{}`", path.display()))?;
    Ok(path)
}

fn repository(plan: &RepositoryPlan) -> Value {
    json!({
        "repository": plan.repository,
        "tags": plan.removed_tags().map(|decision| (decision.tag.to_string(), json!(decision.digest))).collect::<serde_json::Map<_, _>>(),
        "manifests": plan.manifests.iter().map(|removal| json!({
            "digest": removal.digest,
            "mediaType": removal.media_type,
            "content": BASE64_STANDARD.encode(&removal.raw),
        })).collect::<Vec<_>>(),
    })
}

/// Names of images are nobody else's business on a shared machine.
fn create_private(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
