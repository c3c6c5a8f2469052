use super::*;

fn digest(content: &str) -> Digest {
    Digest::of(content.as_bytes())
}

fn hex(content: &str) -> String {
    digest(content).to_string()["sha256:".len()..].to_owned()
}

const FOLDER: &str = "41ed 100 4096 8";

fn file(seconds: i64, size: usize, path: &str) -> String {
    format!("81a4 {seconds} {size} {} ./{path}", size.div_ceil(4096) * 8)
}

fn folder(path: &str) -> String {
    format!("{FOLDER} ./{path}")
}

fn read(told: &[String]) -> StoreView {
    let mut lines = Lines::default();
    assert!(lines.time("1000"));
    lines.read(&format!("{FOLDER} ."));
    for line in told {
        lines.read(line);
    }
    assert!(lines.has_begun());
    lines.finish()
}

fn current(tag: &str) -> String {
    format!("repositories/app/_manifests/tags/{tag}/current/link")
}

fn odd(view: &StoreView) -> Vec<(&str, Option<&str>)> {
    let odd = view.odd.iter();
    odd.map(|odd| (odd.path.as_str(), odd.repository.as_ref().map(Repository::as_str))).collect()
}

#[test]
fn a_whole_store_is_put_together() {
    let (image, layer, earlier) = (hex("image"), hex("layer"), hex("earlier"));
    let blob = format!("blobs/sha256/{}/{layer}", &layer[..2]);
    let upload = "repositories/app/_uploads/0f8fad5b-d9cb-469f-a165-70867728950e";
    let tag = "repositories/app/_manifests/tags/v1";
    let view = read(&[
        folder("repositories"),
        folder("repositories/app"),
        folder("repositories/app/_manifests"),
        folder(tag),
        // The content may come first or last.
        format!("./{tag}/current/link:{}", digest("image")),
        file(500, 71, &current("v1")),
        file(400, 71, &format!("{tag}/index/sha256/{earlier}/link")),
        file(300, 71, &format!("repositories/app/_manifests/revisions/sha256/{image}/link")),
        file(200, 71, &format!("repositories/app/_layers/sha256/{layer}/link")),
        folder(upload),
        file(600, 20, &format!("{upload}/startedat")),
        file(700, 5000, &format!("{upload}/data")),
        folder(&blob),
        file(200, 9000, &format!("{blob}/data")),
        folder("repositories/app/sub"),
    ]);
    assert_eq!(view.now.as_second(), 1000);
    let (name, app) = view.repositories.first_key_value().unwrap();
    assert_eq!((name.as_str(), view.repositories.len()), ("app", 1));
    let stored = &app.tags[&"v1".parse().unwrap()];
    assert_eq!((stored.digest.as_ref(), stored.pushed.as_second()), (Some(&digest("image")), 500));
    assert_eq!(stored.history, [digest("earlier")]);
    assert_eq!(app.revisions[&digest("image")].as_second(), 300);
    assert!(app.layers.contains(&digest("layer")));
    let upload = app.uploads.values().next().unwrap();
    assert_eq!((upload.touched.as_second(), upload.size.0, upload.on_disk.0), (700, 5020, 3 * 4096 + 4096));
    // Its own folder, `_manifests`, that of the tag, and four links.
    assert_eq!(app.on_disk.0, 7 * 4096);
    let blob = view.blobs[&digest("layer")];
    assert_eq!((blob.size.0, blob.on_disk.0), (9000, 4096 + 3 * 4096));
    assert_eq!(view.on_disk.0, (1 + 1 + 7 + 4 + 4 + 1) * 4096);
    assert!(view.odd.is_empty(), "{:?}", view.odd);
}

#[test]
fn links_that_hold_no_digest_are_odd_and_say_nothing() {
    let image = hex("image");
    let revision = format!("repositories/app/_manifests/revisions/sha256/{image}/link");
    let layer = format!("repositories/app/_layers/sha256/{image}/link");
    let view = read(&[
        file(1, 0, &current("empty")),
        file(1, 40, &current("cut")),
        format!("./{}:{}", current("cut"), &digest("image").to_string()[..40]),
        file(1, 71, &current("nonsense")),
        format!("./{}:{}", current("nonsense"), "x".repeat(71)),
        file(1, 71, &current("untold")),
        // It was told before it was written anew, and cut short.
        format!("./{}:{}", current("short"), digest("image")),
        file(1, 72, &current("short")),
        file(1, 0, &revision),
        file(1, 70, &layer),
    ]);
    let app = view.repositories.values().next().unwrap();
    assert_eq!(app.tags.len(), 5);
    assert!(app.tags.values().all(|tag| tag.digest.is_none()));
    assert!(app.revisions.is_empty() && app.layers.is_empty());
    let paths = ["cut", "empty", "nonsense", "short", "untold"].map(current);
    let mut expected: Vec<_> = paths.iter().map(|path| (path.as_str(), Some("app"))).collect();
    expected.insert(0, (&layer, Some("app")));
    expected.insert(1, (&revision, Some("app")));
    assert_eq!(odd(&view), expected);
}

#[test]
fn what_is_not_the_registrys_is_odd_and_nothing_is_followed() {
    let view = read(&[
        "a1ff 1 9 0 ./repositories/elsewhere".to_owned(),
        "a1ff 1 9 0 ./repositories/app/_manifests/tags/v1/current/link".to_owned(),
        "a1ff 1 9 0 ./blobs/sha256/aa".to_owned(),
        folder("repositories/Not A Name"),
        folder("repositories/Not A Name/_manifests"),
        file(1, 71, "repositories/Not A Name/_manifests/link"),
        file(1, 3, "repositories/app/_manifests/README"),
        file(1, 3, "notes.txt"),
        "? ./repositories/app/_layers".to_owned(),
        "? ./blobs".to_owned(),
        "nonsense".to_owned(),
    ]);
    let expected = [
        ("blobs", None),
        ("blobs/sha256/aa", None),
        ("nonsense", None),
        ("notes.txt", None),
        ("repositories/Not A Name", None),
        ("repositories/app/_layers", Some("app")),
        ("repositories/app/_manifests/README", Some("app")),
        ("repositories/app/_manifests/tags/v1/current/link", Some("app")),
        ("repositories/elsewhere", None),
    ];
    assert_eq!(odd(&view), expected);
    assert!(view.repositories.is_empty() && view.blobs.is_empty());
    // Foreign files take space all the same.
    assert_eq!(view.on_disk.0, 4096 * 6);
}

#[test]
fn a_tag_is_listed_by_its_folder_and_as_young_as_can_be() {
    let view = read(&[
        folder("repositories/app/_manifests/tags/empty"),
        format!("./{}:{}", current("fleeting"), digest("image")),
    ]);
    let tags = &view.repositories.values().next().unwrap().tags;
    assert_eq!(tags[&"empty".parse().unwrap()].digest, None);
    let fleeting = &tags[&"fleeting".parse().unwrap()];
    assert_eq!((fleeting.digest.as_ref(), fleeting.pushed.as_second()), (Some(&digest("image")), 1000));
}

#[test]
fn digests_of_another_algorithm_are_read() {
    let long = "ab".repeat(64);
    let view = read(&[
        file(7, 135, &format!("repositories/app/_manifests/revisions/sha512/{long}/link")),
        file(7, 71, &format!("repositories/app/_layers/sha512/{long}/link")),
        file(7, 10, &format!("blobs/sha512/ab/{long}/data")),
    ]);
    let expected: Digest = format!("sha512:{long}").parse().unwrap();
    assert!(view.repositories.values().next().unwrap().revisions.contains_key(&expected));
    assert!(view.blobs.contains_key(&expected));
    assert_eq!(view.odd.len(), 1);
}

#[test]
fn blobs_that_were_not_told_are_asked_for() {
    let mut lines = Lines::default();
    assert!(lines.time("1000"));
    for content in ["seen", "unseen"] {
        let hex = hex(content);
        lines.read(&file(1, 71, &format!("repositories/app/_layers/sha256/{hex}/link")));
    }
    let seen = hex("seen");
    lines.read(&file(1, 4, &format!("blobs/sha256/{}/{seen}/data", &seen[..2])));
    assert_eq!(lines.unseen_blobs().into_iter().collect::<Vec<_>>(), [&digest("unseen")]);
    assert!(!lines.has_begun());
}
