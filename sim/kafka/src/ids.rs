//! Newtypes for what must not be mixed, with Kafka's names.
//!
//! Offsets are half-open: an *end offset* is the next offset to be written.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;
use std::fmt;

/// Written as the numbers that they are, as serde's own derive would write them, but in the place where it is asked for: these
/// stand in every record of a trace.
macro_rules! written_in_place {
    ($($name:ident)*) => {
        $(impl Serialize for $name {
            #[inline]
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_newtype_struct(stringify!($name), &{ self.0 })
            }
        })*
    };
}

written_in_place!(NodeId Offset LeaderEpoch TopicId ConnId CorrelationId);

/// Kafka's node id: brokers count from 1, controllers from 3001.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct NodeId(pub i32);

/// A position in a log. `Offset(-1)` never stands for "none": that is an `Option`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset `n` further on.
    pub fn plus(self, n: i64) -> Offset {
        Offset(self.0 + n)
    }
}

/// Counts the leaders of one partition (or of the metadata quorum). -1 on the wire is `None` here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// The epoch of the next leader.
    pub fn next(self) -> LeaderEpoch {
        LeaderEpoch(self.0 + 1)
    }
}

/// Counts the changes of one partition's registration: every ISR, leader or replica change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct PartitionEpoch(pub i32);

/// The next metadata offset when a broker's registration was decided (K-14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct BrokerEpoch(pub i64);

/// Which producer session wrote a batch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ProducerId(pub i64);

/// Fences older incarnations of the same producer id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct ProducerEpoch(pub i16);

/// A topic's UUID: a topic created again under the same name has another one. It stands in most messages and facts, which would
/// be a third larger if all of them had to begin where a 128-bit number would like to.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct TopicId(pub u128);

/// The topic id of the KRaft metadata log.
pub const METADATA_TOPIC: TopicId = TopicId(1);

/// The one partition of the metadata log.
pub const METADATA_PARTITION: TopicIdPartition = TopicIdPartition {
    topic: METADATA_TOPIC,
    partition: 0,
};

/// One partition, by topic id: Kafka's TopicIdPartition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TopicIdPartition {
    /// The topic's UUID.
    pub topic: TopicId,
    /// The partition, from 0.
    pub partition: i32,
}

/// New for every start of a process (K-14): the controller tells a restart from a retry by it. Packed as a [`TopicId`] is.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct IncarnationId(pub u128);

/// Where a process listens: opaque, as host and port are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Address(pub u32);

/// One connection, at either end. Never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct ConnId(pub u64);

/// Pairs a response with its request on one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct CorrelationId(pub u32);

/// One client inside an application process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ClientId(pub u16);

/// What an application calls its own record, beside its bytes. Opaque to Kafka's code, which carries it along.
/// The same id sent twice is the same fact written twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
pub struct RecordId {
    /// The application that made it.
    pub source: u32,
    /// Its number there, from 0.
    pub number: u32,
}

/// The records of a batch, which often are one or two: then they take no memory of their own.
pub type RecordIds = SmallVec<[RecordId; 2]>;

/// As serde's own derive would, but in place: a batch has one per record.
impl Serialize for RecordId {
    #[inline]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("RecordId", 2)?;
        fields.serialize_field("source", &self.source)?;
        fields.serialize_field("number", &self.number)?;
        fields.end()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
