//! Cutting a log's end off, and starting it over elsewhere.
//!
//! Whole batches are cut: the one that holds the target goes too, and the log then ends at the target with a gap before
//! it, as in Kafka. (After a restart it ends where the last batch does.)

use super::Log;
use super::segment::Segments;
use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::{LogEvent, Truncation};
use crate::ids::Offset;
use crate::time::Timestamp;

impl Log {
    /// Cuts everything from `target` on; below the high watermark too, which then moves back. Returns whether the
    /// log's end moved: its owner then writes the recovery points anew.
    pub fn truncate_to(
        &mut self,
        target: Offset,
        why: Truncation,
        now: Timestamp,
        out: &mut Effects,
    ) -> bool {
        assert!(target >= Offset(0), "no log ends before 0");
        if target >= self.leo {
            // Nothing to cut but perhaps an epoch that was begun here in vain (KAFKA-10706).
            if self.epochs.truncate_from_end(self.leo) {
                self.epochs.write(self.id, out);
            }
            return false;
        }
        if self.segments.first_base() > target {
            self.truncate_fully_and_start_at(target, now, out);
            return true;
        }
        self.abort_cleaning(target);
        let from = self.leo;
        self.cut_segments(target, now, out);
        self.leo = target;
        self.log_start = self.log_start.min(target);
        self.flushing.truncate_to(target);
        if self.epochs.truncate_from_end(target) {
            self.epochs.write(self.id, out);
        }
        self.tell(
            LogEvent::Truncated {
                from,
                to: target,
                why,
            },
            out,
        );
        self.rebuild_producers(target, false, now, out);
        self.set_hw(self.hw, out);
        self.assert_ordered();
        true
    }

    /// Gives up the whole log and starts it over, empty, at `offset`: a follower does whose leader begins beyond its end
    ///
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        now: Timestamp,
        out: &mut Effects,
    ) {
        self.abort_cleaning(offset);
        let from = self.leo;
        for segment in self.segments.iter() {
            let file = FileId::Segment(self.id, segment.base_offset);
            out.push(Effect::Write(file, Write::Delete));
        }
        let file = FileId::Segment(self.id, offset);
        out.push(Effect::Write(file, Write::Create));
        self.segments = Segments::new(offset, self.config.index_interval_bytes, now);
        self.epochs.clear();
        self.epochs.write(self.id, out);
        self.producers.truncate_fully(self.id, offset, out);
        self.flushing.start_over(offset);
        self.leo = offset;
        self.log_start = offset;
        self.tell(LogEvent::StartedOver { from, at: offset }, out);
        self.set_hw(offset, out);
        self.assert_ordered();
    }

    fn cut_segments(&mut self, target: Offset, now: Timestamp, out: &mut Effects) {
        for base in self.segments.truncate_to(target, now) {
            let file = FileId::Segment(self.id, base);
            out.push(Effect::Write(file, Write::Delete));
        }
        let file = FileId::Segment(self.id, self.segments.active().base_offset);
        out.push(Effect::Write(file, Write::TruncateTo(target)));
    }
}
