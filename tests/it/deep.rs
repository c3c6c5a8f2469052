//! `verify --deep` against a registry whose store nobody can reach: every content is downloaded and hashed.

use serde_json::json;

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Fault;
use crate::run::{Asked as _, CREATED, Tool};

/// Two repositories that share a layer.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.image("app", "1", CREATED, &["shared", "one"]);
    fake.image("app", "2", CREATED, &["two"]);
    fake.image("team/api", "1", CREATED, &["shared", "api"]);
    fake
}

/// Gives a layer another content in all repositories that have it; its digest.
fn replace(fake: &FakeRegistry, layer: &str, content: &[u8]) -> String {
    fake.change(|contents| {
        let digest = contents.blob("app", layer.as_bytes());
        for repository in ["app", "team/api"] {
            if let Some(blob) = contents.repository(repository).blobs.get_mut(&digest) {
                *blob = content.to_vec();
            }
        }
        digest
    })
}

#[test]
fn whole_contents_are_whole_and_each_is_downloaded_once() {
    let fake = registry();
    Tool::new()
        .on(&fake, &["verify", "--deep"])
        .exits(0)
        .says("Downloaded and hashed 7 blobs")
        .says("are whole")
        .never_says("DAMAGED");
    assert_eq!(fake.asked("GET", "/blobs/").len(), 7);
    fake.forget_requests();
    let answer = Tool::new().on(&fake, &["verify", "--deep", "--format", "json", "team/*"]).exits(0);
    let hashed = answer.json()["verification"]["hashed"].clone();
    assert_eq!((&hashed["inStore"], &hashed["downloaded"]["blobs"]), (&json!(null), &json!(3)), "{answer}");
    assert_eq!(fake.asked("GET", "/v2/team/api/blobs/").len(), 3);
    assert_eq!(fake.asked("GET", "/v2/app/").len(), 0);
}

#[test]
fn a_corrupted_blob_is_found_by_deep_alone_and_whom_it_harms_is_said() {
    let fake = registry();
    let digest = replace(&fake, "shared", b"shaped");
    let answer = Tool::new().on(&fake, &["verify", "--format", "json"]).exits(0);
    assert_eq!(answer.json()["verification"]["hashed"], json!(null), "{answer}");
    assert_eq!(fake.asked("GET", "/blobs/").len(), 0);
    Tool::new()
        .on(&fake, &["verify", "--deep"])
        .exits(5)
        .says(&format!("DAMAGED `app`: the content of blob {digest} hashes to sha256:"))
        .says("harms app:1 mend")
        .says(&format!("DAMAGED `team/api`: the content of blob {digest} hashes to sha256:"))
        .says("harms team/api:1 mend")
        .says("then push the image again")
        .says("2 problems found");
    Tool::new().on(&fake, &["verify", "--deep", "app:2"]).exits(0).says("hashed 2 blobs");
}

#[test]
fn a_content_that_is_cut_refused_or_without_end_is_a_problem_of_its_blob_alone() {
    let fake = registry();
    let digest = fake.change(|contents| contents.blob("app", b"two"));
    let path = format!("/v2/app/blobs/{digest}");
    for status in [404, 500] {
        fake.fault(Fault::on("GET", &path).answers(status));
        Tool::new()
            .on(&fake, &["verify", "--deep"])
            .exits(5)
            .says(&format!("the content of blob {digest} "))
            .says("harms app:2 mend")
            .says("1 problem found");
        fake.no_more_faults();
    }
    // The size is asked for before.
    let cut = digest.clone();
    fake.when("GET", &path, move |contents| {
        contents.repository("app").blobs.insert(cut, b"tw".to_vec());
    });
    Tool::new()
        .on(&fake, &["verify", "--deep"])
        .exits(5)
        .says(&format!("the content of blob {digest} has 2 bytes where its manifest says 3"));
    fake.change(|contents| contents.blob("app", b"two"));
    let longer = digest.clone();
    fake.when("GET", &path, move |contents| {
        contents.repository("app").blobs.insert(longer, b"two and more".to_vec());
    });
    Tool::new().on(&fake, &["verify", "--deep"]).exits(5).says("is longer than the 3 bytes");
}

#[test]
fn what_is_missing_or_of_the_wrong_size_is_told_once() {
    let fake = registry();
    let digest = replace(&fake, "two", b"t");
    let answer = Tool::new().on(&fake, &["verify", "--deep"]).exits(5);
    let answer = answer.says(&format!("blob {digest} has 1 bytes")).says("hashed 6 blobs");
    assert_eq!(answer.stdout.matches("DAMAGED").count(), 1, "{answer}");
    assert_eq!(fake.asked("GET", &digest).len(), 0);
}
