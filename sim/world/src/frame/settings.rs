//! The settings that a scenario offers to change, with the value that each has now.

use crate::scenario::Scenario;
use serde::Serialize;

/// A setting of a scenario's `try` list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Setting {
    /// Where it stands, as a JSON Pointer.
    pub pointer: String,
    /// What a person calls it.
    pub words: String,
    /// Whose it is.
    pub of: String,
    /// Its values.
    pub values: Vec<Value>,
    /// Which of them it has, if any.
    pub now: Option<usize>,
}

/// A value of a setting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Value {
    /// As JSON.
    pub json: String,
    /// As a person writes it.
    pub words: String,
}

/// All settings that a scenario offers. A setting has a value now if setting it changes nothing.
pub fn of(scenario: &Scenario) -> Vec<Setting> {
    let tries = scenario.tries.iter();
    tries
        .map(|one| {
            let is_now = |json: &str| {
                let set = [(one.set.to_string(), json.to_string())];
                scenario.with(&set).is_ok_and(|same| same == *scenario)
            };
            let (of, words) = name(&one.set);
            Setting {
                now: one.to.iter().position(|json| is_now(json)),
                pointer: one.set.to_string(),
                words,
                of,
                values: one.to.iter().map(|json| value(json)).collect(),
            }
        })
        .collect()
}

fn value(json: &str) -> Value {
    let words = match serde_json::from_str(json) {
        Ok(serde_json::Value::String(text)) => text,
        _ => json.to_string(),
    };
    Value {
        json: json.to_string(),
        words,
    }
}

/// `/producers/shop/config/acks` is `acks` of `shop`; `/cluster/config/…` is the cluster's.
fn name(pointer: &str) -> (String, String) {
    let plain = |part: &str| part.replace("~1", "/").replace("~0", "~");
    let parts: Vec<String> = pointer.split('/').skip(1).map(plain).collect();
    let of = match parts.first().map(String::as_str) {
        Some("producers" | "topics" | "consumers") => parts.get(1).cloned(),
        Some("steps") => parts.get(1).map(|n| format!("step {n}")),
        other => other.map(str::to_owned),
    };
    (
        of.unwrap_or_default(),
        parts.last().cloned().unwrap_or_default(),
    )
}
