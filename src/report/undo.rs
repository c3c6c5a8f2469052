//! What `undo` tells: the recorded runs, what is put back, and what is not and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{Digest, Ordered, RegistryAddress, Repository};
use crate::undo::{Fate, Item, Place, Record, State, Undone};

use super::listing::ago;
use super::table::{columns, count};

/// The recorded runs by name, latest first.
pub(crate) fn list(runs: &[(&str, &Record)], now: Timestamp) -> String {
    let rows = runs.iter().map(|(name, record)| {
        vec![
            (*name).to_owned(),
            record.registry.to_string(),
            ago(record.at, now),
            record.command.clone().unwrap_or_else(|| "-".to_owned()),
            record.tag_count().to_string(),
            record.manifest_count().to_string(),
            record.state().to_string(),
        ]
    });
    columns(&["RUN", "REGISTRY", "WHEN", "COMMAND", "TAGS", "MANIFESTS", "STATUS"], rows)
}

pub(crate) fn list_document(runs: &[(&str, &Record)]) -> Value {
    let entries = runs.iter().map(|(name, record)| {
        let (status, at) = match record.state() {
            State::Open => ("open", None),
            State::PartlyCollected(sweep) => ("partly-collected", Some(sweep.at)),
            State::Collected(sweep) => ("collected", Some(sweep.at)),
            State::PutBack(at) => ("put-back", Some(at)),
            State::Empty => ("empty", None),
        };
        json!({
            "run": name,
            "registry": record.registry,
            "at": record.at,
            "command": record.command,
            "tags": record.tag_count(),
            "manifests": record.manifest_count(),
            "status": status,
            "statusSince": at,
        })
    });
    json!({ "version": super::json::VERSION, "command": "undo", "runs": entries.collect::<Vec<_>>() })
}

/// What there is to do, before anything is done.
pub(crate) fn plan(undone: &Undone) -> String {
    let (tags, manifests) = undone.counts(&Fate::Due);
    let mut text = details(undone, true);
    let _ = writeln!(text, "To put back: {} and {}", count(tags, "tag"), count(manifests, "manifest"));
    text
}

/// What was done.
pub(crate) fn ended(undone: &Undone, is_verbose: bool) -> String {
    let (tags, manifests) = undone.counts(&Fate::PutBack);
    let mut text = format!("Put back {} and {}\n", count(tags, "tag"), count(manifests, "manifest"));
    match undone.counts(&Fate::There) {
        (0, 0) => {}
        (tags, manifests) => {
            let _ =
                writeln!(text, "Already there: {} and {}", count(tags, "tag"), count(manifests, "manifest"));
        }
    }
    text.push_str(&details(undone, is_verbose));
    text
}

fn details(undone: &Undone, is_verbose: bool) -> String {
    let mut text = String::new();
    for (repository, items) in &undone.repositories {
        // A manifest that shares the fate of one of its tags needs no line of its own.
        let tagged = items.iter().filter(|item| matches!(item.place, Place::Tag(_)));
        let tagged: BTreeMap<&Digest, &Fate> = tagged.map(|item| (&item.digest, &item.fate)).into_map();
        let has_its_line = |item: &&Item| {
            matches!(item.place, Place::Tag(_)) || tagged.get(&item.digest) != Some(&&item.fate)
        };
        for item in items.iter().filter(has_its_line) {
            let name = format!("{repository}{}", item.place);
            let _ = match &item.fate {
                Fate::Due => writeln!(text, "Put back {name}"),
                Fate::PutBack if is_verbose => writeln!(text, "Put back {name}"),
                Fate::There if is_verbose => writeln!(text, "There {name}"),
                Fate::PutBack | Fate::There => Ok(()),
                Fate::Left(why) => writeln!(text, "Left {name}: {why}"),
                Fate::Failed(why) => writeln!(text, "FAILED {name}: {why}"),
            };
        }
    }
    text
}

pub(crate) fn document(run: &str, registry: &RegistryAddress, undone: &Undone, exit_code: u8) -> Value {
    let (tags, manifests) = undone.counts(&Fate::PutBack);
    json!({
        "version": super::json::VERSION,
        "command": "undo",
        "run": run,
        "registry": registry,
        "putBackTags": tags,
        "putBackManifests": manifests,
        "repositories": undone.repositories.iter().map(repository).collect::<Vec<_>>(),
        "exitCode": exit_code,
    })
}

fn repository((name, items): &(Repository, Vec<Item>)) -> Value {
    let entries = |wants_tags: bool| {
        let meant = items.iter().filter(|item| matches!(item.place, Place::Tag(_)) == wants_tags);
        let entries = meant.map(|item| {
            let (fate, why) = match &item.fate {
                Fate::Due => ("due", None),
                Fate::PutBack => ("put-back", None),
                Fate::There => ("there", None),
                Fate::Left(why) => ("left", Some(why)),
                Fate::Failed(why) => ("failed", Some(why)),
            };
            match &item.place {
                Place::Tag(tag) => json!({ "tag": tag, "digest": item.digest, "fate": fate, "why": why }),
                Place::Digest(digest) => json!({ "digest": digest, "fate": fate, "why": why }),
            }
        });
        entries.collect::<Vec<_>>()
    };
    json!({ "repository": name, "tags": entries(true), "manifests": entries(false) })
}
