//! A collector that goes wrong and ends well: nothing is swept that it does not prove to be garbage, in any mode.

use std::sync::Arc;

use crate::fake_engine::{Ailment, FakeEngine, REGISTRY};
use crate::fake_registry::FakeRegistry;
use crate::run::{CREATED, Tool};

#[test]
fn a_collector_that_goes_wrong_without_a_word_sweeps_nothing() {
    for (ailment, evidence) in [
        (Ailment::StopsMarking, "did not mark the kept manifest"),
        (Ailment::TakesWhatIsMarked, "would delete the kept"),
    ] {
        for mode in ["offline", "read-only", "live"] {
            let registry = Arc::new(FakeRegistry::spawn());
            for tag in ["1", "2", "3"] {
                registry.image("app", tag, CREATED, &["base", tag]);
            }
            let gone = registry.image("app", "gone", CREATED, &["gone"]);
            registry.change(|contents| {
                let app = contents.repository("app");
                app.tags.remove("gone");
                app.manifests.remove(&gone);
            });
            let engine = FakeEngine::spawn(registry.clone());
            engine.ails(ailment);
            let before = registry.change(|contents| contents.clone());
            let tool = Tool::new().env("DOCKER_HOST", engine.host()).env("REGISTRY_PRUNE_TEST_TIMES", "fast");
            let answer = tool
                .on(&registry, &["gc", "--force", "--gc-mode", mode])
                .exits(4)
                .says("nothing was collected");
            let answer = answer.says(evidence);
            assert_eq!(registry.change(|contents| contents.clone()), before, "{mode}: {answer}");
            assert!(engine.is_running(REGISTRY) && engine.others().is_empty(), "{mode}: {answer}");
            assert_eq!(engine.alarms(), [""; 0], "{mode}: {answer}");
        }
    }
}

#[test]
fn where_the_files_show_no_garbage_no_collector_is_asked() {
    let registry = Arc::new(FakeRegistry::spawn());
    for tag in ["1", "2", "3"] {
        registry.image("app", tag, CREATED, &["base", tag]);
    }
    let engine = FakeEngine::spawn(registry.clone());
    // It would name what is kept.
    engine.ails(Ailment::StopsMarking);
    let starts = engine.starts(REGISTRY);
    let tool = Tool::new().env("DOCKER_HOST", engine.host()).env("REGISTRY_PRUNE_TEST_TIMES", "fast");
    for (words, said) in [
        (["gc", "--force"], "There is no garbage to collect"),
        (["prune", "--force"], "There is no garbage to collect"),
        (["gc", "--dry-run"], "would remove 0 blobs"),
    ] {
        tool.on(&registry, &words).exits(0).says(said);
    }
    tool.on(&registry, &["gc", "--dry-run", "--source", "api"]).exits(0).never_says("would remove 0 blobs");
    assert_eq!((engine.starts(REGISTRY), engine.others()), (starts, Vec::new()));
    assert_eq!(engine.alarms(), [""; 0]);
}

#[test]
fn a_dry_run_says_what_a_collection_then_takes() {
    let registry = Arc::new(FakeRegistry::spawn());
    registry.image("app", "kept", CREATED, &["base", "kept"]);
    let gone = registry.image("app", "gone", CREATED, &["base", "gone"]);
    registry.change(|contents| {
        let app = contents.repository("app");
        app.tags.remove("gone");
        app.manifests.remove(&gone);
    });
    let engine = FakeEngine::spawn(registry.clone());
    let tool = Tool::new().env("DOCKER_HOST", engine.host()).env("REGISTRY_PRUNE_TEST_TIMES", "fast");
    let told = tool.on(&registry, &["gc", "--dry-run"]).exits(0);
    let size = told.stderr.split_once("would remove 2 blobs that nothing refers to, ");
    let (_, size) = size.unwrap_or_else(|| panic!("no size\n{told}"));
    let size = size.lines().next().unwrap_or_default().trim_end_matches('.');
    let reclaimed = format!("Total reclaimed space: {size}");
    tool.on(&registry, &["gc", "--force"]).exits(0).says("2 blobs removed").says(&reclaimed);
}
