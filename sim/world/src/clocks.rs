//! Each machine's two clocks: a monotonic one and a wall clock that may be off.
//!
//! Left out still: drift and jumps, which come with their faults.

use klab_kafka::time::{Duration, Time, Timestamp};
use serde::Serialize;

/// The clocks of one machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Clocks {
    /// The wall clock when the run began, in ms since 1970.
    pub start: Timestamp,
    /// How far this wall clock is ahead, in ms.
    pub ahead_ms: i64,
}

impl Clocks {
    /// The monotonic reading at a time of the world.
    pub fn monotonic(&self, now: Time) -> Time {
        now
    }

    /// The world's time at a monotonic reading.
    pub fn world(&self, local: Time) -> Time {
        local
    }

    /// The wall clock at a time of the world.
    pub fn wall(&self, now: Time) -> Timestamp {
        let passed = Duration(now.0).as_millis();
        Timestamp(self.start.0 + self.ahead_ms + passed as i64)
    }
}
