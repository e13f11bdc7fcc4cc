//! The schemas in the repository: the one of scenarios is the one that the grammar makes, every scenario keeps to it, and what
//! `--json` prints keeps to the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Validator;
use klab_world::scenario::tree::Node;
use klab_world::scenario::{Scenario, library, schema};
use serde_json::{Value, json};

fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository(file)).unwrap_or_else(|why| panic!("{file}: {why}"))
}

/// What klab prints on its last line.
fn told(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_klab")).args(args).output();
    let output = output.expect("klab was built");
    String::from_utf8(output.stdout).expect("klab prints UTF-8")
}

fn json_of(args: &[&str]) -> Value {
    let told = told(args);
    serde_json::from_str(&told).unwrap_or_else(|why| panic!("klab {args:?}: {why}: {told}"))
}

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).expect("the schema is one")
}

fn holds(validator: &Validator, what: &str, value: &Value) {
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
}

/// A scenario's text without its comments.
fn plain(text: &str) -> Value {
    let node = Node::parse(text, 0).unwrap_or_else(|_| panic!("no JSON: {text}"));
    serde_json::from_str(&node.to_line()).expect("a tree is written as JSON")
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_the_grammar_makes() {
    let made = schema::text(&schema::scenario());
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(repository("schema/scenario.json"), &made).expect("the folder is there");
    }
    assert!(
        made == read("schema/scenario.json"),
        "cargo xtask bless writes it anew"
    );
    assert_eq!(told(&["schema"]), made);
    assert_eq!(told(&["schema", "--output"]), read("schema/output.json"));
}

#[test]
fn every_scenario_names_the_schema_and_keeps_to_it_and_so_does_its_export() {
    let validator = validator(&schema::scenario());
    for entry in library::ALL {
        let value = plain(entry.text);
        holds(&validator, entry.name, &value);
        let named = value["$schema"].as_str().expect("it names the schema");
        let folder = repository("scenarios").join(entry.name);
        let folder = folder.parent().expect("it lies in a folder");
        assert!(folder.join(named).is_file(), "{}: {named}", entry.name);
        let scenario = Scenario::parse(entry.name, entry.text);
        let scenario = scenario.unwrap_or_else(|errors| panic!("{errors}"));
        holds(&validator, entry.name, &plain(&scenario.export()));
        for twin in &scenario.twins {
            holds(&validator, &twin.title, &plain(&twin.scenario.export()));
        }
    }
}

#[test]
fn the_schema_refuses_slips_that_the_decoder_refuses() {
    let validator = validator(&schema::scenario());
    let slips = [
        json!({}),
        json!({ "title": "t", "stepps": [] }),
        json!({ "title": "t", "cluster": { "brokers": 0 } }),
        json!({ "title": "t", "cluster": { "rules": { "truncate": "sometimes" } } }),
        json!({ "title": "t", "cluster": { "config": { "unclean.leader.election": true } } }),
        json!({ "title": "t", "network": { "latency": "2" } }),
        json!({ "title": "t", "topics": { "orders": {} }, "producers": { "shop": { "topic": "orders" } } }),
        json!({ "title": "t", "steps": [{ "at": "1s", "cut": ["broker-1"] }] }),
    ];
    for slip in slips {
        assert!(!validator.is_valid(&slip), "{slip}");
        assert!(
            Scenario::parse("slip", &slip.to_string()).is_err(),
            "{slip}"
        );
    }
    holds(&validator, "a base", &json!({ "base": "quickstart" }));
}

#[test]
fn what_is_printed_as_json_of_every_scenario_keeps_to_its_schema() {
    let schema: Value = serde_json::from_str(&read("schema/output.json")).expect("JSON");
    let one = |name: &str| {
        let mut schema = schema.clone();
        schema["anyOf"] = json!([{ "$ref": format!("#/$defs/{name}") }]);
        validator(&schema)
    };
    let run = one("run");
    for entry in library::ALL {
        let twins = Scenario::parse(entry.name, entry.text).map_or(0, |s| s.twins.len());
        holds(&run, entry.name, &json_of(&["run", entry.name, "--json"]));
        for twin in 1..=twins {
            let twin = twin.to_string();
            let told = json_of(&["run", entry.name, "--twin", &twin, "--json"]);
            holds(&run, &format!("{} twin {twin}", entry.name), &told);
        }
    }
    let broken = json_of(&[
        "run",
        "r01",
        "--set",
        "/expect=[\"kept: acked survives\"]",
        "--json",
    ]);
    assert_eq!(broken["good"], false);
    holds(&run, "a broken promise", &broken);
    let stopped = json_of(&["run", "quickstart", "--until", "3s", "--json"]);
    holds(&run, "a run that was stopped", &stopped);

    let sweep = one("sweep");
    let wish = "/expect=[\"log.lost == 7\"]";
    let told = json_of(&[
        "sweep",
        "quickstart",
        "--seeds",
        "0..3",
        "--set",
        wish,
        "--json",
    ]);
    assert_eq!(told["kinds"][0]["why"], "log.lost == 7");
    holds(&sweep, "a sweep", &told);

    let topics = one("topics");
    let told = json_of(&["topics", "quickstart", "--at", "1s", "--json"]);
    holds(&topics, "topics", &told);
    let (alone, down) = (
        r#"/topics/orders={"replicas": [[1]]}"#,
        r#"/steps=[{"at": "1s", "crash": "broker-1"}]"#,
    );
    let args = [
        "topics",
        "quickstart",
        "--at",
        "15s",
        "--set",
        alone,
        "--set",
        down,
        "--json",
    ];
    let told = json_of(&args);
    assert_eq!(told["topics"][0]["partitions"][0]["leader"], Value::Null);
    holds(&topics, "a topic without a leader", &told);

    let swarm = one("swarm");
    let args = [
        "swarm",
        "--seeds",
        "0..50",
        "--rule",
        "truncate=hw",
        "--first",
        "--json",
    ];
    let told = json_of(&args);
    assert_ne!(told["bad"], json!([]), "a switch is turned");
    holds(&swarm, "a swarm", &told);
    assert!(!run.is_valid(&told));
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = told(&["completions", shell]);
        for word in ["shrink", "doctor", "sweep"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
