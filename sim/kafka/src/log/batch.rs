//! Record batches, format v2 (Kafka's DefaultRecordBatch): what is written, sent, copied and read whole.
//!
//! The body is encoded once, by the producer, and shared by all replicas; base offset and leader epoch lie outside the
//! checksum and are the leader's to give (§1.1). Bytes and checksum of an application's batch and of a transaction marker
//! are Kafka's own, to the bit; records of the metadata log are kept as values, their size estimated.
//!
//! Left out: a client's non-zero base offset (87), which the type of a produce request cannot say.

use super::codec::{Codec, Compression};
pub use super::record::PlainRecord;
use super::record::{self, Records};
use crate::controller::records::{MetadataRecord, MetadataRecords};
use crate::ids::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, RecordId, RecordIds};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// Bytes of a batch header, from base offset to record count.
pub const BATCH_OVERHEAD: u32 = 61;
/// The bytes before those that `batch length` counts: base offset and the length itself.
const LOG_OVERHEAD: u32 = 12;
/// The sequence number of a batch that has none: of a plain producer's batch, of a marker.
pub const NO_SEQUENCE: i32 = -1;

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
#[derive(Clone, PartialEq, Debug)]
pub struct BatchData {
    /// Whole size on disk and wire in bytes, header included.
    pub size: u32,
    /// CRC-32C over everything from the attributes on.
    pub(super) crc: u32,
    /// The checksum fits the contents. It does in every batch but a damaged one: bytes do not rot in memory, and a look
    /// at this is as good as summing them up again on every replica and in every reader.
    pub(super) intact: bool,
    /// How the records are compressed.
    pub codec: Codec,
    /// Whose clock the timestamps are from.
    pub timestamp_type: TimestampType,
    /// Part of a transaction.
    pub transactional: bool,
    /// Offset of the last record less the base offset.
    pub last_offset_delta: i32,
    /// How many records.
    pub count: i32,
    /// The first record's timestamp; in a batch with a delete horizon, that.
    pub base_timestamp: Timestamp,
    /// Compaction has found a tombstone in it (L-29).
    pub(super) has_delete_horizon: bool,
    /// The latest timestamp within; under LogAppendTime that of every record.
    pub max_timestamp: Timestamp,
    /// Who wrote it, if idempotent.
    pub producer: Option<ProducerStamp>,
    /// The records.
    pub payload: Payload,
}

/// For digests. Of an application's batch the checksum stands for the records' bytes and for the header; batches of the
/// metadata log have none.
impl Serialize for BatchData {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        enum Written<'a, H> {
            Records(&'a RecordIds),
            Other(H, &'a Payload),
        }
        let written = match &self.payload {
            Payload::Records { ids, .. } => Written::Records(ids),
            payload => {
                let header = (self.timestamp_type, self.transactional, self.producer);
                let span = (self.last_offset_delta, self.count);
                let times = (self.base_timestamp, self.max_timestamp);
                Written::Other((header, span, times), payload)
            }
        };
        (self.size, self.crc, self.intact, written).serialize(to)
    }
}

/// `message.timestamp.type`: whose clock stamps a record (L-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The leader's, when it appends.
    LogAppendTime,
}

/// The idempotent producer's mark on a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ProducerStamp {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence number of the first record; [`NO_SEQUENCE`] on a marker.
    pub base_sequence: i32,
}

/// What a batch holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Payload {
    /// An application's records, encoded, and what it calls them (in offset order).
    Records {
        /// The encoded records, compressed if they are. Not part of a digest: the CRC stands for them.
        #[serde(skip)]
        body: Bytes,
        /// One id per record.
        ids: RecordIds,
    },
    /// A control record (L-2).
    Control(ControlRecord),
    /// Records of the metadata log.
    Metadata(MetadataRecords),
}

/// Control records (L-2): they take an offset and are never shown to an application.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum ControlRecord {
    /// A transaction of the batch's producer ends in this partition.
    EndTransaction {
        /// Committed; else aborted.
        commit: bool,
        /// The epoch of the coordinator that decided.
        coordinator_epoch: i32,
    },
    /// The first record of a quorum leader's epoch (K-4).
    LeaderChange {
        /// The leader.
        leader: NodeId,
        /// Its voters.
        voters: Vec<NodeId>,
    },
}

impl RecordBatch {
    /// The offset after its last record.
    #[inline]
    pub fn end_offset(&self) -> Offset {
        self.base_offset
            .plus(i64::from(self.data.last_offset_delta) + 1)
    }

    /// The offset of its last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset
            .plus(i64::from(self.data.last_offset_delta))
    }

    /// An application's records, decoded, in offset order; none in other batches.
    pub fn records(&self) -> Records<'_> {
        self.data.records_from(self.base_offset)
    }

    /// The offsets of an application's records, in order; empty for other batches. They follow one another without a gap
    /// unless compaction has taken some: then each record says its own.
    pub fn offsets(&self) -> impl Iterator<Item = Offset> + '_ {
        let span = i64::from(self.data.last_offset_delta) + 1;
        let is_whole = i64::try_from(self.data.ids().len()) == Ok(span);
        let whole = 0..if is_whole { span } else { 0 };
        // Mostly none: a list, so that the iterator is small, which is moved about.
        let left: Vec<Offset> = match is_whole {
            true => Vec::new(),
            false => {
                let records = self.records().map_while(Result::ok);
                records.map(|record| record.offset).collect()
            }
        };
        whole.map(|delta| self.base_offset.plus(delta)).chain(left)
    }

    /// The bytes that Kafka would write; `None` for batches of the metadata log, which have no encoding here.
    pub fn encode(&self) -> Option<Bytes> {
        let body = self.data.body()?;
        let mut out = Vec::with_capacity(self.data.size as usize);
        out.extend_from_slice(&self.base_offset.0.to_be_bytes());
        out.extend_from_slice(&(self.data.size - LOG_OVERHEAD).to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        out.push(2); // magic
        out.extend_from_slice(&self.data.crc.to_be_bytes());
        out.extend_from_slice(&self.data.checked_header());
        out.extend_from_slice(&body);
        Some(Bytes::from(out))
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
        let payload = Payload::Records {
            body: record::encode_all(records, base),
            ids: records.iter().map(|r| r.id).collect(),
        };
        let latest = records.iter().map(|r| r.timestamp).max().unwrap_or(base);
        BatchData {
            max_timestamp: latest,
            ..BatchData::unsealed(payload, count_of(records), base, producer)
        }
        .sealed()
    }

    /// The same batch as part of a transaction of its producer.
    ///
    /// # Panics
    /// If it is no idempotent producer's: only those have transactions.
    pub fn in_transaction(self) -> BatchData {
        assert!(self.producer.is_some(), "a transaction has a producer id");
        BatchData {
            transactional: true,
            ..self
        }
        .sealed()
    }

    /// A marker that ends a producer's transaction (L-2): 78 bytes, one offset.
    pub fn of_marker(
        id: ProducerId,
        epoch: ProducerEpoch,
        commit: bool,
        coordinator_epoch: i32,
        at: Timestamp,
    ) -> BatchData {
        let marker = ControlRecord::EndTransaction {
            commit,
            coordinator_epoch,
        };
        let stamp = ProducerStamp {
            id,
            epoch,
            base_sequence: NO_SEQUENCE,
        };
        BatchData::unsealed(Payload::Control(marker), 1, at, Some(stamp)).in_transaction()
    }

    /// A batch of metadata records.
    pub fn of_metadata(records: Vec<MetadataRecord>, at: Timestamp) -> BatchData {
        let count = count_of(&records);
        BatchData::unsealed(Payload::Metadata(records.into()), count, at, None).sealed()
    }

    /// A batch of one control record of the metadata log.
    pub fn of_control(record: ControlRecord, at: Timestamp) -> BatchData {
        BatchData::unsealed(Payload::Control(record), 1, at, None).sealed()
    }

    /// The same batch stamped by the leader's clock (L-4, LogAppendTime).
    pub fn stamped(&self, at: Timestamp) -> BatchData {
        BatchData {
            timestamp_type: TimestampType::LogAppendTime,
            max_timestamp: at,
            ..self.clone()
        }
        .sealed()
    }

    /// The same batch with other sequence numbers, or by another producer: the records are shared.
    pub fn renumbered(&self, producer: ProducerStamp) -> BatchData {
        BatchData {
            producer: Some(producer),
            ..self.clone()
        }
        .sealed()
    }

    /// The same records compressed, or compressed otherwise; none if they cannot be read, or are no application's.
    pub fn compressed(&self, compression: Compression) -> Option<BatchData> {
        let Payload::Records { body, ids } = &self.payload else {
            return None;
        };
        let payload = Payload::Records {
            body: compression.compress(self.codec.decompress(body)?),
            ids: ids.clone(),
        };
        let compressed = BatchData {
            codec: compression.codec,
            payload,
            ..self.clone()
        };
        Some(compressed.sealed())
    }

    /// The records as they would be read if the batch began at this offset.
    pub fn records_from(&self, base_offset: Offset) -> Records<'_> {
        Records::of(self, base_offset)
    }

    /// The ids of an application's records; empty for other batches.
    pub fn ids(&self) -> &[RecordId] {
        match &self.payload {
            Payload::Records { ids, .. } => ids,
            _ => &[],
        }
    }

    /// The transaction marker that this batch is.
    pub fn marker(&self) -> Option<Marker> {
        match (&self.payload, self.producer) {
            (
                Payload::Control(ControlRecord::EndTransaction {
                    commit,
                    coordinator_epoch,
                }),
                Some(producer),
            ) => Some(Marker {
                producer,
                commit: *commit,
                coordinator_epoch: *coordinator_epoch,
            }),
            _ => None,
        }
    }

    /// When its tombstones may go (L-29).
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.has_delete_horizon.then_some(self.base_timestamp)
    }

    /// Holds a control record (L-2).
    pub fn is_control(&self) -> bool {
        matches!(self.payload, Payload::Control(_))
    }

    /// The sequence number of the last record (L-1).
    pub fn last_sequence(&self) -> i32 {
        match self.producer {
            Some(p) if p.base_sequence != NO_SEQUENCE => {
                sequence_after(p.base_sequence, self.last_offset_delta)
            }
            _ => NO_SEQUENCE,
        }
    }

    /// The checksum that it carries.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// Whether the checksum fits the contents (L-3, L-36).
    pub fn is_intact(&self) -> bool {
        self.intact
    }

    /// The same with one bit of its records flipped, which its checksum gives away.
    pub fn damaged(&self, bit: u64) -> BatchData {
        let mut damaged = self.clone();
        damaged.intact = false;
        match &mut damaged.payload {
            Payload::Records { body, .. } if !body.is_empty() => {
                let mut bytes = body.to_vec();
                let at = (bit / 8) % bytes.len() as u64;
                let byte = bytes.iter_mut().zip(0u64..).find(|(_, i)| *i == at);
                *byte.expect("it is below the length").0 ^= 1 << (bit % 8);
                *body = Bytes::from(bytes);
            }
            // What has no encoding here has lost a bit of its checksum.
            _ => damaged.crc ^= 1 << (bit % 32),
        }
        damaged
    }

    /// The CRC-32C of fields and body as they stand now; 0 for batches of the metadata log, which have no encoding here.
    pub fn computed_crc(&self) -> u32 {
        match &self.payload {
            Payload::Records { body, .. } => self.crc_over(body),
            _ => self.body().map_or(0, |body| self.crc_over(&body)),
        }
    }

    fn crc_over(&self, body: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.checked_header()), body)
    }

    /// The encoded records.
    fn body(&self) -> Option<Bytes> {
        match &self.payload {
            Payload::Records { body, .. } => Some(body.clone()),
            Payload::Control(ControlRecord::EndTransaction {
                commit,
                coordinator_epoch,
            }) => Some(record::encode_marker(*commit, *coordinator_epoch)),
            Payload::Control(ControlRecord::LeaderChange { .. }) | Payload::Metadata(_) => None,
        }
    }

    /// The 40 header bytes that the checksum covers: attributes to record count.
    fn checked_header(&self) -> [u8; 40] {
        let mut head = [0u8; 40];
        head[1] = self.attributes();
        head[2..6].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[6..14].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        head[14..22].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        let (id, epoch, sequence) = match self.producer {
            Some(p) => (p.id.0, p.epoch.0, p.base_sequence),
            None => (-1, -1, NO_SEQUENCE),
        };
        head[22..30].copy_from_slice(&id.to_be_bytes());
        head[30..32].copy_from_slice(&epoch.to_be_bytes());
        head[32..36].copy_from_slice(&sequence.to_be_bytes());
        head[36..40].copy_from_slice(&self.count.to_be_bytes());
        head
    }

    /// Bits 0–2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon; the high byte is unused.
    fn attributes(&self) -> u8 {
        self.codec.bits()
            | u8::from(self.timestamp_type == TimestampType::LogAppendTime) << 3
            | u8::from(self.transactional) << 4
            | u8::from(self.is_control()) << 5
            | u8::from(self.has_delete_horizon) << 6
    }

    pub(super) fn unsealed(
        payload: Payload,
        count: i32,
        at: Timestamp,
        producer: Option<ProducerStamp>,
    ) -> BatchData {
        BatchData {
            size: 0,
            crc: 0,
            intact: true,
            codec: Codec::None,
            timestamp_type: TimestampType::CreateTime,
            transactional: false,
            last_offset_delta: count - 1,
            count,
            base_timestamp: at,
            has_delete_horizon: false,
            max_timestamp: at,
            producer,
            payload,
        }
    }

    /// Size and checksum made to fit the rest.
    pub(super) fn sealed(mut self) -> BatchData {
        let body = match &self.payload {
            Payload::Records { body, .. } => body.len(),
            Payload::Control(ControlRecord::EndTransaction { .. }) => record::MARKER_SIZE,
            Payload::Control(ControlRecord::LeaderChange { voters, .. }) => 17 + 4 * voters.len(),
            Payload::Metadata(records) => 48 * records.len(),
        };
        self.size = BATCH_OVERHEAD + u32::try_from(body).expect("a batch is below 4 GiB");
        self.crc = self.computed_crc();
        self
    }
}

/// A transaction marker as a partition reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Whose transaction ends.
    pub producer: ProducerStamp,
    /// Committed; else aborted.
    pub commit: bool,
    /// The epoch of the coordinator that decided.
    pub coordinator_epoch: i32,
}

/// The sequence number `n` records on. After 2^31-1 comes 0 (L-1).
pub fn sequence_after(sequence: i32, n: i32) -> i32 {
    ((i64::from(sequence) + i64::from(n)) & 0x7fff_ffff) as i32
}

/// The sequence number `n` records back.
pub fn sequence_before(sequence: i32, n: i32) -> i32 {
    ((i64::from(sequence) - i64::from(n)) & 0x7fff_ffff) as i32
}

fn count_of<T>(records: &[T]) -> i32 {
    i32::try_from(records.len()).expect("a batch holds fewer than 2^31 records")
}

#[cfg(test)]
mod tests;
