//! `verify --deep` on the real registry: contents are hashed where they lie.

use std::process::Command;

use crate::support::answer::Answer;
use crate::support::content::{Content, Recipe};
use crate::support::engine::left_out;
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

fn path(blob: &Content) -> String {
    let hex = &blob.digest[7..];
    format!("{STORE}/blobs/sha256/{}/{hex}/data", &hex[..2])
}

fn verify(registry: &Registry, more: &[&str]) -> Answer {
    let words = ["verify", "--registry", &registry.address];
    Tool::standalone().run(&[&words, more].concat())
}

/// How often contents were asked for over HTTP.
fn downloads(registry: &Registry) -> usize {
    let is_download = |line: &&str| line.contains("\"GET /v2/") && line.contains("/blobs/");
    crate::support::engine::docker_says(["logs", &registry.name]).lines().filter(is_download).count()
}

#[test]
fn a_flipped_byte_is_found_by_deep_alone_a_truncated_file_by_its_length_and_the_mend_mends() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let images: Vec<_> =
        ["flipped", "cut", "whole"].map(|tag| (tag, Recipe::new(&format!("deep {tag}")).build())).into();
    for (tag, image) in &images {
        registry.client.push("app", &[tag], image);
    }
    verify(&registry, &["--deep"]).success().says("Hashed 6 blobs").says(&registry.name);
    let (flipped, cut) = (&images[0].1.layers[0], &images[1].1.layers[0]);
    let flip = format!("printf '\\377' | dd of={} bs=1 seek=700 conv=notrunc", path(flipped));
    registry.shell(&flip);
    registry.shell(&format!("truncate -s 600 {}", path(cut)));

    let cut_short = format!("blob {} has 600 bytes where its manifest says", cut.digest);
    verify(&registry, &[]).exits(5).says(&cut_short).says("1 problem found");
    let answer = verify(&registry, &["--deep"])
        .exits(5)
        .says(&format!("the content of blob {} hashes to sha256:", flipped.digest))
        .says(&cut_short)
        .says("harms app:flipped")
        .says("harms app:cut")
        .says("2 problems found")
        .never_says("app:whole")
        .never_says("downloaded");
    assert_eq!(downloads(&registry), 0, "{answer}");
    verify(&registry, &["--deep", "app:whole"]).success();
    let document = verify(&registry, &["--deep", "--format", "json"]).exits(5).json();
    let hashed = &document["verification"]["hashed"];
    assert_eq!((&hashed["inStore"]["blobs"], hashed["downloaded"].is_null()), (&5.into(), true));

    let mends = answer.stdout.lines().filter_map(|line| line.trim().strip_prefix("mend: "));
    for command in mends.flat_map(|mend| mend.split('`').skip(1).step_by(2)) {
        assert!(Command::new("sh").args(["-c", command]).output().unwrap().status.success(), "{command}");
    }
    registry.wait_until_it_answers();
    for (tag, image) in &images {
        registry.client.push("app", &[tag], image);
    }
    verify(&registry, &["--deep"]).success().says("are whole");
    registry.assert_pulls("app", ["flipped", "cut", "whole"]);
}

#[test]
fn many_blobs_are_hashed_in_a_container_that_nothing_can_be_written_into() {
    if left_out() {
        return;
    }
    let registry = Options::default().with("--read-only").without_a_shell().start();
    let images: Vec<_> = (0..60).map(|number| Recipe::new(&format!("many {number}")).build()).collect();
    for (number, image) in images.iter().enumerate() {
        registry.client.push("app", &[&format!("v{number}")], image);
    }
    let answer = verify(&registry, &["--deep"]).success().says("Hashed 120 blobs").never_says("downloaded");
    assert_eq!(downloads(&registry), 0, "{answer}");
}

#[test]
fn without_the_program_in_the_image_contents_are_downloaded() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("deep, no program").build();
    registry.client.push("app", &["1"], &image);
    registry.shell("rm /bin/sha256sum");
    verify(&registry, &["--deep"])
        .success()
        .says("Downloaded and hashed 2 blobs")
        .says("`sha256sum` cannot be run")
        .never_says("where they lie");
    let flip = format!("printf '\\377' | dd of={} bs=1 seek=700 conv=notrunc", path(&image.layers[0]));
    registry.shell(&flip);
    verify(&registry, &["--deep"]).exits(5).says(&image.layers[0].digest).says("harms app:1");
}
