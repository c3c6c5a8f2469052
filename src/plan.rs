//! Turns a snapshot and a request into the steps that carry it out. Pure: no clock, no network, nothing printed.
//!
//! Verdicts are given per tag (`policy` for rules, `named` for what a person named). Here the digest graph says what
//! they mean: a manifest goes when no kept tag reaches it; a tag whose manifest stays is taken off it alone; the
//! children of a removed index go unless something kept needs them. Every plan is checked again by `audit`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::age::Age;
use crate::error::Failure;
use crate::model::{
    ByteSize, Digest, Holdings, MediaType, Ordered, RegistryAddress, Repository, RepositoryState,
    RepositoryView, Snapshot, StoreView, Tag, TagState,
};
use crate::policy::{MinAge, Policy, Verdict};

use crate::reference::Reference;

mod audit;
mod decided;
mod graph;
pub(crate) mod limit;
mod loose;
mod named;
mod orphans;
pub(crate) mod placeholder;
mod space;
mod stranded;
#[cfg(test)]
mod tests;

use decided::{Decided, decide};
pub(crate) use named::is_absent;
pub(crate) use space::{Estimate, Left};

/// What a command asks for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Prune(Policy),
    Remove(Vec<Reference>),
    /// Nothing is removed; the garbage is collected.
    Collect,
}

/// Everything a run will do, decided. Only [`make`] builds one, and only after the audit.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) registry: RegistryAddress,
    /// In the order of their names.
    pub(crate) repositories: Vec<RepositoryPlan>,
    /// Repositories that could not be listed, and why: they are left alone.
    pub(crate) unreadable: Vec<(Repository, String)>,
    /// What must be whole afterwards.
    pub(crate) kept: Arc<Holdings>,
    /// What a collection gives back afterwards.
    pub(crate) estimate: Estimate,
    /// The least age of a manifest without a tag that goes; `None`: none goes.
    pub(crate) untagged: Option<MinAge>,
    /// Why nothing may be collected: what could not be read might need what looks like garbage.
    pub(crate) blockers: Vec<String>,
    /// Keeps any other module from building one.
    _sealed: (),
}

#[derive(Debug, Clone)]
pub(crate) struct RepositoryPlan {
    pub(crate) repository: Repository,
    /// In the order of their names.
    pub(crate) tags: Vec<TagDecision>,
    /// In the order of their digests.
    pub(crate) manifests: Vec<ManifestRemoval>,
    /// Manifests that stay and lose a tag.
    pub(crate) untagged: Vec<Untagged>,
    /// Steps of one rank may run together; a rank begins when the one before has ended.
    pub(crate) ranks: Vec<Vec<Step>>,
    /// Bytes that come back from this repository alone: what no kept manifest of the snapshot needs.
    pub(crate) freed: ByteSize,
    /// How many manifests without a tag stay for themselves, by reason.
    pub(crate) spared: BTreeMap<String, usize>,
    /// The manifests that the store showed and nobody read; `None` where the store was not seen. What else there is came
    /// later.
    pub(crate) unread: Option<BTreeSet<Digest>>,
}

#[derive(Debug, Clone)]
pub(crate) struct TagDecision {
    pub(crate) tag: Tag,
    pub(crate) digest: Option<Digest>,
    pub(crate) verdict: Verdict,
}

/// A manifest that goes.
#[derive(Debug, Clone)]
pub(crate) struct ManifestRemoval {
    pub(crate) digest: Digest,
    pub(crate) why: Why,
    pub(crate) media_type: MediaType,
    /// Its config and layers, but for those of removals before it: garbage afterwards, unless something kept needs them.
    pub(crate) blobs: Box<[Digest]>,
}

/// A manifest that stays when a tag leaves it.
#[derive(Debug, Clone)]
pub(crate) struct Untagged {
    pub(crate) digest: Digest,
    pub(crate) media_type: MediaType,
}

/// Why a manifest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// All its tags go.
    Untagged(Vec<Tag>),
    Named,
    /// It was needed by a removed index only.
    PartOf(Digest),
    /// It refers to this manifest, which goes.
    GoesWith(Digest),
    /// No tag leads to it, and nothing that stays needs it; what it is about is gone, or goes.
    Unneeded {
        about: Option<Digest>,
        pushed: Timestamp,
    },
}

/// One change to the registry, with what must still be true when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Takes one tag off its manifest by name (3.x).
    DeleteTag { tag: Tag, expects: Option<Digest> },
    /// Takes tags off their manifests, which stay (2.x): each is moved to one placeholder, which is then deleted.
    Untag { tags: Vec<(Tag, Option<Digest>)>, placeholder: placeholder::Placeholder },
    /// Deletes a manifest with all its tags. `expects` are the only tags that may be on it, in order, `after` are the manifests of
    /// this plan that need it or are about it: it goes only when they are gone.
    DeleteManifest { digest: Digest, expects: Box<[Tag]>, after: BTreeSet<Digest> },
}

/// Makes the plan and has it audited.
pub(crate) fn make(snapshot: &Snapshot, request: &Request, now: Timestamp) -> Result<Plan, Failure> {
    if let Request::Remove(references) = request {
        named::check(snapshot, references)?;
    }
    let subjects = orphans::Subjects::of(snapshot);
    let mut repositories = Vec::new();
    let mut unreadable = Vec::new();
    for (repository, state) in &snapshot.repositories {
        match state {
            RepositoryState::Read(view) => {
                let decided = decide(snapshot, subjects.as_ref(), request, repository, view, now);
                repositories.push(plan_repository(snapshot, repository, view, decided, now)?);
            }
            RepositoryState::Unreadable(why) => unreadable.push((repository.clone(), why.clone())),
        }
    }
    let plan = assemble(snapshot, request, repositories, unreadable);
    audit::check(&plan, snapshot).map_err(|faults| {
        Failure::refused(format!("the plan failed its own check, so nothing was done: {}", faults.join("; ")))
            .hint("this is a defect of this tool: please report it with the output of `docker registry ls --format json`")
    })?;
    Ok(plan)
}

fn assemble(
    snapshot: &Snapshot,
    request: &Request,
    mut repositories: Vec<RepositoryPlan>,
    unreadable: Vec<(Repository, String)>,
) -> Plan {
    let going = Going::new(&repositories);
    let (estimate, freed) = space::count(snapshot, &repositories, &going);
    let kept = Holdings::without(
        snapshot,
        |repository, tag| going.tag(repository, tag),
        |repository, digest| going.manifest(repository, digest),
    );
    let blockers = snapshot.unread(|repository, tag| going.tag(repository, tag));
    for (plan, freed) in repositories.iter_mut().zip(freed) {
        plan.freed = freed;
    }
    Plan {
        registry: snapshot.registry.clone(),
        estimate,
        untagged: match request {
            Request::Prune(policy) => snapshot.store.as_ref().map(|_| policy.guards.min_age),
            Request::Remove(_) | Request::Collect => None,
        },
        kept: Arc::new(kept),
        unreadable,
        blockers,
        repositories,
        _sealed: (),
    }
}

/// The tags and manifests that go, for quick questions.
struct Going<'a>(BTreeMap<&'a Repository, &'a RepositoryPlan>);

impl<'a> Going<'a> {
    fn new(repositories: &'a [RepositoryPlan]) -> Self {
        Self(repositories.iter().map(|plan| (&plan.repository, plan)).into_map())
    }

    fn tag(&self, repository: &Repository, tag: &Tag) -> bool {
        self.0.get(repository).is_some_and(|plan| plan.removes_tag(tag))
    }

    fn manifest(&self, repository: &Repository, digest: &Digest) -> bool {
        self.0.get(repository).is_some_and(|plan| plan.removes(digest))
    }
}

fn plan_repository(
    snapshot: &Snapshot,
    repository: &Repository,
    view: &RepositoryView,
    decided: Decided,
    now: Timestamp,
) -> Result<RepositoryPlan, Failure> {
    let kept = graph::kept(view, &decided);
    if let Some(digest) = decided.named.iter().find(|digest| kept.contains(digest)) {
        return Err(named::needed(view, repository, digest, &decided.verdicts));
    }
    let doomed = graph::doomed(view, &decided, &kept);
    let mut ranks = Vec::new();
    let lone: Vec<(Tag, Option<Digest>)> = decided
        .verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Remove(_)))
        .filter_map(|(tag, _)| match view.tags.get(tag)? {
            TagState::At(digest) if doomed.contains_key(digest) => None,
            TagState::At(digest) => Some((tag.clone(), Some(digest.clone()))),
            TagState::Dangling => Some((tag.clone(), None)),
            TagState::Unreadable(_) => None,
        })
        .collect();
    let untagged = untagged(view, &lone);
    if !lone.is_empty() {
        ranks.push(untag(lone, snapshot, repository, now));
    }
    let tags = view.tags_by_digest();
    let tags_at = |digest| tags.get(digest).into_iter().flatten().map(|&tag| tag.clone()).collect();
    let depth = doomed.values().map(|doom| doom.rank).max();
    for rank in 0..depth.map_or(0, |deepest| deepest + 1) {
        let steps = doomed.iter().filter(|(_, doom)| doom.rank == rank);
        ranks.push(
            steps
                .map(|(digest, doom)| Step::DeleteManifest {
                    digest: (*digest).clone(),
                    expects: tags_at(digest),
                    after: doom.after.iter().map(|&first| first.clone()).collect(),
                })
                .collect(),
        );
    }
    let mut listed = BTreeSet::new();
    let manifests = doomed
        .into_iter()
        .filter_map(|(digest, doom)| {
            let manifest = view.manifest(digest)?;
            Some(ManifestRemoval {
                digest: digest.clone(),
                why: doom.why,
                media_type: manifest.media_type.clone(),
                blobs: manifest
                    .blobs()
                    .filter(|blob| listed.insert(&blob.digest))
                    .map(|blob| blob.digest.clone())
                    .collect(),
            })
        })
        .collect();
    let tags = decided
        .verdicts
        .into_iter()
        .map(|(tag, verdict)| TagDecision {
            digest: match view.tags.get(&tag) {
                Some(TagState::At(digest)) => Some(digest.clone()),
                _ => None,
            },
            tag,
            verdict,
        })
        .collect();
    Ok(RepositoryPlan {
        repository: repository.clone(),
        tags,
        manifests,
        untagged,
        ranks,
        freed: ByteSize(0),
        spared: decided.loose.spared,
        unread: loose::unread(snapshot, repository, view),
    })
}

fn untagged(view: &RepositoryView, lone: &[(Tag, Option<Digest>)]) -> Vec<Untagged> {
    let digests: BTreeSet<&Digest> = lone.iter().filter_map(|(_, digest)| digest.as_ref()).collect();
    let manifests = digests.into_iter().filter_map(|digest| view.manifest(digest));
    manifests
        .map(|manifest| Untagged { digest: manifest.digest.clone(), media_type: manifest.media_type.clone() })
        .collect()
}

fn untag(
    tags: Vec<(Tag, Option<Digest>)>,
    snapshot: &Snapshot,
    repository: &Repository,
    now: Timestamp,
) -> Vec<Step> {
    if snapshot.deletes_tags_by_name {
        tags.into_iter().map(|(tag, expects)| Step::DeleteTag { tag, expects }).collect()
    } else {
        let names = tags.iter().map(|(tag, _)| tag);
        let placeholder = placeholder::Placeholder::new(&snapshot.registry, repository, names, now);
        vec![Step::Untag { tags, placeholder }]
    }
}

impl Plan {
    /// Whether any step changes the registry's tags or manifests.
    pub(crate) fn has_steps(&self) -> bool {
        self.repositories.iter().any(|plan| !plan.ranks.is_empty())
    }

    /// The first repository that the plan changes.
    pub(crate) fn first_changed(&self) -> Option<&Repository> {
        let mut changed = self.repositories.iter().filter(|plan| !plan.ranks.is_empty());
        changed.next().map(|plan| &plan.repository)
    }

    /// Whether a tag leaves a manifest that stays.
    pub(crate) fn has_lone_tags(&self) -> bool {
        let mut steps = self.repositories.iter().flat_map(|plan| plan.ranks.iter().flatten());
        steps.any(|step| !matches!(step, Step::DeleteManifest { .. }))
    }

    pub(crate) fn removed_tag_count(&self) -> usize {
        self.repositories.iter().map(|plan| plan.removed_tags().count()).sum()
    }

    pub(crate) fn kept_tag_count(&self) -> usize {
        self.repositories.iter().map(|plan| plan.kept_tags().count()).sum()
    }

    pub(crate) fn removed_manifest_count(&self) -> usize {
        self.repositories.iter().map(|plan| plan.manifests.len()).sum()
    }

    /// Of the manifests that go: those that no tag led to.
    pub(crate) fn removed_untagged_count(&self) -> usize {
        self.repositories.iter().map(|plan| plan.removed_untagged().count()).sum()
    }

    /// Counts the uploads that a collection takes along, and the repositories that it leaves empty.
    pub(crate) fn count_uploads(&mut self, store: &StoreView, older_than: Age) {
        space::count_uploads(&mut self.estimate, store, older_than);
    }
}

impl RepositoryPlan {
    fn removes_tag(&self, tag: &Tag) -> bool {
        let found = self.tags.binary_search_by(|decision| decision.tag.cmp(tag));
        found.is_ok_and(|at| matches!(self.tags[at].verdict, Verdict::Remove(_)))
    }

    fn removes(&self, digest: &Digest) -> bool {
        self.manifests.binary_search_by(|removal| removal.digest.cmp(digest)).is_ok()
    }

    pub(crate) fn removed_tags(&self) -> impl Iterator<Item = &TagDecision> {
        self.tags.iter().filter(|decision| matches!(decision.verdict, Verdict::Remove(_)))
    }

    pub(crate) fn kept_tags(&self) -> impl Iterator<Item = &TagDecision> {
        self.tags.iter().filter(|decision| matches!(decision.verdict, Verdict::Keep(_)))
    }

    /// The manifests that go although no tag was on anything that led to them.
    pub(crate) fn removed_untagged(&self) -> impl Iterator<Item = &ManifestRemoval> {
        self.manifests.iter().filter(|removal| matches!(removal.why, Why::Unneeded { .. }))
    }

    /// The digests whose content nothing in this repository needs any more.
    pub(crate) fn dead(&self) -> impl Iterator<Item = &Digest> {
        self.manifests.iter().flat_map(|removal| removal.blobs.iter().chain([&removal.digest]))
    }
}
