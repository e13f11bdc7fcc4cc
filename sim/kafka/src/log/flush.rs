//! Flushing: what must survive a loss of power. An acknowledgement never waits for it (L-32); a log is synced when a
//! segment is closed (L-19), when its owner asks (a Raft voter before it fetches on, K-6) and at a clean stop (L-35).
//!
//! The recovery point is the offset below which everything is known to be synced. It moves when a sync has ended, and is
//! checkpointed by the log manager (L-33).

use super::Log;
use crate::disk::FileId;
use crate::effect::{Effect, Effects};
use crate::ids::Offset;
use serde::Serialize;
use std::collections::VecDeque;

/// How far a log is flushed, and what is on its way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flushing {
    /// Everything below is synced.
    pub recovery_point: Offset,
    /// Everything below is synced or on its way.
    asked: Offset,
    /// Syncs under way, in order: the segment, and what the recovery point is after it.
    under_way: VecDeque<(Offset, Offset)>,
}

impl Flushing {
    /// Everything below is synced.
    pub fn from(recovery_point: Offset) -> Flushing {
        Flushing {
            recovery_point,
            asked: recovery_point,
            under_way: VecDeque::new(),
        }
    }

    /// The log starts over, empty. Syncs that are under way still end, but prove nothing.
    pub fn start_over(&mut self, offset: Offset) {
        self.truncate_to(offset);
        self.recovery_point = offset;
        self.asked = offset;
    }

    /// The log ends earlier now. Syncs that are under way still end, but prove less.
    pub fn truncate_to(&mut self, offset: Offset) {
        self.recovery_point = self.recovery_point.min(offset);
        self.asked = self.asked.min(offset);
        for (_, upto) in &mut self.under_way {
            *upto = (*upto).min(offset);
        }
    }
}

impl Log {
    /// Everything below is known to be synced.
    pub fn recovery_point(&self) -> Offset {
        self.flushing.recovery_point
    }

    /// Whether all that was written is synced.
    pub fn is_flushed(&self) -> bool {
        self.flushing.recovery_point >= self.leo
    }

    /// Syncs all that was written and is not on its way yet.
    pub fn flush(&mut self, out: &mut Effects) {
        self.flush_up_to(self.leo, out);
    }

    pub(super) fn flush_up_to(&mut self, offset: Offset, out: &mut Effects) {
        if offset <= self.flushing.asked {
            return;
        }
        let from = self.flushing.asked;
        let bases: Vec<Offset> = self.segments.from(from).map(|s| s.base_offset).collect();
        let ends = bases.iter().skip(1).copied().chain([offset]);
        for (base, end) in bases.iter().copied().zip(ends) {
            if base < offset {
                out.push(Effect::Sync(FileId::Segment(self.id, base)));
                let upto = end.min(offset);
                self.flushing.under_way.push_back((base, upto));
            }
        }
        self.flushing.asked = offset;
        // No batch lies above the last one that is synced: so much more does its sync prove.
        match self.flushing.under_way.back_mut() {
            Some((_, upto)) => *upto = offset,
            None => self.flushing.recovery_point = offset,
        }
    }

    /// A sync that this log asked for has ended well. Syncs end in the order they were asked for.
    ///
    /// # Panics
    /// If none was under way for that segment.
    pub fn synced(&mut self, segment: Offset) {
        let first = self.flushing.under_way.pop_front();
        let (base, upto) = first.expect("a sync ends that was asked for");
        assert_eq!(base, segment, "syncs end in the order they were asked for");
        let reached = upto.min(self.leo);
        self.flushing.recovery_point = self.flushing.recovery_point.max(reached);
    }

    /// Prepares for a clean stop (L-35): everything is synced, and the producers' state is kept (L-13). Once
    /// [`Log::is_flushed`], the log manager may write its marker.
    pub fn close(&mut self, out: &mut Effects) {
        self.flush(out);
        self.producers.take_snapshot(self.id, out);
    }
}
