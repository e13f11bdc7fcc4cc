//! The table of canaries (law 12): every checker barks, in a directed scenario with one protocol switch off or at a mutated
//! history; the same schedule with the switch on breaks nothing. No seed is lucky: each is tried with ten.
//!
//! The mutated histories are unit tests of klab-world, which holds them against the same table.

use klab_kafka::rules::SWITCHES;
use klab_world::check;
use klab_world::check::canary::{DIRECTED, Directed, MUTATED};
use klab_world::outcome::Outcome;
use klab_world::scenario::expect::Expectation;
use klab_world::scenario::{Scenario, library};
use klab_world::world::{Watch, World};
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS: std::ops::Range<u64> = 0..10;

fn scenario(directed: &Directed) -> Scenario {
    let text = library::find(directed.scenario).expect("the table names scenarios of the library");
    Scenario::parse(directed.scenario, &text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The promises that a run breaks, and how it ended.
fn run(scenario: &Scenario, seed: u64) -> (BTreeSet<&'static str>, Outcome) {
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario.clone()), seed, watch);
    world.run_to_end();
    let checkers = world.checkers().expect("it was watched");
    let broken = checkers.broken().iter().map(|v| v.promise).collect();
    (broken, world.outcome().expect("it was watched"))
}

/// A switch of a scenario's processes in text.
fn value(scenario: &Scenario, switch: &str) -> &'static str {
    let mut all = SWITCHES.iter();
    let switch = all.find(|s| s.name == switch).expect("it exists");
    (switch.get)(&scenario.cluster.rules)
}

fn breaks_exactly_what_it_names(switch: &str) {
    let mut of_switch = DIRECTED.iter().filter(|d| d.switch == switch).peekable();
    assert!(of_switch.peek().is_some(), "{switch} has no scenario");
    for directed in of_switch {
        let (name, off) = (directed.scenario, scenario(directed));
        let named: BTreeSet<&str> = directed.breaks.iter().copied().collect();
        for seed in SEEDS {
            let (broken, outcome) = run(&off, seed);
            assert_eq!(broken, named, "klab run {name} --seed {seed}");
            assert!(
                outcome.is_good(),
                "klab run {name} --seed {seed}: {outcome:#?}"
            );
            for (n, twin) in off.twins.iter().enumerate() {
                let (broken, outcome) = run(&twin.scenario, seed);
                let replay = format!("klab run {name} --twin {} --seed {seed}", n + 1);
                assert!(broken.is_empty(), "{replay}: {broken:?}");
                assert!(outcome.is_good(), "{replay}: {outcome:#?}");
            }
        }
    }
}

#[test]
fn truncating_by_an_older_rule_breaks_what_it_names() {
    breaks_exactly_what_it_names("truncate");
}

#[test]
fn a_high_watermark_of_the_committed_isr_breaks_what_it_names() {
    breaks_exactly_what_it_names("hw-quorum");
}

#[test]
fn an_isr_that_grows_below_the_epochs_start_breaks_what_it_names() {
    breaks_exactly_what_it_names("isr-expand-epoch-start");
}

#[test]
fn an_isr_without_broker_epochs_breaks_what_it_names() {
    breaks_exactly_what_it_names("isr-broker-epoch");
}

#[test]
fn a_reader_that_does_not_validate_its_position_breaks_what_it_names() {
    breaks_exactly_what_it_names("position-validation");
}

#[test]
fn a_quorum_without_prevote_breaks_what_it_names() {
    breaks_exactly_what_it_names("prevote");
}

#[test]
fn a_quorum_that_commits_by_counting_breaks_what_it_names() {
    breaks_exactly_what_it_names("own-epoch-commit");
}

#[test]
fn a_directed_scenario_differs_from_its_twin_in_one_switch_alone() {
    for directed in &DIRECTED {
        let off = scenario(directed);
        assert_eq!(value(&off, directed.switch), directed.value);
        let meant = |promise: &&str| off.expect.contains(&Expectation::Broken((*promise).into()));
        assert!(directed.breaks.iter().all(meant));
        for twin in &off.twins {
            assert_ne!(value(&twin.scenario, directed.switch), directed.value);
            let mut same = (*twin.scenario).clone();
            same.cluster.rules = off.cluster.rules.clone();
            assert_eq!(same.steps, off.steps, "{}", directed.scenario);
            assert_eq!(same.cluster, off.cluster, "{}", directed.scenario);
            let broken = |e: &Expectation| matches!(e, Expectation::Broken(_));
            assert!(!twin.scenario.expect.iter().any(broken));
        }
        let mut switches = SWITCHES.iter().filter(|s| s.name != directed.switch);
        assert!(switches.all(|s| value(&off, s.name) == s.values[0]));
    }
}

#[test]
fn the_table_of_canaries_has_no_blank_cell() {
    for promise in check::ALL {
        let directed = DIRECTED
            .iter()
            .filter(|d| d.breaks.contains(&promise.name))
            .map(|d| format!("{}={}", d.switch, d.value));
        let directed: BTreeSet<String> = directed.collect();
        let mutated = MUTATED.iter().find(|(name, _)| *name == promise.name);
        println!(
            "{:<24} {:<90} {}",
            promise.name,
            directed.iter().cloned().collect::<Vec<_>>().join(" "),
            mutated.map_or("", |(_, test)| test)
        );
        assert!(
            !directed.is_empty() || mutated.is_some(),
            "nothing shows that the checker of \"{}\" barks",
            promise.name
        );
        // What the promise itself says of its canary is this table.
        let words = promise.canary.split([',', ';', ' ']);
        let of_switches = words.filter(|word| {
            let name = word.split('=').next();
            SWITCHES.iter().any(|s| Some(s.name) == name)
        });
        assert_eq!(
            of_switches.map(str::to_owned).collect::<BTreeSet<_>>(),
            directed,
            "{}",
            promise.name
        );
        assert_eq!(
            promise.canary.contains("mutated history"),
            mutated.is_some(),
            "{}",
            promise.name
        );
    }
}

#[test]
fn the_map_names_each_directed_scenario() {
    let map = include_str!("../../ARCHITECTURE.md");
    for d in &DIRECTED {
        let mut promises = d.breaks.to_vec();
        promises.sort();
        let rows = map.lines().filter(|line| line.contains(d.scenario));
        let rows: Vec<&str> = rows.collect();
        let [row] = rows[..] else {
            panic!("{}: {rows:?}", d.scenario);
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let mut named: Vec<&str> = cells[4].split(", ").collect();
        named.sort();
        assert_eq!(
            (cells[1], cells[2]),
            (&*format!("`{}`", d.switch), &*format!("`{}`", d.value))
        );
        assert_eq!(named, promises, "{row}");
    }
}

#[test]
fn every_switch_but_check_quorum_has_a_directed_scenario() {
    // Without check-quorum an isolated leader commits nothing all the same: no promise is about how long it believes (K02).
    let without = SWITCHES
        .iter()
        .filter(|s| DIRECTED.iter().all(|d| d.switch != s.name))
        .map(|s| s.name);
    assert_eq!(without.collect::<Vec<_>>(), ["check-quorum"]);
}
