//! The producers of a drawn run: what they send, how fast, with which client and settings.

use super::dice::Dice;
use super::{Half, knobs, rows, set_all, storage};
use crate::scenario::grammar::Table;
use crate::scenario::quantity::{Range, Rate};
use crate::scenario::*;
use klab_kafka::config::{LibrdkafkaConfig, ProducerConfig, ServerConfig};
use klab_kafka::time::{Duration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What producers are drawn for.
pub struct Given<'a> {
    /// What the clocks say at the beginning.
    pub start: Timestamp,
    /// What the brokers start with.
    pub brokers: &'a ServerConfig,
    /// The topics that are written to.
    pub topics: &'a BTreeMap<Arc<str>, TopicPlan>,
    /// What rows there are.
    pub assets: &'a rows::Assets,
}

/// One to three of them.
pub fn draw(
    dice: &mut Dice<'_>,
    half: Half,
    given: &Given<'_>,
) -> BTreeMap<Arc<str>, ProducerPlan> {
    let topics = given.topics;
    let names: Vec<Arc<str>> = topics.keys().cloned().collect();
    let count = dice.within(1, 3);
    let producer = |i: u64, dice: &mut Dice<'_>| {
        let topic = dice.pick(&names);
        // A few send records without keys all the same, which are refused.
        let keyed = match storage::is_compacted(&topics[&topic], given.brokers) {
            true => 95,
            false => 60,
        };
        let count = dice.pick(&[1, 2, 5, 10, 20]);
        let rate = Rate {
            count,
            per_ns: 1_000_000_000,
        };
        let mut plan = ProducerPlan {
            records: count * dice.within(20, 60) as u32,
            rate,
            burst: match dice.chance(20) {
                true => dice.within(2, 20) as u32,
                false => 1,
            },
            after: Duration::millis(dice.within(0, 2_000)),
            unanswered: dice.chance(15).then(|| dice.within(1, 5) as u32),
            keys: dice.chance(keyed).then(|| dice.within(1, 20) as u32),
            tombstones: dice.chance(25).then(|| dice.within(2, 10) as u32),
            key_order: dice.pick(&[KeyOrder::InTurn, KeyOrder::Uniform, KeyOrder::Skewed]),
            size: {
                let min = dice.pick(&[10, 100, 1_000]);
                let max = min * dice.pick(&[1, 1, 1, 10]);
                Range { min, max }
            },
            rows: rows::draw(dice, given.assets, keyed),
            partition: dice
                .chance(10)
                .then(|| dice.below(topics[&topic].partitions as u64) as i32),
            timestamp: dice
                .chance(10)
                .then(|| Timestamp(given.start.0 + dice.within(0, 120_000) as i64)),
            headers: match dice.chance(15) {
                true => [("trace".into(), "7f3a".into())].into(),
                false => BTreeMap::new(),
            },
            on_failure: match half {
                Half::Safe => OnFailure::GiveUp,
                Half::Free => dice.pick(&[OnFailure::GiveUp, OnFailure::GiveUp, OnFailure::Resend]),
            },
            topic,
            answers: dice.pick(&[Answers::AfterSend, Answers::InCallback]),
            on_restart: match half {
                Half::Safe => OnRestart::Continue,
                Half::Free => dice.pick(&[OnRestart::Continue, OnRestart::ResendUnconfirmed]),
            },
            on_stop: dice.pick(&[OnStop::Close, OnStop::Close, OnStop::Exit]),
            config: draw_config(dice, half),
            librdkafka: None,
            polls: Polls::AfterSend,
        };
        // Behind slow commits, a queue of small batches and a short deadline: what is sent at last has no time left to be
        // acknowledged, and an application that sends it again keeps the queue as long as it is, for ever (seed 1849).
        if plan.on_failure == OnFailure::Resend && plan.config.batch_size < 16_384 {
            let defaults = ProducerConfig::default();
            plan.config.delivery_timeout_ms = defaults.delivery_timeout_ms;
            plan.config.request_timeout_ms = defaults.request_timeout_ms;
        }
        // Who waits for each answer needs half a second a record where a follower is slow to copy it (seed 1137).
        if let Some(most) = plan.unanswered {
            plan.records = plan.records.min(40 * most);
        }
        if dice.chance(20) {
            let own = draw_librdkafka(dice, half, plan.on_failure);
            plan.config = own.in_java();
            plan.librdkafka = Some(own);
            plan.polls = dice.pick(&[Polls::AfterSend, Polls::AfterSend, Polls::AtTheEnd]);
            if plan.polls == Polls::AtTheEnd {
                plan.unanswered = None;
            }
        }
        let i = usize::try_from(i).expect("one of three");
        (Arc::from(["shop", "bank", "sensor"][i]), plan)
    };
    (0..count).map(|i| producer(i, dice)).collect()
}

/// librdkafka: by its defaults it doubles records and mixes them up, which the safe half forbids it.
fn draw_librdkafka(dice: &mut Dice<'_>, half: Half, on_failure: OnFailure) -> LibrdkafkaConfig {
    let mut config = LibrdkafkaConfig::default();
    let mut set = |key, value| set_all(&mut config, [(key, value)]);
    set("linger.ms", dice.pick(&["0", "5", "50"]));
    set("batch.size", dice.pick(&["1", "200", "1000000"]));
    for (key, value) in knobs::draw_librdkafka(dice, half) {
        set(key, value);
    }
    let in_flight = "max.in.flight.requests.per.connection";
    if half == Half::Safe {
        set("enable.idempotence", "true");
        set(in_flight, "1");
        return config;
    }
    let most = match dice.chance(30) {
        true => {
            set("enable.idempotence", "true");
            dice.pick(&["1", "5"])
        }
        false => {
            set("acks", dice.pick(&["all", "all", "1", "0"]));
            dice.pick(&["1", "5", "1000000"])
        }
    };
    set(in_flight, most);
    // As with Kafka's own client, a short deadline and an application that sends again may never come to an end.
    if on_failure == OnFailure::GiveUp && dice.chance(40) {
        set("message.timeout.ms", dice.pick(&["6000", "15000"]));
    }
    config
}

fn draw_config(dice: &mut Dice<'_>, half: Half) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    let mut set = |key, value| set_all(&mut config, [(key, value)]);
    set("linger.ms", dice.pick(&["0", "5", "50"]));
    set("batch.size", dice.pick(&["1", "200", "16384"]));
    for (key, value) in knobs::draw(dice, half, Table::Producer) {
        set(key, value);
    }
    if half == Half::Safe {
        set("max.in.flight.requests.per.connection", "1");
        return config;
    }
    if dice.chance(50) {
        set("enable.idempotence", "false");
        set("acks", dice.pick(&["all", "1", "0"]));
    }
    set(
        "max.in.flight.requests.per.connection",
        dice.pick(&["1", "2", "5"]),
    );
    if dice.chance(40) {
        set("request.timeout.ms", "5000");
        set("delivery.timeout.ms", dice.pick(&["6000", "15000"]));
    }
    config
}
