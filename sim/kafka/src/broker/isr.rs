//! The ISR as its leader holds it: Kafka's PartitionState (committed, or with one change pending) and the queue of changes
//! to the controller, Kafka's AlterPartitionManager (R-13, R-39, KIP-497).
//!
//! It keeps: at most one change of a partition is pending, at most one request of a broker in flight. While a change is
//! pending the *maximal* ISR counts for the high watermark: a newcomer already, a leaver still.

use crate::ids::{BrokerEpoch, NodeId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::cluster::*;
use crate::rules::{HwQuorum, Rules};
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// The in-sync replicas of a partition, at its leader. The legal transitions, with their causes:
/// - committed -> pending: a follower has caught up, or has not for too long;
/// - pending -> committed, as proposed: the controller's answer, or its metadata;
/// - pending -> committed, as before: the controller says that it did not do it (INELIGIBLE_REPLICA), or the change could
///   not even be queued;
/// - any -> committed, as the metadata says: a later partition epoch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Isr {
    committed: Vec<NodeId>,
    pending: Option<Pending>,
}

/// A change that was proposed and is not decided yet.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Pending {
    /// Who shall come in; `None` if somebody shall leave.
    pub joining: Option<NodeId>,
    /// What the controller was asked for.
    pub proposal: AlterPartitionData,
}

impl Isr {
    /// The ISR that the controller has committed.
    pub fn committed_as(members: Vec<NodeId>) -> Isr {
        Isr {
            committed: members,
            pending: None,
        }
    }

    /// The ISR last committed by the controller.
    pub fn committed(&self) -> &[NodeId] {
        &self.committed
    }

    /// The change that is not decided yet.
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Whether the high watermark must wait for a replica. `hw-quorum` off: a newcomer counts only once the
    /// leader knows that it is in, though the controller may let it lead already.
    pub fn counts(&self, replica: NodeId, rules: &Rules) -> bool {
        self.committed.contains(&replica)
            || (rules.hw_quorum == HwQuorum::MaximalIsr && self.joining() == Some(replica))
    }

    /// How many replicas the maximal ISR has.
    pub fn maximal_len(&self, rules: &Rules) -> usize {
        let joins = rules.hw_quorum == HwQuorum::MaximalIsr && self.joining().is_some();
        self.committed.len() + usize::from(joins)
    }

    /// A change is under way from now on.
    ///
    /// # Panics
    /// If there is one already: one at a time (KAFKA-12686).
    pub fn propose(&mut self, joining: Option<NodeId>, proposal: AlterPartitionData) {
        assert!(self.pending.is_none(), "one ISR change at a time");
        self.pending = Some(Pending { joining, proposal });
    }

    /// The change did not happen and never will: back to what is committed.
    pub fn revert(&mut self) {
        self.pending = None;
    }

    /// The controller committed these members.
    pub fn commit(&mut self, members: Vec<NodeId>) {
        *self = Isr::committed_as(members);
    }

    fn joining(&self) -> Option<NodeId> {
        self.pending.as_ref().and_then(|p| p.joining)
    }
}

/// After an error about a request as a whole it is sent again.
const RETRY: Duration = Duration::millis(50);

/// Proposed changes on their way to the controller.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AlterPartitions {
    unsent: BTreeMap<TopicIdPartition, AlterPartitionData>,
    in_flight: Option<Vec<TopicIdPartition>>,
    retry_at: Option<Time>,
}

/// The controller's word on one proposal.
#[derive(Clone, PartialEq, Debug)]
pub struct Decided {
    /// Which partition.
    pub partition: TopicIdPartition,
    /// What was proposed.
    pub proposal: AlterPartitionData,
    /// The partition as it is now, or why it was not changed.
    pub result: Result<AlterPartitionResult, ErrorCode>,
}

impl AlterPartitions {
    /// Queues a proposal; false if an earlier one of the same partition is not answered yet: Kafka's
    /// OPERATION_NOT_ATTEMPTED, which never leaves the broker.
    pub fn submit(&mut self, proposal: AlterPartitionData) -> bool {
        let partition = TopicIdPartition {
            topic: proposal.topic_id,
            partition: proposal.partition,
        };
        if self.unsent.contains_key(&partition) {
            return false;
        }
        self.unsent.insert(partition, proposal);
        true
    }

    /// The next request, with all that is queued, if none is in flight.
    pub fn next_request(
        &mut self,
        broker_id: NodeId,
        broker_epoch: BrokerEpoch,
        now: Time,
    ) -> Option<AlterPartitionRequest> {
        let waits = self.retry_at.is_some_and(|at| now < at);
        if self.unsent.is_empty() || self.in_flight.is_some() || waits {
            return None;
        }
        self.retry_at = None;
        self.in_flight = Some(self.unsent.keys().copied().collect());
        Some(AlterPartitionRequest {
            broker_id,
            broker_epoch,
            partitions: self.unsent.values().cloned().collect(),
        })
    }

    /// The controller's answer, as one word per proposal; none if the request as a whole failed and is made again.
    pub fn answered(&mut self, response: AlterPartitionResponse, now: Time) -> Vec<Decided> {
        let asked = self.in_flight.take().unwrap_or_default();
        if !response.error_code.is_none() {
            self.retry_at = Some(now + RETRY);
            return Vec::new();
        }
        let mut decided = Vec::new();
        for result in response.partitions {
            let partition = TopicIdPartition {
                topic: result.topic_id,
                partition: result.partition,
            };
            if !asked.contains(&partition) {
                continue;
            }
            let Some(proposal) = self.unsent.remove(&partition) else {
                continue;
            };
            let result = if result.error_code.is_none() {
                Ok(result)
            } else {
                Err(result.error_code)
            };
            decided.push(Decided {
                partition,
                proposal,
                result,
            });
        }
        decided
    }

    /// When to ask again after an error.
    pub fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, PartitionEpoch, TopicId};

    const ME: NodeId = NodeId(1);

    fn proposal(partition: i32, isr: &[i32]) -> AlterPartitionData {
        AlterPartitionData {
            topic_id: TopicId(9),
            partition,
            leader_epoch: LeaderEpoch(4),
            new_isr: isr
                .iter()
                .map(|n| BrokerState {
                    broker_id: NodeId(*n),
                    broker_epoch: None,
                })
                .collect(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            partition_epoch: PartitionEpoch(2),
        }
    }

    fn answer(partition: i32, error_code: ErrorCode) -> AlterPartitionResponse {
        AlterPartitionResponse {
            error_code: ErrorCode::None,
            partitions: vec![AlterPartitionResult {
                topic_id: TopicId(9),
                partition,
                error_code,
                leader_id: Some(ME),
                leader_epoch: LeaderEpoch(4),
                isr: vec![ME],
                leader_recovery_state: LeaderRecoveryState::Recovered,
                partition_epoch: PartitionEpoch(3),
            }],
        }
    }

    fn next(queue: &mut AlterPartitions, at: u64) -> Option<AlterPartitionRequest> {
        queue.next_request(ME, BrokerEpoch(5), Time(0) + Duration::millis(at))
    }

    #[test]
    fn a_pending_newcomer_counts_already_and_a_pending_leaver_still() {
        //
        let rules = Rules::default();
        let mut isr = Isr::committed_as(vec![NodeId(1), NodeId(2)]);
        isr.propose(Some(NodeId(3)), proposal(0, &[1, 2, 3]));
        assert!(isr.counts(NodeId(3), &rules));
        assert_eq!((isr.committed().len(), isr.maximal_len(&rules)), (2, 3));
        let mut isr = Isr::committed_as(vec![NodeId(1), NodeId(2)]);
        isr.propose(None, proposal(0, &[1]));
        assert!(isr.counts(NodeId(2), &rules));
        assert_eq!(isr.maximal_len(&rules), 2);
    }

    #[test]
    fn without_kip_497_a_pending_newcomer_does_not_count() {
        let rules = Rules {
            hw_quorum: HwQuorum::CommittedIsr,
            ..Rules::default()
        };
        let mut isr = Isr::committed_as(vec![NodeId(1), NodeId(2)]);
        isr.propose(Some(NodeId(3)), proposal(0, &[1, 2, 3]));
        assert!(!isr.counts(NodeId(3), &rules));
        assert_eq!(isr.maximal_len(&rules), 2);
    }

    #[test]
    fn proposals_are_batched_and_one_request_is_in_flight() {
        let mut queue = AlterPartitions::default();
        assert!(queue.submit(proposal(0, &[1])));
        assert!(queue.submit(proposal(1, &[1])));
        assert_eq!(next(&mut queue, 0).map(|r| r.partitions.len()), Some(2));
        assert!(queue.submit(proposal(2, &[1])));
        assert_eq!(next(&mut queue, 0), None);
    }

    #[test]
    fn a_second_proposal_of_one_partition_is_not_even_attempted() {
        let mut queue = AlterPartitions::default();
        queue.submit(proposal(0, &[1]));
        next(&mut queue, 0);
        assert!(!queue.submit(proposal(0, &[1, 2])));
        let decided = queue.answered(answer(0, ErrorCode::None), Time(0));
        assert_eq!(decided[0].proposal, proposal(0, &[1]));
        assert!(queue.submit(proposal(0, &[1, 2])));
    }

    #[test]
    fn an_error_about_the_whole_request_is_retried_after_50_ms_with_the_same_proposals() {
        let mut queue = AlterPartitions::default();
        queue.submit(proposal(0, &[1]));
        next(&mut queue, 0);
        let stale = AlterPartitionResponse {
            error_code: ErrorCode::StaleBrokerEpoch,
            partitions: Vec::new(),
        };
        assert_eq!(queue.answered(stale, Time(0)), []);
        assert_eq!(next(&mut queue, 49), None);
        assert_eq!(next(&mut queue, 50).map(|r| r.partitions.len()), Some(1));
    }

    #[test]
    fn a_refusal_is_told_with_its_error() {
        let mut queue = AlterPartitions::default();
        queue.submit(proposal(0, &[1]));
        next(&mut queue, 0);
        let decided = queue.answered(answer(0, ErrorCode::IneligibleReplica), Time(0));
        assert_eq!(decided[0].result, Err(ErrorCode::IneligibleReplica));
    }
}
