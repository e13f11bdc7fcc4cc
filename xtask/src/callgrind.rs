//! `cargo xtask callgrind`: instructions per delivered record and per idle virtual second, under valgrind.
//!
//! Instructions do not depend on the load of the machine. Each figure is the difference of two runs of the release `klab` that differ
//! in length alone, so that starting, reading the scenario and booting the cluster fall out. The same cases run on a yardstick: a
//! small Kafka-shaped model outside this repository, if its path is given.
//!
//! What is left out: memory, caches and branches, which valgrind could count too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::commands::{build, output};
use crate::costs::Costs;

/// How many functions are named.
const LARGEST: usize = 5;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// The folder of the crate `model`, whose `run_mini` is measured beside klab
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
}

/// Two runs that differ in length alone.
struct Case {
    name: &'static str,
    /// The case of `klab bench` that is like it; there more producers keep the brokers busy.
    bench: &'static str,
    unit: &'static str,
    short: u64,
    long: u64,
    /// The scenario of so many units.
    scenario: fn(u64) -> String,
    /// The arguments of the model's `run_mini` after the seed, for so many units: seconds, gap in ns, records a batch, records.
    model: fn(u64) -> [u64; 4],
}

const CASES: [Case; 4] = [
    Case {
        name: "delivered, 1 a batch",
        bench: "one record a batch, acks=all, RF 3",
        unit: "record",
        short: 10_000,
        long: 20_000,
        scenario: |records| loaded(records, 1, 0),
        model: |records| [0, 0, 1, records],
    },
    Case {
        name: "delivered, 100 a batch",
        bench: "100 records a batch, acks=all, RF 3",
        unit: "record",
        short: 100_000,
        long: 200_000,
        scenario: |records| loaded(records, 100, 11_100),
        model: |records| [0, 0, 100, records],
    },
    Case {
        name: "idle",
        bench: "idle: 3 brokers, 3 controllers",
        unit: "virtual second",
        short: 100,
        long: 200,
        scenario: idle,
        model: |seconds| [seconds, 0, 1, 0],
    },
    Case {
        name: "100 records/s, random faults",
        bench: "100 records/s, one a batch, random faults",
        unit: "virtual second",
        short: 60,
        long: 120,
        scenario: faulty,
        model: |seconds| [seconds, 10_000_000, 1, 100 * seconds],
    },
];

fn idle(seconds: u64) -> String {
    format!(
        r#"{{
  "format": 1,
  "title": "Nothing to do for {seconds} s",
  "cluster": {{ "brokers": 3, "controllers": 3 }},
  "topics": {{ "orders": {{ "partitions": 3, "replication.factor": 3 }} }},
  "end": {{ "at": "{seconds}s" }}
}}"#
    )
}

/// The model's load: fifteen batches open, which takes five producers with three each, as a broker takes up one request of a
/// connection at a time.
fn loaded(records: u64, batch: u64, bytes: u64) -> String {
    let producer = |n: u64| {
        format!(
            r#""shop-{n}": {{ "topic": "orders", "records": {}, "rate": "1000000/s", "burst": {batch}, "unanswered": {},
    "config": {{ "acks": "all", "linger.ms": 0, "batch.size": {bytes} }} }}"#,
            records / 5,
            3 * batch
        )
    };
    let producers: Vec<String> = (1..=5).map(producer).collect();
    format!(
        r#"{{
  "format": 1,
  "title": "{records} records",
  "cluster": {{ "brokers": 3, "controllers": 3 }},
  "topics": {{ "orders": {{ "partitions": 3, "replication.factor": 3 }} }},
  "producers": {{ {} }},
  "consumers": {{ "auditor": {{ "assign": ["orders-0", "orders-1", "orders-2"] }} }}
}}"#,
        producers.join(", ")
    )
}

/// The faults strike within the shorter run: what the longer one costs beyond it is their cluster, mended.
fn faulty(seconds: u64) -> String {
    let records = 100 * seconds;
    format!(
        r#"{{
  "format": 1,
  "title": "Six faults in {seconds} s",
  "topics": {{ "orders": {{ "partitions": 3, "replication.factor": 3, "config": {{ "min.insync.replicas": 2 }} }} }},
  "producers": {{ "shop": {{ "topic": "orders", "records": {records}, "rate": "100/s", "config": {{ "linger.ms": 0, "batch.size": 0 }} }} }},
  "consumers": {{ "auditor": {{ "assign": ["orders-0", "orders-1", "orders-2"] }} }},
  "steps": [{{ "random": "any", "count": "6", "window": "5s..55s" }}]
}}"#
    )
}

/// The functions that cost most of a case of `klab bench`, the largest first, each with its share.
pub fn largest(klab: &Path, bench: &str, count: usize) -> Result<Vec<String>> {
    let case = CASES.iter().find(|case| case.bench == bench);
    let case = case.with_context(|| format!("no case of callgrind is {bench:?}"))?;
    let folder = made_folder()?;
    Ok(shares(&ours(case, klab, &folder)?, count))
}

fn made_folder() -> Result<PathBuf> {
    let folder = crate::root().join("target/callgrind");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn ours(case: &Case, klab: &Path, folder: &Path) -> Result<Costs> {
    let costs = difference(case, |units| {
        let file = folder.join(format!("{units}.jsonc"));
        std::fs::write(&file, (case.scenario)(units))?;
        let mut run = Command::new(klab);
        run.arg("run").arg(&file).args(["--seed", "1"]);
        measure(&run, folder)
    });
    let costs = costs.with_context(|| format!("measuring klab: {}", case.name))?;
    if costs.total() == 0 {
        bail!(
            "klab did the same work for {} and for {} {}s",
            case.short,
            case.long,
            case.unit
        );
    }
    Ok(costs)
}

fn shares(costs: &Costs, count: usize) -> Vec<String> {
    let total = costs.total().max(1);
    let all = costs.largest(count).into_iter();
    all.map(|(function, cost)| format!("{:>3} %  {function}", 100 * cost / total))
        .collect()
}

/// Measures every case and prints a table.
pub fn run(options: &Options) -> Result<()> {
    let folder = made_folder()?;
    let klab = crate::programs("release")?.join("klab");
    let model = options
        .model
        .as_deref()
        .map(|path| build_model(path, &folder, MODEL))
        .transpose()?;
    for case in &CASES {
        let ours = ours(case, &klab, &folder)?;
        let yardstick = model.as_ref().map(|model| {
            difference(case, |units| {
                let mut run = Command::new(model);
                run.args((case.model)(units).map(|n| n.to_string()));
                measure(&run, &folder)
            })
            .with_context(|| format!("measuring the model: {}", case.name))
        });
        print!("{}", report(case, &ours, yardstick.transpose()?.as_ref()));
    }
    Ok(())
}

fn report(case: &Case, ours: &Costs, model: Option<&Costs>) -> String {
    let units = case.long - case.short;
    let per_unit = |costs: &Costs| costs.total() / units;
    let mut text = format!(
        "{}: {} instructions per {}",
        case.name,
        per_unit(ours),
        case.unit
    );
    if let Some(model) = model {
        let percent = 100 * ours.total() / model.total().max(1);
        let _ = write!(
            text,
            "; the model {}, ratio {}.{:02}",
            per_unit(model),
            percent / 100,
            percent % 100
        );
    }
    text.push('\n');
    for share in shares(ours, LARGEST) {
        let _ = writeln!(text, "  {share}");
    }
    text
}

/// What the longer of two runs costs beyond the shorter.
fn difference(case: &Case, run: impl Fn(u64) -> Result<Costs>) -> Result<Costs> {
    Ok(run(case.long)?.beyond(&run(case.short)?))
}

/// Runs a command under callgrind.
fn measure(run: &Command, folder: &Path) -> Result<Costs> {
    let out = folder.join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(run.get_program()).args(run.get_args());
    output(&mut valgrind)
        .context("valgrind counts the instructions (Debian: apt-get install valgrind)")?;
    let text =
        std::fs::read_to_string(&out).with_context(|| format!("reading {}", out.display()))?;
    Ok(Costs::read(&text))
}

/// Runs the case that its arguments say.
const MODEL: &str = "fn main() {
    let a: Vec<u64> = std::env::args().skip(1).map(|n| n.parse().unwrap()).collect();
    println!(\"{:x}\", model::run_mini(1, a[0], a[1], a[2] as u32, a[3]));
}
";

/// The model is a library: a driver of a few lines, made beside the results, calls it.
pub fn build_model(model: &Path, folder: &Path, driver_main: &str) -> Result<PathBuf> {
    let model = model
        .canonicalize()
        .with_context(|| format!("{} is no folder", model.display()))?;
    let driver = folder.join("driver");
    std::fs::create_dir_all(driver.join("src"))?;
    // The profile is the model's own.
    let manifest = format!(
        "[package]\nname = \"driver\"\nedition = \"2021\"\n[dependencies]\nmodel = {{ path = {model:?} }}\n\
         [profile.release]\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n[workspace]\n"
    );
    std::fs::write(driver.join("Cargo.toml"), manifest)?;
    std::fs::write(driver.join("src/main.rs"), driver_main)?;
    let target = folder.join("target");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target-dir"]);
    build(cargo.arg(&target).current_dir(&driver), "the model")?;
    Ok(target.join("release").join("driver"))
}
