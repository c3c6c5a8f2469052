//! What a person should know of a policy when it meets a registry: rules that are about nothing, that change nothing, or
//! that are about the same tags. Pure, and never a reason not to run: rules are keeps, so none of this removes more.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::rule::Coverage;
use super::{Policy, Rule, Verdict};
use crate::model::{Ordered, Repository, Snapshot, Tag};

/// Remarks with the place of the rule, in the order of the file. Rules from flags are not remarked on but for covering
/// nothing at all.
pub(crate) fn remarks(policy: &Policy, snapshot: &Snapshot, now: Timestamp) -> Vec<String> {
    let covered: Vec<BTreeSet<(&Repository, &Tag)>> =
        policy.rules.iter().map(|rule| covered(rule, snapshot)).collect();
    let removed = (policy.rules.len() > 1).then(|| removed(policy, snapshot, now));
    let mut remarks = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| rule.removes_tags()) {
        if covered[index].is_empty() {
            remarks.push(format!("{} matches no tag", shown(rule)));
            continue;
        }
        let Some(removed) = &removed else { continue };
        let without = Policy {
            rules: policy
                .rules
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .map(|(_, rule)| rule.clone())
                .collect(),
            protected: policy.protected.clone(),
            guards: policy.guards.clone(),
        };
        if self::removed(&without, snapshot, now) == *removed {
            remarks.push(format!(
                "{} changes nothing here: other rules and protections decide about all that it covers",
                shown(rule)
            ));
        }
        for (earlier, other) in policy.rules[..index].iter().enumerate() {
            let mut both = covered[index].intersection(&covered[earlier]);
            if let Some((repository, tag)) = both.next() {
                let more = both.count();
                let such_as = if more == 0 { String::new() } else { format!(" and {more} more") };
                remarks.push(format!(
                    "{} and {} are both about `{repository}:{tag}`{such_as}: a tag stays if either keeps it",
                    shown(other),
                    shown(rule)
                ));
            }
        }
    }
    remarks
}

fn shown(rule: &Rule) -> String {
    let name = rule.name.as_ref().map_or_else(|| "the rule".to_owned(), |name| format!("rule `{name}`"));
    rule.origin.map_or_else(|| name.clone(), |origin| format!("{name} ({origin})"))
}

fn covered<'a>(rule: &Rule, snapshot: &'a Snapshot) -> BTreeSet<(&'a Repository, &'a Tag)> {
    let tags = snapshot
        .read_repositories()
        .flat_map(|(repository, view)| view.tags.keys().map(move |tag| (repository, tag)));
    tags.filter(|(repository, tag)| matches!(rule.covers(repository, tag), Coverage::Covered)).into_set()
}

fn removed(policy: &Policy, snapshot: &Snapshot, now: Timestamp) -> BTreeSet<(Repository, Tag)> {
    let mut removed = BTreeSet::new();
    for (repository, view) in snapshot.read_repositories() {
        let verdicts = policy.judge(&snapshot.registry, repository, view, now);
        let gone = verdicts.into_iter().filter(|(_, verdict)| matches!(verdict, Verdict::Remove(_)));
        removed.extend(gone.map(|(tag, _)| (repository.clone(), tag)));
    }
    removed
}

#[cfg(test)]
mod tests;
