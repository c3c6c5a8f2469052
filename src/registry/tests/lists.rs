use super::super::fake_registry::quirks::Fault;
use super::*;

fn with_repositories(count: usize) -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.change(|contents| {
        for number in 0..count {
            contents.repository(&format!("r{number:04}"));
        }
    });
    fake
}

async fn catalog_size(fake: &FakeRegistry) -> usize {
    connected(fake).await.catalog().await.unwrap().len()
}

#[tokio::test]
async fn the_catalog_is_read_in_pages_of_a_thousand() {
    let fake = with_repositories(2500);
    assert_eq!(catalog_size(&fake).await, 2500);
    assert_eq!(
        fake.requests(),
        [
            "GET /v2/_catalog?n=1000",
            "GET /v2/_catalog?last=r0999&n=1000",
            "GET /v2/_catalog?last=r1999&n=1000"
        ]
    );
}

#[tokio::test]
async fn a_page_size_that_is_refused_is_made_smaller() {
    let fake = with_repositories(250);
    fake.quirks(|quirks| quirks.catalog_limit = Some(100));
    assert_eq!(catalog_size(&fake).await, 250);
    assert_eq!(fake.requests().len(), 4);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_not_the_end() {
    let fake = with_repositories(2000);
    fake.quirks(|quirks| quirks.omits_link = true);
    assert_eq!(catalog_size(&fake).await, 2000);
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn a_dropped_connection_leads_to_another_page_size() {
    let fake = with_repositories(1100);
    fake.quirks(|quirks| quirks.catalog_drops = Some(1000));
    assert_eq!(catalog_size(&fake).await, 1100);
    fake.fault(Fault::on("GET", "_catalog").cuts());
    assert_eq!(connected(&fake).await.catalog().await.unwrap_err().kind(), Kind::Transient);
}

#[tokio::test]
async fn a_link_to_an_empty_page_ends_the_list() {
    let fake = with_repositories(3);
    fake.quirks(|quirks| quirks.links_to_empty_page = true);
    assert_eq!(catalog_size(&fake).await, 3);
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn lists_that_go_in_circles_or_elsewhere_are_errors() {
    let fake = with_repositories(3);
    for link in ["/v2/_catalog?n=1000", "http://127.0.0.1:1/v2/_catalog", "http://"] {
        fake.quirks(|quirks| quirks.link = Some(link.to_owned()));
        let error = connected(&fake).await.catalog().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Malformed, "{link}: {error}");
    }
}

#[test]
fn the_next_link_is_found_among_others() {
    let next = |line: &str| {
        let mut headers = HeaderMap::new();
        headers.append("link", line.parse().unwrap());
        listing::next_link(&headers)
    };
    let found = Ok(Some("/v2/_catalog?last=a,b&n=2".to_owned()));
    assert_eq!(next("</v2/_catalog?last=a,b&n=2>; rel=\"next\""), found);
    assert_eq!(next("</first>; rel=first, </v2/_catalog?last=a,b&n=2>;REL=next"), found);
    assert_eq!(next("</first>; rel=\"first\""), Ok(None));
    assert!(next("/v2/_catalog; rel=next").is_err());
}

#[tokio::test]
async fn a_catalog_that_is_not_told_is_typed() {
    let fake = with_repositories(3);
    for status in [401, 403, 404, 405] {
        fake.quirks(|quirks| quirks.catalog_refused = Some(status));
        let error = connected(&fake).await.catalog().await.unwrap_err();
        assert_eq!(error.kind(), Kind::NoCatalog, "{error}");
        assert!(error.hints().last().unwrap().contains("name them"));
    }
    fake.quirks(|quirks| quirks.catalog_refused = Some(500));
    let error = connected(&fake).await.catalog().await.unwrap_err();
    assert_eq!(error.kind(), Kind::ServerFault);
}

#[tokio::test]
async fn an_answer_without_the_list_is_not_an_empty_list() {
    let fake = with_repositories(3);
    let registry = connected(&fake).await;
    fake.fault(Fault::on("GET", "_catalog").answers(200));
    assert_eq!(registry.catalog().await.unwrap_err().kind(), Kind::NotARegistry);
    fake.quirks(|quirks| quirks.is_a_web_page = true);
    assert_eq!(registry.tags(&repository("r0001")).await.unwrap_err().kind(), Kind::NotARegistry);
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_an_error() {
    let fake = with_repositories(1);
    fake.change(|contents| {
        contents.repository("../evil");
    });
    let error = connected(&fake).await.catalog().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Malformed);
}

#[tokio::test]
async fn tags_come_sorted_from_every_version() {
    let fake = FakeRegistry::spawn();
    let digest = fake.image("team/app", "v2", "2024-05-01T00:00:00Z", &["a"]);
    for name in ["v1", "latest", "v10"] {
        fake.tag("team/app", name, &digest);
    }
    let registry = connected(&fake).await;
    let app = repository("team/app");
    let expected = ["latest", "v1", "v10", "v2"].map(tag);
    assert_eq!(registry.tags(&app).await.unwrap(), expected);
    assert_eq!(fake.requests(), ["GET /v2/team/app/tags/list"]);
    fake.quirks(|quirks| quirks.tags_page = Some(3));
    assert_eq!(registry.tags(&app).await.unwrap(), expected);
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn an_empty_repository_and_an_unknown_one_differ() {
    let fake = with_repositories(1);
    let registry = connected(&fake).await;
    for is_null in [true, false] {
        fake.quirks(|quirks| quirks.tags_null = is_null);
        assert_eq!(registry.tags(&repository("r0000")).await.unwrap(), []);
    }
    assert!(registry.tags(&repository("other")).await.unwrap_err().is_absent());
    fake.fault(Fault::on("GET", "/tags/").answers(404));
    assert!(!registry.tags(&repository("other")).await.unwrap_err().is_absent());
}
