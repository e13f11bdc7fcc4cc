//! klab beside Apache Kafka itself: what Kafka's own classes and brokers answered, kept under `tests/vectors` by
//! `cargo xtask oracle`, and what the engine does when asked the same.

#[path = "oracle/answers.rs"]
mod answers;
#[path = "oracle/lacks.rs"]
mod lacks;
#[path = "oracle/producer.rs"]
mod producer;
#[path = "oracle/tables.rs"]
mod tables;
#[path = "oracle/wire.rs"]
mod wire;

use serde_json::Value;
use std::path::Path;

/// What Kafka answered.
fn kept(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut whole: Value = serde_json::from_str(&text).expect("the oracle writes JSON");
    whole["vectors"].take()
}

/// The numbers of a list.
fn numbers(list: &Value) -> Vec<i64> {
    let list = list.as_array().expect("a list");
    let numbers = list.iter().map(|n| n.as_i64().expect("a number"));
    numbers.collect()
}
