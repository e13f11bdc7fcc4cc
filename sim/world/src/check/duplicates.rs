//! **No duplicates**: a record that was sent once stands in the committed log once (B2).
//!
//! Explained without idempotence by a retry, by a new producer id, by an application that sends again, and by two named
//! holes of the protocol (P08, L-13).

use super::history::{Change, History};
use super::life::Spot;
use super::{About, Promise, Seen};
use crate::scenario::Scenario;
use crate::verdict::explain;
use klab_kafka::ids::RecordId;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "no duplicates",
    sentence: "A record that an idempotent producer sent once stands in the log once.",
    ids: "B2",
    canary: "enable.idempotence=false; mutated history: double",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct NoDuplicates {
    /// Records that were committed after a retry, or after they were sent again.
    pub opportunities: u64,
}

impl NoDuplicates {
    /// Batches were committed.
    pub fn change(
        &mut self,
        change: &Change,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let Change::HighWatermark {
            partition: partition @ 1..,
            advance,
            ..
        } = change
        else {
            return None;
        };
        let lineage = history.lineage(*partition);
        let mut seen = None;
        for at in advance.committed.clone() {
            let Some(committed) = lineage.committed.get(at) else {
                continue;
            };
            for id in lineage.node(committed.node).batch.data.ids() {
                let (place, node) = (*partition, committed.node);
                let spot = Spot { place, node };
                seen = seen.or_else(|| self.judge(*id, spot, history, scenario));
            }
        }
        seen
    }

    fn judge(
        &mut self,
        id: RecordId,
        spot: Spot,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let life = history.lives.get(id)?;
        self.opportunities += u64::from(life.retry.is_some() || life.sends > 1);
        if life.spots.len() < 2 {
            return None;
        }
        let is_there = |s: &&Spot| history.lineage(s.place).is_committed(s.node);
        let mut there = life.spots.iter().filter(is_there);
        let (first, second) = (*there.next()?, *there.next()?);
        if spot != first && spot != second {
            return None;
        }
        if explain::of_duplicate(history, scenario, id, life, first, second).is_some() {
            return None;
        }
        let at = |spot: Spot| {
            let offset = history.lineage(spot.place).offset_of(spot.node, id);
            format!(
                "{} of {}",
                offset.unwrap_or_default(),
                history.partition_name(spot.place)
            )
        };
        Some(Seen {
            about: About::Record(id),
            seen: format!(
                "{} stands at offset {} and at offset {}; no setting explains it",
                history.record_name(id),
                at(first),
                at(second),
            ),
        })
    }
}
