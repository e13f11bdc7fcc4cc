//! Where each leader's epoch starts in this log (Kafka's LeaderEpochFileCache): what truncation goes by (L-38, L-39).
//!
//! Guarantee: epochs and start offsets both ascend strictly. Entries are kept in `leader-epoch-checkpoint`, which is
//! rewritten whole with every change (Kafka rewrites it in the background when entries are only removed).

use crate::disk::{FileId, SmallFile, Write};
use crate::effect::{Effect, Effects};
use crate::ids::{LeaderEpoch, Offset, TopicIdPartition};
use crate::protocol::fetch::EpochEndOffset;
use serde::Serialize;

/// An epoch and its first offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of the first record it could have written.
    pub start_offset: Offset,
}

/// The leader epoch cache of one log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// The cache as a file tells it.
    pub fn of(entries: &[EpochEntry]) -> EpochCache {
        let mut cache = EpochCache::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start_offset);
        }
        cache
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The latest epoch with an entry.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Begins an epoch (L-38): entries at its end that it contradicts, with its epoch or a later one or with its start or
    /// a later one, go. Returns whether anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        let is_known = |e: EpochEntry| e.epoch == epoch && e.start_offset <= start_offset;
        if self.latest().is_some_and(is_known) {
            return false;
        }
        while let Some(last) = self.latest() {
            if last.epoch < epoch && last.start_offset < start_offset {
                break;
            }
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// Where an epoch ends (L-39): the largest known epoch not above the asked one, and the offset at which the next one
    /// starts. The current epoch ends at the log's end. `None` for an epoch above all known ones (undefined, -1 and -1).
    /// An epoch below all known ones ends, under its own name, where the first known one starts: what it wrote is gone.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, leo: Offset) -> Option<EpochEndOffset> {
        let at_or_below = self.entries.partition_point(|e| e.epoch <= epoch);
        let floor = at_or_below.checked_sub(1).map(|i| self.entries[i].epoch);
        let end = |epoch, end_offset| Some(EpochEndOffset { epoch, end_offset });
        match (floor, self.entries.get(at_or_below)) {
            (Some(floor), None) if floor == epoch => end(epoch, leo),
            (_, None) => None,
            (floor, Some(next)) => end(floor.unwrap_or(epoch), next.start_offset),
        }
    }

    /// The epoch that wrote at an offset.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let n = self.entries.partition_point(|e| e.start_offset <= offset);
        n.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// Removes the epochs that start at `leo` or after: nothing is left of them. Called even when no batch is cut: a
    /// broker may have begun an epoch, written nothing and lost its leadership (KAFKA-10706). Returns whether any went.
    pub fn truncate_from_end(&mut self, leo: Offset) -> bool {
        let keep = self.entries.partition_point(|e| e.start_offset < leo);
        let cut = keep < self.entries.len();
        self.entries.truncate(keep);
        cut
    }

    /// Removes what lies before `log_start`: the epoch in force there starts there now. Returns whether anything changed.
    pub fn truncate_from_start(&mut self, log_start: Offset) -> bool {
        let begun = self
            .entries
            .partition_point(|e| e.start_offset <= log_start);
        let Some(in_force) = begun.checked_sub(1) else {
            return false;
        };
        let changed = in_force > 0 || self.entries[0].start_offset != log_start;
        self.entries.drain(..in_force);
        self.entries[0].start_offset = log_start;
        changed
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Writes `leader-epoch-checkpoint`.
    pub fn write(&self, id: TopicIdPartition, out: &mut Effects) {
        let file = SmallFile::LeaderEpochs(self.entries.clone());
        out.push(Effect::Write(
            FileId::LeaderEpochs(id),
            Write::Replace(file),
        ));
    }
}

#[cfg(test)]
mod tests;
