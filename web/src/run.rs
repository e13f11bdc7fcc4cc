//! One run behind the door, in plain Rust: the page drives it through `Session`, the parity check natively through this very file.
//!
//! What is left out: a way back. The page will look at runs through a `Timeline`.

use std::sync::Arc;

use klab_kafka::event::{ControllerEvent, Event, LogEvent};
use klab_world::scenario::Scenario;
use klab_world::trace::What;
use klab_world::view::View;
use klab_world::world::{Watch, World};
use serde::Serialize;

/// A scenario on its way.
pub struct Run(World);

/// Sums over a run, by which one can tell that it was not empty.
#[derive(Serialize)]
struct Census {
    /// Facts in the trace.
    records: u64,
    /// Changes of a partition's leader.
    elections: u64,
    /// Logs cut shorter.
    truncations: u64,
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
            records: true,
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
    pub fn run(&mut self, records: u32) -> bool {
        let until = self.0.trace().count() + u64::from(records);
        while self.0.trace().count() < until {
            if !self.0.step() {
                return true;
            }
        }
        false
    }

    /// The hash of everything so far, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.0.hash())
    }

    /// What became of every record so far, as JSON.
    pub fn verdict(&self) -> String {
        let checkers = self.0.checkers().expect("Run::open asks for them");
        let verdict = checkers.verdict(View::new(&self.0));
        json(&serde_json::json!({
            "sentence": verdict.to_string(),
            "findings": verdict.findings.len(),
            "broken": verdict.broken.len(),
        }))
    }

    /// Sums over the run so far, as JSON: records, elections, truncations.
    pub fn census(&self) -> String {
        let mut census = Census {
            records: self.0.trace().count(),
            elections: 0,
            truncations: 0,
        };
        for record in self.0.trace().records() {
            match &record.what {
                What::Told(Event::Controller(ControllerEvent::LeaderElected { .. })) => {
                    census.elections += 1;
                }
                What::Told(Event::Log(_, LogEvent::Truncated { .. })) => census.truncations += 1,
                _ => {}
            }
        }
        json(&census)
    }
}

fn read(text: &str) -> Result<Scenario, String> {
    Scenario::parse("the scenario", text).map_err(|errors| errors.to_string())
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a form in JSON")
}
