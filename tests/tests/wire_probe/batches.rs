//! Batches on the wire: klab's bytes, cut apart by Kafka's lengths and recognised again. What klab gives a batch beside its
//! bytes (what applications call their records) is not on the wire and comes from the original.

use bytes::{BufMut, Bytes, BytesMut};
use klab_kafka::ids::{LeaderEpoch, Offset};
use klab_kafka::log::batch::{BatchData, RecordBatch};
use klab_kafka::protocol::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The originals, by their bytes from the magic on: what lies before is the leader's to give.
#[derive(Default)]
pub struct Batches(BTreeMap<Bytes, Arc<BatchData>>);

/// Where the magic lies.
const MAGIC_AT: usize = 16;
/// Where the length lies, and how many bytes it does not count.
const LENGTH_AT: usize = 8;
const LENGTH_LEAVES_OUT: usize = 12;

impl Batches {
    pub fn of_request(request: &Request) -> Batches {
        let mut batches = Batches::default();
        match request {
            Request::Produce(r) => {
                let partitions = r.topics.iter().flat_map(|t| &t.partitions);
                partitions.for_each(|p| batches.add(&sent(&p.records)));
            }
            Request::Envelope(inner) => return Batches::of_request(inner),
            _ => {}
        }
        batches
    }

    pub fn of_response(response: &Response) -> Batches {
        let mut batches = Batches::default();
        if let Response::Fetch(r) = response {
            let partitions = r.topics.iter().flat_map(|t| &t.partitions);
            let records = partitions.flat_map(|p| &p.records);
            records.for_each(|batch| batches.add(batch));
        }
        batches
    }

    fn add(&mut self, batch: &RecordBatch) {
        let bytes = batch
            .encode()
            .expect("batches without bytes are not probed");
        self.0.insert(bytes.slice(MAGIC_AT..), batch.data.clone());
    }

    /// Cuts batches apart.
    pub fn read(&self, mut bytes: Bytes) -> Vec<RecordBatch> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let number = |from: usize, to: usize| {
                let bytes = bytes[from..to].iter();
                bytes.fold(0i64, |n, byte| (n << 8) | i64::from(*byte))
            };
            let length = number(LENGTH_AT, LENGTH_LEAVES_OUT) as usize;
            let base_offset = Offset(number(0, LENGTH_AT));
            let leader_epoch = LeaderEpoch(number(LENGTH_LEAVES_OUT, MAGIC_AT) as i32);
            let one = bytes.split_to(LENGTH_LEAVES_OUT + length);
            let data = self.0.get(&one.slice(MAGIC_AT..));
            batches.push(RecordBatch {
                base_offset,
                leader_epoch,
                data: data.expect("the bytes of an original").clone(),
            });
        }
        batches
    }
}

/// A batch as a producer sends it: its place in a log is the leader's to give.
pub fn sent(data: &Arc<BatchData>) -> RecordBatch {
    RecordBatch {
        base_offset: Offset(0),
        leader_epoch: LeaderEpoch(-1),
        data: data.clone(),
    }
}

/// One after the other.
pub fn written(batches: &[RecordBatch]) -> Bytes {
    let mut all = BytesMut::new();
    for batch in batches {
        all.put(
            batch
                .encode()
                .expect("batches without bytes are not probed"),
        );
    }
    all.freeze()
}
