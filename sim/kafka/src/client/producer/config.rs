//! A producer's settings as its parts use them, and Kafka's rules about which settings go together (P-1): the checks of
//! KafkaProducer and ProducerConfig at construction.
//!
//! Left out: transactions, interceptors, two-phase commit.

use super::librdkafka::QueueLimits;
use crate::client::backoff::Backoff;
use crate::client::connections::NetworkSettings;
use crate::client::metadata::MetadataSettings;
use crate::config::{Acks, LibrdkafkaPartitioner, Partitioner, ProducerConfig};
use crate::log::codec::Compression;
use crate::time::Duration;
use serde::Serialize;
use std::fmt;

/// What the parts of a producer go by.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Who must have a record before the send completes.
    pub acks: Acks,
    /// Whether the producer has an id and numbers its batches.
    pub idempotent: bool,
    /// How often a batch is sent again.
    pub retries: u32,
    /// `linger.ms`.
    pub linger: Duration,
    /// `batch.size`, at least 1 (P-9).
    pub batch_size: u64,
    /// `compression.type` with its level.
    pub compression: Compression,
    /// `buffer.memory`.
    pub buffer_memory: u64,
    /// `max.block.ms`.
    pub max_block: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `max.request.size`.
    pub max_request_size: u64,
    /// `request.timeout.ms`, which a produce request also grants to the broker.
    pub request_timeout_ms: i32,
    /// `retry.backoff.ms` to `retry.backoff.max.ms`.
    pub retry_backoff: Backoff,
    /// `retry.backoff.ms`: the constant pause before InitProducerId is tried again.
    pub init_backoff: Duration,
    /// Who chooses a partition.
    pub placement: Placement,
    /// The local queue, if it is librdkafka's.
    pub queue: Option<QueueLimits>,
    /// `partitioner.ignore.keys`.
    pub ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`, which Kafka's own partitioner alone knows.
    pub adaptive: bool,
    /// `partitioner.availability.timeout.ms`; none is for ever.
    pub availability_timeout: Option<Duration>,
    /// `metadata.recovery.rebootstrap.trigger.ms`.
    pub rebootstrap_trigger: Duration,
    /// How connections behave.
    pub network: NetworkSettings,
    /// How metadata is kept.
    pub metadata: MetadataSettings,
}

/// Who chooses the partition of a record that names none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Placement {
    /// By key, else sticky (P-3, P-4).
    BuiltIn,
    /// One partition after the other.
    RoundRobin,
    /// One of librdkafka's.
    Librdkafka(LibrdkafkaPartitioner),
}

/// Why Kafka does not build a producer with such settings (ConfigException).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigConflict {
    /// The key must be at least this.
    TooSmall(&'static str, i64),
    /// `enable.idempotence=true` was written down, and `acks` is not `all`.
    IdempotenceNeedsAcksAll,
    /// `enable.idempotence=true` was written down, and `retries` is 0.
    IdempotenceNeedsRetries,
    /// Idempotence is on, written down or not, and more than 5 requests may be in flight.
    IdempotenceNeedsFiveInFlight,
    /// `delivery.timeout.ms` was written down, and is less than `linger.ms` and `request.timeout.ms` together.
    DeliveryTimeoutTooShort,
}

/// The broker remembers so many batches of a producer (L-7), so no more may be in flight.
const MAX_IN_FLIGHT_IDEMPOTENT: i32 = 5;

impl Settings {
    /// Checks a producer's settings and makes them ready for use.
    ///
    /// # Errors
    /// What Kafka's constructor throws.
    pub fn of(config: &ProducerConfig) -> Result<Settings, ConfigConflict> {
        let max_idle = at_least(5_000, "metadata.max.idle.ms", config.metadata_max_idle_ms)?;
        let rebootstrap = config.metadata_recovery_rebootstrap_trigger_ms;
        Ok(Settings {
            acks: config.acks.value,
            idempotent: idempotent(config)?,
            retries: at_least(0, "retries", config.retries.value.into())? as u32,
            linger: linger(config)?,
            batch_size: at_least(0, "batch.size", config.batch_size.into())?.max(1),
            compression: Compression {
                codec: config.compression_type,
                gzip_level: config.compression_gzip_level,
            },
            buffer_memory: at_least(0, "buffer.memory", config.buffer_memory)?,
            max_block: millis("max.block.ms", config.max_block_ms)?,
            delivery_timeout: delivery_timeout(config)?,
            max_request_size: at_least(0, "max.request.size", config.max_request_size.into())?,
            request_timeout_ms: config.request_timeout_ms,
            retry_backoff: retry_backoff(config)?,
            init_backoff: millis("retry.backoff.ms", config.retry_backoff_ms)?,
            placement: match config.partitioner_class {
                Partitioner::BuiltIn => Placement::BuiltIn,
                Partitioner::RoundRobin => Placement::RoundRobin,
            },
            queue: None,
            ignore_keys: config.partitioner_ignore_keys,
            adaptive: config.partitioner_class == Partitioner::BuiltIn
                && config.partitioner_adaptive_partitioning_enable,
            availability_timeout: availability_timeout(config)?,
            rebootstrap_trigger: millis("metadata.recovery.rebootstrap.trigger.ms", rebootstrap)?,
            network: network(config)?,
            metadata: MetadataSettings {
                refresh_backoff: retry_backoff(config)?,
                max_age: millis("metadata.max.age.ms", config.metadata_max_age_ms)?,
                max_idle: Some(bounded_millis(max_idle)),
                allow_auto_topic_creation: true,
            },
        })
    }
}

impl ConfigConflict {
    /// The setting that stands in the way.
    pub fn key(self) -> &'static str {
        match self {
            ConfigConflict::TooSmall(key, _) => key,
            ConfigConflict::IdempotenceNeedsAcksAll => "acks",
            ConfigConflict::IdempotenceNeedsRetries => "retries",
            ConfigConflict::IdempotenceNeedsFiveInFlight => "max.in.flight.requests.per.connection",
            ConfigConflict::DeliveryTimeoutTooShort => "delivery.timeout.ms",
        }
    }
}

/// P-1: where nobody asked for idempotence in so many words, settings against it turn it off without a sound; where
/// somebody did, they are an error. Too many requests in flight are an error in either case.
fn idempotent(config: &ProducerConfig) -> Result<bool, ConfigConflict> {
    let wanted = config.enable_idempotence;
    if !wanted.value {
        return Ok(false);
    }
    let never_retries = config.retries.value == 0;
    if never_retries && wanted.explicit {
        return Err(ConfigConflict::IdempotenceNeedsRetries);
    }
    let not_all = config.acks.value != Acks::All;
    if not_all && wanted.explicit {
        return Err(ConfigConflict::IdempotenceNeedsAcksAll);
    }
    if config.max_in_flight > MAX_IN_FLIGHT_IDEMPOTENT {
        return Err(ConfigConflict::IdempotenceNeedsFiveInFlight);
    }
    Ok(!never_retries && !not_all)
}

/// P-1: too short a delivery timeout is an error if it was written down, else it is raised.
fn delivery_timeout(config: &ProducerConfig) -> Result<Duration, ConfigConflict> {
    let timeout = config.delivery_timeout_ms;
    let given = millis("delivery.timeout.ms", timeout.value.into())?;
    let request = millis("request.timeout.ms", config.request_timeout_ms.into())?;
    let least = (linger(config)? + request).min(bounded_millis(i32::MAX as u64));
    if given < least && timeout.explicit {
        return Err(ConfigConflict::DeliveryTimeoutTooShort);
    }
    Ok(given.max(least))
}

fn availability_timeout(config: &ProducerConfig) -> Result<Option<Duration>, ConfigConflict> {
    let timeout = config.partitioner_availability_timeout_ms;
    let timeout = millis("partitioner.availability.timeout.ms", timeout)?;
    Ok((timeout > Duration::ZERO).then_some(timeout))
}

fn linger(config: &ProducerConfig) -> Result<Duration, ConfigConflict> {
    millis("linger.ms", config.linger_ms.min(i32::MAX.into()))
}

fn retry_backoff(config: &ProducerConfig) -> Result<Backoff, ConfigConflict> {
    Ok(Backoff::new(
        millis("retry.backoff.ms", config.retry_backoff_ms)?,
        millis("retry.backoff.max.ms", config.retry_backoff_max_ms)?,
    ))
}

fn network(config: &ProducerConfig) -> Result<NetworkSettings, ConfigConflict> {
    let in_flight = "max.in.flight.requests.per.connection";
    let setup = "socket.connection.setup.timeout.ms";
    let setup_max = "socket.connection.setup.timeout.max.ms";
    Ok(NetworkSettings {
        request_timeout: millis("request.timeout.ms", config.request_timeout_ms.into())?,
        reconnect_backoff: millis("reconnect.backoff.ms", config.reconnect_backoff_ms)?,
        reconnect_backoff_max: millis("reconnect.backoff.max.ms", config.reconnect_backoff_max_ms)?,
        max_in_flight: at_least(1, in_flight, config.max_in_flight.into())? as u32,
        setup_timeout: millis(setup, config.socket_connection_setup_timeout_ms)?,
        setup_timeout_max: millis(setup_max, config.socket_connection_setup_timeout_max_ms)?,
        max_idle: match u64::try_from(config.connections_max_idle_ms) {
            Ok(ms) => bounded_millis(ms),
            // A negative value means never.
            Err(_) => Duration(u64::MAX),
        },
    })
}

fn millis(key: &'static str, ms: i64) -> Result<Duration, ConfigConflict> {
    at_least(0, key, ms).map(bounded_millis)
}

/// The longest span that can be told stands for all longer ones.
fn bounded_millis(ms: u64) -> Duration {
    Duration(ms.saturating_mul(1_000_000))
}

fn at_least(least: i64, key: &'static str, value: i64) -> Result<u64, ConfigConflict> {
    if value < least {
        return Err(ConfigConflict::TooSmall(key, least));
    }
    Ok(u64::try_from(value).expect("it is at least a bound that is not negative"))
}

impl fmt::Display for ConfigConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            ConfigConflict::TooSmall(key, least) => {
                return write!(f, "{key} must be at least {least}");
            }
            ConfigConflict::IdempotenceNeedsAcksAll => "enable.idempotence=true needs acks=all",
            ConfigConflict::IdempotenceNeedsRetries => {
                "enable.idempotence=true needs retries above 0"
            }
            ConfigConflict::IdempotenceNeedsFiveInFlight => {
                "max.in.flight.requests.per.connection must be at most 5 unless enable.idempotence=false"
            }
            ConfigConflict::DeliveryTimeoutTooShort => {
                "delivery.timeout.ms must be at least linger.ms + request.timeout.ms"
            }
        };
        f.write_str(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configs;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigConflict> {
        let mut config = ProducerConfig::default();
        for (key, value) in pairs {
            config.set(key, value).expect("a row of the table");
        }
        Settings::of(&config)
    }

    #[test]
    fn the_defaults_are_kafkas() {
        let s = settings(&[]).expect("defaults go together");
        assert!(s.idempotent);
        assert_eq!(s.acks, Acks::All);
        assert_eq!(s.linger, Duration::millis(5));
        assert_eq!(s.delivery_timeout, Duration::secs(120));
        assert_eq!(s.network, NetworkSettings::default());
    }

    #[test]
    fn idempotence_nobody_asked_for_gives_way_without_a_sound() {
        for pair in [("acks", "1"), ("acks", "0"), ("retries", "0")] {
            assert!(!settings(&[pair]).expect("allowed").idempotent, "{pair:?}");
        }
    }

    #[test]
    fn idempotence_that_was_asked_for_does_not_give_way() {
        let asked = ("enable.idempotence", "true");
        let conflict = |pair| settings(&[asked, pair]).expect_err("refused");
        let acks = ConfigConflict::IdempotenceNeedsAcksAll;
        let retries = ConfigConflict::IdempotenceNeedsRetries;
        assert_eq!(conflict(("acks", "1")), acks);
        assert_eq!(conflict(("retries", "0")), retries);
    }

    #[test]
    fn more_than_five_in_flight_is_an_error_while_idempotence_is_on() {
        let six = ("max.in.flight.requests.per.connection", "6");
        let conflict = Some(ConfigConflict::IdempotenceNeedsFiveInFlight);
        assert_eq!(settings(&[six]).err(), conflict);
        assert_eq!(settings(&[six, ("acks", "1")]).err(), conflict);
        assert!(settings(&[six, ("enable.idempotence", "false")]).is_ok());
    }

    #[test]
    fn too_short_a_delivery_timeout_is_raised_unless_it_was_written_down() {
        let slow = settings(&[("request.timeout.ms", "200000")]).expect("raised");
        assert_eq!(slow.delivery_timeout, Duration::millis(200_005));
        let conflict = settings(&[("delivery.timeout.ms", "30004")]).err();
        assert_eq!(conflict, Some(ConfigConflict::DeliveryTimeoutTooShort));
        assert!(settings(&[("delivery.timeout.ms", "30005")]).is_ok());
    }

    #[test]
    fn a_batch_size_of_zero_means_one_record_a_batch() {
        let s = settings(&[("batch.size", "0")]).expect("allowed");
        assert_eq!(s.batch_size, 1);
    }

    #[test]
    fn negative_spans_and_sizes_are_refused_by_name() {
        let conflict = settings(&[("linger.ms", "-1")]).expect_err("refused");
        assert_eq!(conflict, ConfigConflict::TooSmall("linger.ms", 0));
        assert_eq!(conflict.to_string(), "linger.ms must be at least 0");
    }

    #[test]
    fn spans_beyond_all_time_are_taken_as_for_ever() {
        let s = settings(&[("max.block.ms", "9223372036854775807")]).expect("allowed");
        assert_eq!(s.max_block, Duration(u64::MAX));
    }
}
