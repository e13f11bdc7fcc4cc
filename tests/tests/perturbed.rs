//! The hash of a trace takes in every field of every record: whatever is changed in a record, alone, gives another hash.

#[path = "perturbed/values.rs"]
mod values;

use klab_kafka::event::Event;
use klab_kafka::time::Time;
use klab_world::process::ProcessId;
use klab_world::trace::{Record, Trace, What};
use std::collections::BTreeMap;
use values::{Perturb, others};

/// A record but for its number, which is its place in the trace.
type Content = ((Time, Option<ProcessId>, Option<u64>), What);

fn hash(content: &Content) -> u64 {
    hash_of_all(std::slice::from_ref(content))
}

fn hash_of_all(contents: &[Content]) -> u64 {
    let mut trace = Trace::new(false);
    for ((at, process, cause), what) in contents {
        trace.push(&Record {
            seq: trace.next_seq(),
            at: *at,
            process: *process,
            cause: *cause,
            what,
        });
    }
    trace.hash()
}

fn context() -> (Time, Option<ProcessId>, Option<u64>) {
    (Time(1_000), Some(ProcessId(2)), Some(7))
}

#[test]
fn every_kind_of_record_has_a_hash_of_its_own() {
    let mut seen: BTreeMap<u64, What> = BTreeMap::new();
    for what in What::kinds() {
        let hash = hash(&(context(), what.clone()));
        if let Some(other) = seen.insert(hash, what.clone()) {
            assert_eq!(other, what, "two records with one hash");
        }
    }
    assert!(seen.len() > 150, "{} kinds", seen.len());
}

#[test]
fn any_field_of_any_kind_of_record_changes_the_hash() {
    let mut changes = 0;
    for what in What::kinds() {
        let plain = hash(&(context(), what.clone()));
        for other in others(&what) {
            changes += 1;
            let changed = hash(&(context(), other.clone()));
            assert_ne!(plain, changed, "not seen: {other:?} in place of {what:?}");
        }
    }
    assert!(changes > 1_000, "{changes} changes");
}

#[test]
fn when_where_and_why_of_a_record_change_the_hash() {
    let what = What::StepMissed { step: 1 };
    let plain = hash(&(context(), what.clone()));
    for other in others(&context()) {
        assert_ne!(plain, hash(&(other, what.clone())), "{other:?}");
    }
    let twice = |first: &What, second: &What| {
        let of = |what: &What| (context(), what.clone());
        hash_of_all(&[of(first), of(second)])
    };
    let told = What::Told(Event::kinds().swap_remove(0));
    assert_ne!(twice(&what, &told), twice(&told, &what), "its number");
}
