//! `klab rules`: each rule of the sections built, in a few words: the file that obeys it and its test, or why it is left out.
//!
//! The words and the reasons stand here; the places are read from the source when klab is built (`build.rs`).

use crate::args::Rules;
use crate::outcome::Outcome;
use crate::report;
use klab_kafka::rules::SWITCHES;
use klab_world::check::canary::DIRECTED;

/// A rule and its file and test, by id. An empty text is none.
const PLACES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/places.rs"));
/// Files that have tests.
const TESTED: &[&str] = include!(concat!(env!("OUT_DIR"), "/tested.rs"));

const ELR: &str = "eligible leader replicas are off in era 4.0";
const INTERNAL: &str = "internal topics come with groups and transactions";

/// What is left out, and why.
#[rustfmt::skip]
const LEFT_OUT: &[(&str, &str)] = &[
    ("L-41", INTERNAL), ("K-26", INTERNAL),
    ("R-28", ELR), ("R-29", ELR), ("R-30", ELR), ("R-31", ELR), ("R-40", ELR),
    ("R-34", "fetching from followers comes with a later release"),
    ("K-10", "changing voters comes with a later release"),
    ("K-27", "reassignment comes with a later release"),
];

/// What is kept in part, and what is missing.
#[rustfmt::skip]
const IN_PART: &[(&str, &str)] = &[
    ("L-37", "a broker has one log directory, whose failure is its end"),
    ("R-35", "no consumer is sent to a follower"),
    ("K-12", "no snapshots"),
];

/// The rules in a few words.
#[rustfmt::skip]
const RULES: &[(&str, &str)] = &[
    ("N-1", "one request at a time per connection"),
    ("N-2", "separate connections for separate duties"),
    ("N-3", "one request that times out closes its connection"),
    ("N-4", "back-off doubles, with jitter"),
    ("N-5", "metadata ages, and older leader epochs are ignored"),
    ("N-6", "each broker answers from its own copy of the metadata"),
    ("N-7", "every source of chance is seeded"),
    ("L-1", "one batch per partition and produce request"),
    ("L-2", "control batches take offsets"),
    ("L-3", "the leader's checks of a batch, in order"),
    ("L-4", "timestamps of the client or of the broker"),
    ("L-5", "compression"),
    ("L-6", "the order of an append"),
    ("L-7", "producer state: five batches"),
    ("L-8", "an exact repetition is a duplicate"),
    ("L-9", "an older producer epoch is refused"),
    ("L-10", "sequences without a gap"),
    ("L-11", "no plain batch inside a transaction"),
    ("L-12", "followers apply producer state without refusing"),
    ("L-13", "producer snapshots keep one batch"),
    ("L-14", "producer state expires"),
    ("L-15", "min ISR is checked before producer state"),
    ("L-16", "segments are named by their base offset"),
    ("L-17", "when a segment rolls"),
    ("L-18", "a fetch returns the whole batch"),
    ("L-19", "a roll flushes the closed segment"),
    ("L-20", "the retention sweep"),
    ("L-21", "retention by record time"),
    ("L-22", "retention by size"),
    ("L-23", "cleanup policies"),
    ("L-24", "deletion raises the log start offset"),
    ("L-25", "followers adopt the log start offset"),
    ("L-26", "DeleteRecords"),
    ("L-27", "what is cleanable"),
    ("L-28", "compaction keeps the latest of each key, and offsets"),
    ("L-29", "tombstones wait for their horizon"),
    ("L-30", "empty batches that are kept"),
    ("L-31", "keyless records and the active segment"),
    ("L-32", "an acknowledgement never means a sync"),
    ("L-33", "checkpoint files, and how old they may be"),
    ("L-34", "kill, power loss and disk loss are three faults"),
    ("L-35", "a clean stop leaves a marker"),
    ("L-36", "recovery without the marker"),
    ("L-37", "a log directory that fails"),
    ("L-38", "the leader epoch cache"),
    ("L-39", "the end offset of an epoch"),
    ("L-40", "the order of the producer checks"),
    ("L-41", "clients may not write to internal topics"),
    ("R-1", "one fetch per source broker"),
    ("R-2", "a follower's LEO is known from its next fetch"),
    ("R-3", "a follower appends, then moves its HW"),
    ("R-4", "a new HW does not wake a parked follower"),
    ("R-5", "HW is the least LEO of the maximal ISR"),
    ("R-6", "below min ISR the HW stands still"),
    ("R-7", "consumers read below the HW"),
    ("R-8", "positions out of range"),
    ("R-9", "the leader's checks of a fetch"),
    ("R-10", "what caught up means"),
    ("R-11", "the ISR shrinks"),
    ("R-12", "the ISR expands"),
    ("R-13", "AlterPartition and the maximal ISR"),
    ("R-14", "the controller's checks of AlterPartition"),
    ("R-15", "acks=0"),
    ("R-16", "acks=1"),
    ("R-17", "acks=all"),
    ("R-18", "a parked produce whose leader is lost"),
    ("R-19", "when a fetch is answered"),
    ("R-20", "size limits are soft"),
    ("R-21", "truncation by diverging epoch"),
    ("R-22", "a diverging fetch does not count"),
    ("R-23", "a follower out of range"),
    ("R-24", "the order of election"),
    ("R-25", "unclean election"),
    ("R-26", "when unclean elections run"),
    ("R-27", "preferred leaders"),
    ("R-28", "eligible leader replicas"),
    ("R-29", "an unclean shutdown leaves ISR and ELR"),
    ("R-30", "the last known leader"),
    ("R-31", "changing min ISR clears ELR"),
    ("R-32", "the end offset of a new leader"),
    ("R-33", "when epochs grow"),
    ("R-34", "the preferred read replica"),
    ("R-35", "a follower serves up to its HW"),
    ("R-36", "a zombie leader keeps answering"),
    ("R-37", "a new epoch forgets the followers"),
    ("R-38", "what a follower does about errors"),
    ("R-39", "which ISR counts for what"),
    ("R-40", "election from the ELR"),
    ("K-1", "what a voter must not forget"),
    ("K-2", "PreVote"),
    ("K-3", "Vote"),
    ("K-4", "a new leader's first record, and the HW"),
    ("K-5", "replication is pull"),
    ("K-6", "voters sync before they fetch again"),
    ("K-7", "EndQuorumEpoch names successors"),
    ("K-8", "an append that the epoch has left behind"),
    ("K-9", "a parked fetch wakes for the HW too"),
    ("K-10", "dynamic voters"),
    ("K-11", "the controller answers after commit"),
    ("K-12", "NoOp records and snapshots"),
    ("K-13", "a new controller gives every broker a fresh session"),
    ("K-14", "registration and broker epochs"),
    ("K-15", "a new incarnation leaves its ISRs"),
    ("K-16", "heartbeats unfence"),
    ("K-17", "a lost session fences"),
    ("K-18", "what a fenced broker may do"),
    ("K-19", "controlled shutdown"),
    ("K-20", "in what order a broker applies metadata"),
    ("K-21", "CreateTopics and its errors"),
    ("K-22", "where replicas are placed"),
    ("K-23", "more partitions"),
    ("K-24", "deleting a topic"),
    ("K-25", "topics created by asking"),
    ("K-26", "internal topics"),
    ("K-27", "reassignment"),
    ("K-28", "a lone voter leads at once"),
    ("K-29", "who wins after a resignation"),
    ("K-30", "heartbeats while starting"),
    ("P-1", "settings that go together"),
    ("P-2", "the order of send"),
    ("P-3", "how a partition is chosen"),
    ("P-4", "the sticky partition"),
    ("P-5", "adaptive partitioning"),
    ("P-6", "the accumulator"),
    ("P-7", "when a batch may leave"),
    ("P-8", "a ready partition takes its node's others along"),
    ("P-9", "no batching, no lingering"),
    ("P-10", "the delivery timeout"),
    ("P-11", "when a batch is tried again"),
    ("P-12", "a batch too large is split"),
    ("P-13", "sequences are given at drain time"),
    ("P-14", "acks=0 completes in the socket"),
    ("P-15", "one in flight mutes the partition"),
    ("P-16", "producer ids"),
    ("P-17", "a gap in the sequences"),
    ("P-18", "an expired batch leaves a sequence unresolved"),
    ("P-19", "only the lowest sequence is sent again"),
    ("P-20", "what idempotence does not cover"),
    ("C-1", "the order of poll"),
    ("C-2", "one fetch per broker"),
    ("C-3", "the position moves when poll returns"),
    ("C-4", "partitions take turns"),
    ("C-5", "records that cannot be read"),
    ("C-6", "pause, resume and seek"),
    ("C-7", "where to begin"),
    ("C-8", "reset asks for offsets"),
    ("C-9", "out of range"),
    ("C-10", "a position is validated by its epoch"),
    ("C-11", "what a consumer does about errors"),
];

/// Prints the table, and under it the protocol switches.
pub fn rules(args: &Rules) -> Outcome {
    if args.markdown {
        report::print(
            "| rule | in a few words | where, and the test that holds it |\n|---|---|---|",
        );
    }
    for (id, words) in RULES {
        report::print(&match args.markdown {
            true => format!("| {id} | {words} | {} |", place(id)),
            false => format!("{id:<5} {words:<50} {}", place(id)),
        });
    }
    report::print(match args.markdown {
        true => "\n| switch | what shows the bug that it keeps away |\n|---|---|",
        false => "\nSwitches in `rules` of a scenario, and what shows the bug that each keeps away",
    });
    for switch in SWITCHES {
        report::print(&match args.markdown {
            true => format!("| `{}` | {} |", switch.name, shown(switch.name)),
            false => format!("{:<23} {}", switch.name, shown(switch.name)),
        });
    }
    Outcome::Good
}

/// The directed scenarios of a switch.
fn shown(switch: &str) -> String {
    let of_switch = DIRECTED.iter().filter(|d| d.switch == switch);
    let shown: Vec<String> = of_switch
        .map(|d| format!("{}: {} breaks {}", d.value, d.scenario, d.breaks.join(", ")))
        .collect();
    match &shown[..] {
        [] => "off breaks no promise; without_check_quorum_an_isolated_leader_goes_on_believing"
            .to_owned(),
        _ => shown.join("; "),
    }
}

/// Where a rule is obeyed and tested, or why it is left out.
fn place(id: &str) -> String {
    let place = PLACES.iter().find(|(known, ..)| *known == id);
    let of = |list: &[(&str, &'static str)]| {
        let found = list.iter().find(|(known, _)| *known == id);
        found.map(|(_, why)| *why)
    };
    if let Some(reason) = of(LEFT_OUT) {
        return format!("left out: {reason}");
    }
    let place = match place {
        Some((_, file, test)) if !file.is_empty() => match (*test, TESTED.contains(file)) {
            ("", true) => format!("{file}; tests beside it"),
            ("", false) => (*file).to_owned(),
            (test, _) => format!("{file}; {test}"),
        },
        Some((_, _, test)) => format!("tests; {test}"),
        None => "nowhere".to_owned(),
    };
    match of(IN_PART) {
        Some(missing) => format!("{place}; in part: {missing}"),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_named_once() {
        let mut ids: Vec<&str> = RULES.iter().map(|(id, _)| *id).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(LEFT_OUT.iter().all(|(id, _)| ids.contains(id)));
    }

    #[test]
    fn what_is_left_out_stands_nowhere_and_everything_else_somewhere() {
        for (id, _) in RULES {
            let stands = PLACES.iter().any(|(known, ..)| known == id);
            let is_left_out = LEFT_OUT.iter().any(|(known, _)| known == id);
            assert!(stands != is_left_out, "{id}: {}", place(id));
        }
        for (id, _) in IN_PART {
            assert!(PLACES.iter().any(|(known, ..)| known == id), "{id}");
        }
    }

    #[test]
    fn a_switch_names_its_directed_scenarios() {
        let both = shown("truncate");
        assert!(both.starts_with("hw: rules/r01-truncate-to-hw breaks acked survives"));
        assert!(both.contains("; kip101: rules/r03-fast-failovers breaks "));
        for switch in SWITCHES.iter().filter(|s| s.name != "check-quorum") {
            assert!(shown(switch.name).contains("rules/"), "{}", switch.name);
        }
    }
}
