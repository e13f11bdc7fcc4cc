//! Runs a scenario to its end, and catches our own mistakes on the way: a panic in one run is a bug of klab, reported with
//! the command that repeats it, and other runs go on.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration as WallDuration, Instant};

use klab_kafka::time::Duration;
use klab_world::scenario::{Scenario, limits};
use klab_world::steps::Entry;
use klab_world::world::{Watch, World};

use crate::args;
use crate::outcome::Wrong;
use crate::report;

/// What to run.
#[derive(Clone)]
pub struct Plan {
    /// What.
    pub scenario: Arc<Scenario>,
    /// With which chance.
    pub seed: u64,
    /// What is looked at.
    pub watch: Watch,
    /// Where to stop, after time 0.
    pub until: Option<Duration>,
    /// What is done, instead of the scenario's steps.
    pub tape: Option<Arc<Vec<Entry>>>,
}

/// A run that came to its end.
pub struct Ended {
    /// The world at the end.
    pub world: World,
    /// How long the machine took.
    pub took: WallDuration,
}

/// A run that did not.
pub enum Broke {
    /// A panic: a bug of klab.
    Bug(String),
    /// It went beyond a limit.
    Limit(Wrong),
}

const WORDLESS: &str = "a panic without words";

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic is kept for whoever catches it, instead of being printed.
pub fn keep_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|at| format!(" at {}:{}", at.file(), at.line()))
            .unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or(WORDLESS);
        PANIC.with_borrow_mut(|kept| *kept = Some(format!("{what}{place}")));
    }));
}

/// Does some work and turns a panic into its words.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        PANIC
            .with_borrow_mut(Option::take)
            .unwrap_or_else(|| WORDLESS.to_owned())
    })
}

/// Runs to the end, to `until`, or to a limit.
pub fn run(plan: &Plan) -> Result<Ended, Broke> {
    let began = Instant::now();
    let world = catch(|| {
        let mut world = start(plan);
        while world.step() {
            let reached = plan.until.is_some_and(|until| is_past(&world, until));
            if reached || world.events() > limits::EVENTS.max {
                break;
            }
        }
        world
    });
    let world = world.map_err(Broke::Bug)?;
    if let Err(mistake) = limits::EVENTS.hold(world.events()) {
        let what = format!("the run was stopped after {}", mistake.found);
        return Err(Broke::Limit(Wrong::usage(
            what,
            format!(
                "a run may have {}: fewer records, or an earlier end",
                mistake.expected
            ),
        )));
    }
    Ok(Ended {
        world,
        took: began.elapsed(),
    })
}

/// Runs, and reports a bug of klab with the command that repeats it; then there is nothing more to say.
pub fn ended(plan: &Plan, scenario: &args::Scenario) -> Result<Option<Ended>, Wrong> {
    match run(plan) {
        Ok(ended) => Ok(Some(ended)),
        Err(Broke::Limit(wrong)) => Err(wrong),
        Err(Broke::Bug(what)) => {
            let again = format!("klab run {} --seed {}", scenario.again(), plan.seed);
            report::bug(&what, &again);
            Ok(None)
        }
    }
}

/// The world at its very beginning.
pub fn start(plan: &Plan) -> World {
    let (scenario, seed, watch) = (plan.scenario.clone(), plan.seed, plan.watch);
    match &plan.tape {
        Some(tape) => World::replay(scenario, seed, watch, tape.clone()),
        None => World::new(scenario, seed, watch),
    }
}

/// Whether the next thing that happens lies after a time of the scenario.
fn is_past(world: &World, until: Duration) -> bool {
    let end = world.ready().map(|ready| ready + until);
    end.is_some_and(|end| world.next_at().is_none_or(|next| next > end))
}
