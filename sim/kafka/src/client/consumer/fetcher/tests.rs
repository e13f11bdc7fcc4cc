//! What is fetched, kept and returned, with plain values.

use super::super::positions::FetchState;
use super::*;
use crate::client::metadata::LeaderAndEpoch;
use crate::ids::RecordId;
use crate::log::batch::{BatchData, ControlRecord, PlainRecord, RecordBatch};
use crate::protocol::fetch::FetchPartitionResponse;
use crate::time::Timestamp;
use std::sync::Arc;

const TOPIC: TopicId = TopicId(7);
const NODE: NodeId = NodeId(1);
const EPOCH: LeaderEpoch = LeaderEpoch(3);

fn partition(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: "orders".into(),
        partition,
    }
}

/// `count` partitions led by `NODE`, each at offset 0.
fn positions(count: i32) -> Positions {
    let mut positions = Positions::default();
    positions.assign(&(0..count).map(partition).collect::<Vec<_>>());
    for assigned in positions.iter_mut() {
        assigned.seek(at(0));
    }
    positions
}

fn at(offset: i64) -> FetchPosition {
    FetchPosition {
        offset: Offset(offset),
        offset_epoch: None,
        leader: Some(LeaderAndEpoch {
            leader: Some(NODE),
            epoch: EPOCH,
        }),
    }
}

/// Records numbered by their offsets.
fn batch(base: i64, count: u32) -> RecordBatch {
    let record = |i| PlainRecord {
        id: RecordId {
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

fn control(base: i64) -> RecordBatch {
    let leader = ControlRecord::LeaderChange {
        leader: NODE,
        voters: Vec::new(),
    };
    RecordBatch {
        base_offset: Offset(base),
        leader_epoch: EPOCH,
        data: Arc::new(BatchData::of_control(leader, Timestamp(0))),
    }
}

fn answer(
    partition: i32,
    error_code: ErrorCode,
    records: Vec<RecordBatch>,
) -> FetchPartitionResponse {
    FetchPartitionResponse {
        partition,
        error_code,
        high_watermark: Some(Offset(100)),
        last_stable_offset: Some(Offset(100)),
        log_start_offset: Offset(0),
        diverging_epoch: None,
        current_leader: None,
        records,
    }
}

/// Asks for all that is wanted and gives these answers.
fn fetched(fetcher: &mut Fetcher, positions: &Positions, answers: Vec<FetchPartitionResponse>) {
    let wanted = fetcher.wanted(positions, |_| Some(TOPIC));
    let (node, asked) = wanted.by_node.first().expect("something is wanted");
    fetcher.sent(*node);
    let topics = vec![crate::protocol::fetch::FetchTopicResponse {
        topic_id: TOPIC,
        partitions: answers.into(),
    }];
    let response = FetchResponse {
        error_code: ErrorCode::None,
        topics,
        node_endpoints: Vec::new(),
    };
    fetcher.answered(*node, asked, response);
}

fn good(partition: i32, records: Vec<RecordBatch>) -> FetchPartitionResponse {
    answer(partition, ErrorCode::None, records)
}

fn poll(fetcher: &mut Fetcher, positions: &mut Positions, max: i32) -> Collected {
    let config = ConsumerConfig {
        max_poll_records: max,
        ..ConsumerConfig::default()
    };
    fetcher.collect(positions, &config, Some(ResetTo::Earliest))
}

fn offsets(collected: &Collected) -> Vec<i64> {
    let all = collected.records.iter().flat_map(PartitionRecords::records);
    all.map(|(offset, ..)| offset.0).collect()
}

fn position(positions: &Positions, p: i32) -> i64 {
    let assigned = positions.get(&partition(p)).expect("it is assigned");
    assigned.position().expect("it has a position").offset.0
}

#[test]
fn the_position_moves_when_poll_returns_the_records() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(
        &mut fetcher,
        &positions,
        vec![good(0, vec![batch(0, 3), batch(3, 2)])],
    );
    assert_eq!(position(&positions, 0), 0);
    assert_eq!(
        offsets(&poll(&mut fetcher, &mut positions, 500)),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(position(&positions, 0), 5);
}

#[test]
fn a_poll_returns_at_most_max_poll_records_and_the_next_goes_on_there() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 5)])]);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 3)), [0, 1, 2]);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 3)), [3, 4]);
}

#[test]
fn what_is_returned_can_be_decoded() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(
        &mut fetcher,
        &positions,
        vec![good(0, vec![batch(0, 4), batch(4, 2)])],
    );
    poll(&mut fetcher, &mut positions, 3);
    let second = poll(&mut fetcher, &mut positions, 3);
    let decoded = second.records.iter().flat_map(PartitionRecords::decoded);
    let offsets: Vec<_> = decoded.map(|r| r.expect("it is whole").offset.0).collect();
    assert_eq!(offsets, [3, 4, 5]);
}

/// Five records from `base` on, of which compaction has left two, at deltas 1 and 3.
fn compacted(base: i64) -> RecordBatch {
    let whole = batch(base, 5);
    let records = whole.records().map(|r| r.expect("it is whole"));
    let placed = records.map(|r| (r.offset.0 - base, r.into_plain()));
    let kept: Vec<_> = placed.filter(|(delta, _)| [1, 3].contains(delta)).collect();
    let data = Arc::new(whole.data.keeping(&kept, None));
    RecordBatch { data, ..whole }
}

#[test]
fn records_that_compaction_left_keep_their_offsets() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    let answer = vec![good(0, vec![compacted(0), batch(5, 1)])];
    fetched(&mut fetcher, &positions, answer);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 1)), [1]);
    assert_eq!(position(&positions, 0), 2);
    let second = poll(&mut fetcher, &mut positions, 1);
    assert_eq!(offsets(&second), [3]);
    let ids = second.records.iter().flat_map(PartitionRecords::records);
    assert_eq!(ids.map(|(.., id)| id.number).collect::<Vec<_>>(), [3]);
    let decoded = second.records.iter().flat_map(PartitionRecords::decoded);
    let decoded: Vec<_> = decoded.map(|r| r.expect("it is whole").offset.0).collect();
    assert_eq!(decoded, [3]);
    // The last record is gone, not its offset: the next is asked for behind the batch.
    assert_eq!(position(&positions, 0), 5);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 1)), [5]);
}

#[test]
fn a_position_in_a_gap_that_compaction_left_goes_on_behind_it() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    positions.iter_mut().for_each(|a| a.seek(at(2)));
    fetched(&mut fetcher, &positions, vec![good(0, vec![compacted(0)])]);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [3]);
}

#[test]
fn records_before_the_position_are_not_returned() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    positions.iter_mut().for_each(|a| a.seek(at(2)));
    fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 4)])]);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [2, 3]);
}

#[test]
fn a_node_is_asked_once_at_a_time_and_not_while_something_of_it_is_buffered() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
    let wanted = |f: &Fetcher, p: &Positions| f.wanted(p, |_| Some(TOPIC)).by_node.len();
    assert_eq!(wanted(&fetcher, &positions), 1);
    fetcher.sent(NODE);
    assert_eq!(wanted(&fetcher, &positions), 0);
    fetcher.failed(NODE);
    fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
    assert_eq!(wanted(&fetcher, &positions), 0);
    poll(&mut fetcher, &mut positions, 500);
    assert_eq!(wanted(&fetcher, &positions), 1);
}

#[test]
fn after_a_seek_what_was_buffered_is_dropped() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
    positions.iter_mut().for_each(|a| a.seek(at(40)));
    assert!(poll(&mut fetcher, &mut positions, 500).is_empty());
    assert_eq!(position(&positions, 0), 40);
}

#[test]
fn a_paused_partition_keeps_what_is_buffered_until_it_is_resumed() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
    positions.iter_mut().for_each(|a| a.paused = true);
    assert!(poll(&mut fetcher, &mut positions, 500).is_empty());
    positions.iter_mut().for_each(|a| a.paused = false);
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [0, 1]);
}

#[test]
fn the_position_moves_over_control_records_which_nobody_sees() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    fetched(
        &mut fetcher,
        &positions,
        vec![good(0, vec![control(0), batch(1, 1), control(2)])],
    );
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [1]);
    assert_eq!(position(&positions, 0), 3);
}

#[test]
fn a_partition_is_drained_before_the_next_and_then_goes_to_the_end() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
    let answers = vec![good(0, vec![batch(0, 2)]), good(1, vec![batch(0, 2)])];
    fetched(&mut fetcher, &positions, answers);
    let first = poll(&mut fetcher, &mut positions, 3);
    let parts: Vec<_> = first
        .records
        .iter()
        .map(|r| r.partition.partition)
        .collect();
    assert_eq!(parts, [0, 1]);
    let order: Vec<_> = positions.iter().map(|a| a.partition.partition).collect();
    assert_eq!(order, [1, 0]);
}

#[test]
fn out_of_range_resets_by_the_policy_and_without_one_is_thrown() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    let lost = || vec![answer(0, ErrorCode::OffsetOutOfRange, Vec::new())];
    fetched(&mut fetcher, &positions, lost());
    let none = fetcher.collect(&mut positions, &ConsumerConfig::default(), None);
    assert_eq!(
        none.error,
        Some(ConsumerError::OffsetOutOfRange(partition(0), Offset(0)))
    );
    fetched(&mut fetcher, &positions, lost());
    let reset = poll(&mut fetcher, &mut positions, 500);
    assert_eq!((reset.error, reset.out_of_range.len()), (None, 1));
    let state = positions.iter().next().expect("assigned").state;
    assert!(matches!(
        state,
        FetchState::AwaitReset {
            to: ResetTo::Earliest,
            retry: None
        }
    ));
}

#[test]
fn an_error_behind_records_is_thrown_by_the_next_poll() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
    let answers = vec![
        good(0, vec![batch(0, 1)]),
        answer(1, ErrorCode::CorruptMessage, Vec::new()),
    ];
    fetched(&mut fetcher, &positions, answers);
    let first = poll(&mut fetcher, &mut positions, 500);
    assert_eq!((offsets(&first), first.error), (vec![0], None));
    let error = Some(ConsumerError::CorruptRecord(partition(1), Offset(0)));
    assert_eq!(poll(&mut fetcher, &mut positions, 500).error, error);
}

#[test]
fn a_batch_whose_checksum_does_not_fit_stops_the_reader_until_it_seeks_past_it() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    let mut bad = batch(1, 1);
    bad.data = Arc::new(bad.data.damaged(0));
    fetched(
        &mut fetcher,
        &positions,
        vec![good(0, vec![batch(0, 1), bad, batch(2, 1)])],
    );
    assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [0]);
    let corrupt = Some(ConsumerError::CorruptRecord(partition(0), Offset(1)));
    assert_eq!(poll(&mut fetcher, &mut positions, 500).error, corrupt);
    assert_eq!(poll(&mut fetcher, &mut positions, 500).error, corrupt);
    positions.iter_mut().for_each(|a| a.seek(at(2)));
    assert_eq!(poll(&mut fetcher, &mut positions, 500).error, None);
}

#[test]
fn a_leader_named_instead_is_reported_and_metadata_is_wanted() {
    let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
    let wanted = fetcher.wanted(&positions, |_| Some(TOPIC));
    let (node, asked) = &wanted.by_node[0];
    let hint = LeaderIdAndEpoch {
        leader_id: NodeId(2),
        leader_epoch: EPOCH.next(),
    };
    let moved = FetchPartitionResponse {
        current_leader: Some(hint),
        ..answer(0, ErrorCode::NotLeaderOrFollower, Vec::new())
    };
    let id = TopicIdPartition {
        topic: TOPIC,
        partition: 0,
    };
    let response = FetchResponse {
        error_code: ErrorCode::None,
        topics: vec![crate::protocol::fetch::FetchTopicResponse {
            topic_id: TOPIC,
            partitions: [moved].into(),
        }],
        node_endpoints: Vec::new(),
    };
    assert_eq!(fetcher.answered(*node, asked, response), [(id, hint)]);
    assert!(poll(&mut fetcher, &mut positions, 500).wants_metadata);
}

proptest::proptest! {
    #[test]
    fn whatever_the_batches_and_the_polls_every_record_comes_once_and_in_order(
        sizes in proptest::collection::vec(0u32..5, 1..20),
        max in 1i32..7,
        start in 0i64..10,
    ) {
        let mut log = Vec::new();
        let mut end = 0;
        for size in sizes {
            log.push(if size == 0 { control(end) } else { batch(end, size) });
            end += i64::from(size.max(1));
        }
        let expected: Vec<i64> = log
            .iter()
            .flat_map(|b| (b.base_offset.0..).take(b.data.ids().len()))
            .filter(|offset| *offset >= start)
            .collect();
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        positions.iter_mut().for_each(|a| a.seek(at(start.min(end))));
        let mut seen = Vec::new();
        while position(&positions, 0) < end {
            if !fetcher.wanted(&positions, |_| Some(TOPIC)).by_node.is_empty() {
                let from = Offset(position(&positions, 0));
                let two = log.iter().filter(|b| b.end_offset() > from).take(2);
                fetched(&mut fetcher, &positions, vec![good(0, two.cloned().collect())]);
            }
            seen.extend(offsets(&poll(&mut fetcher, &mut positions, max)));
        }
        proptest::prop_assert_eq!(seen, expected);
    }
}
