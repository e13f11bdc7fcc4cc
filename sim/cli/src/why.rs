//! `klab why`: a record's fate, or an event, as a chain of events that anyone can look up with `klab run --lines`.

use std::sync::Arc;

use klab_kafka::ids::RecordId;
use klab_world::scenario::error::{nearest, quoted};
use klab_world::view::View;
use klab_world::why;
use klab_world::world::{Watch, World};

use crate::args::Why;
use crate::engine::{self, Ended, Plan};
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
    let Some(Ended { world, .. }) = engine::ended(&plan, &args.scenario)? else {
        return Ok(Outcome::Bug);
    };
    let (view, records) = (View::new(&world), world.trace().records());
    let checkers = world.checkers().expect("the run was watched");
    let answer = match (&args.record, args.event) {
        (Some(text), _) => {
            let id = record(&world, text)?;
            why::of_record(records, checkers, view, id).ok_or_else(|| unsent(&world, id))?
        }
        (None, Some(seq)) => {
            why::of_event(records, checkers, view, seq).ok_or_else(|| no_event(&world, seq))?
        }
        (None, None) => unreachable!("because the command line demands one of the two"),
    };
    report::print(&answer.to_string());
    Ok(Outcome::Good)
}

/// A record that the scenario has, such as `shop#41`.
fn record(world: &World, text: &str) -> Result<RecordId, Wrong> {
    let producers = &world.scenario().producers;
    let names: Vec<&str> = producers.keys().map(|name| &**name).collect();
    let parsed = text
        .rsplit_once('#')
        .and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    let Some((name, number)) = parsed else {
        let name = text.trim_end_matches(|c: char| c.is_ascii_digit() || "#-: ".contains(c));
        let name = nearest(name, &names).or(names.first().copied());
        return Err(Wrong::usage(
            format!("{} is no record", quoted(text)),
            format!(
                "a record is a producer, # and its number from 0, such as {}#0",
                name.unwrap_or("shop")
            ),
        ));
    };
    let Some(plan) = producers.get(name) else {
        let near = nearest(name, &names).map(|near| format!("did you mean {near}#{number}? "));
        return Err(Wrong::usage(
            format!("no producer {}", quoted(name)),
            format!(
                "{}the producers are {}",
                near.unwrap_or_default(),
                names.join(", ")
            ),
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

/// A record that the scenario has and this run never came to.
fn unsent(world: &World, id: RecordId) -> Wrong {
    let checkers = world.checkers().expect("the run was watched");
    let verdict = checkers.verdict(View::new(world));
    let mut asked = verdict.fates.iter().map(|fate| fate.id);
    let last = asked.rfind(|asked| asked.source == id.source);
    Wrong::usage(
        format!("this run never came to {}", verdict.record_name(id)),
        match last {
            Some(last) => format!("the last one it came to is {}", verdict.record_name(last)),
            None => "its application was asked for nothing in this run".to_owned(),
        },
    )
}

/// An event that the run does not have.
fn no_event(world: &World, seq: u64) -> Wrong {
    let last = world.trace().count();
    Wrong::usage(
        format!("no event {seq}"),
        format!(
            "this run's events are 1 to {last}, so try {}; `klab run --lines` shows them all",
            seq.clamp(1, last)
        ),
    )
}
