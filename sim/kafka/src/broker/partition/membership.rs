//! Who is in the ISR: what followers' fetches show, and the changes that a leader asks the controller for (R-9…R-14).

use super::leader::{is_eligible, is_stale};
use super::{Here, Leader, Outcome, Partition, Role};
use crate::broker::isr::Decided;
use crate::broker::replica::FollowerFetch;
use crate::effect::Effects;
use crate::event::ReplicaEvent;
use crate::ids::{LeaderEpoch, NodeId};
use crate::protocol::ErrorCode;
use crate::protocol::cluster::{AlterPartitionData, LeaderRecoveryState};

impl Partition {
    /// a fetch comes from a replica of this partition.
    ///
    /// # Errors
    /// UNKNOWN_LEADER_EPOCH if the epoch fits and the replica does not, so that it asks again: its metadata are ahead.
    pub fn check_follower(
        &self,
        follower: NodeId,
        current: Option<LeaderEpoch>,
    ) -> Result<(), ErrorCode> {
        let leader = self.check_leader(current)?;
        match (leader.follower(follower), current) {
            (Some(_), _) => Ok(()),
            (None, Some(_)) => Err(ErrorCode::UnknownLeaderEpoch),
            (None, None) => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// A follower fetched: its end is what it asked for. Perhaps it may join the ISR, perhaps the high watermark
    /// moves.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER for a fetch of an earlier incarnation (KIP-903).
    pub fn note_fetch(
        &mut self,
        follower: NodeId,
        fetch: &FollowerFetch,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<Outcome, ErrorCode> {
        if is_stale(follower, fetch.broker_epoch, here) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let Role::Leader(leader) = &mut self.role else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        let Some(replica) = leader.follower_mut(follower) else {
            return Ok(Outcome::default());
        };
        let before = (replica.leo(), replica.log_start());
        replica.fetched(fetch);
        let has_moved = before.0 != replica.leo();
        let start_moved = before.1 != replica.log_start();
        if has_moved {
            let leo = fetch.offset;
            self.tell(ReplicaEvent::FollowerFetched { follower, leo }, out);
        }
        let proposal = self.expand_isr(follower, here, out);
        let hw_moved = has_moved && self.advance_hw(here, out);
        Ok(Outcome {
            hw_moved,
            start_moved,
            proposal: proposal.map(Box::new),
        })
    }

    /// proposes to take a follower in, if it has caught up. It must have reached the start of the leader's own epoch:
    /// below that this leader may hold committed records whose being committed it does not know of yet (KAFKA-7128).
    fn expand_isr(
        &mut self,
        follower: NodeId,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Option<AlterPartitionData> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        let isr = &leader.isr;
        if isr.pending().is_some() || isr.committed().contains(&follower) {
            return None;
        }
        let replica = leader.follower(follower)?;
        let end = replica.leo()?;
        let caught_up = end >= self.log.hw()
            && (end >= leader.epoch_start || !here.rules.isr_expand_epoch_start);
        if !caught_up || !is_eligible(follower, replica, here) {
            return None;
        }
        let mut members = isr.committed().to_vec();
        members.push(follower);
        Some(self.propose(members, Some(follower), here, out))
    }

    /// proposes to throw out the members that have not been caught up for `replica.lag.time.max.ms`.
    pub fn shrink_isr(&mut self, here: Here<'_>, out: &mut Effects) -> Option<AlterPartitionData> {
        let Role::Leader(leader) = &self.role else {
            return None;
        };
        if leader.isr.pending().is_some() {
            return None;
        }
        let (leo, lag) = (self.log.leo(), here.config.replica_lag_time_max_ms);
        let stays = |member: &NodeId| {
            *member == here.node
                || leader
                    .follower(*member)
                    .is_some_and(|r| r.is_caught_up(leo, here.now, lag))
        };
        let members = leader.isr.committed().iter().copied();
        let members: Vec<NodeId> = members.filter(stays).collect();
        if members.len() == leader.isr.committed().len() {
            return None;
        }
        Some(self.propose(members, None, here, out))
    }

    fn propose(
        &mut self,
        members: Vec<NodeId>,
        joining: Option<NodeId>,
        here: Here<'_>,
        out: &mut Effects,
    ) -> AlterPartitionData {
        let partition_epoch = self.partition_epoch.expect("a leader was told its epochs");
        let event = ReplicaEvent::IsrChangePending {
            isr: members.clone().into(),
            partition_epoch,
        };
        self.tell(event, out);
        let id = self.id();
        let leader_epoch = self.leader_epoch.expect("a leader was told its epochs");
        let Role::Leader(leader) = &mut self.role else {
            unreachable!("because only a leader proposes");
        };
        let proposal = AlterPartitionData {
            topic_id: id.topic,
            partition: id.partition,
            leader_epoch,
            new_isr: members
                .into_iter()
                .map(|m| leader.broker_state(m, here))
                .collect(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            partition_epoch,
        };
        leader.isr.propose(joining, proposal.clone());
        proposal
    }

    /// The controller's word on a proposal. One that is no longer the pending one is out of date, and ignored.
    pub fn decided(&mut self, decided: &Decided, here: Here<'_>, out: &mut Effects) -> Outcome {
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let Some(leader) = self.awaits(&decided.proposal) else {
            return Outcome::default();
        };
        let event = match &decided.result {
            Ok(r) if Some(r.leader_epoch) != leader_epoch => return Outcome::default(),
            Ok(r) if Some(r.partition_epoch) < partition_epoch => return Outcome::default(),
            Ok(r) => {
                leader.isr.commit(r.isr.clone());
                self.partition_epoch = Some(r.partition_epoch);
                ReplicaEvent::IsrChanged {
                    isr: r.isr.clone().into(),
                    partition_epoch: r.partition_epoch,
                }
            }
            Err(error) => {
                // The controller did not do it and never will; so the committed ISR is known again.
                if *error == ErrorCode::IneligibleReplica {
                    leader.isr.revert();
                }
                ReplicaEvent::IsrChangeRefused { error: *error }
            }
        };
        self.tell(event, out);
        let again = decided.result.as_ref().is_err_and(|e| is_worth_a_retry(*e));
        Outcome {
            // The ISR may be this replica alone now.
            hw_moved: decided.result.is_ok() && self.advance_hw(here, out),
            start_moved: false,
            proposal: again.then(|| Box::new(decided.proposal.clone())),
        }
    }

    /// A proposal could not even be queued: an older one of this partition is still under way.
    pub fn not_attempted(&mut self, proposal: &AlterPartitionData) {
        if let Some(leader) = self.awaits(proposal) {
            leader.isr.revert();
        }
    }

    fn awaits(&mut self, proposal: &AlterPartitionData) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => {
                let pending = leader.isr.pending().map(|p| &p.proposal);
                (pending == Some(proposal)).then_some(leader)
            }
            Role::Follower { .. } => None,
        }
    }
}

/// other errors say that this leader's view is out of date; it waits for the metadata.
fn is_worth_a_retry(error: ErrorCode) -> bool {
    use ErrorCode::*;
    !matches!(
        error,
        IneligibleReplica
            | UnknownTopicOrPartition
            | UnknownTopicId
            | FencedLeaderEpoch
            | InvalidUpdateVersion
            | InvalidRequest
            | NewLeaderElected
    )
}
