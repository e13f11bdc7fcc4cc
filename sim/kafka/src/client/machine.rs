//! A machine under a role in tests: clocks that a test sets, draws from the middle, sockets that take all or nothing.

use crate::context::{Context, Host, Output, Purpose, Sending};
use crate::disk::{DiskError, FileId, Write};
use crate::ids::{Address, ConnId, CorrelationId};
use crate::time::{Duration, Time, Timestamp};
use std::collections::BTreeMap;

/// The machine of one process under test.
pub(crate) struct Machine {
    /// The monotonic clock; the wall clock runs with it, from [`Machine::EPOCH`].
    pub now: Time,
    /// What every draw gives: the middle, unless a test says otherwise.
    pub drawn: u64,
    /// Sends stay pending.
    pub socket_full: bool,
    connections: u64,
    requests: BTreeMap<ConnId, u32>,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            now: Time(0),
            drawn: 1 << 63,
            socket_full: false,
            connections: 0,
            requests: BTreeMap::new(),
        }
    }
}

impl Machine {
    /// The wall clock at the start.
    pub const EPOCH: Timestamp = Timestamp(1_767_225_600_000);

    /// Lets time go by.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// One step of a role: what it returned and what it put out.
    pub fn step<R>(&mut self, work: impl FnOnce(&mut Context<'_>) -> R) -> (R, Vec<Output>) {
        let mut outputs = Vec::new();
        let result = work(&mut Context::new(self, &mut outputs));
        (result, outputs)
    }
}

impl Host for Machine {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> Timestamp {
        Timestamp(Machine::EPOCH.0 + self.now.since(Time(0)).as_millis() as i64)
    }

    fn draw(&mut self, _: Purpose) -> u64 {
        self.drawn
    }

    fn new_connection(&mut self, _: Address) -> ConnId {
        self.connections += 1;
        ConnId(self.connections - 1)
    }

    fn accept_send(&mut self, conn: ConnId, _: u64) -> Sending {
        let next = self.requests.entry(conn).or_insert(0);
        let id = CorrelationId(*next);
        *next += 1;
        if self.socket_full {
            Sending::Pending(id)
        } else {
            Sending::Done(id)
        }
    }

    fn accept_write(&mut self, _: FileId, _: &Write) -> Result<(), DiskError> {
        Ok(())
    }
}
