//! librdkafka's producer, the client under Python, Go, C# and Node: what an application meets that comes from the Java one.
//!
//! It keeps: `produce` never blocks; a message counts against the local queue until its delivery report has been served by
//! a poll, and a full queue refuses the next one at once (`BufferError` in Python); messages for a topic that is not known
//! yet wait outside of all partitions; keys are placed by CRC-32 unless `partitioner` says otherwise, and messages without
//! a key stick to a partition for a time, not for a number of bytes; no idempotence and a million requests in flight by
//! default; a message may take 5 minutes; a retry goes back to where its age says, before younger messages.
//!
//! Left out: aliases of settings (`delivery.timeout.ms`, `queue.buffering.max.ms`, …); retried messages form the same
//! batches again, where librdkafka may mix them with others, and a batch ages as a whole; the backpressure threshold, the
//! gapless guarantee, statistics, errors for unknown topics after `topic.metadata.propagation.max.ms`, transactions. Its
//! connections and metadata behave as the Java client's, with librdkafka's times.

use super::batch::{TopicIndex, TopicPartition};
use super::config::{ConfigConflict, Placement, Settings};
use super::partitioner::murmur2;
use super::{ProducerRecord, SendId};
use crate::config::{Explicit, LibrdkafkaConfig, LibrdkafkaPartitioner, ProducerConfig};
use crate::log::codec::GzipLevel;
use crate::time::{Duration, Time};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// How much the local queue holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct QueueLimits {
    /// `queue.buffering.max.messages`; 0 is no limit.
    pub messages: u64,
    /// `queue.buffering.max.kbytes`, in bytes.
    pub bytes: u64,
    /// `batch.num.messages`.
    pub batch_messages: i32,
    /// `sticky.partitioning.linger.ms`; none draws for each message.
    pub sticky: Option<Duration>,
}

/// The local queue: what was taken and whose delivery report was not served.
#[derive(Clone, Debug, Serialize)]
pub struct LocalQueue {
    limits: QueueLimits,
    /// Bytes of each message.
    open: BTreeMap<SendId, u64>,
    bytes: u64,
    /// Messages for topics that are not known yet, with when they were taken.
    pub unassigned: VecDeque<(SendId, ProducerRecord, Time)>,
    sticky: BTreeMap<TopicIndex, (i32, Time)>,
}

impl LocalQueue {
    /// An empty one.
    pub fn new(limits: QueueLimits) -> LocalQueue {
        LocalQueue {
            limits,
            open: BTreeMap::new(),
            bytes: 0,
            unassigned: VecDeque::new(),
            sticky: BTreeMap::new(),
        }
    }

    /// Whether there is room for one more message of this size.
    pub fn has_room(&self, bytes: u64) -> bool {
        let count = self.open.len() as u64;
        let few = self.limits.messages == 0 || count < self.limits.messages;
        few && self.bytes + bytes <= self.limits.bytes
    }

    /// A message was taken.
    pub fn take(&mut self, send: SendId, bytes: u64) {
        self.open.insert(send, bytes);
        self.bytes += bytes;
    }

    /// Its delivery report was served.
    pub fn served(&mut self, send: SendId) {
        self.bytes -= self.open.remove(&send).unwrap_or_default();
    }

    /// The partition to which messages without a key stick for now, unless the next one must be drawn.
    pub fn sticky(&self, topic: TopicIndex, now: Time) -> Option<i32> {
        let linger = self.limits.sticky?;
        let (partition, since) = self.sticky.get(&topic)?;
        (now < *since + linger).then_some(*partition)
    }

    /// Sticks to a drawn partition.
    pub fn stick(&mut self, at: TopicPartition, now: Time) {
        self.sticky.insert(at.topic, (at.partition, now));
    }
}

/// The bytes that a message counts with: key and value.
pub fn message_bytes(record: &ProducerRecord) -> u64 {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, |b| b.len() as u64);
    length(&record.key) + length(&record.value)
}

/// Where a key goes; none leaves it to chance.
pub fn partition_for_key(
    partitioner: LibrdkafkaPartitioner,
    key: Option<&[u8]>,
    partitions: u32,
) -> Option<i32> {
    use LibrdkafkaPartitioner::*;
    let bytes = key.unwrap_or_default();
    let hash = match partitioner {
        Random => return None,
        ConsistentRandom if bytes.is_empty() => return None,
        Murmur2Random | Fnv1aRandom if key.is_none() => return None,
        Consistent | ConsistentRandom => crc32(bytes),
        Murmur2 | Murmur2Random => murmur2(bytes) & 0x7fff_ffff,
        Fnv1a | Fnv1aRandom => fnv1a(bytes),
    };
    Some(i32::try_from(hash % partitions).expect("partitions are numbered by i32"))
}

/// CRC-32 as in zip files.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// FNV-1a of 32 bits, and its absolute value as a signed number, as the Go client Sarama has it.
fn fnv1a(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    (hash as i32).unsigned_abs()
}

impl LibrdkafkaConfig {
    /// What the settings come to in the words of the Java client.
    pub fn in_java(&self) -> ProducerConfig {
        fn written<T>(value: T) -> Explicit<T> {
            Explicit {
                value,
                explicit: true,
            }
        }
        let in_flight = match self.enable_idempotence && !self.max_in_flight.explicit {
            true => 5,
            false => self.max_in_flight.value,
        };
        ProducerConfig {
            acks: written(self.acks),
            enable_idempotence: written(self.enable_idempotence),
            retries: written(self.retries),
            max_in_flight: in_flight,
            linger_ms: self.linger_ms,
            batch_size: self.batch_size,
            compression_type: self.compression_type,
            compression_gzip_level: GzipLevel::default(),
            buffer_memory: i64::MAX,
            max_block_ms: 0,
            request_timeout_ms: self.request_timeout_ms,
            delivery_timeout_ms: Explicit {
                value: match self.message_timeout_ms {
                    0 => i32::MAX,
                    ms => ms,
                },
                explicit: false,
            },
            max_request_size: self.message_max_bytes,
            retry_backoff_ms: self.retry_backoff_ms,
            retry_backoff_max_ms: self.retry_backoff_max_ms,
            reconnect_backoff_ms: self.reconnect_backoff_ms,
            reconnect_backoff_max_ms: self.reconnect_backoff_max_ms,
            metadata_max_age_ms: self.topic_metadata_refresh_interval_ms,
            connections_max_idle_ms: -1,
            socket_connection_setup_timeout_ms: self.socket_connection_setup_timeout_ms,
            socket_connection_setup_timeout_max_ms: self.socket_connection_setup_timeout_ms,
            ..ProducerConfig::default()
        }
    }
}

impl Settings {
    /// Checks librdkafka's settings and makes them ready for use.
    ///
    /// # Errors
    /// What its `rd_kafka_new` refuses.
    pub fn of_librdkafka(config: &LibrdkafkaConfig) -> Result<Settings, ConfigConflict> {
        let java = config.in_java();
        let mut settings = Settings::of(&java)?;
        let span = |ms: i32| Duration::millis(u64::try_from(ms).unwrap_or_default());
        // P-1 is Java's: a message may time out before an answer would.
        settings.delivery_timeout = span(java.delivery_timeout_ms.value);
        settings.network.request_timeout = span(config.socket_timeout_ms);
        settings.adaptive = false;
        settings.placement = Placement::Librdkafka(config.partitioner);
        let sticky = config.sticky_partitioning_linger_ms;
        let sticky = match sticky.explicit {
            true => sticky.value,
            false => i32::try_from(2 * config.linger_ms).unwrap_or(i32::MAX),
        };
        settings.queue = Some(QueueLimits {
            messages: u64::try_from(config.queue_buffering_max_messages).unwrap_or_default(),
            bytes: 1024 * u64::try_from(config.queue_buffering_max_kbytes).unwrap_or_default(),
            batch_messages: config.batch_num_messages.max(1),
            sticky: (sticky > 0).then(|| span(sticky)),
        });
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LibrdkafkaPartitioner::*;

    /// For each key its CRC-32, as zlib computes it, and its FNV-1a as librdkafka's own test has it.
    const HASHES: [(&str, u32, u32); 8] = [
        ("kafka", 0x5bbc7517, 0x0d33c4e1),
        ("giberish123456789", 0x7b3a8e3f, 0x77a58295),
        ("1234", 0x9be3e0a3, 0x023bdd03),
        ("234", 0x0d717969, 0x2dea3cd2),
        ("34", 0x9406837a, 0x740fa83e),
        ("4", 0xf3b61b38, 0x310ca263),
        (
            "PreAmbleWillBeRemoved,ThePrePartThatIs",
            0xddcba83a,
            0x65cbd69c,
        ),
        ("", 0x00000000, 0x7ee3623b),
    ];

    #[test]
    fn keys_hash_as_published() {
        for (key, crc, fnv) in HASHES {
            assert_eq!(crc32(key.as_bytes()), crc, "{key:?}");
            assert_eq!(fnv1a(key.as_bytes()), fnv, "{key:?}");
        }
    }

    #[test]
    fn the_same_key_goes_elsewhere_than_with_the_java_client_unless_murmur2_is_asked_for() {
        let placed = |partitioner| {
            let keys = ["key-0", "key-1", "key-2", "key-3"].map(str::as_bytes);
            keys.map(|key| partition_for_key(partitioner, Some(key), 3))
        };
        assert_eq!(placed(ConsistentRandom), [0, 2, 0, 2].map(Some));
        assert_eq!(placed(Fnv1aRandom), [0, 1, 2, 0].map(Some));
        let java = ["key-0", "key-1", "key-2", "key-3"]
            .map(|key| super::super::partitioner::partition_for_key(key.as_bytes(), 3));
        assert_eq!(placed(Murmur2Random), java.map(Some));
        assert_ne!(placed(ConsistentRandom), java.map(Some));
    }

    #[test]
    fn without_a_key_chance_decides_and_an_empty_key_is_one_but_for_crc() {
        let none = |p, key: Option<&[u8]>| partition_for_key(p, key, 7).is_none();
        for partitioner in [ConsistentRandom, Murmur2Random, Fnv1aRandom, Random] {
            assert!(none(partitioner, None), "{partitioner:?}");
        }
        for partitioner in [Consistent, Murmur2, Fnv1a] {
            assert!(!none(partitioner, None), "{partitioner:?}");
        }
        assert!(none(ConsistentRandom, Some(b"")));
        assert!(!none(Murmur2Random, Some(b"")));
        assert!(!none(Fnv1aRandom, Some(b"")));
    }

    #[test]
    fn the_defaults_are_librdkafkas() {
        let config = LibrdkafkaConfig::default();
        let s = Settings::of_librdkafka(&config).expect("defaults go together");
        assert!(!s.idempotent);
        assert_eq!(s.network.max_in_flight, 1_000_000);
        assert_eq!(s.delivery_timeout, Duration::secs(300));
        assert_eq!(s.batch_size, 1_000_000);
        assert_eq!(s.linger, Duration::millis(5));
        let queue = s.queue.expect("it has one");
        assert_eq!((queue.messages, queue.bytes), (100_000, 1 << 30));
        assert_eq!(queue.sticky, Some(Duration::millis(10)));
    }

    #[test]
    fn idempotence_takes_five_in_flight_unless_more_are_written() {
        let mut config = LibrdkafkaConfig {
            enable_idempotence: true,
            ..LibrdkafkaConfig::default()
        };
        let s = Settings::of_librdkafka(&config).expect("adjusted");
        assert_eq!((s.idempotent, s.network.max_in_flight), (true, 5));
        config.max_in_flight = Explicit {
            value: 6,
            explicit: true,
        };
        let refused = Settings::of_librdkafka(&config).expect_err("refused");
        assert_eq!(refused, ConfigConflict::IdempotenceNeedsFiveInFlight);
    }
}
