//! A picture of a moment as plain data: what a page draws, a book bakes and a test compares.
//!
//! A frame is made from the read-only view alone; it is never hashed, and nothing that runs ever reads one. It speaks the
//! viewer's language: servers with role and mood, replicas aligned by offset, requests under way, what applications sent
//! and were told, the verdict so far. Every word in it comes from the catalogue (`line`) or from the verdict's sentences; a
//! page adds places and colours, never words about records.
//!
//! A frame is bounded: so many partitions, so many cells of each log, so many requests. What is left out is counted.
//! Left out: groups and transactions, which come with their features.

pub mod clients;
pub mod logs;
pub mod marks;
pub mod menu;
pub mod said;
pub mod servers;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod wires;

use crate::check::Checkers;
use crate::line::{Lexicon, picture};
use crate::scenario::ScenarioTime;
use crate::view::View;
use klab_kafka::time::Time;
use serde::Serialize;

/// How many partitions a picture shows.
pub const PARTITIONS_MAX: usize = 16;
/// How many offsets of a log a picture shows, up to the longest replica's end.
pub const CELLS_MAX: i64 = 14;
/// How many requests under way a picture shows.
pub const FLIGHTS_MAX: usize = 200;

/// A moment of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Frame {
    /// Time since the run was ready, in nanoseconds; negative before.
    pub at: i64,
    /// The same in words.
    pub clock: String,
    /// Facts told so far.
    pub seq: u64,
    /// The phase of the run, in words.
    pub phase: String,
    /// The run is over.
    pub over: bool,
    /// The whole picture in one line.
    pub label: String,
    /// Brokers, then controllers.
    pub servers: Vec<servers::Server>,
    /// Partitions by name, with their replicas.
    pub partitions: Vec<logs::Partition>,
    /// How many partitions more there are.
    pub more_partitions: u64,
    /// Requests and answers under way.
    pub flights: Vec<wires::Flight>,
    /// The links that a picture draws.
    pub wires: Vec<wires::Wire>,
    /// Faults in force, in words.
    pub faults: Vec<String>,
    /// Applications that produce.
    pub producers: Vec<clients::ProducerCard>,
    /// Applications that read, the fresh reader last.
    pub consumers: Vec<clients::ConsumerCard>,
    /// The verdict so far.
    pub verdict: said::Said,
}

impl Frame {
    /// The picture of a moment, with the time that is looked at: nothing happens between the view's last event and it.
    pub fn of(view: View<'_>, checkers: &Checkers, at: Time) -> Frame {
        let lexicon = Lexicon::of(view);
        let verdict = checkers.verdict(view);
        let judged = said::Judged::of(&verdict, view);
        let servers = servers::all(view);
        let (partitions, more_partitions) = logs::all(view, &lexicon, &judged);
        let faults: Vec<String> = view.faults().map(|fault| lexicon.fault(fault)).collect();
        let brokers = || servers.iter().filter(|s| s.kind == servers::Kind::Broker);
        let down: Vec<String> = brokers()
            .filter(|s| s.mood != servers::Mood::Running)
            .map(|s| format!("{} ({})", s.name, s.words))
            .collect();
        let leaders: Vec<String> = partitions.iter().map(|p| p.words.clone()).collect();
        let clock = lexicon.time(at);
        let up = brokers().count() - down.len();
        Frame {
            at: since_ready(view, at).0,
            label: picture::label(&clock, up, &down, &leaders, faults.len()),
            clock,
            seq: view.seq(),
            phase: lexicon.phase(view.phase()),
            over: verdict.over,
            servers,
            partitions,
            more_partitions,
            flights: wires::flights(view),
            wires: wires::wires(view),
            faults,
            producers: clients::producers(view, &verdict),
            consumers: clients::consumers(view, checkers, &lexicon),
            verdict: said::Said::of(&verdict, &judged),
        }
    }
}

/// A time of the world as a scenario counts it.
pub fn since_ready(view: View<'_>, at: Time) -> ScenarioTime {
    let ready = view.ready().map_or(0, |r| r.0);
    ScenarioTime(at.0 as i64 - ready as i64)
}
