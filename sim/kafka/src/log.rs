//! One replica's log (Kafka's UnifiedLog): a partition's, or that of the metadata quorum.
//!
//! A log is a part: a role lends it a buffer, and it puts disk writes, syncs and facts there in order. Guarantees:
//! offsets ascend without overlap; log start <= LSO <= HW <= LEO (I-7); what is appended is written to disk before it is
//! told. A clone shares all closed chunks; an append is O(1), a lookup O(log n).
//!
//! Left out: tiered storage, and a fetch's last batch cut short by the byte limit: readers get whole batches.

mod append;
pub mod batch;
pub mod batches;
pub mod builder;
mod cleaner;
pub mod codec;
pub mod config;
pub mod epochs;
mod filter;
mod flush;
mod index;
pub mod manager;
mod offset_map;
pub mod producers;
pub mod record;
mod recovery;
mod retention;
pub mod segment;
mod truncation;
pub mod validator;

#[cfg(test)]
mod testing;

pub use append::{Appended, NotCopied, UnexpectedOffset};
pub use cleaner::Dirty;
pub use producers::Origin;
pub use validator::Refusal;

use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, LogEvent, LogStart};
use crate::ids::{LeaderEpoch, Offset, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::EpochEndOffset;
use crate::time::Timestamp;
use batch::RecordBatch;
use cleaner::Cleaning;
use config::LogConfig;
use epochs::EpochCache;
use flush::Flushing;
use producers::{AbortedTransaction, Producers};
use segment::{Segment, Segments, Stamped};
use serde::Serialize;

/// One replica's log.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    id: TopicIdPartition,
    config: LogConfig,
    segments: Segments,
    log_start: Offset,
    hw: Offset,
    leo: Offset,
    epochs: EpochCache,
    producers: Producers,
    flushing: Flushing,
    cleaned_upto: Option<Offset>,
    cleaning: Option<Cleaning>,
    /// Files of a round that was given up, whose syncs are still under way.
    abandoned: u64,
}

/// Where a log begins, is stable, is committed and ends.
impl Log {
    /// An empty log; its first segment is created on disk.
    pub fn create(
        id: TopicIdPartition,
        config: LogConfig,
        now: Timestamp,
        out: &mut Effects,
    ) -> Log {
        let start = Offset(0);
        out.push(Effect::Write(FileId::Segment(id, start), Write::Create));
        Log {
            id,
            segments: Segments::new(start, config.index_interval_bytes, now),
            config,
            log_start: start,
            hw: start,
            leo: start,
            epochs: EpochCache::default(),
            producers: Producers::new(start),
            flushing: Flushing::from(start),
            cleaned_upto: None,
            cleaning: None,
            abandoned: 0,
        }
    }

    /// Which partition's it is.
    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    /// The settings in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Puts other settings in force, from the next append on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The log end offset: the next offset to be written.
    pub fn leo(&self) -> Offset {
        self.leo
    }

    /// The high watermark: the first offset that is not committed.
    pub fn hw(&self) -> Offset {
        self.hw
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The last stable offset: everything below is committed and belongs to no undecided transaction.
    pub fn lso(&self) -> Offset {
        match self.producers.first_unstable() {
            Some(unstable) => unstable.max(self.log_start).min(self.hw),
            None => self.hw,
        }
    }

    /// Raises the high watermark, as a leader does; never lowers it, never beyond the end. Returns whether it moved.
    pub fn advance_hw(&mut self, to: Offset, out: &mut Effects) -> bool {
        to > self.hw && self.set_hw(to, out)
    }

    /// Sets the high watermark as near to `to` as the log allows, lower too: what a follower does with its leader's word
    /// and a broker with its checkpoint (L-36). Returns whether it moved.
    pub fn set_hw(&mut self, to: Offset, out: &mut Effects) -> bool {
        let to = to.max(self.log_start).min(self.leo);
        self.producers.on_hw_updated(to);
        if to == self.hw {
            return false;
        }
        self.hw = to;
        self.tell(LogEvent::HighWatermark { hw: to }, out);
        self.assert_ordered();
        true
    }

    /// Gives up everything below `to`: a follower does when its leader did (R-3, L-25). Returns whether anything was.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE above the high watermark: only committed records are given up.
    pub fn increment_log_start(
        &mut self,
        to: Offset,
        out: &mut Effects,
    ) -> Result<bool, ErrorCode> {
        self.move_log_start(to, LogStart::Leader, out)
    }

    fn move_log_start(
        &mut self,
        to: Offset,
        why: LogStart,
        out: &mut Effects,
    ) -> Result<bool, ErrorCode> {
        if to > self.hw {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if to <= self.log_start {
            return Ok(false);
        }
        self.log_start = to;
        if self.epochs.truncate_from_start(to) {
            self.epochs.write(self.id, out);
        }
        self.producers.on_log_start_incremented(to);
        let log_start = to;
        self.tell(LogEvent::LogStartMoved { log_start, why }, out);
        self.assert_ordered();
        Ok(true)
    }

    /// I-7.
    fn assert_ordered(&self) {
        let lso = self.lso();
        assert!(self.log_start <= lso, "log start <= LSO");
        assert!(lso <= self.hw, "LSO <= HW");
        assert!(self.hw <= self.leo, "HW <= LEO");
    }

    fn tell(&self, event: LogEvent, out: &mut Effects) {
        out.push(Effect::Tell(Event::Log(self.id, event)));
    }
}

/// Reading.
impl Log {
    /// Whether a reader may stand at this offset.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE below the log start and above the end.
    pub fn check_readable(&self, at: Offset) -> Result<(), ErrorCode> {
        match at < self.log_start || at > self.leo {
            true => Err(ErrorCode::OffsetOutOfRange),
            false => Ok(()),
        }
    }

    /// Whole batches from the one that holds `from`, below `upto`, until `max_bytes` are reached; the first always.
    /// A read ends with the segment it began in.
    pub fn read(&self, from: Offset, upto: Offset, max_bytes: i32) -> Vec<RecordBatch> {
        self.read_batches(from, upto, max_bytes, true)
    }

    /// The same within `max_bytes` strictly: for the partitions of a fetch behind the first that had data.
    pub fn read_within(&self, from: Offset, upto: Offset, max_bytes: i32) -> Vec<RecordBatch> {
        self.read_batches(from, upto, max_bytes, false)
    }

    fn read_batches(
        &self,
        from: Offset,
        upto: Offset,
        max_bytes: i32,
        first_always: bool,
    ) -> Vec<RecordBatch> {
        let mut found = Vec::new();
        if from >= upto {
            return found;
        }
        let mut left = i64::from(max_bytes);
        for segment in self.segments.from(from) {
            let batches = segment.batches_from(from);
            // Mostly all that its chunk has left is read.
            found.reserve_exact(batches.size_hint().0);
            for batch in batches {
                let is_owed = first_always && found.is_empty();
                left -= i64::from(batch.data.size);
                if batch.end_offset() > upto || (left < 0 && !is_owed) {
                    return found;
                }
                found.push(batch.clone());
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }

    /// Bytes of the batches between two offsets: what a parked fetch waits for.
    pub fn bytes_between(&self, from: Offset, upto: Offset) -> u64 {
        if from == upto {
            return 0;
        }
        let end = self.segments.position_of(upto);
        let between = end - self.segments.position_of(from);
        u64::try_from(between).unwrap_or(0)
    }

    /// The base offset of the segment that an offset falls into: a parked fetch from a segment that is closed by now is
    /// answered at once.
    pub fn segment_of(&self, offset: Offset) -> Offset {
        let mut found = self.segments.from(offset);
        found
            .next()
            .map_or(self.segments.first_base(), |s| s.base_offset)
    }

    /// All batches, the oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.segments.iter().flat_map(|s| s.batches())
    }

    /// The segments, the oldest first.
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// The first record from the log start on that is stamped at or after a time. As in Kafka, only the first segment
    /// whose latest record is that young is looked into.
    pub fn find_time(&self, time: Timestamp) -> Option<Stamped> {
        let mut segments = self.segments.iter();
        let young = segments.find(|s| s.largest_timestamp() >= time)?;
        young.find_time(time, self.log_start)
    }

    /// The first record with the latest timestamp of all (KIP-734). As in Kafka, it may lie below the log start.
    pub fn find_latest(&self) -> Option<Stamped> {
        let mut latest: Option<&Segment> = None;
        for segment in self.segments.iter() {
            if latest.is_none_or(|l| segment.latest_timestamp() > l.latest_timestamp()) {
                latest = Some(segment);
            }
        }
        latest?.find_latest()
    }

    /// The transactions that a read_committed reader of `[from, upto)` must leave out (L-18).
    pub fn aborted_transactions(&self, from: Offset, upto: Offset) -> Vec<AbortedTransaction> {
        self.producers.aborted(from, upto)
    }
}

/// Leader epochs and producers.
impl Log {
    /// The leader epoch cache.
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// The latest leader epoch that this log knows of.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|e| e.epoch)
    }

    /// A new leader's epoch begins at the log's end, before it has written anything (L-38).
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch, out: &mut Effects) {
        self.assign_epoch(epoch, self.leo, out);
    }

    fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset, out: &mut Effects) {
        if self.epochs.assign(epoch, start) {
            self.epochs.write(self.id, out);
        }
    }

    /// Where an epoch ends here (L-39): the answer to a fetch with an epoch and to OffsetForLeaderEpoch.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEndOffset> {
        self.epochs.end_offset_for(epoch, self.leo)
    }

    /// What is remembered of producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// The same, to verify transactions (T-6).
    pub fn producers_mut(&mut self) -> &mut Producers {
        &mut self.producers
    }

    /// The sweep: idle producers are forgotten (L-14).
    pub fn remove_expired_producers(&mut self, now: Timestamp, out: &mut Effects) {
        let expiration = self.config.producer_id_expiration_ms;
        let producers = self.producers.remove_expired(now, expiration);
        if !producers.is_empty() {
            self.tell(LogEvent::ProducersForgotten { producers }, out);
        }
    }
}

#[cfg(test)]
mod tests;
