use super::*;
use crate::cli::{Command, Plugin};

fn call(typed: &str) -> Call {
    let args: Vec<OsString> = ["plugin"]
        .into_iter()
        .chain(typed.split(' '))
        .filter(|word| !word.is_empty())
        .map(Into::into)
        .collect();
    canonical(&args)
}

fn run(typed: &str) -> String {
    match call(typed) {
        Call::Run(line) => line.join(" ".as_ref()).into_string().unwrap(),
        Call::Print(text) => format!("PRINT {text}"),
    }
}

#[test]
fn argv_forms() {
    let version = concat!("PRINT docker-registry-prune ", env!("CARGO_PKG_VERSION"), "\n");
    for (typed, expected) in [
        // What Docker passes on, verbatim.
        ("registry prune --dry-run -- x", "docker registry prune --dry-run -- x"),
        (
            "--context default --debug --log-level debug registry prune --config z",
            "docker --context default --debug --log-level debug registry prune --config z",
        ),
        ("-D -l debug -c default registry prune", "docker -D -l debug -c default registry prune"),
        (
            "-H unix:///x --tlsverify=false registry prune",
            "docker -H unix:///x --tlsverify=false registry prune",
        ),
        ("-Dl debug registry ls", "docker -Dl debug registry ls"),
        ("-ldebug -D=false registry ls", "docker -ldebug -D=false registry ls"),
        ("-c=x --config=/y registry ls", "docker -c=x --config=/y registry ls"),
        ("--context registry registry ls", "docker --context registry registry ls"),
        ("registry", "docker registry --help"),
        ("--debug registry", "docker registry --help"),
        ("registry --help", "docker registry --help"),
        ("registry -h", "docker registry --help"),
        ("registry help", "docker registry --help"),
        ("registry help prune", "docker registry prune --help"),
        ("registry --help prune", "docker registry prune --help"),
        ("registry prune --help", "docker registry prune --help"),
        ("help registry", "docker registry --help"),
        ("help registry prune", "docker registry prune --help"),
        ("--help registry", "docker registry --help"),
        ("--help registry prune", "docker registry prune --help"),
        ("-D -h registry ls", "docker registry ls --help"),
        ("registry --version", version),
        ("registry -v", version),
        ("-v registry", version),
        ("--version registry", version),
        ("-Dv registry", version),
        ("registry docker-cli-plugin-hooks {}", "PRINT {}\n"),
        ("-D registry docker-cli-plugin-hooks {}", "PRINT {}\n"),
        // The hyphenated name.
        ("registry-prune --keep 5", "docker registry prune --keep 5"),
        ("-c x registry-prune --keep 5 app", "docker -c x registry prune --keep 5 app"),
        ("registry registry-prune app", "docker registry prune app"),
        ("registry-prune", "docker registry prune"),
        ("help registry-prune", "docker registry prune --help"),
        ("--help registry-prune", "docker registry prune --help"),
        // Started directly.
        ("", "docker registry --help"),
        ("--help", "docker registry --help"),
        ("-h", "docker registry --help"),
        ("help", "docker registry --help"),
        ("help ls", "docker registry ls --help"),
        ("--help ls", "docker registry ls --help"),
        ("-v", version),
        ("--version", version),
        ("ls", "docker registry ls"),
        ("registry ls", "docker registry ls"),
        ("--context x ls -q", "docker --context x registry ls -q"),
        ("--keep 5", "docker registry prune --keep 5"),
        ("--keep 5 -v", "docker registry prune --keep 5 -v"),
        ("-H tcp://x:1 --keep 5", "docker -H tcp://x:1 registry prune --keep 5"),
        ("127.0.0.1:5000/app --keep 5", "docker registry prune 127.0.0.1:5000/app --keep 5"),
        ("team/*", "docker registry prune team/*"),
        ("*", "docker registry prune *"),
        (":latest", "docker registry prune :latest"),
        ("-- app", "docker registry prune -- app"),
        // Not turned into anything: the parser refuses it.
        ("prnue --keep 5", "docker registry prnue --keep 5"),
        ("app", "docker registry app"),
        ("registry team/app", "docker registry team/app"),
        ("registry --keep 5", "docker registry --keep 5"),
        ("--context", "docker registry prune --context"),
    ] {
        assert_eq!(run(typed), expected, "{typed}");
    }
}

#[test]
fn help_ignores_what_is_no_command_name() {
    assert_eq!(run("registry help --keep"), "docker registry --help");
}

fn parsed(typed: &str) -> Result<Cli, clap::Error> {
    match call(typed) {
        Call::Run(line) => parse(line),
        Call::Print(text) => panic!("{typed}: prints {text}"),
    }
}

#[test]
fn global_flags_in_every_form_of_pflag_are_parsed() {
    let globals = |typed: &str| {
        parsed(&format!("{typed} registry ls")).unwrap_or_else(|e| panic!("{typed}: {e}")).globals
    };
    assert!(globals("-D").debug);
    assert!(globals("--debug").debug);
    assert!(globals("--debug=true").debug);
    assert!(globals("-D=1").debug);
    assert!(!globals("--debug=false").debug);
    assert!(!globals("--debug --debug=0").debug);
    let both = globals("-Dl warn");
    assert!(both.debug);
    assert_eq!(both.log_level.as_deref(), Some("warn"));
    assert_eq!(globals("-lv").log_level.as_deref(), Some("v"));
    assert_eq!(globals("-c=x").context.as_deref(), Some("x"));
    assert_eq!(globals("-c x --context y").context.as_deref(), Some("y"));
    assert_eq!(globals("-H a -Hb --host=c").hosts, ["a", "b", "c"]);
    assert_eq!(globals("--tls").tls, Some(true));
    assert_eq!(globals("--tls=false").tls, Some(false));
    assert_eq!(globals("--tlsverify=false").tlsverify, Some(false));
    assert_eq!(globals("").tlsverify, None);
    assert_eq!(globals("--tlscacert x --tlscert=y --tlskey z").tlskey.as_deref(), Some("z".as_ref()));
}

#[test]
fn flags_behind_the_name_are_not_dockers() {
    for typed in ["registry ls -c x", "registry prune -D", "registry -c x ls"] {
        assert_eq!(parsed(typed).unwrap_err().exit_code(), 2, "{typed}");
    }
    assert!(parsed("registry prune --keep 5 --keep 6").is_err(), "the two would contradict each other");
}

#[test]
fn how_long_to_wait_is_never_taken_for_a_pattern() {
    for typed in ["registry prune --wait 1min app", "registry prune --wait=1min app"] {
        let Ok(Cli { plugin: Plugin::Registry { command: Command::Prune(prune) }, .. }) = parsed(typed)
        else {
            panic!("{typed}");
        };
        assert_eq!(prune.window.wait, Some("1min".parse().unwrap()));
        assert_eq!(prune.patterns.len(), 1, "{typed}");
    }
    for typed in ["registry gc --wait --force", "registry gc --wait"] {
        let Ok(Cli { plugin: Plugin::Registry { command: Command::Gc(gc) }, .. }) = parsed(typed) else {
            panic!("{typed}");
        };
        assert_eq!(gc.window.wait, Some("10min".parse().unwrap()));
    }
    assert_eq!(parsed("registry prune --wait app").unwrap_err().exit_code(), 2);
}

#[test]
fn a_mistyped_command_is_an_error_that_names_the_nearest() {
    for typed in ["prnue --keep 5", "registry prnue"] {
        let error = parsed(typed).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("prnue") && text.contains("'prune'"), "{text}");
        assert!(text.contains("docker registry COMMAND"), "{text}");
    }
}

#[test]
fn help_is_laid_out_like_dockers() {
    let help = |typed: &str| {
        let error = parsed(typed).unwrap_err();
        assert_eq!((error.exit_code(), error.use_stderr()), (0, false), "{typed}");
        error.to_string()
    };
    let group = help("registry --help");
    assert!(group.starts_with("Usage:  docker registry COMMAND\n\nPrune a private registry"), "{group}");
    for command in ["prune", "ls", "rm", "gc", "df", "verify", "undo", "shell-function"] {
        assert!(group.contains(&format!("\n  {command} ")), "{group}");
    }
    assert!(
        group.ends_with("Run 'docker registry COMMAND --help' for more information on a command.\n"),
        "{group}"
    );
    let prune = help("registry prune --help");
    assert!(
        prune.starts_with("Usage:  docker registry prune [OPTIONS] [PATTERN...]\n\nRemove what"),
        "{prune}"
    );
    assert!(help("help registry rm").starts_with("Usage:  docker registry rm [OPTIONS] REF [REF...]\n"));
    assert_eq!(help("registry prune -h"), prune);
}

#[test]
fn metadata_is_what_docker_accepts() {
    assert_eq!(call("docker-cli-plugin-metadata"), Call::Print(metadata().to_owned()));
    let metadata: serde_json::Value = serde_json::from_str(metadata()).unwrap();
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert_eq!(metadata["Version"], concat!("v", env!("CARGO_PKG_VERSION")));
    assert!(metadata["Vendor"].as_str().is_some_and(|vendor| !vendor.is_empty()));
}

fn completed(typed: &[&str]) -> Vec<String> {
    let args: Vec<OsString> = ["plugin"].iter().chain(typed).map(Into::into).collect();
    match canonical(&args) {
        Call::Print(text) => text.lines().map(ToOwned::to_owned).collect(),
        Call::Run(line) => panic!("{line:?}"),
    }
}

#[test]
fn completion_answers_in_cobras_format() {
    let with = |typed: &[&str]| completed(&[&["__complete"][..], typed].concat());
    let without = |typed: &[&str]| completed(&[&["__completeNoDesc"][..], typed].concat());
    assert_eq!(
        with(&["registry", "pr"]),
        ["prune\tRemove what no rule keeps, collect the garbage, restart and verify", ":4"]
    );
    assert_eq!(without(&["registry", "pr"]), ["prune", ":4"]);
    assert_eq!(
        without(&["registry", ""]),
        ["prune", "ls", "rm", "gc", "df", "verify", "undo", "recover", "shell-function", ":4"]
    );
    assert_eq!(without(&["registry", "help", "g"]), ["gc", ":4"]);
    assert_eq!(without(&["registry", "--"]), ["--help", ":4"]);
    assert_eq!(without(&["registry", "prune", ""]), [":4"], "no flags before a `-`");
    assert_eq!(without(&["registry", "prune", "--d"]), ["--date", "--dry-run", ":4"]);
    assert_eq!(without(&["registry", "prune", "--dry-run", "--d"]), ["--date", ":4"], "given already");
    assert_eq!(
        without(&["registry", "prune", "--exclude", "a", "--ex"]),
        ["--explain", "--exclude", ":4"],
        "may stand twice"
    );
    assert!(without(&["registry", "prune", "-"]).contains(&"-f".to_owned()));
    assert_eq!(without(&["registry", "prune", "--format", ""]), ["table", "json", ":4"]);
    assert_eq!(without(&["registry", "prune", "--format", "j"]), ["json", ":4"]);
    assert_eq!(without(&["registry", "prune", "--gc-mode=l"]), ["live", ":4"]);
    assert_eq!(without(&["registry", "prune", "--keep", ""]), [":4"]);
    assert_eq!(without(&["registry", "prune", "--", "-"]), [":4"]);
    assert_eq!(without(&["registry", "nonsense", "--"]), [":4"]);
    // Debian's bash completion: no name, or the rest of the global flags before it.
    assert_eq!(without(&["prune", "--d"]), ["--date", "--dry-run", ":4"]);
    assert_eq!(without(&["default", "registry", "prune", "--d"]), ["--date", "--dry-run", ":4"]);
    assert_eq!(without(&["pr"]), ["prune", ":4"]);
    assert_eq!(without(&[]).last().unwrap(), ":4");
}

#[cfg(unix)]
mod shell_function {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// What `docker` gets when `typed` runs in `shell` with the function loaded, word by word.
    fn docker_gets(shell: &str, typed: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        crate::config::tests::write_program(&folder.path().join("docker"), "printf '[%s]' \"$@\"; exit 7");
        let script = format!("set -eu\n{}\n{typed} || printf ' %s' \"$?\"\n", super::shell_function());
        let mut child = Command::new(shell)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_literal_call_works_and_every_other_passes() {
        let mut tried = 0;
        for shell in ["/bin/sh", "/bin/dash", "/bin/bash", "/bin/zsh", "/bin/mksh"] {
            for (typed, expected) in [
                ("docker registry-prune --keep 5 'a b'", "[registry][prune][--keep][5][a b] 7"),
                ("docker registry-prune", "[registry][prune] 7"),
                ("docker --context x -D registry-prune ''", "[--context][x][-D][registry][prune][] 7"),
                ("docker -c registry-prune ps", "[-c][registry-prune][ps] 7"),
                ("docker --host=h registry-prune", "[--host=h][registry][prune] 7"),
                ("docker help registry-prune", "[help][registry][prune] 7"),
                ("docker run x registry-prune '*'", "[run][x][registry-prune][*] 7"),
                ("docker registry prune", "[registry][prune] 7"),
            ] {
                let Some(gets) = docker_gets(shell, typed) else {
                    continue;
                };
                assert_eq!(gets, expected, "{shell}: {typed}");
                tried += 1;
            }
        }
        assert!(tried >= 8, "a POSIX shell is there");
    }
}
