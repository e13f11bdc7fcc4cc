//! What to fetch from whom, and what came: Kafka's AbstractFetch, FetchBuffer and FetchCollector.
//!
//! It keeps that records are returned in offset order and only from the position: an answer to an older position is
//! dropped (C-6), and one partition's answer is drained before the next (C-4).
//!
//! Left out: fetch sessions (every request names all its partitions), preferred read replicas (KIP-392).

use super::completed_fetch::{CompletedFetch, Initialized};
use super::positions::{FetchPosition, Positions, ResetTo, TopicPartition};
use super::records::{ConsumerError, PartitionRecords};
use crate::config::ConsumerConfig;
use crate::ids::{LeaderEpoch, NodeId, Offset, TopicId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use crate::protocol::produce::LeaderIdAndEpoch;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// One position in a fetch request, remembered until it is answered.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Asked {
    /// Which partition.
    pub partition: TopicPartition,
    /// Its topic's id.
    pub topic_id: TopicId,
    /// From here on.
    pub offset: Offset,
    /// The leader epoch known.
    pub epoch: Option<LeaderEpoch>,
}

/// What one collection brought.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Collected {
    /// The records.
    pub records: Vec<PartitionRecords>,
    /// Thrown if there were no records; else it comes again at the next poll.
    pub error: Option<ConsumerError>,
    /// An error told that the metadata is out of date.
    pub wants_metadata: bool,
    /// Positions that were out of range and are being reset.
    pub out_of_range: Vec<(TopicIdPartition, Offset)>,
}

impl Collected {
    /// Kafka's Fetch.isEmpty: no record, and no position moved.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Who owes an answer, ascending.
type Pending = SmallVec<[NodeId; 4]>;

/// Answers not yet returned, and who still owes one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fetcher {
    pending: Pending,
    completed: VecDeque<CompletedFetch>,
    next_in_line: Option<CompletedFetch>,
}

/// The request for these positions. Neighbours of one topic share an entry.
pub fn request(asked: &[Asked], config: &ConsumerConfig) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::with_capacity(1);
    for a in asked {
        if topics.last().is_none_or(|t| t.topic_id != a.topic_id) {
            topics.push(FetchTopic {
                topic_id: a.topic_id,
                partitions: SmallVec::new(),
            });
        }
        let topic = topics.last_mut().expect("just pushed");
        topic.partitions.push(FetchPartition {
            partition: a.partition.partition,
            current_leader_epoch: a.epoch,
            fetch_offset: a.offset,
            // A consumer finds a truncation by OffsetForLeaderEpoch, not by its fetch (C-10).
            last_fetched_epoch: None,
            log_start_offset: None,
            partition_max_bytes: config.max_partition_fetch_bytes,
            high_watermark: None,
        });
    }
    FetchRequest {
        replica: None,
        max_wait_ms: config.fetch_max_wait_ms,
        min_bytes: config.fetch_min_bytes,
        max_bytes: config.fetch_max_bytes,
        isolation_level: config.isolation_level.0,
        topics,
    }
}

/// What `Fetcher::wanted` found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wanted {
    /// By node, in fetch order.
    pub by_node: SmallVec<[(NodeId, Vec<Asked>); 1]>,
    /// A leader or a topic id is missing.
    pub wants_metadata: bool,
}

impl Fetcher {
    /// C-2: one fetch per node, for every fetchable partition it leads that has nothing buffered; none to a node from
    /// which something fetchable is buffered.
    pub fn wanted(
        &self,
        positions: &Positions,
        topic_id: impl Fn(&Arc<str>) -> Option<TopicId>,
    ) -> Wanted {
        let mut wanted = Wanted::default();
        let busy = self.busy_nodes(positions);
        for assigned in positions.iter() {
            let Some(position) = assigned.fetchable() else {
                continue;
            };
            if self.is_buffered(&assigned.partition) {
                continue;
            }
            let (Some(node), Some(topic_id)) =
                (leader(&position), topic_id(&assigned.partition.topic))
            else {
                wanted.wants_metadata = true;
                continue;
            };
            if self.pending.contains(&node) || busy.contains(&node) {
                continue;
            }
            let asked = Asked {
                partition: assigned.partition.clone(),
                topic_id,
                offset: position.offset,
                epoch: position.leader.map(|l| l.epoch),
            };
            match wanted.by_node.iter_mut().find(|(n, _)| *n == node) {
                Some((_, partitions)) => partitions.push(asked),
                None => wanted.by_node.push((node, vec![asked])),
            }
        }
        wanted
    }

    /// A fetch has gone out to this node.
    pub fn sent(&mut self, node: NodeId) {
        let place = self.pending.partition_point(|n| *n < node);
        self.pending.insert(place, node);
    }

    /// It will not be answered.
    pub fn failed(&mut self, node: NodeId) {
        self.pending.retain(|n| *n != node);
    }

    /// It was answered: keeps what came, and returns the leaders that the broker named instead of itself (KIP-951).
    pub fn answered(
        &mut self,
        node: NodeId,
        asked: &[Asked],
        response: FetchResponse,
    ) -> Vec<(TopicIdPartition, LeaderIdAndEpoch)> {
        self.failed(node);
        let mut hints = Vec::new();
        for topic in response.topics {
            for answer in topic.partitions {
                let same = |a: &&Asked| {
                    a.topic_id == topic.topic_id && a.partition.partition == answer.partition
                };
                let asked = asked
                    .iter()
                    .find(same)
                    .expect("a broker answers what it was asked");
                if let (
                    ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch,
                    Some(leader),
                ) = (answer.error_code, answer.current_leader)
                {
                    let partition = asked.partition.partition;
                    let topic = asked.topic_id;
                    hints.push((TopicIdPartition { topic, partition }, leader));
                }
                self.completed.push_back(CompletedFetch::new(
                    asked.partition.clone(),
                    asked.topic_id,
                    asked.offset,
                    answer,
                ));
            }
        }
        hints
    }

    /// Kafka's collectFetch: up to `max.poll.records` records; the positions move over them (C-3).
    pub fn collect(
        &mut self,
        positions: &mut Positions,
        config: &ConsumerConfig,
        policy: Option<ResetTo>,
    ) -> Collected {
        let mut out = Collected::default();
        if self.next_in_line.is_none() && self.completed.is_empty() {
            return out;
        }
        let mut left = u32::try_from(config.max_poll_records).unwrap_or(0);
        let mut paused = Vec::new();
        while left > 0 {
            let mut fetch = match self.next_in_line.take() {
                Some(fetch) => fetch,
                None => match self.initialize_front(positions, policy, &mut out) {
                    Front::Nothing | Front::Error => break,
                    Front::Dropped => continue,
                    Front::Ready(fetch) => fetch,
                },
            };
            if positions.get(&fetch.partition).is_some_and(|a| a.paused) {
                paused.push(fetch);
                continue;
            }
            match fetch.take(positions, left, config.check_crcs) {
                Ok(Some(records)) => {
                    left -= records.count();
                    add(&mut out.records, records);
                }
                Ok(None) => {}
                Err(error) => {
                    self.next_in_line = Some(fetch);
                    out.error = Some(error);
                    break;
                }
            }
            if !fetch.consumed {
                self.next_in_line = Some(fetch);
            } else if fetch.read {
                positions.move_to_end(&fetch.partition);
            }
        }
        self.completed.extend(paused);
        if !out.is_empty() {
            // Records first: the error is met again at the next poll.
            out.error = None;
        }
        out
    }

    fn initialize_front(
        &mut self,
        positions: &mut Positions,
        policy: Option<ResetTo>,
        out: &mut Collected,
    ) -> Front {
        let Some(mut front) = self.completed.pop_front() else {
            return Front::Nothing;
        };
        if front.initialized {
            return Front::Ready(front);
        }
        match front.initialize(positions, policy) {
            Ok(Initialized::Ready) => return Front::Ready(front),
            Ok(Initialized::Dropped) => {}
            Ok(Initialized::MetadataWanted) => out.wants_metadata = true,
            Ok(Initialized::OutOfRange(partition, position)) => {
                out.out_of_range.push((partition, position));
            }
            Err(error) => {
                if !out.is_empty() {
                    self.completed.push_front(front);
                }
                out.error = Some(error);
                return Front::Error;
            }
        }
        Front::Dropped
    }

    fn buffered(&self) -> impl Iterator<Item = &CompletedFetch> {
        self.completed.iter().chain(&self.next_in_line)
    }

    fn is_buffered(&self, partition: &TopicPartition) -> bool {
        self.buffered().any(|f| f.partition == *partition)
    }

    /// The nodes from which something fetchable is buffered.
    fn busy_nodes(&self, positions: &Positions) -> SmallVec<[NodeId; 4]> {
        let node = |f: &CompletedFetch| leader(&positions.get(&f.partition)?.fetchable()?);
        self.buffered().filter_map(node).collect()
    }
}

fn leader(position: &FetchPosition) -> Option<NodeId> {
    position.leader?.leader
}

enum Front {
    Nothing,
    Dropped,
    Error,
    Ready(CompletedFetch),
}

/// Records of one partition that came in several answers are one run.
fn add(all: &mut Vec<PartitionRecords>, more: PartitionRecords) {
    match all
        .iter_mut()
        .find(|r| r.partition == more.partition && r.to == more.from)
    {
        Some(r) => {
            r.to = more.to;
            r.slices.extend(more.slices);
        }
        None => all.push(more),
    }
}

#[cfg(test)]
mod tests;
