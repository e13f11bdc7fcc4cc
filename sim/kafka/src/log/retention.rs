//! Giving up what is old (Kafka's UnifiedLog.deleteOldSegments; L-20…L-24): by a client's word, by size, by age.
//!
//! Whole segments go, from the oldest on, up to the first that must stay, and none that holds anything at or above the high
//! watermark. The active one may go too: a new one is begun first. A file that is deleted has another name at once, and
//! vanishes `file.delete.delay.ms` later.

use super::Log;
use super::segment::Segment;
use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Deletion, LogEvent, LogStart};
use crate::ids::Offset;
use crate::protocol::ErrorCode;
use crate::time::Timestamp;

impl Log {
    /// Deletes what may go: what lies below the log start, and under `cleanup.policy=delete` what is too much or too old
    /// (L-23). The result says what files have been renamed and are to vanish.
    pub fn delete_old_segments(&mut self, now: Timestamp, out: &mut Effects) -> Vec<FileId> {
        let log_start = self.log_start;
        let is_given_up =
            |_: &Segment, next: Option<Offset>| next.is_some_and(|next| next <= log_start);
        let mut renamed = self.delete_while(Deletion::LogStart, is_given_up, now, out);
        if self.config.cleanup.delete {
            renamed.extend(self.delete_by_size(now, out));
            renamed.extend(self.delete_by_age(now, out));
        }
        renamed
    }

    /// L-22: as long as `retention.bytes` are left.
    fn delete_by_size(&mut self, now: Timestamp, out: &mut Effects) -> Vec<FileId> {
        let Ok(keep) = u64::try_from(self.config.retention_bytes) else {
            return Vec::new();
        };
        let Some(mut too_much) = self.segments.size().checked_sub(keep) else {
            return Vec::new();
        };
        let is_too_much = |segment: &Segment, _| match too_much.checked_sub(segment.size()) {
            Some(rest) => {
                too_much = rest;
                true
            }
            None => false,
        };
        self.delete_while(Deletion::Size, is_too_much, now, out)
    }

    /// L-21: by record time, not by the time of arrival.
    fn delete_by_age(&mut self, now: Timestamp, out: &mut Effects) -> Vec<FileId> {
        let keep = self.config.retention_ms;
        if keep < 0 {
            return Vec::new();
        }
        let is_old =
            |segment: &Segment, _| now.0.saturating_sub(segment.largest_timestamp().0) > keep;
        self.delete_while(Deletion::Age, is_old, now, out)
    }

    /// Deletes segments from the oldest on while they may go. `may_go` is asked with the segment and where the next begins.
    fn delete_while(
        &mut self,
        why: Deletion,
        mut may_go: impl FnMut(&Segment, Option<Offset>) -> bool,
        now: Timestamp,
        out: &mut Effects,
    ) -> Vec<FileId> {
        let mut count = 0;
        let mut upto = self.segments.first_base();
        let mut all = self.segments.iter().peekable();
        while let Some(segment) = all.next() {
            let next = all.peek().map(|n| n.base_offset);
            let end = next.unwrap_or(self.leo);
            if self.hw < end || !may_go(segment, next) || (next.is_none() && segment.is_empty()) {
                break;
            }
            (count, upto) = (count + 1, end);
        }
        drop(all);
        if count == 0 {
            return Vec::new();
        }
        if count == self.segments.count() {
            self.roll(self.leo, now, out);
        }
        self.tell(LogEvent::SegmentsDeleted { upto, why }, out);
        let moved = self.move_log_start(upto, LogStart::of(why), out);
        moved.expect("nothing at or above the high watermark is deleted");
        self.drop_segments(count, out)
    }

    fn drop_segments(&mut self, count: usize, out: &mut Effects) -> Vec<FileId> {
        let bases = self.segments.drop_first(count);
        for base in &bases {
            self.producers.delete_snapshot(self.id, *base, out);
        }
        bases
            .into_iter()
            .map(|base| self.rename_away(base, out))
            .collect()
    }

    /// A segment's file gets the name of one that is to vanish.
    pub(super) fn rename_away(&self, base: Offset, out: &mut Effects) -> FileId {
        let deleted = FileId::Deleted(self.id, base);
        let file = FileId::Segment(self.id, base);
        out.push(Effect::Write(file, Write::Rename(deleted)));
        deleted
    }

    /// DeleteRecords at the leader (L-26): everything below an offset is given up; `None` for all that is committed. Returns
    /// the offset.
    ///
    /// # Errors
    /// POLICY_VIOLATION for a topic that is only compacted; OFFSET_OUT_OF_RANGE for what is not committed.
    pub fn delete_records(
        &mut self,
        before: Option<Offset>,
        out: &mut Effects,
    ) -> Result<Offset, ErrorCode> {
        let cleanup = self.config.cleanup;
        if cleanup.compact && !cleanup.delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let before = before.unwrap_or(self.hw);
        if before < Offset(0) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        self.move_log_start(before, LogStart::DeleteRecords, out)?;
        Ok(before)
    }
}

impl LogStart {
    fn of(why: Deletion) -> LogStart {
        match why {
            Deletion::LogStart => LogStart::DeleteRecords,
            Deletion::Size => LogStart::RetentionBytes,
            Deletion::Age => LogStart::RetentionTime,
        }
    }
}
