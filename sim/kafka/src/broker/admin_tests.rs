//! Packet captures of a broker to which operators do something: topics deleted, settings changed, topics asked for that are
//! not there.

use super::bench::Bench;
use super::fixture::ORDERS;
use super::tests::{fetch, fetched, produce, produced};
use crate::config::ServerConfig;
use crate::controller::records::MetadataRecord;
use crate::disk::{FileId, FileImage, SmallFile, Suffix, Write};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::protocol::admin::*;
use crate::protocol::metadata::*;
use crate::protocol::{Api, ErrorCode, Request, Response};
use crate::time::Duration;

const SECOND: Duration = Duration::secs(1);

fn removal() -> MetadataRecord {
    MetadataRecord::RemoveTopic {
        topic: ORDERS.topic,
    }
}

fn config(resource: ConfigResource, key: &str, value: &str) -> MetadataRecord {
    MetadataRecord::Config {
        resource,
        key: key.into(),
        value: Some(value.into()),
    }
}

fn is_directory(file: &FileId) -> bool {
    *file == FileId::Directory(ORDERS)
}

#[test]
fn a_deleted_topic_is_unknown_by_its_id_at_once_and_its_files_go_a_minute_later() {
    // K-24.
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.pass(Duration::secs(40));
    bench.commit(vec![removal()]);
    assert!(bench.broker.partitions().next().is_none());
    let deleted = Event::Replica(ORDERS, ReplicaEvent::Deleted);
    assert!(bench.told.contains(&deleted));
    let conn = bench.ask(produce(1));
    let answer = produced(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::UnknownTopicId);
    let conn = bench.ask(fetch(None, 0));
    let answer = fetched(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::UnknownTopicId);
    let renamed = Write::Replace(SmallFile::Directory(Suffix::Delete));
    assert_eq!(bench.written(is_directory), [&renamed]);
    bench.pass(Duration::secs(59));
    assert_eq!(bench.written(is_directory).len(), 1);
    bench.pass(SECOND);
    assert_eq!(bench.written(is_directory), [&renamed, &Write::Delete]);
}

#[test]
fn a_write_that_waits_for_replicas_is_refused_when_its_topic_is_deleted() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    let conn = bench.ask(produce(-1));
    assert_eq!(produced(&bench, conn), None);
    bench.commit(vec![removal()]);
    let answer = produced(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn a_fetch_that_waits_for_data_is_answered_when_its_topic_is_deleted() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    let conn = bench.ask(fetch(None, 0));
    assert_eq!(fetched(&bench, conn), None);
    bench.commit(vec![removal()]);
    let answer = fetched(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::UnknownTopicId);
}

#[test]
fn what_was_to_be_deleted_is_deleted_after_a_restart_and_never_hosted() {
    let directory = FileImage::Small(SmallFile::Directory(Suffix::Delete));
    let segment = FileImage::Segment {
        batches: Vec::new(),
        torn: false,
    };
    let disk = [
        (FileId::Segment(ORDERS, Offset(0)), segment),
        (FileId::Directory(ORDERS), directory),
    ];
    let server = ServerConfig {
        log_segment_delete_delay_ms: 40_000,
        ..ServerConfig::default()
    };
    let mut bench = Bench::boot_on(disk.into(), server);
    assert!(bench.broker.partitions().next().is_none());
    bench.pass(Duration::secs(39));
    assert!(bench.written(is_directory).is_empty());
    bench.pass(SECOND);
    assert_eq!(bench.written(is_directory), [&Write::Delete]);
}

#[test]
fn a_log_that_the_first_metadata_do_not_know_is_put_aside_and_kept() {
    let segment = FileImage::Segment {
        batches: Vec::new(),
        torn: false,
    };
    let mut bench = Bench::boot([(FileId::Segment(ORDERS, Offset(0)), segment)].into());
    bench.commit(vec![MetadataRecord::NoOp]);
    let stray = Write::Replace(SmallFile::Directory(Suffix::Stray));
    assert_eq!(bench.written(is_directory), [&stray]);
    bench.pass(Duration::secs(120));
    assert_eq!(bench.written(is_directory), [&stray]);
}

#[test]
fn a_dynamic_setting_is_in_force_for_every_log_at_once() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    let largest = |b: &Bench| {
        b.broker
            .logs()
            .next()
            .expect("orders")
            .1
            .config()
            .max_message_bytes
    };
    assert_eq!(largest(&bench), 1_048_588);
    let key = "message.max.bytes";
    bench.commit(vec![config(ConfigResource::AllBrokers, key, "5000")]);
    assert_eq!(largest(&bench), 5_000);
    bench.commit(vec![config(ConfigResource::Broker(NodeId(2)), key, "9")]);
    assert_eq!(largest(&bench), 5_000);
    bench.commit(vec![config(ConfigResource::Broker(NodeId(1)), key, "10")]);
    assert_eq!(largest(&bench), 10);
    let conn = bench.ask(produce(1));
    let answer = produced(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::MessageTooLarge);
    let topic = ConfigResource::Topic("orders".into());
    bench.commit(vec![config(topic, "max.message.bytes", "70000")]);
    assert_eq!(largest(&bench), 70_000);
}

#[test]
fn acks_all_needs_as_many_replicas_as_the_dynamic_min_isr_says() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    let key = "min.insync.replicas";
    bench.commit(vec![config(ConfigResource::AllBrokers, key, "3")]);
    let conn = bench.ask(produce(-1));
    let answer = produced(&bench, conn).expect("it is answered");
    assert_eq!(answer.error_code, ErrorCode::NotEnoughReplicas);
}

#[test]
fn a_refusal_that_the_broker_did_not_expect_says_where_the_log_starts() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    let refused = |bench: &mut Bench, acks| {
        let conn = bench.ask(produce(acks));
        let answer = produced(bench, conn).expect("it is answered");
        (answer.error_code, answer.log_start_offset)
    };
    let all = || ConfigResource::AllBrokers;
    bench.commit(vec![config(all(), "min.insync.replicas", "3")]);
    let too_few = (ErrorCode::NotEnoughReplicas, Offset(0));
    assert_eq!(refused(&mut bench, -1), too_few);
    bench.commit(vec![config(all(), "message.max.bytes", "10")]);
    let too_large = (ErrorCode::MessageTooLarge, Offset(-1));
    assert_eq!(refused(&mut bench, 1), too_large);
}

#[test]
fn a_broker_refuses_what_it_cannot_take_at_runtime_and_forwards_the_rest() {
    let mut bench = Bench::running();
    let change = |resource, key: &str| AlterConfigsResource {
        resource,
        configs: vec![(key.into(), Some("9000".into()))],
    };
    let topic = ConfigResource::Topic("orders".into());
    let conn = bench.ask(Request::IncrementalAlterConfigs(
        IncrementalAlterConfigsRequest {
            resources: vec![
                change(ConfigResource::AllBrokers, "broker.session.timeout.ms"),
                change(topic.clone(), "max.message.bytes"),
            ],
            validate_only: false,
        },
    ));
    let Request::Envelope(inner) = bench.take(Api::Envelope).request else {
        panic!("it is forwarded in an envelope")
    };
    let Request::IncrementalAlterConfigs(forwarded) = *inner else {
        panic!("it is the change")
    };
    assert_eq!(forwarded.resources.len(), 1);
    assert_eq!(bench.reply(conn), None);
}

#[test]
fn configs_are_described_by_the_broker_that_is_asked() {
    let mut bench = Bench::with_orders(1, &[1, 2]);
    bench.commit(vec![config(
        ConfigResource::AllBrokers,
        "min.insync.replicas",
        "2",
    )]);
    let resources = vec![
        ConfigResource::Topic("orders".into()),
        ConfigResource::Topic("other".into()),
        ConfigResource::Broker(NodeId(1)),
        ConfigResource::Broker(NodeId(2)),
    ];
    let conn = bench.ask(Request::DescribeConfigs(DescribeConfigsRequest {
        resources,
    }));
    let Some(Response::DescribeConfigs(r)) = bench.reply(conn) else {
        panic!("it is answered at once")
    };
    let errors: Vec<_> = r.results.iter().map(|r| r.error_code).collect();
    let (unknown, invalid) = (
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidRequest,
    );
    assert_eq!(errors, [ErrorCode::None, unknown, ErrorCode::None, invalid]);
    let mut topic = r.results[0].configs.iter();
    let min_isr = topic.find(|c| c.name == "min.insync.replicas");
    let min_isr = min_isr.expect("it is built");
    assert_eq!(
        (&*min_isr.value, min_isr.source.name()),
        ("2", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    );
}

fn ask_about(bench: &mut Bench, name: &str, create: bool) -> ErrorCode {
    let conn = bench.ask(Request::Metadata(MetadataRequest {
        topics: Some(vec![name.into()]),
        allow_auto_topic_creation: create,
    }));
    match bench.reply(conn) {
        Some(Response::Metadata(r)) => r.topics[0].error_code,
        other => panic!("metadata are answered at once: {other:?}"),
    }
}

fn creations(bench: &Bench) -> usize {
    let wire = bench.wire();
    wire.iter().filter(|(api, _)| *api == Api::Envelope).count()
}

#[test]
fn a_topic_that_a_client_asks_about_is_unknown_now_and_created_for_the_next_time() {
    // K-25.
    let mut bench = Bench::running();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(ask_about(&mut bench, "orders", false), unknown);
    assert_eq!(creations(&bench), 0);
    assert_eq!(ask_about(&mut bench, "orders", true), unknown);
    assert_eq!(creations(&bench), 1);
    assert_eq!(ask_about(&mut bench, "orders", true), unknown);
    assert_eq!(creations(&bench), 1);
    bench.take(Api::Envelope);
    let illegal = ErrorCode::InvalidTopicException;
    assert_eq!(ask_about(&mut bench, "no/topic", true), illegal);
    assert_eq!(creations(&bench), 0);
}

#[test]
fn where_topics_are_not_created_by_asking_nobody_asks_the_controller() {
    let mut bench = Bench::running_with("auto.create.topics.enable", "false");
    assert_eq!(
        ask_about(&mut bench, "orders", true),
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(creations(&bench), 0);
}
