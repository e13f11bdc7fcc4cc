//! What compaction leaves of a batch (Kafka's MemoryRecords.filterTo with its RecordFilter; L-28…L-31).
//!
//! Offsets never change: a batch keeps its first and its last, whatever goes between them. A batch of which nothing is left
//! goes too, unless its header must be kept: it says how far its producer has come, or where the compacted part ends. What
//! is left is compressed as it was (Kafka: with the topic's level).

use super::batch::{BatchData, Payload, PlainRecord, RecordBatch};
use super::codec::{Codec, Compression};
use super::offset_map::OffsetMap;
use super::record;
use crate::ids::Offset;
use crate::time::Timestamp;

/// One round of compaction, as its batches see it.
pub(super) struct Filter<'a> {
    /// Of each key the last record in the dirty part.
    pub map: &'a OffsetMap,
    /// The wall clock at the beginning of the round.
    pub now: Timestamp,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// The round ends here: the last batch before it keeps its header.
    pub upto: Offset,
    /// Whether a batch is the last of a producer that is still known.
    pub is_last_of_producer: &'a dyn Fn(&RecordBatch) -> bool,
}

/// What is left of a batch.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Left {
    /// All of it.
    Whole,
    /// Less, or the same with a delete horizon; and the offsets of the records that are gone.
    Less(BatchData, Vec<Offset>),
    /// Nothing.
    Nothing(Vec<Offset>),
}

impl Filter<'_> {
    pub fn apply(&self, batch: &RecordBatch) -> Left {
        if batch.data.is_control() {
            // Markers are left alone until transactions are built: their horizon depends on what they ended.
            return Left::Whole;
        }
        let mut kept = Vec::new();
        let mut gone = Vec::new();
        let mut has_tombstone = false;
        for record in batch.records().filter_map(Result::ok) {
            if self.keeps(
                batch,
                record.offset,
                record.key.as_deref(),
                record.value.is_some(),
            ) {
                has_tombstone |= record.value.is_none();
                kept.push(record);
            } else {
                gone.push(record.offset);
            }
        }
        let sets_horizon = has_tombstone && batch.data.delete_horizon().is_none();
        if kept.is_empty() {
            let keeps_header = (self.is_last_of_producer)(batch) || batch.end_offset() == self.upto;
            return match keeps_header {
                true if batch.data.count == 0 => Left::Whole,
                true => Left::Less(batch.data.emptied(), gone),
                false => Left::Nothing(gone),
            };
        }
        if gone.is_empty() && !sets_horizon {
            return Left::Whole;
        }
        let horizon = match sets_horizon {
            true => Some(Timestamp(
                self.now.0.saturating_add(self.delete_retention_ms),
            )),
            false => batch.data.delete_horizon(),
        };
        let place = |r: record::Record| {
            let delta = r.offset.0 - batch.base_offset.0;
            let plain = PlainRecord {
                id: r.id,
                timestamp: r.timestamp,
                key: r.key,
                value: r.value,
                headers: r.headers,
            };
            (delta, plain)
        };
        let kept: Vec<(i64, PlainRecord)> = kept.into_iter().map(place).collect();
        Left::Less(batch.data.keeping(&kept, horizon), gone)
    }

    /// L-28: the last record of its key, with a value or a tombstone whose time has not come (L-29). One without a key goes
    /// (L-31). Beyond the map nothing is known.
    fn keeps(
        &self,
        batch: &RecordBatch,
        offset: Offset,
        key: Option<&[u8]>,
        has_value: bool,
    ) -> bool {
        if offset >= self.map.end() {
            return true;
        }
        let Some(key) = key else {
            return false;
        };
        let is_latest = self.map.latest(key).is_none_or(|latest| offset >= latest);
        let horizon = batch.data.delete_horizon();
        is_latest && (has_value || horizon.is_none_or(|horizon| self.now < horizon))
    }
}

impl BatchData {
    /// The same batch with some of its records, each with its offset less the base offset.
    pub(crate) fn keeping(
        &self,
        kept: &[(i64, PlainRecord)],
        horizon: Option<Timestamp>,
    ) -> BatchData {
        let first = kept
            .first()
            .map_or(self.base_timestamp, |(_, r)| r.timestamp);
        let base = horizon.unwrap_or(first);
        let mut body = Vec::new();
        for (delta, record) in kept {
            record::encode(&mut body, record, base, *delta);
        }
        let latest = kept.iter().map(|(_, r)| r.timestamp).max();
        let codec = if kept.is_empty() {
            Codec::None
        } else {
            self.codec
        };
        let compression = Compression {
            codec,
            ..Compression::default()
        };
        BatchData {
            count: i32::try_from(kept.len()).expect("fewer than there were"),
            base_timestamp: base,
            max_timestamp: latest.unwrap_or(self.max_timestamp),
            has_delete_horizon: horizon.is_some(),
            codec,
            payload: Payload::Records {
                body: compression.compress(body.into()),
                ids: kept.iter().map(|(_, r)| r.id).collect(),
            },
            ..self.clone()
        }
        .sealed()
    }

    /// The same batch without records: its header alone.
    fn emptied(&self) -> BatchData {
        BatchData {
            max_timestamp: self.max_timestamp,
            base_timestamp: self.max_timestamp,
            ..self.keeping(&[], None)
        }
        .sealed()
    }
}
