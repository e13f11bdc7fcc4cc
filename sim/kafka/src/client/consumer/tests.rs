//! Packet captures of a consumer: one topic of one partition, two brokers.

use super::*;
use crate::client::capture::Capture;
use crate::log::batch::{BatchData, PlainRecord, RecordBatch};
use crate::protocol::fetch::*;
use crate::protocol::metadata::*;
use crate::protocol::offsets::*;
use crate::protocol::produce::LeaderIdAndEpoch;
use crate::protocol::{Api, ErrorCode};
use crate::time::Timestamp;
use std::sync::Arc;

const TOPIC: TopicId = TopicId(7);
/// Bootstrap server and broker 1.
const ONE: Address = Address(1);
const TWO: Address = Address(2);
const EPOCH: LeaderEpoch = LeaderEpoch(5);
const SECOND: Duration = Duration::secs(1);
const MINUTE: Duration = Duration::secs(60);

type Bench = Capture<Consumer>;

fn orders() -> TopicPartition {
    TopicPartition {
        topic: "orders".into(),
        partition: 0,
    }
}

/// Has its assignment and no position.
fn assigned(policy: OffsetReset) -> Bench {
    assigned_by(policy, Rules::default())
}

fn assigned_by(policy: OffsetReset, rules: Rules) -> Bench {
    let config = ConsumerConfig {
        auto_offset_reset: policy,
        ..ConsumerConfig::default()
    };
    let mut bench = Capture::of(Consumer::new(ClientId(0), config, rules, &[ONE]));
    bench.call(|c, cx| c.assign(&[orders()], cx));
    bench
}

/// Assigned and in a poll of a minute; asked for metadata.
fn polling(policy: OffsetReset) -> Bench {
    let mut bench = assigned(policy);
    poll(&mut bench);
    bench
}

/// Reads from offset 0 of broker 1; its fetch is on the wire.
fn fetching(policy: OffsetReset) -> Bench {
    fetching_as(assigned(policy))
}

fn fetching_as(mut bench: Bench) -> Bench {
    bench.call(|c, _| c.seek(&orders(), Offset(0), None));
    poll(&mut bench);
    bench.answer(metadata(1, EPOCH));
    assert_eq!(bench.wire(), [(Api::Fetch, ONE)]);
    bench
}

/// Has returned the records 0, 1 and 2; the next fetch is on the wire, and a poll runs.
fn reading(policy: OffsetReset) -> Bench {
    reading_as(assigned(policy))
}

fn reading_as(bench: Bench) -> Bench {
    let mut bench = fetching_as(bench);
    bench.answer(fetched(0, 3));
    assert_eq!(offsets_of(bench.role.polled()), [0, 1, 2]);
    poll(&mut bench);
    bench
}

fn poll(bench: &mut Bench) {
    bench.call(|c, cx| c.poll(MINUTE, cx));
}

fn metadata(leader: i32, leader_epoch: LeaderEpoch) -> Response {
    let partition = MetadataPartition {
        error_code: ErrorCode::None,
        partition_index: 0,
        leader_id: Some(NodeId(leader)),
        leader_epoch,
        replica_nodes: vec![NodeId(1), NodeId(2)],
        isr_nodes: vec![NodeId(1), NodeId(2)],
        offline_replicas: Vec::new(),
    };
    Response::Metadata(MetadataResponse {
        brokers: vec![endpoint(1), endpoint(2)],
        controller_id: None,
        topics: vec![MetadataTopic {
            error_code: ErrorCode::None,
            name: "orders".into(),
            topic_id: TOPIC,
            partitions: [partition].into(),
        }],
    })
}

fn endpoint(node: i32) -> NodeEndpoint {
    NodeEndpoint {
        node_id: NodeId(node),
        address: Address(node as u32),
        rack: None,
    }
}

fn batch(base: i64, count: u32) -> RecordBatch {
    let record = |i| PlainRecord {
        id: crate::ids::RecordId {
            source: 0,
            number: base as u32 + i,
        },
        timestamp: Timestamp(0),
        key: None,
        value: None,
        headers: Vec::new(),
    };
    let records: Vec<_> = (0..count).map(record).collect();
    RecordBatch {
        base_offset: Offset(base),
        leader_epoch: EPOCH,
        data: Arc::new(BatchData::of_records(&records, None)),
    }
}

fn fetch_response(error_code: ErrorCode, records: Vec<RecordBatch>) -> FetchResponse {
    let end = records.last().map(RecordBatch::end_offset);
    let partition = FetchPartitionResponse {
        partition: 0,
        error_code,
        high_watermark: end,
        last_stable_offset: end,
        log_start_offset: Offset(0),
        diverging_epoch: None,
        current_leader: None,
        records,
    };
    FetchResponse {
        error_code: ErrorCode::None,
        topics: vec![FetchTopicResponse {
            topic_id: TOPIC,
            partitions: [partition].into(),
        }],
        node_endpoints: Vec::new(),
    }
}

fn fetched(base: i64, count: u32) -> Response {
    Response::Fetch(fetch_response(ErrorCode::None, vec![batch(base, count)]))
}

fn refused(error: ErrorCode) -> Response {
    Response::Fetch(fetch_response(error, Vec::new()))
}

/// NOT_LEADER_OR_FOLLOWER, with broker 2 named as the leader of the next epoch (KIP-951).
fn moved() -> Response {
    let mut r = fetch_response(ErrorCode::NotLeaderOrFollower, Vec::new());
    r.topics[0].partitions[0].current_leader = Some(LeaderIdAndEpoch {
        leader_id: NodeId(2),
        leader_epoch: EPOCH.next(),
    });
    r.node_endpoints = vec![endpoint(2)];
    Response::Fetch(r)
}

fn listed(error_code: ErrorCode, offset: Option<i64>) -> Response {
    Response::ListOffsets(ListOffsetsResponse {
        partitions: vec![ListOffsetsPartitionResponse {
            topic_id: TOPIC,
            partition: 0,
            error_code,
            offset: offset.map(Offset),
            timestamp: Timestamp(-1),
            leader_epoch: offset.map(|_| EPOCH),
        }],
    })
}

fn epoch_end(error_code: ErrorCode, end: Option<(LeaderEpoch, i64)>) -> Response {
    Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse {
        partitions: vec![OffsetForLeaderPartitionResponse {
            topic_id: TOPIC,
            partition: 0,
            error_code,
            leader_epoch: end.map(|(epoch, _)| epoch),
            end_offset: end.map(|(_, offset)| Offset(offset)),
        }],
    })
}

fn offsets_of(polled: Option<Polled>) -> Vec<i64> {
    let records = polled
        .expect("the poll returned")
        .expect("nothing was thrown");
    let all = records.iter().flat_map(PartitionRecords::records);
    all.map(|(offset, ..)| offset.0).collect()
}

fn thrown(bench: &mut Bench) -> ConsumerError {
    bench
        .role
        .polled()
        .expect("the poll returned")
        .expect_err("it threw")
}

/// Where the fetch on the wire reads from, and under which epoch.
fn fetch_position(bench: &Bench) -> (i64, Option<LeaderEpoch>) {
    let mut fetches = bench.sent.iter().filter_map(|p| match &p.request {
        Request::Fetch(f) => Some(&f.topics[0].partitions[0]),
        _ => None,
    });
    let fetch = fetches.next_back().expect("a fetch is on the wire");
    (fetch.fetch_offset.0, fetch.current_leader_epoch)
}

fn told(bench: &Bench, event: ClientEvent) -> bool {
    bench.events.contains(&Event::Client(ClientId(0), event))
}

fn partition() -> TopicIdPartition {
    TopicIdPartition {
        topic: TOPIC,
        partition: 0,
    }
}

#[test]
fn without_a_position_it_learns_the_leader_asks_it_where_to_begin_and_fetches_there() {
    for (policy, spec) in [
        (OffsetReset::Earliest, OffsetSpec::Earliest),
        (OffsetReset::Latest, OffsetSpec::Latest),
    ] {
        let mut bench = polling(policy);
        assert_eq!(bench.wire(), [(Api::Metadata, ONE)]);
        bench.answer(metadata(2, EPOCH));
        assert_eq!(bench.wire(), [(Api::ListOffsets, TWO)]);
        let Request::ListOffsets(r) = &bench.sent[0].request else {
            panic!("it is a ListOffsets request")
        };
        let asked = &r.partitions[0];
        assert_eq!((asked.at, asked.current_leader_epoch), (spec, Some(EPOCH)));
        bench.answer(listed(ErrorCode::None, Some(4)));
        assert_eq!(bench.wire(), [(Api::Fetch, TWO)]);
        assert_eq!(fetch_position(&bench), (4, Some(EPOCH)));
        let (partition, to) = (partition(), Offset(4));
        assert!(told(&bench, ClientEvent::PositionReset { partition, to }));
    }
}

#[test]
fn the_next_fetch_leaves_before_the_records_are_returned() {
    let mut bench = fetching(OffsetReset::Latest);
    bench.answer(fetched(0, 3));
    assert_eq!(fetch_position(&bench), (3, Some(EPOCH)));
    assert_eq!(offsets_of(bench.role.polled()), [0, 1, 2]);
    assert_eq!(bench.role.position(&orders()), Some(Offset(3)));
}

#[test]
fn what_a_poll_returned_is_told_with_the_ids_of_the_records() {
    let bench = reading(OffsetReset::Latest);
    let id = |number| crate::ids::RecordId { source: 0, number };
    let records = [0, 1, 2].map(|n| (Offset(n.into()), EPOCH, id(n)));
    let delivered = ClientEvent::Delivered {
        partition: partition(),
        from: Offset(0),
        to: Offset(3),
        records: Box::new(records),
    };
    assert!(told(&bench, delivered));
}

#[test]
fn a_poll_returns_empty_when_its_time_is_over() {
    let mut bench = fetching(OffsetReset::Latest);
    bench.pass(Duration::secs(29));
    assert_eq!(bench.role.polled(), None);
    bench.answer(refused(ErrorCode::None));
    bench.pass(Duration::secs(31));
    assert_eq!(bench.role.polled(), Some(Ok(Vec::new())));
}

#[test]
fn what_comes_between_two_polls_is_returned_by_the_second_at_once() {
    let mut bench = fetching(OffsetReset::Latest);
    bench.answer(fetched(0, 3));
    bench.role.polled();
    bench.answer(fetched(3, 2));
    assert!(
        bench.wire().is_empty(),
        "nothing is fetched behind the application's back"
    );
    poll(&mut bench);
    assert_eq!(offsets_of(bench.role.polled()), [3, 4]);
}

#[test]
fn an_offset_that_is_not_available_yet_is_asked_for_again_after_the_retry_backoff() {
    let mut bench = polling(OffsetReset::Latest);
    bench.answer(metadata(1, EPOCH));
    bench.answer(listed(ErrorCode::OffsetNotAvailable, None));
    bench.pass(Duration::millis(99));
    assert!(!bench.wire().contains(&(Api::ListOffsets, ONE)));
    bench.pass(Duration::millis(30));
    bench.answer(metadata(1, EPOCH));
    bench.answer(listed(ErrorCode::None, Some(9)));
    assert_eq!(fetch_position(&bench), (9, Some(EPOCH)));
}

#[test]
fn a_leader_named_in_an_error_is_asked_at_once_whether_the_position_still_stands() {
    let mut bench = reading(OffsetReset::Latest);
    bench.answer(moved());
    assert_eq!(
        bench.wire(),
        [(Api::OffsetForLeaderEpoch, TWO)],
        "and no metadata is needed"
    );
    let Request::OffsetForLeaderEpoch(r) = &bench.sent[0].request else {
        panic!("it is an OffsetForLeaderEpoch request")
    };
    let asked = &r.partitions[0];
    assert_eq!(
        (asked.leader_epoch, asked.current_leader_epoch),
        (EPOCH, Some(EPOCH.next()))
    );
    bench.answer(epoch_end(ErrorCode::None, Some((EPOCH, 3))));
    assert_eq!(bench.wire(), [(Api::Fetch, TWO)]);
    assert_eq!(fetch_position(&bench), (3, Some(EPOCH.next())));
}

#[test]
fn a_truncated_position_goes_back_to_where_the_logs_part() {
    let mut bench = reading(OffsetReset::Latest);
    bench.answer(moved());
    bench.answer(epoch_end(ErrorCode::None, Some((LeaderEpoch(4), 1))));
    assert_eq!(fetch_position(&bench), (1, Some(EPOCH.next())));
    let truncated = ClientEvent::TruncationDetected {
        partition: partition(),
        position: Offset(3),
        divergence: Some(Offset(1)),
    };
    assert!(told(&bench, truncated));
}

/// A consumer from before KIP-320.
fn unvalidating() -> Bench {
    let rules = Rules {
        position_validation: false,
        ..Rules::default()
    };
    assigned_by(OffsetReset::Earliest, rules)
}

#[test]
fn without_position_validation_the_next_leader_is_asked_for_what_comes_and_for_nothing_else() {
    let mut bench = reading_as(unvalidating());
    assert_eq!(fetch_position(&bench), (3, None));
    bench.answer(moved());
    assert_eq!(bench.wire(), [(Api::Fetch, TWO)]);
    assert_eq!(fetch_position(&bench), (3, None));
}

#[test]
fn without_position_validation_an_epoch_that_the_application_kept_is_ignored() {
    let mut bench = unvalidating();
    bench.call(|c, _| c.seek(&orders(), Offset(8), Some(LeaderEpoch(2))));
    poll(&mut bench);
    bench.answer(metadata(1, EPOCH));
    assert_eq!(fetch_position(&bench), (8, None));
}

#[test]
fn without_position_validation_no_question_for_an_offset_names_an_epoch() {
    let mut bench = unvalidating();
    poll(&mut bench);
    bench.answer(metadata(1, EPOCH));
    let Request::ListOffsets(r) = &bench.sent[0].request else {
        panic!("it asks where to begin")
    };
    assert_eq!(r.partitions[0].current_leader_epoch, None);
}

#[test]
fn without_a_policy_a_truncation_is_thrown_and_nothing_is_fetched() {
    let mut bench = reading(OffsetReset::None);
    bench.answer(moved());
    bench.answer(epoch_end(ErrorCode::None, Some((LeaderEpoch(4), 1))));
    let error = ConsumerError::LogTruncation {
        partition: orders(),
        position: Offset(3),
        divergence: Some(Offset(1)),
    };
    assert_eq!(thrown(&mut bench), error);
    poll(&mut bench);
    bench.pass(SECOND);
    assert!(bench.wire().is_empty());
    assert_eq!(bench.role.position(&orders()), Some(Offset(3)));
}

#[test]
fn a_validation_that_fails_is_repeated_with_newer_metadata() {
    let mut bench = reading(OffsetReset::Latest);
    bench.answer(moved());
    bench.answer(epoch_end(ErrorCode::UnknownLeaderEpoch, None));
    bench.pass(Duration::millis(150));
    bench.answer(metadata(2, EPOCH.next()));
    assert_eq!(bench.wire(), [(Api::OffsetForLeaderEpoch, TWO)]);
}

#[test]
fn metadata_is_asked_for_when_it_is_five_minutes_old_and_a_new_leader_in_it_is_validated() {
    let mut bench = reading(OffsetReset::Latest);
    for _ in 0..10 {
        assert_eq!(bench.wire(), [(Api::Fetch, ONE)]);
        bench.answer(refused(ErrorCode::None));
        bench.pass(Duration::secs(29));
        if bench.role.polled().is_some() {
            poll(&mut bench);
        }
    }
    bench.answer(refused(ErrorCode::None));
    bench.pass(Duration::secs(10));
    bench.answer_all(refused(ErrorCode::None), metadata(2, EPOCH.next()));
    assert!(bench.wire().contains(&(Api::OffsetForLeaderEpoch, TWO)));
}

#[test]
fn an_error_without_a_hint_makes_it_ask_for_metadata_and_fetch_on_meanwhile() {
    let mut bench = reading(OffsetReset::Latest);
    bench.pass(SECOND);
    bench.answer(refused(ErrorCode::NotLeaderOrFollower));
    let apis: Vec<_> = bench.wire().into_iter().map(|(api, _)| api).collect();
    assert_eq!(apis, [Api::Metadata, Api::Fetch]);
    bench.answer_all(
        refused(ErrorCode::NotLeaderOrFollower),
        metadata(2, EPOCH.next()),
    );
    assert!(bench.wire().contains(&(Api::OffsetForLeaderEpoch, TWO)));
}

#[test]
fn a_position_out_of_range_is_told_and_reset_by_the_policy() {
    let mut bench = reading(OffsetReset::Earliest);
    bench.answer(refused(ErrorCode::OffsetOutOfRange));
    assert_eq!(bench.wire(), [(Api::ListOffsets, ONE)]);
    let (partition, position) = (partition(), Offset(3));
    assert!(told(
        &bench,
        ClientEvent::OffsetOutOfRange {
            partition,
            position
        }
    ));
    bench.answer(listed(ErrorCode::None, Some(1)));
    assert_eq!(fetch_position(&bench), (1, Some(EPOCH)));
}

#[test]
fn without_a_policy_what_has_no_position_or_an_impossible_one_is_thrown() {
    let mut bench = polling(OffsetReset::None);
    let error = ConsumerError::NoOffsetForPartition(vec![orders()]);
    assert_eq!(thrown(&mut bench), error);
    let mut bench = reading(OffsetReset::None);
    bench.answer(refused(ErrorCode::OffsetOutOfRange));
    let error = ConsumerError::OffsetOutOfRange(orders(), Offset(3));
    assert_eq!(thrown(&mut bench), error);
}

#[test]
fn a_fetch_lost_with_its_connection_is_made_again_after_the_reconnect_backoff() {
    let mut bench = reading(OffsetReset::Latest);
    bench.reset(ONE);
    bench.pass(Duration::millis(49));
    assert!(!bench.wire().contains(&(Api::Fetch, ONE)));
    bench.pass(SECOND);
    assert_eq!(fetch_position(&bench), (3, Some(EPOCH)));
}

#[test]
fn a_fetch_that_is_not_answered_in_thirty_seconds_closes_the_connection() {
    let mut bench = reading(OffsetReset::Latest);
    bench.take(Api::Fetch);
    bench.pass(Duration::secs(30));
    let node = NodeId(1);
    assert!(told(&bench, ClientEvent::RequestTimedOut { node }));
    bench.pass(SECOND);
    assert_eq!(fetch_position(&bench), (3, Some(EPOCH)));
}

#[test]
fn end_offsets_are_asked_for_until_every_leader_has_answered() {
    let mut bench = fetching(OffsetReset::Latest);
    bench.answer(fetched(0, 3));
    bench.answer(refused(ErrorCode::None));
    bench.call(|c, cx| c.end_offsets(&[orders()], cx));
    bench.answer(listed(ErrorCode::OffsetNotAvailable, None));
    assert_eq!(bench.role.ended(), None);
    bench.pass(Duration::millis(150));
    bench.answer(metadata(1, EPOCH));
    bench.answer(listed(ErrorCode::None, Some(12)));
    assert_eq!(bench.role.ended(), Some(Ok(vec![(orders(), Offset(12))])));
}

#[test]
fn end_offsets_that_nobody_answers_time_out_after_a_minute() {
    let mut bench = Capture::of(Consumer::new(
        ClientId(0),
        ConsumerConfig::default(),
        Rules::default(),
        &[ONE],
    ));
    bench.refusing.insert(ONE);
    bench.call(|c, cx| c.assign(&[orders()], cx));
    bench.call(|c, cx| c.end_offsets(&[orders()], cx));
    bench.pass(Duration::secs(59));
    assert_eq!(bench.role.ended(), None);
    bench.pass(SECOND);
    assert_eq!(bench.role.ended(), Some(Err(lookup::LookupTimeout)));
}

#[test]
fn a_seek_with_an_epoch_is_validated_before_anything_is_fetched() {
    let mut bench = polling(OffsetReset::Latest);
    bench.call(|c, _| c.seek(&orders(), Offset(8), Some(LeaderEpoch(2))));
    bench.answer(metadata(1, EPOCH));
    assert_eq!(bench.wire(), [(Api::OffsetForLeaderEpoch, ONE)]);
    bench.answer(epoch_end(ErrorCode::None, Some((LeaderEpoch(2), 8))));
    assert_eq!(fetch_position(&bench), (8, Some(EPOCH)));
}

#[test]
fn a_reset_by_duration_asks_for_the_first_record_that_is_young_enough() {
    // KIP-1106.
    let mut bench = polling(OffsetReset::ByDuration(60_000));
    bench.answer(metadata(1, EPOCH));
    let Request::ListOffsets(r) = &bench.sent[0].request else {
        panic!("it is a ListOffsets request")
    };
    let minute_ago = Timestamp(crate::client::machine::Machine::EPOCH.0 - 60_000);
    assert_eq!(r.partitions[0].at, OffsetSpec::At(minute_ago));
    // No record is that young yet: it is asked again when the request would have timed out.
    bench.answer(listed(ErrorCode::None, None));
    assert!(bench.wire().is_empty());
    bench.pass(Duration::secs(30));
    assert_eq!(bench.wire(), [(Api::ListOffsets, ONE)]);
    bench.answer(listed(ErrorCode::None, Some(7)));
    assert_eq!(fetch_position(&bench), (7, Some(EPOCH)));
}

#[test]
fn offsets_for_times_are_found_or_there_is_none() {
    let mut bench = fetching(OffsetReset::Latest);
    bench.answer(fetched(0, 3));
    bench.answer(refused(ErrorCode::None));
    let times = [(orders(), Timestamp(5))];
    bench.call(|c, cx| c.offsets_for_times(&times, cx));
    bench.answer(listed(ErrorCode::None, Some(2)));
    let found = OffsetAndTimestamp {
        offset: Offset(2),
        timestamp: Timestamp(-1),
        leader_epoch: Some(EPOCH),
    };
    assert_eq!(
        bench.role.looked_up(),
        Some(Ok(vec![(orders(), Some(found))]))
    );
    bench.call(|c, cx| c.offsets_for_times(&times, cx));
    bench.answer(listed(ErrorCode::None, None));
    assert_eq!(bench.role.looked_up(), Some(Ok(vec![(orders(), None)])));
}
