//! The files that a container sees: the configuration, what was put into it, and the store as Distribution lays it out.

use std::collections::BTreeMap;

use super::left::Left;
use crate::fake_registry::contents::Contents;

pub(super) const CONFIGURATION: &str = "/etc/docker/registry/config.yml";
pub(super) const STORE: &str = "/var/lib/registry/docker/registry/v2";

const CONFIG: &str = "version: 0.1
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
";

#[derive(Clone)]
pub(super) enum Node {
    Folder,
    File(Vec<u8>),
}

/// By absolute path; every folder above a file is there.
pub(super) type Tree = BTreeMap<String, Node>;

pub(super) fn tree(contents: Option<&Contents>, left: &Left, own: &BTreeMap<String, Vec<u8>>) -> Tree {
    let mut tree = Tree::new();
    file(&mut tree, CONFIGURATION, CONFIG.as_bytes());
    for (path, bytes) in own {
        file(&mut tree, path, bytes);
    }
    folder(&mut tree, "/var/lib/registry");
    if let Some(contents) = contents {
        store(&mut tree, contents);
        for (path, node) in &left.nodes {
            match node {
                Node::Folder => folder(&mut tree, path),
                Node::File(bytes) => file(&mut tree, path, bytes),
            }
        }
        tree.retain(|path, _| !left.gone.contains(path));
    }
    tree
}

fn store(tree: &mut Tree, contents: &Contents) {
    for (name, repository) in &contents.repositories {
        let below = format!("{STORE}/repositories/{name}");
        for empty in ["_uploads", "_layers", "_manifests/tags", "_manifests/revisions"] {
            folder(tree, &format!("{below}/{empty}"));
        }
        for (digest, manifest) in &repository.manifests {
            link(tree, &format!("{below}/_manifests/revisions/{}", folders(digest)), digest);
            blob(tree, digest, &manifest.bytes);
        }
        for (tag, digest) in &repository.tags {
            link(tree, &format!("{below}/_manifests/tags/{tag}/current"), digest);
            link(tree, &format!("{below}/_manifests/tags/{tag}/index/{}", folders(digest)), digest);
        }
        for (digest, bytes) in &repository.blobs {
            link(tree, &format!("{below}/_layers/{}", folders(digest)), digest);
            blob(tree, digest, bytes);
        }
    }
    for (digest, bytes) in &contents.unlinked {
        blob(tree, digest, bytes);
    }
}

fn link(tree: &mut Tree, folder: &str, digest: &str) {
    file(tree, &format!("{folder}/link"), digest.as_bytes());
}

fn blob(tree: &mut Tree, digest: &str, bytes: &[u8]) {
    let hex = digest.trim_start_matches("sha256:");
    file(tree, &format!("{STORE}/blobs/sha256/{}/{hex}/data", &hex[..2]), bytes);
}

pub(super) fn folders(digest: &str) -> String {
    digest.replace(':', "/")
}

fn file(tree: &mut Tree, path: &str, bytes: &[u8]) {
    if let Some((above, _)) = path.rsplit_once('/') {
        folder(tree, above);
    }
    tree.insert(path.to_owned(), Node::File(bytes.to_vec()));
}

fn folder(tree: &mut Tree, path: &str) {
    for (end, _) in path.match_indices('/').skip(1) {
        tree.entry(path[..end].to_owned()).or_insert(Node::Folder);
    }
    tree.entry(path.to_owned()).or_insert(Node::Folder);
}

/// What is at `path` and below it, in order.
pub(super) fn below<'a>(tree: &'a Tree, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let path = path.trim_end_matches('/');
    let is_below = move |found: &str| {
        found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    tree.iter().map(|(found, node)| (found.as_str(), node)).filter(move |(found, _)| is_below(found))
}
