//! What is deleted is saved first: the record is complete before the first deletion, private, and without it nothing is
//! deleted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::digest_of;
use crate::fake_registry::quirks::Fault;
use crate::run::{Asked as _, CREATED, Tool, records_in};

struct World {
    fake: FakeRegistry,
    old: String,
    index: String,
    part: String,
    kept: String,
}

/// `app:old` and `app:multi`, which are to go; `kept` and `alias` on one digest.
fn world() -> World {
    let fake = FakeRegistry::spawn();
    let old = fake.image("app", "old", CREATED, &["old"]);
    let part = fake.untagged_image("app", "linux/amd64", &["part"]);
    let index = fake.index("app", "multi", &[&part]);
    let kept = fake.image("app", "kept", CREATED, &["kept"]);
    fake.tag("app", "alias", &kept);
    World { fake, old, index, part, kept }
}

const REMOVE: [&str; 5] = ["rm", "--force", "app:old", "app:multi", "app:alias"];

/// What the folder of records holds when the first change arrives.
fn at_the_first_change(world: &World, runs: &Path) -> Arc<Mutex<Option<Vec<Value>>>> {
    let seen = Arc::new(Mutex::new(None));
    for (method, path) in [("PUT", "/manifests/"), ("DELETE", &world.old), ("DELETE", &world.index)] {
        let (seen, runs) = (seen.clone(), runs.to_owned());
        world.fake.when(method, path, move |_| {
            seen.lock().expect("the slot").get_or_insert_with(|| records_in(&runs));
        });
    }
    seen
}

#[test]
fn the_record_is_complete_before_the_first_change() {
    let world = world();
    let tool = Tool::new();
    let seen = at_the_first_change(&world, &tool.runs());
    let answer = tool.on(&world.fake, &REMOVE).exits(0).says("Deleted 3 tags and 3 manifests");
    let seen = seen.lock().expect("the slot").take().expect("a change was seen");
    let [record] = &seen[..] else { panic!("{} records\n{answer}", seen.len()) };
    assert_eq!(&tool.records(), &seen, "the record changed afterwards");

    assert_eq!(record["version"], 1);
    assert!(record["registry"].as_str().is_some_and(|registry| registry.contains(&world.fake.host())));
    let [repository] = &record["repositories"].as_array().expect("repositories")[..] else {
        panic!("{record}")
    };
    assert_eq!(repository["repository"], "app");
    assert_eq!(repository["tags"], json!({ "alias": world.kept, "multi": world.index, "old": world.old }));
    let mut saved = Vec::new();
    for manifest in repository["manifests"].as_array().expect("manifests") {
        let content = STANDARD.decode(manifest["content"].as_str().expect("text")).expect("base64");
        let digest = manifest["digest"].as_str().expect("a digest");
        assert_eq!(digest_of(&content), digest, "the content is not that of its digest");
        let inside: Value = serde_json::from_slice(&content).expect("a manifest");
        assert_eq!(inside["mediaType"], manifest["mediaType"]);
        assert_eq!(manifest["stays"] == json!(true), digest == world.kept, "{manifest}");
        saved.push(digest.to_owned());
    }
    let mut needed = [world.old, world.index, world.part, world.kept];
    saved.sort();
    needed.sort();
    assert_eq!(saved, needed);
}

#[test]
fn the_record_is_for_its_owner_alone() {
    let world = world();
    let tool = Tool::new();
    let _ = tool.on(&world.fake, &REMOVE).exits(0);
    for entry in fs::read_dir(tool.runs()).expect("the folder") {
        let mode = entry.expect("an entry").metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn each_run_has_a_record_and_a_run_that_deletes_nothing_has_none() {
    let world = world();
    let tool = Tool::new();
    for arguments in [
        &["rm", "--force", "app:old"][..],
        &["rm", "--force", "app:multi"],
        &["rm", "--dry-run", "app:alias"],
        &["ls"],
        &["prune", "--no-gc", "--force", "--keep", "9"],
    ] {
        let _ = tool.on(&world.fake, arguments).exits(0);
    }
    assert_eq!(tool.records().len(), 2);
}

#[test]
fn a_run_that_fails_has_its_record_all_the_same() {
    let world = world();
    let tool = Tool::new();
    world.fake.fault(Fault::on("DELETE", &world.old).answers(500));
    let _ = tool.on(&world.fake, &REMOVE).exits(3);
    assert_eq!(tool.records().len(), 1);
}

#[test]
fn nothing_is_deleted_that_could_not_be_saved() {
    // A file where a folder belongs: permissions would not stop root.
    for place in ["state", "state/docker-registry-prune/runs"] {
        let world = world();
        let tool = Tool::new();
        let path = tool.path(place);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make the folder");
        fs::write(&path, "in the way").expect("write the file");
        tool.on(&world.fake, &REMOVE)
            .exits(4)
            .says("could not be saved first, so nothing was deleted")
            .says("XDG_STATE_HOME");
        assert_eq!(world.fake.changes(), [""; 0]);
        assert_eq!(world.fake.tags("app"), ["alias", "kept", "multi", "old"]);
    }
}

#[test]
fn old_records_go_and_the_one_just_written_stays() {
    let world = world();
    let tool = Tool::new();
    fs::create_dir_all(tool.runs()).expect("make the folder");
    let file = |name: &str, mebibytes: u64| {
        let file = fs::File::create(tool.runs().join(name)).expect("make a file");
        file.set_len(mebibytes << 20).expect("make it large");
    };
    file("20200101T000000Z.json", 0);
    file("not-a-run.json", 0);
    file("notes.txt", 100);
    let names = || {
        let names =
            fs::read_dir(tool.runs()).expect("the folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
        names.sort();
        names
    };
    let _ = tool.on(&world.fake, &["rm", "--force", "app:old"]).exits(0);
    let first = names()[0].clone();
    assert_eq!(names(), [first.as_str(), "not-a-run.json", "notes.txt"]);

    // Runs of tomorrow: a clock that was set back. The oldest go until the rest fits.
    for (name, mebibytes) in [("20990103T000000Z", 40), ("20990102T000000Z", 30), ("20990101T000000Z", 1)] {
        file(&format!("{name}.json"), mebibytes);
    }
    let _ = tool.on(&world.fake, &["rm", "--force", "app:multi"]).exits(0);
    let left = names();
    let second = left.iter().find(|name| name.starts_with("202") && **name != first).expect("the new record");
    assert_eq!(left, [second.as_str(), "20990103T000000Z.json", "not-a-run.json", "notes.txt"]);
}

#[test]
fn runs_of_the_same_second_have_names_of_their_own() {
    let world = world();
    let tool = Tool::new();
    let names: std::collections::BTreeSet<String> = ["app:old", "app:multi", "app:alias"]
        .into_iter()
        .map(|reference| {
            let answer = tool.on(&world.fake, &["rm", "--force", "--format", "json", reference]).exits(0);
            answer.json()["run"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(names.len(), 3);
    let listed = tool.run(&["undo", "--list"]).exits(0).stdout;
    assert_eq!(listed.lines().count(), 4, "{listed}");
}
