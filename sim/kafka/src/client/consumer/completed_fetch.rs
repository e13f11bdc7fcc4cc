//! An answer for one partition, drained by polls: Kafka's CompletedFetch.
//!
//! It keeps that records are returned once, in offset order, and only while the position is where the answer goes on; an
//! error is dealt with when it is its turn, not when it arrives.
//!
//! Left out: the skipping of aborted transactions (with transactions).

use super::positions::{Positions, ResetTo, TopicPartition};
use super::records::{ConsumerError, PartitionRecords, Slice};
use crate::ids::{LeaderEpoch, Offset, TopicId, TopicIdPartition};
use crate::log::batch::RecordBatch;
use crate::log::codec::Codec;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::FetchPartitionResponse;
use serde::Serialize;

/// An answer for one partition, and how far it has been returned.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CompletedFetch {
    /// Which.
    pub partition: TopicPartition,
    topic_id: TopicId,
    answer: FetchPartitionResponse,
    /// It was found to be wanted.
    pub initialized: bool,
    next_offset: Offset,
    last_epoch: Option<LeaderEpoch>,
    /// The batch in hand, counted from 0.
    batch: u32,
    /// Records of it were returned.
    pub read: bool,
    /// Nothing is left in it, or nobody wants what is.
    pub consumed: bool,
}

/// What became of an answer when it was its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initialized {
    /// Its records may be taken.
    Ready,
    /// Nobody wants it: the position is elsewhere, or there is none; or an error that calls for nothing.
    Dropped,
    /// An error by which the metadata is out of date; asked again at once, while it is on its way (C-11).
    MetadataWanted,
    /// The log has no such offset; the position goes where the policy says (C-9).
    OutOfRange(TopicIdPartition, Offset),
}

impl CompletedFetch {
    /// An answer to a fetch from this offset, just arrived.
    pub fn new(
        partition: TopicPartition,
        topic_id: TopicId,
        fetch_offset: Offset,
        answer: FetchPartitionResponse,
    ) -> CompletedFetch {
        CompletedFetch {
            partition,
            topic_id,
            answer,
            initialized: false,
            next_offset: fetch_offset,
            last_epoch: None,
            batch: 0,
            read: false,
            consumed: false,
        }
    }

    /// Its turn has come.
    ///
    /// # Errors
    /// What the application must hear of.
    pub fn initialize(
        &mut self,
        positions: &mut Positions,
        policy: Option<ResetTo>,
    ) -> Result<Initialized, ConsumerError> {
        let assigned = positions.get_mut(&self.partition);
        let Some(assigned) = assigned.filter(|a| a.valid_position().is_some()) else {
            return Ok(Initialized::Dropped);
        };
        let position = assigned.valid_position().expect("just seen");
        let error = self.answer.error_code;
        if error.is_none() {
            if position.offset != self.next_offset {
                return Ok(Initialized::Dropped);
            }
            assigned.high_watermark = self.answer.high_watermark;
            assigned.last_stable_offset = self.answer.last_stable_offset;
            self.initialized = true;
            return Ok(Initialized::Ready);
        }
        let outcome = match error {
            // An answer to another position says nothing about this one.
            ErrorCode::OffsetOutOfRange if position.offset != self.next_offset => {
                Ok(Initialized::Dropped)
            }
            ErrorCode::OffsetOutOfRange => match policy {
                Some(to) => {
                    assigned.reset(to);
                    Ok(Initialized::OutOfRange(self.id(), position.offset))
                }
                None => {
                    let partition = self.partition.clone();
                    Err(ConsumerError::OffsetOutOfRange(partition, position.offset))
                }
            },
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::KafkaStorageError
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId => Ok(Initialized::MetadataWanted),
            // The broker's metadata is older than the client's: only the broker can mend that.
            ErrorCode::UnknownLeaderEpoch | ErrorCode::UnknownServerError => {
                Ok(Initialized::Dropped)
            }
            ErrorCode::CorruptMessage => {
                let partition = self.partition.clone();
                Err(ConsumerError::CorruptRecord(partition, self.next_offset))
            }
            other => Err(ConsumerError::Unexpected(self.partition.clone(), other)),
        };
        positions.move_to_end(&self.partition);
        outcome
    }

    /// Up to `max` records from the position on; the position moves behind them, and over what no application sees.
    ///
    /// # Errors
    /// A batch whose checksum does not fit, if nothing lies before it.
    pub fn take(
        &mut self,
        positions: &mut Positions,
        max: u32,
        check_crcs: bool,
    ) -> Result<Option<PartitionRecords>, ConsumerError> {
        let assigned = positions.get_mut(&self.partition);
        let from = match assigned.and_then(|a| a.fetchable()) {
            Some(position) if position.offset == self.next_offset => position.offset,
            _ => {
                self.consumed = true;
                return Ok(None);
            }
        };
        let batches = self.answer.records.len() - self.batch as usize;
        // A slice has at least one record.
        let mut slices = Vec::with_capacity(batches.min(max as usize));
        let mut left = max;
        while left > 0 {
            let Some(batch) = self.answer.records.get(self.batch as usize) else {
                self.consumed = true;
                break;
            };
            if check_crcs && !(batch.data.is_intact() && can_be_read(batch)) {
                if self.next_offset > from {
                    break;
                }
                return Err(ConsumerError::CorruptRecord(
                    self.partition.clone(),
                    self.next_offset,
                ));
            }
            self.last_epoch = Some(batch.leader_epoch);
            // Control records are not for applications: the position moves over them.
            let read = self.next_offset;
            let (mut first, mut taken) = (0, 0);
            let mut is_over = true;
            for offset in batch.offsets() {
                if offset < read {
                    first += 1;
                } else if taken < left {
                    taken += 1;
                    self.next_offset = offset.plus(1);
                } else {
                    is_over = false;
                    break;
                }
            }
            if taken > 0 {
                slices.push(Slice {
                    batch: batch.clone(),
                    from: first,
                    to: first + taken,
                });
                self.read = true;
                left -= taken;
            }
            // A batch keeps its last offset when compaction takes its last record: the next fetch asks behind it.
            if is_over {
                self.next_offset = self.next_offset.max(batch.end_offset());
                self.batch += 1;
            }
        }
        if self.next_offset == from {
            return Ok(None);
        }
        let assigned = positions
            .get_mut(&self.partition)
            .expect("it was assigned just now");
        assigned.advance(self.next_offset, self.last_epoch);
        Ok(Some(PartitionRecords {
            partition: self.partition.clone(),
            topic_id: self.topic_id,
            from,
            to: self.next_offset,
            slices,
        }))
    }

    fn id(&self) -> TopicIdPartition {
        TopicIdPartition {
            topic: self.topic_id,
            partition: self.partition.partition,
        }
    }
}

/// Whether the records of a compressed batch come out as they should. Those of others are not looked at: their checksum
/// fits.
fn can_be_read(batch: &RecordBatch) -> bool {
    batch.data.codec == Codec::None || batch.records().all(|record| record.is_ok())
}
