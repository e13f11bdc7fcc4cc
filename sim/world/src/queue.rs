//! What will happen, earliest first; at one instant in the order in which it was decided.

use crate::network::{ConnKey, End};
use crate::process::ProcessId;
use klab_kafka::time::Time;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One thing to come. Small: payloads lie in connections, disks and processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// The head of a connection's pipe towards this end arrives.
    Deliver(ConnKey, End),
    /// A process's earliest alarm is due.
    Alarm(ProcessId),
    /// A busy process can take its next input.
    Wake(ProcessId),
    /// A disk has finished its earliest sync.
    Synced(ProcessId),
    /// The world looks whether the run's next phase can begin.
    Phase,
}

/// An item in the heap. Time and number lie in one key: no two are alike, and comparing it is one comparison.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u128,
    item: Item,
}

impl Entry {
    fn new(at: Time, number: u64, item: Item) -> Entry {
        let key = u128::from(at.0) << 64 | u128::from(number);
        Entry { key, item }
    }

    fn at(&self) -> Time {
        Time((self.key >> 64) as u64)
    }

    fn number(&self) -> u64 {
        self.key as u64
    }
}

/// The earliest is the greatest: it is what a heap gives first.
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

/// The queue, ordered by (time, number).
#[derive(Clone, Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    /// Each process's earliest alarm, by process. It is moved far more often than it goes off, and a heap would keep all that
    /// it was moved away from.
    alarms: Vec<Option<(Time, u64)>>,
    /// The earliest of these.
    alarm: Option<(Time, u64, ProcessId)>,
    next: u64,
}

impl Queue {
    /// Adds an item; returns its number, by which a later one can be told from it.
    pub fn push(&mut self, at: Time, item: Item) -> u64 {
        if let Item::Alarm(p) = item {
            return self.set_alarm(at, p);
        }
        let number = self.number();
        self.heap.push(Entry::new(at, number, item));
        number
    }

    /// The time of the earliest item.
    pub fn peek(&self) -> Option<Time> {
        let item = self.heap.peek().map(Entry::at);
        let alarm = self.alarm.map(|(at, ..)| at);
        match (item, alarm) {
            (Some(item), Some(alarm)) => Some(item.min(alarm)),
            (item, alarm) => item.or(alarm),
        }
    }

    /// Takes the earliest item with its number.
    pub fn pop(&mut self) -> Option<(Time, u64, Item)> {
        if let Some((at, number, p)) = self.alarm {
            let is_first = |entry: &Entry| (at, number) < (entry.at(), entry.number());
            if self.heap.peek().is_none_or(is_first) {
                self.alarms[p.index()] = None;
                self.find_earliest_alarm();
                return Some((at, number, Item::Alarm(p)));
            }
        }
        let entry = self.heap.pop()?;
        Some((entry.at(), entry.number(), entry.item))
    }

    /// A process has one alarm here: the one before is forgotten.
    fn set_alarm(&mut self, at: Time, p: ProcessId) -> u64 {
        let number = self.number();
        if self.alarms.len() <= p.index() {
            self.alarms.resize(p.index() + 1, None);
        }
        self.alarms[p.index()] = Some((at, number));
        match self.alarm {
            Some((_, _, first)) if first == p => self.find_earliest_alarm(),
            Some((earliest, ..)) if earliest <= at => {}
            _ => self.alarm = Some((at, number, p)),
        }
        number
    }

    fn find_earliest_alarm(&mut self) {
        self.alarm = None;
        for (p, alarm) in (0..).zip(&self.alarms) {
            let Some((at, number)) = *alarm else { continue };
            let is_earlier = |(t, n, _): &(Time, u64, ProcessId)| (at, number) < (*t, *n);
            if self.alarm.as_ref().is_none_or(is_earlier) {
                self.alarm = Some((at, number, ProcessId(p)));
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(mut queue: Queue) -> Vec<(u64, u64, Item)> {
        std::iter::from_fn(|| queue.pop().map(|(at, number, item)| (at.0, number, item))).collect()
    }

    #[test]
    fn what_is_due_at_one_instant_comes_in_the_order_in_which_it_was_pushed_alarms_too() {
        let mut queue = Queue::default();
        let (a, b) = (ProcessId(2), ProcessId(0));
        queue.push(Time(5), Item::Wake(a));
        queue.push(Time(5), Item::Alarm(a));
        queue.push(Time(5), Item::Phase);
        queue.push(Time(5), Item::Alarm(b));
        queue.push(Time(4), Item::Wake(b));
        assert_eq!(queue.peek(), Some(Time(4)));
        let expected = [
            (4, 4, Item::Wake(b)),
            (5, 0, Item::Wake(a)),
            (5, 1, Item::Alarm(a)),
            (5, 2, Item::Phase),
            (5, 3, Item::Alarm(b)),
        ];
        assert_eq!(rest(queue), expected);
    }

    #[test]
    fn an_alarm_that_is_moved_goes_off_once_with_its_latest_number() {
        let mut queue = Queue::default();
        let (a, b) = (ProcessId(0), ProcessId(1));
        queue.push(Time(3), Item::Alarm(a));
        queue.push(Time(6), Item::Alarm(b));
        queue.push(Time(9), Item::Alarm(a));
        assert_eq!(queue.peek(), Some(Time(6)));
        queue.push(Time(1), Item::Alarm(b));
        assert_eq!(
            rest(queue),
            [(1, 3, Item::Alarm(b)), (9, 2, Item::Alarm(a))]
        );
    }
}
