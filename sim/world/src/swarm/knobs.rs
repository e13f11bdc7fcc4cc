//! Kafka's settings off their defaults: nearer to the edges of the same code (C.2, D9). One row per key of Kafka's tables:
//! its values, or why it is not drawn.
//!
//! In the safe half only those are drawn that let nothing be lost, doubled or misplaced.

use super::Half;
use super::dice::Dice;
use crate::scenario::grammar::Table;

/// One key.
pub struct Knob {
    /// Whose.
    pub table: Table,
    /// Kafka's spelling.
    pub key: &'static str,
    /// What is drawn.
    pub drawn: Drawn,
}

/// What is drawn of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drawn {
    /// One of these, in either half.
    Either(&'static [&'static str]),
    /// One of these, in the free half only.
    Free(&'static [&'static str]),
    /// Where topics, producers and elections are drawn.
    Elsewhere,
    /// Never, for this reason.
    Never(&'static str),
}

use Drawn::*;
use Table::*;

/// The table.
#[rustfmt::skip]
pub const KNOBS: &[Knob] = &[
    knob(Server, "replica.lag.time.max.ms", Either(&["2000", "5000", "10000"])),
    knob(Server, "replica.fetch.wait.max.ms", Either(&["50", "200"])),
    knob(Server, "replica.fetch.min.bytes", Either(&["100", "2000"])),
    knob(Server, "replica.fetch.max.bytes", Either(&["500", "20000"])),
    knob(Server, "replica.fetch.response.max.bytes", Either(&["500", "20000"])),
    knob(Server, "fetch.max.bytes", Either(&["1024", "50000"])),
    knob(Server, "replica.fetch.backoff.ms", Either(&["100", "3000"])),
    knob(Server, "replica.socket.timeout.ms", Either(&["2000", "10000"])),
    knob(Server, "replica.high.watermark.checkpoint.interval.ms", Either(&["500", "20000"])),
    knob(Server, "log.flush.offset.checkpoint.interval.ms", Either(&["1000", "10000"])),
    knob(Server, "default.replication.factor", Either(&["2", "3"])),
    knob(Server, "num.partitions", Either(&["2", "5"])),
    knob(Server, "min.insync.replicas", Either(&["2"])),
    knob(Server, "unclean.leader.election.enable", Free(&["true"])),
    knob(Server, "unclean.leader.election.interval.ms", Either(&["10000"])),
    knob(Server, "auto.create.topics.enable", Either(&["false"])),
    knob(Server, "delete.topic.enable", Either(&["false"])),
    knob(Server, "log.segment.delete.delay.ms", Either(&["0", "5000"])),
    knob(Server, "auto.leader.rebalance.enable", Either(&["false"])),
    knob(Server, "leader.imbalance.check.interval.seconds", Either(&["5", "20"])),
    knob(Server, "broker.heartbeat.interval.ms", Either(&["500", "1000"])),
    knob(Server, "broker.session.timeout.ms", Either(&["6000", "18000"])),
    knob(Server, "initial.broker.registration.timeout.ms", Either(&["30000"])),
    knob(Server, "controlled.shutdown.enable", Either(&["false"])),
    knob(Server, "request.timeout.ms", Either(&["5000", "60000"])),
    knob(Server, "retry.backoff.ms", Either(&["20", "500"])),
    knob(Server, "reconnect.backoff.ms", Either(&["10", "500"])),
    knob(Server, "reconnect.backoff.max.ms", Either(&["3000"])),
    knob(Server, "controller.quorum.election.timeout.ms", Either(&["700", "2000"])),
    knob(Server, "controller.quorum.fetch.timeout.ms", Either(&["1500", "4000"])),
    knob(Server, "controller.quorum.election.backoff.max.ms", Either(&["300", "2000"])),
    knob(Server, "controller.quorum.append.linger.ms", Either(&["0", "100"])),
    knob(Server, "controller.quorum.request.timeout.ms", Either(&["1500", "4000"])),
    knob(Server, "controller.quorum.retry.backoff.ms", Either(&["5", "100"])),
    knob(Server, "metadata.max.idle.interval.ms", Either(&["200", "2000"])),
    knob(Server, "log.segment.bytes", Either(&["2000", "20000"])),
    knob(Server, "log.roll.ms", Either(&["5000", "30000"])),
    knob(Server, "compression.type", Either(&["uncompressed", "zstd"])),
    knob(Server, "message.max.bytes", Either(&["12000"])),
    knob(Server, "log.message.timestamp.after.max.ms", Free(&["60000"])),
    knob(Server, "log.message.timestamp.before.max.ms", Free(&["60000"])),
    knob(Server, "log.message.timestamp.type", Either(&["LogAppendTime"])),
    knob(Server, "log.cleanup.policy", Elsewhere),
    knob(Server, "log.retention.ms", Elsewhere),
    knob(Server, "log.retention.bytes", Elsewhere),
    knob(Server, "log.retention.check.interval.ms", Elsewhere),
    knob(Server, "log.initial.task.delay.ms", Elsewhere),
    knob(Server, "log.flush.start.offset.checkpoint.interval.ms", Either(&["1000", "10000"])),
    knob(Server, "log.index.interval.bytes", Either(&["100", "1000"])),
    knob(Server, "log.index.size.max.bytes", Either(&["120", "1200"])),
    knob(Server, "log.cleaner.backoff.ms", Elsewhere),
    knob(Server, "log.cleaner.min.cleanable.ratio", Elsewhere),
    knob(Server, "log.cleaner.min.compaction.lag.ms", Elsewhere),
    knob(Server, "log.cleaner.max.compaction.lag.ms", Elsewhere),
    knob(Server, "log.cleaner.delete.retention.ms", Elsewhere),
    knob(Server, "producer.id.expiration.ms", Free(&["1000", "5000"])),
    knob(Server, "producer.id.expiration.check.interval.ms", Either(&["500", "5000"])),
    knob(Topic, "min.insync.replicas", Elsewhere),
    knob(Topic, "unclean.leader.election.enable", Elsewhere),
    knob(Topic, "segment.bytes", Either(&["2000", "20000"])),
    knob(Topic, "segment.ms", Either(&["5000", "30000"])),
    knob(Topic, "message.timestamp.before.max.ms", Free(&["60000"])),
    knob(Topic, "message.timestamp.after.max.ms", Free(&["60000"])),
    knob(Topic, "cleanup.policy", Elsewhere),
    knob(Topic, "retention.ms", Elsewhere),
    knob(Topic, "retention.bytes", Elsewhere),
    knob(Topic, "file.delete.delay.ms", Elsewhere),
    knob(Topic, "index.interval.bytes", Either(&["100", "1000"])),
    knob(Topic, "segment.index.bytes", Either(&["120", "1200"])),
    knob(Topic, "min.cleanable.dirty.ratio", Elsewhere),
    knob(Topic, "min.compaction.lag.ms", Elsewhere),
    knob(Topic, "max.compaction.lag.ms", Elsewhere),
    knob(Topic, "delete.retention.ms", Elsewhere),
    knob(Topic, "message.timestamp.type", Either(&["LogAppendTime"])),
    knob(Topic, "compression.type", Either(&["uncompressed", "gzip"])),
    knob(Topic, "max.message.bytes", Either(&["12000"])),
    knob(Producer, "acks", Elsewhere),
    knob(Producer, "enable.idempotence", Elsewhere),
    knob(Producer, "retries", Free(&["1", "3"])),
    knob(Producer, "max.in.flight.requests.per.connection", Elsewhere),
    knob(Producer, "linger.ms", Elsewhere),
    knob(Producer, "batch.size", Elsewhere),
    knob(Producer, "compression.type", Either(&["gzip", "snappy", "lz4", "zstd"])),
    knob(Producer, "compression.gzip.level", Either(&["1", "9"])),
    knob(Producer, "buffer.memory", Either(&["65536"])),
    knob(Producer, "max.block.ms", Either(&["5000", "20000"])),
    knob(Producer, "request.timeout.ms", Elsewhere),
    knob(Producer, "delivery.timeout.ms", Elsewhere),
    knob(Producer, "max.request.size", Either(&["100000"])),
    knob(Producer, "retry.backoff.ms", Either(&["20", "500"])),
    knob(Producer, "retry.backoff.max.ms", Either(&["3000"])),
    knob(Producer, "reconnect.backoff.ms", Either(&["10", "500"])),
    knob(Producer, "reconnect.backoff.max.ms", Either(&["3000"])),
    knob(Producer, "metadata.max.age.ms", Either(&["5000", "30000"])),
    knob(Producer, "connections.max.idle.ms", Either(&["5000", "30000"])),
    knob(Producer, "socket.connection.setup.timeout.ms", Either(&["2000", "5000"])),
    knob(Producer, "socket.connection.setup.timeout.max.ms", Either(&["12000"])),
    knob(Producer, "metadata.max.idle.ms", Either(&["5000", "30000"])),
    knob(Producer, "metadata.recovery.rebootstrap.trigger.ms", Either(&["10000", "60000"])),
    knob(Producer, "partitioner.class", Either(&["RoundRobinPartitioner"])),
    knob(Producer, "partitioner.ignore.keys", Either(&["true"])),
    knob(Producer, "partitioner.adaptive.partitioning.enable", Either(&["false"])),
    knob(Producer, "partitioner.availability.timeout.ms", Either(&["500", "5000"])),
    knob(Consumer, "auto.offset.reset", Elsewhere),
    knob(Consumer, "isolation.level", Either(&["read_committed"])),
    knob(Consumer, "fetch.min.bytes", Either(&["100", "5000"])),
    knob(Consumer, "fetch.max.wait.ms", Either(&["50", "2000"])),
    knob(Consumer, "fetch.max.bytes", Either(&["500", "20000"])),
    knob(Consumer, "max.partition.fetch.bytes", Either(&["500", "20000"])),
    knob(Consumer, "max.poll.records", Either(&["1", "20"])),
    knob(Consumer, "request.timeout.ms", Either(&["5000"])),
    knob(Consumer, "retry.backoff.ms", Either(&["20", "500"])),
    knob(Consumer, "retry.backoff.max.ms", Either(&["3000"])),
    knob(Consumer, "reconnect.backoff.ms", Either(&["10", "500"])),
    knob(Consumer, "reconnect.backoff.max.ms", Either(&["3000"])),
    knob(Consumer, "metadata.max.age.ms", Either(&["5000", "30000"])),
    knob(Consumer, "connections.max.idle.ms", Either(&["5000", "30000"])),
    knob(Consumer, "socket.connection.setup.timeout.ms", Either(&["2000", "5000"])),
    knob(Consumer, "socket.connection.setup.timeout.max.ms", Either(&["12000"])),
    knob(Consumer, "metadata.recovery.rebootstrap.trigger.ms", Either(&["10000", "60000"])),
    knob(Consumer, "default.api.timeout.ms", Either(&["5000", "120000"])),
    knob(Consumer, "check.crcs", Either(&["false"])),
    knob(Consumer, "allow.auto.create.topics", Either(&["false"])),
    knob(Admin, "default.api.timeout.ms", Either(&["5000", "20000"])),
    knob(Admin, "request.timeout.ms", Either(&["2000", "5000"])),
    knob(Admin, "retry.backoff.ms", Either(&["20", "500"])),
    knob(Admin, "retry.backoff.max.ms", Either(&["3000"])),
    knob(Admin, "reconnect.backoff.ms", Either(&["10", "500"])),
    knob(Admin, "reconnect.backoff.max.ms", Either(&["3000"])),
    knob(Admin, "metadata.max.age.ms", Either(&["5000", "30000"])),
];

/// The same of librdkafka's producer.
#[rustfmt::skip]
pub const LIBRDKAFKA: &[(&str, Drawn)] = &[
    ("acks", Elsewhere),
    ("enable.idempotence", Elsewhere),
    ("retries", Free(&["1", "3"])),
    ("max.in.flight.requests.per.connection", Elsewhere),
    ("linger.ms", Elsewhere),
    ("batch.size", Elsewhere),
    ("batch.num.messages", Either(&["1", "20"])),
    ("queue.buffering.max.messages", Either(&["5", "50"])),
    ("queue.buffering.max.kbytes", Either(&["16"])),
    ("message.timeout.ms", Elsewhere),
    ("message.max.bytes", Either(&["100000"])),
    ("compression.type", Either(&["gzip", "snappy", "lz4", "zstd"])),
    ("partitioner", Either(&["random", "murmur2_random", "fnv1a"])),
    ("sticky.partitioning.linger.ms", Either(&["0", "1000"])),
    ("request.timeout.ms", Either(&["5000"])),
    ("socket.timeout.ms", Either(&["20000"])),
    ("retry.backoff.ms", Either(&["20", "500"])),
    ("retry.backoff.max.ms", Either(&["3000"])),
    ("reconnect.backoff.ms", Either(&["10", "500"])),
    ("reconnect.backoff.max.ms", Either(&["3000"])),
    ("topic.metadata.refresh.interval.ms", Either(&["5000", "30000"])),
    ("socket.connection.setup.timeout.ms", Either(&["2000", "5000"])),
];

const fn knob(table: Table, key: &'static str, drawn: Drawn) -> Knob {
    Knob { table, key, drawn }
}

/// Some keys of a table with values; half of the time none.
pub fn draw(dice: &mut Dice<'_>, half: Half, table: Table) -> Vec<(&'static str, &'static str)> {
    let own = KNOBS.iter().filter(|k| k.table == table);
    draw_of(dice, half, own.map(|k| (k.key, k.drawn)))
}

/// The same of librdkafka's producer.
pub fn draw_librdkafka(dice: &mut Dice<'_>, half: Half) -> Vec<(&'static str, &'static str)> {
    draw_of(dice, half, LIBRDKAFKA.iter().copied())
}

fn draw_of(
    dice: &mut Dice<'_>,
    half: Half,
    table: impl Iterator<Item = (&'static str, Drawn)>,
) -> Vec<(&'static str, &'static str)> {
    let values = |(key, drawn)| match drawn {
        Either(values) => Some((key, values)),
        Free(values) => (half == Half::Free).then_some((key, values)),
        Elsewhere | Never(_) => None,
    };
    let own: Vec<(&'static str, &'static [&'static str])> = table.filter_map(values).collect();
    if dice.chance(50) {
        return Vec::new();
    }
    let count = dice.within(1, 5);
    let mut drawn: Vec<(&'static str, &'static str)> = Vec::new();
    for _ in 0..count {
        let (key, values) = dice.pick(&own);
        let value = dice.pick(values);
        if drawn.iter().all(|(there, _)| *there != key) {
            drawn.push((key, value));
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use klab_kafka::config::{
        AdminConfig, Configs, ConsumerConfig, LibrdkafkaConfig, ProducerConfig, ServerConfig,
        TopicConfig,
    };

    fn keys<C: Configs>(table: Table) -> Vec<(Table, &'static str)> {
        C::KEYS.iter().map(|key| (table, key.name)).collect()
    }

    #[test]
    fn every_setting_is_drawn_or_says_why_not() {
        let all = [
            keys::<ServerConfig>(Server),
            keys::<TopicConfig>(Topic),
            keys::<ProducerConfig>(Producer),
            keys::<ConsumerConfig>(Consumer),
            keys::<AdminConfig>(Admin),
        ]
        .concat();
        for key in &all {
            let rows = KNOBS.iter().filter(|k| (k.table, k.key) == *key).count();
            assert_eq!(rows, 1, "{key:?} needs one row of its own in KNOBS");
        }
        assert_eq!(KNOBS.len(), all.len(), "a row of a key that is gone");
        let librdkafkas: Vec<&str> = LibrdkafkaConfig::KEYS.iter().map(|k| k.name).collect();
        let rows: Vec<&str> = LIBRDKAFKA.iter().map(|(key, _)| *key).collect();
        assert_eq!(librdkafkas, rows);
    }

    #[test]
    fn every_value_is_one_of_its_key_and_not_its_default() {
        fn set<C: Configs>(key: &str, value: &str) -> (String, String) {
            let row = C::KEYS.iter().find(|k| k.name == key).expect("it is there");
            let mut config = C::default();
            let default = (row.get)(&config);
            (row.set)(&mut config, value).unwrap_or_else(|()| panic!("{key}={value}"));
            (default, (row.get)(&config))
        }
        for knob in KNOBS {
            let (Either(values) | Free(values)) = knob.drawn else {
                continue;
            };
            for value in values {
                let (default, now) = match knob.table {
                    Server => set::<ServerConfig>(knob.key, value),
                    Topic => set::<TopicConfig>(knob.key, value),
                    Producer => set::<ProducerConfig>(knob.key, value),
                    Consumer => set::<ConsumerConfig>(knob.key, value),
                    Admin => set::<AdminConfig>(knob.key, value),
                };
                assert_ne!(default, now, "{}", knob.key);
            }
        }
        for (key, drawn) in LIBRDKAFKA {
            if let Either(values) | Free(values) = drawn {
                for value in *values {
                    let (default, now) = set::<LibrdkafkaConfig>(key, value);
                    assert_ne!(default, now, "librdkafka's {key}");
                }
            }
        }
    }
}
