//! A leader's writes, its high watermark, and how far an acks=all write has come (R-5, R-6, R-16… ).

use super::{Here, Leader, Partition, Role};
use crate::effect::Effects;
use crate::ids::{NodeId, Offset};
use crate::log::batch::BatchData;
use crate::log::{Appended, Origin};
use crate::protocol::ErrorCode;
use std::sync::Arc;

/// How far an acks=all write has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replication {
    /// Members of the ISR are behind.
    Waiting,
    /// It is decided: NONE, or why the write cannot be confirmed.
    Decided(ErrorCode),
}

impl Partition {
    /// Appends a client's batch. The flag says that the high watermark moved: the ISR may be this replica alone.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER; for acks=all NOT_ENOUGH_REPLICAS, before anything else is checked (L-15); the log's refusals.
    pub fn append(
        &mut self,
        data: &Arc<BatchData>,
        acks: i16,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<(Appended, bool), ErrorCode> {
        let leader = self.check_leader(None)?;
        // the ISR last committed counts, not the maximal one.
        if acks == -1 && self.is_under_min_isr(leader, here) {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        let epoch = self
            .leader_epoch
            .expect("a leader knows the epoch it leads in");
        let appended = self
            .log
            .append_as_leader(data, epoch, Origin::CLIENT, here.now, out)
            .map_err(|refusal| refusal.error)?;
        Ok((appended, self.advance_hw(here, out)))
    }

    /// How far an acks=all write up to `required` has come.
    pub fn replication(&self, required: Offset, here: Here<'_>) -> Replication {
        let Role::Leader(leader) = &self.role else {
            return Replication::Decided(ErrorCode::NotLeaderOrFollower);
        };
        if self.log.hw() < required {
            return Replication::Waiting;
        }
        // here the maximal ISR counts.
        let enough = leader.isr.maximal_len(here.rules) >= self.min_isr(leader, here);
        Replication::Decided(match enough {
            true => ErrorCode::None,
            false => ErrorCode::NotEnoughReplicasAfterAppend,
        })
    }

    /// DeleteRecords (L-26): everything before an offset is given up, everything committed if none is said. Returns the offset.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, and the log's.
    pub fn delete_records(
        &mut self,
        before: Option<Offset>,
        out: &mut Effects,
    ) -> Result<Offset, ErrorCode> {
        self.check_leader(None)?;
        self.log.delete_records(before, out)
    }

    /// The smallest log start of all replicas that are alive (L-26); -1 while one of them is not known.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER.
    pub fn low_watermark(&self, here: Here<'_>) -> Result<Offset, ErrorCode> {
        let leader = self.check_leader(None)?;
        let is_alive = |id: NodeId| here.image.brokers.get(&id).is_some_and(|b| !b.fenced);
        let alive = leader.followers.iter().filter(|(id, _)| is_alive(*id));
        let starts = alive.map(|(_, replica)| replica.log_start().unwrap_or(Offset(-1)));
        Ok(starts.fold(self.log.log_start(), Offset::min))
    }

    /// never more than there are replicas.
    fn min_isr(&self, leader: &Leader, here: Here<'_>) -> usize {
        let topic = here.image.topics.get(&self.id().topic);
        let broker = here.config.min_insync_replicas;
        let wanted = topic.map_or(broker, |t| t.config.min_insync_replicas.or(broker));
        usize::try_from(wanted)
            .unwrap_or(0)
            .min(leader.followers.len() + 1)
    }

    fn is_under_min_isr(&self, leader: &Leader, here: Here<'_>) -> bool {
        leader.isr.committed().len() < self.min_isr(leader, here)
    }

    /// Raises the high watermark to the smallest end of those who count: this replica, the maximal ISR, and who is
    /// caught up and may join the ISR, so that a newcomer is not chased away by a leader that runs ahead alone.
    /// not at all while the ISR is smaller than the minimum, whatever acks the writes asked for.
    pub(super) fn advance_hw(&mut self, here: Here<'_>, out: &mut Effects) -> bool {
        let Role::Leader(leader) = &self.role else {
            return false;
        };
        if self.is_under_min_isr(leader, here) {
            return false;
        }
        let leo = self.log.leo();
        let mut hw = leo;
        for (id, replica) in &leader.followers {
            let is_behind = replica.leo().is_none_or(|end| end < hw);
            if is_behind && leader.waits_for(*id, replica, leo, here) {
                match replica.leo() {
                    Some(end) => hw = end,
                    // its end is not known in this epoch.
                    None => return false,
                }
            }
        }
        self.log.advance_hw(hw, out)
    }
}
