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

/// Time and number in one: no two are alike, and comparing them is one comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key(u128);

impl Key {
    /// Later than all.
    const NEVER: Key = Key(u128::MAX);

    fn new(at: Time, number: u64) -> Key {
        Key(u128::from(at.0) << 64 | u128::from(number))
    }

    fn at(self) -> Time {
        Time((self.0 >> 64) as u64)
    }

    fn number(self) -> u64 {
        self.0 as u64
    }
}

/// An item in the heap.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    item: Item,
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
    alarms: Vec<Key>,
    /// The earliest of these.
    alarm: Option<(Key, ProcessId)>,
    next: u64,
}

impl Queue {
    /// Adds an item; returns its number, by which a later one can be told from it.
    pub fn push(&mut self, at: Time, item: Item) -> u64 {
        let key = Key::new(at, self.number());
        match item {
            Item::Alarm(p) => self.set_alarm(key, p),
            item => self.heap.push(Entry { key, item }),
        }
        key.number()
    }

    /// The time of the earliest item.
    pub fn peek(&self) -> Option<Time> {
        let item = self.heap.peek().map(|entry| entry.key);
        let alarm = self.alarm.map(|(key, _)| key);
        let first = match (item, alarm) {
            (Some(item), Some(alarm)) => Some(item.min(alarm)),
            (item, alarm) => item.or(alarm),
        };
        first.map(Key::at)
    }

    /// Takes the earliest item with its number.
    pub fn pop(&mut self) -> Option<(Time, u64, Item)> {
        if let Some((key, p)) = self.alarm {
            if self.heap.peek().is_none_or(|entry| key < entry.key) {
                self.alarms[p.index()] = Key::NEVER;
                self.find_earliest_alarm();
                return Some((key.at(), key.number(), Item::Alarm(p)));
            }
        }
        let Entry { key, item } = self.heap.pop()?;
        Some((key.at(), key.number(), item))
    }

    /// A process has one alarm here: the one before is forgotten.
    fn set_alarm(&mut self, key: Key, p: ProcessId) {
        if self.alarms.len() <= p.index() {
            self.alarms.resize(p.index() + 1, Key::NEVER);
        }
        self.alarms[p.index()] = key;
        match self.alarm {
            Some((earliest, first)) if earliest < key => {
                if first == p {
                    self.find_earliest_alarm();
                }
            }
            _ => self.alarm = Some((key, p)),
        }
    }

    fn find_earliest_alarm(&mut self) {
        let mut earliest = (Key::NEVER, ProcessId(0));
        for (p, key) in (0..).zip(&self.alarms) {
            if *key < earliest.0 {
                earliest = (*key, ProcessId(p));
            }
        }
        self.alarm = (earliest.0 != Key::NEVER).then_some(earliest);
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
