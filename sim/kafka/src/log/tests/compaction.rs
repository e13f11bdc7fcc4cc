//! Of each key the last record stays; against a naive log that is compacted by the rule's own words.

use super::*;
use crate::config::CleanupPolicy;
use crate::disk::Write;
use crate::effect::Effect;
use crate::log::batch::PlainRecord;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

const DAY: i64 = 86_400_000;

fn compacted(segment_bytes: i32) -> LogConfig {
    LogConfig {
        cleanup: CleanupPolicy {
            compact: true,
            delete: false,
        },
        min_cleanable_dirty_ratio: crate::config::Ratio(0),
        ..segments_of(segment_bytes)
    }
}

/// A record of a key; `None` is a tombstone.
fn keyed(key: u8, value: Option<u8>) -> PlainRecord {
    PlainRecord {
        id: crate::ids::RecordId {
            source: 1,
            number: u64::from(value.unwrap_or(0)).try_into().expect("small"),
        },
        timestamp: NOW,
        key: Some(Bytes::from(vec![key])),
        value: value.map(|v| Bytes::from(vec![v])),
        headers: Vec::new(),
    }
}

fn batch_of(records: &[(u8, Option<u8>)]) -> Arc<BatchData> {
    let records: Vec<PlainRecord> = records.iter().map(|(k, v)| keyed(*k, *v)).collect();
    Arc::new(BatchData::of_records(&records, None))
}

fn written(config: LogConfig, batches: &[&[(u8, Option<u8>)]]) -> Machine {
    let mut machine = Machine::new(config);
    for batch in batches {
        machine.append(&batch_of(batch));
    }
    let leo = machine.log.leo();
    machine.act(|log, out| log.advance_hw(leo, out));
    machine
}

/// One round, if there is anything to do; returns whether there was.
fn round(machine: &mut Machine, at: Timestamp) -> bool {
    let Some(dirty) = machine.log.dirty(at) else {
        return false;
    };
    machine.act(|log, out| log.clean(&dirty, at, out));
    machine.finish_syncs();
    true
}

/// Everything that a reader finds: offset, key, value.
fn contents(log: &Log) -> Vec<(i64, u8, Option<u8>)> {
    let records = log
        .batches()
        .flat_map(|b| b.records().map(|r| r.expect("sound")));
    let one = |r: crate::log::record::Record| {
        let key = r.key.expect("every record has one")[0];
        (r.offset.0, key, r.value.map(|v| v[0]))
    };
    records.map(one).collect()
}

#[test]
fn of_each_key_the_last_record_stays_at_its_offset() {
    // L-28.
    let mut machine = written(
        compacted(80),
        &[
            &[(1, Some(1))],
            &[(2, Some(2))],
            &[(1, Some(3))],
            &[(9, Some(9))],
        ],
    );
    assert_eq!(bases(&machine), [0, 1, 2, 3]);
    assert!(round(&mut machine, NOW));
    let expected = [(1, 2, Some(2)), (2, 1, Some(3)), (9, 9, Some(9))];
    let expected: Vec<_> = expected
        .iter()
        .map(|(o, k, v)| ((*o).min(3), *k, *v))
        .collect();
    assert_eq!(contents(&machine.log), expected);
    assert_eq!(machine.log.cleaned_upto(), Some(Offset(3)));
    assert_eq!(machine.log.leo(), Offset(4));
    // A read from where something was begins with what follows.
    let read = machine.log.read(Offset(0), Offset(4), 10_000);
    assert_eq!(read[0].base_offset, Offset(1));
    // Nothing is dirty now.
    assert!(!round(&mut machine, NOW));
}

#[test]
fn the_active_segment_is_never_compacted() {
    // L-31: a tiny topic shows all its values for ever.
    let mut machine = written(compacted(10_000), &[&[(1, Some(1))], &[(1, Some(2))]]);
    assert!(!round(&mut machine, NOW));
    assert_eq!(contents(&machine.log).len(), 2);
}

#[test]
fn a_batch_keeps_the_records_of_it_that_count_and_its_first_and_last_offset() {
    let mut machine = written(
        compacted(100),
        &[
            &[(1, Some(1)), (2, Some(2)), (1, Some(3)), (3, Some(4))],
            &[(2, Some(5))],
            &[(9, Some(9))],
        ],
    );
    assert!(round(&mut machine, NOW));
    let first = machine.log.batches().next().expect("there is one").clone();
    assert_eq!(
        (first.base_offset, first.end_offset()),
        (Offset(0), Offset(4))
    );
    assert_eq!(first.data.count, 2);
    assert_eq!(first.data.computed_crc(), first.data.crc());
    assert_eq!(
        contents(&machine.log)[..3],
        [(2, 1, Some(3)), (3, 3, Some(4)), (4, 2, Some(5))]
    );
}

#[test]
fn a_tombstone_is_kept_until_its_horizon_and_goes_with_the_next_round_after_it() {
    // L-29.
    let mut machine = written(
        compacted(80),
        &[&[(1, Some(1))], &[(1, None)], &[(9, Some(1))]],
    );
    assert!(round(&mut machine, NOW));
    assert_eq!(contents(&machine.log)[..1], [(1, 1, None)]);
    let horizon = |m: &Machine| m.log.batches().next().expect("there").data.delete_horizon();
    assert_eq!(horizon(&machine), Some(Timestamp(NOW.0 + DAY)));
    let stamp = machine
        .log
        .batches()
        .next()
        .expect("there")
        .records()
        .next();
    assert_eq!(stamp.expect("one").expect("sound").timestamp, NOW);
    // Before its time another round leaves it, and its horizon, alone.
    let more = |machine: &mut Machine, value| {
        machine.append(&batch_of(&[(9, Some(value))]));
        let leo = machine.log.leo();
        machine.act(|log, out| log.advance_hw(leo, out));
    };
    more(&mut machine, 2);
    assert!(round(&mut machine, Timestamp(NOW.0 + DAY - 1)));
    assert_eq!(horizon(&machine), Some(Timestamp(NOW.0 + DAY)));
    more(&mut machine, 3);
    assert!(round(&mut machine, Timestamp(NOW.0 + DAY)));
    assert!(contents(&machine.log).iter().all(|(_, key, _)| *key == 9));
}

#[test]
fn a_record_without_a_key_goes() {
    // L-31: it may be there from a time before the topic was compacted.
    let mut machine = Machine::new(segments_of(80));
    machine.append(&plain(1));
    machine.append(&batch_of(&[(1, Some(1))]));
    machine.append(&batch_of(&[(2, Some(1))]));
    machine.log.set_config(compacted(80));
    machine.act(|log, out| log.advance_hw(Offset(3), out));
    assert!(round(&mut machine, NOW));
    assert_eq!(contents(&machine.log), [(1, 1, Some(1)), (2, 2, Some(1))]);
}

#[test]
fn an_empty_header_stays_for_the_sake_of_its_producer() {
    // L-30.
    let mut machine = Machine::new(compacted(80));
    let data = |value: u8, sequence: i32| {
        let stamp = batch::ProducerStamp {
            id: ProducerId(7),
            epoch: crate::ids::ProducerEpoch(0),
            base_sequence: sequence,
        };
        Arc::new(BatchData::of_records(&[keyed(1, Some(value))], Some(stamp)))
    };
    machine.append(&data(1, 0));
    machine.append(&data(2, 1));
    machine.append(&batch_of(&[(1, Some(3))]));
    machine.append(&batch_of(&[(9, Some(3))]));
    machine.act(|log, out| log.advance_hw(Offset(4), out));
    assert!(round(&mut machine, NOW));
    // The first batch is gone whole, of the second only the header is left.
    let left: Vec<(i64, i32)> = machine
        .log
        .batches()
        .map(|b| (b.base_offset.0, b.data.count))
        .collect();
    assert_eq!(left, [(1, 0), (2, 1), (3, 1)]);
    machine.checkpoint();
    machine.start();
    assert_eq!(window(&machine, 7), [(1, 1)]);
}

#[test]
fn too_little_dirt_is_left_alone_unless_it_has_waited_for_too_long() {
    // L-27.
    let config = LogConfig {
        min_cleanable_dirty_ratio: crate::config::Ratio::HALF,
        ..compacted(80)
    };
    let mut machine = written(config, &[&[(1, Some(1))], &[(2, Some(1))], &[(3, Some(1))]]);
    assert!(round(&mut machine, NOW));
    machine.append(&batch_of(&[(4, Some(1))]));
    machine.act(|log, out| log.advance_hw(Offset(4), out));
    assert_eq!(machine.log.dirty(NOW), None);
    let mut config = machine.log.config().clone();
    config.max_compaction_lag_ms = 1_000;
    machine.log.set_config(config);
    assert_eq!(machine.log.dirty(Timestamp(NOW.0 + 1_000)), None);
    assert!(machine.log.dirty(Timestamp(NOW.0 + 1_001)).is_some());
}

#[test]
fn young_records_and_what_is_not_committed_are_left_alone() {
    let batches: &[&[(u8, Option<u8>)]] = &[&[(1, Some(1))], &[(1, Some(2))], &[(1, Some(3))]];
    let config = LogConfig {
        min_compaction_lag_ms: 1_000,
        ..compacted(80)
    };
    let machine = written(config, batches);
    assert_eq!(machine.log.dirty(Timestamp(NOW.0 + 999)), None);
    assert!(machine.log.dirty(Timestamp(NOW.0 + 1_000)).is_some());
    let mut machine = Machine::new(compacted(80));
    batches.iter().for_each(|b| {
        machine.append(&batch_of(b));
    });
    assert_eq!(machine.log.dirty(NOW), None);
    machine.act(|log, out| log.advance_hw(Offset(1), out));
    assert_eq!(
        machine.log.dirty(NOW).map(|d| (d.from.0, d.upto.0)),
        Some((0, 1))
    );
}

#[test]
fn small_segments_are_merged_into_one() {
    let mut machine = written(
        compacted(160),
        &[
            &[(1, Some(1))],
            &[(1, Some(2))],
            &[(1, Some(3))],
            &[(1, Some(4))],
            &[(1, Some(5))],
            &[(1, Some(6))],
        ],
    );
    assert_eq!(bases(&machine), [0, 2, 4]);
    assert!(round(&mut machine, NOW));
    // What is small now is merged by the next round.
    for value in 7..10 {
        machine.append(&batch_of(&[(1, Some(value))]));
    }
    machine.act(|log, out| log.advance_hw(Offset(9), out));
    assert_eq!(bases(&machine), [0, 2, 4, 6, 8]);
    assert!(round(&mut machine, NOW));
    assert!(bases(&machine).len() < 5);
    assert_eq!(contents(&machine.log).last(), Some(&(8, 1, Some(9))));
}

#[test]
fn a_log_that_is_cut_while_it_is_compacted_keeps_its_old_files() {
    let mut machine = written(
        compacted(80),
        &[
            &[(1, Some(1))],
            &[(1, Some(2))],
            &[(1, Some(3))],
            &[(1, Some(4))],
        ],
    );
    let dirty = machine.log.dirty(NOW).expect("there is");
    machine.act(|log, out| log.clean(&dirty, NOW, out));
    assert!(machine.log.is_being_cleaned());
    truncate(&mut machine, 2);
    machine.finish_syncs();
    assert_eq!(contents(&machine.log), [(0, 1, Some(1)), (1, 1, Some(2))]);
    let left_over = |f: &FileId| matches!(f, FileId::Cleaned(..) | FileId::Swap(..));
    assert!(!machine.disk.files.keys().any(left_over));
    assert_eq!(machine.log.cleaned_upto(), None);
}

#[test]
fn a_death_at_any_moment_of_a_round_leaves_the_log_before_it_or_after_it() {
    let batches: &[&[(u8, Option<u8>)]] = &[
        &[(1, Some(1))],
        &[(2, Some(2))],
        &[(1, Some(3))],
        &[(2, Some(4)), (3, Some(5))],
        &[(9, Some(9))],
    ];
    let mut machine = written(compacted(160), batches);
    machine.checkpoint();
    let before = contents(&machine.log);
    let dirty = machine.log.dirty(NOW).expect("there is");
    let mut done = machine.clone();
    assert!(round(&mut done, NOW));
    let after = contents(&done.log);
    assert_ne!(before, after);
    machine.act(|log, out| log.clean(&dirty, NOW, out));
    let mut swapped = Vec::new();
    for file in machine.disk.finish_syncs() {
        if let FileId::Cleaned(_, base) = file {
            let mut out = Effects::new();
            machine.log.cleaned(base, &mut out);
            swapped.extend(out);
        }
    }
    swapped.retain(|e| matches!(e, Effect::Write(..)));
    assert!(
        swapped
            .iter()
            .any(|e| matches!(e, Effect::Write(FileId::Swap(..), Write::Rename(_))))
    );
    let latest = |all: &[(i64, u8, Option<u8>)]| -> BTreeMap<u8, Option<u8>> {
        all.iter().map(|(_, key, value)| (*key, *value)).collect()
    };
    for died_after in 0..=swapped.len() {
        let mut dead = machine.clone();
        dead.disk.carry_out(swapped[..died_after].to_vec());
        dead.start();
        let found = contents(&dead.log);
        assert_eq!(latest(&found), latest(&before), "after {died_after} writes");
        assert!(found.iter().all(|r| before.contains(r)));
        assert!(after.iter().all(|r| found.contains(r)));
        assert_eq!(dead.log.leo(), done.log.leo());
        let begun = |f: &FileId| matches!(f, FileId::Cleaned(..) | FileId::Swap(..));
        assert!(!dead.disk.files.keys().any(begun));
    }
}

proptest! {
    #[test]
    fn a_compacted_log_is_the_list_without_what_is_superseded(
        steps in prop::collection::vec(
            prop_oneof![
                4 => prop::collection::vec((0..5u8, prop::option::weighted(0.8, any::<u8>())), 1..4).prop_map(Some),
                1 => Just(None),
            ],
            1..40,
        ),
        waits in prop::collection::vec(0..2 * DAY, 40),
    ) {
        let mut machine = Machine::new(compacted(220));
        let mut naive: Vec<(i64, u8, Option<u8>)> = Vec::new();
        let mut horizons: BTreeMap<i64, i64> = BTreeMap::new();
        let (mut leo, mut now) = (0, NOW.0);
        for (step, wait) in steps.iter().zip(&waits) {
            match step {
                Some(records) => {
                    machine.append(&batch_of(records));
                    for (key, value) in records {
                        naive.push((leo, *key, *value));
                        leo += 1;
                    }
                    let end = machine.log.leo();
                    machine.act(|log, out| log.advance_hw(end, out));
                }
                None => {
                    now += wait;
                    // By the rule's own words, in the part that the log says is dirty.
                    if let Some(dirty) = machine.log.dirty(Timestamp(now)) {
                        let latest: BTreeMap<u8, i64> = naive
                            .iter()
                            .filter(|(o, ..)| (dirty.from.0..dirty.upto.0).contains(o))
                            .map(|(o, key, _)| (*key, *o))
                            .collect();
                        let batch_at = |offset: i64| {
                            let mut all = machine.log.batches();
                            let batch = all.find(|b| b.end_offset().0 > offset);
                            batch.expect("it lies in one").base_offset.0
                        };
                        let mut kept = naive.clone();
                        kept.retain(|(o, key, value)| {
                            let is_latest = latest.get(key).is_none_or(|l| o >= l);
                            let horizon = horizons.get(&batch_at(*o));
                            let stays = value.is_some() || horizon.is_none_or(|h| now < *h);
                            *o >= dirty.upto.0 || (is_latest && stays)
                        });
                        for (o, ..) in kept.iter().filter(|(o, _, v)| *o < dirty.upto.0 && v.is_none()) {
                            horizons.entry(batch_at(*o)).or_insert(now + DAY);
                        }
                        naive = kept;
                        round(&mut machine, Timestamp(now));
                    }
                }
            }
            prop_assert_eq!(contents(&machine.log), naive.clone());
            prop_assert_eq!(machine.log.leo(), Offset(leo));
        }
        machine.checkpoint();
        machine.start();
        prop_assert_eq!(contents(&machine.log), naive);
    }
}
