//! A server that asks for a password: from the Docker configuration, from a credential helper, or wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

const USER: &str = "keeper";
const PASSWORD: &str = "open-sesame";
/// `PASSWORD` for an htpasswd file: the server knows bcrypt only.
const LINE: &str = "keeper:$2y$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO";

struct Guarded {
    registry: Registry,
    /// Mounted into the container as long as that runs, so it goes away after it.
    _folder: TempDir,
}

fn guarded(seed: &str) -> Guarded {
    let folder = TempDir::new().expect("make a folder");
    let registry = Options::default().login(folder.path(), USER, PASSWORD, LINE).start();
    for tag in ["1", "2"] {
        registry.client.push("app", &[tag], &Recipe::new(&format!("{seed} {tag}")).build());
    }
    Guarded { registry, _folder: folder }
}

#[track_caller]
fn does_the_whole_job(registry: &Registry, tool: &Tool) {
    tool.run(&["ls", "--registry", &registry.address]).success().says("app");
    tool.run(&["rm", "--gc", "--force", &registry.reference("app:1")]).success().never_says(PASSWORD);
    assert_eq!(registry.client.tags("app"), ["2"]);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["2"]);
}

#[test]
fn credentials_from_the_docker_configuration_do_the_whole_job() {
    if left_out() {
        return;
    }
    let Guarded { registry, .. } = &guarded("auths");
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let tool = Tool::standalone().config(&json!({ "auths": { &registry.address: { "auth": auth } } }));
    does_the_whole_job(registry, &tool);
}

/// The stand-in has to prove itself to the account that does everything else.
#[test]
fn credentials_are_used_at_the_stand_in_as_well() {
    if left_out() {
        return;
    }
    let Guarded { registry, .. } = &guarded("stand-in");
    let auth = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let tool = Tool::standalone().config(&json!({ "auths": { &registry.address: { "auth": auth } } }));
    let arguments = ["rm", "--gc", "--gc-mode", "read-only", "--force", &registry.reference("app:1")];
    tool.run(&arguments).success().says("(read-only)").never_says(PASSWORD);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_in_service();
}

#[test]
fn credentials_from_a_helper_do_the_whole_job() {
    if left_out() {
        return;
    }
    let Guarded { registry, .. } = &guarded("helper");
    let answer = json!({ "ServerURL": registry.address, "Username": USER, "Secret": PASSWORD });
    // Docker writes the address without a line's end; whoever asks for another one is told that there is nothing.
    let helper = format!(
        "#!/bin/sh\n\
         [ \"$1\" = get ] || exit 1\n\
         [ \"$(cat)\" = '{}' ] || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
         echo '{answer}'\n",
        registry.address
    );
    let tool = Tool::standalone()
        .script("docker-credential-e2e", &helper)
        .config(&json!({ "credHelpers": { &registry.address: "e2e" } }));
    does_the_whole_job(registry, &tool);
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    if left_out() {
        return;
    }
    let Guarded { registry, .. } = &guarded("wrong");
    let auth = STANDARD.encode(format!("{USER}:wrong-pass-word"));
    let encoded = auth.clone();
    let tool = Tool::standalone().config(&json!({ "auths": { &registry.address: { "auth": auth } } }));
    tool.run(&["rm", "--force", &registry.reference("app:1")])
        .fails()
        .says(&registry.address)
        .says_one_of(&["docker login", "credentials", "password"])
        .never_says("wrong-pass-word")
        .never_says(&encoded);
    registry.assert_pulls("app", ["1", "2"]);
}

#[test]
fn missing_credentials_are_said_with_the_command_that_gives_them() {
    if left_out() {
        return;
    }
    let Guarded { registry, .. } = &guarded("none");
    Tool::standalone()
        .run(&["ls", "--registry", &registry.address])
        .fails()
        .says(&format!("docker login {}", registry.address));
}
