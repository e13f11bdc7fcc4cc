//! **An acknowledged record survives**: once a record is acknowledged with acks=all, every later leader has it at the same
//! offset (I-1, W2), it lies on some disk (W6), and it is in the log at the end (B4, B5).
//!
//! It may be lost only by what an explanation names: an unclean election, or a harm that took the copies of all that could
//! lead. What was acknowledged with acks=1 or 0 was never promised; its loss is explained by that setting.

use super::history::{Change, History};
use super::lineage::Role;
use super::{About, Promise, Seen};
use crate::trace::{Record, What};
use crate::verdict::explain;
use klab_kafka::event::{Event, ReplicaEvent};
use klab_kafka::ids::{Offset, RecordId, TopicIdPartition};

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "acked survives",
    sentence: "A record acknowledged with acks=all is in every later leader's log at the same offset.",
    ids: "I-1 W2 W6 B4 B5",
    canary: "hw-quorum=committed-isr, isr-expand-epoch-start=off, isr-broker-epoch=off, truncate=hw; mutated history: drop",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct AckedSurvives {
    /// Elections of leaders while something was committed, and acknowledgements.
    pub opportunities: u64,
}

impl AckedSurvives {
    /// A leader has begun: does it lack what was committed?
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let Change::Led {
            partition: partition @ 1..,
            process,
            epoch,
            cut,
            ..
        } = change
        else {
            return None;
        };
        let lineage = history.lineage(*partition);
        self.opportunities += u64::from(cut.is_some() || !lineage.committed.is_empty());
        let cut = &lineage.cuts[(*cut)?];
        if explain::of_cut(history, lineage, cut).is_some() {
            return None;
        }
        let ids = |n| lineage.node(n).batch.data.ids().to_vec();
        let lost: Vec<RecordId> = cut.missing.iter().flat_map(|m| ids(m.node)).collect();
        let first = *lost.first()?;
        Some(Seen {
            about: About::Record(first),
            seen: format!(
                "{} leads {} in epoch {epoch} and lacks {} committed records from offset {} on, {} first; no setting and no harm explains it",
                history.names.of(*process),
                history.partition_name(*partition),
                lost.len(),
                cut.offset,
                history.record_name(first),
            ),
        })
    }

    /// A leader answered acks=all: has its high watermark passed the records?
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let What::Told(Event::Replica(
            id,
            ReplicaEvent::Acknowledged {
                base_offset,
                ids,
                acks: -1,
            },
        )) = &record.what
        else {
            return None;
        };
        self.opportunities += 1;
        let end = base_offset.plus(i64::try_from(ids.len()).ok()?);
        let early = is_early(history, *id, end, record)?;
        let first = *ids.first()?;
        Some(Seen {
            about: About::Record(first),
            seen: format!(
                "{} was acknowledged with acks=all at offset {base_offset}, but only what lies below {early} is committed",
                history.record_name(first),
            ),
        })
    }
}

/// The leader's high watermark, if it lies below `end`.
fn is_early(
    history: &History,
    id: TopicIdPartition,
    end: Offset,
    record: &Record,
) -> Option<Offset> {
    let lineage = history.lineage(history.place_of(id)?);
    let replica = lineage.replica(record.process?)?;
    let leads = matches!(replica.role, Role::Leader(_));
    (leads && replica.hw < end).then_some(replica.hw)
}
