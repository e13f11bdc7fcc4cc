//! Packet captures of an operator and his client.

use super::*;
use crate::client::capture::Capture;
use crate::protocol::admin::*;
use crate::protocol::metadata::NodeEndpoint;
use crate::protocol::{Api, Request};

/// Bootstrap server and broker 1.
const ONE: Address = Address(1);
const TWO: Address = Address(2);

type Bench = Capture<Admin>;

fn operator() -> Bench {
    Capture::of(Admin::new(ClientId(0), &[ONE], AdminConfig::default()))
}

/// Has been told to create "orders"; the request is on the wire to broker 2.
fn creating() -> Bench {
    let mut bench = operator();
    bench.hand(Input::Command(Command::CreateTopics(vec![orders()])));
    bench.answer(brokers(Some(2)));
    assert_eq!(bench.wire(), [(Api::CreateTopics, TWO)]);
    bench
}

fn orders() -> CreatableTopic {
    CreatableTopic {
        name: "orders".into(),
        num_partitions: None,
        replication_factor: None,
        assignments: vec![vec![NodeId(2), NodeId(1)]],
        configs: Vec::new(),
    }
}

fn brokers(controller: Option<i32>) -> Response {
    let endpoint = |node: i32| NodeEndpoint {
        node_id: NodeId(node),
        address: Address(node as u32),
        rack: None,
    };
    Response::Metadata(MetadataResponse {
        brokers: vec![endpoint(1), endpoint(2)],
        controller_id: controller.map(NodeId),
        topics: Vec::new(),
    })
}

fn result(error_code: ErrorCode) -> Response {
    Response::CreateTopics(CreateTopicsResponse {
        topics: vec![CreatableTopicResult {
            name: "orders".into(),
            topic_id: None,
            error_code,
            error_message: None,
        }],
    })
}

fn facts(bench: &Bench) -> Vec<AdminEvent> {
    let facts = bench.events.iter().filter_map(|e| match e {
        Event::Admin(fact) => Some(fact.clone()),
        _ => None,
    });
    facts.collect()
}

fn created() -> AdminEvent {
    let name = "orders".into();
    AdminEvent::TopicCreated { name }
}

fn refused(error: ErrorCode) -> AdminEvent {
    let name = "orders".into();
    AdminEvent::TopicRefused { name, error }
}

#[test]
fn topics_are_created_at_the_node_that_metadata_calls_the_controller() {
    let mut bench = operator();
    bench.hand(Input::Command(Command::CreateTopics(vec![orders()])));
    assert_eq!(bench.wire(), [(Api::Metadata, ONE)]);
    bench.answer(brokers(Some(2)));
    let Request::CreateTopics(request) = &bench.sent[0].request else {
        panic!("it is a CreateTopics request")
    };
    assert_eq!(request.topics, [orders()]);
    assert_eq!(request.timeout_ms, 30_000);
    bench.answer(result(ErrorCode::None));
    assert_eq!(facts(&bench), [created()]);
    assert!(bench.role.is_idle());
}

#[test]
fn without_a_controller_the_call_waits_for_metadata_that_names_one() {
    let mut bench = operator();
    bench.hand(Input::Command(Command::CreateTopics(vec![orders()])));
    bench.answer(brokers(None));
    bench.pass(Duration::millis(100));
    assert!(bench.wire().iter().all(|(api, _)| *api == Api::Metadata));
    bench.answer(brokers(Some(1)));
    assert_eq!(bench.wire(), [(Api::CreateTopics, ONE)]);
}

#[test]
fn not_controller_makes_it_ask_who_is_and_try_again() {
    let mut bench = creating();
    bench.answer(result(ErrorCode::NotController));
    bench.pass(Duration::millis(100));
    bench.answer(brokers(Some(1)));
    assert_eq!(bench.wire(), [(Api::CreateTopics, ONE)]);
    assert_eq!(facts(&bench), []);
}

#[test]
fn a_lost_answer_is_asked_for_again_and_a_topic_that_exists_then_is_done() {
    let mut bench = creating();
    bench.reset(TWO);
    assert_eq!(bench.wire(), []);
    bench.pass(Duration::millis(100));
    bench.answer(result(ErrorCode::TopicAlreadyExists));
    let name = "orders".into();
    assert_eq!(facts(&bench), [AdminEvent::TopicExisted { name }]);
    assert!(bench.role.is_idle());
}

#[test]
fn the_operator_repeats_a_command_until_there_are_brokers_enough() {
    let mut bench = creating();
    bench.answer(result(ErrorCode::InvalidReplicationFactor));
    assert!(!bench.role.is_idle());
    bench.pass(OPERATOR_WAITS);
    bench.answer(result(ErrorCode::None));
    let short = refused(ErrorCode::InvalidReplicationFactor);
    assert_eq!(facts(&bench), [short, created()]);
}

#[test]
fn the_operator_gives_up_on_what_no_time_mends() {
    let mut bench = creating();
    bench.answer(result(ErrorCode::InvalidConfig));
    assert_eq!(facts(&bench), [refused(ErrorCode::InvalidConfig)]);
    assert!(bench.role.is_idle());
}

#[test]
fn a_call_that_nobody_answers_times_out_after_a_minute_and_is_given_again() {
    let mut bench = operator();
    bench.refusing.insert(ONE);
    bench.hand(Input::Command(Command::CreateTopics(vec![orders()])));
    bench.pass(Duration::secs(59));
    assert_eq!(facts(&bench), []);
    bench.pass(Duration::secs(1));
    assert_eq!(
        facts(&bench),
        [AdminEvent::CallTimedOut {
            api: Api::CreateTopics
        }]
    );
    bench.refusing.clear();
    bench.pass(Duration::secs(2));
    bench.answer(brokers(Some(1)));
    bench.answer(result(ErrorCode::None));
    assert!(bench.role.is_idle());
}

#[test]
fn a_request_that_is_not_answered_in_thirty_seconds_is_made_again() {
    let mut bench = creating();
    bench.take(Api::CreateTopics);
    bench.pass(Duration::secs(30));
    assert_eq!(bench.wire(), [(Api::Metadata, ONE)]);
    bench.pass(Duration::millis(100));
    let again = [(Api::Metadata, ONE), (Api::CreateTopics, TWO)];
    assert_eq!(bench.wire(), again);
}

#[test]
fn configs_are_altered_at_any_broker_one_call_at_a_time_per_node() {
    let mut bench = creating();
    let change = AlterConfigsResource {
        resource: ConfigResource::Topic("orders".into()),
        configs: vec![("min.insync.replicas".into(), Some("2".into()))],
    };
    bench.hand(Input::Command(Command::Call(Ask::AlterConfigs(
        vec![change.clone()],
        false,
    ))));
    bench.hand(Input::Command(Command::Call(Ask::AlterConfigs(
        vec![change],
        false,
    ))));
    bench.answer(result(ErrorCode::None));
    for _ in 0..2 {
        bench.answer(Response::IncrementalAlterConfigs(
            IncrementalAlterConfigsResponse {
                responses: vec![AlterConfigsResult {
                    resource: ConfigResource::Topic("orders".into()),
                    error_code: ErrorCode::None,
                    error_message: None,
                }],
            },
        ));
    }
    let resource = ConfigResource::Topic("orders".into());
    let altered = AdminEvent::ConfigsAltered { resource };
    assert_eq!(facts(&bench), [created(), altered.clone(), altered]);
}

#[test]
fn described_topics_come_back_as_metadata_says() {
    let mut bench = operator();
    let id = bench.call(|admin, cx| admin.describe_topics(vec!["orders".into()], cx));
    bench.answer(brokers(Some(2)));
    bench.answer(brokers(Some(2)));
    assert_eq!(bench.role.described(), Some((id, Ok(Vec::new()))));
}
