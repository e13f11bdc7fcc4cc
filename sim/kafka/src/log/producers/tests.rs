//! Producer rules L-8 … L-14 and L-40 on a log in memory.

use super::*;
use crate::ids::LeaderEpoch;
use crate::log::batch::BatchData;
use crate::log::testing::{ID, NOW, idempotent, marker, plain, transactional};

/// A partition's producers and where its log ends.
struct Partition {
    producers: Producers,
    leo: Offset,
}

impl Partition {
    fn new() -> Partition {
        Partition {
            producers: Producers::new(Offset(0)),
            leo: Offset(0),
        }
    }

    fn batch(&self, data: &Arc<BatchData>) -> RecordBatch {
        RecordBatch {
            base_offset: self.leo,
            leader_epoch: LeaderEpoch(0),
            data: data.clone(),
        }
    }

    fn check(&self, data: &Arc<BatchData>) -> Result<Checked, ErrorCode> {
        self.check_as(data, Origin::CLIENT, false)
    }

    fn check_as(
        &self,
        data: &Arc<BatchData>,
        origin: Origin,
        verify: bool,
    ) -> Result<Checked, ErrorCode> {
        self.producers.check(&self.batch(data), origin, verify)
    }

    fn append(&mut self, data: &Arc<BatchData>) {
        let batch = self.batch(data);
        self.producers.update(&batch);
        self.leo = batch.end_offset();
    }
}

/// A partition that holds batches of one producer in epoch 0.
fn holding(batches: &[(i32, u32)]) -> Partition {
    let mut partition = Partition::new();
    for (sequence, count) in batches {
        partition.append(&idempotent(1, 0, *sequence, *count));
    }
    partition
}

const OUT_OF_ORDER: Result<Checked, ErrorCode> = Err(ErrorCode::OutOfOrderSequenceNumber);
const OLD_EPOCH: Result<Checked, ErrorCode> = Err(ErrorCode::InvalidProducerEpoch);
const NO_TRANSACTION: Result<Checked, ErrorCode> = Err(ErrorCode::InvalidTxnState);

fn first_offset(checked: Result<Checked, ErrorCode>) -> Option<Offset> {
    match checked {
        Ok(Checked::Duplicate(first)) => Some(first.first_offset()),
        _ => None,
    }
}

#[test]
fn a_batch_that_comes_again_is_answered_with_its_first_offsets() {
    let partition = holding(&[(0, 3), (3, 2), (5, 1)]);
    let again = partition.check(&idempotent(1, 0, 3, 2));
    assert_eq!(first_offset(again), Some(Offset(3)));
}

#[test]
fn only_exactly_the_same_range_is_a_duplicate() {
    let partition = holding(&[(0, 3), (3, 2)]);
    assert_eq!(partition.check(&idempotent(1, 0, 3, 1)), OUT_OF_ORDER);
    assert_eq!(partition.check(&idempotent(1, 0, 0, 5)), OUT_OF_ORDER);
}

#[test]
fn the_sixth_last_batch_is_not_recognised() {
    let partition = holding(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    assert_eq!(partition.check(&idempotent(1, 0, 0, 1)), OUT_OF_ORDER);
    let fifth_last = partition.check(&idempotent(1, 0, 1, 1));
    assert_eq!(first_offset(fifth_last), Some(Offset(1)));
}

#[test]
fn a_sequence_follows_upon_the_last_one_and_wraps() {
    let partition = holding(&[(i32::MAX - 1, 2)]);
    assert_eq!(partition.check(&idempotent(1, 0, 0, 1)), Ok(Checked::New));
    assert_eq!(partition.check(&idempotent(1, 0, 1, 1)), OUT_OF_ORDER);
    let wrapping = holding(&[(i32::MAX, 3)]);
    assert_eq!(wrapping.check(&idempotent(1, 0, 2, 1)), Ok(Checked::New));
    let again = wrapping.check(&idempotent(1, 0, i32::MAX, 3));
    assert_eq!(first_offset(again), Some(Offset(0)));
}

#[test]
fn an_older_epoch_is_fenced_and_a_newer_one_starts_at_0() {
    let mut partition = Partition::new();
    partition.append(&idempotent(1, 4, 0, 1));
    assert_eq!(partition.check(&idempotent(1, 3, 1, 1)), OLD_EPOCH);
    assert_eq!(partition.check(&idempotent(1, 5, 1, 1)), OUT_OF_ORDER);
    assert_eq!(partition.check(&idempotent(1, 5, 0, 1)), Ok(Checked::New));
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let partition = Partition::new();
    assert_eq!(partition.check(&idempotent(1, 0, 77, 1)), Ok(Checked::New));
}

#[test]
fn an_idle_producer_is_forgotten_but_not_within_its_transaction() {
    let mut partition = holding(&[(0, 1)]);
    partition.append(&transactional(2, 0, 0, 1));
    let day = Timestamp(NOW.0 + 86_400_000);
    let early = Timestamp(day.0 - 1);
    let forgotten = partition.producers.remove_expired(early, 86_400_000);
    assert!(forgotten.is_empty());
    assert_eq!(partition.producers.entries().len(), 2);
    let forgotten = partition.producers.remove_expired(day, 86_400_000);
    assert_eq!(forgotten[..], [ProducerId(1)]);
    let left: Vec<_> = partition.producers.entries().keys().collect();
    assert_eq!(left, [&ProducerId(2)]);
    let late = partition.check(&idempotent(1, 0, 9, 1));
    assert_eq!(late, Ok(Checked::New), "any sequence starts anew (L-10)");
}

#[test]
fn a_producer_writes_nothing_else_within_its_transaction() {
    let mut partition = Partition::new();
    partition.append(&transactional(1, 0, 0, 1));
    assert_eq!(partition.check(&idempotent(1, 0, 1, 1)), NO_TRANSACTION);
    assert_eq!(
        partition.check(&transactional(1, 0, 1, 1)),
        Ok(Checked::New)
    );
}

#[test]
fn a_coordinator_writes_without_sequences_but_not_in_an_old_epoch() {
    let origin = Origin::Coordinator { guard: None };
    let mut partition = Partition::new();
    partition.append(&idempotent(1, 4, 0, 1));
    let without = |epoch| idempotent(1, epoch, -1, 1);
    let checked = partition.check_as(&without(4), origin, false);
    assert_eq!(checked, Ok(Checked::New));
    assert_eq!(partition.check_as(&without(3), origin, false), OLD_EPOCH);
}

#[test]
fn a_transactions_first_batch_needs_its_guard_and_a_duplicate_does_not() {
    let mut partition = Partition::new();
    let first = transactional(1, 0, 0, 1);
    let stamp = first.producer.expect("idempotent");
    assert_eq!(
        partition.check_as(&first, Origin::CLIENT, true),
        NO_TRANSACTION
    );
    let guard = partition.producers.start_verification(stamp, true, NOW);
    let origin = Origin::Client {
        guard: guard.expect("its epoch is no older"),
    };
    assert_eq!(partition.check_as(&first, origin, true), Ok(Checked::New));
    partition.append(&first);
    partition.append(&marker(1, 0, true));
    let next = transactional(1, 0, 1, 1);
    let spent = partition.check_as(&next, origin, true);
    assert_eq!(spent, NO_TRANSACTION, "a guard serves once");
    // L-40: the duplicate is looked for first.
    let again = partition.check_as(&first, Origin::CLIENT, true);
    assert_eq!(first_offset(again), Some(Offset(0)));
    // And the epoch before the guard.
    partition.append(&marker(1, 3, true));
    let old = partition.check_as(&next, Origin::CLIENT, true);
    assert_eq!(old, OLD_EPOCH);
}

#[test]
fn no_guard_is_needed_within_an_open_transaction() {
    let mut partition = Partition::new();
    let first = transactional(1, 0, 0, 1);
    partition.append(&first);
    let stamp = first.producer.expect("idempotent");
    let guard = partition.producers.start_verification(stamp, true, NOW);
    assert_eq!(guard, Ok(None));
    let next = partition.check_as(&transactional(1, 0, 1, 1), Origin::CLIENT, true);
    assert_eq!(next, Ok(Checked::New));
}

#[test]
fn while_a_transaction_is_verified_no_later_batch_overtakes_an_earlier_one() {
    let mut partition = holding(&[(0, 5)]);
    let mut start = |sequence| {
        let stamp = transactional(1, 0, sequence, 1).producer;
        let stamp = stamp.expect("idempotent");
        partition.producers.start_verification(stamp, false, NOW)
    };
    let guard = start(6).expect("its epoch is no older");
    assert_eq!(start(5), Ok(guard), "one verification per producer");
    let origin = Origin::Client { guard };
    let later = partition.check_as(&transactional(1, 0, 6, 1), origin, true);
    assert_eq!(later, OUT_OF_ORDER);
    let earlier = partition.check_as(&transactional(1, 0, 5, 1), origin, true);
    assert_eq!(earlier, Ok(Checked::New));
}

#[test]
fn a_transactional_producer_of_version_2_without_state_starts_at_0() {
    let mut partition = Partition::new();
    let check = |partition: &mut Partition, sequence, supports_epoch_bump| {
        let data = transactional(1, 0, sequence, 1);
        let stamp = data.producer.expect("idempotent");
        let guard = partition
            .producers
            .start_verification(stamp, supports_epoch_bump, NOW);
        let guard = guard.expect("its epoch is no older");
        partition.check_as(&data, Origin::Client { guard }, true)
    };
    assert_eq!(check(&mut partition, 3, true), OUT_OF_ORDER);
    let mut older = Partition::new();
    assert_eq!(check(&mut older, 3, false), Ok(Checked::New));
}

fn check_marker(
    partition: &Partition,
    epoch: i16,
    transaction_version: i16,
) -> Result<Checked, ErrorCode> {
    let origin = Origin::Marker {
        transaction_version,
    };
    partition.check_as(&marker(1, epoch, true), origin, true)
}

#[test]
fn a_marker_of_version_2_carries_a_higher_epoch_except_when_written_again() {
    let mut partition = Partition::new();
    partition.append(&transactional(1, 4, 0, 1));
    assert_eq!(check_marker(&partition, 4, 1), Ok(Checked::New));
    assert_eq!(check_marker(&partition, 4, 2), OLD_EPOCH);
    assert_eq!(check_marker(&partition, 5, 2), Ok(Checked::New));
    partition.append(&marker(1, 5, true));
    assert_eq!(check_marker(&partition, 5, 2), Ok(Checked::New));
    assert_eq!(check_marker(&partition, 4, 2), OLD_EPOCH);
}

#[test]
fn a_marker_of_a_deposed_coordinator_is_fenced() {
    let mut partition = Partition::new();
    let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
    let by = |coordinator| Arc::new(BatchData::of_marker(id, epoch, true, coordinator, NOW));
    partition.append(&by(3));
    let origin = Origin::Marker {
        transaction_version: 1,
    };
    let older = partition.check_as(&by(2), origin, false);
    assert_eq!(older, Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(partition.check_as(&by(3), origin, false), Ok(Checked::New));
}

#[test]
fn a_transaction_is_unstable_until_its_marker_is_replicated() {
    let mut partition = Partition::new();
    partition.append(&plain(2));
    partition.append(&transactional(1, 0, 0, 3)); // 2..5
    partition.append(&transactional(2, 0, 0, 1)); // 5
    partition.append(&marker(1, 0, true)); // 6
    let unstable = |p: &Partition| p.producers.first_unstable();
    assert_eq!(unstable(&partition), Some(Offset(2)));
    partition.producers.on_hw_updated(Offset(6));
    assert_eq!(unstable(&partition), Some(Offset(2)), "the marker is at 6");
    partition.producers.on_hw_updated(Offset(7));
    assert_eq!(unstable(&partition), Some(Offset(5)), "producer 2 is open");
    partition.append(&marker(2, 0, false));
    partition.producers.on_hw_updated(Offset(8));
    assert_eq!(unstable(&partition), None);
}

#[test]
fn readers_learn_of_the_aborted_transactions_in_their_range() {
    let mut partition = Partition::new();
    partition.append(&transactional(1, 0, 0, 2)); // 0..2
    partition.append(&transactional(2, 0, 0, 2)); // 2..4
    partition.append(&marker(2, 0, false)); // 4
    partition.append(&marker(1, 0, false)); // 5
    partition.append(&plain(4)); // 6..10
    let found = |from, upto| {
        let aborted = partition.producers.aborted(Offset(from), Offset(upto));
        aborted.iter().map(|t| t.producer.0).collect::<Vec<_>>()
    };
    assert_eq!(found(0, 10), [2, 1]);
    assert_eq!(found(5, 10), [1], "the other one's marker is behind");
    assert_eq!(found(0, 2), [1], "the other one has not begun");
    assert_eq!(found(6, 10), []);
}

#[test]
fn a_snapshot_keeps_the_last_batch_alone() {
    let mut partition = holding(&[(0, 2), (2, 2)]);
    let mut out = Effects::new();
    partition.producers.take_snapshot(ID, &mut out);
    partition.producers.take_snapshot(ID, &mut out);
    let [Effect::Write(file, Write::Replace(SmallFile::Producers(snapshot)))] = &out[..] else {
        panic!("one snapshot, and no second one of the same: {out:?}");
    };
    assert_eq!(*file, FileId::ProducerSnapshot(ID, Offset(4)));
    let [kept] = &snapshot[&ProducerId(1)].batches[..] else {
        panic!("one batch");
    };
    assert_eq!((kept.first_sequence(), kept.last_sequence), (2, 3));
}
