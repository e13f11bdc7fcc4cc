//! What callgrind counted: instructions by function, without those of the functions it called.
//!
//! What is left out of the format: other events than instructions, and who called whom.

use std::collections::BTreeMap;

/// Instructions by function.
#[derive(Debug, Default, PartialEq)]
pub struct Costs(BTreeMap<String, u64>);

impl Costs {
    /// Reads callgrind's output: `fn=(7) name` begins a function (the name stands only the first time), then each line of numbers ends
    /// with a cost; the one after `calls=` is the callee's.
    pub fn read(text: &str) -> Costs {
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        let mut costs = Costs::default();
        let mut function = "";
        let mut of_callee = false;
        for line in text.lines() {
            if let Some(called) = line.strip_prefix("cfn=") {
                name_of(called, &mut names);
            } else if let Some(begun) = line.strip_prefix("fn=") {
                function = name_of(begun, &mut names);
            } else if line.starts_with("calls=") {
                of_callee = true;
            } else if let Some(cost) = cost_of(line) {
                if !of_callee {
                    *costs.0.entry(function.to_owned()).or_default() += cost;
                }
                of_callee = false;
            }
        }
        costs
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// What stands here beyond `other`; nothing where `other` has more.
    pub fn beyond(&self, other: &Costs) -> Costs {
        let beyond = |(name, cost): (&String, &u64)| {
            let less = other.0.get(name).copied().unwrap_or(0);
            (name.clone(), cost.saturating_sub(less))
        };
        Costs(self.0.iter().map(beyond).collect())
    }

    /// The functions that cost most, the largest first.
    pub fn largest(&self, count: usize) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self
            .0
            .iter()
            .map(|(name, cost)| (name.as_str(), *cost))
            .collect();
        all.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        all.truncate(count);
        all
    }
}

/// `(7) name` defines 7, `(7)` refers to it.
fn name_of<'a>(reference: &'a str, names: &mut BTreeMap<&'a str, &'a str>) -> &'a str {
    let (number, name) = reference.split_once(' ').unwrap_or((reference, ""));
    if !name.is_empty() {
        names.insert(number, name);
    }
    names.get(number).copied().unwrap_or(reference)
}

/// `+3 12`, `* 12`, `145 12`: a position and a cost.
fn cost_of(line: &str) -> Option<u64> {
    let (position, cost) = line.split_once(' ')?;
    let is_position = position.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c));
    is_position.then(|| cost.parse().ok())?
}

#[test]
fn a_function_pays_for_itself_and_not_for_its_callees() {
    let text = "events: Ir\nfl=(1) a.rs\nfn=(1) outer\n10 5\n+2 7\ncfn=(2) inner\ncalls=3 20\n* 300\n12 1\n\nfn=(2)\n20 300\n\nfn=(1)\n* 2\n";
    let costs = Costs::read(text);
    assert_eq!(costs.largest(9), [("inner", 300), ("outer", 15)]);
    assert_eq!(costs.total(), 315);
}

#[test]
fn two_runs_differ_by_function() {
    let costs = |outer: u64, inner: u64| {
        Costs([("outer".to_owned(), outer), ("inner".to_owned(), inner)].into())
    };
    assert_eq!(costs(30, 500).beyond(&costs(30, 200)), costs(0, 300));
}
