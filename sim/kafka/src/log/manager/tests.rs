//! Checkpoints and the marker of a clean stop.

use super::*;
use crate::log::testing::{ID, Machine, NOW, plain, segments_of};

fn open(machine: &Machine) -> (LogDir, Effects) {
    let mut out = Effects::new();
    let dir = LogDir::open(machine.disk.image(), &mut out);
    (dir, out)
}

#[test]
fn a_clean_stop_leaves_a_marker_that_is_deleted_when_it_is_found() {
    let mut machine = Machine::new(segments_of(1_000));
    machine.append(&plain(1));
    let (dir, out) = open(&machine);
    assert_eq!(dir.clean_shutdown, None);
    assert_eq!(out, []);
    machine.stop_cleanly();
    let (dir, out) = open(&machine);
    assert_eq!(dir.clean_shutdown, Some(None));
    assert_eq!(out, [Effect::Write(FileId::CleanShutdown, Write::Delete)]);
    assert_eq!(dir.partitions(), [ID]);
}

#[test]
fn the_marker_carries_the_broker_epoch() {
    let marker = mark_clean_shutdown([].into_iter(), Some(BrokerEpoch(12)));
    let mut image = DiskImage::new();
    let Effect::Write(file, Write::Replace(small)) = marker else {
        panic!("a small file");
    };
    image.insert(file, FileImage::Small(small));
    let dir = LogDir::open(image, &mut Effects::new());
    assert_eq!(dir.clean_shutdown, Some(Some(BrokerEpoch(12))));
}

#[test]
#[should_panic(expected = "a clean stop waits for its syncs")]
fn no_stop_is_clean_before_the_log_is_synced() {
    let mut machine = Machine::new(segments_of(1_000));
    machine.append(&plain(1));
    machine.act(|log, out| log.close(out));
    mark_clean_shutdown([&machine.log].into_iter(), None);
}

#[test]
fn only_a_log_start_within_a_segment_is_checkpointed() {
    let mut machine = Machine::new(segments_of(1_000));
    machine.append(&plain(4));
    let none = checkpoint_log_starts([&machine.log].into_iter());
    assert_eq!(none, checkpoint(FileId::LogStartOffsets, BTreeMap::new()));
    machine
        .act(|log, out| {
            log.advance_hw(Offset(3), out);
            log.increment_log_start(Offset(2), out)
        })
        .expect("below the high watermark");
    let one = checkpoint_log_starts([&machine.log].into_iter());
    let expected = BTreeMap::from([(ID, Offset(2))]);
    assert_eq!(one, checkpoint(FileId::LogStartOffsets, expected));
}

#[test]
fn a_partition_without_files_gets_an_empty_log() {
    let mut out = Effects::new();
    let mut dir = LogDir::open(DiskImage::new(), &mut out);
    let log = dir.load(ID, LogConfig::default(), NOW, &mut out);
    assert_eq!(log.leo(), Offset(0));
    let created = Effect::Write(FileId::Segment(ID, Offset(0)), Write::Create);
    assert_eq!(out, [created]);
}
