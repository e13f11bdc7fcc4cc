//! The one door in: everything a process learns after its start.

use crate::client::admin::calls::Ask;
use crate::disk::{DiskError, FileId};
use crate::ids::{Address, ConnId, CorrelationId};
use crate::protocol::admin::CreatableTopic;
use crate::protocol::{Header, Request, Response};
use crate::timer::Timer;
use serde::Serialize;

/// One thing that happens to a process.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Input {
    /// A connection stands: one that this process asked for, or one that another opened to it.
    Opened {
        /// The connection.
        conn: ConnId,
        /// The other end.
        peer: Address,
    },
    /// A connection is gone; nothing more will come from it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        why: Closed,
    },
    /// A request to answer. The next one on this connection comes only after `reply` or `done` (N-1).
    Request {
        /// On which connection.
        conn: ConnId,
        /// To be named in the reply.
        id: CorrelationId,
        /// Version and client.
        header: Header,
        /// The question.
        request: Request,
    },
    /// The answer to a request of this process.
    Response {
        /// On which connection.
        conn: ConnId,
        /// To which request.
        id: CorrelationId,
        /// The answer.
        response: Response,
    },
    /// A send that was pending is in the socket now.
    Sent {
        /// On which connection.
        conn: ConnId,
        /// Which request.
        id: CorrelationId,
    },
    /// An alarm went off; it is no longer set.
    Timer(Timer),
    /// A sync is done: all accepted writes to the file before it last.
    Synced {
        /// Which file.
        file: FileId,
        /// Whether it worked.
        result: Result<(), DiskError>,
    },
    /// What an operator or a supervisor asks of an admin client or an application.
    Command(Command),
    /// Please stop cleanly.
    Stop,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Closed {
    /// Nobody listens there.
    Refused,
    /// Broken on the way.
    Reset,
    /// The other end closed it, or its process died.
    PeerGone,
    /// Nothing came through for too long.
    TimedOut,
}

/// What an operator or a supervisor asks.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Command {
    /// Create these topics, and try until they exist (an admin client).
    CreateTopics(Vec<CreatableTopic>),
    /// Make this call, once (an admin client).
    Call(Ask),
    /// Begin the workload (an application).
    Start,
    /// No more new work; finish what was begun (an application).
    Finish,
}
