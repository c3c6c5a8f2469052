//! A stop ends the requests that are under way: a push in progress holds a collection back, and so does whoever else
//! can write to the store.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::support::content::{Content, Recipe, layer};
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Options, Registry, STORE};
use crate::support::tool::Tool;

fn with_garbage(seed: &str) -> Registry {
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new(&format!("{seed} kept")).build());
    registry.client.leave_garbage("app", seed);
    registry
}

/// A client that sends a layer bit by bit, until it is told to end.
struct SlowPush {
    end: Sender<()>,
    client: JoinHandle<()>,
}

impl SlowPush {
    fn begin(registry: &Registry, repository: &str, blob: &Content) -> Self {
        let begun = registry
            .client
            .send(&Method::POST, &format!("/v2/{repository}/blobs/uploads/"), None)
            .expect("begin an upload");
        let location = begun.headers["location"].to_str().expect("a location").to_owned();
        let path = location.split_once(&registry.address).map_or(location.as_str(), |(_, path)| path);
        let mut server = TcpStream::connect(&registry.address).expect("connect");
        write!(
            server,
            "PATCH {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            registry.address
        )
        .expect("send");
        let (end, ended) = channel();
        let bytes = blob.bytes.clone();
        let client = thread::spawn(move || {
            let mut pieces = bytes.chunks(20_000);
            let mut send = |piece: &[u8]| {
                server.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("send");
                server.write_all(piece).expect("send");
                server.write_all(b"\r\n").expect("send");
            };
            while ended.recv_timeout(Duration::from_millis(200)).is_err() {
                send(pieces.next().expect("the layer lasts as long as the test"));
            }
            pieces.for_each(&mut send);
            server.write_all(b"0\r\n\r\n").expect("send");
            let mut answer = String::new();
            server.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        });
        Self { end, client }
    }

    fn end(self) {
        self.end.send(()).expect("the client is there");
        self.client.join().expect("the client ends");
    }
}

#[test]
fn a_push_under_way_is_not_cut() {
    if left_out() {
        return;
    }
    let registry = with_garbage("slow");
    let started = registry.started_at();
    let gc = ["gc", "--force", "--registry", &registry.address];
    let blob = layer("slow", 20_000_000);
    let push = SlowPush::begin(&registry, "team/slow", &blob);
    let tool = Tool::standalone();

    tool.run(&gc)
        .exits(4)
        .says("Waiting: a push to `team/slow` is under way")
        .says("error: a push to `team/slow` is under way")
        .says("--wait");
    tool.run(&["rm", "--gc", "--force", &registry.reference("app:1")]).exits(4).says("team/slow");
    registry.assert_pulls("app", ["1"]);
    assert_eq!(registry.started_at(), started);

    let mut waiting = tool.start(&[&gc[..], &["--wait", "10min"]].concat());
    thread::sleep(Duration::from_secs(7));
    assert!(!waiting.has_ended() && registry.started_at() == started);
    push.end();
    // The session is there until the client says what it has sent; then the registry is quiet.
    let session = registry.shell(&format!("ls {STORE}/repositories/team/slow/_uploads"));
    registry.shell(&format!("rm -r {STORE}/repositories/team/slow/_uploads/{session}"));
    waiting.wait().success();
    assert_ne!(registry.started_at(), started);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_push_that_was_given_up_holds_nothing_back() {
    if left_out() {
        return;
    }
    let registry = with_garbage("given up");
    let begun = registry.client.send(&Method::POST, "/v2/app/blobs/uploads/", None).unwrap();
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    let uploads = format!("{STORE}/repositories/app/_uploads");
    registry.shell(&format!("find {uploads}/* -exec touch -d @$(($(date +%s) - 40)) {{}} +"));
    let gc = ["gc", "--force", "--registry", &registry.address];
    Tool::standalone().run(&gc).success().never_says("Waiting: a push");
    assert!(registry.shell(&format!("ls {uploads}")).contains('-'), "it is not old enough to go");
    assert_eq!(registry.blob_count(), 3);
}

#[test]
fn another_container_on_the_store_is_waited_for() {
    if left_out() {
        return;
    }
    let registry = with_garbage("other writer");
    let started = registry.started_at();
    let other = Options::default().volumes_from(&registry.name).start();
    let gc = ["gc", "--force", "--registry", &registry.address];
    let tool = Tool::standalone();

    tool.run(&gc).exits(4).says(&other.name).never_says("Waiting");
    tool.run(&[&gc[..], &["--wait=2s"]].concat()).exits(4).says("Waiting").says(&other.name);
    let mut waiting = tool.start(&[&gc[..], &["--wait", "10min"]].concat());
    thread::sleep(Duration::from_secs(3));
    assert!(!waiting.has_ended() && registry.started_at() == started);
    docker_says(["stop", "--time", "0", &other.name]);
    waiting.wait().success();
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["1"]);
}

#[test]
fn a_run_that_waits_can_be_interrupted() {
    if left_out() {
        return;
    }
    let registry = with_garbage("interrupted wait");
    let started = registry.started_at();
    let other = Options::default().volumes_from(&registry.name).start();
    let tool = Tool::standalone();
    let waiting = tool.start(&["gc", "--force", "--wait", "10min", "--registry", &registry.address]);
    thread::sleep(Duration::from_secs(3));
    waiting.signal("INT");
    waiting.wait().exits(130).says(&other.name);
    assert_eq!(registry.started_at(), started);
    let left = docker_says([
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("name=registry-prune-{}", &registry.identity().id[..12]),
    ]);
    assert_eq!(left, "");
}
