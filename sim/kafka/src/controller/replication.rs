//! What leaders and operators may change of partitions: ISRs by AlterPartition, elections by sweep
//! . Kafka's ReplicationControlManager.
//!
//! Left out: reassignment (K-27) and with it NEW_LEADER_ELECTED, eligible leader replicas.

use crate::controller::cluster::Cluster;
use crate::controller::election::{Election, PartitionChange};
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::decision::Decision;
use crate::ids::{LeaderEpoch, NodeId, PartitionEpoch, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::cluster::{
    AlterPartitionData, AlterPartitionRequest, AlterPartitionResponse, AlterPartitionResult,
    BrokerState, LeaderRecoveryState,
};
use crate::rules::Rules;

/// A sweep changes at most so many partitions at once, and goes on soon after.
const MAX_ELECTIONS: usize = 1_000;

impl Cluster<'_> {
    /// A leader wants other ISRs.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH for the request as a whole.
    pub fn alter_partition(
        &self,
        r: &AlterPartitionRequest,
        rules: &Rules,
    ) -> Result<Decision<MetadataRecord, AlterPartitionResponse>, ErrorCode> {
        self.check_broker_epoch(r.broker_id, r.broker_epoch)?;
        let mut records = Vec::new();
        let mut results = Vec::new();
        for data in &r.partitions {
            let id = TopicIdPartition {
                topic: data.topic_id,
                partition: data.partition,
            };
            results.push(
                match self.check_alter_partition(r.broker_id, id, data, rules) {
                    Err(error) => refused(id, error),
                    Ok(partition) => self.change_isr(id, partition, data, &mut records),
                },
            );
        }
        let response = AlterPartitionResponse {
            error_code: ErrorCode::None,
            partitions: results,
        };
        Ok(Decision::new(records, response))
    }

    /// R-14's checks, in its order.
    fn check_alter_partition(
        &self,
        sender: NodeId,
        id: TopicIdPartition,
        data: &AlterPartitionData,
        rules: &Rules,
    ) -> Result<&PartitionRegistration, ErrorCode> {
        let topic = self
            .image
            .topics
            .get(&id.topic)
            .ok_or(ErrorCode::UnknownTopicId)?;
        let partition = topic.partitions.get(&id.partition);
        let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        // Whoever knows more than this controller has heard it from another: this one is deposed, and its no would be
        // taken for final (KAFKA-14154).
        if data.leader_epoch > partition.leader_epoch
            || data.partition_epoch > partition.partition_epoch
        {
            return Err(ErrorCode::NotController);
        }
        if data.leader_epoch < partition.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if partition.leader != Some(sender) {
            return Err(ErrorCode::InvalidRequest);
        }
        if data.partition_epoch < partition.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let isr: Vec<NodeId> = data.new_isr.iter().map(|m| m.broker_id).collect();
        if !is_isr_of(&isr, &partition.replicas) || !isr.contains(&sender) {
            return Err(ErrorCode::InvalidRequest);
        }
        let recovering = data.leader_recovery_state == LeaderRecoveryState::Recovering;
        if recovering && (isr.len() > 1 || partition.recovery == LeaderRecoveryState::Recovered) {
            return Err(ErrorCode::InvalidRequest);
        }
        if !data.new_isr.iter().all(|m| self.is_eligible(m, rules)) {
            return Err(ErrorCode::IneligibleReplica);
        }
        Ok(partition)
    }

    /// Whether a broker may be in an ISR: registered, neither fenced nor shutting down (KIP-841), and still the incarnation
    /// that the leader saw fetch (KIP-903). Without the last check (`isr-broker-epoch` off) a broker that came back
    /// empty is let in for what its former self had.
    fn is_eligible(&self, member: &BrokerState, rules: &Rules) -> bool {
        let Some(broker) = self.image.brokers.get(&member.broker_id) else {
            return false;
        };
        let epoch = member.broker_epoch.filter(|_| rules.isr_broker_epoch);
        broker.is_active() && epoch.is_none_or(|e| e == broker.epoch)
    }

    fn change_isr(
        &self,
        id: TopicIdPartition,
        partition: &PartitionRegistration,
        data: &AlterPartitionData,
        records: &mut Vec<MetadataRecord>,
    ) -> AlterPartitionResult {
        let change = PartitionChange {
            partition,
            isr: data.new_isr.iter().map(|m| m.broker_id).collect(),
            recovery: data.leader_recovery_state,
            election: Election::Online,
        };
        let record = change.build(id, |r| self.image.is_active(r));
        let mut after = partition.clone();
        if let Some(record) = record {
            after.apply(&record);
            records.push(record);
        }
        AlterPartitionResult {
            topic_id: id.topic,
            partition: id.partition,
            error_code: ErrorCode::None,
            leader_id: after.leader,
            leader_epoch: after.leader_epoch,
            isr: after.isr,
            leader_recovery_state: after.recovery,
            partition_epoch: after.partition_epoch,
        }
    }

    /// Elects one partition's leader on demand: unclean whatever the topic's config says, but only without a
    /// leader.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, ELECTION_NOT_NEEDED, PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE.
    pub fn elect_leader(
        &self,
        id: TopicIdPartition,
        election: Election,
    ) -> Result<MetadataRecord, ErrorCode> {
        let partition = self
            .image
            .partition(id)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let preferred = election == Election::Preferred;
        let is_as_wanted = match election {
            Election::Preferred => partition.leader == partition.replicas.first().copied(),
            Election::Online | Election::Unclean => partition.leader.is_some(),
        };
        if is_as_wanted {
            return Err(ErrorCode::ElectionNotNeeded);
        }
        let record =
            PartitionChange::of(partition, election).build(id, |r| self.image.is_active(r));
        record.ok_or(if preferred {
            ErrorCode::PreferredLeaderNotAvailable
        } else {
            ErrorCode::EligibleLeadersNotAvailable
        })
    }

    /// The sweep that brings leadership back to preferred replicas; whether there may be more to do.
    pub fn balance_leaders(&self) -> Decision<MetadataRecord, bool> {
        let imbalanced = self
            .image
            .partitions()
            .filter(|(_, p)| p.leader != p.replicas.first().copied());
        self.sweep(imbalanced.map(|(id, _)| id), Election::Preferred)
    }

    /// The sweep over partitions without a leader whose topic allows unclean elections; whether there may be more to
    /// do.
    pub fn elect_unclean_leaders(&self) -> Decision<MetadataRecord, bool> {
        let leaderless = self
            .image
            .partitions()
            .filter(|(_, p)| p.leader.is_none())
            .map(|(id, _)| id);
        self.sweep(
            leaderless.filter(|id| self.is_unclean_enabled(*id)),
            Election::Unclean,
        )
    }

    fn sweep(
        &self,
        partitions: impl Iterator<Item = TopicIdPartition>,
        election: Election,
    ) -> Decision<MetadataRecord, bool> {
        let elected = partitions.filter_map(|id| self.elect_leader(id, election).ok());
        let records: Vec<MetadataRecord> = elected.take(MAX_ELECTIONS).collect();
        let more = records.len() == MAX_ELECTIONS;
        Decision::new(records, more)
    }
}

/// Every member once, and each a replica.
fn is_isr_of(isr: &[NodeId], replicas: &[NodeId]) -> bool {
    let once = |(i, m): (usize, &NodeId)| !isr[..i].contains(m);
    isr.iter().all(|m| replicas.contains(m)) && isr.iter().enumerate().all(once)
}

fn refused(id: TopicIdPartition, error_code: ErrorCode) -> AlterPartitionResult {
    AlterPartitionResult {
        topic_id: id.topic,
        partition: id.partition,
        error_code,
        leader_id: None,
        leader_epoch: LeaderEpoch(0),
        isr: Vec::new(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        partition_epoch: PartitionEpoch(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{TOPIC, Told, epoch_of, nodes, orders};
    use crate::ids::{BrokerEpoch, TopicId};

    /// Leader 1 asks for the ISR [1, 2] of a partition with leader epoch 1 and partition epoch 1.
    fn asked() -> AlterPartitionRequest {
        AlterPartitionRequest {
            broker_id: NodeId(1),
            broker_epoch: epoch_of(1),
            partitions: vec![AlterPartitionData {
                topic_id: TOPIC,
                partition: 0,
                leader_epoch: LeaderEpoch(1),
                new_isr: members(&[1, 2]),
                leader_recovery_state: LeaderRecoveryState::Recovered,
                partition_epoch: PartitionEpoch(1),
            }],
        }
    }

    fn members(ids: &[i32]) -> Vec<BrokerState> {
        let member = |id: &i32| BrokerState {
            broker_id: NodeId(*id),
            broker_epoch: Some(epoch_of(*id)),
        };
        ids.iter().map(member).collect()
    }

    fn told() -> Told {
        let mut told = Told::with_brokers(3).with_topic(&[1, 2, 3]);
        told.change(Some(1), &[1]);
        told
    }

    fn error_with(
        told: &Told,
        rules: &Rules,
        change: impl FnOnce(&mut AlterPartitionData),
    ) -> ErrorCode {
        let mut request = asked();
        change(&mut request.partitions[0]);
        let decision = told
            .cluster()
            .alter_partition(&request, rules)
            .expect("its epoch is right");
        decision.response.partitions[0].error_code
    }

    fn error(change: impl FnOnce(&mut AlterPartitionData)) -> ErrorCode {
        error_with(&told(), &Rules::default(), change)
    }

    #[test]
    fn a_good_request_changes_the_isr_and_the_partition_epoch_but_not_the_leader_epoch() {
        let mut told = told();
        let decision = told
            .cluster()
            .alter_partition(&asked(), &Rules::default())
            .expect("its epoch is right");
        told.replay_all(&decision.records);
        let (result, now) = (&decision.response.partitions[0], told.partition());
        assert_eq!(
            (result.error_code, &result.isr),
            (ErrorCode::None, &nodes(&[1, 2]))
        );
        assert_eq!(
            (&now.isr, now.leader_epoch),
            (&nodes(&[1, 2]), LeaderEpoch(1))
        );
        assert_eq!(
            (now.partition_epoch, result.partition_epoch),
            (PartitionEpoch(2), PartitionEpoch(2))
        );
    }

    #[test]
    fn another_incarnation_of_the_sender_is_stale() {
        let request = AlterPartitionRequest {
            broker_epoch: BrokerEpoch(1),
            ..asked()
        };
        let decided = told()
            .cluster()
            .alter_partition(&request, &Rules::default());
        assert_eq!(decided.err(), Some(ErrorCode::StaleBrokerEpoch));
    }

    #[test]
    fn what_is_not_there_cannot_be_altered() {
        assert_eq!(
            error(|d| d.topic_id = TopicId(9)),
            ErrorCode::UnknownTopicId
        );
        assert_eq!(
            error(|d| d.partition = 5),
            ErrorCode::UnknownTopicOrPartition
        );
    }

    #[test]
    fn a_sender_that_knows_more_is_sent_to_another_controller() {
        assert_eq!(
            error(|d| d.leader_epoch = LeaderEpoch(2)),
            ErrorCode::NotController
        );
        assert_eq!(
            error(|d| d.partition_epoch = PartitionEpoch(2)),
            ErrorCode::NotController
        );
    }

    #[test]
    fn a_sender_that_knows_less_is_fenced_or_told_so() {
        assert_eq!(
            error(|d| d.leader_epoch = LeaderEpoch(0)),
            ErrorCode::FencedLeaderEpoch
        );
        assert_eq!(
            error(|d| d.partition_epoch = PartitionEpoch(0)),
            ErrorCode::InvalidUpdateVersion
        );
    }

    #[test]
    fn only_the_leader_alters_its_partition() {
        let request = AlterPartitionRequest {
            broker_id: NodeId(2),
            broker_epoch: epoch_of(2),
            ..asked()
        };
        let decision = told()
            .cluster()
            .alter_partition(&request, &Rules::default())
            .expect("its epoch is right");
        assert_eq!(
            decision.response.partitions[0].error_code,
            ErrorCode::InvalidRequest
        );
        assert!(decision.records.is_empty());
    }

    #[test]
    fn an_isr_holds_replicas_once_each_and_the_leader() {
        assert_eq!(
            error(|d| d.new_isr = members(&[1, 4])),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            error(|d| d.new_isr = members(&[1, 1])),
            ErrorCode::InvalidRequest
        );
        assert_eq!(
            error(|d| d.new_isr = members(&[2, 3])),
            ErrorCode::InvalidRequest
        );
    }

    #[test]
    fn a_recovered_partition_does_not_recover_again() {
        let recovering = |d: &mut AlterPartitionData| {
            d.leader_recovery_state = LeaderRecoveryState::Recovering;
            d.new_isr = members(&[1]);
        };
        assert_eq!(error(recovering), ErrorCode::InvalidRequest);
    }

    #[test]
    fn fenced_and_leaving_brokers_join_no_isr() {
        let mut fenced = told();
        fenced.fence(2, true);
        let mut leaving = told();
        leaving.shut_down(2);
        for told in [fenced, leaving] {
            assert_eq!(
                error_with(&told, &Rules::default(), |_| {}),
                ErrorCode::IneligibleReplica
            );
        }
    }

    #[test]
    fn a_member_reborn_since_its_fetch_is_ineligible_only_by_its_broker_epoch() {
        let reborn = |d: &mut AlterPartitionData| d.new_isr[1].broker_epoch = Some(BrokerEpoch(1));
        let off = Rules {
            isr_broker_epoch: false,
            ..Rules::default()
        };
        assert_eq!(error(reborn), ErrorCode::IneligibleReplica);
        assert_eq!(error_with(&told(), &off, reborn), ErrorCode::None);
    }

    #[test]
    fn an_election_on_demand_needs_a_reason_and_a_candidate() {
        let mut told = told();
        let elect = |told: &Told, election| told.cluster().elect_leader(orders(0), election).err();
        assert_eq!(
            elect(&told, Election::Preferred),
            Some(ErrorCode::ElectionNotNeeded)
        );
        assert_eq!(
            elect(&told, Election::Unclean),
            Some(ErrorCode::ElectionNotNeeded)
        );
        told.change(Some(2), &[2]);
        assert_eq!(
            elect(&told, Election::Preferred),
            Some(ErrorCode::PreferredLeaderNotAvailable)
        );
        told.change(None, &[2]);
        (1..=3).for_each(|id| told.fence(id, true));
        assert_eq!(
            elect(&told, Election::Unclean),
            Some(ErrorCode::EligibleLeadersNotAvailable)
        );
    }

    #[test]
    fn the_sweep_brings_leadership_back_to_the_preferred_replica() {
        let mut told = told();
        told.change(Some(2), &[2, 1]);
        let decision = told.cluster().balance_leaders();
        told.replay_all(&decision.records);
        assert_eq!(told.partition().leader, Some(NodeId(1)));
        assert!(told.cluster().balance_leaders().records.is_empty());
    }

    #[test]
    fn the_unclean_sweep_passes_topics_that_forbid_it() {
        let mut told = told();
        told.fence(1, true);
        told.change(None, &[1]);
        assert!(told.cluster().elect_unclean_leaders().records.is_empty());
        told.configure("unclean.leader.election.enable", "true");
        told.replay_all(&told.cluster().elect_unclean_leaders().records);
        let now = told.partition();
        assert_eq!(
            (now.leader, now.recovery),
            (Some(NodeId(2)), LeaderRecoveryState::Recovering)
        );
    }
}
