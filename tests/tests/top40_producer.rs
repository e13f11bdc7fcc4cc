//! "Is it a toy?": the producer's rows of the list of what any Kafka user can check against a real cluster, by their numbers.
//!
//! Three brokers, replication factor 3, min.insync.replicas 2, Kafka's defaults unless a row says otherwise.

use klab_kafka::event::*;
use klab_kafka::ids::RecordId;
use klab_kafka::protocol::ErrorCode;
use klab_kafka::time::{Duration, Time};
use klab_world::fault::Fault;
use tests::{Cluster, Setting, produce_request};

fn queued_at(c: &Cluster, record: RecordId) -> Time {
    let queued = c.told().find(
        |(_, _, e)| matches!(e, Event::Client(_, ClientEvent::Queued { id, .. }) if *id == record),
    );
    queued.expect("it was queued").0
}

fn invoked_at(c: &Cluster, record: RecordId) -> Time {
    let invoked = c
        .told()
        .find(|(_, _, e)| matches!(e, Event::App(AppEvent::Invoked { id }) if *id == record));
    invoked.expect("it was sent").0
}

fn numbers_in_log(c: &Cluster) -> Vec<u32> {
    let leader = c.leader().expect("ready");
    c.read(leader).iter().map(|(_, id)| id.number).collect()
}

#[test]
fn row_18_a_pipelined_retry_is_written_behind_the_next_batch_unless_it_is_idempotent() {
    for (idempotence, expected) in [("false", [1, 0]), ("true", [0, 1])] {
        let mut setting = Setting::default()
            .sends(2, 1_000_000)
            .producer("enable.idempotence", idempotence)
            .producer("max.in.flight.requests.per.connection", "5")
            .producer("batch.size", "1")
            .producer("linger.ms", "0");
        if idempotence == "false" {
            setting = setting.producer("acks", "1");
        }
        setting.shop().after = Duration::secs(2);
        let mut c = setting.begin();
        c.pass(Duration::secs(1));
        let (shop, leader) = (c.process("shop"), c.leader().expect("ready"));
        c.harm(Fault::Lose(produce_request(shop, leader)));
        c.run_until("both are written", |c| c.acked().len() == 2);
        assert_eq!(numbers_in_log(&c), expected, "idempotence {idempotence}");
    }
}

#[test]
fn row_24_with_full_memory_and_no_brokers_send_blocks_60_s_and_what_is_queued_fails_after_120_s() {
    let mut c = Setting::default()
        .sends(40, 10)
        .size(100)
        .producer("buffer.memory", "1000")
        .producer("batch.size", "500")
        .begin();
    c.run_until("some are acknowledged", |c| c.acked().len() >= 5);
    for broker in c.brokers() {
        c.crash(broker);
    }
    let failed = |c: &Cluster, error| {
        let all = c.failures().into_iter();
        all.filter(|(.., e)| *e == error).collect::<Vec<_>>()
    };
    c.run_until("a send has given up", |c| {
        !failed(c, SendFailure::BufferExhausted).is_empty()
    });
    let (at, id, _) = failed(&c, SendFailure::BufferExhausted)[0];
    let blocked = at.since(invoked_at(&c, id)).as_millis();
    assert_eq!(blocked, 60_000, "max.block.ms");
    assert!(failed(&c, SendFailure::DeliveryTimeout).is_empty());
    c.run_until("what was queued has failed", |c| {
        !failed(c, SendFailure::DeliveryTimeout).is_empty()
    });
    let (at, id, _) = failed(&c, SendFailure::DeliveryTimeout)[0];
    let waited = at.since(queued_at(&c, id)).as_millis();
    assert_eq!(waited, 120_000, "from the batch's creation");
}

#[test]
fn row_25_a_record_of_1_2_mb_is_refused_by_the_client_and_with_a_larger_limit_by_the_broker() {
    let refused = |limit: Option<&str>| {
        let mut setting = Setting::default().sends(1, 10).size(1_200_000);
        if let Some(limit) = limit {
            setting = setting.producer("max.request.size", limit);
        }
        let mut c = setting.begin();
        c.run_until("it has failed", |c| !c.failures().is_empty());
        let sent = c
            .told()
            .any(|(_, _, e)| matches!(e, Event::Client(_, ClientEvent::BatchSent { .. })));
        (c.failures()[0].2, sent)
    };
    assert_eq!(refused(None), (SendFailure::RecordTooLarge, false));
    assert_eq!(ErrorCode::MessageTooLarge.code(), 10);
    let by_broker = SendFailure::Error(ErrorCode::MessageTooLarge);
    assert_eq!(refused(Some("2000000")), (by_broker, true));
}

#[test]
fn row_25_a_batch_of_several_records_is_split_and_tried_again() {
    // All in one batch: a second one in flight would find a broker that knows nothing of the producer yet, and be written
    // before the parts of the first (P08).
    let mut c = Setting::default()
        .sends(12, 1_000_000)
        .size(100_000)
        .producer("batch.size", "2000000")
        .producer("max.request.size", "4000000")
        .begin();
    c.run_until("all are acknowledged", |c| c.acked().len() == 12);
    let split = c.told().filter_map(|(_, _, e)| match e {
        Event::Client(_, ClientEvent::BatchSplit { ids, parts, .. }) => Some((ids.len(), *parts)),
        _ => None,
    });
    let split: Vec<(usize, u32)> = split.collect();
    // batch.size is as large as the batch: halves come out of the second split alone.
    assert_eq!(split.first().map(|(_, parts)| *parts), Some(1));
    assert!(
        split.last().is_some_and(|(_, parts)| *parts >= 2),
        "{split:?}"
    );
    assert_eq!(c.failures(), []);
    assert_eq!(numbers_in_log(&c), (0..12).collect::<Vec<_>>());
}
