//! Where klab is not as Kafka, and means to: each difference with its reason. A test fails if one is missing here, and if one
//! is here that is gone.

/// Defaults, in the order of the tables.
pub const DEFAULTS: &[(&str, &str)] = &[
    (
        "producer partitioner.class",
        "Kafka has none, and so does what klab calls BuiltInPartitioner",
    ),
    ("server retry.backoff.ms", "a constant in Kafka's servers"),
    (
        "server reconnect.backoff.ms",
        "a constant in Kafka's servers",
    ),
    (
        "server reconnect.backoff.max.ms",
        "a constant in Kafka's servers",
    ),
    ("server log.roll.ms", "Kafka's default is log.roll.hours"),
    (
        "server log.retention.ms",
        "Kafka's default is log.retention.hours",
    ),
];

/// Answers, by their place in the vectors.
pub const ANSWERS: &[(&str, &str)] = &[
    (
        "describe configs/broker 2/configs/log.retention.ms/value",
        "Kafka's default is log.retention.hours",
    ),
    (
        "describe configs/broker 2/configs/log.roll.ms/synonyms",
        "Kafka's default is log.roll.hours",
    ),
    (
        "describe configs/topic orders/configs/segment.ms/synonyms",
        "Kafka's default is log.roll.hours",
    ),
];

/// Settings of a topic that klab does not have.
pub const TOPIC_CONFIGS: &[&str] = &[
    // How hard a broker compresses what it stores otherwise than it came.
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    // Segments are synced when they roll, as by default.
    "flush.messages",
    "flush.ms",
    // Quotas.
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    // Tiered storage.
    "local.retention.bytes",
    "local.retention.ms",
    // No disk is fragmented here.
    "preallocate",
    // Tiered storage.
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    // All segments of a topic roll at their time.
    "segment.jitter.ms",
];
