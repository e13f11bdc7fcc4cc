//! What three brokers answer: the same is asked of klab's, operators' commands through an operator's client, the rest on the
//! wire, and compared field by field.

use super::kept;
use super::lacks::{ANSWERS, TOPIC_CONFIGS};
use super::wire::Wire;
use bytes::Bytes;
use klab_kafka::event::{AdminEvent, Event};
use klab_kafka::ids::{LeaderEpoch, NodeId, Offset, RecordId, TopicId};
use klab_kafka::log::batch::{BatchData, PlainRecord, RecordBatch};
use klab_kafka::protocol::admin::*;
use klab_kafka::protocol::deletion::*;
use klab_kafka::protocol::fetch::*;
use klab_kafka::protocol::metadata::*;
use klab_kafka::protocol::offsets::*;
use klab_kafka::protocol::produce::*;
use klab_kafka::protocol::{ErrorCode, Request, Response};
use klab_kafka::time::{Duration, Timestamp};
use klab_world::scenario::Scenario;
use klab_world::scenario::operation::{ConfigOf, Operation};
use klab_world::topics::describe;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tests::{Cluster, Setting};

/// Long enough for all brokers to hear of what the controller did.
const HEARD: Duration = Duration::secs(2);

#[test]
fn brokers_answer_as_kafkas_do() {
    let mut beside = Beside {
        kafka: kept("answers"),
        asked: BTreeSet::new(),
        findings: Vec::new(),
    };
    let mut c = begin();
    creates(&mut c, &mut beside);
    let names = ["orders", "strict", "alone", "nobody"];
    beside.put("describe: all are up", described(&c));
    beside.put("metadata: all are up", metadata(&c, &names));
    produces(&c, &mut beside);
    reads(&c, &mut beside);
    changes(&mut c, &mut beside);
    deletes(&mut c, &mut beside);
    one_down(&mut c, &mut beside);
    beside.finish();
}

/// Kafka's answers, and where klab's are others.
struct Beside {
    kafka: Value,
    asked: BTreeSet<String>,
    findings: Vec<(String, String)>,
}

impl Beside {
    fn put(&mut self, what: &str, ours: Value) {
        assert!(self.asked.insert(what.into()), "{what} is asked once");
        let kafkas = self.kafka[what].take();
        self.compare(what.into(), &kafkas, &ours);
    }

    fn compare(&mut self, at: String, kafkas: &Value, ours: &Value) {
        match (kafkas, ours) {
            (Value::Object(k), Value::Object(o)) => {
                let keys: BTreeSet<&String> = k.keys().chain(o.keys()).collect();
                for key in keys {
                    let of = |map: &serde_json::Map<String, Value>| {
                        map.get(key).cloned().unwrap_or_default()
                    };
                    self.compare(format!("{at}/{key}"), &of(k), &of(o));
                }
            }
            (Value::Array(k), Value::Array(o)) if k.len() == o.len() => {
                for (i, (k, o)) in k.iter().zip(o).enumerate() {
                    self.compare(format!("{at}/{i}"), k, o);
                }
            }
            _ if kafkas == ours => {}
            _ => self
                .findings
                .push((at, format!("klab {ours}, Kafka {kafkas}"))),
        }
    }

    fn finish(self) {
        let all: BTreeSet<String> = self
            .kafka
            .as_object()
            .expect("by name")
            .keys()
            .cloned()
            .collect();
        assert_eq!(self.asked, all, "all that Kafka was asked");
        let found: Vec<&str> = self.findings.iter().map(|(at, _)| at.as_str()).collect();
        let named: Vec<&str> = ANSWERS.iter().map(|(at, _)| *at).collect();
        assert_eq!(found, named, "{:#?}", self.findings);
    }
}

fn begin() -> Cluster {
    let mut setting = Setting {
        scenario: Scenario::tracer(),
        seed: 1,
    };
    let scenario = &mut setting.scenario;
    scenario.cluster.brokers = 3;
    scenario.topics.clear();
    scenario.producers.clear();
    scenario.end.at = Duration::secs(3_600);
    setting.begin()
}

fn error(code: ErrorCode) -> Value {
    json!({ "error": code.name() })
}

/// Gives a command and takes the answer.
fn operate(c: &mut Cluster, operation: Operation) -> Value {
    let what = format!("{operation:?} is answered");
    c.operate(operation);
    let record = c.run_until_told(&what, |_, event| matches!(event, Event::Admin(_)));
    let told = c.told().filter(|(at, ..)| *at == record.at);
    let facts = told.filter_map(|(_, _, event)| match event {
        Event::Admin(fact) => Some(match fact {
            AdminEvent::TopicCreated { .. } | AdminEvent::ConfigsAltered { .. } => ErrorCode::None,
            AdminEvent::TopicExisted { .. } => ErrorCode::TopicAlreadyExists,
            AdminEvent::TopicRefused { error, .. }
            | AdminEvent::Answered { error, .. }
            | AdminEvent::ConfigsRefused { error, .. } => *error,
            other => panic!("no answer to a command: {other:?}"),
        }),
        _ => None,
    });
    let facts: Vec<ErrorCode> = facts.collect();
    assert_eq!(facts.len(), 1, "{what} once");
    error(facts[0])
}

/// A topic that is to be created, replicas placed by the controller.
fn topic(name: &str, partitions: i32, replicas: i16) -> Operation {
    Operation::CreateTopic {
        name: name.into(),
        partitions: Some(partitions),
        replication_factor: Some(replicas),
        replicas: Vec::new(),
        config: Default::default(),
        validate_only: false,
    }
}

/// One whose replicas are placed by hand.
fn placed(name: &str, on: &[&[i32]]) -> Operation {
    let nodes = |on: &&[i32]| on.iter().map(|n| NodeId(*n)).collect();
    Operation::CreateTopic {
        name: name.into(),
        partitions: None,
        replication_factor: None,
        replicas: on.iter().map(nodes).collect(),
        config: Default::default(),
        validate_only: false,
    }
}

fn with(mut operation: Operation, key: &str, value: &str) -> Operation {
    if let Operation::CreateTopic { config, .. } = &mut operation {
        config.insert(key.into(), value.into());
    }
    operation
}

fn only_validated(mut operation: Operation) -> Operation {
    if let Operation::CreateTopic { validate_only, .. } = &mut operation {
        *validate_only = true;
    }
    operation
}

fn creates(c: &mut Cluster, beside: &mut Beside) {
    let asked = [
        topic("four", 1, 4),
        only_validated(topic("four", 1, 4)),
        with(placed("orders", &[&[2, 3, 1]]), "max.message.bytes", "1000"),
        placed("orders", &[&[2, 3, 1]]),
        only_validated(topic("orders", 1, 9)),
        placed("alone", &[&[3], &[1]]),
        with(placed("strict", &[&[2, 3, 1]]), "min.insync.replicas", "3"),
        placed("times", &[&[2]]),
        topic("none", 0, 1),
        topic("none", 1, 0),
        topic("with space", 1, 1),
        with(topic("none", 1, 1), "no.such.key", "1"),
        with(topic("none", 1, 1), "retention.ms", "soon"),
        placed("none", &[&[2, 2]]),
        placed("none", &[&[2, 9]]),
        placed("none", &[&[2, 3], &[1]]),
        only_validated(topic("lavish", 2, 1)),
    ];
    let answers = asked.map(|operation| operate(c, operation));
    c.pass(HEARD);
    beside.put("create a topic", json!(answers));
}

/// What `kafka-topics --describe` prints, topic ids struck out.
fn described(c: &Cluster) -> Value {
    let topics = describe(c.view(), Some(c.process("broker-1"))).expect("it knows the metadata");
    let text = topics.to_string();
    let lines = text.lines().map(|line| match line.split_once("TopicId: ") {
        Some((before, after)) => {
            let rest = after.split_once('\t').expect("more follows").1;
            format!("{before}TopicId: *\t{rest}")
        }
        None => line.to_owned(),
    });
    json!(lines.collect::<Vec<_>>())
}

fn answer_about(c: &Cluster, name: &str) -> MetadataTopic {
    let request = MetadataRequest {
        topics: Some(vec![name.into()]),
        allow_auto_topic_creation: false,
    };
    match Wire::to(c, 1).ask(Request::Metadata(request)) {
        Response::Metadata(mut r) => r.topics.remove(0),
        other => panic!("{:?}", other.api()),
    }
}

fn id(c: &Cluster, topic: &str) -> TopicId {
    answer_about(c, topic).topic_id
}

fn metadata(c: &Cluster, names: &[&str]) -> Value {
    let nodes = |nodes: &[NodeId]| nodes.iter().map(|n| n.0).collect::<Vec<_>>();
    let partition = |p: &MetadataPartition| {
        json!({
            "error": p.error_code.name(),
            "partition": p.partition_index,
            "leader": p.leader_id.map_or(-1, |n| n.0),
            "leader_epoch": p.leader_epoch.0,
            "replicas": nodes(&p.replica_nodes),
            "isr": nodes(&p.isr_nodes),
            "offline": nodes(&p.offline_replicas),
        })
    };
    let topic = |name: &&str| {
        let topic = answer_about(c, name);
        let partitions: Vec<Value> = topic.partitions.iter().map(partition).collect();
        let answer = json!({ "error": topic.error_code.name(), "partitions": partitions });
        ((*name).to_owned(), answer)
    };
    Value::Object(names.iter().map(topic).collect())
}

fn plain(at: i64, key: Option<&'static [u8]>, value: usize) -> PlainRecord {
    PlainRecord {
        id: RecordId {
            source: 0,
            number: 0,
        },
        timestamp: Timestamp(at),
        key: key.map(Bytes::from_static),
        value: Some(Bytes::from(vec![0; value])),
        headers: Vec::new(),
    }
}

/// One record without a key, in a batch of exactly so many bytes.
fn batch(size: u32) -> BatchData {
    let values = (0..size as usize - 61).rev();
    let mut batches = values.map(|value| BatchData::of_records(&[plain(1_000, None, value)], None));
    batches
        .find(|batch| batch.size == size)
        .expect("a record can have any size")
}

fn leader(of: Option<LeaderIdAndEpoch>) -> (i32, i32) {
    of.map_or((-1, -1), |l| (l.leader_id.0, l.leader_epoch.0))
}

fn produce(wire: &mut Wire, topic: TopicId, index: i32, acks: i16, batch: BatchData) -> Value {
    let request = ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topics: vec![TopicProduceData {
            topic_id: topic,
            partitions: vec![PartitionProduceData {
                index,
                records: Arc::new(batch),
            }]
            .into(),
        }],
    };
    let Response::Produce(answer) = wire.ask(Request::Produce(request)) else {
        panic!("another answer")
    };
    let one = &answer.responses[0].partitions[0];
    let (leader, epoch) = leader(one.current_leader);
    json!({
        "error": one.error_code.name(),
        "base_offset": one.base_offset.0,
        "log_append_time": one.log_append_time.map_or(-1, |t| t.0),
        "log_start_offset": one.log_start_offset.0,
        "current_leader": leader,
        "current_leader_epoch": epoch,
    })
}

fn produces(c: &Cluster, beside: &mut Beside) {
    let orders = id(c, "orders");
    let mut wire = Wire::to(c, 2);
    let answers = [
        produce(&mut wire, orders, 0, 1, batch(900)),
        produce(&mut wire, orders, 0, 1, batch(1_000)),
        produce(&mut wire, orders, 0, -1, batch(1_001)),
        produce(&mut wire, orders, 0, 1, batch(2_000)),
        produce(&mut wire, orders, 0, 2, batch(100)),
        produce(&mut wire, orders, 1, 1, batch(100)),
        produce(&mut Wire::to(c, 1), orders, 0, 1, batch(100)),
    ];
    beside.put("produce", json!(answers));
}

/// All that is asked of `times`: of the copy of its only replica, which keeps what it is given.
fn reads(c: &Cluster, beside: &mut Beside) {
    let times = id(c, "times");
    let mut leader = Wire::to(c, 2);
    let batches: [&[i64]; 4] = [
        &[1_000, 2_000, 3_000],
        &[5_000, 4_000, 6_000],
        &[6_000, 6_000],
        &[2_500],
    ];
    let produced = batches.map(|stamps| {
        let records: Vec<PlainRecord> =
            stamps.iter().map(|at| plain(*at, Some(b"k"), 10)).collect();
        let batch = BatchData::of_records(&records, None);
        produce(&mut leader, times, 0, -1, batch)
    });
    beside.put("produce with times", json!(produced));
    let asked = [
        -1, -2, -3, 0, 1_000, 1_001, 2_500, 3_000, 3_001, 4_000, 4_500, 5_001, 6_000, 6_001,
    ];
    let found = asked.map(|at| (at.to_string(), list_offsets(&mut leader, times, at, None)));
    beside.put("list offsets", Value::Object(found.into_iter().collect()));
    let elsewhere = list_offsets(&mut Wire::to(c, 1), times, -1, None);
    beside.put("list offsets of a follower", elsewhere);
    let later = list_offsets(&mut leader, times, -1, Some(7));
    beside.put("list offsets of a later epoch", later);
    let mut ends = [0, 1, 5]
        .map(|epoch| {
            (
                epoch.to_string(),
                epoch_end(&mut leader, times, epoch, None),
            )
        })
        .to_vec();
    let fenced = epoch_end(&mut leader, times, 0, Some(7));
    ends.push(("0, asked with a later epoch".into(), fenced));
    beside.put("end of epoch", Value::Object(ends.into_iter().collect()));

    let asked = [0, 3, 4, 8, 9, 10, 100, -1];
    let mut fetched = asked
        .map(|from| (from.to_string(), fetch(&mut leader, times, 0, from, None)))
        .to_vec();
    fetched.push((
        "0, of a later epoch".into(),
        fetch(&mut leader, times, 0, 0, Some(7)),
    ));
    fetched.push((
        "0, of a follower".into(),
        fetch(&mut Wire::to(c, 3), times, 0, 0, None),
    ));
    fetched.push((
        "0, of a partition that is not".into(),
        fetch(&mut leader, times, 5, 0, None),
    ));
    beside.put("fetch", Value::Object(fetched.into_iter().collect()));

    let given = [4, 2, 10].map(|before| delete_records(&mut leader, times, before));
    beside.put("delete records", json!(given));
    let fetched =
        [0, 3, 4, 5].map(|from| (from.to_string(), fetch(&mut leader, times, 0, from, None)));
    beside.put(
        "fetch, records deleted",
        Value::Object(fetched.into_iter().collect()),
    );
    let asked = [-1, -2, -3, 0, 2_500, 5_000];
    let found = asked.map(|at| (at.to_string(), list_offsets(&mut leader, times, at, None)));
    beside.put(
        "list offsets, records deleted",
        Value::Object(found.into_iter().collect()),
    );
}

fn list_offsets(wire: &mut Wire, topic_id: TopicId, at: i64, epoch: Option<i32>) -> Value {
    let request = ListOffsetsRequest {
        replica_id: None,
        isolation_level: IsolationLevel::ReadUncommitted,
        partitions: vec![ListOffsetsPartition {
            topic_id,
            partition: 0,
            current_leader_epoch: epoch.map(LeaderEpoch),
            at: match at {
                -1 => OffsetSpec::Latest,
                -2 => OffsetSpec::Earliest,
                -3 => OffsetSpec::MaxTimestamp,
                at => OffsetSpec::At(Timestamp(at)),
            },
        }],
    };
    let Response::ListOffsets(answer) = wire.ask(Request::ListOffsets(request)) else {
        panic!("another answer")
    };
    let one = &answer.partitions[0];
    json!({
        "error": one.error_code.name(),
        "offset": one.offset.map_or(-1, |o| o.0),
        "timestamp": one.timestamp.0,
        "leader_epoch": one.leader_epoch.map_or(-1, |e| e.0),
    })
}

fn epoch_end(wire: &mut Wire, topic_id: TopicId, epoch: i32, current: Option<i32>) -> Value {
    let request = OffsetForLeaderEpochRequest {
        replica_id: None,
        partitions: vec![OffsetForLeaderPartition {
            topic_id,
            partition: 0,
            current_leader_epoch: current.map(LeaderEpoch),
            leader_epoch: LeaderEpoch(epoch),
        }],
    };
    let Response::OffsetForLeaderEpoch(answer) = wire.ask(Request::OffsetForLeaderEpoch(request))
    else {
        panic!("another answer")
    };
    let one = &answer.partitions[0];
    json!({
        "error": one.error_code.name(),
        "leader_epoch": one.leader_epoch.map_or(-1, |e| e.0),
        "end_offset": one.end_offset.map_or(-1, |o| o.0),
    })
}

fn fetch(
    wire: &mut Wire,
    topic_id: TopicId,
    partition: i32,
    from: i64,
    epoch: Option<i32>,
) -> Value {
    let request = FetchRequest {
        replica: None,
        max_wait_ms: 0,
        min_bytes: 0,
        max_bytes: i32::MAX,
        isolation_level: IsolationLevel::ReadUncommitted,
        topics: vec![FetchTopic {
            topic_id,
            partitions: [FetchPartition {
                partition,
                current_leader_epoch: epoch.map(LeaderEpoch),
                fetch_offset: Offset(from),
                last_fetched_epoch: None,
                log_start_offset: None,
                partition_max_bytes: 1 << 20,
                high_watermark: None,
            }]
            .into(),
        }],
    };
    let Response::Fetch(answer) = wire.ask(Request::Fetch(request)) else {
        panic!("another answer")
    };
    let one = &answer.topics[0].partitions[0];
    let batch = |b: &RecordBatch| {
        json!({
            "base_offset": b.base_offset.0,
            "last_offset": b.last_offset().0,
            "leader_epoch": b.leader_epoch.0,
            "size": b.data.size,
            "max_timestamp": b.data.max_timestamp.0,
            "crc": b.data.crc(),
        })
    };
    let (leader, leader_epoch) = leader(one.current_leader);
    json!({
        "error": one.error_code.name(),
        "high_watermark": one.high_watermark.map_or(-1, |o| o.0),
        "last_stable_offset": one.last_stable_offset.map_or(-1, |o| o.0),
        "log_start_offset": one.log_start_offset.0,
        "current_leader": leader,
        "current_leader_epoch": leader_epoch,
        "batches": one.records.iter().map(batch).collect::<Vec<_>>(),
    })
}

fn delete_records(wire: &mut Wire, topic_id: TopicId, before: i64) -> Value {
    let request = DeleteRecordsRequest {
        partitions: vec![DeleteRecordsPartition {
            topic_id,
            partition: 0,
            offset: Offset(before),
        }],
        timeout_ms: 30_000,
    };
    let Response::DeleteRecords(answer) = wire.ask(Request::DeleteRecords(request)) else {
        panic!("another answer")
    };
    let one = &answer.partitions[0];
    json!({ "error": one.error_code.name(), "low_watermark": one.low_watermark.0 })
}

fn set(of: ConfigOf, key: &str, value: Option<&str>) -> Operation {
    let config = [(Arc::from(key), value.map(Arc::from))].into();
    Operation::AlterConfig { of, config }
}

fn grow(topic: &str, count: i32) -> Operation {
    Operation::AddPartitions {
        topic: topic.into(),
        count,
        replicas: None,
        validate_only: false,
    }
}

fn changes(c: &mut Cluster, beside: &mut Beside) {
    let grown = [grow("times", 1), grow("nobody", 2)].map(|operation| operate(c, operation));
    beside.put("add partitions", json!(grown));
    let orders = || ConfigOf::Topic("orders".into());
    let two = || ConfigOf::Broker(NodeId(2));
    let largest = "message.max.bytes";
    let first = [
        set(orders(), "retention.ms", Some("60000")),
        set(orders(), "max.message.bytes", None),
        set(orders(), "no.such.key", Some("1")),
        set(orders(), "cleanup.policy", Some("burn")),
        set(two(), largest, Some("70000")),
        set(two(), "broker.session.timeout.ms", Some("1000")),
    ];
    let mut altered = first.map(|operation| operate(c, operation)).to_vec();
    altered.push(alter_at_another(c, largest));
    let more = [
        set(ConfigOf::Brokers, largest, Some("60000")),
        set(ConfigOf::Brokers, "log.roll.ms", Some("3600000")),
        set(ConfigOf::Topic("nobody".into()), "retention.ms", Some("1")),
    ];
    altered.extend(more.map(|operation| operate(c, operation)));
    c.pass(HEARD);
    let described_configs = json!({
        "topic orders": configs(c, ConfigResource::Topic("orders".into()), 2),
        "broker 2": configs(c, ConfigResource::Broker(NodeId(2)), 2),
        "all brokers": configs(c, ConfigResource::AllBrokers, 2),
        "broker 2, asked of another": configs(c, ConfigResource::Broker(NodeId(2)), 1),
        "topic nobody": configs(c, ConfigResource::Topic("nobody".into()), 2),
    });
    forget_what_klab_lacks(&mut beside.kafka["describe configs"], &described_configs);
    beside.put("describe configs", described_configs);
    altered.push(operate(c, set(two(), largest, None)));
    beside.put("alter a config", json!(altered));
    c.pass(HEARD);
    beside.put("describe: configs are altered", described(c));
}

/// Broker 2's setting, asked of broker 1.
fn alter_at_another(c: &Cluster, key: &str) -> Value {
    let change = AlterConfigsResource {
        resource: ConfigResource::Broker(NodeId(2)),
        configs: vec![(key.into(), Some("70000".into()))],
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![change],
        validate_only: false,
    };
    match Wire::to(c, 1).ask(Request::IncrementalAlterConfigs(request)) {
        Response::IncrementalAlterConfigs(answer) => error(answer.responses[0].error_code),
        other => panic!("{:?}", other.api()),
    }
}

fn configs(c: &Cluster, resource: ConfigResource, broker: i32) -> Value {
    let request = DescribeConfigsRequest {
        resources: vec![resource],
    };
    let Response::DescribeConfigs(answer) =
        Wire::to(c, broker).ask(Request::DescribeConfigs(request))
    else {
        panic!("another answer")
    };
    let result = &answer.results[0];
    let one = |config: &DescribedConfig| {
        let synonym = |s: &ConfigSynonym| json!([s.name, *s.value, s.source.name()]);
        let answer = json!({
            "value": *config.value,
            "read_only": config.read_only,
            "source": config.source.name(),
            "synonyms": config.synonyms.iter().map(synonym).collect::<Vec<_>>(),
        });
        (config.name.to_owned(), answer)
    };
    let configs: serde_json::Map<String, Value> = result.configs.iter().map(one).collect();
    json!({ "error": result.error_code.name(), "configs": configs })
}

/// A broker has far more settings in Kafka than here; those of topics that klab lacks are named.
fn forget_what_klab_lacks(kafkas: &mut Value, ours: &Value) {
    let mut lacking = Vec::new();
    for (resource, kafkas) in kafkas.as_object_mut().expect("by resource") {
        let kafkas = kafkas["configs"].as_object_mut().expect("by name");
        let ours = ours[resource]["configs"].as_object().expect("by name");
        kafkas.retain(|key, _| {
            let has = ours.contains_key(key);
            if !has && resource.starts_with("topic") {
                lacking.push(key.clone());
            }
            has
        });
    }
    assert_eq!(lacking, TOPIC_CONFIGS);
}

fn deletes(c: &mut Cluster, beside: &mut Beside) {
    operate(c, placed("doomed", &[&[1]]));
    c.pass(HEARD);
    let delete = |c: &mut Cluster, name: &str| {
        let answer = operate(c, Operation::DeleteTopic(name.into()));
        c.pass(HEARD);
        answer
    };
    let deleted = ["doomed", "doomed", "nobody"].map(|name| delete(c, name));
    beside.put("delete", json!(deleted));
    beside.put("metadata: deleted", metadata(c, &["doomed"]));
    beside.put("describe: deleted", described(c));
}

/// The third is killed.
fn one_down(c: &mut Cluster, beside: &mut Beside) {
    c.crash(c.process("broker-3"));
    let is_alone = |c: &Cluster, name: &str| {
        let partition = &answer_about(c, name).partitions[0];
        (partition.isr_nodes.len(), partition.leader_id)
    };
    c.run_until("broker 3 is fenced", |c| {
        is_alone(c, "orders").0 == 2
            && is_alone(c, "strict").0 == 2
            && is_alone(c, "alone").1.is_none()
    });
    c.pass(HEARD);
    beside.put("describe: one is down", described(c));
    let names = ["orders", "strict", "alone", "times"];
    beside.put("metadata: one is down", metadata(c, &names));
    let strict = id(c, "strict");
    let mut wire = Wire::to(c, 2);
    let produced = [
        produce(&mut wire, strict, 0, -1, batch(100)),
        produce(&mut wire, strict, 0, -1, batch(5_000_000)),
        produce(&mut wire, strict, 0, 1, batch(100)),
    ];
    beside.put("produce, one is down", json!(produced));
    let created = [
        only_validated(topic("three", 1, 3)),
        only_validated(topic("four", 1, 4)),
    ];
    let created = created.map(|operation| operate(c, operation));
    beside.put("create a topic, one is down", json!(created));
    let deleted = operate(c, Operation::DeleteTopic("alone".into()));
    beside.put("delete, one is down", json!([deleted]));
    c.pass(HEARD);
    beside.put("describe: one is down, one is deleted", described(c));
}
