//! What replicas forgot of the producers that had written to them: without it a leader takes up a batch that it has had.
//!
//! Told by the broker when a producer has idled too long (L-14); derived where the log is empty.
//!
//! What is left out: all batches but the last, which every start forgets (L-13): a restart is known by itself.

use super::{GaveUp, Lineage, NodeRef};
use crate::process::ProcessId;
use klab_kafka::ids::ProducerId;
use klab_kafka::time::Time;
use serde::Serialize;
use std::collections::BTreeSet;

/// A replica forgot a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Forgot {
    /// Who and when.
    pub by: GaveUp,
    /// Why.
    pub why: WhyForgot,
}

/// Why a replica forgets a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum WhyForgot {
    /// It had idled for `producer.id.expiration.ms` (L-14).
    Idle,
    /// Its log held nothing any more: at a start, when it deletes every snapshot of the producers at or before the log start
    /// (ProducerStateManager.truncateAndReload); or when it started over behind its end (UnifiedLog.truncateFullyAndStartAt).
    EmptyLog,
}

impl Lineage {
    /// A replica forgot idle producers.
    pub fn forget(&mut self, replica: usize, producers: &[ProducerId], told: (u64, Time)) {
        self.forget_these(replica, producers.iter().copied(), WhyForgot::Idle, told);
    }

    /// A replica's log is empty: it forgot every producer whose batches it has had.
    pub fn forget_all(&mut self, replica: usize, told: (u64, Time)) {
        let path = self.replicas[replica].path.iter();
        let stamps = path.filter_map(|c| self.node(c.node).batch.data.producer);
        let producers: BTreeSet<ProducerId> = stamps.map(|stamp| stamp.id).collect();
        self.forget_these(replica, producers.into_iter(), WhyForgot::EmptyLog, told);
    }

    fn forget_these(
        &mut self,
        replica: usize,
        producers: impl Iterator<Item = ProducerId>,
        why: WhyForgot,
        told: (u64, Time),
    ) {
        let by = self.gave_up(replica, told);
        let all = producers.map(|producer| (producer, Forgot { by, why }));
        self.forgotten.extend(all);
    }

    /// Whether a process forgot a producer after it had had a batch, before a record of the trace.
    pub fn forgot(
        &self,
        process: ProcessId,
        producer: ProducerId,
        had: NodeRef,
        before: u64,
    ) -> Option<Forgot> {
        let mut all = self.forgotten.iter();
        let own = |(p, forgot): &&(ProducerId, Forgot)| {
            *p == producer && forgot.by.process == process && forgot.by.seq < before
        };
        let latest = all.rfind(own).map(|(_, forgot)| *forgot)?;
        let fates = self.fates(had).into_iter();
        let mut own = fates.filter(|(p, ..)| *p == process);
        own.any(|(_, copied, _)| copied < latest.by.seq)
            .then_some(latest)
    }
}
