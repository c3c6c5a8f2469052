//! The plan in words: per repository what stays, what goes and why, and the question before it is carried out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::table::{columns, count};
use crate::model::{Digest, Repository, Tag};
use crate::plan::{Estimate, Plan, RepositoryPlan, Why};
use crate::policy::{Kept, Verdict};

/// Removed tags are listed one by one up to this number; above it only with `--verbose`.
const LISTED: usize = 20;

/// The plan: per repository what stays, what goes and why.
pub(crate) fn plan(plan: &Plan, is_verbose: bool) -> String {
    let mut text = String::new();
    let changed: Vec<&RepositoryPlan> =
        plan.repositories.iter().filter(|repository| !repository.ranks.is_empty()).collect();
    if !changed.is_empty() {
        let rows = changed.iter().map(|repository| {
            vec![
                repository.repository.to_string(),
                repository.kept_tags().count().to_string(),
                repository.removed_tags().count().to_string(),
                repository.manifests.len().to_string(),
                repository.freed.to_string(),
            ]
        });
        text.push_str(&columns(&["REPOSITORY", "KEEP", "REMOVE", "MANIFESTS", "RECLAIMABLE"], rows));
        text.push('\n');
    }
    let is_short = plan.removed_tag_count() + plan.removed_manifest_count() <= LISTED;
    for repository in &plan.repositories {
        if is_verbose {
            text.push_str(&verdicts(repository));
        } else if !repository.ranks.is_empty() {
            text.push_str(&reasons(repository, is_short));
        } else if let Some(why) = unread(repository) {
            let _ = writeln!(text, "{}: left alone, {why}", repository.repository);
        } else if !repository.spared.is_empty() {
            let _ = write!(text, "{}\n{}\n", repository.repository, spared(repository));
        }
    }
    text.push_str(&undated(plan));
    text.push_str(&young(plan));
    for (repository, why) in &plan.unreadable {
        let _ = writeln!(text, "{repository}: left alone, it could not be listed: {why}");
    }
    text.push_str(&total(plan));
    text
}

/// Tags that no date can decide about are kept; a person who wonders why learns what to do.
fn undated(plan: &Plan) -> String {
    let undated: Vec<(&Repository, &Tag, &str)> = plan
        .repositories
        .iter()
        .flat_map(|repository| repository.kept_tags().map(|decision| (&repository.repository, decision)))
        .filter_map(|(repository, decision)| match &decision.verdict {
            Verdict::Keep(Kept::UnknownDate { why, .. }) => Some((repository, &decision.tag, why.as_str())),
            _ => None,
        })
        .collect();
    let Some((repository, tag, why)) = undated.first() else {
        return String::new();
    };
    let number = undated.len();
    format!(
        "{} no usable date and {} kept, such as `{repository}:{tag}`: {why}. Reproducible builds write none; a rule can go by push time (`--order pushed`, `--date pushed`)\n",
        if number == 1 { "1 tag has".to_owned() } else { format!("{number} tags have") },
        if number == 1 { "is" } else { "are" }
    )
}

/// Tags that rules give up and that stay for their age.
fn young(plan: &Plan) -> String {
    let (mut young, mut unknown) = (0, 0);
    for decision in plan.repositories.iter().flat_map(RepositoryPlan::kept_tags) {
        match decision.verdict {
            Verdict::Keep(Kept::TooYoung { .. }) => young += 1,
            Verdict::Keep(Kept::UnknownAge { .. }) => unknown += 1,
            _ => {}
        }
    }
    let line = |number: usize, why: &str| match number {
        0 => String::new(),
        1 => format!("1 tag that would go is kept: {why} (`--min-age`)\n"),
        _ => format!("{number} tags that would go are kept: {why} (`--min-age`)\n"),
    };
    line(young, "nothing goes so soon after its push")
        + &line(unknown, "when they were pushed or created is not known")
}

fn total(plan: &Plan) -> String {
    let kept = plan.kept_tag_count();
    if !plan.has_steps() {
        let garbage = match plan.estimate {
            estimate if estimate.total().0 > 0 => format!("; {}", reclaimable(estimate)),
            _ => String::new(),
        };
        return format!("No tags to remove; {} kept{garbage}.\n", count(kept, "tag"));
    }
    format!(
        "Total: {} to remove, {} kept; {}\n",
        removed(plan),
        count(kept, "tag"),
        reclaimable(plan.estimate)
    )
}

fn removed(plan: &Plan) -> String {
    let (tags, manifests) = (plan.removed_tag_count(), plan.removed_manifest_count());
    let untagged = match plan.removed_untagged_count() {
        0 => String::new(),
        number => format!(" ({number} untagged)"),
    };
    format!("{} and {}{untagged}", count(tags, "tag"), count(manifests, "manifest"))
}

/// What comes back, and how much of it is not the plan's doing.
fn reclaimable(estimate: Estimate) -> String {
    let up_to = if estimate.is_exact { "" } else { "up to " };
    let mut parts = Vec::new();
    for (size, what) in [(estimate.garbage, "garbage from before"), (estimate.uploads, "unfinished uploads")]
    {
        if size.0 > 0 {
            parts.push(format!("{size} of it {what}"));
        }
    }
    let parts = if parts.is_empty() { String::new() } else { format!(", {}", parts.join(", ")) };
    format!("{up_to}{} to reclaim{parts}", estimate.total())
}

/// The verdict on every tag, with its reason.
fn verdicts(repository: &RepositoryPlan) -> String {
    let rows = repository.tags.iter().map(|decision| {
        let (verdict, why) = match &decision.verdict {
            Verdict::Keep(why) => ("keep", why.to_string()),
            Verdict::Remove(why) => ("remove", why.to_string()),
        };
        let digest = decision.digest.as_ref().map_or("-".to_owned(), Digest::short);
        vec![format!("{}:{}", repository.repository, decision.tag), digest, verdict.to_owned(), why]
    });
    let mut text = columns(&["TAG", "DIGEST", "VERDICT", "WHY"], rows);
    let parts = repository.manifests.iter().filter_map(|removal| match &removal.why {
        Why::PartOf(index) => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            format!("only needed by sha256:{}", index.short()),
        ]),
        Why::GoesWith(subject) => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            format!("belongs to sha256:{}, which is removed", subject.short()),
        ]),
        Why::Named => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            "named".to_owned(),
        ]),
        Why::Unneeded { .. } => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            "untagged, no kept index or subject needs it".to_owned(),
        ]),
        Why::Untagged(_) => None,
    });
    let parts: Vec<_> = parts.collect();
    if !parts.is_empty() {
        text.push('\n');
        text.push_str(&columns(&["MANIFEST", "VERDICT", "WHY"], parts.into_iter()));
    }
    text.push_str(&spared(repository));
    text.push('\n');
    text
}

/// Why nothing goes from a repository of which not everything could be read.
fn unread(repository: &RepositoryPlan) -> Option<String> {
    repository.kept_tags().find_map(|decision| match &decision.verdict {
        Verdict::Keep(why @ Kept::RepositoryUnreadable { .. }) => Some(why.summary()),
        Verdict::Keep(Kept::Unreadable { why }) => {
            Some(format!("tag `{}` could not be read: {why}", decision.tag))
        }
        _ => None,
    })
}

/// The reasons with their numbers; the removed tags themselves where they are few.
fn reasons(repository: &RepositoryPlan, is_short: bool) -> String {
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    let mut removed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for decision in &repository.tags {
        match &decision.verdict {
            Verdict::Keep(why) => *kept.entry(why.summary()).or_default() += 1,
            Verdict::Remove(why) => removed.entry(why.summary()).or_default().push(decision.tag.as_str()),
        }
    }
    let mut text = format!("{}\n", repository.repository);
    for (why, number) in kept {
        let _ = writeln!(text, "  keep {}: {why}", count(number, "tag"));
    }
    for (why, tags) in removed {
        if is_short {
            let _ = writeln!(text, "  remove {}: {why}", tags.join(", "));
        } else {
            let _ = writeln!(text, "  remove {}: {why}", count(tags.len(), "tag"));
        }
    }
    let parts = repository.manifests.iter().filter(|removal| matches!(removal.why, Why::PartOf(_))).count();
    if parts > 0 {
        let _ = writeln!(text, "  remove {} that only removed indexes need", count(parts, "manifest"));
    }
    let about = repository.manifests.iter().filter(|removal| matches!(removal.why, Why::GoesWith(_))).count();
    if about > 0 {
        let _ = writeln!(text, "  remove {} attached to what is removed", count(about, "manifest"));
    }
    let untagged = repository.removed_untagged().count();
    if untagged > 0 {
        let _ = writeln!(
            text,
            "  remove {}: no kept index or subject needs {}",
            count(untagged, "untagged manifest"),
            if untagged == 1 { "it" } else { "them" }
        );
    }
    text.push_str(&spared(repository));
    text.push('\n');
    text
}

/// The manifests that stay although no tag leads to them and nothing may need them.
fn spared(repository: &RepositoryPlan) -> String {
    let spared = repository.spared.iter();
    spared.map(|(why, number)| format!("  keep {}: {why}\n", count(*number, "untagged manifest"))).collect()
}

/// One sentence for the question.
pub(crate) fn warning(plan: &Plan, then: &str) -> String {
    let mut what = String::from("This will remove:");
    if plan.has_steps() {
        let repositories = plan.repositories.iter().filter(|repository| !repository.ranks.is_empty()).count();
        let place = if repositories == 1 {
            "1 repository".to_owned()
        } else {
            format!("{repositories} repositories")
        };
        let _ = write!(what, "\n  - {} in {place}", removed(plan));
    }
    if !then.is_empty() {
        let _ = write!(what, "\n  - {then}");
    }
    what.push('\n');
    what
}
