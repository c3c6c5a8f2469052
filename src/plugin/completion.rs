//! Answers Docker's `__complete` calls from the command line's own grammar, in the format of cobra: a candidate per
//! line, a tab and a description, then the directive. The names in a registry are left out on purpose: a completion
//! must not touch the network, and in one the variable for Docker's own path names this program.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::NAME;

/// Cobra's "do not offer the names of files".
const NO_FILES: &str = ":4\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descriptions {
    Shown,
    Left,
}

struct Candidate {
    value: String,
    description: String,
}

/// `words` are those after `__complete`, the last being the one under the cursor.
pub(super) fn answer(words: &[OsString], descriptions: Descriptions) -> String {
    let mut answer = String::new();
    for Candidate { value, description } in candidates(&after_the_name(words)) {
        answer.push_str(&value);
        let first_line = description.lines().next().unwrap_or_default();
        if descriptions == Descriptions::Shown && !first_line.is_empty() {
            answer.push('\t');
            answer.push_str(first_line);
        }
        answer.push('\n');
    }
    answer.push_str(NO_FILES);
    answer
}

/// Docker gives its words from the plugin's name on; Debian's bash completion leaves the name out, or gives what
/// remains of the global flags in front of it.
fn after_the_name(words: &[OsString]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let end = words.len().saturating_sub(1);
    match words[..end].iter().position(|word| word == NAME) {
        Some(name) => words[name + 1..].to_vec(),
        None => words,
    }
}

fn candidates(words: &[String]) -> Vec<Candidate> {
    let (current, before) =
        words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let root = super::command();
    let Some(registry) = root.find_subcommand(NAME) else {
        return Vec::new();
    };
    let all = match before {
        [] if current.starts_with('-') => flags(registry, before, current),
        [] => commands(registry),
        [help] if help == "help" => commands(registry),
        [name, given @ ..] => match registry.find_subcommand(name) {
            Some(command) => of_command(command, given, current),
            None => Vec::new(),
        },
    };
    let typed = match current.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => value,
        _ => current,
    };
    all.into_iter().filter(|candidate| candidate.value.starts_with(typed)).collect()
}

fn commands(group: &Command) -> Vec<Candidate> {
    group
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| Candidate {
            value: command.get_name().to_owned(),
            description: command.get_about().map(ToString::to_string).unwrap_or_default(),
        })
        .collect()
}

fn of_command(command: &Command, given: &[String], current: &str) -> Vec<Candidate> {
    if given.iter().any(|word| word == "--") {
        return Vec::new();
    }
    if let Some(open) =
        given.last().and_then(|last| option(command, last)).filter(|option| takes_value(option))
    {
        return values(open);
    }
    match current.split_once('=') {
        Some((flag, _)) => option(command, flag).map(values).unwrap_or_default(),
        None if current.starts_with('-') => flags(command, given, current),
        None => Vec::new(),
    }
}

fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut arguments = command.get_arguments();
    if let Some(long) = word.strip_prefix("--") {
        return arguments.find(|argument| argument.get_long() == Some(long));
    }
    let letter = word.strip_prefix('-')?.chars().last()?;
    arguments.find(|argument| argument.get_short() == Some(letter))
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

fn values(option: &Arg) -> Vec<Candidate> {
    option
        .get_possible_values()
        .into_iter()
        .map(|value| Candidate {
            value: value.get_name().to_owned(),
            description: value.get_help().map(ToString::to_string).unwrap_or_default(),
        })
        .collect()
}

/// The flags not given yet; those that may stand several times are offered again.
fn flags(command: &Command, given: &[String], current: &str) -> Vec<Candidate> {
    let is_free = |argument: &&Arg| {
        let may_repeat = matches!(argument.get_action(), clap::ArgAction::Append);
        let is_given = |word: &String| {
            let word = word.split_once('=').map_or(word.as_str(), |(flag, _)| flag);
            option(command, word).is_some_and(|option| option.get_id() == argument.get_id())
        };
        !argument.is_hide_set() && (may_repeat || !given.iter().any(is_given))
    };
    let mut flags = Vec::new();
    for argument in command.get_arguments().filter(is_free) {
        let description = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|letter| format!("-{letter}"));
        for value in long.into_iter().chain(short.filter(|_| current == "-")) {
            flags.push(Candidate { value, description: description.clone() });
        }
    }
    if command.get_arguments().all(|argument| argument.get_long() != Some("help")) {
        flags.push(Candidate { value: "--help".to_owned(), description: "Print help".to_owned() });
    }
    flags
}
