//! Claims about copying, with a leader that answers at once.

use crate::broker::fixture::{ORDERS, Server};
use crate::ids::*;
use crate::protocol::fetch::FetchPartition;
use crate::protocol::{Api, ErrorCode, Request, Response};
use crate::rules::{Rules, Truncate};
use crate::time::Duration;

fn position(request: &Request) -> &FetchPartition {
    match request {
        Request::Fetch(r) => &r.topics[0].partitions[0],
        other => panic!("no fetch: {other:?}"),
    }
}

/// Rules of a time when followers truncated so.
fn by(truncate: Truncate) -> Rules {
    Rules {
        truncate,
        ..Rules::default()
    }
}

fn three_by(truncate: Truncate) -> [Server; 3] {
    let mut servers = Server::three();
    for server in &mut servers {
        server.rules = by(truncate);
    }
    servers
}

fn all_hear(servers: &mut [Server], leader: i32, isr: &[i32]) {
    for server in servers {
        server.hear(Some(Some(leader)), isr);
    }
}

#[test]
fn a_follower_asks_from_its_end_in_the_epoch_it_knows() {
    //
    let [mut b1, mut b2, _] = Server::three();
    b1.append(4, 1).expect("it leads");
    b2.catch_up(&mut b1);
    let request = b2.ask(NodeId(1)).expect("it has something to ask");
    let asked = position(&request);
    assert_eq!(asked.fetch_offset, Offset(4));
    assert_eq!(asked.current_leader_epoch, Some(LeaderEpoch(0)));
    assert_eq!(asked.last_fetched_epoch, Some(LeaderEpoch(0)));
    assert_eq!(b2.ask(NodeId(1)), None, "one question at a time");
}

#[test]
fn a_copy_takes_the_high_watermark_as_far_as_it_has_the_records() {
    // one fetch to copy, one to confirm, one to hear of it.
    let [mut b1, mut b2, mut b3] = Server::three();
    b1.append(4, 1).expect("it leads");
    b2.ask_once(&mut b1);
    b3.ask_once(&mut b1);
    assert_eq!((b1.ends(), b2.ends()), ((4, 0), (4, 0)));
    b2.ask_once(&mut b1);
    b3.ask_once(&mut b1);
    assert_eq!((b1.ends(), b2.ends()), ((4, 4), (4, 0)));
    b2.ask_once(&mut b1);
    assert_eq!(b2.ends(), (4, 4));
}

#[test]
fn a_follower_takes_a_lower_high_watermark_from_a_new_leader() {
    // the follower's high watermark is its leader's word.
    let [mut b1, mut b2, mut b3] = Server::three();
    b1.append(4, 1).expect("it leads");
    for _ in 0..3 {
        b2.ask_once(&mut b1);
        b3.ask_once(&mut b1);
    }
    b1.append(2, 1).expect("it leads");
    b3.ask_once(&mut b1);
    b2.ask_once(&mut b1);
    b2.ask_once(&mut b1);
    b3.ask_once(&mut b1);
    b2.ask_once(&mut b1);
    assert_eq!((b2.ends(), b3.ends()), ((6, 6), (6, 4)));
    for b in [&mut b2, &mut b3] {
        b.hear(Some(Some(3)), &[2, 3]);
    }
    b2.ask_once(&mut b3);
    assert_eq!(b2.ends(), (6, 4));
}

#[test]
fn a_follower_parts_with_what_its_new_leader_does_not_have() {
    // P03's last step.
    let mut servers = Server::three();
    let [b1, b2, b3] = &mut servers;
    b1.append(5, 1).expect("it leads");
    b2.catch_up(b1);
    b3.catch_up(b1);
    b1.append(3, 1).expect("it leads");
    all_hear(&mut servers, 2, &[2, 3]);
    let [b1, b2, _] = &mut servers;
    b2.append(1, 1).expect("it leads");
    b1.catch_up(b2);
    assert_eq!(b1.contents(), b2.contents());
    assert_eq!(b1.ends().0, 6);
}

#[test]
fn an_answer_from_before_a_change_of_epoch_is_thrown_away() {
    let [mut b1, mut b2, _] = Server::three();
    b1.append(4, 1).expect("it leads");
    let request = b2.ask(NodeId(1)).expect("it has something to ask");
    let response = b1.answer(request);
    b2.hear(Some(Some(1)), &[1, 2, 3]);
    b2.take_answer(NodeId(1), response);
    assert_eq!(b2.ends(), (0, 0));
}

#[test]
fn a_fenced_partition_is_not_fetched_until_the_metadata_bring_a_newer_epoch() {
    //
    let [mut b1, mut b2, _] = Server::three();
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    b2.ask_once(&mut b1);
    b2.now += 60_000;
    assert_eq!(b2.ask(NodeId(1)), None);
    b2.hear(Some(Some(1)), &[1, 2, 3]);
    assert!(b2.ask(NodeId(1)).is_some());
}

#[test]
fn a_partition_whose_leader_is_behind_waits_a_second() {
    // UNKNOWN_LEADER_EPOCH.
    let [mut b1, mut b2, _] = Server::three();
    b2.hear(Some(Some(1)), &[1, 2, 3]);
    b2.ask_once(&mut b1);
    b2.now += 999;
    assert_eq!(b2.ask(NodeId(1)), None);
    b2.now += 1;
    assert!(b2.ask(NodeId(1)).is_some());
}

#[test]
fn after_a_lost_connection_everything_waits_a_second() {
    let [_, mut b2, _] = Server::three();
    b2.ask(NodeId(1)).expect("it has something to ask");
    let now = b2.monotonic();
    let fetcher = b2.fetchers.get_mut(NodeId(1)).expect("it fetches");
    fetcher.failed(Duration::millis(1_000), now);
    assert!(!fetcher.is_ready(now));
    assert_eq!(fetcher.wake_at(now), Some(now + Duration::millis(1_000)));
    b2.now += 1_000;
    assert!(b2.ask(NodeId(1)).is_some());
}

#[test]
fn beyond_its_leaders_end_and_epochs_a_follower_asks_for_the_end_and_is_cut_to_it() {
    // the leader lost its disk, and no epoch is left to compare.
    let mut servers = three_by(Truncate::Hw);
    let [b1, b2, b3] = &mut servers;
    b1.append(5, 1).expect("it leads");
    b2.catch_up(b1);
    b3.catch_up(b1);
    b2.catch_up(b1);
    let mut b1 = Server::new(1);
    b1.rules = by(Truncate::Hw);
    b1.hear(Some(Some(1)), &[1, 2, 3]);
    let b2 = &mut servers[1];
    b2.hear(Some(Some(1)), &[1, 2, 3]);
    assert_eq!(b2.ends(), (5, 5));
    b2.ask_once(&mut b1); // OFFSET_OUT_OF_RANGE
    let request = b2.ask(NodeId(1)).expect("it must know where the log ends");
    assert_eq!(request.api(), Api::ListOffsets);
    let response = b1.answer(request);
    b2.take_answer(NodeId(1), response);
    assert_eq!(b2.ends(), (0, 0));
}

#[test]
fn before_its_leaders_start_a_follower_starts_over_there() {
    // R-23, second case.
    let [mut b1, mut b2, _] = Server::three();
    let Some(Request::Fetch(_)) = b2.ask(NodeId(1)) else {
        panic!("it fetches first");
    };
    let mut answer = b1.fetched_by(2, 0);
    answer.error_code = ErrorCode::OffsetOutOfRange;
    b2.take_answer(NodeId(1), fetch_response(answer));
    for (asked, said) in [("its end", 40), ("its start", 30)] {
        let Some(Request::ListOffsets(r)) = b2.ask(NodeId(1)) else {
            panic!("it must know {asked}");
        };
        let Response::ListOffsets(mut response) = b1.answer(Request::ListOffsets(r)) else {
            unreachable!("because ListOffsets is answered as such");
        };
        response.partitions[0].offset = Some(Offset(said));
        b2.take_answer(NodeId(1), Response::ListOffsets(response));
    }
    assert_eq!((b2.ends(), b2.log().log_start()), ((30, 30), Offset(30)));
}

fn fetch_response(partition: crate::protocol::fetch::FetchPartitionResponse) -> Response {
    use crate::protocol::fetch::{FetchResponse, FetchTopicResponse};
    Response::Fetch(FetchResponse {
        error_code: ErrorCode::None,
        topics: vec![FetchTopicResponse {
            topic_id: ORDERS.topic,
            partitions: [partition].into(),
        }],
        node_endpoints: Vec::new(),
    })
}

/// R01: a record that all have, and of whose being committed only the leader knows, when leadership moves on.
fn committed_but_not_known_to_be(truncate: Truncate) -> [Server; 3] {
    let mut servers = three_by(truncate);
    let [b1, b2, b3] = &mut servers;
    b1.append(1, 1).expect("it leads");
    for _ in 0..2 {
        b2.ask_once(b1);
        b3.ask_once(b1);
    }
    assert_eq!((b1.ends(), b2.ends(), b3.ends()), ((1, 1), (1, 0), (1, 0)));
    all_hear(&mut servers[1..], 2, &[2, 3]);
    servers
}

#[test]
fn by_the_high_watermark_a_follower_cuts_off_what_is_committed() {
    // KIP-101, case 1.
    let [_, mut b2, mut b3] = committed_but_not_known_to_be(Truncate::Hw);
    let request = b3.ask(NodeId(2)).expect("it fetches");
    assert_eq!(position(&request).fetch_offset, Offset(0));
    assert_eq!(b3.ends(), (0, 0));
    let response = b2.answer(request);
    b3.take_answer(NodeId(2), response);
    assert_eq!(b3.ends().0, 1, "until then it could be elected without it");
}

#[test]
fn by_epochs_a_follower_keeps_what_its_new_leader_has() {
    // KIP-101, KIP-279, KIP-595: the twins of the above.
    for truncate in [Truncate::Kip101, Truncate::Kip279, Truncate::FetchEpoch] {
        let [_, mut b2, mut b3] = committed_but_not_known_to_be(truncate);
        let first = b3.ask(NodeId(2)).expect("it has something to ask");
        let asks_before_fetching = first.api() == Api::OffsetForLeaderEpoch;
        assert_eq!(asks_before_fetching, truncate != Truncate::FetchEpoch);
        let response = b2.answer(first);
        b3.take_answer(NodeId(2), response);
        assert_eq!(b3.ends().0, 1);
        b3.catch_up(&mut b2);
        assert_eq!(b3.contents(), b2.contents());
    }
}

/// R03: brokers 1 and 2 lead in turn, alone and uncleanly, and never copy in between; in the end 2 follows 1.
fn fast_failovers(truncate: Truncate) -> (Server, Server) {
    let [mut b1, mut b2, _] = three_by(truncate);
    b1.append(1, 1).expect("it leads");
    b2.catch_up(&mut b1);
    for (leader, records) in [(2, 1), (1, 3), (2, 1), (1, 2)] {
        b1.hear(Some(Some(leader)), &[leader]);
        b2.hear(Some(Some(leader)), &[leader]);
        let leads = if leader == 1 { &mut b1 } else { &mut b2 };
        for _ in 0..records {
            leads.append(1, 1).expect("it leads");
        }
    }
    for _ in 0..8 {
        b2.ask_once(&mut b1);
    }
    (b1, b2)
}

#[test]
fn an_offset_without_its_epoch_lets_logs_diverge_for_ever() {
    // KIP-279, KAFKA-6361.
    let (b1, b2) = fast_failovers(Truncate::Kip101);
    assert_eq!(b1.ends().0, b2.ends().0);
    assert_ne!(b1.contents(), b2.contents());
}

#[test]
fn the_largest_common_epoch_is_found_in_several_rounds() {
    // R-21, KIP-279, KIP-595.
    for truncate in [Truncate::Kip279, Truncate::FetchEpoch] {
        let (b1, b2) = fast_failovers(truncate);
        assert_eq!(b1.contents(), b2.contents(), "{truncate:?}");
    }
}

#[test]
fn two_elections_without_a_write_between_them_leave_nothing_to_truncate_for_ever() {
    // R20, KAFKA-10706: an epoch that was begun in vain goes, though no record does.
    let mut servers = Server::three();
    let [b1, b2, _] = &mut servers;
    b1.append(1, 1).expect("it leads");
    b2.catch_up(b1);
    all_hear(&mut servers, 2, &[1, 2, 3]);
    all_hear(&mut servers, 1, &[1, 2, 3]);
    let [b1, b2, _] = &mut servers;
    b2.catch_up(b1);
    b1.append(1, 1).expect("it leads");
    b2.catch_up(b1);
    assert_eq!(b2.contents(), b1.contents());
}
