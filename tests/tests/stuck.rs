//! Runs that do not get quiet: each names what is lacking, and why by a closed list of reasons. No other run is a break of
//! the promise of progress.

use klab_world::scenario::Scenario;
use klab_world::trace::Phase;
use klab_world::world::{Watch, World};

/// Runs a scenario to its end.
fn ended(text: &str) -> World {
    let scenario = Scenario::parse("a story", text).unwrap_or_else(|e| panic!("{e}"));
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let seed = scenario.seed.unwrap_or(1);
    let mut world = World::new(scenario.into(), seed, watch);
    while world.phase() != Phase::Done && world.step() {}
    world
}

/// What is lacking, in words.
fn lacking(world: &World) -> String {
    world.stuck().expect("it does not get quiet").to_string()
}

fn breaks_progress(world: &World) -> bool {
    let outcome = world.outcome().expect("it was watched");
    outcome.broken.iter().any(|b| b.promise == "progress")
}

#[test]
fn a_partition_whose_only_replica_is_gone_for_ever_has_no_leader_and_its_sends_wait_for_one() {
    let world = ended(
        r#"{ "title": "one replica", "topics": { "orders": { "replicas": [[2]] } },
  "producers": { "shop": { "topic": "orders", "records": 20, "rate": "1/s" } },
  "steps": [{ "at": "5s", "crash": "broker-2", "for": "ever" }],
  "end": { "at": "25s", "within": "50s" } }"#,
    );
    assert_eq!(
        lacking(&world),
        "orders-0 has no leader (broker-2 is harmed for ever: broker-2 is killed); \
         a send of shop to orders-0 is unresolved (orders-0 has no leader)"
    );
    assert!(!breaks_progress(&world));
}

// Seed 35767 of the free half, shrunk.
#[test]
fn a_log_whose_offsets_hold_nothing_any_more_is_not_read_to_its_end_and_says_so() {
    let world = ended(
        r#"{ "title": "compacted, and then cut back to what was left empty", "seed": 35767,
  "network": { "latency": "2ms" }, "cluster": { "brokers": 2, "sync": "1ms" },
  "topics": { "payments": { "replication.factor": 2,
    "config": { "cleanup.policy": "compact", "segment.ms": 10000, "unclean.leader.election.enable": true } } },
  "producers": { "shop": { "topic": "payments", "records": 461, "burst": 18, "keys": 16, "answers": "after-send" } },
  "steps": [
    { "at": "10s", "crash": "broker-1", "how": "power-loss", "keep": "torn at 512B", "for": "14s" },
    { "at": "24s", "slow-accept": "controller-3", "delay": "14864ms", "for": "9s" },
    { "at": "26s", "for": "6s", "black-hole": ["broker-1 and broker-2",
      "controller-1 and controller-2 and controller-3 and shop and admin and reader"] },
    { "at": "45s", "crash": "broker-1", "how": "power-loss", "keep": "torn", "point": "after-request" }],
  "end": { "at": "46s" } }"#,
    );
    let said = lacking(&world);
    let why = "(from offset 0 to its end the log holds nothing that could be read)";
    assert_eq!(said, format!("payments-0 is not read to its end {why}"));
    assert!(!breaks_progress(&world));
}

#[test]
fn without_a_majority_of_the_voters_no_broker_comes_back() {
    let world = ended(
        r#"{ "title": "one voter of three", "topics": { "orders": {} },
  "steps": [{ "at": "1s", "crash": "broker-2", "for": "20s" },
    { "at": "15s", "crash": "controller-1", "for": "ever" },
    { "at": "15s", "crash": "controller-2", "for": "ever" }],
  "end": { "at": "30s" } }"#,
    );
    let said = lacking(&world);
    let first = "(controller-1 is harmed for ever: controller-1 is killed)";
    assert!(
        said.starts_with(&format!("broker-2 is not unfenced {first}")),
        "{said}"
    );
    assert!(!breaks_progress(&world));
}

#[test]
fn a_command_that_no_controller_answers_is_pending_until_its_operator_gives_up() {
    let story = |within: &str| {
        ended(&format!(
            r#"{{ "title": "one voter of three", "topics": {{ "orders": {{}} }},
  "steps": [{{ "at": "1s", "crash": "controller-1", "for": "ever" }},
    {{ "at": "1s", "crash": "controller-2", "for": "ever" }},
    {{ "at": "20s", "admin": {{ "alter-config": {{ "topic": "orders", "segment.ms": 1000 }} }} }}],
  "end": {{ "at": "30s", "within": "{within}" }} }}"#
        ))
    };
    let world = story("20s");
    let first = "(controller-1 is harmed for ever: controller-1 is killed)";
    assert_eq!(
        lacking(&world),
        format!("a command of admin is pending {first}")
    );
    assert!(!breaks_progress(&world));
    // default.api.timeout.ms is a minute.
    assert_eq!(story("70s").stuck(), None);
}

#[test]
fn a_quorum_that_lost_its_disks_is_named_by_the_fault_that_took_them() {
    let world = ended(
        r#"{ "title": "forgetful", "topics": { "orders": {} },
  "steps": [{ "at": "1s", "crash": "controllers", "how": "disk-loss", "for": "1s" }], "end": { "at": "20s" } }"#,
    );
    let said = lacking(&world);
    assert!(
        said.contains("most controllers lost the metadata log: controller-1, "),
        "{said}"
    );
    assert!(!breaks_progress(&world));
}

#[test]
fn a_workload_that_goes_on_after_the_end_began_is_said_to() {
    let world = ended(
        r#"{ "title": "too long", "topics": { "orders": {} },
  "producers": { "shop": { "topic": "orders", "records": 100, "rate": "1/s" } },
  "end": { "at": "5s", "within": "20s" } }"#,
    );
    let said = lacking(&world);
    assert!(said.starts_with("a send of shop"), "{said}");
    assert!(
        said.ends_with("(`end.at` comes before its last record is due)"),
        "{said}"
    );
}

#[test]
fn a_file_that_leaves_too_little_time_is_told_so() {
    let world = ended(
        r#"{ "title": "hasty", "topics": { "orders": {} },
  "steps": [{ "at": "1s", "crash": "broker-1", "for": "14s" }], "end": { "at": "15s", "within": "100ms" } }"#,
    );
    assert_eq!(
        lacking(&world),
        "orders-0 has 2 of 3 replicas in sync (`end.within` is less than twice the longest timeout in force)"
    );
    assert!(!breaks_progress(&world));
}

#[test]
fn a_partition_that_lost_a_follower_for_ever_is_quiet_without_it() {
    let world = ended(
        r#"{ "title": "two of three", "topics": { "orders": { "replicas": [[1, 2, 3]] } },
  "producers": { "shop": { "topic": "orders", "records": 20, "rate": "1/s" } },
  "steps": [{ "at": "5s", "crash": "broker-3", "for": "ever" }], "end": { "at": "40s" } }"#,
    );
    assert_eq!(world.stuck(), None);
    assert_eq!(world.phase(), Phase::Done);
}
