//! What voters of the metadata quorum say to one another besides Fetch: Vote (52), BeginQuorumEpoch (53),
//! EndQuorumEpoch (54).

use crate::ids::{LeaderEpoch, NodeId, Offset};
use crate::protocol::ErrorCode;
use serde::Serialize;

/// Would you have me as leader?
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct VoteRequest {
    /// The epoch of the election; unchanged by a pre-vote.
    pub replica_epoch: LeaderEpoch,
    /// Who asks.
    pub replica_id: NodeId,
    /// The epoch of the last record it has.
    pub last_epoch: LeaderEpoch,
    /// Its log end offset.
    pub last_epoch_end_offset: Offset,
    /// Only asking (KIP-996).
    pub pre_vote: bool,
}

/// Yes or no.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct VoteResponse {
    /// FENCED_LEADER_EPOCH for an epoch gone by.
    pub error_code: ErrorCode,
    /// The leader, if there is one.
    pub leader_id: Option<NodeId>,
    /// The receiver's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The answer.
    pub vote_granted: bool,
}

/// I lead this epoch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BeginQuorumEpochRequest {
    /// The leader.
    pub leader_id: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
}

/// I lead no longer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EndQuorumEpochRequest {
    /// Who led.
    pub leader_id: NodeId,
    /// In which epoch.
    pub leader_epoch: LeaderEpoch,
    /// The other voters, the best successor first (K-7).
    pub preferred_successors: Vec<NodeId>,
}

/// The receiver's view of the quorum.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct QuorumEpochResponse {
    /// FENCED_LEADER_EPOCH for an epoch gone by.
    pub error_code: ErrorCode,
    /// The leader it knows.
    pub leader_id: Option<NodeId>,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
}
