//! Records and what they mean, in tables: what is to be put back where the registry stands now.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Fate, Place, Present, Record, State, Sweep};
use crate::model::Digest;
use crate::model::manifest::{OCI_INDEX, OCI_MANIFEST};
use crate::reference::Reference;

/// A manifest of the record, and how it got there.
struct Held {
    digest: Digest,
    entry: Value,
}

fn held(media_type: &str, body: &Value) -> Held {
    let raw = body.to_string().into_bytes();
    let digest = Digest::of(&raw);
    let entry = json!({ "digest": digest, "mediaType": media_type, "content": BASE64_STANDARD.encode(&raw) });
    Held { digest, entry }
}

fn blob(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// An image whose blobs are `<name> config` and `layer`.
fn image(name: &str, layer: &str) -> Held {
    let descriptor = |name: &str| json!({ "mediaType": "application/x", "digest": blob(name), "size": 1 });
    let config = descriptor(&format!("{name} config"));
    held(
        OCI_MANIFEST,
        &json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [descriptor(layer)] }),
    )
}

fn index(children: &[&Held]) -> Held {
    let children: Vec<Value> = children
        .iter()
        .map(|child| json!({ "mediaType": child.entry["mediaType"], "digest": child.digest, "size": 1 }))
        .collect();
    held(OCI_INDEX, &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children }))
}

fn stays(mut held: Held) -> Held {
    held.entry["stays"] = json!(true);
    held
}

fn document(tags: &[(&str, &Held)], manifests: &[&Held]) -> Value {
    let tags: serde_json::Map<_, _> =
        tags.iter().map(|(tag, held)| ((*tag).to_owned(), json!(held.digest))).collect();
    let manifests: Vec<_> = manifests.iter().map(|held| &held.entry).collect();
    json!({
        "version": 1,
        "registry": "http://r.example:5000",
        "at": "2026-11-21T21:34:55Z",
        "command": "rm",
        "repositories": [{ "repository": "app", "tags": tags, "manifests": manifests }],
    })
}

fn record(tags: &[(&str, &Held)], manifests: &[&Held]) -> Record {
    Record::parse(document(tags, manifests).to_string().as_bytes()).unwrap()
}

fn tag(name: &str) -> Place {
    Place::Tag(name.parse().unwrap())
}

fn at(held: &Held) -> Place {
    Place::Digest(held.digest.clone())
}

/// The places with their fates in the order in which they are dealt with.
fn fates(record: &Record, present: &Present) -> Vec<(Place, Fate)> {
    let items = record.repositories[0].items(present);
    items.into_iter().map(|item| (item.place, item.fate)).collect()
}

fn sweep() -> Sweep {
    Sweep { at: "2026-11-22T03:00:00Z".parse().unwrap(), by: "gc".to_owned() }
}

fn swept(names: &[&str]) -> BTreeSet<Digest> {
    names.iter().map(|name| blob(name)).collect()
}

#[test]
fn parts_come_before_their_indexes_whatever_the_depth_and_tags_before_digests() {
    let (amd, arm) = (image("amd", "base"), image("arm", "base"));
    let inner = index(&[&amd, &arm]);
    let outer = index(&[&inner]);
    let record = record(&[("arm", &arm), ("multi", &outer)], &[&outer, &inner, &amd, &arm]);
    let items = record.repositories[0].items(&Present::new());
    let rank = |place: &Place| items.iter().find(|item| item.place == *place).unwrap().rank;
    let order = [tag("arm"), at(&amd), at(&inner), tag("multi"), at(&outer)];
    assert!(order.windows(2).all(|pair| rank(&pair[0]) < rank(&pair[1])), "{items:#?}");
    assert_eq!(rank(&at(&amd)), rank(&at(&arm)));
    assert!(items.iter().all(|item| item.fate == Fate::Due));
    assert!(items.is_sorted_by_key(|item| item.rank));
}

#[test]
fn what_is_there_now_decides() {
    let (old, other) = (image("old", "l"), image("other", "l"));
    let record = record(&[("v1", &old)], &[&old]);
    let there = Ok(Some(old.digest.clone()));
    let broken = Err("500".to_owned());
    let left = Fate::left_to(&other.digest);
    for (at_tag, at_digest, expected) in [
        (Ok(None), Ok(None), [Fate::Due, Fate::Due]),
        (there.clone(), there.clone(), [Fate::There, Fate::There]),
        // The tag is gone and the manifest was not yet deleted: a run that was interrupted.
        (Ok(None), there, [Fate::Due, Fate::There]),
        // The tag was pushed anew: the manifest comes back all the same, an index may name it.
        (Ok(Some(other.digest.clone())), Ok(None), [left, Fate::Due]),
        (broken.clone(), Ok(None), [Fate::Failed("500".to_owned()), Fate::Due]),
        (Ok(None), broken, [Fate::Due, Fate::Failed("500".to_owned())]),
    ] {
        let present = Present::from([(tag("v1"), at_tag), (at(&old), at_digest)]);
        let found: Vec<Fate> = fates(&record, &present).into_iter().map(|(_, fate)| fate).collect();
        assert_eq!(found, expected, "{present:?}");
    }
}

#[test]
fn a_manifest_that_stayed_is_put_back_at_its_tags_only() {
    let shared = stays(image("shared", "l"));
    let record = record(&[("alias", &shared)], &[&shared]);
    assert_eq!(fates(&record, &Present::new()), [(tag("alias"), Fate::Due)]);
    assert_eq!((record.tag_count(), record.manifest_count()), (1, 0));
}

#[test]
fn a_tag_whose_manifest_was_not_saved_is_said_to_be_so() {
    let shared = image("shared", "l");
    let record = record(&[("alias", &shared)], &[]);
    let why = Fate::Failed("its manifest is not in the record".to_owned());
    assert_eq!(fates(&record, &Present::new()), [(tag("alias"), why)]);
    assert_eq!(record.state(), State::Empty);
}

#[test]
fn a_sweep_marks_what_it_took_and_the_indexes_over_it_and_nothing_else() {
    let (amd, arm, other) = (image("amd", "base"), image("arm", "arm layer"), image("other", "base"));
    let inner = index(&[&arm]);
    let outer = index(&[&amd, &inner]);
    let mut record = record(&[("multi", &outer), ("other", &other)], &[&outer, &inner, &amd, &arm, &other]);
    assert!(!record.mark(&swept(&["of another image"]), &sweep()));
    assert_eq!(record.state(), State::Open);

    assert!(record.mark(&swept(&["arm layer"]), &sweep()));
    assert_eq!(record.state(), State::PartlyCollected(&sweep()));
    assert!(record.can_be_put_back());
    let gone = Fate::Failed(
        "what it needs is gone: collected by the run of `docker registry gc` at 2026-11-22T03:00:00Z"
            .to_owned(),
    );
    for (place, fate) in fates(&record, &Present::new()) {
        let is_lost = [tag("multi"), at(&outer), at(&inner), at(&arm)].contains(&place);
        assert_eq!(fate, if is_lost { gone.clone() } else { Fate::Due }, "{place}");
    }
    // A later sweep takes the rest; what is marked keeps its first mark.
    let later = Sweep { by: "prune".to_owned(), ..sweep() };
    assert!(record.mark(&swept(&["base"]), &later));
    assert!(matches!(record.state(), State::Collected(_)));
    assert!(!record.can_be_put_back());
    assert!(!record.mark(&swept(&["base", "arm layer"]), &later));
}

/// Its bytes are in the record: a manifest whose blobs others keep is never lost.
#[test]
fn the_sweep_of_a_manifest_alone_loses_nothing() {
    let old = image("old", "l");
    let mut record = record(&[("v1", &old)], &[&old]);
    assert!(!record.mark(&BTreeSet::from([old.digest.clone()]), &sweep()));
    assert_eq!(record.state(), State::Open);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let (old, shared) = (image("old", "l"), stays(image("shared", "l")));
    let mut written = record(&[("v1", &old), ("alias", &shared)], &[&old, &shared]);
    written.mark(&swept(&["old config"]), &sweep());
    written.put_back = Some(Timestamp::UNIX_EPOCH);
    let text = serde_json::to_string(&written).unwrap();
    let read = Record::parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert!(text.contains("\"registry\":\"http://r.example:5000\""), "{text}");
    assert_eq!(read.state(), State::PutBack(Timestamp::UNIX_EPOCH));
    let (manifest, raw) = read.repositories[0].manifest(&old.digest).unwrap();
    assert_eq!((manifest.digest, Digest::of(raw)), (old.digest.clone(), old.digest));
}

#[test]
fn what_is_no_record_is_refused_with_the_reason() {
    let old = image("old", "l");
    let good = document(&[("v1", &old)], &[&old]);
    let with = |change: fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        document.to_string()
    };
    let good = good.to_string();
    for (text, why) in [
        (String::new(), "damaged"),
        (good[..good.len() / 2].to_owned(), "damaged"),
        ("<html>".to_owned(), "damaged"),
        ("{}".to_owned(), "damaged"),
        (with(|document| document["version"] = json!(2)), "newer version"),
        (with(|document| document["repositories"][0]["repository"] = json!("../x")), "repository name"),
        (with(|document| document["repositories"][0]["tags"] = json!({ "a b": null })), "not a tag"),
        (
            with(|document| document["repositories"][0]["manifests"][0]["content"] = json!("e30=")),
            "another one",
        ),
        (with(|document| document["repositories"][0]["manifests"][0]["content"] = json!("?")), "damaged"),
    ] {
        let error = Record::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    Record::parse(good.as_bytes()).unwrap();
}

#[test]
fn what_a_run_took_is_known_until_it_is_put_back_or_collected() {
    let (gone, shared) = (image("gone", "l"), stays(image("shared", "base")));
    let mut record = record(&[("v1", &gone), ("alias", &shared)], &[&gone, &shared]);
    let took = |record: &Record, text: &str| {
        let reference: Reference = text.parse().unwrap();
        record.took(&reference.repository, &reference.target)
    };
    let (gone, shared) = (format!("app@{}", gone.digest), format!("app@{}", shared.digest));
    for (text, expected) in [
        ("app:v1", true),
        ("app:alias", true),
        (gone.as_str(), true),
        ("app", true),
        // It only lost a tag.
        (shared.as_str(), false),
        ("app:v2", false),
        ("other:v1", false),
        ("other", false),
    ] {
        assert_eq!(took(&record, text), expected, "{text}");
    }
    let mut put_back = record.clone();
    put_back.put_back = Some(sweep().at);
    assert!(["app:v1", &gone, "app"].iter().all(|text| !took(&put_back, text)));
    assert!(record.mark(&swept(&["l"]), &sweep()));
    assert!(["app:v1", &gone, "app"].iter().all(|text| !took(&record, text)));
    assert!(took(&record, "app:alias"));
}
