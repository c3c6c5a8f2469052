//! One run with one fault, and everything that must hold whatever the fault was.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fake_engine::{REGISTRY, references};
use crate::fake_registry::contents::{Contents, Manifest, Repository};
use crate::run::{Answer, Asked as _};

use super::Job;
use super::stage::{Step, Trouble};
use super::world::{Kept, Store, World};

/// What did not hold.
pub(super) fn judge(job: &Job, step: &Step, trouble: Trouble, end: &Store) -> Vec<String> {
    let world = World::new();
    let (before, kept) = (world.contents(), world.kept());
    world.stage.plan(step, trouble);
    let answer = job.run(&world, job.words);
    if world.stage.is_pending() {
        return vec![format!("the run never came to this request\n{answer}")];
    }
    let mut wrong = Wrong { told: format!("{answer}"), found: Vec::new() };
    let after = world.contents();
    wrong.extend(broken(&kept, &after));
    wrong.extend(world.engine.alarms());
    if trouble.kills() {
        wrong.unless(answer.code.is_none(), "the process was not killed");
        let next = world.run(&["ls"]);
        wrong.tell(&next);
        wrong.unless(next.code == Some(0), "listing after a kill failed");
        wrong.unless(world.engine.is_running(REGISTRY), "the next run did not put the registry back");
    } else {
        wrong.extend(ending(&world, &answer, trouble, end));
        wrong.extend(unnamed(&answer, &before, &after));
    }
    again(&world, job, end, &mut wrong);
    wrong.extend(broken(&kept, &world.contents()));
    wrong.extend(world.engine.alarms());
    wrong.found.into_iter().map(|what| format!("-- {what}\n{}", wrong.told)).collect()
}

struct Wrong {
    told: String,
    found: Vec<String>,
}

impl Wrong {
    fn tell(&mut self, answer: &Answer) {
        let _ = write!(self.told, "\n{answer}");
    }

    fn unless(&mut self, holds: bool, what: &str) {
        if !holds {
            self.extend([what.to_owned()]);
        }
    }

    fn extend(&mut self, what: impl IntoIterator<Item = String>) {
        for what in what {
            if !self.found.contains(&what) {
                self.found.push(what);
            }
        }
    }
}

/// Tags that no longer lead to all they need.
pub(super) fn broken(kept: &Kept, contents: &Contents) -> Vec<String> {
    let mut broken = Vec::new();
    for ((repository, tag), digest) in kept {
        let found = contents.repositories.get(repository);
        if found.and_then(|found| found.tags.get(tag)) != Some(digest) {
            broken.push(format!("HARM: {repository}:{tag} is not where it was"));
        }
        let mut needed = vec![digest.clone()];
        while let Some(next) = needed.pop() {
            let manifest = found.and_then(|found| found.manifests.get(&next));
            let is_there = found.is_some_and(|found| found.blobs.contains_key(&next));
            match manifest {
                Some(manifest) => needed.extend(references(manifest)),
                None if is_there => {}
                None => broken.push(format!("HARM: {repository}:{tag} needs {next}, which is gone")),
            }
        }
    }
    broken
}

/// The exit code, the registry and what was said of both must agree.
fn ending(world: &World, answer: &Answer, trouble: Trouble, end: &Store) -> Vec<String> {
    let mut wrong = Wrong { told: String::new(), found: Vec::new() };
    let says = |words: &str| answer.mentions(words);
    wrong.unless(!says("internal error") && !says("panicked"), "a panic");
    match answer.code {
        None => wrong.unless(false, "the run did not end by itself"),
        Some(0) => {
            // A date that could not be read is no failure: its tag is kept. Neither is what a collection leaves: the next
            // run removes it. Both are said.
            let is_done = world.store() == *end || says("could not be read") || says("FAILED to remove");
            wrong.unless(is_done && !trouble.interrupts(), "it ended with 0 and is not done");
        }
        Some(130) => wrong.unless(trouble.interrupts(), "nobody interrupted it"),
        Some(code) => wrong.unless(!trouble.interrupts(), &format!("interrupted, it ended with {code}")),
    }
    let is_down = !world.engine.is_running(REGISTRY);
    let says_so = answer.code == Some(6) && says(&format!("docker start {REGISTRY}"));
    wrong.unless(!is_down || says_so, "the registry is down, and that is not said");
    wrong.unless(
        !world.engine.remembers_what_is_gone() || (answer.code != Some(0) && says("docker restart")),
        "a process that served across the sweep goes on",
    );
    wrong.found
}

/// What is gone and is not in the report, and what the report claims and is not gone.
fn unnamed(answer: &Answer, before: &Contents, after: &Contents) -> Vec<String> {
    const TOLD: [&str; 3] =
        ["Garbage collected in", "the garbage was collected", "removed until then was garbage"];
    let mut tags = (0, 0);
    let mut manifests = (0, 0);
    let mut blobs = 0;
    for (repository, was) in &before.repositories {
        let empty = Repository::default();
        let is = after.repositories.get(repository).unwrap_or(&empty);
        let count = |(gone, named): &mut (usize, usize), name: String, is_gone: bool| {
            if is_gone && answer.mentions(&format!("{name}:")) {
                *named += 1;
            }
            *gone += usize::from(is_gone);
        };
        for (tag, digest) in &was.tags {
            count(&mut tags, format!("{repository}:{tag}"), is.tags.get(tag) != Some(digest));
        }
        for digest in was.manifests.keys() {
            count(&mut manifests, format!("{repository}@{digest}"), !is.manifests.contains_key(digest));
        }
        blobs += was.blobs.keys().filter(|blob| !is.blobs.contains_key(*blob)).count();
    }
    let mut wrong = Vec::new();
    let words: Vec<&str> = answer.stdout.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    let deleted = words.iter().position(|word| *word == "Deleted");
    // `Deleted 2 tags and 3 manifests`
    let said = deleted.map_or((0, 0), |at| (number(at + 1).unwrap_or(0), number(at + 4).unwrap_or(0)));
    for (what, said, (gone, named)) in [("tags", said.0, tags), ("manifests", said.1, manifests)] {
        if said > gone || said + named < gone {
            wrong.push(format!("{gone} {what} are gone, {said} are said to be, {named} are named besides"));
        }
    }
    if blobs > 0 && !TOLD.iter().any(|words| answer.mentions(words)) {
        wrong.push(format!("{blobs} blobs were swept, and nothing says so"));
    }
    if blobs > 0 && answer.mentions("Put this back with") {
        wrong.push(format!("{blobs} blobs were swept, and a way back is offered as if none were"));
    }
    wrong
}

/// A run without a fault finishes what was left, and the one after it finds nothing to do.
fn again(world: &World, job: &Job, end: &Store, wrong: &mut Wrong) {
    if !world.engine.is_running(REGISTRY) {
        // As the run that left it so has told, or as the check before has already found.
        world.engine.start(REGISTRY);
    }
    let mut clean = job.run(world, job.words);
    // Once something was collected, a name that leads nowhere is a mistake again.
    if clean.code == Some(1) && world.has_collected() && clean.mentions("nothing was removed: no such tag") {
        clean = job.run(world, &remaining(job, &world.contents()));
    }
    wrong.tell(&clean);
    wrong.unless(clean.code == Some(0), "a clean run afterwards failed");
    let reached = world.store_but_for_a_lost_part();
    wrong.unless(reached == *end, &format!("a clean run ends elsewhere: {}", differs(&reached, end)));
    wrong.unless(world.engine.is_running(REGISTRY), "the registry is down after a clean run");
    wrong.unless(world.engine.others().is_empty(), "containers are left");
    wrong.unless(!world.engine.remembers_what_is_gone(), "a process that served across a sweep is left");
    let starts = world.engine.starts(REGISTRY);
    world.registry.forget_requests();
    let idle = job.run(world, &remaining(job, &world.contents()));
    let does_nothing = idle.code == Some(0)
        && world.registry.changes().is_empty()
        && world.engine.starts(REGISTRY) == starts;
    if !does_nothing {
        wrong.tell(&idle);
    }
    wrong.unless(does_nothing, "the run after that finds something to do");
}

/// The command a person would give when all was done: `rm` names what is still there.
fn remaining(job: &Job, contents: &Contents) -> Vec<&'static str> {
    let is_there = |word: &&str| match word.split_once(':') {
        Some((repository, tag)) => {
            contents.repositories.get(repository).is_some_and(|found| found.tags.contains_key(tag))
        }
        None => true,
    };
    let words: Vec<&str> = job.words.iter().copied().filter(is_there).collect();
    if words == ["rm", "--force", "--gc"] { vec!["gc", "--force"] } else { words }
}

fn differs(is: &Store, end: &Store) -> String {
    let mut text = format!("{} uploads", is.uploads);
    let (is, end) = (&is.contents, &end.contents);
    let _ = write!(text, "; {} unlinked; {:?}", is.unlinked.len(), is.repositories.keys());
    for (name, end) in &end.repositories {
        let Some(is) = is.repositories.get(name) else { continue };
        let only_in = |one: &BTreeMap<String, Manifest>, other: &BTreeMap<String, Manifest>| {
            one.keys().filter(|digest| !other.contains_key(*digest)).count()
        };
        let blobs = is.blobs.keys().filter(|digest| !end.blobs.contains_key(*digest)).count();
        let _ = write!(
            text,
            "; {name}: {} manifests more, {} fewer; tags {:?}; {blobs} blobs more",
            only_in(&is.manifests, &end.manifests),
            only_in(&end.manifests, &is.manifests),
            is.tags.keys().collect::<Vec<_>>(),
        );
    }
    text
}
