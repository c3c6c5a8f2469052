use super::super::fake_registry::contents::{DOCKER_MANIFEST, digest_of};
use super::super::fake_registry::quirks::{self, Fault};
use super::*;
use crate::model::ManifestKind;
use crate::model::manifest::ACCEPTED;

const CREATED: &str = "2024-05-01T00:00:00Z";

#[tokio::test]
async fn a_new_tag_is_one_request_with_four_accept_lines() {
    let fake = FakeRegistry::spawn();
    let expected = fake.image("app", "v1", CREATED, &["a", "b"]);
    let registry = connected(&fake).await;
    let manifest = registry.manifest(&repository("app"), &tag("v1")).await.unwrap().unwrap();
    assert_eq!(manifest.digest.to_string(), expected);
    assert_eq!(manifest.layers.len(), 2);
    let journal = fake.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].accept, ACCEPTED);
    assert_eq!(registry.requests(), 2);
}

#[tokio::test]
async fn an_index_is_read_by_tag_and_its_children_by_digest() {
    let fake = FakeRegistry::spawn();
    let children =
        ["linux/amd64", "linux/arm64"].map(|platform| fake.untagged_image("app", platform, &[platform]));
    fake.index("app", "multi", &[&children[0], &children[1]]);
    let registry = connected(&fake).await;
    let app = repository("app");
    let index = registry.manifest(&app, &tag("multi")).await.unwrap().unwrap();
    assert_eq!(index.kind, ManifestKind::Index);
    for child in index.child_manifests() {
        let child = registry.manifest(&app, &child.digest).await.unwrap().unwrap();
        assert_eq!(child.kind, ManifestKind::Image);
    }
}

#[tokio::test]
async fn only_the_registrys_own_word_means_absent() {
    let fake = FakeRegistry::spawn();
    let registry = connected(&fake).await;
    let (app, v1) = (repository("app"), tag("v1"));
    let nothing = digest(&digest_of(b"nothing"));
    assert!(registry.manifest(&app, &v1).await.unwrap().is_none());
    assert!(registry.resolve(&app, &v1).await.unwrap().is_none());
    assert!(registry.blob(&app, &nothing, 100).await.unwrap().is_none());
    assert!(registry.blob_size(&app, &nothing).await.unwrap().is_none());
    for status in [404, 500, 403] {
        let fake = FakeRegistry::spawn();
        let registry = connected(&fake).await;
        fake.fault(Fault::on("GET", "/app/").answers(status));
        fake.fault(Fault::on("HEAD", "/app/").answers(status));
        let errors = [
            registry.manifest(&app, &v1).await.err(),
            registry.resolve(&app, &v1).await.err(),
            registry.blob(&app, &nothing, 100).await.err(),
            registry.blob_size(&app, &nothing).await.err(),
        ];
        for error in errors {
            assert_eq!(error.and_then(|error| error.status()), Some(status));
        }
    }
}

#[tokio::test]
async fn content_that_does_not_fit_its_digest_is_refused() {
    let fake = FakeRegistry::spawn();
    let good = digest(&fake.image("app", "v1", CREATED, &["a"]));
    let registry = connected(&fake).await;
    let app = repository("app");
    for wrong in [digest_of(b"other"), "sha256:short".to_owned()] {
        fake.quirks(|quirks| quirks.wrong_digest = Some(wrong));
        let by_tag = registry.manifest(&app, &tag("v1")).await.unwrap_err();
        let by_digest = registry.manifest(&app, &good).await.unwrap_err();
        assert_eq!((by_tag.kind(), by_digest.kind()), (Kind::Malformed, Kind::Malformed));
    }
    let lie = digest_of(b"config");
    fake.change(|contents| contents.repository("app").blobs.insert(lie.clone(), b"other".to_vec()));
    let error = registry.blob(&app, &digest(&lie), 100).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed);
}

#[tokio::test]
async fn schema1_is_read_with_the_digest_the_registry_gives() {
    let fake = FakeRegistry::spawn();
    let signed = br#"{"schemaVersion":1,"name":"app","signatures":[]}"#;
    let given = digest_of(b"the payload without signatures");
    fake.change(|contents| {
        let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let stored = contents.manifest_of("app", media_type, signed);
        contents.tag("app", "old", &stored);
    });
    fake.quirks(|quirks| quirks.wrong_digest = Some(given.clone()));
    let registry = connected(&fake).await;
    let manifest = registry.manifest(&repository("app"), &tag("old")).await.unwrap().unwrap();
    assert_eq!((manifest.kind, manifest.digest.to_string()), (ManifestKind::Schema1, given));
}

#[tokio::test]
async fn a_tag_is_resolved_by_head_and_by_get_where_head_says_too_little() {
    let fake = FakeRegistry::spawn();
    let expected = digest(&fake.image("app", "v1", CREATED, &["a"]));
    let registry = connected(&fake).await;
    let (app, v1) = (repository("app"), tag("v1"));
    assert_eq!(registry.resolve(&app, &v1).await.unwrap().unwrap(), expected);
    assert_eq!(fake.requests(), ["HEAD /v2/app/manifests/v1"]);
    fake.quirks(|quirks| quirks.head_without_digest = true);
    assert_eq!(registry.resolve(&app, &v1).await.unwrap().unwrap(), expected);
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn blobs_are_read_to_a_limit_and_measured_without_reading() {
    let fake = FakeRegistry::spawn();
    let config = digest(&fake.change(|contents| contents.blob("app", b"0123456789")));
    let registry = connected(&fake).await;
    let app = repository("app");
    assert_eq!(registry.blob_size(&app, &config).await.unwrap(), Some(10));
    assert_eq!(registry.blob(&app, &config, 10).await.unwrap().unwrap(), b"0123456789");
    let error = registry.blob(&app, &config, 9).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed);
}

#[tokio::test]
async fn blobs_elsewhere_are_fetched_without_credentials() {
    let storage = FakeRegistry::spawn();
    let fake = FakeRegistry::spawn();
    let config = digest(&fake.change(|contents| contents.blob("app", b"config")));
    storage.change(|contents| contents.blob("app", b"config"));
    fake.quirks(|quirks| {
        quirks.access = quirks::Access::Basic { username: "ann".into(), password: "s3cret".into() };
        quirks.blobs_at = Some(format!("http://{}", storage.host()));
    });
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    let content = registry.blob(&repository("app"), &config, 100).await.unwrap();
    assert_eq!(content.unwrap(), b"config");
    assert_eq!(registry.blob_size(&repository("app"), &config).await.unwrap(), Some(6));
    assert!(storage.journal().iter().all(|entry| entry.authorization.is_none()));
    storage.fault(Fault::on("GET", "").answers(500));
    let error = registry.blob(&repository("app"), &config, 100).await.unwrap_err();
    assert!(!error.to_string().contains("signature"), "{error}");
}

#[tokio::test]
async fn manifests_elsewhere_are_not_followed() {
    let fake = FakeRegistry::spawn();
    let registry = connected(&fake).await;
    let location = vec![("location", "http://127.0.0.1:1/v2/".to_owned())];
    fake.fault(Fault::on("GET", "/manifests/").effect(quirks::Effect::Answer(307, location, String::new())));
    let error = registry.manifest(&repository("app"), &tag("v1")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotARegistry);
}

#[tokio::test]
async fn a_manifest_is_put_once_whatever_happens() {
    let fake = FakeRegistry::spawn();
    let first = digest(&fake.image("app", "v1", CREATED, &["a"]));
    let registry = connected(&fake).await;
    let app = repository("app");
    let saved = registry.manifest(&app, &first).await.unwrap().unwrap();
    registry.put_manifest(&app, &tag("v2"), DOCKER_MANIFEST, saved.raw.as_deref().unwrap()).await.unwrap();
    assert_eq!(registry.resolve(&app, &tag("v2")).await.unwrap(), Some(first));
    fake.forget_requests();
    fake.fault(Fault::on("PUT", "").cuts_after_the_effect());
    let error = registry
        .put_manifest(&app, &tag("v3"), DOCKER_MANIFEST, saved.raw.as_deref().unwrap())
        .await
        .unwrap_err();
    assert!(error.is_effect_unknown());
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(fake.tags("app"), ["v1", "v2", "v3"]);
}
