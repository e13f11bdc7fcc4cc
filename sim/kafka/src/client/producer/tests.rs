//! Packet captures of a producer: one topic of two partitions, led by broker 1 and broker 2.

use super::*;
use crate::client::capture::{Capture, Role};
use crate::config::Configs;
use crate::ids::{LeaderEpoch, NodeId, ProducerEpoch, ProducerId, TopicId};
use crate::log::batch::{BatchData, ProducerStamp};
use crate::protocol::metadata::*;
use crate::protocol::produce::*;
use crate::protocol::{Api, Request, Response};
use smallvec::smallvec;

const TOPIC: TopicId = TopicId(7);
/// Bootstrap server and broker 1.
const ONE: Address = Address(1);
const TWO: Address = Address(2);
const SECOND: Duration = Duration::secs(1);
const GAP: ErrorCode = ErrorCode::OutOfOrderSequenceNumber;
/// Settings without a producer id.
const PLAIN: (&str, &str) = ("enable.idempotence", "false");
/// One record a batch, at once.
const SINGLY: [(&str, &str); 2] = [("batch.size", "1"), ("linger.ms", "0")];

impl Role for Producer {
    fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        Producer::handle(self, input, cx);
        Producer::turn(self, cx);
    }

    fn end_step(&mut self, cx: &mut Context<'_>) {
        Producer::turn(self, cx);
    }
}

type Bench = Capture<Producer>;

/// Has started: it asks its bootstrap server who the brokers are.
fn started(pairs: &[(&str, &str)]) -> Bench {
    let mut config = ProducerConfig::default();
    for (key, value) in pairs {
        config.set(key, value).expect("a row of the table");
    }
    let mut bench = Capture::of(Producer::new(ClientId(0), config, &[ONE]));
    bench.call(|p, cx| p.start(cx));
    bench
}

/// Knows the brokers and, if idempotent, who it is.
fn informed(pairs: &[(&str, &str)]) -> Bench {
    let mut bench = started(pairs);
    bench.answer(brokers());
    if bench.role.idempotence.is_some() {
        bench.answer(identity(ErrorCode::None));
    }
    assert!(bench.sent.is_empty());
    bench
}

/// Knows the topic, too.
fn ready(pairs: &[(&str, &str)]) -> Bench {
    let mut bench = informed(pairs);
    bench.pass(SECOND);
    assert_eq!(send(&mut bench, 999, 0), Sent::Full);
    bench.pass(Duration::ZERO);
    bench.answer(metadata(LeaderEpoch(5), 1));
    assert!(bench.role.may_send());
    // It is not sent after all.
    bench.role.blocked = None;
    bench.events.clear();
    bench
}

fn ms(n: u64) -> Duration {
    Duration::millis(n)
}

fn brokers() -> Response {
    Response::Metadata(MetadataResponse {
        brokers: vec![endpoint(1), endpoint(2)],
        controller_id: None,
        topics: Vec::new(),
    })
}

/// Broker `first` leads partition 0 in this epoch, broker 2 partition 1.
fn metadata(epoch: LeaderEpoch, first: i32) -> Response {
    let partition = |index, leader| MetadataPartition {
        error_code: ErrorCode::None,
        partition_index: index,
        leader_id: Some(NodeId(leader)),
        leader_epoch: epoch,
        replica_nodes: Vec::new(),
        isr_nodes: Vec::new(),
        offline_replicas: Vec::new(),
    };
    Response::Metadata(MetadataResponse {
        brokers: vec![endpoint(1), endpoint(2)],
        controller_id: None,
        topics: vec![MetadataTopic {
            error_code: ErrorCode::None,
            name: "orders".into(),
            topic_id: TOPIC,
            partitions: vec![partition(0, first), partition(1, 2)],
        }],
    })
}

fn endpoint(node: i32) -> NodeEndpoint {
    NodeEndpoint {
        node_id: NodeId(node),
        address: Address(node as u32),
        rack: None,
    }
}

fn identity(error_code: ErrorCode) -> Response {
    Response::InitProducerId(InitProducerIdResponse {
        error_code,
        producer_id: ProducerId(4),
        producer_epoch: ProducerEpoch(0),
    })
}

fn record(number: u32, partition: Option<i32>) -> ProducerRecord {
    ProducerRecord {
        id: RecordId { source: 0, number },
        topic: "orders".into(),
        partition,
        timestamp: None,
        key: None,
        value: Some(Bytes::from_static(b"twenty bytes of text")),
        headers: Vec::new(),
    }
}

fn send(bench: &mut Bench, number: u32, partition: i32) -> Sent {
    let record = record(number, Some(partition));
    bench.call(|p, cx| p.send(record, cx))
}

/// Sends records to partition 0, each in an application's step of its own, and lets the sender work.
fn send_all(bench: &mut Bench, numbers: impl IntoIterator<Item = u32>) {
    send_all_to(bench, 0, numbers);
}

/// The answer about partition 0 (of broker 1's requests here).
fn produced(error_code: ErrorCode, base_offset: i64) -> Response {
    Response::Produce(ProduceResponse {
        responses: vec![TopicProduceResponse {
            topic_id: TOPIC,
            partitions: smallvec![answer(error_code, 0, base_offset)],
        }],
        node_endpoints: Vec::new(),
    })
}

fn answer(error_code: ErrorCode, index: i32, base_offset: i64) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code,
        base_offset: Offset(base_offset),
        log_append_time: None,
        log_start_offset: Offset(0),
        current_leader: None,
    }
}

/// The batches of the produce requests on the wire, the oldest request first.
fn batches(bench: &Bench) -> Vec<Arc<BatchData>> {
    let requests = bench.sent.iter().filter_map(|p| match &p.request {
        Request::Produce(request) => Some(request),
        _ => None,
    });
    let partitions = requests.flat_map(|r| r.topics.iter().flat_map(|t| &t.partitions));
    partitions.map(|p| p.records.clone()).collect()
}

/// The numbers of their records.
fn on_wire(bench: &Bench) -> Vec<Vec<u32>> {
    let numbers = |b: &Arc<BatchData>| b.ids().iter().map(|id| id.number).collect();
    batches(bench).iter().map(numbers).collect()
}

/// Epoch and first sequence number of each batch on the wire.
fn stamps(bench: &Bench) -> Vec<(i16, i32)> {
    let plain = |s: ProducerStamp| (s.epoch.0, s.base_sequence);
    batches(bench)
        .iter()
        .filter_map(|b| b.producer.map(plain))
        .collect()
}

/// Which records' callbacks ran, and how.
fn told(bench: &mut Bench) -> Vec<(u32, Result<Option<i64>, SendFailure>)> {
    let mut told = Vec::new();
    while let Some((_, id, completion)) = bench.role.completed() {
        told.push((id.number, completion.map(|m| m.offset.map(|o| o.0))));
    }
    told
}

fn failed(error: ErrorCode) -> Result<Option<i64>, SendFailure> {
    Err(SendFailure::Error(error))
}

fn ok(offset: i64) -> Result<Option<i64>, SendFailure> {
    Ok(Some(offset))
}

impl Bench {
    /// Answers a metadata request, if one is on the wire.
    fn answer_metadata_if_asked(&mut self, response: Response) {
        if self.wire().iter().any(|(api, _)| *api == Api::Metadata) {
            self.answer(response);
        }
    }

    /// New metadata: broker `leader` leads partition 0, too.
    fn move_partition_0_to(&mut self, leader: i32) {
        self.pass(SECOND);
        self.call(|p, cx| {
            p.network.metadata.request_update();
            p.run(cx);
        });
        self.answer(metadata(LeaderEpoch(6), leader));
    }
}

fn send_all_to(bench: &mut Bench, partition: i32, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        assert!(matches!(send(bench, number, partition), Sent::Queued(_)));
        bench.pass(Duration::ZERO);
    }
}

mod sending {
    use super::*;

    #[test]
    fn send_blocks_until_the_topic_is_known() {
        let mut bench = informed(&[]);
        bench.pass(SECOND);
        assert_eq!(send(&mut bench, 1, 0), Sent::Full);
        bench.pass(Duration::ZERO);
        assert!(!bench.role.may_send());
        bench.answer(metadata(LeaderEpoch(5), 1));
        assert!(bench.role.may_send());
        assert_eq!(send(&mut bench, 1, 0), Sent::Queued(SendId(0)));
    }

    // Seed 1320 of the free half: the caller and the rebootstrap woke each other a million times.
    #[test]
    fn that_the_bootstrap_servers_are_back_wakes_nobody_who_waits_for_a_topic() {
        let mut bench = informed(&[
            ("reconnect.backoff.ms", "5000"),
            ("reconnect.backoff.max.ms", "5000"),
        ]);
        bench.refusing = [ONE, TWO].into();
        for broker in [ONE, TWO] {
            bench.reset(broker);
        }
        bench.pass(SECOND);
        assert_eq!(send(&mut bench, 1, 0), Sent::Full);
        let version = bench.role.network.metadata.update_version();
        // Between two tries to connect there is no node to ask, whenever the sender looks.
        for _ in 0..100 {
            bench.call(|p, cx| p.flush(cx));
            bench.pass(ms(20));
        }
        let metadata = &bench.role.network.metadata;
        assert!(metadata.update_version() > version, "it was rebootstrapped");
        assert!(!bench.role.may_send());
    }

    #[test]
    fn send_gives_up_on_an_unknown_topic_after_max_block_ms() {
        let mut bench = informed(&[("max.block.ms", "5000")]);
        bench.pass(SECOND);
        send(&mut bench, 1, 0);
        bench.pass(Duration::millis(4_999));
        assert!(!bench.role.may_send());
        bench.pass(ms(1));
        assert!(bench.role.may_send());
        let refused = Sent::Refused(SendFailure::MetadataTimeout);
        assert_eq!(send(&mut bench, 1, 0), refused);
    }

    #[test]
    fn send_blocks_for_a_partition_that_the_topic_does_not_have() {
        let mut bench = ready(&[]);
        assert_eq!(send(&mut bench, 1, 2), Sent::Full);
        bench.pass(SECOND);
        bench.answer(metadata(LeaderEpoch(5), 1));
        assert_eq!(send(&mut bench, 1, 2), Sent::Full);
        bench.pass(Duration::secs(60));
        let refused = Sent::Refused(SendFailure::MetadataTimeout);
        assert_eq!(send(&mut bench, 1, 2), refused);
    }

    #[test]
    fn a_record_larger_than_a_request_is_refused_at_once() {
        let mut bench = ready(&[("max.request.size", "104")]);
        let refused = Sent::Refused(SendFailure::RecordTooLarge);
        assert_eq!(send(&mut bench, 1, 0), refused);
        let mut bench = ready(&[("max.request.size", "105")]);
        assert!(matches!(send(&mut bench, 1, 0), Sent::Queued(_)));
    }

    #[test]
    fn a_keyed_record_goes_where_its_key_says_and_without_a_key_to_the_sticky_partition() {
        let mut bench = ready(&[]);
        let keyed = ProducerRecord {
            key: Some(Bytes::from_static(b"foobar")),
            ..record(1, None)
        };
        bench.call(|p, cx| p.send(keyed, cx));
        bench.call(|p, cx| p.send(record(2, None), cx));
        bench.pass(ms(5));
        let to = |a: &Address| {
            let packets = bench.sent.iter().filter(|p| p.to == *a);
            packets.filter(|p| p.request.api() == Api::Produce).count()
        };
        // murmur2("foobar") is even, the draw is from the middle: partition 1.
        assert_eq!([ONE, TWO].map(|a| to(&a)), [1, 1]);
    }

    #[test]
    fn the_sticky_partition_changes_once_a_batch_has_gone_there() {
        // Two records fill a batch.
        let mut bench = ready(&[("batch.size", "115"), PLAIN]);
        bench.machine.drawn = 0;
        bench.call(|p, cx| p.send(record(0, None), cx));
        bench.machine.drawn = u64::MAX;
        bench.call(|p, cx| p.send(record(1, None), cx));
        bench.call(|p, cx| p.send(record(2, None), cx));
        bench.pass(ms(5));
        assert_eq!(on_wire(&bench), [vec![0, 1], vec![2]]);
        assert_eq!(bench.wire(), [(Api::Produce, ONE), (Api::Produce, TWO)]);
    }

    #[test]
    fn what_the_application_says_of_partition_timestamp_and_headers_is_what_is_sent() {
        let mut bench = ready(&[]);
        let told = ProducerRecord {
            timestamp: Some(Timestamp(5)),
            key: Some(Bytes::from_static(b"foobar")),
            headers: vec![(Bytes::from_static(b"trace"), None)],
            ..record(1, Some(0))
        };
        bench.call(|p, cx| p.send(told, cx));
        bench.pass(ms(5));
        assert_eq!(
            bench.wire(),
            [(Api::Produce, ONE)],
            "its key is for broker 2"
        );
        let sent = batches(&bench)[0].records_from(Offset(0)).next();
        let sent = sent.expect("one record").expect("a sound one");
        assert_eq!(sent.timestamp, Timestamp(5));
        assert_eq!(sent.headers, [(Bytes::from_static(b"trace"), None)]);
    }

    #[test]
    fn send_blocks_while_the_memory_is_given_out_and_goes_on_when_some_is_free() {
        let memory = [("buffer.memory", "200"), ("batch.size", "200"), PLAIN];
        let mut bench = ready(&memory);
        assert!(matches!(send(&mut bench, 1, 0), Sent::Queued(_)));
        assert_eq!(send(&mut bench, 2, 1), Sent::Full);
        bench.pass(Duration::ZERO);
        assert_eq!(on_wire(&bench), [[1]], "who waits for memory presses");
        assert!(!bench.role.may_send());
        bench.answer(produced(ErrorCode::None, 0));
        assert!(bench.role.may_send());
        assert!(matches!(send(&mut bench, 2, 1), Sent::Queued(_)));
    }

    #[test]
    fn send_gives_up_waiting_for_memory_after_max_block_ms() {
        let memory = [
            ("buffer.memory", "200"),
            ("batch.size", "200"),
            ("max.block.ms", "2000"),
        ];
        let mut bench = ready(&memory);
        send(&mut bench, 1, 0);
        assert_eq!(send(&mut bench, 2, 1), Sent::Full);
        bench.pass(ms(2_000));
        let refused = Sent::Refused(SendFailure::BufferExhausted);
        assert_eq!(send(&mut bench, 2, 1), refused);
    }

    #[test]
    fn every_send_is_an_event_from_the_queue_to_the_callback() {
        let mut bench = ready(&[]);
        send(&mut bench, 1, 0);
        bench.pass(ms(5));
        bench.answer(produced(ErrorCode::None, 30));
        let id = record(1, None).id;
        let partition = TopicIdPartition {
            topic: TOPIC,
            partition: 0,
        };
        let offset = Some(Offset(30));
        let expected = [
            ClientEvent::Queued { id, partition },
            ClientEvent::BatchSent {
                partition,
                ids: smallvec![id],
                base_sequence: Some(0),
                attempt: 0,
            },
            ClientEvent::Acked {
                id,
                partition,
                offset,
            },
        ];
        let told = expected.map(|event| Event::Client(ClientId(0), event));
        assert_eq!(bench.events, told);
    }
}

mod local;
mod splitting;

mod batching {
    use super::*;

    #[test]
    fn a_batch_lingers_for_more_records() {
        let mut bench = ready(&[]);
        send_all(&mut bench, [1]);
        bench.pass(ms(4));
        send_all(&mut bench, [2]);
        assert!(on_wire(&bench).is_empty());
        bench.pass(ms(1));
        assert_eq!(on_wire(&bench), [[1, 2]]);
    }

    #[test]
    fn a_full_batch_goes_at_once() {
        let mut bench = ready(&[("batch.size", "120")]);
        send_all(&mut bench, [1]);
        assert!(on_wire(&bench).is_empty());
        send_all(&mut bench, [2, 3]);
        assert_eq!(on_wire(&bench), [[1, 2]]);
    }

    #[test]
    fn with_a_batch_size_of_zero_every_record_is_a_batch() {
        let mut bench = ready(&[("batch.size", "0"), ("linger.ms", "0")]);
        send_all(&mut bench, [1, 2]);
        assert_eq!(on_wire(&bench), [[1], [2]]);
    }

    #[test]
    fn without_linger_records_still_share_batches_behind_a_backlog() {
        let one_at_a_time = ("max.in.flight.requests.per.connection", "1");
        let mut bench = ready(&[("linger.ms", "0"), one_at_a_time]);
        send_all(&mut bench, [1, 2, 3]);
        assert_eq!(on_wire(&bench), [[1]]);
        bench.answer(produced(ErrorCode::None, 0));
        assert_eq!(on_wire(&bench), [[2, 3]]);
    }

    #[test]
    fn no_more_than_five_requests_are_in_flight_to_a_broker() {
        let mut bench = ready(&SINGLY);
        send_all(&mut bench, 0..8);
        assert_eq!(batches(&bench).len(), 5);
        bench.answer(produced(ErrorCode::None, 0));
        assert_eq!(batches(&bench).len(), 5);
        assert_eq!(on_wire(&bench)[4], [5]);
    }

    #[test]
    fn one_ready_partition_takes_the_others_of_its_broker_along() {
        let mut bench = ready(&[("batch.size", "120"), PLAIN]);
        bench.move_partition_0_to(2);
        send(&mut bench, 1, 0);
        send(&mut bench, 2, 1);
        send_all_to(&mut bench, 1, [3, 4]);
        assert_eq!(on_wire(&bench), [vec![1], vec![2, 3]]);
        assert_eq!(bench.sent.len(), 1);
    }

    #[test]
    fn a_request_is_no_larger_than_allowed_and_the_rest_follows_in_another() {
        let mut bench = ready(&[("max.request.size", "110"), PLAIN]);
        bench.move_partition_0_to(2);
        send(&mut bench, 1, 0);
        send(&mut bench, 2, 1);
        bench.pass(ms(5));
        assert_eq!(on_wire(&bench), [[1], [2]]);
        assert_eq!(bench.sent.len(), 2);
    }

    #[test]
    fn flush_sends_what_waits_and_lasts_until_it_is_answered() {
        let mut bench = ready(&[("linger.ms", "60000"), PLAIN]);
        send_all(&mut bench, [1]);
        bench.call(|p, cx| p.flush(cx));
        bench.pass(Duration::ZERO);
        assert_eq!(on_wire(&bench), [[1]]);
        assert!(bench.role.is_flushing());
        bench.answer(produced(ErrorCode::None, 0));
        assert!(!bench.role.is_flushing());
        send_all(&mut bench, [2]);
        assert!(on_wire(&bench).is_empty(), "later records linger again");
    }
}

mod retrying {
    use super::*;

    #[test]
    fn a_batch_that_a_broker_refuses_for_now_is_sent_again_after_a_back_off() {
        let mut bench = ready(&[]);
        send_all(&mut bench, [1]);
        bench.pass(ms(5));
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        bench.pass(ms(99));
        assert!(on_wire(&bench).is_empty());
        bench.pass(ms(1));
        assert_eq!(stamps(&bench), [(0, 0)]);
        bench.answer(produced(ErrorCode::None, 8));
        assert_eq!(told(&mut bench), [(1, ok(8))]);
    }

    #[test]
    fn a_new_leader_named_in_the_error_is_tried_without_a_back_off() {
        let mut bench = ready(&[("linger.ms", "0")]);
        send_all(&mut bench, [1]);
        let mut moved = answer(ErrorCode::NotLeaderOrFollower, 0, -1);
        moved.current_leader = Some(LeaderIdAndEpoch {
            leader_id: NodeId(2),
            leader_epoch: LeaderEpoch(6),
        });
        let response = ProduceResponse {
            responses: vec![TopicProduceResponse {
                topic_id: TOPIC,
                partitions: smallvec![moved],
            }],
            node_endpoints: vec![endpoint(2)],
        };
        bench.answer(Response::Produce(response));
        bench.answer_metadata_if_asked(metadata(LeaderEpoch(6), 2));
        let packet = bench.take(Api::Produce);
        assert_eq!(packet.to, TWO);
    }

    #[test]
    fn a_final_error_ends_the_batch() {
        let mut bench = ready(&[PLAIN]);
        send_all(&mut bench, [1, 2]);
        bench.pass(ms(5));
        bench.answer(produced(ErrorCode::InvalidTimestamp, -1));
        let error = failed(ErrorCode::InvalidTimestamp);
        assert_eq!(told(&mut bench), [(1, error), (2, error)]);
    }

    #[test]
    fn no_more_attempts_are_made_than_retries_allow() {
        let mut bench = ready(&[("retries", "1"), PLAIN]);
        send_all(&mut bench, [1]);
        bench.pass(ms(5));
        bench.answer(produced(ErrorCode::RequestTimedOut, -1));
        bench.pass(SECOND);
        bench.answer(produced(ErrorCode::RequestTimedOut, -1));
        assert_eq!(told(&mut bench), [(1, failed(ErrorCode::RequestTimedOut))]);
    }

    #[test]
    fn a_lost_acknowledgement_is_answered_by_sending_again() {
        let mut bench = ready(&[PLAIN]);
        send_all(&mut bench, [1]);
        bench.pass(ms(5));
        bench.reset(ONE);
        bench.answer_metadata_if_asked(metadata(LeaderEpoch(5), 1));
        bench.pass(SECOND);
        bench.answer_metadata_if_asked(metadata(LeaderEpoch(5), 1));
        assert_eq!(on_wire(&bench), [[1]]);
        assert!(told(&mut bench).is_empty());
    }

    #[test]
    fn without_sequence_numbers_a_pipelined_retry_overtakes_nothing_but_is_overtaken() {
        let mut bench = ready(&[PLAIN, SINGLY[0], SINGLY[1]]);
        send_all(&mut bench, [1, 2]);
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        bench.answer(produced(ErrorCode::None, 0));
        bench.pass(SECOND);
        bench.answer(produced(ErrorCode::None, 1));
        assert_eq!(told(&mut bench), [(2, ok(0)), (1, ok(1))]);
    }

    #[test]
    fn with_one_request_in_flight_a_retry_keeps_the_order() {
        let one_at_a_time = ("max.in.flight.requests.per.connection", "1");
        let mut bench = ready(&[PLAIN, SINGLY[0], SINGLY[1], one_at_a_time]);
        send_all(&mut bench, [1, 2]);
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        assert!(on_wire(&bench).is_empty());
        bench.pass(SECOND);
        assert_eq!(on_wire(&bench), [[1]]);
    }
}

mod expiring {
    use super::*;

    #[test]
    fn a_batch_that_cannot_leave_fails_when_its_delivery_timeout_is_over() {
        let mut bench = ready(&[]);
        bench.refusing.insert(ONE);
        bench.reset(ONE);
        send_all(&mut bench, [1]);
        bench.pass(Duration::millis(119_999));
        assert!(told(&mut bench).is_empty());
        bench.pass(ms(1));
        assert_eq!(told(&mut bench), [(1, Err(SendFailure::DeliveryTimeout))]);
    }

    #[test]
    fn a_batch_in_flight_fails_too_and_a_later_answer_changes_nothing() {
        let quick = [
            ("delivery.timeout.ms", "10000"),
            ("request.timeout.ms", "9000"),
        ];
        let mut bench = ready(&[quick[0], quick[1], PLAIN]);
        send_all(&mut bench, [1]);
        bench.pass(ms(5));
        bench.take(Api::Produce);
        bench.pass(ms(9_000));
        bench.answer_metadata_if_asked(metadata(LeaderEpoch(5), 1));
        bench.pass(SECOND);
        assert_eq!(told(&mut bench), [(1, Err(SendFailure::DeliveryTimeout))]);
        assert_eq!(on_wire(&bench), [[1]], "the second attempt is on its way");
        bench.answer(produced(ErrorCode::None, 3));
        assert!(told(&mut bench).is_empty());
    }

    #[test]
    fn a_request_without_an_answer_closes_its_connection_and_all_its_batches_are_sent_again() {
        let mut bench = ready(&SINGLY);
        send_all(&mut bench, [1, 2]);
        bench.pass(ms(30_000));
        let late = |e: &Event| {
            let node = NodeId(1);
            *e == Event::Client(ClientId(0), ClientEvent::RequestTimedOut { node })
        };
        assert_eq!(bench.events.iter().filter(|e| late(e)).count(), 1);
        bench.answer_metadata_if_asked(metadata(LeaderEpoch(5), 1));
        bench.pass(SECOND);
        assert_eq!(on_wire(&bench), [[1]], "the lowest number first, alone");
        bench.answer(produced(ErrorCode::None, 0));
        assert_eq!(on_wire(&bench), [[2]]);
    }

    #[test]
    fn memory_of_an_expired_batch_is_kept_while_the_network_has_it() {
        let small = [("buffer.memory", "200"), ("batch.size", "200"), PLAIN];
        let quick = [
            ("delivery.timeout.ms", "10000"),
            ("request.timeout.ms", "9995"),
        ];
        let mut bench = ready(&[small[0], small[1], small[2], quick[0], quick[1]]);
        send_all(&mut bench, [1]);
        bench.pass(ms(4_000));
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        bench.pass(ms(6_000));
        assert_eq!(told(&mut bench), [(1, Err(SendFailure::DeliveryTimeout))]);
        assert_eq!(send(&mut bench, 2, 0), Sent::Full);
        bench.answer(produced(ErrorCode::None, 0));
        assert!(bench.role.may_send());
    }
}

mod without_answers {
    use super::*;

    const NONE: (&str, &str) = ("acks", "0");

    #[test]
    fn with_acks_0_a_record_is_done_once_it_is_in_the_socket() {
        let mut bench = ready(&[NONE, SINGLY[0], SINGLY[1]]);
        send_all(&mut bench, 0..7);
        assert_eq!(batches(&bench).len(), 7, "nothing is in flight");
        assert_eq!(told(&mut bench).len(), 7);
    }

    #[test]
    fn with_acks_0_no_offset_is_known_and_a_broken_connection_is_not_noticed() {
        let mut bench = ready(&[NONE, ("linger.ms", "0")]);
        send_all(&mut bench, [1]);
        bench.reset(ONE);
        bench.pass(SECOND);
        assert_eq!(told(&mut bench), [(1, Ok(None))]);
    }

    #[test]
    fn with_acks_0_only_a_send_that_has_not_left_can_fail() {
        let mut bench = ready(&[NONE, ("linger.ms", "0"), ("retries", "0")]);
        bench.machine.socket_full = true;
        send_all(&mut bench, [1]);
        assert!(told(&mut bench).is_empty());
        bench.reset(ONE);
        assert_eq!(told(&mut bench), [(1, failed(ErrorCode::NetworkException))]);
    }
}

mod idempotently {
    use super::*;

    #[test]
    fn a_producer_asks_for_its_id_before_it_sends() {
        let mut bench = started(&[]);
        bench.answer(brokers());
        assert_eq!(bench.wire(), [(Api::InitProducerId, ONE)]);
        bench.answer(identity(ErrorCode::CoordinatorLoadInProgress));
        assert!(bench.sent.is_empty());
        bench.pass(ms(100));
        assert_eq!(
            bench.take(Api::InitProducerId).request.api(),
            Api::InitProducerId
        );
    }

    #[test]
    fn without_an_id_nothing_is_sent_and_nothing_expires() {
        let mut bench = started(&[("linger.ms", "0")]);
        bench.answer(brokers());
        bench.pass(SECOND);
        send(&mut bench, 1, 0);
        bench.pass(Duration::ZERO);
        bench.answer(metadata(LeaderEpoch(5), 1));
        send_all(&mut bench, [1]);
        for _ in 0..300 {
            bench.pass(SECOND);
            bench.answer_metadata_if_asked(metadata(LeaderEpoch(5), 1));
        }
        assert!(on_wire(&bench).is_empty() && told(&mut bench).is_empty());
    }

    #[test]
    fn a_retry_keeps_its_sequence_numbers_and_goes_alone() {
        let mut bench = ready(&SINGLY);
        send_all(&mut bench, [1, 2, 3]);
        assert_eq!(stamps(&bench), [(0, 0), (0, 1), (0, 2)]);
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        bench.answer(produced(GAP, -1));
        bench.answer(produced(GAP, -1));
        bench.pass(SECOND);
        assert_eq!(stamps(&bench), [(0, 0)]);
        for offset in 0..3 {
            bench.answer(produced(ErrorCode::None, offset));
        }
        assert_eq!(told(&mut bench), [(1, ok(0)), (2, ok(1)), (3, ok(2))]);
    }

    #[test]
    fn a_gap_bumps_the_epoch_renumbers_and_goes_on() {
        let mut bench = ready(&SINGLY);
        send_all(&mut bench, [1, 2, 3]);
        bench.answer(produced(ErrorCode::None, 0));
        bench.answer(produced(GAP, -1));
        bench.answer(produced(GAP, -1));
        bench.pass(SECOND);
        assert_eq!(stamps(&bench), [(1, 0)]);
        bench.answer(produced(ErrorCode::None, 1));
        assert_eq!(stamps(&bench), [(1, 1)]);
    }

    #[test]
    fn a_batch_refused_for_good_bumps_the_epoch() {
        let mut bench = ready(&SINGLY);
        send_all(&mut bench, [1, 2]);
        bench.answer(produced(ErrorCode::InvalidTimestamp, -1));
        bench.answer(produced(GAP, -1));
        bench.pass(SECOND);
        assert_eq!(stamps(&bench), [(1, 0)]);
        assert_eq!(told(&mut bench), [(1, failed(ErrorCode::InvalidTimestamp))]);
    }

    #[test]
    fn after_a_retry_was_given_up_nothing_new_goes_until_all_in_flight_has_ended() {
        let quick = [
            ("delivery.timeout.ms", "10000"),
            ("request.timeout.ms", "9000"),
        ];
        let mut bench = ready(&[quick[0], quick[1], SINGLY[0], SINGLY[1]]);
        send_all(&mut bench, [1]);
        bench.answer(produced(ErrorCode::NotEnoughReplicas, -1));
        bench.pass(ms(9_990));
        let retry = bench.take(Api::Produce);
        bench.pass(ms(10));
        assert_eq!(told(&mut bench), [(1, Err(SendFailure::DeliveryTimeout))]);
        send_all(&mut bench, [2]);
        // Nothing is in flight any more as far as sequence numbers go: the gap is closed with a new epoch.
        assert_eq!(stamps(&bench), [(1, 0)]);
        drop(retry);
    }

    #[test]
    fn an_id_refused_for_good_fails_everything() {
        let mut bench = started(&[]);
        bench.answer(brokers());
        bench.answer(identity(ErrorCode::InvalidRequest));
        let error = SendFailure::Error(ErrorCode::InvalidRequest);
        assert_eq!(send(&mut bench, 1, 0), Sent::Refused(error));
    }
}

mod closing {
    use super::*;

    #[test]
    fn close_sends_what_waits_and_closes_when_all_is_answered() {
        let mut bench = ready(&[("linger.ms", "60000"), PLAIN]);
        send_all(&mut bench, [1]);
        bench.call(|p, cx| p.close(None, cx));
        assert_eq!(on_wire(&bench), [[1]]);
        let refused = Sent::Refused(SendFailure::Closed);
        assert_eq!(send(&mut bench, 2, 0), refused);
        assert!(!bench.role.is_closed());
        bench.answer(produced(ErrorCode::None, 0));
        assert!(bench.role.is_closed());
        assert_eq!(told(&mut bench), [(1, ok(0))]);
    }

    #[test]
    fn close_with_a_timeout_fails_what_is_left_then() {
        let mut bench = ready(&[PLAIN]);
        send_all(&mut bench, [1]);
        bench.call(|p, cx| p.close(Some(SECOND), cx));
        bench.pass(ms(999));
        assert!(!bench.role.is_closed());
        bench.pass(ms(1));
        assert!(bench.role.is_closed());
        assert_eq!(told(&mut bench), [(1, Err(SendFailure::Closed))]);
    }

    #[test]
    fn closing_ends_a_blocked_send() {
        let mut bench = informed(&[PLAIN]);
        bench.pass(SECOND);
        assert_eq!(send(&mut bench, 1, 0), Sent::Full);
        bench.call(|p, cx| p.close(Some(Duration::ZERO), cx));
        assert!(bench.role.may_send());
        let refused = Sent::Refused(SendFailure::Closed);
        assert_eq!(send(&mut bench, 1, 0), refused);
    }
}
