//! At most one request at a time to each node, and a pause after a failure: Kafka's RequestManager.
//!
//! Requests to one node are answered, or fail, in the order in which they were sent, each exactly once; so an answer is
//! paired with its request by counting.

use crate::ids::NodeId;
use crate::sorted::Sorted;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::VecDeque;

/// What is under way to each node.
#[derive(Clone, Debug, Serialize)]
pub struct Requests {
    retry_backoff: Duration,
    request_timeout: Duration,
    nodes: Sorted<NodeId, Node>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Node {
    /// Requests without an answer, oldest first; whether the answer still matters.
    sent: VecDeque<bool>,
    state: State,
}

/// Ready -> Awaiting (sent) -> Ready (handled well, or timed out) or BackingOff (failed) -> Ready (after the pause).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
enum State {
    #[default]
    Ready,
    Awaiting {
        until: Time,
    },
    BackingOff {
        until: Time,
    },
}

impl Requests {
    /// Nothing under way.
    pub fn new(retry_backoff: Duration, request_timeout: Duration) -> Requests {
        Requests {
            retry_backoff,
            request_timeout,
            nodes: Sorted::default(),
        }
    }

    /// Whether a request may be sent to the node.
    pub fn is_ready(&self, node: NodeId, now: Time) -> bool {
        match self.state(node) {
            State::Ready => true,
            State::Awaiting { until } | State::BackingOff { until } => until <= now,
        }
    }

    /// Whether the node's last request failed just now.
    pub fn is_backing_off(&self, node: NodeId, now: Time) -> bool {
        matches!(self.state(node), State::BackingOff { until } if until > now)
    }

    /// Whether the node has owed an answer for too long.
    pub fn has_timed_out(&self, node: NodeId, now: Time) -> bool {
        matches!(self.state(node), State::Awaiting { until } if until <= now)
    }

    /// Whether any node owes an answer that is not overdue.
    pub fn any_in_flight(&self, now: Time) -> bool {
        let in_flight = |n: &Node| matches!(n.state, State::Awaiting { until } if until > now);
        self.nodes.values().any(in_flight)
    }

    /// A request is sent.
    pub fn sent(&mut self, node: NodeId, now: Time) {
        let n = self.nodes.get_or_default(node);
        // What was asked before does not matter any more.
        n.sent.iter_mut().for_each(|matters| *matters = false);
        n.sent.push_back(true);
        n.state = State::Awaiting {
            until: now + self.request_timeout,
        };
    }

    /// The oldest request to the node is answered or failed; whether that matters.
    pub fn ended(&mut self, node: NodeId) -> bool {
        self.nodes
            .get_mut(&node)
            .and_then(|n| n.sent.pop_front())
            .unwrap_or(false)
    }

    /// The node may be asked again at once.
    pub fn reset(&mut self, node: NodeId) {
        if let Some(n) = self.nodes.get_mut(&node) {
            n.forget();
        }
    }

    /// The state has changed: no answer to anything asked before matters.
    pub fn reset_all(&mut self) {
        self.nodes.values_mut().for_each(Node::forget);
    }

    /// The answer was no good: a pause.
    pub fn back_off(&mut self, node: NodeId, now: Time) {
        let until = now + self.retry_backoff;
        self.nodes.get_or_default(node).state = State::BackingOff { until };
    }

    /// When a node may be asked again that may not be now.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let until = |n: &Node| match n.state {
            State::Ready => None,
            State::Awaiting { until } | State::BackingOff { until } => {
                Some(until).filter(|u| *u > now)
            }
        };
        self.nodes.values().filter_map(until).min()
    }

    fn state(&self, node: NodeId) -> State {
        self.nodes.get(&node).map_or(State::Ready, |n| n.state)
    }
}

impl Node {
    fn forget(&mut self) {
        self.sent.iter_mut().for_each(|matters| *matters = false);
        self.state = State::Ready;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: NodeId = NodeId(3001);

    fn requests() -> Requests {
        Requests::new(Duration::millis(20), Duration::millis(2_000))
    }

    #[test]
    fn an_answer_to_a_request_from_before_a_change_of_state_does_not_matter() {
        let mut r = requests();
        r.sent(N, Time(0));
        r.reset_all();
        r.sent(N, Time(1));
        assert!(!r.ended(N));
        assert!(r.ended(N));
    }

    #[test]
    fn a_failed_node_is_left_alone_for_the_retry_backoff() {
        let mut r = requests();
        r.sent(N, Time(0));
        assert!(r.ended(N));
        r.back_off(N, Time(0));
        assert!(!r.is_ready(N, Time(0)));
        assert!(r.is_ready(N, Time(0) + Duration::millis(20)));
    }

    #[test]
    fn an_overdue_node_may_be_asked_again() {
        let mut r = requests();
        r.sent(N, Time(0));
        let late = Time(0) + Duration::millis(2_000);
        assert!(r.has_timed_out(N, late));
        assert!(r.is_ready(N, late));
        assert!(!r.any_in_flight(late));
    }
}
