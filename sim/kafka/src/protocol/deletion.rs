//! DeleteRecords (21): give up what lies below an offset. Asked of the leaders.

use crate::ids::{Offset, TopicId};
use crate::protocol::ErrorCode;
use serde::Serialize;

/// Give up the records before these offsets.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteRecordsRequest {
    /// By partition.
    pub partitions: Vec<DeleteRecordsPartition>,
    /// How long the leader may wait for the other replicas, in ms.
    pub timeout_ms: i32,
}

/// One partition.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteRecordsPartition {
    /// Which topic (Kafka asks by name; an id names the same thing here).
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The first offset to be kept; -1 for the high watermark.
    pub offset: Offset,
}

/// What became of it, by partition as asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteRecordsResponse {
    /// By partition.
    pub partitions: Vec<DeleteRecordsPartitionResponse>,
}

/// One answer.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct DeleteRecordsPartitionResponse {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The smallest log start offset of all replicas that are alive; -1 after an error.
    pub low_watermark: Offset,
    /// REQUEST_TIMED_OUT if a replica has not followed in time (L-26).
    pub error_code: ErrorCode,
}
