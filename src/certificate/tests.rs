use super::*;

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

/// `{a}` in the text stands for the digest of sixty-four `a`.
fn run(text: &str) -> CollectorRun {
    let mut run = CollectorRun::default();
    for line in text.lines() {
        let mut line = line.trim_start().to_owned();
        for letter in 'a'..='f' {
            line = line.replace(&format!("{{{letter}}}"), &digest(letter).to_string());
        }
        run.output.read_line(&line);
    }
    run
}

const V28: &str = "team/app
    team/app: marking manifest {a} 
    team/app: marking blob {b}
    team/app: marking blob {c}
    web
    web: marking manifest {d} 
    web: marking blob {b}

    5 blobs marked, 2 blobs and 0 manifests eligible for deletion
    blob eligible for deletion: {e}
    blob eligible for deletion: {f}";

fn demand(manifests: &[(&str, char)], blobs: &[char]) -> Demand {
    let mut demand = Demand::default();
    for (name, letter) in manifests {
        demand.manifests.entry(repository(name)).or_default().insert(digest(*letter));
    }
    demand.blobs = blobs.iter().map(|letter| digest(*letter)).collect();
    demand
}

fn violations(text: &str, demand: &Demand) -> Vec<String> {
    match check(&run(text), demand) {
        Ok(certified) => vec![format!("{certified:?}")],
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_complete_dry_run_is_a_certificate() {
    let kept = demand(&[("team/app", 'a'), ("web", 'd')], &['b', 'c']);
    assert_eq!(check(&run(V28), &kept), Ok(Certified::Sweep));
    let output = run(V28).output;
    assert_eq!(output.unknown_lines, 0);
    assert_eq!(output.marked.keys().map(Repository::as_str).collect::<Vec<_>>(), ["team/app", "web"]);
    assert_eq!(output.marked.get(&repository("web")), Some(&BTreeSet::from([digest('d')])));
    assert_eq!(output.eligible(), &BTreeSet::from([digest('e'), digest('f')]));
    assert_eq!(output.summary().map(|summary| summary.marked), Some(5));
}

#[test]
fn every_version_is_understood() {
    let v24 = "app
        app: marking manifest {a} 
        app: marking blob {b}
        app: marking configuration {c}
        app: marking signature {d}

        4 blobs marked, 1 blobs eligible for deletion
        blob eligible for deletion: {e}
        time=\"2026-11-21T18:47:05Z\" level=info msg=\"Deleting blob: /docker/registry/v2/blobs/x\" go.version=go1.19";
    let v3 = "app
        app: marking manifest {a} 
        app: marking blob {b}
        empty

        2 blobs marked, 1 blobs and 0 manifests eligible for deletion
        blob eligible for deletion: {e}
        app: layer link eligible for deletion: {e}";
    for text in [v24, v3] {
        let read = run(text);
        assert_eq!(read.output.unknown_lines, 0, "{:?}", read.output.unknown_samples);
        assert_eq!(check(&read, &demand(&[("app", 'a')], &['b'])), Ok(Certified::Sweep));
    }
}

#[test]
fn nothing_kept_may_be_missing_or_eligible() {
    let text = V28;
    assert_eq!(
        violations(text, &demand(&[("team/app", 'd')], &[])),
        [format!("the collector did not mark the kept manifest {} of `team/app`", digest('d'))]
    );
    assert_eq!(
        violations(text, &demand(&[("gone", 'a')], &['e'])),
        [
            "the collector did not visit `gone`".to_owned(),
            format!("the collector would delete the kept blob {}", digest('e'))
        ]
    );
    assert_eq!(
        violations(text, &demand(&[("web", 'f')], &[])),
        [
            format!("the collector did not mark the kept manifest {} of `web`", digest('f')),
            format!("the collector would delete the kept manifest {} of `web`", digest('f'))
        ]
    );
}

#[test]
fn an_output_that_ends_early_is_no_certificate() {
    let nothing = Demand::default();
    let cut = V28.rsplit_once('\n').map(|(rest, _)| rest).unwrap();
    assert_eq!(violations(cut, &nothing), ["the collector announced 2 blobs to delete and listed 1"]);
    assert_eq!(violations("", &nothing), ["the collector printed no summary"]);
    assert_eq!(
        violations("Usage:\n  registry [flags]", &nothing),
        ["the collector printed no summary; it said: Usage: / registry [flags]"]
    );
}

#[test]
fn a_collector_that_deletes_manifests_is_refused() {
    let text = "app
        manifest eligible for deletion: {a}

        0 blobs marked, 0 blobs and 1 manifests eligible for deletion";
    assert_eq!(
        violations(text, &Demand::default()),
        ["the collector would delete 1 manifests by itself, which was not asked of it"]
    );
}

#[test]
fn a_failed_run_is_refused_with_its_reason() {
    let mut failed = run(V28);
    failed.exit_code = 1;
    failed.stderr = "failed to garbage collect: failed to mark: invalid checksum digest format".to_owned();
    let violations = check(&failed, &Demand::default()).unwrap_err();
    assert_eq!(
        violations[0].to_string(),
        "the collector ended with code 1: failed to garbage collect: failed to mark: invalid checksum digest format"
    );
}

#[test]
fn an_empty_registry_has_nothing_to_collect_only_if_nothing_is_kept() {
    let empty = CollectorRun {
        exit_code: 1,
        stderr: "failed to garbage collect: failed to mark: filesystem: Path not found: /docker/registry/v2/repositories"
            .to_owned(),
        ..CollectorRun::default()
    };
    assert_eq!(check(&empty, &Demand::default()), Ok(Certified::NothingToCollect));
    assert!(check(&empty, &demand(&[("app", 'a')], &[])).is_err());
    let elsewhere = CollectorRun {
        stderr: "failed to mark: filesystem: Path not found: /docker/registry/v2/repositories/a/_layers"
            .to_owned(),
        exit_code: 1,
        ..CollectorRun::default()
    };
    assert!(check(&elsewhere, &Demand::default()).is_err());
}

#[test]
fn a_sweep_must_list_what_was_certified() {
    let certificate = run(V28).output;
    assert_eq!(agrees(&certificate, &run(V28).output), Agreement::Same);
    assert_eq!(
        agrees(&certificate, &run("time=\"x\" level=info msg=\"Deleting blob: y\"").output),
        Agreement::Silent
    );
    let other = V28.replace("deletion: {f}", "deletion: {c}");
    assert_eq!(
        agrees(&certificate, &run(&other).output),
        Agreement::Differs { unannounced: vec![digest('c')], left: vec![digest('f')] }
    );
}

#[test]
fn the_manifest_at_which_it_stopped_is_named_with_its_repository() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let mut run = CollectorRun::default();
    for line in ["app", &format!("app: marking manifest {digest} ")] {
        run.output.read_line(line);
    }
    for said in [
        format!(
            "failed to garbage collect: failed to mark: failed to retrieve manifest for digest {digest}: unexpected end of JSON input"
        ),
        format!(
            "failed to mark: filesystem: failed to retrieve manifest for digest {digest}: unrecognized manifest schema version 0\n"
        ),
    ] {
        run.stderr = said;
        let (repository, at) = run.stopped_at().unwrap();
        assert_eq!((repository.as_str(), at.to_string()), ("app", digest.clone()));
    }
    for said in [
        "",
        "failed to mark: invalid checksum digest format",
        "failed to retrieve manifest for digest sha256:abc: x",
    ] {
        run.stderr = said.to_owned();
        assert!(run.stopped_at().is_none(), "{said}");
    }
}
