//! What lies in the store beside what the registry shows: links to blobs that were swept, empty folders, an upload that
//! nobody goes on with; and which of the registry's own folders were removed.

use std::collections::{BTreeMap, BTreeSet};

use super::exec::Ended;
use super::files::{Node, STORE, Tree, below, folders, tree};
use super::{Refused, State};
use crate::fake_registry::contents::Contents;

#[derive(Clone, Default)]
pub(super) struct Left {
    /// By path.
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) gone: BTreeSet<String>,
}

impl Left {
    /// Of a push to `repository` that was broken off long ago.
    pub(super) fn upload(&mut self, repository: &str) {
        let folder =
            format!("{STORE}/repositories/{repository}/_uploads/0f8fad5b-d9cb-469f-a165-70867728950e");
        for name in ["startedat", "data"] {
            self.nodes.insert(format!("{folder}/{name}"), Node::File(b"left".to_vec()));
        }
    }

    /// A sweep takes the blobs and leaves their links.
    pub(super) fn by_sweep(&mut self, contents: &Contents, blobs: &[String]) {
        for digest in blobs {
            let hex = digest.trim_start_matches("sha256:");
            self.nodes.insert(format!("{STORE}/blobs/sha256/{}", &hex[..2]), Node::Folder);
            for (name, repository) in &contents.repositories {
                if repository.blobs.contains_key(digest) {
                    let link = format!("{STORE}/repositories/{name}/_layers/{}/link", folders(digest));
                    self.gone.remove(&link);
                    self.nodes.insert(link, Node::File(digest.as_bytes().to_vec()));
                }
            }
        }
    }

    /// What was in a folder leaves the folder.
    fn remove(&mut self, path: &str) {
        self.nodes.remove(path);
        self.gone.insert(path.to_owned());
        if let Some((above, _)) = path.rsplit_once('/') {
            self.nodes.entry(above.to_owned()).or_insert(Node::Folder);
        }
    }

    fn forget_below(&mut self, folder: &str) {
        let is_elsewhere = |path: &str| !path.starts_with(&format!("{folder}/")) && path != folder;
        self.nodes.retain(|path, _| is_elsewhere(path));
        self.gone.retain(|path| is_elsewhere(path));
    }

    /// Links to blobs that are gone, and uploads.
    pub(super) fn files(&self) -> usize {
        self.nodes.values().filter(|node| matches!(node, Node::File(_))).count()
    }

    pub(super) fn uploads(&self) -> usize {
        self.nodes.keys().filter(|path| path.contains("/_uploads/") && path.ends_with("/data")).count()
    }
}

impl State {
    /// `rm` and `rmdir`, which end at the first path that they cannot remove.
    pub(super) fn remove_files(
        &mut self,
        container: &str,
        folders: bool,
        paths: &[String],
    ) -> Result<Ended, Refused> {
        let writer = self.containers.values().find(|other| other.is_serving() && !other.is_read_only());
        if let Some(writer) = writer {
            let what = format!("files were removed while `{}` could write", writer.name);
            self.alarm(what);
        }
        let contents = self.contents_for(container)?;
        let shown = tree(contents.as_ref(), &Left::default(), &BTreeMap::new());
        let left = self.left.clone();
        let mut tree = tree(contents.as_ref(), &left, &self.find(container)?.files);
        for path in paths {
            let reason = match tree.get(path) {
                None => Some("No such file or directory"),
                Some(Node::File(_)) if folders => Some("Not a directory"),
                Some(Node::Folder) if !folders => Some("Is a directory"),
                Some(Node::Folder) if below(&tree, path).count() > 1 => Some("Directory not empty"),
                Some(_) => None,
            };
            if let Some(reason) = reason {
                return Ok(Ended { stderr: format!("{path}: {reason}\n"), code: 1, ..Ended::default() });
            }
            let is_blinding = path
                .strip_suffix("/_layers")
                .is_some_and(|repository| tree.contains_key(&format!("{repository}/_manifests")));
            if is_in_use(&shown, contents.as_ref(), path) || is_blinding {
                self.alarm(format!("{path} is needed, and was removed"));
            }
            tree.remove(path);
            self.left.remove(path);
            self.forget_repository(path);
        }
        Ok(Ended::default())
    }

    fn forget_repository(&mut self, folder: &str) {
        let Some(name) = folder.strip_prefix(&format!("{STORE}/repositories/")) else { return };
        if self.registry.change(|contents| contents.repositories.remove(name)).is_some() {
            self.left.forget_below(folder);
        }
    }
}

/// A file of what the registry shows, or the frame of a repository; but for a repository without anything in it.
fn is_in_use(shown: &Tree, contents: Option<&Contents>, path: &str) -> bool {
    let below_repositories = path.strip_prefix(&format!("{STORE}/repositories/"));
    let of = below_repositories.and_then(|path| {
        contents?.repositories.iter().find_map(|(name, found)| {
            let inside = path.strip_prefix(name)?;
            (inside.is_empty() || inside.starts_with("/_")).then_some((inside, found))
        })
    });
    if of.is_some_and(|(_, found)| found.manifests.is_empty() && found.tags.is_empty()) {
        return false;
    }
    let is_frame = of.is_some_and(|(inside, _)| inside.matches('/').count() < 2);
    is_frame || matches!(shown.get(path), Some(Node::File(_)))
}
