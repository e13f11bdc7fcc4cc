//! Old segments go by size, by age, and by a client's word.

use super::times::stamped;
use super::*;
use crate::disk::FileId;
use crate::event::{Deletion, LogEvent, LogStart};
use crate::protocol::ErrorCode;

/// Segments of one batch each, all committed.
fn committed(config: LogConfig, batches: u32) -> Machine {
    let mut machine = filled(config, batches);
    let leo = machine.log.leo();
    machine.act(|log, out| log.advance_hw(leo, out));
    machine
}

fn sweep(machine: &mut Machine, at: Timestamp) -> Vec<FileId> {
    machine.act(|log, out| log.delete_old_segments(at, out))
}

fn kept_bytes(retention_bytes: i64) -> LogConfig {
    LogConfig {
        retention_bytes,
        ..segments_of(ONE)
    }
}

#[test]
fn the_oldest_segments_go_as_long_as_retention_bytes_are_left() {
    // L-22.
    let mut machine = committed(kept_bytes(i64::from(3 * ONE)), 5);
    assert_eq!(bases(&machine), [0, 1, 2, 3, 4]);
    let renamed = sweep(&mut machine, NOW);
    assert_eq!(bases(&machine), [2, 3, 4]);
    assert_eq!(machine.log.log_start(), Offset(2));
    let away = [0, 1].map(|base| FileId::Deleted(ID, Offset(base)));
    assert_eq!(renamed, away);
    // One byte more to keep, and nothing may go.
    let mut machine = committed(kept_bytes(i64::from(4 * ONE) + 1), 5);
    assert!(sweep(&mut machine, NOW).is_empty());
}

#[test]
fn what_is_not_committed_is_not_deleted_whatever_its_size_and_age() {
    // L-20.
    let config = LogConfig {
        retention_ms: 0,
        ..kept_bytes(0)
    };
    let mut machine = filled(config, 4);
    machine.act(|log, out| log.advance_hw(Offset(2), out));
    sweep(&mut machine, Timestamp(i64::MAX));
    assert_eq!(bases(&machine), [2, 3]);
    assert_eq!(machine.log.log_start(), Offset(2));
}

#[test]
fn even_the_active_segment_goes_when_it_is_old_and_a_new_one_begins() {
    // L-21.
    let config = LogConfig {
        retention_ms: 1_000,
        ..LogConfig::default()
    };
    let mut machine = committed(config, 3);
    sweep(&mut machine, Timestamp(NOW.0 + 1_000));
    assert_eq!(bases(&machine), [0]);
    sweep(&mut machine, Timestamp(NOW.0 + 1_001));
    assert_eq!(bases(&machine), [3]);
    assert_eq!(machine.log.log_start(), Offset(3));
    assert_eq!(machine.log.leo(), Offset(3));
    let why = LogStart::RetentionTime;
    let log_start = Offset(3);
    assert!(
        machine
            .told
            .contains(&LogEvent::LogStartMoved { log_start, why })
    );
    // It is empty now: there is nothing more to delete.
    assert!(sweep(&mut machine, Timestamp(i64::MAX)).is_empty());
}

#[test]
fn one_record_from_the_future_keeps_its_segment_and_all_behind_it() {
    // L-21, O03: record time decides, and the sweep stops at the first that stays.
    let config = LogConfig {
        retention_ms: 1_000,
        timestamp_after_max_ms: i64::MAX,
        ..segments_of(ONE)
    };
    let mut machine = Machine::new(config);
    for after in [0, 1_000_000, 0] {
        machine.append(&stamped(&[after]));
    }
    machine.act(|log, out| log.advance_hw(Offset(3), out));
    sweep(&mut machine, Timestamp(NOW.0 + 5_000));
    assert_eq!(bases(&machine), [1, 2]);
}

#[test]
fn only_the_policy_delete_deletes_by_age_and_size() {
    // L-23.
    for (compact, delete) in [(true, false), (false, false)] {
        let mut config = kept_bytes(0);
        config.retention_ms = 0;
        config.cleanup = crate::config::CleanupPolicy { compact, delete };
        let mut machine = Machine::new(config);
        for _ in 0..3 {
            machine
                .act(|log, out| {
                    let batch = RecordBatch {
                        base_offset: log.leo(),
                        leader_epoch: EPOCH,
                        data: plain(1),
                    };
                    log.append_as_follower(&batch, EPOCH, NOW, out)
                })
                .expect("it fits");
        }
        machine.act(|log, out| log.advance_hw(Offset(3), out));
        assert!(sweep(&mut machine, Timestamp(i64::MAX)).is_empty());
        // What was given up goes under every policy.
        machine
            .act(|log, out| log.increment_log_start(Offset(2), out))
            .expect("committed");
        assert_eq!(sweep(&mut machine, NOW).len(), 2);
        let why = Deletion::LogStart;
        let upto = Offset(2);
        assert!(
            machine
                .told
                .contains(&LogEvent::SegmentsDeleted { upto, why })
        );
    }
}

#[test]
fn records_are_given_up_by_a_client_up_to_the_high_watermark() {
    // L-26.
    let mut machine = filled(LogConfig::default(), 4);
    machine.act(|log, out| log.advance_hw(Offset(3), out));
    let mut delete = |at: Option<i64>| {
        let at = at.map(Offset);
        machine.act(|log, out| log.delete_records(at, out))
    };
    assert_eq!(delete(Some(4)), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(delete(Some(-2)), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(delete(Some(1)), Ok(Offset(1)));
    assert_eq!(delete(None), Ok(Offset(3)));
    assert_eq!(machine.log.log_start(), Offset(3));
    let mut config = LogConfig::default();
    config.cleanup = crate::config::CleanupPolicy {
        compact: true,
        delete: false,
    };
    machine.log.set_config(config);
    let refused = machine.act(|log, out| log.delete_records(None, out));
    assert_eq!(refused, Err(ErrorCode::PolicyViolation));
}

#[test]
fn deleted_files_that_are_found_at_a_start_vanish() {
    // L-24: they had their other name already.
    let mut machine = committed(kept_bytes(0), 3);
    let renamed = sweep(&mut machine, NOW);
    assert_eq!(renamed.len(), 3);
    assert!(machine.disk.files.contains_key(&renamed[0]));
    machine.checkpoint();
    machine.start();
    assert!(!machine.disk.files.contains_key(&renamed[0]));
    assert_eq!(
        (machine.log.log_start(), machine.log.leo()),
        (Offset(3), Offset(3))
    );
}

#[test]
fn a_producer_whose_records_are_gone_is_still_known() {
    // KIP-360: the state outlives the records; only its own expiry ends it.
    let mut machine = Machine::new(kept_bytes(0));
    machine.append(&idempotent(7, 0, 0, 1));
    machine.act(|log, out| log.advance_hw(Offset(1), out));
    sweep(&mut machine, NOW);
    assert_eq!(window(&machine, 7), [(0, 0)]);
    let again = machine.act(|log, out| {
        log.append_as_leader(&idempotent(7, 0, 0, 1), EPOCH, Origin::CLIENT, NOW, out)
    });
    assert!(matches!(again, Ok(Appended::Duplicate(_))));
}
