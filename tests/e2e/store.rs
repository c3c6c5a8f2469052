//! What a registry holds, read from the files of its store: the same as the registry says of itself, with less asking,
//! and whatever is odd among the files stays and hides nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::content::{DOCKER_LIST, Recipe, index, layer};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

const REPOSITORIES: &str = "/var/lib/registry/docker/registry/v2/repositories";

/// What `ls` says, but for the times of pushes, which only the store tells.
fn listed(registry: &Registry, source: &str) -> Value {
    let answer = Tool::standalone().run(&[
        "ls",
        "--format",
        "json",
        "--source",
        source,
        "--container",
        &registry.name,
        "--registry",
        &registry.address,
    ]);
    let mut document = answer.json();
    for tag in document["tags"].as_array_mut().expect("tags") {
        let is_told = tag["pushed"].is_string();
        assert_eq!(is_told, source != "api", "{tag}\n{answer}");
        tag["pushed"] = Value::Null;
    }
    document
}

#[track_caller]
fn agrees(registry: &Registry, what: &str) {
    let (store, api) = (listed(registry, "store"), listed(registry, "api"));
    assert_eq!(store, api, "{what}: the store (left) and the registry (right) differ");
}

/// What is planned, and what is kept, by one source.
fn planned(registry: &Registry, source: &str) -> Value {
    let words = ["prune", "--dry-run", "--no-gc", "--keep", "1", "--min-age", "none", "--max-delete", "100%"];
    let more = ["--allow-empty", "--format", "json", "--source", source, "--registry", &registry.address];
    Tool::standalone().run(&[&words[..], &more].concat()).json()
}

/// Numbers that look like chance, and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// Tags that share digests, indexes over images with and without tags, nested repositories and odd names, tags that
/// moved, manifests and repositories that were emptied, attachments of what is there and of what is not.
fn fill(registry: &Registry, seed: u64) {
    let client = &registry.client;
    let mut chance = Chance(seed);
    let names = ["app", "app/sub", "app/sub/0deep", "a_b/c__d", "a-b/x.y", "team/manifests/tags", "zz"];
    let images: Vec<_> = (0..6)
        .map(|number| {
            let shared = layer(&format!("shared {}", number % 2), 2000);
            let recipe = Recipe::new(&format!("store {seed} {number}")).layer(&shared);
            let recipe = if number % 3 == 0 { recipe.oci() } else { recipe };
            if number % 2 == 0 { recipe.architecture("arm64").build() } else { recipe.build() }
        })
        .collect();
    for name in names {
        for _ in 0..chance.below(6) {
            let image = &images[chance.below(images.len())];
            match chance.below(6) {
                0 => {
                    let other = &images[chance.below(images.len())];
                    client.push_index(name, &format!("index-{}", chance.below(2)), &[image, other]);
                }
                1 => {
                    let list = index(DOCKER_LIST, &[image]);
                    client.push(name, &["part"], image);
                    client.put_manifest(name, "list", &list);
                }
                2 => client.push(name, &["current", "index", "link"], image),
                3 => client.push(name, &["_layers", "_uploads", "_manifests", "sha256"], image),
                4 => {
                    let subject = images[chance.below(images.len())].manifest.digest.replace(':', "-");
                    client.push(name, &[&format!("{subject}.sig")], image);
                }
                _ => client.push(name, &[&format!("v{}", chance.below(3))], image),
            }
        }
        // What an index needs goes from under it, or a tag with its manifest.
        if chance.below(3) == 0 {
            let image = &images[chance.below(images.len())];
            client.push(name, &["gone"], image);
            client.delete(name, &image.manifest.digest);
        }
    }
    let emptied = Recipe::new("store, emptied").build();
    client.push("emptied", &["1"], &emptied);
    client.delete("emptied", &emptied.manifest.digest);
}

#[test]
fn the_store_and_the_registry_say_the_same() {
    if left_out() {
        return;
    }
    for seed in 1..=6 {
        let registry = Registry::start();
        fill(&registry, seed);
        agrees(&registry, &format!("seed {seed}"));
        let (store, api) = (planned(&registry, "store"), planned(&registry, "api"));
        assert_eq!(store["repositories"], api["repositories"], "seed {seed}");
    }
}

/// With pushes under way a tag may be where it was when the reading began, where it is when that ends, or anywhere that
/// it was meanwhile; and nothing else. Distribution writes the folder of a tag before its link, and the link in place: for
/// that moment it has none to be read.
#[test]
fn while_there_are_pushes_they_differ_by_what_was_pushed_meanwhile() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let pushed: Mutex<Vec<String>> = Mutex::default();
    let push = |tag: &str| {
        let number = pushed.lock().expect("the pushes").len();
        let image = Recipe::new(&format!("racing {number}")).build();
        pushed.lock().expect("the pushes").push(image.manifest.digest.clone());
        registry.client.push("app", &["moving", tag], &image);
        registry.client.push(&format!("other/{number}"), &["new"], &image);
    };
    // For each tag, at which of the images it is; `None` within a push.
    let read = |source: &str| -> BTreeMap<String, Option<usize>> {
        let lines = tags(&registry, source);
        let pushed = pushed.lock().expect("the pushes");
        let place = |line: String| {
            let (tag, digest) = line.rsplit_once(" at ").expect("a tag and its digest");
            let at = pushed.iter().position(|known| known == digest);
            assert!(at.is_some() || digest == UNREADABLE, "{line}: nobody pushed that");
            (tag.to_owned(), at)
        };
        lines.into_iter().map(place).collect()
    };
    push("stays");
    let is_over = AtomicBool::new(false);
    let mut raced = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                push(&format!("new-{number}"));
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let _over = Over(&is_over);
        for _ in 0..5 {
            let (before, store, after) = (read("api"), read("store"), read("api"));
            for (tag, at) in &store {
                let (first, last) = (before.get(tag).copied().flatten(), after.get(tag));
                let raced = format!(
                    "`{tag}` raced: at image {at:?} in the store, {first:?} before by the registry, {last:?} after"
                );
                let is_late = last.is_none_or(|last| last.is_some() && at > last);
                assert!(!is_late && (at.is_none() || first <= *at), "{raced}");
            }
            let lost: Vec<_> = before.keys().filter(|tag| !store.contains_key(*tag)).collect();
            assert!(lost.is_empty(), "in the registry before, and not in the store: {lost:?}");
            raced += usize::from(before != after);
        }
    });
    assert!(raced > 0, "nothing raced");
    assert_eq!(read("api"), read("store"));
}

/// Whatever happens, the pushes end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn planning_asks_the_registry_no_more_with_more_tags() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let asked = |source: &str| {
        let before = registry.requests().len();
        planned(&registry, source);
        registry.requests().len() - before
    };
    for tag in ["v1", "v2"] {
        registry.client.push("app", &[tag], &Recipe::new(&format!("few {tag}")).build());
    }
    let few = asked("auto");
    for number in 3..30 {
        let image = Recipe::new(&format!("many {number}")).build();
        registry.client.push("app", &[&format!("v{number}")], &image);
        registry.client.push(&format!("other/{number}"), &["v1"], &image);
    }
    assert_eq!(asked("auto"), few);
    assert!(asked("api") > 60);
}

/// A listing with one thing wrong in the store says all the rest, and leaves the files as they are.
#[test]
fn what_is_odd_in_the_store_is_left_and_hides_nothing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("among odd things").build();
    for repository in ["app", "team/app", "odd"] {
        registry.client.push(repository, &["kept", "other"], &image);
    }
    let tag = format!("{REPOSITORIES}/odd/_manifests/tags/broken/current");
    let other = Recipe::new("broken").build();
    let hex = other.manifest.digest.trim_start_matches("sha256:");
    for (what, damage) in [
        ("a foreign file", format!("echo x > {REPOSITORIES}/odd/_manifests/README")),
        ("a foreign file beside", format!("echo x > {STORE}/notes.txt; mkdir -p {STORE}/lost+found/x")),
        ("a link out of the store", format!("ln -s /etc/passwd {REPOSITORIES}/odd/_manifests/tags/passwd")),
        (
            "a repository elsewhere",
            format!("mv {REPOSITORIES}/team /tmp/team && ln -s /tmp/team {REPOSITORIES}/team"),
        ),
        (
            "tags elsewhere",
            format!(
                "mv {REPOSITORIES}/odd/_manifests/tags /tmp/t && ln -s /tmp/t {REPOSITORIES}/odd/_manifests/tags"
            ),
        ),
        ("a folder that is no repository", format!("mkdir -p '{REPOSITORIES}/No Name/x'")),
        ("a name with a line break", format!("touch \"$(printf '{REPOSITORIES}/odd/_layers/a\\nb')\"")),
        ("an empty link", format!("mkdir -p {tag}; : > {tag}/link")),
        ("a short link", format!("printf sha256:abc > {tag}/link")),
        ("a link to nowhere", format!("printf {} > {tag}/link", other.manifest.digest)),
        ("a tag without a link", format!("rm {tag}/link")),
        (
            "a revision without content",
            format!(
                "d={REPOSITORIES}/odd/_manifests/revisions/sha256/{hex}; mkdir -p $d; printf sha256:{hex} > $d/link"
            ),
        ),
        (
            "a revision with an empty link",
            format!(": > {REPOSITORIES}/odd/_manifests/revisions/sha256/{hex}/link"),
        ),
        (
            "a content that is cut",
            format!(
                "d={STORE}/blobs/sha256/{}/{hex}; mkdir -p $d; echo '{{' > $d/data; \
             printf sha256:{hex} > {REPOSITORIES}/odd/_manifests/revisions/sha256/{hex}/link",
                &hex[..2]
            ),
        ),
    ] {
        registry.shell(&damage);
        let files = registry.shell(&format!("find {STORE} /tmp | sort | sha256sum"));
        let (store, api) = (tags(&registry, "store"), tags(&registry, "api"));
        assert_eq!(store, api, "after {what}: the store (left) and the registry (right) differ");
        let words = ["ls", "--registry", &registry.address];
        Tool::standalone().run(&words).says("left alone in the store");
        assert!(store.iter().any(|line| line.contains("app:kept at sha256:")), "{what}: {store:#?}");
        assert_eq!(registry.shell(&format!("find {STORE} /tmp | sort | sha256sum")), files, "{what}");
    }
}

const UNREADABLE: &str = "nothing that can be read";

/// Each tag with its digest, or that it has none to be read.
fn tags(registry: &Registry, source: &str) -> Vec<String> {
    let words = ["ls", "--format", "json", "--source", source, "--registry", &registry.address];
    let document = Tool::standalone().run(&words).json();
    let tags = document["tags"].as_array().expect("tags").iter().map(|tag| {
        let at = tag["digest"].as_str().unwrap_or(UNREADABLE);
        format!(
            "{}:{} at {at}",
            tag["repository"].as_str().unwrap_or_default(),
            tag["tag"].as_str().unwrap_or_default()
        )
    });
    tags.collect()
}

#[test]
fn an_image_without_tools_is_read_by_its_archive() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    fill(&registry, 7);
    // The registry goes on without the programs.
    registry.shell("rm /bin/busybox");
    agrees(&registry, "without tools");
    let before = registry.requests().len();
    planned(&registry, "auto");
    assert!(registry.requests().len() - before > 20, "it was to be asked by its API");
}

/// As the kernel does when memory runs out: what was told by then is not the store.
#[test]
fn a_walk_that_is_killed_is_not_taken_for_the_whole_store() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    fill(&registry, 3);
    let whole = tags(&registry, "api");
    // The shell has its own `find`, so it is the shell that is killed.
    let shell = "#!/bin/busybox ash\n\
                 case $2 in *'exec find'*) busybox ash \"$@\" | busybox head -n 9; kill -9 $$;; esac\n\
                 exec busybox ash \"$@\"\n";
    registry.shell(&format!("cat > /tmp/sh <<'end'\n{shell}end\nchmod +x /tmp/sh && mv /tmp/sh /bin/sh"));
    let words = ["ls", "--source", "store", "--registry", &registry.address];
    Tool::standalone().run(&words).exits(1).says("`find` ended with 137");
    assert_eq!(tags(&registry, "auto"), whole);
}

#[test]
fn a_container_that_is_another_registry_is_not_read_in_its_place() {
    if left_out() {
        return;
    }
    let (registry, other) = (Registry::start(), Registry::start());
    registry.client.push("app", &["1", "2"], &Recipe::new("the right one").build());
    other.client.push("app", &["1", "2"], &Recipe::new("the wrong one").build());
    let words = ["ls", "--registry", &registry.address, "--container", &other.name, "--format", "json"];
    let tool = Tool::standalone();
    let refused = tool.run(&[&words[..], &["--source", "store"]].concat());
    assert_eq!(refused.code, Some(4), "{refused}");
    refused.says("does not hold what");
    assert_eq!(
        tool.run(&words).json()["tags"],
        tool.run(&[&words[..], &["--source", "api"]].concat()).json()["tags"]
    );
}

#[test]
fn the_store_of_a_stopped_container_is_read_without_a_trace() {
    if left_out() {
        return;
    }
    let registry = Options::default().start();
    registry.client.push("app", &["1"], &Recipe::new("beside").build());
    // A second server on its files answers for it.
    let second = Options::default().volumes_from(&registry.name).start();
    docker_says(["stop", &registry.name]);
    let before = docker_says(["ps", "--all", "--format", "{{.Names}}", "--filter", "name=reader"]);
    let words = [
        "ls",
        "--source",
        "store",
        "--registry",
        &second.address,
        "--container",
        &registry.name,
        "--format",
        "json",
    ];
    let document = Tool::standalone().run(&words).json();
    assert_eq!(document["tags"].as_array().map(Vec::len), Some(1), "{document}");
    assert_ne!(document["tags"][0]["pushed"], json!(null));
    let after = docker_says(["ps", "--all", "--format", "{{.Names}}", "--filter", "name=reader"]);
    assert!(after.is_empty() || after == before, "{after}");
}
