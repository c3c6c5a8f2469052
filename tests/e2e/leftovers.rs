//! What the collector leaves behind: repositories without images, links to nothing, unfinished uploads, empty folders.
//! It goes with a collection; what is in use or not known stays.

use reqwest::{Method, StatusCode};

use crate::support::answer::Answer;
use crate::support::content::{Content, Image, Recipe, layer};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

fn gc(registry: &Registry, more: &[&str]) -> Answer {
    let gc = ["gc", "--force", "--registry", &registry.address];
    Tool::standalone().run(&[&gc[..], more].concat())
}

fn image(seed: &str) -> Image {
    Recipe::new(&format!("leftovers {seed}")).build()
}

fn catalog(registry: &Registry) -> Vec<String> {
    let catalog: serde_json::Value =
        serde_json::from_slice(&registry.client.get("/v2/_catalog").body).expect("a catalog");
    catalog["repositories"]
        .as_array()
        .expect("repositories")
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

fn paths(registry: &Registry) -> Vec<String> {
    registry.shell(&format!("find {STORE} | sort")).lines().map(ToOwned::to_owned).collect()
}

/// A session that was begun by a real client, and the path of its folder.
fn begin_upload(registry: &Registry, repository: &str) -> (String, String) {
    let begun = registry
        .client
        .send(&Method::POST, &format!("/v2/{repository}/blobs/uploads/"), None)
        .expect("begin an upload");
    let location = begun.headers["location"].to_str().expect("a location").to_owned();
    let id = begun.headers["docker-upload-uuid"].to_str().expect("an id");
    (location, format!("{STORE}/repositories/{repository}/_uploads/{id}"))
}

fn age(registry: &Registry, path: &str, hours: u32) {
    registry.shell(&format!(
        "then=$(($(date +%s) - {hours} * 3600)); find {path} -exec touch -h -d @$then {{}} +"
    ));
}

#[test]
fn after_a_run_the_store_is_as_if_only_what_is_kept_had_ever_been_pushed() {
    if left_out() {
        return;
    }
    let (kept, inner) = (image("kept"), image("inner"));
    let fill = |registry: &Registry| {
        registry.client.push("app", &["1"], &kept);
        registry.client.push("team/app/inner", &["1"], &inner);
    };
    let (registry, measure) = (Registry::start(), Registry::start());
    fill(&registry);
    fill(&measure);
    for number in 0..5 {
        registry.client.push("app", &[&format!("old-{number}")], &image(&format!("old {number}")));
        registry.client.push("team/app", &[&format!("old-{number}")], &image(&format!("old {number}")));
    }
    let shared = Recipe::new("leftovers shared").layer(&kept.layers[0]).build();
    registry.client.push("team/other", &["1"], &shared);
    let moved = image("moved");
    registry.client.push("app", &["1"], &moved);
    registry.client.push("app", &["1"], &kept);
    registry.client.delete("app", &moved.manifest.digest);
    registry.client.push("app", &["1"], &kept);

    // More than fits on one command line.
    registry.shell(&format!(
        "cd {STORE}/repositories/app/_layers/sha256; i=1; while [ $i -le 2000 ]; do printf '%064x\\n' $i; i=$((i+1)); done > /tmp/names; \
         while read h; do mkdir $h; : > $h/link; done < /tmp/names"
    ));

    let run = ["rm", "--gc", "--force", "--format", "json"];
    let removed = ["app:old-0", "app:old-1", "app:old-2", "app:old-3", "app:old-4", "team/app", "team/other"]
        .map(|rest| registry.reference(rest));
    let words: Vec<&str> = run.into_iter().chain(removed.iter().map(String::as_str)).collect();
    let leftovers = Tool::standalone().run(&words).success().json()["collection"]["leftovers"].clone();
    assert_eq!(leftovers["repositories"], 2, "{leftovers}");
    assert_eq!(leftovers["uploads"], 0, "{leftovers}");
    assert!(leftovers["links"].as_u64().unwrap() >= 2020, "{leftovers}");
    assert_eq!(leftovers["left"], serde_json::json!([]), "{leftovers}");

    assert_eq!(paths(&registry), paths(&measure));
    assert_eq!(catalog(&registry), ["app", "team/app/inner"]);
    registry.assert_pulls("app", ["1"]);
    registry.assert_pulls("team/app/inner", ["1"]);

    let started = registry.started_at();
    gc(&registry, &[]).success().says("no garbage");
    assert_eq!(registry.started_at(), started, "a second run finds nothing to do");

    // The server may not believe that it still has any of it.
    registry.client.push("team/app", &["1"], &image("old 0"));
    registry.client.push("team/other", &["1"], &shared);
    registry.assert_pulls("team/app", ["1"]);
    registry.assert_pulls("team/other", ["1"]);
    assert_eq!(catalog(&registry).len(), 4);
}

#[test]
fn a_collection_for_leftovers_alone_stops_the_registry_once() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &image("alone kept"));
    registry.client.leave_garbage("gone", "leftovers alone");
    registry.collect_by_hand();
    assert_eq!(registry.blob_count(), 3);
    assert_eq!(catalog(&registry), ["app", "gone"]);

    gc(&registry, &["--dry-run"]).success().says("Repositories without images that would go: 1;");
    assert_eq!(catalog(&registry), ["app", "gone"]);
    gc(&registry, &[]).success().says("Removed what a collection leaves: 1 empty repository");
    assert_eq!(catalog(&registry), ["app"]);
    registry.assert_pulls("app", ["1"]);

    // Folders alone are not worth a stop.
    registry.shell(&format!("mkdir -p {STORE}/blobs/sha256/00 {STORE}/repositories/empty/folder"));
    let started = registry.started_at();
    gc(&registry, &[]).success().says("no garbage");
    assert_eq!(registry.started_at(), started);

    // Nor does a registry without any repository trouble the collector.
    Tool::standalone().run(&["rm", "--gc", "--force", &registry.reference("app")]).success();
    assert_eq!(
        paths(&registry),
        [
            STORE,
            &format!("{STORE}/blobs"),
            &format!("{STORE}/blobs/sha256"),
            &format!("{STORE}/repositories")
        ]
    );
    gc(&registry, &[]).success();
    registry.client.push("app", &["1"], &image("alone kept"));
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn an_old_upload_goes_and_a_young_one_can_be_ended() {
    if left_out() {
        return;
    }
    let registry = Options::default().env("REGISTRY_HTTP_SECRET", "of this test").start();
    registry.client.push("app", &["1"], &image("uploads"));
    let (_, old) = begin_upload(&registry, "app");
    registry.shell(&format!("head -c 3000000 /dev/zero > {old}/data"));
    age(&registry, &old, 25);
    let (location, young) = begin_upload(&registry, "other");
    age(&registry, &young, 23);

    let collection = gc(&registry, &["--format", "json"]).success().json()["collection"].clone();
    assert_eq!(collection["leftovers"]["uploads"], 1, "{collection}");
    assert!(collection["leftovers"]["bytes"].as_u64().unwrap() >= 3_000_000, "{collection}");
    assert!(!registry.shell(&format!("ls {STORE}/repositories/app/_uploads")).contains('-'));
    let blob: Content = layer("ended later", 5000);
    let ended = registry.client.send(
        &Method::PUT,
        &format!("{location}&digest={}", blob.digest),
        Some(&Content { media_type: "application/octet-stream", ..blob.clone() }),
    );
    assert_eq!(ended.unwrap().status, StatusCode::CREATED);

    // It left a layer that no image has; the age is the user's to say.
    let (_, young) = begin_upload(&registry, "app");
    age(&registry, &young, 2);
    gc(&registry, &["--uploads-older-than", "1h"]).success().says("1 unfinished upload");
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn what_is_not_known_stays_and_no_link_is_followed() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &image("odd"));
    registry.client.leave_garbage("gone", "odd linked");
    registry.client.leave_garbage("noted", "odd noted");
    let precious = "/var/lib/registry/precious/_uploads/00000000-0000-4000-8000-000000000000";
    let (gone, noted) = (format!("{STORE}/repositories/gone"), format!("{STORE}/repositories/noted"));
    registry.shell(&format!(
        "mkdir -p {precious} && touch {precious}/startedat {precious}/data && \
         ln -s {precious} {gone}/_layers/sha256/elsewhere && ln -s {precious} {gone}/_uploads/ && \
         ln -s /var/lib/registry/precious {STORE}/repositories/app/linked && touch {noted}/notes"
    ));
    age(&registry, &gone, 100);
    age(&registry, "/var/lib/registry/precious", 100);
    let answer = gc(&registry, &["--verbose"]).success();
    let session = "gone/_uploads/00000000-0000-4000-8000-000000000000";
    for odd in ["gone/_layers/sha256/elsewhere", session, "app/linked", "noted/notes"] {
        assert!(answer.mentions(&format!("Left in the store: repositories/{odd}")), "{odd}\n{answer}");
    }
    assert_eq!(registry.shell(&format!("ls {precious}")), "data\nstartedat");
    assert_eq!(catalog(&registry), ["app", "gone", "noted"]);
    registry.shell(&format!(
        "test -e {noted}/notes && test -h {STORE}/repositories/{session} && test -d {noted}/_manifests"
    ));
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn an_image_without_tools_gets_its_collection_only() {
    if left_out() {
        return;
    }
    let registry = Options::default().without_a_shell().start();
    registry.client.push("app", &["1"], &image("no tools"));
    registry.client.leave_garbage("gone", "no tools");
    docker_says(["exec", &registry.name, "rm", "/bin/sh"]);
    gc(&registry, &["--verbose"])
        .success()
        .says("3 blobs removed")
        .says("there are no tools in the registry's image");
    assert_eq!(catalog(&registry), ["app", "gone"]);
    registry.assert_pulls("app", ["1"]);
}
