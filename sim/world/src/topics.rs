//! The topics at one moment, as `kafka-topics.sh --describe` of Kafka 4.2 prints them: what one broker knows.
//!
//! The order of topics and of configs is Java's: the tool prints them as they lie in hash maps.
//! Left out: its filters, reassignments in progress. Eligible leader replicas are off (era 4.0), so that their lists are empty.

use crate::process::{Process, ProcessId};
use crate::view::View;
use klab_kafka::broker::Broker;
use klab_kafka::config::layers::Source;
use klab_kafka::controller::image::TopicImage;
use klab_kafka::controller::records::PartitionRegistration;
use klab_kafka::ids::{NodeId, TopicId};
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// All topics that a broker knows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Topics {
    /// In the order of the tool.
    pub topics: Vec<Topic>,
}

/// One topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Topic {
    /// Its name.
    pub topic: Arc<str>,
    /// Its id, as Kafka writes it.
    pub topic_id: String,
    /// How many replicas its first partition has.
    pub replication_factor: u64,
    /// What somebody has set, topic or broker, in the order of the tool.
    pub configs: Vec<(&'static str, Arc<str>)>,
    /// By number.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Partition {
    /// Its number.
    pub partition: i32,
    /// Its leader, if it has one that is registered.
    pub leader: Option<NodeId>,
    /// In assignment order.
    pub replicas: Vec<NodeId>,
    /// Those in sync.
    pub isr: Vec<NodeId>,
}

/// What a broker would answer; without a name the first that runs and knows the metadata.
pub fn describe(view: View<'_>, asked: Option<ProcessId>) -> Option<Topics> {
    let knows = |(p, machine): (ProcessId, &'_ crate::process::Machine)| match &machine.process {
        Some(Process::Broker(b)) if asked.is_none_or(|a| a == p) => Some((**b).clone()),
        _ => None,
    };
    let broker = view
        .machines()
        .filter_map(knows)
        .find(|b| b.image().end.0 > 0)?;
    let mut topics: Vec<Topic> = broker
        .image()
        .topics
        .iter()
        .map(|(id, topic)| describe_topic(*id, topic, &broker))
        .collect();
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    let capacity = capacity(topics.len(), topics.len());
    topics.sort_by_key(|t| bucket(&t.topic, capacity));
    Some(Topics { topics })
}

fn describe_topic(id: TopicId, topic: &TopicImage, broker: &Broker) -> Topic {
    let all = broker.describe_topic(topic);
    let set = all.into_iter().filter(|c| c.source != Source::Default);
    let mut configs: Vec<_> = set.map(|c| (c.name, c.value)).collect();
    // The tool's map holds every config of a topic: between 25 and 48, and so 64 buckets.
    configs.sort_by_key(|(name, _)| bucket(name, 64));
    let partition = |(number, p): (&i32, &PartitionRegistration)| Partition {
        partition: *number,
        leader: p.leader.filter(|l| broker.image().brokers.contains_key(l)),
        replicas: p.replicas.clone(),
        isr: p.isr.clone(),
    };
    let partitions: Vec<Partition> = topic.partitions.iter().map(partition).collect();
    Topic {
        topic: topic.name.clone(),
        topic_id: base64(id),
        replication_factor: partitions.first().map_or(0, |p| p.replicas.len() as u64),
        configs,
        partitions,
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for topic in &self.topics {
            write!(f, "{topic}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configs: Vec<String> = self
            .configs
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        writeln!(
            f,
            "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            self.topic,
            self.topic_id,
            self.partitions.len(),
            self.replication_factor,
            configs.join(","),
        )?;
        for p in &self.partitions {
            let leader = p.leader.map_or("none".into(), |l| l.0.to_string());
            writeln!(
                f,
                "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: \tLastKnownElr: ",
                self.topic,
                p.partition,
                list(&p.replicas),
                list(&p.isr),
            )?;
        }
        Ok(())
    }
}

fn list(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(|n| n.0.to_string()).collect();
    numbers.join(",")
}

/// Kafka's Uuid.toString: 22 characters of URL-safe Base64.
fn base64(id: TopicId) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |at: u32| {
        // 128 bits in groups of six from the left; the last group has two, and four zeros.
        let bits = if at == 21 {
            id.0 << 4
        } else {
            id.0 >> (122 - 6 * at)
        };
        let digit = usize::try_from(bits & 63).expect("six bits");
        char::from(DIGITS[digit])
    };
    (0..22).map(digit).collect()
}

/// The table of a Java HashMap that was made for `expected` entries and holds `len`.
fn capacity(expected: usize, len: usize) -> u32 {
    let mut capacity = expected.max(1).next_power_of_two();
    while len * 4 > capacity * 3 {
        capacity *= 2;
    }
    u32::try_from(capacity).expect("a run has few topics")
}

/// Where a text lies in a Java HashMap.
fn bucket(text: &str, capacity: u32) -> u32 {
    let hash = text
        .encode_utf16()
        .fold(0u32, |h, c| h.wrapping_mul(31).wrapping_add(u32::from(c)));
    (hash ^ (hash >> 16)) & (capacity - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_written_as_kafka_writes_it() {
        assert_eq!(base64(TopicId(0)), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64(TopicId(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64(TopicId(u128::MAX)), "_____________________w");
    }

    #[test]
    fn texts_lie_in_a_hash_map_as_in_java() {
        // "Aa" and "BB" have the same hash, 2112.
        assert_eq!(bucket("Aa", 64), bucket("BB", 64));
        assert_eq!(bucket("Aa", 1 << 16), 2112);
        assert_eq!(bucket("", 16), 0);
        assert_eq!((capacity(3, 3), capacity(4, 4), capacity(1, 1)), (4, 8, 2));
    }

    #[test]
    fn the_lines_are_the_tools() {
        let topic = Topic {
            topic: "orders".into(),
            topic_id: base64(TopicId(1)),
            replication_factor: 3,
            configs: vec![("min.insync.replicas", "2".into())],
            partitions: vec![Partition {
                partition: 0,
                leader: None,
                replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
                isr: vec![NodeId(3)],
            }],
        };
        assert_eq!(
            topic.to_string(),
            "Topic: orders\tTopicId: AAAAAAAAAAAAAAAAAAAAAQ\tPartitionCount: 1\tReplicationFactor: 3\tConfigs: min.insync.replicas=2\n\
             \tTopic: orders\tPartition: 0\tLeader: none\tReplicas: 1,2,3\tIsr: 3\tElr: \tLastKnownElr: \n"
        );
    }
}
