//! Decoding what an operator asks: exactly one verb, and its own keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use klab_kafka::config::{Configs, ServerConfig, TopicConfig};
use klab_kafka::ids::NodeId;

use super::config::setting;
use super::fields::{Fields, list, text, whole};
use super::step::one_key;
use crate::scenario::Action;
use crate::scenario::error::Mistake;
use crate::scenario::grammar::{self, Kind};
use crate::scenario::operation::{ConfigOf, Operation};
use crate::scenario::selector::Known;
use crate::scenario::tree::{Key, Node, Value};

/// The verbs.
const VERBS: [&str; 6] = [
    "alter-config",
    "describe-config",
    "create-topic",
    "delete-topic",
    "add-partitions",
    "elect-leaders",
];

/// Reads `admin` of a step.
pub fn operation(fields: &Fields<'_>, known: &Known) -> Option<Action> {
    let admin = fields.object("admin");
    let operation = match one_key(&admin, "what to do", &VERBS)? {
        "alter-config" => alter_config(&admin, known),
        "describe-config" => describe_config(&admin.object("describe-config"), known),
        "create-topic" => create_topic(&admin.object("create-topic"), known),
        "delete-topic" => admin
            .value("delete-topic", |node, kind| known.topic(text(node, kind)?))
            .map(Operation::DeleteTopic),
        "add-partitions" => add_partitions(&admin.object("add-partitions"), known),
        _ => elect_leaders(&admin.object("elect-leaders"), known),
    };
    operation.map(Action::Admin)
}

fn topic(fields: &Fields<'_>, known: &Known) -> Option<Arc<str>> {
    fields.value("topic", |node, kind| known.topic(text(node, kind)?))
}

fn alter_config(admin: &Fields<'_>, known: &Known) -> Option<Operation> {
    let node = admin.found("alter-config")?;
    let Value::Map(entries) = &node.value else {
        let mistake = Mistake::new(
            node.found(),
            "a topic and its settings: `{ \"topic\": \"orders\", \"min.insync.replicas\": 1 }`",
        );
        admin.mistakes.add(node.span, mistake);
        return None;
    };
    let named = entries
        .iter()
        .find(|(key, _)| matches!(&*key.name, "topic" | "broker"));
    let Some((owner, value)) = named else {
        let mistake = Mistake::new(
            "no \"topic\" whose settings to change",
            "the name of a topic, or \"broker\" with its number or \"all\"",
        );
        admin.mistakes.add(node.span, mistake);
        return None;
    };
    let of = whose(admin, &owner.name, value, known)?;
    let mut config: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
    for (Key { span, name }, value) in entries.iter().filter(|(key, _)| key != owner) {
        if value.value == Value::Null {
            config.insert(name.as_str().into(), None);
            continue;
        }
        let text = match of {
            ConfigOf::Topic(_) => setting::<TopicConfig>(admin.mistakes, name, *span, value),
            _ => setting::<ServerConfig>(admin.mistakes, name, *span, value),
        };
        config.extend(text.map(|text| (name.as_str().into(), Some(text.into()))));
    }
    if entries.len() < 2 {
        let example = TopicConfig::KEYS.first().map_or("", |key| key.name);
        let mistake = Mistake::new(
            "no setting to change",
            format!("one of Kafka's settings of topics, such as \"{example}\""),
        );
        admin.mistakes.add(node.span, mistake);
    }
    Some(Operation::AlterConfig { of, config })
}

fn describe_config(fields: &Fields<'_>, known: &Known) -> Option<Operation> {
    let owner = one_key(fields, "whose settings", &["topic", "broker"])?;
    let of = whose(fields, owner, fields.found(owner)?, known)?;
    Some(Operation::DescribeConfig(of))
}

fn whose(fields: &Fields<'_>, key: &str, node: &Node, known: &Known) -> Option<ConfigOf> {
    if key == "topic" {
        let name = text(node, &Kind::Topic).and_then(|name| known.topic(name));
        return fields.mistakes.check(node.span, name).map(ConfigOf::Topic);
    }
    if node.value == Value::Text("all".into()) {
        return Some(ConfigOf::Brokers);
    }
    let kind = grammar::find("/topics/*/replicas/*/*").expect("in the table");
    let number = whole(node, &kind.kind).map_err(|_| {
        Mistake::new(
            node.found(),
            "a broker's number, or \"all\" for the default of all",
        )
    });
    let number = fields.mistakes.check(node.span, number)?;
    Some(ConfigOf::Broker(node_id(number)))
}

fn create_topic(fields: &Fields<'_>, known: &Known) -> Option<Operation> {
    let config = fields.names("config").into_iter().filter_map(|entry| {
        let value = setting::<TopicConfig>(fields.mistakes, &entry.name, entry.span, entry.node)?;
        Some((entry.name, value.into()))
    });
    let config = config.collect();
    let number = |key: &str| fields.found(key).and_then(|_| fields.small(key));
    Some(Operation::CreateTopic {
        name: topic(fields, known)?,
        partitions: number("partitions").map(|n| i32::try_from(n).expect("small")),
        replication_factor: number("replication.factor").map(|n| i16::try_from(n).expect("small")),
        replicas: fields
            .found("replicas")
            .map(|node| by_hand(fields, node))
            .unwrap_or_default(),
        config,
        validate_only: fields.bool("validate-only"),
    })
}

fn add_partitions(fields: &Fields<'_>, known: &Known) -> Option<Operation> {
    let count = fields.small("count");
    Some(Operation::AddPartitions {
        topic: topic(fields, known)?,
        count: i32::try_from(count?).expect("the table keeps it small"),
        replicas: fields.found("replicas").map(|node| by_hand(fields, node)),
        validate_only: fields.bool("validate-only"),
    })
}

fn elect_leaders(fields: &Fields<'_>, known: &Known) -> Option<Operation> {
    let partition = |node: &Node| {
        let partition = text(node, &Kind::Partition).and_then(|text| known.partition(text));
        fields.mistakes.check(node.span, partition)
    };
    let partitions = fields.found("partitions").map(|node| {
        let all = list(fields.mistakes, node).into_iter();
        all.filter_map(partition).collect()
    });
    Some(Operation::ElectLeaders {
        unclean: fields.word("election") == "unclean",
        partitions,
    })
}

fn by_hand(fields: &Fields<'_>, node: &Node) -> Vec<Vec<NodeId>> {
    let kind = grammar::find("/topics/*/replicas/*/*").expect("in the table");
    let broker = |node: &&Node| fields.mistakes.check(node.span, whole(node, &kind.kind));
    let replicas = |node: &Node| {
        let all = list(fields.mistakes, node);
        all.iter().filter_map(broker).map(node_id).collect()
    };
    let all = list(fields.mistakes, node).into_iter();
    all.map(replicas).collect()
}

fn node_id(number: u64) -> NodeId {
    NodeId(i32::try_from(number).expect("the table keeps it small"))
}
