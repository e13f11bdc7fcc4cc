//! ROLE Producer: Kafka's KafkaProducer with its accumulator and sender.
//!
//! Thin still: one record a batch, partition 0, acks=all, no retries, no idempotence.

use super::connections::{Connections, Happened, NetworkSettings};
use super::metadata::{ClientMetadata, MetadataSettings};
use crate::config::ProducerConfig;
use crate::context::Context;
use crate::event::{ClientEvent, Event, SendFailure};
use crate::ids::{Address, ClientId, ConnId, NodeId, Offset, RecordId, TopicIdPartition};
use crate::input::Input;
use crate::log::batch::{BatchData, PlainRecord};
use crate::protocol::metadata::MetadataRequest;
use crate::protocol::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::protocol::{Request, Response};
use crate::time::Duration;
use bytes::Bytes;
use serde::Serialize;
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
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
}

/// Names one call of `send`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct SendId(pub u64);

/// What `send` said at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Sent {
    /// Taken; `completed` will tell.
    Queued(SendId),
    /// It would block, for memory or metadata: call again when `may_send` says so; the producer counts `max.block.ms`.
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
    config: ProducerConfig,
    connections: Connections<Tag>,
    metadata: ClientMetadata,
    next: u64,
    queue: VecDeque<(SendId, ProducerRecord)>,
    completed: VecDeque<(SendId, RecordId, Completion)>,
}

#[derive(Clone, Debug, Serialize)]
enum Tag {
    Metadata,
    Produce(SendId, RecordId),
}

impl Producer {
    /// A producer that knows where to begin.
    pub fn new(client: ClientId, config: ProducerConfig, bootstrap: &[Address]) -> Producer {
        let settings = NetworkSettings {
            request_timeout: Duration::millis(config.request_timeout_ms as u64),
            reconnect_backoff: Duration::millis(config.reconnect_backoff_ms as u64),
            reconnect_backoff_max: Duration::millis(config.reconnect_backoff_max_ms as u64),
            max_in_flight: config.max_in_flight as u32,
            ..NetworkSettings::default()
        };
        let mut connections = Connections::new(client, settings);
        for (i, address) in (1..).zip(bootstrap) {
            connections.learn(NodeId(-i), *address);
        }
        Producer {
            client,
            config,
            connections,
            metadata: ClientMetadata::new(MetadataSettings::default(), bootstrap),
            next: 0,
            queue: VecDeque::new(),
            completed: VecDeque::new(),
        }
    }

    /// Takes a record into the accumulator.
    pub fn send(&mut self, record: ProducerRecord, cx: &mut Context<'_>) -> Sent {
        let id = SendId(self.next);
        self.next += 1;
        self.queue.push_back((id, record));
        self.run(cx);
        Sent::Queued(id)
    }

    /// The next callback, in order.
    pub fn completed(&mut self) -> Option<(SendId, RecordId, Completion)> {
        self.completed.pop_front()
    }

    /// Whether a connection is this producer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.connections.owns(conn)
    }

    /// One step of the sender.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        for happened in self.connections.handle(input, cx) {
            self.happened(happened, cx);
        }
        self.run(cx);
    }

    fn happened(&mut self, happened: Happened<Tag>, cx: &mut Context<'_>) {
        match happened {
            Happened::Answered(_, Tag::Metadata, Response::Metadata(r)) => {
                for broker in &r.brokers {
                    self.connections.learn(broker.node_id, broker.address);
                }
                let (_, asked) = self.metadata.question(cx.now());
                self.metadata.update(asked, &r, cx.now(), 0);
            }
            Happened::Answered(_, Tag::Produce(send, id), Response::Produce(r)) => {
                let topic = &r.responses[0];
                let answer = &topic.partitions[0];
                let partition = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: answer.index,
                };
                if answer.error_code.is_none() {
                    let offset = Some(answer.base_offset);
                    cx.tell(Event::Client(
                        self.client,
                        ClientEvent::Acked {
                            id,
                            partition,
                            offset,
                        },
                    ));
                    self.completed
                        .push_back((send, id, Ok(RecordMetadata { partition, offset })));
                } else {
                    self.fail(
                        send,
                        id,
                        Some(partition),
                        SendFailure::Error(answer.error_code),
                        cx,
                    );
                }
            }
            Happened::Failed(_, Tag::Produce(send, id), error) => {
                self.fail(send, id, None, SendFailure::Error(error), cx);
            }
            _ => {}
        }
    }

    fn fail(
        &mut self,
        send: SendId,
        id: RecordId,
        partition: Option<TopicIdPartition>,
        error: SendFailure,
        cx: &mut Context<'_>,
    ) {
        cx.tell(Event::Client(
            self.client,
            ClientEvent::Failed {
                id,
                partition,
                error,
            },
        ));
        self.completed.push_back((send, id, Err(error)));
    }

    fn run(&mut self, cx: &mut Context<'_>) {
        while let Some((_, record)) = self.queue.front() {
            let Some(topic) = self.metadata.add(&record.topic, cx.now()) else {
                if self.connections.ready(NodeId(-1), cx) {
                    let request = MetadataRequest {
                        topics: Some(vec![record.topic.clone()]),
                        allow_auto_topic_creation: true,
                    };
                    self.connections.send(
                        NodeId(-1),
                        Request::Metadata(request),
                        Tag::Metadata,
                        cx,
                    );
                }
                return;
            };
            let Some(leader) = topic.partitions[0].leader else {
                return;
            };
            let topic_id = topic.id;
            if !self.connections.ready(leader, cx) {
                return;
            }
            let (send, record) = self.queue.pop_front().expect("just seen");
            self.produce(leader, topic_id, send, record, cx);
        }
    }

    fn produce(
        &mut self,
        leader: NodeId,
        topic_id: crate::ids::TopicId,
        send: SendId,
        record: ProducerRecord,
        cx: &mut Context<'_>,
    ) {
        let plain = PlainRecord {
            id: record.id,
            timestamp: cx.wall(),
            key: record.key,
            value: record.value,
            headers: Vec::new(),
        };
        let partition = TopicIdPartition {
            topic: topic_id,
            partition: 0,
        };
        cx.tell(Event::Client(
            self.client,
            ClientEvent::Queued {
                id: record.id,
                partition,
            },
        ));
        let request = ProduceRequest {
            acks: self.config.acks.value.code(),
            timeout_ms: self.config.request_timeout_ms,
            topics: vec![TopicProduceData {
                topic_id,
                partitions: vec![PartitionProduceData {
                    index: 0,
                    records: Arc::new(BatchData::of_records(&[plain], None)),
                }],
            }],
        };
        self.connections.send(
            leader,
            Request::Produce(request),
            Tag::Produce(send, record.id),
            cx,
        );
    }
}
