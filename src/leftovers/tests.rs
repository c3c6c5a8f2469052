use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Kind, Leftovers, Listing, plan};
use crate::model::Holdings;

mod properties;

pub(super) const NOW: i64 = 1_700_000_000;
pub(super) const HOUR: i64 = 3600;

pub(super) fn hex(name: char) -> String {
    name.to_string().repeat(64)
}

/// A store in memory with a file system's rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Store(BTreeMap<String, Entry>);

impl Store {
    pub(super) fn new() -> Self {
        Self::default().folder("blobs/sha256").folder("repositories")
    }

    fn put(&mut self, path: &str, kind: Kind, hours: i64) {
        for (at, _) in path.match_indices('/') {
            let folder = Entry { kind: Kind::Folder, modified: NOW - hours * HOUR, size: 4096 };
            self.0.entry(path[..at].to_owned()).or_insert(folder);
        }
        self.0.insert(path.to_owned(), Entry { kind, modified: NOW - hours * HOUR, size: 100 });
    }

    pub(super) fn folder(mut self, path: &str) -> Self {
        if !self.0.contains_key(path) {
            self.put(path, Kind::Folder, 1000);
        }
        self
    }

    pub(super) fn file(self, path: &str) -> Self {
        self.aged(path, 1000)
    }

    pub(super) fn aged(mut self, path: &str, hours: i64) -> Self {
        self.put(path, Kind::File, hours);
        self
    }

    pub(super) fn symlink(mut self, path: &str) -> Self {
        self.put(path, Kind::Other, 1000);
        self
    }

    pub(super) fn blob(self, name: char) -> Self {
        self.file(&format!("blobs/sha256/{name}{name}/{}/data", hex(name)))
    }

    pub(super) fn layer(self, repository: &str, name: char) -> Self {
        self.file(&format!("repositories/{repository}/_layers/sha256/{}/link", hex(name)))
    }

    pub(super) fn revision(self, repository: &str, name: char) -> Self {
        self.folder(&format!("repositories/{repository}/_layers/sha256"))
            .file(&format!("repositories/{repository}/_manifests/revisions/sha256/{}/link", hex(name)))
    }

    pub(super) fn index(self, repository: &str, tag: &str, name: char) -> Self {
        let index = format!("repositories/{repository}/_manifests/tags/{tag}/index/sha256");
        self.file(&format!("{index}/{}/link", hex(name)))
    }

    pub(super) fn tag(self, repository: &str, tag: &str, name: char) -> Self {
        self.index(repository, tag, name)
            .file(&format!("repositories/{repository}/_manifests/tags/{tag}/current/link"))
    }

    /// What the deletion of all its manifests leaves of a repository.
    fn emptied(self, repository: &str) -> Self {
        let manifests = format!("repositories/{repository}/_manifests");
        self.folder(&format!("{manifests}/tags"))
            .folder(&format!("{manifests}/revisions/sha256/{}", hex('9')))
            .layer(repository, '8')
            .folder(&format!("repositories/{repository}/_uploads"))
    }

    pub(super) fn upload(self, repository: &str, serial: u8, started: i64, touched: i64) -> Self {
        let upload = format!("repositories/{repository}/_uploads/{serial:08}-0000-4000-8000-000000000000");
        self.aged(&format!("{upload}/startedat"), started)
            .aged(&format!("{upload}/data"), touched)
            .aged(&format!("{upload}/hashstates/sha256/0"), started)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn plan(&self) -> Leftovers {
        let mut listing = Listing::default();
        listing.read_line("/s", &NOW.to_string());
        listing.read_line("/s", "41ed 0 4096 /s");
        for (path, entry) in &self.0 {
            let mode = match entry.kind {
                Kind::Folder => "41ed",
                Kind::File => "81a4",
                Kind::Other => "a1ff",
            };
            listing.read_line("/s", &format!("{mode} {} {} /s/{path}", entry.modified, entry.size));
        }
        plan(&listing, &Holdings::default(), "24h".parse().unwrap())
    }

    /// `rm` of a file.
    pub(super) fn rm(&mut self, path: &str) {
        let removed = self.0.remove(path).unwrap_or_else(|| panic!("there is no {path}"));
        assert_eq!(removed.kind, Kind::File, "{path}");
    }

    /// `rmdir`, which refuses a folder that is not empty.
    pub(super) fn rmdir(&mut self, path: &str) {
        let removed = self.0.remove(path).unwrap_or_else(|| panic!("there is no {path}"));
        assert_eq!(removed.kind, Kind::Folder, "{path}");
        let inside = self.0.keys().find(|other| other.starts_with(&format!("{path}/")));
        assert_eq!(inside, None, "{path} is not empty");
    }

    /// What is gone afterwards, without what went with a folder above it.
    #[track_caller]
    fn tidied(&self) -> Vec<String> {
        let leftovers = self.plan();
        let mut store = self.clone();
        leftovers.files.iter().for_each(|path| store.rm(path));
        leftovers.folders.iter().chain(&leftovers.frames).for_each(|path| store.rmdir(path));
        assert!(store.plan().is_empty(), "a second look finds {:?}", store.plan());
        let gone: BTreeSet<&str> = self.paths().filter(|path| !store.has(path)).collect();
        let is_top = |path: &&&str| path.rsplit_once('/').is_none_or(|(parent, _)| !gone.contains(parent));
        gone.iter().filter(is_top).map(|path| path.replace(&"0".repeat(20), "…")).collect()
    }
}

fn live(repository: &str) -> Store {
    Store::new()
        .blob('a')
        .blob('b')
        .revision(repository, 'a')
        .tag(repository, "1", 'a')
        .layer(repository, 'b')
}

#[test]
fn nothing_of_a_store_without_leftovers_goes() {
    assert_eq!(live("app").tidied(), [""; 0]);
    assert_eq!(live("app").plan(), Leftovers::default());
    assert_eq!(live("app").folder("repositories/app/_uploads").tidied(), [""; 0], "the registry made it");
    let without_layers = Store::new().blob('a').revision("app", 'a').tag("app", "1", 'a');
    assert_eq!(without_layers.tidied(), [""; 0], "`_layers` stays, empty or not");
}

#[test]
fn links_and_folders_that_hold_nothing_go() {
    let store = live("app")
        .layer("app", 'c')
        .folder(&format!("repositories/app/_layers/sha256/{}", hex('d')))
        .folder(&format!("repositories/app/_manifests/revisions/sha256/{}", hex('e')))
        .index("app", "1", 'f')
        .folder(&format!("blobs/sha256/11/{}", hex('1')))
        .folder("blobs/sha256/22")
        .folder("repositories/group/nothing");
    let leftovers = store.plan();
    assert_eq!(
        store.tidied(),
        [
            "blobs/sha256/11".to_owned(),
            "blobs/sha256/22".to_owned(),
            format!("repositories/app/_layers/sha256/{}", hex('c')),
            format!("repositories/app/_layers/sha256/{}", hex('d')),
            format!("repositories/app/_manifests/revisions/sha256/{}", hex('e')),
            format!("repositories/app/_manifests/tags/1/index/sha256/{}", hex('f')),
            "repositories/group".to_owned(),
        ]
    );
    assert_eq!((leftovers.counts.links, leftovers.counts.repositories), (2, 0));
    assert!(!leftovers.counts.are_worth_a_stop());
    assert_eq!(leftovers.odd, [""; 0]);
}

#[test]
fn an_emptied_repository_goes_and_those_inside_of_it_stay() {
    let store = live("app/inner").emptied("app").blob('8');
    assert_eq!(
        store.tidied(),
        ["repositories/app/_layers", "repositories/app/_manifests", "repositories/app/_uploads"],
        "its layer is another's as well"
    );
    assert_eq!(store.plan().counts.repositories, 1);
    assert!(store.plan().counts.are_worth_a_stop());
    let deep = live("app").emptied("team/a/b").emptied("team/a");
    assert_eq!(deep.tidied(), ["repositories/team"]);
    assert_eq!(deep.plan().counts.repositories, 2);
}

#[test]
fn what_is_in_use_or_unknown_keeps_its_repository() {
    let stays = |change: fn(Store) -> Store| {
        let store = change(live("other").emptied("app"));
        let gone = store.tidied();
        let frames = ["_manifests", "_layers", "_uploads"].map(|frame| format!("repositories/app/{frame}"));
        assert!(!gone.iter().any(|path| frames.contains(path) || path == "repositories/app"), "{gone:?}");
        assert_eq!(store.plan().counts.repositories, 0);
    };
    stays(|store| store.revision("app", 'a'));
    stays(|store| store.revision("app", '7'));
    stays(|store| store.tag("app", "dangling", '7'));
    stays(|store| store.index("app", "1", 'a'));
    stays(|store| store.upload("app", 1, 1000, 2));
    stays(|store| store.file("repositories/app/README"));
    stays(|store| store.file("repositories/app/_manifests/odd"));
    stays(|store| store.file("repositories/app/_layers/sha256/link"));
    stays(|store| store.symlink("repositories/app/_layers/sha256/link"));
    stays(|store| store.symlink("repositories/app/below"));
    stays(|store| store.folder("repositories/app/_other"));
    stays(|store| store.folder("repositories/app/Not A Name"));
}

#[test]
fn uploads_go_when_nothing_was_added_to_them_for_long() {
    let upload = |serial: u8| format!("repositories/app/_uploads/{serial:08}-0000-4000-8000-000000000000");
    let store = live("app").upload("app", 1, 30, 25).upload("app", 2, 30, 23).upload("app", 3, 23, 30);
    assert_eq!(store.tidied(), [upload(1)]);
    let counts = store.plan().counts;
    assert_eq!((counts.uploads, counts.bytes.0), (1, 300));
    assert!(counts.are_worth_a_stop());
    let odd = live("app").upload("app", 1, 30, 25).aged(&format!("{}/data.tmp", upload(1)), 30);
    assert_eq!(odd.tidied(), [""; 0]);
    assert_eq!(odd.plan().odd, [format!("{}/data.tmp", upload(1))]);
    let future = live("app").upload("app", 1, 30, -5);
    assert_eq!(future.tidied(), [""; 0]);
}

#[test]
fn links_stay_where_not_all_blobs_can_be_seen() {
    let dangling = live("app").layer("app", 'c');
    assert_eq!(dangling.tidied().len(), 1);
    assert_eq!(dangling.clone().symlink("blobs/sha256/cc").tidied(), [""; 0]);
    let mut elsewhere = Store::default().symlink("blobs").layer("app", 'c').revision("app", 'a');
    assert_eq!(elsewhere.tidied(), [""; 0], "on another disk, through a link");
    elsewhere.0.remove("blobs");
    assert_eq!(elsewhere.tidied(), [""; 0]);
}

#[test]
fn what_is_kept_is_never_taken_for_a_leftover() {
    let store = live("gone").emptied("app").layer("gone", 'c');
    let mut listing = Listing::default();
    listing.read_line("/s", &NOW.to_string());
    listing.entries.clone_from(&store.0);
    let digest = |name| format!("sha256:{}", hex(name)).parse().unwrap();
    let mut kept = Holdings::default();
    kept.manifests.insert("app".parse().unwrap(), [digest('7')].into());
    kept.blobs.insert("gone".parse().unwrap(), [(digest('c'), crate::model::ByteSize(1))].into());
    let leftovers = plan(&listing, &kept, "24h".parse().unwrap());
    assert_eq!((leftovers.counts.repositories, leftovers.counts.uploads), (0, 0));
    assert!(!leftovers.files.iter().any(|path| path.contains(&hex('c'))), "{leftovers:?}");
}

#[test]
fn a_tag_that_points_nowhere_is_told_and_left() {
    let store = live("app").index("app", "cut", 'a').folder("repositories/app/_manifests/tags/empty");
    assert_eq!(store.tidied(), [""; 0]);
    assert_eq!(
        store.plan().odd,
        ["app: the tag `cut` points nowhere", "app: the tag `empty` points nowhere"]
    );
}

#[test]
fn a_listing_that_cannot_be_read_removes_nothing() {
    let good =
        ["1700000000", "41ed 0 4096 /s", "41ed 0 4096 /s/repositories", "41ed 0 4096 /s/repositories/x"];
    let folders = |lines: &[&str]| {
        let mut listing = Listing::default();
        for line in lines {
            listing.read_line("/s", line);
        }
        plan(&listing, &Holdings::default(), "24h".parse().unwrap()).counts.folders
    };
    assert_eq!(folders(&good), 1);
    assert_eq!(folders(&good[1..]), 0, "no clock");
    for odd in ["two lines", "41ed 0 4096 /elsewhere/x", "zz 0 4096 /s/x", "41ed 0 /s/x", ""] {
        assert_eq!(folders(&[&good[..], &[odd]].concat()), 0, "{odd:?}");
    }
}
