//! `endOffsets`: Kafka's OffsetFetcher.fetchOffsetsByTimes, for the end of several partitions.
//!
//! All leaders are asked at once. What could not be answered waits for newer metadata and is asked again, until
//! `default.api.timeout.ms` is over: then the whole call fails, whatever was found.
//!
//! Left out: beginnings, lookups by time.

use super::offsets::{Listed, OffsetAsked};
use super::positions::TopicPartition;
use crate::ids::Offset;
use crate::time::Time;
use serde::Serialize;

/// A call of `endOffsets` that has not returned.
#[derive(Clone, Debug, Serialize)]
pub struct Lookup {
    until: Time,
    remaining: Vec<Wanted>,
    found: Vec<(TopicPartition, Offset)>,
    /// Nothing is asked before the metadata is newer than this.
    newer_than: Option<u32>,
}

#[derive(Clone, Debug, Serialize)]
struct Wanted {
    partition: TopicPartition,
    asked: bool,
}

/// How a call of `endOffsets` ended: the end offsets in no particular order, or a TimeoutException.
pub type EndOffsets = Result<Vec<(TopicPartition, Offset)>, LookupTimeout>;

/// Kafka's TimeoutException: not all leaders answered in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LookupTimeout;

impl Lookup {
    /// Nothing asked yet.
    pub fn new(partitions: &[TopicPartition], until: Time) -> Lookup {
        let wanted = |p: &TopicPartition| Wanted {
            partition: p.clone(),
            asked: false,
        };
        Lookup {
            until,
            remaining: partitions.iter().map(wanted).collect(),
            found: Vec::new(),
            newer_than: None,
        }
    }

    /// When it gives up.
    pub fn until(&self) -> Time {
        self.until
    }

    /// Whose end may be asked for now.
    pub fn to_ask(&self, metadata_version: u32) -> Vec<TopicPartition> {
        if self.newer_than.is_some_and(|v| metadata_version <= v) {
            return Vec::new();
        }
        let idle = self.remaining.iter().filter(|w| !w.asked);
        idle.map(|w| w.partition.clone()).collect()
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
        match listed {
            Listed::At(offset, _) => {
                self.remaining.retain(|w| w.partition != asked.partition);
                self.found.push((asked.partition.clone(), offset));
                false
            }
            Listed::Retry => {
                wanted.asked = false;
                self.newer_than = Some(metadata_version);
                true
            }
        }
    }

    /// How it ended, if it has.
    pub fn outcome(&mut self, now: Time) -> Option<EndOffsets> {
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
