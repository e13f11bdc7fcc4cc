//! What a partition remembers of one producer (Kafka's ProducerStateEntry), and the rules that go by it.

use crate::ids::{Offset, ProducerEpoch};
use crate::log::batch::{BatchData, Marker, NO_SEQUENCE, sequence_before};
use crate::protocol::ErrorCode;
use crate::time::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;

/// How many of a producer's batches are recognised when they come again (L-7).
pub const WINDOW: usize = 5;

/// Where one batch of a producer lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct BatchMetadata {
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// First and last offset lie that far apart.
    pub offset_delta: i32,
    /// Its latest timestamp.
    pub timestamp: Timestamp,
}

impl BatchMetadata {
    /// The sequence number of its first record.
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }

    /// The offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// What a partition remembers of one producer (L-7).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProducerEntry {
    /// Its epoch; `None` before its first batch.
    pub epoch: Option<ProducerEpoch>,
    /// The epoch of the coordinator that ended its last transaction here, else -1.
    pub coordinator_epoch: i32,
    /// When it last wrote, by its own stamps.
    pub last_timestamp: Timestamp,
    /// Where its open transaction begins in this partition.
    pub current_txn_first_offset: Option<Offset>,
    /// Its last batches of this epoch, the oldest first.
    pub batches: SmallVec<[BatchMetadata; WINDOW]>,
}

impl Default for ProducerEntry {
    fn default() -> ProducerEntry {
        ProducerEntry {
            epoch: None,
            coordinator_epoch: -1,
            last_timestamp: Timestamp(-1),
            current_txn_first_offset: None,
            batches: SmallVec::new(),
        }
    }
}

impl ProducerEntry {
    /// L-8: the same epoch and exactly the same range of sequence numbers as a cached batch.
    pub fn find_duplicate(&self, epoch: ProducerEpoch, data: &BatchData) -> Option<BatchMetadata> {
        if self.epoch != Some(epoch) {
            return None;
        }
        let first = data.producer.map_or(NO_SEQUENCE, |p| p.base_sequence);
        let last = data.last_sequence();
        let is_same = |b: &&BatchMetadata| b.last_sequence == last && b.first_sequence() == first;
        self.batches.iter().find(is_same).copied()
    }

    /// L-9: an older epoch is fenced.
    pub fn check_epoch(&self, epoch: ProducerEpoch) -> Result<(), ErrorCode> {
        match self.epoch {
            Some(known) if epoch < known => Err(ErrorCode::InvalidProducerEpoch),
            _ => Ok(()),
        }
    }

    /// L-10: a new epoch starts at 0, else one follows upon the other; whoever is not known may start anywhere.
    pub fn check_sequence(&self, epoch: ProducerEpoch, first: i32) -> Result<(), ErrorCode> {
        let in_order = match self.epoch {
            None => true,
            Some(known) if known != epoch => first == 0,
            Some(_) => follows(self.last_sequence(), first),
        };
        match in_order {
            true => Ok(()),
            false => Err(ErrorCode::OutOfOrderSequenceNumber),
        }
    }

    /// A marker's epochs. Before transactions version 2 it carries the epoch of the data that it ends, from then on a
    /// higher one; only a marker that ends nothing more, because it is written again, may repeat the epoch (KAFKA-19999).
    pub fn check_marker(&self, marker: &Marker, transaction_version: i16) -> Result<(), ErrorCode> {
        let raised = transaction_version >= 2 && self.current_txn_first_offset.is_some();
        let stale = match self.epoch {
            Some(known) if raised => marker.producer.epoch <= known,
            Some(known) => marker.producer.epoch < known,
            None => false,
        };
        if stale {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        match marker.coordinator_epoch < self.coordinator_epoch {
            true => Err(ErrorCode::TransactionCoordinatorFenced),
            false => Ok(()),
        }
    }

    /// L-14: idle for so long, with no transaction open.
    pub fn is_expired(&self, now: Timestamp, expiration_ms: i64) -> bool {
        self.current_txn_first_offset.is_none() && now.0 - self.last_timestamp.0 >= expiration_ms
    }

    /// The same with its last batch alone, as a snapshot keeps it (L-13).
    pub fn last_alone(&self) -> ProducerEntry {
        ProducerEntry {
            batches: self.batches.last().copied().into_iter().collect(),
            ..self.clone()
        }
    }

    /// Takes note of a batch.
    pub(super) fn add_batch(&mut self, epoch: ProducerEpoch, batch: BatchMetadata) {
        self.move_to_epoch(epoch);
        if self.batches.len() == WINDOW {
            self.batches.remove(0);
        }
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    /// Takes note of a marker; returns where the transaction began that it ended.
    pub(super) fn end_transaction(&mut self, marker: &Marker, at: Timestamp) -> Option<Offset> {
        self.move_to_epoch(marker.producer.epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = at;
        self.current_txn_first_offset.take()
    }

    /// Another epoch, even a lower one on a follower, makes the cached batches meaningless.
    fn move_to_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != Some(epoch) {
            self.batches.clear();
            self.epoch = Some(epoch);
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(NO_SEQUENCE, |b| b.last_sequence)
    }
}

/// After 2^31-1 comes 0.
fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}
