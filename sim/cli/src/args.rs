//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use klab_world::scenario::quantity;

/// A deterministic laboratory for Apache Kafka.
#[derive(Parser, Debug)]
#[command(name = "klab", version, about, long_about = None, after_help = AFTER)]
pub struct Klab {
    /// What to do; without one, the quickstart.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
FILE is a scenario file, or the name of a scenario that comes with klab (`klab list`).
Exit codes: 0 all expectations hold; 1 an expectation failed, a promise broke or a trigger never fired;
2 the file or the command line is wrong; 3 a bug in klab.";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Runs a scenario once and says what became of every record.
    Run(Run),
    /// Runs a scenario with many seeds.
    Sweep(Sweep),
    /// Runs drawn clusters, settings, workloads and faults, one run a seed, and counts what was found.
    Swarm(Swarm),
    /// Lists the scenarios that come with klab.
    List,
    /// Reads a scenario without running it.
    Check(Check),
    /// Tells why a record was lost, doubled or kept, or what led to an event: at most ten events, each joined to an earlier one.
    Why(Why),
    /// Makes a failing run smaller: a scenario file with few faults, fixed latencies and what it fails at.
    Shrink(Shrink),
    /// Draws a run: throughput, latency, ISRs and lag over virtual time, with the harm that was done.
    Plot(Plot),
    /// Runs a scenario twice side by side, and says where the two part if they are not one.
    Doctor(Doctor),
    /// Shows the state of one process at one time.
    State(State),
    /// Describes the topics at one time, as kafka-topics.sh --describe does.
    Topics(Topics),
    /// Lists the rules of Kafka that are built, where, and the test that holds each.
    Rules(Rules),
    /// Prints the JSON Schema of scenario files, or of what `--json` prints.
    Schema(Schema),
    /// Prints what a shell needs to complete klab's command line.
    Completions(Completions),
    /// Measures how fast this machine simulates.
    Bench(Bench),
}

/// `klab bench`
#[derive(Args, Debug)]
pub struct Bench {
    /// How often each case is timed, after a run that is not; the median counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    pub passes: u16,
    /// Prints the medians as JSON lines and nothing else: nanoseconds of wall and of virtual time, events, records.
    #[arg(long)]
    pub json: bool,
}

/// How the rules are listed.
#[derive(Args, Debug)]
pub struct Rules {
    /// Prints them as a table in Markdown.
    #[arg(long)]
    pub markdown: bool,
}

/// `klab schema`
#[derive(Args, Debug)]
pub struct Schema {
    /// The schema of what `klab run`, `sweep` and `swarm` print with `--json`.
    #[arg(long)]
    pub output: bool,
}

/// `klab completions`
#[derive(Args, Debug)]
pub struct Completions {
    /// For which shell.
    pub shell: clap_complete::Shell,
}

/// A scenario and what to change in it.
#[derive(Args, Debug)]
pub struct Scenario {
    /// A scenario file or the name of a scenario that comes with klab.
    pub file: String,
    /// Puts a value at a place of the scenario, such as /producers/shop/config/acks=all.
    #[arg(long = "set", value_name = "POINTER=VALUE", value_parser = assignment)]
    pub sets: Vec<(String, String)>,
    /// Takes this twin instead of the scenario, by its number from 1 or its title.
    #[arg(long)]
    pub twin: Option<String>,
}

impl Scenario {
    /// The part of a command line that names this scenario again.
    pub fn again(&self) -> String {
        let mut words = vec![quoted(&self.file)];
        for (pointer, value) in &self.sets {
            words.extend(["--set".to_owned(), quoted(&format!("{pointer}={value}"))]);
        }
        if let Some(twin) = &self.twin {
            words.extend(["--twin".to_owned(), quoted(twin)]);
        }
        words.join(" ")
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// `klab run`
#[derive(Args, Debug)]
pub struct Run {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stops at this time, such as 12.5s.
    #[arg(long, value_name = "T", value_parser = duration)]
    pub until: Option<u64>,
    /// Prints one line per fact.
    #[arg(long)]
    pub lines: bool,
    /// Prints the short telling: the verdict, then the lines that the scenario's `tell` keeps.
    #[arg(long, conflicts_with = "lines")]
    pub tell: bool,
    /// Prints the result as JSON.
    #[arg(long, conflicts_with_all = ["lines", "tell"])]
    pub json: bool,
    /// Replays a tape instead of drawing and triggering steps.
    #[arg(long, value_name = "TAPE")]
    pub replay: Option<PathBuf>,
    /// Writes what was done, with exact times and concrete processes.
    #[arg(long, value_name = "FILE")]
    pub write_tape: Option<PathBuf>,
}

/// `klab sweep`
#[derive(Args, Debug)]
pub struct Sweep {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seeds from A up to, but not including, B.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub seeds: std::ops::Range<u64>,
    /// Prints the result as JSON.
    #[arg(long)]
    pub json: bool,
    /// How many threads; without it as many as the machine has.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// `klab swarm`
#[derive(Args, Debug)]
pub struct Swarm {
    /// The seeds from A up to, but not including, B.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub seeds: std::ops::Range<u64>,
    /// Settings that leave nothing to explain, any settings, or both in turn.
    #[arg(long, value_enum, default_value_t = Halves::Both)]
    pub half: Halves,
    /// Writes the scenario of each bad run, and of each that accuses a fault in doubt, into this folder.
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// Turns a protocol switch of all who obey it, such as hw-quorum=committed-isr.
    #[arg(long = "rule", value_name = "NAME=VALUE", value_parser = switch)]
    pub rules: Vec<(String, String)>,
    /// Stops at the first bad run.
    #[arg(long)]
    pub first: bool,
    /// Prints the bad runs as JSON and nothing else.
    #[arg(long)]
    pub json: bool,
    /// How many threads; without it as many as the machine has.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
}

/// Which half of the swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Halves {
    /// Settings that leave nothing to explain.
    Safe,
    /// Any settings.
    Free,
    /// Even seeds safe, odd seeds free.
    Both,
}

/// `klab check`
#[derive(Args, Debug)]
pub struct Check {
    /// A scenario file or the name of a scenario that comes with klab.
    #[arg(required_unless_present = "grammar")]
    pub file: Option<String>,
    /// Prints the grammar of scenario files instead.
    #[arg(long)]
    pub grammar: bool,
}

/// `klab why`
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Why {
    /// What was run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// A record, such as shop#41.
    #[arg(long, value_name = "ID", group = "what")]
    pub record: Option<String>,
    /// An event, by its number.
    #[arg(long, value_name = "SEQ", group = "what")]
    pub event: Option<u64>,
}

/// `klab shrink`
#[derive(Args, Debug)]
pub struct Shrink {
    /// What fails.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the small scenario is written to.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// What the run misses, such as "log.lost == 0"; without it the first promise that it breaks, or else the first of its
    /// expectations that fails.
    #[arg(long, value_name = "EXPECTATION")]
    pub expect: Option<String>,
    /// How many runs are tried.
    #[arg(long, default_value_t = klab_world::shrink::BUDGET, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
}

/// `klab plot`
#[derive(Args, Debug)]
pub struct Plot {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the picture is written to, as SVG.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// `klab doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// A moment of a run.
#[derive(Args, Debug)]
pub struct Moment {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// The seed; without one the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// The time, such as 12.5s.
    #[arg(long, value_name = "T", value_parser = duration)]
    pub at: u64,
}

/// `klab state`
#[derive(Args, Debug)]
pub struct State {
    /// When in which run.
    #[command(flatten)]
    pub moment: Moment,
    /// The process, such as broker-1.
    #[arg(long, value_name = "NAME")]
    pub process: String,
}

/// `klab topics`
#[derive(Args, Debug)]
pub struct Topics {
    /// When in which run.
    #[command(flatten)]
    pub moment: Moment,
    /// The broker that is asked, such as broker-2; without one the first that runs.
    #[arg(long, value_name = "NAME")]
    pub broker: Option<String>,
    /// Prints the topics as JSON.
    #[arg(long)]
    pub json: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((pointer, value)) if pointer.starts_with('/') => {
            Ok((pointer.to_owned(), value.to_owned()))
        }
        _ => Err("expected POINTER=VALUE, such as /producers/shop/config/acks=all".to_owned()),
    }
}

fn switch(text: &str) -> Result<(String, String), String> {
    let parts = text
        .split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| "expected NAME=VALUE, such as hw-quorum=committed-isr".to_owned())
}

fn duration(text: &str) -> Result<u64, String> {
    quantity::duration(text).map_err(|mistake| format!("expected {}", mistake.expected))
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    const EXPECTED: &str = "expected two numbers, the smaller one first, such as 0..200";
    let (from, to) = text.split_once("..").ok_or(EXPECTED)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| EXPECTED.to_owned());
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        return Err(EXPECTED.to_owned());
    }
    if to - from > SEEDS_MAX {
        return Err(format!("at most {SEEDS_MAX} seeds at once"));
    }
    Ok(from..to)
}

/// More seeds than this want a loop around klab.
const SEEDS_MAX: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Klab::command().debug_assert();
    }

    #[test]
    fn seeds_are_a_half_open_range() {
        assert_eq!(seeds("0..200"), Ok(0..200));
        assert!(seeds("5..5").is_err());
        assert!(seeds("200..0").is_err());
        assert!(seeds("..").is_err());
        assert!(seeds("0..99999999999999999999999").is_err());
    }

    #[test]
    fn a_command_can_be_given_again() {
        let scenario = Scenario {
            file: "my file.jsonc".into(),
            sets: vec![("/a".into(), "1".into())],
            twin: Some("2".into()),
        };
        assert_eq!(scenario.again(), "'my file.jsonc' --set /a=1 --twin 2");
    }

    #[test]
    fn a_set_is_a_pointer_and_a_value() {
        assert_eq!(assignment("/a/b=c=d"), Ok(("/a/b".into(), "c=d".into())));
        assert!(assignment("a=b").is_err());
        assert!(assignment("/a").is_err());
    }
}
