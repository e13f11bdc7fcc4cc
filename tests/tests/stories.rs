//! The scenarios that come with klab: each shows what it says, with its own seed and with others, and so does each twin;
//! its short telling is kept as a golden.
//!
//! Goldens are taken with a fixed latency, so that they change only for a reason.

use klab_world::scenario::{Scenario, library};
use klab_world::telling::{LINES_MAX, telling};
use klab_world::verdict::FindingKind;
use klab_world::world::{Watch, World};
use std::sync::Arc;

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
