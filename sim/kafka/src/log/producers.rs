//! What a partition remembers of its idempotent producers (L-7 … L-15).

use crate::ids::{ProducerEpoch, ProducerId};
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A producer snapshot file: the last batch of each producer (L-13).
pub type ProducerSnapshot = BTreeMap<ProducerId, SnapshotEntry>;

/// What a snapshot keeps of one producer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SnapshotEntry {
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Its last sequence number.
    pub last_sequence: i32,
    /// The offset of that record.
    pub last_offset: crate::ids::Offset,
    /// First and last offset lie that far apart.
    pub offset_delta: i32,
    /// When it last wrote.
    pub last_timestamp: Timestamp,
}
