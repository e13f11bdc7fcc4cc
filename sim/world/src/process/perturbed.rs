//! Whatever is changed in the state of a machine, alone, gives the run another hash; so does one step of any kind of process.
//!
//! What a process is made of is private to its role. That nothing of it is left out is a rule of the tidy test: no field of
//! the engine's state is skipped, but for those that it names.

use super::*;
use crate::perturbing::{Change, each_is_seen, on_its_way};
use crate::world::World;
use klab_kafka::client::admin::calls::Ask;
use klab_kafka::ids::CorrelationId;
use klab_kafka::input::Closed;
use klab_kafka::time::Timestamp;
use std::collections::BTreeSet;

fn machine(w: &mut World) -> &mut Machine {
    let broker = w.names.find("broker-1").expect("there is one");
    &mut w.machines[broker.index()]
}

fn pending(cause: u64, input: Coming) -> Pending {
    Pending { cause, input }
}

#[test]
fn any_field_of_a_machine_changes_the_hash() {
    let mut world = on_its_way();
    let Machine {
        process: _,
        listening: _,
        down: _,
        disk: _,
        clocks: _,
        starts: _,
        busy_until: _,
        paused: _,
        stopping: _,
        restart: _,
        slow: _,
        inbox: _,
        held: _,
        alarms: _,
        waking: _,
    } = machine(&mut world);
    let Clocks {
        start: _,
        ahead_ms: _,
        drift: _,
    } = machine(&mut world).clocks;
    each_is_seen(
        &world,
        &[
            ("process", |w| machine(w).process = None),
            ("listening", |w| machine(w).listening ^= true),
            ("down", |w| machine(w).down = Some(Down::New)),
            ("disk", |w| machine(w).disk = Disk::default()),
            ("the wall clock's start", |w| {
                machine(w).clocks.start = Timestamp(1)
            }),
            ("how far it is ahead", |w| machine(w).clocks.ahead_ms += 1),
            ("drift", |w| machine(w).clocks.drift.ppm += 1),
            ("since when it drifts", |w| {
                machine(w).clocks.drift.since.0 += 1
            }),
            ("how far it drifted", |w| {
                machine(w).clocks.drift.ahead_ns += 1
            }),
            ("starts", |w| machine(w).starts += 1),
            ("busy_until", |w| machine(w).busy_until.0 += 1),
            ("paused", |w| machine(w).paused ^= true),
            ("stopping", |w| machine(w).stopping ^= true),
            ("restart", |w| machine(w).restart ^= true),
            ("slow", |w| machine(w).slow += 1),
            ("inbox", |w| {
                machine(w).inbox.push_back(pending(1, Coming::Stop))
            }),
            ("held", |w| {
                machine(w).held.push(Output::Close { conn: ConnId(1) })
            }),
            ("alarms", |w| machine(w).alarms.clear()),
            ("waking", |w| machine(w).waking ^= true),
        ],
    );
}

#[test]
fn every_reason_to_be_down_changes_the_hash() {
    let world = on_its_way();
    each_is_seen(
        &world,
        &[
            ("new", |w| machine(w).down = Some(Down::New)),
            ("killed", |w| machine(w).down = Some(Down::Killed)),
            ("power lost", |w| machine(w).down = Some(Down::PowerLost)),
            ("exited", |w| machine(w).down = Some(Down::Exited)),
        ],
    );
}

fn come(w: &mut World, cause: u64, input: Coming) {
    machine(w).inbox.push_back(pending(cause, input));
}

/// A new kind belongs into the test below.
fn is_tested(coming: &Coming) -> bool {
    match coming {
        Coming::Network(_, arrival) => match arrival {
            Arrival::Accepted { peer: _ } | Arrival::Opened { peer: _ } => true,
            Arrival::Closed(_) | Arrival::Sent(_) => true,
            // Their contents are those of a message: see the network's own test.
            Arrival::Request { .. } | Arrival::Response { .. } => true,
        },
        Coming::Timer(_) | Coming::Synced(..) | Coming::Command(_) | Coming::Stop => true,
    }
}

#[test]
fn every_kind_of_waiting_input_changes_the_hash() {
    let world = on_its_way();
    assert!(is_tested(&Coming::Stop));
    each_is_seen(
        &world,
        &[
            ("a wish to stop", |w| come(w, 1, Coming::Stop)),
            ("its cause", |w| come(w, 2, Coming::Stop)),
            ("a timer", |w| come(w, 1, Coming::Timer(Timer::Raft))),
            ("another timer", |w| {
                come(w, 1, Coming::Timer(Timer::Network))
            }),
            ("a sync", |w| {
                come(w, 1, Coming::Synced(FileId::QuorumState, Ok(())))
            }),
            ("one that failed", |w| {
                come(
                    w,
                    1,
                    Coming::Synced(FileId::QuorumState, Err(DiskError::Full)),
                )
            }),
            ("a command", |w| come(w, 1, Coming::Command(Command::Start))),
            ("another command", |w| {
                come(w, 1, Coming::Command(Command::Finish))
            }),
            ("accepted", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(1), Arrival::Accepted { peer: ProcessId(1) }),
                )
            }),
            ("on another connection", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(2), Arrival::Accepted { peer: ProcessId(1) }),
                )
            }),
            ("by another", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(1), Arrival::Accepted { peer: ProcessId(2) }),
                )
            }),
            ("opened", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(1), Arrival::Opened { peer: ProcessId(1) }),
                )
            }),
            ("closed", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(1), Arrival::Closed(Closed::Reset)),
                )
            }),
            ("sent", |w| {
                come(
                    w,
                    1,
                    Coming::Network(ConnId(1), Arrival::Sent(CorrelationId(1))),
                )
            }),
        ],
    );
}

#[test]
fn any_field_of_the_alarms_changes_the_hash() {
    let mut world = on_its_way();
    machine(&mut world).alarms.set(Timer::Raft, Time(5));
    let Alarms {
        set: _,
        next: _,
        due: _,
        // The list says it.
        first: _,
    } = &machine(&mut world).alarms;
    each_is_seen(
        &world,
        &[
            ("when", |w| {
                machine(w).alarms.set.last_mut().expect("just set").0 = Time(6)
            }),
            ("its number", |w| {
                machine(w).alarms.set.last_mut().expect("just set").1 += 9
            }),
            ("for what", |w| {
                machine(w).alarms.set.last_mut().expect("just set").2 = Timer::App(7)
            }),
            ("next", |w| machine(w).alarms.next += 1),
            ("due", |w| machine(w).alarms.due = None),
        ],
    );
}

/// Which kind of process it is. A new kind belongs into the test below.
fn kind(process: &Process) -> &'static str {
    match process {
        Process::Broker(_) => "a broker",
        Process::Controller(_) => "a controller",
        Process::Admin(_) => "an operator",
        Process::App(app) => match **app {
            App::Producing(_) => "a producer",
            App::Consuming(_) => "a consumer",
            App::Reading(_) => "the reader",
        },
    }
}

/// Lets a process take an input; what it wants done is not done.
fn step(w: &mut World, name: &str, input: Input) {
    let p = w.names.find(name).expect("it is there");
    let mut process = w.machines[p.index()].process.take().expect("it runs");
    w.with_machine(p, &mut Vec::new(), |cx| process.handle(input, cx));
    w.machines[p.index()].process = Some(process);
}

#[test]
fn one_step_of_any_kind_of_process_changes_the_hash() {
    let world = on_its_way();
    let running = world.machines.iter().filter_map(|m| m.process.as_ref());
    let kinds: BTreeSet<&str> = running.map(kind).collect();
    let changes: [Change; 6] = [
        ("a broker", |w| step(w, "broker-1", Input::Stop)),
        ("a controller", |w| step(w, "controller-1", Input::Stop)),
        ("an operator", |w| {
            step(
                w,
                "admin",
                Input::Command(Command::Call(Ask::DescribeTopics(Vec::new()))),
            )
        }),
        ("a producer", |w| step(w, "shop", Input::Stop)),
        ("a consumer", |w| step(w, "auditor", Input::Stop)),
        ("the reader", |w| {
            step(w, "reader", Input::Timer(Timer::App(0)))
        }),
    ];
    assert_eq!(kinds, changes.iter().map(|(kind, _)| *kind).collect());
    each_is_seen(&world, &changes);
}
