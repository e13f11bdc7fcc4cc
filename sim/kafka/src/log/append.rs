//! Appending (Kafka's UnifiedLog.append, L-6): as a leader, who gives a batch its place, and as a follower, who copies it.
//!
//! A leader's steps, in order: check the batch, give it offsets and epoch, extend the epoch cache, perhaps roll, check the
//! producer's state, write, move the end, take note of the producer. So a batch that the last check refuses may have begun
//! a new epoch entry or a new segment; as in Kafka, neither is taken back.

use super::Log;
use super::batch::{BatchData, RecordBatch, TimestampType};
use super::producers::{BatchMetadata, Checked, Origin};
use super::validator::{Refusal, convert, validate};
use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::LogEvent;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::ErrorCode;
use crate::time::Timestamp;
use std::sync::Arc;

/// What became of a batch that was not refused.
#[derive(Clone, PartialEq, Debug)]
pub enum Appended {
    /// It is in the log now.
    Written(RecordBatch),
    /// It was there already (L-8): nothing was written, and success is answered with where it lies.
    Duplicate(BatchMetadata),
}

impl Appended {
    /// Where the records begin.
    pub fn base_offset(&self) -> Offset {
        match self {
            Appended::Written(batch) => batch.base_offset,
            Appended::Duplicate(first) => first.first_offset(),
        }
    }

    /// The offset after the last record: what an acks=all write waits for the high watermark to reach.
    pub fn end_offset(&self) -> Offset {
        match self {
            Appended::Written(batch) => batch.end_offset(),
            Appended::Duplicate(first) => first.last_offset.plus(1),
        }
    }

    /// The append time that the response carries (L-4): under LogAppendTime the leader's. A duplicate's is always told,
    /// whosever clock it was.
    pub fn log_append_time(&self) -> Option<Timestamp> {
        match self {
            Appended::Written(batch) => (batch.data.timestamp_type == TimestampType::LogAppendTime)
                .then_some(batch.data.max_timestamp),
            Appended::Duplicate(first) => Some(first.timestamp),
        }
    }
}

/// A copy that would overlap what the log holds: Kafka's UnexpectedAppendOffsetException. If the log is empty, its owner
/// may start it over at this batch's base offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnexpectedOffset {
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
}

/// Why a copy was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotCopied {
    /// It would overlap.
    Overlap(UnexpectedOffset),
    /// Its checksum is wrong: CORRUPT_MESSAGE.
    Corrupt,
}

impl Log {
    /// Gives a batch its offsets and this leader's epoch, and writes it, unless its checks fail (L-3 … L-11).
    ///
    /// # Errors
    /// The first check that failed; nothing is written then.
    pub fn append_as_leader(
        &mut self,
        data: &Arc<BatchData>,
        epoch: LeaderEpoch,
        origin: Origin,
        now: Timestamp,
        out: &mut Effects,
    ) -> Result<Appended, Refusal> {
        let appended = self.try_append(data, epoch, origin, now, out);
        match &appended {
            Ok(Appended::Written(_)) => {}
            Ok(Appended::Duplicate(first)) => {
                let base_offset = first.first_offset();
                let ids = data.ids().into();
                self.tell(LogEvent::Deduplicated { base_offset, ids }, out);
            }
            Err(refusal) => {
                let ids = data.ids().into();
                let error = refusal.error;
                self.tell(LogEvent::Refused { error, ids }, out);
            }
        }
        self.assert_ordered();
        appended
    }

    /// Appends a batch of the metadata quorum's leader, which checks nothing of its own.
    pub fn append_as_raft_leader(
        &mut self,
        data: BatchData,
        epoch: LeaderEpoch,
        now: Timestamp,
        out: &mut Effects,
    ) -> RecordBatch {
        match self.append_as_leader(&Arc::new(data), epoch, Origin::RaftLeader, now, out) {
            Ok(Appended::Written(batch)) => batch,
            other => {
                panic!("a metadata batch is smaller than a segment and never twice: {other:?}")
            }
        }
    }

    /// Copies a leader's batch as it is. Returns whether it was taken: a batch of a later epoch than the follower's own is
    /// left for a later fetch (KAFKA-18723). A batch may begin beyond the log's end, where the leader's was compacted.
    ///
    /// # Errors
    /// A batch that overlaps, or is damaged.
    pub fn append_as_follower(
        &mut self,
        batch: &RecordBatch,
        epoch: LeaderEpoch,
        now: Timestamp,
        out: &mut Effects,
    ) -> Result<bool, NotCopied> {
        if batch.leader_epoch > epoch {
            return Ok(false);
        }
        if !batch.data.is_intact() {
            return Err(NotCopied::Corrupt);
        }
        if batch.base_offset < self.leo {
            return Err(NotCopied::Overlap(UnexpectedOffset {
                base_offset: batch.base_offset,
                last_offset: batch.last_offset(),
            }));
        }
        self.assign_epoch(batch.leader_epoch, batch.base_offset, out);
        self.roll_if_needed(batch, now, out);
        self.write(batch, false, out);
        self.assert_ordered();
        Ok(true)
    }

    fn try_append(
        &mut self,
        data: &Arc<BatchData>,
        epoch: LeaderEpoch,
        origin: Origin,
        now: Timestamp,
        out: &mut Effects,
    ) -> Result<Appended, Refusal> {
        let data = match origin {
            Origin::RaftLeader => data.clone(),
            _ => {
                let by_client = matches!(origin, Origin::Client { .. });
                validate(data, by_client, &self.config, now)?;
                convert(data, &self.config, now)?
            }
        };
        let batch = RecordBatch {
            base_offset: self.leo,
            leader_epoch: epoch,
            data,
        };
        self.assign_epoch(epoch, batch.base_offset, out);
        if i64::from(batch.data.size) > i64::from(self.config.segment_bytes) {
            return Err(ErrorCode::RecordListTooLarge.into());
        }
        self.roll_if_needed(&batch, now, out);
        let verify = self.config.verify_transactions;
        match self.producers.check(&batch, origin, verify)? {
            Checked::Duplicate(first) => Ok(Appended::Duplicate(first)),
            Checked::New => {
                self.write(&batch, true, out);
                Ok(Appended::Written(batch))
            }
        }
    }

    fn write(&mut self, batch: &RecordBatch, as_leader: bool, out: &mut Effects) {
        assert!(batch.base_offset >= self.leo, "offsets ascend");
        let segment = FileId::Segment(self.id, self.segments.active().base_offset);
        out.push(Effect::Write(segment, Write::Append(batch.clone())));
        self.segments.push(batch.clone());
        self.leo = batch.end_offset();
        self.producers.update(batch);
        let batch = batch.clone();
        self.tell(LogEvent::Appended { batch, as_leader }, out);
    }

    /// L-17. The closed segment is synced in the background, and the recovery point follows (L-19).
    fn roll_if_needed(&mut self, batch: &RecordBatch, now: Timestamp, out: &mut Effects) {
        let active = self.segments.active();
        // KAFKA-6388: an empty segment of that name is as good as a new one.
        let is_fresh = active.is_empty() && active.base_offset == batch.base_offset;
        if is_fresh || !active.should_roll(batch, &self.config, now) {
            return;
        }
        let base_offset = batch.base_offset;
        self.segments.roll(base_offset, now);
        let file = FileId::Segment(self.id, base_offset);
        out.push(Effect::Write(file, Write::Create));
        self.tell(LogEvent::Rolled { base_offset }, out);
        self.producers.set_map_end(base_offset);
        self.producers.take_snapshot(self.id, out);
        self.flush_up_to(base_offset, out);
    }
}
