//! Tapes: what was really done in a run, with exact times and concrete processes. A tape repeats its run without drawing
//! or triggering anything.

use std::path::Path;
use std::sync::Arc;

use klab_world::doctor::Marks;
use klab_world::fault::Fault;
use klab_world::scenario::Scenario;
use klab_world::steps::{Entry, Taped};
use klab_world::view::View;
use klab_world::world::World;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::outcome::Wrong;

/// The file.
#[derive(Serialize, Deserialize)]
pub struct Tape {
    /// The version of this form.
    format: u32,
    /// The klab that made it.
    pub klab: String,
    /// The scenario's file, as klab understood it.
    scenario: String,
    /// The seed.
    pub seed: u64,
    /// The hash at the end of the run.
    pub hash: String,
    /// Hashes on the way; a tape of an older klab has none.
    #[serde(default)]
    pub marks: Marks,
    /// The processes, by number.
    processes: Vec<String>,
    /// What was done.
    pub entries: Arc<Vec<Entry>>,
}

/// The only form so far.
const FORMAT: u32 = 1;

impl Tape {
    /// The tape of a run that has ended.
    pub fn of(world: &World, marks: &Marks) -> Tape {
        Tape {
            format: FORMAT,
            klab: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: world.scenario().export(),
            seed: world.seed(),
            hash: hash(world),
            marks: marks.clone(),
            processes: View::new(world)
                .names()
                .iter()
                .map(|(_, name)| name.to_string())
                .collect(),
            entries: Arc::new(world.tape().to_vec()),
        }
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<(), Wrong> {
        let text = serde_json::to_string_pretty(self).expect("a tape is plain data");
        files::write(path, text.as_bytes())
    }

    /// Reads a tape and checks that it is of this scenario.
    pub fn read(path: &Path, scenario: &Scenario) -> Result<Tape, Wrong> {
        let name = path.display();
        let help = "name a file that `klab run FILE --write-tape TAPE` wrote";
        let bytes = files::bytes(path, files::TAPE_MAX, help)?;
        let tape: Tape = serde_json::from_slice(&bytes).map_err(|error| {
            Wrong::usage(
                format!(
                    "{name}:{}:{}: not a tape: {error}",
                    error.line(),
                    error.column()
                ),
                help,
            )
        })?;
        if tape.format != FORMAT {
            return Err(Wrong::usage(
                format!("{name} is a tape of form {}", tape.format),
                format!("this klab reads form {FORMAT}"),
            ));
        }
        if tape.scenario != scenario.export() {
            return Err(Wrong::usage(
                format!("{name} was made with another scenario"),
                "run it with the scenario, the twin and the --set it was made with",
            ));
        }
        let (names, _) = klab_world::setup::machines(scenario);
        let count = names.iter().count() as u32;
        if !tape.entries.iter().all(|entry| is_sound(entry, count)) {
            return Err(Wrong::usage(
                format!("{name} does something that no run does"),
                help,
            ));
        }
        Ok(tape)
    }
}

/// Whether an entry names processes that exist and numbers that a scenario could have.
fn is_sound(entry: &Entry, processes: u32) -> bool {
    let Taped::Fault(fault, _) = &entry.what else {
        return true;
    };
    let exist = fault.map(|who| {
        if who.iter().all(|p| p.0 < processes) {
            Ok(())
        } else {
            Err(())
        }
    });
    let is_in_range = match fault {
        Fault::SlowLink { factor, .. } | Fault::SlowNode { factor, .. } => {
            (1..=1_000).contains(factor)
        }
        Fault::Clock { ahead_ms, .. } => ahead_ms.unsigned_abs() <= 100 * 86_400_000,
        Fault::Drift { ppm, .. } => ppm.unsigned_abs() <= 1_000_000,
        Fault::DropPackets { ppm, .. } => (1..=1_000_000).contains(ppm),
        _ => true,
    };
    exist.is_ok() && is_in_range
}

/// A run's hash as people write it.
pub fn hash(world: &World) -> String {
    format!("{:016x}", world.hash())
}
