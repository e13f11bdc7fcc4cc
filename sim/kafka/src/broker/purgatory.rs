//! Requests that wait for something: Kafka's DelayedOperationPurgatory. What waits is looked at when a partition that it
//! watches has moved, and answered at its deadline at the latest.
//!
//! Looking at it is the owner's business: this part only knows who watches what, and until when.

use crate::ids::{ConnId, TopicIdPartition};
use crate::sorted::Sorted;
use crate::time::Time;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// One waiting request's number here. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Ticket(u64);

/// Who watches one partition: mostly its followers and a reader.
pub type Watchers = SmallVec<[Ticket; 4]>;

/// What one request watches: mostly one partition.
pub type Watched = SmallVec<[TopicIdPartition; 1]>;

/// Requests that wait, with what they watch. A connection has one request waiting at most (N-1), so there are few.
#[derive(Clone, Debug, Serialize)]
pub struct Purgatory<T> {
    parked: Sorted<Ticket, Parked<T>>,
    watchers: BTreeMap<TopicIdPartition, Watchers>,
    /// The earliest first.
    deadlines: Vec<(Time, Ticket)>,
    next: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Parked<T> {
    conn: ConnId,
    deadline: Time,
    watched: Watched,
    operation: T,
}

impl<T> Default for Purgatory<T> {
    fn default() -> Purgatory<T> {
        Purgatory {
            parked: Sorted::default(),
            watchers: BTreeMap::new(),
            deadlines: Vec::new(),
            next: 0,
        }
    }
}

impl<T> Purgatory<T> {
    /// Parks a request of a connection until `deadline`.
    pub fn park(
        &mut self,
        conn: ConnId,
        deadline: Time,
        watched: impl Into<Watched>,
        operation: T,
    ) {
        let watched = watched.into();
        let ticket = Ticket(self.next);
        self.next += 1;
        for partition in &watched {
            self.watchers.entry(*partition).or_default().push(ticket);
        }
        let place = self.deadlines.partition_point(|d| *d < (deadline, ticket));
        self.deadlines.insert(place, (deadline, ticket));
        let parked = Parked {
            conn,
            deadline,
            watched,
            operation,
        };
        self.parked.insert(ticket, parked);
    }

    /// Who watches a partition, in the order in which they came.
    pub fn watching(&self, partition: TopicIdPartition) -> Watchers {
        let watchers = self.watchers.get(&partition);
        watchers.map_or_else(Watchers::new, |w| Watchers::from_slice(w))
    }

    /// A waiting request.
    pub fn get(&self, ticket: Ticket) -> Option<&T> {
        self.parked.get(&ticket).map(|p| &p.operation)
    }

    /// A waiting request, to note its progress.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        self.parked.get_mut(&ticket).map(|p| &mut p.operation)
    }

    /// Takes a request out: it waits no more.
    pub fn take(&mut self, ticket: Ticket) -> Option<T> {
        let parked = self.parked.remove(&ticket)?;
        self.deadlines.retain(|d| *d != (parked.deadline, ticket));
        for partition in &parked.watched {
            let Some(watchers) = self.watchers.get_mut(partition) else {
                continue;
            };
            watchers.retain(|t| *t != ticket);
            if watchers.is_empty() {
                self.watchers.remove(partition);
            }
        }
        Some(parked.operation)
    }

    /// Takes a request out if it is done.
    pub fn take_if(&mut self, ticket: Ticket, is_done: bool) -> Option<T> {
        if is_done { self.take(ticket) } else { None }
    }

    /// Takes out what has waited long enough, the earliest first.
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let (at, ticket) = *self.deadlines.first()?;
        if at > now {
            return None;
        }
        self.take(ticket)
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Drops what a connection waits for: there is nobody left to answer.
    pub fn forget(&mut self, conn: ConnId) {
        let gone = self.parked.iter().filter(|(_, p)| p.conn == conn);
        for ticket in gone.map(|(t, _)| *t).collect::<Vec<_>>() {
            self.take(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TopicId;

    fn partition(n: i32) -> TopicIdPartition {
        TopicIdPartition {
            topic: TopicId(9),
            partition: n,
        }
    }

    #[test]
    fn a_request_is_found_by_every_partition_that_it_watches_until_it_is_taken() {
        let mut purgatory = Purgatory::default();
        purgatory.park(
            ConnId(1),
            Time(50),
            vec![partition(0), partition(1)],
            "both",
        );
        purgatory.park(ConnId(2), Time(40), vec![partition(1)], "one");
        let watching = purgatory.watching(partition(1));
        let found: Vec<_> = watching.iter().filter_map(|t| purgatory.get(*t)).collect();
        assert_eq!(found, [&"both", &"one"]);
        assert_eq!(purgatory.take(watching[0]), Some("both"));
        assert!(purgatory.watching(partition(0)).is_empty());
        assert_eq!(purgatory.watching(partition(1)).len(), 1);
    }

    #[test]
    fn what_has_waited_long_enough_comes_out_in_the_order_of_its_deadlines() {
        let mut purgatory = Purgatory::default();
        purgatory.park(ConnId(1), Time(50), vec![partition(0)], "late");
        purgatory.park(ConnId(2), Time(40), vec![partition(0)], "early");
        assert_eq!(purgatory.next_deadline(), Some(Time(40)));
        assert_eq!(purgatory.take_due(Time(39)), None);
        assert_eq!(purgatory.take_due(Time(50)), Some("early"));
        assert_eq!(purgatory.take_due(Time(50)), Some("late"));
        assert_eq!(purgatory.next_deadline(), None);
    }

    #[test]
    fn a_closed_connection_waits_for_nothing() {
        let mut purgatory = Purgatory::default();
        purgatory.park(ConnId(1), Time(50), vec![partition(0)], "gone");
        purgatory.park(ConnId(2), Time(60), vec![partition(0)], "here");
        purgatory.forget(ConnId(1));
        assert_eq!(purgatory.next_deadline(), Some(Time(60)));
        assert_eq!(purgatory.watching(partition(0)).len(), 1);
    }
}
