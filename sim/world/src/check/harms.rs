//! What was done to the run, and whom it struck: so that an election, a retry or a lost copy can be laid at a fault's door.
//!
//! A death or a broken connection names its fault as its cause. An absence (no heartbeat came, no answer came) names none:
//! then a fault that lay between the two is blamed, one that lasted as long as the absence before one that passed, and the
//! latest of those.

use crate::fault::{Fault, Realised};
use crate::process::{Down, ProcessId};
use klab_kafka::ids::ConnId;
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
    /// A crash point: the record that told that it was come to, and when.
    reached: Option<(u64, Time)>,
}

impl Harm {
    /// Since which record, and when, it does harm: a crash point only when it is come to, if ever.
    pub fn begins(&self) -> Option<(u64, Time)> {
        match self.fault {
            Fault::CrashAt { .. } => self.reached,
            _ => Some((self.seq, self.at)),
        }
    }

    /// Whether it stops a process from working, a crash point included.
    pub fn stops(&self, process: ProcessId) -> bool {
        match &self.fault {
            Fault::CrashAt { who, .. } => self.reached.is_some() && who.contains(&process),
            fault => strikes(fault, process),
        }
    }

    /// Whether it lets nothing come until a time: not what only slows down, and not what takes single messages.
    fn silences_until(&self, at: Time) -> bool {
        let lasts = |grace: Duration| self.lifted.is_none_or(|lifted| lifted + grace >= at);
        match self.fault {
            Fault::Kill { .. }
            | Fault::PowerLoss { .. }
            | Fault::DiskLoss { .. }
            | Fault::FailDisk { .. }
            | Fault::CrashAt { .. }
            | Fault::Pause { .. }
            | Fault::Stop { .. }
            | Fault::Cut { .. }
            | Fault::Clog { .. }
            | Fault::Ring { .. } => lasts(SOON),
            // What vanished is missing in its connections until they are given up.
            Fault::BlackHole { .. } => lasts(PATIENCE),
            _ => false,
        }
    }

    /// Whether what began at one time was in force at another, or at most `grace` before.
    fn is_in_force_within(&self, grace: Duration, began: Time, at: Time) -> bool {
        match self.lifted {
            // A message that is to be lost waits until it comes by.
            None => {
                !matches!(self.fault, Fault::Reset { .. } | Fault::Start { .. })
                    || began + grace >= at
            }
            Some(lifted) => lifted + grace >= at,
        }
    }
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

/// A process learned that a connection of its own is gone.
#[derive(Clone, Copy, Debug)]
pub struct Break {
    /// The trace record that told it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Which one.
    pub conn: ConnId,
    /// The fault that broke it, if one did so directly.
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
    /// The connections that each process lost.
    breaks: BTreeMap<ProcessId, Vec<Break>>,
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
            reached: None,
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
            let place = self.applied.partition_point(|h| h.seq < fault);
            if let Some(harm) = self.applied.get_mut(place) {
                harm.reached = harm.reached.or(Some((seq, at)));
            }
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
    pub fn broke(&mut self, process: ProcessId, broken: Break) {
        self.breaks.entry(process).or_default().push(broken);
    }

    /// The first connection that a process lost after a record, of those that fit.
    pub fn first_break(
        &self,
        process: ProcessId,
        after: u64,
        fits: impl Fn(&Break) -> bool,
    ) -> Option<&Break> {
        let breaks = self.breaks.get(&process)?;
        let from = breaks.partition_point(|b| b.seq < after);
        breaks[from..].iter().find(|b| fits(b))
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
    /// one that let nothing come from the beginning to the end; else one that struck as the answer was due; else the latest
    /// before; else the first after. All of those that fit.
    pub fn behind_silence(
        &self,
        (asked, asked_at): (u64, Time),
        (gave_up, gave_up_at): (u64, Time),
        fits: impl Fn(&Harm) -> bool,
    ) -> Option<&Harm> {
        let fit = || self.begun(gave_up, &fits);
        let throughout =
            fit().filter(|((_, at), h)| *at <= asked_at + SOON && h.silences_until(gave_up_at));
        let throughout = latest(throughout);
        let after = fit().filter(|((seq, _), _)| asked < *seq);
        let after = after.min_by_key(|((seq, _), _)| *seq);
        let soon = after.filter(|((_, at), _)| *at <= asked_at + SOON);
        throughout
            .or(soon.map(|(_, harm)| harm))
            .or_else(|| self.latest(asked, gave_up_at, PATIENCE, &fits))
            .or(after.map(|(_, harm)| harm))
    }

    /// The latest fault that began at most `grace` before `at` and lets nothing come until then, of those that fit.
    pub fn still_silent(
        &self,
        seq: u64,
        at: Time,
        grace: Duration,
        fits: impl Fn(&Harm) -> bool,
    ) -> Option<&Harm> {
        let begun = self.begun(seq, fits);
        latest(begun.filter(|((_, since), h)| *since + grace >= at && h.silences_until(at)))
    }

    /// The latest fault that began before `seq`, was in force within `grace` of `at`, and fits.
    pub fn latest(
        &self,
        seq: u64,
        at: Time,
        grace: Duration,
        fits: impl Fn(&Harm) -> bool,
    ) -> Option<&Harm> {
        let begun = self.begun(seq, fits);
        latest(begun.filter(|((_, since), h)| h.is_in_force_within(grace, *since, at)))
    }

    /// The faults that do harm since before a record, with their beginnings, of those that fit.
    fn begun(
        &self,
        before: u64,
        fits: impl Fn(&Harm) -> bool,
    ) -> impl Iterator<Item = ((u64, Time), &Harm)> {
        let begun = |h| Some((Harm::begins(h)?, h));
        let all = self.applied.iter().filter_map(begun);
        all.filter(move |((seq, _), h)| *seq < before && fits(h))
    }
}

/// The one that began last.
fn latest<'a>(begun: impl Iterator<Item = ((u64, Time), &'a Harm)>) -> Option<&'a Harm> {
    let last = begun.max_by_key(|((seq, _), _)| *seq);
    last.map(|(_, harm)| harm)
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
