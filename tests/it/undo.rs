//! What a run deleted is put back byte for byte, nothing that is there now is overwritten, and what cannot be put back is
//! told with the reason.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::{DOCKER_MANIFEST, Repository, digest_of};
use crate::fake_registry::quirks::{Access, Deletions, Effect, Fault, Version};
use crate::run::{Answer, Asked as _, CREATED, Tool};

/// What is in use: nothing that waits for a collection.
type Repositories = BTreeMap<String, Repository>;

struct World {
    fake: FakeRegistry,
    tool: Tool,
    before: Repositories,
    old: String,
    index: String,
    part: String,
    kept: String,
}

/// `app:old` and `app:multi` with a part of its own, which are to go; `kept` and `alias` on one digest.
fn world() -> World {
    let fake = FakeRegistry::spawn();
    let old = fake.image("app", "old", CREATED, &["old"]);
    let part = fake.untagged_image("app", "linux/amd64", &["part"]);
    let index = fake.index("app", "multi", &[&part]);
    let kept = fake.image("app", "kept", CREATED, &["kept"]);
    fake.tag("app", "alias", &kept);
    let before = fake.change(|contents| contents.repositories.clone());
    World { fake, tool: Tool::new(), before, old, index, part, kept }
}

const REMOVE: [&str; 5] = ["rm", "--force", "app:old", "app:multi", "app:alias"];

impl World {
    fn remove(self) -> Self {
        let _ = self.tool.on(&self.fake, &REMOVE).exits(0).says("Deleted 3 tags and 3 manifests");
        self.fake.forget_requests();
        self
    }

    fn undo(&self) -> Answer {
        self.tool.run(&["undo"])
    }

    fn now(&self) -> Repositories {
        self.fake.change(|contents| contents.repositories.clone())
    }

    fn status(&self) -> Vec<Value> {
        let listed = self.tool.run(&["undo", "--list", "--format", "json"]).exits(0).json();
        listed["runs"].as_array().expect("runs").iter().map(|run| run["status"].clone()).collect()
    }

    /// Changes the only record.
    fn change_record(&self, change: impl FnOnce(&mut Value)) {
        let [mut record] = <[Value; 1]>::try_from(self.tool.records()).expect("one record");
        change(&mut record);
        fs::write(self.record(), record.to_string()).expect("write the record");
    }

    fn record(&self) -> std::path::PathBuf {
        let mut entries = fs::read_dir(self.tool.runs()).expect("the folder");
        entries.next().expect("a record").expect("an entry").path()
    }
}

#[test]
fn everything_comes_back_byte_for_byte_on_both_kinds_of_server() {
    for version in [Version::Two, Version::Three] {
        let world = world();
        world.fake.quirks(|quirks| quirks.version = version);
        let world = world.remove();
        assert_ne!(world.now(), world.before);
        world.undo().exits(0).says("Put back 3 tags and 3 manifests").never_says("FAILED");
        assert_eq!(world.now(), world.before);
        let puts = world.fake.asked("PUT", "");
        let at = |reference: &str| puts.iter().position(|put| put.ends_with(reference)).expect("a PUT");
        assert_eq!(puts.len(), 4, "{puts:#?}");
        assert!(at(&world.part) < at("/multi"), "{puts:#?}");

        assert_eq!(world.status(), ["put-back"]);
        let _ = world.undo().exits(1).says("anything that can be put back");
    }
}

#[test]
fn the_report_names_the_run_and_any_beginning_of_the_name_will_do() {
    let world = world();
    let answer = world.tool.on(&world.fake, &REMOVE).exits(0);
    let line = answer.stderr.lines().find_map(|line| line.split_once("docker registry undo "));
    let name = line.unwrap_or_else(|| panic!("{answer}")).1.trim_end_matches('`').to_owned();
    let _ = world.tool.run(&["undo", "--dry-run", &name]).exits(0);
    let _ = world.tool.run(&["undo", &name[..6]]).exits(0).says("Put back 3 tags");
    // What is there already is no fault.
    let _ = world.tool.run(&["undo", &name]).exits(0).says("Already there: 3 tags and 3 manifests");

    let document =
        world.tool.on(&world.fake, &["rm", "--force", "--format", "json", "app:old"]).exits(0).json();
    let second = document["run"].as_str().expect("the name of the run");
    assert_ne!(second, name);
    let _ =
        world.tool.run(&["undo", &name[..4]]).exits(2).says("several runs begin").says(second).says(&name);
    let _ = world.tool.run(&["undo", "1999"]).exits(2).says("there is no run `1999`").says(second);
    assert_eq!(world.status(), ["open", "put-back"]);
}

#[test]
fn a_run_that_deleted_nothing_names_no_way_back() {
    let world = world();
    world.fake.fault(Fault::on("DELETE", &world.old).answers(500));
    world.tool.on(&world.fake, &["rm", "--force", "app:old"]).exits(3).never_says("docker registry undo");
}

#[test]
fn the_registry_is_that_of_the_record_unless_one_is_named() {
    let (one, two) = (world().remove(), world());
    let tool = &one.tool;
    let _ = tool.on(&two.fake, &["rm", "--force", "app:old"]).exits(0);
    let listed = tool.on(&one.fake, &["undo", "--list"]).exits(0).says(&one.fake.host());
    let _ = listed.never_says(&two.fake.host());
    let _ = tool.on(&one.fake, &["undo"]).exits(0).says("Put back 3 tags");
    assert_eq!(one.now(), one.before);
    assert_ne!(two.now(), two.before);
    let _ = tool.run(&["undo"]).exits(0).says("Put back 1 tag and 1 manifest");
    assert_eq!(two.now(), two.before);
}

#[test]
fn a_dry_run_shows_what_would_be_put_back_and_changes_nothing() {
    let world = world().remove();
    let answer = world.tool.run(&["undo", "--dry-run"]).exits(0);
    let _ = answer.says("Put back app:old").says("To put back: 3 tags and 3 manifests");
    assert_eq!(world.fake.changes(), [""; 0]);
    assert_eq!(world.status(), ["open"]);
    let document = world.tool.run(&["undo", "--dry-run", "--format", "json"]).exits(0).json();
    assert_eq!(document["repositories"][0]["tags"][0]["fate"], "due");
}

#[test]
fn the_document_tells_the_fate_of_each() {
    let world = world().remove();
    let document = world.tool.run(&["undo", "--format", "json"]).exits(0).json();
    assert_eq!(document["version"], 1);
    assert_eq!(document["command"], "undo");
    assert_eq!((&document["putBackTags"], &document["exitCode"]), (&json!(3), &json!(0)));
    let repository = &document["repositories"][0];
    assert_eq!(repository["tags"].as_array().map(Vec::len), Some(3));
    assert_eq!(repository["manifests"].as_array().map(Vec::len), Some(3));
    assert!(document["run"].is_string());
}

#[test]
fn a_tag_that_was_pushed_anew_is_left_alone_and_its_manifest_comes_back() {
    let world = world().remove();
    let other = world.fake.image("app", "old", CREATED, &["anew"]);
    let answer = world.undo().exits(3).says("Put back 2 tags and 3 manifests");
    let _ = answer.says("Left app:old: it is at sha256:").says("left alone");
    assert_eq!(world.fake.change(|contents| contents.resolve("app", "old")), Some(other));
    assert!(world.fake.has_manifest("app", &world.old));
    assert_eq!(world.status(), ["open"]);
}

#[test]
fn a_tag_that_is_pushed_while_others_are_put_back_is_not_overwritten() {
    let world = world().remove();
    let kept = world.kept.clone();
    // The part is put before the index.
    world.fake.when("PUT", &world.part, move |contents| contents.tag("app", "multi", &kept));
    let _ = world.undo().exits(3).says("Left app:multi");
    assert_eq!(world.fake.change(|contents| contents.resolve("app", "multi")), Some(world.kept.clone()));
    assert!(world.fake.has_manifest("app", &world.index));
}

#[test]
fn a_run_that_was_cut_off_is_undone_like_any_other() {
    // After the record and before the first deletion; between the deletions; with tags left on the placeholder.
    let untouched = world();
    untouched.fake.fault(Fault::on("DELETE", "sha256").answers(500).after(1));
    untouched.fake.fault(Fault::on("PUT", "alias").answers(500));
    let _ = untouched.tool.on(&untouched.fake, &REMOVE).exits(3);
    untouched.fake.no_more_faults();
    let _ = untouched.undo().exits(0);
    assert_eq!(untouched.now(), untouched.before);

    let world = world();
    world.fake.fault(Fault::on("DELETE", &world.old).answers(500));
    let _ = world.tool.on(&world.fake, &REMOVE).exits(3);
    world.fake.no_more_faults();
    let _ = world.undo().exits(0).says("Already there: 1 tag and 1 manifest");
    assert_eq!(world.now(), world.before);
}

#[test]
fn a_placeholder_is_nobodys_image_and_no_later_run_saves_it() {
    let world = world();
    // The deletion of the placeholder is the first after the harmless questions.
    world.fake.fault(Fault::on("DELETE", "manifests/sha256").answers(500).after(1));
    let _ = world.tool.on(&world.fake, &["rm", "--force", "app:alias"]).exits(3);
    let on_it = world.fake.change(|contents| contents.resolve("app", "alias"));
    assert_ne!(on_it.as_ref(), Some(&world.kept), "the tag is on the placeholder");
    world.fake.no_more_faults();
    let first = world.tool.records();

    let _ = world.undo().exits(0).says("Put back 1 tag and 0 manifests");
    assert_eq!(world.fake.change(|contents| contents.resolve("app", "alias")), Some(world.kept.clone()));

    world.fake.tag("app", "alias", &on_it.expect("a digest"));
    let _ = world.tool.on(&world.fake, &["rm", "--force", "app:old"]).exits(0);
    assert_eq!(world.fake.tags("app"), ["kept", "multi"]);
    let second = world.tool.records().pop().expect("a record");
    assert_ne!(first.last(), Some(&second));
    assert_eq!(second["repositories"][0]["tags"], json!({ "old": world.old }));
}

#[test]
fn what_fails_is_told_and_the_rest_comes_back() {
    let world = world().remove();
    world.fake.fault(Fault::on("PUT", "/manifests/old").answers(409));
    let answer =
        world.undo().exits(3).says("Put back 2 tags and 2 manifests").says("FAILED app:old").says("409");
    assert_eq!(answer.stdout.matches("FAILED").count(), 1, "{answer}");
    assert_eq!(world.status(), ["open"]);
    world.fake.no_more_faults();
    let _ = world.undo().exits(0).says("Put back 1 tag and 1 manifest");
    assert_eq!(world.now(), world.before);
}

#[test]
fn an_index_whose_part_fails_is_told_with_it() {
    let world = world().remove();
    world.fake.fault(Fault::on("PUT", &world.part).answers(500));
    let answer = world.undo().exits(3).says("Put back 2 tags and 1 manifest");
    let _ = answer.says("FAILED app:multi: a manifest that it names is not there");
}

#[test]
fn a_put_whose_answer_was_lost_is_looked_at_and_not_sent_again() {
    for fault in [
        Fault::on("PUT", "/manifests/old").cuts_after_the_effect(),
        Fault::on("PUT", "/manifests/old").effect(Effect::AnswerAfter(500)),
    ] {
        let world = world().remove();
        world.fake.fault(fault);
        let _ = world.undo().exits(0).says("Put back 3 tags and 3 manifests");
        assert_eq!(world.fake.asked("PUT", "/manifests/old").len(), 1);
        assert_eq!(world.now(), world.before);
    }
}

#[test]
fn a_registry_that_takes_it_and_does_not_have_it_is_told() {
    let world = world().remove();
    world.fake.fault(Fault::on("PUT", "/manifests/old").answers(201));
    let _ = world.undo().exits(3).says("FAILED app:old: the registry took it, and does not have it");
}

/// Another registry, or one that was emptied: the blobs are asked for before anything is put.
#[test]
fn what_somebody_else_collected_is_told_for_each() {
    let world = world().remove();
    world.fake.change(|contents| {
        let swept = ["old", "part"].map(|layer| digest_of(layer.as_bytes()));
        contents.repository("app").blobs.retain(|digest, _| !swept.contains(digest));
    });
    let answer = world.undo().exits(3).says("Put back 1 tag and 0 manifests");
    let _ = answer
        .says("FAILED app:old: its layers were collected")
        .says("FAILED app:multi: a manifest that it names is not there")
        .says("FAILED app@sha256");
}

#[test]
fn a_server_that_remembers_collected_blobs_is_not_believed() {
    let world = world().remove();
    // It serves their size, and cuts the content off.
    world.fake.fault(Fault::on("GET", "/blobs/"));
    let _ = world.undo().exits(3).says("FAILED app:old: a blob that it needs cannot be read");
    assert_eq!(world.fake.asked("PUT", "/manifests/old"), [""; 0]);
}

#[test]
fn a_registry_that_takes_nothing_is_told_with_its_reason() {
    let world = world().remove();
    world.fake.quirks(|quirks| quirks.deletion = Deletions::ReadOnly);
    let _ = world.undo().exits(3).says("Put back 0 tags and 0 manifests").says("405");
    assert_eq!(world.status(), ["open"]);
}

#[test]
fn what_the_record_does_not_hold_is_told() {
    let world = world().remove();
    // As the first records were: what only lost tags was not saved.
    world.change_record(|record| {
        let manifests = record["repositories"][0]["manifests"].as_array_mut().expect("manifests");
        manifests.retain(|manifest| manifest.get("stays").is_none());
        record.as_object_mut().expect("an object").remove("command");
    });
    let _ = world.undo().exits(3).says("FAILED app:alias: its manifest is not in the record");
}

#[test]
fn what_this_tool_collected_is_refused_without_asking_the_registry() {
    let world = world().remove();
    world.change_record(|record| {
        for manifest in record["repositories"][0]["manifests"].as_array_mut().expect("manifests") {
            manifest["collected"] = json!({ "at": "2026-11-22T03:00:00Z", "by": "gc" });
        }
    });
    let name = world.tool.run(&["undo", "--list", "--format", "json"]).exits(0).json();
    let name = name["runs"][0]["run"].as_str().expect("a name").to_owned();
    let answer = world.tool.run(&["undo", &name]).exits(4).says("is gone: collected by the run of");
    let _ = answer.says("docker registry gc").says("2026-11-22T03:00:00Z");
    assert_eq!(world.fake.requests(), [""; 0]);
    let _ = world.tool.run(&["undo", "--list"]).exits(0).says("collected");
    let _ = world.undo().exits(1).says("anything that can be put back");
}

#[test]
fn a_damaged_record_is_named_and_hinders_nothing_else() {
    for (text, why) in
        [("", "damaged"), ("{\"version\": 1, ", "damaged"), ("{\"version\": 99}", "newer version")]
    {
        let world = world().remove();
        let damaged = world.record().with_file_name("20991231T235959Z.json");
        fs::write(&damaged, text).expect("write the file");
        let path = damaged.display().to_string();
        for arguments in [&["undo"][..], &["undo", "2099"], &["undo", "--dry-run"]] {
            let _ = world.tool.run(arguments).exits(1).says(&path).says(why);
        }
        let listed = world.tool.run(&["undo", "--list"]).exits(1).says(&path);
        let _ = listed.says("can be put back");
        let _ = world.tool.on(&world.fake, &["prune", "--no-gc", "--force", "--keep", "1"]).exits(0);
        let _ = world.tool.on(&world.fake, &["rm", "--force", "app:kept"]).exits(0);
        assert!(damaged.exists());
    }
}

#[test]
fn without_records_there_is_nothing_to_undo() {
    let tool = Tool::new();
    let _ = tool.run(&["undo"]).exits(1).says("no run is recorded");
    let _ = tool.run(&["undo", "2026"]).exits(1).says("no run is recorded");
    let _ = tool.run(&["undo", "--list"]).exits(0).says("RUN");
    let _ = tool.run(&["undo", "--list", "2026"]).exits(2);
}

#[test]
fn no_secret_is_in_a_record_and_a_login_is_used_for_putting_back() {
    let world = world();
    let (username, password) = ("alice".to_owned(), "correct-horse-battery".to_owned());
    world.fake.quirks(|quirks| quirks.access = Access::Basic { username, password });
    let auth = "YWxpY2U6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5";
    let host = world.fake.host();
    let config = json!({ "auths": { host: { "auth": auth } } });
    let world = World { tool: Tool::new().config(&config), ..world }.remove();
    let text = fs::read_to_string(world.record()).expect("read the record");
    for secret in ["correct-horse", auth, "alice"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains(DOCKER_MANIFEST));
    let _ = world.undo().exits(0);
    assert_eq!(world.now(), world.before);
}
