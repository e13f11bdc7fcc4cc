//! Processes as the world holds them: four kinds, each a crash domain, with what belongs to the machine around them.

#[cfg(test)]
mod perturbed;

use crate::app::App;
use crate::clocks::Clocks;
use crate::disks::Disk;
use crate::network::Arrival;
use klab_kafka::broker::Broker;
use klab_kafka::client::admin::Admin;
use klab_kafka::context::{Context, Output};
use klab_kafka::controller::Controller;
use klab_kafka::disk::{DiskError, FileId};
use klab_kafka::ids::{Address, ConnId};
use klab_kafka::input::{Command, Input};
use klab_kafka::time::{Duration, Time};
use klab_kafka::timer::Timer;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::VecDeque;
use std::sync::Arc;

/// The world's name for a process: its place in the list of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct ProcessId(pub u32);

/// As serde's own derive would, but in place: it stands in every record of a trace.
impl Serialize for ProcessId {
    #[inline]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_newtype_struct("ProcessId", &self.0)
    }
}

impl ProcessId {
    /// Where it stands in lists of processes.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Where it listens: every process has one address.
    pub fn address(self) -> Address {
        Address(self.0)
    }

    /// Who listens at an address.
    pub fn at(address: Address) -> ProcessId {
        ProcessId(address.0)
    }
}

/// The names of all processes: `broker-1`, `controller-1`, `shop`, `admin`, `reader`.
#[derive(Clone, PartialEq, Debug)]
pub struct Names(Arc<Vec<Arc<str>>>);

impl Names {
    /// Names by process, in order.
    pub fn new(names: Vec<Arc<str>>) -> Names {
        Names(Arc::new(names))
    }

    /// A process's name.
    pub fn of(&self, p: ProcessId) -> &str {
        &self.0[p.index()]
    }

    /// A process's name, if there is such a process: the far end of a forgotten connection has none.
    pub fn get(&self, p: ProcessId) -> Option<&str> {
        self.0.get(p.index()).map(|name| &**name)
    }

    /// The process of a name.
    pub fn find(&self, name: &str) -> Option<ProcessId> {
        let at = self.0.iter().position(|n| &**n == name)?;
        Some(ProcessId(at as u32))
    }

    /// All processes with their names.
    pub fn iter(&self) -> impl Iterator<Item = (ProcessId, &Arc<str>)> {
        self.0
            .iter()
            .enumerate()
            .map(|(i, n)| (ProcessId(i as u32), n))
    }
}

/// A running process.
#[derive(Clone, Debug, Serialize)]
pub enum Process {
    /// A broker.
    Broker(Box<Broker>),
    /// A voter of the metadata quorum.
    Controller(Box<Controller>),
    /// An application with its clients.
    App(Box<App>),
    /// An operator's client.
    Admin(Box<Admin>),
}

impl Process {
    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match self {
            Process::Broker(p) => p.handle(input, cx),
            Process::Controller(p) => p.handle(input, cx),
            Process::App(p) => p.handle(input, cx),
            Process::Admin(p) => p.handle(input, cx),
        }
    }
}

/// A machine: the process on it, if it runs, its disk, its clocks, its alarms, and what waits for it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The process, if it runs.
    pub process: Option<Process>,
    /// Why it does not.
    pub down: Option<Down>,
    /// Its disk, which outlives it.
    pub disk: Disk,
    /// Its clocks.
    pub clocks: Clocks,
    /// How many times it has been started.
    pub starts: u32,
    /// The process has opened its server's socket.
    pub listening: bool,
    /// It can take no input before this.
    pub busy_until: Time,
    /// It takes no input at all.
    pub paused: bool,
    /// It was asked to stop cleanly and has not ended yet.
    pub stopping: bool,
    /// It is started again as soon as it has ended.
    pub restart: bool,
    /// By how much its work is slowed.
    pub slow: u32,
    /// Inputs that have come while it was busy or paused, in (due, number) order.
    pub inbox: VecDeque<Pending>,
    /// Outputs of a step that a pause cut in two.
    pub held: Vec<Output>,
    /// Alarms, by the world's time.
    pub alarms: Alarms,
    /// A wake-up is in the queue.
    pub waking: bool,
}

/// Why a process does not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Down {
    /// Not started yet.
    New,
    /// Killed: what it wrote is in the page cache.
    Killed,
    /// Its machine lost power.
    PowerLost,
    /// It stopped, cleanly or because it could not go on.
    Exited,
}

/// An input that waits.
#[derive(Clone, Debug, Serialize)]
pub struct Pending {
    /// The record that caused it.
    pub cause: u64,
    /// What it is.
    pub input: Coming,
}

/// An input before it is handed over.
#[derive(Clone, Debug, Serialize)]
pub enum Coming {
    /// From a connection.
    Network(ConnId, Arrival),
    /// An alarm.
    Timer(Timer),
    /// A sync is done.
    Synced(FileId, Result<(), DiskError>),
    /// A command.
    Command(Command),
    /// A request to stop.
    Stop,
}

impl Machine {
    /// Whether what comes has to wait: the process is paused, works, or has not come to what came before.
    pub fn is_occupied(&self, now: Time) -> bool {
        self.paused || self.busy_until > now || !self.inbox.is_empty()
    }
}

impl Coming {
    /// How the process sees it.
    pub fn into_input(self) -> Input {
        match self {
            Coming::Network(conn, arrival) => arrival.into_input(conn),
            Coming::Timer(timer) => Input::Timer(timer),
            Coming::Synced(file, result) => Input::Synced { file, result },
            Coming::Command(command) => Input::Command(command),
            Coming::Stop => Input::Stop,
        }
    }
}

/// The alarms of one process, few and often moved: a list beats a tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Alarms {
    set: Vec<(Time, u64, Timer)>,
    next: u64,
    /// The queue's item for the earliest: its number and time.
    pub due: Option<(u64, Time)>,
    /// Time and number of the earliest: looked at after every step. Not part of a digest: the list says it.
    #[serde(skip)]
    first: Option<(Time, u64)>,
}

impl Alarms {
    /// Sets an alarm or moves it.
    pub fn set(&mut self, timer: Timer, at: Time) {
        self.cancel(timer);
        self.set.push((at, self.next, timer));
        // Of several at one time the one set first is the first.
        if self.first.is_none_or(|(first, _)| at < first) {
            self.first = Some((at, self.next));
        }
        self.next += 1;
    }

    /// Takes an alarm back.
    pub fn cancel(&mut self, timer: Timer) {
        if let Some(place) = self.set.iter().position(|(_, _, t)| *t == timer) {
            self.remove(place);
        }
    }

    /// The earliest time.
    pub fn earliest(&self) -> Option<Time> {
        self.first.map(|(at, _)| at)
    }

    /// Takes the earliest alarm that is due by `now`; of several at one time the one set first.
    pub fn take(&mut self, now: Time) -> Option<Timer> {
        let (_, first) = self.first.filter(|(at, _)| *at <= now)?;
        let place = self.set.iter().position(|(_, number, _)| *number == first);
        Some(self.remove(place.expect("the earliest is one of them")))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.set.clear();
        self.due = None;
        self.first = None;
    }

    fn remove(&mut self, place: usize) -> Timer {
        let (_, number, timer) = self.set.remove(place);
        if self.first.is_some_and(|(_, first)| first == number) {
            self.first = self.set.iter().map(|(at, number, _)| (*at, *number)).min();
        }
        timer
    }
}

/// How long handling takes: a few microseconds for any input, more for what it carries.
///
/// The figures are of the order of a broker's request handler on one core; they make queues, slow nodes and latencies
/// mean something and promise nothing about a real machine.
pub fn service_time(bytes: u64) -> Duration {
    Duration(4_000 + bytes * 1_000 / 1024)
}
