//! A batch on its way from `send` to its callbacks: Kafka's ProducerBatch with its MemoryRecordsBuilder.
//!
//! It keeps: records are appended only before the batch is drained; once encoded, its bytes change only if it gets new
//! sequence numbers; it ends once, well or badly, and its callbacks run then, whatever the network says later.
//!
//! Left out: compression, splitting of batches that are too large (P-12), headers and timestamps of the application's own.

use super::SendId;
use crate::ids::{LeaderEpoch, RecordId};
use crate::log::batch::{BATCH_OVERHEAD, BatchData, PlainRecord, ProducerStamp};
use crate::time::{Duration, Time};
use serde::Serialize;
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
    /// How often it was put back into its queue.
    pub attempts: u32,
    /// It was handed to the network, which has not said what became of it.
    pub in_flight: bool,
    /// Its callbacks have run.
    pub done: bool,
    records: Arc<Vec<PlainRecord>>,
    sends: Arc<Vec<SendId>>,
    /// Encoded size, header included.
    size: u64,
    closed_for_appends: bool,
    encoded: Option<Arc<BatchData>>,
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

impl ProducerBatch {
    /// An empty batch. It takes records up to `memory` bytes, and the first one whatever its size.
    pub fn new(partition: TopicPartition, memory: u64, now: Time) -> ProducerBatch {
        ProducerBatch {
            partition,
            created: now,
            memory,
            attempts: 0,
            in_flight: false,
            done: false,
            records: Arc::default(),
            sends: Arc::default(),
            size: BATCH_OVERHEAD.into(),
            closed_for_appends: false,
            encoded: None,
            stamp: None,
            sequence_reset: false,
            waiting_since: now,
            last_append: now,
            backoff: Duration::ZERO,
            leader_epoch: None,
            attempts_when_leader_changed: 0,
        }
    }

    /// Appends a record if there is room; gives it back and takes no more if not.
    ///
    /// # Errors
    /// The record, if there is no room for it.
    pub fn append(
        &mut self,
        send: SendId,
        record: PlainRecord,
        now: Time,
    ) -> Result<(), PlainRecord> {
        let size = self.size_of(&record);
        let fits = self.records.is_empty() || self.size + size <= self.memory;
        if self.is_full() || !fits {
            self.closed_for_appends = true;
            return Err(record);
        }
        assert!(!self.in_flight, "a drained batch takes no records");
        Arc::make_mut(&mut self.records).push(record);
        Arc::make_mut(&mut self.sends).push(send);
        self.size += size;
        self.last_append = now;
        Ok(())
    }

    fn size_of(&self, record: &PlainRecord) -> u64 {
        let first = self.records.first();
        let base = first.map_or(record.timestamp, |r| r.timestamp);
        record_size(
            record,
            record.timestamp.0 - base.0,
            self.records.len() as i64,
        )
    }

    /// Whether no more records will come.
    pub fn is_full(&self) -> bool {
        self.closed_for_appends || (!self.records.is_empty() && self.memory <= self.size)
    }

    /// Encoded size in bytes, header included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many records.
    pub fn count(&self) -> i32 {
        i32::try_from(self.records.len()).expect("a batch is below 2 GiB")
    }

    /// The calls of `send` and the records, in order.
    pub fn sends(&self) -> impl Iterator<Item = (SendId, RecordId)> + use<> {
        let (sends, records) = (self.sends.clone(), self.records.clone());
        (0..sends.len()).map(move |i| (sends[i], records[i].id))
    }

    /// The application's names of the records.
    pub fn ids(&self) -> Box<[RecordId]> {
        self.records.iter().map(|r| r.id).collect()
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
        self.encoded = None;
        self.sequence_reset = true;
    }

    /// Whether it got new sequence numbers after it was last drained.
    pub fn sequence_has_been_reset(&self) -> bool {
        self.sequence_reset
    }

    /// It leaves its queue for the network: encoded, if its bytes do not stand yet.
    pub fn drain(&mut self) -> Arc<BatchData> {
        self.closed_for_appends = true;
        self.sequence_reset = false;
        self.in_flight = true;
        let encode = || Arc::new(BatchData::of_records(&self.records, self.stamp));
        let data = self.encoded.get_or_insert_with(encode);
        assert_eq!(
            u64::from(data.size),
            self.size,
            "the size was counted right"
        );
        data.clone()
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

/// Bytes of a record in a batch, the length before it included.
pub fn record_size(record: &PlainRecord, timestamp_delta: i64, offset_delta: i64) -> u64 {
    let attributes = 1;
    let deltas = varint_size(timestamp_delta) + varint_size(offset_delta);
    let body = attributes + deltas + content_size(record);
    varint_size(body as i64) + body
}

/// What a record alone in a batch takes at most, before its place in the batch is known (P-2, P-6).
pub fn size_upper_bound(record: &PlainRecord) -> u64 {
    /// Length, attributes and deltas at their longest: DefaultRecord.MAX_RECORD_OVERHEAD.
    const MAX_RECORD_OVERHEAD: u64 = 21;
    u64::from(BATCH_OVERHEAD) + MAX_RECORD_OVERHEAD + content_size(record)
}

fn content_size(record: &PlainRecord) -> u64 {
    let bytes = |b: Option<&bytes::Bytes>| match b {
        None => varint_size(-1),
        Some(b) => varint_size(b.len() as i64) + b.len() as u64,
    };
    let headers = record.headers.iter();
    let headers = headers.map(|(key, value)| bytes(Some(key)) + bytes(value.as_ref()));
    bytes(record.key.as_ref())
        + bytes(record.value.as_ref())
        + varint_size(record.headers.len() as i64)
        + headers.sum::<u64>()
}

/// Bytes of a zig-zag varint.
fn varint_size(value: i64) -> u64 {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    let bits = u64::from(u64::BITS - zigzag.leading_zeros());
    bits.div_ceil(7).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProducerEpoch, ProducerId};
    use crate::time::Timestamp;
    use bytes::Bytes;
    use proptest::prelude::*;

    const AT: TopicPartition = TopicPartition {
        topic: TopicIndex(0),
        partition: 0,
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
        let mut batch = ProducerBatch::new(AT, memory, at(0));
        for n in 0..records {
            let send = SendId(n.into());
            batch.append(send, record(n, 10), at(0)).expect("room");
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
        assert!(b.append(SendId(2), record(2, 10), at(0)).is_err());
        let mut tiny = ProducerBatch::new(AT, 1, at(0));
        assert!(tiny.append(SendId(0), record(0, 1000), at(0)).is_ok());
        assert!(tiny.is_full());
    }

    #[test]
    fn a_batch_that_had_no_room_once_takes_no_smaller_record_either() {
        let mut b = batch(100, 1);
        assert!(!b.is_full());
        assert!(b.append(SendId(1), record(1, 80), at(0)).is_err());
        assert!(b.append(SendId(2), record(2, 1), at(0)).is_err());
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

    proptest! {
        /// The size that decides about room is the size on the wire.
        #[test]
        fn sizes_are_counted_as_they_are_encoded(
            sizes in prop::collection::vec((0usize..300, prop::option::of(0usize..40), -9i64..9_000_000), 1..40),
        ) {
            let mut b = ProducerBatch::new(AT, u64::MAX, at(0));
            for (i, (value, key, later)) in sizes.iter().enumerate() {
                let mut r = record(i as u32, *value);
                r.timestamp = Timestamp(1_000 + later);
                r.key = key.map(|n| Bytes::from(vec![b'k'; n]));
                prop_assert!(size_upper_bound(&r) >= 61 + record_size(&r, *later, i as i64));
                b.append(SendId(i as u64), r, at(0)).expect("room");
            }
            let data = b.drain();
            prop_assert_eq!(u64::from(data.size), b.size());
        }
    }
}
