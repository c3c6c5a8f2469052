//! The policy of a `prune`: from flags, or from a file.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use crate::cli::{self, Prune};
use crate::config::Settings;
use crate::engine::{Services, Usage};
use crate::error::Failure;
use crate::policy::{Guards, Order, Policy, Rule, Selection, file};
use crate::ui::Ui;

/// Reads everything that the flags name. Nothing of it may be misread: a mistake is an error.
pub(super) fn of(prune: &Prune, settings: &Settings) -> anyhow::Result<Policy> {
    let rule = rule(prune)?;
    // A policy that the Docker config names is what `prune` without rules means there.
    let named = || {
        let name = settings.docker_config.plugin_setting("policy")?;
        (!rule.removes_tags()).then(|| settings.docker_config_directory.join(name))
    };
    let mut policy = match prune.policy.clone().or_else(named) {
        Some(path) => narrowed(from_file(&path)?, prune),
        None => Policy { rules: vec![rule], ..Policy::default() },
    };
    policy.protected.add_patterns(prune.protect.clone());
    guard(&mut policy.guards, &prune.guards);
    if let Some(list) = &prune.protect_from {
        policy.protected.add_listed(&read_list(list)?)?;
    }
    Ok(policy)
}

fn rule(prune: &Prune) -> Result<Rule, Failure> {
    let selection = Selection {
        patterns: prune.patterns.clone(),
        exclude: prune.exclude.clone(),
        ..Selection::default()
    };
    let mut rule = Rule {
        selection,
        order: prune.order.unwrap_or_default(),
        group: prune.group.clone(),
        keep: prune.keep,
        older_than: prune.older_than,
        date: prune.date.unwrap_or_default(),
        at_least: prune.at_least,
        at_most: prune.at_most,
        ..Rule::default()
    };
    for filter in prune.filter.clone() {
        filter.apply(&mut rule).map_err(Failure::command_line)?;
    }
    let is_said = rule.order != Order::default()
        || rule.group.is_some()
        || rule.at_least.is_some()
        || !rule.selection.labels.is_empty();
    if is_said && !rule.removes_tags() {
        return Err(Failure::command_line("the flags do not say what stays, so no tag would go")
            .hint("add `--keep N`, `--older-than AGE` or `--at-most N`"));
    }
    if prune.date.is_some() && rule.older_than.is_none() {
        return Err(Failure::command_line("`--date` says which date an age is about, and there is no age")
            .hint("add `--older-than AGE`"));
    }
    if let (Some(cap), Some(lower)) = (rule.at_most, rule.at_least.max(rule.keep))
        && lower > cap
    {
        return Err(Failure::command_line(format!(
            "`--at-most {cap}` is less than the {lower} that are to be kept"
        )));
    }
    Ok(rule)
}

fn from_file(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::command_line(format!("the policy `{}` cannot be read: {error}", path.display()))
    })?;
    file::parse(&text).map_err(|mistakes| {
        let list: String = mistakes
            .iter()
            .map(|mistake| format!("\n  {}:{}: {}", path.display(), mistake.at, mistake.what))
            .collect();
        Failure::command_line(format!("the policy has mistakes:{list}")).into()
    })
}

/// Patterns and exclusions on the command line narrow every rule of a file.
fn narrowed(mut policy: Policy, prune: &Prune) -> Policy {
    for rule in &mut policy.rules {
        rule.selection.patterns.extend(prune.patterns.iter().cloned());
        rule.selection.exclude.extend(prune.exclude.iter().cloned());
    }
    policy
}

/// What the command line says of the guards replaces what a file says.
fn guard(guards: &mut Guards, said: &cli::Guards) {
    guards.min_age = said.min_age.unwrap_or(guards.min_age);
    guards.max_delete = said.max_delete.unwrap_or(guards.max_delete);
    guards.allows_empty |= said.allow_empty;
    guards.includes_latest |= said.include_latest;
}

fn read_list(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read the list of `--protect-from` from standard input")?;
        return Ok(text);
    }
    Ok(std::fs::read_to_string(path).map_err(|error| {
        Failure::command_line(format!("the list `{}` cannot be read: {error}", path.display()))
    })?)
}

/// Adds what containers and services of the engine use.
pub(super) fn add_in_use(policy: &mut Policy, usage: Usage, ui: &Ui) -> anyhow::Result<()> {
    for image in &usage.images {
        policy.protected.add_in_use(&image.user, image.references());
    }
    match usage.services {
        Services::None | Services::Listed => {}
        Services::NotAManager => {
            ui.warn("this engine is a worker of its swarm: what the swarm's services use is not known here.");
        }
        Services::NotReady { state } => {
            return Err(Failure::refused(format!(
                "the engine's swarm is {state}: what its services use cannot be known"
            ))
            .hint("mend the swarm, or use `--no-gc` with another engine's context")
            .into());
        }
    }
    Ok(())
}
