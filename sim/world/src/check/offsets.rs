//! **Offsets are ordered**: log start ≤ high watermark ≤ log end, batches follow one another without a gap, and a leader's
//! high watermark never goes back within its epoch (I-7, W8).

use super::history::{Change, History};
use super::lineage::{Grown, Role};
use super::{About, Promise, Seen};

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "offsets ordered",
    sentence: "Log start <= HW <= LEO on every replica, and a leader's HW never goes back in its epoch.",
    ids: "I-7 W8",
    canary: "mutated history: drop, swap",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct OffsetsOrdered {
    /// Batches, high watermarks and log starts.
    pub opportunities: u64,
}

impl OffsetsOrdered {
    /// A log grew, or a high watermark or a log start moved.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let (partition, process, what) = match change {
            Change::Grew {
                partition,
                process,
                grown,
                ..
            } => {
                self.opportunities += 1;
                let Grown::Gap(node) = grown else {
                    return None;
                };
                let batch = &history.lineage(*partition).node(*node).batch;
                let what = format!(
                    "begins a batch at offset {}, not where its log ends",
                    batch.base_offset
                );
                (*partition, *process, what)
            }
            Change::HighWatermark {
                partition,
                process,
                from,
                to,
                ..
            } => {
                self.opportunities += 1;
                let lineage = history.lineage(*partition);
                let replica = lineage.replica(*process)?;
                let leo = lineage.leo(replica);
                let what = if *to > leo {
                    format!("has its high watermark at {to} and its log end at {leo}")
                } else if to < from && matches!(replica.role, Role::Leader(_)) {
                    format!("leads, and takes its high watermark back from {from} to {to}")
                } else {
                    return None;
                };
                (*partition, *process, what)
            }
            Change::Start {
                partition,
                process,
                at,
            } => {
                self.opportunities += 1;
                let lineage = history.lineage(*partition);
                let replica = lineage.replica(*process)?;
                let end = lineage.leo(replica).min(replica.hw);
                if *at <= end {
                    return None;
                }
                let what = format!(
                    "has its log start at {at}, above {end}, its high watermark or its log end"
                );
                (*partition, *process, what)
            }
            _ => return None,
        };
        Some(Seen {
            about: About::Partition(history.lineage(partition).id),
            seen: format!(
                "{} {what}, in {}",
                history.names.of(process),
                history.partition_name(partition)
            ),
        })
    }
}
