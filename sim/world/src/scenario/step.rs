//! What a step is called: by its own id, or by its content, never by its place in the list.

use super::error::{Mistake, quoted};
use super::quantity;
use super::selector::Known;
use super::{Condition, Family, Step};
use klab_kafka::time::Duration;
use std::collections::BTreeMap;
use std::fmt;

/// The families of drawn harm by name.
pub const FAMILIES: [(Family, &str); 11] = [
    (Family::Partition, "partition"),
    (Family::Network, "network"),
    (Family::Crash, "crash"),
    (Family::Power, "power"),
    (Family::Pause, "pause"),
    (Family::Message, "message"),
    (Family::Disk, "disk"),
    (Family::Clock, "clock"),
    (Family::Slow, "slow"),
    (Family::Answer, "answer"),
    (Family::Any, "any"),
];

/// The ids that the steps of a list get by their content. Steps of the same content are counted, so that they draw
/// differently; any other step may come and go.
pub fn ids_by_content(steps: &[Step]) -> Vec<u64> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let id = |step: &Step| {
        let line = step.to_string();
        let twins = seen.entry(line.clone()).or_default();
        *twins += 1;
        xxhash_rust::xxh3::xxh3_64_with_seed(line.as_bytes(), *twins)
    };
    steps.iter().map(id).collect()
}

impl Condition {
    /// Reads a condition and checks the names in it.
    pub fn parse(text: &str, known: &Known) -> Result<Condition, Mistake> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["isr", "of", tp, "is", size] => match size.parse() {
                Ok(size) => Ok(Condition::Isr(known.partition(tp)?, size)),
                Err(_) => Err(Mistake::new(
                    quoted(size),
                    "the number of members of the ISR",
                )),
            },
            ["time", "is", "past", time] => {
                Ok(Condition::Past(Duration(quantity::duration(time)?)))
            }
            _ => Err(Mistake::new(
                format!("the condition {}", quoted(text)),
                "such as \"isr of orders-0 is 1\" or \"time is past 20s\"",
            )),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Isr(tp, size) => write!(f, "isr of {tp} is {size}"),
            Condition::Past(time) => {
                write!(f, "time is past {}", quantity::write_duration(time.0))
            }
        }
    }
}

/// A step as one line of a file, without its id.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_node().to_line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::selector::tests::known;

    #[test]
    fn every_condition_is_read_and_written_back() {
        for text in ["isr of orders-0 is 1", "time is past 20s"] {
            let condition = Condition::parse(text, &known()).expect("a documented form");
            assert_eq!(condition.to_string(), text);
        }
    }

    #[test]
    fn a_condition_that_is_none_says_what_it_should_be() {
        let mistake = |text| Condition::parse(text, &known()).expect_err("no such condition");
        assert_eq!(
            mistake("time is past noon").found,
            quantity::duration("noon").expect_err("no duration").found
        );
        assert_eq!(
            mistake("isr is 1").expected,
            "such as \"isr of orders-0 is 1\" or \"time is past 20s\""
        );
    }
}
