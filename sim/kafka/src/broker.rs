//! ROLE Broker: a Kafka server that keeps partitions and answers clients.
//!
//! Thin still: no replication; every partition it leads has it alone in the ISR.

use crate::client::connections::{Connections, Happened, NetworkSettings};
use crate::config::ServerConfig;
use crate::context::{Context, Exit, Halt, Purpose};
use crate::controller::image::Image;
use crate::disk::DiskImage;
use crate::effect::{Effects, carry_out};
use crate::event::{BrokerEvent, Event, ReplicaEvent};
use crate::ids::*;
use crate::input::Input;
use crate::log::batch::Payload;
use crate::log::config::LogConfig;
use crate::log::{Log, Origin};
use crate::protocol::cluster::*;
use crate::protocol::fetch::*;
use crate::protocol::metadata::*;
use crate::protocol::produce::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::raft::Raft;
use crate::rules::Rules;
use crate::time::Duration;
use crate::timer::{BrokerTimer, Timer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a broker is told before it starts.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerConfig {
    /// Who it is.
    pub node: NodeId,
    /// Where it listens.
    pub address: Address,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// The voters of the metadata quorum.
    pub voters: Vec<(NodeId, Address)>,
    /// Settings.
    pub server: ServerConfig,
}

/// A broker process.
#[derive(Clone, Debug, Serialize)]
pub struct Broker {
    config: BrokerConfig,
    rules: Rules,
    connections: Connections<Tag>,
    raft: Raft,
    image: Image,
    epoch: Option<BrokerEpoch>,
    logs: BTreeMap<TopicIdPartition, Log>,
}

#[derive(Clone, Debug, Serialize)]
enum Tag {
    Registration,
    Heartbeat,
    MetadataFetch,
    Forwarded(ConnId, CorrelationId),
}

impl Broker {
    /// Starts from what is on disk.
    pub fn boot(
        config: BrokerConfig,
        rules: Rules,
        _disk: DiskImage,
        cx: &mut Context<'_>,
    ) -> Broker {
        let settings = NetworkSettings {
            request_timeout: Duration::secs(30),
            reconnect_backoff: Duration::millis(50),
            reconnect_backoff_max: Duration::secs(1),
            max_in_flight: 5,
            ..NetworkSettings::default()
        };
        let mut connections = Connections::new(ClientId(0), settings);
        let (controller, address) = config.voters[0];
        connections.learn(controller, address);
        let mut out = Effects::new();
        let raft = Raft::start(config.node, controller, &mut out);
        let mut broker = Broker {
            config,
            rules,
            connections,
            raft,
            image: Image::default(),
            epoch: None,
            logs: BTreeMap::new(),
        };
        broker.carry_out(out, cx);
        cx.tell(Event::Broker(BrokerEvent::Started { clean: true }));
        broker.connections.ready(controller, cx);
        broker
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Request {
                conn, id, request, ..
            } => self.answer(conn, id, request, cx),
            Input::Timer(Timer::Broker(BrokerTimer::Heartbeat)) => self.heartbeat(cx),
            Input::Timer(Timer::Raft) => self.fetch_metadata(cx),
            Input::Stop => cx.exit(Exit::Stopped),
            other => {
                for happened in self.connections.handle(other, cx) {
                    self.happened(happened, cx);
                }
            }
        }
    }

    /// The broker's copy of the metadata.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The metadata log's replica here.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The logs kept here.
    pub fn logs(&self) -> impl Iterator<Item = (TopicIdPartition, &Log)> {
        self.logs.iter().map(|(id, log)| (*id, log))
    }

    fn controller(&self) -> NodeId {
        self.config.voters[0].0
    }

    fn happened(&mut self, happened: Happened<Tag>, cx: &mut Context<'_>) {
        match happened {
            Happened::Ready(_) => self.register(cx),
            Happened::Answered(_, Tag::Registration, Response::BrokerRegistration(r)) => {
                self.epoch = r.broker_epoch;
                if let Some(epoch) = r.broker_epoch {
                    cx.tell(Event::Broker(BrokerEvent::Registered { epoch }));
                }
                self.fetch_metadata(cx);
                self.heartbeat(cx);
            }
            Happened::Answered(_, Tag::Heartbeat, Response::BrokerHeartbeat(r)) => {
                let wait = if r.is_fenced {
                    10
                } else {
                    self.config.server.broker_heartbeat_interval_ms
                };
                cx.set_timer(
                    Timer::Broker(BrokerTimer::Heartbeat),
                    cx.now() + Duration::millis(wait as u64),
                );
            }
            Happened::Answered(_, Tag::MetadataFetch, Response::Fetch(r)) => {
                self.fetched_metadata(r, cx)
            }
            Happened::Answered(_, Tag::Forwarded(conn, id), Response::Envelope(Ok(response))) => {
                cx.reply(conn, id, *response);
            }
            _ => {}
        }
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        let incarnation = u128::from(cx.draw(Purpose::Incarnation)) << 64
            | u128::from(cx.draw(Purpose::Incarnation));
        let request = BrokerRegistrationRequest {
            broker_id: self.config.node,
            incarnation_id: IncarnationId(incarnation),
            address: self.config.address,
            rack: self.config.rack.clone(),
            previous_broker_epoch: None,
        };
        self.connections.send(
            self.controller(),
            Request::BrokerRegistration(request),
            Tag::Registration,
            cx,
        );
    }

    fn heartbeat(&mut self, cx: &mut Context<'_>) {
        let Some(broker_epoch) = self.epoch else {
            return;
        };
        let request = BrokerHeartbeatRequest {
            broker_id: self.config.node,
            broker_epoch,
            current_metadata_offset: self.image.end.plus(-1),
            want_fence: false,
            want_shut_down: false,
        };
        self.connections.send(
            self.controller(),
            Request::BrokerHeartbeat(request),
            Tag::Heartbeat,
            cx,
        );
    }

    fn fetch_metadata(&mut self, cx: &mut Context<'_>) {
        let request = FetchRequest {
            replica: Some(ReplicaState {
                replica_id: self.config.node,
                replica_epoch: self.epoch,
            }),
            max_wait_ms: 500,
            min_bytes: 0,
            max_bytes: 1 << 20,
            isolation_level: IsolationLevel::ReadUncommitted,
            topics: vec![FetchTopic {
                topic_id: METADATA_TOPIC,
                partitions: vec![FetchPartition {
                    partition: 0,
                    current_leader_epoch: Some(self.raft.epoch()),
                    fetch_offset: self.raft.log().leo(),
                    last_fetched_epoch: None,
                    log_start_offset: None,
                    partition_max_bytes: 1 << 20,
                    high_watermark: Some(self.raft.log().hw()),
                }],
            }],
        };
        self.connections.send(
            self.controller(),
            Request::Fetch(request),
            Tag::MetadataFetch,
            cx,
        );
    }

    fn fetched_metadata(&mut self, mut r: FetchResponse, cx: &mut Context<'_>) {
        let answer = r.topics.remove(0).partitions.remove(0);
        let mut out = Effects::new();
        self.raft
            .copy(answer.records.clone(), answer.high_watermark, &mut out);
        self.carry_out(out, cx);
        for batch in &answer.records {
            if let Payload::Metadata(records) = &batch.data.payload {
                for (i, record) in (0i64..).zip(records.iter()) {
                    self.image.apply(batch.base_offset.plus(i), record);
                }
            }
        }
        self.take_leaderships(cx);
        cx.set_timer(Timer::Raft, cx.now() + Duration::millis(100));
    }

    fn take_leaderships(&mut self, cx: &mut Context<'_>) {
        let mut out = Effects::new();
        for (topic, t) in &self.image.topics {
            for (partition, p) in &t.partitions {
                let id = TopicIdPartition {
                    topic: *topic,
                    partition: *partition,
                };
                if p.leader == Some(self.config.node) && !self.logs.contains_key(&id) {
                    let log = Log::create(id, LogConfig::default(), cx.wall(), &mut out);
                    out.push(crate::effect::Effect::Tell(Event::Replica(
                        id,
                        ReplicaEvent::BecameLeader {
                            epoch: p.leader_epoch,
                            start_offset: log.leo(),
                            hw: log.hw(),
                        },
                    )));
                    self.logs.insert(id, log);
                }
            }
        }
        self.carry_out(out, cx);
    }

    fn answer(&mut self, conn: ConnId, id: CorrelationId, request: Request, cx: &mut Context<'_>) {
        match request {
            Request::Metadata(r) => cx.reply(conn, id, Response::Metadata(self.metadata(&r))),
            Request::Produce(r) => {
                let response = self.produce(&r, cx);
                cx.reply(conn, id, Response::Produce(response));
            }
            Request::CreateTopics(_) if self.epoch.is_some() => {
                let envelope = Request::Envelope(Box::new(request));
                self.connections
                    .send(self.controller(), envelope, Tag::Forwarded(conn, id), cx);
            }
            _ => cx.close(conn),
        }
    }

    fn metadata(&self, r: &MetadataRequest) -> MetadataResponse {
        let brokers = self.image.brokers.iter().filter(|(_, b)| !b.fenced);
        let topics = r.topics.iter().flatten().filter_map(|name| {
            let id = *self.image.names.get(name)?;
            let partitions =
                self.image.topics[&id]
                    .partitions
                    .iter()
                    .map(|(index, p)| MetadataPartition {
                        error_code: ErrorCode::None,
                        partition_index: *index,
                        leader_id: p.leader,
                        leader_epoch: p.leader_epoch,
                        replica_nodes: p.replicas.clone(),
                        isr_nodes: p.isr.clone(),
                        offline_replicas: Vec::new(),
                    });
            Some(MetadataTopic {
                error_code: ErrorCode::None,
                name: name.clone(),
                topic_id: id,
                partitions: partitions.collect(),
            })
        });
        MetadataResponse {
            brokers: brokers
                .map(|(id, b)| NodeEndpoint {
                    node_id: *id,
                    address: b.address,
                    rack: b.rack.clone(),
                })
                .collect(),
            controller_id: Some(self.config.node),
            topics: topics.collect(),
        }
    }

    fn produce(&mut self, r: &ProduceRequest, cx: &mut Context<'_>) -> ProduceResponse {
        let mut out = Effects::new();
        let mut responses = Vec::new();
        for topic in &r.topics {
            let mut partitions = Vec::new();
            for data in &topic.partitions {
                let id = TopicIdPartition {
                    topic: topic.topic_id,
                    partition: data.index,
                };
                let epoch = LeaderEpoch(0);
                let appended = self.logs.get_mut(&id).map(|log| {
                    let appended = log.append_as_leader(
                        &data.records,
                        epoch,
                        Origin::CLIENT,
                        cx.wall(),
                        &mut out,
                    );
                    log.advance_hw(log.leo(), &mut out);
                    appended
                });
                partitions.push(PartitionProduceResponse {
                    index: data.index,
                    error_code: match &appended {
                        Some(Ok(_)) => ErrorCode::None,
                        Some(Err(refusal)) => refusal.error,
                        None => ErrorCode::NotLeaderOrFollower,
                    },
                    base_offset: match &appended {
                        Some(Ok(appended)) => appended.base_offset(),
                        _ => Offset(-1),
                    },
                    log_append_time: None,
                    log_start_offset: Offset(0),
                    current_leader: None,
                });
            }
            responses.push(TopicProduceResponse {
                topic_id: topic.topic_id,
                partitions,
            });
        }
        self.carry_out(out, cx);
        ProduceResponse {
            responses,
            node_endpoints: Vec::new(),
        }
    }

    fn carry_out(&self, out: Effects, cx: &mut Context<'_>) {
        if let Err(error) = carry_out(out, cx) {
            cx.exit(Exit::Halted(Halt::Disk(error)));
        }
    }
}
