//! Calls of an admin client, from the first try to the last: KafkaAdminClient's Call and its queues.
//!
//! A call is tried again, ever later, while its failures are retriable and its deadline has not passed. One call at a time
//! is in flight to a node.

use crate::client::backoff::Backoff;
use crate::ids::NodeId;
use crate::protocol::Request;
use crate::protocol::admin::*;
use crate::protocol::metadata::MetadataRequest;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::sync::Arc;

/// Names a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct CallId(pub u64);

/// What is asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Ask {
    /// Which brokers there are (the client's own need).
    Nodes,
    /// CreateTopics; with true only whether they could be.
    CreateTopics(Vec<CreatableTopic>, bool),
    /// DeleteTopics.
    DeleteTopics(Vec<TopicRef>),
    /// CreatePartitions; with true only whether they could be.
    CreatePartitions(Vec<CreatePartitionsTopic>, bool),
    /// ElectLeaders, of some partitions or of all.
    ElectLeaders(ElectionType, Option<Vec<(Arc<str>, i32)>>),
    /// IncrementalAlterConfigs; with true only whether they could be.
    AlterConfigs(Vec<AlterConfigsResource>, bool),
    /// DescribeConfigs.
    DescribeConfigs(Vec<ConfigResource>),
    /// DescribeTopics, by name.
    DescribeTopics(Vec<Arc<str>>),
}

/// Kafka's NodeProviders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// The node that Metadata calls the controller. In KRaft that is any broker, which forwards.
    Controller,
    /// The broker whose configs they are.
    Node(NodeId),
    /// Whoever has least to do.
    LeastLoaded,
}

impl Ask {
    /// Whom it is asked.
    pub fn goal(&self) -> Goal {
        let of = |resource: Option<&ConfigResource>| match resource {
            Some(ConfigResource::Broker(node)) => Goal::Node(*node),
            _ => Goal::LeastLoaded,
        };
        match self {
            Ask::CreateTopics(..)
            | Ask::DeleteTopics(_)
            | Ask::CreatePartitions(..)
            | Ask::ElectLeaders(..) => Goal::Controller,
            Ask::AlterConfigs(changes, _) => of(changes.first().map(|c| &c.resource)),
            Ask::DescribeConfigs(resources) => of(resources.first()),
            Ask::Nodes | Ask::DescribeTopics(_) => Goal::LeastLoaded,
        }
    }

    /// The request, that may take so long.
    pub fn request(&self, timeout: Duration) -> Request {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        match self.clone() {
            Ask::Nodes => Request::Metadata(MetadataRequest {
                topics: Some(Vec::new()),
                allow_auto_topic_creation: true,
            }),
            Ask::CreateTopics(topics, validate_only) => {
                Request::CreateTopics(CreateTopicsRequest {
                    topics,
                    timeout_ms,
                    validate_only,
                })
            }
            Ask::DeleteTopics(topics) => {
                Request::DeleteTopics(DeleteTopicsRequest { topics, timeout_ms })
            }
            Ask::CreatePartitions(topics, validate_only) => {
                Request::CreatePartitions(CreatePartitionsRequest {
                    topics,
                    timeout_ms,
                    validate_only,
                })
            }
            Ask::ElectLeaders(election_type, partitions) => {
                Request::ElectLeaders(ElectLeadersRequest {
                    election_type,
                    partitions,
                    timeout_ms,
                })
            }
            Ask::AlterConfigs(resources, validate_only) => {
                Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
                    resources,
                    validate_only,
                })
            }
            Ask::DescribeConfigs(resources) => {
                Request::DescribeConfigs(DescribeConfigsRequest { resources })
            }
            Ask::DescribeTopics(names) => Request::Metadata(MetadataRequest {
                topics: Some(names),
                allow_auto_topic_creation: false,
            }),
        }
    }
}

/// A call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// What is asked.
    pub ask: Ask,
    /// After this it fails.
    pub deadline: Time,
    /// Where it stands.
    pub state: CallState,
    /// The operator gives the command again while its failure may pass.
    pub patient: bool,
    tries: u32,
}

/// Pending -> Assigned (a node was chosen) -> InFlight (sent) -> Pending (failed, retriable).
/// Assigned -> Pending (the node is lost, or metadata changed).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CallState {
    /// Waits for a node, or until it may be tried again.
    Pending {
        /// Not before this.
        not_before: Time,
    },
    /// Waits until the node can be sent to.
    Assigned(NodeId),
    /// Waits for the answer.
    InFlight(NodeId),
}

/// All calls that have not ended, oldest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    next: u64,
    open: Vec<Call>,
}

impl Calls {
    /// Takes up a call.
    pub fn add(&mut self, ask: Ask, deadline: Time, patient: bool) -> CallId {
        let id = CallId(self.next);
        self.next += 1;
        let not_before = Time(0);
        self.open.push(Call {
            id,
            ask,
            deadline,
            state: CallState::Pending { not_before },
            patient,
            tries: 0,
        });
        id
    }

    /// Those that have not ended.
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.open.iter()
    }

    /// One of them.
    pub fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.open.iter_mut().find(|c| c.id == id)
    }

    /// It has ended.
    pub fn remove(&mut self, id: CallId) -> Option<Call> {
        let i = self.open.iter().position(|c| c.id == id)?;
        Some(self.open.remove(i))
    }

    /// Whether a call is in flight to the node.
    pub fn is_busy(&self, node: NodeId) -> bool {
        self.open
            .iter()
            .any(|c| c.state == CallState::InFlight(node))
    }

    /// Those that may be tried now and are not in flight, oldest first.
    pub fn to_send(&self, now: Time) -> Vec<CallId> {
        let may = |c: &&Call| match c.state {
            CallState::Pending { not_before } => not_before <= now,
            CallState::Assigned(_) => true,
            CallState::InFlight(_) => false,
        };
        self.open.iter().filter(may).map(|c| c.id).collect()
    }

    /// Those whose deadline has passed.
    pub fn expired(&self, now: Time) -> Vec<(CallId, CallState)> {
        let late = self.open.iter().filter(|c| c.deadline <= now);
        late.map(|c| (c.id, c.state)).collect()
    }

    /// Calls that were to go to such a node look for another.
    pub fn unassign(&mut self, from: impl Fn(NodeId) -> bool) {
        for call in &mut self.open {
            if matches!(call.state, CallState::Assigned(node) if from(node)) {
                let not_before = Time(0);
                call.state = CallState::Pending { not_before };
            }
        }
    }

    /// A try failed with something that may pass. False if the deadline has, too.
    pub fn failed(&mut self, id: CallId, backoff: Backoff, drawn: u64, now: Time) -> bool {
        let Some(call) = self.get_mut(id) else {
            return true;
        };
        let not_before = now + backoff.after(call.tries, drawn);
        call.tries = call.tries.saturating_add(1);
        call.state = CallState::Pending { not_before };
        now < call.deadline
    }

    /// When a deadline passes or a wait ends next.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        let next = |c: &Call| match c.state {
            CallState::Pending { not_before } if not_before > now => c.deadline.min(not_before),
            _ => c.deadline,
        };
        self.open.iter().map(next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Backoff = Backoff::new(Duration::millis(100), Duration::secs(1));
    const MIDDLE: u64 = 1 << 63;

    fn at(ms: u64) -> Time {
        Time(0) + Duration::millis(ms)
    }

    #[test]
    fn a_failed_try_waits_ever_longer_until_the_deadline() {
        let mut calls = Calls::default();
        let id = calls.add(Ask::Nodes, at(60_000), false);
        let mut waits = Vec::new();
        for _ in 0..5 {
            assert!(calls.failed(id, RETRY, MIDDLE, at(0)));
            assert!(calls.to_send(at(0)).is_empty());
            waits.push(calls.next_deadline(at(0)).expect("it waits").0 / 1_000_000);
        }
        assert_eq!(waits, [100, 200, 400, 800, 1000]);
        assert!(!calls.failed(id, RETRY, MIDDLE, at(60_000)));
        assert_eq!(calls.expired(at(60_000)).len(), 1);
    }

    #[test]
    fn a_call_in_flight_keeps_others_from_its_node_and_is_not_unassigned() {
        let mut calls = Calls::default();
        let mut add = || calls.add(Ask::Nodes, at(9), false);
        let (a, b) = (add(), add());
        calls.get_mut(a).expect("open").state = CallState::InFlight(NodeId(1));
        calls.get_mut(b).expect("open").state = CallState::Assigned(NodeId(1));
        assert!(calls.is_busy(NodeId(1)));
        calls.unassign(|_| true);
        assert_eq!(calls.to_send(at(0)), [b]);
        let state = calls.get_mut(a).expect("open").state;
        assert_eq!(state, CallState::InFlight(NodeId(1)));
    }
}
