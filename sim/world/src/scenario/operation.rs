//! What an operator asks of the cluster in a step, through a client of their own.

use super::tree::Node;
use crate::scenario::selector::TopicPartition;
use klab_kafka::client::admin::calls::Ask;
use klab_kafka::ids::NodeId;
use klab_kafka::protocol::admin::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Changes configs.
    AlterConfig {
        /// Whose.
        of: ConfigOf,
        /// Key and new value; none deletes.
        config: BTreeMap<Arc<str>, Option<Arc<str>>>,
    },
    /// Describes configs.
    DescribeConfig(ConfigOf),
    /// Creates a topic.
    CreateTopic {
        /// Its name.
        name: Arc<str>,
        /// How many partitions; none leaves it to the cluster.
        partitions: Option<i32>,
        /// How many replicas; none leaves it to the cluster.
        replication_factor: Option<i16>,
        /// Replicas by hand, instead of both.
        replicas: Vec<Vec<NodeId>>,
        /// Its configs.
        config: BTreeMap<Arc<str>, Arc<str>>,
        /// Nothing is created, only looked at.
        validate_only: bool,
    },
    /// Deletes a topic by its name.
    DeleteTopic(Arc<str>),
    /// Gives a topic more partitions.
    AddPartitions {
        /// The topic.
        topic: Arc<str>,
        /// How many it shall have.
        count: i32,
        /// Replicas of the new ones by hand.
        replicas: Option<Vec<Vec<NodeId>>>,
        /// Nothing is created, only looked at.
        validate_only: bool,
    },
    /// Elects leaders.
    ElectLeaders {
        /// From outside the ISR if need be, and only where there is no leader; else the preferred replica.
        unclean: bool,
        /// Of which partitions; none for all.
        partitions: Option<Vec<TopicPartition>>,
    },
}

/// Whose configs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ConfigOf {
    /// A topic's.
    Topic(Arc<str>),
    /// A broker's.
    Broker(NodeId),
    /// The default of all brokers.
    Brokers,
}

impl ConfigOf {
    fn resource(&self) -> ConfigResource {
        match self {
            ConfigOf::Topic(name) => ConfigResource::Topic(name.clone()),
            ConfigOf::Broker(node) => ConfigResource::Broker(*node),
            ConfigOf::Brokers => ConfigResource::AllBrokers,
        }
    }

    fn entry(&self) -> (&'static str, Option<Node>) {
        match self {
            ConfigOf::Topic(name) => ("topic", Some(Node::text(&**name))),
            ConfigOf::Broker(node) => ("broker", Some(Node::number(node.0))),
            ConfigOf::Brokers => ("broker", Some(Node::text("all"))),
        }
    }
}

impl Operation {
    /// The call of the admin client.
    pub fn ask(&self) -> Ask {
        match self.clone() {
            Operation::AlterConfig { of, config } => {
                let change = AlterConfigsResource {
                    resource: of.resource(),
                    configs: config.into_iter().collect(),
                };
                Ask::AlterConfigs(vec![change], false)
            }
            Operation::DescribeConfig(of) => Ask::DescribeConfigs(vec![of.resource()]),
            Operation::CreateTopic {
                name,
                partitions,
                replication_factor,
                replicas,
                config,
                validate_only,
            } => {
                let topic = CreatableTopic {
                    name,
                    num_partitions: partitions,
                    replication_factor,
                    assignments: replicas,
                    configs: config.into_iter().collect(),
                };
                Ask::CreateTopics(vec![topic], validate_only)
            }
            Operation::DeleteTopic(name) => Ask::DeleteTopics(vec![TopicRef::Name(name)]),
            Operation::AddPartitions {
                topic,
                count,
                replicas,
                validate_only,
            } => {
                let topic = CreatePartitionsTopic {
                    name: topic,
                    count,
                    assignments: replicas,
                };
                Ask::CreatePartitions(vec![topic], validate_only)
            }
            Operation::ElectLeaders {
                unclean,
                partitions,
            } => {
                let election = match unclean {
                    true => ElectionType::Unclean,
                    false => ElectionType::Preferred,
                };
                let named = |tp: TopicPartition| (tp.topic, tp.partition);
                let partitions = partitions.map(|all| all.into_iter().map(named).collect());
                Ask::ElectLeaders(election, partitions)
            }
        }
    }

    /// The verb and its object, as a file has them.
    pub fn to_node(&self) -> Node {
        let text = |value: &Arc<str>| Node::text(&**value);
        let (verb, object) = match self {
            Operation::AlterConfig { of, config } => {
                let value = |v: &Option<Arc<str>>| Some(v.as_ref().map_or(Node::null(), setting));
                let config = config.iter().map(|(name, v)| (&**name, value(v)));
                let entries = [of.entry()].into_iter().chain(config);
                ("alter-config", Node::map(entries))
            }
            Operation::DescribeConfig(of) => ("describe-config", Node::map([of.entry()])),
            Operation::CreateTopic {
                name,
                partitions,
                replication_factor,
                replicas,
                config,
                validate_only,
            } => {
                let config = config.iter().map(|(k, v)| (&**k, Some(setting(v))));
                let object = Node::map([
                    ("topic", Some(text(name))),
                    ("partitions", partitions.map(Node::number)),
                    ("replication.factor", replication_factor.map(Node::number)),
                    ("replicas", (!replicas.is_empty()).then(|| lists(replicas))),
                    ("config", Some(Node::map(config))),
                    ("validate-only", Some(Node::bool(*validate_only))),
                ]);
                ("create-topic", object)
            }
            Operation::DeleteTopic(name) => ("delete-topic", text(name)),
            Operation::AddPartitions {
                topic,
                count,
                replicas,
                validate_only,
            } => {
                let object = Node::map([
                    ("topic", Some(text(topic))),
                    ("count", Some(Node::number(*count))),
                    ("replicas", replicas.as_deref().map(lists)),
                    ("validate-only", Some(Node::bool(*validate_only))),
                ]);
                ("add-partitions", object)
            }
            Operation::ElectLeaders {
                unclean,
                partitions,
            } => {
                let election = if *unclean { "unclean" } else { "preferred" };
                let names = |all: &Vec<TopicPartition>| {
                    Node::list(all.iter().map(|tp| Node::text(tp.to_string())))
                };
                let object = Node::map([
                    ("election", Some(Node::text(election))),
                    ("partitions", partitions.as_ref().map(names)),
                ]);
                ("elect-leaders", object)
            }
        };
        Node::map([(verb, Some(object))])
    }
}

/// A setting as a number or a truth where it is one.
fn setting(value: &Arc<str>) -> Node {
    super::encode::setting(value)
}

fn lists(replicas: &[Vec<NodeId>]) -> Node {
    let one = |nodes: &Vec<NodeId>| Node::list(nodes.iter().map(|n| Node::number(n.0)));
    Node::list(replicas.iter().map(one))
}
