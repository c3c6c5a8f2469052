use super::*;

const WORKED: &str = r#"protect = [":stable", "team/base"]

[[rule]]
name = "releases"
repositories = ["team/*"]
tags = ['/v\d+\.\d+\.\d+/']
exclude = ["team/legacy"]
labels = ["!keep=forever"]
group = '(v\d+\.\d+)\..*'
order = "semver"
keep = 3
at-least = 1

[[rule]]
name = "branches"
tags = ["pr-*"]
older-than = "14d"
date = "pushed"
at-most = 50
"#;

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = parse(text).map(drop).unwrap_err();
    mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.what)).collect()
}

#[test]
fn what_is_printed_is_what_was_read() {
    let policy = parse(WORKED).unwrap();
    assert_eq!(print(&policy), WORKED);
    assert_eq!(policy.rules[1].origin, Some(Origin { line: 14, column: 1 }));
    assert_eq!(parse("").unwrap().rules.len(), 0);
}

#[test]
fn strings_that_need_it_are_escaped() {
    let text = "[[rule]]\nname = \"it's \\\\ \\u0007 \\\"x\\\"\"\nkeep = 1\n";
    let policy = parse(text).unwrap();
    assert_eq!(policy.rules[0].name.as_deref(), Some("it's \\ \u{7} \"x\""));
    assert_eq!(print(&policy), text);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"protect = ["a["]
[[rule]]
tags = ["v*", "/(/"]
keep = 0
older-than = "6m"
[[rule]]
name = "x"
order = "size"
group = "v.*"
exclude = ["127.0.0.1:5000/app"]
[[rule]]
name = "x"
keep = 5
at-most = 3
"#;
    let told = mistakes(text);
    for (place, words) in [
        ("1:12", "is not a pattern"),
        ("3:15", "no regular expression"),
        ("4:8", "no number of tags"),
        ("5:14", "ambiguous"),
        ("6:1", "does not say what stays"),
        ("8:9", "no order"),
        ("9:9", "captures nothing"),
        ("10:12", "names no registry"),
        ("11:1", "`keep` 5 is more than `at-most` 3"),
        ("12:8", "another rule `x`"),
    ] {
        assert!(
            told.iter().any(|told| told.starts_with(&format!("{place}: ")) && told.contains(words)),
            "{place} {words} is not in {told:#?}"
        );
    }
    assert_eq!(told.len(), 10, "{told:#?}");
}

#[test]
fn unknown_keys_and_broken_toml_are_told_with_their_place() {
    let unknown = mistakes("[[rule]]\nkeep = 1\nkep = 2\n");
    assert!(unknown[0].starts_with("3:1: unknown field `kep`"), "{unknown:?}");
    assert!(mistakes("[[rule]]\nkeep = \"3\"\n")[0].starts_with("2:8: "));
    assert!(mistakes("[[rule]\n")[0].starts_with("1:"));
}

#[test]
fn patterns_are_printed_apart_only_where_that_says_the_same() {
    let printed = |patterns: &[&str], tags: &[&str]| {
        let selection = Selection {
            patterns: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(),
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            ..Selection::default()
        };
        print_rule(&Rule { selection, keep: Some(1), ..Rule::default() })
    };
    for (patterns, tags, says) in [
        (&["team/*", "app"][..], &[][..], "repositories = [\"team/*\", \"app\"]\n"),
        (&["app:v1.*"], &[], "repositories = [\"app\"]\ntags = [\"v1.*\"]\n"),
        (&["app"], &["v1.*"], "repositories = [\"app\"]\ntags = [\"v1.*\"]\n"),
        (&["app:v1.*", "web:pr-*"], &[], "patterns = [\"app:v1.*\", \"web:pr-*\"]\n"),
        (&["app:v*"], &["v1.*"], "patterns = [\"app:v*\"]\ntags = [\"v1.*\"]\n"),
        (&["127.0.0.1:5000", "app"], &["v1.*"], "tags = [\"v1.*\"]\n"),
    ] {
        let text = printed(patterns, tags);
        assert_eq!(text, format!("[[rule]]\n{says}keep = 1\n"));
        assert_eq!(print(&parse(&text).unwrap()), text);
    }
}
