//! Where a log begins, ends, and where an epoch ends: Kafka's OffsetFetcher and OffsetsForLeaderEpochClient.
//!
//! It keeps that a position comes only from the leader's own answer, and that an answer which the leader cannot give yet
//! (OFFSET_NOT_AVAILABLE, R-32) is asked for again rather than guessed.
//!
//! Left out: the older versions of both requests.

use super::positions::{FetchPosition, ResetTo, TopicPartition};
use crate::ids::{LeaderEpoch, Offset, TopicId};
use crate::protocol::fetch::IsolationLevel;
use crate::protocol::offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, OffsetForLeaderPartition, OffsetSpec,
};
use crate::time::Timestamp;
use serde::Serialize;

/// What a ListOffsets request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Purpose {
    /// A position.
    Reset(ResetTo),
    /// `beginningOffsets`, `endOffsets` or `offsetsForTimes`, asked by the application.
    Lookup(OffsetSpec),
}

/// One question to ListOffsets.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OffsetAsked {
    /// About which partition.
    pub partition: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// The leader epoch known.
    pub epoch: Option<LeaderEpoch>,
    /// What for.
    pub purpose: Purpose,
}

/// One question to OffsetForLeaderEpoch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EpochAsked {
    /// About which partition.
    pub partition: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// The position to be validated: its epoch is asked about.
    pub position: FetchPosition,
}

/// The request for these questions to one leader.
pub fn list_offsets(
    asked: &[OffsetAsked],
    isolation_level: IsolationLevel,
    now: Timestamp,
) -> ListOffsetsRequest {
    let question = |a: &OffsetAsked| ListOffsetsPartition {
        topic_id: a.topic_id,
        partition: a.partition.partition,
        current_leader_epoch: a.epoch,
        at: match a.purpose {
            Purpose::Reset(to) => to.spec(now),
            Purpose::Lookup(spec) => spec,
        },
    };
    ListOffsetsRequest {
        replica_id: None,
        isolation_level,
        partitions: asked.iter().map(question).collect(),
    }
}

/// Kafka's OffsetAndTimestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct OffsetAndTimestamp {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp, if it was found by one; else -1.
    pub timestamp: Timestamp,
    /// The epoch of the record there.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What ListOffsets said about one question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listed {
    /// The offset, and what lies there.
    At(OffsetAndTimestamp),
    /// No record is that young.
    Nothing,
    /// Ask again, with newer metadata.
    Retry,
}

/// The answers by question. One that is missing is to be asked again.
pub fn listed<'a>(
    asked: &'a [OffsetAsked],
    response: &'a ListOffsetsResponse,
) -> impl Iterator<Item = (&'a OffsetAsked, Listed)> {
    asked.iter().map(|a| {
        let same = |p: &&crate::protocol::offsets::ListOffsetsPartitionResponse| {
            p.topic_id == a.topic_id && p.partition == a.partition.partition
        };
        let answer = response.partitions.iter().find(same);
        // Every error is worth another try: Kafka names those it expects only to log the others louder.
        let listed = match answer {
            Some(p) if p.error_code.is_none() => match p.offset {
                Some(offset) => Listed::At(OffsetAndTimestamp {
                    offset,
                    timestamp: p.timestamp,
                    leader_epoch: p.leader_epoch,
                }),
                None => Listed::Nothing,
            },
            _ => Listed::Retry,
        };
        (a, listed)
    })
}

/// The request for these questions to one leader.
///
/// # Panics
/// If a position has no epoch: such a one is not validated.
pub fn offset_for_leader_epoch(asked: &[EpochAsked]) -> OffsetForLeaderEpochRequest {
    let question = |a: &EpochAsked| OffsetForLeaderPartition {
        topic_id: a.topic_id,
        partition: a.partition.partition,
        current_leader_epoch: a.position.leader.map(|l| l.epoch),
        leader_epoch: a
            .position
            .offset_epoch
            .expect("only a position with an epoch is validated"),
    };
    OffsetForLeaderEpochRequest {
        replica_id: None,
        partitions: asked.iter().map(question).collect(),
    }
}

/// What OffsetForLeaderEpoch said about one question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpochEnd {
    /// The largest epoch not above the asked one, and where it ends; `None` if the leader knows no such epoch.
    At(Option<(LeaderEpoch, Offset)>),
    /// Ask again, with newer metadata.
    Retry,
}

/// The answers by question. One that is missing is to be asked again.
pub fn epoch_ends<'a>(
    asked: &'a [EpochAsked],
    response: &'a OffsetForLeaderEpochResponse,
) -> impl Iterator<Item = (&'a EpochAsked, EpochEnd)> {
    asked.iter().map(|a| {
        let same = |p: &&crate::protocol::offsets::OffsetForLeaderPartitionResponse| {
            p.topic_id == a.topic_id && p.partition == a.partition.partition
        };
        let end = match response.partitions.iter().find(same) {
            Some(p) if p.error_code.is_none() => EpochEnd::At(p.leader_epoch.zip(p.end_offset)),
            _ => EpochEnd::Retry,
        };
        (a, end)
    })
}
