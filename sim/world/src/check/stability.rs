//! **A stable quorum leader stays**: a Raft leader from which a majority has fetched within the last fetch timeout is not
//! deposed by a vote (KIP-996).
//!
//! A voter counts as long as it follows the leader, has had an answer to a fetch since it began to, and the last one is
//! younger than the fetch timeout: such voters refuse a PreVote (K-2). The majority must be the same from the moment at
//! which the challenger began to ask. Not held against anyone: a leader that resigns or dies, and a voter that starts as the
//! candidate it was before.

use super::history::History;
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use crate::scenario::Scenario;
use crate::trace::{Handled, ProcessFact, Record, What};
use klab_kafka::event::{Event, RaftEvent, RaftState};
use klab_kafka::ids::LeaderEpoch;
use klab_kafka::protocol::Api;
use klab_kafka::time::{Duration, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "stable leadership",
    sentence: "A quorum leader that a majority fetches from is not deposed by a vote.",
    ids: "KIP-996 K-2",
    canary: "prevote=off; mutated history: relabel",
};

/// A voter as it told of itself.
#[derive(Clone, Copy, Debug)]
struct Voter {
    state: RaftState,
    epoch: LeaderEpoch,
    leader: Option<ProcessId>,
    /// When its last fetch from this leader was answered.
    fetched: Option<Time>,
}

/// Someone has raised the epoch over a stable leader.
#[derive(Clone, Debug)]
struct Challenge {
    challenger: ProcessId,
    epoch: LeaderEpoch,
    leader: ProcessId,
    of: LeaderEpoch,
    stable: usize,
}

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct StableLeadership {
    /// Voters that asked for votes while the leader was stable.
    pub opportunities: u64,
    voters: BTreeMap<ProcessId, Voter>,
    /// For each voter that asks: who has been stable since it began.
    asking: BTreeMap<ProcessId, BTreeSet<ProcessId>>,
    challenge: Option<Challenge>,
}

impl StableLeadership {
    /// A voter changed its state, got an answer, began or ended.
    pub fn record(
        &mut self,
        record: &Record,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let p = record.process?;
        match &record.what {
            What::Handled(Handled::Response {
                api: Api::Fetch,
                from,
                ..
            }) => {
                if let Some(voter) = self.voters.get_mut(&p).filter(|v| v.leader == Some(*from)) {
                    voter.fetched = Some(record.at);
                }
            }
            What::Process(ProcessFact::Ended { .. }) => {
                self.unsettle(p);
                self.voters.remove(&p);
                self.asking.remove(&p);
                self.challenge.take_if(|c| c.leader == p);
            }
            What::Told(Event::Raft(RaftEvent::Became {
                state,
                epoch,
                leader,
            })) => {
                if !history.voters().any(|v| v == p) {
                    return None;
                }
                let leader = leader.and_then(|n| history.process_of(n));
                return self.became(p, *state, *epoch, leader, record.at, history, scenario);
            }
            _ => {}
        }
        None
    }

    #[allow(clippy::too_many_arguments)] // The fields of one event, and where it is judged.
    fn became(
        &mut self,
        p: ProcessId,
        state: RaftState,
        epoch: LeaderEpoch,
        leader: Option<ProcessId>,
        at: Time,
        history: &History,
        scenario: &Scenario,
    ) -> Option<Seen> {
        let before = self.voters.get(&p).copied();
        let goes_on = before.filter(|v| v.state == state && v.epoch == epoch && v.leader == leader);
        let within = Duration::millis(
            u64::try_from(scenario.cluster.config.quorum_fetch_timeout_ms).unwrap_or(0),
        );
        // Who is stable is asked before this change counts: a challenger leaves the majority by challenging.
        let stable = self.stable(at, within);
        let majority = history.voters().count() / 2 + 1;
        match state {
            RaftState::Prospective => {
                let others: BTreeSet<ProcessId> =
                    stable.iter().copied().filter(|s| *s != p).collect();
                self.opportunities += u64::from(others.len() >= majority);
                self.asking.entry(p).or_insert(others);
            }
            RaftState::Candidate => {
                let since = self.asking.remove(&p);
                let stays = |s: &ProcessId| *s != p && since.as_ref().is_none_or(|a| a.contains(s));
                let stable: BTreeSet<ProcessId> = stable.into_iter().filter(stays).collect();
                self.challenged(
                    p,
                    epoch,
                    &stable,
                    majority,
                    since.is_none(),
                    before.is_some(),
                );
            }
            _ => {
                self.asking.remove(&p);
            }
        }
        let deposed = self.deposed(p, before, state, epoch, history);
        if goes_on.is_none() {
            self.unsettle(p);
            let fetched = None;
            self.voters.insert(
                p,
                Voter {
                    state,
                    epoch,
                    leader,
                    fetched,
                },
            );
        }
        deposed
    }

    /// The leader of the highest epoch and those that hold to it.
    fn stable(&self, at: Time, within: Duration) -> BTreeSet<ProcessId> {
        let leaders = self
            .voters
            .iter()
            .filter(|(_, v)| v.state == RaftState::Leader);
        let Some((leader, led)) = leaders.max_by_key(|(_, v)| v.epoch) else {
            return BTreeSet::new();
        };
        let holds = |v: &Voter| {
            v.state == RaftState::Follower
                && v.epoch == led.epoch
                && v.leader == Some(*leader)
                && v.fetched.is_some_and(|t| at.since(t) < within)
        };
        let followers = self.voters.iter().filter(|(_, v)| holds(v));
        followers.map(|(p, _)| *p).chain([*leader]).collect()
    }

    fn challenged(
        &mut self,
        challenger: ProcessId,
        epoch: LeaderEpoch,
        stable: &BTreeSet<ProcessId>,
        majority: usize,
        unasked: bool,
        has_run: bool,
    ) {
        let mut leaders = self.voters.iter();
        let leader = leaders.find(|(p, v)| v.state == RaftState::Leader && stable.contains(p));
        let Some((leader, led)) = leader.filter(|(_, v)| v.epoch < epoch && has_run) else {
            return;
        };
        if stable.len() < majority {
            return;
        }
        self.opportunities += u64::from(unasked);
        self.challenge = Some(Challenge {
            challenger,
            epoch,
            leader: *leader,
            of: led.epoch,
            stable: stable.len(),
        });
    }

    fn deposed(
        &mut self,
        p: ProcessId,
        before: Option<Voter>,
        state: RaftState,
        epoch: LeaderEpoch,
        history: &History,
    ) -> Option<Seen> {
        let challenge = self.challenge.as_ref()?;
        let wins =
            p == challenge.challenger && state == RaftState::Leader && epoch == challenge.epoch;
        let led = before.is_some_and(|v| v.state == RaftState::Leader && v.epoch == challenge.of);
        let leaves = p == challenge.leader && led && state != RaftState::Leader;
        if !wins && !leaves {
            return None;
        }
        let challenge = self.challenge.take()?;
        // Resigned, or overtaken by something older than the challenge.
        if leaves && epoch < challenge.epoch {
            return None;
        }
        let name = |p| history.names.of(p);
        Some(Seen {
            about: About::Process(challenge.leader),
            seen: format!(
                "{} led the quorum in epoch {} with {} voters fetching, and was deposed by a vote for {} in epoch {}",
                name(challenge.leader),
                challenge.of,
                challenge.stable,
                name(challenge.challenger),
                challenge.epoch,
            ),
        })
    }

    /// A voter no longer is what it was: whoever asks can no longer count on its refusal.
    fn unsettle(&mut self, p: ProcessId) {
        for stable in self.asking.values_mut() {
            stable.remove(&p);
        }
    }
}
