//! ROLE Broker: a Kafka server that keeps partitions and answers clients.
//!
//! Thin still: no replication; every partition it leads has it alone in the ISR.

pub mod channel;
pub mod isr;
pub mod lifecycle;
pub mod metadata;
pub mod producer_ids;
pub mod purgatory;
pub mod replica;

use crate::client::connections::{Connections, Happened, NetworkSettings};
use crate::config::ServerConfig;
use crate::context::{Context, Exit, Halt, Purpose};
use crate::controller::image::Image;
use crate::disk::DiskImage;
use crate::effect::{Effects, carry_out};
use crate::event::{BrokerEvent, Event, ReplicaEvent};
use crate::ids::*;
use crate::input::Input;
use crate::log::config::LogConfig;
use crate::log::{Log, Origin};
use crate::protocol::cluster::*;
use crate::protocol::metadata::*;
use crate::protocol::produce::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::raft::driver::Driver;
use crate::raft::{Member, Raft, RaftConfig};
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
    quorum: Driver,
    incarnation: IncarnationId,
    image: Image,
    epoch: Option<BrokerEpoch>,
    logs: BTreeMap<TopicIdPartition, Log>,
}

#[derive(Clone, Debug, Serialize)]
enum Tag {
    Registration,
    Heartbeat,
    Forwarded(ConnId, CorrelationId),
}

impl Broker {
    /// Starts from what is on disk.
    pub fn boot(
        config: BrokerConfig,
        rules: Rules,
        disk: DiskImage,
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
        for (controller, address) in &config.voters {
            connections.learn(*controller, *address);
        }
        let member = Member {
            node: config.node,
            voters: config.voters.iter().map(|(id, _)| *id).collect(),
            config: RaftConfig::of(&config.server),
        };
        let quorum = Driver::boot(member, &config.voters, ClientId(1), &disk, &rules, cx);
        let incarnation = u128::from(cx.draw(Purpose::Incarnation)) << 64
            | u128::from(cx.draw(Purpose::Incarnation));
        let mut broker = Broker {
            config,
            rules,
            connections,
            quorum,
            incarnation: IncarnationId(incarnation),
            image: Image::default(),
            epoch: None,
            logs: BTreeMap::new(),
        };
        cx.tell(Event::Broker(BrokerEvent::Started { clean: true }));
        broker.ask_again(100, cx);
        broker
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            input if self.quorum.takes(&input) => {
                self.quorum.handle(input, &self.rules, cx);
                self.apply_metadata(cx);
            }
            Input::Request {
                conn, id, request, ..
            } => self.answer(conn, id, request, cx),
            Input::Timer(Timer::Broker(BrokerTimer::Heartbeat)) => match self.epoch {
                None => self.register(cx),
                Some(epoch) => self.heartbeat(epoch, cx),
            },
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
        self.quorum.raft()
    }

    /// The logs kept here.
    pub fn logs(&self) -> impl Iterator<Item = (TopicIdPartition, &Log)> {
        self.logs.iter().map(|(id, log)| (*id, log))
    }

    /// The active controller, as far as this broker knows; connected to, or being so.
    fn controller(&mut self, cx: &mut Context<'_>) -> Option<NodeId> {
        let leader = self.quorum.raft().seen().leader?;
        self.connections.ready(leader, cx).then_some(leader)
    }

    fn ask_again(&mut self, after_ms: i32, cx: &mut Context<'_>) {
        cx.set_timer(
            Timer::Broker(BrokerTimer::Heartbeat),
            cx.now() + Duration::millis(after_ms as u64),
        );
    }

    fn happened(&mut self, happened: Happened<Tag>, cx: &mut Context<'_>) {
        match happened {
            Happened::Answered(_, Tag::Registration, Response::BrokerRegistration(r)) => {
                self.epoch = r.broker_epoch;
                if let Some(epoch) = r.broker_epoch {
                    cx.tell(Event::Broker(BrokerEvent::Registered { epoch }));
                }
                self.ask_again(10, cx);
            }
            Happened::Answered(_, Tag::Heartbeat, Response::BrokerHeartbeat(r)) => {
                let wait = if r.is_fenced {
                    10
                } else {
                    self.config.server.broker_heartbeat_interval_ms
                };
                self.ask_again(wait, cx);
            }
            Happened::Answered(_, Tag::Forwarded(conn, id), Response::Envelope(Ok(response))) => {
                cx.reply(conn, id, *response);
            }
            Happened::Failed(_, Tag::Forwarded(conn, _), _) => cx.close(conn),
            Happened::Answered(_, Tag::Forwarded(conn, _), _) => cx.close(conn),
            Happened::Failed(_, Tag::Registration | Tag::Heartbeat, _) => self.ask_again(100, cx),
            _ => {}
        }
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        let Some(controller) = self.controller(cx) else {
            return self.ask_again(100, cx);
        };
        let request = BrokerRegistrationRequest {
            broker_id: self.config.node,
            incarnation_id: self.incarnation,
            address: self.config.address,
            rack: self.config.rack.clone(),
            previous_broker_epoch: None,
        };
        let request = Request::BrokerRegistration(request);
        self.connections
            .send(controller, request, Tag::Registration, cx);
    }

    fn heartbeat(&mut self, broker_epoch: BrokerEpoch, cx: &mut Context<'_>) {
        let Some(controller) = self.controller(cx) else {
            return self.ask_again(100, cx);
        };
        let request = BrokerHeartbeatRequest {
            broker_id: self.config.node,
            broker_epoch,
            current_metadata_offset: self.image.end.plus(-1),
            want_fence: false,
            want_shut_down: false,
        };
        let request = Request::BrokerHeartbeat(request);
        self.connections
            .send(controller, request, Tag::Heartbeat, cx);
    }

    fn apply_metadata(&mut self, cx: &mut Context<'_>) {
        let raft = self.quorum.raft();
        let committed = raft.seen().committed;
        if self.image.end >= committed {
            return;
        }
        for batch in raft.log().batches_from(self.image.end) {
            if batch.end_offset() > committed {
                break;
            }
            self.image.apply_batch(batch);
        }
        self.take_leaderships(cx);
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
            Request::CreateTopics(_) | Request::IncrementalAlterConfigs(_) => {
                let Some(controller) = self.controller(cx) else {
                    return cx.close(conn);
                };
                let envelope = Request::Envelope(Box::new(request));
                self.connections
                    .send(controller, envelope, Tag::Forwarded(conn, id), cx);
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
