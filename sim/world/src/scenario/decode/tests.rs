//! The words of each mistake, and that good files are good.

use super::*;
use crate::scenario::grammar::{self, KEYS, Missing};
use crate::scenario::{ScenarioError, Step};
use crate::swarm::{self, Half};
use klab_kafka::config::Acks;
use klab_kafka::rules::Rules;
use proptest::prelude::*;

/// A file that uses every part of the grammar.
const WHOLE: &str = r#"{
  // a comment
  "$schema": "../schema/scenario.json", "format": 1,
  "title": "All of it",
  "teaches": "the grammar",
  "start": "2026-02-03T04:05:06.789Z",
  "seed": 42,
  "network": {
    "latency": "1ms..5ms", "bandwidth": "10MiB", "tail": { "ppm": 500, "upto": "100ms" }, "loss": 20,
    "links": [{ "between": ["rack a", "rack b and shop"], "latency": "10ms..12ms", "bandwidth": "1MiB" }, { "between": ["clients", "broker-1"] }],
    "nodes": { "broker-1": { "bandwidth": "20MiB" } }
  },
  "cluster": {
    "brokers": 4, "controllers": 5, "racks": ["a", "b"], "era": "4.0",
    "rules": { "truncate": "hw", "position-validation": "off", "broker-2": { "truncate": "kip101", "prevote": "off" } },
    "config": { "unclean.leader.election.enable": true, "replica.lag.time.max.ms": "10000", "broker-3": { "replica.lag.time.max.ms": 5000 } },
    "sync": "1ms", "sync-tail": { "ppm": 20, "upto": "90ms" }
  },
  "admin": { "config": { "request.timeout.ms": 5000 } },
  "topics": {
    "payments": { "created": "later" },
    "orders": { "partitions": 2, "replication.factor": 3, "config": { "min.insync.replicas": 2 } },
    "by.hand-2": { "replicas": [[1, 2, 3], [2, 3, 4]] }
  },
  "producers": {
    "shop": { "topic": "orders", "records": 60, "rate": "40/s", "after": "1s", "unanswered": 3, "keys": 6, "tombstones": 5, "key-order": "skewed", "size": "2KiB..4KiB",
      "burst": 5, "partition": 1, "timestamp": "2026-02-03T00:00:00Z", "headers": { "trace": "on" }, "on-failure": "resend",
      "answers": "after-send", "on-restart": "resend-unconfirmed", "on-stop": "exit", "client": "java", "config": { "acks": 1, "linger.ms": 100 } },
    "till": { "topic": "by.hand-2", "records": 1, "rows": "ports", "key-field": "code", "client": "librdkafka", "polls": "at-the-end", "config": { "partitioner": "murmur2_random", "linger.ms": 50, "max.in.flight.requests.per.connection": 9 } }
  },
  "assets": { "ports": ["code,city", "LIS,Lisbon"], "airports": "airports.jsonl" },
  "consumers": { "auditor": { "assign": ["orders-0", "by.hand-2-1"], "config": { "auto.offset.reset": "earliest" }, "rules": { "position-validation": "on" } } },
  "steps": [
    { "at": "2s", "crash": "leader of orders-0", "for": "8s" },
    { "at": "2s", "crash": "broker-4", "how": "power-loss", "keep": "synced", "for": "ever" },
    { "at": "2s", "crash": "brokers", "how": "power-loss", "keep": 3 },
    { "at": "2s", "crash": "rack a", "how": "disk-loss", "optional": true },
    { "id": 2, "when": "leader of orders-0 appended offset 40", "cut": ["leader of orders-0", "controllers"], "for": "12s" },
    { "when": "shop acknowledged record 7", "nth": 2, "after": "50ms", "while": "isr of orders-0 is 1", "isolate": "any isr member of orders-0 but the leader" },
    { "at": "1ms", "cut": ["clients", "broker-1"], "how": "one-way" },
    { "at": "1ms", "black-hole": ["broker-1", "shop"] },
    { "at": "1ms", "reset": ["shop", "brokers"] },
    { "at": "1ms", "slow": ["broker-1", "broker-2"], "factor": 100 },
    { "at": "1ms", "clog": ["half of brokers", "the others"], "how": "one-way" },
    { "at": "1ms", "drop-packets": ["shop", "brokers"], "ppm": 20000, "for": "3s" },
    { "at": "1ms", "refuse": "leader of orders-0", "for": "3s" },
    { "at": "1ms", "slow-accept": "broker-2", "delay": "3s" },
    { "at": "1ms", "ring": "brokers and controllers", "for": "3s" },
    { "at": "1ms", "clock": "shop", "how": "behind", "by": "1h" },
    { "at": "1ms", "clock": "broker-1", "how": "fast", "ppm": 200, "for": "9s" },
    { "at": "1ms", "slow-node": "broker-1", "factor": 20, "for": "9s" },
    { "at": "1ms", "stall": "active controller", "for": "5s" },
    { "at": "1ms", "fail-disk": "broker-2", "how": "dead" },
    { "at": "1ms", "crash": "broker-2", "how": "power-loss", "keep": "torn at 4KiB" },
    { "at": "1ms", "answer": { "request": "Produce", "from": "clients", "to": "leader of orders-0", "with": "NOT_ENOUGH_REPLICAS", "nth": 2, "take": 3 }, "for": "9s" },
    { "at": "1ms", "throttle": { "request": "Fetch", "from": "brokers", "to": "broker-1", "by": "2s", "nth": 2, "take": 3 } },
    { "at": "1ms", "crash": "any of brokers", "point": "after-append", "for": "9s" },
    { "when": "step 2 began", "crash": "isr of orders-0", "how": "power-loss", "keep": "torn", "point": "before-answer" },
    { "at": "1ms", "roll": "brokers", "how": "kill", "down": "3s" },
    { "at": "1ms", "hold": { "request": "Fetch", "from": "followers of orders-0", "to": "leader of orders-0", "nth": 3 }, "for": "1s" },
    { "at": "1ms", "lose": { "response": "Produce", "from": "leader of orders-0", "to": "shop" } },
    { "at": "3s", "pause": "active controller", "for": "1min" },
    { "when": "broker-1 fenced", "point": "after-response", "stop": "minority of controllers" },
    { "at": "9s", "start": "the crashed broker" },
    { "at": "9s", "admin": { "alter-config": { "topic": "orders", "min.insync.replicas": 1 } } },
    { "at": "9s", "admin": { "alter-config": { "broker": 2, "message.max.bytes": 2000 } } },
    { "at": "9s", "admin": { "alter-config": { "broker": "all", "message.max.bytes": null } } },
    { "at": "9s", "admin": { "describe-config": { "broker": "all" } } },
    { "at": "9s", "admin": { "create-topic": { "topic": "orders", "partitions": 2, "replication.factor": 3, "config": { "segment.ms": 60000 }, "validate-only": true } } },
    { "at": "9s", "admin": { "create-topic": { "topic": "orders", "replicas": [[1, 2], [2, 1]] } } },
    { "at": "9s", "admin": { "delete-topic": "orders" } },
    { "at": "9s", "admin": { "add-partitions": { "topic": "orders", "count": 3, "replicas": [[1, 2, 3]], "validate-only": true } } },
    { "at": "9s", "admin": { "describe-config": { "topic": "orders" } } },
    { "at": "9s", "admin": { "elect-leaders": { "election": "unclean", "partitions": ["orders-0"] } } },
    { "at": "9s", "admin": { "elect-leaders": {} } },
    { "at": "9s", "admin": { "delete-records": { "partition": "orders-0", "before": 7 } } },
    { "random": "network", "count": "1..3", "window": "5s..30s", "for": "1s" },
    { "random": "any", "window": "5s", "budget": "none" },
    { "at": "5s", "random": "power" },
    { "window": "1s..20s", "count": 2, "pause": "broker-1", "for": "1s" }
  ],
  "end": { "at": "40s", "heal": "none", "within": "90s" },
  "expect": ["log.lost == 0", "p99(produce) <= 200ms of shop", "sometimes: leader elected", "broken: log matching"],
  "try": [{ "set": "/producers/shop/config/acks", "to": ["all", "1", "0"] }],
  "tell": ["elections", "orders-0", "shop"],
  "twins": [{ "title": "acks=all", "set": { "/producers/shop/config/acks": "all", "/steps/0/for": "ever" }, "expect": ["log.lost > 0"] }]
}"#;

fn parse(text: &str) -> Result<Scenario, ScenarioErrors> {
    Scenario::parse("a.jsonc", text)
}

/// The errors of a scenario that has only this beside its title.
fn errors(entries: &str) -> Vec<ScenarioError> {
    let text = format!("{{ \"title\": \"t\", \"topics\": {{ \"orders\": {{}} }},\n{entries} }}");
    parse(&text)
        .err()
        .map(|errors| errors.0)
        .unwrap_or_default()
}

/// What a mistake is drawn at, and its words.
fn drawn(error: &ScenarioError) -> (&str, String) {
    let text = &error.source.text[error.start as usize..error.end as usize];
    let hint = error
        .mistake
        .hint
        .as_ref()
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    (
        text,
        format!(
            "{}; expected {}{hint}",
            error.mistake.found, error.mistake.expected
        ),
    )
}

/// The first mistake stands at this text and has these words.
#[track_caller]
fn refused(entries: &str, at: &str, words: &str) {
    let errors = errors(entries);
    let first = errors
        .first()
        .unwrap_or_else(|| panic!("{entries} is good"));
    assert_eq!(drawn(first), (at, words.to_owned()));
}

#[test]
fn a_file_with_every_part_of_the_grammar_is_read_and_written_back() {
    let scenario = parse(WHOLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(scenario.steps.len(), 47);
    let exported = scenario.export();
    let again = parse(&exported).unwrap_or_else(|errors| panic!("{errors}\n{exported}"));
    assert_eq!(again, scenario);
    assert_eq!(again.export(), exported);
}

#[test]
fn the_grammar_has_no_key_that_the_whole_file_does_not_use() {
    fn walk(node: &Node, path: &str, used: &mut Vec<String>) {
        let below = |name: &str| {
            let own = format!("{path}/{name}");
            if grammar::find(&own).is_some() {
                own
            } else {
                format!("{path}/*")
            }
        };
        used.push(path.to_owned());
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .for_each(|(key, node)| walk(node, &below(&key.name), used)),
            Value::List(items) => items.iter().for_each(|node| walk(node, &below("*"), used)),
            _ => {}
        }
    }
    let mut used = Vec::new();
    walk(&Node::parse(WHOLE, 0).expect("JSON"), "", &mut used);
    let elsewhere = [
        "/base",
        "/set",
        "/steps/*/hold/response",
        "/steps/*/lose/request",
        "/steps/*/lose/nth",
    ];
    for key in KEYS
        .iter()
        .filter(|key| !matches!(key.kind, Kind::NotBuilt(_)) && !elsewhere.contains(&key.path))
    {
        assert!(
            used.iter().any(|path| path == key.path),
            "{} is not in the whole file",
            key.path
        );
    }
}

#[test]
fn every_default_of_the_grammar_is_json_and_every_key_has_a_sentence() {
    for key in KEYS {
        if let Missing::Is(text) = key.default {
            Node::parse(text, 0).unwrap_or_else(|_| panic!("the default of {}", key.path));
        }
        assert!(
            key.sentence.ends_with('.') || key.sentence.ends_with('…'),
            "{}",
            key.path
        );
    }
}

#[test]
fn a_title_is_a_scenario() {
    let scenario = parse(r#"{ "title": "t" }"#).expect("a title is enough");
    assert_eq!(
        (
            scenario.cluster.brokers,
            scenario.cluster.controllers,
            scenario.seed
        ),
        (3, 3, None)
    );
    assert_eq!(scenario.end.within, None);
    assert_eq!(scenario.export(), "{\n  \"title\": \"t\"\n}\n");
}

#[test]
fn an_unknown_key_finds_its_neighbour_or_its_home() {
    refused(
        r#""end": { "hael": "all" }"#,
        "\"hael\"",
        "unknown key \"hael\" in `end`; expected \"at\", \"heal\" or \"within\"; did you mean \"heal\"?",
    );
    refused(
        r#""consumers": { "c": { "assign": ["orders-0"], "max.poll.records": 1 } }"#,
        "\"max.poll.records\"",
        "unknown key \"max.poll.records\" in a consumer; expected \"assign\", \"config\" or \"rules\"; \"max.poll.records\" is a setting of consumers: it belongs into `config`",
    );
    let topics = &errors(r#""topcs": {}"#)[0];
    assert_eq!((topics.line, topics.column), (2, 1));
    assert_eq!(
        topics.mistake.hint.as_deref(),
        Some("did you mean \"topics\"?")
    );
}

#[test]
fn what_is_not_built_says_what_works_now() {
    for (entries, hint) in [
        (
            r#""groups": {}"#,
            "groups come with a later release; `consumers` with `assign` work now",
        ),
        (
            r#""apps": {}"#,
            "applications with their own logic come with a later release; `producers` and `consumers` work now",
        ),
        (
            r#""steps": [{ "swarm": {} }]"#,
            "swarms come with a later release; `random` in a `window` works now",
        ),
        (
            r#""expect": ["effect.duplicated == 0 in group billing"]"#,
            "groups come with a later release",
        ),
    ] {
        let mistake = &errors(entries)[0].mistake;
        assert_eq!(mistake.hint.as_deref(), Some(hint));
    }
}

#[test]
fn a_wrong_type_says_what_was_found_and_what_was_expected() {
    refused(
        r#""cluster": []"#,
        "[]",
        "a list of 0; expected an object: `{ … }`",
    );
    refused(
        r#""cluster": { "brokers": "3" }"#,
        "\"3\"",
        "the text \"3\"; expected a whole number from 1 to 200",
    );
    refused(
        r#""cluster": { "brokers": 2.5 }"#,
        "2.5",
        "the number 2.5; expected a whole number from 1 to 200",
    );
    refused(
        r#""seed": -1"#,
        "-1",
        "the number -1; expected a whole number of at least 0",
    );
    refused(
        r#""seed": 1e400"#,
        "1e400",
        "the number 1e400; expected a whole number of at least 0",
    );
    refused(
        r#""seed": 99999999999999999999"#,
        "99999999999999999999",
        "the number 99999999999999999999; expected a whole number of at least 0",
    );
    refused(
        r#""end": { "within": 5 }"#,
        "5",
        "the number 5; expected a duration with its unit, such as \"150ms\"; a quantity is a text with its unit",
    );
    refused(
        r#""end": { "heal": "al" }"#,
        "\"al\"",
        "unknown word \"al\"; expected \"all\" or \"none\"; did you mean \"all\"?",
    );
    refused(
        r#""expect": "log.lost == 0""#,
        "\"log.lost == 0\"",
        "the text \"log.lost == 0\"; expected a list: `[ … ]`",
    );
    refused(
        r#""format": 2"#,
        "2",
        "the number 2; expected a whole number from 1 to 1",
    );
}

#[test]
fn a_missing_key_is_named_with_its_sentence() {
    refused(
        r#""producers": { "shop": { "records": 1 } }"#,
        "{",
        "no \"topic\" in a producer; expected the name of a topic; Where it sends to.",
    );
    let error = parse("{}").expect_err("no title").to_string();
    assert_eq!(
        error,
        "a.jsonc:1:1: no \"title\"; expected a text in double quotes; What happens, in one line."
    );
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let topics = |topic: &str| format!(r#"{{ "title": "t", "topics": {{ "orders": {topic} }} }}"#);
    for (topic, at, words) in [
        (
            r#"{ "replication.factor": 4 }"#,
            "4",
            "replication factor 4 for 3 brokers; expected at most 3 replicas: each lies on a broker of its own",
        ),
        (
            r#"{ "replicas": [[1, 9]] }"#,
            "[1, 9]",
            "broker 9 of 3; expected brokers from 1 to 3",
        ),
        (
            r#"{ "replicas": [[1, 1]] }"#,
            "[1, 1]",
            "the same broker twice; expected each replica on a broker of its own",
        ),
        (
            r#"{ "replicas": [[1], [1, 2]] }"#,
            "[1, 2]",
            "2 replicas here and 1 before; expected the same number for every partition: Kafka insists",
        ),
        (
            r#"{ "replicas": [[]] }"#,
            "[]",
            "partition 0 without replicas; expected at least one broker",
        ),
        (
            r#"{ "replicas": [[1]], "partitions": 1 }"#,
            "1",
            "\"partitions\" beside \"replicas\"; expected one of the two: replicas by hand say how many",
        ),
        (
            r#"{ "partitions": 5001 }"#,
            "5001",
            "the number 5001; expected a whole number from 1 to 5000",
        ),
    ] {
        let errors = parse(&topics(topic)).expect_err(topic);
        assert_eq!(drawn(&errors.0[0]), (at, words.to_owned()));
    }
    refused(
        r#""consumers": { "c": { "assign": ["orders-7"] } }"#,
        "\"orders-7\"",
        "partition 7 of the topic \"orders\", which has 1; expected a partition from 0 to 0",
    );
    refused(
        r#""producers": { "shop": { "topic": "orders", "records": 1, "rate": "-2/s" } }"#,
        "\"-2/s\"",
        "\"-2/s\"; expected a rate, such as \"20/s\" or \"100/min\"",
    );
    refused(
        r#""producers": { "broker-1": { "topic": "orders", "records": 1 } }"#,
        "\"broker-1\"",
        "the name \"broker-1\", which is taken; expected another name for this application",
    );
    refused(
        r#""consumers": { "c": { "assign": ["orders-0"] } }, "producers": { "c": { "topic": "orders", "records": 1 } }"#,
        "\"c\"",
        "the name \"c\", which is taken; expected another name for this application",
    );
}

#[test]
fn each_limit_that_a_file_can_break_has_its_error() {
    let shop = |fields: &str| {
        format!(r#""producers": {{ "shop": {{ "topic": "orders", "records": 10, {fields} }} }}"#)
    };
    for (entries, words) in [
        (
            r#""cluster": { "brokers": 200 }"#.to_owned(),
            "203 processes; expected at most 200; Every process is kept in every checkpoint.",
        ),
        (
            shop(r#""size": "1GiB""#),
            "10737418240 bytes of records; expected at most 4294967296; The logs are kept in memory.",
        ),
        (
            shop(r#""rate": "1/d", "after": "95d""#),
            "106 virtual days; expected at most 100; Time is counted in nanoseconds; every duration must fit.",
        ),
        (
            r#""end": { "within": "101d" }"#.to_owned(),
            "101 virtual days; expected at most 100; Time is counted in nanoseconds; every duration must fit.",
        ),
        (
            format!(r#""tell": [{}0]"#, "0,".repeat(10_000)),
            "10001 entries in one list; expected at most 10000; Each entry is looked at while the run goes on.",
        ),
    ] {
        let errors = errors(&entries);
        assert_eq!(drawn(&errors[0]).1, words);
    }
    let deep = format!(r#""tell": {}"#, "[".repeat(100));
    assert_eq!(
        drawn(&errors(&deep)[0]).1,
        "33 objects and lists inside one another; expected at most 32; The grammar needs eight levels."
    );
    let big = " ".repeat(50 << 20);
    let error = read("big", big.as_bytes(), &[], &library::find).expect_err("too big");
    assert_eq!(
        drawn(&error.0[0]).1,
        "more than 1048576 bytes in one file; expected at most 1048576; A scenario is read by people."
    );
}

#[test]
fn rows_come_from_an_asset_that_is_there_by_a_field_that_is_there() {
    let shop = |assets: &str, fields: &str| {
        format!(
            r#""assets": {assets}, "producers": {{ "shop": {{ "topic": "orders", "records": 1, {fields} }} }}"#
        )
    };
    let code = r#"{ "ports": ["code,city", "LIS,Lisbon"] }"#;
    refused(
        &shop(code, r#""rows": "airports""#),
        "\"airports\"",
        "unknown asset \"airports\"; expected \"ports\"",
    );
    refused(
        &shop(code, r#""rows": "ports", "key-field": "iata""#),
        "\"iata\"",
        "row 1 without the field \"iata\"; expected a field that every row has",
    );
    refused(
        &shop(code, r#""key-field": "code""#),
        "\"key-field\"",
        "\"key-field\" without \"rows\"; expected the asset in `rows`",
    );
    refused(
        &shop(
            code,
            r#""client": "librdkafka", "polls": "at-the-end", "unanswered": 1"#,
        ),
        "\"unanswered\"",
        "\"unanswered\" with \"polls\": \"at-the-end\"; expected one of the two: who waits for an answer polls for it",
    );
    refused(
        r#""assets": { "ports": "nowhere.csv" }"#,
        "\"nowhere.csv\"",
        "the asset \"nowhere.csv\", which is not there; expected a file beside the scenario, or one that comes with klab",
    );
    let good = parse(&format!(
        r#"{{ "title": "t", "topics": {{ "orders": {{}} }}, {} }}"#,
        shop(
            r#"{ "airports": "airports.jsonl" }"#,
            r#""rows": "airports", "key-field": "code""#
        )
    ));
    let rows = good.expect("good").producers["shop"].rows.clone();
    let rows = rows.expect("it has rows").rows;
    assert_eq!(rows.len(), 60);
    assert_eq!(rows[0].key.as_deref(), Some(&b"ATL"[..]));
}

#[test]
fn a_kafka_setting_is_checked_against_kafkas_table() {
    let shop = |config: &str| {
        format!(
            r#""producers": {{ "shop": {{ "topic": "orders", "records": 1, "config": {config} }} }}"#
        )
    };
    refused(
        &shop(r#"{ "acks": "some" }"#),
        "\"some\"",
        "the text \"some\" for \"acks\"; expected \"all\", \"1\" or \"0\"",
    );
    refused(
        &shop(r#"{ "linger.ms": "5ms" }"#),
        "\"5ms\"",
        "the text \"5ms\" for \"linger.ms\"; expected a whole number below 2^63, in ms; Kafka's settings are plain numbers: \"linger.ms\" counts ms",
    );
    for (entries, hint) in [
        (shop(r#"{ "linger.sm": 5 }"#), "did you mean \"linger.ms\"?"),
        (
            r#""cluster": { "config": { "linger.ms": 5 } }"#.to_owned(),
            "\"linger.ms\" is a setting of producers",
        ),
        (
            r#""cluster": { "rules": { "prevot": "on" } }"#.to_owned(),
            "did you mean \"prevote\"?",
        ),
        (
            r#""cluster": { "era": "0.9" }"#.to_owned(),
            "other eras come with a later release; `rules` has the single switches",
        ),
    ] {
        assert_eq!(errors(&entries)[0].mistake.hint.as_deref(), Some(hint));
    }
    refused(
        r#""cluster": { "rules": { "broker-1": { "prevote": true } } }"#,
        "true",
        "true; expected \"on\" or \"off\"; A voter asks whether it could win before it raises the epoch (KIP-996).",
    );
}

#[test]
fn a_rule_is_taken_only_by_those_who_obey_it() {
    for (entries, hint) in [
        (
            r#""cluster": { "rules": { "broker-1": { "position-validation": "off" } } }"#,
            "consumers obey it: it belongs to one of them, or to all in `cluster`",
        ),
        (
            r#""consumers": { "c": { "assign": ["orders-0"], "rules": { "prevote": "off" } } }"#,
            "brokers and controllers obey it: it belongs into `cluster`",
        ),
    ] {
        assert_eq!(errors(entries)[0].mistake.hint.as_deref(), Some(hint));
    }
}

#[test]
fn a_consumer_follows_the_rules_of_the_cluster_unless_it_has_its_own() {
    let whole = Scenario::parse("whole", WHOLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(!whole.cluster.rules.position_validation);
    let own = whole.consumers["auditor"].rules.as_ref();
    assert!(own.expect("it has its own").position_validation);
    let same = WHOLE.replace(
        r#""position-validation": "on""#,
        r#""position-validation": "off""#,
    );
    let same = Scenario::parse("same", &same).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(same.consumers["auditor"].rules, None);
}

#[test]
fn what_kafkas_producer_refuses_is_refused() {
    let shop = |config: &str| {
        format!(
            r#""producers": {{ "shop": {{ "topic": "orders", "records": 1, "config": {config} }} }}"#
        )
    };
    for (config, at, found) in [
        (
            r#"{ "acks": "1", "enable.idempotence": true }"#,
            "\"1\"",
            "acks other than \"all\" with idempotence",
        ),
        (
            r#"{ "retries": 0, "enable.idempotence": true }"#,
            "0",
            "no retries with idempotence",
        ),
        (
            r#"{ "max.in.flight.requests.per.connection": 6 }"#,
            "6",
            "6 requests in flight with idempotence",
        ),
        (
            r#"{ "max.in.flight.requests.per.connection": 7, "acks": "1" }"#,
            "7",
            "7 requests in flight with idempotence",
        ),
        (
            r#"{ "max.in.flight.requests.per.connection": 0 }"#,
            "0",
            "too small a value",
        ),
        (
            r#"{ "delivery.timeout.ms": 100 }"#,
            "100",
            "100 ms for a delivery",
        ),
        (
            r#"{ "delivery.timeout.ms": 99, "linger.ms": 9223372036854775807 }"#,
            "99",
            "99 ms for a delivery",
        ),
    ] {
        let errors = errors(&shop(config));
        assert_eq!(
            (drawn(&errors[0]).0, errors[0].mistake.found.as_str()),
            (at, found)
        );
    }
    assert_eq!(
        errors(&shop(r#"{ "acks": "1" }"#)),
        [],
        "not set by hand: Kafka switches idempotence off (P-1)"
    );
}

#[test]
fn a_step_says_once_when_and_once_what() {
    let step = |step: &str| format!(r#""steps": [{step}]"#);
    for (text, at, words) in [
        (
            r#"{ "crash": "broker-1" }"#,
            "{",
            "a step that does not say when it acts; expected \"at\", \"when\" or \"window\"",
        ),
        (
            r#"{ "at": "1s", "when": "broker-1 crashed", "crash": "broker-1" }"#,
            "\"when\"",
            "\"when\" beside \"at\"; expected one of them: a step says once when it acts",
        ),
        (
            r#"{ "at": "1s", "crash": "broker-1", "pause": "broker-2" }"#,
            "\"pause\"",
            "\"pause\" beside \"crash\"; expected one of them: a step says once what it does",
        ),
        (
            r#"{ "at": "1s", "crash": "broker-1", "nth": 2 }"#,
            "\"nth\"",
            "\"nth\" in a step with \"at\" and \"crash\"; expected \"nth\" only beside \"when\"",
        ),
        (
            r#"{ "at": "1s", "reset": ["shop", "brokers"], "for": "1s" }"#,
            "\"shop\"",
            "unknown process \"shop\"; expected \"admin\", \"broker-1\", \"broker-2\", \"broker-3\", \"controller-1\", \"controller-2\", \"controller-3\", \"reader\", \"brokers\", \"controllers\", \"clients\" or \"everyone\"",
        ),
        (
            r#"{ "at": "1s", "crash": "broker-1", "how": "murder" }"#,
            "\"murder\"",
            "unknown way to crash \"murder\"; expected \"kill\", \"power-loss\" or \"disk-loss\"",
        ),
        (
            r#"{ "at": "1s", "crash": "broker-1", "keep": 2 }"#,
            "\"keep\"",
            "\"keep\" without a loss of power; expected `\"how\": \"power-loss\"` beside it: a kill keeps all that was written",
        ),
        (
            r#"{ "at": "1s", "cut": "broker-1" }"#,
            "\"broker-1\"",
            "one end of a link; expected two processes, such as `[\"leader of orders-0\", \"controllers\"]`; \"isolate\" cuts one process from everyone",
        ),
        (
            r#"{ "at": "60s", "crash": "broker-1" }"#,
            "\"60s\"",
            "a step after the end; expected a time before 1min, when the end begins; `end.at` says when the end begins",
        ),
        (
            r#"{ "random": "network" }"#,
            "{",
            "a step that does not say when it acts; expected \"at\", \"when\" or \"window\"",
        ),
        (
            r#"{ "at": "1s", "hold": { "request": "Fech", "from": "brokers", "to": "brokers" } }"#,
            "\"Fech\"",
            "unknown API \"Fech\"; expected one of \"Produce\", \"Fetch\", \"ListOffsets\", \"Metadata\", \"CreateTopics\", \"DeleteTopics\", \"InitProducerId\", \"OffsetForLeaderEpoch\", \"DescribeConfigs\", \"CreatePartitions\", \"ElectLeaders\", \"IncrementalAlterConfigs\", \"Vote\", \"BeginQuorumEpoch\", \"EndQuorumEpoch\", \"AlterPartition\" and 5 more; did you mean \"Fetch\"?",
        ),
        (
            r#"{ "at": "1s", "admin": { "alter-config": { "min.insync.replicas": 1 } } }"#,
            "{ \"min.insync.replicas\": 1 }",
            "no \"topic\" whose settings to change; expected the name of a topic, or \"broker\" with its number or \"all\"",
        ),
    ] {
        let errors = errors(&step(text));
        let words_then = drawn(errors.first().unwrap_or_else(|| panic!("{text} is good"))).1;
        assert_eq!((drawn(&errors[0]).0, words_then.as_str()), (at, words));
    }
}

#[test]
fn a_twin_and_a_try_must_be_scenarios_too() {
    refused(
        r#""twins": [{ "title": "x", "set": { "/cluster/brokers": 2, "/topics/orders/replication.factor": 3 } }]"#,
        "3",
        "replication factor 3 for 2 brokers; expected at most 2 replicas: each lies on a broker of its own",
    );
    refused(
        r#""try": [{ "set": "/cluster/brokers", "to": [3, 0] }]"#,
        "0",
        "the number 0; expected a whole number from 1 to 200",
    );
    refused(
        r#""try": [{ "set": "/steps/3/at", "to": ["1s"] }]"#,
        "\"/steps/3/at\"",
        "no value at \"/steps/3/at\"; expected a value that is there",
    );
}

#[test]
fn a_base_is_changed_by_set_and_by_keys_and_gets_more_steps() {
    let base = r#"{ "title": "b", "topics": { "orders": {} }, "steps": [{ "at": "1s", "crash": "broker-1" }], "seed": 7 }"#;
    let find = |name: &str| (name == "b").then(|| base.to_owned());
    let text = r#"{ "base": "b", "title": "c", "set": { "/cluster/brokers": 4 }, "steps": [{ "at": "2s", "crash": "broker-4" }] }"#;
    let scenario =
        read("c", text.as_bytes(), &[], &find).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        (
            &*scenario.title,
            scenario.seed,
            scenario.cluster.brokers,
            scenario.steps.len()
        ),
        ("c", Some(7), 4, 2)
    );
    let lonely = read("d", br#"{ "title": "d", "set": {} }"#, &[], &find).expect_err("no base");
    assert_eq!(
        drawn(&lonely.0[0]).1,
        "\"set\" without \"base\"; expected the values themselves at their places"
    );
    let strange = read("d", br#"{ "base": "x" }"#, &[], &find).expect_err("no such base");
    assert_eq!(strange.0[0].mistake.found, "unknown scenario \"x\"");
    let round = |_: &str| Some(r#"{ "base": "b" }"#.to_owned());
    let endless = read("d", br#"{ "base": "b" }"#, &[], &round).expect_err("a circle");
    assert_eq!(endless.0[0].mistake.found, "a base of a base, 4 deep");
}

#[test]
fn the_command_line_may_set_values() {
    let set = |path: &str, value: &str| {
        read(
            "a",
            WHOLE.as_bytes(),
            &[(path.into(), value.into())],
            &library::find,
        )
    };
    let scenario = set("/producers/shop/config/acks", "all").expect("a good value");
    assert_eq!(scenario.producers["shop"].config.acks.value, Acks::All);
    assert_eq!(set("/seed", "8").expect("a good value").seed, Some(8));
    let error = set("/producers/shop/config/acks", "some").expect_err("no such value");
    assert_eq!(
        error.0[0].source.name.as_ref(),
        "--set /producers/shop/config/acks"
    );
    let error = set("/sead", "8").expect_err("no such key");
    assert_eq!(
        error.0[0].mistake.hint.as_deref(),
        Some("did you mean \"seed\"?")
    );
}

#[test]
fn a_twin_is_the_same_scenario_with_one_thing_changed() {
    let scenario = parse(WHOLE).expect("good");
    let twin = &scenario.twins[0].scenario;
    assert_eq!(&*twin.title, "All of it: acks=all");
    assert_eq!(twin.producers["shop"].config.acks.value, Acks::All);
    assert_eq!(twin.expect.len(), 1);
    assert_eq!(twin.twins, []);
    assert_eq!(
        Scenario::parse("twin", &twin.export()).expect("good"),
        **twin
    );
}

#[test]
fn many_mistakes_are_found_at_once_in_the_order_of_the_file() {
    let errors = errors(r#""seed": "x", "end": { "within": "5" }, "cluster": { "brokers": 0 }"#);
    let at: Vec<&str> = errors.iter().map(|error| drawn(error).0).collect();
    assert_eq!(at, ["\"x\"", "\"5\"", "0"]);
}

#[test]
fn steps_are_named_by_their_content_and_never_by_their_place() {
    let step = |id: &str, at: &str| format!(r#"{{ {id} "at": "{at}", "crash": "broker-1" }}"#);
    let ids = |steps: &[String]| -> Vec<u64> {
        let text = format!(r#"{{ "title": "t", "steps": [{}] }}"#, steps.join(", "));
        parse(&text)
            .expect("good")
            .steps
            .iter()
            .map(|step| step.id)
            .collect()
    };
    let (one, two) = (step("", "1s"), step("", "2s"));
    let alone = ids(std::slice::from_ref(&one));
    let after = ids(&[two.clone(), one.clone()]);
    assert_eq!(alone[0], after[1], "another step before it changes nothing");
    let twice = ids(&[one.clone(), one]);
    assert_eq!(twice[0], alone[0]);
    assert_ne!(
        twice[1], alone[0],
        "steps of the same content draw differently"
    );
    assert_eq!(ids(&[step(r#""id": 7,"#, "1s"), two]), [7, after[0]]);
}

#[test]
fn a_fork_is_the_scenario_with_one_step_more() {
    let scenario = parse(WHOLE).expect("good");
    let step = scenario.steps[0].clone();
    let fork = scenario.with_step(Step { id: 0, ..step });
    let count = scenario.steps.len();
    assert_eq!(fork.steps[..count], scenario.steps[..]);
    assert_ne!(fork.steps[count].id, scenario.steps[0].id);
    assert_eq!(Scenario::parse("fork", &fork.export()).expect("good"), fork);
}

#[test]
fn what_a_seed_draws_survives_its_export() {
    for seed in 0..200 {
        for half in [Half::Safe, Half::Free] {
            let scenario = swarm::scenario(seed, half, &Rules::default());
            let file = scenario.export();
            let again =
                parse(&file).unwrap_or_else(|errors| panic!("seed {seed}: {errors}\n{file}"));
            assert_eq!(again, scenario, "seed {seed}\n{file}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any bytes, cut or changed anywhere: a scenario or mistakes, never a panic.
    #[test]
    fn a_mutated_scenario_never_panics(changes in prop::collection::vec((0usize..WHOLE.len(), prop::sample::select(vec!["", "\"", "{", "}", "[", "]", ",", "0", "-1", "null", "é", "\\", "9999999999999999999999"])), 1..4)) {
        let mut text = WHOLE.as_bytes().to_vec();
        for (at, with) in changes {
            let at = at.min(text.len().saturating_sub(1));
            text.splice(at..=at, with.bytes());
        }
        let _ = read("mutated", &text, &[], &library::find);
    }
}
