//! Rules in a file: what it says is done, what it says wrongly is told with its place, and flags can be turned into one.

use serde_json::Value;

use crate::fake_registry::FakeRegistry;
use crate::run::{Answer, Asked as _, Tool};

/// Releases and builds of two repositories, all of them years old.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for repository in ["app", "team/api"] {
        for (day, tag) in
            ["v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0-rc.1", "v2.0.0", "pr-1", "pr-2", "pr-3", "edge"]
                .into_iter()
                .enumerate()
        {
            let created = format!("2024-03-{:02}T00:00:00Z", day + 1);
            let labels = [("stage", if day % 2 == 0 { "test" } else { "prod" }), ("of", repository)];
            fake.change(|contents| contents.labelled_image(repository, tag, &created, &labels));
        }
    }
    fake
}

fn prune(tool: &Tool, fake: &FakeRegistry, flags: &[&str]) -> Answer {
    tool.on(fake, &[&["prune", "--no-gc", "--force"], flags].concat())
}

const TWO_RULES: &str = r#"
protect = ["team/api:pr-1"]

[[rule]]
name = "releases"
tags = ['/v\d+\.\d+\.\d+(-.+)?/']
group = 'v(\d+)\..*'
order = "semver"
keep = 1

[[rule]]
name = "pull requests"
tags = ["pr-*"]
older-than = "14d"
at-least = 1
"#;

#[test]
fn every_rule_of_a_file_is_applied_and_what_none_covers_stays() {
    let fake = registry();
    let tool = Tool::new().file("policy.toml", TWO_RULES);
    let answer = prune(&tool, &fake, &["--policy", "policy.toml", "-v"]).exits(0);
    assert_eq!(fake.tags("app"), ["edge", "pr-3", "v1.1.0", "v2.0.0"], "{answer}");
    assert_eq!(fake.tags("team/api"), ["edge", "pr-1", "pr-3", "v1.1.0", "v2.0.0"], "{answer}");
    let _ = answer
        .says("number 1 of the newest 1 by version in group `2` (rule `releases`)")
        .says("one of at least 1 (rule `pull requests`)")
        .says("protected by");
}

#[test]
fn patterns_and_exclusions_of_the_command_line_narrow_a_file() {
    let fake = registry();
    let tool = Tool::new().file("policy.toml", TWO_RULES);
    let flags = ["--policy", "policy.toml", "app", "--exclude", ":v1.0.0"];
    let answer = prune(&tool, &fake, &flags).exits(0);
    assert_eq!(fake.tags("app"), ["edge", "pr-3", "v1.0.0", "v1.1.0", "v2.0.0"], "{answer}");
    assert_eq!(fake.tags("team/api").len(), 9, "{answer}");
}

#[test]
fn every_mistake_is_told_with_its_place_and_nothing_is_asked_of_the_registry() {
    let fake = registry();
    for (text, told) in [
        ("[[rule]]\nkeep = 0\n", &["policy.toml:2:8: 0 is no number of tags"][..]),
        ("[[rule]]\nkeep = 1\nkep = 2\n", &["policy.toml:3:1: unknown field `kep`"]),
        ("[[rule]\nkeep = 1\n", &["policy.toml:1:"]),
        ("[[rule]]\ntags = [\"v*\"]\n", &["policy.toml:1:1: the rule does not say what stays"]),
        ("[[rule]]\nolder-than = \"999999d\"\n", &["policy.toml:2:14: longer than 100 years"]),
        (
            "protect = [\"a[\"]\n[[rule]]\nkeep = -1\n",
            &["policy.toml:1:12: ", "policy.toml:3:8: -1 is no number"],
        ),
    ] {
        let tool = Tool::new().file("policy.toml", text);
        let mut answer = prune(&tool, &fake, &["--policy", "policy.toml"]).exits(2);
        for told in told {
            answer = answer.says(told);
        }
    }
    prune(&Tool::new(), &fake, &["--policy", "policy.toml"]).exits(2).says("`policy.toml` cannot be read");
    assert_eq!(fake.requests(), [""; 0]);
}

#[test]
fn a_file_and_a_rule_in_flags_are_refused() {
    let fake = registry();
    let tool = Tool::new().file("policy.toml", TWO_RULES);
    for flags in [
        &["--keep", "3"][..],
        &["--older-than", "3d"],
        &["--filter", "tag=v*"],
        &["--group", "(v).*"],
        &["--order", "name"],
        &["--date", "pushed"],
        &["--at-least", "1"],
        &["--at-most", "1"],
    ] {
        let _ = prune(&tool, &fake, &[&["--policy", "policy.toml"], flags].concat()).exits(2);
    }
    assert_eq!(fake.requests(), [""; 0]);
}

fn planned(tool: &Tool, fake: &FakeRegistry, flags: &[&str]) -> Value {
    let answer = tool.on(fake, &[&["prune", "--no-gc", "--dry-run", "--format", "json"], flags].concat());
    answer.exits(0).json()["plan"].clone()
}

/// The printed file with the same flags but for the rule gives the same plan, reasons and all.
#[track_caller]
fn comes_back(fake: &FakeRegistry, flags: &[&str]) -> String {
    let printed = Tool::new().run(&[&["prune", "--print-policy"], flags].concat()).exits(0).stdout;
    let tool = Tool::new().file("policy.toml", &printed);
    let (by_flags, by_file) =
        (planned(&tool, fake, flags), planned(&tool, fake, &["--policy", "policy.toml"]));
    assert_eq!(by_file, by_flags, "{printed}");
    assert_ne!(by_flags["removeTags"], 0, "{flags:?} remove nothing, which shows nothing");
    let again = tool.run(&["prune", "--print-policy", "--policy", "policy.toml"]).exits(0);
    assert_eq!(again.stdout, printed);
    printed
}

#[test]
fn flags_come_back_as_a_file_that_says_the_same() {
    let fake = registry();
    for flags in [
        &["--keep", "2"][..],
        &["--older-than", "6mo", "--at-least", "2"],
        &["--filter", "until=6mo", "--filter", "tag=pr-*", "--at-most", "1"],
        &["--keep", "1", "--group", r"(v\d+\.\d+)\..*", "--order", "semver", "--exclude", "app:v1.0.0"],
        &["--keep", "1", "--filter", r"tag=/pr-\d+/", "--protect", ":pr-1"],
        &["--keep", "1", "--filter", "label=stage=test", "--filter", "label!=of=app"],
        &["--keep", "1", "--order", "name", "--filter", "repository=team/*"],
        &["--keep", "1", "team/*"],
        &["--keep", "1", ":pr-*"],
        &["--keep", "1", "app:v1.*"],
    ] {
        comes_back(&fake, flags);
    }
    let printed = comes_back(&fake, &["--keep", "1", "--group", r"(pr)-\d+", "--order", "name"]);
    assert_eq!(printed, "[[rule]]\ngroup = '(pr)-\\d+'\norder = \"name\"\nkeep = 1\n");
}

/// Written apart as repositories and tags they would cover `team/api:v1.*` as well.
#[test]
fn patterns_that_belong_together_are_not_taken_apart() {
    let fake = registry();
    comes_back(&fake, &["--keep", "1", "app:v1.*", "team/api:pr-*"]);
    comes_back(&fake, &["--keep", "1", "app", "team/api:pr-*"]);
    comes_back(&fake, &["--keep", "1", "app", "--filter", "repository=*"]);
    comes_back(&fake, &["--keep", "1", "app:v*", "--filter", "tag=v1.*"]);
    let tool =
        Tool::new().file("policy.toml", "[[rule]]\nrepositories = [\"*\"]\ntags = [\"v*\"]\nkeep = 1\n");
    let narrowed = ["--policy", "policy.toml", "app:v1.*"];
    let printed = tool.run(&[&["prune", "--print-policy"], &narrowed[..]].concat()).exits(0).stdout;
    let again = Tool::new().file("policy.toml", &printed);
    assert_eq!(
        planned(&again, &fake, &["--policy", "policy.toml"]),
        planned(&tool, &fake, &narrowed),
        "{printed}"
    );
    assert_eq!(fake.changes(), [""; 0]);
}
