//! The fold of the metadata log: Kafka's MetadataImage. Every node folds its own copy (N-6).

use crate::config::layers::{DynamicConfigs, Texts};
use crate::config::{Configs, TopicConfig};
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::ids::{
    Address, BrokerEpoch, IncarnationId, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerId,
    TopicId, TopicIdPartition,
};
use crate::log::batch::{Payload, RecordBatch};
use crate::protocol::admin::ConfigResource;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cluster as the metadata log tells it up to `end`.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The offset after the last record applied.
    pub end: Offset,
    /// Registered brokers.
    pub brokers: BTreeMap<NodeId, BrokerImage>,
    /// Topics by id.
    pub topics: BTreeMap<TopicId, TopicImage>,
    /// Topic ids by name.
    pub names: BTreeMap<Arc<str>, TopicId>,
    /// Dynamic configs of brokers.
    pub dynamic: DynamicConfigs,
    /// The first producer id of the next block.
    pub next_producer_id: ProducerId,
}

/// A registered broker.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerImage {
    /// Its epoch.
    pub epoch: BrokerEpoch,
    /// The offset of its registration record: a broker that has applied it may be unfenced (K-16).
    pub registered_at: Offset,
    /// Which start of the process.
    pub incarnation: IncarnationId,
    /// Where clients reach it.
    pub address: Address,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it is shutting down.
    pub in_controlled_shutdown: bool,
}

/// A topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions.
    pub partitions: BTreeMap<i32, PartitionRegistration>,
    /// Its own configs.
    pub config: TopicConfig,
    /// The same as they were written.
    pub own: Texts,
}

impl Default for Image {
    fn default() -> Image {
        Image {
            end: Offset(0),
            brokers: BTreeMap::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            dynamic: DynamicConfigs::default(),
            next_producer_id: ProducerId(0),
        }
    }
}

impl BrokerImage {
    /// Whether it may lead and join ISRs: unfenced and not shutting down.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

impl Image {
    /// A partition's registration.
    pub fn partition(&self, id: TopicIdPartition) -> Option<&PartitionRegistration> {
        self.topics.get(&id.topic)?.partitions.get(&id.partition)
    }

    /// Takes in a batch of the metadata log.
    pub fn apply_batch(&mut self, batch: &RecordBatch) {
        if let Payload::Metadata(records) = &batch.data.payload {
            for (i, record) in (0i64..).zip(records.iter()) {
                self.apply(batch.base_offset.plus(i), record);
            }
        }
        self.end = batch.end_offset();
    }

    /// Takes in the record at `offset`.
    pub fn apply(&mut self, offset: Offset, record: &MetadataRecord) {
        self.end = offset.plus(1);
        match record {
            MetadataRecord::NoOp => {}
            MetadataRecord::RegisterBroker {
                broker,
                incarnation,
                epoch,
                address,
                rack,
                fenced,
            } => {
                // A registration repeated by the same incarnation amends the one there is.
                let same = self
                    .brokers
                    .get(broker)
                    .filter(|b| b.incarnation == *incarnation);
                let image = BrokerImage {
                    epoch: *epoch,
                    registered_at: offset,
                    incarnation: *incarnation,
                    address: *address,
                    rack: rack.clone(),
                    fenced: *fenced,
                    in_controlled_shutdown: same.is_some_and(|b| b.in_controlled_shutdown),
                };
                self.brokers.insert(*broker, image);
            }
            MetadataRecord::BrokerRegistrationChange {
                broker,
                epoch,
                fenced,
                in_controlled_shutdown,
            } => {
                if let Some(b) = self.brokers.get_mut(broker).filter(|b| b.epoch == *epoch) {
                    b.fenced = fenced.unwrap_or(b.fenced);
                    b.in_controlled_shutdown =
                        in_controlled_shutdown.unwrap_or(b.in_controlled_shutdown);
                }
            }
            MetadataRecord::Topic { name, id } => {
                self.names.insert(name.clone(), *id);
                let topic = TopicImage {
                    name: name.clone(),
                    partitions: BTreeMap::new(),
                    config: TopicConfig::default(),
                    own: Texts::new(),
                };
                self.topics.insert(*id, topic);
            }
            MetadataRecord::Partition {
                topic,
                partition,
                registration,
            } => {
                if let Some(t) = self.topics.get_mut(topic) {
                    t.partitions.insert(*partition, registration.clone());
                }
            }
            MetadataRecord::PartitionChange {
                topic,
                partition,
                leader,
                isr,
                recovery,
            } => {
                let found = self
                    .topics
                    .get_mut(topic)
                    .and_then(|t| t.partitions.get_mut(partition));
                if let Some(p) = found {
                    p.change(*leader, isr.as_deref(), *recovery);
                }
            }
            MetadataRecord::RemoveTopic { topic } => {
                if let Some(removed) = self.topics.remove(topic) {
                    self.names.remove(&removed.name);
                }
            }
            MetadataRecord::Config {
                resource,
                key,
                value,
            } => match resource {
                ConfigResource::Topic(name) => self.configure(name, key, value.as_ref()),
                ConfigResource::Broker(node) => {
                    self.dynamic.set(Some(*node), key, value.as_ref());
                }
                ConfigResource::AllBrokers => self.dynamic.set(None, key, value.as_ref()),
            },
            MetadataRecord::ProducerIds {
                next_producer_id, ..
            } => self.next_producer_id = *next_producer_id,
        }
    }

    /// All partitions, by topic and number.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicIdPartition, &PartitionRegistration)> {
        self.topics.iter().flat_map(|(topic, t)| {
            let id = |partition: &i32| TopicIdPartition {
                topic: *topic,
                partition: *partition,
            };
            t.partitions
                .iter()
                .map(move |(partition, p)| (id(partition), p))
        })
    }

    /// Whether a broker may lead and join ISRs.
    pub fn is_active(&self, broker: NodeId) -> bool {
        self.brokers
            .get(&broker)
            .is_some_and(BrokerImage::is_active)
    }

    fn configure(&mut self, topic: &str, key: &Arc<str>, value: Option<&Arc<str>>) {
        let id = self.names.get(topic);
        let Some(t) = id.and_then(|id| self.topics.get_mut(id)) else {
            return;
        };
        match value {
            Some(value) => {
                t.config
                    .set(key, value)
                    .expect("the controller checks configs before it records them");
                t.own.insert(key.clone(), value.clone());
            }
            None => {
                t.config.reset(key);
                t.own.remove(key);
            }
        }
    }
}

impl PartitionRegistration {
    /// Takes in a change of this partition.
    ///
    /// # Panics
    /// If the record is of another kind.
    pub fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::PartitionChange {
                leader,
                isr,
                recovery,
                ..
            } => {
                self.change(*leader, isr.as_deref(), *recovery);
            }
            other => panic!("no change of a partition: {other:?}"),
        }
    }

    /// the partition epoch counts every change, the leader epoch every leader, including none.
    fn change(
        &mut self,
        leader: Option<Option<NodeId>>,
        isr: Option<&[NodeId]>,
        recovery: Option<crate::protocol::cluster::LeaderRecoveryState>,
    ) {
        if let Some(leader) = leader {
            self.leader = leader;
            self.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        }
        if let Some(isr) = isr {
            self.isr = isr.to_vec();
        }
        self.recovery = recovery.unwrap_or(self.recovery);
        self.partition_epoch = PartitionEpoch(self.partition_epoch.0 + 1);
    }
}
