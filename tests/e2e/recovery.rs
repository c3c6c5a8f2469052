//! What an interrupted collection leaves is put right: by itself where it still can, by whoever comes next where it was
//! killed. Two that want the same do not disturb each other.
//!
//! Whoever comes next may be another test's command, so what is checked is how things are afterwards, not who did it.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::content::Recipe;
use crate::support::engine::{docker_says, left_out};
use crate::support::registry::{Options, Registry};
use crate::support::tool::{Running, Tool};

/// A registry with something to keep and a sweep that takes a while.
fn registry(seed: &str) -> Registry {
    let registry = Registry::start();
    registry.client.push("app", &["kept"], &Recipe::new(seed).build());
    registry.leave_much_garbage();
    registry
}

/// The moments of a collection at which it can be interrupted, and how they show on the engine.
#[derive(Debug, Clone, Copy)]
enum Moment {
    JournalMade,
    RegistryStopped,
    StandInServes,
    DryRun,
    Sweep,
}

fn gc<'a>(registry: &'a Registry, mode: &'a str) -> [&'a str; 6] {
    ["gc", "--force", "--gc-mode", mode, "--registry", &registry.address]
}

fn recover_only(registry: &Registry) -> [&str; 3] {
    ["recover", "--container", &registry.name]
}

fn wait_for(moment: Moment, registry: &Registry, run: &mut Running) {
    run.until(&format!("{moment:?}"), || match moment {
        Moment::JournalMade => registry.has_one_off("dry", &[]),
        Moment::RegistryStopped => !registry.is_running(),
        Moment::StandInServes => registry.has_one_off("stand-in", &["running"]),
        Moment::DryRun => registry.has_one_off("dry", &["running", "exited"]),
        Moment::Sweep => registry.has_one_off("sweep", &["running"]),
    });
}

fn moments(mode: &str) -> Vec<Moment> {
    use Moment::{DryRun, JournalMade, RegistryStopped, StandInServes, Sweep};
    match mode {
        "read-only" => vec![JournalMade, RegistryStopped, StandInServes, DryRun, Sweep],
        _ => vec![JournalMade, RegistryStopped, DryRun, Sweep],
    }
}

fn signals_put_it_back(mode: &str) {
    if left_out() {
        return;
    }
    let registry = registry(&format!("signals {mode}"));
    let before = registry.identity();
    let tool = Tool::standalone();
    for (moment, signal) in moments(mode).into_iter().zip(["INT", "TERM", "HUP", "INT", "TERM"]) {
        let arguments = gc(&registry, mode);
        let mut run = tool.start(&arguments);
        wait_for(moment, &registry, &mut run);
        run.signal(signal);
        // Once more changes nothing; it may have ended by now.
        if !run.has_ended() {
            run.signal("INT");
        }
        let answer = run.wait();
        assert!(registry.is_running(), "{moment:?}\n{answer}");
        registry.assert_in_service();
        answer.exits(130);
        if matches!(moment, Moment::Sweep) {
            break;
        }
    }
    assert_eq!(registry.identity(), before);
    registry.assert_pulls("app", ["kept"]);
    tool.run(&gc(&registry, mode)).says_one_of(&["Garbage collected", "no garbage"]);
    assert_eq!(registry.blob_count(), 3);
}

#[test]
fn a_signal_at_any_moment_of_an_offline_collection_puts_the_registry_back() {
    signals_put_it_back("offline");
}

#[test]
fn a_signal_at_any_moment_of_a_read_only_collection_puts_the_registry_back() {
    signals_put_it_back("read-only");
}

fn kill_at(moment: Moment, mode: &str, registry: &Registry, tool: &Tool) {
    let arguments = gc(registry, mode);
    let mut run = tool.start(&arguments);
    wait_for(moment, registry, &mut run);
    run.signal("KILL");
    let _ = run.wait();
}

fn a_kill_is_recovered_from(mode: &str) {
    if left_out() {
        return;
    }
    let registry = registry(&format!("killed {mode}"));
    let before = registry.identity();
    let tool = Tool::standalone();
    for moment in moments(mode) {
        for recover in [&recover_only(&registry)[..], &["ls", "--registry", &registry.address]] {
            registry.leave_much_garbage();
            kill_at(moment, mode, &registry, &tool);
            tool.run(recover).success();
            registry.assert_in_service();
        }
    }
    tool.run(&recover_only(&registry)).success().says("There is nothing to recover");
    assert_eq!(registry.identity(), before);
    registry.assert_pulls("app", ["kept"]);
}

#[test]
fn a_killed_offline_collection_is_recovered_from_by_whoever_comes_next() {
    a_kill_is_recovered_from("offline");
}

#[test]
fn a_killed_read_only_collection_is_recovered_from_by_whoever_comes_next() {
    a_kill_is_recovered_from("read-only");
}

/// The process that served during the sweep remembers blobs that are gone.
#[test]
fn after_a_killed_live_sweep_the_registry_is_restarted() {
    if left_out() {
        return;
    }
    let registry = registry("killed live");
    let started = registry.started_at();
    let tool = Tool::standalone();
    let arguments = gc(&registry, "live");
    let mut run = tool.start(&arguments);
    run.until("the sweep has begun", || registry.has_one_off("sweep", &[]));
    run.signal("KILL");
    let _ = run.wait();
    let answer = tool.run(&recover_only(&registry)).success();
    assert_ne!(registry.started_at(), started, "{answer}");
    registry.assert_in_service();
    registry.assert_pulls("app", ["kept"]);
}

/// The engine goes on with a stop whose client is gone, and shows the container as running until the end.
#[test]
fn a_registry_that_is_still_stopping_is_started_once_it_has_stopped() {
    if left_out() {
        return;
    }
    let registry = Options::default().slow_to_stop().start();
    registry.client.push("app", &["kept"], &Recipe::new("slow to stop kept").build());
    registry.client.leave_garbage("app", "slow to stop");
    let tool = Tool::standalone();
    let arguments = gc(&registry, "offline");
    let mut run = tool.start(&arguments);
    run.until("it is told to stop", || registry.shell("ls /tmp") == "told-to-stop");
    let _ = run.kill();
    tool.run(&recover_only(&registry)).success();
    // Longer than it takes to stop.
    thread::sleep(Duration::from_secs(8));
    registry.assert_in_service();
    registry.assert_pulls("app", ["kept"]);
}

#[test]
fn a_recovery_that_was_killed_is_taken_over() {
    if left_out() {
        return;
    }
    let registry = registry("recovery killed");
    let tool = Tool::standalone();
    for moment in [Moment::RegistryStopped, Moment::StandInServes] {
        kill_at(moment, "read-only", &registry, &tool);
        let only = recover_only(&registry);
        let run = tool.start(&only);
        // It takes half a second and more; another test's command may have been faster.
        let begin = Instant::now();
        while !registry.has_one_off("recovery", &[]) && begin.elapsed() < Duration::from_secs(2) {}
        let _ = run.kill();
        tool.run(&only).success();
        registry.assert_in_service();
    }
    registry.assert_pulls("app", ["kept"]);
}

#[test]
fn of_several_that_recover_at_once_none_disturbs_the_others() {
    if left_out() {
        return;
    }
    let registry = registry("recovered at once");
    let tool = Tool::standalone();
    kill_at(Moment::Sweep, "read-only", &registry, &tool);
    let ls = ["ls", "--registry", &registry.address];
    let only = recover_only(&registry);
    let runs = [&only[..], &ls, &only, &ls].map(|words| tool.start(words));
    for run in runs {
        run.wait().success();
    }
    registry.assert_in_service();
    registry.assert_pulls("app", ["kept"]);
}

#[test]
fn a_second_client_is_refused_and_told_who_is_at_work() {
    if left_out() {
        return;
    }
    let registry = registry("two clients");
    let host = docker_says(["info", "--format", "{{.Name}}"]);
    let tool = Tool::standalone();
    for mode in ["offline", "read-only", "live"] {
        registry.leave_much_garbage();
        let arguments = gc(&registry, mode);
        let mut first = tool.start(&arguments);
        first.until("it has the lock", || registry.has_one_off("dry", &[]));
        // It takes its time.
        first.signal("STOP");
        let process = format!("process {} on `{host}` since", first.child.id());
        for second in
            [&arguments[..], &recover_only(&registry), &["rm", "--force", &registry.reference("app:kept")]]
        {
            tool.run(second).exits(4).says("is being collected").says(&process);
        }
        first.signal("CONT");
        first.wait().success();
        registry.assert_in_service();
    }
    registry.assert_pulls("app", ["kept"]);
    assert_eq!(registry.blob_count(), 3);
}

#[test]
fn a_container_that_is_not_there_cannot_be_recovered() {
    if left_out() {
        return;
    }
    Tool::standalone()
        .run(&["recover", "--container", "drp-no-such-registry"])
        .exits(1)
        .says("has no container");
}

/// A container that has only just been started does not hear that it is to stop.
#[test]
fn what_did_not_hear_that_it_is_to_stop_is_told_again() {
    if left_out() {
        return;
    }
    let registry = Options::default().slow_to_start().start();
    registry.client.push("app", &["kept"], &Recipe::new("told again").build());
    registry.leave_garbage_blobs(100);
    let stand_in = registry.one_off("stand-in");
    let tool = Tool::standalone();
    let mut run = tool.start(&gc(&registry, "read-only"));
    wait_for(Moment::StandInServes, &registry, &mut run);
    run.signal("INT");
    let answer = run.wait();
    registry.assert_in_service();
    registry.assert_pulls("app", ["kept"]);
    let filters = [format!("container={stand_in}"), "event=kill".to_owned()];
    let [container, event] = filters.each_ref().map(|filter| ["--filter", filter.as_str()]);
    let words = [
        &["events", "--since=5m", "--until=0s", "--format={{.Actor.Attributes.signal}}"],
        &container[..],
        &event[..],
    ];
    let signals = docker_says(words.concat());
    assert!(signals.contains("15") && !signals.lines().any(|signal| signal == "9"), "{signals}\n{answer}");
}
