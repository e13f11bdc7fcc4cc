//! What the tests of this folder share: batches, and a disk that does what the effects say.

use super::batch::{BatchData, PlainRecord, ProducerStamp};
use super::config::LogConfig;
use super::manager::LogDir;
use super::{Log, Origin};
use crate::disk::{DiskImage, FileId, FileImage, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, LogEvent};
use crate::ids::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordId, TopicId, TopicIdPartition,
};
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub const ID: TopicIdPartition = TopicIdPartition {
    topic: TopicId(7),
    partition: 0,
};
pub const NOW: Timestamp = Timestamp(1_767_225_600_000);
pub const EPOCH: LeaderEpoch = LeaderEpoch(0);

/// `count` records of ten bytes each, stamped [`NOW`].
pub fn records(count: u32) -> Vec<PlainRecord> {
    let record = |number| PlainRecord {
        id: RecordId { source: 1, number },
        timestamp: NOW,
        key: None,
        value: Some(Bytes::from_static(b"0123456789")),
        headers: Vec::new(),
    };
    (0..count).map(record).collect()
}

/// A batch of a producer without idempotence.
pub fn plain(count: u32) -> Arc<BatchData> {
    Arc::new(BatchData::of_records(&records(count), None))
}

/// A batch of an idempotent producer.
pub fn idempotent(id: i64, epoch: i16, base_sequence: i32, count: u32) -> Arc<BatchData> {
    Arc::new(of_producer(id, epoch, base_sequence, count))
}

/// A batch within a transaction.
pub fn transactional(id: i64, epoch: i16, base_sequence: i32, count: u32) -> Arc<BatchData> {
    Arc::new(of_producer(id, epoch, base_sequence, count).in_transaction())
}

/// A marker.
pub fn marker(id: i64, epoch: i16, commit: bool) -> Arc<BatchData> {
    let (id, epoch) = (ProducerId(id), ProducerEpoch(epoch));
    Arc::new(BatchData::of_marker(id, epoch, commit, 0, NOW))
}

fn of_producer(id: i64, epoch: i16, base_sequence: i32, count: u32) -> BatchData {
    let stamp = ProducerStamp {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence,
    };
    BatchData::of_records(&records(count), Some(stamp))
}

/// A log's settings with segments of so many bytes.
pub fn segments_of(bytes: i32) -> LogConfig {
    LogConfig {
        segment_bytes: bytes,
        verify_transactions: false,
        ..LogConfig::default()
    }
}

/// A log together with its disk.
#[derive(Clone)]
pub struct Machine {
    pub log: Log,
    pub disk: Disk,
    pub told: Vec<LogEvent>,
}

impl Machine {
    pub fn new(config: LogConfig) -> Machine {
        let mut out = Effects::new();
        let log = Log::create(ID, config, NOW, &mut out);
        let mut machine = Machine {
            log,
            disk: Disk::default(),
            told: Vec::new(),
        };
        machine.told = machine.disk.carry_out(out);
        machine
    }

    /// Does something to the log and carries out what it wants.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Log, &mut Effects) -> T) -> T {
        let mut out = Effects::new();
        let result = act(&mut self.log, &mut out);
        let told = self.disk.carry_out(out);
        self.told.extend(told);
        result
    }

    /// Appends as a leader in epoch 0; the batch must be taken.
    pub fn append(&mut self, data: &Arc<BatchData>) -> Offset {
        let origin = match data.marker() {
            Some(_) => Origin::Marker {
                transaction_version: 0,
            },
            None => Origin::CLIENT,
        };
        let appended = self
            .act(|log, out| log.append_as_leader(data, EPOCH.max(log.epoch()), origin, NOW, out));
        appended.expect("the batch is in order").base_offset()
    }

    /// All syncs that were asked for end. What compaction has written takes its place then.
    pub fn finish_syncs(&mut self) {
        for file in self.disk.finish_syncs() {
            match file {
                FileId::Segment(_, base) => self.log.synced(base),
                FileId::Cleaned(_, base) => {
                    let (is_over, _) = self.act(|log, out| log.cleaned(base, out));
                    if is_over {
                        let cleaned = super::manager::checkpoint_cleaned([&self.log].into_iter());
                        self.disk.carry_out(vec![cleaned]);
                    }
                }
                file => panic!("{file:?} is never synced"),
            }
        }
    }

    /// A clean stop: everything synced, checkpoints and marker written.
    pub fn stop_cleanly(&mut self) {
        self.act(|log, out| log.close(out));
        self.finish_syncs();
        self.checkpoint();
        let marker = super::manager::mark_clean_shutdown([&self.log].into_iter(), None);
        self.disk.carry_out(vec![marker]);
    }

    /// All three checkpoints.
    pub fn checkpoint(&mut self) {
        let logs = || [&self.log].into_iter();
        let files = vec![
            super::manager::checkpoint_hws(logs()),
            super::manager::checkpoint_recovery_points(logs()),
            super::manager::checkpoint_log_starts(logs()),
        ];
        self.disk.carry_out(files);
    }

    /// Starts again from what is on disk.
    pub fn start(&mut self) {
        let config = self.log.config().clone();
        let mut out = Effects::new();
        let mut dir = LogDir::open(self.disk.image(), &mut out);
        self.disk.forget_syncs();
        self.log = dir.load(ID, config, NOW, &mut out);
        self.told = self.disk.carry_out(out);
    }
}

impl Log {
    /// The epoch a test's leader is in.
    fn epoch(&self) -> LeaderEpoch {
        self.latest_epoch().unwrap_or_default()
    }
}

/// A disk with a page cache.
#[derive(Clone, Default)]
pub struct Disk {
    pub files: BTreeMap<FileId, FileImage>,
    synced: BTreeMap<FileId, usize>,
    under_way: VecDeque<(FileId, usize)>,
}

impl Disk {
    /// Writes and syncs; returns what was told.
    pub fn carry_out(&mut self, out: Effects) -> Vec<LogEvent> {
        let mut told = Vec::new();
        for effect in out {
            match effect {
                Effect::Write(file, write) => self.write(file, write),
                Effect::Sync(file) => self.under_way.push_back((file, self.len(file))),
                Effect::Tell(Event::Log(_, event)) => told.push(event),
                other => panic!("a log does not want {other:?}"),
            }
        }
        told
    }

    fn write(&mut self, file: FileId, write: Write) {
        match write {
            Write::Create => {
                let (batches, torn) = (Vec::new(), false);
                let old = self
                    .files
                    .insert(file, FileImage::Segment { batches, torn });
                assert!(old.is_none(), "{file:?} was there already");
            }
            Write::Append(batch) => self.segment(file).0.push(batch),
            Write::TruncateTo(offset) => {
                let (batches, torn) = self.segment(file);
                batches.retain(|b| b.end_offset() <= offset);
                *torn = false;
                self.forget_beyond(file);
            }
            Write::Replace(small) => {
                self.files.insert(file, FileImage::Small(small));
            }
            Write::Rename(to) => {
                let image = self.files.remove(&file);
                let synced = self.synced.remove(&file).unwrap_or(0);
                self.under_way.iter_mut().for_each(|(f, upto)| {
                    if *f == file {
                        *upto = 0;
                    }
                });
                self.files
                    .insert(to, image.expect("what is renamed is there"));
                self.synced.insert(to, synced);
            }
            Write::Delete => {
                let old = self.files.remove(&file);
                assert!(old.is_some(), "{file:?} was not there");
                self.forget_beyond(file);
            }
        }
    }

    /// What was cut is not synced, whatever is written in its place.
    fn forget_beyond(&mut self, file: FileId) {
        let kept = self.len(file);
        let synced = self.synced.entry(file).or_default();
        *synced = (*synced).min(kept);
        for (_, upto) in self.under_way.iter_mut().filter(|(f, _)| *f == file) {
            *upto = (*upto).min(kept);
        }
    }

    /// All syncs end; returns their files.
    pub fn finish_syncs(&mut self) -> Vec<FileId> {
        let mut ended = Vec::new();
        while let Some((file, upto)) = self.under_way.pop_front() {
            if self.files.contains_key(&file) {
                let kept = upto.min(self.len(file));
                let synced = self.synced.entry(file).or_default();
                *synced = (*synced).max(kept);
            }
            ended.push(file);
        }
        ended
    }

    pub fn forget_syncs(&mut self) {
        self.under_way.clear();
    }

    /// Of every segment's unsynced batches so many stay, in order; a torn one may follow.
    pub fn lose_power(&mut self, kept: usize, tear: bool) {
        self.under_way.clear();
        let synced = &mut self.synced;
        for (file, image) in &mut self.files {
            if let FileImage::Segment { batches, torn } = image {
                let safe = synced.get(file).copied().unwrap_or(0);
                *torn |= tear && batches.len() > safe + kept;
                batches.truncate(safe + kept);
                synced.insert(*file, batches.len());
            }
        }
    }

    pub fn image(&self) -> DiskImage {
        self.files.clone()
    }

    /// The log's segments: base offset, batches, torn.
    pub fn segments(&self) -> Vec<(Offset, Vec<super::RecordBatch>, bool)> {
        let segment = |(file, image): (&FileId, &FileImage)| match (file, image) {
            (FileId::Segment(_, base), FileImage::Segment { batches, torn }) => {
                Some((*base, batches.clone(), *torn))
            }
            _ => None,
        };
        self.files.iter().filter_map(segment).collect()
    }

    fn len(&self, file: FileId) -> usize {
        match self.files.get(&file) {
            Some(FileImage::Segment { batches, .. }) => batches.len(),
            _ => 0,
        }
    }

    fn segment(&mut self, file: FileId) -> (&mut Vec<super::RecordBatch>, &mut bool) {
        match self.files.get_mut(&file) {
            Some(FileImage::Segment { batches, torn }) => (batches, torn),
            _ => panic!("a segment is created before it is written to: {file:?}"),
        }
    }
}
