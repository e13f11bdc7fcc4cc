//! What was done to the run, and whom it struck: so that an election, a retry or a lost copy can be laid at a fault's door.
//!
//! A death or a broken connection names its fault as its cause. An absence (no heartbeat came, no answer came) names none:
//! then the latest fault in force that lay between the two is blamed.

use crate::fault::{Fault, Realised};
use crate::process::{Down, ProcessId};
use klab_kafka::time::{Duration, Time};
use std::collections::BTreeMap;

/// A request without an answer is still on its way so long after it was sent.
pub const SOON: Duration = Duration::secs(1);
/// A request may wait so long for its answer and be retried (N-3).
pub const PATIENCE: Duration = Duration::secs(35);

/// A fault that was applied.
#[derive(Clone, Debug)]
pub struct Harm {
    /// The trace record that told it.
    pub seq: u64,
    /// Its step.
    pub step: u64,
    /// When.
    pub at: Time,
    /// What.
    pub fault: Realised,
    /// When it was lifted.
    pub lifted: Option<Time>,
}

/// A process's end.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The trace record that told it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// How.
    pub how: Down,
    /// The fault that did it, if one did so directly.
    pub fault: Option<u64>,
}

/// All harms of a run.
#[derive(Clone, Debug, Default)]
pub struct Harms {
    /// In the order of the trace.
    pub applied: Vec<Harm>,
    /// Ends of processes.
    ends: BTreeMap<ProcessId, Vec<End>>,
    /// The records of each process's starts.
    starts: BTreeMap<ProcessId, Vec<u64>>,
    /// Records of ends and pauses, with the fault that made them.
    origins: BTreeMap<u64, u64>,
    /// When each process learned that a connection of its own is gone, and the fault that broke it, if one did.
    breaks: BTreeMap<ProcessId, Vec<(Time, Option<u64>)>>,
}

impl Harms {
    /// A fault was applied.
    pub fn apply(&mut self, seq: u64, step: u64, at: Time, fault: &Realised) {
        self.applied.push(Harm {
            seq,
            step,
            at,
            fault: fault.clone(),
            lifted: None,
        });
        self.origins.insert(seq, seq);
    }

    /// A fault was lifted.
    pub fn lift(&mut self, step: u64, at: Time, fault: &Realised) {
        let latest = self.applied.iter_mut().rev();
        let mut same = latest.filter(|h| h.step == step && h.fault == *fault);
        if let Some(harm) = same.next() {
            harm.lifted = harm.lifted.or(Some(at));
        }
    }

    /// A request was answered in its server's place.
    pub fn answered(&mut self, seq: u64, step: u64) {
        let fault = self.applied.iter().rev().find(|h| h.step == step);
        if let Some(fault) = fault {
            self.origins.insert(seq, fault.seq);
        }
    }

    /// A process began.
    pub fn start(&mut self, process: ProcessId, seq: u64) {
        self.starts.entry(process).or_default().push(seq);
    }

    /// A process ended.
    pub fn end(&mut self, process: ProcessId, seq: u64, at: Time, how: Down, cause: Option<u64>) {
        let fault = cause.and_then(|c| self.origins.get(&c).copied());
        if let Some(fault) = fault {
            self.origins.insert(seq, fault);
        }
        let end = End {
            seq,
            at,
            how,
            fault,
        };
        self.ends.entry(process).or_default().push(end);
    }

    /// A process learned that a connection is gone.
    pub fn broke(&mut self, process: ProcessId, at: Time, fault: Option<u64>) {
        self.breaks.entry(process).or_default().push((at, fault));
    }

    /// The fault behind the first connection that a process lost from one time to another; none if it lost none, or by no
    /// fault.
    pub fn first_break(&self, process: ProcessId, from: Time, to: Time) -> Option<&Harm> {
        let breaks = self.breaks.get(&process)?;
        let first = breaks.get(breaks.partition_point(|(at, _)| *at < from))?;
        (first.0 <= to).then(|| self.by_seq(first.1?))?
    }

    /// The fault that a record comes from directly: its own, an end's, a pause's.
    pub fn origin(&self, seq: u64) -> Option<u64> {
        self.origins.get(&seq).copied()
    }

    /// A fault by the record that told it.
    pub fn by_seq(&self, seq: u64) -> Option<&Harm> {
        let at = self.applied.partition_point(|h| h.seq < seq);
        self.applied.get(at).filter(|h| h.seq == seq)
    }

    /// A process's latest end before a record.
    pub fn last_end(&self, process: ProcessId, before: u64) -> Option<&End> {
        self.ends
            .get(&process)?
            .iter()
            .rev()
            .find(|e| e.seq < before)
    }

    /// Whether a process started anew between two records.
    pub fn started_between(&self, process: ProcessId, after: u64, before: u64) -> bool {
        let starts = self.starts.get(&process).map_or(&[][..], Vec::as_slice);
        starts.iter().any(|s| after < *s && *s < before)
    }

    /// The fault behind an answer that did not come, from the record of what was to be answered to that of the giving up:
    /// one that struck as the answer was due; else the latest before; else the first after. All of those that fit.
    pub fn behind_silence(
        &self,
        (asked, asked_at): (u64, Time),
        (gave_up, gave_up_at): (u64, Time),
        fits: impl Fn(&Realised) -> bool,
    ) -> Option<&Harm> {
        let is_between = |h: &&Harm| asked < h.seq && h.seq < gave_up && fits(&h.fault);
        let after = self.applied.iter().find(is_between);
        let soon = after.filter(|h| h.at <= asked_at + SOON);
        soon.or_else(|| self.latest(asked, gave_up_at, PATIENCE, &fits))
            .or(after)
    }

    /// The latest fault before `seq` that was in force within `grace` of `at` and fits.
    pub fn latest(
        &self,
        seq: u64,
        at: Time,
        grace: Duration,
        mut fits: impl FnMut(&Realised) -> bool,
    ) -> Option<&Harm> {
        let in_force = |h: &&Harm| match h.lifted {
            // A message that is to be lost waits until it comes by.
            None => {
                !matches!(h.fault, Fault::Reset { .. } | Fault::Start { .. }) || h.at + grace >= at
            }
            Some(lifted) => lifted + grace >= at,
        };
        let before = self.applied.iter().rev().filter(|h| h.seq < seq);
        before.filter(in_force).find(|h| fits(&h.fault))
    }
}

/// Whether a fault stops a process from working.
pub fn strikes(fault: &Realised, process: ProcessId) -> bool {
    match fault {
        Fault::Kill { who }
        | Fault::PowerLoss { who, .. }
        | Fault::DiskLoss { who }
        | Fault::Pause { who }
        | Fault::Stop { who }
        | Fault::SlowNode { who, .. }
        | Fault::Stall { who }
        | Fault::FailDisk { who, .. } => who.contains(&process),
        _ => false,
    }
}

/// Whether a fault lies between two processes, in either direction.
pub fn lies_between(fault: &Realised, a: ProcessId, b: ProcessId) -> bool {
    let joins = |x: &[ProcessId], y: &[ProcessId]| {
        x.contains(&a) && y.contains(&b) || x.contains(&b) && y.contains(&a)
    };
    match fault {
        Fault::Cut { from, to, .. }
        | Fault::BlackHole { from, to }
        | Fault::Reset { from, to }
        | Fault::Clog { from, to, .. }
        | Fault::DropPackets { from, to, .. }
        | Fault::SlowLink { from, to, .. } => joins(from, to),
        Fault::Ring { who } => who.contains(&a) && who.contains(&b),
        Fault::Refuse { who } | Fault::SlowAccept { who, .. } => {
            who.contains(&a) || who.contains(&b)
        }
        Fault::Hold(i)
        | Fault::Lose(i)
        | Fault::Answer { of: i, .. }
        | Fault::Throttle { of: i, .. } => joins(&i.from, &i.to),
        _ => false,
    }
}
