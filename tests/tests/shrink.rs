//! A failing run becomes a small file that fails in the same way: for the first failing seeds of the protocol switches, and
//! for the directed scenarios of the rest.

use klab_kafka::rules::{Rules, SWITCHES};
use klab_world::scenario::{Scenario, library};
use klab_world::shrink::{Shrunk, Unshrinkable, shrink};
use klab_world::swarm::explore::explore;
use klab_world::swarm::{Half, scenario};
use klab_world::world::{Watch, World};
use std::sync::Arc;

/// A third of what the command tries: what is left to find beyond are rounder times.
const RUNS: u32 = 200;

fn shrunk(scenario: Scenario, seed: u64) -> Result<Shrunk, Unshrinkable> {
    shrink(&Arc::new(scenario), seed, None, RUNS, &mut |_| {})
}

fn story(name: &str) -> Scenario {
    let text = library::find(name).expect("in the library");
    Scenario::parse(name, &text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The first drawn run that breaks a promise with one switch turned, as `klab swarm --first --rule` finds it.
fn first_failing(switch: &str, value: &str) -> (Scenario, u64) {
    let mut rules = Rules::default();
    let row = SWITCHES.iter().find(|s| s.name == switch);
    (row.expect("a switch").set)(&mut rules, value);
    let half = |seed| match seed % 2 {
        0 => Half::Safe,
        _ => Half::Free,
    };
    let mut seeds = 0..500;
    let bad = seeds.find(|seed| explore(*seed, half(*seed), &rules).is_bad());
    let seed = bad.expect("drawn runs find this switch");
    (scenario(seed, half(seed), &rules), seed)
}

/// The file is read again, run, and judged as `klab run` judges it.
fn fails_when_read_again(shrunk: &Shrunk) {
    let file = shrunk.scenario.export();
    let again = Scenario::parse("small", &file).unwrap_or_else(|errors| panic!("{errors}"));
    let seed = again.seed.expect("its seed is in it");
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(Arc::new(again), seed, watch);
    world.run_to_end();
    let outcome = world.outcome().expect("it was watched");
    let expected = shrunk.failure.expectation().expect("a promise").to_string();
    let missed = outcome.judged.iter().find(|j| j.expected == expected);
    assert!(missed.is_some_and(|j| !j.holds), "{file}");
}

#[test]
fn failing_runs_of_the_switches_shrink_to_at_most_three_faults_in_the_median_and_fail_as_before() {
    let mut runs = vec![
        first_failing("truncate", "hw"),
        first_failing("prevote", "off"),
        first_failing("own-epoch-commit", "off"),
    ];
    for directed in ["r01", "r03", "r06", "r10", "r12", "k03", "k06"] {
        runs.push((story(directed), 1));
    }
    let (mut faults, mut drawn) = (Vec::new(), Vec::new());
    for (scenario, seed) in runs {
        let title = scenario.title.clone();
        let small = shrunk(scenario, seed).unwrap_or_else(|why| panic!("{title}: {why}"));
        fails_when_read_again(&small);
        assert!(small.after.steps <= small.before.steps, "{title}");
        let latency = small.scenario.network.latency;
        if latency.min != latency.max {
            drawn.push(title);
        }
        faults.push(small.after.steps);
    }
    // A failure may hang on one message being slower than another.
    assert!(drawn.len() <= 1, "their latencies are not fixed: {drawn:?}");
    faults.sort();
    assert!(faults[faults.len() / 2] <= 3, "{faults:?}");
}

#[test]
fn no_step_of_a_shrunk_scenario_can_be_spared() {
    let small = shrunk(story("r06"), 1).expect("it fails");
    assert!(!small.scenario.steps.is_empty());
    for i in 0..small.scenario.steps.len() {
        let mut less = small.scenario.clone();
        less.steps.remove(i);
        let failing = small.failure.is_of(&Arc::new(less), 1);
        assert!(failing.is_none(), "without step {i} it still fails");
    }
}

#[test]
fn shrinking_is_a_function_of_scenario_seed_and_budget() {
    let file = |budget| {
        let story = Arc::new(story("r03"));
        let small = shrink(&story, 2, None, budget, &mut |_| {}).expect("it fails");
        assert!(small.runs <= budget);
        small.scenario.export()
    };
    assert_eq!(file(60), file(60));
    assert_ne!(file(9), file(60), "a few runs leave much");
}

#[test]
fn a_good_run_cannot_be_shrunk() {
    let good = shrunk(story("r24"), 1);
    assert_eq!(good.err(), Some(Unshrinkable::Good));
}

#[test]
fn a_loss_that_its_author_expects_can_be_shrunk_towards() {
    let sets = [("/expect".to_owned(), "[\"log.lost == 0\"]".to_owned())];
    let wish = story("quickstart").with(&sets).expect("an expectation");
    let small = shrunk(wish, 1).expect("the quickstart loses a record");
    assert_eq!(small.failure.to_string(), "not so: log.lost == 0");
    fails_when_read_again(&small);
}
