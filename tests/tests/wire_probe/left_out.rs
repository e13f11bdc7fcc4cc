//! Where klab's protocol and Kafka's schemas differ, all of it.
//!
//! What differs in form: topics that Kafka names are known by their ids in ListOffsets, OffsetForLeaderEpoch and DeleteRecords
//! (names never reach the hot path), and stand as their ids' digits in the probe; an address is a number, where Kafka has host
//! and port; the answers to BeginQuorumEpoch and EndQuorumEpoch are one type; `-1` for "none" is an `Option`. Batches of the
//! metadata log have no bytes: their records are values. What applications call their records is beside the bytes, not in them.
//! `throttle_time_ms` is nowhere (no quotas), nor are tagged fields that nobody knows.

use klab_kafka::protocol::Api;

/// The version that both speak: the crate is of Kafka 4.1, and ListOffsets has since learned to ask for one more thing of
/// tiered storage (-6), which klab has not.
pub fn version(api: Api) -> i16 {
    match api {
        Api::ListOffsets => 10,
        other => other.version(),
    }
}

/// Fields of Kafka's messages in which klab says nothing, by the reason.
pub const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "transactions",
        &[
            "ProduceRequest.transactional_id",
            "InitProducerIdRequest.transactional_id",
            "InitProducerIdRequest.transaction_timeout_ms",
            "InitProducerIdRequest.producer_id",
            "InitProducerIdRequest.producer_epoch",
            "InitProducerIdRequest.enable_2_pc",
            "InitProducerIdRequest.keep_prepared_txn",
            "InitProducerIdResponse.ongoing_txn_producer_id",
            "InitProducerIdResponse.ongoing_txn_producer_epoch",
            "FetchResponse PartitionData.aborted_transactions",
        ],
    ),
    (
        "names of topics that have an id, of older versions",
        &[
            "ProduceRequest TopicProduceData.name",
            "ProduceResponse TopicProduceResponse.name",
            "FetchRequest FetchTopic.topic",
            "FetchResponse FetchableTopicResponse.topic",
            "MetadataRequest MetadataRequestTopic.topic_id",
        ],
    ),
    (
        "fields of older versions",
        &[
            "AlterPartitionRequest PartitionData.new_isr",
            "BrokerRegistrationRequest.is_migrating_zk_broker",
            "DeleteTopicsRequest.topic_names",
            "EndQuorumEpochRequest PartitionData.preferred_successors",
            "FetchRequest.replica_id",
        ],
    ),
    (
        "fetch sessions",
        &[
            "FetchRequest.session_id",
            "FetchRequest.session_epoch",
            "FetchRequest.forgotten_topics_data",
            "FetchResponse.session_id",
        ],
    ),
    (
        "fetching from the nearest replica",
        &[
            "FetchRequest.rack_id",
            "FetchResponse PartitionData.preferred_read_replica",
        ],
    ),
    (
        "snapshots of the metadata log",
        &[
            "FetchResponse PartitionData.snapshot_id",
            "FetchResponse SnapshotId.end_offset",
            "FetchResponse SnapshotId.epoch",
        ],
    ),
    (
        "one directory a broker or voter, and one cluster",
        &[
            "BrokerHeartbeatRequest.offline_log_dirs",
            "BrokerRegistrationRequest.log_dirs",
            "BrokerRegistrationRequest.cluster_id",
            "FetchRequest FetchPartition.replica_directory_id",
            "FetchRequest.cluster_id",
            "MetadataResponse.cluster_id",
            "VoteRequest PartitionData.replica_directory_id",
            "VoteRequest PartitionData.voter_directory_id",
            "VoteRequest.cluster_id",
            "VoteRequest.voter_id",
            "BeginQuorumEpochRequest PartitionData.voter_directory_id",
            "BeginQuorumEpochRequest.cluster_id",
            "BeginQuorumEpochRequest.voter_id",
            "EndQuorumEpochRequest ReplicaInfo.candidate_directory_id",
            "EndQuorumEpochRequest.cluster_id",
        ],
    ),
    (
        "the quorum has one partition of one topic, its voters know each other's addresses, and errors are the partition's",
        &[
            "VoteRequest PartitionData.partition_index",
            "VoteRequest TopicData.topic_name",
            "VoteResponse PartitionData.partition_index",
            "VoteResponse TopicData.topic_name",
            "BeginQuorumEpochRequest PartitionData.partition_index",
            "BeginQuorumEpochRequest TopicData.topic_name",
            "BeginQuorumEpochResponse PartitionData.partition_index",
            "BeginQuorumEpochResponse TopicData.topic_name",
            "EndQuorumEpochRequest PartitionData.partition_index",
            "EndQuorumEpochRequest TopicData.topic_name",
            "EndQuorumEpochResponse PartitionData.partition_index",
            "EndQuorumEpochResponse TopicData.topic_name",
            "BeginQuorumEpochRequest.leader_endpoints",
            "EndQuorumEpochRequest.leader_endpoints",
            "VoteResponse.error_code",
            "VoteResponse.node_endpoints",
            "BeginQuorumEpochResponse.error_code",
            "BeginQuorumEpochResponse.node_endpoints",
            "EndQuorumEpochResponse.error_code",
            "EndQuorumEpochResponse.node_endpoints",
        ],
    ),
    (
        "one listener, an address without a port, the same features everywhere",
        &[
            "BrokerRegistrationRequest Listener.name",
            "BrokerRegistrationRequest Listener.port",
            "BrokerRegistrationRequest Listener.security_protocol",
            "BrokerRegistrationRequest.features",
            "FetchResponse NodeEndpoint.port",
            "MetadataResponse MetadataResponseBroker.port",
            "ProduceResponse NodeEndpoint.port",
        ],
    ),
    (
        "authorisation",
        &[
            "EnvelopeRequest.request_principal",
            "EnvelopeRequest.client_host_address",
            "MetadataRequest.include_cluster_authorized_operations",
            "MetadataRequest.include_topic_authorized_operations",
            "MetadataResponse.cluster_authorized_operations",
            "MetadataResponse MetadataResponseTopic.topic_authorized_operations",
        ],
    ),
    (
        "no internal topics yet",
        &["MetadataResponse MetadataResponseTopic.is_internal"],
    ),
    (
        "an error of the whole request, which only authorisation or a bootstrap anew brings",
        &["MetadataResponse.error_code"],
    ),
    (
        "words that nobody reads, and errors of single records (KIP-467)",
        &[
            "DeleteTopicsResponse DeletableTopicResult.error_message",
            "DescribeConfigsResponse DescribeConfigsResult.error_message",
            "ElectLeadersResponse PartitionResult.error_message",
            "ProduceResponse PartitionProduceResponse.error_message",
            "ProduceResponse PartitionProduceResponse.record_errors",
        ],
    ),
    (
        "what a creator can describe",
        &[
            "CreateTopicsResponse CreatableTopicResult.configs",
            "CreateTopicsResponse CreatableTopicResult.num_partitions",
            "CreateTopicsResponse CreatableTopicResult.replication_factor",
            "CreateTopicsResponse CreatableTopicResult.topic_config_error_code",
        ],
    ),
    (
        "all configs are described, with synonyms, without documentation, type or secrets",
        &[
            "DescribeConfigsRequest DescribeConfigsResource.configuration_keys",
            "DescribeConfigsRequest.include_documentation",
            "DescribeConfigsRequest.include_synonyms",
            "DescribeConfigsResponse DescribeConfigsResourceResult.config_type",
            "DescribeConfigsResponse DescribeConfigsResourceResult.documentation",
            "DescribeConfigsResponse DescribeConfigsResourceResult.is_sensitive",
        ],
    ),
    (
        "a wait for tiered storage",
        &["ListOffsetsRequest.timeout_ms"],
    ),
];
