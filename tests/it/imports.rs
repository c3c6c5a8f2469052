//! The direction of imports, and other rules of the source that a compiler does not check: what decides is pure, what
//! talks to servers knows no plan, one place reads the environment and the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that decides or words: no I/O, no clock, no printing.
const PURE: [&str; 15] = [
    "model",
    "age",
    "glob",
    "reference",
    "policy",
    "plan",
    "outcome",
    "protect",
    "report",
    "certificate",
    "integrity",
    "undo",
    "leftovers",
    "place",
    "usage",
];
/// What the pure modules may not know, be it through others.
const ACTS: [&str; 13] = [
    "registry",
    "engine",
    "snapshot",
    "execute",
    "commands",
    "config",
    "ui",
    "site",
    "collect",
    "confirm",
    "credentials",
    "record",
    "signals",
];
/// What talks to servers does not know what it is asked for.
const TALKS: [&str; 2] = ["registry", "engine"];
const DECIDES: [&str; 8] = ["plan", "policy", "execute", "report", "commands", "site", "collect", "snapshot"];
/// `use std::{` would hide the rest.
const IMPURE: [&str; 15] = [
    "tokio::",
    "reqwest::",
    "bollard::",
    "hyper::",
    "hyper_util::",
    "use tokio;",
    "std::env",
    "std::fs",
    "std::process",
    "use std::{",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "dbg!",
];

const LONGEST_FILE: usize = 400;
const LONGEST_TESTS: usize = 500;

/// A file of `src`, without its comments and its tests.
struct Source {
    /// Below `src`.
    path: String,
    /// The module of the crate's first level that it belongs to.
    module: String,
    /// How many modules it is below the crate.
    depth: usize,
    code: String,
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("read the folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources() -> Vec<Source> {
    let root = checkout().join("src");
    let files = files_below(&root).into_iter().filter_map(|file| {
        let path = file.strip_prefix(&root).expect("below src").to_str().expect("text").to_owned();
        let modules: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        let is_test = modules.contains(&"tests");
        let (module, depth) = (modules[0].to_owned(), modules.len());
        let text = fs::read_to_string(&file).expect("read the file");
        (!is_test).then(|| Source { code: without_comments_and_tests(&text), module, depth, path })
    });
    let sources: Vec<Source> = files.collect();
    assert!(sources.len() > 30, "the sources were not found");
    sources
}

fn without_comments_and_tests(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("// ").next().unwrap_or_default());
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate's first level that `code` names as `crate::a` or `crate::{a, b::c}`.
fn used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut modules = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            modules.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '}' | ',' if depth == 0 => {
                    modules.insert(name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    modules.remove("");
    modules
}

fn complain(violations: &[String]) {
    assert!(violations.is_empty(), "\n  {}", violations.join("\n  "));
}

/// Files of `modules` that have one of `words` in their code.
fn uses_of_words(modules: &[&str], words: &[&str]) -> Vec<String> {
    let sources = sources();
    let meant = sources.iter().filter(|source| modules.contains(&source.module.as_str()));
    let found = meant.flat_map(|source| {
        let words = words.iter().filter(|word| source.code.contains(**word));
        words.map(|word| format!("src/{} has `{word}`", source.path))
    });
    found.collect()
}

#[test]
fn the_reader_of_imports_reads_every_form() {
    let code = "use crate::{a, b::{c, d}, e};\nuse crate::f::g;\nlet x = crate::h::i();\npub(crate) fn j()";
    assert_eq!(used(code).into_iter().collect::<Vec<_>>(), ["a", "b", "e", "f", "h"]);
    let code = without_comments_and_tests(
        "//! crate::a\nlet b = 1; // crate::c\n#[cfg(test)]\nmod tests {\nuse crate::d;}",
    );
    assert!(used(&code).is_empty(), "{code}");
}

#[test]
fn what_decides_does_not_act() {
    complain(&uses_of_words(&PURE, &IMPURE));
}

/// Directly or through other modules: the modules that each pure one leads to, with the way.
#[test]
fn what_decides_knows_nothing_that_acts() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        graph.entry(source.module).or_default().extend(used(&source.code));
    }
    let mut violations = Vec::new();
    for pure in PURE {
        let mut ways = vec![vec![pure.to_owned()]];
        let mut seen = BTreeSet::from([pure.to_owned()]);
        while let Some(way) = ways.pop() {
            let here = way.last().expect("a way has a beginning");
            if ACTS.contains(&here.as_str()) {
                violations.push(way.join(" → "));
                continue;
            }
            for next in graph.get(here).into_iter().flatten().filter(|next| seen.insert((*next).clone())) {
                ways.push([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    complain(&violations);
}

#[test]
fn what_talks_to_servers_knows_no_plan() {
    let sources = sources();
    let talks = sources.iter().filter(|source| TALKS.contains(&source.module.as_str()));
    let violations: Vec<String> = talks
        .flat_map(|source| {
            let used = used(&source.code).into_iter().filter(|module| DECIDES.contains(&module.as_str()));
            used.map(|module| format!("src/{} uses `{module}`", source.path))
        })
        .collect();
    complain(&violations);
}

/// Else the rules above could be got round.
#[test]
fn nothing_reaches_above_its_own_module_but_by_crate() {
    let mut violations = Vec::new();
    for source in sources() {
        let too_far = "super::".repeat(source.depth);
        if source.code.contains(&too_far) {
            violations.push(format!("src/{} has `{too_far}`", source.path));
        }
    }
    complain(&violations);
}

#[test]
fn only_config_reads_the_environment_and_the_clock() {
    let violations: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.module != "config")
        .flat_map(|source| {
            let code = source.code.replace("std::env::args_os", "");
            let is_main = source.path == "main.rs";
            let found = ["std::env", "home_dir", "Timestamp::now", "SystemTime::now"].into_iter();
            let found = found
                .filter(move |word| code.contains(word) || (!is_main && source.code.contains("args_os")));
            found.map(|word| format!("src/{} has `{word}`", source.path)).collect::<Vec<_>>()
        })
        .collect();
    complain(&violations);
}

#[test]
fn a_dry_run_is_the_business_of_commands_alone() {
    let sources = sources();
    let others = sources.iter().filter(|source| !["cli", "commands"].contains(&source.module.as_str()));
    let violations: Vec<String> = others
        .filter(|source| source.code.contains("dry_run"))
        .map(|source| format!("src/{} has `dry_run`", source.path))
        .collect();
    complain(&violations);
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut violations = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for file in files_below(&checkout().join(folder)) {
            let is_tests = file.file_name().is_some_and(|name| name == "tests.rs");
            let limit = if is_tests { LONGEST_TESTS } else { LONGEST_FILE };
            let lines = fs::read_to_string(&file).expect("read the file").lines().count();
            if lines > limit {
                violations.push(format!("{} has {lines} lines, more than {limit}", file.display()));
            }
        }
    }
    complain(&violations);
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let mut violations = Vec::new();
    for program in ["tests/it", "tests/e2e"] {
        let folder = checkout().join(program);
        let root = fs::read_to_string(folder.join("main.rs")).expect("read main.rs");
        for entry in fs::read_dir(&folder).expect("read the folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("text");
            let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else {
                continue;
            };
            if !root.lines().any(|line| line == format!("mod {module};")) {
                violations.push(format!("{program}/{name} is not declared in main.rs"));
            }
        }
    }
    complain(&violations);
}
