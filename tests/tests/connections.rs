//! Stories of one connection between a client and a broker: one request at a time, one timeout for all, and what a break
//! takes along.

use klab_kafka::event::{ClientEvent, Event, LogEvent, SendFailure};
use klab_kafka::ids::{ConnId, CorrelationId, RecordId};
use klab_kafka::input::Closed;
use klab_kafka::protocol::ErrorCode;
use klab_kafka::time::{Duration, Time};
use klab_world::fault::Fault;
use klab_world::network::{Body, Connection};
use klab_world::process::ProcessId;
use klab_world::trace::{Handled, Record, What};
use std::collections::BTreeSet;
use tests::{Cluster, Setting, produce_response};

/// The open connection from one process to another.
fn connection(c: &Cluster, from: ProcessId, to: ProcessId) -> (ConnId, &Connection) {
    let mut all = c.view().network().connections();
    let found = all.find(|(_, x)| (x.client, x.server) == (from, to) && x.open);
    let (key, connection) = found.expect("they are connected");
    (ConnId(key.0), connection)
}

/// A cluster under way, its leader and its shop, of which each record is a batch.
fn under_way(setting: Setting) -> (Cluster, ProcessId, ProcessId) {
    let mut c = setting.producer("linger.ms", "0").begin();
    c.run_until("the shop has some records acknowledged", |c| {
        c.acked().len() >= 5
    });
    let (leader, shop) = (c.leader().expect("ready"), c.process("shop"));
    (c, leader, shop)
}

/// What a server did on a connection, in order: requests it took and responses it sent.
fn served(c: &Cluster, conn: ConnId) -> Vec<(Time, CorrelationId, bool)> {
    let records = c.world.trace().records().iter();
    let deed = |r: &Record| match r.what {
        What::Handled(Handled::Request { conn: on, id, .. }) if on == conn => {
            Some((r.at, id, false))
        }
        What::Sent {
            conn: on,
            id,
            response: true,
            ..
        } if on == conn => Some((r.at, id, true)),
        _ => None,
    };
    records.filter_map(deed).collect()
}

/// N-1.
#[test]
fn the_second_request_on_a_muted_connection_is_not_read_before_the_first_is_answered() {
    let (mut c, leader, shop) = under_way(Setting::default());
    for follower in c.followers() {
        c.pause(follower);
    }
    let unread = |c: &Cluster| {
        let (_, connection) = connection(c, shop, leader);
        let head = connection.to_server.messages.front()?;
        let has_come = head.arrives < c.world.now();
        match &head.body {
            Body::Request { id, .. } if has_come => Some((*id, connection.serving?)),
            _ => None,
        }
    };
    c.run_until("a second request has come", |c| unread(c).is_some());
    let (conn, _) = connection(&c, shop, leader);
    let (second, first) = unread(&c).expect("just seen");
    c.pass(Duration::secs(2));
    assert_eq!(unread(&c), Some((second, first)), "it still lies there");
    c.heal();
    let is_read = |c: &Cluster| served(c, conn).iter().any(|(_, id, _)| *id == second);
    c.run_until("it is read", is_read);
    let deeds = served(&c, conn);
    let of_both = deeds
        .iter()
        .filter(|(_, id, _)| [first, second].contains(id));
    let in_order: Vec<(CorrelationId, bool)> = of_both.map(|(_, id, sent)| (*id, *sent)).collect();
    assert_eq!(in_order, [(first, false), (first, true), (second, false)]);
    c.pass(Duration::secs(5));
    let deeds = served(&c, conn);
    assert!(deeds.len() > 100, "{}", deeds.len());
    for turn in deeds.chunks_exact(2) {
        let [(_, taken, false), (_, answered, true)] = turn else {
            panic!("a request is taken only when the last one is answered: {turn:?}")
        };
        assert_eq!(taken, answered);
    }
}

/// N-3.
#[test]
fn one_request_that_times_out_closes_its_connection_and_ends_the_younger_ones_in_flight() {
    let (mut c, leader, shop) = under_way(Setting::default().sends(100, 1));
    let (conn, _) = connection(&c, shop, leader);
    c.hold(produce_response(leader, shop));
    let since = c.world.now();
    let timed_out = c.run_until_told("a request times out", |p, e| {
        p == shop && matches!(e, Event::Client(_, ClientEvent::RequestTimedOut { .. }))
    });
    let sent = batches(&c, since, |e| match e {
        ClientEvent::BatchSent {
            ids, attempt: 0, ..
        } => Some((ids[0], ErrorCode::None)),
        _ => None,
    });
    assert_eq!(sent.len(), 5, "max.in.flight.requests.per.connection");
    let age = |at: Time| timed_out.at.since(at).as_millis();
    assert_eq!(age(sent[0].0), 30_000, "request.timeout.ms");
    assert!(age(sent[4].0) < 27_000, "the youngest is younger");
    let failed = batches(&c, timed_out.at, |e| match e {
        ClientEvent::Retried { ids, error, .. } => Some((ids[0], *error)),
        _ => None,
    });
    let expected = sent
        .iter()
        .map(|(_, id, _)| (timed_out.at, *id, ErrorCode::RequestTimedOut));
    assert_eq!(failed, expected.collect::<Vec<_>>(), "all of them, at once");
    c.run_until("the broker learns that the connection is closed", |c| {
        let closed = Handled::Closed {
            conn,
            why: Closed::PeerGone,
        };
        let mut records = c.world.trace().records().iter();
        records.any(|r| r.process == Some(leader) && r.what == What::Handled(closed))
    });
    c.run_until("the shop goes on", |c| c.acked().len() >= 20);
    assert_ne!(
        connection(&c, shop, leader).0,
        conn,
        "on another connection"
    );
    let written: Vec<RecordId> = c.read(leader).into_iter().map(|(_, id)| id).collect();
    let once: BTreeSet<RecordId> = written.iter().copied().collect();
    assert_eq!(once.len(), written.len(), "nothing is written twice");
}

/// What the shop told of its batches from a time on.
fn batches(
    c: &Cluster,
    from: Time,
    of: impl Fn(&ClientEvent) -> Option<(RecordId, ErrorCode)>,
) -> Vec<(Time, RecordId, ErrorCode)> {
    let told = c.told().filter(|(at, ..)| *at >= from);
    let told = told.filter_map(|(at, _, e)| match e {
        Event::Client(_, e) => of(e).map(|(id, error)| (at, id, error)),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_reset_loses_the_response_and_keeps_the_append() {
    let setting = Setting::default()
        .producer("enable.idempotence", "false")
        .producer("retries", "0")
        .producer("acks", "1");
    let (mut c, leader, shop) = under_way(setting);
    let orders = c.partition();
    let appended = c.run_until_told("the leader appends", |p, e| {
        p == leader && matches!(e, Event::Log(tp, LogEvent::Appended { .. }) if *tp == orders)
    });
    let What::Told(Event::Log(_, LogEvent::Appended { batch, .. })) = &appended.what else {
        unreachable!("just matched")
    };
    let id = batch.data.ids()[0];
    let (conn, _) = connection(&c, shop, leader);
    c.harm(Fault::Reset {
        from: [shop].into(),
        to: [leader].into(),
    });
    let failed = c.run_until_told("the shop is told an error", |_, e| {
        matches!(e, Event::Client(_, ClientEvent::Failed { .. }))
    });
    let error = SendFailure::Error(ErrorCode::NetworkException);
    let What::Told(Event::Client(
        _,
        ClientEvent::Failed {
            id: of, error: why, ..
        },
    )) = failed.what
    else {
        unreachable!("just matched")
    };
    assert_eq!((of, why), (id, error), "code 13, and not 7");
    let records = c.world.trace().records();
    let response = records.iter().find(|r| {
        r.seq > appended.seq
            && matches!(r.what, What::Sent { conn: on, response: true, .. } if on == conn)
    });
    let response = response.expect("it was sent, for acks=1, in the step of the append");
    assert!(response.at == appended.at);
    let arrivals = records.iter().filter(|r| r.cause == Some(response.seq));
    assert_eq!(arrivals.count(), 0, "and arrived nowhere");
    c.run_until("it is replicated", |c| {
        c.log(leader).hw() > batch.base_offset
    });
    for broker in c.brokers() {
        let there = c.read(broker).into_iter().filter(|(_, x)| *x == id);
        let there: Vec<_> = there.map(|(offset, _)| offset).collect();
        assert_eq!(there, [batch.base_offset], "{}", c.name(broker));
    }
}
