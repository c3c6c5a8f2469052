//! What people and programs are told: before, from the plan that will run; after, from what was done. Pure text: `ui`
//! prints it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::{ByteSize, Repository, Tag};
use crate::outcome::{Collected, Collection, Fate, Outcome, Verified};
use crate::plan::{Plan, RepositoryPlan, Why};
use crate::policy::{Kept, Verdict};

pub(crate) mod explain;
pub(crate) mod json;
pub(crate) mod listing;
mod table;

use table::{columns, count};

/// Removed tags are listed one by one up to this number; above it only with `--verbose`.
const LISTED: usize = 20;

/// Everything that is known at the end of a run.
pub(crate) struct Ended<'a> {
    pub(crate) outcome: Option<&'a Outcome>,
    pub(crate) collection: &'a Collection,
    pub(crate) verified: Option<&'a Verified>,
    /// What the plan would free.
    pub(crate) freed: ByteSize,
}

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
        }
    }
    text.push_str(&undated(plan));
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
        "{} no usable date and {} kept, such as `{repository}:{tag}`: {why}; a rule can go by push time (`--order pushed`, `--date pushed`)\n",
        if number == 1 { "1 tag has".to_owned() } else { format!("{number} tags have") },
        if number == 1 { "is" } else { "are" }
    )
}

fn total(plan: &Plan) -> String {
    let kept = plan.kept_tag_count();
    if !plan.has_steps() {
        return format!("No tags to remove; {} kept.\n", count(kept, "tag"));
    }
    format!(
        "Total: {} and {} to remove, {} kept; up to {} to reclaim\n",
        count(plan.removed_tag_count(), "tag"),
        count(plan.removed_manifest_count(), "manifest"),
        count(kept, "tag"),
        plan.freed
    )
}

/// The verdict on every tag, with its reason.
fn verdicts(repository: &RepositoryPlan) -> String {
    let rows = repository.tags.iter().map(|decision| {
        let (verdict, why) = match &decision.verdict {
            Verdict::Keep(why) => ("keep", why.to_string()),
            Verdict::Remove(why) => ("remove", why.to_string()),
        };
        let digest = decision.digest.as_ref().map_or("-".to_owned(), |digest| digest.short().to_owned());
        vec![format!("{}:{}", repository.repository, decision.tag), digest, verdict.to_owned(), why]
    });
    let mut text = columns(&["TAG", "DIGEST", "VERDICT", "WHY"], rows);
    let parts = repository.manifests.iter().filter_map(|removal| match &removal.why {
        Why::PartOf(index) => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            format!("only needed by sha256:{}", index.short()),
        ]),
        Why::Named => Some(vec![
            format!("{}@sha256:{}", repository.repository, removal.digest.short()),
            "remove".to_owned(),
            "named".to_owned(),
        ]),
        Why::Untagged(_) => None,
    });
    let parts: Vec<_> = parts.collect();
    if !parts.is_empty() {
        text.push('\n');
        text.push_str(&columns(&["MANIFEST", "VERDICT", "WHY"], parts.into_iter()));
    }
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
    text.push('\n');
    text
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
        let _ = write!(
            what,
            "\n  - {} and {} in {place}",
            count(plan.removed_tag_count(), "tag"),
            count(plan.removed_manifest_count(), "manifest")
        );
    }
    if !then.is_empty() {
        let _ = write!(what, "\n  - {then}");
    }
    what.push('\n');
    what
}

/// What was done.
pub(crate) fn ended(ended: &Ended) -> String {
    let mut text = String::new();
    if let Some(outcome) = ended.outcome {
        text.push_str(&deletions(outcome));
    }
    match ended.collection {
        Collection::NotAsked if ended.outcome.is_some_and(Outcome::has_done_anything) => {
            let _ = writeln!(
                text,
                "Up to {} come back with the next garbage collection: docker registry gc",
                ended.freed
            );
        }
        Collection::NotAsked | Collection::Failed(_) => {}
        Collection::NotHere(why) => {
            let _ = writeln!(
                text,
                "No garbage was collected: {why}. The space comes back when the registry's operator runs `registry garbage-collect` with the registry stopped."
            );
        }
        Collection::NothingToCollect => {
            text.push_str("There is no garbage to collect; the registry was not stopped.\n");
        }
        Collection::Done(collected) => text.push_str(&collection(collected)),
    }
    if let Some(verified) = ended.verified {
        text.push_str(&verification(verified));
    }
    if let Collection::Done(_) | Collection::NothingToCollect = ended.collection {
        let _ = writeln!(text, "Total reclaimed space: {}", reclaimed(ended.collection));
    }
    text
}

/// Bytes that came back: as measured on the store, never estimated.
pub(crate) fn reclaimed(collection: &Collection) -> Shown {
    match collection {
        Collection::Done(Collected { before: Some(before), after: Some(after), .. }) => {
            Shown::Bytes(before.saturating_sub(*after))
        }
        Collection::Done(_) => Shown::NotMeasured,
        _ => Shown::Bytes(ByteSize(0)),
    }
}

/// A size that may not have been measured.
pub(crate) enum Shown {
    Bytes(ByteSize),
    NotMeasured,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::NotMeasured => f.write_str("not measured (the registry's image has no `du`)"),
        }
    }
}

fn deletions(outcome: &Outcome) -> String {
    let mut text = format!(
        "Deleted {} and {}\n",
        count(outcome.tags_done(), "tag"),
        count(outcome.manifests_done(), "manifest")
    );
    for (repository, fates) in &outcome.repositories {
        let tags = fates.tags.iter().map(|(tag, fate)| (format!("{repository}:{tag}"), fate));
        let manifests = fates.manifests.iter().map(|(digest, fate)| (format!("{repository}@{digest}"), fate));
        for (name, fate) in tags.chain(manifests) {
            match fate {
                Fate::Done => {}
                Fate::Skipped(why) => {
                    let _ = writeln!(text, "Skipped {name}: {why}");
                }
                Fate::Failed(why) => {
                    let _ = writeln!(text, "FAILED {name}: {why}");
                }
            }
        }
        for tag in &fates.vanished {
            let _ = writeln!(text, "MISSING {repository}:{tag}: it was to be kept, and is no longer listed");
        }
    }
    text
}

fn collection(collected: &Collected) -> String {
    let mut text = format!(
        "Garbage collected in `{}` ({}): {} removed, {} in use\n",
        collected.container,
        collected.mode,
        count(usize::try_from(collected.swept).unwrap_or(usize::MAX), "blob"),
        collected.marked
    );
    if !collected.beyond_plan.is_empty() {
        let _ =
            writeln!(text, "{} of the removed blobs were garbage from before", collected.beyond_plan.len());
    }
    for remark in &collected.remarks {
        let _ = writeln!(text, "{remark}");
    }
    if let Some(interruption) = collected.interruption {
        let _ = writeln!(text, "The registry was out of service for {:.1}s", interruption.as_secs_f64());
    }
    if let (Some(before), Some(after)) = (collected.before, collected.after) {
        let _ = writeln!(text, "Store: {before} before, {after} after");
    }
    text
}

pub(crate) fn verification(verified: &Verified) -> String {
    let mut text = String::new();
    for note in &verified.notes {
        let _ = writeln!(text, "{note}");
    }
    if verified.problems.is_empty() {
        let _ = writeln!(
            text,
            "Verified: {}, {} and {} are whole",
            count(verified.tags, "tag"),
            count(verified.manifests, "manifest"),
            count(verified.blobs, "blob")
        );
        return text;
    }
    text.push_str(&problems(verified));
    text
}

/// What is wrong, whom it harms and what mends it.
fn problems(verified: &Verified) -> String {
    let mut text = String::new();
    for problem in &verified.problems {
        let _ = writeln!(text, "DAMAGED {}", problem.what);
        if !problem.tags.is_empty() {
            let tags: Vec<String> =
                problem.tags.iter().map(|tag| format!("{}:{tag}", problem.repository)).collect();
            let _ = writeln!(text, "  harms {}", tags.join(", "));
        }
        let _ = writeln!(text, "  mend: {}", problem.mend);
    }
    let _ = writeln!(
        text,
        "{} found in {}, {} and {}",
        count(verified.problems.len(), "problem"),
        count(verified.tags, "tag"),
        count(verified.manifests, "manifest"),
        count(verified.blobs, "blob")
    );
    text
}
