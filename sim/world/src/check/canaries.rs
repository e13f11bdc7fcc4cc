//! The canary of every checker: a good history, mutated in one place (drop, double, swap, relabel), must break exactly the
//! promises that the mutation hits, and change exactly the fates that it touches.

use super::ALL;
use super::at_end::AtEnd;
use super::canary::MUTATED;
use super::history::History;
use super::story::{ORDERS_0, Story, compaction, of_key};
use crate::stuck::{Missing, Stuck};
use crate::trace::What;
use crate::verdict::{FindingKind, Gone, Verdict};
use klab_kafka::event::*;
use klab_kafka::ids::*;
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::protocol::ErrorCode;
use std::collections::BTreeSet;

/// Eight records in four batches over one election, one retry, one refused challenge, all read.
fn good() -> Story {
    let mut story = Story::begin(|_| {});
    for (first, epoch) in [(0, 0), (2, 0), (4, 0)] {
        if first == 4 {
            retried(&mut story, 4);
        }
        let batch = story.batch(first..first + 2, first.into(), epoch, Some(first as i32));
        story.deliver("broker-1", &batch);
    }
    story.elect("broker-2", None);
    story.lead("broker-2", 1);
    let batch = story.batch(6..8, 6, 1, Some(6));
    story.deliver("broker-2", &batch);
    story.voter(
        "controller-3",
        RaftState::Prospective,
        1,
        Some("controller-1"),
    );
    story.voter("controller-3", RaftState::Follower, 1, Some("controller-1"));
    told_the_end(&mut story, 8);
    end(&mut story, 8);
    story
}

fn told_the_end(story: &mut Story, to: i64) {
    let (partition, to) = (ORDERS_0, Offset(to));
    story.client("auditor", ClientEvent::PositionReset { partition, to });
}

fn retried(story: &mut Story, number: u32) {
    let ids = smallvec::smallvec![story.shop(number)];
    let (partition, error) = (ORDERS_0, ErrorCode::NetworkException);
    story.client(
        "shop",
        ClientEvent::Retried {
            partition,
            ids,
            error,
        },
    );
}

fn end(story: &mut Story, end: i64) {
    let (partition, end) = (ORDERS_0, Offset(end));
    story.tell(
        "auditor",
        Event::App(AppEvent::ReachedEnd { partition, end }),
    );
    story.done();
}

/// The place of the `nth` record that fits.
fn find(story: &Story, nth: usize, fits: impl Fn(&What) -> bool) -> usize {
    let mut places = (0..story.records.len()).filter(|at| fits(&story.records[*at].what));
    places.nth(nth).expect("the good history has it")
}

fn is_append(what: &What, by_leader: bool) -> bool {
    matches!(what, What::Told(Event::Log(ORDERS_0, LogEvent::Appended { as_leader, .. })) if *as_leader == by_leader)
}

fn is_read(what: &What) -> bool {
    matches!(
        what,
        What::Told(Event::Client(_, ClientEvent::Delivered { .. }))
    )
}

fn batch_of(what: &mut What) -> &mut RecordBatch {
    match what {
        What::Told(Event::Log(_, LogEvent::Appended { batch, .. })) => batch,
        other => panic!("not an append: {other:?}"),
    }
}

fn is_hw(what: &What, at: i64) -> bool {
    let of_log = match what {
        What::Told(Event::Log(ORDERS_0, event)) => event,
        _ => return false,
    };
    matches!(of_log, LogEvent::HighWatermark { hw } if hw.0 == at)
}

fn delivered(what: &mut What) -> &mut Box<[(Offset, LeaderEpoch, RecordId)]> {
    match what {
        What::Told(Event::Client(_, ClientEvent::Delivered { records, .. })) => records,
        other => panic!("not a read: {other:?}"),
    }
}

/// The good history with one change breaks exactly these promises.
fn breaks(promises: &[&str], mutate: impl FnOnce(&mut Story)) -> Verdict {
    let mut story = good();
    mutate(&mut story);
    let expected: BTreeSet<&str> = promises.iter().copied().collect();
    let checkers = story.watch();
    let seen: Vec<String> = checkers.broken().iter().map(|v| v.to_string()).collect();
    assert_eq!(story.broken(), expected, "{seen:#?}");
    story.verdict()
}

fn found(verdict: &Verdict) -> Vec<(FindingKind, u32)> {
    let all = verdict.findings.iter();
    all.map(|f| (f.kind, f.record.number)).collect()
}

#[test]
fn a_good_history_tests_every_promise_and_breaks_none() {
    let checkers = good().watch();
    assert_eq!(checkers.broken(), []);
    let (kept, compacted) = (checkers.kept(), compacted(&[0, 1, 2]).watch().kept());
    for (kept, compacted) in kept.iter().zip(&compacted) {
        let opportunities = kept.opportunities + compacted.opportunities;
        assert!(opportunities > 0, "{} was not tested", kept.promise);
    }
    let verdict = good().verdict();
    assert_eq!(found(&verdict), []);
    assert_eq!(
        verdict.to_string(),
        "All 8 records are in the log once, in order, and were read."
    );
}

#[test]
fn a_leader_that_lacks_a_committed_batch_breaks_acked_survives() {
    // broker-2 never got the third batch, and leads next.
    let promises = [
        "acked survives",
        "in sync holds committed",
        "consistent read",
    ];
    let verdict = breaks(&promises, |story| {
        let at = find(story, 4, |w| is_append(w, false));
        assert_eq!(story.records[at].process, Some(story.process("broker-2")));
        story.records.remove(at);
        let at = find(story, 1, |w| is_hw(w, 6));
        story.records.remove(at);
        // It writes nothing; the others cut their logs to match it.
        let at = find(story, 3, |w| is_append(w, true));
        story.records.truncate(at);
        story.truncate("broker-1", 6, 4);
        story.truncate("broker-3", 6, 4);
        end(story, 4);
    });
    assert_eq!(
        found(&verdict),
        [(FindingKind::Lost, 4), (FindingKind::Lost, 5)]
    );
    assert_eq!(verdict.unexplained().count(), 2);
}

#[test]
fn an_acknowledgement_before_the_commit_breaks_acked_survives() {
    breaks(&["acked survives"], |story| {
        let is_ack = |w: &What| {
            matches!(
                w,
                What::Told(Event::Replica(_, ReplicaEvent::Acknowledged { .. }))
            )
        };
        let at = find(story, 1, is_ack);
        let early = story.records.remove(at);
        let at = find(story, 1, |w| is_append(w, true));
        story.records.insert(at + 1, early);
    });
}

#[test]
fn an_acknowledgement_of_what_failed_breaks_acked_survives() {
    let verdict = breaks(&["acked survives"], |story| {
        story.records.pop();
        story.send(8..9);
        story.acked(8, 8);
        story.done();
    });
    assert_eq!(found(&verdict), [(FindingKind::Lost, 8)]);
}

#[test]
fn a_member_without_the_last_batch_breaks_in_sync_holds_committed() {
    breaks(&["in sync holds committed"], |story| {
        // broker-3 never got the last batch, and its leader commits it all the same.
        let at = find(story, 7, |w| is_append(w, false));
        assert_eq!(story.records[at].process, Some(story.process("broker-3")));
        story.records.remove(at);
        let at = find(story, 2, |w| is_hw(w, 8));
        story.records.remove(at);
    });
}

#[test]
fn a_copy_from_another_epoch_breaks_log_matching() {
    breaks(&["log matching", "in sync holds committed"], |story| {
        // broker-3 copies the last batch as of an epoch in which nobody wrote it.
        let at = find(story, 7, |w| is_append(w, false));
        batch_of(&mut story.records[at].what).leader_epoch = LeaderEpoch(0);
        let at = find(story, 2, |w| is_hw(w, 8));
        story.records.remove(at);
    });
}

#[test]
fn a_batch_written_twice_in_one_epoch_breaks_log_matching() {
    // The leader cuts its own log and writes the same offsets of its epoch once more: no reader and no copy has seen it.
    breaks(&["log matching"], |story| {
        story.records.pop();
        story.send(8..10);
        let first = story.batch(8..9, 8, 1, Some(8));
        let second = story.batch(9..10, 8, 1, Some(8));
        story.append("broker-2", &first);
        story.truncate("broker-2", 9, 8);
        story.append("broker-2", &second);
        story.failed(8);
        story.done();
    });
}

#[test]
fn two_records_swapped_in_a_read_break_consistent_read() {
    breaks(&["consistent read"], |story| {
        let at = find(story, 1, is_read);
        let records = delivered(&mut story.records[at].what);
        let first = records[0].2;
        records[0].2 = records[1].2;
        records[1].2 = first;
    });
}

#[test]
fn a_read_above_the_high_watermark_breaks_consistent_read() {
    breaks(&["consistent read"], |story| {
        let at = find(story, 1, is_read);
        let early = story.records.remove(at);
        let at = find(story, 1, |w| is_append(w, true));
        story.records.insert(at + 1, early);
    });
}

#[test]
fn a_second_leader_breaks_one_leader_per_epoch() {
    breaks(&["one leader per epoch"], |story| {
        story.records.pop();
        story.lead("broker-3", 1);
        story.done();
    });
}

#[test]
fn a_leader_that_the_metadata_log_does_not_name_breaks_one_leader_per_epoch() {
    breaks(&["one leader per epoch"], |story| {
        story.records.pop();
        story.change(Some(Some(1)), None);
        story.lead("broker-3", 2);
        story.done();
    });
}

#[test]
fn a_leader_that_is_not_in_sync_breaks_sane_registry() {
    breaks(&["sane registry"], |story| {
        story.records.pop();
        story.change(None, Some(&[1, 3]));
        story.done();
    });
}

#[test]
fn a_fenced_broker_left_in_an_isr_breaks_sane_registry() {
    breaks(&["sane registry"], |story| {
        story.records.pop();
        story.fence("broker-3");
        story.done();
    });
}

#[test]
fn a_partition_epoch_that_goes_back_breaks_sane_registry() {
    breaks(&["sane registry"], |story| {
        story.records.pop();
        story.commit(vec![Story::new_partition()]);
        story.done();
    });
}

#[test]
fn a_read_of_an_older_epoch_breaks_epochs_ascend() {
    breaks(&["epochs ascend", "consistent read"], |story| {
        let at = find(story, 3, is_read);
        for (_, epoch, _) in delivered(&mut story.records[at].what) {
            *epoch = LeaderEpoch(-1);
        }
    });
}

#[test]
fn an_end_below_what_was_read_breaks_ends_ascend() {
    breaks(&["ends ascend"], |story| {
        story.records.pop();
        told_the_end(story, 7);
        story.done();
    });
}

#[test]
fn an_acknowledgement_below_what_was_read_breaks_offsets_follow_time() {
    breaks(&["offsets follow time"], |story| {
        let is_last = |w: &What| matches!(w, What::Told(Event::Client(_, ClientEvent::Acked { id, .. })) if id.number == 7);
        let at = find(story, 0, is_last);
        match &mut story.records[at].what {
            What::Told(Event::Client(_, ClientEvent::Acked { offset, .. })) => {
                *offset = Some(Offset(3))
            }
            other => panic!("not an acknowledgement: {other:?}"),
        }
    });
}

#[test]
fn a_high_watermark_above_the_log_breaks_offsets_ordered() {
    breaks(&["offsets ordered"], |story| {
        story.records.pop();
        story.hw("broker-2", 9);
        story.done();
    });
}

#[test]
fn a_log_start_above_the_high_watermark_breaks_offsets_ordered() {
    let starts_at = |log_start| {
        let (log_start, why) = (Offset(log_start), LogStart::Leader);
        let moved = LogEvent::LogStartMoved { log_start, why };
        let mut story = good();
        story.records.pop();
        story.tell("broker-3", Event::Log(ORDERS_0, moved));
        story.done();
        story.broken()
    };
    assert_eq!(starts_at(8), BTreeSet::new());
    assert_eq!(starts_at(9), BTreeSet::from(["offsets ordered"]));
}

#[test]
fn a_leaders_high_watermark_that_goes_back_breaks_offsets_ordered() {
    breaks(&["offsets ordered"], |story| {
        story.records.pop();
        story.hw("broker-2", 6);
        story.done();
    });
}

#[test]
fn a_dropped_copy_breaks_offsets_ordered() {
    let promises = ["offsets ordered", "log matching", "in sync holds committed"];
    breaks(&promises, |story| {
        // broker-3 misses the third batch but copies the fourth.
        let at = find(story, 5, |w| is_append(w, false));
        story.records.remove(at);
    });
}

#[test]
fn a_second_quorum_leader_breaks_raft_safety() {
    breaks(&["raft safety"], |story| {
        story.records.pop();
        story.voter("controller-2", RaftState::Leader, 1, Some("controller-2"));
        story.done();
    });
}

#[test]
fn metadata_on_a_minority_breaks_raft_safety() {
    breaks(&["raft safety"], |story| {
        let is_copy = |w: &What| {
            matches!(
                w,
                What::Told(Event::Log(
                    METADATA_PARTITION,
                    LogEvent::Appended {
                        as_leader: false,
                        ..
                    }
                ))
            )
        };
        // The two other voters never got the second batch.
        let at = find(story, 3, is_copy);
        story.records.remove(at);
        story.records.remove(at);
    });
}

#[test]
fn an_epoch_that_goes_back_breaks_raft_safety() {
    breaks(&["raft safety"], |story| {
        story.records.pop();
        story.voter("controller-3", RaftState::Unattached, 3, None);
        story.voter("controller-3", RaftState::Unattached, 2, None);
        story.done();
    });
}

#[test]
fn an_epoch_raised_over_a_stable_leader_breaks_stable_leadership() {
    breaks(&["stable leadership"], |story| {
        // Without PreVote the third voter is a candidate at once, and wins.
        let is_asking = |w: &What| {
            matches!(
                w,
                What::Told(Event::Raft(RaftEvent::Became {
                    state: RaftState::Prospective,
                    ..
                }))
            )
        };
        let at = find(story, 0, is_asking);
        story.records.truncate(at);
        story.voter("controller-3", RaftState::Candidate, 2, None);
        story.voter("controller-2", RaftState::Unattached, 2, None);
        story.voter("controller-3", RaftState::Leader, 2, Some("controller-3"));
        end(story, 8);
    });
}

#[test]
fn a_leader_that_nobody_fetches_from_may_be_deposed() {
    breaks(&[], |story| {
        story.records.pop();
        story.wait(2_500);
        story.voter(
            "controller-3",
            RaftState::Prospective,
            1,
            Some("controller-1"),
        );
        story.voter("controller-3", RaftState::Candidate, 2, None);
        story.voter("controller-3", RaftState::Leader, 2, Some("controller-3"));
        story.voter("controller-1", RaftState::Follower, 2, Some("controller-3"));
        story.done();
    });
}

#[test]
fn a_batch_doubled_breaks_idempotence_and_no_duplicates() {
    let verdict = breaks(&["idempotence", "no duplicates"], |story| {
        story.records.pop();
        let again = story.batch(6..8, 8, 1, Some(6));
        story.append("broker-2", &again);
        story.copy("broker-1", &again);
        story.copy("broker-3", &again);
        story.hw("broker-2", 10);
        story.read(8, 1, 6..8);
        story.done();
    });
    let twice = [(FindingKind::Duplicated, 6), (FindingKind::Duplicated, 7)];
    assert_eq!(found(&verdict), twice);
}

#[test]
fn a_sequence_number_left_out_breaks_idempotence() {
    breaks(&["idempotence"], |story| {
        story.records.pop();
        let batch = story.batch(8..9, 8, 1, Some(9));
        story.deliver("broker-2", &batch);
        story.done();
    });
}

#[test]
fn two_batches_swapped_break_order() {
    let verdict = breaks(&["order"], |story| {
        story.records.pop();
        story.send(8..10);
        let late = story.batch(9..10, 8, 1, Some(8));
        let early = story.batch(8..9, 9, 1, Some(9));
        story.deliver("broker-2", &late);
        story.deliver("broker-2", &early);
        // `deliver` sends too: only the first sending counts here.
        let is_sent =
            |w: &What| matches!(w, What::Told(Event::Client(_, ClientEvent::Queued { .. })));
        for _ in 0..2 {
            let at = find(story, 10, is_sent);
            story.records.remove(at);
        }
        story.done();
    });
    assert_eq!(found(&verdict), [(FindingKind::Reordered, 8)]);
}

#[test]
fn a_dropped_read_breaks_no_lost_writes() {
    let verdict = breaks(&["no lost writes"], |story| {
        let at = find(story, 1, is_read);
        story.records.remove(at);
    });
    assert_eq!(
        found(&verdict),
        [(FindingKind::ReadLost, 2), (FindingKind::ReadLost, 3)]
    );
}

#[test]
fn a_doubled_read_breaks_no_lost_writes_and_polls_go_forward() {
    let verdict = breaks(&["polls go forward", "no lost writes"], |story| {
        let at = find(story, 1, is_read);
        let again = story.records[at].clone();
        story.records.insert(at + 1, again);
    });
    assert_eq!(found(&verdict).len(), 2);
}

#[test]
fn a_relabelled_record_breaks_no_phantom() {
    breaks(&["no phantom", "consistent read"], |story| {
        let at = find(story, 1, is_read);
        delivered(&mut story.records[at].what)[0].2.number = 99;
    });
}

#[test]
fn a_record_accepted_and_never_sent_breaks_accepted_is_sent() {
    let verdict = breaks(&["accepted is sent"], |story| {
        story.records.pop();
        story.send(8..9);
        let id = story.shop(8);
        story.tell("shop", Event::App(AppEvent::Accepted { id }));
        story.done();
    });
    assert_eq!(found(&verdict), [(FindingKind::AcceptedLost, 8)]);
}

#[test]
fn a_run_that_stays_stuck_after_the_mending_breaks_progress() {
    let checkers = good().watch();
    let history: &History = checkers.history().expect("it was watched");
    let mut at_end = AtEnd::default();
    let why = Stuck::of(Missing::Leader("orders-0".into()));
    let why = Some(&why);
    assert!(at_end.judge(history, true, why).is_some());
    assert!(at_end.judge(history, true, None).is_none());
    assert!(at_end.judge(history, false, why).is_none());
}

#[test]
fn told_ok_relabelled_as_failed_makes_a_ghost_and_breaks_nothing() {
    let verdict = breaks(&[], |story| {
        let is_ack =
            |w: &What| matches!(w, What::Told(Event::Client(_, ClientEvent::Acked { .. })));
        let at = find(story, 3, is_ack);
        story.records.remove(at);
        story.records.pop();
        story.failed(3);
        story.done();
    });
    assert_eq!(found(&verdict), []);
    assert!(verdict.fates[3].is_ghost());
    assert_eq!(verdict.fates.iter().filter(|f| f.is_acked()).count(), 7);
}

#[test]
fn a_process_that_ends_takes_no_promise_with_it() {
    breaks(&[], |story| {
        story.records.pop();
        story.kill("broker-1");
        story.done();
    });
}

#[test]
fn every_promise_has_a_mutation_in_this_file() {
    let text = include_str!("canaries.rs");
    for promise in ALL.iter().filter(|p| p.name != "progress") {
        assert!(
            text.contains(&format!("\"{}\"", promise.name)),
            "{}",
            promise.name
        );
    }
}

/// A test of this file by its name: it is there, or this file does not compile.
macro_rules! tests {
    ($($name:ident,)*) => {
        [$((stringify!($name), $name as fn()),)*]
    };
}

#[test]
fn every_promise_has_a_mutated_history_in_the_table_of_canaries() {
    let here = tests![
        a_leader_that_lacks_a_committed_batch_breaks_acked_survives,
        a_member_without_the_last_batch_breaks_in_sync_holds_committed,
        a_copy_from_another_epoch_breaks_log_matching,
        two_records_swapped_in_a_read_break_consistent_read,
        a_second_leader_breaks_one_leader_per_epoch,
        a_leader_that_is_not_in_sync_breaks_sane_registry,
        a_read_of_an_older_epoch_breaks_epochs_ascend,
        a_doubled_read_breaks_no_lost_writes_and_polls_go_forward,
        an_end_below_what_was_read_breaks_ends_ascend,
        an_acknowledgement_below_what_was_read_breaks_offsets_follow_time,
        a_dropped_copy_breaks_offsets_ordered,
        a_second_quorum_leader_breaks_raft_safety,
        an_epoch_raised_over_a_stable_leader_breaks_stable_leadership,
        a_sequence_number_left_out_breaks_idempotence,
        a_batch_doubled_breaks_idempotence_and_no_duplicates,
        a_dropped_read_breaks_no_lost_writes,
        a_relabelled_record_breaks_no_phantom,
        two_batches_swapped_break_order,
        a_record_accepted_and_never_sent_breaks_accepted_is_sent,
        a_run_that_stays_stuck_after_the_mending_breaks_progress,
        the_last_record_of_a_key_taken_by_compaction_breaks_latest_kept,
    ];
    for promise in ALL {
        let entries = MUTATED.iter().filter(|(name, _)| *name == promise.name);
        let tests: Vec<&str> = entries.map(|(_, test)| *test).collect();
        let [test] = tests[..] else {
            panic!("{}: {tests:?}", promise.name);
        };
        let (_, run) = here
            .iter()
            .find(|(name, _)| *name == test)
            .unwrap_or_else(|| panic!("{test} is no test of this file"));
        run();
        let claims = test.ends_with(&promise.name.replace(' ', "_"));
        assert!(claims, "{test} does not claim {}", promise.name);
    }
}

/// Two batches of one key, and a round of compaction at the leader that takes these offsets.
fn compacted(gone: &[i64]) -> Story {
    let mut story = Story::begin(|_| {});
    for first in [0, 2] {
        let batch = story.batch(first..first + 2, first.into(), 0, Some(first as i32));
        story.deliver("broker-1", &of_key(&batch, b"k", true));
    }
    story.tell("broker-1", compaction(4, gone));
    end(&mut story, 4);
    story
}

#[test]
fn the_last_record_of_a_key_taken_by_compaction_breaks_latest_kept() {
    let good = compacted(&[0, 1, 2]);
    assert_eq!(good.broken(), BTreeSet::new());
    let gone: Vec<Option<Gone>> = good.verdict().fates.iter().map(|f| f.gone).collect();
    let compaction = Some(Gone::Compacted);
    assert_eq!(gone, [compaction, compaction, compaction, None]);
    for bad in [&[0, 1, 3][..], &[0, 1]] {
        assert_eq!(compacted(bad).broken(), BTreeSet::from(["latest kept"]));
    }
}

#[test]
fn what_retention_takes_is_no_loss_and_is_named() {
    let mut story = Story::begin(|_| {});
    for first in [0, 2] {
        let batch = story.batch(first..first + 2, first.into(), 0, Some(first as i32));
        story.deliver("broker-1", &batch);
    }
    let (log_start, why) = (Offset(2), LogStart::RetentionTime);
    let moved = LogEvent::LogStartMoved { log_start, why };
    story.tell("broker-1", Event::Log(ORDERS_0, moved));
    end(&mut story, 4);
    assert_eq!(story.broken(), BTreeSet::new());
    let verdict = story.verdict();
    let gone: Vec<Option<Gone>> = verdict.fates.iter().map(|f| f.gone).collect();
    assert_eq!(gone, [Some(Gone::TooOld), Some(Gone::TooOld), None, None]);
    assert!(verdict.findings.is_empty());
    let sentences = verdict.sentences();
    let named = "2 records are in the log no longer, by retention.ms.";
    assert!(sentences.iter().any(|s| s == named), "{sentences:?}");
}

#[test]
fn a_follower_that_starts_over_where_its_leader_begins_stands_on_the_committed_log() {
    // Its copies of what its leader gave up are nobody's loss, and what it copies from there on matches.
    let mut story = Story::begin(|_| {});
    let first = story.batch(0..2, 0, 0, Some(0));
    story.deliver("broker-1", &first);
    story.change(None, Some(&[1, 2]));
    let second = story.batch(2..4, 2, 0, Some(2));
    story.send(2..4);
    story.append("broker-1", &second);
    story.copy("broker-2", &second);
    story.hw("broker-1", 4);
    let (log_start, why) = (Offset(2), LogStart::DeleteRecords);
    let moved = LogEvent::LogStartMoved { log_start, why };
    story.tell("broker-1", Event::Log(ORDERS_0, moved));
    let (from, at) = (Offset(2), Offset(2));
    let over = LogEvent::StartedOver { from, at };
    story.tell("broker-3", Event::Log(ORDERS_0, over));
    story.copy("broker-3", &second);
    story.hw("broker-3", 4);
    assert_eq!(story.broken(), BTreeSet::new());
}
