//! The digest graph of one repository: what kept tags reach, and what is left without a holder.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Digest, Manifest, ManifestKind, ManifestState, RepositoryView, Tag, TagState};
use crate::policy::{Kept, Removed, Verdict};

use super::{Decided, Why};

/// A manifest that goes; whatever refers to others has a lower rank than they: no index is left without its parts, and
/// no referrer without its subject.
pub(super) struct Doom<'a> {
    pub(super) why: Why,
    pub(super) rank: usize,
    /// What goes before it because it refers to it.
    pub(super) after: BTreeSet<&'a Digest>,
}

impl Doom<'_> {
    fn new(why: Why) -> Self {
        Self { why, rank: 0, after: BTreeSet::new() }
    }
}

/// The manifests by what they are about, where they say so themselves.
type Referrers<'a> = BTreeMap<&'a Digest, Vec<&'a Digest>>;

/// Why rules may not remove anything in this repository: a tag that could not be read may be at any digest, and a
/// manifest that could not be read may need any other.
pub(super) fn ineligible(view: &RepositoryView) -> Option<String> {
    let tag = view.tags.iter().find_map(|(tag, state)| match state {
        TagState::Unreadable(why) => Some(format!("tag `{tag}`: {why}")),
        TagState::Dangling => Some(format!("tag `{tag}` is listed, but the registry has no manifest for it")),
        TagState::At(_) => None,
    });
    tag.or_else(|| unreadable_manifest(view))
}

pub(super) fn unreadable_manifest(view: &RepositoryView) -> Option<String> {
    let unread = view.manifests.iter().find_map(|(digest, state)| match state {
        ManifestState::Unreadable(why) => Some(format!("manifest {digest}: {why}")),
        ManifestState::Read(_) | ManifestState::Absent => None,
    });
    let mut unlisted = view.unlisted.iter().map(|(digest, why)| format!("referrers of {digest}: {why}"));
    unread.or_else(|| unlisted.next())
}

fn referrers(view: &RepositoryView) -> Referrers<'_> {
    let mut referrers = Referrers::new();
    for (digest, manifest) in view.read_manifests() {
        if let Some(subject) = &manifest.subject {
            referrers.entry(&subject.digest).or_default().push(digest);
        }
    }
    referrers
}

/// `roots`, what they reach through indexes, and what refers to any of it but for the `spared`.
fn with_referrers<'a>(
    view: &'a RepositoryView,
    referrers: &Referrers<'a>,
    roots: impl IntoIterator<Item = &'a Digest>,
    spared: &BTreeSet<&Digest>,
) -> BTreeSet<&'a Digest> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&Digest> = roots.into_iter().collect();
    while let Some(digest) = ahead.pop() {
        if reached.insert(digest) {
            // Whatever an index calls its parts: some of them may be manifests all the same.
            let children = view.manifest(digest).into_iter().flat_map(|manifest| &manifest.children);
            ahead.extend(children.map(|child| &child.digest));
            let about = referrers.get(digest).into_iter().flatten().copied();
            ahead.extend(about.filter(|referrer| !spared.contains(*referrer)));
        }
    }
    reached
}

/// Every digest that must stay: what kept tags reach through indexes, the subjects of what they reach, and what refers to
/// any of it. An attached signature holds what it consists of, but not the subject that its tag names: it is the subject
/// that decides about both. What a person named is not held by being about something that stays.
pub(super) fn kept<'a>(view: &'a RepositoryView, decided: &Decided) -> BTreeSet<&'a Digest> {
    let kept_at = |attached: bool| {
        view.tags.iter().filter_map(move |(tag, state)| match (state, decided.verdicts.get(tag)) {
            (TagState::At(digest), Some(Verdict::Keep(why)))
                if matches!(why, Kept::AttachedTo { .. }) == attached =>
            {
                Some(digest)
            }
            // A tag without a verdict is unknown, and unknown is kept.
            (TagState::At(digest), None) if !attached => Some(digest),
            _ => None,
        })
    };
    let referrers = referrers(view);
    let spared = named_reach(view, decided);
    let mut kept =
        with_referrers(view, &referrers, kept_at(false).chain(strays(view, &referrers, decided)), &spared);
    add_subjects(view, &referrers, &spared, &BTreeSet::new(), &mut kept);
    kept.extend(with_referrers(view, &referrers, kept_at(true), &spared));
    let attached = decided.verdicts.values().filter_map(|verdict| match verdict {
        Verdict::Keep(Kept::AttachedTo { subject }) => Some(subject),
        _ => None,
    });
    add_subjects(view, &referrers, &spared, &attached.collect(), &mut kept);
    kept
}

/// What any of `kept` is about stays too, with all that refers to it; but for what decides about others by itself.
fn add_subjects<'a>(
    view: &'a RepositoryView,
    referrers: &Referrers<'a>,
    spared: &BTreeSet<&Digest>,
    deciding: &BTreeSet<&Digest>,
    kept: &mut BTreeSet<&'a Digest>,
) {
    loop {
        let subjects: Vec<&Digest> = kept
            .iter()
            .filter_map(|digest| view.manifest(digest)?.subject.as_ref())
            .map(|subject| &subject.digest)
            .filter(|subject| view.manifests.contains_key(*subject) && !kept.contains(*subject))
            .filter(|subject| !deciding.contains(*subject))
            .collect();
        if subjects.is_empty() {
            break;
        }
        kept.extend(with_referrers(view, referrers, subjects, spared));
    }
}

/// What a person named, with its parts.
fn named_reach<'a>(view: &'a RepositoryView, decided: &Decided) -> BTreeSet<&'a Digest> {
    let tagged = view.tags.iter().filter_map(|(tag, state)| match (state, decided.verdicts.get(tag)) {
        (TagState::At(digest), Some(Verdict::Remove(Removed::Named))) => Some(digest),
        _ => None,
    });
    view.reachable(tagged.chain(named(view, decided)))
}

fn named<'a>(view: &'a RepositoryView, decided: &Decided) -> impl Iterator<Item = &'a Digest> {
    view.manifests.keys().filter(|digest| decided.named.contains(*digest))
}

/// What was read although nothing leads to it, and what is in Docker's first format: no verdict is about it, so it stays,
/// unless the store shows that it may go.
fn strays<'a>(
    view: &'a RepositoryView,
    referrers: &Referrers<'a>,
    decided: &Decided,
) -> impl Iterator<Item = &'a Digest> {
    let roots = view.tags_by_digest().into_keys().chain(named(view, decided));
    let led_to = with_referrers(view, referrers, roots, &BTreeSet::new());
    let is_stray =
        move |digest: &Digest| !led_to.contains(digest) && !decided.loose.may_go.contains_key(digest);
    view.read_manifests()
        .filter(move |(digest, manifest)| is_stray(digest) || manifest.kind == ManifestKind::Schema1)
        .map(|(digest, _)| digest)
}

/// The manifests to which no tag leads, be it as parts or by what they are about.
pub(super) fn untagged(view: &RepositoryView) -> impl Iterator<Item = &Digest> {
    let led_to = with_referrers(view, &referrers(view), view.tags_by_digest().into_keys(), &BTreeSet::new());
    view.read_manifests()
        .filter(move |(digest, manifest)| !led_to.contains(digest) && manifest.kind != ManifestKind::Schema1)
        .map(|(digest, _)| digest)
}

/// The manifests that nothing kept reaches: those whose tags all go, those that were named, of both the parts and what
/// refers to them, and those that no tag leads to and that may go.
pub(super) fn doomed<'a>(
    view: &'a RepositoryView,
    decided: &Decided,
    kept: &BTreeSet<&'a Digest>,
) -> BTreeMap<&'a Digest, Doom<'a>> {
    let may_go = |digest: &Digest| !kept.contains(digest) && view.manifest(digest).is_some();
    let mut doomed: BTreeMap<&Digest, Doom<'_>> = BTreeMap::new();
    for (tag, state) in &view.tags {
        if let (TagState::At(digest), Some(Verdict::Remove(_))) = (state, decided.verdicts.get(tag))
            && may_go(digest)
        {
            // Most have one tag, and room for no more.
            let doom =
                doomed.entry(digest).or_insert_with(|| Doom::new(Why::Untagged(Vec::with_capacity(1))));
            if let Why::Untagged(tags) = &mut doom.why {
                tags.push(tag.clone());
            }
        }
    }
    for digest in named(view, decided).filter(|digest| may_go(digest)) {
        doomed.insert(digest, Doom::new(Why::Named));
    }
    let referrers = referrers(view);
    let mut ahead: Vec<&Digest> = doomed.keys().copied().collect();
    while let Some(digest) = ahead.pop() {
        let parts = view.manifest(digest).into_iter().flat_map(Manifest::child_manifests);
        let parts = parts.filter_map(|part| view.manifests.get_key_value(&part.digest));
        let parts = parts.map(|(part, _)| (part, Why::PartOf(digest.clone())));
        let about = referrers.get(digest).into_iter().flatten();
        let about = about.map(|referrer| (*referrer, Why::GoesWith(digest.clone())));
        for (next, why) in parts.chain(about).filter(|(next, _)| may_go(next)) {
            if !doomed.contains_key(next) {
                doomed.insert(next, Doom::new(why));
                ahead.push(next);
            }
        }
    }
    for (digest, manifest) in view.read_manifests().filter(|(digest, _)| may_go(digest)) {
        if let Some(pushed) = decided.loose.may_go.get(digest) {
            let about = manifest.subject.as_ref().map(|subject| subject.digest.clone());
            doomed.entry(digest).or_insert_with(|| Doom::new(Why::Unneeded { about, pushed: *pushed }));
        }
    }
    rank(view, &mut doomed);
    doomed
}

/// Indexes before their parts, referrers and attachments before their subjects. Digests are made from content, so nothing
/// goes in circles; what could not be read may say so all the same, and the passes are counted.
fn rank<'a>(view: &'a RepositoryView, doomed: &mut BTreeMap<&'a Digest, Doom<'a>>) {
    let mut edges: Vec<(&'a Digest, &'a Digest)> = Vec::new();
    for digest in doomed.keys().copied() {
        let manifest = view.manifest(digest);
        let parts = manifest.into_iter().flat_map(|manifest| &manifest.children).map(AsRef::as_ref);
        let subject = manifest.and_then(|manifest| manifest.subject.as_deref());
        edges.extend(parts.chain(subject).map(|later| (digest, &later.digest)));
    }
    for (tag, state) in &view.tags {
        if let (TagState::At(digest), Some(subject)) = (state, tag.attachment_subject())
            && let Some((subject, _)) = doomed.get_key_value(&subject)
        {
            edges.push((digest, subject));
        }
    }
    edges.retain(|(first, later)| first != later && doomed.contains_key(first) && doomed.contains_key(later));
    for (first, later) in &edges {
        if let Some(doom) = doomed.get_mut(later) {
            doom.after.insert(first);
        }
    }
    for _ in 0..doomed.len() {
        let mut has_moved = false;
        for (first, later) in &edges {
            let least = doomed[first].rank + 1;
            if let Some(doom) = doomed.get_mut(later).filter(|doom| doom.rank < least) {
                doom.rank = least;
                has_moved = true;
            }
        }
        if !has_moved {
            return;
        }
    }
}

/// Attachments go with their subject: a tag `sha256-<hex>…` that is only kept for a manifest which goes, goes too.
pub(super) fn follow_subjects(view: &RepositoryView, decided: &mut Decided) {
    loop {
        let kept = kept(view, decided);
        let doomed = doomed(view, decided, &kept);
        let follow: Vec<(Tag, Digest)> = decided
            .verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Keep(Kept::AttachedTo { .. })))
            .filter_map(|(tag, _)| Some((tag.clone(), tag.attachment_subject()?)))
            .filter(|(_, subject)| doomed.contains_key(subject))
            .collect();
        if follow.is_empty() {
            return;
        }
        for (tag, subject) in follow {
            decided.verdicts.insert(tag, Verdict::Remove(Removed::GoesWith { subject }));
        }
    }
}
