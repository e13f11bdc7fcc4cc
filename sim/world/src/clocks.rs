//! Each machine's two clocks: a monotonic one, which nothing spoils, and a wall clock that may jump and drift.
//!
//! Kafka measures its timeouts by the first (`Time.hiResClockMs`) and stamps records by the second. A clock is set right
//! when the last harm to it ends; in between it never stands still, but it may go back.

use klab_kafka::time::{Time, Timestamp};
use serde::Serialize;

/// The clocks of one machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Clocks {
    /// The wall clock when the run began, in ms since 1970.
    pub start: Timestamp,
    /// How far this wall clock was set ahead, in ms.
    pub ahead_ms: i64,
    /// How it runs, if not like the others.
    #[serde(skip_serializing_if = "Drift::is_none")]
    pub drift: Drift,
}

/// A wall clock that runs too fast or too slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Drift {
    /// So many millionths too fast; below 0 too slow.
    pub ppm: i64,
    /// Since when.
    pub since: Time,
    /// How far it had gone ahead by then, in nanoseconds.
    pub ahead_ns: i64,
}

impl Drift {
    fn is_none(&self) -> bool {
        *self == Drift::default()
    }

    fn at(&self, now: Time) -> i64 {
        let passed = i128::from(now.since(self.since).0);
        let more = passed * i128::from(self.ppm) / 1_000_000;
        self.ahead_ns + i64::try_from(more).expect("a run is a hundred days long")
    }
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
        if self.drift.is_none() {
            // Mostly nothing spoils it, and every step of a process looks at it: no division of 128 bits.
            let ms = i64::try_from(now.0 / 1_000_000).expect("a run is a hundred days long");
            return Timestamp(self.start.0 + self.ahead_ms + ms);
        }
        let ns = i128::from(now.0) + i128::from(self.drift.at(now));
        let ms = i64::try_from(ns.div_euclid(1_000_000)).expect("a run is a hundred days long");
        Timestamp(self.start.0 + self.ahead_ms + ms)
    }

    /// From now on it runs so many millionths faster than before, or slower. Once it runs like the others again it is set
    /// right.
    pub fn run_faster(&mut self, ppm: i64, now: Time) {
        let ahead_ns = self.drift.at(now);
        let ppm = self.drift.ppm + ppm;
        self.drift = match ppm {
            0 => Drift::default(),
            _ => Drift {
                ppm,
                since: now,
                ahead_ns,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Clocks = Clocks {
        start: Timestamp(1_000),
        ahead_ms: 0,
        drift: Drift {
            ppm: 0,
            since: Time(0),
            ahead_ns: 0,
        },
    };

    #[test]
    fn a_drifting_clock_gains_its_share_of_what_has_passed_and_is_set_right_at_the_end() {
        let second = |n: u64| Time(n * 1_000_000_000);
        let mut clocks = RIGHT;
        clocks.run_faster(10_000, second(10));
        assert_eq!(clocks.wall(second(10)), Timestamp(11_000));
        assert_eq!(clocks.wall(second(20)), Timestamp(21_100));
        clocks.run_faster(-30_000, second(20));
        assert_eq!(clocks.wall(second(30)), Timestamp(30_900), "2 % too slow");
        clocks.run_faster(20_000, second(30));
        assert_eq!(clocks.wall(second(30)), Timestamp(31_000));
        assert_eq!(clocks.monotonic(second(30)), second(30));
    }

    #[test]
    fn a_clock_may_be_set_back_before_its_run_began() {
        let mut clocks = RIGHT;
        clocks.ahead_ms = -5_000;
        assert_eq!(clocks.wall(Time(0)), Timestamp(-4_000));
    }
}
