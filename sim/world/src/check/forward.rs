//! **Polls go forward**: what a reader gets of a partition lies behind what it got before, unless it was told that its position is
//! set anew: by its reset policy or because the log was cut under it (B17).
//!
//! Each client for itself: an application that starts again begins where its own memory says.

use super::history::History;
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use crate::trace::{Record, What};
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::{ClientId, Offset, TopicIdPartition};
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "polls go forward",
    sentence: "What a reader gets lies behind what it got before, unless it was told that its position is set anew.",
    ids: "B17",
    canary: "mutated history: double",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct PollsGoForward {
    /// Records that a reader got behind another.
    pub opportunities: u64,
    last: BTreeMap<(ProcessId, ClientId, TopicIdPartition), Offset>,
}

impl PollsGoForward {
    /// A process starts: its clients know nothing.
    pub fn forget(&mut self, process: ProcessId) {
        self.last.retain(|(p, ..), _| *p != process);
    }

    /// A client told a fact.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let What::Told(Event::Client(client, event)) = &record.what else {
            return None;
        };
        let reader = record.process?;
        match event {
            ClientEvent::Delivered {
                partition, records, ..
            } => {
                let key = (reader, *client, *partition);
                let mut last = self.last.get(&key).copied();
                let mut back = None;
                for (offset, _, id) in records {
                    self.opportunities += u64::from(last.is_some());
                    if last.is_some_and(|last| *offset <= last) {
                        back = back.or(last.map(|last| (last, *offset, *id)));
                    }
                    last = Some(*offset);
                }
                self.last.extend(last.map(|last| (key, last)));
                let (before, offset, id) = back?;
                Some(Seen {
                    about: About::Record(id),
                    seen: format!(
                        "{} got {} at offset {offset} after offset {before}, and was not told to go back",
                        history.names.of(reader),
                        history.record_name(id),
                    ),
                })
            }
            ClientEvent::PositionReset { partition, .. }
            | ClientEvent::TruncationDetected { partition, .. } => {
                self.last.remove(&(reader, *client, *partition));
                None
            }
            _ => None,
        }
    }
}
