//! The life of every application record, as its application and the logs tell of it: asked for, sent, written, told.
//!
//! What the application was *told* and what is *certain* are two things: this file keeps the first, the lineage the second.

use super::lineage::NodeRef;
use super::table::Table;
use crate::process::ProcessId;
use crate::trace::Record;
use klab_kafka::event::{AppEvent, ClientEvent, SendFailure};
use klab_kafka::ids::{ConnId, CorrelationId, Offset, RecordId, TopicIdPartition};
use klab_kafka::protocol::ErrorCode;
use klab_kafka::sorted::Sorted;
use klab_kafka::time::Time;
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// The number of a trace record, if it has been.
pub type Mark = Option<NonZeroU64>;

/// A mark for a trace record.
pub fn mark(seq: u64) -> Mark {
    NonZeroU64::new(seq)
}

/// What an application was told about a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Told {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is written.
    Written {
        /// The record that told it.
        seq: u64,
        /// When.
        at: Time,
        /// Where; nowhere with acks=0.
        offset: Option<Offset>,
    },
    /// It failed.
    Failed {
        /// The record that told it.
        seq: u64,
        /// When.
        at: Time,
        /// How.
        failure: SendFailure,
    },
}

/// A batch that holds a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// In which partition, by its place in the history.
    pub place: u32,
    /// Which batch of it.
    pub node: NodeRef,
}

/// Which way a request went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// To whom.
    pub to: ProcessId,
    /// On which connection.
    pub conn: ConnId,
    /// Which request.
    pub id: CorrelationId,
}

/// One record's life.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The application's own caller asked for it.
    pub invoked: Mark,
    /// `send` took it for the first time.
    pub queued: Mark,
    /// `send` took it for the last time.
    pub last_queued: Mark,
    /// When `send` took it for the first time.
    pub queued_at: Time,
    /// How many times `send` took it.
    pub sends: u32,
    /// It was put into a produce request for the first time.
    pub batched: Mark,
    /// For which partition.
    pub partition: Option<TopicIdPartition>,
    /// The batches that hold it, in the order in which leaders wrote them.
    pub spots: SmallVec<[Spot; 2]>,
    /// What the application was told.
    pub told: Told,
    /// The application told its own caller that it is accepted.
    pub accepted: Mark,
    /// Its latest retry, by its place in the list of retries; that its batch was split, if it has no other.
    pub retry: Option<u32>,
    /// Which way it went, if its producer waits for no answer.
    pub way: Option<Way>,
}

/// A try that failed and was made again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The record that told it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What the try ended with.
    pub error: ErrorCode,
    /// The fault that broke the connection, if one did so directly.
    pub fault: Mark,
    /// The same records' retry before it, by its place in the list of retries.
    before: Option<u32>,
}

impl Retry {
    /// Whether the try may have been written although it failed: not if it was refused before anything is.
    fn may_hide_a_copy(&self) -> bool {
        let refusals = [ErrorCode::NotEnoughReplicas, ErrorCode::MessageTooLarge];
        !refusals.contains(&self.error)
    }
}

/// A leader's last word on a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Refused {
    /// The record that told it.
    pub seq: u64,
    /// Whose.
    pub by: ProcessId,
    /// Why.
    pub error: ErrorCode,
}

/// A batch that came out of order (L-10) and was not written.
#[derive(Clone, Debug)]
pub struct OutOfOrder {
    /// The record that told it.
    pub seq: u64,
    /// Who refused it.
    pub by: ProcessId,
    /// Its records.
    pub ids: Box<[RecordId]>,
}

/// The lives of all records.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    sources: Sorted<u32, Table<Life>>,
    retries: Table<Retry>,
    out_of_order: Table<OutOfOrder>,
    /// Few: most are never refused.
    refused: BTreeMap<RecordId, Refused>,
}

impl Lives {
    /// One record's life, if anything is known of it.
    pub fn get(&self, id: RecordId) -> Option<&Life> {
        self.sources.get(&id.source)?.get(place(id))
    }

    /// One record's life, to be written on.
    pub fn entry(&mut self, id: RecordId) -> &mut Life {
        let lives = self.sources.get_or_default(id.source);
        while lives.len() <= place(id) {
            lives.push(Life::default());
        }
        lives.get_mut(place(id)).expect("just made")
    }

    /// All lives with their records' names, by source and number.
    pub fn iter(&self) -> impl Iterator<Item = (RecordId, &Life)> {
        self.sources.iter().flat_map(|(source, lives)| {
            lives.iter().zip(0..).map(|(life, number)| {
                let source = *source;
                (RecordId { source, number }, life)
            })
        })
    }

    /// A leader wrote a batch with this record.
    pub fn written(&mut self, id: RecordId, partition: TopicIdPartition, spot: Spot) {
        let life = self.entry(id);
        life.spots.push(spot);
        life.partition = Some(partition);
    }

    /// A batch was refused.
    pub fn refuse(&mut self, error: ErrorCode, ids: &[RecordId], by: ProcessId, seq: u64) {
        if error == ErrorCode::OutOfOrderSequenceNumber {
            let ids = ids.into();
            self.out_of_order.push(OutOfOrder { seq, by, ids });
        } else if !error.is_retriable() {
            let refused = ids.iter().map(|id| (*id, Refused { seq, by, error }));
            self.refused.extend(refused);
        }
    }

    /// Who refused a record for good, if somebody did.
    pub fn refused_by(&self, id: RecordId) -> Option<Refused> {
        self.refused.get(&id).copied()
    }

    /// A client told a fact; `input` is what it handles, with the fault that it comes from. False if the fact is not about sending.
    pub fn client(
        &mut self,
        event: &ClientEvent,
        record: &Record,
        input: (u64, Option<u64>),
    ) -> bool {
        let (seq, at) = (record.seq, record.at);
        match event {
            ClientEvent::Queued { id, partition } => {
                let life = self.entry(*id);
                if life.queued.is_none() {
                    life.queued_at = at;
                }
                life.queued = life.queued.or(mark(seq));
                life.last_queued = mark(seq);
                life.sends += 1;
                life.partition = Some(*partition);
            }
            ClientEvent::BatchSent { ids, .. } => {
                for id in ids {
                    let life = self.entry(*id);
                    life.batched = life.batched.or(mark(seq));
                }
            }
            ClientEvent::Retried { ids, error, .. } => {
                let (handled, fault) = input;
                let fault = fault.filter(|_| record.cause == Some(handled));
                let mut latest = None;
                for id in ids {
                    let before = self.entry(*id).retry;
                    // Records of one batch mostly have all their retries in common.
                    let (_, retry) = match latest {
                        Some((common, retry)) if common == before => (common, retry),
                        _ => {
                            let retry = Retry {
                                seq,
                                at,
                                error: *error,
                                fault: fault.and_then(mark),
                                before,
                            };
                            (before, self.add_retry(retry))
                        }
                    };
                    latest = Some((before, retry));
                    self.entry(*id).retry = Some(retry);
                }
            }
            // A try that failed, too, and nothing but that: it was written nowhere.
            ClientEvent::BatchSplit { ids, .. } => {
                let retry = self.add_retry(Retry {
                    seq,
                    at,
                    error: ErrorCode::MessageTooLarge,
                    fault: None,
                    before: None,
                });
                for id in ids {
                    self.entry(*id).retry.get_or_insert(retry);
                }
            }
            ClientEvent::Acked {
                id,
                offset,
                partition,
            } => {
                let offset = *offset;
                let life = self.entry(*id);
                life.partition = Some(*partition);
                life.told = Told::Written { seq, at, offset };
            }
            ClientEvent::Failed { id, error, .. } => {
                let life = self.entry(*id);
                if !life.is_acked() {
                    let failure = *error;
                    life.told = Told::Failed { seq, at, failure };
                }
            }
            _ => return false,
        }
        true
    }

    /// An application told a fact.
    pub fn app(&mut self, event: &AppEvent, seq: u64) {
        match event {
            AppEvent::Invoked { id } => {
                let life = self.entry(*id);
                life.invoked = life.invoked.or(mark(seq));
            }
            AppEvent::Accepted { id } => {
                let life = self.entry(*id);
                life.accepted = life.accepted.or(mark(seq));
            }
            _ => {}
        }
    }

    /// The refusals, because a batch came out of order, of a producer's batches for a partition.
    pub fn out_of_order(
        &self,
        source: u32,
        partition: TopicIdPartition,
    ) -> impl Iterator<Item = &OutOfOrder> {
        let is_for = move |id: &RecordId| {
            id.source == source && self.get(*id).and_then(|l| l.partition) == Some(partition)
        };
        let refused = self.out_of_order.iter();
        refused.filter(move |r| r.ids.iter().any(is_for))
    }

    fn add_retry(&mut self, retry: Retry) -> u32 {
        let place = u32::try_from(self.retries.len()).expect("fewer than 2^32 retries");
        self.retries.push(retry);
        place
    }

    /// A record's latest retry of what may have been written.
    pub fn repeated(&self, life: &Life) -> Option<&Retry> {
        self.retry_of(life)
            .filter(|r| r.error != ErrorCode::MessageTooLarge)
    }

    /// A record's latest retry.
    pub fn retry_of(&self, life: &Life) -> Option<&Retry> {
        self.retries.get(life.retry? as usize)
    }

    /// The retry that led from one copy of a record, which an event told of, to the next: its producer heard nothing good of
    /// the try that wrote the first. Retries after it only went on with what it had begun, and one that was refused says
    /// nothing of the first copy.
    pub fn retry_between(&self, life: &Life, first: u64, second: u64) -> Option<&Retry> {
        let of = |retry: &&Retry| self.retries.get(retry.before? as usize);
        let all = std::iter::successors(self.retry_of(life), of);
        let fit = all.filter(|r| r.seq < second && r.may_hide_a_copy());
        let (after, before): (Vec<&Retry>, Vec<&Retry>) = fit.partition(|r| r.seq > first);
        // None after it: the first copy was written only when its producer waited no longer.
        let last_before = before.first().filter(|_| life.sends <= 1);
        after.last().or(last_before).copied()
    }
}

impl Life {
    /// Whether anybody ever asked for this record.
    pub fn is_real(&self) -> bool {
        self.invoked.is_some() || self.queued.is_some()
    }

    /// Its batches in one partition.
    pub fn nodes_in(&self, place: u32) -> impl Iterator<Item = NodeRef> {
        let there = self.spots.iter().filter(move |s| s.place == place);
        there.map(|s| s.node)
    }

    /// Whether the application was told that it is written.
    pub fn is_acked(&self) -> bool {
        matches!(self.told, Told::Written { .. })
    }
}

fn place(id: RecordId) -> usize {
    id.number as usize
}
