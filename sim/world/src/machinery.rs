//! The machine under a process during one step: the world's side of [`Host`].

use crate::network::Network;
use crate::process::{Machine, Names, ProcessId};
use crate::streams::{Stream, Streams};
use crate::world::World;
use klab_kafka::context::{Context, Host, Output, Purpose, Sending};
use klab_kafka::disk::{DiskError, FileId, Write};
use klab_kafka::ids::{Address, ConnId};
use klab_kafka::time::{Time, Timestamp};

impl World {
    /// Lets `work` act as process `p` does, at this moment; what it wants done is pushed into `outputs`.
    pub(crate) fn with_machine<R>(
        &mut self,
        p: ProcessId,
        outputs: &mut Vec<Output>,
        work: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        work(&mut Context::new(&mut self.machinery(p), outputs))
    }

    /// What process `p` finds around it at this moment.
    pub(crate) fn machinery(&mut self, p: ProcessId) -> Machinery<'_> {
        let machine = &self.machines[p.index()];
        Machinery {
            me: p,
            now: machine.clocks.monotonic(self.now),
            wall: machine.clocks.wall(self.now),
            machine,
            network: &mut self.network,
            streams: &mut self.streams,
            names: &self.names,
        }
    }
}

/// What a process finds around it during one step.
pub(crate) struct Machinery<'a> {
    me: ProcessId,
    now: Time,
    wall: Timestamp,
    machine: &'a Machine,
    network: &'a mut Network,
    streams: &'a mut Streams,
    names: &'a Names,
}

impl Host for Machinery<'_> {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> Timestamp {
        self.wall
    }

    fn draw(&mut self, purpose: Purpose) -> u64 {
        self.streams
            .draw(Stream::Process(self.me, purpose), self.names)
    }

    fn new_connection(&mut self, to: Address) -> ConnId {
        self.network.reserve(self.me, ProcessId::at(to))
    }

    fn accept_send(&mut self, conn: ConnId, size: u64) -> Sending {
        match self.network.accept_send(conn, size) {
            (id, true) => Sending::Done(id),
            (id, false) => Sending::Pending(id),
        }
    }

    fn accept_write(&mut self, file: FileId, write: &Write) -> Result<(), DiskError> {
        self.machine.disk.accept(file, write)
    }
}
