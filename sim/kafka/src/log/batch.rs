//! Record batches, format v2: what is written, sent, copied and read whole.
//!
//! The body is encoded once, by the producer, and shared by all replicas; base offset and leader epoch lie outside the
//! checksum and are the leader's to give (§1.1). Records of the metadata log are kept as values, their size estimated.

use crate::controller::records::MetadataRecord;
use crate::ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, RecordId};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;

/// Bytes of a batch header, from base offset to record count.
pub const BATCH_OVERHEAD: u32 = 61;

/// A batch in a log: what the leader gave it, and the body it shares with all copies.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RecordBatch {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// The rest.
    pub data: Arc<BatchData>,
}

/// A batch without its place in a log.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BatchData {
    /// Whole size on disk and wire in bytes, header included.
    pub size: u32,
    /// CRC-32C over everything from the attributes on.
    pub crc: u32,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// How many records.
    pub count: i32,
    /// The first record's timestamp.
    pub base_timestamp: Timestamp,
    /// The latest timestamp within.
    pub max_timestamp: Timestamp,
    /// Who wrote it, if idempotent.
    pub producer: Option<ProducerStamp>,
    /// The records.
    pub payload: Payload,
}

/// The idempotent producer's mark on a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ProducerStamp {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence number of the first record.
    pub base_sequence: i32,
}

/// What a batch holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Payload {
    /// An application's records, encoded, and what it calls them (in offset order).
    Records {
        /// The encoded records. Not part of a digest: the CRC stands for them.
        #[serde(skip)]
        body: Bytes,
        /// One id per record.
        ids: Box<[RecordId]>,
    },
    /// A control record (L-2).
    Control(ControlRecord),
    /// Records of the metadata log.
    Metadata(Box<[MetadataRecord]>),
}

/// Control records of the metadata log; transaction markers come with transactions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum ControlRecord {
    /// The first record of a quorum leader's epoch (K-4).
    LeaderChange {
        /// The leader.
        leader: NodeId,
        /// Its voters.
        voters: Vec<NodeId>,
    },
}

/// One record of an application before it is encoded.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlainRecord {
    /// What the application calls it.
    pub id: RecordId,
    /// When it was made.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

impl RecordBatch {
    /// The offset after its last record.
    pub fn end_offset(&self) -> Offset {
        self.base_offset
            .plus(self.data.last_offset_delta as i64 + 1)
    }

    /// The offset of its last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.data.last_offset_delta as i64)
    }
}

impl BatchData {
    /// Encodes records into a batch, in the order given, compressed by nothing.
    ///
    /// # Panics
    /// If there is no record: an empty batch is never sent.
    pub fn of_records(records: &[PlainRecord], producer: Option<ProducerStamp>) -> BatchData {
        assert!(!records.is_empty(), "a batch holds at least one record");
        let base = records[0].timestamp;
        let mut body = Vec::with_capacity(records.len() * 32);
        let mut one = Vec::with_capacity(64);
        for (delta, record) in records.iter().enumerate() {
            one.clear();
            encode_record(&mut one, record, base, delta as i64);
            put_varint(&mut body, one.len() as i64);
            body.extend_from_slice(&one);
        }
        let max_timestamp = records.iter().map(|r| r.timestamp).max().unwrap_or(base);
        let count = i32::try_from(records.len()).expect("a batch holds fewer than 2^31 records");
        let mut data = BatchData {
            size: BATCH_OVERHEAD + u32::try_from(body.len()).expect("a batch is below 4 GiB"),
            crc: 0,
            last_offset_delta: count - 1,
            count,
            base_timestamp: base,
            max_timestamp,
            producer,
            payload: Payload::Records {
                body: Bytes::from(body),
                ids: records.iter().map(|r| r.id).collect(),
            },
        };
        data.crc = data.computed_crc();
        data
    }

    /// A batch of metadata records.
    pub fn of_metadata(records: Vec<MetadataRecord>, at: Timestamp) -> BatchData {
        let count = i32::try_from(records.len()).expect("a batch holds fewer than 2^31 records");
        BatchData {
            size: BATCH_OVERHEAD + 48 * count as u32,
            crc: 0,
            last_offset_delta: count - 1,
            count,
            base_timestamp: at,
            max_timestamp: at,
            producer: None,
            payload: Payload::Metadata(records.into_boxed_slice()),
        }
    }

    /// A batch of one control record.
    pub fn of_control(record: ControlRecord, at: Timestamp) -> BatchData {
        BatchData {
            size: BATCH_OVERHEAD + 17,
            crc: 0,
            last_offset_delta: 0,
            count: 1,
            base_timestamp: at,
            max_timestamp: at,
            producer: None,
            payload: Payload::Control(record),
        }
    }

    /// The ids of an application's records; empty for other batches.
    pub fn ids(&self) -> &[RecordId] {
        match &self.payload {
            Payload::Records { ids, .. } => ids,
            _ => &[],
        }
    }

    /// The CRC-32C of a batch of records as its fields and body stand now.
    pub fn computed_crc(&self) -> u32 {
        let Payload::Records { body, .. } = &self.payload else {
            return self.crc;
        };
        let mut head = [0u8; 40];
        // Attributes: no compression, CreateTime, not transactional, not control.
        head[2..6].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[6..14].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        head[14..22].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        let (id, epoch, sequence) = match self.producer {
            Some(p) => (p.id.0, p.epoch.0, p.base_sequence),
            None => (-1, -1, -1),
        };
        head[22..30].copy_from_slice(&id.to_be_bytes());
        head[30..32].copy_from_slice(&epoch.to_be_bytes());
        head[32..36].copy_from_slice(&sequence.to_be_bytes());
        head[36..40].copy_from_slice(&self.count.to_be_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&head), body)
    }
}

fn encode_record(out: &mut Vec<u8>, record: &PlainRecord, base: Timestamp, delta: i64) {
    out.push(0); // attributes: unused
    put_varint(out, record.timestamp.0 - base.0);
    put_varint(out, delta);
    put_bytes(out, record.key.as_ref());
    put_bytes(out, record.value.as_ref());
    put_varint(out, record.headers.len() as i64);
    for (key, value) in &record.headers {
        put_bytes(out, Some(key));
        put_bytes(out, value.as_ref());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => put_varint(out, -1),
        Some(b) => {
            put_varint(out, b.len() as i64);
            out.extend_from_slice(b);
        }
    }
}

/// A zig-zag varint, as Kafka and protocol buffers write it.
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut v = ((value << 1) ^ (value >> 63)) as u64;
    while v >= 0x80 {
        out.push((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}
