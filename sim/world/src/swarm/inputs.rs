//! What a drawn run was given: keys of the grammar, kinds of selectors, settings off their defaults. Searching is blind to
//! what it never tries; so inputs are counted, not only what came of them.
//!
//! A key counts if it stands in the file that means the scenario, where what is meant anyway is left out. Whether a trigger was met
//! and whom a selector meant is not counted here: the harms of the tape are (`explore`).

use super::knobs::{Drawn, KNOBS, LIBRDKAFKA};
use crate::scenario::Scenario;
use crate::scenario::grammar::{self, KEYS, Kind, Table};
use crate::scenario::selector::{FORMS, form_of_words};
use crate::scenario::tree::{Key, Node, Value};
use std::collections::BTreeSet;

/// Something that a drawn run can be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// As it is counted.
    pub name: String,
    /// Why no drawn run has it, if none can.
    pub never: Option<&'static str>,
}

/// Keys of the grammar that drawn runs cannot use, and why: of those that begin so.
const NEVER: [(&str, &str); 13] = [
    ("/$schema", "it is for editors"),
    ("/format", "there is one format"),
    ("/teaches", "a drawn run teaches nothing"),
    ("/base", "a drawn run changes no other"),
    ("/set", "a drawn run changes no other"),
    ("/cluster/era", "there is one era so far"),
    (
        "/cluster/rules",
        "a switch that is off breaks promises on purpose; `cargo xtask switches` draws them",
    ),
    (
        "/consumers/*/rules",
        "a switch that is off breaks promises on purpose; `cargo xtask switches` draws them",
    ),
    (
        "/end/heal",
        "a run that is not healed cannot be asked for progress",
    ),
    ("/expect", "a drawn run is judged by every promise"),
    ("/try", "nobody reads a drawn run"),
    ("/tell", "nobody reads a drawn run"),
    ("/twins", "a drawn run has none"),
];

/// All inputs, in the order of their tables.
pub fn all() -> Vec<Input> {
    let keys = KEYS.iter().filter(|k| !matches!(k.kind, Kind::NotBuilt(_)));
    let keys = keys.map(|key| {
        let is_below = |prefix: &str| {
            let rest = key.path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        Input {
            name: key.path.to_owned(),
            never: NEVER.iter().find(|(p, _)| is_below(p)).map(|(_, why)| *why),
        }
    });
    let forms = FORMS.iter().map(|(form, _)| Input {
        name: format!("selector {form}"),
        never: None,
    });
    let knob = |name: String, drawn: &Drawn| Input {
        name,
        never: match drawn {
            Drawn::Never(why) => Some(why),
            _ => None,
        },
    };
    let knobs = KNOBS
        .iter()
        .map(|k| knob(setting(k.table, k.key), &k.drawn));
    let librdkafkas = LIBRDKAFKA
        .iter()
        .map(|(key, drawn)| knob(librdkafkas(key), drawn));
    let all = keys.chain(forms).chain(knobs).chain(librdkafkas);
    all.collect()
}

/// What a scenario uses.
pub fn used(scenario: &Scenario) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    walk(&scenario.to_node(), "", &mut used);
    used.remove("");
    used
}

fn setting(table: Table, key: &str) -> String {
    let table = match table {
        Table::Server => "server",
        Table::Topic => "topic",
        Table::Producer => "producer",
        Table::Consumer => "consumer",
        Table::Admin => "admin",
    };
    format!("{table} {key}")
}

fn librdkafkas(key: &str) -> String {
    format!("librdkafka {key}")
}

fn walk(node: &Node, path: &str, used: &mut BTreeSet<String>) {
    used.insert(path.to_owned());
    let kind = grammar::find(path).map(|key| key.kind);
    if let Some(Kind::Config(table)) = kind {
        return settings(node, table, used);
    }
    match &node.value {
        Value::Map(entries) => {
            let is_librdkafka = |(key, node): &(Key, Node)| {
                key.name == "client" && node.value == Value::Text("librdkafka".into())
            };
            let has_librdkafka = entries.iter().any(is_librdkafka);
            for (key, node) in entries {
                if let (true, "config", Value::Map(own)) =
                    (has_librdkafka, key.name.as_str(), &node.value)
                {
                    used.insert(below(path, &key.name));
                    used.extend(own.iter().map(|(key, _)| librdkafkas(&key.name)));
                    continue;
                }
                walk(node, &below(path, &key.name), used);
            }
        }
        Value::List(items) => {
            for item in items {
                match (&item.value, kind) {
                    (Value::Text(text), Some(Kind::Link)) => selectors(text, used),
                    // Items that the grammar has no key for are part of their list.
                    _ if grammar::find(&format!("{path}/*")).is_none() => {}
                    _ => walk(item, &below(path, "*"), used),
                }
            }
        }
        Value::Text(text) if kind == Some(Kind::Selector) => selectors(text, used),
        _ => {}
    }
}

fn below(path: &str, name: &str) -> String {
    let own = format!("{path}/{name}");
    match grammar::find(&own) {
        Some(_) => own,
        None => format!("{path}/*"),
    }
}

/// Settings of all, and of single processes by their names.
fn settings(node: &Node, table: Table, used: &mut BTreeSet<String>) {
    let Value::Map(entries) = &node.value else {
        return;
    };
    // Whose settings an operator alters.
    let table = match entries.iter().any(|(key, _)| key.name == "broker") {
        true => Table::Server,
        false => table,
    };
    for (key, value) in entries {
        match value.value {
            Value::Map(_) => settings(value, table, used),
            _ if matches!(&*key.name, "topic" | "broker") => {}
            _ => _ = used.insert(setting(table, &key.name)),
        }
    }
}

/// A selector, and its parts.
fn selectors(text: &str, used: &mut BTreeSet<String>) {
    let words: Vec<&str> = text.split_whitespace().collect();
    used.insert(format!("selector {}", form_of_words(&words)));
    if words.contains(&"and") {
        for part in words.split(|w| *w == "and") {
            used.insert(format!("selector {}", form_of_words(part)));
        }
    }
    if let ["half" | "any", "of", rest @ ..] = &words[..] {
        used.insert(format!("selector {}", form_of_words(rest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{self, Half};
    use klab_kafka::rules::Rules;

    #[test]
    fn every_reason_is_about_something_that_there_is() {
        for (prefix, _) in NEVER {
            let is_below = |k: &&grammar::Key| k.path.starts_with(prefix);
            assert!(KEYS.iter().any(|k| is_below(&k)), "{prefix}");
        }
    }

    #[test]
    fn drawn_runs_use_everything_that_they_can_and_nothing_else() {
        let mut seen = BTreeSet::new();
        for seed in 0..1_000 {
            let half = if seed % 2 == 0 {
                Half::Safe
            } else {
                Half::Free
            };
            seen.extend(used(&swarm::scenario(seed, half, &Rules::default())));
        }
        let missing: Vec<String> = all()
            .into_iter()
            .filter(|i| i.never.is_none() && !seen.contains(&i.name))
            .map(|i| i.name)
            .collect();
        assert!(missing.is_empty(), "never drawn: {missing:#?}");
        let known: BTreeSet<String> = all().into_iter().map(|i| i.name).collect();
        let unknown: Vec<&String> = seen.difference(&known).collect();
        assert!(unknown.is_empty(), "counted under no name: {unknown:#?}");
    }
}
