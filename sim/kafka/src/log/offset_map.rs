//! Of each key the last offset in the dirty part of a log (Kafka's SkimpyOffsetMap).
//!
//! Left out: its limited memory (`log.cleaner.dedupe.buffer.size`: more than five million keys by default), and with it
//! rounds that end before the dirty part does; keys are compared, not their hashes.

use super::batch::RecordBatch;
use crate::ids::Offset;
use bytes::Bytes;
use std::collections::BTreeMap;

/// The map of one round.
#[derive(Clone, Debug)]
pub(super) struct OffsetMap {
    latest: BTreeMap<Bytes, Offset>,
    end: Offset,
}

impl OffsetMap {
    /// The records from `from` on, before `upto`, of these batches.
    pub fn of<'a>(
        batches: impl Iterator<Item = &'a RecordBatch>,
        from: Offset,
        upto: Offset,
    ) -> OffsetMap {
        let mut latest = BTreeMap::new();
        for batch in batches {
            for record in batch.records().filter_map(Result::ok) {
                if record.offset < from || record.offset >= upto {
                    continue;
                }
                if let Some(key) = record.key {
                    latest.insert(key, record.offset);
                }
            }
        }
        OffsetMap { latest, end: upto }
    }

    /// The last record of a key, if there is one in the dirty part.
    pub fn latest(&self, key: &[u8]) -> Option<Offset> {
        self.latest.get(key).copied()
    }

    /// Up to where it knows the log.
    pub fn end(&self) -> Offset {
        self.end
    }
}
