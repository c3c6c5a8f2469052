//! What belongs to an image: signatures as cosign pushes them, attestations as buildx does. They live and go with it.

use serde_json::json;

use crate::support::content::{Content, Image, OCI_INDEX, OCI_MANIFEST, Recipe};
use crate::support::engine::left_out;
use crate::support::registry::Registry;
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
