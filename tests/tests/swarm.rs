//! Drawn runs: the settings that leave nothing to explain are known to a function; where they hold nothing is lost, doubled
//! or misplaced, where they do not everything is explained, and the faults that explanations accuse are guilty.
//!
//! What many runs must reach together is judged by `klab swarm --seeds 0..500`.

use klab_kafka::config::{Acks, Configs, ConsumerConfig, Explicit, LibrdkafkaConfig};
use klab_kafka::rules::Rules;
use klab_kafka::time::Duration;
use klab_world::disks::Keep;
use klab_world::fault::Fault;
use klab_world::scenario::operation::{ConfigOf, Operation};
use klab_world::scenario::{
    Action, Budget, ConsumerPlan, Lasts, OnRestart, ProducerPlan, Scenario, ScenarioTime, Step,
    TopicPlan, When,
};
use klab_world::steps::Taped;
use klab_world::swarm::explore::aims::{AIMS, HARM_FOR, Least};
use klab_world::swarm::explore::recheck::{Guilt, recheck, recheck_accused};
use klab_world::swarm::explore::{Drawn, Explored};
use klab_world::swarm::{self, Half, leaves_nothing_to_explain};
use klab_world::trace::Phase;
use klab_world::verdict::FindingKind;
use klab_world::view::View;
use klab_world::world::{Watch, World};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many runs of each half.
const RUNS: u64 = 30;
/// The free half goes on until so many runs lost something to a fault, or until so many runs were done.
const LOSING: usize = 4;
const MOST: u64 = 300;

#[test]
fn every_drawn_safe_scenario_leaves_nothing_to_explain() {
    for seed in 0..300 {
        assert!(leaves_nothing_to_explain(&drawn(seed, Half::Safe)));
    }
}

#[test]
fn without_any_one_of_its_requirements_a_scenario_leaves_something_to_explain() {
    for seed in 0..20 {
        for (requirement, take_away) in REQUIREMENTS {
            let mut scenario = drawn(seed, Half::Safe);
            // A run without drawn harm has none that could be out of budget; one without steps none at all.
            let is_drawn = |s: &Step| matches!(s.action, Action::Random { .. });
            let may_be_taken = match requirement {
                "harm within the budget" => scenario.steps.iter().any(is_drawn),
                "harm that takes no data by itself" => !scenario.steps.is_empty(),
                _ => true,
            };
            if !may_be_taken {
                continue;
            }
            take_away(&mut scenario);
            assert!(
                !leaves_nothing_to_explain(&scenario),
                "seed {seed} without: {requirement}"
            );
        }
    }
}

#[test]
fn librdkafka_with_idempotence_and_one_request_in_flight_leaves_nothing_to_explain() {
    for seed in 0..20 {
        let mut scenario = drawn(seed, Half::Safe);
        give_librdkafka(&mut scenario, true, 1);
        assert!(leaves_nothing_to_explain(&scenario), "seed {seed}");
    }
}

#[test]
fn a_drawn_free_scenario_that_allows_a_loss_is_refused() {
    let allows = |s: &Scenario| {
        let is_unclean = |t: &TopicPlan| t.config.contains_key("unclean.leader.election.enable");
        let is_early = |p: &ProducerPlan| p.config.acks.value != Acks::All;
        (
            s.topics.values().any(is_unclean),
            s.producers.values().any(is_early),
            s.topics.values().any(|t| t.replication_factor < 3),
        )
    };
    let (mut unclean, mut early, mut few) = (0, 0, 0);
    for seed in 0..300 {
        let scenario = drawn(seed, Half::Free);
        let found = allows(&scenario);
        if found != (false, false, false) {
            assert!(!leaves_nothing_to_explain(&scenario), "seed {seed}");
        }
        unclean += u32::from(found.0);
        early += u32::from(found.1);
        few += u32::from(found.2);
    }
    assert!(
        unclean.min(early).min(few) >= 30,
        "{unclean} {early} {few}: the free half is hardly free"
    );
}

#[test]
fn the_safe_half_loses_doubles_and_misplaces_nothing() {
    let mut when = Vec::new();
    for seed in 0..RUNS {
        let drawn = Drawn::run(seed, Half::Safe, &Rules::default());
        let explored = judged(&drawn, &mut when);
        use FindingKind::{Duplicated, Lost, Reordered};
        for kind in [Lost, Duplicated, Reordered] {
            assert_eq!(explored.found.get(&kind), None, "seed {seed}: {kind:?}");
        }
    }
    assert_spread(&when);
}

#[test]
fn the_free_half_explains_everything_and_the_faults_that_it_accuses_are_guilty() {
    let (mut when, mut guilt, mut losing, mut seed) = (Vec::new(), Guilt::default(), 0, 0);
    while seed < RUNS || (losing < LOSING && seed < MOST) {
        let drawn = Drawn::run(seed, Half::Free, &Rules::default());
        judged(&drawn, &mut when);
        let of_run = recheck(&drawn.world, FindingKind::Lost);
        losing += usize::from(of_run.accusing > 0);
        guilt = guilt.and(of_run);
        seed += 1;
    }
    assert_spread(&when);
    assert!(
        losing >= LOSING,
        "only {losing} of {seed} runs lost something to a fault"
    );
    assert!(guilt.is_sound(), "{guilt:?}");
    assert!(2 * guilt.safe >= guilt.accusing, "{guilt:?}");
}

/// Whether a drawn loss of power at 2.5 s strikes broker-1 in one of twenty runs, after these steps.
fn strikes_broker_1(before: &str) -> bool {
    let text = format!(
        r#"{{
            "format": 1,
            "title": "Fellows that are to register anew",
            "topics": {{ "orders": {{ "replication.factor": 3, "config": {{ "min.insync.replicas": 2 }} }} }},
            "producers": {{ "shop": {{ "topic": "orders", "records": 10 }} }},
            "steps": [{before} {{ "at": "2500ms", "random": "power", "optional": true }}],
            "end": {{ "within": "60s" }}
        }}"#
    );
    let scenario = Scenario::parse("spare.jsonc", &text);
    let scenario = Arc::new(scenario.unwrap_or_else(|e| panic!("{e}")));
    let watch = Watch {
        records: false,
        checkers: false,
    };
    (0..20).any(|seed| {
        let mut world = World::new(scenario.clone(), seed, watch);
        let is_past = |w: &World| w.ready().is_some_and(|r| w.now() > r + Duration::secs(3));
        while !is_past(&world) && world.step() {}
        let first = View::new(&world)
            .names()
            .find("broker-1")
            .expect("it is there");
        world.tape().iter().any(|entry| match &entry.what {
            Taped::Fault(Fault::PowerLoss { who, .. } | Fault::DiskLoss { who }, _) => {
                who.contains(&first)
            }
            _ => false,
        })
    })
}

// Seed 1360 of the safe half: two brokers had come back within their old sessions and held every record, but they left the ISR
// when they registered anew, and the one that had lost its power was alone in it.
#[test]
fn no_drawn_loss_strikes_a_broker_whose_fellows_are_to_register_anew() {
    assert!(strikes_broker_1(""));
    let crashes =
        [2, 3].map(|n| format!(r#"{{ "at": "1s", "crash": "broker-{n}", "for": "200ms" }},"#));
    assert!(!strikes_broker_1(&crashes.concat()));
}

#[test]
fn every_aim_can_be_missed_and_every_one_can_be_reached() {
    let nothing = Explored {
        seed: 1,
        half: Half::Free,
        hash: 0,
        events: 0,
        found: [].into(),
        unexplained: 0,
        broken: [].into(),
        stuck: None,
        goals: BTreeSet::new(),
        harms: BTreeSet::new(),
        inputs: BTreeSet::new(),
        sentence: String::new(),
        bites: false,
        elects_cleanly: false,
        open_to_harm: Duration::ZERO,
    };
    let everything = Explored {
        found: [(FindingKind::Lost, 1)].into(),
        goals: klab_world::scenario::expect::GOALS.map(|g| g.0).into(),
        // An aim for a harm has its name.
        harms: AIMS.iter().map(|aim| aim.name).collect(),
        inputs: ["/steps/*/roll".to_owned()].into(),
        bites: true,
        elects_cleanly: true,
        open_to_harm: HARM_FOR,
        ..nothing.clone()
    };
    for aim in AIMS {
        assert!(!aim.is_reached(&nothing), "{}", aim.name);
        assert!(aim.is_reached(&everything), "{}", aim.name);
    }
    assert!(!Least::All.is_met(499, 500));
    assert!(!Least::Runs(10).is_met(9, 500));
    assert!(Least::Runs(10).is_met(10, 500));
}

#[test]
fn accusations_of_which_two_in_ten_fail_are_not_sound() {
    let guilt = |safe, replaced, spared| Guilt {
        accusing: 10,
        safe,
        replaced,
        spared,
        ..Guilt::default()
    };
    assert!(!guilt(8, 0, 0).is_sound());
    assert!(!guilt(0, 8, 0).is_sound());
    assert!(guilt(7, 2, 0).is_sound());
    assert!(guilt(7, 2, 0).is_exact());
    assert!(guilt(7, 0, 2).is_sound());
    assert!(!guilt(7, 0, 2).is_exact());
}

/// An answer is lost, which doubles a record; and a controller is paused, which does nothing to it.
const GUILTY_AND_INNOCENT: &str = r#"{
    "format": 1,
    "title": "Two faults and one duplicate",
    "topics": { "orders": { "replication.factor": 3, "config": { "min.insync.replicas": 2 } } },
    "producers": {
        "shop": { "topic": "orders", "records": 20, "rate": "20/s", "config": { "acks": "all", "enable.idempotence": false } }
    },
    "steps": [
        { "at": "100ms", "pause": "controller-3", "for": "200ms" },
        { "at": "500ms", "lose": { "response": "Produce", "from": "leader of orders-0", "to": "shop" } }
    ]
}"#;

// The canary of the recheck: the innocent one's retrial accuses the guilty one, without which the record is safe.
#[test]
fn a_fault_that_spares_what_it_is_accused_of_is_found_out() {
    let scenario = Scenario::parse("two.jsonc", GUILTY_AND_INNOCENT);
    let scenario = Arc::new(scenario.unwrap_or_else(|e| panic!("{e}")));
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(scenario, 1, watch);
    while world.step() {}
    let step = |is_it: fn(&Taped) -> bool| {
        let entry = world.tape().iter().find(|entry| is_it(&entry.what));
        entry.expect("it was done").step
    };
    let guilty = step(|what| matches!(what, Taped::Fault(Fault::Lose(_), _)));
    let innocent = step(|what| matches!(what, Taped::Fault(Fault::Pause { .. }, _)));
    let checkers = world.checkers().expect("it was watched");
    let verdict = checkers.verdict(View::new(&world));
    let doubled: BTreeSet<_> = verdict
        .found(FindingKind::Duplicated)
        .map(|f| f.record)
        .collect();
    assert!(!doubled.is_empty());

    let truth = recheck(&world, FindingKind::Duplicated);
    assert_eq!(
        (truth.safe, truth.accusing),
        (doubled.len() as u64, truth.safe)
    );
    assert!(truth.is_exact() && truth.doubtful.is_empty(), "{truth:?}");
    let of_guilty = [(guilty, doubled.clone())].into();
    assert_eq!(
        recheck_accused(&world, FindingKind::Duplicated, of_guilty),
        truth
    );

    let of_innocent = [(innocent, doubled)].into();
    let slander = recheck_accused(&world, FindingKind::Duplicated, of_innocent);
    assert!(!slander.is_exact(), "{slander:?}");
    assert_eq!((slander.safe, slander.replaced), (0, 0));
    assert_eq!(slander.doubtful[0].step, innocent);
}

type Requirement = (&'static str, fn(&mut Scenario));

const REQUIREMENTS: [Requirement; 25] = [
    ("three replicas", |s| topic(s).replication_factor = 2),
    ("two in-sync replicas", |s| {
        set(topic(s), "min.insync.replicas", "1")
    }),
    ("a word about in-sync replicas", |s| {
        topic(s).config.remove("min.insync.replicas");
    }),
    ("clean elections of a topic", |s| {
        set(topic(s), "unclean.leader.election.enable", "true")
    }),
    ("clean elections of all topics", |s| {
        s.cluster.config.unclean_leader_election_enable = true
    }),
    ("acks=all and not 1", |s| configure(s, "acks", "1")),
    ("acks=all and not 0", |s| configure(s, "acks", "0")),
    ("idempotence", |s| {
        configure(s, "enable.idempotence", "false")
    }),
    ("one request in flight", |s| {
        configure(s, "max.in.flight.requests.per.connection", "2")
    }),
    ("as many requests in flight as by default", |s| {
        configure(s, "max.in.flight.requests.per.connection", "5")
    }),
    ("idempotence of librdkafka", |s| {
        give_librdkafka(s, false, 1)
    }),
    ("one request in flight of librdkafka", |s| {
        give_librdkafka(s, true, 5)
    }),
    ("an application that sends nothing again", |s| {
        producer(s).on_restart = OnRestart::ResendUnconfirmed
    }),
    ("harm within the budget", |s| {
        for step in &mut s.steps {
            if let Action::Random { budget, .. } = &mut step.action {
                *budget = Budget::None;
            }
        }
    }),
    ("records that no topic gives up by age", |s| {
        set(topic(s), "cleanup.policy", "delete");
        set(topic(s), "retention.ms", "10000");
    }),
    ("records that no broker gives up by age", |s| {
        topic(s).config.remove("retention.ms");
        set(topic(s), "cleanup.policy", "compact,delete");
        s.cluster.config.log_retention_ms = 10_000;
    }),
    ("one record that size leaves", |s| {
        set(topic(s), "cleanup.policy", "delete");
        set(topic(s), "retention.bytes", "0");
    }),
    ("an age that nobody changes", |s| {
        alter(s, ConfigOf::Topic("orders".into()), "retention.ms", "1000")
    }),
    ("producers that are not forgotten", |s| {
        s.cluster.config.producer_id_expiration_ms = 5_000
    }),
    ("producers that nobody lets be forgotten", |s| {
        alter(s, ConfigOf::Brokers, "producer.id.expiration.ms", "5000")
    }),
    ("clean elections of one broker", |s| {
        let mut own = s.cluster.config.clone();
        own.unclean_leader_election_enable = true;
        s.cluster.config_of.insert("broker-1".into(), own);
    }),
    ("three replicas by hand", |s| {
        let two = [1, 2].map(klab_kafka::ids::NodeId).to_vec();
        topic(s).replicas = Some(vec![two]);
    }),
    ("one set of rules", |s| {
        let own = Rules {
            prevote: !s.cluster.rules.prevote,
            ..s.cluster.rules.clone()
        };
        s.cluster.rules_of.insert("controller-1".into(), own);
    }),
    ("one set of rules for readers", |s| {
        let own = Rules {
            position_validation: !s.cluster.rules.position_validation,
            ..s.cluster.rules.clone()
        };
        let reader = ConsumerPlan {
            assign: Vec::new(),
            config: ConsumerConfig::default(),
            rules: Some(own),
        };
        s.consumers.insert("late".into(), reader);
    }),
    ("harm that takes no data by itself", |s| {
        s.steps[0].action = Action::Fault(Fault::PowerLoss {
            who: klab_world::scenario::selector::Selector::Process("broker-1".into()),
            keep: Keep::Synced,
        })
    }),
];

fn topic(scenario: &mut Scenario) -> &mut TopicPlan {
    let last = scenario.topics.values_mut().rfind(|t| !t.later);
    last.expect("a drawn cluster has a topic")
}

fn set(topic: &mut TopicPlan, key: &str, value: &str) {
    topic.config.insert(key.into(), value.into());
}

/// An operator changes a setting at some time.
fn alter(scenario: &mut Scenario, of: ConfigOf, key: &str, value: &str) {
    let config = [(key.into(), Some(value.into()))].into();
    scenario.steps.push(Step {
        id: 1,
        when: When::At(ScenarioTime(20_000_000_000)),
        action: Action::Admin(Operation::AlterConfig { of, config }),
        lasts: Lasts::UntilHeal,
        optional: false,
    });
}

fn producer(scenario: &mut Scenario) -> &mut ProducerPlan {
    let last = scenario.producers.values_mut().last();
    last.expect("a drawn cluster has a producer")
}

/// Of Kafka's own client.
fn configure(scenario: &mut Scenario, key: &str, value: &str) {
    let producer = producer(scenario);
    producer.librdkafka = None;
    let set = producer.config.set(key, value);
    set.unwrap_or_else(|e| panic!("{key}={value}: {e:?}"));
}

fn give_librdkafka(scenario: &mut Scenario, idempotence: bool, in_flight: i32) {
    let max_in_flight = Explicit {
        value: in_flight,
        explicit: true,
    };
    producer(scenario).librdkafka = Some(LibrdkafkaConfig {
        enable_idempotence: idempotence,
        max_in_flight,
        ..LibrdkafkaConfig::default()
    });
}

fn drawn(seed: u64, half: Half) -> Scenario {
    swarm::scenario(seed, half, &Rules::default())
}

/// What every drawn run must be: harm over a minute, then healed, quiet and read to its end, with nothing unexplained and no
/// promise broken. Adds when its harm was done.
fn judged(drawn: &Drawn, when: &mut Vec<Duration>) -> Explored {
    let explored = drawn.report();
    let (world, seed) = (&drawn.world, explored.seed);
    let (view, ready) = (View::new(world), world.ready());
    let ready = ready.unwrap_or_else(|| panic!("seed {seed} never began"));
    assert!(
        !explored.is_bad(),
        "seed {seed}: {}, {:?}, stuck: {:?}",
        explored.sentence,
        explored.broken,
        explored.stuck
    );
    assert!(explored.open_to_harm >= HARM_FOR, "seed {seed}");
    assert_eq!(world.phase(), Phase::Done, "seed {seed}");
    assert!(!view.is_harmed(), "seed {seed} was not healed");
    assert!(
        view.machines().all(|(_, m)| m.process.is_some()),
        "seed {seed}: something is down at the end"
    );
    for entry in world.tape() {
        let after = entry.at.since(ready);
        assert!(after <= explored.open_to_harm, "seed {seed}: {entry:?}");
        when.push(after);
    }
    explored
}

/// Harm is done in every quarter of the minute.
fn assert_spread(when: &[Duration]) {
    let quarter = HARM_FOR.0 / 4;
    let quarters: BTreeSet<u64> = when.iter().map(|at| at.0 / quarter).collect();
    assert!((0..4).all(|q| quarters.contains(&q)), "{quarters:?}");
}
