use std::fs;

use super::*;
use crate::error::{describe, kind_of};

/// Writes an executable shell script through another process: an open descriptor here, inherited by a child of
/// another test, would make running it fail with "text file busy".
#[cfg(unix)]
pub(crate) fn write_program(path: &Path, script: &str) {
    use std::process::Command;
    let written = Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod +x \"$0\"",
        ])
        .arg(path)
        .arg(script)
        .status()
        .unwrap();
    assert!(written.success());
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        home: Some("/home/u".into()),
        state_home: Some("/home/u/.local/state".into()),
        own_program: None,
        now: Timestamp::UNIX_EPOCH,
        terminals: Terminals {
            stdin: true,
            stdout: false,
            stderr: true,
        },
    }
}

fn globals(typed: &str) -> Globals {
    let line = ["docker"]
        .into_iter()
        .chain(typed.split_whitespace())
        .chain(["registry", "ls"]);
    crate::plugin::parse(line.map(Into::into).collect())
        .unwrap()
        .globals
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
    let homeless = Environment {
        home: None,
        ..environment(&[])
    };
    assert!(
        describe(&docker_config_directory(None, &homeless).unwrap_err())
            .contains("hint: set HOME or DOCKER_CONFIG")
    );
}

#[test]
fn a_file_that_says_nothing_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DockerConfig::load(folder.path()).unwrap().auths.is_empty());
    assert!(
        DockerConfig::load(&folder.path().join("absent"))
            .unwrap()
            .auths
            .is_empty()
    );
    for content in [
        "",
        " \n\t\n",
        "{}",
        r#"{"auths": null, "credHelpers": null, "plugins": null, "credsStore": null}"#,
    ] {
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
        (
            "{\"auths\": {\"r\":\n \"planted\"}}",
            "is not what Docker writes at line 2 column",
        ),
        (
            "{\"auths\": [\"planted\"]}",
            "is not what Docker writes at line 1 column",
        ),
        (
            "{\"auths\": {\"r\": {\"auth\": {\"planted\": 1}}}}",
            "is not what Docker writes at line 1",
        ),
        (
            "{\"plugins\": {\"registry\": {\"address\": 5000}}}",
            "`plugins.registry.address`",
        ),
        ("{\"plugins\": {\"registry\": \"x\"}}", "`plugins.registry` in"),
    ] {
        let text = describe(&load(content).unwrap_err());
        assert!(
            text.contains(expected) && text.contains("config.json"),
            "{content}: {text}"
        );
        assert!(text.contains("hint: "), "{content}: {text}");
        assert!(!text.contains("planted"), "{text}");
    }
}

/// A Docker config folder with these contexts.
fn with_contexts(contexts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, meta) in contexts {
        let id = crate::model::Digest::of(name.as_bytes());
        let meta_folder = folder.path().join("contexts/meta").join(id.hex());
        fs::create_dir_all(&meta_folder).unwrap();
        fs::write(meta_folder.join("meta.json"), meta).unwrap();
    }
    folder
}

#[cfg(unix)]
#[test]
fn the_engine_is_chosen_in_dockers_order() {
    let host = |host: &str| {
        format!(
            r#"{{"Name":"x","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        )
    };
    let folder = with_contexts(&[
        ("local", &host("unix:///run/user/1/docker.sock")),
        ("remote", &host("ssh://me@far.example:22")),
        ("bare", "{}"),
    ]);
    let docker_host = ("DOCKER_HOST", "unix:///h.sock");
    let docker_context = ("DOCKER_CONTEXT", "local");
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let rows: &[Row] = &[
        ("", &[], None, "/var/run/docker.sock"),
        ("", &[], Some(""), "/var/run/docker.sock"),
        ("", &[], Some("default"), "/var/run/docker.sock"),
        ("", &[], Some("local"), "/run/user/1/docker.sock"),
        ("", &[], Some("bare"), "/var/run/docker.sock"),
        ("", &[docker_context], Some("remote"), "/run/user/1/docker.sock"),
        ("", &[docker_host, docker_context], Some("remote"), "/h.sock"),
        (
            "",
            &[("DOCKER_HOST", ""), docker_context],
            Some("remote"),
            "/run/user/1/docker.sock",
        ),
        (
            "-H unix:///g.sock",
            &[docker_host, docker_context],
            Some("remote"),
            "/g.sock",
        ),
        ("-H unix://", &[docker_host], None, "/var/run/docker.sock"),
        (
            "-c local",
            &[docker_host],
            Some("remote"),
            "/run/user/1/docker.sock",
        ),
        ("-c default", &[docker_host], Some("remote"), "/h.sock"),
        ("-c default", &[], Some("remote"), "/var/run/docker.sock"),
        // A tls flag is about the default context only.
        ("-c local --tls", &[], None, "/run/user/1/docker.sock"),
        (
            "--tls=false",
            &[("DOCKER_TLS", "1")],
            None,
            "/var/run/docker.sock",
        ),
        (
            "-c remote",
            &[docker_host],
            None,
            "docker --context=remote; context `remote` (ssh://me@far.example:22); far.example",
        ),
        ("", &[docker_context], None, "/run/user/1/docker.sock"),
        (
            "",
            &[("DOCKER_CONTEXT", "remote")],
            None,
            "docker; context `remote` (ssh://me@far.example:22); far.example",
        ),
        (
            "",
            &[("DOCKER_HOST", "tcp://127.0.0.1:2375")],
            None,
            "docker; tcp://127.0.0.1:2375; 127.0.0.1",
        ),
        (
            "-H tcp://[::1]:1",
            &[],
            None,
            "docker --host=tcp://[::1]:1; tcp://[::1]:1; ::1",
        ),
        ("-H far:2375", &[], None, "docker --host=far:2375; far:2375; far"),
        (
            "-H npipe:////./pipe/x",
            &[],
            None,
            "docker --host=npipe:////./pipe/x; npipe:////./pipe/x; ",
        ),
        (
            "--tlsverify=false",
            &[],
            None,
            "docker --tlsverify=false; the default engine; ",
        ),
        (
            "--tls -D -l warn",
            &[docker_host],
            None,
            "docker --tls=true; unix:///h.sock; ",
        ),
        (
            "",
            &[("DOCKER_TLS_VERIFY", "1")],
            None,
            "docker; the default engine; ",
        ),
        ("", &[("DOCKER_TLS_VERIFY", "")], None, "/var/run/docker.sock"),
        (
            "--config /c --tlsverify --tlscacert a --tlscert b --tlskey c -H tcp://x",
            &[],
            None,
            "docker --config=/c --tlscacert=a --tlscert=b --tlskey=c --tlsverify=true --host=tcp://x; tcp://x; x",
        ),
    ];
    for (typed, variables, current, expected) in rows {
        let endpoint =
            Endpoint::choose(&globals(typed), &environment(variables), folder.path(), *current).unwrap();
        let shown = match endpoint {
            Endpoint::Socket(path) => path.display().to_string(),
            Endpoint::DialStdio {
                docker,
                globals,
                shown,
                host_name,
            } => {
                let call: Vec<_> = [docker]
                    .iter()
                    .chain(&globals)
                    .map(|word| word.to_str().unwrap().to_owned())
                    .collect();
                format!("{}; {shown}; {}", call.join(" "), host_name.unwrap_or_default())
            }
        };
        assert_eq!(shown, *expected, "{typed} {variables:?} {current:?}");
    }
}

#[test]
fn contradictions_and_unknown_contexts_are_errors_with_the_mend() {
    let folder = with_contexts(&[("broken", "{")]);
    let fail = |typed: &str, variables: &[(&str, &str)]| {
        let error =
            Endpoint::choose(&globals(typed), &environment(variables), folder.path(), None).unwrap_err();
        (kind_of(&error).exit_code(), describe(&error))
    };
    assert_eq!(fail("-H a -H b", &[]).0, 2);
    assert_eq!(fail("-c a -H b", &[]).0, 2);
    let (code, text) = fail("-c nosuch", &[]);
    assert_eq!(code, 1);
    assert!(
        text.starts_with("error: context `nosuch` not found\n\nhint: `docker context ls`"),
        "{text}"
    );
    assert!(
        fail("", &[("DOCKER_CONTEXT", "../x")])
            .1
            .contains("context `../x` not found")
    );
    let (_, text) = fail("-c broken", &[]);
    assert!(
        text.contains("meta.json` is not valid JSON") && text.contains("docker context create"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn the_second_docker_is_the_first_and_never_this_program() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("program");
    fs::write(&own, "").unwrap();
    let link = folder.path().join("docker");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    for (given, expected) in [
        ("", "docker"),
        ("docker", "docker"),
        ("/opt/docker-28", "/opt/docker-28"),
        ("/usr/libexec/docker/cli-plugins/docker-registry", "docker"),
        ("C:/x/docker-registry.exe", "docker"),
        ("docker-registry-prune", "docker"),
        (link.to_str().unwrap(), "docker"),
    ] {
        let variables = [
            ("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", given),
            ("DOCKER_HOST", "tcp://x"),
        ];
        let environment = Environment {
            own_program: Some(own.clone()),
            ..environment(&variables)
        };
        match Endpoint::choose(&globals(""), &environment, folder.path(), None).unwrap() {
            Endpoint::DialStdio { docker, .. } => assert_eq!(docker, expected, "{given}"),
            Endpoint::Socket(path) => panic!("{given}: {path:?}"),
        }
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
    assert!(settings.is_debug && settings.terminals.is_interactive());
    assert_eq!(settings.docker_config_directory, folder.path());
    assert_eq!(
        settings.plugin_socket.as_deref(),
        Some(OsStr::new("@docker_cli_x"))
    );
    assert_eq!(
        settings.state_directory.as_deref(),
        Some(Path::new("/home/u/.local/state/docker-registry-prune"))
    );
    assert_eq!(
        settings.docker_auth_config.as_ref().map(Secret::expose),
        Some("planted-variable")
    );
    let printed = format!("{settings:?} {settings:#?}");
    assert!(
        printed.contains("Secret(****)") && !printed.contains("planted"),
        "{printed}"
    );
}

#[test]
fn the_process_own_environment_is_read_once() {
    let environment = Environment::read();
    assert!(environment.variable("PATH").is_some());
    assert!(environment.now > "2020-01-01T00:00:00Z".parse().unwrap());
}
