//! The metadata log of one replica: Kafka's KafkaMetadataLog.
//!
//! Batches ascend in offset without gap and never descend in epoch, so that an epoch's end can be read off the batches and
//! no epoch cache is kept beside them. What a partition's log has and this one does not: producer state, a high
//! watermark on disk, timestamps that matter, retention.
//!
//! Left out: snapshots, and with them the deletion of old batches (K-5, K-12); the log is one segment from offset 0.

use crate::disk::{DiskImage, FileId, FileImage, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, LogEvent, Truncation};
use crate::ids::{LeaderEpoch, METADATA_PARTITION, Offset};
use crate::log::batch::{BatchData, RecordBatch};
use crate::log::batches::Batches;
use serde::Serialize;
use std::sync::Arc;

const SEGMENT: FileId = FileId::Segment(METADATA_PARTITION, Offset(0));

/// An end offset and the epoch of the last record before it. The larger is the more up to date (Raft §5.4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct OffsetAndEpoch {
    /// The epoch of the last record; 0 for an empty log.
    pub epoch: LeaderEpoch,
    /// The offset after it.
    pub offset: Offset,
}

/// What the log says to a position and the epoch before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// The log has it so.
    Valid,
    /// It does not; the largest epoch not above the asked one ends there.
    Diverging(OffsetAndEpoch),
}

/// The metadata log of one replica.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MetadataLog {
    #[serde(serialize_with = "Batches::by_chunks")]
    batches: Batches,
    leo: Offset,
    hw: Offset,
}

impl MetadataLog {
    /// The log found on disk, or an empty one. A batch at the end that is torn or damaged is cut off (L-36).
    pub fn open(disk: &DiskImage, out: &mut Effects) -> MetadataLog {
        let mut log = MetadataLog::default();
        match disk.get(&SEGMENT) {
            Some(FileImage::Segment { batches, torn }) => {
                let good = batches.iter().take_while(|b| b.data.is_intact());
                for batch in good {
                    log.push(batch.clone());
                }
                let end = batches.last().map_or(Offset(0), RecordBatch::end_offset);
                let torn = *torn || log.leo < end;
                if torn {
                    out.push(Effect::Write(SEGMENT, Write::TruncateTo(log.leo)));
                }
                out.push(tell(LogEvent::Recovered {
                    leo: log.leo,
                    hw: log.hw,
                    torn,
                }));
            }
            _ => out.push(Effect::Write(SEGMENT, Write::Create)),
        }
        log
    }

    /// The next offset to be written.
    pub fn leo(&self) -> Offset {
        self.leo
    }

    /// The first offset that is not known to be committed. Starts at 0 with the process.
    pub fn hw(&self) -> Offset {
        self.hw
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        Offset(0)
    }

    /// The end and its epoch, by which votes are decided (K-2, K-3).
    pub fn end(&self) -> OffsetAndEpoch {
        OffsetAndEpoch {
            epoch: self.last_epoch(),
            offset: self.leo,
        }
    }

    /// The epoch of the last record; 0 for an empty log.
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.batches
            .last()
            .map_or(LeaderEpoch(0), |b| b.leader_epoch)
    }

    /// Gives a batch its offsets and the leader's epoch, and writes it.
    pub fn append_as_leader(&mut self, data: BatchData, epoch: LeaderEpoch, out: &mut Effects) {
        let batch = RecordBatch {
            base_offset: self.leo,
            leader_epoch: epoch,
            data: Arc::new(data),
        };
        self.append(batch, true, out);
    }

    /// Writes a leader's batch as it is.
    pub fn append_as_follower(&mut self, batch: RecordBatch, out: &mut Effects) {
        self.append(batch, false, out);
    }

    fn append(&mut self, batch: RecordBatch, as_leader: bool, out: &mut Effects) {
        out.push(Effect::Write(SEGMENT, Write::Append(batch.clone())));
        self.push(batch.clone());
        out.push(tell(LogEvent::Appended { batch, as_leader }));
    }

    /// Makes what was written last (K-6).
    pub fn flush(&self, out: &mut Effects) {
        out.push(Effect::Sync(SEGMENT));
    }

    /// Raises the high watermark, at most to the end; whether it moved.
    pub fn advance_hw(&mut self, to: Offset) -> bool {
        let to = to.min(self.leo);
        let moved = to > self.hw;
        self.hw = self.hw.max(to);
        moved
    }

    /// Whole batches from the one that holds `from` on, below `upto`, until `max_bytes` are reached; the first always.
    pub fn read(&self, from: Offset, upto: Offset, max_bytes: i32) -> Vec<RecordBatch> {
        let mut left = i64::from(max_bytes);
        let mut found = Vec::new();
        for batch in self.batches_from(from) {
            let size = i64::from(batch.data.size);
            if batch.end_offset() > upto || (left < size && !found.is_empty()) {
                break;
            }
            left -= size;
            found.push(batch);
        }
        found
    }

    /// The batches from the one that holds `from` on.
    pub fn batches_from(&self, from: Offset) -> impl Iterator<Item = RecordBatch> + '_ {
        let at = self.batches.partition_point(|b| b.end <= from);
        self.batches.starting_at(at)
    }

    /// Whether a replica whose log ends at `offset`, after a record of `epoch`, has this log's records up to there (K-5).
    pub fn validate(&self, offset: Offset, epoch: LeaderEpoch) -> Validity {
        if offset == Offset(0) {
            return Validity::Valid;
        }
        let end = self.end_of_epoch(epoch);
        if end.epoch != epoch || end.offset < offset {
            Validity::Diverging(end)
        } else {
            Validity::Valid
        }
    }

    /// Cuts off what departs from a leader that says where the largest common epoch ends.
    pub fn truncate_to_end_of(&mut self, leaders: OffsetAndEpoch, out: &mut Effects) {
        let own = self.end_of_epoch(leaders.epoch);
        let to = if leaders.epoch == LeaderEpoch(0) {
            leaders.offset.min(self.leo)
        } else if own.epoch == leaders.epoch {
            own.offset.min(leaders.offset)
        } else {
            own.offset
        };
        self.truncate(to, out);
    }

    fn truncate(&mut self, to: Offset, out: &mut Effects) {
        if to >= self.leo {
            return;
        }
        let from = self.leo;
        let keep = self.batches.partition_point(|b| b.end <= to);
        self.batches.truncate(keep);
        let end = self
            .batches
            .last()
            .map_or(Offset(0), RecordBatch::end_offset);
        self.leo = end;
        // By the rules an epoch ends with a batch, and what is committed is never cut off. A voter that lost its disk, or
        // `own-epoch-commit` off, can bring about otherwise.
        self.hw = self.hw.min(end);
        out.push(Effect::Write(SEGMENT, Write::TruncateTo(end)));
        out.push(tell(LogEvent::Truncated {
            from,
            to: end,
            why: Truncation::DivergingEpoch,
        }));
    }

    /// Where the largest epoch not above `epoch` ends (L-39); the log's own end if `epoch` is unknown to it.
    fn end_of_epoch(&self, epoch: LeaderEpoch) -> OffsetAndEpoch {
        if epoch >= self.last_epoch() {
            return self.end();
        }
        let next = self.batches.partition_point(|b| b.epoch <= epoch);
        let Some(begins) = self.batches.place(next) else {
            return self.end();
        };
        let before = next.checked_sub(1).and_then(|at| self.batches.place(at));
        OffsetAndEpoch {
            epoch: before.map_or(epoch, |b| b.epoch),
            offset: begins.base,
        }
    }

    fn push(&mut self, batch: RecordBatch) {
        assert_eq!(
            batch.base_offset, self.leo,
            "a batch begins where the log ends"
        );
        assert!(
            batch.leader_epoch >= self.last_epoch(),
            "epochs never descend"
        );
        self.leo = batch.end_offset();
        self.batches.push(batch);
    }
}

fn tell(event: LogEvent) -> Effect {
    Effect::Tell(Event::Log(METADATA_PARTITION, event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::records::MetadataRecord;
    use crate::time::Timestamp;

    fn log(epochs: &[i32]) -> MetadataLog {
        let mut log = MetadataLog::default();
        for epoch in epochs {
            let data = BatchData::of_metadata(vec![MetadataRecord::NoOp], Timestamp(0));
            log.append_as_leader(data, LeaderEpoch(*epoch), &mut Effects::new());
        }
        log
    }

    fn at(epoch: i32, offset: i64) -> OffsetAndEpoch {
        OffsetAndEpoch {
            epoch: LeaderEpoch(epoch),
            offset: Offset(offset),
        }
    }

    #[test]
    fn a_position_within_its_epoch_is_valid() {
        let log = log(&[1, 1, 3]);
        assert_eq!(log.validate(Offset(2), LeaderEpoch(1)), Validity::Valid);
        assert_eq!(log.validate(Offset(3), LeaderEpoch(3)), Validity::Valid);
        assert_eq!(log.validate(Offset(0), LeaderEpoch(0)), Validity::Valid);
    }

    #[test]
    fn a_position_past_its_epochs_end_diverges_there() {
        let log = log(&[1, 1, 3]);
        assert_eq!(
            log.validate(Offset(3), LeaderEpoch(1)),
            Validity::Diverging(at(1, 2))
        );
    }

    #[test]
    fn an_epoch_that_the_leader_skipped_diverges_at_the_one_below() {
        let log = log(&[1, 1, 3]);
        assert_eq!(
            log.validate(Offset(3), LeaderEpoch(2)),
            Validity::Diverging(at(1, 2))
        );
    }

    #[test]
    fn an_epoch_above_all_diverges_at_the_end() {
        let log = log(&[1, 1, 3]);
        assert_eq!(
            log.validate(Offset(2), LeaderEpoch(9)),
            Validity::Diverging(at(3, 3))
        );
    }

    #[test]
    fn a_follower_without_the_leaders_epoch_cuts_its_larger_epochs() {
        let mut follower = log(&[1, 1, 2, 2]);
        follower.truncate_to_end_of(at(1, 2), &mut Effects::new());
        assert_eq!(follower.end(), at(1, 2));
    }
}
