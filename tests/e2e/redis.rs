//! A registry that remembers its blobs in redis, which outlives its restart.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use reqwest::Method;

use crate::support::content::{Image, Recipe};
use crate::support::engine::{docker_says, left_out, registry_image};
use crate::support::redis::Redis;
use crate::support::registry::{Registry, eventually};
use crate::support::tool::Tool;

/// Two images that redis knows, for their pushes and pulls.
fn with_two_images(registry: &Registry, seed: &str) -> Image {
    let gone = Recipe::new(&format!("{seed} gone")).build();
    registry.client.push("app", &["gone"], &gone);
    registry.client.push("app", &["kept"], &Recipe::new(&format!("{seed} kept")).build());
    registry.assert_pulls("app", ["gone", "kept"]);
    gone
}

/// As `docker push` does: what the registry says it has is not sent.
fn push_what_is_missing(registry: &Registry, tag: &str, image: &Image) -> usize {
    let is_missing = |digest: &str| {
        let path = format!("/v2/app/blobs/{digest}");
        !registry.client.send(&Method::HEAD, &path, None).expect("an answer").status.is_success()
    };
    let blobs = image.layers.iter().chain([&image.config]);
    let missing: Vec<_> = blobs.filter(|blob| is_missing(&blob.digest)).collect();
    for blob in &missing {
        registry.client.push_blob("app", blob);
    }
    registry.client.put_manifest("app", tag, &image.manifest);
    missing.len()
}

fn digests(image: &Image) -> impl Iterator<Item = &str> {
    let blobs = image.layers.iter().chain([&image.config, &image.manifest]);
    blobs.map(|blob| blob.digest.as_str())
}

/// No connection to redis is left over.
fn assert_nothing_is_left(registry: &Registry) {
    let id = docker_says(["inspect", "--format", "{{.Id}}", &registry.name]);
    let filter = format!("label=io.github.docker-registry-prune.registry={id}");
    assert_eq!(docker_says(["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]), "");
}

/// What the tests below are about: without this harm they would prove nothing.
#[test]
fn without_forgetting_a_pushed_image_is_broken_even_after_a_restart() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    let gone = with_two_images(&registry, "redis by hand");
    registry.client.delete("app", &gone.manifest.digest);
    registry.collect_by_hand();
    docker_says(["restart", &registry.name]);
    registry.wait_until_it_answers();

    assert_eq!(push_what_is_missing(&registry, "gone", &gone), 0, "it is said to be there");
    registry.pull("app", "gone").unwrap_err();
}

#[test]
fn what_was_collected_is_forgotten_and_can_be_pushed_again() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    let gone = with_two_images(&registry, "redis");
    let foreign = ["session:1", "myblobs::1", "repository::x", "blobs:1"];
    for key in foreign {
        assert_eq!(redis.says(&["set", key, "theirs"]), "OK");
    }
    assert_eq!(redis.says(&["-n", "1", "set", "blobs::theirs", "theirs"]), "OK");
    assert!(digests(&gone).any(|digest| redis.remembers("0", digest)));

    let before = registry.identity();
    let answer = Tool::standalone()
        .run(&["rm", "--gc", "--force", "--format", "json", &registry.reference("app:gone")])
        .success();
    let removed = &answer.json()["collection"]["cacheKeysRemoved"];
    assert!(removed.as_u64().is_some_and(|keys| keys >= 6), "{removed}\n{answer}");
    assert_eq!(registry.blob_count(), 3);
    assert_eq!(registry.identity(), before);
    assert!(!digests(&gone).any(|digest| redis.remembers("0", digest)), "{answer}");
    for key in foreign {
        assert_eq!(redis.says(&["get", key]), "theirs");
    }
    assert_eq!(redis.says(&["-n", "1", "get", "blobs::theirs"]), "theirs");
    assert_nothing_is_left(&registry);

    assert_eq!(push_what_is_missing(&registry, "gone", &gone), 2);
    registry.assert_pulls("app", ["gone", "kept"]);
}

#[test]
fn a_password_and_a_database_are_used_and_a_live_collection_forgets_too() {
    if left_out() {
        return;
    }
    let redis = Redis::with_password("s3cr et'x");
    let registry = redis.registry().env("REGISTRY_REDIS_DB", "3").start();
    let gone = with_two_images(&registry, "redis with password");
    assert!(digests(&gone).any(|digest| redis.remembers("3", digest)));
    Tool::standalone()
        .run(&["rm", "--gc", "--gc-mode", "live", "--force", &registry.reference("app:gone")])
        .success()
        .says("of the blob cache in redis removed")
        .never_says("s3cr");
    assert_eq!(push_what_is_missing(&registry, "gone", &gone), 2);
    registry.assert_pulls("app", ["gone", "kept"]);
}

#[test]
fn a_redis_that_cannot_be_spoken_to_is_told_before_anything_is_changed() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    with_two_images(&registry, "redis refused");
    let (started, asked) = (registry.started_at(), registry.requests().len());
    let refuses = |words: &str| {
        for arguments in [
            ["rm", "--gc", "--force", &registry.reference("app:gone")].as_slice(),
            &["gc", "--force", "--registry", &registry.address],
        ] {
            let answer =
                Tool::standalone().run(arguments).exits(4).says("cache:6379").says(words).says("--no-gc");
            assert_eq!(registry.started_at(), started, "it was restarted\n{answer}");
        }
        assert_nothing_is_left(&registry);
    };
    redis.says(&["config", "set", "requirepass", "another"]);
    refuses("NOAUTH");
    redis.says(&["-a", "another", "config", "set", "port", "0"]);
    refuses("nc:");
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed, "a change was attempted");
    assert_eq!(registry.blob_count(), 6);

    docker_says(["restart", "--time", "0", &redis.name]);
    registry.assert_pulls("app", ["gone", "kept"]);
}

#[test]
fn what_cannot_be_forgotten_any_more_is_not_collected() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    with_two_images(&registry, "redis goes away");
    let answer = Tool::standalone()
        .run_on_terminal(&["rm", "--gc", &registry.reference("app:gone")], "y\n", || {
            redis.refuse_connections();
        })
        .exits(3)
        .says("nothing is collected");
    assert!(registry.is_running(), "{answer}");
    assert_eq!(registry.blob_count(), 6, "{answer}");
    docker_says(["restart", "--time", "0", &redis.name]);
    registry.wait_until_it_answers();

    let gone = registry.client.tags("app");
    assert_eq!(gone, ["kept"]);
    Tool::standalone().run(&["gc", "--force", "--registry", &registry.address]).success();
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["kept"]);
}

/// While the registry is stopped: nothing is swept that cannot be forgotten, or it is said as loudly as can be.
#[test]
fn a_redis_lost_within_the_window_leaves_the_registry_in_service() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    let gone = with_two_images(&registry, "redis lost");
    let reference = registry.reference("app:gone");
    let tool = Tool::standalone();
    let mut run = tool.start(&["rm", "--gc", "--force", &reference]);
    eventually("the registry is stopped for the collection", || !registry.is_running() || run.has_ended());
    redis.refuse_connections();
    let answer = run.wait().exits(3);
    assert!(registry.is_running(), "{answer}");
    let is_swept = !registry.has_blob(&gone.manifest.digest);
    assert_eq!(is_swept, answer.mentions("pushes can be damaged"), "{answer}");
    assert_eq!(!is_swept, answer.mentions("nothing is collected"), "{answer}");
}

/// How a run says which process it is.
fn label_of(process: u32) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("the boot's id");
    let namespace = fs::read_link("/proc/self/ns/pid").expect("the namespace");
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let started = after_name.split_whitespace().nth(19).expect("when it was started");
    format!("{}/{} {process} {started}", boot.trim(), namespace.display())
}

/// How a connection is found that a killed run had made and not yet started.
#[test]
fn a_connection_that_a_killed_run_never_started_is_removed() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    let label = format!("io.github.docker-registry-prune.redis-of={}", registry.identity().id);
    let mut run = Command::new("sleep").arg("300").spawn().expect("a process");
    let owner = format!("io.github.docker-registry-prune.owner={}", label_of(run.id()));
    let labels = ["--label", &label, "--label", &owner];
    let volume_of = |container: &str| {
        docker_says(["inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", container])
    };
    let connection = docker_says(["create"].into_iter().chain(labels).chain([registry_image()]));
    let volume = volume_of(&connection);
    let tool = Tool::standalone();
    tool.run(&["recover", "--container", &registry.name]).success();
    assert_eq!(volume_of(&connection), volume, "its run is at work");

    run.kill().and_then(|()| run.wait()).expect("it ends");
    tool.run(&["recover", "--container", &registry.name]).success().says("nothing to recover");
    let filter = format!("label={label}");
    assert_eq!(docker_says(["ps", "--all", "--quiet", "--filter", &filter]), "");
    assert_eq!(docker_says(["volume", "ls", "--quiet", "--filter", &format!("name={volume}")]), "");
}

/// One server without TLS is all that this tool speaks to; what it does not know how to empty it collects nothing for.
#[test]
fn with_tls_sentinels_or_several_servers_there_are_deletions_only() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    for (name, value, words) in [
        ("REGISTRY_REDIS_TLS_ENABLED", "true", "reached by TLS"),
        ("REGISTRY_REDIS_TLS_CERTIFICATE", "/certificate.pem", "reached by TLS"),
        ("REGISTRY_REDIS_MASTERNAME", "primary", "sentinel"),
        ("REGISTRY_REDIS_ISCLUSTERMODE", "true", "cluster"),
        ("REGISTRY_REDIS_ADDRS", "[\"cache:6379\", \"cache:6380\"]", "several addresses"),
    ] {
        let registry = redis.registry().env(name, value).start();
        for tag in ["gone", "kept"] {
            registry.client.push("app", &[tag], &Recipe::new(&format!("{name} {tag}")).build());
        }
        let started = registry.started_at();
        let gone = registry.reference("app:gone");
        for arguments in
            [["gc", "--force", "--registry", registry.address.as_str()], ["rm", "--gc", "--force", &gone]]
        {
            let answer = Tool::standalone().run(&arguments).exits(4).says(words).says("nothing is collected");
            assert_eq!(registry.client.tags("app"), ["gone", "kept"], "{}", answer.says("--no-gc"));
        }
        Tool::standalone().run(&["rm", "--force", &gone]).success();
        assert_eq!(registry.client.tags("app"), ["kept"]);
        assert_eq!((registry.started_at(), registry.blob_count()), (started, 6), "{name}");
    }
}

/// A run that was killed after its sweep: the next one forgets before it starts the registry.
#[test]
fn what_a_killed_run_swept_is_forgotten_before_the_registry_is_started() {
    if left_out() {
        return;
    }
    let redis = Redis::start();
    let registry = redis.registry().start();
    let gone = with_two_images(&registry, "redis killed");
    registry.client.delete("app", &gone.manifest.digest);
    registry.collect_by_hand();
    docker_says(["stop", &registry.name]);
    let id = docker_says(["inspect", "--format", "{{.Id}}", &registry.name]);
    let name = format!("registry-prune-{}-sweep", &id[..12]);
    let of = format!("io.github.docker-registry-prune.registry={id}");
    // It lives until the sweep is over: else another test's run could find the container before it was started.
    let mut run = Command::new("sleep").arg("300").spawn().expect("a process");
    let owner = format!("io.github.docker-registry-prune.owner={}", label_of(run.id()));
    let role = "io.github.docker-registry-prune.role=collector";
    let was_running = "io.github.docker-registry-prune.was-running=true";
    let labels = [role, &of, &owner, was_running].into_iter().flat_map(|label| ["--label", label]);
    let fixed = ["run", "--name", &name, "--entrypoint", "true"].into_iter().chain(labels);
    docker_says(fixed.chain([registry_image()]));
    run.kill().and_then(|()| run.wait()).expect("it ends");

    // A run of another test may be the one that puts it right; this one then finds nothing to do.
    let tool = Tool::standalone();
    eventually("the registry is listed", || {
        tool.run(&["ls", "--registry", &registry.address]).code == Some(0)
    });
    assert_nothing_is_left(&registry);
    assert!(!digests(&gone).any(|digest| redis.remembers("0", digest)));
    assert_eq!(push_what_is_missing(&registry, "gone", &gone), 2);
    registry.assert_pulls("app", ["gone", "kept"]);
    // Or it is still about to: the container must not go away under it.
    thread::sleep(Duration::from_secs(3));
}
