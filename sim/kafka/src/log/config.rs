//! The settings of one log, resolved from topic and broker (Kafka's LogConfig).
//!
//! Left out: flushing by count or age (`flush.messages`, `flush.ms`: never, by default, L-32), compression levels of a
//! topic, `segment.jitter.ms` (0 by default), and all that is about tiered storage.

use super::batch::TimestampType;
use super::codec::TopicCompression;
use crate::config::{CleanupPolicy, Ratio, ServerConfig, TopicConfig};
use serde::Serialize;

/// The settings of one log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LogConfig {
    /// `segment.bytes`: a segment holds at most so much (L-17).
    pub segment_bytes: i32,
    /// `segment.ms`: a segment spans at most so much record time (L-17).
    pub segment_ms: i64,
    /// `compression.type`: how batches are stored (L-5).
    pub compression: TopicCompression,
    /// `max.message.bytes`: the largest batch (L-3).
    pub max_message_bytes: i32,
    /// `message.timestamp.type`: whose clock stamps records (L-4).
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far behind the leader's clock a record may be (L-4).
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of it (L-4).
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy`: what is done with old records (L-23). In a compacted topic every record needs a key (L-3).
    pub cleanup: CleanupPolicy,
    /// `retention.ms`: a segment whose latest record is older is deleted (L-21); negative for never.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments are deleted while the log stays that large (L-22); negative for never.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: a deleted file vanishes after so long (L-24).
    pub file_delete_delay_ms: i64,
    /// `index.interval.bytes`: both indexes get an entry per so many bytes (L-18).
    pub index_interval_bytes: i32,
    /// `segment.index.bytes`: an index holds at most so much (L-17).
    pub segment_index_bytes: i32,
    /// `min.cleanable.dirty.ratio`: a log is compacted when more of it than this is dirty (L-27).
    pub min_cleanable_dirty_ratio: Ratio,
    /// `min.compaction.lag.ms`: a record is left alone for so long (L-27).
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record is compacted after so long, however little is dirty (L-27).
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: a tombstone is kept for so long after its first compaction (L-29).
    pub delete_retention_ms: i64,
    /// `producer.id.expiration.ms`: an idle producer is forgotten after so long (L-14).
    pub producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable`: a transaction's first batch here needs the coordinator's word (T-6).
    pub verify_transactions: bool,
}

impl LogConfig {
    /// What is in force for a topic on a broker.
    pub fn of(broker: &ServerConfig, topic: &TopicConfig) -> LogConfig {
        LogConfig {
            segment_bytes: topic.segment_bytes.or(broker.log_segment_bytes),
            segment_ms: topic.segment_ms.or(broker.log_roll_ms),
            cleanup: topic.cleanup_policy.or(broker.log_cleanup_policy),
            retention_ms: topic.retention_ms.or(broker.log_retention_ms),
            retention_bytes: topic.retention_bytes.or(broker.log_retention_bytes),
            file_delete_delay_ms: topic
                .file_delete_delay_ms
                .or(broker.log_segment_delete_delay_ms),
            index_interval_bytes: topic
                .index_interval_bytes
                .or(broker.log_index_interval_bytes),
            segment_index_bytes: topic
                .segment_index_bytes
                .or(broker.log_index_size_max_bytes),
            min_cleanable_dirty_ratio: topic
                .min_cleanable_dirty_ratio
                .or(broker.log_cleaner_min_cleanable_ratio),
            min_compaction_lag_ms: topic
                .min_compaction_lag_ms
                .or(broker.log_cleaner_min_compaction_lag_ms),
            max_compaction_lag_ms: topic
                .max_compaction_lag_ms
                .or(broker.log_cleaner_max_compaction_lag_ms),
            delete_retention_ms: topic
                .delete_retention_ms
                .or(broker.log_cleaner_delete_retention_ms),
            compression: topic.compression_type.or(broker.compression_type),
            max_message_bytes: topic.max_message_bytes.or(broker.message_max_bytes),
            timestamp_type: topic
                .message_timestamp_type
                .or(broker.log_message_timestamp_type),
            timestamp_before_max_ms: topic
                .message_timestamp_before_max_ms
                .or(broker.log_message_timestamp_before_max_ms),
            timestamp_after_max_ms: topic
                .message_timestamp_after_max_ms
                .or(broker.log_message_timestamp_after_max_ms),
            producer_id_expiration_ms: i64::from(broker.producer_id_expiration_ms),
            verify_transactions: true,
        }
    }

    /// How long a segment may fill: compaction cannot wait for longer than it is allowed to (L-17).
    pub fn max_segment_ms(&self) -> i64 {
        match self.cleanup.compact && self.max_compaction_lag_ms > 0 {
            true => self.segment_ms.min(self.max_compaction_lag_ms),
            false => self.segment_ms,
        }
    }
}

impl Default for LogConfig {
    /// Kafka's defaults; also those of the metadata log.
    fn default() -> LogConfig {
        LogConfig::of(&ServerConfig::default(), &TopicConfig::default())
    }
}
