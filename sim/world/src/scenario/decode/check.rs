//! What no single value shows: that values fit together, and that all of them fit the limits.

use klab_kafka::client::producer::config::{ConfigConflict, Settings};
use klab_kafka::config::ProducerConfig;
use klab_kafka::ids::NodeId;

use super::fields::Mistakes;
use crate::scenario::error::{Mistake, Span};
use crate::scenario::quantity::write_duration;
use crate::scenario::tree::{Node, Value};
use crate::scenario::{ProducerPlan, Scenario, TopicPlan, When, limits};

/// Checks a scenario whose values are each right.
pub fn across(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    sizes(mistakes, tree, scenario);
    topics(mistakes, tree, scenario);
    producers(mistakes, tree, scenario);
    consumers(mistakes, tree, scenario);
    time(mistakes, tree, scenario);
}

/// Where a value stands, or as near to it as the file goes.
fn at(tree: &Node, path: &[&str]) -> Span {
    let mut node = tree;
    for part in path {
        node = match &node.value {
            Value::List(items) => match part
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index))
            {
                Some(item) => item,
                None => return node.span,
            },
            _ => match node.get(part) {
                Some(node) => node,
                None => {
                    return Span {
                        end: node.span.start + 1,
                        ..node.span
                    };
                }
            },
        };
    }
    node.span
}

fn sizes(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    let cluster = &scenario.cluster;
    let apps = scenario.producers.len() + scenario.consumers.len();
    let processes = u64::from(cluster.brokers + cluster.controllers) + apps as u64;
    mistakes.check(at(tree, &["cluster"]), limits::PROCESSES.hold(processes));
    let partitions = |topic: &TopicPlan| u64::try_from(topic.partitions).expect("not negative");
    let count = scenario.topics.values().map(partitions).sum();
    mistakes.check(at(tree, &["topics"]), limits::PARTITIONS.hold(count));
    let replicas =
        |topic: &TopicPlan| partitions(topic) * u64::from(topic.replication_factor.unsigned_abs());
    let count = scenario.topics.values().map(replicas).sum();
    mistakes.check(at(tree, &["topics"]), limits::REPLICAS.hold(count));
    let records = scenario
        .producers
        .values()
        .map(|producer| u64::from(producer.records));
    mistakes.check(
        at(tree, &["producers"]),
        limits::RECORDS.hold(records.sum()),
    );
    let bytes = scenario
        .producers
        .values()
        .map(|producer| u64::from(producer.records) * producer.largest_value());
    mistakes.check(
        at(tree, &["producers"]),
        limits::RECORD_BYTES.hold(bytes.sum()),
    );
    if cluster.racks.len() > cluster.brokers as usize {
        let found = format!(
            "{} racks for {} brokers",
            cluster.racks.len(),
            cluster.brokers
        );
        mistakes.add(
            at(tree, &["cluster", "racks"]),
            Mistake::new(found, "at most one rack for each broker"),
        );
    }
}

fn topics(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    for (name, topic) in &scenario.topics {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty()
            || name.len() > 249
            || !name.chars().all(good)
            || matches!(&**name, "." | "..")
        {
            let mistake = Mistake::new(
                "a topic's name that Kafka refuses",
                "1 to 249 letters, digits, dots, dashes and underscores",
            );
            mistakes.add(at(tree, &["topics", name]), mistake);
        }
        let brokers = scenario.cluster.brokers;
        match &topic.replicas {
            Some(replicas) => by_hand(mistakes, tree, name, replicas, brokers),
            None if i64::from(topic.replication_factor) > i64::from(brokers) => {
                let found = format!(
                    "replication factor {} for {brokers} brokers",
                    topic.replication_factor
                );
                let expected =
                    format!("at most {brokers} replicas: each lies on a broker of its own");
                mistakes.add(
                    at(tree, &["topics", name, "replication.factor"]),
                    Mistake::new(found, expected),
                );
            }
            None => {}
        }
    }
}

fn by_hand(
    mistakes: &Mistakes<'_>,
    tree: &Node,
    topic: &str,
    replicas: &[Vec<NodeId>],
    brokers: u32,
) {
    let path = ["topics", topic, "replicas"];
    if replicas.is_empty() {
        mistakes.add(
            at(tree, &path),
            Mistake::new(
                "a topic without partitions",
                "the brokers of at least one partition, such as `[[1, 2, 3]]`",
            ),
        );
    }
    for (index, partition) in replicas.iter().enumerate() {
        let span = at(tree, &[path[0], path[1], path[2], &index.to_string()]);
        let mut sorted = partition.clone();
        sorted.sort();
        if partition.is_empty() {
            mistakes.add(
                span,
                Mistake::new(
                    format!("partition {index} without replicas"),
                    "at least one broker",
                ),
            );
        } else if let Some(broker) = partition
            .iter()
            .find(|broker| i64::from(broker.0) > i64::from(brokers))
        {
            mistakes.add(
                span,
                Mistake::new(
                    format!("broker {broker} of {brokers}"),
                    format!("brokers from 1 to {brokers}"),
                ),
            );
        } else if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            mistakes.add(
                span,
                Mistake::new(
                    "the same broker twice",
                    "each replica on a broker of its own",
                ),
            );
        } else if partition.len() != replicas[0].len() {
            let found = format!(
                "{} replicas here and {} before",
                partition.len(),
                replicas[0].len()
            );
            mistakes.add(
                span,
                Mistake::new(found, "the same number for every partition: Kafka insists"),
            );
        }
    }
}

fn producers(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    for (name, producer) in &scenario.producers {
        if let Some((setting, mistake)) = kafka_refuses(producer) {
            mistakes.add(at(tree, &["producers", name, "config", setting]), mistake);
        }
    }
}

/// What KafkaProducer's constructor throws a ConfigException at (P-1): the setting, and what is wrong with it.
fn kafka_refuses(producer: &ProducerPlan) -> Option<(&'static str, Mistake)> {
    let config: &ProducerConfig = &producer.config;
    let settings = match &producer.librdkafka {
        Some(own) => Settings::of_librdkafka(own),
        None => Settings::of(config),
    };
    let conflict = settings.err()?;
    let mistake = match conflict {
        ConfigConflict::TooSmall(_, least) => Mistake::new(
            "too small a value",
            format!("at least {least}: Kafka refuses less"),
        ),
        ConfigConflict::IdempotenceNeedsAcksAll => Mistake::new(
            "acks other than \"all\" with idempotence",
            "acks \"all\": Kafka refuses the rest",
        )
        .hint("without \"enable.idempotence\" Kafka switches it off by itself"),
        ConfigConflict::IdempotenceNeedsRetries => Mistake::new(
            "no retries with idempotence",
            "at least one retry: Kafka refuses none",
        ),
        ConfigConflict::IdempotenceNeedsFiveInFlight => Mistake::new(
            format!(
                "{} requests in flight with idempotence",
                config.max_in_flight
            ),
            "at most 5: Kafka refuses more",
        )
        .hint(
            "\"enable.idempotence\": false allows more; acks or retries that switch it off do not",
        ),
        ConfigConflict::DeliveryTimeoutTooShort => {
            let linger = config.linger_ms.min(i32::MAX.into());
            let least = linger + i64::from(config.request_timeout_ms);
            Mistake::new(
                format!("{} ms for a delivery", config.delivery_timeout_ms.value),
                format!(
                    "at least linger.ms + request.timeout.ms, which are {least} ms: Kafka refuses less"
                ),
            )
        }
    };
    Some((conflict.key(), mistake))
}

fn consumers(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    for (name, consumer) in &scenario.consumers {
        for (index, partition) in consumer.assign.iter().enumerate() {
            if consumer.assign[..index].contains(partition) {
                let span = at(tree, &["consumers", name, "assign", &index.to_string()]);
                mistakes.add(
                    span,
                    Mistake::new(
                        format!("{partition} for the second time"),
                        "each partition once",
                    ),
                );
            }
        }
        if consumer.assign.is_empty() {
            let mistake = Mistake::new(
                "a consumer without partitions",
                "at least one, such as \"orders-0\"",
            );
            mistakes.add(at(tree, &["consumers", name, "assign"]), mistake);
        }
    }
}

/// The run must end before time does.
fn time(mistakes: &Mistakes<'_>, tree: &Node, scenario: &Scenario) {
    let last = |producer: &ProducerPlan| {
        producer
            .after
            .0
            .saturating_add(producer.rate.nth_ns(u64::from(producer.records - 1)))
    };
    for (name, producer) in &scenario.producers {
        mistakes.check(
            at(tree, &["producers", name, "rate"]),
            limits::virtual_time(last(producer)),
        );
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        let (key, last) = match &step.when {
            When::At(at) => ("at", at.0.unsigned_abs()),
            When::Drawn { window, .. } => ("window", window.max),
            When::Met { .. } => continue,
        };
        if last >= scenario.end.at.0 {
            let end = write_duration(scenario.end.at.0);
            let mistake = Mistake::new(
                "a step after the end",
                format!("a time before {end}, when the end begins"),
            );
            let span = at(tree, &["steps", &index.to_string(), key]);
            mistakes.add(span, mistake.hint("`end.at` says when the end begins"));
        }
    }
    let whole = scenario.end.at.0.saturating_add(scenario.quiet_within().0);
    mistakes.check(at(tree, &["end"]), limits::virtual_time(whole));
}
