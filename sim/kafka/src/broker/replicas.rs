//! The partitions of one broker: Kafka's ReplicaManager and LogManager. It finds the partition that a request means, makes
//! partitions what the metadata say (K-20), runs the ISR check over all of them, and writes the checkpoints (L-33, L-35).
//!
//! Left out: several log directories and their failure (a broker halts with its only one, L-37), replicas moved away,
//! quotas.

use crate::broker::isr::{AlterPartitions, Decided};
use crate::broker::partition::{Here, Outcome, Partition, Read, Reading, Replication};
use crate::config::{ServerConfig, TopicConfig};
use crate::controller::image::Image;
use crate::controller::records::PartitionRegistration;
use crate::disk::{DiskImage, FileId, Suffix, Write};
use crate::effect::{Effect, Effects};
use crate::event::{Event, ReplicaEvent};
use crate::ids::*;
use crate::log::batch::BatchData;
use crate::log::config::LogConfig;
use crate::log::manager::{self, LogDir};
use crate::log::{Appended, Dirty, Log};
use crate::protocol::ErrorCode;
use crate::protocol::cluster::{AlterPartitionRequest, AlterPartitionResponse};
use crate::protocol::fetch::FetchPartition;
use crate::time::{Time, Timestamp};
use serde::Serialize;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What has moved at a partition, so that parked requests are looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Moved {
    /// Its end alone: followers may read on, no write is confirmed.
    End,
    /// Its high watermark, or who leads it.
    All,
    /// Where a follower's log starts.
    Start,
}

/// All partitions of a broker.
#[derive(Clone, Debug, Serialize)]
pub struct Replicas {
    partitions: BTreeMap<TopicIdPartition, Partition>,
    /// Logs found on disk of partitions that the metadata have not named yet.
    found: BTreeMap<TopicIdPartition, Log>,
    /// Renamed directories, and when they are deleted.
    doomed: BTreeMap<TopicIdPartition, Time>,
    isr_changes: AlterPartitions,
    /// What has moved and was not looked at yet.
    moved: SmallVec<[(TopicIdPartition, Moved); 2]>,
}

/// What the metadata made of partitions, for the fetchers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Not fetched any more, or not as before.
    pub stop: Vec<TopicIdPartition>,
    /// To be fetched from a leader, in an epoch.
    pub start: Vec<(TopicIdPartition, NodeId, LeaderEpoch)>,
}

/// How the last stop left the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastStop {
    /// Cleanly (L-35); a first start counts as clean: there is nothing to recover.
    pub clean: bool,
    /// The broker epoch that the marker names (KIP-966).
    pub broker_epoch: Option<BrokerEpoch>,
}

impl Replicas {
    /// Loads what is on disk (L-35, L-36). What was to be deleted is at `deletion`.
    pub fn load(
        disk: DiskImage,
        config: &ServerConfig,
        now: Timestamp,
        deletion: Time,
        out: &mut Effects,
    ) -> (Replicas, LastStop) {
        let is_first_start = disk.is_empty();
        let mut dir = LogDir::open(disk, out);
        let last_stop = LastStop {
            clean: is_first_start || dir.clean_shutdown.is_some(),
            broker_epoch: dir.clean_shutdown.flatten(),
        };
        let log_config = LogConfig::of(config, &TopicConfig::default());
        let doomed = dir.to_delete().map(|id| (id, deletion)).collect();
        let mut found = BTreeMap::new();
        for id in dir.partitions() {
            found.insert(id, dir.load(id, log_config.clone(), now, out));
        }
        let replicas = Replicas {
            partitions: BTreeMap::new(),
            found,
            doomed,
            isr_changes: AlterPartitions::default(),
            moved: SmallVec::new(),
        };
        (replicas, last_stop)
    }

    /// All partitions.
    pub fn iter(&self) -> impl Iterator<Item = (TopicIdPartition, &Partition)> {
        self.partitions.iter().map(|(id, p)| (*id, p))
    }

    /// A partition kept here.
    pub fn get(&self, id: TopicIdPartition) -> Option<&Partition> {
        self.partitions.get(&id)
    }

    /// A partition kept here, for its fetcher.
    pub fn get_mut(&mut self, id: TopicIdPartition) -> Option<&mut Partition> {
        self.partitions.get_mut(&id)
    }

    /// The partition that a request means.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER if another broker has it, UNKNOWN_TOPIC_OR_PARTITION if nobody does.
    pub fn find(&self, id: TopicIdPartition, image: &Image) -> Result<&Partition, ErrorCode> {
        self.get(id).ok_or_else(|| missing(id, image))
    }

    /// Whether anything has moved since it was last taken.
    pub fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Takes the next that has moved and was not looked at yet.
    pub fn next_moved(&mut self) -> Option<(TopicIdPartition, Moved)> {
        (!self.moved.is_empty()).then(|| self.moved.remove(0))
    }

    /// A follower's log has moved: its fetcher copied, or cut.
    pub fn note_moved(&mut self, id: TopicIdPartition) {
        self.moved.push((id, Moved::All));
    }

    fn outcome(&mut self, id: TopicIdPartition, outcome: Outcome) {
        if outcome.hw_moved {
            self.moved.push((id, Moved::All));
        }
        if outcome.start_moved {
            self.moved.push((id, Moved::Start));
        }
        let Some(proposal) = outcome.proposal else {
            return;
        };
        if !self.isr_changes.submit((*proposal).clone()) {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.not_attempted(&proposal);
            }
        }
    }
}

/// Clients and followers.
impl Replicas {
    /// Appends a batch to a partition that this broker leads. Returns where the log starts, too.
    ///
    /// # Errors
    /// The partition's.
    pub fn append(
        &mut self,
        id: TopicIdPartition,
        data: &Arc<BatchData>,
        acks: i16,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<(Appended, Offset), ErrorCode> {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Err(missing_by_id(id, here.image));
        };
        let (appended, hw_moved) = partition.append(data, acks, here, out)?;
        let moved = if hw_moved { Moved::All } else { Moved::End };
        self.moved.push((id, moved));
        Ok((appended, partition.log().log_start()))
    }

    /// DeleteRecords (L-26): gives up what lies before an offset, at the leader. Returns the offset that all replicas are to
    /// follow to.
    ///
    /// # Errors
    /// The partition's.
    pub fn delete_records(
        &mut self,
        id: TopicIdPartition,
        before: Option<Offset>,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<Offset, ErrorCode> {
        match self.partitions.get_mut(&id) {
            Some(partition) => partition.delete_records(before, out),
            None => Err(missing(id, here.image)),
        }
    }

    /// The sweep for old segments (L-20). What is compacted is the cleaner's to sweep. The result says what is to vanish, and
    /// after how long.
    pub fn delete_old_segments(&mut self, now: Timestamp, out: &mut Effects) -> Vec<(FileId, i64)> {
        self.delete_old(|log| !log.config().cleanup.compact, now, out)
    }

    fn delete_old(
        &mut self,
        is_meant: impl Fn(&Log) -> bool,
        now: Timestamp,
        out: &mut Effects,
    ) -> Vec<(FileId, i64)> {
        let mut renamed = Vec::new();
        for partition in self.partitions.values_mut() {
            let log = partition.log_mut();
            if is_meant(log) {
                let delay = log.config().file_delete_delay_ms;
                let files = log.delete_old_segments(now, out);
                renamed.extend(files.into_iter().map(|file| (file, delay)));
            }
        }
        renamed
    }

    /// Whether a log is compacted here.
    pub fn has_compacted(&self) -> bool {
        let mut logs = self.partitions.values().map(Partition::log);
        logs.any(|log| log.config().cleanup.compact)
    }

    /// Whether a round is under way in a log.
    pub fn is_cleaning(&self) -> bool {
        let mut logs = self.partitions.values().map(Partition::log);
        logs.any(Log::is_being_cleaned)
    }

    /// L-27: begins a round in the dirtiest log that may be compacted. The first of equals.
    pub fn clean_dirtiest(&mut self, now: Timestamp, out: &mut Effects) {
        let mut dirtiest: Option<(TopicIdPartition, Dirty)> = None;
        for (id, partition) in &self.partitions {
            let Some(dirty) = partition.log().dirty(now) else {
                continue;
            };
            if dirtiest.is_none_or(|(_, d)| dirty.is_dirtier_than(&d)) {
                dirtiest = Some((*id, dirty));
            }
        }
        if let Some((id, dirty)) = dirtiest {
            let partition = self.partitions.get_mut(&id).expect("just found");
            partition.log_mut().clean(&dirty, now, out);
        }
    }

    /// A file of a round is synced. The result says whether the round is over, and what is to vanish after how long.
    pub fn cleaned(
        &mut self,
        id: TopicIdPartition,
        base: Offset,
        out: &mut Effects,
    ) -> (bool, Vec<(FileId, i64)>) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            out.push(Effect::Write(FileId::Cleaned(id, base), Write::Delete));
            return (false, Vec::new());
        };
        let log = partition.log_mut();
        let delay = log.config().file_delete_delay_ms;
        let (is_over, renamed) = log.cleaned(base, out);
        if is_over {
            out.push(manager::checkpoint_cleaned(self.logs()));
        }
        (
            is_over,
            renamed.into_iter().map(|file| (file, delay)).collect(),
        )
    }

    /// The cleaner's own sweep: old segments of compacted logs (L-23). Not of one that is being compacted.
    pub fn delete_old_compacted(
        &mut self,
        now: Timestamp,
        out: &mut Effects,
    ) -> Vec<(FileId, i64)> {
        let is_cleaners = |log: &Log| log.config().cleanup.compact && !log.is_being_cleaned();
        self.delete_old(is_cleaners, now, out)
    }

    /// How far an acks=all write has come.
    pub fn replication(
        &self,
        id: TopicIdPartition,
        required: Offset,
        here: Here<'_>,
    ) -> Replication {
        match self.find(id, here.image) {
            Ok(partition) => partition.replication(required, here),
            Err(error) => Replication::Decided(error),
        }
    }

    /// Reads a position.
    ///
    /// # Errors
    /// The partition's.
    #[inline]
    pub fn fetch(
        &mut self,
        id: TopicIdPartition,
        asked: &FetchPartition,
        reading: &Reading,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Result<Read, ErrorCode> {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Err(missing_by_id(id, here.image));
        };
        let mut read = partition.fetch(asked, reading, here, out)?;
        self.outcome(id, std::mem::take(&mut read.outcome));
        Ok(read)
    }
}

/// The metadata and the ISR.
impl Replicas {
    /// Makes partitions what the metadata say: first those that this broker leads, then those that it follows (K-20). In a
    /// controlled shutdown a replica that is out of the ISR, or without a leader, is not fetched any more.
    pub fn apply(
        &mut self,
        changed: &[TopicIdPartition],
        is_stopping: bool,
        here: Here<'_>,
        out: &mut Effects,
    ) -> Changes {
        let mine = |id: &TopicIdPartition| {
            let registration = here.image.partition(*id)?;
            let is_replica = registration.replicas.contains(&here.node);
            is_replica.then_some((*id, registration))
        };
        let mine: Vec<_> = changed.iter().filter_map(mine).collect();
        let mut changes = Changes::default();
        let leads = |r: &PartitionRegistration| r.leader == Some(here.node);
        for (id, registration) in mine.iter().filter(|(_, r)| leads(r)) {
            changes.stop.push(*id);
            let partition = self.host(*id, here, out);
            let outcome = partition.lead(registration, here, out).unwrap_or_default();
            self.outcome(*id, outcome);
        }
        for (id, registration) in mine.iter().filter(|(_, r)| !leads(r)) {
            let is_new_epoch = self.host(*id, here, out).follow(registration, out);
            let is_leaving =
                registration.leader.is_none() || !registration.isr.contains(&here.node);
            if is_stopping && is_leaving {
                changes.stop.push(*id);
                self.note_moved(*id);
            } else if is_new_epoch {
                changes.stop.push(*id);
                let leader = registration
                    .leader
                    .filter(|l| here.image.brokers.contains_key(l));
                let epoch = registration.leader_epoch;
                changes.start.extend(leader.map(|l| (*id, l, epoch)));
                self.note_moved(*id);
            }
        }
        changes
    }

    /// The partition, made with the log found on disk or with a new one.
    fn host(&mut self, id: TopicIdPartition, here: Here<'_>, out: &mut Effects) -> &mut Partition {
        let found = &mut self.found;
        self.partitions.entry(id).or_insert_with(|| {
            let config = log_config(id.topic, here);
            let log = match found.remove(&id) {
                Some(mut log) => {
                    log.set_config(config);
                    log
                }
                None => Log::create(id, config, here.now, out),
            };
            Partition::new(log)
        })
    }

    /// Topics whose settings have changed, or those of all (K-20: after leaders and followers).
    pub fn configure(&mut self, topics: Option<&[TopicId]>, here: Here<'_>) {
        for (id, partition) in &mut self.partitions {
            if topics.is_none_or(|t| t.contains(&id.topic)) {
                partition.log_mut().set_config(log_config(id.topic, here));
            }
        }
    }

    /// the check of every half `replica.lag.time.max.ms`.
    pub fn check_isr(&mut self, here: Here<'_>, out: &mut Effects) {
        let ids: Vec<TopicIdPartition> = self.partitions.keys().copied().collect();
        for id in ids {
            let partition = self.partitions.get_mut(&id).expect("just listed");
            let outcome = Outcome {
                proposal: partition.shrink_isr(here, out).map(Box::new),
                ..Outcome::default()
            };
            self.outcome(id, outcome);
        }
    }

    /// The next AlterPartition request, if there is anything to ask and none is in flight.
    pub fn next_isr_request(
        &mut self,
        node: NodeId,
        epoch: Option<BrokerEpoch>,
        now: Time,
    ) -> Option<AlterPartitionRequest> {
        self.isr_changes.next_request(node, epoch?, now)
    }

    /// The controller's answer.
    pub fn isr_answered(
        &mut self,
        response: AlterPartitionResponse,
        here: Here<'_>,
        now: Time,
        out: &mut Effects,
    ) {
        for decided in self.isr_changes.answered(response, now) {
            self.take_decision(&decided, here, out);
        }
    }

    fn take_decision(&mut self, decided: &Decided, here: Here<'_>, out: &mut Effects) {
        if let Some(partition) = self.partitions.get_mut(&decided.partition) {
            let outcome = partition.decided(decided, here, out);
            self.outcome(decided.partition, outcome);
        }
    }

    /// When to ask the controller again after an error.
    pub fn isr_retry_at(&self) -> Option<Time> {
        self.isr_changes.retry_at()
    }
}

/// Deletion (K-24).
impl Replicas {
    /// Topics are no more: their partitions answer nobody from now on, their directories are renamed at once and deleted at
    /// `at`. Returns those that were here.
    pub fn delete(
        &mut self,
        deleted: impl Iterator<Item = TopicIdPartition>,
        at: Time,
        out: &mut Effects,
    ) -> Vec<TopicIdPartition> {
        let here = |id: &TopicIdPartition| {
            let hosted = self.partitions.remove(id).is_some();
            self.found.remove(id).is_some() || hosted
        };
        let gone: Vec<TopicIdPartition> = deleted.filter(here).collect();
        for id in &gone {
            out.push(manager::rename(*id, Suffix::Delete));
            out.push(Effect::Tell(Event::Replica(*id, ReplicaEvent::Deleted)));
            self.doomed.insert(*id, at);
            self.note_moved(*id);
        }
        if !gone.is_empty() {
            self.checkpoint_recovery_points(out);
        }
        gone
    }

    /// The first metadata after a start: logs of topics that went while the broker was away are put aside, not deleted.
    pub fn put_strays_aside(&mut self, here: Here<'_>, out: &mut Effects) {
        let is_mine = |id: &TopicIdPartition| {
            let registration = here.image.partition(*id);
            registration.is_some_and(|r| r.replicas.contains(&here.node))
        };
        let strays: Vec<TopicIdPartition> = self
            .found
            .keys()
            .copied()
            .filter(|id| !is_mine(id))
            .collect();
        for id in strays {
            self.found.remove(&id);
            out.push(manager::rename(id, Suffix::Stray));
            out.push(Effect::Tell(Event::Replica(id, ReplicaEvent::Stray)));
        }
    }

    /// Deletes the directories whose time has come.
    pub fn delete_due(&mut self, now: Time, out: &mut Effects) {
        self.doomed.retain(|id, at| {
            let is_due = *at <= now;
            if is_due {
                out.push(manager::delete(*id));
            }
            !is_due
        });
    }

    /// When the next directory is deleted.
    pub fn next_deletion(&self) -> Option<Time> {
        self.doomed.values().min().copied()
    }
}

/// Checkpoints and the end.
impl Replicas {
    fn logs(&self) -> impl Iterator<Item = &Log> {
        let hosted = self.partitions.values().map(Partition::log);
        hosted.chain(self.found.values())
    }

    /// High watermarks, every 5 s (L-33).
    pub fn checkpoint_hws(&self, out: &mut Effects) {
        out.push(manager::checkpoint_hws(self.logs()));
    }

    /// Recovery points and log starts, every 60 s (L-33).
    pub fn checkpoint_recovery_points(&self, out: &mut Effects) {
        out.push(manager::checkpoint_recovery_points(self.logs()));
        out.push(manager::checkpoint_log_starts(self.logs()));
    }

    /// A log was cut: its recovery point went back, and must on disk too.
    pub fn truncated(&mut self, id: TopicIdPartition, out: &mut Effects) {
        out.push(manager::checkpoint_recovery_points(self.logs()));
        self.note_moved(id);
    }

    /// The sweep over idle producers (L-14).
    pub fn remove_expired_producers(&mut self, now: Timestamp, out: &mut Effects) {
        for partition in self.partitions.values_mut() {
            partition.log_mut().remove_expired_producers(now, out);
        }
    }

    /// A segment is synced.
    pub fn synced(&mut self, file: FileId) {
        let FileId::Segment(id, base) = file else {
            return;
        };
        let hosted = self.partitions.get_mut(&id).map(Partition::log_mut);
        if let Some(log) = hosted.or_else(|| self.found.get_mut(&id)) {
            log.synced(base);
        }
    }

    /// Begins a clean stop: every log is flushed (L-35).
    pub fn close(&mut self, out: &mut Effects) {
        let hosted = self.partitions.values_mut().map(Partition::log_mut);
        for log in hosted.chain(self.found.values_mut()) {
            log.close(out);
        }
    }

    /// Whether every log is flushed.
    pub fn is_flushed(&self) -> bool {
        self.logs().all(Log::is_flushed)
    }

    /// Ends a clean stop: the last checkpoints, and the marker behind them (L-35).
    pub fn mark_clean(&self, epoch: Option<BrokerEpoch>, out: &mut Effects) {
        self.checkpoint_recovery_points(out);
        out.push(manager::mark_clean_shutdown(self.logs(), epoch));
    }
}

fn missing(id: TopicIdPartition, image: &Image) -> ErrorCode {
    match image.partition(id) {
        Some(_) => ErrorCode::NotLeaderOrFollower,
        None => ErrorCode::UnknownTopicOrPartition,
    }
}

/// For requests that name a topic by its id: an id that nobody has is of a topic that is no more, or not yet known here
/// (K-24).
fn missing_by_id(id: TopicIdPartition, image: &Image) -> ErrorCode {
    match image.topics.contains_key(&id.topic) {
        true => missing(id, image),
        false => ErrorCode::UnknownTopicId,
    }
}

fn log_config(topic: TopicId, here: Here<'_>) -> LogConfig {
    let own = here.image.topics.get(&topic).map(|t| &t.config);
    LogConfig::of(here.config, own.unwrap_or(&TopicConfig::default()))
}
