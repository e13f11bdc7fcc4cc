//! What producers, consumers and followers say: Produce, InitProducerId, Fetch, ListOffsets, OffsetForLeaderEpoch, Metadata,
//! DeleteRecords.

use super::batches::{Batches, sent, written};
use super::convert::*;
use kafka_protocol::messages as k;
use kafka_protocol::messages::{BrokerId, ProducerId as KafkaProducerId};
use klab_kafka::ids::*;
use klab_kafka::protocol::deletion::*;
use klab_kafka::protocol::fetch::*;
use klab_kafka::protocol::metadata::*;
use klab_kafka::protocol::offsets::*;
use klab_kafka::protocol::produce::*;
use klab_kafka::time::Timestamp;

impl Wire for ProduceRequest {
    type Kafka = k::ProduceRequest;

    fn to_kafka(&self) -> k::ProduceRequest {
        use k::produce_request as r;
        let partition = |p: &PartitionProduceData| {
            r::PartitionProduceData::default()
                .with_index(p.index)
                .with_records(Some(written(&[sent(&p.records)])))
        };
        let topics = self.topics.iter().map(|t| {
            r::TopicProduceData::default()
                .with_topic_id(topic(t.topic_id))
                .with_partition_data(t.partitions.iter().map(partition).collect())
        });
        k::ProduceRequest::default()
            .with_acks(self.acks)
            .with_timeout_ms(self.timeout_ms)
            .with_topic_data(topics.collect())
    }

    fn of_kafka(kafka: k::ProduceRequest, batches: &Batches) -> ProduceRequest {
        let topics = kafka.topic_data.into_iter().map(|t| TopicProduceData {
            topic_id: topic_id(t.topic_id),
            partitions: t
                .partition_data
                .into_iter()
                .map(|p| {
                    let read = batches.read(p.records.expect("there are records"));
                    let [batch] = &read[..] else {
                        panic!("exactly one batch")
                    };
                    PartitionProduceData {
                        index: p.index,
                        records: batch.data.clone(),
                    }
                })
                .collect(),
        });
        ProduceRequest {
            acks: kafka.acks,
            timeout_ms: kafka.timeout_ms,
            topics: topics.collect(),
        }
    }
}

impl Wire for ProduceResponse {
    type Kafka = k::ProduceResponse;

    fn to_kafka(&self) -> k::ProduceResponse {
        use k::produce_response as r;
        let partition = |p: &PartitionProduceResponse| {
            let (id, epoch) = leader(p.current_leader);
            let leader = r::LeaderIdAndEpoch::default()
                .with_leader_id(id)
                .with_leader_epoch(epoch);
            r::PartitionProduceResponse::default()
                .with_index(p.index)
                .with_error_code(p.error_code.code())
                .with_base_offset(p.base_offset.0)
                .with_log_append_time_ms(p.log_append_time.map_or(-1, |t| t.0))
                .with_log_start_offset(p.log_start_offset.0)
                .with_current_leader(leader)
        };
        let topics = self.responses.iter().map(|t| {
            r::TopicProduceResponse::default()
                .with_topic_id(topic(t.topic_id))
                .with_partition_responses(t.partitions.iter().map(partition).collect())
        });
        let endpoint = |e: &NodeEndpoint| {
            r::NodeEndpoint::default()
                .with_node_id(BrokerId(e.node_id.0))
                .with_host(host(e.address))
                .with_port(PORT.into())
                .with_rack(e.rack.as_deref().map(text))
        };
        k::ProduceResponse::default()
            .with_responses(topics.collect())
            .with_node_endpoints(self.node_endpoints.iter().map(endpoint).collect())
    }

    fn of_kafka(kafka: k::ProduceResponse, _: &Batches) -> ProduceResponse {
        let partition = |p: k::produce_response::PartitionProduceResponse| {
            let time = p.log_append_time_ms;
            PartitionProduceResponse {
                index: p.index,
                error_code: error(p.error_code),
                base_offset: Offset(p.base_offset),
                log_append_time: (time != -1).then_some(Timestamp(time)),
                log_start_offset: Offset(p.log_start_offset),
                current_leader: of_leader(
                    p.current_leader.leader_id,
                    p.current_leader.leader_epoch,
                ),
            }
        };
        let topics = kafka.responses.into_iter().map(|t| TopicProduceResponse {
            topic_id: topic_id(t.topic_id),
            partitions: t.partition_responses.into_iter().map(partition).collect(),
        });
        let endpoints = kafka.node_endpoints.into_iter();
        ProduceResponse {
            responses: topics.collect(),
            node_endpoints: endpoints
                .map(|e| endpoint(e.node_id, &e.host, e.rack))
                .collect(),
        }
    }
}

impl Wire for InitProducerIdRequest {
    type Kafka = k::InitProducerIdRequest;

    fn to_kafka(&self) -> k::InitProducerIdRequest {
        k::InitProducerIdRequest::default().with_transactional_id(None)
    }

    fn of_kafka(kafka: k::InitProducerIdRequest, _: &Batches) -> InitProducerIdRequest {
        assert_eq!(kafka.transactional_id, None);
        InitProducerIdRequest {}
    }
}

impl Wire for InitProducerIdResponse {
    type Kafka = k::InitProducerIdResponse;

    fn to_kafka(&self) -> k::InitProducerIdResponse {
        k::InitProducerIdResponse::default()
            .with_error_code(self.error_code.code())
            .with_producer_id(KafkaProducerId(self.producer_id.0))
            .with_producer_epoch(self.producer_epoch.0)
    }

    fn of_kafka(kafka: k::InitProducerIdResponse, _: &Batches) -> InitProducerIdResponse {
        InitProducerIdResponse {
            error_code: error(kafka.error_code),
            producer_id: ProducerId(kafka.producer_id.0),
            producer_epoch: ProducerEpoch(kafka.producer_epoch),
        }
    }
}

fn isolation(level: IsolationLevel) -> i8 {
    match level {
        IsolationLevel::ReadUncommitted => 0,
        IsolationLevel::ReadCommitted => 1,
    }
}

fn of_isolation(level: i8) -> IsolationLevel {
    match level {
        0 => IsolationLevel::ReadUncommitted,
        _ => IsolationLevel::ReadCommitted,
    }
}

impl Wire for FetchRequest {
    type Kafka = k::FetchRequest;

    fn to_kafka(&self) -> k::FetchRequest {
        use k::fetch_request as r;
        let partition = |p: &FetchPartition| {
            r::FetchPartition::default()
                .with_partition(p.partition)
                .with_current_leader_epoch(epoch(p.current_leader_epoch))
                .with_fetch_offset(p.fetch_offset.0)
                .with_last_fetched_epoch(epoch(p.last_fetched_epoch))
                .with_log_start_offset(offset(p.log_start_offset))
                .with_partition_max_bytes(p.partition_max_bytes)
                .with_high_watermark(p.high_watermark.map_or(i64::MAX, |hw| hw.0))
        };
        let topics = self.topics.iter().map(|t| {
            r::FetchTopic::default()
                .with_topic_id(topic(t.topic_id))
                .with_partitions(t.partitions.iter().map(partition).collect())
        });
        let replica = r::ReplicaState::default()
            .with_replica_id(broker(self.replica.map(|r| r.replica_id)))
            .with_replica_epoch(broker_epoch(self.replica.and_then(|r| r.replica_epoch)));
        k::FetchRequest::default()
            .with_replica_state(replica)
            .with_max_wait_ms(self.max_wait_ms)
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.max_bytes)
            .with_isolation_level(isolation(self.isolation_level))
            .with_topics(topics.collect())
    }

    fn of_kafka(kafka: k::FetchRequest, _: &Batches) -> FetchRequest {
        let partition = |p: k::fetch_request::FetchPartition| FetchPartition {
            partition: p.partition,
            current_leader_epoch: of_epoch(p.current_leader_epoch),
            fetch_offset: Offset(p.fetch_offset),
            last_fetched_epoch: of_epoch(p.last_fetched_epoch),
            log_start_offset: of_offset(p.log_start_offset),
            partition_max_bytes: p.partition_max_bytes,
            high_watermark: (p.high_watermark != i64::MAX).then_some(Offset(p.high_watermark)),
        };
        let topics = kafka.topics.into_iter().map(|t| FetchTopic {
            topic_id: topic_id(t.topic_id),
            partitions: t.partitions.into_iter().map(partition).collect(),
        });
        let replica = kafka.replica_state;
        FetchRequest {
            replica: of_broker(replica.replica_id).map(|replica_id| ReplicaState {
                replica_id,
                replica_epoch: of_broker_epoch(replica.replica_epoch),
            }),
            max_wait_ms: kafka.max_wait_ms,
            min_bytes: kafka.min_bytes,
            max_bytes: kafka.max_bytes,
            isolation_level: of_isolation(kafka.isolation_level),
            topics: topics.collect(),
        }
    }
}

impl Wire for FetchResponse {
    type Kafka = k::FetchResponse;

    fn to_kafka(&self) -> k::FetchResponse {
        use k::fetch_response as r;
        let partition = |p: &FetchPartitionResponse| {
            let (id, leader_epoch) = leader(p.current_leader);
            let leader = r::LeaderIdAndEpoch::default()
                .with_leader_id(id)
                .with_leader_epoch(leader_epoch);
            let diverging = r::EpochEndOffset::default()
                .with_epoch(epoch(p.diverging_epoch.map(|d| d.epoch)))
                .with_end_offset(offset(p.diverging_epoch.map(|d| d.end_offset)));
            r::PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(p.error_code.code())
                .with_high_watermark(offset(p.high_watermark))
                .with_last_stable_offset(offset(p.last_stable_offset))
                .with_log_start_offset(p.log_start_offset.0)
                .with_diverging_epoch(diverging)
                .with_current_leader(leader)
                .with_records(Some(written(&p.records)))
        };
        let topics = self.topics.iter().map(|t| {
            r::FetchableTopicResponse::default()
                .with_topic_id(topic(t.topic_id))
                .with_partitions(t.partitions.iter().map(partition).collect())
        });
        let endpoint = |e: &NodeEndpoint| {
            r::NodeEndpoint::default()
                .with_node_id(BrokerId(e.node_id.0))
                .with_host(host(e.address))
                .with_port(PORT.into())
                .with_rack(e.rack.as_deref().map(text))
        };
        k::FetchResponse::default()
            .with_error_code(self.error_code.code())
            .with_responses(topics.collect())
            .with_node_endpoints(self.node_endpoints.iter().map(endpoint).collect())
    }

    fn of_kafka(kafka: k::FetchResponse, batches: &Batches) -> FetchResponse {
        let partition = |p: k::fetch_response::PartitionData| {
            let diverging = p.diverging_epoch;
            FetchPartitionResponse {
                partition: p.partition_index,
                error_code: error(p.error_code),
                high_watermark: of_offset(p.high_watermark),
                last_stable_offset: of_offset(p.last_stable_offset),
                log_start_offset: Offset(p.log_start_offset),
                diverging_epoch: of_epoch(diverging.epoch).map(|epoch| EpochEndOffset {
                    epoch,
                    end_offset: Offset(diverging.end_offset),
                }),
                current_leader: of_leader(
                    p.current_leader.leader_id,
                    p.current_leader.leader_epoch,
                ),
                records: batches.read(p.records.unwrap_or_default()),
            }
        };
        let topics = kafka.responses.into_iter().map(|t| FetchTopicResponse {
            topic_id: topic_id(t.topic_id),
            partitions: t.partitions.into_iter().map(partition).collect(),
        });
        let endpoints = kafka.node_endpoints.into_iter();
        FetchResponse {
            error_code: error(kafka.error_code),
            topics: topics.collect(),
            node_endpoints: endpoints
                .map(|e| endpoint(e.node_id, &e.host, e.rack))
                .collect(),
        }
    }
}

fn spec(at: OffsetSpec) -> i64 {
    match at {
        OffsetSpec::Latest => -1,
        OffsetSpec::Earliest => -2,
        OffsetSpec::MaxTimestamp => -3,
        OffsetSpec::At(time) => time.0,
    }
}

fn of_spec(at: i64) -> OffsetSpec {
    match at {
        -1 => OffsetSpec::Latest,
        -2 => OffsetSpec::Earliest,
        -3 => OffsetSpec::MaxTimestamp,
        time => OffsetSpec::At(Timestamp(time)),
    }
}

impl Wire for ListOffsetsRequest {
    type Kafka = k::ListOffsetsRequest;

    fn to_kafka(&self) -> k::ListOffsetsRequest {
        use k::list_offsets_request as r;
        let partition = |p: &ListOffsetsPartition| {
            let asked = r::ListOffsetsPartition::default()
                .with_partition_index(p.partition)
                .with_current_leader_epoch(epoch(p.current_leader_epoch))
                .with_timestamp(spec(p.at));
            (p.topic_id, asked)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::ListOffsetsTopic::default()
                .with_name(named(id))
                .with_partitions(partitions)
        };
        k::ListOffsetsRequest::default()
            .with_replica_id(broker(self.replica_id))
            .with_isolation_level(isolation(self.isolation_level))
            .with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::ListOffsetsRequest, _: &Batches) -> ListOffsetsRequest {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.name);
            t.partitions.into_iter().map(move |p| ListOffsetsPartition {
                topic_id,
                partition: p.partition_index,
                current_leader_epoch: of_epoch(p.current_leader_epoch),
                at: of_spec(p.timestamp),
            })
        });
        ListOffsetsRequest {
            replica_id: of_broker(kafka.replica_id),
            isolation_level: of_isolation(kafka.isolation_level),
            partitions: partitions.collect(),
        }
    }
}

impl Wire for ListOffsetsResponse {
    type Kafka = k::ListOffsetsResponse;

    fn to_kafka(&self) -> k::ListOffsetsResponse {
        use k::list_offsets_response as r;
        let partition = |p: &ListOffsetsPartitionResponse| {
            let found = r::ListOffsetsPartitionResponse::default()
                .with_partition_index(p.partition)
                .with_error_code(p.error_code.code())
                .with_offset(offset(p.offset))
                .with_timestamp(p.timestamp.0)
                .with_leader_epoch(epoch(p.leader_epoch));
            (p.topic_id, found)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::ListOffsetsTopicResponse::default()
                .with_name(named(id))
                .with_partitions(partitions)
        };
        k::ListOffsetsResponse::default().with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::ListOffsetsResponse, _: &Batches) -> ListOffsetsResponse {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.name);
            let partitions = t.partitions.into_iter();
            partitions.map(move |p| ListOffsetsPartitionResponse {
                topic_id,
                partition: p.partition_index,
                error_code: error(p.error_code),
                offset: of_offset(p.offset),
                timestamp: Timestamp(p.timestamp),
                leader_epoch: of_epoch(p.leader_epoch),
            })
        });
        ListOffsetsResponse {
            partitions: partitions.collect(),
        }
    }
}

impl Wire for OffsetForLeaderEpochRequest {
    type Kafka = k::OffsetForLeaderEpochRequest;

    fn to_kafka(&self) -> k::OffsetForLeaderEpochRequest {
        use k::offset_for_leader_epoch_request as r;
        let partition = |p: &OffsetForLeaderPartition| {
            let asked = r::OffsetForLeaderPartition::default()
                .with_partition(p.partition)
                .with_current_leader_epoch(epoch(p.current_leader_epoch))
                .with_leader_epoch(p.leader_epoch.0);
            (p.topic_id, asked)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::OffsetForLeaderTopic::default()
                .with_topic(named(id))
                .with_partitions(partitions)
        };
        k::OffsetForLeaderEpochRequest::default()
            .with_replica_id(broker(self.replica_id))
            .with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::OffsetForLeaderEpochRequest, _: &Batches) -> OffsetForLeaderEpochRequest {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.topic);
            let partitions = t.partitions.into_iter();
            partitions.map(move |p| OffsetForLeaderPartition {
                topic_id,
                partition: p.partition,
                current_leader_epoch: of_epoch(p.current_leader_epoch),
                leader_epoch: LeaderEpoch(p.leader_epoch),
            })
        });
        OffsetForLeaderEpochRequest {
            replica_id: of_broker(kafka.replica_id),
            partitions: partitions.collect(),
        }
    }
}

impl Wire for OffsetForLeaderEpochResponse {
    type Kafka = k::OffsetForLeaderEpochResponse;

    fn to_kafka(&self) -> k::OffsetForLeaderEpochResponse {
        use k::offset_for_leader_epoch_response as r;
        let partition = |p: &OffsetForLeaderPartitionResponse| {
            let end = r::EpochEndOffset::default()
                .with_partition(p.partition)
                .with_error_code(p.error_code.code())
                .with_leader_epoch(epoch(p.leader_epoch))
                .with_end_offset(offset(p.end_offset));
            (p.topic_id, end)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::OffsetForLeaderTopicResult::default()
                .with_topic(named(id))
                .with_partitions(partitions)
        };
        let topics = topics.into_iter().map(topic).collect();
        k::OffsetForLeaderEpochResponse::default().with_topics(topics)
    }

    fn of_kafka(
        kafka: k::OffsetForLeaderEpochResponse,
        _: &Batches,
    ) -> OffsetForLeaderEpochResponse {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.topic);
            let partitions = t.partitions.into_iter();
            partitions.map(move |p| OffsetForLeaderPartitionResponse {
                topic_id,
                partition: p.partition,
                error_code: error(p.error_code),
                leader_epoch: of_epoch(p.leader_epoch),
                end_offset: of_offset(p.end_offset),
            })
        });
        OffsetForLeaderEpochResponse {
            partitions: partitions.collect(),
        }
    }
}

impl Wire for MetadataRequest {
    type Kafka = k::MetadataRequest;

    fn to_kafka(&self) -> k::MetadataRequest {
        let topic = |topic: &std::sync::Arc<str>| {
            k::metadata_request::MetadataRequestTopic::default().with_name(Some(name(topic)))
        };
        let topics = self.topics.as_ref();
        k::MetadataRequest::default()
            .with_topics(topics.map(|all| all.iter().map(topic).collect()))
            .with_allow_auto_topic_creation(self.allow_auto_topic_creation)
    }

    fn of_kafka(kafka: k::MetadataRequest, _: &Batches) -> MetadataRequest {
        let topic = |t: k::metadata_request::MetadataRequestTopic| {
            arc(&t.name.expect("klab asks by name").0)
        };
        let topics = kafka.topics;
        MetadataRequest {
            topics: topics.map(|all| all.into_iter().map(topic).collect()),
            allow_auto_topic_creation: kafka.allow_auto_topic_creation,
        }
    }
}

impl Wire for MetadataResponse {
    type Kafka = k::MetadataResponse;

    fn to_kafka(&self) -> k::MetadataResponse {
        use k::metadata_response as r;
        let partition = |p: &MetadataPartition| {
            r::MetadataResponsePartition::default()
                .with_error_code(p.error_code.code())
                .with_partition_index(p.partition_index)
                .with_leader_id(broker(p.leader_id))
                .with_leader_epoch(p.leader_epoch.0)
                .with_replica_nodes(nodes(&p.replica_nodes))
                .with_isr_nodes(nodes(&p.isr_nodes))
                .with_offline_replicas(nodes(&p.offline_replicas))
        };
        let topics = self.topics.iter().map(|t| {
            r::MetadataResponseTopic::default()
                .with_error_code(t.error_code.code())
                .with_name(Some(name(&t.name)))
                .with_topic_id(topic(t.topic_id))
                .with_partitions(t.partitions.iter().map(partition).collect())
        });
        let broker_of = |e: &NodeEndpoint| {
            r::MetadataResponseBroker::default()
                .with_node_id(BrokerId(e.node_id.0))
                .with_host(host(e.address))
                .with_port(PORT.into())
                .with_rack(e.rack.as_deref().map(text))
        };
        k::MetadataResponse::default()
            .with_brokers(self.brokers.iter().map(broker_of).collect())
            .with_controller_id(broker(self.controller_id))
            .with_topics(topics.collect())
    }

    fn of_kafka(kafka: k::MetadataResponse, _: &Batches) -> MetadataResponse {
        let partition = |p: k::metadata_response::MetadataResponsePartition| MetadataPartition {
            error_code: error(p.error_code),
            partition_index: p.partition_index,
            leader_id: of_broker(p.leader_id),
            leader_epoch: LeaderEpoch(p.leader_epoch),
            replica_nodes: of_nodes(&p.replica_nodes),
            isr_nodes: of_nodes(&p.isr_nodes),
            offline_replicas: of_nodes(&p.offline_replicas),
        };
        let topics = kafka.topics.into_iter().map(|t| MetadataTopic {
            error_code: error(t.error_code),
            name: arc(&t.name.expect("klab answers by name").0),
            topic_id: topic_id(t.topic_id),
            partitions: t.partitions.into_iter().map(partition).collect(),
        });
        let brokers = kafka.brokers.into_iter();
        MetadataResponse {
            brokers: brokers
                .map(|e| endpoint(e.node_id, &e.host, e.rack))
                .collect(),
            controller_id: of_broker(kafka.controller_id),
            topics: topics.collect(),
        }
    }
}

impl Wire for DeleteRecordsRequest {
    type Kafka = k::DeleteRecordsRequest;

    fn to_kafka(&self) -> k::DeleteRecordsRequest {
        use k::delete_records_request as r;
        let partition = |p: &DeleteRecordsPartition| {
            let asked = r::DeleteRecordsPartition::default()
                .with_partition_index(p.partition)
                .with_offset(p.offset.0);
            (p.topic_id, asked)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::DeleteRecordsTopic::default()
                .with_name(named(id))
                .with_partitions(partitions)
        };
        k::DeleteRecordsRequest::default()
            .with_topics(topics.into_iter().map(topic).collect())
            .with_timeout_ms(self.timeout_ms)
    }

    fn of_kafka(kafka: k::DeleteRecordsRequest, _: &Batches) -> DeleteRecordsRequest {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.name);
            let partitions = t.partitions.into_iter();
            partitions.map(move |p| DeleteRecordsPartition {
                topic_id,
                partition: p.partition_index,
                offset: Offset(p.offset),
            })
        });
        DeleteRecordsRequest {
            partitions: partitions.collect(),
            timeout_ms: kafka.timeout_ms,
        }
    }
}

impl Wire for DeleteRecordsResponse {
    type Kafka = k::DeleteRecordsResponse;

    fn to_kafka(&self) -> k::DeleteRecordsResponse {
        use k::delete_records_response as r;
        let partition = |p: &DeleteRecordsPartitionResponse| {
            let result = r::DeleteRecordsPartitionResult::default()
                .with_partition_index(p.partition)
                .with_low_watermark(p.low_watermark.0)
                .with_error_code(p.error_code.code());
            (p.topic_id, result)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::DeleteRecordsTopicResult::default()
                .with_name(named(id))
                .with_partitions(partitions)
        };
        k::DeleteRecordsResponse::default().with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::DeleteRecordsResponse, _: &Batches) -> DeleteRecordsResponse {
        let partitions = kafka.topics.into_iter().flat_map(|t| {
            let topic_id = id_of(&t.name);
            let partitions = t.partitions.into_iter();
            partitions.map(move |p| DeleteRecordsPartitionResponse {
                topic_id,
                partition: p.partition_index,
                low_watermark: Offset(p.low_watermark),
                error_code: error(p.error_code),
            })
        });
        DeleteRecordsResponse {
            partitions: partitions.collect(),
        }
    }
}
