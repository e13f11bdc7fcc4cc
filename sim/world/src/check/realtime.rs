//! **Offsets follow time**: a record is acknowledged at an offset above every offset of its partition that somebody knew when it
//! was sent (B21): the log is one line, and what comes later stands later.
//!
//! An offset is known when a reader got it, or when an application was told of it with acks=all; what acks=1 tells may go with its
//! leader. Where committed records were cut off, by an unclean election or a harm, nothing is known any more; and what a leader
//! tells that was overruled then and has not heard of it, was never known. What it acknowledges with acks=1 follows nothing: it
//! writes behind its own end, and cuts that off when it hears.

use super::history::{Change, History};
use super::lineage::{Lineage, NodeRef};
use super::table::Table;
use super::{About, Promise, Seen};
use crate::scenario::Scenario;
use crate::trace::{Record, What};
use klab_kafka::config::Acks;
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::{Offset, RecordId, TopicIdPartition};
use klab_kafka::sorted::Sorted;
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "offsets follow time",
    sentence: "A record is acknowledged at an offset above every offset that was known when it was sent.",
    ids: "B21",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct OffsetsFollowTime {
    /// Acknowledged records that were sent when some offset was known.
    pub opportunities: u64,
    /// Per partition the highest offset known, and since which record.
    known: BTreeMap<TopicIdPartition, Table<(u64, Offset)>>,
    /// Whether a producer has acks=all, by its number: its plan is found by name, and every acknowledgement asks.
    acks_all: Sorted<u32, bool>,
}

impl OffsetsFollowTime {
    /// Committed batches are no longer.
    pub fn change(&mut self, change: &Change, history: &History) {
        if let Change::Led {
            partition,
            cut: Some(_),
            ..
        } = change
        {
            self.known.remove(&history.lineage(*partition).id);
        }
    }

    /// A client told a fact.
    pub fn record(
        &mut self,
        record: &Record,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let What::Told(Event::Client(_, event)) = &record.what else {
            return None;
        };
        match event {
            ClientEvent::Delivered {
                partition,
                to,
                records,
                ..
            } => {
                let place = history.place_of(*partition)?;
                let lineage = history.lineage(place);
                let last = records.last();
                if last.is_some_and(|(at, epoch, _)| !lineage.is_overruled(*at, *epoch)) {
                    self.learn(*partition, Offset(to.0 - 1), record.seq);
                }
                None
            }
            ClientEvent::Acked {
                id,
                partition,
                offset: Some(offset),
            } => {
                let sent = history.lives.get(*id).and_then(|l| l.last_queued);
                let known = sent.and_then(|sent| self.known_at(*partition, sent.get()));
                self.opportunities += u64::from(known.is_some());
                let is_all = self.has_acks_all(history, scenario, *id);
                if !is_all && is_overruled(history, *partition, *id, *offset) {
                    return None;
                }
                if is_all && stands(history, *partition, *id, *offset) {
                    self.learn(*partition, *offset, record.seq);
                }
                let known = known.filter(|known| offset <= known)?;
                Some(Seen {
                    about: About::Record(*id),
                    seen: format!(
                        "{} was acknowledged at offset {offset}, although offset {known} was known when it was sent",
                        history.record_name(*id),
                    ),
                })
            }
            _ => None,
        }
    }

    fn has_acks_all(&mut self, history: &History, scenario: &Scenario, id: RecordId) -> bool {
        if let Some(known) = self.acks_all.get(&id.source) {
            return *known;
        }
        let plan = history.plan(scenario, id);
        let is_all = plan.is_some_and(|plan| plan.config.acks.value == Acks::All);
        self.acks_all.insert(id.source, is_all);
        is_all
    }

    fn learn(&mut self, partition: TopicIdPartition, offset: Offset, seq: u64) {
        let known = self.known.entry(partition).or_default();
        if known.last().is_none_or(|(_, highest)| *highest < offset) {
            known.push((seq, offset));
        }
    }

    /// The highest offset that was known before a record of the trace.
    fn known_at(&self, partition: TopicIdPartition, seq: u64) -> Option<Offset> {
        let known = self.known.get(&partition)?;
        let before = known.partition_point(|(since, _)| *since < seq);
        Some(known.get(before.checked_sub(1)?)?.1)
    }
}

/// Whether a record was written at an offset by a leader that nobody has overruled.
fn stands(history: &History, partition: TopicIdPartition, id: RecordId, offset: Offset) -> bool {
    let mut written = written(history, partition, id, offset);
    written.any(|(lineage, node)| !lineage.is_dead(node))
}

/// Whether a record was written at an offset by a leader, and a later one leads already.
fn is_overruled(
    history: &History,
    partition: TopicIdPartition,
    id: RecordId,
    offset: Offset,
) -> bool {
    let mut written = written(history, partition, id, offset);
    written.any(|(lineage, node)| Some(lineage.node(node).batch.leader_epoch) < lineage.led)
}

/// The batches with a record at an offset.
fn written(
    history: &History,
    partition: TopicIdPartition,
    id: RecordId,
    offset: Offset,
) -> impl Iterator<Item = (&Lineage, NodeRef)> {
    let place = history.place_of(partition);
    let life = place.and_then(|_| history.lives.get(id));
    let nodes = place.zip(life).into_iter().flat_map(|(place, life)| {
        let lineage = history.lineage(place);
        life.nodes_in(place).map(move |node| (lineage, node))
    });
    nodes.filter(move |(lineage, node)| lineage.offset_of(*node, id) == Some(offset))
}
