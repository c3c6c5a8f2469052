//! The command line: clap types only, every value parsed to its type.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::age::Age;
use crate::model::RegistryAddress;
use crate::policy::{DateOf, Filter, Group, MaxDelete, MinAge, Order};
use crate::reference::{Pattern, Reference};
use crate::report::usage::Sort;

/// The command line as Docker passes it on: its global flags, this plugin's name, and the rest.
#[derive(Debug, Parser)]
#[command(
    name = "docker",
    bin_name = "docker",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) plugin: Plugin,
}

/// Docker's own flags, which stand before the plugin's name.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Globals {
    /// Location of client config files
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
    /// Name of the context to use to connect to the engine
    #[arg(short, long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Enable debug mode: say every request
    #[arg(short = 'D', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = clap::ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) debug: bool,
    /// Engine socket to connect to
    #[arg(short = 'H', long = "host", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// Set the logging level
    #[arg(short, long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Use TLS to connect to the engine; implied by --tlsverify
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) tls: Option<bool>,
    /// Use TLS and verify the engine
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) tlsverify: Option<bool>,
    /// Trust certs signed only by this CA
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscacert: Option<PathBuf>,
    /// Path to TLS certificate file
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscert: Option<PathBuf>,
    /// Path to TLS key file
    #[arg(long, value_name = "FILE")]
    pub(crate) tlskey: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Prune a private registry and get its space back
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Registry {
        #[command(subcommand)]
        command: Command,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove what no rule keeps, collect the garbage, restart and verify
    Prune(Box<Prune>),
    /// List repositories and tags
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove tags, digests or whole repositories
    Rm(Rm),
    /// Collect garbage, restart and verify
    Gc(Gc),
    /// Show where the space is: what repositories and tags need, what they share, what is garbage
    Df(Df),
    /// Check that every tag resolves and that everything it needs is there
    Verify(Verify),
    /// Put back what a run deleted, as long as nothing has been collected since
    Undo(Undo),
    /// Put right what an interrupted collection left
    Recover(Recover),
    /// Print a shell function that makes `docker registry-prune` work
    ShellFunction,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Repositories and tags to look at: `team/*`, `app:v1.*` (default: the whole registry)
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<Pattern>,
    /// Keep the newest N tags of each repository, by creation date
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = keep_count)]
    pub(crate) keep: Option<u32>,
    /// Remove only what was created longer ago: `30d`, `12h`, `6mo`
    #[arg(long, value_name = "AGE", allow_hyphen_values = true)]
    pub(crate) older_than: Option<Age>,
    /// What the rule is about or keeps: `tag=GLOB` or `tag=/EXPRESSION/`, `repository=…`, `label=KEY[=VALUE]`,
    /// `label!=KEY[=VALUE]`, `until=AGE`
    #[arg(long, value_name = "FILTER")]
    pub(crate) filter: Vec<Filter>,
    /// Count `--keep` per what this expression captures of a tag: '(.+)-\d+'
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) group: Option<Group>,
    /// What makes a tag newer for `--keep`: created, pushed, semver or name
    #[arg(long, value_name = "ORDER")]
    pub(crate) order: Option<Order>,
    /// The date that `--older-than` is about: created or pushed
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<DateOf>,
    /// Keep at least the newest N, whatever their age
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = keep_count)]
    pub(crate) at_least: Option<u32>,
    /// Keep no more than the newest N, whatever their age
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = keep_count)]
    pub(crate) at_most: Option<u32>,
    /// Keep whatever the rules say: `team/base`, `:stable`; `:latest` is protected anyway
    #[arg(long, value_name = "PATTERN")]
    pub(crate) protect: Vec<Pattern>,
    /// Keep the references that a file lists, one on a line; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) protect_from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guards: Guards,
    /// Take the rules from a policy file (TOML)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keep", "older_than", "filter", "group", "order", "date", "at_least", "at_most"])]
    pub(crate) policy: Option<PathBuf>,
    /// Say why these tags stay or go, and stop: `team/app:1.2`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) explain: Vec<Pattern>,
    /// Print the policy file that says the same, and stop
    #[arg(long)]
    pub(crate) print_policy: bool,
    /// Keep what matches: `team/app`, `app:v1.*`, `:latest` for a tag in every repository
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<Pattern>,
    /// Do not collect garbage: the space comes back with the next `docker registry gc`
    #[arg(long)]
    pub(crate) no_gc: bool,
    #[command(flatten)]
    pub(crate) change: Change,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What rules may not do unless they are told so.
#[derive(Debug, Args)]
pub(crate) struct Guards {
    /// Let the rules remove `latest` too
    #[arg(long)]
    pub(crate) include_latest: bool,
    /// Keep what was pushed (or, where that is not known, created) more recently: `none` for no minimum [default: 1h]
    #[arg(long, value_name = "AGE", allow_hyphen_values = true)]
    pub(crate) min_age: Option<MinAge>,
    /// Refuse to remove more tags than this at one time: a number, or a share of all tags that were read
    /// [default: 50%]
    #[arg(long, value_name = "N|P%", allow_hyphen_values = true)]
    pub(crate) max_delete: Option<MaxDelete>,
    /// Let the rules remove every tag of a repository; `--max-delete 100%` implies it
    #[arg(long)]
    pub(crate) allow_empty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// Repositories and tags to list: `team/*`, `app:v1.*` (default: the whole registry)
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<Pattern>,
    /// Only show references
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Do not shorten digests
    #[arg(long)]
    pub(crate) no_trunc: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// A tag (`app:1.2`), a digest (`app@sha256:…`, with every tag on it) or a whole repository (`app`)
    #[arg(value_name = "REF", required = true)]
    pub(crate) references: Vec<Reference>,
    /// Collect the garbage afterwards, restart and verify
    #[arg(long)]
    pub(crate) gc: bool,
    #[command(flatten)]
    pub(crate) change: Change,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) change: Change,
    #[command(flatten)]
    pub(crate) window: Window,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Df {
    /// Repositories and tags to show: `team/*`, `app:v1.*` (default: the whole registry)
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<Pattern>,
    /// Show each tag
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// What stands first: what is largest, what alone needs most, or by name
    #[arg(long, value_enum, default_value_t = Sort::Size, value_name = "ORDER")]
    pub(crate) sort: Sort,
    /// Format of the result: a table for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Write a page for a browser instead: a map of the whole registry to click through, in one file that needs no
    /// network
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "verbose", "sort"])]
    pub(crate) html: Option<PathBuf>,
    /// Count unfinished uploads as garbage to which nothing was added for longer than this
    #[arg(long, value_name = "AGE", default_value = "24h", allow_hyphen_values = true)]
    pub(crate) uploads_older_than: Age,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Repositories and tags to check: `team/*`, `app:v1.*` (default: the whole registry)
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<Pattern>,
    /// Hash the content of every blob as well: by the programs of the registry's own image where its files are, or by
    /// downloading it
    #[arg(long)]
    pub(crate) deep: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// The name that the run's report ended with, or how it begins (default: the latest run of which something can be
    /// put back)
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// List the recorded runs
    #[arg(long, conflicts_with_all = ["run", "dry_run"])]
    pub(crate) list: bool,
    /// Show what would be put back and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Only for the registry in this container (default: every one on the engine)
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) container: Option<String>,
}

/// What every command that changes something takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Change {
    /// Show what would be done and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// How garbage is collected.
#[derive(Debug, Clone, Args)]
pub(crate) struct Window {
    /// How to collect: with the registry stopped; with a read-only stand-in for it, so that pulls go on; or live in the
    /// running container followed by a restart (pushes meanwhile can be lost)
    #[arg(long, value_enum, default_value_t = GcMode::Offline, value_name = "MODE")]
    pub(crate) gc_mode: GcMode,
    /// Remove unfinished uploads to which nothing was added for longer than this
    #[arg(long, value_name = "AGE", default_value = "24h", allow_hyphen_values = true)]
    pub(crate) uploads_older_than: Age,
    /// Wait so long (without AGE 10min) until pushes have ended and other containers on the store have stopped, before
    /// the collection is refused
    #[arg(long, value_name = "AGE", num_args = 0..=1, default_missing_value = "10min")]
    pub(crate) wait: Option<Age>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GcMode {
    Offline,
    ReadOnly,
    Live,
}

/// Which registry, and how to reach it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Access {
    /// Address of the registry, when no argument names it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) registry: Option<RegistryAddress>,
    /// Name or id of the registry's container, when it cannot be found by its published port
    #[arg(long, value_name = "CONTAINER")]
    pub(crate) container: Option<String>,
    /// Accept a certificate that cannot be verified, and plain HTTP
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Requests to the registry at one time
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrency: u16,
}

/// Where it is read what the registry holds.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reading {
    /// Read the registry by its API, by the files of its store, or by these wherever that can be done. Only they tell
    /// when tags were pushed, and what has no tag
    #[arg(long, value_enum, default_value_t = Source::Auto, value_name = "SOURCE")]
    pub(crate) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    Auto,
    Api,
    Store,
}

/// How results are shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// Format of the result: a table for people, or one JSON document
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Say why for each tag
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

fn keep_count(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(0) => {
            Err("0 would empty every repository; remove whole repositories with `docker registry rm REPO`"
                .to_owned())
        }
        Ok(count) => Ok(count),
        Err(_) => {
            Err("give the number of tags to keep in each repository: a whole number, 1 or more".to_owned())
        }
    }
}
