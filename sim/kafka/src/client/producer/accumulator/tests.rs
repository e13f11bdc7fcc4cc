//! The accumulator with plain values: which batches, which of them are ready, what leaves.

use super::*;
use crate::client::metadata::MetadataSettings;
use crate::config::{Configs, ProducerConfig};
use crate::ids::{Address, LeaderEpoch, ProducerEpoch, ProducerId, RecordId};
use crate::protocol::ErrorCode;
use crate::protocol::metadata::*;
use crate::time::Timestamp;
use bytes::Bytes;

const MIDDLE: u64 = 1 << 63;
const LIMIT: u64 = 1 << 20;

fn at(ms: u64) -> Time {
    Time(0) + Duration::millis(ms)
}

fn to(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TopicIndex(0),
        partition,
    }
}

fn accumulator(pairs: &[(&str, &str)]) -> Accumulator {
    let mut config = ProducerConfig::default();
    for (key, value) in pairs {
        config.set(key, value).expect("a row of the table");
    }
    let settings = Settings::of(&config).expect("they go together");
    let mut accumulator = Accumulator::new(&settings);
    accumulator.topic(&"orders".into(), TopicId(7));
    accumulator
}

/// Leader by partition, in this epoch.
fn led_by(leaders: &[Option<i32>], epoch: i32) -> ClientMetadata {
    let endpoint = |id| NodeEndpoint {
        node_id: NodeId(id),
        address: Address(0),
        rack: None,
    };
    let partition = |(index, leader): (i32, &Option<i32>)| MetadataPartition {
        error_code: ErrorCode::None,
        partition_index: index,
        leader_id: leader.map(NodeId),
        leader_epoch: LeaderEpoch(epoch),
        replica_nodes: Vec::new(),
        isr_nodes: Vec::new(),
        offline_replicas: Vec::new(),
    };
    let response = MetadataResponse {
        brokers: vec![endpoint(1), endpoint(2)],
        controller_id: None,
        topics: vec![MetadataTopic {
            error_code: ErrorCode::None,
            name: "orders".into(),
            topic_id: TopicId(7),
            partitions: (0..).zip(leaders).map(partition).collect(),
        }],
    };
    let mut metadata = ClientMetadata::new(MetadataSettings::default(), &[]);
    metadata.add(&"orders".into(), at(0));
    let (_, asked) = metadata.question(at(0));
    metadata.update(asked, &response, at(0), MIDDLE);
    metadata
}

fn plain(size: usize, ms: u64) -> PlainRecord {
    PlainRecord {
        id: RecordId {
            source: 0,
            number: 0,
        },
        timestamp: Timestamp(1_000 + ms as i64),
        key: None,
        value: Some(Bytes::from(vec![0; size])),
        headers: Vec::new(),
    }
}

fn append(a: &mut Accumulator, partition: i32, size: usize, ms: u64) -> Appended {
    a.append(to(partition), SendId(0), &plain(size, ms), at(ms))
        .expect("memory")
}

fn ready(a: &mut Accumulator, metadata: &ClientMetadata, ms: u64) -> Vec<i32> {
    let ready = a.ready(metadata, false, at(ms));
    a.weigh(metadata);
    ready.nodes.iter().map(|n| n.node.0).collect()
}

/// Drains node 1 of all that it leads.
fn drain(a: &mut Accumulator, metadata: &ClientMetadata, limit: u64, ms: u64) -> Vec<i32> {
    a.flushing = Some(BatchId(u64::MAX));
    let ready = a.ready(metadata, true, at(ms));
    a.flushing = None;
    let node = ready.nodes.iter().find(|n| n.node == NodeId(1));
    let drained = node.map_or(SmallVec::new(), |n| a.drain(n, None, limit, at(ms)));
    drained.iter().map(|d| d.partition.partition).collect()
}

fn put_back(a: &mut Accumulator, id: u64, ms: u64) {
    a.batch_mut(BatchId(id)).in_flight = false;
    a.reenqueue(BatchId(id), at(ms), MIDDLE);
}

/// How many records, the batch's size, whether it is full.
type Filled = (i32, u64, bool);

/// Made by the RecordAccumulator of Kafka 4.2.0: for each batch.size how the records fall into batches.
/// Times are 1000, 1001, …; there are no keys.
///
/// ```text
/// java -cp 'lib/*' Batches.java   # lib as for the golden hashes; appends SIZES to one partition, prints getDeque
/// ```
const SIZES: [usize; 40] = [
    68, 190, 92, 158, 70, 58, 74, 182, 38, 36, 168, 186, 162, 0, 22, 122, 118, 188, 30, 176, 46,
    90, 96, 88, 34, 106, 10, 138, 32, 44, 28, 114, 64, 66, 128, 110, 134, 102, 80, 174,
];
#[rustfmt::skip]
const GOLDEN: [(&str, &[usize], &[Filled]); 4] = [
    ("1", &[10; 7], &[(2, 95, true), (2, 95, true), (2, 95, true), (1, 78, false)]),
    ("333", &SIZES, &[
        (1, 138, true), (1, 260, true), (2, 329, true), (3, 289, true), (2, 297, true), (2, 281, true),
        (1, 256, true), (3, 268, true), (2, 319, true), (2, 295, true), (2, 299, true), (2, 265, true),
        (4, 331, true), (4, 333, true), (3, 332, true), (2, 317, true), (2, 315, true), (2, 333, true),
    ]),
    ("1000", &SIZES, &[
        (7, 833, true), (8, 919, true), (8, 995, true), (11, 874, true), (6, 843, false),
    ]),
    ("16384", &SIZES, &[(40, 4220, false)]),
];

#[test]
fn records_fall_into_batches_as_in_kafkas_own_client() {
    for (batch_size, sizes, expected) in GOLDEN {
        let mut a = accumulator(&[("batch.size", batch_size)]);
        for (i, size) in (0..).zip(sizes) {
            append(&mut a, 0, *size, i);
        }
        let batches = a.batches.iter().map(|(_, b)| b);
        let batches: Vec<_> = batches
            .map(|b| (b.count(), b.size(), b.is_full()))
            .collect();
        assert_eq!(batches, expected, "batch.size={batch_size}");
    }
}

#[test]
fn memory_is_given_out_by_the_batch_and_comes_back_when_it_is_over() {
    let mut a = accumulator(&[("batch.size", "200"), ("buffer.memory", "500")]);
    append(&mut a, 0, 300, 0);
    assert!(!a.has_memory(200), "the record is larger than a batch");
    assert!(a.has_memory(500 - 300 - 61 - 21 - 4));
    let id = a.take_incomplete()[0];
    a.batch_mut(id).done = true;
    a.release(id);
    assert!(a.has_memory(500));
}

#[test]
fn a_batch_is_ready_once_it_has_lingered() {
    let mut a = accumulator(&[]);
    let metadata = led_by(&[Some(1)], 0);
    append(&mut a, 0, 10, 0);
    assert_eq!(a.ready(&metadata, false, at(4)).next_check, Some(at(5)));
    assert!(ready(&mut a, &metadata, 4).is_empty());
    assert_eq!(ready(&mut a, &metadata, 5), [1]);
}

#[test]
fn a_batch_is_ready_at_once_when_it_is_full_or_somebody_presses() {
    let metadata = led_by(&[Some(1)], 0);
    let press: [fn(&mut Accumulator); 3] = [
        |a| {
            append(a, 0, 16_384, 0);
        },
        Accumulator::begin_flush,
        Accumulator::close,
    ];
    for press in press {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        press(&mut a);
        assert_eq!(ready(&mut a, &metadata, 0), [1]);
    }
    let mut a = accumulator(&[]);
    append(&mut a, 0, 10, 0);
    assert_eq!(
        a.ready(&metadata, true, at(0)).nodes.len(),
        1,
        "memory is exhausted"
    );
}

#[test]
fn a_partition_that_nobody_leads_is_not_ready_but_named() {
    let mut a = accumulator(&[]);
    append(&mut a, 1, 10, 0);
    let found = a.ready(&led_by(&[Some(1), None], 0), false, at(9));
    assert!(found.nodes.is_empty());
    assert!(found.unknown_leaders[..] == [TopicIndex(0)]);
}

#[test]
fn a_retry_is_ready_after_its_back_off_or_once_the_leader_has_changed() {
    let mut a = accumulator(&[]);
    append(&mut a, 0, 10, 0);
    drain(&mut a, &led_by(&[Some(1)], 3), LIMIT, 5);
    put_back(&mut a, 0, 10);
    let unchanged = led_by(&[Some(1)], 3);
    assert!(ready(&mut a, &unchanged, 109).is_empty());
    assert_eq!(ready(&mut a, &unchanged, 110), [1]);
    assert_eq!(ready(&mut a, &led_by(&[Some(2)], 4), 15), [2]);
}

#[test]
fn a_muted_partition_is_neither_ready_nor_drained() {
    let mut a = accumulator(&[]);
    let metadata = led_by(&[Some(1), Some(1)], 0);
    append(&mut a, 0, 10, 0);
    append(&mut a, 1, 10, 0);
    a.mute(to(0));
    assert_eq!(drain(&mut a, &metadata, LIMIT, 9), [1]);
    assert!(ready(&mut a, &metadata, 9).is_empty());
    a.unmute(to(0));
    assert_eq!(ready(&mut a, &metadata, 9), [1]);
}

#[test]
fn a_drain_begins_where_the_last_one_ended_for_lack_of_room() {
    let mut a = accumulator(&[]);
    let metadata = led_by(&[Some(1); 3], 0);
    for partition in [0, 1, 2, 0] {
        append(&mut a, partition, 16_384, 0);
    }
    assert_eq!(drain(&mut a, &metadata, 40_000, 0), [0, 1]);
    assert_eq!(drain(&mut a, &metadata, 40_000, 0), [2, 0]);
}

#[test]
fn a_batch_larger_than_a_request_may_be_goes_alone() {
    let mut a = accumulator(&[]);
    append(&mut a, 0, 500, 0);
    append(&mut a, 1, 500, 0);
    let metadata = led_by(&[Some(1); 2], 0);
    assert_eq!(drain(&mut a, &metadata, 100, 0), [0]);
    assert_eq!(drain(&mut a, &metadata, 100, 0), [1]);
}

#[test]
fn a_retry_without_sequence_numbers_goes_to_the_front() {
    let mut a = accumulator(&[("batch.size", "1")]);
    let metadata = led_by(&[Some(1)], 0);
    for _ in 0..3 {
        append(&mut a, 0, 50, 0);
    }
    drain(&mut a, &metadata, LIMIT, 0);
    drain(&mut a, &metadata, LIMIT, 0);
    put_back(&mut a, 0, 1);
    put_back(&mut a, 1, 2);
    assert_eq!(
        a.topics[0].queues[0].batches,
        [1, 0, 2].map(BatchId),
        "the order is lost"
    );
}

#[test]
fn a_retry_with_sequence_numbers_goes_where_they_say() {
    let mut a = accumulator(&[("batch.size", "1")]);
    let metadata = led_by(&[Some(1)], 0);
    let mut i = Idempotence::default();
    i.obtained(ProducerId(4), ProducerEpoch(0));
    for _ in 0..3 {
        append(&mut a, 0, 50, 0);
    }
    for _ in 0..2 {
        let found = a.ready(&metadata, true, at(0));
        a.drain(&found.nodes[0], Some(&mut i), LIMIT, at(0));
    }
    put_back(&mut a, 0, 1);
    put_back(&mut a, 1, 2);
    assert_eq!(a.topics[0].queues[0].batches, [0, 1, 2].map(BatchId));
}

#[test]
fn without_a_producer_id_nothing_is_drained() {
    let mut a = accumulator(&[]);
    append(&mut a, 0, 10, 0);
    let found = a.ready(&led_by(&[Some(1)], 0), true, at(0));
    let mut nobody = Idempotence::default();
    assert!(
        a.drain(&found.nodes[0], Some(&mut nobody), LIMIT, at(0))
            .is_empty()
    );
    assert!(a.has_undrained());
}

#[test]
fn batches_expire_in_the_queue_and_in_flight_by_their_first_record() {
    let mut a = accumulator(&[]);
    append(&mut a, 0, 10, 0);
    drain(&mut a, &led_by(&[Some(1)], 0), LIMIT, 5);
    append(&mut a, 0, 10, 6);
    append(&mut a, 1, 10, 7);
    assert_eq!(a.next_expiry(), Some(at(120_000)));
    assert!(a.take_expired(at(120_005)).is_empty());
    assert_eq!(a.expired_in_flight(at(120_005)), [BatchId(0)]);
    assert_eq!(a.take_expired(at(120_006)), [BatchId(1)]);
    assert_eq!(a.take_expired(at(120_007)), [BatchId(2)]);
}

// Seed 1461 of the free half: the sender woke for the expiry of a batch that nobody looked for, again and again.
#[test]
fn what_waits_behind_a_younger_batch_expires_with_it() {
    let mut a = accumulator(&[("batch.size", "1")]);
    for ms in [0, 5] {
        append(&mut a, 0, 10, ms);
        drain(&mut a, &led_by(&[Some(1)], 0), LIMIT, ms);
    }
    put_back(&mut a, 0, 10);
    put_back(&mut a, 1, 11);
    assert_eq!(a.topics[0].queues[0].batches, [1, 0].map(BatchId));
    assert_eq!(a.next_expiry(), Some(at(120_005)));
    assert!(a.take_expired(at(120_004)).is_empty());
    assert_eq!(a.take_expired(at(120_005)), [1, 0].map(BatchId));
}

#[test]
fn a_flush_is_over_when_all_batches_from_before_it_are() {
    let mut a = accumulator(&[]);
    append(&mut a, 0, 10, 0);
    a.begin_flush();
    drain(&mut a, &led_by(&[Some(1)], 0), LIMIT, 0);
    a.begin_flush();
    append(&mut a, 0, 10, 1);
    assert!(a.is_flushing());
    a.batch_mut(BatchId(0)).done = true;
    assert!(!a.is_flushing());
}

fn sticky_partitions(a: &mut Accumulator, metadata: &ClientMetadata, draws: u64) -> Vec<i32> {
    let chosen = (0..draws).map(|n| {
        let drawn = u64::MAX / draws * n + u64::MAX / draws / 2;
        a.choose_sticky(TopicIndex(0), metadata, drawn);
        let sticky = &a.topics[0].sticky;
        sticky.partition().expect("chosen")
    });
    chosen.collect()
}

#[test]
fn a_record_that_does_not_fit_after_a_batchs_worth_goes_to_the_next_sticky_partition() {
    let mut a = accumulator(&[("batch.size", "1000")]);
    let metadata = led_by(&[Some(1), Some(1)], 0);
    a.choose_sticky(TopicIndex(0), &metadata, 0);
    let record = |size| plain(size, 0);
    for _ in 0..2 {
        assert!(!a.is_switch_due(to(0), &record(500)));
        let appended = append(&mut a, 0, 500, 0);
        assert!(!a.count_sticky(to(0), appended), "a half-full batch waits");
    }
    assert_eq!(a.sticky_partition(TopicIndex(0)), Some(0));
    assert!(!a.is_switch_due(to(0), &record(100)), "there is room");
    assert!(a.is_switch_due(to(0), &record(500)));
    assert_eq!(a.sticky_partition(TopicIndex(0)), None);
}

/// Three batches wait for partition 0, one for partition 1, led by broker 1 and broker 2.
fn uneven(pairs: &[(&str, &str)]) -> (Accumulator, ClientMetadata) {
    let mut a = accumulator(&[&[("batch.size", "1")], pairs].concat());
    for partition in [0, 0, 0, 1] {
        append(&mut a, partition, 50, 0);
    }
    (a, led_by(&[Some(1), Some(2)], 0))
}

#[test]
fn the_next_sticky_partition_is_the_likelier_the_less_waits_for_it() {
    let (mut a, metadata) = uneven(&[]);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 0, 1, 1]);
    ready(&mut a, &metadata, 0);
    // 3 and 1 batches weigh 1 and 3.
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 1, 1, 1]);
}

#[test]
fn without_adaptive_partitioning_the_queues_do_not_matter() {
    let off = ("partitioner.adaptive.partitioning.enable", "false");
    let (mut a, metadata) = uneven(&[off]);
    ready(&mut a, &metadata, 0);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 0, 1, 1]);
}

#[test]
fn nothing_is_weighed_before_each_partition_has_had_something() {
    let mut a = accumulator(&[("batch.size", "1")]);
    append(&mut a, 0, 50, 0);
    let metadata = led_by(&[Some(1), Some(2)], 0);
    ready(&mut a, &metadata, 0);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 0, 1, 1]);
}

#[test]
fn a_leader_that_took_nothing_for_too_long_gets_nothing_without_a_key() {
    let (mut a, metadata) = uneven(&[("partitioner.availability.timeout.ms", "100")]);
    for (ms, taken) in [(0, true), (50, false), (100, false)] {
        a.note_latency(NodeId(2), at(ms), taken);
    }
    ready(&mut a, &metadata, 100);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 1, 1, 1]);
    a.note_latency(NodeId(2), at(101), false);
    ready(&mut a, &metadata, 101);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 0, 0, 0]);
    a.note_latency(NodeId(2), at(102), true);
    ready(&mut a, &metadata, 102);
    assert_eq!(sticky_partitions(&mut a, &metadata, 4), [0, 1, 1, 1]);
}
