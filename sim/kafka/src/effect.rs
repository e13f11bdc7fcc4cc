//! The buffer that a role lends its parts: what they want done, in order. A role carries it out through its context.

use crate::context::Context;
use crate::disk::{DiskError, FileId, Write};
use crate::event::Event;
use crate::ids::{ConnId, CorrelationId, NodeId};
use crate::protocol::{Request, Response};
use serde::Serialize;
use smallvec::SmallVec;

/// One wish of a part.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Effect {
    /// Write to a file.
    Write(FileId, Write),
    /// Sync a file.
    Sync(FileId),
    /// State a fact.
    Tell(Event),
    /// Ask another node. The answer comes back to the part by the kind of its request.
    Send(NodeId, Request),
    /// Answer a parked request.
    Reply(ConnId, CorrelationId, Response),
}

/// Wishes in order.
pub type Effects = Vec<Effect>;

/// Requests to other nodes: mostly one, and then it lies in no heap.
pub type Sends = SmallVec<[(NodeId, Request); 1]>;

/// Carries out everything but `Send`, which it gives to the role, whose network client knows the way.
///
/// # Errors
/// The first write that the disk refused; what came before it is done, what comes after is dropped.
pub fn carry_out(
    effects: impl IntoIterator<Item = Effect>,
    cx: &mut Context<'_>,
    mut send: impl FnMut(NodeId, Request),
) -> Result<(), DiskError> {
    for effect in effects {
        match effect {
            Effect::Write(file, write) => cx.write(file, write)?,
            Effect::Sync(file) => cx.sync(file),
            Effect::Tell(event) => cx.tell(event),
            Effect::Send(to, request) => send(to, request),
            Effect::Reply(conn, id, response) => cx.reply(conn, id, response),
        }
    }
    Ok(())
}
