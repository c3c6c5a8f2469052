//! Rules against the real server: groups, dates of pushes, and dates that are none.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::support::content::{Recipe, layer};
use crate::support::engine::left_out;
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

/// Lets the registry's store say that a tag was pushed so many days ago.
fn pushed(registry: &Registry, repository: &str, tag: &str, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    let seconds = then.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let link = format!("{STORE}/repositories/{repository}/_manifests/tags/{tag}/current/link");
    registry.shell(&format!("touch -d @{seconds} {link}"));
}

#[test]
fn of_sixty_branches_the_newest_two_builds_each_stay() {
    const BRANCHES: usize = 60;
    const BUILDS: usize = 5;
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let base = layer("sixty branches", 1_000);
    let mut expected = BTreeSet::new();
    for branch in 0..BRANCHES {
        for build in 0..BUILDS {
            // Numbers of two digits, so that names in the order of letters would be wrong.
            let tag = format!("branch-{branch}-{}", build + 7);
            let created = format!("2024-0{}-{:02}T08:00:00Z", build + 1, branch % 28 + 1);
            let image = Recipe::new(&format!("sixty branches {tag}")).layer(&base).created(&created).build();
            if branch == 0 && build == 0 {
                registry.client.push_blob("app", &base);
            }
            registry.client.push_blob("app", &image.config);
            registry.client.put_manifest("app", &tag, &image.manifest);
            if build + 2 >= BUILDS {
                expected.insert(tag);
            }
        }
    }
    assert_eq!(registry.client.tags("app").len(), BRANCHES * BUILDS);
    let rules = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--group",
        r"(.+)-\d+",
        "--keep",
        "2",
        "--force",
        "--registry",
        &registry.address,
    ];
    Tool::standalone().run(&rules).success().says("Deleted 180 tags and 180 manifests");

    let left: BTreeSet<String> = registry.client.tags("app").into_iter().collect();
    assert_eq!(left, expected);
    registry.assert_pulls("app", left.iter().map(String::as_str));
    assert_eq!(registry.blob_count(), 1 + 2 * expected.len(), "one layer, and a config and a manifest each");
    Tool::standalone().run(&rules).success().says("No tags to remove");
}

#[test]
fn an_image_of_a_reproducible_build_is_not_old() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    for (tag, created) in [
        ("epoch", "1970-01-01T00:00:00Z"),
        ("eighties", "1980-01-01T00:00:01Z"),
        ("old", "2023-05-01T10:00:00Z"),
        ("newer", "2024-05-01T10:00:00Z"),
    ] {
        let image = Recipe::new(&format!("reproducible {tag}")).created(created).build();
        registry.client.push("app", &[tag], &image);
    }
    let address = registry.address.as_str();
    let answer = Tool::standalone()
        .run(&[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--keep",
            "1",
            "--older-than",
            "1h",
            "--no-gc",
            "--force",
            "-v",
            "--registry",
            address,
        ])
        .success();
    assert_eq!(registry.client.tags("app"), ["eighties", "epoch", "newer"], "{answer}");
    answer.says("no usable date: its date is before 1990");

    // When it was pushed is known all the same.
    for (tag, days) in [("epoch", 40), ("eighties", 20), ("newer", 30)] {
        pushed(&registry, "app", tag, days);
    }
    Tool::standalone()
        .run(&[
            "prune",
            "--min-age",
            "none",
            "--max-delete",
            "100%",
            "--order",
            "pushed",
            "--keep",
            "2",
            "--force",
            "--registry",
            address,
        ])
        .success();
    assert_eq!(registry.client.tags("app"), ["eighties", "newer"]);
    registry.assert_pulls("app", ["eighties", "newer"]);
}

#[test]
fn the_date_of_the_push_is_that_of_the_tag() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    // Made long ago in the opposite order; `alias` is a tag pushed later on the oldest image.
    for (tag, created, days) in [
        ("a", "2024-04-01T00:00:00Z", 90),
        ("b", "2024-03-01T00:00:00Z", 31),
        ("c", "2024-02-01T00:00:00Z", 29),
        ("d", "2024-01-01T00:00:00Z", 1),
    ] {
        let image = Recipe::new(&format!("pushed {tag}")).created(created).build();
        registry.client.push("app", &[tag], &image);
        if tag == "a" {
            registry.client.put_manifest("app", "alias", &image.manifest);
        }
        pushed(&registry, "app", tag, days);
    }
    pushed(&registry, "app", "alias", 2);
    let address = registry.address.as_str();
    let tool = Tool::standalone();
    let age = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--older-than",
        "30d",
        "--date",
        "pushed",
        "--registry",
        address,
    ];
    let dry = [&age[..], &["--dry-run", "--verbose"]].concat();
    tool.run(&dry).success().says("younger than 30d").says("pushed");
    let floor = ["--order", "pushed", "--at-least", "4", "--no-gc", "--force"];
    tool.run(&[&age[..], &floor].concat()).success();
    assert_eq!(registry.client.tags("app"), ["alias", "b", "c", "d"]);
    tool.run(&[&age[..], &["--no-gc", "--force"]].concat()).success();
    assert_eq!(registry.client.tags("app"), ["alias", "c", "d"]);
    let order = [
        "prune",
        "--min-age",
        "none",
        "--max-delete",
        "100%",
        "--order",
        "pushed",
        "--keep",
        "2",
        "--force",
        "--registry",
        address,
    ];
    tool.run(&order).success();
    assert_eq!(registry.client.tags("app"), ["alias", "d"]);
    registry.assert_pulls("app", ["alias", "d"]);
}

#[test]
fn what_was_pushed_a_moment_ago_stays_however_old_its_image_says_it_is() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    // Tags that look like the store's own folders are tags like any other.
    for (tag, created) in [("index", "2023-01-01T00:00:00Z"), ("revisions", "2023-02-01T00:00:00Z")] {
        for repository in ["app", "app/index", "revisions"] {
            let image = Recipe::new(&format!("young {repository} {tag}")).created(created).build();
            registry.client.push(repository, &[tag], &image);
        }
    }
    let rule = ["prune", "--keep", "1", "--no-gc", "--force", "--registry", &registry.address];
    let tool = Tool::standalone();
    let answer = tool.run(&rule).success().says("3 tags that would go are kept");
    answer.says("nothing goes so soon after its push");
    for repository in ["app", "app/index", "revisions"] {
        pushed(&registry, repository, "index", 1);
    }
    tool.run(&rule).success().says("Deleted 3 tags");
    for repository in ["app", "app/index", "revisions"] {
        assert_eq!(registry.client.tags(repository), ["revisions"]);
    }
}
