//! One replica of the metadata log: Kafka's KafkaRaftClient.
//!
//! Thin still: one voter, which leads from the start and commits at once; observers fetch.

use crate::effect::{Effect, Effects};
use crate::event::{Event, RaftEvent, RaftState};
use crate::ids::{LeaderEpoch, METADATA_PARTITION, NodeId, Offset};
use crate::log::Log;
use crate::log::batch::{BatchData, RecordBatch};
use crate::log::config::LogConfig;
use crate::time::Timestamp;
use serde::Serialize;

/// One replica of the metadata log.
#[derive(Clone, Debug, Serialize)]
pub struct Raft {
    node: NodeId,
    leader: NodeId,
    epoch: LeaderEpoch,
    log: Log,
}

impl Raft {
    /// A replica of the quorum that `leader` leads.
    pub fn start(node: NodeId, leader: NodeId, out: &mut Effects) -> Raft {
        let raft = Raft {
            node,
            leader,
            epoch: LeaderEpoch(1),
            log: Log::create(METADATA_PARTITION, LogConfig::default(), Timestamp(0), out),
        };
        let state = if raft.is_leader() {
            RaftState::Leader
        } else {
            RaftState::Follower
        };
        out.push(Effect::Tell(Event::Raft(RaftEvent::Became {
            state,
            epoch: raft.epoch,
            leader: Some(leader),
        })));
        raft
    }

    /// Whether this replica leads.
    pub fn is_leader(&self) -> bool {
        self.node == self.leader
    }

    /// The leader, if known.
    pub fn leader(&self) -> Option<NodeId> {
        Some(self.leader)
    }

    /// The current epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The replica's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Appends as leader; a single voter has a majority at once.
    pub fn append(&mut self, data: BatchData, out: &mut Effects) -> RecordBatch {
        assert!(self.is_leader(), "only the leader appends");
        let at = data.max_timestamp;
        let batch = self.log.append_as_raft_leader(data, self.epoch, at, out);
        self.log.advance_hw(batch.end_offset(), out);
        batch
    }

    /// Copies what the leader sent.
    pub fn copy(&mut self, batches: Vec<RecordBatch>, hw: Option<Offset>, out: &mut Effects) {
        for batch in batches {
            let at = batch.data.max_timestamp;
            self.log
                .append_as_follower(&batch, self.epoch, at, out)
                .expect("a copy begins where the log ends");
        }
        if let Some(hw) = hw {
            self.log.advance_hw(hw, out);
        }
    }
}
