//! Batches that a leader refuses, in the order of its checks (L-3, L-4).

use super::*;
use crate::ids::{ProducerEpoch, ProducerId};
use crate::log::batch::{BatchData, PlainRecord};
use crate::log::codec::TopicCompression;
use crate::log::testing::{NOW, idempotent, records};

fn refused(data: &BatchData, config: &LogConfig) -> Refusal {
    validate(data, true, config, NOW).expect_err("it is refused")
}

/// A sound batch with some fields changed and the checksum made to fit.
fn changed(change: impl FnOnce(&mut BatchData)) -> BatchData {
    let mut data = BatchData::of_records(&records(2), None);
    change(&mut data);
    data.sealed()
}

fn timed(afters: &[i64]) -> BatchData {
    let timed = |(after, record): (&i64, PlainRecord)| PlainRecord {
        timestamp: Timestamp(NOW.0 + after),
        ..record
    };
    let all = records(u32::try_from(afters.len()).expect("few"));
    let records: Vec<PlainRecord> = afters.iter().zip(all).map(timed).collect();
    BatchData::of_records(&records, None)
}

#[test]
fn a_sound_batch_is_taken() {
    let config = LogConfig::default();
    assert_eq!(
        validate(&idempotent(1, 0, 0, 3), true, &config, NOW),
        Ok(())
    );
}

#[test]
fn a_batch_above_max_message_bytes_is_too_large_whatever_else_is_wrong() {
    let data = changed(|d| d.count = 7).damaged(0);
    let max_message_bytes = i32::try_from(data.size).expect("small") - 1;
    let config = LogConfig {
        max_message_bytes,
        ..LogConfig::default()
    };
    assert_eq!(refused(&data, &config).error, ErrorCode::MessageTooLarge);
    assert_eq!(
        refused(&data, &LogConfig::default()).error,
        ErrorCode::CorruptMessage
    );
}

#[test]
fn counts_and_sequences_that_make_no_sense_are_invalid() {
    let config = LogConfig::default();
    for bad in [
        changed(|d| d.count = 3),
        changed(|d| d.count = 0),
        changed(|d| d.last_offset_delta = -1),
        changed(|d| d.producer = idempotent(1, 0, -1, 2).producer),
    ] {
        assert_eq!(refused(&bad, &config), ErrorCode::InvalidRecord.into());
    }
}

#[test]
fn clients_do_not_write_markers() {
    let marker = BatchData::of_marker(ProducerId(1), ProducerEpoch(0), true, 0, NOW);
    let config = LogConfig::default();
    assert_eq!(refused(&marker, &config).error, ErrorCode::InvalidRecord);
    assert_eq!(validate(&marker, false, &config, NOW), Ok(()));
}

#[test]
fn one_record_too_far_ahead_refuses_its_batch_and_is_named() {
    let config = LogConfig::default();
    let limit = config.timestamp_after_max_ms;
    assert_eq!(validate(&timed(&[0, limit]), true, &config, NOW), Ok(()));
    let expected = Refusal {
        error: ErrorCode::InvalidTimestamp,
        records: vec![1, 3],
    };
    let bad = timed(&[0, limit + 1, 0, limit + 2]);
    assert_eq!(refused(&bad, &config), expected);
}

#[test]
fn old_records_are_taken_unless_the_topic_says_otherwise() {
    let old = timed(&[0, -86_400_000]);
    assert_eq!(validate(&old, true, &LogConfig::default(), NOW), Ok(()));
    let strict = LogConfig {
        timestamp_before_max_ms: 86_399_999,
        ..LogConfig::default()
    };
    assert_eq!(refused(&old, &strict).records, [1]);
}

#[test]
fn a_compacted_topic_wants_keys_and_a_wrong_time_outweighs_a_missing_one() {
    let compact = LogConfig {
        compact: true,
        ..LogConfig::default()
    };
    let keyless = refused(&timed(&[0]), &compact);
    assert_eq!(keyless.error, ErrorCode::InvalidRecord);
    let mut records = records(2);
    records[1].key = Some("k".into());
    records[1].timestamp.0 += 4_000_000;
    let both = refused(&BatchData::of_records(&records, None), &compact);
    assert_eq!(both.error, ErrorCode::InvalidTimestamp);
    assert_eq!(both.records, [0, 1]);
}

#[test]
fn under_log_append_time_the_leaders_clock_is_written_whatever_the_producer_said() {
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let data = Arc::new(timed(&[9_000_000]));
    assert_eq!(validate(&data, true, &config, NOW), Ok(()));
    let written = stamp(&data, &config, NOW);
    assert_eq!(written.max_timestamp, NOW);
    assert!(written.is_intact());
}

#[test]
fn a_producer_does_not_set_log_append_time() {
    let data = timed(&[0]).stamped(NOW);
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    assert_eq!(refused(&data, &config).error, ErrorCode::InvalidTimestamp);
}

fn packed(count: u32, codec: Codec) -> Arc<BatchData> {
    let compression = Compression {
        codec,
        ..Compression::default()
    };
    let plain = BatchData::of_records(&records(count), None);
    Arc::new(plain.compressed(compression).expect("it is sound"))
}

fn topic(compression: TopicCompression) -> LogConfig {
    LogConfig {
        compression,
        ..LogConfig::default()
    }
}

#[test]
fn a_topic_keeps_a_producers_compression_or_has_its_own() {
    for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
        let came = packed(3, codec);
        let kept = convert(&came, &topic(TopicCompression::Producer), NOW).expect("taken");
        assert!(Arc::ptr_eq(&came, &kept));
        for own in [Codec::None, Codec::Snappy, Codec::Zstd] {
            let own = TopicCompression::Always(own);
            let stored = convert(&came, &topic(own), NOW).expect("taken");
            assert_eq!(stored.codec, own.target(codec));
            assert_eq!(stored.ids(), came.ids());
            assert!(
                stored
                    .records_from(Offset(0))
                    .eq(came.records_from(Offset(0)))
            );
            assert_eq!(stored.crc(), stored.computed_crc());
        }
    }
}

#[test]
fn a_batch_that_is_too_large_once_it_is_unpacked_is_refused() {
    let came = packed(300, Codec::Gzip);
    let config = LogConfig {
        max_message_bytes: i32::try_from(came.size).expect("small"),
        ..topic(TopicCompression::Always(Codec::None))
    };
    assert_eq!(validate(&came, true, &config, NOW), Ok(()));
    let refusal = convert(&came, &config, NOW).expect_err("it has grown");
    assert_eq!(refusal.error, ErrorCode::MessageTooLarge);
}

#[test]
fn a_compressed_batch_is_read_through() {
    let config = LogConfig::default();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        assert_eq!(validate(&packed(9, codec), true, &config, NOW), Ok(()));
    }
    let mut lying = BatchData::of_records(&records(2), None);
    lying.codec = Codec::Lz4;
    assert_eq!(
        refused(&lying.sealed(), &config).error,
        ErrorCode::InvalidRecord
    );
}
