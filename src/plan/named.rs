//! What `rm` was told to remove: exactly what was named, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Failure;
use crate::model::{
    Digest, ManifestKind, Ordered, Repository, RepositoryState, RepositoryView, Snapshot, Tag, TagState,
};
use crate::policy::{Kept, Removed, Verdict};
use crate::reference::{Reference, Target};

use super::{Decided, graph, stranded};

/// Everything named must be there and readable before anything is removed.
pub(super) fn check(snapshot: &Snapshot, references: &[Reference]) -> Result<(), Failure> {
    let missing: Vec<String> =
        references.iter().filter_map(|reference| absent(snapshot, reference)).collect();
    if !missing.is_empty() {
        return Err(Failure::failed(format!("nothing was removed: {}", missing.join("; ")))
            .hint(format!("`docker registry ls {}` lists what there is", snapshot.registry)));
    }
    for reference in references {
        let Some(view) = snapshot.view(&reference.repository) else {
            continue;
        };
        let unreadable = view.tags.iter().find_map(|(tag, state)| match state {
            TagState::Unreadable(why) => Some(format!("tag `{tag}`: {why}")),
            TagState::At(_) | TagState::Dangling => None,
        });
        if let Some(why) = unreadable.or_else(|| graph::unreadable_manifest(view)) {
            return Err(Failure::refused(format!(
                "not everything in `{}` could be read, so what a removal would harm is unknown: {why}",
                reference.repository
            ))
            .hint(
                "run it again; if the registry's storage is damaged, `docker registry verify` says where",
            ));
        }
        if let Some(refusal) = stranded::refusal(snapshot, reference) {
            return Err(refusal);
        }
        if let Some(name) = schema1(reference, view) {
            return Err(Failure::refused(format!(
                "`{name}` is in Docker's first manifest format, which is always kept: its digest cannot be verified"
            )));
        }
    }
    Ok(())
}

/// A manifest of the first format that `reference` names.
fn schema1(reference: &Reference, view: &RepositoryView) -> Option<String> {
    let repository = &reference.repository;
    let is_schema1 = |digest: &Digest| {
        view.manifest(digest).is_some_and(|manifest| manifest.kind == ManifestKind::Schema1)
    };
    if let Target::Digest(digest) = &reference.target {
        return is_schema1(digest).then(|| format!("{repository}@{digest}"));
    }
    view.tags.iter().find_map(|(tag, state)| match state {
        TagState::At(digest) if is_named(reference, tag, state) && is_schema1(digest) => {
            Some(format!("{repository}:{tag}"))
        }
        _ => None,
    })
}

/// Whether it is known that there is nothing of this name.
pub(crate) fn is_absent(snapshot: &Snapshot, reference: &Reference) -> bool {
    let state = snapshot.repositories.get(&reference.repository);
    !matches!(state, Some(RepositoryState::Unreadable(_))) && absent(snapshot, reference).is_some()
}

fn absent(snapshot: &Snapshot, reference: &Reference) -> Option<String> {
    let repository = &reference.repository;
    let view = match snapshot.repositories.get(repository) {
        Some(RepositoryState::Read(view)) => view,
        Some(RepositoryState::Unreadable(why)) => {
            return Some(format!("`{repository}` could not be listed: {why}"));
        }
        None => return Some(format!("no such repository: `{repository}`")),
    };
    match &reference.target {
        Target::Tag(tag) => {
            (!view.tags.contains_key(tag)).then(|| format!("no such tag: `{repository}:{tag}`"))
        }
        Target::Digest(digest) => {
            view.manifest(digest).is_none().then(|| format!("no such manifest: `{repository}@{digest}`"))
        }
        Target::WholeRepository if view.tags.is_empty() => Some(match view.read_manifests().count() {
            0 => format!("`{repository}` has no tags; an empty repository takes no space"),
            number => format!(
                "`{repository}` has no tags, and {number} manifests without one, which `docker registry prune \
                 {}/{repository}` removes",
                snapshot.registry
            ),
        }),
        Target::WholeRepository => None,
    }
}

pub(super) fn is_named(reference: &Reference, tag: &Tag, state: &TagState) -> bool {
    match &reference.target {
        Target::WholeRepository => true,
        Target::Tag(named) => named == tag,
        Target::Digest(digest) => matches!(state, TagState::At(at) if at == digest),
    }
}

pub(super) fn judge(references: &[Reference], repository: &Repository, view: &RepositoryView) -> Decided {
    let here: Vec<&Reference> =
        references.iter().filter(|reference| reference.repository == *repository).collect();
    let verdicts = view
        .tags
        .iter()
        .map(|(tag, state)| {
            let verdict = if here.iter().any(|reference| is_named(reference, tag, state)) {
                Verdict::Remove(Removed::Named)
            } else if let Some(subject) = tag.attachment_subject() {
                Verdict::Keep(Kept::AttachedTo { subject })
            } else {
                Verdict::Keep(Kept::NotNamed)
            };
            (tag.clone(), verdict)
        })
        .into_map();
    let named: BTreeSet<Digest> = here
        .iter()
        .filter_map(|reference| match &reference.target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(_) | Target::WholeRepository => None,
        })
        .collect();
    Decided { verdicts, named, ..Decided::default() }
}

/// The refusal for a digest that something kept needs.
pub(super) fn needed(
    view: &RepositoryView,
    repository: &Repository,
    digest: &Digest,
    verdicts: &BTreeMap<Tag, Verdict>,
) -> Failure {
    let mut holders: Vec<String> = view
        .tags
        .iter()
        .filter_map(|(tag, state)| match (state, verdicts.get(tag)) {
            (TagState::At(at), Some(Verdict::Keep(_))) if view.reachable([at]).contains(digest) => {
                Some(format!("`{repository}:{tag}`"))
            }
            _ => None,
        })
        .collect();
    if holders.is_empty() {
        let about = view.read_manifests().filter(|(_, manifest)| {
            manifest.subject.as_ref().is_some_and(|subject| subject.digest == *digest)
        });
        holders.extend(about.map(|(referrer, _)| format!("`{repository}@{referrer}`, which refers to it")));
    }
    Failure::refused(format!("`{repository}@{digest}` is needed by {}", holders.join(", ")))
        .hint("remove that tag first, or name it in the same command")
}
