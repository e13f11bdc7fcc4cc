//! The leader epoch cache (L-38, L-39): where each leader's epoch starts in this log.

use crate::ids::{LeaderEpoch, Offset};
use serde::Serialize;

/// An epoch and its first offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of the first record it could have written.
    pub start_offset: Offset,
}
