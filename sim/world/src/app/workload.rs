//! What an application's records look like: keys and values follow from a record's number alone, so that the same record
//! sent again, by whatever process, is the same bytes.

use crate::scenario::ProducerPlan;
use bytes::Bytes;
use klab_kafka::client::producer::ProducerRecord;
use klab_kafka::ids::RecordId;

/// The record of this number.
pub fn record(id: RecordId, plan: &ProducerPlan) -> ProducerRecord {
    ProducerRecord {
        id,
        topic: plan.topic.clone(),
        partition: None,
        key: plan.keys.map(|keys| key(id.number, keys)),
        value: (!is_tombstone(id.number, plan)).then(|| value(id, plan.size)),
    }
}

/// Every so manieth record, the first of them at the end of its row.
fn is_tombstone(number: u32, plan: &ProducerPlan) -> bool {
    let every = plan.tombstones.filter(|n| *n > 0);
    every.is_some_and(|n| number % n == n - 1)
}

/// Keys come in turns: `key-0`, `key-1`, …
fn key(number: u32, keys: u32) -> Bytes {
    Bytes::from(format!("key-{}", number % keys.max(1)))
}

/// Its source and number, filled with zeros up to its size. From 8 bytes on no two records have the same.
fn value(id: RecordId, size: u32) -> Bytes {
    let mut value = vec![0; size as usize];
    let name = (u64::from(id.source) << 32 | u64::from(id.number)).to_be_bytes();
    let shown = name.len().min(value.len());
    value[..shown].copy_from_slice(&name[name.len() - shown..]);
    Bytes::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_sent_again_is_the_same_bytes() {
        let plan = crate::scenario::Scenario::tracer();
        let mut plan = plan
            .producers
            .values()
            .next()
            .expect("there is one")
            .clone();
        plan.keys = Some(3);
        let id = RecordId {
            source: 1,
            number: 7,
        };
        let (first, again) = (record(id, &plan), record(id, &plan));
        assert_eq!(first, again);
        assert_eq!(first.key, Some(Bytes::from("key-1")));
    }

    #[test]
    fn every_so_manieth_record_is_a_tombstone() {
        let plan = crate::scenario::Scenario::tracer();
        let mut plan = plan.producers.values().next().expect("one").clone();
        plan.tombstones = Some(3);
        let has_value = |number| {
            record(RecordId { source: 1, number }, &plan)
                .value
                .is_some()
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(has_value),
            [true, true, false, true, true, false]
        );
    }

    #[test]
    fn values_are_unique_and_of_the_size_asked_for() {
        let id = |source, number| RecordId { source, number };
        assert_eq!(value(id(1, 2), 16).len(), 16);
        assert_ne!(value(id(1, 2), 16), value(id(2, 1), 16));
        assert_eq!(value(id(1, 2), 1)[..], [2]);
        assert!(value(id(1, 2), 0).is_empty());
    }
}
