//! A client's connections together with its metadata: Kafka's NetworkClient with its DefaultMetadataUpdater. Producers and
//! consumers talk through it; brokers, whose nodes are given to them, use bare [`Connections`]. It works for a role and so
//! may name `Context`.
//!
//! It keeps: one metadata request at a time, to the least loaded node; while an update is due, nothing else is sent; a
//! lost connection is taken as a sign of old metadata; when no known node can be asked, or nothing could be learned for
//! `metadata.recovery.rebootstrap.trigger.ms`, the client starts over from its bootstrap servers
//! (`metadata.recovery.strategy=rebootstrap`, KIP-899, KIP-1102).
//!
//! Left out: `metadata.recovery.strategy=none`. Kafka looks again every `reconnect.backoff.ms` while no node can be
//! asked; here the earliest end of a back-off wakes it.

use crate::client::connections::{Connections, Happened, Happenings, NetworkSettings};
use crate::client::metadata::{Asked, ClientMetadata, LeaderLearned, MetadataSettings};
use crate::context::{Context, Purpose};
use crate::event::{ClientEvent, Event};
use crate::ids::{Address, ClientId, ConnId, NodeId, TopicIdPartition};
use crate::input::Input;
use crate::protocol::metadata::{MetadataResponse, NodeEndpoint};
use crate::protocol::produce::LeaderIdAndEpoch;
use crate::protocol::{Request, Response};
use crate::time::{Duration, Time};
use serde::Serialize;

/// A client's way to the cluster. `T` is what the owner remembers of a request.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkClient<T> {
    connections: Connections<Tag<T>>,
    /// What the client knows of the cluster.
    pub metadata: ClientMetadata,
    /// The metadata request on its way.
    asked: Option<Asked>,
    /// Since when an update has been tried in vain.
    trying_since: Option<Time>,
    rebootstrap_trigger: Duration,
}

#[derive(Clone, Debug, Serialize)]
enum Tag<T> {
    Metadata,
    Owner(T),
}

impl<T> NetworkClient<T> {
    /// Knows its bootstrap servers and is not connected.
    pub fn new(
        client: ClientId,
        network: NetworkSettings,
        metadata: MetadataSettings,
        rebootstrap_trigger: Duration,
        bootstrap: &[Address],
    ) -> NetworkClient<T> {
        let mut network = NetworkClient {
            connections: Connections::new(client, network),
            metadata: ClientMetadata::new(metadata, bootstrap),
            asked: None,
            trying_since: None,
            rebootstrap_trigger,
        };
        network.learn_nodes();
        network
    }

    /// Whether a request can be sent to the node now; begins to connect if it is not connected and the back-off is over.
    /// Metadata goes first: while an update is due, no node is ready.
    pub fn ready(&mut self, node: NodeId, cx: &mut Context<'_>) -> bool {
        let ready = self.connections.ready(node, cx);
        ready && !self.is_update_due(cx.now())
    }

    /// Sends a request to a node that is ready; an answer will come.
    pub fn send(&mut self, node: NodeId, request: Request, tag: T, cx: &mut Context<'_>) {
        self.connections.send(node, request, Tag::Owner(tag), cx);
    }

    /// See [`Connections::send_unanswered`].
    pub fn send_unanswered(
        &mut self,
        node: NodeId,
        request: Request,
        tag: T,
        cx: &mut Context<'_>,
    ) -> Option<T> {
        let tag = Tag::Owner(tag);
        match self.connections.send_unanswered(node, request, tag, cx)? {
            Tag::Owner(tag) => Some(tag),
            Tag::Metadata => unreachable!("because metadata requests are answered"),
        }
    }

    /// Takes an input about one of its connections.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) -> Happenings<T> {
        let happened = self.connections.handle(input, cx);
        self.take_in(happened, cx)
    }

    /// Does what is due: timeouts, and an update of the metadata. Whatever else the owner wants to send goes before it.
    #[inline]
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Happenings<T> {
        // Mostly nothing is due, and then there is nothing to move.
        let now = cx.now();
        let is_calm = self.connections.is_calm(now) && self.trying_since.is_none();
        if is_calm && !self.is_update_due(now) {
            return Happenings::new();
        }
        self.do_what_is_due(cx)
    }

    fn do_what_is_due(&mut self, cx: &mut Context<'_>) -> Happenings<T> {
        let mut happened = self.connections.expire(cx);
        if self.trying_since.is_some() {
            happened.extend(self.rebootstrap_if_stuck(cx));
        }
        let happened = self.take_in(happened, cx);
        self.update_metadata(cx);
        happened
    }

    /// When `poll` should be called next.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let metadata = match self.asked {
            Some(_) => None,
            None if self.is_update_due(now) => self.next_reconnect(now),
            None => Some(self.metadata.next_update_at()),
        };
        let stuck = self.trying_since.map(|t| t + self.rebootstrap_trigger);
        let network = self.connections.next_deadline();
        Time::earliest([metadata, stuck, network])
    }

    /// The node, of those known, that one would rather ask.
    pub fn least_loaded(&self, cx: &mut Context<'_>) -> Option<NodeId> {
        let nodes = self.metadata.nodes().iter();
        let nodes: Vec<NodeId> = nodes.map(|(id, _)| *id).collect();
        self.connections.least_loaded(&nodes, cx)
    }

    /// Takes in the leaders that an error named (KIP-951).
    pub fn learn_leaders(
        &mut self,
        hints: &[(TopicIdPartition, LeaderIdAndEpoch)],
        endpoints: &[NodeEndpoint],
        cx: &mut Context<'_>,
    ) {
        // Mostly nobody names any.
        if !hints.is_empty() {
            let learned = self.metadata.learn_leaders(hints, endpoints);
            self.learn_nodes();
            self.tell(learned, cx);
        }
    }

    /// Whether there is neither a connection to the node nor an attempt at one.
    pub fn is_disconnected(&self, node: NodeId) -> bool {
        self.connections.is_disconnected(node)
    }

    /// Whether its connection is open and takes no request until an earlier one has left or is answered.
    pub fn is_saturated(&self, node: NodeId) -> bool {
        self.connections.is_open(node) && !self.connections.may_send(node)
    }

    /// Until when the node must not be connected to.
    pub fn backing_off_until(&self, node: NodeId, now: Time) -> Option<Time> {
        self.connections.backing_off_until(node, now)
    }

    /// Whether there is any node that must not be connected to yet.
    pub fn is_backing_off(&self, now: Time) -> bool {
        self.connections.is_backing_off(now)
    }

    /// How many requests wait for an answer, metadata requests included.
    pub fn in_flight(&self) -> u64 {
        self.connections.in_flight()
    }

    /// Whether a connection is one of these.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.connections.owns(conn)
    }

    /// Closes every connection.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        self.asked = None;
        self.connections.close_all(cx);
    }

    fn is_update_due(&self, now: Time) -> bool {
        self.asked.is_none() && self.metadata.next_update_at() <= now
    }

    fn next_reconnect(&self, now: Time) -> Option<Time> {
        let nodes = self.metadata.nodes().iter();
        let ends = nodes.filter_map(|(id, _)| self.connections.backing_off_until(*id, now));
        ends.min()
    }

    /// DefaultMetadataUpdater.maybeUpdate.
    fn update_metadata(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        if !self.is_update_due(now) {
            return;
        }
        self.trying_since.get_or_insert(now);
        let mut node = self.least_loaded(cx);
        if node.is_none() && !self.is_any(Connections::is_open) {
            self.rebootstrap(now);
            node = self.least_loaded(cx);
        }
        let Some(node) = node else {
            return;
        };
        if self.connections.may_send(node) {
            let (request, asked) = self.metadata.question(now);
            self.asked = Some(asked);
            let request = Request::Metadata(request);
            self.connections.send(node, request, Tag::Metadata, cx);
        } else if !self.is_any(Connections::is_connecting) {
            // While one connection is being opened, no second one is begun for the sake of metadata.
            self.connections.ready(node, cx);
        }
    }

    fn is_any(&self, is: impl Fn(&Connections<Tag<T>>, NodeId) -> bool) -> bool {
        let mut nodes = self.metadata.nodes().iter();
        nodes.any(|(id, _)| is(&self.connections, *id))
    }

    fn rebootstrap(&mut self, now: Time) {
        self.metadata.rebootstrap();
        self.trying_since = Some(now);
        self.learn_nodes();
    }

    /// Nothing could be learned for so long that what is known about the nodes is worth nothing.
    fn rebootstrap_if_stuck(&mut self, cx: &mut Context<'_>) -> Happenings<Tag<T>> {
        let now = cx.now();
        let since = self.trying_since;
        if since.is_none_or(|t| t + self.rebootstrap_trigger > now) {
            return Happenings::new();
        }
        let mut happened = Happenings::new();
        for (node, _) in self.metadata.nodes() {
            happened.extend(self.connections.disconnect(*node, cx));
        }
        self.rebootstrap(now);
        happened
    }

    /// Keeps what is about metadata and hands the rest to the owner.
    fn take_in(&mut self, happened: Happenings<Tag<T>>, cx: &mut Context<'_>) -> Happenings<T> {
        let mut owners = Happenings::new();
        for one in happened {
            match one {
                Happened::Ready(node) => owners.push(Happened::Ready(node)),
                Happened::Sent(node, Tag::Owner(tag)) => owners.push(Happened::Sent(node, tag)),
                Happened::Answered(node, Tag::Owner(tag), response) => {
                    owners.push(Happened::Answered(node, tag, response));
                }
                Happened::Failed(node, Tag::Owner(tag), error) => {
                    owners.push(Happened::Failed(node, tag, error));
                }
                Happened::Answered(_, Tag::Metadata, Response::Metadata(response)) => {
                    self.metadata_answered(&response, cx);
                }
                Happened::Failed(_, Tag::Metadata, _) => self.update_failed(cx),
                Happened::Answered(_, Tag::Metadata, _) | Happened::Sent(_, Tag::Metadata) => {
                    unreachable!("because a metadata request is answered with metadata")
                }
                Happened::Disconnected(node) => {
                    self.server_disconnected(cx);
                    owners.push(Happened::Disconnected(node));
                }
            }
        }
        owners
    }

    fn metadata_answered(&mut self, response: &MetadataResponse, cx: &mut Context<'_>) {
        let asked = self.asked.take().expect("one question at a time");
        let drawn = cx.draw(Purpose::RetryBackoff(self.connections.client()));
        let version = self.metadata.update_version();
        let learned = self.metadata.update(asked, response, cx.now(), drawn);
        if self.metadata.update_version() > version {
            self.trying_since = None;
        }
        self.learn_nodes();
        self.tell(learned, cx);
    }

    fn update_failed(&mut self, cx: &mut Context<'_>) {
        let drawn = cx.draw(Purpose::RetryBackoff(self.connections.client()));
        self.asked = None;
        self.metadata.failed(cx.now(), drawn);
    }

    /// A lost connection while an update is due counts as a failed update, so that a dead cluster is not hammered; and it
    /// may mean that what is known is out of date.
    fn server_disconnected(&mut self, cx: &mut Context<'_>) {
        if self.is_update_due(cx.now()) {
            self.update_failed(cx);
        }
        self.metadata.request_update();
    }

    fn learn_nodes(&mut self) {
        for (id, address) in self.metadata.nodes() {
            self.connections.learn(*id, *address);
        }
    }

    fn tell(&self, learned: Vec<LeaderLearned>, cx: &mut Context<'_>) {
        for LeaderLearned { partition, now } in learned {
            let event = ClientEvent::LeaderLearned {
                partition,
                leader: now.leader,
                epoch: now.epoch,
            };
            cx.tell(Event::Client(self.connections.client(), event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::machine::Machine;
    use crate::context::Output;
    use crate::ids::CorrelationId;
    use crate::input::Closed;
    use crate::protocol::Header;
    use crate::protocol::produce::InitProducerIdRequest;

    const ONE: NodeId = NodeId(1);

    fn client(machine: &mut Machine) -> (NetworkClient<u8>, Vec<Output>) {
        let mut network = NetworkClient::new(
            ClientId(0),
            NetworkSettings::default(),
            MetadataSettings::default(),
            Duration::secs(300),
            &[Address(1), Address(2)],
        );
        let (_, outputs) = machine.step(|cx| network.poll(cx));
        (network, outputs)
    }

    fn brokers(ids: &[i32]) -> Response {
        let endpoint = |id: &i32| NodeEndpoint {
            node_id: NodeId(*id),
            address: Address(*id as u32),
            rack: None,
        };
        Response::Metadata(MetadataResponse {
            brokers: ids.iter().map(endpoint).collect(),
            controller_id: None,
            topics: Vec::new(),
        })
    }

    fn connects(outputs: &[Output]) -> Vec<(ConnId, u32)> {
        let connect = |o: &Output| match o {
            Output::Connect { conn, to } => Some((*conn, to.0)),
            _ => None,
        };
        outputs.iter().filter_map(connect).collect()
    }

    fn asks_for_metadata(outputs: &[Output]) -> bool {
        let is = |o: &Output| {
            matches!(
                o,
                Output::Send {
                    request: Request::Metadata(_),
                    ..
                }
            )
        };
        outputs.iter().any(is)
    }

    /// The input, then what is due.
    fn turn(n: &mut NetworkClient<u8>, input: Input, machine: &mut Machine) -> Vec<Output> {
        let work = |cx: &mut Context<'_>| {
            n.handle(input, cx);
            n.poll(cx);
        };
        machine.step(work).1
    }

    fn opened(n: &mut NetworkClient<u8>, conn: ConnId, machine: &mut Machine) -> Vec<Output> {
        let peer = Address(0);
        turn(n, Input::Opened { conn, peer }, machine)
    }

    fn refused(n: &mut NetworkClient<u8>, conn: ConnId, machine: &mut Machine) -> Vec<Output> {
        let why = Closed::Refused;
        turn(n, Input::Closed { conn, why }, machine)
    }

    fn answered(n: &mut NetworkClient<u8>, conn: ConnId, ids: &[i32], machine: &mut Machine) {
        let id = CorrelationId(0);
        let response = brokers(ids);
        turn(n, Input::Response { conn, id, response }, machine);
    }

    /// Has asked a bootstrap server, which knows the brokers named.
    fn informed(ids: &[i32], machine: &mut Machine) -> NetworkClient<u8> {
        let (mut n, outputs) = client(machine);
        let (conn, _) = connects(&outputs)[0];
        assert!(asks_for_metadata(&opened(&mut n, conn, machine)));
        answered(&mut n, conn, ids, machine);
        n
    }

    fn ready(n: &mut NetworkClient<u8>, machine: &mut Machine) -> (bool, Vec<Output>) {
        machine.step(|cx| n.ready(ONE, cx))
    }

    #[test]
    fn a_client_asks_one_bootstrap_server_who_the_brokers_are() {
        let mut machine = Machine::default();
        let n = informed(&[1, 2, 3], &mut machine);
        let nodes = n.metadata.nodes().iter().map(|(id, _)| id.0);
        assert_eq!(nodes.collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn while_an_update_is_due_no_node_is_ready() {
        let mut machine = Machine::default();
        let mut n = informed(&[1], &mut machine);
        let conn = connects(&ready(&mut n, &mut machine).1)[0].0;
        opened(&mut n, conn, &mut machine);
        assert!(ready(&mut n, &mut machine).0);
        machine.pass(Duration::secs(1));
        n.metadata.request_update();
        assert!(!ready(&mut n, &mut machine).0);
        let (_, outputs) = machine.step(|cx| n.poll(cx));
        assert!(asks_for_metadata(&outputs));
        assert!(
            ready(&mut n, &mut machine).0,
            "it is due no more, it is on its way"
        );
    }

    #[test]
    fn a_lost_connection_makes_the_client_ask_another_broker_for_metadata() {
        let mut machine = Machine::default();
        let mut n = informed(&[1, 2], &mut machine);
        let conn = connects(&ready(&mut n, &mut machine).1)[0].0;
        opened(&mut n, conn, &mut machine);
        machine.pass(Duration::secs(10));
        let outputs = refused(&mut n, conn, &mut machine);
        let (conn, to) = connects(&outputs)[0];
        assert_eq!(to, 2);
        assert!(asks_for_metadata(&opened(&mut n, conn, &mut machine)));
    }

    #[test]
    fn a_client_that_can_reach_no_known_broker_starts_over_from_its_bootstrap_servers() {
        let mut machine = Machine::default();
        let mut n = informed(&[7], &mut machine);
        machine.pass(Duration::secs(1));
        let seven = machine.step(|cx| n.ready(NodeId(7), cx)).1;
        let outputs = refused(&mut n, connects(&seven)[0].0, &mut machine);
        assert_eq!(n.metadata.nodes()[0].0, NodeId(-2));
        assert!(
            asks_for_metadata(&outputs),
            "its bootstrap connection is open"
        );
    }

    #[test]
    fn a_client_that_learns_nothing_for_five_minutes_drops_its_connections_and_starts_over() {
        let mut machine = Machine::default();
        let (mut n, outputs) = client(&mut machine);
        let conn = connects(&outputs)[0].0;
        opened(&mut n, conn, &mut machine);
        for _ in 0..60 {
            let next = n.next_deadline(machine.now).expect("it goes on trying");
            machine.now = next.min(Time(0) + Duration::secs(299));
            let (_, outputs) = machine.step(|cx| n.poll(cx));
            for (conn, _) in connects(&outputs) {
                opened(&mut n, conn, &mut machine);
            }
        }
        machine.now = Time(0) + Duration::secs(300);
        let (_, outputs) = machine.step(|cx| n.poll(cx));
        let timed_out = outputs.iter().any(|o| matches!(o, Output::Tell(_)));
        let closed = outputs.iter().any(|o| matches!(o, Output::Close { .. }));
        assert!(closed && !timed_out, "{outputs:?}");
    }

    #[test]
    fn the_owner_hears_of_its_own_requests_only() {
        let mut machine = Machine::default();
        let mut n = informed(&[1], &mut machine);
        let conn = connects(&ready(&mut n, &mut machine).1)[0].0;
        opened(&mut n, conn, &mut machine);
        let request = Request::InitProducerId(InitProducerIdRequest {});
        let header = Header::of(&request);
        let (_, outputs) = machine.step(|cx| n.send(ONE, request.clone(), 5, cx));
        let id = CorrelationId(0);
        let sent = Output::Send {
            conn,
            id,
            header,
            request,
        };
        assert_eq!(outputs, [sent]);
        let why = Closed::Reset;
        let (happened, _) = machine.step(|cx| n.handle(Input::Closed { conn, why }, cx));
        let error = crate::protocol::ErrorCode::NetworkException;
        let failed = Happened::Failed(ONE, 5, error);
        assert_eq!(happened[..], [failed, Happened::Disconnected(ONE)]);
    }
}
