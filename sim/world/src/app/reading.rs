//! The fresh reader: it reads every partition from its start to its end, once, and tells when it has come there.
//!
//! It runs when the rest of the run is over. It waits a moment first, so that what was appended last is below the high
//! watermark, and a record that is not seen then is not in the log for readers.

use klab_kafka::client::consumer::positions::TopicPartition;
use klab_kafka::client::consumer::records::ConsumerError;
use klab_kafka::client::consumer::{Consumer, Polled};
use klab_kafka::config::{ConsumerConfig, OffsetReset};
use klab_kafka::context::{Context, Exit};
use klab_kafka::event::{AppEvent, Event};
use klab_kafka::ids::{Address, ClientId, Offset, TopicIdPartition};
use klab_kafka::input::{Command, Input};
use klab_kafka::rules::Rules;
use klab_kafka::time::Duration;
use klab_kafka::timer::Timer;
use serde::Serialize;

/// How long it waits first: two fetches of an idle follower, each 500 ms.
const SETTLE: Duration = Duration::secs(1);
/// How long one poll may block.
const POLL: Duration = Duration::secs(1);
/// Its one alarm.
const SETTLED: Timer = Timer::App(0);

/// The reader.
#[derive(Clone, Debug, Serialize)]
pub struct Reading {
    consumer: Consumer,
    partitions: Vec<TopicPartition>,
    thread: Thread,
}

/// Idle -> Waiting (started) -> Asking (settled) -> Polling (the ends are known) -> Done (all ends are reached).
#[derive(Clone, PartialEq, Debug, Serialize)]
enum Thread {
    Idle,
    Waiting,
    /// In `endOffsets`.
    Asking,
    /// In `poll`; these ends are ahead.
    Polling(Vec<(TopicPartition, Offset)>),
    Done,
}

impl Reading {
    /// Not started yet. Whatever rules the others follow, what it reads must be so: it has Kafka's own.
    pub fn new(partitions: Vec<TopicPartition>, bootstrap: &[Address]) -> Reading {
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            ..ConsumerConfig::default()
        };
        Reading {
            consumer: Consumer::new(ClientId(0), config, Rules::default(), bootstrap),
            partitions,
            thread: Thread::Idle,
        }
    }

    /// Whether it has read everything.
    pub fn is_finished(&self) -> bool {
        self.thread == Thread::Done
    }

    /// What it has not read to the end, and where it stands.
    pub fn missing(&self) -> Vec<(&TopicPartition, Option<Offset>)> {
        let stands = |partition| (partition, self.consumer.position(partition));
        match &self.thread {
            Thread::Done => Vec::new(),
            Thread::Polling(ends) => ends.iter().map(|(p, _)| stands(p)).collect(),
            Thread::Idle | Thread::Waiting | Thread::Asking => {
                self.partitions.iter().map(stands).collect()
            }
        }
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Command(Command::Start) if self.thread == Thread::Idle => {
                self.thread = Thread::Waiting;
                cx.set_timer(SETTLED, cx.now() + SETTLE);
            }
            Input::Command(_) => {}
            Input::Timer(SETTLED) => self.begin(cx),
            Input::Stop => {
                self.consumer.close(cx);
                cx.exit(Exit::Stopped);
            }
            other => self.consumer.handle(other, cx),
        }
        match self.consumer.ended() {
            Some(Ok(ends)) => self.read_to(ends, cx),
            Some(Err(_)) => self.consumer.end_offsets(&self.partitions, cx),
            None => {}
        }
        while let Some(polled) = self.consumer.polled() {
            self.polled(polled, cx);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>) {
        cx.tell(Event::App(AppEvent::Started));
        self.consumer.assign(&self.partitions, cx);
        for partition in &self.partitions {
            self.consumer.seek_to_beginning(partition);
        }
        self.thread = Thread::Asking;
        self.consumer.end_offsets(&self.partitions, cx);
    }

    fn read_to(&mut self, ends: Vec<(TopicPartition, Offset)>, cx: &mut Context<'_>) {
        self.thread = Thread::Polling(ends);
        self.consumer.poll(POLL, cx);
    }

    fn polled(&mut self, polled: Polled, cx: &mut Context<'_>) {
        if let Err(ConsumerError::CorruptRecord(partition, offset)) = polled {
            self.consumer.seek(&partition, offset.plus(1), None);
        }
        self.look_how_far(cx);
        match &self.thread {
            Thread::Polling(ends) if ends.is_empty() => {
                self.thread = Thread::Done;
                self.partitions.clear();
                self.consumer.close(cx);
                cx.tell(Event::App(AppEvent::Finished));
            }
            _ => self.consumer.poll(POLL, cx),
        }
    }

    /// Tells which ends are reached.
    fn look_how_far(&mut self, cx: &mut Context<'_>) {
        let Thread::Polling(ends) = &mut self.thread else {
            return;
        };
        let consumer = &self.consumer;
        ends.retain(|(partition, end)| {
            let at = consumer.position(partition);
            let topic = consumer.topic_id(&partition.topic);
            let (Some(topic), true) = (topic, at.is_some_and(|at| at >= *end)) else {
                return true;
            };
            let partition = TopicIdPartition {
                topic,
                partition: partition.partition,
            };
            let end = *end;
            cx.tell(Event::App(AppEvent::ReachedEnd { partition, end }));
            false
        });
    }
}
