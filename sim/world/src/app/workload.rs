//! What an application's records look like: keys, sizes and values follow from a record's number alone, so that the same
//! record sent again, by whatever process and in whatever run, is the same bytes.

use crate::scenario::{KeyOrder, ProducerPlan};
use bytes::Bytes;
use klab_kafka::client::producer::ProducerRecord;
use klab_kafka::ids::RecordId;

/// The record of this number.
pub fn record(id: RecordId, plan: &ProducerPlan) -> ProducerRecord {
    let (key, value) = match &plan.rows {
        Some(rows) => {
            let row = &rows.rows[id.number as usize % rows.rows.len()];
            (row.key.clone(), row.value.clone())
        }
        None => (
            key_number(id.number, plan).map(|key| Bytes::from(format!("key-{key}"))),
            value(id, size(id.number, plan)),
        ),
    };
    let header = |(name, value): (&std::sync::Arc<str>, &std::sync::Arc<str>)| {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        (bytes(name), Some(bytes(value)))
    };
    ProducerRecord {
        id,
        topic: plan.topic.clone(),
        partition: plan.partition,
        timestamp: plan.timestamp,
        key,
        value: Some(value),
        headers: plan.headers.iter().map(header).collect(),
    }
}

/// The number of a record's key; none for rows and for records without one.
pub fn key_number(number: u32, plan: &ProducerPlan) -> Option<u32> {
    let keys = plan.keys.filter(|_| plan.rows.is_none())?.max(1);
    let drawn = drawn(number, 1);
    let key = match plan.key_order {
        KeyOrder::InTurn => number % keys,
        KeyOrder::Uniform => below(drawn, keys),
        KeyOrder::Skewed => {
            // Key 0, keys 1 and 2, keys 3 to 6, …: each group as often as any other.
            let groups = u32::BITS - keys.leading_zeros();
            let first = (1 << below(drawn, groups)) - 1;
            let size = (first + 1).min(keys - first);
            first + below(self::drawn(number, 2), size)
        }
    };
    Some(key)
}

fn size(number: u32, plan: &ProducerPlan) -> u32 {
    let range = plan.size;
    match range
        .max
        .checked_sub(range.min)
        .and_then(|n| n.checked_add(1))
    {
        Some(width) => range.min + below(drawn(number, 0), width),
        None => range.max,
    }
}

/// A number below `n`, each as likely as any other.
fn below(drawn: u64, n: u32) -> u32 {
    u32::try_from((u128::from(drawn) * u128::from(n)) >> 64).expect("below a u32")
}

/// Chance by number: the finisher of SplitMix64, which spreads neighbouring numbers over all values.
fn drawn(number: u32, what: u64) -> u64 {
    let mut z = (u64::from(number) << 2 | what).wrapping_add(1);
    z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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
    use crate::scenario::quantity::Range;
    use std::collections::BTreeMap;

    fn plan() -> ProducerPlan {
        let tracer = crate::scenario::Scenario::tracer();
        let mut plans = tracer.producers.into_values();
        plans.next().expect("there is one")
    }

    #[test]
    fn a_record_sent_again_is_the_same_bytes() {
        let mut plan = plan();
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
    fn values_are_unique_and_of_the_size_asked_for() {
        let id = |source, number| RecordId { source, number };
        assert_eq!(value(id(1, 2), 16).len(), 16);
        assert_ne!(value(id(1, 2), 16), value(id(2, 1), 16));
        assert_eq!(value(id(1, 2), 1)[..], [2]);
        assert!(value(id(1, 2), 0).is_empty());
    }

    fn counts(key_order: KeyOrder, keys: u32) -> BTreeMap<u32, u32> {
        let mut plan = plan();
        (plan.keys, plan.key_order) = (Some(keys), key_order);
        let mut counts = BTreeMap::new();
        for number in 0..12_000 {
            *counts
                .entry(key_number(number, &plan).expect("it has keys"))
                .or_default() += 1;
        }
        counts
    }

    #[test]
    fn keys_come_in_turn_or_alike_or_the_first_ones_more_often() {
        let in_turn = counts(KeyOrder::InTurn, 6);
        assert_eq!(in_turn.into_values().collect::<Vec<_>>(), [2_000; 6]);
        let uniform = counts(KeyOrder::Uniform, 6);
        assert!(
            uniform.values().all(|n| (1_850..2_150).contains(n)),
            "{uniform:?}"
        );
        // The groups 0; 1, 2; 3, 4, 5 have 4,000 each.
        let skewed = counts(KeyOrder::Skewed, 6);
        let of = |keys: &[u32]| keys.iter().map(|key| skewed[key]).sum::<u32>();
        for group in [&[0][..], &[1, 2], &[3, 4, 5]] {
            assert!((3_800..4_200).contains(&of(group)), "{skewed:?}");
        }
        assert_eq!(counts(KeyOrder::Skewed, 1)[&0], 12_000);
    }

    #[test]
    fn sizes_are_drawn_from_both_ends_of_their_range() {
        let mut plan = plan();
        plan.size = Range { min: 10, max: 13 };
        let sizes = (0..200).map(|number| size(number, &plan));
        let seen: std::collections::BTreeSet<u32> = sizes.collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [10, 11, 12, 13]);
    }
}
