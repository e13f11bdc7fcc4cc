//! What operators ask: CreateTopics (19), DeleteTopics (20), CreatePartitions (37), ElectLeaders (43) and
//! IncrementalAlterConfigs (44), which any broker forwards to the active controller in an Envelope (58); DescribeConfigs
//! (32), which a broker answers from what it knows itself.
//!
//! Left out: APPEND and SUBTRACT of IncrementalAlterConfigs (no key built here is a list), configs of loggers, groups and
//! metrics, the types and documentation of DescribeConfigs, reassignments (45, 46).

use crate::config::layers::Source;
use crate::ids::{NodeId, TopicId};
use crate::protocol::ErrorCode;
use serde::Serialize;
use std::sync::Arc;

/// Create these topics.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTopicsRequest {
    /// The topics.
    pub topics: Vec<CreatableTopic>,
    /// How long the controller may take, in ms.
    pub timeout_ms: i32,
    /// Check everything, create nothing.
    pub validate_only: bool,
}

/// One topic to create.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatableTopic {
    /// Its name.
    pub name: Arc<str>,
    /// How many partitions; `None` for the cluster's default, or with `assignments`.
    pub num_partitions: Option<i32>,
    /// How many replicas; `None` for the cluster's default, or with `assignments`.
    pub replication_factor: Option<i16>,
    /// Replicas by hand: one list per partition, or empty.
    pub assignments: Vec<Vec<NodeId>>,
    /// Topic configs, key and value in text.
    pub configs: Vec<(Arc<str>, Arc<str>)>,
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateTopicsResponse {
    /// By topic as asked.
    pub topics: Vec<CreatableTopicResult>,
}

/// One new topic, or why not.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatableTopicResult {
    /// Its name.
    pub name: Arc<str>,
    /// Its new id.
    pub topic_id: Option<TopicId>,
    /// K-21's errors.
    pub error_code: ErrorCode,
    /// The controller's words.
    pub error_message: Option<Arc<str>>,
}

/// Whose configs: Kafka's ConfigResource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum ConfigResource {
    /// Those of a topic.
    Topic(Arc<str>),
    /// Those of one broker.
    Broker(NodeId),
    /// The dynamic default of all brokers: type BROKER, with an empty name.
    AllBrokers,
}

/// Change these configs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IncrementalAlterConfigsRequest {
    /// By resource.
    pub resources: Vec<AlterConfigsResource>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

/// The changes of one resource's configs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterConfigsResource {
    /// Whose.
    pub resource: ConfigResource,
    /// Key and new value; `None` deletes.
    pub configs: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IncrementalAlterConfigsResponse {
    /// By resource as asked.
    pub responses: Vec<AlterConfigsResult>,
}

/// What became of one resource's changes: all of them, or none.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterConfigsResult {
    /// Whose.
    pub resource: ConfigResource,
    /// Why not.
    pub error_code: ErrorCode,
    /// The words of whoever refused.
    pub error_message: Option<Arc<str>>,
}

/// What are these configs, and where do they come from?
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DescribeConfigsRequest {
    /// Whose.
    pub resources: Vec<ConfigResource>,
}

/// By resource as asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DescribeConfigsResponse {
    /// The resources.
    pub results: Vec<DescribeConfigsResult>,
}

/// All configs of one resource.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DescribeConfigsResult {
    /// Whose.
    pub resource: ConfigResource,
    /// UNKNOWN_TOPIC_OR_PARTITION, or INVALID_REQUEST for another broker's.
    pub error_code: ErrorCode,
    /// In the order of the table.
    pub configs: Vec<DescribedConfig>,
}

/// One config: what is in force, and what would be without it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DescribedConfig {
    /// Its key.
    pub name: &'static str,
    /// The value in force.
    pub value: Arc<str>,
    /// It can be changed only in the file that the broker starts with.
    pub read_only: bool,
    /// Which layer it comes from.
    pub source: Source,
    /// All layers that say something, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// What one layer says of a config.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConfigSynonym {
    /// The key there: a topic's `segment.ms` is a broker's `log.roll.ms`.
    pub name: &'static str,
    /// The value there.
    pub value: Arc<str>,
    /// The layer.
    pub source: Source,
}

/// Delete these topics.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteTopicsRequest {
    /// The topics.
    pub topics: Vec<TopicRef>,
    /// How long the controller may take, in ms.
    pub timeout_ms: i32,
}

/// A topic by its name or by its id, never both (KIP-516).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum TopicRef {
    /// Whichever has the name now.
    Name(Arc<str>),
    /// This very one.
    Id(TopicId),
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteTopicsResponse {
    /// By topic as asked.
    pub responses: Vec<DeletableTopicResult>,
}

/// One topic deleted, or why not.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeletableTopicResult {
    /// As it was named.
    pub topic: TopicRef,
    /// UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, TOPIC_DELETION_DISABLED.
    pub error_code: ErrorCode,
}

/// Give topics more partitions (K-23).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatePartitionsRequest {
    /// By topic.
    pub topics: Vec<CreatePartitionsTopic>,
    /// How long the controller may take, in ms.
    pub timeout_ms: i32,
    /// Check everything, create nothing.
    pub validate_only: bool,
}

/// More partitions of one topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatePartitionsTopic {
    /// The topic.
    pub name: Arc<str>,
    /// How many it shall have, with those it has.
    pub count: i32,
    /// Replicas of the new ones by hand; `None` lets the controller place them.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatePartitionsResponse {
    /// By topic as asked.
    pub results: Vec<CreatePartitionsTopicResult>,
}

/// One topic's new partitions, or why not.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreatePartitionsTopicResult {
    /// The topic.
    pub name: Arc<str>,
    /// INVALID_PARTITIONS, INVALID_REPLICA_ASSIGNMENT, ….
    pub error_code: ErrorCode,
    /// The controller's words.
    pub error_message: Option<Arc<str>>,
}

/// Which replica shall lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ElectionType {
    /// The first of the assignment, if it is in sync.
    Preferred,
    /// Any that lives, if there is no leader.
    Unclean,
}

/// Elect leaders.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ElectLeadersRequest {
    /// Which replica shall lead.
    pub election_type: ElectionType,
    /// Of which partitions; `None` for all.
    pub partitions: Option<Vec<(Arc<str>, i32)>>,
    /// How long the controller may take, in ms.
    pub timeout_ms: i32,
}

/// What became of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ElectLeadersResponse {
    /// About the request as a whole.
    pub error_code: ErrorCode,
    /// By partition; of all partitions only those that needed an election.
    pub results: Vec<(Arc<str>, i32, ErrorCode)>,
}
