//! Holes in a replica's log: a segment has lost all that was not flushed, while the next one, begun behind it, is on the disk.
//! Recovery finds nothing torn and goes on behind the hole, in Kafka too (LogLoader.recoverLog).

use super::{Copied, Grave, Lineage, Removal};
use klab_kafka::ids::Offset;

impl Lineage {
    /// Of a replica's log only these stretches of offsets are left; what is missing between them is buried, and counts as
    /// taken from this copy alone.
    pub fn leave_holes(
        &mut self,
        at: usize,
        held: &[(Offset, Offset)],
        seq: u64,
        removal: Removal,
    ) {
        let replica = &self.replicas[at];
        let is_gone = |copied: &&Copied| {
            let batch = &self.node(copied.node).batch;
            let (base, end) = (batch.base_offset, batch.end_offset());
            let next = held.partition_point(|(_, its_end)| *its_end <= base);
            let is_held = held.get(next).is_some_and(|(its_base, _)| *its_base < end);
            let was_compacted = replica.compacted.range(base..end).count() as i64 == end.0 - base.0;
            end > replica.log_start && !is_held && !was_compacted
        };
        let gone: Vec<Copied> = replica.path.iter().filter(is_gone).copied().collect();
        for copied in gone {
            let batch = &self.node(copied.node).batch;
            let offsets = (batch.base_offset.0..batch.end_offset().0).map(Offset);
            self.replicas[at]
                .compacted
                .extend(offsets.map(|o| (o, seq)));
            self.is_compacted = true;
            self.graves.push(Grave {
                node: copied.node,
                process: self.replicas[at].process,
                copied: copied.seq(),
                seq,
                removal,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::story::{ORDERS_0, Story};
    use crate::process::ProcessId;
    use klab_kafka::time::Time;

    const BROKER: ProcessId = ProcessId(3);

    /// A replica with batches at 0, 2 and 4, of which only these are left.
    fn left(held: &[(i64, i64)], log_start: i64) -> (Lineage, usize) {
        let story = Story::silent(|_| {});
        let mut lineage = Lineage::new(ORDERS_0);
        let at = lineage.replica_at(BROKER);
        for (seq, first) in [(1, 0_u32), (2, 2), (3, 4)] {
            let batch = story.batch(first..first + 2, first.into(), 0, None);
            lineage.append(at, &batch, true, (seq, Time(0)));
        }
        lineage.replicas[at].log_start = Offset(log_start);
        let held: Vec<_> = held.iter().map(|(a, b)| (Offset(*a), Offset(*b))).collect();
        lineage.leave_holes(at, &held, 9, Removal::PowerLost);
        (lineage, at)
    }

    fn buried(held: &[(i64, i64)], log_start: i64) -> Vec<u64> {
        let (lineage, _) = left(held, log_start);
        lineage.graves.iter().map(|g| g.copied).collect()
    }

    #[test]
    fn what_is_missing_between_two_segments_is_buried_and_the_log_goes_on_behind_it() {
        let (lineage, at) = left(&[(0, 2), (4, 6)], 0);
        let grave = lineage.graves.iter().next().expect("one is buried");
        assert_eq!((grave.copied, grave.process), (2, BROKER));
        let replica = &lineage.replicas[at];
        let missing: Vec<i64> = replica.compacted.keys().map(|o| o.0).collect();
        assert_eq!(missing, [2, 3]);
        assert_eq!(lineage.leo(replica), Offset(6));
    }

    #[test]
    fn what_is_held_in_part_or_lies_before_the_log_start_is_no_hole() {
        assert_eq!(buried(&[(0, 2), (2, 4), (4, 6)], 0), [0; 0]);
        assert_eq!(buried(&[(0, 2), (3, 4), (4, 6)], 0), [0; 0]);
        assert_eq!(buried(&[(4, 6)], 4), [0; 0]);
        assert_eq!(buried(&[(4, 6)], 2), [2]);
    }
}
