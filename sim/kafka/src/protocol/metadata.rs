//! Metadata (3): who leads what, as the asked broker knows it (N-6).

use crate::ids::{Address, LeaderEpoch, NodeId, TopicId};
use crate::protocol::ErrorCode;
use serde::Serialize;
use std::sync::Arc;

/// Tell me about these topics.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MetadataRequest {
    /// By name; `None` asks for all.
    pub topics: Option<Vec<Arc<str>>>,
    /// Create unknown ones (K-25).
    pub allow_auto_topic_creation: bool,
}

/// The cluster as one broker knows it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MetadataResponse {
    /// The brokers that are not fenced (K-18).
    pub brokers: Vec<NodeEndpoint>,
    /// A random unfenced broker stands in for the controller in KRaft.
    pub controller_id: Option<NodeId>,
    /// By topic.
    pub topics: Vec<MetadataTopic>,
}

/// A node and where it listens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeEndpoint {
    /// The node.
    pub node_id: NodeId,
    /// Where it listens.
    pub address: Address,
    /// Its rack, if it has one.
    pub rack: Option<Arc<str>>,
}

/// One topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MetadataTopic {
    /// UNKNOWN_TOPIC_OR_PARTITION if there is none.
    pub error_code: ErrorCode,
    /// Its name.
    pub name: Arc<str>,
    /// Its id.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: Vec<MetadataPartition>,
}

/// One partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct MetadataPartition {
    /// LEADER_NOT_AVAILABLE if it has none that can be reached.
    pub error_code: ErrorCode,
    /// The partition.
    pub partition_index: i32,
    /// Its leader.
    pub leader_id: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// All replicas in assignment order.
    pub replica_nodes: Vec<NodeId>,
    /// Those in sync.
    pub isr_nodes: Vec<NodeId>,
    /// Those fenced or gone.
    pub offline_replicas: Vec<NodeId>,
}
