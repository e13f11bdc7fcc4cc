//! How a run ended: what was expected and what was found.
//!
//! A run is good when every expectation holds, no promise is broken that was not meant to be, every step that had to act
//! acted, and the run got quiet in time.

use std::collections::BTreeMap;
use std::fmt;

use klab_kafka::ids::TopicIdPartition;
use serde::Serialize;

use crate::census::Among;
use crate::check::Violation;
use crate::scenario::expect::{Expectation, Goal, METRICS, Measure, Metric, Scope};
use crate::scenario::quantity::show_duration;
use crate::verdict::Verdict;
use crate::view::View;
use crate::world::World;

/// How a run ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// What became of every record.
    #[serde(skip)]
    pub verdict: Verdict,
    /// Every count that a scenario can expect, over the whole run.
    pub counts: BTreeMap<&'static str, u64>,
    /// The expectations, in the order of the scenario.
    pub judged: Vec<Judged>,
    /// Promises that were broken and not meant to be.
    pub broken: Vec<Violation>,
    /// Steps whose selectors matched nothing when their time came.
    pub missed: Vec<String>,
    /// Steps whose trigger never came.
    pub never_met: Vec<String>,
    /// What was missing when a deadline passed.
    pub stuck: Option<String>,
}

/// An expectation and what was found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: Found,
    /// Whether it holds.
    pub holds: bool,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Found {
    /// So many.
    Count(u64),
    /// So long, in nanoseconds.
    Time(u64),
    /// Whether it happened at least once.
    Happened(bool),
    /// Whether the promise was broken.
    Broken(bool),
    /// Nothing counts it yet: such an expectation never holds.
    NotMeasured,
}

impl Outcome {
    /// Whether everything is as it should be.
    pub fn is_good(&self) -> bool {
        let quiet = self.missed.is_empty() && self.never_met.is_empty() && self.stuck.is_none();
        quiet && self.broken.is_empty() && self.judged.iter().all(|judged| judged.holds)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Count(count) => count.fmt(f),
            Found::Time(ns) => f.write_str(&show_duration(*ns)),
            Found::Happened(true) => f.write_str("it happened"),
            Found::Happened(false) => f.write_str("it never happened"),
            Found::Broken(true) => f.write_str("it was broken"),
            Found::Broken(false) => f.write_str("it was never broken"),
            Found::NotMeasured => f.write_str("nothing counts it yet"),
        }
    }
}

impl World {
    /// How the run ended; none if nobody watched it.
    pub fn outcome(&self) -> Option<Outcome> {
        let verdict = self.checkers()?.verdict(View::new(self));
        let expected = &self.scenario().expect;
        let judged = expected
            .iter()
            .map(|one| self.judge(one, &verdict))
            .collect::<Option<Vec<_>>>()?;
        let meant = |violation: &&Violation| {
            !expected.contains(&Expectation::Broken(violation.promise.into()))
        };
        let step = |id: u64| {
            self.scenario()
                .steps
                .iter()
                .find(|step| step.id == id)
                .map_or_else(|| id.to_string(), ToString::to_string)
        };
        let never = self
            .steps
            .waiting()
            .iter()
            .filter(|waiting| !waiting.optional);
        let counts = METRICS
            .iter()
            .filter(|(_, _, measure, _)| *measure == Measure::Count);
        let count = |(metric, name, ..): &(Metric, &'static str, Measure, &str)| {
            Some((*name, self.measure(*metric, &Scope::All, &verdict)?))
        };
        Some(Outcome {
            counts: counts.filter_map(count).collect(),
            judged,
            broken: self
                .checkers()?
                .broken()
                .iter()
                .filter(meant)
                .cloned()
                .collect(),
            missed: self.run.missed.iter().map(|id| step(*id)).collect(),
            never_met: never.map(|waiting| step(waiting.step)).collect(),
            stuck: self.run.stuck.as_ref().map(ToString::to_string),
            verdict,
        })
    }

    fn judge(&self, expectation: &Expectation, verdict: &Verdict) -> Option<Judged> {
        let census = self.census()?;
        let (found, holds) = match expectation {
            Expectation::Compare {
                metric,
                scope,
                comparator,
                value,
            } => match self.measure(*metric, scope, verdict) {
                None => (Found::NotMeasured, false),
                Some(number) if metric.measure() == Measure::Time => {
                    (Found::Time(number), comparator.holds(number, *value))
                }
                Some(number) => (Found::Count(number), comparator.holds(number, *value)),
            },
            Expectation::Sometimes(goal) => {
                let any = |metric| {
                    self.measure(metric, &Scope::All, verdict)
                        .map(|count| count > 0)
                };
                let reached = match goal {
                    Goal::RecordLost => any(Metric::LogLost),
                    Goal::RecordDuplicated => any(Metric::LogDuplicated),
                    _ => Some(census.reached(*goal)),
                };
                (
                    reached.map_or(Found::NotMeasured, Found::Happened),
                    reached == Some(true),
                )
            }
            Expectation::SometimesMet(trigger) => (
                Found::Happened(census.has_met(trigger)),
                census.has_met(trigger),
            ),
            Expectation::Broken(promise) => {
                let broken = self.breaks(promise)?;
                (Found::Happened(broken), broken)
            }
            Expectation::Kept(promise) => {
                let broken = self.breaks(promise)?;
                (Found::Broken(broken), !broken)
            }
        };
        Some(Judged {
            expected: expectation.to_string(),
            found,
            holds,
        })
    }

    /// Whether a promise is broken.
    fn breaks(&self, promise: &str) -> Option<bool> {
        let mut broken = self.checkers()?.broken().iter();
        Some(broken.any(|violation| violation.promise == promise))
    }

    fn measure(&self, metric: Metric, scope: &Scope, verdict: &Verdict) -> Option<u64> {
        let (census, among) = (self.census()?, self.among(scope));
        Some(match metric {
            Metric::Sent => census.sent(among),
            Metric::Accepted => census.accepted(among),
            Metric::Acked => census.acked(among),
            Metric::Elections => census.elections(among),
            Metric::UncleanElections => census.unclean_elections(among),
            Metric::ControllerElections => census.controller_elections(),
            Metric::Truncated => census.truncated(among),
            Metric::Retries => census.retries(among),
            Metric::ProduceP50 => census.latency(among).percentile(50).0,
            Metric::ProduceP99 => census.latency(among).percentile(99).0,
            Metric::ProduceMax => census.latency(among).max().0,
            Metric::Unavailable => census.unavailable(among, self.now()).0,
            Metric::Recovery => census.recovery(among, self.now()).0,
            of_records => return verdict.value(of_records, among),
        })
    }

    /// Whose records a scope means.
    fn among(&self, scope: &Scope) -> Among {
        let partition = |topic: &str, n: i32| {
            let id = View::new(self).partition(topic, n.max(0))?;
            Some(TopicIdPartition { partition: n, ..id })
        };
        match scope {
            Scope::All => Among::default(),
            Scope::Of(producer) => Among {
                source: self.names.find(producer).map(|p| p.0),
                partition: None,
            },
            Scope::InTopic(topic) => Among {
                source: None,
                partition: partition(topic, -1),
            },
            Scope::In(tp) => Among {
                source: None,
                partition: partition(&tp.topic, tp.partition),
            },
        }
    }
}
