//! Which partitions a consumer reads, and from where: Kafka's SubscriptionState.
//!
//! It keeps that nothing is fetched from a position before the position is known, and, after a change of leader, before
//! the new leader has confirmed that its log still holds what was read (KIP-320).
//!
//! Left out: subscriptions and groups (they come with the group coordinator), preferred read replicas (KIP-392).

use crate::client::metadata::LeaderAndEpoch;
use crate::ids::{LeaderEpoch, Offset};
use crate::protocol::fetch::IsolationLevel;
use crate::protocol::offsets::OffsetSpec;
use crate::time::{Time, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// A partition by the name of its topic, as applications speak of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

/// Kafka's FetchPosition: where the next record is read, and what that rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FetchPosition {
    /// The offset of the next record.
    pub offset: Offset,
    /// The leader epoch of the batch read last; `None` after a seek or a reset: then there is nothing to validate.
    pub offset_epoch: Option<LeaderEpoch>,
    /// The leader under which it was last known to be good; `None` while the client knows nothing of the partition.
    pub leader: Option<LeaderAndEpoch>,
}

/// Where a reset goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ResetTo {
    /// The log start offset.
    Earliest,
    /// The high watermark, or the last stable offset (C-8).
    Latest,
    /// The first record that is at most so many ms old (KIP-1106).
    ByDuration(i64),
}

impl ResetTo {
    /// As ListOffsets asks for it at a moment.
    pub fn spec(self, now: Timestamp) -> OffsetSpec {
        match self {
            ResetTo::Earliest => OffsetSpec::Earliest,
            ResetTo::Latest => OffsetSpec::Latest,
            ResetTo::ByDuration(ms) => OffsetSpec::At(Timestamp(now.0.saturating_sub(ms))),
        }
    }
}

/// Kafka's FetchStates.
///
/// ```text
/// Initializing    -> AwaitReset        there is no committed offset: the reset policy
/// (any)           -> AwaitReset        seek to beginning or end; OFFSET_OUT_OF_RANGE; epoch unknown to the leader
/// AwaitReset      -> Fetching          ListOffsets answered
/// Fetching        -> AwaitValidation   another leader or epoch, and the epoch of the last record is known
/// AwaitValidation -> Fetching          OffsetForLeaderEpoch answered: still there, or cut back to the divergence
/// (any)           -> Fetching          seek
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum FetchState {
    /// Assigned; no position yet.
    Initializing,
    /// Waits for ListOffsets; not asked again before `retry`.
    AwaitReset {
        /// Where to.
        to: ResetTo,
        /// Not before this; at once if `None`.
        retry: Option<Time>,
    },
    /// Waits for OffsetForLeaderEpoch; not asked again before `retry`.
    AwaitValidation {
        /// What is to be confirmed.
        position: FetchPosition,
        /// Not before this; at once if `None`.
        retry: Option<Time>,
    },
    /// May be fetched.
    Fetching {
        /// From here on.
        position: FetchPosition,
    },
}

/// One assigned partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Assigned {
    /// Which.
    pub partition: TopicPartition,
    /// How far its position is known.
    pub state: FetchState,
    /// The application wants no records of it for now.
    pub paused: bool,
    /// The high watermark of the last answer.
    pub high_watermark: Option<Offset>,
    /// The last stable offset of the last answer.
    pub last_stable_offset: Option<Offset>,
}

/// What an answer to OffsetForLeaderEpoch meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validation {
    /// The position is no longer the one that was asked about.
    Stale,
    /// It lies in the leader's log.
    Confirmed,
    /// The leader's log departs before it; the position now is where.
    Truncated {
        /// The position as it was.
        position: Offset,
        /// Where it is now, the first offset known to differ; `None` if the leader knows no such epoch: the reset policy then.
        divergence: Option<Offset>,
    },
    /// The same, but there is no reset policy: the application must decide.
    LogTruncation {
        /// The position, unchanged.
        position: Offset,
        /// The first offset known to differ.
        divergence: Option<Offset>,
    },
}

impl Assigned {
    fn new(partition: TopicPartition) -> Assigned {
        Assigned {
            partition,
            state: FetchState::Initializing,
            paused: false,
            high_watermark: None,
            last_stable_offset: None,
        }
    }

    /// The position, valid or not.
    pub fn position(&self) -> Option<FetchPosition> {
        match self.state {
            FetchState::AwaitValidation { position, .. } | FetchState::Fetching { position } => {
                Some(position)
            }
            FetchState::Initializing | FetchState::AwaitReset { .. } => None,
        }
    }

    /// The position, if it is known to lie in the leader's log.
    pub fn valid_position(&self) -> Option<FetchPosition> {
        match self.state {
            FetchState::Fetching { position } => Some(position),
            _ => None,
        }
    }

    /// The position, if records may be fetched and returned from it.
    pub fn fetchable(&self) -> Option<FetchPosition> {
        self.valid_position().filter(|_| !self.paused)
    }

    /// How many records lie between the position and the end as the last answer knew it.
    pub fn lag(&self, isolation: IsolationLevel) -> Option<i64> {
        let end = match isolation {
            IsolationLevel::ReadUncommitted => self.high_watermark,
            IsolationLevel::ReadCommitted => self.last_stable_offset,
        };
        Some(end?.0 - self.position()?.offset.0)
    }

    /// Forgets the position; ListOffsets will tell another.
    pub fn reset(&mut self, to: ResetTo) {
        self.state = FetchState::AwaitReset { to, retry: None };
    }

    /// Goes to an offset under the leader known now. An epoch, if the application kept one, is validated first.
    pub fn seek(&mut self, position: FetchPosition) {
        self.state = validated_first(position);
    }

    /// Takes in what ListOffsets answered, unless the application has gone elsewhere meanwhile. True if taken.
    pub fn complete_reset(
        &mut self,
        asked: ResetTo,
        offset: Offset,
        leader: Option<LeaderAndEpoch>,
    ) -> bool {
        match self.state {
            FetchState::AwaitReset { to, .. } if to == asked => {
                let offset_epoch = None; // Nothing was read yet that could have been truncated.
                self.seek(FetchPosition {
                    offset,
                    offset_epoch,
                    leader,
                });
                true
            }
            _ => false,
        }
    }

    /// C-10: under another leader or epoch a position is to be validated before it is used again. A client that does not
    /// validate (before KIP-320) reads on at the same offset, whatever lies there now.
    pub fn learn_leader(&mut self, leader: Option<LeaderAndEpoch>, validates: bool) {
        let Some(position) = self.position() else {
            return;
        };
        if leader.is_some_and(|l| l.leader.is_some()) && position.leader != leader {
            let position = FetchPosition { leader, ..position };
            self.state = match validates {
                true => validated_first(position),
                false => FetchState::Fetching { position },
            };
        }
    }

    /// C-10, KIP-320: compares the end of the position's epoch, as the leader knows it, with the position.
    /// `end` is `None` if the leader knows no such epoch.
    pub fn complete_validation(
        &mut self,
        asked: FetchPosition,
        end: Option<(LeaderEpoch, Offset)>,
        policy: Option<ResetTo>,
    ) -> Validation {
        match self.state {
            FetchState::AwaitValidation { position, .. } if position == asked => {}
            _ => return Validation::Stale,
        }
        let position = asked.offset;
        let divergence = end.map(|(_, offset)| offset);
        match (end, policy) {
            (Some((_, offset)), _) if offset >= position => {
                self.state = FetchState::Fetching { position: asked };
                Validation::Confirmed
            }
            (_, None) => Validation::LogTruncation {
                position,
                divergence,
            },
            (Some((epoch, offset)), Some(_)) => {
                self.state = FetchState::Fetching {
                    position: FetchPosition {
                        offset,
                        offset_epoch: Some(epoch),
                        ..asked
                    },
                };
                Validation::Truncated {
                    position,
                    divergence,
                }
            }
            (None, Some(to)) => {
                self.reset(to);
                Validation::Truncated {
                    position,
                    divergence,
                }
            }
        }
    }

    /// Moves on over records that were returned (C-3).
    ///
    /// # Panics
    /// If the position is not valid: nothing is returned from such a partition.
    pub fn advance(&mut self, to: Offset, epoch: Option<LeaderEpoch>) {
        let FetchState::Fetching { position } = &mut self.state else {
            panic!("records are returned only from a valid position")
        };
        assert!(
            to >= position.offset,
            "a position goes back only by a seek, a reset or a truncation"
        );
        position.offset = to;
        position.offset_epoch = epoch;
    }

    /// Not to be asked about again before `at`.
    pub fn retry_at(&mut self, at: Time) {
        match &mut self.state {
            FetchState::AwaitReset { retry, .. } | FetchState::AwaitValidation { retry, .. } => {
                *retry = Some(at);
            }
            FetchState::Initializing | FetchState::Fetching { .. } => {}
        }
    }
}

/// KafkaConsumer's validatePosition: without both epochs there is nothing to compare.
fn validated_first(position: FetchPosition) -> FetchState {
    if position.offset_epoch.is_some() && position.leader.is_some() {
        FetchState::AwaitValidation {
            position,
            retry: None,
        }
    } else {
        FetchState::Fetching { position }
    }
}

/// All assigned partitions, in the order in which they are fetched: one that yielded records goes to the end (C-4).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Positions {
    assigned: Vec<Assigned>,
}

impl Positions {
    /// Replaces the assignment; partitions that stay keep their positions.
    pub fn assign(&mut self, partitions: &[TopicPartition]) {
        let mut before = std::mem::take(&mut self.assigned);
        for partition in partitions {
            let kept = before.iter().position(|a| a.partition == *partition);
            self.assigned.push(match kept {
                Some(i) => before.remove(i),
                None => Assigned::new(partition.clone()),
            });
        }
    }

    /// One partition, if assigned.
    pub fn get(&self, partition: &TopicPartition) -> Option<&Assigned> {
        self.assigned.iter().find(|a| a.partition == *partition)
    }

    /// One partition, if assigned.
    pub fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Assigned> {
        self.assigned.iter_mut().find(|a| a.partition == *partition)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Assigned> {
        self.assigned.iter()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Assigned> {
        self.assigned.iter_mut()
    }

    /// Whether all are known to lie in the leaders' logs.
    pub fn are_valid(&self) -> bool {
        let is_valid = |a: &Assigned| matches!(a.state, FetchState::Fetching { .. });
        self.assigned.iter().all(is_valid)
    }

    /// Lets the others be fetched first from now on.
    pub fn move_to_end(&mut self, partition: &TopicPartition) {
        if let Some(i) = self.assigned.iter().position(|a| a.partition == *partition) {
            let moved = self.assigned.remove(i);
            self.assigned.push(moved);
        }
    }

    /// Partitions that just began go where the policy says (C-7). Those for which there is no policy are returned.
    pub fn reset_initializing(&mut self, policy: Option<ResetTo>) -> Vec<TopicPartition> {
        let mut nowhere = Vec::new();
        for a in &mut self.assigned {
            if a.state == FetchState::Initializing {
                match policy {
                    Some(to) => a.reset(to),
                    None => nowhere.push(a.partition.clone()),
                }
            }
        }
        nowhere
    }

    /// Those that wait for ListOffsets and may ask now.
    pub fn to_reset(&self, now: Time) -> Vec<(TopicPartition, ResetTo)> {
        let due = |a: &Assigned| match a.state {
            FetchState::AwaitReset { to, retry } if retry.is_none_or(|at| at <= now) => {
                Some((a.partition.clone(), to))
            }
            _ => None,
        };
        self.assigned.iter().filter_map(due).collect()
    }

    /// Those that wait for OffsetForLeaderEpoch and may ask now.
    pub fn to_validate(&self, now: Time) -> Vec<(TopicPartition, FetchPosition)> {
        let due = |a: &Assigned| match a.state {
            FetchState::AwaitValidation { position, retry } if retry.is_none_or(|at| at <= now) => {
                Some((a.partition.clone(), position))
            }
            _ => None,
        };
        self.assigned.iter().filter_map(due).collect()
    }

    /// When the next of them may ask again.
    pub fn next_retry(&self) -> Option<Time> {
        let retry = |a: &Assigned| match a.state {
            FetchState::AwaitReset { retry, .. } | FetchState::AwaitValidation { retry, .. } => {
                retry
            }
            _ => None,
        };
        self.assigned.iter().filter_map(retry).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    const FIRST: Option<LeaderAndEpoch> = leader(1, 5);
    const SECOND: Option<LeaderAndEpoch> = leader(2, 6);

    const fn leader(node: i32, epoch: i32) -> Option<LeaderAndEpoch> {
        Some(LeaderAndEpoch {
            leader: Some(NodeId(node)),
            epoch: LeaderEpoch(epoch),
        })
    }

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: "orders".into(),
            partition,
        }
    }

    /// At offset 10 under the first leader; the record before is of the first leader's epoch.
    fn reading() -> Assigned {
        let mut assigned = Assigned::new(partition(0));
        assigned.seek(FetchPosition {
            offset: Offset(10),
            offset_epoch: None,
            leader: FIRST,
        });
        assigned.advance(Offset(10), Some(LeaderEpoch(5)));
        assigned
    }

    /// The same, with the second leader's answer awaited.
    fn validating() -> (Assigned, FetchPosition) {
        let mut assigned = reading();
        assigned.learn_leader(SECOND, true);
        let asked = assigned.position().expect("it keeps its position");
        (assigned, asked)
    }

    fn end(epoch: i32, offset: i64) -> Option<(LeaderEpoch, Offset)> {
        Some((LeaderEpoch(epoch), Offset(offset)))
    }

    #[test]
    fn under_a_new_leader_nothing_is_fetched_before_the_position_is_validated() {
        let (assigned, asked) = validating();
        assert_eq!(assigned.fetchable(), None);
        assert_eq!((asked.offset, asked.leader), (Offset(10), SECOND));
    }

    #[test]
    fn a_position_without_an_epoch_is_not_validated() {
        let mut assigned = reading();
        assigned.advance(Offset(10), None);
        assigned.learn_leader(SECOND, true);
        assert_eq!(assigned.fetchable().map(|p| p.leader), Some(SECOND));
    }

    #[test]
    fn a_leader_that_is_not_known_changes_nothing() {
        let mut assigned = reading();
        assigned.learn_leader(None, true);
        let none = Some(LeaderAndEpoch {
            leader: None,
            epoch: LeaderEpoch(6),
        });
        assigned.learn_leader(none, true);
        assert_eq!(assigned, reading());
    }

    #[test]
    fn a_position_within_the_leaders_log_is_confirmed() {
        let (mut assigned, asked) = validating();
        let outcome = assigned.complete_validation(asked, end(5, 10), Some(ResetTo::Latest));
        assert_eq!(outcome, Validation::Confirmed);
        assert_eq!(assigned.fetchable(), Some(asked));
    }

    #[test]
    fn a_truncated_position_goes_back_to_the_divergence_whatever_the_policy() {
        for policy in [ResetTo::Earliest, ResetTo::Latest] {
            let (mut assigned, asked) = validating();
            let outcome = assigned.complete_validation(asked, end(4, 7), Some(policy));
            let (position, divergence) = (Offset(10), Some(Offset(7)));
            assert_eq!(
                outcome,
                Validation::Truncated {
                    position,
                    divergence
                }
            );
            let now = assigned.fetchable().expect("it is fetched again");
            assert_eq!(
                (now.offset, now.offset_epoch),
                (Offset(7), Some(LeaderEpoch(4)))
            );
        }
    }

    #[test]
    fn without_a_policy_a_truncation_is_the_applications_and_the_position_stays() {
        let (mut assigned, asked) = validating();
        let outcome = assigned.complete_validation(asked, end(4, 7), None);
        let (position, divergence) = (Offset(10), Some(Offset(7)));
        assert_eq!(
            outcome,
            Validation::LogTruncation {
                position,
                divergence
            }
        );
        assert_eq!(
            (assigned.position(), assigned.fetchable()),
            (Some(asked), None)
        );
    }

    #[test]
    fn an_epoch_that_the_leader_does_not_know_leads_to_the_policy() {
        let (mut assigned, asked) = validating();
        let outcome = assigned.complete_validation(asked, None, Some(ResetTo::Latest));
        let (position, divergence) = (Offset(10), None);
        assert_eq!(
            outcome,
            Validation::Truncated {
                position,
                divergence
            }
        );
        assert!(matches!(
            assigned.state,
            FetchState::AwaitReset {
                to: ResetTo::Latest,
                ..
            }
        ));
    }

    #[test]
    fn an_answer_about_an_older_position_is_stale() {
        let (mut assigned, asked) = validating();
        assigned.learn_leader(leader(3, 7), true);
        assert_eq!(
            assigned.complete_validation(asked, end(4, 7), None),
            Validation::Stale
        );
        assigned.reset(ResetTo::Earliest);
        assert_eq!(
            assigned.complete_validation(asked, end(4, 7), None),
            Validation::Stale
        );
    }

    #[test]
    fn an_answer_to_another_reset_is_not_taken() {
        let mut assigned = reading();
        assigned.reset(ResetTo::Latest);
        assert!(!assigned.complete_reset(ResetTo::Earliest, Offset(0), FIRST));
        assert!(assigned.complete_reset(ResetTo::Latest, Offset(4), FIRST));
        assert!(!assigned.complete_reset(ResetTo::Latest, Offset(9), FIRST));
        assert_eq!(assigned.position().map(|p| p.offset), Some(Offset(4)));
    }

    #[test]
    fn a_partition_that_stays_assigned_keeps_its_position() {
        let mut positions = Positions::default();
        positions.assign(&[partition(0), partition(1)]);
        positions
            .get_mut(&partition(1))
            .expect("assigned")
            .reset(ResetTo::Earliest);
        positions.assign(&[partition(1), partition(2)]);
        let states: Vec<_> = positions
            .iter()
            .map(|a| a.state == FetchState::Initializing)
            .collect();
        assert_eq!(states, [false, true]);
    }

    #[test]
    fn a_question_is_not_asked_again_before_its_time() {
        let mut positions = Positions::default();
        positions.assign(&[partition(0)]);
        positions.reset_initializing(Some(ResetTo::Latest));
        assert_eq!(positions.to_reset(Time(0)).len(), 1);
        positions.iter_mut().for_each(|a| a.retry_at(Time(5)));
        assert_eq!(
            (positions.to_reset(Time(4)).len(), positions.next_retry()),
            (0, Some(Time(5)))
        );
        assert_eq!(positions.to_reset(Time(5)).len(), 1);
    }
}
