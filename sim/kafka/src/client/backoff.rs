//! How long to wait before trying again: Kafka's ExponentialBackoff (KIP-580), used for retries (×2 from 100 ms to 1 s),
//! reconnects (×2 from 50 ms to 1 s) and for the patience with a connection being set up (×2 from 10 s to 30 s).
//!
//! Kafka draws the jitter anew each time it looks whether the wait is over, so that the shortest of several draws wins;
//! here it is drawn once per attempt.

use crate::time::Duration;
use serde::Serialize;

/// A wait that doubles with every attempt, up to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    /// From `initial` to `max`. An `initial` that is not below `max` gives `max` every time, without jitter (N-4).
    pub const fn new(initial: Duration, max: Duration) -> Backoff {
        Backoff { initial, max }
    }

    /// The wait after `attempts` earlier waits: doubled for each, capped, then spread by ±20 % (N-4).
    ///
    /// `drawn` is uniform over all u64. The cap is applied before the jitter as well as after it: at the limit half of
    /// the waits are shorter than `max`, none longer.
    pub fn after(self, attempts: u32, drawn: u64) -> Duration {
        if self.initial >= self.max {
            return self.max;
        }
        let doubled = (self.initial.0 as u128) << attempts.min(63);
        let term = doubled.min(self.max.0 as u128);
        // A share of [0.8, 1.2) in billionths.
        let share = 800_000_000 + ((drawn as u128 * 400_000_000) >> 64);
        let spread = (term * share / 1_000_000_000).min(self.max.0 as u128);
        Duration(spread as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Backoff = Backoff::new(Duration::millis(100), Duration::secs(1));
    const MIDDLE: u64 = 1 << 63;

    #[test]
    fn the_wait_doubles_up_to_the_limit() {
        let waits: Vec<_> = (0..6).map(|n| RETRY.after(n, MIDDLE).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_is_a_fifth_to_either_side_and_never_exceeds_the_limit() {
        assert_eq!(RETRY.after(0, 0), Duration::millis(80));
        assert_eq!(RETRY.after(0, u64::MAX).as_millis(), 119);
        assert_eq!(RETRY.after(9, 0), Duration::millis(800));
        assert_eq!(RETRY.after(9, u64::MAX), Duration::secs(1));
        assert_eq!(RETRY.after(u32::MAX, MIDDLE), Duration::secs(1));
    }

    #[test]
    fn an_initial_wait_at_or_above_the_limit_means_the_limit_without_jitter() {
        let flat = Backoff::new(Duration::secs(2), Duration::secs(1));
        assert_eq!(flat.after(0, 0), Duration::secs(1));
        assert_eq!(flat.after(7, u64::MAX), Duration::secs(1));
    }
}
