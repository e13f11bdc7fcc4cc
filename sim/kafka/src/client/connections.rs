//! The network hand of a role: Kafka's NetworkClient with its ClusterConnectionStates and InFlightRequests. It works for
//! a role and so may name `Context`. Producers, consumers, admin clients, replica fetchers, the brokers' channels to
//! the controller and Raft each own one; two of them share no connection (N-2).
//!
//! It keeps: at most one connection per node; back-off before a reconnect (N-4); a limit on the time a connection may
//! take to open; at most `max_in_flight` unanswered requests per connection, answered in the order in which they were
//! sent; no second send before the first is in the socket; a request older than the request timeout takes its whole
//! connection down, and everything in flight on it (N-3); a connection unused for `max_idle` is closed.
//!
//! Left out: the ApiVersions exchange (a connection is usable once it is open, and the back-off is reset then, not
//! after a first answer), throttling, several addresses per node, authentication. Kafka measures these spans on the
//! wall clock, in ms; here they are measured on the monotonic clock: a real client's timeouts jump when its wall clock
//! does, these do not.

use crate::client::backoff::Backoff;
use crate::context::{Context, Purpose, Sending};
use crate::event::{ClientEvent, Event};
use crate::ids::{Address, ClientId, ConnId, CorrelationId, NodeId};
use crate::input::Input;
use crate::protocol::{ErrorCode, Header, Request, Response};
use crate::sorted::Sorted;
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;

/// Kafka's settings of a network client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkSettings {
    /// `request.timeout.ms` (N-3).
    pub request_timeout: Duration,
    /// `reconnect.backoff.ms` (N-4).
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: u32,
    /// `socket.connection.setup.timeout.ms`.
    pub setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`.
    pub setup_timeout_max: Duration,
    /// `connections.max.idle.ms`.
    pub max_idle: Duration,
}

impl Default for NetworkSettings {
    /// Kafka's defaults for its clients.
    fn default() -> NetworkSettings {
        NetworkSettings {
            request_timeout: Duration::secs(30),
            reconnect_backoff: Duration::millis(50),
            reconnect_backoff_max: Duration::secs(1),
            max_in_flight: 5,
            setup_timeout: Duration::secs(10),
            setup_timeout_max: Duration::secs(30),
            max_idle: Duration::secs(540),
        }
    }
}

/// Connections by node, and the requests in flight on them. `T` is what the owner remembers of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Connections<T> {
    client: ClientId,
    settings: NetworkSettings,
    nodes: Sorted<NodeId, Node<T>>,
    /// Nothing is due before this, so that nothing need be looked through: as a rule a deadline moves away, as answers come.
    #[serde(skip)]
    calm_until: Time,
}

#[derive(Clone, Debug, Serialize)]
struct Node<T> {
    address: Address,
    state: NodeState<T>,
    /// When it was last tried, or lost.
    last_attempt: Option<Time>,
    /// Losses since it was last open: the exponent of the reconnect back-off.
    failed_attempts: u32,
    /// Connections since then that never opened: the exponent of the set-up timeout.
    failed_setups: u32,
}

/// The legal transitions, with their causes:
/// - Disconnected -> Connecting: somebody wants to send and the back-off is over;
/// - Connecting -> Ready: opened;
/// - Connecting -> Disconnected: refused, or not open within the set-up timeout;
/// - Ready -> Disconnected: broken, a request timed out, idle, or the owner's wish.
#[derive(Clone, Debug, Serialize)]
enum NodeState<T> {
    Disconnected {
        /// The back-off ends here.
        until: Time,
    },
    Connecting {
        conn: ConnId,
        /// The set-up timeout ends here.
        deadline: Time,
    },
    Ready {
        conn: ConnId,
        /// The oldest first.
        in_flight: VecDeque<InFlight<T>>,
        /// When something was last sent or received.
        last_used: Time,
    },
}

#[derive(Clone, Debug, Serialize)]
struct InFlight<T> {
    id: CorrelationId,
    handed_over: Time,
    /// In the socket.
    sent: bool,
    /// An answer will come.
    answered: bool,
    tag: T,
}

/// What the owner learns.
#[derive(Clone, PartialEq, Debug)]
pub enum Happened<T> {
    /// A node can be sent to now.
    Ready(NodeId),
    /// A request that asks for no answer is in the socket: that is all that will ever be known of it.
    Sent(NodeId, T),
    /// A request is answered.
    Answered(NodeId, T, Response),
    /// A request will not be answered: REQUEST_TIMED_OUT or NETWORK_EXCEPTION (N-3).
    Failed(NodeId, T, ErrorCode),
    /// A node is not connected any more (after the failures of its requests), or could not be.
    Disconnected(NodeId),
}

/// What one input led to: mostly one thing, and then it lies in no heap.
pub type Happenings<T> = SmallVec<[Happened<T>; 1]>;

impl<T> Connections<T> {
    /// No connections yet. The client id names the draws.
    pub fn new(client: ClientId, settings: NetworkSettings) -> Connections<T> {
        Connections {
            client,
            settings,
            nodes: Sorted::default(),
            calm_until: Time(0),
        }
    }

    /// Where a node listens. A new address is used from the next connection on, and owes nothing to the old one's
    /// failures.
    pub fn learn(&mut self, node: NodeId, address: Address) {
        match self.nodes.get_mut(&node) {
            Some(n) if n.address == address => {}
            Some(n) if n.conn().is_some() => n.address = address,
            _ => {
                self.nodes.insert(node, Node::new(address));
            }
        }
    }

    /// Whether a request can be sent to the node now; begins to connect if it is not connected and the back-off is over.
    pub fn ready(&mut self, node: NodeId, cx: &mut Context<'_>) -> bool {
        let now = cx.now();
        match self.nodes.get(&node).map(|n| &n.state) {
            Some(NodeState::Disconnected { until }) if *until <= now => {
                self.connect(node, cx);
                false
            }
            Some(NodeState::Ready { in_flight, .. }) => self.has_room(in_flight),
            _ => false,
        }
    }

    /// Whether a request can be sent to the node now.
    pub fn may_send(&self, node: NodeId) -> bool {
        let in_flight = self.nodes.get(&node).and_then(Node::in_flight);
        in_flight.is_some_and(|in_flight| self.has_room(in_flight))
    }

    /// Sends a request to a node that is ready; an answer will come.
    ///
    /// # Panics
    /// If the node is not ready: ask first.
    pub fn send(&mut self, node: NodeId, request: Request, tag: T, cx: &mut Context<'_>) {
        self.hand_over(node, request, tag, true, cx);
    }

    /// Sends a request that will have no answer (acks=0): gives the tag back if it is in the socket already, else
    /// [`Happened::Sent`] follows.
    ///
    /// # Panics
    /// If the node is not ready: ask first.
    pub fn send_unanswered(
        &mut self,
        node: NodeId,
        request: Request,
        tag: T,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        self.hand_over(node, request, tag, false, cx);
        self.take_last_sent(node)
    }

    /// Whether this connection is one of these.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.node_of(conn).is_some()
    }

    /// Takes an input about one of these connections. Others, and those of a connection given up, pass without effect.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) -> Happenings<T> {
        let (Input::Opened { conn, .. }
        | Input::Closed { conn, .. }
        | Input::Response { conn, .. }
        | Input::Sent { conn, .. }) = input
        else {
            return Happenings::new();
        };
        let Some(node) = self.node_of(conn) else {
            return Happenings::new();
        };
        match input {
            Input::Opened { .. } => self.opened(node, conn, cx.now()),
            Input::Response { id, response, .. } => self.answered(node, id, response, cx.now()),
            Input::Sent { id, .. } => self.sent(node, id, cx.now()),
            _ => self.lost(node, ErrorCode::NetworkException, cx),
        }
    }

    /// When `expire` should be called next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.nodes.values().filter_map(|n| self.deadline(n)).min()
    }

    /// Whether it is known that nothing is due.
    #[inline]
    pub fn is_calm(&self, now: Time) -> bool {
        now < self.calm_until
    }

    /// Does what is due by now: timeouts of requests, set-up limits, idle connections.
    pub fn expire(&mut self, cx: &mut Context<'_>) -> Happenings<T> {
        let now = cx.now();
        if self.is_calm(now) {
            return Happenings::new();
        }
        let next = self.next_deadline();
        if next.is_none_or(|next| now < next) {
            self.calm_until = next.unwrap_or(Time(u64::MAX));
            return Happenings::new();
        }
        let is_due = |n: &Node<T>| self.deadline(n).is_some_and(|d| d <= now);
        let due = self.nodes.iter().filter(|(_, n)| is_due(n));
        let due: Vec<NodeId> = due.map(|(id, _)| *id).collect();
        let mut happened = Happenings::new();
        for node in due {
            let error = if self.has_timed_out_request(node, now) {
                let event = ClientEvent::RequestTimedOut { node };
                cx.tell(Event::Client(self.client, event));
                ErrorCode::RequestTimedOut
            } else {
                ErrorCode::NetworkException
            };
            happened.extend(self.close(node, error, cx));
        }
        happened
    }

    /// Closes the connection to a node, if there is one: what is in flight fails with NETWORK_EXCEPTION.
    pub fn disconnect(&mut self, node: NodeId, cx: &mut Context<'_>) -> Happenings<T> {
        if self.is_disconnected(node) {
            return Happenings::new();
        }
        self.close(node, ErrorCode::NetworkException, cx)
    }

    /// Closes every connection; nobody hears of what was in flight.
    pub fn close_all(&mut self, cx: &mut Context<'_>) {
        for conn in self.nodes.values().filter_map(Node::conn) {
            cx.close(conn);
        }
        self.nodes.clear();
    }

    /// Whether there is neither a connection nor an attempt at one.
    pub fn is_disconnected(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_none_or(|n| n.conn().is_none())
    }

    /// Whether its connection is open, be there room for a request or not.
    pub fn is_open(&self, node: NodeId) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|n| n.in_flight().is_some())
    }

    /// Whether a connection to it is being opened.
    pub fn is_connecting(&self, node: NodeId) -> bool {
        !self.is_disconnected(node) && !self.is_open(node)
    }

    /// Until when the node must not be connected to; `None` if it is connected, connecting, or may be at once.
    pub fn backing_off_until(&self, node: NodeId, now: Time) -> Option<Time> {
        match self.nodes.get(&node)?.state {
            NodeState::Disconnected { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// Whether there is any node that must not be connected to yet.
    pub fn is_backing_off(&self, now: Time) -> bool {
        let backs_off =
            |n: &Node<T>| matches!(n.state, NodeState::Disconnected { until } if until > now);
        self.nodes.values().any(backs_off)
    }

    /// How many requests wait for an answer, or for room in the socket.
    pub fn in_flight(&self) -> u64 {
        let open = self.nodes.values().filter_map(Node::in_flight);
        open.map(|in_flight| in_flight.len() as u64).sum()
    }

    /// The node, of those named, that one would rather ask: an open connection with the fewest requests in flight, else
    /// one being opened, else the one not tried for the longest time. The walk begins at a drawn place (N-7).
    pub fn least_loaded(&self, nodes: &[NodeId], cx: &mut Context<'_>) -> Option<NodeId> {
        let now = cx.now();
        let count = nodes.len() as u64;
        let start = cx.draw_below(Purpose::LeastLoadedNode(self.client), count);
        let start = usize::try_from(start).expect("drawn below the length");
        let walk = nodes[start..].iter().chain(&nodes[..start]);
        let ranked = walk.filter_map(|id| Some((self.rank(*id, now)?, *id)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, id)| id)
    }

    /// The lower the better; `None` if it can neither be sent to nor connected to.
    fn rank(&self, node: NodeId, now: Time) -> Option<(u8, u64)> {
        let node = self.nodes.get(&node)?;
        match &node.state {
            NodeState::Ready { in_flight, .. } => {
                let count = in_flight.len() as u64;
                self.has_room(in_flight).then_some((0, count))
            }
            NodeState::Connecting { .. } => Some((1, 0)),
            NodeState::Disconnected { until } => {
                let last = node.last_attempt.map_or(0, |t| t.0);
                (*until <= now).then_some((2, last))
            }
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> NetworkSettings {
        self.settings
    }

    /// Whose draws these are.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// One unfinished send per connection, and no more requests in flight than allowed (InFlightRequests.canSendMore).
    fn has_room(&self, in_flight: &VecDeque<InFlight<T>>) -> bool {
        let finished = in_flight.back().is_none_or(|last| last.sent);
        finished && (in_flight.len() as u64) < u64::from(self.settings.max_in_flight)
    }

    fn connect(&mut self, node: NodeId, cx: &mut Context<'_>) {
        let drawn = cx.draw(Purpose::ConnectionSetup(self.client));
        let patience = Backoff::new(self.settings.setup_timeout, self.settings.setup_timeout_max);
        let n = self.nodes.get_mut(&node).expect("it may be connected to");
        n.last_attempt = Some(cx.now());
        let deadline = cx.now() + patience.after(n.failed_setups, drawn);
        n.state = NodeState::Connecting {
            conn: cx.connect(n.address),
            deadline,
        };
        self.calm_until = self.calm_until.min(deadline);
    }

    fn hand_over(
        &mut self,
        node: NodeId,
        request: Request,
        tag: T,
        answered: bool,
        cx: &mut Context<'_>,
    ) {
        assert!(
            self.may_send(node),
            "a node is asked whether it is ready before it is sent to"
        );
        let n = self.nodes.get_mut(&node).expect("it may be sent to");
        let NodeState::Ready {
            conn,
            in_flight,
            last_used,
        } = &mut n.state
        else {
            unreachable!("because it may be sent to");
        };
        let sending = cx.send(*conn, Header::of(&request), request);
        *last_used = cx.now();
        in_flight.push_back(InFlight {
            id: sending.id(),
            handed_over: cx.now(),
            sent: matches!(sending, Sending::Done(_)),
            answered,
            tag,
        });
        let late = cx.now() + self.settings.request_timeout;
        self.calm_until = self.calm_until.min(late);
    }

    fn node_of(&self, conn: ConnId) -> Option<NodeId> {
        let mut found = self.nodes.iter().filter(|(_, n)| n.conn() == Some(conn));
        found.next().map(|(id, _)| *id)
    }

    fn opened(&mut self, node: NodeId, conn: ConnId, now: Time) -> Happenings<T> {
        let n = self.nodes.get_mut(&node).expect("its connection is known");
        n.failed_attempts = 0;
        n.failed_setups = 0;
        n.state = NodeState::Ready {
            conn,
            in_flight: VecDeque::new(),
            last_used: now,
        };
        self.calm_until = self.calm_until.min(now + self.settings.max_idle);
        smallvec![Happened::Ready(node)]
    }

    fn answered(
        &mut self,
        node: NodeId,
        id: CorrelationId,
        response: Response,
        now: Time,
    ) -> Happenings<T> {
        let first = self
            .in_use(node, now)
            .pop_front()
            .expect("an answer has a request");
        assert_eq!(first.id, id, "answers come in the order of the requests");
        smallvec![Happened::Answered(node, first.tag, response)]
    }

    fn sent(&mut self, node: NodeId, id: CorrelationId, now: Time) -> Happenings<T> {
        let in_flight = self.in_use(node, now);
        let last = in_flight
            .back_mut()
            .expect("an unfinished send is in flight");
        assert_eq!(last.id, id, "only the last send can be unfinished");
        last.sent = true;
        let unanswered = self.take_last_sent(node).into_iter();
        unanswered.map(|tag| Happened::Sent(node, tag)).collect()
    }

    /// The requests in flight on an open connection, which something has just come through.
    fn in_use(&mut self, node: NodeId, now: Time) -> &mut VecDeque<InFlight<T>> {
        match self.nodes.get_mut(&node).map(|n| &mut n.state) {
            Some(NodeState::Ready {
                in_flight,
                last_used,
                ..
            }) => {
                *last_used = now;
                in_flight
            }
            _ => panic!("only what is open sends and answers"),
        }
    }

    /// The last send, if it is in the socket and has no answer to wait for.
    fn take_last_sent(&mut self, node: NodeId) -> Option<T> {
        let NodeState::Ready { in_flight, .. } = &mut self.nodes.get_mut(&node)?.state else {
            return None;
        };
        let over = in_flight.back().is_some_and(|f| f.sent && !f.answered);
        let last = if over { in_flight.pop_back() } else { None };
        last.map(|f| f.tag)
    }

    fn deadline(&self, node: &Node<T>) -> Option<Time> {
        match &node.state {
            NodeState::Disconnected { .. } => None,
            NodeState::Connecting { deadline, .. } => Some(*deadline),
            NodeState::Ready {
                in_flight,
                last_used,
                ..
            } => {
                let idle = *last_used + self.settings.max_idle;
                let oldest = in_flight.front().map(|f| f.handed_over);
                let late = oldest.map(|t| t + self.settings.request_timeout);
                Some(late.map_or(idle, |l| l.min(idle)))
            }
        }
    }

    fn has_timed_out_request(&self, node: NodeId, now: Time) -> bool {
        let in_flight = self.nodes.get(&node).and_then(Node::in_flight);
        let oldest = in_flight.and_then(VecDeque::front);
        oldest.is_some_and(|f| f.handed_over + self.settings.request_timeout <= now)
    }

    fn close(&mut self, node: NodeId, error: ErrorCode, cx: &mut Context<'_>) -> Happenings<T> {
        if let Some(conn) = self.nodes.get(&node).and_then(Node::conn) {
            cx.close(conn);
        }
        self.lost(node, error, cx)
    }

    /// ClusterConnectionStates.disconnected: the back-off counts from now, whether the attempt or the connection failed.
    fn lost(&mut self, node: NodeId, error: ErrorCode, cx: &mut Context<'_>) -> Happenings<T> {
        let drawn = cx.draw(Purpose::ReconnectBackoff(self.client));
        let NetworkSettings {
            reconnect_backoff: initial,
            reconnect_backoff_max: max,
            ..
        } = self.settings;
        let n = self.nodes.get_mut(&node).expect("a lost node was known");
        let until = cx.now() + Backoff::new(initial, max).after(n.failed_attempts, drawn);
        n.failed_attempts = n.failed_attempts.saturating_add(1);
        n.last_attempt = Some(cx.now());
        let mut happened = Happenings::new();
        match std::mem::replace(&mut n.state, NodeState::Disconnected { until }) {
            NodeState::Connecting { .. } => n.failed_setups = n.failed_setups.saturating_add(1),
            NodeState::Ready { in_flight, .. } => {
                let tags = in_flight.into_iter().map(|f| f.tag);
                happened.extend(tags.map(|tag| Happened::Failed(node, tag, error)));
            }
            NodeState::Disconnected { .. } => unreachable!("because there was a connection"),
        }
        happened.push(Happened::Disconnected(node));
        happened
    }
}

impl<T> Node<T> {
    fn new(address: Address) -> Node<T> {
        Node {
            address,
            state: NodeState::Disconnected { until: Time(0) },
            last_attempt: None,
            failed_attempts: 0,
            failed_setups: 0,
        }
    }

    fn conn(&self) -> Option<ConnId> {
        match self.state {
            NodeState::Disconnected { .. } => None,
            NodeState::Connecting { conn, .. } | NodeState::Ready { conn, .. } => Some(conn),
        }
    }

    fn in_flight(&self) -> Option<&VecDeque<InFlight<T>>> {
        match &self.state {
            NodeState::Ready { in_flight, .. } => Some(in_flight),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::machine::Machine;
    use crate::context::Output;
    use crate::input::Closed;
    use crate::protocol::metadata::{MetadataRequest, MetadataResponse};

    const NODE: NodeId = NodeId(1);
    const PEER: Address = Address(9);
    const SECOND: Duration = Duration::secs(1);

    fn question() -> Request {
        Request::Metadata(MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
        })
    }

    fn answer() -> Response {
        Response::Metadata(MetadataResponse {
            brokers: Vec::new(),
            controller_id: None,
            topics: Vec::new(),
        })
    }

    fn connections() -> Connections<u8> {
        let mut connections = Connections::new(ClientId(0), NetworkSettings::default());
        connections.learn(NODE, PEER);
        connections
    }

    /// Connected, with the given tags in flight.
    fn open_with(tags: &[u8], machine: &mut Machine) -> (Connections<u8>, ConnId) {
        let mut c = connections();
        let conn = connect(&mut c, machine);
        open(&mut c, conn, machine);
        for tag in tags {
            machine.step(|cx| c.send(NODE, question(), *tag, cx));
        }
        (c, conn)
    }

    fn connect(c: &mut Connections<u8>, machine: &mut Machine) -> ConnId {
        let (ready, outputs) = machine.step(|cx| c.ready(NODE, cx));
        assert!(!ready);
        match outputs[..] {
            [Output::Connect { conn, to: PEER }] => conn,
            _ => panic!("it connects: {outputs:?}"),
        }
    }

    fn open(c: &mut Connections<u8>, conn: ConnId, machine: &mut Machine) {
        let opened = Input::Opened { conn, peer: PEER };
        let (happened, _) = machine.step(|cx| c.handle(opened, cx));
        assert_eq!(happened[..], [Happened::Ready(NODE)]);
    }

    fn end(
        c: &mut Connections<u8>,
        conn: ConnId,
        why: Closed,
        machine: &mut Machine,
    ) -> Happenings<u8> {
        machine
            .step(|cx| c.handle(Input::Closed { conn, why }, cx))
            .0
    }

    fn both_failed(error: ErrorCode) -> [Happened<u8>; 3] {
        [
            Happened::Failed(NODE, 1, error),
            Happened::Failed(NODE, 2, error),
            Happened::Disconnected(NODE),
        ]
    }

    #[test]
    fn one_connection_per_node() {
        let mut machine = Machine::default();
        let mut c = connections();
        let conn = connect(&mut c, &mut machine);
        let (ready, outputs) = machine.step(|cx| c.ready(NODE, cx));
        assert!(!ready && outputs.is_empty());
        open(&mut c, conn, &mut machine);
        assert!(machine.step(|cx| c.ready(NODE, cx)).0);
    }

    #[test]
    fn one_request_timing_out_closes_the_connection_and_ends_the_others_in_flight() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[1], &mut machine);
        machine.pass(Duration::secs(29));
        machine.step(|cx| c.send(NODE, question(), 2, cx));
        assert_eq!(c.next_deadline(), Some(Time(0) + Duration::secs(30)));
        machine.pass(SECOND);
        let (happened, outputs) = machine.step(|cx| c.expire(cx));
        assert_eq!(happened[..], both_failed(ErrorCode::RequestTimedOut));
        assert!(matches!(outputs[..], [Output::Tell(_), Output::Close { conn: c }] if c == conn));
    }

    #[test]
    fn a_broken_connection_is_a_network_exception_for_all_in_flight() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[1, 2], &mut machine);
        let happened = end(&mut c, conn, Closed::Reset, &mut machine);
        assert_eq!(happened[..], both_failed(ErrorCode::NetworkException));
    }

    #[test]
    fn reconnects_back_off_twice_as_long_each_time_and_start_anew_once_open() {
        let mut machine = Machine::default();
        let mut c = connections();
        let mut waits = Vec::new();
        for _ in 0..6 {
            let conn = connect(&mut c, &mut machine);
            end(&mut c, conn, Closed::Refused, &mut machine);
            let until = c
                .backing_off_until(NODE, machine.now)
                .expect("it backs off");
            waits.push(until.since(machine.now).as_millis());
            assert!(machine.step(|cx| c.ready(NODE, cx)).1.is_empty());
            machine.now = until;
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000]);
        let conn = connect(&mut c, &mut machine);
        open(&mut c, conn, &mut machine);
        end(&mut c, conn, Closed::PeerGone, &mut machine);
        let until = c
            .backing_off_until(NODE, machine.now)
            .expect("it backs off");
        assert_eq!(until.since(machine.now), Duration::millis(50));
    }

    #[test]
    fn a_connection_that_does_not_open_is_given_up_after_ten_seconds_then_later_each_time() {
        let mut machine = Machine::default();
        let mut c = connections();
        let mut patience = Vec::new();
        for _ in 0..4 {
            let conn = connect(&mut c, &mut machine);
            let deadline = c.next_deadline().expect("patience ends");
            patience.push(deadline.since(machine.now));
            machine.now = deadline;
            let (happened, outputs) = machine.step(|cx| c.expire(cx));
            assert_eq!(happened[..], [Happened::Disconnected(NODE)]);
            assert_eq!(outputs, [Output::Close { conn }]);
            machine.pass(SECOND);
        }
        assert_eq!(patience, [10, 20, 30, 30].map(Duration::secs));
    }

    #[test]
    fn the_limit_of_requests_in_flight_is_kept() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[1, 2, 3, 4, 5], &mut machine);
        assert!(!machine.step(|cx| c.ready(NODE, cx)).0);
        let first = Input::Response {
            conn,
            id: CorrelationId(0),
            response: answer(),
        };
        let (happened, _) = machine.step(|cx| c.handle(first, cx));
        assert_eq!(happened[..], [Happened::Answered(NODE, 1, answer())]);
        assert!(machine.step(|cx| c.ready(NODE, cx)).0);
    }

    #[test]
    fn a_send_that_is_not_in_the_socket_blocks_the_next() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[], &mut machine);
        machine.socket_full = true;
        machine.step(|cx| c.send(NODE, question(), 1, cx));
        assert!(!c.may_send(NODE));
        let sent = Input::Sent {
            conn,
            id: CorrelationId(0),
        };
        assert!(machine.step(|cx| c.handle(sent, cx)).0.is_empty());
        assert!(c.may_send(NODE));
        assert_eq!(c.in_flight(), 1);
    }

    #[test]
    fn a_request_without_an_answer_is_over_once_it_is_in_the_socket() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[], &mut machine);
        let (left, _) = machine.step(|cx| c.send_unanswered(NODE, question(), 1, cx));
        assert_eq!(left, Some(1));
        machine.socket_full = true;
        let (left, _) = machine.step(|cx| c.send_unanswered(NODE, question(), 2, cx));
        assert_eq!(left, None);
        let sent = Input::Sent {
            conn,
            id: CorrelationId(1),
        };
        let (happened, _) = machine.step(|cx| c.handle(sent, cx));
        assert_eq!(happened[..], [Happened::Sent(NODE, 2)]);
        assert_eq!(c.in_flight(), 0);
    }

    #[test]
    fn a_connection_nobody_uses_is_closed_after_nine_minutes() {
        let mut machine = Machine::default();
        let (mut c, conn) = open_with(&[], &mut machine);
        machine.pass(Duration::secs(540));
        let (happened, outputs) = machine.step(|cx| c.expire(cx));
        assert_eq!(happened[..], [Happened::Disconnected(NODE)]);
        assert_eq!(outputs, [Output::Close { conn }]);
    }

    #[test]
    fn the_least_loaded_node_is_an_open_one_then_one_being_opened_then_the_longest_untried() {
        let mut machine = Machine::default();
        let mut c = connections();
        c.learn(NodeId(2), Address(2));
        c.learn(NodeId(3), Address(3));
        let nodes = [1, 2, 3].map(NodeId);
        let asked = |c: &Connections<u8>, machine: &mut Machine| {
            machine.step(|cx| c.least_loaded(&nodes, cx)).0.map(|n| n.0)
        };
        assert_eq!(
            asked(&c, &mut machine),
            Some(2),
            "the walk begins in the middle"
        );
        let conn = connect(&mut c, &mut machine);
        assert_eq!(asked(&c, &mut machine), Some(1), "it is being opened");
        end(&mut c, conn, Closed::Refused, &mut machine);
        machine.pass(SECOND);
        assert_eq!(
            asked(&c, &mut machine),
            Some(2),
            "never tried, the first on the walk"
        );
        let conn = connect(&mut c, &mut machine);
        open(&mut c, conn, &mut machine);
        machine.step(|cx| c.send(NODE, question(), 1, cx));
        assert_eq!(asked(&c, &mut machine), Some(1), "it is open");
    }

    #[test]
    fn a_new_address_owes_nothing_to_the_failures_of_the_old_one() {
        let mut machine = Machine::default();
        let mut c = connections();
        let conn = connect(&mut c, &mut machine);
        end(&mut c, conn, Closed::Refused, &mut machine);
        c.learn(NODE, PEER);
        assert!(c.backing_off_until(NODE, machine.now).is_some());
        c.learn(NODE, Address(10));
        let (_, outputs) = machine.step(|cx| c.ready(NODE, cx));
        assert!(matches!(
            outputs[..],
            [Output::Connect {
                to: Address(10),
                ..
            }]
        ));
    }
}
