//! What to fetch from whom, and what came: Kafka's AbstractFetch, FetchBuffer, FetchCollector and CompletedFetch.
//!
//! It keeps that records are returned in offset order and only from the position: an answer to an older position is
//! dropped (C-6), and one partition's answer is drained before the next (C-4).
//!
//! Left out: fetch sessions (every request names all its partitions), preferred read replicas (KIP-392), the skipping of
//! aborted transactions (with transactions), gaps left by compaction.

use super::positions::{FetchPosition, Positions, ResetTo, TopicPartition};
use crate::config::ConsumerConfig;
use crate::ids::{LeaderEpoch, NodeId, Offset, RecordId, TopicId, TopicIdPartition};
use crate::log::batch::{Payload, RecordBatch};
use crate::log::record::{InvalidRecord, Record};
use crate::protocol::ErrorCode;
use crate::protocol::fetch::{
    FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopic,
};
use crate::protocol::produce::LeaderIdAndEpoch;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};

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

/// Records of one partition that a poll returned, in offset order.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionRecords {
    /// By name.
    pub partition: TopicPartition,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The position before.
    pub from: Offset,
    /// The position after.
    pub to: Offset,
    /// The records, as parts of the batches in which they came.
    pub slices: Vec<Slice>,
}

/// Some records of a batch.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Slice {
    /// The batch.
    pub batch: RecordBatch,
    /// The first record, by its offset less the base offset.
    pub from: u32,
    /// The record after the last.
    pub to: u32,
}

impl PartitionRecords {
    /// The partition by id.
    pub fn id(&self) -> TopicIdPartition {
        TopicIdPartition {
            topic: self.topic_id,
            partition: self.partition.partition,
        }
    }

    /// Every record: its offset, the epoch of the leader that appended it, and what its writer calls it.
    pub fn records(&self) -> impl Iterator<Item = (Offset, LeaderEpoch, RecordId)> + '_ {
        self.slices.iter().flat_map(|s| {
            (s.from..s.to).map(|i| {
                (
                    s.batch.base_offset.plus(i64::from(i)),
                    s.batch.leader_epoch,
                    s.batch.data.ids()[i as usize],
                )
            })
        })
    }

    /// The same, decoded: keys, values, timestamps. A record whose bytes make no sense is an error in its place.
    pub fn decoded(&self) -> impl Iterator<Item = Result<Record, InvalidRecord>> + '_ {
        self.slices.iter().flat_map(|s| {
            let all = s.batch.records();
            all.skip(s.from as usize).take((s.to - s.from) as usize)
        })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.slices.iter().map(|s| s.to - s.from).sum()
    }
}

/// What `poll` throws.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum ConsumerError {
    /// NoOffsetForPartitionException: no position and no reset policy (C-7).
    NoOffsetForPartition(Vec<TopicPartition>),
    /// OffsetOutOfRangeException: the log has no such offset and there is no reset policy (C-9).
    OffsetOutOfRange(TopicPartition, Offset),
    /// LogTruncationException: the log departs before the position and there is no reset policy (C-10).
    LogTruncation {
        /// Which partition.
        partition: TopicPartition,
        /// The position, unchanged.
        position: Offset,
        /// The first offset known to differ, if the leader could tell.
        divergence: Option<Offset>,
    },
    /// A batch whose checksum does not fit; the application may seek past it (C-5).
    CorruptRecord(TopicPartition, Offset),
    /// An error no consumer expects.
    Unexpected(TopicPartition, ErrorCode),
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

/// Answers not yet returned, and who still owes one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Fetcher {
    pending: BTreeSet<NodeId>,
    completed: VecDeque<CompletedFetch>,
    next_in_line: Option<CompletedFetch>,
}

/// An answer for one partition, and how far it has been returned.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct CompletedFetch {
    partition: TopicPartition,
    topic_id: TopicId,
    answer: FetchPartitionResponse,
    initialized: bool,
    next_offset: Offset,
    last_epoch: Option<LeaderEpoch>,
    /// The batch in hand, counted from 0.
    batch: u32,
    /// Records of it were returned.
    read: bool,
    /// Nothing is left in it, or nobody wants what is.
    consumed: bool,
}

/// The request for these positions. Neighbours of one topic share an entry.
pub fn request(asked: &[Asked], config: &ConsumerConfig) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for a in asked {
        if topics.last().is_none_or(|t| t.topic_id != a.topic_id) {
            topics.push(FetchTopic {
                topic_id: a.topic_id,
                partitions: Vec::new(),
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
    pub by_node: Vec<(NodeId, Vec<Asked>)>,
    /// A leader or a topic id is missing.
    pub wants_metadata: bool,
}

impl Fetcher {
    /// C-2: one fetch per node, for every fetchable partition it leads that has nothing buffered; none to a node from
    /// which something fetchable is buffered.
    pub fn wanted(
        &self,
        positions: &Positions,
        topic_id: impl Fn(&str) -> Option<TopicId>,
    ) -> Wanted {
        let mut wanted = Wanted::default();
        let busy = self.buffered_nodes(positions);
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
        self.pending.insert(node);
    }

    /// It will not be answered.
    pub fn failed(&mut self, node: NodeId) {
        self.pending.remove(&node);
    }

    /// It was answered: keeps what came, and returns the leaders that the broker named instead of itself (KIP-951).
    pub fn answered(
        &mut self,
        node: NodeId,
        asked: &[Asked],
        response: FetchResponse,
    ) -> Vec<(TopicIdPartition, LeaderIdAndEpoch)> {
        self.pending.remove(&node);
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
                self.completed.push_back(CompletedFetch {
                    partition: asked.partition.clone(),
                    topic_id: asked.topic_id,
                    answer,
                    initialized: false,
                    next_offset: asked.offset,
                    last_epoch: None,
                    batch: 0,
                    read: false,
                    consumed: false,
                });
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
        let mut left = u32::try_from(config.max_poll_records).unwrap_or(0);
        let mut paused = Vec::new();
        while left > 0 {
            let Some(mut fetch) = self.next_in_line.take() else {
                match self.initialize_front(positions, policy, &mut out) {
                    Front::Nothing => break,
                    Front::Error => break,
                    Front::Dropped => continue,
                    Front::Ready(fetch) => self.next_in_line = Some(fetch),
                }
                continue;
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
        match front.initialize(positions, policy, out) {
            Ok(true) => Front::Ready(front),
            Ok(false) => Front::Dropped,
            Err(error) => {
                if !out.is_empty() {
                    self.completed.push_front(front);
                }
                out.error = Some(error);
                Front::Error
            }
        }
    }

    fn is_buffered(&self, partition: &TopicPartition) -> bool {
        self.completed
            .iter()
            .chain(&self.next_in_line)
            .any(|f| f.partition == *partition)
    }

    fn buffered_nodes(&self, positions: &Positions) -> BTreeSet<NodeId> {
        let node = |f: &CompletedFetch| leader(&positions.get(&f.partition)?.fetchable()?);
        self.completed
            .iter()
            .chain(&self.next_in_line)
            .filter_map(node)
            .collect()
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

impl CompletedFetch {
    /// Whether it is wanted still. An error is dealt with here, not when it arrived.
    fn initialize(
        &mut self,
        positions: &mut Positions,
        policy: Option<ResetTo>,
        out: &mut Collected,
    ) -> Result<bool, ConsumerError> {
        let Some(assigned) = positions.get_mut(&self.partition) else {
            return Ok(false);
        };
        let Some(position) = assigned.valid_position() else {
            return Ok(false);
        };
        let error = self.answer.error_code;
        if error.is_none() {
            if position.offset != self.next_offset {
                return Ok(false);
            }
            assigned.high_watermark = self.answer.high_watermark;
            assigned.last_stable_offset = self.answer.last_stable_offset;
            self.initialized = true;
            return Ok(true);
        }
        let verdict = match error {
            // C-9. An answer to another position says nothing about this one.
            ErrorCode::OffsetOutOfRange if position.offset != self.next_offset => Ok(false),
            ErrorCode::OffsetOutOfRange => match policy {
                Some(to) => {
                    assigned.reset(to);
                    out.out_of_range.push((self.id(), position.offset));
                    Ok(false)
                }
                None => Err(ConsumerError::OffsetOutOfRange(
                    self.partition.clone(),
                    position.offset,
                )),
            },
            // C-11: asked again at once, while metadata is on its way.
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::KafkaStorageError
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId => {
                out.wants_metadata = true;
                Ok(false)
            }
            // The broker's metadata is older than the client's: only the broker can mend that.
            ErrorCode::UnknownLeaderEpoch | ErrorCode::UnknownServerError => Ok(false),
            ErrorCode::CorruptMessage => Err(ConsumerError::CorruptRecord(
                self.partition.clone(),
                self.next_offset,
            )),
            other => Err(ConsumerError::Unexpected(self.partition.clone(), other)),
        };
        positions.move_to_end(&self.partition);
        verdict
    }

    /// Up to `max` records from the position on; the position moves behind them, and over what no application sees.
    fn take(
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
        let mut slices = Vec::new();
        let mut left = max;
        while left > 0 {
            let Some(batch) = self.answer.records.get(self.batch as usize) else {
                self.consumed = true;
                break;
            };
            if check_crcs && !batch.data.is_intact() {
                if self.next_offset > from {
                    break;
                }
                return Err(ConsumerError::CorruptRecord(
                    self.partition.clone(),
                    self.next_offset,
                ));
            }
            self.last_epoch = Some(batch.leader_epoch);
            let count = application_records(batch);
            let first = u32::try_from(self.next_offset.0 - batch.base_offset.0)
                .unwrap_or(0)
                .min(count);
            let taken = left.min(count - first);
            if taken > 0 {
                slices.push(Slice {
                    batch: batch.clone(),
                    from: first,
                    to: first + taken,
                });
                self.next_offset = batch.base_offset.plus(i64::from(first + taken));
                self.read = true;
                left -= taken;
            }
            if first + taken == count {
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

/// Control records are not for applications: the position moves over them.
fn application_records(batch: &RecordBatch) -> u32 {
    match &batch.data.payload {
        Payload::Records { ids, .. } => {
            u32::try_from(ids.len()).expect("a batch holds fewer than 2^31 records")
        }
        Payload::Control(_) | Payload::Metadata(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::positions::FetchState;
    use super::*;
    use crate::client::metadata::LeaderAndEpoch;
    use crate::log::batch::{BatchData, ControlRecord, PlainRecord};
    use crate::time::Timestamp;
    use std::sync::Arc;

    const TOPIC: TopicId = TopicId(7);
    const NODE: NodeId = NodeId(1);
    const EPOCH: LeaderEpoch = LeaderEpoch(3);

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: "orders".into(),
            partition,
        }
    }

    /// `count` partitions led by `NODE`, each at offset 0.
    fn positions(count: i32) -> Positions {
        let mut positions = Positions::default();
        positions.assign(&(0..count).map(partition).collect::<Vec<_>>());
        for assigned in positions.iter_mut() {
            assigned.seek(at(0));
        }
        positions
    }

    fn at(offset: i64) -> FetchPosition {
        FetchPosition {
            offset: Offset(offset),
            offset_epoch: None,
            leader: Some(LeaderAndEpoch {
                leader: Some(NODE),
                epoch: EPOCH,
            }),
        }
    }

    /// Records numbered by their offsets.
    fn batch(base: i64, count: u32) -> RecordBatch {
        let record = |i| PlainRecord {
            id: RecordId {
                source: 0,
                number: base as u32 + i,
            },
            timestamp: Timestamp(0),
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let records: Vec<_> = (0..count).map(record).collect();
        RecordBatch {
            base_offset: Offset(base),
            leader_epoch: EPOCH,
            data: Arc::new(BatchData::of_records(&records, None)),
        }
    }

    fn control(base: i64) -> RecordBatch {
        let leader = ControlRecord::LeaderChange {
            leader: NODE,
            voters: Vec::new(),
        };
        RecordBatch {
            base_offset: Offset(base),
            leader_epoch: EPOCH,
            data: Arc::new(BatchData::of_control(leader, Timestamp(0))),
        }
    }

    fn answer(
        partition: i32,
        error_code: ErrorCode,
        records: Vec<RecordBatch>,
    ) -> FetchPartitionResponse {
        FetchPartitionResponse {
            partition,
            error_code,
            high_watermark: Some(Offset(100)),
            last_stable_offset: Some(Offset(100)),
            log_start_offset: Offset(0),
            diverging_epoch: None,
            current_leader: None,
            records,
        }
    }

    /// Asks for all that is wanted and gives these answers.
    fn fetched(fetcher: &mut Fetcher, positions: &Positions, answers: Vec<FetchPartitionResponse>) {
        let wanted = fetcher.wanted(positions, |_| Some(TOPIC));
        let (node, asked) = wanted.by_node.first().expect("something is wanted");
        fetcher.sent(*node);
        let topics = vec![crate::protocol::fetch::FetchTopicResponse {
            topic_id: TOPIC,
            partitions: answers,
        }];
        let response = FetchResponse {
            error_code: ErrorCode::None,
            topics,
            node_endpoints: Vec::new(),
        };
        fetcher.answered(*node, asked, response);
    }

    fn good(partition: i32, records: Vec<RecordBatch>) -> FetchPartitionResponse {
        answer(partition, ErrorCode::None, records)
    }

    fn poll(fetcher: &mut Fetcher, positions: &mut Positions, max: i32) -> Collected {
        let config = ConsumerConfig {
            max_poll_records: max,
            ..ConsumerConfig::default()
        };
        fetcher.collect(positions, &config, Some(ResetTo::Earliest))
    }

    fn offsets(collected: &Collected) -> Vec<i64> {
        let all = collected.records.iter().flat_map(PartitionRecords::records);
        all.map(|(offset, ..)| offset.0).collect()
    }

    fn position(positions: &Positions, p: i32) -> i64 {
        let assigned = positions.get(&partition(p)).expect("it is assigned");
        assigned.position().expect("it has a position").offset.0
    }

    #[test]
    fn the_position_moves_when_poll_returns_the_records() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(
            &mut fetcher,
            &positions,
            vec![good(0, vec![batch(0, 3), batch(3, 2)])],
        );
        assert_eq!(position(&positions, 0), 0);
        assert_eq!(
            offsets(&poll(&mut fetcher, &mut positions, 500)),
            [0, 1, 2, 3, 4]
        );
        assert_eq!(position(&positions, 0), 5);
    }

    #[test]
    fn a_poll_returns_at_most_max_poll_records_and_the_next_goes_on_there() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 5)])]);
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 3)), [0, 1, 2]);
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 3)), [3, 4]);
    }

    #[test]
    fn what_is_returned_can_be_decoded() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(
            &mut fetcher,
            &positions,
            vec![good(0, vec![batch(0, 4), batch(4, 2)])],
        );
        poll(&mut fetcher, &mut positions, 3);
        let second = poll(&mut fetcher, &mut positions, 3);
        let decoded = second.records.iter().flat_map(PartitionRecords::decoded);
        let offsets: Vec<_> = decoded.map(|r| r.expect("it is whole").offset.0).collect();
        assert_eq!(offsets, [3, 4, 5]);
    }

    #[test]
    fn records_before_the_position_are_not_returned() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        positions.iter_mut().for_each(|a| a.seek(at(2)));
        fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 4)])]);
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [2, 3]);
    }

    #[test]
    fn a_node_is_asked_once_at_a_time_and_not_while_something_of_it_is_buffered() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
        let wanted = |f: &Fetcher, p: &Positions| f.wanted(p, |_| Some(TOPIC)).by_node.len();
        assert_eq!(wanted(&fetcher, &positions), 1);
        fetcher.sent(NODE);
        assert_eq!(wanted(&fetcher, &positions), 0);
        fetcher.failed(NODE);
        fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
        assert_eq!(wanted(&fetcher, &positions), 0);
        poll(&mut fetcher, &mut positions, 500);
        assert_eq!(wanted(&fetcher, &positions), 1);
    }

    #[test]
    fn after_a_seek_what_was_buffered_is_dropped() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
        positions.iter_mut().for_each(|a| a.seek(at(40)));
        assert!(poll(&mut fetcher, &mut positions, 500).is_empty());
        assert_eq!(position(&positions, 0), 40);
    }

    #[test]
    fn a_paused_partition_keeps_what_is_buffered_until_it_is_resumed() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(&mut fetcher, &positions, vec![good(0, vec![batch(0, 2)])]);
        positions.iter_mut().for_each(|a| a.paused = true);
        assert!(poll(&mut fetcher, &mut positions, 500).is_empty());
        positions.iter_mut().for_each(|a| a.paused = false);
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [0, 1]);
    }

    #[test]
    fn the_position_moves_over_control_records_which_nobody_sees() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        fetched(
            &mut fetcher,
            &positions,
            vec![good(0, vec![control(0), batch(1, 1), control(2)])],
        );
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [1]);
        assert_eq!(position(&positions, 0), 3);
    }

    #[test]
    fn a_partition_is_drained_before_the_next_and_then_goes_to_the_end() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
        let answers = vec![good(0, vec![batch(0, 2)]), good(1, vec![batch(0, 2)])];
        fetched(&mut fetcher, &positions, answers);
        let first = poll(&mut fetcher, &mut positions, 3);
        let parts: Vec<_> = first
            .records
            .iter()
            .map(|r| r.partition.partition)
            .collect();
        assert_eq!(parts, [0, 1]);
        let order: Vec<_> = positions.iter().map(|a| a.partition.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn out_of_range_resets_by_the_policy_and_without_one_is_thrown() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        let lost = || vec![answer(0, ErrorCode::OffsetOutOfRange, Vec::new())];
        fetched(&mut fetcher, &positions, lost());
        let none = fetcher.collect(&mut positions, &ConsumerConfig::default(), None);
        assert_eq!(
            none.error,
            Some(ConsumerError::OffsetOutOfRange(partition(0), Offset(0)))
        );
        fetched(&mut fetcher, &positions, lost());
        let reset = poll(&mut fetcher, &mut positions, 500);
        assert_eq!((reset.error, reset.out_of_range.len()), (None, 1));
        let state = positions.iter().next().expect("assigned").state;
        assert!(matches!(
            state,
            FetchState::AwaitReset {
                to: ResetTo::Earliest,
                retry: None
            }
        ));
    }

    #[test]
    fn an_error_behind_records_is_thrown_by_the_next_poll() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(2));
        let answers = vec![
            good(0, vec![batch(0, 1)]),
            answer(1, ErrorCode::CorruptMessage, Vec::new()),
        ];
        fetched(&mut fetcher, &positions, answers);
        let first = poll(&mut fetcher, &mut positions, 500);
        assert_eq!((offsets(&first), first.error), (vec![0], None));
        let error = Some(ConsumerError::CorruptRecord(partition(1), Offset(0)));
        assert_eq!(poll(&mut fetcher, &mut positions, 500).error, error);
    }

    #[test]
    fn a_batch_whose_checksum_does_not_fit_stops_the_reader_until_it_seeks_past_it() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        let mut bad = batch(1, 1);
        Arc::make_mut(&mut bad.data).crc ^= 1;
        fetched(
            &mut fetcher,
            &positions,
            vec![good(0, vec![batch(0, 1), bad, batch(2, 1)])],
        );
        assert_eq!(offsets(&poll(&mut fetcher, &mut positions, 500)), [0]);
        let corrupt = Some(ConsumerError::CorruptRecord(partition(0), Offset(1)));
        assert_eq!(poll(&mut fetcher, &mut positions, 500).error, corrupt);
        assert_eq!(poll(&mut fetcher, &mut positions, 500).error, corrupt);
        positions.iter_mut().for_each(|a| a.seek(at(2)));
        assert_eq!(poll(&mut fetcher, &mut positions, 500).error, None);
    }

    #[test]
    fn a_leader_named_instead_is_reported_and_metadata_is_wanted() {
        let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
        let wanted = fetcher.wanted(&positions, |_| Some(TOPIC));
        let (node, asked) = &wanted.by_node[0];
        let hint = LeaderIdAndEpoch {
            leader_id: NodeId(2),
            leader_epoch: EPOCH.next(),
        };
        let moved = FetchPartitionResponse {
            current_leader: Some(hint),
            ..answer(0, ErrorCode::NotLeaderOrFollower, Vec::new())
        };
        let id = TopicIdPartition {
            topic: TOPIC,
            partition: 0,
        };
        let response = FetchResponse {
            error_code: ErrorCode::None,
            topics: vec![crate::protocol::fetch::FetchTopicResponse {
                topic_id: TOPIC,
                partitions: vec![moved],
            }],
            node_endpoints: Vec::new(),
        };
        assert_eq!(fetcher.answered(*node, asked, response), [(id, hint)]);
        assert!(poll(&mut fetcher, &mut positions, 500).wants_metadata);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_batches_and_the_polls_every_record_comes_once_and_in_order(
            sizes in proptest::collection::vec(0u32..5, 1..20),
            max in 1i32..7,
            start in 0i64..10,
        ) {
            let mut log = Vec::new();
            let mut end = 0;
            for size in sizes {
                log.push(if size == 0 { control(end) } else { batch(end, size) });
                end += i64::from(size.max(1));
            }
            let expected: Vec<i64> = log
                .iter()
                .flat_map(|b| (b.base_offset.0..).take(b.data.ids().len()))
                .filter(|offset| *offset >= start)
                .collect();
            let (mut fetcher, mut positions) = (Fetcher::default(), positions(1));
            positions.iter_mut().for_each(|a| a.seek(at(start.min(end))));
            let mut seen = Vec::new();
            while position(&positions, 0) < end {
                if !fetcher.wanted(&positions, |_| Some(TOPIC)).by_node.is_empty() {
                    let from = Offset(position(&positions, 0));
                    let two = log.iter().filter(|b| b.end_offset() > from).take(2);
                    fetched(&mut fetcher, &positions, vec![good(0, two.cloned().collect())]);
                }
                seen.extend(offsets(&poll(&mut fetcher, &mut positions, max)));
            }
            proptest::prop_assert_eq!(seen, expected);
        }
    }
}
