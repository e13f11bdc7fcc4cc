//! Segments (Kafka's LogSegment and LogSegments): a log is a row of files, each named by its base offset (L-16). Only
//! the last, active one is written to.
//!
//! Batches lie in chunks behind `Arc`s: a clone of a log shares them all, an append copies at most one chunk, a lookup is
//! two binary searches.
//!
//! Left out: index files. Lookups here are exact, and with Kafka's limits an index is never the reason to roll (L-17): a
//! segment of at most 2 GiB has an entry per 4 KiB, half of what `segment.index.bytes` holds. The aborted-transaction
//! index is in [`super::producers`]. Also left out: `segment.jitter.ms`.

use super::batch::RecordBatch;
use super::config::LogConfig;
use crate::ids::Offset;
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
    /// Bytes of all segments before it, those deleted included.
    start: u64,
    /// When it was created or opened: its age, for want of a record with a timestamp.
    created: Timestamp,
    full: Arc<Vec<Arc<Vec<Placed>>>>,
    tail: Arc<Vec<Placed>>,
}

/// A batch and its byte position in its segment.
#[derive(Clone, Debug, Serialize)]
struct Placed {
    batch: RecordBatch,
    position: u64,
}

impl Placed {
    fn end(&self) -> u64 {
        self.position + u64::from(self.batch.data.size)
    }
}

impl Segment {
    fn new(base_offset: Offset, start: u64, created: Timestamp) -> Segment {
        Segment {
            base_offset,
            start,
            created,
            full: Arc::default(),
            tail: Arc::default(),
        }
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
        let is_old = size > 0 && self.waited(batch, now) > config.segment_ms;
        let is_too_far = batch.last_offset().0 - self.base_offset.0 > i64::from(i32::MAX);
        is_full || is_old || is_too_far
    }

    /// How long the segment has been filling, by record time; by the clock if its first batch has no timestamp.
    fn waited(&self, batch: &RecordBatch, now: Timestamp) -> i64 {
        match self.batches().next() {
            Some(first) if first.data.max_timestamp.0 >= 0 => {
                batch.data.max_timestamp.0 - first.data.max_timestamp.0
            }
            _ => now.0 - self.created.0,
        }
    }

    fn push(&mut self, batch: RecordBatch) {
        let position = self.size();
        let tail = Arc::make_mut(&mut self.tail);
        tail.push(Placed { batch, position });
        if tail.len() == CHUNK {
            let chunk = std::mem::take(&mut self.tail);
            Arc::make_mut(&mut self.full).push(chunk);
        }
    }

    /// Cuts off all batches from the one that holds `offset`.
    fn truncate_to(&mut self, offset: Offset, now: Timestamp) {
        let keep = self.index_of(offset);
        let (chunks, rest) = (keep / CHUNK, keep % CHUNK);
        let tail = self.chunk(chunks).get(..rest).unwrap_or(&[]).to_vec();
        Arc::make_mut(&mut self.full).truncate(chunks);
        self.tail = Arc::new(tail);
        if keep == 0 {
            self.created = now;
        }
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
}

impl Segments {
    /// One empty segment.
    pub fn new(base_offset: Offset, now: Timestamp) -> Segments {
        Segments {
            closed: Arc::default(),
            active: Segment::new(base_offset, 0, now),
        }
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
        self.active.push(batch);
    }

    /// Begins a new active segment.
    pub fn roll(&mut self, base_offset: Offset, now: Timestamp) {
        assert!(
            base_offset > self.active.base_offset,
            "a segment has its own name"
        );
        let start = self.active.start + self.active.size();
        let old = std::mem::replace(&mut self.active, Segment::new(base_offset, start, now));
        Arc::make_mut(&mut self.closed).push(old);
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
        self.active.truncate_to(offset, now);
        deleted
    }

    /// Bytes from the beginning of time to the batch that holds `offset`: the difference of two is what lies between.
    pub fn position_of(&self, offset: Offset) -> u64 {
        let segment = self.from(offset).next().unwrap_or(&self.active);
        segment.start + segment.position_of(offset)
    }
}

#[cfg(test)]
mod tests;
