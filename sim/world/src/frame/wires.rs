//! Requests and answers under way, and the links they take.
//!
//! A picture draws links between brokers, between an application and a broker, and between all controllers together and a
//! broker: nine lines to three controllers say less than three.

use super::{FLIGHTS_MAX, since_ready};
use crate::line::picture;
use crate::network::{Body, Connection, Message, Pipe};
use crate::process::{Process, ProcessId};
use crate::scenario::ADMIN;
use crate::view::View;
use klab_kafka::protocol::{Request, Response};
use serde::Serialize;

/// A request or an answer under way.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Flight {
    /// The trace record of its sending: its name.
    pub id: u64,
    /// Who sent it.
    pub from: u32,
    /// Who will get it.
    pub to: u32,
    /// A letter for its API.
    pub letter: char,
    /// An answer.
    pub answer: bool,
    /// How many records of applications it carries.
    pub records: u64,
    /// When it left, in nanoseconds since ready.
    pub departed: i64,
    /// When it arrives, if nothing holds it.
    pub arrives: i64,
    /// It waits: a fault holds it.
    pub stalled: bool,
    /// The same in words.
    pub words: String,
}

/// What spoils a link, the worst of both directions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WireState {
    /// Nothing.
    Open,
    /// Messages take so many times as long.
    Slow(u32),
    /// One direction of two, or some of several links, let nothing pass.
    Partly,
    /// Nothing passes; what is under way waits.
    Cut,
    /// What is sent vanishes.
    Hole,
}

/// A link that a picture draws.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Wire {
    /// One end: a process by its name, or `controllers`.
    pub a: String,
    /// The other end: a broker.
    pub b: String,
    /// The first end's processes.
    pub from: Vec<u32>,
    /// The broker's process.
    pub to: u32,
    /// Nothing spoils it.
    pub open: bool,
    /// Something passes in neither direction.
    pub blocked: bool,
    /// What spoils it.
    pub state: WireState,
    /// The same in words.
    pub words: String,
}

/// Requests and answers under way, the first to arrive first.
pub fn flights(view: View<'_>) -> Vec<Flight> {
    let mut all = Vec::new();
    for (_, c) in view.network().connections() {
        let ends = [(c.client, c.server), (c.server, c.client)];
        for ((from, to), pipe) in ends.into_iter().zip(pipes(c)) {
            let way = view.network().way(from, to);
            let stopped = way.cut || way.hole || way.clog;
            let messages = pipe.messages.iter();
            all.extend(messages.filter_map(|m| flight(view, from, to, m, stopped)));
        }
    }
    all.sort_by_key(|flight| (flight.arrives, flight.id));
    all.truncate(FLIGHTS_MAX);
    all
}

fn pipes(c: &Connection) -> [&Pipe; 2] {
    [&c.to_server, &c.to_client]
}

fn flight(
    view: View<'_>,
    from: ProcessId,
    to: ProcessId,
    message: &Message,
    stopped: bool,
) -> Option<Flight> {
    let (api, answer, records) = match &message.body {
        Body::Request { request, .. } => (request.api(), false, carried(request)),
        Body::Response { response, .. } => (response.api(), true, brought(response)),
        Body::Syn | Body::Accepted | Body::Fin(_) | Body::GivenUp => return None,
    };
    let stalled = stopped || message.held.is_some();
    let names = view.names();
    Some(Flight {
        id: message.cause,
        from: from.0,
        to: to.0,
        letter: picture::letter(api),
        answer,
        records,
        departed: since_ready(view, message.departed).0,
        arrives: since_ready(view, message.arrives).0,
        stalled,
        words: picture::flight(api, answer, names.of(from), names.of(to), records, stalled),
    })
}

/// How many records a request carries.
fn carried(request: &Request) -> u64 {
    let Request::Produce(produce) = request else {
        return 0;
    };
    let partitions = produce.topics.iter().flat_map(|t| &t.partitions);
    partitions.map(|p| p.records.ids().len() as u64).sum()
}

/// How many records an answer brings.
fn brought(response: &Response) -> u64 {
    let Response::Fetch(fetch) = response else {
        return 0;
    };
    let partitions = fetch.topics.iter().flat_map(|t| &t.partitions);
    let batches = partitions.flat_map(|p| &p.records);
    batches.map(|b| b.data.ids().len() as u64).sum()
}

/// The links that a picture draws.
pub fn wires(view: View<'_>) -> Vec<Wire> {
    let names = view.names();
    let called = |prefix: &'static str| {
        let is = move |(_, name): &(ProcessId, &std::sync::Arc<str>)| name.starts_with(prefix);
        names.iter().filter(is).map(|(p, _)| p)
    };
    let brokers: Vec<ProcessId> = called("broker-").collect();
    let controllers: Vec<ProcessId> = called("controller-").collect();
    let mut wires = Vec::new();
    for (at, b) in brokers.iter().enumerate() {
        wires.push(wire(view, "controllers", &controllers, *b));
        for a in &brokers[..at] {
            wires.push(wire(view, names.of(*a), &[*a], *b));
        }
    }
    for (p, name) in names.iter() {
        let runs = matches!(view.machine(p).process, Some(Process::App(_)));
        let planned = view.scenario().producers.contains_key(name)
            || view.scenario().consumers.contains_key(name);
        if (runs || planned) && &**name != ADMIN {
            wires.extend(brokers.iter().map(|b| wire(view, name, &[p], *b)));
        }
    }
    wires
}

fn wire(view: View<'_>, a: &str, from: &[ProcessId], to: ProcessId) -> Wire {
    let network = view.network();
    let both = |p: &ProcessId| [network.way(*p, to), network.way(to, *p)];
    let ways: Vec<_> = from.iter().flat_map(both).collect();
    let stopped = ways.iter().filter(|w| w.cut || w.hole || w.clog).count();
    let slow = ways.iter().filter_map(|w| w.slow).max();
    let state = match stopped {
        n if n == ways.len() && ways.iter().all(|w| w.hole) => WireState::Hole,
        n if n == ways.len() => WireState::Cut,
        0 => slow.map_or(WireState::Open, WireState::Slow),
        _ => WireState::Partly,
    };
    let b = view.names().of(to);
    Wire {
        a: a.into(),
        b: b.into(),
        from: from.iter().map(|p| p.0).collect(),
        to: to.0,
        open: state == WireState::Open,
        blocked: matches!(state, WireState::Cut | WireState::Hole),
        state,
        words: picture::wire(a, b, state),
    }
}
