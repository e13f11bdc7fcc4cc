//! From a seed to a whole run: a drawn cluster, topics, settings, workload and faults, then heal and a demand for
//! progress. What is drawn is an ordinary scenario; what its faults became is on the tape of the run.
//!
//! Two halves. In the *safe* half the settings leave nothing to explain: lost, duplicated and reordered are 0, or klab (or
//! Kafka) has a bug. In the *free* half anything goes, and every loss needs its explanation.

pub mod dice;
pub mod explore;
pub mod faults;
pub mod inputs;
pub mod knobs;
mod operations;
mod producers;
mod rows;
pub mod steps;
mod storage;

use self::steps::{Cast, draw_steps};
use crate::network::harm::Tail;
use crate::scenario::*;
use crate::streams::{Stream, Streams};
use dice::Dice;
use grammar::Table;
use klab_kafka::config::{Acks, AdminConfig, Configs, LibrdkafkaConfig, ServerConfig, TopicConfig};
use klab_kafka::ids::NodeId;
use klab_kafka::log::config::LogConfig;
use klab_kafka::rules::Rules;
use klab_kafka::time::{Duration, Timestamp};
use operation::Operation;
use quantity::Range;
use selector::Selector;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether the settings leave nothing to explain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// acks=all, idempotence, one request in flight, min.insync.replicas 2 of 3, clean elections, recoverable faults.
    Safe,
    /// Anything.
    Free,
}

/// What the clocks may say when a drawn run begins: mostly the new year of 2026; else shortly before the leap day of 2000, or
/// before seconds leave 31 bits in 2038.
const STARTS: [(u64, Timestamp); 3] = [
    (80, Timestamp(1_767_225_600_000)),
    (10, Timestamp(951_782_370_000)),
    (10, Timestamp(2_147_483_618_000)),
];

/// The scenario of a seed.
pub fn scenario(seed: u64, half: Half, rules: &Rules) -> Scenario {
    let names = crate::process::Names::new(Vec::new());
    let mut streams = Streams::new(seed);
    let mut source = |n| streams.below(Stream::Swarm, n, &names);
    let mut dice = Dice::new(&mut source);
    let start = dice.weighted(&STARTS);
    let cluster = draw_cluster(&mut dice, half, rules);
    let topics = draw_topics(&mut dice, half, cluster.brokers);
    let assets = rows::draw_assets(&mut dice);
    let given = producers::Given {
        start,
        brokers: &cluster.config,
        topics: &topics,
        assets: &assets,
    };
    let producers = producers::draw(&mut dice, half, &given);
    let consumers = draw_consumers(&mut dice, half, &topics);
    let mut admin = AdminConfig::default();
    set_all(&mut admin, knobs::draw(&mut dice, half, Table::Admin));
    let cast = Cast {
        brokers: cluster.brokers,
        controllers: cluster.controllers,
        racks: &cluster.racks,
        topics: &topics,
        producers: &producers,
    };
    let steps = draw_steps(&mut dice, half, &cast);
    let brokers = cluster.brokers;
    // From 50 µs, one room, to 2 ms, one region.
    let base = 1_000 * dice.octaves(2_000).max(50);
    let scenario = Scenario {
        title: format!("swarm {seed}").into(),
        teaches: None,
        seed: Some(seed),
        start,
        network: draw_network(&mut dice, base, &cluster),
        cluster,
        end: EndPlan {
            at: EndPlan::default_at(&producers) + dice.pick(&[Duration::ZERO, Duration::secs(10)]),
            heal: Heal::All,
            within: dice.chance(10).then_some(Duration::secs(600)),
        },
        admin,
        topics: topics.into_iter().chain([nobodys(brokers)]).collect(),
        producers,
        consumers,
        assets,
        steps,
        expect: Vec::new(),
        tries: Vec::new(),
        tell: Vec::new(),
        twins: Vec::new(),
    };
    assert!(half == Half::Free || leaves_nothing_to_explain(&scenario));
    scenario
}

/// The topic that operators create and delete: nobody writes to it.
pub const NOBODYS: &str = "refunds";

fn nobodys(brokers: u32) -> (Arc<str>, TopicPlan) {
    let plan = TopicPlan {
        partitions: 1,
        replication_factor: brokers.min(3) as i16,
        replicas: None,
        config: BTreeMap::new(),
        later: true,
    };
    (NOBODYS.into(), plan)
}

/// Whether a run of this scenario may lose, duplicate or reorder nothing that was acknowledged, whatever its faults do.
pub fn leaves_nothing_to_explain(scenario: &Scenario) -> bool {
    let is_safe_topic = |t: &TopicPlan| {
        let is = |key: &str, value: &str| t.config.get(key).is_some_and(|v| &**v == value);
        let mut by_hand = t.replicas.iter().flatten();
        t.replication_factor >= 3
            && by_hand.all(|replicas| replicas.len() >= 3)
            && is("min.insync.replicas", "2")
            && !is("unclean.leader.election.enable", "true")
    };
    let is_safe_producer = |p: &ProducerPlan| {
        // librdkafka's own settings are what it goes by.
        let own = p.librdkafka.as_ref().map(LibrdkafkaConfig::in_java);
        let c = own.as_ref().unwrap_or(&p.config);
        c.acks.value == Acks::All
            && c.enable_idempotence.value
            && c.max_in_flight == 1
            && p.on_restart == OnRestart::Continue
            && p.on_failure == OnFailure::GiveUp
    };
    let cluster = &scenario.cluster;
    let configs = || cluster.config_of.values().chain([&cluster.config]);
    let written = || scenario.topics.values().filter(|t| !t.later);
    let is_safe_broker = |c: &ServerConfig| {
        let expires = ServerConfig::default().producer_id_expiration_ms;
        !c.unclean_leader_election_enable
            && c.producer_id_expiration_ms >= expires
            && written().all(|t| !can_be_emptied(c, t))
    };
    written().all(is_safe_topic)
        && scenario.producers.values().all(is_safe_producer)
        && are_safe(&scenario.steps)
        && configs().all(is_safe_broker)
        && cluster.rules_of.values().all(|r| *r == cluster.rules)
        && scenario.consumers.values().all(|c| c.rules.is_none())
}

/// Whether a log may give up all that it holds: a leader that starts again with an empty log knows no producer any more, and
/// takes up a retry of a batch that it has had.
fn can_be_emptied(broker: &ServerConfig, topic: &TopicPlan) -> bool {
    let mut own = TopicConfig::default();
    set_all(&mut own, topic.config.iter().map(|(k, v)| (&**k, &**v)));
    let log = LogConfig::of(broker, &own);
    let longest = ServerConfig::default().log_retention_ms;
    let by_age = (0..longest).contains(&log.retention_ms);
    log.cleanup.delete && (by_age || log.retention_bytes == 0)
}

/// Drawn harm is within its budget. What a step says by itself is in none: it may take no data, and stands beside no drawn
/// harm that might.
fn are_safe(steps: &[Step]) -> bool {
    use crate::fault::Fault::{CrashAt, DiskLoss, PowerLoss};
    let harmless = |key: &Arc<str>| {
        !matches!(
            &**key,
            "min.insync.replicas"
                | "unclean.leader.election.enable"
                | "cleanup.policy"
                | "log.cleanup.policy"
                | "retention.ms"
                | "log.retention.ms"
                | "retention.bytes"
                | "log.retention.bytes"
                | "producer.id.expiration.ms"
        )
    };
    let is_safe = |s: &Step| match &s.action {
        Action::Random { budget, .. } => *budget == Budget::Recoverable,
        Action::Fault(PowerLoss { .. } | DiskLoss { .. } | CrashAt { power: Some(_), .. }) => false,
        Action::Admin(asked) => match asked {
            Operation::AlterConfig { config, .. } => config.keys().all(harmless),
            Operation::ElectLeaders { unclean, .. } => !unclean,
            Operation::DeleteTopic(name) => &**name == NOBODYS,
            Operation::DeleteRecords { .. } => false,
            Operation::DescribeConfig(_)
            | Operation::CreateTopic { .. }
            | Operation::AddPartitions { .. } => true,
        },
        Action::Fault(_) | Action::Roll { .. } => true,
    };
    let is_said = |s: &Step| matches!(s.action, Action::Fault(_));
    let may_take = |s: &Step| match s.action {
        Action::Random { family, .. } => matches!(family, Family::Power | Family::Any),
        _ => false,
    };
    steps.iter().all(is_safe) && !(steps.iter().any(is_said) && steps.iter().any(may_take))
}

/// N1 to N3: one room or one region; some runs have slow messages, lossy links, racks far apart, or a narrow machine.
fn draw_network(dice: &mut Dice<'_>, base: u64, cluster: &ClusterPlan) -> NetworkPlan {
    let latency = Range {
        min: base,
        max: base * dice.within(1, 4),
    };
    let bandwidth = dice
        .chance(30)
        .then(|| dice.within(1_000_000, 1_000_000_000));
    let mut plan = NetworkPlan::plain(latency, bandwidth);
    if dice.chance(25) {
        plan.tail = Some(Tail {
            ppm: dice.pick(&[100, 1_000, 3_000]),
            upto: 100_000_000,
        });
    }
    if dice.chance(20) {
        plan.loss = 10 * dice.octaves(1_000) as u32;
    }
    if let [a, b, ..] = &cluster.racks[..] {
        if dice.chance(60) {
            let rack = |r: &Arc<str>| Selector::Rack(r.clone());
            plan.links.push(LinkPlan {
                between: (rack(a), rack(b)),
                latency: Some(Range {
                    min: 5 * base,
                    max: 10 * base,
                }),
                bandwidth: dice.chance(50).then(|| dice.within(1_000_000, 100_000_000)),
            });
        }
    }
    if dice.chance(10) {
        let n = dice.within(1, u64::from(cluster.brokers));
        let bandwidth = dice.within(1_000_000, 100_000_000);
        plan.nodes.insert(format!("broker-{n}").into(), bandwidth);
    }
    plan
}

fn draw_cluster(dice: &mut Dice<'_>, half: Half, rules: &Rules) -> ClusterPlan {
    let brokers = match half {
        Half::Safe => dice.weighted(&[(70, 3), (15, 4), (15, 5)]),
        Half::Free => dice.weighted(&[(10, 2), (65, 3), (15, 4), (10, 5)]),
    };
    let controllers = dice.weighted(&[(10, 1), (65, 3), (25, 5)]);
    let mut config = ServerConfig::default();
    // Half of the runs have shrunk knobs: the same code, nearer to its edges.
    if dice.chance(50) {
        config.replica_lag_time_max_ms = dice.pick(&[2_000, 5_000, 10_000, 30_000]);
        config.broker_session_timeout_ms = dice.pick(&[3_000, 6_000, 9_000]);
        config.broker_heartbeat_interval_ms = dice.pick(&[500, 1_000, 2_000]);
        config.replica_fetch_wait_max_ms = dice.pick(&[50, 200, 500]);
        config.log_initial_task_delay_ms = dice.pick(&[500, 5_000, 30_000]);
        config.log_retention_check_interval_ms = dice.pick(&[500, 5_000, 300_000]);
        config.log_cleaner_backoff_ms = dice.pick(&[500, 3_000, 15_000]);
    }
    storage::draw_for_all(dice, half, &mut config);
    set_all(&mut config, knobs::draw(dice, half, Table::Server));
    let mut config_of = BTreeMap::new();
    if dice.chance(15) {
        let mut own = config.clone();
        set_all(&mut own, knobs::draw(dice, half, Table::Server));
        let n = dice.within(1, u64::from(brokers));
        if own != config {
            config_of.insert(format!("broker-{n}").into(), own);
        }
    }
    let racks: &[&str] = dice.pick(&[&[], &[], &["a", "b"], &["a", "b", "c"]]);
    let racks = racks.iter().take(brokers as usize);
    ClusterPlan {
        brokers,
        controllers,
        racks: racks.map(|r| Arc::from(*r)).collect(),
        era: "4.0".into(),
        rules: rules.clone(),
        rules_of: BTreeMap::new(),
        config,
        config_of,
        sync: Range {
            min: 50_000,
            max: 1_000 * dice.within(100, 5_000),
        },
        sync_tail: dice.chance(20).then(|| Tail {
            ppm: dice.pick(&[500, 10_000]),
            upto: 50_000_000,
        }),
    }
}

fn set_all<'a, C: Configs>(config: &mut C, drawn: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (key, value) in drawn {
        let set = config.set(key, value);
        set.unwrap_or_else(|e| panic!("{key}={value}: {e:?}"));
    }
}

fn draw_topics(dice: &mut Dice<'_>, half: Half, brokers: u32) -> BTreeMap<Arc<str>, TopicPlan> {
    let most = brokers.min(3) as u64;
    let count = dice.within(1, 2);
    let topic = |i: u64, dice: &mut Dice<'_>| {
        let replication_factor = match half {
            Half::Safe => most,
            Half::Free => dice.weighted(&[(1, 1), (3, 2), (6, most)]).min(most),
        };
        let min_isr = match half {
            Half::Safe => 2,
            Half::Free => dice.within(1, replication_factor),
        };
        let mut config = BTreeMap::new();
        config.insert("min.insync.replicas".into(), min_isr.to_string().into());
        if half == Half::Free && dice.chance(60) {
            config.insert("unclean.leader.election.enable".into(), "true".into());
        }
        for (key, value) in knobs::draw(dice, half, Table::Topic) {
            config.insert(key.into(), value.into());
        }
        let partitions = dice.within(1, 3);
        let replicas = dice.chance(20).then(|| {
            let broker = |n: u64| NodeId((n % u64::from(brokers)) as i32 + 1);
            let of = |p: u64| (p..p + replication_factor).map(broker).collect();
            (0..partitions).map(of).collect()
        });
        for (key, value) in storage::draw(dice, half) {
            config.insert(key.into(), value.into());
        }
        let plan = TopicPlan {
            partitions: partitions as i32,
            replication_factor: replication_factor as i16,
            replicas,
            config,
            later: false,
        };
        let i = usize::try_from(i).expect("one of two");
        (Arc::from(["orders", "payments"][i]), plan)
    };
    (0..count).map(|i| topic(i, dice)).collect()
}

fn draw_consumers(
    dice: &mut Dice<'_>,
    half: Half,
    topics: &BTreeMap<Arc<str>, TopicPlan>,
) -> BTreeMap<Arc<str>, ConsumerPlan> {
    if !dice.chance(70) {
        return BTreeMap::new();
    }
    let assign = topics.iter().flat_map(|(topic, plan)| {
        (0..plan.partitions).map(|partition| selector::TopicPartition {
            topic: topic.clone(),
            partition,
        })
    });
    let mut config = klab_kafka::config::ConsumerConfig::default();
    config
        .set("auto.offset.reset", "earliest")
        .expect("a value of the table");
    set_all(&mut config, knobs::draw(dice, half, Table::Consumer));
    let plan = ConsumerPlan {
        assign: assign.collect(),
        config,
        rules: None,
    };
    [(Arc::from("auditor"), plan)].into()
}
