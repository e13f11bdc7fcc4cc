//! **Reads are consistent**: what a reader got at an offset is the committed record there, and stays so (I-3, W7, B1, B22).
//!
//! Explained when a later leader has overruled the record (unclean election, all copies harmed): then it was read in good
//! faith and is gone. But its reader must learn that before it reads on (KIP-320, R07): what it gets in one go, without
//! having its position reset or a truncation told, stands in one log. That is said of epochs later than its own: an unclean
//! election that brings an older one back Kafka's consumer does not notice.

use super::history::{Change, History};
use super::lineage::Node;
use super::readers::{Got, delivered};
use super::{About, Promise, Seen};
use crate::process::ProcessId;
use crate::trace::Record;
use crate::verdict::explain;
use klab_kafka::ids::{ClientId, LeaderEpoch, Offset, RecordId, TopicIdPartition};

/// The promise.
pub const PROMISE: Promise = Promise {
    name: "consistent read",
    sentence: "A record once read at an offset is the committed record there, and is never replaced; whoever reads on behind one that is gone has been told.",
    ids: "I-3 W7 B1 B22",
    canary: "position-validation=off; mutated history: swap, relabel",
};

/// Watches it.
#[derive(Clone, Debug, Default)]
pub struct ConsistentRead {
    /// Records read.
    pub opportunities: u64,
}

impl ConsistentRead {
    /// A reader got records.
    pub fn record(&mut self, record: &Record, history: &History) -> Option<Seen> {
        let (client, partition, records) = delivered(record)?;
        let place = history.place_of(partition)?;
        self.opportunities += records.len() as u64;
        // Records that are read together mostly lie in one batch.
        let mut batch = None;
        let wrong = |(offset, epoch, id): &&Got| {
            !is_committed(history, place, *offset, *epoch, *id, &mut batch)
        };
        let Some((offset, epoch, id)) = records.iter().find(wrong) else {
            return self.read_on(record.process?, client, partition, records, history);
        };
        let there = history.lineage(place).committed_at(*offset);
        let there = match there.as_ref().map(|n| (&n.batch, n.batch.data.ids())) {
            None => "nothing is committed there".into(),
            Some((batch, ids)) => {
                let at = usize::try_from(offset.0 - batch.base_offset.0).unwrap_or(0);
                let id = ids.get(at).map(|id| history.record_name(*id));
                let id = id.unwrap_or_else(|| "a control record".into());
                format!("{id} of epoch {} is committed there", batch.leader_epoch)
            }
        };
        Some(Seen {
            about: About::Record(*id),
            seen: format!(
                "{} read {} of epoch {epoch} at {} offset {offset}; {there}",
                record.process.map_or("a reader", |p| history.names.of(p)),
                history.record_name(*id),
                history.partition_name(place),
            ),
        })
    }

    /// A reader goes on: does what it got last lie in the log in which it reads now?
    fn read_on(
        &mut self,
        process: ProcessId,
        client: ClientId,
        partition: TopicIdPartition,
        records: &[Got],
        history: &History,
    ) -> Option<Seen> {
        let place = history.place_of(partition)?;
        let lineage = history.lineage(place);
        let (last, its_epoch, gone) = history.readers.get(process, client, partition)?.before?;
        let (first, epoch, _) = *records.first()?;
        let epoch_at = |offset| lineage.committed_at(offset).map(|n| n.batch.leader_epoch);
        if epoch <= its_epoch || first <= last || epoch_at(first) != Some(epoch) {
            return None;
        }
        // Asked where its epoch ends, a leader answers with the end of the latest epoch up to it, and a reader compares that with its
        // position alone (SubscriptionState.maybeCompleteValidation): what an older epoch holds there it cannot tell from its own.
        let there = epoch_at(last);
        if there.is_some_and(|there| there < its_epoch) {
            return None;
        }
        self.opportunities += 1;
        if there == Some(its_epoch) {
            return None;
        }
        let mut cuts = lineage.cuts.iter();
        let cut = cuts.find(|c| its_epoch < c.epoch && c.epoch <= epoch && c.offset <= last);
        let from = cut.map_or(last, |c| c.offset);
        Some(Seen {
            about: About::Record(gone),
            seen: format!(
                "{} read on at {} offset {first} of epoch {epoch}, behind {} of epoch {its_epoch}, and was not told that offsets {from} to \
                 {last} hold other records now",
                history.names.of(process),
                history.partition_name(place),
                history.record_name(gone),
            ),
        })
    }

    /// A leader lacks committed records: had they been read?
    pub fn change(&mut self, change: &Change, history: &History) -> Option<Seen> {
        let Change::Led {
            partition: partition @ 1..,
            cut: Some(cut),
            ..
        } = change
        else {
            return None;
        };
        let lineage = history.lineage(*partition);
        let cut = &lineage.cuts[*cut];
        let mut readings = history.readers.of(lineage.id);
        let was_read = readings.any(|r| r.has(cut.offset));
        self.opportunities += u64::from(was_read);
        if !was_read || explain::of_cut(history, lineage, cut).is_some() {
            return None;
        }
        Some(Seen {
            about: About::Partition(lineage.id),
            seen: format!(
                "what was read at {} offset {} is gone with the leader of epoch {}",
                history.partition_name(*partition),
                cut.offset,
                cut.epoch
            ),
        })
    }
}

/// Whether a record that was read is the committed one, or was overruled since it was fetched. `batch` is the committed batch
/// that was looked at last.
fn is_committed(
    history: &History,
    partition: u32,
    offset: Offset,
    epoch: LeaderEpoch,
    id: RecordId,
    batch: &mut Option<Node>,
) -> bool {
    let lineage = history.lineage(partition);
    if lineage.is_overruled(offset, epoch) {
        return true;
    }
    let holds = |n: &Node| n.batch.base_offset <= offset && offset < n.batch.end_offset();
    if !batch.as_ref().is_some_and(holds) {
        *batch = lineage.committed_at(offset);
    }
    batch.as_ref().is_some_and(|node| {
        let at = usize::try_from(offset.0 - node.batch.base_offset.0).ok();
        let there = at.and_then(|at| node.batch.data.ids().get(at));
        node.batch.leader_epoch == epoch && there == Some(&id)
    })
}
