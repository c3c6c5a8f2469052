//! One tag leaves a digest that others share: by its name where the registry can do that, else by a placeholder.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Version;
use crate::run::{Asked as _, CREATED, PROBE, Tool};

const TAGS: [&str; 4] = ["v1", "v2", "v3", "stable"];

fn shared(version: Version) -> (FakeRegistry, String) {
    let fake = FakeRegistry::spawn();
    fake.quirks(|quirks| quirks.version = version);
    let digest = fake.image("app", TAGS[0], CREATED, &["shared"]);
    TAGS[1..].iter().for_each(|tag| fake.tag("app", tag, &digest));
    (fake, digest)
}

#[test]
fn three_deletes_one_tag_by_its_name() {
    let (fake, digest) = shared(Version::Three);
    Tool::new().on(&fake, &["rm", "--force", "app:v1"]).exits(0).says("Deleted 1 tag and 0 manifests");
    assert_eq!(fake.changes(), ["DELETE /v2/app/manifests/v1"]);
    assert_eq!(fake.tags("app"), ["stable", "v2", "v3"]);
    assert!(fake.has_manifest("app", &digest));
}

#[test]
fn two_puts_each_tag_on_one_placeholder_and_deletes_that() {
    let (fake, digest) = shared(Version::Two);
    let answer = Tool::new().on(&fake, &["rm", "--force", "app:v1", "app:v2", "app:v3"]);
    answer.exits(0).says("Deleted 3 tags and 0 manifests");
    assert_eq!(fake.asked("PUT", "").len(), 3);
    let changes = fake.changes();
    assert_eq!(changes.len(), 4, "{changes:#?}");
    let last = changes.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with("DELETE /v2/app/manifests/sha256:") && !last.ends_with(&digest), "{changes:#?}");
    assert_eq!(fake.tags("app"), ["stable"]);
    let left =
        fake.change(|contents| contents.repository("app").manifests.keys().cloned().collect::<Vec<_>>());
    assert_eq!(left, [digest]);
}

#[test]
fn all_tags_of_a_digest_go_with_one_deletion() {
    for version in [Version::Two, Version::Three] {
        let (fake, digest) = shared(version);
        let answer = Tool::new().on(&fake, &["rm", "--force", "app:v1", "app:v2", "app:v3", "app:stable"]);
        answer.exits(0).says("Deleted 4 tags and 1 manifest");
        assert_eq!(fake.changes(), [format!("DELETE /v2/app/manifests/{digest}")]);
    }
}

#[test]
fn how_tags_leave_is_asked_only_where_it_matters() {
    let (fake, _) = shared(Version::Three);
    fake.image("app", "alone", CREATED, &["alone"]);
    Tool::new().on(&fake, &["rm", "--force", "app:alone"]).exits(0);
    assert_eq!(fake.asked("DELETE", PROBE).len(), 1);
    assert_eq!(fake.asked("DELETE", "docker-registry-prune-asks"), [""; 0]);
}

#[test]
fn the_parts_of_a_removed_index_go_after_it_unless_something_kept_needs_them() {
    let fake = FakeRegistry::spawn();
    let amd64 = fake.untagged_image("app", "linux/amd64", &["amd64"]);
    let arm64 = fake.untagged_image("app", "linux/arm64", &["arm64"]);
    let index = fake.index("app", "multi", &[&amd64, &arm64]);
    fake.tag("app", "arm-only", &arm64);
    Tool::new().on(&fake, &["rm", "--force", "app:multi"]).exits(0).says("Deleted 1 tag and 2 manifests");
    assert_eq!(fake.changes(), [index, amd64].map(|digest| format!("DELETE /v2/app/manifests/{digest}")));
    assert!(fake.has_manifest("app", &arm64));
    assert_eq!(fake.tags("app"), ["arm-only"]);
}
