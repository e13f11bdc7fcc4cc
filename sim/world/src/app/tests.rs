//! What applications tell their callers, and when.

use super::bench::{BROKER, Bench};
use super::*;
use crate::scenario::quantity::Rate;
use crate::scenario::{Answers, OnFailure, OnRestart, OnStop, Polls, Scenario};
use klab_kafka::config::{Configs, ConsumerConfig, LibrdkafkaConfig, OffsetReset};
use klab_kafka::context::Exit;
use klab_kafka::event::AppEvent;
use klab_kafka::ids::{Offset, RecordId};
use klab_kafka::protocol::Api;
use klab_kafka::time::Duration;

const SECOND: Duration = Duration::secs(1);

/// Ten records, one every 100 ms.
fn plan() -> ProducerPlan {
    let tracer = Scenario::tracer();
    let plan = tracer
        .producers
        .values()
        .next()
        .expect("the tracer has a producer");
    ProducerPlan {
        records: 10,
        rate: Rate {
            count: 10,
            per_ns: 1_000_000_000,
        },
        ..plan.clone()
    }
}

fn shop(plan: ProducerPlan) -> Bench {
    Bench::of(App::producing(4, plan, Source::default(), &[BROKER]))
}

/// The same after a crash: only the source is left of it.
fn restarted(before: &Bench, plan: ProducerPlan) -> Bench {
    let source = before.app.source();
    let mut after = Bench::of(App::producing(4, plan, source, &[BROKER]));
    after.pass(SECOND);
    after
}

fn invoked(bench: &Bench) -> Vec<u32> {
    bench.numbers(|e| match e {
        AppEvent::Invoked { id } => Some(*id),
        _ => None,
    })
}

fn accepted(bench: &Bench) -> Vec<u32> {
    bench.numbers(|e| match e {
        AppEvent::Accepted { id } => Some(*id),
        _ => None,
    })
}

fn rejected(bench: &Bench) -> Vec<u32> {
    bench.numbers(|e| match e {
        AppEvent::Rejected { id } => Some(*id),
        _ => None,
    })
}

fn resent(bench: &Bench) -> Vec<u32> {
    bench.numbers(|e| match e {
        AppEvent::Resent { id } => Some(*id),
        _ => None,
    })
}

fn in_log(bench: &Bench) -> Vec<u32> {
    let ids = bench.log.iter().flat_map(|b| b.data.ids());
    ids.map(|RecordId { number, .. }| *number).collect()
}

#[test]
fn records_are_sent_at_their_rate_and_the_workload_ends_with_the_last_callback() {
    let mut shop = shop(plan());
    shop.start();
    shop.pass(Duration::millis(450));
    assert_eq!(invoked(&shop), [0, 1, 2, 3, 4]);
    assert!(!shop.app.is_finished());
    shop.pass(SECOND);
    assert_eq!(in_log(&shop), (0..10).collect::<Vec<_>>());
    assert!(shop.app.is_finished());
    let finished = shop.told.iter().filter(|e| **e == AppEvent::Finished);
    assert_eq!(finished.count(), 1);
}

#[test]
fn in_the_callback_it_accepts_what_is_written() {
    let mut shop = shop(plan());
    shop.silent = Some(Api::Produce);
    shop.start();
    shop.pass(SECOND);
    assert_eq!(accepted(&shop), [0; 0]);
    assert_eq!(shop.app.source().unconfirmed.len(), 10);
}

#[test]
fn while_answers_are_outstanding_what_falls_due_waits_outside() {
    let mut shop = shop(ProducerPlan {
        unanswered: Some(3),
        ..plan()
    });
    shop.silent = Some(Api::Produce);
    shop.start();
    shop.pass(Duration::secs(5));
    assert_eq!(invoked(&shop), [0, 1, 2], "no fourth while three are open");
    // Each of the three ends after delivery.timeout.ms, and lets one more in.
    shop.pass(Duration::secs(120));
    assert_eq!(rejected(&shop), [0, 1, 2]);
    assert_eq!(invoked(&shop), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn who_waits_for_each_answer_sends_one_record_a_batch_and_all_of_them() {
    let mut shop = shop(ProducerPlan {
        unanswered: Some(1),
        burst: 10,
        ..plan()
    });
    shop.start();
    shop.pass(SECOND);
    assert_eq!(in_log(&shop), (0..10).collect::<Vec<_>>());
    assert_eq!(shop.log.len(), 10, "each was alone in its batch");
    assert!(shop.app.is_finished());
}

#[test]
fn who_waits_for_an_answer_polls_librdkafka_meanwhile() {
    let mut shop = shop(ProducerPlan {
        unanswered: Some(1),
        librdkafka: Some(LibrdkafkaConfig::default()),
        ..plan()
    });
    shop.start();
    shop.pass(Duration::secs(3));
    assert_eq!(accepted(&shop), (0..10).collect::<Vec<_>>());
}

#[test]
fn librdkafka_is_flushed_at_the_end_and_not_at_every_wait() {
    let mut own = LibrdkafkaConfig::default();
    own.set("linger.ms", "500").expect("a row of the table");
    let mut shop = shop(ProducerPlan {
        unanswered: Some(5),
        config: own.in_java(),
        librdkafka: Some(own),
        ..plan()
    });
    shop.start();
    shop.pass(Duration::millis(450));
    assert_eq!(accepted(&shop), [0; 0], "the first five linger");
    shop.pass(Duration::millis(500));
    assert!(shop.app.is_finished(), "the last five do not");
}

#[test]
fn after_send_it_accepts_what_nobody_has_and_its_source_forgets_it() {
    let plan = ProducerPlan {
        answers: Answers::AfterSend,
        on_restart: OnRestart::ResendUnconfirmed,
        ..plan()
    };
    let mut before = shop(plan.clone());
    before.silent = Some(Api::Produce);
    before.start();
    before.pass(Duration::millis(450));
    assert_eq!(accepted(&before), [0, 1, 2, 3, 4]);
    let mut after = restarted(&before, plan);
    after.start();
    after.pass(SECOND);
    assert_eq!(
        in_log(&after),
        [5, 6, 7, 8, 9],
        "what the crash took is gone"
    );
}

#[test]
fn after_send_it_never_looks_at_what_the_callback_says() {
    let plan = ProducerPlan {
        answers: Answers::AfterSend,
        ..plan()
    };
    let mut shop = shop(plan);
    shop.silent = Some(Api::Produce);
    shop.start();
    shop.pass(Duration::secs(200));
    assert_eq!(accepted(&shop).len(), 10);
    assert_eq!(rejected(&shop), [0; 0]);
}

#[test]
fn after_send_it_accepts_even_what_its_producer_refused() {
    let mut plan = ProducerPlan {
        answers: Answers::AfterSend,
        records: 1,
        ..plan()
    };
    plan.config.max_block_ms = 1_000;
    let mut shop = shop(plan);
    shop.silent = Some(Api::Metadata);
    shop.start();
    shop.pass(SECOND);
    assert_eq!((accepted(&shop), rejected(&shop)), (vec![0], vec![]));
    assert!(shop.app.is_finished());
}

#[test]
fn a_restart_resends_what_was_not_confirmed_if_the_source_asks_for_it() {
    for (on_restart, again) in [
        (OnRestart::ResendUnconfirmed, vec![0, 1, 2, 3, 4]),
        (OnRestart::Continue, vec![]),
    ] {
        let plan = ProducerPlan {
            on_restart,
            ..plan()
        };
        let mut before = shop(plan.clone());
        before.silent = Some(Api::Produce);
        before.start();
        before.pass(Duration::millis(450));
        let mut after = restarted(&before, plan);
        after.start();
        after.pass(SECOND);
        assert_eq!(resent(&after), again);
        let expected: Vec<u32> = again.into_iter().chain(5..10).collect();
        assert_eq!(in_log(&after), expected);
        assert_eq!(invoked(&after), [5, 6, 7, 8, 9]);
    }
}

#[test]
fn a_failed_send_is_told_in_the_callback_and_stays_unconfirmed() {
    let mut shop = shop(plan());
    shop.silent = Some(Api::Produce);
    shop.start();
    shop.pass(Duration::secs(200));
    assert_eq!(rejected(&shop).len(), 10);
    assert!(shop.app.is_finished());
    assert_eq!(shop.app.source().unconfirmed.len(), 10);
}

#[test]
fn a_failed_send_is_made_again_a_second_later_and_its_caller_hears_of_the_last_one_alone() {
    let plan = ProducerPlan {
        records: 1,
        on_failure: OnFailure::Resend,
        ..plan()
    };
    let mut shop = shop(plan);
    shop.silent = Some(Api::Produce);
    shop.start();
    shop.pass(Duration::millis(120_900));
    assert_eq!(resent(&shop), [0; 0], "the delivery timeout was 900 ms ago");
    shop.silent = None;
    shop.pass(Duration::millis(200));
    assert_eq!(resent(&shop), [0]);
    assert_eq!((accepted(&shop), rejected(&shop)), (vec![0], vec![]));
    assert!(shop.app.is_finished());
}

#[test]
fn what_can_never_go_well_is_not_sent_again() {
    let mut plan = ProducerPlan {
        records: 1,
        on_failure: OnFailure::Resend,
        ..plan()
    };
    plan.config.max_request_size = 10;
    let mut shop = shop(plan);
    shop.start();
    shop.pass(Duration::secs(10));
    assert_eq!((resent(&shop), rejected(&shop)), (vec![], vec![0]));
    assert!(shop.app.is_finished());
}

#[test]
fn records_of_a_burst_fall_due_at_once_at_the_same_rate() {
    let mut shop = shop(ProducerPlan { burst: 5, ..plan() });
    shop.start();
    shop.pass(Duration::millis(400));
    assert_eq!(invoked(&shop), [0, 1, 2, 3, 4]);
    shop.pass(Duration::millis(200));
    assert_eq!(invoked(&shop).len(), 10);
}

#[test]
fn while_it_stands_in_send_what_falls_due_waits_outside() {
    let mut plan = plan();
    plan.config.max_block_ms = 5_000;
    let mut shop = shop(plan);
    shop.silent = Some(Api::Metadata);
    shop.start();
    shop.pass(Duration::secs(4));
    assert_eq!(invoked(&shop), [0], "its thread is in send");
    shop.pass(SECOND);
    assert_eq!(rejected(&shop), [0]);
    assert_eq!(invoked(&shop), [0, 1]);
}

/// The same with librdkafka, whose queue holds so many messages.
fn python(polls: Polls, queue: i32) -> ProducerPlan {
    let librdkafka = LibrdkafkaConfig {
        queue_buffering_max_messages: queue,
        ..LibrdkafkaConfig::default()
    };
    ProducerPlan {
        librdkafka: Some(librdkafka),
        polls,
        ..plan()
    }
}

#[test]
fn with_librdkafka_an_application_hears_of_its_messages_only_when_it_polls() {
    for (polls, heard) in [(Polls::AfterSend, 4), (Polls::AtTheEnd, 0)] {
        let mut shop = shop(python(polls, 100));
        shop.start();
        shop.pass(Duration::millis(450));
        assert_eq!(
            in_log(&shop),
            [0, 1, 2, 3, 4],
            "they are written all the same"
        );
        assert_eq!(
            accepted(&shop).len(),
            heard,
            "the last poll was before the answer"
        );
        shop.pass(SECOND);
        assert_eq!(accepted(&shop).len(), 10, "it flushes at the end");
        assert!(shop.app.is_finished());
    }
}

#[test]
fn who_never_polls_has_a_full_queue_and_who_tries_again_polls_first() {
    let mut silent = shop(python(Polls::AtTheEnd, 6));
    silent.start();
    silent.pass(Duration::secs(3));
    assert_eq!(rejected(&silent), [6, 7, 8, 9]);
    assert_eq!(in_log(&silent), [0, 1, 2, 3, 4, 5]);
    let mut patient = shop(ProducerPlan {
        on_failure: OnFailure::Resend,
        ..python(Polls::AtTheEnd, 6)
    });
    patient.start();
    patient.pass(Duration::secs(3));
    assert_eq!(
        (rejected(&patient), resent(&patient)),
        (vec![], vec![6, 7, 8, 9])
    );
    assert_eq!(accepted(&patient).len(), 10);
}

#[test]
fn a_clean_stop_sends_what_is_queued_before_it_exits() {
    let mut plan = plan();
    plan.config.linger_ms = 60_000;
    plan.config.delivery_timeout_ms.value = 200_000;
    let mut shop = shop(plan.clone());
    shop.start();
    shop.pass(Duration::millis(450));
    assert_eq!(in_log(&shop), [0; 0]);
    shop.hand(Input::Stop);
    assert_eq!(in_log(&shop), [0, 1, 2, 3, 4]);
    assert_eq!(accepted(&shop), [0, 1, 2, 3, 4]);
    assert_eq!(shop.exit, Some(Exit::Stopped));
}

#[test]
fn an_exit_at_once_loses_what_is_queued() {
    let mut plan = plan();
    plan.config.linger_ms = 60_000;
    plan.config.delivery_timeout_ms.value = 200_000;
    plan.on_stop = OnStop::Exit;
    let mut shop = shop(plan);
    shop.start();
    shop.pass(Duration::millis(450));
    shop.hand(Input::Stop);
    assert_eq!((in_log(&shop), shop.exit), (vec![], Some(Exit::Stopped)));
}

fn orders() -> TopicPartition {
    TopicPartition {
        topic: "orders".into(),
        partition: 0,
    }
}

/// A bench whose broker has the ten records.
fn full(app: App) -> Bench {
    let mut shop = shop(plan());
    shop.start();
    shop.pass(SECOND);
    let mut bench = Bench::of(app);
    bench.log = shop.log;
    bench
}

#[test]
fn the_reader_tells_when_it_has_come_to_the_end_of_everything() {
    let mut reader = full(App::reading(vec![orders()], &[BROKER]));
    reader.start();
    assert!(!reader.app.is_finished());
    reader.pass(SECOND);
    assert!(reader.app.is_finished());
    assert!(reader.app.unread().is_empty());
    let ends = reader.told.iter().filter_map(|e| match e {
        AppEvent::ReachedEnd { end, .. } => Some(*end),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Offset(10)]);
}

#[test]
fn a_reader_that_gets_nothing_names_what_it_has_not_read() {
    let mut reader = full(App::reading(vec![orders()], &[BROKER]));
    reader.silent = Some(Api::Fetch);
    reader.start();
    reader.pass(Duration::secs(10));
    assert_eq!(reader.app.unread(), [(&orders(), Some(Offset(0)))]);
}

#[test]
fn a_consumer_whose_poll_throws_reads_no_more() {
    let plan = ConsumerPlan {
        assign: vec![crate::scenario::selector::TopicPartition {
            topic: "orders".into(),
            partition: 0,
        }],
        config: ConsumerConfig {
            auto_offset_reset: OffsetReset::None,
            ..ConsumerConfig::default()
        },
        rules: None,
    };
    let mut auditor = full(App::consuming(plan, Rules::default(), &[BROKER]));
    auditor.start();
    auditor.pass(Duration::secs(10));
    assert_eq!(auditor.told, [AppEvent::Started]);
    assert!(auditor.app.is_finished());
}
