//! How well a topic's records have compressed so far: Kafka's CompressionRatioEstimator.
//!
//! It keeps: a batch that compresses worse than expected raises the expectation at once, by at least 0.05; one that
//! compresses better lowers it by at most 0.005; a batch that was too large resets it to 1, or to its own if that is more.
//!
//! Left out: Kafka keeps one estimate for all producers of a process, here each producer has its own. It counts in
//! 32-bit floats, here in millionths.

use serde::Serialize;

/// Compressed bytes to plain bytes, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Ratio(u32);

const WORSE_STEP: u32 = 50_000;
const BETTER_STEP: u32 = 5_000;

impl Ratio {
    /// As many bytes as before: what is expected at first, of every codec.
    pub const ONE: Ratio = Ratio(1_000_000);

    /// So many bytes of a million.
    pub const fn parts_per_million(parts: u32) -> Ratio {
        Ratio(parts)
    }

    /// What so many plain bytes have become.
    pub fn of(compressed: u64, plain: u64) -> Ratio {
        let parts = u128::from(compressed) * 1_000_000 / u128::from(plain.max(1));
        Ratio(u32::try_from(parts).unwrap_or(u32::MAX))
    }

    /// What so many plain bytes may become, with 5 % to spare.
    pub fn guess(self, plain: u64) -> u64 {
        let parts = u128::from(plain) * u128::from(self.0) * 105 / 100_000_000;
        u64::try_from(parts).unwrap_or(u64::MAX)
    }

    /// The expectation after this was seen.
    pub fn after(self, seen: Ratio) -> Ratio {
        match seen.cmp(&self) {
            std::cmp::Ordering::Greater => seen.max(Ratio(self.0.saturating_add(WORSE_STEP))),
            std::cmp::Ordering::Less => seen.max(Ratio(self.0.saturating_sub(BETTER_STEP))),
            std::cmp::Ordering::Equal => self,
        }
    }

    /// The expectation after a batch with this ratio was too large.
    pub fn after_too_large(seen: Ratio) -> Ratio {
        seen.max(Ratio::ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_falls_slowly_and_rises_at_once() {
        let fell = Ratio::ONE.after(Ratio(200_000));
        assert_eq!(fell, Ratio(995_000), "0.005 better");
        assert_eq!(Ratio(203_000).after(Ratio(200_000)), Ratio(200_000));
        assert_eq!(
            Ratio(200_000).after(Ratio(210_000)),
            Ratio(250_000),
            "0.05 worse"
        );
        assert_eq!(Ratio(200_000).after(Ratio(900_000)), Ratio(900_000));
    }

    #[test]
    fn after_a_batch_that_was_too_large_nothing_is_expected_of_compression() {
        assert_eq!(Ratio::after_too_large(Ratio(200_000)), Ratio::ONE);
        assert_eq!(Ratio::after_too_large(Ratio(1_200_000)), Ratio(1_200_000));
    }

    #[test]
    fn a_guess_has_5_percent_to_spare() {
        assert_eq!(Ratio::of(300, 1_000).guess(2_000), 630);
        assert_eq!(Ratio::ONE.guess(100), 105);
    }
}
