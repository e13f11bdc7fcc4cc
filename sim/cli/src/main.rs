//! `klab`: the only crate that touches files, threads, the terminal and the wall clock.
//!
//! Results go to stdout, everything else to stderr. Colours only on a terminal, and never with NO_COLOR.

mod args;
mod bench;
mod check;
mod doctor;
mod draw;
mod engine;
mod files;
mod list;
mod outcome;
mod plot;
mod report;
mod rules;
mod run;
mod schema;
mod shrink;
mod state;
mod swarm;
mod sweep;
mod tape;
mod topics;
mod why;

use std::process::ExitCode;

use args::{Command, Klab};
use clap::Parser;
use outcome::{Outcome, WRONG, Wrong};

/// Messages are many, small and short-lived: a tenth of a run's time beside the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let klab = Klab::parse();
    engine::keep_panics();
    match engine::catch(|| command(&klab)) {
        Ok(Ok(outcome)) => outcome.into(),
        Ok(Err(wrong)) => {
            draw::wrong(&wrong);
            ExitCode::from(WRONG)
        }
        Err(what) => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            report::bug(&what, &format!("klab {}", words.join(" ")));
            Outcome::Bug.into()
        }
    }
}

fn command(klab: &Klab) -> Result<Outcome, Wrong> {
    match &klab.command {
        None => run::quickstart(),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Sweep(args)) => sweep::sweep(args),
        Some(Command::Swarm(args)) => swarm::swarm(args),
        Some(Command::List) => list::list(),
        Some(Command::Check(args)) => check::check(args),
        Some(Command::Why(args)) => why::why(args),
        Some(Command::Shrink(args)) => shrink::shrink(args),
        Some(Command::Doctor(args)) => doctor::doctor(args),
        Some(Command::Plot(args)) => plot::plot(args),
        Some(Command::State(args)) => state::state(args),
        Some(Command::Topics(args)) => topics::topics(args),
        Some(Command::Rules(args)) => Ok(rules::rules(args)),
        Some(Command::Schema(args)) => Ok(schema::schema(args)),
        Some(Command::Completions(args)) => Ok(schema::completions(args)),
        Some(Command::Bench(args)) => bench::bench(args),
    }
}
