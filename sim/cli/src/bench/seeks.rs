//! What going back in a run costs: a checkpoint, which is a clone of the world, and 200 seeks to random moments of a run of
//! a hundred thousand events, as the page does them.
//!
//! Left out: what the page draws of the state; its own test measures that in a browser.

use std::sync::Arc;
use std::time::{Duration, Instant};

use klab_kafka::time::Time;
use klab_world::scenario::Scenario;
use klab_world::timeline::{EVERY, Timeline};
use klab_world::world::Watch;

use crate::outcome::Wrong;

/// How often each is done.
const TIMES: usize = 200;

/// A run of somewhat over a hundred thousand events.
const RUN: &str = r#"{ "title": "12,500 records, one a batch",
  "topics": { "orders": { "partitions": 3, "replication.factor": 3 } },
  "producers": { "shop": { "topic": "orders", "records": 12500, "rate": "1000/s",
    "config": { "acks": "all", "linger.ms": 0, "batch.size": 0 } } },
  "consumers": { "auditor": { "assign": ["orders-0", "orders-1", "orders-2"] } } }"#;

/// How long each time took, the shortest first.
pub struct Seeks {
    /// Events of the run.
    pub events: u64,
    /// Clones of the world at its end.
    pub checkpoints: Vec<Duration>,
    /// Ways from one random moment to the next.
    pub seeks: Vec<Duration>,
}

impl Seeks {
    /// Measures.
    pub fn measure() -> Result<Seeks, Wrong> {
        let scenario = Arc::new(Scenario::parse("bench", RUN)?);
        let watch = Watch {
            records: true,
            checkers: true,
        };
        let mut timeline = Timeline::open(scenario, 1, watch, EVERY);
        timeline.run_to_end();
        let (events, end) = (timeline.world().events(), timeline.world().now());
        let clone = |_| {
            let began = Instant::now();
            let copy = timeline.world().clone();
            let took = began.elapsed();
            drop(copy);
            took
        };
        let mut checkpoints: Vec<Duration> = (0..TIMES).map(clone).collect();
        let mut seek = |n: u64| {
            // Multiples of the golden ratio lie evenly, and jump to and fro.
            let part = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let to = (u128::from(part) * u128::from(end.0)) >> 64;
            let to = Time(u64::try_from(to).unwrap_or(end.0));
            let began = Instant::now();
            timeline.at(to);
            began.elapsed()
        };
        let mut seeks: Vec<Duration> = (1..=TIMES as u64).map(&mut seek).collect();
        checkpoints.sort_unstable();
        seeks.sort_unstable();
        Ok(Seeks {
            events,
            checkpoints,
            seeks,
        })
    }
}

/// The time that so many percent of all do not exceed.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted[at.min(sorted.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_time_that_so_many_do_not_exceed() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 95), Duration::from_millis(190));
        assert_eq!(percentile(&sorted[..1], 95), Duration::from_millis(1));
    }
}
