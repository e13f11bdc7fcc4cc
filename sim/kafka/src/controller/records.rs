//! Records of the metadata log, with Kafka's names (`metadata/src/main/resources/common/metadata`).
//!
//! Left out: features, ACLs, quotas, delegation tokens, directories, reassignment lists, eligible leader replicas.

use crate::ids::{
    Address, BrokerEpoch, IncarnationId, LeaderEpoch, NodeId, PartitionEpoch, ProducerId, TopicId,
};
use crate::protocol::admin::ConfigResource;
use crate::protocol::cluster::LeaderRecoveryState;
use serde::{Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;

/// One record of the metadata log.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum MetadataRecord {
    /// Keeps offsets moving (K-12).
    NoOp,
    /// A broker is registered.
    RegisterBroker {
        /// Who.
        broker: NodeId,
        /// Which start of the process.
        incarnation: IncarnationId,
        /// The offset that was the next to be written when it was decided (K-14): this record's own, unless records that
        /// clean up after the last incarnation go before it.
        epoch: BrokerEpoch,
        /// Where clients reach it.
        address: Address,
        /// Its rack.
        rack: Option<Arc<str>>,
        /// Registered brokers start fenced.
        fenced: bool,
    },
    /// Kafka's BrokerRegistrationChangeRecord: fenced, unfenced, in controlled shutdown. `None` leaves as it is.
    BrokerRegistrationChange {
        /// Who.
        broker: NodeId,
        /// Which registration.
        epoch: BrokerEpoch,
        /// Fenced from now on, or no longer.
        fenced: Option<bool>,
        /// In controlled shutdown from now on.
        in_controlled_shutdown: Option<bool>,
    },
    /// A topic exists.
    Topic {
        /// Its name.
        name: Arc<str>,
        /// Its id.
        id: TopicId,
    },
    /// A partition exists.
    Partition {
        /// Of which topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// Its registration.
        registration: PartitionRegistration,
    },
    /// A partition has changed; `None` leaves as it is. The partition epoch goes up by one, and with a leader the leader epoch.
    PartitionChange {
        /// Of which topic.
        topic: TopicId,
        /// The partition.
        partition: i32,
        /// The new leader; `Some(None)` for no leader.
        leader: Option<Option<NodeId>>,
        /// The new ISR.
        isr: Option<Vec<NodeId>>,
        /// The new recovery state.
        recovery: Option<LeaderRecoveryState>,
    },
    /// A topic is no more, nor are its partitions and its configs (K-24).
    RemoveTopic {
        /// Which.
        topic: TopicId,
    },
    /// A config; `None` deletes it.
    Config {
        /// Whose.
        resource: ConfigResource,
        /// The key.
        key: Arc<str>,
        /// The value.
        value: Option<Arc<str>>,
    },
    /// A block of producer ids was given out.
    ProducerIds {
        /// To whom.
        broker: NodeId,
        /// With which epoch.
        epoch: BrokerEpoch,
        /// The first id of the next block.
        next_producer_id: ProducerId,
    },
}

/// The records of one batch. A quiet cluster writes two batches a second that hold a lone [`MetadataRecord::NoOp`], and keeps them
/// all: those need no memory of their own here.
#[derive(Clone, PartialEq, Debug)]
pub struct MetadataRecords(Option<Box<[MetadataRecord]>>);

/// What stands for a lone one.
const NO_OP: &[MetadataRecord] = &[MetadataRecord::NoOp];

impl From<Vec<MetadataRecord>> for MetadataRecords {
    fn from(records: Vec<MetadataRecord>) -> MetadataRecords {
        let is_no_op = matches!(records[..], [MetadataRecord::NoOp]);
        MetadataRecords((!is_no_op).then(|| records.into_boxed_slice()))
    }
}

impl Deref for MetadataRecords {
    type Target = [MetadataRecord];

    fn deref(&self) -> &[MetadataRecord] {
        self.0.as_deref().unwrap_or(NO_OP)
    }
}

/// As the list that they are.
impl Serialize for MetadataRecords {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.deref().serialize(to)
    }
}

/// A partition as the controller has it: Kafka's PartitionRegistration.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PartitionRegistration {
    /// In assignment order; the first is preferred.
    pub replicas: Vec<NodeId>,
    /// Those in sync.
    pub isr: Vec<NodeId>,
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
    /// Whether a leader chosen uncleanly has recovered.
    pub recovery: LeaderRecoveryState,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes.
    pub partition_epoch: PartitionEpoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_no_op_is_kept_without_memory_and_read_as_any_other_records() {
        let remove = MetadataRecord::RemoveTopic { topic: TopicId(7) };
        let lists = [
            vec![],
            vec![MetadataRecord::NoOp],
            vec![MetadataRecord::NoOp; 2],
            vec![remove],
        ];
        for list in lists {
            let records = MetadataRecords::from(list.clone());
            assert_eq!(records[..], list[..]);
            assert_eq!(records.0.is_none(), list == [MetadataRecord::NoOp]);
        }
    }
}
