//! `cargo xtask switches`: finds each protocol switch by drawn runs alone. With a switch turned, three disjoint ranges of seeds
//! are searched for the first run that breaks a promise; the same seeds with Kafka's own rules must be silent.
//!
//! It runs `klab swarm` as built for release. What is left out: the switches that drawn runs cannot be expected to find; the
//! table says why, and their scenarios are in `scenarios/rules/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// Only this switch, such as prevote
    #[arg(long)]
    switch: Option<String>,
}

/// A switch, turned.
struct Turned {
    name: &'static str,
    value: &'static str,
    how: How,
}

/// How it is to be found.
enum How {
    /// By at most so many drawn runs in each range; written down before the search.
    Swarm { budget: u64 },
    /// By a directed scenario only, for this reason.
    Directed { why: &'static str },
}

const SWITCHES: [Turned; 7] = [
    Turned {
        name: "truncate",
        value: "hw",
        how: How::Swarm { budget: 500 },
    },
    Turned {
        name: "hw-quorum",
        value: "committed-isr",
        how: How::Swarm { budget: 5_000 },
    },
    Turned {
        name: "isr-expand-epoch-start",
        value: "off",
        how: How::Directed {
            why: "of four replicas three must be hit within milliseconds: one that is behind the start of the leader's epoch, but not \
                  behind its high watermark, is let in, and must then be the only one left to lead",
        },
    },
    Turned {
        name: "isr-broker-epoch",
        value: "off",
        how: How::Directed {
            why: "an AlterPartition must be held until the broker that it lets in has lost its disk, registered anew and not yet \
                  caught up, and the leader must then fail before it has",
        },
    },
    Turned {
        name: "position-validation",
        value: "off",
        how: How::Swarm { budget: 2_000 },
    },
    Turned {
        name: "prevote",
        value: "off",
        how: How::Swarm { budget: 2_000 },
    },
    Turned {
        name: "own-epoch-commit",
        value: "off",
        how: How::Swarm { budget: 5_000 },
    },
];

/// Where the three ranges of seeds begin.
const STARTS: [u64; 3] = [0, 100_000, 200_000];

/// What one search found.
struct Found {
    /// The number of its run in the range, from 1.
    nth: u64,
    /// What was broken.
    broken: String,
}

/// Searches, prints a table, and fails if a switch was not found or a run with Kafka's own rules was not silent.
pub fn run(options: &Options) -> Result<()> {
    let is_wanted = |turned: &&Turned| {
        let wanted = options.switch.as_deref();
        wanted.is_none_or(|name| name == turned.name)
    };
    let switches: Vec<&Turned> = SWITCHES.iter().filter(is_wanted).collect();
    if switches.is_empty() {
        let names: Vec<&str> = SWITCHES.iter().map(|t| t.name).collect();
        bail!("no such switch; one of {}", names.join(", "));
    }
    let klab = crate::programs("release")?.join("klab");
    let mut longest: BTreeMap<u64, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut rows = Vec::new();
    for turned in &switches {
        let name = format!("{}={}", turned.name, turned.value);
        let How::Swarm { budget } = turned.how else {
            rows.push(row(&name, &turned.how, &[]));
            continue;
        };
        let mut found = Vec::new();
        for start in STARTS {
            let first = search(&klab, start, budget, &name)?;
            match &first {
                Some(first) => {
                    let upto = longest.entry(start).or_default();
                    *upto = first.nth.max(*upto);
                }
                None => wrong.push(format!("{name}: not in {budget} runs from {start}")),
            }
            let broken = first.as_ref().map_or("", |f| &*f.broken);
            eprintln!("{name} from {start}: {} {broken}", cell(first.as_ref()));
            found.push(first);
        }
        rows.push(row(&name, &turned.how, &found));
    }
    println!("| switch | budget | from 0 | from 100000 | from 200000 | first broken |");
    println!("|---|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
    for (start, runs) in longest {
        let end = start + runs;
        let seeds = ["--seeds".into(), format!("{start}..{end}"), "--json".into()];
        match first_bad(&swarm(&klab, &seeds)?)? {
            None => println!("\nSeeds {start}..{end} with Kafka's own rules: silent."),
            Some((seed, broken)) => wrong.push(format!(
                "seed {seed} with Kafka's own rules is not silent: {broken}"
            )),
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!("{}", wrong.join("\n  ")),
    }
}

/// One line of the table.
fn row(name: &str, how: &How, found: &[Option<Found>]) -> String {
    match how {
        How::Directed { why } => format!("| {name} | directed only | | | | {why} |"),
        How::Swarm { budget } => {
            let cells: Vec<String> = found.iter().map(|f| cell(f.as_ref())).collect();
            let mut broken: Vec<&str> = found.iter().flatten().map(|f| &*f.broken).collect();
            broken.sort_unstable();
            broken.dedup();
            let (cells, broken) = (cells.join(" | "), broken.join("; "));
            format!("| {name} | {budget} | {cells} | {broken} |")
        }
    }
}

fn cell(found: Option<&Found>) -> String {
    found.map_or("not found".to_owned(), |f| format!("run {}", f.nth))
}

/// The first bad run of a range with a switch turned.
fn search(klab: &Path, start: u64, budget: u64, switch: &str) -> Result<Option<Found>> {
    let seeds = format!("{start}..{}", start + budget);
    let words = ["--seeds", &seeds, "--first", "--json", "--rule", switch];
    let told = swarm(klab, &words.map(str::to_owned))?;
    let found = first_bad(&told)?;
    Ok(found.map(|(seed, broken)| Found {
        nth: seed - start + 1,
        broken,
    }))
}

fn swarm(klab: &Path, words: &[String]) -> Result<Value> {
    let output = Command::new(klab)
        .arg("swarm")
        .args(words)
        .output()
        .with_context(|| format!("running {}", klab.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow!("klab swarm {}: {complaint}", words.join(" "))
    })
}

/// The first bad run that `klab swarm --json` tells of, and what is wrong with it. A bug in klab is no finding.
fn first_bad(told: &Value) -> Result<Option<(u64, String)>> {
    if let Some(bug) = told["bugs"].get(0) {
        bail!("seed {}: a bug in klab: {}", bug["seed"], bug["what"]);
    }
    let Some(bad) = told["bad"].get(0) else {
        return Ok(None);
    };
    let seed = bad["seed"].as_u64();
    let promises = bad["broken"].as_object().into_iter().flatten();
    let mut broken: Vec<String> = promises.map(|(promise, _)| promise.clone()).collect();
    if broken.is_empty() {
        broken.extend(bad["stuck"].as_str().map(|what| format!("stuck: {what}")));
        broken.push(format!(
            "{} unexplained of {}",
            bad["unexplained"], bad["found"]
        ));
    }
    let seed = seed.ok_or_else(|| anyhow!("a bad run without a seed"))?;
    Ok(Some((seed, broken.join(", "))))
}

#[test]
fn budgets_are_small_and_at_most_two_switches_are_directed_only() {
    let directed = SWITCHES.iter().filter(|t| match t.how {
        How::Swarm { budget } => {
            assert!(budget <= 5_000, "{}", t.name);
            false
        }
        How::Directed { .. } => true,
    });
    assert!(directed.count() <= 2);
    let ends = STARTS.map(|start| start + 5_000);
    assert!(
        STARTS
            .iter()
            .skip(1)
            .zip(ends)
            .all(|(next, end)| end <= *next)
    );
}

#[test]
fn a_bad_run_is_told_by_what_it_broke_and_a_bug_is_no_finding() {
    let read = |text: &str| first_bad(&serde_json::from_str(text).expect("JSON"));
    let bad = r#"{"bugs": [], "bad": [{"seed": 7, "broken": {"order": "…"}, "found": {}, "unexplained": 0, "stuck": null}]}"#;
    assert_eq!(read(bad).unwrap(), Some((7, "order".to_owned())));
    assert_eq!(read(r#"{"bugs": [], "bad": []}"#).unwrap(), None);
    assert!(read(r#"{"bugs": [{"seed": 1, "what": "x"}], "bad": []}"#).is_err());
}
