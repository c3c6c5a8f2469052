//! What a look says against the deletion of a manifest that no tag led to.

use super::*;

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `old`, pushed in second 10, goes, and so does `sbom`, which is about it.
fn present() -> Present {
    let pushed = |names: [&str; 2]| names.map(|name| (digest(name), at(10))).into();
    Present {
        tags: BTreeMap::new(),
        at: BTreeMap::new(),
        needed: BTreeMap::new(),
        follows: [(digest("sbom"), digest("old"))].into(),
        standing: BTreeMap::new(),
        opaque: None,
        untagged: pushed(["old", "sbom"]),
        revisions: Some(pushed(["old", "sbom"])),
        began: Instant::now(),
        took: Duration::ZERO,
    }
}

fn objection(present: &Present, name: &str) -> String {
    present.objection_to_delete(&digest(name), &[]).unwrap_or_default()
}

#[test]
fn nothing_is_said_where_nothing_has_changed() {
    for name in ["old", "sbom"] {
        assert_eq!(objection(&present(), name), "");
    }
    // Somebody else was quicker.
    let present = Present { revisions: Some(BTreeMap::new()), ..present() };
    assert_eq!(objection(&present, "old"), "");
}

#[test]
fn a_manifest_that_was_pushed_again_stays() {
    let again = [(digest("old"), at(11))].into();
    let present = Present { revisions: Some(again), ..present() };
    assert_eq!(objection(&present, "old"), "it was pushed again since the plan");
}

#[test]
fn where_the_files_cannot_be_read_again_nothing_untagged_goes() {
    let present = Present { revisions: None, ..present() };
    assert_eq!(objection(&present, "old"), "the registry's files could not be read again");
    assert_eq!(objection(&present, "tagged"), "", "HTTP shows all that matters here");
}

#[test]
fn a_manifest_that_an_index_without_a_tag_needs_stays_with_what_is_about_it() {
    let index = Newcomer::Manifest(digest("index"));
    let needed = Present { needed: [(digest("old"), index.clone())].into(), ..present() };
    for name in ["old", "sbom"] {
        let words =
            format!("the untagged manifest sha256:{}, pushed since the plan,", digest("index").short());
        assert!(objection(&needed, name).contains(&words), "{name}");
    }
    let opaque = Present { opaque: Some(index), ..present() };
    assert!(objection(&opaque, "old").contains("may need it"));
}

#[test]
fn what_is_about_a_manifest_that_got_a_tag_stays() {
    let tag: Tag = "rescued".parse().unwrap();
    let standing = [(digest("old"), Newcomer::Tag(tag.clone()))].into();
    let present = Present { at: [(digest("old"), [tag].into())].into(), standing, ..present() };
    assert_eq!(objection(&present, "old"), "tag `rescued` was put on it since the plan");
    assert!(objection(&present, "sbom").contains("is on or needs what it belongs to"));
}
