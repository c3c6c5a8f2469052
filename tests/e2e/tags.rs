//! Tags: one of several on a digest, all of a repository, one that moved while nobody looked.

use crate::support::content::{Recipe, layer};
use crate::support::engine::{clean_pull, left_out};
use crate::support::registry::{Registry, STORE};
use crate::support::tool::Tool;

#[test]
fn one_tag_of_a_shared_digest_goes_and_the_others_still_pull() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("shared digest").build();
    registry.client.push("app", &["1.0", "1", "latest"], &image);
    let blobs = registry.blob_count();
    let tool = Tool::standalone();

    tool.run(&["rm", "--force", &registry.reference("app:1")]).success();
    assert_eq!(registry.client.tags("app"), ["1.0", "latest"]);
    registry.assert_pulls("app", ["1.0", "latest", &image.manifest.digest]);

    tool.run(&["gc", "--force", "--registry", &registry.address]).success();
    assert_eq!(registry.client.tags("app"), ["1.0", "latest"]);
    registry.assert_pulls("app", ["1.0", "latest", &image.manifest.digest]);
    assert_eq!(registry.blob_count(), blobs, "no placeholder stays in the store");
    clean_pull(&registry.reference("app:latest"), None).success();
}

#[test]
fn the_last_tag_of_a_shared_digest_takes_the_image_with_it() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("all tags of a digest").build();
    registry.client.push("app", &["1.0", "1"], &image);
    registry.client.push("app", &["2.0"], &Recipe::new("another digest").build());
    let (first, second) = (registry.reference("app:1.0"), registry.reference("app:1"));

    Tool::standalone().run(&["rm", "--gc", "--force", &first, &second]).success();
    assert_eq!(registry.client.tags("app"), ["2.0"]);
    assert!(!registry.has_blob(&image.manifest.digest));
    assert!(!registry.has_blob(&image.layers[0].digest));
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["2.0"]);
}

#[test]
fn a_digest_goes_with_every_tag_on_it() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let image = Recipe::new("by digest").build();
    registry.client.push("app", &["1", "2"], &image);
    registry.client.push("app", &["3"], &Recipe::new("by digest, kept").build());

    let digest = registry.reference(&format!("app@{}", image.manifest.digest));
    Tool::standalone().run(&["rm", "--force", &digest]).success();
    assert_eq!(registry.client.tags("app"), ["3"]);
    assert!(!registry.client.has_manifest("app", &image.manifest.digest));
    registry.assert_pulls("app", ["3"]);
}

#[test]
fn a_repository_goes_with_all_its_tags_and_the_one_nested_in_it_stays() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let base = layer("common base", 20_000);
    let kept = Recipe::new("nested").layer(&base).build();
    registry.client.push("app/sub", &["1"], &kept);
    let gone: Vec<_> = (0..4)
        .map(|number| {
            let own = layer(&format!("whole repository {number}"), 50_000);
            Recipe::new(&format!("whole repository {number}")).layer(&base).layer(&own).build()
        })
        .collect();
    for (number, image) in gone.iter().enumerate() {
        registry.client.push("app", &[&format!("v{number}"), &format!("alias-{number}")], image);
    }

    Tool::standalone().run(&["rm", "--gc", "--force", &registry.reference("app")]).success();
    assert!(registry.client.tags("app").is_empty());
    for image in &gone {
        assert!(!registry.has_blob(&image.manifest.digest));
        assert!(!registry.has_blob(&image.layers[1].digest));
    }
    assert_eq!(registry.blob_count(), 3, "the shared layer stays with its last image");
    registry.assert_pulls("app/sub", ["1"]);
    clean_pull(&registry.reference("app/sub:1"), None).success();
}

#[test]
fn a_kept_tag_that_moves_onto_a_doomed_digest_before_the_answer_is_not_lost() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let doomed = Recipe::new("moved onto").build();
    registry.client.push("app", &["old"], &doomed);
    registry.client.push("app", &["kept"], &Recipe::new("moved from").build());

    let answer =
        Tool::standalone().run_on_terminal(&["rm", "--gc", &registry.reference("app:old")], "y\n", || {
            registry.client.put_manifest("app", "kept", &doomed.manifest);
        });
    assert!(registry.client.tags("app").contains(&"kept".to_owned()), "{answer}");
    registry.assert_pulls("app", ["kept"]);
    assert_eq!(registry.pull("app", "kept").unwrap().manifests, [doomed.manifest.digest].into(), "{answer}");
}

#[test]
fn a_doomed_tag_that_was_pushed_anew_before_the_answer_is_not_lost() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["nightly"], &Recipe::new("last night").build());
    let fresh = Recipe::new("this night").build();

    let answer = Tool::standalone().run_on_terminal(
        &["rm", "--gc", &registry.reference("app:nightly")],
        "y\n",
        || registry.client.push("app", &["nightly"], &fresh),
    );
    let pulled = registry.pull("app", "nightly").unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert_eq!(pulled.manifests, [fresh.manifest.digest].into(), "{answer}");
}

/// Only one platform was built anew: the other part of the index is the one that is about to go.
#[test]
fn a_doomed_index_that_was_pushed_anew_with_an_old_part_before_the_answer_is_not_lost() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let amd = Recipe::new("same as before").oci().build();
    let arm = |seed: &str| Recipe::new(seed).architecture("arm64").oci().build();
    registry.client.push_index("app", "nightly", &[&amd, &arm("last night")]);

    let answer = Tool::standalone().run_on_terminal(
        &["rm", "--gc", &registry.reference("app:nightly")],
        "y\n",
        || {
            registry.client.push_index("app", "nightly", &[&amd, &arm("this night")]);
        },
    );
    let pulled = registry.pull("app", "nightly").unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert!(pulled.manifests.contains(&amd.manifest.digest), "{answer}");
}

#[test]
fn a_doomed_tag_that_moves_onto_another_doomed_digest_before_the_answer_is_not_lost() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let old = Recipe::new("rolled back to").build();
    registry.client.push("app", &["1"], &old);
    registry.client.push("app", &["2"], &Recipe::new("rolled back from").build());

    let answer = Tool::standalone().run_on_terminal(
        &["rm", "--gc", &registry.reference("app:1"), &registry.reference("app:2")],
        "y\n",
        || registry.client.put_manifest("app", "2", &old.manifest),
    );
    let pulled = registry.pull("app", "2").unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert_eq!(pulled.manifests, [old.manifest.digest].into(), "{answer}");
}

/// A tag without a manifest is in the way of every collection.
#[test]
fn a_tag_that_leads_nowhere_is_taken_away_and_hinders_no_other_removal() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let lost = Recipe::new("lost").build();
    registry.client.push("app", &["lost"], &lost);
    for tag in ["gone", "kept"] {
        registry.client.push("app", &[tag], &Recipe::new(&format!("not lost {tag}")).build());
    }
    let hex = lost.manifest.digest.trim_start_matches("sha256:");
    registry.shell(&format!("rm -r {STORE}/repositories/app/_manifests/revisions/sha256/{hex}"));

    Tool::standalone().run(&["rm", "--force", &registry.reference("app:gone")]).success();
    assert_eq!(registry.client.tags("app"), ["kept", "lost"]);
    Tool::standalone().run(&["rm", "--gc", "--force", &registry.reference("app:lost")]).success();
    assert_eq!(registry.client.tags("app"), ["kept"]);
    assert_eq!(registry.blob_count(), 3);
    registry.assert_pulls("app", ["kept"]);
}

/// The registry does not list manifests without a tag, and the collector spares what they need. The store shows them.
#[test]
fn what_an_untagged_manifest_needs_is_not_announced_to_come_back() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    let base = layer("shared with the untagged", 50_000);
    let remove = |source: &str| {
        for seed in ["untagged by the next push", "pushed over it"] {
            registry.client.push("app", &["1"], &Recipe::new(seed).layer(&base).build());
        }
        let tag = registry.reference("app:1");
        let answer = Tool::standalone().run(&["rm", "--gc", "--force", "--source", source, &tag]).success();
        assert!(registry.has_blob(&base.digest));
        answer
    };
    remove("api").says("Not collected: 1 of the removed blobs");
    remove("store").says("as estimated").never_says("Not collected");
}

#[test]
fn whoever_declines_changes_nothing() {
    if left_out() {
        return;
    }
    let registry = Registry::start();
    registry.client.push("app", &["1"], &Recipe::new("declined").build());
    let asked = registry.requests().len();

    let answer =
        Tool::standalone().run_on_terminal(&["rm", "--gc", &registry.reference("app:1")], "n\n", || {});
    let answer = answer.success();
    let changed = registry.requests().into_iter().skip(asked).any(|access| access.changes());
    assert!(!changed, "{answer}");
    registry.assert_pulls("app", ["1"]);
}
