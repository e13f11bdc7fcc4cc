//! ROLE Controller: one node of the KRaft quorum (Kafka's QuorumController on its KafkaRaftClient).
//!
//! Thin still: one voter; no elections, no fencing, no ISR changes.

pub mod cluster;
pub mod election;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod heartbeats;
pub mod image;
pub mod placement;
pub mod producer_ids;
pub mod records;
pub mod replication;
pub mod topics;

use crate::config::ServerConfig;
use crate::context::{Context, Exit, Halt, Purpose};
use crate::disk::DiskImage;
use crate::effect::{Effects, carry_out};
use crate::event::{ControllerEvent, Event};
use crate::ids::LeaderEpoch;
use crate::ids::{
    BrokerEpoch, ConnId, CorrelationId, NodeId, Offset, PartitionEpoch, ProducerId, TopicId,
};
use crate::input::Input;
use crate::log::batch::{BatchData, Payload, RecordBatch};
use crate::protocol::admin::{CreatableTopic, CreatableTopicResult, CreateTopicsResponse};
use crate::protocol::cluster::*;
use crate::protocol::fetch::*;
use crate::protocol::{ErrorCode, Request, Response};
use crate::raft::Raft;
use crate::rules::Rules;
use image::Image;
use records::{MetadataRecord, PartitionRegistration};
use serde::Serialize;

/// What a controller is told before it starts.
#[derive(Clone, Debug, Serialize)]
pub struct ControllerConfig {
    /// Who it is.
    pub node: NodeId,
    /// All voters of the quorum and where they listen.
    pub voters: Vec<(NodeId, crate::ids::Address)>,
    /// Settings.
    pub server: ServerConfig,
}

/// A controller process.
#[derive(Clone, Debug, Serialize)]
pub struct Controller {
    config: ControllerConfig,
    rules: Rules,
    raft: Raft,
    image: Image,
}

impl Controller {
    /// Starts from what is on disk.
    pub fn boot(
        config: ControllerConfig,
        rules: Rules,
        _disk: DiskImage,
        cx: &mut Context<'_>,
    ) -> Controller {
        let mut out = Effects::new();
        let raft = Raft::start(config.node, config.voters[0].0, &mut out);
        let controller = Controller {
            config,
            rules,
            raft,
            image: Image::default(),
        };
        controller.carry_out(out, cx);
        cx.tell(Event::Controller(ControllerEvent::Activated {
            epoch: controller.raft.epoch(),
        }));
        controller
    }

    /// One step.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        match input {
            Input::Request {
                conn, id, request, ..
            } => self.answer(conn, id, request, cx),
            Input::Stop => cx.exit(Exit::Stopped),
            _ => {}
        }
    }

    /// The metadata log's replica here.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The cluster as this controller has it.
    pub fn image(&self) -> &Image {
        &self.image
    }

    fn answer(&mut self, conn: ConnId, id: CorrelationId, request: Request, cx: &mut Context<'_>) {
        let response = match request {
            Request::BrokerRegistration(r) => Response::BrokerRegistration(self.register(r, cx)),
            Request::BrokerHeartbeat(r) => Response::BrokerHeartbeat(self.heartbeat(&r, cx)),
            Request::Fetch(r) => Response::Fetch(self.fetch(&r)),
            Request::AllocateProducerIds(r) => {
                Response::AllocateProducerIds(self.producer_ids(&r, cx))
            }
            Request::Envelope(inner) => {
                Response::Envelope(self.forwarded(*inner, cx).map(Box::new))
            }
            _ => return cx.close(conn),
        };
        cx.reply(conn, id, response);
    }

    fn forwarded(&mut self, request: Request, cx: &mut Context<'_>) -> Result<Response, ErrorCode> {
        match request {
            Request::CreateTopics(r) => {
                let topics = r.topics.iter().map(|t| self.create_topic(t, cx)).collect();
                Ok(Response::CreateTopics(CreateTopicsResponse { topics }))
            }
            _ => Err(ErrorCode::InvalidRequest),
        }
    }

    fn register(
        &mut self,
        r: BrokerRegistrationRequest,
        cx: &mut Context<'_>,
    ) -> BrokerRegistrationResponse {
        let epoch = BrokerEpoch(self.raft.log().leo().0);
        self.commit(
            vec![MetadataRecord::RegisterBroker {
                broker: r.broker_id,
                incarnation: r.incarnation_id,
                epoch,
                address: r.address,
                rack: r.rack,
                fenced: true,
            }],
            cx,
        );
        cx.tell(Event::Controller(ControllerEvent::BrokerRegistered {
            broker: r.broker_id,
            epoch,
        }));
        BrokerRegistrationResponse {
            error_code: ErrorCode::None,
            broker_epoch: Some(epoch),
        }
    }

    fn heartbeat(
        &mut self,
        r: &BrokerHeartbeatRequest,
        cx: &mut Context<'_>,
    ) -> BrokerHeartbeatResponse {
        let fenced = self
            .image
            .brokers
            .get(&r.broker_id)
            .is_none_or(|b| b.fenced);
        let is_caught_up = r.current_metadata_offset.0 >= r.broker_epoch.0;
        if fenced && is_caught_up && !r.want_fence {
            self.commit(
                vec![MetadataRecord::BrokerRegistrationChange {
                    broker: r.broker_id,
                    epoch: r.broker_epoch,
                    fenced: Some(false),
                    in_controlled_shutdown: None,
                }],
                cx,
            );
            cx.tell(Event::Controller(ControllerEvent::BrokerUnfenced {
                broker: r.broker_id,
            }));
        }
        BrokerHeartbeatResponse {
            error_code: ErrorCode::None,
            is_caught_up,
            is_fenced: self
                .image
                .brokers
                .get(&r.broker_id)
                .is_none_or(|b| b.fenced),
            should_shut_down: false,
        }
    }

    fn create_topic(
        &mut self,
        topic: &CreatableTopic,
        cx: &mut Context<'_>,
    ) -> CreatableTopicResult {
        let result = |id, error_code| CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: id,
            error_code,
            error_message: None,
        };
        if self.image.names.contains_key(&topic.name) {
            return result(None, ErrorCode::TopicAlreadyExists);
        }
        let Some(first) = self
            .image
            .brokers
            .iter()
            .find(|(_, b)| b.is_active())
            .map(|(id, _)| *id)
        else {
            return result(None, ErrorCode::InvalidReplicationFactor);
        };
        let id = TopicId(
            u128::from(cx.draw(Purpose::TopicId)) << 64 | u128::from(cx.draw(Purpose::TopicId)),
        );
        let partitions = topic
            .num_partitions
            .unwrap_or(self.config.server.num_partitions);
        let mut records = vec![MetadataRecord::Topic {
            name: topic.name.clone(),
            id,
        }];
        records.extend((0..partitions).map(|partition| MetadataRecord::Partition {
            topic: id,
            partition,
            registration: PartitionRegistration {
                replicas: vec![first],
                isr: vec![first],
                leader: Some(first),
                recovery: LeaderRecoveryState::Recovered,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
            },
        }));
        self.commit(records, cx);
        cx.tell(Event::Controller(ControllerEvent::TopicCreated {
            name: topic.name.clone(),
            id,
            partitions,
        }));
        result(Some(id), ErrorCode::None)
    }

    fn producer_ids(
        &mut self,
        r: &AllocateProducerIdsRequest,
        cx: &mut Context<'_>,
    ) -> AllocateProducerIdsResponse {
        let start = self.image.next_producer_id;
        self.commit(
            vec![MetadataRecord::ProducerIds {
                broker: r.broker_id,
                epoch: r.broker_epoch,
                next_producer_id: ProducerId(start.0 + 1000),
            }],
            cx,
        );
        AllocateProducerIdsResponse {
            error_code: ErrorCode::None,
            producer_id_start: start,
            producer_id_len: 1000,
        }
    }

    fn fetch(&self, r: &FetchRequest) -> FetchResponse {
        let asked = &r.topics[0].partitions[0];
        let log = self.raft.log();
        FetchResponse {
            error_code: ErrorCode::None,
            topics: vec![FetchTopicResponse {
                topic_id: r.topics[0].topic_id,
                partitions: vec![FetchPartitionResponse {
                    partition: 0,
                    error_code: ErrorCode::None,
                    high_watermark: Some(log.hw()),
                    last_stable_offset: None,
                    log_start_offset: Offset(0),
                    diverging_epoch: None,
                    current_leader: None,
                    records: log.read(asked.fetch_offset, log.leo(), asked.partition_max_bytes),
                }],
            }],
            node_endpoints: Vec::new(),
        }
    }

    fn commit(&mut self, records: Vec<MetadataRecord>, cx: &mut Context<'_>) {
        let mut out = Effects::new();
        let batch = self
            .raft
            .append(BatchData::of_metadata(records, cx.wall()), &mut out);
        self.carry_out(out, cx);
        self.replay(&batch);
    }

    fn replay(&mut self, batch: &RecordBatch) {
        if let Payload::Metadata(records) = &batch.data.payload {
            for (i, record) in (0i64..).zip(records.iter()) {
                self.image.apply(batch.base_offset.plus(i), record);
            }
        }
    }

    fn carry_out(&self, out: Effects, cx: &mut Context<'_>) {
        if let Err(error) = carry_out(out, cx) {
            cx.exit(Exit::Halted(Halt::Disk(error)));
        }
    }
}
