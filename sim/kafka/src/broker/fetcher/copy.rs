//! What a fetcher does with the answer to a fetch: copy, take over the leader's high watermark, part with what diverges.

use super::{Desk, Fetcher, Progress, State, cut};
use crate::effect::Effects;
use crate::event::Truncation;
use crate::ids::*;
use crate::log::{Log, NotCopied};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::*;
use crate::time::Timestamp;

/// Why a partition's data were not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    /// The next fetch may be better.
    Corrupt,
    /// It cannot go on.
    Broken,
}

impl Fetcher {
    pub(super) fn copy(
        &mut self,
        asked: &[(TopicIdPartition, FetchPartition)],
        response: FetchResponse,
        desk: &mut Desk<'_, '_>,
    ) {
        // It answers in the order in which it was asked.
        let mut asked = asked.iter();
        for topic in response.topics {
            for answer in topic.partitions {
                let id = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: answer.partition,
                };
                let Some((_, position)) = asked.find(|(a, _)| *a == id) else {
                    continue;
                };
                if let Some(progress) = self.still_there(id, position, desk) {
                    self.take(id, progress, &answer, desk);
                }
            }
        }
    }

    /// Whether a partition still stands where it asked from, in the epoch in which it asked.
    fn still_there(
        &self,
        id: TopicIdPartition,
        position: &FetchPartition,
        desk: &Desk<'_, '_>,
    ) -> Option<Progress> {
        let progress = *self.partitions.get(&id)?;
        let same_place = desk.replicas.get(id)?.log().leo() == position.fetch_offset;
        let same_epoch = position.current_leader_epoch == Some(progress.epoch);
        let fetches = progress.state == State::Fetching && !progress.is_delayed(desk.now);
        (same_place && same_epoch && fetches).then_some(progress)
    }

    fn take(
        &mut self,
        id: TopicIdPartition,
        progress: Progress,
        answer: &FetchPartitionResponse,
        desk: &mut Desk<'_, '_>,
    ) {
        match (answer.error_code, answer.diverging_epoch) {
            // Truncation first: the high watermark of this answer may lie in what goes (KAFKA-14704).
            (ErrorCode::None, Some(end)) => {
                let leader_end = (Some(end.epoch), Some(end.end_offset));
                self.part(id, leader_end, Truncation::DivergingEpoch, desk);
            }
            (ErrorCode::None, None) => self.take_data(id, progress, answer, desk),
            (ErrorCode::OffsetOutOfRange, _) => self.set_state(id, State::OutOfRange),
            (ErrorCode::FencedLeaderEpoch, _) => self.fenced(id),
            _ => self.delay(id, desk),
        }
    }

    fn take_data(
        &mut self,
        id: TopicIdPartition,
        progress: Progress,
        answer: &FetchPartitionResponse,
        desk: &mut Desk<'_, '_>,
    ) {
        let Some(partition) = desk.replicas.get_mut(id) else {
            return;
        };
        let log = partition.log_mut();
        if !answer.records.is_empty() {
            self.last = Some(id);
        }
        match append(log, answer, progress.epoch, desk.here.now, desk.out) {
            Ok(true) => desk.replicas.note_moved(id),
            Ok(false) => {}
            Err(Refused::Corrupt) => self.delay(id, desk),
            Err(Refused::Broken) => self.fenced(id),
        }
    }

    pub(super) fn set_state(&mut self, id: TopicIdPartition, state: State) {
        if let Some(progress) = self.partitions.get_mut(&id) {
            progress.state = state;
        }
    }

    /// cuts a log to where it parts with its leader's, as far as one answer tells. Several rounds may be needed: a
    /// leader's epoch that this log does not know is looked for below.
    pub(super) fn part(
        &mut self,
        id: TopicIdPartition,
        leader_end: (Option<LeaderEpoch>, Option<Offset>),
        why: Truncation,
        desk: &mut Desk<'_, '_>,
    ) {
        let Some(partition) = desk.replicas.get(id) else {
            return;
        };
        let (to, is_certain) = parting(partition.log(), leader_end);
        cut(id, to, why, desk);
        // With the fetch itself the next fetch is the next round.
        let is_over = is_certain || why == Truncation::DivergingEpoch;
        let state = if is_over {
            State::Fetching
        } else {
            State::Truncating
        };
        self.set_state(id, state);
    }
}

/// copies the batches, then takes the leader's high watermark, then its log start. Returns whether the high watermark
/// moved.
fn append(
    log: &mut Log,
    answer: &FetchPartitionResponse,
    epoch: LeaderEpoch,
    now: Timestamp,
    out: &mut Effects,
) -> Result<bool, Refused> {
    for batch in &answer.records {
        let copied = match log.append_as_follower(batch, epoch, now, out) {
            // The leader's log begins within this batch, and so does ours, which is empty: it starts over with the batch.
            Err(NotCopied::Overlap(o))
                if log.leo() == log.log_start() && o.last_offset >= log.leo() =>
            {
                log.truncate_fully_and_start_at(o.base_offset, now, out);
                log.append_as_follower(batch, epoch, now, out)
            }
            copied => copied,
        };
        match copied {
            Ok(true) => {}
            // KAFKA-18723: of an epoch that this follower has not heard of; a later fetch brings it.
            Ok(false) => break,
            Err(NotCopied::Corrupt) => return Err(Refused::Corrupt),
            Err(NotCopied::Overlap(_)) => return Err(Refused::Broken),
        }
    }
    let hw = answer.high_watermark.unwrap_or(log.hw());
    let moved = log.set_hw(hw, out);
    log.increment_log_start(answer.log_start_offset, out)
        .map_err(|_| Refused::Broken)?;
    Ok(moved)
}

/// Where a log is to be cut, given the end of an epoch in its leader's log, and whether that settles it.
fn parting(log: &Log, leader_end: (Option<LeaderEpoch>, Option<Offset>)) -> (Offset, bool) {
    let leo = log.leo();
    let (epoch, end) = match leader_end {
        // The leader knows no such epoch, nor a later one: nothing but the own high watermark is left to go by.
        (_, None) => return (log.hw(), true),
        // KIP-101: an offset alone.
        (None, Some(end)) => return (end.min(leo), true),
        (Some(epoch), Some(end)) => (epoch, end),
    };
    match log.end_offset_for_epoch(epoch) {
        // KIP-279: the leader names an epoch that this log has nothing of: down to the end of the one before it.
        Some(own) if own.epoch != epoch => (own.end_offset.min(leo), false),
        Some(own) => (own.end_offset.min(end).min(leo), true),
        None => (end.min(leo), true),
    }
}
