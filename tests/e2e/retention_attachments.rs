//! What belongs to an image: signatures as cosign pushes them, attestations as buildx does. They live and go with it.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::content::{Content, Image, OCI_INDEX, OCI_MANIFEST, Recipe};
use crate::support::engine::left_out;
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

const MONTHS: [&str; 3] = ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"];

/// A manifest over an empty config and one blob of the given type.
fn artifact(registry: &Registry, config_type: &'static str, layer_type: &'static str, text: &str) -> Content {
    let config = Content::new(config_type, format!("{{\"of\":\"{text}\"}}").into_bytes());
    let payload = Content::new(layer_type, format!("{{\"payload\":\"{text}\"}}").into_bytes());
    for blob in [&config, &payload] {
        registry.client.push_blob("app", blob);
    }
    let descriptor = |content: &Content| json!({ "mediaType": content.media_type, "digest": content.digest, "size": content.bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(&config),
        "layers": [descriptor(&payload)],
    });
    Content::new(OCI_MANIFEST, manifest.to_string().into_bytes())
}

/// Tags `sha256-<hex>.sig` and `.att` as cosign writes them; the names of the tags.
fn sign(registry: &Registry, image: &Image) -> [String; 2] {
    let subject = &image.manifest.digest;
    [
        ("sig", "application/vnd.dev.cosign.simplesigning.v1+json"),
        ("att", "application/vnd.dsse.envelope.v1+json"),
    ]
    .map(|(ending, layer_type)| {
        let tag = format!("{}.{ending}", subject.replace(':', "-"));
        let text = format!("{ending} of {subject}");
        let manifest = artifact(registry, "application/vnd.oci.image.config.v1+json", layer_type, &text);
        registry.client.put_manifest("app", &tag, &manifest);
        tag
    })
}

/// An index as buildx pushes it: the image, and a manifest that says how it was built.
fn push_attested(registry: &Registry, tag: &str, image: &Image) -> (Content, Content) {
    registry.client.push("app", &[], image);
    let subject = &image.manifest.digest;
    let attestation = artifact(
        registry,
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.in-toto+json",
        &format!("provenance of {subject}"),
    );
    registry.client.put_manifest("app", &attestation.digest, &attestation);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": image.manifest.media_type,
                "digest": subject,
                "size": image.manifest.bytes.len(),
                "platform": { "architecture": "amd64", "os": "linux" },
            },
            {
                "mediaType": OCI_MANIFEST,
                "digest": attestation.digest,
                "size": attestation.bytes.len(),
                "platform": { "architecture": "unknown", "os": "unknown" },
                "annotations": {
                    "vnd.docker.reference.digest": subject,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            },
        ],
    });
    let index = Content::new(OCI_INDEX, index.to_string().into_bytes());
    registry.client.put_manifest("app", tag, &index);
    (index, attestation)
}

#[test]
fn signatures_live_with_their_image_and_take_no_place_among_the_newest() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let mut signatures = Vec::new();
    for (number, created) in MONTHS.iter().enumerate() {
        let image = Recipe::new(&format!("signed {number}")).created(created).oci().build();
        registry.client.push("app", &[&format!("v{number}")], &image);
        signatures.push(sign(&registry, &image));
    }
    let answer = Tool::standalone()
        .run(&[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--keep",
            "2",
            "--force",
            "--registry",
            &registry.address,
        ])
        .success();
    let mut expected: Vec<&str> = vec!["v1", "v2"];
    expected.extend(signatures[1..].iter().flatten().map(String::as_str));
    expected.sort_unstable();
    assert_eq!(registry.client.tags("app"), expected, "{answer}");
    registry.assert_pulls("app", expected);
    assert_eq!(registry.blob_count(), 2 * 3 * 3, "two images with two attachments, of three blobs each");

    // By age too: a signature has no date of its own that counts.
    let order = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--order",
        "semver",
        "--at-most",
        "1",
        "--force",
        "--registry",
        &registry.address,
    ];
    let answer = Tool::standalone().run(&order).success();
    let mut expected: Vec<&str> = vec!["v2"];
    expected.extend(signatures[2].iter().map(String::as_str));
    expected.sort_unstable();
    assert_eq!(registry.client.tags("app"), expected, "{answer}");
    registry.assert_pulls("app", expected);
}

#[test]
fn an_attestation_lives_with_its_index_and_goes_with_it() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let mut pushed = Vec::new();
    for (number, created) in MONTHS.iter().enumerate() {
        let image = Recipe::new(&format!("attested {number}")).created(created).oci().build();
        let (index, attestation) = push_attested(&registry, &format!("v{number}"), &image);
        pushed.push((image, index, attestation));
    }
    assert_eq!(registry.blob_count(), 3 * 7);
    let answer = Tool::standalone()
        .run(&[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--keep",
            "1",
            "--force",
            "--registry",
            &registry.address,
        ])
        .success();
    assert_eq!(registry.client.tags("app"), ["v2"], "{answer}");
    let pulled = registry.pull("app", "v2").unwrap();
    let (image, index, attestation) = &pushed[2];
    let expected = [&index.digest, &image.manifest.digest, &attestation.digest];
    assert_eq!(pulled.manifests, expected.into_iter().cloned().collect(), "{answer}");
    for (image, index, attestation) in &pushed[..2] {
        for digest in [&image.manifest.digest, &index.digest, &attestation.digest] {
            assert!(!registry.client.has_manifest("app", digest), "{digest} is left\n{answer}");
        }
    }
    assert_eq!(registry.blob_count(), 7, "{answer}");
}

/// A chart as Helm pushes it: its config says neither date nor platform.
fn push_chart(registry: &Registry, tag: &str) {
    let chart = artifact(
        registry,
        "application/vnd.cncf.helm.config.v1+json",
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        &format!("chart {tag}"),
    );
    registry.client.put_manifest("app", tag, &chart);
}

#[test]
fn an_orphaned_signature_goes_without_a_rule_and_those_of_kept_images_stay() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let images = [0, 1].map(|number| Recipe::new(&format!("orphan {number}")).oci().build());
    let signatures = images.each_ref().map(|image| {
        registry.client.push("app", &[&image.manifest.digest[7..19]], image);
        sign(&registry, image)
    });
    registry.client.delete("app", &images[0].manifest.digest);
    let command = ["prune", "--min-age", "none", "--force", "--registry", &registry.address];
    let answer = Tool::standalone().run(&command).success();
    let answer = answer.says("attached to what is gone").says("Deleted 2 tags and 2 manifests");
    let mut expected = vec![&images[1].manifest.digest[7..19], &signatures[1][0], &signatures[1][1]];
    expected.sort_unstable();
    assert_eq!(registry.client.tags("app"), expected, "{answer}");
    registry.assert_pulls("app", expected);
    assert_eq!(registry.blob_count(), 3 * 3, "an image and two attachments, of three blobs each");
    let again = Tool::standalone().run(&command).success();
    let _ = again.says("No tags to remove");
}

#[test]
fn a_chart_is_as_old_as_its_push() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    for (tag, days) in [("1.0.0", 30), ("1.1.0", 1), ("1.2.0", 20)] {
        push_chart(&registry, tag);
        let then = SystemTime::now() - Duration::from_secs(days * 86_400);
        let seconds = then.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let link = format!("{STORE}/repositories/app/_manifests/tags/{tag}/current/link");
        registry.shell(&format!("touch -d @{seconds} {link}"));
    }
    let rules = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--keep",
        "2",
        "--registry",
        &registry.address,
    ];
    let explain = [&rules[..], &["--explain", "app"]].concat();
    let answer = Tool::standalone().run(&explain).success();
    let _ = answer.says("when it was pushed: it is no image and says no date").says("goes why: pushed ");
    let answer = Tool::standalone().run(&[&rules[..], &["--force"]].concat()).success();
    assert_eq!(registry.client.tags("app"), ["1.1.0", "1.2.0"], "{answer}");
}
