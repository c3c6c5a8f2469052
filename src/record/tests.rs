//! What a plan takes away is at hand before it goes, or nothing goes.

use super::*;
use crate::model::manifest::OCI_MANIFEST;
use crate::model::{Manifest, ManifestState, RepositoryState, RepositoryView, Snapshot, TagState};
use crate::plan::{self, Request};

/// A registry with one image, of whose manifest the bytes are held or not, and a plan that removes it.
fn removal(raw: Option<&str>, body: &str) -> (Plan, Snapshot) {
    let digest = Digest::of(body.as_bytes());
    let manifest = Manifest::parse(digest.clone(), OCI_MANIFEST, body.as_bytes()).unwrap();
    let manifest = Manifest { raw: raw.map(|raw| raw.as_bytes().into()), ..manifest };
    let view = RepositoryView {
        tags: [("v1".parse().unwrap(), TagState::At(digest.clone()))].into(),
        manifests: [(digest, ManifestState::Read(Box::new(manifest)))].into(),
        ..RepositoryView::default()
    };
    let snapshot = Snapshot {
        registry: "127.0.0.1:5000".parse().unwrap(),
        deletes_tags_by_name: false,
        flaw: None,
        is_whole: true,
        store: None,
        repositories: [("team/app".parse().unwrap(), RepositoryState::Read(view))].into(),
    };
    let request = Request::Remove(vec!["team/app:v1".parse().unwrap()]);
    (plan::make(&snapshot, &request, Timestamp::UNIX_EPOCH).unwrap(), snapshot)
}

fn image() -> String {
    let config = format!(r#"{{"mediaType":"c","digest":"{}","size":2}}"#, Digest::of(b"{}"));
    format!(r#"{{"schemaVersion":2,"config":{config}}}"#)
}

#[test]
fn what_is_not_at_hand_is_not_deleted() {
    let image = image();
    let digest = Digest::of(image.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    let (plan, snapshot) = removal(None, &image);
    let mut contents = Contents::of(&plan, &snapshot);
    assert_eq!(contents.missing(&plan), [(&"team/app".parse().unwrap(), &digest)]);

    let error = save(&plan, &contents, "rm", Some(folder.path()), now).unwrap_err();
    assert_eq!(crate::error::kind_of(&error), crate::error::Kind::Refused);
    assert!(error.to_string().contains("nothing was deleted"), "{error}");
    assert!(error.to_string().contains(&format!("`team/app@{digest}`")), "{error}");
    assert_eq!(runs(Some(folder.path())).unwrap(), []);

    contents.extend([(digest.clone(), image.as_bytes().into())]);
    assert_eq!(contents.missing(&plan), []);
    let run = save(&plan, &contents, "rm", Some(folder.path()), now).unwrap();
    let record = run.read().unwrap();
    let (_, raw) = record.repositories[0].manifest(&digest).unwrap();
    assert_eq!(raw, image.as_bytes());
}

#[test]
fn what_the_snapshot_holds_is_at_hand() {
    let image = image();
    let (plan, snapshot) = removal(Some(&image), &image);
    let contents = Contents::of(&plan, &snapshot);
    drop(snapshot);
    assert_eq!(contents.missing(&plan), []);
    let folder = tempfile::tempdir().unwrap();
    let run = save(&plan, &contents, "rm", Some(folder.path()), Timestamp::UNIX_EPOCH).unwrap();
    let record = run.read().unwrap();
    let (_, raw) = record.repositories[0].manifest(&Digest::of(image.as_bytes())).unwrap();
    assert_eq!(raw, image.as_bytes());
}

#[test]
fn a_run_is_named_by_its_second() {
    let at: Timestamp = "2026-11-21T21:34:55.999Z".parse().unwrap();
    assert_eq!(second(at), "20261121T213455");
    for good in ["20261121T213455Z", "20261121T213455Z_2"] {
        assert_eq!(begun(good), Some("2026-11-21T21:34:55Z".parse().unwrap()), "{good}");
    }
    for bad in [
        "",
        "20261121",
        "2026-11-21T2134Z",
        "20261321T213455Z",
        "20261121t213455Z",
        "20261121 213455Z",
        "notes",
    ] {
        assert_eq!(begun(bad), None, "{bad}");
    }
}
