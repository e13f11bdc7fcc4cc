//! What operators do to topics that exist: more partitions (K-23), deletion (K-24), elections on demand.
//! Kafka's ReplicationControlManager with the checks of ControllerApis.
//!
//! Left out: reassignment (K-27), quotas, authorisation; answers keep the order of the question, which Kafka shuffles.

use crate::config::ServerConfig;
use crate::controller::cluster::Cluster;
use crate::controller::configs::Refusal;
use crate::controller::election::Election;
use crate::controller::heartbeats::Heartbeats;
use crate::controller::records::MetadataRecord;
use crate::decision::Decision;
use crate::ids::{NodeId, TopicId, TopicIdPartition};
use crate::protocol::ErrorCode;
use crate::protocol::admin::*;
use std::sync::Arc;

impl Cluster<'_> {
    /// Deletes topics by name or by id.
    pub fn delete_topics(
        &self,
        r: &DeleteTopicsRequest,
        config: &ServerConfig,
    ) -> Decision<MetadataRecord, DeleteTopicsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for topic in &r.topics {
            let found = self.topic_to_delete(topic, r, config);
            responses.push(DeletableTopicResult {
                topic: topic.clone(),
                error_code: found.err().unwrap_or(ErrorCode::None),
            });
            records.extend(found.map(|topic| MetadataRecord::RemoveTopic { topic }));
        }
        Decision::new(records, DeleteTopicsResponse { responses })
    }

    fn topic_to_delete(
        &self,
        topic: &TopicRef,
        r: &DeleteTopicsRequest,
        config: &ServerConfig,
    ) -> Result<TopicId, ErrorCode> {
        if !config.delete_topic_enable {
            return Err(ErrorCode::TopicDeletionDisabled);
        }
        let id = |topic: &TopicRef| match topic {
            TopicRef::Id(id) => Some(*id).filter(|id| self.image.topics.contains_key(id)),
            TopicRef::Name(name) => self.image.names.get(name).copied(),
        };
        let found = id(topic).ok_or(match topic {
            TopicRef::Id(_) => ErrorCode::UnknownTopicId,
            TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
        });
        // Named twice, be it by its name or by its id: it is not clear what is wanted.
        let same = |other: &&TopicRef| *other == topic || id(other) == found.ok() && found.is_ok();
        if r.topics.iter().filter(same).count() > 1 {
            return Err(ErrorCode::InvalidRequest);
        }
        found
    }

    /// Gives topics more partitions; `drawn` has one number for each. Records that exist stay where they are.
    pub fn create_partitions(
        &self,
        r: &CreatePartitionsRequest,
        heartbeats: &Heartbeats,
        drawn: &[u64],
    ) -> Decision<MetadataRecord, CreatePartitionsResponse> {
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (topic, drawn) in r.topics.iter().zip(drawn) {
            let twice = r.topics.iter().filter(|t| t.name == topic.name).count() > 1;
            let created = match twice {
                true => Err((ErrorCode::InvalidRequest, "Duplicate topic name.")),
                false => self.add_partitions(topic, heartbeats, *drawn),
            };
            let refusal = created.as_ref().err().copied();
            results.push(CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code: refusal.map_or(ErrorCode::None, |(error, _)| error),
                error_message: refusal.map(|(_, words)| words.into()),
            });
            records.extend(created.into_iter().flatten());
        }
        if r.validate_only {
            records.clear();
        }
        Decision::new(records, CreatePartitionsResponse { results })
    }

    fn add_partitions(
        &self,
        topic: &CreatePartitionsTopic,
        heartbeats: &Heartbeats,
        drawn: u64,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let unknown = (
            ErrorCode::UnknownTopicOrPartition,
            "There is no such topic.",
        );
        let id = *self.image.names.get(&topic.name).ok_or(unknown)?;
        let existing = &self.image.topics[&id].partitions;
        let first = existing.len() as i32;
        if topic.count <= first {
            return Err((
                ErrorCode::InvalidPartitions,
                "The topic has so many partitions, or more.",
            ));
        }
        let additional = topic.count - first;
        let factor = existing.values().next().map_or(0, |p| p.replicas.len());
        let by_hand = topic.assignments.is_some();
        let assignments = match &topic.assignments {
            Some(assignments) if assignments.len() as i32 != additional => {
                return Err((
                    ErrorCode::InvalidReplicaAssignment,
                    "There must be one list of replicas for each new partition.",
                ));
            }
            Some(assignments) => {
                self.check_assignments(assignments, Some(factor))?;
                assignments.clone()
            }
            None => self.place(
                heartbeats,
                additional,
                i16::try_from(factor).unwrap_or(i16::MAX),
                drawn,
            )?,
        };
        let register = |(partition, replicas): (i32, Vec<NodeId>)| {
            Ok(MetadataRecord::Partition {
                topic: id,
                partition,
                registration: self.register_partition(replicas, by_hand)?,
            })
        };
        (first..).zip(assignments).map(register).collect()
    }

    /// Elects leaders on demand, of the partitions named or of all.
    pub fn elect_leaders(
        &self,
        r: &ElectLeadersRequest,
    ) -> Decision<MetadataRecord, ElectLeadersResponse> {
        let election = match r.election_type {
            ElectionType::Preferred => Election::Preferred,
            ElectionType::Unclean => Election::Unclean,
        };
        let all: Vec<(Arc<str>, i32)> = match &r.partitions {
            Some(partitions) => partitions.clone(),
            None => {
                let named = |(id, _): (TopicIdPartition, _)| {
                    (self.image.topics[&id.topic].name.clone(), id.partition)
                };
                self.image.partitions().map(named).collect()
            }
        };
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (name, partition) in all {
            let topic = self.image.names.get(&name).copied();
            let elected = topic.ok_or(ErrorCode::UnknownTopicOrPartition);
            let elected = elected.and_then(|topic| {
                self.elect_leader(TopicIdPartition { topic, partition }, election)
            });
            let error = elected.as_ref().err().copied().unwrap_or(ErrorCode::None);
            records.extend(elected);
            // Asked for all, Kafka is silent about those that are as they should be.
            if r.partitions.is_some() || error != ErrorCode::ElectionNotNeeded {
                results.push((name, partition, error));
            }
        }
        let error_code = ErrorCode::None;
        Decision::new(
            records,
            ElectLeadersResponse {
                error_code,
                results,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixture::{TOPIC, Told, nodes};
    use crate::time::{Duration, Time};

    fn told() -> Told {
        Told::with_brokers(3).with_topic(&[1, 2, 3])
    }

    fn delete(told: &Told, topics: &[TopicRef], config: &ServerConfig) -> Vec<ErrorCode> {
        let request = DeleteTopicsRequest {
            topics: topics.to_vec(),
            timeout_ms: 0,
        };
        let decision = told.cluster().delete_topics(&request, config);
        let responses = decision.response.responses.iter();
        let good = responses.clone().filter(|r| r.error_code.is_none()).count();
        assert_eq!(decision.records.len(), good);
        responses.map(|r| r.error_code).collect()
    }

    fn orders() -> TopicRef {
        TopicRef::Name("orders".into())
    }

    #[test]
    fn a_topic_is_deleted_by_its_name_or_by_its_id() {
        let config = ServerConfig::default();
        for topic in [orders(), TopicRef::Id(TOPIC)] {
            assert_eq!(delete(&told(), &[topic], &config), [ErrorCode::None]);
        }
        let mut told = told();
        told.replay(MetadataRecord::RemoveTopic { topic: TOPIC });
        let errors = delete(&told, &[orders(), TopicRef::Id(TOPIC)], &config);
        assert_eq!(
            errors,
            [
                ErrorCode::UnknownTopicOrPartition,
                ErrorCode::UnknownTopicId
            ]
        );
        assert!(told.image.topics.is_empty());
    }

    #[test]
    fn a_topic_named_twice_is_not_deleted() {
        let twice = [orders(), TopicRef::Id(TOPIC)];
        let errors = delete(&told(), &twice, &ServerConfig::default());
        assert_eq!(errors, [ErrorCode::InvalidRequest; 2]);
    }

    #[test]
    fn where_deletion_is_disabled_no_topic_is_deleted() {
        let config = ServerConfig {
            delete_topic_enable: false,
            ..ServerConfig::default()
        };
        let errors = delete(&told(), &[orders()], &config);
        assert_eq!(errors, [ErrorCode::TopicDeletionDisabled]);
    }

    fn add(told: &Told, count: i32, by_hand: Option<&[&[i32]]>) -> (ErrorCode, usize) {
        let heartbeats = Heartbeats::new(Duration::secs(9), &told.image, Time(0));
        let assignments = by_hand.map(|a| a.iter().map(|r| nodes(r)).collect());
        let topic = CreatePartitionsTopic {
            name: "orders".into(),
            count,
            assignments,
        };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: 0,
            validate_only: false,
        };
        let decision = told
            .cluster()
            .create_partitions(&request, &heartbeats, &[7]);
        let error = decision.response.results[0].error_code;
        (error, decision.records.len())
    }

    #[test]
    fn partitions_can_only_become_more() {
        // K-23.
        assert_eq!(add(&told(), 1, None), (ErrorCode::InvalidPartitions, 0));
        assert_eq!(add(&told(), 0, None), (ErrorCode::InvalidPartitions, 0));
        assert_eq!(add(&told(), 3, None), (ErrorCode::None, 2));
    }

    #[test]
    fn replicas_of_new_partitions_by_hand_must_fit_their_number_and_those_there_are() {
        let refused = (ErrorCode::InvalidReplicaAssignment, 0);
        assert_eq!(add(&told(), 3, Some(&[&[1, 2, 3]])), refused);
        assert_eq!(add(&told(), 2, Some(&[&[1, 2]])), refused);
        assert_eq!(add(&told(), 2, Some(&[&[1, 2, 9]])), refused);
        assert_eq!(add(&told(), 2, Some(&[&[3, 2, 1]])), (ErrorCode::None, 1));
    }

    fn elect(told: &Told, how: ElectionType, named: bool) -> Vec<ErrorCode> {
        let request = ElectLeadersRequest {
            election_type: how,
            partitions: named.then(|| vec![("orders".into(), 0), ("other".into(), 0)]),
            timeout_ms: 0,
        };
        let decision = told.cluster().elect_leaders(&request);
        decision.response.results.iter().map(|r| r.2).collect()
    }

    #[test]
    fn an_election_of_all_partitions_is_silent_about_those_that_need_none() {
        let mut told = told();
        let (not_needed, unknown) = (
            ErrorCode::ElectionNotNeeded,
            ErrorCode::UnknownTopicOrPartition,
        );
        assert_eq!(
            elect(&told, ElectionType::Preferred, true),
            [not_needed, unknown]
        );
        assert_eq!(elect(&told, ElectionType::Preferred, false), []);
        told.change(Some(2), &[1, 2]);
        assert_eq!(
            elect(&told, ElectionType::Preferred, false),
            [ErrorCode::None]
        );
        assert_eq!(elect(&told, ElectionType::Unclean, false), []);
    }
}
