//! A cluster for tests of parts: the fold of records, as always.

use crate::controller::cluster::Cluster;
use crate::controller::image::Image;
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::ids::*;
use crate::protocol::admin::ConfigResource;
use crate::protocol::cluster::LeaderRecoveryState;
use std::sync::Arc;

/// The one topic.
pub(crate) const TOPIC: TopicId = TopicId(7);

/// A cluster and its image.
pub(crate) struct Told {
    pub image: Image,
}

impl Told {
    /// Brokers 1 to `count`, unfenced, with broker epochs 100, 200, ….
    pub fn with_brokers(count: i32) -> Told {
        let mut told = Told {
            image: Image::default(),
        };
        for id in 1..=count {
            told.register(id, i128::from(id));
            told.fence(id, false);
        }
        told
    }

    pub fn replay(&mut self, record: MetadataRecord) {
        self.image.apply(self.image.end, &record);
    }

    pub fn replay_all(&mut self, records: &[MetadataRecord]) {
        records.iter().for_each(|r| self.replay(r.clone()));
    }

    pub fn register(&mut self, id: i32, incarnation: i128) {
        self.replay(MetadataRecord::RegisterBroker {
            broker: NodeId(id),
            incarnation: IncarnationId(incarnation as u128),
            epoch: epoch_of(id),
            address: Address(id as u32),
            rack: None,
            fenced: true,
        });
    }

    pub fn fence(&mut self, id: i32, fenced: bool) {
        self.replay(MetadataRecord::BrokerRegistrationChange {
            broker: NodeId(id),
            epoch: epoch_of(id),
            fenced: Some(fenced),
            in_controlled_shutdown: None,
        });
    }

    pub fn shut_down(&mut self, id: i32) {
        self.replay(MetadataRecord::BrokerRegistrationChange {
            broker: NodeId(id),
            epoch: epoch_of(id),
            fenced: None,
            in_controlled_shutdown: Some(true),
        });
    }

    /// Topic `orders` with one partition: its ISR are all replicas, its leader the first.
    pub fn with_topic(mut self, replicas: &[i32]) -> Told {
        self.replay(MetadataRecord::Topic {
            name: Arc::from("orders"),
            id: TOPIC,
        });
        self.replay(MetadataRecord::Partition {
            topic: TOPIC,
            partition: 0,
            registration: PartitionRegistration {
                replicas: nodes(replicas),
                isr: nodes(replicas),
                leader: replicas.first().copied().map(NodeId),
                recovery: LeaderRecoveryState::Recovered,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
            },
        });
        self
    }

    pub fn change(&mut self, leader: Option<i32>, isr: &[i32]) {
        self.replay(MetadataRecord::PartitionChange {
            topic: TOPIC,
            partition: 0,
            leader: Some(leader.map(NodeId)),
            isr: Some(nodes(isr)),
            recovery: None,
        });
    }

    pub fn configure(&mut self, key: &str, value: &str) {
        let (key, value) = (Arc::from(key), Some(Arc::from(value)));
        self.replay(MetadataRecord::Config {
            resource: ConfigResource::Topic(Arc::from("orders")),
            key,
            value,
        });
    }

    pub fn cluster(&self) -> Cluster<'_> {
        Cluster {
            image: &self.image,
            unclean_by_default: false,
        }
    }

    pub fn partition(&self) -> &PartitionRegistration {
        self.image.partition(orders(0)).expect("there is a topic")
    }
}

/// A partition of the topic.
pub(crate) fn orders(partition: i32) -> TopicIdPartition {
    TopicIdPartition {
        topic: TOPIC,
        partition,
    }
}

pub(crate) fn epoch_of(id: i32) -> BrokerEpoch {
    BrokerEpoch(i64::from(id) * 100)
}

pub(crate) fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}
