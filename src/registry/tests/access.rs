use super::super::fake_registry::quirks::{self, Fault, TokenService};
use super::*;

const CREATED: &str = "2024-05-01T00:00:00Z";

fn basic(fake: &FakeRegistry) {
    fake.quirks(|quirks| {
        quirks.access = quirks::Access::Basic { username: "ann".into(), password: "s3cret".into() };
    });
}

fn tokens(fake: &FakeRegistry, service: TokenService) {
    fake.quirks(|quirks| quirks.access = quirks::Access::Bearer(service));
}

fn for_ann() -> TokenService {
    TokenService { account: Some(("ann".into(), "s3cret".into())), ..TokenService::default() }
}

async fn failure(access: &Access) -> Error {
    Registry::connect(access).await.err().unwrap()
}

#[tokio::test]
async fn a_loopback_registry_is_reached_over_plain_http() {
    let fake = FakeRegistry::spawn();
    let registry = Registry::connect(&access(&fake.host())).await.unwrap();
    assert_eq!(fake.requests(), ["GET /v2/"]);
    assert_eq!(registry.requests(), 1);
    assert!(fake.journal()[0].user_agent.starts_with("docker-registry-prune/"));
}

#[tokio::test]
async fn https_that_was_asked_for_is_not_given_up() {
    let fake = FakeRegistry::spawn();
    let error = failure(&access(&format!("https://{}", fake.host()))).await;
    assert_eq!(error.kind(), Kind::PlainHttp, "{error}");
    assert!(error.hints()[0].contains("--insecure"));
    assert_eq!(fake.requests(), [""; 0]);
}

#[tokio::test]
async fn an_address_where_nothing_answers_is_unreachable() {
    let host = FakeRegistry::spawn().host();
    let error = failure(&access(&host)).await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.hints()[0].contains(&host));
    let error = failure(&access("127.0.0.1:99999")).await;
    assert_eq!(error.kind(), Kind::Local);
}

#[tokio::test]
async fn a_web_page_is_no_registry() {
    let fake = FakeRegistry::spawn();
    fake.quirks(|quirks| quirks.is_a_web_page = true);
    let error = failure(&access(&fake.host())).await;
    assert_eq!(error.kind(), Kind::NotARegistry);
    assert!(error.to_string().contains("a web page"), "{error}");
    fake.fault(Fault::on("GET", "/v2/").answers(404));
    assert_eq!(failure(&access(&fake.host())).await.kind(), Kind::NotARegistry);
}

#[tokio::test]
async fn basic_credentials_are_sent_from_the_second_request_on() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    basic(&fake);
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    assert_eq!(fake.requests(), ["GET /v2/", "GET /v2/"]);
    fake.forget_requests();
    registry.tags(&repository("app")).await.unwrap();
    assert_eq!(fake.requests(), ["GET /v2/app/tags/list"]);
}

#[tokio::test]
async fn missing_and_wrong_credentials_are_told_apart() {
    let fake = FakeRegistry::spawn();
    basic(&fake);
    let error = failure(&access(&fake.host())).await;
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.hints()[0].starts_with("log in first: `docker login 127.0.0.1:"));
    let error = failure(&access_as(&fake.host(), "ann", "wr0ng")).await;
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.hints()[0].contains("log in again"));
    assert!(!format!("{error} {error:?}").contains("wr0ng"));
}

#[tokio::test]
async fn a_registry_that_asks_only_for_writes_learns_who_we_are_then() {
    let fake = FakeRegistry::spawn();
    let digest_text = fake.image("app", "v1", CREATED, &["a"]);
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    basic(&fake);
    let deletion = registry.delete_manifest(&repository("app"), &digest(&digest_text)).await;
    assert_eq!(deletion.unwrap(), Deletion::Done);
}

#[tokio::test]
async fn one_token_serves_all_requests_of_its_scope() {
    let fake = FakeRegistry::spawn();
    for number in 0..8 {
        fake.image("app", &format!("v{number}"), CREATED, &["a"]);
    }
    tokens(&fake, for_ann());
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    fake.forget_requests();
    let app = repository("app");
    let tags: Vec<Tag> = (0..8).map(|number| tag(&format!("v{number}"))).collect();
    let reads = tags.iter().map(|tag| registry.manifest(&app, tag));
    for read in futures_util::future::join_all(reads).await {
        assert!(read.unwrap().is_some());
    }
    let requests = fake.requests();
    assert_eq!(requests.len(), 9, "{requests:?}");
    assert_eq!(requests[0], "GET /token?service=fake&scope=repository%3Aapp%3Apull&account=ann");
    assert!(fake.journal().iter().all(|entry| entry.status == 200));
}

#[tokio::test]
async fn credentials_go_to_the_realm_and_tokens_to_the_registry() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    tokens(&fake, for_ann());
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    registry.tags(&repository("app")).await.unwrap();
    for entry in fake.journal() {
        let authorization = entry.authorization.unwrap_or_default();
        if entry.path.starts_with("/token") {
            assert!(authorization.starts_with("Basic "), "{authorization}");
        } else {
            assert!(authorization.is_empty() || authorization.starts_with("Bearer "), "{authorization}");
        }
    }
}

#[tokio::test]
async fn a_token_that_died_is_fetched_again() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    tokens(&fake, TokenService { uses: Some(1), ..for_ann() });
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(registry.tags(&repository("app")).await.unwrap(), [tag("v1")]);
    }
}

#[tokio::test]
async fn a_wider_scope_that_is_demanded_is_asked_for_and_remembered() {
    let fake = FakeRegistry::spawn();
    let digests = ["a", "b"].map(|layer| digest(&fake.image("app", layer, CREATED, &[layer])));
    tokens(&fake, TokenService { deletion_needs_star: true, ..for_ann() });
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    fake.forget_requests();
    for digest in &digests {
        assert_eq!(registry.delete_manifest(&repository("app"), digest).await.unwrap(), Deletion::Done);
    }
    let requests = fake.requests();
    // Token, refused, wider token, done; then done at once.
    assert_eq!(requests.len(), 5, "{requests:?}");
    assert!(requests[2].contains("scope=repository%3Aapp%3A*%2Cdelete%2Cpull"), "{requests:?}");
}

#[tokio::test]
async fn a_right_that_the_token_service_withholds_is_named() {
    let fake = FakeRegistry::spawn();
    let digest = digest(&fake.image("app", "v1", CREATED, &["a"]));
    let never_grants = vec!["repository:app:delete".to_owned(), "registry:catalog:*".to_owned()];
    tokens(&fake, TokenService { never_grants, ..for_ann() });
    let registry = Registry::connect(&access_as(&fake.host(), "ann", "s3cret")).await.unwrap();
    let error = registry.delete_manifest(&repository("app"), &digest).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.to_string().contains("did not grant `repository:app:delete,pull`"), "{error}");
    let support = registry.delete_support(&repository("app")).await.unwrap();
    assert!(matches!(support, DeleteSupport::Denied(_)));
    assert_eq!(registry.catalog().await.unwrap_err().kind(), Kind::NoCatalog);
    assert_eq!(registry.tags(&repository("app")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn anybody_may_get_a_token_where_the_service_gives_them() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    tokens(&fake, TokenService::default());
    let registry = connected(&fake).await;
    assert_eq!(registry.tags(&repository("app")).await.unwrap().len(), 1);
    tokens(&fake, for_ann());
    let registry = connected(&fake).await;
    let error = registry.tags(&repository("app")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.hints()[0].starts_with("log in first"));
}

#[tokio::test]
async fn wrong_credentials_at_the_token_service_are_seen_at_once() {
    let fake = FakeRegistry::spawn();
    tokens(&fake, for_ann());
    let error = failure(&access_as(&fake.host(), "ann", "wr0ng")).await;
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("/token: 401"), "{error}");
}

#[tokio::test]
async fn an_identity_token_is_posted_to_the_realm() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    let identity_token = Some("refresh-me".to_owned());
    tokens(&fake, TokenService { identity_token, ..for_ann() });
    let access = Access {
        credentials: Some(Credentials::IdentityToken(Secret::from("refresh-me"))),
        ..access(&fake.host())
    };
    let registry = Registry::connect(&access).await.unwrap();
    assert_eq!(registry.tags(&repository("app")).await.unwrap().len(), 1);
    assert!(fake.requests().iter().all(|request| !request.contains("refresh-me")));
    // A service that does not know OAuth2 is asked the older way.
    let account = Some((String::new(), "refresh-me".to_owned()));
    tokens(&fake, TokenService { account, ..TokenService::default() });
    let registry = Registry::connect(&access).await.unwrap();
    assert_eq!(registry.tags(&repository("app")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_and_a_limit_on_tries_kept() {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["a"]);
    let registry = connected(&fake).await;
    fake.fault(Fault::on("GET", "/tags/").too_many_requests("0").times(1));
    fake.fault(Fault::on("GET", "/tags/").cuts().times(1));
    assert_eq!(registry.tags(&repository("app")).await.unwrap().len(), 1);
    assert_eq!(fake.requests().len(), 3);
    fake.forget_requests();
    fake.fault(Fault::on("GET", "/tags/").answers(503));
    let error = registry.tags(&repository("app")).await.unwrap_err();
    assert_eq!((error.kind(), fake.requests().len()), (Kind::Transient, 3));
}

#[tokio::test]
async fn a_pause_that_is_too_long_is_not_waited_for() {
    let fake = FakeRegistry::spawn();
    let registry = connected(&fake).await;
    fake.fault(Fault::on("GET", "/tags/").too_many_requests("3600"));
    let error = registry.tags(&repository("app")).await.unwrap_err();
    assert_eq!((error.status(), fake.requests().len()), (Some(429), 1));
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up() {
    let fake = FakeRegistry::spawn();
    let mut access = access(&fake.host());
    access.timeouts.request = Duration::from_millis(1500);
    let registry = Registry::connect(&access).await.unwrap();
    fake.forget_requests();
    fake.fault(Fault::on("GET", "/tags/").hangs());
    let error = registry.tags(&repository("app")).await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn an_error_names_no_secret() {
    let url = Url::parse("https://ann:s3cret@r.example/v2/?token=s3cret#s3cret").unwrap();
    let place = Arc::new(error::Place { host: "r.example".into(), has_credentials: true });
    let error = Error::new(Kind::Malformed, &Method::GET, &url, &place, "no");
    assert_eq!(error.to_string(), "GET https://r.example/v2/: no");
    let access = access_as("r.example", "ann", "s3cret");
    assert!(!format!("{access:?}").contains("s3cret"));
}
