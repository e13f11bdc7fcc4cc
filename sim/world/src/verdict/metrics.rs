//! The numbers of a verdict that a scenario can expect. What happens often without touching a record's fate (elections,
//! retries, latencies) is counted by the census.

use super::{Fate, Finding, FindingKind, Gone, Verdict};
use crate::census::Among;
use crate::scenario::expect::Metric;
use klab_kafka::ids::{RecordId, TopicIdPartition};

impl Verdict {
    /// A metric's value over some records; none if it is not the verdict's to count.
    pub fn value(&self, metric: Metric, among: Among) -> Option<u64> {
        let fates = |is: fn(&Fate) -> bool| {
            let own = |f: &&Fate| is(f) && is_among(among, f.id, f.partition);
            self.fates.iter().filter(own).count() as u64
        };
        let found = |kind| {
            let own = |f: &&Finding| is_among(among, f.record, f.partition);
            self.found(kind).filter(own).count() as u64
        };
        Some(match metric {
            Metric::Refused => fates(Fate::is_refused),
            Metric::Unknown => fates(Fate::is_unknown),
            Metric::LogGhosts => fates(Fate::is_ghost),
            Metric::LogLost => found(FindingKind::Lost),
            Metric::LogDuplicated => found(FindingKind::Duplicated),
            Metric::LogReordered => found(FindingKind::Reordered),
            // What was acknowledged and lost hurts once, as lost; it counts here too.
            Metric::AcceptedLost => {
                let was_accepted = |id| self.fate(id).is_some_and(|f| f.accepted);
                let lost = self.found(FindingKind::Lost);
                let own =
                    |f: &&Finding| was_accepted(f.record) && is_among(among, f.record, f.partition);
                found(FindingKind::AcceptedLost) + lost.filter(own).count() as u64
            }
            Metric::LogExpired => fates(|f| matches!(f.gone, Some(Gone::TooOld | Gone::TooMuch))),
            Metric::LogCompacted => fates(|f| f.gone == Some(Gone::Compacted)),
            Metric::LogDeleted => fates(|f| f.gone == Some(Gone::Deleted)),
            Metric::ReadMissed => found(FindingKind::ReadMissed),
            Metric::ReadStale => found(FindingKind::ReadStale),
            Metric::ReadLost => found(FindingKind::ReadLost),
            Metric::ReadDuplicated => found(FindingKind::ReadAgain),
            Metric::ReadReordered => found(FindingKind::ReadDisorder),
            Metric::Unexplained => {
                let own = |f: &&Finding| is_among(among, f.record, f.partition);
                self.unexplained().filter(own).count() as u64
            }
            Metric::Sent
            | Metric::Accepted
            | Metric::Acked
            | Metric::Elections
            | Metric::UncleanElections
            | Metric::ControllerElections
            | Metric::Truncated
            | Metric::Retries
            | Metric::ProduceP50
            | Metric::ProduceP99
            | Metric::ProduceMax
            | Metric::Unavailable
            | Metric::Recovery => return None,
        })
    }
}

fn is_among(among: Among, record: RecordId, partition: Option<TopicIdPartition>) -> bool {
    let somewhere = among.partition.is_none() || partition.is_some_and(|p| among.has_partition(p));
    among.has_source(record.source) && somewhere
}
