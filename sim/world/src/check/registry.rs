//! **Sane registry**: what the committed metadata log says of a partition can be so (I-6, W9): the ISR is of its replicas and never
//! empty, its leader is in it and not fenced, a fenced broker stands in an ISR only if it is the last one, and the partition epoch
//! grows with every change.
//!
//! Looked at whenever the log changes a partition or fences a broker, once all records of the batch are in: the controller writes
//! a fencing and what follows from it together.

use super::history::{Change, History};
use super::{About, Promise, Seen};
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::ids::{NodeId, PartitionEpoch};

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "sane registry",
    sentence: "The metadata log names leaders that are live and in sync, and keeps a fenced broker in no ISR but as its last member.",
    ids: "I-6 W9",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct SaneRegistry {
    /// Partitions that were looked at.
    pub opportunities: u64,
}

impl SaneRegistry {
    /// The metadata log changed a partition, or fenced a broker.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        match change {
            Change::Registered { partition, before } => self
                .look(*partition, history)
                .or_else(|| is_stale(*partition, (*before)?, history)),
            Change::Fenced { broker } => {
                let has = |at: &u32| {
                    let registration = history.registration(*at);
                    registration.is_some_and(|r| r.isr.contains(broker))
                };
                let mut of_broker = history.data().map(|(at, _)| at).filter(has);
                of_broker.find_map(|at| self.look(at, history))
            }
            _ => None,
        }
    }

    fn look(&mut self, partition: u32, history: &History) -> Option<Seen> {
        self.opportunities += 1;
        let registration = history.registration(partition)?;
        let is_fenced = |n: &NodeId| history.image.brokers.get(n).is_some_and(|b| b.fenced);
        let what = wrong(registration, is_fenced)?;
        Some(Seen {
            about: About::Partition(history.lineage(partition).id),
            seen: format!("{} {what}", history.partition_name(partition)),
        })
    }
}

/// A change that left the partition epoch where it was, or took it back.
fn is_stale(partition: u32, before: PartitionEpoch, history: &History) -> Option<Seen> {
    let after = history.registration(partition)?.partition_epoch;
    (after <= before).then(|| Seen {
        about: About::Partition(history.lineage(partition).id),
        seen: format!(
            "{} changed, and its partition epoch went from {} to {}",
            history.partition_name(partition),
            before.0,
            after.0
        ),
    })
}

/// What cannot be so.
fn wrong(of: &PartitionRegistration, is_fenced: impl Fn(&NodeId) -> bool) -> Option<String> {
    if of.isr.is_empty() {
        return Some("has nobody in its ISR".into());
    }
    for (at, member) in of.isr.iter().enumerate() {
        let node = member.0;
        if !of.replicas.contains(member) {
            return Some(format!("has {node} in its ISR, which is no replica of it"));
        }
        if of.isr[..at].contains(member) {
            return Some(format!("has {node} in its ISR twice"));
        }
        if of.isr.len() > 1 && is_fenced(member) {
            return Some(format!(
                "has {node} in its ISR beside others, which is fenced"
            ));
        }
    }
    let leader = of.leader?;
    if !of.isr.contains(&leader) {
        return Some(format!("is led by {}, which is not in sync", leader.0));
    }
    is_fenced(&leader).then(|| format!("is led by {}, which is fenced", leader.0))
}
