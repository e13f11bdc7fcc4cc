//! `klab state`: one process at one time, as it is.

use std::sync::Arc;

use klab_kafka::time::Duration;
use klab_world::process::Process;
use klab_world::scenario::quantity::write_duration;
use klab_world::view::View;
use klab_world::world::{Watch, World};

use crate::args::{Moment, State};
use crate::engine::{self, Plan};
use crate::files;
use crate::outcome::{Outcome, Wrong};
use crate::report;
use crate::run::SEED;

/// Runs up to the time and shows the process.
pub fn state(args: &State) -> Result<Outcome, Wrong> {
    let Some((world, seed)) = world_at(&args.moment)? else {
        return Ok(Outcome::Bug);
    };
    let view = View::new(&world);
    let names = view.names();
    let Some(process) = names.find(&args.process) else {
        let all: Vec<&str> = names.iter().map(|(_, name)| &**name).collect();
        return Err(Wrong::usage(
            format!("no process {:?}", args.process),
            format!("one of {}", all.join(", ")),
        ));
    };
    let machine = view.machine(process);
    let at = world.scenario_time(world.now()).0.max(0).unsigned_abs();
    report::print(&format!(
        "{} at {}, seed {seed}",
        args.process,
        write_duration(at)
    ));
    if let Some(down) = machine.down {
        report::print(&format!("it does not run: {down:?}"));
    }
    match &machine.process {
        Some(Process::Broker(broker)) => report::print(&format!("{broker:#?}")),
        Some(Process::Controller(controller)) => report::print(&format!("{controller:#?}")),
        Some(Process::App(app)) => report::print(&format!("{app:#?}")),
        Some(Process::Admin(admin)) => report::print(&format!("{admin:#?}")),
        None => {}
    }
    Ok(Outcome::Good)
}

/// A run up to a time, with its seed; none if klab has a bug, which is told.
pub fn world_at(moment: &Moment) -> Result<Option<(World, u64)>, Wrong> {
    let scenario = Arc::new(files::chosen(&moment.scenario)?);
    let seed = moment.seed.or(scenario.seed).unwrap_or(SEED);
    let watch = Watch {
        records: false,
        checkers: false,
    };
    let plan = Plan {
        scenario,
        seed,
        watch,
        until: Some(Duration(moment.at)),
        tape: None,
    };
    let ended = engine::ended(&plan, &moment.scenario)?;
    Ok(ended.map(|ended| (ended.world, seed)))
}
