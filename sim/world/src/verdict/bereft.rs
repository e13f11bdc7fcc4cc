//! Tests of whom the explanations of losses accuse: what let another lead without the record, or kept it from being written.

use super::FindingKind;
use crate::check::story::{ORDERS_0, Story};
use crate::disks::Keep;
use crate::fault::Fault;
use crate::process::Down;
use crate::trace::{Handled, What};
use klab_kafka::config::Configs;
use klab_kafka::event::{ClientEvent, Event, ReplicaEvent};
use klab_kafka::ids::{ConnId, CorrelationId};
use klab_kafka::input::Closed;
use klab_kafka::protocol::{Api, ErrorCode};

fn begin(acks: &'static str) -> Story {
    Story::begin(|scenario| {
        let shop = scenario.producers.get_mut("shop").expect("the tracer's");
        shop.config.set("acks", acks).expect("a producer's key");
        scenario.cluster.config.unclean_leader_election_enable = true;
    })
}

const CONN: ConnId = ConnId(7);
const REQUEST: CorrelationId = CorrelationId(1);

/// shop puts its first record on the way to broker-1, and waits for no answer.
fn send_without_answer(story: &mut Story) {
    let what = What::Sent {
        to: story.process("broker-1"),
        conn: CONN,
        id: REQUEST,
        api: Api::Produce,
        response: false,
        size: 100,
    };
    story.caused(Some("shop"), None, what);
    let acked = ClientEvent::Acked {
        id: story.shop(0),
        partition: ORDERS_0,
        offset: None,
    };
    story.client("shop", acked);
}

/// The record of the fault that is accused of the only loss.
fn accused(mut story: Story) -> Option<u64> {
    story.done();
    let verdict = story.verdict();
    let finding = verdict.found(FindingKind::Lost).next().expect("it is lost");
    let explanation = finding.explanation.as_ref().expect("it is explained");
    explanation.fault.as_ref().map(|f| f.seq)
}

// Seed 639 of the free half: a controller was cut off for a millisecond while nothing of a leader came to it for longer.
#[test]
fn a_leader_is_overruled_by_the_silence_that_lasts_not_by_one_that_passed() {
    let mut story = begin("1");
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    story.acknowledge("broker-1", &batch, 1);
    story.acked(0, 0);
    let (from, to) = (story.only("broker-1"), story.only("controller-1"));
    let lasts = story.fault(Fault::BlackHole { from, to });
    story.wait(4_000);
    let passed = story.cut("broker-1", "controller-1");
    story.wait(1);
    story.lift(passed);
    story.wait(5_000);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    story.truncate("broker-1", 1, 0);
    assert_eq!(accused(story), Some(lasts));
}

// Seed 117 of the free half.
#[test]
fn an_outsider_that_once_had_the_record_lacks_it_by_the_harm_that_took_it() {
    let mut story = begin("all");
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    story.copy("broker-2", &batch);
    story.change(Some(Some(1)), Some(&[1, 2]));
    story.hw("broker-1", 1);
    story.acknowledge("broker-1", &batch, -1);
    story.acked(0, 0);
    let (who, keep) = (story.only("broker-2"), Keep::Synced);
    let guilty = story.fault(Fault::PowerLoss { who, keep });
    story.ends("broker-2", Down::PowerLost, guilty);
    story.change(Some(Some(1)), Some(&[1]));
    story.wait(1_000);
    story.kill("broker-1");
    story.wait(9_000);
    story.elect("broker-2", Some(&[2]));
    story.lead("broker-2", 2);
    story.truncate("broker-1", 1, 0);
    assert_eq!(accused(story), Some(guilty));
}

// Seed 103 of the free half.
#[test]
fn what_waits_at_a_paused_leader_is_taken_by_a_break_only_if_nobody_else_is_elected() {
    let paused_and_broken = |elects: bool| {
        let mut story = begin("0");
        let paused = story.pause("broker-1");
        story.send(0..1);
        send_without_answer(&mut story);
        story.wait(9_000);
        if elects {
            story.elect("broker-2", Some(&[2, 3]));
        }
        let (from, to) = (story.only("broker-1"), story.only("shop"));
        let reset = story.fault(Fault::Reset { from, to });
        let closed = What::Handled(Handled::Closed {
            conn: CONN,
            why: Closed::Reset,
        });
        story.caused(Some("shop"), Some(reset), closed);
        (accused(story), paused, reset)
    };
    let (of_late, paused, _) = paused_and_broken(true);
    assert_eq!(of_late, Some(paused));
    let (of_taken, _, reset) = paused_and_broken(false);
    assert_eq!(of_taken, Some(reset));
}

/// shop's record is turned away by broker-1, which leads no more; `waits` for the connection that a kill had broken.
fn turned_away(waits: bool) -> (Option<u64>, u64) {
    let mut story = begin("0");
    let learned = ClientEvent::LeaderLearned {
        partition: ORDERS_0,
        leader: Some(crate::check::story::node("broker-1")),
        epoch: klab_kafka::ids::LeaderEpoch(0),
    };
    story.client("shop", learned);
    story.kill("broker-3");
    story.wait(9_000);
    let guilty = story.kill("broker-1");
    if waits {
        story.send(0..1);
        story.wait(2_000);
        let innocent = story.kill("broker-2");
        assert!(innocent > guilty);
    }
    story.wait(7_000);
    story.elect("broker-2", Some(&[2]));
    if !waits {
        story.send(0..1);
    }
    send_without_answer(&mut story);
    let request = What::Handled(Handled::Request {
        conn: CONN,
        id: REQUEST,
        api: Api::Produce,
        from: story.process("shop"),
    });
    let taken_up = story.caused(Some("broker-1"), None, request);
    let error = ErrorCode::NotLeaderOrFollower;
    let fenced = ReplicaEvent::Fenced { error, write: true };
    let fenced = What::Told(Event::Replica(ORDERS_0, fenced));
    story.caused(Some("broker-1"), Some(taken_up), fenced);
    (accused(story), guilty)
}

// Seeds 661 and 137 of the free half.
#[test]
fn what_a_former_leader_turns_away_came_too_late_by_what_overruled_it_or_held_the_record_up() {
    for waits in [false, true] {
        let (accused, guilty) = turned_away(waits);
        assert_eq!(accused, Some(guilty));
    }
}
