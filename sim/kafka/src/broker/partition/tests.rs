//! Claims about one partition at its leader, by the rules they come from.

use crate::broker::fixture::{ORDERS, Server, with};
use crate::broker::isr::Decided;
use crate::broker::partition::Found;
use crate::broker::partition::Replication;
use crate::config::Configs;
use crate::controller::fixture::TOPIC;
use crate::ids::*;
use crate::protocol::ErrorCode;
use crate::protocol::cluster::*;
use crate::protocol::fetch::{EpochEndOffset, FetchPartition, IsolationLevel};
use crate::protocol::offsets::OffsetSpec;
use crate::rules::{HwQuorum, Truncate};
use crate::time::Timestamp;

/// Broker 1 leads `orders`; brokers 2 and 3 follow and are in the ISR; `min.insync.replicas` is 2.
fn leader() -> Server {
    let mut server = Server::new(1);
    set_min_isr(&mut server, 2);
    server.hear_metadata();
    server
}

/// The same, with brokers 2 and 3 known to be at the log's end, `leo`, which is committed.
fn leader_with(leo: u32) -> Server {
    let mut server = leader();
    server.append(leo, 1).expect("it leads");
    for follower in [2, 3] {
        server.fetched_by(follower, i64::from(leo));
    }
    assert_eq!(server.ends(), (i64::from(leo), i64::from(leo)));
    server
}

fn set_min_isr(server: &mut Server, n: i32) {
    let topic = server.told.image.topics.get_mut(&TOPIC).expect("it exists");
    let set = topic.config.set("min.insync.replicas", &n.to_string());
    set.expect("it is a key of a topic");
}

fn replication(server: &mut Server, required: i64) -> Replication {
    with(server, |replicas, here, _| {
        replicas.replication(ORDERS, Offset(required), here)
    })
}

fn decide(server: &mut Server, result: Result<(), ErrorCode>) {
    let proposal = pending(server).expect("something is pending");
    let partition_epoch = PartitionEpoch(proposal.partition_epoch.0 + 1);
    let done = AlterPartitionResult {
        topic_id: TOPIC,
        partition: 0,
        error_code: ErrorCode::None,
        leader_id: Some(server.node),
        leader_epoch: proposal.leader_epoch,
        isr: proposal.new_isr.iter().map(|m| m.broker_id).collect(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        partition_epoch,
    };
    let decided = Decided {
        partition: ORDERS,
        proposal,
        result: result.map(|()| done),
    };
    with(server, |replicas, here, out| {
        let partition = replicas.get_mut(ORDERS).expect("hosted");
        partition.decided(&decided, here, out)
    });
}

fn pending(server: &Server) -> Option<AlterPartitionData> {
    let leader = server.partition().check_leader(None).expect("it leads");
    leader.isr().pending().map(|p| p.proposal.clone())
}

fn isr(server: &Server) -> Vec<i32> {
    let leader = server.partition().check_leader(None).expect("it leads");
    leader.isr().committed().iter().map(|n| n.0).collect()
}

#[test]
fn the_high_watermark_is_the_smallest_end_of_the_isr() {
    //
    let mut b1 = leader();
    b1.append(10, 1).expect("it leads");
    b1.fetched_by(2, 10);
    assert_eq!(b1.ends(), (10, 0));
    b1.fetched_by(3, 10);
    assert_eq!(b1.ends(), (10, 10));
}

#[test]
fn a_fetch_is_answered_with_the_high_watermark_from_before_it() {
    // what a follower's own fetch commits it hears of from the next answer.
    let mut b1 = leader();
    b1.append(10, 1).expect("it leads");
    b1.fetched_by(2, 10);
    assert_eq!(b1.fetched_by(3, 10).high_watermark, Some(Offset(0)));
    assert_eq!(b1.fetched_by(3, 10).high_watermark, Some(Offset(10)));
}

#[test]
fn a_new_leader_moves_no_high_watermark_before_the_whole_isr_has_fetched_in_its_epoch() {
    //
    let mut b1 = leader_with(10);
    b1.append(1, 1).expect("it leads");
    b1.hear(Some(Some(2)), &[1, 2, 3]);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    b1.fetched_by(2, 11);
    assert_eq!(b1.ends(), (11, 10));
    b1.fetched_by(3, 11);
    assert_eq!(b1.ends(), (11, 11));
}

#[test]
fn below_the_minimum_isr_acks_all_is_refused_and_nothing_is_appended() {
    //
    let mut b1 = leader_with(10);
    b1.hear(None, &[1]);
    assert_eq!(b1.append(1, -1), Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(b1.ends(), (10, 10));
}

#[test]
fn below_the_minimum_isr_acks_1_is_taken_and_the_high_watermark_stands_still() {
    // top 40, row 2.
    let mut b1 = leader_with(10);
    b1.hear(None, &[1]);
    assert!(b1.append(5, 1).is_ok());
    assert_eq!(b1.ends(), (15, 10));
}

#[test]
fn the_minimum_isr_is_never_more_than_the_replicas_there_are() {
    let mut b1 = leader();
    set_min_isr(&mut b1, 7);
    assert!(b1.append(5, -1).is_ok());
}

#[test]
fn an_acks_all_write_waits_for_the_high_watermark_and_then_for_nothing() {
    //
    let mut b1 = leader();
    b1.append(10, -1).expect("the ISR is full");
    assert_eq!(replication(&mut b1, 10), Replication::Waiting);
    b1.fetched_by(2, 10);
    b1.fetched_by(3, 10);
    assert_eq!(
        replication(&mut b1, 10),
        Replication::Decided(ErrorCode::None)
    );
}

#[test]
fn a_committed_write_is_not_confirmed_when_the_isr_is_too_small_by_then() {
    // NOT_ENOUGH_REPLICAS_AFTER_APPEND.
    let mut b1 = leader_with(10);
    b1.hear(None, &[1]);
    assert_eq!(
        replication(&mut b1, 10),
        Replication::Decided(ErrorCode::NotEnoughReplicasAfterAppend)
    );
}

#[test]
fn a_write_that_waits_is_refused_when_the_leader_changes() {
    //
    let mut b1 = leader();
    b1.append(10, -1).expect("the ISR is full");
    b1.hear(Some(Some(2)), &[2, 3]);
    assert_eq!(
        replication(&mut b1, 10),
        Replication::Decided(ErrorCode::NotLeaderOrFollower)
    );
}

#[test]
fn a_follower_that_reaches_the_end_is_proposed_for_the_isr() {
    //
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 10);
    assert_eq!(b1.proposed(), [[1, 2, 3]]);
    let new_isr = pending(&b1).expect("just proposed").new_isr;
    let epochs: Vec<_> = new_isr.iter().map(|m| m.broker_epoch).collect();
    assert_eq!(epochs, [100, 200, 300].map(|e| Some(BrokerEpoch(e))));
}

/// R06: broker 2 leads a new epoch that starts at 6, and knows 3 of it to be committed; broker 3 is at 3, out of the ISR.
fn behind_the_epoch_start(isr_expand_epoch_start: bool) -> Server {
    let mut b1 = leader();
    b1.rules.isr_expand_epoch_start = isr_expand_epoch_start;
    set_min_isr(&mut b1, 1);
    b1.append(3, 1).expect("it leads");
    b1.fetched_by(2, 3);
    b1.fetched_by(3, 3);
    b1.append(3, 1).expect("it leads");
    b1.hear(Some(Some(2)), &[1, 2]);
    b1.hear(Some(Some(1)), &[1, 2]);
    assert_eq!(b1.ends(), (6, 3));
    b1.fetched_by(3, 3);
    b1
}

#[test]
fn a_follower_below_the_start_of_the_epoch_is_not_proposed_though_it_reached_the_high_watermark() {
    // R-12, KAFKA-7128.
    assert!(behind_the_epoch_start(true).proposed().is_empty());
    assert_eq!(behind_the_epoch_start(false).proposed(), [[1, 2, 3]]);
}

#[test]
fn fenced_and_stopping_brokers_are_not_proposed() {
    //
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.told.fence(3, true);
    b1.fetched_by(3, 10);
    assert!(b1.proposed().is_empty());
    b1.told.fence(3, false);
    b1.told.shut_down(3);
    b1.fetched_by(3, 10);
    assert!(b1.proposed().is_empty());
}

#[test]
fn a_follower_that_fetched_in_an_earlier_life_is_not_proposed() {
    // R-12, KIP-903: its fetch says another broker epoch than the metadata do.
    for (checked, proposed) in [(true, 0), (false, 1)] {
        let mut b1 = leader_with(10);
        b1.rules.isr_broker_epoch = checked;
        b1.hear(None, &[1, 2]);
        let position = b1.position(10);
        b1.fetched_as(3, Some(BrokerEpoch(301)), position);
        assert_eq!(b1.proposed().len(), proposed);
    }
}

#[test]
fn a_fetch_of_an_earlier_life_is_refused() {
    // R-9, KIP-903.
    let mut b1 = leader_with(10);
    let position = b1.position(10);
    let answer = b1.fetched_as(3, Some(BrokerEpoch(299)), position);
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower);
}

#[test]
fn a_newcomer_counts_for_the_high_watermark_from_its_proposal_on() {
    // KIP-497; without it the newcomer may lead before the leader waits for it (R10).
    for (quorum, hw) in [(HwQuorum::MaximalIsr, 10), (HwQuorum::CommittedIsr, 20)] {
        let mut b1 = leader_with(10);
        b1.rules.hw_quorum = quorum;
        b1.hear(None, &[1, 2]);
        b1.fetched_by(3, 10);
        b1.append(10, 1).expect("it leads");
        b1.fetched_by(2, 20);
        assert_eq!(b1.ends(), (20, hw));
    }
}

#[test]
fn a_caught_up_follower_outside_the_isr_holds_the_high_watermark_back() {
    // else a leader that runs ahead alone would never let it in.
    let mut b1 = leader();
    set_min_isr(&mut b1, 1);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 0);
    decide(&mut b1, Err(ErrorCode::IneligibleReplica));
    b1.append(5, 1).expect("it leads");
    b1.fetched_by(2, 5);
    assert_eq!(b1.ends(), (5, 0));
    b1.now += 30_001;
    b1.fetched_by(2, 5);
    b1.append(1, 1).expect("it leads");
    b1.fetched_by(2, 6);
    assert_eq!(b1.ends(), (6, 6));
}

#[test]
fn a_silent_follower_is_proposed_to_leave_after_30_s_and_counts_until_the_controller_agrees() {
    //
    let mut b1 = leader_with(10);
    b1.append(1, 1).expect("it leads");
    b1.now += 30_000;
    b1.fetched_by(2, 11);
    with(&mut b1, |replicas, here, out| replicas.check_isr(here, out));
    assert!(b1.proposed().is_empty());
    b1.now += 1;
    with(&mut b1, |replicas, here, out| replicas.check_isr(here, out));
    assert_eq!(b1.proposed(), [[1, 2]]);
    assert_eq!(b1.ends(), (11, 10));
    decide(&mut b1, Ok(()));
    assert_eq!(b1.ends(), (11, 11));
    assert_eq!(isr(&b1), [1, 2]);
}

#[test]
fn only_one_change_of_an_isr_is_pending() {
    // R-13, KAFKA-12686.
    let mut b1 = leader_with(10);
    b1.hear(None, &[1]);
    b1.fetched_by(2, 10);
    b1.fetched_by(3, 10);
    assert_eq!(b1.proposed(), [[1, 2]]);
}

#[test]
fn an_ineligible_member_takes_the_leader_back_to_the_committed_isr() {
    //
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 10);
    decide(&mut b1, Err(ErrorCode::IneligibleReplica));
    assert_eq!((isr(&b1), pending(&b1)), (vec![1, 2], None));
}

#[test]
fn a_leader_whose_view_is_out_of_date_stays_pending_until_the_metadata_come() {
    //
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 10);
    decide(&mut b1, Err(ErrorCode::InvalidUpdateVersion));
    assert!(pending(&b1).is_some());
    b1.hear(None, &[1, 2]);
    assert_eq!(pending(&b1), None);
}

#[test]
fn an_answer_to_a_change_that_the_metadata_overtook_is_ignored() {
    // R11, KAFKA-12686.
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 10);
    let overtaken = Decided {
        partition: ORDERS,
        proposal: pending(&b1).expect("just proposed"),
        result: Err(ErrorCode::IneligibleReplica),
    };
    b1.hear(None, &[1]);
    b1.fetched_by(2, 10);
    let newer = pending(&b1);
    with(&mut b1, |replicas, here, out| {
        let partition = replicas.get_mut(ORDERS).expect("hosted");
        partition.decided(&overtaken, here, out)
    });
    assert_eq!(pending(&b1), newer);
}

#[test]
fn metadata_older_than_the_controllers_answer_change_nothing() {
    let mut b1 = leader_with(10);
    b1.hear(None, &[1, 2]);
    b1.fetched_by(3, 10);
    decide(&mut b1, Ok(()));
    b1.hear_metadata(); // the same registration as before: its partition epoch is gone by
    assert_eq!(isr(&b1), [1, 2, 3]);
}

#[test]
fn requests_that_speak_of_another_epoch_are_refused() {
    //
    let mut b1 = leader_with(10);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    let epoch = b1.partition().leader_epoch().expect("it leads");
    let in_epoch = |n: i32, b1: &Server| FetchPartition {
        current_leader_epoch: Some(LeaderEpoch(n)),
        ..b1.position(10)
    };
    let (older, newer) = (in_epoch(epoch.0 - 1, &b1), in_epoch(epoch.0 + 1, &b1));
    assert_eq!(b1.consumed(older).error_code, ErrorCode::FencedLeaderEpoch);
    assert_eq!(b1.consumed(newer).error_code, ErrorCode::UnknownLeaderEpoch);
    assert_eq!(
        b1.fetched_by(9, 10).error_code,
        ErrorCode::UnknownLeaderEpoch
    );
    b1.hear(Some(Some(2)), &[2, 3]);
    let answer = b1.fetched_by(3, 10);
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower);
    let hint = answer.current_leader.expect("KIP-951: it knows who leads");
    assert_eq!(hint.leader_id, NodeId(2));
}

#[test]
fn a_position_outside_the_log_is_out_of_range_and_one_above_the_high_watermark_is_not() {
    //
    let mut b1 = leader();
    b1.append(10, 1).expect("it leads");
    let (at_end, beyond) = (b1.position(10), b1.position(11));
    assert_eq!(b1.consumed(at_end).records, []);
    assert_eq!(b1.consumed(beyond).error_code, ErrorCode::OffsetOutOfRange);
    assert_eq!(b1.fetched_by(2, 0).records.len(), 1);
    let start = b1.position(0);
    assert_eq!(b1.consumed(start).records, []);
}

#[test]
fn a_diverging_position_is_answered_with_where_the_logs_part_and_does_not_count() {
    //
    let mut b1 = leader_with(10);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    let position = FetchPartition {
        last_fetched_epoch: Some(LeaderEpoch(0)),
        ..b1.position(12)
    };
    let answer = b1.fetched_as(2, Some(BrokerEpoch(200)), position);
    let end = EpochEndOffset {
        epoch: LeaderEpoch(0),
        end_offset: Offset(10),
    };
    assert_eq!(answer.diverging_epoch, Some(end));
    assert_eq!(answer.records, []);
    let leader = b1.partition().check_leader(None).expect("it leads");
    assert_eq!(leader.followers()[0].1.leo(), Some(Offset(10)));
}

#[test]
fn the_latest_offset_is_not_told_before_the_high_watermark_has_reached_the_epochs_start() {
    // R-32, KIP-207: top 40, row 17.
    let mut b1 = leader_with(10);
    b1.append(2, 1).expect("it leads");
    b1.hear(Some(Some(2)), &[1, 2, 3]);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    let ask = |b1: &Server, at, client| b1.partition().list_offset(at, None, client);
    let client = Some(IsolationLevel::ReadUncommitted);
    let later = OffsetSpec::At(Timestamp(2_000_000));
    let unavailable = Err(ErrorCode::OffsetNotAvailable);
    assert_eq!(ask(&b1, OffsetSpec::Latest, client), unavailable);
    assert_eq!(ask(&b1, later, client), unavailable);
    assert!(ask(&b1, OffsetSpec::Earliest, client).is_ok());
    // A follower is told the log's end at once.
    let epoch = b1.partition().leader_epoch();
    let found = |offset, timestamp, epoch| {
        Ok(Some(Found {
            offset: Offset(offset),
            timestamp: Timestamp(timestamp),
            epoch,
        }))
    };
    let end = found(12, -1, epoch);
    assert_eq!(ask(&b1, OffsetSpec::Latest, None), end);
    b1.fetched_by(2, 12);
    b1.fetched_by(3, 12);
    assert_eq!(ask(&b1, OffsetSpec::Latest, client), end);
    assert_eq!(ask(&b1, later, client), Ok(None));
    let first = found(0, 1_000_000, Some(LeaderEpoch(0)));
    assert_eq!(
        ask(&b1, OffsetSpec::At(Timestamp(1_000_000)), client),
        first
    );
}

#[test]
fn before_kip_279_an_epochs_end_is_told_without_the_epoch() {
    let mut b1 = leader_with(10);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    for (truncate, epoch) in [
        (Truncate::FetchEpoch, Some(LeaderEpoch(0))),
        (Truncate::Kip101, None),
    ] {
        b1.rules.truncate = truncate;
        let end = with(&mut b1, |replicas, here, _| {
            let partition = replicas.get(ORDERS).expect("hosted");
            partition.epoch_end(LeaderEpoch(0), None, here)
        });
        assert_eq!(end, Ok((epoch, Some(Offset(10)))));
    }
}
