//! The JSON Schema of scenario files, made from the tables that the decoder reads: an editor then completes keys, shows
//! their sentences and marks slips while one writes.
//!
//! A schema says less than the decoder: it knows no names of this file, and not which keys go together. What it refuses the
//! decoder refuses too; a test holds every scenario of the library to it.

use super::grammar::{self, Kind, Missing, Table};
use klab_kafka::config::{
    AdminConfig, ConfigKey, Configs, ConsumerConfig, LibrdkafkaConfig, ProducerConfig,
    ServerConfig, TopicConfig,
};
use klab_kafka::rules::{Obeys, Rules, SWITCHES, Switch};
use serde_json::{Map, Value, json};

/// The schema, as the repository keeps it in `schema/scenario.json`.
pub fn scenario() -> Value {
    let mut schema = object("");
    let root = schema.as_object_mut().expect("an object's schema is one");
    root.insert(
        "$schema".into(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    root.insert("title".into(), "A scenario of klab".into());
    // With a base, what is missing comes from there.
    let required = root.remove("required").unwrap_or_else(|| json!([]));
    root.insert(
        "anyOf".into(),
        json!([{ "required": ["base"] }, { "required": required }]),
    );
    schema
}

/// The schema as text, in the order of the tables.
pub fn text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is plain data");
    text.push('\n');
    text
}

/// An object with the keys of the table below a path.
fn object(path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, key) in grammar::below(path) {
        if matches!(key.kind, Kind::NotBuilt(_)) {
            continue;
        }
        let mut one = value(key.path, key.kind);
        if let Some(one) = one.as_object_mut() {
            one.insert("description".into(), key.sentence.into());
            if let Missing::Is(text) = key.default {
                let default = serde_json::from_str(text).expect("a default of the table is JSON");
                one.insert("default".into(), default);
            }
        }
        if key.default == Missing::Required {
            required.push(name);
        }
        properties.insert(name.to_owned(), one);
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// What may be written for a key.
fn value(path: &str, kind: Kind) -> Value {
    let below = format!("{path}/*");
    // A list without a row for what is in it is described elsewhere in the table.
    let part = || {
        let Some(key) = grammar::find(&below) else {
            return json!({});
        };
        let mut part = value(key.path, key.kind);
        if let Some(part) = part.as_object_mut() {
            part.entry("description").or_insert(key.sentence.into());
        }
        part
    };
    match kind {
        Kind::Object => object(path),
        Kind::Names => json!({ "type": "object", "additionalProperties": part() }),
        Kind::List => json!({ "type": "array", "items": part() }),
        Kind::Text | Kind::Name | Kind::Topic => json!({ "type": "string" }),
        Kind::Selector | Kind::Partition | Kind::Trigger | Kind::Condition | Kind::Expectation => {
            json!({ "type": "string", "minLength": 1 })
        }
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Whole(range) if range.max == u64::MAX => {
            json!({ "type": "integer", "minimum": range.min })
        }
        Kind::Whole(range) => {
            json!({ "type": "integer", "minimum": range.min, "maximum": range.max })
        }
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Duration => pattern(&format!("^{DURATION}$")),
        Kind::Durations => pattern(&format!(r"^{DURATION}(\s*\.\.\s*{DURATION})?$")),
        Kind::Rate => pattern(r"^[0-9]+\s*/\s*(ns|us|µs|ms|s|min|m|h|d)$"),
        Kind::Bytes => pattern(&format!("^{SIZE}$")),
        Kind::Sizes => pattern(&format!(r"^{SIZE}(\s*\.\.\s*{SIZE})?$")),
        Kind::Lines => json!({ "anyOf": [{ "type": "string" }, { "type": "array" }] }),
        Kind::Counts => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            pattern(r"^[0-9]+(\s*\.\.\s*[0-9]+)?$"),
        ] }),
        Kind::Instant => {
            pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$")
        }
        Kind::Link => json!({
            "type": "array", "items": { "type": "string", "minLength": 1 }, "minItems": 2, "maxItems": 2
        }),
        Kind::Lasts => pattern(&format!("^({DURATION}|ever)$")),
        Kind::Keep => json!({ "anyOf": [
            pattern("^(drawn|synced|torn( at .*)?)$"),
            { "type": "integer", "minimum": 0 },
        ] }),
        Kind::Config(Table::Server) => {
            for_servers(settings::<ServerConfig>(), settings::<ServerConfig>())
        }
        Kind::Config(Table::Topic) => topic_settings(path),
        Kind::Config(Table::Producer) => json!({ "anyOf": [
            closed(settings::<ProducerConfig>()),
            closed(settings::<LibrdkafkaConfig>()),
        ] }),
        Kind::Config(Table::Admin) => closed(settings::<AdminConfig>()),
        Kind::Config(Table::Consumer) => closed(settings::<ConsumerConfig>()),
        Kind::Switches => for_servers(switches(None), switches(Some(Obeys::Servers))),
        Kind::OwnSwitches => closed(switches(Some(Obeys::Consumers))),
        Kind::Era => json!({ "enum": Rules::ERAS }),
        Kind::Set => json!({ "type": "object", "propertyNames": { "pattern": "^/" } }),
        Kind::Pointer => pattern("^/"),
        Kind::Json => json!({}),
        Kind::NotBuilt(_) => json!({ "not": {} }),
    }
}

const DURATION: &str = r"[0-9]+(\.[0-9]+)?\s*(ns|us|µs|ms|s|min|m|h|d)";

const SIZE: &str = r"[0-9]+(\.[0-9]+)?\s*(B|KiB|MiB|GiB|KB|MB|GB)";

fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// Kafka's keys of one table. Kafka takes every setting as text; a file may also write it as what it is.
fn settings<C: Configs>() -> Map<String, Value> {
    let one = |key: &ConfigKey<C>| {
        let unit = match key.unit {
            "" => String::new(),
            unit => format!(" In {unit}."),
        };
        let description = format!(
            "{}{unit} Default: {}.",
            key.sentence,
            (key.get)(&C::default())
        );
        let setting =
            json!({ "type": ["string", "integer", "boolean"], "description": description });
        (key.name.to_owned(), setting)
    };
    C::KEYS.iter().map(one).collect()
}

/// An operator who alters a topic names it, and may take a setting back.
fn topic_settings(path: &str) -> Value {
    let mut keys = settings::<TopicConfig>();
    if path.ends_with("/alter-config") {
        // Or of brokers: then the keys are theirs.
        for (name, setting) in settings::<ServerConfig>() {
            keys.entry(name).or_insert(setting);
        }
        for setting in keys.values_mut() {
            setting["type"] = json!(["string", "integer", "boolean", "null"]);
        }
        let topic = json!({ "type": "string", "description": "The topic." });
        keys.insert("topic".into(), topic);
        let broker =
            json!({ "type": ["string", "integer"], "description": "A broker's number, or all." });
        keys.insert("broker".into(), broker);
    }
    closed(keys)
}

/// All switches, or those that some processes obey.
fn switches(of: Option<Obeys>) -> Map<String, Value> {
    let one = |switch: &Switch| {
        let value = json!({ "enum": switch.values, "description": switch.sentence });
        (switch.name.to_owned(), value)
    };
    let wanted = |switch: &&Switch| of.is_none_or(|of| of == switch.of);
    SWITCHES.iter().filter(wanted).map(one).collect()
}

fn closed(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Keys for all, and under the name of a server those of one.
fn for_servers(all: Map<String, Value>, one: Map<String, Value>) -> Value {
    json!({
        "type": "object",
        "properties": all,
        "patternProperties": { "^(broker|controller)-[0-9]+$": closed(one) },
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_built_is_in_the_schema_with_its_sentence() {
        let schema = scenario();
        for key in grammar::KEYS {
            if matches!(key.kind, Kind::NotBuilt(_)) {
                continue;
            }
            let mut at = &schema;
            for part in key.path.split('/').skip(1) {
                at = match part {
                    "*" if at["items"].is_object() => &at["items"],
                    "*" => &at["additionalProperties"],
                    name => &at["properties"][name],
                };
            }
            assert!(at.is_object(), "{} is not in the schema", key.path);
            assert_eq!(at["description"], *key.sentence, "{}", key.path);
        }
    }

    #[test]
    fn the_schema_has_the_settings_of_kafka_and_the_switches() {
        let schema = scenario();
        let cluster = &schema["properties"]["cluster"]["properties"];
        for key in ServerConfig::KEYS {
            assert!(cluster["config"]["properties"][key.name].is_object());
        }
        for switch in SWITCHES {
            let row = &cluster["rules"]["properties"][switch.name]["enum"];
            assert_eq!(*row, json!(switch.values));
        }
    }
}
