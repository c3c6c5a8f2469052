//! What people and programs are told: before, from the plan that will run; after, from what was done. Pure text: `ui`
//! prints it.

use std::fmt::Write as _;
use std::time::Duration;

use crate::model::ByteSize;
use crate::outcome::{Collected, Collection, Fate, Hashed, Outcome, Tidied, Verified};
use crate::plan::Estimate;

pub(crate) mod explain;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod page;
mod planned;
mod table;
pub(crate) mod undo;
pub(crate) mod usage;

pub(crate) use planned::{plan, warning};
use table::count;

/// Everything that is known at the end of a run.
pub(crate) struct Ended<'a> {
    pub(crate) outcome: Option<&'a Outcome>,
    /// The name of the run, where it deleted anything.
    pub(crate) run: Option<&'a str>,
    pub(crate) collection: &'a Collection,
    pub(crate) verified: Option<&'a Verified>,
    /// What was to come back.
    pub(crate) estimate: Estimate,
}

/// What was done.
pub(crate) fn ended(ended: &Ended) -> String {
    let mut text = String::new();
    if let Some(outcome) = ended.outcome {
        text.push_str(&deletions(outcome));
    }
    match ended.collection {
        Collection::NotAsked if ended.outcome.is_some_and(Outcome::has_done_anything) => {
            let all_done = ended.outcome.is_some_and(Outcome::is_done);
            let _ = writeln!(
                text,
                "{}{} come back with the next garbage collection: docker registry gc",
                if ended.estimate.is_exact && all_done { "" } else { "Up to " },
                ended.estimate.blobs()
            );
        }
        Collection::NotAsked | Collection::Failed(_) | Collection::CutShort(_) => {}
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
        text.push_str(&compared(ended));
        let _ = writeln!(text, "Total reclaimed space: {}", reclaimed(ended.collection));
    }
    text
}

/// How to undo the run; nothing is said where a collection has taken what it deleted.
pub(crate) fn way_back(ended: &Ended) -> Option<String> {
    let run = ended.run.filter(|_| ended.outcome.is_some_and(Outcome::has_done_anything))?;
    match ended.collection {
        Collection::Done(_) => None,
        Collection::CutShort(_) => Some(format!(
            "What the collection has not taken of this can be put back: `docker registry undo --dry-run {run}` says what that is"
        )),
        _ => Some(format!("Put this back with `docker registry undo {run}`")),
    }
}

/// The estimate and what came of it, to the byte.
fn compared(ended: &Ended) -> String {
    let Collection::Done(collected) = ended.collection else { return String::new() };
    match (collected.content, ended.estimate.total()) {
        (Some(content), estimated) if ended.estimate.is_exact && content == estimated => {
            format!("Came back: {} bytes, as estimated\n", content.0)
        }
        (Some(content), estimated) if ended.estimate.is_exact => {
            format!("Came back: {} bytes; {} were estimated\n", content.0, estimated.0)
        }
        _ => String::new(),
    }
}

/// Bytes that came back: the content that was removed or, where its files were not seen before, the difference on the disk;
/// never an estimate.
pub(crate) fn reclaimed(collection: &Collection) -> Shown {
    let Collection::Done(collected) = collection else { return Shown::Bytes(ByteSize(0)) };
    match (collected.content, collected.before, collected.after) {
        (Some(content), ..) => Shown::Bytes(content),
        (None, Some(before), Some(after)) => Shown::Bytes(before.saturating_sub(after)),
        _ => Shown::NotMeasured,
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

fn tidied(tidied: &Tidied) -> String {
    let counts = &tidied.counts;
    let mut parts: Vec<String> = [
        (counts.repositories, "empty repository", "empty repositories"),
        (counts.folders, "folder", "folders"),
        (counts.links, "link to nothing", "links to nothing"),
    ]
    .into_iter()
    .filter(|(number, _, _)| *number > 0)
    .map(|(number, one, many)| format!("{number} {}", if number == 1 { one } else { many }))
    .collect();
    if counts.uploads > 0 {
        parts.push(format!("{} of {}", count(counts.uploads, "unfinished upload"), counts.bytes));
    }
    let mut text = String::new();
    if let Some((last, others)) = parts.split_last() {
        let others = if others.is_empty() { String::new() } else { format!("{} and ", others.join(", ")) };
        let _ = writeln!(text, "Removed what a collection leaves: {others}{last}");
    }
    if let Some(why) = &tidied.failed {
        let _ = writeln!(text, "FAILED to remove what a collection leaves: {why}");
    }
    text
}

fn collection(collected: &Collected) -> String {
    let mut text = format!(
        "Garbage collected in `{}` ({}): {} removed, {} in use\n",
        collected.container,
        collected.mode,
        count(collected.swept.len(), "blob"),
        collected.marked
    );
    if !collected.beyond_plan.is_empty() {
        let _ =
            writeln!(text, "{} of the removed blobs were garbage from before", collected.beyond_plan.len());
    }
    for remark in &collected.remarks {
        let _ = writeln!(text, "{remark}");
    }
    match &collected.forgotten {
        Some(Ok(keys)) => {
            let keys = count(usize::try_from(*keys).unwrap_or(usize::MAX), "key");
            let _ = writeln!(text, "{keys} of the blob cache in redis removed");
        }
        Some(Err(why)) => {
            let _ = writeln!(text, "DAMAGED {why}");
        }
        None => {}
    }
    text.push_str(&tidied(&collected.tidied));
    if let Some(interruption) = collected.service.interruption() {
        let seconds = |time: &Duration| format!("{:.1}s", time.as_secs_f64());
        let _ = write!(text, "The registry was out of service for {}", seconds(&interruption));
        if let Some(read_only) = &collected.service.read_only {
            let each: Vec<String> = collected.service.interruptions.iter().map(seconds).collect();
            let _ = write!(
                text,
                " ({}), and read-only for {} in between",
                each.join(" and "),
                seconds(read_only)
            );
        }
        text.push('\n');
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
    if let Some(hashed) = &verified.hashed {
        text.push_str(&contents(hashed));
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

fn contents(hashed: &Hashed) -> String {
    let mut text = String::new();
    if let Some((container, amount)) = &hashed.in_store {
        let blobs = count(amount.blobs, "blob");
        let _ = writeln!(text, "Hashed {blobs} of {} where they lie, in `{container}`", amount.bytes);
    }
    if let Some((why, amount)) = &hashed.downloaded {
        let blobs = count(amount.blobs, "blob");
        let _ = writeln!(text, "Downloaded and hashed {blobs} of {}: {why}", amount.bytes);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(content: Option<u64>, estimate: Estimate) -> String {
        let disk = |bytes| Some(ByteSize(bytes));
        let collected = Collected {
            content: content.map(ByteSize),
            before: disk(9_000),
            after: disk(1_000),
            ..Collected::default()
        };
        let collection = &Collection::Done(Box::new(collected));
        ended(&Ended { outcome: None, run: None, collection, verified: None, estimate })
    }

    #[test]
    fn the_estimate_is_compared_with_what_came_back_to_the_byte() {
        let of = |deletions, is_exact| Estimate {
            deletions: ByteSize(deletions),
            is_exact,
            ..Estimate::default()
        };
        let exact = told(Some(5_123), of(5_123, true));
        assert!(
            exact.contains("Came back: 5123 bytes, as estimated\nTotal reclaimed space: 5.123kB\n"),
            "{exact}"
        );
        let less = told(Some(5_122), of(5_123, true));
        assert!(less.contains("Came back: 5122 bytes; 5123 were estimated\n"), "{less}");
        for (content, estimate) in [(Some(5_123), of(6_000, false)), (None, of(5_123, true))] {
            let text = told(content, estimate);
            assert!(!text.contains("estimated"), "{text}");
        }
        assert!(told(None, of(0, false)).contains("Total reclaimed space: 8kB"), "as measured on the disk");
    }
}
