//! `cargo xtask parity`: every scenario and every twin with many seeds, natively and in WebAssembly under Node, must give the same hash.
//!
//! Both sides drive `klab_web::run::Run`, so that what is compared is the engine and not two ways of calling it. The native side is
//! built as the tests are, the other as the page is: two compilers, two profiles, two widths of a pointer.
//!
//! A comparison can also agree on nothing, so the sums of what happened are printed, and a column that is zero over all runs is an error.
//! What is left out: other JavaScript engines than Node's.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use klab_web::run::Run;
use serde::Deserialize;

/// Records per call into the module: long enough to be cheap, short enough for the engine to switch to optimised code.
const SLICE: u32 = 50_000;
/// A twin is its scenario but for one setting: it runs with the seeds of a scenario divided by this.
const TWINS_SHARE: u64 = 5;
/// Differences shown one by one; the rest are counted.
const SHOWN: usize = 10;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// How many seeds each scenario runs with, from 1; its twins with a fifth of them
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Only this scenario file, instead of all in scenarios/
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

/// A scenario file, or one of its twins.
pub struct Scenario {
    pub name: String,
    pub file: PathBuf,
    text: Rc<str>,
    /// From 1; 0 is the file's own story.
    pub twin: u32,
}

impl Scenario {
    /// The seeds it runs with, of so many.
    fn seeds(&self, most: u64) -> Range<u64> {
        match self.twin {
            0 => 1..most + 1,
            _ => 1..most.div_ceil(TWINS_SHARE) + 1,
        }
    }
}

/// How one run ended on one side.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Ended {
    Well {
        hash: String,
        verdict: String,
        census: Census,
    },
    Badly {
        error: String,
    },
}

/// Sums by name: records, elections, truncated records.
type Census = BTreeMap<String, u64>;

/// How each run ended, by the number of its scenario and its seed.
type Runs = BTreeMap<(usize, u64), Ended>;

/// All runs of one side.
struct Side {
    runs: Runs,
    took: Duration,
}

/// What Node prints for each run.
#[derive(Deserialize)]
struct Answer {
    scenario: usize,
    seed: u64,
    #[serde(flatten)]
    ended: Ended,
}

/// Runs both sides and compares them.
pub fn run(options: &Options) -> Result<()> {
    let scenarios = match &options.scenario {
        Some(file) => read(file, file)?,
        None => all_scenarios()?,
    };
    let built = crate::web::build()?;
    println!("{built}");

    let node = start_node(&built.folder, &scenarios, options.seeds)?;
    let collecting = std::thread::spawn(|| collect(node));
    let native = run_natively(&scenarios, options.seeds);
    let wasm = collecting.join().expect("collect returns its errors")?;

    let mut totals = Census::new();
    let mut differences = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let mut sums = Census::new();
        let seeds = scenario.seeds(options.seeds);
        for seed in seeds.clone() {
            let key = (number, seed);
            match difference(native.runs.get(&key), wasm.runs.get(&key)) {
                Ok(census) => add(&mut sums, census),
                Err(why) => differences.push(format!("{} seed {seed}: {why}", scenario.name)),
            }
        }
        println!(
            "{:<60} {} seeds{}",
            scenario.name,
            seeds.count(),
            columns(&sums)
        );
        add(&mut totals, &sums);
    }
    println!(
        "{:<60} {} runs{}",
        "all",
        native.runs.len(),
        columns(&totals)
    );
    println!(
        "native {:.1} s, wasm {:.1} s",
        native.took.as_secs_f64(),
        wasm.took.as_secs_f64()
    );
    judge(&differences, &totals, options.scenario.is_some())
}

fn judge(differences: &[String], totals: &Census, one_scenario: bool) -> Result<()> {
    for line in differences.iter().take(SHOWN) {
        eprintln!("  {line}");
    }
    if !differences.is_empty() {
        bail!(
            "{} runs differ between native and wasm; each replays with `klab run FILE --seed N`",
            differences.len()
        );
    }
    let empty: Vec<&str> = totals
        .iter()
        .filter(|(_, sum)| **sum == 0)
        .map(|(name, _)| name.as_str())
        .collect();
    if !empty.is_empty() && !one_scenario {
        bail!(
            "nothing is proved about {}: zero over all runs; a scenario must show some",
            empty.join(", ")
        );
    }
    println!("native and wasm agree in every run");
    Ok(())
}

/// What both sides counted, or the sentence that says how they differ.
fn difference<'a>(
    native: Option<&'a Ended>,
    wasm: Option<&'a Ended>,
) -> Result<&'a Census, String> {
    match (native, wasm) {
        (Some(Ended::Well { census, .. }), _) if native == wasm => Ok(census),
        (native, wasm) => Err(format!("native {}, wasm {}", told(native), told(wasm))),
    }
}

fn told(ended: Option<&Ended>) -> String {
    match ended {
        Some(Ended::Well {
            hash,
            verdict,
            census,
        }) => format!("{hash} {verdict}{}", columns(census)),
        Some(Ended::Badly { error }) => format!("failed: {error}"),
        None => "never ran".to_owned(),
    }
}

fn add(sums: &mut Census, census: &Census) {
    for (name, count) in census {
        *sums.entry(name.clone()).or_default() += count;
    }
}

fn columns(census: &Census) -> String {
    census
        .iter()
        .map(|(name, sum)| format!("  {name} {sum}"))
        .collect()
}

/// The scenarios of the repository, sub-folders included, in the order of their names.
pub fn all_scenarios() -> Result<Vec<Scenario>> {
    let top = crate::root().join("scenarios");
    let mut folders = vec![top.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "jsonc")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} holds no scenario (*.jsonc)", top.display());
    }
    let mut scenarios = Vec::new();
    for file in &files {
        scenarios.extend(read(file, file.strip_prefix(&top).unwrap_or(file))?);
    }
    Ok(scenarios)
}

/// A scenario file with its twins.
fn read(file: &Path, name: &Path) -> Result<Vec<Scenario>> {
    let name = name.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let text: Rc<str> = text.into();
    let titles = Run::twins(&text).map_err(|error| anyhow!("{name}: {error}"))?;
    let own = Scenario {
        name: name.to_string(),
        file: file.to_owned(),
        text: text.clone(),
        twin: 0,
    };
    let twins = (1..).zip(titles).map(|(twin, title)| Scenario {
        name: format!("{name}: {title}"),
        file: file.to_owned(),
        text: text.clone(),
        twin,
    });
    Ok(std::iter::once(own).chain(twins).collect())
}

fn run_natively(scenarios: &[Scenario], seeds: u64) -> Side {
    let started = Instant::now();
    let mut runs = Runs::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        for seed in scenario.seeds(seeds) {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| run_whole(scenario, seed)))
                .unwrap_or_else(|_| Err("a panic (its words are above)".to_owned()))
                .unwrap_or_else(|error| Ended::Badly { error });
            runs.insert((number, seed), ended);
        }
    }
    let took = started.elapsed();
    Side { runs, took }
}

fn run_whole(scenario: &Scenario, seed: u64) -> Result<Ended, String> {
    let mut run = Run::open(&scenario.text, scenario.twin, seed)?;
    while !run.run(SLICE)? {}
    let census = serde_json::from_str(&run.census())
        .map_err(|error| format!("its census is no JSON: {error}"))?;
    Ok(Ended::Well {
        hash: run.hash(),
        verdict: run.verdict(),
        census,
    })
}

/// Starts Node on the module; its answers are read by `collect`.
fn start_node(bindings: &Path, scenarios: &[Scenario], seeds: u64) -> Result<Child> {
    let one = |s: &Scenario| {
        let seeds = s.seeds(seeds);
        serde_json::json!({ "text": s.text, "twin": s.twin, "from": seeds.start, "to": seeds.end })
    };
    let scenarios: Vec<_> = scenarios.iter().map(one).collect();
    let job = serde_json::json!({ "scenarios": scenarios, "slice": SLICE });
    let job_file = bindings.join("parity.json");
    std::fs::write(&job_file, job.to_string())
        .with_context(|| format!("writing {}", job_file.display()))?;
    Command::new("node")
        .arg(crate::root().join("xtask/src/parity.mjs"))
        .args([bindings, &job_file])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node, which runs the module; install Node 18 or newer (Debian: apt-get install nodejs)")
}

/// Everything that Node prints, until it ends.
fn collect(mut node: Child) -> Result<Side> {
    let started = Instant::now();
    let mut runs = Runs::new();
    let output = node.stdout.take().expect("start_node pipes it");
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what node prints")?;
        let answer: Answer = serde_json::from_str(&line)
            .with_context(|| format!("node printed a line that is not ours: {line}"))?;
        runs.insert((answer.scenario, answer.seed), answer.ended);
    }
    if !node.wait()?.success() {
        bail!("node failed (see its message above)");
    }
    let took = started.elapsed();
    Ok(Side { runs, took })
}
