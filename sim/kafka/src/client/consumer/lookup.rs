//! `beginningOffsets`, `endOffsets` and `offsetsForTimes`: Kafka's OffsetFetcher.fetchOffsetsByTimes, for several
//! partitions.
//!
//! All leaders are asked at once. What could not be answered waits for newer metadata and is asked again, until
//! `default.api.timeout.ms` is over: then the whole call fails, whatever was found.

use super::offsets::{Listed, OffsetAndTimestamp, OffsetAsked};
use super::positions::TopicPartition;
use crate::ids::Offset;
use crate::protocol::offsets::OffsetSpec;
use crate::time::Time;
use serde::Serialize;

/// A call that has not returned.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    until: Time,
    remaining: Vec<Wanted>,
    found: Vec<(TopicPartition, Option<OffsetAndTimestamp>)>,
    /// Nothing is asked before the metadata is newer than this.
    newer_than: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
struct Wanted {
    partition: TopicPartition,
    at: OffsetSpec,
    asked: bool,
}

/// How a call ended: what was found, in no particular order, or a TimeoutException. Nothing is found for a time that no
/// record is as young as.
pub type LookedUp = Result<Vec<(TopicPartition, Option<OffsetAndTimestamp>)>, LookupTimeout>;

/// How a call of `beginningOffsets` or `endOffsets` ended.
pub type EndOffsets = Result<Vec<(TopicPartition, Offset)>, LookupTimeout>;

/// Kafka's TimeoutException: not all leaders answered in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LookupTimeout;

impl Lookup {
    /// Nothing asked yet.
    pub fn new(questions: Vec<(TopicPartition, OffsetSpec)>, until: Time) -> Lookup {
        let wanted = |(partition, at)| Wanted {
            partition,
            at,
            asked: false,
        };
        Lookup {
            until,
            remaining: questions.into_iter().map(wanted).collect(),
            found: Vec::new(),
            newer_than: None,
        }
    }

    /// When it gives up.
    pub fn until(&self) -> Time {
        self.until
    }

    /// What may be asked for now.
    pub fn to_ask(&self, metadata_version: u32) -> Vec<(TopicPartition, OffsetSpec)> {
        if self.newer_than.is_some_and(|v| metadata_version <= v) {
            return Vec::new();
        }
        let idle = self.remaining.iter().filter(|w| !w.asked);
        idle.map(|w| (w.partition.clone(), w.at)).collect()
    }

    /// A question has gone out.
    pub fn asked(&mut self, partition: &TopicPartition) {
        if let Some(wanted) = self.wanted(partition) {
            wanted.asked = true;
        }
    }

    /// An answer came. True if it must be asked again, with newer metadata than this.
    pub fn answered(&mut self, asked: &OffsetAsked, listed: Listed, metadata_version: u32) -> bool {
        let Some(wanted) = self.wanted(&asked.partition) else {
            return false;
        };
        let found = match listed {
            Listed::At(found) => Some(found),
            Listed::Nothing => None,
            Listed::Retry => {
                wanted.asked = false;
                self.newer_than = Some(metadata_version);
                return true;
            }
        };
        self.remaining.retain(|w| w.partition != asked.partition);
        self.found.push((asked.partition.clone(), found));
        false
    }

    /// How it ended, if it has.
    pub fn outcome(&mut self, now: Time) -> Option<LookedUp> {
        if self.remaining.is_empty() {
            return Some(Ok(std::mem::take(&mut self.found)));
        }
        (now >= self.until).then_some(Err(LookupTimeout))
    }

    fn wanted(&mut self, partition: &TopicPartition) -> Option<&mut Wanted> {
        self.remaining
            .iter_mut()
            .find(|w| w.partition == *partition)
    }
}
