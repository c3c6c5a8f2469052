//! What the job costs in requests: one repository with 200 tags `v1.0.N`, each with an image of its own, and `alias-1`
//! to `alias-5` on the digests of the oldest five; the newest 20 `v1.*` are kept, and every alias.

use std::collections::BTreeMap;

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::Version;
use crate::run::{Asked as _, PROBE, Tool};

const JOB: [&str; 8] = ["prune", "--no-gc", "--force", "--keep", "20", "--max-delete", "100%", "app:v1.*"];

fn registry() -> (FakeRegistry, Vec<String>) {
    let fake = FakeRegistry::spawn();
    let digests: Vec<String> = (1..=200)
        .map(|number| {
            let (month, day) = (1 + number / 25, 1 + number % 25);
            let created = format!("2024-{month:02}-{day:02}T00:00:00Z");
            fake.image("app", &format!("v1.0.{number}"), &created, &["base", &format!("layer {number}")])
        })
        .collect();
    for (number, digest) in (1..=5).zip(&digests) {
        fake.tag("app", &format!("alias-{number}"), digest);
    }
    (fake, digests)
}

fn left() -> Vec<String> {
    let mut tags: Vec<String> = (181..=200).map(|number| format!("v1.0.{number}")).collect();
    tags.extend((1..=5).map(|number| format!("alias-{number}")));
    tags.sort();
    tags
}

/// The requests before the first change, and those from it on.
fn halves(fake: &FakeRegistry) -> (Vec<String>, Vec<String>) {
    let requests = fake.requests();
    let first = requests.iter().position(|line| fake.changes().first() == Some(line)).expect("a change");
    let after = requests[first..].to_vec();
    let before = requests[..first].to_vec();
    (before, after)
}

#[test]
fn the_job_takes_798_requests_where_tags_cannot_be_deleted_by_name() {
    let (fake, digests) = registry();
    Tool::new().on(&fake, &JOB).exits(0).says("Deleted 180 tags and 175 manifests");
    assert_eq!(fake.tags("app"), left());
    let manifests = fake.change(|contents| contents.repository("app").manifests.len());
    assert_eq!(manifests, 25);
    assert!(digests[..5].iter().all(|digest| fake.has_manifest("app", digest)));
    // Reading:   1 greeting + 1 list + 205 tags, each with its manifest + 200 configs    407
    //            + 1 are referrers listed: not by Distribution                             1
    // Asking:    1 may digests be deleted + 1 may tags                                     2
    // Looking:   1 list + 205 tags (where the store can be read, 1 list alone)           206
    // Untagging: 5 placeholders put + 1 deleted                                            6
    // Deleting:  175 digests                                                             175
    // Looking:   1 list                                                                    1
    assert_eq!(fake.requests().len(), 407 + 1 + 2 + 206 + 6 + 175 + 1);
}

#[test]
fn the_job_takes_797_requests_where_tags_are_deleted_by_name() {
    let (fake, _) = registry();
    fake.quirks(|quirks| quirks.version = Version::Three);
    Tool::new().on(&fake, &JOB).exits(0).says("Deleted 180 tags and 175 manifests");
    assert_eq!(fake.tags("app"), left());
    // As above, but 5 tags deleted instead of 5 placeholders put and 1 deleted.
    assert_eq!(fake.requests().len(), 407 + 1 + 2 + 206 + 5 + 175 + 1);
}

#[test]
fn nothing_is_asked_twice_but_for_the_look_before_and_after_the_deletions() {
    let (fake, _) = registry();
    Tool::new().on(&fake, &JOB).exits(0);
    let (before, after) = halves(&fake);
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for line in before.iter().chain(&after) {
        *times.entry(line).or_default() += 1;
    }
    assert_eq!(times.remove("GET /v2/app/tags/list"), Some(3), "read, looked at again, and looked at after");
    let twice: Vec<_> = times.into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "asked more than once: {twice:#?}");
    // The last list is the last request of all; the one before stands right before the deletions.
    assert_eq!(after.last().map(String::as_str), Some("GET /v2/app/tags/list"));
    let probes = before.iter().rposition(|line| line.starts_with("DELETE ")).expect("a probe");
    assert_eq!(before[probes + 1], "GET /v2/app/tags/list");
    assert!(before[probes + 2..].iter().all(|line| line.starts_with("HEAD /v2/app/manifests/")));
    assert_eq!(fake.asked("GET", "_catalog"), [""; 0]);
    assert_eq!(fake.asked("DELETE", PROBE).len(), 1);
}

#[test]
fn a_second_run_finds_nothing_to_do_and_changes_nothing() {
    let (fake, _) = registry();
    let tool = Tool::new();
    tool.on(&fake, &JOB).exits(0);
    fake.forget_requests();
    tool.on(&fake, &JOB).exits(0).says("No tags to remove; 25 tags kept");
    assert!(fake.requests().iter().all(|line| line.starts_with("GET ")), "{:#?}", fake.requests());
    // 1 greeting + 1 list + 25 tags + 1 are referrers listed + 20 configs
    assert_eq!(fake.requests().len(), 48);
    assert_eq!(fake.asked("GET", "/referrers/").len(), 1);
    assert_eq!(tool.records().len(), 1);
}

#[test]
fn a_config_that_several_images_share_is_read_once() {
    let fake = FakeRegistry::spawn();
    for repository in ["app", "copy/of/app"] {
        for (tag, created) in [("v1", "2024-01-01T00:00:00Z"), ("v2", "2024-02-01T00:00:00Z")] {
            fake.image(repository, tag, created, &["same"]);
        }
    }
    Tool::new().on(&fake, &["prune", "--no-gc", "--force", "--keep", "1"]).exits(0).says("Deleted 2 tags");
    assert_eq!(fake.asked("GET", "/blobs/").len(), 2, "{:#?}", fake.requests());
}
