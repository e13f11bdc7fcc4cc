//! Produce (0) and InitProducerId (22).

use crate::ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicId};
use crate::log::batch::BatchData;
use crate::protocol::ErrorCode;
use crate::protocol::metadata::NodeEndpoint;
use crate::time::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;
use std::sync::Arc;

/// Append these batches.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProduceRequest {
    /// 0, 1 or -1 (all).
    pub acks: i16,
    /// How long the broker may wait for the replicas, in ms.
    pub timeout_ms: i32,
    /// What to append where.
    pub topics: Vec<TopicProduceData>,
}

/// The batches for one topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TopicProduceData {
    /// Which topic.
    pub topic_id: TopicId,
    /// One entry per partition.
    pub partitions: SmallVec<[PartitionProduceData; 1]>,
}

/// Exactly one batch for one partition (L-1).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionProduceData {
    /// The partition.
    pub index: i32,
    /// The batch, without a base offset: the leader gives it one.
    pub records: Arc<BatchData>,
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProduceResponse {
    /// By topic, as asked.
    pub responses: Vec<TopicProduceResponse>,
    /// Where the leaders named in the errors listen (KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The answers for one topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TopicProduceResponse {
    /// Which topic.
    pub topic_id: TopicId,
    /// By partition, as asked.
    pub partitions: SmallVec<[PartitionProduceResponse; 1]>,
}

/// The answer for one batch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionProduceResponse {
    /// The partition.
    pub index: i32,
    /// NONE if appended (and replicated, for acks=all).
    pub error_code: ErrorCode,
    /// Where the batch begins; -1 on error.
    pub base_offset: Offset,
    /// The leader's clock, if the topic stamps by LogAppendTime.
    pub log_append_time: Option<Timestamp>,
    /// The leader's log start offset.
    pub log_start_offset: Offset,
    /// The leader as this broker knows it, after NOT_LEADER_OR_FOLLOWER or FENCED_LEADER_EPOCH (KIP-951).
    pub current_leader: Option<LeaderIdAndEpoch>,
}

/// A leader and its epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LeaderIdAndEpoch {
    /// The leader.
    pub leader_id: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
}

/// Give me a producer id (not transactional).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InitProducerIdRequest {}

/// A producer id of one's own.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct InitProducerIdResponse {
    /// COORDINATOR_LOAD_IN_PROGRESS while the broker waits for a block of ids.
    pub error_code: ErrorCode,
    /// The new id.
    pub producer_id: ProducerId,
    /// Its first epoch.
    pub producer_epoch: ProducerEpoch,
}
