//! New topics: CreateTopics (K-21). Kafka's ReplicationControlManager.
//!
//! Left out: internal topics (K-26), policies, the configs in the answer, quotas.

use crate::config::ServerConfig;
use crate::controller::cluster::Cluster;
use crate::controller::configs::{Refusal, check_topic_configs};
use crate::controller::heartbeats::Heartbeats;
use crate::controller::placement::{UsableBroker, place};
use crate::controller::records::{MetadataRecord, PartitionRegistration};
use crate::decision::Decision;
use crate::ids::{LeaderEpoch, NodeId, PartitionEpoch, TopicId};
use crate::protocol::ErrorCode;
use crate::protocol::admin::{
    ConfigResource, CreatableTopic, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::protocol::cluster::LeaderRecoveryState;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Kafka's MAX_PARTITIONS_PER_BATCH: one request creates no more, since its records commit together (K-11).
const MAX_PARTITIONS_PER_BATCH: i64 = 10_000;

/// What was drawn for one topic of a request.
#[derive(Clone, Copy, Debug)]
pub struct DrawnForTopic {
    /// Its id.
    pub id: TopicId,
    /// Where its replicas lie.
    pub placement: u64,
}

impl Cluster<'_> {
    /// Creates what can be created of a request's topics (K-21); `drawn` has one entry for each.
    pub fn create_topics(
        &self,
        r: &CreateTopicsRequest,
        heartbeats: &Heartbeats,
        config: &ServerConfig,
        drawn: &[DrawnForTopic],
    ) -> Decision<MetadataRecord, CreateTopicsResponse> {
        let partitions = |t: &CreatableTopic| match t.assignments.len() {
            0 => i64::from(t.num_partitions.unwrap_or(config.num_partitions).max(0)),
            n => n as i64,
        };
        let total: i64 = r.topics.iter().map(partitions).sum();
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (topic, drawn) in r.topics.iter().zip(drawn) {
            let twice = r.topics.iter().filter(|t| t.name == topic.name).count() > 1;
            let created = if total > MAX_PARTITIONS_PER_BATCH {
                Err((
                    ErrorCode::PolicyViolation,
                    "Excessively large number of partitions per request.",
                ))
            } else if twice {
                Err((ErrorCode::InvalidRequest, "Duplicate topic name."))
            } else {
                self.create_topic(topic, heartbeats, config, *drawn)
            };
            results.push(result(
                &topic.name,
                created.as_ref().map(|_| drawn.id).map_err(|e| *e),
            ));
            records.extend(created.into_iter().flatten());
        }
        if r.validate_only {
            records.clear();
        }
        Decision::new(records, CreateTopicsResponse { topics: results })
    }

    fn create_topic(
        &self,
        topic: &CreatableTopic,
        heartbeats: &Heartbeats,
        config: &ServerConfig,
        drawn: DrawnForTopic,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        if self.image.names.contains_key(&topic.name) {
            return Err((
                ErrorCode::TopicAlreadyExists,
                "A topic of that name already exists.",
            ));
        }
        self.check_name(&topic.name)?;
        let configs: Vec<_> = topic
            .configs
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        check_topic_configs(&configs)?;
        let assignments = if topic.assignments.is_empty() {
            self.place_topic(topic, heartbeats, config, drawn.placement)?
        } else {
            if topic.replication_factor.is_some() || topic.num_partitions.is_some() {
                return Err((
                    ErrorCode::InvalidRequest,
                    "Replicas by hand leave no room for numbers.",
                ));
            }
            self.check_assignments(&topic.assignments, None)?;
            topic.assignments.clone()
        };
        let name = topic.name.clone();
        let mut records = vec![MetadataRecord::Topic { name, id: drawn.id }];
        let own = configs
            .into_iter()
            .map(|(key, value)| MetadataRecord::Config {
                resource: ConfigResource::Topic(topic.name.clone()),
                key,
                value,
            });
        records.extend(own);
        for (partition, replicas) in (0..).zip(assignments) {
            let registration = self.register_partition(replicas, !topic.assignments.is_empty())?;
            records.push(MetadataRecord::Partition {
                topic: drawn.id,
                partition,
                registration,
            });
        }
        Ok(records)
    }

    /// A legal name, and no name that metrics could not tell from an existing one.
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if !is_legal_name(name) {
            return Err((ErrorCode::InvalidTopicException, "The name is illegal."));
        }
        let unified = |n: &str| n.replace('.', "_");
        let collides = |n: &str| n.contains(['.', '_']) && unified(n) == unified(name);
        if self.image.names.keys().any(|n| collides(n)) {
            return Err((
                ErrorCode::InvalidTopicException,
                "The name collides with an existing one.",
            ));
        }
        Ok(())
    }

    fn place_topic(
        &self,
        topic: &CreatableTopic,
        heartbeats: &Heartbeats,
        config: &ServerConfig,
        drawn: u64,
    ) -> Result<Vec<Vec<NodeId>>, Refusal> {
        let factor = topic.replication_factor;
        if factor.is_some_and(|f| f <= 0) {
            return Err((
                ErrorCode::InvalidReplicationFactor,
                "The replication factor must be above 0.",
            ));
        }
        let partitions = topic.num_partitions.unwrap_or(config.num_partitions);
        if partitions <= 0 {
            return Err((
                ErrorCode::InvalidPartitions,
                "The number of partitions must be above 0.",
            ));
        }
        let factor =
            factor.unwrap_or(i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX));
        self.place(heartbeats, partitions, factor, drawn)
    }

    /// Lets the controller choose the brokers of new partitions (K-22).
    pub fn place(
        &self,
        heartbeats: &Heartbeats,
        partitions: i32,
        factor: i16,
        drawn: u64,
    ) -> Result<Vec<Vec<NodeId>>, Refusal> {
        let usable = self
            .image
            .brokers
            .iter()
            .filter(|(id, _)| !heartbeats.is_shutting_down(**id));
        let usable = usable.map(|(id, b)| UsableBroker {
            id: *id,
            rack: b.rack.clone(),
            fenced: b.fenced,
        });
        let usable: Vec<UsableBroker> = usable.collect();
        place(&usable, partitions, factor, drawn)
            .map_err(|error| (error, "Too few brokers are registered, or all are fenced."))
    }

    /// Replicas by hand: some, each registered, each once, and as many as the others have.
    pub fn check_assignments(
        &self,
        assignments: &[Vec<NodeId>],
        factor: Option<usize>,
    ) -> Result<(), Refusal> {
        let factor = factor.or(assignments.first().map(Vec::len));
        for replicas in assignments {
            let distinct: BTreeSet<&NodeId> = replicas.iter().collect();
            let refusal = if replicas.is_empty() {
                "A partition has no replicas."
            } else if !replicas.iter().all(|r| self.image.brokers.contains_key(r)) {
                "A replica's broker is not registered."
            } else if distinct.len() < replicas.len() {
                "A broker is named more than once."
            } else if Some(replicas.len()) != factor {
                "Partitions differ in their number of replicas."
            } else {
                continue;
            };
            return Err((ErrorCode::InvalidReplicaAssignment, refusal));
        }
        Ok(())
    }

    /// A new partition: its ISR are the replicas that are active, its leader is the first of them.
    pub fn register_partition(
        &self,
        replicas: Vec<NodeId>,
        by_hand: bool,
    ) -> Result<PartitionRegistration, Refusal> {
        let isr: Vec<NodeId> = replicas
            .iter()
            .copied()
            .filter(|r| self.image.is_active(*r))
            .collect();
        let Some(leader) = isr.first().copied() else {
            let error = if by_hand {
                ErrorCode::InvalidReplicaAssignment
            } else {
                ErrorCode::InvalidReplicationFactor
            };
            return Err((error, "All brokers are fenced or in controlled shutdown."));
        };
        Ok(PartitionRegistration {
            replicas,
            isr,
            leader: Some(leader),
            recovery: LeaderRecoveryState::Recovered,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
        })
    }
}

/// Kafka's Topic.validate.
pub fn is_legal_name(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= 249
        && name.chars().all(is_legal)
}

fn result(name: &Arc<str>, created: Result<TopicId, Refusal>) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        topic_id: created.ok(),
        error_code: created.err().map_or(ErrorCode::None, |e| e.0),
        error_message: created.err().map(|e| Arc::from(e.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{TOPIC, Told, nodes};
    use crate::time::{Duration, Time};

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic {
            name: Arc::from(name),
            num_partitions: Some(2),
            replication_factor: Some(3),
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }

    fn by_hand(assignments: &[&[i32]]) -> CreatableTopic {
        CreatableTopic {
            num_partitions: None,
            replication_factor: None,
            assignments: assignments.iter().map(|r| nodes(r)).collect(),
            ..topic("new")
        }
    }

    fn create(
        told: &Told,
        topics: Vec<CreatableTopic>,
    ) -> Decision<MetadataRecord, CreateTopicsResponse> {
        let heartbeats = Heartbeats::new(Duration::secs(9), &told.image, Time(0));
        let drawn = |i: usize| DrawnForTopic {
            id: TopicId(i as u128 + 50),
            placement: 3,
        };
        let drawn: Vec<_> = (0..topics.len()).map(drawn).collect();
        let request = CreateTopicsRequest {
            topics,
            timeout_ms: 0,
            validate_only: false,
        };
        told.cluster()
            .create_topics(&request, &heartbeats, &ServerConfig::default(), &drawn)
    }

    fn error(told: &Told, topic: CreatableTopic) -> ErrorCode {
        let decision = create(told, vec![topic]);
        assert_eq!(
            decision.records.is_empty(),
            !decision.response.topics[0].error_code.is_none()
        );
        decision.response.topics[0].error_code
    }

    #[test]
    fn a_new_topic_has_its_leaders_and_full_isrs_at_once() {
        let mut told = Told::with_brokers(3);
        let decision = create(&told, vec![topic("new")]);
        told.replay_all(&decision.records);
        let id = decision.response.topics[0].topic_id.expect("created");
        let partitions = &told.image.topics[&id].partitions;
        assert_eq!(partitions.len(), 2);
        for p in partitions.values() {
            assert_eq!((p.isr.len(), p.leader), (3, p.replicas.first().copied()));
        }
    }

    #[test]
    fn a_fenced_replica_is_not_in_the_first_isr() {
        let mut told = Told::with_brokers(3);
        told.fence(1, true);
        let decision = create(&told, vec![by_hand(&[&[1, 2, 3]])]);
        told.replay_all(&decision.records);
        let id = decision.response.topics[0].topic_id.expect("created");
        let p = &told.image.topics[&id].partitions[&0];
        assert_eq!((&p.isr, p.leader), (&nodes(&[2, 3]), Some(NodeId(2))));
    }

    #[test]
    fn names_are_legal_new_and_unlike_others() {
        let told = Told::with_brokers(3).with_topic(&[1]);
        assert_eq!(error(&told, topic("orders")), ErrorCode::TopicAlreadyExists);
        for name in ["", ".", "..", "a b", &"x".repeat(250)] {
            assert_eq!(
                error(&told, topic(name)),
                ErrorCode::InvalidTopicException,
                "{name}"
            );
        }
        let mut told = Told::with_brokers(3);
        told.replay(MetadataRecord::Topic {
            name: Arc::from("a_b"),
            id: TOPIC,
        });
        assert_eq!(error(&told, topic("a.b")), ErrorCode::InvalidTopicException);
    }

    #[test]
    fn numbers_must_be_possible() {
        let told = Told::with_brokers(3);
        let with = |partitions, factor| CreatableTopic {
            num_partitions: Some(partitions),
            replication_factor: Some(factor),
            ..topic("new")
        };
        assert_eq!(error(&told, with(0, 3)), ErrorCode::InvalidPartitions);
        assert_eq!(
            error(&told, with(1, 0)),
            ErrorCode::InvalidReplicationFactor
        );
        assert_eq!(
            error(&told, with(1, 4)),
            ErrorCode::InvalidReplicationFactor
        );
        assert_eq!(error(&told, with(10_001, 1)), ErrorCode::PolicyViolation);
        let mut fenced = Told::with_brokers(1);
        fenced.fence(1, true);
        assert_eq!(
            error(&fenced, with(1, 1)),
            ErrorCode::InvalidReplicationFactor
        );
    }

    #[test]
    fn replicas_by_hand_are_checked() {
        let mut told = Told::with_brokers(3);
        let bad: [&[&[i32]]; 4] = [&[&[]], &[&[4]], &[&[1, 1]], &[&[1, 2], &[3]]];
        for assignments in bad {
            assert_eq!(
                error(&told, by_hand(assignments)),
                ErrorCode::InvalidReplicaAssignment
            );
        }
        let both = CreatableTopic {
            num_partitions: Some(1),
            ..by_hand(&[&[1]])
        };
        assert_eq!(error(&told, both), ErrorCode::InvalidRequest);
        told.fence(1, true);
        assert_eq!(
            error(&told, by_hand(&[&[1]])),
            ErrorCode::InvalidReplicaAssignment
        );
    }

    #[test]
    fn a_config_that_does_not_exist_keeps_the_topic_from_being() {
        let told = Told::with_brokers(3);
        let with = |key: &str, value: &str| CreatableTopic {
            configs: vec![(Arc::from(key), Arc::from(value))],
            ..topic("new")
        };
        assert_eq!(
            error(&told, with("min.insync.replica", "2")),
            ErrorCode::InvalidConfig
        );
        assert_eq!(
            error(&told, with("min.insync.replicas", "two")),
            ErrorCode::InvalidConfig
        );
        assert_eq!(
            error(&told, with("min.insync.replicas", "2")),
            ErrorCode::None
        );
    }

    #[test]
    fn one_bad_topic_does_not_keep_the_others_from_being() {
        let told = Told::with_brokers(3);
        let decision = create(&told, vec![topic(".."), topic("new")]);
        let errors: Vec<_> = decision
            .response
            .topics
            .iter()
            .map(|t| t.error_code)
            .collect();
        assert_eq!(errors, [ErrorCode::InvalidTopicException, ErrorCode::None]);
    }

    #[test]
    fn what_is_only_validated_is_not_created() {
        let told = Told::with_brokers(3);
        let heartbeats = Heartbeats::new(Duration::secs(9), &told.image, Time(0));
        let drawn = [DrawnForTopic {
            id: TopicId(50),
            placement: 3,
        }; 2];
        let request = CreateTopicsRequest {
            topics: vec![topic("new"), topic("..")],
            timeout_ms: 0,
            validate_only: true,
        };
        let decision =
            told.cluster()
                .create_topics(&request, &heartbeats, &ServerConfig::default(), &drawn);
        let errors = decision.response.topics.iter().map(|t| t.error_code);
        assert_eq!(
            errors.collect::<Vec<_>>(),
            [ErrorCode::None, ErrorCode::InvalidTopicException]
        );
        assert!(decision.records.is_empty());
    }
}
