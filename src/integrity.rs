//! What is wrong in a store, seen from its files: for everything that tags need, and for what no tag needs any more.
//!
//! Pure. What harms a tag is a problem; what harms none is a note.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Digest, Manifest, ManifestState, Ordered, Repository, RepositoryView, Snapshot, StoreView,
    StoredRepository, Tag, TagState,
};
use crate::outcome::Problem;

#[cfg(test)]
mod tests;

pub(crate) const PUSH_AGAIN: &str = "push the image again";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// The blobs that the problems are about, where they are served.
    pub(crate) broken: BTreeSet<(Repository, Digest)>,
    pub(crate) notes: Vec<String>,
}

/// Where the store is, for the words of a mend.
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    /// The file of a content in it.
    pub(crate) file: &'a dyn Fn(&Digest) -> String,
}

impl Container<'_> {
    /// A registry that has a file takes it for the content, and does not store what is pushed.
    pub(crate) fn replace(&self, digest: &Digest) -> String {
        let name = self.name;
        format!(
            "`docker exec {name} rm {}` and `docker restart {name}`, then {PUSH_AGAIN}: a registry does not replace a \
             content that it has",
            (self.file)(digest)
        )
    }

    /// It also remembers for a while what it had.
    fn bring_back(&self) -> String {
        format!("`docker restart {}`, for it may remember what it had; then {PUSH_AGAIN}", self.name)
    }
}

/// Looks at every repository that `snapshot` read from `store`.
pub(crate) fn check(snapshot: &Snapshot, store: &StoreView, container: &Container<'_>) -> Findings {
    let mut findings = Findings::default();
    let nothing = StoredRepository::default();
    for (repository, view) in snapshot.read_repositories() {
        let stored = store.repositories.get(repository).unwrap_or(&nothing);
        Inspection { repository, view, stored, store, container }.check(&mut findings);
    }
    for odd in &store.odd {
        if odd.repository.as_ref().is_none_or(|repository| snapshot.view(repository).is_some()) {
            findings.notes.push(format!("`{}` in the store {}: it is left alone", odd.path, odd.why));
        }
    }
    findings
}

/// The tags that reach each of `digests`, which may be manifests or blobs.
pub(crate) fn tags_needing<'a>(
    view: &RepositoryView,
    digests: impl IntoIterator<Item = &'a Digest>,
) -> BTreeMap<&'a Digest, Vec<Tag>> {
    let mut needing: BTreeMap<&Digest, Vec<Tag>> =
        digests.into_iter().map(|digest| (digest, Vec::new())).into_map();
    if needing.is_empty() {
        return needing;
    }
    for (tag, state) in &view.tags {
        let TagState::At(at) = state else { continue };
        let reached = view.reachable([at]);
        let blobs = reached.iter().filter_map(|digest| view.manifest(digest)).flat_map(Manifest::blobs);
        let needed: BTreeSet<&Digest> =
            blobs.map(|blob| &blob.digest).chain(reached.iter().copied()).collect();
        for digest in needed {
            if let Some(tags) = needing.get_mut(digest) {
                tags.push(tag.clone());
            }
        }
    }
    needing
}

struct Inspection<'a> {
    repository: &'a Repository,
    view: &'a RepositoryView,
    stored: &'a StoredRepository,
    store: &'a StoreView,
    container: &'a Container<'a>,
}

/// Something wrong, and with what.
type Fault<'a> = (&'a Digest, String);

impl<'a> Inspection<'a> {
    fn check(&self, findings: &mut Findings) {
        let faults: Vec<Fault> = self.lost_manifests().chain(self.broken_blobs()).collect();
        let needing = tags_needing(self.view, faults.iter().map(|(digest, _)| *digest));
        let told: BTreeSet<Fault> = faults.into_iter().into_set();
        for (digest, what) in told {
            let what = format!("`{}`: {what}", self.repository);
            let tags = needing.get(digest).cloned().unwrap_or_default();
            if tags.is_empty() {
                findings.notes.push(format!("{what}; no tag needs it"));
            } else {
                let repository = self.repository.clone();
                findings.broken.insert((repository.clone(), digest.clone()));
                let mend = match self.store.blobs.get(digest) {
                    None => self.container.bring_back(),
                    Some(_) if !self.stored.layers.contains(digest) => self.container.bring_back(),
                    Some(_) => self.container.replace(digest),
                };
                findings.problems.push(Problem { repository, tags, what, mend });
            }
        }
        self.check_layers(findings);
    }

    /// Manifests whose content is gone: their links say that the repository has them. That a tag leads nowhere is told
    /// of the tag.
    fn lost_manifests(&self) -> impl Iterator<Item = Fault<'a>> {
        let dangling: BTreeSet<&Digest> = self
            .stored
            .tags
            .iter()
            .filter(|(tag, _)| self.view.tags.get(tag) == Some(&TagState::Dangling))
            .filter_map(|(_, stored)| stored.digest.as_ref())
            .collect();
        let lost = self.stored.revisions.keys().filter(|digest| !self.store.blobs.contains_key(digest));
        lost.filter(move |digest| !dangling.contains(digest))
            .map(|digest| (digest, format!("the content of manifest {digest} is gone, its link is there")))
    }

    /// Configs and layers of what can be pulled: with a tag, or by digest.
    fn broken_blobs(&self) -> impl Iterator<Item = Fault<'a>> {
        let manifests = self.view.read_manifests().map(|(_, manifest)| manifest);
        let blobs = manifests.flat_map(Manifest::blobs).filter(|blob| !blob.is_foreign);
        blobs.filter_map(|blob| {
            let digest = &blob.digest;
            let what = match self.store.blobs.get(digest) {
                None => format!("blob {digest} is missing"),
                Some(file) if file.size != blob.size => {
                    format!("blob {digest} has {} bytes where its manifest says {}", file.size.0, blob.size.0)
                }
                Some(_) if !self.stored.layers.contains(digest) => {
                    format!("blob {digest} is there, and the repository has no link to it")
                }
                Some(_) => return None,
            };
            Some((digest, what))
        })
    }

    /// Links to blobs that no manifest of the repository needs, and links to nothing.
    fn check_layers(&self, findings: &mut Findings) {
        if self.view.manifests.values().any(|state| matches!(state, ManifestState::Unreadable(_))) {
            return;
        }
        let needed: BTreeSet<&Digest> = self
            .view
            .read_manifests()
            .flat_map(|(_, manifest)| manifest.blobs().map(|blob| &blob.digest))
            .collect();
        let unneeded = self.stored.layers.iter().filter(|digest| !needed.contains(digest));
        let (there, dangling): (Vec<&Digest>, Vec<&Digest>) =
            unneeded.partition(|digest| self.store.blobs.contains_key(*digest));
        let repository = self.repository;
        if !there.is_empty() {
            findings.notes.push(format!(
                "`{repository}`: {} that no manifest of it needs; `docker registry gc` collects the blobs that no other \
                 repository needs",
                links(there.len())
            ));
        }
        if !dangling.is_empty() {
            findings.notes.push(format!(
                "`{repository}`: {} to blobs that are gone, which no manifest of it needs; `docker registry gc` removes them",
                links(dangling.len())
            ));
        }
    }
}

fn links(count: usize) -> String {
    format!("{count} layer link{}", if count == 1 { "" } else { "s" })
}
