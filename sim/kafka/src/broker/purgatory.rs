//! Requests that wait for something: Kafka's DelayedOperationPurgatory. What waits is looked at when a partition that it
//! watches has moved, and answered at its deadline at the latest.
//!
//! Looking at it is the owner's business: this part only knows who watches what, and until when.

use crate::ids::{ConnId, TopicIdPartition};
use crate::time::Time;
use serde::Serialize;
use smallvec::SmallVec;

/// What one request watches: mostly one partition.
pub type Watched = SmallVec<[TopicIdPartition; 1]>;

/// Requests that wait, with what they watch. A connection has one request waiting at most (N-1), so there are few: to look
/// through them costs less than to keep lists of who watches what, and until when.
#[derive(Clone, Debug, Serialize)]
pub struct Purgatory<T> {
    /// In the order in which they came.
    parked: Vec<Parked<T>>,
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
        Purgatory { parked: Vec::new() }
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
        self.parked.push(Parked {
            conn,
            deadline,
            watched: watched.into(),
            operation,
        });
    }

    /// Takes out the next request that watches a partition and is done, by its owner's look at it: it waits no more. `from` is
    /// where to go on, 0 at first, so that each is looked at once.
    pub fn take_done(
        &mut self,
        partition: TopicIdPartition,
        from: &mut usize,
        mut is_done: impl FnMut(&mut T) -> bool,
    ) -> Option<T> {
        while let Some(p) = self.parked.get_mut(*from) {
            if p.watched.contains(&partition) && is_done(&mut p.operation) {
                return Some(self.parked.remove(*from).operation);
            }
            *from += 1;
        }
        None
    }

    /// Takes out what has waited long enough, the earliest first.
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let due = self
            .parked
            .iter()
            .zip(0..)
            .filter(|(p, _)| p.deadline <= now);
        let (_, at) = due.min_by_key(|(p, _)| p.deadline)?;
        Some(self.parked.remove(at).operation)
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<Time> {
        self.parked.iter().map(|p| p.deadline).min()
    }

    /// Drops what a connection waits for: there is nobody left to answer.
    pub fn forget(&mut self, conn: ConnId) {
        self.parked.retain(|p| p.conn != conn);
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
        let mut seen = Vec::new();
        let mut look = |partition, done: &str| {
            seen.clear();
            let taken = purgatory.take_done(partition, &mut 0, |operation| {
                seen.push(*operation);
                *operation == done
            });
            (taken, seen.clone())
        };
        assert_eq!(look(partition(1), "none"), (None, vec!["both", "one"]));
        assert_eq!(look(partition(0), "both"), (Some("both"), vec!["both"]));
        assert_eq!(look(partition(0), "both"), (None, vec![]));
        assert_eq!(look(partition(1), "one"), (Some("one"), vec!["one"]));
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
    fn each_request_is_looked_at_once_whoever_leaves_meanwhile() {
        let mut purgatory = Purgatory::default();
        for (conn, name) in [(1, "stays"), (2, "leaves"), (3, "stays too")] {
            purgatory.park(ConnId(conn), Time(50), vec![partition(0)], name);
        }
        let (mut from, mut seen) = (0, Vec::new());
        let mut next = || {
            purgatory.take_done(partition(0), &mut from, |name| {
                seen.push(*name);
                *name == "leaves"
            })
        };
        assert_eq!((next(), next()), (Some("leaves"), None));
        assert_eq!(seen, ["stays", "leaves", "stays too"]);
    }

    #[test]
    fn a_closed_connection_waits_for_nothing() {
        let mut purgatory = Purgatory::default();
        purgatory.park(ConnId(1), Time(50), vec![partition(0)], "gone");
        purgatory.park(ConnId(2), Time(60), vec![partition(0)], "here");
        purgatory.forget(ConnId(1));
        assert_eq!(purgatory.next_deadline(), Some(Time(60)));
        assert_eq!(
            purgatory.take_done(partition(0), &mut 0, |_| true),
            Some("here")
        );
    }
}
