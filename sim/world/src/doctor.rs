//! The determinism doctor: two runs that should be one, side by side, and where they part.
//!
//! Both go step by step. Facts are compared as they are told; the whole state at checkpoints. Once anything differs, both
//! go back to the last checkpoint at which all was equal and are taken from there again, now with a digest of every process,
//! disk and connection after each step: so the first to differ is named, even where it tells of it only later.
//!
//! A tape remembers the hash at its own checkpoints (`Marks`), so that a run elsewhere can be compared with it.
//! What is left out: a cause inside the process; its digest differs, and its code is where to look.

use crate::digest;
use crate::line::Lexicon;
use crate::view::View;
use crate::world::World;
use klab_kafka::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Steps, and records of a tape, between two checkpoints.
pub const EVERY: u64 = 256;

/// For so many steps after the first difference a line is looked for that tells of it.
const LOOK_ON: u64 = 100_000;

/// Which of the two runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Twin {
    /// The one.
    First,
    /// The other.
    Second,
}

/// Two runs that agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Healthy {
    /// At so many checkpoints, the end among them.
    pub checkpoints: u64,
    /// So many facts.
    pub records: u64,
    /// The hash at the end.
    pub hash: u64,
}

/// Where two runs part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnosis {
    /// Steps up to the first difference of any kind.
    pub step: u64,
    /// When, since boot.
    pub at: Time,
    /// Whose digests differ there first: processes, disks, connections.
    pub components: Vec<String>,
    /// The last fact that both tell, as a line.
    pub common: Option<String>,
    /// The first facts that differ, as lines; none where a run tells nothing more. None if only the state differs.
    pub lines: Option<(Option<String>, Option<String>)>,
}

/// Takes two runs from their beginnings to their ends; `step` does the next thing in one and says whether it did. Both must
/// keep their records.
///
/// # Errors
/// Where they part.
pub fn examine(
    mut pair: (World, World),
    mut step: impl FnMut(&mut World, Twin) -> bool,
) -> Result<Healthy, Box<Diagnosis>> {
    let mut story = Story::default();
    let mut sound = pair.clone();
    let (mut steps, mut sound_steps, mut checkpoints) = (0, 0, 0);
    loop {
        let more = (
            step(&mut pair.0, Twin::First),
            step(&mut pair.1, Twin::Second),
        );
        steps += 1;
        story.go_on(&mut pair);
        let is_over = more == (false, false);
        let is_due = is_over || steps % EVERY == 0;
        let parted =
            story.lines.is_some() || more.0 != more.1 || (is_due && pair.0.hash() != pair.1.hash());
        if parted {
            let mut diagnosis = closer(sound, sound_steps, steps, &mut step);
            diagnosis.lines = story.lines.or(diagnosis.lines);
            diagnosis.common = story.common.or(diagnosis.common);
            if diagnosis.components.is_empty() {
                diagnosis.components = differing(&pair);
            }
            return Err(Box::new(diagnosis));
        }
        if is_due {
            checkpoints += 1;
            (sound, sound_steps) = (pair.clone(), steps);
        }
        if is_over {
            let (records, hash) = (pair.0.trace().count(), pair.0.hash());
            return Ok(Healthy {
                checkpoints,
                records,
                hash,
            });
        }
    }
}

/// From where all was equal, with every digest after every step, to where something is not. `until` is where the first
/// passage saw it: what is not deterministic need not differ there again.
fn closer(
    mut pair: (World, World),
    from: u64,
    until: u64,
    step: &mut impl FnMut(&mut World, Twin) -> bool,
) -> Diagnosis {
    let mut story = Story::default();
    let mut first: Option<(u64, Time, Vec<String>)> = None;
    for number in from + 1..=until + LOOK_ON {
        let more = (
            step(&mut pair.0, Twin::First),
            step(&mut pair.1, Twin::Second),
        );
        story.go_on(&mut pair);
        if first.is_none() {
            let components = differing(&pair);
            let parted = !components.is_empty() || story.lines.is_some() || more.0 != more.1;
            first = parted.then(|| (number, pair.0.now(), components));
        }
        let is_told = first.is_some() && story.lines.is_some();
        if is_told || more == (false, false) {
            break;
        }
    }
    let (step, at, components) = first.unwrap_or((until, pair.0.now(), Vec::new()));
    story.diagnosis(step, at, components)
}

/// What two runs tell, as far as they tell the same.
#[derive(Default)]
struct Story {
    common: Option<String>,
    lines: Option<(Option<String>, Option<String>)>,
}

impl Story {
    /// Takes what both told since the last time.
    fn go_on(&mut self, pair: &mut (World, World)) {
        let told = (pair.0.take_records(), pair.1.take_records());
        let same = told.0.iter().zip(&told.1).take_while(|(a, b)| a == b);
        let same = same.count();
        if same > 0 {
            let lexicon = Lexicon::of(View::new(&pair.0));
            self.common = Some(lexicon.line(&told.0[same - 1]));
        }
        let line = |world: &World, records: &[crate::trace::Record]| {
            let next = records.get(same)?;
            Some(Lexicon::of(View::new(world)).line(next))
        };
        let next = (line(&pair.0, &told.0), line(&pair.1, &told.1));
        if self.lines.is_none() && next != (None, None) {
            self.lines = Some(next);
        }
    }

    fn diagnosis(self, step: u64, at: Time, components: Vec<String>) -> Diagnosis {
        Diagnosis {
            step,
            at,
            components,
            common: self.common,
            lines: self.lines,
        }
    }
}

/// The processes, disks and connections whose digests differ between two runs, in the order of their names.
fn differing(pair: &(World, World)) -> Vec<String> {
    let (a, b) = (digests(&pair.0), digests(&pair.1));
    let mut names: Vec<&Component> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let differ = names.into_iter().filter(|name| a.get(name) != b.get(name));
    differ.map(ToString::to_string).collect()
}

/// A part of the state.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Component {
    Process(String),
    Machine(String),
    Disk(String),
    Connection(u64, String, String),
    Network,
    Steps,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Component::Process(name) => write!(f, "process {name}"),
            Component::Machine(name) => write!(f, "machine of {name}"),
            Component::Disk(name) => write!(f, "disk of {name}"),
            Component::Connection(n, a, b) => write!(f, "connection {n} from {a} to {b}"),
            Component::Network => f.write_str("network"),
            Component::Steps => f.write_str("what was done"),
        }
    }
}

fn digests(world: &World) -> BTreeMap<Component, u64> {
    let mut all = BTreeMap::new();
    for ((_, name), machine) in world.names.iter().zip(&world.machines) {
        let mut add =
            |of: fn(String) -> Component, digest| all.insert(of(name.to_string()), digest);
        let process = digest::roll(0, &machine.process);
        add(Component::Process, process);
        add(Component::Disk, digest::roll(0, &machine.disk));
        let around = (
            (machine.starts, machine.busy_until, machine.paused),
            (&machine.clocks, &machine.alarms, machine.slow),
            (&machine.inbox, &machine.held, machine.stopping),
        );
        add(Component::Machine, digest::roll(0, &around));
    }
    let mut connections = 0;
    for (key, connection) in world.network.connections() {
        let name = |p| world.names.of(p).to_owned();
        let (client, server) = (name(connection.client), name(connection.server));
        let digest = digest::roll(0, connection);
        connections = digest::roll(connections, &digest);
        all.insert(Component::Connection(key.0, client, server), digest);
    }
    // The rest of the network is looked at only through what it does to connections and to the hash.
    let network = digest::roll(connections, &world.network);
    all.insert(Component::Network, network);
    let steps = digest::roll(0, &world.steps);
    all.insert(Component::Steps, steps);
    all
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = crate::scenario::quantity::write_duration(self.at.0);
        writeln!(f, "two runs part at step {}, {at} after boot", self.step)?;
        let components = match self.components.is_empty() {
            true => "none at that step".to_owned(),
            false => self.components.join(", "),
        };
        writeln!(f, "  digests that differ: {components}")?;
        if let Some(common) = &self.common {
            writeln!(f, "  last line of both:   {common}")?;
        }
        match &self.lines {
            None => write!(f, "  both tell the same so far: only the state differs"),
            Some((first, second)) => {
                let line = |line: &Option<String>| {
                    line.clone().unwrap_or_else(|| "(nothing more)".to_owned())
                };
                writeln!(f, "  the first run then:  {}", line(first))?;
                write!(f, "  the second run then: {}", line(second))
            }
        }
    }
}

/// Hashes over the trace at the end of the first step with each further [`EVERY`] records.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks(Vec<Mark>);

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// Records so far.
    pub records: u64,
    /// The hash over them, as 16 hexadecimal digits.
    pub hash: String,
}

impl Marks {
    /// Looks at a run after a step.
    pub fn look(&mut self, world: &World) {
        let records = world.trace().count();
        let due = self.0.last().map_or(0, |mark| mark.records) + EVERY;
        if records >= due {
            let hash = format!("{:016x}", world.trace().hash());
            self.0.push(Mark { records, hash });
        }
    }

    /// The records after which two runs may have parted, and before which they surely have; none if all marks agree.
    pub fn parted(&self, other: &Marks) -> Option<(u64, u64)> {
        let same = self.0.iter().zip(&other.0).take_while(|(a, b)| a == b);
        let same = same.count();
        let from = same.checked_sub(1).map_or(0, |last| self.0[last].records);
        let until = self.0.get(same).or(other.0.get(same))?.records;
        Some((from, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::world::Watch;
    use std::sync::Arc;

    /// One broker to which a hundred records are sent.
    fn busy(seed: u64, records: bool) -> World {
        let mut scenario = Scenario::tracer();
        for producer in scenario.producers.values_mut() {
            producer.records = 100;
            producer.rate.count = 20;
        }
        let watch = Watch {
            records,
            checkers: false,
        };
        World::new(Arc::new(scenario), seed, watch)
    }

    fn pair() -> (World, World) {
        (busy(1, true), busy(1, true))
    }

    /// A process that looks at where its memory lies, as one with a map keyed by pointers would: up to 16 ms, and neighbours
    /// are far apart.
    fn address() -> u64 {
        let place: &'static u8 = Box::leak(Box::new(0));
        let scattered =
            (std::ptr::from_ref(place).addr() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        scattered >> 40
    }

    #[test]
    fn two_runs_of_one_scenario_agree_at_every_checkpoint() {
        let healthy = examine(pair(), |world, _| world.step()).expect("klab is deterministic");
        assert!(healthy.checkpoints > 1);
        let mut alone = pair().0;
        alone.run_to_end();
        assert_eq!(healthy.hash, alone.hash());
        assert_eq!(healthy.records, alone.trace().count());
    }

    #[test]
    fn a_process_that_reads_an_address_is_caught_and_named_at_the_step_at_which_it_does() {
        let haunted = |world: &mut World, _: Twin| {
            let did = world.step();
            let events = world.events();
            let broker = world.names.find("broker-1").expect("it is there");
            if events >= 300 {
                let machine = &mut world.machines[broker.index()];
                machine.busy_until.0 += address();
            }
            did
        };
        let diagnosis = examine(pair(), haunted).expect_err("it is not deterministic");
        assert_eq!(diagnosis.components, ["machine of broker-1"]);
        let (first, second) = diagnosis.lines.clone().expect("its answers are late");
        assert_ne!(first, second);
        assert!(diagnosis.common.is_some());
        let told = diagnosis.to_string();
        assert!(
            told.contains("digests that differ: machine of broker-1"),
            "{told}"
        );
    }

    #[test]
    fn a_state_that_nobody_tells_of_is_caught_too() {
        let haunted = |world: &mut World, twin: Twin| {
            let did = world.step();
            let reader = world.names.find("reader").expect("it is there");
            if twin == Twin::Second {
                world.machines[reader.index()].clocks.ahead_ms = 1;
            }
            did
        };
        let diagnosis = examine(pair(), haunted).expect_err("a clock is ahead");
        assert_eq!(diagnosis.step, 1);
        assert_eq!(diagnosis.components, ["machine of reader"]);
    }

    #[test]
    fn marks_say_between_which_records_two_runs_parted() {
        let marks = |seed: u64| {
            let mut world = busy(seed, false);
            let mut marks = Marks::default();
            while world.step() {
                marks.look(&world);
            }
            marks
        };
        let (one, two) = (marks(1), marks(2));
        assert!(!one.0.is_empty(), "the run is long enough");
        assert_eq!(one.parted(&marks(1)), None);
        let (from, until) = one.parted(&two).expect("another seed is another run");
        assert_eq!(from, 0);
        assert!(until >= EVERY);
    }
}
