//! ROLE Producer: Kafka's KafkaProducer: `send`, callbacks, `flush`, `close`. Its sender thread is [`sender`], which works
//! at the end of those steps of its application that wake it.
//!
//! It keeps Kafka's order in `send` (P-2): metadata, then the partition, then the size, then memory. Where Kafka's `send`
//! blocks its caller's thread, this one says [`Sent::Full`]: being blocked is the application's state, and
//! `max.block.ms` is counted here. A record taken is told to its callback once, well or badly (P-10).
//!
//! Left out: transactions, partitioners of the application's own, interceptors, metrics, two threads that send at once. A `send` wakes the sender as in Kafka when a batch is new or full; the sender's turn comes after the
//! application's step ([`Producer::turn`]), so that what is sent in one step shares batches even with `linger.ms=0`.

pub mod accumulator;
pub mod batch;
pub mod config;
pub mod idempotence;
pub mod librdkafka;
mod local;
pub mod partitioner;
mod ratio;
mod sender;
#[cfg(test)]
mod tests;

use self::accumulator::{Accumulator, OutOfMemory};
use self::batch::{BatchId, TopicIndex, TopicPartition, size_upper_bound};
use self::config::{Placement, Settings};
use self::idempotence::{Idempotence, Identity};
use self::librdkafka::LocalQueue;
use super::network::NetworkClient;
use crate::config::ProducerConfig;
use crate::context::{Context, Purpose};
use crate::event::{ClientEvent, Event, SendFailure};
use crate::ids::{Address, ClientId, ConnId, Offset, RecordId, TopicIdPartition};
use crate::input::Input;
use crate::log::batch::PlainRecord;
use crate::log::record::Header;
use crate::protocol::ErrorCode;
use crate::time::{Duration, Time, Timestamp};
use crate::timer::Timer;
use bytes::Bytes;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// What an application sends.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ProducerRecord {
    /// What the application calls it.
    pub id: RecordId,
    /// To which topic.
    pub topic: Arc<str>,
    /// To which partition, if the application decides.
    pub partition: Option<i32>,
    /// When it was made, if the application knows; else when `send` takes it.
    pub timestamp: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
}

/// Names one call of `send`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct SendId(pub u64);

/// What `send` said at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Sent {
    /// Taken; `completed` will tell.
    Queued(SendId),
    /// It would block, for memory or metadata: send the same record again when `may_send` says so, and nothing else
    /// before. The producer counts `max.block.ms`.
    Full,
    /// Failed at once.
    Refused(SendFailure),
}

/// How a send ended, as the callback is told.
pub type Completion = Result<RecordMetadata, SendFailure>;

/// Where a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RecordMetadata {
    /// In which partition.
    pub partition: TopicIdPartition,
    /// At which offset; none with acks=0.
    pub offset: Option<Offset>,
}

/// A producer.
#[derive(Clone, Debug, Serialize)]
pub struct Producer {
    client: ClientId,
    settings: Settings,
    network: NetworkClient<Call>,
    accumulator: Accumulator,
    /// Only of an idempotent producer.
    idempotence: Option<Idempotence>,
    /// Only of librdkafka.
    local: Option<LocalQueue>,
    /// The application's thread stands in `send`.
    blocked: Option<Blocked>,
    life: Life,
    next_send: u64,
    completed: VecDeque<(SendId, RecordId, Completion)>,
    /// When the alarm is set for.
    alarm: Option<Time>,
    /// The sender has a turn to take.
    woken: bool,
}

/// The batches of a produce request, each to be answered by its partition.
type Asked = SmallVec<[(TopicIdPartition, BatchId); 1]>;

/// What a request was about.
#[derive(Clone, Debug, Serialize)]
enum Call {
    Produce(Asked),
    InitProducerId,
}

/// Running -> Closing (`close`) -> Closed (all is sent and answered, or the time is up).
#[derive(Clone, Copy, Debug, Serialize)]
enum Life {
    Running,
    Closing { deadline: Option<Time> },
    Closed,
}

/// A call of `send` that has not returned.
#[derive(Clone, Copy, Debug, Serialize)]
struct Blocked {
    record: RecordId,
    since: Time,
    on: Blockage,
    /// `max.block.ms` is over.
    over: bool,
}

/// What a `send` waits for.
#[derive(Clone, Copy, Debug, Serialize)]
enum Blockage {
    /// A newer update of the metadata than this.
    Metadata { version: u32 },
    /// So many bytes. The record's timestamp was taken before the wait, and its partition unless it is the sticky one.
    Memory {
        bytes: u64,
        timestamp: Timestamp,
        partition: Option<i32>,
    },
}

/// Why a `send` did not take its record.
enum Obstacle {
    Block(Blockage),
    Refuse(SendFailure),
}

impl Producer {
    /// A producer that knows where to begin.
    ///
    /// # Panics
    /// If the settings do not go together: they are checked with [`Settings::of`] where they are read.
    pub fn new(client: ClientId, config: ProducerConfig, bootstrap: &[Address]) -> Producer {
        let settings = Settings::of(&config).expect("settings are checked where they are read");
        Producer::with(client, settings, bootstrap)
    }

    /// A producer with settings that were checked.
    pub fn with(client: ClientId, settings: Settings, bootstrap: &[Address]) -> Producer {
        let network = NetworkClient::new(
            client,
            settings.network,
            settings.metadata,
            settings.rebootstrap_trigger,
            bootstrap,
        );
        Producer {
            client,
            network,
            accumulator: Accumulator::new(&settings),
            idempotence: settings.idempotent.then(Idempotence::default),
            local: settings.queue.map(LocalQueue::new),
            blocked: None,
            life: Life::Running,
            next_send: 0,
            completed: VecDeque::new(),
            alarm: None,
            woken: false,
            settings,
        }
    }

    /// The sender's first turn: it looks for brokers and asks for a producer id before anything is sent, as Kafka's does
    /// from its construction on. A producer that is not started does this with its first `send`.
    pub fn start(&mut self, cx: &mut Context<'_>) {
        self.run(cx);
    }

    /// Whether the sender has a turn to take.
    pub fn is_woken(&self) -> bool {
        self.woken
    }

    /// The sender's turn, if something has woken it. The application calls this at the end of its step, after its callbacks and
    /// its sends: in Kafka, too, callbacks run before the sender drains again. Says whether it was one: then there may be
    /// callbacks, or room for a `send` that was blocked.
    pub fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let woken = std::mem::take(&mut self.woken);
        if woken {
            self.run(cx);
        }
        woken
    }

    /// Takes a record into the accumulator (P-2).
    pub fn send(&mut self, record: ProducerRecord, cx: &mut Context<'_>) -> Sent {
        let id = record.id;
        if self.local.is_some() {
            return match self.produce(record, cx) {
                Ok(send) => Sent::Queued(send),
                Err(error) => self.refuse(id, error, cx),
            };
        }
        let blocked = self.blocked.take();
        if let Some(blocked) = blocked {
            assert_eq!(blocked.record, id, "a blocked caller sends nothing else");
        }
        match self.try_send(record, blocked, cx) {
            Ok(send) => Sent::Queued(send),
            Err(Obstacle::Block(on)) => {
                let since = blocked.map_or(cx.now(), |b| b.since);
                self.blocked = Some(Blocked {
                    record: id,
                    since,
                    on,
                    over: false,
                });
                self.wake(cx.now(), cx);
                Sent::Full
            }
            Err(Obstacle::Refuse(error)) => self.refuse(id, error, cx),
        }
    }

    fn refuse(&mut self, id: RecordId, error: SendFailure, cx: &mut Context<'_>) -> Sent {
        let partition = None;
        let failed = ClientEvent::Failed {
            id,
            partition,
            error,
        };
        self.tell(failed, cx);
        Sent::Refused(error)
    }

    /// Whether a blocked `send` should be tried again: what it waited for has come, or `max.block.ms` is over.
    pub fn may_send(&self) -> bool {
        let Some(blocked) = self.blocked else {
            return true;
        };
        blocked.over
            || !matches!(self.life, Life::Running)
            || match blocked.on {
                Blockage::Metadata { version } => {
                    self.network.metadata.answered_version() > version
                }
                Blockage::Memory { bytes, .. } => self.accumulator.has_memory(bytes),
            }
    }

    /// Whether there is a callback.
    pub fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    /// The next callback, in order.
    pub fn completed(&mut self) -> Option<(SendId, RecordId, Completion)> {
        let (send, id, completion) = self.completed.pop_front()?;
        if let Some(local) = &mut self.local {
            local.served(send);
        }
        Some((send, id, completion))
    }

    /// Sends what waits without lingering, until all of it is over: see [`is_flushing`](Self::is_flushing).
    pub fn flush(&mut self, cx: &mut Context<'_>) {
        self.accumulator.begin_flush();
        self.wake(cx.now(), cx);
    }

    /// Whether a record sent before the last `flush` is not over. Where Kafka's `flush` blocks, the application waits.
    pub fn is_flushing(&self) -> bool {
        self.accumulator.is_flushing() || self.has_unassigned()
    }

    /// Takes no more records; sends what waits and closes once all is over, or after `timeout`, when whatever is left
    /// fails. Without a timeout it waits as long as it takes.
    pub fn close(&mut self, timeout: Option<Duration>, cx: &mut Context<'_>) {
        let deadline = timeout.map(|t| cx.now() + t);
        if matches!(self.life, Life::Running) {
            self.life = Life::Closing { deadline };
            self.accumulator.close();
        }
        self.run(cx);
    }

    /// The partitions of all batches that are neither acknowledged nor given up.
    pub fn open_partitions(&self) -> Vec<(&Arc<str>, i32)> {
        self.accumulator.open_partitions()
    }

    /// Whether it is closed: nothing more comes from it but what `completed` still holds.
    pub fn is_closed(&self) -> bool {
        matches!(self.life, Life::Closed)
    }

    /// How long a send may take to its callback: `delivery.timeout.ms`, raised where it is too short for the others.
    pub fn delivery_timeout(&self) -> Duration {
        self.settings.delivery_timeout
    }

    /// Whether a connection is this producer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.network.owns(conn)
    }

    /// Takes in the sender's alarm, or something about one of its connections, and wakes the sender.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        if input == Input::Timer(self.timer()) {
            self.alarm = None;
        } else {
            let happened = self.network.handle(input, cx);
            self.take_in(happened, cx);
        }
        self.woken = true;
    }

    /// KafkaProducer.doSend.
    fn try_send(
        &mut self,
        record: ProducerRecord,
        blocked: Option<Blocked>,
        cx: &mut Context<'_>,
    ) -> Result<SendId, Obstacle> {
        if !matches!(self.life, Life::Running) {
            return Err(Obstacle::Refuse(SendFailure::Closed));
        }
        if let Some(Identity::Failed(error)) = self.idempotence.as_ref().map(Idempotence::identity)
        {
            return Err(Obstacle::Refuse(SendFailure::Error(error)));
        }
        let (topic, partitions) = self.await_metadata(&record, blocked, cx)?;
        let (timestamp, placed) = match blocked.map(|b| b.on) {
            Some(Blockage::Memory {
                timestamp,
                partition,
                ..
            }) => (timestamp, partition),
            _ => (record.timestamp.unwrap_or_else(|| cx.wall()), None),
        };
        let (at, sticks) = match placed {
            Some(partition) => (TopicPartition { topic, partition }, false),
            None => self.place(&record, topic, partitions, cx),
        };
        let plain = PlainRecord {
            id: record.id,
            timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let size = size_upper_bound(&plain);
        if size > self.settings.max_request_size || size > self.settings.buffer_memory {
            return Err(Obstacle::Refuse(SendFailure::RecordTooLarge));
        }
        let at = match sticks && self.accumulator.is_switch_due(at, &plain) {
            true => self.next_sticky(topic, cx),
            false => at,
        };
        let send = SendId(self.next_send);
        let appended = match self.accumulator.append(at, send, &plain, cx.now()) {
            Ok(appended) => appended,
            Err(OutOfMemory { bytes }) => {
                let partition = (!sticks).then_some(at.partition);
                let on = Blockage::Memory {
                    bytes,
                    timestamp,
                    partition,
                };
                return Err(self.block_or_give_up(on, SendFailure::BufferExhausted, blocked, cx));
            }
        };
        self.next_send += 1;
        if sticks && self.accumulator.count_sticky(at, appended) {
            self.choose_sticky(topic, cx);
        }
        let queued = ClientEvent::Queued {
            id: record.id,
            partition: self.accumulator.with_id(at),
        };
        self.tell(queued, cx);
        if appended.full || appended.new_batch {
            self.wake_for(at, appended.full, &record.topic, cx);
        }
        Ok(send)
    }

    /// KafkaProducer.waitOnMetadata: the topic's place in the list and how many partitions it has.
    fn await_metadata(
        &mut self,
        record: &ProducerRecord,
        blocked: Option<Blocked>,
        cx: &mut Context<'_>,
    ) -> Result<(TopicIndex, u32), Obstacle> {
        let metadata = &mut self.network.metadata;
        if metadata.error(&record.topic) == ErrorCode::InvalidTopicException {
            let error = SendFailure::Error(ErrorCode::InvalidTopicException);
            return Err(Obstacle::Refuse(error));
        }
        if let Some(known) = metadata.add(&record.topic, cx.now()) {
            let count = u32::try_from(known.partitions.len()).expect("numbered by i32");
            let id = known.id;
            if record
                .partition
                .is_none_or(|p| i64::from(p) < i64::from(count))
                && count > 0
            {
                return Ok((self.accumulator.topic(&record.topic, id), count));
            }
        }
        metadata.request_update_for(&record.topic);
        let version = metadata.update_version();
        let on = Blockage::Metadata { version };
        Err(self.block_or_give_up(on, SendFailure::MetadataTimeout, blocked, cx))
    }

    /// Waits on, unless `max.block.ms` is over. The wait for metadata and the one for memory share it (P-2).
    fn block_or_give_up(
        &self,
        on: Blockage,
        failure: SendFailure,
        blocked: Option<Blocked>,
        cx: &Context<'_>,
    ) -> Obstacle {
        let since = blocked.map_or(cx.now(), |b| b.since);
        if since + self.settings.max_block <= cx.now() {
            return Obstacle::Refuse(failure);
        }
        Obstacle::Block(on)
    }

    /// P-3: the application's partition, else the next in turn if its partitioner says so, else the key's, else the sticky
    /// one. Says whether it is the sticky one.
    fn place(
        &mut self,
        record: &ProducerRecord,
        topic: TopicIndex,
        partitions: u32,
        cx: &mut Context<'_>,
    ) -> (TopicPartition, bool) {
        let at = |partition| TopicPartition { topic, partition };
        if let Some(partition) = record.partition {
            return (at(partition), false);
        }
        if self.settings.placement == Placement::RoundRobin {
            let metadata = &self.network.metadata;
            return (at(self.accumulator.next_in_turn(topic, metadata)), false);
        }
        match &record.key {
            Some(key) if !self.settings.ignore_keys => {
                (at(partitioner::partition_for_key(key, partitions)), false)
            }
            _ => {
                let sticky = self.accumulator.sticky_partition(topic);
                (sticky.map_or_else(|| self.next_sticky(topic, cx), at), true)
            }
        }
    }

    fn next_sticky(&mut self, topic: TopicIndex, cx: &mut Context<'_>) -> TopicPartition {
        self.choose_sticky(topic, cx);
        let sticky = self.accumulator.sticky_partition(topic);
        let partition = sticky.expect("just chosen");
        TopicPartition { topic, partition }
    }

    fn choose_sticky(&mut self, topic: TopicIndex, cx: &mut Context<'_>) {
        let drawn = cx.draw(Purpose::StickyPartition(self.client));
        let metadata = &self.network.metadata;
        self.accumulator.choose_sticky(topic, metadata, drawn);
    }

    /// The sender's next turn comes at once if there is something to do for it; else when the new batch has lingered.
    fn wake_for(&mut self, at: TopicPartition, full: bool, name: &Arc<str>, cx: &mut Context<'_>) {
        let linger = match self.network.metadata.leader(name, at.partition) {
            // Its node's next answer will be the sender's next turn.
            Some(leader) if self.network.is_saturated(leader) => return,
            Some(_) if !full => self.settings.linger,
            _ => Duration::ZERO,
        };
        self.wake(cx.now() + linger, cx);
    }

    fn wake(&mut self, at: Time, cx: &mut Context<'_>) {
        if at <= cx.now() {
            self.woken = true;
        } else if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
            cx.set_timer(self.timer(), at);
        }
    }

    fn blocked_on(&self) -> Option<Blockage> {
        self.blocked.map(|b| b.on)
    }

    fn blocked_deadline(&self) -> Option<Time> {
        let waiting = self.blocked.filter(|b| !b.over);
        waiting.map(|b| b.since + self.settings.max_block)
    }

    fn check_blocked(&mut self, now: Time) {
        let over = self.blocked_deadline().is_some_and(|at| at <= now);
        if let Some(blocked) = &mut self.blocked {
            blocked.over |= over;
        }
    }

    fn timer(&self) -> Timer {
        Timer::Client(self.client)
    }

    fn tell(&self, event: ClientEvent, cx: &mut Context<'_>) {
        cx.tell(Event::Client(self.client, event));
    }
}
