//! Tags that a server would leave behind without their manifest: they stay, and what they are on with them.

use std::collections::BTreeMap;

use crate::error::Failure;
use crate::model::{Flaw, RepositoryView, Snapshot, Tag};
use crate::policy::{Kept, Verdict};
use crate::reference::Reference;

use super::{Decided, graph, named};

/// Whatever decided that a tag goes; attachments follow what is left of it.
pub(super) fn follow(flaw: Option<Flaw>, view: &RepositoryView, decided: &mut Decided) {
    spare(flaw, view, &mut decided.verdicts);
    graph::follow_subjects(view, decided);
    spare(flaw, view, &mut decided.verdicts);
}

fn spare(flaw: Option<Flaw>, view: &RepositoryView, verdicts: &mut BTreeMap<Tag, Verdict>) {
    let Some(flaw) = flaw else { return };
    for (tag, verdict) in verdicts {
        if let Verdict::Remove(_) = verdict
            && let Some(by) = flaw.stranded_by(tag, view.tags.keys())
        {
            *verdict = Verdict::Keep(Kept::Stranded { by: by.clone() });
        }
    }
}

/// The refusal of what a person named, if it would leave a tag behind.
pub(super) fn refusal(snapshot: &Snapshot, reference: &Reference) -> Option<Failure> {
    let flaw = snapshot.flaw?;
    let view = snapshot.view(&reference.repository)?;
    let mut named = view.tags.iter().filter(|(tag, state)| named::is_named(reference, tag, state));
    let (tag, by) = named.find_map(|(tag, _)| Some((tag, flaw.stranded_by(tag, view.tags.keys())?)))?;
    let repository = &reference.repository;
    Some(
        Failure::refused(format!(
            "this version of the registry would leave `{repository}:{tag}` behind, pointing nowhere, as long as there is \
             `{repository}:{by}`: it keeps its store elsewhere than in files"
        ))
        .hint(format!("remove `{repository}:{by}` first, or upgrade the registry to 3.0 or later")),
    )
}
