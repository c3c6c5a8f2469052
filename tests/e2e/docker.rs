//! Through the real docker command, every version of it that can be had.

use std::path::Path;

use serde_json::json;

use crate::support::content::Recipe;
use crate::support::engine::{docker_commands, engine_host, left_out};
use crate::support::registry::Registry;
use crate::support::tool::Tool;

fn each(check: impl Fn(&Path)) {
    if left_out() {
        return;
    }
    for docker in docker_commands() {
        check(docker);
    }
}

#[test]
fn docker_takes_the_plugin_without_a_warning() {
    each(|docker| {
        let answer = Tool::through(docker)
            .before(&[])
            .run(&["info", "--format", "{{json .ClientInfo.Plugins}}"])
            .success()
            .never_says("invalid")
            .never_says("Err");
        let plugins = answer.json();
        let ours = plugins.as_array().into_iter().flatten().find(|plugin| plugin["Name"] == "registry");
        let ours = ours.unwrap_or_else(|| panic!("the plugin is not there\n{answer}"));
        assert_eq!(ours["SchemaVersion"], "0.1.0", "{answer}");
        assert!(ours["ShortDescription"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        Tool::through(docker).before(&[]).run(&["--help"]).says("registry*").never_says("Invalid Plugins");
        Tool::through(docker).before(&[]).run(&["info"]).never_says("WARNING: Plugin");
    });
}

#[test]
fn docker_shows_help_and_version() {
    each(|docker| {
        let asking = |words: &[&str]| Tool::through(docker).before(&[]).run(words);
        for words in [&["registry", "--help"][..], &["registry", "-h"], &["help", "registry"]] {
            asking(words).success().says("prune").says("verify");
        }
        for words in [
            &["registry", "prune", "--help"][..],
            &["help", "registry", "prune"],
            &["registry", "help", "prune"],
        ] {
            asking(words).success().says("--older-than").says("--keep");
        }
        for words in [&["registry", "--version"][..], &["registry", "-v"]] {
            asking(words).success().says(env!("CARGO_PKG_VERSION"));
        }
    });
}

#[test]
fn docker_passes_commands_and_exit_codes_through() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    for (number, tag) in ["1", "2", "3"].iter().enumerate() {
        let date = format!("2024-0{}-01T00:00:00Z", number + 1);
        registry.client.push("app", &[tag], &Recipe::new(&format!("cli {tag}")).created(&date).build());
    }
    let (one, two) = (registry.reference("app:1"), registry.reference("app:2"));
    let everything = registry.reference("app:*");
    each(|docker| {
        let tool = Tool::through(docker);
        tool.run(&["ls", &everything]).success().says("app");
        tool.run(&["prune", "--dry-run", "--keep", "1", &everything]).success();
        assert_eq!(registry.client.tags("app"), ["1", "2", "3"]);
        tool.run(&["rm", &one]).exits(4).says("--force");
        tool.run(&["rm", "--force", "No:Reference"]).exits(2);
        tool.run(&["prune", "--keep", "-1"]).exits(2);
        tool.run(&["nonsense"]).exits(2);
    });
    // The first command does the job and the last puts it to use again.
    let first = Tool::through(&docker_commands()[0]);
    first.run(&["rm", "--gc", "--force", &one]).success();
    let last = Tool::through(docker_commands().last().unwrap());
    last.run(&["rm", "--gc", "--force", &two]).success();
    assert_eq!(registry.client.tags("app"), ["3"]);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["3"]);
}

#[test]
fn docker_flags_before_the_name_are_honoured() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("flags").build());
    each(|docker| {
        // The address stands in a configuration that only `--config` leads to.
        let tool = Tool::through(docker)
            .before(&[])
            .config(&json!({ "plugins": { "registry": { "address": registry.address } } }))
            .env("HOME", "/nonexistent");
        let folder = tool.config_folder().display().to_string();
        let host = engine_host().unwrap_or("unix:///var/run/docker.sock");
        for flags in [
            &["--config", &folder][..],
            &["--config", &folder, "-D", "-l", "debug"],
            &["--config", &folder, "--debug", "--log-level=warn"],
            &["--config", &folder, "-c", "default"],
            &["--config", &folder, "--context=default"],
            &["--config", &folder, "-H", host],
            &["--config", &folder, "--host", host],
        ] {
            let words: Vec<&str> = flags.iter().copied().chain(["registry", "ls"]).collect();
            let answer = tool.run(&words).success();
            assert!(answer.stdout.contains("app"), "{answer}");
        }
        // The engine that `--host` names is the one that is asked: there is none.
        let nowhere =
            ["--config", &folder, "-H", "unix:///nonexistent/docker.sock", "registry", "gc", "--force"];
        tool.run(&nowhere).fails().says("/nonexistent/docker.sock");
    });
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn the_program_works_by_its_own_name() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("own name").build());
    let tool = Tool::standalone();
    tool.run(&["--help"]).success().says("prune");
    tool.run(&["--version"]).success().says(env!("CARGO_PKG_VERSION"));
    tool.run(&["ls", "--registry", &registry.address]).success().says("app");
    // The words a docker command line would send if it allowed the file's name as a plugin's.
    tool.run(&["registry-prune", "--dry-run", "--keep", "1", "--registry", &registry.address]).success();
}
