//! A batch that is being filled, record by record (Kafka's MemoryRecordsBuilder). Records are encoded as they come, so
//! that the size is known exactly at any time and closing costs no second look at them. A batch to be compressed is
//! compressed when it is closed, where Kafka does it as records come: the bytes are the same, and until then both only
//! guess how many they will be.

use super::batch::{BATCH_OVERHEAD, BatchData, Payload, PlainRecord, ProducerStamp};
use super::codec::Compression;
use super::record;
use crate::ids::{RecordId, RecordIds};
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Serialize, Serializer};

/// An open batch.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BatchBuilder {
    #[serde(serialize_with = "as_bytes")]
    body: Vec<u8>,
    ids: RecordIds,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// How many records.
    pub fn count(&self) -> i32 {
        i32::try_from(self.ids.len()).expect("a batch holds fewer than 2^31 records")
    }

    /// Whole size in bytes, header included.
    pub fn size(&self) -> u64 {
        u64::from(BATCH_OVERHEAD) + self.body.len() as u64
    }

    /// Whole size with this record added.
    pub fn size_with(&self, record: &PlainRecord) -> u64 {
        let (base, delta) = self.place(record);
        self.size() + record::encoded_size(record, base, delta) as u64
    }

    /// Adds a record at the end.
    pub fn append(&mut self, record: &PlainRecord) {
        let (base, delta) = self.place(record);
        // At once, not field by field; and many a batch holds one record.
        let size = record::encoded_size(record, base, delta);
        if self.ids.is_empty() {
            self.body = Vec::with_capacity(size);
        } else {
            self.body.reserve(size);
        }
        record::encode(&mut self.body, record, base, delta);
        if self.ids.is_empty() {
            self.base_timestamp = record.timestamp;
            self.max_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.ids.push(record.id);
    }

    /// What the application calls its records, in order.
    pub fn ids(&self) -> &[RecordId] {
        &self.ids
    }

    /// Closes the batch.
    ///
    /// # Panics
    /// If there is no record: an empty batch is never sent.
    pub fn build(self, producer: Option<ProducerStamp>, compression: Compression) -> BatchData {
        assert!(!self.ids.is_empty(), "a batch holds at least one record");
        let count = self.count();
        let payload = Payload::Records {
            body: compression.compress(Bytes::from(self.body)),
            ids: self.ids,
        };
        let mut batch = BatchData::unsealed(payload, count, self.base_timestamp, producer);
        batch.max_timestamp = self.max_timestamp;
        batch.codec = compression.codec;
        batch.sealed()
    }

    /// The batch's first timestamp and the offset delta that the next record gets.
    fn place(&self, record: &PlainRecord) -> (Timestamp, i64) {
        let base = match self.ids.is_empty() {
            true => record.timestamp,
            false => self.base_timestamp,
        };
        (base, self.ids.len() as i64)
    }
}

fn as_bytes<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(number: u32, value: usize, key: Option<usize>, at: i64) -> PlainRecord {
        PlainRecord {
            id: RecordId { source: 0, number },
            timestamp: Timestamp(at),
            key: key.map(|n| Bytes::from(vec![b'k'; n])),
            value: Some(Bytes::from(vec![b'v'; value])),
            headers: Vec::new(),
        }
    }

    proptest! {
        /// What is built record by record is what is encoded at once, and the size that was told is its size.
        #[test]
        fn a_batch_is_the_same_however_it_is_encoded(
            shapes in prop::collection::vec((0usize..300, prop::option::of(0usize..40), -9i64..9_000_000), 1..40),
        ) {
            let records: Vec<_> = (0u32..)
                .zip(&shapes)
                .map(|(n, (value, key, later))| record(n, *value, *key, 1_000 + later))
                .collect();
            let mut builder = BatchBuilder::default();
            for one in &records {
                let told = builder.size_with(one);
                builder.append(one);
                prop_assert_eq!(builder.size(), told);
            }
            let size = builder.size();
            let built = builder.build(None, Compression::default());
            prop_assert_eq!(u64::from(built.size), size);
            prop_assert_eq!(built, BatchData::of_records(&records, None));
        }
    }
}
