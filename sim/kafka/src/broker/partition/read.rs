//! What a replica answers to those who read it: Fetch, ListOffsets, OffsetForLeaderEpoch (R-7… … ).

use super::{Here, Outcome, Partition};
use crate::broker::replica::FollowerFetch;
use crate::effect::Effects;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::segment::Stamped;
use crate::protocol::ErrorCode;
use crate::protocol::fetch::*;
use crate::protocol::offsets::OffsetSpec;
use crate::rules::Truncate;
use crate::time::Timestamp;

/// How one position of a fetch is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The follower that reads; `None` for a consumer.
    pub replica: Option<ReplicaState>,
    /// What a consumer may see.
    pub isolation: IsolationLevel,
    /// What is left of the request's bytes.
    pub max_bytes: i32,
    /// Nothing was read yet: the first batch comes whole, however large.
    pub first: bool,
    /// The request has just come: a follower's position counts. Not so when it was parked and is answered now.
    pub fresh: bool,
}

/// What a position gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Read {
    /// Whole batches, unless the logs diverge.
    pub records: Vec<crate::log::batch::RecordBatch>,
    /// The high watermark before this fetch was taken note of: a follower learns of what its own fetch committed only from
    /// its next one.
    pub hw: Offset,
    /// The last stable offset then.
    pub lso: Offset,
    /// Where the log begins.
    pub log_start: Offset,
    /// Where the logs part.
    pub diverging: Option<EpochEndOffset>,
    /// What the follower's position led to.
    pub outcome: Outcome,
}

/// What ListOffsets found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The offset.
    pub offset: Offset,
    /// The timestamp of the record, if it was found by one; else -1.
    pub timestamp: Timestamp,
    /// The epoch of what lies there.
    pub epoch: Option<LeaderEpoch>,
}

impl Found {
    fn untimed(offset: Offset, epoch: Option<LeaderEpoch>) -> Found {
        let timestamp = Timestamp(-1);
        Found {
            offset,
            timestamp,
            epoch,
        }
    }
}

impl From<Stamped> for Found {
    fn from(stamped: Stamped) -> Found {
        Found {
            offset: stamped.offset,
            timestamp: stamped.timestamp,
            epoch: Some(stamped.epoch),
        }
    }
}

impl Partition {
    /// Reads a position. A consumer may read a follower too, up to what the follower knows to be committed.
    ///
    /// # Errors
    /// R-8's and R-9's.
    #[inline]
    pub fn fetch(
        &mut self,
        asked: &FetchPartition,
        reading: &Reading,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<Read, ErrorCode> {
        match reading.replica {
            Some(r) => self.check_follower(r.replica_id, asked.current_leader_epoch)?,
            None => self.check_epoch(asked.current_leader_epoch)?,
        }
        let mut read = self.read(asked, reading)?;
        if let Some(follower) = reading.replica.filter(|_| reading.fresh) {
            // a diverging position says nothing about what the follower has of this log.
            if read.diverging.is_none() {
                let fetch = FollowerFetch {
                    offset: asked.fetch_offset,
                    log_start: asked.log_start_offset,
                    at: here.now,
                    leader_leo: self.log.leo(),
                    broker_epoch: follower.replica_epoch,
                };
                read.outcome = self.note_fetch(follower.replica_id, &fetch, here, out)?;
            }
        }
        Ok(read)
    }

    #[inline]
    fn read(&self, asked: &FetchPartition, reading: &Reading) -> Result<Read, ErrorCode> {
        let from = asked.fetch_offset;
        let diverging = match asked.last_fetched_epoch {
            Some(epoch) => self.diverging(epoch, from)?,
            None => None,
        };
        let records = match diverging {
            Some(_) => Vec::new(),
            None => {
                self.log.check_readable(from)?;
                let upto = self.end_for(reading.replica.is_some(), reading.isolation);
                let max_bytes = asked.partition_max_bytes.min(reading.max_bytes);
                match reading.first {
                    true => self.log.read(from, upto, max_bytes),
                    false => self.log.read_within(from, upto, max_bytes),
                }
            }
        };
        Ok(Read {
            records,
            hw: self.log.hw(),
            lso: self.log.lso(),
            log_start: self.log.log_start(),
            diverging,
            outcome: Outcome::default(),
        })
    }

    /// followers read to the end, consumers below the high watermark or the last stable offset.
    fn end_for(&self, is_follower: bool, isolation: IsolationLevel) -> Offset {
        match isolation {
            _ if is_follower => self.log.leo(),
            IsolationLevel::ReadUncommitted => self.log.hw(),
            IsolationLevel::ReadCommitted => self.log.lso(),
        }
    }

    /// whether a log that ends at `from` in `epoch` departs from this one, and where.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE for an epoch this log knows nothing of, and below the log start.
    fn diverging(
        &self,
        epoch: LeaderEpoch,
        from: Offset,
    ) -> Result<Option<EpochEndOffset>, ErrorCode> {
        let end = self
            .log
            .end_offset_for_epoch(epoch)
            .ok_or(ErrorCode::OffsetOutOfRange)?;
        if from < self.log.log_start() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        Ok((end.epoch < epoch || end.end_offset < from).then_some(end))
    }

    /// the bytes that wait for a parked position, or nothing if the request is to be answered at once: leadership has
    /// changed, the readable log ends below the position, a segment was closed, or the logs diverge.
    ///
    /// Kafka answers a consumer between the high watermark and the log's end at once, with nothing, by the second case.
    pub fn available(&self, asked: &FetchPartition, reading: &Reading) -> Option<u64> {
        let is_follower = reading.replica.is_some();
        self.check_epoch(asked.current_leader_epoch).ok()?;
        if is_follower && !self.is_leader() {
            return None;
        }
        let from = asked.fetch_offset;
        let end = self.end_for(is_follower, reading.isolation);
        if from > end || self.log.segment_of(from) != self.log.segment_of(end) {
            return None;
        }
        let diverges = |epoch| self.diverging(epoch, from) != Ok(None);
        if asked.last_fetched_epoch.is_some_and(diverges) {
            return None;
        }
        let cap = u64::try_from(asked.partition_max_bytes).unwrap_or(0);
        Some(self.log.bytes_between(from, end).min(cap))
    }

    /// ListOffsets. An offset with what lies there; none if no record is that young.
    ///
    /// # Errors
    /// R-9's; OFFSET_NOT_AVAILABLE to a client while a new leader does not know the high watermark of its predecessor.
    pub fn list_offset(
        &self,
        at: OffsetSpec,
        current: Option<LeaderEpoch>,
        client: Option<IsolationLevel>,
    ) -> Result<Option<Found>, ErrorCode> {
        let leader = self.check_leader(current)?;
        let end = self.end_for(client.is_none(), client.unwrap_or_default());
        let lags = client.is_some() && leader.epoch_start() > self.log.hw();
        let unknown = || match lags {
            true => Err(ErrorCode::OffsetNotAvailable),
            false => Ok(None),
        };
        match at {
            OffsetSpec::Earliest => {
                let start = self.log.log_start();
                Ok(Some(Found::untimed(
                    start,
                    self.log.epochs().epoch_at(start),
                )))
            }
            OffsetSpec::Latest if lags => unknown(),
            OffsetSpec::Latest => Ok(Some(Found::untimed(end, self.leader_epoch))),
            OffsetSpec::MaxTimestamp | OffsetSpec::At(_) => {
                let stamped = match at {
                    OffsetSpec::At(time) => self.log.find_time(time),
                    _ => self.log.find_latest(),
                };
                match stamped.filter(|s| s.offset < end) {
                    Some(stamped) => Ok(Some(stamped.into())),
                    None => unknown(),
                }
            }
        }
    }

    /// OffsetForLeaderEpoch (L-39): where an epoch ends here; undefined parts are none. Before KIP-279 the epoch that the
    /// offset belongs to was not said.
    ///
    /// # Errors
    /// R-9's.
    pub fn epoch_end(
        &self,
        epoch: LeaderEpoch,
        current: Option<LeaderEpoch>,
        here: Here<'_>,
    ) -> Result<(Option<LeaderEpoch>, Option<Offset>), ErrorCode> {
        self.check_leader(current)?;
        let end = self.log.end_offset_for_epoch(epoch);
        let says_epoch = here.rules.truncate != Truncate::Kip101;
        Ok((
            end.map(|e| e.epoch).filter(|_| says_epoch),
            end.map(|e| e.end_offset),
        ))
    }
}
