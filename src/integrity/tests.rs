use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::model::manifest::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::model::{ByteSize, Manifest, Odd, RepositoryState, StoredFile, StoredTag};

/// A store with one repository in which everything is as it should be: an image, an index over it, and a second image
/// that shares a layer.
struct World {
    view: RepositoryView,
    store: StoreView,
}

const REPOSITORY: &str = "team/app";

fn repository() -> Repository {
    REPOSITORY.parse().unwrap()
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

impl World {
    fn new() -> Self {
        let mut world = Self { view: RepositoryView::default(), store: StoreView::default() };
        world.store.repositories.insert(repository(), StoredRepository::default());
        let image = world.image(&["config", "base", "top"]);
        let other = world.image(&["other config", "base"]);
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": image, "size": 1, "platform": {"os": "linux", "architecture": "arm64"}},
        ]});
        let index = world.manifest(OCI_INDEX, &index);
        world.tag("one", &image);
        world.tag("two", &other);
        world.tag("many", &index);
        world
    }

    fn stored(&mut self) -> &mut StoredRepository {
        self.store.repositories.get_mut(&repository()).unwrap()
    }

    fn blob(&mut self, name: &str) -> serde_json::Value {
        let size = ByteSize(name.len() as u64);
        self.store.blobs.insert(digest(name), StoredFile { size, on_disk: ByteSize(4096) });
        self.stored().layers.insert(digest(name));
        json!({"mediaType": "application/octet-stream", "digest": digest(name), "size": size.0})
    }

    fn image(&mut self, names: &[&str]) -> Digest {
        let blobs: Vec<_> = names.iter().map(|name| self.blob(name)).collect();
        let (config, layers) = blobs.split_first().unwrap();
        let image =
            json!({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers});
        self.manifest(DOCKER_MANIFEST, &image)
    }

    fn manifest(&mut self, media_type: &str, content: &serde_json::Value) -> Digest {
        let raw = content.to_string().into_bytes();
        let digest = Digest::of(&raw);
        let manifest = Manifest::parse(digest.clone(), media_type, &raw).unwrap();
        self.view.manifests.insert(digest.clone(), ManifestState::Read(Box::new(manifest)));
        let size = ByteSize(raw.len() as u64);
        self.store.blobs.insert(digest.clone(), StoredFile { size, on_disk: ByteSize(4096) });
        self.stored().revisions.insert(digest.clone(), Timestamp::UNIX_EPOCH);
        digest
    }

    fn tag(&mut self, tag: &str, at: &Digest) {
        let tag: Tag = tag.parse().unwrap();
        self.view.tags.insert(tag.clone(), TagState::At(at.clone()));
        let stored =
            StoredTag { digest: Some(at.clone()), pushed: Timestamp::UNIX_EPOCH, history: Vec::new() };
        self.stored().tags.insert(tag, stored);
    }

    fn check(&self) -> Findings {
        let snapshot = Snapshot {
            registry: "127.0.0.1:5000".parse().unwrap(),
            deletes_tags_by_name: false,
            flaw: None,
            is_whole: true,
            store: None,
            repositories: [(repository(), RepositoryState::Read(self.view.clone()))].into(),
        };
        check(&snapshot, &self.store, &Container { name: "r", file: &|_| "/f".to_owned() })
    }

    /// The only problem, with the tags that it harms.
    fn problem(&self) -> (String, Vec<String>) {
        let findings = self.check();
        assert_eq!(findings.problems.len(), 1, "{findings:?}");
        let problem = &findings.problems[0];
        let is_there = problem.what.contains("bytes where");
        assert_eq!(problem.mend.contains("docker exec r rm /f"), is_there, "{}", problem.mend);
        assert!(problem.mend.contains("docker restart r") && problem.mend.contains(PUSH_AGAIN));
        (problem.what.clone(), problem.tags.iter().map(ToString::to_string).collect())
    }
}

#[test]
fn a_healthy_store_has_nothing_to_tell() {
    assert_eq!(World::new().check(), Findings::default());
}

#[test]
fn a_lost_layer_harms_every_tag_that_needs_it() {
    let mut world = World::new();
    world.store.blobs.remove(&digest("top"));
    let (what, tags) = world.problem();
    assert!(what.contains("is missing"), "{what}");
    assert_eq!(tags, ["many", "one"]);
    let mut world = World::new();
    world.store.blobs.remove(&digest("other config"));
    assert_eq!(world.problem().1, ["two"]);
}

#[test]
fn a_lost_link_is_told_apart_from_a_lost_layer() {
    let mut world = World::new();
    world.stored().layers.remove(&digest("top"));
    let (what, tags) = world.problem();
    assert!(what.contains("no link to it"), "{what}");
    assert_eq!(tags, ["many", "one"]);
}

#[test]
fn a_blob_of_another_size_is_damaged() {
    let mut world = World::new();
    world.store.blobs.get_mut(&digest("top")).unwrap().size = ByteSize(1);
    let (what, _) = world.problem();
    assert!(what.ends_with("has 1 bytes where its manifest says 3"), "{what}");
}

#[test]
fn a_manifest_without_content_harms_the_indexes_that_need_it() {
    let mut world = World::new();
    let image = world.stored().tags.remove(&"one".parse().unwrap()).unwrap().digest.unwrap();
    world.view.tags.remove(&"one".parse().unwrap());
    world.view.manifests.insert(image.clone(), ManifestState::Absent);
    world.store.blobs.remove(&image);
    let (what, tags) = world.problem();
    assert!(what.contains("the content of manifest"), "{what}");
    assert_eq!(tags, ["many"]);
}

#[test]
fn a_tag_that_leads_nowhere_is_not_told_twice() {
    let mut world = World::new();
    let other = world.stored().tags[&"two".parse().unwrap()].digest.clone().unwrap();
    world.view.tags.insert("two".parse().unwrap(), TagState::Dangling);
    world.view.manifests.remove(&other);
    world.store.blobs.remove(&other);
    assert_eq!(world.check().problems, []);
}

#[test]
fn what_harms_no_tag_is_a_note() {
    let mut world = World::new();
    world.stored().revisions.insert(digest("gone"), Timestamp::UNIX_EPOCH);
    world.blob("unneeded");
    world.stored().layers.insert(digest("dangling"));
    world.store.odd.push(Odd {
        path: "repositories/team/app/x".to_owned(),
        why: "is no part of a store".to_owned(),
        repository: Some(repository()),
    });
    world.store.odd.push(Odd {
        path: "repositories/other/x".to_owned(),
        why: "is no part of a store".to_owned(),
        repository: Some("other".parse().unwrap()),
    });
    let findings = world.check();
    assert_eq!(findings.problems, []);
    let notes = findings.notes.join("\n");
    for sentence in
        ["no tag needs it", "1 layer link that no manifest", "1 layer link to blobs that are gone", "app/x"]
    {
        assert!(notes.contains(sentence), "{sentence}: {notes}");
    }
    assert_eq!(findings.notes.len(), 4, "{notes}");
}

#[test]
fn links_of_a_repository_that_is_not_fully_read_are_not_called_unneeded() {
    let mut world = World::new();
    world.blob("unneeded");
    world.view.manifests.insert(digest("unread"), ManifestState::Unreadable("broken".to_owned()));
    assert_eq!(world.check().notes, Vec::<String>::new());
}
