//! **No phantom**: what a reader gets was sent, and to that partition (B6).

use super::history::History;
use super::life::Life;
use super::{About, Promise, Seen};
use crate::trace::{Record, What};
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::RecordId;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "no phantom",
    sentence: "What a reader gets was sent to that partition by somebody.",
    ids: "B6",
    canary: "mutated history: relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct NoPhantom {
    /// Records read.
    pub opportunities: u64,
}

impl NoPhantom {
    /// A reader got records.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let What::Told(Event::Client(
            _,
            ClientEvent::Delivered {
                partition, records, ..
            },
        )) = &record.what
        else {
            return None;
        };
        self.opportunities += records.len() as u64;
        let was_sent = |id: RecordId| {
            let life = history.lives.get(id);
            // What was sent again may have gone to another partition.
            let went_there = |l: &Life| l.partition == Some(*partition) || l.sends > 1;
            life.is_some_and(|l| l.is_real() && went_there(l))
        };
        let (offset, _, id) = records.iter().find(|(_, _, id)| !was_sent(*id))?;
        Some(Seen {
            about: About::Record(*id),
            seen: format!(
                "{} got {} at offset {offset}, which was never sent there",
                record.process.map_or("a reader", |p| history.names.of(p)),
                history.record_name(*id),
            ),
        })
    }
}
