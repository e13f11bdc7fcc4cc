//! `klab bench`: how fast this machine simulates, by the same code path as `klab run`.
//!
//! All cases are run in turn, pass after pass, so that a neighbour's load falls on all of them alike; the median of the passes
//! counts. Each is run once before, and that is not timed: what it finds cold, the program's code and memory that the system
//! still has to clear, is met once by whoever simulates a thousand seeds. Beside each case stands its floor: the least that one
//! core of a quiet machine is to reach.
//!
//! Left out: instructions, which `cargo xtask callgrind` counts and which no neighbour changes; other simulators, which
//! `cargo xtask bench --peers` runs beside this.

mod seeks;

use std::sync::Arc;
use std::time::Duration;

use klab_world::scenario::Scenario;
use klab_world::world::Watch;
use serde_json::json;

use crate::args::Bench;
use crate::engine::{self, Broke, Plan};
use crate::outcome::{Outcome, Wrong};
use crate::report;

use seeks::{Seeks, percentile};

/// What is run.
struct Case {
    scenario: fn() -> serde_json::Value,
    floor: Floor,
}

/// What is to be reached; 0 where nothing is asked.
#[derive(Default)]
struct Floor {
    events: u128,
    ratio: u128,
    records: u128,
}

/// A case with checkers or without, and how long each pass took.
struct Row {
    plan: Plan,
    took: Vec<Duration>,
    events: u64,
    virtual_ns: u64,
    hash: Option<u64>,
}

/// Who keep the brokers busy: a broker takes up one request of a connection at a time (N-1), so that fewer leave it waiting. From about
/// ten on the figures rise no more.
const PRODUCERS: u32 = 20;

/// Batches that each of them keeps open: `max.in.flight.requests.per.connection` for each of three brokers.
const OPEN: u32 = 5 * 3;

const CASES: [Case; 4] = [
    Case {
        scenario: idle,
        floor: Floor {
            events: 0,
            ratio: 10_000,
            records: 0,
        },
    },
    Case {
        scenario: || loaded("one record a batch, acks=all, RF 3", 100_000, 1),
        floor: Floor {
            events: 2_000_000,
            ratio: 0,
            records: 300_000,
        },
    },
    Case {
        scenario: || loaded("100 records a batch, acks=all, RF 3", 500_000, 100),
        floor: Floor {
            events: 2_000_000,
            ratio: 0,
            records: 1_600_000,
        },
    },
    Case {
        scenario: faulty,
        floor: Floor {
            events: 2_000_000,
            ratio: 1_500,
            records: 0,
        },
    },
];

fn idle() -> serde_json::Value {
    json!({
        "title": "idle: 3 brokers, 3 controllers",
        "topics": { "orders": { "partitions": 3, "replication.factor": 3 } },
        "end": { "at": "10min" },
    })
}

/// As fast as the answers come: a cluster that has all it can do.
fn loaded(title: &str, records: u32, batch: u32) -> serde_json::Value {
    let bytes = if batch == 1 { 0 } else { 111 * batch };
    let config = json!({ "acks": "all", "linger.ms": 0, "batch.size": bytes });
    let producer = |n: u32| {
        let plan = json!({
            "topic": "orders", "records": records / PRODUCERS, "rate": "1000000/s",
            "burst": batch, "unanswered": OPEN * batch, "config": config,
        });
        (format!("shop-{n}"), plan)
    };
    let producers: serde_json::Map<_, _> = (1..=PRODUCERS).map(producer).collect();
    json!({
        "title": title,
        "topics": { "orders": { "partitions": 3, "replication.factor": 3 } },
        "producers": producers,
        "consumers": { "auditor": { "assign": ["orders-0", "orders-1", "orders-2"] } },
    })
}

fn faulty() -> serde_json::Value {
    json!({
        "title": "100 records/s, one a batch, random faults",
        "topics": { "orders": { "partitions": 3, "replication.factor": 3, "config": { "min.insync.replicas": 2 } } },
        "producers": { "shop": { "topic": "orders", "records": 6_000, "rate": "100/s",
            "config": { "acks": "all", "linger.ms": 0, "batch.size": 0 } } },
        "consumers": { "auditor": { "assign": ["orders-0", "orders-1", "orders-2"] } },
        "steps": [{ "random": "any", "count": "6", "window": "5s..55s" }],
    })
}

/// Runs every case, with checkers and without.
pub fn bench(args: &Bench) -> Result<Outcome, Wrong> {
    let mut rows = Vec::new();
    for case in &CASES {
        for checkers in [false, true] {
            rows.push(Row::of(case, checkers)?);
        }
    }
    for pass in 0..=args.passes {
        for row in &mut rows {
            match row.pass() {
                Ok(_) if pass == 0 => {}
                Ok(took) => row.took.push(took),
                Err(Broke::Limit(wrong)) => return Err(wrong),
                Err(Broke::Bug(what)) => {
                    report::bug(&what, "klab bench");
                    return Ok(Outcome::Bug);
                }
            }
        }
    }
    match args.json {
        true => rows
            .iter()
            .for_each(|row| report::print(&row.json().to_string())),
        false => {
            print(&rows, args.passes);
            print_seeks(&Seeks::measure()?);
        }
    }
    Ok(Outcome::Good)
}

impl Row {
    fn of(case: &Case, checkers: bool) -> Result<Row, Wrong> {
        let plan = Plan {
            scenario: Arc::new(Scenario::parse("bench", &(case.scenario)().to_string())?),
            seed: 1,
            watch: Watch {
                records: false,
                checkers,
            },
            until: None,
            tape: None,
        };
        Ok(Row {
            plan,
            took: Vec::new(),
            events: 0,
            virtual_ns: 0,
            hash: None,
        })
    }

    /// Runs the case once; how long that took.
    fn pass(&mut self) -> Result<Duration, Broke> {
        let ended = engine::run(&self.plan)?;
        let hash = ended.world.hash();
        if self.hash.is_some_and(|before| before != hash) {
            return Err(Broke::Bug("one seed gave two hashes".to_owned()));
        }
        self.hash = Some(hash);
        self.events = ended.world.events();
        self.virtual_ns = ended.world.now().0;
        Ok(ended.took)
    }

    fn records(&self) -> u64 {
        let plans = self.plan.scenario.producers.values();
        plans.map(|p| u64::from(p.records)).sum()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "case": self.plan.scenario.title,
            "checkers": self.plan.watch.checkers,
            "records": self.records(),
            "events": self.events,
            "wall_ns": u64::try_from(median(&self.took).as_nanos()).unwrap_or(u64::MAX),
            "virtual_ns": self.virtual_ns,
        })
    }

    /// The figures by the median pass: events and records per second, and virtual time per wall time.
    fn figures(&self) -> Floor {
        let ns = median(&self.took).as_nanos().max(1);
        let per_second = |n: u64| u128::from(n) * 1_000_000_000 / ns;
        Floor {
            events: per_second(self.events),
            ratio: u128::from(self.virtual_ns) / ns,
            records: per_second(self.records()),
        }
    }
}

fn print(rows: &[Row], passes: u16) {
    let bold = anstyle::Style::new().bold();
    report::print(&format!(
        "{bold}{:<44} {:>8} {:>12} {:>13} {:>12} {:>8}{bold:#}",
        format!("median of {passes} passes, one core"),
        "checkers",
        "events/s",
        "virtual/wall",
        "records/s",
        "wall ms"
    ));
    for (case, rows) in CASES.iter().zip(rows.chunks(2)) {
        for row in rows {
            let wall = median(&row.took).as_millis().to_string();
            let checkers = if row.plan.watch.checkers { "on" } else { "off" };
            line(&row.plan.scenario.title, checkers, &row.figures(), &wall);
        }
        line("  floor", "", &case.floor, "");
    }
}

fn print_seeks(measured: &Seeks) {
    let rows = [
        ("checkpoint: a clone of the world", &measured.checkpoints, 1),
        ("seek to a random moment", &measured.seeks, 50),
    ];
    report::print(&format!(
        "\nin a run of {} events, 200 times each, in µs",
        grouped(measured.events.into())
    ));
    for (name, sorted, floor_ms) in rows {
        let [half, most] = [50, 95].map(|p| grouped(percentile(sorted, p).as_micros()));
        let floor = grouped(floor_ms * 1_000);
        report::print(&format!(
            "{name:<44} p50 {half:>8}   p95 {most:>8}   at most {floor}"
        ));
    }
}

fn line(name: &str, checkers: &str, figures: &Floor, wall: &str) {
    let shown = |n: u128| match n {
        0 => "-".to_owned(),
        n => grouped(n),
    };
    report::print(&format!(
        "{name:<44} {checkers:>8} {:>12} {:>13} {:>12} {wall:>8}",
        shown(figures.events),
        shown(figures.ratio),
        shown(figures.records),
    ));
}

/// The middle one, the later of two.
fn median(took: &[Duration]) -> Duration {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// A number with its thousands apart.
fn grouped(n: u128) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_scenario_and_has_a_floor() {
        for case in &CASES {
            assert!(Row::of(case, true).is_ok(), "{}", (case.scenario)());
            assert!(case.floor.ratio + case.floor.records > 0);
        }
    }

    #[test]
    fn a_line_of_json_keeps_to_its_schema() {
        let schema = include_str!("../../../schema/output.json");
        let mut schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
        schema["anyOf"] = json!([{ "$ref": "#/$defs/bench" }]);
        let mut row = Row::of(&CASES[1], true).unwrap_or_else(|_| unreachable!("it parses"));
        row.took = vec![Duration::from_millis(500)];
        assert!(jsonschema::is_valid(&schema, &row.json()));
    }

    #[test]
    fn one_slow_pass_does_not_move_the_median() {
        let ms = |n| Duration::from_millis(n);
        assert_eq!(median(&[ms(5), ms(900), ms(4)]), ms(5));
        assert_eq!(median(&[ms(3)]), ms(3));
    }

    #[test]
    fn figures_per_second_and_per_wall_time_follow_from_the_median() {
        let mut row = Row::of(&CASES[1], false).unwrap_or_else(|_| unreachable!("it parses"));
        row.took = vec![Duration::from_millis(500); 3];
        row.events = 1_000;
        row.virtual_ns = 5_000_000_000;
        let figures = row.figures();
        assert_eq!(figures.events, 2_000);
        assert_eq!(figures.ratio, 10);
        assert_eq!(figures.records, 200_000);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234), "1,234");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
