//! From a seed to a whole run: a drawn cluster, topics, settings, workload and faults, then heal and a demand for
//! progress. What is drawn is an ordinary scenario; what its faults became is on the tape of the run.
//!
//! Two halves. In the *safe* half the settings leave nothing to explain: lost, duplicated and reordered are 0, or klab (or
//! Kafka) has a bug. In the *free* half anything goes, and every loss needs its explanation.

pub mod dice;
pub mod explore;
pub mod faults;

use crate::scenario::*;
use crate::streams::{Stream, Streams};
use dice::Dice;
use klab_kafka::config::{Acks, AdminConfig, Configs, ProducerConfig, ServerConfig};
use klab_kafka::rules::Rules;
use klab_kafka::time::{Duration, Timestamp};
use quantity::{Range, Rate};
use selector::Selector;
use std::collections::BTreeMap;
use std::sync::Arc;
use trigger::{Fact, PartitionVerb, ProcessVerb, Trigger};

/// Whether the settings leave nothing to explain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// acks=all, idempotence, one request in flight, min.insync.replicas 2 of 3, clean elections, recoverable faults.
    Safe,
    /// Anything.
    Free,
}

/// Faults fall within so many ms after ready.
const FAULTS_UNTIL: u64 = 60_000;

/// The scenario of a seed.
pub fn scenario(seed: u64, half: Half, rules: &Rules) -> Scenario {
    let names = crate::process::Names::new(Vec::new());
    let mut streams = Streams::new(seed);
    let mut source = |n| streams.below(Stream::Swarm, n, &names);
    let mut dice = Dice::new(&mut source);
    let cluster = draw_cluster(&mut dice, half, rules);
    let topics = draw_topics(&mut dice, half, cluster.brokers);
    let producers = draw_producers(&mut dice, half, &topics);
    let consumers = draw_consumers(&mut dice, &topics);
    let steps = draw_steps(&mut dice, half, &topics);
    // From 50 µs, one room, to 2 ms, one region.
    let base = 1_000 * dice.octaves(2_000).max(50);
    let scenario = Scenario {
        title: format!("swarm {seed}").into(),
        teaches: None,
        seed: Some(seed),
        start: Timestamp(1_767_225_600_000),
        network: NetworkPlan::plain(
            Range {
                min: base,
                max: base * dice.within(1, 4),
            },
            dice.chance(30)
                .then(|| dice.within(1_000_000, 1_000_000_000)),
        ),
        cluster,
        end: EndPlan {
            at: EndPlan::default_at(&producers),
            heal: Heal::All,
            within: Duration::secs(300),
        },
        admin: AdminConfig::default(),
        topics,
        producers,
        consumers,
        assets: BTreeMap::new(),
        steps,
        expect: Vec::new(),
        tries: Vec::new(),
        tell: Vec::new(),
        twins: Vec::new(),
    };
    assert!(half == Half::Free || leaves_nothing_to_explain(&scenario));
    scenario
}

/// Whether a run of this scenario may lose, duplicate or reorder nothing that was acknowledged, whatever its faults do.
pub fn leaves_nothing_to_explain(scenario: &Scenario) -> bool {
    let is_safe_topic = |t: &TopicPlan| {
        let is = |key: &str, value: &str| t.config.get(key).is_some_and(|v| &**v == value);
        t.replication_factor >= 3
            && is("min.insync.replicas", "2")
            && !is("unclean.leader.election.enable", "true")
    };
    let is_safe_producer = |p: &ProducerPlan| {
        let c = &p.config;
        c.acks.value == Acks::All
            && c.enable_idempotence.value
            && c.max_in_flight == 1
            && p.on_restart == OnRestart::Continue
            && p.on_failure == OnFailure::GiveUp
    };
    let is_safe_step = |s: &Step| match &s.action {
        Action::Random { budget, .. } => *budget == Budget::Recoverable,
        _ => false,
    };
    scenario.topics.values().all(is_safe_topic)
        && scenario.producers.values().all(is_safe_producer)
        && scenario.steps.iter().all(is_safe_step)
        && !scenario.cluster.config.unclean_leader_election_enable
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
    }
    ClusterPlan {
        brokers,
        controllers,
        racks: Vec::new(),
        era: "4.0".into(),
        rules: rules.clone(),
        rules_of: BTreeMap::new(),
        config,
        config_of: BTreeMap::new(),
        sync: Range {
            min: 50_000,
            max: 1_000 * dice.within(100, 5_000),
        },
        sync_tail: None,
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
        let plan = TopicPlan {
            partitions: dice.within(1, 3) as i32,
            replication_factor: replication_factor as i16,
            replicas: None,
            config,
            later: false,
        };
        let i = usize::try_from(i).expect("one of two");
        (Arc::from(["orders", "payments"][i]), plan)
    };
    (0..count).map(|i| topic(i, dice)).collect()
}

fn draw_producers(
    dice: &mut Dice<'_>,
    half: Half,
    topics: &BTreeMap<Arc<str>, TopicPlan>,
) -> BTreeMap<Arc<str>, ProducerPlan> {
    let names: Vec<Arc<str>> = topics.keys().cloned().collect();
    let count = dice.within(1, 3);
    let producer = |i: u64, dice: &mut Dice<'_>| {
        let count = dice.pick(&[1, 2, 5, 10, 20]);
        let rate = Rate {
            count,
            per_ns: 1_000_000_000,
        };
        let plan = ProducerPlan {
            topic: dice.pick(&names),
            records: count * dice.within(20, 60) as u32,
            rate,
            burst: 1,
            after: Duration::millis(dice.within(0, 2_000)),
            keys: dice.chance(60).then(|| dice.within(1, 20) as u32),
            key_order: KeyOrder::InTurn,
            size: {
                let size = dice.pick(&[10, 100, 1_000]);
                Range {
                    min: size,
                    max: size,
                }
            },
            rows: None,
            partition: None,
            timestamp: None,
            headers: BTreeMap::new(),
            on_failure: OnFailure::GiveUp,
            answers: dice.pick(&[Answers::AfterSend, Answers::InCallback]),
            on_restart: match half {
                Half::Safe => OnRestart::Continue,
                Half::Free => dice.pick(&[OnRestart::Continue, OnRestart::ResendUnconfirmed]),
            },
            on_stop: OnStop::Close,
            config: draw_producer_config(dice, half),
        };
        let i = usize::try_from(i).expect("one of three");
        (Arc::from(["shop", "bank", "sensor"][i]), plan)
    };
    (0..count).map(|i| producer(i, dice)).collect()
}

fn draw_producer_config(dice: &mut Dice<'_>, half: Half) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    let mut set = |key: &str, value: &str| {
        config
            .set(key, value)
            .expect("the swarm draws from the table's own keys and values");
    };
    set("linger.ms", dice.pick(&["0", "5", "50"]));
    set("batch.size", dice.pick(&["1", "200", "16384"]));
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

fn draw_consumers(
    dice: &mut Dice<'_>,
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
    let plan = ConsumerPlan {
        assign: assign.collect(),
        config,
    };
    [(Arc::from("auditor"), plan)].into()
}

/// C.1: of ten runs one has no fault, six have 1 to 3; a quarter has 4 to 8; one in twenty up to 30. Each family is
/// switched off in half of the runs.
fn draw_steps(
    dice: &mut Dice<'_>,
    half: Half,
    topics: &BTreeMap<Arc<str>, TopicPlan>,
) -> Vec<Step> {
    let (least, most) = dice.weighted(&[(10, (0, 0)), (60, (1, 3)), (25, (4, 8)), (5, (9, 30))]);
    let count = dice.within(least, most);
    let follow_ups = if count == 0 {
        0
    } else {
        dice.within(2, 2 + count.div_ceil(2))
    };
    let all = [
        (30, Family::Partition),
        (20, Family::Network),
        (20, Family::Crash),
        (8, Family::Power),
        (12, Family::Pause),
        (12, Family::Message),
    ];
    let mut families: Vec<(u64, Family)> = all.into_iter().filter(|_| dice.chance(50)).collect();
    if families.is_empty() {
        families.push((1, Family::Any));
    }
    let budget = match half {
        Half::Safe => Budget::Recoverable,
        Half::Free => Budget::None,
    };
    let step = |i: u64, dice: &mut Dice<'_>| Step {
        id: 1_000 * (i + 1),
        when: match i < count {
            true => When::At(ScenarioTime(
                dice.within(500, FAULTS_UNTIL - 1_000) as i64 * 1_000_000,
            )),
            false => draw_trigger(dice, topics),
        },
        action: Action::Random {
            family: dice.weighted(&families),
            budget,
        },
        lasts: Lasts::UntilHeal,
        optional: true,
    };
    (0..count + follow_ups).map(|i| step(i, dice)).collect()
}

/// Protocols are weakest while they change hands: a fault may follow close upon an election, a change of the ISR, a
/// truncation or a comeback, instead of falling at any time.
fn draw_trigger(dice: &mut Dice<'_>, topics: &BTreeMap<Arc<str>, TopicPlan>) -> When {
    let names: Vec<&Arc<str>> = topics.keys().collect();
    let topic = dice.pick(&names);
    let partitions = topics[topic].partitions as u64;
    let partition = selector::TopicPartition {
        topic: topic.clone(),
        partition: dice.below(partitions) as i32,
    };
    let n = dice.within(1, 2) as i64;
    let on = |verb, n| Fact::OnPartition(verb, partition, n);
    let (who, fact) = match dice.below(7) {
        0 => (Selector::Brokers, on(PartitionVerb::Elected, 1)),
        1 => (Selector::Brokers, on(PartitionVerb::TruncatedTo, i64::MAX)),
        2 => (Selector::Brokers, on(PartitionVerb::ShrankIsr, n)),
        3 => (Selector::Brokers, on(PartitionVerb::ExpandedIsr, 2)),
        4 | 5 => (Selector::Brokers, Fact::Itself(ProcessVerb::Unfenced)),
        _ => (Selector::Controllers, Fact::Itself(ProcessVerb::Elected)),
    };
    When::Met {
        trigger: Trigger { who, fact },
        nth: dice.within(1, 2) as u32,
        after: match dice.chance(30) {
            true => Duration::ZERO,
            false => Duration(1_000 * dice.octaves(100_000)),
        },
        only_while: None,
    }
}
