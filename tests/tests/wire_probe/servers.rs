//! What brokers say to the controller and voters to one another: BrokerRegistration, BrokerHeartbeat, AlterPartition,
//! AllocateProducerIds, Vote, BeginQuorumEpoch, EndQuorumEpoch.

use super::batches::Batches;
use super::convert::*;
use kafka_protocol::messages as k;
use kafka_protocol::messages::{BrokerId, ProducerId as KafkaProducerId};
use klab_kafka::ids::*;
use klab_kafka::protocol::cluster::*;
use klab_kafka::protocol::quorum::*;
use uuid::Uuid;

impl Wire for BrokerRegistrationRequest {
    type Kafka = k::BrokerRegistrationRequest;

    fn to_kafka(&self) -> k::BrokerRegistrationRequest {
        let listener = k::broker_registration_request::Listener::default()
            .with_name(text("PLAINTEXT"))
            .with_host(host(self.address))
            .with_port(PORT);
        k::BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(self.broker_id.0))
            .with_incarnation_id(Uuid::from_u128(self.incarnation_id.0))
            .with_listeners(vec![listener])
            .with_rack(self.rack.as_deref().map(text))
            .with_previous_broker_epoch(broker_epoch(self.previous_broker_epoch))
    }

    fn of_kafka(kafka: k::BrokerRegistrationRequest, _: &Batches) -> BrokerRegistrationRequest {
        BrokerRegistrationRequest {
            broker_id: node(kafka.broker_id),
            incarnation_id: IncarnationId(kafka.incarnation_id.as_u128()),
            address: address(&kafka.listeners[0].host),
            rack: kafka.rack.as_ref().map(arc),
            previous_broker_epoch: of_broker_epoch(kafka.previous_broker_epoch),
        }
    }
}

impl Wire for BrokerRegistrationResponse {
    type Kafka = k::BrokerRegistrationResponse;

    fn to_kafka(&self) -> k::BrokerRegistrationResponse {
        k::BrokerRegistrationResponse::default()
            .with_error_code(self.error_code.code())
            .with_broker_epoch(broker_epoch(self.broker_epoch))
    }

    fn of_kafka(kafka: k::BrokerRegistrationResponse, _: &Batches) -> BrokerRegistrationResponse {
        BrokerRegistrationResponse {
            error_code: error(kafka.error_code),
            broker_epoch: of_broker_epoch(kafka.broker_epoch),
        }
    }
}

impl Wire for BrokerHeartbeatRequest {
    type Kafka = k::BrokerHeartbeatRequest;

    fn to_kafka(&self) -> k::BrokerHeartbeatRequest {
        k::BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(self.broker_id.0))
            .with_broker_epoch(self.broker_epoch.0)
            .with_current_metadata_offset(self.current_metadata_offset.0)
            .with_want_fence(self.want_fence)
            .with_want_shut_down(self.want_shut_down)
    }

    fn of_kafka(kafka: k::BrokerHeartbeatRequest, _: &Batches) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest {
            broker_id: node(kafka.broker_id),
            broker_epoch: BrokerEpoch(kafka.broker_epoch),
            current_metadata_offset: Offset(kafka.current_metadata_offset),
            want_fence: kafka.want_fence,
            want_shut_down: kafka.want_shut_down,
        }
    }
}

impl Wire for BrokerHeartbeatResponse {
    type Kafka = k::BrokerHeartbeatResponse;

    fn to_kafka(&self) -> k::BrokerHeartbeatResponse {
        k::BrokerHeartbeatResponse::default()
            .with_error_code(self.error_code.code())
            .with_is_caught_up(self.is_caught_up)
            .with_is_fenced(self.is_fenced)
            .with_should_shut_down(self.should_shut_down)
    }

    fn of_kafka(kafka: k::BrokerHeartbeatResponse, _: &Batches) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse {
            error_code: error(kafka.error_code),
            is_caught_up: kafka.is_caught_up,
            is_fenced: kafka.is_fenced,
            should_shut_down: kafka.should_shut_down,
        }
    }
}

fn recovery(state: LeaderRecoveryState) -> i8 {
    match state {
        LeaderRecoveryState::Recovered => 0,
        LeaderRecoveryState::Recovering => 1,
    }
}

fn of_recovery(state: i8) -> LeaderRecoveryState {
    match state {
        0 => LeaderRecoveryState::Recovered,
        _ => LeaderRecoveryState::Recovering,
    }
}

impl Wire for AlterPartitionRequest {
    type Kafka = k::AlterPartitionRequest;

    fn to_kafka(&self) -> k::AlterPartitionRequest {
        use k::alter_partition_request as r;
        let member = |m: &BrokerState| {
            r::BrokerState::default()
                .with_broker_id(BrokerId(m.broker_id.0))
                .with_broker_epoch(broker_epoch(m.broker_epoch))
        };
        let partition = |p: &AlterPartitionData| {
            let wanted = r::PartitionData::default()
                .with_partition_index(p.partition)
                .with_leader_epoch(p.leader_epoch.0)
                .with_new_isr_with_epochs(p.new_isr.iter().map(member).collect())
                .with_leader_recovery_state(recovery(p.leader_recovery_state))
                .with_partition_epoch(p.partition_epoch.0);
            (p.topic_id, wanted)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::TopicData::default()
                .with_topic_id(topic(id))
                .with_partitions(partitions)
        };
        k::AlterPartitionRequest::default()
            .with_broker_id(BrokerId(self.broker_id.0))
            .with_broker_epoch(self.broker_epoch.0)
            .with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::AlterPartitionRequest, _: &Batches) -> AlterPartitionRequest {
        let member = |m: &k::alter_partition_request::BrokerState| BrokerState {
            broker_id: node(m.broker_id),
            broker_epoch: of_broker_epoch(m.broker_epoch),
        };
        let partitions = kafka.topics.iter().flat_map(|t| {
            t.partitions.iter().map(move |p| AlterPartitionData {
                topic_id: topic_id(t.topic_id),
                partition: p.partition_index,
                leader_epoch: LeaderEpoch(p.leader_epoch),
                new_isr: p.new_isr_with_epochs.iter().map(member).collect(),
                leader_recovery_state: of_recovery(p.leader_recovery_state),
                partition_epoch: PartitionEpoch(p.partition_epoch),
            })
        });
        AlterPartitionRequest {
            broker_id: node(kafka.broker_id),
            broker_epoch: BrokerEpoch(kafka.broker_epoch),
            partitions: partitions.collect(),
        }
    }
}

impl Wire for AlterPartitionResponse {
    type Kafka = k::AlterPartitionResponse;

    fn to_kafka(&self) -> k::AlterPartitionResponse {
        use k::alter_partition_response as r;
        let partition = |p: &AlterPartitionResult| {
            let now = r::PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(p.error_code.code())
                .with_leader_id(broker(p.leader_id))
                .with_leader_epoch(p.leader_epoch.0)
                .with_isr(nodes(&p.isr))
                .with_leader_recovery_state(recovery(p.leader_recovery_state))
                .with_partition_epoch(p.partition_epoch.0);
            (p.topic_id, now)
        };
        let topics = by_topic(self.partitions.iter().map(partition));
        let topic = |(id, partitions)| {
            r::TopicData::default()
                .with_topic_id(topic(id))
                .with_partitions(partitions)
        };
        k::AlterPartitionResponse::default()
            .with_error_code(self.error_code.code())
            .with_topics(topics.into_iter().map(topic).collect())
    }

    fn of_kafka(kafka: k::AlterPartitionResponse, _: &Batches) -> AlterPartitionResponse {
        let partitions = kafka.topics.iter().flat_map(|t| {
            t.partitions.iter().map(|p| AlterPartitionResult {
                topic_id: topic_id(t.topic_id),
                partition: p.partition_index,
                error_code: error(p.error_code),
                leader_id: of_broker(p.leader_id),
                leader_epoch: LeaderEpoch(p.leader_epoch),
                isr: of_nodes(&p.isr),
                leader_recovery_state: of_recovery(p.leader_recovery_state),
                partition_epoch: PartitionEpoch(p.partition_epoch),
            })
        });
        AlterPartitionResponse {
            error_code: error(kafka.error_code),
            partitions: partitions.collect(),
        }
    }
}

impl Wire for AllocateProducerIdsRequest {
    type Kafka = k::AllocateProducerIdsRequest;

    fn to_kafka(&self) -> k::AllocateProducerIdsRequest {
        k::AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(self.broker_id.0))
            .with_broker_epoch(self.broker_epoch.0)
    }

    fn of_kafka(kafka: k::AllocateProducerIdsRequest, _: &Batches) -> AllocateProducerIdsRequest {
        AllocateProducerIdsRequest {
            broker_id: node(kafka.broker_id),
            broker_epoch: BrokerEpoch(kafka.broker_epoch),
        }
    }
}

impl Wire for AllocateProducerIdsResponse {
    type Kafka = k::AllocateProducerIdsResponse;

    fn to_kafka(&self) -> k::AllocateProducerIdsResponse {
        k::AllocateProducerIdsResponse::default()
            .with_error_code(self.error_code.code())
            .with_producer_id_start(KafkaProducerId(self.producer_id_start.0))
            .with_producer_id_len(self.producer_id_len)
    }

    fn of_kafka(kafka: k::AllocateProducerIdsResponse, _: &Batches) -> AllocateProducerIdsResponse {
        AllocateProducerIdsResponse {
            error_code: error(kafka.error_code),
            producer_id_start: ProducerId(kafka.producer_id_start.0),
            producer_id_len: kafka.producer_id_len,
        }
    }
}

/// The quorum's requests have room for many partitions of many topics, and always name the one of the metadata log.
macro_rules! metadata_log {
    ($module:ident, $partition:expr) => {
        vec![
            k::$module::TopicData::default()
                .with_topic_name(name(METADATA_NAME))
                .with_partitions(vec![$partition]),
        ]
    };
}

impl Wire for VoteRequest {
    type Kafka = k::VoteRequest;

    fn to_kafka(&self) -> k::VoteRequest {
        let partition = k::vote_request::PartitionData::default()
            .with_replica_epoch(self.replica_epoch.0)
            .with_replica_id(BrokerId(self.replica_id.0))
            .with_last_offset_epoch(self.last_epoch.0)
            .with_last_offset(self.last_epoch_end_offset.0)
            .with_pre_vote(self.pre_vote);
        k::VoteRequest::default().with_topics(metadata_log!(vote_request, partition))
    }

    fn of_kafka(kafka: k::VoteRequest, _: &Batches) -> VoteRequest {
        let partition = &kafka.topics[0].partitions[0];
        VoteRequest {
            replica_epoch: LeaderEpoch(partition.replica_epoch),
            replica_id: node(partition.replica_id),
            last_epoch: LeaderEpoch(partition.last_offset_epoch),
            last_epoch_end_offset: Offset(partition.last_offset),
            pre_vote: partition.pre_vote,
        }
    }
}

impl Wire for VoteResponse {
    type Kafka = k::VoteResponse;

    fn to_kafka(&self) -> k::VoteResponse {
        let partition = k::vote_response::PartitionData::default()
            .with_error_code(self.error_code.code())
            .with_leader_id(broker(self.leader_id))
            .with_leader_epoch(self.leader_epoch.0)
            .with_vote_granted(self.vote_granted);
        k::VoteResponse::default().with_topics(metadata_log!(vote_response, partition))
    }

    fn of_kafka(kafka: k::VoteResponse, _: &Batches) -> VoteResponse {
        let partition = &kafka.topics[0].partitions[0];
        VoteResponse {
            error_code: error(partition.error_code),
            leader_id: of_broker(partition.leader_id),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            vote_granted: partition.vote_granted,
        }
    }
}

impl Wire for BeginQuorumEpochRequest {
    type Kafka = k::BeginQuorumEpochRequest;

    fn to_kafka(&self) -> k::BeginQuorumEpochRequest {
        let partition = k::begin_quorum_epoch_request::PartitionData::default()
            .with_leader_id(BrokerId(self.leader_id.0))
            .with_leader_epoch(self.leader_epoch.0);
        let topics = metadata_log!(begin_quorum_epoch_request, partition);
        k::BeginQuorumEpochRequest::default().with_topics(topics)
    }

    fn of_kafka(kafka: k::BeginQuorumEpochRequest, _: &Batches) -> BeginQuorumEpochRequest {
        let partition = &kafka.topics[0].partitions[0];
        BeginQuorumEpochRequest {
            leader_id: node(partition.leader_id),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
        }
    }
}

impl Wire for EndQuorumEpochRequest {
    type Kafka = k::EndQuorumEpochRequest;

    fn to_kafka(&self) -> k::EndQuorumEpochRequest {
        use k::end_quorum_epoch_request as r;
        let candidates = self.preferred_successors.iter();
        let candidates =
            candidates.map(|node| r::ReplicaInfo::default().with_candidate_id(BrokerId(node.0)));
        let partition = r::PartitionData::default()
            .with_leader_id(BrokerId(self.leader_id.0))
            .with_leader_epoch(self.leader_epoch.0)
            .with_preferred_candidates(candidates.collect());
        let topics = metadata_log!(end_quorum_epoch_request, partition);
        k::EndQuorumEpochRequest::default().with_topics(topics)
    }

    fn of_kafka(kafka: k::EndQuorumEpochRequest, _: &Batches) -> EndQuorumEpochRequest {
        let partition = &kafka.topics[0].partitions[0];
        let candidates = partition.preferred_candidates.iter();
        EndQuorumEpochRequest {
            leader_id: node(partition.leader_id),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            preferred_successors: candidates.map(|c| node(c.candidate_id)).collect(),
        }
    }
}

/// The answers to BeginQuorumEpoch and EndQuorumEpoch are one type in klab and two in Kafka.
macro_rules! quorum_epoch_response {
    ($name:ident, $module:ident) => {
        /// klab's QuorumEpochResponse as the answer to one of the two.
        pub struct $name(pub QuorumEpochResponse);

        impl Wire for $name {
            type Kafka = k::$name;

            fn to_kafka(&self) -> k::$name {
                let partition = k::$module::PartitionData::default()
                    .with_error_code(self.0.error_code.code())
                    .with_leader_id(broker(self.0.leader_id))
                    .with_leader_epoch(self.0.leader_epoch.0);
                k::$name::default().with_topics(metadata_log!($module, partition))
            }

            fn of_kafka(kafka: k::$name, _: &Batches) -> $name {
                let partition = &kafka.topics[0].partitions[0];
                $name(QuorumEpochResponse {
                    error_code: error(partition.error_code),
                    leader_id: of_broker(partition.leader_id),
                    leader_epoch: LeaderEpoch(partition.leader_epoch),
                })
            }
        }
    };
}

quorum_epoch_response!(BeginQuorumEpochResponse, begin_quorum_epoch_response);
quorum_epoch_response!(EndQuorumEpochResponse, end_quorum_epoch_response);
