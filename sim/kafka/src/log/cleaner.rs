//! Compaction of one log (Kafka's LogCleanerManager, Cleaner and LogCleaner; L-27…L-31): of each key only the last record
//! stays, a tombstone for a while.
//!
//! A round:
//! 1. the dirty part is where no round has been yet, up to what must be left alone ([`Log::dirty`]);
//! 2. segments are taken in groups that fit into one, and each group is written anew without what is superseded, into a
//!    file `.cleaned`, which is synced;
//! 3. the synced file is renamed to `.swap`, the old ones to `.deleted`, and it gets its name: a death in between is made
//!    good at the next start ([`super::recovery`]). Only then readers see it.
//!
//! A round that finds its log cut meanwhile is given up, as in Kafka.
//!
//! Left out: the throttle, more than one cleaner thread, transactions' markers and aborted records (they stay until
//! transactions are built), partitions that cannot be cleaned.

use super::Log;
use super::filter::{Filter, Left};
use super::offset_map::OffsetMap;
use super::segment::{Segment, Segments};
use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::LogEvent;
use crate::ids::Offset;
use crate::log::batch::RecordBatch;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;

/// What is to be compacted of a log, and how much that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// The first offset that no round has seen.
    pub from: Offset,
    /// The first that must be left alone.
    pub upto: Offset,
    /// Bytes of the segments that were compacted before.
    pub clean_bytes: u64,
    /// Bytes of the segments that can be.
    pub dirty_bytes: u64,
    /// A record has waited for longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Dirty {
    /// Whether one log is dirtier than another: by the part of it that is dirty, without dividing.
    pub fn is_dirtier_than(&self, other: &Dirty) -> bool {
        let whole = |d: &Dirty| u128::from(d.clean_bytes + d.dirty_bytes);
        u128::from(self.dirty_bytes) * whole(other) > u128::from(other.dirty_bytes) * whole(self)
    }
}

/// A round under way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cleaning {
    upto: Offset,
    /// Written and not synced yet, in order.
    groups: VecDeque<Group>,
}

/// Some segments, and the one that takes their place.
#[derive(Clone, Debug, Serialize)]
struct Group {
    old: Vec<Offset>,
    new: Segment,
    gone: Vec<Offset>,
}

impl Log {
    /// Up to where it is compacted: `cleaner-offset-checkpoint`.
    pub fn cleaned_upto(&self) -> Option<Offset> {
        self.cleaned_upto
    }

    /// Whether a round is under way.
    pub fn is_being_cleaned(&self) -> bool {
        self.cleaning.is_some()
    }

    /// L-27: what can be compacted, if enough is dirty or something has waited for too long.
    pub fn dirty(&self, now: Timestamp) -> Option<Dirty> {
        let is_busy = self.cleaning.is_some() || self.abandoned > 0;
        if !self.config.cleanup.compact || is_busy {
            return None;
        }
        let from = match self.cleaned_upto {
            Some(at) if (self.log_start..=self.leo).contains(&at) => at,
            _ => self.log_start,
        };
        let upto = self.first_uncleanable(from, now);
        let bytes = |from: Offset, to: Offset| -> u64 {
            let all = self.segments.from(from);
            let below = all.take_while(|s| s.base_offset < to);
            below.map(Segment::size).sum()
        };
        let first_dirty = from.min(upto);
        let before = self.segments.iter().take_while(|s| s.base_offset < from);
        let clean_bytes = before.map(Segment::size).sum();
        let dirty_bytes = match first_dirty < upto {
            true => bytes(first_dirty, upto),
            false => 0,
        };
        let dirty = Dirty {
            from,
            upto,
            clean_bytes,
            dirty_bytes,
            is_overdue: self.is_overdue(from, now),
        };
        let ratio = self.config.min_cleanable_dirty_ratio;
        let enough = ratio.is_less_than(dirty_bytes, clean_bytes + dirty_bytes);
        (dirty_bytes > 0 && (enough || dirty.is_overdue)).then_some(dirty)
    }

    /// The base offset of the first segment that must be left alone: it is the active one, holds what is not stable, or a
    /// record that is younger than `min.compaction.lag.ms`.
    fn first_uncleanable(&self, from: Offset, now: Timestamp) -> Offset {
        let mut upto = self.lso().min(self.segments.active().base_offset);
        let lag = self.config.min_compaction_lag_ms;
        if lag > 0 {
            let is_young = |s: &&Segment| s.largest_timestamp().0 > now.0.saturating_sub(lag);
            let young = self.closed_from(from).find(is_young);
            upto = young.map_or(upto, |s| upto.min(s.base_offset));
        }
        let upto = upto.max(from);
        let holds = self.segments.from(upto).next();
        holds.map_or(upto, |s| s.base_offset)
    }

    fn is_overdue(&self, from: Offset, now: Timestamp) -> bool {
        let lag = self.config.max_compaction_lag_ms.max(0);
        let first = |s: &Segment| s.batches().next().map(|b| b.data.max_timestamp.0);
        let firsts = self.closed_from(from).filter_map(first);
        let earliest = firsts.filter(|t| *t > 0).min();
        earliest.is_some_and(|t| t < now.0.saturating_sub(lag))
    }

    /// The segments from the one that `from` falls into, without the active one.
    fn closed_from(&self, from: Offset) -> impl Iterator<Item = &Segment> {
        let active = self.segments.active().base_offset;
        self.segments
            .from(from)
            .filter(move |s| s.base_offset < active)
    }

    /// Begins a round: writes the groups anew and syncs them.
    pub fn clean(&mut self, dirty: &Dirty, now: Timestamp, out: &mut Effects) {
        let batches = self
            .segments
            .from(dirty.from)
            .take_while(|s| s.base_offset < dirty.upto);
        let batches = batches.flat_map(|s| s.batches_from(dirty.from));
        let map = OffsetMap::of(batches, dirty.from, dirty.upto);
        let is_last_of_producer = |batch: &RecordBatch| self.producers.is_last(batch);
        let filter = Filter {
            map: &map,
            now,
            delete_retention_ms: self.config.delete_retention_ms,
            upto: dirty.upto,
            is_last_of_producer: &is_last_of_producer,
        };
        let mut groups = VecDeque::new();
        for group in self.groups(dirty.upto) {
            groups.push_back(self.rewrite(&group, &filter));
        }
        for group in &groups {
            let file = FileId::Cleaned(self.id, group.new.base_offset);
            out.push(Effect::Write(file, Write::Create));
            for batch in group.new.batches() {
                out.push(Effect::Write(file, Write::Append(batch.clone())));
            }
            out.push(Effect::Sync(file));
        }
        self.cleaning = Some(Cleaning {
            upto: dirty.upto,
            groups,
        });
    }

    /// Neighbours that fit into one segment together, by bytes and by offsets.
    fn groups(&self, upto: Offset) -> Vec<Vec<&Segment>> {
        let all: Vec<&Segment> = self
            .segments
            .iter()
            .take_while(|s| s.base_offset < upto)
            .collect();
        let room = u64::try_from(self.config.segment_bytes).unwrap_or(0);
        let mut groups: Vec<(u64, Vec<&Segment>)> = Vec::new();
        for (index, segment) in all.iter().enumerate() {
            let next = all.get(index + 1).map_or(upto, |s| s.base_offset);
            let fits = |size: u64, group: &[&Segment]| {
                let span = next.0 - 1 - group[0].base_offset.0;
                size + segment.size() <= room && (segment.is_empty() || span <= i64::from(i32::MAX))
            };
            match groups.last_mut() {
                Some((size, group)) if fits(*size, group) => {
                    *size += segment.size();
                    group.push(segment);
                }
                _ => groups.push((segment.size(), vec![segment])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn rewrite(&self, group: &[&Segment], filter: &Filter<'_>) -> Group {
        let interval = self.config.index_interval_bytes;
        let last = group.last().expect("a group has segments");
        let mut new = Segment::of_compaction(group[0], last);
        let mut gone = Vec::new();
        for batch in group.iter().flat_map(|s| s.batches()) {
            match filter.apply(batch) {
                Left::Whole => new.add(batch.clone(), interval),
                Left::Less(data, without) => {
                    let data = data.into();
                    new.add(
                        RecordBatch {
                            data,
                            ..batch.clone()
                        },
                        interval,
                    );
                    gone.extend(without);
                }
                Left::Nothing(without) => gone.extend(without),
            }
        }
        Group {
            old: group.iter().map(|s| s.base_offset).collect(),
            new,
            gone,
        }
    }

    /// A file of the round is synced: it takes the place of the old ones. The result says whether the round is over, and
    /// what is to vanish. A file of a round that was given up is deleted.
    pub fn cleaned(&mut self, base: Offset, out: &mut Effects) -> (bool, Vec<FileId>) {
        let file = FileId::Cleaned(self.id, base);
        if self.abandoned > 0 {
            self.abandoned -= 1;
            out.push(Effect::Write(file, Write::Delete));
            return (false, Vec::new());
        }
        let cleaning = self.cleaning.as_mut();
        let cleaning = cleaning.expect("a file is synced that a round has written");
        let group = cleaning.groups.pop_front();
        let group = group.expect("a round is over with its last file");
        assert_eq!(group.new.base_offset, base, "files are synced in order");
        let (upto, is_over) = (cleaning.upto, cleaning.groups.is_empty());
        let renamed = self.swap_in(group, upto, is_over, out);
        if is_over {
            self.cleaning = None;
            self.cleaned_upto = Some(upto);
        }
        (is_over, renamed)
    }

    fn swap_in(
        &mut self,
        group: Group,
        upto: Offset,
        is_over: bool,
        out: &mut Effects,
    ) -> Vec<FileId> {
        let base = group.new.base_offset;
        let bytes_after = group.new.size();
        let bytes_before = self.segments.replace(&group.old, group.new);
        // Told first: from the first rename on a death leads to what is told.
        let event = LogEvent::Compacted {
            upto,
            gone: group.gone.into(),
            bytes_before,
            bytes_after,
            is_over,
        };
        self.tell(event, out);
        let swap = FileId::Swap(self.id, base);
        let cleaned = FileId::Cleaned(self.id, base);
        out.push(Effect::Write(cleaned, Write::Rename(swap)));
        let mut renamed = Vec::new();
        for old in &group.old {
            renamed.push(self.rename_away(*old, out));
            if *old != base {
                self.producers.delete_snapshot(self.id, *old, out);
            }
        }
        let segment = FileId::Segment(self.id, base);
        out.push(Effect::Write(swap, Write::Rename(segment)));
        renamed
    }

    /// The log is cut: a round under way is given up, and what it had compacted beyond is dirty again.
    pub(super) fn abort_cleaning(&mut self, to: Offset) {
        if let Some(cleaning) = self.cleaning.take() {
            self.abandoned += cleaning.groups.len() as u64;
        }
        self.cleaned_upto = self.cleaned_upto.map(|at| at.min(to));
    }
}

impl Segments {
    /// Puts a compacted segment in the place of old ones, which are neighbours. Returns their bytes.
    pub(super) fn replace(&mut self, old: &[Offset], new: Segment) -> u64 {
        let before = self.size();
        let after = new.size();
        self.replace_closed(old, new);
        (before + after) - self.size()
    }
}
