//! **One leader per partition and leader epoch**, the one that the metadata log names; no replica goes back to an older
//! epoch while it runs (I-6).

use super::history::{Change, History};
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use klab_kafka::ids::LeaderEpoch;
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "one leader per epoch",
    sentence: "A partition has at most one leader in each leader epoch, and epochs never go back.",
    ids: "I-6",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct OneLeader {
    /// Leaders that began.
    pub opportunities: u64,
    leaders: BTreeMap<(u32, LeaderEpoch), ProcessId>,
}

impl OneLeader {
    /// A leader has begun.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let Change::Led {
            partition: partition @ 1..,
            process,
            before,
            epoch,
            ..
        } = change
        else {
            return None;
        };
        self.opportunities += 1;
        let lineage = history.lineage(*partition);
        let first = *self.leaders.entry((*partition, *epoch)).or_insert(*process);
        let named = lineage.election(*epoch).and_then(|e| e.leader);
        let named = named.and_then(|n| history.process_of(n));
        let (who, name) = (
            history.names.of(*process),
            history.partition_name(*partition),
        );
        let seen = if first != *process {
            let first = history.names.of(first);
            format!("{first} and {who} both lead {name} in epoch {epoch}")
        } else if named.is_some_and(|n| n != *process) {
            format!("{who} leads {name} in epoch {epoch}, which is another's by the metadata log")
        } else if before.is_some_and(|b| b > *epoch) {
            format!("{who} went back to epoch {epoch} of {name}")
        } else {
            return None;
        };
        Some(Seen {
            about: About::Partition(lineage.id),
            seen,
        })
    }
}
