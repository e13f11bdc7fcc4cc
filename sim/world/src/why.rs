//! Why: a record's fate, or an event, in at most ten lines. Each line is an event of the trace with its number, and names
//! the edge that joins it to an earlier line.
//!
//! There are four kinds of edges. *Cause*: the event came of the same input as the earlier one, or of what followed from
//! it. *Reply*: it came of an answer to that, or of an answer by whom that elected. *Record*: both are about the same record of an application. *Absence*: the
//! earlier line tells of something that should have come and did not (a fetch, a heartbeat, an answer, a flush).
//!
//! The lines of a lost record come in this order: the send, the append, the acknowledgement, the copy that was missing, the
//! fault, the election, the truncation.

mod chain;
mod stories;
#[cfg(test)]
mod tests;

use crate::check::Checkers;
use crate::check::history::History;
use crate::line::Lexicon;
use crate::trace::{Record, What};
use crate::verdict::explain::Named;
use crate::verdict::{FindingKind, Verdict};
use crate::view::View;
use chain::Chains;
use klab_kafka::ids::RecordId;
use serde::Serialize;
use std::fmt;

/// The most lines of one answer.
pub const MOST_LINES: usize = 10;

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Why {
    /// In the order of the story.
    pub lines: Vec<WhyLine>,
    /// The fault without which it would not have happened.
    pub fault: Option<Named>,
}

/// One line of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WhyLine {
    /// What part it plays.
    pub part: Part,
    /// The trace record.
    pub seq: u64,
    /// When, in words.
    pub at: String,
    /// What, in words.
    pub text: String,
    /// What joins it to an earlier line; nothing for the first.
    pub edge: Option<Edge>,
}

/// The part that a line plays in a story.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[allow(missing_docs)] // The words say it.
pub enum Part {
    Send,
    Append,
    Acknowledgement,
    Acceptance,
    Copy,
    MissingCopy,
    Fault,
    Loss,
    Election,
    Truncation,
    Retry,
    Commit,
    Read,
    Event,
    GivenUp,
    Refusal,
}

/// What joins a line to an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Edge {
    /// The earlier line's event.
    pub to: u64,
    /// How.
    pub kind: EdgeKind,
}

/// Kinds of edges.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum EdgeKind {
    /// Of the same input, or of what followed from it.
    Cause,
    /// Of an answer to it, or by whom it elected.
    Reply,
    /// About the same record of an application.
    Record,
    /// Something did not come.
    Absence(Absence),
}

/// What did not come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Absence {
    /// A follower did not fetch the copy.
    CopyNotFetched,
    /// A broker's heartbeat did not reach the controller.
    HeartbeatNotSent,
    /// A broker took its leave of the controller and is gone.
    Left,
    /// The answer to a produce request did not reach the client.
    AnswerNotReceived,
    /// A copy was not flushed before the power went, or not on the disk that is there now.
    CopyNotKept,
    /// The application did not get to send it.
    NotSent,
}

/// Why a record is lost, doubled, out of order, or safe. None if the run does not know the record.
pub fn of_record(
    records: &[Record],
    checkers: &Checkers,
    view: View<'_>,
    id: RecordId,
) -> Option<Why> {
    let history = checkers.history()?;
    let life = history.lives.get(id).filter(|l| l.is_real())?;
    let verdict = checkers.verdict(view);
    let kinds = [
        FindingKind::Lost,
        FindingKind::Duplicated,
        FindingKind::Reordered,
        FindingKind::AcceptedLost,
    ];
    let own = |kind| verdict.found(kind).find(|f| f.record == id);
    let finding = kinds.into_iter().find_map(own);
    let mut teller = Teller::new(records, history, &verdict, id);
    let explanation = finding.and_then(|f| f.explanation.as_ref());
    match finding.map(|f| f.kind) {
        Some(FindingKind::Lost) => stories::lost(&mut teller, life, explanation),
        Some(FindingKind::Duplicated) => stories::doubled(&mut teller, life, explanation),
        Some(FindingKind::Reordered) => stories::misplaced(&mut teller, life, explanation),
        Some(FindingKind::AcceptedLost) => stories::never_sent(&mut teller, life, explanation),
        _ => stories::safe(&mut teller, life),
    }
    let fault = explanation.and_then(|e| e.fault.clone());
    Some(teller.end(fault))
}

/// Why an event happened: what it came of, the oldest first. None if there is no such event.
pub fn of_event(records: &[Record], checkers: &Checkers, view: View<'_>, seq: u64) -> Option<Why> {
    let history = checkers.history()?;
    let verdict = checkers.verdict(view);
    let nobody = RecordId {
        source: u32::MAX,
        number: 0,
    };
    let mut teller = Teller::new(records, history, &verdict, nobody);
    let fault = stories::event(&mut teller, seq)?;
    Some(teller.end(fault))
}

/// Who puts an answer together.
struct Teller<'a> {
    chains: Chains<'a>,
    history: &'a History,
    lexicon: Lexicon,
    id: RecordId,
    lines: Vec<WhyLine>,
}

impl<'a> Teller<'a> {
    fn new(
        records: &'a [Record],
        history: &'a History,
        verdict: &Verdict,
        id: RecordId,
    ) -> Teller<'a> {
        Teller {
            chains: Chains { records },
            history,
            lexicon: verdict.lexicon(),
            id,
            lines: Vec::new(),
        }
    }

    /// Adds an event with what its own line says; joined as the trace joins it, or else as `otherwise` says.
    fn add(&mut self, part: Part, seq: u64, otherwise: EdgeKind) {
        let text = self.chains.get(seq).map(|r| self.lexicon.sentence(r));
        self.add_text(part, seq, text.unwrap_or_default(), otherwise);
    }

    /// Adds an event with other words.
    fn add_text(&mut self, part: Part, seq: u64, text: String, otherwise: EdgeKind) {
        let is_there = self.lines.iter().any(|l| l.seq == seq);
        let Some(record) = self
            .chains
            .get(seq)
            .filter(|_| !is_there && self.has_room())
        else {
            return;
        };
        let edge = match otherwise {
            // What did not come is nowhere in the trace, and who was elected is not in an answer: the story knows.
            EdgeKind::Absence(_) | EdgeKind::Reply => self.edge_to_latest(otherwise),
            _ => self
                .joined(record)
                .or_else(|| self.edge_to_latest(otherwise)),
        };
        let at = self.lexicon.time(record.at);
        self.lines.push(WhyLine {
            part,
            seq,
            at,
            text,
            edge,
        });
    }

    /// The edge that the trace itself shows from a record to a line told before.
    fn joined(&self, record: &Record) -> Option<Edge> {
        let mut lines = self.lines.iter().rev();
        let along = self.chains.joined(record, &self.lines);
        along.or_else(|| {
            let is_about =
                |l: &&WhyLine| self.chains.get(l.seq).is_some_and(|r| mentions(r, self.id));
            let line = lines.find(|l| mentions(record, self.id) && is_about(l))?;
            Some(Edge {
                to: line.seq,
                kind: EdgeKind::Record,
            })
        })
    }

    fn edge_to_latest(&self, kind: EdgeKind) -> Option<Edge> {
        let latest = |part| self.lines.iter().rev().find(|l| l.part == part);
        // A copy was not fetched of an append, and no answer came to one; an election's winner answers. Everything else
        // follows the line before it.
        let line = match kind {
            EdgeKind::Absence(Absence::CopyNotFetched | Absence::AnswerNotReceived) => {
                latest(Part::Append)
            }
            EdgeKind::Reply => latest(Part::Election),
            _ => None,
        };
        Some(Edge {
            to: line.or(self.lines.last())?.seq,
            kind,
        })
    }

    fn has_room(&self) -> bool {
        self.lines.len() < MOST_LINES
    }

    fn end(self, fault: Option<Named>) -> Why {
        Why {
            lines: self.lines,
            fault,
        }
    }
}

/// Whether a trace record is about a record of an application.
pub fn mentions(record: &Record, id: RecordId) -> bool {
    use klab_kafka::event::*;
    let What::Told(event) = &record.what else {
        return false;
    };
    match event {
        Event::Log(_, LogEvent::Appended { batch, .. }) => batch.data.ids().contains(&id),
        Event::Log(_, LogEvent::Deduplicated { ids, .. } | LogEvent::Refused { ids, .. })
        | Event::Replica(_, ReplicaEvent::Acknowledged { ids, .. }) => ids.contains(&id),
        Event::Client(_, event) => match event {
            ClientEvent::Queued { id: i, .. }
            | ClientEvent::Acked { id: i, .. }
            | ClientEvent::Failed { id: i, .. } => *i == id,
            ClientEvent::BatchSent { ids, .. }
            | ClientEvent::Retried { ids, .. }
            | ClientEvent::BatchSplit { ids, .. } => ids.contains(&id),
            ClientEvent::Delivered { records, .. } => records.iter().any(|(_, _, i)| *i == id),
            _ => false,
        },
        Event::App(
            AppEvent::Invoked { id: i }
            | AppEvent::Accepted { id: i }
            | AppEvent::Rejected { id: i }
            | AppEvent::Resent { id: i },
        ) => *i == id,
        _ => false,
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            line.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for WhyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:<7} {:>10}  {}", self.seq, self.at, self.text)?;
        match self.edge {
            Some(edge) => write!(f, "  ({} #{})", edge.kind, edge.to),
            None => Ok(()),
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EdgeKind::Cause => "cause:",
            EdgeKind::Reply => "reply:",
            EdgeKind::Record => "same record as",
            EdgeKind::Absence(absence) => match absence {
                Absence::CopyNotFetched => "absence: copy not fetched of",
                Absence::HeartbeatNotSent => "absence: no heartbeat since",
                Absence::Left => "absence: it has left since",
                Absence::AnswerNotReceived => "absence: no answer to",
                Absence::CopyNotKept => "absence: copy not kept of",
                Absence::NotSent => "absence: not sent after",
            },
        })
    }
}
