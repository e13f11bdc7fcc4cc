//! A list of batches that grows at its end: the metadata log of one replica, a file on a disk.
//!
//! It lies in chunks that clones share, so that a clone copies one pointer per chunk and a change at most one chunk. In an idle
//! cluster the metadata log grows by a NoOp twice a second for ever (KIP-835): a full chunk whose batches differ from the first
//! in nothing but their time is kept as that first one and the times of the others. What is read is what was pushed, to the
//! bit, whether or not it was kept so.

use super::batch::{BatchData, Payload, RecordBatch};
use crate::ids::{LeaderEpoch, Offset};
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::sync::Arc;

/// Batches per chunk.
const CHUNK: usize = 128;

/// Batches in the order of their offsets.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batches {
    /// Every chunk but the last is full; the last is never empty, and never alike.
    chunks: Vec<Arc<Chunk>>,
}

/// Where a batch lies, and who gave it its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first offset.
    pub base: Offset,
    /// The offset after its last.
    pub end: Offset,
    /// The epoch of the leader that appended it.
    pub epoch: LeaderEpoch,
}

#[derive(Clone, PartialEq, Debug)]
enum Chunk {
    /// Any batches.
    Each(Vec<RecordBatch>),
    /// Batches whose offsets follow one another, all like the first but later, each by so many milliseconds than the one before it.
    Alike {
        first: RecordBatch,
        steps: Box<[u16]>,
    },
}

impl RecordBatch {
    /// Where it lies.
    #[inline]
    pub fn place(&self) -> Place {
        Place {
            base: self.base_offset,
            end: self.end_offset(),
            epoch: self.leader_epoch,
        }
    }
}

impl Batches {
    /// How many.
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The last one.
    pub fn last(&self) -> Option<&RecordBatch> {
        match self.chunks.last().map(|last| &**last)? {
            Chunk::Each(batches) => batches.last(),
            Chunk::Alike { .. } => unreachable!("the last chunk is never alike"),
        }
    }

    /// One of them.
    #[inline]
    pub fn get(&self, at: usize) -> Option<RecordBatch> {
        let (chunk, at) = (self.chunks.get(at / CHUNK)?, at % CHUNK);
        match &**chunk {
            Chunk::Each(batches) => batches.get(at).cloned(),
            alike => (at < alike.len()).then(|| alike.batch(at)),
        }
    }

    /// Where one of them lies.
    #[inline]
    pub fn place(&self, at: usize) -> Option<Place> {
        let (chunk, at) = (self.chunks.get(at / CHUNK)?, at % CHUNK);
        match &**chunk {
            Chunk::Each(batches) => batches.get(at).map(RecordBatch::place),
            alike => (at < alike.len()).then(|| alike.place(at)),
        }
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordBatch> + '_ {
        self.starting_at(0)
    }

    /// All from one on.
    pub fn starting_at(&self, at: usize) -> impl Iterator<Item = RecordBatch> + '_ {
        (at..self.len()).map(|at| self.chunks[at / CHUNK].batch(at % CHUNK))
    }

    /// The first that is not before something; all before it are, and none behind it is.
    pub fn partition_point(&self, is_before: impl Fn(Place) -> bool) -> usize {
        let begins_before = |chunk: &Arc<Chunk>| is_before(chunk.place(0));
        // Mostly it is at the end that somebody looks, or near it.
        if self.last().is_some_and(|last| is_before(last.place())) {
            return self.len();
        }
        let begun = match self.chunks.last().is_some_and(begins_before) {
            true => self.chunks.len(),
            false => self.chunks.partition_point(begins_before),
        };
        let Some(at) = begun.checked_sub(1) else {
            return 0;
        };
        at * CHUNK + self.chunks[at].partition_point(is_before)
    }

    /// One more.
    pub fn push(&mut self, batch: RecordBatch) {
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => Arc::make_mut(last).each().push(batch),
            None => {
                if let Some(full) = self.chunks.last_mut() {
                    if let Some(alike) = full.as_alike() {
                        *full = Arc::new(alike);
                    }
                }
                self.chunks.push(Arc::new(Chunk::Each(vec![batch])));
            }
        }
    }

    /// Only the first `len` stay.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        self.chunks.truncate(len.div_ceil(CHUNK));
        if let Some(last) = self.chunks.last_mut() {
            let keep = len - (len - 1) / CHUNK * CHUNK;
            Arc::make_mut(last).each().truncate(keep);
        }
    }

    /// As a list of lists.
    pub fn by_chunks<S: Serializer>(batches: &Batches, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(&batches.chunks)
    }
}

impl Serialize for Batches {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len()))?;
        for chunk in &self.chunks {
            chunk.serialize_each(&mut list)?;
        }
        list.end()
    }
}

impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len()))?;
        self.serialize_each(&mut list)?;
        list.end()
    }
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Chunk::Each(batches) => batches.len(),
            Chunk::Alike { steps, .. } => steps.len() + 1,
        }
    }

    fn place(&self, at: usize) -> Place {
        match self {
            Chunk::Each(batches) => batches[at].place(),
            Chunk::Alike { first, .. } => alike_place(first, at),
        }
    }

    fn batch(&self, at: usize) -> RecordBatch {
        match self {
            Chunk::Each(batches) => batches[at].clone(),
            Chunk::Alike { first, .. } if at == 0 => first.clone(),
            Chunk::Alike { first, steps } => {
                let mut data = BatchData::clone(&first.data);
                let later = steps[..at].iter().copied().map(u32::from).sum();
                data.set_later(&first.data, later);
                RecordBatch {
                    base_offset: alike_place(first, at).base,
                    leader_epoch: first.leader_epoch,
                    data: Arc::new(data),
                }
            }
        }
    }

    fn partition_point(&self, is_before: impl Fn(Place) -> bool) -> usize {
        if let Chunk::Each(batches) = self {
            return batches.partition_point(|b| is_before(b.place()));
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match is_before(self.place(middle)) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// Its batches one by one, to be changed.
    fn each(&mut self) -> &mut Vec<RecordBatch> {
        if let Chunk::Alike { .. } = self {
            *self = Chunk::Each((0..self.len()).map(|at| self.batch(at)).collect());
        }
        match self {
            Chunk::Each(batches) => batches,
            Chunk::Alike { .. } => unreachable!("it was just changed"),
        }
    }

    /// The same as one batch and times, if its batches are alike.
    fn as_alike(&self) -> Option<Chunk> {
        let Chunk::Each(batches) = self else {
            return None;
        };
        let (first, others) = batches.split_first()?;
        if !matches!(first.data.payload, Payload::Metadata(_)) {
            return None;
        }
        let mut like = BatchData::clone(&first.data);
        let mut later = 0;
        let steps = others.iter().zip(1..).map(|(batch, at)| {
            let step = batch
                .data
                .base_timestamp
                .0
                .checked_sub(like.base_timestamp.0)?;
            let step = u16::try_from(step).ok()?;
            later += u32::from(step);
            like.set_later(&first.data, later);
            (batch.place() == alike_place(first, at) && like == *batch.data).then_some(step)
        });
        let steps = steps.collect::<Option<_>>()?;
        let first = first.clone();
        Some(Chunk::Alike { first, steps })
    }

    fn serialize_each<L: SerializeSeq>(&self, list: &mut L) -> Result<(), L::Error> {
        match self {
            Chunk::Each(batches) => batches.iter().try_for_each(|b| list.serialize_element(b)),
            Chunk::Alike { first, steps } => {
                list.serialize_element(first)?;
                let mut like = first.clone();
                let data = BatchData::clone(&first.data);
                like.data = Arc::new(data);
                let mut later = 0;
                for (step, at) in steps.iter().zip(1..) {
                    like.base_offset = alike_place(first, at).base;
                    let data = Arc::get_mut(&mut like.data).expect("nobody else has it");
                    later += u32::from(*step);
                    data.set_later(&first.data, later);
                    list.serialize_element(&like)?;
                }
                Ok(())
            }
        }
    }
}

/// Where a batch lies in a chunk of batches alike.
fn alike_place(first: &RecordBatch, at: usize) -> Place {
    let span = i64::from(first.data.last_offset_delta) + 1;
    let base = first.base_offset.plus(at as i64 * span);
    Place {
        base,
        end: base.plus(span),
        epoch: first.leader_epoch,
    }
}

impl BatchData {
    /// Of a batch of the metadata log no checksum covers the times.
    fn set_later(&mut self, than: &BatchData, millis: u32) {
        self.base_timestamp.0 = than.base_timestamp.0 + i64::from(millis);
        self.max_timestamp.0 = than.max_timestamp.0 + i64::from(millis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::records::MetadataRecord;
    use crate::ids::TopicId;
    use crate::time::Timestamp;

    fn batch(offset: i64, record: MetadataRecord, at: i64) -> RecordBatch {
        RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(3),
            data: Arc::new(BatchData::of_metadata(vec![record], Timestamp(at))),
        }
    }

    fn no_op(n: usize) -> RecordBatch {
        batch(n as i64, MetadataRecord::NoOp, 500 * n as i64)
    }

    /// So many NoOps, and what a plain list has.
    fn no_ops(n: usize) -> (Batches, Vec<RecordBatch>) {
        let plain: Vec<_> = (0..n).map(no_op).collect();
        (list(&plain), plain)
    }

    fn list(plain: &[RecordBatch]) -> Batches {
        let mut batches = Batches::default();
        plain.iter().for_each(|b| batches.push(b.clone()));
        batches
    }

    fn alike(batches: &Batches) -> usize {
        let is_alike = |c: &&Arc<Chunk>| matches!(***c, Chunk::Alike { .. });
        batches.chunks.iter().filter(is_alike).count()
    }

    #[test]
    fn what_is_read_is_what_was_pushed() {
        for n in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 7] {
            let (batches, plain) = no_ops(n);
            assert_eq!(alike(&batches), n.saturating_sub(1) / CHUNK);
            assert_eq!(batches.iter().collect::<Vec<_>>(), plain);
            assert_eq!(batches.len(), n);
            assert_eq!(batches.last(), plain.last());
            for at in [0, 1, n / 2, n] {
                assert_eq!(batches.get(at).as_ref(), plain.get(at));
                let place = plain.get(at).map(RecordBatch::place);
                assert_eq!(batches.place(at), place);
                let before = |end: Offset| end <= Offset(at as i64);
                assert_eq!(batches.partition_point(|p| before(p.end)), at.min(n));
            }
        }
    }

    #[test]
    fn a_chunk_in_which_one_batch_is_another_is_kept_whole() {
        let others = [
            batch(7, MetadataRecord::RemoveTopic { topic: TopicId(7) }, 3_500),
            batch(7, MetadataRecord::NoOp, -1),
            batch(7, MetadataRecord::NoOp, 73_000),
            RecordBatch {
                leader_epoch: LeaderEpoch(4),
                ..no_op(7)
            },
            RecordBatch {
                data: Arc::new(no_op(7).data.damaged(1)),
                ..no_op(7)
            },
        ];
        for other in others {
            let mut plain = no_ops(2 * CHUNK + 1).1;
            plain[7] = other;
            let batches = list(&plain);
            assert_eq!(alike(&batches), 1);
            assert_eq!(batches.iter().collect::<Vec<_>>(), plain);
        }
    }

    #[test]
    fn cut_anywhere_and_gone_on_with_it_is_the_same_list() {
        let (whole, plain) = no_ops(3 * CHUNK + 5);
        for cut in [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 3 * CHUNK] {
            let mut batches = whole.clone();
            batches.truncate(cut);
            assert_eq!(batches.last(), plain[..cut].last());
            plain[cut..].iter().for_each(|b| batches.push(b.clone()));
            assert_eq!(batches, whole);
        }
        assert_eq!(whole.iter().collect::<Vec<_>>(), plain);
    }
}
