//! ListOffsets (2) and OffsetForLeaderEpoch (23).
//!
//! Left out: what tiered storage asks (-4, -5, -6).

use crate::ids::{LeaderEpoch, NodeId, Offset, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::IsolationLevel;
use crate::time::Timestamp;
use serde::Serialize;

/// Where does the log begin, end, or reach a time?
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListOffsetsRequest {
    /// `None` for a consumer.
    pub replica_id: Option<NodeId>,
    /// Bounds "latest" by the high watermark or the last stable offset.
    pub isolation_level: IsolationLevel,
    /// By partition.
    pub partitions: Vec<ListOffsetsPartition>,
}

/// One question.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListOffsetsPartition {
    /// Which topic (Kafka asks by name; an id names the same thing here).
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The epoch the asker knows of.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// What is asked.
    pub at: OffsetSpec,
}

/// Kafka's special timestamps by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum OffsetSpec {
    /// -2: the log start offset.
    Earliest,
    /// -1: the high watermark (or last stable offset).
    Latest,
    /// -3: the first record with the latest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after this time.
    At(Timestamp),
}

/// The answers, by partition as asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListOffsetsResponse {
    /// By partition.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

/// One answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListOffsetsPartitionResponse {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// OFFSET_NOT_AVAILABLE while a new leader does not know the high watermark.
    pub error_code: ErrorCode,
    /// The offset, unless there is none.
    pub offset: Option<Offset>,
    /// The timestamp of a record that was found by its timestamp; else -1.
    pub timestamp: Timestamp,
    /// The epoch of the record there.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Where does this epoch end?
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OffsetForLeaderEpochRequest {
    /// `None` for a consumer.
    pub replica_id: Option<NodeId>,
    /// By partition.
    pub partitions: Vec<OffsetForLeaderPartition>,
}

/// One question.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OffsetForLeaderPartition {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The epoch the asker knows of.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch whose end is wanted.
    pub leader_epoch: LeaderEpoch,
}

/// The answers, by partition as asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OffsetForLeaderEpochResponse {
    /// By partition.
    pub partitions: Vec<OffsetForLeaderPartitionResponse>,
}

/// One answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OffsetForLeaderPartitionResponse {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// What stood in the way.
    pub error_code: ErrorCode,
    /// The largest epoch not above the asked one; `None` if undefined (L-39).
    pub leader_epoch: Option<LeaderEpoch>,
    /// Where it ends; `None` if undefined.
    pub end_offset: Option<Offset>,
}
