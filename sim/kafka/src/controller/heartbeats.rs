//! When the active controller last heard of each broker, and how far its copy of the metadata is: Kafka's
//! BrokerHeartbeatManager and BrokerHeartbeatTracker. Soft state: a new active controller begins anew and gives every
//! unfenced broker a full session (K-13).

use crate::controller::image::{BrokerImage, Image};
use crate::ids::{BrokerEpoch, NodeId, Offset};
use crate::protocol::cluster::BrokerHeartbeatRequest;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the active controller knows of brokers besides the metadata.
#[derive(Clone, Debug, Serialize)]
pub struct Heartbeats {
    session_timeout: Duration,
    /// By incarnation: a late heartbeat of an old one keeps no new one alive.
    contacts: BTreeMap<(NodeId, BrokerEpoch), Time>,
    brokers: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Heard {
    fenced: bool,
    /// How far it had applied the metadata; unknown until its first heartbeat in this state.
    metadata_offset: Option<Offset>,
    /// Once every active broker has applied the metadata up to here, it may stop (K-19).
    shutdown_offset: Option<Offset>,
}

/// The states a broker may be in, as the controller sees it: Kafka's BrokerControlState.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokerControlState {
    /// May neither lead nor be in an ISR.
    Fenced,
    /// May do both.
    Unfenced,
    /// Its leaderships are being moved.
    ControlledShutdown,
    /// May stop at once.
    ShutdownNow,
}

impl BrokerControlState {
    /// Whether it counts as fenced.
    pub fn is_fenced(self) -> bool {
        matches!(
            self,
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow
        )
    }
}

impl Heartbeats {
    /// Begins to listen at `now`.
    pub fn new(session_timeout: Duration, image: &Image, now: Time) -> Heartbeats {
        let unfenced = image.brokers.iter().filter(|(_, b)| !b.fenced);
        let mut heartbeats = Heartbeats {
            session_timeout,
            contacts: unfenced.map(|(id, b)| ((*id, b.epoch), now)).collect(),
            brokers: BTreeMap::new(),
        };
        for (id, broker) in &image.brokers {
            heartbeats.registered(*id, broker);
        }
        heartbeats
    }

    /// A heartbeat has come in. It counts before it is looked at, even if it comes to nothing (K-30).
    pub fn contact(&mut self, broker: NodeId, epoch: BrokerEpoch, now: Time) {
        self.contacts.insert((broker, epoch), now);
    }

    /// Whether an incarnation was heard of within the session timeout.
    pub fn has_session(&self, broker: NodeId, epoch: BrokerEpoch, now: Time) -> bool {
        self.contacts
            .get(&(broker, epoch))
            .is_some_and(|at| !self.is_expired(*at, now))
    }

    /// One incarnation whose session has run out. One at a time, so that what comes of fencing it is seen before the
    /// next one is fenced (K-17, KAFKA-13173).
    pub fn take_expired(&mut self, now: Time) -> Option<(NodeId, BrokerEpoch)> {
        let expired = self
            .contacts
            .iter()
            .find(|(_, at)| self.is_expired(**at, now));
        let key = *expired?.0;
        self.contacts.remove(&key);
        Some(key)
    }

    fn is_expired(&self, at: Time, now: Time) -> bool {
        now.since(at) > self.session_timeout
    }

    /// A registration, or a change of one, has been replayed. The offset heard in another state stays, in the same state it
    /// is unknown until the next heartbeat.
    pub fn registered(&mut self, broker: NodeId, image: &BrokerImage) {
        let offset = self
            .brokers
            .get(&broker)
            .filter(|b| b.fenced != image.fenced);
        let offset = offset.and_then(|b| b.metadata_offset);
        self.touch(broker, image.fenced, offset);
    }

    /// A new incarnation replaces what was known of the last one.
    pub fn forget(&mut self, broker: NodeId) {
        self.brokers.remove(&broker);
    }

    /// What a heartbeat says.
    pub fn touch(&mut self, broker: NodeId, fenced: bool, metadata_offset: Option<Offset>) {
        let before = self.brokers.get(&broker).and_then(|b| b.shutdown_offset);
        let heard = Heard {
            fenced,
            metadata_offset,
            // A fenced broker is in controlled shutdown no longer: its next heartbeat lets it stop.
            shutdown_offset: before.filter(|_| !fenced),
        };
        self.brokers.insert(broker, heard);
    }

    /// Its controlled shutdown is written up to `offset`.
    pub fn shutting_down(&mut self, broker: NodeId, offset: Offset) {
        if let Some(heard) = self.brokers.get_mut(&broker) {
            heard.shutdown_offset.get_or_insert(offset);
        }
    }

    /// Whether it is in controlled shutdown: no replicas are placed on it.
    pub fn is_shutting_down(&self, broker: NodeId) -> bool {
        self.brokers
            .get(&broker)
            .is_some_and(|b| b.shutdown_offset.is_some())
    }

    /// From which state a heartbeat leads to which (K-16, K-19). `leads`: it leads a partition.
    pub fn next_state(
        &self,
        r: &BrokerHeartbeatRequest,
        registered_at: Offset,
        leads: impl Fn() -> bool,
    ) -> (BrokerControlState, BrokerControlState) {
        use BrokerControlState::*;
        let heard = &self.brokers[&r.broker_id];
        let caught_up = r.current_metadata_offset >= registered_at;
        match (heard.shutdown_offset, heard.fenced) {
            (Some(offset), _) if !leads() && self.lowest_active_offset() >= Some(offset) => {
                (ControlledShutdown, ShutdownNow)
            }
            (Some(_), _) => (ControlledShutdown, ControlledShutdown),
            (None, true) if r.want_shut_down => (Fenced, ShutdownNow),
            (None, true) if !r.want_fence && caught_up => (Fenced, Unfenced),
            (None, true) => (Fenced, Fenced),
            (None, false) if r.want_fence && r.want_shut_down => (Unfenced, ShutdownNow),
            (None, false) if r.want_fence => (Unfenced, Fenced),
            (None, false) if r.want_shut_down && leads() => (Unfenced, ControlledShutdown),
            (None, false) if r.want_shut_down => (Unfenced, ShutdownNow),
            (None, false) => (Unfenced, Unfenced),
        }
    }

    /// How far the slowest broker that is unfenced and not shutting down has come; without one, no limit.
    fn lowest_active_offset(&self) -> Option<Offset> {
        let active = self
            .brokers
            .values()
            .filter(|b| !b.fenced && b.shutdown_offset.is_none());
        active
            .map(|b| b.metadata_offset)
            .min()
            .unwrap_or(Some(Offset(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{Told, epoch_of};

    const SESSION: Duration = Duration::millis(9_000);

    fn heard(told: &Told) -> Heartbeats {
        let mut heartbeats = Heartbeats::new(SESSION, &told.image, Time(0));
        for id in told.image.brokers.keys() {
            heartbeats.touch(*id, false, Some(Offset(50)));
        }
        heartbeats
    }

    fn stopping(id: i32, metadata: i64) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: NodeId(id),
            broker_epoch: epoch_of(id),
            current_metadata_offset: Offset(metadata),
            want_fence: false,
            want_shut_down: true,
        }
    }

    #[test]
    fn a_new_active_controller_gives_every_unfenced_broker_a_full_session() {
        let mut told = Told::with_brokers(2);
        told.fence(2, true);
        let now = Time(0) + Duration::secs(100);
        let heartbeats = Heartbeats::new(SESSION, &told.image, now);
        assert!(heartbeats.has_session(NodeId(1), epoch_of(1), now + SESSION));
        assert!(!heartbeats.has_session(NodeId(2), epoch_of(2), now));
    }

    #[test]
    fn sessions_that_run_out_together_are_taken_one_by_one() {
        let told = Told::with_brokers(2);
        let mut heartbeats = heard(&told);
        let late = Time(0) + SESSION + Duration(1);
        assert_eq!(heartbeats.take_expired(Time(0) + SESSION), None);
        assert_eq!(
            heartbeats.take_expired(late),
            Some((NodeId(1), epoch_of(1)))
        );
        assert_eq!(
            heartbeats.take_expired(late),
            Some((NodeId(2), epoch_of(2)))
        );
        assert_eq!(heartbeats.take_expired(late), None);
    }

    #[test]
    fn a_broker_that_leads_nothing_may_stop_at_its_first_request() {
        let heartbeats = heard(&Told::with_brokers(2));
        let (_, next) = heartbeats.next_state(&stopping(1, 50), Offset(0), || false);
        assert_eq!(next, BrokerControlState::ShutdownNow);
    }

    #[test]
    fn a_stopping_leader_waits_until_every_active_broker_knows_its_successors() {
        let mut heartbeats = heard(&Told::with_brokers(2));
        let (_, next) = heartbeats.next_state(&stopping(1, 50), Offset(0), || true);
        assert_eq!(next, BrokerControlState::ControlledShutdown);
        heartbeats.shutting_down(NodeId(1), Offset(60));
        let (_, next) = heartbeats.next_state(&stopping(1, 60), Offset(0), || false);
        assert_eq!(next, BrokerControlState::ControlledShutdown);
        heartbeats.touch(NodeId(2), false, Some(Offset(60)));
        let (_, next) = heartbeats.next_state(&stopping(1, 60), Offset(0), || false);
        assert_eq!(next, BrokerControlState::ShutdownNow);
    }
}
