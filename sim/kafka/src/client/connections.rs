//! The network hand of a role: Kafka's NetworkClient with its ClusterConnectionStates. It works for a role and so may
//! name `Context`.
//!
//! Thin still: no back-off, no timeouts, no limit of requests in flight.

use crate::context::{Context, Sending};
use crate::ids::{Address, ClientId, ConnId, CorrelationId, NodeId};
use crate::input::{Closed, Input};
use crate::protocol::{ErrorCode, Header, Request, Response};
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

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
}

/// Connections by node, and the requests in flight on them. `T` is what the owner remembers of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Connections<T> {
    client: ClientId,
    settings: NetworkSettings,
    nodes: BTreeMap<NodeId, Node<T>>,
}

#[derive(Clone, Debug, Serialize)]
struct Node<T> {
    address: Address,
    state: NodeState<T>,
}

/// Disconnected -> Connecting (asked for) -> Ready (opened) -> Disconnected (closed).
#[derive(Clone, Debug, Serialize)]
enum NodeState<T> {
    Disconnected,
    Connecting(ConnId),
    Ready {
        conn: ConnId,
        in_flight: VecDeque<InFlight<T>>,
    },
}

#[derive(Clone, Debug, Serialize)]
struct InFlight<T> {
    id: CorrelationId,
    sent: bool,
    tag: T,
}

/// What the owner learns.
#[derive(Clone, PartialEq, Debug)]
pub enum Happened<T> {
    /// A node can be sent to now.
    Ready(NodeId),
    /// A request has left (it had been pending, or left at once).
    Sent(NodeId, T),
    /// A request is answered.
    Answered(NodeId, T, Response),
    /// A request will not be answered: REQUEST_TIMED_OUT or NETWORK_EXCEPTION (N-3).
    Failed(NodeId, T, ErrorCode),
    /// A node is not connected any more (after the failures of its requests), or could not be.
    Disconnected(NodeId),
}

impl<T: Clone> Connections<T> {
    /// No connections yet. The client id names the draws.
    pub fn new(client: ClientId, settings: NetworkSettings) -> Connections<T> {
        Connections {
            client,
            settings,
            nodes: BTreeMap::new(),
        }
    }

    /// Where a node listens. A new address is used from the next connection on.
    pub fn learn(&mut self, node: NodeId, address: Address) {
        self.nodes
            .entry(node)
            .or_insert(Node {
                address,
                state: NodeState::Disconnected,
            })
            .address = address;
    }

    /// Whether a request can be sent to the node now; begins to connect if it is not connected and may be.
    pub fn ready(&mut self, node: NodeId, cx: &mut Context<'_>) -> bool {
        let Some(n) = self.nodes.get_mut(&node) else {
            return false;
        };
        match n.state {
            NodeState::Ready { .. } => true,
            NodeState::Connecting(_) => false,
            NodeState::Disconnected => {
                n.state = NodeState::Connecting(cx.connect(n.address));
                false
            }
        }
    }

    /// Sends a request to a node that is ready.
    ///
    /// # Panics
    /// If the node is not ready: ask first.
    pub fn send(
        &mut self,
        node: NodeId,
        request: Request,
        tag: T,
        cx: &mut Context<'_>,
    ) -> Option<Happened<T>> {
        let n = self
            .nodes
            .get_mut(&node)
            .expect("a node is learned before it is sent to");
        let NodeState::Ready { conn, in_flight } = &mut n.state else {
            panic!("a node is asked whether it is ready before it is sent to")
        };
        let sending = cx.send(*conn, Header::of(&request), request);
        let sent = matches!(sending, Sending::Done(_));
        in_flight.push_back(InFlight {
            id: sending.id(),
            sent,
            tag: tag.clone(),
        });
        sent.then_some(Happened::Sent(node, tag))
    }

    /// Forgets a request that is never answered (acks=0), once it has left.
    pub fn forget(&mut self, node: NodeId, keep: impl Fn(&T) -> bool) {
        if let Some(Node {
            state: NodeState::Ready { in_flight, .. },
            ..
        }) = self.nodes.get_mut(&node)
        {
            in_flight.retain(|f| !f.sent || keep(&f.tag));
        }
    }

    /// Whether this connection is one of these.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.node_of(conn).is_some()
    }

    /// Takes an input about one of these connections.
    pub fn handle(&mut self, input: Input, _cx: &mut Context<'_>) -> Vec<Happened<T>> {
        match input {
            Input::Opened { conn, .. } => self.opened(conn),
            Input::Closed { conn, why } => self.closed(conn, why),
            Input::Response { conn, id, response } => self.answered(conn, id, response),
            Input::Sent { conn, id } => self.sent(conn, id),
            _ => Vec::new(),
        }
    }

    /// When `expire` should be called next.
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// Does what is due by now: timeouts and set-up limits.
    pub fn expire(&mut self, _cx: &mut Context<'_>) -> Vec<Happened<T>> {
        Vec::new()
    }

    fn node_of(&self, conn: ConnId) -> Option<NodeId> {
        self.nodes.iter().find_map(|(id, n)| match n.state {
            NodeState::Connecting(c) | NodeState::Ready { conn: c, .. } if c == conn => Some(*id),
            _ => None,
        })
    }

    fn opened(&mut self, conn: ConnId) -> Vec<Happened<T>> {
        let Some(node) = self.node_of(conn) else {
            return Vec::new();
        };
        let n = self.nodes.get_mut(&node).expect("just found");
        n.state = NodeState::Ready {
            conn,
            in_flight: VecDeque::new(),
        };
        vec![Happened::Ready(node)]
    }

    fn closed(&mut self, conn: ConnId, _why: Closed) -> Vec<Happened<T>> {
        let Some(node) = self.node_of(conn) else {
            return Vec::new();
        };
        let n = self.nodes.get_mut(&node).expect("just found");
        let before = std::mem::replace(&mut n.state, NodeState::Disconnected);
        let mut happened = Vec::new();
        if let NodeState::Ready { in_flight, .. } = before {
            happened.extend(
                in_flight
                    .into_iter()
                    .map(|f| Happened::Failed(node, f.tag, ErrorCode::NetworkException)),
            );
        }
        happened.push(Happened::Disconnected(node));
        happened
    }

    fn answered(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        response: Response,
    ) -> Vec<Happened<T>> {
        let Some(node) = self.node_of(conn) else {
            return Vec::new();
        };
        match &mut self.nodes.get_mut(&node).expect("just found").state {
            NodeState::Ready { in_flight, .. } => {
                let first = in_flight.pop_front().expect("an answer has a request");
                assert_eq!(first.id, id, "answers come in the order of the requests");
                vec![Happened::Answered(node, first.tag, response)]
            }
            _ => Vec::new(),
        }
    }

    fn sent(&mut self, conn: ConnId, id: CorrelationId) -> Vec<Happened<T>> {
        let Some(node) = self.node_of(conn) else {
            return Vec::new();
        };
        match &mut self.nodes.get_mut(&node).expect("just found").state {
            NodeState::Ready { in_flight, .. } => in_flight
                .iter_mut()
                .filter(|f| f.id == id)
                .map(|f| {
                    f.sent = true;
                    Happened::Sent(node, f.tag.clone())
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl<T> Connections<T> {
    /// The settings in force.
    pub fn settings(&self) -> NetworkSettings {
        self.settings
    }

    /// Whose draws these are.
    pub fn client(&self) -> ClientId {
        self.client
    }
}
