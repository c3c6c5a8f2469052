//! What could not be read is kept, with everything it may refer to, and that is said.

use serde_json::json;

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::OCI_MANIFEST;
use crate::fake_registry::quirks::{Fault, Version};
use crate::run::{Answer, Asked as _, CREATED, Tool};

const OLD: &str = "2023-05-01T00:00:00Z";
const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Two repositories, `good` and `odd`, each with an old tag and a new one.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for repository in ["good", "odd"] {
        fake.image(repository, "old", OLD, &["base", repository, "old"]);
        fake.image(repository, "new", CREATED, &["base", repository, "new"]);
    }
    fake
}

fn prune(fake: &FakeRegistry) -> Answer {
    Tool::new().on(fake, &["prune", "--no-gc", "--force", "--keep", "1"])
}

#[track_caller]
fn only_the_good_one_is_pruned(fake: &FakeRegistry, odd: &[&str]) {
    assert_eq!(fake.tags("good"), ["new"]);
    assert_eq!(fake.tags("odd"), odd);
    assert!(fake.changes().iter().all(|line| line.contains("/v2/good/")), "{:#?}", fake.changes());
}

/// `odd:lost` is listed and has no manifest.
fn with_a_dangling_tag() -> FakeRegistry {
    let fake = registry();
    let lost = fake.image("odd", "lost", CREATED, &["lost"]);
    fake.change(|contents| contents.lose_manifest("odd", &lost));
    fake
}

#[test]
fn a_repository_that_cannot_be_listed_is_left_alone() {
    let fake = registry();
    fake.fault(Fault::on("GET", "/v2/odd/tags/list").answers(500));
    prune(&fake).exits(0).says("odd: left alone, it could not be listed").says("500").says("Deleted 1 tag");
    only_the_good_one_is_pruned(&fake, &["new", "old"]);
}

#[test]
fn a_404_that_is_not_the_registrys_own_is_no_empty_repository() {
    let fake = registry();
    fake.fault(Fault::on("GET", "/v2/odd/tags/list").answers(404));
    prune(&fake).exits(0).says("odd: left alone, it could not be listed");
    only_the_good_one_is_pruned(&fake, &["new", "old"]);
}

#[test]
fn a_repository_with_a_tag_that_cannot_be_read_is_left_alone() {
    for path in ["/v2/odd/manifests/new", "/v2/odd/manifests/old"] {
        let fake = registry();
        fake.fault(Fault::on("GET", path).answers(500));
        let answer = prune(&fake).exits(0).says("Deleted 1 tag");
        let _ = answer.says("odd: left alone, not everything could be read: tag `").says("500");
        only_the_good_one_is_pruned(&fake, &["new", "old"]);
    }
}

#[test]
fn rm_refuses_beside_a_tag_that_cannot_be_read() {
    let fake = registry();
    fake.fault(Fault::on("GET", "/v2/odd/manifests/new").answers(500));
    Tool::new().on(&fake, &["rm", "--force", "odd:old", "good:old"]).exits(4).says("tag `new`").says("500");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn an_image_whose_config_cannot_be_read_has_no_date_and_is_kept() {
    let fake = registry();
    fake.fault(Fault::on("GET", "/v2/odd/blobs/").answers(500));
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--force", "--keep", "1", "-v"])
        .exits(0)
        .says("no usable date: its config could not be read");
    only_the_good_one_is_pruned(&fake, &["new", "old"]);
}

#[test]
fn prune_leaves_a_repository_with_a_dangling_tag_alone() {
    let fake = with_a_dangling_tag();
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--force", "--keep", "1", "-v"])
        .exits(0)
        .says("tag `lost` is listed, but the registry has no manifest for it");
    only_the_good_one_is_pruned(&fake, &["lost", "new", "old"]);
}

#[test]
fn ls_and_verify_tell_of_a_dangling_tag_with_the_mend() {
    let fake = with_a_dangling_tag();
    let mend = format!("docker registry rm {}/odd:lost", fake.host());
    let tool = Tool::new();
    tool.on(&fake, &["ls"]).exits(1).says("<no manifest>").says(&mend);
    tool.on(&fake, &["verify"]).exits(5).says("DAMAGED `odd:lost`: it is listed").says(&mend);
    let answer = tool.on(&fake, &["verify", "--format", "json"]).exits(5);
    assert_eq!(answer.json()["exitCode"], 5, "{answer}");
    tool.on(&fake, &["verify", "good"]).exits(0).says("Verified: 2 tags, 2 manifests and 6 blobs are whole");
    assert!(fake.requests().iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")));
}

#[test]
fn rm_takes_a_dangling_tag_away() {
    for version in [Version::Two, Version::Three] {
        let fake = with_a_dangling_tag();
        fake.quirks(|quirks| quirks.version = version);
        Tool::new().on(&fake, &["rm", "--force", "odd:lost"]).exits(0).says("Deleted 1 tag and 0 manifests");
        assert_eq!(fake.tags("odd"), ["new", "old"]);
        assert_eq!(fake.change(|contents| contents.repository("odd").manifests.len()), 2);
        Tool::new().on(&fake, &["verify"]).exits(0).says("are whole");
    }
}

#[test]
fn verify_tells_of_a_missing_blob_and_whom_it_harms() {
    let fake = registry();
    let layer = fake.change(|contents| contents.blob("odd", b"base"));
    fake.change(|contents| contents.repository("odd").blobs.remove(&layer));
    Tool::new()
        .on(&fake, &["verify"])
        .exits(5)
        .says(&format!("DAMAGED `odd`: blob {layer} is missing"))
        .says("harms odd:new, odd:old")
        .says("mend: push the image again")
        .never_says("`good`");
}

#[test]
fn a_manifest_of_an_unknown_type_is_kept_with_its_repository() {
    let fake = registry();
    fake.quirks(|quirks| quirks.serves_any_type = true);
    fake.change(|contents| {
        let body = json!({ "schemaVersion": 2, "mediaType": "application/vnd.future+json", "what": "ever" });
        let digest = contents.manifest_of("odd", "application/vnd.future+json", body.to_string().as_bytes());
        contents.tag("odd", "future", &digest);
    });
    prune(&fake).exits(0);
    only_the_good_one_is_pruned(&fake, &["future", "new", "old"]);
    Tool::new().on(&fake, &["rm", "--force", "odd:old"]).exits(4).says("application/vnd.future+json");
    Tool::new().on(&fake, &["ls"]).exits(1).says("<unreadable>");
    only_the_good_one_is_pruned(&fake, &["future", "new", "old"]);
}

#[test]
fn the_first_manifest_format_is_kept_and_not_removed_on_request() {
    let fake = registry();
    fake.change(|contents| {
        let body = json!({ "schemaVersion": 1, "name": "odd", "tag": "ancient", "fsLayers": [] });
        let digest = contents.manifest_of("odd", SCHEMA1, body.to_string().as_bytes());
        contents.tag("odd", "ancient", &digest);
    });
    for reference in ["odd:ancient", "odd"] {
        Tool::new().on(&fake, &["rm", "--force", reference]).exits(4).says("first manifest format");
    }
    assert_eq!(fake.changes(), [""; 0]);
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--force", "--keep", "1", "-v"])
        .exits(0)
        .says("in Docker's first manifest format, which is always kept");
    assert_eq!(fake.tags("odd"), ["ancient", "new"]);
    assert_eq!(fake.tags("good"), ["new"]);
}

#[test]
fn the_first_manifest_format_stays_when_it_is_part_of_a_removed_index_or_named_by_its_digest() {
    let fake = registry();
    let part = fake.change(|contents| {
        let body = json!({ "schemaVersion": 1, "name": "odd", "tag": "ancient", "fsLayers": [] });
        contents.manifest_of("odd", SCHEMA1, body.to_string().as_bytes())
    });
    let index = fake.index("odd", "multi", &[&part]);
    Tool::new().on(&fake, &["rm", "--force", "odd:multi"]).exits(0).says("Deleted 1 tag and 1 manifest");
    assert_eq!(fake.changes(), [format!("DELETE /v2/odd/manifests/{index}")]);
    let reference = format!("odd@{part}");
    Tool::new().on(&fake, &["rm", "--force", &reference]).exits(4).says("first manifest format");
    assert!(fake.has_manifest("odd", &part));
}

#[test]
fn a_manifest_that_does_not_fit_its_digest_is_kept() {
    let fake = registry();
    fake.quirks(|quirks| quirks.wrong_digest = Some(format!("sha256:{}", "1".repeat(64))));
    prune(&fake).exits(0).says("No tags to remove");
    Tool::new().on(&fake, &["rm", "--force", "good:old"]).exits(4).says("does not fit the content");
    Tool::new().on(&fake, &["ls"]).exits(1).says("does not fit the content");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn an_artifact_has_no_date_and_is_kept() {
    let fake = registry();
    fake.change(|contents| {
        let config = contents.blob("odd", b"{}");
        let body = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config, "size": 2 },
            "layers": [],
        });
        let digest = contents.manifest_of("odd", OCI_MANIFEST, body.to_string().as_bytes());
        contents.tag("odd", "chart", &digest);
    });
    prune(&fake).exits(0);
    assert_eq!(fake.tags("odd"), ["chart", "new"]);
}
