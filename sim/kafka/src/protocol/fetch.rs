//! Fetch (1): consumers, followers and the replicas of the metadata log pull with it.

use crate::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicId};
use crate::log::batch::RecordBatch;
use crate::protocol::ErrorCode;
use crate::protocol::metadata::NodeEndpoint;
use crate::protocol::produce::LeaderIdAndEpoch;
use serde::Serialize;
use smallvec::SmallVec;

/// Give me what lies from these positions on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchRequest {
    /// `None` for a consumer.
    pub replica: Option<ReplicaState>,
    /// How long to wait for `min_bytes`, in ms.
    pub max_wait_ms: i32,
    /// Answer at once if there is that much.
    pub min_bytes: i32,
    /// Stop (softly, R-20) at that much.
    pub max_bytes: i32,
    /// Whether to hide what is above the last stable offset.
    pub isolation_level: IsolationLevel,
    /// The positions.
    pub topics: Vec<FetchTopic>,
}

/// Which replica is asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ReplicaState {
    /// Its node id.
    pub replica_id: NodeId,
    /// Its broker epoch (KIP-903); `None` for a Raft voter.
    pub replica_epoch: Option<BrokerEpoch>,
}

/// What a consumer may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum IsolationLevel {
    /// Everything below the high watermark.
    #[default]
    ReadUncommitted,
    /// Everything below the last stable offset.
    ReadCommitted,
}

/// Positions within one topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchTopic {
    /// Which topic.
    pub topic_id: TopicId,
    /// One entry per partition; mostly one, which then lies in no heap of its own.
    pub partitions: SmallVec<[FetchPartition; 1]>,
}

/// One position.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchPartition {
    /// The partition.
    pub partition: i32,
    /// The leader epoch the fetcher knows of (fencing, KIP-320).
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// From here on.
    pub fetch_offset: Offset,
    /// The epoch of the last batch the fetcher has, for divergence (KIP-595); `None` if its log is empty or it is a consumer that does not know.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// A follower's log start offset; `None` for a consumer.
    pub log_start_offset: Option<Offset>,
    /// At most that much, softly.
    pub partition_max_bytes: i32,
    /// The high watermark that a Raft replica knows (KIP-1166), so that the leader can tell it of an advance.
    pub high_watermark: Option<Offset>,
}

/// What there was.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchResponse {
    /// An error about the request as a whole.
    pub error_code: ErrorCode,
    /// By topic.
    pub topics: Vec<FetchTopicResponse>,
    /// Where the leaders named in the errors listen (KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The answers for one topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchTopicResponse {
    /// Which topic.
    pub topic_id: TopicId,
    /// By partition.
    pub partitions: SmallVec<[FetchPartitionResponse; 1]>,
}

/// The answer for one position.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FetchPartitionResponse {
    /// The partition.
    pub partition: i32,
    /// What stood in the way.
    pub error_code: ErrorCode,
    /// The leader's high watermark; `None` while a Raft leader does not know it.
    pub high_watermark: Option<Offset>,
    /// The leader's last stable offset.
    pub last_stable_offset: Option<Offset>,
    /// The leader's log start offset.
    pub log_start_offset: Offset,
    /// The fetcher's log departs from the leader's at or before this; no records then.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// The leader as this broker knows it.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Whole batches; the first may begin before the asked offset.
    pub records: Vec<RecordBatch>,
}

/// The largest epoch not above the asked one, and where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct EpochEndOffset {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset after its last record.
    pub end_offset: Offset,
}
