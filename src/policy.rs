//! Which tags the rules keep and which they give up, each with its reason. Pure: the same repository, rules and moment
//! give the same verdicts. Tags are judged here; what that means for manifests is worked out in `plan`.
//!
//! Rules are keeps: a tag goes only if some rule covers it and none keeps it. What no rule covers stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;

use crate::model::{
    Created, Digest, ManifestKind, ManifestState, Ordered, RegistryAddress, Repository, RepositoryView,
    Source, Tag, TagState,
};
use crate::protect::{Protected, Protection};
use crate::reference::literal_repositories;

pub(crate) mod file;
mod filter;
mod guard;
mod orphan;
pub(crate) mod review;
mod rule;
mod untagged;
mod verdict;
mod version;

#[cfg(test)]
mod tests;

pub(crate) use filter::Filter;
pub(crate) use guard::{Guards, MaxDelete, MinAge};
pub(crate) use rule::{DateOf, Group, Matcher, Order, Rule, Selection};
pub(crate) use verdict::{Kept, Removed, Standing, Verdict};

use rule::Coverage;

/// What `prune` was asked to remove. Without a rule that removes tags no tag goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
    /// What stays whatever the rules say.
    pub(crate) protected: Protected,
    /// What rules may not do, whatever they say.
    pub(crate) guards: Guards,
}

impl Policy {
    /// Whether any tag can go at all.
    pub(crate) fn removes_tags(&self) -> bool {
        self.rules.iter().any(Rule::removes_tags)
    }

    /// Whether a tag's config matters, for its date or its labels.
    pub(crate) fn needs_facts(&self, repository: &Repository, tag: &Tag) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.removes_tags() && rule.needs_facts());
        rules.any(|rule| matches!(rule.covers(repository, tag), Coverage::Covered))
    }

    /// Whether any rule asks for this label.
    pub(crate) fn names_label(&self, label: &str) -> bool {
        self.rules.iter().flat_map(|rule| &rule.selection.labels).any(|filter| filter.is_about(label))
    }

    /// Whether any rule is about this repository.
    pub(crate) fn covers_repository(&self, repository: &Repository) -> bool {
        self.rules.iter().any(|rule| rule.covers_repository(repository))
    }

    /// The repositories that the rules are about, if all of them name theirs without a glob.
    pub(crate) fn literal_repositories(&self) -> Option<BTreeSet<Repository>> {
        let sets: Option<Vec<_>> =
            self.rules.iter().map(|rule| literal_repositories(&rule.selection.patterns)).collect();
        let names: BTreeSet<Repository> = sets?.into_iter().flatten().into_set();
        (!names.is_empty()).then_some(names)
    }

    /// The verdict on every tag of one repository.
    pub(crate) fn judge(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        view: &RepositoryView,
        now: Timestamp,
    ) -> BTreeMap<Tag, Verdict> {
        let mut verdicts: BTreeMap<Tag, Verdict> = BTreeMap::new();
        let mut candidates: Vec<Candidate> = Vec::new();
        for (tag, state) in &view.tags {
            match self.without_rules(registry, repository, view, tag, state) {
                Ok(kept) => {
                    verdicts.insert(tag.clone(), Verdict::Keep(kept));
                }
                Err(digest) => {
                    candidates.push(Candidate { tag, digest, created: view.created_as(tag, digest, now) });
                }
            }
        }
        for rule in self.rules.iter().filter(|rule| rule.removes_tags()) {
            for (tag, verdict) in judge_by(rule, repository, view, &candidates, now) {
                let replaces = match verdicts.get(&tag) {
                    Some(Verdict::Keep(Kept::Excluded { .. })) | None => true,
                    // Keep wins; of two rules that give a tag up the first one says why.
                    Some(Verdict::Remove(_)) => is_keep_of_a_rule(&verdict),
                    Some(Verdict::Keep(_)) => false,
                };
                if replaces {
                    verdicts.insert(tag, verdict);
                }
            }
        }
        for candidate in &candidates {
            if let Some(Verdict::Remove(_)) = verdicts.get(candidate.tag)
                && let Some(kept) = self.spared_by_age(view, candidate.tag, &candidate.created, now)
            {
                verdicts.insert(candidate.tag.clone(), Verdict::Keep(kept));
            }
            verdicts.entry(candidate.tag.clone()).or_insert(Verdict::Keep(Kept::NotCovered));
        }
        verdicts
    }

    /// Who needs the tag, or anything that it consists of: an engine may run one platform of an index, and knows an image
    /// that lost its name by the digest of its config.
    fn protection(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        view: &RepositoryView,
        tag: &Tag,
        digest: &Digest,
    ) -> Option<Protection> {
        self.protected
            .holds(registry, repository, tag, digest)
            .or_else(|| self.protection_by_digest(view, digest))
    }

    /// Who needs the manifest, or anything that it consists of, whatever its name.
    fn protection_by_digest(&self, view: &RepositoryView, digest: &Digest) -> Option<Protection> {
        view.reachable([digest]).into_iter().find_map(|reached| {
            let config = view.manifest(reached).and_then(|manifest| manifest.config.as_ref());
            let by_config = || self.protected.holds_digest(&config?.digest);
            self.protected.holds_digest(reached).or_else(by_config)
        })
    }

    /// The tags that stay only because it is not known whether they are old enough, for want of a config that nobody
    /// has read.
    pub(crate) fn undated(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        view: &RepositoryView,
        now: Timestamp,
    ) -> BTreeSet<Tag> {
        let verdicts = self.judge(registry, repository, view, now).into_iter();
        let undated =
            verdicts.filter(|(_, verdict)| matches!(verdict, Verdict::Keep(Kept::UnknownAge { .. })));
        undated.map(|(tag, _)| tag).into_set()
    }

    /// Why a tag that is given up stays nevertheless: it is too young, or may be. The time of the push counts; where
    /// it is not known, that of the image's making, which was before.
    fn spared_by_age(
        &self,
        view: &RepositoryView,
        tag: &Tag,
        created: &Created,
        now: Timestamp,
    ) -> Option<Kept> {
        let least = self.guards.min_age.age()?;
        let (at, date) = match (view.pushed.get(tag), created) {
            (Some(at), _) => (*at, DateOf::Pushed),
            (None, Created::Known { at, .. }) => (*at, DateOf::Created),
            (None, Created::Unknown { why }) => return Some(Kept::UnknownAge { why: why.clone(), least }),
        };
        (at >= least.before(now)).then_some(Kept::TooYoung { at, date, least })
    }

    /// The verdict where no rule has a say, else the digest of the tag's manifest.
    fn without_rules<'a>(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        view: &RepositoryView,
        tag: &Tag,
        state: &'a TagState,
    ) -> Result<Kept, &'a Digest> {
        let digest = match state {
            TagState::At(digest) => digest,
            TagState::Dangling => {
                return Ok(Kept::Unreadable { why: "the registry has no manifest for it".to_owned() });
            }
            TagState::Unreadable(why) => return Ok(Kept::Unreadable { why: why.clone() }),
        };
        let attached_to = tag.attachment_subject();
        if attached_to.is_none() && !self.removes_tags() {
            return Ok(Kept::NoRules);
        }
        if let Some(protection) = self.protection(registry, repository, view, tag, digest) {
            return Ok(Kept::Protected { by: protection });
        }
        if tag.as_str() == LATEST && !self.guards.includes_latest {
            return Ok(Kept::Protected { by: Protection::Latest });
        }
        if let Some(subject) = attached_to {
            return Ok(Kept::AttachedTo { subject });
        }
        match view.manifests.get(digest) {
            Some(ManifestState::Read(manifest)) if manifest.kind == ManifestKind::Schema1 => {
                Ok(Kept::Schema1)
            }
            Some(ManifestState::Read(_)) => Err(digest),
            Some(ManifestState::Unreadable(why)) => Ok(Kept::Unreadable { why: why.clone() }),
            Some(ManifestState::Absent) | None => {
                Ok(Kept::Unreadable { why: "its manifest was not found".to_owned() })
            }
        }
    }
}

/// What is pulled where no tag is said.
const LATEST: &str = "latest";

/// An exclusion only takes a tag out of one rule: another may still give it up.
fn is_keep_of_a_rule(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Keep(kept) if !matches!(kept, Kept::Excluded { .. }))
}

/// A tag on which rules have a say.
struct Candidate<'a> {
    tag: &'a Tag,
    digest: &'a Digest,
    created: Created,
}

/// By what a tag is compared with the others of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Time(Timestamp),
    Version(Version),
    Name,
}

/// What one rule says to each tag that it covers.
fn judge_by(
    rule: &Rule,
    repository: &Repository,
    view: &RepositoryView,
    candidates: &[Candidate<'_>],
    now: Timestamp,
) -> Vec<(Tag, Verdict)> {
    let mut verdicts = Vec::new();
    let mut groups: BTreeMap<Option<String>, Vec<(Key, &Candidate)>> = BTreeMap::new();
    for candidate in candidates {
        match rule.covers(repository, candidate.tag) {
            Coverage::NotCovered => continue,
            Coverage::Excluded(pattern) => {
                verdicts.push((
                    candidate.tag.clone(),
                    Verdict::Keep(Kept::Excluded { pattern: pattern.text().to_owned() }),
                ));
                continue;
            }
            Coverage::Covered => {}
        }
        match fits_labels(rule, view, candidate.digest) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                verdicts.push((candidate.tag.clone(), Verdict::Keep(Kept::Unreadable { why })));
                continue;
            }
        }
        match key(rule, view, candidate) {
            Ok(key) => {
                let group = rule.group.as_ref().and_then(|group| group.of(candidate.tag));
                groups.entry(group).or_default().push((key, candidate));
            }
            Err(kept) => verdicts.push((candidate.tag.clone(), Verdict::Keep(kept))),
        }
    }
    for (group, mut members) in groups {
        members.sort_by(|(one, this), (other, that)| newest_first(one, this.tag, other, that.tag));
        let group: Option<Arc<str>> = group.map(Arc::from);
        for (rank, (_, candidate)) in (1..).zip(members) {
            let standing =
                Standing { rule: rule.name.clone(), group: group.clone(), rank, order: rule.order };
            verdicts.push((candidate.tag.clone(), by_standing(rule, view, candidate, standing, now)));
        }
    }
    verdicts
}

/// Whether every label filter fits; an index fits if all its parts do. Unknown labels fit nothing.
fn fits_labels(rule: &Rule, view: &RepositoryView, digest: &Digest) -> Result<bool, String> {
    let filters = &rule.selection.labels;
    if filters.is_empty() {
        return Ok(true);
    }
    let labels = view.labels(digest)?;
    Ok(labels.iter().all(|labels| filters.iter().all(|filter| filter.fits(labels))))
}

fn key(rule: &Rule, view: &RepositoryView, candidate: &Candidate<'_>) -> Result<Key, Kept> {
    match rule.order {
        Order::Created => date(rule, view, candidate, DateOf::Created).map(|(at, _)| Key::Time(at)),
        Order::Pushed => date(rule, view, candidate, DateOf::Pushed).map(|(at, _)| Key::Time(at)),
        Order::Semver => version::parse(candidate.tag.as_str())
            .map(Key::Version)
            .ok_or(Kept::NoVersion { rule: rule.name.clone() }),
        Order::Name => Ok(Key::Name),
    }
}

/// The date that counts, and which one it is: that of a chart can be the one of its push.
fn date(
    rule: &Rule,
    view: &RepositoryView,
    candidate: &Candidate<'_>,
    date: DateOf,
) -> Result<(Timestamp, DateOf), Kept> {
    let unknown = |why: String| Kept::UnknownDate { rule: rule.name.clone(), why };
    match date {
        DateOf::Created => match &candidate.created {
            Created::Known { at, from: Source::Push } => Ok((*at, DateOf::Pushed)),
            Created::Known { at, .. } => Ok((*at, DateOf::Created)),
            Created::Unknown { why } => Err(unknown(why.clone())),
        },
        DateOf::Pushed => view.pushed.get(candidate.tag).map(|at| (*at, DateOf::Pushed)).ok_or_else(|| {
            unknown("when it was pushed is known only where the registry's store can be read".to_owned())
        }),
    }
}

/// Of two tags that are equally new the one whose name sorts last counts as the newer.
fn newest_first(one: &Key, this: &Tag, other: &Key, that: &Tag) -> Ordering {
    let by_key = match (one, other) {
        (Key::Time(one), Key::Time(other)) => other.cmp(one),
        (Key::Version(one), Key::Version(other)) => other.cmp_precedence(one),
        _ => Ordering::Equal,
    };
    by_key.then_with(|| version::natural(that.as_str(), this.as_str()))
}

fn by_standing(
    rule: &Rule,
    view: &RepositoryView,
    candidate: &Candidate<'_>,
    standing: Standing,
    now: Timestamp,
) -> Verdict {
    let is_within = |limit: Option<u32>| limit.is_some_and(|limit| standing.rank <= limit);
    if let Some(floor) = rule.at_least
        && is_within(rule.at_least)
    {
        return Verdict::Keep(Kept::AtLeast { standing, floor });
    }
    let at = match rule.older_than.map(|_| date(rule, view, candidate, rule.date)) {
        None => None,
        Some(Ok(at)) => Some(at),
        Some(Err(kept)) => return Verdict::Keep(kept),
    };
    let is_below_cap = rule.at_most.is_none() || is_within(rule.at_most);
    // A cap alone keeps what is below it.
    let newest = rule.keep.or(rule.at_most.filter(|_| rule.older_than.is_none()));
    if let Some(keep) = newest
        && is_below_cap
        && is_within(newest)
    {
        return Verdict::Keep(Kept::NewestOf { standing, keep });
    }
    if let (Some(age), Some((at, date))) = (rule.older_than, at)
        && is_below_cap
        && at >= age.before(now)
    {
        return Verdict::Keep(Kept::Younger { standing, at, date, age });
    }
    let dated = at.or_else(|| match rule.order {
        Order::Created => date(rule, view, candidate, DateOf::Created).ok(),
        Order::Pushed => date(rule, view, candidate, DateOf::Pushed).ok(),
        Order::Semver | Order::Name => None,
    });
    let keep = if is_below_cap { newest } else { rule.at_most };
    let older_than = rule.older_than.filter(|_| is_below_cap);
    Verdict::Remove(Removed::NoRuleKeeps { standing, at: dated, keep, older_than })
}
