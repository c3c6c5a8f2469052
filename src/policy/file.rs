//! The policy file: TOML, read with the place of every mistake, and written so that flags can become a file.

use std::fmt::Write as _;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::rule::{DateOf, Order, Origin, Rule, Selection};
use super::{Guards, MaxDelete, Policy};
use crate::protect::Protected;
use crate::reference::Pattern;

/// A mistake in a policy file: `line:column: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: Origin,
    pub(crate) what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WireFile {
    #[serde(default)]
    protect: Vec<Spanned<String>>,
    min_age: Option<Spanned<String>>,
    max_delete: Option<Spanned<CountOrShare>>,
    #[serde(default)]
    allow_empty: bool,
    #[serde(default)]
    include_latest: bool,
    #[serde(default)]
    rule: Vec<Spanned<WireRule>>,
}

/// `500` or `"30%"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum CountOrShare {
    Count(i64),
    Share(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WireRule {
    name: Option<Spanned<String>>,
    #[serde(default)]
    patterns: Vec<Spanned<String>>,
    #[serde(default)]
    repositories: Vec<Spanned<String>>,
    #[serde(default)]
    tags: Vec<Spanned<String>>,
    #[serde(default)]
    exclude: Vec<Spanned<String>>,
    #[serde(default)]
    labels: Vec<Spanned<String>>,
    order: Option<Spanned<String>>,
    group: Option<Spanned<String>>,
    keep: Option<Spanned<i64>>,
    older_than: Option<Spanned<String>>,
    date: Option<Spanned<String>>,
    at_least: Option<Spanned<i64>>,
    at_most: Option<Spanned<i64>>,
}

/// Reads a policy; every mistake is told at once, those of TOML itself one by one.
pub(crate) fn parse(text: &str) -> Result<Policy, Vec<Mistake>> {
    let file: WireFile = toml::from_str(text).map_err(|error| {
        let at = place(text, error.span().unwrap_or_default());
        vec![Mistake { at, what: error.message().to_owned() }]
    })?;
    let mut reader = Reader { text, mistakes: Vec::new() };
    let protect = reader.patterns(&file.protect);
    let guards = reader.guards(&file);
    let mut rules: Vec<Rule> = Vec::new();
    for (number, wire) in file.rule.iter().enumerate() {
        let mut rule = reader.rule(wire);
        // The only rule needs no name to be told from others.
        if rule.name.is_none() && file.rule.len() > 1 {
            rule.name = Some((number + 1).to_string().into());
        }
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            let what = format!("there is another rule `{}`", rule.name.as_deref().unwrap_or_default());
            reader.mistake(wire.get_ref().name.as_ref().map_or(wire.span(), Spanned::span), what);
        }
        rules.push(rule);
    }
    if reader.mistakes.is_empty() {
        Ok(Policy { rules, protected: Protected::new(protect), guards })
    } else {
        reader.mistakes.sort_by_key(|mistake| (mistake.at.line, mistake.at.column));
        Err(reader.mistakes)
    }
}

struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, span: Range<usize>, what: String) {
        self.mistakes.push(Mistake { at: place(self.text, span), what });
    }

    fn one<T: FromStr<Err: std::fmt::Display>>(&mut self, value: Option<&Spanned<String>>) -> Option<T> {
        let value = value?;
        match value.get_ref().parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.mistake(value.span(), error.to_string());
                None
            }
        }
    }

    fn several<T: FromStr<Err: std::fmt::Display>>(&mut self, values: &[Spanned<String>]) -> Vec<T> {
        values.iter().filter_map(|value| self.one(Some(value))).collect()
    }

    /// Patterns here are about any registry: the one that is pruned is chosen elsewhere.
    fn patterns(&mut self, values: &[Spanned<String>]) -> Vec<Pattern> {
        for value in values {
            if value.get_ref().parse::<Pattern>().is_ok_and(|pattern| pattern.registry.is_some()) {
                self.mistake(value.span(), "a policy names no registry: leave the host out".to_owned());
            }
        }
        self.several(values)
    }

    fn guards(&mut self, file: &WireFile) -> Guards {
        let max_delete = file.max_delete.as_ref().map(|value| {
            let text = match value.get_ref() {
                CountOrShare::Count(count) => count.to_string(),
                CountOrShare::Share(text) => text.clone(),
            };
            Spanned::new(value.span(), text)
        });
        Guards {
            min_age: self.one(file.min_age.as_ref()).unwrap_or_default(),
            max_delete: self.one(max_delete.as_ref()).unwrap_or_default(),
            allows_empty: file.allow_empty,
            includes_latest: file.include_latest,
        }
    }

    fn count(&mut self, value: Option<&Spanned<i64>>) -> Option<u32> {
        let value = value?;
        match u32::try_from(*value.get_ref()) {
            Ok(count) if count > 0 => Some(count),
            _ => {
                self.mistake(
                    value.span(),
                    format!("{} is no number of tags: write 1 or more", value.get_ref()),
                );
                None
            }
        }
    }

    fn rule(&mut self, wire: &Spanned<WireRule>) -> Rule {
        let (at, whole) = (place(self.text, wire.span()), wire.span());
        let wire = wire.get_ref();
        let rule = Rule {
            name: wire.name.as_ref().map(|name| name.get_ref().as_str().into()),
            origin: Some(at),
            selection: Selection {
                patterns: self.patterns(&wire.patterns),
                repositories: self.several(&wire.repositories),
                tags: self.several(&wire.tags),
                exclude: self.patterns(&wire.exclude),
                labels: self.several(&wire.labels),
            },
            order: self.one(wire.order.as_ref()).unwrap_or_default(),
            group: self.one(wire.group.as_ref()),
            keep: self.count(wire.keep.as_ref()),
            older_than: self.one(wire.older_than.as_ref()),
            date: self.one(wire.date.as_ref()).unwrap_or_default(),
            at_least: self.count(wire.at_least.as_ref()),
            at_most: self.count(wire.at_most.as_ref()),
        };
        let says_what_stays = wire.keep.is_some() || wire.older_than.is_some() || wire.at_most.is_some();
        if !says_what_stays {
            self.mistake(
                whole.clone(),
                "the rule does not say what stays: give it `keep`, `older-than` or `at-most`".to_owned(),
            );
        }
        if wire.date.is_some() && wire.older_than.is_none() {
            self.mistake(
                whole.clone(),
                "`date` says which date `older-than` is about, which is not there".to_owned(),
            );
        }
        for (name, lower) in [("at-least", rule.at_least), ("keep", rule.keep)] {
            if let (Some(lower), Some(cap)) = (lower, rule.at_most)
                && lower > cap
            {
                self.mistake(whole.clone(), format!("`{name}` {lower} is more than `at-most` {cap}"));
            }
        }
        rule
    }
}

/// Line and column, both from 1; columns count characters.
fn place(text: &str, span: Range<usize>) -> Origin {
    let before = text.get(..span.start.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// The file that says the same.
pub(crate) fn print(policy: &Policy) -> String {
    let mut text = print_head(policy);
    if !text.is_empty() {
        text.push('\n');
    }
    for (number, rule) in policy.rules.iter().filter(|rule| rule.removes_tags()).enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&print_rule(rule));
    }
    text
}

/// What is about all rules; what is so anyway goes without saying.
fn print_head(policy: &Policy) -> String {
    let mut text = String::new();
    let protect: Vec<_> =
        policy.protected.patterns().iter().map(|pattern| pattern.text().to_owned()).collect();
    if !protect.is_empty() {
        let _ = writeln!(text, "protect = {}", list(protect.into_iter()));
    }
    let (guards, usual) = (&policy.guards, Guards::default());
    if guards.min_age != usual.min_age {
        let _ = writeln!(text, "min-age = {}", quoted(&guards.min_age.to_string()));
    }
    match guards.max_delete {
        MaxDelete::Percent(_) if guards.max_delete == usual.max_delete => {}
        MaxDelete::Tags(most) => drop(writeln!(text, "max-delete = {most}")),
        share @ MaxDelete::Percent(_) => drop(writeln!(text, "max-delete = {}", quoted(&share.to_string()))),
    }
    for (key, is_said) in [("allow-empty", guards.allows_empty), ("include-latest", guards.includes_latest)] {
        if is_said {
            let _ = writeln!(text, "{key} = true");
        }
    }
    text
}

fn print_rule(rule: &Rule) -> String {
    let mut text = String::from("[[rule]]\n");
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    };
    let selection = &rule.selection;
    let Names { patterns, repositories, tags } = names(selection);
    let filled = |values: Vec<String>| (!values.is_empty()).then(|| list(values.into_iter()));
    line("name", rule.name.as_deref().map(quoted));
    line("patterns", filled(patterns));
    line("repositories", filled(repositories));
    line("tags", filled(tags));
    line("exclude", filled(selection.exclude.iter().map(|pattern| pattern.text().to_owned()).collect()));
    line("labels", filled(selection.labels.iter().map(ToString::to_string).collect()));
    line("group", rule.group.as_ref().map(|group| quoted(group.text())));
    line("order", (rule.order != Order::default()).then(|| quoted(rule.order.name())));
    line("keep", rule.keep.map(|count| count.to_string()));
    line("older-than", rule.older_than.map(|age| quoted(&age.to_string())));
    line("date", (rule.date != DateOf::default()).then(|| quoted(&rule.date.to_string())));
    line("at-least", rule.at_least.map(|count| count.to_string()));
    line("at-most", rule.at_most.map(|count| count.to_string()));
    text
}

/// What a selection says of repositories and tags, as a file says it.
struct Names {
    patterns: Vec<String>,
    repositories: Vec<String>,
    tags: Vec<String>,
}

/// Patterns become repositories and tags where that says the same: taken apart, `app:v1.*` and `web:pr-*` would be about
/// `web:v1.*` too.
fn names(selection: &Selection) -> Names {
    let mut names = Names {
        patterns: Vec::new(),
        repositories: selection.repositories.iter().map(super::Matcher::text).collect(),
        tags: selection.tags.iter().map(super::Matcher::text).collect(),
    };
    let parts: Vec<_> =
        selection.patterns.iter().map(|pattern| (pattern.repository_text(), pattern.tag_text())).collect();
    // A registry's host alone is about everything in it.
    if parts.contains(&(None, None)) {
        return names;
    }
    let is_expression = |part: Option<&str>| part.is_some_and(|text| text.starts_with('/'));
    let has_repositories = parts.iter().any(|(repository, _)| repository.is_some());
    let has_tags = parts.iter().any(|(_, tag)| tag.is_some());
    let can_be_apart = (parts.len() == 1 || !(has_repositories && has_tags))
        && (names.repositories.is_empty() || !has_repositories)
        && (names.tags.is_empty() || !has_tags)
        && !parts.iter().any(|(repository, tag)| is_expression(*repository) || is_expression(*tag));
    if can_be_apart {
        names.repositories.extend(parts.iter().filter_map(|(repository, _)| repository.map(str::to_owned)));
        names.tags.extend(parts.iter().filter_map(|(_, tag)| tag.map(str::to_owned)));
    } else {
        names.patterns = selection.patterns.iter().map(|pattern| pattern.text().to_owned()).collect();
    }
    names
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.map(|value| quoted(&value)).collect::<Vec<_>>().join(", "))
}

/// A literal string where it can be one: expressions are full of backslashes.
fn quoted(text: &str) -> String {
    if !text.contains('\'') && !text.chars().any(char::is_control) {
        return if text.contains(['\\', '"']) { format!("'{text}'") } else { format!("\"{text}\"") };
    }
    let mut escaped = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped.push('"');
    escaped
}

#[cfg(test)]
mod tests;
