//! What will happen, earliest first; at one instant in the order in which it was decided.

use crate::network::{ConnKey, End};
use crate::process::ProcessId;
use klab_kafka::time::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One thing to come. Small: payloads lie in connections, disks and processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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

/// The queue, ordered by (time, number).
#[derive(Clone, Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<(Time, u64, Item)>>,
    next: u64,
}

impl Queue {
    /// Adds an item; returns its number, by which a later one can be told from it.
    pub fn push(&mut self, at: Time, item: Item) -> u64 {
        let number = self.next;
        self.next += 1;
        self.heap.push(Reverse((at, number, item)));
        number
    }

    /// The time of the earliest item.
    pub fn peek(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the earliest item with its number.
    pub fn pop(&mut self) -> Option<(Time, u64, Item)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
