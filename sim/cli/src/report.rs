//! What klab says about a run: for people and as JSON.

use std::io::Write;

use klab_world::outcome::Outcome as Ending;
use klab_world::trace::Phase;
use serde_json::json;

use crate::engine::Ended;
use crate::outcome::Outcome;
use crate::tape::hash;

const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const BOLD: anstyle::Style = anstyle::Style::new().bold();
const FAINT: anstyle::Style = anstyle::Style::new().dimmed();

/// Tells of a run in words.
pub fn text(ended: &Ended) -> Outcome {
    let world = &ended.world;
    anstream::println!(
        "{BOLD}{}{BOLD:#} · seed {}",
        world.scenario().title,
        world.seed()
    );
    let ending = world.outcome().expect("the run was watched");
    anstream::println!("{}", ending.verdict);
    let outcome = match world.phase() {
        Phase::Done => judgement(&ending),
        _ => {
            anstream::println!(
                "{FAINT}Stopped on the way: expectations are judged at the end.{FAINT:#}"
            );
            Outcome::Good
        }
    };
    anstream::println!("{FAINT}{}{FAINT:#}", figures(ended));
    outcome
}

fn judgement(ending: &Ending) -> Outcome {
    for judged in &ending.judged {
        match judged.holds {
            true => anstream::println!("  {GOOD}✓{GOOD:#} {}", judged.expected),
            false => anstream::println!("  {BAD}✕{BAD:#} {}: {}", judged.expected, judged.found),
        }
    }
    for broken in &ending.broken {
        anstream::println!(
            "  {BAD}✕{BAD:#} broken promise, {}: {} (record {})",
            broken.promise,
            broken.seen,
            broken.record
        );
    }
    for step in &ending.missed {
        anstream::println!("  {BAD}✕{BAD:#} nobody to act on: {step}");
    }
    for step in &ending.never_met {
        anstream::println!("  {BAD}✕{BAD:#} its trigger never came: {step}");
    }
    if let Some(missing) = &ending.stuck {
        anstream::println!("  {BAD}✕{BAD:#} the run did not get quiet in time: {missing}");
    }
    outcome(ending)
}

/// The exit code that an ending means.
pub fn outcome(ending: &Ending) -> Outcome {
    if ending.is_good() {
        Outcome::Good
    } else {
        Outcome::Failed
    }
}

/// One line of figures, each with its unit.
fn figures(ended: &Ended) -> String {
    let world = &ended.world;
    let micros = ended.took.as_micros();
    format!(
        "{} of virtual time in {}; {} events, {} records; hash {}",
        seconds(world.now().0 / 1_000),
        seconds(u64::try_from(micros).unwrap_or(u64::MAX)),
        world.events(),
        world.trace().count(),
        hash(world),
    )
}

/// Microseconds as seconds with three places.
pub fn seconds(micros: u64) -> String {
    format!("{}.{:03} s", micros / 1_000_000, micros / 1_000 % 1_000)
}

/// Tells of a run as one JSON object.
pub fn json(ended: &Ended) -> Outcome {
    let world = &ended.world;
    let ending = world.outcome().expect("the run was watched");
    let done = world.phase() == Phase::Done;
    let outcome = if done {
        outcome(&ending)
    } else {
        Outcome::Good
    };
    let told = json!({
        "title": world.scenario().title,
        "seed": world.seed(),
        "done": done,
        "good": outcome == Outcome::Good,
        "sentence": ending.verdict.to_string(),
        "ending": ending,
        "virtual_ns": world.now().0,
        "wall_us": u64::try_from(ended.took.as_micros()).unwrap_or(u64::MAX),
        "events": world.events(),
        "records": world.trace().count(),
        "hash": hash(world),
    });
    print(&told.to_string());
    outcome
}

/// A line to stdout; whoever no longer reads it does not matter.
pub fn print(line: &str) {
    drop(writeln!(anstream::stdout(), "{line}"));
}

/// A bug of klab, and how to see it again.
pub fn bug(what: &str, command: &str) {
    anstream::eprintln!("{BAD}a bug in klab{BAD:#}: {what}");
    anstream::eprintln!("this repeats it: {BOLD}{command}{BOLD:#}");
}
