//! Topics that are created because somebody asked about them (K-25): Kafka's AutoTopicCreationManager.
//!
//! It keeps: a topic is asked for once at a time. Whoever asked about it is told UNKNOWN_TOPIC_OR_PARTITION, and asks again.
//!
//! Left out: internal topics (K-26), quotas, what became of a creation but for that it is over.

use crate::config::ServerConfig;
use crate::protocol::admin::{CreatableTopic, CreateTopicsRequest};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Topics whose creation is under way.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AutoTopics {
    under_way: BTreeSet<Arc<str>>,
}

impl AutoTopics {
    /// What to ask the controller for, of topics that are unknown here: this broker's defaults, but nothing that is under
    /// way already.
    pub fn begin(
        &mut self,
        unknown: Vec<Arc<str>>,
        config: &ServerConfig,
    ) -> Option<CreateTopicsRequest> {
        let factor = i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX);
        let mut topics = Vec::new();
        for name in unknown {
            if self.under_way.insert(name.clone()) {
                topics.push(CreatableTopic {
                    name,
                    num_partitions: Some(config.num_partitions),
                    replication_factor: Some(factor),
                    assignments: Vec::new(),
                    configs: Vec::new(),
                });
            }
        }
        (!topics.is_empty()).then_some(CreateTopicsRequest {
            topics,
            timeout_ms: config.request_timeout_ms,
            validate_only: false,
        })
    }

    /// It came to an end, whatever that is.
    pub fn end(&mut self, topics: &[Arc<str>]) {
        for topic in topics {
            self.under_way.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_asked_for_once_at_a_time_with_the_brokers_defaults() {
        let config = ServerConfig {
            num_partitions: 4,
            default_replication_factor: 2,
            ..ServerConfig::default()
        };
        let mut auto = AutoTopics::default();
        let orders: Vec<Arc<str>> = vec!["orders".into()];
        let request = auto.begin(orders.clone(), &config).expect("it is new");
        let topic = &request.topics[0];
        assert_eq!(
            (topic.num_partitions, topic.replication_factor),
            (Some(4), Some(2))
        );
        assert_eq!(auto.begin(orders.clone(), &config), None);
        auto.end(&orders);
        assert!(auto.begin(orders, &config).is_some());
    }
}
