//! What producers do to a whole cluster: compression, batches that are too large, records made by hand.

use klab_kafka::event::{ClientEvent, Event, LogEvent};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::log::codec::Codec;
use klab_kafka::time::Timestamp;
use klab_world::scenario::KeyOrder;
use tests::{Cluster, Setting};

/// What leaders and followers wrote.
fn appended(c: &Cluster) -> Vec<(bool, RecordBatch)> {
    let written = c.told().filter_map(|(_, _, e)| match e {
        Event::Log(_, LogEvent::Appended { batch, as_leader }) if !batch.data.ids().is_empty() => {
            Some((*as_leader, batch.clone()))
        }
        _ => None,
    });
    written.collect()
}

#[test]
fn a_compressed_batch_is_stored_as_it_came_unless_its_topic_says_otherwise() {
    for (topic, stored) in [
        ("producer", Codec::Gzip),
        ("lz4", Codec::Lz4),
        ("uncompressed", Codec::None),
    ] {
        let setting = Setting::default().sends(40, 1_000).size(500);
        let mut c = setting
            .producer("compression.type", "gzip")
            .topic_config("compression.type", topic)
            .begin();
        c.run_until_acked(40);
        let written = appended(&c);
        assert!(written.iter().any(|(as_leader, _)| !as_leader));
        for (_, batch) in written {
            assert_eq!(batch.data.codec, stored, "compression.type={topic}");
            let sizes = batch.records().map(|r| r.expect("sound").value);
            let sizes = sizes.map(|value| value.expect("it has one").len());
            assert_eq!(sizes.sum::<usize>(), 500 * batch.data.count as usize);
        }
    }
}

#[test]
fn a_batch_that_is_too_large_for_its_topic_arrives_in_parts_once_and_in_order() {
    for idempotence in ["true", "false"] {
        let setting = Setting::default().sends(30, 1_000_000).size(500);
        let mut c = setting
            .producer("enable.idempotence", idempotence)
            .producer("max.in.flight.requests.per.connection", "1")
            .topic_config("max.message.bytes", "4000")
            .begin();
        c.run_until_acked(30);
        let split = |(_, _, e): &(_, _, &Event)| {
            matches!(e, Event::Client(_, ClientEvent::BatchSplit { .. }))
        };
        assert!(c.told().any(|t| split(&t)), "batch.size is 16384");
        let leader = c.leader().expect("ready");
        let numbers: Vec<u32> = c.read(leader).iter().map(|(_, id)| id.number).collect();
        assert_eq!(numbers, (0..30).collect::<Vec<_>>());
        let written = appended(&c);
        assert!(written.iter().all(|(_, batch)| batch.data.size <= 4000));
    }
}

#[test]
fn what_an_application_says_of_a_record_is_in_the_log() {
    let mut setting = Setting::default().sends(20, 1_000).keys(8);
    let shop = setting.shop();
    shop.partition = Some(0);
    shop.timestamp = Some(Timestamp(1_767_225_000_000));
    shop.headers = [("source".into(), "web".into())].into();
    shop.key_order = KeyOrder::Skewed;
    let mut c = setting.begin();
    c.run_until_acked(20);
    for (_, batch) in appended(&c) {
        for record in batch.records() {
            let record = record.expect("sound");
            assert_eq!(record.timestamp, Timestamp(1_767_225_000_000));
            assert_eq!(record.headers, [("source".into(), Some("web".into()))]);
            assert!(record.key.expect("it has one").starts_with(b"key-"));
        }
    }
}

#[test]
fn an_idle_producer_is_forgotten_at_the_first_sweep_after_its_expiration() {
    let setting = Setting::default()
        .sends(1, 1_000)
        .server("producer.id.expiration.ms", "3000")
        .server("producer.id.expiration.check.interval.ms", "2000");
    let mut c = setting.begin();
    c.run_until_acked(1);
    let (leader, acked) = (c.leader().expect("ready"), c.time());
    assert_eq!(c.log(leader).producers().entries().len(), 1);
    c.run_until_told("the leader forgets it", |p, e| {
        let is_it =
            matches!(e, Event::Log(_, LogEvent::ProducersForgotten { producers }) if producers.len() == 1);
        is_it && p == leader
    });
    let idle_ms = (c.time().0 - acked.0) / 1_000_000;
    assert!((2_900..=5_100).contains(&idle_ms), "{idle_ms} ms");
    assert!(c.log(leader).producers().entries().is_empty());
}
