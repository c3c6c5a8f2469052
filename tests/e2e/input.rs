//! Bad input: each a clear error, and nothing is changed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::{fs, thread};

use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::registry::{Registry, free_port};
use crate::support::tool::Tool;

#[test]
fn what_is_typed_wrong_is_said_before_anything_is_asked() {
    // Needs no registry and no engine: nothing is asked of either.
    for (arguments, words) in [
        (&["rm", "--force", "127.0.0.1:1/UPPER:1"][..], "UPPER"),
        (&["rm", "--force", "app:1@2@3"], "app"),
        (&["rm", "--force", "app@sha256:abc"], "sha256:abc"),
        (&["rm", "--force", ""], ""),
        (&["rm", "--force", "../../etc:1"], ".."),
        (&["rm", "--force"], "REF"),
        (&["prune", "--keep", "-1", "--force"], "1 or more"),
        (&["prune", "--keep", "0", "--force"], "0"),
        (&["prune", "--keep", "many", "--force"], "whole number"),
        (&["prune", "--older-than", "6M", "--force"], "6mo"),
        (&["prune", "--older-than", "6m", "--force"], "6min"),
        (&["prune", "--older-than", "-3d", "--force"], "3d"),
        (&["prune", "--older-than", "999999d", "--force"], "999999d"),
        (&["prune", "--gc-mode", "fast", "--force"], "offline"),
        (&["ls", "--format", "yaml"], "json"),
        (&["ls", "--registry", "http://"], "registry"),
        (&["ls", "--concurrency", "0"], "concurrency"),
        (&["purge"], "purge"),
    ] {
        Tool::standalone().run(arguments).exits(2).says(words);
    }
}

#[test]
fn a_registry_that_nobody_runs_is_said_with_its_address() {
    let address = format!("127.0.0.1:{}", free_port());
    for command in ["ls", "verify"] {
        Tool::standalone().run(&[command, "--registry", &address]).exits(1).says(&address);
    }
    Tool::standalone().run(&["rm", "--force", &format!("{address}/app:1")]).exits(1).says(&address);
}

#[test]
fn a_web_site_is_no_registry() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!DOCTYPE html><html><body><h1>Welcome!</h1></body></html>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    for arguments in [
        &["ls", "--registry", &address][..],
        &["prune", "--keep", "1", "--force", "--registry", &address],
        &["rm", "--force", &format!("{address}/app:1")],
    ] {
        Tool::standalone()
            .run(arguments)
            .fails()
            .says(&address)
            .says_one_of(&["no registry", "not a registry"]);
    }
}

#[test]
fn a_configuration_that_is_no_json_is_named() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("config").build());
    let tool = Tool::standalone();
    fs::write(tool.config_folder().join("config.json"), r#"{"auths": {"#).unwrap();
    tool.run(&["rm", "--force", &registry.reference("app:1")]).fails().says("config.json");
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn an_engine_that_cannot_be_reached_is_said_and_nothing_is_collected() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("engine").build());
    let started = registry.started_at();
    Tool::standalone()
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .run(&["gc", "--force", "--registry", &registry.address])
        .fails()
        .says("/nonexistent/docker.sock");
    assert_eq!(registry.started_at(), started);
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn without_a_terminal_and_without_force_nothing_is_done() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("no terminal").build());
    registry.client.leave_garbage("app", "no terminal");
    let (asked, started) = (registry.requests().len(), registry.started_at());
    let reference = registry.reference("app:1");
    for arguments in [
        &["rm", &reference][..],
        &["rm", "--gc", &reference],
        &["prune", "--older-than", "1d", "--registry", &registry.address],
        &["gc", "--registry", &registry.address],
    ] {
        Tool::standalone().run(arguments).exits(4).says("--force");
    }
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed);
    assert_eq!(registry.started_at(), started);
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn what_is_not_there_is_said_and_changes_nothing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("not there").build());
    let asked = registry.requests().len();
    for missing in ["app:2", "nothing", "nothing:1"] {
        Tool::standalone()
            .run(&["rm", "--force", &registry.reference(missing)])
            .fails()
            .says(missing.split(':').next().unwrap());
    }
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed);
    registry.assert_pulls("app", ["1"]);
}
