//! Kafka's config keys as tables: name, type, unit, Kafka's default and a sentence. Decoders, reference pages and
//! lessons read the table; code reads the field.

pub mod layers;
mod values;

pub use values::{CleanupPolicy, Ratio};

use crate::log::batch::TimestampType;
use crate::log::codec::{Codec, GzipLevel, TopicCompression};
use serde::Serialize;

/// One row of a table of configs.
pub struct ConfigKey<C> {
    /// Kafka's spelling.
    pub name: &'static str,
    /// What may be written: "a number", "true or false", ….
    pub expects: &'static str,
    /// "ms", "bytes", or empty.
    pub unit: &'static str,
    /// What it does.
    pub sentence: &'static str,
    /// Takes a value in text.
    pub set: fn(&mut C, &str) -> Result<(), ()>,
    /// The value in text.
    pub get: fn(&C) -> String,
    /// Back to the default.
    pub reset: fn(&mut C),
}

/// Why a config was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// No such key in this table.
    UnknownKey,
    /// Not a value of this key.
    Invalid {
        /// What would do.
        expects: &'static str,
    },
}

/// A struct of configs with its table.
pub trait Configs: Default + Sized + 'static {
    /// The rows, in the order of the struct.
    const KEYS: &'static [ConfigKey<Self>];

    /// Sets a key from text.
    ///
    /// # Errors
    /// An unknown key or a value that does not fit.
    fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let key = Self::KEYS
            .iter()
            .find(|k| k.name == name)
            .ok_or(ConfigError::UnknownKey)?;
        (key.set)(self, value).map_err(|()| ConfigError::Invalid {
            expects: key.expects,
        })
    }

    /// Sets a key back to its default; an unknown key is left alone.
    fn reset(&mut self, name: &str) {
        if let Some(key) = Self::KEYS.iter().find(|k| k.name == name) {
            (key.reset)(self);
        }
    }
}

/// A type that a config can have.
pub trait ConfigValue: Sized {
    /// What may be written.
    const EXPECTS: &'static str;
    /// From text.
    fn parse(text: &str) -> Option<Self>;
    /// To text.
    fn show(&self) -> String;
}

impl ConfigValue for bool {
    const EXPECTS: &'static str = "true or false";
    fn parse(text: &str) -> Option<bool> {
        match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl ConfigValue for i32 {
    const EXPECTS: &'static str = "a whole number below 2^31";
    fn parse(text: &str) -> Option<i32> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl ConfigValue for i64 {
    const EXPECTS: &'static str = "a whole number below 2^63";
    fn parse(text: &str) -> Option<i64> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// Values of `acks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Acks {
    /// No answer at all.
    Zero,
    /// The leader has it.
    One,
    /// All in-sync replicas have it.
    All,
}

impl Acks {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        match self {
            Acks::Zero => 0,
            Acks::One => 1,
            Acks::All => -1,
        }
    }
}

impl ConfigValue for Acks {
    const EXPECTS: &'static str = "\"all\", \"1\" or \"0\"";
    fn parse(text: &str) -> Option<Acks> {
        match text {
            "all" | "-1" => Some(Acks::All),
            "1" => Some(Acks::One),
            "0" => Some(Acks::Zero),
            _ => None,
        }
    }
    fn show(&self) -> String {
        match self {
            Acks::Zero => "0",
            Acks::One => "1",
            Acks::All => "all",
        }
        .into()
    }
}

impl ConfigValue for TimestampType {
    const EXPECTS: &'static str = "\"CreateTime\" or \"LogAppendTime\"";
    fn parse(text: &str) -> Option<TimestampType> {
        match text {
            "CreateTime" => Some(TimestampType::CreateTime),
            "LogAppendTime" => Some(TimestampType::LogAppendTime),
            _ => None,
        }
    }
    fn show(&self) -> String {
        match self {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        }
        .into()
    }
}

/// Values of `partitioner.class`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Partitioner {
    /// By key, else sticky (P-3, P-4).
    BuiltIn,
    /// One partition after the other.
    RoundRobin,
}

impl ConfigValue for Partitioner {
    const EXPECTS: &'static str =
        "\"null\" or \"org.apache.kafka.clients.producer.RoundRobinPartitioner\"";
    fn parse(text: &str) -> Option<Partitioner> {
        match text {
            "null" => Some(Partitioner::BuiltIn),
            "org.apache.kafka.clients.producer.RoundRobinPartitioner" | "RoundRobinPartitioner" => {
                Some(Partitioner::RoundRobin)
            }
            _ => None,
        }
    }
    fn show(&self) -> String {
        match self {
            Partitioner::BuiltIn => "null",
            Partitioner::RoundRobin => "org.apache.kafka.clients.producer.RoundRobinPartitioner",
        }
        .into()
    }
}

/// Values of librdkafka's `partitioner`. Those that say random leave to chance what has no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum LibrdkafkaPartitioner {
    /// By chance.
    Random,
    /// CRC-32.
    Consistent,
    /// CRC-32; an empty key is none: the default.
    ConsistentRandom,
    /// The hash of the Java client.
    Murmur2,
    /// The hash of the Java client.
    Murmur2Random,
    /// The hash of the Go client Sarama.
    Fnv1a,
    /// The hash of the Go client Sarama.
    Fnv1aRandom,
}

/// Their names.
const LIBRDKAFKA_PARTITIONERS: [(LibrdkafkaPartitioner, &str); 7] = [
    (LibrdkafkaPartitioner::Random, "random"),
    (LibrdkafkaPartitioner::Consistent, "consistent"),
    (LibrdkafkaPartitioner::ConsistentRandom, "consistent_random"),
    (LibrdkafkaPartitioner::Murmur2, "murmur2"),
    (LibrdkafkaPartitioner::Murmur2Random, "murmur2_random"),
    (LibrdkafkaPartitioner::Fnv1a, "fnv1a"),
    (LibrdkafkaPartitioner::Fnv1aRandom, "fnv1a_random"),
];

impl ConfigValue for LibrdkafkaPartitioner {
    const EXPECTS: &'static str = "\"consistent_random\", \"consistent\", \"murmur2_random\", \"murmur2\", \"fnv1a_random\", \"fnv1a\" or \"random\"";
    fn parse(text: &str) -> Option<LibrdkafkaPartitioner> {
        let mut known = LIBRDKAFKA_PARTITIONERS.iter();
        known.find(|(_, name)| *name == text).map(|(p, _)| *p)
    }
    fn show(&self) -> String {
        let known = LIBRDKAFKA_PARTITIONERS.iter().find(|(p, _)| p == self);
        known.expect("all are listed").1.into()
    }
}

/// Values of `auto.offset.reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum OffsetReset {
    /// To the log start offset.
    Earliest,
    /// To the end.
    Latest,
    /// Tell the application.
    None,
    /// To the first record that is at most so many ms old (KIP-1106).
    ByDuration(i64),
}

impl ConfigValue for OffsetReset {
    const EXPECTS: &'static str =
        "\"earliest\", \"latest\", \"none\" or a duration such as \"by_duration:PT1H\"";
    fn parse(text: &str) -> Option<OffsetReset> {
        match text {
            "earliest" => Some(OffsetReset::Earliest),
            "latest" => Some(OffsetReset::Latest),
            "none" => Some(OffsetReset::None),
            _ => {
                let duration = text.strip_prefix("by_duration:")?;
                values::iso_millis(duration).map(OffsetReset::ByDuration)
            }
        }
    }
    fn show(&self) -> String {
        match self {
            OffsetReset::Earliest => "earliest",
            OffsetReset::Latest => "latest",
            OffsetReset::None => "none",
            OffsetReset::ByDuration(ms) => return values::by_duration(*ms),
        }
        .into()
    }
}

/// A setting that knows whether somebody set it: Kafka treats some defaults differently from the same value written down (P-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Explicit<T> {
    /// The value in force.
    pub value: T,
    /// Whether it was written down.
    pub explicit: bool,
}

impl<T: ConfigValue> ConfigValue for Explicit<T> {
    const EXPECTS: &'static str = T::EXPECTS;
    fn parse(text: &str) -> Option<Explicit<T>> {
        T::parse(text).map(|value| Explicit {
            value,
            explicit: true,
        })
    }
    fn show(&self) -> String {
        self.value.show()
    }
}

/// A default that nobody wrote down.
const fn unset<T>(value: T) -> Explicit<T> {
    Explicit {
        value,
        explicit: false,
    }
}

macro_rules! config {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $default:expr, $key:literal, $unit:literal, $sentence:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Serialize)]
        pub struct $name { $(#[doc = $sentence] pub $field: $type,)* }

        impl Default for $name {
            fn default() -> $name { $name { $($field: $default,)* } }
        }

        impl Configs for $name {
            const KEYS: &'static [ConfigKey<$name>] = &[$(ConfigKey {
                name: $key,
                expects: <$type as ConfigValue>::EXPECTS,
                unit: $unit,
                sentence: $sentence,
                set: |c, text| { c.$field = <$type as ConfigValue>::parse(text).ok_or(())?; Ok(()) },
                get: |c| c.$field.show(),
                reset: |c| c.$field = $default,
            },)*];
        }
    };
}

config! {
    /// Settings of a broker and of a controller.
    ServerConfig {
        replica_lag_time_max_ms: i64 = 30_000, "replica.lag.time.max.ms", "ms", "A follower that has not caught up for so long leaves the ISR.";
        replica_fetch_wait_max_ms: i32 = 500, "replica.fetch.wait.max.ms", "ms", "How long a follower's fetch waits for data.";
        replica_fetch_min_bytes: i32 = 1, "replica.fetch.min.bytes", "bytes", "A follower's fetch is answered at once with so much data.";
        replica_fetch_max_bytes: i32 = 1_048_576, "replica.fetch.max.bytes", "bytes", "Softly, the most a follower fetches of one partition.";
        replica_fetch_response_max_bytes: i32 = 10_485_760, "replica.fetch.response.max.bytes", "bytes", "Softly, the most a follower fetches at once.";
        fetch_max_bytes: i32 = 57_671_680, "fetch.max.bytes", "bytes", "Softly, the most a broker returns of any fetch.";
        replica_fetch_backoff_ms: i32 = 1_000, "replica.fetch.backoff.ms", "ms", "How long a partition waits after a fetch error.";
        replica_socket_timeout_ms: i32 = 30_000, "replica.socket.timeout.ms", "ms", "How long a follower waits for the answer to a fetch.";
        replica_high_watermark_checkpoint_interval_ms: i64 = 5_000, "replica.high.watermark.checkpoint.interval.ms", "ms", "How often high watermarks are written to disk.";
        log_flush_offset_checkpoint_interval_ms: i32 = 60_000, "log.flush.offset.checkpoint.interval.ms", "ms", "How often recovery points are written to disk.";
        default_replication_factor: i32 = 1, "default.replication.factor", "", "Replicas of a topic that does not say.";
        num_partitions: i32 = 1, "num.partitions", "", "Partitions of a topic that does not say.";
        min_insync_replicas: i32 = 1, "min.insync.replicas", "", "acks=all needs so many in-sync replicas.";
        unclean_leader_election_enable: bool = false, "unclean.leader.election.enable", "", "Whether a replica outside the ISR may lead when no other can.";
        unclean_leader_election_interval_ms: i64 = 300_000, "unclean.leader.election.interval.ms", "ms", "How often leaderless partitions are looked at.";
        auto_create_topics_enable: bool = true, "auto.create.topics.enable", "", "Whether a topic that is asked about is created.";
        delete_topic_enable: bool = true, "delete.topic.enable", "", "Whether topics can be deleted.";
        log_segment_delete_delay_ms: i64 = 60_000, "log.segment.delete.delay.ms", "ms", "A deleted file, or a deleted topic's directory, vanishes after so long.";
        auto_leader_rebalance_enable: bool = true, "auto.leader.rebalance.enable", "", "Whether preferred leaders are restored.";
        leader_imbalance_check_interval_seconds: i64 = 300, "leader.imbalance.check.interval.seconds", "s", "How often preferred leaders are restored.";
        broker_heartbeat_interval_ms: i32 = 2_000, "broker.heartbeat.interval.ms", "ms", "How often a broker tells the controller that it lives.";
        broker_session_timeout_ms: i32 = 9_000, "broker.session.timeout.ms", "ms", "A broker not heard of for so long is fenced.";
        initial_broker_registration_timeout_ms: i32 = 60_000, "initial.broker.registration.timeout.ms", "ms", "A broker that cannot register for so long gives up.";
        controlled_shutdown_enable: bool = true, "controlled.shutdown.enable", "", "Whether leadership moves before a clean stop.";
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", "ms", "How long a broker waits for the controller's answer.";
        retry_backoff_ms: i64 = 100, "retry.backoff.ms", "ms", "The first pause before a retry of the broker's own clients.";
        reconnect_backoff_ms: i64 = 50, "reconnect.backoff.ms", "ms", "The first pause before a reconnect.";
        reconnect_backoff_max_ms: i64 = 1_000, "reconnect.backoff.max.ms", "ms", "The longest pause before a reconnect.";
        quorum_election_timeout_ms: i32 = 1_000, "controller.quorum.election.timeout.ms", "ms", "Half the longest wait for votes; the real one is drawn from [1, 2) times this.";
        quorum_fetch_timeout_ms: i32 = 2_000, "controller.quorum.fetch.timeout.ms", "ms", "A voter that could not fetch for so long thinks of an election.";
        quorum_election_backoff_max_ms: i32 = 1_000, "controller.quorum.election.backoff.max.ms", "ms", "The longest pause of a successor after a resignation.";
        quorum_append_linger_ms: i32 = 25, "controller.quorum.append.linger.ms", "ms", "How long the quorum leader gathers records into a batch.";
        quorum_request_timeout_ms: i32 = 2_000, "controller.quorum.request.timeout.ms", "ms", "How long a voter waits for an answer.";
        quorum_retry_backoff_ms: i32 = 20, "controller.quorum.retry.backoff.ms", "ms", "The pause before a voter asks again.";
        metadata_max_idle_interval_ms: i32 = 500, "metadata.max.idle.interval.ms", "ms", "How often the active controller writes a NoOp record.";
        log_segment_bytes: i32 = 1_073_741_824, "log.segment.bytes", "bytes", "A segment holds at most so much.";
        log_roll_ms: i64 = 604_800_000, "log.roll.ms", "ms", "A segment spans at most so much record time.";
        compression_type: TopicCompression = TopicCompression::Producer, "compression.type", "", "How batches are stored: as they came, or always so.";
        message_max_bytes: i32 = 1_048_588, "message.max.bytes", "bytes", "The largest batch a topic takes.";
        log_message_timestamp_after_max_ms: i64 = 3_600_000, "log.message.timestamp.after.max.ms", "ms", "How far ahead of the broker's clock a record may be.";
        log_message_timestamp_before_max_ms: i64 = i64::MAX, "log.message.timestamp.before.max.ms", "ms", "How far behind the broker's clock a record may be.";
        log_message_timestamp_type: TimestampType = TimestampType::CreateTime, "log.message.timestamp.type", "", "Whose clock stamps records.";
        log_cleanup_policy: CleanupPolicy = CleanupPolicy::DELETE, "log.cleanup.policy", "", "What is done with old records: deleted, compacted by key, or both.";
        log_retention_ms: i64 = 604_800_000, "log.retention.ms", "ms", "A segment whose latest record is older is deleted; -1 for never.";
        log_retention_bytes: i64 = -1, "log.retention.bytes", "bytes", "The oldest segments are deleted as long as that much is left; -1 for never.";
        log_retention_check_interval_ms: i64 = 300_000, "log.retention.check.interval.ms", "ms", "How often old segments are looked for.";
        log_initial_task_delay_ms: i64 = 30_000, "log.initial.task.delay.ms", "ms", "How long after the start old segments are looked for and checkpoints written first.";
        log_flush_start_offset_checkpoint_interval_ms: i32 = 60_000, "log.flush.start.offset.checkpoint.interval.ms", "ms", "How often log start offsets are written to disk.";
        log_index_interval_bytes: i32 = 4_096, "log.index.interval.bytes", "bytes", "A segment's indexes get an entry per so much.";
        log_index_size_max_bytes: i32 = 10_485_760, "log.index.size.max.bytes", "bytes", "The largest index; a segment whose index is full is closed.";
        log_cleaner_backoff_ms: i64 = 15_000, "log.cleaner.backoff.ms", "ms", "How long the cleaner rests when there is nothing to compact.";
        log_cleaner_min_cleanable_ratio: Ratio = Ratio::HALF, "log.cleaner.min.cleanable.ratio", "", "A log is compacted when more of it than this is dirty.";
        log_cleaner_min_compaction_lag_ms: i64 = 0, "log.cleaner.min.compaction.lag.ms", "ms", "A record is not compacted for so long.";
        log_cleaner_max_compaction_lag_ms: i64 = i64::MAX, "log.cleaner.max.compaction.lag.ms", "ms", "A record is compacted after so long, however little is dirty.";
        log_cleaner_delete_retention_ms: i64 = 86_400_000, "log.cleaner.delete.retention.ms", "ms", "A tombstone is kept for so long after its first compaction.";
        producer_id_expiration_ms: i32 = 86_400_000, "producer.id.expiration.ms", "ms", "An idle producer id is forgotten after so long.";
        producer_id_expiration_check_interval_ms: i32 = 600_000, "producer.id.expiration.check.interval.ms", "ms", "How often idle producer ids are looked for.";
    }
}

config! {
    /// Settings of a topic. `None` leaves it to the broker.
    TopicConfig {
        min_insync_replicas: Inherit<i32> = Inherit(None), "min.insync.replicas", "", "acks=all needs so many in-sync replicas.";
        unclean_leader_election_enable: Inherit<bool> = Inherit(None), "unclean.leader.election.enable", "", "Whether a replica outside the ISR may lead when no other can.";
        segment_bytes: Inherit<i32> = Inherit(None), "segment.bytes", "bytes", "A segment holds at most so much.";
        segment_ms: Inherit<i64> = Inherit(None), "segment.ms", "ms", "A segment spans at most so much record time.";
        message_timestamp_type: Inherit<TimestampType> = Inherit(None), "message.timestamp.type", "", "Whose clock stamps records.";
        compression_type: Inherit<TopicCompression> = Inherit(None), "compression.type", "", "How batches are stored: as they came, or always so.";
        max_message_bytes: Inherit<i32> = Inherit(None), "max.message.bytes", "bytes", "The largest batch the topic takes.";
        message_timestamp_before_max_ms: Inherit<i64> = Inherit(None), "message.timestamp.before.max.ms", "ms", "How far behind the leader's clock a record may be.";
        message_timestamp_after_max_ms: Inherit<i64> = Inherit(None), "message.timestamp.after.max.ms", "ms", "How far ahead of the leader's clock a record may be.";
        cleanup_policy: Inherit<CleanupPolicy> = Inherit(None), "cleanup.policy", "", "What is done with old records: deleted, compacted by key, or both.";
        retention_ms: Inherit<i64> = Inherit(None), "retention.ms", "ms", "A segment whose latest record is older is deleted; -1 for never.";
        retention_bytes: Inherit<i64> = Inherit(None), "retention.bytes", "bytes", "The oldest segments are deleted as long as that much is left; -1 for never.";
        file_delete_delay_ms: Inherit<i64> = Inherit(None), "file.delete.delay.ms", "ms", "A deleted file vanishes after so long.";
        index_interval_bytes: Inherit<i32> = Inherit(None), "index.interval.bytes", "bytes", "A segment's indexes get an entry per so much.";
        segment_index_bytes: Inherit<i32> = Inherit(None), "segment.index.bytes", "bytes", "The largest index; a segment whose index is full is closed.";
        min_cleanable_dirty_ratio: Inherit<Ratio> = Inherit(None), "min.cleanable.dirty.ratio", "", "The log is compacted when more of it than this is dirty.";
        min_compaction_lag_ms: Inherit<i64> = Inherit(None), "min.compaction.lag.ms", "ms", "A record is not compacted for so long.";
        max_compaction_lag_ms: Inherit<i64> = Inherit(None), "max.compaction.lag.ms", "ms", "A record is compacted after so long, however little is dirty.";
        delete_retention_ms: Inherit<i64> = Inherit(None), "delete.retention.ms", "ms", "A tombstone is kept for so long after its first compaction.";
    }
}

/// A topic's setting: its own, or the broker's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Inherit<T>(pub Option<T>);

impl<T: Copy> Inherit<T> {
    /// The value in force.
    pub fn or(self, broker: T) -> T {
        self.0.unwrap_or(broker)
    }
}

impl<T: ConfigValue> ConfigValue for Inherit<T> {
    const EXPECTS: &'static str = T::EXPECTS;
    fn parse(text: &str) -> Option<Inherit<T>> {
        T::parse(text).map(|v| Inherit(Some(v)))
    }
    fn show(&self) -> String {
        self.0
            .as_ref()
            .map_or_else(|| "the broker's".into(), T::show)
    }
}

config! {
    /// Settings of a producer.
    ProducerConfig {
        acks: Explicit<Acks> = unset(Acks::All), "acks", "", "Who must have a record before the send completes.";
        enable_idempotence: Explicit<bool> = unset(true), "enable.idempotence", "", "Whether retries are recognised by the broker.";
        retries: Explicit<i32> = unset(i32::MAX), "retries", "", "How often a failed batch is sent again.";
        max_in_flight: i32 = 5, "max.in.flight.requests.per.connection", "", "How many requests may be unanswered on one connection.";
        linger_ms: i64 = 5, "linger.ms", "ms", "How long a batch waits for more records.";
        batch_size: i32 = 16_384, "batch.size", "bytes", "How large a batch grows; 0 disables batching.";
        compression_type: Codec = Codec::None, "compression.type", "", "How batches are compressed.";
        compression_gzip_level: GzipLevel = GzipLevel(-1), "compression.gzip.level", "", "How hard gzip tries, from 1 to 9; -1 leaves it to zlib.";
        buffer_memory: i64 = 33_554_432, "buffer.memory", "bytes", "How much may wait to be sent.";
        max_block_ms: i64 = 60_000, "max.block.ms", "ms", "How long send() may block.";
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", "ms", "How long an answer may take.";
        delivery_timeout_ms: Explicit<i32> = unset(120_000), "delivery.timeout.ms", "ms", "How long a record may take from send() to its callback.";
        max_request_size: i32 = 1_048_576, "max.request.size", "bytes", "The largest request.";
        retry_backoff_ms: i64 = 100, "retry.backoff.ms", "ms", "The first pause before a retry.";
        retry_backoff_max_ms: i64 = 1_000, "retry.backoff.max.ms", "ms", "The longest pause before a retry.";
        reconnect_backoff_ms: i64 = 50, "reconnect.backoff.ms", "ms", "The first pause before a reconnect.";
        reconnect_backoff_max_ms: i64 = 1_000, "reconnect.backoff.max.ms", "ms", "The longest pause before a reconnect.";
        metadata_max_age_ms: i64 = 300_000, "metadata.max.age.ms", "ms", "Metadata older than this is asked for again.";
        connections_max_idle_ms: i64 = 540_000, "connections.max.idle.ms", "ms", "A connection unused for so long is closed.";
        socket_connection_setup_timeout_ms: i64 = 10_000, "socket.connection.setup.timeout.ms", "ms", "How long a connection may take to open, at first.";
        socket_connection_setup_timeout_max_ms: i64 = 30_000, "socket.connection.setup.timeout.max.ms", "ms", "How long a connection may take to open, after failures.";
        metadata_max_idle_ms: i64 = 300_000, "metadata.max.idle.ms", "ms", "A topic not written to for so long is forgotten.";
        metadata_recovery_rebootstrap_trigger_ms: i64 = 300_000, "metadata.recovery.rebootstrap.trigger.ms", "ms", "A client that learns nothing for so long starts over from its bootstrap servers.";
        partitioner_class: Partitioner = Partitioner::BuiltIn, "partitioner.class", "", "Who chooses the partition of a record that names none.";
        partitioner_ignore_keys: bool = false, "partitioner.ignore.keys", "", "Treat keyed records as if they had none.";
        partitioner_adaptive_partitioning_enable: bool = true, "partitioner.adaptive.partitioning.enable", "", "Whether records without a key rather go where less waits.";
        partitioner_availability_timeout_ms: i64 = 0, "partitioner.availability.timeout.ms", "ms", "Records without a key avoid a leader that took nothing for so long; 0 is for ever.";
    }
}

config! {
    /// Settings of a producer of librdkafka.
    LibrdkafkaConfig {
        acks: Acks = Acks::All, "acks", "", "Who must have a message before its delivery report says so.";
        enable_idempotence: bool = false, "enable.idempotence", "", "Whether retries are recognised by the broker.";
        retries: i32 = i32::MAX, "retries", "", "How often a failed message is sent again.";
        max_in_flight: Explicit<i32> = unset(1_000_000), "max.in.flight.requests.per.connection", "", "How many requests may be unanswered on one connection; 5 with idempotence.";
        linger_ms: i64 = 5, "linger.ms", "ms", "How long messages wait for more of them.";
        batch_size: i32 = 1_000_000, "batch.size", "bytes", "How large a batch grows.";
        batch_num_messages: i32 = 10_000, "batch.num.messages", "", "How many messages a batch holds.";
        queue_buffering_max_messages: i32 = 100_000, "queue.buffering.max.messages", "", "How many messages may wait for their delivery report to be served; 0 is no limit.";
        queue_buffering_max_kbytes: i32 = 1_048_576, "queue.buffering.max.kbytes", "KiB", "How many bytes they may have.";
        message_timeout_ms: i32 = 300_000, "message.timeout.ms", "ms", "How long a message may take; 0 is for ever.";
        message_max_bytes: i32 = 1_000_000, "message.max.bytes", "bytes", "The largest message and the largest request.";
        compression_type: Codec = Codec::None, "compression.type", "", "How batches are compressed.";
        partitioner: LibrdkafkaPartitioner = LibrdkafkaPartitioner::ConsistentRandom, "partitioner", "", "Who chooses the partition of a message that names none.";
        sticky_partitioning_linger_ms: Explicit<i32> = unset(10), "sticky.partitioning.linger.ms", "ms", "How long messages without a key stick to a partition; twice linger.ms unless written; 0 draws for each.";
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", "ms", "How long a broker may wait for the other replicas.";
        socket_timeout_ms: i32 = 60_000, "socket.timeout.ms", "ms", "How long an answer may take.";
        retry_backoff_ms: i64 = 100, "retry.backoff.ms", "ms", "The first pause before a retry.";
        retry_backoff_max_ms: i64 = 1_000, "retry.backoff.max.ms", "ms", "The longest pause before a retry.";
        reconnect_backoff_ms: i64 = 100, "reconnect.backoff.ms", "ms", "The first pause before a reconnect.";
        reconnect_backoff_max_ms: i64 = 10_000, "reconnect.backoff.max.ms", "ms", "The longest pause before a reconnect.";
        topic_metadata_refresh_interval_ms: i64 = 300_000, "topic.metadata.refresh.interval.ms", "ms", "How often metadata is asked for again.";
        socket_connection_setup_timeout_ms: i64 = 30_000, "socket.connection.setup.timeout.ms", "ms", "How long a connection may take to open.";
    }
}

config! {
    /// Settings of a consumer.
    ConsumerConfig {
        auto_offset_reset: OffsetReset = OffsetReset::Latest, "auto.offset.reset", "", "Where to go when the position does not exist.";
        isolation_level: Isolation = Isolation(crate::protocol::fetch::IsolationLevel::ReadUncommitted), "isolation.level", "", "Whether to hide records of unfinished transactions.";
        fetch_min_bytes: i32 = 1, "fetch.min.bytes", "bytes", "A fetch is answered at once with so much data.";
        fetch_max_wait_ms: i32 = 500, "fetch.max.wait.ms", "ms", "How long a fetch waits for data.";
        fetch_max_bytes: i32 = 52_428_800, "fetch.max.bytes", "bytes", "Softly, the most one fetch returns.";
        max_partition_fetch_bytes: i32 = 1_048_576, "max.partition.fetch.bytes", "bytes", "Softly, the most one fetch returns of one partition.";
        max_poll_records: i32 = 500, "max.poll.records", "", "The most records one poll returns.";
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", "ms", "How long an answer may take.";
        retry_backoff_ms: i64 = 100, "retry.backoff.ms", "ms", "The first pause before a retry.";
        retry_backoff_max_ms: i64 = 1_000, "retry.backoff.max.ms", "ms", "The longest pause before a retry.";
        reconnect_backoff_ms: i64 = 50, "reconnect.backoff.ms", "ms", "The first pause before a reconnect.";
        reconnect_backoff_max_ms: i64 = 1_000, "reconnect.backoff.max.ms", "ms", "The longest pause before a reconnect.";
        metadata_max_age_ms: i64 = 300_000, "metadata.max.age.ms", "ms", "Metadata older than this is asked for again.";
        connections_max_idle_ms: i64 = 540_000, "connections.max.idle.ms", "ms", "A connection unused for so long is closed.";
        socket_connection_setup_timeout_ms: i64 = 10_000, "socket.connection.setup.timeout.ms", "ms", "How long a connection may take to open, at first.";
        socket_connection_setup_timeout_max_ms: i64 = 30_000, "socket.connection.setup.timeout.max.ms", "ms", "How long a connection may take to open, after failures.";
        metadata_recovery_rebootstrap_trigger_ms: i64 = 300_000, "metadata.recovery.rebootstrap.trigger.ms", "ms", "A client that learns nothing for so long starts over from its bootstrap servers.";
        default_api_timeout_ms: i32 = 60_000, "default.api.timeout.ms", "ms", "How long a call that asks for offsets may take, all tries together.";
        check_crcs: bool = true, "check.crcs", "", "Whether the checksum of every batch is verified.";
        allow_auto_create_topics: bool = true, "allow.auto.create.topics", "", "Whether brokers may create a topic that is asked about.";
    }
}

config! {
    /// Settings of an admin client.
    AdminConfig {
        default_api_timeout_ms: i32 = 60_000, "default.api.timeout.ms", "ms", "How long a call may take, all tries together.";
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", "ms", "How long an answer may take.";
        retry_backoff_ms: i64 = 100, "retry.backoff.ms", "ms", "The first pause before a retry.";
        retry_backoff_max_ms: i64 = 1_000, "retry.backoff.max.ms", "ms", "The longest pause before a retry.";
        reconnect_backoff_ms: i64 = 50, "reconnect.backoff.ms", "ms", "The first pause before a reconnect.";
        reconnect_backoff_max_ms: i64 = 1_000, "reconnect.backoff.max.ms", "ms", "The longest pause before a reconnect.";
        metadata_max_age_ms: i64 = 300_000, "metadata.max.age.ms", "ms", "Metadata older than this is asked for again.";
    }
}

/// `isolation.level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Isolation(pub crate::protocol::fetch::IsolationLevel);

impl ConfigValue for Isolation {
    const EXPECTS: &'static str = "\"read_uncommitted\" or \"read_committed\"";
    fn parse(text: &str) -> Option<Isolation> {
        use crate::protocol::fetch::IsolationLevel::*;
        match text {
            "read_uncommitted" => Some(Isolation(ReadUncommitted)),
            "read_committed" => Some(Isolation(ReadCommitted)),
            _ => None,
        }
    }
    fn show(&self) -> String {
        use crate::protocol::fetch::IsolationLevel::*;
        match self.0 {
            ReadUncommitted => "read_uncommitted",
            ReadCommitted => "read_committed",
        }
        .into()
    }
}
