//! What only a leader has: its followers, its ISR, and who counts for what.

use super::Here;
use crate::broker::isr::Isr;
use crate::broker::replica::{FetchedAs, Replica};
use crate::ids::{BrokerEpoch, NodeId, Offset};
use crate::protocol::cluster::BrokerState;
use crate::rules::HwQuorum;
use crate::time::Timestamp;
use serde::Serialize;

/// A leader's state.
#[derive(Clone, Debug, Serialize)]
pub struct Leader {
    /// Its log end offset when its epoch began.
    pub(super) epoch_start: Offset,
    /// The other replicas, ascending.
    pub(super) followers: Vec<(NodeId, Replica)>,
    pub(super) isr: Isr,
}

impl Leader {
    /// Where its epoch begins in the log.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// Its ISR.
    pub fn isr(&self) -> &Isr {
        &self.isr
    }

    /// The other replicas as it sees them, ascending.
    pub fn followers(&self) -> &[(NodeId, Replica)] {
        &self.followers
    }

    pub(super) fn follower(&self, id: NodeId) -> Option<&Replica> {
        let found = self.followers.iter().find(|(f, _)| *f == id);
        found.map(|(_, replica)| replica)
    }

    pub(super) fn follower_mut(&mut self, id: NodeId) -> Option<&mut Replica> {
        let found = self.followers.iter_mut().find(|(f, _)| *f == id);
        found.map(|(_, replica)| replica)
    }

    /// Keeps what is known of replicas that stay.
    pub(super) fn assign(&mut self, replicas: &[NodeId], me: NodeId) {
        let mut others: Vec<NodeId> = replicas.iter().copied().filter(|r| *r != me).collect();
        others.sort();
        let known = std::mem::take(&mut self.followers);
        let state = |id: NodeId| {
            let found = known.iter().find(|(f, _)| *f == id);
            found.map_or_else(Replica::unknown, |(_, replica)| replica.clone())
        };
        self.followers = others.into_iter().map(|id| (id, state(id))).collect();
    }

    pub(super) fn begin_epoch(&mut self, leo: Offset, is_new_leader: bool, now: Timestamp) {
        self.epoch_start = leo;
        for (id, replica) in &mut self.followers {
            let in_isr = self.isr.committed().contains(id);
            replica.reset(now, leo, is_new_leader, in_isr);
        }
    }

    /// whether the high watermark waits for a follower. `hw-quorum` off: for the committed ISR alone.
    pub(super) fn waits_for(
        &self,
        id: NodeId,
        replica: &Replica,
        leo: Offset,
        here: Here<'_>,
    ) -> bool {
        let lag = here.config.replica_lag_time_max_ms;
        self.isr.counts(id, here.rules)
            || (here.rules.hw_quorum == HwQuorum::MaximalIsr
                && replica.is_caught_up(leo, here.now, lag)
                && is_eligible(id, replica, here))
    }

    /// KIP-903: a member is named with the broker epoch that it fetched with; one that has not fetched yet, without.
    pub(super) fn broker_state(&self, member: NodeId, here: Here<'_>) -> BrokerState {
        let epoch = match self.follower(member).map(Replica::fetched_as) {
            _ if !here.rules.isr_broker_epoch => None,
            Some(FetchedAs::Epoch(epoch)) => Some(epoch),
            Some(_) => None,
            None => here.broker_epoch,
        };
        BrokerState {
            broker_id: member,
            broker_epoch: epoch,
        }
    }
}

/// whether a follower may join the ISR: not fenced, not shutting down, and its fetches come from the incarnation that
/// is registered (KIP-903).
pub(super) fn is_eligible(id: NodeId, replica: &Replica, here: Here<'_>) -> bool {
    let Some(broker) = here.image.brokers.get(&id) else {
        return false;
    };
    let fits = match replica.fetched_as() {
        _ if !here.rules.isr_broker_epoch => true,
        FetchedAs::Never => false,
        FetchedAs::Unregistered => true,
        FetchedAs::Epoch(epoch) => epoch == broker.epoch,
    };
    broker.is_active() && fits
}

/// a fetch of an incarnation that is gone (KIP-903).
pub(super) fn is_stale(follower: NodeId, epoch: Option<BrokerEpoch>, here: Here<'_>) -> bool {
    let alive = here.image.brokers.get(&follower).filter(|b| !b.fenced);
    let is_later = alive.is_some_and(|b| epoch.is_some_and(|e| b.epoch > e));
    is_later && here.rules.isr_broker_epoch
}
