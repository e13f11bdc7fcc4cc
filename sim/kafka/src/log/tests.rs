//! The log as its owner sees it: claims one by one. Against a naive model: [`model`].

mod compaction;
mod model;
mod retention;
mod times;

use super::testing::*;
use super::*;
use crate::disk::FileImage;
use crate::event::Truncation;
use crate::ids::ProducerId;
use crate::log::batch::BatchData;
use std::sync::Arc;

/// The bytes of a batch of one record.
const ONE: i32 = 78;

fn truncate(machine: &mut Machine, to: i64) -> bool {
    let why = Truncation::DivergingEpoch;
    machine.act(|log, out| log.truncate_to(Offset(to), why, NOW, out))
}

fn filled(config: LogConfig, batches: u32) -> Machine {
    let mut machine = Machine::new(config);
    for _ in 0..batches {
        machine.append(&plain(1));
    }
    machine
}

fn bases(machine: &Machine) -> Vec<i64> {
    let all = machine.log.segments.iter();
    all.map(|s| s.base_offset.0).collect()
}

fn window(machine: &Machine, id: i64) -> Vec<(i32, i64)> {
    let entry = &machine.log.producers.entries()[&ProducerId(id)];
    let pair = |b: &producers::BatchMetadata| (b.first_sequence(), b.first_offset().0);
    entry.batches.iter().map(pair).collect()
}

#[test]
fn a_leader_gives_offsets_and_its_epoch_and_the_body_stays_the_same() {
    let mut machine = Machine::new(LogConfig::default());
    machine.append(&plain(3));
    let data = plain(2);
    assert_eq!(machine.append(&data), Offset(3));
    let read = machine.log.read(Offset(4), Offset(5), 1_000);
    let [batch] = &read[..] else {
        panic!("the batch that holds offset 4");
    };
    assert_eq!(batch.base_offset, Offset(3));
    assert!(Arc::ptr_eq(&batch.data, &data), "shared, not copied");
}

#[test]
fn a_read_returns_whole_batches_below_its_bounds_and_the_first_always() {
    let machine = filled(LogConfig::default(), 5);
    let count = |from, upto, bytes| machine.log.read(Offset(from), Offset(upto), bytes).len();
    assert_eq!(count(0, 5, 1), 1, "larger than the limit (R-20)");
    assert_eq!(count(0, 5, 2 * ONE), 2);
    assert_eq!(count(0, 5, 3 * ONE - 1), 2);
    assert_eq!(count(2, 4, 10_000), 2);
    assert_eq!(count(5, 5, 10_000), 0);
    let strict = machine.log.read_within(Offset(0), Offset(5), ONE - 1);
    assert_eq!(strict, []);
}

#[test]
fn a_read_ends_with_its_segment() {
    let machine = filled(segments_of(2 * ONE), 5);
    assert_eq!(bases(&machine), [0, 2, 4]);
    let read = machine.log.read(Offset(1), Offset(5), 10_000);
    assert_eq!(read.len(), 1);
    let all = machine.log.bytes_between(Offset(1), Offset(5));
    assert_eq!(all, 4 * ONE as u64);
}

#[test]
fn reading_outside_the_log_is_out_of_range() {
    let mut machine = filled(LogConfig::default(), 5);
    machine.act(|log, out| log.advance_hw(Offset(5), out));
    let moved = machine.act(|log, out| log.increment_log_start(Offset(2), out));
    assert_eq!(moved, Ok(true));
    let check = |at| machine.log.check_readable(Offset(at));
    assert_eq!(check(1), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(check(2), Ok(()));
    assert_eq!(check(5), Ok(()), "the end is where a reader waits");
    assert_eq!(check(6), Err(ErrorCode::OffsetOutOfRange));
}

#[test]
fn only_committed_records_are_given_up() {
    let mut machine = filled(LogConfig::default(), 5);
    machine.act(|log, out| log.advance_hw(Offset(3), out));
    let moved = machine.act(|log, out| log.increment_log_start(Offset(4), out));
    assert_eq!(moved, Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(machine.log.log_start(), Offset(0));
}

#[test]
fn a_leaders_high_watermark_never_goes_back_and_a_followers_does() {
    let mut machine = filled(LogConfig::default(), 5);
    assert!(machine.act(|log, out| log.advance_hw(Offset(9), out)));
    assert_eq!(machine.log.hw(), Offset(5), "never beyond the end");
    assert!(!machine.act(|log, out| log.advance_hw(Offset(2), out)));
    assert!(machine.act(|log, out| log.set_hw(Offset(2), out)));
    assert_eq!(machine.log.hw(), Offset(2));
}

#[test]
fn a_roll_closes_syncs_and_snapshots_and_the_recovery_point_follows() {
    let mut machine = Machine::new(segments_of(2 * ONE + 20));
    machine.append(&idempotent(1, 0, 0, 1));
    machine.append(&idempotent(1, 0, 1, 1));
    machine.append(&idempotent(1, 0, 2, 1));
    assert_eq!(bases(&machine), [0, 2]);
    assert!(machine.told.contains(&LogEvent::Rolled {
        base_offset: Offset(2)
    }));
    let snapshot = FileId::ProducerSnapshot(ID, Offset(2));
    assert!(machine.disk.files.contains_key(&snapshot));
    assert_eq!(machine.log.recovery_point(), Offset(0), "not synced yet");
    machine.finish_syncs();
    assert_eq!(machine.log.recovery_point(), Offset(2));
}

#[test]
fn a_roll_over_a_gap_snapshots_where_the_new_segment_begins() {
    let mut machine = filled(segments_of(ONE), 1);
    let copy = RecordBatch {
        base_offset: Offset(7),
        leader_epoch: EPOCH,
        data: plain(1),
    };
    let taken = machine.act(|log, out| log.append_as_follower(&copy, EPOCH, NOW, out));
    assert_eq!(taken, Ok(true));
    assert_eq!(bases(&machine), [0, 7]);
    let snapshot = FileId::ProducerSnapshot(ID, Offset(7));
    assert!(machine.disk.files.contains_key(&snapshot));
}

#[test]
fn a_sync_under_way_proves_nothing_of_what_is_written_in_place_of_the_cut() {
    let mut machine = filled(LogConfig::default(), 5);
    machine.act(|log, out| log.flush(out));
    truncate(&mut machine, 2);
    for _ in 0..3 {
        machine.append(&plain(1));
    }
    machine.finish_syncs();
    assert_eq!(machine.log.recovery_point(), Offset(2));
    machine.act(|log, out| log.flush(out));
    machine.finish_syncs();
    assert!(machine.log.is_flushed());
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let mut machine = Machine::new(segments_of(ONE - 1));
    let refused =
        machine.act(|log, out| log.append_as_leader(&plain(1), EPOCH, Origin::CLIENT, NOW, out));
    assert_eq!(refused, Err(ErrorCode::RecordListTooLarge.into()));
    assert_eq!(machine.log.leo(), Offset(0));
}

#[test]
fn a_duplicate_is_answered_with_its_offsets_and_writes_nothing() {
    let mut machine = Machine::new(LogConfig::default());
    machine.append(&plain(7));
    let batch = idempotent(1, 0, 0, 3);
    machine.append(&batch);
    machine.append(&idempotent(1, 0, 3, 1));
    let again = machine
        .act(|log, out| log.append_as_leader(&batch, EPOCH, Origin::CLIENT, NOW, out))
        .expect("success");
    assert_eq!(
        (again.base_offset(), again.end_offset()),
        (Offset(7), Offset(10))
    );
    assert_eq!(machine.log.leo(), Offset(11));
    let base_offset = Offset(7);
    let ids = batch.ids().into();
    let told = LogEvent::Deduplicated { base_offset, ids };
    assert_eq!(machine.told.last(), Some(&told));
}

#[test]
fn a_follower_copies_without_checking_sequences() {
    let mut leader = Machine::new(LogConfig::default());
    leader.append(&idempotent(1, 0, 5, 1));
    let mut follower = Machine::new(LogConfig::default());
    follower.append(&idempotent(1, 0, 0, 1));
    let mut copy = leader.log.read(Offset(0), Offset(1), 100).remove(0);
    copy.base_offset = Offset(1);
    let taken = follower.act(|log, out| log.append_as_follower(&copy, EPOCH, NOW, out));
    assert_eq!(taken, Ok(true));
    assert_eq!(window(&follower, 1), [(0, 0), (5, 1)]);
}

#[test]
fn a_follower_takes_no_overlap_no_damage_and_no_later_epoch() {
    let mut machine = filled(LogConfig::default(), 3);
    let batch = |base_offset, epoch, data| RecordBatch {
        base_offset: Offset(base_offset),
        leader_epoch: LeaderEpoch(epoch),
        data,
    };
    let mut copy = |batch| machine.act(|log, out| log.append_as_follower(&batch, EPOCH, NOW, out));
    let overlap = UnexpectedOffset {
        base_offset: Offset(2),
        last_offset: Offset(4),
    };
    assert_eq!(
        copy(batch(2, 0, plain(3))),
        Err(NotCopied::Overlap(overlap))
    );
    let damaged = plain(1).damaged(7);
    assert_eq!(
        copy(batch(3, 0, Arc::new(damaged))),
        Err(NotCopied::Corrupt)
    );
    assert_eq!(copy(batch(3, 1, plain(1))), Ok(false), "KAFKA-18723");
    assert_eq!(
        copy(batch(8, 0, plain(1))),
        Ok(true),
        "a gap is compaction's"
    );
    assert_eq!(machine.log.leo(), Offset(9));
}

#[test]
fn a_truncation_cuts_segments_epochs_and_high_watermark() {
    let mut machine = filled(segments_of(2 * ONE), 4);
    machine.act(|log, out| log.begin_epoch(LeaderEpoch(3), out));
    machine.append(&plain(1));
    machine.act(|log, out| log.advance_hw(Offset(5), out));
    assert!(truncate(&mut machine, 3));
    assert_eq!(bases(&machine), [0, 2]);
    assert_eq!(machine.log.leo(), Offset(3));
    assert_eq!(machine.log.hw(), Offset(3), "R-22");
    assert_eq!(machine.log.latest_epoch(), Some(EPOCH));
}

#[test]
fn a_truncation_within_a_batch_cuts_it_whole_and_leaves_a_gap() {
    let mut machine = Machine::new(LogConfig::default());
    machine.append(&plain(2));
    machine.append(&plain(4));
    assert!(truncate(&mut machine, 4));
    assert_eq!(machine.log.leo(), Offset(4));
    assert_eq!(machine.log.batches().count(), 1);
    machine.start();
    assert_eq!(machine.log.leo(), Offset(2), "a restart sees no gap");
}

#[test]
fn an_epoch_begun_in_vain_goes_when_there_is_nothing_to_cut() {
    let mut machine = filled(LogConfig::default(), 3);
    machine.act(|log, out| log.begin_epoch(LeaderEpoch(4), out));
    assert!(!truncate(&mut machine, 3));
    assert_eq!(machine.log.latest_epoch(), Some(EPOCH), "KAFKA-10706");
    machine.start();
    assert_eq!(machine.log.latest_epoch(), Some(EPOCH), "on disk too");
}

#[test]
fn a_log_that_is_started_over_knows_nothing_of_before() {
    let mut machine = Machine::new(segments_of(3 * ONE));
    for sequence in 0..5 {
        machine.append(&idempotent(1, 0, sequence, 1));
    }
    machine.act(|log, out| log.truncate_fully_and_start_at(Offset(90), NOW, out));
    let log = &machine.log;
    assert_eq!([log.log_start(), log.hw(), log.leo()], [Offset(90); 3]);
    assert_eq!(log.latest_epoch(), None);
    assert!(log.producers().entries().is_empty());
    assert_eq!(machine.append(&plain(1)), Offset(90));
    machine.start();
    assert_eq!(machine.log.leo(), Offset(91));
}

#[test]
fn a_truncation_below_the_first_segment_starts_the_log_over() {
    let mut machine = Machine::new(LogConfig::default());
    machine.act(|log, out| log.truncate_fully_and_start_at(Offset(50), NOW, out));
    machine.append(&plain(1));
    assert!(truncate(&mut machine, 20));
    assert_eq!(machine.log.log_start(), Offset(20));
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_transaction() {
    let mut machine = Machine::new(segments_of(10_000));
    machine.append(&plain(2));
    machine.append(&transactional(1, 0, 0, 3));
    machine.append(&plain(1));
    machine.act(|log, out| log.advance_hw(Offset(6), out));
    assert_eq!(machine.log.lso(), Offset(2));
    machine.append(&marker(1, 0, false));
    assert_eq!(machine.log.lso(), Offset(2), "the marker is not replicated");
    machine.act(|log, out| log.advance_hw(Offset(7), out));
    assert_eq!(machine.log.lso(), Offset(7));
    let aborted = machine.log.aborted_transactions(Offset(0), Offset(7));
    let [aborted] = &aborted[..] else {
        panic!("one transaction");
    };
    assert_eq!(
        (aborted.first_offset, aborted.last_offset),
        (Offset(2), Offset(6))
    );
    machine.stop_cleanly();
    machine.start();
    assert_eq!(
        machine.log.aborted_transactions(Offset(0), Offset(7)),
        [*aborted]
    );
}

#[test]
fn after_a_restart_only_the_last_batch_of_a_producer_is_recognised() {
    let mut machine = Machine::new(LogConfig::default());
    for sequence in 0..4 {
        machine.append(&idempotent(1, 0, sequence, 1));
    }
    assert_eq!(window(&machine, 1).len(), 4);
    let mut killed = machine.clone();
    killed.start();
    assert_eq!(window(&killed, 1), [(3, 3)], "after a kill (L-13)");
    machine.stop_cleanly();
    machine.start();
    assert_eq!(window(&machine, 1), [(3, 3)], "after a clean stop");
    // So a retry of the batch before is refused as out of order.
    let retry = machine.act(|log, out| {
        log.append_as_leader(&idempotent(1, 0, 2, 1), EPOCH, Origin::CLIENT, NOW, out)
    });
    assert_eq!(retry, Err(ErrorCode::OutOfOrderSequenceNumber.into()));
}

// Kafka's LogLoader takes the log start from its checkpoint, and ProducerStateManager.truncateAndReload any snapshot above it.
// Found by the model, seed cc 08304525fe47ca1d335303b33df05ec2dc39709200741c14fbdd56c4d7c0e928.
#[test]
fn a_snapshot_folded_from_a_later_log_start_outlives_a_kill_that_moves_the_start_back() {
    let mut machine = Machine::new(segments_of(3 * ONE));
    machine.append(&transactional(1, 0, 0, 1));
    machine.append(&plain(1));
    machine.act(|log, out| log.advance_hw(Offset(1), out));
    let moved = machine.act(|log, out| log.increment_log_start(Offset(1), out));
    assert_eq!(moved, Ok(true));
    assert_eq!(machine.log.producers.first_unstable(), Some(Offset(0)));
    assert!(truncate(&mut machine, 1), "producers are folded from 1 on");
    machine.append(&idempotent(1, 0, 0, 1));
    machine.append(&plain(1));
    machine.append(&plain(1));
    machine.finish_syncs();
    let file = manager::checkpoint_recovery_points([&machine.log].into_iter());
    machine.disk.carry_out(vec![file]);
    machine.start();
    assert_eq!(machine.log.log_start(), Offset(0), "its checkpoint is old");
    assert_eq!(bases(&machine), [0, 3]);
    assert_eq!(window(&machine, 1), [(0, 1)]);
    assert_eq!(machine.log.producers.first_unstable(), None, "forgotten");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let mut machine = filled(segments_of(2 * ONE), 5);
    let before: Vec<RecordBatch> = machine.log.batches().cloned().collect();
    machine.start();
    assert!(machine.log.batches().eq(before.iter()));
    let (leo, hw, torn) = (Offset(5), Offset(0), false);
    assert_eq!(
        machine.told.last(),
        Some(&LogEvent::Recovered { leo, hw, torn })
    );
}

#[test]
fn the_high_watermark_starts_from_its_checkpoint_stale_and_clamped() {
    let mut machine = filled(LogConfig::default(), 5);
    machine.act(|log, out| log.advance_hw(Offset(3), out));
    machine.checkpoint();
    machine.act(|log, out| log.advance_hw(Offset(5), out));
    machine.start();
    assert_eq!(machine.log.hw(), Offset(3));
    machine.disk.lose_power(1, false);
    machine.start();
    assert_eq!(machine.log.hw(), Offset(1), "not beyond the end");
}

#[test]
fn power_loss_takes_what_was_not_synced_and_a_torn_batch_ends_the_log() {
    let mut machine = filled(segments_of(2 * ONE), 2);
    machine.act(|log, out| log.flush(out));
    machine.finish_syncs();
    for _ in 0..5 {
        machine.append(&plain(1));
    }
    assert_eq!(bases(&machine), [0, 2, 4, 6]);
    machine.disk.lose_power(1, true);
    machine.start();
    assert_eq!(
        bases(&machine),
        [0, 2],
        "what lies behind a torn batch goes"
    );
    assert_eq!(machine.log.leo(), Offset(3));
    let (leo, hw, torn) = (Offset(3), Offset(0), true);
    assert_eq!(
        machine.told.last(),
        Some(&LogEvent::Recovered { leo, hw, torn })
    );
    let torn_still = machine.disk.segments().iter().any(|(_, _, torn)| *torn);
    assert!(!torn_still, "the cut is on disk");
}

#[test]
fn recovery_cuts_at_the_first_bad_checksum_from_the_recovery_point_on_only() {
    let mut machine = filled(segments_of(2 * ONE), 6);
    machine.finish_syncs();
    machine.checkpoint();
    assert_eq!(machine.log.recovery_point(), Offset(4));
    let spoil = |machine: &mut Machine, base| {
        let file = machine
            .disk
            .files
            .get_mut(&FileId::Segment(ID, Offset(base)));
        let Some(FileImage::Segment { batches, .. }) = file else {
            panic!("a segment");
        };
        batches[1].data = Arc::new(batches[1].data.damaged(0));
    };
    let mut below = machine.clone();
    spoil(&mut below, 0);
    below.start();
    assert_eq!(below.log.leo(), Offset(6), "not looked at");
    spoil(&mut machine, 4);
    machine.start();
    assert_eq!(machine.log.leo(), Offset(5));
}

#[test]
fn a_clone_of_a_log_is_not_touched_by_what_happens_to_the_other() {
    let mut machine = filled(LogConfig::default(), 200);
    let clone = machine.log.clone();
    machine.append(&plain(1));
    truncate(&mut machine, 3);
    assert_eq!(clone.batches().count(), 200);
    assert_eq!(clone.leo(), Offset(200));
}
