//! Whether a plan removes more than a person expects of rules: a typing error in a pattern must not empty a registry.
//! Signatures and other attachments are no versions, and do not count.

use super::{Plan, RepositoryPlan, TagDecision};
use crate::error::Failure;
use crate::model::{Repository, Tag};
use crate::policy::{Guards, Removed, Verdict};

/// The tags of a registry that count.
pub(crate) fn versions_among<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> usize {
    tags.into_iter().filter(|tag| tag.attachment_subject().is_none()).count()
}

/// Why the plan goes too far under `guards`, and what allows it. `elsewhere` are the tags of repositories that it is
/// not about.
pub(crate) fn exceeded(plan: &Plan, guards: &Guards, elsewhere: usize) -> Option<Failure> {
    let all = elsewhere + plan.repositories.iter().flat_map(versions).count();
    let removed = plan.repositories.iter().flat_map(versions).filter(|tag| is_given_up(tag)).count();
    if !guards.max_delete.allows(removed, all) {
        let share = (removed * 100).div_ceil(all.max(1));
        return Some(
            Failure::refused(format!(
                "the rules would remove {removed} of {all} tags ({share}%), and no more than {} may go at one time",
                guards.max_delete
            ))
            .hint(format!("look at them with `--dry-run -v`; `--max-delete {share}%` allows it")),
        );
    }
    if guards.allows_empty || guards.max_delete.is_everything() {
        return None;
    }
    let emptied: Vec<&Repository> =
        plan.repositories.iter().filter(|plan| is_emptied(plan)).map(|plan| &plan.repository).collect();
    let (first, more) = emptied.split_first()?;
    let and_more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    Some(
        Failure::refused(format!("the rules would leave `{first}`{and_more} without any tag"))
            .hint("`--at-least 1` keeps the newest of each; `--allow-empty` lets all of them go"),
    )
}

fn versions(plan: &RepositoryPlan) -> impl Iterator<Item = &TagDecision> {
    plan.tags.iter().filter(|decision| decision.tag.attachment_subject().is_none())
}

fn is_given_up(decision: &TagDecision) -> bool {
    matches!(decision.verdict, Verdict::Remove(Removed::NoRuleKeeps { .. }))
}

fn is_emptied(plan: &RepositoryPlan) -> bool {
    versions(plan).any(is_given_up) && versions(plan).all(|tag| matches!(tag.verdict, Verdict::Remove(_)))
}
