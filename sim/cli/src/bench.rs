//! `klab bench`: how fast this machine simulates, by the same code path as `klab run`.

use std::sync::Arc;

use klab_world::scenario::Scenario;
use klab_world::world::Watch;

use crate::engine::{self, Broke, Ended, Plan};
use crate::outcome::{Outcome, Wrong};
use crate::report;

/// How often each is run; the median counts.
const ROUNDS: usize = 5;

const IDLE: &str = r#"{ "title": "idle: 3 brokers, 3 controllers", "end": { "at": "10min" }, "topics": { "orders": { "partitions": 4 } } }"#;
const LOADED: &str = r#"{ "title": "loaded: 100 records/s, one record a batch, acks=all",
  "topics": { "orders": { "partitions": 4, "config": { "min.insync.replicas": 2 } } }, "end": { "at": "70s" },
  "producers": { "shop": { "topic": "orders", "records": 6000, "rate": "100/s", "keys": 100, "config": { "linger.ms": 0, "batch.size": 0 } } } }"#;

/// Runs both clusters, with checkers and without.
pub fn bench() -> Result<Outcome, Wrong> {
    report::print(&format!(
        "{:<56} {:>14} {:>14} {:>12}",
        "median of 5, one core", "events/s", "virtual/wall", "wall ms"
    ));
    for text in [IDLE, LOADED] {
        let scenario = Arc::new(Scenario::parse("bench", text)?);
        for (name, checkers) in [("", false), (", checkers on", true)] {
            let watch = Watch {
                records: false,
                checkers,
            };
            let plan = Plan {
                scenario: scenario.clone(),
                seed: 1,
                watch,
                until: None,
                tape: None,
            };
            match median(&plan) {
                Ok(ended) => row(&format!("{}{name}", scenario.title), &ended),
                Err(Broke::Limit(wrong)) => return Err(wrong),
                Err(Broke::Bug(what)) => {
                    report::bug(&what, "klab bench");
                    return Ok(Outcome::Bug);
                }
            }
        }
    }
    Ok(Outcome::Good)
}

fn median(plan: &Plan) -> Result<Ended, Broke> {
    let mut rounds = (0..ROUNDS)
        .map(|_| engine::run(plan))
        .collect::<Result<Vec<_>, _>>()?;
    rounds.sort_by_key(|ended| ended.took);
    Ok(rounds.swap_remove(ROUNDS / 2))
}

fn row(name: &str, ended: &Ended) {
    let micros = ended.took.as_micros().max(1);
    let per_second = u128::from(ended.world.events()) * 1_000_000 / micros;
    let ratio = u128::from(ended.world.now().0) / 1_000 / micros;
    report::print(&format!(
        "{name:<56} {per_second:>14} {ratio:>14} {:>12}",
        micros / 1_000
    ));
}
