//! What a poll returns: Kafka's ConsumerRecords, and the exceptions it throws.
//!
//! Records stay in the batches in which they came; keys and values are decoded when they are asked for. Each lies at the
//! offset that it always had: compaction leaves gaps between them.

use super::positions::TopicPartition;
use crate::ids::{LeaderEpoch, Offset, RecordId, TopicId, TopicIdPartition};
use crate::log::batch::RecordBatch;
use crate::log::record::{InvalidRecord, Record};
use crate::protocol::ErrorCode;
use serde::Serialize;

/// Records of one partition that a poll returned, in offset order.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionRecords {
    /// By name.
    pub partition: TopicPartition,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The position before.
    pub from: Offset,
    /// The position after.
    pub to: Offset,
    /// The records, as parts of the batches in which they came.
    pub slices: Vec<Slice>,
}

/// Some records of a batch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Slice {
    /// The batch.
    pub batch: RecordBatch,
    /// The first record, counted within the batch from 0.
    pub from: u32,
    /// The record after the last.
    pub to: u32,
}

impl PartitionRecords {
    /// The partition by id.
    pub fn id(&self) -> TopicIdPartition {
        TopicIdPartition {
            topic: self.topic_id,
            partition: self.partition.partition,
        }
    }

    /// Every record: its offset, the epoch of the leader that appended it, and what its writer calls it.
    pub fn records(&self) -> Box<[(Offset, LeaderEpoch, RecordId)]> {
        let mut records = Vec::with_capacity(self.count() as usize);
        for s in &self.slices {
            let placed = s.batch.offsets().zip(s.batch.data.ids());
            let taken = placed.skip(s.from as usize).take((s.to - s.from) as usize);
            records.extend(taken.map(|(offset, id)| (offset, s.batch.leader_epoch, *id)));
        }
        records.into()
    }

    /// The same, decoded: keys, values, timestamps. A record whose bytes make no sense is an error in its place.
    pub fn decoded(&self) -> impl Iterator<Item = Result<Record, InvalidRecord>> + '_ {
        self.slices.iter().flat_map(|s| {
            let all = s.batch.records();
            all.skip(s.from as usize).take((s.to - s.from) as usize)
        })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.slices.iter().map(|s| s.to - s.from).sum()
    }
}

/// What `poll` throws.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum ConsumerError {
    /// NoOffsetForPartitionException: no position and no reset policy (C-7).
    NoOffsetForPartition(Vec<TopicPartition>),
    /// OffsetOutOfRangeException: the log has no such offset and there is no reset policy (C-9).
    OffsetOutOfRange(TopicPartition, Offset),
    /// LogTruncationException: the log departs before the position and there is no reset policy (C-10).
    LogTruncation {
        /// Which partition.
        partition: TopicPartition,
        /// The position, unchanged.
        position: Offset,
        /// The first offset known to differ, if the leader could tell.
        divergence: Option<Offset>,
    },
    /// A batch whose checksum does not fit; the application may seek past it (C-5).
    CorruptRecord(TopicPartition, Offset),
    /// An error no consumer expects.
    Unexpected(TopicPartition, ErrorCode),
}
