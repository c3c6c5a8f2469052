use std::fs;

use super::*;
use crate::ui::describe;

/// Writes an executable shell script through another process: an open descriptor here, inherited by a child of
/// another test, would make running it fail with "text file busy".
#[cfg(unix)]
pub(crate) fn write_program(path: &Path, script: &str) {
    use std::process::Command;
    let written = Command::new("sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod +x \"$0\""])
        .arg(path)
        .arg(script)
        .status()
        .unwrap();
    assert!(written.success());
}

pub(super) fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        home: Some("/home/u".into()),
        state_home: Some("/home/u/.local/state".into()),
        own_program: None,
        now: Timestamp::UNIX_EPOCH,
        terminals: Terminals { stdin: true, stdout: false, stderr: true },
    }
}

pub(super) fn globals(typed: &str) -> Globals {
    let line = ["docker"].into_iter().chain(typed.split_whitespace()).chain(["registry", "ls"]);
    crate::plugin::parse(line.map(Into::into).collect()).unwrap().globals
}

fn load(content: &str) -> Result<DockerConfig> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), content).unwrap();
    DockerConfig::load(folder.path())
}

#[test]
fn the_config_folder_is_dockers() {
    let folder = |given: &str, variables: &[(&str, &str)]| {
        docker_config_directory(globals(given).config.as_deref(), &environment(variables)).unwrap()
    };
    assert_eq!(folder("--config /a", &[("DOCKER_CONFIG", "/b")]), Path::new("/a"));
    assert_eq!(folder("", &[("DOCKER_CONFIG", "/b")]), Path::new("/b"));
    assert_eq!(folder("", &[("DOCKER_CONFIG", "")]), Path::new("/home/u/.docker"));
    let homeless = Environment { home: None, ..environment(&[]) };
    assert!(
        describe(&docker_config_directory(None, &homeless).unwrap_err())
            .contains("hint: set HOME or DOCKER_CONFIG")
    );
}

#[test]
fn a_file_that_says_nothing_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DockerConfig::load(folder.path()).unwrap().auths.is_empty());
    assert!(DockerConfig::load(&folder.path().join("absent")).unwrap().auths.is_empty());
    for content in
        ["", " \n\t\n", "{}", r#"{"auths": null, "credHelpers": null, "plugins": null, "credsStore": null}"#]
    {
        assert!(load(content).unwrap().auths.is_empty(), "{content:?}");
    }
}

#[test]
fn what_is_needed_is_read_and_the_rest_ignored() {
    let config = load(
        r#"{
            "auths": {"127.0.0.1:5000": {"auth": "dTpw", "email": "x"}, "https://index.docker.io/v1/": {}, "http://r.example/v1/": {}},
            "credHelpers": {"r.helped": "pass"},
            "credsStore": "secretservice",
            "currentContext": "remote",
            "HttpHeaders": {"X": "y"}, "psFormat": 5, "detachKeys": [],
            "plugins": {"registry": {"address": "127.0.0.1:5000"}, "other": {"nested": {}}}
        }"#,
    )
    .unwrap();
    assert_eq!(config.cred_helpers["r.helped"], "pass");
    assert_eq!(config.creds_store.as_deref(), Some("secretservice"));
    assert_eq!(config.current_context.as_deref(), Some("remote"));
    assert_eq!(config.plugin_setting("address"), Some("127.0.0.1:5000"));
    assert_eq!(config.plugin_setting("other"), None);
    let registries: Vec<_> = config.private_registries().into_iter().collect();
    assert_eq!(registries, ["127.0.0.1:5000", "r.example", "r.helped"]);
}

#[test]
fn a_malformed_file_is_named_with_the_place_and_never_quoted() {
    for (content, expected) in [
        ("{\n  \"auths\": {\n", "line 3 column"),
        ("{\"auths\": }", "line 1 column 11"),
        ("not json", "line 1 column"),
        ("{\"auths\": {\"r\":\n \"planted\"}}", "is not what Docker writes at line 2 column"),
        ("{\"auths\": [\"planted\"]}", "is not what Docker writes at line 1 column"),
        ("{\"auths\": {\"r\": {\"auth\": {\"planted\": 1}}}}", "is not what Docker writes at line 1"),
        ("{\"plugins\": {\"registry\": {\"address\": 5000}}}", "`plugins.registry.address`"),
        ("{\"plugins\": {\"registry\": \"x\"}}", "`plugins.registry` in"),
    ] {
        let text = describe(&load(content).unwrap_err());
        assert!(text.contains(expected) && text.contains("config.json"), "{content}: {text}");
        assert!(text.contains("hint: "), "{content}: {text}");
        assert!(!text.contains("planted"), "{text}");
    }
}

#[test]
fn settings_hold_what_was_said_and_no_secret_can_be_printed() {
    let folder = tempfile::tempdir().unwrap();
    let auth = r#"{"auths": {"r": {"auth": "planted-auth", "password": "planted-password", "identitytoken": "planted-identity", "registrytoken": "planted-registry"}}}"#;
    fs::write(folder.path().join("config.json"), auth).unwrap();
    let environment = environment(&[
        ("DOCKER_CONFIG", folder.path().to_str().unwrap()),
        ("DOCKER_AUTH_CONFIG", "planted-variable"),
        ("DOCKER_CLI_PLUGIN_SOCKET", "@docker_cli_x"),
    ]);
    let settings = read(&globals("-D"), &environment).unwrap();
    assert!(settings.terminals.is_interactive());
    assert_eq!(settings.docker_config_directory, folder.path());
    assert_eq!(settings.plugin_socket.as_deref(), Some(OsStr::new("@docker_cli_x")));
    assert_eq!(
        settings.state_directory.as_deref(),
        Some(Path::new("/home/u/.local/state/docker-registry-prune"))
    );
    assert_eq!(settings.docker_auth_config.as_ref().map(Secret::expose), Some("planted-variable"));
    let printed = format!("{settings:?} {settings:#?}");
    assert!(printed.contains("Secret(****)") && !printed.contains("planted"), "{printed}");
}

#[test]
fn the_process_own_environment_is_read_once() {
    let environment = Environment::read();
    assert!(environment.variable("PATH").is_some());
    assert!(environment.now > "2020-01-01T00:00:00Z".parse().unwrap());
}
