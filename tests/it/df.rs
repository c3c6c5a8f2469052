//! Where the space is, as far as HTTP tells.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Fault;
use crate::run::{Asked as _, CREATED, Tool};

/// `base` is in all images; each has a layer of its own.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let layer = |text: &str, kilobytes: usize| text.repeat(kilobytes * 1000 / text.len());
    let base = layer("base", 40);
    for (repository, tag, kilobytes) in
        [("shop/api", "v1", 10), ("shop/api", "v2", 20), ("shop/web", "v1", 5), ("tools/lint", "v1", 1)]
    {
        let created = format!("2024-0{}-01T00:00:00Z", kilobytes % 9 + 1);
        fake.image(repository, tag, &created, &[&base, &layer(&format!("{repository}:{tag}"), kilobytes)]);
    }
    let newest = fake.change(|contents| contents.repository("shop/api").tags["v2"].clone());
    fake.tag("shop/api", "latest", &newest);
    fake
}

/// The bytes that the repository holds for `tags`, each content once.
fn held(fake: &FakeRegistry, repositories: &[&str], is_held: impl Fn(&str) -> bool) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for repository in repositories {
        fake.change(|contents| {
            let repository = contents.repository(repository);
            for (_, digest) in repository.tags.iter().filter(|(tag, _)| is_held(tag)) {
                let manifest = &repository.manifests[digest].bytes;
                let document: Value = serde_json::from_slice(manifest).expect("a manifest");
                let layers = document["layers"].as_array().into_iter().flatten();
                for blob in layers.chain([&document["config"]]) {
                    let digest = blob["digest"].as_str().expect("a digest");
                    if seen.insert(digest.to_owned()) {
                        bytes += repository.blobs[digest].len();
                    }
                }
                if seen.insert(digest.clone()) {
                    bytes += manifest.len();
                }
            }
        });
    }
    bytes as u64
}

fn of<'a>(document: &'a Value, repository: &str) -> &'a Value {
    let repositories = document["repositories"].as_array().expect("a list");
    repositories.iter().find(|of| of["repository"] == repository).expect("the repository")
}

#[test]
fn each_repository_and_tag_has_its_size_and_what_a_deletion_frees() {
    let fake = registry();
    let all = ["shop/api", "shop/web", "tools/lint"];
    let answer = Tool::new().on(&fake, &["df", "--format", "json"]).exits(0);
    let document = answer.json();
    assert_eq!((&document["version"], &document["command"]), (&json!(1), &json!("df")));
    let whole = held(&fake, &all, |_| true);
    assert_eq!(document["inUseBytes"], whole);
    assert_eq!(document["sharedBytes"], 40_000, "the layer that is in all of them");
    for repository in all {
        let others: Vec<&str> = all.into_iter().filter(|other| *other != repository).collect();
        let space = of(&document, repository);
        assert_eq!(space["sizeBytes"], held(&fake, &[repository], |_| true), "{repository}");
        assert_eq!(space["uniqueBytes"], whole - held(&fake, &others, |_| true), "{repository}");
    }
    let tag = |name: &str| {
        let tags = of(&document, "shop/api")["tags"].as_array().expect("a list");
        tags.iter().find(|tag| tag["tag"] == name).expect("the tag").clone()
    };
    let size = held(&fake, &["shop/api"], |tag| tag == "v1");
    assert_eq!((&tag("v1")["sizeBytes"], &tag("v1")["uniqueBytes"]), (&json!(size), &json!(size - 40_000)));
    assert_eq!(tag("latest")["uniqueBytes"], 0, "v2 needs all of it");
    assert_eq!(tag("v1")["created"], "2024-02-01T00:00:00Z");
    assert_eq!(document["onDisk"], Value::Null);
    let unknown = document["garbage"].as_array().expect("a list").iter().filter(|of| of["total"].is_null());
    assert_eq!(unknown.count(), 4, "{answer}");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn the_table_is_sorted_and_says_what_http_does_not_show() {
    let fake = registry();
    let first_words = |arguments: &[&str]| {
        let answer = Tool::new().on(&fake, arguments).exits(0);
        let rows = answer.stdout.lines().skip(1).take_while(|line| !line.is_empty());
        rows.map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(first_words(&["df"]), ["shop/api", "shop/web", "tools/lint"]);
    assert_eq!(first_words(&["df", "--sort", "name"]), ["shop/api", "shop/web", "tools/lint"]);
    assert_eq!(first_words(&["df", "--sort", "unique", "shop/*"]), ["shop/api", "shop/web"]);
    assert_eq!(
        first_words(&["df", "--sort", "unique", "-v"]),
        ["shop/api", "shop/web", "tools/lint", "shop/api", "shop/api"]
    );
    let _ = Tool::new()
        .on(&fake, &["df"])
        .exits(0)
        .says("shop/api 3 71.69kB 40kB 31.69kB")
        .says("Untagged manifests - - -")
        .says("Orphaned attachments 0 0B 0B")
        .says("of which 40kB are shared between repositories")
        .says("Reclaimable: 0B or more")
        .says("The registry's API does not show all garbage");
    let _ = Tool::new().on(&fake, &["df", "shop/web"]).exits(0).never_says("Untagged").never_says("shop/api");
    let host = fake.host();
    let _ = Tool::new().run(&["df", &host]).exits(0).says("Untagged manifests");
    let _ = Tool::new().run(&["df", "-v", &host]).exits(0).says("shop/api latest");
}

#[test]
fn what_others_share_is_known_for_a_part_of_the_registry_too() {
    let fake = registry();
    let document = Tool::new().on(&fake, &["df", "--format", "json", "shop/web:v*"]).exits(0).json();
    assert_eq!(document["repositories"].as_array().map(Vec::len), Some(1));
    assert_eq!(of(&document, "shop/web")["sharedBytes"], 40_000);
    // Where the registry does not list its repositories, those that are named are read.
    fake.fault(Fault::on("GET", "_catalog").answers(404));
    let answer = Tool::new().on(&fake, &["df", "--format", "json", "shop/web"]).exits(0);
    assert_eq!(of(&answer.json(), "shop/web")["sharedBytes"], 0);
    let _ = answer.says("does not list its repositories");
    let _ = Tool::new().on(&fake, &["df"]).exits(1);
}

#[test]
fn a_signature_of_what_is_gone_is_garbage_that_http_shows() {
    let fake = registry();
    let gone = "0".repeat(64);
    fake.image("shop/web", &format!("sha256-{gone}.sig"), CREATED, &["signature"]);
    let document = Tool::new().on(&fake, &["df", "--format", "json"]).exits(0).json();
    let orphans = &document["garbage"][0];
    assert_eq!((&orphans["kind"], &orphans["total"]), (&json!("orphaned-attachments"), &json!(1)));
    let freed = held(&fake, &["shop/web"], |tag| tag.starts_with("sha256-"));
    assert_eq!(orphans["reclaimableBytes"], freed);
    assert_eq!(document["reclaimableBytes"], freed);
}

#[test]
fn what_could_not_be_read_is_told_and_makes_the_rest_uncertain() {
    let fake = registry();
    fake.fault(Fault::on("GET", "/v2/shop/web/manifests/v1").answers(403));
    let answer = Tool::new().on(&fake, &["df"]).exits(1);
    let _ = answer.says("`shop/web:v1` could not be read").says("not certain").says("tools/lint 1 4");
    let fake = registry();
    fake.change(|contents| {
        let digest = contents.repository("shop/web").tags["v1"].clone();
        contents.lose_manifest("shop/web", &digest);
    });
    let _ = Tool::new().on(&fake, &["df"]).exits(0).says("shop/web 1 0B 0B 0B");
}

#[test]
fn the_page_takes_the_place_of_what_was_there_and_holds_everything() {
    let fake = registry();
    let tool = Tool::new().file("df.html", "an older page");
    let answer = tool.on(&fake, &["df", "--html", "df.html"]).exits(0);
    assert_eq!(answer.stdout, "");
    let page = fs::read_to_string(tool.path("df.html")).expect("the page");
    assert!(page.starts_with("<!doctype html>") && page.contains("shop/api"), "{page}");
    assert!(!page.contains("@data@") && !page.contains("@policy@"));
    let names =
        fs::read_dir(tool.path("")).expect("the home").map(|entry| entry.expect("an entry").file_name());
    assert!(
        !names.into_iter().any(|name| name.to_string_lossy().starts_with(".df.html")),
        "nothing is left beside it"
    );
    let answer = tool.on(&fake, &["df", "--html", "missing/df.html"]).exits(1);
    let _ = answer.says("missing/df.html");
    let _ = tool.on(&fake, &["df", "--html", "df.html", "shop/api"]).exits(2).says("whole registry");
    let _ = tool.on(&fake, &["df", "--html", "df.html", "--format", "json"]).exits(2);
}
