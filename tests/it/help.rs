//! The command line as people see it. The help of every command stands in `help/*.txt`, so that a change of it is seen
//! in review; `UPDATE_HELP=1 cargo test --test it help` writes the files anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::Tool;

const COMMANDS: [&str; 9] = ["prune", "ls", "rm", "gc", "df", "verify", "undo", "recover", "shell-function"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help")
}

#[expect(clippy::disallowed_methods, reason = "a switch of the test itself")]
fn compare(name: &str, shown: &str) {
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_HELP").is_some() {
        fs::create_dir_all(folder()).expect("make the folder");
        fs::write(&path, shown).expect("write the help");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, expected, "the help differs from {}; UPDATE_HELP=1 writes it anew", path.display());
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let tool = Tool::new();
    for command in COMMANDS {
        let answer = tool.run(&[command, "--help"]).exits(0);
        assert_eq!(answer.stderr, "", "{answer}");
        compare(command, &answer.stdout);
    }
    let answer = tool.run(&["--help"]).exits(0);
    compare("registry", &answer.stdout);
    for command in COMMANDS {
        assert!(answer.stdout.contains(&format!("\n  {command} ")), "{answer}");
    }
}

#[test]
fn every_file_of_help_belongs_to_a_command() {
    for entry in fs::read_dir(folder()).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        let command = name.strip_suffix(".txt").expect("a text file");
        assert!(command == "registry" || COMMANDS.contains(&command), "{name}");
    }
}

#[test]
fn docker_gets_its_metadata_and_every_form_of_a_command_is_the_same() {
    let tool = Tool::new();
    let metadata = tool.run(&["docker-cli-plugin-metadata"]).exits(0).json();
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert_eq!(metadata["Version"], Value::from(format!("v{}", env!("CARGO_PKG_VERSION"))));
    let direct = tool.run(&["prune", "--help"]).exits(0).stdout;
    for form in [
        &["registry", "prune", "--help"][..],
        &["registry-prune", "prune", "--help"],
        &["registry-prune", "--help"],
        &["help", "registry", "prune"],
        &["--help", "registry", "prune"],
        &["--config", "/nonexistent", "-D", "registry", "prune", "--help"],
    ] {
        let answer = tool.run(form).exits(0);
        assert!(answer.stdout == direct || form[0].starts_with("--help"), "{answer}");
    }
}

#[test]
fn the_shell_function_is_a_function() {
    let tool = Tool::new();
    for form in [&["shell-function"][..], &["registry", "shell-function"]] {
        let answer = tool.run(form).exits(0);
        assert!(answer.stdout.contains("docker()"), "{answer}");
        assert_eq!(answer.stderr, "", "{answer}");
    }
}

#[test]
fn without_a_command_the_help_is_shown_and_a_wrong_word_is_an_error() {
    let tool = Tool::new();
    let answer = tool.run(&["registry"]);
    assert!(format!("{}{}", answer.stdout, answer.stderr).contains("Commands:"), "{answer}");
    let answer = tool.run(&["registry", "ls", "--no-such-flag"]).exits(2);
    assert!(answer.stdout.is_empty() && answer.stderr.contains("--no-such-flag"), "{answer}");
}
