//! What a leader knows of one follower: Kafka's Replica with its ReplicaState.
//!
//! It keeps: a follower's log end offset is what its last fetch asked for, never more; a follower is caught up while
//! it reached the leader's end within `replica.lag.time.max.ms`.

use crate::ids::{BrokerEpoch, Offset};
use crate::time::Timestamp;
use serde::Serialize;

/// A follower as its leader sees it. Times are wall-clock times, as in Kafka: a step of the leader's clock moves them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replica {
    leo: Option<Offset>,
    log_start: Option<Offset>,
    /// The leader's end when the follower last fetched.
    leader_leo_then: Option<Offset>,
    last_fetch: Timestamp,
    last_caught_up: Timestamp,
    fetched_as: FetchedAs,
}

/// Under which broker epoch a follower last fetched from this leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum FetchedAs {
    /// It has not, since this broker leads.
    Never,
    /// Without one: it was not registered yet.
    Unregistered,
    /// This incarnation.
    Epoch(BrokerEpoch),
}

/// One fetch of a follower, at the leader.
#[derive(Clone, Copy, Debug)]
pub struct FollowerFetch {
    /// What it asked for: its log end offset.
    pub offset: Offset,
    /// Where its log starts.
    pub log_start: Option<Offset>,
    /// When.
    pub at: Timestamp,
    /// The leader's end before the read.
    pub leader_leo: Offset,
    /// The follower's broker epoch.
    pub broker_epoch: Option<BrokerEpoch>,
}

impl Replica {
    /// A follower that the leader has never heard of.
    pub fn unknown() -> Replica {
        Replica {
            leo: None,
            log_start: None,
            leader_leo_then: None,
            last_fetch: Timestamp(0),
            last_caught_up: Timestamp(0),
            fetched_as: FetchedAs::Never,
        }
    }

    /// Its log end offset; unknown until it has fetched from this leader.
    pub fn leo(&self) -> Option<Offset> {
        self.leo
    }

    /// Its log start offset; unknown until it has fetched from this leader.
    pub fn log_start(&self) -> Option<Offset> {
        self.log_start
    }

    /// Under which broker epoch it last fetched.
    pub fn fetched_as(&self) -> FetchedAs {
        self.fetched_as
    }

    /// a new leader epoch begins. A leader that did not lead before knows no follower's end; one that led keeps what
    /// it knew. Members of the ISR count as caught up now, so that none is thrown out before it could fetch; the others do
    /// not, so that they do not hold the high watermark back.
    pub fn reset(&mut self, now: Timestamp, leader_leo: Offset, is_new_leader: bool, in_isr: bool) {
        let then = if in_isr { now } else { Timestamp(0) };
        if is_new_leader {
            *self = Replica::unknown();
        } else {
            self.leader_leo_then = Some(leader_leo);
            self.last_fetch = then;
        }
        self.last_caught_up = then;
    }

    /// the follower fetched. It was caught up at this fetch if it asks for the leader's end, and at its previous one
    /// if it asks for what the end was then: a leader that is always written to would else never see it caught up.
    pub fn fetched(&mut self, fetch: &FollowerFetch) {
        if fetch.offset >= fetch.leader_leo {
            self.last_caught_up = self.last_caught_up.max(fetch.at);
        } else if self.leader_leo_then.is_none_or(|then| fetch.offset >= then) {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.leo = Some(fetch.offset);
        self.log_start = fetch.log_start;
        self.leader_leo_then = self.leader_leo_then.max(Some(fetch.leader_leo));
        self.last_fetch = fetch.at;
        self.fetched_as = fetch
            .broker_epoch
            .map_or(FetchedAs::Unregistered, FetchedAs::Epoch);
    }

    /// at the leader's end, or there within the last `lag_max_ms`.
    pub fn is_caught_up(&self, leader_leo: Offset, now: Timestamp, lag_max_ms: i64) -> bool {
        self.leo == Some(leader_leo) || now.0 - self.last_caught_up.0 <= lag_max_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(offset: i64, at: i64, leader_leo: i64) -> FollowerFetch {
        FollowerFetch {
            offset: Offset(offset),
            log_start: None,
            at: Timestamp(at),
            leader_leo: Offset(leader_leo),
            broker_epoch: Some(BrokerEpoch(3)),
        }
    }

    fn in_isr_of_a_new_leader(now: i64) -> Replica {
        let mut replica = Replica::unknown();
        replica.reset(Timestamp(now), Offset(10), true, true);
        replica
    }

    #[test]
    fn a_new_leader_knows_no_followers_end() {
        //
        let replica = in_isr_of_a_new_leader(1_000);
        assert_eq!(replica.leo(), None);
        assert_eq!(replica.fetched_as(), FetchedAs::Never);
    }

    #[test]
    fn isr_members_count_as_caught_up_when_an_epoch_begins_and_others_do_not() {
        //
        let member = in_isr_of_a_new_leader(100_000);
        assert!(member.is_caught_up(Offset(10), Timestamp(130_000), 30_000));
        assert!(!member.is_caught_up(Offset(10), Timestamp(130_001), 30_000));
        let mut other = Replica::unknown();
        other.reset(Timestamp(100_000), Offset(10), true, false);
        assert!(!other.is_caught_up(Offset(10), Timestamp(100_000), 30_000));
    }

    #[test]
    fn a_leader_that_stays_keeps_what_it_knew() {
        let mut replica = in_isr_of_a_new_leader(1_000);
        replica.fetched(&fetch(8, 2_000, 10));
        replica.reset(Timestamp(3_000), Offset(10), false, true);
        assert_eq!(replica.leo(), Some(Offset(8)));
        assert_eq!(replica.fetched_as(), FetchedAs::Epoch(BrokerEpoch(3)));
    }

    #[test]
    fn a_follower_always_one_step_behind_a_busy_leader_is_caught_up_as_of_its_previous_fetch() {
        // R-10, second case.
        let mut replica = in_isr_of_a_new_leader(0);
        replica.fetched(&fetch(10, 50_000, 10));
        replica.fetched(&fetch(12, 90_000, 20)); // the end was 10 then
        assert!(replica.is_caught_up(Offset(20), Timestamp(80_000), 30_000));
        assert!(!replica.is_caught_up(Offset(20), Timestamp(80_001), 30_000));
    }

    #[test]
    fn a_follower_that_falls_ever_further_behind_is_not_caught_up() {
        // it never reaches what the end was at its previous fetch.
        let mut replica = in_isr_of_a_new_leader(0);
        replica.fetched(&fetch(10, 10_000, 100));
        replica.fetched(&fetch(20, 40_000, 200));
        assert!(!replica.is_caught_up(Offset(200), Timestamp(50_000), 30_000));
    }

    #[test]
    fn a_follower_at_the_leaders_end_is_caught_up_however_long_ago_it_fetched() {
        let mut replica = in_isr_of_a_new_leader(0);
        replica.fetched(&fetch(10, 1_000, 10));
        assert!(replica.is_caught_up(Offset(10), Timestamp(999_000), 30_000));
    }
}
