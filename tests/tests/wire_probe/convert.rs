//! From klab's messages to those of the crate `kafka-protocol`, and back. What both have is carried over; what only Kafka has
//! is left at the default of its schema.

use super::batches::Batches;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use klab_kafka::ids::*;
use klab_kafka::protocol::ErrorCode;
use klab_kafka::protocol::metadata::NodeEndpoint;
use klab_kafka::protocol::produce::LeaderIdAndEpoch;
use std::net::Ipv4Addr;
use std::sync::Arc;
use uuid::Uuid;

/// A message of klab's that has a counterpart.
pub trait Wire: Sized {
    /// The counterpart.
    type Kafka: Encodable + Decodable;
    /// As Kafka has it.
    fn to_kafka(&self) -> Self::Kafka;
    /// As klab has it; batches are recognised by their bytes.
    fn of_kafka(kafka: Self::Kafka, batches: &Batches) -> Self;
}

/// Where every address listens.
pub const PORT: u16 = 9092;

/// The metadata log's topic, which only the quorum's requests name.
pub const METADATA_NAME: &str = "__cluster_metadata";

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn name(text: &str) -> TopicName {
    TopicName(StrBytes::from_string(text.to_owned()))
}

pub fn arc(text: &StrBytes) -> Arc<str> {
    Arc::from(text.as_str())
}

pub fn topic(topic: TopicId) -> Uuid {
    Uuid::from_u128(topic.0)
}

pub fn topic_id(id: Uuid) -> TopicId {
    TopicId(id.as_u128())
}

/// A topic that Kafka names and klab knows by its id: its id in hexadecimal is its name.
pub fn named(topic: TopicId) -> TopicName {
    name(&format!("{:x}", { topic.0 }))
}

pub fn id_of(name: &TopicName) -> TopicId {
    TopicId(u128::from_str_radix(name.0.as_str(), 16).expect("written by named"))
}

pub fn error(code: i16) -> ErrorCode {
    let found = ErrorCode::ALL.iter().find(|e| e.code() == code);
    *found.expect("klab's own code")
}

pub fn node(id: BrokerId) -> NodeId {
    NodeId(id.0)
}

pub fn nodes(ids: &[NodeId]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(id.0)).collect()
}

pub fn of_nodes(ids: &[BrokerId]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId(id.0)).collect()
}

pub fn broker(id: Option<NodeId>) -> BrokerId {
    BrokerId(id.map_or(-1, |id| id.0))
}

pub fn of_broker(id: BrokerId) -> Option<NodeId> {
    (id.0 != -1).then_some(NodeId(id.0))
}

pub fn epoch(epoch: Option<LeaderEpoch>) -> i32 {
    epoch.map_or(-1, |epoch| epoch.0)
}

pub fn of_epoch(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}

pub fn offset(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, |offset| offset.0)
}

pub fn of_offset(offset: i64) -> Option<Offset> {
    (offset != -1).then_some(Offset(offset))
}

pub fn broker_epoch(epoch: Option<BrokerEpoch>) -> i64 {
    epoch.map_or(-1, |epoch| epoch.0)
}

pub fn of_broker_epoch(epoch: i64) -> Option<BrokerEpoch> {
    (epoch != -1).then_some(BrokerEpoch(epoch))
}

/// klab's addresses are numbers; Kafka's hosts are names.
pub fn host(address: Address) -> StrBytes {
    text(&Ipv4Addr::from(address.0).to_string())
}

pub fn address(host: &StrBytes) -> Address {
    let address: Ipv4Addr = host.as_str().parse().expect("written by host");
    Address(address.into())
}

pub fn leader(of: Option<LeaderIdAndEpoch>) -> (BrokerId, i32) {
    of.map_or((BrokerId(-1), -1), |l| {
        (BrokerId(l.leader_id.0), l.leader_epoch.0)
    })
}

/// A voter knows an epoch whose leader it does not know: that is -1 in klab too.
pub fn of_leader(id: BrokerId, epoch: i32) -> Option<LeaderIdAndEpoch> {
    (id.0 != -1 || epoch != -1).then_some(LeaderIdAndEpoch {
        leader_id: node(id),
        leader_epoch: LeaderEpoch(epoch),
    })
}

pub fn endpoint(node_id: BrokerId, host: &StrBytes, rack: Option<StrBytes>) -> NodeEndpoint {
    NodeEndpoint {
        node_id: node(node_id),
        address: address(host),
        rack: rack.as_ref().map(arc),
    }
}

/// Neighbours of one topic together, as Kafka's schemas have them.
pub fn by_topic<K: PartialEq, P>(all: impl IntoIterator<Item = (K, P)>) -> Vec<(K, Vec<P>)> {
    let mut grouped: Vec<(K, Vec<P>)> = Vec::new();
    for (topic, partition) in all {
        match grouped.last_mut() {
            Some((last, partitions)) if *last == topic => partitions.push(partition),
            _ => grouped.push((topic, vec![partition])),
        }
    }
    grouped
}
