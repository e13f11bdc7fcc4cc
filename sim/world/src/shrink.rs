//! From a failing run to a small scenario that fails in the same way, as a function of the scenario, the seed and how many
//! runs may be tried.
//!
//! 1. The run is done once; what it failed at is the predicate (`failure`).
//! 2. It is done again with frozen latencies; its tape becomes plain steps (`concrete`). What comes after the failure is cut off.
//! 3. Steps are taken away by delta debugging, as Zeller's ddmin does it.
//! 4. Clients, topics, brokers, controllers, settings and records that do not matter go (`entities`).
//! 5. Times become round where that changes nothing.
//!
//! Each candidate is written as a file and read again before it is run, so what no file can say is never tried, and the
//! result is a file. A candidate that was tried before costs nothing.
//! Left out: runs that end in a panic; triggers in place of times; other seeds.

pub mod concrete;
mod entities;
pub mod failure;

use crate::scenario::quantity::{Range, write_duration};
use crate::scenario::{Lasts, Scenario, ScenarioTime, Step, When};
use crate::world::{Watch, World};
use concrete::Instant;
use failure::Failure;
use klab_kafka::time::Duration;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

const WATCHED: Watch = Watch {
    records: false,
    checkers: true,
};

/// How many runs are tried if nobody says.
pub const BUDGET: u32 = 600;

/// So many runs are spared for the steps of the run as it was.
const FIRST_TRIES: u32 = 8;

/// A run that failed as it should.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    /// When that was clear, after time 0.
    pub at: Duration,
}

/// What is left, and of what.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The small scenario; its seed is in it.
    pub scenario: Scenario,
    /// What it fails at.
    pub failure: Failure,
    /// How big the run was.
    pub before: Size,
    /// How big it is.
    pub after: Size,
    /// How many runs were tried.
    pub runs: u32,
}

/// How big a scenario is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Things done to the cluster.
    pub steps: usize,
    /// Brokers.
    pub brokers: u32,
    /// Controllers.
    pub controllers: u32,
    /// Topics.
    pub topics: usize,
    /// Applications.
    pub clients: usize,
    /// Records to send.
    pub records: u64,
    /// When the end begins.
    pub end: Duration,
}

/// How far the search has come, for somebody who waits.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is being tried.
    pub stage: &'static str,
    /// Runs so far.
    pub runs: u32,
    /// Runs at most.
    pub budget: u32,
    /// The smallest so far.
    pub size: Size,
}

/// Why there is nothing to shrink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unshrinkable {
    /// The run is good, or good in what was asked for.
    Good,
    /// It fails, and the same steps written down with their times do not.
    NotRepeated(Failure),
}

impl fmt::Display for Unshrinkable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unshrinkable::Good => f.write_str("the run does not fail: there is nothing to shrink"),
            Unshrinkable::NotRepeated(failure) => write!(
                f,
                "the run fails ({failure}), but not when it is written as a scenario of its own"
            ),
        }
    }
}

/// Shrinks the run of a scenario with a seed, by at most so many further runs. `wanted` says at what it fails; else the
/// first failure of the run is taken.
///
/// # Errors
/// If the run does not fail.
pub fn shrink(
    scenario: &Arc<Scenario>,
    seed: u64,
    wanted: Option<Failure>,
    budget: u32,
    tell: &mut dyn FnMut(Progress),
) -> Result<Shrunk, Unshrinkable> {
    let mut original = world(scenario.clone(), seed);
    original.run_to_end();
    let is_wished = wanted.is_some();
    let failure = match wanted {
        Some(failure) => failure,
        None => Failure::of(&original).ok_or(Unshrinkable::Good)?,
    };
    let plain = plain(scenario, seed, &failure);
    let mut search = Search {
        seed,
        failure,
        budget,
        runs: 0,
        stage: "what was done",
        renames: true,
        tried: BTreeSet::new(),
        best: plain.clone(),
        failing: None,
        tell,
    };
    let done = original.tape().len();
    if !search.make_concrete(&original, &plain) {
        return Err(match is_wished {
            true => Unshrinkable::Good,
            false => Unshrinkable::NotRepeated(search.failure),
        });
    }
    let steps = match search.renames {
        true => done,
        false => plain.steps.len(),
    };
    let before = Size {
        steps,
        ..size(scenario)
    };
    search.all();
    Ok(Shrunk {
        after: size(&search.best),
        scenario: search.best,
        failure: search.failure,
        before,
        runs: search.runs,
    })
}

/// A run at its beginning, watched.
fn world(scenario: Arc<Scenario>, seed: u64) -> World {
    World::new(scenario, seed, WATCHED)
}

/// The scenario without its words, and with the expectation that it misses.
fn plain(scenario: &Scenario, seed: u64, failure: &Failure) -> Scenario {
    Scenario {
        title: format!("{}, seed {seed}, shrunk", scenario.title).into(),
        teaches: None,
        seed: Some(seed),
        expect: failure.expectation().into_iter().collect(),
        tries: Vec::new(),
        tell: ["faults", "elections", "verdict"].map(Arc::from).into(),
        twins: Vec::new(),
        ..scenario.clone()
    }
}

fn size(scenario: &Scenario) -> Size {
    let records = scenario.producers.values().map(|p| u64::from(p.records));
    Size {
        steps: scenario.steps.len(),
        brokers: scenario.cluster.brokers,
        controllers: scenario.cluster.controllers,
        topics: scenario.topics.len(),
        clients: scenario.producers.len() + scenario.consumers.len(),
        records: records.sum(),
        end: scenario.end.at,
    }
}

/// The search: the smallest scenario so far, and what was tried.
struct Search<'a> {
    seed: u64,
    failure: Failure,
    budget: u32,
    runs: u32,
    stage: &'static str,
    /// Steps are named by their content, so that the file needs no ids.
    renames: bool,
    tried: BTreeSet<u64>,
    best: Scenario,
    failing: Option<Failing>,
    tell: &'a mut dyn FnMut(Progress),
}

impl Search<'_> {
    /// Takes a candidate for the best if it fails in the same way.
    fn try_one(&mut self, mut candidate: Scenario) -> bool {
        if self.renames {
            concrete::name(&mut candidate.steps);
        }
        if self.runs >= self.budget || !concrete::is_valid(&candidate.steps) {
            return false;
        }
        let text = candidate.export();
        if !self
            .tried
            .insert(xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
        {
            return false;
        }
        let Ok(candidate) = Scenario::parse("a candidate", &text) else {
            return false;
        };
        let candidate = Arc::new(candidate);
        self.runs += 1;
        let failing = self.failure.is_of(&candidate, self.seed);
        if let Some(failing) = failing {
            self.best = (*candidate).clone();
            self.failing = Some(failing);
        }
        (self.tell)(Progress {
            stage: self.stage,
            runs: self.runs,
            budget: self.budget,
            size: size(&self.best),
        });
        failing.is_some()
    }

    /// Tries the best with a change.
    fn change(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        candidate != self.best && self.try_one(candidate)
    }

    /// The steps of a tape in place of what drew or triggered them. First of a run with frozen latencies, in which triggers
    /// still come when they should: of the run as it was, frozen later, the times might fit no more.
    fn make_concrete(&mut self, original: &World, plain: &Scenario) -> bool {
        let range = plain.network.latency;
        for ns in latencies(range) {
            if self.runs + FIRST_TRIES > self.budget {
                break;
            }
            let mut frozen = plain.clone();
            frozen.network.latency = fixed(ns);
            frozen.network.bandwidth = None;
            frozen.cluster.sync = fixed(1_000_000);
            let mut run = world(Arc::new(frozen.clone()), self.seed);
            run.run_to_end();
            self.runs += 1;
            if self.realise(&run, &frozen) {
                return true;
            }
        }
        if self.realise(original, plain) {
            return true;
        }
        // No instant between two events is the one between two of an event's outputs at which the run's own steps were done: they
        // stay as they are, with the names that they draw by.
        self.renames = false;
        self.try_one(plain.clone())
    }

    fn realise(&mut self, run: &World, plain: &Scenario) -> bool {
        let Some(ready) = run.ready() else {
            return false;
        };
        let all = [Instant::Before, Instant::After, Instant::Trigger];
        all.into_iter().any(|instant| {
            let steps = concrete::steps(plain, &run.names, run.tape(), ready, instant);
            self.try_one(Scenario {
                steps,
                ..plain.clone()
            })
        })
    }

    fn all(&mut self) {
        loop {
            let before = (self.best.clone(), self.runs);
            self.stage = "cutting the end";
            self.cut_the_end();
            self.stage = "freezing latencies";
            self.freeze();
            self.stage = "taking faults away";
            self.fewer_steps();
            self.stage = "taking machines and settings away";
            self.fewer_entities();
            if self.best == before.0 || self.runs >= self.budget {
                break;
            }
        }
        self.stage = "rounding times";
        self.round_times();
        self.cut_the_end();
    }

    /// Nothing after the failure matters; often not even what is long before the end.
    fn cut_the_end(&mut self) {
        if let Some(Failing { at }) = self.failing {
            let is_before =
                |s: &Step| !matches!(s.when, When::At(t) if t.0 >= 0 && t.0.unsigned_abs() > at.0);
            self.change(|s| s.steps.retain(is_before));
        }
        let last = concrete::last(&self.best.steps);
        let after = |secs| Duration::secs((last.0 / 1_000_000_000) + secs);
        for end in [1, 2, 5, 10, 20, 40].map(after) {
            if end >= self.best.end.at || self.change(|s| s.end.at = end) {
                break;
            }
        }
    }

    /// Fixed latencies in place of drawn ones, as if there were one link and one disk.
    fn freeze(&mut self) {
        let is_fixed = |range: Range<u64>| range.min == range.max;
        let (latency, sync) = (self.best.network.latency, self.best.cluster.sync);
        if !is_fixed(latency) {
            latencies(latency).into_iter().any(|ns| {
                self.change(|s| {
                    s.network.latency = fixed(ns);
                    s.network.bandwidth = None;
                    s.cluster.sync = fixed(1_000_000);
                }) || self.change(|s| s.network.latency = fixed(ns))
            });
        }
        if !is_fixed(self.best.cluster.sync) {
            let _ = latencies(sync)
                .into_iter()
                .any(|ns| self.change(|s| s.cluster.sync = fixed(ns)));
        }
        self.change(|s| s.network.bandwidth = None);
    }

    /// ddmin: halves, then finer parts, each alone and then all but it.
    fn fewer_steps(&mut self) {
        let mut parts = 2;
        while !self.best.steps.is_empty() {
            let steps = self.best.steps.clone();
            let parts_of = steps.len().min(parts);
            let bound = |i: usize| i * steps.len() / parts_of;
            let within = |i: usize| bound(i)..bound(i + 1);
            let alone = (0..parts_of)
                .any(|i| parts_of > 1 && self.change(|s| s.steps = steps[within(i)].to_vec()));
            if alone {
                parts = 2;
                continue;
            }
            let without = |i: usize| -> Vec<Step> {
                let mut rest = steps.clone();
                rest.drain(within(i));
                rest
            };
            if (0..parts_of).any(|i| self.change(|s| s.steps = without(i))) {
                parts = parts_of.max(3) - 1;
            } else if parts_of == steps.len() {
                break;
            } else {
                parts = parts_of * 2;
            }
        }
    }

    /// Times that a person would have written, all at once and then one by one.
    fn round_times(&mut self) {
        for first in [1, 2, 5, 10].map(|s| s * 1_000_000_000) {
            if self.change(|s| begin_at(&mut s.steps, first)) {
                self.cut_the_end();
                break;
            }
        }
        for unit in UNITS {
            if self.change(|s| s.steps.iter_mut().for_each(|step| round(step, unit))) {
                break;
            }
        }
        self.change(|s| s.end.within = None);
        // The end is cut only afterwards: it takes steps away.
        for i in 0..self.best.steps.len() {
            self.change(|s| s.steps[i].lasts = Lasts::UntilHeal);
            for unit in UNITS {
                if self.change(|s| round_at(&mut s.steps[i], unit)) {
                    break;
                }
            }
            for unit in UNITS {
                if self.change(|s| round_lasts(&mut s.steps[i], unit)) {
                    break;
                }
            }
        }
    }
}

fn fixed(ns: u64) -> Range<u64> {
    Range { min: ns, max: ns }
}

/// What a range is frozen to, the plainest first.
fn latencies(range: Range<u64>) -> [u64; 6] {
    let middle = range.min + (range.max - range.min) / 2;
    [2_000_000, 1_000_000, 500_000, middle, range.min, range.max]
}

/// From a second down to ten microseconds, in ns.
const UNITS: [u64; 6] = [
    1_000_000_000,
    500_000_000,
    100_000_000,
    10_000_000,
    1_000_000,
    10_000,
];

/// Moves all steps to earlier times, the first of them to `ns` after time 0.
fn begin_at(steps: &mut [Step], ns: i64) {
    let time = |s: &Step| match s.when {
        When::At(at) => Some(at.0),
        _ => None,
    };
    let Some(first) = steps.iter().filter_map(time).min() else {
        return;
    };
    for step in steps {
        if let When::At(at) = &mut step.when {
            at.0 -= (first - ns).max(0);
        }
    }
}

fn round(step: &mut Step, unit: u64) {
    round_at(step, unit);
    round_lasts(step, unit);
}

/// To the nearest multiple, upwards from the middle; never to nothing.
fn nearest(ns: u64, unit: u64) -> u64 {
    ((ns + unit / 2) / unit * unit).max(unit)
}

fn round_at(step: &mut Step, unit: u64) {
    if let When::At(at) = &mut step.when {
        *at = ScenarioTime(nearest(at.0.max(0).unsigned_abs(), unit) as i64);
    }
}

fn round_lasts(step: &mut Step, unit: u64) {
    if let Lasts::For(time) = &mut step.lasts {
        *time = Duration(nearest(time.0, unit));
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u64, what: &str| match n {
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        write!(
            f,
            "{}, {}, {}, {}, {}, {}, the end at {}",
            count(self.steps as u64, "step"),
            count(u64::from(self.brokers), "broker"),
            count(u64::from(self.controllers), "controller"),
            count(self.topics as u64, "topic"),
            count(self.clients as u64, "client"),
            count(self.records, "record"),
            write_duration(self.end.0),
        )
    }
}
