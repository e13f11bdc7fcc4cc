//! What operators say: CreateTopics, DeleteTopics, CreatePartitions, ElectLeaders, DescribeConfigs, IncrementalAlterConfigs.

use super::batches::Batches;
use super::convert::*;
use kafka_protocol::messages as k;
use kafka_protocol::protocol::StrBytes;
use klab_kafka::config::layers::Source;
use klab_kafka::config::{Configs, ServerConfig, TopicConfig};
use klab_kafka::ids::*;
use klab_kafka::protocol::ErrorCode;
use klab_kafka::protocol::admin::*;
use std::sync::Arc;
use uuid::Uuid;

impl Wire for CreateTopicsRequest {
    type Kafka = k::CreateTopicsRequest;

    fn to_kafka(&self) -> k::CreateTopicsRequest {
        use k::create_topics_request as r;
        let topics = self.topics.iter().map(|t| {
            let placed = (0..).zip(&t.assignments).map(|(index, on)| {
                r::CreatableReplicaAssignment::default()
                    .with_partition_index(index)
                    .with_broker_ids(nodes(on))
            });
            let configs = t.configs.iter().map(|(key, value)| {
                r::CreatableTopicConfig::default()
                    .with_name(text(key))
                    .with_value(Some(text(value)))
            });
            r::CreatableTopic::default()
                .with_name(name(&t.name))
                .with_num_partitions(t.num_partitions.unwrap_or(-1))
                .with_replication_factor(t.replication_factor.unwrap_or(-1))
                .with_assignments(placed.collect())
                .with_configs(configs.collect())
        });
        k::CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms)
            .with_validate_only(self.validate_only)
    }

    fn of_kafka(kafka: k::CreateTopicsRequest, _: &Batches) -> CreateTopicsRequest {
        let topics = kafka.topics.into_iter().map(|t| CreatableTopic {
            name: arc(&t.name.0),
            num_partitions: (t.num_partitions != -1).then_some(t.num_partitions),
            replication_factor: (t.replication_factor != -1).then_some(t.replication_factor),
            assignments: t
                .assignments
                .iter()
                .map(|on| of_nodes(&on.broker_ids))
                .collect(),
            configs: t
                .configs
                .iter()
                .map(|c| (arc(&c.name), arc(c.value.as_ref().expect("a value"))))
                .collect(),
        });
        CreateTopicsRequest {
            topics: topics.collect(),
            timeout_ms: kafka.timeout_ms,
            validate_only: kafka.validate_only,
        }
    }
}

impl Wire for CreateTopicsResponse {
    type Kafka = k::CreateTopicsResponse;

    fn to_kafka(&self) -> k::CreateTopicsResponse {
        let topics = self.topics.iter().map(|t| {
            k::create_topics_response::CreatableTopicResult::default()
                .with_name(name(&t.name))
                .with_topic_id(t.topic_id.map_or(Uuid::nil(), topic))
                .with_error_code(t.error_code.code())
                .with_error_message(t.error_message.as_deref().map(text))
        });
        k::CreateTopicsResponse::default().with_topics(topics.collect())
    }

    fn of_kafka(kafka: k::CreateTopicsResponse, _: &Batches) -> CreateTopicsResponse {
        let topics = kafka.topics.into_iter().map(|t| CreatableTopicResult {
            name: arc(&t.name.0),
            topic_id: (!t.topic_id.is_nil()).then_some(topic_id(t.topic_id)),
            error_code: error(t.error_code),
            error_message: t.error_message.as_ref().map(arc),
        });
        CreateTopicsResponse {
            topics: topics.collect(),
        }
    }
}

impl Wire for DeleteTopicsRequest {
    type Kafka = k::DeleteTopicsRequest;

    fn to_kafka(&self) -> k::DeleteTopicsRequest {
        let topics = self.topics.iter().map(|t| {
            let state = k::delete_topics_request::DeleteTopicState::default();
            match t {
                TopicRef::Name(n) => state.with_name(Some(name(n))),
                TopicRef::Id(id) => state.with_name(None).with_topic_id(topic(*id)),
            }
        });
        k::DeleteTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms)
    }

    fn of_kafka(kafka: k::DeleteTopicsRequest, _: &Batches) -> DeleteTopicsRequest {
        let topics = kafka.topics.into_iter().map(|t| match t.name {
            Some(name) => TopicRef::Name(arc(&name.0)),
            None => TopicRef::Id(topic_id(t.topic_id)),
        });
        DeleteTopicsRequest {
            topics: topics.collect(),
            timeout_ms: kafka.timeout_ms,
        }
    }
}

impl Wire for DeleteTopicsResponse {
    type Kafka = k::DeleteTopicsResponse;

    fn to_kafka(&self) -> k::DeleteTopicsResponse {
        let responses = self.responses.iter().map(|one| {
            let result = k::delete_topics_response::DeletableTopicResult::default()
                .with_error_code(one.error_code.code());
            match &one.topic {
                TopicRef::Name(n) => result.with_name(Some(name(n))),
                TopicRef::Id(id) => result.with_name(None).with_topic_id(topic(*id)),
            }
        });
        k::DeleteTopicsResponse::default().with_responses(responses.collect())
    }

    fn of_kafka(kafka: k::DeleteTopicsResponse, _: &Batches) -> DeleteTopicsResponse {
        let responses = kafka.responses.into_iter().map(|one| DeletableTopicResult {
            topic: match &one.name {
                Some(name) => TopicRef::Name(arc(&name.0)),
                None => TopicRef::Id(topic_id(one.topic_id)),
            },
            error_code: error(one.error_code),
        });
        DeleteTopicsResponse {
            responses: responses.collect(),
        }
    }
}

impl Wire for CreatePartitionsRequest {
    type Kafka = k::CreatePartitionsRequest;

    fn to_kafka(&self) -> k::CreatePartitionsRequest {
        use k::create_partitions_request as r;
        let placed =
            |on: &Vec<NodeId>| r::CreatePartitionsAssignment::default().with_broker_ids(nodes(on));
        let topics = self.topics.iter().map(|t| {
            let assignments = t.assignments.as_ref();
            r::CreatePartitionsTopic::default()
                .with_name(name(&t.name))
                .with_count(t.count)
                .with_assignments(assignments.map(|all| all.iter().map(placed).collect()))
        });
        k::CreatePartitionsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms)
            .with_validate_only(self.validate_only)
    }

    fn of_kafka(kafka: k::CreatePartitionsRequest, _: &Batches) -> CreatePartitionsRequest {
        let topics = kafka.topics.into_iter().map(|t| {
            let assignments = t.assignments.as_ref();
            CreatePartitionsTopic {
                name: arc(&t.name.0),
                count: t.count,
                assignments: assignments
                    .map(|all| all.iter().map(|on| of_nodes(&on.broker_ids)).collect()),
            }
        });
        CreatePartitionsRequest {
            topics: topics.collect(),
            timeout_ms: kafka.timeout_ms,
            validate_only: kafka.validate_only,
        }
    }
}

impl Wire for CreatePartitionsResponse {
    type Kafka = k::CreatePartitionsResponse;

    fn to_kafka(&self) -> k::CreatePartitionsResponse {
        let results = self.results.iter().map(|one| {
            k::create_partitions_response::CreatePartitionsTopicResult::default()
                .with_name(name(&one.name))
                .with_error_code(one.error_code.code())
                .with_error_message(one.error_message.as_deref().map(text))
        });
        k::CreatePartitionsResponse::default().with_results(results.collect())
    }

    fn of_kafka(kafka: k::CreatePartitionsResponse, _: &Batches) -> CreatePartitionsResponse {
        let results = kafka.results.into_iter();
        let results = results.map(|one| CreatePartitionsTopicResult {
            name: arc(&one.name.0),
            error_code: error(one.error_code),
            error_message: one.error_message.as_ref().map(arc),
        });
        CreatePartitionsResponse {
            results: results.collect(),
        }
    }
}

impl Wire for ElectLeadersRequest {
    type Kafka = k::ElectLeadersRequest;

    fn to_kafka(&self) -> k::ElectLeadersRequest {
        let topic = |(topic, partitions): (Arc<str>, Vec<i32>)| {
            k::elect_leaders_request::TopicPartitions::default()
                .with_topic(name(&topic))
                .with_partitions(partitions)
        };
        let partitions = self.partitions.clone();
        k::ElectLeadersRequest::default()
            .with_election_type(match self.election_type {
                ElectionType::Preferred => 0,
                ElectionType::Unclean => 1,
            })
            .with_topic_partitions(
                partitions.map(|all| by_topic(all).into_iter().map(topic).collect()),
            )
            .with_timeout_ms(self.timeout_ms)
    }

    fn of_kafka(kafka: k::ElectLeadersRequest, _: &Batches) -> ElectLeadersRequest {
        let of = |t: k::elect_leaders_request::TopicPartitions| {
            let topic = arc(&t.topic.0);
            let partitions = t.partitions.into_iter();
            partitions.map(move |partition| (topic.clone(), partition))
        };
        ElectLeadersRequest {
            election_type: match kafka.election_type {
                0 => ElectionType::Preferred,
                _ => ElectionType::Unclean,
            },
            partitions: kafka
                .topic_partitions
                .map(|all| all.into_iter().flat_map(of).collect()),
            timeout_ms: kafka.timeout_ms,
        }
    }
}

impl Wire for ElectLeadersResponse {
    type Kafka = k::ElectLeadersResponse;

    fn to_kafka(&self) -> k::ElectLeadersResponse {
        use k::elect_leaders_response as r;
        let result = |(topic, partition, error): &(Arc<str>, i32, ErrorCode)| {
            let result = r::PartitionResult::default()
                .with_partition_id(*partition)
                .with_error_code(error.code());
            (topic.clone(), result)
        };
        let topics = by_topic(self.results.iter().map(result));
        let topic = |(topic, results): (Arc<str>, _)| {
            r::ReplicaElectionResult::default()
                .with_topic(name(&topic))
                .with_partition_result(results)
        };
        k::ElectLeadersResponse::default()
            .with_error_code(self.error_code.code())
            .with_replica_election_results(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::ElectLeadersResponse, _: &Batches) -> ElectLeadersResponse {
        let results = kafka.replica_election_results.into_iter().flat_map(|t| {
            let topic = arc(&t.topic.0);
            let results = t.partition_result.into_iter();
            results.map(move |r| (topic.clone(), r.partition_id, error(r.error_code)))
        });
        ElectLeadersResponse {
            error_code: error(kafka.error_code),
            results: results.collect(),
        }
    }
}

/// Kafka's ConfigResource.Type.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn resource(of: &ConfigResource) -> (i8, StrBytes) {
    match of {
        ConfigResource::Topic(name) => (TOPIC, text(name)),
        ConfigResource::Broker(node) => (BROKER, text(&node.to_string())),
        ConfigResource::AllBrokers => (BROKER, text("")),
    }
}

fn of_resource(kind: i8, name: &StrBytes) -> ConfigResource {
    match (kind, name.as_str()) {
        (TOPIC, name) => ConfigResource::Topic(name.into()),
        (_, "") => ConfigResource::AllBrokers,
        (_, number) => ConfigResource::Broker(NodeId(number.parse().expect("a broker's number"))),
    }
}

/// The sources by Kafka's numbers.
const SOURCES: [(Source, i8); 5] = [
    (Source::Topic, 1),
    (Source::Broker, 2),
    (Source::AllBrokers, 3),
    (Source::Static, 4),
    (Source::Default, 5),
];

fn source(of: Source) -> i8 {
    let found = SOURCES.iter().find(|(source, _)| *source == of);
    found.expect("all are listed").1
}

fn of_source(number: i8) -> Source {
    let found = SOURCES.iter().find(|(_, n)| *n == number);
    found.expect("klab's own source").0
}

/// A key of klab's tables.
fn key(name: &StrBytes) -> &'static str {
    let topic = TopicConfig::KEYS.iter().map(|key| key.name);
    let server = ServerConfig::KEYS.iter().map(|key| key.name);
    let mut keys = topic.chain(server);
    keys.find(|key| *key == name.as_str())
        .expect("klab's own key")
}

impl Wire for DescribeConfigsRequest {
    type Kafka = k::DescribeConfigsRequest;

    fn to_kafka(&self) -> k::DescribeConfigsRequest {
        let resources = self.resources.iter().map(|of| {
            let (kind, name) = resource(of);
            k::describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(name)
                .with_configuration_keys(None)
        });
        k::DescribeConfigsRequest::default()
            .with_resources(resources.collect())
            .with_include_synonyms(true)
    }

    fn of_kafka(kafka: k::DescribeConfigsRequest, _: &Batches) -> DescribeConfigsRequest {
        let resources = kafka.resources.iter();
        DescribeConfigsRequest {
            resources: resources
                .map(|r| of_resource(r.resource_type, &r.resource_name))
                .collect(),
        }
    }
}

impl Wire for DescribeConfigsResponse {
    type Kafka = k::DescribeConfigsResponse;

    fn to_kafka(&self) -> k::DescribeConfigsResponse {
        use k::describe_configs_response as r;
        let synonym = |s: &ConfigSynonym| {
            r::DescribeConfigsSynonym::default()
                .with_name(text(s.name))
                .with_value(Some(text(&s.value)))
                .with_source(source(s.source))
        };
        let config = |c: &DescribedConfig| {
            r::DescribeConfigsResourceResult::default()
                .with_name(text(c.name))
                .with_value(Some(text(&c.value)))
                .with_read_only(c.read_only)
                .with_config_source(source(c.source))
                .with_synonyms(c.synonyms.iter().map(synonym).collect())
        };
        let results = self.results.iter().map(|one| {
            let (kind, name) = resource(&one.resource);
            r::DescribeConfigsResult::default()
                .with_error_code(one.error_code.code())
                .with_resource_type(kind)
                .with_resource_name(name)
                .with_configs(one.configs.iter().map(config).collect())
        });
        k::DescribeConfigsResponse::default().with_results(results.collect())
    }

    fn of_kafka(kafka: k::DescribeConfigsResponse, _: &Batches) -> DescribeConfigsResponse {
        use k::describe_configs_response as r;
        let value = |value: &Option<StrBytes>| arc(value.as_ref().expect("a value"));
        let synonym = |s: &r::DescribeConfigsSynonym| ConfigSynonym {
            name: key(&s.name),
            value: value(&s.value),
            source: of_source(s.source),
        };
        let config = |c: &r::DescribeConfigsResourceResult| DescribedConfig {
            name: key(&c.name),
            value: value(&c.value),
            read_only: c.read_only,
            source: of_source(c.config_source),
            synonyms: c.synonyms.iter().map(synonym).collect(),
        };
        let results = kafka.results.iter().map(|one| DescribeConfigsResult {
            resource: of_resource(one.resource_type, &one.resource_name),
            error_code: error(one.error_code),
            configs: one.configs.iter().map(config).collect(),
        });
        DescribeConfigsResponse {
            results: results.collect(),
        }
    }
}

/// Kafka's AlterConfigOp: what klab knows of it.
const SET: i8 = 0;
const DELETE: i8 = 1;

impl Wire for IncrementalAlterConfigsRequest {
    type Kafka = k::IncrementalAlterConfigsRequest;

    fn to_kafka(&self) -> k::IncrementalAlterConfigsRequest {
        use k::incremental_alter_configs_request as r;
        let config = |(key, value): &(Arc<str>, Option<Arc<str>>)| {
            r::AlterableConfig::default()
                .with_name(text(key))
                .with_config_operation(if value.is_some() { SET } else { DELETE })
                .with_value(value.as_deref().map(text))
        };
        let resources = self.resources.iter().map(|one| {
            let (kind, name) = resource(&one.resource);
            r::AlterConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(name)
                .with_configs(one.configs.iter().map(config).collect())
        });
        k::IncrementalAlterConfigsRequest::default()
            .with_resources(resources.collect())
            .with_validate_only(self.validate_only)
    }

    fn of_kafka(
        kafka: k::IncrementalAlterConfigsRequest,
        _: &Batches,
    ) -> IncrementalAlterConfigsRequest {
        let config = |c: &k::incremental_alter_configs_request::AlterableConfig| {
            assert_eq!(c.config_operation == DELETE, c.value.is_none());
            (arc(&c.name), c.value.as_ref().map(arc))
        };
        let resources = kafka.resources.iter().map(|one| AlterConfigsResource {
            resource: of_resource(one.resource_type, &one.resource_name),
            configs: one.configs.iter().map(config).collect(),
        });
        IncrementalAlterConfigsRequest {
            resources: resources.collect(),
            validate_only: kafka.validate_only,
        }
    }
}

impl Wire for IncrementalAlterConfigsResponse {
    type Kafka = k::IncrementalAlterConfigsResponse;

    fn to_kafka(&self) -> k::IncrementalAlterConfigsResponse {
        use k::incremental_alter_configs_response as r;
        let responses = self.responses.iter().map(|one| {
            let (kind, name) = resource(&one.resource);
            r::AlterConfigsResourceResponse::default()
                .with_error_code(one.error_code.code())
                .with_error_message(one.error_message.as_deref().map(text))
                .with_resource_type(kind)
                .with_resource_name(name)
        });
        k::IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }

    fn of_kafka(
        kafka: k::IncrementalAlterConfigsResponse,
        _: &Batches,
    ) -> IncrementalAlterConfigsResponse {
        let responses = kafka.responses.iter().map(|one| AlterConfigsResult {
            resource: of_resource(one.resource_type, &one.resource_name),
            error_code: error(one.error_code),
            error_message: one.error_message.as_ref().map(arc),
        });
        IncrementalAlterConfigsResponse {
            responses: responses.collect(),
        }
    }
}
