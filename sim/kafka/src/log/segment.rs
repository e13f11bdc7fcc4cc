//! Segments (Kafka's LogSegment and LogSegments): a log is a row of files, each named by its base offset (L-16). Only
//! the last, active one is written to.
//!
//! Batches lie in chunks behind `Arc`s: a clone of a log shares them all, an append copies at most one chunk, a lookup is
//! two binary searches.
//!
//! What its indexes know is in [`super::index`], the aborted-transaction index in [`super::producers`]. Left out:
//! `segment.jitter.ms`.

use super::batch::RecordBatch;
use super::config::LogConfig;
use super::index::Indexes;
use crate::ids::{LeaderEpoch, Offset};
use crate::time::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// Batches per chunk.
const CHUNK: usize = 64;

/// How many batches from the end are looked at one by one before the others are searched.
const NEARLY: usize = 4;

/// One segment.
#[derive(Clone, Debug, Serialize)]
pub struct Segment {
    /// Its name: no batch in it begins before.
    pub base_offset: Offset,
    /// Bytes of all segments before it, those deleted included. Less than nothing if compaction has made them larger: a
    /// timestamp is told relative to its batch's delete horizon (L-29).
    start: i64,
    /// When it was created or opened: its age, for want of a record with a timestamp.
    created: Timestamp,
    indexes: Indexes,
    full: Arc<Vec<Arc<Vec<Placed>>>>,
    tail: Arc<Vec<Placed>>,
}

/// A batch and its byte position in its segment.
#[derive(Clone, Debug, Serialize)]
struct Placed {
    batch: RecordBatch,
    position: u64,
}

/// A record that was found by its timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamped {
    /// Its place.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The epoch of its batch.
    pub epoch: LeaderEpoch,
}

impl Placed {
    fn end(&self) -> u64 {
        self.position + u64::from(self.batch.data.size)
    }
}

impl Segment {
    fn new(base_offset: Offset, start: i64, created: Timestamp) -> Segment {
        Segment {
            base_offset,
            start,
            created,
            indexes: Indexes::default(),
            full: Arc::default(),
            tail: Arc::default(),
        }
    }

    /// An empty segment that compaction fills from these and all between.
    pub(super) fn of_compaction(first: &Segment, last: &Segment) -> Segment {
        Segment::new(first.base_offset, 0, last.created)
    }

    /// Puts a batch at the end of a segment that compaction fills.
    pub(super) fn add(&mut self, batch: RecordBatch, index_interval: i32) {
        self.push(batch, index_interval);
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.last_placed().map_or(0, Placed::end)
    }

    /// Whether no batch is in it.
    pub fn is_empty(&self) -> bool {
        self.last_placed().is_none()
    }

    /// The offset after its last batch; its base offset if it is empty.
    pub fn end_offset(&self) -> Offset {
        self.last_placed()
            .map_or(self.base_offset, |p| p.batch.end_offset())
    }

    /// Its batches in order, from the one that holds `offset` or, in a gap, the next one.
    pub fn batches_from(&self, offset: Offset) -> impl Iterator<Item = &RecordBatch> {
        self.placed_from(self.index_of(offset)).map(|p| &p.batch)
    }

    /// All its batches in order.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.placed_from(0).map(|p| &p.batch)
    }

    /// Whether a batch must go into a new segment (L-17). No timer rolls segments: only an append does.
    pub fn should_roll(&self, batch: &RecordBatch, config: &LogConfig, now: Timestamp) -> bool {
        let size = self.size();
        let room = i64::from(config.segment_bytes) - i64::from(batch.data.size);
        let is_full = i64::try_from(size).expect("a segment is below 8 EiB") > room;
        let is_old = size > 0 && self.waited(batch, now) > config.max_segment_ms();
        let is_too_far = batch.last_offset().0 - self.base_offset.0 > i64::from(i32::MAX);
        is_full || is_old || is_too_far || self.indexes.is_full(config)
    }

    /// The latest timestamp of its records (L-21); when it was created or cut, if none has one.
    pub fn largest_timestamp(&self) -> Timestamp {
        self.indexes.latest().unwrap_or(self.created)
    }

    /// The latest timestamp of its records.
    pub fn latest_timestamp(&self) -> Option<Timestamp> {
        self.indexes.latest()
    }

    /// The first record at or after `from` that is stamped at or after a time.
    pub fn find_time(&self, time: Timestamp, from: Offset) -> Option<Stamped> {
        let mut young = self
            .batches_from(from)
            .filter(|b| b.data.max_timestamp >= time);
        young.find_map(|batch| {
            let mut records = batch.records().filter_map(Result::ok);
            let found = records.find(|r| r.timestamp >= time && r.offset >= from)?;
            Some(Stamped {
                offset: found.offset,
                timestamp: found.timestamp,
                epoch: batch.leader_epoch,
            })
        })
    }

    /// The first record with the latest timestamp, in the first batch that bears it.
    pub fn find_latest(&self) -> Option<Stamped> {
        let batch = self.batches_from(self.indexes.offset_of_latest()?).next()?;
        let timestamp = batch.data.max_timestamp;
        let mut records = batch.records().filter_map(Result::ok);
        let found = records.find(|r| r.timestamp == timestamp)?;
        Some(Stamped {
            offset: found.offset,
            timestamp,
            epoch: batch.leader_epoch,
        })
    }

    /// How long the segment has been filling, by record time; by the clock if its first batch has no timestamp.
    fn waited(&self, batch: &RecordBatch, now: Timestamp) -> i64 {
        let first = self.chunk(0).first().map(|p| p.batch.data.max_timestamp.0);
        match first {
            Some(first) if first >= 0 => batch.data.max_timestamp.0 - first,
            _ => now.0 - self.created.0,
        }
    }

    fn push(&mut self, batch: RecordBatch, index_interval: i32) {
        self.indexes.append(&batch, index_interval);
        let position = self.size();
        let tail = Arc::make_mut(&mut self.tail);
        tail.push(Placed { batch, position });
        if tail.len() == CHUNK {
            // A log that has filled a chunk will fill another.
            let next = Arc::new(Vec::with_capacity(CHUNK));
            let chunk = std::mem::replace(&mut self.tail, next);
            Arc::make_mut(&mut self.full).push(chunk);
        }
    }

    /// Cuts off all batches from the one that holds `offset`.
    fn truncate_to(&mut self, offset: Offset, index_interval: i32, now: Timestamp) {
        let keep = self.index_of(offset);
        let (chunks, rest) = (keep / CHUNK, keep % CHUNK);
        let tail = self.chunk(chunks).get(..rest).unwrap_or(&[]).to_vec();
        Arc::make_mut(&mut self.full).truncate(chunks);
        self.tail = Arc::new(tail);
        if keep == 0 {
            self.created = now;
        }
        self.index_again(index_interval);
    }

    /// Kafka cuts its indexes; ours are told anew.
    fn index_again(&mut self, interval: i32) {
        let mut indexes = Indexes::default();
        for batch in self.batches() {
            indexes.append(batch, interval);
        }
        self.indexes = indexes;
    }

    /// How many batches end at or before `offset`.
    fn index_of(&self, offset: Offset) -> usize {
        let ends_before = |p: &Placed| p.batch.end_offset() <= offset;
        let all = self.full.len() * CHUNK + self.tail.len();
        // Most who ask have read to the end, and most others nearly so.
        if self.last_placed().is_none_or(ends_before) {
            return all;
        }
        let last = self.tail.iter().rev().take(NEARLY);
        if let Some(beyond) = last.map(ends_before).position(|before| before) {
            return all - beyond;
        }
        let chunk = self
            .full
            .partition_point(|c| c.last().is_some_and(ends_before));
        chunk * CHUNK + self.chunk(chunk).partition_point(ends_before)
    }

    /// The byte position of the first batch that ends after `offset`.
    fn position_of(&self, offset: Offset) -> u64 {
        let index = self.index_of(offset);
        let next = self.chunk(index / CHUNK).get(index % CHUNK);
        next.map_or(self.size(), |p| p.position)
    }

    fn placed_from(&self, index: usize) -> impl Iterator<Item = &Placed> {
        let (first, skip) = (index / CHUNK, index % CHUNK);
        let begun = self.chunk(first).get(skip..).unwrap_or(&[]);
        let rest = first + 1..=self.full.len();
        begun.iter().chain(rest.flat_map(|i| self.chunk(i)))
    }

    fn chunk(&self, index: usize) -> &[Placed] {
        self.full.get(index).unwrap_or(&self.tail)
    }

    fn last_placed(&self) -> Option<&Placed> {
        self.tail
            .last()
            .or_else(|| self.full.last().and_then(|c| c.last()))
    }
}

/// The segments of a log, by base offset; there is always an active one.
#[derive(Clone, Debug, Serialize)]
pub struct Segments {
    closed: Arc<Vec<Segment>>,
    active: Segment,
    /// `index.interval.bytes`.
    index_interval: i32,
}

impl Segments {
    /// One empty segment.
    pub fn new(base_offset: Offset, index_interval: i32, now: Timestamp) -> Segments {
        Segments {
            closed: Arc::default(),
            active: Segment::new(base_offset, 0, now),
            index_interval,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.closed.len() + 1
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        let first = self.closed.first().unwrap_or(&self.active);
        (self.active.start + signed(self.active.size()) - first.start).unsigned_abs()
    }

    /// The segment that is written to.
    pub fn active(&self) -> &Segment {
        &self.active
    }

    /// The base offset of the oldest segment.
    pub fn first_base(&self) -> Offset {
        self.closed
            .first()
            .map_or(self.active.base_offset, |s| s.base_offset)
    }

    /// All segments, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.closed.iter().chain(std::iter::once(&self.active))
    }

    /// The segments from the one that `offset` falls into, the oldest first.
    pub fn from(&self, offset: Offset) -> impl Iterator<Item = &Segment> {
        let first = self.closed.partition_point(|s| s.base_offset <= offset);
        // `first` segments begin at or before: the last of them holds the offset, unless the active one does.
        let skip = match self.active.base_offset <= offset {
            true => self.closed.len(),
            false => first.saturating_sub(1),
        };
        self.closed[skip..]
            .iter()
            .chain(std::iter::once(&self.active))
    }

    /// Puts a batch at the end.
    pub fn push(&mut self, batch: RecordBatch) {
        self.active.push(batch, self.index_interval);
    }

    /// Begins a new active segment.
    pub fn roll(&mut self, base_offset: Offset, now: Timestamp) {
        assert!(
            base_offset > self.active.base_offset,
            "a segment has its own name"
        );
        let start = self.active.start + signed(self.active.size());
        let old = std::mem::replace(&mut self.active, Segment::new(base_offset, start, now));
        Arc::make_mut(&mut self.closed).push(old);
    }

    /// Puts a segment in the place of closed neighbours. The bytes that are saved are saved before them: what lies between
    /// two offsets behind is as much as it was.
    pub(super) fn replace_closed(&mut self, old: &[Offset], new: Segment) {
        let closed = Arc::make_mut(&mut self.closed);
        let first = closed.partition_point(|s| s.base_offset < old[0]);
        let replaced = closed.splice(first..first + old.len(), [new]);
        assert!(
            replaced.map(|s| s.base_offset).eq(old.iter().copied()),
            "they are neighbours"
        );
        let mut end = self.active.start;
        for segment in closed.iter_mut().rev() {
            end -= signed(segment.size());
            segment.start = end;
        }
    }

    /// Drops so many segments at the front, whose names it returns. The active one stays.
    pub fn drop_first(&mut self, count: usize) -> Vec<Offset> {
        let dropped = Arc::make_mut(&mut self.closed).drain(..count);
        dropped.map(|s| s.base_offset).collect()
    }

    /// Deletes the segments that begin after `offset`, whose names it returns, and cuts the last remaining one to it.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Vec<Offset> {
        assert!(
            self.first_base() <= offset,
            "some segment begins at or before"
        );
        let mut deleted = Vec::new();
        while self.active.base_offset > offset {
            deleted.push(self.active.base_offset);
            self.active = Arc::make_mut(&mut self.closed)
                .pop()
                .expect("the first segment begins at or before the offset");
        }
        self.active.truncate_to(offset, self.index_interval, now);
        deleted
    }

    /// Bytes from the beginning of time to the batch that holds `offset`: the difference of two is what lies between.
    pub fn position_of(&self, offset: Offset) -> i64 {
        let segment = self.from(offset).next().unwrap_or(&self.active);
        segment.start + signed(segment.position_of(offset))
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("a log is below 8 EiB")
}

#[cfg(test)]
mod tests;
