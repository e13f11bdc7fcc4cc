//! What committed metadata records mean to those who watch. Told by the quorum's leader alone, when it learns of the commit.

use crate::controller::image::Image;
use crate::controller::records::MetadataRecord;
use crate::event::ControllerEvent;
use crate::ids::{BrokerEpoch, NodeId, TopicIdPartition};
use crate::protocol::cluster::LeaderRecoveryState;
use std::collections::BTreeSet;

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
