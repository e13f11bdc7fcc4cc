//! Histories that look wrong and are not: each was met by a seed, as runs were drawn then. The same history with one thing that is
//! wrong stays wrong.

use super::story::{ORDERS_0, Story, compaction, of_key};
use klab_kafka::config::Configs;
use klab_kafka::event::*;
use klab_kafka::ids::*;
use std::collections::BTreeSet;

/// A log of one key. While broker-2 is away the others go on, and its leader is compacted; then it copies the one batch that
/// is left, and compacts its own first segment, of which these offsets go.
fn compacted_after_its_leader(gone: &[i64]) -> Story {
    let mut story = Story::begin(|_| {});
    let batch = |story: &mut Story, first: u32| {
        let batch = story.batch(first..first + 2, first.into(), 0, Some(first as i32));
        of_key(&batch, b"k", true)
    };
    let first = batch(&mut story, 0);
    story.deliver("broker-1", &first);
    story.change(None, Some(&[1, 3]));
    for number in [2, 4] {
        let next = batch(&mut story, number);
        story.send(number..number + 2);
        story.append("broker-1", &next);
        story.copy("broker-3", &next);
        story.hw("broker-1", next.end_offset().0);
        if number == 4 {
            story.tell("broker-1", compaction(6, &[0, 1, 2, 3, 4]));
            story.copy("broker-2", &next);
        }
    }
    story.tell("broker-2", compaction(4, gone));
    story
}

// Seed 32 of the safe half: a key that stands three times, at offsets 112, 200 and 318, and a follower that was away.
#[test]
fn a_follower_keeps_what_is_superseded_only_by_what_it_never_had() {
    assert_eq!(compacted_after_its_leader(&[0]).broken(), BTreeSet::new());
    for wrong in [&[0, 1][..], &[]] {
        let broken = compacted_after_its_leader(wrong).broken();
        assert_eq!(broken, BTreeSet::from(["latest kept"]), "{wrong:?}");
    }
}

/// broker-1 wrote a batch that nobody copied, and broker-2, elected, wrote another there, gave up all before `log_start`,
/// and wrote more, which broker-1 copies.
fn copied_behind_a_log_start(log_start: i64) -> Story {
    let mut story = Story::begin(|_| {});
    let first = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &first);
    let alone = story.batch(2..4, 2, 0, None);
    story.send(2..4);
    story.append("broker-1", &alone);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    for number in [4, 6] {
        let next = story.batch(
            number..number + 2,
            i64::from(number) - 2,
            1,
            Some(number as i32),
        );
        story.send(number..number + 2);
        story.append("broker-2", &next);
        story.copy("broker-3", &next);
        story.hw("broker-2", next.end_offset().0);
        if number == 4 {
            story.tell("broker-2", moved(log_start, LogStart::RetentionTime));
        } else {
            story.copy("broker-1", &next);
            story.hw("broker-1", next.end_offset().0);
            story.tell("broker-1", moved(log_start, LogStart::Leader));
        }
    }
    story
}

fn moved(log_start: i64, why: LogStart) -> Event {
    let log_start = Offset(log_start);
    Event::Log(ORDERS_0, LogEvent::LogStartMoved { log_start, why })
}

// Seed 900 of the safe half: the leader had given up its whole first epoch, and the follower's last batch was of it.
#[test]
fn what_differs_before_its_leaders_log_start_does_not_keep_a_follower_from_copying_on() {
    assert_eq!(copied_behind_a_log_start(4).broken(), BTreeSet::new());
    let broken = copied_behind_a_log_start(2).broken();
    assert!(broken.contains("log matching"), "{broken:?}");
}

// Seed 35562 of the safe half: the leader's log began where the follower's ended, and the follower heard of the high watermark
// before it heard of that.
#[test]
fn a_high_watermark_that_comes_before_the_log_start_compares_nothing_that_is_given_up() {
    let comes = |log_start: i64| {
        let mut story = Story::begin(|_| {});
        let alone = story.batch(0..2, 0, 0, None);
        story.send(0..4);
        story.append("broker-1", &alone);
        story.elect("broker-2", Some(&[2, 3]));
        story.lead("broker-2", 1);
        let next = story.batch(2..4, 0, 1, Some(2));
        story.append("broker-2", &next);
        story.copy("broker-3", &next);
        story.hw("broker-2", 2);
        story.tell("broker-2", moved(log_start, LogStart::RetentionTime));
        story.hw("broker-1", 2);
        story.broken()
    };
    assert_eq!(comes(2), BTreeSet::new());
    assert_eq!(comes(1), BTreeSet::from(["log matching"]));
}

// Seed 33314 of the safe half: after a loss of power a member's log ended before its leader's began, without an epoch.
#[test]
fn a_member_of_the_isr_may_cut_off_what_its_leader_has_given_up() {
    let cuts = |log_start: i64| {
        let mut story = Story::begin(|_| {});
        let first = story.batch(0..2, 0, 0, None);
        story.deliver("broker-1", &first);
        story.tell("broker-1", moved(log_start, LogStart::RetentionTime));
        story.truncate("broker-2", 2, 0);
        story.broken()
    };
    assert_eq!(cuts(2), BTreeSet::new());
    assert_eq!(cuts(1), BTreeSet::from(["in sync holds committed"]));
}

/// broker-1 commits two batches alone; before the second, broker-2 is elected without the first, and broker-1 hears of it or
/// acknowledges all the same. Then broker-2 acknowledges a record at offset 1.
fn told_by_a_leader_of_old(hears_of_it: bool) -> Story {
    let mut story = Story::begin(|s| {
        s.cluster.config.unclean_leader_election_enable = true;
    });
    story.change(None, Some(&[1]));
    for first in [0, 4] {
        if first == 4 {
            story.elect("broker-2", Some(&[2]));
            let leads = ReplicaEvent::BecameLeader {
                epoch: LeaderEpoch(1),
                start_offset: Offset(0),
                hw: Offset(0),
            };
            story.tell("broker-2", Event::Replica(ORDERS_0, leads));
        }
        let batch = story.batch(first..first + 4, first.into(), 0, None);
        story.send(first..first + 4);
        if first == 0 || !hears_of_it {
            story.append("broker-1", &batch);
            story.hw("broker-1", batch.end_offset().0);
            story.acked(first + 3, i64::from(first) + 3);
        }
    }
    let new = story.batch(8..10, 0, 1, None);
    story.send(8..10);
    story.append("broker-2", &new);
    story.hw("broker-2", 2);
    story.acked(9, 1);
    story
}

// Seed 439 of the free half: a paused leader woke, and wrote, committed and acknowledged alone before it heard of the other.
#[test]
fn what_an_overruled_leader_tells_is_not_known() {
    let name = "offsets follow time";
    for hears_of_it in [true, false] {
        let broken = told_by_a_leader_of_old(hears_of_it).broken();
        assert!(!broken.contains(name), "{broken:?}");
    }
    // What its own leader has told is.
    let mut story = told_by_a_leader_of_old(true);
    story.send(10..11);
    story.acked(10, 1);
    assert!(story.broken().contains(name));
}

/// broker-2 is elected and its records are read; then broker-1, which has not heard of it, writes one behind its own end and
/// acknowledges it.
fn acknowledged_by_a_leader_of_old(acks: &'static str) -> Story {
    let mut story = Story::begin(|s| {
        let shop = s.producers.get_mut("shop").expect("the tracer's");
        shop.config.set("acks", acks).expect("a value");
    });
    let first = story.batch(0..1, 0, 0, None);
    story.deliver("broker-1", &first);
    story.elect("broker-2", Some(&[2, 3]));
    let leads = ReplicaEvent::BecameLeader {
        epoch: LeaderEpoch(1),
        start_offset: Offset(1),
        hw: Offset(1),
    };
    story.tell("broker-2", Event::Replica(ORDERS_0, leads));
    let next = story.batch(1..4, 1, 1, None);
    story.send(1..4);
    story.append("broker-2", &next);
    story.copy("broker-3", &next);
    story.hw("broker-2", 4);
    story.read(1, 1, 1..4);
    let late = story.batch(4..5, 1, 0, None);
    story.send(4..5);
    story.append("broker-1", &late);
    story.acked(4, 1);
    story
}

// Seed 19 of the free half: a leader was cut off with its clients' requests in its sockets, and answered them when it was back.
#[test]
fn what_an_overruled_leader_acknowledges_with_acks_1_follows_nothing() {
    let name = "offsets follow time";
    assert!(!acknowledged_by_a_leader_of_old("1").broken().contains(name));
    assert!(
        acknowledged_by_a_leader_of_old("all")
            .broken()
            .contains(name)
    );
}

/// broker-1 is alone in the ISR and cut off; broker-2 is elected from outside it, and both commit at offset 1.
fn committed_by_a_leader_set_aside(allowed: bool) -> Story {
    let mut story = Story::begin(|s| {
        s.cluster.config.unclean_leader_election_enable = allowed;
    });
    let first = story.batch(0..1, 0, 0, None);
    story.deliver("broker-1", &first);
    story.change(None, Some(&[1]));
    story.elect("broker-2", Some(&[2]));
    story.lead("broker-2", 1);
    story.send(1..3);
    let batches = [(1, 1, "broker-2"), (2, 0, "broker-1")];
    for (number, epoch, leader) in batches {
        let batch = story.batch(number..number + 1, 1, epoch, None);
        story.append(leader, &batch);
        story.hw(leader, 2);
    }
    story
}

// Seed 39473 of the free half, and others.
#[test]
fn what_a_leader_commits_alone_after_an_unclean_election_has_set_it_aside_is_not_committed() {
    let name = "log matching";
    assert!(
        !committed_by_a_leader_set_aside(true)
            .broken()
            .contains(name)
    );
    assert!(
        committed_by_a_leader_set_aside(false)
            .broken()
            .contains(name)
    );
}

// Seed 1031 of the free half: broker-1's batch at offset 2 was overruled by broker-2, and stands again with broker-1's election.
// broker-2 has given up more than that by then, and starts over at the end of broker-1's log.
#[test]
fn what_an_unclean_election_puts_back_stands_again() {
    let mut story = Story::begin(|s| {
        s.cluster.config.unclean_leader_election_enable = true;
    });
    let first = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &first);
    let back = story.batch(2..4, 2, 0, None);
    story.send(2..4);
    story.append("broker-1", &back);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    let other = story.batch(4..8, 2, 1, None);
    story.send(4..8);
    story.append("broker-2", &other);
    story.copy("broker-3", &other);
    story.hw("broker-2", 6);
    story.tell("broker-2", moved(6, LogStart::RetentionTime));
    story.elect("broker-1", Some(&[1]));
    story.lead("broker-1", 2);
    let (from, at) = (Offset(6), Offset(4));
    let over = LogEvent::StartedOver { from, at };
    story.tell("broker-2", Event::Log(ORDERS_0, over));
    let next = story.batch(8..10, 4, 2, None);
    story.send(8..10);
    story.append("broker-1", &next);
    story.copy("broker-2", &next);
    story.hw("broker-1", 6);
    story.hw("broker-2", 6);
    story.read(4, 2, 8..10);
    let broken = story.broken();
    assert!(!broken.contains("log matching"), "{broken:?}");
    assert!(!broken.contains("consistent read"), "{broken:?}");
}

/// The auditor has read what broker-1 committed alone; broker-2 is elected uncleanly, and other records lie there now.
fn overruled_after_it_was_read() -> Story {
    let mut story = Story::begin(|s| {
        s.cluster.config.unclean_leader_election_enable = true;
    });
    let first = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &first);
    story.change(None, Some(&[1]));
    let alone = story.batch(2..4, 2, 0, None);
    story.send(2..4);
    story.append("broker-1", &alone);
    story.hw("broker-1", 4);
    story.read(2, 0, 2..4);
    story.elect("broker-2", Some(&[2]));
    story.lead("broker-2", 1);
    let other = story.batch(4..8, 2, 1, None);
    story.send(4..8);
    story.append("broker-2", &other);
    story.hw("broker-2", 6);
    story
}

#[test]
fn a_reader_may_read_on_behind_records_that_are_gone_only_if_it_was_told() {
    let (partition, position) = (ORDERS_0, Offset(4));
    let truncated = ClientEvent::TruncationDetected {
        partition,
        position,
        divergence: Some(Offset(2)),
    };
    let reset = ClientEvent::PositionReset {
        partition,
        to: position,
    };
    for told in [truncated, reset] {
        let mut story = overruled_after_it_was_read();
        story.client("auditor", told);
        story.read(4, 1, 6..8);
        assert_eq!(story.broken(), BTreeSet::new());
    }
    let mut story = overruled_after_it_was_read();
    story.read(4, 1, 6..8);
    assert_eq!(story.broken(), BTreeSet::from(["consistent read"]));
}

/// broker-1's batch at offset 2 is overruled by broker-2, whose own is read; then broker-1 is elected uncleanly with what it has
/// there, of an older epoch, or has cut that off and writes it anew. The auditor reads on behind it.
fn read_on_behind_an_older_epoch(is_older: bool) -> Story {
    let mut story = Story::begin(|s| {
        s.cluster.config.unclean_leader_election_enable = true;
    });
    let first = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &first);
    story.send(2..8);
    let old = story.batch(2..4, 2, 0, None);
    story.append("broker-1", &old);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    let other = story.batch(4..6, 2, 1, None);
    story.append("broker-2", &other);
    story.copy("broker-3", &other);
    story.hw("broker-2", 4);
    story.read(2, 1, 4..6);
    if !is_older {
        story.truncate("broker-1", 4, 2);
    }
    story.elect("broker-1", Some(&[1]));
    story.lead("broker-1", 2);
    if !is_older {
        let again = story.batch(2..4, 2, 2, None);
        story.append("broker-1", &again);
    }
    let next = story.batch(6..8, 4, 2, None);
    story.append("broker-1", &next);
    story.hw("broker-1", 6);
    story.read(4, 2, 6..8);
    story
}

// Seed 43001 of the free half: the end of the epoch before lay at the reader's position.
#[test]
fn a_reader_need_not_be_told_that_an_older_epoch_has_come_back() {
    let name = "consistent read";
    assert!(!read_on_behind_an_older_epoch(true).broken().contains(name));
    assert!(read_on_behind_an_older_epoch(false).broken().contains(name));
}

#[test]
fn a_reader_may_read_on_behind_records_that_an_election_has_put_back() {
    let mut story = overruled_after_it_was_read();
    story.elect("broker-1", Some(&[1]));
    story.lead("broker-1", 2);
    let next = story.batch(8..10, 4, 2, None);
    story.send(8..10);
    story.append("broker-1", &next);
    story.hw("broker-1", 6);
    story.read(4, 2, 8..10);
    assert_eq!(story.broken(), BTreeSet::new());
}

/// broker-1 wrote a batch of six records that nobody copied; broker-2, elected, wrote two batches there and gave up all before
/// `log_start`. broker-1 cuts its log within its batch, to where broker-2's log begins, and copies on.
fn cut_within_a_batch(log_start: i64) -> Story {
    let mut story = Story::begin(|_| {});
    let first = story.batch(0..2, 0, 0, None);
    story.deliver("broker-1", &first);
    let alone = story.batch(2..8, 2, 0, None);
    story.send(2..8);
    story.append("broker-1", &alone);
    story.elect("broker-2", Some(&[2, 3]));
    story.lead("broker-2", 1);
    story.send(8..12);
    let next = [(8..10, 2), (10..12, 4)].map(|(ids, at)| story.batch(ids, at, 1, Some(at as i32)));
    for batch in &next {
        story.append("broker-2", batch);
        story.copy("broker-3", batch);
        story.hw("broker-2", batch.end_offset().0);
    }
    story.tell("broker-2", moved(log_start, LogStart::RetentionTime));
    story.truncate("broker-1", 8, 4);
    story.copy("broker-1", &next[1]);
    story
}

// Seed 120 of the safe half: of epochs that it has given up a leader knows only where the next one begins (L-39).
#[test]
fn a_follower_goes_on_behind_a_hole_that_its_leader_has_given_up() {
    assert_eq!(cut_within_a_batch(4).broken(), BTreeSet::new());
    let broken = cut_within_a_batch(2).broken();
    assert!(broken.contains("offsets ordered"), "{broken:?}");
}

// Seed 200123 of the free half: retention had emptied a log, and its leader came back after a clean stop.
#[test]
fn a_leader_that_finds_its_log_empty_knows_no_producer_and_takes_any_sequence_number() {
    let goes_on = |restarts: bool| {
        let mut story = Story::begin(|_| {});
        let first = story.batch(0..2, 0, 0, Some(0));
        story.deliver("broker-1", &first);
        if restarts {
            let (leo, hw, torn) = (Offset(2), Offset(2), false);
            let found = LogEvent::Recovered { leo, hw, torn };
            story.tell("broker-1", Event::Log(ORDERS_0, found));
        }
        story.elect("broker-1", None);
        story.lead("broker-1", 1);
        let next = story.batch(4..6, 2, 1, Some(4));
        story.deliver("broker-1", &next);
        story.broken()
    };
    assert_eq!(goes_on(true), BTreeSet::new());
    assert_eq!(goes_on(false), BTreeSet::from(["idempotence"]));
}
