//! What spoils machines while they run: wrong clocks, slow processors, disks that hang, tear, fill up or die.

use super::*;
use klab_kafka::event::{Event, LogEvent};
use klab_world::network::harm::Tail;

/// How far records are stamped ahead of true time, in ms, as the leader appends them.
fn stamped_ahead(run: &Run, from: Duration, to: Duration) -> Vec<i64> {
    let start = run.world.scenario().start;
    let ahead = |r: &Record| match &r.what {
        What::Told(Event::Log(
            _,
            LogEvent::Appended {
                batch,
                as_leader: true,
            },
        )) if !batch.data.ids().is_empty() => {
            let now = start.0 + i64::try_from(r.at.0 / 1_000_000).expect("a short run");
            Some(batch.data.max_timestamp.0 - now)
        }
        _ => None,
    };
    run.between(from, to).filter_map(ahead).collect()
}

#[test]
fn a_clock_that_jumps_stamps_other_times_and_is_set_right_again() {
    let jump = |ahead_ms| Fault::Clock {
        who: name("shop"),
        ahead_ms,
    };
    for ahead_ms in [600_000, -7_200_000] {
        let run = harmed(jump(ahead_ms));
        let inside = stamped_ahead(&run, Duration::millis(200), LASTS);
        assert!(inside.len() > 20);
        assert!(inside.iter().all(|ms| ms.abs_diff(ahead_ms) < 100));
        let after = stamped_ahead(&run, LASTS + SETTLED, LASTS + SETTLED + SETTLED);
        assert!(after.len() > 20);
        assert!(after.iter().all(|ms| ms.abs_diff(0) < 100));
    }
}

#[test]
fn a_jump_of_a_wall_clock_moves_no_timeout() {
    let elections = |run: &Run| {
        let is = |w: &What| {
            matches!(
                w,
                What::Told(Event::Controller(_) | Event::Raft(_) | Event::Replica(..))
            )
        };
        let records = run.world.trace().records().iter();
        let facts: Vec<_> = records
            .filter(|r| is(&r.what))
            .map(|r| (r.at, r.what.clone()))
            .collect();
        facts
    };
    let who = Selector::Several(vec![Selector::Brokers, Selector::Controllers]);
    let ahead_ms = 3_000_000;
    let run = Run::of(&with(Fault::Clock { who, ahead_ms }, Lasts::For(LASTS)));
    assert!(elections(&run) == elections(&Run::of(&story())));
}

#[test]
fn a_drifting_clock_gains_ten_ms_a_second_until_it_is_set_right() {
    let run = harmed(Fault::Drift {
        who: name("shop"),
        ppm: 10_000,
    });
    let late = LASTS - Duration::millis(500);
    let inside = stamped_ahead(&run, late, LASTS);
    assert!(inside.iter().all(|ms| (20..=42).contains(ms)), "{inside:?}");
    assert!(!inside.is_empty());
    let after = stamped_ahead(&run, LASTS + SETTLED, LASTS + SETTLED + SETTLED);
    assert!(after.iter().all(|ms| *ms <= 0), "{after:?}");
}

#[test]
fn a_slow_node_takes_its_time_for_everything() {
    let run = harmed(Fault::SlowNode {
        who: name("broker-1"),
        factor: 1_000,
    });
    let slow = slowest(&run, "shop", "broker-1", Duration::millis(100), LASTS);
    assert!(slow >= Duration::millis(5), "{slow:?}");
    let ordinary = slowest(
        &run,
        "shop",
        "broker-1",
        LASTS + SETTLED,
        Duration::secs(20),
    );
    assert!(ordinary < Duration::millis(4), "{ordinary:?}");
}

fn syncs(run: &Run, from: Duration, to: Duration) -> usize {
    let is = |r: &&Record| matches!(r.what, What::Handled(Handled::Synced { .. }));
    run.between(from, to).filter(is).count()
}

#[test]
fn a_stalled_disk_finishes_no_sync_until_it_goes_on() {
    let run = harmed(Fault::Stall {
        who: Selector::Everyone,
    });
    assert_eq!(syncs(&run, Duration::ZERO, LASTS), 0);
    assert!(syncs(&run, LASTS, LASTS + Duration::secs(1)) > 0);
    assert!(syncs(&Run::of(&story()), Duration::ZERO, LASTS) > 0);
}

/// The longest time from an append of a controller to the next sync that it learns of.
fn longest_sync(run: &Run) -> Duration {
    let mut waits = std::collections::BTreeMap::new();
    let mut longest = Duration::ZERO;
    for r in run.world.trace().records() {
        let at = r.process;
        match &r.what {
            What::Told(Event::Log(_, LogEvent::Appended { .. })) => {
                waits.entry(at).or_insert(r.at);
            }
            What::Handled(Handled::Synced { .. }) => {
                let wait = waits.remove(&at).map(|from| r.at.since(from));
                let controller = at == Some(run.p("controller-1"));
                longest = longest.max(wait.filter(|_| controller).unwrap_or_default());
            }
            _ => {}
        }
    }
    longest
}

#[test]
fn a_tail_of_syncs_makes_a_few_slow() {
    let mut tailed = story();
    tailed.cluster.sync_tail = Some(Tail {
        ppm: 500_000,
        upto: 200_000_000,
    });
    let (plain, slow) = (
        longest_sync(&Run::of(&story())),
        longest_sync(&Run::of(&tailed)),
    );
    assert!(plain < Duration::millis(20), "{plain:?}");
    assert!(slow > Duration(2 * plain.0), "{slow:?} against {plain:?}");
}

#[test]
fn power_that_goes_in_the_middle_of_a_batch_tears_it_and_recovery_cuts_it_off() {
    let run = harmed(Fault::PowerLoss {
        who: name("broker-2"),
        keep: Keep::Bytes(1),
    });
    let (how, lost) = ended(&run, "broker-2").expect("it ends");
    assert_eq!(how, Down::PowerLost);
    assert!(lost > 0);
    let who = run.p("broker-2");
    let mut after = run.between(LASTS, LASTS + Duration::secs(1));
    let is_cut = |r: &Record| {
        r.process == Some(who)
            && matches!(
                r.what,
                What::Told(Event::Log(_, LogEvent::Recovered { torn: true, .. }))
            )
    };
    assert!(after.any(is_cut), "a cut at any byte lies in a batch");
}

#[test]
fn a_broker_whose_only_log_directory_fails_halts_and_comes_back_with_its_disk() {
    for full in [true, false] {
        let who = name("broker-2");
        let run = harmed(Fault::FailDisk { who, full });
        assert_eq!(ended(&run, "broker-2"), Some((Down::Exited, 0)));
        assert!(started_after(&run, "broker-2"));
        let who = run.p("broker-2");
        let mut starts = run.between(Duration::ZERO, LASTS);
        let is_start = |r: &Record| {
            r.process == Some(who) && matches!(r.what, What::Process(ProcessFact::Started { .. }))
        };
        assert!(!starts.any(is_start), "nobody starts it on a bad disk");
    }
}

#[test]
fn a_controller_whose_disk_dies_halts_and_another_takes_over() {
    let run = Run::of(&with(
        Fault::FailDisk {
            who: Selector::ActiveController,
            full: false,
        },
        Lasts::For(Duration::secs(10)),
    ));
    let [entry] = run.world.tape() else {
        panic!("one harm")
    };
    let klab_world::steps::Taped::Fault(Fault::FailDisk { who, .. }, _) = &entry.what else {
        panic!("a dead disk")
    };
    let ended = |r: &Record| {
        r.process == Some(who[0])
            && matches!(r.what, What::Process(ProcessFact::Ended { how, .. }) if how == Down::Exited)
    };
    assert!(run.between(Duration::ZERO, Duration::secs(2)).any(ended));
    let elected = |r: &Record| {
        matches!(
            r.what,
            What::Told(Event::Controller(
                klab_kafka::event::ControllerEvent::Activated { .. }
            ))
        ) && r.process != Some(who[0])
    };
    let mut later = run.between(Duration::ZERO, Duration::secs(10));
    assert!(later.any(elected));
}

#[test]
fn who_halts_at_every_boot_is_started_again_once_a_second_until_the_run_gives_up() {
    // Brokers that hold more of the metadata log than a quorum that forgot it halt.
    let who = Selector::Controllers;
    let run = Run::of(&with(
        Fault::DiskLoss { who },
        Lasts::For(Duration::secs(1)),
    ));
    assert!(
        run.world.stuck().is_some(),
        "no harm of this size is mended"
    );
    let broker = run.p("broker-2");
    let since = run.world.ready().expect("ready") + run.world.scenario().end.at;
    let starts = run.world.trace().records().iter().filter(|r| {
        let is_start = matches!(r.what, What::Process(ProcessFact::Started { .. }));
        r.process == Some(broker) && r.at >= since && is_start
    });
    let starts: Vec<Time> = starts.map(|r| r.at).collect();
    assert!(starts.len() > 10, "{} starts", starts.len());
    for pair in starts.windows(2) {
        assert!(pair[1].since(pair[0]) >= Duration::millis(900), "{pair:?}");
    }
}

// Seed 1049 of the free half: the copy came to the checkers behind the loss that it had set off, and lay in no log's end.
#[test]
fn a_loss_that_an_append_sets_off_is_learnt_behind_it() {
    let text = r#"{
        "format": 1,
        "title": "A loss right behind an append",
        "topics": { "orders": { "replication.factor": 3 } },
        "producers": { "shop": { "topic": "orders", "records": 100, "rate": "50/s", "config": { "acks": "0" } } },
        "steps": [
            {
                "when": "leader of orders-0 appended offset 30",
                "crash": "leader of orders-0",
                "how": "power-loss",
                "for": "20s"
            }
        ]
    }"#;
    let scenario = Scenario::parse("loss.jsonc", text).unwrap_or_else(|e| panic!("{e}"));
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario), 1, watch);
    world.run_to_end();
    let view = klab_world::view::View::new(&world);
    let verdict = world.checkers().expect("watched").verdict(view);
    let broken: Vec<String> = verdict.broken.iter().map(|v| v.to_string()).collect();
    assert_eq!(broken, Vec::<String>::new());
    assert!(
        verdict
            .found(klab_world::verdict::FindingKind::Lost)
            .count()
            > 0
    );
}
