//! `klab run`: one scenario, one seed, and what became of it. Without a command, the quickstart.

use std::sync::Arc;

use klab_kafka::time::Duration;
use klab_world::world::{Watch, World};

use crate::args::{Run, Scenario};
use crate::engine::{self, Plan};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::tape::{Tape, hash};

/// The seed of a run that names none.
pub const SEED: u64 = 1;

/// Runs it.
pub fn run(args: &Run) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    let tape = args
        .replay
        .as_deref()
        .map(|path| Tape::read(path, &scenario))
        .transpose()?;
    if let Some(path) = &args.write_tape {
        files::writable(path)?;
    }
    let plan = Plan {
        seed: seed(args, tape.as_ref(), scenario.seed)?,
        scenario,
        watch: Watch {
            records: args.lines || args.tell,
            checkers: true,
        },
        until: args.until.map(Duration),
        tape: tape.as_ref().map(|tape| tape.entries.clone()),
    };
    let Some(ended) = engine::ended(&plan, &args.scenario)? else {
        return Ok(Outcome::Bug);
    };
    if let Some(path) = &args.write_tape {
        Tape::of(&ended.world).write(path)?;
    }
    if args.lines {
        report::lines(&ended.world);
    }
    let told = if args.json {
        report::json(&ended)
    } else {
        // A tape cannot be asked why: what is on it need not be what the scenario does.
        let again = tape.is_none().then(|| args.scenario.again());
        report::text(&ended, args.tell, again.as_deref())
    };
    Ok(told.max(replayed(tape.as_ref(), &ended.world, args)))
}

/// A tape has its own seed, and no other will do.
fn seed(args: &Run, tape: Option<&Tape>, of_scenario: Option<u64>) -> Result<u64, Wrong> {
    match (args.seed, tape) {
        (Some(seed), Some(tape)) if seed != tape.seed => Err(Wrong::usage(
            format!("the tape was made with seed {}", tape.seed),
            "leave --seed out",
        )),
        (Some(seed), _) => Ok(seed),
        (None, Some(tape)) => Ok(tape.seed),
        (None, None) => Ok(of_scenario.unwrap_or(SEED)),
    }
}

/// A whole run from a tape must end with the hash that the tape remembers.
fn replayed(tape: Option<&Tape>, world: &World, args: &Run) -> Outcome {
    match tape {
        Some(tape) if args.until.is_none() && tape.hash != hash(world) => {
            let made = format!("{}, made by klab {}", tape.hash, tape.klab);
            report::bug(
                &format!(
                    "the tape ends with the hash {made}; this run ends with {}",
                    hash(world)
                ),
                &format!("klab run {} --replay TAPE", args.scenario.again()),
            );
            Outcome::Bug
        }
        _ => Outcome::Good,
    }
}

/// The first thing that somebody sees of klab.
pub fn quickstart() -> Result<Outcome, Wrong> {
    let scenario = Scenario {
        file: "quickstart".to_owned(),
        sets: Vec::new(),
        twin: None,
    };
    let args = Run {
        scenario,
        seed: None,
        until: None,
        lines: false,
        tell: false,
        json: false,
        replay: None,
        write_tape: None,
    };
    let outcome = run(&args)?;
    let bold = anstyle::Style::new().bold();
    report::print(&format!("\n{bold}What to try next{bold:#}"));
    for (command, sentence) in NEXT {
        report::print(&format!("  {command:<66} {sentence}"));
    }
    Ok(outcome)
}

const NEXT: [(&str, &str); 5] = [
    (
        "klab run quickstart --twin 1",
        "the same crash with one setting changed",
    ),
    (
        "klab run quickstart --set /producers/shop/config/acks=all",
        "any setting, by its place in the file",
    ),
    (
        "klab sweep quickstart --seeds 0..200",
        "how often it happens",
    ),
    ("klab list", "the other stories"),
    ("klab check --grammar", "all that a scenario can say"),
];
