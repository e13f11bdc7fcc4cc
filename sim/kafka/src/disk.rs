//! What a process keeps on disk: files by name, what may be written to them, and what is found at start.
//!
//! A write that was accepted is in the page cache; only `sync` makes it last through a loss of power (L-32…L-34). Small
//! files are replaced whole, synced and renamed in one go, as Kafka's checkpoint files are.

use crate::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, TopicIdPartition};
use crate::log::batch::RecordBatch;
use crate::log::epochs::EpochEntry;
use crate::log::producers::ProducerSnapshot;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum FileId {
    /// A segment of a partition's log, named by its base offset (L-16).
    Segment(TopicIdPartition, Offset),
    /// `leader-epoch-checkpoint` of a partition (L-38).
    LeaderEpochs(TopicIdPartition),
    /// A producer snapshot, named by the offset up to which it holds (L-13).
    ProducerSnapshot(TopicIdPartition, Offset),
    /// The directory of a partition. As a small file it is the suffix of a directory that was renamed; deleting it deletes
    /// all that lies in it.
    Directory(TopicIdPartition),
    /// `replication-offset-checkpoint`: high watermarks (L-33).
    HighWatermarks,
    /// `recovery-point-offset-checkpoint` (L-33).
    RecoveryPoints,
    /// `log-start-offset-checkpoint`.
    LogStartOffsets,
    /// `quorum-state` of a Raft replica (K-1).
    QuorumState,
    /// `.kafka_cleanshutdown` (L-35).
    CleanShutdown,
}

impl FileId {
    /// In which partition's directory it lies, if in one.
    pub fn partition(self) -> Option<TopicIdPartition> {
        match self {
            FileId::Segment(id, _)
            | FileId::LeaderEpochs(id)
            | FileId::ProducerSnapshot(id, _)
            | FileId::Directory(id) => Some(id),
            FileId::HighWatermarks
            | FileId::RecoveryPoints
            | FileId::LogStartOffsets
            | FileId::QuorumState
            | FileId::CleanShutdown => None,
        }
    }
}

/// Why a partition's directory has another name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Suffix {
    /// `-delete`: the topic is no more, and soon nor is this (K-24).
    Delete,
    /// `-stray`: found at start, and the metadata know nothing of it. It stays until somebody looks.
    Stray,
}

/// A change of a file.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Write {
    /// A batch at the end of a segment.
    Append(RecordBatch),
    /// All batches from this offset on are cut off, and a torn one behind them.
    TruncateTo(Offset),
    /// A small file, whole.
    Replace(SmallFile),
    /// An empty segment.
    Create,
    /// The file is gone.
    Delete,
}

/// The contents of a small file.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum SmallFile {
    /// Offsets by partition: high watermarks, recovery points, log starts.
    Offsets(BTreeMap<TopicIdPartition, Offset>),
    /// Leader epochs and where they start.
    LeaderEpochs(Vec<EpochEntry>),
    /// Producer state.
    Producers(Arc<ProducerSnapshot>),
    /// A renamed directory's suffix.
    Directory(Suffix),
    /// A Raft replica's vote.
    Quorum(QuorumStateFile),
    /// Stopped cleanly, with this broker epoch.
    CleanShutdown(Option<BrokerEpoch>),
}

/// What a Raft replica must never forget (K-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct QuorumStateFile {
    /// The highest epoch it has seen.
    pub epoch: LeaderEpoch,
    /// That epoch's leader, if known.
    pub leader: Option<NodeId>,
    /// Whom it voted for in that epoch.
    pub voted: Option<NodeId>,
}

/// A file found at start.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum FileImage {
    /// A segment: its whole batches in order, and whether a torn one follows.
    Segment {
        /// Whole batches with good checksums.
        batches: Vec<RecordBatch>,
        /// Part of one more batch follows.
        torn: bool,
    },
    /// A small file.
    Small(SmallFile),
}

/// All files found at start, by name.
pub type DiskImage = BTreeMap<FileId, FileImage>;

/// Why a disk refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum DiskError {
    /// No space left.
    Full,
    /// The device does not answer.
    Dead,
}
