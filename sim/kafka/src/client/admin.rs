//! ROLE Admin: an operator and his client (Kafka's KafkaAdminClient).
//!
//! The client keeps: a call ends, with its answer or with a timeout, at the latest when `default.api.timeout.ms` is over;
//! a lost connection or NOT_CONTROLLER is tried again, any other error is the caller's. What became of a call that timed out
//! nobody knows: it may have been carried out. The operator, who is no part of Kafka, gives a command once; only the topics
//! of the beginning are asked for until they exist (`TopicAlreadyExists` after a lost answer means that it is done).
//!
//! Left out: every other call; talking to controllers directly (KIP-919); quotas. DescribeTopics asks Metadata, as before
//! DescribeTopicPartitions.

mod answers;
pub mod calls;

use super::backoff::Backoff;
use super::connections::{Connections, Happened, Happenings, NetworkSettings};
use crate::config::AdminConfig;
use crate::context::{Context, Exit, Purpose};
use crate::event::{AdminEvent, Event};
use crate::ids::{Address, ClientId, NodeId};
use crate::input::{Command, Input};
use crate::protocol::metadata::{MetadataResponse, MetadataTopic};
use crate::protocol::{ErrorCode, Response};
use crate::time::{Duration, Time};
use crate::timer::Timer;
use calls::{Ask, CallId, CallState, Calls, Goal};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// How long the operator waits before he repeats a command.
const OPERATOR_WAITS: Duration = Duration::millis(500);

/// An operator and his client.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    client: ClientId,
    config: AdminConfig,
    connections: Connections<CallId>,
    cluster: Cluster,
    calls: Calls,
    /// Commands that have not succeeded, to be given again then.
    repeat: Vec<(Time, Ask)>,
    described: VecDeque<(CallId, Described)>,
    alarm: Option<Time>,
}

/// What DescribeTopics returned: the topics as asked, or the error of a call that came to no answer.
pub type Described = Result<Vec<MetadataTopic>, ErrorCode>;

/// AdminMetadataManager: the nodes, and when to ask for them again.
#[derive(Clone, Debug, Serialize)]
struct Cluster {
    nodes: Vec<NodeId>,
    /// Only bootstrap servers are known yet.
    is_bootstrap: bool,
    controller: Option<NodeId>,
    wanted: bool,
    asked: Option<CallId>,
    last_try: Option<Time>,
    last_update: Option<Time>,
}

impl Admin {
    /// A client that knows where to begin.
    pub fn new(client: ClientId, bootstrap: &[Address], config: AdminConfig) -> Admin {
        let settings = NetworkSettings {
            request_timeout: ms(config.request_timeout_ms.into()),
            reconnect_backoff: ms(config.reconnect_backoff_ms),
            reconnect_backoff_max: ms(config.reconnect_backoff_max_ms),
            max_in_flight: 1,
            ..NetworkSettings::default()
        };
        let mut connections = Connections::new(client, settings);
        for (i, address) in (1..).zip(bootstrap) {
            connections.learn(NodeId(-i), *address);
        }
        Admin {
            client,
            config,
            connections,
            cluster: Cluster {
                nodes: (1..).zip(bootstrap).map(|(i, _)| NodeId(-i)).collect(),
                is_bootstrap: true,
                controller: None,
                wanted: false,
                asked: None,
                last_try: None,
                last_update: None,
            },
            calls: Calls::default(),
            repeat: Vec::new(),
            described: VecDeque::new(),
            alarm: None,
        }
    }

    /// Whether all that was asked is done.
    pub fn is_idle(&self) -> bool {
        self.repeat.is_empty() && self.calls.iter().all(|c| c.ask == Ask::Nodes)
    }

    /// Describes topics; `described` has the answer.
    pub fn describe_topics(&mut self, names: Vec<Arc<str>>, cx: &mut Context<'_>) -> CallId {
        self.call(Ask::DescribeTopics(names), false, cx)
    }

    /// The next answer to `describe_topics`.
    pub fn described(&mut self) -> Option<(CallId, Described)> {
        self.described.pop_front()
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::CreateTopics(topics)) if !topics.is_empty() => {
                self.call(Ask::CreateTopics(topics, false), true, cx);
            }
            Input::Command(Command::Call(ask)) => {
                self.call(ask, false, cx);
            }
            Input::Stop => cx.exit(Exit::Stopped),
            Input::Timer(Timer::Client(_)) => {
                self.alarm = None;
                self.run(cx);
            }
            other => {
                let happened = self.connections.handle(other, cx);
                self.happened(happened, cx);
                self.run(cx);
            }
        }
    }

    /// Makes a call; a patient one is made again while its failure may pass.
    fn call(&mut self, ask: Ask, patient: bool, cx: &mut Context<'_>) -> CallId {
        let deadline = cx.now() + ms(self.config.default_api_timeout_ms.into());
        let id = self.calls.add(ask, deadline, patient);
        self.run(cx);
        id
    }

    /// KafkaAdminClient's loop: timeouts, nodes, sends.
    fn run(&mut self, cx: &mut Context<'_>) {
        let happened = self.connections.expire(cx);
        self.happened(happened, cx);
        self.repeat_due(cx);
        self.expire_calls(cx);
        self.ask_for_nodes(cx);
        for id in self.calls.to_send(cx.now()) {
            self.send(id, cx);
        }
        self.set_alarm(cx);
    }

    fn repeat_due(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let deadline = now + ms(self.config.default_api_timeout_ms.into());
        let (due, later) = self.repeat.drain(..).partition(|(at, _)| *at <= now);
        self.repeat = later;
        let due: Vec<(Time, Ask)> = due;
        for (_, ask) in due {
            self.calls.add(ask, deadline, true);
        }
    }

    fn expire_calls(&mut self, cx: &mut Context<'_>) {
        for (id, state) in self.calls.expired(cx.now()) {
            match state {
                // The failure of the request, which comes with it, ends the call.
                CallState::InFlight(node) => {
                    let happened = self.connections.disconnect(node, cx);
                    self.happened(happened, cx);
                }
                _ => self.end_without_answer(id, ErrorCode::RequestTimedOut, cx),
            }
        }
    }

    /// One question about the nodes at a time, no sooner than `retry.backoff.ms` after the last.
    fn ask_for_nodes(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        if self.cluster.asked.is_none() && self.next_question(now) <= now {
            let deadline = now + ms(self.config.request_timeout_ms.into());
            self.cluster.last_try = Some(now);
            self.cluster.asked = Some(self.calls.add(Ask::Nodes, deadline, false));
        }
    }

    fn next_question(&self, now: Time) -> Time {
        let cluster = &self.cluster;
        let may = cluster
            .last_try
            .map_or(now, |t| t + ms(self.config.retry_backoff_ms));
        let due = match cluster.last_update {
            Some(last) if !cluster.wanted => last + ms(self.config.metadata_max_age_ms),
            _ => may,
        };
        may.max(due)
    }

    fn send(&mut self, id: CallId, cx: &mut Context<'_>) {
        let Some(node) = self.node_for(id, cx) else {
            return;
        };
        let call = self.calls.get_mut(id).expect("it is to be sent");
        call.state = CallState::Assigned(node);
        let left = call.deadline.since(cx.now());
        let request = call
            .ask
            .request(left.min(ms(self.config.request_timeout_ms.into())));
        if !self.calls.is_busy(node) && self.connections.ready(node, cx) {
            self.calls.get_mut(id).expect("it is sent").state = CallState::InFlight(node);
            self.connections.send(node, request, id, cx);
        }
    }

    /// The node that the call was assigned to, or another. Without one, metadata is wanted.
    fn node_for(&mut self, id: CallId, cx: &mut Context<'_>) -> Option<NodeId> {
        let call = self.calls.get_mut(id).expect("it is to be sent");
        if let CallState::Assigned(node) = call.state {
            return Some(node);
        }
        let node = match &call.ask {
            Ask::Nodes => self.connections.least_loaded(&self.cluster.nodes, cx),
            _ if self.cluster.is_bootstrap => None,
            ask => match ask.goal() {
                Goal::Controller => self.cluster.controller,
                Goal::Node(node) => Some(node).filter(|n| self.cluster.nodes.contains(n)),
                Goal::LeastLoaded => self.connections.least_loaded(&self.cluster.nodes, cx),
            },
        };
        self.cluster.wanted |= node.is_none();
        node
    }

    fn happened(&mut self, happened: Happenings<CallId>, cx: &mut Context<'_>) {
        for one in happened {
            match one {
                Happened::Answered(_, id, response) => self.answered(id, response, cx),
                Happened::Failed(_, id, error) => self.failed(id, error, cx),
                Happened::Disconnected(node) => {
                    self.cluster.wanted = true;
                    self.calls.unassign(|n| n == node);
                }
                Happened::Ready(_) | Happened::Sent(..) => {}
            }
        }
    }

    fn answered(&mut self, id: CallId, response: Response, cx: &mut Context<'_>) {
        if answers::is_from_no_controller(&response) {
            self.cluster.controller = None;
            self.cluster.wanted = true;
            return self.failed(id, ErrorCode::NotController, cx);
        }
        let call = self.calls.remove(id).expect("what is answered was asked");
        match (call.ask, response) {
            (Ask::Nodes, Response::Metadata(r)) => self.learn(&r, cx.now()),
            (Ask::DescribeTopics(_), Response::Metadata(r)) => {
                self.described.push_back((id, Ok(r.topics)));
            }
            (ask, response) => {
                let (facts, again) = answers::taken(ask, response);
                for fact in facts {
                    cx.tell(Event::Admin(fact));
                }
                let again = again.filter(|_| call.patient);
                self.repeat
                    .extend(again.map(|ask| (cx.now() + OPERATOR_WAITS, ask)));
            }
        }
    }

    fn learn(&mut self, response: &MetadataResponse, now: Time) {
        self.cluster.asked = None;
        self.cluster.wanted = false;
        self.cluster.last_update = Some(now);
        if !response.brokers.is_empty() {
            self.cluster.is_bootstrap = false;
            self.cluster.nodes = response.brokers.iter().map(|b| b.node_id).collect();
            self.cluster.controller = response.controller_id;
        }
        for broker in &response.brokers {
            self.connections.learn(broker.node_id, broker.address);
        }
        self.calls.unassign(|_| true);
    }

    fn failed(&mut self, id: CallId, error: ErrorCode, cx: &mut Context<'_>) {
        if self.cluster.asked == Some(id) {
            // Whoever needs the nodes asks again.
            self.cluster.asked = None;
            self.cluster.wanted = true;
            self.calls.remove(id);
            return;
        }
        let backoff = Backoff::new(
            ms(self.config.retry_backoff_ms),
            ms(self.config.retry_backoff_max_ms),
        );
        let drawn = cx.draw(Purpose::RetryBackoff(self.client));
        if !self.calls.failed(id, backoff, drawn, cx.now()) {
            self.end_without_answer(id, error, cx);
        }
    }

    /// The call's deadline has passed. What became of it nobody knows.
    fn end_without_answer(&mut self, id: CallId, error: ErrorCode, cx: &mut Context<'_>) {
        let call = self.calls.remove(id).expect("it had not ended");
        match call.ask {
            Ask::Nodes => {
                self.cluster.asked = None;
                self.cluster.wanted = true;
            }
            Ask::DescribeTopics(_) => self.described.push_back((id, Err(error))),
            ask => {
                let api = ask.request(Duration::ZERO).api();
                cx.tell(Event::Admin(AdminEvent::CallTimedOut { api }));
                if call.patient {
                    self.repeat.push((cx.now() + OPERATOR_WAITS, ask));
                }
            }
        }
    }

    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let is_needed = self.cluster.wanted || self.cluster.last_update.is_some();
        let nodes = (self.cluster.asked.is_none() && is_needed).then(|| self.next_question(now));
        let backoff = self.calls.iter().next().and_then(|_| {
            let ends = self.cluster.nodes.iter();
            ends.filter_map(|n| self.connections.backing_off_until(*n, now))
                .min()
        });
        let all = [
            self.connections.next_deadline(),
            self.calls.next_deadline(now),
            self.repeat.iter().map(|(at, _)| *at).min(),
            nodes,
            backoff,
        ];
        let earliest = all.into_iter().flatten().min();
        if earliest != self.alarm {
            self.alarm = earliest;
            if let Some(at) = earliest {
                cx.set_timer(Timer::Client(self.client), at.max(now));
            }
        }
    }
}

fn ms(n: i64) -> Duration {
    Duration::millis(u64::try_from(n).unwrap_or(0))
}

#[cfg(test)]
mod tests;
