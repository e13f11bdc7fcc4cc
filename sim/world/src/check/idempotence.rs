//! **Idempotence**: per partition, producer id and epoch the sequence numbers in the committed log follow one another from
//! the first on, and none stands there twice (I-9).
//!
//! The first may be any number: a leader that knows nothing of a producer accepts what comes (L-10, P08). So may the first
//! after its leader forgot an idle producer (L-14).

use super::history::{Change, History};
use super::lineage::{Lineage, NodeRef};
use super::{About, Promise, Seen};
use klab_kafka::ids::{ProducerEpoch, ProducerId};
use klab_kafka::log::batch::{ProducerStamp, RecordBatch};
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "idempotence",
    sentence: "Per partition, producer id and epoch, sequence numbers are contiguous and none is written twice.",
    ids: "I-9",
    canary: "mutated history: double, drop",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct Idempotence {
    /// Committed batches with a sequence number that had one before them.
    pub opportunities: u64,
    /// The epoch and the next sequence number of each producer, and its last batch.
    next: BTreeMap<(u32, ProducerId), (ProducerEpoch, i32, NodeRef)>,
}

impl Idempotence {
    /// Batches were committed, or are no longer.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        match change {
            Change::HighWatermark {
                partition: partition @ 1..,
                advance,
                ..
            } => {
                let lineage = history.lineage(*partition);
                let places = advance.committed.clone();
                let mut seen = None;
                for node in places.filter_map(|at| committed(lineage, at)) {
                    let first = self.commit(*partition, lineage, node);
                    let batch = &lineage.node(node).batch;
                    seen = seen.or_else(|| first.map(|what| say(history, *partition, batch, what)));
                }
                seen
            }
            // What was committed may be less now, or more again.
            Change::Led {
                partition: partition @ 1..,
                ..
            } => {
                self.next.retain(|(p, _), _| p != partition);
                let lineage = history.lineage(*partition);
                for at in 0..lineage.committed.len() {
                    committed(lineage, at).and_then(|n| self.commit(*partition, lineage, n));
                }
                None
            }
            _ => None,
        }
    }

    fn commit(&mut self, partition: u32, lineage: &Lineage, at: NodeRef) -> Option<&'static str> {
        let node = lineage.node(at);
        let stamp = node.batch.data.producer?;
        let after = sequence_after(stamp, node.batch.data.count);
        let after = (stamp.epoch, after, at);
        let known = self.next.insert((partition, stamp.id), after);
        let (epoch, next, before) = known?;
        self.opportunities += 1;
        let wrong = does_not_follow(stamp, epoch, next)?;
        let forgot = lineage.forgot(node.by, stamp.id, before, node.seq);
        forgot.is_none().then_some(wrong)
    }
}

/// What is wrong with a batch behind one of this epoch, after which this sequence number is next.
fn does_not_follow(stamp: ProducerStamp, epoch: ProducerEpoch, next: i32) -> Option<&'static str> {
    if stamp.epoch < epoch {
        Some("comes from an epoch that the producer has left")
    } else if stamp.epoch > epoch && stamp.base_sequence != 0 {
        Some("begins a new epoch, but not at 0")
    } else if stamp.epoch == epoch && stamp.base_sequence != next {
        Some("does not follow the sequence number before it")
    } else {
        None
    }
}

/// Sequence numbers wrap after 2^31 - 1 to 0 (L-1).
fn sequence_after(stamp: ProducerStamp, count: i32) -> i32 {
    let next = i64::from(stamp.base_sequence) + i64::from(count);
    i32::try_from(next & i64::from(i32::MAX)).expect("31 bits fit")
}

fn committed(lineage: &Lineage, at: usize) -> Option<NodeRef> {
    Some(lineage.committed.get(at)?.node)
}

fn say(history: &History, partition: u32, batch: &RecordBatch, what: &str) -> Seen {
    let stamp = batch
        .data
        .producer
        .expect("only stamped batches are judged");
    let (id, epoch) = (stamp.id.0, stamp.epoch.0);
    Seen {
        about: About::Partition(history.lineage(partition).id),
        seen: format!(
            "the batch at {} offset {} with sequence number {} of producer id {id}, epoch {epoch}, {what}",
            history.partition_name(partition),
            batch.base_offset,
            stamp.base_sequence,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        let stamp = |base_sequence| ProducerStamp {
            id: ProducerId(1),
            epoch: ProducerEpoch(0),
            base_sequence,
        };
        assert_eq!(sequence_after(stamp(0), 5), 5);
        assert_eq!(sequence_after(stamp(i32::MAX), 1), 0);
        assert_eq!(sequence_after(stamp(i32::MAX - 1), 3), 1);
    }
}
