//! The indexes of a segment (Kafka's OffsetIndex and TimeIndex), as far as they can be noticed: how many entries they have,
//! since a full index rolls its segment (L-17, L-18), and the latest timestamp with the batch that bears it.
//!
//! Left out: the entries themselves. What Kafka finds from the entry before a place, by reading on, is found here
//! without: the answers are the same. Sizes are not rounded to whole entries of a file that was allocated before.

use super::batch::RecordBatch;
use super::config::LogConfig;
use crate::ids::Offset;
use crate::time::Timestamp;
use serde::Serialize;

/// Bytes of an entry of the offset index.
const OFFSET_ENTRY: i32 = 8;
/// Bytes of an entry of the time index.
const TIME_ENTRY: i32 = 12;

/// What the indexes of one segment know.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Indexes {
    /// The latest timestamp so far, and the last offset of the first batch that bears it.
    latest: Option<(Timestamp, Offset)>,
    offset_entries: i32,
    time_entries: i32,
    /// The timestamp of the last entry of the time index.
    last_time: Option<Timestamp>,
    /// Bytes written since the last entry.
    unindexed: u64,
}

impl Indexes {
    /// A batch is written behind the others.
    pub fn append(&mut self, batch: &RecordBatch, interval: i32) {
        let stamp = batch.data.max_timestamp;
        if stamp.0 >= 0 && self.latest.is_none_or(|(latest, _)| stamp > latest) {
            self.latest = Some((stamp, batch.last_offset()));
        }
        if self.unindexed > u64::try_from(interval).unwrap_or(0) {
            self.offset_entries += 1;
            self.add_time();
            self.unindexed = 0;
        }
        self.unindexed += u64::from(batch.data.size);
    }

    /// An entry for the latest timestamp, if it is later than that of the last entry.
    fn add_time(&mut self) {
        let latest = self.latest.map(|(latest, _)| latest);
        if latest > self.last_time {
            self.time_entries += 1;
            self.last_time = latest;
        }
    }

    /// The latest timestamp of all records; none if no record has one.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest.map(|(latest, _)| latest)
    }

    /// The last offset of the first batch that bears the latest timestamp.
    pub fn offset_of_latest(&self) -> Option<Offset> {
        self.latest.map(|(_, offset)| offset)
    }

    /// Whether one of them has no room for another entry (`segment.index.bytes`). The time index keeps one for the moment
    /// when its segment is closed.
    pub fn is_full(&self, config: &LogConfig) -> bool {
        self.offset_entries >= config.segment_index_bytes / OFFSET_ENTRY
            || self.time_entries >= config.segment_index_bytes / TIME_ENTRY - 1
    }
}
