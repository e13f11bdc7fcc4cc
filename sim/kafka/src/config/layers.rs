//! The layers of a setting, from the strongest to the weakest: the topic's own, dynamic for one broker, dynamic for all
//! brokers, the file that the broker starts with, Kafka's default. Kafka's DynamicBrokerConfig, KafkaConfigSchema and the
//! half of ConfigHelper that describes.
//!
//! It keeps: what is in force is what the strongest layer says that says anything; a key that is read-only says the same
//! until the process starts anew.
//!
//! Left out: listeners' own settings, secrets, key sets that must fit together (retention against local retention), lists.
//! A static setting that was written with the very value of the default is told as the default's. Kafka refuses
//! `segment.bytes` below 1 MiB; here less is taken, since small segments make stories short.

use crate::config::{ConfigKey, Configs, ServerConfig, TopicConfig};
use crate::ids::NodeId;
use crate::protocol::admin::{ConfigSynonym, DescribedConfig};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A layer: Kafka's ConfigSource, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Source {
    /// The topic's own.
    Topic,
    /// Dynamic, for one broker.
    Broker,
    /// Dynamic, for all brokers.
    AllBrokers,
    /// In the file that the process starts with.
    Static,
    /// Kafka's.
    Default,
}

impl Source {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Source::Topic => "DYNAMIC_TOPIC_CONFIG",
            Source::Broker => "DYNAMIC_BROKER_CONFIG",
            Source::AllBrokers => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Source::Static => "STATIC_BROKER_CONFIG",
            Source::Default => "DEFAULT_CONFIG",
        }
    }
}

/// A topic's key and the broker's key that stands behind it, where Kafka has such a pair (ServerTopicConfigSynonyms).
const SYNONYMS: &[(&str, &str)] = &[
    ("segment.bytes", "log.segment.bytes"),
    ("segment.ms", "log.roll.ms"),
    ("segment.jitter.ms", "log.roll.jitter.ms"),
    ("segment.index.bytes", "log.index.size.max.bytes"),
    ("flush.messages", "log.flush.interval.messages"),
    ("flush.ms", "log.flush.interval.ms"),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("max.message.bytes", "message.max.bytes"),
    ("index.interval.bytes", "log.index.interval.bytes"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    (
        "min.cleanable.dirty.ratio",
        "log.cleaner.min.cleanable.ratio",
    ),
    ("cleanup.policy", "log.cleanup.policy"),
    (
        "unclean.leader.election.enable",
        "unclean.leader.election.enable",
    ),
    ("min.insync.replicas", "min.insync.replicas"),
    ("compression.type", "compression.type"),
    ("preallocate", "log.preallocate"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    (
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
    ),
    (
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
    ),
];

/// Other keys that a running broker takes: of the cleaner, of idle producers, of its threads.
const DYNAMIC: &[&str] = &[
    "log.cleaner.threads",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.backoff.ms",
    "producer.id.expiration.ms",
    "transaction.partition.verification.enable",
    "num.io.threads",
    "num.network.threads",
    "num.replica.fetchers",
];

/// Keys whose default Kafka keeps under another name (`log.roll.hours`, `log.retention.hours`): describing them shows no
/// synonym of that layer.
const DEFAULT_ELSEWHERE: &[&str] = &["log.roll.ms", "log.retention.ms", "log.flush.interval.ms"];

/// Keys that a broker does not describe: internal ones of Kafka's, and constants of its own clients.
const UNDESCRIBED: &[&str] = &[
    "log.initial.task.delay.ms",
    "producer.id.expiration.check.interval.ms",
    "unclean.leader.election.interval.ms",
    "retry.backoff.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
];

/// The least value that Kafka takes; other keys take what their type takes.
const AT_LEAST: &[(&str, i64)] = &[
    ("min.insync.replicas", 1),
    ("segment.bytes", 1),
    ("log.segment.bytes", 1),
    ("segment.ms", 1),
    ("log.roll.ms", 1),
    ("retention.ms", -1),
    ("max.message.bytes", 0),
    ("message.max.bytes", 0),
    ("delete.retention.ms", 0),
    ("file.delete.delay.ms", 0),
    ("log.segment.delete.delay.ms", 0),
    ("min.compaction.lag.ms", 0),
    ("max.compaction.lag.ms", 1),
    ("message.timestamp.before.max.ms", 0),
    ("message.timestamp.after.max.ms", 0),
    ("log.message.timestamp.before.max.ms", 0),
    ("log.message.timestamp.after.max.ms", 0),
    ("producer.id.expiration.ms", 1),
    ("producer.id.expiration.check.interval.ms", 1),
];

/// Whether a running broker takes another value of a key; else only its file can change it (Kafka's `read-only`).
pub fn is_dynamic(key: &str) -> bool {
    DYNAMIC.contains(&key) || SYNONYMS.iter().any(|(_, server)| *server == key)
}

/// The broker's key that stands behind a topic's.
pub fn behind(topic: &str) -> Option<&'static str> {
    let pair = SYNONYMS.iter().find(|(t, _)| *t == topic);
    pair.map(|(_, server)| *server)
}

/// A value of one of a table's keys.
///
/// # Errors
/// What is wrong with it.
pub fn check<C: Configs>(key: &str, value: &str) -> Result<(), &'static str> {
    C::default()
        .set(key, value)
        .map_err(|_| "No such config, or not a value of it.")?;
    let least = AT_LEAST.iter().find(|(k, _)| *k == key).map(|(_, n)| *n);
    match (least, value.parse::<i64>()) {
        (Some(least), Ok(n)) if n < least => Err("The value is below the least one."),
        _ => Ok(()),
    }
}

/// A change that a broker takes at runtime. Kafka lets pass what it does not know, since plug-ins have keys of their own.
///
/// # Errors
/// What is wrong with it.
pub fn check_dynamic(key: &str, value: Option<&str>) -> Result<(), &'static str> {
    if ServerConfig::KEYS.iter().all(|k| k.name != key) {
        return Ok(());
    }
    if !is_dynamic(key) {
        return Err("Cannot update these configs dynamically.");
    }
    value.map_or(Ok(()), |v| check::<ServerConfig>(key, v))
}

/// Settings as text, by key.
pub type Texts = BTreeMap<Arc<str>, Arc<str>>;

/// The dynamic layers, as the metadata have them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DynamicConfigs {
    all: Texts,
    each: BTreeMap<NodeId, Texts>,
}

impl DynamicConfigs {
    /// Takes in a record; `broker` is `None` for all of them.
    pub fn set(&mut self, broker: Option<NodeId>, key: &Arc<str>, value: Option<&Arc<str>>) {
        let texts = match broker {
            None => &mut self.all,
            Some(broker) => self.each.entry(broker).or_default(),
        };
        match value {
            Some(value) => texts.insert(key.clone(), value.clone()),
            None => texts.remove(key),
        };
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.each.values().all(Texts::is_empty)
    }

    fn of(&self, node: NodeId) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.each.get(&node).into_iter().flatten()
    }
}

/// All layers below a topic's, as one process sees them.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The file that the process started with.
    pub fixed: &'a ServerConfig,
    /// The dynamic ones.
    pub dynamic: &'a DynamicConfigs,
    /// The process.
    pub node: NodeId,
}

impl Layers<'_> {
    /// What is in force.
    pub fn effective(&self) -> ServerConfig {
        let mut config = self.fixed.clone();
        let weaker_first = self.dynamic.all.iter().chain(self.dynamic.of(self.node));
        for (key, value) in weaker_first.filter(|(key, _)| is_dynamic(key)) {
            // Kafka goes on with what it had where it does not understand a value.
            config.set(key, value).ok();
        }
        config
    }

    /// DescribeConfigs of this broker.
    pub fn describe(&self) -> Vec<DescribedConfig> {
        let effective = self.effective();
        let described = |key: &ConfigKey<ServerConfig>| {
            let synonyms = self.synonyms(key.name);
            entry(key.name, (key.get)(&effective), synonyms)
        };
        let keys = ServerConfig::KEYS.iter();
        keys.filter(|key| !UNDESCRIBED.contains(&key.name))
            .map(described)
            .collect()
    }

    /// DescribeConfigs of the dynamic default: only what is set there.
    pub fn describe_all_brokers(&self) -> Vec<DescribedConfig> {
        let described = |key: &ConfigKey<ServerConfig>| {
            let value = self.dynamic.all.get(key.name)?;
            let mut synonyms = self.synonyms(key.name);
            synonyms.retain(|s| s.source == Source::AllBrokers);
            Some(entry(key.name, value.to_string(), synonyms))
        };
        ServerConfig::KEYS.iter().filter_map(described).collect()
    }

    /// DescribeConfigs of a topic.
    pub fn describe_topic(&self, topic: &TopicConfig) -> Vec<DescribedConfig> {
        let effective = self.effective();
        let unset = TopicConfig::default();
        let described = |key: &ConfigKey<TopicConfig>| {
            let server = behind(key.name);
            let (own, none) = ((key.get)(topic), (key.get)(&unset));
            let mut synonyms = Vec::new();
            if own != none {
                synonyms.push(synonym(key.name, own.clone(), Source::Topic));
            }
            synonyms.extend(server.map(|s| self.synonyms(s)).unwrap_or_default());
            let its_key = ServerConfig::KEYS.iter().find(|k| Some(k.name) == server);
            let value = match its_key {
                Some(server) if own == none => (server.get)(&effective),
                _ => own,
            };
            let read_only = false;
            DescribedConfig {
                read_only,
                ..entry(key.name, value, synonyms)
            }
        };
        TopicConfig::KEYS.iter().map(described).collect()
    }

    /// Every layer that says something of a server's key, in Kafka's order.
    fn synonyms(&self, name: &str) -> Vec<ConfigSynonym> {
        let Some(key) = ServerConfig::KEYS.iter().find(|k| k.name == name) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let own = self.dynamic.each.get(&self.node).and_then(|t| t.get(name));
        if let Some(value) = own {
            found.push(synonym(key.name, value.to_string(), Source::Broker));
        }
        if let Some(value) = self.dynamic.all.get(name) {
            found.push(synonym(key.name, value.to_string(), Source::AllBrokers));
        }
        let (fixed, default) = ((key.get)(self.fixed), (key.get)(&ServerConfig::default()));
        if fixed != default {
            found.push(synonym(key.name, fixed, Source::Static));
        }
        if !DEFAULT_ELSEWHERE.contains(&name) {
            found.push(synonym(key.name, default, Source::Default));
        }
        found
    }
}

fn synonym(name: &'static str, value: String, source: Source) -> ConfigSynonym {
    let value = value.into();
    ConfigSynonym {
        name,
        value,
        source,
    }
}

fn entry(name: &'static str, value: String, synonyms: Vec<ConfigSynonym>) -> DescribedConfig {
    DescribedConfig {
        name,
        value: value.into(),
        read_only: !is_dynamic(name),
        source: synonyms.first().map_or(Source::Default, |s| s.source),
        synonyms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(1);
    const KEY: &str = "min.insync.replicas";

    fn dynamic(records: &[(Option<i32>, &str, &str)]) -> DynamicConfigs {
        let mut dynamic = DynamicConfigs::default();
        for (broker, key, value) in records {
            dynamic.set(broker.map(NodeId), &Arc::from(*key), Some(&(*value).into()));
        }
        dynamic
    }

    fn fixed(key: &str, value: &str) -> ServerConfig {
        let mut config = ServerConfig::default();
        config.set(key, value).expect("a value");
        config
    }

    fn sources(described: &[DescribedConfig], key: &str) -> Vec<(&'static str, String)> {
        let one = described.iter().find(|d| d.name == key).expect("described");
        let synonyms = one.synonyms.iter();
        synonyms
            .map(|s| (s.source.name(), s.value.to_string()))
            .collect()
    }

    #[test]
    fn what_is_internal_to_kafka_is_not_described() {
        let (fixed, dynamic) = (ServerConfig::default(), DynamicConfigs::default());
        let layers = Layers {
            fixed: &fixed,
            dynamic: &dynamic,
            node: ME,
        };
        let described = layers.describe();
        assert!(described.iter().all(|c| !UNDESCRIBED.contains(&c.name)));
        let rows = ServerConfig::KEYS.len();
        assert_eq!(described.len(), rows - UNDESCRIBED.len());
    }

    #[test]
    fn the_strongest_layer_that_says_something_is_in_force() {
        let fixed = fixed(KEY, "2");
        let value = |records: &[(Option<i32>, &str, &str)]| {
            let dynamic = &dynamic(records);
            let layers = Layers {
                fixed: &fixed,
                dynamic,
                node: ME,
            };
            layers.effective().min_insync_replicas
        };
        assert_eq!(value(&[]), 2);
        assert_eq!(value(&[(None, KEY, "3")]), 3);
        assert_eq!(value(&[(None, KEY, "3"), (Some(1), KEY, "4")]), 4);
        assert_eq!(value(&[(None, KEY, "3"), (Some(2), KEY, "4")]), 3);
    }

    #[test]
    fn a_topic_is_described_with_all_layers_in_kafkas_order() {
        let (fixed, dynamic) = (
            fixed("message.max.bytes", "2000"),
            dynamic(&[
                (None, "message.max.bytes", "3000"),
                (Some(1), "message.max.bytes", "4000"),
            ]),
        );
        let layers = Layers {
            fixed: &fixed,
            dynamic: &dynamic,
            node: ME,
        };
        let mut topic = TopicConfig::default();
        let brokers = [
            ("DYNAMIC_BROKER_CONFIG", "4000".to_string()),
            ("DYNAMIC_DEFAULT_BROKER_CONFIG", "3000".to_string()),
            ("STATIC_BROKER_CONFIG", "2000".to_string()),
            ("DEFAULT_CONFIG", "1048588".to_string()),
        ];
        let described = layers.describe_topic(&topic);
        assert_eq!(sources(&described, "max.message.bytes"), brokers);
        topic.set("max.message.bytes", "5000").expect("a value");
        let described = layers.describe_topic(&topic);
        assert_eq!(
            sources(&described, "max.message.bytes")[0],
            ("DYNAMIC_TOPIC_CONFIG", "5000".to_string())
        );
        assert_eq!(sources(&described, "max.message.bytes")[1..], brokers);
    }

    #[test]
    fn a_default_that_kafka_keeps_under_another_name_is_no_synonym() {
        let (fixed, dynamic) = (ServerConfig::default(), DynamicConfigs::default());
        let layers = Layers {
            fixed: &fixed,
            dynamic: &dynamic,
            node: ME,
        };
        let described = layers.describe_topic(&TopicConfig::default());
        let one = described.iter().find(|d| d.name == "segment.ms");
        let one = one.expect("it is built");
        assert_eq!(
            (&*one.value, one.source, one.synonyms.len()),
            ("604800000", Source::Default, 0)
        );
    }

    #[test]
    fn the_dynamic_default_is_described_by_what_is_set_there_alone() {
        let (fixed, dynamic) = (
            fixed(KEY, "2"),
            dynamic(&[(None, KEY, "3"), (Some(1), "message.max.bytes", "9")]),
        );
        let layers = Layers {
            fixed: &fixed,
            dynamic: &dynamic,
            node: ME,
        };
        let described = layers.describe_all_brokers();
        assert_eq!(described.len(), 1);
        assert_eq!(
            sources(&described, KEY),
            [("DYNAMIC_DEFAULT_BROKER_CONFIG", "3".to_string())]
        );
    }

    #[test]
    fn keys_that_only_the_file_can_change_are_refused_and_unknown_ones_are_not() {
        assert!(check_dynamic("broker.session.timeout.ms", Some("1000")).is_err());
        assert!(check_dynamic("num.partitions", None).is_err());
        assert!(check_dynamic("my.plugin.key", Some("1")).is_ok());
        assert!(check_dynamic(KEY, Some("two")).is_err());
        assert!(check_dynamic(KEY, Some("0")).is_err());
        assert!(check_dynamic(KEY, Some("2")).is_ok());
    }
}
