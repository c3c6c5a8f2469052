//! For every store: what can be pulled before can be pulled afterwards, and at every moment in between.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Store, hex};

#[derive(Debug, Clone)]
enum Thing {
    Blob(char),
    HollowBlob(char),
    Layer(&'static str, char),
    Revision(&'static str, char),
    HollowRevision(&'static str, char),
    Tag(&'static str, &'static str, char),
    Index(&'static str, &'static str, char),
    Upload(&'static str, u8, i64, i64),
    Odd(&'static str),
    Link(&'static str),
    Folder(&'static str),
}

/// Files and folders that the registry does not make.
const ODD: [&str; 7] = [
    "repositories/a/notes",
    "repositories/a/b/_manifests/notes",
    "repositories/c/_layers/sha256/notes",
    "repositories/a/_uploads/00000001-0000-4000-8000-000000000000/data.tmp",
    "repositories/c/_manifests/tags/1/notes",
    "blobs/sha256/notes",
    "notes",
];
const LINKS: [&str; 4] = [
    "repositories/elsewhere",
    "repositories/a/elsewhere",
    "repositories/c/_layers/elsewhere",
    "blobs/elsewhere",
];
const FOLDERS: [&str; 4] =
    ["repositories/e/f", "repositories/c/_uploads", "repositories/a/_manifests/tags", "blobs/sha256/00"];

fn thing() -> impl Strategy<Value = Thing> {
    let repository = || prop::sample::select(vec!["a", "a/b", "c", "a/b/d"]);
    let tag = || prop::sample::select(vec!["1", "_2"]);
    let name = || prop::sample::select(vec!['1', '2', '3', '4', '5']);
    prop_oneof![
        6 => name().prop_map(Thing::Blob),
        1 => name().prop_map(Thing::HollowBlob),
        4 => (repository(), name()).prop_map(|(repository, name)| Thing::Layer(repository, name)),
        3 => (repository(), name()).prop_map(|(repository, name)| Thing::Revision(repository, name)),
        2 => (repository(), name()).prop_map(|(repository, name)| Thing::HollowRevision(repository, name)),
        2 => (repository(), tag(), name()).prop_map(|(repository, tag, name)| Thing::Tag(repository, tag, name)),
        2 => (repository(), tag(), name()).prop_map(|(repository, tag, name)| Thing::Index(repository, tag, name)),
        2 => (repository(), 0u8..3, 0i64..48, 0i64..48)
            .prop_map(|(repository, serial, started, touched)| Thing::Upload(repository, serial, started, touched)),
        1 => prop::sample::select(ODD.to_vec()).prop_map(Thing::Odd),
        1 => prop::sample::select(LINKS.to_vec()).prop_map(Thing::Link),
        1 => prop::sample::select(FOLDERS.to_vec()).prop_map(Thing::Folder),
    ]
}

fn build(things: &[Thing]) -> Store {
    things.iter().fold(Store::new(), |store, thing| match thing {
        Thing::Blob(name) => store.blob(*name),
        Thing::HollowBlob(name) => store.folder(&format!("blobs/sha256/{name}{name}/{}", hex(*name))),
        Thing::Layer(repository, name) => store.layer(repository, *name),
        Thing::Revision(repository, name) => store.revision(repository, *name),
        Thing::HollowRevision(repository, name) => store
            .folder(&format!("repositories/{repository}/_manifests/revisions/sha256/{}", hex(*name)))
            .folder(&format!("repositories/{repository}/_layers")),
        Thing::Tag(repository, tag, name) => store.tag(repository, tag, *name),
        Thing::Index(repository, tag, name) => store.index(repository, tag, *name),
        Thing::Upload(repository, serial, started, touched) => {
            store.upload(repository, *serial, *started, *touched)
        }
        Thing::Odd(path) => store.file(path),
        Thing::Link(path) => store.symlink(path),
        Thing::Folder(path) => store.folder(path),
    })
}

/// What the registry would say of this store, by its own reading of the files.
#[derive(Debug, PartialEq, Eq)]
struct View {
    blobs: BTreeSet<String>,
    /// Links that something could be reached by, in repositories that have manifests or tags.
    reached: BTreeSet<String>,
    fresh_uploads: BTreeSet<String>,
    odd: BTreeSet<String>,
}

fn view(store: &Store, things: &[Thing]) -> View {
    let has_blob = |hex: &str| store.has(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    let in_use = |repository: &str| {
        let manifests = format!("{repository}/_manifests/");
        let mut inside = store.paths().filter_map(|path| path.strip_prefix(&manifests));
        inside.any(|path| {
            path.ends_with("/link") && (path.starts_with("revisions/") || path.contains("/current/"))
        })
    };
    let is_reached = |path: &&str| {
        let Some(rest) = path.strip_suffix("/link") else { return false };
        let (folder, last) = rest.rsplit_once('/').unwrap_or_default();
        let repository = folder.split("/_").next().unwrap_or_default();
        match last {
            "current" => true,
            _ if folder.ends_with("/revisions/sha256") => true,
            _ if folder.ends_with("/_layers/sha256") => has_blob(last) && in_use(repository),
            _ => has_blob(last),
        }
    };
    let uploads = things.iter().filter_map(|thing| match thing {
        Thing::Upload(repository, serial, started, touched) if (*started).min(*touched) < 24 => {
            Some(format!("repositories/{repository}/_uploads/{serial:08}-0000-4000-8000-000000000000/"))
        }
        _ => None,
    });
    // The same upload may have been made twice; the last one counts.
    let last = |upload: &String| {
        let youngest =
            store.0.iter().filter(|(path, _)| path.starts_with(upload)).map(|(_, entry)| entry.modified);
        youngest.max().is_some_and(|youngest| youngest > super::NOW - 24 * super::HOUR)
    };
    View {
        blobs: store
            .paths()
            .filter(|path| path.ends_with("/data") && path.starts_with("blobs"))
            .map(Into::into)
            .collect(),
        reached: store.paths().filter(|path| is_reached(path)).map(Into::into).collect(),
        fresh_uploads: uploads
            .filter(last)
            .flat_map(|upload| {
                store
                    .paths()
                    .filter(move |path| path.starts_with(&upload))
                    .map(Into::into)
                    .collect::<Vec<_>>()
            })
            .collect(),
        odd: ODD.iter().chain(&LINKS).filter(|path| store.has(path)).map(ToString::to_string).collect(),
    }
}

/// A repository whose manifests the collector would not see.
fn blinds_the_collector(before: &Store, after: &Store) -> bool {
    before.paths().filter(|path| path.ends_with("/_layers")).any(|layers| {
        let repository = layers.trim_end_matches("/_layers");
        !after.has(layers) && after.has(&format!("{repository}/_manifests"))
    })
}

proptest! {
    #[test]
    fn what_can_be_reached_stays_at_every_moment(things in prop::collection::vec(thing(), 0..40)) {
        let before = build(&things);
        let seen = view(&before, &things);
        let leftovers = before.plan();
        let mut store = before.clone();
        for path in &leftovers.files {
            store.rm(path);
            prop_assert_eq!(&view(&store, &things), &seen, "after {}", path);
        }
        for path in leftovers.folders.iter().chain(&leftovers.frames) {
            store.rmdir(path);
            prop_assert!(!blinds_the_collector(&before, &store), "after {}", path);
        }
        prop_assert_eq!(&view(&store, &things), &seen);
        prop_assert!(store.has("blobs/sha256") && store.has("repositories"));
        prop_assert!(store.plan().is_empty(), "a second run finds {:?}", store.plan());
    }
}
