//! Promises that can only be judged at the end of a run, when all that was to come has come.
//!
//! **No lost writes**: a record in the log is read by whoever reads past it (B3, B4, B5).
//! **Accepted is sent**: what an application told its own caller is accepted is in the log (P14, B42).
//! **Progress**: once what was broken is mended, leaders are found, ISRs fill, every send and command is answered and all is read (B39),
//! or what is lacking has a reason.

use super::history::History;
use super::{About, Promise, Seen};
use crate::stuck::Stuck;

/// The promise.
pub const LOST_WRITES: Promise = Promise {
    name: "no lost writes",
    sentence: "A record in the log is read by every reader that reads past it.",
    ids: "B3 B4 B5",
    canary: "mutated history: drop",
};

/// The promise.
pub const ACCEPTED: Promise = Promise {
    name: "accepted is sent",
    sentence: "What an application told its own caller is accepted is in the log at the end.",
    ids: "P14 B42",
    canary: "answers=after-send; mutated history: relabel",
};

/// The promise.
pub const PROGRESS: Promise = Promise {
    name: "progress",
    sentence: "Once all is mended, every partition has a leader and a full ISR, every send and command is answered and all is read, or the run names one of a few reasons why not.",
    ids: "B39",
    canary: "mutated history: drop",
};

/// How often the promises of this file could have been broken.
#[derive(Clone, Debug, Default)]
pub struct AtEnd {
    /// Records that lie below the position of a reader.
    pub reads: u64,
    /// Records that an application called accepted.
    pub accepted: u64,
    /// Runs that were mended.
    pub mended: u64,
}

impl AtEnd {
    /// The run is over; all was mended if it `heals`, but what lasts for ever, and `stuck` says what was missing all the same.
    pub fn judge(&mut self, history: &History, heals: bool, stuck: Option<&Stuck>) -> Option<Seen> {
        self.accepted = history
            .lives
            .iter()
            .filter(|(_, l)| l.accepted.is_some())
            .count() as u64;
        let went_over = |(_, l): (u32, &super::lineage::Lineage)| {
            let read = history
                .readers
                .of(l.id)
                .any(|r| r.went_over(klab_kafka::ids::Offset(0)));
            if read {
                l.committed_end().0.unsigned_abs()
            } else {
                0
            }
        };
        self.reads = history.data().map(went_over).sum();
        if !heals || history.ready.is_none() {
            return None;
        }
        self.mended = 1;
        let unexplained = stuck.filter(|stuck| stuck.is_unexplained());
        unexplained.map(|why| Seen {
            about: About::Run,
            seen: format!("all is mended, and yet {why}"),
        })
    }
}
