//! The verdict: what became of every record at two boundaries, the log and the reader, and whether what hurts is explained
//! or breaks a promise.
//!
//! | the application was told | in the log at the end | not in it |
//! |---|---|---|
//! | written | fine (twice: *duplicated*; behind a later one: *reordered*) | **lost** |
//! | failed | **ghost** | refused: the application knows |
//! | nothing | unknown | unknown |
//!
//! Left out: the third boundary, effects of applications, which comes with consumer groups.

#[cfg(test)]
mod bereft;
#[cfg(test)]
mod doubled;
pub mod explain;
#[cfg(test)]
mod explained;
pub mod log;
pub mod metrics;
pub mod sentence;
mod stale;
mod unanswered;

use crate::check::{Checkers, Kept, Violation};
use crate::process::Names;
use crate::trace::Phase;
use crate::view::View;
use explain::Explanation;
use klab_kafka::event::SendFailure;
use klab_kafka::ids::{Offset, RecordId, TopicIdPartition};
use klab_kafka::time::Time;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What became of every record.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verdict {
    /// The run is over; else it is the verdict so far.
    pub over: bool,
    /// The seed of the run.
    pub seed: u64,
    /// How many records the applications are to send in all.
    pub planned: u64,
    /// Every record that anybody asked for, by source and number.
    pub fates: Arc<Vec<Fate>>,
    /// What hurts.
    pub findings: Vec<Finding>,
    /// How every promise stands.
    pub promises: Vec<Kept>,
    /// Every break of a promise.
    pub broken: Vec<Violation>,
    /// Partitions that have no leader, though records depend on it.
    pub undecided: BTreeSet<TopicIdPartition>,
    /// How many records readers got.
    pub delivered: u64,
    /// Partitions by id: topic and number.
    pub partitions: BTreeMap<TopicIdPartition, (Arc<str>, i32)>,
    /// Time since boot, and when the run was ready.
    pub now: Time,
    /// When the run was ready.
    pub ready: Option<Time>,
    #[serde(skip)]
    names: Names,
}

/// One record's fate.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fate {
    /// Which.
    pub id: RecordId,
    /// Its partition, if it came that far.
    pub partition: Option<TopicIdPartition>,
    /// When `send` took it.
    pub sent: Option<Time>,
    /// What the application was told.
    pub told: Outcome,
    /// The application told its own caller that it is accepted.
    pub accepted: bool,
    /// How many times it stands in the log.
    pub copies: u64,
    /// Where, the first time.
    pub offset: Option<Offset>,
    /// The log has given it up since, as it was told to.
    pub gone: Option<Gone>,
}

/// How a log gave up a record: no loss, but not there any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Gone {
    /// `retention.ms`.
    TooOld,
    /// `retention.bytes`.
    TooMuch,
    /// DeleteRecords.
    Deleted,
    /// `cleanup.policy=compact`: a later record of its key stands for it, or its tombstone's time was over.
    Compacted,
}

impl Gone {
    /// What took it, as a sentence names it.
    pub fn by(self) -> &'static str {
        match self {
            Gone::TooOld => "retention.ms",
            Gone::TooMuch => "retention.bytes",
            Gone::Deleted => "DeleteRecords",
            Gone::Compacted => "cleanup.policy=compact",
        }
    }

    /// The predicate of a sentence about one record.
    pub fn is_what(self) -> &'static str {
        match self {
            Gone::TooOld => "was older than retention.ms, and its log gave it up",
            Gone::TooMuch => "lay beyond retention.bytes, and its log gave it up",
            Gone::Deleted => "was given up by DeleteRecords",
            Gone::Compacted => {
                "was superseded by a later record of its key, and compaction took it"
            }
        }
    }
}

/// What an application was told about a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Outcome {
    /// Nothing.
    Nothing,
    /// It is written.
    Written {
        /// When it was told.
        at: Time,
    },
    /// It failed.
    Failed {
        /// When it was told.
        at: Time,
        /// How.
        failure: SendFailure,
    },
}

/// Something that hurts.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Which record.
    pub record: RecordId,
    /// Its partition.
    pub partition: Option<TopicIdPartition>,
    /// What allowed it; nothing: a promise is broken.
    pub explanation: Option<Explanation>,
}

/// What can hurt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum FindingKind {
    /// Acknowledged, and not in the log.
    Lost,
    /// In the log more than once.
    Duplicated,
    /// In the log behind one that was sent later.
    Reordered,
    /// Accepted by the application, never acknowledged to it, and not in the log.
    AcceptedLost,
    /// In the log, and passed over by every reader.
    ReadLost,
    /// Given up by the log before any reader had come to it.
    ReadMissed,
    /// The last that a reader knows of a key whose tombstone compaction took before the reader came to it.
    ReadStale,
    /// Given to one reader more than once.
    ReadAgain,
    /// Given to a reader behind its position.
    ReadDisorder,
}

impl FindingKind {
    /// The predicate of a sentence about one record.
    pub fn is_what(self) -> &'static str {
        match self {
            FindingKind::Lost => "was acknowledged and is not in the log",
            FindingKind::Duplicated => "stands in the log more than once",
            FindingKind::Reordered => "stands behind a record that was sent later",
            FindingKind::AcceptedLost => "was accepted by its application and is not in the log",
            FindingKind::ReadLost => "is in the log, and every reader passed it over",
            FindingKind::ReadMissed => "was given up by its log before any reader had come to it",
            FindingKind::ReadStale => "is what a reader still holds of a key that is deleted",
            FindingKind::ReadAgain => "was given to one reader twice",
            FindingKind::ReadDisorder => "was given to a reader behind its position",
        }
    }
}

impl Verdict {
    /// The verdict of a run as it stands.
    pub(crate) fn of(checkers: &Checkers, view: View<'_>) -> Verdict {
        let scenario = view.scenario();
        let history = checkers.history();
        let judged = match (checkers.judged(), history) {
            (Some(judged), _) => judged.clone(),
            (None, Some(history)) => log::judge(history, scenario),
            (None, None) => log::Judged::default(),
        };
        let data = || history.into_iter().flat_map(|h| h.data());
        let topic = |id: TopicIdPartition| {
            let history = history?;
            let topic = history.image.topics.get(&id.topic).map(|t| &t.name);
            let former = || history.deleted.get(&id.topic).map(|(_, name)| name);
            Some((id, (topic.or_else(former)?.clone(), id.partition)))
        };
        Verdict {
            over: history.is_some_and(|h| h.phase == Phase::Done),
            seed: view.seed(),
            planned: scenario
                .producers
                .values()
                .map(|p| u64::from(p.records))
                .sum(),
            fates: judged.fates,
            findings: judged.findings,
            promises: checkers.kept().to_vec(),
            broken: checkers.broken().to_vec(),
            undecided: judged.undecided,
            delivered: history.map_or(0, |h| h.readers.delivered),
            partitions: data().filter_map(|(_, l)| topic(l.id)).collect(),
            now: history.map_or(Time(0), |h| h.now),
            ready: history.and_then(|h| h.ready),
            names: view.names().clone(),
        }
    }

    /// A record's name, such as `shop#41`.
    pub fn record_name(&self, id: RecordId) -> String {
        let source = crate::process::ProcessId(id.source);
        format!("{}#{}", self.names.of(source), id.number)
    }

    /// All names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// One record's fate.
    pub fn fate(&self, id: RecordId) -> Option<&Fate> {
        let at = self.fates.partition_point(|f| f.id < id);
        self.fates.get(at).filter(|f| f.id == id)
    }

    /// The findings of one kind.
    pub fn found(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |f| f.kind == kind)
    }

    /// The findings that nothing explains.
    pub fn unexplained(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.explanation.is_none())
    }
}

impl Fate {
    /// Told that it is written.
    pub fn is_acked(&self) -> bool {
        matches!(self.told, Outcome::Written { .. })
    }

    /// Told that it failed, and it is not in the log.
    pub fn is_refused(&self) -> bool {
        matches!(self.told, Outcome::Failed { .. }) && self.copies == 0
    }

    /// Told that it failed, and it is in the log.
    pub fn is_ghost(&self) -> bool {
        matches!(self.told, Outcome::Failed { .. }) && self.copies > 0
    }

    /// Told nothing.
    pub fn is_unknown(&self) -> bool {
        self.told == Outcome::Nothing
    }

    /// When the application was told, whatever it was.
    pub fn told_at(&self) -> Option<Time> {
        match self.told {
            Outcome::Nothing => None,
            Outcome::Written { at } | Outcome::Failed { at, .. } => Some(at),
        }
    }
}
