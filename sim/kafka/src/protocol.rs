//! What processes say to one another: requests, responses and error codes, in the words of Kafka's own schemas
//! (topics, then partitions; topic ids; the version in the header), so that a codec is all a real client would need.
//!
//! Left out: authentication, quotas and throttle times, fetch sessions, tagged fields.

pub mod admin;
pub mod cluster;
pub mod deletion;
pub mod error;
pub mod fetch;
pub mod metadata;
pub mod offsets;
pub mod produce;
pub mod quorum;

pub use error::ErrorCode;

use admin::*;
use cluster::*;
use deletion::*;
use fetch::*;
use metadata::*;
use offsets::*;
use produce::*;
use quorum::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Goes before every request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Header {
    /// The version of the API that the sender speaks.
    pub api_version: i16,
    /// What the sender calls itself (`client.id`).
    pub client_id: Option<Arc<str>>,
}

impl Header {
    /// The header of a request at the version modelled, from a sender without a name.
    pub fn of(request: &Request) -> Header {
        Header {
            api_version: request.api().version(),
            client_id: None,
        }
    }
}

/// Kafka's api keys, with the one version of each that is modelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // Kafka's own names say what they are.
#[repr(i16)]
pub enum Api {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    CreateTopics = 19,
    DeleteTopics = 20,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    DescribeConfigs = 32,
    CreatePartitions = 37,
    ElectLeaders = 43,
    IncrementalAlterConfigs = 44,
    Vote = 52,
    BeginQuorumEpoch = 53,
    EndQuorumEpoch = 54,
    AlterPartition = 56,
    Envelope = 58,
    BrokerRegistration = 62,
    BrokerHeartbeat = 63,
    AllocateProducerIds = 67,
    DeleteRecords = 21,
}

impl Api {
    /// All of them.
    pub const ALL: [Api; 21] = [
        Api::Produce,
        Api::Fetch,
        Api::ListOffsets,
        Api::Metadata,
        Api::CreateTopics,
        Api::DeleteTopics,
        Api::InitProducerId,
        Api::OffsetForLeaderEpoch,
        Api::DescribeConfigs,
        Api::CreatePartitions,
        Api::ElectLeaders,
        Api::IncrementalAlterConfigs,
        Api::Vote,
        Api::BeginQuorumEpoch,
        Api::EndQuorumEpoch,
        Api::AlterPartition,
        Api::Envelope,
        Api::BrokerRegistration,
        Api::BrokerHeartbeat,
        Api::AllocateProducerIds,
        Api::DeleteRecords,
    ];

    /// The version this model speaks: the newest stable one of Kafka 4.2.
    pub fn version(self) -> i16 {
        match self {
            Api::Produce => 13,
            Api::Fetch => 18,
            Api::ListOffsets => 11,
            Api::Metadata => 13,
            Api::CreateTopics => 7,
            Api::DeleteTopics => 6,
            Api::DeleteRecords => 2,
            // 6 (KIP-939) is not stable.
            Api::InitProducerId => 5,
            Api::OffsetForLeaderEpoch => 4,
            Api::DescribeConfigs => 4,
            Api::CreatePartitions => 3,
            Api::ElectLeaders => 2,
            Api::IncrementalAlterConfigs => 1,
            Api::Vote => 2,
            Api::BeginQuorumEpoch | Api::EndQuorumEpoch => 1,
            Api::AlterPartition => 3,
            Api::Envelope => 0,
            Api::BrokerRegistration => 4,
            Api::BrokerHeartbeat => 1,
            Api::AllocateProducerIds => 0,
        }
    }
}

/// A question to a broker or a controller.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[allow(missing_docs)]
pub enum Request {
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    ListOffsets(ListOffsetsRequest),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    Metadata(MetadataRequest),
    InitProducerId(InitProducerIdRequest),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    CreatePartitions(CreatePartitionsRequest),
    ElectLeaders(ElectLeadersRequest),
    DescribeConfigs(DescribeConfigsRequest),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// A broker forwards an operator's request to the active controller.
    Envelope(Box<Request>),
    BrokerRegistration(BrokerRegistrationRequest),
    BrokerHeartbeat(BrokerHeartbeatRequest),
    AlterPartition(AlterPartitionRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
    Vote(VoteRequest),
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    EndQuorumEpoch(EndQuorumEpochRequest),
    DeleteRecords(DeleteRecordsRequest),
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[allow(missing_docs)]
pub enum Response {
    Produce(ProduceResponse),
    Fetch(FetchResponse),
    ListOffsets(ListOffsetsResponse),
    OffsetForLeaderEpoch(OffsetForLeaderEpochResponse),
    Metadata(MetadataResponse),
    InitProducerId(InitProducerIdResponse),
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    CreatePartitions(CreatePartitionsResponse),
    ElectLeaders(ElectLeadersResponse),
    DescribeConfigs(DescribeConfigsResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    /// The controller's answer, or why there is none (NOT_CONTROLLER).
    Envelope(Result<Box<Response>, ErrorCode>),
    BrokerRegistration(BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatResponse),
    AlterPartition(AlterPartitionResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
    Vote(VoteResponse),
    BeginQuorumEpoch(QuorumEpochResponse),
    EndQuorumEpoch(QuorumEpochResponse),
    DeleteRecords(DeleteRecordsResponse),
}

impl Request {
    /// Which API it belongs to.
    pub fn api(&self) -> Api {
        match self {
            Request::Produce(_) => Api::Produce,
            Request::Fetch(_) => Api::Fetch,
            Request::ListOffsets(_) => Api::ListOffsets,
            Request::OffsetForLeaderEpoch(_) => Api::OffsetForLeaderEpoch,
            Request::Metadata(_) => Api::Metadata,
            Request::InitProducerId(_) => Api::InitProducerId,
            Request::CreateTopics(_) => Api::CreateTopics,
            Request::DeleteTopics(_) => Api::DeleteTopics,
            Request::CreatePartitions(_) => Api::CreatePartitions,
            Request::ElectLeaders(_) => Api::ElectLeaders,
            Request::DescribeConfigs(_) => Api::DescribeConfigs,
            Request::IncrementalAlterConfigs(_) => Api::IncrementalAlterConfigs,
            Request::Envelope(_) => Api::Envelope,
            Request::BrokerRegistration(_) => Api::BrokerRegistration,
            Request::BrokerHeartbeat(_) => Api::BrokerHeartbeat,
            Request::AlterPartition(_) => Api::AlterPartition,
            Request::AllocateProducerIds(_) => Api::AllocateProducerIds,
            Request::Vote(_) => Api::Vote,
            Request::BeginQuorumEpoch(_) => Api::BeginQuorumEpoch,
            Request::EndQuorumEpoch(_) => Api::EndQuorumEpoch,
            Request::DeleteRecords(_) => Api::DeleteRecords,
        }
    }

    /// Roughly its bytes on the wire: exact for records, 64 for the rest.
    pub fn size(&self) -> u64 {
        match self {
            Request::Produce(p) => p
                .topics
                .iter()
                .flat_map(|t| &t.partitions)
                .map(|p| p.records.size as u64 + 16)
                .sum::<u64>()
                .saturating_add(64),
            Request::Fetch(f) => {
                64 + f
                    .topics
                    .iter()
                    .map(|t| 24 + 40 * t.partitions.len() as u64)
                    .sum::<u64>()
            }
            _ => 64,
        }
    }
}

impl Response {
    /// Which API it answers.
    pub fn api(&self) -> Api {
        match self {
            Response::Produce(_) => Api::Produce,
            Response::Fetch(_) => Api::Fetch,
            Response::ListOffsets(_) => Api::ListOffsets,
            Response::OffsetForLeaderEpoch(_) => Api::OffsetForLeaderEpoch,
            Response::Metadata(_) => Api::Metadata,
            Response::InitProducerId(_) => Api::InitProducerId,
            Response::CreateTopics(_) => Api::CreateTopics,
            Response::DeleteTopics(_) => Api::DeleteTopics,
            Response::CreatePartitions(_) => Api::CreatePartitions,
            Response::ElectLeaders(_) => Api::ElectLeaders,
            Response::DescribeConfigs(_) => Api::DescribeConfigs,
            Response::IncrementalAlterConfigs(_) => Api::IncrementalAlterConfigs,
            Response::Envelope(_) => Api::Envelope,
            Response::BrokerRegistration(_) => Api::BrokerRegistration,
            Response::BrokerHeartbeat(_) => Api::BrokerHeartbeat,
            Response::AlterPartition(_) => Api::AlterPartition,
            Response::AllocateProducerIds(_) => Api::AllocateProducerIds,
            Response::Vote(_) => Api::Vote,
            Response::BeginQuorumEpoch(_) => Api::BeginQuorumEpoch,
            Response::EndQuorumEpoch(_) => Api::EndQuorumEpoch,
            Response::DeleteRecords(_) => Api::DeleteRecords,
        }
    }

    /// Roughly its bytes on the wire: exact for records, 64 for the rest.
    pub fn size(&self) -> u64 {
        match self {
            Response::Fetch(f) => {
                64 + f
                    .topics
                    .iter()
                    .flat_map(|t| &t.partitions)
                    .map(|p| 64 + p.records.iter().map(|b| b.data.size as u64).sum::<u64>())
                    .sum::<u64>()
            }
            _ => 64,
        }
    }
}
