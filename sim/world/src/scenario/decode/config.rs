//! Kafka's own settings and the protocol switches inside a scenario, checked against klab-kafka's tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use klab_kafka::config::{
    AdminConfig, ConfigError, Configs, ConsumerConfig, LibrdkafkaConfig, ProducerConfig,
    ServerConfig, TopicConfig,
};
use klab_kafka::rules::{Obeys, Rules, SWITCHES, Switch};

use super::fields::{Entry, Fields, Mistakes};
use crate::scenario::error::{Mistake, Span, nearest, one_of, quoted};
use crate::scenario::tree::{Node, Value};

/// Reads `config` against one of Kafka's tables.
pub fn settings<C: Configs>(fields: &Fields<'_>) -> C {
    let mut config = C::default();
    for entry in fields.names("config") {
        set(fields.mistakes, &entry, &mut config);
    }
    config
}

fn set<C: Configs>(mistakes: &Mistakes<'_>, entry: &Entry<'_>, config: &mut C) {
    if let Some(value) = setting::<C>(mistakes, &entry.name, entry.span, entry.node) {
        config.set(&entry.name, &value).expect("the value was read");
    }
}

/// Takes one entry of `cluster.config`. `processes` are the names that could have stood there instead.
pub fn server_setting(
    mistakes: &Mistakes<'_>,
    entry: &Entry<'_>,
    _processes: &[Arc<str>],
    config: &mut ServerConfig,
) {
    set(mistakes, entry, config);
}

/// An object whose entries hold for all nodes, or, under a node's name, for that node alone.
pub fn for_all_and_each<T: Clone>(
    fields: &Fields<'_>,
    key: &str,
    nodes: &[Arc<str>],
    mut all: T,
    take: impl Fn(&Mistakes<'_>, &Entry<'_>, &[Arc<str>], &mut T),
) -> (T, BTreeMap<Arc<str>, T>) {
    let (own, common): (Vec<_>, Vec<_>) = fields
        .names(key)
        .into_iter()
        .partition(|entry| nodes.contains(&entry.name));
    for entry in common {
        take(fields.mistakes, &entry, nodes, &mut all);
    }
    let mut each = BTreeMap::new();
    for entry in own {
        let mut own = all.clone();
        for entry in fields.mistakes.entries(entry.node) {
            take(fields.mistakes, &entry, &[], &mut own);
        }
        each.insert(entry.name, own);
    }
    (all, each)
}

/// Reads one setting into Kafka's canonical text.
pub fn setting<C: Configs>(
    mistakes: &Mistakes<'_>,
    name: &str,
    span: Span,
    node: &Node,
) -> Option<String> {
    let value = mistakes.check(node.span, in_text(node))?;
    let mut config = C::default();
    match config.set(name, &value) {
        Ok(()) => C::KEYS
            .iter()
            .find(|key| key.name == name)
            .map(|key| (key.get)(&config)),
        Err(ConfigError::UnknownKey) => {
            mistakes.add(span, unknown::<C>(name));
            None
        }
        Err(ConfigError::Invalid { expects }) => {
            mistakes.add(node.span, invalid::<C>(name, node, expects));
            None
        }
    }
}

/// Kafka takes every setting as text; a scenario may also write it as the number or the truth that it is.
fn in_text(node: &Node) -> Result<String, Mistake> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(Mistake::new(
            node.found(),
            "a text, a number, true or false",
        )),
    }
}

fn unknown<C: Configs>(name: &str) -> Mistake {
    let names: Vec<&str> = C::KEYS.iter().map(|key| key.name).collect();
    let mistake = Mistake::new(format!("unknown setting {}", quoted(name)), one_of(&names));
    match (nearest(name, &names), table_of(name)) {
        (_, Some(owner)) => mistake.hint(format!("{} is a setting of {owner}", quoted(name))),
        (Some(near), None) => mistake.hint(format!("did you mean \"{near}\"?")),
        (None, None) => mistake,
    }
}

fn invalid<C: Configs>(name: &str, node: &Node, expects: &str) -> Mistake {
    let key = C::KEYS
        .iter()
        .find(|key| key.name == name)
        .expect("its value was refused, so it exists");
    let expected = if key.unit.is_empty() {
        expects.to_owned()
    } else {
        format!("{expects}, in {}", key.unit)
    };
    let mistake = Mistake::new(format!("{} for \"{name}\"", node.found()), expected);
    let with_unit =
        matches!(&node.value, Value::Text(text) if text.starts_with(|c: char| c.is_ascii_digit()));
    match with_unit && !key.unit.is_empty() {
        true => mistake.hint(format!(
            "Kafka's settings are plain numbers: \"{name}\" counts {}",
            key.unit
        )),
        false => mistake,
    }
}

/// Whose setting a name of Kafka is.
pub fn table_of(name: &str) -> Option<&'static str> {
    fn has<C: Configs>(name: &str) -> bool {
        C::KEYS.iter().any(|key| key.name == name)
    }
    [
        (has::<ProducerConfig>(name), "producers"),
        (has::<ConsumerConfig>(name), "consumers"),
        (has::<TopicConfig>(name), "topics"),
        (has::<ServerConfig>(name), "the cluster"),
        (has::<LibrdkafkaConfig>(name), "producers with librdkafka"),
        (has::<AdminConfig>(name), "the admin"),
    ]
    .iter()
    .find(|(has, _)| *has)
    .map(|(_, owner)| *owner)
}

/// Takes one entry of `cluster.rules`. `servers` are the names that could have stood there instead; none below one of them.
pub fn switch(mistakes: &Mistakes<'_>, entry: &Entry<'_>, servers: &[Arc<str>], rules: &mut Rules) {
    let of_one = servers.is_empty().then_some(Obeys::Servers);
    take_switch(mistakes, entry, of_one, servers, rules);
}

/// The rules of one consumer, if they differ from the cluster's.
pub fn own_switches(fields: &Fields<'_>, cluster: &Rules) -> Option<Rules> {
    let mut rules = cluster.clone();
    for entry in fields.names("rules") {
        take_switch(
            fields.mistakes,
            &entry,
            Some(Obeys::Consumers),
            &[],
            &mut rules,
        );
    }
    (rules != *cluster).then_some(rules)
}

fn take_switch(
    mistakes: &Mistakes<'_>,
    entry: &Entry<'_>,
    of: Option<Obeys>,
    servers: &[Arc<str>],
    rules: &mut Rules,
) {
    let mut known = SWITCHES
        .iter()
        .filter(|switch| of.is_none_or(|of| of == switch.of));
    let names = known.clone().map(|switch| switch.name);
    let Some(switch) = known.find(|switch| switch.name == &*entry.name) else {
        let names = names.chain(servers.iter().map(|name| &**name));
        let mistake = Mistake::unknown("switch", &entry.name, names);
        let elsewhere = SWITCHES.iter().find(|switch| switch.name == &*entry.name);
        let mistake = match elsewhere.map(|switch| switch.of) {
            Some(Obeys::Servers) => {
                mistake.hint("brokers and controllers obey it: it belongs into `cluster`")
            }
            Some(Obeys::Consumers) => {
                mistake.hint("consumers obey it: it belongs to one of them, or to all in `cluster`")
            }
            None => mistake,
        };
        return mistakes.add(entry.span, mistake);
    };
    match value_of(switch, entry.node) {
        Ok(value) => (switch.set)(rules, value),
        Err(mistake) => mistakes.add(entry.node.span, mistake.hint(switch.sentence)),
    }
}

fn value_of(switch: &'static Switch, node: &Node) -> Result<&'static str, Mistake> {
    let Value::Text(text) = &node.value else {
        return Err(Mistake::new(node.found(), one_of(switch.values)));
    };
    let found = switch.values.iter().find(|value| *value == text).copied();
    found.ok_or_else(|| {
        Mistake::new(
            format!("{} for \"{}\"", quoted(text), switch.name),
            one_of(switch.values),
        )
    })
}

/// An era that is built.
pub fn era(node: &Node) -> Result<Arc<str>, Mistake> {
    match &node.value {
        Value::Text(text) if Rules::era(text).is_some() => Ok(text.as_str().into()),
        Value::Text(text) => Err(Mistake::unknown("era", text, Rules::ERAS.iter().copied())
            .hint("other eras come with a later release; `rules` has the single switches")),
        _ => Err(Mistake::new(node.found(), one_of(Rules::ERAS))),
    }
}
