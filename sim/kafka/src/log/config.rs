//! The settings of one log, resolved from topic and broker (Kafka's LogConfig).
//!
//! Left out: everything about retention, compaction and indexes (§1.4, §1.5), flushing by count or age
//! (`flush.messages`, `flush.ms`: never, by default, L-32), compression levels of a topic and `segment.jitter.ms` (0 by
//! default).

use super::batch::TimestampType;
use super::codec::TopicCompression;
use crate::config::{ServerConfig, TopicConfig};
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
    /// The topic is compacted, so that every record needs a key (L-3). Set with `cleanup.policy`, once that is built.
    pub compact: bool,
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
            compression: topic.compression_type.or(broker.compression_type),
            max_message_bytes: topic.max_message_bytes.or(broker.message_max_bytes),
            timestamp_type: topic
                .message_timestamp_type
                .or(broker.log_message_timestamp_type),
            timestamp_before_max_ms: broker.log_message_timestamp_before_max_ms,
            timestamp_after_max_ms: broker.log_message_timestamp_after_max_ms,
            compact: false,
            producer_id_expiration_ms: i64::from(broker.producer_id_expiration_ms),
            verify_transactions: true,
        }
    }
}

impl Default for LogConfig {
    /// Kafka's defaults; also those of the metadata log.
    fn default() -> LogConfig {
        LogConfig::of(&ServerConfig::default(), &TopicConfig::default())
    }
}
