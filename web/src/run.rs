//! One run behind the door, in plain Rust: the page drives it through `Session`, the parity check natively through this very file.
//!
//! What is left out: a way back. The page will look at runs through a `Timeline`.

use std::sync::Arc;

use klab_world::outcome::Outcome;
use klab_world::scenario::{Scenario, limits};
use klab_world::world::{Watch, World};
use serde::Serialize;

/// A scenario on its way.
pub struct Run(World);

/// What became of a run.
#[derive(Serialize)]
struct Told<'a> {
    /// In words.
    sentence: String,
    /// In counts: what was expected and what was found.
    outcome: &'a Outcome,
}

/// Sums over a run, by which one can tell that it was not empty.
#[derive(Serialize)]
struct Census {
    /// Facts in the trace.
    records: u64,
    /// Times that a partition got a new leader after the start.
    elections: u64,
    /// Records that replicas cut off their logs.
    truncated: u64,
}

impl Run {
    /// Takes a scenario's text, which of its twins is meant (from 1; 0 is the scenario itself), and a seed.
    ///
    /// # Errors
    /// The sentences to show to its author.
    pub fn open(text: &str, twin: u32, seed: u64) -> Result<Run, String> {
        let scenario = read(text)?;
        let scenario = match twin.checked_sub(1) {
            None => scenario,
            Some(before) => {
                let mut twins = scenario.twins.into_iter();
                let skipped = usize::try_from(before).ok();
                let found = skipped.and_then(|before| twins.nth(before));
                *found
                    .ok_or_else(|| format!("the scenario has no twin {twin}"))?
                    .scenario
            }
        };
        let watch = Watch {
            records: false,
            checkers: true,
        };
        Ok(Run(World::new(Arc::new(scenario), seed, watch)))
    }

    /// The titles of a scenario's twins, in their order.
    ///
    /// # Errors
    /// The sentences to show to its author.
    pub fn twins(text: &str) -> Result<Vec<String>, String> {
        let twins = read(text)?.twins;
        Ok(twins.iter().map(|twin| twin.title.to_string()).collect())
    }

    /// Goes on for about `records` records; `true` when the run has ended.
    ///
    /// # Errors
    /// The run has gone beyond the limit of what one run may do.
    pub fn run(&mut self, records: u32) -> Result<bool, String> {
        let until = self.0.trace().count() + u64::from(records);
        while self.0.trace().count() < until {
            if !self.0.step() {
                return Ok(true);
            }
        }
        match limits::EVENTS.hold(self.0.events()) {
            Ok(()) => Ok(false),
            Err(mistake) => Err(format!("{}; expected {}", mistake.found, mistake.expected)),
        }
    }

    /// The hash of everything so far, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.0.hash())
    }

    /// What became of every record so far, as JSON: a sentence, and how what was expected stands.
    pub fn verdict(&self) -> String {
        let outcome = self.outcome();
        json(&Told {
            sentence: outcome.verdict.to_string(),
            outcome: &outcome,
        })
    }

    /// Sums over the run so far, as JSON: records, elections, truncated.
    pub fn census(&self) -> String {
        let counts = self.outcome().counts;
        let count = |metric| counts.get(metric).copied().expect("a metric of expect.rs");
        json(&Census {
            records: self.0.trace().count(),
            elections: count("elections"),
            truncated: count("truncated"),
        })
    }

    fn outcome(&self) -> Outcome {
        self.0.outcome().expect("Run::open asks for checkers")
    }
}

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::parse("the scenario", text).map_err(|errors| errors.to_string())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a form in JSON")
}

#[test]
fn a_run_tells_its_end_as_json() {
    let quickstart = klab_world::scenario::library::find("quickstart").expect("in the library");
    let mut run = Run::open(&quickstart, 0, 1).expect("a good file");
    while !run.run(10_000).expect("within the limits") {}
    let verdict: serde_json::Value = serde_json::from_str(&run.verdict()).expect("JSON");
    assert!(verdict["sentence"].is_string(), "{verdict}");
    let census: serde_json::Value = serde_json::from_str(&run.census()).expect("JSON");
    assert!(census["elections"].as_u64() > Some(0), "{census}");
}

#[test]
fn a_bad_scenario_and_a_missing_twin_are_errors_in_words() {
    let error = |text: &str, twin| Run::open(text, twin, 1).err().unwrap_or_default();
    assert!(error("{", 0).contains(":1:"), "{}", error("{", 0));
    let quickstart = klab_world::scenario::library::find("quickstart").expect("in the library");
    assert_eq!(error(&quickstart, 99), "the scenario has no twin 99");
}
