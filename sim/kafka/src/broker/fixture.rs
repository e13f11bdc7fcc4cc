//! Brokers for tests of parts: the partitions and fetchers of each, without role or network. What one asks of another is
//! handed over at once.

use super::fetch::Fetching;
use super::fetcher::{Desk, Fetchers};
use super::partition::{Here, Partition};
use super::replicas::Replicas;
use super::serving::{epoch_ends, list_offsets};
use crate::config::ServerConfig;
use crate::controller::fixture::{TOPIC, Told};
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::disk::DiskImage;
use crate::effect::{Effect, Effects};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::log::batch::{BatchData, PlainRecord};
use crate::log::{Appended, Log};
use crate::protocol::cluster::LeaderRecoveryState;
use crate::protocol::fetch::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use std::sync::Arc;

/// The one partition.
pub(crate) const ORDERS: TopicIdPartition = TopicIdPartition {
    topic: TOPIC,
    partition: 0,
};

/// One broker with its own copy of the metadata.
pub(crate) struct Server {
    pub node: NodeId,
    pub told: Told,
    pub config: ServerConfig,
    pub rules: Rules,
    pub replicas: Replicas,
    pub fetchers: Fetchers,
    /// Both clocks, in ms.
    pub now: u64,
    pub out: Effects,
}

impl Server {
    /// Broker `id` of three; `orders` has its replicas on all of them, led by the first.
    pub fn new(id: i32) -> Server {
        let config = ServerConfig::default();
        let mut out = Effects::new();
        let disk = DiskImage::default();
        let (replicas, _) = Replicas::load(disk, &config, Timestamp(1_000_000), Time(0), &mut out);
        Server {
            node: NodeId(id),
            told: Told::with_brokers(3).with_topic(&[1, 2, 3]),
            config,
            rules: Rules::default(),
            replicas,
            fetchers: Fetchers::default(),
            now: 1_000_000,
            out,
        }
    }

    /// The three, which have heard the metadata.
    pub fn three() -> [Server; 3] {
        [1, 2, 3].map(|id| {
            let mut server = Server::new(id);
            server.hear_metadata();
            server
        })
    }

    pub fn monotonic(&self) -> Time {
        Time(0) + Duration::millis(self.now)
    }

    /// A change of the partition, which this broker hears of.
    pub fn hear(&mut self, leader: Option<Option<i32>>, isr: &[i32]) {
        self.told.replay(MetadataRecord::PartitionChange {
            topic: TOPIC,
            partition: 0,
            leader: leader.map(|l| l.map(NodeId)),
            isr: Some(isr.iter().map(|n| NodeId(*n)).collect()),
            recovery: None,
        });
        self.hear_metadata();
    }

    pub fn hear_metadata(&mut self) {
        let changes = with(self, |replicas, here, out| {
            replicas.apply(&[ORDERS], false, here, out)
        });
        self.fetchers.stop(&changes.stop);
        for (id, source, epoch) in changes.start {
            let log = self.replicas.get(id).expect("hosted").log();
            self.fetchers.start(id, source, epoch, log, &self.rules);
        }
        self.fetchers.take_idle();
    }

    /// Appends a batch of so many records.
    pub fn append(&mut self, records: u32, acks: i16) -> Result<Appended, ErrorCode> {
        let data = batch(records);
        with(self, |replicas, here, out| {
            let appended = replicas.append(ORDERS, &data, acks, here, out);
            appended.map(|(appended, _)| appended)
        })
    }

    /// Answers at once, with what there is.
    pub fn answer(&mut self, request: Request) -> Response {
        with(self, |replicas, here, out| match request {
            Request::Fetch(r) => {
                let r = FetchRequest {
                    max_wait_ms: 0,
                    ..r
                };
                let fetching = Fetching::new(ConnId(0), CorrelationId(0), r);
                let answer = fetching.begin(replicas, here, out);
                Response::Fetch(answer.expect("it does not wait"))
            }
            Request::ListOffsets(r) => Response::ListOffsets(list_offsets(&r, replicas, here)),
            Request::OffsetForLeaderEpoch(r) => {
                Response::OffsetForLeaderEpoch(epoch_ends(&r, replicas, here))
            }
            other => panic!("not asked between brokers: {:?}", other.api()),
        })
    }

    /// What this broker's fetcher asks its source next.
    pub fn ask(&mut self, source: NodeId) -> Option<Request> {
        let now = self.monotonic();
        let Server {
            fetchers,
            replicas,
            out,
            ..
        } = self;
        let here = here_of(self.node, &self.told, &self.config, &self.rules, self.now);
        let mut desk = Desk {
            replicas,
            here,
            now,
            out,
        };
        fetchers.get_mut(source)?.next_request(&mut desk)
    }

    pub fn take_answer(&mut self, source: NodeId, response: Response) {
        let now = self.monotonic();
        let here = here_of(self.node, &self.told, &self.config, &self.rules, self.now);
        let mut desk = Desk {
            replicas: &mut self.replicas,
            here,
            now,
            out: &mut self.out,
        };
        if let Some(fetcher) = self.fetchers.get_mut(source) {
            fetcher.answered(response, &mut desk);
        }
    }

    /// One question to a leader and its answer; whether there was a question.
    pub fn ask_once(&mut self, leader: &mut Server) -> bool {
        let Some(request) = self.ask(leader.node) else {
            return false;
        };
        let response = leader.answer(request);
        self.take_answer(leader.node, response);
        true
    }

    /// Questions and answers until this replica has all that its leader has, and the leader knows it.
    pub fn catch_up(&mut self, leader: &mut Server) {
        for _ in 0..20 {
            let before = (self.log().leo(), self.log().hw());
            let asked = self.ask_once(leader);
            let after = (self.log().leo(), self.log().hw());
            if !asked || (before == after && self.log().leo() == leader.log().leo()) {
                return;
            }
        }
        panic!("it does not catch up");
    }

    /// A follower's fetch by hand.
    pub fn fetched_by(&mut self, follower: i32, offset: i64) -> FetchPartitionResponse {
        let epoch = BrokerEpoch(i64::from(follower) * 100);
        self.fetched_as(follower, Some(epoch), self.position(offset))
    }

    pub fn fetched_as(
        &mut self,
        follower: i32,
        replica_epoch: Option<BrokerEpoch>,
        position: FetchPartition,
    ) -> FetchPartitionResponse {
        let replica_id = NodeId(follower);
        self.read(
            Some(ReplicaState {
                replica_id,
                replica_epoch,
            }),
            position,
        )
    }

    /// A consumer's fetch.
    pub fn consumed(&mut self, position: FetchPartition) -> FetchPartitionResponse {
        self.read(None, position)
    }

    fn read(
        &mut self,
        replica: Option<ReplicaState>,
        position: FetchPartition,
    ) -> FetchPartitionResponse {
        let request = FetchRequest {
            replica,
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: IsolationLevel::ReadUncommitted,
            topics: vec![FetchTopic {
                topic_id: TOPIC,
                partitions: [position].into(),
            }],
        };
        match self.answer(Request::Fetch(request)) {
            Response::Fetch(mut r) => r.topics.remove(0).partitions.remove(0),
            _ => unreachable!("because a fetch is answered as one"),
        }
    }

    /// A position in the current leader epoch.
    pub fn position(&self, offset: i64) -> FetchPartition {
        FetchPartition {
            partition: 0,
            current_leader_epoch: self.partition().leader_epoch(),
            fetch_offset: Offset(offset),
            last_fetched_epoch: None,
            log_start_offset: Some(Offset(0)),
            partition_max_bytes: 1 << 20,
            high_watermark: None,
        }
    }

    pub fn partition(&self) -> &Partition {
        self.replicas.get(ORDERS).expect("hosted")
    }

    pub fn log(&self) -> &Log {
        self.partition().log()
    }

    /// Log end offset and high watermark.
    pub fn ends(&self) -> (i64, i64) {
        (self.log().leo().0, self.log().hw().0)
    }

    /// Base offset, epoch and checksum of every batch.
    pub fn contents(&self) -> Vec<(Offset, LeaderEpoch, u32)> {
        let batches = self.log().batches();
        batches
            .map(|b| (b.base_offset, b.leader_epoch, b.data.crc()))
            .collect()
    }

    /// The ISR changes that were asked for so far.
    pub fn proposed(&self) -> Vec<Vec<i32>> {
        let asked = self.out.iter().filter_map(|effect| match effect {
            Effect::Tell(Event::Replica(_, ReplicaEvent::IsrChangePending { isr, .. })) => {
                Some(isr.iter().map(|n| n.0).collect())
            }
            _ => None,
        });
        asked.collect()
    }
}

/// Does something to a server's partitions.
pub(crate) fn with<T>(
    server: &mut Server,
    act: impl FnOnce(&mut Replicas, Here<'_>, &mut Effects) -> T,
) -> T {
    let here = here_of(
        server.node,
        &server.told,
        &server.config,
        &server.rules,
        server.now,
    );
    act(&mut server.replicas, here, &mut server.out)
}

fn here_of<'a>(
    node: NodeId,
    told: &'a Told,
    config: &'a ServerConfig,
    rules: &'a Rules,
    now: u64,
) -> Here<'a> {
    Here {
        node,
        broker_epoch: Some(BrokerEpoch(i64::from(node.0) * 100)),
        now: Timestamp(i64::try_from(now).expect("a test is short")),
        image: &told.image,
        config,
        rules,
    }
}

/// A batch of so many records, all alike.
pub(crate) fn batch(records: u32) -> Arc<BatchData> {
    let record = |number| PlainRecord {
        id: RecordId { source: 1, number },
        timestamp: Timestamp(1_000_000),
        key: None,
        value: Some(bytes::Bytes::from_static(b"0123456789")),
        headers: Vec::new(),
    };
    let records: Vec<PlainRecord> = (0..records).map(record).collect();
    Arc::new(BatchData::of_records(&records, None))
}

/// The records that make `orders`, with one partition on brokers 1, 2 and 3.
pub(crate) fn orders_records(leader: i32, isr: &[i32]) -> Vec<MetadataRecord> {
    let registration = PartitionRegistration {
        replicas: [1, 2, 3].map(NodeId).to_vec(),
        isr: isr.iter().copied().map(NodeId).collect(),
        leader: Some(NodeId(leader)),
        recovery: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
    };
    let topic = MetadataRecord::Topic {
        name: "orders".into(),
        id: TOPIC,
    };
    let partition = MetadataRecord::Partition {
        topic: TOPIC,
        partition: 0,
        registration,
    };
    vec![topic, partition]
}

/// The record that gives it another leader.
pub(crate) fn orders_change(leader: Option<i32>, isr: &[i32]) -> MetadataRecord {
    MetadataRecord::PartitionChange {
        topic: TOPIC,
        partition: 0,
        leader: Some(leader.map(NodeId)),
        isr: Some(isr.iter().copied().map(NodeId).collect()),
        recovery: None,
    }
}
