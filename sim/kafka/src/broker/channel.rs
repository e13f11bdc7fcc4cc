//! The way to the active controller: Kafka's NodeToControllerChannelManager. A broker has one for heartbeats, one for
//! AlterPartition and one for everything forwarded (N-2). It works for the broker's role, as the network client does, and so
//! may name `Context`.
//!
//! It keeps: requests go out one at a time in order; a request that a lost connection or a deposed controller left
//! unanswered is sent again, before all others, to the controller that the metadata quorum then has; a request that grows
//! too old is given up. So a request may be carried out twice, and its receiver must know.

use crate::client::connections::{Connections, Happened, Happenings, NetworkSettings};
use crate::context::Context;
use crate::ids::{Address, ClientId, ConnId, NodeId};
use crate::input::Input;
use crate::protocol::{ErrorCode, Request, Response};
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// While no controller is known the quorum is looked at so often.
const LOOK_AGAIN: Duration = Duration::millis(100);
/// The pause before a reconnect never grows.
const RECONNECT_BACKOFF: Duration = Duration::millis(50);

/// A channel. `T` is what the owner remembers of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Channel<T> {
    connections: Connections<()>,
    queue: VecDeque<Item<T>>,
    in_flight: Option<Item<T>>,
    /// Whom requests go to, until something speaks against it.
    controller: Option<NodeId>,
    /// A request not sent by then is given up; one already sent is waited for.
    patience: Option<Duration>,
    look_again: Option<Time>,
}

#[derive(Clone, Debug, Serialize)]
struct Item<T> {
    created: Time,
    request: Request,
    tag: T,
}

/// What became of a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome<T> {
    /// An active controller answered.
    Answered(T, Response),
    /// It grew too old.
    TimedOut(T),
}

/// What one input led to.
pub type Outcomes<T> = SmallVec<[Outcome<T>; 1]>;

impl<T> Channel<T> {
    /// A channel to the voters. With `patience` a request is given up when it is that old; an answer is waited for no longer
    /// than that, and at most `request.timeout.ms`.
    pub fn new(
        client: ClientId,
        voters: &[(NodeId, Address)],
        patience: Option<Duration>,
    ) -> Channel<T> {
        let settings = NetworkSettings::default();
        let settings = NetworkSettings {
            request_timeout: patience.map_or(settings.request_timeout, |p| {
                p.min(settings.request_timeout)
            }),
            reconnect_backoff: RECONNECT_BACKOFF,
            reconnect_backoff_max: RECONNECT_BACKOFF,
            max_in_flight: 1,
            ..settings
        };
        let mut connections = Connections::new(client, settings);
        for (node, address) in voters {
            connections.learn(*node, *address);
        }
        Channel {
            connections,
            queue: VecDeque::new(),
            in_flight: None,
            controller: None,
            patience,
            look_again: None,
        }
    }

    /// Whether a connection is this channel's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.connections.owns(conn)
    }

    /// Queues a request. [`Channel::drive`] sends it.
    pub fn enqueue(&mut self, request: Request, tag: T, now: Time) {
        self.queue.push_back(Item {
            created: now,
            request,
            tag,
        });
    }

    /// Takes an input about this channel's connections.
    pub fn handle(
        &mut self,
        input: Input,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> Outcomes<T> {
        let happened = self.connections.handle(input, cx);
        self.learn(happened, leader, cx)
    }

    /// Does what is due: timeouts, reconnects, another look at who leads.
    pub fn expire(&mut self, leader: Option<NodeId>, cx: &mut Context<'_>) -> Outcomes<T> {
        let happened = self.connections.expire(cx);
        self.learn(happened, leader, cx)
    }

    /// Sends the first request in the queue, if it can be sent. `leader` leads the metadata quorum, as far as this broker knows.
    pub fn drive(&mut self, leader: Option<NodeId>, cx: &mut Context<'_>) -> Outcomes<T> {
        let now = cx.now();
        self.look_again = None;
        let mut outcomes = Outcomes::new();
        while self.queue.front().is_some_and(|i| self.is_too_old(i, now)) {
            let item = self.queue.pop_front().expect("just seen");
            outcomes.push(Outcome::TimedOut(item.tag));
        }
        if self.queue.is_empty() || self.in_flight.is_some() {
            return outcomes;
        }
        self.controller = self.controller.or(leader);
        let Some(controller) = self.controller else {
            self.look_again = Some(now + LOOK_AGAIN);
            return outcomes;
        };
        if self.connections.ready(controller, cx) {
            let item = self.queue.pop_front().expect("just seen");
            self.connections
                .send(controller, item.request.clone(), (), cx);
            self.in_flight = Some(item);
        }
        outcomes
    }

    /// When to call [`Channel::expire`] next.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let front = self.queue.front().filter(|_| self.in_flight.is_none());
        let too_old = front.and_then(|i| Some(i.created + self.patience?));
        let backed_off = front
            .and(self.controller)
            .and_then(|c| self.connections.backing_off_until(c, now));
        Time::earliest([
            self.connections.next_deadline(),
            self.look_again,
            too_old,
            backed_off,
        ])
    }

    /// Closes everything: the broker stops.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        self.connections.close_all(cx);
        self.queue.clear();
        self.in_flight = None;
    }

    fn is_too_old(&self, item: &Item<T>, now: Time) -> bool {
        self.patience.is_some_and(|p| now.since(item.created) >= p)
    }

    fn learn(
        &mut self,
        happened: Happenings<()>,
        leader: Option<NodeId>,
        cx: &mut Context<'_>,
    ) -> Outcomes<T> {
        let mut outcomes = Outcomes::new();
        for happened in happened {
            match happened {
                Happened::Answered(node, (), response) => {
                    let item = self.in_flight.take().expect("an answer has a request");
                    if refuses(&response) {
                        self.connections.disconnect(node, cx);
                        self.ask_again(item);
                    } else {
                        outcomes.push(Outcome::Answered(item.tag, response));
                    }
                }
                Happened::Failed(..) => {
                    if let Some(item) = self.in_flight.take() {
                        self.ask_again(item);
                    }
                }
                // It could not be connected to: perhaps another leads by now.
                Happened::Disconnected(_) if self.in_flight.is_none() => self.controller = None,
                Happened::Disconnected(_) | Happened::Ready(_) | Happened::Sent(..) => {}
            }
        }
        outcomes.extend(self.drive(leader, cx));
        outcomes
    }

    fn ask_again(&mut self, item: Item<T>) {
        self.controller = None;
        self.queue.push_front(item);
    }
}

/// NOT_CONTROLLER anywhere in an answer: another node leads the quorum, or will.
fn refuses(response: &Response) -> bool {
    let is = |error: ErrorCode| error == ErrorCode::NotController;
    match response {
        Response::BrokerRegistration(r) => is(r.error_code),
        Response::BrokerHeartbeat(r) => is(r.error_code),
        Response::AllocateProducerIds(r) => is(r.error_code),
        // also where the leader knows a later epoch than the controller does.
        Response::AlterPartition(r) => {
            is(r.error_code) || r.partitions.iter().any(|p| is(p.error_code))
        }
        Response::Envelope(r) => r.as_ref().is_err_and(|e| is(*e)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::machine::Machine;
    use crate::context::Output;
    use crate::ids::{BrokerEpoch, CorrelationId, ProducerId};
    use crate::input::Closed;
    use crate::protocol::cluster::*;

    const OLD: NodeId = NodeId(3001);
    const NEW: NodeId = NodeId(3002);

    struct Wire {
        machine: Machine,
        channel: Channel<u8>,
    }

    impl Wire {
        fn new(patience: Option<Duration>) -> Wire {
            let voters = [(OLD, Address(1)), (NEW, Address(2))];
            Wire {
                machine: Machine::default(),
                channel: Channel::new(ClientId(0), &voters, patience),
            }
        }

        fn ask(&mut self, tag: u8, leader: Option<NodeId>) -> Vec<Output> {
            let request = Request::AllocateProducerIds(AllocateProducerIdsRequest {
                broker_id: NodeId(1),
                broker_epoch: BrokerEpoch(5),
            });
            self.channel.enqueue(request, tag, self.machine.now);
            self.machine.step(|cx| self.channel.drive(leader, cx)).1
        }

        fn input(&mut self, input: Input, leader: NodeId) -> (Outcomes<u8>, Vec<Output>) {
            self.machine
                .step(|cx| self.channel.handle(input, Some(leader), cx))
        }

        fn open(&mut self, conn: ConnId, leader: NodeId) -> Vec<Output> {
            let peer = Address(0);
            self.input(Input::Opened { conn, peer }, leader).1
        }

        fn answer(
            &mut self,
            conn: ConnId,
            error: ErrorCode,
            leader: NodeId,
        ) -> (Outcomes<u8>, Vec<Output>) {
            let (id, response) = (CorrelationId(0), answer(error));
            self.input(Input::Response { conn, id, response }, leader)
        }

        fn expire(&mut self, leader: Option<NodeId>) -> (Outcomes<u8>, Vec<Output>) {
            self.machine.step(|cx| self.channel.expire(leader, cx))
        }
    }

    fn answer(error_code: ErrorCode) -> Response {
        Response::AllocateProducerIds(AllocateProducerIdsResponse {
            error_code,
            producer_id_start: ProducerId(0),
            producer_id_len: 1000,
        })
    }

    fn sends(outputs: &[Output]) -> usize {
        let sends = outputs.iter().filter(|o| matches!(o, Output::Send { .. }));
        sends.count()
    }

    fn connects_to(outputs: &[Output]) -> Vec<Address> {
        let to = outputs.iter().filter_map(|o| match o {
            Output::Connect { to, .. } => Some(*to),
            _ => None,
        });
        to.collect()
    }

    #[test]
    fn requests_go_out_one_at_a_time() {
        let mut wire = Wire::new(None);
        wire.ask(1, Some(OLD));
        wire.ask(2, Some(OLD));
        assert_eq!(sends(&wire.open(ConnId(0), OLD)), 1);
        let (outcomes, outputs) = wire.answer(ConnId(0), ErrorCode::None, OLD);
        assert_eq!(
            outcomes[..],
            [Outcome::Answered(1, answer(ErrorCode::None))]
        );
        assert_eq!(sends(&outputs), 1);
    }

    #[test]
    fn a_deposed_controllers_answer_sends_the_request_to_the_new_one() {
        let mut wire = Wire::new(None);
        wire.ask(1, Some(OLD));
        wire.open(ConnId(0), OLD);
        let (outcomes, outputs) = wire.answer(ConnId(0), ErrorCode::NotController, NEW);
        assert_eq!(outcomes[..], []);
        assert_eq!(connects_to(&outputs), [Address(2)]);
        assert_eq!(sends(&wire.open(ConnId(1), NEW)), 1);
    }

    #[test]
    fn a_request_whose_connection_broke_is_sent_again_before_all_others() {
        let mut wire = Wire::new(None);
        wire.ask(1, Some(OLD));
        wire.open(ConnId(0), OLD);
        wire.ask(2, Some(OLD));
        let why = Closed::Reset;
        wire.input(
            Input::Closed {
                conn: ConnId(0),
                why,
            },
            NEW,
        );
        wire.open(ConnId(1), NEW);
        let (outcomes, _) = wire.answer(ConnId(1), ErrorCode::None, NEW);
        assert_eq!(
            outcomes[..],
            [Outcome::Answered(1, answer(ErrorCode::None))]
        );
    }

    #[test]
    fn after_a_refused_connection_the_quorum_is_asked_anew_and_the_same_node_waits_50_ms() {
        let mut wire = Wire::new(None);
        wire.ask(1, Some(OLD));
        let why = Closed::Refused;
        let refused = Input::Closed {
            conn: ConnId(0),
            why,
        };
        let (_, outputs) = wire.input(refused, OLD);
        assert_eq!(connects_to(&outputs), []);
        let again = wire.channel.next_deadline(wire.machine.now);
        assert_eq!(again, Some(Time(0) + RECONNECT_BACKOFF));
        wire.machine.pass(RECONNECT_BACKOFF);
        assert_eq!(connects_to(&wire.expire(Some(OLD)).1), [Address(1)]);
    }

    #[test]
    fn without_a_known_controller_it_looks_again_every_100_ms() {
        let mut wire = Wire::new(None);
        assert!(wire.ask(1, None).is_empty());
        assert_eq!(
            wire.channel.next_deadline(Time(0)),
            Some(Time(0) + LOOK_AGAIN)
        );
        wire.machine.pass(LOOK_AGAIN);
        assert_eq!(connects_to(&wire.expire(Some(NEW)).1), [Address(2)]);
    }

    #[test]
    fn a_request_that_could_not_be_sent_in_time_is_given_up() {
        let mut wire = Wire::new(Some(Duration::secs(2)));
        wire.ask(1, None);
        wire.machine.pass(Duration::secs(2));
        assert_eq!(wire.expire(None).0[..], [Outcome::TimedOut(1)]);
        assert_eq!(wire.channel.next_deadline(wire.machine.now), None);
    }

    #[test]
    fn an_answer_that_does_not_come_closes_the_connection_and_the_request_is_too_old_then() {
        // N-3 on a heartbeat's channel: `broker.heartbeat.interval.ms` limits both.
        let mut wire = Wire::new(Some(Duration::secs(2)));
        wire.ask(1, Some(OLD));
        wire.open(ConnId(0), OLD);
        wire.machine.pass(Duration::secs(2));
        let (outcomes, outputs) = wire.expire(Some(OLD));
        assert_eq!(outcomes[..], [Outcome::TimedOut(1)]);
        assert!(outputs.contains(&Output::Close { conn: ConnId(0) }));
    }
}
