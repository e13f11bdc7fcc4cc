//! Segments against a flat list, and when they roll.

use super::*;
use crate::ids::LeaderEpoch;
use crate::log::batch::BatchData;
use crate::log::testing::{NOW, plain, records, segments_of};
use proptest::prelude::*;

fn batch(base_offset: i64, count: u32) -> RecordBatch {
    RecordBatch {
        base_offset: Offset(base_offset),
        leader_epoch: LeaderEpoch(0),
        data: plain(count),
    }
}

fn stamped(base_offset: i64, after_ms: i64) -> RecordBatch {
    let mut records = records(1);
    records[0].timestamp.0 += after_ms;
    RecordBatch {
        data: Arc::new(BatchData::of_records(&records, None)),
        ..batch(base_offset, 1)
    }
}

#[test]
fn a_segment_rolls_when_the_next_batch_would_not_fit() {
    let config = segments_of(200);
    let mut segments = Segments::new(Offset(0), 4096, NOW);
    segments.push(batch(0, 1));
    let size = i32::try_from(segments.active().size()).expect("small");
    let next = batch(1, 1);
    assert!(
        !segments
            .active()
            .should_roll(&next, &segments_of(2 * size), NOW)
    );
    assert!(
        segments
            .active()
            .should_roll(&next, &segments_of(2 * size - 1), NOW)
    );
    assert!(!segments.active().should_roll(&next, &config, NOW));
}

#[test]
fn a_segment_rolls_by_record_time_not_by_the_clock() {
    let config = LogConfig {
        segment_ms: 1_000,
        ..LogConfig::default()
    };
    let mut segments = Segments::new(Offset(0), 4096, NOW);
    let much_later = Timestamp(NOW.0 + 1_000_000);
    segments.push(stamped(0, 0));
    let active = segments.active();
    assert!(!active.should_roll(&stamped(1, 1_000), &config, much_later));
    assert!(active.should_roll(&stamped(1, 1_001), &config, NOW));
}

#[test]
fn without_timestamps_a_segments_own_age_counts() {
    let config = LogConfig {
        segment_ms: 1_000,
        ..LogConfig::default()
    };
    let untimed = |at| stamped(at, -NOW.0 - 1);
    let mut segments = Segments::new(Offset(0), 4096, NOW);
    segments.push(untimed(0));
    assert!(!segments.active().should_roll(&untimed(1), &config, NOW));
    let later = Timestamp(NOW.0 + 1_001);
    assert!(segments.active().should_roll(&untimed(1), &config, later));
}

#[test]
fn an_empty_segment_never_rolls_for_its_age_but_for_distance() {
    let config = LogConfig::default();
    let segments = Segments::new(Offset(0), 4096, NOW);
    let much_later = Timestamp(i64::MAX);
    let far = i64::from(i32::MAX);
    let active = segments.active();
    assert!(!active.should_roll(&batch(far, 1), &config, much_later));
    assert!(active.should_roll(&batch(far, 2), &config, NOW));
}

proptest! {
    #[test]
    fn segments_hold_what_a_flat_list_holds(
        counts in prop::collection::vec(1..4u32, 1..300),
        every in 1..200usize,
        cut in 0..900i64,
        from in 0..900i64,
    ) {
        let mut segments = Segments::new(Offset(0), 4096, NOW);
        let mut flat: Vec<RecordBatch> = Vec::new();
        for (index, count) in counts.iter().enumerate() {
            let at = flat.last().map_or(0, |b| b.end_offset().0);
            if index > 0 && index % every == 0 {
                segments.roll(Offset(at), NOW);
            }
            segments.push(batch(at, *count));
            flat.push(batch(at, *count));
        }
        let shared = segments.clone();
        segments.truncate_to(Offset(cut), NOW);
        let before = flat.clone();
        flat.retain(|b| b.end_offset().0 <= cut);
        let all = |s: &Segments| s.iter().flat_map(Segment::batches).cloned().collect::<Vec<_>>();
        prop_assert_eq!(all(&segments), flat.clone());
        prop_assert_eq!(all(&shared), before, "a clone does not see the cut");

        let tail = segments.from(Offset(from)).flat_map(|s| s.batches_from(Offset(from)));
        let expected = flat.iter().filter(|b| b.end_offset().0 > from);
        prop_assert!(tail.eq(expected.clone()));
        let bytes: u64 = expected.map(|b| u64::from(b.data.size)).sum();
        let end = segments.position_of(segments.active().end_offset());
        prop_assert_eq!(end - segments.position_of(Offset(from)).min(end), i64::try_from(bytes).expect("small"));
    }
}
