//! The one door out: all that a process may learn at once and all that it may do.
//!
//! Outputs are kept in order and carried out one by one. Only roles, and the network client that works for them, name
//! [`Context`]; parts return values.

use crate::disk::{DiskError, FileId, Write};
use crate::event::Event;
use crate::ids::{Address, ClientId, ConnId, CorrelationId};
use crate::protocol::{Header, Request, Response};
use crate::time::{Time, Timestamp};
use crate::timer::Timer;
use serde::Serialize;

/// The machine under a process: what must be answered at once.
pub trait Host {
    /// The monotonic clock.
    fn now(&self) -> Time;
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// A drawn number.
    fn draw(&mut self, purpose: Purpose) -> u64;
    /// A name for a connection that is being opened.
    fn new_connection(&mut self, to: Address) -> ConnId;
    /// A name for the next request on a connection, and whether the socket takes `size` bytes at once.
    fn accept_send(&mut self, conn: ConnId, size: u64) -> Sending;
    /// Whether the disk takes a write; earlier writes of this step count.
    fn accept_write(&mut self, file: FileId, write: &Write) -> Result<(), DiskError>;
}

/// What a number is drawn for. One stream per process and purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Purpose {
    /// Raft's election timeout (K-3, §3.1).
    ElectionTimeout,
    /// Raft's back-off after a lost election or a resignation.
    ElectionBackoff,
    /// Which node is asked first, the start of the walk for the least loaded one (N-7).
    LeastLoadedNode(ClientId),
    /// Jitter of a retry (N-4).
    RetryBackoff(ClientId),
    /// Jitter of a reconnect (N-4).
    ReconnectBackoff(ClientId),
    /// Jitter of the time that a connection may take to open.
    ConnectionSetup(ClientId),
    /// The next sticky partition (P-4).
    StickyPartition(ClientId),
    /// Where replica placement starts (K-22).
    ReplicaPlacement,
    /// A topic's UUID.
    TopicId,
    /// A process's incarnation.
    Incarnation,
    /// When a segment rolls (`segment.jitter.ms`).
    SegmentJitter,
    /// An application's own chance: keys, sizes, pauses. The number is the application's.
    App(u16),
}

/// How far a send came at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Sending {
    /// In the socket.
    Done(CorrelationId),
    /// The socket is full or not yet open; `Input::Sent` follows.
    Pending(CorrelationId),
}

impl Sending {
    /// The request's name on its connection.
    pub fn id(self) -> CorrelationId {
        match self {
            Sending::Done(id) | Sending::Pending(id) => id,
        }
    }
}

/// One thing a process does.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[allow(missing_docs)] // The methods of `Context` say what each is.
pub enum Output {
    Listen,
    Connect {
        conn: ConnId,
        to: Address,
    },
    Close {
        conn: ConnId,
    },
    Send {
        conn: ConnId,
        id: CorrelationId,
        header: Header,
        request: Request,
    },
    Reply {
        conn: ConnId,
        id: CorrelationId,
        response: Response,
    },
    Done {
        conn: ConnId,
        id: CorrelationId,
    },
    Write {
        file: FileId,
        write: Write,
    },
    Sync {
        file: FileId,
    },
    SetTimer {
        timer: Timer,
        at: Time,
    },
    CancelTimer {
        timer: Timer,
    },
    Tell(Event),
    Exit(Exit),
}

/// Why a process ends itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Exit {
    /// Asked to, and done cleanly.
    Stopped,
    /// It cannot go on: Kafka's `Exit.halt`.
    Halted(Halt),
}

/// What made it impossible to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Halt {
    /// A disk failed.
    Disk(DiskError),
    /// Not registered within `initial.broker.registration.timeout.ms`.
    NotRegistered,
    /// The metadata log's replica found a promise of its quorum broken.
    Raft(crate::raft::Fault),
}

/// What a role works with during one step.
pub struct Context<'a> {
    host: &'a mut dyn Host,
    outputs: &'a mut Vec<Output>,
    /// The clocks stand still during a step, and are asked for often.
    now: Time,
    wall: Timestamp,
}

impl<'a> Context<'a> {
    /// A step's context: outputs are pushed behind those already there.
    #[inline]
    pub fn new(host: &'a mut dyn Host, outputs: &'a mut Vec<Output>) -> Context<'a> {
        let (now, wall) = (host.now(), host.wall());
        Context {
            host,
            outputs,
            now,
            wall,
        }
    }

    /// This machine's monotonic clock.
    pub fn now(&self) -> Time {
        self.now
    }

    /// This machine's wall clock, in ms since 1970; may step.
    pub fn wall(&self) -> Timestamp {
        self.wall
    }

    /// A number drawn uniformly from all u64.
    pub fn draw(&mut self, purpose: Purpose) -> u64 {
        self.host.draw(purpose)
    }

    /// A number drawn uniformly from `[0, below)`, by widening multiplication.
    pub fn draw_below(&mut self, purpose: Purpose, below: u64) -> u64 {
        ((self.host.draw(purpose) as u128 * below as u128) >> 64) as u64
    }

    /// Opens the server's socket: until then, in each life of the process, the machine refuses who connects to it.
    pub fn listen(&mut self) {
        self.outputs.push(Output::Listen);
    }

    /// Opens a connection: `Opened` or `Closed` follows.
    pub fn connect(&mut self, to: Address) -> ConnId {
        let conn = self.host.new_connection(to);
        self.outputs.push(Output::Connect { conn, to });
        conn
    }

    /// Closes a connection; nothing more comes from it.
    pub fn close(&mut self, conn: ConnId) {
        self.outputs.push(Output::Close { conn });
    }

    /// Sends a request. One unfinished send per connection.
    pub fn send(&mut self, conn: ConnId, header: Header, request: Request) -> Sending {
        let sending = self.host.accept_send(conn, request.size());
        let id = sending.id();
        self.outputs.push(Output::Send {
            conn,
            id,
            header,
            request,
        });
        sending
    }

    /// Answers a request; the next one on that connection may come.
    pub fn reply(&mut self, conn: ConnId, id: CorrelationId, response: Response) {
        self.outputs.push(Output::Reply { conn, id, response });
    }

    /// No answer is owed (acks=0); the next request on that connection may come.
    pub fn done(&mut self, conn: ConnId, id: CorrelationId) {
        self.outputs.push(Output::Done { conn, id });
    }

    /// Writes into the page cache. Full and dead disks answer at once; an accepted write is carried out whatever comes.
    pub fn write(&mut self, file: FileId, write: Write) -> Result<(), DiskError> {
        self.host.accept_write(file, &write)?;
        self.outputs.push(Output::Write { file, write });
        Ok(())
    }

    /// Makes earlier writes to the file last: `Synced` follows.
    pub fn sync(&mut self, file: FileId) {
        self.outputs.push(Output::Sync { file });
    }

    /// Sets an alarm, or moves one that is set.
    pub fn set_timer(&mut self, timer: Timer, at: Time) {
        self.outputs.push(Output::SetTimer { timer, at });
    }

    /// Takes an alarm back.
    pub fn cancel_timer(&mut self, timer: Timer) {
        self.outputs.push(Output::CancelTimer { timer });
    }

    /// States a fact for those who watch. Telling never changes behaviour.
    pub fn tell(&mut self, event: Event) {
        self.outputs.push(Output::Tell(event));
    }

    /// This process ends here: later outputs of the step are dropped, its connections close.
    pub fn exit(&mut self, why: Exit) {
        self.outputs.push(Output::Exit(why));
    }
}
