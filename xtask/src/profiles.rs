//! `cargo xtask profiles`: every scenario and every twin with some seeds, by the `klab` of a plain `cargo build` and by the one of
//! `cargo build --release`, must give the same hash; with `--dist` by the one of `cargo xtask dist`, too.
//!
//! Each build is another program: other optimisations, other layouts. `cargo xtask parity` compares the first of them with
//! WebAssembly. What is left out: drawn scenarios, which the command line's own tests run in processes of their own.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::dist;
use crate::parity::{Scenario, all_scenarios};

/// What may be said on the command line.
#[derive(clap::Args)]
pub struct Options {
    /// How many seeds each scenario runs with, from 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Build klab as it is given away, too, and compare it
    #[arg(long)]
    dist: bool,
}

/// Builds all and compares each with the first.
pub fn run(options: &Options) -> Result<()> {
    let klab = |profile| anyhow::Ok(crate::programs(profile)?.join("klab"));
    let dev = klab("debug")?;
    let mut others = vec![("release", klab("release")?)];
    if options.dist {
        others.push(("dist", dist::build(&dist::tool()?)?));
    }
    let seeds = 1..options.seeds + 1;
    let mut differ = Vec::new();
    let scenarios = all_scenarios()?;
    for scenario in &scenarios {
        let expected = hashes(&dev, scenario, &seeds)?;
        println!("{:<70} {}", scenario.name, expected.join(" "));
        for (name, other) in &others {
            let given = hashes(other, scenario, &seeds)?;
            let pairs = seeds.clone().zip(expected.iter().zip(&given));
            let unequal = pairs.filter(|(_, (expected, given))| expected != given);
            differ.extend(unequal.map(|(seed, (expected, given))| {
                let scenario = &scenario.name;
                format!("{scenario} seed {seed}: dev {expected}, {name} {given}")
            }));
        }
    }
    if !differ.is_empty() {
        bail!("the builds differ:\n  {}", differ.join("\n  "));
    }
    let names: Vec<_> = others.iter().map(|(name, _)| *name).collect();
    println!(
        "dev and {} agree in all {} runs",
        names.join(" and "),
        scenarios.len() as u64 * options.seeds
    );
    Ok(())
}

/// The hashes of a scenario's runs, in the order of their seeds.
fn hashes(klab: &Path, scenario: &Scenario, seeds: &Range<u64>) -> Result<Vec<String>> {
    seeds
        .clone()
        .map(|seed| hash(klab, scenario, seed))
        .collect()
}

fn hash(klab: &Path, scenario: &Scenario, seed: u64) -> Result<String> {
    let mut command = Command::new(klab);
    command.arg("run").arg(&scenario.file);
    command.args(["--json", "--seed", &seed.to_string()]);
    if scenario.twin > 0 {
        command.args(["--twin", &scenario.twin.to_string()]);
    }
    let output = command
        .output()
        .with_context(|| format!("running {}", klab.display()))?;
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|_| {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow!("{} seed {seed}: {complaint}", scenario.name)
    })?;
    let hash = told["hash"].as_str();
    Ok(hash
        .ok_or_else(|| anyhow!("a run without a hash"))?
        .to_owned())
}
