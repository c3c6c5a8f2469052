//! What rules may not do unless they are told so: a bound on how much goes, `latest`, and a minimum age.

use std::time::SystemTime;

use jiff::Timestamp;

use crate::fake_registry::FakeRegistry;
use crate::run::{Answer, Asked as _, Tool};

/// `app` with ten tags, and `web` with two.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for number in 0..10 {
        fake.image("app", &format!("v{number}"), &format!("2024-03-{:02}T00:00:00Z", number + 1), &["base"]);
    }
    for number in 0..2 {
        fake.image(
            "web",
            &format!("pr-{number}"),
            &format!("2024-02-{:02}T00:00:00Z", number + 1),
            &["base"],
        );
    }
    fake
}

fn prune(fake: &FakeRegistry, flags: &[&str]) -> Answer {
    Tool::new().on(fake, &[&["prune", "--no-gc", "--force"], flags].concat())
}

#[test]
fn more_than_half_of_the_tags_go_only_when_that_is_said() {
    let fake = registry();
    let refused = prune(&fake, &["--keep", "3"]).exits(4);
    let refused = refused.says("would remove 7 of 12 tags (59%), and no more than 50% may go at one time");
    let _ = refused.says("--max-delete 59%").says("--dry-run -v");
    assert_eq!(fake.changes(), [""; 0]);
    prune(&fake, &["--keep", "4", "--max-delete", "5"]).exits(4).says("no more than 5 may go");
    prune(&fake, &["--keep", "4", "--max-delete", "49%"]).exits(4).says("no more than 49%");
    let dry = prune(&fake, &["--keep", "3", "--dry-run"]).exits(0);
    let _ = dry.says("a run would be refused: the rules would remove 7 of 12 tags").says("--max-delete 59%");
    assert_eq!(fake.changes(), [""; 0]);
    // The hint's own figure is enough, and exactly half is not too much.
    prune(&registry(), &["--keep", "3", "--max-delete", "59%"]).exits(0).says("Deleted 7 tags");
    prune(&registry(), &["--keep", "3", "--max-delete", "7"]).exits(0).says("Deleted 7 tags");
    prune(&fake, &["--keep", "4"]).exits(0).says("Deleted 6 tags");
}

#[test]
fn a_repository_is_emptied_only_when_that_is_said() {
    let web = ["--older-than", "1d", "--filter", "repository=web"];
    for flags in [&["--max-delete", "99%"][..], &["--max-delete", "12"]] {
        let fake = registry();
        let answer = prune(&fake, &[&web, flags].concat()).exits(4);
        let _ = answer.says("would leave `web` without any tag").says("--at-least 1").says("--allow-empty");
        assert_eq!(fake.changes(), [""; 0]);
    }
    let everything = ["--older-than", "1d", "--max-delete", "12"];
    prune(&registry(), &everything).exits(4).says("would leave `app` and 1 more without any tag");
    for flags in [&["--allow-empty"][..], &["--max-delete", "100%"]] {
        prune(&registry(), &[&web, flags].concat()).exits(0).says("Deleted 2 tags");
    }
    let part = ["--older-than", "1d", "--max-delete", "15%", "--filter", "repository=web"];
    prune(&registry(), &part).exits(4).says("would remove 2 of 12 tags (17%)");
    prune(&registry(), &[&web[..], &["--at-least", "1"]].concat()).exits(0).says("Deleted 1 tag");
}

#[test]
fn what_a_person_names_is_not_too_much() {
    let fake = registry();
    Tool::new().on(&fake, &["rm", "--force", "app", "web"]).exits(0).says("Deleted 12 tags");
}

#[test]
fn signatures_are_no_versions_and_do_not_count() {
    let fake = registry();
    for tag in ["v0", "v1", "v2", "v3", "v4", "v5"] {
        let digest = fake.change(|contents| contents.repository("app").tags[tag].clone());
        let attached = |ending: &str| format!("{}{ending}", digest.replace(':', "-"));
        fake.image("app", &attached(".sig"), "2024-03-01T00:00:00Z", &["signature"]);
        fake.image("app", &attached(".att"), "2024-03-01T00:00:00Z", &["attestation"]);
    }
    prune(&fake, &["--keep", "4"]).exits(0).says("Deleted 18 tags");
}

#[test]
fn latest_goes_only_when_it_is_included() {
    let fake = registry();
    fake.image("app", "latest", "2023-01-01T00:00:00Z", &["latest"]);
    prune(&fake, &["--keep", "9", "-v"]).exits(0).says("`latest` is not for rules");
    assert_eq!(fake.tags("app").len(), 10);
    prune(&fake, &["--keep", "9", "--include-latest"]).exits(0).says("Deleted 1 tag");
    assert!(!fake.tags("app").contains(&"latest".to_owned()));
}

#[test]
fn what_was_made_within_the_hour_stays_unless_that_is_said() {
    let fake = registry();
    let now = Timestamp::try_from(SystemTime::now()).expect("a date");
    for number in 0..3 {
        fake.image("app", &format!("w{number}"), &now.to_string(), &["fresh"]);
    }
    let rule = ["--filter", "tag=w*", "--keep", "1", "app"];
    let answer = prune(&fake, &rule).exits(0);
    let _ = answer.says("2 tags that would go are kept: nothing goes so soon after its push (`--min-age`)");
    assert_eq!(fake.changes(), [""; 0]);
    prune(&fake, &[&rule[..], &["--min-age", "none"]].concat()).exits(0).says("Deleted 2 tags");
}

#[test]
fn a_file_says_the_same_and_the_command_line_replaces_it() {
    let guarded = "min-age = \"none\"\nmax-delete = 3\nallow-empty = true\ninclude-latest = true\n\n";
    let rule = "[[rule]]\nkeep = 1\n";
    let fake = registry();
    let tool = Tool::new().file("policy.toml", &format!("{guarded}{rule}"));
    let flags = ["prune", "--no-gc", "--force", "--policy", "policy.toml"];
    tool.on(&fake, &flags).exits(4).says("no more than 3 may go");
    let printed = tool.run(&["prune", "--print-policy", "--policy", "policy.toml"]).exits(0).stdout;
    assert_eq!(printed, format!("{guarded}{rule}"));
    let replaced =
        ["prune", "--print-policy", "--policy", "policy.toml", "--max-delete", "90%", "--min-age", "2d"];
    let printed = tool.run(&replaced).exits(0).stdout;
    assert!(printed.starts_with("min-age = \"2d\"\nmax-delete = \"90%\"\n"), "{printed}");
    tool.on(&fake, &[&flags[..], &["--max-delete", "90%"]].concat()).exits(0).says("Deleted 10 tags");
    for (text, told) in [
        ("max-delete = \"half\"\n", "policy.toml:1:14: `half` is neither a number of tags"),
        ("max-delete = -1\n", "policy.toml:1:14: `-1` is neither"),
        ("min-age = \"6m\"\n", "policy.toml:1:11: ambiguous"),
        ("allow-empty = 1\n", "policy.toml:1:15: "),
    ] {
        let tool = Tool::new().file("policy.toml", &format!("{text}{rule}"));
        tool.on(&fake, &flags).exits(2).says(told);
    }
}
