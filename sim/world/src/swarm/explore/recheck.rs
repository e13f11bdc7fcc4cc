//! Whether the faults that a verdict accuses are guilty: the run is done again from its tape without each of them, and the
//! records that it is said to have cost must be safe.
//!
//! Where harm is dense, a later fault may destroy the same copy that the accused one destroyed. So a record that is still not
//! safe is asked again: if its new explanation accuses other faults, and it is safe once they are gone too, they only took the
//! accused one's place.
//!
//! Left out: findings whose explanation names no fault (`acks=0` may lose on a healthy cluster); they are counted.

use super::{replay_without, verdict};
use crate::verdict::{Fate, Finding, FindingKind};
use crate::world::World;
use klab_kafka::ids::RecordId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often an accused fault is guilty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Guilt {
    /// Records whose explanation names a fault.
    pub accusing: u64,
    /// So many of them are safe in a run without that fault.
    pub safe: u64,
    /// So many more are safe once the faults are gone, too, that take its place.
    pub replaced: u64,
    /// Records whose explanation names none.
    pub without_fault: u64,
    /// Faults that are accused, each in one run.
    pub faults: u64,
    /// Those of them without which some of their records are not safe, whatever else is taken away.
    pub doubtful: Vec<Doubt>,
}

/// An accused fault without which some of its records are not safe, whatever else is taken away.
#[derive(Clone, PartialEq, Debug)]
pub struct Doubt {
    /// The seed of the run.
    pub seed: u64,
    /// The fault's step.
    pub step: u64,
    /// Records that accuse it.
    pub accusing: u64,
    /// So many of them are not safe without it and what takes its place.
    pub lost: u64,
    /// One of these.
    pub record: RecordId,
}

impl Guilt {
    /// Both together.
    pub fn and(mut self, other: Guilt) -> Guilt {
        self.doubtful.extend(other.doubtful);
        Guilt {
            accusing: self.accusing + other.accusing,
            safe: self.safe + other.safe,
            replaced: self.replaced + other.replaced,
            without_fault: self.without_fault + other.without_fault,
            faults: self.faults + other.faults,
            doubtful: self.doubtful,
        }
    }

    /// Nine of ten accusations hold. Not all can: without a fault a record may be refused, or sent at another time.
    pub fn is_sound(&self) -> bool {
        10 * (self.safe + self.replaced) >= 9 * self.accusing
    }
}

/// How many times a record that is still not safe is asked again.
const ROUNDS: usize = 4;

/// Runs a finished run again without each fault that it accuses of findings of one kind.
pub fn recheck(world: &World, kind: FindingKind) -> Guilt {
    let mut guilt = Guilt::default();
    let mut accused: BTreeMap<u64, BTreeSet<RecordId>> = BTreeMap::new();
    for finding in verdict(world).found(kind) {
        match accused_by(finding) {
            Some(step) => {
                accused.entry(step).or_default().insert(finding.record);
            }
            None => guilt.without_fault += 1,
        }
    }
    for (step, records) in accused {
        guilt = guilt.and(without(world, kind, step, records));
    }
    guilt
}

fn accused_by(finding: &Finding) -> Option<u64> {
    let fault = finding.explanation.as_ref()?.fault.as_ref()?;
    Some(fault.step)
}

/// Takes away one fault, and then what takes its place.
fn without(world: &World, kind: FindingKind, step: u64, records: BTreeSet<RecordId>) -> Guilt {
    let scenario = Arc::new(world.scenario().clone());
    let (tape, seed) = (world.tape(), world.seed());
    let (accusing, mut lost) = (records.len() as u64, records);
    let mut gone = BTreeSet::from([step]);
    let mut safe_after = Vec::new();
    for _ in 0..ROUNDS {
        let replay = replay_without(scenario.clone(), seed, tape, |e| !gone.contains(&e.step));
        let verdict = verdict(&replay);
        lost.retain(|id| !verdict.fate(*id).is_some_and(|f| is_safe(f, kind)));
        safe_after.push(accusing - lost.len() as u64);
        let of_lost = verdict.found(kind).filter(|f| lost.contains(&f.record));
        let known = gone.len();
        gone.extend(of_lost.filter_map(accused_by));
        if gone.len() == known {
            break;
        }
    }
    let (safe, in_the_end) = (safe_after[0], safe_after[safe_after.len() - 1]);
    let doubt = lost.first().map(|record| Doubt {
        seed,
        step,
        accusing,
        lost: lost.len() as u64,
        record: *record,
    });
    Guilt {
        accusing,
        safe,
        replaced: in_the_end - safe,
        without_fault: 0,
        faults: 1,
        doubtful: doubt.into_iter().collect(),
    }
}

fn is_safe(fate: &Fate, kind: FindingKind) -> bool {
    match kind {
        FindingKind::Lost | FindingKind::AcceptedLost => fate.copies >= 1,
        // One that was refused or never sent is not doubled either.
        _ => fate.copies <= 1,
    }
}
