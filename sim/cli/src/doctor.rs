//! `klab doctor`: the same run twice, side by side. They are one, or the doctor says where they part and what differs.

use std::sync::Arc;

use klab_world::doctor::{self, EVERY, Marks};
use klab_world::world::{Watch, World};

use crate::args::Doctor;
use crate::engine;
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::run::SEED;
use crate::tape::Tape;

/// How many lines around a doubtful place are printed.
const LINES: u64 = 20;

/// Examines it.
pub fn doctor(args: &Doctor) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    let seed = args.seed.or(scenario.seed).unwrap_or(SEED);
    let again = format!("klab doctor {} --seed {seed}", args.scenario.again());
    let watch = Watch {
        records: true,
        checkers: false,
    };
    let new = || World::new(scenario.clone(), seed, watch);
    let found = engine::catch(|| doctor::examine((new(), new()), |world, _| world.step()));
    Ok(match found {
        Ok(Ok(healthy)) => {
            report::print(&format!(
                "{} with seed {seed} is deterministic: two runs agree at {} checkpoints and in {} records; hash {:016x}",
                args.scenario.file, healthy.checkpoints, healthy.records, healthy.hash
            ));
            Outcome::Good
        }
        Ok(Err(diagnosis)) => {
            report::bug(&diagnosis.to_string(), &again);
            Outcome::Bug
        }
        Err(what) => {
            report::bug(&what, &again);
            Outcome::Bug
        }
    })
}

/// A tape was replayed and another hash came out: is it this klab that is not the same twice, or was it another one that made
/// the tape? In the second case the tape's own checkpoints say where to look.
pub fn of_tape(world: &World, tape: &Tape, marks: &Marks) {
    let watch = Watch {
        records: true,
        checkers: false,
    };
    let scenario = Arc::new(world.scenario().clone());
    let new = || World::replay(scenario.clone(), tape.seed, watch, tape.entries.clone());
    match doctor::examine((new(), new()), |world, _| world.step()) {
        Err(diagnosis) => report::complain(&diagnosis.to_string()),
        Ok(_) => {
            report::complain(
                "here two runs of the tape are one: it was made by another klab or by another hand",
            );
            let Some((from, until)) = tape.marks.parted(marks) else {
                report::complain("the tape's checkpoints agree: only its end differs");
                return;
            };
            report::complain(&format!(
                "the runs part between record {from} and record {until}; checkpoints lie {EVERY} records apart. Here it begins with"
            ));
            lines(new(), from);
        }
    }
}

/// Some lines of a run from a record on.
fn lines(mut world: World, from: u64) {
    while world.trace().count() < from + LINES && world.step() {}
    let lexicon = klab_world::line::Lexicon::of(klab_world::view::View::new(&world));
    let wanted = |r: &&klab_world::trace::Record| r.seq > from && r.seq <= from + LINES;
    let records = world.trace().records().iter();
    for record in records.filter(wanted) {
        report::complain(&lexicon.line(record));
    }
}
