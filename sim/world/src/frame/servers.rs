//! Brokers and controllers as a picture shows them: who is up, who is fenced, who is the active controller.

use crate::line::picture;
use crate::process::{Down, Machine, Process, ProcessId};
use crate::view::View;
use klab_kafka::broker::lifecycle::BrokerState;
use klab_kafka::ids::NodeId;
use serde::Serialize;

/// What kind of server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The words say it.
pub enum Kind {
    Broker,
    Controller,
}

/// How a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// It has not been started yet.
    New,
    /// A broker that is not in service yet.
    Starting,
    /// It works.
    Running,
    /// A broker that the controllers hold for gone; it may run.
    Fenced,
    /// It was asked to stop.
    Stopping,
    /// It takes no input.
    Paused,
    /// It was killed.
    Killed,
    /// Its machine has no power.
    PowerLost,
    /// It ended by itself.
    Exited,
}

/// A broker or a controller.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Server {
    /// The process.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Which kind.
    pub kind: Kind,
    /// Its rack.
    pub rack: Option<String>,
    /// How it is.
    pub mood: Mood,
    /// The same in words.
    pub words: String,
    /// The same as a sign.
    pub sign: &'static str,
    /// Its process runs, paused or not.
    pub up: bool,
    /// The active controller.
    pub active: bool,
    /// The quorum epoch that a running controller knows.
    pub epoch: Option<i32>,
}

/// All servers, brokers first.
pub fn all(view: View<'_>) -> Vec<Server> {
    let active = view.active_controller().map(|(p, _)| p);
    let mut all: Vec<Server> = view
        .machines()
        .filter_map(|(p, machine)| server(view, p, machine, active))
        .collect();
    // A stable sort: within a kind the order of processes stays.
    all.sort_by_key(|s| s.kind == Kind::Controller);
    all
}

fn server(
    view: View<'_>,
    p: ProcessId,
    machine: &Machine,
    active: Option<ProcessId>,
) -> Option<Server> {
    let name = view.names().of(p);
    let kind = match name.split_once('-') {
        Some(("broker", _)) => Kind::Broker,
        Some(("controller", _)) => Kind::Controller,
        _ => return None,
    };
    let number = name.rsplit_once('-').and_then(|(_, n)| n.parse().ok());
    let mood = match kind {
        Kind::Broker => broker_mood(view, machine, number.map(NodeId)),
        Kind::Controller => mood(machine),
    };
    let rack = (kind == Kind::Broker).then(|| rack(view, number)).flatten();
    let epoch = match &machine.process {
        Some(Process::Controller(c)) => Some(c.raft().epoch().0),
        _ => None,
    };
    Some(Server {
        id: p.0,
        name: name.into(),
        kind,
        rack,
        mood,
        words: picture::mood(mood).into(),
        sign: picture::mood_sign(mood),
        up: machine.process.is_some(),
        active: active == Some(p),
        epoch,
    })
}

/// Racks are given to the brokers in turn.
fn rack(view: View<'_>, number: Option<i32>) -> Option<String> {
    let racks = &view.scenario().cluster.racks;
    let place = usize::try_from(number? - 1).ok()?;
    (!racks.is_empty()).then(|| racks[place % racks.len()].to_string())
}

/// How the process on a machine is.
pub fn mood(machine: &Machine) -> Mood {
    match (&machine.process, machine.down) {
        (None, None | Some(Down::New)) => Mood::New,
        (None, Some(Down::Killed)) => Mood::Killed,
        (None, Some(Down::PowerLost)) => Mood::PowerLost,
        (None, Some(Down::Exited)) => Mood::Exited,
        (Some(_), _) if machine.paused => Mood::Paused,
        (Some(_), _) if machine.stopping => Mood::Stopping,
        (Some(_), _) => Mood::Running,
    }
}

fn broker_mood(view: View<'_>, machine: &Machine, node: Option<NodeId>) -> Mood {
    let fenced = || {
        let image = view.image();
        let broker = image.and_then(|image| image.brokers.get(&node?));
        broker.is_some_and(|broker| broker.fenced)
    };
    let state = match &machine.process {
        Some(Process::Broker(broker)) => broker.lifecycle().state(),
        _ => return mood(machine),
    };
    match (mood(machine), state) {
        (Mood::Running, BrokerState::Starting | BrokerState::Recovery) => Mood::Starting,
        (Mood::Running, BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown) => {
            Mood::Stopping
        }
        (Mood::Running, BrokerState::Running) if fenced() => Mood::Fenced,
        (mood, _) => mood,
    }
}
