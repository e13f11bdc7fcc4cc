//! Any message, from a seed: every variant, every field, present and absent.

use bytes::Bytes;
use klab_kafka::config::layers::Source;
use klab_kafka::config::{Configs, ServerConfig, TopicConfig};
use klab_kafka::ids::*;
use klab_kafka::log::batch::{BatchData, PlainRecord, ProducerStamp, RecordBatch};
use klab_kafka::protocol::admin::*;
use klab_kafka::protocol::cluster::*;
use klab_kafka::protocol::deletion::*;
use klab_kafka::protocol::fetch::*;
use klab_kafka::protocol::metadata::*;
use klab_kafka::protocol::offsets::*;
use klab_kafka::protocol::produce::*;
use klab_kafka::protocol::quorum::*;
use klab_kafka::protocol::{Api, ErrorCode, Request, Response};
use klab_kafka::time::Timestamp;
use std::sync::Arc;

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Small and large ones, never negative.
    fn i64(&mut self) -> i64 {
        let shift = self.below(60) as u32 + 2;
        (self.next() >> shift) as i64
    }

    fn i32(&mut self) -> i32 {
        (self.i64() & 0x7fff_ffff) as i32
    }

    fn maybe<T>(&mut self, some: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.flag().then(|| some(self))
    }

    fn list<T, L: FromIterator<T>>(&mut self, mut one: impl FnMut(&mut Dice) -> T) -> L {
        (0..self.below(4)).map(|_| one(self)).collect()
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn text(&mut self) -> Arc<str> {
        self.pick(&["orders", "payments", "a.b-c_d", "é", "sensor-17"])
            .into()
    }

    fn topic(&mut self) -> TopicId {
        TopicId(u128::from(self.next()) << 64 | u128::from(self.next()))
    }

    fn error(&mut self) -> ErrorCode {
        self.pick(ErrorCode::ALL)
    }

    fn node(&mut self) -> NodeId {
        NodeId(self.i32())
    }

    fn nodes(&mut self) -> Vec<NodeId> {
        self.list(Dice::node)
    }

    fn epoch(&mut self) -> LeaderEpoch {
        LeaderEpoch(self.i32())
    }

    fn offset(&mut self) -> Offset {
        Offset(self.i64())
    }

    fn broker_epoch(&mut self) -> BrokerEpoch {
        BrokerEpoch(self.i64())
    }

    fn endpoint(&mut self) -> NodeEndpoint {
        NodeEndpoint {
            node_id: self.node(),
            address: Address(self.i32() as u32),
            rack: self.maybe(Dice::text),
        }
    }

    fn leader(&mut self) -> LeaderIdAndEpoch {
        LeaderIdAndEpoch {
            leader_id: self.node(),
            leader_epoch: self.epoch(),
        }
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.pick(&[0, 1, 7, 63, 64, 300]);
        (0..length).map(|_| self.next() as u8).collect()
    }

    pub fn record(&mut self) -> PlainRecord {
        PlainRecord {
            id: RecordId {
                source: 1,
                number: self.i32() as u32,
            },
            timestamp: Timestamp(self.i64()),
            key: self.maybe(Dice::bytes),
            value: self.maybe(Dice::bytes),
            headers: self.list(|d| (Bytes::from(d.text().to_string()), d.maybe(Dice::bytes))),
        }
    }

    pub fn records(&mut self) -> Vec<PlainRecord> {
        (0..=self.below(5)).map(|_| self.record()).collect()
    }

    fn data(&mut self) -> Arc<BatchData> {
        let producer = self.maybe(|d| ProducerStamp {
            id: ProducerId(d.i64()),
            epoch: ProducerEpoch(d.i32() as i16 & 0x7fff),
            base_sequence: d.i32(),
        });
        Arc::new(BatchData::of_records(&self.records(), producer))
    }

    fn batch(&mut self) -> RecordBatch {
        RecordBatch {
            base_offset: self.offset(),
            leader_epoch: self.epoch(),
            data: self.data(),
        }
    }

    fn resource(&mut self) -> ConfigResource {
        match self.below(3) {
            0 => ConfigResource::Topic(self.text()),
            1 => ConfigResource::Broker(self.node()),
            _ => ConfigResource::AllBrokers,
        }
    }

    fn topic_ref(&mut self) -> TopicRef {
        match self.flag() {
            true => TopicRef::Name(self.text()),
            false => TopicRef::Id(self.topic()),
        }
    }

    fn source(&mut self) -> Source {
        self.pick(&[
            Source::Topic,
            Source::Broker,
            Source::AllBrokers,
            Source::Static,
            Source::Default,
        ])
    }

    fn recovery(&mut self) -> LeaderRecoveryState {
        self.pick(&[
            LeaderRecoveryState::Recovered,
            LeaderRecoveryState::Recovering,
        ])
    }

    fn isolation(&mut self) -> IsolationLevel {
        self.pick(&[
            IsolationLevel::ReadUncommitted,
            IsolationLevel::ReadCommitted,
        ])
    }
}

/// Any request of an API.
pub fn request(api: Api, d: &mut Dice) -> Request {
    match api {
        Api::Produce => Request::Produce(ProduceRequest {
            acks: d.pick(&[0, 1, -1]),
            timeout_ms: d.i32(),
            topics: d.list(|d| TopicProduceData {
                topic_id: d.topic(),
                partitions: d.list(|d| PartitionProduceData {
                    index: d.i32(),
                    records: d.data(),
                }),
            }),
        }),
        Api::Fetch => Request::Fetch(FetchRequest {
            replica: d.maybe(|d| ReplicaState {
                replica_id: d.node(),
                replica_epoch: d.maybe(Dice::broker_epoch),
            }),
            max_wait_ms: d.i32(),
            min_bytes: d.i32(),
            max_bytes: d.i32(),
            isolation_level: d.isolation(),
            topics: d.list(|d| FetchTopic {
                topic_id: d.topic(),
                partitions: d.list(|d| FetchPartition {
                    partition: d.i32(),
                    current_leader_epoch: d.maybe(Dice::epoch),
                    fetch_offset: d.offset(),
                    last_fetched_epoch: d.maybe(Dice::epoch),
                    log_start_offset: d.maybe(Dice::offset),
                    partition_max_bytes: d.i32(),
                    high_watermark: d.maybe(Dice::offset),
                }),
            }),
        }),
        Api::ListOffsets => Request::ListOffsets(ListOffsetsRequest {
            replica_id: d.maybe(Dice::node),
            isolation_level: d.isolation(),
            partitions: d.list(|d| ListOffsetsPartition {
                topic_id: d.topic(),
                partition: d.i32(),
                current_leader_epoch: d.maybe(Dice::epoch),
                at: match d.below(4) {
                    0 => OffsetSpec::Earliest,
                    1 => OffsetSpec::Latest,
                    2 => OffsetSpec::MaxTimestamp,
                    _ => OffsetSpec::At(Timestamp(d.i64())),
                },
            }),
        }),
        Api::OffsetForLeaderEpoch => Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest {
            replica_id: d.maybe(Dice::node),
            partitions: d.list(|d| OffsetForLeaderPartition {
                topic_id: d.topic(),
                partition: d.i32(),
                current_leader_epoch: d.maybe(Dice::epoch),
                leader_epoch: d.epoch(),
            }),
        }),
        Api::Metadata => Request::Metadata(MetadataRequest {
            topics: d.maybe(|d| d.list(Dice::text)),
            allow_auto_topic_creation: d.flag(),
        }),
        Api::InitProducerId => Request::InitProducerId(InitProducerIdRequest {}),
        Api::DeleteRecords => Request::DeleteRecords(DeleteRecordsRequest {
            partitions: d.list(|d| DeleteRecordsPartition {
                topic_id: d.topic(),
                partition: d.i32(),
                offset: Offset(d.i64() - 1),
            }),
            timeout_ms: d.i32(),
        }),
        other => admin_request(other, d),
    }
}

fn admin_request(api: Api, d: &mut Dice) -> Request {
    match api {
        Api::CreateTopics => Request::CreateTopics(CreateTopicsRequest {
            topics: d.list(|d| CreatableTopic {
                name: d.text(),
                num_partitions: d.maybe(Dice::i32),
                replication_factor: d.maybe(|d| d.i32() as i16 & 0x7fff),
                assignments: d.list(Dice::nodes),
                configs: d.list(|d| (d.text(), d.text())),
            }),
            timeout_ms: d.i32(),
            validate_only: d.flag(),
        }),
        Api::DeleteTopics => Request::DeleteTopics(DeleteTopicsRequest {
            topics: d.list(Dice::topic_ref),
            timeout_ms: d.i32(),
        }),
        Api::CreatePartitions => Request::CreatePartitions(CreatePartitionsRequest {
            topics: d.list(|d| CreatePartitionsTopic {
                name: d.text(),
                count: d.i32(),
                assignments: d.maybe(|d| d.list(Dice::nodes)),
            }),
            timeout_ms: d.i32(),
            validate_only: d.flag(),
        }),
        Api::ElectLeaders => Request::ElectLeaders(ElectLeadersRequest {
            election_type: d.pick(&[ElectionType::Preferred, ElectionType::Unclean]),
            partitions: d.maybe(|d| d.list(|d| (d.text(), d.i32()))),
            timeout_ms: d.i32(),
        }),
        Api::DescribeConfigs => Request::DescribeConfigs(DescribeConfigsRequest {
            resources: d.list(Dice::resource),
        }),
        Api::IncrementalAlterConfigs => {
            Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
                resources: d.list(|d| AlterConfigsResource {
                    resource: d.resource(),
                    configs: d.list(|d| (d.text(), d.maybe(Dice::text))),
                }),
                validate_only: d.flag(),
            })
        }
        Api::Envelope => {
            let inner = d.pick(&[Api::CreateTopics, Api::DeleteTopics, Api::ElectLeaders]);
            Request::Envelope(Box::new(admin_request(inner, d)))
        }
        other => server_request(other, d),
    }
}

fn server_request(api: Api, d: &mut Dice) -> Request {
    match api {
        Api::BrokerRegistration => Request::BrokerRegistration(BrokerRegistrationRequest {
            broker_id: d.node(),
            incarnation_id: IncarnationId(d.topic().0),
            address: Address(d.i32() as u32),
            rack: d.maybe(Dice::text),
            previous_broker_epoch: d.maybe(Dice::broker_epoch),
        }),
        Api::BrokerHeartbeat => Request::BrokerHeartbeat(BrokerHeartbeatRequest {
            broker_id: d.node(),
            broker_epoch: d.broker_epoch(),
            current_metadata_offset: d.offset(),
            want_fence: d.flag(),
            want_shut_down: d.flag(),
        }),
        Api::AlterPartition => Request::AlterPartition(AlterPartitionRequest {
            broker_id: d.node(),
            broker_epoch: d.broker_epoch(),
            partitions: d.list(|d| AlterPartitionData {
                topic_id: d.topic(),
                partition: d.i32(),
                leader_epoch: d.epoch(),
                new_isr: d.list(|d| BrokerState {
                    broker_id: d.node(),
                    broker_epoch: d.maybe(Dice::broker_epoch),
                }),
                leader_recovery_state: d.recovery(),
                partition_epoch: PartitionEpoch(d.i32()),
            }),
        }),
        Api::AllocateProducerIds => Request::AllocateProducerIds(AllocateProducerIdsRequest {
            broker_id: d.node(),
            broker_epoch: d.broker_epoch(),
        }),
        Api::Vote => Request::Vote(VoteRequest {
            replica_epoch: d.epoch(),
            replica_id: d.node(),
            last_epoch: d.epoch(),
            last_epoch_end_offset: d.offset(),
            pre_vote: d.flag(),
        }),
        Api::BeginQuorumEpoch => Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
            leader_id: d.node(),
            leader_epoch: d.epoch(),
        }),
        Api::EndQuorumEpoch => Request::EndQuorumEpoch(EndQuorumEpochRequest {
            leader_id: d.node(),
            leader_epoch: d.epoch(),
            preferred_successors: d.nodes(),
        }),
        other => unreachable!("because {other:?} is a client's or an operator's"),
    }
}

/// Any answer of an API.
pub fn response(api: Api, d: &mut Dice) -> Response {
    match api {
        Api::Produce => Response::Produce(ProduceResponse {
            responses: d.list(|d| TopicProduceResponse {
                topic_id: d.topic(),
                partitions: d.list(|d| PartitionProduceResponse {
                    index: d.i32(),
                    error_code: d.error(),
                    base_offset: Offset(d.i64() - 1),
                    log_append_time: d.maybe(|d| Timestamp(d.i64())),
                    log_start_offset: Offset(d.i64() - 1),
                    current_leader: d.maybe(Dice::leader),
                }),
            }),
            node_endpoints: d.list(Dice::endpoint),
        }),
        Api::Fetch => Response::Fetch(FetchResponse {
            error_code: d.error(),
            topics: d.list(|d| FetchTopicResponse {
                topic_id: d.topic(),
                partitions: d.list(|d| FetchPartitionResponse {
                    partition: d.i32(),
                    error_code: d.error(),
                    high_watermark: d.maybe(Dice::offset),
                    last_stable_offset: d.maybe(Dice::offset),
                    log_start_offset: Offset(d.i64() - 1),
                    diverging_epoch: d.maybe(|d| EpochEndOffset {
                        epoch: d.epoch(),
                        end_offset: d.offset(),
                    }),
                    current_leader: d.maybe(Dice::leader),
                    records: d.list(Dice::batch),
                }),
            }),
            node_endpoints: d.list(Dice::endpoint),
        }),
        Api::ListOffsets => Response::ListOffsets(ListOffsetsResponse {
            partitions: d.list(|d| ListOffsetsPartitionResponse {
                topic_id: d.topic(),
                partition: d.i32(),
                error_code: d.error(),
                offset: d.maybe(Dice::offset),
                timestamp: Timestamp(d.i64() - 1),
                leader_epoch: d.maybe(Dice::epoch),
            }),
        }),
        Api::OffsetForLeaderEpoch => Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse {
            partitions: d.list(|d| OffsetForLeaderPartitionResponse {
                topic_id: d.topic(),
                partition: d.i32(),
                error_code: d.error(),
                leader_epoch: d.maybe(Dice::epoch),
                end_offset: d.maybe(Dice::offset),
            }),
        }),
        Api::Metadata => Response::Metadata(MetadataResponse {
            brokers: d.list(Dice::endpoint),
            controller_id: d.maybe(Dice::node),
            topics: d.list(|d| MetadataTopic {
                error_code: d.error(),
                name: d.text(),
                topic_id: d.topic(),
                partitions: d.list(|d| MetadataPartition {
                    error_code: d.error(),
                    partition_index: d.i32(),
                    leader_id: d.maybe(Dice::node),
                    leader_epoch: d.epoch(),
                    replica_nodes: d.nodes(),
                    isr_nodes: d.nodes(),
                    offline_replicas: d.nodes(),
                }),
            }),
        }),
        Api::InitProducerId => Response::InitProducerId(InitProducerIdResponse {
            error_code: d.error(),
            producer_id: ProducerId(d.i64()),
            producer_epoch: ProducerEpoch(d.i32() as i16),
        }),
        Api::DeleteRecords => Response::DeleteRecords(DeleteRecordsResponse {
            partitions: d.list(|d| DeleteRecordsPartitionResponse {
                topic_id: d.topic(),
                partition: d.i32(),
                low_watermark: Offset(d.i64() - 1),
                error_code: d.error(),
            }),
        }),
        other => admin_response(other, d),
    }
}

fn admin_response(api: Api, d: &mut Dice) -> Response {
    match api {
        Api::CreateTopics => Response::CreateTopics(CreateTopicsResponse {
            topics: d.list(|d| CreatableTopicResult {
                name: d.text(),
                topic_id: d.maybe(Dice::topic),
                error_code: d.error(),
                error_message: d.maybe(Dice::text),
            }),
        }),
        Api::DeleteTopics => Response::DeleteTopics(DeleteTopicsResponse {
            responses: d.list(|d| DeletableTopicResult {
                topic: d.topic_ref(),
                error_code: d.error(),
            }),
        }),
        Api::CreatePartitions => Response::CreatePartitions(CreatePartitionsResponse {
            results: d.list(|d| CreatePartitionsTopicResult {
                name: d.text(),
                error_code: d.error(),
                error_message: d.maybe(Dice::text),
            }),
        }),
        Api::ElectLeaders => Response::ElectLeaders(ElectLeadersResponse {
            error_code: d.error(),
            results: d.list(|d| (d.text(), d.i32(), d.error())),
        }),
        Api::DescribeConfigs => Response::DescribeConfigs(DescribeConfigsResponse {
            results: d.list(|d| DescribeConfigsResult {
                resource: d.resource(),
                error_code: d.error(),
                configs: d.list(|d| DescribedConfig {
                    name: TopicConfig::KEYS[d.below(TopicConfig::KEYS.len())].name,
                    value: d.text(),
                    read_only: d.flag(),
                    source: d.source(),
                    synonyms: d.list(|d| ConfigSynonym {
                        name: ServerConfig::KEYS[d.below(ServerConfig::KEYS.len())].name,
                        value: d.text(),
                        source: d.source(),
                    }),
                }),
            }),
        }),
        Api::IncrementalAlterConfigs => {
            Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse {
                responses: d.list(|d| AlterConfigsResult {
                    resource: d.resource(),
                    error_code: d.error(),
                    error_message: d.maybe(Dice::text),
                }),
            })
        }
        Api::Envelope => {
            let inner = d.pick(&[Api::CreateTopics, Api::DeleteTopics, Api::ElectLeaders]);
            Response::Envelope(match d.flag() {
                true => Ok(Box::new(admin_response(inner, d))),
                false => Err(ErrorCode::NotController),
            })
        }
        other => server_response(other, d),
    }
}

fn server_response(api: Api, d: &mut Dice) -> Response {
    match api {
        Api::BrokerRegistration => Response::BrokerRegistration(BrokerRegistrationResponse {
            error_code: d.error(),
            broker_epoch: d.maybe(Dice::broker_epoch),
        }),
        Api::BrokerHeartbeat => Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            error_code: d.error(),
            is_caught_up: d.flag(),
            is_fenced: d.flag(),
            should_shut_down: d.flag(),
        }),
        Api::AlterPartition => Response::AlterPartition(AlterPartitionResponse {
            error_code: d.error(),
            partitions: d.list(|d| AlterPartitionResult {
                topic_id: d.topic(),
                partition: d.i32(),
                error_code: d.error(),
                leader_id: d.maybe(Dice::node),
                leader_epoch: d.epoch(),
                isr: d.nodes(),
                leader_recovery_state: d.recovery(),
                partition_epoch: PartitionEpoch(d.i32()),
            }),
        }),
        Api::AllocateProducerIds => Response::AllocateProducerIds(AllocateProducerIdsResponse {
            error_code: d.error(),
            producer_id_start: ProducerId(d.i64()),
            producer_id_len: d.i32(),
        }),
        Api::Vote => Response::Vote(VoteResponse {
            error_code: d.error(),
            leader_id: d.maybe(Dice::node),
            leader_epoch: d.epoch(),
            vote_granted: d.flag(),
        }),
        Api::BeginQuorumEpoch => Response::BeginQuorumEpoch(quorum_epoch(d)),
        Api::EndQuorumEpoch => Response::EndQuorumEpoch(quorum_epoch(d)),
        other => unreachable!("because {other:?} is a client's or an operator's"),
    }
}

fn quorum_epoch(d: &mut Dice) -> QuorumEpochResponse {
    QuorumEpochResponse {
        error_code: d.error(),
        leader_id: d.maybe(Dice::node),
        leader_epoch: d.epoch(),
    }
}
