//! A run is a function of its scenario and its seed, whoever runs it: another process, with the records kept or not, from a
//! tape in place of the generator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use klab_kafka::rules::Rules;
use klab_world::scenario::Scenario;
use klab_world::swarm::{self, Half};
use klab_world::world::{Watch, World};
use serde_json::Value;

const SEEDS: std::ops::Range<u64> = 1..4;

/// What a process of its own says of a run, and how it exits.
fn told(args: &[&str]) -> (Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klab"));
    let output = command.args(args).arg("--json").output();
    let output = output.expect("klab was built");
    let text = String::from_utf8_lossy(&output.stdout);
    let json = text
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok());
    let complaint = String::from_utf8_lossy(&output.stderr);
    let json = json.unwrap_or_else(|| panic!("klab {args:?}: {complaint}"));
    (json, output.status.code())
}

/// The hash at the end of a run that is no bug, in a process of its own.
fn hash_elsewhere(args: &[&str]) -> String {
    let (told, code) = told(args);
    assert!(matches!(code, Some(0 | 1)), "klab {args:?}: exit {code:?}");
    hash(&told).to_owned()
}

fn hash(told: &Value) -> &str {
    told["hash"].as_str().expect("a run has a hash")
}

/// A drawn run, in a file of its own.
fn drawn(test: &str, seed: u64) -> (PathBuf, Arc<Scenario>) {
    let scenario = swarm::scenario(seed, Half::Free, &Rules::default());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{seed}.jsonc"));
    fs::write(&path, scenario.export()).expect("the folder for tests is there");
    (path, Arc::new(scenario))
}

/// The hash at the end of a run in this process.
fn hash_here(scenario: &Arc<Scenario>, seed: u64, watched: bool) -> String {
    let watch = Watch {
        records: watched,
        checkers: watched,
    };
    let mut world = World::new(scenario.clone(), seed, watch);
    world.run_to_end();
    format!("{:016x}", world.hash())
}

#[test]
fn another_process_gives_the_same_hash_with_records_and_without() {
    for seed in SEEDS {
        let (path, scenario) = drawn("process", seed);
        let path = path.to_str().expect("a plain path");
        let number = seed.to_string();
        let blind = hash_here(&scenario, seed, false);
        let watched = hash_here(&scenario, seed, true);
        assert_eq!(blind, watched, "recording on and off, seed {seed}");
        let run = ["run", path, "--seed", &number];
        assert_eq!(hash_elsewhere(&run), blind, "klab {run:?}");
        let lines = Command::new(env!("CARGO_BIN_EXE_klab"))
            .args(run)
            .arg("--lines")
            .output()
            .expect("klab was built");
        let told = String::from_utf8_lossy(&lines.stdout);
        assert!(told.lines().count() > 1_000, "it shows its records");
        assert!(
            told.trim_end().ends_with(&format!("hash {blind}")),
            "klab {run:?} --lines: {:?}",
            told.lines().last()
        );
    }
    let (path, scenario) = drawn("process", 0);
    let other = hash_elsewhere(&["run", path.to_str().expect("plain"), "--seed", "1"]);
    assert_ne!(
        other,
        hash_here(&scenario, 0, false),
        "another seed is another run"
    );
}

#[test]
fn a_tape_repeats_its_run_in_a_fresh_process_without_the_generator() {
    let all = (1..).map(|seed| (seed, drawn("tape", seed)));
    let harmed = all.filter(|(_, (_, scenario))| !scenario.steps.is_empty());
    for (seed, (path, scenario)) in harmed.take(3) {
        let tape = path.with_extension("tape");
        let (path, tape) = (path.to_str().expect("plain"), tape.to_str().expect("plain"));
        let number = seed.to_string();
        let made = hash_elsewhere(&["run", path, "--seed", &number, "--write-tape", tape]);
        assert_eq!(made, hash_here(&scenario, seed, false));
        assert_eq!(made, hash_elsewhere(&["run", path, "--replay", tape]));

        // With an empty tape nothing is done to the run: what its scenario would draw is not drawn.
        let text = fs::read_to_string(tape).expect("just written");
        let mut empty: Value = serde_json::from_str(&text).expect("JSON");
        let entries = empty["entries"].as_array_mut().expect("a list");
        assert!(!entries.is_empty(), "something was done in seed {seed}");
        entries.clear();
        fs::write(tape, empty.to_string()).expect("it can be written again");
        let (run, code) = told(&["run", path, "--replay", tape]);
        assert_eq!(
            code,
            Some(3),
            "that is not the run of which the tape was made"
        );
        let mut bare = (*scenario).clone();
        bare.steps.clear();
        assert_eq!(hash(&run), hash_here(&Arc::new(bare), seed, false));
    }
}
