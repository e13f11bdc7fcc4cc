//! Transactions as one partition sees them: which are open, which are decided but not yet replicated, which were aborted.
//! They bound the last stable offset and tell read_committed readers what to leave out (L-18).
//!
//! Left out: the transaction index as a file per segment. It is folded from the log again when a log is loaded.

use crate::ids::{Offset, ProducerId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transaction of which nothing may be shown to a read_committed reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset once its marker was written.
    pub last_stable_offset: Offset,
}

/// The transactions of one partition.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Transactions {
    /// Open ones by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Decided ones by their first offset, with that of their marker, which lies at or above the high watermark. No
    /// snapshot tells of them: after a restart they count as replicated, as in Kafka.
    unreplicated: BTreeMap<Offset, Offset>,
    /// Aborted ones by their marker's offset.
    aborted: Arc<Vec<AbortedTransaction>>,
}

impl Transactions {
    /// A producer's first transactional batch.
    pub fn begin(&mut self, first: Offset, producer: ProducerId) {
        self.ongoing.insert(first, producer);
    }

    /// The marker of an open transaction.
    pub fn complete(&mut self, first: Offset, marker: Offset, commit: bool) {
        let producer = self
            .ongoing
            .remove(&first)
            .expect("a producer's open transaction is among the ongoing ones");
        if !commit {
            let next_open = self.ongoing.keys().next().copied();
            Arc::make_mut(&mut self.aborted).push(AbortedTransaction {
                producer,
                first_offset: first,
                last_offset: marker,
                last_stable_offset: next_open.unwrap_or(marker.plus(1)),
            });
        }
        self.unreplicated.insert(first, marker);
    }

    /// The earliest offset of an open or unreplicated transaction.
    pub fn first_unstable(&self) -> Option<Offset> {
        let open = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        open.into_iter().chain(unreplicated).min().copied()
    }

    /// Markers below this offset are on every replica that counts.
    pub fn replicated_up_to(&mut self, offset: Offset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= offset);
        }
    }

    /// Whether no decided transaction waits for replication.
    pub fn is_replicated(&self) -> bool {
        self.unreplicated.is_empty()
    }

    /// Those that reach into `[from, upto)`.
    pub fn aborted(&self, from: Offset, upto: Offset) -> Vec<AbortedTransaction> {
        let first = self.aborted.partition_point(|t| t.last_offset < from);
        let mut found = Vec::new();
        for transaction in &self.aborted[first..] {
            if transaction.first_offset < upto {
                found.push(*transaction);
            }
            // What is decided later began at or after this one's last stable offset.
            if transaction.last_stable_offset >= upto {
                break;
            }
        }
        found
    }

    /// The log ends at `leo` now: markers from there on are gone. What is open is told anew.
    pub fn restart(&mut self, leo: Offset) {
        self.ongoing.clear();
        self.unreplicated.clear();
        self.truncate_index(leo);
    }

    /// The index as a fold of the whole log has it.
    pub fn adopt_index(&mut self, folded: Transactions) {
        self.aborted = folded.aborted;
    }

    /// Markers from `offset` on are not in the index, or no longer.
    pub fn truncate_index(&mut self, offset: Offset) {
        let keep = self.aborted.partition_point(|t| t.last_offset < offset);
        if keep < self.aborted.len() {
            Arc::make_mut(&mut self.aborted).truncate(keep);
        }
    }
}
