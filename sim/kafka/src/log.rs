//! One replica's log: Kafka's UnifiedLog. Offsets ascend without overlap; log start <= HW <= LEO (I-7).
//!
//! Thin still: one segment, no producer state, no epoch cache, no recovery.

pub mod batch;
pub mod epochs;
pub mod producers;

use crate::disk::{FileId, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, LogEvent};
use crate::ids::{LeaderEpoch, Offset, TopicIdPartition};
use batch::{BatchData, RecordBatch};
use serde::Serialize;
use std::sync::Arc;

/// One replica's log.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    id: TopicIdPartition,
    batches: Vec<RecordBatch>,
    leo: Offset,
    hw: Offset,
}

impl Log {
    /// An empty log; its first segment is created on disk.
    pub fn create(id: TopicIdPartition, out: &mut Effects) -> Log {
        out.push(Effect::Write(FileId::Segment(id, Offset(0)), Write::Create));
        Log {
            id,
            batches: Vec::new(),
            leo: Offset(0),
            hw: Offset(0),
        }
    }

    /// The log end offset: the next offset to be written.
    pub fn leo(&self) -> Offset {
        self.leo
    }

    /// The high watermark: the first offset that is not committed.
    pub fn hw(&self) -> Offset {
        self.hw
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        Offset(0)
    }

    /// Gives a batch its offsets and this leader's epoch, and writes it.
    pub fn append_as_leader(
        &mut self,
        data: Arc<BatchData>,
        epoch: LeaderEpoch,
        out: &mut Effects,
    ) -> RecordBatch {
        let batch = RecordBatch {
            base_offset: self.leo,
            leader_epoch: epoch,
            data,
        };
        self.write(&batch, true, out);
        batch
    }

    /// Writes a leader's batch as it is.
    ///
    /// # Panics
    /// If it does not begin at the log's end: the follower asked for that offset.
    pub fn append_as_follower(&mut self, batch: RecordBatch, out: &mut Effects) {
        assert_eq!(
            batch.base_offset, self.leo,
            "a copy begins where the log ends"
        );
        self.write(&batch, false, out);
    }

    /// Raises the high watermark; never lowers it.
    pub fn advance_hw(&mut self, to: Offset, out: &mut Effects) -> bool {
        let to = to.min(self.leo);
        if to <= self.hw {
            return false;
        }
        self.hw = to;
        out.push(Effect::Tell(Event::Log(
            self.id,
            LogEvent::HighWatermark { hw: to },
        )));
        true
    }

    /// Whole batches from the one that holds `from`, below `upto`, until `max_bytes` are reached; the first always.
    pub fn read(&self, from: Offset, upto: Offset, max_bytes: i32) -> Vec<RecordBatch> {
        let first = self.batches.partition_point(|b| b.end_offset() <= from);
        let mut left = i64::from(max_bytes);
        let mut found = Vec::new();
        for batch in &self.batches[first..] {
            if batch.end_offset() > upto || (left < i64::from(batch.data.size) && !found.is_empty())
            {
                break;
            }
            left -= i64::from(batch.data.size);
            found.push(batch.clone());
        }
        found
    }

    fn write(&mut self, batch: &RecordBatch, as_leader: bool, out: &mut Effects) {
        out.push(Effect::Write(
            FileId::Segment(self.id, Offset(0)),
            Write::Append(batch.clone()),
        ));
        self.batches.push(batch.clone());
        self.leo = batch.end_offset();
        out.push(Effect::Tell(Event::Log(
            self.id,
            LogEvent::Appended {
                batch: batch.clone(),
                as_leader,
            },
        )));
    }
}
