//! The laws of determinism: a run is a function of (scenario, seed), and of nothing else.

use klab_kafka::rules::Rules;
use klab_kafka::time::Time;
use klab_world::scenario::{Action, Budget, Family, Lasts, Scenario, ScenarioTime, Step, When};
use klab_world::swarm::{self, Half};
use klab_world::timeline::Timeline;
use klab_world::world::{Watch, World};
use std::sync::Arc;

const BLIND: Watch = Watch {
    records: false,
    checkers: false,
};
const WATCHED: Watch = Watch {
    records: true,
    checkers: true,
};

fn scenario(seed: u64) -> Arc<Scenario> {
    let half = if seed % 2 == 0 {
        Half::Safe
    } else {
        Half::Free
    };
    Arc::new(swarm::scenario(seed, half, &Rules::default()))
}

fn finished(scenario: &Arc<Scenario>, seed: u64, watch: Watch) -> World {
    let mut world = World::new(scenario.clone(), seed, watch);
    world.run_to_end();
    world
}

#[test]
fn the_same_seed_gives_the_same_hash_whoever_watches() {
    for seed in 0..8 {
        let scenario = scenario(seed);
        let hash = finished(&scenario, seed, BLIND).hash();
        assert_eq!(
            hash,
            finished(&scenario, seed, BLIND).hash(),
            "seed {seed} twice"
        );
        assert_eq!(
            hash,
            finished(&scenario, seed, WATCHED).hash(),
            "seed {seed} watched"
        );
        assert_ne!(
            hash,
            finished(&scenario, seed + 1, BLIND).hash(),
            "another seed is another run"
        );
    }
}

#[test]
fn a_tape_replays_the_run_without_its_generator() {
    for seed in 0..8 {
        let scenario = scenario(seed);
        let original = finished(&scenario, seed, BLIND);
        let mut bare = (*scenario).clone();
        bare.steps.clear();
        let tape = serde_json::to_string(original.tape()).expect("a tape can be written");
        let tape = serde_json::from_str(&tape).expect("and read");
        let mut replayed = World::replay(Arc::new(bare), seed, BLIND, Arc::new(tape));
        replayed.run_to_end();
        assert_eq!(original.hash(), replayed.hash(), "seed {seed}");
    }
}

#[test]
fn wandering_through_a_timeline_changes_nothing() {
    let scenario = scenario(3);
    let straight = finished(&scenario, 3, BLIND);
    let mut timeline = Timeline::open(scenario, 3, WATCHED, 2_048);
    timeline.run_to_end();
    let end = timeline.now().now();
    for percent in [50, 10, 90, 0, 70, 30] {
        timeline.at(Time(end.0 / 100 * percent));
    }
    timeline.run_to_end();
    assert_eq!(timeline.world().hash(), straight.hash());
}

/// Law 14: over 200 pairs of a step and a time, with steps in the middle of others, and drawn ones.
#[test]
fn a_step_changes_no_bit_of_the_run_before_it() {
    for n in 0..200u64 {
        let seed = n % 10;
        let scenario = scenario(seed);
        let at = ScenarioTime((500 + n * 293 % 59_000) as i64 * 1_000_000);
        let step = drawn_step(at);
        let with = Arc::new(scenario.with_step(step));
        let mut plain = World::new(scenario, seed, BLIND);
        let mut changed = World::new(with, seed, BLIND);
        for world in [&mut plain, &mut changed] {
            while world
                .next_at()
                .is_some_and(|t| world.ready().is_none() || world.scenario_time(t) < at)
            {
                world.step();
            }
        }
        assert_eq!(plain.hash(), changed.hash(), "seed {seed}, step at {at:?}");
    }
}

#[test]
fn a_fork_equals_a_fresh_run_with_the_step() {
    for seed in 0..6 {
        let scenario = scenario(seed);
        let step = drawn_step(ScenarioTime(20_000_000_000 + seed as i64 * 1_000_000));
        let mut timeline = Timeline::open(scenario.clone(), seed, BLIND, 2_048);
        timeline.at(Time(40_000_000_000));
        let mut fork = timeline
            .fork(step.clone())
            .expect("the run is ready by then");
        fork.run_to_end();
        let fresh = finished(&Arc::new(scenario.with_step(step)), seed, BLIND);
        assert_eq!(fork.world().hash(), fresh.hash(), "seed {seed}");
    }
}

fn drawn_step(at: ScenarioTime) -> Step {
    Step {
        id: 77,
        when: When::At(at),
        action: Action::Random {
            family: Family::Any,
            budget: Budget::None,
        },
        lasts: Lasts::UntilHeal,
        optional: true,
    }
}

#[test]
fn a_timeline_keeps_each_record_of_the_trace_once_however_one_wanders() {
    let scenario = scenario(5);
    let mut straight = World::new(scenario.clone(), 5, WATCHED);
    straight.run_to_end();
    let mut timeline = Timeline::open(scenario, 5, WATCHED, 512);
    timeline.run_to_end();
    let end = timeline.now().now();
    for percent in [50, 10, 90] {
        timeline.at(Time(end.0 / 100 * percent));
    }
    assert_eq!(timeline.records(), straight.trace().records());
    let so_far = timeline.records_so_far();
    assert_eq!(so_far.len() as u64, timeline.world().trace().count());
    assert!(so_far.len() < timeline.records().len());
    assert!(timeline.world().trace().records().is_empty());
}
