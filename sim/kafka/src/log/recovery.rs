//! Loading a log from what is found on disk (Kafka's LogLoader; L-35, L-36), and folding the producers' state anew.
//!
//! After a clean stop the files are taken as they are. Otherwise every segment from the recovery point on is read again:
//! at the first batch that is torn or whose checksum is wrong the log is cut, and all later segments are deleted; epochs
//! and producers are told from what is read. The high watermark comes from its checkpoint, stale as that may be (L-33).
//!
//! Guarantee: what is loaded equals a fold of the files that survive.
//!
//! Left out: index files. What recovery or a truncation deletes vanishes at once, without `file.delete.delay.ms`.

use super::Log;
use super::batch::RecordBatch;
use super::config::LogConfig;
use super::epochs::{EpochCache, EpochEntry};
use super::flush::Flushing;
use super::producers::{ProducerSnapshot, Producers};
use super::segment::Segments;
use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::{LogEvent, LogStart};
use crate::ids::{Offset, TopicIdPartition};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The files of one log as they were found.
#[derive(Clone, Debug, Default)]
pub struct LogFiles {
    /// Segments by base offset.
    pub segments: BTreeMap<Offset, SegmentFile>,
    /// `leader-epoch-checkpoint`.
    pub epochs: Vec<EpochEntry>,
    /// Compacted segments whose swap was begun: they take the place of those that they reach over.
    pub swaps: BTreeMap<Offset, SegmentFile>,
    /// Producer snapshots by the offset up to which they hold.
    pub snapshots: BTreeMap<Offset, Arc<ProducerSnapshot>>,
}

/// One segment as it was found.
#[derive(Clone, Debug, Default)]
pub struct SegmentFile {
    /// Its whole batches.
    pub batches: Vec<RecordBatch>,
    /// Part of one more follows.
    pub torn: bool,
}

impl LogFiles {
    /// A compaction died while it swapped: what a `.swap` file reaches over goes, if it is still there, and the file gets its
    /// name. Kafka deletes from the first to the last offset of all such files; so do we for each.
    fn finish_swaps(mut self, id: TopicIdPartition, out: &mut Effects) -> LogFiles {
        for (base, swap) in std::mem::take(&mut self.swaps) {
            let end = swap.batches.last().map_or(base, RecordBatch::end_offset);
            let old = self.segments.range(base..end.max(base.plus(1)));
            for old in old.map(|(base, _)| *base).collect::<Vec<_>>() {
                self.segments.remove(&old);
                let file = FileId::Segment(id, old);
                out.push(Effect::Write(file, Write::Delete));
            }
            let (file, to) = (FileId::Swap(id, base), FileId::Segment(id, base));
            out.push(Effect::Write(file, Write::Rename(to)));
            self.segments.insert(base, swap);
        }
        self
    }
}

/// What the checkpoints say of one log; offset 0 where they say nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checkpoints {
    /// The last stop was clean.
    pub clean: bool,
    /// `recovery-point-offset-checkpoint`.
    pub recovery_point: Offset,
    /// `log-start-offset-checkpoint`.
    pub log_start: Offset,
    /// `replication-offset-checkpoint`.
    pub hw: Offset,
    /// `cleaner-offset-checkpoint`.
    pub cleaned_upto: Option<Offset>,
}

impl Log {
    /// A log from its files.
    pub fn load(
        id: TopicIdPartition,
        files: LogFiles,
        at: Checkpoints,
        config: LogConfig,
        now: Timestamp,
        out: &mut Effects,
    ) -> Log {
        let files = files.finish_swaps(id, out);
        let mut loading = Loading::of(id, files, at, config, now);
        let torn = !at.clean && loading.recover(out);
        loading.ensure_a_segment(out);
        let mut log = loading.into_log(out);
        log.set_hw(at.hw, &mut Vec::new());
        let (leo, hw) = (log.leo, log.hw);
        log.tell(LogEvent::Recovered { leo, hw, torn }, out);
        if log.log_start > Offset(0) {
            let (log_start, why) = (log.log_start, LogStart::Recovered);
            log.tell(LogEvent::LogStartMoved { log_start, why }, out);
        }
        log.assert_folded();
        log
    }

    /// The fold identities that hold after every load, whatever was lost (W12).
    fn assert_folded(&self) {
        self.assert_ordered();
        let mut end = self.segments.first_base();
        for batch in self.batches() {
            assert!(batch.base_offset >= end, "offsets ascend over all segments");
            end = batch.end_offset();
        }
        assert!(end <= self.leo, "the log ends with its last batch or later");
        let latest = self.epochs.latest();
        assert!(
            latest.is_none_or(|e| e.start_offset < self.leo.max(self.log_start.plus(1))),
            "no epoch begins where nothing was written"
        );
        assert_eq!(self.producers.map_end(), self.leo, "producers are told all");
    }

    /// Folds the producers' state up to `upto` anew (Kafka's rebuildProducerState): from the latest snapshot and what
    /// follows it. So a producer's window is one batch long until it has written more (L-13). Snapshots are taken at the
    /// last two segments and at the end, to spare the next truncation the walk.
    pub(super) fn rebuild_producers(
        &mut self,
        upto: Offset,
        clean: bool,
        now: Timestamp,
        out: &mut Effects,
    ) {
        let rebuild = Rebuild {
            id: self.id,
            segments: &self.segments,
            log_start: self.log_start,
            expiration_ms: self.config.producer_id_expiration_ms,
            now,
        };
        rebuild.run(&mut self.producers, upto, clean, out);
    }
}

/// What a producers' state is folded from.
struct Rebuild<'a> {
    id: TopicIdPartition,
    segments: &'a Segments,
    log_start: Offset,
    expiration_ms: i64,
    now: Timestamp,
}

impl Rebuild<'_> {
    fn run(&self, producers: &mut Producers, upto: Offset, clean: bool, out: &mut Effects) {
        let last_two = self.segments.iter().rev().take(2).map(|s| s.base_offset);
        let mut keep: Vec<Offset> = last_two.collect();
        keep.reverse();
        if producers.latest_snapshot().is_none() && clean {
            // A clean stop without a snapshot: there were no producers.
            for offset in keep.into_iter().chain([upto]) {
                producers.set_map_end(offset);
                producers.take_snapshot(self.id, out);
            }
            return;
        }
        let had_nothing = producers.is_empty() && producers.map_end() >= upto;
        producers.truncate_and_reload(
            self.id,
            self.log_start,
            upto,
            |e| !e.is_expired(self.now, self.expiration_ms),
            out,
        );
        if upto > producers.map_end() && !had_nothing {
            self.replay(producers, upto, &keep, out);
        }
        producers.set_map_end(upto);
        producers.take_snapshot(self.id, out);
    }

    fn replay(&self, producers: &mut Producers, upto: Offset, keep: &[Offset], out: &mut Effects) {
        producers.begin_replay();
        for segment in self.segments.from(producers.map_end()) {
            if segment.base_offset >= upto {
                break;
            }
            let start = segment
                .base_offset
                .max(producers.map_end())
                .max(self.log_start);
            producers.set_map_end(start);
            if keep.contains(&segment.base_offset) {
                producers.take_snapshot(self.id, out);
            }
            for batch in segment.batches_from(start) {
                if batch.end_offset() > upto {
                    break;
                }
                producers.update(batch);
            }
        }
    }
}

/// A log that is being put together.
struct Loading {
    id: TopicIdPartition,
    at: Checkpoints,
    config: LogConfig,
    now: Timestamp,
    files: BTreeMap<Offset, SegmentFile>,
    epochs: EpochCache,
    /// The epochs as the file has them.
    written_epochs: EpochCache,
    snapshots: BTreeMap<Offset, Arc<ProducerSnapshot>>,
}

impl Loading {
    fn of(
        id: TopicIdPartition,
        files: LogFiles,
        at: Checkpoints,
        config: LogConfig,
        now: Timestamp,
    ) -> Loading {
        let epochs = EpochCache::of(&files.epochs);
        Loading {
            id,
            at,
            config,
            now,
            files: files.segments,
            written_epochs: epochs.clone(),
            epochs,
            snapshots: files.snapshots,
        }
    }

    /// L-36: reads the segments from the recovery point on. Returns whether something had to be cut off.
    fn recover(&mut self, out: &mut Effects) -> bool {
        let floor = self.files.range(..=self.at.recovery_point).next_back();
        let first = floor.map_or(self.at.recovery_point, |(base, _)| *base);
        let unflushed: Vec<Offset> = self.files.range(first..).map(|(base, _)| *base).collect();
        let Some(segments) = self.segments() else {
            return false;
        };
        for (index, base) in unflushed.iter().enumerate() {
            if self.recover_segment(*base, &segments, out) {
                self.delete_segments(&unflushed[index + 1..], out);
                return true;
            }
        }
        false
    }

    /// Reads one segment again: cuts it at the first bad batch, learns its epochs, and takes a snapshot of the producers
    /// at its end. Returns whether something was cut.
    fn recover_segment(&mut self, base: Offset, segments: &Segments, out: &mut Effects) -> bool {
        let file = self.files.get_mut(&base).expect("the caller found it");
        let good = file.batches.iter().take_while(|b| b.data.is_intact());
        let good = good.count();
        let cut = file.torn || good < file.batches.len();
        file.batches.truncate(good);
        file.torn = false;
        if cut {
            let end = file.batches.last().map_or(base, RecordBatch::end_offset);
            let segment = FileId::Segment(self.id, base);
            out.push(Effect::Write(segment, Write::TruncateTo(end)));
        }
        let mut producers = self.producers_at(base, segments, out);
        for batch in &self.files[&base].batches {
            let known = self.epochs.latest();
            if known.is_none_or(|e| batch.leader_epoch > e.epoch) {
                self.epochs.assign(batch.leader_epoch, batch.base_offset);
            }
            producers.update(batch);
        }
        producers.take_snapshot(self.id, out);
        self.snapshots = producers.into_snapshots();
        cut
    }

    /// The producers' state where a segment begins, from the snapshots that lie on disk.
    fn producers_at(&mut self, base: Offset, segments: &Segments, out: &mut Effects) -> Producers {
        let snapshots = std::mem::take(&mut self.snapshots);
        let mut producers = Producers::with_snapshots(snapshots, Offset(0));
        let rebuild = Rebuild {
            id: self.id,
            segments,
            log_start: self.at.log_start,
            expiration_ms: self.config.producer_id_expiration_ms,
            now: self.now,
        };
        rebuild.run(&mut producers, base, false, out);
        producers
    }

    /// The files as segments; `None` if there is no file.
    fn segments(&self) -> Option<Segments> {
        let mut files = self.files.iter();
        let (base, first) = files.next()?;
        let mut segments = Segments::new(*base, self.config.index_interval_bytes, self.now);
        for batch in &first.batches {
            segments.push(batch.clone());
        }
        for (base, file) in files {
            segments.roll(*base, self.now);
            for batch in &file.batches {
                segments.push(batch.clone());
            }
        }
        Some(segments)
    }

    fn delete_segments(&mut self, bases: &[Offset], out: &mut Effects) {
        for base in bases {
            self.files.remove(base);
            let file = FileId::Segment(self.id, *base);
            out.push(Effect::Write(file, Write::Delete));
            if self.snapshots.remove(base).is_some() {
                let file = FileId::ProducerSnapshot(self.id, *base);
                out.push(Effect::Write(file, Write::Delete));
            }
        }
    }

    /// A log that ends before its own start has lost its files: what is left of it is given up.
    fn ensure_a_segment(&mut self, out: &mut Effects) {
        if self.leo().is_some_and(|leo| leo < self.at.log_start) {
            let all: Vec<Offset> = self.files.keys().copied().collect();
            self.delete_segments(&all, out);
            self.epochs.clear();
        }
        if self.files.is_empty() {
            let base = self.at.log_start;
            self.files.insert(base, SegmentFile::default());
            let file = FileId::Segment(self.id, base);
            out.push(Effect::Write(file, Write::Create));
        }
    }

    /// Where the last segment ends.
    fn leo(&self) -> Option<Offset> {
        let (base, last) = self.files.last_key_value()?;
        Some(last.batches.last().map_or(*base, RecordBatch::end_offset))
    }

    fn into_log(mut self, out: &mut Effects) -> Log {
        let leo = self.leo().expect("there is a segment");
        self.epochs.truncate_from_end(leo);
        // The earliest epoch's start may not have been written when the log start moved.
        self.epochs.truncate_from_start(self.at.log_start);
        if self.epochs != self.written_epochs {
            self.epochs.write(self.id, out);
        }
        let segments = self.segments().expect("there is a segment");
        let log_start = self.at.log_start.max(segments.first_base());
        let bases: Vec<Offset> = segments.iter().map(|s| s.base_offset).collect();
        let snapshots = std::mem::take(&mut self.snapshots);
        let mut producers = Producers::with_snapshots(snapshots, Offset(0));
        producers.delete_stray_snapshots(self.id, &bases, out);
        let synced = match self.at.clean {
            true => leo,
            false => self.at.recovery_point.min(leo),
        };
        let mut log = Log {
            id: self.id,
            config: self.config,
            segments,
            log_start,
            hw: log_start,
            leo,
            epochs: self.epochs,
            producers,
            flushing: Flushing::from(synced),
            cleaned_upto: self.at.cleaned_upto,
            cleaning: None,
            abandoned: 0,
        };
        log.rebuild_producers(leo, self.at.clean, self.now, out);
        log.fold_aborted();
        log
    }
}

impl Log {
    /// Which transactions were aborted is told by no snapshot: from the whole log, if there is a marker in it.
    fn fold_aborted(&mut self) {
        if !self.batches().any(|b| b.data.marker().is_some()) {
            return;
        }
        let mut folded = Producers::new(self.log_start);
        for batch in self.batches() {
            folded.update(batch);
        }
        self.producers.adopt_aborted(folded);
    }
}
