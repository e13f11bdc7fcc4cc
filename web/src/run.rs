//! A run as the wasm door drives it, without JavaScript: natively and in WebAssembly the very same code.
//!
//! Thin still: whatever the text says, the tracer scenario is run; scenario files come with their decoder.

use klab_kafka::event::{ControllerEvent, Event, LogEvent};
use klab_world::scenario::Scenario;
use klab_world::trace::What;
use klab_world::world::{Watch, World};
use std::sync::Arc;

/// One run.
pub struct Run {
    world: World,
}

impl Run {
    /// Opens a scenario, given as the text of its file.
    pub fn open(_scenario: &str, seed: u64) -> Result<Run, String> {
        let watch = Watch {
            records: true,
            checkers: true,
        };
        let world = World::new(Arc::new(Scenario::tracer()), seed, watch);
        Ok(Run { world })
    }

    /// Goes on for at most `records` records; true when the run has ended.
    pub fn run(&mut self, records: u32) -> bool {
        let upto = self.world.trace().count() + u64::from(records);
        while self.world.trace().count() < upto {
            if !self.world.step() {
                return true;
            }
        }
        false
    }

    /// The hash of the run so far, as 16 hexadecimal digits.
    pub fn hash(&self) -> String {
        format!("{:016x}", self.world.hash())
    }

    /// Sums over the run so far, as JSON.
    pub fn census(&self) -> String {
        let mut elections = 0;
        let mut truncations = 0;
        for record in self.world.trace().records() {
            match &record.what {
                What::Told(Event::Controller(ControllerEvent::LeaderElected { .. })) => {
                    elections += 1;
                }
                What::Told(Event::Log(_, LogEvent::Truncated { .. })) => truncations += 1,
                _ => {}
            }
        }
        let records = self.world.trace().count();
        serde_json::json!({ "records": records, "elections": elections, "truncations": truncations }).to_string()
    }
}
