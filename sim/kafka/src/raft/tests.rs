//! Claims about a quorum as a whole: elections, commits, what each protocol switch is for, and what no schedule may break.

use super::bench::Bench;
use super::fetch::Parked;
use super::*;
use proptest::prelude::*;

#[test]
fn three_voters_elect_one_leader_and_commit_its_first_record() {
    let mut bench = Bench::new(3, Rules::default(), 1);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    for id in 1..=3 {
        assert_eq!(bench.raft(id).seen().leader, Some(leader));
        assert_eq!(bench.raft(id).seen().committed, Offset(1));
    }
    bench.assert_unbroken();
}

#[test]
fn a_single_voter_leads_at_once() {
    let mut bench = Bench::new(1, Rules::default(), 1);
    bench.run(Duration::millis(50));
    assert_eq!(bench.leader(), Some(NodeId(1)));
    assert_eq!(bench.raft(1).seen().committed, Offset(1));
}

#[test]
fn a_restarted_leader_resigns_and_never_leads_that_epoch_again() {
    let mut bench = Bench::new(1, Rules::default(), 1);
    bench.run(Duration::millis(50));
    let epoch = bench.raft(1).epoch();
    bench.kill(NodeId(1));
    bench.start(NodeId(1));
    bench.run(Duration::millis(50));
    assert!(bench.raft(1).epoch() > epoch);
    bench.assert_unbroken();
}

#[test]
fn a_voter_forces_records_to_disk_before_its_next_fetch_says_so() {
    let mut bench = Bench::new(3, Rules::default(), 3);
    bench.run_till("a leader", |b| b.leader().is_some());
    let leader = bench.leader().expect("just elected");
    let offset = bench.append(leader).expect("it leads");
    bench.run_till("a commit", |b| b.raft(leader.0).seen().committed > offset);
    let on_disk = bench
        .nodes
        .values()
        .filter(|n| n.disk.synced.iter().any(|b| b.base_offset == offset));
    assert!(
        on_disk.count() >= 2,
        "a majority has what is committed on disk"
    );
}

#[test]
fn a_parked_fetch_is_answered_when_the_high_watermark_moves() {
    let mut bench = Bench::new(3, Rules::default(), 4);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    bench.append(leader);
    let before = bench.now;
    bench.run_till("all know", |b| {
        (1..=3).all(|id| b.raft(id).seen().committed == Offset(2))
    });
    // Linger, two round trips, two syncs: far less than the half second that a fetch may be parked.
    assert!(bench.now.since(before) < Duration::millis(100));
}

#[test]
fn a_resigned_leader_is_followed_by_the_voter_it_named_first() {
    let mut bench = Bench::new(3, Rules::default(), 5);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    let before = bench.now;
    bench.tell(leader, RaftInput::Stop);
    bench.run_till("a successor", |b| b.leader().is_some_and(|l| l != leader));
    assert!(bench.now.since(before) < Duration::secs(1));
    assert!(bench.raft(leader.0).may_stop(bench.now));
    bench.assert_unbroken();
}

#[test]
fn without_a_leader_a_voter_is_asked_once_per_retry_backoff() {
    let mut bench = Bench::new(3, Rules::default(), 10);
    let before = bench.counter;
    bench.run(Duration::secs(1));
    // 6 pairs, 50 back-offs; a request, an answer, and what names a connection or an alarm.
    assert!(bench.leader().is_none(), "election timeouts are longer");
    assert!(bench.counter - before < 6 * 50 * 4);
}

/// K06: voter 3 cannot fetch from the leader, but can ask voter 2 for its vote.
fn with_one_voter_that_cannot_fetch(prevote: bool) -> (LeaderEpoch, LeaderEpoch) {
    let mut bench = Bench::new(
        3,
        Rules {
            prevote,
            ..Rules::default()
        },
        6,
    );
    bench.elect(1);
    bench.barred.clear();
    bench.run(Duration::secs(1));
    let before = bench.raft(1).epoch();
    bench.block(3, 1);
    for _ in 0..200 {
        if let Some(leader) = bench.leader() {
            bench.append(leader);
        }
        bench.run(Duration::millis(100));
    }
    bench.assert_unbroken();
    (before, bench.raft(2).epoch())
}

#[test]
fn with_prevote_a_voter_that_cannot_fetch_leaves_the_leader_alone() {
    let (before, after) = with_one_voter_that_cannot_fetch(true);
    assert_eq!(before, after);
}

#[test]
fn without_prevote_a_voter_that_cannot_fetch_deposes_the_leader() {
    let (before, after) = with_one_voter_that_cannot_fetch(false);
    assert!(after > before);
}

/// K02: the leader is cut off from both other voters.
fn with_an_isolated_leader(check_quorum: bool) -> (bool, Option<NodeId>) {
    let mut bench = Bench::new(
        3,
        Rules {
            check_quorum,
            ..Rules::default()
        },
        7,
    );
    bench.elect(1);
    bench.barred.clear();
    bench.run(Duration::secs(1));
    let committed = bench.raft(1).seen().committed;
    bench.isolate(NodeId(1));
    bench.append(NodeId(1));
    bench.run(Duration::secs(10));
    assert_eq!(
        bench.raft(1).seen().committed,
        committed,
        "a minority commits nothing"
    );
    let still = bench.raft(1).is_leader();
    let new = [2, 3]
        .into_iter()
        .map(NodeId)
        .find(|id| bench.raft(id.0).is_leader());
    bench.heal();
    bench.run(Duration::secs(10));
    let end = bench.raft(1).seen();
    assert!(
        (2..=3).all(|id| bench.raft(id).seen() == end),
        "one quorum again"
    );
    bench.assert_unbroken();
    (still, new)
}

#[test]
fn with_check_quorum_an_isolated_leader_resigns() {
    let (still, new) = with_an_isolated_leader(true);
    assert!(!still);
    assert!(new.is_some());
}

#[test]
fn without_check_quorum_an_isolated_leader_goes_on_believing() {
    let (still, new) = with_an_isolated_leader(false);
    assert!(still);
    assert!(new.is_some());
}

/// K03, Raft's figure 8 with five voters:
/// 1. Leader 1 appends X, which reaches 2 alone; both go away.
/// 2. Leader 5 appends Y (its epoch's first record) at the same offset, which reaches nobody; it goes away.
/// 3. Leader 1 again: voter 3 gets X and the new epoch's first record, voter 2 shows that it has X but gets nothing more.
///    A majority has X; only a minority has a record of the new epoch.
/// 4. 1 and 3 go away; 5 wins with 2 and 4, whose logs end in older epochs, and writes Y over X.
fn with_an_old_record_on_a_majority(own_epoch_commit: bool) -> Vec<String> {
    let mut bench = Bench::new(
        5,
        Rules {
            own_epoch_commit,
            ..Rules::default()
        },
        8,
    );
    bench.elect(1);
    bench.run(Duration::secs(1));
    let start = bench.raft(1).seen().committed;
    assert!((1..=5).all(|id| bench.raft(id).seen().committed == start));

    (3..=5).for_each(|id| bench.block(id, 1));
    assert_eq!(bench.append(NodeId(1)), Some(start));
    bench.run_till("X on 2", |b| {
        b.raft(2).log().leo() == start.plus(1) && b.raft(2).flushing.is_none()
    });
    [1, 2].into_iter().for_each(|id| bench.kill(NodeId(id)));

    [3, 4].into_iter().for_each(|id| bench.block(id, 5));
    bench.elect(5);
    bench.run_till("Y on disk", |b| b.raft(5).flushing.is_none());
    bench.kill(NodeId(5));

    bench.heal();
    [2, 3, 4].into_iter().for_each(|id| bench.block(id, 1));
    [1, 2].into_iter().for_each(|id| bench.start(NodeId(id)));
    bench.elect(1);
    bench.blocked.remove(&(NodeId(3), NodeId(1)));
    bench.run_till("3 has all", |b| {
        b.raft(3).log().leo() == start.plus(2) && b.raft(3).flushing.is_none()
    });
    bench.run(Duration::millis(100));
    // 2 says how far it is, and its answer is lost.
    let (epoch, end) = (bench.raft(1).epoch(), bench.raft(2).log().end());
    assert_eq!(end.offset, start.plus(1));
    let now = bench.now;
    let leader = bench
        .nodes
        .get_mut(&NodeId(1))
        .and_then(|n| n.raft.as_mut())
        .expect("it leads");
    let mut lost = Effects::new();
    let rules = bench.rules.clone();
    let at = At {
        now,
        wall: Timestamp(0),
        rules: &rules,
    };
    let request = Request::Fetch(fetch::request_of(NodeId(2), epoch, end, None));
    let (conn, id) = (ConnId(u64::MAX), CorrelationId(0));
    leader
        .handle(RaftInput::Request { conn, id, request }, at, &mut lost)
        .expect("no fault");
    bench.check(NodeId(1));
    [1, 3].into_iter().for_each(|id| bench.kill(NodeId(id)));

    bench.heal();
    bench.start(NodeId(5));
    bench.elect(5);
    bench.barred.clear();
    bench.run(Duration::secs(5));
    assert!(
        bench.raft(5).seen().committed > start,
        "a majority of five is enough"
    );
    bench.history.broken
}

#[test]
fn a_record_of_an_old_epoch_is_not_committed_by_counting() {
    assert_eq!(with_an_old_record_on_a_majority(true), Vec::<String>::new());
}

#[test]
fn without_the_own_epoch_rule_a_committed_record_is_overwritten() {
    let broken = with_an_old_record_on_a_majority(false);
    assert!(
        broken
            .iter()
            .any(|b| b.contains("another committed record")),
        "{broken:?}"
    );
}

/// What can be done to a quorum at some time.
#[derive(Clone, Debug)]
enum Harm {
    Kill(i32),
    PowerLoss(i32),
    Wipe(i32),
    Isolate(i32),
    Block(i32, i32),
    Heal,
    Append,
    Resign,
}

fn harm(voters: i32) -> impl Strategy<Value = Harm> {
    let one = 1..=voters;
    prop_oneof![
        2 => one.clone().prop_map(Harm::Kill),
        2 => one.clone().prop_map(Harm::PowerLoss),
        2 => one.clone().prop_map(Harm::Isolate),
        3 => (one.clone(), one).prop_map(|(a, b)| Harm::Block(a, b)),
        2 => Just(Harm::Heal),
        6 => Just(Harm::Append),
        1 => Just(Harm::Resign),
    ]
}

fn suffer(bench: &mut Bench, harm: &Harm) {
    match *harm {
        Harm::Kill(id) => bench.kill(NodeId(id)),
        Harm::PowerLoss(id) => bench.power_loss(NodeId(id)),
        Harm::Wipe(id) => bench.wipe(NodeId(id)),
        Harm::Isolate(id) => bench.isolate(NodeId(id)),
        Harm::Block(a, b) if a != b => bench.block(a, b),
        Harm::Block(..) => {}
        Harm::Heal => bench.heal(),
        Harm::Append => {
            let leading: Vec<NodeId> = bench
                .nodes
                .iter()
                .filter(|(_, n)| n.raft.as_ref().is_some_and(Raft::is_leader))
                .map(|(id, _)| *id)
                .collect();
            leading.into_iter().for_each(|id| {
                bench.append(id);
            });
        }
        Harm::Resign => {
            if let Some(leader) = bench.leader() {
                let raft = bench
                    .nodes
                    .get_mut(&leader)
                    .and_then(|n| n.raft.as_mut())
                    .expect("it leads");
                raft.resign(raft.epoch());
                bench.tell(leader, RaftInput::Alarm);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    /// Kafka promises nothing to a quorum whose static voters lose their disks: a vote forgotten can be given twice. But a
    /// replica that finds a promise broken halts, and does not panic.
    #[test]
    fn a_quorum_that_loses_disks_halts_or_goes_on(
        seed in any::<u64>(),
        harms in prop::collection::vec((1u64..3_000, prop_oneof![harm(3), (1..=3).prop_map(Harm::Wipe)]), 1..24),
    ) {
        let mut bench = Bench::new(3, Rules { own_epoch_commit: seed % 2 == 0, ..Rules::default() }, seed);
        for (wait, harm) in &harms {
            bench.run(Duration::millis(*wait));
            suffer(&mut bench, harm);
            for id in bench.voters.clone() {
                bench.start(id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_voters_what_was_committed_stays(
        seed in any::<u64>(),
        voters in prop_oneof![Just(3), Just(5)],
        prevote in any::<bool>(),
        harms in prop::collection::vec((1u64..3_000, harm(3)), 1..24),
    ) {
        let mut bench = Bench::new(voters, Rules { prevote, ..Rules::default() }, seed);
        for (wait, harm) in &harms {
            bench.run(Duration::millis(*wait));
            suffer(&mut bench, harm);
            // Whoever is down comes back with the next harm but one in four.
            for id in bench.voters.clone() {
                if bench.draw() % 4 == 0 {
                    bench.start(id);
                }
            }
        }
        bench.heal();
        bench.voters.clone().into_iter().for_each(|id| bench.start(id));
        bench.run(Duration::secs(15));
        let leader = bench.leader().expect("a healed quorum has a leader");
        let offset = bench.append(leader).expect("it leads");
        bench.run(Duration::secs(2));
        for id in bench.voters.clone() {
            prop_assert_eq!(bench.raft(id.0).seen().committed, offset.plus(1), "replica {}", id);
        }
        prop_assert!(bench.history.broken.is_empty(), "{:#?}", bench.history.broken);
    }
}

#[test]
fn a_fetch_parked_on_a_closed_connection_is_forgotten() {
    let mut bench = Bench::new(3, Rules::default(), 9);
    bench.run_till("a leader", |b| b.leader().is_some());
    bench.run(Duration::secs(1));
    let leader = bench.leader().expect("just elected");
    let parked: Vec<ConnId> = bench
        .raft(leader.0)
        .parked
        .iter()
        .map(Parked::conn)
        .collect();
    assert_eq!(parked.len(), 2, "both followers wait");
    bench.tell(leader, RaftInput::Closed(parked[0]));
    assert_eq!(bench.raft(leader.0).parked.len(), 1);
}

fn vote(
    bench: &mut Bench,
    at: i32,
    epoch: LeaderEpoch,
    pre_vote: bool,
) -> crate::protocol::quorum::VoteResponse {
    let end = bench.raft(at).log().end();
    let request = Request::Vote(crate::protocol::quorum::VoteRequest {
        replica_epoch: epoch,
        replica_id: NodeId(2),
        last_epoch: end.epoch.min(epoch),
        last_epoch_end_offset: end.offset,
        pre_vote,
    });
    match bench.ask(NodeId(at), request) {
        Response::Vote(r) => r,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_epoch_gone_by_is_fenced_and_a_higher_one_is_taken_over_even_from_a_pre_vote() {
    let mut bench = Bench::new(3, Rules::default(), 11);
    bench.elect(1);
    bench.run(Duration::secs(1));
    let epoch = bench.raft(3).epoch();
    let old = vote(&mut bench, 3, LeaderEpoch(epoch.0 - 1), true);
    assert_eq!(old.error_code, ErrorCode::FencedLeaderEpoch);
    assert_eq!(old.leader_id, Some(NodeId(1)));
    let same = vote(&mut bench, 3, epoch, true);
    assert_eq!(
        (same.error_code, same.vote_granted),
        (ErrorCode::None, false)
    );
    let higher = vote(&mut bench, 3, LeaderEpoch(epoch.0 + 4), true);
    assert_eq!(higher.leader_epoch.0, epoch.0 + 4);
    assert!(higher.vote_granted, "it follows nobody in that epoch");
}

#[test]
fn a_voter_that_knows_no_pre_vote_says_so() {
    let rules = Rules {
        prevote: false,
        ..Rules::default()
    };
    let mut bench = Bench::new(3, rules, 12);
    let epoch = bench.raft(3).epoch();
    let answer = vote(&mut bench, 3, epoch, true);
    assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion);
}
