//! Disks: files with what is synced and what is only in the page cache.
//!
//! A kill loses nothing written. A loss of power keeps, of each file, what was synced and a drawn part of the rest, with
//! perhaps a torn batch behind it (L-34). Small files are replaced whole and synced at once. Cutting a file shorter and
//! deleting one last at once too: Kafka's own truncation may come undone, ours does not.

#[cfg(test)]
mod perturbed;

use klab_kafka::disk::{DiskError, DiskImage, FileId, FileImage, SmallFile, Write};
use klab_kafka::ids::{Offset, TopicIdPartition};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Disk {
    files: BTreeMap<FileId, File>,
    /// Syncs under way: when done, which file, how many of its batches.
    syncing: VecDeque<(Time, FileId, u64)>,
}

#[derive(Clone, Debug, Serialize)]
enum File {
    Segment {
        batches: Vec<RecordBatch>,
        synced: u64,
        torn: bool,
    },
    Small(SmallFile),
}

/// How much of what was not synced survives a loss of power.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Keep {
    /// A drawn part.
    Drawn,
    /// Only what was synced.
    Synced,
    /// What was synced and so many batches more of each file.
    More(u32),
}

impl Disk {
    /// Whether a write would be taken. Full and dead disks come with their faults.
    pub fn accept(&self, _file: FileId, _write: &Write) -> Result<(), DiskError> {
        Ok(())
    }

    /// Carries out an accepted write.
    pub fn write(&mut self, file: FileId, write: Write) {
        match write {
            Write::Create => {
                let empty = File::Segment {
                    batches: Vec::new(),
                    synced: 0,
                    torn: false,
                };
                self.files.insert(file, empty);
            }
            Write::Append(batch) => match self.files.get_mut(&file) {
                Some(File::Segment { batches, .. }) => batches.push(batch),
                _ => panic!("a segment is created before it is written to: {file:?}"),
            },
            Write::TruncateTo(offset) => self.truncate(file, offset),
            Write::Replace(small) => {
                self.files.insert(file, File::Small(small));
            }
            Write::Delete => {
                self.files.remove(&file);
            }
            Write::Rename(to) => {
                if let Some(content) = self.files.remove(&file) {
                    self.files.insert(to, content);
                }
                // A sync under way still ends, and proves nothing of a file that gets the old name.
                for (_, _, upto) in self.syncing.iter_mut().filter(|(_, f, _)| *f == file) {
                    *upto = 0;
                }
            }
        }
    }

    /// The batches of a partition's log in order, flushed or not.
    pub fn batches(&self, id: TopicIdPartition) -> impl Iterator<Item = &RecordBatch> {
        let all = FileId::Segment(id, Offset(0))..=FileId::Segment(id, Offset(i64::MAX));
        self.files.range(all).flat_map(|(_, file)| match file {
            File::Segment { batches, .. } => batches.as_slice(),
            File::Small(_) => &[],
        })
    }

    /// Where a partition's log ends on this disk: behind its last batch, or where its last, empty segment begins.
    pub fn end(&self, id: TopicIdPartition) -> Offset {
        let all = FileId::Segment(id, Offset(0))..=FileId::Segment(id, Offset(i64::MAX));
        let last = self.files.range(all).next_back();
        match last {
            Some((FileId::Segment(_, base), File::Segment { batches, .. })) => {
                batches.last().map_or(*base, RecordBatch::end_offset)
            }
            _ => Offset(0),
        }
    }

    /// Begins a sync that is done at `at`.
    pub fn sync(&mut self, file: FileId, at: Time) {
        let upto = match self.files.get(&file) {
            Some(File::Segment { batches, .. }) => batches.len() as u64,
            _ => 0,
        };
        self.syncing.push_back((at, file, upto));
    }

    /// The earliest sync that is done by `now`.
    pub fn take_synced(&mut self, now: Time) -> Option<FileId> {
        let (at, file, upto) = *self.syncing.front()?;
        if at > now {
            return None;
        }
        self.syncing.pop_front();
        if let Some(File::Segment {
            synced, batches, ..
        }) = self.files.get_mut(&file)
        {
            *synced = (*synced).max(upto.min(batches.len() as u64));
        }
        Some(file)
    }

    /// When the last sync under way is done.
    pub fn busy_until(&self) -> Option<Time> {
        self.syncing.back().map(|(at, ..)| *at)
    }

    /// What a process finds at start. Torn tails are gone once they have been found: recovery cuts them off.
    pub fn image(&self) -> DiskImage {
        let image = |file: &File| match file {
            File::Segment { batches, torn, .. } => FileImage::Segment {
                batches: batches.clone(),
                torn: *torn,
            },
            File::Small(small) => FileImage::Small(small.clone()),
        };
        self.files.iter().map(|(id, f)| (*id, image(f))).collect()
    }

    /// The machine has started again after a kill: syncs under way are forgotten, the page cache is not.
    pub fn forget_syncs(&mut self) {
        self.syncing.clear();
    }

    /// The page cache is lost. `draw(n)` draws from `[0, n)`. Returns how many batches were lost.
    pub fn lose_power(&mut self, keep: Keep, mut draw: impl FnMut(u64) -> u64) -> u64 {
        self.syncing.clear();
        let mut lost = 0;
        for file in self.files.values_mut() {
            let File::Segment {
                batches,
                synced,
                torn,
            } = file
            else {
                continue;
            };
            let unsynced = batches.len() as u64 - *synced;
            let kept = match keep {
                Keep::Drawn => draw(unsynced + 1),
                Keep::Synced => 0,
                Keep::More(n) => u64::from(n).min(unsynced),
            };
            if kept < unsynced {
                // C.2, D2: four in five losses of power that cut a file leave a torn batch behind.
                *torn = keep == Keep::Drawn && draw(5) < 4;
            }
            lost += unsynced - kept;
            let kept = usize::try_from(*synced + kept).expect("no more than there were");
            batches.truncate(kept);
            *synced = batches.len() as u64;
        }
        lost
    }

    /// Another disk, empty.
    pub fn replace(&mut self) -> u64 {
        let batches = |f: &File| match f {
            File::Segment { batches, .. } => batches.len() as u64,
            File::Small(_) => 0,
        };
        let lost = self.files.values().map(batches).sum();
        *self = Disk::default();
        lost
    }

    fn truncate(&mut self, file: FileId, offset: Offset) {
        if let Some(File::Segment {
            batches,
            synced,
            torn,
        }) = self.files.get_mut(&file)
        {
            let keep = batches.partition_point(|b| b.end_offset() <= offset);
            batches.truncate(keep);
            *synced = (*synced).min(keep as u64);
            // A sync under way proves nothing about what is written after the cut.
            for (_, _, upto) in self.syncing.iter_mut().filter(|(_, f, _)| *f == file) {
                *upto = (*upto).min(keep as u64);
            }
            *torn = false;
        }
    }
}
