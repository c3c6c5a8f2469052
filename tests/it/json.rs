//! The document for programs: one on stdout whatever happens, talk on stderr, with the numbers that people are told.

use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Fault;
use crate::run::{Answer, CREATED, PROBE, Tool};

/// Two registries are filled alike.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for (repository, months) in [("app", 6), ("team/api", 3)] {
        for month in 1..=months {
            let created = format!("2024-0{month}-01T00:00:00Z");
            let layer = format!("{repository} {month} {}", "x".repeat(5000));
            fake.image(repository, &format!("v{month}"), &created, &["base", &layer]);
        }
    }
    let oldest = fake.change(|contents| contents.repository("app").tags["v1"].clone());
    fake.tag("app", "stable", &oldest);
    fake
}

fn prune(fake: &FakeRegistry, more: &[&str]) -> Answer {
    let prune = ["prune", "--no-gc", "--force", "--keep", "2", "--exclude", ":stable"];
    Tool::new().on(fake, &[&prune[..], more].concat())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_document_of_a_run_has_the_numbers_of_the_text() {
    let document = prune(&registry(), &["--format", "json"]).exits(0);
    let text = prune(&registry(), &[]).exits(0);
    let talk = "WARNING: the engine cannot be reached: what its containers use is not protected.\n";
    assert_eq!(document.stderr, talk, "{document}");
    let run = document.json();
    assert_eq!(run["version"], 1);
    assert_eq!(run["command"], "prune");
    assert_eq!(run["exitCode"], 0);
    assert!(run["run"].is_string(), "{document}");
    assert_eq!(run["collection"], json!({ "state": "not-asked" }));
    let plan = &run["plan"];
    let freed = number(&plan["reclaimableBytes"]);
    assert!((10_000..100_000).contains(&freed), "{freed}");
    #[expect(clippy::cast_precision_loss, reason = "as it is shown")]
    let shown = format!("{:.2}", freed as f64 / 1000.0);
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    let text = text.says(&format!(
        "Total: {} tags and {} manifests to remove, {} tags kept; up to {shown}kB to reclaim",
        plan["removeTags"], plan["removeManifests"], plan["keepTags"]
    ));
    let outcome = &run["outcome"];
    let _ = text.says(&format!(
        "Deleted {} tags and {} manifests",
        outcome["deletedTags"], outcome["deletedManifests"]
    ));
    assert_eq!((number(&plan["removeTags"]), number(&plan["removeManifests"])), (5, 4));
    assert_eq!((number(&outcome["deletedTags"]), number(&outcome["deletedManifests"])), (5, 4));
    assert_eq!(run["reclaimedBytes"], 0, "nothing was collected");
}

#[test]
fn each_step_has_its_fate_in_the_document() {
    let fake = registry();
    let tag = |tag: &str| fake.change(|contents| contents.repository("app").tags[tag].clone());
    let (failing, rescued) = (tag("v2"), tag("v3"));
    fake.fault(Fault::on("DELETE", &failing).answers(500));
    let moved = rescued.clone();
    fake.when("DELETE", PROBE, move |contents| contents.tag("app", "rescued", &moved));
    let answer = prune(&fake, &["--format", "json"]).exits(3);
    let run = answer.json();
    assert_eq!(run["exitCode"], 3, "{answer}");
    let app = &run["outcome"]["repositories"][0];
    let became = |list: &str, key: &str, name: &str| {
        let list = app[list].as_array().unwrap_or_else(|| panic!("{app}"));
        let entry =
            list.iter().find(|entry| entry[key] == name).unwrap_or_else(|| panic!("no {name}: {app}"));
        entry["fate"].as_str().expect("a fate").to_owned()
    };
    assert_eq!(became("tags", "tag", "v1"), "done");
    assert_eq!(became("tags", "tag", "v2"), "failed");
    assert_eq!(became("tags", "tag", "v3"), "skipped");
    assert_eq!(became("tags", "tag", "v4"), "done");
    assert_eq!(became("manifests", "digest", &failing), "failed");
    assert_eq!(became("manifests", "digest", &rescued), "skipped");
}

#[test]
fn nothing_to_do_is_a_document_too() {
    let fake = registry();
    let _ = prune(&fake, &[]).exits(0);
    let answer = prune(&fake, &["--format", "json"]).exits(0);
    let run = answer.json();
    assert_eq!((&run["plan"]["removeTags"], &run["outcome"]), (&json!(0), &Value::Null), "{answer}");
}

#[test]
fn an_error_leaves_stdout_empty() {
    let fake = registry();
    for (arguments, code) in [
        (&["rm", "--force", "--format", "json", "app:nope"][..], 1),
        (&["rm", "--format", "json", "app:v1"], 4),
        (&["prune", "--format", "json", "--keep", "-1"], 2),
    ] {
        let answer = Tool::new().on(&fake, arguments).exits(code);
        assert_eq!(answer.stdout, "", "{answer}");
        assert!(answer.stderr.contains("error: "), "{answer}");
    }
}

#[test]
fn ls_and_verify_are_documents_with_everything_in_them() {
    let fake = registry();
    let listing = Tool::new().on(&fake, &["ls", "--format", "json", "app"]).exits(0);
    let document = listing.json();
    assert_eq!((&document["version"], &document["command"]), (&json!(1), &json!("ls")));
    let tags = document["tags"].as_array().expect("tags");
    assert_eq!(tags.len(), 7, "{listing}");
    let v6 = tags.iter().find(|tag| tag["tag"] == "v6").expect("v6");
    let digest = fake.change(|contents| contents.repository("app").tags["v6"].clone());
    assert_eq!(v6["digest"], json!(digest));
    assert_eq!(v6["platforms"], json!(["linux/amd64"]));
    assert!(v6["created"].to_string().contains("2024-06-01T00:00:00Z"), "{v6}");
    assert!(number(&v6["size"]) > 5000);

    let verified = Tool::new().on(&fake, &["verify", "--format", "json"]).exits(0);
    let document = verified.json();
    assert_eq!(document["verification"]["tags"], 10, "{verified}");
    assert_eq!(document["verification"]["problems"], json!([]), "{verified}");
}

#[test]
fn ls_is_a_table_as_docker_prints_it_or_plain_references() {
    let fake = registry();
    let _ = fake.image("zeta", "latest", CREATED, &["zeta"]);
    let answer = Tool::new().on(&fake, &["ls", "zeta"]).exits(0);
    let lines: Vec<Vec<&str>> = answer.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{answer}");
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "DIGEST", "PLATFORM", "CREATED", "SIZE"], "{answer}");
    assert_eq!((lines[1][0], lines[1][1], lines[1][3]), ("zeta", "latest", "linux/amd64"), "{answer}");
    let quiet = Tool::new().on(&fake, &["ls", "--quiet", "zeta"]).exits(0);
    assert_eq!(quiet.stdout, format!("{}/zeta:latest\n", fake.host()));
}
