//! Where the space is, from the files of a real store: by the numbers of `du`, and by what a deletion really frees.

use reqwest::Method;
use serde_json::Value;

use crate::support::content::{Content, Recipe, layer};
use crate::support::engine::left_out;
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

fn df(registry: &Registry) -> Value {
    let answer = Tool::standalone().run(&["df", "--format", "json", "--registry", &registry.address]);
    let document = answer.success().json();
    assert!(document["onDisk"].is_object(), "the store was not read: {document:#}");
    document
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn disk_usage(registry: &Registry) -> u64 {
    let line = registry.shell(&format!("du -sk {STORE}"));
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("du prints a number")
}

/// The bytes of all blobs.
fn content(registry: &Registry) -> u64 {
    let sizes = registry.shell(&format!("find {STORE}/blobs -name data -exec stat -c %s {{}} +"));
    sizes.lines().map(|size| size.parse::<u64>().expect("stat prints a number")).sum()
}

fn garbage<'a>(document: &'a Value, kind: &str) -> &'a Value {
    let kinds = document["garbage"].as_array().expect("a list");
    kinds.iter().find(|of| of["kind"] == kind).expect("the kind")
}

fn size(contents: &[&Content]) -> u64 {
    contents.iter().map(|content| content.bytes.len() as u64).sum()
}

#[track_caller]
fn assert_adds_up(registry: &Registry, document: &Value) {
    let on_disk = &document["onDisk"];
    let measured = disk_usage(registry);
    let told = number(&on_disk["bytes"]) / 1024;
    assert!(told.abs_diff(measured) <= 4, "{told} KiB told, {measured} KiB by du");
    let parts =
        ["inUseBytes", "garbageBytes", "uploadBytes", "overheadBytes"].map(|part| number(&on_disk[part]));
    assert_eq!(parts.iter().sum::<u64>(), number(&on_disk["bytes"]), "{on_disk}");
    let kinds = ["orphaned-attachments", "untagged-manifests", "unreferenced-blobs"];
    let dead: u64 = kinds.iter().map(|kind| number(&garbage(document, kind)["reclaimableBytes"])).sum();
    assert_eq!(number(&document["inUseBytes"]) + dead, content(registry), "{document:#}");
}

#[test]
fn the_sum_is_that_of_du_and_garbage_is_told_by_kind() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let client = &registry.client;
    let base = layer("df base", 300_000);
    let image =
        |seed: &str| Recipe::new(seed).layer(&base).layer(&layer(&format!("{seed} layer"), 40_000)).build();
    let (first, second) = (image("df first"), image("df second"));
    client.push("app", &["latest"], &first);
    client.push("app", &["latest"], &second);
    client.push("team/copy", &["1"], &second);
    client.leave_garbage("emptied", "df");
    let subject = Recipe::new("df subject").build();
    let signature = Recipe::new("df signature").build();
    let tag = format!("sha256-{}.sig", subject.manifest.digest.trim_start_matches("sha256:"));
    client.push("app", &["signed"], &subject);
    client.push("app", &[&tag], &signature);
    client.delete("app", &subject.manifest.digest);
    let begun = client.send(&Method::POST, "/v2/app/blobs/uploads/", None).expect("begin an upload");
    let id = begun.headers["docker-upload-uuid"].to_str().expect("an id");
    registry.shell(&format!(
        "then=$(($(date +%s) - 30 * 3600)); find {STORE}/repositories/app/_uploads/{id} -exec touch -h -d @$then {{}} +"
    ));
    let _ = client.send(&Method::POST, "/v2/app/blobs/uploads/", None).expect("begin an upload");

    let document = df(&registry);
    assert_adds_up(&registry, &document);
    let kind = |name: &str| {
        let of = garbage(&document, name);
        (number(&of["total"]), number(&of["reclaimableBytes"]))
    };
    let untagged = size(&[&first.manifest, &first.config, &first.layers[1]]);
    assert_eq!(kind("untagged-manifests"), (1, untagged), "{document:#}");
    let orphan = size(&[&signature.manifest, &signature.config, &signature.layers[0]]);
    assert_eq!(kind("orphaned-attachments"), (1, orphan));
    let lost = Recipe::new("df garbage").build();
    let lost = [&lost, &subject].map(|image| size(&[&image.manifest, &image.config, &image.layers[0]]));
    assert_eq!(kind("unreferenced-blobs"), (6, lost.iter().sum()));
    assert_eq!(kind("unfinished-uploads").0, 2);
    assert_eq!(kind("empty-repositories").0, 1);
    let shared = size(&[&second.manifest, &second.config, &second.layers[0], &second.layers[1]]);
    assert_eq!(number(&document["sharedBytes"]), shared);

    let answer = Tool::standalone().run(&["df", "-v", "--registry", &registry.address]).success();
    assert!(answer.stdout.contains("On disk: "), "{answer}");
}

#[test]
fn unique_is_what_a_deletion_frees_to_the_byte() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let base = layer("df unique base", 100_000);
    for (repository, tag) in [("app", "1"), ("app", "2"), ("other", "1")] {
        let seed = format!("df unique {repository} {tag}");
        let image = Recipe::new(&seed).layer(&base).layer(&layer(&seed, 30_000)).build();
        registry.client.push(repository, &[tag], &image);
        registry.client.push(repository, &[&format!("{tag}-alias")], &image);
    }
    for removed in [&["app:1-alias"][..], &["app:1"], &["other"]] {
        let before = df(&registry);
        let whole = content(&registry);
        let unique = |named: &str| {
            let (repository, tag) =
                named.split_once(':').map_or((named, None), |(name, tag)| (name, Some(tag)));
            let find = |list: &Value, key: &str, name: &str| {
                list.as_array().expect("a list").iter().find(|of| of[key] == name).expect("it").clone()
            };
            let of = find(&before["repositories"], "repository", repository);
            number(&tag.map_or(of.clone(), |tag| find(&of["tags"], "tag", tag))["uniqueBytes"])
        };
        let told: u64 = removed.iter().map(|named| unique(named)).sum();
        let references: Vec<String> = removed.iter().map(|named| registry.reference(named)).collect();
        let words = ["rm", "--gc", "--force"].into_iter().chain(references.iter().map(String::as_str));
        Tool::standalone().run(&words.collect::<Vec<_>>()).success();
        assert_eq!(whole - content(&registry), told, "{removed:?}");
    }
    registry.assert_pulls("app", ["2"]);
}

/// The store is walked in several parts at the same time: what looks like one of them lies in another.
#[test]
fn whatever_lies_where_it_is_counted_once() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["_layers", "_uploads", "index"], &Recipe::new("in parts").build());
    for folder in [
        "_manifests/tags/x",
        "blobs/_manifests/tags/x",
        "other/_manifests/tags/x/_layers/y",
        "repositories/_manifests/tags/x",
        "repositories/app/_manifests/tags_x/deep/_layers/y",
        "repositories/app/_manifests/tags/x/_uploads/_manifests/tags/y",
        "repositories/app/_layers/x/_manifests/tags/y/_layers/z",
        "repositories/app/_uploads/x/_manifests/tags/y",
        "repositories/app/_manifests/revisions/x/_manifests/tags/y",
        "repositories/tags/_manifests/tags/revisions/_manifests/revisions/x",
    ] {
        registry.shell(&format!("mkdir -p {STORE}/{folder} && echo x > {STORE}/{folder}/file"));
        let (told, measured) = (number(&df(&registry)["onDisk"]["bytes"]) / 1024, disk_usage(&registry));
        assert_eq!(told, measured, "with {folder}: KiB told, and KiB by du");
    }
}
