//! Packet captures of a broker: what comes in, what goes out.

use super::bench::{Bench, CONTROLLER_AT, EPOCH, register, unfence};
use super::fixture::{ORDERS, batch, orders_change, orders_records};
use crate::context::{Exit, Halt, Output};
use crate::controller::records::MetadataRecord;
use crate::disk::{DiskImage, FileId, FileImage, SmallFile, Write};
use crate::event::{BrokerEvent, Event, ReplicaEvent};
use crate::ids::*;
use crate::input::Input;
use crate::protocol::admin::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::cluster::*;
use crate::protocol::deletion::*;
use crate::protocol::fetch::*;
use crate::protocol::produce::*;
use crate::protocol::{Api, ErrorCode, Request, Response};
use crate::time::Duration;
use smallvec::smallvec;

const SECOND: Duration = Duration::secs(1);

pub(super) fn produce(acks: i16) -> Request {
    Request::Produce(ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topics: vec![TopicProduceData {
            topic_id: ORDERS.topic,
            partitions: smallvec![PartitionProduceData {
                index: 0,
                records: batch(3),
            }],
        }],
    })
}

pub(super) fn fetch(follower: Option<i32>, offset: i64) -> Request {
    Request::Fetch(FetchRequest {
        replica: follower.map(|id| ReplicaState {
            replica_id: NodeId(id),
            replica_epoch: Some(BrokerEpoch(i64::from(id) * 100)),
        }),
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: IsolationLevel::ReadUncommitted,
        topics: vec![FetchTopic {
            topic_id: ORDERS.topic,
            partitions: [FetchPartition {
                partition: 0,
                current_leader_epoch: Some(LeaderEpoch(0)),
                fetch_offset: Offset(offset),
                last_fetched_epoch: None,
                log_start_offset: None,
                partition_max_bytes: 1 << 20,
                high_watermark: None,
            }]
            .into(),
        }],
    })
}

pub(super) fn produced(bench: &Bench, conn: ConnId) -> Option<PartitionProduceResponse> {
    match bench.reply(conn)? {
        Response::Produce(r) => Some(r.responses[0].partitions[0].clone()),
        other => panic!("no answer to a produce request: {other:?}"),
    }
}

pub(super) fn fetched(bench: &Bench, conn: ConnId) -> Option<FetchPartitionResponse> {
    match bench.reply(conn)? {
        Response::Fetch(r) => Some(r.topics[0].partitions[0].clone()),
        other => panic!("no answer to a fetch: {other:?}"),
    }
}

fn closes(bench: &Bench, conn: ConnId) -> bool {
    bench.did.contains(&Output::Close { conn })
}

#[test]
fn a_broker_takes_no_client_before_it_was_unfenced_once() {
    // K-30: Kafka opens its sockets then.
    let bench = Bench::boot(DiskImage::new());
    assert!(!bench.did.contains(&Output::Listen));
    let bench = Bench::running();
    assert!(bench.did.contains(&Output::Listen));
}

#[test]
fn heartbeats_isr_changes_and_forwarded_requests_have_a_connection_each() {
    // N-2.
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.ask(fetch(Some(3), 0));
    bench.ask(Request::CreateTopics(CreateTopicsRequest {
        topics: Vec::new(),
        timeout_ms: 1_000,
        validate_only: false,
    }));
    bench.pass(SECOND);
    bench.commit(vec![MetadataRecord::NoOp]);
    bench.pass(SECOND);
    let to_controller = bench.sent.iter().filter(|p| p.to == CONTROLLER_AT);
    let mut used: Vec<(Api, ConnId)> = to_controller.map(|p| (p.request.api(), p.conn)).collect();
    used.sort();
    let apis: Vec<Api> = used.iter().map(|(api, _)| *api).collect();
    let wanted = [
        Api::Fetch,
        Api::AlterPartition,
        Api::Envelope,
        Api::BrokerHeartbeat,
    ];
    assert_eq!(apis, wanted);
    used.dedup_by_key(|(_, conn)| *conn);
    assert_eq!(used.len(), 4);
}

#[test]
fn nothing_is_made_of_old_metadata_before_they_have_caught_up() {
    // A restarted broker reads that it once led epoch 0; by now broker 2 leads epoch 1.
    let mut bench = Bench::running();
    let mut log = orders_records(1, &[1, 2, 3]);
    log.push(orders_change(Some(2), &[2, 3]));
    bench.commit(log);
    let became = bench.told.iter().filter(|event| {
        matches!(
            event,
            Event::Replica(
                _,
                ReplicaEvent::BecameLeader { .. } | ReplicaEvent::BecameFollower { .. }
            )
        )
    });
    let epoch = LeaderEpoch(1);
    let leader = Some(NodeId(2));
    let wanted = Event::Replica(ORDERS, ReplicaEvent::BecameFollower { epoch, leader });
    assert_eq!(became.collect::<Vec<_>>(), [&wanted]);
}

#[test]
fn acks_1_is_answered_after_the_append() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(1));
    let answer = produced(&bench, conn).expect("it is answered at once");
    assert_eq!(
        (answer.error_code, answer.base_offset),
        (ErrorCode::None, Offset(0))
    );
    let is_append = |o: &Output| matches!(o, Output::Write { file: FileId::Segment(id, _), write: Write::Append(_) } if *id == ORDERS);
    let is_reply = |o: &Output| matches!(o, Output::Reply { conn: c, .. } if *c == conn);
    let append = bench.did.iter().position(is_append);
    assert!(append.is_some() && append < bench.did.iter().position(is_reply));
}

#[test]
fn acks_0_is_never_answered_and_an_error_closes_the_connection() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(0));
    let id = CorrelationId(0);
    assert!(bench.did.contains(&Output::Done { conn, id }));
    assert!(bench.reply(conn).is_none() && !closes(&bench, conn));
    bench.commit(vec![orders_change(Some(2), &[2, 3])]);
    let conn = bench.ask(produce(0));
    assert!(bench.reply(conn).is_none() && closes(&bench, conn));
}

#[test]
fn acks_all_is_answered_when_the_isr_has_it() {
    // the followers' next fetches say so.
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(-1));
    bench.ask(fetch(Some(2), 3));
    assert_eq!(produced(&bench, conn), None);
    bench.ask(fetch(Some(3), 3));
    let answer = produced(&bench, conn).expect("all have it");
    assert_eq!(answer.error_code, ErrorCode::None);
}

#[test]
fn acks_all_times_out_after_the_requests_own_time() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(-1));
    bench.pass(Duration::millis(29_999));
    assert_eq!(produced(&bench, conn), None);
    bench.pass(Duration::millis(1));
    let answer = produced(&bench, conn).expect("its time is over");
    assert_eq!(answer.error_code, ErrorCode::RequestTimedOut);
}

#[test]
fn a_leader_that_is_replaced_refuses_what_waits_and_names_its_successor() {
    // R-18, KIP-951.
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(-1));
    bench.commit(vec![orders_change(Some(2), &[2, 3])]);
    let answer = produced(&bench, conn).expect("it is refused at once");
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower);
    let leader = answer.current_leader.expect("it knows who leads");
    assert_eq!(
        (leader.leader_id, leader.leader_epoch),
        (NodeId(2), LeaderEpoch(1))
    );
}

#[test]
fn a_connection_that_closes_takes_what_waits_on_it_along() {
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(produce(-1));
    let why = crate::input::Closed::Reset;
    bench.hand(Input::Closed { conn, why });
    bench.ask(fetch(Some(2), 3));
    bench.ask(fetch(Some(3), 3));
    assert_eq!(produced(&bench, conn), None);
    let is_ack = |e: &&Event| matches!(e, Event::Replica(_, ReplicaEvent::Acknowledged { .. }));
    assert_eq!(bench.told.iter().filter(is_ack).count(), 0);
}

#[test]
fn a_followers_fetch_waits_for_data_and_half_a_second_at_most() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    let conn = bench.ask(fetch(Some(2), 0));
    bench.pass(Duration::millis(499));
    assert_eq!(fetched(&bench, conn), None);
    bench.pass(Duration::millis(1));
    assert_eq!(fetched(&bench, conn).expect("time is up").records, []);
    let conn = bench.ask(fetch(Some(2), 0));
    bench.ask(produce(1));
    assert_eq!(
        fetched(&bench, conn).expect("there is data").records.len(),
        1
    );
}

#[test]
fn a_higher_watermark_answers_consumers_and_lets_followers_wait() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.ask(produce(1));
    let consumer = bench.ask(fetch(None, 0));
    let follower = bench.ask(fetch(Some(3), 3));
    assert_eq!(fetched(&bench, consumer), None);
    bench.ask(fetch(Some(2), 3));
    let answer = fetched(&bench, consumer).expect("it may read on");
    assert_eq!(answer.records.len(), 1);
    assert_eq!(fetched(&bench, follower), None);
    bench.pass(Duration::millis(500));
    let answer = fetched(&bench, follower).expect("time is up");
    assert_eq!(answer.high_watermark, Some(Offset(3)));
}

#[test]
fn a_consumer_between_high_watermark_and_end_is_answered_at_once_with_nothing() {
    // R-8, DelayedFetch's case F.
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.ask(produce(1));
    bench.ask(produce(1));
    let conn = bench.ask(fetch(None, 3));
    let answer = fetched(&bench, conn).expect("it does not wait");
    assert_eq!(
        (answer.error_code, answer.records),
        (ErrorCode::None, Vec::new())
    );
}

#[test]
fn a_follower_has_one_fetch_on_the_wire_and_asks_again_when_it_is_answered() {
    //
    let mut bench = Bench::with_orders(2, &[1, 2, 3]);
    bench.pass(Duration::millis(400));
    let to_leader = |b: &Bench| b.wire().iter().filter(|(_, to)| *to == Address(2)).count();
    assert_eq!(to_leader(&bench), 1);
    let Request::Fetch(request) = bench.take(Api::Fetch).request else {
        unreachable!("because it is a fetch");
    };
    let replica = request.replica.expect("it says who asks");
    assert_eq!(replica.replica_epoch, Some(EPOCH));
    assert_eq!(request.max_wait_ms, 500);
}

#[test]
fn a_follower_whose_leader_refuses_tries_again_after_a_second() {
    //
    let mut bench = Bench::running();
    bench.refusing.insert(Address(2));
    bench.commit(orders_records(2, &[1, 2, 3]));
    let asks = |b: &Bench| b.wire().contains(&(Api::Fetch, Address(2)));
    bench.refusing.clear();
    bench.pass(Duration::millis(999));
    assert!(!asks(&bench));
    bench.pass(Duration::millis(1));
    assert!(asks(&bench));
}

#[test]
fn an_isr_change_is_asked_for_once_and_taken_from_the_answer() {
    //
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.ask(fetch(Some(3), 0));
    bench.ask(fetch(Some(3), 0));
    let Request::AlterPartition(r) = bench.take(Api::AlterPartition).request else {
        unreachable!("because it is an ISR change");
    };
    assert!(!bench.wire().contains(&(Api::AlterPartition, CONTROLLER_AT)));
    assert_eq!(r.broker_epoch, EPOCH);
    let isr: Vec<_> = r.partitions[0]
        .new_isr
        .iter()
        .map(|m| m.broker_id)
        .collect();
    assert_eq!(isr, [1, 2, 3].map(NodeId));
}

#[test]
fn the_isr_is_checked_every_15_seconds() {
    // a silent follower leaves between 30 and 45 s after it last caught up.
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    bench.ask(produce(1));
    for _ in 0..30 {
        bench.ask(fetch(Some(2), 3));
        bench.pass(SECOND);
    }
    let asks = |b: &Bench| b.wire().contains(&(Api::AlterPartition, CONTROLLER_AT));
    assert!(!asks(&bench));
    bench.pass(Duration::secs(15));
    assert!(asks(&bench));
}

#[test]
fn an_operators_request_goes_to_the_controller_in_an_envelope_and_its_answer_back() {
    let mut bench = Bench::running();
    let request = Request::CreateTopics(CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "orders".into(),
            num_partitions: None,
            replication_factor: None,
            assignments: Vec::new(),
            configs: Vec::new(),
        }],
        timeout_ms: 1_000,
        validate_only: false,
    });
    let conn = bench.ask(request);
    let response = Response::CreateTopics(CreateTopicsResponse { topics: Vec::new() });
    bench.answer(Response::Envelope(Ok(Box::new(response.clone()))));
    assert_eq!(bench.reply(conn), Some(&response));
}

#[test]
fn a_forwarded_request_that_finds_no_controller_times_out_after_a_minute() {
    let mut bench = Bench::running();
    let conn = bench.ask(Request::CreateTopics(CreateTopicsRequest {
        topics: Vec::new(),
        timeout_ms: 1_000,
        validate_only: false,
    }));
    for _ in 0..70 {
        bench.pass(SECOND);
    }
    let empty = Response::CreateTopics(CreateTopicsResponse { topics: Vec::new() });
    assert_eq!(bench.reply(conn), Some(&empty));
}

#[test]
fn producer_ids_come_from_a_block_that_the_controller_gave() {
    // P-16.
    let mut bench = Bench::running();
    let early = bench.ask(Request::InitProducerId(InitProducerIdRequest {}));
    let id_of = |b: &Bench, conn| match b.reply(conn) {
        Some(Response::InitProducerId(r)) => (r.error_code, r.producer_id.0),
        other => panic!("no producer id: {other:?}"),
    };
    assert_eq!(
        id_of(&bench, early),
        (ErrorCode::CoordinatorLoadInProgress, -1)
    );
    bench.answer(Response::AllocateProducerIds(AllocateProducerIdsResponse {
        error_code: ErrorCode::None,
        producer_id_start: ProducerId(4_000),
        producer_id_len: 1_000,
    }));
    let late = bench.ask(Request::InitProducerId(InitProducerIdRequest {}));
    assert_eq!(id_of(&bench, late), (ErrorCode::None, 4_000));
}

#[test]
fn high_watermarks_are_written_every_five_seconds() {
    // L-33.
    let mut bench = Bench::with_orders(1, &[1]);
    bench.ask(produce(1));
    bench.pass(Duration::secs(5));
    let written = bench.written(|file| *file == FileId::HighWatermarks);
    let last = written.last().expect("it was written");
    let hws = [(ORDERS, Offset(3))].into();
    assert_eq!(**last, Write::Replace(SmallFile::Offsets(hws)));
}

#[test]
fn a_broker_that_was_never_registered_halts_after_a_minute() {
    let mut bench = Bench::boot(DiskImage::new());
    bench.pass(Duration::secs(61));
    assert_eq!(bench.ended, Some(Exit::Halted(Halt::NotRegistered)));
}

#[test]
fn a_clean_stop_first_asks_the_controller() {
    // K-19, L-35.
    let mut bench = Bench::with_orders(1, &[1]);
    bench.ask(produce(1));
    bench.disk_is_slow = true;
    bench.hand(Input::Stop);
    let Request::BrokerHeartbeat(r) = bench.take(Api::BrokerHeartbeat).request else {
        unreachable!("because it is a heartbeat");
    };
    assert!(r.want_shut_down);
    bench.pass(SECOND);
    assert_eq!(bench.ended, None, "it waits for the controller");
}

#[test]
fn the_marker_is_written_when_every_log_is_synced() {
    // L-35.
    let mut bench = Bench::with_orders(1, &[1]);
    bench.ask(produce(1));
    bench.disk_is_slow = true;
    bench.hand(Input::Stop);
    bench.beat(true);
    let marker = |b: &Bench| b.written(|file| *file == FileId::CleanShutdown).len();
    assert_eq!((bench.ended, marker(&bench)), (None, 0));
    bench.finish_syncs();
    assert_eq!((bench.ended, marker(&bench)), (Some(Exit::Stopped), 1));
    let named = Write::Replace(SmallFile::CleanShutdown(Some(EPOCH)));
    let last = bench.did.iter().rev().find_map(|o| match o {
        Output::Write { write, .. } => Some(write),
        _ => None,
    });
    assert_eq!(last, Some(&named));
}

#[test]
fn a_broker_names_the_epoch_of_its_last_clean_stop_when_it_registers() {
    // KIP-966.
    let marker = FileImage::Small(SmallFile::CleanShutdown(Some(BrokerEpoch(7))));
    let mut bench = Bench::boot([(FileId::CleanShutdown, marker)].into());
    bench.commit(vec![register(2), unfence(2)]);
    bench.pass(Duration::millis(100));
    let Request::BrokerRegistration(r) = bench.take(Api::BrokerRegistration).request else {
        unreachable!("because it is a registration");
    };
    assert_eq!(r.previous_broker_epoch, Some(BrokerEpoch(7)));
    let clean = true;
    let started = Event::Broker(BrokerEvent::Started { clean });
    assert!(bench.told.contains(&started));
}

/// DeleteRecords of everything that is committed.
fn delete_all() -> Request {
    Request::DeleteRecords(DeleteRecordsRequest {
        partitions: vec![DeleteRecordsPartition {
            topic_id: ORDERS.topic,
            partition: 0,
            offset: Offset(-1),
        }],
        timeout_ms: 1_000,
    })
}

fn low_watermark(bench: &Bench, conn: ConnId) -> Option<(ErrorCode, i64)> {
    match bench.reply(conn)? {
        Response::DeleteRecords(r) => {
            let p = r.partitions[0];
            Some((p.error_code, p.low_watermark.0))
        }
        other => panic!("no deletion: {other:?}"),
    }
}

/// A follower's fetch at the end, with its log start.
fn fetch_with_start(follower: i32, start: i64) -> Request {
    let Request::Fetch(mut r) = fetch(Some(follower), 3) else {
        unreachable!("because it is a fetch");
    };
    r.topics[0].partitions[0].log_start_offset = Some(Offset(start));
    Request::Fetch(r)
}

#[test]
fn a_deletion_is_answered_when_every_living_replica_starts_there() {
    // L-26.
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    bench.ask(produce(1));
    bench.ask(fetch_with_start(2, 0));
    bench.ask(fetch_with_start(3, 0));
    let conn = bench.ask(delete_all());
    assert_eq!(low_watermark(&bench, conn), None);
    bench.ask(fetch_with_start(2, 3));
    assert_eq!(low_watermark(&bench, conn), None);
    bench.ask(fetch_with_start(3, 3));
    assert_eq!(low_watermark(&bench, conn), Some((ErrorCode::None, 3)));
}

#[test]
fn a_deletion_that_a_replica_does_not_follow_times_out_and_is_done_all_the_same() {
    let mut bench = Bench::with_orders(1, &[1, 2, 3]);
    bench.ask(produce(1));
    bench.ask(fetch_with_start(2, 0));
    bench.ask(fetch_with_start(3, 0));
    let conn = bench.ask(delete_all());
    bench.ask(fetch_with_start(2, 3));
    bench.pass(SECOND);
    let timed_out = (ErrorCode::RequestTimedOut, -1);
    assert_eq!(low_watermark(&bench, conn), Some(timed_out));
    let (_, log) = bench.broker.logs().next().expect("it hosts orders");
    assert_eq!(log.log_start(), Offset(3));
}

#[test]
fn old_segments_are_looked_for_half_a_minute_after_the_start_and_vanish_a_minute_later() {
    // L-20, L-24: the segment is a week old by its record's own stamp.
    let mut bench = Bench::with_orders(1, &[1]);
    bench.ask(produce(1));
    let deletes = |b: &Bench| {
        let deleted = |f: &FileId| matches!(f, FileId::Deleted(..));
        b.written(deleted).contains(&&Write::Delete)
    };
    let start = |b: &Bench| {
        b.broker
            .logs()
            .next()
            .expect("it hosts orders")
            .1
            .log_start()
    };
    bench.pass(Duration::secs(29));
    assert_eq!(start(&bench), Offset(0));
    bench.pass(Duration::secs(2));
    assert_eq!(start(&bench), Offset(3));
    assert!(!deletes(&bench));
    bench.pass(Duration::secs(61));
    assert!(deletes(&bench));
}
