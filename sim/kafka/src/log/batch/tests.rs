//! Bytes as Kafka writes them, and back.

use super::*;
use crate::log::record::{Header, Record};
use crate::log::testing::NOW;
use proptest::prelude::*;

/// Made by Kafka's own classes (org.apache.kafka:kafka-clients:4.1.0), in a `main` that prints `buffer()` in hex:
/// `mvn dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.1.0 -DoutputDirectory=.`, the same for
/// `org.slf4j:slf4j-api:1.7.36`; then `javac` and `java` with both on the class path, T = 1767225600000:
/// `MemoryRecords.withRecords((byte) 2, 0L, Compression.NONE, CREATE_TIME, -1L, (short) -1, -1, -1, false,
///  new SimpleRecord(T, "key".getBytes(), "value".getBytes()))`
const PLAIN: &str = "000000000000000000000040ffffffff02eccbc7a90000000000000000019b76daa8000000019b76daa800\
    ffffffffffffffffffffffffffff000000011c000000066b65790a76616c756500";

/// `MemoryRecords.withRecords((byte) 2, 40L, Compression.NONE, CREATE_TIME, 7L, (short) 3, 2147483646, 5, true,
///  new SimpleRecord(T, "a".getBytes(), "one".getBytes()),
///  new SimpleRecord(T - 10, null, "two".getBytes(), new Header[] { new RecordHeader("h", "x".getBytes()), new RecordHeader("n", (byte[]) null) }),
///  new SimpleRecord(T + 300, "c".getBytes(), null))`
const TRANSACTIONAL: &str = "00000000000000280000005600000005022c572d740010000000020000019b76daa8000000019b76daa92c\
    000000000000000700037ffffffe00000003140000000261066f6e650020001302010674776f0402680278026e011000d8040402630100";

/// `MemoryRecords.withEndTransactionMarker(43L, T + 1000, 5, 7L, (short) 3, new EndTransactionMarker(ControlRecordType.COMMIT, 9))`
const MARKER: &str = "000000000000002b000000420000000502acfc1fa60030000000000000019b76daabe80000019b76daabe8\
    00000000000000070003ffffffff000000012000000008000000010c00000000000900";

/// `MemoryRecords.withRecords((byte) 2, 0L, Compression.NONE, LOG_APPEND_TIME, -1L, (short) -1, -1, 2, false,
///  new SimpleRecord(T, (byte[]) null, (byte[]) null))`, at 0x1a1feb17bf1 by the clock.
const LOG_APPEND_TIME: &str = "000000000000000000000038000000020202bb3d860008000000000000019b76daa800000001a1feb17bf1\
    ffffffffffffffffffffffffffff000000010c000000010100";

fn hex(batch: &RecordBatch) -> String {
    let bytes = batch.encode().expect("it has an encoding");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn record(after: i64, key: Option<&str>, value: Option<&str>) -> PlainRecord {
    PlainRecord {
        id: RecordId {
            source: 0,
            number: 0,
        },
        timestamp: Timestamp(NOW.0 + after),
        key: key.map(|k| Bytes::from(k.to_owned())),
        value: value.map(|v| Bytes::from(v.to_owned())),
        headers: Vec::new(),
    }
}

fn placed(base_offset: i64, leader_epoch: i32, data: BatchData) -> RecordBatch {
    RecordBatch {
        base_offset: Offset(base_offset),
        leader_epoch: LeaderEpoch(leader_epoch),
        data: Arc::new(data),
    }
}

#[test]
fn a_plain_batch_has_the_bytes_and_the_checksum_that_kafka_gives_it() {
    let data = BatchData::of_records(&[record(0, Some("key"), Some("value"))], None);
    assert_eq!(data.crc(), 0xeccb_c7a9);
    assert_eq!(hex(&placed(0, -1, data)), PLAIN);
}

#[test]
fn a_transactional_batch_with_headers_and_nulls_has_kafkas_bytes() {
    let mut second = record(-10, None, Some("two"));
    second.headers = vec![
        (Bytes::from("h"), Some(Bytes::from("x"))),
        (Bytes::from("n"), None),
    ];
    let records = [
        record(0, Some("a"), Some("one")),
        second,
        record(300, Some("c"), None),
    ];
    let stamp = ProducerStamp {
        id: ProducerId(7),
        epoch: ProducerEpoch(3),
        base_sequence: 2_147_483_646,
    };
    let data = BatchData::of_records(&records, Some(stamp)).in_transaction();
    assert_eq!(data.last_sequence(), 0, "it wraps after 2^31-1 (L-1)");
    assert_eq!(hex(&placed(40, 5, data)), TRANSACTIONAL);
}

#[test]
fn a_commit_marker_has_kafkas_78_bytes_and_takes_one_offset() {
    let at = Timestamp(NOW.0 + 1_000);
    let data = BatchData::of_marker(ProducerId(7), ProducerEpoch(3), true, 9, at);
    assert_eq!(data.size, 78);
    let batch = placed(43, 5, data);
    assert_eq!(batch.end_offset(), Offset(44));
    assert_eq!(hex(&batch), MARKER);
}

#[test]
fn a_leaders_stamp_changes_type_latest_time_and_checksum_as_in_kafka() {
    let data = BatchData::of_records(&[record(0, None, None)], None);
    let at = Timestamp(0x01a1_feb1_7bf1);
    let batch = placed(0, 2, data.stamped(at));
    assert_eq!(hex(&batch), LOG_APPEND_TIME);
    let read = batch.records().next().expect("one record");
    assert_eq!(read.map(|r| r.timestamp), Ok(at), "and the record reads so");
}

#[test]
fn a_flipped_bit_does_not_fit_the_checksum() {
    let data = BatchData::of_records(&[record(0, Some("key"), None)], None);
    assert!(data.is_intact());
    for bit in 0..200 {
        let damaged = data.damaged(bit);
        assert!(!damaged.is_intact());
        assert_ne!(damaged.crc(), damaged.computed_crc());
    }
    let marker = BatchData::of_marker(ProducerId(1), ProducerEpoch(0), true, 0, NOW).damaged(3);
    assert!(!marker.is_intact());
    assert_ne!(marker.crc(), marker.computed_crc());
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn any_header() -> impl Strategy<Value = Header> {
    (any_bytes(), prop::option::of(any_bytes()))
}

fn any_record() -> impl Strategy<Value = PlainRecord> {
    let headers = prop::collection::vec(any_header(), 0..3);
    let timestamp = -1i64..1 << 62;
    (
        any::<u32>(),
        timestamp,
        prop::option::of(any_bytes()),
        prop::option::of(any_bytes()),
        headers,
    )
        .prop_map(|(number, timestamp, key, value, headers)| PlainRecord {
            id: RecordId { source: 9, number },
            timestamp: Timestamp(timestamp),
            key,
            value,
            headers,
        })
}

proptest! {
    #[test]
    fn what_is_decoded_is_what_was_encoded(records in prop::collection::vec(any_record(), 1..20)) {
        let batch = placed(100, 1, BatchData::of_records(&records, None));
        let read: Result<Vec<Record>, _> = batch.records().collect();
        let expected: Vec<Record> = (100..).zip(&records).map(|(offset, r)| Record {
            offset: Offset(offset),
            timestamp: r.timestamp,
            key: r.key.clone(),
            value: r.value.clone(),
            headers: r.headers.clone(),
            id: r.id,
        }).collect();
        prop_assert_eq!(read, Ok(expected));
        prop_assert_eq!(batch.encode().map(|b| b.len()), Some(batch.data.size as usize));
        prop_assert!(batch.data.is_intact());
        prop_assert_eq!(batch.data.crc(), batch.data.computed_crc());
    }

    #[test]
    fn a_record_is_never_larger_than_its_upper_bound(record in any_record()) {
        let bound = record::size_upper_bound(record.key.as_deref(), record.value.as_deref(), &record.headers);
        let data = BatchData::of_records(&[record], None);
        prop_assert!(data.size - BATCH_OVERHEAD <= bound);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(body in any_bytes(), count in 0usize..5) {
        let mut data = BatchData::of_records(&[record(0, None, None)], None);
        data.payload = Payload::Records { body, ids: vec![RecordId { source: 0, number: 0 }; count].into() };
        let read: Vec<_> = data.records_from(Offset(0)).collect();
        prop_assert!(read.len() <= count + 1);
        let bad = read.iter().position(Result::is_err);
        prop_assert!(bad.is_none_or(|at| at + 1 == read.len()), "nothing follows a bad record");
    }

    #[test]
    fn sequence_numbers_go_forth_and_back(sequence in 0..=i32::MAX, n in 0..1_000_000) {
        let after = sequence_after(sequence, n);
        prop_assert!(after >= 0);
        prop_assert_eq!(sequence_before(after, n), sequence);
    }
}
