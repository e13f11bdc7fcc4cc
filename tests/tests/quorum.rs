//! Stories of the metadata quorum: failover of the active controller, isolation, pre-vote, and what brokers notice of it.

use klab_kafka::event::{ControllerEvent, Event, RaftEvent, RaftState};
use klab_kafka::ids::{LeaderEpoch, Offset};
use klab_kafka::time::{Duration, Time};
use klab_world::fault::Fault;
use klab_world::process::ProcessId;
use tests::{Cluster, Setting};

fn quorum_epoch(c: &Cluster) -> LeaderEpoch {
    let (_, active) = c.view().active_controller().expect("a controller leads");
    active.raft().epoch()
}

fn committed(c: &Cluster, p: ProcessId) -> Offset {
    let found = c.view().controllers().find(|(id, _)| *id == p);
    found.map_or(Offset(0), |(_, x)| x.raft().seen().committed)
}

fn becomes_active(e: &Event) -> bool {
    matches!(e, Event::Controller(ControllerEvent::Activated { .. }))
}

fn fenced(c: &Cluster, since: Time) -> usize {
    let fenced = |e: &Event| matches!(e, Event::Controller(ControllerEvent::BrokerFenced { .. }));
    c.told()
        .filter(|(at, _, e)| *at > since && fenced(e))
        .count()
}

#[test]
fn another_controller_takes_over_from_one_that_died_and_no_broker_is_fenced() {
    let mut c = Setting::default().begin();
    let (active, epoch, since) = (
        c.active_controller().expect("ready"),
        quorum_epoch(&c),
        c.world.now(),
    );
    c.crash(active);
    let record = c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    // No fetch for 2 s, then a pre-vote and a vote; a split vote costs an election timeout of at most 2 s.
    assert!(record.at.since(since) < Duration::secs(7));
    assert!(quorum_epoch(&c) > epoch);
    c.pass(Duration::secs(20));
    assert_eq!(fenced(&c, since), 0);
}

#[test]
fn a_controller_that_comes_back_follows_and_has_the_same_image() {
    let mut c = Setting::default().begin();
    let active = c.active_controller().expect("ready");
    c.crash(active);
    c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    c.restart(active);
    c.run_until("all three have committed as much", |c| {
        let committed: Vec<Offset> = c.controllers().iter().map(|p| committed(c, *p)).collect();
        c.view().controllers().count() == 3 && committed.iter().all(|o| *o == committed[0])
    });
    let images: Vec<String> = c
        .view()
        .controllers()
        .map(|(_, x)| format!("{:?}", x.image()))
        .collect();
    assert_eq!(images[0], images[1]);
    assert_eq!(images[1], images[2]);
}

#[test]
fn a_cut_off_quorum_leader_commits_nothing_and_resigns() {
    let mut c = Setting::default().begin();
    let active = c.active_controller().expect("ready");
    let others: Vec<ProcessId> = c
        .controllers()
        .into_iter()
        .filter(|p| *p != active)
        .collect();
    c.cut(&[active], &others);
    c.pass(Duration::millis(50));
    let before = committed(&c, active);
    let since = c.world.now();
    let failed = |e: &Event| matches!(e, Event::Raft(RaftEvent::CheckQuorumFailed { .. }));
    let record = c.run_until_told("it resigns", |p, e| p == active && failed(e));
    assert_eq!(committed(&c, active), before);
    // The span is 3 s. A fetch that was parked when the link broke counts once more when the next NoOp completes it, at most
    // half a second later.
    let waited = record.at.since(since);
    assert!(waited > Duration::millis(2_400), "{waited:?}");
    assert!(waited < Duration::millis(3_600), "{waited:?}");
    c.run_until("the others have a leader", |c| {
        c.view()
            .controllers()
            .any(|(p, x)| p != active && x.active_epoch().is_some())
    });
    c.heal();
    c.pass(Duration::secs(5));
    assert!(committed(&c, active) > before);
}

/// K06: one voter's bytes do not reach the leader.
fn leaders_while_one_voter_is_not_heard(prevote: bool) -> usize {
    let mut setting = Setting::default();
    setting.scenario.cluster.rules.prevote = prevote;
    let mut c = setting.begin();
    let active = c.active_controller().expect("ready");
    let deaf = c
        .controllers()
        .into_iter()
        .find(|p| *p != active)
        .expect("there are three");
    let since = c.world.now();
    c.harm(Fault::Cut {
        from: [deaf].into(),
        to: [active].into(),
        one_way: true,
    });
    c.pass(Duration::secs(30));
    let elected = |e: &Event| {
        matches!(
            e,
            Event::Raft(RaftEvent::Became {
                state: RaftState::Leader,
                ..
            })
        )
    };
    c.told()
        .filter(|(at, _, e)| *at > since && elected(e))
        .count()
}

#[test]
fn with_prevote_a_voter_that_the_leader_does_not_hear_changes_nothing() {
    assert_eq!(leaders_while_one_voter_is_not_heard(true), 0);
}

#[test]
fn without_prevote_a_voter_that_the_leader_does_not_hear_deposes_it() {
    assert!(leaders_while_one_voter_is_not_heard(false) > 0);
}

#[test]
fn a_dead_broker_is_fenced_and_its_partition_led_elsewhere_7_to_10_2_s_after_its_death() {
    let mut c = Setting::default().begin();
    c.pass(Duration::secs(4));
    let (leader, since) = (c.leader().expect("ready"), c.world.now());
    c.crash(leader);
    let elected = |e: &Event| {
        matches!(
            e,
            Event::Controller(ControllerEvent::LeaderElected { unclean: false, .. })
        )
    };
    let record = c.run_until_told("another leads", |_, e| elected(e));
    let waited = record.at.since(since);
    assert!(
        waited > Duration::millis(7_000) && waited < Duration::millis(10_200),
        "{waited:?}"
    );
    assert!(!c.isr().is_empty());
}

#[test]
fn a_controller_that_stops_cleanly_hands_over_within_a_second() {
    let mut c = Setting::default().begin();
    let (active, since) = (c.active_controller().expect("ready"), c.world.now());
    c.stop(active);
    let record = c.run_until_told("another is active", |p, e| p != active && becomes_active(e));
    assert!(record.at.since(since) < Duration::secs(1));
    c.run_until("it has stopped", |c| {
        c.view().machine(active).process.is_none()
    });
}
