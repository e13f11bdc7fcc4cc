//! **Order**: records of one application and partition stand in the committed log in the order in which they were sent (B20).
//!
//! Explained by several requests in flight without idempotence, by an application that sends again, and by P08.

use super::history::{Change, History};
use super::life::Spot;
use super::lineage::NodeRef;
use super::{About, Promise, Seen};
use crate::scenario::Scenario;
use crate::verdict::explain;
use klab_kafka::ids::RecordId;
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "order",
    sentence: "Records of one producer and partition stand in the log in the order in which they were sent.",
    ids: "B20",
    canary: "max.in.flight above 1 without idempotence; mutated history: swap",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Committed records that had one of the same application before them.
    pub opportunities: u64,
    /// Per partition and source, the record that was sent last of those committed, and when.
    last: BTreeMap<(u32, u32), (u64, RecordId)>,
}

impl Order {
    /// Batches were committed, or are no longer.
    pub fn change(
        &mut self,
        change: &Change,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        match change {
            Change::HighWatermark {
                partition: partition @ 1..,
                advance,
                ..
            } => {
                let mut seen = None;
                for at in advance.committed.clone() {
                    let found = self.commit(*partition, at, history);
                    seen = seen.or_else(|| say(found, *partition, history, scenario));
                }
                seen
            }
            Change::Led {
                partition: partition @ 1..,
                cut: Some(_),
                ..
            } => {
                self.last.retain(|(p, _), _| p != partition);
                for at in 0..history.lineage(*partition).committed.len() {
                    self.commit(*partition, at, history);
                }
                None
            }
            _ => None,
        }
    }

    /// Takes in a committed batch; the records that stand behind one sent later, each with that one.
    fn commit(
        &mut self,
        partition: u32,
        at: usize,
        history: &History,
    ) -> Vec<(RecordId, RecordId, NodeRef)> {
        let lineage = history.lineage(partition);
        let Some(committed) = lineage.committed.get(at) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for id in lineage.node(committed.node).batch.data.ids() {
            if !is_first(history, *id, partition, committed.node) {
                continue;
            }
            let sent = history.lives.get(*id).and_then(|l| l.last_queued);
            let sent = sent.map_or(0, std::num::NonZeroU64::get);
            let last = self.last.entry((partition, id.source));
            let last = last
                .and_modify(|_| self.opportunities += 1)
                .or_insert((sent, *id));
            match last.0 > sent {
                true => found.push((*id, last.1, committed.node)),
                false => *last = (sent, *id),
            }
        }
        found
    }
}

/// Whether a batch is the first in the committed log that holds a record: later ones are duplicates, not out of order.
fn is_first(history: &History, id: RecordId, partition: u32, node: NodeRef) -> bool {
    let (lineage, life) = (history.lineage(partition), history.lives.get(id));
    let nodes = life.into_iter().flat_map(|l| l.nodes_in(partition));
    let committed = nodes.filter(|n| lineage.is_committed(*n));
    let first = committed.min_by_key(|n| lineage.depth(*n));
    first.is_none_or(|first| first == node)
}

fn say(
    found: Vec<(RecordId, RecordId, NodeRef)>,
    partition: u32,
    history: &History,
    scenario: &Scenario,
) -> Option<Seen> {
    let unexplained = |(id, _, node): &(RecordId, RecordId, NodeRef)| {
        let life = history.lives.get(*id);
        let spot = Spot {
            place: partition,
            node: *node,
        };
        life.is_none_or(|l| explain::of_disorder(history, scenario, *id, l, spot).is_none())
    };
    let (id, behind, _) = found.into_iter().find(unexplained)?;
    Some(Seen {
        about: About::Record(id),
        seen: format!(
            "{} stands behind {} in {}, although it was sent before it; no setting explains it",
            history.record_name(id),
            history.record_name(behind),
            history.partition_name(partition),
        ),
    })
}
