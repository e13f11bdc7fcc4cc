//! Changes of configs: IncrementalAlterConfigs as the controller sees it. Kafka's ConfigurationControlManager with its
//! ControllerConfigurationValidator. The keys of brokers were looked at by the broker that forwards: only it knows what it
//! takes at runtime.
//!
//! Left out: the older AlterConfigs, policies, clearing eligible leader replicas with `min.insync.replicas` (R-31: era 4.0).

use crate::config::layers::check;
use crate::config::{Configs, TopicConfig};
use crate::controller::cluster::Cluster;
use crate::controller::records::MetadataRecord;
use crate::decision::Decision;
use crate::protocol::ErrorCode;
use crate::protocol::admin::{
    AlterConfigsResource, AlterConfigsResult, ConfigResource, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use std::sync::Arc;

/// An error and the controller's words.
pub type Refusal = (ErrorCode, &'static str);

impl Cluster<'_> {
    /// Changes configs, each resource's wholly or not at all.
    pub fn alter_configs(
        &self,
        r: &IncrementalAlterConfigsRequest,
    ) -> Decision<MetadataRecord, IncrementalAlterConfigsResponse> {
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for resource in &r.resources {
            let changes = self.alter_resource(resource);
            let refusal = changes.as_ref().err().copied();
            responses.push(result(resource.resource.clone(), refusal));
            records.extend(changes.into_iter().flatten());
        }
        if r.validate_only {
            records.clear();
        }
        Decision::new(records, IncrementalAlterConfigsResponse { responses })
    }

    /// The values first, then whether there is such a resource.
    fn alter_resource(&self, r: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, Refusal> {
        match &r.resource {
            ConfigResource::Topic(name) => {
                check_topic_configs(&r.configs)?;
                if !self.image.names.contains_key(name) {
                    return Err((
                        ErrorCode::UnknownTopicOrPartition,
                        "There is no such topic.",
                    ));
                }
            }
            ConfigResource::Broker(broker) if !self.image.brokers.contains_key(broker) => {
                return Err((
                    ErrorCode::BrokerIdNotRegistered,
                    "No broker with that id is registered.",
                ));
            }
            ConfigResource::Broker(_) | ConfigResource::AllBrokers => {}
        }
        let changes = r.configs.iter().filter(|(key, value)| match &r.resource {
            ConfigResource::Topic(topic) => self.topic_value(topic, key) != value.as_deref(),
            // Brokers load again what they had, should they have missed it (KAFKA-14136).
            ConfigResource::Broker(_) | ConfigResource::AllBrokers => true,
        });
        let record = |(key, value): &(Arc<str>, Option<Arc<str>>)| MetadataRecord::Config {
            resource: r.resource.clone(),
            key: key.clone(),
            value: value.clone(),
        };
        Ok(changes.map(record).collect())
    }

    fn topic_value(&self, topic: &str, key: &str) -> Option<&str> {
        let own = &self.image.topics.get(self.image.names.get(topic)?)?.own;
        own.get(key).map(|value| &**value)
    }
}

/// Every key is one of a topic's, and every value one of its key.
///
/// # Errors
/// INVALID_CONFIG.
pub fn check_topic_configs(configs: &[(Arc<str>, Option<Arc<str>>)]) -> Result<(), Refusal> {
    for (key, value) in configs {
        let is_known = TopicConfig::KEYS.iter().any(|k| k.name == &**key);
        let checked = match value {
            Some(value) => check::<TopicConfig>(key, value),
            None if is_known => Ok(()),
            None => Err("Unknown topic config name."),
        };
        checked.map_err(|words| (ErrorCode::InvalidConfig, words))?;
    }
    Ok(())
}

/// What became of one resource.
pub fn result(resource: ConfigResource, refusal: Option<Refusal>) -> AlterConfigsResult {
    AlterConfigsResult {
        resource,
        error_code: refusal.map_or(ErrorCode::None, |(error, _)| error),
        error_message: refusal.map(|(_, words)| words.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerConfig;
    use crate::config::layers::Layers;
    use crate::controller::fixture::{TOPIC, Told};
    use crate::ids::NodeId;

    fn alter(
        told: &Told,
        resource: ConfigResource,
        key: &str,
        value: Option<&str>,
    ) -> Decision<MetadataRecord, IncrementalAlterConfigsResponse> {
        let configs = vec![(Arc::from(key), value.map(Arc::from))];
        told.cluster()
            .alter_configs(&IncrementalAlterConfigsRequest {
                resources: vec![AlterConfigsResource { resource, configs }],
                validate_only: false,
            })
    }

    fn orders() -> ConfigResource {
        ConfigResource::Topic("orders".into())
    }

    fn error(decision: &Decision<MetadataRecord, IncrementalAlterConfigsResponse>) -> ErrorCode {
        decision.response.responses[0].error_code
    }

    #[test]
    fn a_topics_configs_are_recorded_only_where_they_change() {
        let mut told = Told::with_brokers(3).with_topic(&[1]);
        let key = "min.insync.replicas";
        let set = alter(&told, orders(), key, Some("2"));
        told.replay_all(&set.records);
        let value = |told: &Told| told.image.topics[&TOPIC].config.min_insync_replicas.0;
        assert_eq!(value(&told), Some(2));
        assert!(alter(&told, orders(), key, Some("2")).records.is_empty());
        let reset = alter(&told, orders(), key, None);
        told.replay_all(&reset.records);
        assert_eq!(value(&told), None);
    }

    #[test]
    fn unknown_keys_and_values_out_of_range_are_refused_before_the_topic_is_looked_for() {
        let told = Told::with_brokers(1);
        let refused = |key, value| error(&alter(&told, orders(), key, value));
        assert_eq!(refused("no.such.key", Some("1")), ErrorCode::InvalidConfig);
        assert_eq!(refused("no.such.key", None), ErrorCode::InvalidConfig);
        assert_eq!(
            refused("min.insync.replicas", Some("0")),
            ErrorCode::InvalidConfig
        );
        assert_eq!(
            refused("min.insync.replicas", Some("1")),
            ErrorCode::UnknownTopicOrPartition
        );
    }

    #[test]
    fn a_brokers_configs_are_recorded_even_if_nothing_changes_and_need_a_registered_broker() {
        let mut told = Told::with_brokers(1);
        let (key, broker) = ("message.max.bytes", ConfigResource::Broker(NodeId(1)));
        for _ in 0..2 {
            let set = alter(&told, broker.clone(), key, Some("2000"));
            assert_eq!(set.records.len(), 1);
            told.replay_all(&set.records);
        }
        let layers = Layers {
            fixed: &ServerConfig::default(),
            dynamic: &told.image.dynamic,
            node: NodeId(1),
        };
        assert_eq!(layers.effective().message_max_bytes, 2_000);
        let unknown = alter(&told, ConfigResource::Broker(NodeId(9)), key, Some("1"));
        assert_eq!(error(&unknown), ErrorCode::BrokerIdNotRegistered);
    }

    #[test]
    fn what_is_only_validated_changes_nothing() {
        let told = Told::with_brokers(3).with_topic(&[1]);
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource: orders(),
                configs: vec![("min.insync.replicas".into(), Some("2".into()))],
            }],
            validate_only: true,
        };
        let decision = told.cluster().alter_configs(&request);
        assert_eq!(
            (error(&decision), decision.records.len()),
            (ErrorCode::None, 0)
        );
    }
}
