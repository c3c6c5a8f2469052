//! Where a registry's space is: what each repository and tag reaches, what of it nobody else needs, what is garbage.
//!
//! Pure: from a snapshot, with the view of its store or without. The parts add up to the whole: what one repository alone
//! needs, what several need, garbage by kind, uploads, and the folders and links around it all.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{ByteSize, Digest, Ordered, Repository, Snapshot, StoredFile, Tag};

mod dominators;
mod garbage;
mod graph;

pub(crate) use garbage::{Garbage, Kind};

use graph::{Graph, ROOT};

/// All of a registry.
pub(crate) struct Usage<'a> {
    pub(crate) repositories: BTreeMap<&'a Repository, RepositoryUsage<'a>>,
    pub(crate) contents: Vec<Content<'a>>,
    /// What tags lead to.
    pub(crate) in_use: Part,
    /// Of that, what more than one repository needs.
    pub(crate) shared: Part,
    /// By kind; `None` where the kind cannot be seen.
    pub(crate) garbage: BTreeMap<Kind, Option<Garbage>>,
    /// Uploads that are not old enough to be garbage.
    pub(crate) uploads: Part,
    /// Whether everything was read: else what looks like garbage may be needed by what was not.
    pub(crate) is_certain: bool,
    /// What the store takes, where it was read.
    pub(crate) on_disk: Option<ByteSize>,
}

pub(crate) struct RepositoryUsage<'a> {
    pub(crate) space: Space,
    pub(crate) tags: BTreeMap<&'a Tag, Space>,
    /// Without those that belong to others.
    pub(crate) images: Vec<ImageUsage<'a>>,
}

/// The tags at one manifest, as one thing.
pub(crate) struct ImageUsage<'a> {
    pub(crate) tags: Vec<&'a Tag>,
    pub(crate) digest: &'a Digest,
    pub(crate) space: Space,
    /// Places in `Usage::contents` of all that it needs.
    pub(crate) contents: Vec<usize>,
}

/// What something reaches, each content once, and what of it goes with it: nothing in use and no other attachment needs
/// that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) size: ByteSize,
    pub(crate) unique: Part,
}

/// An amount of content, and what it takes on disk, as far as that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) bytes: ByteSize,
    pub(crate) on_disk: ByteSize,
}

/// A blob or the bytes of a manifest.
pub(crate) struct Content<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) role: Role,
    pub(crate) size: Part,
    /// How many tags lead to it, in all repositories; attachments do not count.
    pub(crate) tags: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Manifest,
    Config,
    Layer,
    /// Nothing names it.
    Unknown,
}

impl<'a> Usage<'a> {
    /// An upload is stale when nothing was added to it since `stale_before`.
    pub(crate) fn of(snapshot: &'a Snapshot, stale_before: Timestamp) -> Self {
        let mut graph = Graph::of(snapshot);
        let dominators = dominators::immediate(&graph.edges, ROOT);
        let order = dominators::postorder(&graph.edges, ROOT);
        let below = below(&graph, &dominators, &order);
        let mut reach = Reach::new(&graph);
        let needs = needs(&graph, &order, &mut reach);
        let mut repositories = BTreeMap::new();
        for (repository, nodes) in &graph.repositories {
            let space = |node: usize, reach: &mut Reach| {
                let size = reach.from(&graph, node).map(|place| graph.contents[place].size.bytes).sum();
                Space { size, unique: below[node] }
            };
            let mut tags: BTreeMap<&Tag, Space> = BTreeMap::new();
            for (tag, node) in nodes.images.iter().flat_map(|image| &image.tags) {
                tags.insert(tag, space(*node, &mut reach));
            }
            for (tag, manifest) in &nodes.orphans {
                let unique = alone(&graph, reach.from(&graph, *manifest), &needs);
                tags.insert(tag, Space { unique, ..space(*manifest, &mut reach) });
            }
            let images = nodes.images.iter().filter(|image| !image.is_attached);
            let images = images.map(|image| ImageUsage {
                tags: image.tags.iter().map(|(tag, _)| *tag).collect(),
                digest: image.digest,
                space: space(image.node, &mut reach),
                contents: reach.from(&graph, image.node).collect(),
            });
            let images = images.collect();
            let space = space(nodes.node, &mut reach);
            repositories.insert(*repository, RepositoryUsage { space, tags, images });
        }
        for image in repositories.values().flat_map(|repository| &repository.images) {
            for place in &image.contents {
                graph.contents[*place].tags += image.tags.len();
            }
        }
        let in_use = below[ROOT];
        let unique: Part = repositories.values().map(|repository| repository.space.unique).sum();
        let live = order.into_iter().into_set();
        let garbage = garbage::find(snapshot, &mut graph, live, stale_before);
        Self {
            repositories,
            in_use,
            shared: in_use.saturating_sub(unique),
            garbage,
            uploads: garbage::young_uploads(snapshot, stale_before),
            is_certain: garbage::is_certain(snapshot),
            on_disk: snapshot.store.as_ref().map(|store| store.on_disk),
            contents: graph.contents,
        }
    }

    /// What would come back, as far as that is certain.
    pub(crate) fn reclaimable(&self) -> Part {
        self.garbage.values().flatten().filter_map(|garbage| garbage.reclaimable).sum()
    }

    /// What the store takes beside contents, uploads and garbage: folders, links, and what is odd.
    pub(crate) fn overhead(&self) -> Option<ByteSize> {
        let garbage: Part = self.garbage.values().flatten().map(|garbage| garbage.only).sum();
        Some(self.on_disk?.saturating_sub(self.in_use.on_disk + garbage.on_disk + self.uploads.on_disk))
    }
}

impl Space {
    pub(crate) fn shared(self) -> ByteSize {
        self.size.saturating_sub(self.unique.bytes)
    }
}

/// The contents that each node dominates.
fn below(graph: &Graph, dominators: &[Option<usize>], order: &[usize]) -> Vec<Part> {
    let mut below = vec![Part::default(); graph.edges.len()];
    // What dominates a node comes after it.
    for node in order {
        if let Some(place) = graph.content_at[*node] {
            below[*node] += graph.contents[place].size;
        }
        if let Some(above) = dominators[*node].filter(|above| above != node) {
            let part = below[*node];
            below[above] += part;
        }
    }
    below
}

/// How many need each content: all that is in use together, and each orphaned attachment.
fn needs(graph: &Graph, order: &[usize], reach: &mut Reach) -> Vec<usize> {
    let mut needs = vec![0; graph.contents.len()];
    let orphans = graph.repositories.values().flat_map(|nodes| nodes.orphans.values());
    let by_orphans: Vec<usize> = orphans.flat_map(|manifest| reach.from(graph, *manifest)).collect();
    for place in order.iter().filter_map(|node| graph.content_at[*node]).chain(by_orphans) {
        needs[place] += 1;
    }
    needs
}

fn alone(graph: &Graph, places: impl Iterator<Item = usize>, needs: &[usize]) -> Part {
    places.filter(|place| needs[*place] == 1).map(|place| graph.contents[place].size).sum()
}

/// Walks the graph again and again without forgetting all of it each time.
struct Reach {
    /// The walk in which a node was seen last.
    seen: Vec<usize>,
    walk: usize,
}

impl Reach {
    fn new(graph: &Graph) -> Self {
        Self { seen: vec![0; graph.edges.len()], walk: 0 }
    }

    /// Places of the contents that `node` leads to.
    fn from<'g>(&mut self, graph: &'g Graph, node: usize) -> impl Iterator<Item = usize> + use<'g> {
        self.walk += 1;
        self.seen[node] = self.walk;
        let mut ahead = vec![node];
        let mut places = Vec::new();
        while let Some(node) = ahead.pop() {
            places.extend(graph.content_at[node]);
            for next in &graph.edges[node] {
                if self.seen[*next] != self.walk {
                    self.seen[*next] = self.walk;
                    ahead.push(*next);
                }
            }
        }
        places.into_iter()
    }
}

impl Part {
    pub(crate) fn of(file: StoredFile) -> Self {
        Self { bytes: file.size, on_disk: file.on_disk }
    }

    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            on_disk: self.on_disk.saturating_sub(other.on_disk),
        }
    }
}

impl AddAssign for Part {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.on_disk += other.on_disk;
    }
}

impl Add for Part {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Part {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
pub(crate) mod tests;
