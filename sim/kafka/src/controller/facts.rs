//! What committed metadata records mean to those who watch. Told by the quorum's leader alone, when it learns of the commit.

use crate::controller::image::Image;
use crate::controller::records::MetadataRecord;
use crate::event::ControllerEvent;
use crate::ids::{BrokerEpoch, NodeId, TopicIdPartition};
use crate::protocol::cluster::LeaderRecoveryState;
use std::collections::BTreeSet;

/// What a record means that takes something away, before `image` takes it in.
pub fn of_removal(image: &Image, record: &MetadataRecord) -> Option<ControllerEvent> {
    let MetadataRecord::RemoveTopic { topic } = record else {
        return None;
    };
    let name = image.topics.get(topic)?.name.clone();
    Some(ControllerEvent::TopicDeleted { name, id: *topic })
}

/// What the record at `at` of a batch means, now that `image` has taken it in and nothing behind it. `expired`: brokers whose
/// session ran out, as only the controller that fenced them knows.
pub fn of_record(
    image: &Image,
    batch: &[MetadataRecord],
    at: usize,
    expired: Option<&mut BTreeSet<(NodeId, BrokerEpoch)>>,
) -> Option<ControllerEvent> {
    Some(match &batch[at] {
        MetadataRecord::RegisterBroker { broker, epoch, .. } => ControllerEvent::BrokerRegistered {
            broker: *broker,
            epoch: *epoch,
        },
        MetadataRecord::BrokerRegistrationChange {
            broker,
            fenced: Some(false),
            ..
        } => ControllerEvent::BrokerUnfenced { broker: *broker },
        MetadataRecord::BrokerRegistrationChange {
            broker,
            epoch,
            fenced: Some(true),
            ..
        } => ControllerEvent::BrokerFenced {
            broker: *broker,
            session_expired: expired.is_some_and(|e| e.remove(&(*broker, *epoch))),
        },
        MetadataRecord::Topic { name, id } => {
            let is_of = |r: &&MetadataRecord| matches!(r, MetadataRecord::Partition { topic, .. } if topic == id);
            ControllerEvent::TopicCreated {
                name: name.clone(),
                id: *id,
                partitions: batch[at..].iter().filter(is_of).count() as i32,
            }
        }
        MetadataRecord::Partition {
            topic, partition, ..
        } => {
            // Of a new topic that tells its partitions itself, or of one that gets more.
            let is_of =
                |r: &MetadataRecord| matches!(r, MetadataRecord::Topic { id, .. } if id == topic);
            let first = |r: &MetadataRecord| matches!(r, MetadataRecord::Partition { topic: other, .. } if other == topic);
            if batch[..at].iter().any(|r| is_of(r) || first(r)) {
                return None;
            }
            let more = batch[at..].iter().filter(|r| first(r)).count() as i32;
            ControllerEvent::PartitionsCreated {
                name: image.topics.get(topic)?.name.clone(),
                from: *partition,
                to: *partition + more,
            }
        }
        MetadataRecord::Config {
            resource,
            key,
            value,
        } if batch
            .iter()
            .all(|r| !matches!(r, MetadataRecord::Topic { .. })) =>
        {
            ControllerEvent::ConfigChanged {
                resource: resource.clone(),
                key: key.clone(),
                value: value.clone(),
            }
        }
        MetadataRecord::PartitionChange {
            topic,
            partition,
            leader,
            recovery,
            ..
        } => {
            let id = TopicIdPartition {
                topic: *topic,
                partition: *partition,
            };
            let now = image.partition(id)?;
            let isr = now.isr.clone().into_boxed_slice();
            match leader {
                Some(leader) => ControllerEvent::LeaderElected {
                    partition: id,
                    leader: *leader,
                    epoch: now.leader_epoch,
                    unclean: *recovery == Some(LeaderRecoveryState::Recovering),
                    isr,
                },
                None => ControllerEvent::IsrCommitted {
                    partition: id,
                    isr,
                    partition_epoch: now.partition_epoch,
                },
            }
        }
        _ => return None,
    })
}
