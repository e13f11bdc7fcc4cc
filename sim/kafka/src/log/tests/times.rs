//! Lookups by time, and indexes that fill up.

use super::*;
use crate::log::batch::{PlainRecord, TimestampType};
use crate::log::segment::Stamped;
use proptest::prelude::*;

/// A batch whose records are stamped so many ms after [`NOW`].
pub fn stamped(after: &[i64]) -> Arc<BatchData> {
    let at = |(plain, after): (PlainRecord, &i64)| PlainRecord {
        timestamp: Timestamp(NOW.0 + after),
        ..plain
    };
    let records = records(u32::try_from(after.len()).expect("few"));
    let records: Vec<PlainRecord> = records.into_iter().zip(after).map(at).collect();
    Arc::new(BatchData::of_records(&records, None))
}

fn at(found: Option<Stamped>) -> Option<(i64, i64)> {
    found.map(|f| (f.offset.0, f.timestamp.0 - NOW.0))
}

#[test]
fn a_time_leads_to_the_first_record_that_is_not_older() {
    let mut machine = Machine::new(LogConfig::default());
    machine.append(&stamped(&[10, 30]));
    machine.append(&stamped(&[20, 40]));
    let find = |time: i64| at(machine.log.find_time(Timestamp(NOW.0 + time)));
    assert_eq!(find(0), Some((0, 10)));
    assert_eq!(find(11), Some((1, 30)));
    assert_eq!(find(31), Some((3, 40)));
    assert_eq!(find(41), None);
    assert_eq!(at(machine.log.find_latest()), Some((3, 40)));
}

#[test]
fn only_the_first_young_segment_is_looked_into() {
    // Its one young record lies below the log start; the next segment has another, which Kafka does not look for.
    let mut machine = Machine::new(segments_of(ONE));
    machine.append(&stamped(&[50]));
    machine.append(&stamped(&[60]));
    machine.act(|log, out| log.advance_hw(Offset(2), out));
    let find = |m: &Machine| at(m.log.find_time(Timestamp(NOW.0 + 50)));
    assert_eq!(find(&machine), Some((0, 50)));
    machine
        .act(|log, out| log.increment_log_start(Offset(1), out))
        .expect("committed");
    assert_eq!(find(&machine), None);
}

#[test]
fn under_log_append_time_a_batch_is_found_by_the_leaders_clock() {
    let config = LogConfig {
        timestamp_type: TimestampType::LogAppendTime,
        ..LogConfig::default()
    };
    let mut machine = Machine::new(config);
    machine.append(&stamped(&[-5_000, 5_000]));
    assert_eq!(at(machine.log.find_time(NOW)), Some((0, 0)));
    assert_eq!(at(machine.log.find_time(Timestamp(NOW.0 + 1))), None);
}

#[test]
fn a_full_index_closes_its_segment() {
    // L-17: an offset index of 40 bytes takes five entries; there is one for every batch behind the first. Equal timestamps
    // make no entry in the time index.
    let config = LogConfig {
        index_interval_bytes: 0,
        segment_index_bytes: 40,
        ..LogConfig::default()
    };
    let machine = filled(config, 8);
    assert_eq!(bases(&machine), [0, 6]);
    // A time index of 36 bytes takes three, the last when the segment is closed.
    let config = LogConfig {
        index_interval_bytes: 0,
        segment_index_bytes: 36,
        ..LogConfig::default()
    };
    let mut machine = Machine::new(config);
    for ms in 0..8 {
        machine.append(&stamped(&[ms]));
    }
    assert_eq!(bases(&machine), [0, 3, 6]);
}

#[test]
fn a_cut_segment_forgets_the_timestamps_that_were_cut() {
    let mut machine = Machine::new(LogConfig::default());
    machine.append(&stamped(&[10]));
    machine.append(&stamped(&[99]));
    assert_eq!(at(machine.log.find_latest()), Some((1, 99)));
    truncate(&mut machine, 1);
    assert_eq!(at(machine.log.find_latest()), Some((0, 10)));
    assert_eq!(
        machine.log.segments.active().largest_timestamp().0,
        NOW.0 + 10
    );
}

proptest! {
    #[test]
    fn any_lookup_by_time_is_a_look_through_the_list(
        batches in prop::collection::vec(prop::collection::vec(0..100i64, 1..4), 1..30),
        time in 0..110i64,
        start in 0..60i64,
    ) {
        let mut machine = Machine::new(segments_of(3 * ONE));
        for batch in &batches {
            machine.append(&stamped(batch));
        }
        let end = machine.log.leo();
        machine.act(|log, out| log.advance_hw(end, out));
        let start = start.min(end.0);
        machine.act(|log, out| log.increment_log_start(Offset(start), out)).expect("committed");
        let all: Vec<(i64, i64)> = (0..).zip(batches.concat()).collect();
        let segment_of = |offset: i64| machine.log.segment_of(Offset(offset));
        // The list's own words: the first segment with a record that young, and in it the first from the start on.
        let first = all.iter().find(|(_, t)| *t >= time).map(|(o, _)| segment_of(*o));
        let expected = all.iter().find(|(o, t)| {
            *t >= time && *o >= start && Some(segment_of(*o)) == first
        });
        let found = at(machine.log.find_time(Timestamp(NOW.0 + time)));
        prop_assert_eq!(found, expected.copied());
        let latest = all.iter().map(|(_, t)| *t).max();
        let expected = all.iter().find(|(_, t)| Some(*t) == latest);
        prop_assert_eq!(at(machine.log.find_latest()), expected.copied());
    }
}
