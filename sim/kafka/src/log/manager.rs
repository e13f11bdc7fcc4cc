//! The log directory of one process (Kafka's LogManager): which files belong to which log, what the checkpoints and the
//! clean shutdown marker say (L-33, L-35), and the checkpoints to be written.
//!
//! Left out: several log directories and their failure (L-37).

use super::Log;
use super::config::LogConfig;
use super::recovery::{Checkpoints, LogFiles, SegmentFile};
use crate::disk::{DiskImage, FileId, FileImage, QuorumStateFile, SmallFile, Suffix, Write};
use crate::effect::{Effect, Effects};
use crate::ids::{BrokerEpoch, METADATA_PARTITION, Offset, TopicIdPartition};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// What a process finds on its disk at start.
#[derive(Clone, Debug, Default)]
pub struct LogDir {
    /// The last stop was clean, with this broker epoch (L-35).
    pub clean_shutdown: Option<Option<BrokerEpoch>>,
    /// A Raft replica's vote (K-1).
    pub quorum_state: Option<QuorumStateFile>,
    logs: BTreeMap<TopicIdPartition, LogFiles>,
    hws: BTreeMap<TopicIdPartition, Offset>,
    recovery_points: BTreeMap<TopicIdPartition, Offset>,
    log_starts: BTreeMap<TopicIdPartition, Offset>,
    renamed: BTreeMap<TopicIdPartition, Suffix>,
}

impl LogDir {
    /// Sorts what was found. The clean shutdown marker is deleted at once, so that a death while logs are loaded is none
    /// (KAFKA-10471).
    pub fn open(image: DiskImage, out: &mut Effects) -> LogDir {
        let mut dir = LogDir::default();
        for (file, image) in image {
            dir.sort(file, image);
        }
        if dir.clean_shutdown.is_some() {
            out.push(Effect::Write(FileId::CleanShutdown, Write::Delete));
        }
        dir
    }

    /// The partitions that have a log here, the metadata log and renamed directories left out.
    pub fn partitions(&self) -> Vec<TopicIdPartition> {
        let ids = self.logs.keys().copied();
        ids.filter(|id| *id != METADATA_PARTITION && !self.renamed.contains_key(id))
            .collect()
    }

    /// Directories that were to be deleted when the process ended.
    pub fn to_delete(&self) -> impl Iterator<Item = TopicIdPartition> + '_ {
        let renamed = self.renamed.iter();
        renamed
            .filter(|(_, suffix)| **suffix == Suffix::Delete)
            .map(|(id, _)| *id)
    }

    /// Loads a partition's log; an empty one if there is none.
    pub fn load(
        &mut self,
        id: TopicIdPartition,
        config: LogConfig,
        now: Timestamp,
        out: &mut Effects,
    ) -> Log {
        let offset = |of: &BTreeMap<_, Offset>| of.get(&id).copied().unwrap_or_default();
        let at = match id == METADATA_PARTITION {
            // The quorum's log is always recovered whole, and its high watermark is the quorum's to tell (K-4).
            true => Checkpoints::default(),
            false => Checkpoints {
                clean: self.clean_shutdown.is_some(),
                recovery_point: offset(&self.recovery_points),
                log_start: offset(&self.log_starts),
                hw: offset(&self.hws),
            },
        };
        match self.logs.remove(&id) {
            Some(files) => Log::load(id, files, at, config, now, out),
            None => Log::create(id, config, now, out),
        }
    }

    fn sort(&mut self, file: FileId, image: FileImage) {
        match (file, image) {
            (FileId::Segment(id, base), FileImage::Segment { batches, torn }) => {
                let segments = &mut self.logs.entry(id).or_default().segments;
                segments.insert(base, SegmentFile { batches, torn });
            }
            (FileId::LeaderEpochs(id), FileImage::Small(SmallFile::LeaderEpochs(epochs))) => {
                self.logs.entry(id).or_default().epochs = epochs;
            }
            (FileId::ProducerSnapshot(id, at), FileImage::Small(SmallFile::Producers(found))) => {
                let snapshots = &mut self.logs.entry(id).or_default().snapshots;
                snapshots.insert(at, found);
            }
            (FileId::Directory(id), FileImage::Small(SmallFile::Directory(suffix))) => {
                self.renamed.insert(id, suffix);
            }
            (FileId::HighWatermarks, FileImage::Small(SmallFile::Offsets(found))) => {
                self.hws = found;
            }
            (FileId::RecoveryPoints, FileImage::Small(SmallFile::Offsets(found))) => {
                self.recovery_points = found;
            }
            (FileId::LogStartOffsets, FileImage::Small(SmallFile::Offsets(found))) => {
                self.log_starts = found;
            }
            (FileId::QuorumState, FileImage::Small(SmallFile::Quorum(found))) => {
                self.quorum_state = Some(found);
            }
            (FileId::CleanShutdown, FileImage::Small(SmallFile::CleanShutdown(epoch))) => {
                self.clean_shutdown = Some(epoch);
            }
            (file, image) => panic!("{file:?} does not hold {image:?}"),
        }
    }
}

/// `replication-offset-checkpoint`: every 5 s, and at a clean stop (L-33).
pub fn checkpoint_hws<'a>(logs: impl Iterator<Item = &'a Log>) -> Effect {
    let hws = logs.map(|log| (log.id(), log.hw()));
    checkpoint(FileId::HighWatermarks, hws.collect())
}

/// `recovery-point-offset-checkpoint`: every 60 s, after a truncation, and at a clean stop (L-33).
pub fn checkpoint_recovery_points<'a>(logs: impl Iterator<Item = &'a Log>) -> Effect {
    let points = logs.map(|log| (log.id(), log.recovery_point()));
    checkpoint(FileId::RecoveryPoints, points.collect())
}

/// `log-start-offset-checkpoint`: every 60 s, and at a clean stop (§1.4). A log that starts with its first segment needs
/// no entry: the segment's name tells.
pub fn checkpoint_log_starts<'a>(logs: impl Iterator<Item = &'a Log>) -> Effect {
    let starts = logs
        .filter(|log| log.log_start() > log.segments().first_base())
        .map(|log| (log.id(), log.log_start()));
    checkpoint(FileId::LogStartOffsets, starts.collect())
}

/// The clean shutdown marker, last of all: every log is flushed and every checkpoint written (L-35).
///
/// # Panics
/// If a log is not flushed.
pub fn mark_clean_shutdown<'a>(
    logs: impl Iterator<Item = &'a Log>,
    epoch: Option<BrokerEpoch>,
) -> Effect {
    for log in logs {
        assert!(log.is_flushed(), "a clean stop waits for its syncs");
    }
    let marker = SmallFile::CleanShutdown(epoch);
    Effect::Write(FileId::CleanShutdown, Write::Replace(marker))
}

/// A partition's directory gets another name. What lies in it is no log any more.
pub fn rename(id: TopicIdPartition, suffix: Suffix) -> Effect {
    let name = SmallFile::Directory(suffix);
    Effect::Write(FileId::Directory(id), Write::Replace(name))
}

/// A partition's directory is deleted with all that lies in it.
pub fn delete(id: TopicIdPartition) -> Effect {
    Effect::Write(FileId::Directory(id), Write::Delete)
}

fn checkpoint(file: FileId, offsets: BTreeMap<TopicIdPartition, Offset>) -> Effect {
    Effect::Write(file, Write::Replace(SmallFile::Offsets(offsets)))
}

#[cfg(test)]
mod tests;
