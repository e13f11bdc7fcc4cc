//! `cargo xtask bench --peers`: klab's speed beside that of other simulators, and its memory.
//!
//! klab is measured as it is given away (`cargo xtask dist`), and beside it the plain release build; that one alone where
//! nothing is there to make the other.
//!
//! In each pass every program runs each of its cases twice and times the second run, one program after the other, pass after pass:
//! a neighbour's load falls on all alike, and only figures of one such session are divided by one another. The median of the passes
//! counts. The peers are madsim-rdkafka (`xtask/peers/madsim-kafka`), and a small Kafka-shaped model outside this repository, if its path is given.
//!
//! Beside each distance to a goal stand the three functions that cost most instructions, if valgrind is there to count them.
//!
//! What is left out: instructions beside the model's (`cargo xtask callgrind`); memory elsewhere than on Linux, which tells a process's peak.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::commands::{build, output};
use crate::{callgrind, dist};

/// klab as it is given away, and as `cargo build --release` makes it: so it is named among the measured.
const KLAB: &str = "klab";
const PLAIN: &str = "klab, plain release";
const MADSIM: &str = "madsim-rdkafka";

/// How many functions are named beside each distance to a goal.
const LARGEST: usize = 3;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Run the peers beside klab; without it klab alone is measured, and nothing is compared
    #[arg(long)]
    peers: bool,
    /// The folder of the crate `model`, a small Kafka-shaped model, as one more peer
    #[arg(long, value_name = "PATH", requires = "peers")]
    model: Option<PathBuf>,
    /// How often each case is timed; the median counts
    #[arg(long, default_value_t = 7)]
    passes: u16,
}

/// A case as a program tells it: one JSON line.
#[derive(Clone, Deserialize)]
struct Figures {
    case: String,
    #[serde(default)]
    checkers: bool,
    records: u64,
    #[serde(default)]
    events: u64,
    wall_ns: u64,
    virtual_ns: u64,
}

/// What a row compares: how much of it is done in a second.
#[derive(Clone, Copy)]
enum Unit {
    RecordsPerSecond,
    VirtualPerWall,
}

/// What is aimed at: a figure of a quiet machine, which a neighbour moves, and how often the figure of madsim-rdkafka in the same
/// session, which a neighbour moves as well.
struct Aim {
    figure: f64,
    times: Option<f64>,
}

const fn aim(figure: f64, times: Option<f64>) -> Aim {
    Aim { figure, times }
}

/// A case of klab with what is aimed at, and the peers' case that it stands beside.
struct Row {
    case: &'static str,
    unit: Unit,
    floor: Aim,
    goal: Aim,
    madsim: &'static str,
    model: &'static str,
}

const ROWS: [Row; 4] = [
    Row {
        case: "idle: 3 brokers, 3 controllers",
        unit: Unit::VirtualPerWall,
        floor: aim(10_000.0, None),
        goal: aim(60_000.0, None),
        madsim: "",
        model: "idle",
    },
    Row {
        case: "one record a batch, acks=all, RF 3",
        unit: Unit::RecordsPerSecond,
        floor: aim(300_000.0, Some(1.0)),
        goal: aim(600_000.0, Some(2.0)),
        madsim: "one record a batch",
        model: "one record a batch",
    },
    Row {
        case: "100 records a batch, acks=all, RF 3",
        unit: Unit::RecordsPerSecond,
        floor: aim(1_600_000.0, Some(1.0)),
        goal: aim(16_000_000.0, Some(10.0)),
        madsim: "100 records a batch",
        model: "100 records a batch",
    },
    Row {
        case: "100 records/s, one a batch, random faults",
        unit: Unit::VirtualPerWall,
        floor: aim(1_500.0, None),
        goal: aim(5_500.0, None),
        madsim: "100 records/s, one a batch",
        model: "100 records/s",
    },
];

/// A run whose peak of memory is bounded.
struct Bound {
    name: &'static str,
    scenario: String,
    most_mib: u64,
}

/// Who was measured, with the figures of every pass by case and checkers.
type Measured = BTreeMap<(&'static str, String, bool), Vec<Figures>>;

/// Measures and prints.
pub fn run(options: &Options) -> Result<()> {
    let plain = crate::programs("release")?.join("klab");
    let klab = match dist::tool() {
        Ok(profdata) => dist::build(&profdata)?,
        Err(missing) => {
            eprintln!("klab is measured as a plain release build, for {missing:#}");
            plain.clone()
        }
    };
    let mut programs = vec![(KLAB, klab.clone())];
    if klab != plain {
        programs.push((PLAIN, plain.clone()));
    }
    if options.peers {
        programs.push((MADSIM, build_madsim()?));
        if let Some(model) = &options.model {
            let folder = crate::root().join("target/bench");
            std::fs::create_dir_all(&folder)?;
            programs.push(("model", callgrind::build_model(model, &folder, MODEL)?));
        }
    }
    let mut measured = Measured::new();
    for pass in 1..=options.passes {
        eprintln!("pass {pass} of {}", options.passes);
        for (name, program) in &programs {
            for figures in one_pass(program, [KLAB, PLAIN].contains(name))? {
                let key = (*name, figures.case.clone(), figures.checkers);
                measured.entry(key).or_default().push(figures);
            }
        }
    }
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    if !counts {
        eprintln!("without valgrind (Debian: apt-get install valgrind) no costs are named");
    }
    for row in &ROWS {
        print(row, &measured)?;
        if counts {
            println!("  what costs most, in instructions:");
            for share in callgrind::largest(&plain, row.case, LARGEST)? {
                println!("    {share}");
            }
        }
    }
    let mut beyond = Vec::new();
    for bound in bounds() {
        let used = peak_mib(&klab, &bound)?;
        let most = bound.most_mib;
        println!("{}: {used} MiB at most, {most} allowed", bound.name);
        if used > most {
            beyond.push(bound.name);
        }
    }
    if !beyond.is_empty() {
        bail!("more memory than allowed: {}", beyond.join(", "));
    }
    Ok(())
}

/// The model's cases, the second run of each timed by itself: seconds, gap in ns, records a batch, records (the arguments of its
/// `run_mini`).
const MODEL: &str = r#"fn main() {
    let cases = [("idle", 600, 0, 1, 0), ("one record a batch", 0, 0, 1, 100_000), ("100 records a batch", 0, 0, 100, 100_000), ("100 records/s", 60, 10_000_000, 1, 6_000)];
    for (case, seconds, gap, batch, records) in cases {
        model::run_mini(1, seconds, gap, batch, records);
        let began = std::time::Instant::now();
        model::run_mini(1, seconds, gap, batch, records);
        let wall = began.elapsed().as_nanos();
        println!("{{\"case\":\"{case}\",\"records\":{records},\"wall_ns\":{wall},\"virtual_ns\":{}}}", seconds * 1_000_000_000);
    }
}
"#;

fn one_pass(program: &Path, is_klab: bool) -> Result<Vec<Figures>> {
    let mut command = Command::new(program);
    if is_klab {
        command.args(["bench", "--passes", "1", "--json"]);
    }
    let said = output(&mut command)?;
    let lines = said.lines().map(serde_json::from_str);
    lines
        .collect::<Result<_, _>>()
        .with_context(|| format!("what {command:?} printed"))
}

/// madsim is chosen at compile time, for everything built with it.
fn build_madsim() -> Result<PathBuf> {
    let folder = crate::root().join("xtask/peers/madsim-kafka");
    let target = crate::root().join("target/madsim");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked", "--release", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "--cfg madsim")
        .current_dir(folder);
    build(&mut cargo, "madsim-kafka")?;
    Ok(target.join("release/madsim-kafka"))
}

impl Unit {
    fn of(self, figures: &Figures) -> f64 {
        let done = match self {
            Unit::RecordsPerSecond => figures.records as f64 * 1e9,
            Unit::VirtualPerWall => figures.virtual_ns as f64,
        };
        done / figures.wall_ns.max(1) as f64
    }

    fn name(self) -> &'static str {
        match self {
            Unit::RecordsPerSecond => "records/s",
            Unit::VirtualPerWall => "virtual s per s",
        }
    }

    /// All passes, the slowest first.
    fn sorted(self, passes: &[Figures]) -> Vec<f64> {
        let mut all: Vec<f64> = passes.iter().map(|f| self.of(f)).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// The middle pass.
fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn print(row: &Row, measured: &Measured) -> Result<()> {
    let of = |who: &'static str, case: &str, checkers| {
        let passes = measured.get(&(who, case.to_owned(), checkers))?;
        Some(row.unit.sorted(passes))
    };
    let show = |who: &str, passes: &[f64]| {
        let (least, most) = (passes[0], passes[passes.len() - 1]);
        let middle = median(passes);
        print!("  {who:<22}{middle:>14.0}   passes from {least:.0} to {most:.0}");
    };
    let ours = of(KLAB, row.case, false);
    let ours = ours.with_context(|| format!("klab bench has no case {:?}", row.case))?;
    println!("{}, in {}", row.case, row.unit.name());
    show(KLAB, &ours);
    println!();
    let plain = of(PLAIN, row.case, false);
    let checked = of(KLAB, row.case, true);
    for (who, passes) in [("klab with checkers", checked), (PLAIN, plain.clone())] {
        if let Some(passes) = passes {
            show(who, &passes);
            println!();
        }
    }
    let ours = median(&ours);
    for (who, case) in [(MADSIM, row.madsim), ("model", row.model)] {
        if let Some(theirs) = of(who, case, false) {
            show(who, &theirs);
            let theirs = median(&theirs);
            print!("; klab is at {:.3} of it", ours / theirs);
            match &plain {
                Some(plain) => println!(", its plain build at {:.3}", median(plain) / theirs),
                None => println!(),
            }
        }
    }
    let madsim = of(MADSIM, row.madsim, false);
    for (name, aim) in [("floor", &row.floor), ("goal", &row.goal)] {
        judge(name, aim.figure, ours);
        if let (Some(times), Some(theirs)) = (aim.times, &madsim) {
            judge(
                &format!("{name}, {times} x {MADSIM}"),
                times * median(theirs),
                ours,
            );
        }
    }
    if let Some(passes) = measured.get(&(KLAB, row.case.to_owned(), false)) {
        let events = passes
            .iter()
            .map(|f| f.events as f64 * 1e9 / f.wall_ns.max(1) as f64);
        let most = events.fold(0.0, f64::max);
        println!(
            "  {:<22}{most:>14.0}   floor 2000000",
            "events/s, best pass"
        );
    }
    Ok(())
}

fn judge(name: &str, at: f64, ours: f64) {
    let held = match ours >= at {
        true => "held".to_owned(),
        false => format!("missed: {:.2} times as fast would hold it", at / ours),
    };
    println!("  {name:<28}{at:>8.0}   {held}");
}

fn bounds() -> [Bound; 2] {
    let topics = r#""topics": { "orders": { "partitions": 3, "replication.factor": 3 } }"#;
    [
        Bound {
            name: "ten million events of an idle cluster",
            scenario: format!(
                r#"{{ "format": 1, "title": "idle", {topics}, "end": {{ "at": "29h" }} }}"#
            ),
            most_mib: 64,
        },
        Bound {
            name: "a million records of 100 bytes, RF 3",
            scenario: format!(
                r#"{{ "format": 1, "title": "a million records", {topics}, "producers": {{ "shop": {{ "topic": "orders",
  "records": 1000000, "rate": "5000/s", "size": "100B", "config": {{ "acks": "all", "linger.ms": 100, "batch.size": 13000 }} }} }} }}"#
            ),
            most_mib: 600,
        },
    ]
}

/// The peak of memory of `klab run`. It only grows, so the last look before the end tells it, but for the last milliseconds.
fn peak_mib(klab: &Path, bound: &Bound) -> Result<u64> {
    let file = crate::root().join("target/bench.jsonc");
    std::fs::write(&file, &bound.scenario)?;
    let mut child = Command::new(klab)
        .arg("run")
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .context("starting klab")?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0).div_ceil(1024));
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        thread::sleep(Duration::from_millis(2));
    };
    if !ended.success() {
        bail!("klab run of {} ended with {ended}", bound.name);
    }
    if peak == 0 {
        bail!("this system does not tell a process's peak of memory (VmHWM of /proc)");
    }
    Ok(peak)
}
