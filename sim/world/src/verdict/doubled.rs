//! Tests of whom the explanations of duplicates accuse: what kept the answer to the try that wrote the first copy.

use super::FindingKind;
use crate::ambush::CrashPoint;
use crate::check::story::{ORDERS_0, Story};
use crate::fault::Fault;
use crate::process::Down;
use crate::trace::{Handled, What};
use klab_kafka::config::Configs;
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::{ClientId, ConnId};
use klab_kafka::input::Closed;
use klab_kafka::protocol::ErrorCode::{self, NetworkException, NotEnoughReplicas, RequestTimedOut};

/// shop waits for all in sync, and may write a record twice.
fn begin() -> Story {
    Story::begin(|scenario| {
        let shop = scenario.producers.get_mut("shop").expect("the tracer's");
        for (key, value) in [("acks", "all"), ("enable.idempotence", "false")] {
            shop.config.set(key, value).expect("a producer's key");
        }
    })
}

/// broker-1 writes a record, and these have a copy at once.
fn write(story: &mut Story, number: u32, offset: i64, copies: &[&str]) {
    let batch = story.batch(number..number + 1, offset, 0, None);
    story.append("broker-1", &batch);
    for broker in copies {
        story.copy(broker, &batch);
    }
}

fn retry(story: &mut Story, number: u32, error: ErrorCode) {
    retry_after(story, number, error, None);
}

fn retry_after(story: &mut Story, number: u32, error: ErrorCode, cause: Option<u64>) {
    let (partition, ids) = (ORDERS_0, smallvec::smallvec![story.shop(number)]);
    let retried = ClientEvent::Retried {
        partition,
        ids,
        error,
    };
    let told = What::Told(Event::Client(ClientId(0), retried));
    story.caused(Some("shop"), cause, told);
}

const BOTH: [&str; 2] = ["broker-2", "broker-3"];

/// Those that had no copy of the first get one; the record is written once more, committed and acknowledged.
fn write_again(mut story: Story, without: &[&str]) -> Story {
    let first = story.batch(0..1, 0, 0, None);
    for broker in without {
        story.copy(broker, &first);
    }
    write(&mut story, 0, 1, &BOTH);
    story.hw("broker-1", 2);
    story.acked(0, 1);
    story.done();
    story
}

/// The records of the faults that are accused, one for each record that stands twice.
fn accused(story: &Story) -> Vec<Option<u64>> {
    let verdict = story.verdict();
    let found = verdict.found(FindingKind::Duplicated);
    let explained = found.map(|f| f.explanation.as_ref().expect("it is explained"));
    explained.map(|e| e.fault.as_ref().map(|f| f.seq)).collect()
}

// Seeds 67 and 105 of the free half.
#[test]
fn what_kept_the_first_answer_is_accused_and_not_what_refused_a_later_try() {
    let mut story = begin();
    story.send(0..1);
    let paused = story.pause("broker-2");
    let away = story.cut("broker-3", "broker-1");
    write(&mut story, 0, 0, &[]);
    story.wait(18_000);
    story.lift(away);
    let first = story.batch(0..1, 0, 0, None);
    story.copy("broker-3", &first);
    story.wait(12_000);
    retry(&mut story, 0, RequestTimedOut);
    story.wait(1_000);
    story.lift(paused);
    story.copy("broker-2", &first);
    retry(&mut story, 0, NotEnoughReplicas);
    let story = write_again(story, &[]);
    assert_eq!(accused(&story), [Some(paused)]);
}

// Seeds 187 and 1157 of the free half: fewer than min.insync.replicas were left.
#[test]
fn a_leader_waits_for_who_has_left_the_isr_since() {
    let mut story = begin();
    story.send(0..1);
    let killed = story.kill("broker-3");
    write(&mut story, 0, 0, &["broker-2"]);
    story.wait(9_000);
    story.change(None, Some(&[1, 2]));
    story.wait(21_000);
    retry(&mut story, 0, RequestTimedOut);
    let story = write_again(story, &["broker-3"]);
    assert_eq!(accused(&story), [Some(killed)]);
}

// Seed 345 of the free half.
#[test]
fn a_crash_point_is_accused_once_it_was_come_to() {
    let doubled = |dies: bool| {
        let mut story = begin();
        let (who, point, power) = (story.only("broker-3"), CrashPoint::AfterEpoch, None);
        let fault = story.fault(Fault::CrashAt { who, point, power });
        story.wait(10_000);
        if dies {
            story.ends("broker-3", Down::Killed, fault);
        }
        story.send(0..1);
        write(&mut story, 0, 0, &["broker-2"]);
        story.wait(30_000);
        retry(&mut story, 0, RequestTimedOut);
        (accused(&write_again(story, &["broker-3"])), fault)
    };
    let (of_death, fault) = doubled(true);
    assert_eq!(of_death, [Some(fault)]);
    assert_eq!(doubled(false).0, [None]);
}

// Seed 641 of the free half.
#[test]
fn a_connection_that_broke_when_the_answer_was_long_due_is_not_what_kept_it() {
    let broken_after = |ms| {
        let mut story = begin();
        story.send(0..1);
        let away = story.cut("broker-3", "broker-1");
        write(&mut story, 0, 0, &["broker-2"]);
        story.wait(ms);
        let (from, to) = (story.only("broker-1"), story.only("shop"));
        let reset = story.fault(Fault::Reset { from, to });
        let (conn, why) = (ConnId(1), Closed::Reset);
        let closed = What::Handled(Handled::Closed { conn, why });
        let closed = story.caused(Some("shop"), Some(reset), closed);
        retry_after(&mut story, 0, NetworkException, Some(closed));
        (accused(&write_again(story, &["broker-3"])), away, reset)
    };
    let (of_late, away, _) = broken_after(20_000);
    assert_eq!(of_late, [Some(away)]);
    // Who is silent for so short a time may yet leave the ISR, and the answer come.
    let (of_early, _, reset) = broken_after(3_000);
    assert_eq!(of_early, [Some(reset)]);
}

// Seed 187 of the free half: a broker takes up one request of a connection at a time.
#[test]
fn what_waited_behind_another_request_was_kept_by_what_kept_that() {
    let mut story = begin();
    story.send(0..2);
    let killed = story.kill("broker-3");
    write(&mut story, 0, 0, &["broker-2"]);
    story.wait(1_000);
    let stalled = story.pause("broker-1");
    story.wait(100);
    story.lift(stalled);
    story.wait(28_900);
    retry(&mut story, 0, RequestTimedOut);
    retry(&mut story, 1, RequestTimedOut);
    let first = story.batch(0..1, 0, 0, None);
    story.copy("broker-3", &first);
    // The broker comes to the second request when the first is over, and its producer has given up both.
    for (number, offset) in [(1, 1), (0, 2), (1, 3)] {
        write(&mut story, number, offset, &BOTH);
    }
    story.hw("broker-1", 4);
    story.acked(0, 2);
    story.acked(1, 3);
    story.done();
    assert_eq!(accused(&story), [Some(killed), Some(killed)]);
}

// Seeds 55, 187 and 1785 of the free half.
#[test]
fn what_let_nothing_come_all_the_time_is_accused_before_what_passed() {
    let mut story = begin();
    story.send(0..1);
    let killed = story.kill("broker-3");
    let passing = story.pause("broker-1");
    story.wait(500);
    story.lift(passing);
    write(&mut story, 0, 0, &["broker-2"]);
    story.wait(30_000);
    retry(&mut story, 0, RequestTimedOut);
    let story = write_again(story, &["broker-3"]);
    assert_eq!(accused(&story), [Some(killed)]);
}

// Seed 1785 of the free half: 55 ms, and the connections hang for 30 s.
#[test]
fn what_vanished_is_missing_until_its_connection_is_given_up() {
    let mut story = begin();
    story.send(0..1);
    let (from, to) = (story.only("broker-1"), story.only("broker-3"));
    let vanishes = story.fault(Fault::BlackHole { from, to });
    story.wait(55);
    story.lift(vanishes);
    write(&mut story, 0, 0, &["broker-2"]);
    story.wait(500);
    let (who, factor) = (story.only("broker-3"), 2);
    story.fault(Fault::SlowNode { who, factor });
    story.wait(10_000);
    retry(&mut story, 0, NetworkException);
    let story = write_again(story, &["broker-3"]);
    assert_eq!(accused(&story), [Some(vanishes)]);
}
