//! The table of canaries: for every promise what shows that its checker barks (law 12). A promise without an entry here fails a
//! test.
//!
//! Two kinds: a directed scenario, in which one protocol switch is off and a schedule breaks what the rule kept; and a
//! history changed in one place, a unit test in `canaries.rs`. `tests/tests/canaries.rs` runs the first, that file the
//! second.
//!
//! Not in it: unavailability (B37). No promise bounds it; it is measured (`unavailable` and `recovery`, counted in `census.rs`).

/// A scenario with a protocol switch off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Directed {
    /// The switch.
    pub switch: &'static str,
    /// Its value in the scenario.
    pub value: &'static str,
    /// The scenario in the library; its first twin has the switch at its safe value.
    pub scenario: &'static str,
    /// Exactly the promises that break.
    pub breaks: &'static [&'static str],
}

const COMMITTED: &[&str] = &["acked survives", "in sync holds committed"];

/// The directed scenarios.
#[rustfmt::skip]
pub const DIRECTED: [Directed; 8] = [
    Directed { switch: "truncate", value: "hw", scenario: "rules/r01-truncate-to-hw", breaks: COMMITTED },
    Directed { switch: "truncate", value: "kip101", scenario: "rules/r03-fast-failovers", breaks: &["in sync holds committed", "log matching"] },
    Directed { switch: "hw-quorum", value: "committed-isr", scenario: "rules/r10-newcomer-not-counted", breaks: COMMITTED },
    Directed { switch: "isr-expand-epoch-start", value: "off", scenario: "rules/r06-expand-below-epoch-start", breaks: COMMITTED },
    Directed { switch: "isr-broker-epoch", value: "off", scenario: "rules/r12-reborn-replica", breaks: COMMITTED },
    Directed { switch: "position-validation", value: "off", scenario: "rules/r07-reader-never-notices", breaks: &["consistent read"] },
    Directed { switch: "prevote", value: "off", scenario: "rules/k06-rejoining-voter", breaks: &["stable leadership"] },
    Directed { switch: "own-epoch-commit", value: "off", scenario: "rules/k03-commit-by-counting", breaks: &["raft safety"] },
];

/// Promises with a unit test that changes a good history in one place and sees them break.
#[rustfmt::skip]
pub const MUTATED: [(&str, &str); 21] = [
    ("acked survives", "a_leader_that_lacks_a_committed_batch_breaks_acked_survives"),
    ("in sync holds committed", "a_member_without_the_last_batch_breaks_in_sync_holds_committed"),
    ("log matching", "a_copy_from_another_epoch_breaks_log_matching"),
    ("consistent read", "two_records_swapped_in_a_read_break_consistent_read"),
    ("one leader per epoch", "a_second_leader_breaks_one_leader_per_epoch"),
    ("sane registry", "a_leader_that_is_not_in_sync_breaks_sane_registry"),
    ("epochs ascend", "a_read_of_an_older_epoch_breaks_epochs_ascend"),
    ("polls go forward", "a_doubled_read_breaks_no_lost_writes_and_polls_go_forward"),
    ("ends ascend", "an_end_below_what_was_read_breaks_ends_ascend"),
    ("offsets follow time", "an_acknowledgement_below_what_was_read_breaks_offsets_follow_time"),
    ("offsets ordered", "a_dropped_copy_breaks_offsets_ordered"),
    ("raft safety", "a_second_quorum_leader_breaks_raft_safety"),
    ("stable leadership", "an_epoch_raised_over_a_stable_leader_breaks_stable_leadership"),
    ("idempotence", "a_sequence_number_left_out_breaks_idempotence"),
    ("no duplicates", "a_batch_doubled_breaks_idempotence_and_no_duplicates"),
    ("no lost writes", "a_dropped_read_breaks_no_lost_writes"),
    ("no phantom", "a_relabelled_record_breaks_no_phantom"),
    ("order", "two_batches_swapped_break_order"),
    ("accepted is sent", "a_record_accepted_and_never_sent_breaks_accepted_is_sent"),
    ("latest kept", "the_last_record_of_a_key_taken_by_compaction_breaks_latest_kept"),
    ("progress", "a_run_that_stays_stuck_after_the_mending_breaks_progress"),
];
