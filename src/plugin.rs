//! Docker's side of the conversation: the plugin handshake, and every form of argv turned into the one form that
//! [`Cli`] parses. Pure: it reads no environment and no file, so that Docker, which starts every plugin to draw its
//! own help, gets its answer at once.

use std::ffi::{OsStr, OsString};

use clap::{Args as _, CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Globals};

mod completion;
mod help;

const NAME: &str = "registry";
/// The name Docker does not allow for a plugin, and people type all the same.
const HYPHENATED_NAME: &str = "registry-prune";

/// What a call of this program asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Data for stdout, and nothing else to do: the handshake, completions, the version.
    Print(String),
    /// The command line as [`parse`] takes it: `docker [globals] registry <command> …`.
    Run(Vec<OsString>),
}

/// Sorts out the argv forms of Docker (`[globals] registry prune …`, `help registry prune`, `-v registry`) and of a
/// direct start (`prune …`, `--keep 5`, `host:5000/app`). Their shape tells them apart; the variable that Docker sets
/// for a plugin does not, since a child of a plugin inherits it.
pub(crate) fn canonical(args: &[OsString]) -> Call {
    let words = args.get(1..).unwrap_or_default();
    match (text_at(words, 0), text_at(words, 1)) {
        ("docker-cli-plugin-metadata", _) => return Call::Print(metadata().to_owned()),
        ("__complete", _) => {
            return Call::Print(completion::answer(&words[1..], completion::Descriptions::Shown));
        }
        ("__completeNoDesc", _) => {
            return Call::Print(completion::answer(&words[1..], completion::Descriptions::Left));
        }
        _ => {}
    }
    let Globally { flags, asked, rest } = split_globals(words);
    match command_of(asked, rest) {
        Asked::Version => Call::Print(format!("{} {}\n", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))),
        // The hook of Docker 26.1+, which may be switched on for us in the Docker config: there is nothing to say.
        Asked::Hook => Call::Print("{}\n".to_owned()),
        Asked::Help(command) => Call::Run(line(&[], command.into_iter().chain(["--help".into()]))),
        Asked::Command(command) => Call::Run(line(flags, command.into_iter())),
    }
}

pub(crate) fn parse(line: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(line)?;
    Cli::from_arg_matches(&matches)
}

/// The command line's grammar with Docker's habits: its layout of help, and the last of a repeated global flag counts.
pub(crate) fn command() -> clap::Command {
    let repeatable = Cli::command().mut_args(|argument| {
        if matches!(argument.get_action(), clap::ArgAction::Set) {
            let itself = argument.get_id().clone();
            argument.overrides_with(itself)
        } else {
            argument
        }
    });
    help::like_docker(repeatable)
}

pub(crate) fn metadata() -> &'static str {
    include_str!("../plugin-metadata/metadata.json")
}

pub(crate) fn shell_function() -> &'static str {
    include_str!("../plugin-metadata/shell-function.sh")
}

/// What stands before the plugin's name or the command.
struct Globally<'a> {
    flags: &'a [OsString],
    asked: Option<Flag>,
    rest: &'a [OsString],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Switch,
    /// Its value is in the same word, or is the next one.
    Valued,
    Help,
    Version,
}

enum Asked {
    Command(Vec<OsString>),
    Help(Option<OsString>),
    Version,
    Hook,
}

fn split_globals(words: &[OsString]) -> Globally<'_> {
    let grammar = Globals::augment_args(clap::Command::new("docker"));
    let mut asked = None;
    let mut at = 0;
    while let Some((flag, takes_next)) = words.get(at).and_then(|word| global_flag(&grammar, word)) {
        let end = at + 1 + usize::from(takes_next);
        if end > words.len() {
            break;
        }
        if matches!(flag, Flag::Help | Flag::Version) {
            asked = asked.or(Some(flag));
        }
        at = end;
    }
    let (flags, rest) = words.split_at(at);
    Globally { flags, asked, rest }
}

/// The kind of a global flag, and whether the next word is its value. In a group of letters (`-Dl debug`) help and
/// version win, since nothing else then happens.
fn global_flag(grammar: &clap::Command, word: &OsStr) -> Option<(Flag, bool)> {
    let text = word.to_string_lossy();
    if let Some(long) = text.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let flag = match name {
            "help" => Flag::Help,
            "version" => Flag::Version,
            _ => kind(grammar.get_arguments().find(|argument| argument.get_long() == Some(name))?),
        };
        return Some((flag, flag == Flag::Valued && value.is_none()));
    }
    let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty())?;
    let mut asked = Flag::Switch;
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match letter {
            'h' => asked = Flag::Help,
            'v' => asked = Flag::Version,
            _ => match kind(grammar.get_arguments().find(|argument| argument.get_short() == Some(letter))?) {
                Flag::Valued => return Some((Flag::Valued, rest.is_empty())),
                _ if rest.starts_with('=') => break,
                _ => {}
            },
        }
    }
    Some((asked, false))
}

fn kind(argument: &clap::Arg) -> Flag {
    if argument.is_require_equals_set() { Flag::Switch } else { Flag::Valued }
}

fn command_of(asked: Option<Flag>, words: &[OsString]) -> Asked {
    let (is_help, words) = match text_at(words, 0) {
        "help" => (true, &words[1..]),
        _ => (asked == Some(Flag::Help), words),
    };
    let (is_named, words) = match text_at(words, 0) {
        NAME => (true, &words[1..]),
        _ => (false, words),
    };
    if asked == Some(Flag::Version) {
        return Asked::Version;
    }
    match text_at(words, 0) {
        "-v" | "--version" => Asked::Version,
        "docker-cli-plugin-hooks" => Asked::Hook,
        "help" | "-h" | "--help" => help_for(words.get(1)),
        "" if words.is_empty() => Asked::Help(None),
        _ if is_help => help_for(words.first()),
        HYPHENATED_NAME => Asked::Command(prune(&words[1..])),
        word if !is_named && (word.starts_with('-') || word.contains(['/', ':', '*'])) => {
            Asked::Command(prune(words))
        }
        // A command, or a word that is none: the parser says so and names the nearest. It never becomes a pattern.
        _ => Asked::Command(words.to_vec()),
    }
}

fn help_for(command: Option<&OsString>) -> Asked {
    let command = command.filter(|word| !word.to_string_lossy().starts_with('-'));
    Asked::Help(command.map(|word| if word == HYPHENATED_NAME { "prune".into() } else { word.clone() }))
}

fn prune(words: &[OsString]) -> Vec<OsString> {
    [OsString::from("prune")].iter().chain(words).cloned().collect()
}

fn line(flags: &[OsString], command: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut line = vec!["docker".into()];
    line.extend_from_slice(flags);
    line.push(NAME.into());
    line.extend(command);
    line
}

/// The word there, where it is text; words that are not are paths or mistakes, and none of ours.
fn text_at(words: &[OsString], at: usize) -> &str {
    words.get(at).and_then(|word| word.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
