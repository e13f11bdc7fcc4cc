//! One replica of a partition at one broker: Kafka's Partition. A leader appends, serves fetches, decides the high watermark
//! and asks for ISR changes; a follower is written to by its fetcher.
//!
//! It keeps: the high watermark of a leader never goes back in its epoch (I-7) and never passes a member of the maximal ISR
//! nothing is appended for acks=all that the ISR is too small for; a request that speaks of another leader
//! epoch is refused.
//!
//! Left out: reassignment in progress, moving a replica between log directories, transactions' verification.

mod leader;
mod membership;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use leader::Leader;
pub use read::{Found, Read, Reading};
pub use write::Replication;

use crate::broker::isr::Isr;
use crate::config::ServerConfig;
use crate::controller::image::Image;
use crate::controller::records::PartitionRegistration;
use crate::effect::{Effect, Effects};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::log::Log;
use crate::protocol::ErrorCode;
use crate::protocol::cluster::AlterPartitionData;
use crate::rules::Rules;
use crate::time::Timestamp;
use serde::Serialize;

/// What a partition sees of its broker and of the cluster at one moment.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    /// This broker.
    pub node: NodeId,
    /// Its broker epoch, once it is registered.
    pub broker_epoch: Option<BrokerEpoch>,
    /// The wall clock: Kafka measures a follower's lag by it.
    pub now: Timestamp,
    /// The cluster, as this broker knows it (N-6).
    pub image: &'a Image,
    /// This broker's settings.
    pub config: &'a ServerConfig,
    /// Its rules.
    pub rules: &'a Rules,
}

/// A replica. It is made a follower of nobody, and then what the metadata says.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    log: Log,
    leader_epoch: Option<LeaderEpoch>,
    partition_epoch: Option<PartitionEpoch>,
    role: Role,
}

/// The legal transitions, with their cause: any to any, by a later partition epoch in the metadata.
#[derive(Clone, Debug, Serialize)]
pub enum Role {
    /// It leads in the current epoch.
    Leader(Leader),
    /// It does not.
    Follower {
        /// Who does, if anybody.
        leader: Option<NodeId>,
    },
}

/// What a change of a leader's state led to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The high watermark went up.
    pub hw_moved: bool,
    /// A follower's log starts later now.
    pub start_moved: bool,
    /// The controller is to be asked for this. Mostly there is none, and every read is told with an outcome.
    pub proposal: Option<Box<AlterPartitionData>>,
}

impl Partition {
    /// A replica with this log, which knows of no leader yet.
    pub fn new(log: Log) -> Partition {
        Partition {
            log,
            leader_epoch: None,
            partition_epoch: None,
            role: Role::Follower { leader: None },
        }
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its log, for the fetcher and the log manager.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The leader epoch it knows.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epoch
    }

    /// Leader or follower.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether this broker leads it.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads it; `me` is this broker.
    pub fn leader(&self, me: NodeId) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(me),
            Role::Follower { leader } => *leader,
        }
    }

    fn id(&self) -> TopicIdPartition {
        self.log.id()
    }

    fn tell(&self, event: ReplicaEvent, out: &mut Effects) {
        out.push(Effect::Tell(Event::Replica(self.id(), event)));
    }
}

/// Leading and following.
impl Partition {
    /// The metadata says that this broker leads (R-25, R-37, L-38). Returns what came of it, or nothing if this replica
    /// knows a later partition epoch: the controller's answer may be faster than the metadata.
    ///
    /// A leader elected from outside the ISR calls itself recovered: its next ISR change says so to the controller.
    pub fn lead(
        &mut self,
        registration: &PartitionRegistration,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Option<Outcome> {
        if Some(registration.partition_epoch) < self.partition_epoch {
            return None;
        }
        let is_new_epoch = Some(registration.leader_epoch) > self.leader_epoch;
        let is_new_leader = !self.is_leader();
        let mut leader = match std::mem::replace(&mut self.role, Role::Follower { leader: None }) {
            Role::Leader(leader) => leader,
            Role::Follower { .. } => Leader {
                epoch_start: self.log.leo(),
                followers: Vec::new(),
                isr: Isr::committed_as(Vec::new()),
            },
        };
        leader.assign(&registration.replicas, here.node);
        let isr_changed = leader.isr.committed() != registration.isr;
        leader.isr.commit(registration.isr.clone());
        self.partition_epoch = Some(registration.partition_epoch);
        if is_new_epoch {
            leader.begin_epoch(self.log.leo(), is_new_leader, here.now);
            self.log.begin_epoch(registration.leader_epoch, out);
            self.leader_epoch = Some(registration.leader_epoch);
            let event = ReplicaEvent::BecameLeader {
                epoch: registration.leader_epoch,
                start_offset: leader.epoch_start,
                hw: self.log.hw(),
            };
            self.tell(event, out);
        } else if isr_changed {
            self.tell(isr_changed_to(registration), out);
        }
        self.role = Role::Leader(leader);
        let hw_moved = self.advance_hw(here, out);
        Some(Outcome {
            hw_moved,
            ..Outcome::default()
        })
    }

    /// The metadata says that another leads, or nobody. Returns whether the leader epoch is new: fetching begins anew then
    ///
    pub fn follow(&mut self, registration: &PartitionRegistration, out: &mut Effects) -> bool {
        if Some(registration.partition_epoch) < self.partition_epoch {
            return false;
        }
        let is_new_epoch = Some(registration.leader_epoch) > self.leader_epoch;
        self.role = Role::Follower {
            leader: registration.leader,
        };
        self.leader_epoch = Some(registration.leader_epoch);
        self.partition_epoch = Some(registration.partition_epoch);
        if is_new_epoch {
            let event = ReplicaEvent::BecameFollower {
                epoch: registration.leader_epoch,
                leader: registration.leader,
            };
            self.tell(event, out);
        }
        is_new_epoch
    }

    /// what a request says of the leader epoch fits what this replica knows.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH for an older one, UNKNOWN_LEADER_EPOCH for a newer one.
    pub fn check_epoch(&self, current: Option<LeaderEpoch>) -> Result<(), ErrorCode> {
        match current {
            Some(asked) if Some(asked) < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            Some(asked) if Some(asked) > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// The epoch first, then whether this broker leads.
    ///
    /// # Errors
    /// R-9's, and NOT_LEADER_OR_FOLLOWER.
    pub fn check_leader(&self, current: Option<LeaderEpoch>) -> Result<&Leader, ErrorCode> {
        self.check_epoch(current)?;
        match &self.role {
            Role::Leader(leader) => Ok(leader),
            Role::Follower { .. } => Err(ErrorCode::NotLeaderOrFollower),
        }
    }
}

fn isr_changed_to(registration: &PartitionRegistration) -> ReplicaEvent {
    ReplicaEvent::IsrChanged {
        isr: registration.isr.clone().into(),
        partition_epoch: registration.partition_epoch,
    }
}
