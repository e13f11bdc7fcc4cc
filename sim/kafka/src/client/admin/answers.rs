//! What an operator makes of answers: a fact for each thing asked, in Kafka's error names, and what is worth asking again.

use super::calls::Ask;
use crate::config::layers::Source;
use crate::event::{AdminCall, AdminEvent};
use crate::protocol::admin::*;
use crate::protocol::{ErrorCode, Response};
use std::sync::Arc;

/// The facts of an answer, and what of the question a patient operator asks again.
pub fn taken(ask: Ask, response: Response) -> (Vec<AdminEvent>, Option<Ask>) {
    match (ask, response) {
        (Ask::CreateTopics(topics, validate_only), Response::CreateTopics(r)) => {
            created(topics, validate_only, &r)
        }
        (Ask::AlterConfigs(..), Response::IncrementalAlterConfigs(r)) => {
            (r.responses.iter().map(altered).collect(), None)
        }
        (Ask::DescribeConfigs(_), Response::DescribeConfigs(r)) => {
            (r.results.into_iter().map(described).collect(), None)
        }
        (Ask::DeleteTopics(_), Response::DeleteTopics(r)) => {
            let fact = |one: &DeletableTopicResult| AdminEvent::Answered {
                call: AdminCall::DeleteTopic(one.topic.clone()),
                error: one.error_code,
            };
            (r.responses.iter().map(fact).collect(), None)
        }
        (Ask::CreatePartitions(topics, _), Response::CreatePartitions(r)) => {
            let fact = |one: &CreatePartitionsTopicResult| AdminEvent::Answered {
                call: AdminCall::CreatePartitions {
                    topic: one.name.clone(),
                    count: topics
                        .iter()
                        .find(|t| t.name == one.name)
                        .map_or(0, |t| t.count),
                },
                error: one.error_code,
            };
            (r.results.iter().map(fact).collect(), None)
        }
        (Ask::ElectLeaders(election, _), Response::ElectLeaders(r)) => {
            (elected(election, &r), None)
        }
        _ => unreachable!("because an answer is of the kind of its question"),
    }
}

fn elected(election: ElectionType, r: &ElectLeadersResponse) -> Vec<AdminEvent> {
    let fact = |(topic, partition, error): &(Arc<str>, i32, ErrorCode)| AdminEvent::Answered {
        call: AdminCall::ElectLeader {
            topic: topic.clone(),
            partition: *partition,
            election,
        },
        error: *error,
    };
    match r.results.is_empty() {
        true => vec![AdminEvent::Answered {
            call: AdminCall::ElectLeaders(election),
            error: r.error_code,
        }],
        false => r.results.iter().map(fact).collect(),
    }
}

fn created(
    topics: Vec<CreatableTopic>,
    validate_only: bool,
    r: &CreateTopicsResponse,
) -> (Vec<AdminEvent>, Option<Ask>) {
    let (mut facts, mut again) = (Vec::new(), Vec::new());
    for topic in topics {
        let result = r.topics.iter().find(|t| t.name == topic.name);
        let error = result.map_or(ErrorCode::UnknownServerError, |t| t.error_code);
        let name = topic.name.clone();
        facts.push(match error {
            ErrorCode::None if validate_only => AdminEvent::Answered {
                call: AdminCall::ValidateTopic(name),
                error,
            },
            ErrorCode::None => AdminEvent::TopicCreated { name },
            ErrorCode::TopicAlreadyExists => AdminEvent::TopicExisted { name },
            error => AdminEvent::TopicRefused { name, error },
        });
        if may_pass(error) {
            again.push(topic);
        }
    }
    let again = (!again.is_empty()).then_some(Ask::CreateTopics(again, validate_only));
    (facts, again)
}

fn altered(one: &AlterConfigsResult) -> AdminEvent {
    let resource = one.resource.clone();
    match one.error_code {
        ErrorCode::None => AdminEvent::ConfigsAltered { resource },
        error => AdminEvent::ConfigsRefused { resource, error },
    }
}

/// What somebody has set is told; all the rest is Kafka's default.
fn described(one: DescribeConfigsResult) -> AdminEvent {
    let resource = one.resource;
    if !one.error_code.is_none() {
        return AdminEvent::Answered {
            call: AdminCall::DescribeConfigs(resource),
            error: one.error_code,
        };
    }
    let set = |c: &DescribedConfig| c.source != Source::Default;
    let configs = one.configs.into_iter().filter(set).collect();
    AdminEvent::ConfigsDescribed { resource, configs }
}

/// Errors that pass with time, an operator's patience granted.
fn may_pass(error: ErrorCode) -> bool {
    // The brokers that are missing may come.
    error == ErrorCode::InvalidReplicationFactor || error.is_retriable()
}

/// Whether whoever answered is not the active controller.
pub fn is_from_no_controller(response: &Response) -> bool {
    let is = |error: ErrorCode| error == ErrorCode::NotController;
    match response {
        Response::CreateTopics(r) => r.topics.iter().any(|t| is(t.error_code)),
        Response::DeleteTopics(r) => r.responses.iter().any(|t| is(t.error_code)),
        Response::CreatePartitions(r) => r.results.iter().any(|t| is(t.error_code)),
        Response::ElectLeaders(r) => is(r.error_code),
        Response::IncrementalAlterConfigs(r) => r.responses.iter().any(|t| is(t.error_code)),
        _ => false,
    }
}
