//! The steps of a scenario, beside the queue: a sorted list of what is due by time, triggers that wait for facts, and
//! the tape of all that was done.
//!
//! Steps fire before queue items of the same instant and draw by their own id, never by position, so that adding or
//! removing one changes nothing before it (the prefix law).

use crate::fault::{Fault, Realised};
use crate::process::ProcessId;
use crate::roll::Roll;
use crate::scenario::operation::Operation;
use crate::scenario::selector::Struck;
use crate::scenario::trigger::Trigger;
use crate::scenario::{Action, Condition, Lasts, Scenario, Step, When};
use crate::trace::Phase;
use klab_kafka::time::{Duration, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

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
    /// What a tape says.
    Replay(Taped),
    /// A fault that lasts a while is lifted.
    Lift(Realised),
    /// A rolling restart goes on.
    Roll(Roll),
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
    /// It counts only while this holds.
    pub only_while: Option<Condition>,
    /// What then.
    pub action: Action,
    /// For how long.
    pub lasts: Lasts,
    /// It may never be met.
    pub optional: bool,
}

/// One entry of the tape: what was really done, when, and after which record if a trigger did it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When, since boot.
    pub at: Time,
    /// The trace record that it followed at once, if a trigger made it.
    pub after: Option<u64>,
    /// The step.
    pub step: u64,
    /// What.
    pub what: Taped,
}

/// What was really done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Taped {
    /// A harm to concrete processes, for so long.
    Fault(Realised, Lasts),
    /// An operator asked for something.
    Admin(Operation),
    /// A selector matched nothing.
    Missed,
}

/// All steps of a run.
/// What still waits is not part of a digest: a tape has nothing that waits, and its run is the same run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Steps {
    #[serde(skip)]
    due: Vec<Due>,
    #[serde(skip)]
    waiting: Vec<Waiting>,
    /// Entries of a tape that follow a record at once.
    #[serde(skip)]
    replay: VecDeque<Entry>,
    /// Faults in force.
    active: Vec<(u64, Realised, Lasts)>,
    tape: Vec<Entry>,
    struck: Vec<(Struck, Box<[ProcessId]>)>,
}

impl Steps {
    /// Arms the steps of a scenario at the instant when the run is ready.
    pub fn arm(&mut self, scenario: &Scenario, ready: Time, mut draw: impl FnMut(u64, u64) -> u64) {
        for step in &scenario.steps {
            self.arm_one(step, ready, &mut draw);
        }
    }

    /// Arms one step; `draw(step, below)` draws from the step's own stream.
    pub fn arm_one(&mut self, step: &Step, ready: Time, mut draw: impl FnMut(u64, u64) -> u64) {
        let begin = || Deed::Begin(step.action.clone(), step.lasts, step.optional);
        match &step.when {
            When::At(t) => {
                let at = Time(ready.0.saturating_add_signed(t.0)).max(ready);
                self.add(Due {
                    at,
                    step: step.id,
                    deed: begin(),
                });
            }
            When::Met {
                trigger,
                nth,
                after,
                only_while,
            } => self.waiting.push(Waiting {
                step: step.id,
                trigger: trigger.clone(),
                left: *nth,
                after: *after,
                only_while: only_while.clone(),
                action: step.action.clone(),
                lasts: step.lasts,
                optional: step.optional,
            }),
            When::Drawn { count, window } => {
                let n = u64::from(count.min) + draw(step.id, u64::from(count.max - count.min) + 1);
                for i in 0..n {
                    let at =
                        ready + Duration(window.min + draw(step.id, window.max - window.min + 1));
                    self.add(Due {
                        at,
                        step: step.id.wrapping_add(i),
                        deed: begin(),
                    });
                }
            }
        }
    }

    /// Arms a tape instead of steps: the same things are done at the same times and after the same records.
    pub fn arm_tape(&mut self, tape: &[Entry]) {
        for entry in tape {
            if entry.after.is_some() {
                self.replay.push_back(entry.clone());
            } else {
                self.add(Due {
                    at: entry.at,
                    step: entry.step,
                    deed: Deed::Replay(entry.what.clone()),
                });
            }
        }
    }

    /// Takes the entry of a tape that follows this record at once.
    pub fn take_replay(&mut self, seq: u64) -> Option<Entry> {
        let is_next = self.replay.front().is_some_and(|e| e.after == Some(seq));
        is_next.then(|| self.replay.pop_front())?
    }

    /// Whether records must be looked at: a trigger or an entry of a tape waits for one.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.replay.is_empty()
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

    /// Something was done: it goes on the tape, and what lasts is remembered.
    pub fn began(&mut self, entry: Entry) {
        if let Taped::Fault(fault, lasts) = &entry.what {
            self.strike(fault);
            if !fault.is_instant() {
                if let Lasts::For(d) = lasts {
                    let deed = Deed::Lift(fault.clone());
                    self.add(Due {
                        at: entry.at + *d,
                        step: entry.step,
                        deed,
                    });
                }
                self.active.push((entry.step, fault.clone(), *lasts));
            }
        }
        self.tape.push(entry);
    }

    fn strike(&mut self, fault: &Realised) {
        match fault {
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::FailDisk { who, .. }
            | Fault::Stop { who } => {
                self.struck.push((Struck::Crashed, who.clone()));
            }
            Fault::Pause { who } => self.struck.push((Struck::Paused, who.clone())),
            Fault::Ring { who } => self.struck.push((Struck::Cut, who.clone())),
            Fault::Cut { from, .. } | Fault::BlackHole { from, .. } => {
                self.struck.push((Struck::Cut, from.clone()));
            }
            _ => {}
        }
    }

    /// A process died at a crash point.
    pub fn crashed(&mut self, p: ProcessId) {
        self.struck.push((Struck::Crashed, [p].into()));
    }

    /// A fault is over; false if it was over already.
    pub fn ended(&mut self, step: u64, fault: &Realised) -> bool {
        let found = self
            .active
            .iter()
            .position(|(s, f, _)| *s == step && f == fault);
        found.map(|i| self.active.remove(i)).is_some()
    }

    /// Takes all faults in force that do not last for ever; what was still due or waited for does not happen any more.
    pub fn heal(&mut self) -> Vec<(u64, Realised)> {
        self.due.clear();
        self.replay.clear();
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

    /// Processes that a fault in force keeps from running.
    pub fn kept_down(&self) -> Vec<ProcessId> {
        let who = |(_, fault, _): &(u64, Realised, Lasts)| match fault {
            Fault::Kill { who }
            | Fault::PowerLoss { who, .. }
            | Fault::DiskLoss { who }
            | Fault::FailDisk { who, .. }
            | Fault::CrashAt { who, .. }
            | Fault::Stop { who } => who.to_vec(),
            _ => Vec::new(),
        };
        self.active.iter().flat_map(who).collect()
    }

    /// Faults in force.
    pub fn active(&self) -> &[(u64, Realised, Lasts)] {
        &self.active
    }

    /// All that was done.
    pub fn tape(&self) -> &[Entry] {
        &self.tape
    }

    /// Whom of those that fit a fault of a kind struck last.
    pub fn latest_struck(
        &self,
        struck: Struck,
        fits: impl Fn(&ProcessId) -> bool,
    ) -> Option<ProcessId> {
        let of_kind = self.struck.iter().rev().filter(|(s, _)| *s == struck);
        let mut who = of_kind.flat_map(|(_, who)| who.iter());
        who.find(|p| fits(p)).copied()
    }

    /// Whether a phase of the run lets steps begin.
    pub fn are_armed(phase: Phase) -> bool {
        phase == Phase::Running
    }
}
