//! Histories told by hand, for the tests of checkers and verdicts: a cluster of three and three, one partition, one
//! application, one reader. Verbs are what processes tell; nothing is run.

use super::{Checkers, Step};
use crate::fault::{Fault, Realised};
use crate::process::{Down, ProcessId};
use crate::scenario::selector::TopicPartition;
use crate::scenario::{ConsumerPlan, Scenario};
use crate::trace::{Handled, Phase, ProcessFact, Record, What};
use crate::verdict::Verdict;
use crate::view::View;
use crate::world::{Watch, World};
use klab_kafka::config::ConsumerConfig;
use klab_kafka::controller::records::{MetadataRecord, PartitionRegistration};
use klab_kafka::event::*;
use klab_kafka::ids::*;
use klab_kafka::log::batch::{BatchData, PlainRecord, ProducerStamp, RecordBatch};
use klab_kafka::protocol::Api;
use klab_kafka::protocol::cluster::LeaderRecoveryState;
use klab_kafka::time::{Duration, Time, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The one topic.
pub const ORDERS: TopicId = TopicId(7);
/// Its one partition.
pub const ORDERS_0: TopicIdPartition = TopicIdPartition {
    topic: ORDERS,
    partition: 0,
};

/// A history under way.
pub struct Story {
    /// What is looked at beside the records: names and settings.
    pub world: World,
    /// What was told.
    pub records: Vec<Record>,
    at: Time,
    metadata: i64,
}

impl Story {
    /// A cluster that has just come up with its topic, led by broker-1 in epoch 0.
    pub fn begin(change: impl FnOnce(&mut Scenario)) -> Story {
        let mut story = Story::silent(change);
        story.quorum("controller-1", 1);
        story.topic();
        story.what(None, What::Phase(Phase::Running));
        story.lead("broker-1", 0);
        story
    }

    /// Nobody has told anything.
    pub fn silent(change: impl FnOnce(&mut Scenario)) -> Story {
        let mut scenario = Scenario::tracer();
        scenario.cluster.brokers = 3;
        scenario.cluster.controllers = 3;
        let topic = scenario
            .topics
            .get_mut("orders")
            .expect("the tracer's topic");
        topic.replication_factor = 3;
        let assign = vec![TopicPartition {
            topic: "orders".into(),
            partition: 0,
        }];
        let config = ConsumerConfig::default();
        let auditor = ConsumerPlan {
            assign,
            config,
            rules: None,
        };
        scenario.consumers.insert("auditor".into(), auditor);
        change(&mut scenario);
        let blind = Watch {
            records: false,
            checkers: false,
        };
        Story {
            world: World::new(Arc::new(scenario), 1, blind),
            records: Vec::new(),
            at: Time(0),
            metadata: 0,
        }
    }

    /// A process by its name.
    pub fn process(&self, name: &str) -> ProcessId {
        self.world.names.find(name).expect("a process of the story")
    }

    /// One process alone, as faults name whom they strike.
    pub fn only(&self, name: &str) -> Box<[ProcessId]> {
        [self.process(name)].into()
    }

    /// The number of the latest record.
    pub fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        self.at = self.at + Duration::millis(ms);
    }

    /// A record is made.
    pub fn what(&mut self, who: Option<&str>, what: What) -> u64 {
        self.caused(who, None, what)
    }

    /// A record with a cause is made.
    pub fn caused(&mut self, who: Option<&str>, cause: Option<u64>, what: What) -> u64 {
        let seq = self.last() + 1;
        self.records.push(Record {
            seq,
            at: self.at,
            process: who.map(|name| self.process(name)),
            cause,
            what,
        });
        seq
    }

    /// A process tells a fact.
    pub fn tell(&mut self, who: &str, event: Event) -> u64 {
        self.what(Some(who), What::Told(event))
    }

    /// A quorum leader begins; the other voters follow it and fetch.
    pub fn quorum(&mut self, leader: &str, epoch: i32) {
        self.voter(leader, RaftState::Leader, epoch, Some(leader));
        for voter in ["controller-1", "controller-2", "controller-3"] {
            if voter != leader {
                self.voter(voter, RaftState::Follower, epoch, Some(leader));
                self.fetched(voter, leader);
            }
        }
    }

    /// A voter changes its state.
    pub fn voter(&mut self, who: &str, state: RaftState, epoch: i32, leader: Option<&str>) -> u64 {
        let leader = leader.map(node);
        let epoch = LeaderEpoch(epoch);
        let became = RaftEvent::Became {
            state,
            epoch,
            leader,
        };
        self.tell(who, Event::Raft(became))
    }

    /// A process gets the answer to a fetch.
    pub fn fetched(&mut self, who: &str, from: &str) {
        let from = self.process(from);
        let handled = Handled::Response {
            conn: ConnId(1),
            id: CorrelationId(1),
            api: Api::Fetch,
            from,
        };
        self.what(Some(who), What::Handled(handled));
    }

    /// The topic is created.
    pub fn topic(&mut self) {
        let topic = MetadataRecord::Topic {
            name: "orders".into(),
            id: ORDERS,
        };
        self.commit(vec![topic, Story::new_partition()]);
    }

    /// A partition that nobody has changed yet.
    pub fn new_partition() -> MetadataRecord {
        let registration = PartitionRegistration {
            replicas: [1, 2, 3].map(NodeId).into(),
            isr: [1, 2, 3].map(NodeId).into(),
            leader: Some(NodeId(1)),
            recovery: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
        };
        MetadataRecord::Partition {
            topic: ORDERS,
            partition: 0,
            registration,
        }
    }

    /// The metadata log takes up records; all voters have them, and one broker.
    pub fn commit(&mut self, records: Vec<MetadataRecord>) {
        let batch = RecordBatch {
            base_offset: Offset(self.metadata),
            leader_epoch: LeaderEpoch(1),
            data: Arc::new(BatchData::of_metadata(records, Timestamp(0))),
        };
        self.metadata = batch.end_offset().0;
        for (who, as_leader) in [
            ("controller-1", true),
            ("controller-2", false),
            ("controller-3", false),
            ("broker-1", false),
        ] {
            let batch = batch.clone();
            let event = LogEvent::Appended { batch, as_leader };
            self.tell(who, Event::Log(METADATA_PARTITION, event));
        }
        let hw = batch.end_offset();
        for who in ["controller-1", "broker-1"] {
            self.tell(
                who,
                Event::Log(METADATA_PARTITION, LogEvent::HighWatermark { hw }),
            );
        }
    }

    /// The metadata log changes the partition.
    pub fn change(&mut self, leader: Option<Option<i32>>, isr: Option<&[i32]>) {
        self.commit(vec![MetadataRecord::PartitionChange {
            topic: ORDERS,
            partition: 0,
            leader: leader.map(|l| l.map(NodeId)),
            isr: isr.map(|isr| isr.iter().copied().map(NodeId).collect()),
            recovery: None,
        }]);
    }

    /// The metadata log has a new registration of a broker.
    pub fn register(&mut self, broker: &str) {
        self.commit(vec![MetadataRecord::RegisterBroker {
            broker: node(broker),
            incarnation: IncarnationId(1),
            epoch: BrokerEpoch(1),
            address: Address(0),
            rack: None,
            fenced: false,
        }]);
    }

    /// The metadata log has a broker fenced.
    pub fn fence(&mut self, broker: &str) {
        self.register(broker);
        self.commit(vec![MetadataRecord::BrokerRegistrationChange {
            broker: node(broker),
            epoch: BrokerEpoch(1),
            fenced: Some(true),
            in_controlled_shutdown: None,
        }]);
    }

    /// The metadata log names a new leader, from the ISR or not.
    pub fn elect(&mut self, broker: &str, isr: Option<&[i32]>) {
        self.change(Some(Some(node(broker).0)), isr);
    }

    /// A broker begins to lead, and the others to follow it.
    pub fn lead(&mut self, who: &str, epoch: i32) {
        let epoch = LeaderEpoch(epoch);
        let event = ReplicaEvent::BecameLeader {
            epoch,
            start_offset: Offset(0),
            hw: self.told_hw(who),
        };
        self.tell(who, Event::Replica(ORDERS_0, event));
        for other in ["broker-1", "broker-2", "broker-3"] {
            if other != who {
                self.follow(other, who, epoch.0);
            }
        }
    }

    /// The high watermark that a broker told last.
    fn told_hw(&self, who: &str) -> Offset {
        let p = self.process(who);
        let hw = |r: &Record| match &r.what {
            What::Told(Event::Log(ORDERS_0, LogEvent::HighWatermark { hw })) => Some(*hw),
            _ => None,
        };
        let own = self.records.iter().rev().filter(|r| r.process == Some(p));
        own.filter_map(hw).next().unwrap_or_default()
    }

    /// A broker begins to follow.
    pub fn follow(&mut self, who: &str, leader: &str, epoch: i32) {
        let event = ReplicaEvent::BecameFollower {
            epoch: LeaderEpoch(epoch),
            leader: Some(node(leader)),
        };
        self.tell(who, Event::Replica(ORDERS_0, event));
    }

    /// The application is asked for records and sends them.
    pub fn send(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let id = self.shop(number);
            self.tell("shop", Event::App(AppEvent::Invoked { id }));
            let partition = ORDERS_0;
            self.client("shop", ClientEvent::Queued { id, partition });
        }
    }

    /// A client tells a fact.
    pub fn client(&mut self, who: &str, event: ClientEvent) -> u64 {
        self.tell(who, Event::Client(ClientId(0), event))
    }

    /// One of the application's records.
    pub fn shop(&self, number: u32) -> RecordId {
        RecordId {
            source: self.process("shop").0,
            number,
        }
    }

    /// A batch of the application's records; idempotent if it has a sequence number.
    pub fn batch(
        &self,
        numbers: std::ops::Range<u32>,
        offset: i64,
        epoch: i32,
        sequence: Option<i32>,
    ) -> RecordBatch {
        let record = |number| PlainRecord {
            id: self.shop(number),
            timestamp: Timestamp(0),
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let records: Vec<PlainRecord> = numbers.map(record).collect();
        let stamp = sequence.map(|base_sequence| ProducerStamp {
            id: ProducerId(1),
            epoch: ProducerEpoch(0),
            base_sequence,
        });
        RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(epoch),
            data: Arc::new(BatchData::of_records(&records, stamp)),
        }
    }

    /// A broker writes a batch as leader.
    pub fn append(&mut self, who: &str, batch: &RecordBatch) -> u64 {
        let (batch, as_leader) = (batch.clone(), true);
        self.tell(
            who,
            Event::Log(ORDERS_0, LogEvent::Appended { batch, as_leader }),
        )
    }

    /// A broker copies a batch.
    pub fn copy(&mut self, who: &str, batch: &RecordBatch) -> u64 {
        let (batch, as_leader) = (batch.clone(), false);
        self.tell(
            who,
            Event::Log(ORDERS_0, LogEvent::Appended { batch, as_leader }),
        )
    }

    /// A broker tells its high watermark.
    pub fn hw(&mut self, who: &str, hw: i64) -> u64 {
        let hw = Offset(hw);
        self.tell(who, Event::Log(ORDERS_0, LogEvent::HighWatermark { hw }))
    }

    /// A broker cuts its log.
    pub fn truncate(&mut self, who: &str, from: i64, to: i64) -> u64 {
        let event = LogEvent::Truncated {
            from: Offset(from),
            to: Offset(to),
            why: Truncation::DivergingEpoch,
        };
        self.tell(who, Event::Log(ORDERS_0, event))
    }

    /// The application is told that a record is written, and tells its caller.
    pub fn acked(&mut self, number: u32, offset: i64) -> u64 {
        let id = self.shop(number);
        let event = ClientEvent::Acked {
            id,
            partition: ORDERS_0,
            offset: Some(Offset(offset)),
        };
        let seq = self.client("shop", event);
        self.tell("shop", Event::App(AppEvent::Accepted { id }));
        seq
    }

    /// The application is told that a record failed.
    pub fn failed(&mut self, number: u32) -> u64 {
        let event = ClientEvent::Failed {
            id: self.shop(number),
            partition: Some(ORDERS_0),
            error: SendFailure::DeliveryTimeout,
        };
        self.client("shop", event)
    }

    /// The reader gets records, one offset each.
    pub fn read(&mut self, from: i64, epoch: i32, numbers: std::ops::Range<u32>) -> u64 {
        let ids = numbers.zip(from..);
        let records: Box<[_]> = ids
            .map(|(n, offset)| (Offset(offset), LeaderEpoch(epoch), self.shop(n)))
            .collect();
        let to = Offset(from + records.len() as i64);
        let event = ClientEvent::Delivered {
            partition: ORDERS_0,
            from: Offset(from),
            to,
            records,
        };
        self.client("auditor", event)
    }

    /// One batch on its whole good way: sent, written, copied, committed, acknowledged, read.
    pub fn deliver(&mut self, leader: &str, batch: &RecordBatch) {
        let ids = batch.data.ids().to_vec();
        let (first, offset) = (ids[0].number, batch.base_offset.0);
        let numbers = first..first + ids.len() as u32;
        self.send(numbers.clone());
        self.append(leader, batch);
        for other in ["broker-1", "broker-2", "broker-3"] {
            if other != leader {
                self.copy(other, batch);
            }
        }
        let end = batch.end_offset().0;
        self.hw(leader, end);
        self.acknowledge(leader, batch, -1);
        for (number, at) in numbers.clone().zip(offset..) {
            self.acked(number, at);
        }
        for other in ["broker-1", "broker-2", "broker-3"] {
            if other != leader {
                self.hw(other, end);
            }
        }
        self.read(offset, batch.leader_epoch.0, numbers);
    }

    /// A leader answers a produce request.
    pub fn acknowledge(&mut self, leader: &str, batch: &RecordBatch, acks: i16) -> u64 {
        let event = ReplicaEvent::Acknowledged {
            base_offset: batch.base_offset,
            ids: batch.data.ids().into(),
            acks,
        };
        self.tell(leader, Event::Replica(ORDERS_0, event))
    }

    /// A fault is applied.
    pub fn fault(&mut self, fault: Realised) -> u64 {
        let (step, lifted) = (self.last(), false);
        self.what(
            None,
            What::Fault {
                step,
                fault,
                lifted,
            },
        )
    }

    /// A fault, named by its record, is lifted.
    pub fn lift(&mut self, applied: u64) {
        let record = self.records.iter().find(|r| r.seq == applied);
        let mut what = record.expect("it was told").what.clone();
        let What::Fault { lifted, .. } = &mut what else {
            panic!("{what:?} is no fault");
        };
        *lifted = true;
        self.what(None, what);
    }

    /// A process is killed; returns the record of the fault, as the following do.
    pub fn kill(&mut self, who: &str) -> u64 {
        let fault = self.fault(Fault::Kill {
            who: self.only(who),
        });
        self.ends(who, Down::Killed, fault);
        fault
    }

    /// A process is paused.
    pub fn pause(&mut self, who: &str) -> u64 {
        self.fault(Fault::Pause {
            who: self.only(who),
        })
    }

    /// The link between two processes is cut, both ways.
    pub fn cut(&mut self, a: &str, b: &str) -> u64 {
        self.fault(Fault::Cut {
            from: self.only(a),
            to: self.only(b),
            one_way: false,
        })
    }

    /// A process ends by a fault.
    pub fn ends(&mut self, who: &str, how: Down, fault: u64) -> u64 {
        let fact = ProcessFact::Ended {
            how,
            batches_lost: 0,
        };
        self.caused(Some(who), Some(fault), What::Process(fact))
    }

    /// The run is over.
    pub fn done(&mut self) {
        self.what(None, What::Phase(Phase::Done));
    }

    /// What the checkers say of the story.
    pub fn watch(&self) -> Checkers {
        let mut checkers = Checkers::default();
        for record in &self.records {
            checkers.observe(&Step {
                records: std::slice::from_ref(record),
                view: View::new(&self.world),
            });
        }
        checkers
    }

    /// The promises that the story breaks.
    pub fn broken(&self) -> BTreeSet<&'static str> {
        self.watch().broken().iter().map(|v| v.promise).collect()
    }

    /// The verdict on the story.
    pub fn verdict(&self) -> Verdict {
        self.watch().verdict(View::new(&self.world))
    }
}

/// A node's id, by the name of its process.
pub fn node(name: &str) -> NodeId {
    super::history::node_of(name).expect("a server's name")
}

/// The records of a batch with keys: the same records, each of this key, with a value or as tombstones.
pub fn of_key(batch: &RecordBatch, key: &'static [u8], has_value: bool) -> RecordBatch {
    let keyed = |id: &RecordId| PlainRecord {
        id: *id,
        timestamp: Timestamp(0),
        key: Some(key.into()),
        value: has_value.then(|| key.into()),
        headers: Vec::new(),
    };
    let records: Vec<PlainRecord> = batch.data.ids().iter().map(keyed).collect();
    let data = BatchData::of_records(&records, batch.data.producer).into();
    RecordBatch {
        data,
        ..batch.clone()
    }
}

/// A whole round of compaction.
pub fn compaction(upto: i64, gone: &[i64]) -> Event {
    let event = LogEvent::Compacted {
        upto: Offset(upto),
        gone: gone.iter().map(|o| Offset(*o)).collect(),
        bytes_before: 300,
        bytes_after: 100,
        is_over: true,
    };
    Event::Log(ORDERS_0, event)
}
