//! Who leads a partition next, and with which ISR: Kafka's PartitionChangeBuilder. A clean election takes a member of the ISR,
//! which has every committed record; an unclean one may lose some, and says so in the recovery state.
//!
//! Left out: eligible leader replicas and the last known leader, reassignment (K-27), log
//! directories.

use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::ids::{NodeId, TopicIdPartition};
use crate::protocol::cluster::LeaderRecoveryState;

/// Who may be elected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// The preferred replica before all others.
    Preferred,
    /// A member of the ISR.
    Online,
    /// If need be, any replica.
    Unclean,
}

/// A change of one partition: what it shall be, from what it is.
#[derive(Clone, Debug)]
pub struct PartitionChange<'a> {
    /// What it is.
    pub partition: &'a PartitionRegistration,
    /// What its ISR shall be.
    pub isr: Vec<NodeId>,
    /// What its recovery state shall be.
    pub recovery: LeaderRecoveryState,
    /// How its leader is elected.
    pub election: Election,
}

/// Who was elected, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Elected {
    leader: Option<NodeId>,
    unclean: bool,
}

impl<'a> PartitionChange<'a> {
    /// Nothing but an election.
    pub fn of(partition: &'a PartitionRegistration, election: Election) -> PartitionChange<'a> {
        PartitionChange {
            partition,
            isr: partition.isr.clone(),
            recovery: partition.recovery,
            election,
        }
    }

    /// The record that makes the change; `None` if there is nothing to change. `may_lead`: is an active broker.
    ///
    /// The last member of an ISR stays in it though it is gone: nobody else has the committed records for certain, and an
    /// empty ISR exists only with eligible leader replicas.
    pub fn build(
        &self,
        id: TopicIdPartition,
        may_lead: impl Fn(NodeId) -> bool,
    ) -> Option<MetadataRecord> {
        let elected = self.elect(&may_lead);
        let leader = (elected.leader != self.partition.leader).then_some(elected.leader);
        let (isr, recovery) = if leader.is_some() && elected.unclean {
            let recovery = LeaderRecoveryState::Recovering;
            (elected.leader.into_iter().collect(), recovery)
        } else if self.isr.is_empty() {
            (self.partition.isr.clone(), self.recovery)
        } else {
            (self.isr.clone(), self.recovery)
        };
        let isr = (isr != self.partition.isr).then_some(isr);
        let recovery = (recovery != self.partition.recovery).then_some(recovery);
        if leader.is_none() && isr.is_none() && recovery.is_none() {
            return None;
        }
        Some(MetadataRecord::PartitionChange {
            topic: id.topic,
            partition: id.partition,
            leader,
            isr,
            recovery,
        })
    }

    fn elect(&self, may_lead: &impl Fn(NodeId) -> bool) -> Elected {
        let replicas = &self.partition.replicas;
        let is_valid = |r: &NodeId| self.isr.contains(r) && may_lead(*r);
        let current = self.partition.leader.filter(is_valid);
        let first = || replicas.iter().copied().find(is_valid);
        let preferred = replicas.first().copied().filter(is_valid);
        let clean = match self.election {
            Election::Preferred => preferred.or(current).or_else(first),
            Election::Online | Election::Unclean => current.or_else(first),
        };
        let any = || replicas.iter().copied().find(|r| may_lead(*r));
        match clean {
            None if self.election == Election::Unclean => {
                let leader = any();
                Elected {
                    leader,
                    unclean: leader.is_some(),
                }
            }
            leader => Elected {
                leader,
                unclean: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, PartitionEpoch, TopicId};

    const ID: TopicIdPartition = TopicIdPartition {
        topic: TopicId(7),
        partition: 0,
    };

    fn nodes(ids: &[i32]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn partition(leader: Option<i32>, isr: &[i32]) -> PartitionRegistration {
        PartitionRegistration {
            replicas: nodes(&[1, 2, 3]),
            isr: nodes(isr),
            leader: leader.map(NodeId),
            recovery: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(4),
            partition_epoch: PartitionEpoch(9),
        }
    }

    /// Leader, ISR and recovery state of the record.
    type Change = (
        Option<Option<i32>>,
        Option<Vec<i32>>,
        Option<LeaderRecoveryState>,
    );

    fn change(
        partition: &PartitionRegistration,
        isr: &[i32],
        election: Election,
        active: &[i32],
    ) -> Option<Change> {
        let mut change = PartitionChange::of(partition, election);
        change.isr = nodes(isr);
        match change.build(ID, |r| active.contains(&r.0))? {
            MetadataRecord::PartitionChange {
                leader,
                isr,
                recovery,
                ..
            } => Some((
                leader.map(|l| l.map(|n| n.0)),
                isr.map(|i| i.iter().map(|n| n.0).collect()),
                recovery,
            )),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leader_that_may_stay_stays() {
        let p = partition(Some(2), &[1, 2, 3]);
        assert_eq!(change(&p, &[1, 2, 3], Election::Online, &[1, 2, 3]), None);
    }

    #[test]
    fn the_first_replica_in_assignment_order_that_is_in_the_isr_and_active_is_elected() {
        let p = partition(Some(1), &[3, 2, 1]);
        let elected = change(&p, &[3, 2], Election::Online, &[2, 3]);
        assert_eq!(elected, Some((Some(Some(2)), Some(vec![3, 2]), None)));
    }

    #[test]
    fn the_last_member_of_the_isr_stays_in_it_when_it_goes() {
        let p = partition(Some(1), &[1]);
        let elected = change(&p, &[], Election::Online, &[2, 3]);
        assert_eq!(elected, Some((Some(None), None, None)));
    }

    #[test]
    fn an_unclean_election_takes_any_active_replica_and_says_that_it_recovers() {
        let p = partition(Some(1), &[1]);
        let elected = change(&p, &[], Election::Unclean, &[2, 3]);
        let recovering = LeaderRecoveryState::Recovering;
        assert_eq!(
            elected,
            Some((Some(Some(2)), Some(vec![2]), Some(recovering)))
        );
    }

    #[test]
    fn an_unclean_election_is_clean_when_it_can_be() {
        let p = partition(None, &[1]);
        let elected = change(&p, &[1], Election::Unclean, &[1, 2, 3]);
        assert_eq!(elected, Some((Some(Some(1)), None, None)));
    }

    #[test]
    fn without_an_active_replica_even_an_unclean_election_finds_nobody() {
        let p = partition(Some(1), &[1]);
        let elected = change(&p, &[], Election::Unclean, &[]);
        assert_eq!(elected, Some((Some(None), None, None)));
    }

    #[test]
    fn the_preferred_replica_takes_over_from_a_good_leader_only_in_a_preferred_election() {
        let p = partition(Some(2), &[2, 1]);
        let elected = change(&p, &[2, 1], Election::Preferred, &[1, 2]);
        assert_eq!(elected, Some((Some(Some(1)), None, None)));
        assert_eq!(change(&p, &[2, 1], Election::Online, &[1, 2]), None);
    }

    #[test]
    fn a_preferred_replica_outside_the_isr_changes_nothing() {
        let p = partition(Some(2), &[2, 3]);
        assert_eq!(change(&p, &[2, 3], Election::Preferred, &[1, 2, 3]), None);
    }
}
