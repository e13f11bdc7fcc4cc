//! Facts worth telling: what a learner or a checker would name. Past participles, in Kafka's words.
//!
//! An event never changes behaviour. What was *told* to an application and what is *certain* are different facts.

use crate::client::consumer::records::ConsumerError;
use crate::ids::{
    BrokerEpoch, ClientId, LeaderEpoch, NodeId, Offset, PartitionEpoch, ProducerEpoch, ProducerId,
    RecordId, RecordIds, TopicId, TopicIdPartition,
};
use crate::log::batch::RecordBatch;
use crate::protocol::admin::{ConfigResource, DescribedConfig, ElectionType, TopicRef};
use crate::protocol::{Api, ErrorCode};
use serde::Serialize;
use std::sync::Arc;

/// A fact, told by the process that it is about.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Event {
    /// About a log, data or metadata.
    Log(TopicIdPartition, LogEvent),
    /// About a replica of a partition.
    Replica(TopicIdPartition, ReplicaEvent),
    /// About a broker's life.
    Broker(BrokerEvent),
    /// What the active controller decided and the quorum committed.
    Controller(ControllerEvent),
    /// About the metadata quorum.
    Raft(RaftEvent),
    /// About a client inside an application.
    Client(ClientId, ClientEvent),
    /// What an application did or told its own caller.
    App(AppEvent),
    /// What an operator learned.
    Admin(AdminEvent),
}

/// Facts of a log.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum LogEvent {
    /// A batch was appended, by a leader or as a copy.
    Appended {
        /// The batch.
        batch: RecordBatch,
        /// By a leader (else copied from one).
        as_leader: bool,
    },
    /// An idempotent producer's batch was there already (L-8): answered with its first offsets.
    Deduplicated {
        /// Its first offset then.
        base_offset: Offset,
        /// Whose records.
        ids: RecordIds,
    },
    /// A batch was refused.
    Refused {
        /// Why.
        error: ErrorCode,
        /// Whose records.
        ids: RecordIds,
    },
    /// Everything from `to` up to `from` (both exclusive ends of the log) was cut off.
    Truncated {
        /// The log end offset before.
        from: Offset,
        /// The log end offset after.
        to: Offset,
        /// What led to it.
        why: Truncation,
    },
    /// The whole log was given up, and starts over, empty.
    StartedOver {
        /// The log end offset before.
        from: Offset,
        /// Start and end now.
        at: Offset,
    },
    /// Everything below was given up.
    LogStartMoved {
        /// The log start offset now.
        log_start: Offset,
        /// What led to it.
        why: LogStart,
    },
    /// The high watermark went up (or, after truncation and recovery, was set).
    HighWatermark {
        /// The new value.
        hw: Offset,
    },
    /// A log was found on disk at start.
    Recovered {
        /// Its end.
        leo: Offset,
        /// Its high watermark, from the checkpoint.
        hw: Offset,
        /// A torn batch at the end was cut off.
        torn: bool,
    },
    /// A new segment begins.
    Rolled {
        /// Its base offset.
        base_offset: Offset,
    },
    /// Whole segments were deleted (L-24).
    SegmentsDeleted {
        /// All that end at or before this.
        upto: Offset,
        /// Why.
        why: Deletion,
    },
    /// A segment took the place of others: of each key only the last record below `upto` is left (L-28).
    Compacted {
        /// Up to where the round goes.
        upto: Offset,
        /// The records that are gone with this segment.
        gone: Box<[Offset]>,
        /// Bytes of the old segments.
        bytes_before: u64,
        /// Bytes of the new one.
        bytes_after: u64,
        /// The round is over with it.
        is_over: bool,
    },
    /// Producers had been idle for `producer.id.expiration.ms`: nothing is known of them any more (L-14).
    ProducersForgotten {
        /// Whom.
        producers: Box<[ProducerId]>,
    },
}

/// What led to a later log start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum LogStart {
    /// The leader's log starts there (L-25).
    Leader,
    /// A client gave it up: DeleteRecords (L-26).
    DeleteRecords,
    /// It was older than `retention.ms` (L-21).
    RetentionTime,
    /// There was more than `retention.bytes` (L-22).
    RetentionBytes,
    /// It was found there at a start: by the checkpoint, which may be older, or by the first segment.
    Recovered,
}

/// Why segments are deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Deletion {
    /// They lie below the log start.
    LogStart,
    /// There is more than `retention.bytes` (L-22).
    Size,
    /// They are older than `retention.ms` (L-21).
    Age,
}

/// What led to a truncation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Truncation {
    /// The leader's answer to a fetch named an epoch that ends earlier.
    DivergingEpoch,
    /// The leader's log ends before this one.
    OutOfRange,
    /// To the own high watermark, as before KIP-101.
    HighWatermark,
    /// The leader's answer to OffsetForLeaderEpoch, as from KIP-101 on.
    OffsetForLeaderEpoch,
}

/// Facts of a replica.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum ReplicaEvent {
    /// Its topic is no more: it answers nobody, and its directory is renamed (K-24).
    Deleted,
    /// Found at start, and the metadata do not know it: its directory is put aside.
    Stray,
    /// This broker leads now.
    BecameLeader {
        /// In which epoch.
        epoch: LeaderEpoch,
        /// Where the epoch starts: its log end offset.
        start_offset: Offset,
        /// The high watermark it knows.
        hw: Offset,
    },
    /// This broker follows now.
    BecameFollower {
        /// In which epoch.
        epoch: LeaderEpoch,
        /// Whom; nobody if there is no leader.
        leader: Option<NodeId>,
    },
    /// A follower's fetch showed the leader how far it has come.
    FollowerFetched {
        /// Who.
        follower: NodeId,
        /// Its log end offset.
        leo: Offset,
    },
    /// The leader asks the controller for another ISR.
    IsrChangePending {
        /// The members wanted.
        isr: Box<[NodeId]>,
        /// The partition epoch it builds on.
        partition_epoch: PartitionEpoch,
    },
    /// The leader learned that the controller committed an ISR.
    IsrChanged {
        /// The members.
        isr: Box<[NodeId]>,
        /// The partition epoch.
        partition_epoch: PartitionEpoch,
    },
    /// The controller refused it.
    IsrChangeRefused {
        /// Why.
        error: ErrorCode,
    },
    /// A produce request was answered well: these records are acknowledged.
    Acknowledged {
        /// The first record's offset.
        base_offset: Offset,
        /// Whose records.
        ids: RecordIds,
        /// The acks asked for.
        acks: i16,
    },
    /// A request was refused because its sender's leader epoch is gone by or not yet known, or this broker does not lead.
    Fenced {
        /// FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH or NOT_LEADER_OR_FOLLOWER.
        error: ErrorCode,
        /// A write; else a fetch.
        write: bool,
    },
}

/// Facts of a broker's life.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum BrokerEvent {
    /// The process is up; its logs are recovered.
    Started {
        /// The last stop was clean.
        clean: bool,
    },
    /// The controller took its registration.
    Registered {
        /// Its broker epoch.
        epoch: BrokerEpoch,
    },
    /// The controller refused it for now.
    RegistrationRefused {
        /// Why.
        error: ErrorCode,
    },
    /// It learned that it is unfenced: clients may come.
    Unfenced,
    /// It learned that it is fenced.
    Fenced,
    /// It may stop now (K-19).
    ShutdownGranted,
}

/// What the active controller decided. Told when it is committed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum ControllerEvent {
    /// This controller is active.
    Activated {
        /// Its quorum epoch.
        epoch: LeaderEpoch,
    },
    /// It is active no longer.
    Deactivated,
    /// A broker is registered, fenced still.
    BrokerRegistered {
        /// Who.
        broker: NodeId,
        /// Its epoch.
        epoch: BrokerEpoch,
    },
    /// A broker may lead and join ISRs.
    BrokerUnfenced {
        /// Who.
        broker: NodeId,
    },
    /// A broker may not.
    BrokerFenced {
        /// Who.
        broker: NodeId,
        /// Its session ran out; else it asked for it or stopped.
        session_expired: bool,
    },
    /// A topic exists.
    TopicCreated {
        /// Its name.
        name: Arc<str>,
        /// Its id.
        id: TopicId,
        /// How many partitions.
        partitions: i32,
    },
    /// A topic is no more (K-24).
    TopicDeleted {
        /// The name it had.
        name: Arc<str>,
        /// Its id.
        id: TopicId,
    },
    /// A topic has more partitions (K-23).
    PartitionsCreated {
        /// The topic.
        name: Arc<str>,
        /// The first new one.
        from: i32,
        /// The end of the new ones.
        to: i32,
    },
    /// A config of a topic or of brokers is another.
    ConfigChanged {
        /// Whose.
        resource: ConfigResource,
        /// The key.
        key: Arc<str>,
        /// The new value; `None` for what the weaker layers say.
        value: Option<Arc<str>>,
    },
    /// A partition has another leader, or none.
    LeaderElected {
        /// Which.
        partition: TopicIdPartition,
        /// Who.
        leader: Option<NodeId>,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// From outside the ISR.
        unclean: bool,
        /// The ISR with it.
        isr: Box<[NodeId]>,
    },
    /// A partition's ISR changed with its leader as it was.
    IsrCommitted {
        /// Which.
        partition: TopicIdPartition,
        /// The members.
        isr: Box<[NodeId]>,
        /// The partition epoch.
        partition_epoch: PartitionEpoch,
    },
    /// An AlterPartition was refused.
    AlterPartitionRefused {
        /// Which.
        partition: TopicIdPartition,
        /// By whom it was asked.
        broker: NodeId,
        /// Why.
        error: ErrorCode,
    },
}

/// Facts of the metadata quorum.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum RaftEvent {
    /// A replica changed its state.
    Became {
        /// Which state.
        state: RaftState,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// The leader it knows.
        leader: Option<NodeId>,
    },
    /// A vote was granted or refused.
    Voted {
        /// For whom.
        candidate: NodeId,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// Only asked.
        pre_vote: bool,
        /// The answer.
        granted: bool,
    },
    /// The high watermark of the metadata log went up at this replica.
    HighWatermark {
        /// The new value.
        hw: Offset,
    },
    /// A leader gave up because a majority no longer fetches from it.
    CheckQuorumFailed {
        /// Its epoch.
        epoch: LeaderEpoch,
    },
}

/// States of a Raft replica (KIP-595, KIP-996).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[allow(missing_docs)] // Kafka's own names.
pub enum RaftState {
    Unattached,
    Follower,
    Prospective,
    Candidate,
    Leader,
    Resigned,
}

/// Facts of a client.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum ClientEvent {
    /// `send` took a record into the accumulator.
    Queued {
        /// Which.
        id: RecordId,
        /// For which partition.
        partition: TopicIdPartition,
    },
    /// A batch was put into a produce request.
    BatchSent {
        /// For which partition.
        partition: TopicIdPartition,
        /// Its records.
        ids: RecordIds,
        /// Its sequence number, if idempotent.
        base_sequence: Option<i32>,
        /// 0 for the first try.
        attempt: u32,
    },
    /// A try failed; it will be made again.
    Retried {
        /// For which partition.
        partition: TopicIdPartition,
        /// Its records.
        ids: RecordIds,
        /// What the try ended with.
        error: ErrorCode,
    },
    /// A send completed well, in the callback.
    Acked {
        /// Which record.
        id: RecordId,
        /// Where it should be.
        partition: TopicIdPartition,
        /// Its offset; none with acks=0.
        offset: Option<Offset>,
    },
    /// A send completed with an error, in the callback or at the call.
    Failed {
        /// Which record.
        id: RecordId,
        /// For which partition, if it came that far.
        partition: Option<TopicIdPartition>,
        /// With what.
        error: SendFailure,
    },
    /// The producer has an id.
    ProducerIdObtained {
        /// The id.
        producer: ProducerId,
        /// Its epoch.
        epoch: ProducerEpoch,
    },
    /// The producer bumped its own epoch (P-17).
    EpochBumped {
        /// The id.
        producer: ProducerId,
        /// The new epoch.
        epoch: ProducerEpoch,
    },
    /// A request was older than `request.timeout.ms`: its connection is closed (N-3).
    RequestTimedOut {
        /// To which node.
        node: NodeId,
    },
    /// `poll` returned records of one partition, from..to.
    Delivered {
        /// Which partition.
        partition: TopicIdPartition,
        /// The first offset.
        from: Offset,
        /// The offset after the last.
        to: Offset,
        /// The records with their offsets and leader epochs.
        records: Box<[(Offset, LeaderEpoch, RecordId)]>,
    },
    /// `poll` threw.
    PollFailed {
        /// What.
        error: ConsumerError,
    },
    /// The position was set by the reset policy.
    PositionReset {
        /// Which partition.
        partition: TopicIdPartition,
        /// To where.
        to: Offset,
    },
    /// The log was truncated under the position (KIP-320).
    TruncationDetected {
        /// Which partition.
        partition: TopicIdPartition,
        /// The position.
        position: Offset,
        /// Where the logs part; `None` if the leader knows no epoch as old as the position's.
        divergence: Option<Offset>,
    },
    /// The log has no such offset any more, or not yet; the reset policy says where to go.
    OffsetOutOfRange {
        /// Which partition.
        partition: TopicIdPartition,
        /// The position.
        position: Offset,
    },
    /// New metadata changed what this client thinks of a leader.
    LeaderLearned {
        /// Which partition.
        partition: TopicIdPartition,
        /// Who leads.
        leader: Option<NodeId>,
        /// In which epoch.
        epoch: LeaderEpoch,
    },
    /// A batch was too large for the broker: its records go out again in smaller ones (P-12).
    BatchSplit {
        /// For which partition.
        partition: TopicIdPartition,
        /// Its records.
        ids: RecordIds,
        /// How many smaller ones.
        parts: u32,
    },
}

/// Why a send failed, as the application is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum SendFailure {
    /// The broker's final answer.
    Error(ErrorCode),
    /// `delivery.timeout.ms` ran out: TimeoutException. The record may still be written.
    DeliveryTimeout,
    /// `max.block.ms` ran out while waiting for metadata.
    MetadataTimeout,
    /// `max.block.ms` ran out while waiting for memory: BufferExhaustedException.
    BufferExhausted,
    /// Larger than `max.request.size` or `buffer.memory`: RecordTooLargeException.
    RecordTooLarge,
    /// The producer was closed first.
    Closed,
    /// librdkafka's local queue is full: `BufferError` in Python.
    QueueFull,
}

impl SendFailure {
    /// Whether the record is certainly not in the log. A timeout leaves it open (law of told and certain).
    pub fn is_certain(self) -> bool {
        match self {
            SendFailure::Error(e) => !matches!(
                e,
                ErrorCode::RequestTimedOut
                    | ErrorCode::NetworkException
                    | ErrorCode::NotEnoughReplicasAfterAppend
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::OutOfOrderSequenceNumber
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::UnknownServerError
            ),
            SendFailure::DeliveryTimeout | SendFailure::Closed => false,
            SendFailure::MetadataTimeout
            | SendFailure::BufferExhausted
            | SendFailure::RecordTooLarge
            | SendFailure::QueueFull => true,
        }
    }
}

/// What an application did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum AppEvent {
    /// It has something to send: its own caller asked.
    Invoked {
        /// The record.
        id: RecordId,
    },
    /// It told its own caller that the record is accepted (P14).
    Accepted {
        /// The record.
        id: RecordId,
    },
    /// It told its own caller that it failed.
    Rejected {
        /// The record.
        id: RecordId,
    },
    /// It resends, after a restart or an error, what it has no confirmation for.
    Resent {
        /// The record.
        id: RecordId,
    },
    /// It began to read or write.
    Started,
    /// Its workload is done and every send is resolved.
    Finished,
    /// A reader came to the end offset of a partition.
    ReachedEnd {
        /// Which.
        partition: TopicIdPartition,
        /// The end offset.
        end: Offset,
    },
}

/// What an operator learned of his commands.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum AdminEvent {
    /// The topic exists now.
    TopicCreated {
        /// Its name.
        name: Arc<str>,
    },
    /// The topic existed already: somebody else's, or his own whose answer was lost.
    TopicExisted {
        /// Its name.
        name: Arc<str>,
    },
    /// The topic was not created.
    TopicRefused {
        /// Its name.
        name: Arc<str>,
        /// Why.
        error: ErrorCode,
    },
    /// A command was answered.
    Answered {
        /// Which.
        call: AdminCall,
        /// Kafka's answer.
        error: ErrorCode,
    },
    /// Configs were described.
    ConfigsDescribed {
        /// Whose.
        resource: ConfigResource,
        /// Those that somebody set.
        configs: Box<[DescribedConfig]>,
    },
    /// Configs are changed.
    ConfigsAltered {
        /// Whose.
        resource: ConfigResource,
    },
    /// Configs were not changed.
    ConfigsRefused {
        /// Whose.
        resource: ConfigResource,
        /// Why.
        error: ErrorCode,
    },
    /// A command was not answered within `default.api.timeout.ms`. It may have been carried out.
    CallTimedOut {
        /// What was asked.
        api: Api,
    },
    /// Records of a partition are given up, on all replicas that are alive.
    RecordsDeleted {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// The smallest log start of them.
        low_watermark: Offset,
    },
    /// Records were not given up.
    DeletionRefused {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Why.
        error: ErrorCode,
    },
}

/// What was asked, one answer each.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum AdminCall {
    /// DeleteTopics.
    DeleteTopic(TopicRef),
    /// CreateTopics that only validates.
    ValidateTopic(Arc<str>),
    /// CreatePartitions.
    CreatePartitions {
        /// The topic.
        topic: Arc<str>,
        /// How many it shall have.
        count: i32,
    },
    /// ElectLeaders.
    ElectLeader {
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// Which replica shall lead.
        election: ElectionType,
    },
    /// ElectLeaders of all partitions.
    ElectLeaders(ElectionType),
    /// DescribeConfigs.
    DescribeConfigs(ConfigResource),
}
