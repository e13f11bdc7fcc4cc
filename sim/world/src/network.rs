//! Connections: two pipes each, first in, first out. The queue knows only the head of a pipe.
//!
//! TCP is the contract: what is sent arrives in order or the connection breaks. Faults act on pipes: a cut holds the
//! head, a black hole swallows, a reset breaks, a slow link stretches, a held message holds all behind it.
//! A server's end gets its next request only after the last one is answered or done with (N-1).
//!
//! Departures from life: one socket buffer per direction stands for both ends' (128 KiB); no congestion control; TCP's
//! own retransmission limits (about 15 minutes) are not reached in a run, so a cut connection outlives the cut.

mod connections;
pub mod harm;
#[cfg(test)]
mod perturbed;

use crate::process::ProcessId;
use crate::queue::{Item, Queue};
use connections::Connections;
use harm::{Catch, Chance, Deed, Spoils};
use klab_kafka::ids::{ConnId, CorrelationId};
use klab_kafka::input::{Closed, Input};
use klab_kafka::protocol::{ErrorCode, Header, Request, Response};
use klab_kafka::time::{Duration, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Where a connection lies. Never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct ConnKey(pub u64);

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum End {
    /// The one that connected.
    Client,
    /// The one that was connected to.
    Server,
}

impl End {
    /// The other end.
    pub fn other(self) -> End {
        match self {
            End::Client => End::Server,
            End::Server => End::Client,
        }
    }
}

/// What fits into the socket buffers of one direction.
const SOCKET_BUFFER: u64 = 128 * 1024;

/// All connections and what spoils them.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    connections: Connections,
    next: u64,
    /// Nanoseconds, drawn anew for each message.
    latency: (u64, u64),
    /// Bytes per second and link, if limited.
    bandwidth: Option<u64>,
    link_free: BTreeMap<(ProcessId, ProcessId), Time>,
    /// How many cuts hold a direction.
    cuts: BTreeMap<(ProcessId, ProcessId), u32>,
    /// How many black holes swallow a direction.
    holes: BTreeMap<(ProcessId, ProcessId), u32>,
    /// By how much messages of a direction are slowed.
    slow: BTreeMap<(ProcessId, ProcessId), u32>,
    catches: Vec<Catch>,
    /// Machines without power: they neither answer nor refuse.
    dark: BTreeSet<ProcessId>,
    #[serde(skip_serializing_if = "Spoils::is_none")]
    spoils: Spoils,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Who connected.
    pub client: ProcessId,
    /// To whom.
    pub server: ProcessId,
    /// Towards the server.
    pub to_server: Pipe,
    /// Towards the client.
    pub to_client: Pipe,
    /// Opened at the client's end.
    pub open: bool,
    /// Which ends still use it.
    client_alive: bool,
    server_alive: bool,
    /// The request that the server works on (N-1).
    pub serving: Option<CorrelationId>,
    next_correlation: u32,
    /// A send that waits for room in the socket.
    pending: Option<CorrelationId>,
    /// The server reads nothing before this.
    #[serde(skip_serializing_if = "is_begin")]
    muted_until: Time,
}

fn is_begin(t: &Time) -> bool {
    *t == Time(0)
}

/// One direction of a connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pipe {
    /// What is under way, the next to arrive first.
    pub messages: VecDeque<Message>,
    buffered: u64,
    last_arrival: Time,
    /// The number of the queue's item for the head.
    due: Option<u64>,
    /// Swallows all that comes: a black hole went over it.
    swallowed: bool,
}

/// Something under way.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// When it left.
    pub departed: Time,
    /// When it arrives, if nothing holds it.
    pub arrives: Time,
    /// The trace record of its sending.
    pub cause: u64,
    /// Held by this catch.
    pub held: Option<u64>,
    /// It waits until a clog is lifted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub clogged: bool,
    size: u64,
    /// What it is.
    pub body: Body,
}

/// What can be under way.
#[derive(Clone, Debug, Serialize)]
pub enum Body {
    /// A wish to connect.
    Syn,
    /// The connection stands.
    Accepted,
    /// A question.
    Request {
        #[doc = "Its number."]
        id: CorrelationId,
        #[doc = "Version and client."]
        header: Header,
        #[doc = "The question."]
        request: Request,
    },
    /// An answer.
    Response {
        #[doc = "Its number."]
        id: CorrelationId,
        #[doc = "The answer."]
        response: Response,
    },
    /// The end.
    Fin(Closed),
    /// A message that was lost too often: the connection breaks.
    GivenUp,
}

/// What arrives at a process.
#[derive(Clone, Debug, Serialize)]
pub enum Arrival {
    /// A connection from a client stands.
    Accepted {
        #[doc = "Who connected."]
        peer: ProcessId,
    },
    /// A connection that the process asked for stands.
    Opened {
        #[doc = "To whom."]
        peer: ProcessId,
    },
    /// A request.
    Request {
        #[doc = "Its number."]
        id: CorrelationId,
        #[doc = "Version and client."]
        header: Header,
        #[doc = "The question."]
        request: Request,
    },
    /// A response.
    Response {
        #[doc = "Its number."]
        id: CorrelationId,
        #[doc = "The answer."]
        response: Response,
    },
    /// The connection is gone.
    Closed(Closed),
    /// A pending send is in the socket.
    Sent(CorrelationId),
}

impl Arrival {
    /// How the process sees it.
    pub fn into_input(self, conn: ConnId) -> Input {
        match self {
            Arrival::Accepted { peer } | Arrival::Opened { peer } => Input::Opened {
                conn,
                peer: peer.address(),
            },
            Arrival::Request {
                id,
                header,
                request,
            } => Input::Request {
                conn,
                id,
                header,
                request,
            },
            Arrival::Response { id, response } => Input::Response { conn, id, response },
            Arrival::Closed(why) => Input::Closed { conn, why },
            Arrival::Sent(id) => Input::Sent { conn, id },
        }
    }
}

/// A head that was taken: at whom, what, and the record that caused it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// At whom it arrives.
    pub process: ProcessId,
    /// On which connection.
    pub conn: ConnId,
    /// What.
    pub arrival: Arrival,
    /// The trace record of its sending.
    pub cause: u64,
    /// How many bytes there are to work on: none but those of requests and responses.
    pub bytes: u64,
    /// It is a request that is answered with an error in the process's place, by this fault.
    pub refused: Option<(u64, ErrorCode)>,
}

/// What a message needs to be on its way.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// When it leaves.
    pub at: Time,
    /// The trace record of its sending.
    pub cause: u64,
    /// Drawn numbers for its way.
    pub chance: Chance,
}

impl Network {
    /// No connections; latency in nanoseconds from .0 to .1, bandwidth in bytes per second.
    pub fn new(latency: (u64, u64), bandwidth: Option<u64>) -> Network {
        Network {
            connections: Connections::default(),
            next: 1,
            latency,
            bandwidth,
            link_free: BTreeMap::new(),
            cuts: BTreeMap::new(),
            holes: BTreeMap::new(),
            slow: BTreeMap::new(),
            catches: Vec::new(),
            dark: BTreeSet::new(),
            spoils: Spoils::default(),
        }
    }

    /// All connections with their names.
    pub fn connections(&self) -> impl Iterator<Item = (ConnKey, &Connection)> {
        self.connections.iter()
    }

    /// One connection.
    pub fn connection(&self, conn: ConnId) -> Option<&Connection> {
        self.connections.get(ConnKey(conn.0))
    }

    /// A name for a connection that is being opened.
    pub fn reserve(&mut self, client: ProcessId, server: ProcessId) -> ConnId {
        let key = self.next;
        self.next += 1;
        let connection = Connection {
            client,
            server,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            open: false,
            client_alive: true,
            server_alive: true,
            serving: None,
            next_correlation: 0,
            pending: None,
            muted_until: Time(0),
        };
        self.connections.insert(ConnKey(key), connection);
        ConnId(key)
    }

    /// The number of the next request on a connection, and whether the socket takes it at once.
    pub fn accept_send(&mut self, conn: ConnId, size: u64) -> (CorrelationId, bool) {
        let Some(c) = self.connections.get_mut(ConnKey(conn.0)) else {
            return (CorrelationId(0), false);
        };
        let id = CorrelationId(c.next_correlation);
        c.next_correlation += 1;
        let fits =
            c.open && (c.to_server.buffered == 0 || c.to_server.buffered + size <= SOCKET_BUFFER);
        if !fits {
            c.pending = Some(id);
        }
        (id, fits)
    }

    /// Sends the wish to connect.
    pub fn connect(&mut self, conn: ConnId, departure: Departure, queue: &mut Queue) {
        self.post(conn, End::Server, Body::Syn, 64, departure, queue);
    }

    /// Sends a request of so many bytes.
    pub fn request(
        &mut self,
        conn: ConnId,
        body: Body,
        size: u64,
        departure: Departure,
        queue: &mut Queue,
    ) {
        self.post(conn, End::Server, body, size, departure, queue);
    }

    /// Sends a response of so many bytes; the server may read its next request from `departure.at` on.
    pub fn reply(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        (response, size): (Response, u64),
        departure: Departure,
        queue: &mut Queue,
    ) {
        self.post(
            conn,
            End::Client,
            Body::Response { id, response },
            size,
            departure,
            queue,
        );
        self.unmute(conn, id, departure.at, queue);
    }

    /// No answer is owed: the server may read its next request from `at` on (acks=0).
    pub fn unmute(&mut self, conn: ConnId, id: CorrelationId, at: Time, queue: &mut Queue) {
        let key = ConnKey(conn.0);
        if let Some(c) = self.connections.get_mut(key) {
            if c.serving == Some(id) {
                c.serving = None;
                self.schedule(key, End::Server, at, queue);
            }
        }
    }

    /// One end closes: the other learns of it behind what is under way.
    pub fn close(
        &mut self,
        conn: ConnId,
        closer: ProcessId,
        why: Closed,
        departure: Departure,
        queue: &mut Queue,
    ) {
        let key = ConnKey(conn.0);
        let Some(c) = self.connections.get_mut(key) else {
            return;
        };
        let end = if c.client == closer {
            End::Client
        } else {
            End::Server
        };
        match end {
            End::Client => {
                c.client_alive = false;
                c.to_client.messages.clear();
            }
            End::Server => {
                c.server_alive = false;
                c.serving = None;
                c.to_server.messages.clear();
            }
        }
        self.post(conn, end.other(), Body::Fin(why), 0, departure, queue);
        self.forget_if_dead(key);
    }

    /// Breaks a connection: what is under way is lost, and both ends learn of it one latency later.
    pub fn reset(&mut self, key: ConnKey, departure: Departure, queue: &mut Queue) {
        let Some(c) = self.connections.get_mut(key) else {
            return;
        };
        c.serving = None;
        for pipe in [&mut c.to_server, &mut c.to_client] {
            pipe.messages.clear();
            pipe.buffered = 0;
            pipe.last_arrival = Time(0);
        }
        self.post(
            ConnId(key.0),
            End::Client,
            Body::Fin(Closed::Reset),
            0,
            departure,
            queue,
        );
        self.post(
            ConnId(key.0),
            End::Server,
            Body::Fin(Closed::Reset),
            0,
            departure,
            queue,
        );
    }

    /// Takes the head towards an end, if this is the item that was set for it. `chance` is for the way of what the system
    /// itself answers.
    #[allow(clippy::too_many_arguments)] // One call site, and each is a different thing of the world.
    pub fn take(
        &mut self,
        key: ConnKey,
        end: End,
        number: u64,
        now: Time,
        listens: impl Fn(ProcessId) -> bool,
        chance: Chance,
        queue: &mut Queue,
    ) -> Option<Taken> {
        let c = self.connections.get_mut(key)?;
        let pipe = c.pipe(end);
        if pipe.due != Some(number) {
            return None;
        }
        pipe.due = None;
        let message = pipe.messages.pop_front()?;
        pipe.buffered = pipe.buffered.saturating_sub(message.size);
        let swallowed = pipe.swallowed;
        let (process, peer) = match end {
            End::Server => (c.server, c.client),
            End::Client => (c.client, c.server),
        };
        let alive = match end {
            End::Server => c.server_alive,
            End::Client => c.client_alive,
        };
        let (mut bytes, mut refused) = (0, None);
        // What the system itself answers has the cause of what it answers.
        let answer = Departure {
            at: now,
            cause: message.cause,
            chance,
        };
        let arrival = if swallowed || !alive || self.dark.contains(&process) {
            None
        } else {
            match message.body {
                Body::Syn if listens(process) && !self.is_refusing(process) => {
                    let answer = Departure {
                        at: now + self.accepts_after(process),
                        ..answer
                    };
                    self.post(
                        ConnId(key.0),
                        End::Client,
                        Body::Accepted,
                        64,
                        answer,
                        queue,
                    );
                    Some(Arrival::Accepted { peer })
                }
                Body::Syn => {
                    if let Some(c) = self.connections.get_mut(key) {
                        c.server_alive = false;
                    }
                    self.post(
                        ConnId(key.0),
                        End::Client,
                        Body::Fin(Closed::Refused),
                        0,
                        answer,
                        queue,
                    );
                    None
                }
                Body::Accepted => {
                    self.connections.get_mut(key)?.open = true;
                    Some(Arrival::Opened { peer })
                }
                Body::Request {
                    id,
                    header,
                    request,
                } => {
                    bytes = message.size;
                    let c = match self.waylaid(peer, process, &request) {
                        None => self.connections.get_mut(key)?,
                        Some((fault, Deed::Answer(error))) => {
                            refused = Some((fault, error));
                            self.connections.get_mut(key)?
                        }
                        Some((_, Deed::Throttle(by))) => {
                            let c = self.connections.get_mut(key)?;
                            c.muted_until = now + by;
                            c
                        }
                    };
                    if refused.is_none() {
                        c.serving = Some(id);
                    }
                    Some(Arrival::Request {
                        id,
                        header,
                        request,
                    })
                }
                Body::Response { id, response } => {
                    bytes = message.size;
                    Some(Arrival::Response { id, response })
                }
                Body::GivenUp => {
                    self.reset(key, answer, queue);
                    None
                }
                Body::Fin(why) => {
                    let c = self.connections.get_mut(key)?;
                    match end {
                        End::Server => c.server_alive = false,
                        End::Client => c.client_alive = false,
                    }
                    if matches!(why, Closed::Reset | Closed::Refused) {
                        c.open = false;
                    }
                    Some(Arrival::Closed(why))
                }
            }
        };
        self.schedule(key, end, now, queue);
        self.forget_if_dead(key);
        Some(Taken {
            process,
            conn: ConnId(key.0),
            arrival: arrival?,
            cause: message.cause,
            bytes,
            refused,
        })
    }

    /// From whom to whom the system itself answers the next message, if it does: who wants to connect, and whose message was lost
    /// for good.
    pub fn answers(&self, key: ConnKey, end: End) -> Option<(ProcessId, ProcessId)> {
        let c = self.connections.get(key)?;
        let (pipe, from, to) = match end {
            End::Server => (&c.to_server, c.server, c.client),
            End::Client => (&c.to_client, c.client, c.server),
        };
        let next = pipe.messages.front()?;
        matches!(next.body, Body::Syn | Body::GivenUp).then_some((from, to))
    }

    /// A pending send of this connection's client that fits into the socket now.
    pub fn take_sent(&mut self, key: ConnKey) -> Option<Taken> {
        let c = self.connections.get_mut(key)?;
        let last = c.to_server.messages.back().map_or(0, |m| m.size);
        if !c.open || c.to_server.buffered > SOCKET_BUFFER.max(last) {
            return None;
        }
        let id = c.pending.take()?;
        Some(Taken {
            process: c.client,
            conn: ConnId(key.0),
            arrival: Arrival::Sent(id),
            cause: 0,
            bytes: 0,
            refused: None,
        })
    }

    /// Connections between two processes, in the order they were made.
    pub fn between(&self, a: ProcessId, b: ProcessId) -> Vec<ConnKey> {
        self.connections
            .iter()
            .filter(|(_, c)| (c.client, c.server) == (a, b) || (c.client, c.server) == (b, a))
            .map(|(k, _)| k)
            .collect()
    }

    /// Connections of a process, in the order they were made.
    pub fn of(&self, p: ProcessId) -> Vec<ConnKey> {
        self.connections
            .iter()
            .filter(|(_, c)| c.client == p || c.server == p)
            .map(|(k, _)| k)
            .collect()
    }

    /// A machine loses power: it neither answers nor refuses; its ends of connections are forgotten without a word.
    pub fn darken(&mut self, p: ProcessId) {
        self.dark.insert(p);
    }

    /// Power is back: what others still hold open to the machine is broken.
    pub fn lighten(
        &mut self,
        p: ProcessId,
        departures: impl FnMut(ProcessId, ProcessId) -> Departure,
        queue: &mut Queue,
    ) {
        if !self.dark.remove(&p) {
            return;
        }
        let mut departures = departures;
        for key in self.of(p) {
            let Some(c) = self.connections.get_mut(key) else {
                continue;
            };
            let (end, peer) = if c.client == p {
                (End::Server, c.server)
            } else {
                (End::Client, c.client)
            };
            if end == End::Server {
                c.client_alive = false;
            } else {
                c.server_alive = false;
                c.serving = None;
            }
            c.pipe(end).messages.clear();
            self.post(
                ConnId(key.0),
                end,
                Body::Fin(Closed::Reset),
                0,
                departures(p, peer),
                queue,
            );
            self.forget_if_dead(key);
        }
    }

    fn post(
        &mut self,
        conn: ConnId,
        end: End,
        body: Body,
        size: u64,
        departure: Departure,
        queue: &mut Queue,
    ) {
        let key = ConnKey(conn.0);
        let Some(c) = self.connections.get(key) else {
            return;
        };
        let (from, to, alive) = match end {
            End::Server => (c.client, c.server, c.server_alive),
            End::Client => (c.server, c.client, c.client_alive),
        };
        if !alive {
            return;
        }
        let caught = self.caught(from, to, &body);
        let departed = self.leave(from, to, size, departure.at);
        let is_end = matches!(body, Body::Fin(_));
        let (way, body) = match self.way_of(from, to, departure.chance, is_end) {
            Some(way) => (way, body),
            None => (harm::GIVEN_UP, Body::GivenUp),
        };
        let hole = self.holes.contains_key(&(from, to));
        let clogged = self.spoils.clogs.contains_key(&(from, to));
        let c = self.connections.get_mut(key).expect("just found");
        let pipe = c.pipe(end);
        pipe.swallowed |= hole;
        let arrives = (departed + way).max(pipe.last_arrival);
        pipe.last_arrival = arrives;
        pipe.buffered += size;
        let held = caught.and_then(|(id, lose)| (!lose).then_some(id));
        pipe.messages.push_back(Message {
            departed,
            arrives,
            cause: departure.cause,
            held,
            clogged,
            size,
            body,
        });
        if let Some((_, true)) = caught {
            // A lost message takes its connection with it: TCP has no holes.
            return self.reset(key, departure, queue);
        }
        self.schedule(key, end, departure.at, queue);
    }

    /// How long a message is on its way; none if it is lost too often. What the system itself says of an end is never lost.
    fn way_of(
        &self,
        from: ProcessId,
        to: ProcessId,
        chance: Chance,
        is_end: bool,
    ) -> Option<Duration> {
        let own = self.spoils.latencies.get(&(from, to));
        let (min, max) = own.copied().unwrap_or(self.latency);
        let mut latency = min + crate::streams::scale(chance.latency, max - min + 1);
        if let Some(slow) = self.spoils.tail.and_then(|t| t.draw(chance.tail, max)) {
            latency = slow;
        }
        let latency = latency * u64::from(self.slow.get(&(from, to)).copied().unwrap_or(1));
        let ppm = match is_end {
            true => 0,
            false => self.loss(from, to),
        };
        let later = harm::retransmitted(harm::losses(chance.loss, ppm))?;
        Some(Duration(latency) + later)
    }

    /// When the last byte has left: machines and links have a limited bandwidth.
    fn leave(&mut self, from: ProcessId, to: ProcessId, size: u64, at: Time) -> Time {
        let mut at = at;
        if let Some((bandwidth, free)) = self.spoils.cards.get_mut(&from) {
            at = at.max(*free) + transfer(size, *bandwidth);
            *free = at;
        }
        let own = self.spoils.bandwidths.get(&(from, to)).copied();
        let Some(bandwidth) = own.or(self.bandwidth) else {
            return at;
        };
        let free = self.link_free.entry((from, to)).or_default();
        *free = at.max(*free) + transfer(size, bandwidth);
        *free
    }

    fn schedule(&mut self, key: ConnKey, end: End, now: Time, queue: &mut Queue) {
        let Some(c) = self.connections.get_mut(key) else {
            return;
        };
        // Mostly what has arrived was all.
        if c.pipe(end).messages.is_empty() {
            return;
        }
        let (from, to) = match end {
            End::Server => (c.client, c.server),
            End::Client => (c.server, c.client),
        };
        let muted = end == End::Server && c.serving.is_some();
        let from_then_on = match end {
            End::Server => c.muted_until,
            End::Client => Time(0),
        };
        let pipe = c.pipe(end);
        if pipe.due.is_some() || self.cuts.contains_key(&(from, to)) {
            return;
        }
        let head = pipe.messages.front().expect("just seen");
        if head.held.is_some()
            || head.clogged
            || (muted
                && matches!(
                    head.body,
                    Body::Request { .. } | Body::Fin(Closed::PeerGone)
                ))
        {
            return;
        }
        let at = head.arrives.max(now).max(from_then_on);
        pipe.due = Some(queue.push(at, Item::Deliver(key, end)));
    }

    fn wake(&mut self, from: ProcessId, to: ProcessId, at: Time, queue: &mut Queue) {
        let waiting: Vec<(ConnKey, End)> = pipes(&mut self.connections, from, to)
            .map(|(k, _)| k)
            .collect();
        for (key, end) in waiting {
            self.schedule(key, end, at, queue);
        }
    }

    fn forget_if_dead(&mut self, key: ConnKey) {
        let dead = self
            .connections
            .get(key)
            .is_some_and(|c| !c.client_alive && !c.server_alive);
        if dead {
            self.connections.remove(key);
        }
    }
}

impl Connection {
    fn pipe(&mut self, end: End) -> &mut Pipe {
        match end {
            End::Server => &mut self.to_server,
            End::Client => &mut self.to_client,
        }
    }
}

/// The pipes that carry from one process to another.
fn pipes(
    connections: &mut Connections,
    from: ProcessId,
    to: ProcessId,
) -> impl Iterator<Item = ((ConnKey, End), &mut Pipe)> {
    connections.iter_mut().filter_map(move |(key, c)| {
        if (c.client, c.server) == (from, to) {
            Some(((key, End::Server), &mut c.to_server))
        } else if (c.server, c.client) == (from, to) {
            Some(((key, End::Client), &mut c.to_client))
        } else {
            None
        }
    })
}

/// How long so many bytes take.
fn transfer(size: u64, bandwidth: u64) -> Duration {
    let ns = u128::from(size) * 1_000_000_000 / u128::from(bandwidth.max(1));
    Duration(u64::try_from(ns).unwrap_or(u64::MAX))
}
