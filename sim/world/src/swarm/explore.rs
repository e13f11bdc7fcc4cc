//! One drawn run from its seed to its findings: what was lost, whether it is explained, which goals it reached.

pub mod aims;
pub mod recheck;

use super::Half;
use crate::census::{Among, Census};
use crate::disks::Keep;
use crate::fault::Realised;
use crate::scenario::Scenario;
use crate::scenario::expect::{GOALS, Goal};
use crate::steps::{Entry, Taped};
use crate::trace::Phase;
use crate::verdict::{FindingKind, Verdict};
use crate::view::View;
use crate::world::{Watch, World};
use klab_kafka::rules::Rules;
use klab_kafka::time::Duration;
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
    /// What it was given: keys of the grammar, kinds of selectors, settings off their defaults.
    pub inputs: BTreeSet<String>,
    /// The verdict's sentence.
    pub sentence: String,
    /// Harm was done, and a leader, an ISR, a controller or a request under way changed.
    pub bites: bool,
    /// A leader was elected from the ISR after the start.
    pub elects_cleanly: bool,
    /// How long harm could be done: from ready until everything was healed.
    pub open_to_harm: Duration,
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

/// A drawn run that is over.
pub struct Drawn {
    /// The world at its end.
    pub world: World,
    half: Half,
    open_to_harm: Duration,
}

impl Drawn {
    /// Draws the run of a seed and runs it to its end.
    pub fn run(seed: u64, half: Half, rules: &Rules) -> Drawn {
        let scenario = Arc::new(super::scenario(seed, half, rules));
        let mut world = World::new(scenario, seed, WATCHED);
        while matches!(world.phase(), Phase::Booting | Phase::Running) && goes_on(&mut world) {}
        let ready = world.ready().unwrap_or(world.now());
        let open_to_harm = world.now().since(ready);
        while goes_on(&mut world) {}
        Drawn {
            world,
            half,
            open_to_harm,
        }
    }

    /// What it showed.
    pub fn report(&self) -> Explored {
        let world = &self.world;
        let verdict = verdict(world);
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
        let goals = goals(census, &found);
        let harms: BTreeSet<&'static str> = world.tape().iter().filter_map(harm).collect();
        let all = Among::default();
        let history = world.checkers().and_then(|c| c.history());
        let breaks_a_connection = history.is_some_and(|h| h.connection_broken);
        Explored {
            seed: world.seed(),
            half: self.half,
            hash: world.hash(),
            events: world.events(),
            unexplained: verdict.unexplained().count() as u64,
            broken,
            stuck: match world.phase() {
                Phase::Done => world.stuck().map(ToString::to_string),
                _ => Some(format!("it went on after {MOST_EVENTS} inputs")),
            },
            bites: !harms.is_empty()
                && (breaks_a_connection || BITING.iter().any(|g| goals.contains(g))),
            elects_cleanly: census.elections(all) > census.unclean_elections(all),
            open_to_harm: self.open_to_harm,
            found,
            goals,
            harms,
            inputs: super::inputs::used(world.scenario()),
            sentence: verdict.to_string(),
        }
    }
}

/// What harm changes when it bites.
const BITING: [Goal; 4] = [
    Goal::LeaderElected,
    Goal::IsrShrunk,
    Goal::ControllerElected,
    Goal::RequestRetried,
];

fn goals(census: &Census, found: &BTreeMap<FindingKind, u64>) -> BTreeSet<Goal> {
    let is_reached = |goal: &Goal| match goal {
        Goal::RecordLost => found.contains_key(&FindingKind::Lost),
        Goal::RecordDuplicated => found.contains_key(&FindingKind::Duplicated),
        _ => census.reached(*goal),
    };
    GOALS.iter().map(|(g, ..)| *g).filter(is_reached).collect()
}

/// A drawn run that handles so many inputs has a loop in it and is over; a hundredth is usual.
const MOST_EVENTS: u64 = 3_000_000;

/// A step of a drawn run; false if it is over.
fn goes_on(world: &mut World) -> bool {
    world.events() < MOST_EVENTS && world.step()
}

/// Draws the run of a seed, runs it to its end and tells what it showed.
pub fn explore(seed: u64, half: Half, rules: &Rules) -> Explored {
    Drawn::run(seed, half, rules).report()
}

const WATCHED: Watch = Watch {
    records: false,
    checkers: true,
};

/// Replays the run of a seed without those entries of its tape that `keep` refuses.
pub fn replay_without(
    scenario: Arc<Scenario>,
    seed: u64,
    tape: &[Entry],
    keep: impl Fn(&Entry) -> bool,
) -> World {
    let kept: Vec<Entry> = tape.iter().filter(|e| keep(e)).cloned().collect();
    let mut world = World::replay(scenario, seed, WATCHED, Arc::new(kept));
    while goes_on(&mut world) {}
    world
}

fn verdict(world: &World) -> Verdict {
    let checkers = world.checkers().expect("a drawn run is watched");
    checkers.verdict(View::new(world))
}

fn harm(entry: &Entry) -> Option<&'static str> {
    match &entry.what {
        Taped::Fault(fault, _) => Some(kind(fault)),
        Taped::Admin(_) | Taped::Missed => None,
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
        PowerLoss {
            keep: Keep::Bytes(_),
            ..
        } => "torn power loss",
        PowerLoss { .. } => "power loss",
        DiskLoss { .. } => "disk replaced",
        Pause { .. } => "pause",
        Stop { .. } => "clean stop",
        Start { .. } => "start",
        Clog { .. } => "clog",
        DropPackets { .. } => "lost packets",
        Refuse { .. } => "refused connections",
        SlowAccept { .. } => "slow accept",
        Ring { .. } => "ring of majorities",
        Clock { .. } => "wrong clock",
        Drift { .. } => "drifting clock",
        SlowNode { .. } => "slow node",
        Stall { .. } => "stalled disk",
        FailDisk { full: true, .. } => "full disk",
        FailDisk { .. } => "dead disk",
        Answer { .. } => "answer in place",
        Throttle { .. } => "throttle",
        CrashAt { power: None, .. } => "crash point",
        CrashAt { .. } => "power lost at a point",
    }
}
