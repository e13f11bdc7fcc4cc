//! Who the producer is and which sequence numbers its batches bear: the idempotent half of Kafka's TransactionManager,
//! with its TxnPartitionMap.
//!
//! It keeps: a batch gets its numbers when it is drained for the first time, and keeps them over retries (P-13); while a
//! retry is pending only the batch with the lowest numbers of its partition goes out (P-19); after a gap that cannot be
//! filled the producer bumps its own epoch and renumbers what is in flight from 0 (P-17); after a batch was given up whose
//! fate is unknown, no new one gets numbers until the fate of those in flight is known (P-18).
//!
//! Left out: transactions. Where Kafka renumbers batches with no producer id at all when the epoch is used up, their
//! numbers wait here for the new id.

use super::batch::{BatchId, TopicPartition};
use crate::ids::{NodeId, Offset, ProducerEpoch, ProducerId};
use crate::log::batch::{ProducerStamp, sequence_after};
use crate::protocol::ErrorCode;
use crate::time::Time;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A producer id and its epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ProducerIdAndEpoch {
    /// The id.
    pub id: ProducerId,
    /// The epoch.
    pub epoch: ProducerEpoch,
}

/// The producer's identity. The legal transitions, with their causes:
/// - Wanted -> Known: InitProducerId was answered;
/// - Known -> Known in the next epoch: a gap (P-17, P-18);
/// - Known -> Wanted: the epochs are used up;
/// - Wanted -> Failed: InitProducerId was refused for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Identity {
    /// It must be asked for.
    Wanted(Asking),
    /// It is this.
    Known(ProducerIdAndEpoch),
    /// There will be none: nothing can be sent any more.
    Failed(ErrorCode),
}

/// How far the question for an identity has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Asking {
    /// A node is to be chosen, not before this time.
    From(Time),
    /// A node was chosen and may need a connection.
    Awaiting {
        /// Which node.
        node: NodeId,
        /// Since when.
        since: Time,
    },
    /// The request is on its way.
    Sent,
}

/// An idempotent producer's memory.
#[derive(Clone, Debug, Serialize)]
pub struct Idempotence {
    identity: Identity,
    partitions: BTreeMap<TopicPartition, Entry>,
    /// Partitions with batches of unknown fate (P-18), with the number after the last of them.
    unresolved: BTreeMap<TopicPartition, i32>,
    /// Partitions whose batches in flight are renumbered with the next epoch.
    to_rewrite: BTreeSet<TopicPartition>,
    bump_required: bool,
}

/// Kafka's TxnPartitionEntry.
#[derive(Clone, Debug, Default, Serialize)]
struct Entry {
    /// The identity that its numbers belong to.
    producer: Option<ProducerIdAndEpoch>,
    next_sequence: i32,
    last_acked_sequence: Option<i32>,
    last_acked_offset: Option<Offset>,
    /// Drained and not ended, by identity and number. Some may be back in the queue.
    in_flight: Vec<InFlight>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct InFlight {
    batch: BatchId,
    stamp: ProducerStamp,
    count: i32,
}

/// A batch that gets other numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renumbered {
    /// Which.
    pub batch: BatchId,
    /// Its new numbers.
    pub stamp: ProducerStamp,
}

/// What is asked about a batch that a broker refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedBatch {
    /// For which partition.
    pub partition: TopicPartition,
    /// Its numbers now.
    pub stamp: ProducerStamp,
    /// They are not those that the broker saw.
    pub reset: bool,
}

impl Default for Idempotence {
    /// Nobody yet.
    fn default() -> Idempotence {
        Idempotence {
            identity: Identity::Wanted(Asking::From(Time(0))),
            partitions: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            to_rewrite: BTreeSet::new(),
            bump_required: false,
        }
    }
}

impl Idempotence {
    /// Who the producer is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where the question for an identity stands.
    pub fn ask(&mut self, asking: Asking) {
        assert!(
            matches!(self.identity, Identity::Wanted(_)),
            "an identity is asked for when there is none"
        );
        self.identity = Identity::Wanted(asking);
    }

    /// The answer to InitProducerId. Returns what must be renumbered.
    pub fn obtained(&mut self, id: ProducerId, epoch: ProducerEpoch) -> Vec<Renumbered> {
        self.ask(Asking::Sent);
        let producer = ProducerIdAndEpoch { id, epoch };
        self.identity = Identity::Known(producer);
        self.rewrite(producer)
    }

    /// InitProducerId was refused for good.
    pub fn refused(&mut self, error: ErrorCode) {
        self.identity = Identity::Failed(error);
    }

    /// Whether a batch must stay in its queue for now (RecordAccumulator.shouldStopDrainBatchesForPartition).
    pub fn must_wait(&self, partition: TopicPartition, stamp: Option<ProducerStamp>) -> bool {
        let Identity::Known(producer) = self.identity else {
            return true;
        };
        let entry = self.partitions.get(&partition);
        let first = entry.and_then(|e| e.in_flight.first());
        match (stamp, first) {
            // A new batch of a new epoch starts at 0: it must not overtake batches of the old one.
            (None, Some(_)) if entry.is_some_and(|e| e.producer != Some(producer)) => true,
            // P-18.
            (None, _) => self.unresolved.contains_key(&partition),
            // P-19: a retry goes out only when it is the next in line.
            (Some(stamp), Some(first)) => stamp.base_sequence != first.stamp.base_sequence,
            (Some(_), None) => false,
        }
    }

    /// Numbers a batch that is drained for the first time (P-13).
    ///
    /// # Panics
    /// If it [must wait](Self::must_wait).
    pub fn number(
        &mut self,
        partition: TopicPartition,
        batch: BatchId,
        count: i32,
    ) -> ProducerStamp {
        let Identity::Known(producer) = self.identity else {
            panic!("batches are numbered by a producer with an id");
        };
        let entry = self.partitions.entry(partition).or_default();
        if entry.producer != Some(producer) {
            let renumbered = entry.start_at_beginning(producer);
            assert!(
                renumbered.is_empty(),
                "a new epoch waits for the old one's batches"
            );
        }
        let stamp = producer.stamp(entry.next_sequence);
        entry.next_sequence = sequence_after(entry.next_sequence, count);
        entry.in_flight.push(InFlight {
            batch,
            stamp,
            count,
        });
        stamp
    }

    /// A batch was too large: its parts have its numbers from now on (P-12).
    pub fn split(
        &mut self,
        partition: TopicPartition,
        whole: BatchId,
        parts: impl Iterator<Item = (BatchId, ProducerStamp, i32)>,
    ) {
        let entry = self.partitions.entry(partition).or_default();
        entry.forget(whole);
        entry
            .in_flight
            .extend(parts.map(|(batch, stamp, count)| InFlight {
                batch,
                stamp,
                count,
            }));
        entry.sort();
    }

    /// Whether a broker's refusal of a batch is a reason to send it again (TransactionManager.canRetry). May ask for an
    /// epoch bump.
    pub fn may_retry(&mut self, batch: RefusedBatch, error: ErrorCode) -> bool {
        let RefusedBatch {
            partition,
            stamp,
            reset,
        } = batch;
        match error {
            // Brokers no longer say this; an older one that has forgotten the producer takes it up in a new epoch.
            ErrorCode::UnknownProducerId => {
                if !reset {
                    self.require_bump(partition);
                }
                true
            }
            ErrorCode::OutOfOrderSequenceNumber => {
                let unresolved = self.unresolved.get(&partition);
                let missing_earlier = reset || !self.is_next(partition, stamp.base_sequence);
                // P-17: if an earlier batch is still out, it is only early. If it is the next in line, or the first after
                // one that was given up, then there is a gap in the log that nothing will fill.
                let gap = match unresolved {
                    None => !missing_earlier,
                    Some(after) => *after == stamp.base_sequence,
                };
                if gap {
                    self.require_bump(partition);
                }
                true
            }
            error => error.is_retriable(),
        }
    }

    /// A batch ended well, or so it turned out after it was given up.
    pub fn completed(
        &mut self,
        partition: TopicPartition,
        batch: BatchId,
        last_sequence: i32,
        last_offset: Option<Offset>,
    ) {
        let entry = self.partitions.entry(partition).or_default();
        entry.last_acked_sequence = entry.last_acked_sequence.max(Some(last_sequence));
        entry.last_acked_offset = entry.last_acked_offset.max(last_offset);
        entry.forget(batch);
    }

    /// A batch ended badly. With `never_written` the broker has said that it did not take it: its numbers are free, but
    /// those after it are in use, so that only a new epoch closes the gap.
    pub fn failed(
        &mut self,
        partition: TopicPartition,
        batch: BatchId,
        error: Option<ErrorCode>,
        never_written: bool,
    ) {
        if let Some(entry) = self.partitions.get_mut(&partition) {
            entry.forget(batch);
        }
        match error {
            Some(ErrorCode::OutOfOrderSequenceNumber) => self.require_bump(partition),
            Some(ErrorCode::UnknownProducerId) => {
                self.partitions.remove(&partition);
                self.unresolved.remove(&partition);
            }
            _ if never_written => self.require_bump(partition),
            _ => {}
        }
    }

    /// A batch was given up after it had been sent: nobody knows whether it was written (P-18).
    pub fn mark_unresolved(&mut self, partition: TopicPartition, after: i32) {
        let mark = self.unresolved.entry(partition).or_insert(after);
        *mark = after.max(*mark);
    }

    /// Looks whether the fate of given-up batches is known by now (P-18): it is once nothing is in flight. If the last
    /// acknowledged number is the one before the next, all is well; else there is a gap.
    pub fn resolve(&mut self) {
        if self.unresolved.is_empty() {
            return;
        }
        let resolved: Vec<TopicPartition> = self.unresolved.keys().copied().collect();
        for partition in resolved {
            let entry = self.partitions.entry(partition).or_default();
            if !entry.in_flight.is_empty() {
                continue;
            }
            self.unresolved.remove(&partition);
            let next = entry.next_sequence;
            if !self.is_next(partition, next) {
                self.require_bump(partition);
            }
        }
    }

    /// Bumps the epoch if something asked for it; an epoch that is used up takes a new id (P-18). Returns the identity
    /// after it and what gets other numbers.
    pub fn bump_if_required(&mut self, now: Time) -> Option<(Identity, Vec<Renumbered>)> {
        let Identity::Known(producer) = self.identity else {
            return None;
        };
        if !std::mem::take(&mut self.bump_required) {
            return None;
        }
        if producer.epoch.0 == i16::MAX {
            self.identity = Identity::Wanted(Asking::From(now));
            return Some((self.identity, Vec::new()));
        }
        let producer = ProducerIdAndEpoch {
            epoch: ProducerEpoch(producer.epoch.0 + 1),
            ..producer
        };
        self.identity = Identity::Known(producer);
        Some((self.identity, self.rewrite(producer)))
    }

    fn require_bump(&mut self, partition: TopicPartition) {
        self.bump_required = true;
        self.to_rewrite.insert(partition);
    }

    fn rewrite(&mut self, producer: ProducerIdAndEpoch) -> Vec<Renumbered> {
        let mut renumbered = Vec::new();
        for partition in std::mem::take(&mut self.to_rewrite) {
            let entry = self.partitions.entry(partition).or_default();
            renumbered.extend(entry.start_at_beginning(producer));
            self.unresolved.remove(&partition);
        }
        renumbered
    }

    /// Whether `sequence` follows the last acknowledged number; before any, 0 does.
    fn is_next(&self, partition: TopicPartition, sequence: i32) -> bool {
        let last = self
            .partitions
            .get(&partition)
            .and_then(|e| e.last_acked_sequence);
        sequence == last.map_or(0, |last| sequence_after(last, 1))
    }
}

impl ProducerIdAndEpoch {
    fn stamp(self, base_sequence: i32) -> ProducerStamp {
        ProducerStamp {
            id: self.id,
            epoch: self.epoch,
            base_sequence,
        }
    }
}

impl Entry {
    /// Numbers from 0 in a new epoch, those in flight first, in their old order.
    fn start_at_beginning(&mut self, producer: ProducerIdAndEpoch) -> Vec<Renumbered> {
        self.sort();
        self.next_sequence = 0;
        for one in &mut self.in_flight {
            one.stamp = producer.stamp(self.next_sequence);
            self.next_sequence = sequence_after(self.next_sequence, one.count);
        }
        self.producer = Some(producer);
        self.last_acked_sequence = None;
        let renumbered = self.in_flight.iter().map(|f| Renumbered {
            batch: f.batch,
            stamp: f.stamp,
        });
        renumbered.collect()
    }

    fn sort(&mut self) {
        self.in_flight
            .sort_by_key(|f| (f.stamp.id, f.stamp.epoch, f.stamp.base_sequence));
    }

    fn forget(&mut self, batch: BatchId) {
        self.in_flight.retain(|f| f.batch != batch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::TopicIndex;
    use super::*;

    const P0: TopicPartition = TopicPartition {
        topic: TopicIndex(0),
        partition: 0,
    };
    const P1: TopicPartition = TopicPartition { partition: 1, ..P0 };
    const GAP: ErrorCode = ErrorCode::OutOfOrderSequenceNumber;

    /// Producer 7 in epoch 0, with batches 0, 1, 2, … of ten records each in flight for partition 0.
    fn with_in_flight(batches: u64) -> Idempotence {
        let mut i = Idempotence::default();
        i.obtained(ProducerId(7), ProducerEpoch(0));
        for b in 0..batches {
            i.number(P0, BatchId(b), 10);
        }
        i
    }

    fn stamp(epoch: i16, base_sequence: i32) -> ProducerStamp {
        ProducerStamp {
            id: ProducerId(7),
            epoch: ProducerEpoch(epoch),
            base_sequence,
        }
    }

    fn refused(epoch: i16, base_sequence: i32) -> RefusedBatch {
        RefusedBatch {
            partition: P0,
            stamp: stamp(epoch, base_sequence),
            reset: false,
        }
    }

    fn renumbered(i: &mut Idempotence) -> Vec<(u64, i16, i32)> {
        let (_, renumbered) = i.bump_if_required(Time(0)).expect("a bump was asked for");
        let plain = |r: &Renumbered| (r.batch.0, r.stamp.epoch.0, r.stamp.base_sequence);
        renumbered.iter().map(plain).collect()
    }

    #[test]
    fn nothing_is_sent_before_the_producer_has_an_id() {
        let mut i = Idempotence::default();
        assert!(i.must_wait(P0, None));
        i.obtained(ProducerId(7), ProducerEpoch(0));
        assert!(!i.must_wait(P0, None));
    }

    #[test]
    fn sequence_numbers_count_records_per_partition_from_zero() {
        let mut i = with_in_flight(2);
        assert_eq!(i.number(P0, BatchId(2), 1), stamp(0, 20));
        assert_eq!(i.number(P1, BatchId(3), 1), stamp(0, 0));
    }

    #[test]
    fn only_the_lowest_retry_of_a_partition_goes_out() {
        let mut i = with_in_flight(2);
        assert!(!i.must_wait(P0, Some(stamp(0, 0))));
        assert!(i.must_wait(P0, Some(stamp(0, 10))));
        i.completed(P0, BatchId(0), 9, None);
        assert!(!i.must_wait(P0, Some(stamp(0, 10))));
    }

    #[test]
    fn a_batch_out_of_order_behind_one_still_out_is_retried_as_it_is() {
        let mut i = with_in_flight(2);
        assert!(i.may_retry(refused(0, 10), GAP));
        assert_eq!(i.bump_if_required(Time(0)), None);
    }

    #[test]
    fn a_gap_bumps_the_epoch_and_renumbers_from_zero() {
        let mut i = with_in_flight(3);
        i.completed(P0, BatchId(0), 9, None);
        assert!(i.may_retry(refused(0, 10), GAP));
        assert_eq!(renumbered(&mut i), [(1, 1, 0), (2, 1, 10)]);
        assert_eq!(i.number(P0, BatchId(3), 1), stamp(1, 20));
    }

    #[test]
    fn a_bump_leaves_the_numbers_of_other_partitions_until_their_batches_have_ended() {
        let mut i = with_in_flight(1);
        i.number(P1, BatchId(9), 1);
        assert!(i.may_retry(refused(0, 0), GAP));
        assert_eq!(renumbered(&mut i), [(0, 1, 0)]);
        assert!(i.must_wait(P1, None));
        i.completed(P1, BatchId(9), 0, None);
        assert!(!i.must_wait(P1, None));
        assert_eq!(i.number(P1, BatchId(10), 1), stamp(1, 0));
    }

    #[test]
    fn a_batch_refused_for_good_bumps_the_epoch_because_later_ones_bear_higher_numbers() {
        let mut i = with_in_flight(2);
        i.failed(P0, BatchId(0), Some(ErrorCode::MessageTooLarge), true);
        assert_eq!(renumbered(&mut i), [(1, 1, 0)]);
    }

    #[test]
    fn after_a_batch_of_unknown_fate_no_new_one_is_numbered_until_all_have_ended() {
        let mut i = with_in_flight(2);
        i.failed(P0, BatchId(0), None, false);
        i.mark_unresolved(P0, 10);
        i.resolve();
        assert!(i.must_wait(P0, None));
        i.completed(P0, BatchId(1), 19, None);
        i.resolve();
        assert!(
            !i.must_wait(P0, None),
            "a later one arrived, so the earlier one had"
        );
        assert_eq!(i.bump_if_required(Time(0)), None);
    }

    #[test]
    fn if_all_batches_of_unknown_fate_were_given_up_the_epoch_is_bumped() {
        let mut i = with_in_flight(1);
        i.failed(P0, BatchId(0), None, false);
        i.mark_unresolved(P0, 10);
        i.resolve();
        assert_eq!(renumbered(&mut i), []);
        assert_eq!(i.number(P0, BatchId(1), 1), stamp(1, 0));
    }

    #[test]
    fn the_first_batch_after_one_of_unknown_fate_tells_a_gap_by_being_out_of_order() {
        let mut i = with_in_flight(3);
        i.failed(P0, BatchId(0), None, false);
        i.mark_unresolved(P0, 10);
        assert!(i.may_retry(refused(0, 20), GAP));
        assert_eq!(i.bump_if_required(Time(0)), None);
        assert!(i.may_retry(refused(0, 10), GAP));
        assert_eq!(renumbered(&mut i), [(1, 1, 0), (2, 1, 10)]);
    }

    #[test]
    fn a_batch_renumbered_while_it_was_out_is_retried_with_its_new_numbers() {
        let mut i = with_in_flight(2);
        i.may_retry(refused(0, 0), GAP);
        renumbered(&mut i);
        let reset = RefusedBatch {
            reset: true,
            ..refused(1, 10)
        };
        assert!(i.may_retry(reset, GAP));
        assert_eq!(i.bump_if_required(Time(0)), None);
    }

    #[test]
    fn epochs_used_up_take_a_new_id_and_renumber_then() {
        let mut i = Idempotence::default();
        i.obtained(ProducerId(7), ProducerEpoch(i16::MAX));
        i.number(P0, BatchId(0), 10);
        i.may_retry(refused(i16::MAX, 0), GAP);
        let (identity, renumbered) = i.bump_if_required(Time(5)).expect("asked for");
        assert_eq!(identity, Identity::Wanted(Asking::From(Time(5))));
        assert!(renumbered.is_empty() && i.must_wait(P0, Some(stamp(i16::MAX, 0))));
        let renumbered = i.obtained(ProducerId(8), ProducerEpoch(0));
        assert_eq!(renumbered[0].stamp.id, ProducerId(8));
        assert_eq!(renumbered[0].stamp.base_sequence, 0);
    }

    #[test]
    fn other_errors_are_retried_if_kafka_calls_them_retriable() {
        let mut i = with_in_flight(1);
        assert!(i.may_retry(refused(0, 0), ErrorCode::NotEnoughReplicas));
        assert!(!i.may_retry(refused(0, 0), ErrorCode::InvalidProducerEpoch));
    }
}
