//! `klab swarm`: drawn clusters, settings, workloads and faults, one run a seed; then what was found and a census of what was
//! reached. In the safe half nothing may be lost, duplicated or reordered; in the free half everything must be explained.

use std::collections::BTreeMap;
use std::time::Instant;

use klab_kafka::rules::{Rules, SWITCHES};
use klab_world::scenario::expect::GOALS;
use klab_world::swarm::Half;
use klab_world::swarm::explore::{Explored, explore};

use crate::args::{Halves, Swarm};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::sweep;

/// How many bad seeds are shown.
const SHOWN: usize = 10;

/// Runs them all.
pub fn swarm(args: &Swarm) -> Result<Outcome, Wrong> {
    let rules = rules(&args.rules)?;
    let began = Instant::now();
    let half = |seed: u64| match args.half {
        Halves::Safe => Half::Safe,
        Halves::Free => Half::Free,
        Halves::Both if seed % 2 == 0 => Half::Safe,
        Halves::Both => Half::Free,
    };
    let runs = sweep::each(args.seeds.clone(), args.jobs, |seed| {
        explore(seed, half(seed), &rules)
    })?;
    let mut explored = Vec::new();
    let mut bugs = Vec::new();
    for (seed, run) in runs {
        match run {
            Ok(run) => explored.push(run),
            Err(what) => bugs.push((seed, what)),
        }
    }
    census(&explored);
    findings(&explored);
    let bad: Vec<&Explored> = explored.iter().filter(|e| e.is_bad()).collect();
    for e in bad.iter().take(SHOWN) {
        println!("{}", sentence(e));
    }
    if let Some(folder) = &args.keep {
        for seed in bad.iter().map(|e| e.seed).chain(bugs.iter().map(|b| b.0)) {
            let scenario = klab_world::swarm::scenario(seed, half(seed), &rules);
            let path = folder.join(format!("swarm-{seed}.jsonc"));
            files::write(&path, scenario.export().as_bytes())?;
            println!("kept: klab run {}", path.display());
        }
    }
    for (seed, what) in bugs.iter().take(SHOWN) {
        println!("seed {seed}: a bug in klab: {what}");
    }
    let events: u64 = explored.iter().map(|e| e.events).sum();
    let took = began.elapsed().as_millis();
    println!(
        "{} runs, {} bad, {} bugs; {} with harm that bites; {events} events in {}.{:03} s",
        explored.len() + bugs.len(),
        bad.len(),
        bugs.len(),
        explored.iter().filter(|e| e.bites).count(),
        took / 1000,
        took % 1000,
    );
    Ok(match (bugs.is_empty(), bad.is_empty()) {
        (false, _) => Outcome::Bug,
        (true, false) => Outcome::Failed,
        (true, true) => Outcome::Good,
    })
}

fn rules(wanted: &[(String, String)]) -> Result<Rules, Wrong> {
    let mut rules = Rules::default();
    for (name, value) in wanted {
        let switch = SWITCHES.iter().find(|s| s.name == name);
        let known: Vec<&str> = SWITCHES.iter().map(|s| s.name).collect();
        let switch = switch.ok_or_else(|| {
            Wrong::usage(
                format!("no switch is called {name}"),
                format!("one of {}", known.join(", ")),
            )
        })?;
        if !switch.values.contains(&value.as_str()) {
            return Err(Wrong::usage(
                format!("{name} cannot be {value}"),
                format!("one of {}", switch.values.join(", ")),
            ));
        }
        (switch.set)(&mut rules, value);
    }
    Ok(rules)
}

/// In how many seeds each goal was reached and each kind of harm was done.
fn census(explored: &[Explored]) {
    for (goal, name, _) in GOALS {
        let n = explored.iter().filter(|e| e.goals.contains(&goal)).count();
        println!("{n:>6} seeds  {name}");
    }
    let mut harms: BTreeMap<&str, usize> = BTreeMap::new();
    for harm in explored.iter().flat_map(|e| &e.harms) {
        *harms.entry(harm).or_default() += 1;
    }
    for (harm, n) in harms {
        println!("{n:>6} seeds  {harm}");
    }
}

/// How many seeds found what, in each half.
fn findings(explored: &[Explored]) {
    for half in [Half::Safe, Half::Free] {
        let of_half = || explored.iter().filter(move |e| e.half == half);
        let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
        for kind in of_half().flat_map(|e| e.found.keys()) {
            *kinds.entry(*kind).or_default() += 1;
        }
        let kinds: Vec<String> = kinds.iter().map(|(k, n)| format!("{n} {k:?}")).collect();
        let found = if kinds.is_empty() {
            "nothing".to_owned()
        } else {
            kinds.join(", ")
        };
        println!("{half:?} half, {} seeds: {found}", of_half().count());
    }
}

fn sentence(e: &Explored) -> String {
    let mut words = vec![format!("seed {} ({:?})", e.seed, e.half)];
    words.extend(e.found.iter().map(|(kind, n)| format!("{n} {kind:?}")));
    if e.unexplained > 0 {
        words.push(format!("{} unexplained", e.unexplained));
    }
    words.extend(
        e.broken
            .iter()
            .map(|(promise, seen)| format!("broken {promise}: {seen}")),
    );
    words.extend(e.stuck.iter().map(|s| format!("stuck: {s}")));
    words.push(e.sentence.clone());
    words.join("; ")
}
