//! Brokers come, live and go: registration, heartbeats, fencing (Kafka's ClusterControlManager and the broker half of
//! ReplicationControlManager). A broker that is fenced or shutting down leads nothing and is in no ISR of more than
//! itself; it keeps its data, and its next good heartbeat brings it back (K-18).
//!
//! Left out: features and their versions, log directories, unregistering.

use crate::controller::election::{Election, PartitionChange};
use crate::controller::heartbeats::{BrokerControlState, Heartbeats};
use crate::controller::image::Image;
use crate::controller::records::MetadataRecord;
use crate::decision::Decision;
use crate::ids::{BrokerEpoch, NodeId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::cluster::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest,
    BrokerRegistrationResponse,
};
use crate::time::Time;

/// The cluster as decisions see it: the image with what is not yet committed, and whether unclean elections are the
/// default.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// Everything decided so far.
    pub image: &'a Image,
    /// `unclean.leader.election.enable` of the controller's own configuration.
    pub unclean_by_default: bool,
}

/// Who leaves or comes back while its partitions are looked at. The image still has it as it was.
#[derive(Clone, Copy)]
enum Moving {
    Leaves(NodeId),
    Returns(NodeId),
}

impl Cluster<'_> {
    /// Whether the sender is the broker that is registered.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH.
    pub fn check_broker_epoch(&self, broker: NodeId, epoch: BrokerEpoch) -> Result<(), ErrorCode> {
        let registered = self.image.brokers.get(&broker).map(|b| b.epoch);
        if registered == Some(epoch) {
            Ok(())
        } else {
            Err(ErrorCode::StaleBrokerEpoch)
        }
    }

    /// A broker wants in (K-14, K-15). `epoch` is the next offset to be written.
    pub fn register(
        &self,
        heartbeats: &Heartbeats,
        r: &BrokerRegistrationRequest,
        epoch: BrokerEpoch,
        now: Time,
    ) -> Decision<MetadataRecord, BrokerRegistrationResponse> {
        let existing = self.image.brokers.get(&r.broker_id);
        let same = existing.filter(|b| b.incarnation == r.incarnation_id);
        let lives = existing.is_some_and(|b| heartbeats.has_session(r.broker_id, b.epoch, now));
        if lives && same.is_none() {
            return Decision::answer(BrokerRegistrationResponse {
                error_code: ErrorCode::DuplicateBrokerRegistration,
                broker_epoch: None,
            });
        }
        let mut records = Vec::new();
        if same.is_none() {
            self.leave_isrs(r.broker_id, &mut records);
        }
        let epoch = same.map_or(epoch, |b| b.epoch);
        records.push(MetadataRecord::RegisterBroker {
            broker: r.broker_id,
            incarnation: r.incarnation_id,
            epoch,
            address: r.address,
            rack: r.rack.clone(),
            fenced: same.is_none_or(|b| b.fenced),
        });
        let response = BrokerRegistrationResponse {
            error_code: ErrorCode::None,
            broker_epoch: Some(epoch),
        };
        Decision::new(records, response)
    }

    /// A broker says that it lives (K-16, K-19). The state it is in from now on comes with the decision.
    ///
    /// # Errors
    /// STALE_BROKER_EPOCH.
    pub fn heartbeat(
        &self,
        heartbeats: &Heartbeats,
        r: &BrokerHeartbeatRequest,
    ) -> Result<
        (
            BrokerControlState,
            Decision<MetadataRecord, BrokerHeartbeatResponse>,
        ),
        ErrorCode,
    > {
        self.check_broker_epoch(r.broker_id, r.broker_epoch)?;
        let registered_at = self.image.brokers[&r.broker_id].registered_at;
        let leads = || {
            self.image
                .partitions()
                .any(|(_, p)| p.leader == Some(r.broker_id))
        };
        let (current, next) = heartbeats.next_state(r, registered_at, leads);
        let mut records = Vec::new();
        if current != next {
            match next {
                BrokerControlState::Fenced | BrokerControlState::ShutdownNow => {
                    self.fence(r.broker_id, &mut records);
                }
                BrokerControlState::Unfenced => self.unfence(r.broker_id, &mut records),
                BrokerControlState::ControlledShutdown => {
                    self.begin_shutdown(r.broker_id, &mut records)
                }
            }
        }
        let response = BrokerHeartbeatResponse {
            error_code: ErrorCode::None,
            is_caught_up: r.current_metadata_offset >= registered_at,
            is_fenced: next.is_fenced(),
            should_shut_down: next == BrokerControlState::ShutdownNow,
        };
        Ok((next, Decision::new(records, response)))
    }

    /// Out of every ISR and leadership first, then fenced (K-17).
    pub fn fence(&self, broker: NodeId, records: &mut Vec<MetadataRecord>) {
        self.leave_isrs(broker, records);
        records.push(self.registration_change(broker, Some(true), None));
    }

    /// Unfenced first; then partitions without a leader may have one again.
    fn unfence(&self, broker: NodeId, records: &mut Vec<MetadataRecord>) {
        records.push(self.registration_change(broker, Some(false), None));
        let leaderless = self.image.partitions().filter(|(_, p)| p.leader.is_none());
        let leaderless = leaderless.map(|(id, _)| id);
        self.change_partitions(leaderless, Moving::Returns(broker), records);
    }

    fn begin_shutdown(&self, broker: NodeId, records: &mut Vec<MetadataRecord>) {
        if !self.image.brokers[&broker].in_controlled_shutdown {
            records.push(self.registration_change(broker, None, Some(true)));
        }
        self.leave_isrs(broker, records);
    }

    fn registration_change(
        &self,
        broker: NodeId,
        fenced: Option<bool>,
        in_controlled_shutdown: Option<bool>,
    ) -> MetadataRecord {
        MetadataRecord::BrokerRegistrationChange {
            broker,
            epoch: self.image.brokers[&broker].epoch,
            fenced,
            in_controlled_shutdown,
        }
    }

    fn leave_isrs(&self, broker: NodeId, records: &mut Vec<MetadataRecord>) {
        let member = self
            .image
            .partitions()
            .filter(|(_, p)| p.isr.contains(&broker));
        let member = member.map(|(id, _)| id);
        self.change_partitions(member, Moving::Leaves(broker), records);
    }

    /// Takes whoever leaves out of the ISR and elects anew where the leader is gone (R-24…R-26).
    fn change_partitions(
        &self,
        partitions: impl Iterator<Item = TopicIdPartition>,
        moving: Moving,
        records: &mut Vec<MetadataRecord>,
    ) {
        let may_lead = |r: NodeId| match moving {
            Moving::Leaves(broker) => r != broker && self.image.is_active(r),
            Moving::Returns(broker) => r == broker || self.image.is_active(r),
        };
        for id in partitions {
            let partition = self.image.partition(id).expect("it was found there");
            let election = if self.is_unclean_enabled(id) {
                Election::Unclean
            } else {
                Election::Online
            };
            let mut change = PartitionChange::of(partition, election);
            if let Moving::Leaves(broker) = moving {
                change.isr.retain(|m| *m != broker);
            }
            records.extend(change.build(id, may_lead));
        }
    }

    /// `unclean.leader.election.enable` of a topic.
    pub fn is_unclean_enabled(&self, id: TopicIdPartition) -> bool {
        let topic = self.image.topics.get(&id.topic);
        topic.map_or(self.unclean_by_default, |t| {
            t.config
                .unclean_leader_election_enable
                .or(self.unclean_by_default)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{Told, epoch_of, nodes};
    use crate::ids::{Address, IncarnationId, Offset};
    use crate::time::Duration;

    const SESSION: Duration = Duration::millis(9_000);

    fn registration(id: i32, incarnation: u128) -> BrokerRegistrationRequest {
        BrokerRegistrationRequest {
            broker_id: NodeId(id),
            incarnation_id: IncarnationId(incarnation),
            address: Address(1),
            rack: None,
            previous_broker_epoch: None,
        }
    }

    fn heartbeat(id: i32, metadata: i64) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: NodeId(id),
            broker_epoch: epoch_of(id),
            current_metadata_offset: Offset(metadata),
            want_fence: false,
            want_shut_down: false,
        }
    }

    #[test]
    fn another_incarnation_is_refused_until_the_session_has_run_out() {
        let told = Told::with_brokers(1);
        let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        let ask = |now| {
            let decision =
                told.cluster()
                    .register(&heartbeats, &registration(1, 99), BrokerEpoch(7), now);
            (decision.response.error_code, decision.response.broker_epoch)
        };
        let late = Time(0) + SESSION + Duration(1);
        assert_eq!(
            ask(Time(0) + SESSION),
            (ErrorCode::DuplicateBrokerRegistration, None)
        );
        assert_eq!(ask(late), (ErrorCode::None, Some(BrokerEpoch(7))));
    }

    #[test]
    fn a_registration_sent_twice_keeps_its_epoch() {
        let told = Told::with_brokers(1);
        let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        let decision =
            told.cluster()
                .register(&heartbeats, &registration(1, 1), BrokerEpoch(7), Time(0));
        assert_eq!(decision.response.broker_epoch, Some(epoch_of(1)));
    }

    #[test]
    fn a_new_incarnation_leaves_every_isr_before_it_is_registered() {
        let mut told = Told::with_brokers(3).with_topic(&[1, 2, 3]);
        let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        let late = Time(0) + SESSION + Duration(1);
        let decision =
            told.cluster()
                .register(&heartbeats, &registration(1, 99), BrokerEpoch(7), late);
        assert!(matches!(
            decision.records.last(),
            Some(MetadataRecord::RegisterBroker { fenced: true, .. })
        ));
        told.replay_all(&decision.records);
        assert_eq!(told.partition().isr, nodes(&[2, 3]));
        assert_eq!(told.partition().leader, Some(NodeId(2)));
    }

    #[test]
    fn a_broker_is_out_of_all_isrs_when_it_is_fenced() {
        let mut told = Told::with_brokers(3).with_topic(&[1, 2, 3]);
        let mut records = Vec::new();
        told.cluster().fence(NodeId(1), &mut records);
        assert!(matches!(records[0], MetadataRecord::PartitionChange { .. }));
        assert!(matches!(
            records[1],
            MetadataRecord::BrokerRegistrationChange {
                fenced: Some(true),
                ..
            }
        ));
        told.replay_all(&records);
        assert_eq!(told.partition().leader, Some(NodeId(2)));
        assert!(!told.image.is_active(NodeId(1)));
    }

    #[test]
    fn a_partition_whose_whole_isr_is_fenced_waits_for_one_of_it() {
        let mut told = Told::with_brokers(2).with_topic(&[1, 2]);
        for id in [2, 1] {
            let mut records = Vec::new();
            told.cluster().fence(NodeId(id), &mut records);
            told.replay_all(&records);
        }
        assert_eq!(
            (told.partition().leader, &told.partition().isr),
            (None, &nodes(&[1]))
        );
        for (id, leader) in [(2, None), (1, Some(NodeId(1)))] {
            let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
            let decided = told.cluster().heartbeat(&heartbeats, &heartbeat(id, 1_000));
            let (next, decision) = decided.expect("its epoch is right");
            assert_eq!(next, BrokerControlState::Unfenced);
            told.replay_all(&decision.records);
            assert_eq!(told.partition().leader, leader);
        }
    }

    #[test]
    fn a_topic_that_allows_it_gets_an_unclean_leader_at_once() {
        let mut told = Told::with_brokers(2).with_topic(&[1, 2]);
        told.configure("unclean.leader.election.enable", "true");
        told.change(Some(1), &[1]);
        let mut records = Vec::new();
        told.cluster().fence(NodeId(1), &mut records);
        told.replay_all(&records);
        assert_eq!(
            (told.partition().leader, &told.partition().isr),
            (Some(NodeId(2)), &nodes(&[2]))
        );
    }

    #[test]
    fn a_broker_that_has_not_applied_its_own_registration_stays_fenced() {
        let mut told = Told::with_brokers(0);
        told.register(1, 1);
        let at = told.image.brokers[&NodeId(1)].registered_at.0;
        let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        for (applied, next) in [
            (at - 1, BrokerControlState::Fenced),
            (at, BrokerControlState::Unfenced),
        ] {
            let decided = told
                .cluster()
                .heartbeat(&heartbeats, &heartbeat(1, applied));
            assert_eq!(decided.expect("its epoch is right").0, next);
        }
    }

    #[test]
    fn a_heartbeat_of_an_old_incarnation_is_stale() {
        let told = Told::with_brokers(1);
        let heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        let old = BrokerHeartbeatRequest {
            broker_epoch: BrokerEpoch(5),
            ..heartbeat(1, 0)
        };
        let decided = told.cluster().heartbeat(&heartbeats, &old);
        assert_eq!(decided.err(), Some(ErrorCode::StaleBrokerEpoch));
    }
}
