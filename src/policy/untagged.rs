//! What a policy says to manifests that no tag leads to: garbage, unless something keeps them. Rules choose among
//! versions, and these are none: of a rule only the repositories that it is about count. A pattern with a part for tags
//! says nothing about what has no tag.

use jiff::Timestamp;

use super::{DateOf, Kept, Policy, Rule};
use crate::model::{Digest, Repository, RepositoryView};

impl Policy {
    /// Whether manifests without a tag may go from this repository, as far as its name tells.
    pub(crate) fn covers_untagged(&self, repository: &Repository) -> bool {
        let excludes =
            |rule: &Rule| rule.selection.exclude.iter().any(|pattern| pattern.covers_whole(repository));
        self.rules.iter().any(|rule| rule.looks_at_all_of(repository)) && !self.rules.iter().any(excludes)
    }

    /// Why a manifest stays although no tag leads to it: `pushed` is when it was, and `now` is by the same clock.
    pub(crate) fn spares_untagged(
        &self,
        repository: &Repository,
        view: &RepositoryView,
        digest: &Digest,
        pushed: Timestamp,
        now: Timestamp,
    ) -> Option<Kept> {
        let protection = self.protected.holds_repository(repository);
        if let Some(by) = protection.or_else(|| self.protection_by_digest(view, digest)) {
            return Some(Kept::Protected { by });
        }
        if pushed > now {
            return Some(Kept::UnknownDate { rule: None, why: "it was pushed in the future".to_owned() });
        }
        let least = self.guards.min_age.age()?;
        (pushed >= least.before(now)).then_some(Kept::TooYoung { at: pushed, date: DateOf::Pushed, least })
    }
}

impl Rule {
    fn looks_at_all_of(&self, repository: &Repository) -> bool {
        let patterns = &self.selection.patterns;
        self.covers_repository(repository)
            && (patterns.is_empty() || patterns.iter().any(|pattern| pattern.covers_whole(repository)))
    }
}
