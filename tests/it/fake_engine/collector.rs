//! `registry garbage-collect` of Distribution 2.8 over a fake registry's contents: it marks what every manifest of every
//! repository needs, tagged or not, and the rest of the store is to go.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::fake_registry::contents::{Contents, Manifest};

pub(super) struct Found {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: i64,
    pub(super) eligible: Vec<String>,
}

/// What is wrong with a collector that ends as if nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// A manifest that is deleted under its eyes ends its look at that repository: 2.4 to 3.1.
    StopsMarking,
    /// What it has marked is to go all the same: seen on Google's storage.
    TakesWhatIsMarked,
}

/// `None`: a store that nothing was ever pushed to.
pub(super) fn mark(contents: Option<&Contents>, ailment: Option<Ailment>) -> Found {
    let Some(contents) = contents.filter(|contents| !contents.repositories.is_empty()) else {
        return Found {
            stdout: String::new(),
            stderr: "failed to garbage collect: failed to mark: filesystem: Path not found: \
                     /docker/registry/v2/repositories"
                .to_owned(),
            exit_code: 1,
            eligible: Vec::new(),
        };
    };
    let mut stdout = String::new();
    let mut marked = BTreeSet::new();
    for (name, repository) in &contents.repositories {
        let _ = writeln!(stdout, "{name}");
        for (digest, manifest) in &repository.manifests {
            let _ = writeln!(stdout, "{name}: marking manifest {digest} ");
            marked.insert(digest.clone());
            for reference in references(manifest) {
                let _ = writeln!(stdout, "{name}: marking blob {reference}");
                marked.insert(reference);
            }
            if ailment == Some(Ailment::StopsMarking) {
                break;
            }
        }
    }
    let mut eligible: Vec<String> = stored(contents).difference(&marked).cloned().collect();
    if ailment == Some(Ailment::TakesWhatIsMarked) {
        eligible.extend(marked.first().cloned());
    }
    let _ = writeln!(
        stdout,
        "\n{} blobs marked, {} blobs and 0 manifests eligible for deletion",
        marked.len(),
        eligible.len()
    );
    for digest in &eligible {
        let _ = writeln!(stdout, "blob eligible for deletion: {digest}");
    }
    Found { stdout, stderr: String::new(), exit_code: 0, eligible }
}

pub(super) fn sweep(contents: &mut Contents, blobs: &[String]) {
    for digest in blobs {
        contents.unlinked.remove(digest);
        for repository in contents.repositories.values_mut() {
            repository.blobs.remove(digest);
            repository.manifests.remove(digest);
        }
    }
}

/// Config, layers and children.
pub(crate) fn references(manifest: &Manifest) -> Vec<String> {
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
    let listed = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
    let all = manifest.get("config").cloned().into_iter().chain(listed("layers")).chain(listed("manifests"));
    all.filter_map(|descriptor| descriptor["digest"].as_str().map(ToOwned::to_owned)).collect()
}

fn stored(contents: &Contents) -> BTreeSet<String> {
    let repositories = contents.repositories.values();
    let linked =
        repositories.flat_map(|repository| repository.manifests.keys().chain(repository.blobs.keys()));
    linked.chain(contents.unlinked.keys()).cloned().collect()
}
