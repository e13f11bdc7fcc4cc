//! What brokers tell and ask the active controller: BrokerRegistration (62), BrokerHeartbeat (63), AlterPartition (56),
//! AllocateProducerIds (67).

use crate::ids::{
    Address, BrokerEpoch, IncarnationId, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerId,
    TopicId,
};
use crate::protocol::ErrorCode;
use serde::Serialize;
use std::sync::Arc;

/// I am here (K-14).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BrokerRegistrationRequest {
    /// Who.
    pub broker_id: NodeId,
    /// New for every start of the process.
    pub incarnation_id: IncarnationId,
    /// Where clients reach it.
    pub address: Address,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// The broker epoch that its clean-shutdown marker names (KIP-966); `None` after an unclean stop.
    pub previous_broker_epoch: Option<BrokerEpoch>,
}

/// Your broker epoch, or why not.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BrokerRegistrationResponse {
    /// DUPLICATE_BROKER_REGISTRATION while the previous incarnation's session lasts.
    pub error_code: ErrorCode,
    /// The offset of the registration record.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// I am alive (K-16).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BrokerHeartbeatRequest {
    /// Who.
    pub broker_id: NodeId,
    /// Which registration.
    pub broker_epoch: BrokerEpoch,
    /// How far its copy of the metadata log is applied: the offset of the last record applied.
    pub current_metadata_offset: Offset,
    /// It wants to stay fenced.
    pub want_fence: bool,
    /// It wants to shut down (K-19).
    pub want_shut_down: bool,
}

/// How the controller sees the broker.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BrokerHeartbeatResponse {
    /// STALE_BROKER_EPOCH, NOT_CONTROLLER, ….
    pub error_code: ErrorCode,
    /// Whether it has caught up with its own registration.
    pub is_caught_up: bool,
    /// Whether it is fenced.
    pub is_fenced: bool,
    /// Whether it may stop now.
    pub should_shut_down: bool,
}

/// Please change these ISRs (KIP-497).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterPartitionRequest {
    /// The leader.
    pub broker_id: NodeId,
    /// Its broker epoch.
    pub broker_epoch: BrokerEpoch,
    /// By partition.
    pub partitions: Vec<AlterPartitionData>,
}

/// One wanted ISR.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterPartitionData {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The new ISR, each member with the broker epoch that the leader saw in its fetches (KIP-903).
    pub new_isr: Vec<BrokerState>,
    /// The leader has recovered from an unclean election, or has not.
    pub leader_recovery_state: LeaderRecoveryState,
    /// The partition epoch that the leader knows.
    pub partition_epoch: PartitionEpoch,
}

/// An ISR member and its broker epoch; `None` if the sender does not check them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct BrokerState {
    /// The member.
    pub broker_id: NodeId,
    /// Its broker epoch as the leader knows it.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// Whether a leader chosen uncleanly has recovered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum LeaderRecoveryState {
    /// The ordinary state.
    #[default]
    Recovered,
    /// Elected uncleanly, and its ISR has not changed since.
    Recovering,
}

/// What the controller made of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterPartitionResponse {
    /// About the request as a whole (STALE_BROKER_EPOCH, NOT_CONTROLLER).
    pub error_code: ErrorCode,
    /// By partition as asked.
    pub partitions: Vec<AlterPartitionResult>,
}

/// The partition as it is now, or why it was not changed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterPartitionResult {
    /// Which topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// R-14's errors.
    pub error_code: ErrorCode,
    /// The leader.
    pub leader_id: Option<NodeId>,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// The committed ISR.
    pub isr: Vec<NodeId>,
    /// See [`LeaderRecoveryState`].
    pub leader_recovery_state: LeaderRecoveryState,
    /// The partition's epoch.
    pub partition_epoch: PartitionEpoch,
}

/// Give me a block of producer ids (P-16).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AllocateProducerIdsRequest {
    /// The broker.
    pub broker_id: NodeId,
    /// Its epoch.
    pub broker_epoch: BrokerEpoch,
}

/// A block of 1000.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AllocateProducerIdsResponse {
    /// STALE_BROKER_EPOCH, NOT_CONTROLLER.
    pub error_code: ErrorCode,
    /// The first of the block.
    pub producer_id_start: ProducerId,
    /// How many.
    pub producer_id_len: i32,
}
