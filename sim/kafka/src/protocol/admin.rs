//! What operators ask: CreateTopics (19), IncrementalAlterConfigs (44). Sent to any broker, which forwards them to the
//! active controller in an Envelope (58).

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

/// Change these configs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IncrementalAlterConfigsRequest {
    /// By resource.
    pub resources: Vec<AlterConfigsResource>,
}

/// The changes of one topic's configs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AlterConfigsResource {
    /// The topic.
    pub topic: Arc<str>,
    /// Key and new value; `None` deletes.
    pub configs: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// What became of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IncrementalAlterConfigsResponse {
    /// By resource as asked: the topic, its error, the controller's words.
    pub responses: Vec<(Arc<str>, ErrorCode, Option<Arc<str>>)>,
}
