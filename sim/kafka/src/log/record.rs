//! Single records within a batch (Kafka's DefaultRecord): a length, then everything as zig-zag varints relative to the
//! batch. Encoding keeps the order given; decoding borrows the batch's bytes and never panics, whatever they are.
//!
//! Left out: the record attributes byte is written as 0 and not looked at, as in Kafka.

use super::batch::{BatchData, Payload, TimestampType};
use crate::ids::{Offset, RecordId};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::Serialize;

/// A header's key and value.
pub type Header = (Bytes, Option<Bytes>);

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
    pub headers: Vec<Header>,
}

/// One record as a reader finds it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Record {
    /// Its place in the log.
    pub offset: Offset,
    /// The producer's stamp, or the leader's (L-4).
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<Header>,
    /// What the application that made it calls it.
    pub id: RecordId,
}

impl Record {
    /// The same as an application sends it.
    pub fn into_plain(self) -> PlainRecord {
        PlainRecord {
            id: self.id,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }
}

/// A body that does not hold what its header says: INVALID_RECORD (87).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidRecord;

/// The most bytes a record takes beside key, value and headers.
const OVERHEAD_MAX: usize = 21;
/// The bytes of a transaction marker's one record.
pub const MARKER_SIZE: usize = 17;

/// At most so many bytes will this record take in a batch: what a producer reckons with before it knows the deltas.
pub fn size_upper_bound(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> u32 {
    let headers: usize = headers.iter().map(header_size).sum::<usize>() + varint_size(0);
    let size = OVERHEAD_MAX + bytes_size(key) + bytes_size(value) + headers;
    u32::try_from(size).expect("a record is below 4 GiB")
}

/// The body of a batch: all records, in order, with offset deltas 0, 1, 2, ….
pub(super) fn encode_all(records: &[PlainRecord], base: Timestamp) -> Bytes {
    let deltas = records.iter().zip(0i64..);
    let sizes = deltas
        .clone()
        .map(|(record, delta)| encoded_size(record, base, delta));
    let mut body = Vec::with_capacity(sizes.sum());
    for (record, delta) in deltas {
        encode(&mut body, record, base, delta);
    }
    Bytes::from(body)
}

/// A record's bytes in a batch, the length before it included.
pub(super) fn encoded_size(record: &PlainRecord, base: Timestamp, delta: i64) -> usize {
    let size = content_size(record, base, delta);
    varint_size(size as i64) + size
}

/// Puts a record behind the others of its batch.
pub(super) fn encode(body: &mut Vec<u8>, record: &PlainRecord, base: Timestamp, delta: i64) {
    put_varint(body, content_size(record, base, delta) as i64);
    body.push(0); // attributes
    put_varint(body, record.timestamp.0 - base.0);
    put_varint(body, delta);
    put_bytes(body, record.key.as_deref());
    put_bytes(body, record.value.as_deref());
    put_varint(body, record.headers.len() as i64);
    for (key, value) in &record.headers {
        put_bytes(body, Some(key));
        put_bytes(body, value.as_deref());
    }
}

/// The one record of a transaction marker (L-2): key (version 0, type), value (version 0, coordinator epoch).
pub(super) fn encode_marker(commit: bool, coordinator_epoch: i32) -> Bytes {
    let mut body = Vec::with_capacity(MARKER_SIZE);
    put_varint(&mut body, MARKER_SIZE as i64 - 1);
    body.extend_from_slice(&[0, 0, 0]); // attributes, timestamp delta, offset delta
    put_bytes(&mut body, Some(&[0, 0, 0, u8::from(commit)]));
    let mut value = [0u8; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    put_bytes(&mut body, Some(&value));
    body.push(0); // no headers
    Bytes::from(body)
}

/// The records of one batch, decoded one by one. Ends after the first that is not well formed.
pub struct Records<'a> {
    data: &'a BatchData,
    base_offset: Offset,
    body: Bytes,
    ids: &'a [RecordId],
    at: usize,
    read: usize,
}

impl<'a> Records<'a> {
    pub(super) fn of(data: &'a BatchData, base_offset: Offset) -> Records<'a> {
        let (body, ids) = match &data.payload {
            // What cannot be decompressed has no first record.
            Payload::Records { body, ids } => {
                (data.codec.decompress(body).unwrap_or_default(), &ids[..])
            }
            _ => (Bytes::new(), &[][..]),
        };
        Records {
            data,
            base_offset,
            body,
            ids,
            at: 0,
            read: 0,
        }
    }

    fn decode(&mut self) -> Option<Record> {
        let length = usize::try_from(self.varint()?).ok()?;
        let end = self.at.checked_add(length)?;
        self.at = self.at.checked_add(1)?; // attributes
        let data = self.data;
        let timestamp = Timestamp(data.base_timestamp.0.checked_add(self.varint()?)?);
        let offset = Offset(self.base_offset.0.checked_add(self.varint()?)?);
        let key = self.bytes()?;
        let value = self.bytes()?;
        let headers = self.headers()?;
        let record = Record {
            offset,
            timestamp: match data.timestamp_type {
                TimestampType::CreateTime => timestamp,
                TimestampType::LogAppendTime => data.max_timestamp,
            },
            key,
            value,
            headers,
            id: *self.ids.get(self.read)?,
        };
        (self.at == end).then_some(record)
    }

    fn headers(&mut self) -> Option<Vec<Header>> {
        let count = self.varint()?;
        let mut headers = Vec::new();
        for _ in 0..count {
            headers.push((self.bytes()??, self.bytes()?));
        }
        (count >= 0).then_some(headers)
    }

    /// A length and so many bytes; -1 is null.
    fn bytes(&mut self) -> Option<Option<Bytes>> {
        let length = self.varint()?;
        if length == -1 {
            return Some(None);
        }
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        if end > self.body.len() {
            return None;
        }
        let found = self.body.slice(self.at..end);
        self.at = end;
        Some(Some(found))
    }

    fn varint(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.body.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, InvalidRecord>;

    fn next(&mut self) -> Option<Result<Record, InvalidRecord>> {
        if self.read == self.ids.len() {
            // Bytes behind the last record are as wrong as missing ones; say so once.
            let left_over = self.at != self.body.len();
            self.at = self.body.len();
            return left_over.then_some(Err(InvalidRecord));
        }
        let decoded = self.decode();
        self.read += 1;
        if decoded.is_none() {
            self.read = self.ids.len();
            self.at = self.body.len();
        }
        Some(decoded.ok_or(InvalidRecord))
    }
}

/// A record's bytes behind its length.
fn content_size(record: &PlainRecord, base: Timestamp, delta: i64) -> usize {
    let headers: usize = record.headers.iter().map(header_size).sum();
    1 + varint_size(record.timestamp.0 - base.0)
        + varint_size(delta)
        + bytes_size(record.key.as_deref())
        + bytes_size(record.value.as_deref())
        + varint_size(record.headers.len() as i64)
        + headers
}

fn header_size((key, value): &Header) -> usize {
    bytes_size(Some(key)) + bytes_size(value.as_deref())
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |b| varint_size(b.len() as i64) + b.len())
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
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
    let mut v = zigzag(value);
    while v >= 0x80 {
        out.push((v & 0x7f) as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn varint_size(value: i64) -> usize {
    let mut v = zigzag(value) >> 7;
    let mut size = 1;
    while v > 0 {
        v >>= 7;
        size += 1;
    }
    size
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
