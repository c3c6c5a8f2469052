//! The examples of the README's chapters on space, rules and undoing, run as they stand there: its files are written, its commands are typed
//! into a shell, and what they print on stdout is what the README says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::fake_registry::FakeRegistry;
use crate::run::{Asked as _, BINARY, Tool};

/// The registry's address in the README.
const ADDRESS: &str = "127.0.0.1:5000";

#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

/// A command with what it prints.
#[derive(Debug)]
struct Example {
    command: String,
    output: String,
}

/// The fenced blocks of one chapter.
fn blocks(chapter: &str) -> Vec<Block> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let heading = format!("\n## {chapter}\n");
    let (_, text) = readme.split_once(&heading).unwrap_or_else(|| panic!("no chapter {chapter}"));
    let text = text.split("\n## ").next().unwrap_or(text);
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| {
            let (language, text) = block.split_once('\n').expect("a block has lines");
            Block { language: language.to_owned(), text: format!("{text}\n") }
        })
        .collect()
}

fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => {
                examples.push(Example { command: command.to_owned(), output: String::new() });
            }
            (None, Some(example)) => {
                example.output.push_str(line);
                example.output.push('\n');
            }
            (None, None) => panic!("{line:?} is printed by no command"),
        }
    }
    examples
}

fn days_ago(days: u64) -> String {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    // Without fractions every date is as long as another, and so are the configs.
    format!("{:.0}", Timestamp::try_from(then).expect("a date"))
}

/// The registry that the chapters on rules and undoing are about.
fn registry() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let released =
        ["v1.0.0", "v1.0.1", "v1.0.2", "v1.1.0", "v1.1.1", "v1.1.2", "v2.0.0-rc.1", "v2.0.0", "edge"];
    for (number, tag) in released.into_iter().enumerate() {
        let created = format!("2024-03-{:02}T00:00:00Z", number + 1);
        fake.image("shop/api", tag, &created, &["base", &tag.repeat(1000)]);
    }
    let stable = fake.change(|contents| contents.repository("shop/api").tags["v1.0.0"].clone());
    fake.tag("shop/api", "stable", &stable);
    for (tag, days) in [("pr-17", 60), ("pr-18", 20), ("pr-21", 3), ("pr-22", 2)] {
        fake.image("shop/api", tag, &days_ago(days), &["base", &tag.repeat(1000)]);
    }
    for (tag, days) in [("pr-4", 90), ("pr-5", 80)] {
        fake.image("shop/web", tag, &days_ago(days), &["base", &tag.repeat(1000)]);
    }
    for (number, tag) in ["v1.0.0", "v1.0.1", "v1.0.2", "v1.1.0"].into_iter().enumerate() {
        let created = format!("2024-01-{:02}T00:00:00Z", number + 1);
        fake.image("shop/site", tag, &created, &["base", &format!("site {tag}").repeat(1000)]);
        fake.image("base/debian", tag, &created, &[&format!("debian {tag}").repeat(1000)]);
    }
    fake
}

/// A home in which `docker` and `kubectl` are there: the one hands over to the program and lists a container's image,
/// the other lists those of two pods.
fn home(host: &str) -> Tool {
    let tool = Tool::new();
    let bin = tool.path("bin");
    fs::create_dir(&bin).expect("make a folder for programs");
    let docker = format!(
        "#!/bin/sh\n[ \"$1\" = --context ] && shift 2\ncase $1 in\n\
         registry) shift; exec '{BINARY}' \"$@\" ;;\n\
         ps) echo '{host}/shop/site:v1.0.1' ;;\n*) exit 1 ;;\nesac\n"
    );
    let kubectl = format!("#!/bin/sh\nprintf %s '{host}/shop/site:v1.0.0 registry.k8s.io/pause:3.9'\n");
    for (name, script) in [("docker", docker), ("kubectl", kubectl)] {
        let path = bin.join(name);
        fs::write(&path, script).expect("write the script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make the script a program");
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    tool.env("PATH", path)
}

#[test]
fn every_example_of_the_chapter_on_rules_prints_what_it_says() {
    let fake = registry();
    let host = fake.host();
    let mut tool = home(&host);
    let mut number = 0;
    for block in blocks("Rules") {
        match block.language.as_str() {
            "toml" => {
                let name = block.text.lines().next().and_then(|line| line.strip_prefix("# "));
                tool = tool.file(name.expect("the first line names the file"), &block.text);
            }
            "console" => {
                for example in examples(&block.text) {
                    let answer = tool.shell(&example.command.replace(ADDRESS, &host)).exits(0);
                    assert_eq!(answer.stdout.replace(&host, ADDRESS), example.output, "{answer}");
                    number += 1;
                }
            }
            other => panic!("nobody knows how to run a block of {other:?}"),
        }
    }
    // The mistake that the text tells of.
    let text = blocks("Rules").remove(0).text.replacen("keep = 2", "keep = 0", 1);
    let told = "policy.toml:9:8: 0 is no number of tags";
    let wrong = tool.file("policy.toml", &text).on(&fake, &["prune", "--no-gc", "--policy", "policy.toml"]);
    let _ = wrong.exits(2).says(told);
    assert!(number >= 5, "only {number} examples were found");
    assert_eq!(fake.changes(), [""; 0]);
}

/// Images of megabytes, on a base that all of them have.
fn large_images() -> FakeRegistry {
    let fake = FakeRegistry::spawn();
    let layer = |name: &str, kilobytes: usize| name.repeat(kilobytes * 1000 / name.len());
    let (base, runtime) = (layer("base", 2800), layer("run", 1500));
    for (repository, tag, days, kilobytes) in [
        ("shop/api", "v1.0", 80, 900),
        ("shop/api", "v1.1", 30, 1200),
        ("shop/web", "v1.0", 60, 2400),
        ("shop/web", "v1.1", 5, 2500),
        ("tools/lint", "v7", 200, 300),
    ] {
        let own = layer(&format!("{repository}:{tag}"), kilobytes);
        let layers =
            if repository == "shop/web" { vec![&*base, &*own] } else { vec![&*base, &*runtime, &*own] };
        fake.image(repository, tag, &days_ago(days), &layers);
    }
    let newest = fake.change(|contents| contents.repository("shop/web").tags["v1.1"].clone());
    fake.tag("shop/web", "latest", &newest);
    fake
}

#[test]
fn the_chapter_on_space_shows_what_is_printed() {
    let fake = large_images();
    let host = fake.host();
    let tool = home(&host);
    let examples = examples(&blocks("Where the space is").remove(0).text);
    assert!(examples.len() >= 2);
    for example in examples {
        let answer = tool.shell(&example.command.replace(ADDRESS, &host)).exits(0);
        assert_eq!(answer.stdout.replace(&host, ADDRESS), example.output, "{answer}");
    }
}

#[test]
fn a_deletion_is_undone_as_the_chapter_on_it_shows() {
    let fake = registry();
    let host = fake.host();
    let tool = home(&host);
    let block = blocks("How a deletion is undone").remove(0);
    let name = |text: &str| {
        let (_, name) = text.split_once("docker registry undo ").expect("the report names the run");
        name.split('`').next().unwrap_or_default().to_owned()
    };
    let mut run = String::new();
    for example in examples(&block.text) {
        let answer = tool.shell(&format!("{} 2>&1", example.command.replace(ADDRESS, &host))).exits(0);
        if run.is_empty() {
            run = name(&answer.stdout);
        }
        let printed = answer.stdout.replace(&host, ADDRESS).replace(&run, &name(&block.text));
        assert_eq!(printed, example.output, "{answer}");
    }
    assert!(fake.tags("shop/site").contains(&"v1.0.0".to_owned()));
}
