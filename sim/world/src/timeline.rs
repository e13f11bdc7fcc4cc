//! A run that can be looked at in any order: checkpoints behind, a hot cursor in front, forks.
//!
//! Forward motion steps the cursor; going back, or on to what was seen before, starts from a checkpoint. An intervention
//! forks: both futures stay, and the fork equals a fresh run of the scenario with the step added (the prefix law).
//!
//! The records of the trace are kept here, once, and not in the checkpoints: a run of n records would else keep them n/every
//! times over.

use crate::scenario::{Scenario, Step, When};
use crate::trace::Record;
use crate::view::View;
use crate::world::{Watch, World};
use klab_kafka::time::Time;
use std::sync::Arc;

/// Events between two checkpoints where people wait for an answer: going back costs at most so many.
pub const EVERY: u64 = 128;

/// A run with its past.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Worlds in order of time, the first at boot.
    checkpoints: Vec<World>,
    cursor: World,
    /// All records of what the cursor has ever passed, if the run keeps them.
    records: Vec<Record>,
    /// Events between two checkpoints; doubled whenever there are too many of them.
    every: u64,
    /// How many checkpoints there may be.
    most: usize,
}

/// Why a run cannot be changed so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForkError {
    /// The run is not ready yet: there is nothing to do anything to.
    NotReady,
    /// The step lies at or after the end of the run.
    AfterEnd,
}

impl std::fmt::Display for ForkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ForkError::NotReady => {
                "the cluster is not ready yet: there is nothing to do anything to"
            }
            ForkError::AfterEnd => {
                "the end of the run has begun, when all that is broken is mended"
            }
        })
    }
}

impl Timeline {
    /// A run at its beginning; a checkpoint is kept after each `every` events.
    pub fn open(scenario: Arc<Scenario>, seed: u64, watch: Watch, every: u64) -> Timeline {
        let mut world = World::new(scenario, seed, watch);
        let records = world.take_records();
        Timeline {
            checkpoints: vec![world.clone()],
            cursor: world,
            records,
            every,
            most: 256,
        }
    }

    /// The state after all that happens up to and at `t`.
    pub fn at(&mut self, t: Time) -> View<'_> {
        while !self.approach(t, u64::MAX) {}
        View::new(&self.cursor)
    }

    /// Goes towards the state at `t` by at most so many events; true when it is reached. For those who may not block.
    pub fn approach(&mut self, t: Time, events: u64) -> bool {
        let nearest = self.before(t);
        if t < self.cursor.now() || nearest.events() > self.cursor.events() {
            self.cursor = nearest.clone();
        }
        let until = self.cursor.events().saturating_add(events);
        while self.cursor.next_at().is_some_and(|at| at <= t) {
            if self.cursor.events() >= until {
                return false;
            }
            self.step();
        }
        true
    }

    /// Does the next thing at the cursor; false when the run is over there.
    pub fn step(&mut self) -> bool {
        let stepped = self.cursor.step();
        if stepped {
            self.remember();
        }
        stepped
    }

    /// The state at the cursor.
    pub fn now(&self) -> View<'_> {
        View::new(&self.cursor)
    }

    /// The world at the cursor.
    pub fn world(&self) -> &World {
        &self.cursor
    }

    /// All records up to the furthest moment that the cursor has seen, by number from 1; none if the run keeps none.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records up to the cursor.
    pub fn records_so_far(&self) -> &[Record] {
        let count = self.cursor.trace().count();
        let all = usize::try_from(count).map_or(self.records.len(), |n| n.min(self.records.len()));
        &self.records[..all]
    }

    /// On to the end of the run.
    pub fn run_to_end(&mut self) {
        while self.step() {}
    }

    /// The same run with one more step; this one stays as it is. The fork's cursor stands at the moment of the fork, or
    /// at boot if the step can be due at any time (a trigger, a drawn time).
    ///
    /// # Errors
    /// If the run is not ready where the cursor stands, or the step would come after the end.
    pub fn fork(&self, step: Step) -> Result<Timeline, ForkError> {
        let ready = self.cursor.ready().ok_or(ForkError::NotReady)?;
        let scenario = Arc::new(self.cursor.scenario().with_step(step));
        let step = scenario.steps.last().expect("it was just added").clone();
        let end = Time(0) + scenario.end.at;
        let at = match step.when {
            When::At(t) if Time(0.max(t.0) as u64) >= end => return Err(ForkError::AfterEnd),
            When::At(t) => Time(ready.0.saturating_add_signed(t.0)).max(ready),
            When::Met { .. } | When::Drawn { .. } => ready,
        };
        // Of the checkpoints the latest at which nothing of that instant has begun.
        let kept = self.checkpoints.partition_point(|w| w.now() < at).max(1);
        let mut checkpoints = self.checkpoints[..kept].to_vec();
        for world in &mut checkpoints {
            world.add_step(scenario.clone(), &step);
        }
        let cursor = checkpoints[kept - 1].clone();
        let known = cursor.trace().count();
        let before = self.records.iter().take_while(|r| r.seq <= known);
        Ok(Timeline {
            checkpoints,
            cursor,
            records: before.cloned().collect(),
            every: self.every,
            most: self.most,
        })
    }

    /// The latest checkpoint at `t` or before it.
    fn before(&self, t: Time) -> &World {
        let last = self.checkpoints.partition_point(|w| w.now() <= t);
        &self.checkpoints[last.max(1) - 1]
    }

    fn remember(&mut self) {
        let known = self.records.last().map_or(0, |r| r.seq);
        let fresh = self.cursor.take_records();
        self.records
            .extend(fresh.into_iter().filter(|r| r.seq > known));
        let last = self.checkpoints.last().map_or(0, World::events);
        if self.cursor.events() < last + self.every {
            return;
        }
        self.checkpoints.push(self.cursor.clone());
        if self.checkpoints.len() > self.most {
            self.thin();
        }
    }

    /// Drops every second checkpoint but the first, and makes new ones half as often.
    fn thin(&mut self) {
        let mut index = 0;
        self.checkpoints.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.every *= 2;
    }
}
