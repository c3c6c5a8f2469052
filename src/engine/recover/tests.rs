//! Whose run is dead, and what it had done.

use serde_json::json;

use super::*;
use SummaryState::{Created, Exited, Running};

fn trace(name: &str, state: SummaryState, life: Option<Life>) -> Trace {
    Trace {
        id: name.to_owned(),
        name: name.to_owned(),
        role: Role::Collector,
        state,
        created: 1_000,
        owner: None,
        life,
        was_running: true,
        is_live: false,
    }
}

fn leftover(states: &[SummaryState], owner: Option<Life>, registry_runs: bool) -> Leftover {
    let names = ["registry-prune-0123456789ab-dry", "registry-prune-0123456789ab-sweep"];
    Leftover {
        containers: states.iter().zip(names).map(|(&state, name)| trace(name, state, owner)).collect(),
        image: String::new(),
        registry: Some(RegistryTrace {
            name: "registry".to_owned(),
            is_running: registry_runs,
            is_busy: false,
            ports: Vec::new(),
        }),
    }
}

fn judge(leftover: &Leftover, seconds_later: i64) -> Verdict {
    leftover.judge(Timestamp::from_second(1_000 + seconds_later).unwrap())
}

#[test]
fn a_registry_at_another_port_is_not_the_one_that_does_not_answer() {
    let at = |ports: &[&str]| {
        let bindings: Vec<Value> = ports.iter().map(|port| json!({ "HostPort": port })).collect();
        let host = json!({ "PortBindings": { "5000/tcp": bindings } });
        Busy { refusal: Failure::refused("busy"), ports: published_ports(&host) }
    };
    assert!(at(&["5000"]).may_be_at(Some(5000)));
    assert!(!at(&["5000"]).may_be_at(Some(5001)));
    assert!(at(&[""]).may_be_at(Some(5001)), "a port of the engine's choice");
    assert!(at(&[]).may_be_at(Some(5001)), "the host's network");
}

#[test]
fn a_known_process_decides() {
    assert_eq!(judge(&leftover(&[Created, Created], Some(Life::Dead), true), 1), Verdict::Dead);
    assert_eq!(judge(&leftover(&[Running, Created], Some(Life::Dead), false), 1), Verdict::Dead);
    assert_eq!(judge(&leftover(&[Exited, Created], Some(Life::Alive), false), 9_999), Verdict::AtWork);
}

#[test]
fn an_unknown_process_is_judged_by_what_the_engine_shows() {
    let unknown = Some(Life::Unknown);
    assert_eq!(judge(&leftover(&[Running, Created], unknown, false), 9_999), Verdict::AtWork);
    assert_eq!(judge(&leftover(&[Created, Created], unknown, true), 30), Verdict::AtWork);
    assert_eq!(judge(&leftover(&[Created, Created], None, true), 9_999), Verdict::LooksDead);
    assert_eq!(judge(&leftover(&[Created, Created], unknown, false), 30), Verdict::LooksDead);
    assert_eq!(judge(&leftover(&[Exited, Created], unknown, false), 30), Verdict::LooksDead);
    assert_eq!(judge(&leftover(&[Exited, Exited], unknown, true), 30), Verdict::LooksDead);
}

#[test]
fn a_stand_in_alone_is_nobody_at_work() {
    let stand_in = Trace { role: Role::StandIn, ..trace("stand-in", Running, Some(Life::Unknown)) };
    let with_stand_in = |states: &[SummaryState]| {
        let mut leftover = leftover(states, Some(Life::Unknown), false);
        leftover.containers.push(stand_in.clone());
        leftover
    };
    assert_eq!(judge(&with_stand_in(&[Created, Created]), 30), Verdict::AtWork, "it is being looked at");
    assert_eq!(judge(&with_stand_in(&[Created, Created]), 9_999), Verdict::LooksDead);
    assert_eq!(judge(&with_stand_in(&[Exited, Created]), 30), Verdict::LooksDead);
    assert_eq!(judge(&with_stand_in(&[Exited, Running]), 9_999), Verdict::AtWork);
}

#[test]
fn a_live_collection_is_at_work_as_long_as_a_command_runs_inside() {
    let mut leftover = leftover(&[Created, Created], Some(Life::Unknown), true);
    leftover.containers.iter_mut().for_each(|trace| trace.is_live = true);
    assert_eq!(judge(&leftover, 9_999), Verdict::LooksDead);
    leftover.registry.as_mut().unwrap().is_busy = true;
    assert_eq!(judge(&leftover, 9_999), Verdict::AtWork);
}

#[test]
fn a_sweep_is_known_by_its_state_and_a_live_one_by_its_trace() {
    assert!(!leftover(&[Exited, Created], None, false).has_swept());
    assert!(leftover(&[Exited, Running], None, false).has_swept());
    assert!(leftover(&[Exited, Exited], None, false).has_swept());
    let mut live = leftover(&[Created], None, true);
    live.containers[0].is_live = true;
    assert!(!live.has_swept());
    let sweep = Trace { is_live: true, ..trace("registry-prune-0123456789ab-sweep", Created, None) };
    live.containers.push(sweep);
    assert!(live.has_swept());
}

#[test]
fn what_another_run_has_begun_meanwhile_is_not_what_was_judged() {
    let before = leftover(&[Exited, Exited], None, false);
    let mut half_removed = before.clone();
    half_removed.containers.pop();
    assert!(half_removed.is_still(&before));
    let mut begun_anew = before.clone();
    begun_anew.containers[0].id = "another".to_owned();
    assert!(!begun_anew.is_still(&before));
}
