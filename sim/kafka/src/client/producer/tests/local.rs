//! librdkafka's local queue.

use super::*;
use crate::config::LibrdkafkaConfig;

/// Has started, and knows the brokers.
fn python(pairs: &[(&str, &str)]) -> Bench {
    let mut config = LibrdkafkaConfig::default();
    for (key, value) in pairs {
        config.set(key, value).expect("a row of the table");
    }
    let settings = Settings::of_librdkafka(&config).expect("they go together");
    let mut bench = Capture::of(Producer::with(ClientId(0), settings, &[ONE]));
    bench.call(|p, cx| p.start(cx));
    bench.answer(brokers());
    bench.pass(SECOND);
    bench
}

#[test]
fn produce_does_not_wait_for_the_topic_and_sends_in_order_once_it_is_known() {
    let mut bench = python(&[]);
    for number in 0..3 {
        assert!(matches!(send(&mut bench, number, 0), Sent::Queued(_)));
    }
    bench.pass(ms(1));
    bench.answer(metadata(LeaderEpoch(5), 1));
    bench.pass(ms(5));
    assert_eq!(on_wire(&bench), [[0, 1, 2]]);
}

#[test]
fn a_topic_that_never_comes_fails_its_messages_after_message_timeout_ms() {
    let mut bench = python(&[("message.timeout.ms", "5000")]);
    send(&mut bench, 1, 0);
    bench.pass(ms(4_999));
    assert!(told(&mut bench).is_empty());
    bench.pass(ms(1));
    assert_eq!(told(&mut bench), [(1, Err(SendFailure::DeliveryTimeout))]);
}

#[test]
fn the_local_queue_is_full_until_delivery_reports_are_served() {
    let mut bench = python(&[("queue.buffering.max.messages", "2")]);
    send(&mut bench, 1, 0);
    send(&mut bench, 2, 0);
    let full = Sent::Refused(SendFailure::QueueFull);
    assert_eq!(send(&mut bench, 3, 0), full);
    bench.pass(ms(1));
    bench.answer(metadata(LeaderEpoch(5), 1));
    bench.pass(ms(5));
    bench.answer(produced(ErrorCode::None, 0));
    assert_eq!(send(&mut bench, 4, 0), full, "written, and not yet told");
    assert_eq!(told(&mut bench), [(1, ok(0)), (2, ok(1))]);
    assert!(matches!(send(&mut bench, 5, 0), Sent::Queued(_)));
}

#[test]
fn the_local_queue_is_full_by_bytes_too() {
    let mut bench = python(&[("queue.buffering.max.kbytes", "1")]);
    let taken = (0..60).filter(|n| matches!(send(&mut bench, *n, 0), Sent::Queued(_)));
    assert_eq!(taken.count(), 51, "of 20 bytes each in 1,024");
}

#[test]
fn a_retry_goes_back_to_where_its_age_says() {
    let mut bench = python(&[("batch.num.messages", "1"), ("linger.ms", "0")]);
    send(&mut bench, 0, 0);
    bench.pass(ms(1));
    bench.answer(metadata(LeaderEpoch(5), 1));
    send_all(&mut bench, 1..3);
    bench.pass(ms(1));
    assert_eq!(on_wire(&bench), [[0], [1], [2]]);
    for _ in 0..3 {
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
    }
    bench.pass(SECOND);
    assert_eq!(
        on_wire(&bench),
        [[0], [1], [2]],
        "the Java client has 2, 1, 0"
    );
}

// Seed 100253: the parts of a split batch were put back by their age, and a younger batch passed.
#[test]
fn a_batch_that_is_too_large_for_the_broker_is_not_split_but_fails() {
    let mut bench = python(&[("linger.ms", "5")]);
    for number in 0..3 {
        send(&mut bench, number, 0);
    }
    bench.pass(ms(1));
    bench.answer(metadata(LeaderEpoch(5), 1));
    bench.pass(ms(5));
    assert_eq!(on_wire(&bench), [[0, 1, 2]]);
    bench.answer(produced(ErrorCode::MessageTooLarge, -1));
    bench.pass(SECOND);
    assert!(on_wire(&bench).is_empty());
    let failed = Err(SendFailure::Error(ErrorCode::MessageTooLarge));
    let all = [0, 1, 2].map(|n| (n, failed));
    assert_eq!(told(&mut bench), all);
}

#[test]
fn messages_without_a_key_stick_for_a_time_and_not_for_a_number_of_bytes() {
    let mut bench = python(&[]);
    send(&mut bench, 0, 0);
    bench.pass(ms(1));
    bench.answer(metadata(LeaderEpoch(5), 1));
    for (number, drawn, pass) in [(1, 0, 9), (2, u64::MAX, 1), (3, u64::MAX, 0)] {
        bench.machine.drawn = drawn;
        bench.call(|p, cx| p.send(record(number, None), cx));
        bench.pass(ms(pass));
    }
    let queued = bench.events.iter().filter_map(|e| match e {
        Event::Client(_, ClientEvent::Queued { id, partition }) => {
            Some((id.number, partition.partition))
        }
        _ => None,
    });
    assert_eq!(queued.collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0), (3, 1)]);
}
