//! What klab says about a run: for people and as JSON.

use std::io::Write;

use klab_world::line::Lexicon;
use klab_world::outcome::Outcome as Ending;
use klab_world::telling::telling;
use klab_world::trace::Phase;
use klab_world::verdict::{FindingKind, Verdict};
use klab_world::view::View;
use klab_world::world::World;
use serde::Serialize;

use crate::engine::Ended;
use crate::outcome::Outcome;
use crate::tape::hash;

/// Prints to stdout; a closed pipe is no reason to panic.
macro_rules! say {
    ($($words:tt)*) => { print(&format!($($words)*)) };
}

const GOOD: anstyle::Style = anstyle::AnsiColor::Green.on_default();
const BAD: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();
const BOLD: anstyle::Style = anstyle::Style::new().bold();
const FAINT: anstyle::Style = anstyle::Style::new().dimmed();

/// Tells of a run in words; `short` tells what its scenario's `tell` keeps. `again` is what a command line has to say to
/// run it again, if words are enough for that.
pub fn text(ended: &Ended, short: bool, again: Option<&str>) -> Outcome {
    let world = &ended.world;
    say!(
        "{BOLD}{}{BOLD:#} · seed {}",
        world.scenario().title,
        world.seed()
    );
    let ending = world.outcome().expect("the run was watched");
    match short {
        true => telling(world).iter().for_each(|line| print(line)),
        false => say!("{}", ending.verdict),
    }
    let outcome = match world.phase() {
        Phase::Done => judgement(&ending),
        _ => {
            say!("{FAINT}Stopped on the way: expectations are judged at the end.{FAINT:#}");
            Outcome::Good
        }
    };
    if let (Some(again), Some(guilty)) = (again, guilty(&ending.verdict)) {
        let seed = world.seed();
        say!("  why: {BOLD}klab why {again} --seed {seed} --record {guilty}{BOLD:#}");
    }
    say!("{FAINT}{}{FAINT:#}", figures(ended));
    outcome
}

/// The first record that is lost, or else doubled.
fn guilty(verdict: &Verdict) -> Option<String> {
    let kinds = [
        FindingKind::Lost,
        FindingKind::AcceptedLost,
        FindingKind::Duplicated,
    ];
    let first = kinds
        .into_iter()
        .find_map(|kind| verdict.found(kind).next());
    first.map(|finding| verdict.record_name(finding.record))
}

fn judgement(ending: &Ending) -> Outcome {
    for judged in &ending.judged {
        match judged.holds {
            true => say!("  {GOOD}✓{GOOD:#} {}", judged.expected),
            false => say!("  {BAD}✕{BAD:#} {}: {}", judged.expected, judged.found),
        }
    }
    for broken in &ending.broken {
        say!(
            "  {BAD}✕{BAD:#} broken promise, {}: {} (record {})",
            broken.promise,
            broken.seen,
            broken.record
        );
    }
    for step in &ending.missed {
        say!("  {BAD}✕{BAD:#} nobody to act on: {step}");
    }
    for step in &ending.never_met {
        say!("  {BAD}✕{BAD:#} its trigger never came: {step}");
    }
    if let Some(missing) = &ending.stuck {
        say!("  {BAD}✕{BAD:#} the run did not get quiet in time: {missing}");
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

/// Prints one line per fact of a run that kept them. Whoever reads only the first ones may close the pipe.
pub fn lines(world: &World) {
    let lexicon = Lexicon::of(View::new(world));
    let mut out = anstream::stdout().lock();
    for record in world.trace().records() {
        if writeln!(out, "{}", lexicon.line(record)).is_err() {
            return;
        }
    }
}

/// Microseconds as seconds with three places.
pub fn seconds(micros: u64) -> String {
    format!("{}.{:03} s", micros / 1_000_000, micros / 1_000 % 1_000)
}

/// A run for a program.
#[derive(Serialize)]
struct Told<'a> {
    title: &'a str,
    seed: u64,
    /// Whether the run came to its end.
    done: bool,
    /// Whether everything is as it was expected.
    good: bool,
    /// The verdict in words.
    sentence: String,
    virtual_ns: u64,
    wall_us: u64,
    events: u64,
    records: u64,
    hash: String,
    ending: &'a Ending,
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
    let told = Told {
        title: &world.scenario().title,
        seed: world.seed(),
        done,
        good: outcome == Outcome::Good,
        sentence: ending.verdict.to_string(),
        virtual_ns: world.now().0,
        wall_us: u64::try_from(ended.took.as_micros()).unwrap_or(u64::MAX),
        events: world.events(),
        records: world.trace().count(),
        hash: hash(world),
        ending: &ending,
    };
    print(&serde_json::to_string(&told).expect("what is told is plain data"));
    outcome
}

/// A line to stdout; whoever no longer reads it does not matter.
pub fn print(line: &str) {
    drop(writeln!(anstream::stdout(), "{line}"));
}

/// A bug of klab, and how to see it again.
pub fn bug(what: &str, command: &str) {
    complain(&format!("{BAD}a bug in klab{BAD:#}: {what}"));
    complain(&format!("this repeats it: {BOLD}{command}{BOLD:#}"));
}

/// A line to stderr; whoever does not read it does not matter.
pub fn complain(line: &str) {
    drop(writeln!(anstream::stderr(), "{line}"));
}
