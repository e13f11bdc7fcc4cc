//! Disks: files with what is synced and what is only in the page cache.
//!
//! A kill loses nothing written. A loss of power keeps, of each file, what was synced and a drawn part of the rest, with
//! perhaps a torn batch behind it (L-34). What is cut at a byte or at a block tears the batch there: either the file ends in
//! it, and its size does not fit, or the file had grown already and zeros follow, and its checksum does not fit (L-36).
//! A stalled disk finishes no sync; a full one takes no more bytes; a dead one takes nothing at all. Small files are replaced whole and synced at once. Cutting a file shorter and
//! deleting one last at once too: Kafka's own truncation may come undone, ours does not.

#[cfg(test)]
mod perturbed;

use klab_kafka::disk::{DiskError, DiskImage, FileId, FileImage, SmallFile, Write};
use klab_kafka::ids::{Offset, TopicIdPartition};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::log::batches::Batches;
use klab_kafka::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Disk {
    files: BTreeMap<FileId, File>,
    /// Syncs under way: when done, which file, how many of its batches.
    syncing: VecDeque<(Time, FileId, u64)>,
    #[serde(skip_serializing_if = "Ills::is_none")]
    ills: Ills,
}

/// What is wrong with a disk: how many harms of each kind are in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Ills {
    /// It finishes no sync.
    pub stalled: u32,
    /// There is no space left on it.
    pub full: u32,
    /// It does not answer.
    pub dead: u32,
}

impl Ills {
    fn is_none(&self) -> bool {
        *self == Ills::default()
    }
}

#[derive(Clone, Debug, Serialize)]
enum File {
    Segment {
        batches: Batches,
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
    /// What was synced and a drawn number of bytes more of each file, cut at a multiple of so many.
    Bytes(u32),
}

impl Disk {
    /// Whether a write would be taken: what makes no file longer has room on a full disk.
    pub fn accept(&self, _file: FileId, write: &Write) -> Result<(), DiskError> {
        let grows = matches!(write, Write::Append(_) | Write::Create | Write::Replace(_));
        match self.ills {
            Ills { dead: 1.., .. } => Err(DiskError::Dead),
            Ills { full: 1.., .. } if grows => Err(DiskError::Full),
            _ => Ok(()),
        }
    }

    /// What is wrong with it, to be changed.
    pub fn ills(&mut self) -> &mut Ills {
        &mut self.ills
    }

    /// Whether it refuses writes.
    pub fn is_failing(&self) -> bool {
        self.ills.full > 0 || self.ills.dead > 0
    }

    /// Carries out an accepted write.
    pub fn write(&mut self, file: FileId, write: Write) {
        match write {
            Write::Create => {
                let empty = File::Segment {
                    batches: Batches::default(),
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
                if let FileId::Directory(id) = file {
                    self.files.retain(|f, _| f.partition() != Some(id));
                }
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

    /// The batches of a partition's log in order, flushed or not, up to the first that is damaged.
    pub fn batches(&self, id: TopicIdPartition) -> impl Iterator<Item = RecordBatch> + '_ {
        let all = FileId::Segment(id, Offset(0))..=FileId::Segment(id, Offset(i64::MAX));
        self.files
            .range(all)
            .filter_map(|(_, file)| match file {
                File::Segment { batches, .. } => Some(batches.iter()),
                File::Small(_) => None,
            })
            .flatten()
            .take_while(|b| b.data.is_intact())
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

    /// The earliest sync that is done by `now`, and what came of it.
    pub fn take_synced(&mut self, now: Time) -> Option<(FileId, Result<(), DiskError>)> {
        let (at, file, upto) = *self.syncing.front()?;
        if at > now || self.ills.stalled > 0 {
            return None;
        }
        self.syncing.pop_front();
        if self.ills.dead > 0 {
            return Some((file, Err(DiskError::Dead)));
        }
        if let Some(File::Segment {
            synced, batches, ..
        }) = self.files.get_mut(&file)
        {
            *synced = (*synced).max(upto.min(batches.len() as u64));
        }
        Some((file, Ok(())))
    }

    /// When the last sync under way is done.
    pub fn busy_until(&self) -> Option<Time> {
        self.syncing.back().map(|(at, ..)| *at)
    }

    /// What a process finds at start. Torn tails are gone once they have been found: recovery cuts them off.
    pub fn image(&self) -> DiskImage {
        let image = |file: &File| match file {
            File::Segment { batches, torn, .. } => FileImage::Segment {
                batches: batches.iter().collect(),
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
            if let Keep::Bytes(block) = keep {
                lost += cut_at_byte(batches, synced, torn, block, &mut draw);
                continue;
            }
            let unsynced = batches.len() as u64 - *synced;
            let kept = match keep {
                Keep::Drawn => draw(unsynced + 1),
                Keep::Synced => 0,
                Keep::More(n) => u64::from(n).min(unsynced),
                Keep::Bytes(_) => unreachable!("cut at a byte above"),
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
        // What holds the machine's disks holds the new one, too.
        *self = Disk {
            ills: self.ills,
            ..Disk::default()
        };
        lost
    }

    fn truncate(&mut self, file: FileId, offset: Offset) {
        if let Some(File::Segment {
            batches,
            synced,
            torn,
        }) = self.files.get_mut(&file)
        {
            let keep = batches.partition_point(|b| b.end <= offset);
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

/// Cuts what was not synced at a drawn byte, down to a multiple of `block` in the file; returns how many batches were lost.
fn cut_at_byte(
    batches: &mut Batches,
    synced: &mut u64,
    torn: &mut bool,
    block: u32,
    draw: &mut impl FnMut(u64) -> u64,
) -> u64 {
    let safe = usize::try_from(*synced).expect("no more than there were");
    let sizes: Vec<u64> = batches.iter().map(|b| u64::from(b.data.size)).collect();
    let size = |many: usize| -> u64 { sizes[..many].iter().sum() };
    let (begins, ends) = (size(safe), size(sizes.len()));
    let drawn = begins + draw(ends - begins + 1);
    let block = u64::from(block.max(1));
    // All of it may have been written back in time.
    let cut = if drawn == ends {
        ends
    } else {
        (drawn / block * block).max(begins)
    };
    let mut at = 0;
    let whole = sizes.iter().take_while(|size| {
        at += **size;
        at <= cut
    });
    let whole = whole.count();
    let lost = (sizes.len() - whole) as u64;
    let is_torn = cut > size(whole);
    if is_torn && draw(2) == 0 {
        // The file is as long as it was to be, and zeros follow.
        let bit = 8 * (cut - size(whole));
        let mut damaged = batches.get(whole).expect("the cut lies in it");
        damaged.data = std::sync::Arc::new(damaged.data.damaged(bit));
        batches.truncate(whole);
        batches.push(damaged);
    } else {
        batches.truncate(whole);
        *torn = is_torn;
    }
    *synced = batches.len() as u64;
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use klab_kafka::controller::records::MetadataRecord;
    use klab_kafka::ids::{LeaderEpoch, METADATA_PARTITION};
    use klab_kafka::log::batch::{BatchData, PlainRecord};
    use klab_kafka::time::Timestamp;
    use std::sync::Arc;

    const SEGMENT: FileId = FileId::Segment(METADATA_PARTITION, Offset(0));

    fn batch(offset: i64) -> RecordBatch {
        let record = PlainRecord {
            id: klab_kafka::ids::RecordId {
                source: 1,
                number: 1,
            },
            timestamp: Timestamp(7),
            key: None,
            value: Some(vec![7; 1_000].into()),
            headers: Vec::new(),
        };
        RecordBatch {
            base_offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            data: Arc::new(BatchData::of_records(&[record], None)),
        }
    }

    /// Ten batches, of which the first two are synced.
    fn written() -> Disk {
        let mut disk = Disk::default();
        disk.write(SEGMENT, Write::Create);
        for n in 0..10 {
            disk.write(SEGMENT, Write::Append(batch(n)));
            if n == 1 {
                disk.sync(SEGMENT, Time(1));
                assert_eq!(disk.take_synced(Time(1)), Some((SEGMENT, Ok(()))));
            }
        }
        disk
    }

    /// What is left: intact batches, damaged ones, and whether the file ends in a torn one.
    fn left(disk: &Disk) -> (usize, usize, bool) {
        let image = disk.image();
        let Some(FileImage::Segment { batches, torn }) = image.get(&SEGMENT) else {
            panic!("it is there")
        };
        let intact = batches.iter().filter(|b| b.data.is_intact()).count();
        (intact, batches.len() - intact, *torn)
    }

    #[test]
    fn a_cut_at_a_byte_tears_the_batch_there_by_its_size_or_by_its_checksum() {
        let size = u64::from(batch(0).data.size);
        let cut = |byte: u64, coin: u64| {
            let mut disk = written();
            let mut drawn = [byte, coin].into_iter();
            let lost = disk.lose_power(Keep::Bytes(1), |n| {
                drawn.next().expect("two draws").min(n - 1)
            });
            (lost, left(&disk))
        };
        assert_eq!(cut(0, 0), (8, (2, 0, false)), "what was synced");
        assert_eq!(cut(1, 0), (8, (2, 1, false)), "zeros follow");
        assert_eq!(cut(1, 1), (8, (2, 0, true)), "the file ends");
        assert_eq!(cut(size, 1), (7, (3, 0, false)), "between two batches");
        assert_eq!(cut(8 * size, 1), (0, (10, 0, false)), "all of it");
    }

    #[test]
    fn a_cut_at_a_block_lies_at_its_multiple_or_at_the_synced_end() {
        let size = u64::from(batch(0).data.size);
        for byte in (0..8 * size).step_by(97) {
            let mut disk = written();
            let mut drawn = [byte, 1].into_iter();
            disk.lose_power(Keep::Bytes(4_096), |_| drawn.next().expect("two draws"));
            let (kept, _, torn) = left(&disk);
            let cut = ((2 * size + byte) / 4_096 * 4_096).max(2 * size);
            assert_eq!(kept as u64, cut / size);
            assert_eq!(torn, cut % size != 0);
        }
    }

    #[test]
    fn batches_that_are_kept_as_one_are_hashed_one_by_one() {
        let no_op = |n: i64| RecordBatch {
            base_offset: Offset(n),
            leader_epoch: LeaderEpoch(1),
            data: Arc::new(BatchData::of_metadata(
                vec![MetadataRecord::NoOp],
                Timestamp(500 * n),
            )),
        };
        let plain: Vec<RecordBatch> = (0..300).map(no_op).collect();
        let mut kept = Batches::default();
        plain.iter().for_each(|b| kept.push(b.clone()));
        let expected = crate::digest::roll(7, &plain);
        assert_eq!(crate::digest::roll(7, &kept), expected);
    }

    #[test]
    fn a_full_disk_takes_nothing_that_grows_and_a_dead_one_takes_nothing() {
        let mut disk = written();
        let cut = Write::TruncateTo(Offset(3));
        let more = Write::Append(batch(10));
        disk.ills().full += 1;
        assert_eq!(disk.accept(SEGMENT, &more), Err(DiskError::Full));
        assert_eq!(disk.accept(SEGMENT, &cut), Ok(()));
        disk.ills().dead += 1;
        assert_eq!(disk.accept(SEGMENT, &cut), Err(DiskError::Dead));
        disk.sync(SEGMENT, Time(5));
        let failed = Some((SEGMENT, Err(DiskError::Dead)));
        assert_eq!(disk.take_synced(Time(5)), failed);
    }
}
