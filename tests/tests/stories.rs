//! The scenarios that come with klab: each shows what it says, with its own seed and with others, and so does each twin;
//! its short telling is kept as a golden.
//!
//! Goldens are taken with a fixed latency, so that they change only for a reason.

use klab_kafka::event::{Event, LogEvent};
use klab_kafka::ids::{Offset, RecordId};
use klab_kafka::log::batch::RecordBatch;
use klab_kafka::time::Duration;
use klab_world::process::ProcessId;
use klab_world::scenario::{Scenario, library};
use klab_world::telling::{LINES_MAX, telling};
use klab_world::trace::What;
use klab_world::verdict::FindingKind;
use klab_world::world::{Watch, World};
use std::sync::Arc;
use tests::Cluster;

/// All stories and all twins, with a name for each.
fn stories() -> Vec<(String, Scenario)> {
    let mut all = Vec::new();
    for entry in library::ALL {
        let scenario =
            Scenario::parse(entry.name, entry.text).unwrap_or_else(|errors| panic!("{errors}"));
        for (n, twin) in scenario.twins.iter().enumerate() {
            all.push((
                format!("{}-twin-{}", entry.name, n + 1),
                (*twin.scenario).clone(),
            ));
        }
        all.push((entry.name.to_owned(), scenario));
    }
    all
}

fn run(scenario: Scenario, seed: u64, records: bool) -> World {
    let watch = Watch {
        records,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario), seed, watch);
    world.run_to_end();
    world
}

#[test]
fn every_story_and_every_twin_shows_what_it_says() {
    for (name, scenario) in stories() {
        for seed in 1..=3 {
            let outcome = run(scenario.clone(), seed, false)
                .outcome()
                .expect("it was watched");
            assert!(
                outcome.is_good(),
                "{name}: klab run {name} --seed {seed}: {outcome:#?}"
            );
        }
    }
}

#[test]
fn every_telling_begins_with_the_verdict_and_names_the_guilty_record() {
    for (name, scenario) in stories() {
        let steady = [("/network/latency".to_owned(), "\"2ms\"".to_owned())];
        let scenario = scenario
            .with(&steady)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let world = run(scenario, 1, true);
        let verdict = world.outcome().expect("it was watched").verdict;
        let told = telling(&world);
        assert!(told.len() <= LINES_MAX, "{name}: {told:#?}");
        assert_eq!(told[0], verdict.to_string());
        let harm = [
            FindingKind::Lost,
            FindingKind::Duplicated,
            FindingKind::AcceptedLost,
        ];
        for guilty in harm.iter().flat_map(|kind| verdict.found(*kind).take(1)) {
            assert!(
                told[0].contains(&verdict.record_name(guilty.record)),
                "{name}: {}",
                told[0]
            );
        }
        insta::assert_snapshot!(name.replace('/', "-"), told.join("\n"));
    }
}

/// The replica of one broker when all went down, and what the broker found when it came back.
struct Outage {
    end: Offset,
    flushed: Offset,
    records: Vec<(Offset, RecordId)>,
    /// The end that recovery told; none if there was no log.
    recovered: Option<Offset>,
    records_found: Vec<(Offset, RecordId)>,
}

/// Runs L01, or a twin of it, over the outage from 6 s to 18 s.
fn outages(twin: Option<&str>, seed: u64) -> Vec<Outage> {
    let of_twin = |(name, _): &(String, Scenario)| match twin {
        None => name == "log/l01-all-replicas-go-down",
        Some(twin) => *name == format!("log/l01-all-replicas-go-down-twin-{twin}"),
    };
    let (_, scenario) = stories().into_iter().find(of_twin).expect("it is there");
    let watch = Watch {
        records: true,
        checkers: true,
    };
    let mut c = Cluster {
        world: World::new(Arc::new(scenario), seed, watch),
    };
    c.run_until("the run is ready", |c| c.world.ready().is_some());
    c.pass(Duration::millis(5_999));
    let brokers = c.brokers();
    let before: Vec<Outage> = brokers.iter().map(|p| replica(&c, *p)).collect();
    c.run_until("all are down", |c| c.view().brokers().count() == 0);
    let down = c.world.trace().count() as usize;
    c.run_until("all are back", |c| c.view().brokers().count() == 3);
    let back = brokers.iter().zip(before).map(|(broker, outage)| Outage {
        recovered: recovered(&c, *broker, down),
        records_found: on_disk(&c, *broker),
        ..outage
    });
    back.collect()
}

/// Where a broker's log ended when it was found after so many records of the trace.
fn recovered(c: &Cluster, broker: ProcessId, since: usize) -> Option<Offset> {
    let orders = c.partition();
    let mut records = c.world.trace().records()[since..].iter();
    records.find_map(|r| match r.what {
        What::Told(Event::Log(tp, LogEvent::Recovered { leo, .. }))
            if tp == orders && r.process == Some(broker) =>
        {
            Some(leo)
        }
        _ => None,
    })
}

/// The records on a broker's disk.
fn on_disk(c: &Cluster, broker: ProcessId) -> Vec<(Offset, RecordId)> {
    let batches = c.view().disk(broker).batches(c.partition());
    let ids = |b: RecordBatch| -> Vec<_> {
        let records = b.records().map(|r| r.expect("well formed"));
        records.map(|r| (r.offset, r.id)).collect()
    };
    batches.flat_map(ids).collect()
}

fn replica(c: &Cluster, broker: ProcessId) -> Outage {
    let log = c.log(broker);
    Outage {
        end: log.leo(),
        flushed: log.recovery_point(),
        records: c.read(broker),
        recovered: None,
        records_found: Vec::new(),
    }
}

#[test]
fn a_kill_takes_nothing_the_power_takes_what_was_not_flushed_and_a_new_disk_has_nothing() {
    for seed in 1..=3 {
        for twin in [None, Some("1")] {
            for it in outages(twin, seed) {
                assert_eq!(
                    it.recovered,
                    Some(it.end),
                    "stopped or killed: all is there"
                );
                assert_eq!(it.records_found, it.records);
            }
        }
        for it in outages(Some("2"), seed) {
            assert!(Offset(0) < it.flushed, "some segments were closed");
            assert!(it.flushed < it.end, "and the last one was not");
            assert_eq!(it.recovered, Some(it.flushed));
            let kept = it.records.iter().filter(|(offset, _)| *offset < it.flushed);
            assert_eq!(it.records_found, kept.copied().collect::<Vec<_>>());
        }
        for it in outages(Some("3"), seed) {
            assert_eq!((it.records.len(), it.recovered), (80, None));
            assert_eq!(it.records_found, []);
        }
    }
}
