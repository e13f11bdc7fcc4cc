//! Tests of pictures: the quickstart before, during and after its crash.

use super::Frame;
use super::logs::Replica;
use super::said::Tone;
use super::servers::Mood;
use crate::line::Lexicon;
use crate::scenario::{Scenario, library};
use crate::timeline::Timeline;
use crate::world::Watch;
use klab_kafka::time::{Duration, Time};
use std::sync::Arc;

const WATCHED: Watch = Watch {
    records: true,
    checkers: true,
};

/// The quickstart with a seed, run to its end, and when it was ready.
fn quickstart(seed: u64) -> (Timeline, Time) {
    let text = library::find("quickstart").expect("in the library");
    let scenario = Scenario::parse("quickstart", &text).expect("good");
    let mut timeline = Timeline::open(Arc::new(scenario), seed, WATCHED, 256);
    timeline.run_to_end();
    let ready = timeline.world().ready().expect("it gets ready");
    (timeline, ready)
}

fn frame(timeline: &mut Timeline, at: Time) -> Frame {
    timeline.at(at);
    let world = timeline.world();
    Frame::of(timeline.now(), world.checkers().expect("watched"), at)
}

#[test]
fn a_crash_darkens_one_broker_and_leaves_its_log_on_the_disk() {
    let (mut timeline, ready) = quickstart(42);
    let crash = ready + Duration::secs(2);
    let before = frame(&mut timeline, Time(crash.0 - 1));
    let after = frame(&mut timeline, crash);
    let leader = before.partitions[0].leader.expect("it has one");
    let mood = |frame: &Frame| {
        frame
            .servers
            .iter()
            .find(|s| s.id == leader)
            .map(|s| s.mood)
    };
    assert_eq!(mood(&before), Some(Mood::Running));
    assert_eq!(mood(&after), Some(Mood::Killed));
    let replica = |frame: &Frame| -> Replica {
        let mut all = frame.partitions[0].replicas.iter();
        all.find(|r| r.broker == leader)
            .cloned()
            .expect("it is one")
    };
    assert!(replica(&before).live && !replica(&after).live);
    assert_eq!(replica(&before).leo, replica(&after).leo);
    assert_eq!(replica(&after).hw, None);
    assert_eq!(after.faults.len(), 2, "{:?}", after.faults);
}

#[test]
fn the_headline_of_the_end_names_what_hurts_and_its_records_are_named() {
    let (mut timeline, _) = quickstart(42);
    let end = timeline.now().now();
    let frame = frame(&mut timeline, end);
    assert!(frame.over && frame.verdict.last_word);
    assert_eq!(frame.verdict.mark.tone, Tone::Lost);
    let lost = frame.verdict.records.len();
    assert!(lost > 0);
    assert!(
        frame
            .verdict
            .headline
            .starts_with(&format!("{lost} of 60 ")),
        "{}",
        frame.verdict.headline
    );
    assert!(
        frame
            .verdict
            .evidence
            .last()
            .is_some_and(|s| s.contains("seed 42"))
    );
}

#[test]
fn looking_at_a_run_changes_no_bit_of_it() {
    let (mut looked_at, ready) = quickstart(7);
    let hash = looked_at.world().hash();
    for ms in [2_001, 900, 15_000, 40, 61_000, 2_000] {
        frame(&mut looked_at, ready + Duration::millis(ms));
    }
    looked_at.run_to_end();
    assert_eq!(looked_at.world().hash(), hash);
}

#[test]
fn requests_under_way_leave_before_they_arrive_and_slow_links_hold_many() {
    let (mut timeline, ready) = quickstart(42);
    let frame = frame(&mut timeline, ready + Duration::millis(1_990));
    assert!(!frame.flights.is_empty());
    assert!(
        frame
            .flights
            .iter()
            .all(|f| f.departed < f.arrives && f.arrives > frame.at)
    );
    assert_eq!(frame.wires.iter().filter(|w| !w.open).count(), 2);
}

#[test]
fn the_page_opens_before_the_crash_and_marks_have_ends() {
    let (timeline, ready) = quickstart(42);
    let lexicon = Lexicon::of(timeline.now());
    let opening =
        super::marks::opening(timeline.records(), &lexicon, ready).expect("it has a fault");
    assert_eq!(opening.at, 1_800_000_000);
    assert_eq!(opening.dare, "Let it crash");
    let marks = super::marks::marks(timeline.records(), &lexicon, ready);
    let crash = marks
        .iter()
        .find(|m| m.at == 2_000_000_000)
        .expect("the crash");
    assert_eq!(crash.until, Some(14_000_000_000));
    assert!(marks.iter().any(|m| m.lane == super::marks::Lane::Election));
}

#[test]
fn every_offer_of_the_menu_is_a_step_that_a_scenario_takes() {
    let (mut timeline, ready) = quickstart(42);
    timeline.at(ready + Duration::secs(3));
    let view = timeline.now();
    let mut offers = super::menu::of_link(view, "controllers", "broker-1");
    offers.extend(super::menu::of_link(view, "broker-1", "broker-2"));
    for name in ["broker-1", "broker-2", "broker-3", "controller-1", "shop"] {
        offers.extend(super::menu::of_process(view, name));
    }
    assert!(
        offers.iter().any(|o| o.words == "Start it"),
        "the leader is down"
    );
    for offer in offers {
        let step = offer.act.replacen('{', "{\"at\":\"3s\",", 1);
        let set = [("/steps/-".to_owned(), step)];
        let with = view.scenario().with(&set);
        assert!(with.is_ok(), "{}: {:?}", offer.words, with.err());
    }
}

#[test]
fn settings_know_the_value_they_have() {
    let text = library::find("quickstart").expect("in the library");
    let scenario = Scenario::parse("quickstart", &text).expect("good");
    let settings = super::settings::of(&scenario);
    let [acks] = settings.as_slice() else {
        panic!("{settings:?}");
    };
    assert_eq!((&*acks.of, &*acks.words), ("shop", "acks"));
    assert_eq!(acks.now.map(|at| &*acks.values[at].words), Some("1"));
}

#[test]
fn a_log_that_ends_far_before_the_others_shows_its_own_last_cells() {
    let text = library::find("r22").expect("in the library");
    let scenario = Scenario::parse("r22", &text).expect("good");
    let mut timeline = Timeline::open(Arc::new(scenario), 3, WATCHED, 256);
    timeline.run_to_end();
    let ready = timeline.world().ready().expect("it gets ready");
    let frame = frame(&mut timeline, ready + Duration::secs(50));
    let partition = &frame.partitions[0];
    let behind = partition.replicas.iter().filter(|r| r.behind > 100);
    assert_eq!(behind.clone().count(), 2);
    for replica in behind {
        assert!(replica.from < partition.from);
        assert_eq!(
            replica.cells.last().map(|c| c.offset + 1),
            Some(replica.leo)
        );
    }
}
