//! One run behind the door, in plain Rust: the page drives it through `Session`, the parity check natively through this very file.
//!
//! What is left out: the world. Until klab-world has its `Timeline` this folds the scenario's text and the seed into a hash, in steps.

use xxhash_rust::xxh3::Xxh3;

/// A scenario on its way.
pub struct Run {
    hash: Xxh3,
    records: u64,
}

/// How many records this stand-in makes.
const RECORDS: u64 = 100_000;

impl Run {
    /// Takes a scenario's text and a seed; an error is the sentence to show to its author.
    pub fn open(scenario: &str, seed: u64) -> Result<Run, String> {
        if scenario.is_empty() {
            return Err("the scenario is empty".to_owned());
        }
        let mut hash = Xxh3::new();
        hash.update(scenario.as_bytes());
        hash.update(&seed.to_le_bytes());
        Ok(Run { hash, records: 0 })
    }

    /// Goes on for at most `records` records; `true` when the run has ended.
    pub fn run(&mut self, records: u32) -> bool {
        let until = RECORDS.min(self.records + u64::from(records));
        for record in self.records..until {
            self.hash.update(&record.to_le_bytes());
        }
        self.records = until;
        until == RECORDS
    }

    /// The hash of everything so far, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.hash.digest())
    }

    /// What the parity check adds up, as JSON.
    pub fn census(&self) -> String {
        format!("{{\"records\":{}}}", self.records)
    }
}
