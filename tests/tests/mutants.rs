//! Ten thousand damaged scenarios: none makes klab panic or hang, and enough of them are still scenarios and run to a
//! verdict, so that the damage is not only in the syntax.
//!
//! Three kinds of damage: bytes of the file, values of the tree, and values taken over from another scenario.

use klab_world::scenario::tree::{Node, Value};
use klab_world::scenario::{Scenario, decode, library};
use klab_world::trace::Phase;
use klab_world::world::{Watch, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MUTANTS: u64 = 10_000;
/// A run of a mutant that takes more than this is let go: it has not panicked, and it has not come to a verdict.
const EVENTS_MAX: u64 = 20_000;

/// What is damaged: small, so that thousands of runs are a matter of a minute.
const BASES: [&str; 3] = [
    r#"{ "title": "one", "cluster": { "brokers": 1, "controllers": 1 }, "topics": { "orders": {} },
  "producers": { "shop": { "topic": "orders", "records": 5, "rate": "20/s", "config": { "linger.ms": 0 } } },
  "steps": [{ "at": "100ms", "pause": "shop", "for": "50ms" }], "end": { "at": "1s", "within": "20s" }, "expect": ["sent == 5"] }"#,
    r#"{ "title": "two", "seed": 3, "network": { "latency": "1ms..5ms" },
  "cluster": { "brokers": 2, "controllers": 1, "racks": ["a", "b"], "rules": { "prevote": "off" }, "config": { "min.insync.replicas": 1 } },
  "topics": { "orders": { "partitions": 2, "replication.factor": 2, "config": { "min.insync.replicas": 1 } } },
  "producers": { "shop": { "topic": "orders", "records": 8, "rate": "20/s", "keys": 3, "size": "64B", "answers": "after-send", "config": { "acks": "1", "linger.ms": 5 } } },
  "consumers": { "auditor": { "assign": ["orders-0", "orders-1"], "config": { "auto.offset.reset": "earliest" } } },
  "steps": [{ "when": "leader of orders-0 appended offset 1", "crash": "leader of orders-0", "for": "300ms" },
    { "random": "network", "count": "1..2", "window": "100ms..500ms", "for": "100ms" }],
  "end": { "at": "1s", "within": "30s" }, "expect": ["log.lost >= 0", "sometimes: leader elected"],
  "try": [{ "set": "/producers/shop/config/acks", "to": ["all", "0"] }] }"#,
    r#"{ "title": "three", "cluster": { "brokers": 1, "controllers": 3 }, "topics": { "orders": { "replicas": [[1]] } },
  "producers": { "shop": { "topic": "orders", "records": 3, "rate": "10/s" } },
  "steps": [{ "at": "200ms", "isolate": "active controller", "for": "400ms" }, { "at": "300ms", "slow": ["shop", "broker-1"], "factor": 5 }],
  "end": { "at": "1s", "within": "30s" }, "twins": [{ "title": "acks=0", "set": { "/producers/shop/config": { "acks": "0" } }, "expect": [] }] }"#,
];

/// SplitMix64: the test's own chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((u128::from(z ^ (z >> 31)) * n as u128) >> 64).expect("below n")
    }
}

/// The file of a mutant.
fn mutant(number: u64) -> Vec<u8> {
    let mut chance = Chance(number);
    let base = BASES[chance.below(BASES.len())];
    let mut tree = Node::parse(base, 0).unwrap_or_else(|(_, mistake)| panic!("{mistake:?}"));
    for _ in 0..=chance.below(3) {
        let donor = Node::parse(BASES[chance.below(BASES.len())], 0).expect("a base is JSON");
        let place = chance.below(count(&tree));
        let other = chance.below(count(&donor));
        let donated = nth(&donor, &mut { other }).expect("it was counted").clone();
        let kind = chance.below(10);
        damage(&mut tree, &mut { place }, kind, &donated, &mut chance);
    }
    let mut bytes = tree.to_file().into_bytes();
    if chance.below(8) == 0 {
        let at = chance.below(bytes.len());
        bytes[at] = u8::try_from(chance.below(256)).expect("a byte");
    }
    bytes
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
        _ => 0,
    }
}

fn nth<'a>(node: &'a Node, n: &mut usize) -> Option<&'a Node> {
    if *n == 0 {
        return Some(node);
    }
    *n -= 1;
    match &node.value {
        Value::List(items) => items.iter().find_map(|node| nth(node, n)),
        Value::Map(entries) => entries.iter().find_map(|(_, node)| nth(node, n)),
        _ => None,
    }
}

/// Damages the n-th value.
fn damage(
    node: &mut Node,
    n: &mut usize,
    kind: usize,
    donated: &Node,
    chance: &mut Chance,
) -> bool {
    if *n == 0 {
        hurt(node, kind, donated, chance);
        return true;
    }
    *n -= 1;
    match &mut node.value {
        Value::List(items) => items
            .iter_mut()
            .any(|node| damage(node, n, kind, donated, chance)),
        Value::Map(entries) => entries
            .iter_mut()
            .any(|(_, node)| damage(node, n, kind, donated, chance)),
        _ => false,
    }
}

fn hurt(node: &mut Node, kind: usize, donated: &Node, chance: &mut Chance) {
    const NUMBERS: [&str; 9] = [
        "0",
        "1",
        "2",
        "3",
        "7",
        "-1",
        "4294967296",
        "18446744073709551616",
        "1.5",
    ];
    const UNITS: [&str; 8] = ["0s", "1ns", "1ms", "250ms", "2s", "100d", "1..2", "10/s"];
    match (&mut node.value, kind) {
        (_, 0) => *node = donated.clone(),
        (Value::List(items), _) if !items.is_empty() && kind < 6 => {
            let at = chance.below(items.len());
            if kind < 4 {
                items.remove(at);
            } else {
                items.push(items[at].clone());
            }
        }
        (Value::Map(entries), _) if !entries.is_empty() && kind < 6 => {
            let at = chance.below(entries.len());
            if kind < 4 {
                entries.remove(at);
            } else {
                entries[at].0.name.push('x');
            }
        }
        (Value::Number(text), _) => *text = NUMBERS[chance.below(NUMBERS.len())].to_owned(),
        (Value::Text(text), 1..=4) if text.chars().any(|c| c.is_ascii_digit()) => {
            let digit = char::from(b'0' + u8::try_from(chance.below(10)).expect("a digit"));
            let first = text
                .find(|c: char| c.is_ascii_digit())
                .expect("there is one");
            text.replace_range(first..=first, &digit.to_string());
        }
        (Value::Text(text), 5..=6) => *text = UNITS[chance.below(UNITS.len())].to_owned(),
        (Value::Text(text), 7) => {
            text.pop();
        }
        (Value::Bool(value), _) => *value = !*value,
        _ => node.value = Value::Null,
    }
}

/// How a mutant ended.
enum Ended {
    Refused,
    LetGo,
    Verdict,
}

fn try_one(number: u64) -> Ended {
    let bytes = mutant(number);
    let scenario = match decode::read("mutant", &bytes, &[], &library::find) {
        Ok(scenario) => scenario,
        Err(errors) => {
            assert!(
                !errors.0.is_empty(),
                "mutant {number} is refused without a word"
            );
            assert!(
                errors.to_string().len() < 100_000,
                "mutant {number}: an error is read by a person"
            );
            return Ended::Refused;
        }
    };
    let again = Scenario::parse("export", &scenario.export());
    assert_eq!(
        again.as_ref(),
        Ok(&scenario),
        "mutant {number} does not survive its export"
    );
    let watch = Watch {
        records: false,
        checkers: true,
    };
    let mut world = World::new(Arc::new(scenario), number, watch);
    while world.events() < EVENTS_MAX && world.step() {}
    match world.phase() {
        Phase::Done => {
            world.outcome().expect("it was watched");
            Ended::Verdict
        }
        _ => Ended::LetGo,
    }
}

#[test]
fn ten_thousand_mutants_neither_panic_nor_hang_and_many_run_to_a_verdict() {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let counts: Vec<[u64; 3]> = std::thread::scope(|scope| {
        let work = || {
            let mut counts = [0; 3];
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                if number >= MUTANTS {
                    return counts;
                }
                let ended = std::panic::catch_unwind(|| try_one(number));
                counts[ended.unwrap_or_else(|_| {
                    panic!(
                        "mutant {number}:\n{}",
                        String::from_utf8_lossy(&mutant(number))
                    )
                }) as usize] += 1;
            }
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("a mutant panicked; its file is above"))
            .collect()
    });
    let sum = |kind: usize| counts.iter().map(|counts| counts[kind]).sum::<u64>();
    println!(
        "{} refused, {} let go, {} with a verdict",
        sum(0),
        sum(1),
        sum(2)
    );
    assert_eq!(sum(0) + sum(1) + sum(2), MUTANTS);
    assert!(sum(2) >= MUTANTS / 10, "only {} came to a verdict", sum(2));
}
