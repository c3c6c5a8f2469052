use super::*;
use crate::usage::tests::world::{World, now};

#[test]
fn data_cannot_leave_its_place() {
    let data = json!({ "name": "</script><!-- & \u{2028}\u{2029} -->" });
    let text = inert(&data);
    assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), data);
}

#[test]
fn the_page_is_small_and_names_nothing_outside() {
    let parts = [TEMPLATE, STYLE, SCRIPT];
    assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= 25_000);
    for part in parts {
        for outside in ["http:", "https:", "//cdn", "src=", "url(", "import", "fetch(", "innerHTML", "eval"] {
            assert!(!part.contains(outside), "{outside}");
        }
    }
}

/// What is left out is counted, so that sums and areas stay right.
#[test]
fn the_page_of_a_large_registry_stays_small() {
    let mut world = World::default();
    for number in 0..10_000u64 {
        let repository = format!("team-{}/app-{}", number % 50, number % 250);
        let own: Vec<(String, u64)> =
            (0..6).map(|layer| (format!("layer {layer} of {number}"), 1000 + number)).collect();
        let own = own.iter().map(|(name, size)| (name.as_str(), *size));
        let layers: Vec<(&str, u64)> = [("base", 50_000)].into_iter().chain(own).collect();
        world = world.image(&format!("{repository}:build-{number}"), &layers);
    }
    let snapshot = world.snapshot().stored();
    let usage = Usage::of(&snapshot, now());
    let whole = page(&snapshot, &usage, now());
    assert!(whole.len() < 2_000_000, "{} bytes", whole.len());
    let data = data(&snapshot, &usage, now());
    assert_eq!(data["limits"], json!({ "repositories": 200, "images": 15, "layers": 20 }));
    let list = |value: &Value| value.as_array().unwrap().clone();
    let number = |value: &Value| value.as_u64().unwrap();
    let repositories = list(&data["repositories"]);
    assert_eq!((repositories.len(), &data["more"]["count"]), (200, &json!(50)));
    let shown: u64 = repositories.iter().map(|of| number(&of["unique"])).sum();
    assert_eq!(shown + number(&data["more"]["unique"]) + number(&data["shared"]), usage.in_use.bytes.0);
    for of in &repositories {
        let images = list(&of["images"]);
        assert_eq!((images.len(), &of["more"]["count"]), (15, &json!(25)));
        let shown: u64 = images.iter().map(|image| number(&image["unique"])).sum();
        assert_eq!(shown + number(&of["more"]["unique"]) + number(&of["inner"]), number(&of["unique"]));
        for image in images {
            let places = image["layers"].as_array().unwrap().iter();
            let sizes = places.map(|at| number(&data["contents"][usize::try_from(number(at)).unwrap()][1]));
            let shown: u64 = sizes.sum();
            assert_eq!(shown + number(&image["more"]["bytes"]), number(&image["size"]));
        }
    }
}
