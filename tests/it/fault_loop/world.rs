//! A small registry in its container, of which some must go and some must stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fake_engine::{FakeEngine, references};
use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::Contents;
use crate::run::{Answer, CREATED, Tool};

use super::stage::Stage;

pub(super) struct World {
    pub(super) registry: Arc<FakeRegistry>,
    pub(super) engine: FakeEngine,
    pub(super) stage: Stage,
    tool: Tool,
    /// The part of `app:old-index` that nothing else needs.
    pub(super) part: String,
}

/// What a run leaves, but for empty folders and links to nothing, which alone are not worth a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) contents: Contents,
    pub(super) uploads: usize,
}

/// Tags by repository, with their digests.
pub(super) type Kept = BTreeMap<(String, String), String>;

impl World {
    /// What is `old…` is to go; it shares layers, a child and a digest with what stays. A repository has nothing else.
    pub(super) fn new() -> Self {
        let registry = Arc::new(FakeRegistry::spawn());
        let shared_child = registry.untagged_image("app", "linux/amd64", &["base", "amd64"]);
        let new_child = registry.untagged_image("app", "linux/arm64", &["base", "arm64"]);
        let old_child = registry.untagged_image("app", "linux/arm64", &["base", "arm64 of old"]);
        registry.index("app", "index", &[&shared_child, &new_child]);
        registry.index("app", "old-index", &[&shared_child, &old_child]);
        let kept = registry.image("app", "kept", CREATED, &["base", "kept"]);
        registry.tag("app", "old-alias", &kept);
        registry.image("app", "old", CREATED, &["base", "old"]);
        registry.image("base", "kept", CREATED, &["base"]);
        registry.image("base", "old", CREATED, &["base of old"]);
        registry.image("emptied", "old", CREATED, &["base", "emptied"]);
        let engine = FakeEngine::spawn(registry.clone());
        engine.leave_upload("base");
        let known = registry.change(|contents| {
            let repositories = contents.repositories.values();
            repositories.flat_map(|found| found.manifests.keys().chain(found.blobs.keys())).cloned().collect()
        });
        let stage = Stage::new(known);
        registry.gate(stage.gate("registry"));
        engine.gate(stage.gate("engine"));
        let tool = Tool::new().env("DOCKER_HOST", engine.host()).env("REGISTRY_PRUNE_TEST_TIMES", "fast");
        Self { registry, engine, stage, tool, part: old_child }
    }

    pub(super) fn run(&self, words: &[&str]) -> Answer {
        let host = self.registry.host();
        self.tool.run_watched(&[words, &["--registry", &host]].concat(), |process| self.stage.began(process))
    }

    /// Whether a record says that what its run deleted was collected.
    pub(super) fn has_collected(&self) -> bool {
        self.tool.records().iter().any(|record| record.to_string().contains("\"collected\""))
    }

    pub(super) fn contents(&self) -> Contents {
        self.registry.change(|contents| contents.clone())
    }

    pub(super) fn store(&self) -> Store {
        Store { contents: self.contents(), uploads: self.engine.uploads() }
    }

    /// The contents, but for a part of a removed index whose own removal failed. No tag leads to it and HTTP lists no
    /// manifest without one, so no later run can know of it.
    pub(super) fn store_but_for_a_lost_part(&self) -> Store {
        let Store { mut contents, uploads } = self.store();
        let app = contents.repository("app");
        if !app.tags.contains_key("old-index")
            && let Some(part) = app.manifests.remove(&self.part)
        {
            let needed: Vec<String> = app.manifests.values().flat_map(references).collect();
            for blob in references(&part).iter().filter(|blob| !needed.contains(blob)) {
                app.blobs.remove(blob);
            }
        }
        Store { contents, uploads }
    }

    pub(super) fn kept(&self) -> Kept {
        let contents = self.contents();
        let tags = contents.repositories.iter().flat_map(|(repository, found)| {
            found.tags.iter().map(|(tag, digest)| ((repository.clone(), tag.clone()), digest.clone()))
        });
        tags.filter(|((_, tag), _)| !tag.starts_with("old")).collect()
    }
}
