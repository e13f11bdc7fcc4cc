//! What readers got: for every reader and partition the offsets, in order, and what it got twice or out of order.
//!
//! A reader that starts anew, or whose position was reset, reads from where it is told: what it gets again then is not held
//! against the log.

use crate::process::ProcessId;
use crate::trace::{Record, What};
use klab_kafka::event::{ClientEvent, Event};
use klab_kafka::ids::{ClientId, LeaderEpoch, Offset, RecordId, TopicIdPartition};
use std::collections::BTreeMap;

/// A record as it was handed out: its offset, the epoch of the leader that wrote it, and its name.
pub type Got = (Offset, LeaderEpoch, RecordId);

/// Records that a client was handed: which client, of which partition, and what.
pub fn delivered(record: &Record) -> Option<(ClientId, TopicIdPartition, &[Got])> {
    match &record.what {
        What::Told(Event::Client(
            client,
            ClientEvent::Delivered {
                partition, records, ..
            },
        )) => Some((*client, *partition, records)),
        _ => None,
    }
}

/// What one reader got of one partition.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The offsets it got, as ranges in ascending order that do not touch.
    pub got: Vec<(Offset, Offset)>,
    /// Where it stands: the offset after what it got last, unless it began anew since.
    pub position: Option<Offset>,
    /// The record that it got last, unless it began anew since.
    pub last: Option<Got>,
    /// The one that was last before its latest poll, unless it had begun anew.
    pub before: Option<Got>,
    /// Where it began for the first time.
    pub began: Option<Offset>,
    /// It came to the end of the log, here.
    pub end: Option<Offset>,
    /// Records that it got more than once without having begun anew.
    pub again: Vec<RecordId>,
    /// Records that it got behind its position without having begun anew.
    pub behind: Vec<RecordId>,
    /// Offsets over which its position was reset.
    pub skipped: Vec<(Offset, Offset)>,
    /// Where it goes on: after what it was given last, or where its position was set.
    next: Option<Offset>,
    /// Offsets of which it was given nothing on its way, with the trace record that told that it was past them.
    passed_over: Vec<(Offset, Offset, u64)>,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Readers {
    readings: BTreeMap<(ProcessId, ClientId, TopicIdPartition), Reading>,
    /// How many records were delivered.
    pub delivered: u64,
}

impl Readers {
    /// All readings of a partition.
    pub fn of(&self, partition: TopicIdPartition) -> impl Iterator<Item = &Reading> {
        let all = self.readings.iter();
        all.filter(move |((_, _, id), _)| *id == partition)
            .map(|(_, reading)| reading)
    }

    /// What one client read of a partition.
    pub fn get(
        &self,
        process: ProcessId,
        client: ClientId,
        partition: TopicIdPartition,
    ) -> Option<&Reading> {
        self.readings.get(&(process, client, partition))
    }

    /// What one process read, by partition.
    pub fn by(&self, process: ProcessId) -> impl Iterator<Item = (TopicIdPartition, &Reading)> {
        let all = self.readings.iter();
        all.filter(move |((p, ..), _)| *p == process)
            .map(|((_, _, id), reading)| (*id, reading))
    }

    /// A client told a fact.
    pub fn client(&mut self, client: ClientId, event: &ClientEvent, record: &Record) {
        let Some(process) = record.process else {
            return;
        };
        match event {
            ClientEvent::Delivered {
                partition, records, ..
            } => {
                let reading = self.readings.entry((process, client, *partition));
                let reading = reading.or_default();
                reading.before = reading.last;
                for (offset, _, id) in records {
                    reading.go_on(*offset, offset.plus(1), record.seq);
                    reading.take(*offset, *id);
                }
                reading.last = records.last().copied().or(reading.last);
                self.delivered += records.len() as u64;
            }
            ClientEvent::PositionReset { partition, to } => {
                let reading = self.readings.entry((process, client, *partition));
                reading.or_default().reset(*to, record.seq);
            }
            // Without a known end of the epoch the reset policy decides, which is told by itself.
            ClientEvent::TruncationDetected {
                partition,
                divergence: Some(divergence),
                ..
            } => {
                let reading = self.readings.entry((process, client, *partition));
                reading.or_default().reset(*divergence, record.seq);
            }
            _ => {}
        }
    }

    /// A reader came to the end of a partition's log.
    pub fn reached(&mut self, partition: TopicIdPartition, end: Offset, record: &Record) {
        let Some(process) = record.process else {
            return;
        };
        let readings = self.readings.iter_mut();
        let mut own: Vec<_> = readings
            .filter(|((p, _, id), _)| *p == process && *id == partition)
            .collect();
        match own.pop() {
            Some((_, reading)) => {
                reading.end = reading.end.max(Some(end));
                reading.go_on(end, end, record.seq);
            }
            None => {
                let reading = Reading {
                    end: Some(end),
                    ..Reading::default()
                };
                let key = (process, ClientId(0), partition);
                self.readings.insert(key, reading);
            }
        }
    }

    /// A process ended: its readers begin anew.
    pub fn restart(&mut self, process: ProcessId) {
        let own = self
            .readings
            .iter_mut()
            .filter(|((p, ..), _)| *p == process);
        own.for_each(|(_, reading)| {
            reading.position = None;
            reading.last = None;
            reading.next = None;
        });
    }
}

impl Reading {
    /// Whether it got the record at an offset.
    pub fn has(&self, offset: Offset) -> bool {
        let at = self.got.partition_point(|(_, to)| *to <= offset);
        self.got.get(at).is_some_and(|(from, _)| *from <= offset)
    }

    /// The offset up to which everything should have come: the end it reached, or what it got last.
    pub fn passed(&self) -> Offset {
        let last = self.got.last().map(|(_, to)| *to);
        last.max(self.end).unwrap_or(Offset(0))
    }

    /// Whether it should have got the record at an offset.
    pub fn went_over(&self, offset: Offset) -> bool {
        self.began.is_some_and(|began| began <= offset) && offset < self.passed()
    }

    /// Whether its position was reset over an offset.
    pub fn was_reset_over(&self, offset: Offset) -> bool {
        let mut skipped = self.skipped.iter();
        skipped.any(|(from, to)| *from <= offset && offset < *to)
    }

    /// The trace record that told that it was past an offset of which it had been given nothing, the first time.
    pub fn passed_over(&self, offset: Offset) -> Option<u64> {
        let mut all = self.passed_over.iter();
        let range = all.find(|(from, to, _)| *from <= offset && offset < *to);
        range.map(|(.., seq)| *seq)
    }

    /// It was given what lies from an offset on, or its position is there; next comes another.
    fn go_on(&mut self, from: Offset, next: Offset, seq: u64) {
        // One that begins anew has passed over all that it is not given.
        if let Some(before) = self.next.or(self.began) {
            if before < from {
                self.passed_over.push((before, from, seq));
            }
        }
        self.next = self.next.max(Some(next));
    }

    fn reset(&mut self, to: Offset, seq: u64) {
        self.go_on(to, to, seq);
        self.next = Some(to);
        let from = self.position.unwrap_or(Offset(0));
        if from < to && self.began.is_some() {
            self.skipped.push((from, to));
        }
        self.began = self.began.or(Some(to));
        self.position = None;
        self.last = None;
    }

    fn take(&mut self, offset: Offset, id: RecordId) {
        if self.position.is_some_and(|p| offset < p) {
            let list = match self.has(offset) {
                true => &mut self.again,
                false => &mut self.behind,
            };
            list.push(id);
        }
        self.began = self.began.or(Some(offset));
        self.position = self.position.max(Some(offset.plus(1)));
        self.remember(offset);
    }

    fn remember(&mut self, offset: Offset) {
        // Nearly always the next one.
        if let Some(last) = self.got.last_mut() {
            if last.1 == offset {
                last.1 = offset.plus(1);
                return;
            }
        }
        if self.has(offset) {
            return;
        }
        let at = self.got.partition_point(|(from, _)| *from < offset);
        self.got.insert(at, (offset, offset.plus(1)));
        if at > 0 && self.got[at - 1].1 == offset {
            self.got[at - 1].1 = self.got.remove(at).1;
            return self.join(at - 1);
        }
        self.join(at);
    }

    /// Joins a range with the one after it if they touch.
    fn join(&mut self, at: usize) {
        if self
            .got
            .get(at + 1)
            .is_some_and(|next| next.0 == self.got[at].1)
        {
            self.got[at].1 = self.got.remove(at + 1).1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(offsets: &[i64]) -> Reading {
        let mut reading = Reading::default();
        for offset in offsets {
            let number = u32::try_from(*offset).expect("small");
            reading.take(Offset(*offset), RecordId { source: 0, number });
        }
        reading
    }

    #[test]
    fn ranges_grow_and_join() {
        assert_eq!(read(&[0, 1, 2]).got, [(Offset(0), Offset(3))]);
        assert_eq!(read(&[0, 2, 1]).got, [(Offset(0), Offset(3))]);
        assert_eq!(read(&[5, 0]).got.len(), 2);
        assert_eq!(read(&[0, 3, 5, 4]).got.len(), 2);
    }

    #[test]
    fn what_comes_again_is_seen() {
        let reading = read(&[0, 1, 0]);
        assert_eq!(reading.again.len(), 1);
        assert_eq!(reading.behind.len(), 0);
        assert_eq!(read(&[1, 0]).behind.len(), 1);
    }

    #[test]
    fn what_a_reader_is_not_given_it_passes_over_once() {
        let mut reading = Reading::default();
        for (offset, seq) in [(0, 10), (1, 11), (4, 12)] {
            reading.go_on(Offset(offset), Offset(offset + 1), seq);
            reading.began = Some(Offset(0));
        }
        reading.reset(Offset(9), 13);
        let passed = [0, 1, 2, 3, 4, 5, 8, 9].map(|at| reading.passed_over(Offset(at)));
        let (hole, reset) = (Some(12), Some(13));
        assert_eq!(passed, [None, None, hole, hole, None, reset, reset, None]);
    }

    #[test]
    fn a_reader_that_begins_anew_may_read_again() {
        let mut reading = read(&[0, 1]);
        reading.position = None;
        reading.take(
            Offset(0),
            RecordId {
                source: 0,
                number: 0,
            },
        );
        assert_eq!(reading.again.len(), 0);
    }
}
