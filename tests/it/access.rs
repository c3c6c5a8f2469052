//! Registries that want to know who is asking: what is sent, what is refused in time, and that no secret is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::quirks::{Access, Fault, TokenService};
use crate::run::{Answer, Asked as _, CREATED, Tool};

const USER: &str = "ann";
const PASSWORD: &str = "planted-Passw0rd";

fn for_ann() -> TokenService {
    TokenService { account: Some((USER.into(), PASSWORD.into())), ..TokenService::default() }
}

fn guarded_by(service: TokenService) -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    fake.image("app", "v1", CREATED, &["old"]);
    fake.image("app", "v2", CREATED, &["new"]);
    fake.quirks(|quirks| quirks.access = Access::Bearer(service));
    fake
}

fn login() -> String {
    STANDARD.encode(format!("{USER}:{PASSWORD}"))
}

fn logged_in(fake: &FakeRegistry) -> Tool {
    let auth = json!({ "auths": { fake.host(): { "auth": login() } } });
    Tool::new().config(&auth)
}

#[track_caller]
fn keeps_secrets(fake: &FakeRegistry, tool: &Tool, answer: Answer) -> Answer {
    let mut secrets = vec![PASSWORD.to_owned(), login()];
    let sent = fake.journal().into_iter().filter_map(|entry| entry.authorization);
    secrets.extend(sent.filter_map(|header| Some(header.split_once(' ')?.1.to_owned())));
    assert!(secrets.len() > 2, "no credentials were sent\n{answer}");
    let records = Value::from(tool.records()).to_string();
    for secret in &secrets {
        let shown = [&answer.stdout, &answer.stderr, &records].iter().any(|text| text.contains(secret));
        assert!(!shown, "`{secret}` is shown\n{answer}\n{records}");
    }
    answer
}

#[test]
fn a_token_service_is_asked_with_the_stored_login_and_for_what_is_needed() {
    let fake = guarded_by(for_ann());
    let tool = logged_in(&fake);
    let listed = keeps_secrets(&fake, &tool, tool.on(&fake, &["-D", "ls"])).exits(0).says("v1");
    assert!(listed.stderr.contains("DEBUG: GET "), "{listed}");
    assert_eq!(fake.asked("GET", "delete"), [""; 0]);

    let removed = tool.on(&fake, &["-D", "rm", "--force", "app:v1"]);
    keeps_secrets(&fake, &tool, removed).exits(0).says("Deleted 1 tag");
    assert_eq!(fake.tags("app"), ["v2"]);
    assert!(!fake.asked("GET", "scope=repository%3Aapp%3A").is_empty(), "{:#?}", fake.requests());
    assert!(fake.asked("GET", "/token").iter().any(|line| line.contains("delete")), "{:#?}", fake.requests());
    assert_eq!(tool.records().len(), 1);
}

#[test]
fn a_refused_right_to_delete_is_found_before_anything_is_deleted() {
    let service = TokenService { never_grants: vec!["repository:app:delete".to_owned()], ..for_ann() };
    let fake = guarded_by(service);
    let tool = logged_in(&fake);
    for arguments in [
        &["-D", "rm", "--force", "app:v1"][..],
        &["prune", "--no-gc", "--force", "--keep", "1"],
        &["rm", "--force", "--format", "json", "app:v1"],
    ] {
        keeps_secrets(&fake, &tool, tool.on(&fake, arguments))
            .exits(4)
            .says("may not delete in `app`")
            .says(&format!("docker login {}", fake.host()));
    }
    assert_eq!(fake.changes(), [""; 0]);
    assert_eq!(fake.tags("app"), ["v1", "v2"]);
    assert_eq!(tool.records().len(), 0);
}

#[test]
fn a_refused_right_to_push_leaves_a_shared_digest_as_it_is() {
    let service = TokenService { never_grants: vec!["repository:app:push".to_owned()], ..for_ann() };
    let fake = guarded_by(service);
    let shared = fake.image("app", "one", CREATED, &["shared"]);
    fake.tag("app", "two", &shared);
    let tool = logged_in(&fake);
    keeps_secrets(&fake, &tool, tool.on(&fake, &["rm", "--force", "app:one"]))
        .exits(3)
        .says("FAILED app:one");
    assert_eq!(fake.tags("app"), ["one", "two", "v1", "v2"]);
    assert!(fake.has_manifest("app", &shared));
}

#[test]
fn nobody_and_the_wrong_password_are_told_to_log_in() {
    let fake = guarded_by(for_ann());
    let login = format!("docker login {}", fake.host());
    Tool::new().on(&fake, &["ls", "app"]).exits(1).says(&login);
    let wrong = STANDARD.encode(format!("{USER}:planted-Wr0ng"));
    let tool = Tool::new().config(&json!({ "auths": { fake.host(): { "auth": wrong } } }));
    tool.on(&fake, &["-D", "rm", "-f", "app:v1"]).exits(1).says(&login).never_says("planted-Wr0ng");
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn tokens_that_end_in_the_middle_are_renewed() {
    let fake = guarded_by(TokenService { uses: Some(2), ..for_ann() });
    let tool = logged_in(&fake);
    for number in 0..10 {
        fake.image("app", &format!("w{number}"), CREATED, &["old", &number.to_string()]);
    }
    let removed = tool.on(&fake, &["rm", "--force", "--concurrency", "1", "app"]);
    keeps_secrets(&fake, &tool, removed).exits(0).says("Deleted 12 tags and 12 manifests");
    assert_eq!(fake.tags("app"), [""; 0]);
}

#[test]
fn a_401_in_the_middle_fails_its_step_and_no_other() {
    let fake = FakeRegistry::spawn();
    let doomed = fake.image("app", "v1", CREATED, &["old"]);
    fake.image("app", "v2", CREATED, &["older"]);
    fake.image("app", "v3", CREATED, &["new"]);
    fake.quirks(|quirks| {
        quirks.access = Access::Basic { username: USER.into(), password: PASSWORD.into() };
    });
    fake.fault(Fault::on("DELETE", &doomed).answers(401));
    let tool = logged_in(&fake);
    let removed = tool.on(&fake, &["rm", "--force", "app:v1", "app:v2"]);
    keeps_secrets(&fake, &tool, removed).exits(3).says("Deleted 1 tag").says("FAILED app:v1").says("401");
    assert_eq!(fake.tags("app"), ["v1", "v3"]);
}
