//! The history of a run: what all checkers need to know, kept once. It is built from trace records alone; the state is
//! looked at only where a process cannot tell any more: what a dead machine's disk still holds.
//!
//! Partition leaders and ISRs come from the committed metadata log, not from what a controller says it decided: a
//! controller may die between the commit and the telling.

use super::harms::{Break, Harms};
use super::life::{Lives, Spot, Way};
use super::lineage::{Advance, Allows, Election, Grown, Lineage, Removal, Replica, Role};
use super::readers::Readers;
use crate::process::{Down, Names, ProcessId};
use crate::scenario::{ProducerPlan, Scenario};
use crate::trace::{Handled, Phase, ProcessFact, Record, What};
use crate::view::View;
use klab_kafka::controller::image::Image;
use klab_kafka::controller::records::{MetadataRecord, PartitionRegistration};
use klab_kafka::event::*;
use klab_kafka::ids::{
    ConnId, CorrelationId, LeaderEpoch, METADATA_PARTITION, NodeId, Offset, PartitionEpoch,
    RecordId, TopicId, TopicIdPartition,
};
use klab_kafka::log::batch::{Payload, RecordBatch};
use klab_kafka::protocol::Api;
use klab_kafka::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a record changed in the history.
#[derive(Clone, Debug)]
pub enum Change {
    /// A replica's log grew by a batch.
    Grew {
        /// Which partition, by its place.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// The batch, and whether it fits.
        grown: Grown,
        /// Written by a leader; else copied from one.
        by_leader: bool,
    },
    /// A replica's log shrank: graves from this place on.
    Shrank {
        /// Which partition.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// The first grave.
        graves: usize,
        /// Why.
        removal: Removal,
    },
    /// A replica told its high watermark.
    HighWatermark {
        /// Which partition.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// Before.
        from: Offset,
        /// After.
        to: Offset,
        /// What it showed of the committed log.
        advance: Advance,
    },
    /// A running replica told where its log starts.
    Start {
        /// Which partition.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// There.
        at: Offset,
    },
    /// A replica began to lead.
    Led {
        /// Which partition.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// The epoch that it knew before.
        before: Option<LeaderEpoch>,
        /// In which epoch.
        epoch: LeaderEpoch,
        /// The cut, if it lacks committed batches.
        cut: Option<usize>,
    },
    /// A replica's log was compacted, with one of the segments of a round.
    Compacted {
        /// Which partition.
        partition: u32,
        /// At whose replica.
        process: ProcessId,
        /// Up to where the round goes.
        upto: Offset,
        /// The records that are gone.
        gone: Box<[Offset]>,
        /// It is the round's last.
        is_over: bool,
    },
    /// The metadata log changed a partition's leader: the latest election.
    Elected {
        /// Which partition.
        partition: u32,
    },
    /// The metadata log made or changed a partition.
    Registered {
        /// Which partition.
        partition: u32,
        /// The partition epoch before, if it was there.
        before: Option<PartitionEpoch>,
    },
    /// The metadata log fenced a broker.
    Fenced {
        /// Whom.
        broker: NodeId,
    },
    /// The metadata log changed a partition's ISR.
    IsrChanged {
        /// Which partition.
        partition: u32,
        /// How many members before.
        before: usize,
        /// How many after.
        after: usize,
        /// Who joined, unless the leader changed with it.
        joined: Vec<NodeId>,
    },
}

/// The record that is taken in, whose it is, and what it changes.
struct Taking<'a> {
    record: &'a Record,
    p: ProcessId,
    view: View<'a>,
    changes: &'a mut Vec<Change>,
}

/// Who leads a partition, and the record that told it.
type Learned = (u64, Option<NodeId>);

/// What is known of a run.
#[derive(Clone, Debug)]
pub struct History {
    /// All processes' names.
    pub names: Names,
    /// The cluster as the committed metadata log has it.
    pub image: Image,
    /// Topics that an operator deleted, with the record that told it and the names they had.
    pub deleted: BTreeMap<TopicId, (u64, Arc<str>)>,
    /// All partitions, in the order in which they were first heard of; the metadata log is the first.
    pub partitions: Vec<Lineage>,
    /// All records' lives.
    pub lives: Lives,
    /// All that was read.
    pub readers: Readers,
    /// All faults and whom they struck.
    pub harms: Harms,
    /// When the run was ready.
    pub ready: Option<Time>,
    /// A harm has broken a connection that somebody held open.
    pub connection_broken: bool,
    /// Where the run stands.
    pub phase: Phase,
    /// The time of the latest record.
    pub now: Time,
    /// The record in which a controller told of an election, by partition and epoch.
    pub told_elections: BTreeMap<(TopicIdPartition, LeaderEpoch), u64>,
    places: BTreeMap<TopicIdPartition, u32>,
    nodes: BTreeMap<NodeId, ProcessId>,
    /// The record that showed a broker's present registration committed.
    registered: BTreeMap<NodeId, u64>,
    /// The input under way and the fault that it comes from directly.
    input: (u64, Option<u64>),
    /// The latest produce request: of whom, and which way it went.
    produced: Option<(ProcessId, Way)>,
    /// Whom each client took for a partition's leader, from which record on.
    learned: BTreeMap<(ProcessId, TopicIdPartition), Vec<Learned>>,
    /// The latest request that was taken up.
    request: Option<(u64, ConnId, CorrelationId)>,
    /// Produce requests, of which something was not written because their broker does not lead, with the record of their
    /// being taken up.
    turned_away: BTreeMap<(ConnId, CorrelationId), u64>,
}

impl History {
    /// The history of a run that has not begun.
    pub fn new(names: &Names) -> History {
        let nodes = names
            .iter()
            .filter_map(|(p, name)| Some((node_of(name)?, p)));
        let mut history = History {
            names: names.clone(),
            image: Image::default(),
            deleted: BTreeMap::new(),
            partitions: Vec::new(),
            lives: Lives::default(),
            readers: Readers::default(),
            harms: Harms::default(),
            ready: None,
            connection_broken: false,
            phase: Phase::Booting,
            now: Time(0),
            told_elections: BTreeMap::new(),
            places: BTreeMap::new(),
            nodes: nodes.collect(),
            registered: BTreeMap::new(),
            input: (0, None),
            produced: None,
            learned: BTreeMap::new(),
            request: None,
            turned_away: BTreeMap::new(),
        };
        history.place(METADATA_PARTITION);
        history
    }

    /// The process of a node.
    pub fn process_of(&self, node: NodeId) -> Option<ProcessId> {
        self.nodes.get(&node).copied()
    }

    /// The node of a process.
    pub fn node_of(&self, process: ProcessId) -> Option<NodeId> {
        node_of(self.names.of(process))
    }

    /// The record that showed a broker's present registration committed, or 0.
    pub fn registered_since(&self, broker: NodeId) -> u64 {
        self.registered.get(&broker).copied().unwrap_or(0)
    }

    /// The record of a produce request's being taken up by a broker that does not lead.
    pub fn turned_away(&self, way: Way) -> Option<u64> {
        self.turned_away.get(&(way.conn, way.id)).copied()
    }

    /// Whom a client took for a partition's leader at a record.
    pub fn learned(&self, client: ProcessId, id: TopicIdPartition, at: u64) -> Option<ProcessId> {
        let all = self.learned.get(&(client, id))?;
        let upto = all.partition_point(|(seq, _)| *seq < at);
        self.process_of(all[..upto].last()?.1?)
    }

    /// All controllers.
    pub fn voters(&self) -> impl Iterator<Item = ProcessId> {
        let controllers = self.nodes.iter().filter(|(n, _)| is_controller(**n));
        controllers.map(|(_, p)| *p)
    }

    /// A partition's copies.
    pub fn lineage(&self, partition: u32) -> &Lineage {
        &self.partitions[partition as usize]
    }

    /// The copies of the metadata log.
    pub fn metadata(&self) -> &Lineage {
        &self.partitions[0]
    }

    /// The place of a partition.
    pub fn place_of(&self, id: TopicIdPartition) -> Option<u32> {
        self.places.get(&id).copied()
    }

    /// All partitions of applications, with their places.
    pub fn data(&self) -> impl Iterator<Item = (u32, &Lineage)> {
        (0..).zip(&self.partitions).skip(1)
    }

    /// A partition as the committed metadata log has it.
    pub fn registration(&self, partition: u32) -> Option<&PartitionRegistration> {
        self.image.partition(self.lineage(partition).id)
    }

    /// The process that leads a partition.
    pub fn leader(&self, partition: u32) -> Option<ProcessId> {
        self.process_of(self.registration(partition)?.leader?)
    }

    /// A partition's name.
    pub fn partition_name(&self, partition: u32) -> String {
        let id = self.lineage(partition).id;
        match self.image.topics.get(&id.topic) {
            _ if id == METADATA_PARTITION => "the metadata log".into(),
            Some(topic) => format!("{}-{}", topic.name, id.partition),
            None if self.deleted.contains_key(&id.topic) => {
                format!("{}-{} (deleted)", self.deleted[&id.topic].1, id.partition)
            }
            None => format!("partition {}", id.partition),
        }
    }

    /// A record's name.
    pub fn record_name(&self, id: RecordId) -> String {
        format!("{}#{}", self.names.of(ProcessId(id.source)), id.number)
    }

    /// How a record's application was told to produce.
    pub fn plan<'a>(&self, scenario: &'a Scenario, id: RecordId) -> Option<&'a ProducerPlan> {
        scenario.producers.get(self.names.of(ProcessId(id.source)))
    }

    /// Takes in a record; what it changed is pushed into `changes`.
    pub fn take_in(&mut self, record: &Record, view: View<'_>, changes: &mut Vec<Change>) {
        self.now = record.at;
        let p = record.process.unwrap_or(ProcessId(u32::MAX));
        let mut taking = Taking {
            record,
            p,
            view,
            changes,
        };
        match &record.what {
            What::Told(event) => self.told(event, &mut taking),
            What::Handled(handled) => {
                let fault = match (handled, record.cause) {
                    (Handled::Closed { .. } | Handled::Response { .. }, Some(cause)) => {
                        self.harms.origin(cause)
                    }
                    _ => None,
                };
                if let Handled::Closed { conn, .. } = handled {
                    self.connection_broken |= fault.is_some();
                    let broken = Break {
                        seq: record.seq,
                        at: record.at,
                        conn: *conn,
                        fault,
                    };
                    self.harms.broke(p, broken);
                }
                if let Handled::Request { conn, id, .. } = handled {
                    self.request = Some((record.seq, *conn, *id));
                }
                self.input = (record.seq, fault);
            }
            What::Process(fact) => self.process(*fact, &mut taking),
            What::Fault {
                step,
                fault,
                lifted: false,
            } => self.harms.apply(record.seq, *step, record.at, fault),
            What::Fault {
                step,
                fault,
                lifted: true,
            } => self.harms.lift(*step, record.at, fault),
            What::Phase(phase) => {
                self.phase = *phase;
                if *phase == Phase::Running {
                    self.ready = Some(record.at);
                }
            }
            What::Answered { step, .. } => self.harms.answered(record.seq, *step),
            What::Sent { .. } => self.sent(record),
            What::StepMissed { .. } => {}
        }
    }

    /// Takes in a sending: only what comes of it tells something, but for the way that a produce request goes.
    fn sent(&mut self, record: &Record) {
        if let (
            Some(by),
            &What::Sent {
                to,
                conn,
                id,
                api: Api::Produce,
                response: false,
                ..
            },
        ) = (record.process, &record.what)
        {
            self.produced = Some((by, Way { to, conn, id }));
        }
    }

    fn told(&mut self, event: &Event, taking: &mut Taking<'_>) {
        match event {
            Event::Log(id, event) => self.log(*id, event, taking),
            Event::Replica(id, ReplicaEvent::BecameLeader { epoch, hw, .. }) => {
                self.replica_mut(*id, taking.p).hw = *hw;
                self.lead(*id, *epoch, taking);
            }
            Event::Replica(id, ReplicaEvent::BecameFollower { epoch, leader }) => {
                self.follow(*id, *epoch, *leader, taking.p);
            }
            Event::Replica(_, ReplicaEvent::Fenced { write: true, .. }) => {
                let (handled, _) = self.input;
                if let Some((seq, conn, id)) = self.request.filter(|(seq, ..)| *seq == handled) {
                    self.turned_away.entry((conn, id)).or_insert(seq);
                }
            }
            Event::Raft(RaftEvent::Became {
                state: RaftState::Leader,
                epoch,
                ..
            }) => self.lead(METADATA_PARTITION, *epoch, taking),
            Event::Raft(RaftEvent::Became { epoch, leader, .. }) => {
                self.follow(METADATA_PARTITION, *epoch, *leader, taking.p);
            }
            Event::Raft(RaftEvent::HighWatermark { hw }) => {
                self.high_watermark(METADATA_PARTITION, *hw, taking);
            }
            Event::Controller(ControllerEvent::LeaderElected {
                partition, epoch, ..
            }) => {
                let seq = taking.record.seq;
                self.told_elections
                    .entry((*partition, *epoch))
                    .or_insert(seq);
            }
            Event::Controller(ControllerEvent::TopicDeleted { name, id }) => {
                let told = (taking.record.seq, name.clone());
                self.deleted.entry(*id).or_insert(told);
            }
            Event::Client(
                _,
                ClientEvent::LeaderLearned {
                    partition, leader, ..
                },
            ) => {
                let all = self.learned.entry((taking.p, *partition)).or_default();
                all.push((taking.record.seq, *leader));
            }
            Event::Client(client, event) => {
                if let ClientEvent::Acked {
                    id, offset: None, ..
                } = event
                {
                    // Whoever waits for no answer holds a record for written as soon as it is sent.
                    let own = self.produced.filter(|(p, _)| *p == taking.p);
                    self.lives.entry(*id).way = own.map(|(_, way)| way);
                }
                let is_send = self.lives.client(event, taking.record, self.input);
                if !is_send {
                    self.readers.client(*client, event, taking.record);
                }
            }
            Event::App(event) => self.app(event, taking),
            _ => {}
        }
    }

    fn log(&mut self, id: TopicIdPartition, event: &LogEvent, taking: &mut Taking<'_>) {
        match event {
            LogEvent::Appended { batch, as_leader } => self.append(id, batch, *as_leader, taking),
            LogEvent::Truncated { to, why, .. } => {
                let partition = self.place(id);
                let removal = self.cut_off(partition, taking.p, *why);
                self.shrink(partition, *to, removal, taking);
            }
            LogEvent::StartedOver { at, .. } => {
                let partition = self.place(id);
                let why = Truncation::OutOfRange;
                let removal = self.cut_off(partition, taking.p, why);
                let told = (taking.record.seq, taking.record.at);
                self.bury(partition, removal, taking, |lineage, replica| {
                    lineage.forget_all(replica, told);
                    lineage.start_over(replica, *at, told.0, removal);
                });
            }
            LogEvent::LogStartMoved { log_start, why } => {
                let partition = self.place(id);
                let lineage = &mut self.partitions[partition as usize];
                let at = lineage.replica_at(taking.p);
                let told = (taking.record.seq, taking.record.at);
                lineage.move_start(at, *log_start, *why, told);
                // At the start the high watermark is what the checkpoint says, and not told yet.
                if *why != LogStart::Recovered {
                    taking.changes.push(Change::Start {
                        partition,
                        process: taking.p,
                        at: *log_start,
                    });
                }
            }
            LogEvent::Compacted {
                upto,
                gone,
                is_over,
                ..
            } => {
                let partition = self.place(id);
                let lineage = &mut self.partitions[partition as usize];
                let at = lineage.replica_at(taking.p);
                lineage.compact(at, gone, (taking.record.seq, taking.record.at));
                taking.changes.push(Change::Compacted {
                    partition,
                    process: taking.p,
                    upto: *upto,
                    gone: gone.clone(),
                    is_over: *is_over,
                });
            }
            LogEvent::ProducersForgotten { producers } => {
                let partition = self.place(id);
                let lineage = &mut self.partitions[partition as usize];
                let at = lineage.replica_at(taking.p);
                lineage.forget(at, producers, (taking.record.seq, taking.record.at));
            }
            LogEvent::HighWatermark { hw } => self.high_watermark(id, *hw, taking),
            LogEvent::Recovered { leo, hw, .. } => {
                // If it starts later, that is told next.
                self.replica_mut(id, taking.p).log_start = Offset(0);
                self.find_on_disk(id, taking);
                let partition = self.place(id);
                self.shrink(partition, *leo, Removal::Recovery, taking);
                let replica = self.replica_mut(id, taking.p);
                replica.hw = *hw;
                self.find_producers(partition, taking);
            }
            LogEvent::Refused { error, ids } => {
                self.lives.refuse(*error, ids, taking.p, taking.record.seq);
            }
            _ => {}
        }
    }

    /// A follower's own cut, in the leader epoch that it knows.
    fn cut_off(&self, partition: u32, p: ProcessId, why: Truncation) -> Removal {
        let replica = self.lineage(partition).replica(p);
        let epoch = replica.and_then(|r| r.role.epoch()).unwrap_or_default();
        Removal::Truncated { why, epoch }
    }

    fn append(
        &mut self,
        id: TopicIdPartition,
        batch: &RecordBatch,
        by_leader: bool,
        taking: &mut Taking<'_>,
    ) {
        let seq = taking.record.seq;
        let partition = self.place(id);
        let lineage = &mut self.partitions[partition as usize];
        let at = lineage.replica_at(taking.p);
        let grown = lineage.append(at, batch, by_leader, (seq, taking.record.at));
        let node = grown.node();
        if lineage.told_in(node) == seq {
            for id in batch.data.ids() {
                let place = partition;
                self.lives.written(*id, lineage.id, Spot { place, node });
            }
        }
        taking.changes.push(Change::Grew {
            partition,
            process: taking.p,
            grown,
            by_leader,
        });
    }

    fn shrink(&mut self, partition: u32, to: Offset, removal: Removal, taking: &mut Taking<'_>) {
        let seq = taking.record.seq;
        self.bury(partition, removal, taking, |lineage, replica| {
            lineage.cut_replica(replica, to, seq, removal);
        });
    }

    /// Does something by which a replica may lose copies, and says so if it has.
    fn bury(
        &mut self,
        partition: u32,
        removal: Removal,
        taking: &mut Taking<'_>,
        act: impl FnOnce(&mut Lineage, usize),
    ) {
        let lineage = &mut self.partitions[partition as usize];
        let (at, graves) = (lineage.replica_at(taking.p), lineage.graves.len());
        act(lineage, at);
        if lineage.graves.len() > graves {
            taking.changes.push(Change::Shrank {
                partition,
                process: taking.p,
                graves,
                removal,
            });
        }
    }

    fn high_watermark(&mut self, id: TopicIdPartition, hw: Offset, taking: &mut Taking<'_>) {
        let partition = self.place(id);
        // Of data no controller has a replica.
        let is_voter =
            id == METADATA_PARTITION && self.node_of(taking.p).is_some_and(is_controller);
        let lineage = &mut self.partitions[partition as usize];
        let at = lineage.replica_at(taking.p);
        let (from, role) = (lineage.replicas[at].hw, lineage.replicas[at].role);
        let may_commit = is_voter || matches!(role, Role::Leader(_));
        let advance = lineage.advance(at, hw, may_commit, taking.record.seq);
        let committed = advance.committed.clone();
        taking.changes.push(Change::HighWatermark {
            partition,
            process: taking.p,
            from,
            to: hw,
            advance,
        });
        if id == METADATA_PARTITION {
            self.apply_metadata(committed, taking);
        }
    }

    fn lead(&mut self, id: TopicIdPartition, epoch: LeaderEpoch, taking: &mut Taking<'_>) {
        let partition = self.place(id);
        let node = self.node_of(taking.p);
        // A member that lost its log after it had asked to join is out as soon as it registers anew.
        let registered = node.map(|n| self.registered_since(n));
        let lineage = &mut self.partitions[partition as usize];
        let at = lineage.replica_at(taking.p);
        let before = lineage.replicas[at].role.epoch();
        lineage.replicas[at].role = Role::Leader(epoch);
        // A leader that a later one has overruled already takes nothing away; nor does one that comes back from a crash within
        // its old session, publishes the metadata, and leads its old epoch again until its registration ends it (K-14, K-15):
        // it serves no one yet.
        let is_first = lineage.led < Some(epoch);
        lineage.led = lineage.led.max(Some(epoch));
        let since = node.and_then(|n| lineage.in_sync_since(n));
        let since = since.min(registered);
        let cut = is_first.then(|| lineage.lead(at, epoch, taking.record.seq, since));
        taking.changes.push(Change::Led {
            partition,
            process: taking.p,
            before,
            epoch,
            cut: cut.flatten(),
        });
    }

    fn follow(
        &mut self,
        id: TopicIdPartition,
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
        p: ProcessId,
    ) {
        self.replica_mut(id, p).role = Role::Follower(epoch, leader);
    }

    fn replica_mut(&mut self, id: TopicIdPartition, p: ProcessId) -> &mut Replica {
        let partition = self.place(id);
        let lineage = &mut self.partitions[partition as usize];
        let at = lineage.replica_at(p);
        &mut lineage.replicas[at]
    }

    fn apply_metadata(&mut self, places: std::ops::Range<usize>, taking: &mut Taking<'_>) {
        for place in places {
            let lineage = self.metadata();
            let Some(committed) = lineage.committed.get(place) else {
                continue;
            };
            let batch = lineage.node(committed.node).batch.clone();
            let Payload::Metadata(records) = &batch.data.payload else {
                continue;
            };
            for (i, metadata) in (0..).zip(records.iter()) {
                self.apply_one(batch.base_offset.plus(i), metadata, taking);
            }
        }
    }

    fn apply_one(&mut self, offset: Offset, metadata: &MetadataRecord, taking: &mut Taking<'_>) {
        let id = match metadata {
            MetadataRecord::Partition {
                topic, partition, ..
            }
            | MetadataRecord::PartitionChange {
                topic, partition, ..
            } => TopicIdPartition {
                topic: *topic,
                partition: *partition,
            },
            _ => {
                if let MetadataRecord::RegisterBroker { broker, .. } = metadata {
                    self.registered.insert(*broker, taking.record.seq);
                }
                taking.changes.extend(fenced(metadata));
                return self.image.apply(offset, metadata);
            }
        };
        let before = self.image.partition(id).cloned();
        self.image.apply(offset, metadata);
        if let Some(after) = self.image.partition(id).cloned() {
            self.registered(id, before, &after, taking);
        }
    }

    fn registered(
        &mut self,
        id: TopicIdPartition,
        before: Option<PartitionRegistration>,
        after: &PartitionRegistration,
        taking: &mut Taking<'_>,
    ) {
        let seq = taking.record.seq;
        let partition = self.place(id);
        taking.changes.push(Change::Registered {
            partition,
            before: before.as_ref().map(|b| b.partition_epoch),
        });
        let scenario = taking.view.scenario();
        let allows = Allows::of(
            scenario,
            self.image.topics.get(&id.topic).map(|t| &t.config),
        );
        let lineage = &mut self.partitions[partition as usize];
        if lineage.isrs.last().is_none_or(|(_, isr)| *isr != after.isr) {
            lineage.isrs.push((seq, after.isr.clone()));
        }
        let isr_before = before.as_ref().map_or(&after.isr, |b| &b.isr);
        let epoch_before = before.as_ref().map(|b| b.leader_epoch);
        if epoch_before != Some(after.leader_epoch) {
            let is_outsider = |leader: NodeId| !isr_before.contains(&leader);
            lineage.elections.push(Election {
                seq,
                at: taking.record.at,
                epoch: after.leader_epoch,
                leader: after.leader,
                former: before.as_ref().and_then(|b| b.leader),
                unclean: after.leader.is_some_and(is_outsider),
                allows,
            });
            taking.changes.push(Change::Elected { partition });
        }
        if let Some(before) = before.filter(|b| b.isr != after.isr) {
            let is_new = |n: &&NodeId| !before.isr.contains(n);
            let joined = match before.leader_epoch == after.leader_epoch {
                true => after.isr.iter().filter(is_new).copied().collect(),
                false => Vec::new(),
            };
            taking.changes.push(Change::IsrChanged {
                partition,
                before: before.isr.len(),
                after: after.isr.len(),
                joined,
            });
        }
    }

    fn app(&mut self, event: &AppEvent, taking: &mut Taking<'_>) {
        match event {
            AppEvent::ReachedEnd { partition, end } => {
                self.readers.reached(*partition, *end, taking.record);
            }
            _ => self.lives.app(event, taking.record.seq),
        }
    }

    fn process(&mut self, fact: ProcessFact, taking: &mut Taking<'_>) {
        let (p, seq) = (taking.p, taking.record.seq);
        match fact {
            ProcessFact::Started { .. } => self.harms.start(p, seq),
            ProcessFact::Ended { how, .. } => {
                let (at, cause) = (taking.record.at, taking.record.cause);
                self.harms.end(p, seq, at, how, cause);
                self.readers.restart(p);
                for partition in self.replicas_of(p) {
                    // What it finds at its next start it tells anew.
                    let replica = self.replica_mut(self.lineage(partition).id, p);
                    (replica.role, replica.hw) = (Role::None, Offset(0));
                    if how == Down::PowerLost {
                        self.lose_page_cache(partition, taking);
                    }
                }
            }
            ProcessFact::DiskReplaced { .. } => {
                for partition in self.replicas_of(p) {
                    self.replica_mut(self.lineage(partition).id, p).log_start = Offset(0);
                    self.shrink(partition, Offset(0), Removal::DiskReplaced, taking);
                }
            }
            ProcessFact::Paused | ProcessFact::Resumed => {}
        }
    }

    fn replicas_of(&self, p: ProcessId) -> Vec<u32> {
        let holds = |(_, l): &(u32, &Lineage)| l.replica(p).is_some();
        let all = (0..).zip(&self.partitions);
        all.filter(holds).map(|(at, _)| at).collect()
    }

    /// What a dead machine's disk holds is what is left of its copies. A segment may have lost all while the next one, begun
    /// behind it, is there: then no recovery sees the hole.
    fn lose_page_cache(&mut self, partition: u32, taking: &mut Taking<'_>) {
        let id = self.lineage(partition).id;
        let disk = taking.view.disk(taking.p);
        let held = disk.batches(id).map(|b| (b.base_offset, b.end_offset()));
        let (end, held): (Offset, Vec<(Offset, Offset)>) = (disk.end(id), held.collect());
        let (removal, seq) = (Removal::PowerLost, taking.record.seq);
        self.shrink(partition, end, removal, taking);
        self.bury(partition, removal, taking, |lineage, replica| {
            lineage.leave_holes(replica, &held, seq, removal);
        });
    }

    /// A process that died between a write and telling of it finds the batch at its next start.
    fn find_on_disk(&mut self, id: TopicIdPartition, taking: &mut Taking<'_>) {
        let partition = self.place(id);
        let lineage = self.lineage(partition);
        let known = lineage
            .replica(taking.p)
            .map_or(Offset(0), |r| lineage.leo(r));
        let disk = taking.view.disk(taking.p);
        let untold = disk.batches(id).filter(|b| b.base_offset >= known);
        for batch in untold.collect::<Vec<_>>() {
            // Whoever died as a follower has a copy of what its leader told of.
            let replica = self.lineage(partition).replica(taking.p);
            let tip = replica.and_then(|r| r.path.last().map(|c| c.node));
            let is_copy = self.lineage(partition).follower_of(tip, &batch).is_some();
            self.append(id, &batch, !is_copy, taking);
        }
    }

    /// Of a log that holds nothing any more no snapshot of the producers is of use: all lie at the log start or before it, and
    /// are deleted (ProducerStateManager.truncateAndReload).
    fn find_producers(&mut self, partition: u32, taking: &Taking<'_>) {
        let lineage = &mut self.partitions[partition as usize];
        let disk = taking.view.disk(taking.p);
        if disk.batches(lineage.id).next().is_none() {
            let at = lineage.replica_at(taking.p);
            lineage.forget_all(at, (taking.record.seq, taking.record.at));
        }
    }

    fn place(&mut self, id: TopicIdPartition) -> u32 {
        if let Some(place) = self.places.get(&id) {
            return *place;
        }
        let place = u32::try_from(self.partitions.len()).expect("fewer than 2^32 partitions");
        self.partitions.push(Lineage::new(id));
        self.places.insert(id, place);
        place
    }
}

/// The broker that a record of the metadata log fences.
fn fenced(metadata: &MetadataRecord) -> Option<Change> {
    match metadata {
        MetadataRecord::RegisterBroker {
            broker,
            fenced: true,
            ..
        }
        | MetadataRecord::BrokerRegistrationChange {
            broker,
            fenced: Some(true),
            ..
        } => Some(Change::Fenced { broker: *broker }),
        _ => None,
    }
}

fn is_controller(node: NodeId) -> bool {
    node.0 > 3000
}

/// Kafka's node id of a process, by its name.
pub fn node_of(name: &str) -> Option<NodeId> {
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<i32>().ok();
    let controller = number("controller-").map(|n| NodeId(3000 + n));
    controller.or(number("broker-").map(NodeId))
}
