//! What belongs to a manifest: referrers that only the referrers API names, and attachments whose subject is gone.

use crate::fake_registry::FakeRegistry;
use crate::fake_registry::contents::{OCI_INDEX, digest_of};
use crate::fake_registry::quirks::{Effect, Fault};
use crate::run::{Answer, Asked as _, CREATED, Tool};

const OLD: &str = "2023-05-01T00:00:00Z";
const PRUNE: [&str; 7] = ["prune", "--no-gc", "--force", "--keep", "1", "--min-age", "none"];

/// As zot: `app:old` and `app:new` with three referrers each, and a signature of one of these; pages of two.
struct Signed {
    fake: FakeRegistry,
    images: [String; 2],
    referrers: [Vec<String>; 2],
}

fn signed() -> Signed {
    let fake = FakeRegistry::spawn();
    fake.quirks(|quirks| quirks.referrers_page = Some(2));
    let images =
        [("old", OLD), ("new", CREATED)].map(|(tag, created)| fake.image("app", tag, created, &[tag]));
    let referrers = images.each_ref().map(|image| {
        let mut referrers: Vec<String> = ["signature", "sbom", "provenance"]
            .map(|text| fake.change(|contents| contents.artifact("app", text, Some(image), &[])))
            .to_vec();
        let first = referrers[0].clone();
        referrers.push(fake.change(|contents| contents.artifact("app", "countersigned", Some(&first), &[])));
        referrers
    });
    Signed { fake, images, referrers }
}

fn signature_of(image: &str) -> String {
    format!("{}.sig", image.replace(':', "-"))
}

/// A signature as cosign pushes it: an artifact under a tag that names what it is about.
fn sign(fake: &FakeRegistry, repository: &str, image: &str) -> String {
    let tag = signature_of(image);
    let text = format!("signature of {image}");
    let digest = fake.change(|contents| contents.artifact(repository, &text, None, &[]));
    fake.tag(repository, &tag, &digest);
    tag
}

#[track_caller]
fn nothing_is_changed(fake: &FakeRegistry, answer: Answer, why: &str) {
    let answer = answer.says("app: left alone, not everything could be read: ").says(why);
    assert_eq!(fake.changes(), [""; 0], "{answer}");
}

#[test]
fn referrers_go_before_their_subject_and_those_of_what_stays_stay() {
    let Signed { fake, images, referrers } = signed();
    let answer = Tool::new().on(&fake, &[&PRUNE[..], &["-v"]].concat()).exits(0);
    let answer = answer.says("belongs to sha256:").says("Deleted 1 tag and 5 manifests");
    assert!(
        referrers[1].iter().chain([&images[1]]).all(|digest| fake.has_manifest("app", digest)),
        "{answer}"
    );
    let order: Vec<String> = fake.changes();
    let place =
        |digest: &String| order.iter().position(|line| line.ends_with(digest)).expect("it is deleted");
    assert!(referrers[0].iter().all(|digest| place(digest) < place(&images[0])), "{order:#?}");
    assert!(place(&referrers[0][3]) < place(&referrers[0][0]), "{order:#?}");
    // Each manifest is asked about once; a page more where there are three.
    let manifests = 2 + 2 * 4;
    assert_eq!(fake.asked("GET", "/referrers/").len(), manifests + 2, "{:#?}", fake.requests());
    Tool::new().on(&fake, &PRUNE).exits(0).says("No tags to remove");
}

#[test]
fn removal_takes_referrers_along_and_an_explanation_and_json_tell_of_them() {
    let Signed { fake, images, referrers } = signed();
    let explain = ["prune", "--no-gc", "--keep", "1", "--explain", "app"];
    Tool::new()
        .on(&fake, &explain)
        .exits(0)
        .says(&format!("referrer: {} goes before it", referrers[0][0]))
        .says(&format!("referrer: {} stays", referrers[1][0]));
    let json = ["rm", "--dry-run", "--format", "json", "app:old"];
    let answer = Tool::new().on(&fake, &json).exits(0);
    let whys = answer.json()["plan"]["repositories"][0]["removeManifests"].to_string();
    assert!(whys.contains(&format!("belongs to {}, which is removed", images[0])), "{answer}");
    Tool::new().on(&fake, &["rm", "--force", "app:old"]).exits(0).says("Deleted 1 tag and 5 manifests");
    assert!(referrers[1].iter().all(|digest| fake.has_manifest("app", digest)));
    assert!(!referrers[0].iter().any(|digest| fake.has_manifest("app", digest)));
}

#[test]
fn a_signature_that_is_named_goes_and_its_image_stays() {
    let Signed { fake, images, referrers } = signed();
    let reference = format!("app@{}", referrers[1][0]);
    Tool::new().on(&fake, &["rm", "--force", &reference]).exits(0).says("and 2 manifests");
    assert!(fake.has_manifest("app", &images[1]) && fake.has_manifest("app", &referrers[1][1]));
    assert!(!fake.has_manifest("app", &referrers[1][0]) && !fake.has_manifest("app", &referrers[1][3]));
}

#[test]
fn a_list_says_where_to_look_and_the_manifest_what_it_is_about() {
    let Signed { fake, images, .. } = signed();
    let unrelated = fake.change(|contents| contents.artifact("app", "about nothing", None, &[]));
    let other = fake.change(|contents| contents.artifact("app", "about new", Some(&images[1]), &[]));
    fake.quirks(|quirks| {
        quirks.false_referrers = vec![unrelated.clone(), other.clone()];
        quirks.referrers_page = Some(100);
    });
    Tool::new().on(&fake, &PRUNE).exits(0).says("and 5 manifests");
    assert!(fake.has_manifest("app", &unrelated) && fake.has_manifest("app", &other));
}

#[test]
fn referrers_that_cannot_be_listed_make_a_repository_untouchable() {
    for (spared, effect, why) in [
        (3, Effect::Answer(500, Vec::new(), String::new()), "500"),
        (1, Effect::Answer(200, Vec::new(), "<html>".to_owned()), "not a manifest"),
        (2, Effect::Answer(200, Vec::new(), "{}".to_owned()), "not a manifest"),
        (4, Effect::Answer(404, Vec::new(), String::new()), "lists the referrers of other manifests"),
    ] {
        let Signed { fake, .. } = signed();
        fake.fault(Fault::on("GET", "/v2/app/referrers/").after(spared).effect(effect.clone()));
        nothing_is_changed(&fake, Tool::new().on(&fake, &PRUNE).exits(0), why);
        fake.no_more_faults();
        fake.fault(Fault::on("GET", "/v2/app/referrers/").after(spared).effect(effect));
        Tool::new().on(&fake, &["rm", "--force", "app:old"]).exits(4).says("not everything in `app`");
        assert_eq!(fake.changes(), [""; 0]);
    }
}

#[test]
fn whether_referrers_are_listed_must_be_known_and_is_asked_once() {
    let Signed { fake, .. } = signed();
    fake.fault(Fault::on("GET", "/referrers/").answers(500));
    let why = "whether the registry lists referrers is not known";
    nothing_is_changed(&fake, Tool::new().on(&fake, &PRUNE).exits(0), why);
    let Signed { fake, .. } = signed();
    fake.image("other", "v1", CREATED, &["other"]);
    fake.quirks(|quirks| quirks.referrers_page = None);
    Tool::new().on(&fake, &PRUNE).exits(0).says("Deleted 1 tag and 1 manifest");
    assert_eq!(fake.asked("GET", "/referrers/").len(), 1);
    fake.forget_requests();
    Tool::new().on(&fake, &["ls"]).exits(0);
    Tool::new().on(&fake, &["verify"]).exits(0);
    assert_eq!(fake.asked("GET", "/referrers/"), [""; 0]);
}

#[test]
fn a_referrer_that_cannot_be_read_makes_a_repository_untouchable() {
    let Signed { fake, referrers, .. } = signed();
    fake.fault(Fault::on("GET", &format!("/manifests/{}", referrers[1][1])).answers(500));
    nothing_is_changed(&fake, Tool::new().on(&fake, &PRUNE).exits(0), "500");
}

/// `app` with two signed images of which one was deleted behind the tool's back.
fn with_an_orphan() -> (FakeRegistry, String, String) {
    let fake = FakeRegistry::spawn();
    let gone = fake.image("app", "gone", OLD, &["gone"]);
    let kept = fake.image("app", "kept", CREATED, &["kept"]);
    let (orphan, signature) = (sign(&fake, "app", &gone), sign(&fake, "app", &kept));
    fake.change(|contents| contents.delete("app", &gone));
    (fake, orphan, signature)
}

#[test]
fn an_orphaned_signature_goes_with_rules_and_without() {
    for rules in [&[][..], &["--keep", "5"]] {
        let (fake, orphan, signature) = with_an_orphan();
        let command = [&["prune", "--no-gc", "--min-age", "none"], rules].concat();
        let tool = Tool::new();
        let asks = tool.on(&fake, &command).exits(4).says("nobody can confirm this");
        assert_eq!(fake.changes(), [""; 0], "{asks}");
        fake.forget_requests();
        tool.on(&fake, &[&command[..], &["--force"]].concat())
            .exits(0)
            .says(&format!("remove {orphan}: attached to what is gone"));
        assert_eq!(fake.tags("app"), ["kept", &signature]);
        assert_eq!(tool.records().len(), 1);
        tool.on(&fake, &[&command[..], &["--force"]].concat()).exits(0).says("No tags to remove");
    }
}

#[test]
fn an_absent_subject_is_asked_for_once_however_many_tags_are_about_it() {
    let (fake, orphan, _) = with_an_orphan();
    let subject = orphan.trim_end_matches(".sig").replace('-', ":");
    for ending in [".att", ".sbom", ""] {
        let tag = orphan.replace(".sig", ending);
        let index =
            format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[],"x":"{ending}"}}"#);
        let digest = fake.change(|contents| contents.manifest_of("app", OCI_INDEX, index.as_bytes()));
        fake.tag("app", &tag, &digest);
    }
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--min-age", "none", "--force"])
        .exits(0)
        .says("Deleted 4 tags and 4 manifests");
    assert_eq!(fake.asked("GET", &subject).len(), 1, "{:#?}", fake.requests());
}

#[test]
fn what_is_not_proven_to_be_an_orphan_stays() {
    let spared = |change: &dyn Fn(&FakeRegistry, &str), arguments: &[&str]| {
        let (fake, orphan, _) = with_an_orphan();
        let subject = orphan.trim_end_matches(".sig").replace('-', ":");
        change(&fake, &subject);
        let command = [&["prune", "--no-gc", "--min-age", "none", "--force"], arguments].concat();
        let answer = Tool::new().on(&fake, &command);
        assert!(fake.tags("app").contains(&orphan), "{answer}");
        assert_eq!(fake.changes(), [""; 0], "{answer}");
    };
    let nothing = |_: &FakeRegistry, _: &str| {};
    // The subject is there without a tag, or in another repository.
    spared(
        &|fake, subject| {
            assert_eq!(fake.image("other", "v1", OLD, &["gone"]), subject);
        },
        &[],
    );
    spared(
        &|fake, subject| {
            let again = fake.change(|contents| contents.untagged_image("app", "linux/amd64", OLD, &["gone"]));
            assert_eq!(again, subject);
        },
        &[],
    );
    // Whether it is there was not said, or not of all repositories.
    spared(&|fake, subject| fake.fault(Fault::on("GET", subject).answers(500)), &[]);
    spared(&|fake, subject| fake.fault(Fault::on("GET", subject).answers(404)), &[]);
    spared(
        &|fake, _| {
            fake.image("other", "v1", CREATED, &["other"]);
            fake.fault(Fault::on("GET", "/v2/other/tags/list").answers(500));
        },
        &[],
    );
    spared(&nothing, &["app"]);
    // Somebody wants it.
    spared(&nothing, &["--exclude", "app:sha256-*"]);
    spared(&nothing, &["--protect", "app:sha256-*"]);
    spared(&nothing, &["--exclude", "app"]);
}

#[test]
fn a_repository_of_attachments_alone_may_serve_another_and_is_kept() {
    let (fake, ..) = with_an_orphan();
    let stored = sign(&fake, "signatures", &digest_of(b"an image elsewhere"));
    let name = format!("{}/signatures:{stored}", fake.host());
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--explain", "signatures"])
        .exits(0)
        .says(&format!("`docker registry rm {name}` removes it"));
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--min-age", "none", "--force"])
        .exits(0)
        .says("Deleted 1 tag");
    assert_eq!(fake.tags("signatures"), [stored.as_str()]);
    Tool::new().on(&fake, &["rm", "--force", &format!("signatures:{stored}")]).exits(0).says("Deleted 1 tag");
}

#[test]
fn a_subject_that_is_pushed_again_after_the_plan_keeps_its_signature() {
    let (fake, orphan, signature) = with_an_orphan();
    fake.when("DELETE", "sha256:0000", |contents| {
        contents.image("app", "back", OLD, &["gone"]);
    });
    let answer = Tool::new().on(&fake, &["prune", "--no-gc", "--min-age", "none", "--force"]);
    let answer = answer.says("tag `back`, pushed since the plan");
    let tags = fake.tags("app");
    assert!(tags.len() == 4 && tags.contains(&orphan) && tags.contains(&signature), "{answer}");
}

#[test]
fn a_fallback_index_that_lists_nothing_stays_while_its_subject_lives() {
    let fake = FakeRegistry::spawn();
    let image = fake.image("app", "v1", CREATED, &["v1"]);
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#);
    let digest = fake.change(|contents| contents.manifest_of("app", OCI_INDEX, index.as_bytes()));
    fake.tag("app", &image.replace(':', "-"), &digest);
    for rules in [&[][..], &["--keep", "1"]] {
        let command = [&["prune", "--no-gc", "--min-age", "none", "--force"], rules].concat();
        Tool::new().on(&fake, &command).exits(0).says("No tags to remove; 2 tags kept");
    }
}

#[test]
fn a_chart_is_dated_by_its_annotation() {
    let fake = FakeRegistry::spawn();
    for (tag, created) in [("1.0.0", OLD), ("1.1.0", CREATED)] {
        let annotations = [("org.opencontainers.image.created", created)];
        let digest = fake.change(|contents| contents.artifact("chart", tag, None, &annotations));
        fake.tag("chart", tag, &digest);
    }
    let undated = fake.change(|contents| contents.artifact("chart", "undated", None, &[]));
    fake.tag("chart", "0.0.1", &undated);
    Tool::new()
        .on(&fake, &["prune", "--no-gc", "--min-age", "none", "--keep", "1", "--explain", "chart"])
        .exits(0)
        .says(&format!("{OLD}, from an annotation"))
        .says("no usable date: it is no image and says no date, and when it was pushed is known only where");
    Tool::new().on(&fake, &PRUNE).exits(0).says("Deleted 1 tag");
    assert_eq!(fake.tags("chart"), ["0.0.1", "1.1.0"]);
}
