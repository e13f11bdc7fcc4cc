//! What is done to processes inside their work: requests that are answered in their place, crash points, rolling restarts,
//! and steps that follow other steps.

use super::*;
use klab_kafka::event::{ClientEvent, ControllerEvent, Event, LogEvent};
use klab_kafka::ids::Offset;
use klab_kafka::protocol::ErrorCode;
use klab_world::ambush::{CrashPoint, POINTS};
use klab_world::scenario::selector::Known;
use klab_world::scenario::trigger::Trigger;
use klab_world::steps::Taped;
use std::collections::BTreeSet;

fn of(api: Api, from: &str, to: Selector) -> Intercept<Selector> {
    Intercept {
        api,
        response: false,
        from: name(from),
        to,
        nth: 1,
    }
}

/// Requests that were answered in a server's place, as the records of their sending and the errors.
fn answered(run: &Run, from: Duration, to: Duration) -> Vec<(u64, ErrorCode)> {
    let told = |r: &Record| match r.what {
        What::Answered { error, .. } => Some((r.cause?, error)),
        _ => None,
    };
    run.between(from, to).filter_map(told).collect()
}

#[test]
fn an_answer_in_a_servers_place_keeps_the_request_from_it_and_tells_the_error() {
    for (api, from, to, error) in [
        (
            Api::Produce,
            "shop",
            name("broker-1"),
            ErrorCode::NotEnoughReplicas,
        ),
        (
            Api::Fetch,
            "broker-2",
            name("broker-1"),
            ErrorCode::UnknownLeaderEpoch,
        ),
        (
            Api::BrokerHeartbeat,
            "broker-2",
            Selector::Controllers,
            ErrorCode::NotController,
        ),
    ] {
        let of = of(api, from, to);
        let take = 1_000;
        let run = harmed(Fault::Answer { of, take, error });
        let inside = answered(&run, Duration::ZERO, LASTS);
        assert!(!inside.is_empty(), "{api:?}");
        assert!(inside.iter().all(|(_, e)| *e == error), "{api:?}");
        let sent: BTreeSet<u64> = inside.iter().map(|(sent, _)| *sent).collect();
        let reached = |r: &Record| {
            matches!(r.what, What::Handled(Handled::Request { .. }))
                && r.cause.is_some_and(|c| sent.contains(&c))
        };
        assert!(!run.between(Duration::ZERO, LASTS).any(reached), "{api:?}");
        let after = answered(&run, LASTS, LASTS + SETTLED);
        assert!(after.is_empty(), "{api:?}");
    }
}

#[test]
fn a_producer_tries_again_what_was_refused_in_its_leaders_place() {
    let of = Intercept {
        nth: 2,
        ..of(Api::Produce, "shop", name("broker-1"))
    };
    let (take, error) = (3, ErrorCode::NotEnoughReplicas);
    let run = harmed(Fault::Answer { of, take, error });
    assert_eq!(answered(&run, Duration::ZERO, LASTS).len(), 3);
    let retried = run.between(Duration::ZERO, LASTS).filter(|r| {
        let What::Told(Event::Client(_, ClientEvent::Retried { error, .. })) = r.what else {
            return false;
        };
        error == ErrorCode::NotEnoughReplicas
    });
    assert_eq!(retried.count(), 3);
    let failed = |r: &&Record| {
        matches!(
            r.what,
            What::Told(Event::Client(_, ClientEvent::Failed { .. }))
        )
    };
    let records = run.world.trace().records();
    assert_eq!(records.iter().filter(failed).count(), 0);
}

#[test]
fn a_throttled_connection_is_read_once_in_a_while() {
    let run = harmed(Fault::Throttle {
        of: of(Api::Produce, "shop", name("broker-1")),
        take: 1_000,
        by: Duration::secs(1),
    });
    let (inside, after) = heard(&run, "broker-1", "shop");
    assert!((2..=5).contains(&inside), "{inside}: one a second");
    assert!(after > 50, "{after}: ten a second and what waited");
}

/// Who passes a point, and what else must happen for that.
type Passing = (CrashPoint, Selector, Option<Fault<Selector>>);

fn passings() -> Vec<Passing> {
    use CrashPoint::*;
    let broker = || name("broker-2");
    vec![
        (AfterAppend, broker(), None),
        (AfterMetadataAppend, Selector::ActiveController, None),
        (BeforeAnswer, name("broker-1"), None),
        (BeforeRequest, name("shop"), None),
        (AfterRequest, name("shop"), None),
        (OnAnswer, name("shop"), None),
        (BetweenCheckpoints, broker(), None),
        (
            AfterTruncation,
            broker(),
            Some(Fault::PowerLoss {
                who: broker(),
                keep: Keep::Bytes(1),
            }),
        ),
        (
            AfterEpoch,
            broker(),
            Some(Fault::Stop {
                who: name("broker-1"),
            }),
        ),
        (
            AfterVote,
            Selector::Controllers,
            Some(Fault::Kill {
                who: Selector::ActiveController,
            }),
        ),
        (AfterRoll, broker(), Some(Fault::DiskLoss { who: broker() })),
        (BeforeFlush, Selector::ActiveController, None),
        (
            AfterCleanMarker,
            broker(),
            Some(Fault::Stop { who: broker() }),
        ),
    ]
}

#[test]
fn each_crash_point_is_passed_and_kills_there_and_lifting_it_starts_the_process() {
    let passings = passings();
    assert_eq!(passings.len(), POINTS.len());
    for (point, who, other) in passings {
        // Who dies on its way to a clean stop is down already; the others die once they are back.
        let other_lasts = match point {
            CrashPoint::AfterCleanMarker => Lasts::UntilHeal,
            _ => Lasts::For(Duration::secs(2)),
        };
        let base = match other {
            None => story(),
            Some(other) => story_with(Duration::millis(500), other, other_lasts),
        };
        let lasts = Duration::secs(12);
        let (fault, lasts_for) = (
            Fault::CrashAt {
                who,
                point,
                power: None,
            },
            Lasts::For(lasts),
        );
        let run = Run::of(&with_in(&base, fault, lasts_for));
        let laid = run.between(Duration::ZERO, Duration::millis(1));
        let laid = laid
            .filter(|r| matches!(r.what, What::Fault { step: 9, .. }))
            .map(|r| r.seq)
            .next()
            .expect("it is told");
        let died: Vec<&Record> = run
            .between(Duration::ZERO, lasts)
            .filter(|r| {
                r.cause == Some(laid) && matches!(r.what, What::Process(ProcessFact::Ended { .. }))
            })
            .collect();
        assert!(!died.is_empty(), "{point:?} is never passed");
        for r in died {
            let mut back = run.between(lasts, lasts + Duration::millis(1));
            let starts = |s: &Record| {
                s.process == r.process
                    && matches!(s.what, What::Process(ProcessFact::Started { .. }))
            };
            assert!(back.any(starts), "{point:?}");
        }
    }
}

#[test]
fn a_leader_that_dies_after_its_append_has_the_batch_and_sent_no_answer() {
    let run = Run::of(&with(
        Fault::CrashAt {
            who: name("broker-1"),
            point: CrashPoint::AfterAppend,
            power: None,
        },
        Lasts::For(LASTS),
    ));
    let broker = run.p("broker-1");
    let records = run.world.trace().records();
    let died = records
        .iter()
        .find(|r| {
            r.process == Some(broker) && matches!(r.what, What::Process(ProcessFact::Ended { .. }))
        })
        .expect("it dies");
    let step = records[..died.seq as usize - 1]
        .iter()
        .rev()
        .find(|r| r.process == Some(broker) && matches!(r.what, What::Handled(_)))
        .expect("it dies in a step");
    let is_produce = |api: Api| api == Api::Produce;
    assert!(
        matches!(step.what, What::Handled(Handled::Request { api, .. }) if is_produce(api)),
        "{step:?}"
    );
    let answers = records
        .iter()
        .any(|r| r.cause == Some(step.seq) && matches!(r.what, What::Sent { response: true, .. }));
    assert!(!answers);
}

/// How broker-1 died right behind an append, and its log: the end that it told last, the start of its last segment, and the
/// end that it came back with.
#[derive(PartialEq, Debug)]
struct Death {
    how: Down,
    end: Offset,
    closed: Offset,
    back: Offset,
}

/// broker-1 dies right behind an append, with its power or without, in a story whose segments hold a few batches each.
fn dies_after_append(power: Option<Keep>) -> Death {
    let mut setting = Setting::default().sends(400, 10);
    setting = setting.topic_config("segment.bytes", "1024");
    setting.scenario.end.at = Duration::secs(40);
    let fault = Fault::CrashAt {
        who: name("broker-1"),
        point: CrashPoint::AfterAppend,
        power,
    };
    let run = Run::of(&with_in(&setting.scenario, fault, Lasts::For(LASTS)));
    let (how, _) = ended(&run, "broker-1").expect("it dies");
    let broker = run.p("broker-1");
    let view = klab_world::view::View::new(&run.world);
    let orders = view.partition(tests::TOPIC, 0).expect("it exists");
    let (mut end, mut closed) = (Offset(0), Offset(0));
    let of_log = run
        .world
        .trace()
        .records()
        .iter()
        .filter_map(|r| match &r.what {
            What::Told(Event::Log(tp, e)) if *tp == orders && r.process == Some(broker) => Some(e),
            _ => None,
        });
    for event in of_log {
        match *event {
            LogEvent::Appended { ref batch, .. } => end = batch.end_offset(),
            LogEvent::Rolled { base_offset } => closed = base_offset,
            LogEvent::Recovered { leo: back, .. } => {
                return Death {
                    how,
                    end,
                    closed,
                    back,
                };
            }
            _ => {}
        }
    }
    panic!("it comes back with its log")
}

#[test]
fn a_crash_point_that_takes_the_power_takes_with_it_all_that_was_written_since_the_last_flush() {
    let killed = dies_after_append(None);
    assert_eq!(killed.how, Down::Killed);
    let end = killed.end.plus(1);
    assert_eq!(
        killed.back, end,
        "the last one is in the file, and nobody was told"
    );
    let dark = dies_after_append(Some(Keep::Synced));
    let expected = Death {
        how: Down::PowerLost,
        back: dark.closed,
        ..killed
    };
    assert_eq!(
        dark, expected,
        "at the same point, and only closed segments are left"
    );
    assert!(
        Offset(0) < dark.closed,
        "some were closed, and flushed with it"
    );
    assert!(dark.closed < dark.end, "and then more was written");
}

fn roll(kill: bool) -> Scenario {
    let mut scenario = story();
    scenario.end.at = Duration::secs(150);
    scenario.with_step(Step {
        id: 9,
        when: When::At(ScenarioTime(FROM.0 as i64)),
        action: Action::Roll {
            who: Selector::Brokers,
            kill,
            down: Duration::secs(2),
        },
        lasts: Lasts::UntilHeal,
        optional: false,
    })
}

#[test]
fn a_rolling_restart_takes_one_broker_at_a_time_and_waits_until_all_are_in_sync() {
    for kill in [false, true] {
        let run = Run::of(&roll(kill));
        let stopped: Vec<(Time, &str)> = run
            .world
            .tape()
            .iter()
            .filter_map(|e| match &e.what {
                Taped::Fault(Fault::Stop { who } | Fault::Kill { who }, _) => {
                    let view = klab_world::view::View::new(&run.world);
                    Some((e.at, view.names().of(who[0])))
                }
                _ => None,
            })
            .collect();
        let names: Vec<&str> = stopped.iter().map(|(_, n)| *n).collect();
        assert_eq!(names, ["broker-1", "broker-2", "broker-3"], "{kill}");
        let mut isr = 3;
        let mut next = stopped.iter();
        let mut due = next.next();
        for r in run.world.trace().records() {
            if due.is_some_and(|(at, _)| r.at >= *at) {
                assert_eq!(isr, 3, "before {due:?}");
                due = next.next();
            }
            if let What::Told(Event::Controller(
                ControllerEvent::IsrCommitted { isr: now, .. }
                | ControllerEvent::LeaderElected { isr: now, .. },
            )) = &r.what
            {
                isr = now.len();
            }
        }
        assert_eq!(isr, 3, "in the end");
    }
}

#[test]
fn the_tape_of_a_rolling_restart_repeats_it() {
    let run = Run::of(&roll(true));
    let watch = Watch {
        records: false,
        checkers: false,
    };
    let tape = Arc::new(run.world.tape().to_vec());
    let mut again = World::replay(Arc::new(roll(true)), 5, watch, tape);
    again.run_to_end();
    assert_eq!(again.hash(), run.world.hash());
}

#[test]
fn a_step_can_follow_the_end_of_another() {
    let mut scenario = with(
        Fault::Pause {
            who: name("broker-2"),
        },
        Lasts::For(LASTS),
    );
    let known = Known::default();
    scenario.steps.push(Step {
        id: 10,
        when: When::Met {
            trigger: Trigger::parse("step 9 ended", &known).expect("a trigger"),
            nth: 1,
            after: Duration::secs(1),
            only_while: None,
        },
        action: Action::Fault(Fault::Pause {
            who: Selector::AnyOf(Box::new(Selector::Isr(
                klab_world::scenario::selector::TopicPartition {
                    topic: "orders".into(),
                    partition: 0,
                },
            ))),
        }),
        lasts: Lasts::For(LASTS),
        optional: false,
    });
    let run = Run::of(&scenario);
    let [first, second] = run.world.tape() else {
        panic!("two steps")
    };
    assert_eq!(second.at, first.at + LASTS + Duration::secs(1));
    let Taped::Fault(Fault::Pause { who }, _) = &second.what else {
        panic!("a pause")
    };
    assert_eq!(who.len(), 1, "one of the members");
}
