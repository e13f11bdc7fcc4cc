//! Transactions that are being verified (Kafka's VerificationStateEntry, KIP-890, T-6): between a transaction's first
//! batch and the coordinator's word that this partition belongs to it, a guard keeps an abort marker, or a retry of
//! another attempt, from slipping in between.

use crate::ids::{ProducerEpoch, ProducerId};
use crate::log::batch::ProducerStamp;
use crate::protocol::ErrorCode;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Names one attempt at a verification. Never used again in its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct VerificationGuard(u64);

/// The verifications of one partition that are under way. They live in memory only.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Verifications {
    pending: BTreeMap<ProducerId, Verification>,
    made: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Verification {
    guard: VerificationGuard,
    since: Timestamp,
    supports_epoch_bump: bool,
    epoch: ProducerEpoch,
    /// A batch with a higher sequence number must not overtake this one, which may have to be sent again.
    lowest_sequence: i32,
}

impl Verifications {
    /// The guard of this producer's verification, begun now if there was none.
    pub fn start(
        &mut self,
        stamp: ProducerStamp,
        supports_epoch_bump: bool,
        now: Timestamp,
    ) -> VerificationGuard {
        let made = &mut self.made;
        let entry = self.pending.entry(stamp.id).or_insert_with(|| {
            *made += 1;
            Verification {
                guard: VerificationGuard(*made),
                since: now,
                supports_epoch_bump,
                epoch: stamp.epoch,
                lowest_sequence: stamp.base_sequence,
            }
        });
        if stamp.epoch > entry.epoch {
            entry.epoch = stamp.epoch;
            entry.lowest_sequence = stamp.base_sequence;
        } else if stamp.epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(stamp.base_sequence);
        }
        entry.guard
    }

    /// Whether a guard is the one that is waited for.
    pub fn verify(&self, id: ProducerId, guard: Option<VerificationGuard>) -> bool {
        guard.is_some() && self.pending.get(&id).map(|v| v.guard) == guard
    }

    /// L-10's part about pending verifications.
    pub fn check_sequence(&self, stamp: ProducerStamp, has_batches: bool) -> Result<(), ErrorCode> {
        let Some(pending) = self.pending.get(&stamp.id) else {
            return Ok(());
        };
        let starts_anew = pending.supports_epoch_bump && !has_batches;
        if (starts_anew && stamp.base_sequence != 0)
            || stamp.base_sequence > pending.lowest_sequence
        {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        Ok(())
    }

    /// A transactional batch is in the log: the verification has done its work, unless a marker of transactions version
    /// 2 ended the epoch before the one that is being verified.
    pub fn clear_after(&mut self, stamp: ProducerStamp, is_marker: bool) {
        let next_has_begun = |v: &Verification| v.supports_epoch_bump && v.epoch == stamp.epoch;
        let keep = is_marker && self.pending.get(&stamp.id).is_some_and(next_has_begun);
        if !keep {
            self.pending.remove(&stamp.id);
        }
    }

    /// Verifications that led to nothing are forgotten with the producers (L-14).
    pub fn remove_expired(&mut self, now: Timestamp, expiration_ms: i64) {
        self.pending
            .retain(|_, v| now.0 - v.since.0 < expiration_ms);
    }
}
