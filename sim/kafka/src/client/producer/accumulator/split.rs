//! Splitting a batch that was too large for the broker (P-12): RecordAccumulator.splitAndReenqueue.
//!
//! It keeps: order, age and sequence numbers; parts of a part are half as large, but never smaller than its largest
//! record, so that splitting comes to an end.

use super::Accumulator;
use crate::client::producer::batch::{BatchId, ProducerBatch};
use crate::client::producer::ratio::Ratio;

impl Accumulator {
    /// Puts the records of a batch back into its queue in smaller batches; returns these, in order. The whole is over, and
    /// its memory is free.
    ///
    /// # Panics
    /// If it is in flight.
    pub fn split(&mut self, id: BatchId) -> Vec<BatchId> {
        let whole = self.batches.get_mut(id);
        whole.done = true;
        let target = match whole.split_from {
            None => self.batch_size,
            Some(_) => whole.largest_record().max(whole.size() / 2),
        };
        let whole = self.release(id);
        // The expectation was wrong, whatever it was.
        let topic = &mut self.topics[whole.partition.topic.0 as usize];
        topic.ratio = Ratio::after_too_large(whole.ratio());
        let parts: Vec<ProducerBatch> = whole.split(id, target, topic.ratio);
        let ids: Vec<BatchId> = parts
            .into_iter()
            .map(|part| self.batches.push(part))
            .collect();
        self.parts += u32::try_from(ids.len()).expect("a batch holds fewer than 2^31 records");
        for part in ids.iter().rev() {
            self.insert(*part);
        }
        ids
    }
}
