//! A run that can be looked at in any order: checkpoints behind, a hot cursor in front, forks.
//!
//! Forward motion steps the cursor; only going back starts from a checkpoint. An intervention forks: both futures stay,
//! and the fork equals a fresh run of the scenario with the step added (the prefix law).

use crate::scenario::Scenario;
use crate::view::View;
use crate::world::{Watch, World};
use klab_kafka::time::Time;
use std::sync::Arc;

/// A run with its past.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Worlds in order of time, the first at boot.
    checkpoints: Vec<World>,
    cursor: World,
    /// Events between two checkpoints.
    every: u64,
}

impl Timeline {
    /// A run at its beginning; a checkpoint is kept after each `every` events.
    pub fn open(scenario: Arc<Scenario>, seed: u64, watch: Watch, every: u64) -> Timeline {
        let world = World::new(scenario, seed, watch);
        Timeline {
            checkpoints: vec![world.clone()],
            cursor: world,
            every,
        }
    }

    /// The state after all that happens up to and at `t`.
    pub fn at(&mut self, t: Time) -> View<'_> {
        if t < self.cursor.now() {
            let last = self.checkpoints.partition_point(|w| w.now() <= t);
            self.cursor = self.checkpoints[last.max(1) - 1].clone();
        }
        while self.cursor.next_at().is_some_and(|at| at <= t) {
            self.cursor.step();
            self.remember();
        }
        View::new(&self.cursor)
    }

    /// The state at the cursor.
    pub fn now(&self) -> View<'_> {
        View::new(&self.cursor)
    }

    /// The world at the cursor.
    pub fn world(&self) -> &World {
        &self.cursor
    }

    /// On to the end of the run.
    pub fn run_to_end(&mut self) {
        while self.cursor.step() {
            self.remember();
        }
    }

    fn remember(&mut self) {
        let last = self.checkpoints.last().map_or(0, World::events);
        if self.cursor.events() >= last + self.every {
            self.checkpoints.push(self.cursor.clone());
        }
    }
}
