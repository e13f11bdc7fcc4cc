//! Where records wait to be sent: Kafka's RecordAccumulator with its BufferPool.
//!
//! It keeps: one queue of batches per partition; records of a partition leave in the order in which they were appended,
//! retries before new ones; no more memory is given out than `buffer.memory` (P-6); a batch leaves when it is full, has
//! lingered, or somebody presses (P-7); with one ready partition all others of the same node may leave too (P-8).
//!
//! Left out: several threads waiting for memory: the one that waits is the first in line.

use super::SendId;
use super::batch::{BatchId, Batches, ProducerBatch, TopicIndex, TopicPartition, size_upper_bound};
use super::config::Settings;
use super::idempotence::{Idempotence, Renumbered};
use super::partitioner::{QueueLengths, RoundRobin, Sticky};
use super::ratio::Ratio;
use crate::client::backoff::Backoff;
use crate::client::metadata::{ClientMetadata, TopicMetadata};
use crate::ids::{NodeId, TopicId, TopicIdPartition};
use crate::log::batch::{BatchData, PlainRecord};
use crate::log::codec::{Codec, Compression};
use crate::sorted::Sorted;
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
    compression: Compression,
    delivery_timeout: Duration,
    retry_backoff: Backoff,
    topics: Vec<Topic>,
    by_name: BTreeMap<Arc<str>, TopicIndex>,
    /// The topic last written to is the next one's likeliest.
    last_topic: u32,
    batches: Batches,
    /// How many of them are parts of larger ones, and so older than their numbers say (P-12).
    parts: u32,
    /// Partitions with a batch in their queue, in order.
    queued: Vec<TopicPartition>,
    /// Where the last drain of a node ended.
    drained_last: Sorted<NodeId, TopicPartition>,
    /// Bytes of `buffer.memory` not given out.
    free_memory: u64,
    /// What waits is sent without lingering: batches before this one (flush).
    flushing: Option<BatchId>,
    closed: bool,
    /// A retry goes back to where its age says (librdkafka), not to the front.
    by_age: bool,
    /// How many records a batch holds.
    records_max: i32,
    /// Partitions for which less waits are favoured (P-5).
    adaptive: bool,
    /// How long a leader may take nothing before its partitions are left out; none is for ever.
    availability_timeout: Option<Duration>,
    /// When there was something for a node, and when it last could take it.
    latencies: Sorted<NodeId, Latency>,
}

/// Kafka's NodeLatencyStats.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    ready: Time,
    drained: Time,
}

#[derive(Clone, Debug, Serialize)]
struct Topic {
    name: Arc<str>,
    /// The id under which it was last seen.
    id: TopicId,
    sticky: Sticky,
    turns: RoundRobin,
    /// How well its records have compressed so far.
    ratio: Ratio,
    queues: Vec<Queue>,
    /// To how many partitions something was appended.
    used: u32,
}

/// What waits for one partition, in the order in which it leaves.
#[derive(Clone, Debug, Default, Serialize)]
struct Queue {
    batches: VecDeque<BatchId>,
    /// The partition may have one batch in flight, and has it (P-15).
    muted: bool,
    /// Something was appended to it once.
    used: bool,
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
            compression: settings.compression,
            delivery_timeout: settings.delivery_timeout,
            retry_backoff: settings.retry_backoff,
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            last_topic: 0,
            batches: Batches::default(),
            parts: 0,
            queued: Vec::new(),
            drained_last: Sorted::default(),
            free_memory: settings.buffer_memory,
            flushing: None,
            closed: false,
            by_age: settings.queue.is_some(),
            records_max: settings.queue.map_or(i32::MAX, |q| q.batch_messages),
            adaptive: settings.adaptive,
            availability_timeout: settings.availability_timeout,
            latencies: Sorted::default(),
        }
    }

    /// A topic's place in the list, with its newest id.
    pub fn topic(&mut self, name: &Arc<str>, id: TopicId) -> TopicIndex {
        let last = self.topics.get(self.last_topic as usize);
        if last.is_none_or(|last| !Arc::ptr_eq(&last.name, name)) {
            self.last_topic = self.find_topic(name, id).0;
        }
        let topic = TopicIndex(self.last_topic);
        self.seen(topic, id);
        topic
    }

    /// A topic was seen under this id.
    pub fn seen(&mut self, topic: TopicIndex, id: TopicId) {
        self.last_topic = topic.0;
        self.topics[topic.0 as usize].id = id;
    }

    fn find_topic(&mut self, name: &Arc<str>, id: TopicId) -> TopicIndex {
        let next = TopicIndex(u32::try_from(self.topics.len()).expect("below 2^32 topics"));
        let index = *self.by_name.entry(name.clone()).or_insert(next);
        if index == next {
            self.topics.push(Topic {
                name: name.clone(),
                id,
                sticky: Sticky::default(),
                turns: RoundRobin::default(),
                ratio: Ratio::ONE,
                queues: Vec::new(),
                used: 0,
            });
        }
        index
    }

    /// A topic's name.
    pub fn name(&self, topic: TopicIndex) -> &Arc<str> {
        &self.topics[topic.0 as usize].name
    }

    /// The partitions of all batches that are not over, in the order of the topics' first records.
    pub fn open_partitions(&self) -> Vec<(&Arc<str>, i32)> {
        let open = self.batches.iter().filter(|(_, b)| !b.done);
        let mut partitions: Vec<TopicPartition> = open.map(|(_, b)| b.partition).collect();
        partitions.sort();
        partitions.dedup();
        let named = partitions.into_iter();
        named
            .map(|at| (self.name(at.topic), at.partition))
            .collect()
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

    /// Whether the sticky partition must be left before this record is appended (P-4): its last batch has no room for it and
    /// takes no more, and with that a switch is due that the batch held up. As in Kafka memory for a new batch comes first.
    pub fn is_switch_due(&mut self, at: TopicPartition, record: &PlainRecord) -> bool {
        let sticky = &self.topics[at.topic.0 as usize].sticky;
        if !sticky.is_spent(self.batch_size, true) {
            return false;
        }
        let bytes = self.batch_size.max(size_upper_bound(record));
        let last = self.queue(at).and_then(VecDeque::back).copied();
        let has_memory = self.has_memory(bytes);
        last.is_some_and(|last| has_memory && self.batches.get_mut(last).closes_for(record))
    }

    /// Draws the next sticky partition of a topic.
    pub fn choose_sticky(&mut self, topic: TopicIndex, metadata: &ClientMetadata, drawn: u64) {
        let sticky = &mut self.topics[topic.0 as usize].sticky;
        if !sticky.choose_by_load(drawn) {
            let (available, count) = self.available(topic, metadata);
            let sticky = &mut self.topics[topic.0 as usize].sticky;
            sticky.choose(&available, count, drawn);
        }
    }

    /// The next partition in turn.
    pub fn next_in_turn(&mut self, topic: TopicIndex, metadata: &ClientMetadata) -> i32 {
        let (available, count) = self.available(topic, metadata);
        self.topics[topic.0 as usize].turns.next(&available, count)
    }

    /// A topic's partitions with a leader, and how many there are with those without.
    fn available(
        &self,
        topic: TopicIndex,
        metadata: &ClientMetadata,
    ) -> (SmallVec<[i32; 16]>, u32) {
        let known = metadata.topic(self.name(topic));
        let partitions = known.map_or(&[][..], |t| &t.partitions);
        let numbered = (0..).zip(partitions);
        let led = numbered.filter(|(_, p)| metadata.reachable(p).is_some());
        let count = u32::try_from(partitions.len()).expect("partitions are numbered by i32");
        (led.map(|(i, _)| i).collect(), count)
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
        self.note_use(at);
        if let Some(appended) = self.append_to_last(at, send, record, now) {
            return Ok(appended);
        }
        let bytes = self.batch_size.max(size_upper_bound(record));
        if bytes > self.free_memory {
            return Err(OutOfMemory { bytes });
        }
        self.free_memory -= bytes;
        let ratio = self.topics[at.topic.0 as usize].ratio;
        let mut batch = ProducerBatch::new(at, bytes, self.compression, ratio, now);
        let taken = batch.append(send, record, now);
        assert!(taken, "the first record is always taken");
        if self.records_max <= 1 {
            batch.close_for_appends();
        }
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
        if !batch.append(send, record, now) {
            return None;
        }
        if batch.count() >= self.records_max {
            batch.close_for_appends();
        }
        Some(Appended {
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

    /// Sees how much waits for which partition (P-5). As in Kafka nothing is weighed before each partition has had
    /// something, and a partition for which nothing waits is not left out.
    pub fn weigh(&mut self, metadata: &ClientMetadata) {
        if !self.adaptive {
            return;
        }
        for (index, topic) in (0..).map(TopicIndex).zip(&mut self.topics) {
            let known = metadata.topic(&topic.name);
            let partitions = known.map_or(&[][..], |t| &t.partitions);
            let from = self.queued.partition_point(|at| at.topic < index);
            let is_idle = self.queued.get(from).is_none_or(|at| at.topic != index);
            if is_idle || partitions.len() < 2 || (topic.used as usize) < partitions.len() {
                topic.sticky.weigh(None);
                continue;
            }
            let mut queues = QueueLengths::of(topic.used);
            for ((number, queue), partition) in (0..).zip(&topic.queues).zip(partitions) {
                let Some(leader) = metadata.reachable(partition).filter(|_| queue.used) else {
                    continue;
                };
                queues.add(number, queue.batches.len() as u64);
                let slow = self.availability_timeout.is_some_and(|timeout| {
                    let latency = self.latencies.get(&leader);
                    latency.is_some_and(|l| l.ready.since(l.drained) > timeout)
                });
                if slow && !queue.batches.is_empty() {
                    queues.leave_out_last();
                }
            }
            topic.sticky.weigh(Some(queues));
        }
    }

    /// There was something for this node, and it could or could not take it (P-5).
    pub fn note_latency(&mut self, node: NodeId, now: Time, taken: bool) {
        if self.availability_timeout.is_none() {
            return;
        }
        let before = self.latencies.get(&node).filter(|_| !taken);
        let latency = Latency {
            ready: now,
            drained: before.map_or(now, |l| l.drained),
        };
        self.latencies.insert(node, latency);
    }

    fn note_use(&mut self, at: TopicPartition) {
        let queue = self.queue_mut(at);
        if !std::mem::replace(&mut queue.used, true) {
            self.topics[at.topic.0 as usize].used += 1;
        }
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
            let is_first_time = !batch.is_encoded();
            let data = batch.drain();
            size += u64::from(data.size);
            if self.compression.codec != Codec::None && is_first_time {
                let topic = &mut self.topics[at.topic.0 as usize];
                topic.ratio = topic.ratio.after(batch.ratio());
            }
            drained.push(Drained {
                batch: id,
                partition: at,
                data,
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
        self.insert(id);
    }

    /// Into its queue: in the order of sequence numbers if it has them, else in front.
    fn insert(&mut self, id: BatchId) {
        let batch = self.batches.get(id);
        let (at, stamp) = (batch.partition, batch.stamp());
        let older = |other: &&BatchId| self.by_age && **other < id;
        let by_age = self
            .queue(at)
            .map_or(0, |q| q.iter().take_while(older).count());
        let position = stamp.map_or(by_age, |stamp| {
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
        let is_old = |b: &ProducerBatch| b.has_expired(self.delivery_timeout, now);
        let aged = self.batches.iter();
        let aged = aged.take_while(|(_, b)| self.parts > 0 || is_old(b));
        let open = aged.filter(|(_, b)| b.in_flight && !b.done && is_old(b));
        open.map(|(id, _)| id).collect()
    }

    /// Whether a batch's delivery timeout has passed.
    pub fn has_expired(&self, id: BatchId, now: Time) -> bool {
        self.batches.get(id).has_expired(self.delivery_timeout, now)
    }

    /// Whether any batch is so old that it may have expired: mostly none is.
    pub fn has_old(&self, now: Time) -> bool {
        let oldest = self.batches.iter().next();
        self.parts > 0 || oldest.is_some_and(|(_, b)| b.has_expired(self.delivery_timeout, now))
    }

    /// When the next batch expires, of those that can: what waits behind a younger one, which was put back before it, expires
    /// with that one's time (RecordAccumulator.maybeUpdateNextBatchExpiryTime is told of heads of queues and of what is in flight).
    pub fn next_expiry(&self) -> Option<Time> {
        let heads = self.queued.iter().filter_map(|at| self.queue(*at)?.front());
        let head = heads.map(|id| self.batches.get(*id).created).min();
        let aged = self.batches.iter().map(|(_, b)| b);
        // Ids follow the times of creation, but for parts of a batch.
        let mut older = aged.take_while(|b| self.parts > 0 || head.is_none_or(|h| b.created < h));
        let is_open = |b: &&ProducerBatch| b.in_flight && !b.done;
        let in_flight = match self.parts {
            0 => older.find(is_open).map(|b| b.created),
            _ => older.filter(is_open).map(|b| b.created).min(),
        };
        let oldest = head.into_iter().chain(in_flight).min();
        oldest.map(|created| created + self.delivery_timeout)
    }

    /// The batch is over; what it held of the memory is free again.
    ///
    /// # Panics
    /// If it is in flight: its bytes may still be read.
    pub fn release(&mut self, id: BatchId) -> Box<ProducerBatch> {
        let batch = self.batches.remove(id);
        assert!(batch.done && !batch.in_flight, "nobody needs it any more");
        self.free_memory += batch.memory;
        self.parts -= u32::from(batch.split_from.is_some());
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
        let mut open = self
            .batches
            .iter()
            .take_while(|(id, _)| self.parts > 0 || *id < limit);
        open.any(|(id, b)| !b.done && b.split_from.unwrap_or(id) < limit)
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

mod split;
#[cfg(test)]
mod tests;
