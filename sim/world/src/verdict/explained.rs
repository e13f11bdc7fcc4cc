//! Tests of explanations: stories that end badly, with what must be named and what must not be explained.

use super::explain::Allowance;
use super::{FindingKind, Gone, Verdict};
use crate::check::story::{ORDERS_0, Story, compaction, of_key};
use crate::disks::Keep;
use crate::fault::{Fault, Intercept};
use crate::process::Down;
use crate::scenario::{Answers, Scenario};
use klab_kafka::config::{Acks, Configs, LibrdkafkaConfig};
use klab_kafka::event::*;
use klab_kafka::ids::*;
use klab_kafka::log::batch::ProducerStamp;
use klab_kafka::protocol::{Api, ErrorCode};

fn with(key: &'static str, value: &'static str) -> impl FnOnce(&mut Scenario) {
    move |scenario| {
        let shop = scenario.producers.get_mut("shop").expect("the tracer's");
        shop.config.set(key, value).expect("a producer's key");
    }
}

fn allowed(verdict: &Verdict, kind: FindingKind) -> Vec<Allowance> {
    let finding = verdict.found(kind).next().expect("it was found");
    let explanation = finding.explanation.as_ref().expect("it is explained");
    explanation.allowed_by.clone()
}

/// A record is acknowledged by broker-1 alone, which is killed; broker-2 is elected and broker-1 cuts it off.
fn lost_with_acks(acks: &'static str) -> (Story, u64) {
    let mut story = Story::begin(with("acks", acks));
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    story.acknowledge("broker-1", &batch, 1);
    story.acked(0, 0);
    story.wait(1_000);
    let fault = story.kill("broker-1");
    story.wait(9_000);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    story.truncate("broker-1", 1, 0);
    story.done();
    (story, fault)
}

// Seed 187 of the free half: a producer without keys, and a compacted topic.
#[test]
fn what_its_leader_refused_while_nobody_waited_for_an_answer_is_no_fault_of_the_network() {
    let lost = |refusal: Option<ErrorCode>| {
        let mut story = Story::begin(with("acks", "0"));
        story.pause("broker-1");
        story.send(0..1);
        let id = story.shop(0);
        let (partition, offset) = (ORDERS_0, None);
        let written = ClientEvent::Acked {
            id,
            partition,
            offset,
        };
        story.client("shop", written);
        if let Some(error) = refusal {
            let ids = smallvec::smallvec![id];
            story.tell(
                "broker-1",
                Event::Log(ORDERS_0, LogEvent::Refused { error, ids }),
            );
        }
        story.done();
        story.verdict()
    };
    let explained = |verdict: &Verdict| {
        let finding = verdict.found(FindingKind::Lost).next().expect("it is lost");
        finding.explanation.clone().expect("acks=0 explains it")
    };
    let verdict = lost(Some(ErrorCode::InvalidRecord));
    let explanation = explained(&verdict);
    assert_eq!(explanation.allowed_by, [Allowance::Acks(Acks::Zero)]);
    assert!(explanation.fault.is_none());
    let sentence = verdict.sentences().concat();
    assert!(
        sentence.contains("; broker-1 refused it: INVALID_RECORD."),
        "{sentence}"
    );
    for refusal in [None, Some(ErrorCode::NotLeaderOrFollower)] {
        let explanation = explained(&lost(refusal));
        assert!(explanation.refused.is_none() && explanation.fault.is_some());
    }
}

#[test]
fn acks_1_explains_what_no_follower_had() {
    let (story, fault) = lost_with_acks("1");
    let verdict = story.verdict();
    assert_eq!(story.broken().len(), 0);
    let finding = verdict.found(FindingKind::Lost).next().expect("it is lost");
    let explanation = finding.explanation.as_ref().expect("acks=1 explains it");
    assert_eq!(explanation.allowed_by, [Allowance::Acks(Acks::One)]);
    assert_eq!(explanation.fault.as_ref().map(|f| f.seq), Some(fault));
    assert_eq!(
        explanation.election.map(|e| e.leader),
        Some(story.process("broker-2"))
    );
    let copy = &explanation.copies[0];
    assert_eq!(
        (copy.process, copy.offset),
        (story.process("broker-1"), Offset(0))
    );
    let end = copy.end.as_ref().expect("it was cut off");
    assert_eq!(end.fault.as_ref().map(|f| f.seq), Some(fault));
    assert_eq!(
        verdict.to_string(),
        "1 of 1 acknowledged records is lost: shop#0. Allowed by acks=1; at 1.000 s broker-1 is killed, and broker-2, elected at \
         10.000 s, did not have it; copies: broker-1 at offset 0, cut off to match broker-2."
    );
}

#[test]
fn the_same_loss_with_acks_all_is_a_broken_promise() {
    let (story, _) = lost_with_acks("all");
    assert_eq!(story.broken(), ["acked survives"].into());
    assert_eq!(story.verdict().unexplained().count(), 1);
}

/// What the whole ISR has is acknowledged; then `harm` happens, and `winner` leads without it.
fn committed_then(
    change: impl FnOnce(&mut Scenario),
    harm: impl FnOnce(&mut Story),
    winner: &str,
    isr: Option<&[i32]>,
) -> Story {
    let mut story = Story::begin(change);
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    harm(&mut story);
    story.hw("broker-1", 1);
    story.acknowledge("broker-1", &batch, -1);
    story.acked(0, 0);
    story.kill("broker-1");
    story.wait(9_000);
    story.elect(winner, isr);
    story.lead(winner, 2);
    story.truncate("broker-1", 1, 0);
    story.done();
    story
}

fn unclean(scenario: &mut Scenario) {
    scenario.cluster.config.unclean_leader_election_enable = true;
}

#[test]
fn an_unclean_election_explains_what_the_outsider_lacked() {
    let shrink = |story: &mut Story| story.change(Some(Some(1)), Some(&[1]));
    let story = committed_then(unclean, shrink, "broker-2", Some(&[2]));
    let verdict = story.verdict();
    let allowances = [Allowance::UncleanElection, Allowance::MinInsync(1)];
    assert_eq!(allowed(&verdict, FindingKind::Lost), allowances);
    assert_eq!(story.broken().len(), 0);
}

// Seed 33801 of the free half, and others.
#[test]
fn an_unclean_election_explains_a_winner_that_comes_to_lead_in_a_later_epoch_only() {
    let chosen_before = |allowed: fn(&mut Scenario)| {
        let choose = |story: &mut Story| {
            story.change(Some(Some(1)), Some(&[1]));
            story.elect("broker-2", Some(&[2]));
            story.change(Some(None), None);
        };
        committed_then(allowed, choose, "broker-2", Some(&[2]))
    };
    let story = chosen_before(unclean);
    let allowances = [Allowance::UncleanElection, Allowance::MinInsync(1)];
    assert_eq!(allowed(&story.verdict(), FindingKind::Lost), allowances);
    assert_eq!(story.broken().len(), 0);
    assert!(chosen_before(|_| {}).broken().contains("acked survives"));
}

#[test]
fn an_unclean_election_that_nobody_allowed_is_a_broken_promise() {
    let shrink = |story: &mut Story| story.change(Some(Some(1)), Some(&[1]));
    let story = committed_then(|_| {}, shrink, "broker-2", Some(&[2]));
    assert_eq!(story.broken(), ["acked survives"].into());
}

/// broker-2 alone is in sync, has the record, and then loses its disk; `isr` is what the metadata log says at its return.
fn disk_lost(story: &mut Story, rejoins: bool) {
    let batch = story.batch(0..1, 0, 0, None);
    story.copy("broker-2", &batch);
    if rejoins {
        story.change(Some(Some(1)), Some(&[1]));
    }
    let who = story.only("broker-2");
    let fault = story.fault(Fault::DiskLoss { who });
    story.ends("broker-2", Down::Killed, fault);
    let batches_lost = 1;
    let replaced = crate::trace::ProcessFact::DiskReplaced { batches_lost };
    story.caused(
        Some("broker-2"),
        Some(fault),
        crate::trace::What::Process(replaced),
    );
    if rejoins {
        story.register("broker-2");
        story.change(None, Some(&[1, 2]));
    } else {
        story.change(Some(Some(1)), None);
    }
}

#[test]
fn a_disk_lost_within_the_isr_explains_what_its_owner_lacked() {
    let story = committed_then(|_| {}, |s| disk_lost(s, false), "broker-2", Some(&[2]));
    let verdict = story.verdict();
    let allowances = [Allowance::DiskReplaced, Allowance::MinInsync(1)];
    assert_eq!(allowed(&verdict, FindingKind::Lost), allowances);
    let finding = verdict.found(FindingKind::Lost).next().expect("it is lost");
    let copies = &finding.explanation.as_ref().expect("explained").copies;
    assert_eq!(copies.len(), 2, "both copies are listed");
    assert!(
        copies
            .iter()
            .all(|c| c.end.as_ref().is_some_and(|e| e.fault.is_some()))
    );
}

#[test]
fn a_disk_lost_outside_the_isr_and_let_in_again_is_a_broken_promise() {
    // R12: the reborn broker is let in by a late request (KIP-903).
    let story = committed_then(|_| {}, |s| disk_lost(s, true), "broker-2", Some(&[2]));
    assert_eq!(story.broken(), ["acked survives"].into());
}

#[test]
fn power_lost_by_the_last_of_the_isr_explains_what_was_not_flushed() {
    let lose_power = |story: &mut Story| {
        let batch = story.batch(0..1, 0, 0, None);
        story.copy("broker-2", &batch);
        let (who, keep) = (story.only("broker-2"), Keep::Synced);
        let fault = story.fault(Fault::PowerLoss { who, keep });
        story.ends("broker-2", Down::PowerLost, fault);
        story.change(Some(Some(1)), None);
    };
    let story = committed_then(|_| {}, lose_power, "broker-2", Some(&[2]));
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::Lost)[0],
        Allowance::Unflushed
    );
}

/// A record is written, its answer is lost, and it is written again.
fn doubled(
    change: impl FnOnce(&mut Scenario),
    stamps: [Option<i32>; 2],
    again: bool,
) -> (Story, u64) {
    let mut story = Story::begin(change);
    story.send(0..1);
    let (shop, broker) = (story.process("shop"), story.process("broker-1"));
    let intercept = Intercept {
        api: Api::Produce,
        response: true,
        from: [broker].into(),
        to: [shop].into(),
        nth: 1,
    };
    let fault = story.fault(Fault::Lose(intercept));
    let first = story.batch(0..1, 0, 0, stamps[0]);
    story.append("broker-1", &first);
    if again {
        story.send(0..1);
    } else {
        let (partition, ids) = (ORDERS_0, smallvec::smallvec![story.shop(0)]);
        let error = ErrorCode::NetworkException;
        story.client(
            "shop",
            ClientEvent::Retried {
                partition,
                ids,
                error,
            },
        );
    }
    let second = story.batch(0..1, 1, 0, stamps[1]);
    story.append("broker-1", &second);
    for broker in ["broker-2", "broker-3"] {
        story.copy(broker, &first);
        story.copy(broker, &second);
    }
    story.hw("broker-1", 2);
    story.acked(0, 1);
    story.done();
    (story, fault)
}

#[test]
fn a_retry_without_idempotence_explains_a_duplicate() {
    let (story, fault) = doubled(with("enable.idempotence", "false"), [None, None], false);
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::Duplicated),
        [Allowance::IdempotenceOff]
    );
    let finding = verdict
        .found(FindingKind::Duplicated)
        .next()
        .expect("it is doubled");
    let explanation = finding.explanation.as_ref().expect("explained");
    assert_eq!(explanation.fault.as_ref().map(|f| f.seq), Some(fault));
    assert_eq!(story.broken().len(), 0);
}

/// broker-1 wrote a batch, told this of its log, and then wrote the batch again.
fn doubled_after(event: LogEvent) -> (Story, u64) {
    let mut story = Story::begin(|_| {});
    let first = story.batch(0..1, 0, 0, Some(0));
    story.send(0..1);
    story.append("broker-1", &first);
    for broker in ["broker-2", "broker-3"] {
        story.copy(broker, &first);
    }
    story.hw("broker-1", 1);
    story.wait(5_000);
    let forgot = story.tell("broker-1", Event::Log(ORDERS_0, event));
    let again = story.batch(0..1, 1, 0, Some(0));
    story.append("broker-1", &again);
    for broker in ["broker-2", "broker-3"] {
        story.copy(broker, &again);
    }
    story.hw("broker-1", 2);
    story.acked(0, 1);
    story.done();
    (story, forgot)
}

fn idle(producer: i64) -> LogEvent {
    let producers = [ProducerId(producer)].into();
    LogEvent::ProducersForgotten { producers }
}

#[test]
fn a_leader_that_forgot_an_idle_producer_explains_a_duplicate() {
    let (story, forgot) = doubled_after(idle(1));
    let verdict = story.verdict();
    let forgotten = [Allowance::ProducerForgotten];
    assert_eq!(allowed(&verdict, FindingKind::Duplicated), forgotten);
    let finding = verdict.found(FindingKind::Duplicated).next();
    let explanation = finding.and_then(|f| f.explanation.as_ref());
    assert_eq!(
        explanation.and_then(|e| e.forgot).map(|f| f.by.seq),
        Some(forgot)
    );
    let sentence = verdict.to_string();
    let named = "broker-1 forgot the producer at 5.000 s";
    assert!(sentence.contains(named), "{sentence}");
    assert_eq!(story.broken().len(), 0);
    let (another, _) = doubled_after(idle(2));
    assert_eq!(
        another.broken(),
        ["idempotence", "no duplicates"].into(),
        "the producer itself was known"
    );
}

#[test]
fn a_leader_whose_log_was_empty_explains_a_duplicate_and_says_so() {
    let starts = LogEvent::Recovered {
        leo: Offset(1),
        hw: Offset(0),
        torn: false,
    };
    // Seed 28775 of the free half: it had been a follower behind its leader's log start.
    let starts_over = LogEvent::StartedOver {
        from: Offset(1),
        at: Offset(1),
    };
    for event in [starts, starts_over] {
        let (story, forgot) = doubled_after(event);
        let verdict = story.verdict();
        let emptied = [Allowance::LogEmptied];
        assert_eq!(allowed(&verdict, FindingKind::Duplicated), emptied);
        let finding = verdict.found(FindingKind::Duplicated).next();
        let explanation = finding.and_then(|f| f.explanation.as_ref());
        let by = explanation.and_then(|e| e.forgot).map(|f| f.by.seq);
        assert_eq!(by, Some(forgot));
        let sentence = verdict.to_string();
        let named = "Allowed by an emptied log";
        assert!(sentence.contains(named), "{sentence}");
        assert!(!sentence.contains("idle"), "{sentence}");
        assert_eq!(story.broken().len(), 0);
    }
}

#[test]
fn an_application_that_sends_again_explains_a_duplicate() {
    let (story, _) = doubled(|_| {}, [Some(0), Some(1)], true);
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::Duplicated),
        [Allowance::SentAgain]
    );
}

#[test]
fn one_idempotent_session_never_explains_a_duplicate() {
    let (story, _) = doubled(|_| {}, [Some(0), Some(1)], false);
    assert_eq!(story.broken(), ["no duplicates"].into());
}

/// Record 0 comes behind record 1, after a retry or without any.
fn misplaced(change: impl FnOnce(&mut Scenario), is_retried: bool) -> Story {
    tried_twice(change, [1, 0], |story| {
        if is_retried {
            let retried = ClientEvent::Retried {
                partition: ORDERS_0,
                ids: smallvec::smallvec![story.shop(0)],
                error: ErrorCode::NotEnoughReplicas,
            };
            story.client("shop", retried);
        }
    })
}

/// shop sends two records; these are written, with a try of the first that failed in between.
fn tried_twice(
    change: impl FnOnce(&mut Scenario),
    written: [u32; 2],
    failed_try: impl Fn(&mut Story),
) -> Story {
    let mut story = Story::begin(change);
    story.send(0..2);
    for (number, offset) in written.into_iter().zip(0..) {
        if offset == 1 {
            failed_try(&mut story);
        }
        let batch = story.batch(number..number + 1, offset, 0, None);
        story.append("broker-1", &batch);
        story.copy("broker-2", &batch);
        story.copy("broker-3", &batch);
    }
    story.hw("broker-1", 2);
    story.done();
    story
}

/// shop's batch of two attempts, numbered anew, stands twice; its neighbour in flight failed before the second, or not.
fn numbered_anew(in_flight: &'static str, neighbour_failed: bool) -> Story {
    let mut story = Story::begin(with("max.in.flight.requests.per.connection", in_flight));
    story.send(0..3);
    let before = story.batch(2..3, 0, 0, Some(0));
    let first = story.batch(0..1, 1, 0, Some(1));
    for batch in [&before, &first] {
        story.append("broker-1", batch);
    }
    let (partition, ids) = (ORDERS_0, smallvec::smallvec![story.shop(0)]);
    let error = ErrorCode::RequestTimedOut;
    let retried = ClientEvent::Retried {
        partition,
        ids,
        error,
    };
    story.client("shop", retried);
    if neighbour_failed {
        story.failed(1);
    }
    let mut again = story.batch(0..1, 2, 0, Some(0));
    let mut data = (*again.data).clone();
    data.producer = data.producer.map(|stamp| ProducerStamp {
        epoch: ProducerEpoch(1),
        ..stamp
    });
    again.data = data.into();
    story.append("broker-1", &again);
    for broker in ["broker-2", "broker-3"] {
        for batch in [&before, &first, &again] {
            story.copy(broker, batch);
        }
    }
    story.hw("broker-1", 3);
    story.acked(0, 2);
    story.done();
    story
}

// Seed 29991 of the free half.
#[test]
fn a_new_epoch_after_a_batch_that_failed_explains_a_duplicate_only_of_what_was_in_flight_with_it() {
    let explained = |story: Story| {
        let verdict = story.verdict();
        let finding = verdict.found(FindingKind::Duplicated).next();
        finding.expect("it is doubled").explanation.is_some()
    };
    let verdict = numbered_anew("5", true).verdict();
    let renumbered = [Allowance::Renumbered(5)];
    assert_eq!(allowed(&verdict, FindingKind::Duplicated), renumbered);
    assert!(!explained(numbered_anew("5", false)));
    assert!(!explained(numbered_anew("1", true)));
}

#[test]
fn several_requests_in_flight_without_idempotence_explain_disorder() {
    let story = misplaced(with("enable.idempotence", "false"), true);
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::Reordered),
        [Allowance::InFlight(5)]
    );
    assert_eq!(story.broken().len(), 0);
}

// Seed 151 of the free half.
#[test]
fn a_batch_that_was_too_large_lets_a_younger_one_pass_and_doubles_nothing() {
    let split = |story: &mut Story| {
        let split = ClientEvent::BatchSplit {
            partition: ORDERS_0,
            ids: smallvec::smallvec![story.shop(0)],
            parts: 1,
        };
        story.pause("broker-1");
        story.client("shop", split);
    };
    let off = || with("enable.idempotence", "false");
    let verdict = tried_twice(off(), [1, 0], split).verdict();
    let in_flight = [Allowance::InFlight(5)];
    assert_eq!(allowed(&verdict, FindingKind::Reordered), in_flight);
    let finding = verdict.found(FindingKind::Reordered).next();
    let explanation = finding.and_then(|f| f.explanation.as_ref());
    assert!(explanation.is_some_and(|e| e.fault.is_none()));
    let verdict = tried_twice(off(), [0, 0], split).verdict();
    assert_eq!(verdict.found(FindingKind::Duplicated).count(), 1);
    assert_eq!(verdict.unexplained().count(), 1);
}

#[test]
fn disorder_without_a_try_that_failed_is_not_explained_by_requests_in_flight() {
    let story = misplaced(with("enable.idempotence", "false"), false);
    assert_eq!(story.verdict().unexplained().count(), 1);
}

/// An application has librdkafka as it comes.
fn librdkafka(scenario: &mut Scenario) {
    let shop = scenario.producers.get_mut("shop").expect("the tracer's");
    let own = LibrdkafkaConfig::default();
    (shop.config, shop.librdkafka) = (own.in_java(), Some(own));
}

#[test]
fn librdkafkas_defaults_explain_what_a_retry_doubles_and_misplaces() {
    let (story, fault) = doubled(librdkafka, [None, None], false);
    let verdict = story.verdict();
    let off = [Allowance::IdempotenceOff];
    assert_eq!(allowed(&verdict, FindingKind::Duplicated), off);
    let finding = verdict.found(FindingKind::Duplicated).next();
    let explanation = finding.and_then(|f| f.explanation.as_ref());
    let lost = explanation.and_then(|e| e.fault.as_ref());
    assert_eq!(lost.map(|f| f.seq), Some(fault));
    let verdict = misplaced(librdkafka, true).verdict();
    let in_flight = [Allowance::InFlight(1_000_000)];
    assert_eq!(allowed(&verdict, FindingKind::Reordered), in_flight);
    assert_eq!(verdict.unexplained().count(), 0);
    assert_eq!(
        misplaced(librdkafka, false).verdict().unexplained().count(),
        1
    );
}

#[test]
fn an_answer_before_the_callback_explains_what_was_accepted_and_never_sent() {
    let after_send = |scenario: &mut Scenario| {
        let shop = scenario.producers.get_mut("shop").expect("the tracer's");
        shop.answers = Answers::AfterSend;
    };
    let mut story = Story::begin(after_send);
    story.send(0..1);
    let id = story.shop(0);
    story.tell("shop", Event::App(AppEvent::Accepted { id }));
    let fault = story.kill("shop");
    story.done();
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::AcceptedLost),
        [Allowance::AnswersAfterSend]
    );
    let finding = verdict.findings[0].explanation.as_ref().expect("explained");
    assert_eq!(finding.fault.as_ref().map(|f| f.seq), Some(fault));
    assert!(verdict.fates[0].is_unknown());
}

/// A batch of one key on its whole good way but for the reader's; without values they are tombstones.
fn write_keyed(story: &mut Story, numbers: std::ops::Range<u32>, key: &'static [u8], value: bool) {
    let offset = i64::from(numbers.start);
    let plain = story.batch(numbers.clone(), offset, 0, Some(numbers.start as i32));
    let batch = of_key(&plain, key, value);
    story.send(numbers.clone());
    story.append("broker-1", &batch);
    for other in ["broker-2", "broker-3"] {
        story.copy(other, &batch);
    }
    story.hw("broker-1", batch.end_offset().0);
    story.acknowledge("broker-1", &batch, -1);
    numbers.for_each(|number| _ = story.acked(number, number.into()));
}

/// The reader has a value of a key when a tombstone comes, which the second round of compaction takes; it comes past that
/// before or behind the round. Returns the record that told of the round.
fn stale(passes_before: bool) -> (Story, u64) {
    let mut story = Story::begin(|_| {});
    write_keyed(&mut story, 0..1, b"k", true);
    story.read(0, 0, 0..1);
    write_keyed(&mut story, 1..2, b"k", false);
    write_keyed(&mut story, 2..3, b"l", true);
    story.tell("broker-1", compaction(2, &[0]));
    if passes_before {
        story.read(2, 0, 2..3);
    }
    story.wait(1_500);
    let took = story.tell("broker-1", compaction(3, &[1]));
    if !passes_before {
        story.read(2, 0, 2..3);
    }
    story.done();
    (story, took)
}

#[test]
fn a_tombstone_taken_before_its_reader_came_explains_what_the_reader_still_holds() {
    let (story, took) = stale(false);
    let verdict = story.verdict();
    assert_eq!(
        allowed(&verdict, FindingKind::ReadStale),
        [Allowance::TombstoneGone]
    );
    let finding = verdict.found(FindingKind::ReadStale).next();
    let explanation = finding.and_then(|f| f.explanation.as_ref());
    let gave_up = explanation.and_then(|e| e.gave_up).expect("it is named");
    assert_eq!(
        (gave_up.seq, gave_up.process),
        (took, story.process("broker-1"))
    );
    let sentence = verdict.to_string();
    let named = "broker-1 gave it up at 1.500 s";
    assert!(sentence.contains(named), "{sentence}");
}

#[test]
fn a_tombstone_that_its_reader_passed_over_while_it_was_there_explains_nothing() {
    let verdict = stale(true).0.verdict();
    let stale = verdict.found(FindingKind::ReadStale);
    assert_eq!(stale.filter(|f| f.explanation.is_none()).count(), 1);
}

/// A retry put a record down twice, and compaction took the first; the reader begins before both and gets as many as it says.
fn left_at_its_second_place(gets: u32) -> Story {
    let mut story = Story::begin(with("enable.idempotence", "false"));
    story.send(0..1);
    for at in 0..2 {
        let batch = of_key(&story.batch(0..1, at, 0, None), b"k", true);
        story.append("broker-1", &batch);
        for other in ["broker-2", "broker-3"] {
            story.copy(other, &batch);
        }
    }
    story.hw("broker-1", 2);
    story.acked(0, 1);
    story.tell("broker-1", compaction(1, &[0]));
    let (partition, to) = (ORDERS_0, Offset(0));
    story.client("auditor", ClientEvent::PositionReset { partition, to });
    story.read(1, 0, 0..gets);
    write_keyed(&mut story, 2..3, b"l", true);
    story.read(2, 0, 2..3);
    story.done();
    story
}

// Seed 29073 of the free half, and others.
#[test]
fn a_record_that_stands_twice_is_looked_for_where_compaction_left_it() {
    let lost = |gets| {
        let verdict = left_at_its_second_place(gets).verdict();
        verdict.found(FindingKind::ReadLost).count()
    };
    assert_eq!(lost(1), 0);
    assert_eq!(lost(0), 1, "it is there, and was passed over");
}

/// The reader has the first record when two are given up, and then goes on behind them; or it has gone on before.
fn overtaken(why: LogStart, goes_on_before: bool) -> (Story, u64) {
    let mut story = Story::begin(|_| {});
    write_keyed(&mut story, 0..3, b"k", true);
    story.read(0, 0, 0..1);
    if goes_on_before {
        story.read(2, 0, 2..3);
    }
    let log_start = Offset(2);
    let moved = LogEvent::LogStartMoved { log_start, why };
    let gave_up = story.tell("broker-1", Event::Log(ORDERS_0, moved));
    if !goes_on_before {
        let (partition, to) = (ORDERS_0, log_start);
        story.client("auditor", ClientEvent::PositionReset { partition, to });
        story.read(2, 0, 2..3);
    }
    story.done();
    (story, gave_up)
}

#[test]
fn a_reader_that_the_log_start_overtook_is_told_from_one_that_lost_something() {
    for (why, gone) in [
        (LogStart::DeleteRecords, Gone::Deleted),
        (LogStart::RetentionTime, Gone::TooOld),
    ] {
        let (story, gave_up) = overtaken(why, false);
        let verdict = story.verdict();
        let both = [Allowance::Gone(gone), Allowance::OffsetReset];
        assert_eq!(allowed(&verdict, FindingKind::ReadMissed), both);
        let finding = verdict.found(FindingKind::ReadMissed).next();
        let explanation = finding.and_then(|f| f.explanation.as_ref());
        assert_eq!(
            explanation.and_then(|e| e.gave_up).map(|g| g.seq),
            Some(gave_up)
        );
        assert_eq!(verdict.unexplained().count(), 0);
        assert_eq!(overtaken(why, true).0.verdict().unexplained().count(), 1);
    }
}

#[test]
fn a_copy_left_on_a_leaderless_partition_is_not_lost_yet() {
    let (mut story, _) = (Story::begin(with("acks", "1")), ());
    let batch = story.batch(0..1, 0, 0, None);
    story.send(0..1);
    story.append("broker-1", &batch);
    story.acked(0, 0);
    story.kill("broker-1");
    story.change(Some(None), Some(&[1]));
    story.done();
    let verdict = story.verdict();
    assert_eq!(verdict.findings, []);
    assert_eq!(
        verdict.to_string(),
        "Not decided: orders-0 has no leader, and a copy is left."
    );
}

#[test]
fn a_verdict_before_the_end_counts_what_is_on_the_way() {
    let mut story = Story::begin(|s| {
        s.producers.get_mut("shop").expect("the tracer's").records = 5;
    });
    let batch = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &batch);
    story.send(2..3);
    assert_eq!(
        story.verdict().to_string(),
        "So far 2 of 5 are acknowledged; 3 are still on the way."
    );
}

#[test]
fn the_settings_decide_which_explanation_there_is() {
    let settings: Vec<&str> = klab_kafka::config::ProducerConfig::KEYS
        .iter()
        .map(|k| k.name)
        .collect();
    for key in [
        "acks",
        "enable.idempotence",
        "max.in.flight.requests.per.connection",
    ] {
        assert!(settings.contains(&key), "{key} is named in explanations");
    }
}
