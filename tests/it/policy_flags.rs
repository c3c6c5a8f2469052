//! One rule in flags: what each of them keeps and gives up.

use std::fs::File;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::fake_registry::FakeRegistry;
use crate::run::{Answer, Asked as _, Tool};

/// Images in the order of their dates, the oldest first, one made each day.
fn registry(tags: &[&str]) -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for (day, reference) in tags.iter().enumerate() {
        let (repository, tag) = reference.split_once(':').unwrap_or(("app", reference));
        fake.image(repository, tag, &format!("2024-03-{:02}T00:00:00Z", day + 1), &[reference]);
    }
    fake
}

fn prune(tool: &Tool, fake: &FakeRegistry, flags: &[&str]) -> Answer {
    tool.on(fake, &[&["prune", "--no-gc", "--force", "--verbose", "--max-delete", "100%"], flags].concat())
}

#[track_caller]
fn leaves(fake: &FakeRegistry, flags: &[&str], left: &[&str]) {
    let answer = prune(&Tool::new(), fake, flags).exits(0);
    assert_eq!(fake.tags("app"), left, "{answer}");
}

fn days_ago(days: u64) -> String {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    Timestamp::try_from(then).expect("a date").to_string()
}

#[test]
fn a_filter_of_tags_says_what_the_rule_is_about() {
    let tags = ["v1.0", "v1.1", "v2.0", "v2.1", "main"];
    for (filter, left) in [
        ("tag=v1.*", &["main", "v1.1", "v2.0", "v2.1"][..]),
        (r"tag=/v1\.\d/", &["main", "v1.1", "v2.0", "v2.1"]),
        (r"tag=/1\.\d/", &["main", "v1.0", "v1.1", "v2.0", "v2.1"]),
        ("tag=v?.0", &["main", "v1.1", "v2.0", "v2.1"]),
    ] {
        leaves(&registry(&tags), &["--filter", filter, "--keep", "1"], left);
    }
}

#[test]
fn of_several_filters_of_tags_one_has_to_match() {
    let fake = registry(&["v1.0", "v1.1", "v2.0", "main"]);
    leaves(&fake, &["--filter", "tag=v1.*", "--filter", "tag=v2.*", "--keep", "1"], &["main", "v2.0"]);
}

#[test]
fn a_filter_of_repositories_leaves_the_others_alone() {
    let fake = registry(&["team/api:1", "team/api:2", "team/x/y:1", "team/x/y:2", "app:1", "app:2"]);
    leaves(&fake, &["--filter", "repository=team/*", "--keep", "1"], &["1", "2"]);
    assert_eq!(fake.tags("team/api"), ["2"]);
    assert_eq!(fake.tags("team/x/y"), ["1", "2"], "a star does not reach over a slash");
}

fn labelled() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    for (day, (tag, labels)) in [
        ("none", &[][..]),
        ("test-1", &[("stage", "test")]),
        ("test-2", &[("stage", "test"), ("hold", "")]),
        ("prod-1", &[("stage", "prod")]),
        ("test-3", &[("stage", "test")]),
    ]
    .into_iter()
    .enumerate()
    {
        let created = format!("2024-03-{:02}T00:00:00Z", day + 1);
        fake.change(|contents| contents.labelled_image("app", tag, &created, labels));
    }
    fake
}

#[test]
fn labels_are_read_from_the_images_config() {
    for (filters, left) in [
        (&["label=stage=test"][..], &["none", "prod-1", "test-3"][..]),
        (&["label=stage"], &["none", "test-3"]),
        (&["label=hold"], &["none", "prod-1", "test-1", "test-2", "test-3"]),
        (&["label!=stage=test"], &["prod-1", "test-1", "test-2", "test-3"]),
        (&["label!=stage"], &["none", "prod-1", "test-1", "test-2", "test-3"]),
        (&["label=stage=test", "label!=hold"], &["none", "prod-1", "test-2", "test-3"]),
    ] {
        let flags: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        leaves(&labelled(), &[&flags[..], &["--keep", "1"]].concat(), left);
    }
}

#[test]
fn what_has_labels_that_cannot_be_read_is_kept() {
    use crate::fake_registry::quirks::Fault;
    let fake = labelled();
    fake.fault(Fault::on("GET", "/v2/app/blobs/").answers(500));
    let flags = ["--filter", "label=stage=test", "--keep", "1", "--order", "name"];
    let answer = prune(&Tool::new(), &fake, &flags).exits(0);
    assert_eq!(fake.tags("app").len(), 5, "{answer}");
    let _ = answer.says("could not be read");
}

#[test]
fn a_filter_of_age_is_the_age() {
    for flags in [&["--filter", "until=30d"][..], &["--older-than", "30d"]] {
        let fake = registry(&["old"]);
        fake.image("app", "young", &days_ago(29), &["young"]);
        fake.image("app", "older", &days_ago(31), &["older"]);
        leaves(&fake, flags, &["young"]);
    }
    let fake = registry(&["old"]);
    prune(&Tool::new(), &fake, &["--filter", "until=30d", "--older-than", "30d"]).exits(2).says("twice");
    assert_eq!(fake.requests(), [""; 0]);
}

#[test]
fn an_age_may_be_about_the_date_of_the_push_in_either_form() {
    for flags in [&["--filter", "until=30d"][..], &["--older-than", "30d"]] {
        let fake = registry(&["old"]);
        let answer = prune(&Tool::new(), &fake, &[flags, &["--date", "pushed"]].concat()).exits(0);
        let _ = answer.says("when it was pushed is known only where the registry's store can be read");
        assert_eq!(fake.tags("app"), ["old"]);
    }
    let fake = registry(&["old"]);
    prune(&Tool::new(), &fake, &["--keep", "1", "--date", "pushed"]).exits(2).says("--older-than");
}

#[test]
fn a_filter_that_is_none_is_told() {
    let fake = registry(&["old"]);
    for (filter, said) in [
        ("dangling=true", "there is no filter `dangling`"),
        ("until", "write KEY=VALUE"),
        ("until=6m", "6mo for months"),
        ("tag=/(/", "no regular expression"),
        ("tag=", "empty"),
        ("label=", "names no label"),
    ] {
        prune(&Tool::new(), &fake, &["--keep", "1", "--filter", filter]).exits(2).says(said);
    }
    assert_eq!(fake.requests(), [""; 0]);
}

#[test]
fn tags_are_counted_per_group_and_what_fits_no_group_stays() {
    let builds = ["main-1", "main-2", "fix-1", "main-3", "fix-2", "fix-3", "lone-1", "stable"];
    let left = ["fix-2", "fix-3", "lone-1", "main-2", "main-3", "stable"];
    leaves(&registry(&builds), &["--group", r"(.+)-\d+", "--keep", "2"], &left);
    let minor = ["v1.0.0", "v1.0.1", "v1.1.0", "v1.1.1", "v2.0.0", "edge"];
    let left = ["edge", "v1.0.1", "v1.1.1", "v2.0.0"];
    leaves(&registry(&minor), &["--group", r"v(\d+)\.(\d+)\..*", "--keep", "1"], &left);
}

#[test]
fn the_order_says_which_are_the_newest() {
    // The dates say the opposite of the names.
    let versions = ["v2.0.0", "v1.10.0", "v2.0.0-rc.1", "v1.10.0-rc.10", "v1.10.0-rc.9", "v1.9.0", "edge"];
    for (keep, left) in [
        ("1", &["edge", "v2.0.0"][..]),
        ("3", &["edge", "v1.10.0", "v2.0.0", "v2.0.0-rc.1"]),
        ("4", &["edge", "v1.10.0", "v1.10.0-rc.10", "v2.0.0", "v2.0.0-rc.1"]),
    ] {
        leaves(&registry(&versions), &["--order", "semver", "--keep", keep], left);
    }
    let builds = ["b-100", "b-10", "b-9", "b-1"];
    leaves(&registry(&builds), &["--order", "name", "--keep", "2"], &["b-10", "b-100"]);
    leaves(&registry(&builds), &["--order", "created", "--keep", "2"], &["b-1", "b-9"]);
    prune(&Tool::new(), &registry(&builds), &["--order", "size", "--keep", "2"]).exits(2).says("is no order");
}

#[test]
fn names_and_versions_need_no_config() {
    for order in ["name", "semver"] {
        let fake = registry(&["1.0", "1.1", "1.2"]);
        leaves(&fake, &["--order", order, "--keep", "1", "--min-age", "none"], &["1.2"]);
        assert_eq!(fake.asked("GET", "/blobs/"), [""; 0]);
    }
    // A minimum age asks when those were made that are to go.
    let fake = registry(&["1.0", "1.1", "1.2"]);
    leaves(&fake, &["--order", "semver", "--keep", "1"], &["1.2"]);
    assert_eq!(fake.asked("GET", "/blobs/").len(), 2);
}

#[test]
fn without_the_store_nothing_is_known_of_pushes_and_everything_stays() {
    let fake = registry(&["1", "2", "3"]);
    let answer = prune(&Tool::new(), &fake, &["--order", "pushed", "--keep", "1"]).exits(0);
    let _ = answer
        .says("no usable date: when it was pushed is known only where the registry's store can be read");
    assert_eq!(fake.tags("app"), ["1", "2", "3"]);
    assert_eq!(fake.changes(), [""; 0]);
}

#[test]
fn a_floor_holds_whatever_the_age() {
    let fake = registry(&["1", "2", "3", "4"]);
    leaves(&fake, &["--older-than", "30d", "--at-least", "3"], &["2", "3", "4"]);
    let grouped = registry(&["a-1", "a-2", "b-1", "b-2"]);
    let flags = ["--older-than", "30d", "--at-least", "1", "--group", r"(.)-\d"];
    leaves(&grouped, &flags, &["a-2", "b-2"]);
}

#[test]
fn a_cap_holds_whatever_the_age() {
    leaves(&registry(&["1", "2", "3"]), &["--at-most", "2"], &["2", "3"]);
    let fake = registry(&["old"]);
    for days in [9, 5, 2] {
        fake.image("app", &format!("young-{days}"), &days_ago(days), &[&days.to_string()]);
    }
    leaves(&fake, &["--older-than", "30d", "--at-most", "2"], &["young-2", "young-5"]);
    let flags = ["--at-most", "2", "--keep", "3"];
    prune(&Tool::new(), &fake, &flags).exits(2).says("`--at-most 2` is less than the 3");
    prune(&Tool::new(), &fake, &["--at-least", "3"]).exits(2).says("do not say what stays");
}

#[test]
fn what_is_protected_stays_and_takes_no_place_among_the_newest() {
    let tags = ["base", "v1", "v2", "stable", "v3"];
    let fake = registry(&tags);
    leaves(&fake, &["--keep", "1", "--protect", ":stable", "--protect", "app:b*"], &["base", "stable", "v3"]);
    let fake = registry(&["team/base:1", "team/base:2", "app:1", "app:2"]);
    leaves(&fake, &["--keep", "1", "--protect", "team/base"], &["2"]);
    assert_eq!(fake.tags("team/base"), ["1", "2"]);
}

#[test]
fn what_a_list_names_stays() {
    let fake = registry(&["v1", "v2", "v3", "v4", "v5"]);
    let digest = fake.change(|contents| contents.repository("app").tags["v2"].clone());
    let list = format!("# what runs elsewhere\n- image: {}/app:v1\n\nother/name@{digest}\n", fake.host());
    let tool = Tool::new().file("list", &list);
    let flags = ["--keep", "1", "--protect-from"];
    let answer = prune(&tool, &fake, &[&flags[..], &["list"]].concat()).exits(0);
    let answer = answer.says("listed by `--protect-from` line 2");
    let _ = answer.says("listed by `--protect-from` line 4");
    assert_eq!(fake.tags("app"), ["v1", "v2", "v5"]);

    let input = Tool::new().file("list", "registry.internal/app:v1 app:v2\n");
    let arguments = [&["prune", "--no-gc", "--force", "--verbose"], &flags[..]].concat();
    let host = fake.host();
    let arguments = [&arguments[..], &["-", "--registry", &host]].concat();
    let answer = input.run_reading(&arguments, File::open(input.path("list")).expect("the list")).exits(0);
    let _ = answer.says("listed by `--protect-from` line 1");
    assert_eq!(fake.tags("app"), ["v1", "v2", "v5"]);
}

#[test]
fn a_list_that_lists_nothing_or_cannot_be_read_is_refused() {
    let fake = registry(&["v1", "v2"]);
    let tool = Tool::new()
        .file("empty", "# nothing\n\n")
        .file("odd", "app:v1\napp:%\n")
        .file("id", "0123456789ab\n");
    for (list, said) in [
        ("empty", "lists no reference"),
        ("-", "lists no reference"),
        ("missing", "cannot be read"),
        ("odd", "line 2"),
        ("id", "is the id of an image"),
    ] {
        prune(&tool, &fake, &["--keep", "1", "--protect-from", list]).exits(2).says(said);
    }
    assert_eq!(fake.requests(), [""; 0]);
    assert_eq!(fake.tags("app"), ["v1", "v2"]);
}
