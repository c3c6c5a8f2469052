//! `prune --explain`: why a tag stays or goes, and what holds its manifest.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::model::{Created, Digest, Manifest, RepositoryView, Snapshot, Tag, TagState};
use crate::plan::{Plan, RepositoryPlan, TagDecision, Why};
use crate::policy::Verdict;
use crate::reference::Pattern;

/// An answer for every tag that a pattern matches; empty if there is none.
pub(crate) fn explain(plan: &Plan, snapshot: &Snapshot, patterns: &[Pattern], now: Timestamp) -> String {
    let mut text = String::new();
    for repository in &plan.repositories {
        let Some(view) = snapshot.view(&repository.repository) else { continue };
        for decision in &repository.tags {
            if patterns.iter().any(|pattern| pattern.covers(&repository.repository, &decision.tag)) {
                text.push_str(&tag(repository, view, decision, now));
            }
        }
    }
    text
}

fn tag(repository: &RepositoryPlan, view: &RepositoryView, decision: &TagDecision, now: Timestamp) -> String {
    let (verdict, why) = match &decision.verdict {
        Verdict::Keep(why) => ("stays", why.to_string()),
        Verdict::Remove(why) => ("goes", why.to_string()),
    };
    let mut text = format!("{}:{} {verdict}\n  why:      {why}\n", repository.repository, decision.tag);
    let Some(TagState::At(digest)) = view.tags.get(&decision.tag) else { return text };
    let created = match view.created_as(&decision.tag, digest, now) {
        Created::Known { at, from } => format!("{at:.0}, {from}"),
        Created::Unknown { why } => format!("unknown: {why}"),
    };
    let _ = writeln!(text, "  created:  {created}");
    if let Some(pushed) = view.pushed.get(&decision.tag) {
        let _ = writeln!(text, "  pushed:   {pushed:.0}, from the registry's store");
    }
    let _ = writeln!(text, "  manifest: {digest} {}", manifest(repository, view, digest, &decision.tag));
    let about =
        |manifest: &Manifest| manifest.subject.as_ref().is_some_and(|subject| subject.digest == *digest);
    for (referrer, _) in view.read_manifests().filter(|(_, manifest)| about(manifest)) {
        let _ = writeln!(text, "  referrer: {referrer} {}", referrer_fate(repository, referrer));
    }
    text
}

fn referrer_fate(repository: &RepositoryPlan, referrer: &Digest) -> &'static str {
    let goes = repository.manifests.iter().any(|removal| removal.digest == *referrer);
    if goes { "goes before it" } else { "stays" }
}

fn manifest(repository: &RepositoryPlan, view: &RepositoryView, digest: &Digest, tag: &Tag) -> String {
    if let Some(removal) = repository.manifests.iter().find(|removal| removal.digest == *digest) {
        return match &removal.why {
            Why::Untagged(_) => "goes: none of its tags stays".to_owned(),
            Why::Named => "goes: it was named".to_owned(),
            Why::PartOf(index) => format!("goes with the index {index}"),
            Why::GoesWith(subject) => format!("goes with its subject {subject}"),
            Why::Unneeded { .. } => "goes: nothing that stays needs it".to_owned(),
        };
    }
    let holders: Vec<&str> = repository
        .kept_tags()
        .filter(|kept| kept.tag != *tag)
        .filter(|kept| match view.tags.get(&kept.tag) {
            Some(TagState::At(at)) => view.reachable([at]).contains(digest),
            _ => false,
        })
        .map(|kept| kept.tag.as_str())
        .collect();
    match (&holders[..], repository.kept_tags().any(|kept| kept.tag == *tag)) {
        ([], true) => "stays, held by this tag alone".to_owned(),
        ([], false) => "stays".to_owned(),
        (several, _) => format!("stays, held by {}", several.join(", ")),
    }
}
