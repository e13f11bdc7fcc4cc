//! Where records go and which share a batch: the partitioner and the accumulator beside Kafka's own.

use super::{kept, numbers};
use bytes::Bytes;
use klab_kafka::client::metadata::{ClientMetadata, MetadataSettings};
use klab_kafka::client::producer::SendId;
use klab_kafka::client::producer::accumulator::Accumulator;
use klab_kafka::client::producer::batch::{TopicIndex, TopicPartition};
use klab_kafka::client::producer::config::Settings;
use klab_kafka::client::producer::partitioner::{QueueLengths, Sticky, partition_for_key};
use klab_kafka::config::{Configs, ProducerConfig};
use klab_kafka::ids::{Address, LeaderEpoch, NodeId, RecordId, TopicId};
use klab_kafka::log::batch::PlainRecord;
use klab_kafka::protocol::ErrorCode;
use klab_kafka::protocol::metadata::{
    MetadataPartition, MetadataResponse, MetadataTopic, NodeEndpoint,
};
use klab_kafka::time::{Time, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// The oracle's generator of keys.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn key(seed: u64) -> Vec<u8> {
        let mut draws = Draws(seed);
        let length = draws.below(67);
        (0..length).map(|_| draws.below(256) as u8).collect()
    }
}

#[test]
fn ten_thousand_keys_go_where_kafka_puts_them() {
    let vectors = kept("keys");
    let by_count = vectors.as_object().expect("by number of partitions");
    assert_eq!(by_count.len(), 7);
    for (count, rows) in by_count {
        let count: u32 = count.parse().expect("a number");
        let digits = (1..).find(|d| 36u32.pow(*d) >= count).expect("few") as usize;
        let rows = rows.as_array().expect("rows").iter();
        let text: String = rows.map(|row| row.as_str().expect("text")).collect();
        assert_eq!(text.len(), 10_000 * digits);
        for seed in 0..10_000 {
            let kafkas = &text[seed * digits..(seed + 1) * digits];
            let kafkas = i32::from_str_radix(kafkas, 36).expect("base 36");
            let ours = partition_for_key(&Draws::key(seed as u64), count);
            assert_eq!(ours, kafkas, "key {seed} of {count} partitions");
        }
    }
}

#[test]
fn records_share_the_batches_that_they_share_in_kafka() {
    assert!(run_all(&kept("batches")) > 10);
}

#[test]
fn sticky_partitions_switch_where_kafkas_do() {
    assert!(run_all(&kept("sticky")["courses"]) > 20);
}

#[test]
fn partitions_for_which_less_waits_are_drawn_as_in_kafka() {
    let vectors = kept("sticky");
    let cases = vectors["weighed"].as_array().expect("a list");
    assert!(cases.len() > 15);
    for case in cases {
        let queues = numbers(&case["queues"]);
        let mut lengths = QueueLengths::of(queues.len() as u32);
        let counted = case["counted"].as_u64().expect("a number") as usize;
        for (partition, length) in (0..).zip(&queues) {
            lengths.add(partition, *length as u64);
            if partition as usize >= counted {
                lengths.leave_out_last();
            }
        }
        let mut sticky = Sticky::default();
        sticky.weigh(Some(lengths));
        let all: Vec<i32> = (0..).take(queues.len()).collect();
        let range = case["range"].as_u64().expect("a number");
        let drawn = numbers(&case["draws"]);
        let chosen = drawn.iter().map(|drawn| {
            let drawn = widened(*drawn as u64, range);
            if !sticky.choose_by_load(drawn) {
                sticky.choose(&all, all.len() as u32, drawn);
            }
            i64::from(sticky.partition().expect("chosen"))
        });
        assert_eq!(
            chosen.collect::<Vec<_>>(),
            numbers(&case["partitions"]),
            "{queues:?} without those behind {counted}"
        );
    }
}

/// Kafka takes the rest of its draw by the range, klab the upper part of a widened one: the draw that gives the same.
fn widened(drawn: u64, range: u64) -> u64 {
    let wide = (u128::from(drawn % range) << 64).div_ceil(u128::from(range));
    u64::try_from(wide).expect("below 2^64")
}

const TOPIC: TopicIndex = TopicIndex(0);

/// An accumulator on its course.
struct Course {
    accumulator: Accumulator,
    metadata: ClientMetadata,
    partitions: u64,
    draws: Vec<i64>,
    drawn: usize,
    /// Of each partition the guessed sizes of the batches that wait.
    waiting: BTreeMap<i32, Vec<u64>>,
}

/// Runs all courses of a list; how many they are.
fn run_all(kept: &Value) -> usize {
    let courses = kept.as_array().expect("a list");
    for (number, course) in courses.iter().enumerate() {
        run(number, course);
    }
    courses.len()
}

fn run(number: usize, kept: &Value) {
    let mut course = Course::of(kept);
    let steps = kept["steps"].as_array().expect("steps").iter();
    let results = kept["results"].as_array().expect("results").iter();
    for (i, (step, result)) in steps.zip(results).enumerate() {
        let ours = match numbers(step).as_slice() {
            [] => course.leave(),
            [partition, key, value, headers, at] => {
                course.append(*partition as i32, record(*key, *value, *headers, *at))
            }
            other => panic!("no step: {other:?}"),
        };
        assert_eq!(ours, *result, "course {number}, step {i}: {step}");
    }
    assert_eq!(course.drawn, course.draws.len(), "course {number}");
}

impl Course {
    fn of(kept: &Value) -> Course {
        let mut config = ProducerConfig::default();
        let pairs = [
            ("batch.size", kept["batch.size"].to_string()),
            ("linger.ms", "0".into()),
            ("buffer.memory", (1 << 28).to_string()),
            ("partitioner.adaptive.partitioning.enable", "false".into()),
        ];
        for (key, value) in pairs {
            config.set(key, &value).expect("a row of the table");
        }
        let partitions = kept["partitions"].as_u64().expect("a number");
        let mut accumulator = Accumulator::new(&Settings::of(&config).expect("they go together"));
        accumulator.topic(&"orders".into(), TopicId(7));
        Course {
            accumulator,
            metadata: metadata(partitions as i32),
            partitions,
            draws: numbers(&kept["draws"]),
            drawn: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// As KafkaProducer.send does it.
    fn append(&mut self, named: i32, record: PlainRecord) -> Value {
        let at = match named {
            -1 => self.sticky(&record),
            partition => TopicPartition {
                topic: TOPIC,
                partition,
            },
        };
        let partition = at.partition;
        let appended = self.accumulator.append(at, SendId(0), &record, Time(0));
        let appended = appended.expect("there is memory");
        if named == -1 && self.accumulator.count_sticky(at, appended) {
            self.draw();
        }
        let waiting = self.waiting.entry(partition).or_default();
        match (appended.new_batch, waiting.last_mut()) {
            (false, Some(last)) => *last += appended.bytes,
            _ => waiting.push(appended.bytes),
        }
        serde_json::json!([
            partition,
            appended.bytes,
            u8::from(appended.full),
            u8::from(appended.new_batch),
            self.drawn,
        ])
    }

    fn sticky(&mut self, record: &PlainRecord) -> TopicPartition {
        if self.accumulator.sticky_partition(TOPIC).is_none() {
            self.draw();
        }
        if self.accumulator.is_switch_due(self.stuck(), record) {
            self.draw();
        }
        self.stuck()
    }

    fn stuck(&self) -> TopicPartition {
        let sticky = self.accumulator.sticky_partition(TOPIC);
        TopicPartition {
            topic: TOPIC,
            partition: sticky.expect("it was drawn"),
        }
    }

    fn draw(&mut self) {
        let drawn = self.draws.get(self.drawn);
        let drawn = *drawn.expect("Kafka drew as often") as u64;
        self.drawn += 1;
        let drawn = widened(drawn, self.partitions);
        self.accumulator.choose_sticky(TOPIC, &self.metadata, drawn);
    }

    /// The first batch of each partition leaves.
    fn leave(&mut self) -> Value {
        let ready = self.accumulator.ready(&self.metadata, true, Time(0));
        let Some(node) = ready.nodes.first() else {
            return serde_json::json!([]);
        };
        let left = self.accumulator.drain(node, None, u64::MAX, Time(0));
        let mut left: Vec<(i32, i32, u64, u32)> = left
            .iter()
            .map(|drained| {
                let partition = drained.partition.partition;
                let guessed = self
                    .waiting
                    .get_mut(&partition)
                    .expect("it waited")
                    .remove(0);
                let count = self.accumulator.batch(drained.batch).count();
                (partition, count, guessed, drained.data.size)
            })
            .collect();
        left.sort();
        serde_json::to_value(left).expect("numbers")
    }
}

fn record(key: i64, value: i64, headers: i64, at: i64) -> PlainRecord {
    let zeros = |length: i64| {
        usize::try_from(length)
            .ok()
            .map(|n| Bytes::from(vec![0; n]))
    };
    let header = |i: i64| (Bytes::from(format!("h{i}")), zeros(i));
    PlainRecord {
        id: RecordId {
            source: 0,
            number: 0,
        },
        timestamp: Timestamp(at),
        key: zeros(key),
        value: zeros(value),
        headers: (0..headers).map(header).collect(),
    }
}

/// One topic whose partitions are all led by one broker.
fn metadata(partitions: i32) -> ClientMetadata {
    let partition = |index| MetadataPartition {
        error_code: ErrorCode::None,
        partition_index: index,
        leader_id: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(0),
        replica_nodes: vec![NodeId(1)],
        isr_nodes: vec![NodeId(1)],
        offline_replicas: Vec::new(),
    };
    let response = MetadataResponse {
        brokers: vec![NodeEndpoint {
            node_id: NodeId(1),
            address: Address(0),
            rack: None,
        }],
        controller_id: None,
        topics: vec![MetadataTopic {
            error_code: ErrorCode::None,
            name: "orders".into(),
            topic_id: TopicId(7),
            partitions: (0..partitions).map(partition).collect(),
        }],
    };
    let mut metadata = ClientMetadata::new(MetadataSettings::default(), &[]);
    metadata.add(&"orders".into(), Time(0));
    let (_, asked) = metadata.question(Time(0));
    metadata.update(asked, &response, Time(0), 1 << 63);
    metadata
}
