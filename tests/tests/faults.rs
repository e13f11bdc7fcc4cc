//! Every kind of harm does what its name says, and lifting it ends it.
//!
//! Each case is run with the harm from 10 s to 14 s after ready, and without. What processes do differs with it; its
//! named effect is seen in the trace; after the lift the opposite is seen. Without the step the run is the old one again.

#[path = "faults/answers.rs"]
mod answers;
#[path = "faults/machines.rs"]
mod machines;
#[path = "faults/network.rs"]
mod network;

use klab_kafka::input::Closed;
use klab_kafka::protocol::Api;
use klab_kafka::time::{Duration, Time};
use klab_world::disks::Keep;
use klab_world::fault::{Fault, Intercept};
use klab_world::process::{Down, ProcessId};
use klab_world::scenario::selector::Selector;
use klab_world::scenario::{Action, Lasts, Scenario, ScenarioTime, Step, When};
use klab_world::trace::{Handled, ProcessFact, Record, What};
use klab_world::world::{Watch, World};
use std::sync::Arc;
use tests::Setting;

const FROM: Duration = Duration::secs(10);
const LASTS: Duration = Duration::secs(4);

struct Run {
    world: World,
}

impl Run {
    fn of(scenario: &Scenario) -> Run {
        let watch = Watch {
            records: true,
            checkers: false,
        };
        let mut world = World::new(Arc::new(scenario.clone()), 5, watch);
        world.run_to_end();
        Run { world }
    }

    fn p(&self, name: &str) -> ProcessId {
        klab_world::view::View::new(&self.world)
            .names()
            .find(name)
            .expect("it is there")
    }

    /// Records from so long after the harm began until so long after.
    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Record> {
        let begin = self.world.ready().expect("ready") + FROM;
        let (from, to) = (begin + from, begin + to);
        self.world
            .trace()
            .records()
            .iter()
            .filter(move |r| r.at >= from && r.at < to)
    }

    /// What processes did: all but the records of the harm itself.
    fn deeds(&self) -> Vec<(Time, Option<ProcessId>, &What)> {
        let records = self.world.trace().records().iter();
        let is_deed = |r: &&Record| !matches!(r.what, What::Fault { .. } | What::StepMissed { .. });
        records
            .filter(is_deed)
            .map(|r| (r.at, r.process, &r.what))
            .collect()
    }
}

fn story() -> Scenario {
    let mut setting = Setting::default().sends(400, 10);
    setting.scenario.end.at = Duration::secs(40);
    setting.scenario
}

fn with(fault: Fault<Selector>, lasts: Lasts) -> Scenario {
    with_in(&story(), fault, lasts)
}

fn with_in(base: &Scenario, fault: Fault<Selector>, lasts: Lasts) -> Scenario {
    let step = Step {
        id: 9,
        when: When::At(ScenarioTime(FROM.0 as i64)),
        action: Action::Fault(fault),
        lasts,
        optional: false,
    };
    base.with_step(step)
}

/// The story with another harm, so long after the first one begins, in both runs that are compared.
fn story_with(after: Duration, fault: Fault<Selector>, lasts: Lasts) -> Scenario {
    let step = Step {
        id: 8,
        when: When::At(ScenarioTime((FROM.0 + after.0) as i64)),
        action: Action::Fault(fault),
        lasts,
        optional: false,
    };
    story().with_step(step)
}

fn name(n: &str) -> Selector {
    Selector::Process(n.into())
}

/// Runs with the harm and without, and checks that it made a difference that goes away with it.
fn harmed(fault: Fault<Selector>) -> Run {
    harmed_in(&story(), fault)
}

fn harmed_in(base: &Scenario, fault: Fault<Selector>) -> Run {
    let plain = Run::of(base);
    let run = Run::of(&with_in(base, fault, Lasts::For(LASTS)));
    assert!(run.deeds() != plain.deeds(), "the processes notice");
    assert!(
        Run::of(base).deeds() == plain.deeds(),
        "without it all is as before"
    );
    run
}

fn is_handled_from(record: &Record, at: ProcessId, peer: ProcessId) -> bool {
    match record.what {
        What::Handled(Handled::Request { from, .. } | Handled::Response { from, .. }) => {
            record.process == Some(at) && from == peer
        }
        _ => false,
    }
}

/// Messages that `at` handled from `peer` well inside the harm, and after it.
fn heard(run: &Run, at: &str, peer: &str) -> (usize, usize) {
    let (at, peer) = (run.p(at), run.p(peer));
    let inside = run.between(Duration::millis(100), LASTS);
    let after = run.between(LASTS, LASTS + Duration::secs(15));
    (
        inside.filter(|r| is_handled_from(r, at, peer)).count(),
        after.filter(|r| is_handled_from(r, at, peer)).count(),
    )
}

#[test]
fn a_cut_holds_what_passes_both_ways_until_it_is_lifted() {
    let run = harmed(Fault::Cut {
        from: name("broker-2"),
        to: name("broker-1"),
        one_way: false,
    });
    let (inside, after) = heard(&run, "broker-1", "broker-2");
    assert_eq!(inside, 0);
    assert!(after > 0);
    assert_eq!(heard(&run, "broker-2", "broker-1").0, 0);
}

#[test]
fn a_one_way_cut_lets_the_other_way_pass() {
    let run = harmed(Fault::Cut {
        from: name("shop"),
        to: name("broker-1"),
        one_way: true,
    });
    assert_eq!(heard(&run, "broker-1", "shop").0, 0);
    let other = Run::of(&with(
        Fault::Cut {
            from: name("broker-1"),
            to: name("shop"),
            one_way: true,
        },
        Lasts::For(LASTS),
    ));
    assert!(
        heard(&other, "broker-1", "shop").0 > 0,
        "requests still arrive"
    );
    assert_eq!(heard(&other, "shop", "broker-1").0, 0, "answers do not");
}

#[test]
fn a_black_hole_swallows_for_good_and_only_new_connections_work() {
    let run = harmed(Fault::BlackHole {
        from: name("broker-1"),
        to: name("shop"),
    });
    assert_eq!(heard(&run, "shop", "broker-1").0, 0);
    let shop = run.p("shop");
    let reopened = run.between(LASTS, Duration::secs(60)).any(|r| {
        r.process == Some(shop)
            && matches!(r.what, What::Handled(Handled::Opened { peer, .. }) if peer == run.p("broker-1"))
    });
    assert!(
        reopened,
        "after its request timeout the client connects again"
    );
}

#[test]
fn a_reset_tells_both_ends() {
    let run = harmed(Fault::Reset {
        from: name("shop"),
        to: name("broker-1"),
    });
    let told = |at: &str| {
        let at = run.p(at);
        run.between(Duration::ZERO, Duration::secs(1)).any(|r| {
            r.process == Some(at)
                && matches!(
                    r.what,
                    What::Handled(Handled::Closed {
                        why: Closed::Reset,
                        ..
                    })
                )
        })
    };
    assert!(told("shop"));
    assert!(told("broker-1"));
}

#[test]
fn a_slow_link_stretches_every_message() {
    let run = harmed(Fault::SlowLink {
        from: name("shop"),
        to: name("broker-1"),
        factor: 100,
    });
    let ordinary = slowest(
        &run,
        "broker-1",
        "shop",
        LASTS + SETTLED,
        Duration::secs(20),
    );
    let slow = slowest(&run, "broker-1", "shop", Duration::millis(500), LASTS);
    assert!(
        slow >= Duration(ordinary.0 * 10),
        "{slow:?} against {ordinary:?}"
    );
}

/// After a harm has ended, this long.
const SETTLED: Duration = Duration::secs(5);

/// The longest way of a message that `at` handled from `peer`.
fn slowest(run: &Run, at: &str, peer: &str, from: Duration, to: Duration) -> Duration {
    let (at, peer) = (run.p(at), run.p(peer));
    let records = run.world.trace().records();
    let latency = |r: &Record| {
        let sent = &records[r.cause.expect("a message was sent") as usize - 1];
        r.at.since(sent.at)
    };
    let heard = run
        .between(from, to)
        .filter(|r| is_handled_from(r, at, peer));
    heard.map(latency).max().unwrap_or_default()
}

fn produce(response: bool) -> Intercept<Selector> {
    let (from, to) = (name("shop"), name("broker-1"));
    let (from, to) = if response { (to, from) } else { (from, to) };
    Intercept {
        api: Api::Produce,
        response,
        from,
        to,
        nth: 1,
    }
}

#[test]
fn a_held_response_holds_all_behind_it() {
    let run = harmed(Fault::Hold(produce(true)));
    let (inside, after) = heard(&run, "shop", "broker-1");
    assert_eq!(inside, 0, "nothing comes past the held response");
    assert!(after > 0, "and it comes when it is let go");
}

#[test]
fn a_lost_request_is_never_handled_and_breaks_its_connection() {
    let run = harmed(Fault::Lose(produce(false)));
    let records = run.world.trace().records();
    let began = run
        .between(Duration::ZERO, Duration::secs(1))
        .find(|r| matches!(r.what, What::Fault { .. }));
    let began = began.expect("the harm is recorded").seq;
    let sent = records.iter().find(|r| {
        r.seq > began
            && matches!(
                r.what,
                What::Sent {
                    api: Api::Produce,
                    response: false,
                    ..
                }
            )
    });
    let sent = sent.expect("the shop sends").seq;
    let is_of = |r: &&Record| {
        r.cause == Some(sent) && matches!(r.what, What::Handled(Handled::Request { .. }))
    };
    assert!(!records.iter().any(|r| is_of(&r)), "it arrives nowhere");
    let resets = run.between(Duration::ZERO, Duration::secs(2));
    let resets = resets.filter(|r| {
        matches!(
            r.what,
            What::Handled(Handled::Closed {
                why: Closed::Reset,
                ..
            })
        )
    });
    assert_eq!(resets.count(), 2);
}

fn ended(run: &Run, who: &str) -> Option<(Down, u64)> {
    let who = run.p(who);
    run.between(Duration::ZERO, LASTS)
        .find_map(|r| match r.what {
            What::Process(ProcessFact::Ended { how, batches_lost }) if r.process == Some(who) => {
                Some((how, batches_lost))
            }
            _ => None,
        })
}

fn started_after(run: &Run, who: &str) -> bool {
    let who = run.p(who);
    run.between(LASTS, LASTS + Duration::secs(1)).any(|r| {
        r.process == Some(who) && matches!(r.what, What::Process(ProcessFact::Started { .. }))
    })
}

#[test]
fn a_kill_loses_nothing_written_and_lifting_it_starts_the_process() {
    let run = harmed(Fault::Kill {
        who: name("broker-2"),
    });
    assert_eq!(ended(&run, "broker-2"), Some((Down::Killed, 0)));
    assert!(started_after(&run, "broker-2"));
}

#[test]
fn a_loss_of_power_loses_what_was_not_synced() {
    let run = harmed(Fault::PowerLoss {
        who: name("broker-2"),
        keep: Keep::Synced,
    });
    let (how, lost) = ended(&run, "broker-2").expect("it ends");
    assert_eq!(how, Down::PowerLost);
    assert!(lost > 0, "nothing of these ten seconds was flushed (L-32)");
    assert!(started_after(&run, "broker-2"));
}

#[test]
fn a_replaced_disk_is_empty() {
    let run = harmed(Fault::DiskLoss {
        who: name("broker-2"),
    });
    let who = run.p("broker-2");
    let lost = run
        .between(Duration::ZERO, LASTS)
        .find_map(|r| match r.what {
            What::Process(ProcessFact::DiskReplaced { batches_lost }) if r.process == Some(who) => {
                Some(batches_lost)
            }
            _ => None,
        });
    assert!(
        lost.expect("its disk is replaced") >= 90,
        "ten records a second for ten seconds"
    );
    assert!(started_after(&run, "broker-2"));
}

#[test]
fn a_paused_process_handles_nothing_until_it_resumes() {
    let run = harmed(Fault::Pause {
        who: name("broker-2"),
    });
    let who = run.p("broker-2");
    let handles = |r: &&Record| r.process == Some(who) && matches!(r.what, What::Handled(_));
    assert_eq!(
        run.between(Duration::ZERO, LASTS).filter(handles).count(),
        0
    );
    assert!(
        run.between(LASTS, LASTS + Duration::secs(1))
            .filter(handles)
            .count()
            > 0
    );
}

#[test]
fn a_process_that_is_asked_to_stop_ends_itself() {
    let run = harmed(Fault::Stop {
        who: name("broker-2"),
    });
    assert_eq!(ended(&run, "broker-2"), Some((Down::Exited, 0)));
    assert!(started_after(&run, "broker-2"));
}

#[test]
fn a_crash_of_everyone_brings_nobody_who_has_not_begun() {
    let who = Selector::Everyone;
    let run = Run::of(&with(Fault::Kill { who }, Lasts::For(LASTS)));
    let reader = run.p("reader");
    let began = |r: &&Record| {
        r.process == Some(reader) && matches!(r.what, What::Process(ProcessFact::Started { .. }))
    };
    let inside = run.between(Duration::ZERO, Duration::secs(20));
    assert_eq!(inside.filter(began).count(), 0);
    assert!(started_after(&run, "broker-2"));
}

#[test]
fn a_start_starts_what_does_not_run() {
    let mut scenario = with(
        Fault::Kill {
            who: name("broker-2"),
        },
        Lasts::UntilHeal,
    );
    scenario.steps.push(Step {
        id: 10,
        when: When::At(ScenarioTime((FROM.0 + LASTS.0) as i64)),
        action: Action::Fault(Fault::Start {
            who: name("broker-2"),
        }),
        lasts: Lasts::UntilHeal,
        optional: false,
    });
    assert!(started_after(&Run::of(&scenario), "broker-2"));
}
