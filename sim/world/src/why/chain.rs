//! Chains of causes: from a trace record back to the input it came of, to the message that brought the input, and so on,
//! until an alarm, a command or a fault.

use super::{Absence, Edge, EdgeKind, WhyLine};
use crate::process::ProcessId;
use crate::trace::{Handled, Record, What};

const NO_ANSWER: EdgeKind = EdgeKind::Absence(Absence::AnswerNotReceived);

/// The trace, by number.
pub struct Chains<'a> {
    /// All records in order.
    pub records: &'a [Record],
}

impl<'a> Chains<'a> {
    /// A record by its number.
    pub fn get(&self, seq: u64) -> Option<&'a Record> {
        let at = self.records.partition_point(|r| r.seq < seq);
        self.records.get(at).filter(|r| r.seq == seq)
    }

    /// What a record came of, the nearest first.
    pub fn causes(&self, record: &Record) -> impl Iterator<Item = &'a Record> {
        let first = record.cause.and_then(|c| self.get(c));
        std::iter::successors(first, |r| r.cause.and_then(|c| self.get(c)))
    }

    /// The nearest line that a record came of: the line's event itself, or the input of which that event came too. If an
    /// answer arrived between the two, it is a reply; if one was sent and did not arrive, its absence was noticed.
    pub fn joined(&self, record: &Record, lines: &[WhyLine]) -> Option<Edge> {
        let mut kind = match record.what {
            What::Handled(Handled::Response { .. }) => EdgeKind::Reply,
            _ => EdgeKind::Cause,
        };
        for cause in self.causes(record) {
            let is_it = |line: &&WhyLine| {
                line.seq == cause.seq
                    || self
                        .get(line.seq)
                        .is_some_and(|r| r.cause == Some(cause.seq))
            };
            if let Some(line) = lines.iter().rev().find(is_it) {
                return Some(Edge { to: line.seq, kind });
            }
            kind = match (kind, &cause.what) {
                (EdgeKind::Cause, What::Handled(Handled::Response { .. })) => EdgeKind::Reply,
                (EdgeKind::Cause, What::Sent { response: true, .. }) => NO_ANSWER,
                _ => kind,
            };
        }
        None
    }

    /// Whose answer a record came of directly.
    pub fn answered_by(&self, seq: u64) -> Option<ProcessId> {
        match self.get(self.get(seq)?.cause?)?.what {
            What::Handled(Handled::Response { from, .. }) => Some(from),
            _ => None,
        }
    }

    /// The latest record before another that fits.
    pub fn last_before(
        &self,
        seq: u64,
        mut fits: impl FnMut(&Record) -> bool,
    ) -> Option<&'a Record> {
        let end = self.records.partition_point(|r| r.seq < seq);
        self.records[..end].iter().rev().find(|r| fits(r))
    }

    /// The first record after another that fits.
    pub fn first_after(
        &self,
        seq: u64,
        mut fits: impl FnMut(&Record) -> bool,
    ) -> Option<&'a Record> {
        let begin = self.records.partition_point(|r| r.seq <= seq);
        self.records[begin..].iter().find(|r| fits(r))
    }
}
