//! **Epochs ascend**: the batches that a reader gets in the order of their offsets carry leader epochs that never go back (B24): a
//! later leader writes behind what its predecessors wrote.

use super::history::History;
use super::readers::delivered;
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use crate::trace::Record;
use klab_kafka::ids::{ClientId, LeaderEpoch, Offset, TopicIdPartition};
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "epochs ascend",
    sentence: "What a reader gets in the order of offsets carries leader epochs that never go back.",
    ids: "B24",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct EpochsAscend {
    /// Records that a reader got after another.
    pub opportunities: u64,
    last: BTreeMap<(ProcessId, ClientId, TopicIdPartition), Option<(Offset, LeaderEpoch)>>,
}

impl EpochsAscend {
    /// A client told a fact.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let (client, partition, records) = delivered(record)?;
        let reader = record.process?;
        let key = (reader, client, partition);
        let last = self.last.entry(key).or_default();
        let mut seen = None;
        for (offset, epoch, id) in records {
            if let Some((before, highest)) = *last {
                self.opportunities += 1;
                if before < *offset && *epoch < highest && seen.is_none() {
                    seen = Some(Seen {
                        about: About::Record(*id),
                        seen: format!(
                            "{} got {} at offset {offset} of epoch {epoch}, after offset {before} of epoch {highest}",
                            history.names.of(reader),
                            history.record_name(*id),
                        ),
                    });
                }
            }
            *last = Some((*offset, *epoch));
        }
        seen
    }
}
