//! What operators ask in a drawn run. In the safe half they ask for nothing that takes data or safety from a topic that
//! somebody writes to: they create and delete one of their own.

use super::dice::Dice;
use super::steps::{Cast, draw_partition};
use super::{Half, NOBODYS, knobs};
use crate::scenario::grammar::Table;
use crate::scenario::operation::{ConfigOf, Operation};
use klab_kafka::ids::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One command.
pub fn draw_operation(dice: &mut Dice<'_>, half: Half, cast: &Cast<'_>) -> Operation {
    match dice.below(14) {
        0 | 1 => {
            let of = ConfigOf::Topic(written(dice, cast));
            alter(dice, half, of)
        }
        2 | 3 => {
            let of = broker(dice, cast);
            alter(dice, half, of)
        }
        4 => match dice.chance(50) {
            true => Operation::DescribeConfig(ConfigOf::Topic(written(dice, cast))),
            false => Operation::DescribeConfig(broker(dice, cast)),
        },
        5..=7 => create(dice, half, cast),
        8 => Operation::DeleteTopic(NOBODYS.into()),
        9 => add_partitions(dice, half, cast),
        10 | 11 if half == Half::Free => Operation::DeleteRecords {
            partition: draw_partition(dice, cast),
            before: dice.chance(70).then(|| dice.within(0, 200) as i64),
        },
        _ => Operation::ElectLeaders {
            unclean: half == Half::Free && dice.chance(50),
            partitions: dice.chance(70).then(|| vec![draw_partition(dice, cast)]),
        },
    }
}

fn written(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Arc<str> {
    let names: Vec<&Arc<str>> = cast.topics.keys().collect();
    dice.pick(&names).clone()
}

fn broker(dice: &mut Dice<'_>, cast: &Cast<'_>) -> ConfigOf {
    match dice.chance(50) {
        true => ConfigOf::Broker(NodeId(dice.within(1, u64::from(cast.brokers)) as i32)),
        false => ConfigOf::Brokers,
    }
}

/// Changes or deletes settings; a key that only a restart changes is refused.
fn alter(dice: &mut Dice<'_>, half: Half, of: ConfigOf) -> Operation {
    let (table, always) = match of {
        ConfigOf::Topic(_) => (Table::Topic, ("segment.ms", "20000")),
        _ => (Table::Server, ("log.roll.ms", "20000")),
    };
    let mut drawn = knobs::draw(dice, half, table);
    drawn.retain(|(key, _)| *key != "min.insync.replicas");
    if drawn.is_empty() {
        drawn.push(always);
    }
    let mut config = BTreeMap::new();
    for (key, value) in drawn {
        let value = (!dice.chance(20)).then(|| Arc::from(value));
        config.insert(Arc::from(key), value);
    }
    Operation::AlterConfig { of, config }
}

fn create(dice: &mut Dice<'_>, half: Half, cast: &Cast<'_>) -> Operation {
    let by_hand = dice.chance(30);
    let config = knobs::draw(dice, half, Table::Topic);
    Operation::CreateTopic {
        name: NOBODYS.into(),
        partitions: (!by_hand && dice.chance(60)).then(|| dice.within(1, 4) as i32),
        replication_factor: (!by_hand && dice.chance(60))
            .then(|| dice.within(1, u64::from(cast.brokers)) as i16),
        replicas: match by_hand {
            true => placed(dice, cast),
            false => Vec::new(),
        },
        config: config
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        validate_only: dice.chance(20),
    }
}

/// In the safe half to the operators' own topic, whose new partitions nobody writes to.
fn add_partitions(dice: &mut Dice<'_>, half: Half, cast: &Cast<'_>) -> Operation {
    let has: Vec<(Arc<str>, i32)> = cast
        .topics
        .iter()
        .filter(|_| half == Half::Free)
        .map(|(name, plan)| (name.clone(), plan.partitions))
        .chain([(NOBODYS.into(), 1)])
        .collect();
    let (topic, now) = dice.pick(&has);
    let replicas = dice.chance(30).then(|| placed(dice, cast));
    let more = match &replicas {
        Some(replicas) => i32::try_from(replicas.len()).expect("two at most"),
        None => dice.within(1, 3) as i32,
    };
    Operation::AddPartitions {
        topic,
        count: now + more,
        replicas,
        validate_only: dice.chance(20),
    }
}

/// Replicas of one partition or two.
fn placed(dice: &mut Dice<'_>, cast: &Cast<'_>) -> Vec<Vec<NodeId>> {
    let brokers = u64::from(cast.brokers);
    let replicas = dice.within(1, brokers.min(3));
    let first = dice.below(brokers);
    let node = |n: u64| NodeId((n % brokers) as i32 + 1);
    let of = |p: u64| (first + p..first + p + replicas).map(node).collect();
    (0..dice.within(1, 2)).map(of).collect()
}
