//! Stories and their answers: which lines, in which order, joined by what.

use super::{Absence, EdgeKind, MOST_LINES, Part, Why, of_event, of_record};
use crate::check::story::{ORDERS_0, Story};
use crate::disks::Keep;
use crate::fault::{Fault, Intercept};
use crate::process::Down;
use crate::trace::{Handled, What};
use crate::view::View;
use klab_kafka::config::Configs;
use klab_kafka::event::*;
use klab_kafka::ids::*;
use klab_kafka::protocol::{Api, ErrorCode};

fn why(story: &Story, number: u32) -> Why {
    let view = View::new(&story.world);
    let id = story.shop(number);
    of_record(&story.records, &story.watch(), view, id).expect("the run knows the record")
}

fn parts(why: &Why) -> Vec<Part> {
    why.lines.iter().map(|l| l.part).collect()
}

/// Every line but the first is joined to an earlier one, and there are at most ten.
fn assert_joined(why: &Why) {
    assert!(why.lines.len() <= MOST_LINES);
    for (at, line) in why.lines.iter().enumerate() {
        let edge = line.edge.map(|e| e.to);
        let is_earlier = |to| why.lines[..at].iter().any(|l| l.seq == to);
        assert_eq!(edge.is_none(), at == 0, "{why}");
        assert!(edge.is_none_or(is_earlier), "{why}");
    }
}

fn setting(key: &'static str, value: &'static str) -> Story {
    Story::begin(|scenario| {
        let shop = scenario.producers.get_mut("shop").expect("the tracer's");
        shop.config.set(key, value).expect("a producer's key");
    })
}

/// What passes between two processes: sent by one because of `cause`, handled by the other.
fn passes(
    story: &mut Story,
    from: &str,
    to: &str,
    api: Api,
    response: bool,
    cause: Option<u64>,
) -> u64 {
    let (sender, taker) = (story.process(from), story.process(to));
    let (conn, id) = (ConnId(9), CorrelationId(1));
    let sent = What::Sent {
        to: taker,
        conn,
        id,
        api,
        response,
        size: 64,
    };
    let sent = story.caused(Some(from), cause, sent);
    let handled = match response {
        true => Handled::Response {
            conn,
            id,
            api,
            from: sender,
        },
        false => Handled::Request {
            conn,
            id,
            api,
            from: sender,
        },
    };
    story.caused(Some(to), Some(sent), What::Handled(handled))
}

fn acked_by_the_leader_alone() -> Story {
    let mut story = setting("acks", "1");
    let batch = story.batch(0..1, 0, 0, None);
    let fetch = passes(&mut story, "broker-2", "broker-1", Api::Fetch, false, None);
    story.send(0..1);
    let request = passes(&mut story, "shop", "broker-1", Api::Produce, false, None);
    let append = story.append("broker-1", &batch);
    story.records[append as usize - 1].cause = Some(request);
    let answer = passes(
        &mut story,
        "broker-1",
        "shop",
        Api::Produce,
        true,
        Some(request),
    );
    let ack = story.acked(0, 0);
    story.records[ack as usize - 1].cause = Some(answer);
    assert!(fetch < append);
    story
}

fn elect_broker_2(story: &mut Story) {
    story.wait(9_000);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    let answer = passes(story, "broker-2", "broker-1", Api::Fetch, true, None);
    let cut = story.truncate("broker-1", 1, 0);
    story.records[cut as usize - 1].cause = Some(answer);
    story.done();
}

#[test]
fn a_lost_record_is_told_from_the_send_to_the_truncation() {
    let mut story = acked_by_the_leader_alone();
    story.wait(1_000);
    let fault = story.kill("broker-1");
    elect_broker_2(&mut story);
    let why = why(&story, 0);
    let order = [
        Part::Send,
        Part::Append,
        Part::Acknowledgement,
        Part::MissingCopy,
        Part::Fault,
        Part::Election,
        Part::Truncation,
    ];
    assert_eq!(parts(&why), order, "{why}");
    let kinds: Vec<EdgeKind> = why.lines[1..]
        .iter()
        .map(|l| l.edge.expect("joined").kind)
        .collect();
    let expected = [
        EdgeKind::Record,
        EdgeKind::Reply,
        EdgeKind::Absence(Absence::CopyNotFetched),
        EdgeKind::Absence(Absence::CopyNotFetched),
        EdgeKind::Absence(Absence::HeartbeatNotSent),
        EdgeKind::Reply,
    ];
    assert_eq!(kinds, expected, "{why}");
    assert_joined(&why);
    assert_eq!(why.fault.as_ref().map(|f| f.seq), Some(fault));
}

#[test]
fn a_copy_lost_with_the_power_is_told_with_its_loss() {
    let mut story = Story::begin(|_| {});
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    story.copy("broker-2", &batch);
    story.hw("broker-1", 1);
    story.acked(0, 0);
    let (who, keep) = (
        [1, 2].map(|n| story.process(&format!("broker-{n}"))).into(),
        Keep::Synced,
    );
    let fault = story.fault(Fault::PowerLoss { who, keep });
    story.ends("broker-1", Down::PowerLost, fault);
    story.ends("broker-2", Down::PowerLost, fault);
    story.wait(9_000);
    story.elect("broker-2", Some(&[2]));
    story.lead("broker-2", 1);
    story.done();
    let why = why(&story, 0);
    let order = [
        Part::Send,
        Part::Append,
        Part::Acknowledgement,
        Part::MissingCopy,
        Part::Fault,
        Part::Loss,
        Part::Election,
        Part::Loss,
    ];
    assert_eq!(parts(&why), order, "{why}");
    assert_joined(&why);
}

#[test]
fn a_duplicate_is_told_with_the_answer_that_never_came() {
    let mut story = setting("enable.idempotence", "false");
    story.send(0..1);
    let (shop, broker) = (story.process("shop"), story.process("broker-1"));
    let lost = Intercept {
        api: Api::Produce,
        response: true,
        from: [broker].into(),
        to: [shop].into(),
        nth: 1,
    };
    let fault = story.fault(Fault::Lose(lost));
    let first = story.batch(0..1, 0, 0, None);
    story.append("broker-1", &first);
    let (partition, ids, error) = (
        ORDERS_0,
        smallvec::smallvec![story.shop(0)],
        ErrorCode::NetworkException,
    );
    story.client(
        "shop",
        ClientEvent::Retried {
            partition,
            ids,
            error,
        },
    );
    let second = story.batch(0..1, 1, 0, None);
    story.append("broker-1", &second);
    story.hw("broker-1", 2);
    story.acked(0, 1);
    story.done();
    let why = why(&story, 0);
    let order = [
        Part::Send,
        Part::Append,
        Part::Fault,
        Part::Retry,
        Part::Append,
        Part::Acknowledgement,
    ];
    assert_eq!(parts(&why), order, "{why}");
    assert_joined(&why);
    assert_eq!(why.fault.as_ref().map(|f| f.seq), Some(fault));
}

#[test]
fn a_record_that_is_safe_is_told_with_its_copies() {
    let mut story = Story::begin(|_| {});
    let batch = story.batch(0..1, 0, 0, Some(0));
    story.deliver("broker-1", &batch);
    story.done();
    let why = why(&story, 0);
    let order = [
        Part::Send,
        Part::Append,
        Part::Copy,
        Part::Copy,
        Part::Commit,
        Part::Acknowledgement,
        Part::Read,
    ];
    assert_eq!(parts(&why), order, "{why}");
    assert_joined(&why);
    assert_eq!(why.fault, None);
}

#[test]
fn an_event_is_told_by_what_it_came_of() {
    let story = acked_by_the_leader_alone();
    let is_ack = |w: &What| matches!(w, What::Told(Event::Client(_, ClientEvent::Acked { .. })));
    let ack = story
        .records
        .iter()
        .find(|r| is_ack(&r.what))
        .expect("it was told")
        .seq;
    let view = View::new(&story.world);
    let why = of_event(&story.records, &story.watch(), view, ack).expect("there is such an event");
    assert_eq!(why.lines.last().map(|l| l.seq), Some(ack));
    assert_eq!(
        why.lines.len(),
        5,
        "sent, taken, answered, got, told\n{why}"
    );
    assert_joined(&why);
}

#[test]
fn nobody_knows_a_record_that_was_never_sent() {
    let story = Story::begin(|_| {});
    let view = View::new(&story.world);
    assert_eq!(
        of_record(&story.records, &story.watch(), view, story.shop(7)),
        None
    );
    assert_eq!(
        of_event(&story.records, &story.watch(), view, 1 << 40),
        None
    );
}

#[test]
fn a_record_that_its_log_gave_up_is_told_with_how() {
    let mut story = Story::begin(|_| {});
    let batch = story.batch(0..1, 0, 0, Some(0));
    story.deliver("broker-1", &batch);
    let (log_start, why) = (Offset(1), LogStart::RetentionTime);
    let moved = LogEvent::LogStartMoved { log_start, why };
    let seq = story.tell("broker-1", Event::Log(ORDERS_0, moved));
    story.done();
    let told = self::why(&story, 0);
    let last = told.lines.last().expect("it has lines");
    assert_eq!((last.part, last.seq), (Part::GivenUp, seq), "{told}");
    assert_joined(&told);
}
