use super::super::fake_registry::quirks::{Deletions, Fault, Version};
use super::*;

const CREATED: &str = "2024-05-01T00:00:00Z";

#[tokio::test]
async fn a_deletion_by_digest_is_one_request_and_takes_every_tag() {
    let fake = FakeRegistry::spawn();
    let old = fake.image("app", "v1", CREATED, &["a"]);
    fake.tag("app", "alias", &old);
    fake.image("app", "v2", CREATED, &["b"]);
    let registry = connected(&fake).await;
    let (app, old) = (repository("app"), digest(&old));
    assert_eq!(registry.delete_manifest(&app, &old).await.unwrap(), Deletion::Done);
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(fake.tags("app"), ["v2"]);
    assert_eq!(registry.delete_manifest(&app, &old).await.unwrap(), Deletion::AlreadyAbsent);
}

#[tokio::test]
async fn a_tag_is_deleted_alone_where_the_server_knows_how() {
    let fake = FakeRegistry::spawn();
    let shared = fake.image("app", "v1", CREATED, &["a"]);
    fake.tag("app", "alias", &shared);
    let registry = connected(&fake).await;
    let app = repository("app");
    assert!(!registry.deletes_tags_by_name(&app).await.unwrap());
    assert_eq!(registry.delete_tag(&app, &tag("alias")).await.unwrap_err().status(), Some(400));
    fake.quirks(|quirks| quirks.version = Version::Three);
    assert!(registry.deletes_tags_by_name(&app).await.unwrap());
    assert_eq!(registry.delete_tag(&app, &tag("alias")).await.unwrap(), Deletion::Done);
    assert_eq!(fake.tags("app"), ["v1"]);
    assert!(fake.has_manifest("app", &shared));
}

#[tokio::test]
async fn the_probe_tells_why_deletions_would_fail_and_changes_nothing() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    let before = fake.change(|contents| contents.clone());
    let registry = connected(&fake).await;
    let app = repository("app");
    let support = registry.delete_support(&app).await.unwrap();
    assert!(matches!(support, DeleteSupport::Enabled));
    fake.quirks(|quirks| quirks.deletion = Deletions::Disabled);
    let support = registry.delete_support(&app).await.unwrap();
    assert!(matches!(support, DeleteSupport::DisabledOrProxy));
    let old = digest(&fake.change(|contents| contents.resolve("app", "v1").unwrap()));
    let error = registry.delete_manifest(&app, &old).await.unwrap_err();
    assert!(error.hints()[0].contains("REGISTRY_STORAGE_DELETE_ENABLED=true"));
    fake.quirks(|quirks| quirks.deletion = Deletions::ReadOnly);
    let support = registry.delete_support(&app).await.unwrap();
    assert!(matches!(support, DeleteSupport::ReadOnly));
    fake.fault(Fault::on("DELETE", "").answers(403).times(1));
    let support = registry.delete_support(&app).await.unwrap();
    assert!(matches!(support, DeleteSupport::Denied(error) if error.kind() == Kind::Denied));
    // Whatever hides the method behind a 404 is not the registry.
    fake.fault(Fault::on("DELETE", "").answers(404));
    assert_eq!(registry.delete_support(&app).await.unwrap_err().kind(), Kind::NotFound);
    assert!(fake.change(|contents| *contents == before));
}

#[tokio::test]
async fn a_deletion_is_sent_again_only_if_it_was_turned_away() {
    type MakeFault = fn(Fault) -> Fault;
    let app = repository("app");
    let faults: [(MakeFault, usize); 5] = [
        (|fault| fault.too_many_requests("0"), 2),
        (|fault| fault.answers(503), 2),
        (|fault| fault.answers(500), 1),
        (|fault| fault.answers(502), 1),
        (Fault::cuts_after_the_effect, 1),
    ];
    for (make, requests) in faults {
        let fake = FakeRegistry::spawn();
        let old = digest(&fake.image("app", "v1", CREATED, &["a"]));
        let registry = connected(&fake).await;
        fake.fault(make(Fault::on("DELETE", "").times(1)));
        let deletion = registry.delete_manifest(&app, &old).await;
        assert_eq!(fake.requests().len(), requests);
        match deletion {
            Ok(deletion) => assert_eq!((deletion, requests), (Deletion::Done, 2)),
            Err(error) => assert!(error.is_effect_unknown(), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_tag_that_moves_in_the_middle_of_a_run_is_not_lost() {
    let fake = FakeRegistry::spawn();
    let old = digest(&fake.image("app", "v1", CREATED, &["a"]));
    let registry = connected(&fake).await;
    fake.when_request(1, |contents| {
        contents.image("app", "v1", CREATED, &["b"]);
    });
    let deletion = registry.delete_manifest(&repository("app"), &old).await;
    assert_eq!(deletion.unwrap(), Deletion::Done);
    assert_eq!(fake.tags("app"), ["v1"]);
}
