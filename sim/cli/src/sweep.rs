//! `klab sweep`: one scenario with many seeds, on all cores. Runs share nothing; a bug in one does not stop the others.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use klab_world::outcome::Outcome as Ending;
use klab_world::scenario::Scenario;
use klab_world::world::Watch;
use rayon::prelude::*;
use serde_json::json;

use crate::args::Sweep;
use crate::engine::{self, Broke, Plan};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;

/// How many seeds of one kind are named.
const NAMED: usize = 5;

/// How one seed ended.
enum Ended {
    Run {
        good: bool,
        why: Vec<String>,
        events: u64,
    },
    Bug(String),
    Limit(String),
}

/// Runs them all.
pub fn sweep(args: &Sweep) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    let began = Instant::now();
    let seeds = each(args.seeds.clone(), args.jobs, |seed| one(&scenario, seed))?;
    let seeds = with_bugs(seeds);
    Ok(summary(args, &scenario, &seeds, began))
}

/// A panic is how a seed ended, too.
fn with_bugs(seeds: Seeds<Ended>) -> Vec<(u64, Ended)> {
    let ended =
        |(seed, ended): (u64, Result<Ended, String>)| (seed, ended.unwrap_or_else(Ended::Bug));
    seeds.into_iter().map(ended).collect()
}

/// What came of each seed, in order: a value, or the words of a panic.
pub type Seeds<T> = Vec<(u64, Result<T, String>)>;

/// Does something for every seed, on all threads or so many, with a bar; a panic is caught and the others go on.
pub fn each<T: Send>(
    seeds: Range<u64>,
    jobs: Option<u16>,
    run: impl Fn(u64) -> T + Sync,
) -> Result<Seeds<T>, Wrong> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.map_or(0, usize::from))
        .build();
    let pool =
        pool.map_err(|error| Wrong::usage(format!("no threads: {error}"), "try a smaller --jobs"))?;
    let bar = bar(seeds.end - seeds.start);
    let one = |seed| (seed, engine::catch(|| run(seed)));
    let done = pool.install(|| {
        seeds
            .into_par_iter()
            .map(one)
            .inspect(|_| bar.inc(1))
            .collect()
    });
    bar.finish_and_clear();
    Ok(done)
}

/// A bar for a person; nothing for a file.
fn bar(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr());
    bar.with_style(style.expect("the template is right"))
}

fn one(scenario: &Arc<Scenario>, seed: u64) -> Ended {
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let plan = Plan {
        scenario: scenario.clone(),
        seed,
        watch,
        until: None,
        tape: None,
    };
    match engine::run(&plan) {
        Ok(ended) => {
            let ending = ended.world.outcome().expect("the run was watched");
            Ended::Run {
                good: ending.is_good(),
                why: why(&ending),
                events: ended.world.events(),
            }
        }
        Err(Broke::Bug(what)) => Ended::Bug(what),
        Err(Broke::Limit(wrong)) => Ended::Limit(wrong.to_string()),
    }
}

/// The kinds of failure of one run.
fn why(ending: &Ending) -> Vec<String> {
    let failed = ending
        .judged
        .iter()
        .filter(|judged| !judged.holds)
        .map(|judged| judged.expected.clone());
    let broken = ending
        .broken
        .iter()
        .map(|broken| format!("broken promise, {}", broken.promise));
    let missed = ending
        .missed
        .iter()
        .map(|step| format!("nobody to act on: {step}"));
    let never = ending
        .never_met
        .iter()
        .map(|step| format!("its trigger never came: {step}"));
    let stuck = ending
        .stuck
        .iter()
        .map(|_| "the run did not get quiet in time".to_owned());
    let mut all: Vec<String> = failed
        .chain(broken)
        .chain(missed)
        .chain(never)
        .chain(stuck)
        .collect();
    all.dedup();
    all
}

fn summary(args: &Sweep, scenario: &Scenario, seeds: &[(u64, Ended)], began: Instant) -> Outcome {
    let mut kinds: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let (mut good, mut events, mut outcome) = (0usize, 0u64, Outcome::Good);
    let mut bugs = Vec::new();
    for (seed, ended) in seeds {
        match ended {
            Ended::Run {
                good: is_good,
                why,
                events: more,
            } => {
                good += usize::from(*is_good);
                events += more;
                why.iter()
                    .for_each(|why| kinds.entry(why).or_default().push(*seed));
                outcome = outcome.max(if *is_good {
                    Outcome::Good
                } else {
                    Outcome::Failed
                });
            }
            Ended::Limit(what) => {
                kinds.entry(what).or_default().push(*seed);
                outcome = outcome.max(Outcome::Failed);
            }
            Ended::Bug(what) => {
                report::bug(
                    &format!("seed {seed}: {what}"),
                    &format!("klab run {} --seed {seed}", args.scenario.again()),
                );
                bugs.push(json!({ "seed": seed, "what": what }));
                outcome = Outcome::Bug;
            }
        }
    }
    if args.json {
        let kind = |(why, seeds): (&&str, &Vec<u64>)| json!({ "why": why, "seeds": seeds });
        let told = json!({
            "title": *scenario.title,
            "runs": seeds.len(),
            "good": good,
            "events": events,
            "kinds": kinds.iter().map(kind).collect::<Vec<_>>(),
            "bugs": bugs,
        });
        report::print(&told.to_string());
        return outcome;
    }
    let took = report::seconds(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    let bold = anstyle::Style::new().bold();
    report::print(&format!("{bold}{}{bold:#}", scenario.title));
    let count = seeds.len();
    report::print(&format!(
        "{good} of {count} seeds are good ({took}, {events} events)"
    ));
    for (kind, seeds) in kinds {
        let named: Vec<String> = seeds.iter().take(NAMED).map(u64::to_string).collect();
        let more = if seeds.len() > NAMED { ", …" } else { "" };
        report::print(&format!(
            "  {:>6} × {kind}: seeds {}{more}",
            seeds.len(),
            named.join(", ")
        ));
        report::print(&format!(
            "           klab run {} --seed {}",
            args.scenario.again(),
            seeds[0]
        ));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn a_bug_in_one_seed_does_not_stop_the_others() {
        engine::keep_panics();
        let run = |seed| match seed {
            3 => panic!("seed three is haunted"),
            _ => Ended::Run {
                good: true,
                why: Vec::new(),
                events: 1,
            },
        };
        let seeds = with_bugs(each(0..8, Some(2), run).expect("two threads"));
        assert_eq!(
            seeds.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        assert!(
            matches!(&seeds[3].1, Ended::Bug(what) if what.starts_with("seed three is haunted at "))
        );
        assert_eq!(
            seeds
                .iter()
                .filter(|(_, ended)| matches!(ended, Ended::Run { good: true, .. }))
                .count(),
            7
        );
        let scenario = args::Scenario {
            file: "x".into(),
            sets: Vec::new(),
            twin: None,
        };
        let args = Sweep {
            scenario,
            seeds: 0..8,
            json: false,
            jobs: None,
        };
        assert_eq!(
            summary(&args, &Scenario::tracer(), &seeds, Instant::now()),
            Outcome::Bug
        );
    }
}
