//! What a quorum leader keeps: how far each voter has fetched, the high watermark that follows from it, and the records
//! that wait to be appended. Kafka's LeaderState and BatchAccumulator.
//!
//! Left out: progress of observers (only DescribeQuorum shows it).

use crate::controller::records::MetadataRecord;
use crate::ids::{NodeId, Offset};
use crate::raft::Member;
use crate::rules::Rules;
use crate::time::{Duration, Time, Timestamp};
use serde::Serialize;
use smallvec::SmallVec;

/// A leader's part of a replica.
#[derive(Clone, Debug, Serialize)]
pub struct Leader {
    node: NodeId,
    epoch_start: Offset,
    voters: Vec<Voter>,
    /// Voters that have fetched since the check-quorum timer was set last.
    fetched: Vec<NodeId>,
    check_quorum: Duration,
    check_quorum_at: Time,
    begin_quorum: Duration,
    begin_quorum_at: Time,
    resign_requested: bool,
    accumulator: Accumulator,
}

#[derive(Clone, Debug, Serialize)]
struct Voter {
    id: NodeId,
    end_offset: Option<Offset>,
    last_fetch: Option<Time>,
}

/// Records gathered for the next batch. One call's records stay together, and so commit together or not at all (K-11).
#[derive(Clone, Debug, Serialize)]
struct Accumulator {
    next_offset: Offset,
    linger: Duration,
    records: Vec<MetadataRecord>,
    begun: Timestamp,
    drain_at: Option<Time>,
}

impl Leader {
    /// A leader whose epoch begins at `epoch_start`, its log end offset.
    pub fn new(member: &Member, epoch_start: Offset, now: Time) -> Leader {
        let config = &member.config;
        let voter = |id: &NodeId| Voter {
            id: *id,
            end_offset: None,
            last_fetch: None,
        };
        // Half as long again as the fetch timeout, for the time on the way.
        let check_quorum = Duration(config.fetch_timeout.0 * 3 / 2);
        Leader {
            node: member.node,
            epoch_start,
            voters: member.voters.iter().map(voter).collect(),
            fetched: Vec::new(),
            check_quorum,
            check_quorum_at: now + check_quorum,
            begin_quorum: Duration(config.fetch_timeout.0 / 2),
            begin_quorum_at: now,
            resign_requested: false,
            accumulator: Accumulator {
                next_offset: epoch_start,
                linger: config.append_linger,
                records: Vec::new(),
                begun: Timestamp(0),
                drain_at: None,
            },
        }
    }

    /// Where this leader's epoch begins.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// The offset that the next gathered record will have.
    pub fn next_offset(&self) -> Offset {
        self.accumulator.next_offset
    }

    /// Gathers records; returns the offset of the first.
    pub fn gather(&mut self, records: Vec<MetadataRecord>, now: Time, wall: Timestamp) -> Offset {
        let a = &mut self.accumulator;
        if a.records.is_empty() {
            a.begun = wall;
            a.drain_at = Some(now + a.linger);
        }
        let first = a.next_offset;
        a.next_offset = first.plus(records.len() as i64);
        a.records.extend(records);
        first
    }

    /// The gathered records, once the linger is over, and when the first came.
    pub fn drain(&mut self, now: Time) -> Option<(Vec<MetadataRecord>, Timestamp)> {
        let a = &mut self.accumulator;
        a.drain_at.take_if(|at| *at <= now)?;
        Some((std::mem::take(&mut a.records), a.begun))
    }

    /// The log has grown by a batch that was not gathered: the epoch's control record.
    pub fn skip_to(&mut self, next_offset: Offset) {
        assert!(
            self.accumulator.records.is_empty(),
            "the control record is the epoch's first"
        );
        self.accumulator.next_offset = next_offset;
    }

    /// Asks this leader to give up.
    pub fn request_resign(&mut self) {
        self.resign_requested = true;
    }

    /// Whether it was asked to give up.
    pub fn is_resign_requested(&self) -> bool {
        self.resign_requested
    }

    /// The leader's own log ends at `end`. It counts before it is on disk (K-6).
    pub fn update_own(&mut self, end: Offset) {
        let node = self.node;
        self.voter_mut(node)
            .expect("a leader is a voter")
            .end_offset = Some(end);
    }

    /// A replica asked for what follows `offset`, and so has all before it. Observers do not count. Returns whether a voter's
    /// log is now known to end elsewhere: only then a majority can have more.
    pub fn update_follower(&mut self, replica: NodeId, offset: Offset, now: Time) -> bool {
        assert!(replica != self.node, "a leader does not fetch from itself");
        let Some(voter) = self.voter_mut(replica) else {
            return false;
        };
        let moved = voter.end_offset.replace(offset) != Some(offset);
        voter.last_fetch = Some(now);
        self.fetched_by(replica, now);
        moved
    }

    /// Check-quorum: a majority, the leader itself included, has to fetch within each span (KAFKA-15489).
    fn fetched_by(&mut self, voter: NodeId, now: Time) {
        if !self.fetched.contains(&voter) {
            self.fetched.push(voter);
        }
        if self.fetched.len() >= self.voters.len() / 2 {
            self.fetched.clear();
            self.check_quorum_at = now + self.check_quorum;
        }
    }

    /// Whether a majority has stopped fetching. A single voter is its own majority.
    pub fn has_lost_quorum(&self, now: Time, rules: &Rules) -> bool {
        rules.check_quorum && self.voters.len() > 1 && self.check_quorum_at <= now
    }

    /// The offset up to which a majority has the log, if that commits anything (K-4).
    ///
    /// A majority for a record of an earlier epoch proves nothing: a voter without it, but with a record of an epoch between,
    /// could still be elected and overwrite it (Raft §5.4.2). A majority past the start of this leader's own epoch
    /// forbids that. With `own-epoch-commit` off the bound is one too low, as before KAFKA-12619, and the records before
    /// the epoch's first are committed by counting.
    pub fn majority_offset(&self, rules: &Rules) -> Option<Offset> {
        let ends = self.voters.iter().map(|v| v.end_offset);
        let mut ends: SmallVec<[Option<Offset>; 8]> = ends.collect();
        ends.sort_by(|a, b| b.cmp(a));
        let least = if rules.own_epoch_commit {
            self.epoch_start.plus(1)
        } else {
            self.epoch_start
        };
        ends[ends.len() / 2].filter(|end| *end >= least)
    }

    /// The voters to be told again who leads: those that have not fetched lately. Once per half fetch timeout.
    pub fn due_for_begin_quorum(&mut self, now: Time) -> Vec<NodeId> {
        if self.begin_quorum_at > now {
            return Vec::new();
        }
        self.begin_quorum_at = now + self.begin_quorum;
        let silent = |v: &&Voter| {
            v.id != self.node
                && v.last_fetch
                    .is_none_or(|at| now.since(at) >= self.begin_quorum)
        };
        self.voters.iter().filter(silent).map(|v| v.id).collect()
    }

    /// The other voters, the one that has fetched farthest first; ties and the silent by id (K-7).
    pub fn voters_by_descending_offset(&self, but: NodeId) -> Vec<NodeId> {
        let mut others: Vec<&Voter> = self.voters.iter().filter(|v| v.id != but).collect();
        others.sort_by(|a, b| b.end_offset.cmp(&a.end_offset).then(a.id.cmp(&b.id)));
        others.iter().map(|v| v.id).collect()
    }

    /// When something is due next.
    pub fn next_deadline(&self, rules: &Rules) -> Option<Time> {
        let others = self.voters.len() > 1;
        Time::earliest([
            self.accumulator.drain_at,
            (others && rules.check_quorum).then_some(self.check_quorum_at),
            others.then_some(self.begin_quorum_at),
        ])
    }

    fn voter_mut(&mut self, id: NodeId) -> Option<&mut Voter> {
        self.voters.iter_mut().find(|v| v.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::RaftConfig;

    fn leader_at(epoch_start: i64) -> Leader {
        let member = Member {
            node: NodeId(1),
            voters: (1..=5).map(NodeId).collect(),
            config: RaftConfig::default(),
        };
        let mut leader = Leader::new(&member, Offset(epoch_start), Time(0));
        leader.update_own(Offset(epoch_start + 1));
        leader
    }

    #[test]
    fn the_high_watermark_is_unknown_until_a_majority_has_fetched() {
        let mut leader = leader_at(10);
        leader.update_follower(NodeId(2), Offset(11), Time(0));
        assert_eq!(leader.majority_offset(&Rules::default()), None);
        leader.update_follower(NodeId(3), Offset(11), Time(0));
        assert_eq!(leader.majority_offset(&Rules::default()), Some(Offset(11)));
    }

    #[test]
    fn a_majority_at_the_epochs_start_commits_only_without_the_own_epoch_rule() {
        let mut leader = leader_at(10);
        leader.update_follower(NodeId(2), Offset(10), Time(0));
        leader.update_follower(NodeId(3), Offset(10), Time(0));
        let off = Rules {
            own_epoch_commit: false,
            ..Rules::default()
        };
        assert_eq!(leader.majority_offset(&Rules::default()), None);
        assert_eq!(leader.majority_offset(&off), Some(Offset(10)));
    }

    #[test]
    fn a_leader_that_two_of_five_fetch_from_keeps_its_quorum() {
        let mut leader = leader_at(0);
        let late = Time(0) + Duration::millis(2_900);
        leader.update_follower(NodeId(2), Offset(1), late);
        leader.update_follower(NodeId(3), Offset(1), late);
        assert!(!leader.has_lost_quorum(Time(0) + Duration::millis(3_000), &Rules::default()));
        assert!(leader.has_lost_quorum(late + Duration::millis(3_000), &Rules::default()));
    }

    #[test]
    fn one_follower_alone_does_not_keep_a_leader_of_five() {
        let mut leader = leader_at(0);
        leader.update_follower(NodeId(2), Offset(1), Time(0) + Duration::millis(2_900));
        assert!(leader.has_lost_quorum(Time(0) + Duration::millis(3_000), &Rules::default()));
    }

    #[test]
    fn records_of_one_linger_go_out_together() {
        let mut leader = leader_at(0);
        leader.skip_to(Offset(1));
        let (t, wall) = (Time(0), Timestamp(7));
        assert_eq!(
            leader.gather(vec![MetadataRecord::NoOp], t, wall),
            Offset(1)
        );
        assert_eq!(
            leader.gather(vec![MetadataRecord::NoOp; 2], t, wall),
            Offset(2)
        );
        assert_eq!(leader.drain(t), None);
        let (records, begun) = leader
            .drain(t + Duration::millis(25))
            .expect("the linger is over");
        assert_eq!((records.len(), begun), (3, wall));
    }

    #[test]
    fn successors_come_by_descending_offset() {
        let mut leader = leader_at(0);
        leader.update_follower(NodeId(4), Offset(9), Time(0));
        leader.update_follower(NodeId(2), Offset(5), Time(0));
        let order = leader.voters_by_descending_offset(NodeId(1));
        assert_eq!(order, [NodeId(4), NodeId(2), NodeId(3), NodeId(5)]);
    }
}
