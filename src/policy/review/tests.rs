use std::sync::Arc;

use super::super::file;
use super::*;
use crate::model::manifest::OCI_MANIFEST;
use crate::model::{
    ByteSize, Digest, ImageFacts, Manifest, ManifestKind, ManifestState, RepositoryState, RepositoryView,
    TagState,
};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// One repository of images made on 1 January.
fn snapshot(tags: &[&str]) -> Snapshot {
    let mut view = RepositoryView::default();
    for tag in tags {
        let digest = Digest::of(tag.as_bytes());
        let manifest = Manifest {
            digest: digest.clone(),
            media_type: OCI_MANIFEST.into(),
            kind: ManifestKind::Image,
            config: None,
            layers: Box::default(),
            children: Box::default(),
            subject: None,
            annotations: [].into(),
            size: ByteSize(0),
            raw: None,
        };
        let facts = ImageFacts {
            created: Some("2026-01-01T00:00:00Z".into()),
            platform: None,
            labels: Arc::default(),
        };
        view.tags.insert(tag.parse().unwrap(), TagState::At(digest.clone()));
        view.manifests.insert(digest.clone(), ManifestState::Read(Box::new(manifest)));
        view.facts.insert(digest, Ok(facts));
    }
    Snapshot {
        registry: "127.0.0.1:5000".parse().unwrap(),
        deletes_tags_by_name: false,
        flaw: None,
        is_whole: true,
        store: None,
        repositories: [("app".parse().unwrap(), RepositoryState::Read(view))].into(),
    }
}

fn remarks_of(text: &str, tags: &[&str]) -> Vec<String> {
    remarks(&file::parse(text).unwrap(), &snapshot(tags), now())
}

#[test]
fn a_rule_about_nothing_is_remarked_with_its_place() {
    let text = "[[rule]]\nname = \"releases\"\ntags = [\"v*\"]\nkeep = 1\n\n[[rule]]\nname = \"requests\"\ntags = [\"pr-*\"]\nkeep = 1\n";
    assert_eq!(remarks_of(text, &["v1", "v2"]), ["rule `requests` (6:1) matches no tag"]);
    assert_eq!(remarks_of(text, &["v1", "v2", "pr-1", "pr-2"]), Vec::<String>::new());
}

#[test]
fn rules_about_the_same_tags_and_rules_without_effect_are_remarked() {
    let text = "[[rule]]\nname = \"all\"\nolder-than = \"30d\"\n\n[[rule]]\nname = \"two\"\ntags = [\"v1\", \"v2\"]\nolder-than = \"30d\"\n";
    assert_eq!(
        remarks_of(text, &["v1", "v2", "v3"]),
        [
            "rule `two` (5:1) changes nothing here: other rules and protections decide about all that it covers",
            "rule `all` (1:1) and rule `two` (5:1) are both about `app:v1` and 1 more: a tag stays if either keeps it",
        ]
    );
}
