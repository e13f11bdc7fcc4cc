//! **In sync holds committed**: every member of the ISR, as the committed metadata log has it, holds every committed record
//! (I-4, I-5, W3, W5): whoever of them is elected next, nothing acknowledged goes. That a leader counts at least that ISR (W4)
//! is looked at by what it is for: a leader that counts fewer commits what a member does not hold.
//!
//! It speaks long before a record is lost: the loss still needs an election. Looked at where it can change: a member joins
//! (KAFKA-7128, KIP-903), a leader commits (KIP-497), a member cuts its log (KIP-101). What a harm took from a member in
//! its present registration is nobody's fault: the controller cannot know before the broker registers anew (K-15). An
//! unclean election makes a member of somebody who lacks what was committed, and says so. What a leader has given up nobody
//! need hold.

use super::history::{Change, History};
use super::lineage::{Lineage, NodeRef, Role};
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use klab_kafka::ids::NodeId;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "in sync holds committed",
    sentence: "Every member of the ISR holds every committed record.",
    ids: "I-4 I-5 W3 W4 W5",
    canary: "hw-quorum=committed-isr, isr-expand-epoch-start=off, isr-broker-epoch=off, truncate=hw, truncate=kip101; mutated history: drop",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct InSync {
    /// Members of an ISR that were looked at.
    pub opportunities: u64,
}

impl InSync {
    /// A member joined, a leader committed, or a log shrank.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        match change {
            Change::IsrChanged {
                partition: partition @ 1..,
                joined,
                ..
            } => {
                let last = history.lineage(*partition).committed.last()?.node;
                let lacks = |n: &&NodeId| self.lacks(history, *partition, **n, last);
                let member = *joined.iter().find(lacks)?;
                Some(say(history, *partition, member, last, "joins the ISR"))
            }
            Change::HighWatermark {
                partition: partition @ 1..,
                process,
                advance,
                ..
            } => {
                let lineage = history.lineage(*partition);
                let last = lineage.committed.get(advance.committed.clone().last()?)?;
                let registered = history.registration(*partition)?;
                // A leader that was overruled commits in an ISR that is no more.
                let role = lineage.replica(*process)?.role;
                if role != Role::Leader(registered.leader_epoch) {
                    return None;
                }
                let lacks = |n: &&NodeId| self.lacks(history, *partition, **n, last.node);
                let member = *registered.isr.iter().find(lacks)?;
                let what = "is in the ISR while its leader commits";
                Some(say(history, *partition, member, last.node, what))
            }
            Change::Shrank {
                partition: partition @ 1..,
                process,
                graves,
                removal,
            } if !removal.is_harm() => {
                let lineage = history.lineage(*partition);
                let member = history.node_of(*process)?;
                if !history.registration(*partition)?.isr.contains(&member) {
                    return None;
                }
                let mut gone = lineage.graves.starting_at(*graves).map(|g| g.node);
                let is_needed = |n: &NodeRef| lineage.is_committed(*n) && !lineage.is_given_up(*n);
                let node = gone.find(is_needed)?;
                let what = "is in the ISR and cuts its log";
                Some(say(history, *partition, member, node, what))
            }
            _ => None,
        }
    }

    fn lacks(&mut self, history: &History, partition: u32, member: NodeId, node: NodeRef) -> bool {
        self.opportunities += 1;
        let lineage = history.lineage(partition);
        if lineage.is_given_up(node) {
            return false;
        }
        let Some(process) = history.process_of(member) else {
            return false;
        };
        let holds = lineage.replica(process);
        !holds.is_some_and(|r| lineage.holds(r, node))
            && !was_harmed(history, lineage, member, process)
    }
}

/// Whether a harm took something from a replica since its broker registered.
fn was_harmed(history: &History, lineage: &Lineage, member: NodeId, process: ProcessId) -> bool {
    let since = history.registered_since(member);
    let mut graves = lineage.graves.iter().filter(|g| g.process == process);
    graves.any(|g| g.removal.is_harm() && g.seq >= since)
}

fn say(history: &History, partition: u32, member: NodeId, node: NodeRef, what: &str) -> Seen {
    let lineage = history.lineage(partition);
    let who = history.process_of(member).map(|p| history.names.of(p));
    Seen {
        about: About::Partition(lineage.id),
        seen: format!(
            "{} {what} without the committed batch at offset {} of {}",
            who.unwrap_or("somebody"),
            lineage.node(node).batch.base_offset,
            history.partition_name(partition),
        ),
    }
}
