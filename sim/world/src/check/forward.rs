//! **Polls go forward**: what a reader gets of a partition lies behind what it got before, unless it was told that its position is
//! set anew: by its reset policy or because the log was cut under it (B17).
//!
//! Each client for itself: an application that starts again begins where its own memory says.

use super::history::History;
use super::readers::delivered;
use super::{About, Promise, Seen};
use crate::trace::Record;

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
}

impl PollsGoForward {
    /// A client told a fact.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let (client, partition, records) = delivered(record)?;
        let reader = record.process?;
        // What a reader got last is forgotten where its position is set anew, and where its process ends.
        let reading = history.readers.get(reader, client, partition)?;
        let mut last = reading.before.map(|(offset, ..)| offset);
        let mut back = None;
        for (offset, _, id) in records {
            self.opportunities += u64::from(last.is_some());
            if last.is_some_and(|last| *offset <= last) {
                back = back.or(last.map(|last| (last, *offset, *id)));
            }
            last = Some(*offset);
        }
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
}
