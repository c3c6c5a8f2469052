//! Servers that are no registry, tell little, or page oddly; and servers that want to write on the terminal.

use serde_json::json;

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::DOCKER_MANIFEST;
use crate::fake_registry::quirks::{Effect, Fault, Quirks};
use crate::run::{Answer, Asked as _, CREATED, Tool};

fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.image("app", "old", "2023-05-01T00:00:00Z", &["old"]);
    fake.image("app", "new", CREATED, &["new"]);
    fake
}

const COMMANDS: [&[&str]; 4] =
    [&["ls"], &["verify"], &["prune", "--no-gc", "--force", "--keep", "1"], &["rm", "--force", "app:old"]];

#[test]
fn a_web_page_is_no_registry() {
    let fake = registry();
    fake.quirks(|quirks| quirks.is_a_web_page = true);
    for command in COMMANDS {
        let answer = Tool::new().on(&fake, command);
        answer.exits(1).says("no registry, but a web page").says("see its port").never_says("<title>");
    }
    assert!(fake.requests().iter().all(|line| line == "GET /v2/"), "{:#?}", fake.requests());
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let host = FakeRegistry::spawn().host();
    for command in &COMMANDS[2..] {
        let answer = Tool::new().run(&[*command, &["--registry", &host]].concat());
        let _ = answer.exits(1).says("could not connect").says(&host).says("see whether the registry runs");
    }
}

#[test]
fn a_registry_that_does_not_list_its_repositories_needs_their_names() {
    for status in [401, 403, 404] {
        let fake = registry();
        fake.quirks(|quirks| quirks.catalog_refused = Some(status));
        for command in &COMMANDS[..3] {
            let answer = Tool::new().on(&fake, command);
            let _ = answer.exits(1).says("does not list its repositories: name them");
        }
        assert_eq!(fake.changes(), [""; 0]);
        Tool::new().on(&fake, &["ls", "app"]).exits(0).says("old");
        Tool::new().on(&fake, &["verify", "app"]).exits(0);
        let prune = ["prune", "--no-gc", "--force", "--keep", "1", "app"];
        Tool::new().on(&fake, &prune).exits(0).says("Deleted 1 tag");
        assert_eq!(fake.tags("app"), ["new"]);
        Tool::new().on(&fake, &["rm", "--force", "app:new"]).exits(0);
        assert_eq!(fake.tags("app"), [""; 0]);
    }
}

/// The references that `ls` shows of 250 repositories with one tag each.
fn listed(repositories: usize, set: impl FnOnce(&mut Quirks)) -> usize {
    let fake = FakeRegistry::spawn();
    for number in 0..repositories {
        fake.image(&format!("team/app-{number:04}"), "v1", CREATED, &["same"]);
    }
    fake.quirks(set);
    let answer = Tool::new().on(&fake, &["ls", "--quiet"]).exits(0);
    answer.stdout.lines().count()
}

#[test]
fn all_repositories_are_listed_however_the_catalog_is_paged() {
    assert_eq!(listed(250, |quirks| quirks.catalog_limit = Some(100)), 250);
    assert_eq!(listed(250, |quirks| quirks.catalog_drops = Some(1000)), 250);
    assert_eq!(listed(25, |quirks| quirks.links_to_empty_page = true), 25);
    let without_links = |quirks: &mut Quirks| {
        quirks.catalog_limit = Some(100);
        quirks.omits_link = true;
    };
    assert_eq!(listed(250, without_links), 250);
}

#[test]
fn all_tags_are_listed_where_they_come_in_pages() {
    let fake = FakeRegistry::spawn();
    let digest = fake.image("app", "v0", CREATED, &["same"]);
    (1..45).for_each(|number| fake.tag("app", &format!("v{number}"), &digest));
    fake.quirks(|quirks| quirks.tags_page = Some(10));
    let answer = Tool::new().on(&fake, &["ls", "--quiet", "app"]).exits(0);
    assert_eq!(answer.stdout.lines().count(), 45, "{answer}");
}

#[test]
fn a_list_that_never_ends_or_goes_on_elsewhere_is_an_error_and_nothing_is_pruned() {
    let elsewhere = registry();
    for link in ["/v2/_catalog?n=1000", &format!("http://{}/v2/_catalog?last=app", elsewhere.host())] {
        let fake = registry();
        fake.quirks(|quirks| quirks.link = Some(link.to_owned()));
        for command in &COMMANDS[..3] {
            let answer = Tool::new().on(&fake, command);
            assert_eq!(answer.code, Some(1), "{answer}");
        }
        assert_eq!(fake.changes(), [""; 0]);
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[test]
fn an_emptied_repository_is_no_fault() {
    let fake = registry();
    fake.change(|contents| {
        contents.repository("empty");
    });
    for tags_null in [false, true] {
        fake.quirks(|quirks| quirks.tags_null = tags_null);
        Tool::new().on(&fake, &["ls"]).exits(0).says("new").never_says("WARNING");
        Tool::new().on(&fake, &["verify"]).exits(0);
        Tool::new().on(&fake, &["rm", "--force", "empty"]).exits(1).says("takes no space");
    }
}

/// Rings the bell, clears the screen and sets the title of the window.
const EVIL: &str = "\u{7}\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r";

#[track_caller]
fn is_clean(answer: &Answer) {
    let is_odd = |c: char| c.is_control() && c != '\n';
    for text in [&answer.stdout, &answer.stderr] {
        assert!(!text.contains(is_odd), "{text:?}");
    }
}

fn evil_error() -> Effect {
    let body = json!({ "errors": [{ "code": format!("UNKNOWN{EVIL}"), "message": format!("evil {EVIL}") }] });
    Effect::Answer(500, vec![("content-type", "application/json".to_owned())], body.to_string())
}

#[test]
fn errors_of_a_server_cannot_write_on_the_terminal() {
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/tags/list"),
        ("GET", "/manifests/old"),
        ("GET", "/blobs/"),
        ("DELETE", "/manifests/"),
    ] {
        let fake = registry();
        fake.fault(Fault::on(method, path).effect(evil_error()));
        for command in COMMANDS {
            for more in [&["--verbose"][..], &["--format", "json"]] {
                let answer = Tool::new().on(&fake, &[&["-D"], command, more].concat());
                is_clean(&answer);
            }
        }
    }
    let fake = registry();
    let plain = vec![("content-type", "text/plain".to_owned())];
    fake.fault(Fault::on("GET", "/v2/").effect(Effect::Answer(500, plain, format!("evil {EVIL}"))));
    let answer = Tool::new().on(&fake, &["ls"]).exits(1).says("evil");
    is_clean(&answer);
}

#[test]
fn contents_of_a_registry_cannot_write_on_the_terminal() {
    let fake = registry();
    fake.quirks(|quirks| quirks.serves_any_type = true);
    fake.change(|contents| {
        let config = json!({ "os": format!("linux{EVIL}"), "architecture": EVIL, "created": EVIL });
        let config = contents.blob("app", config.to_string().as_bytes());
        let config = json!({ "mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 1 });
        let body = json!({
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": config,
            "layers": [],
            "annotations": { EVIL: EVIL },
        });
        let digest = contents.manifest_of("app", DOCKER_MANIFEST, body.to_string().as_bytes());
        contents.tag("app", "evil", &digest);
        let body = json!({ "schemaVersion": 2, "mediaType": format!("application/{EVIL}") });
        let digest = contents.manifest_of("other", DOCKER_MANIFEST, body.to_string().as_bytes());
        contents.tag("other", "evil", &digest);
    });
    for command in [
        &["ls"][..],
        &["verify"],
        &["prune", "--no-gc", "--dry-run", "--keep", "1"],
        &["rm", "-f", "other:evil"],
    ] {
        for more in [&["--verbose"][..], &["--format", "json"]] {
            let answer = Tool::new().on(&fake, &[command, more].concat());
            is_clean(&answer);
        }
    }
}

#[test]
fn a_name_in_a_list_that_is_no_name_is_an_error() {
    let fake = registry();
    fake.change(|contents| {
        contents.repository(&format!("app{EVIL}"));
    });
    let answer = Tool::new().on(&fake, &["prune", "--no-gc", "--force", "--keep", "1"]).exits(1);
    is_clean(&answer);
    assert_eq!(fake.changes(), [""; 0]);
}
