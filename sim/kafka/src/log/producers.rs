//! What a partition remembers of its idempotent and transactional producers (Kafka's ProducerStateManager; L-7 … L-14,
//! L-40). Guarantee: it equals the fold of the log (W12), except that a producer's window of cached batches may have
//! shrunk to the last one (L-13) and that idle producers are forgotten (L-14).
//!
//! [`Producers::check`] decides, with `&self`, whether a leader may append a batch; [`Producers::update`] takes note of a
//! batch in the log and never refuses: followers and recovery call it alone (L-12).
//!
//! Left out: the metrics on late transactions.

mod entry;
mod transactions;
mod verification;

pub use entry::{BatchMetadata, ProducerEntry};
pub use transactions::AbortedTransaction;
pub use verification::VerificationGuard;

use super::batch::{Marker, ProducerStamp, RecordBatch};
use crate::disk::{FileId, SmallFile, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, LogEvent};
use crate::ids::{Offset, ProducerEpoch, ProducerId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use transactions::Transactions;
use verification::Verifications;

/// A producer snapshot file: of each producer the last batch alone (L-13).
pub type ProducerSnapshot = BTreeMap<ProducerId, ProducerEntry>;

/// Who wants to append, and so what is checked (Kafka's AppendOrigin, with what each brings along).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A produce request: everything is checked.
    Client {
        /// What the transaction coordinator's word was asked for with, if it was (T-6).
        guard: Option<VerificationGuard>,
    },
    /// A group coordinator's offset commit: no sequence numbers (L-12).
    Coordinator {
        /// As for a client.
        guard: Option<VerificationGuard>,
    },
    /// A transaction marker.
    Marker {
        /// `transaction.version`: from 2 on the coordinator raises the epoch before it writes a marker (KIP-890).
        transaction_version: i16,
    },
    /// The leader of the metadata quorum: nothing is checked.
    RaftLeader,
}

impl Origin {
    /// A produce request without a transaction.
    pub const CLIENT: Origin = Origin::Client { guard: None };
}

/// What the producer state says of a batch that may be answered with success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// It is to be written.
    New,
    /// It is in the log already, here (L-8).
    Duplicate(BatchMetadata),
}

/// The producer state of one partition.
#[derive(Clone, Debug, Serialize)]
pub struct Producers {
    entries: Arc<BTreeMap<ProducerId, ProducerEntry>>,
    transactions: Transactions,
    verifications: Verifications,
    /// The snapshots on disk, by the offset up to which they hold.
    snapshots: BTreeMap<Offset, Arc<ProducerSnapshot>>,
    /// The log is taken into account up to here.
    map_end: Offset,
    /// The latest snapshot holds up to here.
    snapshot_end: Offset,
}

impl Producers {
    /// Nothing known before `start`.
    pub fn new(start: Offset) -> Producers {
        Producers::with_snapshots(BTreeMap::new(), start)
    }

    /// Nothing known yet, but these snapshots lie on disk.
    pub fn with_snapshots(
        snapshots: BTreeMap<Offset, Arc<ProducerSnapshot>>,
        start: Offset,
    ) -> Producers {
        Producers {
            entries: Arc::default(),
            transactions: Transactions::default(),
            verifications: Verifications::default(),
            snapshots,
            map_end: start,
            snapshot_end: start,
        }
    }

    /// What is known of each producer.
    pub fn entries(&self) -> &BTreeMap<ProducerId, ProducerEntry> {
        &self.entries
    }

    /// Whether a leader may append a batch: L-40's order.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE or TRANSACTION_COORDINATOR_FENCED.
    pub fn check(
        &self,
        batch: &RecordBatch,
        origin: Origin,
        verify_transactions: bool,
    ) -> Result<Checked, ErrorCode> {
        let Some(stamp) = batch.data.producer else {
            return Ok(Checked::New);
        };
        let entry = self.entries.get(&stamp.id);
        let guard = match origin {
            Origin::RaftLeader => return Ok(Checked::New),
            Origin::Marker {
                transaction_version,
            } => {
                let marker = batch.data.marker().expect("its origin says that it is one");
                entry.map_or(Ok(()), |e| e.check_marker(&marker, transaction_version))?;
                return Ok(Checked::New);
            }
            Origin::Client { guard } | Origin::Coordinator { guard } => guard,
        };
        let is_client = matches!(origin, Origin::Client { .. });
        if let Some(known) = entry.filter(|_| is_client) {
            if let Some(first) = known.find_duplicate(stamp.epoch, &batch.data) {
                return Ok(Checked::Duplicate(first));
            }
        }
        if batch.data.transactional && !self.has_ongoing(stamp.id, stamp.epoch) {
            entry.map_or(Ok(()), |e| e.check_epoch(stamp.epoch))?;
            if verify_transactions && !self.verifications.verify(stamp.id, guard) {
                return Err(ErrorCode::InvalidTxnState);
            }
        }
        entry.map_or(Ok(()), |e| e.check_epoch(stamp.epoch))?;
        if is_client {
            self.check_sequence(entry, stamp)?;
        }
        // L-11: within its transaction a producer writes nothing else here.
        match entry {
            Some(e) if e.current_txn_first_offset.is_some() && !batch.data.transactional => {
                Err(ErrorCode::InvalidTxnState)
            }
            _ => Ok(Checked::New),
        }
    }

    /// L-10.
    fn check_sequence(
        &self,
        entry: Option<&ProducerEntry>,
        stamp: ProducerStamp,
    ) -> Result<(), ErrorCode> {
        let has_batches = entry.is_some_and(|e| !e.batches.is_empty());
        self.verifications.check_sequence(stamp, has_batches)?;
        entry.map_or(Ok(()), |e| {
            e.check_sequence(stamp.epoch, stamp.base_sequence)
        })
    }

    /// Takes note of a batch that is in the log (L-7). The log's end moves with it, whoever wrote it.
    pub fn update(&mut self, batch: &RecordBatch) {
        if let Some(stamp) = batch.data.producer {
            match batch.data.marker() {
                Some(marker) => self.end_transaction(batch, &marker),
                None => self.add_batch(batch, stamp),
            }
            if batch.data.transactional {
                self.verifications
                    .clear_after(stamp, batch.data.is_control());
            }
        }
        self.map_end = batch.end_offset();
    }

    fn add_batch(&mut self, batch: &RecordBatch, stamp: ProducerStamp) {
        let entry = Arc::make_mut(&mut self.entries)
            .entry(stamp.id)
            .or_default();
        entry.add_batch(
            stamp.epoch,
            BatchMetadata {
                last_sequence: batch.data.last_sequence(),
                last_offset: batch.last_offset(),
                offset_delta: batch.data.last_offset_delta,
                timestamp: batch.data.max_timestamp,
            },
        );
        if batch.data.transactional && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(batch.base_offset);
            self.transactions.begin(batch.base_offset, stamp.id);
        }
    }

    fn end_transaction(&mut self, batch: &RecordBatch, marker: &Marker) {
        let entry = Arc::make_mut(&mut self.entries)
            .entry(marker.producer.id)
            .or_default();
        let first = entry.end_transaction(marker, batch.data.base_timestamp);
        // A marker without data before it neither held the LSO back nor has anything to hide.
        if let Some(first) = first {
            self.transactions
                .complete(first, batch.base_offset, marker.commit);
        }
    }

    /// Whether a batch is the last that a producer wrote (L-30): without it nothing in the log would tell how far it came.
    pub fn is_last(&self, batch: &RecordBatch) -> bool {
        let entry = batch.data.producer.and_then(|p| self.entries.get(&p.id));
        let last = entry.and_then(|e| e.batches.last());
        last.is_some_and(|l| l.last_offset == batch.last_offset())
    }

    /// Forgets producers that have been idle for `expiration_ms` (L-14), and verifications that led to nothing. Returns the
    /// producers.
    pub fn remove_expired(&mut self, now: Timestamp, expiration_ms: i64) -> Box<[ProducerId]> {
        let is_idle = |e: &ProducerEntry| e.is_expired(now, expiration_ms);
        let idle = self.entries.iter().filter(|(_, e)| is_idle(e));
        let idle: Box<[ProducerId]> = idle.map(|(id, _)| *id).collect();
        if !idle.is_empty() {
            Arc::make_mut(&mut self.entries).retain(|_, e| !is_idle(e));
        }
        self.verifications.remove_expired(now, expiration_ms);
        idle
    }

    /// Begins to verify a transaction's first batch here (T-6). `None`: the transaction is known already.
    ///
    /// # Errors
    /// INVALID_PRODUCER_EPOCH for an epoch that is gone by.
    pub fn start_verification(
        &mut self,
        stamp: ProducerStamp,
        supports_epoch_bump: bool,
        now: Timestamp,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        let entry = self.entries.get(&stamp.id);
        entry.map_or(Ok(()), |e| e.check_epoch(stamp.epoch))?;
        if self.has_ongoing(stamp.id, stamp.epoch) {
            return Ok(None);
        }
        let guard = self.verifications.start(stamp, supports_epoch_bump, now);
        Ok(Some(guard))
    }

    /// Whether this producer has a transaction open here in this epoch.
    pub fn has_ongoing(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|e| e.current_txn_first_offset.is_some() && e.epoch == Some(epoch))
    }

    /// The first offset whose transaction is open, or decided but with its marker above the high watermark.
    pub fn first_unstable(&self) -> Option<Offset> {
        self.transactions.first_unstable()
    }

    /// The aborted transactions that a reader of `[from, upto)` must leave out, by first offset.
    pub fn aborted(&self, from: Offset, upto: Offset) -> Vec<AbortedTransaction> {
        self.transactions.aborted(from, upto)
    }

    /// Markers below the high watermark are decided for good.
    pub fn on_hw_updated(&mut self, hw: Offset) {
        self.transactions.replicated_up_to(hw);
    }

    /// The log begins later now.
    pub fn on_log_start_incremented(&mut self, log_start: Offset) {
        self.transactions.replicated_up_to(log_start);
        self.map_end = self.map_end.max(log_start);
        self.snapshot_end = self.latest_snapshot().unwrap_or(log_start);
    }
}

/// Snapshots (L-13) and starting again from them.
impl Producers {
    /// The log is taken into account up to here.
    pub fn map_end(&self) -> Offset {
        self.map_end
    }

    /// The log has nothing more up to here.
    pub fn set_map_end(&mut self, end: Offset) {
        self.map_end = end;
    }

    /// The offset of the latest snapshot on disk.
    pub fn latest_snapshot(&self) -> Option<Offset> {
        self.snapshots.last_key_value().map(|(offset, _)| *offset)
    }

    /// Whether nothing would be lost by forgetting everything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.transactions.is_replicated()
    }

    /// Writes a snapshot, unless the latest holds as much.
    pub fn take_snapshot(&mut self, id: TopicIdPartition, out: &mut Effects) {
        if self.map_end <= self.snapshot_end {
            return;
        }
        let last_alone = |(id, entry): (&ProducerId, &ProducerEntry)| (*id, entry.last_alone());
        let snapshot: Arc<ProducerSnapshot> =
            Arc::new(self.entries.iter().map(last_alone).collect());
        out.push(Effect::Write(
            FileId::ProducerSnapshot(id, self.map_end),
            Write::Replace(SmallFile::Producers(snapshot.clone())),
        ));
        self.snapshots.insert(self.map_end, snapshot);
        self.snapshot_end = self.map_end;
    }

    /// Deletes the snapshot that holds up to `offset`, if there is one.
    pub fn delete_snapshot(&mut self, id: TopicIdPartition, offset: Offset, out: &mut Effects) {
        if self.snapshots.remove(&offset).is_some() {
            let file = FileId::ProducerSnapshot(id, offset);
            out.push(Effect::Write(file, Write::Delete));
        }
    }

    /// Deletes snapshots that belong to no segment, except one beyond the last: a clean stop wrote it.
    pub fn delete_stray_snapshots(
        &mut self,
        id: TopicIdPartition,
        segments: &[Offset],
        out: &mut Effects,
    ) {
        let is_stray = |offset: &Offset| !segments.contains(offset);
        let mut stray: Vec<Offset> = self.snapshots.keys().copied().filter(is_stray).collect();
        if stray.last() > segments.last() {
            stray.pop();
        }
        for offset in stray {
            self.delete_snapshot(id, offset, out);
        }
    }

    /// Forgets what lies outside `[log_start, leo]` and, unless that changes nothing, starts again from the latest
    /// snapshot in between. The log must then be read from [`Producers::map_end`] on.
    pub fn truncate_and_reload(
        &mut self,
        id: TopicIdPartition,
        log_start: Offset,
        leo: Offset,
        retain: impl Fn(&ProducerEntry) -> bool,
        out: &mut Effects,
    ) {
        let is_outside = |at: &Offset| *at > leo || *at <= log_start;
        let outside: Vec<Offset> = self.snapshots.keys().copied().filter(is_outside).collect();
        for offset in outside {
            self.delete_snapshot(id, offset, out);
        }
        if leo == self.map_end {
            self.on_log_start_incremented(log_start);
            return;
        }
        self.entries = Arc::default();
        self.transactions.restart(leo);
        let (end, snapshot) = match self.snapshots.last_key_value() {
            Some((offset, snapshot)) => (*offset, snapshot.clone()),
            None => (log_start, Arc::default()),
        };
        let mut forgotten = Vec::new();
        for (producer, entry) in snapshot.iter() {
            if !retain(entry) {
                forgotten.push(*producer);
                continue;
            }
            if let Some(first) = entry.current_txn_first_offset {
                self.transactions.begin(first, *producer);
            }
            Arc::make_mut(&mut self.entries).insert(*producer, entry.clone());
        }
        if !forgotten.is_empty() {
            let producers = forgotten.into();
            let event = LogEvent::ProducersForgotten { producers };
            out.push(Effect::Tell(Event::Log(id, event)));
        }
        self.map_end = end;
        self.snapshot_end = end;
    }

    /// The log is about to be read again from [`Producers::map_end`] on.
    pub fn begin_replay(&mut self) {
        self.transactions.truncate_index(self.map_end);
    }

    /// Takes over what a fold of the whole log found aborted: no snapshot tells that.
    pub fn adopt_aborted(&mut self, folded: Producers) {
        self.transactions.adopt_index(folded.transactions);
    }

    /// Forgets everything: the log starts anew at `offset`.
    pub fn truncate_fully(&mut self, id: TopicIdPartition, offset: Offset, out: &mut Effects) {
        let all: Vec<Offset> = self.snapshots.keys().copied().collect();
        for snapshot in all {
            self.delete_snapshot(id, snapshot, out);
        }
        let verifications = std::mem::take(&mut self.verifications);
        *self = Producers {
            verifications,
            ..Producers::new(offset)
        };
    }

    /// The snapshots on disk, taken out: recovery rebuilds one segment with one state and the next with another.
    pub fn into_snapshots(self) -> BTreeMap<Offset, Arc<ProducerSnapshot>> {
        self.snapshots
    }
}

#[cfg(test)]
mod tests;
