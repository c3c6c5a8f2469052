use super::*;

const REGISTRY: &str = "127.0.0.1:5000";

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn held_at(protected: &Protected, registry: &str, name: &str, at: &str) -> Option<String> {
    let (repository, tag) = name.split_once(':').unwrap();
    let held = protected.holds(
        &registry.parse().unwrap(),
        &repository.parse().unwrap(),
        &tag.parse().unwrap(),
        &at.parse().unwrap(),
    );
    held.map(|protection| protection.to_string())
}

/// Whether the tag `name`, at a digest that nobody names, is held.
fn held(protected: &Protected, name: &str) -> Option<String> {
    held_at(protected, REGISTRY, name, &digest('0'))
}

fn used_by_web(references: &[&str]) -> Protected {
    let mut protected = Protected::default();
    protected.add_in_use("container `web`", references.iter().copied());
    protected
}

fn listed(text: &str) -> Protected {
    let mut protected = Protected::default();
    protected.add_listed(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    protected
}

fn patterns(texts: &[&str]) -> Protected {
    Protected::new(texts.iter().map(|text| text.parse().unwrap()).collect())
}

#[test]
fn a_tag_in_use_is_held_under_every_name_the_registry_may_have() {
    let own = Some("container `web` uses it");
    for (reference, registry, reason) in [
        ("127.0.0.1:5000/team/app:v1", REGISTRY, own),
        ("127.9.9.9:5000/team/app:v1", REGISTRY, own),
        ("localhost:5000/team/app:v1", REGISTRY, own),
        ("LOCALHOST:5000/team/app:v1", REGISTRY, own),
        ("[::1]:5000/team/app:v1", REGISTRY, own),
        ("127.0.0.1:5000/team/app:v1", "localhost:5000", own),
        ("127.0.0.1:5000/team/app:v1", "[::1]:5000", own),
        ("localhost/team/app:v1", "127.0.0.1", own),
        ("reg.internal/team/app:v1", "https://reg.internal", own),
        ("ghcr.io/team/app:v1", "ghcr.io", own),
        ("localhost:5001/team/app:v1", REGISTRY, Some("container `web` uses `localhost:5001/team/app:v1`")),
        ("reg.internal/team/app:v1", REGISTRY, Some("container `web` uses `reg.internal/team/app:v1`")),
        (
            "reg.internal:443/team/app:v1",
            "reg.internal",
            Some("container `web` uses `reg.internal:443/team/app:v1`"),
        ),
        ("my-gcr.io/team/app:v1", REGISTRY, Some("container `web` uses `my-gcr.io/team/app:v1`")),
        ("127.0.0.1:5000/team/app", REGISTRY, None),
        ("127.0.0.1:5000/team/app:v2", REGISTRY, None),
        ("127.0.0.1:5000/app:v1", REGISTRY, None),
        ("127.0.0.1:5000/other/team/app:v1", REGISTRY, None),
        ("team/app:v1", REGISTRY, None),
        ("docker.io/team/app:v1", REGISTRY, None),
        ("index.docker.io/team/app:v1", REGISTRY, None),
        ("registry-1.docker.io/team/app:v1", REGISTRY, None),
        ("quay.io/team/app:v1", REGISTRY, None),
        ("ghcr.io/team/app:v1", REGISTRY, None),
        ("gcr.io/team/app:v1", REGISTRY, None),
        ("eu.gcr.io/team/app:v1", REGISTRY, None),
        ("public.ecr.aws/team/app:v1", REGISTRY, None),
        ("mcr.microsoft.com/team/app:v1", REGISTRY, None),
        ("registry.k8s.io/team/app:v1", REGISTRY, None),
    ] {
        let held = held_at(&used_by_web(&[reference]), registry, "team/app:v1", &digest('0'));
        assert_eq!(held.as_deref(), reason, "{reference} in {registry}");
    }
}

#[test]
fn a_digest_in_use_is_held_wherever_it_stands() {
    for reference in [
        format!("127.0.0.1:5000/team/app@{}", digest('a')),
        format!("127.0.0.1:5000/team/app:v9@{}", digest('a')),
        format!("docker.io/library/other@{}", digest('a')),
        format!("other@{}", digest('a')),
        digest('a'),
    ] {
        let protected = used_by_web(&[&reference]);
        let held = held_at(&protected, REGISTRY, "team/app:v1", &digest('a'));
        assert_eq!(held.as_deref(), Some("container `web` uses it"), "{reference}");
        assert!(protected.holds_digest(&digest('a').parse().unwrap()).is_some(), "{reference}");
        assert_eq!(held_at(&protected, REGISTRY, "team/app:v1", &digest('b')), None, "{reference}");
        assert_eq!(protected.holds_digest(&digest('b').parse().unwrap()), None, "{reference}");
    }
}

#[test]
fn a_reference_without_a_tag_means_latest_unless_it_has_a_digest() {
    let latest = used_by_web(&["127.0.0.1:5000/app"]);
    assert!(held(&latest, "app:latest").is_some());
    let by_digest = used_by_web(&[&format!("127.0.0.1:5000/app@{}", digest('a'))]);
    assert_eq!(held(&by_digest, "app:latest"), None);
    let both = used_by_web(&[&format!("127.0.0.1:5000/app:v1@{}", digest('a'))]);
    assert!(held(&both, "app:v1").is_some());
    assert_eq!(held(&both, "app:latest"), None);
}

#[test]
fn what_an_engine_calls_an_image_is_passed_over_where_it_names_nothing_here() {
    let protected = used_by_web(&[
        "",
        "<none>:<none>",
        "<none>@<none>",
        "my.app:5000",
        "1f2e3d4c5b6a",
        "127.0.0.1:5000/a:v1",
    ]);
    assert_eq!(held(&protected, "1f2e3d4c5b6a:latest"), None);
    assert!(held(&protected, "a:v1").is_some(), "the others count");
}

#[test]
fn lines_are_read_as_other_tools_write_them() {
    let a = digest('a');
    for (text, held_tags, held_digests) in [
        ("127.0.0.1:5000/app:v1", &["app:v1"][..], &[][..]),
        ("\n# a comment\n  \n app:v1 # another\n", &["app:v1"], &[]),
        ("app:v1\r\napp:v2\r\n", &["app:v1", "app:v2"], &[]),
        ("\u{feff}app:v1", &["app:v1"], &[]),
        ("app:v1 app:v2\tapp:v3, app:v4,app:v5,", &["app:v1", "app:v2", "app:v3", "app:v4", "app:v5"], &[]),
        ("    image: app:v1\n  - image: app:v2\n- app:v3", &["app:v1", "app:v2", "app:v3"], &[]),
        ("  - image: \"app:v1\"\n    image: 'app:v2'", &["app:v1", "app:v2"], &[]),
        ("      \"image\": \"app:v1\",", &["app:v1"], &[]),
        ("\"app:v1\",'app:v2'", &["app:v1", "app:v2"], &[]),
        ("docker://app:v1", &["app:v1"], &[]),
        (&format!("docker-pullable://127.0.0.1:5000/app@{a}"), &[], &[&a]),
        (&format!("docker://{a}"), &[], &[&a]),
        (&a, &[], &[&a]),
        (&format!("app:v1@{a}"), &["app:v1"], &[&a]),
        (&format!("image: reg.internal:5000/app:v1@{a} # pinned"), &["app:v1"], &[&a]),
        ("app", &["app:latest"], &[]),
        ("http://127.0.0.1:5000/app:v1", &["app:v1"], &[]),
        ("image:v1", &["image:v1"], &[]),
    ] {
        let protected = listed(text);
        for tag in held_tags {
            assert!(held(&protected, tag).is_some(), "{text:?} {tag}");
        }
        for digest in held_digests {
            assert!(protected.holds_digest(&digest.parse().unwrap()).is_some(), "{text:?} {digest}");
        }
        let tags: usize = protected.tags.values().map(HashMap::len).sum();
        assert_eq!((tags, protected.digests.len()), (held_tags.len(), held_digests.len()), "{text:?}");
    }
}

#[test]
fn a_word_that_is_no_reference_is_an_error_with_its_line() {
    for (text, line) in [
        ("app:v1\nNAME", "line 2: `NAME`"),
        ("IMAGE\napp:v1", "line 1: `IMAGE`"),
        ("app:v1\n\n<none>", "line 3: `<none>`"),
        ("web-5d7 1/1 Running 0 5d", "line 1: `Running`"),
        ("app:v1\nservices:", "line 2: `services:`"),
        ("app:${TAG}", "line 1: `app:${TAG}`"),
        ("image:", "line 1: `image:` names nothing"),
        ("-", "line 1: `-` names nothing"),
        ("image: # nothing", "line 1: `image: # nothing` names nothing"),
        ("- image: ''", "line 1: `` is not a reference"),
        ("\"app:v1", "line 1: `\"app:v1` is not"),
        ("[app:v1 app:v2]", "line 1: `[app:v1`"),
        ("127.0.0.1:5000", "line 1: `127.0.0.1:5000` is not a reference"),
        ("sha256:abc", "line 1: `sha256:abc` is not a reference"),
        ("app@sha256:abc", "line 1: `app@sha256:abc` is not a reference"),
        ("app@", "line 1: `app@` is not a reference"),
        ("cri://app:v1", "line 1: `cri://app:v1`"),
        ("1f2e3d4c5b6a", "line 1: `1f2e3d4c5b6a` is the id of an image"),
        ("a\u{0}b", "line 1: `a\u{fffd}b`"),
    ] {
        let error = Protected::default().add_listed(text).map_err(|error| error.to_string());
        let Err(error) = error else { panic!("{text:?} was read") };
        assert!(error.starts_with(&format!("`--protect-from`: {line}")), "{text:?}: {error}");
    }
}

#[test]
fn a_list_of_nothing_is_an_error() {
    for text in ["", "\n\n", "# nothing yet\n"] {
        let error = Protected::default().add_listed(text).unwrap_err();
        assert_eq!(error.to_string(), "`--protect-from` lists no reference");
    }
}

#[test]
fn what_is_listed_without_a_host_is_in_the_registry_at_hand() {
    let protected = listed("\nteam/app:v1\nreg.internal/team/app:v2\nquay.io/team/app:v3");
    assert_eq!(held(&protected, "team/app:v1").as_deref(), Some("listed by `--protect-from` line 2"));
    assert_eq!(
        held(&protected, "team/app:v2").as_deref(),
        Some("listed by `--protect-from` line 3 as `reg.internal/team/app:v2`")
    );
    assert_eq!(held(&protected, "team/app:v3"), None);
}

#[test]
fn patterns_hold_what_they_cover() {
    let protected = patterns(&[":latest", "app:v1.*"]);
    assert_eq!(held(&protected, "app:v1.2").as_deref(), Some("protected by `--protect app:v1.*`"));
    assert_eq!(held(&protected, "any/thing:latest").as_deref(), Some("protected by `--protect :latest`"));
    assert_eq!(held(&protected, "app:v2"), None);
}

#[test]
fn the_nearest_reason_is_told_and_the_first_of_several_users() {
    let mut protected = patterns(&["app:*"]);
    protected.add_in_use("container `far`", ["reg.internal/app:v1", "other.internal/app:v1"]);
    let reason = |protected: &Protected| held_at(protected, REGISTRY, "app:v1", &digest('a')).unwrap();
    assert_eq!(reason(&protected), "protected by `--protect app:*`");
    protected.add_in_use("container `same`", [digest('a').as_str()]);
    protected.add_in_use("container `later`", [digest('a').as_str()]);
    assert_eq!(reason(&protected), "container `same` uses it");
    protected.add_in_use("container `web`", ["localhost:5000/app:v1"]);
    protected.add_listed("app:v1").unwrap();
    assert_eq!(reason(&protected), "container `web` uses it");
}

#[test]
fn a_protection_is_counted_by_its_kind() {
    let summary = |protection: Protection| protection.summary();
    assert_eq!(summary(Protection::InUse { user: "container `web`".to_owned(), name: None }), "in use");
    assert_eq!(summary(Protection::Listed { line: 3, name: None }), "listed by `--protect-from`");
    assert_eq!(summary(Protection::Pattern(":latest".to_owned())), "protected by `--protect :latest`");
}
