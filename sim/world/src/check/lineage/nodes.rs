//! The nodes of the tree: every batch that was written somewhere at some time, with what was told of it first.
//!
//! A node is never removed. The batches lie in a list of their own, in which those of an idle metadata log cost next to
//! nothing; so a node is put together when somebody asks for it.

use crate::check::table::Table;
use crate::process::ProcessId;
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::log::batches::{Batches, Place};
use klab_kafka::time::Time;
use std::num::NonZeroU32;

/// A batch's place in the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeRef(NonZeroU32);

impl NodeRef {
    fn at(index: usize) -> NodeRef {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        NodeRef(number.expect("fewer than 2^32 batches in one partition"))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A batch that was written somewhere at some time.
#[derive(Clone, Debug)]
pub struct Node {
    /// The batch.
    pub batch: RecordBatch,
    /// How many batches lie before it.
    pub depth: usize,
    /// The record that told of its first append.
    pub seq: u64,
    /// When that was.
    pub at: Time,
    /// Who appended it first.
    pub by: ProcessId,
    /// Whether a leader did; else a copy that fits no leader's log.
    pub by_leader: bool,
}

/// What is kept of a batch beside the batch itself.
#[derive(Clone, Debug)]
struct Told {
    depth: u32,
    seq: u64,
    at: Time,
    by: ProcessId,
    by_leader: bool,
    /// The latest of those that follow it, and the next older one beside it.
    child: Option<NodeRef>,
    sibling: Option<NodeRef>,
}

/// All nodes of a tree, in the order in which they were first told of.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    batches: Batches,
    told: Table<Told>,
    roots: Option<NodeRef>,
}

impl Nodes {
    /// A node.
    pub fn get(&self, at: NodeRef) -> Node {
        let batch = self.batches.get(at.index());
        let told = self.told(at);
        Node {
            batch: batch.expect("nodes are never removed"),
            depth: told.depth as usize,
            seq: told.seq,
            at: told.at,
            by: told.by,
            by_leader: told.by_leader,
        }
    }

    /// Where a node's batch lies.
    pub fn place(&self, at: NodeRef) -> Place {
        let place = self.batches.place(at.index());
        place.expect("nodes are never removed")
    }

    /// The record that told of a node's first append.
    pub fn told_in(&self, at: NodeRef) -> u64 {
        self.told(at).seq
    }

    /// How many batches lie before a node's.
    pub fn depth(&self, at: NodeRef) -> usize {
        self.told(at).depth as usize
    }

    /// What follows a node, or begins a log: the latest first.
    pub fn children(&self, of: Option<NodeRef>) -> impl Iterator<Item = NodeRef> + '_ {
        let latest = match of {
            Some(parent) => self.told(parent).child,
            None => self.roots,
        };
        std::iter::successors(latest, |child| self.told(*child).sibling)
    }

    /// One more, behind another one or at the beginning of a log.
    pub fn grow(
        &mut self,
        tip: Option<NodeRef>,
        batch: RecordBatch,
        (by, by_leader): (ProcessId, bool),
        (seq, now): (u64, Time),
    ) -> NodeRef {
        let at = NodeRef::at(self.told.len());
        let depth = tip.map_or(0, |t| self.told(t).depth + 1);
        let sibling = match tip {
            None => self.roots.replace(at),
            Some(tip) => {
                let tip = self.told.get_mut(tip.index());
                tip.expect("nodes are never removed").child.replace(at)
            }
        };
        self.batches.push(batch);
        self.told.push(Told {
            depth,
            seq,
            at: now,
            by,
            by_leader,
            child: None,
            sibling,
        });
        at
    }

    fn told(&self, at: NodeRef) -> &Told {
        self.told.get(at.index()).expect("nodes are never removed")
    }
}
