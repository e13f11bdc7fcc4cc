//! Checkers: every promise has one, one file each with the promise's sentence first.
//!
//! They look at trace records only, through one common history, and work in proportion to what a step touched. Each counts
//! its opportunities: a promise that had none is *not tested*, never kept. What a setting or a harm explains is no
//! violation; what nothing explains is one, and the run goes on.

pub mod acked;
pub mod at_end;
pub mod canary;
pub mod compaction;
pub mod duplicates;
pub mod ends;
pub mod epochs;
pub mod forward;
pub mod harms;
pub mod history;
pub mod idempotence;
pub mod insync;
pub mod leaders;
pub mod life;
pub mod lineage;
pub mod matching;
pub mod offsets;
pub mod order;
pub mod phantom;
pub mod raft;
pub mod readers;
pub mod reads;
pub mod realtime;
pub mod registry;
pub mod stability;
pub mod table;

#[cfg(test)]
mod canaries;
#[cfg(test)]
mod fair;
#[cfg(test)]
pub(crate) mod story;

use crate::scenario::Heal;
use crate::trace::{Handled, Phase, ProcessFact, Record, What};
use crate::verdict::log::{Judged, judge};
use crate::verdict::{FindingKind, Verdict};
use crate::view::View;
use history::{Change, History};
use klab_kafka::event::Event;
use klab_kafka::ids::{RecordId, TopicIdPartition};
use serde::Serialize;
use std::sync::Arc;

use crate::process::ProcessId;

/// A promise that Kafka makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    /// Its name in scenarios and verdicts.
    pub name: &'static str,
    /// What is promised.
    pub sentence: &'static str,
    /// Its ids in the catalogues of invariants and failures.
    pub ids: &'static str,
    /// What makes its checker bark.
    pub canary: &'static str,
}

/// All promises, in the order in which a verdict lists them.
pub const ALL: [Promise; 21] = [
    acked::PROMISE,
    insync::PROMISE,
    matching::PROMISE,
    reads::PROMISE,
    epochs::PROMISE,
    forward::PROMISE,
    ends::PROMISE,
    realtime::PROMISE,
    leaders::PROMISE,
    registry::PROMISE,
    offsets::PROMISE,
    raft::PROMISE,
    stability::PROMISE,
    idempotence::PROMISE,
    duplicates::PROMISE,
    at_end::LOST_WRITES,
    phantom::PROMISE,
    order::PROMISE,
    at_end::ACCEPTED,
    at_end::PROGRESS,
    compaction::PROMISE,
];

/// What one step of the world brought: its records and the state after it.
pub struct Step<'a> {
    /// The records of the step, in order.
    pub records: &'a [Record],
    /// The state after it.
    pub view: View<'a>,
}

/// What a broken promise is about: two violations of one promise about one kind of thing are the same failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum About {
    /// A record of an application.
    Record(RecordId),
    /// A partition.
    Partition(TopicIdPartition),
    /// A process.
    Process(ProcessId),
    /// The run as a whole.
    Run,
}

/// What a checker saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// About what.
    pub about: About,
    /// In one sentence.
    pub seen: String,
}

/// A broken promise.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// The record that showed it.
    pub record: u64,
    /// What it is about.
    pub about: About,
    /// What was seen, in one sentence.
    pub seen: String,
}

/// How a promise came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Kept {
    /// Its name.
    pub promise: &'static str,
    /// How often it could have been broken; never: it was not tested.
    pub opportunities: u64,
    /// How often it was.
    pub broken: u64,
}

/// All checkers of a run. Cloned with every checkpoint: big tables lie in shared chunks.
#[derive(Clone, Debug, Default)]
pub struct Checkers {
    history: Option<Box<History>>,
    acked: acked::AckedSurvives,
    insync: insync::InSync,
    matching: matching::LogMatching,
    reads: reads::ConsistentRead,
    epochs: epochs::EpochsAscend,
    forward: forward::PollsGoForward,
    ends: ends::EndsAscend,
    realtime: realtime::OffsetsFollowTime,
    leaders: leaders::OneLeader,
    registry: registry::SaneRegistry,
    offsets: offsets::OffsetsOrdered,
    raft: raft::RaftSafety,
    stability: stability::StableLeadership,
    idempotence: idempotence::Idempotence,
    duplicates: duplicates::NoDuplicates,
    phantom: phantom::NoPhantom,
    order: order::Order,
    at_end: at_end::AtEnd,
    compaction: compaction::LatestKept,
    broken: Vec<Violation>,
    changes: Vec<Change>,
    /// What became of every record, once the run is over.
    judged: Option<Arc<Judged>>,
}

/// A run that breaks a promise all the time is reported so often, and counted no further.
const MOST_VIOLATIONS: usize = 1_000;

impl Checkers {
    /// Looks at a step; returns the first promise that it broke.
    pub fn observe(&mut self, step: &Step<'_>) -> Option<Violation> {
        let known = self.broken.len();
        let mut history = match self.history.take() {
            Some(history) => history,
            None => Box::new(History::new(step.view.names())),
        };
        self.judged = None;
        let mut changes = std::mem::take(&mut self.changes);
        for record in step.records {
            self.look_at(record, step.view, &mut history, &mut changes);
        }
        self.changes = changes;
        self.history = Some(history);
        self.broken.get(known).cloned()
    }

    /// All promises broken so far.
    pub fn broken(&self) -> &[Violation] {
        &self.broken
    }

    /// What is known of the run, once it has begun.
    pub fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    /// How every promise stands.
    pub fn kept(&self) -> [Kept; ALL.len()] {
        let opportunities = [
            self.acked.opportunities,
            self.insync.opportunities,
            self.matching.opportunities,
            self.reads.opportunities,
            self.epochs.opportunities,
            self.forward.opportunities,
            self.ends.opportunities,
            self.realtime.opportunities,
            self.leaders.opportunities,
            self.registry.opportunities,
            self.offsets.opportunities,
            self.raft.opportunities,
            self.stability.opportunities,
            self.idempotence.opportunities,
            self.duplicates.opportunities,
            self.at_end.reads,
            self.phantom.opportunities,
            self.order.opportunities,
            self.at_end.accepted,
            self.at_end.mended,
            self.compaction.opportunities,
        ];
        let mut kept = ALL.iter().zip(opportunities);
        std::array::from_fn(|_| {
            let (promise, opportunities) = kept.next().expect("as many as there are promises");
            let own = self.broken.iter().filter(|v| v.promise == promise.name);
            Kept {
                promise: promise.name,
                opportunities,
                broken: own.count() as u64,
            }
        })
    }

    /// What became of every record.
    pub fn verdict(&self, view: View<'_>) -> Verdict {
        Verdict::of(self, view)
    }

    /// What became of every record, as it was judged at the run's end.
    pub(crate) fn judged(&self) -> Option<&Judged> {
        self.judged.as_deref()
    }

    /// `changes` is a buffer, empty before and after.
    fn look_at(
        &mut self,
        record: &Record,
        view: View<'_>,
        history: &mut History,
        changes: &mut Vec<Change>,
    ) {
        history.take_in(record, view, changes);
        if matches!(record.what, What::Sent { .. }) {
            // Only what comes of a sending can break a promise.
            return;
        }
        // Most records change nothing.
        if !changes.is_empty() {
            for change in changes.drain(..) {
                self.change(&change, record, history, view);
            }
        }
        self.record(record, history, view);
        if matches!(record.what, What::Phase(Phase::Done)) {
            self.end(record, history, view);
        }
    }

    /// Shows a change to the promises that it can tell something about.
    fn change(&mut self, change: &Change, record: &Record, history: &History, view: View<'_>) {
        let scenario = view.scenario();
        let broken = &mut self.broken;
        let mut note = |promise, seen| note(broken, promise, record, seen);
        match change {
            // What happens with every batch: only some look at it.
            Change::Grew { .. } => {
                note(&matching::PROMISE, self.matching.change(change, history));
                note(&offsets::PROMISE, self.offsets.change(change, history));
                note(&raft::PROMISE, self.raft.change(change, history));
            }
            Change::HighWatermark { .. } => {
                note(&insync::PROMISE, self.insync.change(change, history));
                note(&matching::PROMISE, self.matching.change(change, history));
                note(&offsets::PROMISE, self.offsets.change(change, history));
                note(&raft::PROMISE, self.raft.change(change, history));
                let seen = self.idempotence.change(change, history);
                note(&idempotence::PROMISE, seen);
                let seen = self.duplicates.change(change, history, scenario);
                note(&duplicates::PROMISE, seen);
                let seen = self.order.change(change, history, scenario);
                note(&order::PROMISE, seen);
            }
            Change::Led { .. } => {
                note(&acked::PROMISE, self.acked.change(change, history));
                note(&reads::PROMISE, self.reads.change(change, history));
                self.realtime.change(change, history);
                note(&leaders::PROMISE, self.leaders.change(change, history));
                note(&raft::PROMISE, self.raft.change(change, history));
                let seen = self.idempotence.change(change, history);
                note(&idempotence::PROMISE, seen);
                let seen = self.order.change(change, history, scenario);
                note(&order::PROMISE, seen);
            }
            Change::Compacted { .. } => {
                let seen = self.compaction.change(change, history);
                note(&compaction::PROMISE, seen);
            }
            Change::Registered { .. } | Change::Fenced { .. } => {
                note(&registry::PROMISE, self.registry.change(change, history));
            }
            Change::IsrChanged { .. } | Change::Shrank { .. } => {
                note(&insync::PROMISE, self.insync.change(change, history));
            }
            Change::Start { .. } => {
                note(&offsets::PROMISE, self.offsets.change(change, history));
            }
            Change::Elected { .. } => {}
        }
    }

    /// Shows a record to the promises that such a record can tell something about.
    fn record(&mut self, record: &Record, history: &History, view: View<'_>) {
        let scenario = view.scenario();
        let broken = &mut self.broken;
        let mut note = |promise, seen| note(broken, promise, record, seen);
        match &record.what {
            What::Told(Event::Replica(..)) => {
                note(&acked::PROMISE, self.acked.record(record, history));
            }
            What::Told(Event::Client(..)) => {
                note(&reads::PROMISE, self.reads.record(record, history));
                note(&epochs::PROMISE, self.epochs.record(record, history));
                note(&forward::PROMISE, self.forward.record(record, history));
                let seen = self.ends.record(record, history, scenario);
                note(&ends::PROMISE, seen);
                let seen = self.realtime.record(record, history, scenario);
                note(&realtime::PROMISE, seen);
                note(&phantom::PROMISE, self.phantom.record(record, history));
            }
            What::Told(Event::Raft(..)) | What::Process(_) => {
                if let (What::Process(ProcessFact::Started { .. }), Some(p)) =
                    (&record.what, record.process)
                {
                    self.ends.forget(p);
                }
                note(&raft::PROMISE, self.raft.record(record, history));
                let seen = self.stability.record(record, history, scenario);
                note(&stability::PROMISE, seen);
            }
            What::Handled(Handled::Response { .. }) => {
                let seen = self.stability.record(record, history, scenario);
                note(&stability::PROMISE, seen);
            }
            _ => {}
        }
    }

    /// The run is over: what is lost now stays lost.
    fn end(&mut self, record: &Record, history: &History, view: View<'_>) {
        let heals = view.scenario().end.heal == Heal::All;
        let stuck = self.at_end.judge(history, heals, view.stuck());
        note(&mut self.broken, &at_end::PROGRESS, record, stuck);
        let judged = judge(history, view.scenario());
        for finding in judged.findings.iter().filter(|f| f.explanation.is_none()) {
            let promise = match finding.kind {
                FindingKind::Lost => &acked::PROMISE,
                FindingKind::AcceptedLost => &at_end::ACCEPTED,
                FindingKind::ReadLost
                | FindingKind::ReadMissed
                | FindingKind::ReadStale
                | FindingKind::ReadAgain
                | FindingKind::ReadDisorder => &at_end::LOST_WRITES,
                // These have been seen when they were committed.
                FindingKind::Duplicated | FindingKind::Reordered => continue,
            };
            let seen = Seen {
                about: About::Record(finding.record),
                seen: format!(
                    "{} {}; no setting and no harm explains it",
                    history.record_name(finding.record),
                    finding.kind.is_what(),
                ),
            };
            note(&mut self.broken, promise, record, Some(seen));
        }
        self.judged = Some(Arc::new(judged));
    }
}

/// What a checker saw goes on the list, if it saw something.
fn note(broken: &mut Vec<Violation>, promise: &Promise, record: &Record, seen: Option<Seen>) {
    let Some(seen) = seen.filter(|_| broken.len() < MOST_VIOLATIONS) else {
        return;
    };
    broken.push(Violation {
        promise: promise.name,
        record: record.seq,
        about: seen.about,
        seen: seen.seen,
    });
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} is broken (#{}): {}",
            self.promise, self.record, self.seen
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_has_a_name_a_sentence_ids_and_a_canary() {
        for (at, promise) in ALL.iter().enumerate() {
            assert!(promise.sentence.ends_with('.'), "{}", promise.name);
            assert!(!promise.ids.is_empty());
            assert!(!promise.canary.is_empty());
            assert!(ALL[..at].iter().all(|p| p.name != promise.name));
        }
    }

    #[test]
    fn a_promise_that_had_no_chance_is_not_tested() {
        let kept = Checkers::default().kept();
        assert!(kept.iter().all(|k| k.opportunities == 0 && k.broken == 0));
    }
}
