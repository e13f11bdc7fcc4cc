//! `klab sweep`: one scenario with many seeds, on all cores. Runs share nothing; a bug in one does not stop the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use klab_world::outcome::Outcome as Ending;
use klab_world::scenario::Scenario;
use klab_world::world::Watch;
use rayon::prelude::*;

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
    let threads = args.jobs.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool =
        pool.map_err(|error| Wrong::usage(format!("no threads: {error}"), "try a smaller --jobs"))?;
    let bar = bar(args.seeds.end - args.seeds.start);
    let began = Instant::now();
    let seeds: Vec<(u64, Ended)> = pool.install(|| {
        let seeds = args.seeds.clone().into_par_iter();
        seeds
            .map(|seed| (seed, one(&scenario, seed)))
            .inspect(|_| bar.inc(1))
            .collect()
    });
    bar.finish_and_clear();
    Ok(summary(args, &scenario, &seeds, began))
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
        Ok(ended) => match engine::catch(|| ended.world.outcome().expect("the run was watched")) {
            Ok(ending) => Ended::Run {
                good: ending.is_good(),
                why: why(&ending),
                events: ended.world.events(),
            },
            Err(what) => Ended::Bug(what),
        },
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
                outcome = Outcome::Bug;
            }
        }
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
