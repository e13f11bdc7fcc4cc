//! Checkers: every promise has one, and each counts its opportunities.
//!
//! Thin still: counts what was acknowledged.

use crate::trace::{Record, What};
use crate::view::View;
use klab_kafka::event::{ClientEvent, Event};
use serde::Serialize;

/// What one step of the world brought: its records and the state after it.
pub struct Step<'a> {
    /// The records of the step, in order.
    pub records: &'a [Record],
    /// The state after it.
    pub view: View<'a>,
}

/// A broken promise.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// The record that showed it.
    pub record: u64,
    /// What was seen, in one sentence.
    pub seen: String,
}

/// All checkers of a run. Cloned with every checkpoint: big tables lie in shared chunks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checkers {
    acked: u64,
    broken: Vec<Violation>,
}

impl Checkers {
    /// Looks at a step; returns the first promise that it broke.
    pub fn observe(&mut self, step: &Step<'_>) -> Option<Violation> {
        for record in step.records {
            if let What::Told(Event::Client(_, ClientEvent::Acked { .. })) = &record.what {
                self.acked += 1;
            }
        }
        None
    }

    /// All promises broken so far.
    pub fn broken(&self) -> &[Violation] {
        &self.broken
    }

    /// What became of every record.
    pub fn verdict(&self, _view: View<'_>) -> crate::verdict::Verdict {
        crate::verdict::Verdict { acked: self.acked }
    }
}
