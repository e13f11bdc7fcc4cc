//! One replica of the metadata log: Kafka's KafkaRaftClient (KIP-595, KIP-996). At most one leader per epoch; what a
//! majority of voters has is never lost or changed; every replica applies a prefix of it (I-8).
//!
//! Replication is pull: followers fetch, and a fetch's offset tells the leader what its sender has (K-5). Brokers run the
//! same part as observers, which neither vote nor count.
//!
//! Kafka's Raft client is one thread that stands still while it forces files to disk. So does this part: what a step wants
//! after a sync waits for it, as do all later inputs. That is why a voter's next fetch and its vote's answer never
//! leave before the records and the vote are on disk (K-1, K-6), and why a leader's answers, given before its own sync,
//! do.
//!
//! Left out: dynamic voters and directory ids (K-10), snapshots and FetchSnapshot (K-5, K-12), DescribeQuorum.
//!
//! Two departures, both in looking for a leader. Kafka's replica sometimes asks itself, in vain; this one does not. And when
//! a voter knows no leader either, or is behind, Kafka's replica asks the next one at once, and so on as fast as the network goes;
//! this one leaves that voter alone for `retry.backoff.ms`, so that a quorum without a leader is not the busiest of all.

#[cfg(test)]
mod bench;
pub mod driver;
pub mod election;
pub mod fetch;
pub mod leader;
pub mod log;
pub mod quorum;
pub mod requests;
#[cfg(test)]
mod tests;

use crate::config::ServerConfig;
use crate::controller::records::MetadataRecord;
use crate::disk::{DiskError, DiskImage, FileId};
use crate::effect::{Effect, Effects};
use crate::event::{Event, RaftEvent};
use crate::ids::{ConnId, CorrelationId, LeaderEpoch, NodeId, Offset};
use crate::log::batch::{BatchData, ControlRecord};
use crate::protocol::{ErrorCode, Request, Response};
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use fetch::Parked;
use log::MetadataLog;
use quorum::{Die, Quorum, State};
use requests::Requests;
use serde::Serialize;
use std::collections::VecDeque;

/// The timers of §3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RaftConfig {
    /// An election timeout is drawn from [1, 2) times this.
    pub election_timeout: Duration,
    /// A follower thinks of an election without a successful fetch for so long.
    pub fetch_timeout: Duration,
    /// The longest pause of a successor after a resignation.
    pub election_backoff_max: Duration,
    /// How long a leader gathers records.
    pub append_linger: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// The pause after a failed request.
    pub retry_backoff: Duration,
}

/// Which replica this is, of which quorum.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// This replica.
    pub node: NodeId,
    /// The voters, ascending; others observe.
    pub voters: Vec<NodeId>,
    /// The timers.
    pub config: RaftConfig,
}

/// How long a fetch may be parked (Kafka's MAX_FETCH_WAIT_MS).
const FETCH_MAX_WAIT: Duration = Duration::millis(500);

/// How long a stopping replica waits for a successor.
const SHUTDOWN_TIMEOUT: Duration = Duration::millis(5_000);

/// When a step happens, and by which rules.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The monotonic clock.
    pub now: Time,
    /// The wall clock, for the batches a leader writes.
    pub wall: Timestamp,
    /// The process's rules.
    pub rules: &'a Rules,
}

/// What a replica learns.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum RaftInput {
    /// Vote, BeginQuorumEpoch, EndQuorumEpoch or Fetch from another node.
    Request {
        /// On which connection.
        conn: ConnId,
        /// To be named in the reply.
        id: CorrelationId,
        /// The question.
        request: Request,
    },
    /// A connection is gone: fetches parked on it need no answer.
    Closed(ConnId),
    /// The oldest request sent to a node is answered.
    Answered(NodeId, Response),
    /// The oldest request sent to a node will not be answered.
    Failed(NodeId),
    /// A sync that was asked for is done.
    Synced(FileId, Result<(), DiskError>),
    /// Something may be due.
    Alarm,
    /// Please stop: a leader resigns first.
    Stop,
}

/// What ends a replica's process: Kafka's fatal fault handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Fault {
    /// Another replica names another leader for this epoch, or this replica as a leader that it is not.
    InconsistentLeader,
    /// The leader wants committed records cut off.
    TruncationBelowHighWatermark,
    /// The leader's high watermark lies below the one it had told.
    HighWatermarkWentBack,
    /// Another replica finds a request malformed.
    InvalidRequest,
    /// The leader's records do not begin where this log ends, or their epochs go back.
    UnexpectedRecords,
    /// A disk failed.
    Disk(DiskError),
}

/// What listeners of a replica see: only what its syncs have made certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Seen {
    /// Records below it are committed.
    pub committed: Offset,
    /// The current epoch.
    pub epoch: LeaderEpoch,
    /// Its leader. A replica that leads names itself once it has seen its own epoch's first record committed.
    pub leader: Option<NodeId>,
}

/// One replica of the metadata log.
#[derive(Clone, Debug, Serialize)]
pub struct Raft {
    node: NodeId,
    config: RaftConfig,
    quorum: Quorum,
    log: MetadataLog,
    requests: Requests,
    /// Which voter is asked first for the leader.
    voter_die: Die,
    parked: Vec<Parked>,
    /// The replica gives up waiting for a successor then, and stops.
    stopping: Option<Time>,
    /// The thread stands still until this file is synced.
    flushing: Option<FileId>,
    /// What the step that waits for the sync wants afterwards.
    held: VecDeque<Effect>,
    inbox: VecDeque<RaftInput>,
    seen: Seen,
}

impl Raft {
    /// A replica from what is on disk. The two numbers are drawn for [`Raft::dice`].
    pub fn open(
        member: Member,
        disk: &DiskImage,
        drawn: [u64; 2],
        at: At<'_>,
        out: &mut Effects,
    ) -> Raft {
        let (node, config) = (member.node, member.config);
        let mut fresh = Effects::new();
        let log = MetadataLog::open(disk, &mut fresh);
        let [election, voter] = drawn.map(Die::new);
        let quorum = Quorum::open(member, disk, log.end(), election, at.now, &mut fresh);
        let mut raft = Raft {
            node,
            config,
            quorum,
            log,
            requests: Requests::new(config.retry_backoff, config.request_timeout),
            voter_die: voter,
            parked: Vec::new(),
            stopping: None,
            flushing: None,
            held: VecDeque::new(),
            inbox: VecDeque::from([RaftInput::Alarm]),
            seen: Seen::default(),
        };
        // K-28: a voter alone has its majority at once.
        if raft.quorum.is_only_voter() {
            match raft.quorum.state() {
                State::Candidate { .. } => raft.lead(at, &mut fresh),
                _ => raft.become_prospective(at, &mut fresh),
            }
        }
        raft.held.extend(fresh);
        raft.release(out);
        raft
    }

    /// One step, or several that had to wait for a sync.
    ///
    /// # Errors
    /// A fault ends the process.
    pub fn handle(&mut self, input: RaftInput, at: At<'_>, out: &mut Effects) -> Result<(), Fault> {
        let mut next = None;
        match input {
            RaftInput::Synced(file, result) => {
                result.map_err(Fault::Disk)?;
                assert_eq!(
                    self.flushing.take(),
                    Some(file),
                    "one sync at a time, and this one"
                );
                self.release(out);
            }
            // Mostly nothing is before it.
            input if self.flushing.is_none() && self.inbox.is_empty() => next = Some(input),
            input => self.inbox.push_back(input),
        }
        while self.flushing.is_none() {
            let Some(input) = next.take().or_else(|| self.inbox.pop_front()) else {
                break;
            };
            let before = out.len();
            let ended = self.step(input, at, out);
            if let Err(fault) = ended.and_then(|()| self.poll(at, out)) {
                // What the step had wanted is not done.
                out.truncate(before);
                return Err(fault);
            }
            let is_sync = |e: &Effect| matches!(e, Effect::Sync(_));
            if self.held.is_empty() && !out[before..].iter().any(is_sync) {
                // Nothing has to wait.
                self.publish();
            } else {
                self.held.extend(out.drain(before..));
                self.release(out);
            }
        }
        Ok(())
    }

    /// Lets out what a step wants, up to the first sync and including it.
    fn release(&mut self, out: &mut Effects) {
        while let Some(effect) = self.held.pop_front() {
            if let Effect::Sync(file) = &effect {
                self.flushing = Some(*file);
            }
            out.push(effect);
            if self.flushing.is_some() {
                return;
            }
        }
        self.publish();
    }

    /// A leader is seen only when its whole past is committed and applied: it must not decide on less. A resigned one
    /// stays seen until its epoch is over.
    fn publish(&mut self) {
        self.seen.committed = self.seen.committed.max(self.log.hw());
        let is_news = match self.quorum.state() {
            State::Leader(leader) => self.seen.committed > leader.epoch_start(),
            State::Resigned { .. } => false,
            _ => true,
        };
        if is_news {
            self.seen.epoch = self.quorum.epoch();
            self.seen.leader = self.quorum.leader();
        }
    }

    fn step(&mut self, input: RaftInput, at: At<'_>, out: &mut Effects) -> Result<(), Fault> {
        match input {
            RaftInput::Request { conn, id, request } => self.answer(conn, id, request, at, out)?,
            RaftInput::Closed(conn) => self.parked.retain(|p| p.conn() != conn),
            RaftInput::Answered(from, response) => {
                // An answer from before the last change of state is no news.
                if self.requests.ended(from) {
                    if self.take_answer(from, response, at, out)? {
                        self.requests.reset(from);
                    } else {
                        self.requests.back_off(from, at.now);
                    }
                }
            }
            RaftInput::Failed(to) => {
                if self.requests.ended(to) {
                    self.requests.back_off(to, at.now);
                }
            }
            RaftInput::Synced(..) => unreachable!("because a sync ends a wait and is no step"),
            RaftInput::Alarm => {}
            RaftInput::Stop => self.stopping = self.stopping.or(Some(at.now + SHUTDOWN_TIMEOUT)),
        }
        Ok(())
    }

    fn answer(
        &mut self,
        conn: ConnId,
        id: CorrelationId,
        request: Request,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<(), Fault> {
        let response = match request {
            Request::Fetch(r) => return self.on_fetch(conn, id, &r, at, out),
            Request::Vote(r) => Response::Vote(self.on_vote(&r, at, out)),
            Request::BeginQuorumEpoch(r) => {
                Response::BeginQuorumEpoch(self.on_begin_quorum_epoch(&r, at, out)?)
            }
            Request::EndQuorumEpoch(r) => {
                Response::EndQuorumEpoch(self.on_end_quorum_epoch(&r, at, out)?)
            }
            other => unreachable!("because the role sends {:?} elsewhere", other.api()),
        };
        out.push(Effect::Reply(conn, id, response));
        Ok(())
    }

    /// Whether the answer was good; after a bad one its sender is left alone for a while.
    fn take_answer(
        &mut self,
        from: NodeId,
        response: Response,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<bool, Fault> {
        match response {
            Response::Fetch(r) => self.on_fetched(r, at, out),
            Response::Vote(r) => self.on_voted(from, &r, at, out),
            Response::BeginQuorumEpoch(r) => self.on_begun(&r, at, out),
            Response::EndQuorumEpoch(r) => self.on_ended(from, &r, at, out),
            other => unreachable!("because this part asked nothing about {:?}", other.api()),
        }
    }

    /// Does what is due in the current state, and in those that it leads to.
    fn poll(&mut self, at: At<'_>, out: &mut Effects) -> Result<(), Fault> {
        self.expire_parked(at.now, out);
        while self.poll_state(at, out)? {}
        assert!(
            self.log.hw() <= self.log.leo(),
            "what is committed is in the log"
        );
        Ok(())
    }

    /// Whether the state has changed.
    fn poll_state(&mut self, at: At<'_>, out: &mut Effects) -> Result<bool, Fault> {
        let stopping = self.stopping.is_some();
        let is_due = |when: Time| !stopping && when <= at.now;
        match self.quorum.state() {
            State::Unattached {
                election_at: Some(when),
                ..
            } if is_due(*when) => self.become_prospective(at, out),
            State::Unattached { .. } if stopping => return Ok(false),
            State::Unattached { .. } => {
                self.fetch_from_any(at, out);
                return Ok(false);
            }
            State::Follower { .. } if stopping => return Ok(false),
            State::Follower { fetch_by, .. } if self.quorum.is_voter() && is_due(*fetch_by) => {
                self.become_prospective(at, out);
            }
            State::Follower { leader, .. } => {
                self.fetch_from(*leader, at, out);
                return Ok(false);
            }
            State::Prospective { election_at, .. } if is_due(*election_at) => {
                self.lose_election(at, out)?
            }
            State::Candidate { election_at, .. } if is_due(*election_at) => {
                self.become_prospective(at, out)
            }
            State::Prospective { .. } | State::Candidate { .. } => {
                self.ask_for_votes(at, out);
                return Ok(false);
            }
            State::Leader(leader) => {
                let lost = leader.has_lost_quorum(at.now, at.rules);
                if !(stopping || lost || leader.is_resign_requested()) {
                    self.append_gathered(at, out);
                    self.announce_leadership(at, out);
                    return Ok(false);
                }
                if lost {
                    let epoch = self.quorum.epoch();
                    out.push(Effect::Tell(Event::Raft(RaftEvent::CheckQuorumFailed {
                        epoch,
                    })));
                }
                self.resign_now(at, out);
            }
            State::Resigned { election_at, .. } if is_due(*election_at) => {
                // The epoch is over: nobody may take this replica for its leader any more.
                self.become_unattached(self.quorum.epoch().next(), at, out);
            }
            State::Resigned { .. } => {
                self.say_goodbye(at, out);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn become_prospective(&mut self, at: At<'_>, out: &mut Effects) {
        self.quorum.become_prospective(at.now, out);
        // Without pre-votes a replica that heard nothing raises the epoch at once, as before KIP-996.
        if self.quorum.is_only_voter() || !at.rules.prevote {
            self.become_candidate(at, out);
        } else {
            self.requests.reset_all();
        }
    }

    fn become_candidate(&mut self, at: At<'_>, out: &mut Effects) {
        self.quorum.become_candidate(at.now, out);
        if self.quorum.is_only_voter() {
            self.lead(at, out);
        } else {
            self.requests.reset_all();
        }
    }

    fn become_unattached(&mut self, epoch: LeaderEpoch, at: At<'_>, out: &mut Effects) {
        self.quorum.become_unattached(epoch, at.now, out);
        self.requests.reset_all();
    }

    fn become_follower(
        &mut self,
        epoch: LeaderEpoch,
        leader: NodeId,
        at: At<'_>,
        out: &mut Effects,
    ) -> Result<(), Fault> {
        if leader == self.node {
            return Err(Fault::InconsistentLeader);
        }
        self.quorum.become_follower(epoch, leader, at.now, out);
        self.requests.reset_all();
        self.refuse_parked(out);
        Ok(())
    }

    /// The epoch begins with a control record, so that there is a record of its own to commit (K-4).
    fn lead(&mut self, at: At<'_>, out: &mut Effects) {
        self.quorum.become_leader(self.log.leo(), at.now, out);
        self.requests.reset_all();
        let record = ControlRecord::LeaderChange {
            leader: self.node,
            voters: self.quorum.voters().to_vec(),
        };
        self.append_batch(BatchData::of_control(record, at.wall), at, out);
        let end = self.log.leo();
        self.quorum.leading().expect("just elected").skip_to(end);
    }

    fn resign_now(&mut self, at: At<'_>, out: &mut Effects) {
        self.refuse_parked(out);
        self.quorum.become_resigned(at.now, out);
        self.requests.reset_all();
    }

    fn append_gathered(&mut self, at: At<'_>, out: &mut Effects) {
        let gathered = self.quorum.leading().and_then(|l| l.drain(at.now));
        if let Some((records, begun)) = gathered {
            self.append_batch(BatchData::of_metadata(records, begun), at, out);
        }
    }

    /// The leader's log grows: its end counts, parked fetches are answered, and only then is it synced (K-6).
    fn append_batch(&mut self, data: BatchData, at: At<'_>, out: &mut Effects) {
        self.log.append_as_leader(data, self.quorum.epoch(), out);
        let end = self.log.leo();
        self.quorum
            .leading()
            .expect("only a leader appends")
            .update_own(end);
        self.advance_hw(at, out);
        self.complete_parked(|asked| asked < end, at, out);
        self.log.flush(out);
    }

    /// Raises a leader's high watermark to what a majority has; an advance completes every parked fetch (K-9).
    fn advance_hw(&mut self, at: At<'_>, out: &mut Effects) {
        let majority = self
            .quorum
            .leading()
            .and_then(|l| l.majority_offset(at.rules));
        let Some(hw) = majority.filter(|m| self.quorum.hw().is_none_or(|hw| *m > hw)) else {
            return;
        };
        self.commit_to(hw, out);
        self.complete_parked(|_| true, at, out);
    }

    fn commit_to(&mut self, hw: Offset, out: &mut Effects) {
        self.quorum.set_hw(hw);
        if self.log.advance_hw(hw) {
            out.push(Effect::Tell(Event::Raft(RaftEvent::HighWatermark { hw })));
        }
    }

    fn send(&mut self, to: NodeId, request: Request, now: Time, out: &mut Effects) {
        self.requests.sent(to, now);
        out.push(Effect::Send(to, request));
    }

    /// Gathers records for the next batch, as leader of `epoch`; returns the offset of the first.
    ///
    /// # Errors
    /// NOT_CONTROLLER if this replica does not lead that epoch (K-8).
    pub fn append(
        &mut self,
        epoch: LeaderEpoch,
        records: Vec<MetadataRecord>,
        at: At<'_>,
    ) -> Result<Offset, ErrorCode> {
        assert!(!records.is_empty(), "an append has records");
        if epoch != self.quorum.epoch() {
            return Err(ErrorCode::NotController);
        }
        let leader = self.quorum.leading().ok_or(ErrorCode::NotController)?;
        Ok(leader.gather(records, at.now, at.wall))
    }

    /// The offset that the next record given to [`Raft::append`] will have, if this replica leads.
    pub fn next_offset(&self) -> Option<Offset> {
        match self.quorum.state() {
            State::Leader(leader) => Some(leader.next_offset()),
            _ => None,
        }
    }

    /// Asks a leader of `epoch` to resign with the next step.
    pub fn resign(&mut self, epoch: LeaderEpoch) {
        if epoch == self.quorum.epoch() {
            if let Some(leader) = self.quorum.leading() {
                leader.request_resign();
            }
        }
    }

    /// When [`RaftInput::Alarm`] is due.
    pub fn next_alarm(&self, now: Time, rules: &Rules) -> Option<Time> {
        if self.flushing.is_some() {
            return None;
        }
        let requests = self.requests.next_deadline(now);
        let (state, requests) = match self.quorum.state() {
            State::Unattached { election_at, .. } => (*election_at, requests),
            State::Follower { fetch_by, .. } => {
                (self.quorum.is_voter().then_some(*fetch_by), requests)
            }
            State::Prospective { election_at, .. }
            | State::Candidate { election_at, .. }
            | State::Resigned { election_at, .. } => (Some(*election_at), requests),
            State::Leader(leader) => (leader.next_deadline(rules), None),
        };
        let state = state.filter(|_| self.stopping.is_none());
        let parked = self.parked.iter().map(Parked::expires).min();
        let gives_up = self.stopping.filter(|at| *at > now);
        Time::earliest([state, requests, parked, gives_up])
    }

    /// The dice that election timeouts and the choice of a voter are drawn with: those spent are to be replaced before
    /// the next step.
    pub fn dice(&mut self) -> [&mut Die; 2] {
        [self.quorum.die(), &mut self.voter_die]
    }

    /// Whether a replica that was asked to stop may do so: it does not lead, or waited long enough for a successor.
    pub fn may_stop(&self, now: Time) -> bool {
        let Some(gives_up) = self.stopping else {
            return false;
        };
        let others_lead = self.quorum.leader().is_some_and(|l| l != self.node);
        !self.quorum.is_voter() || self.quorum.is_only_voter() || others_lead || gives_up <= now
    }

    /// What listeners see.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Epoch and state.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The replica's log.
    pub fn log(&self) -> &MetadataLog {
        &self.log
    }

    /// The current epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.quorum.epoch()
    }

    /// The epoch's leader, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.quorum.leader()
    }

    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        self.quorum.is_leader()
    }
}

impl RaftConfig {
    /// The settings of a node. No timeout is below 1 ms, so that time passes between a failure and the next try.
    pub fn of(server: &ServerConfig) -> RaftConfig {
        let linger = |n: i32| Duration::millis(u64::from(n.max(0).unsigned_abs()));
        let timeout = |n: i32| linger(n.max(1));
        RaftConfig {
            election_timeout: timeout(server.quorum_election_timeout_ms),
            fetch_timeout: timeout(server.quorum_fetch_timeout_ms),
            election_backoff_max: timeout(server.quorum_election_backoff_max_ms),
            append_linger: linger(server.quorum_append_linger_ms),
            request_timeout: timeout(server.quorum_request_timeout_ms),
            retry_backoff: timeout(server.quorum_retry_backoff_ms),
        }
    }
}

impl Default for RaftConfig {
    fn default() -> RaftConfig {
        RaftConfig::of(&ServerConfig::default())
    }
}
