//! **Ends ascend**: the end of a log that a client is told never lies before what it knew of that log: an end it was told
//! earlier, or what it read (B23, KIP-207).
//!
//! Explained when a leader has overruled the records between (unclean election, all copies harmed); then the end may lie where
//! the leader's log begins to differ, and not before. Each client for itself: the epochs of its metadata never go back,
//! while another may still ask a leader that is none any more.
//!
//! What is left out: ends that the run's last reader asks for, whom nothing has told anything yet.

use super::history::History;
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use crate::scenario::Scenario;
use crate::trace::{Record, What};
use klab_kafka::config::OffsetReset;
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::{ClientId, Offset, TopicIdPartition};
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "ends ascend",
    sentence: "The end of a log that a client is told never lies before what it was told or has read.",
    ids: "B23",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct EndsAscend {
    /// Ends told to a client that knew of the log.
    pub opportunities: u64,
    /// How far a client knows each log to go.
    known: BTreeMap<(ProcessId, ClientId, TopicIdPartition), Offset>,
}

impl EndsAscend {
    /// A process starts: its clients know nothing.
    pub fn forget(&mut self, process: ProcessId) {
        self.known.retain(|(p, ..), _| *p != process);
    }

    /// A client told a fact.
    pub fn record(
        &mut self,
        record: &Record,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let What::Told(Event::Client(client, event)) = &record.what else {
            return None;
        };
        let (partition, to, is_end) = match event {
            ClientEvent::Delivered { partition, to, .. } => (*partition, *to, false),
            ClientEvent::PositionReset { partition, to } => (*partition, *to, true),
            _ => return None,
        };
        let reader = record.process?;
        let asks_for_ends = || {
            let plan = scenario.consumers.get(history.names.of(reader));
            plan.is_some_and(|plan| plan.config.auto_offset_reset == OffsetReset::Latest)
        };
        if is_end && !asks_for_ends() {
            return None;
        }
        let known = self.known.entry((reader, *client, partition)).or_insert(to);
        let before = std::mem::replace(known, to);
        if !is_end {
            *known = before.max(to);
            return None;
        }
        self.opportunities += 1;
        let place = history.place_of(partition)?;
        let mut cuts = history.lineage(place).cuts.iter();
        if before <= to || cuts.any(|cut| cut.offset <= to) {
            return None;
        }
        Some(Seen {
            about: About::Partition(partition),
            seen: format!(
                "{} was told that {} ends at {to}, and knew that it goes to {before}",
                history.names.of(reader),
                history.partition_name(place),
            ),
        })
    }
}
