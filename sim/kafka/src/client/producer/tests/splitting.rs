//! Batches that are too large for the broker, compressed batches, and records in turn.

use super::*;
use crate::log::codec::Codec;

const TOO_LARGE: ErrorCode = ErrorCode::MessageTooLarge;
/// Three records of 100 bytes lie in one batch, one in a part of a part of it.
const THREE: (&str, &str) = ("batch.size", "400");

fn large(number: u32) -> ProducerRecord {
    ProducerRecord {
        value: Some(Bytes::from(vec![b'x'; 100])),
        ..record(number, Some(0))
    }
}

fn send_large(bench: &mut Bench, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        bench.call(|p, cx| p.send(large(number), cx));
    }
    bench.pass(ms(5));
}

#[test]
fn a_batch_that_is_too_large_is_split_by_half_until_it_fits_and_keeps_its_order() {
    let mut bench = ready(&[PLAIN, ("batch.size", "1000")]);
    send_large(&mut bench, 0..8);
    assert_eq!(on_wire(&bench), [[0, 1, 2, 3, 4, 5, 6, 7]]);
    bench.answer(produced(TOO_LARGE, -1));
    bench.pass(ms(1));
    let as_large = [[0, 1, 2, 3, 4, 5, 6, 7]];
    assert_eq!(on_wire(&bench), as_large, "batch.size is as large");
    bench.answer(produced(TOO_LARGE, -1));
    bench.pass(ms(1));
    assert_eq!(on_wire(&bench), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    for base in [0, 3, 6] {
        bench.answer(produced(ErrorCode::None, base));
    }
    let all = (0..8).map(|n| (n, ok(n.into())));
    assert_eq!(told(&mut bench), all.collect::<Vec<_>>());
}

#[test]
fn parts_keep_the_sequence_numbers_of_their_records_and_go_out_one_by_one() {
    let mut bench = ready(&[THREE]);
    send_large(&mut bench, 0..3);
    assert_eq!(on_wire(&bench), [[0, 1, 2]]);
    for _ in 0..2 {
        bench.answer(produced(TOO_LARGE, -1));
        bench.pass(ms(5));
    }
    for number in 0..3 {
        assert_eq!(on_wire(&bench), [[number]]);
        assert_eq!(stamps(&bench), [(0, number as i32)]);
        bench.answer(produced(ErrorCode::None, number.into()));
        bench.pass(ms(5));
    }
    assert_eq!(told(&mut bench), [0, 1, 2].map(|n| (n, ok(n.into()))));
    send_large(&mut bench, [3]);
    assert_eq!(stamps(&bench), [(0, 3)], "and the next batch goes on");
}

#[test]
fn a_single_record_that_is_too_large_fails() {
    let mut bench = ready(&[PLAIN]);
    send_large(&mut bench, [7]);
    bench.answer(produced(TOO_LARGE, -1));
    assert_eq!(told(&mut bench), [(7, failed(TOO_LARGE))]);
}

#[test]
fn a_split_counts_as_no_attempt_and_tells_how_many_batches_it_made() {
    let mut bench = ready(&[PLAIN, THREE, ("retries", "0")]);
    send_large(&mut bench, 0..3);
    for _ in 0..2 {
        bench.answer(produced(TOO_LARGE, -1));
        bench.pass(ms(1));
    }
    let split = bench.events.iter().filter_map(|e| match e {
        Event::Client(_, ClientEvent::BatchSplit { ids, parts, .. }) => Some((ids.len(), *parts)),
        _ => None,
    });
    assert_eq!(split.collect::<Vec<_>>(), [(3, 1), (3, 3)]);
    assert!(told(&mut bench).is_empty());
}

#[test]
fn a_flush_and_the_delivery_timeout_go_by_the_whole_batch() {
    let mut bench = ready(&[PLAIN, THREE]);
    send_large(&mut bench, 0..3);
    bench.call(|p, cx| p.flush(cx));
    bench.pass(ms(10));
    bench.answer(produced(TOO_LARGE, -1));
    bench.pass(ms(1));
    assert!(bench.role.is_flushing(), "its parts are not over");
    // They are as old as the whole: they fail when it would have.
    bench.pass(Duration::millis(120_000 - 16 - 1));
    assert!(told(&mut bench).is_empty());
    bench.pass(ms(1));
    let timed_out = Err(SendFailure::DeliveryTimeout);
    assert_eq!(told(&mut bench), [0, 1, 2].map(|n| (n, timed_out)));
    assert!(!bench.role.is_flushing());
}

#[test]
fn what_is_sent_is_compressed_and_reads_the_same() {
    for (name, codec) in [("gzip", Codec::Gzip), ("zstd", Codec::Zstd)] {
        let mut bench = ready(&[("compression.type", name)]);
        send_large(&mut bench, 0..20);
        let sent = batches(&bench)[0].clone();
        assert_eq!((sent.codec, sent.count), (codec, 20));
        assert!(u64::from(sent.size) < 20 * 100 / 2, "{name}: {}", sent.size);
        let values = sent
            .records_from(Offset(0))
            .map(|r| r.expect("sound").value);
        let expected = (0..20).map(|n| large(n).value);
        assert!(values.eq(expected), "{name}");
    }
}

#[test]
fn batches_hold_more_once_it_is_known_how_well_they_compress() {
    let mut bench = ready(&[("compression.type", "lz4"), ("batch.size", "1000"), PLAIN]);
    let mut counts = Vec::new();
    for _ in 0..40 {
        send_large(&mut bench, 0..20);
        counts.push(batches(&bench)[0].count);
        while !bench.sent.is_empty() {
            bench.answer(produced(ErrorCode::None, 0));
            bench.pass(ms(5));
        }
    }
    assert_eq!(counts[0], 8, "at first nothing is expected of compression");
    assert!(counts.is_sorted(), "{counts:?}");
    assert!(counts[39] > 8, "{counts:?}");
}

#[test]
fn round_robin_takes_turns_whatever_the_key_and_a_blocked_send_keeps_its_turn() {
    let class = ("partitioner.class", "RoundRobinPartitioner");
    let memory = [("buffer.memory", "230"), ("batch.size", "1")];
    let mut bench = ready(&[&[class, PLAIN], &memory[..]].concat());
    let keyed = |number| ProducerRecord {
        key: Some(Bytes::from_static(b"foobar")),
        ..record(number, None)
    };
    bench.call(|p, cx| p.send(keyed(0), cx));
    bench.call(|p, cx| p.send(keyed(1), cx));
    assert_eq!(bench.call(|p, cx| p.send(keyed(2), cx)), Sent::Full);
    bench.pass(ms(1));
    for _ in 0..2 {
        let index = i32::from(bench.sent[0].to == TWO);
        let response = Response::Produce(ProduceResponse {
            responses: vec![TopicProduceResponse {
                topic_id: TOPIC,
                partitions: smallvec![answer(ErrorCode::None, index, 0)],
            }],
            node_endpoints: Vec::new(),
        });
        bench.answer(response);
    }
    for number in [2, 3] {
        let queued = bench.call(|p, cx| p.send(keyed(number), cx));
        assert!(matches!(queued, Sent::Queued(_)));
    }
    let queued = bench.events.iter().filter_map(|e| match e {
        Event::Client(_, ClientEvent::Queued { id, partition }) => {
            Some((id.number, partition.partition))
        }
        _ => None,
    });
    assert_eq!(queued.collect::<Vec<_>>(), [(0, 0), (1, 1), (2, 0), (3, 1)]);
}
