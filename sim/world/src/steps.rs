//! The steps of a scenario, beside the queue: a sorted list of what is due by time, triggers that wait for facts, and
//! the tape of all that was done.
//!
//! Steps fire before queue items of the same instant and draw by their own id, never by position, so that adding or
//! removing one changes nothing before it (the prefix law).

use crate::fault::{Fault, Realised};
use crate::process::ProcessId;
use crate::scenario::selector::Struck;
use crate::scenario::trigger::Trigger;
use crate::scenario::{Action, Lasts, Scenario, When};
use crate::trace::Phase;
use klab_kafka::time::{Duration, Time};
use serde::Serialize;

/// What is due by time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Due {
    /// When, since boot.
    pub at: Time,
    /// The step.
    pub step: u64,
    /// What.
    pub deed: Deed,
}

/// What can be due.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum Deed {
    /// A step's action begins.
    Begin(Action, Lasts, bool),
    /// A realised fault, from a tape.
    Replay(Realised, Lasts),
    /// A fault that lasts a while is lifted.
    Lift(Realised),
}

/// A step that waits for a fact.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Waiting {
    /// The step.
    pub step: u64,
    /// The fact.
    pub trigger: Trigger,
    /// How many more times it must be met.
    pub left: u32,
    /// How long after it.
    pub after: Duration,
    /// What then.
    pub action: Action,
    /// For how long.
    pub lasts: Lasts,
    /// It may never be met.
    pub optional: bool,
}

/// One entry of the tape: what was really done, when, and after which record if a trigger did it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// When, since boot.
    pub at: Time,
    /// The trace record that it followed at once, if a trigger made it.
    pub after: Option<u64>,
    /// The step.
    pub step: u64,
    /// What.
    pub fault: Realised,
    /// For how long.
    pub lasts: Lasts,
}

/// All steps of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Steps {
    due: Vec<Due>,
    waiting: Vec<Waiting>,
    /// Faults in force.
    active: Vec<(u64, Realised, Lasts)>,
    tape: Vec<Entry>,
    struck: Vec<(Struck, Box<[ProcessId]>)>,
}

impl Steps {
    /// Arms the steps of a scenario at the instant when the run is ready.
    pub fn arm(&mut self, scenario: &Scenario, ready: Time, mut draw: impl FnMut(u64, u64) -> u64) {
        for step in &scenario.steps {
            let begin = || Deed::Begin(step.action.clone(), step.lasts, step.optional);
            match &step.when {
                When::At(t) => {
                    let at = Time(ready.0.saturating_add_signed(t.0));
                    self.add(Due {
                        at: at.max(ready),
                        step: step.id,
                        deed: begin(),
                    });
                }
                When::Met {
                    trigger,
                    nth,
                    after,
                } => self.waiting.push(Waiting {
                    step: step.id,
                    trigger: trigger.clone(),
                    left: *nth,
                    after: *after,
                    action: step.action.clone(),
                    lasts: step.lasts,
                    optional: step.optional,
                }),
                When::Drawn { count, window } => {
                    let n =
                        u64::from(count.min) + draw(step.id, u64::from(count.max - count.min) + 1);
                    for i in 0..n {
                        let at = ready
                            + Duration(window.min + draw(step.id, window.max - window.min + 1));
                        self.add(Due {
                            at,
                            step: step.id.wrapping_add(i),
                            deed: begin(),
                        });
                    }
                }
            }
        }
    }

    /// Adds what is due at a time; of one instant in the order of step ids, so that the order of the list does not matter.
    pub fn add(&mut self, due: Due) {
        let place = self
            .due
            .partition_point(|d| (d.at, d.step) <= (due.at, due.step));
        self.due.insert(place, due);
    }

    /// When the next one is due.
    pub fn peek(&self) -> Option<Time> {
        self.due.first().map(|d| d.at)
    }

    /// Takes the next one that is due by `now`.
    pub fn take(&mut self, now: Time) -> Option<Due> {
        (self.peek()? <= now).then(|| self.due.remove(0))
    }

    /// Triggers that wait.
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    /// One trigger was met once; returns the step if that was the last time needed.
    pub fn met(&mut self, index: usize) -> Option<Waiting> {
        self.waiting[index].left -= 1;
        (self.waiting[index].left == 0).then(|| self.waiting.remove(index))
    }

    /// A fault has begun.
    pub fn began(&mut self, entry: Entry) {
        match &entry.fault {
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::Stop { who } => {
                self.struck.push((Struck::Crashed, who.clone()));
            }
            Fault::Pause { who } => self.struck.push((Struck::Paused, who.clone())),
            Fault::Cut { from, .. } | Fault::BlackHole { from, .. } => {
                self.struck.push((Struck::Cut, from.clone()))
            }
            _ => {}
        }
        if !entry.fault.is_instant() {
            if let Lasts::For(d) = entry.lasts {
                let deed = Deed::Lift(entry.fault.clone());
                self.add(Due {
                    at: entry.at + d,
                    step: entry.step,
                    deed,
                });
            }
            self.active
                .push((entry.step, entry.fault.clone(), entry.lasts));
        }
        self.tape.push(entry);
    }

    /// A fault is over; false if it was over already.
    pub fn ended(&mut self, step: u64, fault: &Realised) -> bool {
        let found = self
            .active
            .iter()
            .position(|(s, f, _)| *s == step && f == fault);
        found.map(|i| self.active.remove(i)).is_some()
    }

    /// Takes all faults in force that do not last for ever, and forgets what was still due.
    pub fn heal(&mut self) -> Vec<(u64, Realised)> {
        self.due.clear();
        let (ever, healed) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|(_, _, lasts)| *lasts == Lasts::Ever);
        self.active = ever;
        let healed: Vec<(u64, Realised, Lasts)> = healed;
        healed
            .into_iter()
            .map(|(step, fault, _)| (step, fault))
            .collect()
    }

    /// Whether anything is still due by time.
    pub fn is_quiet(&self) -> bool {
        self.due.is_empty()
    }

    /// Faults in force.
    pub fn active(&self) -> &[(u64, Realised, Lasts)] {
        &self.active
    }

    /// All that was done.
    pub fn tape(&self) -> &[Entry] {
        &self.tape
    }

    /// Whom the latest fault of a kind struck.
    pub fn latest_struck(&self, struck: Struck) -> &[ProcessId] {
        self.struck
            .iter()
            .rev()
            .find(|(s, _)| *s == struck)
            .map_or(&[], |(_, who)| who)
    }

    /// Whether a phase of the run lets steps begin.
    pub fn are_armed(phase: Phase) -> bool {
        phase == Phase::Running
    }
}
