//! A batch on its way from `send` to its callbacks: Kafka's ProducerBatch with its MemoryRecordsBuilder.
//!
//! It keeps: records are appended only before the batch is drained; once encoded, its bytes change only if it gets new
//! sequence numbers; it ends once, well or badly, and its callbacks run then, whatever the network says later.
//!
//! A batch to be compressed is filled by a guess at its size; one that turns out too large for the broker is split (P-12).

use super::SendId;
use super::ratio::Ratio;
use crate::ids::{LeaderEpoch, Offset, RecordId};
use crate::log::batch::{BATCH_OVERHEAD, BatchData, PlainRecord, ProducerStamp, sequence_after};
use crate::log::builder::BatchBuilder;
use crate::log::codec::{Codec, Compression};
use crate::log::record;
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// Names one batch of a producer; later batches have larger numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct BatchId(pub u64);

/// A topic's place in the producer's list of topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct TopicIndex(pub u32);

/// A partition by the topic's name, as clients know it: the topic may be created anew with another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicIndex,
    /// The partition.
    pub partition: i32,
}

/// Records for one partition that are sent together.
#[derive(Clone, Debug, Serialize)]
pub struct ProducerBatch {
    /// Where they go.
    pub partition: TopicPartition,
    /// When the first record was appended: the delivery timeout counts from here (P-10).
    pub created: Time,
    /// Bytes of `buffer.memory` that it holds.
    pub memory: u64,
    /// It is a part of this batch, which was too large (P-12).
    pub split_from: Option<BatchId>,
    /// How large it may grow.
    limit: u64,
    compression: Compression,
    /// How large it is guessed to be, once compressed.
    ratio: Ratio,
    /// How often it was put back into its queue.
    pub attempts: u32,
    /// It was handed to the network, which has not said what became of it.
    pub in_flight: bool,
    /// Its callbacks have run.
    pub done: bool,
    contents: Contents,
    sends: SmallVec<[SendId; 4]>,
    closed_for_appends: bool,
    stamp: Option<ProducerStamp>,
    /// It got new sequence numbers after it was last drained.
    sequence_reset: bool,
    /// When it was created or put back.
    waiting_since: Time,
    last_append: Time,
    /// How long it waits before the next attempt.
    backoff: Duration,
    leader_epoch: Option<LeaderEpoch>,
    attempts_when_leader_changed: u32,
}

/// Open -> Encoded (drained for the first time).
#[derive(Clone, Debug, Serialize)]
enum Contents {
    Open(BatchBuilder),
    Encoded(Arc<BatchData>),
}

impl ProducerBatch {
    /// An empty batch. It takes records up to `memory` bytes, and the first one whatever its size.
    pub fn new(
        partition: TopicPartition,
        memory: u64,
        compression: Compression,
        ratio: Ratio,
        now: Time,
    ) -> ProducerBatch {
        ProducerBatch {
            partition,
            created: now,
            memory,
            split_from: None,
            limit: memory,
            compression,
            ratio,
            attempts: 0,
            in_flight: false,
            done: false,
            contents: Contents::Open(BatchBuilder::default()),
            sends: SmallVec::new(),
            closed_for_appends: false,
            stamp: None,
            sequence_reset: false,
            waiting_since: now,
            last_append: now,
            backoff: Duration::ZERO,
            leader_epoch: None,
            attempts_when_leader_changed: 0,
        }
    }

    /// Appends a record if there is room; takes no more from then on if not.
    pub fn append(&mut self, send: SendId, record: &PlainRecord, now: Time) -> bool {
        if self.is_full() || self.closes_for(record) {
            return false;
        }
        let Contents::Open(builder) = &mut self.contents else {
            unreachable!("because a drained batch is full");
        };
        builder.append(record);
        self.sends.push(send);
        self.last_append = now;
        true
    }

    /// Takes no more records if it has no room for this one; whether that is so.
    pub fn closes_for(&mut self, record: &PlainRecord) -> bool {
        let Contents::Open(builder) = &self.contents else {
            return true;
        };
        let guessed = guess(self.compression, self.ratio, builder.size());
        let more = builder.size_with(record) - builder.size();
        self.closed_for_appends |= !self.sends.is_empty() && guessed + more > self.limit;
        self.closed_for_appends
    }

    /// Takes no more records.
    pub fn close_for_appends(&mut self) {
        self.closed_for_appends = true;
    }

    /// Whether no more records will come.
    pub fn is_full(&self) -> bool {
        self.closed_for_appends || (!self.sends.is_empty() && self.limit <= self.size())
    }

    /// Encoded size in bytes, header included; a guess while records are still to be compressed.
    pub fn size(&self) -> u64 {
        match &self.contents {
            Contents::Open(builder) => guess(self.compression, self.ratio, builder.size()),
            Contents::Encoded(data) => data.size.into(),
        }
    }

    /// Whether its bytes stand.
    pub fn is_encoded(&self) -> bool {
        matches!(self.contents, Contents::Encoded(_))
    }

    /// How many records.
    pub fn count(&self) -> i32 {
        i32::try_from(self.sends.len()).expect("a batch holds fewer than 2^31 records")
    }

    /// The calls of `send` and the application's names of the records, in order.
    pub fn sends(&self) -> impl Iterator<Item = (SendId, RecordId)> {
        self.sends.iter().copied().zip(self.ids().iter().copied())
    }

    /// The application's names of the records.
    pub fn ids(&self) -> &[RecordId] {
        match &self.contents {
            Contents::Open(builder) => builder.ids(),
            Contents::Encoded(data) => data.ids(),
        }
    }

    /// Its producer id, epoch and first sequence number, if it has them.
    pub fn stamp(&self) -> Option<ProducerStamp> {
        self.stamp
    }

    /// Gives it a producer id, epoch and first sequence number, when it is drained for the first time (P-13).
    pub fn set_stamp(&mut self, stamp: ProducerStamp) {
        assert!(self.stamp.is_none(), "sequence numbers are given once");
        self.stamp = Some(stamp);
    }

    /// Gives it another one after an epoch bump. What is on the wire keeps the old one.
    pub fn reset_stamp(&mut self, stamp: ProducerStamp) {
        assert!(self.stamp.is_some(), "there were sequence numbers before");
        self.stamp = Some(stamp);
        self.sequence_reset = true;
    }

    /// Whether it got new sequence numbers after it was last drained.
    pub fn sequence_has_been_reset(&self) -> bool {
        self.sequence_reset
    }

    /// It leaves its queue for the network: encoded, if its bytes do not stand yet.
    pub fn drain(&mut self) -> Arc<BatchData> {
        self.closed_for_appends = true;
        self.in_flight = true;
        let reset = std::mem::replace(&mut self.sequence_reset, false);
        let data = match (&mut self.contents, self.stamp) {
            (Contents::Encoded(data), Some(stamp)) if reset => Arc::new(data.renumbered(stamp)),
            (Contents::Encoded(data), _) => data.clone(),
            (Contents::Open(builder), stamp) => {
                let plain = builder.size() - u64::from(BATCH_OVERHEAD);
                let data = std::mem::take(builder).build(stamp, self.compression);
                self.ratio = Ratio::of(u64::from(data.size - BATCH_OVERHEAD), plain);
                Arc::new(data)
            }
        };
        self.contents = Contents::Encoded(data.clone());
        data
    }

    /// What compression has made of it, once it is encoded; before, what is guessed.
    pub fn ratio(&self) -> Ratio {
        self.ratio
    }

    /// The same records in smaller batches, each of `target` bytes, with the sequence numbers that they have (P-12). They
    /// are as old as the whole, and as if they had never been tried. Their bytes are not the pool's.
    pub fn split(&self, id: BatchId, target: u64, ratio: Ratio) -> Vec<ProducerBatch> {
        let Contents::Encoded(data) = &self.contents else {
            unreachable!("because only what was sent was too large");
        };
        let mut parts: Vec<ProducerBatch> = Vec::new();
        for (record, send) in data.records_from(Offset(0)).zip(&self.sends) {
            let record = record.expect("a producer reads what it wrote").into_plain();
            let last = parts.last_mut();
            if last.is_some_and(|last| last.append(*send, &record, self.created)) {
                continue;
            }
            let limit = target.max(size_upper_bound(&record));
            let mut part =
                ProducerBatch::new(self.partition, limit, self.compression, ratio, self.created);
            part.memory = 0;
            part.split_from = Some(self.split_from.unwrap_or(id));
            let taken = part.append(*send, &record, self.created);
            assert!(taken, "the first record is always taken");
            parts.push(part);
        }
        let mut stamp = self.stamp;
        for part in &mut parts {
            part.closed_for_appends = true;
            part.stamp = stamp;
            stamp = stamp.map(|s| ProducerStamp {
                base_sequence: sequence_after(s.base_sequence, part.count()),
                ..s
            });
        }
        parts
    }

    /// The most that one of its records takes alone.
    pub fn largest_record(&self) -> u64 {
        let Contents::Encoded(data) = &self.contents else {
            unreachable!("because only what was sent was too large");
        };
        let sizes = data.records_from(Offset(0)).flatten();
        let sizes = sizes.map(|record| size_upper_bound(&record.into_plain()));
        sizes.max().unwrap_or_default()
    }

    /// Puts it back for another attempt, after a back-off.
    pub fn reenqueued(&mut self, now: Time, backoff: Duration) {
        self.attempts += 1;
        self.waiting_since = self.last_append.max(now);
        self.last_append = self.waiting_since;
        self.backoff = backoff;
    }

    /// Since when it has been waiting for what comes next.
    pub fn waiting_since(&self) -> Time {
        self.waiting_since
    }

    /// When its back-off ends, if it is backing off: it is a retry, and its leader has not changed since the last try.
    pub fn backing_off_until(&self, now: Time) -> Option<Time> {
        let until = self.waiting_since + self.backoff;
        let retry = self.attempts > 0 && !self.leader_changed();
        (retry && now < until).then_some(until)
    }

    /// Takes note of the partition's leader epoch: a new one means that trying again makes sense at once (P-7).
    pub fn note_leader_epoch(&mut self, epoch: LeaderEpoch) {
        if self.leader_epoch.is_none_or(|known| known < epoch) {
            self.leader_epoch = Some(epoch);
            self.attempts_when_leader_changed = self.attempts;
        }
    }

    fn leader_changed(&self) -> bool {
        self.attempts > 0 && self.attempts == self.attempts_when_leader_changed
    }

    /// Whether `delivery.timeout.ms` has passed (P-10).
    pub fn has_expired(&self, delivery_timeout: Duration, now: Time) -> bool {
        self.created + delivery_timeout <= now
    }
}

/// Kafka's estimatedBytesWritten: 5 % are added to what is expected.
fn guess(compression: Compression, ratio: Ratio, plain: u64) -> u64 {
    match compression.codec {
        Codec::None => plain,
        _ => u64::from(BATCH_OVERHEAD) + ratio.guess(plain - u64::from(BATCH_OVERHEAD)),
    }
}

/// What a record alone in a batch takes at most, before its place in the batch is known (P-2, P-6).
pub fn size_upper_bound(record: &PlainRecord) -> u64 {
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let alone = record::size_upper_bound(key, value, &record.headers);
    u64::from(BATCH_OVERHEAD) + u64::from(alone)
}

/// All batches that wait and all that the network has not given back, by id: the oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Batches {
    /// The id of the first slot.
    first: u64,
    /// Emptied slots stay until they come to the front.
    slots: VecDeque<Option<Box<ProducerBatch>>>,
}

impl Batches {
    /// The id of the batch that comes next.
    pub fn next_id(&self) -> BatchId {
        BatchId(self.first + self.slots.len() as u64)
    }

    /// Takes a batch in, under the next id.
    pub fn push(&mut self, batch: ProducerBatch) -> BatchId {
        let id = self.next_id();
        self.slots.push_back(Some(Box::new(batch)));
        id
    }

    /// A batch that is here.
    ///
    /// # Panics
    /// If it is not.
    pub fn get(&self, id: BatchId) -> &ProducerBatch {
        let slot = self.slots.get(self.slot(id)).and_then(Option::as_deref);
        slot.expect("a batch is kept until the network has given it back")
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// If it is not here.
    pub fn get_mut(&mut self, id: BatchId) -> &mut ProducerBatch {
        let slot = self.slot(id);
        let slot = self.slots.get_mut(slot).and_then(Option::as_deref_mut);
        slot.expect("a batch is kept until the network has given it back")
    }

    /// Gives a batch away.
    ///
    /// # Panics
    /// If it is not here.
    pub fn remove(&mut self, id: BatchId) -> Box<ProducerBatch> {
        let slot = self.slot(id);
        let batch = self.slots.get_mut(slot).and_then(Option::take);
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
        batch.expect("a batch is given away once")
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (BatchId, &ProducerBatch)> {
        let numbered = (self.first..).map(BatchId).zip(&self.slots);
        numbered.filter_map(|(id, slot)| Some((id, slot.as_deref()?)))
    }

    fn slot(&self, id: BatchId) -> usize {
        let slot = id.0.checked_sub(self.first);
        slot.and_then(|s| usize::try_from(s).ok())
            .unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProducerEpoch, ProducerId};
    use crate::time::Timestamp;
    use bytes::Bytes;

    const AT: TopicPartition = TopicPartition {
        topic: TopicIndex(0),
        partition: 0,
    };

    const NONE: Compression = Compression {
        codec: Codec::None,
        gzip_level: crate::log::codec::GzipLevel(-1),
    };

    fn record(number: u32, value: usize) -> PlainRecord {
        PlainRecord {
            id: RecordId { source: 0, number },
            timestamp: Timestamp(1_000),
            key: None,
            value: Some(Bytes::from(vec![b'x'; value])),
            headers: Vec::new(),
        }
    }

    fn at(ms: u64) -> Time {
        Time(0) + Duration::millis(ms)
    }

    fn batch(memory: u64, records: u32) -> ProducerBatch {
        let mut batch = ProducerBatch::new(AT, memory, NONE, Ratio::ONE, at(0));
        for n in 0..records {
            let send = SendId(n.into());
            assert!(batch.append(send, &record(n, 10), at(0)));
        }
        batch
    }

    fn stamp(sequence: i32) -> ProducerStamp {
        ProducerStamp {
            id: ProducerId(5),
            epoch: ProducerEpoch(0),
            base_sequence: sequence,
        }
    }

    #[test]
    fn records_are_taken_up_to_the_limit_and_the_first_whatever_its_size() {
        let mut b = batch(61 + 2 * 17, 2);
        assert!(b.is_full());
        assert!(!b.append(SendId(2), &record(2, 10), at(0)));
        let mut tiny = ProducerBatch::new(AT, 1, NONE, Ratio::ONE, at(0));
        assert!(tiny.append(SendId(0), &record(0, 1000), at(0)));
        assert!(tiny.is_full());
    }

    #[test]
    fn a_batch_that_had_no_room_once_takes_no_smaller_record_either() {
        let mut b = batch(100, 1);
        assert!(!b.is_full());
        assert!(!b.append(SendId(1), &record(1, 80), at(0)));
        assert!(!b.append(SendId(2), &record(2, 1), at(0)));
    }

    #[test]
    fn sequence_numbers_stay_over_retries_and_change_only_with_a_reset() {
        let mut b = batch(1000, 3);
        b.set_stamp(stamp(7));
        let first = b.drain();
        b.reenqueued(at(1), Duration::millis(100));
        assert!(Arc::ptr_eq(&first, &b.drain()));
        b.reset_stamp(stamp(0));
        assert!(b.sequence_has_been_reset());
        assert_eq!(b.drain().producer, Some(stamp(0)));
        assert_eq!(first.producer, Some(stamp(7)));
        assert!(!b.sequence_has_been_reset());
    }

    #[test]
    fn a_retry_backs_off_unless_its_leader_has_changed() {
        let mut b = batch(1000, 1);
        b.note_leader_epoch(LeaderEpoch(3));
        assert_eq!(b.backing_off_until(at(0)), None);
        b.reenqueued(at(10), Duration::millis(100));
        assert_eq!(b.backing_off_until(at(11)), Some(at(110)));
        assert_eq!(b.backing_off_until(at(110)), None);
        b.note_leader_epoch(LeaderEpoch(4));
        assert_eq!(b.backing_off_until(at(11)), None);
        b.reenqueued(at(20), Duration::millis(200));
        assert_eq!(b.backing_off_until(at(21)), Some(at(220)));
    }

    #[test]
    fn the_delivery_timeout_counts_from_the_first_record() {
        let mut b = batch(1000, 1);
        b.reenqueued(at(50), Duration::ZERO);
        assert!(!b.has_expired(Duration::millis(100), at(99)));
        assert!(b.has_expired(Duration::millis(100), at(100)));
    }

    #[test]
    fn a_split_batch_keeps_order_age_and_sequence_numbers() {
        let mut whole = ProducerBatch::new(AT, 1000, NONE, Ratio::ONE, at(3));
        for n in 0..5 {
            assert!(whole.append(SendId(n.into()), &record(n, 10), at(9)));
        }
        whole.set_stamp(stamp(7));
        whole.drain();
        // 61 bytes of header, 17 of each record.
        let parts = whole.split(BatchId(4), 100, Ratio::ONE);
        let told: Vec<_> = parts
            .iter()
            .map(|p| (p.count(), p.stamp(), p.created, p.memory, p.split_from))
            .collect();
        let part = |count, sequence| (count, Some(stamp(sequence)), at(3), 0, Some(BatchId(4)));
        assert_eq!(told, [part(2, 7), part(2, 9), part(1, 11)]);
        let sends: Vec<u64> = parts
            .iter()
            .flat_map(ProducerBatch::sends)
            .map(|(s, _)| s.0)
            .collect();
        assert_eq!(sends, [0, 1, 2, 3, 4]);
        assert!(parts.iter().all(ProducerBatch::is_full));
    }

    #[test]
    fn a_batch_to_be_compressed_is_filled_by_a_guess() {
        let gzip = Compression {
            codec: Codec::Gzip,
            ..Compression::default()
        };
        // 1,000 records' bytes are guessed to become a tenth, and 5 % more.
        let mut b = ProducerBatch::new(AT, 1000, gzip, Ratio::parts_per_million(100_000), at(0));
        let mut taken = 0;
        while b.append(SendId(taken), &record(0, 100), at(0)) {
            taken += 1;
        }
        // 64 records of 109 bytes, the rest of 110: 72 of them are guessed at 61 + 824 bytes, and 110 more fit; 73 at
        // 61 + 836, and 110 more do not.
        assert_eq!(taken, 73);
        assert!(b.drain().size < 1000, "these compress still better");
        assert!(b.ratio() < Ratio::parts_per_million(100_000));
    }

    #[test]
    fn batches_are_found_by_id_whichever_of_them_have_left() {
        let mut all = Batches::default();
        let ids: Vec<BatchId> = (0..4).map(|n| all.push(batch(100 + n, 1))).collect();
        all.remove(ids[1]);
        all.remove(ids[0]);
        assert_eq!(all.get(ids[2]).memory, 102);
        let here: Vec<BatchId> = all.iter().map(|(id, _)| id).collect();
        assert_eq!(here, ids[2..]);
        assert_eq!(all.next_id(), BatchId(4));
    }
}
