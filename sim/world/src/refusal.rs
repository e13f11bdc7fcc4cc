//! What the world answers in a broker's place: the response that carries an error to a request, as Kafka's own
//! `getErrorResponse` makes it. The broker never sees the request.
//!
//! Left out: requests that have no answer (acks=0), Metadata (whose errors stand at topics of a cluster that the answer would
//! have to invent), what Raft replicas say to one another, and envelopes.

use crate::network::{Arrival, Taken};
use crate::trace::What;
use crate::world::World;
use klab_kafka::ids::{METADATA_TOPIC, Offset, ProducerEpoch, ProducerId};
use klab_kafka::protocol::admin::{
    AlterConfigsResult, CreatableTopicResult, CreatePartitionsResponse,
    CreatePartitionsTopicResult, CreateTopicsResponse, DeletableTopicResult, DeleteTopicsResponse,
    DescribeConfigsResponse, DescribeConfigsResult, ElectLeadersResponse,
    IncrementalAlterConfigsResponse,
};
use klab_kafka::protocol::cluster::{
    AllocateProducerIdsResponse, AlterPartitionResponse, BrokerHeartbeatResponse,
    BrokerRegistrationResponse,
};
use klab_kafka::protocol::deletion::{DeleteRecordsPartitionResponse, DeleteRecordsResponse};
use klab_kafka::protocol::fetch::{FetchPartitionResponse, FetchResponse, FetchTopicResponse};
use klab_kafka::protocol::offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartitionResponse,
};
use klab_kafka::protocol::produce::{
    InitProducerIdResponse, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use klab_kafka::protocol::{Api, ErrorCode, Request, Response};

/// The APIs that can be answered in a server's place.
pub const ANSWERABLE: [Api; 15] = [
    Api::Produce,
    Api::Fetch,
    Api::ListOffsets,
    Api::OffsetForLeaderEpoch,
    Api::InitProducerId,
    Api::CreateTopics,
    Api::DeleteTopics,
    Api::DeleteRecords,
    Api::CreatePartitions,
    Api::ElectLeaders,
    Api::DescribeConfigs,
    Api::IncrementalAlterConfigs,
    Api::AlterPartition,
    Api::BrokerRegistration,
    Api::BrokerHeartbeat,
];

/// The answer that refuses a request with an error; none if it has no such answer.
pub fn refusal(request: &Request, error: ErrorCode) -> Option<Response> {
    Some(match request {
        Request::Produce(produce) if produce.acks != 0 => {
            let topics = produce.topics.iter().map(|topic| TopicProduceResponse {
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|p| PartitionProduceResponse {
                        index: p.index,
                        error_code: error,
                        base_offset: Offset(-1),
                        log_append_time: None,
                        log_start_offset: Offset(-1),
                        current_leader: None,
                    })
                    .collect(),
            });
            Response::Produce(ProduceResponse {
                responses: topics.collect(),
                node_endpoints: Vec::new(),
            })
        }
        Request::Fetch(fetch) if fetch.topics.iter().all(|t| t.topic_id != METADATA_TOPIC) => {
            let topics = fetch.topics.iter().map(|topic| FetchTopicResponse {
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|p| FetchPartitionResponse {
                        partition: p.partition,
                        error_code: error,
                        high_watermark: None,
                        last_stable_offset: None,
                        log_start_offset: Offset(-1),
                        diverging_epoch: None,
                        current_leader: None,
                        records: Vec::new(),
                    })
                    .collect(),
            });
            Response::Fetch(FetchResponse {
                error_code: ErrorCode::None,
                topics: topics.collect(),
                node_endpoints: Vec::new(),
            })
        }
        Request::ListOffsets(list) => {
            let all = list.partitions.iter();
            let refused = all.map(|p| ListOffsetsPartitionResponse {
                topic_id: p.topic_id,
                partition: p.partition,
                error_code: error,
                offset: None,
                timestamp: klab_kafka::time::Timestamp(-1),
                leader_epoch: None,
            });
            Response::ListOffsets(ListOffsetsResponse {
                partitions: refused.collect(),
            })
        }
        Request::OffsetForLeaderEpoch(ask) => {
            let all = ask.partitions.iter();
            let refused = all.map(|p| OffsetForLeaderPartitionResponse {
                topic_id: p.topic_id,
                partition: p.partition,
                error_code: error,
                leader_epoch: None,
                end_offset: None,
            });
            Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse {
                partitions: refused.collect(),
            })
        }
        Request::InitProducerId(_) => Response::InitProducerId(InitProducerIdResponse {
            error_code: error,
            producer_id: ProducerId(-1),
            producer_epoch: ProducerEpoch(-1),
        }),
        Request::CreateTopics(create) => {
            let refused = create.topics.iter().map(|topic| CreatableTopicResult {
                name: topic.name.clone(),
                topic_id: None,
                error_code: error,
                error_message: None,
            });
            Response::CreateTopics(CreateTopicsResponse {
                topics: refused.collect(),
            })
        }
        Request::DeleteTopics(delete) => {
            let refused = delete.topics.iter().map(|topic| DeletableTopicResult {
                topic: topic.clone(),
                error_code: error,
            });
            Response::DeleteTopics(DeleteTopicsResponse {
                responses: refused.collect(),
            })
        }
        Request::DeleteRecords(delete) => {
            let all = delete.partitions.iter();
            let refused = all.map(|p| DeleteRecordsPartitionResponse {
                topic_id: p.topic_id,
                partition: p.partition,
                low_watermark: Offset(-1),
                error_code: error,
            });
            Response::DeleteRecords(DeleteRecordsResponse {
                partitions: refused.collect(),
            })
        }
        Request::CreatePartitions(create) => {
            let all = create.topics.iter();
            let refused = all.map(|topic| CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: error,
                error_message: None,
            });
            Response::CreatePartitions(CreatePartitionsResponse {
                results: refused.collect(),
            })
        }
        Request::ElectLeaders(elect) => {
            let all = elect.partitions.iter().flatten();
            Response::ElectLeaders(ElectLeadersResponse {
                error_code: error,
                results: all.map(|(name, n)| (name.clone(), *n, error)).collect(),
            })
        }
        Request::DescribeConfigs(describe) => {
            let all = describe.resources.iter();
            let refused = all.map(|resource| DescribeConfigsResult {
                resource: resource.clone(),
                error_code: error,
                configs: Vec::new(),
            });
            Response::DescribeConfigs(DescribeConfigsResponse {
                results: refused.collect(),
            })
        }
        Request::IncrementalAlterConfigs(alter) => {
            let all = alter.resources.iter();
            let refused = all.map(|r| AlterConfigsResult {
                resource: r.resource.clone(),
                error_code: error,
                error_message: None,
            });
            Response::IncrementalAlterConfigs(IncrementalAlterConfigsResponse {
                responses: refused.collect(),
            })
        }
        Request::AlterPartition(_) => Response::AlterPartition(AlterPartitionResponse {
            error_code: error,
            partitions: Vec::new(),
        }),
        Request::BrokerRegistration(_) => {
            Response::BrokerRegistration(BrokerRegistrationResponse {
                error_code: error,
                broker_epoch: None,
            })
        }
        Request::BrokerHeartbeat(_) => Response::BrokerHeartbeat(BrokerHeartbeatResponse {
            error_code: error,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        }),
        Request::AllocateProducerIds(_) => {
            Response::AllocateProducerIds(AllocateProducerIdsResponse {
                error_code: error,
                producer_id_start: ProducerId(-1),
                producer_id_len: -1,
            })
        }
        _ => return None,
    })
}

impl World {
    /// Answers a request with an error in its server's place.
    pub(crate) fn answer_in_place(&mut self, taken: Taken, step: u64, error: ErrorCode) {
        let Arrival::Request { id, request, .. } = taken.arrival else {
            unreachable!("because only requests are refused")
        };
        let (p, conn) = (taken.process, taken.conn);
        let Some(to) = self.peer(conn, p) else { return };
        let response = refusal(&request, error).expect("the network has asked before");
        let what = What::Answered {
            to,
            conn,
            id,
            api: request.api(),
            error,
            step,
        };
        let told = self.tell_process(p, Some(taken.cause), what);
        let departure = self.departure(p, to, self.now(), told);
        let size = response.size();
        self.network
            .reply(conn, id, (response, size), departure, &mut self.queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use klab_kafka::ids::{Address, BrokerEpoch, IncarnationId, LeaderEpoch, NodeId, TopicId};
    use klab_kafka::protocol::admin::*;
    use klab_kafka::protocol::cluster::*;
    use klab_kafka::protocol::deletion::*;
    use klab_kafka::protocol::offsets::*;
    use klab_kafka::protocol::produce::InitProducerIdRequest;

    #[test]
    fn a_refusal_answers_the_request_that_was_asked_and_says_the_error() {
        let (broker_id, broker_epoch) = (NodeId(1), BrokerEpoch(1));
        let ask = OffsetForLeaderPartition {
            topic_id: TopicId(1),
            partition: 3,
            current_leader_epoch: None,
            leader_epoch: LeaderEpoch(1),
        };
        let requests = [
            Request::InitProducerId(InitProducerIdRequest {}),
            Request::CreateTopics(CreateTopicsRequest {
                topics: Vec::new(),
                timeout_ms: 1,
                validate_only: false,
            }),
            Request::DeleteTopics(DeleteTopicsRequest {
                topics: vec![TopicRef::Id(TopicId(1))],
                timeout_ms: 1,
            }),
            Request::DeleteRecords(DeleteRecordsRequest {
                partitions: vec![DeleteRecordsPartition {
                    topic_id: TopicId(1),
                    partition: 0,
                    offset: Offset(3),
                }],
                timeout_ms: 1,
            }),
            Request::CreatePartitions(CreatePartitionsRequest {
                topics: Vec::new(),
                timeout_ms: 1,
                validate_only: false,
            }),
            Request::ElectLeaders(ElectLeadersRequest {
                election_type: ElectionType::Preferred,
                partitions: None,
                timeout_ms: 1,
            }),
            Request::DescribeConfigs(DescribeConfigsRequest {
                resources: vec![ConfigResource::AllBrokers],
            }),
            Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
                resources: Vec::new(),
                validate_only: false,
            }),
            Request::AlterPartition(AlterPartitionRequest {
                broker_id,
                broker_epoch,
                partitions: Vec::new(),
            }),
            Request::BrokerRegistration(BrokerRegistrationRequest {
                broker_id,
                incarnation_id: IncarnationId(1),
                address: Address(1),
                rack: None,
                previous_broker_epoch: None,
            }),
            Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest {
                replica_id: None,
                partitions: vec![ask],
            }),
        ];
        for request in requests {
            let response = refusal(&request, ErrorCode::NotController);
            let response = response.expect("it can be answered");
            assert_eq!(response.api(), request.api());
            let said = match response {
                Response::InitProducerId(r) => r.error_code,
                Response::AlterPartition(r) => r.error_code,
                Response::DeleteTopics(r) => r.responses[0].error_code,
                Response::ElectLeaders(r) => r.error_code,
                Response::DeleteRecords(r) => r.partitions[0].error_code,
                Response::DescribeConfigs(r) => r.results[0].error_code,
                Response::BrokerRegistration(r) => r.error_code,
                Response::OffsetForLeaderEpoch(r) => {
                    assert_eq!(r.partitions[0].partition, 3);
                    r.partitions[0].error_code
                }
                _ => continue,
            };
            assert_eq!(said, ErrorCode::NotController);
        }
    }
}
