//! What leads to what: registry → repository → image → tag → manifest → content.
//!
//! A manifest leads to its parts, its blobs and its own bytes; what is about another is led to by that, as a deletion
//! takes it along. A content has one node, however many repositories have it: the registry stores it once.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    ByteSize, Digest, Manifest, ManifestState, Repository, RepositoryView, Snapshot, StoredFile, Tag,
    TagState,
};

use super::{Content, Part, Role};

/// The registry's node.
pub(super) const ROOT: usize = 0;

pub(super) struct Graph<'a> {
    pub(super) edges: Vec<Vec<usize>>,
    pub(super) contents: Vec<Content<'a>>,
    /// By node: its place in `contents`.
    pub(super) content_at: Vec<Option<usize>>,
    pub(super) repositories: BTreeMap<&'a Repository, RepositoryNodes<'a>>,
    nodes_of_contents: BTreeMap<&'a Digest, usize>,
}

#[derive(Default)]
pub(super) struct RepositoryNodes<'a> {
    pub(super) node: usize,
    pub(super) manifests: BTreeMap<&'a Digest, usize>,
    pub(super) images: Vec<ImageNodes<'a>>,
    /// The manifests of attachments whose subject is nowhere.
    pub(super) orphans: BTreeMap<&'a Tag, usize>,
}

/// The tags at one manifest.
pub(super) struct ImageNodes<'a> {
    pub(super) node: usize,
    pub(super) digest: &'a Digest,
    pub(super) tags: Vec<(&'a Tag, usize)>,
    /// Signatures and the like, below what they are about.
    pub(super) is_attached: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut graph = Self {
            edges: vec![Vec::new()],
            contents: Vec::new(),
            content_at: vec![None],
            repositories: BTreeMap::new(),
            nodes_of_contents: BTreeMap::new(),
        };
        let known = snapshot.is_known().then(|| snapshot.known_manifests());
        for (repository, view) in snapshot.read_repositories() {
            let node = graph.add_below(ROOT);
            let mut nodes = RepositoryNodes { node, ..RepositoryNodes::default() };
            graph.add_manifests(snapshot, view, &mut nodes);
            graph.add_tags(snapshot, view, known.as_ref(), &mut nodes);
            graph.repositories.insert(repository, nodes);
        }
        graph
    }

    /// What is in the store and no manifest names.
    pub(super) fn add_unreferenced(&mut self, snapshot: &'a Snapshot) -> Vec<usize> {
        let blobs = snapshot.store.iter().flat_map(|store| &store.blobs);
        let unknown: Vec<_> =
            blobs.filter(|(digest, _)| !self.nodes_of_contents.contains_key(digest)).collect();
        unknown
            .into_iter()
            .map(|(digest, file)| self.add_content(digest, Role::Unknown, Part::of(*file)))
            .collect()
    }

    fn add(&mut self, content: Option<usize>) -> usize {
        self.edges.push(Vec::new());
        self.content_at.push(content);
        self.edges.len() - 1
    }

    fn add_below(&mut self, above: usize) -> usize {
        let node = self.add(None);
        self.edges[above].push(node);
        node
    }

    fn add_content(&mut self, digest: &'a Digest, role: Role, size: Part) -> usize {
        let node = self.add(Some(self.contents.len()));
        self.contents.push(Content { digest, role, size, tags: 0 });
        self.nodes_of_contents.insert(digest, node);
        node
    }

    /// The content at `digest`, whose size is that of its file where the store is known, and `said` otherwise.
    fn content(&mut self, snapshot: &'a Snapshot, digest: &'a Digest, role: Role, said: ByteSize) -> usize {
        if let Some(node) = self.nodes_of_contents.get(digest) {
            return *node;
        }
        let size = match &snapshot.store {
            Some(store) => store.blobs.get(digest).copied().map(Part::of).unwrap_or_default(),
            None => Part::of(StoredFile { size: said, on_disk: ByteSize(0) }),
        };
        self.add_content(digest, role, size)
    }

    fn add_manifests(
        &mut self,
        snapshot: &'a Snapshot,
        view: &'a RepositoryView,
        nodes: &mut RepositoryNodes<'a>,
    ) {
        for (digest, state) in &view.manifests {
            let size = match state {
                ManifestState::Read(manifest) => manifest.size,
                ManifestState::Unreadable(_) => ByteSize(0),
                ManifestState::Absent => continue,
            };
            let node = self.add(None);
            nodes.manifests.insert(digest, node);
            let own = self.content(snapshot, digest, Role::Manifest, size);
            self.edges[node].push(own);
        }
        for (digest, manifest) in view.read_manifests() {
            let node = nodes.manifests[digest];
            self.add_blobs(snapshot, manifest, node);
            let parts = manifest.child_manifests().filter_map(|part| nodes.manifests.get(&part.digest));
            self.edges[node].extend(parts);
            let subject = manifest.subject.as_ref().and_then(|subject| nodes.manifests.get(&subject.digest));
            if let Some(subject) = subject {
                self.edges[node].push(*subject);
                self.edges[*subject].push(node);
            }
        }
    }

    fn add_blobs(&mut self, snapshot: &'a Snapshot, manifest: &'a Manifest, node: usize) {
        for blob in manifest.blobs() {
            let is_config = manifest.config.as_ref().is_some_and(|config| config.digest == blob.digest);
            let role = if is_config { Role::Config } else { Role::Layer };
            let said = if blob.is_foreign { ByteSize(0) } else { blob.size };
            let content = self.content(snapshot, &blob.digest, role, said);
            self.edges[node].push(content);
        }
    }

    fn add_tags(
        &mut self,
        snapshot: &Snapshot,
        view: &'a RepositoryView,
        known: Option<&BTreeSet<&Digest>>,
        nodes: &mut RepositoryNodes<'a>,
    ) {
        let mut images: BTreeMap<(usize, &Digest), ImageNodes<'a>> = BTreeMap::new();
        for (tag, state) in &view.tags {
            let TagState::At(digest) = state else { continue };
            let Some(manifest) = nodes.manifests.get(digest).copied() else { continue };
            let subject = tag.attachment_subject();
            if let (Some(subject), Some(known)) = (&subject, known)
                && !known.contains(subject)
                && !view.holds_only_attachments()
                && (snapshot.store.is_some() || view.absent_subjects.contains(subject))
            {
                nodes.orphans.insert(tag, manifest);
                continue;
            }
            let subject = subject.and_then(|subject| nodes.manifests.get(&subject).copied());
            let subject = subject.filter(|subject| *subject != manifest);
            let above = subject.unwrap_or(nodes.node);
            let image = images.entry((above, digest)).or_insert_with(|| ImageNodes {
                node: self.add_below(above),
                digest,
                tags: Vec::new(),
                is_attached: subject.is_some(),
            });
            let node = self.add_below(image.node);
            self.edges[node].push(manifest);
            image.tags.push((tag, node));
        }
        nodes.images = images.into_values().collect();
    }
}
