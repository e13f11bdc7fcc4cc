//! Crash points: a process dies the next time it passes one, between two of its own outputs.
//!
//! A process's outputs are applied one by one, so every point is "stop here": what came before is done, what comes after is
//! not. A point is passed at boot too, while a log is recovered.

use crate::disks::Keep;
use crate::process::{Coming, Down, ProcessId};
use crate::world::World;
use klab_kafka::context::Output;
use klab_kafka::disk::{FileId, SmallFile, Write};
use klab_kafka::ids::METADATA_TOPIC;
use serde::{Deserialize, Serialize};

/// A place between two outputs of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum CrashPoint {
    /// A batch of records is in a log's file, and its answer has not left.
    AfterAppend,
    /// A batch of the metadata log is in its file; more of the same decision may follow.
    AfterMetadataAppend,
    /// An answer is about to leave.
    BeforeAnswer,
    /// A request is about to leave.
    BeforeRequest,
    /// A request has left, and nobody has answered it.
    AfterRequest,
    /// An answer has come and is about to be looked at.
    OnAnswer,
    /// One checkpoint file is replaced, and the next one is not.
    BetweenCheckpoints,
    /// A log is cut off.
    AfterTruncation,
    /// A new leader epoch is in `leader-epoch-checkpoint`.
    AfterEpoch,
    /// A vote is in `quorum-state`, and nobody has heard of it.
    AfterVote,
    /// A new segment is made and empty.
    AfterRoll,
    /// A flush was asked for and is not done.
    BeforeFlush,
    /// The marker of a clean stop is written, and the process has not ended.
    AfterCleanMarker,
}

/// All crash points: how they are written, and what a process has done when it dies there.
pub const POINTS: [(CrashPoint, &str, &str); 13] = [
    (
        CrashPoint::AfterAppend,
        "after-append",
        "a batch of records is written, and its answer has not left",
    ),
    (
        CrashPoint::AfterMetadataAppend,
        "after-metadata-append",
        "a batch of the metadata log is written, and what follows it is not",
    ),
    (
        CrashPoint::BeforeAnswer,
        "before-answer",
        "an answer is about to leave",
    ),
    (
        CrashPoint::BeforeRequest,
        "before-request",
        "a request is about to leave",
    ),
    (
        CrashPoint::AfterRequest,
        "after-request",
        "a request has left, and nobody has answered it",
    ),
    (
        CrashPoint::OnAnswer,
        "on-answer",
        "an answer has come and is about to be looked at",
    ),
    (
        CrashPoint::BetweenCheckpoints,
        "between-checkpoints",
        "one checkpoint file is replaced, and the next one is not",
    ),
    (
        CrashPoint::AfterTruncation,
        "after-truncation",
        "a log is cut off, and nothing new is in it",
    ),
    (
        CrashPoint::AfterEpoch,
        "after-epoch",
        "a new leader epoch is in its checkpoint file",
    ),
    (
        CrashPoint::AfterVote,
        "after-vote",
        "a vote is on disk, and nobody has heard of it",
    ),
    (
        CrashPoint::AfterRoll,
        "after-roll",
        "a new segment is made and empty",
    ),
    (
        CrashPoint::BeforeFlush,
        "before-flush",
        "a flush was asked for and is not done",
    ),
    (
        CrashPoint::AfterCleanMarker,
        "after-clean-marker",
        "the marker of a clean stop is written, and the process still runs",
    ),
];

impl CrashPoint {
    /// The point of a name.
    pub fn named(name: &str) -> Option<CrashPoint> {
        let found = POINTS.iter().find(|(_, known, _)| *known == name);
        found.map(|(point, ..)| *point)
    }

    fn row(self) -> &'static (CrashPoint, &'static str, &'static str) {
        let found = POINTS.iter().find(|(point, ..)| *point == self);
        found.expect("the table is whole")
    }

    /// How it is written.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What a process has done when it dies there.
    pub fn sentence(self) -> &'static str {
        self.row().2
    }

    /// The point that is passed before an output is applied.
    fn before(output: &Output) -> Option<CrashPoint> {
        match output {
            Output::Reply { .. } => Some(CrashPoint::BeforeAnswer),
            Output::Send { .. } => Some(CrashPoint::BeforeRequest),
            _ => None,
        }
    }

    /// The point that is passed once an output is applied.
    fn after(output: &Output) -> Option<CrashPoint> {
        Some(match output {
            Output::Send { .. } => CrashPoint::AfterRequest,
            Output::Sync { .. } => CrashPoint::BeforeFlush,
            Output::Write { file, write } => match (file, write) {
                (FileId::Segment(id, _), Write::Append(_)) if id.topic == METADATA_TOPIC => {
                    CrashPoint::AfterMetadataAppend
                }
                (FileId::Segment(..), Write::Append(_)) => CrashPoint::AfterAppend,
                (FileId::Segment(..), Write::Create) => CrashPoint::AfterRoll,
                (FileId::Segment(..), Write::TruncateTo(_)) => CrashPoint::AfterTruncation,
                (FileId::LeaderEpochs(_), Write::Replace(_)) => CrashPoint::AfterEpoch,
                (FileId::QuorumState, Write::Replace(_)) => CrashPoint::AfterVote,
                (_, Write::Replace(SmallFile::Offsets(_) | SmallFile::Producers(_))) => {
                    CrashPoint::BetweenCheckpoints
                }
                (FileId::CleanShutdown, Write::Replace(_)) => CrashPoint::AfterCleanMarker,
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// Waits for processes to pass a point.
#[derive(Clone, Debug)]
pub struct Ambush {
    step: u64,
    /// The record that told of it.
    record: u64,
    /// Who has not passed it yet.
    waits_for: Vec<ProcessId>,
    /// Who has died of it.
    struck: Vec<ProcessId>,
    point: CrashPoint,
    power: Option<Keep>,
}

impl World {
    /// Lies in wait.
    pub(crate) fn lay_ambush(
        &mut self,
        step: u64,
        record: u64,
        who: &[ProcessId],
        point: CrashPoint,
        power: Option<Keep>,
    ) {
        self.ambushes.push(Ambush {
            step,
            record,
            waits_for: who.to_vec(),
            struck: Vec::new(),
            point,
            power,
        });
    }

    /// Waits no longer, and starts who died of it.
    pub(crate) fn end_ambush(&mut self, step: u64, cause: u64) {
        let of_step = |a: &Ambush| a.step == step;
        let Some(at) = self.ambushes.iter().position(of_step) else {
            return;
        };
        let ambush = self.ambushes.remove(at);
        for p in ambush.struck {
            self.start_again(p, cause);
        }
    }

    /// Whether a process dies before this output is applied.
    pub(crate) fn dies_before(&mut self, p: ProcessId, output: &Output) -> bool {
        let point = CrashPoint::before(output);
        point.is_some_and(|point| self.passes(p, point))
    }

    /// The point that a process will have passed once this output is applied, if somebody waits for it there.
    pub(crate) fn next_point(&self, p: ProcessId, output: &Output) -> Option<CrashPoint> {
        let point = CrashPoint::after(output)?;
        self.waiting_at(p, point).map(|_| point)
    }

    /// Whether a process dies before it looks at an input.
    pub(crate) fn dies_on(&mut self, p: ProcessId, input: &Coming) -> bool {
        let is_answer = matches!(
            input,
            Coming::Network(_, crate::network::Arrival::Response { .. })
        );
        is_answer && self.passes(p, CrashPoint::OnAnswer)
    }

    /// A process passes a point; true if it dies there.
    pub(crate) fn passes(&mut self, p: ProcessId, point: CrashPoint) -> bool {
        let Some(at) = self.waiting_at(p, point) else {
            return false;
        };
        let ambush = &mut self.ambushes[at];
        ambush.waits_for.retain(|q| *q != p);
        ambush.struck.push(p);
        let (record, power) = (ambush.record, ambush.power);
        self.steps.crashed(p);
        match power {
            Some(keep) => self.lose_power(p, keep, record),
            None => self.end(p, Down::Killed, record),
        }
        true
    }

    fn waiting_at(&self, p: ProcessId, point: CrashPoint) -> Option<usize> {
        let waits = |a: &Ambush| a.point == point && a.waits_for.contains(&p);
        self.ambushes.iter().position(waits)
    }
}
