use super::*;
use crate::config::tests::{environment, globals};
use crate::error::kind_of;
use crate::ui::describe;

const DOCKER_HOST: (&str, &str) = ("DOCKER_HOST", "unix:///h.sock");
const DOCKER_CONTEXT: (&str, &str) = ("DOCKER_CONTEXT", "local");

/// Typed flags, variables, `currentContext`, and the socket or the second docker's call; name; machine.
type Row = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>, &'static str);

const ROWS: &[Row] = &[
    ("", &[], None, "/var/run/docker.sock"),
    ("", &[], Some(""), "/var/run/docker.sock"),
    ("", &[], Some("default"), "/var/run/docker.sock"),
    ("", &[], Some("local"), "/run/user/1/docker.sock"),
    ("", &[], Some("bare"), "/var/run/docker.sock"),
    ("", &[DOCKER_CONTEXT], Some("remote"), "/run/user/1/docker.sock"),
    ("", &[DOCKER_HOST, DOCKER_CONTEXT], Some("remote"), "/h.sock"),
    ("", &[("DOCKER_HOST", ""), DOCKER_CONTEXT], Some("remote"), "/run/user/1/docker.sock"),
    ("-H unix:///g.sock", &[DOCKER_HOST, DOCKER_CONTEXT], Some("remote"), "/g.sock"),
    ("-H unix://", &[DOCKER_HOST], None, "/var/run/docker.sock"),
    ("-c local", &[DOCKER_HOST], Some("remote"), "/run/user/1/docker.sock"),
    ("-c default", &[DOCKER_HOST], Some("remote"), "/h.sock"),
    ("-c default", &[], Some("remote"), "/var/run/docker.sock"),
    // A tls flag is about the default context only.
    ("-c local --tls", &[], None, "/run/user/1/docker.sock"),
    ("--tls=false", &[("DOCKER_TLS", "1")], None, "/var/run/docker.sock"),
    (
        "-c remote",
        &[DOCKER_HOST],
        None,
        "docker --context=remote; context `remote` (ssh://me@far.example:22); far.example",
    ),
    ("", &[DOCKER_CONTEXT], None, "/run/user/1/docker.sock"),
    (
        "",
        &[("DOCKER_CONTEXT", "remote")],
        None,
        "docker; context `remote` (ssh://me@far.example:22); far.example",
    ),
    ("", &[("DOCKER_HOST", "tcp://127.0.0.1:2375")], None, "docker; tcp://127.0.0.1:2375; 127.0.0.1"),
    ("-H tcp://[::1]:1", &[], None, "docker --host=tcp://[::1]:1; tcp://[::1]:1; ::1"),
    ("-H far:2375", &[], None, "docker --host=far:2375; far:2375; far"),
    ("-H npipe:////./pipe/x", &[], None, "docker --host=npipe:////./pipe/x; npipe:////./pipe/x; "),
    ("--tlsverify=false", &[], None, "docker --tlsverify=false; the default engine; "),
    ("--tls -D -l warn", &[DOCKER_HOST], None, "docker --tls=true; unix:///h.sock; "),
    ("", &[("DOCKER_TLS_VERIFY", "1")], None, "docker; the default engine; "),
    ("", &[("DOCKER_TLS_VERIFY", "")], None, "/var/run/docker.sock"),
    (
        "--config /c --tlsverify --tlscacert a --tlscert b --tlskey c -H tcp://x",
        &[],
        None,
        "docker --config=/c --tlscacert=a --tlscert=b --tlskey=c --tlsverify=true --host=tcp://x; tcp://x; x",
    ),
];

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
    for (typed, variables, current, expected) in ROWS {
        let endpoint =
            Endpoint::choose(&globals(typed), &environment(variables), folder.path(), *current).unwrap();
        let shown = match endpoint {
            Endpoint::Socket(path) => path.display().to_string(),
            Endpoint::DialStdio { docker, globals, shown, host_name } => {
                let call: Vec<_> =
                    [docker].iter().chain(&globals).map(|word| word.to_str().unwrap().to_owned()).collect();
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
    assert!(text.starts_with("error: context `nosuch` not found\n\nhint: `docker context ls`"), "{text}");
    assert!(fail("", &[("DOCKER_CONTEXT", "../x")]).1.contains("context `../x` not found"));
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
        let variables = [("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", given), ("DOCKER_HOST", "tcp://x")];
        let environment = Environment { own_program: Some(own.clone()), ..environment(&variables) };
        match Endpoint::choose(&globals(""), &environment, folder.path(), None).unwrap() {
            Endpoint::DialStdio { docker, .. } => assert_eq!(docker, expected, "{given}"),
            Endpoint::Socket(path) => panic!("{given}: {path:?}"),
        }
    }
}
