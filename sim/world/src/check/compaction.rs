//! **Latest kept**: compaction takes a record only if a later one of its key stands for it, or if it is a tombstone that an
//! earlier round has seen; and behind the point up to which a log is compacted no key has two (B35, L-28, L-29).
//!
//! Replicas are compacted on their own and at other times, and one that was away copies what another has compacted: a record
//! may be missing here because of one that lies behind the point. So each round is held against what this log held before it.
//!
//! Offsets that move would show as a read of another record than the committed one (*consistent read*).

use super::history::{Change, History};
use super::{About, Promise, Seen};
use klab_kafka::ids::Offset;
use std::collections::BTreeMap;

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "latest kept",
    sentence: "Compaction keeps the last record of every key, and no older one behind the point it has come to.",
    ids: "B35 L-28 L-29",
    canary: "mutated history: drop",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct LatestKept {
    /// Records taken, and records left behind the point.
    pub opportunities: u64,
    /// By partition: up to where a round of any replica has come before. A copy takes over with its batch since when a
    /// tombstone may go (L-29).
    seen: BTreeMap<u32, Offset>,
}

/// A record of a log as its key sees it.
struct Keyed {
    offset: Offset,
    key: Vec<u8>,
    is_tombstone: bool,
}

impl LatestKept {
    /// A segment was compacted.
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let Change::Compacted {
            partition,
            process,
            upto,
            gone,
            is_over,
        } = change
        else {
            return None;
        };
        let lineage = history.lineage(*partition);
        let replica = lineage.replica(*process)?;
        let mut records = Vec::new();
        for copied in replica.path.iter() {
            let batch = &lineage.node(copied.node).batch;
            if batch.base_offset >= *upto {
                break;
            }
            for record in batch.records().filter_map(Result::ok) {
                let below = record.offset < *upto && record.offset >= replica.log_start;
                let was_there = !replica.compacted.contains_key(&record.offset)
                    || gone.binary_search(&record.offset).is_ok();
                if let Some(key) = record.key.filter(|_| below && was_there) {
                    records.push(Keyed {
                        offset: record.offset,
                        key: key.to_vec(),
                        is_tombstone: record.value.is_none(),
                    });
                }
            }
        }
        let latest: BTreeMap<&[u8], &Keyed> =
            records.iter().map(|r| (r.key.as_slice(), r)).collect();
        let seen = self.seen.entry(*partition).or_default();
        let before = *seen;
        let by_offset: BTreeMap<Offset, &Keyed> = records.iter().map(|r| (r.offset, r)).collect();
        let say = |what: String| Seen {
            about: About::Partition(lineage.id),
            seen: format!(
                "{} {what} of {}",
                history.names.of(*process),
                history.partition_name(*partition)
            ),
        };
        for offset in gone {
            self.opportunities += 1;
            let Some(record) = by_offset.get(offset) else {
                continue;
            };
            let is_last = latest[record.key.as_slice()].offset == *offset;
            if is_last && !(record.is_tombstone && *offset < before) {
                return Some(say(format!("takes offset {offset}, the last of its key,")));
            }
        }
        if !is_over {
            return None;
        }
        *seen = before.max(*upto);
        let mut there = records
            .iter()
            .filter(|r| !replica.compacted.contains_key(&r.offset));
        self.opportunities += latest.len() as u64;
        let old = there.find(|r| latest[r.key.as_slice()].offset != r.offset)?;
        Some(say(format!(
            "is compacted up to {upto} and still holds the superseded offset {}",
            old.offset
        )))
    }
}
