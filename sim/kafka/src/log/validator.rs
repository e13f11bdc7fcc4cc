//! What a leader checks of a client's batch before it appends it (Kafka's LogValidator and UnifiedLog's own checks).
//! One bad record refuses the whole batch (L-3).
//!
//! Left out: a base offset other than 0 and more or fewer than one batch (87, L-1), which a produce request cannot
//! express here.

use super::batch::{BatchData, Payload, TimestampType};
use super::codec::{Codec, Compression};
use super::config::LogConfig;
use super::record::Record;
use crate::ids::Offset;
use crate::protocol::ErrorCode;
use crate::time::Timestamp;
use std::sync::Arc;

/// Why a batch was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The partition's error code.
    pub error: ErrorCode,
    /// The records at fault, by their place in the batch, if single ones are (KIP-467).
    pub records: Vec<u32>,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Refusal {
        Refusal {
            error,
            records: Vec::new(),
        }
    }
}

/// Checks a batch in Kafka's order (L-3, L-4). A coordinator's own batch is trusted to have a sound header.
///
/// # Errors
/// The first check that failed.
pub fn validate(
    data: &BatchData,
    by_client: bool,
    config: &LogConfig,
    now: Timestamp,
) -> Result<(), Refusal> {
    if i64::from(data.size) > i64::from(config.max_message_bytes) {
        return Err(ErrorCode::MessageTooLarge.into());
    }
    if !data.is_intact() {
        return Err(ErrorCode::CorruptMessage.into());
    }
    if by_client {
        check_header(data)?;
    }
    check_records(data, config, now)
}

/// What is to be written: compressed as the topic says (L-5), and under LogAppendTime with the leader's clock (L-4).
///
/// # Errors
/// Compressed otherwise, the batch is too large.
pub fn convert(
    data: &Arc<BatchData>,
    config: &LogConfig,
    now: Timestamp,
) -> Result<Arc<BatchData>, Refusal> {
    let target = config.compression.target(data.codec);
    if target == data.codec || data.is_control() {
        return Ok(stamp(data, config, now));
    }
    let compression = Compression {
        codec: target,
        ..Compression::default()
    };
    let converted = data
        .compressed(compression)
        .ok_or(ErrorCode::InvalidRecord)?;
    if i64::from(converted.size) > i64::from(config.max_message_bytes) {
        return Err(ErrorCode::MessageTooLarge.into());
    }
    Ok(stamp(&Arc::new(converted), config, now))
}

fn stamp(data: &Arc<BatchData>, config: &LogConfig, now: Timestamp) -> Arc<BatchData> {
    match config.timestamp_type {
        TimestampType::CreateTime => data.clone(),
        TimestampType::LogAppendTime => Arc::new(data.stamped(now)),
    }
}

fn check_header(data: &BatchData) -> Result<(), ErrorCode> {
    let invalid = Err(ErrorCode::InvalidRecord);
    if data.last_offset_delta < 0 || data.count <= 0 {
        return invalid;
    }
    if data.last_offset_delta != data.count - 1 {
        return invalid;
    }
    // Clients do not write control records (L-2), nor those of the metadata log.
    if !matches!(data.payload, Payload::Records { .. }) {
        return invalid;
    }
    match data.producer {
        Some(stamp) if stamp.base_sequence < 0 => invalid,
        _ => Ok(()),
    }
}

/// Single records: a key on a compacted topic, then the timestamp. If any timestamp is wrong, that is the error.
fn check_records(data: &BatchData, config: &LogConfig, now: Timestamp) -> Result<(), Refusal> {
    if !could_fail(data, config, now) {
        return Ok(());
    }
    let mut records = Vec::new();
    let mut error = ErrorCode::InvalidRecord;
    for (index, record) in (0u32..).zip(data.records_from(Offset(0))) {
        let record = record.map_err(|_| ErrorCode::InvalidRecord)?;
        if config.compact && record.key.is_none() {
            records.push(index);
        } else if !timestamp_fits(data, &record, config, now) {
            records.push(index);
            error = ErrorCode::InvalidTimestamp;
        }
    }
    if records.is_empty() {
        return Ok(());
    }
    Err(Refusal { error, records })
}

/// Whether a look at single records can find anything: the header's latest timestamp bounds them all, so that with the
/// default settings no record need be decoded.
fn could_fail(data: &BatchData, config: &LogConfig, now: Timestamp) -> bool {
    // A compressed batch is always read through, as in Kafka.
    data.codec != Codec::None
        || config.compact
        || data.timestamp_type == TimestampType::LogAppendTime
        || config.timestamp_before_max_ms != i64::MAX
        || data.max_timestamp.0.saturating_sub(now.0) > config.timestamp_after_max_ms
}

/// L-4: under CreateTime within [now - before.max, now + after.max], or absent (-1). A producer never sets LogAppendTime.
fn timestamp_fits(data: &BatchData, record: &Record, config: &LogConfig, now: Timestamp) -> bool {
    if config.timestamp_type == TimestampType::CreateTime && record.timestamp.0 != -1 {
        let age = now.0.saturating_sub(record.timestamp.0);
        return age <= config.timestamp_before_max_ms
            && age.saturating_neg() <= config.timestamp_after_max_ms;
    }
    data.timestamp_type != TimestampType::LogAppendTime
}

#[cfg(test)]
mod tests;
