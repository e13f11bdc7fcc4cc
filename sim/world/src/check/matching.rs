//! **Logs match**: two replicas agree on everything below both their high watermarks, and a batch is known by its offset and
//! leader epoch alone (I-2, W1).
//!
//! Every append is held against the tree of all batches: a copy must follow in its log what it follows in its leader's.
//! Records that a later leader has overruled are compared with nothing: they wait to be cut off.

use super::history::{Change, History};
use super::lineage::{Grown, NodeRef};
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use klab_kafka::ids::{LeaderEpoch, Offset};
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "log matching",
    sentence: "Two replicas agree below both their high watermarks; offset and leader epoch name one batch.",
    ids: "I-2 W1",
    canary: "truncate=kip101; mutated history: relabel, double",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct LogMatching {
    /// Copies compared, and high watermarks.
    pub opportunities: u64,
    /// By partition and epoch: the offset after the last batch that a leader wrote.
    written: BTreeMap<(u32, LeaderEpoch), Offset>,
}

impl LogMatching {
    /// A log grew, or a high watermark moved.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        match change {
            Change::Grew {
                partition: partition @ 1..,
                process,
                grown,
                by_leader,
            } => {
                self.opportunities += u64::from(!by_leader);
                self.grew(*partition, *process, *grown, *by_leader, history)
            }
            Change::HighWatermark {
                partition: partition @ 1..,
                process,
                advance,
                ..
            } => {
                self.opportunities += 1;
                let (ours, theirs) = advance.mismatch?;
                Some(differ(history, *partition, *process, ours, theirs))
            }
            _ => None,
        }
    }

    fn grew(
        &mut self,
        partition: u32,
        process: ProcessId,
        grown: Grown,
        by_leader: bool,
        history: &History,
    ) -> Option<Seen> {
        let lineage = history.lineage(partition);
        let batch = &lineage.node(grown.node()).batch;
        let (name, who) = (
            || history.partition_name(partition),
            history.names.of(process),
        );
        if by_leader {
            let last = self.written.entry((partition, batch.leader_epoch));
            let last = last.or_insert(batch.base_offset);
            let again = batch.base_offset < *last;
            *last = batch.end_offset().max(*last);
            return again.then(|| Seen {
                about: About::Partition(lineage.id),
                seen: format!(
                    "{who} wrote offset {} of {} in epoch {} once more",
                    batch.base_offset,
                    name(),
                    batch.leader_epoch
                ),
            });
        }
        matches!(grown, Grown::Strange(_)).then(|| Seen {
            about: About::Partition(lineage.id),
            seen: format!(
                "{who} copied offset {} of epoch {} of {} behind records that its leader does not have",
                batch.base_offset,
                batch.leader_epoch,
                name()
            ),
        })
    }
}

/// Two committed batches at one place.
pub fn differ(
    history: &History,
    partition: u32,
    process: ProcessId,
    ours: NodeRef,
    theirs: NodeRef,
) -> Seen {
    let lineage = history.lineage(partition);
    let (ours, theirs) = (&lineage.node(ours).batch, &lineage.node(theirs).batch);
    Seen {
        about: About::Partition(lineage.id),
        seen: format!(
            "{} holds offset {} of {} from epoch {} below its high watermark; committed there is a batch of epoch {}",
            history.names.of(process),
            ours.base_offset,
            history.partition_name(partition),
            ours.leader_epoch,
            theirs.leader_epoch,
        ),
    }
}
