//! From the tape of a run to steps that say in so many words what was done: when, to which processes, for how long.
//!
//! A step that a trigger fired between two outputs of a process has no time of its own in a file: it is tried just before
//! and just after the instant, and where neither fails in the same way, the trigger stays and only what was done is fixed.

use crate::fault::Fault;
use crate::process::Names;
use crate::scenario::selector::Selector;
use crate::scenario::step::ids_by_content;
use crate::scenario::{Action, Lasts, Scenario, ScenarioTime, Step, When};
use crate::steps::{Entry, Taped};
use klab_kafka::time::{Duration, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

/// When a step is due whose trigger struck between two outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instant {
    /// Before anything else of that instant.
    Before,
    /// A nanosecond later.
    After,
    /// When the trigger of the step it came from is met.
    Trigger,
}

/// The steps that a tape means. `ready` is time 0.
pub fn steps(
    scenario: &Scenario,
    names: &Names,
    tape: &[Entry],
    ready: Time,
    instant: Instant,
) -> Vec<Step> {
    let one = |entry: &Entry| -> Option<Step> {
        let origin = scenario.steps.iter().find(|s| s.id == entry.step);
        let (action, lasts) = match &entry.what {
            Taped::Missed => return None,
            Taped::Admin(operation) => (Action::Admin(operation.clone()), Lasts::UntilHeal),
            Taped::Fault(fault, lasts) => {
                let named = fault.map(|who| Ok::<_, ()>(named(names, who)));
                let fault = named.expect("every process has a name");
                (Action::Fault(fault), *lasts)
            }
        };
        let at = entry.at.since(ready).0;
        let when = match (instant, entry.after, origin.map(|s| &s.when)) {
            (Instant::Trigger, Some(_), Some(when)) => when.clone(),
            (Instant::After, Some(_), _) => When::At(ScenarioTime(at as i64 + 1)),
            _ => When::At(ScenarioTime(at as i64)),
        };
        Some(Step {
            id: 0,
            when,
            action,
            lasts,
            optional: false,
        })
    };
    let mut steps: Vec<Step> = tape.iter().filter_map(one).collect();
    drop_idle_starts(&mut steps);
    name(&mut steps);
    steps
}

/// Names steps by their content, as a file does that gives no ids.
pub fn name(steps: &mut [Step]) {
    let ids = ids_by_content(steps);
    for (step, id) in steps.iter_mut().zip(ids) {
        step.id = id;
    }
}

fn named(names: &Names, who: &[crate::process::ProcessId]) -> Selector {
    let one = |p: &crate::process::ProcessId| Selector::Process(names.of(*p).into());
    match who {
        [p] => one(p),
        all if all.len() == names.iter().count() => Selector::Everyone,
        several => Selector::Several(several.iter().map(one).collect()),
    }
}

/// Takes out what started a process that nothing had ended: it did nothing.
fn drop_idle_starts(steps: &mut Vec<Step>) {
    let needed: Vec<bool> = steps.iter().map(|step| has_cause(step, steps)).collect();
    let mut needed = needed.into_iter();
    steps.retain(|_| needed.next().unwrap_or(true));
}

/// Whether every step has what it needs of the others.
pub fn is_valid(steps: &[Step]) -> bool {
    steps.iter().all(|step| has_cause(step, steps))
}

/// Whether a step has what it needs of the others: a start needs something that ended one of its processes, or may have.
fn has_cause(step: &Step, steps: &[Step]) -> bool {
    let Action::Fault(Fault::Start { who }) = &step.action else {
        return true;
    };
    let is_due_before = |a: &Step| match (&a.when, &step.when) {
        (When::At(a), When::At(b)) => a <= b,
        _ => true,
    };
    let ends = |other: &Step, name: &str| match &other.action {
        Action::Fault(
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::Stop { who }
            | Fault::FailDisk { who, .. },
        ) => mentions(who, name),
        Action::Random { .. } => true,
        Action::Fault(_) | Action::Roll { .. } | Action::Admin(_) => false,
    };
    let is_ended = |name: &Arc<str>| steps.iter().any(|s| is_due_before(s) && ends(s, name));
    let named = processes(who);
    named.is_empty() || named.iter().any(is_ended)
}

/// The processes that a selector names; none where it names a role.
pub fn processes(who: &Selector) -> BTreeSet<Arc<str>> {
    match who {
        Selector::Process(name) => [name.clone()].into(),
        Selector::Several(parts) => parts.iter().flat_map(processes).collect(),
        _ => BTreeSet::new(),
    }
}

fn mentions(who: &Selector, name: &str) -> bool {
    match who {
        Selector::Process(p) => **p == *name,
        Selector::Several(parts) => parts.iter().any(|part| mentions(part, name)),
        _ => true,
    }
}

/// When the last thing is done or ends on its own, after time 0.
pub fn last(steps: &[Step]) -> Duration {
    let end = |step: &Step| match step.when {
        When::At(at) => Duration(at.0.max(0).unsigned_abs()),
        When::Met { .. } => Duration::ZERO,
        When::Drawn { window, .. } => Duration(window.max),
    };
    steps.iter().map(end).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64, fault: Fault<Selector>) -> Step {
        Step {
            id: 0,
            when: When::At(ScenarioTime(ms * 1_000_000)),
            action: Action::Fault(fault),
            lasts: Lasts::UntilHeal,
            optional: false,
        }
    }

    #[test]
    fn a_start_is_valid_only_after_what_ended_its_process() {
        let who = || Selector::Process("broker-1".into());
        let other = || Selector::Process("broker-2".into());
        let start = || at(20, Fault::Start { who: who() });
        let kill = |ms, who| at(ms, Fault::Kill { who });
        assert!(is_valid(&[kill(10, who()), start()]));
        assert!(!is_valid(&[start()]));
        assert!(!is_valid(&[kill(10, other()), start()]));
        assert!(!is_valid(&[kill(30, who()), start()]));
        let both = Selector::Several(vec![who(), other()]);
        assert!(is_valid(&[kill(10, both), start()]));
        let mut steps = vec![start(), kill(30, who())];
        drop_idle_starts(&mut steps);
        assert_eq!(
            steps,
            [kill(30, who())],
            "a start of what was running did nothing"
        );
    }
}
