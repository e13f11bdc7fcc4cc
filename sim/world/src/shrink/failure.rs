//! What a run failed at, so that a smaller run can be asked whether it fails at the same.
//!
//! Two failures are the same when they break the same promise about the same kind of thing, or miss the same expectation;
//! the words in which a checker tells of it may differ, and so may the record, the partition and the time.

use super::Failing;
use crate::check::{About, Violation};
use crate::scenario::Scenario;
use crate::scenario::expect::{Comparator, Expectation, Metric, Scope};
use crate::swarm::leaves_nothing_to_explain;
use crate::view::View;
use crate::world::World;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// What a run failed at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A promise was broken, about a thing of this kind.
    Promise(&'static str, Kind),
    /// Something that was expected does not hold.
    Expected(Expectation),
    /// The run did not get quiet in time.
    Stuck,
}

/// What a broken promise is about, whichever it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Kind {
    /// A record of an application.
    Record,
    /// A partition.
    Partition,
    /// A process.
    Process,
    /// The run as a whole.
    Run,
}

impl Kind {
    fn of(about: &About) -> Kind {
        match about {
            About::Record(_) => Kind::Record,
            About::Partition(_) => Kind::Partition,
            About::Process(_) => Kind::Process,
            About::Run => Kind::Run,
        }
    }
}

impl Failure {
    /// What a finished run failed at: the first promise that it broke, whether or not its author meant it to; else the
    /// first expectation that does not hold; else that it did not get quiet. Of a drawn run whose settings leave nothing
    /// to explain, also a record that was lost, doubled or out of order. None if it is good.
    pub fn of(world: &World) -> Option<Failure> {
        let first = world.checkers()?.broken().first();
        let promise = first.map(|v| Failure::Promise(v.promise, Kind::of(&v.about)));
        let outcome = world.outcome()?;
        let mut judged = world.scenario().expect.iter().zip(&outcome.judged);
        let expected = || {
            let (missed, _) = judged.find(|(_, judged)| !judged.holds)?;
            Some(Failure::Expected(missed.clone()))
        };
        let stuck = || world.stuck().map(|_| Failure::Stuck);
        promise
            .or_else(expected)
            .or_else(|| unsafe_half(world))
            .or_else(stuck)
    }

    /// What a file says that expects this not to happen; a run that does not get quiet fails without a word.
    pub fn expectation(&self) -> Option<Expectation> {
        match self {
            Failure::Promise(promise, _) => Some(Expectation::Kept((*promise).into())),
            Failure::Expected(expectation) => Some(expectation.clone()),
            Failure::Stuck => None,
        }
    }

    /// Whether a run of this scenario fails in the same way. It goes no further than it must.
    pub fn is_of(&self, scenario: &Arc<Scenario>, seed: u64) -> Option<Failing> {
        let mut world = super::world(scenario.clone(), seed);
        let found = match self {
            Failure::Promise(promise, kind) => loop {
                let broken = world.checkers().expect("it is watched").broken();
                let same = |v: &&Violation| v.promise == *promise && Kind::of(&v.about) == *kind;
                if broken.iter().any(|v| same(&v)) {
                    break true;
                }
                if !world.step() {
                    break false;
                }
            },
            Failure::Expected(expectation) => {
                world.run_to_end();
                let outcome = world.outcome().expect("it is watched");
                let text = expectation.to_string();
                outcome
                    .judged
                    .iter()
                    .any(|j| j.expected == text && !j.holds)
            }
            Failure::Stuck => {
                world.run_to_end();
                world.stuck().is_some()
            }
        };
        // A cluster that never was ready fails at something else.
        let ready = View::new(&world).ready()?;
        found.then(|| Failing {
            at: world.now().since(ready),
        })
    }
}

fn unsafe_half(world: &World) -> Option<Failure> {
    if !leaves_nothing_to_explain(world.scenario()) {
        return None;
    }
    let verdict = world.checkers()?.verdict(View::new(world));
    let metrics = [Metric::LogLost, Metric::LogDuplicated, Metric::LogReordered];
    let found = metrics
        .into_iter()
        .find(|m| verdict.value(*m, crate::census::Among::default()) > Some(0))?;
    Some(Failure::Expected(Expectation::Compare {
        metric: found,
        scope: Scope::All,
        comparator: Comparator::Is,
        value: 0,
    }))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Promise(promise, kind) => {
                let kind = match kind {
                    Kind::Record => "a record",
                    Kind::Partition => "a partition",
                    Kind::Process => "a process",
                    Kind::Run => "the run",
                };
                write!(f, "broken promise, {promise}, about {kind}")
            }
            Failure::Expected(expectation) => write!(f, "not so: {expectation}"),
            Failure::Stuck => f.write_str("the run did not get quiet in time"),
        }
    }
}
