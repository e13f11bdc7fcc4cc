//! Drawn choices over one source of numbers: bounded by widening multiplication, shares in parts per hundred.

/// Draws from a source; `source(n)` gives a number of `[0, n)`.
pub struct Dice<'a> {
    source: &'a mut dyn FnMut(u64) -> u64,
}

impl<'a> Dice<'a> {
    /// Dice over this source.
    pub fn new(source: &'a mut dyn FnMut(u64) -> u64) -> Dice<'a> {
        Dice { source }
    }

    /// A number of `[0, n)`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.source)(n)
    }

    /// A number of `[min, max]`.
    pub fn within(&mut self, min: u64, max: u64) -> u64 {
        min + self.below(max - min + 1)
    }

    /// True in so many of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these, each as likely.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let i = self.below(from.len() as u64);
        from[usize::try_from(i).expect("drawn below the length")].clone()
    }

    /// One of these by weight.
    ///
    /// # Panics
    /// If all weights are zero.
    pub fn weighted<T: Clone>(&mut self, from: &[(u64, T)]) -> T {
        let mut at = self.below(from.iter().map(|(w, _)| w).sum());
        for (weight, value) in from {
            if at < *weight {
                return value.clone();
            }
            at -= weight;
        }
        unreachable!("the weights add up to what was drawn from")
    }

    /// A duration in ms, as likely in each octave from 1 ms up to `max`: faults of 200 ms and of 20 s test different code.
    pub fn octaves(&mut self, max: u64) -> u64 {
        let octaves = u64::from(max.max(1).ilog2());
        let octave = self.within(0, octaves);
        let low = 1u64 << octave;
        self.within(low, (2 * low - 1).min(max.max(1)))
    }
}
