//! The document for programs: versioned, with the same numbers as the text.

use serde_json::{Map, Value, json};

use crate::model::{RepositoryState, Snapshot};
use crate::outcome::{Collection, Fate, Hashed, Outcome, Tidied, Verified};
use crate::plan::{Plan, Why};
use crate::policy::Verdict;

use super::{Ended, Shown, reclaimed};

/// Raised when a reader of the old document would misread the new one; fields may be added without it.
pub(crate) const VERSION: u32 = 1;

pub(crate) fn plan(plan: &Plan) -> Value {
    let repositories = plan.repositories.iter().map(|repository| {
        json!({
            "repository": repository.repository,
            "reclaimableBytes": repository.freed,
            "tags": repository.tags.iter().map(|decision| {
                let (verdict, why) = match &decision.verdict {
                    Verdict::Keep(why) => ("keep", why.to_string()),
                    Verdict::Remove(why) => ("remove", why.to_string()),
                };
                json!({ "tag": decision.tag, "digest": decision.digest, "verdict": verdict, "why": why })
            }).collect::<Vec<_>>(),
            "removeManifests": repository.manifests.iter().map(|removal| {
                let why = match &removal.why {
                    Why::Untagged(_) => "all its tags are removed".to_owned(),
                    Why::Named => "named".to_owned(),
                    Why::PartOf(index) => format!("only needed by {index}"),
                    Why::GoesWith(subject) => format!("belongs to {subject}, which is removed"),
                    Why::Unneeded { .. } => "untagged, no kept index or subject needs it".to_owned(),
                };
                json!({ "digest": removal.digest, "why": why })
            }).collect::<Vec<_>>(),
            "keepUntagged": repository.spared.iter().map(|(why, number)| json!({ "manifests": number, "why": why })).collect::<Vec<_>>(),
        })
    });
    json!({
        "repositories": repositories.collect::<Vec<_>>(),
        "keepTags": plan.kept_tag_count(),
        "removeTags": plan.removed_tag_count(),
        "removeManifests": plan.removed_manifest_count(),
        "removeUntagged": plan.removed_untagged_count(),
        "reclaimableBytes": plan.estimate.total(),
        "reclaimable": {
            "isExact": plan.estimate.is_exact,
            "deletionsBytes": plan.estimate.deletions,
            "garbageBytes": plan.estimate.garbage,
            "uploadsBytes": plan.estimate.uploads,
        },
        "unreadable": plan.unreadable.iter().map(|(repository, why)| json!({ "repository": repository, "why": why })).collect::<Vec<_>>(),
        "collectionBlockedBy": plan.blockers,
    })
}

/// A whole run: `plan` is the document of [`plan`], made before the plan was used up.
pub(crate) fn run(command: &str, registry: &str, plan: Value, ended: Option<&Ended>, exit_code: u8) -> Value {
    let mut document = Map::new();
    document.insert("version".to_owned(), json!(VERSION));
    document.insert("command".to_owned(), json!(command));
    document.insert("registry".to_owned(), json!(registry));
    document.insert("plan".to_owned(), plan);
    if let Some(ended) = ended {
        document.insert("run".to_owned(), json!(ended.run));
        document.insert("outcome".to_owned(), ended.outcome.map_or(Value::Null, outcome));
        document.insert("collection".to_owned(), collection(ended.collection));
        document.insert("verification".to_owned(), ended.verified.map_or(Value::Null, verification));
        let bytes = match reclaimed(ended.collection) {
            Shown::Bytes(bytes) => json!(bytes),
            Shown::NotMeasured => Value::Null,
        };
        document.insert("reclaimedBytes".to_owned(), bytes);
        let estimated = ended.estimate.is_exact.then(|| json!(ended.estimate.total()));
        document.insert("estimatedBytes".to_owned(), estimated.unwrap_or_default());
    }
    document.insert("exitCode".to_owned(), json!(exit_code));
    Value::Object(document)
}

fn outcome(outcome: &Outcome) -> Value {
    let fate = |fate: &Fate| match fate {
        Fate::Done => ("done", None),
        Fate::Skipped(why) => ("skipped", Some(why.clone())),
        Fate::Failed(why) => ("failed", Some(why.clone())),
    };
    let repositories = outcome.repositories.iter().map(|(repository, fates)| {
        json!({
            "repository": repository,
            "tags": fates.tags.iter().map(|(tag, of)| { let (fate, why) = fate(of); json!({ "tag": tag, "fate": fate, "why": why }) }).collect::<Vec<_>>(),
            "manifests": fates.manifests.iter().map(|(digest, of)| { let (fate, why) = fate(of); json!({ "digest": digest, "fate": fate, "why": why }) }).collect::<Vec<_>>(),
            "vanished": fates.vanished,
        })
    });
    json!({
        "deletedTags": outcome.tags_done(),
        "deletedManifests": outcome.manifests_done(),
        "repositories": repositories.collect::<Vec<_>>(),
    })
}

fn collection(collection: &Collection) -> Value {
    match collection {
        Collection::NotAsked => json!({ "state": "not-asked" }),
        Collection::NotHere(why) => json!({ "state": "not-here", "why": why }),
        Collection::NothingToCollect => json!({ "state": "nothing-to-collect" }),
        Collection::Failed(error) => json!({ "state": "failed", "why": format!("{error:#}") }),
        Collection::CutShort(error) => json!({ "state": "cut-short", "why": format!("{error:#}") }),
        Collection::Done(collected) => json!({
            "state": "done",
            "container": collected.container,
            "mode": collected.mode,
            "blobsInUse": collected.marked,
            "blobsRemoved": collected.swept.len(),
            "blobsBeyondPlan": collected.beyond_plan,
            "remarks": collected.remarks,
            "leftovers": leftovers(&collected.tidied),
            "storeBytesBefore": collected.before,
            "storeBytesAfter": collected.after,
            "cacheKeysRemoved": collected.forgotten.as_ref().and_then(|forgotten| forgotten.as_ref().ok()),
            "cacheProblem": collected.forgotten.as_ref().and_then(|forgotten| forgotten.as_ref().err()),
            "interruptionSeconds": collected.service.interruption().map(|time| time.as_secs_f64()),
            "readOnlySeconds": collected.service.read_only.map(|time| time.as_secs_f64()),
        }),
    }
}

fn leftovers(tidied: &Tidied) -> Value {
    let counts = &tidied.counts;
    json!({
        "repositories": counts.repositories,
        "folders": counts.folders,
        "links": counts.links,
        "uploads": counts.uploads,
        "bytes": counts.bytes,
        "left": tidied.left,
        "failure": tidied.failed,
    })
}

pub(crate) fn verification(verified: &Verified) -> Value {
    json!({
        "tags": verified.tags,
        "manifests": verified.manifests,
        "blobs": verified.blobs,
        "notes": verified.notes,
        "hashed": verified.hashed.as_ref().map(hashed),
        "problems": verified.problems.iter().map(|problem| json!({
            "repository": problem.repository,
            "tags": problem.tags,
            "what": problem.what,
            "mend": problem.mend,
        })).collect::<Vec<_>>(),
    })
}

fn hashed(hashed: &Hashed) -> Value {
    json!({
        "inStore": hashed.in_store.as_ref().map(|(container, amount)| {
            json!({ "container": container, "blobs": amount.blobs, "bytes": amount.bytes })
        }),
        "downloaded": hashed.downloaded.as_ref().map(|(why, amount)| {
            json!({ "why": why, "blobs": amount.blobs, "bytes": amount.bytes })
        }),
    })
}

/// Repositories of a snapshot that could not be listed.
pub(crate) fn unreadable(snapshot: &Snapshot) -> Value {
    let unreadable = snapshot.repositories.iter().filter_map(|(repository, state)| match state {
        RepositoryState::Read(_) => None,
        RepositoryState::Unreadable(why) => Some(json!({ "repository": repository, "why": why })),
    });
    json!(unreadable.collect::<Vec<_>>())
}
