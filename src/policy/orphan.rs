//! What a policy says to an attachment whose subject is gone: garbage, unless something keeps it. Rules choose among
//! versions, and an attachment is none: of a rule only where it looks and what it excludes counts.

use jiff::Timestamp;

use super::{Kept, Policy, Rule};
use crate::model::{Digest, RegistryAddress, Repository, RepositoryView, Tag};
use crate::reference::Pattern;

impl Policy {
    /// Whether an attachment goes if its subject is gone, as far as names tell.
    pub(crate) fn may_be_orphan(&self, repository: &Repository, tag: &Tag) -> bool {
        self.keeps_by_name(repository, tag).is_none()
    }

    /// Why an attachment stays although its subject is gone.
    pub(crate) fn spares_orphan(
        &self,
        registry: &RegistryAddress,
        repository: &Repository,
        view: &RepositoryView,
        tag: &Tag,
        digest: &Digest,
        now: Timestamp,
    ) -> Option<Kept> {
        let protection = self.protection(registry, repository, view, tag, digest);
        let by_age = || self.spared_by_age(view, tag, &view.created_as(tag, digest, now), now);
        let by_name = || self.keeps_by_name(repository, tag);
        protection.map(|by| Kept::Protected { by }).or_else(by_name).or_else(by_age)
    }

    fn keeps_by_name(&self, repository: &Repository, tag: &Tag) -> Option<Kept> {
        if !self.rules.iter().any(|rule| rule.looks_at(repository, tag)) {
            return Some(Kept::NotCovered);
        }
        let excluded = self.rules.iter().find_map(|rule| rule.excludes(repository, tag));
        excluded.map(|pattern| Kept::Excluded { pattern: pattern.text().to_owned() })
    }
}

impl Rule {
    fn looks_at(&self, repository: &Repository, tag: &Tag) -> bool {
        let patterns = &self.selection.patterns;
        self.covers_repository(repository)
            && (patterns.is_empty() || patterns.iter().any(|pattern| pattern.covers(repository, tag)))
    }

    fn excludes(&self, repository: &Repository, tag: &Tag) -> Option<&Pattern> {
        self.selection.exclude.iter().find(|pattern| pattern.covers(repository, tag))
    }
}
