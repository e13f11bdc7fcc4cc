//! A broker's own copy of the metadata: Kafka's MetadataLoader and KRaftMetadataCache. It answers Metadata requests from this
//! copy, which lags behind the controller's (N-6).
//!
//! It keeps: what is committed is taken in in order, a batch of records at a time (K-20); nothing is made of it before the copy
//! has caught up with what was committed when the broker started, so that no old leader epoch is lived through again.
//!
//! Left out: listeners, authorisation, snapshots. Kafka names a random unfenced
//! broker as the controller; here it is the first, and like any broker it forwards what it is asked.

use crate::controller::image::Image;
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::controller::topics::is_legal_name;
use crate::ids::*;
use crate::log::batch::{Payload, RecordBatch};
use crate::protocol::ErrorCode;
use crate::protocol::admin::ConfigResource;
use crate::protocol::metadata::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The copy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Metadata {
    image: Image,
    is_published: bool,
}

/// What committed records have changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delta {
    /// Partitions that are new or have changed.
    pub partitions: BTreeSet<TopicIdPartition>,
    /// Topics whose settings have changed.
    pub topics: BTreeSet<TopicId>,
    /// Partitions of topics that are no more.
    pub deleted: BTreeSet<TopicIdPartition>,
    /// Settings of brokers have changed.
    pub dynamic: bool,
}

impl Metadata {
    /// The cluster as this broker knows it.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether anything was made of it yet.
    pub fn is_published(&self) -> bool {
        self.is_published
    }

    /// The offset of the last record taken in; -1 before the first.
    pub fn applied(&self) -> Offset {
        self.image.end.plus(-1)
    }

    /// Takes in committed batches that lie from the copy's end on. The first time everything there is counts as changed.
    pub fn load(&mut self, batches: impl Iterator<Item = RecordBatch>) -> Delta {
        let mut delta = Delta::default();
        for batch in batches {
            if let Payload::Metadata(records) = &batch.data.payload {
                records
                    .iter()
                    .for_each(|record| delta.note(record, &self.image));
            }
            self.image.apply_batch(&batch);
        }
        if !self.is_published {
            self.is_published = true;
            delta.partitions = self.image.partitions().map(|(id, _)| id).collect();
            delta.topics = self.image.topics.keys().copied().collect();
            delta.dynamic = !self.image.dynamic.is_empty();
        }
        delta
    }

    /// The answer to a Metadata request. Fenced brokers are left out (K-18).
    pub fn answer(&self, request: &MetadataRequest) -> MetadataResponse {
        let alive = self.image.brokers.iter().filter(|(_, b)| !b.fenced);
        let brokers: Vec<NodeEndpoint> = alive
            .map(|(id, broker)| NodeEndpoint {
                node_id: *id,
                address: broker.address,
                rack: broker.rack.clone(),
            })
            .collect();
        let topics = match &request.topics {
            Some(names) => names.iter().map(|name| self.topic(name)).collect(),
            None => self
                .image
                .names
                .keys()
                .map(|name| self.topic(name))
                .collect(),
        };
        MetadataResponse {
            controller_id: brokers.first().map(|b| b.node_id),
            brokers,
            topics,
        }
    }

    /// Topics that a request asks about and that could be created for it (K-25).
    pub fn to_create(&self, request: &MetadataRequest) -> Vec<Arc<str>> {
        let names = request.topics.iter().flatten();
        let unknown =
            |name: &&Arc<str>| !self.image.names.contains_key(*name) && is_legal_name(name);
        match request.allow_auto_topic_creation {
            true => names.filter(unknown).cloned().collect(),
            false => Vec::new(),
        }
    }

    fn topic(&self, name: &Arc<str>) -> MetadataTopic {
        let id = self.image.names.get(name);
        let found = id.and_then(|id| Some((*id, self.image.topics.get(id)?)));
        match found {
            Some((topic_id, topic)) => MetadataTopic {
                error_code: ErrorCode::None,
                name: name.clone(),
                topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|(index, p)| self.partition(*index, p))
                    .collect(),
            },
            None => MetadataTopic {
                error_code: match is_legal_name(name) {
                    true => ErrorCode::UnknownTopicOrPartition,
                    false => ErrorCode::InvalidTopicException,
                },
                name: name.clone(),
                topic_id: TopicId(0),
                partitions: Vec::new(),
            },
        }
    }

    fn partition(&self, index: i32, registration: &PartitionRegistration) -> MetadataPartition {
        let is_known = |id: &NodeId| self.image.brokers.contains_key(id);
        let is_fenced = |id: &NodeId| self.image.brokers.get(id).is_none_or(|b| b.fenced);
        let leader_id = registration.leader.filter(is_known);
        let replicas = registration.replicas.iter().copied();
        MetadataPartition {
            error_code: match leader_id {
                Some(_) => ErrorCode::None,
                None => ErrorCode::LeaderNotAvailable,
            },
            partition_index: index,
            leader_id,
            leader_epoch: registration.leader_epoch,
            replica_nodes: registration.replicas.clone(),
            isr_nodes: registration.isr.clone(),
            offline_replicas: replicas.filter(is_fenced).collect(),
        }
    }
}

impl Delta {
    /// `before`: the copy without the batch that the record stands in.
    fn note(&mut self, record: &MetadataRecord, before: &Image) {
        match record {
            MetadataRecord::RemoveTopic { topic } => {
                self.partitions.retain(|id| id.topic != *topic);
                self.topics.remove(topic);
                let known = before.topics.get(topic).into_iter();
                let partitions = known.flat_map(|t| t.partitions.keys());
                let topic = *topic;
                self.deleted.extend(partitions.map(|p| TopicIdPartition {
                    topic,
                    partition: *p,
                }));
            }
            MetadataRecord::Partition {
                topic, partition, ..
            }
            | MetadataRecord::PartitionChange {
                topic, partition, ..
            } => {
                self.partitions.insert(TopicIdPartition {
                    topic: *topic,
                    partition: *partition,
                });
            }
            MetadataRecord::Config { resource, .. } => match resource {
                ConfigResource::Topic(name) => self.topics.extend(before.names.get(name)),
                ConfigResource::Broker(_) | ConfigResource::AllBrokers => self.dynamic = true,
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::BatchData;
    use crate::protocol::cluster::LeaderRecoveryState;
    use crate::time::Timestamp;

    const TOPIC: TopicId = TopicId(9);

    fn batch(base: i64, records: Vec<MetadataRecord>) -> RecordBatch {
        RecordBatch {
            base_offset: Offset(base),
            leader_epoch: LeaderEpoch(1),
            data: Arc::new(BatchData::of_metadata(records, Timestamp(0))),
        }
    }

    fn broker(id: i32, fenced: bool) -> MetadataRecord {
        MetadataRecord::RegisterBroker {
            broker: NodeId(id),
            incarnation: IncarnationId(1),
            epoch: BrokerEpoch(1),
            address: Address(id as u32),
            rack: None,
            fenced,
        }
    }

    fn topic(leader: Option<i32>) -> Vec<MetadataRecord> {
        let registration = PartitionRegistration {
            replicas: vec![NodeId(1), NodeId(2)],
            isr: vec![NodeId(1)],
            leader: leader.map(NodeId),
            recovery: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(3),
            partition_epoch: PartitionEpoch(5),
        };
        vec![
            MetadataRecord::Topic {
                name: "orders".into(),
                id: TOPIC,
            },
            MetadataRecord::Partition {
                topic: TOPIC,
                partition: 0,
                registration,
            },
        ]
    }

    fn ask(metadata: &Metadata, name: &str) -> MetadataResponse {
        metadata.answer(&MetadataRequest {
            topics: Some(vec![name.into()]),
            allow_auto_topic_creation: false,
        })
    }

    #[test]
    fn the_first_time_every_partition_counts_as_changed_and_later_only_those_that_were() {
        let mut metadata = Metadata::default();
        let first = [batch(0, vec![broker(1, false)]), batch(1, topic(Some(1)))];
        assert_eq!(metadata.load(first.into_iter()).partitions.len(), 1);
        assert_eq!(metadata.applied(), Offset(2));
        let later = batch(3, vec![MetadataRecord::NoOp]);
        assert_eq!(metadata.load([later].into_iter()), Delta::default());
        assert_eq!(metadata.applied(), Offset(3));
    }

    #[test]
    fn fenced_brokers_are_left_out_and_their_replicas_are_offline() {
        // K-18.
        let mut metadata = Metadata::default();
        let log = [
            batch(0, vec![broker(1, false), broker(2, true)]),
            batch(2, topic(Some(1))),
        ];
        metadata.load(log.into_iter());
        let answer = ask(&metadata, "orders");
        assert_eq!(answer.brokers.len(), 1);
        assert_eq!(answer.topics[0].partitions[0].offline_replicas, [NodeId(2)]);
        assert_eq!(answer.topics[0].partitions[0].leader_id, Some(NodeId(1)));
    }

    #[test]
    fn a_partition_without_a_leader_says_so_with_its_epoch() {
        let mut metadata = Metadata::default();
        let log = [batch(0, vec![broker(1, false)]), batch(1, topic(None))];
        metadata.load(log.into_iter());
        let partition = &ask(&metadata, "orders").topics[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::LeaderNotAvailable);
        assert_eq!(partition.leader_epoch, LeaderEpoch(3));
    }

    #[test]
    fn an_unknown_topic_is_answered_as_unknown() {
        let answer = ask(&Metadata::default(), "nothing");
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::UnknownTopicOrPartition
        );
    }
}
