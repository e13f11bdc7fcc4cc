//! **The metadata quorum is safe**: one leader per epoch, epochs never go back, what a majority has is committed and nothing
//! else is, what is committed never changes, and every broker's metadata is a prefix of it (I-8, W10, W11; what W11 says of snapshots is not
//! looked at, since there are none).
//!
//! Nothing explains a break but a voter whose disk was replaced: it has forgotten its vote and its log, and Raft promises
//! nothing to a quorum with such a voter.

use super::history::{Change, History};
use super::lineage::{Grown, Role};
use super::matching;
use super::{About, Promise, Seen};
use crate::fault::Fault;
use crate::process::ProcessId;
use crate::trace::{ProcessFact, Record, What};
use klab_kafka::event::{Event, RaftEvent, RaftState};
use klab_kafka::ids::LeaderEpoch;
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "raft safety",
    sentence: "The quorum has one leader per epoch, committed metadata never changes, and brokers hold a prefix of it.",
    ids: "I-8 W10 W11",
    canary: "own-epoch-commit=off; mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct RaftSafety {
    /// Quorum leaders, and high watermarks of the metadata log.
    pub opportunities: u64,
    leaders: BTreeMap<LeaderEpoch, ProcessId>,
    epochs: BTreeMap<ProcessId, LeaderEpoch>,
}

impl RaftSafety {
    /// A replica of the quorum changed its state.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let p = record.process?;
        if let What::Process(ProcessFact::DiskReplaced { .. }) = record.what {
            self.epochs.remove(&p);
        }
        let What::Told(Event::Raft(RaftEvent::Became { state, epoch, .. })) = &record.what else {
            return None;
        };
        let who = history.names.of(p);
        let before = self.epochs.insert(p, *epoch);
        let mut seen = None;
        if let Some(before) = before.filter(|b| b > epoch) {
            seen = Some(format!(
                "{who} went back from quorum epoch {before} to {epoch}"
            ));
        }
        if *state == RaftState::Leader {
            self.opportunities += 1;
            let first = *self.leaders.entry(*epoch).or_insert(p);
            if first != p {
                let first = history.names.of(first);
                seen = Some(format!(
                    "{first} and {who} both lead the quorum in epoch {epoch}"
                ));
            }
        }
        judged(history, seen)
    }

    /// A log of the quorum grew, its leader began, or its high watermark moved.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let seen = match change {
            Change::Led {
                partition: 0,
                process,
                epoch,
                cut: Some(cut),
                ..
            } => {
                let missing = history.metadata().cuts[*cut].missing.len();
                let who = history.names.of(*process);
                Some(format!(
                    "{who} leads the quorum in epoch {epoch} and lacks {missing} committed batches"
                ))
            }
            Change::Grew {
                partition: 0,
                process,
                grown: Grown::Strange(node),
                by_leader: false,
            } => {
                let batch = &history.metadata().node(*node).batch;
                let who = history.names.of(*process);
                let (offset, epoch) = (batch.base_offset, batch.leader_epoch);
                Some(format!(
                    "{who} holds a batch of metadata at offset {offset} of epoch {epoch} that no leader wrote there"
                ))
            }
            Change::HighWatermark {
                partition: 0,
                process,
                advance,
                ..
            } => {
                self.opportunities += 1;
                let differs = advance.mismatch.map(|(ours, theirs)| {
                    matching::differ(history, 0, *process, ours, theirs).seen
                });
                differs
                    .or_else(|| lacks_majority(history, &advance.committed))
                    .or_else(|| is_of_earlier_epoch(history, *process, &advance.committed))
            }
            _ => None,
        };
        judged(history, seen)
    }
}

/// The last batch that was committed lies on too few voters.
fn lacks_majority(history: &History, committed: &std::ops::Range<usize>) -> Option<String> {
    let lineage = history.metadata();
    let last = lineage.committed.get(committed.clone().last()?)?.node;
    let holds = |p: &ProcessId| lineage.replica(*p).is_some_and(|r| lineage.holds(r, last));
    let (have, all) = (
        history.voters().filter(holds).count(),
        history.voters().count(),
    );
    let offset = lineage.node(last).batch.end_offset();
    (have <= all / 2)
        .then(|| format!("metadata is committed up to {offset}, which {have} of {all} voters have"))
}

/// A leader calls committed what ends with another leader's record: a later leader may lack it, however many have it (Raft
/// §5.4.2, KAFKA-12619).
fn is_of_earlier_epoch(
    history: &History,
    process: ProcessId,
    committed: &std::ops::Range<usize>,
) -> Option<String> {
    let lineage = history.metadata();
    let last = lineage.node(lineage.committed.get(committed.clone().last()?)?.node);
    let Role::Leader(epoch) = lineage.replica(process)?.role else {
        return None;
    };
    let (of, offset) = (last.batch.leader_epoch, last.batch.end_offset());
    (of != epoch).then(|| {
        let who = history.names.of(process);
        format!("{who} leads in epoch {epoch} and calls metadata committed up to {offset}, which ends with epoch {of}")
    })
}

fn judged(history: &History, seen: Option<String>) -> Option<Seen> {
    let seen = seen?;
    let forgetful = history.harms.applied.iter().any(|h| match &h.fault {
        Fault::DiskLoss { who } => history.voters().any(|v| who.contains(&v)),
        _ => false,
    });
    (!forgetful).then(|| Seen {
        about: About::Partition(history.metadata().id),
        seen,
    })
}
