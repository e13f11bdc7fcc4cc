//! The copies of one partition, as the replicas tell of them: every batch that was ever written is a node of one tree, a
//! replica's log is a path from its root, and the committed log is a path too.
//!
//! Two logs that share a node share everything before it: that is log matching, and here it holds by construction. A copy
//! that does not fit becomes a branch of its own, and whoever asked for the append learns of it.
//!
//! What a log has given up (retention, DeleteRecords) stays in its path: a replica is known by what it holds or has given
//! up, and its log start says where the one ends and the other begins. So a log that starts over behind its leader's log
//! start stands on the committed path as if it had copied what is gone.

mod forgotten;
mod holes;
mod nodes;

pub use forgotten::{Forgot, WhyForgot};
pub use nodes::{Node, NodeRef};

use super::table::Table;
use crate::process::ProcessId;
use crate::scenario::Scenario;
use klab_kafka::config::TopicConfig;
use klab_kafka::event::{LogStart, Truncation};
use klab_kafka::ids::{LeaderEpoch, NodeId, Offset, ProducerId, RecordId, TopicIdPartition};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::log::batches::Place;
use klab_kafka::time::Time;
use nodes::Nodes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One batch in one replica's log.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Which.
    pub node: NodeRef,
    /// The record that told of this copy, in halves: a run has one of these for each copy of each batch, and so they take 12 bytes.
    seq: [u32; 2],
}

impl Copied {
    fn new(node: NodeRef, seq: u64) -> Copied {
        let seq = [(seq >> 32) as u32, seq as u32];
        Copied { node, seq }
    }

    /// The record that told of this copy.
    pub fn seq(&self) -> u64 {
        let [high, low] = self.seq.map(u64::from);
        high << 32 | low
    }
}

/// What a replica believes to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Nothing yet, or its process does not run.
    None,
    /// The leader of an epoch.
    Leader(LeaderEpoch),
    /// A follower in an epoch.
    Follower(LeaderEpoch, Option<NodeId>),
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// At which process.
    pub process: ProcessId,
    /// Its log.
    pub path: Table<Copied>,
    /// Its high watermark as last told.
    pub hw: Offset,
    /// Where its log starts: what lies before in its path is given up.
    pub log_start: Offset,
    /// Records that compaction has taken from its log, by offset, with the trace record that told of it.
    pub compacted: BTreeMap<Offset, u64>,
    /// How many of its batches have been compared with the committed log.
    pub checked: usize,
    /// What it believes to be.
    pub role: Role,
}

/// Why a batch left a replica's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum Removal {
    /// The follower cut its log to match a leader.
    Truncated {
        /// By which rule.
        why: Truncation,
        /// In which leader epoch.
        epoch: LeaderEpoch,
    },
    /// Its machine lost power before the batch was flushed.
    PowerLost,
    /// Its disk was replaced by an empty one.
    DiskReplaced,
    /// It was found torn or missing when the log was recovered.
    Recovery,
}

impl Role {
    /// Its epoch.
    pub fn epoch(self) -> Option<LeaderEpoch> {
        match self {
            Role::None => None,
            Role::Leader(epoch) | Role::Follower(epoch, _) => Some(epoch),
        }
    }
}

impl Removal {
    /// Whether a harm to the machine took the copy, not the protocol.
    pub fn is_harm(self) -> bool {
        !matches!(self, Removal::Truncated { .. })
    }
}

/// A copy that is no more.
#[derive(Clone, Copy, Debug)]
pub struct Grave {
    /// Of which batch.
    pub node: NodeRef,
    /// Where.
    pub process: ProcessId,
    /// The record that told of the copy.
    pub copied: u64,
    /// The record that told of its end.
    pub seq: u64,
    /// Why.
    pub removal: Removal,
}

/// A log start has moved.
#[derive(Clone, Copy, Debug)]
pub struct GivenUp {
    /// Everything below is gone.
    pub below: Offset,
    /// Why.
    pub why: LogStart,
    /// Whose word it was.
    pub by: GaveUp,
}

/// A replica gave something up, as its settings or a client told it to: records, or what it knew of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct GaveUp {
    /// The trace record that told of it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Where.
    pub process: ProcessId,
}

/// A batch of the committed log.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    /// Which.
    pub node: NodeRef,
    /// The record that showed it committed.
    pub seq: u64,
}

/// A new leader lacked committed batches: the committed log goes on without them; or an unclean election made it lead, and
/// what its predecessor still commits behind this offset, which has not heard of it, never counts.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The new leader's epoch.
    pub epoch: LeaderEpoch,
    /// Who it is.
    pub leader: ProcessId,
    /// The first offset that is gone.
    pub offset: Offset,
    /// The record that told of the leader.
    pub seq: u64,
    /// Since when the leader had been in the ISR.
    pub isr_since: Option<u64>,
    /// The committed batches that it lacks.
    pub missing: Vec<Committed>,
    /// What it has in their place: an older leader had overruled that before, and now it stands again.
    pub instead: Vec<NodeRef>,
}

impl Cut {
    /// Whether a batch was committed and is missing.
    pub fn takes(&self, node: NodeRef) -> bool {
        self.missing.iter().any(|m| m.node == node)
    }
}

/// A leader, or none, as the metadata log has it.
#[derive(Clone, Debug)]
pub struct Election {
    /// The record that showed it committed.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// Who leads.
    pub leader: Option<NodeId>,
    /// Who led before.
    pub former: Option<NodeId>,
    /// The new leader was not in the ISR.
    pub unclean: bool,
    /// What the topic's settings allowed then.
    pub allows: Allows,
}

/// What a topic's settings allow at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allows {
    /// Unclean elections.
    pub unclean: bool,
    /// The least ISR that acknowledges.
    pub min_insync: i32,
}

impl Allows {
    /// What a topic's own settings, or else the servers', allow.
    pub fn of(scenario: &Scenario, topic: Option<&TopicConfig>) -> Allows {
        let cluster = &scenario.cluster;
        let mut servers = cluster.config_of.values().chain([&cluster.config]);
        let unclean = servers.any(|c| c.unclean_leader_election_enable);
        let min_insync = cluster.config.min_insync_replicas;
        Allows {
            unclean: topic.map_or(unclean, |t| t.unclean_leader_election_enable.or(unclean)),
            min_insync: topic.map_or(min_insync, |t| t.min_insync_replicas.or(min_insync)),
        }
    }
}

/// All that is known of one partition's copies.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// Which partition.
    pub id: TopicIdPartition,
    /// In the order of their processes.
    pub replicas: Vec<Replica>,
    /// The committed log.
    pub committed: Table<Committed>,
    /// Where committed batches went missing.
    pub cuts: Vec<Cut>,
    /// The latest epoch in which a leader has begun.
    pub led: Option<LeaderEpoch>,
    /// Every change of the leader.
    pub elections: Vec<Election>,
    /// Each change of the ISR, with the record that told it.
    pub isrs: Vec<(u64, Vec<NodeId>)>,
    /// Copies that are no more, in the order of their ends.
    pub graves: Table<Grave>,
    /// Every move of a log start by a replica's own decision or a client's, not after a leader's.
    pub given_up: Vec<GivenUp>,
    nodes: Nodes,
    /// Some replica's log was compacted.
    pub is_compacted: bool,
    /// The first compaction that took a record, by its batch and offset.
    taken: BTreeMap<(NodeRef, Offset), GaveUp>,
    /// Producers that a replica forgot.
    forgotten: Vec<(ProducerId, Forgot)>,
}

/// What an append did to the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grown {
    /// A leader's new batch, or a copy of one.
    Fits(NodeRef),
    /// A copy that no leader has written there.
    Strange(NodeRef),
    /// It does not begin where the log ends.
    Gap(NodeRef),
}

/// What a new high watermark showed.
#[derive(Clone, Debug, Default)]
pub struct Advance {
    /// The committed log grew by these places.
    pub committed: std::ops::Range<usize>,
    /// The first batch below the mark that is not the committed one, with the committed one.
    pub mismatch: Option<(NodeRef, NodeRef)>,
}

impl Grown {
    /// The batch.
    pub fn node(self) -> NodeRef {
        match self {
            Grown::Fits(node) | Grown::Strange(node) | Grown::Gap(node) => node,
        }
    }
}

impl Lineage {
    /// A partition of which nothing is known.
    pub fn new(id: TopicIdPartition) -> Lineage {
        Lineage {
            id,
            replicas: Vec::new(),
            committed: Table::default(),
            cuts: Vec::new(),
            led: None,
            elections: Vec::new(),
            isrs: Vec::new(),
            graves: Table::default(),
            given_up: Vec::new(),
            nodes: Nodes::default(),
            is_compacted: false,
            taken: BTreeMap::new(),
            forgotten: Vec::new(),
        }
    }

    /// A batch of the tree.
    pub fn node(&self, at: NodeRef) -> Node {
        self.nodes.get(at)
    }

    /// Where a batch of the tree lies, and in which epoch it was appended.
    pub fn place(&self, at: NodeRef) -> Place {
        self.nodes.place(at)
    }

    /// The record that told of a batch's first append.
    pub fn told_in(&self, at: NodeRef) -> u64 {
        self.nodes.told_in(at)
    }

    /// How many batches lie before a batch of the tree.
    pub fn depth(&self, at: NodeRef) -> usize {
        self.nodes.depth(at)
    }

    /// A replica's place in the list, made if there is none.
    pub fn replica_at(&mut self, process: ProcessId) -> usize {
        let at = self.replicas.partition_point(|r| r.process < process);
        if self.replicas.get(at).is_none_or(|r| r.process != process) {
            let replica = Replica {
                process,
                path: Table::default(),
                hw: Offset(0),
                log_start: Offset(0),
                compacted: BTreeMap::new(),
                checked: 0,
                role: Role::None,
            };
            self.replicas.insert(at, replica);
        }
        at
    }

    /// A process's replica, if it ever told of one.
    pub fn replica(&self, process: ProcessId) -> Option<&Replica> {
        self.replicas.iter().find(|r| r.process == process)
    }

    /// A replica's log end offset.
    pub fn leo(&self, replica: &Replica) -> Offset {
        let end = self.end_of(replica, replica.path.len());
        end.max(replica.log_start)
    }

    /// Why an offset is given up, by the first word that took it.
    pub fn given_up(&self, offset: Offset) -> Option<&GivenUp> {
        self.given_up.iter().find(|g| offset < g.below)
    }

    /// Whether a batch lies whole below a log start that a replica set by itself: its followers hear of that start and need
    /// not hold the batch, nor cut off what they have in its place.
    pub fn is_given_up(&self, node: NodeRef) -> bool {
        let end = self.place(node).end;
        self.given_up.iter().any(|g| end <= g.below)
    }

    /// A replica's log starts elsewhere now; by its own decision, a later start is remembered.
    pub fn move_start(&mut self, replica: usize, below: Offset, why: LogStart, told: (u64, Time)) {
        self.replicas[replica].log_start = below;
        if !matches!(why, LogStart::Leader | LogStart::Recovered) {
            let by = self.gave_up(replica, told);
            self.given_up.push(GivenUp { below, why, by });
        }
    }

    /// Compaction has taken records from a replica's log.
    pub fn compact(&mut self, replica: usize, gone: &[Offset], told: (u64, Time)) {
        self.is_compacted |= !gone.is_empty();
        let by = self.gave_up(replica, told);
        for offset in gone {
            let replica = &mut self.replicas[replica];
            replica.compacted.insert(*offset, by.seq);
            let end = |c: &Copied| self.nodes.place(c.node).end;
            let place = replica.path.partition_point(|c| end(c) <= *offset);
            if let Some(copied) = replica.path.get(place) {
                self.taken.entry((copied.node, *offset)).or_insert(by);
            }
        }
    }

    /// The first compaction that took a record, by its batch and offset.
    pub fn taken(&self, node: NodeRef, offset: Offset) -> Option<GaveUp> {
        self.taken.get(&(node, offset)).copied()
    }

    fn gave_up(&self, replica: usize, (seq, at): (u64, Time)) -> GaveUp {
        let process = self.replicas[replica].process;
        GaveUp { seq, at, process }
    }

    /// A replica has a batch as compaction left it for its leader, or passes over it.
    fn lacks(&mut self, at: usize, node: NodeRef, left: Option<&RecordBatch>, seq: u64) {
        let left = left.map_or(&[][..], |b| b.data.ids());
        let whole = &self.node(node).batch;
        let offsets = (0..).map(|n| whole.base_offset.plus(n));
        let gone = offsets
            .zip(whole.data.ids())
            .filter(|(_, id)| !left.contains(id));
        let gone: Vec<(Offset, u64)> = gone.map(|(offset, _)| (offset, seq)).collect();
        self.replicas[at].compacted.extend(gone);
    }

    /// What a copy of a compacted log passes over: batches of a known path, between a replica's end and the batch that it
    /// copies, of which nothing was left. Empty if there is no such path.
    fn passed_over(&self, at: usize, batch: &RecordBatch) -> Vec<NodeRef> {
        let replica = &self.replicas[at];
        let from = replica.path.len();
        let tip = replica.path.last().map(|c| c.node);
        let is_it = |n: &NodeRef| is_copy(&self.node(*n).batch, batch);
        let shares = |path: &Table<Copied>| match from.checked_sub(1) {
            Some(last) => path.get(last).map(|c| c.node) == tip,
            None => true,
        };
        for other in self.replicas.iter().filter(|r| shares(&r.path)) {
            let rest = other.path.starting_at(from).map(|c| c.node);
            let before: Vec<NodeRef> = rest
                .take_while(|n| self.place(*n).base < batch.base_offset)
                .collect();
            let next = other.path.get(from + before.len()).map(|c| c.node);
            if next.is_some_and(|n| is_it(&n)) {
                return before;
            }
        }
        Vec::new()
    }

    /// A replica's log starts over, empty, at an offset. Below, it stands on the committed path; returns whether it held
    /// anything else, which is buried then.
    pub fn start_over(&mut self, at: usize, offset: Offset, seq: u64, removal: Removal) {
        let shared = self.shared(&self.replicas[at]);
        let kept = self.end_of(&self.replicas[at], shared);
        self.cut_replica(at, kept.min(offset), seq, removal);
        self.replicas[at].compacted.clear();
        let from = self.replicas[at].path.len();
        let given: Vec<NodeRef> = self
            .committed
            .starting_at(from)
            .map(|c| c.node)
            .take_while(|n| self.place(*n).end <= offset)
            .collect();
        let replica = &mut self.replicas[at];
        for node in given {
            replica.path.push(Copied::new(node, seq));
        }
        replica.log_start = offset;
    }

    /// The end offset of a replica's first `depth` batches.
    pub fn end_of(&self, replica: &Replica, depth: usize) -> Offset {
        let last = depth.checked_sub(1).and_then(|at| replica.path.get(at));
        last.map_or(Offset(0), |c| self.place(c.node).end)
    }

    /// Whether a replica's log holds a batch of the tree.
    pub fn holds(&self, replica: &Replica, node: NodeRef) -> bool {
        let there = replica.path.get(self.depth(node));
        there.is_some_and(|c| c.node == node)
    }

    /// Whether the committed log holds a batch of the tree.
    pub fn is_committed(&self, node: NodeRef) -> bool {
        let there = self.committed.get(self.depth(node));
        there.is_some_and(|c| c.node == node)
    }

    /// The committed batch that holds an offset.
    pub fn committed_at(&self, offset: Offset) -> Option<Node> {
        if let Some(node) = self.guessed_at(offset) {
            return Some(self.node(node));
        }
        let at = self
            .committed
            .partition_point(|c| self.place(c.node).end <= offset);
        let node = self.committed.get(at)?.node;
        (self.place(node).base <= offset).then(|| self.node(node))
    }

    /// The committed batch that holds an offset, if it lies where it would if all batches were of one size. Mostly they are.
    fn guessed_at(&self, offset: Offset) -> Option<NodeRef> {
        let [offset_from_0, end] =
            [offset, self.committed_end()].map(|o| usize::try_from(o.0).unwrap_or(0));
        let share = offset_from_0.checked_mul(self.committed.len())?;
        let at = share.checked_div(end)?;
        let node = self.committed.get(at)?.node;
        let place = self.place(node);
        let begins_after = |c: &Committed| self.place(c.node).end <= offset;
        let is_first = at == 0 || self.committed.get(at - 1).is_some_and(begins_after);
        (place.base <= offset && offset < place.end && is_first).then_some(node)
    }

    /// Whether what lies at an offset by the leader of an epoch was overruled by a later leader, which lacks it.
    pub fn is_overruled(&self, offset: Offset, epoch: LeaderEpoch) -> bool {
        let mut cuts = self.cuts.iter();
        cuts.any(|c| offset >= c.offset && epoch < c.epoch)
    }

    /// The end of the committed log.
    pub fn committed_end(&self) -> Offset {
        let last = self.committed.last();
        last.map_or(Offset(0), |c| self.place(c.node).end)
    }

    /// Whether a batch was written by a leader that a later leader has overruled: it will be cut off, and must not be
    /// compared with what took its place.
    pub fn is_dead(&self, node: NodeRef) -> bool {
        self.cut_of(node).is_some()
    }

    /// The cut that took a batch out of the committed log, or kept it out, unless a later leader has put it back.
    pub fn cut_of(&self, node: NodeRef) -> Option<&Cut> {
        let batch = self.place(node);
        let takes = |c: &&Cut| batch.base >= c.offset && batch.epoch < c.epoch;
        let mut found = None;
        // Most nodes were cut by nobody: the list of what stands instead is looked at last.
        for cut in self.cuts.iter().filter(takes) {
            found = match cut.instead.contains(&node) {
                true => None,
                false => found.or(Some(cut)),
            };
        }
        found
    }

    /// The last batch of a replica's log.
    fn tip(&self, at: usize) -> Option<NodeRef> {
        self.replicas[at].path.last().map(|c| c.node)
    }

    /// What lies before a batch at its leader, if a replica copies it behind something else, and nobody will read that: either
    /// the replica has given up everything, because it started over at this offset; or its leader has given up everything
    /// before. Of epochs that it has given up a leader knows only where the next one begins (L-39), so the follower cuts
    /// nothing more, or goes on behind a hole if that is within a batch of its own, and gives up what differs when it hears
    /// of the log start.
    fn given_up_before(&self, at: usize, batch: &RecordBatch) -> Option<Vec<NodeRef>> {
        let own = &self.replicas[at];
        let from = batch.base_offset;
        if from < self.leo(own) {
            return None;
        }
        let nobody_reads = |r: &&Replica| own.log_start >= from || r.log_start >= from;
        self.replicas.iter().filter(nobody_reads).find_map(|r| {
            let base = |c: &Copied| self.place(c.node).base;
            let place = r.path.partition_point(|c| base(c) < from);
            let there = r.path.get(place).map(|c| self.node(c.node).batch);
            let before = r.path.iter().take(place).map(|c| c.node);
            there
                .filter(|b| is_same(b, batch))
                .map(|_| before.collect())
        })
    }

    /// A replica stands from now on at an offset behind these batches, as if it had copied and given up all of them.
    fn stand_on(&mut self, at: usize, before: Vec<NodeRef>, offset: Offset, seq: u64) {
        let replica = &self.replicas[at];
        let both = replica.path.iter().zip(&before);
        let shared = both.take_while(|(own, node)| own.node == **node).count();
        let removal = Removal::Truncated {
            why: Truncation::OutOfRange,
            epoch: replica.role.epoch().unwrap_or_default(),
        };
        self.cut_replica(at, self.end_of(replica, shared), seq, removal);
        let replica = &mut self.replicas[at];
        for node in &before[shared..] {
            let node = *node;
            replica.path.push(Copied::new(node, seq));
        }
        replica.compacted.clear();
        replica.log_start = offset;
    }

    /// A batch is written at the end of a replica's log.
    pub fn append(
        &mut self,
        at: usize,
        batch: &RecordBatch,
        by_leader: bool,
        (seq, now): (u64, Time),
    ) -> Grown {
        let mut found = self.follower_of(self.tip(at), batch);
        if found.is_none() && !by_leader {
            if let Some(before) = self.given_up_before(at, batch) {
                self.stand_on(at, before, batch.base_offset, seq);
                found = self.follower_of(self.tip(at), batch);
            }
        }
        let mut ends = self.leo(&self.replicas[at]);
        if self.is_compacted && !by_leader && batch.base_offset > ends {
            for node in self.passed_over(at, batch) {
                ends = self.place(node).end;
                self.lacks(at, node, None, seq);
                self.replicas[at].path.push(Copied::new(node, seq));
            }
            found = self.follower_of(self.tip(at), batch);
        }
        let node = found.unwrap_or_else(|| {
            let by = (self.replicas[at].process, by_leader);
            let tip = self.tip(at);
            self.nodes.grow(tip, batch.clone(), by, (seq, now))
        });
        if self.is_compacted && !Arc::ptr_eq(&self.node(node).batch.data, &batch.data) {
            self.lacks(at, node, Some(batch), seq);
        }
        self.replicas[at].path.push(Copied::new(node, seq));
        if batch.base_offset != ends {
            Grown::Gap(node)
        } else if found.is_none() && !by_leader {
            Grown::Strange(node)
        } else {
            Grown::Fits(node)
        }
    }

    /// A replica's log is cut to `to`; what goes is buried.
    pub fn cut_replica(&mut self, at: usize, to: Offset, seq: u64, removal: Removal) {
        let (nodes, replica) = (&self.nodes, &mut self.replicas[at]);
        let end = |c: &Copied| nodes.place(c.node).end;
        let keep = replica.path.partition_point(|c| end(c) <= to);
        for copied in replica.path.starting_at(keep) {
            self.graves.push(Grave {
                node: copied.node,
                process: replica.process,
                copied: copied.seq(),
                seq,
                removal,
            });
        }
        replica.path.truncate(keep);
        replica.compacted.split_off(&to);
        replica.hw = replica.hw.min(to);
        replica.log_start = replica.log_start.min(to);
        replica.checked = replica.checked.min(keep);
    }

    /// A replica's high watermark is told. `may_commit` lets it extend the committed log.
    pub fn advance(&mut self, at: usize, hw: Offset, may_commit: bool, seq: u64) -> Advance {
        let mut seen = Advance {
            committed: self.committed.len()..self.committed.len(),
            mismatch: None,
        };
        self.replicas[at].hw = hw;
        while let Some(copied) = self.replicas[at]
            .path
            .get(self.replicas[at].checked)
            .copied()
        {
            if self.place(copied.node).end > hw {
                break;
            }
            match self
                .committed
                .get(self.replicas[at].checked)
                .map(|c| c.node)
            {
                Some(theirs) if theirs == copied.node => {}
                Some(theirs) => {
                    let is_read = !self.is_dead(copied.node) && !self.is_given_up(copied.node);
                    if seen.mismatch.is_none() && is_read {
                        seen.mismatch = Some((copied.node, theirs));
                    }
                }
                None if may_commit && self.may_follow(copied.node) => {
                    let node = copied.node;
                    self.committed.push(Committed { node, seq });
                }
                None => break,
            }
            self.replicas[at].checked += 1;
        }
        seen.committed.end = self.committed.len();
        seen
    }

    /// A leader has begun: if it lacks committed batches, the committed log goes on without them. Returns the cut that took some.
    pub fn lead(
        &mut self,
        at: usize,
        epoch: LeaderEpoch,
        seq: u64,
        isr_since: Option<u64>,
    ) -> Option<usize> {
        while self.undo_cut(at, epoch) {}
        let replica = &self.replicas[at];
        let shared = self.shared(replica);
        let takes_something = shared < self.committed.len();
        // Whoever was alone in the ISR may go on to commit, until it hears that an unclean election has set it aside.
        let unclean = self.unclean_behind(epoch);
        let sets_aside = unclean.is_some_and(|e| e.allows.unclean);
        if !takes_something && !sets_aside {
            return None;
        }
        let cut = Cut {
            epoch,
            leader: replica.process,
            offset: self.end_of(replica, shared),
            seq,
            isr_since,
            missing: self.committed.starting_at(shared).copied().collect(),
            instead: replica.path.starting_at(shared).map(|c| c.node).collect(),
        };
        self.committed.truncate(shared);
        for replica in &mut self.replicas {
            replica.checked = replica.checked.min(shared);
        }
        self.cuts.push(cut);
        takes_something.then(|| self.cuts.len() - 1)
    }

    /// A leader that was elected within its old session after it had lost its page cache serves nobody before it has
    /// registered, and its registration ends its epoch (K-14): if it committed nothing, and the next leader holds what
    /// it lacked, nothing was taken away.
    fn undo_cut(&mut self, at: usize, epoch: LeaderEpoch) -> bool {
        let replica = &self.replicas[at];
        let is_undone = |cut: &Cut| {
            let first = cut.missing.first().map(|m| m.node);
            cut.epoch < epoch
                && self.committed_end() == cut.offset
                && first.is_some_and(|first| self.holds(replica, first))
        };
        if !self.cuts.last().is_some_and(is_undone) {
            return false;
        }
        let cut = self.cuts.pop().expect("there is one");
        cut.missing.iter().for_each(|m| self.committed.push(*m));
        true
    }

    /// How many of the first batches of the committed log a replica holds.
    pub fn shared(&self, replica: &Replica) -> usize {
        let committed = &self.committed;
        if committed.last().is_none_or(|c| self.holds(replica, c.node)) {
            return committed.len();
        }
        committed.partition_point(|c| self.holds(replica, c.node))
    }

    /// The ends of all copies of a batch, and where it still lies.
    pub fn fates(&self, node: NodeRef) -> Vec<(ProcessId, u64, Option<Grave>)> {
        let gone = self.graves.iter().filter(|g| g.node == node);
        let gone = gone.map(|g| (g.process, g.copied, Some(*g)));
        let depth = self.depth(node);
        let there = self.replicas.iter().filter_map(|r| {
            let copied = r.path.get(depth).filter(|c| c.node == node)?;
            Some((r.process, copied.seq(), None))
        });
        let mut fates: Vec<_> = gone.chain(there).collect();
        fates.sort_by_key(|(_, copied, _)| *copied);
        fates
    }

    /// The ISR at a record.
    pub fn isr_at(&self, seq: u64) -> &[NodeId] {
        let upto = self.isrs.partition_point(|(told, _)| *told <= seq);
        self.isrs[..upto].last().map_or(&[], |(_, isr)| isr)
    }

    /// Since which record a node is in the ISR without a break.
    pub fn in_sync_since(&self, node: NodeId) -> Option<u64> {
        let latest = self.isrs.iter().rev();
        let unbroken = latest.take_while(|(_, isr)| isr.contains(&node));
        unbroken.last().map(|(seq, _)| *seq)
    }

    /// The unclean election that made the leader of an epoch the ISR: the one that began this epoch, or an earlier one that it
    /// won, and was gone before it came to lead.
    pub fn unclean_behind(&self, epoch: LeaderEpoch) -> Option<&Election> {
        let leader = self.election(epoch)?.leader;
        let earlier = self.elections.iter().rev().skip_while(|e| e.epoch > epoch);
        let mut its = earlier.take_while(|e| e.leader.is_none() || e.leader == leader);
        let found = its.find(|e| e.unclean)?;
        // What it took when it led then is told of that epoch.
        let led = self.cuts.iter().any(|c| c.epoch == found.epoch);
        (found.epoch == epoch || !led).then_some(found)
    }

    /// The change of the leader that began an epoch.
    pub fn election(&self, epoch: LeaderEpoch) -> Option<&Election> {
        self.elections.iter().rev().find(|e| e.epoch == epoch)
    }

    /// The batches of a path with a record of an application, and its offset there.
    pub fn offset_of(&self, node: NodeRef, id: RecordId) -> Option<Offset> {
        let batch = &self.node(node).batch;
        let ids = batch.data.ids();
        // Most batches hold records of one application in a row: look where the record would be then.
        let guess = id.number.wrapping_sub(ids.first()?.number) as usize;
        let at = match ids.get(guess) {
            Some(there) if *there == id => guess,
            _ => ids.iter().position(|i| *i == id)?,
        };
        Some(batch.base_offset.plus(i64::try_from(at).ok()?))
    }

    /// What follows a committed batch must have been written after it, by no leader that was overruled.
    fn may_follow(&self, node: NodeRef) -> bool {
        let parent = self.committed.last().map(|c| c.node);
        self.parent_is(node, parent) && !self.is_dead(node)
    }

    fn parent_is(&self, node: NodeRef, parent: Option<NodeRef>) -> bool {
        let depth = self.depth(node);
        match parent {
            None => depth == 0,
            Some(parent) => self.depth(parent) + 1 == depth && self.is_child(node, parent),
        }
    }

    fn is_child(&self, node: NodeRef, parent: NodeRef) -> bool {
        self.nodes.children(Some(parent)).any(|c| c == node)
    }

    /// The known batch behind `tip` that is this one.
    pub fn follower_of(&self, tip: Option<NodeRef>, batch: &RecordBatch) -> Option<NodeRef> {
        self.nodes.children(tip).find(|child| {
            let there = &self.node(*child).batch;
            is_same(there, batch) || (self.is_compacted && is_copy(there, batch))
        })
    }
}

/// A batch as compaction may have left it: the same offsets, epoch and producer, and no record that was not there.
fn is_copy(whole: &RecordBatch, copy: &RecordBatch) -> bool {
    let ids = whole.data.ids();
    whole.base_offset == copy.base_offset
        && whole.end_offset() == copy.end_offset()
        && whole.leader_epoch == copy.leader_epoch
        && whole.data.producer == copy.data.producer
        && copy.data.ids().iter().all(|id| ids.contains(id))
}

/// The same batch at the same place: offset, epoch and contents.
fn is_same(a: &RecordBatch, b: &RecordBatch) -> bool {
    a.base_offset == b.base_offset
        && a.leader_epoch == b.leader_epoch
        && (Arc::ptr_eq(&a.data, &b.data) || a.data == b.data)
}
