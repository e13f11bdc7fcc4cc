//! `klab why`: a record's fate, or an event, as a chain of events that anyone can look up with `klab run --lines`.

use std::sync::Arc;

use klab_kafka::ids::RecordId;
use klab_world::view::View;
use klab_world::why;
use klab_world::world::{Watch, World};

use crate::args::Why;
use crate::engine::{self, Broke, Plan};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::run::SEED;

/// Runs the scenario again and tells why.
pub fn why(args: &Why) -> Result<Outcome, Wrong> {
    let scenario = Arc::new(files::chosen(&args.scenario)?);
    let seed = args.seed.or(scenario.seed).unwrap_or(SEED);
    let watch = Watch {
        records: true,
        checkers: true,
    };
    let plan = Plan {
        scenario,
        seed,
        watch,
        until: None,
        tape: None,
    };
    let world = match engine::run(&plan) {
        Ok(ended) => ended.world,
        Err(Broke::Limit(wrong)) => return Err(wrong),
        Err(Broke::Bug(what)) => {
            report::bug(
                &what,
                &format!("klab run {} --seed {seed}", args.scenario.again()),
            );
            return Ok(Outcome::Bug);
        }
    };
    let (view, records) = (View::new(&world), world.trace().records());
    let checkers = world.checkers().expect("the run was watched");
    let answer = match (&args.record, args.event) {
        (Some(text), _) => why::of_record(records, checkers, view, record(&world, text)?),
        (None, Some(seq)) => {
            event(&world, seq)?;
            why::of_event(records, checkers, view, seq)
        }
        (None, None) => unreachable!("because the command line demands one of the two"),
    };
    match answer {
        Some(answer) => report::print(&answer.to_string()),
        None => report::print("Nothing is told of it in this run."),
    }
    Ok(Outcome::Good)
}

/// `shop#41`.
fn record(world: &World, text: &str) -> Result<RecordId, Wrong> {
    let producers = &world.scenario().producers;
    let parsed = text
        .rsplit_once('#')
        .and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    let Some((name, number)) = parsed else {
        return Err(Wrong::usage(
            format!("{text:?} is no record"),
            "a record is a producer, # and its number from 0, such as shop#41",
        ));
    };
    let Some(plan) = producers.get(name) else {
        let names: Vec<&str> = producers.keys().map(|name| &**name).collect();
        return Err(Wrong::usage(
            format!("no producer {name:?}"),
            format!("the producers are {}", names.join(", ")),
        ));
    };
    if number >= plan.records {
        let last = plan.records - 1;
        return Err(Wrong::usage(
            format!("{name} has no record {number}"),
            format!("its records are {name}#0 to {name}#{last}"),
        ));
    }
    let process = View::new(world)
        .names()
        .find(name)
        .expect("every producer is a process");
    Ok(RecordId {
        source: process.0,
        number,
    })
}

/// An event that the run has.
fn event(world: &World, seq: u64) -> Result<(), Wrong> {
    let last = world.trace().count();
    match (1..=last).contains(&seq) {
        true => Ok(()),
        false => Err(Wrong::usage(
            format!("no event {seq}"),
            format!("this run's events are 1 to {last}; `klab run --lines` shows them"),
        )),
    }
}
