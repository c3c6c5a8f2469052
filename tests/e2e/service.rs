//! The registry is put back in service whatever happens, and whoever has to know is told.

use std::net::TcpStream;

use tempfile::TempDir;

use crate::support::content::Recipe;
use crate::support::engine::{docker_commands, left_out};
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

#[test]
fn an_interrupt_during_the_collection_puts_the_registry_back() {
    if left_out() {
        return;
    }
    interrupt(&Tool::standalone());
}

#[test]
fn an_interrupt_through_docker_puts_the_registry_back() {
    if left_out() {
        return;
    }
    for docker in docker_commands() {
        interrupt(&Tool::through(docker));
    }
}

fn interrupt(tool: &Tool) {
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("interrupt").build());
    registry.client.leave_garbage("app", "interrupt");
    let before = registry.identity();
    let gc = ["gc", "--force", "--registry", &registry.address];

    let mut run = tool.start(&gc);
    run.until("the registry is stopped for the collection", || {
        TcpStream::connect(&registry.address).is_err()
    });
    run.signal("INT");
    let answer = run.wait().exits(130);
    assert!(registry.is_running(), "{answer}");
    registry.wait_until_it_answers();
    assert_eq!(registry.identity(), before, "{answer}");
    registry.assert_pulls("app", ["1"]);

    tool.run(&gc).success();
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["1"]);
}

/// A registry that is stopped is no candidate for "the only one": without looking first, another one would be taken.
#[test]
fn what_a_killed_run_left_stopped_is_started_by_a_command_that_names_no_registry() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("killed").build());
    registry.client.leave_garbage("app", "killed");
    let tool = Tool::standalone();
    let mut run = tool.start(&["gc", "--force", "--registry", &registry.address]);
    run.until("the registry is stopped for the collection", || !registry.is_running());
    run.signal("KILL");
    let _ = run.wait();

    let answer = tool.run(&["ls"]);
    assert!(registry.is_running(), "{answer}");
    registry.wait_until_it_answers();
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_port_of_the_engines_choice_moves_and_the_report_says_where_to() {
    if left_out() {
        return;
    }
    let registry = Options::default().start_on_any_port();
    registry.client.push("app", &["1"], &Recipe::new("any port").build());
    registry.client.leave_garbage("app", "any port");
    let answer = Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]);
    assert!(registry.is_running(), "{answer}");
    let now = registry.published_address();
    assert_ne!(now, registry.address, "the engine gives another port at each start");
    answer.says(&now);
}

#[test]
fn a_server_with_a_configuration_of_its_own_is_collected_by_that_one() {
    if left_out() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let registry = Options::deletion_disabled()
        .configured(
            folder.path(),
            "version: 0.1\n\
             storage:\n  \
               delete: { enabled: true }\n  \
               cache: { blobdescriptor: inmemory }\n  \
               filesystem: { rootdirectory: /var/lib/registry/own }\n\
             http: { addr: ':5000' }\n",
        )
        .start();
    for tag in ["gone", "kept"] {
        registry.client.push("app", &[tag], &Recipe::new(&format!("own configuration {tag}")).build());
    }
    let count = || registry.shell("find /var/lib/registry/own -name data | wc -l");
    assert_eq!(count().trim(), "6");

    Tool::standalone().run(&["rm", "--gc", "--force", &registry.reference("app:gone")]).success();
    assert_eq!(count().trim(), "3");
    registry.assert_pulls("app", ["kept"]);
}
