//! Where records wait to be sent: Kafka's RecordAccumulator with its BufferPool.
//!
//! It keeps: one queue of batches per partition; records of a partition leave in the order in which they were appended,
//! retries before new ones; no more memory is given out than `buffer.memory` (P-6); a batch leaves when it is full, has
//! lingered, or somebody presses (P-7); with one ready partition all others of the same node may leave too (P-8).
//!
//! Left out: adaptive partitioning's queue statistics, node latencies, splitting, several threads waiting for memory.

use super::SendId;
use super::batch::{BatchId, Batches, ProducerBatch, TopicIndex, TopicPartition, size_upper_bound};
use super::config::Settings;
use super::idempotence::{Idempotence, Renumbered};
use super::partitioner::Sticky;
use crate::client::backoff::Backoff;
use crate::client::metadata::{ClientMetadata, TopicMetadata};
use crate::ids::{NodeId, TopicId, TopicIdPartition};
use crate::log::batch::{BatchData, PlainRecord};
use crate::time::{Duration, Time};
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The waiting batches of a producer, and those in flight.
#[derive(Clone, Debug, Serialize)]
pub struct Accumulator {
    batch_size: u64,
    linger: Duration,
    delivery_timeout: Duration,
    retry_backoff: Backoff,
    topics: Vec<Topic>,
    by_name: BTreeMap<Arc<str>, TopicIndex>,
    /// The topic last written to is the next one's likeliest.
    last_topic: u32,
    batches: Batches,
    /// Partitions with a batch in their queue, in order.
    queued: Vec<TopicPartition>,
    /// Where the last drain of a node ended.
    drained_last: BTreeMap<NodeId, TopicPartition>,
    /// Bytes of `buffer.memory` not given out.
    free_memory: u64,
    /// What waits is sent without lingering: batches before this one (flush).
    flushing: Option<BatchId>,
    closed: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Topic {
    name: Arc<str>,
    /// The id under which it was last seen.
    id: TopicId,
    sticky: Sticky,
    queues: Vec<Queue>,
}

/// What waits for one partition, in the order in which it leaves.
#[derive(Clone, Debug, Default, Serialize)]
struct Queue {
    batches: VecDeque<BatchId>,
    /// The partition may have one batch in flight, and has it (P-15).
    muted: bool,
}

/// A record was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// By how much the batches of the partition grew, a new batch's header included.
    pub bytes: u64,
    /// A batch of the partition takes no more records.
    pub full: bool,
    /// It was the first of a new batch.
    pub new_batch: bool,
}

/// There is not so much memory.
#[derive(Clone, PartialEq, Debug)]
pub struct OutOfMemory {
    /// What is needed.
    pub bytes: u64,
}

/// What `ready` found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ready {
    /// Nodes that lead a partition with something to send.
    pub nodes: SmallVec<[ReadyNode; 2]>,
    /// When something else may be ready.
    pub next_check: Option<Time>,
    /// Topics with something to send to a partition that nobody leads.
    pub unknown_leaders: Vec<TopicIndex>,
}

/// A node that can be sent something.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadyNode {
    /// Which.
    pub node: NodeId,
    /// All partitions with something queued that it leads, in order.
    pub partitions: SmallVec<[TopicPartition; 4]>,
    ready: bool,
}

/// A batch that leaves for the network.
#[derive(Clone, PartialEq, Debug)]
pub struct Drained {
    /// Which.
    pub batch: BatchId,
    /// Where it goes.
    pub partition: TopicPartition,
    /// Its bytes.
    pub data: Arc<BatchData>,
}

impl Accumulator {
    /// Nothing waits.
    pub fn new(settings: &Settings) -> Accumulator {
        Accumulator {
            batch_size: settings.batch_size,
            linger: settings.linger,
            delivery_timeout: settings.delivery_timeout,
            retry_backoff: settings.retry_backoff,
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            last_topic: 0,
            batches: Batches::default(),
            queued: Vec::new(),
            drained_last: BTreeMap::new(),
            free_memory: settings.buffer_memory,
            flushing: None,
            closed: false,
        }
    }

    /// A topic's place in the list, with its newest id.
    pub fn topic(&mut self, name: &Arc<str>, id: TopicId) -> TopicIndex {
        let last = self.topics.get(self.last_topic as usize);
        if last.is_none_or(|last| !Arc::ptr_eq(&last.name, name)) {
            self.last_topic = self.find_topic(name, id).0;
        }
        self.topics[self.last_topic as usize].id = id;
        TopicIndex(self.last_topic)
    }

    fn find_topic(&mut self, name: &Arc<str>, id: TopicId) -> TopicIndex {
        let next = TopicIndex(u32::try_from(self.topics.len()).expect("below 2^32 topics"));
        let index = *self.by_name.entry(name.clone()).or_insert(next);
        if index == next {
            self.topics.push(Topic {
                name: name.clone(),
                id,
                sticky: Sticky::default(),
                queues: Vec::new(),
            });
        }
        index
    }

    /// A topic's name.
    pub fn name(&self, topic: TopicIndex) -> &Arc<str> {
        &self.topics[topic.0 as usize].name
    }

    /// A partition by the id under which its topic was last seen.
    pub fn with_id(&self, at: TopicPartition) -> TopicIdPartition {
        TopicIdPartition {
            topic: self.topics[at.topic.0 as usize].id,
            partition: at.partition,
        }
    }

    /// The partition to which records without a key go now; `None` if the next one must be
    /// [drawn](Self::choose_sticky).
    pub fn sticky_partition(&self, topic: TopicIndex) -> Option<i32> {
        let sticky = &self.topics[topic.0 as usize].sticky;
        let partition = sticky.partition()?;
        let at = TopicPartition { topic, partition };
        // A switch that a half-full batch held up is made once that batch has left.
        let all_full = self.all_batches_full(at);
        (!(all_full && sticky.is_spent(self.batch_size, true))).then_some(partition)
    }

    /// Draws the next sticky partition of a topic.
    pub fn choose_sticky(&mut self, topic: TopicIndex, metadata: &ClientMetadata, drawn: u64) {
        let known = metadata.topic(self.name(topic));
        let partitions = known.map_or(&[][..], |t| &t.partitions);
        let numbered = (0..).zip(partitions);
        let led = numbered.filter(|(_, p)| metadata.reachable(p).is_some());
        let available: SmallVec<[i32; 16]> = led.map(|(i, _)| i).collect();
        let count = u32::try_from(partitions.len()).expect("partitions are numbered by i32");
        let sticky = &mut self.topics[topic.0 as usize].sticky;
        sticky.choose(&available, count, drawn);
    }

    /// Counts what a record without a key brought to its partition; whether the next one must be drawn (P-4).
    pub fn count_sticky(&mut self, at: TopicPartition, appended: Appended) -> bool {
        let all_full = self.all_batches_full(at);
        let sticky = &mut self.topics[at.topic.0 as usize].sticky;
        sticky.appended(appended.bytes);
        sticky.is_spent(self.batch_size, all_full)
    }

    fn all_batches_full(&self, at: TopicPartition) -> bool {
        let last = self.queue(at).and_then(VecDeque::back);
        last.is_none_or(|last| self.batches.get(*last).is_full())
    }

    /// Appends a record to the last batch of its partition, or to a new one (P-6).
    ///
    /// # Errors
    /// If a new batch is needed and there is no memory for it.
    pub fn append(
        &mut self,
        at: TopicPartition,
        send: SendId,
        record: &PlainRecord,
        now: Time,
    ) -> Result<Appended, OutOfMemory> {
        assert!(!self.closed, "a closed accumulator takes nothing");
        if let Some(appended) = self.append_to_last(at, send, record, now) {
            return Ok(appended);
        }
        let bytes = self.batch_size.max(size_upper_bound(record));
        if bytes > self.free_memory {
            return Err(OutOfMemory { bytes });
        }
        self.free_memory -= bytes;
        let mut batch = ProducerBatch::new(at, bytes, now);
        let taken = batch.append(send, record, now);
        assert!(taken, "the first record is always taken");
        let (size, full) = (batch.size(), batch.is_full());
        let id = self.batches.push(batch);
        self.enqueue(at, usize::MAX, id);
        Ok(Appended {
            bytes: size,
            full: full || self.queue(at).is_some_and(|q| q.len() > 1),
            new_batch: true,
        })
    }

    fn append_to_last(
        &mut self,
        at: TopicPartition,
        send: SendId,
        record: &PlainRecord,
        now: Time,
    ) -> Option<Appended> {
        let queue = self.queue(at)?;
        let (last, waiting) = (*queue.back()?, queue.len());
        let batch = self.batches.get_mut(last);
        let before = batch.size();
        batch.append(send, record, now).then(|| Appended {
            bytes: batch.size() - before,
            full: waiting > 1 || batch.is_full(),
            new_batch: false,
        })
    }

    /// Whether so much memory could be given out now.
    pub fn has_memory(&self, bytes: u64) -> bool {
        bytes <= self.free_memory
    }

    /// Which nodes can be sent something (P-7). `exhausted`: somebody waits for memory.
    pub fn ready(&mut self, metadata: &ClientMetadata, exhausted: bool, now: Time) -> Ready {
        let mut ready = Ready::default();
        let mut last: Option<(TopicIndex, Option<&TopicMetadata>)> = None;
        let pressed = exhausted || self.closed || self.is_flushing();
        for at in &self.queued {
            let topic = &self.topics[at.topic.0 as usize];
            let known = match last {
                Some((index, known)) if index == at.topic => known,
                _ => metadata.topic(&topic.name),
            };
            last = Some((at.topic, known));
            let queue = &topic.queues[at.partition as usize];
            let first = queue
                .batches
                .front()
                .expect("a queued partition has a batch");
            let batch = self.batches.get_mut(*first);
            let partition = known.and_then(|t| t.partitions.get(at.partition as usize));
            if let Some(partition) = partition {
                batch.note_leader_epoch(partition.epoch);
            }
            let Some(leader) = partition.and_then(|p| metadata.reachable(p)) else {
                ready.without_leader(at.topic);
                continue;
            };
            let node = ready.node(leader);
            node.partitions.push(*at);
            if node.ready || queue.muted {
                continue;
            }
            let lingered = batch.waiting_since() + self.linger;
            let full = queue.batches.len() > 1 || batch.is_full();
            match batch.backing_off_until(now) {
                Some(until) => ready.check_at(until),
                None if full || pressed || lingered <= now => node.ready = true,
                None => ready.check_at(lingered),
            }
        }
        ready.nodes.retain(|node| node.ready);
        ready
    }

    /// Takes what is sent to a node in one request (P-8): the first batch of each partition that it leads, beginning
    /// where the last drain ended, as long as they fit, whether they have lingered or not.
    pub fn drain(
        &mut self,
        ready: &ReadyNode,
        mut idempotence: Option<&mut Idempotence>,
        max_request_size: u64,
        now: Time,
    ) -> SmallVec<[Drained; 2]> {
        let turns = &ready.partitions;
        let last = self.drained_last.get(&ready.node);
        let from = last.map_or(0, |last| turns.partition_point(|at| at < last));
        let mut drained = SmallVec::new();
        let mut size = 0;
        for at in turns[from..].iter().chain(&turns[..from]).copied() {
            self.drained_last.insert(ready.node, at);
            let queue = self.queue_mut(at);
            if queue.muted {
                continue;
            }
            let id = *queue.batches.front().expect("it is queued");
            let batch = self.batches.get_mut(id);
            if batch.backing_off_until(now).is_some() {
                continue;
            }
            if size + batch.size() > max_request_size && !drained.is_empty() {
                break;
            }
            // As in Kafka, a partition that must wait holds up those that come after it in this turn.
            let stamp = batch.stamp();
            if idempotence.as_ref().is_some_and(|i| i.must_wait(at, stamp)) {
                break;
            }
            if let (Some(i), None) = (&mut idempotence, stamp) {
                batch.set_stamp(i.number(at, id, batch.count()));
            }
            size += batch.size();
            drained.push(Drained {
                batch: id,
                partition: at,
                data: batch.drain(),
            });
            self.unqueue(at, id);
        }
        drained
    }

    /// A batch that waits or is in flight.
    ///
    /// # Panics
    /// If it is neither.
    pub fn batch(&self, id: BatchId) -> &ProducerBatch {
        self.batches.get(id)
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// If it is neither.
    pub fn batch_mut(&mut self, id: BatchId) -> &mut ProducerBatch {
        self.batches.get_mut(id)
    }

    /// Puts a batch back for another attempt: in the order of sequence numbers if it has them, else in front (P-11).
    pub fn reenqueue(&mut self, id: BatchId, now: Time, drawn: u64) {
        let batch = self.batches.get_mut(id);
        let wait = self.retry_backoff.after(batch.attempts, drawn);
        batch.reenqueued(now, wait);
        let (at, stamp) = (batch.partition, batch.stamp());
        let position = stamp.map_or(0, |stamp| {
            let earlier = |other: &&BatchId| {
                let other = self.batches.get(**other).stamp();
                other.is_some_and(|o| o.base_sequence < stamp.base_sequence)
            };
            self.queue(at)
                .map_or(0, |queue| queue.iter().take_while(earlier).count())
        });
        self.enqueue(at, position, id);
    }

    /// Takes batches whose delivery timeout has passed out of their queues (P-10).
    pub fn take_expired(&mut self, now: Time) -> Vec<BatchId> {
        let mut expired = Vec::new();
        for at in self.queued.clone() {
            while let Some(first) = self.queue(at).and_then(VecDeque::front).copied() {
                if !self.has_expired(first, now) {
                    break;
                }
                self.unqueue(at, first);
                expired.push(first);
            }
        }
        expired
    }

    /// Batches in flight whose delivery timeout has passed and whose callbacks have not run (P-10).
    pub fn expired_in_flight(&self, now: Time) -> Vec<BatchId> {
        let aged = self.batches.iter();
        let expired = aged.take_while(|(_, b)| b.has_expired(self.delivery_timeout, now));
        let open = expired.filter(|(_, b)| b.in_flight && !b.done);
        open.map(|(id, _)| id).collect()
    }

    /// Whether a batch's delivery timeout has passed.
    pub fn has_expired(&self, id: BatchId, now: Time) -> bool {
        self.batches.get(id).has_expired(self.delivery_timeout, now)
    }

    /// When the next batch expires.
    pub fn next_expiry(&self) -> Option<Time> {
        let oldest = self.batches.iter().find(|(_, b)| !b.done);
        oldest.map(|(_, b)| b.created + self.delivery_timeout)
    }

    /// The batch is over; what it held of the memory is free again.
    ///
    /// # Panics
    /// If it is in flight: its bytes may still be read.
    pub fn release(&mut self, id: BatchId) -> Box<ProducerBatch> {
        let batch = self.batches.remove(id);
        assert!(batch.done && !batch.in_flight, "nobody needs it any more");
        self.free_memory += batch.memory;
        batch
    }

    /// Takes every batch that is not over out of the queues, the oldest first (abortBatches).
    pub fn take_incomplete(&mut self) -> Vec<BatchId> {
        for topic in &mut self.topics {
            topic.queues.iter_mut().for_each(|q| q.batches.clear());
        }
        self.queued.clear();
        let open = self.batches.iter().filter(|(_, b)| !b.done);
        open.map(|(id, _)| id).collect()
    }

    /// Gives batches other sequence numbers.
    pub fn renumber(&mut self, renumbered: &[Renumbered]) {
        for Renumbered { batch, stamp } in renumbered {
            self.batch_mut(*batch).reset_stamp(*stamp);
        }
    }

    /// One batch in flight is enough for this partition.
    pub fn mute(&mut self, at: TopicPartition) {
        self.queue_mut(at).muted = true;
    }

    /// The partition may have another batch in flight.
    pub fn unmute(&mut self, at: TopicPartition) {
        self.queue_mut(at).muted = false;
    }

    /// Sends what waits without lingering until all of it is over.
    pub fn begin_flush(&mut self) {
        self.flushing = Some(self.batches.next_id());
    }

    /// Whether batches from before the last flush are not over.
    pub fn is_flushing(&self) -> bool {
        let Some(limit) = self.flushing else {
            return false;
        };
        let mut before = self.batches.iter().take_while(|(id, _)| *id < limit);
        before.any(|(_, b)| !b.done)
    }

    /// Takes no more records and sends what waits without lingering.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether anything waits in a queue.
    pub fn has_undrained(&self) -> bool {
        !self.queued.is_empty()
    }

    fn enqueue(&mut self, at: TopicPartition, position: usize, id: BatchId) {
        let queue = &mut self.queue_mut(at).batches;
        queue.insert(position.min(queue.len()), id);
        if let Err(place) = self.queued.binary_search(&at) {
            self.queued.insert(place, at);
        }
    }

    fn unqueue(&mut self, at: TopicPartition, id: BatchId) {
        let queue = &mut self.queue_mut(at).batches;
        assert_eq!(queue.pop_front(), Some(id), "batches leave from the front");
        if !queue.is_empty() {
            return;
        }
        let place = self.queued.binary_search(&at);
        self.queued
            .remove(place.expect("a partition with a queue is listed"));
    }

    fn queue(&self, at: TopicPartition) -> Option<&VecDeque<BatchId>> {
        let index = usize::try_from(at.partition).expect("partitions count from 0");
        let queue = self.topics[at.topic.0 as usize].queues.get(index)?;
        Some(&queue.batches)
    }

    fn queue_mut(&mut self, at: TopicPartition) -> &mut Queue {
        let index = usize::try_from(at.partition).expect("partitions count from 0");
        let queues = &mut self.topics[at.topic.0 as usize].queues;
        if queues.len() <= index {
            queues.resize_with(index + 1, Queue::default);
        }
        &mut queues[index]
    }
}

impl Ready {
    fn check_at(&mut self, at: Time) {
        self.next_check = Some(self.next_check.map_or(at, |next| next.min(at)));
    }

    fn without_leader(&mut self, topic: TopicIndex) {
        if self.unknown_leaders.last() != Some(&topic) {
            self.unknown_leaders.push(topic);
        }
    }

    fn node(&mut self, node: NodeId) -> &mut ReadyNode {
        let known = self.nodes.iter().position(|n| n.node == node);
        let index = known.unwrap_or_else(|| {
            self.nodes.push(ReadyNode {
                node,
                partitions: SmallVec::new(),
                ready: false,
            });
            self.nodes.len() - 1
        });
        &mut self.nodes[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::metadata::MetadataSettings;
    use crate::config::{Configs, ProducerConfig};
    use crate::ids::{Address, LeaderEpoch, ProducerEpoch, ProducerId, RecordId};
    use crate::protocol::ErrorCode;
    use crate::protocol::metadata::*;
    use crate::time::Timestamp;
    use bytes::Bytes;

    const MIDDLE: u64 = 1 << 63;
    const LIMIT: u64 = 1 << 20;

    fn at(ms: u64) -> Time {
        Time(0) + Duration::millis(ms)
    }

    fn to(partition: i32) -> TopicPartition {
        TopicPartition {
            topic: TopicIndex(0),
            partition,
        }
    }

    fn accumulator(pairs: &[(&str, &str)]) -> Accumulator {
        let mut config = ProducerConfig::default();
        for (key, value) in pairs {
            config.set(key, value).expect("a row of the table");
        }
        let settings = Settings::of(&config).expect("they go together");
        let mut accumulator = Accumulator::new(&settings);
        accumulator.topic(&"orders".into(), TopicId(7));
        accumulator
    }

    /// Leader by partition, in this epoch.
    fn led_by(leaders: &[Option<i32>], epoch: i32) -> ClientMetadata {
        let endpoint = |id| NodeEndpoint {
            node_id: NodeId(id),
            address: Address(0),
            rack: None,
        };
        let partition = |(index, leader): (i32, &Option<i32>)| MetadataPartition {
            error_code: ErrorCode::None,
            partition_index: index,
            leader_id: leader.map(NodeId),
            leader_epoch: LeaderEpoch(epoch),
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        };
        let response = MetadataResponse {
            brokers: vec![endpoint(1), endpoint(2)],
            controller_id: None,
            topics: vec![MetadataTopic {
                error_code: ErrorCode::None,
                name: "orders".into(),
                topic_id: TopicId(7),
                partitions: (0..).zip(leaders).map(partition).collect(),
            }],
        };
        let mut metadata = ClientMetadata::new(MetadataSettings::default(), &[]);
        metadata.add(&"orders".into(), at(0));
        let (_, asked) = metadata.question(at(0));
        metadata.update(asked, &response, at(0), MIDDLE);
        metadata
    }

    fn append(a: &mut Accumulator, partition: i32, size: usize, ms: u64) -> Appended {
        let record = PlainRecord {
            id: RecordId {
                source: 0,
                number: 0,
            },
            timestamp: Timestamp(1_000 + ms as i64),
            key: None,
            value: Some(Bytes::from(vec![0; size])),
            headers: Vec::new(),
        };
        a.append(to(partition), SendId(0), &record, at(ms))
            .expect("memory")
    }

    fn ready(a: &mut Accumulator, metadata: &ClientMetadata, ms: u64) -> Vec<i32> {
        let ready = a.ready(metadata, false, at(ms));
        ready.nodes.iter().map(|n| n.node.0).collect()
    }

    /// Drains node 1 of all that it leads.
    fn drain(a: &mut Accumulator, metadata: &ClientMetadata, limit: u64, ms: u64) -> Vec<i32> {
        a.flushing = Some(BatchId(u64::MAX));
        let ready = a.ready(metadata, true, at(ms));
        a.flushing = None;
        let node = ready.nodes.iter().find(|n| n.node == NodeId(1));
        let drained = node.map_or(SmallVec::new(), |n| a.drain(n, None, limit, at(ms)));
        drained.iter().map(|d| d.partition.partition).collect()
    }

    fn put_back(a: &mut Accumulator, id: u64, ms: u64) {
        a.batch_mut(BatchId(id)).in_flight = false;
        a.reenqueue(BatchId(id), at(ms), MIDDLE);
    }

    /// How many records, the batch's size, whether it is full.
    type Filled = (i32, u64, bool);

    /// Made by the RecordAccumulator of Kafka 4.2.0: for each batch.size how the records fall into batches.
    /// Times are 1000, 1001, …; there are no keys.
    ///
    /// ```text
    /// java -cp 'lib/*' Batches.java   # lib as for the golden hashes; appends SIZES to one partition, prints getDeque
    /// ```
    const SIZES: [usize; 40] = [
        68, 190, 92, 158, 70, 58, 74, 182, 38, 36, 168, 186, 162, 0, 22, 122, 118, 188, 30, 176,
        46, 90, 96, 88, 34, 106, 10, 138, 32, 44, 28, 114, 64, 66, 128, 110, 134, 102, 80, 174,
    ];
    #[rustfmt::skip]
    const GOLDEN: [(&str, &[usize], &[Filled]); 4] = [
        ("1", &[10; 7], &[(2, 95, true), (2, 95, true), (2, 95, true), (1, 78, false)]),
        ("333", &SIZES, &[
            (1, 138, true), (1, 260, true), (2, 329, true), (3, 289, true), (2, 297, true), (2, 281, true),
            (1, 256, true), (3, 268, true), (2, 319, true), (2, 295, true), (2, 299, true), (2, 265, true),
            (4, 331, true), (4, 333, true), (3, 332, true), (2, 317, true), (2, 315, true), (2, 333, true),
        ]),
        ("1000", &SIZES, &[
            (7, 833, true), (8, 919, true), (8, 995, true), (11, 874, true), (6, 843, false),
        ]),
        ("16384", &SIZES, &[(40, 4220, false)]),
    ];

    #[test]
    fn records_fall_into_batches_as_in_kafkas_own_client() {
        for (batch_size, sizes, expected) in GOLDEN {
            let mut a = accumulator(&[("batch.size", batch_size)]);
            for (i, size) in (0..).zip(sizes) {
                append(&mut a, 0, *size, i);
            }
            let batches = a.batches.iter().map(|(_, b)| b);
            let batches: Vec<_> = batches
                .map(|b| (b.count(), b.size(), b.is_full()))
                .collect();
            assert_eq!(batches, expected, "batch.size={batch_size}");
        }
    }

    #[test]
    fn memory_is_given_out_by_the_batch_and_comes_back_when_it_is_over() {
        let mut a = accumulator(&[("batch.size", "200"), ("buffer.memory", "500")]);
        append(&mut a, 0, 300, 0);
        assert!(!a.has_memory(200), "the record is larger than a batch");
        assert!(a.has_memory(500 - 300 - 61 - 21 - 4));
        let id = a.take_incomplete()[0];
        a.batch_mut(id).done = true;
        a.release(id);
        assert!(a.has_memory(500));
    }

    #[test]
    fn a_batch_is_ready_once_it_has_lingered() {
        let mut a = accumulator(&[]);
        let metadata = led_by(&[Some(1)], 0);
        append(&mut a, 0, 10, 0);
        assert_eq!(a.ready(&metadata, false, at(4)).next_check, Some(at(5)));
        assert!(ready(&mut a, &metadata, 4).is_empty());
        assert_eq!(ready(&mut a, &metadata, 5), [1]);
    }

    #[test]
    fn a_batch_is_ready_at_once_when_it_is_full_or_somebody_presses() {
        let metadata = led_by(&[Some(1)], 0);
        let press: [fn(&mut Accumulator); 3] = [
            |a| {
                append(a, 0, 16_384, 0);
            },
            Accumulator::begin_flush,
            Accumulator::close,
        ];
        for press in press {
            let mut a = accumulator(&[]);
            append(&mut a, 0, 10, 0);
            press(&mut a);
            assert_eq!(ready(&mut a, &metadata, 0), [1]);
        }
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        assert_eq!(
            a.ready(&metadata, true, at(0)).nodes.len(),
            1,
            "memory is exhausted"
        );
    }

    #[test]
    fn a_partition_that_nobody_leads_is_not_ready_but_named() {
        let mut a = accumulator(&[]);
        append(&mut a, 1, 10, 0);
        let found = a.ready(&led_by(&[Some(1), None], 0), false, at(9));
        assert!(found.nodes.is_empty());
        assert!(found.unknown_leaders[..] == [TopicIndex(0)]);
    }

    #[test]
    fn a_retry_is_ready_after_its_back_off_or_once_the_leader_has_changed() {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        drain(&mut a, &led_by(&[Some(1)], 3), LIMIT, 5);
        put_back(&mut a, 0, 10);
        let unchanged = led_by(&[Some(1)], 3);
        assert!(ready(&mut a, &unchanged, 109).is_empty());
        assert_eq!(ready(&mut a, &unchanged, 110), [1]);
        assert_eq!(ready(&mut a, &led_by(&[Some(2)], 4), 15), [2]);
    }

    #[test]
    fn a_muted_partition_is_neither_ready_nor_drained() {
        let mut a = accumulator(&[]);
        let metadata = led_by(&[Some(1), Some(1)], 0);
        append(&mut a, 0, 10, 0);
        append(&mut a, 1, 10, 0);
        a.mute(to(0));
        assert_eq!(drain(&mut a, &metadata, LIMIT, 9), [1]);
        assert!(ready(&mut a, &metadata, 9).is_empty());
        a.unmute(to(0));
        assert_eq!(ready(&mut a, &metadata, 9), [1]);
    }

    #[test]
    fn a_drain_begins_where_the_last_one_ended_for_lack_of_room() {
        let mut a = accumulator(&[]);
        let metadata = led_by(&[Some(1); 3], 0);
        for partition in [0, 1, 2, 0] {
            append(&mut a, partition, 16_384, 0);
        }
        assert_eq!(drain(&mut a, &metadata, 40_000, 0), [0, 1]);
        assert_eq!(drain(&mut a, &metadata, 40_000, 0), [2, 0]);
    }

    #[test]
    fn a_batch_larger_than_a_request_may_be_goes_alone() {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 500, 0);
        append(&mut a, 1, 500, 0);
        let metadata = led_by(&[Some(1); 2], 0);
        assert_eq!(drain(&mut a, &metadata, 100, 0), [0]);
        assert_eq!(drain(&mut a, &metadata, 100, 0), [1]);
    }

    #[test]
    fn a_retry_without_sequence_numbers_goes_to_the_front() {
        let mut a = accumulator(&[("batch.size", "1")]);
        let metadata = led_by(&[Some(1)], 0);
        for _ in 0..3 {
            append(&mut a, 0, 50, 0);
        }
        drain(&mut a, &metadata, LIMIT, 0);
        drain(&mut a, &metadata, LIMIT, 0);
        put_back(&mut a, 0, 1);
        put_back(&mut a, 1, 2);
        assert_eq!(
            a.topics[0].queues[0].batches,
            [1, 0, 2].map(BatchId),
            "the order is lost"
        );
    }

    #[test]
    fn a_retry_with_sequence_numbers_goes_where_they_say() {
        let mut a = accumulator(&[("batch.size", "1")]);
        let metadata = led_by(&[Some(1)], 0);
        let mut i = Idempotence::default();
        i.obtained(ProducerId(4), ProducerEpoch(0));
        for _ in 0..3 {
            append(&mut a, 0, 50, 0);
        }
        for _ in 0..2 {
            let found = a.ready(&metadata, true, at(0));
            a.drain(&found.nodes[0], Some(&mut i), LIMIT, at(0));
        }
        put_back(&mut a, 0, 1);
        put_back(&mut a, 1, 2);
        assert_eq!(a.topics[0].queues[0].batches, [0, 1, 2].map(BatchId));
    }

    #[test]
    fn without_a_producer_id_nothing_is_drained() {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        let found = a.ready(&led_by(&[Some(1)], 0), true, at(0));
        let mut nobody = Idempotence::default();
        assert!(
            a.drain(&found.nodes[0], Some(&mut nobody), LIMIT, at(0))
                .is_empty()
        );
        assert!(a.has_undrained());
    }

    #[test]
    fn batches_expire_in_the_queue_and_in_flight_by_their_first_record() {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        drain(&mut a, &led_by(&[Some(1)], 0), LIMIT, 5);
        append(&mut a, 0, 10, 6);
        append(&mut a, 1, 10, 7);
        assert_eq!(a.next_expiry(), Some(at(120_000)));
        assert!(a.take_expired(at(120_005)).is_empty());
        assert_eq!(a.expired_in_flight(at(120_005)), [BatchId(0)]);
        assert_eq!(a.take_expired(at(120_006)), [BatchId(1)]);
        assert_eq!(a.take_expired(at(120_007)), [BatchId(2)]);
    }

    #[test]
    fn a_flush_is_over_when_all_batches_from_before_it_are() {
        let mut a = accumulator(&[]);
        append(&mut a, 0, 10, 0);
        a.begin_flush();
        drain(&mut a, &led_by(&[Some(1)], 0), LIMIT, 0);
        a.begin_flush();
        append(&mut a, 0, 10, 1);
        assert!(a.is_flushing());
        a.batch_mut(BatchId(0)).done = true;
        assert!(!a.is_flushing());
    }
}
