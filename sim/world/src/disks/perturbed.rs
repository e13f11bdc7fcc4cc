//! Whatever is changed in the state of a disk, alone, gives the run another hash.

use super::*;
use crate::perturbing::{each_is_seen, on_its_way};
use crate::world::World;
use klab_kafka::disk::{QuorumStateFile, Suffix};
use klab_kafka::ids::{BrokerEpoch, LeaderEpoch, METADATA_PARTITION, NodeId};
use klab_kafka::log::epochs::EpochEntry;
use std::sync::Arc;

/// The disk of a broker.
fn disk(w: &mut World) -> &mut Disk {
    let broker = w.names.find("broker-1").expect("there is one");
    &mut w.machines[broker.index()].disk
}

fn segment(w: &mut World) -> (&mut Batches, &mut u64, &mut bool) {
    let mut files = disk(w).files.values_mut();
    let found = files.find_map(|f| match f {
        File::Segment {
            batches,
            synced,
            torn,
        } => Some((batches, synced, torn)),
        File::Small(_) => None,
    });
    found.expect("it has a log")
}

fn put(w: &mut World, small: SmallFile) {
    disk(w)
        .files
        .insert(FileId::QuorumState, File::Small(small));
}

#[test]
fn any_field_of_a_disk_changes_the_hash() {
    let mut world = on_its_way();
    let Disk {
        files: _,
        syncing: _,
        ills: _,
    } = disk(&mut world);
    each_is_seen(
        &world,
        &[
            ("a file", |w| {
                disk(w).files.pop_first();
            }),
            ("a file's name", |w| {
                let (_, file) = disk(w).files.pop_first().expect("it has files");
                disk(w).files.insert(FileId::CleanShutdown, file);
            }),
            ("a sync", |w| {
                disk(w)
                    .syncing
                    .push_back((Time(1), FileId::HighWatermarks, 1))
            }),
            ("its time", |w| {
                disk(w)
                    .syncing
                    .push_back((Time(2), FileId::HighWatermarks, 1))
            }),
            ("its file", |w| {
                disk(w)
                    .syncing
                    .push_back((Time(1), FileId::RecoveryPoints, 1))
            }),
            ("its extent", |w| {
                disk(w)
                    .syncing
                    .push_back((Time(1), FileId::HighWatermarks, 2))
            }),
            ("batches", |w| segment(w).0.truncate(0)),
            ("a batch", |w| {
                let batches = segment(w).0;
                let mut last = batches.last().expect("something is written").clone();
                last.leader_epoch = LeaderEpoch(99);
                batches.truncate(batches.len() - 1);
                batches.push(last);
            }),
            ("synced", |w| *segment(w).1 += 1),
            ("torn", |w| *segment(w).2 ^= true),
            ("stalled", |w| disk(w).ills.stalled += 1),
            ("full", |w| disk(w).ills.full += 1),
            ("dead", |w| disk(w).ills.dead += 1),
        ],
    );
}

fn quorum(change: impl FnOnce(&mut QuorumStateFile)) -> SmallFile {
    let mut file = QuorumStateFile::default();
    change(&mut file);
    SmallFile::Quorum(file)
}

fn epochs(epoch: i32, start: i64) -> SmallFile {
    SmallFile::LeaderEpochs(vec![EpochEntry {
        epoch: LeaderEpoch(epoch),
        start_offset: Offset(start),
    }])
}

fn offsets(partition: TopicIdPartition, offset: i64) -> SmallFile {
    SmallFile::Offsets([(partition, Offset(offset))].into())
}

/// A new kind, or a new part of one, belongs into the test below.
fn is_tested(small: &SmallFile) -> bool {
    match small {
        SmallFile::Offsets(_) | SmallFile::LeaderEpochs(_) | SmallFile::Producers(_) => true,
        SmallFile::Quorum(QuorumStateFile {
            epoch: _,
            leader: _,
            voted: _,
        }) => true,
        SmallFile::CleanShutdown(_) => true,
        SmallFile::Directory(Suffix::Delete | Suffix::Stray) => true,
    }
}

#[test]
fn every_kind_of_small_file_and_its_contents_change_the_hash() {
    let world = on_its_way();
    assert!(is_tested(&SmallFile::CleanShutdown(None)));
    each_is_seen(
        &world,
        &[
            ("offsets", |w| put(w, SmallFile::Offsets(BTreeMap::new()))),
            ("an offset", |w| put(w, offsets(METADATA_PARTITION, 1))),
            ("its value", |w| put(w, offsets(METADATA_PARTITION, 2))),
            ("epochs", |w| put(w, SmallFile::LeaderEpochs(Vec::new()))),
            ("an epoch", |w| put(w, epochs(1, 1))),
            ("its number", |w| put(w, epochs(2, 1))),
            ("its start", |w| put(w, epochs(1, 2))),
            ("a directory", |w| {
                put(w, SmallFile::Directory(Suffix::Delete))
            }),
            ("its name", |w| put(w, SmallFile::Directory(Suffix::Stray))),
            ("producers", |w| {
                put(w, SmallFile::Producers(Arc::default()))
            }),
            ("a vote", |w| put(w, quorum(|_| {}))),
            ("its epoch", |w| {
                put(w, quorum(|f| f.epoch = LeaderEpoch(9)))
            }),
            ("its leader", |w| {
                put(w, quorum(|f| f.leader = Some(NodeId(1))))
            }),
            ("its candidate", |w| {
                put(w, quorum(|f| f.voted = Some(NodeId(1))))
            }),
            ("a clean stop", |w| put(w, SmallFile::CleanShutdown(None))),
            ("its broker epoch", |w| {
                put(w, SmallFile::CleanShutdown(Some(BrokerEpoch(1))))
            }),
        ],
    );
}
