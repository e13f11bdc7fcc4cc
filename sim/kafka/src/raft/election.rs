//! How a leader is found and how it goes: Vote with pre-vote, BeginQuorumEpoch, EndQuorumEpoch (KIP-595, KIP-996).

use crate::effect::{Effect, Effects};
use crate::event::{Event, RaftEvent};
use crate::ids::{LeaderEpoch, NodeId};
use crate::protocol::quorum::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, QuorumEpochResponse, VoteRequest, VoteResponse,
};
use crate::protocol::{ErrorCode, Request};
use crate::raft::log::OffsetAndEpoch;
use crate::raft::quorum::State;
use crate::raft::{At, Fault, Raft};
use crate::time::Duration;

impl Raft {
    /// A voter asks for this replica's vote, or whether it could have it.
    pub(super) fn on_vote(
        &mut self,
        r: &VoteRequest,
        at: At<'_>,
        out: &mut Effects,
    ) -> VoteResponse {
        if let Err(error) = self.check_vote(r, at) {
            return self.vote_response(error, false);
        }
        if r.replica_epoch > self.epoch() {
            // True of pre-votes too: their epoch is the sender's own, unchanged (K-2).
            self.become_unattached(r.replica_epoch, at, out);
        }
        let candidates = OffsetAndEpoch {
            epoch: r.last_epoch,
            offset: r.last_epoch_end_offset,
        };
        let up_to_date = candidates >= self.log.end();
        let granted = self.quorum.may_grant(r.replica_id, up_to_date, r.pre_vote);
        if granted && !r.pre_vote && !self.quorum.has_voted() {
            self.quorum.vote_for(r.replica_id, at.now, out);
        }
        out.push(Effect::Tell(Event::Raft(RaftEvent::Voted {
            candidate: r.replica_id,
            epoch: r.replica_epoch,
            pre_vote: r.pre_vote,
            granted,
        })));
        self.vote_response(ErrorCode::None, granted)
    }

    fn check_vote(&self, r: &VoteRequest, at: At<'_>) -> Result<(), ErrorCode> {
        if r.pre_vote && !at.rules.prevote {
            return Err(ErrorCode::UnsupportedVersion);
        }
        // A candidate raised its epoch, so its log cannot hold it; a pre-vote's sender may have records of its epoch.
        let impossible = if r.pre_vote {
            r.last_epoch > r.replica_epoch
        } else {
            r.last_epoch >= r.replica_epoch
        };
        if impossible {
            return Err(ErrorCode::InvalidRequest);
        }
        self.check_epoch(r.replica_epoch)
    }

    /// K-28: an epoch gone by is fenced.
    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if epoch < self.epoch() {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        Ok(())
    }

    fn vote_response(&self, error_code: ErrorCode, vote_granted: bool) -> VoteResponse {
        VoteResponse {
            error_code,
            leader_id: self.leader(),
            leader_epoch: self.epoch(),
            vote_granted,
        }
    }

    /// Asks every voter that has not answered, as long as there is something to win.
    pub(super) fn ask_for_votes(&mut self, at: At<'_>, out: &mut Effects) {
        let (votes, pre_vote) = match self.quorum.state() {
            State::Prospective { votes, .. } => (votes, true),
            State::Candidate { votes, .. } => (votes, false),
            _ => unreachable!("because only these two ask for votes"),
        };
        if votes.is_rejected() {
            return;
        }
        let end = self.log.end();
        for voter in votes.unrecorded() {
            if self.requests.is_ready(voter, at.now) {
                let request = VoteRequest {
                    replica_epoch: self.epoch(),
                    replica_id: self.node,
                    last_epoch: end.epoch,
                    last_epoch_end_offset: end.offset,
                    pre_vote,
                };
                self.send(voter, Request::Vote(request), at.now, out);
            }
        }
    }

    /// A voter has answered.
    pub(super) fn on_voted(
        &mut self,
        from: NodeId,
        r: &VoteResponse,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<bool, Fault> {
        if r.error_code == ErrorCode::UnsupportedVersion {
            // One voter that knows no pre-vote is enough to do without.
            if let State::Prospective { .. } = self.quorum.state() {
                self.become_candidate(at, out);
            }
            return Ok(true);
        }
        if let Some(good) = self.take_common(r.error_code, r.leader_id, r.leader_epoch, at, out)? {
            return Ok(good);
        }
        match self.quorum.state_mut() {
            State::Prospective { votes, .. } => {
                votes.record(from, r.vote_granted);
                if votes.is_granted() {
                    self.become_candidate(at, out);
                } else if votes.is_rejected() {
                    self.lose_election(at, out)?;
                }
            }
            State::Candidate { votes, .. } => {
                votes.record(from, r.vote_granted);
                if votes.is_granted() {
                    self.lead(at, out);
                }
                // One that has lost waits out its election timeout.
            }
            _ => {}
        }
        Ok(true)
    }

    /// A prospective returns to the leader it remembers, or to looking for one.
    pub(super) fn lose_election(&mut self, at: At<'_>, out: &mut Effects) -> Result<(), Fault> {
        match self.leader() {
            Some(leader) => self.become_follower(self.epoch(), leader, at, out),
            None => {
                self.become_unattached(self.epoch(), at, out);
                Ok(())
            }
        }
    }

    /// A leader tells the voters that do not fetch from it who leads.
    pub(super) fn announce_leadership(&mut self, at: At<'_>, out: &mut Effects) {
        let due = self
            .quorum
            .leading()
            .map(|l| l.due_for_begin_quorum(at.now));
        for voter in due.unwrap_or_default() {
            if self.requests.is_ready(voter, at.now) {
                let request = BeginQuorumEpochRequest {
                    leader_id: self.node,
                    leader_epoch: self.epoch(),
                };
                self.send(voter, Request::BeginQuorumEpoch(request), at.now, out);
            }
        }
    }

    /// A leader introduces itself.
    pub(super) fn on_begin_quorum_epoch(
        &mut self,
        r: &BeginQuorumEpochRequest,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<QuorumEpochResponse, Fault> {
        if let Err(error) = self.check_epoch(r.leader_epoch) {
            return Ok(self.epoch_response(error));
        }
        self.learn_leader(Some(r.leader_id), r.leader_epoch, at, out)?;
        Ok(self.epoch_response(ErrorCode::None))
    }

    /// A voter has heard who leads. Its fetches will tell the rest.
    pub(super) fn on_begun(
        &mut self,
        r: &QuorumEpochResponse,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<bool, Fault> {
        let common = self.take_common(r.error_code, r.leader_id, r.leader_epoch, at, out)?;
        Ok(common.unwrap_or(true))
    }

    /// A resigned leader tells every voter, the best successor's name first.
    pub(super) fn say_goodbye(&mut self, at: At<'_>, out: &mut Effects) {
        let State::Resigned {
            successors,
            unacknowledged,
            ..
        } = self.quorum.state()
        else {
            unreachable!("because only the resigned say goodbye");
        };
        let request = EndQuorumEpochRequest {
            leader_id: self.node,
            leader_epoch: self.epoch(),
            preferred_successors: successors.clone(),
        };
        for voter in unacknowledged.clone() {
            if self.requests.is_ready(voter, at.now) {
                self.send(voter, Request::EndQuorumEpoch(request.clone()), at.now, out);
            }
        }
    }

    /// The leader resigns: a follower waits for its turn as successor instead of its fetch timeout (K-7).
    pub(super) fn on_end_quorum_epoch(
        &mut self,
        r: &EndQuorumEpochRequest,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<QuorumEpochResponse, Fault> {
        if let Err(error) = self.check_epoch(r.leader_epoch) {
            return Ok(self.epoch_response(error));
        }
        self.learn_leader(Some(r.leader_id), r.leader_epoch, at, out)?;
        let position = r.preferred_successors.iter().position(|s| *s == self.node);
        let backoff = self.successor_backoff(position, r.preferred_successors.len());
        if let State::Follower {
            leader, fetch_by, ..
        } = self.quorum.state_mut()
        {
            if *leader == r.leader_id {
                *fetch_by = at.now + backoff;
            }
        }
        Ok(self.epoch_response(ErrorCode::None))
    }

    /// None for the best successor, then doubling, so that the last waits the whole of `election.backoff.max.ms`.
    fn successor_backoff(&self, position: Option<usize>, successors: usize) -> Duration {
        let max = self.config.election_backoff_max.as_millis();
        match position {
            Some(0) => Duration::ZERO,
            Some(n) => Duration::millis(max.min((max >> (successors - 1)) << (n - 1))),
            None => Duration::millis(max),
        }
    }

    /// A voter has heard that its leader resigned.
    pub(super) fn on_ended(
        &mut self,
        from: NodeId,
        r: &QuorumEpochResponse,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<bool, Fault> {
        if let Some(good) = self.take_common(r.error_code, r.leader_id, r.leader_epoch, at, out)? {
            return Ok(good);
        }
        if let State::Resigned { unacknowledged, .. } = self.quorum.state_mut() {
            unacknowledged.retain(|v| *v != from);
        }
        Ok(true)
    }

    fn epoch_response(&self, error_code: ErrorCode) -> QuorumEpochResponse {
        QuorumEpochResponse {
            error_code,
            leader_id: self.leader(),
            leader_epoch: self.epoch(),
        }
    }

    /// What every answer says of leader and epoch. `None`: the answer itself is to be read too.
    pub(super) fn take_common(
        &mut self,
        error: ErrorCode,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<Option<bool>, Fault> {
        let stale = matches!(
            error,
            ErrorCode::FencedLeaderEpoch | ErrorCode::NotLeaderOrFollower
        );
        if epoch < self.epoch() || error == ErrorCode::UnknownLeaderEpoch {
            // Who is behind has nothing to tell to one who looks for a leader (see the header of `raft`).
            Ok(Some(self.leader().is_some()))
        } else if epoch > self.epoch() || stale {
            let before = (self.epoch(), self.leader());
            self.learn_leader(leader, epoch, at, out)?;
            // Who has nothing to tell is left alone for a while (see the header of `raft`).
            Ok(Some(before != (self.epoch(), self.leader())))
        } else if let (Some(leader), None) = (leader, self.leader()) {
            self.become_follower(epoch, leader, at, out)?;
            Ok((!error.is_none()).then_some(true))
        } else if error == ErrorCode::InvalidRequest {
            Err(Fault::InvalidRequest)
        } else {
            Ok((!error.is_none()).then_some(false))
        }
    }

    /// A request or an answer names an epoch and perhaps its leader.
    fn learn_leader(
        &mut self,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<(), Fault> {
        if !self.is_consistent(leader, epoch) {
            return Err(Fault::InconsistentLeader);
        }
        match leader {
            Some(leader) if epoch > self.epoch() || self.leader().is_none() => {
                self.become_follower(epoch, leader, at, out)?;
            }
            None if epoch > self.epoch() => self.become_unattached(epoch, at, out),
            _ => {}
        }
        Ok(())
    }

    /// One epoch has one leader, and this replica knows when it is that.
    fn is_consistent(&self, leader: Option<NodeId>, epoch: LeaderEpoch) -> bool {
        match (leader, self.leader()) {
            (Some(named), _) if named == self.node => self.is_leader(),
            (Some(named), Some(known)) if epoch == self.epoch() => named == known,
            _ => true,
        }
    }
}
