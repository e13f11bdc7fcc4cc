//! One drawn run from its seed to its findings: what was lost, whether it is explained, which goals it reached.

use super::Half;
use crate::fault::Realised;
use crate::scenario::Scenario;
use crate::scenario::expect::{GOALS, Goal};
use crate::steps::{Entry, Taped};
use crate::verdict::FindingKind;
use crate::view::View;
use crate::world::{Watch, World};
use klab_kafka::rules::Rules;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a drawn run showed.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Its seed.
    pub seed: u64,
    /// Which half it was drawn for.
    pub half: Half,
    /// Its hash.
    pub hash: u64,
    /// Inputs handled.
    pub events: u64,
    /// Findings by kind: how many records.
    pub found: BTreeMap<FindingKind, u64>,
    /// Findings without an explanation.
    pub unexplained: u64,
    /// Promises that were broken, with the first sentence of each.
    pub broken: BTreeMap<&'static str, String>,
    /// What was missing when the time for healing was over.
    pub stuck: Option<String>,
    /// Goals that were reached.
    pub goals: BTreeSet<Goal>,
    /// Kinds of harm that were done.
    pub harms: BTreeSet<&'static str>,
    /// The verdict's sentence.
    pub sentence: String,
    /// Harm changed a leader, an ISR, a controller or a request under way.
    pub bites: bool,
}

impl Explored {
    /// Whether the run found a bug: a broken promise, something unexplained, no progress, or, in the safe half, anything
    /// lost, duplicated or reordered at all.
    pub fn is_bad(&self) -> bool {
        !self.broken.is_empty() || self.unexplained > 0 || self.stuck.is_some() || self.is_unsafe()
    }

    fn is_unsafe(&self) -> bool {
        use FindingKind::{Duplicated, Lost, Reordered};
        self.half == Half::Safe
            && [Lost, Duplicated, Reordered]
                .iter()
                .any(|k| self.found.contains_key(k))
    }
}

/// Draws the run of a seed and runs it to its end.
pub fn explore(seed: u64, half: Half, rules: &Rules) -> Explored {
    let scenario = Arc::new(super::scenario(seed, half, rules));
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(scenario, seed, watch);
    world.run_to_end();
    report(&world, seed, half)
}

/// Replays the run of a seed without those entries of its tape that `keep` refuses.
pub fn replay_without(
    scenario: Arc<Scenario>,
    seed: u64,
    tape: &[Entry],
    keep: impl Fn(&Entry) -> bool,
) -> World {
    let kept: Vec<Entry> = tape.iter().filter(|e| keep(e)).cloned().collect();
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::replay(scenario, seed, watch, Arc::new(kept));
    world.run_to_end();
    world
}

fn report(world: &World, seed: u64, half: Half) -> Explored {
    let checkers = world.checkers().expect("a drawn run is watched");
    let verdict = checkers.verdict(View::new(world));
    let census = world.census().expect("a drawn run is counted");
    let mut found = BTreeMap::new();
    for finding in &verdict.findings {
        *found.entry(finding.kind).or_insert(0) += 1;
    }
    let mut broken = BTreeMap::new();
    for violation in &verdict.broken {
        broken
            .entry(violation.promise)
            .or_insert_with(|| violation.to_string());
    }
    let is_reached = |goal: Goal| match goal {
        Goal::RecordLost => found.contains_key(&FindingKind::Lost),
        Goal::RecordDuplicated => found.contains_key(&FindingKind::Duplicated),
        _ => census.reached(goal),
    };
    let goals: BTreeSet<Goal> = GOALS
        .iter()
        .map(|(g, ..)| *g)
        .filter(|g| is_reached(*g))
        .collect();
    let biting = [
        Goal::LeaderElected,
        Goal::IsrShrunk,
        Goal::ControllerElected,
        Goal::RequestRetried,
    ];
    Explored {
        seed,
        half,
        hash: world.hash(),
        events: world.events(),
        found,
        unexplained: verdict
            .findings
            .iter()
            .filter(|f| f.explanation.is_none())
            .count() as u64,
        broken,
        stuck: world.stuck().map(str::to_owned),
        bites: biting.iter().any(|g| goals.contains(g)),
        goals,
        harms: world.tape().iter().filter_map(harm).collect(),
        sentence: verdict.to_string(),
    }
}

fn harm(entry: &Entry) -> Option<&'static str> {
    match &entry.what {
        Taped::Fault(fault, _) => Some(kind(fault)),
        Taped::AlterConfig(..) | Taped::Missed => None,
    }
}

fn kind(fault: &Realised) -> &'static str {
    use crate::fault::Fault::*;
    match fault {
        Cut { one_way: true, .. } => "one-way cut",
        Cut { .. } => "cut",
        BlackHole { .. } => "black hole",
        Reset { .. } => "reset",
        SlowLink { .. } => "slow link",
        Hold(_) => "held message",
        Lose(_) => "lost message",
        Kill { .. } => "kill",
        PowerLoss { .. } => "power loss",
        DiskLoss { .. } => "disk replaced",
        Pause { .. } => "pause",
        Stop { .. } => "clean stop",
        Start { .. } => "start",
    }
}
