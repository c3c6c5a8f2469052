//! The page of `df --html` in a real browser, with a real mouse and keyboard as far as it can tell.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::browser::{Browser, left_out};
use crate::fake_registry::FakeRegistry;
use crate::run::{CREATED, Tool};

fn page(tool: &Tool, fake: &FakeRegistry) -> PathBuf {
    let _ = tool.on(fake, &["df", "--html", "df.html"]).exits(0);
    tool.path("df.html")
}

fn filled(text: &str, kilobytes: usize) -> String {
    let line = format!("{text} ");
    line.repeat(kilobytes * 1000 / line.len() + 1)
}

/// A layer in all images; two tags of `shop/api` share another.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let (base, runtime) = (filled("base", 300), filled("runtime", 150));
    for (repository, tag, kilobytes) in
        [("shop/api", "v1", 200), ("shop/api", "v2", 100), ("shop/web", "v1", 400), ("tools/lint", "v1", 60)]
    {
        let own = filled(&format!("{repository}:{tag}"), kilobytes);
        let layers =
            if repository == "shop/api" { vec![&*base, &*runtime, &*own] } else { vec![&*base, &*own] };
        fake.image(repository, tag, CREATED, &layers);
    }
    let newest = fake.change(|contents| contents.repository("shop/api").tags["v2"].clone());
    fake.tag("shop/api", "latest", &newest);
    fake.image("shop/web", &format!("sha256-{}.sig", "0".repeat(64)), CREATED, &[&filled("signature", 40)]);
    fake
}

/// The tiles of the map as `(first line, width, height, classes)`.
fn tiles(browser: &Browser) -> Vec<(String, f64, f64, String)> {
    let tiles = browser.value(
        "[...document.querySelectorAll('#map .tile')].map((tile) => {
           const box = tile.getBoundingClientRect();
           return [tile.querySelector('b').textContent, box.width, box.height, tile.className]; })",
    );
    let tiles = tiles.as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("text").trim().to_owned();
    let number = |value: &Value| value.as_f64().expect("a number");
    tiles.map(|tile| (text(&tile[0]), number(&tile[1]), number(&tile[2]), text(&tile[3]))).collect()
}

fn names(browser: &Browser) -> Vec<String> {
    tiles(browser).into_iter().map(|(name, ..)| name).collect()
}

/// Waits until the page shows this place.
#[track_caller]
fn arrive(browser: &Browser, place: &[&str]) {
    let shown =
        "JSON.stringify([...document.querySelectorAll('#crumbs li')].slice(1).map((one) => one.textContent))";
    browser.wait_for(&format!("{shown} === {}", json!(json!(place).to_string())));
}

#[test]
fn the_map_is_drawn_to_scale() {
    if left_out() {
        return;
    }
    let (tool, fake) = (Tool::new(), registry());
    let browser = Browser::open(&page(&tool, &fake));
    let tiles = tiles(&browser);
    let names: Vec<&str> = tiles.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["shop/api", "shop/web", "shared between repositories", "tools/lint", "garbage"]);
    let area = |number: usize| (tiles[number].1 + 2.0) * (tiles[number].2 + 2.0);
    let all: f64 = (0..tiles.len()).map(area).sum();
    let map = browser
        .value("document.getElementById('map').clientWidth * document.getElementById('map').clientHeight");
    let map = map.as_f64().expect("an area");
    assert!((all / map - 1.0).abs() < 0.01, "{all} of {map}");
    // 450 kB of layers, 401, 300, 60 and 40, and of configs and manifests hardly anything.
    for (number, kilobytes) in [(0, 453.0), (1, 401.0), (2, 300.0), (3, 61.0), (4, 41.0)] {
        let share = area(number) / all * 1256.0;
        assert!((share / kilobytes - 1.0).abs() < 0.03, "{}: {share} for {kilobytes}", tiles[number].0);
    }
    let overlap = browser.value(
        "(() => { const boxes = [...document.querySelectorAll('#map .tile')].map((tile) => tile.getBoundingClientRect());
           return boxes.some((a, i) => boxes.some((b, j) => i < j &&
             a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)); })()",
    );
    assert_eq!(overlap, false);
    assert!(tiles[2].3.contains("shared") && tiles[4].3.contains("garbage"), "{tiles:?}");
    assert_eq!(browser.events("Runtime.exceptionThrown"), [Value::Null; 0]);
    assert_eq!(browser.events("Log.entryAdded"), [Value::Null; 0]);
}

#[test]
fn clicks_lead_to_the_layers_and_back() {
    if left_out() {
        return;
    }
    let (tool, fake) = (Tool::new(), registry());
    let browser = Browser::open(&page(&tool, &fake));
    browser.click("#map .tile", "shop/api");
    arrive(&browser, &["shop/api"]);
    assert_eq!(
        names(&browser),
        ["shared with other repositories", "v1", "shared between its tags", "latest, v2"]
    );
    browser.hover("#map .tile", "shared between");
    browser.wait_for("!document.getElementById('tip').hidden");
    let tip = browser.value("document.getElementById('tip').textContent");
    assert!(tip.as_str().is_some_and(|tip| tip.contains("Several tags of shop/api need it")), "{tip}");

    browser.click("#map .tile", "latest, v2");
    arrive(&browser, &["shop/api", "latest, v2"]);
    assert_eq!(browser.value("location.hash"), "#shop/api:latest");
    let rows = browser.value("[...document.querySelectorAll('#table tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent).slice(1))");
    assert_eq!(rows[0], json!(["layer", "shared with 3 tags", "300kB"]));
    assert_eq!(rows[1], json!(["layer", "shared with 1 tag", "150kB"]));
    assert_eq!(rows[2][1], json!("only here"));
    assert_eq!(rows.as_array().map(Vec::len), Some(5), "three layers, a config and a manifest: {rows}");
    let shared = tiles(&browser).into_iter().filter(|(_, _, _, classes)| classes.contains("shared"));
    assert_eq!(shared.count(), 2);

    browser.click("#crumbs a", "shop/api");
    arrive(&browser, &["shop/api"]);
    browser.click("#table a", "v1");
    arrive(&browser, &["shop/api", "v1"]);
    browser.click("#crumbs a", &fake.host());
    arrive(&browser, &[]);
    browser.click("#map .tile", "garbage");
    arrive(&browser, &["garbage"]);
    assert_eq!(names(&browser), ["Orphaned attachments"]);
    browser.ask("Page.navigateToHistoryEntry", &{
        let history = browser.ask("Page.getNavigationHistory", &json!({}));
        let current =
            history["currentIndex"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("a place");
        json!({ "entryId": history["entries"][current - 1]["id"] })
    });
    arrive(&browser, &[]);
}

#[test]
fn the_keyboard_is_enough() {
    if left_out() {
        return;
    }
    let (tool, fake) = (Tool::new(), registry());
    let browser = Browser::open(&page(&tool, &fake));
    let focused = || browser.value("document.activeElement.getAttribute('aria-label')");
    browser.press("Tab");
    assert!(focused().as_str().is_some_and(|label| label.starts_with("shop/api, 4")), "{}", focused());
    browser.press("Tab");
    assert!(focused().as_str().is_some_and(|label| label.starts_with("shop/web")), "{}", focused());
    browser.press("Enter");
    arrive(&browser, &["shop/web"]);
    browser.wait_for("document.activeElement.classList.contains('tile')");
    browser.press("Enter");
    arrive(&browser, &["shop/web", "v1"]);
    browser.press("Backspace");
    arrive(&browser, &["shop/web"]);
    browser.press("Backspace");
    arrive(&browser, &[]);
    browser.press("Backspace");
    arrive(&browser, &[]);
}

#[test]
fn nothing_leaves_the_page() {
    if left_out() {
        return;
    }
    let (tool, fake) = (Tool::new(), registry());
    let page = page(&tool, &fake);
    let browser = Browser::open(&page);
    browser.click("#map .tile", "shop/web");
    arrive(&browser, &["shop/web"]);
    let asked: Vec<Value> = browser
        .events("Network.requestWillBeSent")
        .into_iter()
        .map(|event| event["request"]["url"].clone())
        .collect();
    assert_eq!(asked, [json!(format!("file://{}", page.display()))]);

    // Even what were put into it could not: its policy is in force.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("no waiting");
    let outside = json!(format!("http://{}/", listener.local_addr().expect("an address")));
    let ended = browser.value(&format!(
        "new Promise((done) => {{
           const image = new Image();
           image.onerror = () => fetch({outside}).then(() => done('sent'), () => done('refused'));
           image.onload = () => done('loaded');
           image.src = {outside};
           setTimeout(() => done('waits for an answer'), 5000);
         }})"
    ));
    assert_eq!(ended, "refused");
    let script = browser.value(
        "(() => { const script = document.createElement('script'); script.textContent = 'window.isIn = true';
           document.body.append(script); return window.isIn === true; })()",
    );
    assert_eq!(script, false, "a script that is not the page's own");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(listener.accept().expect_err("nobody calls").kind(), ErrorKind::WouldBlock);
    assert!(!browser.events("Log.entryAdded").is_empty(), "the policy says what it refused");
}

#[test]
fn it_follows_the_colours_of_the_system() {
    if left_out() {
        return;
    }
    let (tool, fake) = (Tool::new(), registry());
    let browser = Browser::open(&page(&tool, &fake));
    let colours = |scheme: &str| {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.ask("Emulation.setEmulatedMedia", &features);
        browser.value("[getComputedStyle(document.documentElement).backgroundColor, getComputedStyle(document.body).color]")
    };
    assert_eq!(colours("light"), json!(["rgb(245, 246, 248)", "rgb(23, 32, 44)"]));
    assert_eq!(colours("dark"), json!(["rgb(14, 19, 26)", "rgb(228, 233, 240)"]));
}

#[test]
fn many_small_tiles_become_one_and_many_images_are_counted() {
    if left_out() {
        return;
    }
    let fake = FakeRegistry::spawn();
    fake.image("ci", "large", CREATED, &[&filled("large", 2000)]);
    for number in 0..400 {
        fake.image("ci", &format!("build-{number}"), CREATED, &[&number.to_string()]);
    }
    let tool = Tool::new();
    let browser = Browser::open(&page(&tool, &fake));
    browser.click("#map .tile", "ci");
    arrive(&browser, &["ci"]);
    let names = names(&browser);
    assert_eq!(names.first().map(String::as_str), Some("large"));
    assert_eq!(names.iter().filter(|name| name.ends_with(" more")).count(), 1, "{names:?}");
    assert_eq!(browser.value("document.querySelectorAll('#table tbody tr').length"), 300);
    assert_eq!(
        browser.value("document.getElementById('note').textContent"),
        "Not in this page: 101 more images."
    );
}

/// `UPDATE_PICTURE=1` makes the picture of the README anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
fn the_picture_of_the_readme_is_a_small_png() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page/df.png");
    if std::env::var_os("UPDATE_PICTURE").is_some() {
        let fake = gallery();
        let tool = Tool::new();
        let browser = Browser::open(&page(&tool, &fake));
        browser.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": 1180, "height": 790, "deviceScaleFactor": 1, "mobile": false }),
        );
        let address = json!(fake.host());
        browser.value(&format!(
            "for (const one of document.querySelectorAll('h1, #crumbs span'))
               if (one.textContent === {address}) one.textContent = '127.0.0.1:5000';"
        ));
        let picture = browser.ask("Page.captureScreenshot", &json!({ "format": "png" }));
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        fs::write(&path, picture).expect("write the picture");
    }
    let picture = fs::read(&path).expect("the picture");
    assert!(picture.starts_with(b"\x89PNG") && picture.len() <= 150_000, "{} bytes", picture.len());
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    assert!(readme.contains("(tests/it/page/df.png)"));
}

/// A registry as there are many, at a thousandth of its size.
fn gallery() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let base = filled("debian", 2900);
    for (repository, runtime, builds, kilobytes) in [
        ("shop/api", 1400, 9, 420),
        ("shop/web", 900, 7, 640),
        ("shop/worker", 1400, 5, 310),
        ("data/notebooks", 5200, 3, 1900),
        ("data/etl", 2100, 4, 520),
        ("ml/train", 7400, 2, 2600),
        ("tools/lint", 240, 6, 60),
        ("tools/ci", 1100, 5, 180),
        ("infra/proxy", 130, 6, 40),
        ("infra/backup", 310, 3, 90),
    ] {
        let runtime = filled(&format!("runtime of {repository}"), runtime);
        for build in 1..=builds {
            let own = filled(&format!("{repository} {build}"), kilobytes * (7 + build) / 10);
            let created = format!("2026-0{}-1{}T08:00:00Z", 1 + build / 2, build % 9);
            fake.image(repository, &format!("v1.{build}"), &created, &[&base, &runtime, &own]);
        }
    }
    for number in 0..3 {
        let subject = format!("{number}").repeat(64);
        fake.image("shop/api", &format!("sha256-{subject}.sbom"), CREATED, &[&filled(&subject, 620)]);
    }
    fake
}
