//! Collected with a read-only stand-in in the registry's place: pulls go on, pushes are refused, and the same container
//! serves again afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::support::client::Client;
use crate::support::content::Recipe;
use crate::support::engine::left_out;
use crate::support::network::Network;
use crate::support::registry::{Options, Registry};
use crate::support::tool::Tool;

const GC: [&str; 5] = ["gc", "--force", "--gc-mode", "read-only", "--registry"];

fn gc(registry: &Registry) -> Vec<&str> {
    GC.into_iter().chain([registry.address.as_str()]).collect()
}

/// What a client saw that pulled and pushed all the time: when which was answered how.
#[derive(Debug, Default)]
struct Seen {
    /// When pulls failed, from the first to the next one that did not.
    gaps: Vec<Duration>,
    pulls: usize,
    refused_pushes: usize,
    /// Pushes that the registry accepted: nothing of them may be lost.
    pushed: Vec<String>,
    odd: Vec<String>,
}

fn watch(registry: &Registry, is_over: &AtomicBool) -> Seen {
    let client = Client::new(&registry.address, None);
    let mut seen = Seen::default();
    let mut down_since: Option<Instant> = None;
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        match client.send(&Method::GET, "/v2/app/manifests/kept", None) {
            Ok(reply) if reply.status.is_success() => {
                seen.pulls += 1;
                seen.gaps.extend(down_since.take().map(|since| since.elapsed()));
            }
            Ok(reply) => seen.odd.push(format!("pull: {}", reply.status)),
            Err(_) => {
                down_since.get_or_insert_with(Instant::now);
            }
        }
        // Before that a push would hold the window back.
        if seen.gaps.is_empty() && down_since.is_none() {
            continue;
        }
        number += 1;
        let tag = format!("meanwhile{number}");
        let image = Recipe::new(&tag).build();
        match client.try_push("app", &tag, &image) {
            Ok(None) => seen.pushed.push(tag),
            Ok(Some(405)) => seen.refused_pushes += 1,
            Ok(Some(other)) => seen.odd.push(format!("push: {other}")),
            Err(_) => {}
        }
    }
    seen
}

#[test]
fn pulls_go_on_and_no_push_is_lost() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["kept"], &Recipe::new("read-only kept").build());
    registry.leave_much_garbage();
    let before = registry.identity();
    let is_over = AtomicBool::new(false);
    let (answer, seen) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&registry, &is_over));
        let answer = Tool::standalone().run(&gc(&registry));
        thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::Relaxed);
        (answer, watching.join().expect("the client"))
    });
    let answer = answer.says("(read-only)").says("and read-only for");
    // One may pass unseen: a request that is made in it may wait until the registry answers again.
    assert!((1..=2).contains(&seen.gaps.len()), "{seen:?}\n{answer}");
    assert!(seen.odd.is_empty(), "{seen:?}\n{answer}");
    assert!(seen.refused_pushes > 0 && seen.pulls > 20, "{seen:?}\n{answer}");
    registry.assert_pulls("app", seen.pushed.iter().map(String::as_str).chain(["kept"]));
    assert_eq!(registry.identity(), before);
    registry.assert_in_service();
}

#[test]
fn the_same_is_told_to_programs() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["kept"], &Recipe::new("read-only json").build());
    registry.client.leave_garbage("app", "read-only json");
    let arguments: Vec<&str> = gc(&registry).into_iter().chain(["--format", "json"]).collect();
    let document = Tool::standalone().run(&arguments).success().json();
    let collection = &document["collection"];
    assert_eq!(collection["mode"], "read-only");
    assert!(collection["interruptionSeconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{document}");
    assert!(collection["readOnlySeconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{document}");
    assert_eq!(registry.blob_count(), 3);
}

/// Others on a network of the user's own know the registry by its name and by an alias.
#[test]
fn the_stand_in_is_found_by_every_name_of_the_registry() {
    if left_out() {
        return;
    }
    let (front, back) = (Network::new("front"), Network::new("back"));
    let registry = Options::default().network(&front.name, "hub").start();
    back.connect(&registry.name, "store");
    registry.wait_until_it_answers();
    registry.client.push("app", &["kept"], &Recipe::new("names kept").build());
    registry.leave_much_garbage();
    let neighbour = back.neighbour();
    front.connect(&neighbour.name, "neighbour");
    let names = ["hub", "store", registry.name.as_str()];
    // The machine of the engine reaches every container by its address.
    let lists_kept = |name: &&str| {
        neighbour.address_of(name).is_some_and(|address| {
            let client = Client::new(&format!("{address}:5000"), None);
            let reply = client.send(&Method::GET, "/v2/app/manifests/kept", None);
            reply.is_ok_and(|reply| reply.status.is_success())
        })
    };
    assert!(names.iter().all(lists_kept));

    let tool = Tool::standalone();
    let arguments = gc(&registry);
    let mut run = tool.start(&arguments);
    run.until("the stand-in serves under every name", || {
        registry.has_one_off("stand-in", &["running"]) && names.iter().all(lists_kept)
    });
    assert!(!registry.is_running());
    let answer = run.wait();
    assert!(names.iter().all(lists_kept), "{answer}");
    answer.success();
    registry.assert_in_service();
}

/// The engine chooses another port at each start; the stand-in keeps the one that clients know.
#[test]
fn the_stand_in_keeps_a_port_of_the_engines_choice() {
    if left_out() {
        return;
    }
    let registry = Options::default().start_on_any_port();
    registry.client.push("app", &["kept"], &Recipe::new("any port kept").build());
    registry.client.leave_garbage("app", "any port");
    let answer = Tool::standalone().run(&gc(&registry)).says("(read-only)");
    registry.assert_runs_alone();
    answer.says(&registry.published_address());
    assert_eq!(registry.blob_count(), 3);
}

#[test]
fn a_registry_on_the_hosts_network_is_stood_in_for() {
    if left_out() {
        return;
    }
    let registry = Options::default().start_on_the_hosts_network();
    registry.client.push("app", &["kept"], &Recipe::new("host network kept").build());
    registry.client.leave_garbage("app", "host network");
    let arguments: Vec<&str> = gc(&registry).into_iter().chain(["--container", &registry.name]).collect();
    Tool::standalone().run(&arguments).success().says("(read-only)");
    assert_eq!(registry.blob_count(), 3);
    registry.assert_in_service();
}

/// A door that shows deletions and pushes as accepted: nothing is collected behind it.
#[test]
fn a_stand_in_that_is_not_shown_to_be_read_only_collects_nothing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["kept"], &Recipe::new("not shown kept").build());
    registry.client.leave_garbage("app", "not shown");
    let blobs = registry.blob_count();
    // A registry that has the port of the address, and is another one.
    let other = Registry::start();
    other.client.push("app", &["kept"], &Recipe::new("not shown kept").build());
    let arguments = [
        "gc",
        "--force",
        "--gc-mode",
        "read-only",
        "--registry",
        &other.address,
        "--container",
        &registry.name,
    ];
    let answer = Tool::standalone().run(&arguments).exits(4).mentions("cannot be shown to be read-only");
    assert!(registry.is_running(), "{answer}");
    registry.wait_until_it_answers();
    assert_eq!(registry.blob_count(), blobs, "{answer}");
    registry.assert_pulls("app", ["kept"]);
    registry.assert_in_service();
}
