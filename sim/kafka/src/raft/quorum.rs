//! What one replica thinks of its quorum: Kafka's QuorumState. At most one leader is elected per epoch (I-8), because
//! epoch and vote are on disk before anybody is told of them (K-1).
//!
//! Left out: directory ids and dynamic voters (K-10).

use crate::disk::{DiskImage, FileId, FileImage, QuorumStateFile, SmallFile, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, RaftEvent, RaftState};
use crate::ids::{LeaderEpoch, NodeId, Offset};
use crate::raft::Member;
use crate::raft::leader::Leader;
use crate::raft::log::OffsetAndEpoch;
use crate::time::Time;
use serde::Serialize;

/// The states of a replica and their legal transitions (KIP-595, KIP-996). "higher epoch" is a request or a response.
///
/// | from | cause | to |
/// |---|---|---|
/// | any | higher epoch, its leader known | Follower |
/// | any | higher epoch, its leader unknown | Unattached |
/// | Unattached, Prospective, Candidate | the epoch's leader is learned | Follower |
/// | Unattached | election timeout (voters only) | Prospective |
/// | Follower | fetch timeout (voters only) | Prospective |
/// | Prospective | a majority would vote for it | Candidate, epoch + 1 |
/// | Prospective | a majority would not, or election timeout | Follower of the leader it remembers, else Unattached |
/// | Candidate | a majority voted for it | Leader |
/// | Candidate | election timeout | Prospective |
/// | Leader | no majority fetches, asked to resign or to stop | Resigned |
/// | Resigned | election timeout | Unattached, epoch + 1 |
#[derive(Clone, Debug, Serialize)]
pub enum State {
    /// Knows nobody to fetch from, and asks around.
    Unattached {
        /// Whom it voted for in this epoch.
        voted: Option<NodeId>,
        /// When it thinks of an election; observers never do.
        election_at: Option<Time>,
    },
    /// Fetches from the leader.
    Follower {
        /// Whom it follows.
        leader: NodeId,
        /// Whom it voted for in this epoch.
        voted: Option<NodeId>,
        /// It has fetched from this leader, and so refuses pre-votes (K-2).
        fetched: bool,
        /// When it thinks of an election unless a fetch succeeds before.
        fetch_by: Time,
    },
    /// Asks whether it could win an election (KIP-996).
    Prospective {
        /// The leader it lost sight of.
        leader: Option<NodeId>,
        /// Whom it voted for in this epoch.
        voted: Option<NodeId>,
        /// The answers so far.
        votes: Votes,
        /// When it gives up.
        election_at: Time,
    },
    /// Asks for votes; it has its own.
    Candidate {
        /// The answers so far.
        votes: Votes,
        /// When it gives up.
        election_at: Time,
    },
    /// Appends, and serves fetches.
    Leader(Leader),
    /// Led this epoch and leads no more.
    Resigned {
        /// The other voters, the best successor first (K-7).
        successors: Vec<NodeId>,
        /// Those that have not yet answered EndQuorumEpoch.
        unacknowledged: Vec<NodeId>,
        /// When it moves on to the next epoch.
        election_at: Time,
    },
}

/// One election's votes: Kafka's EpochElection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Votes {
    voters: Vec<(NodeId, Option<bool>)>,
}

impl Votes {
    /// An election among `voters` in which `own` has said yes.
    pub fn of(voters: &[NodeId], own: NodeId) -> Votes {
        let said = |v: &NodeId| (*v, (*v == own).then_some(true));
        Votes {
            voters: voters.iter().map(said).collect(),
        }
    }

    /// Takes down an answer; a later one counts.
    pub fn record(&mut self, voter: NodeId, granted: bool) {
        for (id, vote) in &mut self.voters {
            if *id == voter {
                *vote = Some(granted);
            }
        }
    }

    /// Whether a majority has said yes.
    pub fn is_granted(&self) -> bool {
        self.count(Some(true)) > self.voters.len() / 2
    }

    /// Whether a majority can no longer say yes.
    pub fn is_rejected(&self) -> bool {
        self.count(Some(true)) + self.count(None) <= self.voters.len() / 2
    }

    /// Those that have not answered.
    pub fn unrecorded(&self) -> Vec<NodeId> {
        self.voters
            .iter()
            .filter(|v| v.1.is_none())
            .map(|v| v.0)
            .collect()
    }

    fn count(&self, vote: Option<bool>) -> usize {
        self.voters.iter().filter(|v| v.1 == vote).count()
    }
}

/// Epoch and state of one replica.
#[derive(Clone, Debug, Serialize)]
pub struct Quorum {
    member: Member,
    epoch: LeaderEpoch,
    state: State,
    /// The high watermark as this state knows it. A new leader does not know it (K-4), nor does a resigned one.
    hw: Option<Offset>,
    /// A number drawn for the next election timeout.
    die: Die,
}

/// A number drawn beforehand. One step may use it for several transitions, of which the last one counts; then it is
/// drawn anew, so that as many are drawn as there are elections, and no more.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Die {
    number: u64,
    /// Used: to be drawn anew before the next step.
    pub spent: bool,
}

impl Die {
    /// A die that shows `number`.
    pub fn new(number: u64) -> Die {
        Die {
            number,
            spent: false,
        }
    }

    /// A number from `[0, below)`, by widening multiplication.
    pub fn below(&mut self, below: u64) -> u64 {
        self.spent = true;
        ((u128::from(self.number) * u128::from(below)) >> 64) as u64
    }
}

impl Quorum {
    /// The state that the file `quorum-state` stands for. A leader restarts as Resigned: it may have lost records of
    /// its epoch, and must write no others at their offsets (QuorumState.initialize).
    pub fn open(
        member: Member,
        disk: &DiskImage,
        log_end: OffsetAndEpoch,
        die: Die,
        now: Time,
        out: &mut Effects,
    ) -> Quorum {
        let file = match disk.get(&FileId::QuorumState) {
            Some(FileImage::Small(SmallFile::Quorum(file))) => *file,
            _ => QuorumStateFile::default(),
        };
        let node = member.node;
        let mut quorum = Quorum {
            member,
            epoch: file.epoch.max(log_end.epoch),
            state: State::Unattached {
                voted: None,
                election_at: None,
            },
            hw: None,
            die,
        };
        let election_at = quorum.election_timeout(now);
        let initial = if file.epoch < log_end.epoch {
            quorum.unattached(None, election_at)
        } else if file.leader == Some(node) {
            State::Resigned {
                successors: Vec::new(),
                unacknowledged: quorum.others(),
                election_at,
            }
        } else if file.leader.is_none() && file.voted == Some(node) {
            State::Candidate {
                votes: Votes::of(&quorum.member.voters, node),
                election_at,
            }
        } else if let Some(leader) = file.leader.filter(|l| quorum.member.voters.contains(l)) {
            quorum.follower_of(leader, file.voted, now)
        } else {
            quorum.unattached(file.voted, election_at)
        };
        quorum.durably_enter(initial, out);
        quorum
    }

    /// The current epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The current state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The current state, for changes within it.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The high watermark as this state knows it.
    pub fn hw(&self) -> Option<Offset> {
        self.hw
    }

    /// Sets the high watermark.
    pub fn set_hw(&mut self, hw: Offset) {
        self.hw = Some(hw);
    }

    /// The die for election timeouts.
    pub fn die(&mut self) -> &mut Die {
        &mut self.die
    }

    /// All voters, ascending.
    pub fn voters(&self) -> &[NodeId] {
        &self.member.voters
    }

    /// All voters but this replica.
    pub fn others(&self) -> Vec<NodeId> {
        self.member
            .voters
            .iter()
            .copied()
            .filter(|v| *v != self.member.node)
            .collect()
    }

    /// Whether this replica votes; else it observes.
    pub fn is_voter(&self) -> bool {
        self.member.voters.contains(&self.member.node)
    }

    /// Whether there is no other voter (K-28).
    pub fn is_only_voter(&self) -> bool {
        self.member.voters == [self.member.node]
    }

    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// The leader's part, if this replica leads.
    pub fn leading(&mut self) -> Option<&mut Leader> {
        match &mut self.state {
            State::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    /// The epoch's leader, if known: itself too, even resigned.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Unattached { .. } | State::Candidate { .. } => None,
            State::Prospective { leader, .. } => *leader,
            State::Follower { leader, .. } => Some(*leader),
            State::Leader(_) | State::Resigned { .. } => Some(self.member.node),
        }
    }

    /// Whether it has voted in this epoch.
    pub fn has_voted(&self) -> bool {
        self.voted().is_some()
    }

    fn voted(&self) -> Option<NodeId> {
        match &self.state {
            State::Unattached { voted, .. }
            | State::Follower { voted, .. }
            | State::Prospective { voted, .. } => *voted,
            State::Candidate { .. } => Some(self.member.node),
            State::Leader(_) | State::Resigned { .. } => None,
        }
    }

    /// Higher epoch without a known leader, or an election that did not come about. What is left of an election timeout
    /// is kept, so that a stream of higher epochs does not put this replica's own candidacy off for ever.
    pub fn become_unattached(&mut self, epoch: LeaderEpoch, now: Time, out: &mut Effects) {
        let same = epoch == self.epoch;
        assert!(
            epoch > self.epoch || (same && matches!(self.state, State::Prospective { .. })),
            "only a prospective becomes unattached in its epoch"
        );
        let running = match &self.state {
            State::Unattached { election_at, .. } => *election_at,
            State::Candidate { election_at, .. } | State::Resigned { election_at, .. } => {
                Some(*election_at)
            }
            State::Prospective {
                votes, election_at, ..
            } if !votes.is_rejected() => Some(*election_at),
            _ => None,
        };
        let election_at = match running {
            Some(at) => at,
            None => self.election_timeout(now),
        };
        // Within one epoch a vote once given stays given.
        let voted = if same { self.voted() } else { None };
        self.epoch = epoch;
        let next = self.unattached(voted, election_at);
        self.durably_enter(next, out);
    }

    /// The epoch's leader is known.
    pub fn become_follower(
        &mut self,
        epoch: LeaderEpoch,
        leader: NodeId,
        now: Time,
        out: &mut Effects,
    ) {
        assert!(leader != self.member.node, "nobody follows himself");
        assert!(epoch >= self.epoch, "epochs never go back");
        let voted = if epoch == self.epoch {
            self.voted()
        } else {
            None
        };
        self.epoch = epoch;
        let next = self.follower_of(leader, voted, now);
        self.durably_enter(next, out);
    }

    /// Asks around before it raises the epoch. Nothing of it is on disk.
    pub fn become_prospective(&mut self, now: Time, out: &mut Effects) {
        assert!(self.is_voter(), "observers hold no elections");
        let next = State::Prospective {
            leader: self.leader(),
            voted: self.voted(),
            votes: Votes::of(&self.member.voters, self.member.node),
            election_at: self.election_timeout(now),
        };
        self.enter(next, out);
    }

    /// Raises the epoch and votes for itself.
    pub fn become_candidate(&mut self, now: Time, out: &mut Effects) {
        assert!(
            matches!(self.state, State::Prospective { .. }),
            "only a prospective becomes candidate"
        );
        self.epoch = self.epoch.next();
        let next = State::Candidate {
            votes: Votes::of(&self.member.voters, self.member.node),
            election_at: self.election_timeout(now),
        };
        self.durably_enter(next, out);
    }

    /// Has won. The high watermark is forgotten until a majority has come past the epoch's start (K-4).
    pub fn become_leader(&mut self, epoch_start: Offset, now: Time, out: &mut Effects) {
        assert!(
            matches!(&self.state, State::Candidate { votes, .. } if votes.is_granted()),
            "only a candidate with a majority becomes leader"
        );
        let leader = Leader::new(&self.member, epoch_start, now);
        self.hw = None;
        self.durably_enter(State::Leader(leader), out);
    }

    /// Gives up the lead, within the epoch. Nothing of it is on disk: a leader restarts as Resigned anyhow.
    pub fn become_resigned(&mut self, now: Time, out: &mut Effects) {
        let State::Leader(leader) = &self.state else {
            panic!("only a leader resigns");
        };
        let next = State::Resigned {
            successors: leader.voters_by_descending_offset(self.member.node),
            unacknowledged: self.others(),
            election_at: Time(0),
        };
        self.hw = None;
        self.enter(next, out);
        let at = self.election_timeout(now);
        if let State::Resigned { election_at, .. } = &mut self.state {
            *election_at = at;
        }
    }

    /// Votes for another, and waits anew: the candidate has at least as good a chance as this replica (K-3).
    pub fn vote_for(&mut self, candidate: NodeId, now: Time, out: &mut Effects) {
        let at = self.election_timeout(now);
        let all = Votes::of(&self.member.voters, self.member.node);
        match &mut self.state {
            State::Unattached {
                voted, election_at, ..
            } => {
                *voted = Some(candidate);
                *election_at = Some(at);
            }
            State::Prospective {
                voted,
                election_at,
                votes,
                ..
            } => {
                *voted = Some(candidate);
                *election_at = at;
                *votes = all;
            }
            _ => panic!("only the unattached and the prospective vote"),
        }
        self.persist(out);
    }

    /// Whether a vote is granted (K-2, K-3). `up_to_date`: the asker's log is not behind this one.
    pub fn may_grant(&self, candidate: NodeId, up_to_date: bool, pre_vote: bool) -> bool {
        match &self.state {
            State::Leader(_) => false,
            // K-29: so the successors of a resigned leader wait for their turn, and its own yes may be the only one.
            State::Follower { fetched, .. } => pre_vote && !fetched && up_to_date,
            State::Candidate { .. } | State::Resigned { .. } => pre_vote && up_to_date,
            State::Unattached { .. } | State::Prospective { .. } if pre_vote => up_to_date,
            State::Unattached { voted, .. } | State::Prospective { voted, .. } => match voted {
                Some(voted) => *voted == candidate,
                None => self.leader().is_none() && up_to_date,
            },
        }
    }

    fn unattached(&self, voted: Option<NodeId>, election_at: Time) -> State {
        State::Unattached {
            voted,
            election_at: self.is_voter().then_some(election_at),
        }
    }

    fn follower_of(&self, leader: NodeId, voted: Option<NodeId>, now: Time) -> State {
        State::Follower {
            leader,
            voted,
            fetched: false,
            fetch_by: now + self.member.config.fetch_timeout,
        }
    }

    fn election_timeout(&mut self, now: Time) -> Time {
        let least = self.member.config.election_timeout;
        now + least + crate::time::Duration(self.die.below(least.0))
    }

    fn durably_enter(&mut self, next: State, out: &mut Effects) {
        self.state = next;
        self.persist(out);
        self.tell_state(out);
    }

    fn enter(&mut self, next: State, out: &mut Effects) {
        self.state = next;
        self.tell_state(out);
    }

    fn tell_state(&self, out: &mut Effects) {
        out.push(Effect::Tell(Event::Raft(RaftEvent::Became {
            state: self.state.name(),
            epoch: self.epoch,
            leader: self.leader(),
        })));
    }

    fn persist(&self, out: &mut Effects) {
        let file = QuorumStateFile {
            epoch: self.epoch,
            leader: self.leader(),
            voted: self.voted(),
        };
        let file = Write::Replace(SmallFile::Quorum(file));
        out.push(Effect::Write(FileId::QuorumState, file));
        out.push(Effect::Sync(FileId::QuorumState));
    }
}

impl State {
    /// Kafka's name.
    pub fn name(&self) -> RaftState {
        match self {
            State::Unattached { .. } => RaftState::Unattached,
            State::Follower { .. } => RaftState::Follower,
            State::Prospective { .. } => RaftState::Prospective,
            State::Candidate { .. } => RaftState::Candidate,
            State::Leader(_) => RaftState::Leader,
            State::Resigned { .. } => RaftState::Resigned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::RaftConfig;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    fn found(file: Option<QuorumStateFile>, log_epoch: i32) -> Quorum {
        let member = Member {
            node: ME,
            voters: (1..=3).map(NodeId).collect(),
            config: RaftConfig::default(),
        };
        let file = file.map(|f| (FileId::QuorumState, FileImage::Small(SmallFile::Quorum(f))));
        let end = OffsetAndEpoch {
            epoch: LeaderEpoch(log_epoch),
            offset: Offset(7),
        };
        let disk: DiskImage = file.into_iter().collect();
        Quorum::open(
            member,
            &disk,
            end,
            Die::new(0),
            Time(0),
            &mut Effects::new(),
        )
    }

    fn stored(leader: Option<NodeId>, voted: Option<NodeId>) -> Option<QuorumStateFile> {
        Some(QuorumStateFile {
            epoch: LeaderEpoch(5),
            leader,
            voted,
        })
    }

    #[test]
    fn a_replica_starts_in_the_state_that_its_file_stands_for() {
        let state = |file, log_epoch| {
            let quorum = found(file, log_epoch);
            (quorum.state().name(), quorum.epoch().0)
        };
        assert_eq!(state(None, 0), (RaftState::Unattached, 0));
        assert_eq!(state(stored(None, None), 5), (RaftState::Unattached, 5));
        assert_eq!(state(stored(Some(ME), None), 5), (RaftState::Resigned, 5));
        assert_eq!(state(stored(None, Some(ME)), 4), (RaftState::Candidate, 5));
        assert_eq!(
            state(stored(Some(OTHER), None), 5),
            (RaftState::Follower, 5)
        );
        // The log knows of a later epoch: the file is out of date.
        assert_eq!(
            state(stored(Some(OTHER), None), 6),
            (RaftState::Unattached, 6)
        );
    }

    #[test]
    fn a_vote_given_before_a_restart_stays_given() {
        let quorum = found(stored(None, Some(OTHER)), 4);
        assert!(quorum.may_grant(OTHER, true, false));
        assert!(!quorum.may_grant(NodeId(3), true, false));
    }

    #[test]
    fn a_vote_goes_only_to_a_log_that_is_up_to_date() {
        let quorum = found(stored(None, None), 5);
        assert!(quorum.may_grant(OTHER, true, false));
        assert!(!quorum.may_grant(OTHER, false, false));
        assert!(!quorum.may_grant(OTHER, false, true));
    }

    #[test]
    fn a_follower_grants_pre_votes_until_it_has_fetched_from_its_leader() {
        let mut quorum = found(stored(Some(OTHER), None), 5);
        assert!(quorum.may_grant(NodeId(3), true, true));
        assert!(!quorum.may_grant(NodeId(3), true, false));
        if let State::Follower { fetched, .. } = quorum.state_mut() {
            *fetched = true;
        }
        assert!(!quorum.may_grant(NodeId(3), true, true));
    }

    #[test]
    fn a_resigned_leader_grants_pre_votes_and_no_votes() {
        let quorum = found(stored(Some(ME), None), 5);
        assert!(quorum.may_grant(OTHER, true, true));
        assert!(!quorum.may_grant(OTHER, true, false));
    }

    #[test]
    fn a_prospective_keeps_its_vote_and_the_leader_it_lost() {
        let mut quorum = found(stored(Some(OTHER), Some(OTHER)), 5);
        quorum.become_prospective(Time(0), &mut Effects::new());
        assert_eq!(quorum.leader(), Some(OTHER));
        assert!(!quorum.may_grant(NodeId(3), true, false));
        assert!(quorum.may_grant(NodeId(3), true, true));
    }

    #[test]
    fn a_higher_epoch_does_not_put_a_waiting_candidacy_off() {
        let mut quorum = found(stored(None, None), 5);
        let due = |q: &Quorum| match q.state() {
            State::Unattached { election_at, .. } => *election_at,
            other => panic!("{other:?}"),
        };
        let before = due(&quorum);
        let later = Time(0) + crate::time::Duration::millis(900);
        quorum.become_unattached(LeaderEpoch(6), later, &mut Effects::new());
        assert_eq!(due(&quorum), before);
        quorum.vote_for(OTHER, later, &mut Effects::new());
        assert!(due(&quorum) > before);
    }
}
