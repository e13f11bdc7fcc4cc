//! `klab swarm`: drawn clusters, settings, workloads and faults, one run a seed; then what was found and a census of what was
//! reached. In the safe half nothing may be lost, duplicated or reordered; in the free half everything must be explained, and
//! every fault that an explanation names is tried again without it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;

use klab_kafka::rules::{Rules, SWITCHES};
use klab_world::scenario::expect::GOALS;
use klab_world::swarm::Half;
use klab_world::swarm::explore::aims::{AIMS, INPUTS_JUDGED_FROM, JUDGED_FROM, Least};
use klab_world::swarm::explore::recheck::{Guilt, recheck};
use klab_world::swarm::explore::{Drawn, Explored, explore};
use klab_world::swarm::inputs::all as all_inputs;
use klab_world::verdict::FindingKind;
use serde_json::json;

use crate::args::{Halves, Swarm};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::sweep;

/// How many bad seeds are shown.
const SHOWN: usize = 10;

/// How many seeds are run before the first bad one among them is looked for.
const AT_ONCE: u64 = 64;

/// One run, and whether the faults that it accuses of losses and of duplicates are guilty.
type Checked = (Explored, [Guilt; 2]);

/// What faults are accused of, and what is asked of the accusations.
const ACCUSED_OF: [Accusation; 2] = [
    Accusation {
        kind: FindingKind::Lost,
        what: "lost",
        least: "at least nine of ten together",
        hold: Guilt::is_sound,
    },
    Accusation {
        kind: FindingKind::Duplicated,
        what: "duplicated",
        least: "at least nine of ten but for the last",
        hold: Guilt::is_exact,
    },
];

struct Accusation {
    kind: FindingKind,
    what: &'static str,
    least: &'static str,
    hold: fn(&Guilt) -> bool,
}

/// Runs them all, or until one is bad.
pub fn swarm(args: &Swarm) -> Result<Outcome, Wrong> {
    let rules = rules(&args.rules)?;
    let began = Instant::now();
    let runs = match args.first {
        true => until_bad(args, &rules)?,
        false => sweep::each(args.seeds.clone(), args.jobs, |seed| {
            let drawn = Drawn::run(seed, half(args, seed), &rules);
            let guilt = ACCUSED_OF.map(|of| recheck(&drawn.world, of.kind));
            (drawn.report(), guilt)
        })?,
    };
    let (mut explored, mut bugs) = (Vec::new(), Vec::new());
    let mut guilt = ACCUSED_OF.map(|_| Guilt::default());
    for (seed, run) in runs {
        match run {
            Ok((run, of_run)) => {
                explored.push(run);
                for (all, of_run) in guilt.iter_mut().zip(of_run) {
                    *all = std::mem::take(all).and(of_run);
                }
            }
            Err(what) => bugs.push((seed, what)),
        }
    }
    let bad: Vec<&Explored> = explored.iter().filter(|e| e.is_bad()).collect();
    let doubtful = guilt.iter().flat_map(|g| &g.doubtful).map(|d| d.seed);
    let of_bugs = bugs.iter().map(|b| b.0);
    let kept = bad.iter().map(|e| e.seed).chain(doubtful).chain(of_bugs);
    keep(args, &rules, &kept.collect())?;
    let mut all_reached = true;
    if args.json {
        println!("{}", as_json(&explored, &bad, &bugs));
    } else {
        census(&explored);
        findings(&explored);
        for e in bad.iter().take(SHOWN) {
            println!("{}", sentence(e));
        }
        for (seed, what) in bugs.iter().take(SHOWN) {
            println!("seed {seed}: a bug in klab: {what}");
        }
        // A switch may make an aim impossible, and one half has not all of them.
        let is_whole = args.rules.is_empty() && args.half == Halves::Both && !args.first;
        let is_judged = |from: u64| is_whole && explored.len() as u64 >= from;
        all_reached = inputs(&explored, is_judged(INPUTS_JUDGED_FROM));
        all_reached &= aims(&explored, &guilt, is_judged(JUDGED_FROM));
        let events: u64 = explored.iter().map(|e| e.events).sum();
        let took = began.elapsed().as_millis();
        println!(
            "{} runs, {} bad, {} bugs; {events} events in {}.{:03} s",
            explored.len() + bugs.len(),
            bad.len(),
            bugs.len(),
            took / 1000,
            took % 1000,
        );
    }
    Ok(match (bugs.is_empty(), bad.is_empty() && all_reached) {
        (false, _) => Outcome::Bug,
        (true, false) => Outcome::Failed,
        (true, true) => Outcome::Good,
    })
}

fn half(args: &Swarm, seed: u64) -> Half {
    match args.half {
        Halves::Safe => Half::Safe,
        Halves::Free => Half::Free,
        Halves::Both if seed % 2 == 0 => Half::Safe,
        Halves::Both => Half::Free,
    }
}

/// The runs up to the first that is bad, whatever the number of threads.
fn until_bad(args: &Swarm, rules: &Rules) -> Result<sweep::Seeds<Checked>, Wrong> {
    let mut runs = Vec::new();
    let Range { mut start, end } = args.seeds;
    while start < end {
        let some = start..end.min(start + AT_ONCE);
        start = some.end;
        runs.extend(sweep::each(some, args.jobs, |seed| {
            let guilt = ACCUSED_OF.map(|_| Guilt::default());
            (explore(seed, half(args, seed), rules), guilt)
        })?);
        let is_bad = |(_, run): &(u64, Result<Checked, String>)| {
            run.as_ref().map_or(true, |(run, _)| run.is_bad())
        };
        if let Some(first) = runs.iter().position(is_bad) {
            runs.truncate(first + 1);
            break;
        }
    }
    Ok(runs)
}

/// Writes the scenarios of these runs, if that is wanted.
fn keep(args: &Swarm, rules: &Rules, seeds: &BTreeSet<u64>) -> Result<(), Wrong> {
    let Some(folder) = &args.keep else {
        return Ok(());
    };
    for seed in seeds.iter().copied() {
        let scenario = klab_world::swarm::scenario(seed, half(args, seed), rules);
        let path = folder.join(format!("swarm-{seed}.jsonc"));
        files::write(&path, scenario.export().as_bytes())?;
        eprintln!("kept: klab run {}", path.display());
    }
    Ok(())
}

fn as_json(explored: &[Explored], bad: &[&Explored], bugs: &[(u64, String)]) -> serde_json::Value {
    let one = |e: &&Explored| {
        json!({
            "seed": e.seed,
            "half": format!("{:?}", e.half),
            "broken": e.broken,
            "found": e.found,
            "unexplained": e.unexplained,
            "stuck": e.stuck,
            "hash": format!("{:016x}", e.hash),
        })
    };
    json!({
        "runs": explored.len() + bugs.len(),
        "bad": bad.iter().map(one).collect::<Vec<_>>(),
        "bugs": bugs.iter().map(|(seed, what)| json!({ "seed": seed, "what": what })).collect::<Vec<_>>(),
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

/// In how many seeds each input was given; true if none is missing that a drawn run can have, or they are too few to be
/// judged.
fn inputs(explored: &[Explored], is_judged: bool) -> bool {
    println!("\n   given  to so many runs");
    let mut all_given = true;
    for input in all_inputs() {
        let runs = explored.iter().filter(|e| e.inputs.contains(&input.name));
        let runs = runs.count();
        match input.never {
            Some(why) => println!("   never  {}: {why}", input.name),
            None => {
                println!("{runs:>8}  {}{}", input.name, mark(runs > 0, is_judged));
                all_given &= runs > 0;
            }
        }
    }
    say_when_judged(INPUTS_JUDGED_FROM, is_judged);
    !is_judged || all_given
}

/// What the runs must reach together, and whether they did; true if they did or are too few to be judged.
fn aims(explored: &[Explored], guilt: &[Guilt; 2], is_judged: bool) -> bool {
    let runs = explored.len() as u64;
    let mut all_reached = true;
    println!("\n reached  at least  of {runs} runs");
    for aim in AIMS {
        let reached = explored.iter().filter(|e| aim.is_reached(e)).count() as u64;
        let least = match aim.least {
            Least::Runs(least) => least.to_string(),
            Least::All => "all".to_owned(),
        };
        let is_met = aim.least.is_met(reached, runs);
        let mark = mark(is_met, is_judged);
        println!("{reached:>8}  {least:>8}  {}{mark}", aim.name);
        all_reached &= is_met;
    }
    for (guilt, of) in guilt.iter().zip(ACCUSED_OF) {
        let (what, holds) = (of.what, (of.hold)(guilt));
        println!(
            "{} {what} records accuse {} faults, {} accuse none; {} are safe without the accused fault,",
            guilt.accusing, guilt.faults, guilt.without_fault, guilt.safe
        );
        println!(
            "{} more without those, too, that take its place, {} more without those alone: {}{}",
            guilt.replaced,
            guilt.spared,
            of.least,
            mark(holds, is_judged)
        );
        let mut doubtful: Vec<_> = guilt.doubtful.iter().collect();
        doubtful.sort_by_key(|d| Reverse(d.lost));
        for doubt in doubtful.into_iter().take(SHOWN) {
            println!(
                "  seed {}, step {}, accused by {}: {} are {what} even without it, {} are not with it alone",
                doubt.seed, doubt.step, doubt.accusing, doubt.lost, doubt.spared
            );
        }
        all_reached &= holds;
    }
    say_when_judged(JUDGED_FROM, is_judged);
    !is_judged || all_reached
}

fn say_when_judged(from: u64, is_judged: bool) {
    if !is_judged {
        println!("(judged from {from} runs of both halves on, with Kafka's own rules)");
    }
}

fn mark(is_met: bool, is_judged: bool) -> &'static str {
    match (is_met, is_judged) {
        (false, true) => "  NOT REACHED",
        _ => "",
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
