//! A client of one broker that asks and takes the answer, request by request: it works on a copy of the broker as it stands,
//! so that the run goes on as if nobody had asked.

use klab_kafka::broker::Broker;
use klab_kafka::context::{Context, Host, Output, Purpose, Sending};
use klab_kafka::disk::{DiskError, FileId, Write};
use klab_kafka::ids::{Address, ConnId, CorrelationId};
use klab_kafka::input::Input;
use klab_kafka::protocol::{Header, Request, Response};
use klab_kafka::time::{Time, Timestamp};
use tests::Cluster;

/// Nobody else's connection.
const CONN: ConnId = ConnId(1 << 40);

/// The copy, and the client's place in the conversation.
pub struct Wire {
    broker: Broker,
    machine: Machine,
    next: u32,
}

/// Clocks that stand still; disks and sockets that take everything.
struct Machine {
    now: Time,
    wall: Timestamp,
    sent: u32,
}

impl Wire {
    /// A connection to a broker by its number.
    pub fn to(cluster: &Cluster, number: i32) -> Wire {
        let p = cluster.process(&format!("broker-{number}"));
        let (clocks, now) = (cluster.view().machine(p).clocks, cluster.world.now());
        let mut wire = Wire {
            broker: cluster.broker(p).clone(),
            machine: Machine {
                now: clocks.monotonic(now),
                wall: clocks.wall(now),
                sent: 0,
            },
            next: 0,
        };
        wire.step(Input::Opened {
            conn: CONN,
            peer: Address(1 << 20),
        });
        wire
    }

    /// Asks, and takes the answer that comes at once.
    pub fn ask(&mut self, request: Request) -> Response {
        let id = CorrelationId(self.next);
        self.next += 1;
        let api = request.api();
        let outputs = self.step(Input::Request {
            conn: CONN,
            id,
            header: Header::of(&request),
            request,
        });
        let reply = outputs.into_iter().find_map(|output| match output {
            Output::Reply {
                conn: CONN,
                id: to,
                response,
            } if to == id => Some(response),
            _ => None,
        });
        reply.unwrap_or_else(|| panic!("{api:?} is not answered at once"))
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        let mut cx = Context::new(&mut self.machine, &mut outputs);
        self.broker.handle(input, &mut cx);
        outputs
    }
}

impl Host for Machine {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> Timestamp {
        self.wall
    }

    fn draw(&mut self, _: Purpose) -> u64 {
        1 << 63
    }

    fn new_connection(&mut self, _: Address) -> ConnId {
        self.sent += 1;
        ConnId(CONN.0 + u64::from(self.sent))
    }

    fn accept_send(&mut self, _: ConnId, _: u64) -> Sending {
        self.sent += 1;
        Sending::Done(CorrelationId(1_000_000 + self.sent))
    }

    fn accept_write(&mut self, _: FileId, _: &Write) -> Result<(), DiskError> {
        Ok(())
    }
}
