//! What a client knows of the cluster: Kafka's ProducerMetadata and ConsumerMetadata (N-5).
//!
//! Thin still: no age, no back-off, no leader hints.

use crate::ids::{LeaderEpoch, NodeId, TopicId};
use crate::protocol::metadata::{MetadataResponse, MetadataTopic};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A client's copy of the metadata.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientMetadata {
    topics: BTreeMap<Arc<str>, TopicMetadata>,
}

/// A topic as a client knows it.
#[derive(Clone, Debug, Serialize)]
pub struct TopicMetadata {
    /// Its id.
    pub id: TopicId,
    /// By partition: the leader and its epoch.
    pub partitions: Vec<(Option<NodeId>, LeaderEpoch)>,
}

impl ClientMetadata {
    /// A topic, if known.
    pub fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.get(name)
    }

    /// Takes in a response.
    pub fn update(&mut self, response: &MetadataResponse) {
        for topic in response.topics.iter().filter(|t| t.error_code.is_none()) {
            self.topics.insert(topic.name.clone(), of(topic));
        }
    }
}

fn of(topic: &MetadataTopic) -> TopicMetadata {
    TopicMetadata {
        id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|p| (p.leader_id, p.leader_epoch))
            .collect(),
    }
}
